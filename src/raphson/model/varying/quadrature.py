r"""The likelihood with one effect a group integrated by adaptive Gauss-Hermite quadrature, as a check of Laplace's.

    V(θ) = Σ_g log Σ_k c_k w_g exp ℓ_g(u_gk; θ),    ℓ_g(u; θ) = Σ_i log f(y_i | η_i + z_i σu) + log φ(u)
    u_gk = v_g + w_g t_k,   ∂_uℓ_g(v_g; θ) = 0,   w_g = 1/√H_g,   H_g = −∂_uuℓ_g(v_g; θ)

with the nodes of each group centred at its mode v and scaled by the curvature there (Pinheiro and Bates 1995,
J. Comput. Graph. Statist. 4, 12). As few nodes are no exact integral, what is differentiated is this sum, whose nodes
move with θ,

    u_j = v_j + w t (log w)_j,    ℓ_(j) = ℓ_j + ℓ_u u_j,    V_j = Σ_g {E_ω ℓ_(j) + (log w)_j}
    V_jk = Σ_g {E_ω[ℓ_jk + ℓ_uj u_k + ℓ_uk u_j + ℓ_uu u_j u_k + ℓ_u u_jk] + Cov_ω(ℓ_(j), ℓ_(k)) + (log w)_jk},

where ω_gk are the shares of the nodes in the sum, and E_ω[ℓ_u u_jk] + (log w)_jk is left to :class:`Nodes`. One node is
Laplace's approximation; with many ones the parts by ℓ_u cancel, as the integral does not depend on its nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.model.varying.criterion import LOG_2PI, Criterion, Spot
from raphson.model.varying.derivatives import Derivatives
from raphson.model.varying.tensors import Symmetric


class Quadrature(Criterion):
    """The criterion by quadrature, of one term with one coefficient a level.

    Parameters
    ----------
    nodes : number of nodes of each group.
    """

    def __init__(self, *given: Any, nodes: int) -> None:
        super().__init__(*given)
        self.nodes = nodes

    def at(self, theta: np.ndarray) -> Spot | None:
        known = self._spot
        found = super().at(theta)
        if found is not None and found is not known:
            found.derivatives = IntegralDerivatives(self, found)
            found.value = found.derivatives.value
        return found


def one_by_one(terms: Sequence[VaryingTerm]) -> bool:
    """Whether there is one term with one coefficient a level, each of which is integrated by itself."""
    return len(terms) == 1 and terms[0].width == 1 and terms[0].codes is not None


class Groups:
    """Sums over the rows of the groups.

    Parameters
    ----------
    criterion : of one term with one coefficient a level.
    sigma : the standard deviation.
    """

    def __init__(self, criterion: Criterion, sigma: float) -> None:
        piece = criterion.layout.pieces[0]
        assert piece.codes is not None
        self.z, self.codes, self.count = piece.columns[:, 0], piece.codes, piece.levels
        self.X, self.tau, self.J = criterion.X, criterion.density.has_tau, criterion.n_params
        self.slope = sigma * self.z
        """(n,) ∂η/∂u."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """(G,) of the rows' values."""
        return np.bincount(self.codes, values, self.count)

    def by_theta(self, by_eta: np.ndarray, extra: np.ndarray | None, by_tau: Any, u: np.ndarray) -> np.ndarray:
        """(G, J) of rows whose value changes with θ_j by `by_eta` ∂_jη, and by `extra` with σ, and by `by_tau` with τ.

        ∂_jη is that at the effects u (G,): the columns of β, and z u for σ.
        """
        p, out = self.X.shape[1], np.empty((self.count, self.J))
        for j in range(p):
            out[:, j] = self.sum(by_eta * self.X[:, j])
        along = by_eta * self.z * u[self.codes]
        out[:, p] = self.sum(along if extra is None else along + extra)
        if self.tau:
            out[:, -1] = self.sum(by_tau)
        return out

    def crossed(self, weights: Sequence[np.ndarray], extra: np.ndarray, bent: float, tau: Sequence[Any]) -> np.ndarray:
        """(J, J) Σ of second derivatives by θ of the rows.

        Parameters
        ----------
        weights : what multiplies x_jx_k of β, x_j z of β with σ, and z² of σ twice; the effects u are in it.
        extra : added to x_j of β with σ.
        bent : added to σ twice.
        tau : what multiplies x_j, what is the sum for σ, and the sum for τ twice.
        """
        X, z, p, out = self.X, self.z, self.X.shape[1], np.zeros((self.J, self.J))
        out[:p, :p] = X.T @ (weights[0][:, None] * X)
        out[:p, p] = out[p, :p] = X.T @ (weights[1] * z + extra)
        out[p, p] = float(weights[2] @ (z * z)) + bent
        if self.tau:
            out[:p, -1] = out[-1, :p] = X.T @ tau[0]
            out[p, -1] = out[-1, p] = tau[1]
            out[-1, -1] = tau[2]
        return out


