r"""Profile likelihood of a function g(θ): its exact ends, and the curve between them.

The profile ℓ_p(v) is the maximum of ℓ under g(θ) = v. With the signed root ζ(v) = ±√(2(ℓ̂ − ℓ_p(v))/φ̂) the interval
of a level is where |ζ| stays below the reference distribution's quantile c. Its ends solve

    ∇ℓ(θ) = λ ∇g(θ),    ℓ(θ) = ℓ* = ℓ̂ − φ̂ c²/2

by Newton's method in (θ, λ) (Venzon and Moolgavkar 1988, Applied Statistics 37, 87-94, who have g(θ) = θ_j). Around θ
the quadratic model of ℓ is stationary at θ + B⁻¹(∇ℓ − λ∇g), with the value ℓ + ½∇ℓᵀB⁻¹∇ℓ − ½λ²∇gᵀB⁻¹∇g there. This
is ℓ* for

    λ² = (2(ℓ − ℓ*) + ∇ℓᵀB⁻¹∇ℓ) / ∇gᵀB⁻¹∇g,    B = M + λ ∂²g,

λ < 0 at the upper end. From θ̂ the first step is the Wald interval's end. Where this fails, and where the maximum
lies at infinity, the profile itself is bracketed and its root found by Brent's method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq

from raphson.errors import ConvergenceError
from raphson.inference.restricted import Constraint, Maximum, evaluate_inside, maximum_on_curve, maximum_on_plane
from raphson.model.objective import Gram, Need, Objective
from raphson.newton.solve import factorise
from raphson.numeric import EPSILON

DOUBLINGS = 40
"""Doublings of the step outwards after which an end is held to be infinite. The step is 10¹² times the first one
then."""

LOST = 5
"""Steps outwards that may end where no maximum is reached until the end is given up, each a quarter of the last. Five
of them shorten it a thousandfold."""

FOLLOWED = 20
"""Restricted maxima that may be spent on the way from one value of a nonlinear function to another."""

FLAT = 0.8
"""By at least this factor the profile's rise shrinks from one doubling to the next where it levels off."""


IMPOSSIBLE = 1e10
"""How far the likelihood has fallen where it is finite at no parameters that were tried."""

JUMP = 1e-3
"""A share of what the likelihood may fall by within an interval: where it falls by more at once there is an edge."""

GAIN = 1e-4
"""A log-likelihood higher by less is none: it would move an end of a 95% interval by GAIN/1.96, a twenty-thousandth of
a standard error."""


class Padded:
    """A scalar function of the coefficients, the first of the parameters that the objective has."""

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
    """Estimates at infinity, let go.

    Attributes
    ----------
    profiler : the profile in which they move with the others.
    finite_point : from a limit's parameters to those that the direction leads back to there.
    direction : (p,) along which they went to infinity.
    """

    profiler: Profiler
    finite_point: Callable[[np.ndarray], np.ndarray]
    direction: np.ndarray

    def gains(self, theta: np.ndarray) -> bool:
        """Whether the likelihood is higher somewhere on the way back from infinity at the limit's parameters."""
        objective, origin = self.profiler.objective, self.finite_point(theta)
        value = [objective.evaluate(origin + part * self.direction).value for part in 2.0 ** -np.arange(0.0, 40.0)]
        return bool(np.nanmax(value) > value[0] + GAIN)


