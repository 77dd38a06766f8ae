"""When to stop: a pure function of what the last iteration measured.

The measure is the distance to the maximum in standard errors, √(∇ℓᵀ M⁻¹ ∇ℓ/φ̂) with M the observed information.
It is never a change in ℓ: near the maximum ℓ is flat, and a change of ε·ℓ leaves the estimate wrong by √ε.
"""

# pyright: strict

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from raphson.numeric import EPSILON

TOLERABLE = 1.0
"""Standard errors up to which noise of the predictor may move an estimate that still counts as one."""


class Verdict(Enum):
    """What to do next."""

    CONTINUE = "continue"
    POLISH = "polish"
    """One full step with the observed information: what remains is squared, whatever the method."""
    CONVERGED = "converged"
    ROUNDING_FLOOR = "rounding floor"


@dataclass(frozen=True)
class Measured:
    """What convergence is judged by.

    Attributes
    ----------
    distance : to the maximum, in standard errors.
    previous : the same one iteration before (infinite at the start).
    floor : the part of the distance that rounding of the score may make up.
    polished : whether the last step was the full one with the observed information.
    full : whether the last step was a Newton step with α = 1, so that no progress means rounding.
    noise_distance : the part of the distance that noise of the predictor may make up.
    """

    distance: float
    previous: float
    floor: float
    polished: bool
    full: bool
    noise_distance: float = 0.0

    @property
    def hidden(self) -> bool:
        """Whether noise may make up the whole distance, and it is small beside the standard errors."""
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
    diagonal: np.ndarray, theta: np.ndarray, dispersion: float, rows: int, condition: float = 1.0
) -> float:
    """How far, in standard errors, rounding alone can move the score's zero.

    η_i is a sum of terms x_ij θ_j, each rounded: an error of about ε Σ_j |x_ij θ_j|. It moves the score by
    Σ_i x_i W_i ε_i, which measured by M⁻¹ is at most ε ‖√W |X| |θ|‖ ≤ ε Σ_j |θ_j| √M_jj. Adding up n row scores
    of unit information rounds each component by about ε √n √M_jj, which M⁻¹ may stretch by κ, the condition number
    of R (Higham 2002, Accuracy and Stability of Numerical Algorithms, theorem 20.1). `diagonal` holds the M_jj.
    """
    terms = float(np.abs(theta) @ np.sqrt(np.maximum(diagonal, 0.0))) / math.sqrt(dispersion)
    return EPSILON * (terms + condition * math.sqrt(rows))
