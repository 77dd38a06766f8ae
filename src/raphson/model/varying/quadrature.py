r"""The likelihood with one effect a group integrated by adaptive Gauss-Hermite quadrature, as a check of Laplace's.

    V(θ) = Σ_g log ∫ Π_i f(y_i | η_i + z_i σu) φ(u) du,    u_k = û_g + √2 s_g x_k,   s_g² = 1/H_gg,

with the nodes x_k of each group centred at its mode and scaled by the curvature there (Pinheiro and Bates 1995,
J. Comput. Graph. Statist. 4, 12). The weights ω_gk of the sum are those of the posterior of u, under which, with the
sums a_k over the rows of a group of the derivatives of log f by θ,

    V_j = Σ_g E_ω a_j,    V_jk = Σ_g {E_ω[Σ_i ∂²log f] + Cov_ω(a_j, a_k)}.

They are the derivatives of the integral itself, by the same rule.
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


class IntegralDerivatives(Derivatives):
    """Value, gradient and Hessian of the integral; the steps of the mode are those of the base."""

    def __init__(self, criterion: Quadrature, spot: Spot) -> None:
        super().__init__(criterion, spot)
        self.quadrature = criterion
        piece, mode = self.layout.pieces[0], spot.mode
        assert piece.codes is not None
        self.z, self.codes, self.groups = piece.columns[:, 0], piece.codes, piece.levels
        self.tau = float(spot.theta[-1]) if criterion.density.has_tau else 0.0
        x, weights = np.polynomial.hermite.hermgauss(criterion.nodes)
        width = np.sqrt(2.0 * self.factor.inverse[0, 0][:, 0, 0])
        self.u = mode.v[:, None] + width[:, None] * x
        self.sigma = float(spot.theta[criterion.p])
        self.fixed = mode.eta[0] - self.sigma * self.z * mode.v[self.codes]
        logs = np.stack([np.bincount(self.codes, self._logs(k), self.groups) for k in range(len(x))], axis=1)
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
        criterion = self.criterion
        n, p, tau, G = criterion.n_rows, criterion.p, criterion.density.has_tau, self.groups
        J = criterion.n_params
        mean, outer = np.zeros((G, J)), np.zeros((J, J))
        W, Wu, Wuu, st, stu = np.zeros((5, n))
        second = 0.0
        columns = [*criterion.X.T, self.z]
        for k in range(self.u.shape[1]):
            rows, share, u = self._inside(k, 3), self.shares[:, k], self.u[:, k]
            own, at = share[self.codes], u[self.codes]
            a = np.empty((G, J))
            for j, column in enumerate(columns):
                a[:, j] = np.bincount(self.codes, rows.score[0] * column, G)
            a[:, p] *= u
            if tau:
                a[:, -1] = np.bincount(self.codes, rows.each_tau, G)
                second += float(own @ rows.each_tau2)
                st -= own * rows.weight[0, 1]
                stu -= own * rows.weight[0, 1] * at
            weighted = own * rows.weight[0, 0]
            W += weighted
            Wu += weighted * at
            Wuu += weighted * at * at
            mean += share[:, None] * a
            outer += (share[:, None] * a).T @ a
        X, z = criterion.X, self.z
        H = outer - mean.T @ mean
        H[:p, :p] -= X.T @ (W[:, None] * X)
        H[:p, p] -= X.T @ (z * Wu)
        H[p, :p] -= X.T @ (z * Wu)
        H[p, p] -= float(z * z @ Wuu)
        gradient = mean.sum(axis=0)
        if tau:
            _, first, bent = criterion.density.constants(self.tau)
            gradient[-1] += first
            H[-1, -1] += second + bent
            for at, part in ((slice(0, p), X.T @ st), (p, float(z @ stu))):
                H[at, -1] += part
                H[-1, at] += part
        self.gradient, self.hessian = gradient, H


def _cut(shares: np.ndarray, outside: np.ndarray) -> float:
    if not outside.any():
        return 0.0
    beside = np.zeros_like(outside)
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    return float(np.max(shares[beside & ~outside], initial=1e-300))
