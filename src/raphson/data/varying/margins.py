r"""Smooth functions and their products, parted into what penalties penalise and what they do not.

A margin is a basis in coordinates b in which its penalty bᵀSb is diagonal: b = V a + N c, where V and N together are
orthonormal, aᵀVᵀSVa = Σ s_i a_i² with s_i > 0, and SN = 0. A product of margins has the functions Π_j f_j(x_j), with a
penalty from each margin, λ_j S_j ⊗ I, which is diagonal in these coordinates too: of a product of columns it is s_i
for the column i of margin j, or 0 if that is one of N. Only a product of columns of N has no penalty at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.described import expect
from raphson.data.varying.bases import MADE, Basis, basis_of, knots_of
from raphson.lazy import Lazy

if TYPE_CHECKING:
    from raphson.data.varying import thin_plate
else:
    thin_plate = Lazy("raphson.data.varying.thin_plate")

_ARRAYS = ("knots", "origin", "penalised", "strengths", "null")

BLOCK = 4096
"""Rows of a product evaluated at once."""

Columns = tuple[np.ndarray, np.ndarray]
"""What penalties penalise, and what they do not."""


@dataclass(frozen=True, eq=False)
class Margin:
    """A basis with its penalty.

    Attributes
    ----------
    kind : the basis.
    knots : (m,) what it is made of; of thin plates, the points (m, d).
    origin : (d,) of the polynomials of thin plates; (0,) of other bases.
    penalised : (f, r) coefficients V of its f functions. They are kept, as another machine may give eigenvectors
        another sign.
    strengths : (r,) the s_i.
    null : (f, d) coefficients N; the first column is constant, unless the functions are centred.
    centred : whether its functions have the mean 0 over the rows, as in products without main effects.
    """

    kind: str
    knots: np.ndarray
    origin: np.ndarray
    penalised: np.ndarray
    strengths: np.ndarray
    null: np.ndarray
    centred: bool = False

    @staticmethod
    def of(kind: str, x: np.ndarray, k: int, label: str, by_values: bool, centred: bool = False) -> Margin:
        """The basis of k functions for the values x (n, d) of its variables.

        Parameters
        ----------
        label : for messages.
        by_values : whether the coordinates are the function's values at even points, or at its knots, as in tensor
            products, where the other margins' penalties depend on them.
        centred : whether to leave out the constant.

        Raises
        ------
        DataError
            If there are too few different values.
        """
        if kind == "tp":
            points, origin = thin_plate.points_of(x, k, label), x.mean(axis=0)
            made, C, S = _thin_plate(points, origin, x, k)
        else:
            points, origin = knots_of(kind, x[:, 0], k, label), np.zeros(0)
            basis = basis_of(kind, points)
            made, C, S = basis.null, np.eye(len(basis.S)), basis.S
        margin = Margin(kind, points, origin, C, np.zeros(0), made)
        if centred:
            # b = Zc has no mean, with orthonormal columns Z; what is not penalised loses its mean with the constant.
            means = margin._times(x, C).mean(axis=0)
            Z = np.linalg.qr(means[:, None], mode="complete")[0][:, 1:]
            C, S, made = C @ Z, Z.T @ S @ Z, Z.T @ (made @ uncentred(means @ made))
        if by_values and kind in ("tp", "ps") and x.shape[1] == 1:
            even = np.linspace(x[:, 0].min(), x[:, 0].max(), len(S))
            B = margin._times(even[:, None], C)
            T = np.linalg.inv(B)
            C, S, made = C @ T, T.T @ S @ T, B @ made
        V, strengths, N = parted(S, made)
        return Margin(kind, points, origin, C @ V, strengths, C @ N, centred)

    @cached_property
    def basis(self) -> Basis:
        """Its functions, where they are not thin plates."""
        return basis_of(self.kind, self.knots)

    @property
    def n_variables(self) -> int:
        """The number d of its variables."""
        return max(len(self.origin), 1)

    @property
    def powers(self) -> list[tuple[int, ...]]:
        """Of what it does not penalise, the powers of its variables, the constant first."""
        known = thin_plate.exponents(self.n_variables) if self.kind == "tp" else [(0,), (1,)]
        return known[int(self.centred) :][: self.null.shape[1]]

    def _times(self, x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        if self.kind == "tp":
            return thin_plate.product(x, self.knots, self.origin, coefficients)
        return self.basis.values(x[:, 0]) @ coefficients

    def values(self, x: np.ndarray) -> Columns:
        """(n, r) and (n, d) at values (n, ·) of its variables."""
        r = len(self.strengths)
        whole = self._times(x, np.column_stack([self.penalised, self.null]))
        return whole[:, :r], whole[:, r:]

    def with_unit_strengths(self) -> Margin:
        """The same with columns whose penalty is Σ a²."""
        scaled = self.penalised / np.sqrt(self.strengths)
        return replace(self, penalised=scaled, strengths=np.ones_like(self.strengths))

    def to_dict(self) -> dict[str, Any]:
        """What is kept, safe for JSON."""
        return {name: getattr(self, name).tolist() for name in _ARRAYS} | {"centred": self.centred}

    @staticmethod
    def from_dict(kind: str, d: int, saved: dict[str, Any]) -> Margin:
        """Read what :meth:`to_dict` wrote, of a basis of d variables."""
        plates = kind == "tp"
        knots, origin = array(saved["knots"], 1 + plates), array(saved["origin"], 1)
        penalised, null, centred = array(saved["penalised"], 2), _matrix(saved["null"]), saved["centred"]
        strengths = array(saved["strengths"], 1)
        expect(not plates or knots.shape[1] == len(origin) == d, "points of its variables")
        f = len(knots) + len(thin_plate.exponents(d)) if plates else len(basis_of(kind, knots).S)
        expect(len(penalised) == len(null) == f, f"{f} functions")
        expect(penalised.shape[1] == len(strengths) and bool((strengths > 0).all()), "strengths")
        expect(isinstance(centred, bool), "whether it is centred")
        return Margin(kind, knots, origin, penalised, strengths, null, centred)


def fewest(kind: str, d: int) -> int:
    """The smallest k of a basis of d variables."""
    return len(thin_plate.exponents(d)) + 1 if kind == "tp" else MADE[kind][2]


def _matrix(saved: Any) -> np.ndarray:
    """A matrix that may have no columns."""
    return np.zeros((len(saved), 0)) if saved and not any(saved) else array(saved, 2)


def array(saved: Any, ndim: int) -> np.ndarray:
    """Saved numbers as an array."""
    found = np.array(saved, dtype=np.float64)
    expect(found.ndim == ndim and bool(np.isfinite(found).all()), "finite numbers of a smooth function")
    return found


def usual_k(kind: str, d: int) -> int:
    """The number of functions of a basis of d variables, unless a formula gives it."""
    return thin_plate.usual_k(d) if kind == "tp" else 10


def _thin_plate(
    points: np.ndarray, origin: np.ndarray, x: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Null space (k, M), coefficients (m + M, k) and penalty (k, k) of thin plates.

    The polynomials have a mean square of 1 over the rows, as in mgcv: the restricted likelihood depends on that.
    """
    UZ, inner = thin_plate.truncated(points, k)
    sizes = np.sqrt(np.mean(thin_plate.polynomials(x - origin) ** 2, axis=0))
    (m, r), M = UZ.shape, len(sizes)
    C, S = np.zeros((m + M, k)), np.zeros((k, k))
    C[:m, :r], C[m:, r:] = UZ, np.diag(1.0 / sizes)
    S[:r, :r] = 0.5 * (inner + inner.T)
    return np.eye(k)[:, r:], C, S


