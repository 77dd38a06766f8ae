r"""Profile intervals of standard deviations and correlations, with the ends that lie at the edge.

The functions of θ, with G = ΛΛᵀ of a term, are

* its entry with its sign, where Λ has one for each standard deviation: the criterion is even in it, so that an interval
  that reaches below 0 ends at 0;
* ½ log G_aa, and the atanh of G_ab/√(G_aa G_bb), of a triangle: where the profile levels off, the end is at 0 or ±1;
* ½ τ for the residual standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raphson.inference.intervals import quantile
from raphson.inference.profile import Profiler
from raphson.model.varying.results import AtMaximum, Reported
from raphson.model.varying.scales import Scale


@dataclass(frozen=True)
class Coordinate:
    """A multiple of one parameter."""

    place: int
    n_params: int
    factor: float

    def value(self, theta: np.ndarray) -> np.ndarray:
        return self.factor * theta[self.place : self.place + 1]

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        J = np.zeros((1, self.n_params))
        J[0, self.place] = self.factor
        return J

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        return np.zeros((1, self.n_params, self.n_params))


@dataclass(frozen=True)
class OfProducts:
    """A function F of some G_ab = Σ_k Λ_ak Λ_bk, each a quadratic form of the parameters.

    Attributes
    ----------
    forms : (m, p, p) the matrices Q, each with G_ab = θᵀQθ.
    function : (m,) G → F, its gradient (m,) and its Hessian (m, m).
    """

    forms: np.ndarray
    function: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]

    def _at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        slopes = self.forms @ theta
        return *self.function(slopes @ theta), 2.0 * slopes

    def value(self, theta: np.ndarray) -> np.ndarray:
        return np.array([self._at(theta)[0]])

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        _, first, _, slopes = self._at(theta)
        return (first @ slopes)[None]

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        _, first, second, slopes = self._at(theta)
        return (2.0 * np.tensordot(first, self.forms, 1) + slopes.T @ second @ slopes)[None]


def _form(scale: Scale, start: int, n_params: int, a: int, b: int) -> np.ndarray:
    """Q of G_ab = Σ_k Λ_ak Λ_bk."""
    Q = np.zeros((n_params, n_params))
    at = {place: start + number for number, places in enumerate(scale.places) for place in places}
    for k in range(scale.width):
        if (a, k) in at and (b, k) in at:
            Q[at[a, k], at[b, k]] += 0.5
            Q[at[b, k], at[a, k]] += 0.5
    return Q


def _half_log(G: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore"):
        return 0.5 * float(np.log(G[0])), 0.5 / G, -0.5 / np.outer(G, G)


def _atanh(G: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """atanh ρ of (G_aa, G_bb, G_ab), with ρ = G_ab (G_aa G_bb)^(-1/2)."""
    A, B, C = G
    root = 1.0 / math.sqrt(A * B) if A * B > 0 else math.nan
    rho = C * root
    if not abs(rho) < 1.0:
        return math.nan, np.full(3, math.nan), np.full((3, 3), math.nan)
    slope = np.array([-0.5 * rho / A, -0.5 * rho / B, root])
    mixed = 0.25 * rho / (A * B)
    bend = np.array(
        [
            [0.75 * rho / A**2, mixed, -0.5 * root / A],
            [mixed, 0.75 * rho / B**2, -0.5 * root / B],
            [-0.5 * root / A, -0.5 * root / B, 0.0],
        ]
    )
    left = 1.0 - rho * rho
    return math.atanh(rho), slope / left, bend / left + 2.0 * rho / left**2 * np.outer(slope, slope)


class Profiles:
    """The profiles of a criterion at its maximum."""

    def __init__(self, at: AtMaximum, level: float = 0.95) -> None:
        self.at, self.reach = at, quantile(level, None)

    def of(self, one: Reported) -> tuple[float, float]:
        """The interval of a standard deviation or correlation."""
        criterion = self.at.criterion
        scale, p, J = criterion.scales[one.term], criterion.p, criterion.n_params
        start = p + scale.start
        if one.kind == "sd" and (scale.structure != "correlated" or scale.width == 1):
            place = start + one.first
            sign = -1.0 if self.at.theta[place] < 0 else 1.0
            low, high = self._ends(Coordinate(place, J, sign), True, sign * self.at.theta[place], place)
            return max(low, 0.0), high
        if not math.isfinite(one.transformed) or not self.at.free[start : start + scale.count].all():
            return math.nan, math.nan  # the triangle has fewer dimensions there than entries
        pairs = [(one.first, one.first)]
        if one.kind == "corr":
            pairs += [(one.second, one.second), (one.first, one.second)]
        forms = np.stack([_form(scale, start, J, *pair) for pair in pairs])
        function = OfProducts(forms, _half_log if one.kind == "sd" else _atanh)
        low, high = self._ends(function, False, one.transformed)
        return (math.exp(low), math.exp(high)) if one.kind == "sd" else (math.tanh(low), math.tanh(high))

    def residual(self) -> tuple[float, float]:
        """The interval of the residual standard deviation, τ being log σ²."""
        last = self.at.criterion.n_params - 1
        low, high = self._ends(Coordinate(last, last + 1, 0.5), True, 0.5 * float(self.at.theta[last]), last)
        return math.exp(low), math.exp(high)

    def _ends(
        self, function: Coordinate | OfProducts, linear: bool, estimate: float, moves: int | None = None
    ) -> tuple[float, float]:
        free = self.at.free.copy()
        if moves is not None:
            free[moves] = True
        theta = self.at.theta
        slope = function.jacobian(theta)[0]
        error = math.sqrt(max(float(slope @ self.at.cov @ slope), 0.0))
        if not (error > 0 and math.isfinite(error)):  # at the edge: how far the criterion's curvature reaches
            M = -self.at.derivatives.hessian
            bend = abs(M[moves, moves]) if moves is not None else 1.0
            error = abs(slope).max() / math.sqrt(bend) if bend > 0 else 1.0
        profiler = Profiler(self.at.criterion, theta, self.at.spot.value, free, function, linear, estimate, error)
        return profiler.end(-1, self.reach)[0], profiler.end(1, self.reach)[0]
