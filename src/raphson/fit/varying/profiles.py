r"""Profile intervals of standard deviations and correlations, with the ends that lie at the edge.

Each is traced in coordinates in which it is one of the parameters, and in which the edge is a point like any other:

* the coefficients of a level are put in the order in which the one or two in question come first, so that in the
  triangle Λ of ΛΛᵀ = G the first standard deviation is Λ₁₁ = exp α, and the correlation of the first two is sin φ with
  Λ₂₁ = exp(λ) sin φ, Λ₂₂ = exp(λ) cos φ;
* the residual standard deviation is exp(τ/2).

The maxima at the edge come first, under Λ_k1 = 0 for all k, or φ = ±π/2: where the criterion has not fallen to the end
of the interval there, the end is the edge. Where it has, the end lies between the edge and the estimate, and Newton's
method finds it in a few steps. What the estimate holds at an edge is let go where the criterion rises as it leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raphson.errors import ConvergenceError
from raphson.inference.intervals import quantile
from raphson.inference.profile import Profiler
from raphson.inference.restricted import maximum_on_plane
from raphson.model.objective import VALUE, DerivedObjective, Evaluation, Gram, Need, Objective
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.results import AtMaximum, Reported

FAR = 0.3
"""Standard error of log σ below which 0 is far outside of the interval, so that it need not be looked at."""

DOUBLINGS = 40
"""Doublings of a step outwards after which an end counts as infinite."""

NEAR = 1e-3
"""How near to 0, in standard errors, a parameter is taken to be there."""

AWAY = 0.1
"""How far from an edge, in standard errors, the search begins where what is held there is let go."""


@dataclass(frozen=True)
class Coordinate:
    """A multiple of one parameter."""

    place: int
    n_params: int
    factor: float = 1.0

    def value(self, theta: np.ndarray) -> np.ndarray:
        return self.factor * theta[self.place : self.place + 1]

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        J = np.zeros((1, self.n_params))
        J[0, self.place] = self.factor
        return J

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        return np.zeros((1, self.n_params, self.n_params))


@dataclass(frozen=True)
class Substituted(DerivedObjective[Objective]):
    """An objective with other coordinates for some of its parameters.

    Attributes
    ----------
    logs : places of parameters that are exp of the coordinate.
    polar : places (b, c) of two that are exp(λ) (sin φ, cos φ), with λ and φ in their places; or none.
    """

    logs: tuple[int, ...] = ()
    polar: tuple[int, ...] = ()

    @property
    def places(self) -> list[int]:
        return [*self.logs, *self.polar]

    def inside(self, theta: np.ndarray) -> np.ndarray:
        """The coordinates of a point."""
        out = theta.copy()
        out[list(self.logs)] = np.log(theta[list(self.logs)])
        if self.polar:
            b, c = theta[list(self.polar)]
            out[list(self.polar)] = math.log(math.hypot(b, c)), math.atan2(b, c)
        return out

    def point(self, theta: np.ndarray) -> np.ndarray:
        """The point of some coordinates."""
        out = theta.copy()
        out[list(self.logs)] = np.exp(theta[list(self.logs)])
        if self.polar:
            size, angle = theta[list(self.polar)]
            out[list(self.polar)] = math.exp(size) * np.array([math.sin(angle), math.cos(angle)])
        return out

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """Score Dᵀ∇ℓ and information DᵀMD − Σ ∇_kℓ ∂²θ_k, with D = ∂θ by the coordinates; "expected" is DᵀED."""
        there = self.point(theta)
        found, at = self.inner.evaluate(there, need), self.places
        D, bends, m = np.zeros((len(at), len(at))), np.zeros((len(at), len(at))), len(self.logs)
        score = found.score[at]
        for k, place in enumerate(self.logs):
            D[k, k] = there[place]
            bends[k, k] = score[k] * there[place]
        if self.polar:
            (b, c), (u, v) = there[list(self.polar)], score[m:]
            D[m:, m:] = [[b, c], [c, -b]]
            bends[m:, m:] = [[u * b + v * c, u * c - v * b], [u * c - v * b, -u * b - v * c]]
        whole = np.eye(len(theta))
        whole[np.ix_(at, at)] = D
        information: dict[str, Gram] = {}
        for kind, part in found.information.items():
            M = whole.T @ part.matrix @ whole
            if kind == "observed":
                M[np.ix_(at, at)] -= bends
            information[kind] = Gram(M)
        return replace(found, theta=theta, score=whole.T @ found.score, information=information, operator=None)


@dataclass(frozen=True)
class Arranged:
    """A criterion at its maximum, with the coefficients in question first.

    Attributes
    ----------
    criterion, theta : what is maximised and where; entries on the diagonal of the term are not negative.
    free : (J,) mask of what moves: what did, and all entries of the term.
    entries : (c, c) places of the entries of the term, -1 where there are none; (1, 1) where each stands alone.
    """

    criterion: Criterion
    theta: np.ndarray
    free: np.ndarray
    entries: np.ndarray

    @staticmethod
    def of(at: AtMaximum, term: int, first: Sequence[int]) -> Arranged:
        criterion, scale = at.criterion, at.criterion.scales[term]
        own = slice(criterion.p + scale.start, criterion.p + scale.start + scale.count)
        theta, free = at.theta.copy(), at.free.copy()
        if scale.structure != "correlated" or scale.width == 1:
            place = own.start + first[0]
            theta[place] = abs(theta[place])
            free[place] = True
            return Arranged(criterion, theta, free, np.array([[place]]))
        order = [*first, *(k for k in range(scale.width) if k not in first)]
        L = scale.matrix(at.theta[criterion.own_entries])[order]
        triangle = np.asarray(np.linalg.qr(L.T, mode="r")).T
        triangle = triangle * np.where(triangle.diagonal() < 0, -1.0, 1.0)
        lower = np.tril_indices(scale.width)
        theta[own], free[own] = triangle[lower], True
        if order != sorted(order):
            terms = list(criterion.terms)
            names = tuple(terms[term].names[k] for k in order)
            columns = np.ascontiguousarray(terms[term].columns[:, order])
            terms[term] = replace(terms[term], columns=columns, names=names)
            criterion = criterion.of_terms(terms)
        entries = np.full((scale.width, scale.width), -1)
        entries[lower] = np.arange(own.start, own.stop)
        return Arranged(criterion, theta, free, entries)

    def turned(self) -> np.ndarray:
        """θ where the first standard deviation is 0, with 0 in its column: the other rows of Λ may be turned then."""
        theta = self.theta.copy()
        for row in self.entries[1:]:
            known = row[row >= 0]
            size = math.sqrt(float(np.sum(theta[known] ** 2)))
            if theta[known[0]] != 0.0:
                theta[known] = 0.0
                theta[known[-1]] = size
        return theta

    def highest(self, zeros: Sequence[int]) -> float:
        """The maximum with some entries at 0; −∞ where it is not found."""
        R = np.eye(len(self.theta))[list(zeros)]
        start = self.turned() if self.entries[0, 0] in zeros else self.theta.copy()
        start[list(zeros)] = 0.0
        metric = self.criterion.evaluate(self.theta, Need(kinds=("observed",))).information.get("observed")
        matrix = None if metric is None else metric.matrix
        return _highest(self.criterion, R, np.zeros(len(R)), start, self.free, matrix)


class Profiles:
    """The profiles of a criterion at its maximum."""

    def __init__(self, at: AtMaximum, level: float = 0.95) -> None:
        self.at, self.reach = at, quantile(level, None)

    @property
    def target(self) -> float:
        """The value of the criterion at the ends."""
        return self.at.spot.value - 0.5 * self.reach**2

    def of(self, one: Reported) -> tuple[float, float]:
        """The interval of a standard deviation or correlation; NaN for a correlation with what does not vary."""
        if one.kind == "sd":
            return self._deviation(Arranged.of(self.at, one.term, [one.first]))
        if math.isnan(one.estimate):
            return math.nan, math.nan
        return self._correlation(Arranged.of(self.at, one.term, [one.second, one.first]))

    def residual(self) -> tuple[float, float]:
        """The interval of the residual standard deviation, τ being log σ²."""
        last = self.at.criterion.n_params - 1
        line = self._line(
            Arranged(self.at.criterion, self.at.theta, self.at.free, np.array([[last]])),
            self.at.criterion,
            self.at.theta,
            last,
        )
        return math.exp(0.5 * line.end(-1)), math.exp(0.5 * line.end(1))

    def _line(self, own: Arranged, objective: Objective, theta: np.ndarray, place: int) -> Line:
        return Line(objective, theta, own.free, place, self.at.spot.value, self.reach)

    def _deviation(self, own: Arranged) -> tuple[float, float]:
        column = [int(place) for place in own.entries[:, 0]]
        place = column[0]
        if not own.theta[place] > 0:
            return 0.0, self._line(own, own.criterion, own.turned(), place).end(1)
        objective = Substituted(own.criterion, logs=(place,))
        line = self._line(own, objective, objective.inside(own.theta), place)
        near = line.near(-1) if line.error < FAR else None
        if near is not None:
            low = math.exp(near)
        elif own.highest(column) >= self.target:
            low = 0.0
        else:  # in the plain coordinate 0 is a point like any other
            low = max(self._line(own, own.criterion, own.theta, place).end(-1, 0.0), 0.0)
        return low, math.exp(line.end(1))

    def _correlation(self, own: Arranged) -> tuple[float, float]:
        a, b, c = int(own.entries[0, 0]), int(own.entries[1, 0]), int(own.entries[1, 1])
        objective = Substituted(own.criterion, logs=(a,), polar=(b, c))
        theta = objective.inside(own.theta)
        if max(_error(objective, theta, own.free, one) for one in (a, b)) >= FAR:
            first = [int(one) for one in own.entries[:, 0]]
            second = [b, c, *(int(one) for one in own.entries[2:, 1])]
            if max(own.highest(first), own.highest(second)) >= self.target:
                return -1.0, 1.0  # one of the two may not vary, whose correlation is then any
        line = self._line(own, objective, theta, c)
        low, high = (math.sin(self._angle(line, side)) for side in (-1, 1))
        return low, high

    def _angle(self, line: Line, side: int) -> float:
        """An end of the angle whose sine is a correlation: ±π/2 if the profile reaches so far."""
        edge = side * 0.5 * math.pi
        if side * (edge - line.theta[line.place]) < 1e-12:
            return edge
        found = line.near(side)
        if found is not None and side * (edge - found) > 0:
            return found
        return edge if line.highest(edge) >= self.target else line.end(side, edge)


class Line:
    """The profile of one coordinate of an objective.

    Parameters
    ----------
    objective, theta, top : what is maximised, where, and its value there.
    free : (J,) mask of what moves.
    place : of the coordinate.
    reach : the quantile that the signed root has at the ends.
    """

    def __init__(
        self, objective: Objective, theta: np.ndarray, free: np.ndarray, place: int, top: float, reach: float
    ) -> None:
        self.objective, self.theta, self.free, self.place, self.reach = objective, theta, free, place, reach
        self.error = _error(objective, theta, free, place)
        function = Coordinate(place, len(theta))
        self.profiler = Profiler(objective, theta, top, free, function, True, float(theta[place]), self.error)

    def near(self, side: int) -> float | None:
        """An end that Newton's method finds from the estimate; None if it finds none."""
        found = self.profiler.by_newton(side, self.reach)
        return None if found is None else self._checked(side, *found)

    def end(self, side: int, outside: float | None = None) -> float:
        """An end; between a value `outside` of the interval and the estimate, where one is known."""
        return self._checked(side, *self.profiler.end(side, self.reach, outside), outside)

    def highest(self, value: float) -> float:
        """The maximum at one value of the coordinate; −∞ where it is not found."""
        start = self.theta.copy()
        start[self.place] = value
        row = np.eye(len(start))[[self.place]]
        return _highest(self.objective, row, np.array([value]), start, self.free)

    def _checked(self, side: int, end: float, there: np.ndarray | None, outside: float | None = None) -> float:
        """The end, or the farther one where what is held at an edge is let go, as the criterion rises there."""
        rises = _rising(self.objective, there, self.free, self.place)
        if not rises.any():
            return end
        return self._farther(side, end, there, rises, outside)

    def _farther(self, side: int, end: float, there: Any, rises: np.ndarray, outside: float | None) -> float:
        """The end of the profile in which some more parameters move, beyond one in which they did not."""
        from scipy.optimize import brentq

        free, found = self.free | rises, {end: there}
        away = {int(j): AWAY * _error(self.objective, self.theta, free, int(j)) for j in np.flatnonzero(rises)}
        row = np.eye(len(free))[[self.place]]

        def left(value: float) -> float:  # what the profile has still to fall
            start = found[min(found, key=lambda known: abs(known - value))].copy()
            start[self.place] = value
            for j, size in away.items():  # the edge itself is a stationary point
                start[j] = max(start[j], size)
            with np.errstate(all="ignore"):
                there = maximum_on_plane(self.objective, row, np.array([value]), start, free)
            found[value] = there.theta
            return there.value - (self.profiler.top - 0.5 * self.reach**2)

        try:
            inner, step = end, 0.1 * self.error
            if left(end) <= 0:
                return end
            for _ in range(DOUBLINGS):
                beyond = inner + side * step
                if outside is not None and side * (outside - beyond) <= 0:
                    beyond = outside
                if left(beyond) < 0:
                    return float(brentq(left, inner, beyond, xtol=1e-11 * self.error))  # type: ignore[arg-type]
                if beyond == outside:
                    return beyond
                inner, step = beyond, 2.0 * step
        except (ConvergenceError, np.linalg.LinAlgError):
            return math.nan
        return side * math.inf


