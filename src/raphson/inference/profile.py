r"""Profile likelihood of a function g(θ): the ends of its interval, and the curve between them.

The profile ℓ_p(v) is the maximum of ℓ under g(θ) = v. With the signed root ζ(v) = ±√(2(ℓ̂ − ℓ_p(v))/φ̂), the interval
is where |ζ| is below the quantile c of the reference distribution. Its ends solve

    ∇ℓ(θ) = λ ∇g(θ),    ℓ(θ) = ℓ* = ℓ̂ − φ̂ c²/2

by Newton's method in (θ, λ) (Venzon and Moolgavkar 1988, Applied Statistics 37, 87-94, for g(θ) = θ_j). The quadratic
model of ℓ around θ is stationary at θ + B⁻¹(∇ℓ − λ∇g), with the value ℓ + ½∇ℓᵀB⁻¹∇ℓ − ½λ²∇gᵀB⁻¹∇g. This is ℓ* for

    λ² = (2(ℓ − ℓ*) + ∇ℓᵀB⁻¹∇ℓ) / ∇gᵀB⁻¹∇g,    B = M + λ ∂²g,

with λ < 0 at the upper end. The first step from θ̂ leads to the end of the Wald interval. If this fails, or the maximum
is at infinity, the root of the profile is bracketed and found by Brent's method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from raphson.errors import ConvergenceError
from raphson.inference.restricted import Constraint, Maximum, evaluate_inside, maximum_on_curve, maximum_on_plane
from raphson.model.objective import Evaluation, Gram, Need, Objective
from raphson.newton.solve import factorise
from raphson.numeric import EPSILON

KEPT = 1e-3
"""A step d, in standard errors, changes the information of n rows by d/√n of itself. Where that is below this the
information of before serves on, each step is a thousandth of the last, and the point is found to the same digits."""

DOUBLINGS = 40
"""Doublings of the step outwards after which an end counts as infinite; the step is then 10¹² times the first one."""

MAX_RETREATS = 5
"""Steps outwards that may fail to reach a maximum before the end is given up. Each retry is a quarter as long, the last
a thousandth."""

MAX_CONTINUATION = 20
"""Restricted maxima that may be computed on the way from one value of a nonlinear function to another. A failure leaves
a quarter of the way ahead: after 20 in a row it is 1e-12 of the first."""

FLAT = 0.8
"""Where a profile levels off, its rise shrinks by at least this factor from one doubling to the next. Towards a level
that it approaches like x⁻ᵃ the factor is 2⁻ᵃ, so that a may be as small as a third; of one that rises like log x,
without end, it is 1."""

IMPOSSIBLE = 1e10
"""The drop that stands for a likelihood that is finite at no parameters tried. Any number far above the few units that
an interval asks for would do."""

JUMP = 1e-3
"""Largest drop at the end itself, relative to the whole drop, that is not a discontinuity. Brent's method finds the end
of a continuous profile to 1e-11 of its scale."""

GAIN = 1e-4
"""Smallest increase of the log-likelihood that counts. Less would move an end of a 95% interval by GAIN/1.96, a
twenty-thousandth of a standard error."""


class Padded:
    """A function of the coefficients as a function of all parameters, of which the coefficients come first."""

    def __init__(self, inner: Constraint, n: int, n_params: int) -> None:
        self.inner, self.n, self.n_params = inner, n, n_params

    def value(self, theta: np.ndarray) -> np.ndarray:
        """(m,)."""
        return self.inner.value(theta[: self.n])

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """(m, p)."""
        J = self.inner.jacobian(theta[: self.n])
        return np.pad(J, ((0, 0), (0, self.n_params - self.n)))

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """(m, p, p)."""
        more = self.n_params - self.n
        return np.pad(self.inner.hessian(theta[: self.n]), ((0, 0), (0, more), (0, more)))


@dataclass(frozen=True)
class Release:
    """The profile in which estimates at infinity are free to come back.

    Attributes
    ----------
    profiler : the profile in which they move like the others.
    finite_point : maps parameters of the limit to the finite ones from which the direction leads to the limit.
    direction : (p,) in which the estimates went to infinity.
    """

    profiler: Profiler
    finite_point: Callable[[np.ndarray], np.ndarray]
    direction: np.ndarray

    def gains(self, theta: np.ndarray) -> bool:
        """Whether the likelihood is higher at some finite point than at the limit `theta`."""
        objective, origin = self.profiler.objective, self.finite_point(theta)
        value = [objective.evaluate(origin + part * self.direction).value for part in 2.0 ** -np.arange(0.0, 40.0)]
        return bool(np.nanmax(value) > value[0] + GAIN)


@dataclass(frozen=True)
class Awakening(Release):
    """The profile in which parameters move that are held at 0, where the objective is even in them."""

    def gains(self, theta: np.ndarray) -> bool:
        """Whether the likelihood rises as one of them leaves 0."""
        here = self.profiler.objective.evaluate(theta, Need(kinds=("observed",)))
        return bool((np.diagonal(here.information["observed"].matrix)[self.direction != 0] < 0).any())


@dataclass
class Profiler:
    """The profile of one function.

    Attributes
    ----------
    objective : of θ (p,).
    theta : (p,) the maximum, or where the search starts if the maximum is at infinity.
    top : ℓ at the maximum.
    free : (p,) mask of the parameters that move.
    function : g, with ``value`` (1,), ``jacobian`` (1, p) and ``hessian`` (1, p, p).
    linear : whether g is linear.
    estimate : g at the maximum; may be ±inf.
    scale : its standard error, or another length for the first step of the bracketing.
    dispersion : φ̂, held fixed.
    interior : whether the maximum is at `theta`, so that Newton's method can start there.
    better : the value and parameters of the best point above the maximum, if any was found.
    released : if `objective` holds infinite estimates fixed, the profile in which they move.
    several : whether maxima are sought from `theta` too where a nearer start is known, which may lie on a saddle.
    warnings : why an end was not found, or may be wrong.
    """

    objective: Objective
    theta: np.ndarray
    top: float
    free: np.ndarray
    function: Constraint
    linear: bool
    estimate: float
    scale: float
    dispersion: float = 1.0
    interior: bool = True
    better: tuple[float, np.ndarray] | None = field(default=None)
    released: Release | None = None
    several: bool = False
    warnings: list[str] = field(default_factory=list)

    def end(self, side: int, reach: float, outside: float | None = None) -> tuple[float, np.ndarray | None]:
        """The value where the signed root is ±`reach` on a side (+1 upper, −1 lower), and the parameters there.

        Infinite, without parameters, if the profile never falls so far; NaN if it could not be traced. Where a value
        `outside` of the interval is known, the end is between it and the estimate.
        """
        if not math.isfinite(reach):
            return math.nan, None
        if math.isinf(self.estimate) and side * self.estimate > 0:
            return self.estimate, None
        with np.errstate(all="ignore"):
            try:
                found = self._newton(side, reach) if self.interior else None
                if outside is not None and (found is None or side * (outside - found[0]) < 0):
                    return self._between(reach, outside)
                found = found if found is not None else self._bracket(side, reach)
            except (ConvergenceError, np.linalg.LinAlgError, FloatingPointError) as error:
                self._warn(side, f"the profile could not be traced that far ({error})")
                return math.nan, None
            if self.released is not None and (found[1] is None or self.released.gains(found[1])):
                # Estimates that are infinite at the maximum are finite there, so they have to move with the others.
                other = self.released.profiler
                found = other.end(side, reach)
                self.better, self.warnings = other.better or self.better, [*self.warnings, *other.warnings]
            return found

    def by_newton(self, side: int, reach: float) -> tuple[float, np.ndarray] | None:
        """The end that Newton's method finds from the maximum, with the parameters there; None if it finds none."""
        with np.errstate(all="ignore"):
            try:
                return self._newton(side, reach)
            except (ConvergenceError, np.linalg.LinAlgError, FloatingPointError):
                return None

    def _warn(self, side: int, why: str) -> None:
        self.warnings.append(f"the {'upper' if side > 0 else 'lower'} end: {why}")

    def at(self, value: float, start: np.ndarray | None = None) -> Maximum:
        """The maximum under g(θ) = value."""
        start = self.theta if start is None else start
        with np.errstate(all="ignore"):
            if self.linear:
                theta = np.zeros_like(start)
                row = self.function.jacobian(theta)
                constant = self.function.value(theta)
                metric = self._metric(start)
                found = maximum_on_plane(self.objective, row, value - constant, start, self.free, metric)
            else:
                found = self._follow(value, start)
        self._note_if_better(found.value, found.theta)
        return found

    def _follow(self, value: float, start: np.ndarray) -> Maximum:
        """The maximum on the curve g = value, by smaller steps of g from `start` if a single one fails."""
        here, theta = float(self.function.value(start)[0]), start
        ahead = value - here
        for _ in range(MAX_CONTINUATION):
            found = maximum_on_curve(self.objective, self.function, np.array([here + ahead]), theta, self.free)
            if found.converged and here + ahead == value:
                return found
            if found.converged:
                here, theta = here + ahead, found.theta
                ahead = value - here
            else:
                ahead /= 4.0
        raise ConvergenceError(
            f"profile: the maximum with the function fixed at {value:.6g} was not found; profile a transformation of "
            "it, such as its logarithm"
        )

    def root(self, found: Maximum, value: float) -> float:
        """Signed root ζ of the likelihood ratio of a restricted maximum."""
        drop = max(2.0 * (self.top - found.value) / self.dispersion, 0.0)
        return math.copysign(math.sqrt(drop), value - self.estimate)

    # -- Newton's method ---------------------------------------------------------------------------------------

    @cached_property
    def _begun(self) -> Evaluation:
        return evaluate_inside(self.objective, self.theta, Need(kinds=("observed",)))

    def _newton(self, side: int, reach: float) -> tuple[float, np.ndarray] | None:
        phi, free = self.dispersion, self.free
        target = self.top - 0.5 * phi * reach * reach
        rounding = 64.0 * EPSILON * max(abs(self.top) / phi, 1.0)
        theta, multiplier, last = self.theta, 0.0, None
        here, kept = self._begun, self._begun.information.get("observed")
        for _ in range(50):
            gradient = self.function.jacobian(theta)[0]
            part = kept = here.information.get("observed", kept)
            if part is None:
                return None
            if not self.linear:
                part = Gram(part.matrix + multiplier * self.function.hessian(theta)[0])
            factor = factorise(part, free)
            if factor is None:
                return None
            up, across = factor.half_solve(here.score), factor.half_solve(gradient)
            left = 2.0 * (here.value - target) + up @ up
            if not across @ across > 0:
                return None
            if left < 0:
                # The whole quadratic is below ℓ*, so the last step was too long.
                if last is None:
                    return None
                theta = 0.5 * (theta + last)
                here = evaluate_inside(self.objective, theta, Need(kinds=("observed",)))
                if np.array_equal(theta, last) or not here.finite:
                    return None
                continue
            multiplier = -side * math.sqrt(left / (across @ across))
            half = up - multiplier * across
            step = factor.expand(factor.back_solve(half))
            length = math.sqrt(half @ half / phi)
            there, size = None, 1.0
            near = self.linear and length < KEPT * math.sqrt(here.rows)
            need = Need() if near else Need(kinds=("observed",))
            while size > 1e-3:
                there = evaluate_inside(self.objective, theta + size * step, need)
                if there.finite and self.top - there.value < 4.0 * (self.top - target) + phi * rounding:
                    break
                size *= 0.5
            else:
                return None
            assert there is not None
            last, theta, here = theta, theta + size * step, there
            self._note_if_better(here.value, theta)
            if size == 1.0 and length < 1e-6:
                end = float(self.function.value(theta)[0])
                missed = abs(2.0 * (here.value - target)) / phi
                right = missed < 1e-9 * reach * reach + rounding and side * (end - self.estimate) > 0
                return (end, theta) if right and self._reached(theta, side) else None
        return None

    def _reached(self, theta: np.ndarray, side: int) -> bool:
        """Whether g is monotone from θ̂ to `theta`, so that this end belongs to the branch of the estimate.

        A ratio whose denominator crosses 0 in between takes all values on the way, so its interval has no such end.
        """
        if self.linear:
            return True
        steps = np.linspace(0.0, 1.0, 33)[:, None]
        values = [self.function.value(point)[0] for point in self.theta + steps * (theta - self.theta)]
        return bool((side * np.diff(values) > 0).all())

    # -- Brent's method ----------------------------------------------------------------------------------------

    def _between(self, reach: float, outside: float) -> tuple[float, np.ndarray | None]:
        from scipy.optimize import brentq

        points = {self.estimate: self.theta}
        drops = {self.estimate: -reach * reach, outside: reach * reach}  # of the latter only the sign is known

        def drop(value: float) -> float:
            if value not in drops:
                found = self._best_at(value, points[min(points, key=lambda known: abs(known - value))])
                drops[value] = IMPOSSIBLE
                if found is not None:
                    points[value] = found.theta
                    drops[value] = 2.0 * (self.top - found.value) / self.dispersion - reach * reach
            return drops[value]

        end = float(brentq(drop, self.estimate, outside, xtol=1e-11 * self.scale, maxiter=200))  # type: ignore[arg-type]
        return end, points[min(points, key=lambda known: abs(known - end))]

    def _bracket(self, side: int, reach: float) -> tuple[float, np.ndarray | None]:
        from scipy.optimize import brentq

        bounded = self.objective.bounds is not None  # at a bound the search does not converge, and need not
        points: dict[float, Maximum] = {}
        drops: dict[float, float] = {}

        def drop(value: float) -> float:
            # Cached, as another start may lead to another maximum, and Brent's method needs one function.
            if value not in drops:
                drops[value] = fallen(value)
            return drops[value]

        def fallen(value: float) -> float:
            reached = [known for known, there in points.items() if there.converged or bounded]
            near = min(reached, key=lambda known: abs(known - value)) if reached else None
            found = self._best_at(value, None if near is None else points[near].theta)
            if found is None:
                return IMPOSSIBLE
            points[value] = found
            return 2.0 * (self.top - found.value) / self.dispersion - reach * reach

        inside, step = self._inside(drop, side, reach)
        if math.isnan(inside):
            self._warn(side, "no value inside the interval was found")
            return math.nan, None
        outside, previous, change, flat, lost = inside, -reach * reach, math.inf, 0, 0
        for _ in range(DOUBLINGS):
            outside, inner = outside + side * step, outside
            now = drop(outside)
            if now > 0 and not bounded and outside in points and not points[outside].converged:
                # The value may be lower only because the maximum was not reached; take a shorter step.
                outside, step, lost, change, flat = inner, 0.25 * step, lost + 1, math.inf, 0
                if lost > MAX_RETREATS:
                    fallen_by = math.sqrt(max(drop(inner) + reach * reach, 0.0)) / reach
                    self._warn(
                        side,
                        f"the profile could be traced only to {inner:.6g}, where its signed root is {fallen_by:.0%} of "
                        "the quantile; beyond it, no constrained maximum was reached",
                    )
                    return math.nan, None
                continue
            if now > 0:
                if drop(inner) > 0:  # not where Newton's method thought it was
                    self._warn(side, "the likelihood at the estimate is lower than at the end of the interval")
                    return math.nan, None
                end = float(brentq(drop, inner, outside, xtol=1e-11 * self.scale, maxiter=200))  # type: ignore[arg-type]
                reached = points[min(points, key=lambda known: abs(known - end))]
                if not bounded:
                    jumps = reached.converged and abs(drop(end)) > JUMP * reach * reach
                    self._warn_of_end(side, reached.converged, jumps)
                if math.isfinite(self.estimate):
                    # Search back towards the estimate: a ridge that Newton's method missed may lead to a higher
                    # maximum.
                    self._best_at(0.5 * (self.estimate + end), reached.theta)
                return end, reached.theta
            # Where the increments shrink like a geometric series, its sum is the level of the profile at infinity.
            rise = now - previous
            ratio = abs(rise / change) if change else math.inf
            levels = ratio < FLAT and now + rise * ratio / (1.0 - ratio) < -0.01 * reach * reach
            flat = flat + 1 if levels or abs(rise) < 1e-9 else 0
            if flat >= 4:
                break
            previous, change, step = now, rise, 2.0 * step
        return side * math.inf, None

    def _warn_of_end(self, side: int, converged: bool, jumps: bool) -> None:
        if not converged:
            self._warn(side, "the constrained maximum was not reached there; the true end may be farther out")
        elif jumps:
            self._warn(
                side,
                "the log-likelihood jumps there, or is not finite beyond; unless a parameter is at the boundary "
                "of its range, the computation overflows, and the true end is farther out",
            )

    def _best_at(self, value: float, near: np.ndarray | None) -> Maximum | None:
        """The maximum with g fixed, from a nearby point or from the estimate; None if the likelihood is not finite."""
        failed: ConvergenceError | None = None
        best: Maximum | None = None
        for start in (near, self.theta):
            if start is None:
                continue
            try:
                found = self.at(value, start)
            except (ConvergenceError, np.linalg.LinAlgError) as error:
                failed = error if isinstance(error, ConvergenceError) else ConvergenceError(str(error))
                continue
            if math.isfinite(found.value) and (best is None or found.value > best.value):
                best = found
            if best is not None and not self.several:
                return best
        if best is not None:
            return best
        if failed is not None and not self.linear:
            raise failed
        return None

    def _inside(self, drop: Any, side: int, reach: float) -> tuple[float, float]:
        """A value inside the interval, and a step."""
        step = 0.5 * reach * self.scale
        if math.isfinite(self.estimate):
            return self.estimate, step
        # The maximum is at infinity: walk towards it until inside the interval.
        value = float(self.function.value(self.theta)[0])
        for _ in range(DOUBLINGS):
            if drop(value) < 0:
                return value, step
            value, step = value - side * step, 2.0 * step
        return math.nan, step

    def _note_if_better(self, value: float, theta: np.ndarray) -> None:
        noise = max(1e-8, 1e4 * EPSILON * abs(self.top) / self.dispersion) * self.dispersion
        if value > self.top + noise and (self.better is None or value > self.better[0]):
            self.better = (value, np.array(theta))

    def _metric(self, theta: np.ndarray) -> np.ndarray | None:
        here = evaluate_inside(self.objective, theta, Need(kinds=("observed",)))
        part = here.information.get("observed")
        return None if part is None else part.matrix
