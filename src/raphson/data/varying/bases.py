"""Bases of smooth functions, each with its penalty and with what that does not penalise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from raphson.errors import DataError
from raphson.frozen import frozen

if TYPE_CHECKING:
    from typing import Any

WIDENED = 0.001
"""Share of the range that the knots of a P-spline reach beyond it at each end, as in mgcv."""

BLOCK = 4096
"""Rows of a cubic spline evaluated at once, whose numbers stay in the processor's cache: 10 functions of 100,000 rows
take 11 ms, and 19 where all are evaluated at once."""


@frozen(eq=False)
class Basis:
    """A basis of k functions of one variable.

    Attributes
    ----------
    knots : (m,) what the basis is made of.
    values : the k functions at points (n,), as (n, k).
    S : (k, k) the penalty bᵀSb of the function Σ b_j B_j.
    null : (k, d) coefficients whose penalty is 0; the first column is the constant 1.
    """

    knots: np.ndarray
    values: Callable[[np.ndarray], np.ndarray]
    S: np.ndarray
    null: np.ndarray


# -- natural cubic splines -------------------------------------------------------------------------------------------


def cubic(knots: np.ndarray) -> Basis:
    """The natural cubic spline by its values b at the knots, with the penalty ∫ f''².

    With h_j the distances of the knots and γ the second derivatives at the inner ones, f' is continuous there if
    A γ = D b, where D has the rows (1/h_j, -1/h_j - 1/h_{j+1}, 1/h_{j+1}) and A is tridiagonal with (h_j + h_{j+1})/3
    and h_{j+1}/6. At the ends γ is 0, and beyond them f is linear. f'' is linear between the knots, so that
    ∫ f''² = γᵀAγ = bᵀDᵀA⁻¹D b (Wood, Generalized Additive Models, 2017, section 5.3.1).
    """
    h = np.diff(knots)
    k = len(knots)
    D, A = np.zeros((k - 2, k)), np.zeros((k - 2, k - 2))
    for j in range(k - 2):
        D[j, j : j + 3] = 1 / h[j], -1 / h[j] - 1 / h[j + 1], 1 / h[j + 1]
        A[j, j] = (h[j] + h[j + 1]) / 3
        if j + 1 < k - 2:
            A[j, j + 1] = A[j + 1, j] = h[j + 1] / 6
    inner = np.linalg.solve(A, D)
    S = D.T @ inner
    curvature = np.vstack([np.zeros(k), inner, np.zeros(k)])

    # f'(x) at an end with γ = 0 there: (b_1 - b_0)/h - hγ_1/6, and likewise at the other.
    slopes = np.zeros((2, k))
    slopes[0, :2] = -1 / h[0], 1 / h[0]
    slopes[1, -2:] = -1 / h[-1], 1 / h[-1]
    slopes[0] -= h[0] / 6 * curvature[1]
    slopes[1] += h[-1] / 6 * curvature[-2]
    values = partial(_straight_beyond, partial(_between, knots, curvature), knots[0], knots[-1], slopes)
    return Basis(knots, values, _symmetric(S), np.column_stack([np.ones(k), knots]))


def _straight_beyond(
    within: Callable[[np.ndarray], np.ndarray], low: float, high: float, slopes: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Functions on [low, high], which go on beyond it with their slopes (2, k) at its ends."""
    inside = np.clip(x, low, high)
    B = within(inside)
    beyond = x - inside
    outside = np.flatnonzero(beyond)
    if len(outside):
        B[outside] += beyond[outside, None] * slopes[(beyond[outside] > 0).astype(np.intp)]
    return B