class Nodes:
    r"""How the mode v and the width w of each group move with θ.

    With H = −ℓ_uu, all at the mode,

        v_j = ℓ_uj/H,    H v_jk = ℓ_ujk + ℓ_uuj v_k + ℓ_uuk v_j + ℓ_uuu v_jv_k,    (log w)_j = −½ H_j/H
        −H_j = ℓ_uuj + ℓ_uuu v_j,    −H_jk = ℓ_uujk + ℓ_uuuj v_k + ℓ_uuuk v_j + ℓ_uuuu v_jv_k + ℓ_uuu v_jk
        (log w)_jk = −½ H_jk/H + 2 (log w)_j (log w)_k,    w_jk = w [(log w)_jk + (log w)_j (log w)_k].

    A row's predictor has ∂_uη = zσ, and ∂_uση = z is the only second derivative.
    """

    def __init__(self, groups: Groups, rows: Any, v: np.ndarray) -> None:
        self.groups, self.v = groups, v
        zero, slope, z = np.zeros(len(groups.z)), groups.slope, groups.z
        f1, self.f2 = rows.score[0], -rows.weight[0, 0]
        self.f3, self.f4 = (-one.get(at, zero) for one, at in ((rows.third, (0,) * 3), (rows.fourth, (0,) * 4)))
        of_tau = ((rows.weight, (0, 1)), (rows.third, (0, 0, 1)), (rows.fourth, (0, 0, 0, 1)))
        self.f1t, self.f2t, self.f3t = (-one.get(at, zero) for one, at in of_tau)
        self.f1tt, self.f2tt = (
            -one.get(at, zero) for one, at in ((rows.third, (0, 1, 1)), (rows.fourth, (0, 0, 1, 1)))
        )
        square = slope * slope
        self.H = 1.0 - groups.sum(self.f2 * square)
        self.uuu, self.uuuu = groups.sum(self.f3 * square * slope), groups.sum(self.f4 * square * square)
        self.uuj = groups.by_theta(self.f3 * square, 2.0 * self.f2 * z * slope, self.f2t * square, v)
        self.uuuj = groups.by_theta(self.f4 * square * slope, 3.0 * self.f3 * z * square, self.f3t * square * slope, v)
        self.mode = groups.by_theta(self.f2 * slope, f1 * z, self.f1t * slope, v) / self.H[:, None]
        """(G, J) the v_j."""
        self.log_width = 0.5 * (self.uuj + self.uuu[:, None] * self.mode) / self.H[:, None]
        """(G, J) the (log w)_j."""

    def second(self, slope: np.ndarray, stretch: np.ndarray) -> np.ndarray:
        """(J, J) Σ_g {E_ω[ℓ_u u_jk] + (log w)_jk}, from the E_ω ℓ_u and the E_ω[ℓ_u w t] of the groups, (G,) each."""
        h = -0.5 * (stretch + 1.0) / self.H  # of H_jk
        c = (slope - h * self.uuu) / self.H  # of H v_jk
        groups, v, w = self.groups, self.mode, self.log_width
        mixed = (c[:, None] * self.uuj - h[:, None] * self.uuuj).T @ v
        out = mixed + mixed.T + ((c * self.uuu - h * self.uuuu)[:, None] * v).T @ v
        out += ((3.0 * stretch + 2.0)[:, None] * w).T @ w
        # Σ c ℓ_ujk − h ℓ_uujk, of the rows
        c, h, u, z, by_u = c[groups.codes], h[groups.codes], self.v[groups.codes], groups.z, groups.slope
        square = by_u * by_u
        weight = c * self.f3 * by_u - h * self.f4 * square
        extra = c * self.f2 * z - 2.0 * h * self.f3 * z * by_u
        bent = 2.0 * float(extra @ (z * u)) - 2.0 * float(h @ (self.f2 * z * z))
        tau = c * self.f2t * by_u - h * self.f3t * square
        of_sigma = float((tau * u + c * self.f1t - 2.0 * h * self.f2t * by_u) @ z)
        twice = float(c @ (self.f1tt * by_u) - h @ (self.f2tt * square))
        return out + groups.crossed([weight, weight * u, weight * u * u], extra, bent, [tau, of_sigma, twice])


