r"""Separation: whether the maximum lies at infinity, in which direction, and which coefficients are infinite.

Where a covariate separates the successes from the failures, the likelihood never stops growing along some direction
δ and the maximum likelihood estimate has infinite coefficients (Albert and Anderson, 1984, Biometrika 71). Whether it
does is a property of the design and of the directions d_i in which each row's log density grows. So it is decided from
these and not from the iterates, which only appear to converge. δ is a *recession direction* if

    d_i x_iᵀδ >= 0   for rows that grow with η (d_i = +1) or with -η (d_i = -1),
      x_iᵀδ  = 0     for rows with a finite optimum (d_i = 0),
    d_i x_iᵀδ >  0   for at least one row.

Those of largest support separate as many rows as can be separated. Along them these rows reach the supremum of
their log density, and what remains is the likelihood of the other rows, which does not depend on δ: the limit fit.
With N the null space of the other rows' design, the coefficients in the support of N are infinite, and all others are
those of the limit fit (Konis, 2007, DPhil thesis, Oxford, chapter 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raphson.model.glm.recession import (
    Everywhere,
    RecessionDirection,
    maximal_direction,
    maximal_direction_everywhere,
)
from raphson.model.glm.separating_rows import SeparatingRows
from raphson.numeric import EPSILON

FAR = 1e4
"""Stands for an infinite η: every mean there is at its limit in double precision."""

NO_MOVE = 1e-9
"""Share of the largest move of any row, or of the largest coefficient of a direction, below which a move is rounding: a
hundred times that of a single product, :data:`raphson.model.glm.recession.TIE`. From 1e-14 to 1e-3 nothing changes for
four logistic models that separate, two of them but for some rows."""


@dataclass(frozen=True)
class AtInfinity:
    """A direction in which the log-likelihood never stops growing.

    Attributes
    ----------
    direction : ndarray, (p,)
        δ, of largest support, scaled to a largest |δ_j| of 1. For K predictors the K vectors one after the other.
    infinite : ndarray of bool, (p,)
        The coefficients that are infinite. The others are those of the limit fit.
    signs : ndarray, (p,)
        +1 or -1 for infinite coefficients, 0 for finite ones. Where several directions separate, the sign is
        that of ``direction``; in other directions it may differ.
    """

    direction: np.ndarray
    infinite: np.ndarray
    signs: np.ndarray


def separated(rows: SeparatingRows) -> AtInfinity | None:
    """Complete or quasi-complete separation, by the constraints of all rows.

    Returns
    -------
    AtInfinity or None
        None if the maximum is attained. What rounding leaves undecided (an overlap of less than about 1e-11 of
        the terms of x_iᵀδ) counts as a tie. A direction that cannot be verified in floating point is not
        reported.

    Notes
    -----
    Albert and Anderson (1984). The linear programme of largest support is that of Konis (2007), section 4.2, solved
    on a part of the rows that grows only as needed: see ``recession.maximal_direction``.

    Examples
    --------
    Successes exactly where x > 2:

    >>> import numpy as np
    >>> from raphson.model.glm.separating_rows import SignedRows
    >>> x, every = np.arange(5.0), np.ones(5, dtype=bool)
    >>> X = np.column_stack([np.ones(5), x])
    >>> separated(SignedRows(X, np.array([-1, -1, -1, 1, 1]), every)).signs
    array([-1.,  1.])
    >>> separated(SignedRows(X, np.array([-1, 1, -1, 1, 1]), every)) is None
    True
    """
    return _at_infinity_of(maximal_direction(rows, np.eye(len(rows.scale))), rows)


def least_weight(weight: np.ndarray) -> float:
    """Weight up to which a row is ignored: ε times the average.

    If only one row, of weight w, opposes a direction, the maximum lies at a distance of about −log w, where all other
    rows have likelihoods within about w of their suprema. Below ε that is lost in rounding: the maximum is at infinity.
    """
    return EPSILON * float(np.mean(weight))


def separated_everywhere(part: SeparatingRows, everywhere: Everywhere) -> AtInfinity | None:
    """Complete or quasi-complete separation of rows that are not in memory.

    Parameters
    ----------
    part : SeparatingRows
        Constraints of some of the rows.
    everywhere : callable
        As for :func:`raphson.model.glm.recession.maximal_direction_everywhere`.

    Returns
    -------
    AtInfinity or None
        As :func:`separated` decides it.
    """
    return _at_infinity_of(maximal_direction_everywhere(part, np.eye(len(part.scale)), everywhere), part)


def at_infinity(moves: np.ndarray, still: float) -> np.ndarray:
    """Shifts of the linear predictors (K, n) that take rows to their limits along a direction, as small as possible.

    Among the K predictors of a row and the 0 of its last class, each one that moves further than the next is put `FAR`
    beyond it. Multiples of the moves themselves would be so large that their rounding swamps the differences between
    classes that move together, which stay finite.

    Parameters
    ----------
    moves : (K, n) along the direction.
    still : largest difference between two moves that count as the same.

    Examples
    --------
    >>> at_infinity(np.array([[3e9, -1.0], [3e9, 0.0]]), 1e-6).tolist()
    [[10000.0, -10000.0], [10000.0, 0.0]]
    """
    all_classes = np.concatenate([np.zeros((1, moves.shape[1])), moves])
    order = np.argsort(all_classes, axis=0, kind="stable")
    apart = np.diff(np.take_along_axis(all_classes, order, axis=0), axis=0) > still
    ranks = np.concatenate([np.zeros((1, moves.shape[1])), np.cumsum(apart, axis=0)])
    ranked = np.empty_like(all_classes)
    np.put_along_axis(ranked, order, ranks, axis=0)
    return FAR * (ranked[1:] - ranked[:1])


@dataclass(frozen=True)
class Moves:
    """A summary of how far a direction moves rows, to distinguish moves from rounding once all rows have been read.

    Attributes
    ----------
    largest : the largest size of a move.
    sizes : the smallest size within each power of ten.
    """

    largest: float
    sizes: tuple[float, ...]

    def __add__(self, other: Moves) -> Moves:
        return Moves.of(np.array((self.largest, other.largest, *self.sizes, *other.sizes)))

    @staticmethod
    def of(moves: np.ndarray) -> Moves:
        sizes = np.abs(moves[moves != 0])
        decades: dict[int, float] = {}
        if len(sizes):
            powers = np.floor(np.log10(sizes))
            for power in np.unique(powers).tolist():
                decades[power] = float(sizes[powers == power].min())
        return Moves(float(sizes.max(initial=0.0)), tuple(decades.values()))

    @property
    def still(self) -> float:
        """Size up to which moves are rounding."""
        return NO_MOVE * self.largest

    @property
    def smallest(self) -> float:
        """Size of the smallest move that is not rounding; 1 if there is none."""
        return min((size for size in self.sizes if size > self.still), default=1.0)


def _at_infinity_of(found: RecessionDirection | None, rows: SeparatingRows) -> AtInfinity | None:
    """The direction in the coefficients' own units, and the infinite coefficients with their signs."""
    if found is None:
        return None
    infinite = np.linalg.norm(found.space, axis=1) > NO_MOVE
    direction = np.where(np.abs(found.direction) > NO_MOVE * np.abs(found.direction).max(), found.direction, 0.0)
    # A coefficient in the support of N may be 0 in δ: its sign is then that of the score.
    signs = np.where(direction != 0.0, np.sign(direction), np.where(found.pull >= 0.0, 1.0, -1.0))
    unscaled = direction / rows.scale
    return AtInfinity(unscaled / np.abs(unscaled).max(), infinite, np.where(infinite, signs, 0.0))