def _between(knots: np.ndarray, curvature: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values (n, k) of cubic splines given by their values and, as `curvature` (m, k), second derivatives at knots.

    Between two knots f = (a b + a' b') + (a³ - a)h²/6 γ + (a'³ - a')h²/6 γ', with a and a' = 1 - a the weights of
    linear interpolation. The last of the m knots may be the first function again.
    """
    B = np.empty((len(x), curvature.shape[1]))
    for start in range(0, len(x), BLOCK):
        B[start : start + BLOCK] = _between_few(knots, curvature, x[start : start + BLOCK])
    return B


def _between_few(knots: np.ndarray, curvature: np.ndarray, x: np.ndarray) -> np.ndarray:
    j = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    h = np.diff(knots)[j]
    left, right = (knots[j + 1] - x) / h, (x - knots[j]) / h
    k, rows, sixth = curvature.shape[1], np.arange(len(x)), h * h / 6
    bent = np.zeros((len(x), len(curvature)))
    bent[rows, j] = (left * left * left - left) * sixth
    bent[rows, j + 1] = (right * right * right - right) * sixth
    B = bent @ curvature
    B[rows, j] += left
    B[rows, (j + 1) % k] += right
    return B


def cyclic(knots: np.ndarray) -> Basis:
    """The cubic spline with value, slope and curvature the same at the last knot as at the first.

    As :func:`cubic`, with indices that go round: k - 1 functions for k knots, and no ends.
    """
    h = np.diff(knots)
    k = len(h)
    D, A = np.zeros((k, k)), np.zeros((k, k))
    for j in range(k):
        before, after = (j - 1) % k, (j + 1) % k
        D[j, before] += 1 / h[before]
        D[j, j] -= 1 / h[before] + 1 / h[j]
        D[j, after] += 1 / h[j]
        A[j, j] += (h[before] + h[j]) / 3
        A[j, after] += h[j] / 6
        A[after, j] += h[j] / 6
    inner = np.linalg.solve(A, D)
    curvature = np.vstack([inner, inner[:1]])
    return Basis(knots, partial(_round, knots, curvature), _symmetric(D.T @ inner), np.ones((k, 1)))


def _round(knots: np.ndarray, curvature: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The cubic splines of :func:`_between`, again and again beyond the knots."""
    inside = (x >= knots[0]) & (x <= knots[-1])
    return _between(knots, curvature, np.where(inside, x, knots[0] + np.mod(x - knots[0], knots[-1] - knots[0])))


# -- P-splines -------------------------------------------------------------------------------------------------------


def p_spline(knots: np.ndarray) -> Basis:
    """Cubic B-splines on even knots, with the penalty Σ (b_j - 2b_{j+1} + b_{j+2})².

    Eilers and Marx, Statistical Science 11 (1996). Beyond the outermost of the inner knots f goes on linearly.
    """
    from scipy.interpolate import BSpline

    k = len(knots) - 4
    spline = BSpline(knots, np.eye(k), 3, extrapolate=True)
    low, high = knots[3], knots[-4]
    slopes = spline.derivative()(np.array([low, high]))
    values = partial(_straight_beyond, spline, low, high, slopes)
    second = np.diff(np.eye(k), 2, axis=0)
    return Basis(knots, values, second.T @ second, np.column_stack([np.ones(k), np.arange(k, dtype=float)]))


def _symmetric(S: np.ndarray) -> np.ndarray:
    return (S + S.T) / 2


# -- knots -----------------------------------------------------------------------------------------------------------


def _among(distinct: np.ndarray, k: int) -> np.ndarray:
    """k knots spread evenly through the distinct values in order, both ends included."""
    at = np.arange(k) * ((len(distinct) - 1) / (k - 1))
    low = np.minimum(at.astype(np.intp), len(distinct) - 2)
    share = at - low
    return distinct[low] * (1 - share) + distinct[low + 1] * share


def _even(distinct: np.ndarray, k: int) -> np.ndarray:
    """k - 2 even knots over the range, widened, and three more beyond each of its ends."""
    widened = (distinct[-1] - distinct[0]) * WIDENED
    low, high = distinct[0] - widened, distinct[-1] + widened
    step = (high - low) / (k - 3)
    return np.linspace(low - 3 * step, high + 3 * step, k + 4)


MADE: dict[str, tuple[Callable[[np.ndarray, int], np.ndarray], Callable[[np.ndarray], Basis], int]] = {
    "cr": (_among, cubic, 3),
    "cc": (_among, cyclic, 4),
    "ps": (_even, p_spline, 4),
}
"""By the name of a basis: its knots among the distinct values, the basis on knots, and the smallest k."""


def knots_of(kind: str, x: np.ndarray, k: int, label: str) -> np.ndarray:
    """The knots of a basis of dimension k for the values of a variable.

    Raises
    ------
    DataError
        If there are fewer distinct values than functions.
    """
    distinct = np.unique(x)
    if len(distinct) < k:
        fewest = MADE[kind][2]
        remedy = f"write k={len(distinct)}" if len(distinct) >= fewest else "use it as a factor, or as a linear term"
        raise DataError(
            f"formula: {label} has k={k} functions, but its variable only {len(distinct)} different values; {remedy}"
        )
    return MADE[kind][0](distinct, k)


def basis_of(kind: str, knots: Any) -> Basis:
    """The basis of a kind on knots."""
    return MADE[kind][1](np.asarray(knots, dtype=np.float64))
