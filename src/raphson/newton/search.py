"""Line searches: how far to go in a direction, θ + α d.

A trial is judged by the increase of ℓ (Armijo). Once ℓ changes only by rounding, it is judged by the slope ∇ℓᵀd (the
approximate Wolfe condition of Hager and Zhang 2005, SIAM J. Optim. 16, 170, equation 27): near a maximum the value has
half the digits of θ, the slope all of them.
"""

# pyright: strict

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from raphson.model.objective import Evaluation
from raphson.numeric import EPSILON, TINY

ARMIJO = 1e-4
"""Share of the promised rise that a step has to bring (Nocedal and Wright 2006, Numerical Optimization, section
3.1)."""

POOR = 0.05
"""If ℓ increases by less than this fraction of what the slope predicts, a shorter step may increase it more. From 0.001
to 0.5 nothing changes for five fits: three generalised linear models, a skew normal density and NIST's Rat43."""

SHORTEST = 2.0**-70
"""Size of a step, 10⁻²¹, below which it moves no θ unless the full step were 10⁵ times as long."""


class Accepted(NamedTuple):
    """A point that the search accepted, and the step size that led there."""

    evaluation: Evaluation
    size: float


Evaluate = Callable[[np.ndarray], Evaluation]
"""Evaluates the objective a step away from the start of the search."""

Search = Callable[[Evaluate, Evaluation, np.ndarray, float, float], Accepted | None]
"""``(evaluate, here, step, slope, first)`` gives the accepted point; slope is ∇ℓᵀd, first is the first α to try."""


def value_noise(evaluation: Evaluation) -> float:
    """The part of ℓ that may be rounding, a few ε times the sum of its terms, or noise of the predictor."""
    return 8.0 * EPSILON * max(abs(evaluation.value), float(evaluation.rows)) + evaluation.noise


def acceptable(here: Evaluation, trial: Evaluation, size: float, slope: float, step: np.ndarray) -> bool:
    """Whether a trial point is acceptable, given slope = ∇ℓᵀd > 0 at the start of the step."""
    if not trial.finite:
        return False
    rise = trial.value - here.value
    noise = value_noise(here)
    if abs(rise) <= noise:
        return abs(float(trial.score.dot(step))) <= (1.0 - 2.0 * ARMIJO) * slope + TINY
    return rise >= ARMIJO * size * slope


def full_step(
    evaluate: Evaluate, here: Evaluation, step: np.ndarray, slope: float, first: float = 1.0
) -> Accepted | None:
    """The full step, as long as ℓ is finite there: the plain iteration, which may diverge."""
    trial = evaluate(first * step)
    return Accepted(trial, first) if trial.finite else None


def backtracking(
    evaluate: Evaluate, here: Evaluation, step: np.ndarray, slope: float, first: float = 1.0
) -> Accepted | None:
    """The first acceptable one of α, α/2, α/4, …; None if there is none.

    If ℓ increases by much less than predicted, the step may have led far out onto a plateau without a score that leads
    back. Then shorter steps are tried as long as they increase ℓ more.
    """
    size, best = first, None
    while size >= SHORTEST:
        trial = evaluate(size * step)
        if best is not None and not (trial.finite and trial.value > best.evaluation.value):
            return best
        if best is not None or acceptable(here, trial, size, slope, step):
            best = Accepted(trial, size)
            rise = trial.value - here.value
            if rise >= POOR * size * slope or rise <= value_noise(here):
                return best
        size *= 0.5
    return best


def wolfe(evaluate: Evaluate, here: Evaluation, step: np.ndarray, slope: float, first: float = 1.0) -> Accepted | None:
    """A point near the maximum in the direction d, where the slope is at most half of that at the start.

    The root of the slope is bracketed and approached by secants. This corrects the length of the step if M is a poor
    approximation of the information, such as the outer product of scores far from the maximum.
    """
    low, low_slope, high = 0.0, slope, np.inf
    size, best = first, None
    for _ in range(40):
        trial = evaluate(size * step)
        if acceptable(here, trial, size, slope, step):
            trial_slope = float(trial.score @ step)
            if best is None or trial.value >= best.evaluation.value - value_noise(here):
                best = Accepted(trial, size)
            if abs(trial_slope) <= 0.5 * slope:
                return best
            if trial_slope > 0:
                secant = size + (size - low) * trial_slope / max(low_slope - trial_slope, TINY)
                low, low_slope = size, trial_slope
                size = min(max(secant, 1.1 * size), 4.0 * size) if np.isinf(high) else 0.5 * (low + high)
                continue
            high = size
            secant = low + (size - low) * low_slope / (low_slope - trial_slope)
            size = secant if low < secant < high else 0.5 * (low + high)
        else:
            high = size
            size = 0.5 * (low + high)
        if high - low < SHORTEST:
            break
    return best
