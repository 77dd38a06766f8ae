"""The check of Wald's interval of one parameter by its profile likelihood."""

from __future__ import annotations

import math

import numpy as np

from raphson.checks.check import Check
from raphson.checks.pictures import Picture

MISLEADS = 0.25
"""Share of Wald's half-width by which an end may be off: 1.47 errors instead of 1.96 leave 7 % beyond, not 2.5."""


def asymmetry(estimates: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(p,) how far intervals (p, 2) are from symmetric about the estimates: 0, to 1 with one end at the estimate.

    Examples
    --------
    >>> import numpy as np
    >>> asymmetry(np.array([1.0, 1.0]), np.array([[0.0, 2.0], [0.5, 2.0]])).round(2).tolist()
    [0.0, 0.33]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        below, above = estimates - ends[:, 0], ends[:, 1] - estimates
        found = np.abs(above - below) / (above + below)
    return np.where(np.isinf(above + below), 1.0, np.nan_to_num(found))


def wald_serves(
    name: str, wald: tuple[float, float], profile: tuple[float, float], picture: Picture, how_many: int
) -> Check:
    """Whether Wald's interval is the profile's, of the parameter whose profile is the least symmetric of so many."""
    half = 0.5 * (wald[1] - wald[0])
    off = max(abs(a - b) for a, b in zip(wald, profile, strict=True)) / half if half > 0 else math.inf
    passed = bool(off <= MISLEADS)
    share = f"{100 * off:.0f}% of its half-width" if math.isfinite(off) else "without bound"
    return Check(
        f"profile: {name}",
        "Wald intervals serve" if passed else f"Wald's interval of {name} misleads",
        passed,
        math.nan,
        off,
        f"{name}, the least symmetric of {how_many}. Line: profile, the signed root of twice the likelihood's fall; "
        f"dashed: what Wald's interval assumes; shaded: the profile's interval. The ends differ by {share}.",
        picture,
        "shape of the likelihood",
        "" if passed else f"Its ends are off by up to {share}: use the profile interval, conf_int(kind='profile').",
    )
