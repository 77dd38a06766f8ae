"""Which combinations of parameters the data do not identify: small singular values of the Jacobian.

With the columns of √W J scaled to length 1, a right singular vector v of the singular value σ is a direction
θ_j ← θ_j + t v_j/‖J_j‖ along which the predictors move by σt only: its standard error is √φ/σ (Belsley 1991,
Conditioning Diagnostics, chapter 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from raphson.data.messages import listing
from raphson.linalg import COMPUTED, column_squares

POOR = 1e-2
"""Singular value, relative to the largest, below which a direction may be called poorly determined, if its standard
error is large too. That is a condition index of 100, the upper end of what Belsley, Kuh and Welsch (1980, Regression
Diagnostics, chapter 3) call moderate to strong dependence, 30 to 100."""

PART = 0.2
"""Smallest share in a singular vector for a parameter to be named as part of it. A vector spread evenly over 25
parameters has this share in each."""


@dataclass(frozen=True)
class UnidentifiedDirection:
    """A direction in the parameters that the data do not identify.

    Attributes
    ----------
    step : (p,) change of the parameters: by one standard error, or of arbitrary length if `exact`.
    share : (p,) the unit singular vector, 0 for parameters that were not estimated.
    exact : whether the predictors do not move at all.
    """

    step: np.ndarray
    share: np.ndarray
    exact: bool

    @property
    def involved(self) -> np.ndarray:
        """(p,) mask of the parameters involved."""
        return np.abs(self.share) >= PART * np.abs(self.share).max()


def unidentified_directions(
    R: np.ndarray, free: np.ndarray, theta: np.ndarray, dispersion: float
) -> list[UnidentifiedDirection]:
    """The directions that the data do not identify, or determine so poorly that one standard error changes everything.

    Parameters
    ----------
    R : (m, p), RᵀR = JᵀWJ (+ P).
    free : (p,) mask of the parameters that were estimated.
    theta : (p,) estimates.
    dispersion : φ̂; NaN for exactly unidentified directions only.

    Examples
    --------
    >>> J = np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    >>> [found] = unidentified_directions(J, np.ones(3, bool), np.ones(3), 1.0)
    >>> found.exact, describe(found, ("a", "b", "c"), np.array([2.7, 1.3, 1.0]))
    (True, 'a and b, but only together (a by +2 and b by -1 is no change)')
    """
    index = np.flatnonzero(free)
    J = R[:, index]
    scale = np.sqrt(column_squares(J))
    if not len(index) or not np.isfinite(scale).all():
        return []
    found = []
    for j in np.flatnonzero(scale == 0):
        share = np.zeros(len(theta))
        share[index[j]] = 1.0
        found.append(UnidentifiedDirection(share, share, True))
    index, J, scale = index[scale > 0], J[:, scale > 0], scale[scale > 0]
    if not len(index):
        return found
    singular, Vt = np.linalg.svd(J / scale)[1:]
    singular = np.append(singular, np.zeros(len(index) - len(singular)))
    for sigma, v in zip(singular[::-1], Vt[::-1], strict=True):
        exact = bool(sigma <= COMPUTED * singular[0])
        if not exact and not (sigma <= POOR * singular[0] and dispersion > 0):
            break
        step, share = np.zeros(len(theta)), np.zeros(len(theta))
        share[index] = v
        step[index] = v / scale * (1.0 if exact else np.sqrt(dispersion) / sigma)
        direction = UnidentifiedDirection(step, share, exact)
        if exact or _matters(direction, theta):
            found.append(direction)
    return found


def clearly_determined(R: np.ndarray, free: np.ndarray) -> bool:
    """Whether the pivots of a triangle R (m, p) prove that no direction is exactly unidentified.

    With the columns scaled to length 1 the pivots' product is that of the singular values, of which the largest is
    at most √p: so σ_min / σ_max ≥ ∏ |r_jj| p^(−p/2).

    Examples
    --------
    >>> R = np.array([[1.0, 2.0], [0.0, 1.0]])
    >>> clearly_determined(R, np.ones(2, bool)), clearly_determined(R * [1.0, 0.0], np.ones(2, bool))
    (True, False)
    """
    p = R.shape[1]
    if len(R) < p or not free.all():
        return False
    lengths = np.sqrt(column_squares(R))
    pivots = R.diagonal()[:p].tolist()
    shares = [
        abs(pivot) / length if length > 0 else 0.0 for pivot, length in zip(pivots, lengths.tolist(), strict=True)
    ]
    return math.prod(shares) > COMPUTED * p ** (p / 2)


def _matters(direction: UnidentifiedDirection, theta: np.ndarray) -> bool:
    """Whether one standard error along it changes most of the parameters involved by half of their size."""
    part = direction.involved
    if np.count_nonzero(part) < 2:
        return False
    with np.errstate(divide="ignore"):
        relative = np.abs(direction.step[part]) / np.abs(theta[part])
    return float(np.minimum(relative, 1.0).mean()) >= 0.5


def without_error(directions: Sequence[UnidentifiedDirection], p: int) -> np.ndarray:
    """(p,) mask of the parameters that exactly unidentified directions move: they have no standard error."""
    mask = np.zeros(p, dtype=bool)
    for direction in directions:
        if direction.exact:
            mask |= np.abs(direction.share) > 1e-7
    return mask


def describe(direction: UnidentifiedDirection, names: Sequence[str], theta: np.ndarray) -> str:
    """The parameters of a direction, and what is constant along it, in words."""
    index = np.flatnonzero(direction.involved)
    who = [names[j] for j in index.tolist()]
    if len(index) == 1:
        return who[0]
    together = " and ".join(who) if len(who) == 2 else f"{', '.join(who[:-1])} and {who[-1]}"
    step = direction.step[index]
    kept = _kept_product(who, step, theta[index], 1e-5 if direction.exact else 0.02)
    if kept:
        return f"{together}, but only {kept}"
    step = step / np.abs(step).min() * np.sign(step[0])  # the sign of a singular vector is arbitrary
    moves = listing([f"{name} by {change:+.3g}" for name, change in zip(who, step, strict=True)], 8)
    moves = " and ".join(moves.rsplit(", ", 1))
    return f"{together}, but only together ({moves} is {'no' if direction.exact else 'hardly a'} change)"


def _kept_product(names: Sequence[str], step: np.ndarray, theta: np.ndarray, within: float) -> str:
    """The sum, difference, product or quotient of two parameters that is constant along a step; empty if none is."""
    if len(names) != 2:
        return ""
    a, b = names
    if abs(step[0] + step[1]) <= within * abs(step).max():
        return f"{a} + {b}"
    if theta.all():
        relative = step / theta
        ratio = float(-relative[0] / relative[1])  # a^m b^n is constant if m relative_a + n relative_b = 0: n/m
        simple = Fraction(ratio).limit_denominator(3)
        if simple and abs(simple.numerator) <= 3 and abs(float(simple) - ratio) <= within * abs(ratio):
            m, n = simple.denominator, simple.numerator
            left = a if m == 1 else f"{a}^{m}"
            right = b if abs(n) == 1 else f"{b}^{abs(n)}"
            return f"{left}*{right}" if n > 0 else f"{left}/{right}"
    if abs(step[0] - step[1]) <= within * abs(step).max():
        return f"{a} - {b}"
    return ""