class IntegralDerivatives(Derivatives):
    """Value, gradient and Hessian of the sum; the steps of the mode are those of the base."""

    def __init__(self, criterion: Quadrature, spot: Spot) -> None:
        super().__init__(criterion, spot)
        self.quadrature = criterion
        mode, self.sigma = spot.mode, float(spot.theta[criterion.p])
        self.groups = Groups(criterion, self.sigma)
        self.z, self.codes = self.groups.z, self.groups.codes
        self.tau = float(spot.theta[-1]) if criterion.density.has_tau else 0.0
        x, weights = np.polynomial.hermite.hermgauss(criterion.nodes)
        width = np.sqrt(2.0 * self.factor.inverse[0, 0][:, 0, 0])
        self.u = mode.v[:, None] + width[:, None] * x
        self.fixed = mode.eta[0] - self.sigma * self.z * mode.v[self.codes]
        logs = np.stack([self.groups.sum(self._logs(k)) for k in range(len(x))], axis=1)
        logs += np.log(weights) + x * x - 0.5 * self.u**2 - 0.5 * LOG_2PI + np.log(width)[:, None]
        largest = logs.max(axis=1, keepdims=True)
        shares = np.exp(logs - largest)
        total = shares.sum(axis=1, keepdims=True)
        self.shares = shares / total
        self.cut = _cut(self.shares, np.isneginf(logs))
        """The largest share of a node beside one beyond the link's domain, where the density is 0."""
        constant = criterion.density.constants(self.tau)[0]
        self.value = float(np.sum(largest) + np.sum(np.log(total))) + constant
        self._sum()

    def _rows(self, k: int, order: int) -> Any:
        eta = self.fixed + self.sigma * self.z * self.u[self.codes, k]
        return self.criterion.density.at(eta[None], self.tau, order)

    def _logs(self, k: int) -> np.ndarray:
        """The rows' log densities at a node; −∞ outside of the link's domain."""
        each = self._rows(k, 2).each
        return np.where(np.isfinite(each), each, -np.inf) if self.criterion.density.walled else each

    def _inside(self, k: int, order: int) -> Any:
        """The rows at a node, with zeros for those of a group of which one is outside of the link's domain."""
        rows = self._rows(k, order)
        if self.cut:
            inside = self.shares[self.codes, k] > 0
            rows.score = [np.where(inside, one, 0.0) for one in rows.score]
            rows.weight = Symmetric({at: np.where(inside, one, 0.0) for at, one in rows.weight.items()})
            if rows.each_tau is not None:
                rows.each_tau, rows.each_tau2 = (np.where(inside, one, 0.0) for one in (rows.each_tau, rows.each_tau2))
        return rows

    def _sum(self) -> None:
        """The sums over nodes of gradient and Hessian."""
        groups, density, z, slope = self.groups, self.criterion.density, self.groups.z, self.groups.slope
        n, J, v = len(z), self.groups.J, self.mode.v
        nodes = Nodes(groups, self.mode.rows, v)
        mean, second = np.zeros((groups.count, J)), np.zeros((J, J))
        by_u, stretch = np.zeros((2, groups.count))
        W, Wu, Wuu, st, stu, twice = np.zeros((6, n))
        for k in range(self.u.shape[1]):
            rows, share, u = self._inside(k, 3), self.shares[:, k], self.u[:, k]
            own, at, f1, f2 = share[self.codes], u[self.codes], rows.score[0], -rows.weight[0, 0]
            f1t = -rows.weight[0, 1] if groups.tau else np.zeros(n)
            moved = nodes.mode + (u - v)[:, None] * nodes.log_width  # u_j
            lu, luu = groups.sum(f1 * slope) - u, groups.sum(f2 * slope * slope) - 1.0
            luj = groups.by_theta(f2 * slope, f1 * z, f1t * slope, u)
            total = groups.by_theta(f1, None, rows.each_tau, u) + lu[:, None] * moved
            mean += share[:, None] * total
            mixed = (share[:, None] * luj).T @ moved
            second += mixed + mixed.T + ((share * luu)[:, None] * moved).T @ moved
            second += (share[:, None] * total).T @ total
            by_u += share * lu
            stretch += share * lu * (u - v)
            weighted = own * f2
            W, Wu, Wuu = W + weighted, Wu + weighted * at, Wuu + weighted * at * at
            if groups.tau:
                st, stu, twice = st + own * f1t, stu + own * f1t * at, twice + own * rows.each_tau2
        second += groups.crossed([W, Wu, Wuu], np.zeros(n), 0.0, [st, float(stu @ z), float(np.sum(twice))])
        self.hessian = second - mean.T @ mean + nodes.second(by_u, stretch)
        self.gradient = (mean + nodes.log_width).sum(axis=0)
        if groups.tau:
            _, first, bent = density.constants(self.tau)
            self.gradient[-1] += first
            self.hessian[-1, -1] += bent


def _cut(shares: np.ndarray, outside: np.ndarray) -> float:
    if not outside.any():
        return 0.0
    beside = np.zeros_like(outside)
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    return float(np.max(shares[beside & ~outside], initial=1e-300))