def _highest(
    objective: Objective, R: np.ndarray, r: np.ndarray, start: np.ndarray, free: np.ndarray, metric: Any = None
) -> float:
    """The maximum under Rθ = r; −∞ where it is not found."""
    try:
        with np.errstate(all="ignore"):
            return maximum_on_plane(objective, R, r, start, free, metric).value
    except (ConvergenceError, np.linalg.LinAlgError):
        return -math.inf


def _error(objective: Objective, theta: np.ndarray, free: np.ndarray, place: int) -> float:
    """The standard error of a coordinate, or the length that its curvature has."""
    found = objective.evaluate(theta, Need(kinds=("observed",))).information.get("observed")
    if found is None:
        return 1.0
    M, at = found.matrix, np.flatnonzero(free)
    scale = np.sqrt(np.abs(M.diagonal()))
    scale = np.where(scale > 0, scale, 1.0)
    inner = (M / scale / scale[:, None])[np.ix_(at, at)]
    try:
        np.linalg.cholesky(inner)
        k = int(np.flatnonzero(at == place)[0])
        return float(np.sqrt(np.linalg.inv(inner)[k, k]) / scale[place])
    except (np.linalg.LinAlgError, IndexError):
        return 1.0 / float(scale[place])


def _rising(objective: Objective, theta: np.ndarray | None, free: np.ndarray, place: int) -> np.ndarray:
    """(J,) which parameters that lie at an edge, or at a point that is even in them, the criterion rises in."""
    none = np.zeros(len(free), dtype=bool)
    if theta is None:
        return none
    found = objective.evaluate(theta, Need(kinds=("observed",))).information.get("observed")
    if found is None:
        return none
    curvature = found.matrix.diagonal()
    near = np.abs(theta) * np.sqrt(np.abs(curvature)) < NEAR
    return (curvature < 0) & (~free | near) & (np.arange(len(free)) != place)
