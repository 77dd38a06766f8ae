"""The effect of a function's noise on ℓ and on the distance to its maximum, where JAX cannot trace the function.

Such a function returns η + ε, where ε comes from an iterative solver, from single precision or from rounding to some
decimals. It changes ℓ by Σ u_i ε_i, and the score by JᵀWε and (δJ)ᵀu, where δJ is the error of finite differences. In
standard errors that is the length of R⁻ᵀ(JᵀWε + (δJ)ᵀu)/√φ with M = RᵀR, whose mean square follows from those of ε
and δJ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from raphson.data.blocks import Block
from raphson.model.objective import Evaluation
from raphson.model.rows import block_rows
from raphson.numeric import TINY

SURE = 3.0
"""Number of standard deviations that the noise is assumed to reach. A normal variable exceeds it in 0.3% of all
cases."""


class NoisyDerivatives(Protocol):
    """Derivatives that estimate their own errors."""

    def noise_and_error(self, theta: np.ndarray, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations of the noise of f, (n,), and of the error of its derivatives, (n, p)."""
        ...


@dataclass(frozen=True)
class NoiseFloor:
    """Adds to an evaluation how much of it may be noise.

    Attributes
    ----------
    family, predictor : of the model.
    derivatives : of the predictor.
    block : all of the data.
    free : (p,) mask of the parameters that are estimated.
    """

    family: Any
    predictor: Any
    derivatives: NoisyDerivatives
    block: Block
    free: np.ndarray

    def __call__(self, found: Evaluation) -> Evaluation:
        if not found.finite:
            return found
        eta, jacobian = self.predictor.at(self.block, found.theta)
        rows = block_rows(self.family, self.block, eta)
        noise, error = self.derivatives.noise_and_error(found.theta, self.block.designs[0])
        u, root = rows.score[0], np.sqrt(np.maximum(rows.expected[0, 0], 0.0))
        value = SURE * (np.sqrt(2.0) * np.linalg.norm(u * noise) + 0.5 * np.sum((root * noise) ** 2))
        A = root[:, None] * jacobian.parts[0][:, self.free]
        distance = _rms_distance(A, root * noise, np.linalg.norm(u[:, None] * error[:, self.free], axis=0))
        return replace(found, noise=float(value), noise_distance=float(SURE * distance / np.sqrt(found.dispersion)))

    def relative(self, theta: np.ndarray) -> float:
        """The noise relative to the function's values, both as root mean squares."""
        value = self.predictor.eta(self.block, theta)[0, : self.block.rows]
        noise = self.derivatives.noise_and_error(theta, self.block.designs[0])[0]
        return float(np.linalg.norm(noise) / max(np.linalg.norm(value), TINY))


def _rms_distance(A: np.ndarray, noise: np.ndarray, error: np.ndarray) -> float:
    """Root mean square of ‖R⁻ᵀ(Aᵀe + d)‖, AᵀA = RᵀR, for independent e_i and d_j of these standard deviations."""
    lengths = np.linalg.norm(A, axis=0)
    A, error, lengths = A[:, lengths > 0], error[lengths > 0], lengths[lengths > 0]
    if not A.size:
        return 0.0
    U, s, Vt = np.linalg.svd(A / lengths, full_matrices=False)
    # Below √ε of the largest singular value a direction has lost half of its digits.
    U, s, Vt = (part[s > 1e-8 * s[0]] for part in (U.T, s, Vt))
    return float(np.hypot(np.linalg.norm(U * noise), np.linalg.norm(Vt / s[:, None] * (error / lengths))))
