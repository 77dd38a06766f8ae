"""When to stop: a pure function of the last iteration's measurements.

The criterion is the distance to the maximum in standard errors, √(∇ℓᵀ M⁻¹ ∇ℓ/φ̂) with M the observed information. It is
never a change in ℓ, which is flat near the maximum: a change of ε·ℓ leaves an error of √ε in the estimate.
"""

# pyright: strict

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

import numpy as np

from raphson.numeric import EPSILON

TOLERABLE = 1.0
"""Largest error of an estimate from noise of the predictor, in standard errors, that counts as convergence."""

LARGEST_FLOOR = 1e-2
"""Largest rounding floor, in standard errors, of a model with known dispersion. It is half a percent of the half-width
of a 95% interval."""


class Verdict(Enum):
    """What to do next."""

    CONTINUE = "continue"
    POLISH = "polish"
    """One full step with the observed information, which squares the remaining distance for any method."""
    CONVERGED = "converged"
    ROUNDING_FLOOR = "rounding floor"


class Measured(NamedTuple):
    """The measurements that convergence is judged by.

    Attributes
    ----------
    distance : to the maximum, in standard errors.
    previous : the distance one iteration before (infinite at the start).
    floor : the part of the distance that may be rounding of the score.
    polished : whether the last step was the full one with the observed information.
    full : whether the last step was a Newton step with α = 1, so that a lack of progress means rounding.
    noise_distance : the part of the distance that may be noise of the predictor.
    """

    distance: float
    previous: float
    floor: float
    polished: bool
    full: bool
    noise_distance: float = 0.0

    @property
    def hidden(self) -> bool:
        """Whether the whole distance may be noise that is small compared with the standard errors."""
        return self.distance <= self.noise_distance <= TOLERABLE


def judge(measured: Measured, tolerance: float) -> Verdict:
    """Whether to go on.

    Examples
    --------
    >>> judge(Measured(1e-9, 1e-3, 1e-15, polished=False, full=True), 1e-8).value
    'polish'
    >>> judge(Measured(1e-14, 1e-9, 1e-15, polished=True, full=True), 1e-8).value
    'converged'
    >>> judge(Measured(1e-6, 1e-6, 1e-6, polished=False, full=True), 1e-8).value
    'rounding floor'
    """
    d = measured.distance
    if d <= tolerance:
        return Verdict.CONVERGED if measured.polished or d <= measured.floor else Verdict.POLISH
    stalled = measured.full and d >= 0.5 * measured.previous
    if d <= measured.floor or (stalled and (d <= 100.0 * measured.floor or measured.hidden)):
        return Verdict.ROUNDING_FLOOR
    return Verdict.CONTINUE


def rounding_floor(
    lengths: np.ndarray, theta: np.ndarray, dispersion: float, rows: int, condition: float = 1.0
) -> float:
    """How far, in standard errors, rounding alone can move the zero of the score.

    η_i is a sum of terms x_ij θ_j, each rounded, so its error ε_i is about ε Σ_j |x_ij θ_j|. This moves the score by
    Σ_i x_i W_i ε_i, of length at most ε ‖√W |X| |θ|‖ ≤ ε Σ_j |θ_j| √M_jj in the metric M⁻¹. Summing n row scores of
    unit information rounds each component by about ε √n √M_jj, which M⁻¹ may magnify by κ, the condition number of R
    (Higham 2002, Accuracy and Stability of Numerical Algorithms, theorem 20.1). `lengths` has the √M_jj.

    With known dispersion, rounding is a small part of a standard error, however large the scores have become (as when a
    variance goes to 0). An estimated dispersion may itself be rounding, if the data have no error; then the floor may
    be any number of standard errors.
    """
    terms = float(np.abs(theta).dot(lengths)) / math.sqrt(dispersion)
    floor = EPSILON * (terms + condition * math.sqrt(rows))
    return min(floor, LARGEST_FLOOR) if dispersion == 1.0 else floor