@dataclass
class Profiler:
    """The profile of one function.

    Attributes
    ----------
    objective : of θ (p,).
    theta : (p,) the maximum, or where the search begins if that lies at infinity.
    top : ℓ at the maximum.
    free : (p,) mask of the parameters that move.
    function : g, with ``value`` (1,), ``jacobian`` (1, p) and ``hessian`` (1, p, p).
    linear : whether g is linear.
    estimate : g at the maximum, ±inf where that lies at infinity.
    scale : a standard error of it, or another length to begin the bracketing with.
    dispersion : φ̂, held.
    interior : whether the maximum is at `theta`, so that Newton's method can begin there.
    better : the best point found above the maximum, if any.
    released : where some estimates are infinite and `objective` holds them there, the profile that lets them move.
    doubts : why an end is not to be trusted, or was not found, in words.
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
    doubts: list[str] = field(default_factory=list)

    def end(self, side: int, reach: float) -> tuple[float, np.ndarray | None]:
        """Where the signed root is ±`reach` on that side (+1 upper, −1 lower), and the parameters there.

        Infinite, with no parameters, where the profile never falls so far; NaN where it could not be followed.
        """
        if not math.isfinite(reach):
            return math.nan, None
        if math.isinf(self.estimate) and side * self.estimate > 0:
            return self.estimate, None
        with np.errstate(all="ignore"):
            try:
                found = self._newton(side, reach) if self.interior else None
                found = found if found is not None else self._bracket(side, reach)
            except (ConvergenceError, np.linalg.LinAlgError, FloatingPointError) as error:
                self._doubt(side, f"the profile could not be followed that far ({error})")
                return math.nan, None
            if self.released is not None and (found[1] is None or self.released.gains(found[1])):
                # What runs to infinity at the maximum comes back on the way: it moves along.
                other = self.released.profiler
                found = other.end(side, reach)
                self.better, self.doubts = other.better or self.better, [*self.doubts, *other.doubts]
            return found

    def _doubt(self, side: int, why: str) -> None:
        self.doubts.append(f"the {'upper' if side > 0 else 'lower'} end: {why}")

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
        self._note(found.value, found.theta)
        return found

    def _follow(self, value: float, start: np.ndarray) -> Maximum:
        """The maximum on the curve g = value, by smaller steps of g from `start` where one does not succeed."""
        here, theta = float(self.function.value(start)[0]), start
        ahead = value - here
        for _ in range(FOLLOWED):
            found = maximum_on_curve(self.objective, self.function, np.array([here + ahead]), theta, self.free)
            if found.converged and here + ahead == value:
                return found
            if found.converged:
                here, theta = here + ahead, found.theta
                ahead = value - here
            else:
                ahead /= 4.0
        raise ConvergenceError(
            "profile: the maximum with the function held at a value was not found; profile a transformation of it, "
            "such as its logarithm"
        )

    def root(self, found: Maximum, value: float) -> float:
        """Signed root ζ of the likelihood ratio of a restricted maximum."""
        drop = max(2.0 * (self.top - found.value) / self.dispersion, 0.0)
        return math.copysign(math.sqrt(drop), value - self.estimate)

    # -- Newton's method ---------------------------------------------------------------------------------------

    def _newton(self, side: int, reach: float) -> tuple[float, np.ndarray] | None:
        phi, free = self.dispersion, self.free
        target = self.top - 0.5 * phi * reach * reach
        rounding = 64.0 * EPSILON * max(abs(self.top) / phi, 1.0)
        theta, multiplier, last = self.theta, 0.0, None
        here = evaluate_inside(self.objective, theta, Need(kinds=("observed",)))
        for _ in range(50):
            gradient = self.function.jacobian(theta)[0]
            part = here.information["observed"]
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
                # The whole quadratic lies below ℓ*: the last step went too far.
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
            while size > 1e-3:
                there = evaluate_inside(self.objective, theta + size * step, Need(kinds=("observed",)))
                if there.finite and self.top - there.value < 4.0 * (self.top - target) + phi * rounding:
                    break
                size *= 0.5
            else:
                return None
            assert there is not None
            last, theta, here = theta, theta + size * step, there
            self._note(here.value, theta)
            if size == 1.0 and length < 1e-6:
                end = float(self.function.value(theta)[0])
                missed = abs(2.0 * (here.value - target)) / phi
                right = missed < 1e-9 * reach * reach + rounding and side * (end - self.estimate) > 0
                return (end, theta) if right and self._reached(theta, side) else None
        return None

    def _reached(self, theta: np.ndarray, side: int) -> bool:
        """Whether g moves steadily from θ̂ to `theta`, so that this end belongs to the branch of the estimate.

        A ratio whose denominator passes 0 on the way takes all values before it: its interval has no such end.
        """
        if self.linear:
            return True
        steps = np.linspace(0.0, 1.0, 33)[:, None]
        values = [self.function.value(point)[0] for point in self.theta + steps * (theta - self.theta)]
        return bool((side * np.diff(values) > 0).all())

    # -- Brent's method ----------------------------------------------------------------------------------------

    def _bracket(self, side: int, reach: float) -> tuple[float, np.ndarray | None]:
        bounded = self.objective.bounds is not None  # at a bound no maximum is reached, and none is needed
        points: dict[float, Maximum] = {}
        drops: dict[float, float] = {}

        def drop(value: float) -> float:
            # Remembered: from another start the same value may lead elsewhere, and a root needs one function.
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
            self._doubt(side, "no value was found inside the interval")
            return math.nan, None
        outside, previous, change, flat, lost = inside, -reach * reach, math.inf, 0, 0
        for _ in range(DOUBLINGS):
            outside, inner = outside + side * step, outside
            now = drop(outside)
            if now > 0 and not bounded and outside in points and not points[outside].converged:
                # Lower only because the maximum was not reached there: nearer by, it may be.
                outside, step, lost, change, flat = inner, 0.25 * step, lost + 1, math.inf, 0
                if lost > LOST:
                    fallen_by = math.sqrt(max(drop(inner) + reach * reach, 0.0)) / reach
                    self._doubt(
                        side,
                        f"the profile could be followed only to {inner:.6g}, where its signed root is {fallen_by:.0%} "
                        "of the quantile; beyond it, no constrained maximum was reached",
                    )
                    return math.nan, None
                continue
            if now > 0:
                if drop(inner) > 0:  # not where Newton's method thought it was
                    self._doubt(side, "the likelihood at the estimate itself is below that of the interval's end")
                    return math.nan, None
                end = float(brentq(drop, inner, outside, xtol=1e-11 * self.scale, maxiter=200))  # type: ignore[arg-type]
                reached = points[min(points, key=lambda known: abs(known - end))]
                if not bounded:
                    jumps = reached.converged and abs(drop(end)) > JUMP * reach * reach
                    self._doubt_end(side, reached.converged, jumps)
                if math.isfinite(self.estimate):
                    # Back towards the estimate from there: a ridge that Newton's method could not follow may lead to
                    # higher ground.
                    self._best_at(0.5 * (self.estimate + end), reached.theta)
                return end, reached.theta
            # Where the increments shrink like a geometric series its sum is where the profile levels off.
            rise = now - previous
            ratio = abs(rise / change) if change else math.inf
            levels = ratio < FLAT and now + rise * ratio / (1.0 - ratio) < -0.01 * reach * reach
            flat = flat + 1 if levels or abs(rise) < 1e-9 else 0
            if flat >= 4:
                break
            previous, change, step = now, rise, 2.0 * step
        return side * math.inf, None

    def _doubt_end(self, side: int, converged: bool, jumps: bool) -> None:
        if not converged:
            self._doubt(side, "the constrained maximum was not reached there; the end may lie farther out")
        elif jumps:
            self._doubt(
                side,
                "the log-likelihood drops abruptly there, or is not finite beyond; if no parameter is at the boundary "
                "of its range, the computation overflows there, and the end lies farther out",
            )

    def _best_at(self, value: float, near: np.ndarray | None) -> Maximum | None:
        """The maximum where g is held, from a point near by, or from the estimate; None where nothing is possible."""
        failed: ConvergenceError | None = None
        for start in (near, self.theta):
            if start is None:
                continue
            try:
                found = self.at(value, start)
            except (ConvergenceError, np.linalg.LinAlgError) as error:
                failed = error if isinstance(error, ConvergenceError) else ConvergenceError(str(error))
                continue
            if math.isfinite(found.value):
                return found
        if failed is not None and not self.linear:
            raise failed
        return None

    def _inside(self, drop: Any, side: int, reach: float) -> tuple[float, float]:
        """A point of the interval, and a step."""
        step = 0.5 * reach * self.scale
        if math.isfinite(self.estimate):
            return self.estimate, step
        # The maximum lies at infinity: walk there until the interval is entered.
        value = float(self.function.value(self.theta)[0])
        for _ in range(DOUBLINGS):
            if drop(value) < 0:
                return value, step
            value, step = value - side * step, 2.0 * step
        return math.nan, step

    def _note(self, value: float, theta: np.ndarray) -> None:
        noise = max(1e-8, 1e4 * EPSILON * abs(self.top) / self.dispersion) * self.dispersion
        if value > self.top + noise and (self.better is None or value > self.better[0]):
            self.better = (value, np.array(theta))

    def _metric(self, theta: np.ndarray) -> np.ndarray | None:
        here = evaluate_inside(self.objective, theta, Need(kinds=("observed",)))
        part = here.information.get("observed")
        return None if part is None else part.matrix
