"""Where a curve would lie if the model were right, and whether the whole of it does.

A check turns a data set into a curve T = (T_1, ..., T_m), such as the sorted residuals. B data sets simulated from the
fit, and refitted, give B curves, whose pointwise quantiles are the shade of a picture. That single points of a correct
model's curve leave a 95 % shade is expected, so the verdict is of the whole curve: its largest departure

    u = max_j  (T_j − c_j)/(h_j − c_j)  above the median c_j,  (c_j − T_j)/(c_j − l_j)  below it,

with l_j and h_j the ends of the shade, is ranked among those of the simulated curves (the directional quantile test of
Myllymäki, Mrkvička, Grabarnik, Seijo and Hahn 2017, J. R. Statist. Soc. B 79, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""The pointwise probability of a shade."""

SUSPECT = 0.01
"""A check whose p-value is below this is flagged. A report has some eight checks, so that one in about twelve reports
of a correct model has a flag; at 0.05 every third would have one."""


@dataclass(frozen=True, eq=False)
class Envelope:
    """The shade of a curve, and the verdict on all of it.

    Attributes
    ----------
    lower, middle, upper : (m,) pointwise quantiles of the simulated curves.
    outside : (m,) mask of the points of the data's curve outside the shade.
    p_value : of the largest departure, ranked among those of the simulated curves.
    worst : number of the point that departs most.
    """

    lower: np.ndarray
    middle: np.ndarray
    upper: np.ndarray
    outside: np.ndarray
    p_value: float
    worst: int

    @property
    def passed(self) -> bool:
        """Whether the curve departs no more than simulated ones do."""
        return self.p_value >= SUSPECT


def envelope(
    curve: np.ndarray, simulated: np.ndarray, level: float = LEVEL, least: np.ndarray | float = 0.0
) -> Envelope:
    """The shade of a curve (m,) from simulated ones (B, m), and how far it departs.

    Points that are NaN in the data's curve are left out of the verdict. `least` is the smallest half-width that counts:
    what refitting holds nearly fixed, as the mean residual of a level, departs by rounding only.

    Examples
    --------
    >>> import numpy as np
    >>> simulated = np.random.default_rng(1).normal(size=(999, 20))
    >>> envelope(np.zeros(20), simulated).passed, envelope(np.r_[np.zeros(19), 9.0], simulated).p_value
    (True, 0.001)
    """
    tail = 0.5 * (1.0 - level)
    everywhere = np.isfinite(simulated).all(axis=1)
    simulated = simulated[everywhere] if everywhere.any() else np.where(np.isfinite(simulated), simulated, 0.0)
    lower, middle, upper = np.quantile(simulated, [tail, 0.5, 1.0 - tail], axis=0)
    known = np.isfinite(curve)
    departs = _departure(curve, lower, middle, upper, least)
    largest = float(np.max(departs[known], initial=0.0))
    others = _departure(
        simulated[:, known], lower[known], middle[known], upper[known], np.broadcast_to(least, curve.shape)[known]
    ).max(axis=1, initial=0.0)
    # A curve that nowhere leaves the shade does not depart, however little simulated ones vary.
    largest, others = max(largest, 1.0), np.maximum(others, 1.0)
    p_value = float((1 + np.count_nonzero(others >= largest)) / (1 + len(others)))
    worst = int(np.argmax(np.where(known, departs, -1.0))) if len(curve) else 0
    outside = known & ((curve < lower) | (curve > upper))
    return Envelope(lower, middle, upper, outside, p_value, worst)


def _departure(
    curves: np.ndarray, lower: np.ndarray, middle: np.ndarray, upper: np.ndarray, least: np.ndarray | float
) -> np.ndarray:
    """Distances from the middle, in units of the shade's half on that side; 0/0, a point that never varies, is 0."""
    above = curves >= middle
    distance = np.abs(curves - middle)
    half = np.maximum(np.where(above, upper - middle, middle - lower), least)
    # A simulated half of no width: whatever departs from it departs without bound.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(distance <= 1e-12 * (1.0 + np.abs(middle)), 0.0, distance / half)
    return np.where(np.isnan(ratio), 0.0, ratio)


def rank(value: float, simulated: np.ndarray) -> float:
    """The two-sided p-value of a number among simulated ones (B,).

    Examples
    --------
    >>> import numpy as np
    >>> rank(5.0, np.arange(999.0)), rank(500.0, np.arange(999.0)) > 0.9
    (0.014, True)
    """
    above, below = np.count_nonzero(simulated >= value), np.count_nonzero(simulated <= value)
    return float(min(1.0, 2.0 * (1 + min(above, below)) / (1 + len(simulated))))