def parted(S: np.ndarray, null: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V (k, r), strengths (r,) and N (k, d) of a penalty with a null space.

    The complement of the null space comes of an orthonormal basis, not of eigenvalues that are nearly 0.
    """
    Q, R = np.linalg.qr(null, mode="complete")
    d = null.shape[1]
    strengths, turned = np.linalg.eigh(Q[:, d:].T @ S @ Q[:, d:])
    return Q[:, d:] @ turned, strengths, Q[:, :d] * np.where(R.diagonal() < 0, -1.0, 1.0)


def uncentred(means: np.ndarray) -> np.ndarray:
    """(d, d − 1) orthonormal combinations, of columns with these means of which the first is constant, that have none.

    So the restricted likelihood, which depends on the coordinates of what is not penalised, is the one that mgcv has.
    """
    d = len(means)
    spared = np.eye(d)[:, 1:] - np.outer(np.eye(d)[:, 0], means[1:] / means[0])
    if d == 1:
        return spared
    Q, R = np.linalg.qr(spared)
    return Q * np.where(R.diagonal() < 0, -1.0, 1.0)


# -- products --------------------------------------------------------------------------------------------------------


def values(margins: Sequence[Margin], x: Sequence[np.ndarray]) -> Columns:
    """(n, c) and (n, d) the columns of a product, at values of the variables of each margin."""
    if len(margins) == 1:
        return margins[0].values(x[0])
    n, c = len(x[0]), strengths(margins).shape[1]
    d = int(np.prod([one.null.shape[1] for one in margins]))
    own, null = np.empty((n, c)), np.empty((n, d))
    for start in range(0, n, BLOCK):
        at = slice(start, start + BLOCK)
        parts = [one.values(part[at]) for one, part in zip(margins, x, strict=True)]
        before = parts[0]
        for part in parts[1:-1]:
            before = _multiplied(before, part, None)
        _multiplied(before, parts[-1], (own[at], null[at]))
    return own, null


def _multiplied(one: Columns, other: Columns, out: Columns | None) -> Columns:
    """Products of columns: penalised by all, not penalised by penalised, and not penalised by not penalised."""
    (P, N), (p, m) = one, other
    n, r, d = len(P), p.shape[1], m.shape[1]
    if out is None:
        out = np.empty((n, P.shape[1] * (r + d) + N.shape[1] * r)), np.empty((n, N.shape[1] * d))
    own, null = out
    both, place = np.column_stack([p, m]), 0
    for column in P.T:
        np.multiply(column[:, None], both, out=own[:, place : place + r + d])
        place += r + d
    for column in N.T:
        np.multiply(column[:, None], p, out=own[:, place : place + r])
        place += r
    for j, column in enumerate(m.T):
        np.multiply(column[:, None], N, out=null[:, j * N.shape[1] : (j + 1) * N.shape[1]])
    return out


def strengths(margins: Sequence[Margin]) -> np.ndarray:
    """(q, c) of each margin's penalty its diagonal in the columns of :func:`values`."""
    D, d = margins[0].strengths[None], margins[0].null.shape[1]
    for one in margins[1:]:
        r, null = len(one.strengths), one.null.shape[1]
        full = np.concatenate([one.strengths, np.zeros(null)])
        before = np.concatenate([np.repeat(D, r + null, axis=1), np.zeros((len(D), d * r))], axis=1)
        own = np.concatenate([np.tile(full, D.shape[1]), np.tile(one.strengths, d)])
        D, d = np.vstack([before, own]), d * null
    return D


def null_names(margins: Sequence[Margin], variables: Sequence[Sequence[str]]) -> list[str]:
    """Of the columns that no penalty penalises: ``constant``, ``linear`` of one variable, else ``x``, ``x:z``, ``x^2``.

    The first margin's come one after the other, for each of the second's.
    """
    alone = len(margins) == 1 and margins[0].n_variables == 1
    names = []
    for chosen in product(*(one.powers for one in reversed(margins))):
        pairs = [
            (name, power)
            for own, powers in zip(variables, reversed(chosen), strict=True)
            for name, power in zip(own, powers, strict=True)
            if power
        ]
        written = ":".join(name if power == 1 else f"{name}^{power}" for name, power in pairs)
        names.append("linear" if alone and pairs else written or "constant")
    return names
