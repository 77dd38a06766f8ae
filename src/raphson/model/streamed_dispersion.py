"""The dispersion that maximises the likelihood, by few readings of the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev

DEGREE = 13
"""Degree of the polynomial in log φ through the values of one reading. Those of a Gamma distribution, over the factor
of 2 within which its φ̂ lies, are left with 18⁻¹⁴ of their variation: lgamma(w/φ) has its singularities at w/φ ≤ 0, so
at log φ ± iπ, 9 times the half-width away."""

SETTLED = 1e-11
"""Share of its largest coefficient below which the last ones of a polynomial have to be."""

READINGS, NARROWER = 20, 6.0
"""Most readings, and the factor by which the range of a polynomial that is not settled is divided. That of one with its
maximum at an end is doubled."""


def best_dispersion(likelihoods: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> tuple[float, float]:
    """The φ that maximises a likelihood, and the likelihood there; NaN where it is not finite.

    Parameters
    ----------
    likelihoods : ℓ (m,) at several φ (m,), by one reading.
    low, high : a range of φ that has the maximum in it, or is near it.
    """
    ends, best, value = np.log([low, high]), 0.0, -np.inf
    for _ in range(READINGS):
        fitted = Chebyshev.interpolate(lambda points: likelihoods(np.exp(points)), DEGREE, domain=ends)
        if not np.isfinite(fitted.coef).all():
            return np.nan, np.nan
        roots = fitted.deriv().roots()
        inside = roots.real[(np.abs(roots.imag) < 1e-6) & (roots.real > ends[0]) & (roots.real < ends[1])]
        points = np.concatenate([ends, inside])
        found = fitted(points)
        at = int(np.argmax(found))
        best, value = float(points[at]), float(found[at])
        width, coefficients = ends[1] - ends[0], np.abs(fitted.coef)
        settled = coefficients[-2:].max() <= SETTLED * coefficients[1:].max()
        if at > 1 and settled:
            break
        ends = best + np.array([-0.5, 0.5]) * (2.0 * width if at < 2 else width / NARROWER)
    return float(np.exp(best)), value
