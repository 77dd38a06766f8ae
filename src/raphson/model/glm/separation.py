r"""Separation: does the maximum lie at infinity, in which direction, and which coefficients does it take along?

Where a covariate splits the successes from the failures, the likelihood grows for ever along some direction δ
and the maximum likelihood estimate has infinite coefficients (Albert and Anderson, 1984, Biometrika 71). Whether
it does is a property of the design and of the directions d_i in which each row's log density grows, so it is
decided there and not on the iterates, which only look as if they converged. δ is a *recession direction* if

    d_i x_iᵀδ >= 0   for rows that grow with η (d_i = +1) or with -η (d_i = -1),
      x_iᵀδ  = 0     for rows with a finite optimum (d_i = 0),
    d_i x_iᵀδ >  0   for at least one row.

Those of largest support separate as many rows as can be separated. Along them these rows reach the supremum of
their log density, and what remains is the likelihood of the other rows, in which δ can no longer be seen: the
limit fit. With N the null space of the other rows' design, the coefficients in the support of N are infinite,
and all others are those of the limit fit (Konis, 2007, DPhil thesis, Oxford, chapter 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.model.glm.recession import Everywhere, maximal_direction, maximal_direction_everywhere, null_within
from raphson.model.glm.separating_rows import ClassRows, SeparatingRows, SignedRows
from raphson.numeric import EPSILON

FAR = 1e4
"""η at infinity: every mean there is at its limit in double precision."""

NO_MOVE = 1e-9
"""Rows that a direction moves by less than this share of the largest move stay where they are."""

SUPPORT = 1e-9
"""A coefficient whose share in every direction at infinity is below this, after scaling, is finite."""


@dataclass(frozen=True)
class AtInfinity:
    """A direction in which the log-likelihood grows for ever.

    Attributes
    ----------
    direction : ndarray, (p,)
        δ, of largest support, scaled to a largest |δ_j| of 1. For K predictors the K vectors one after the other.
    infinite : ndarray of bool, (p,)
        The coefficients that are infinite. The others are those of the limit fit.
    signs : ndarray, (p,)
        +1 or -1 for infinite coefficients, 0 for finite ones. Where several directions separate, the sign is
        that of ``direction``, and some of the others may have another.
    """

    direction: np.ndarray
    infinite: np.ndarray
    signs: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Separation(AtInfinity):
    """The same, with the rows that it takes along.

    Attributes
    ----------
    rows : ndarray of bool, (n,)
        The rows which it separates strictly: their log density goes to its supremum. The limit fit is the fit
        of the other rows (and the llf of the limit has the suprema of these: 0 for a binary response).
    complete : bool
        Every row with a positive weight is separated: nothing is left to fit.
    pairs : ndarray of bool, (n, L), or None
        Multinomial: class k has probability 0 for row i in the limit. ``rows`` are those with one class left.
    """

    rows: np.ndarray
    complete: bool
    pairs: np.ndarray | None = None


def separated(
    X: Any,
    direction: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    held: np.ndarray | None = None,
    penalty: np.ndarray | None = None,
) -> Separation | None:
    """Complete or quasi-complete separation of a model with one linear predictor.

    Parameters
    ----------
    X : ndarray or tabmat matrix, (n, p)
        Design. A column that is a combination of earlier ones is aliased: its coefficient stays where it is.
    direction : ndarray, (n,)
        +1, -1 or 0: the direction of η in which the row's log density never falls and tends to its supremum, 0
        if it has a finite optimum.
    weight : ndarray, (n,), optional
        Rows with weight 0 take no part, nor do those whose weight rounding would lose: see :func:`least_weight`.
    held : ndarray of bool, (p,), optional
        Coefficients that stay where they are.
    penalty : ndarray, (p, p), optional
        P of the penalty ½θᵀPθ: only directions with Pδ = 0 can go to infinity.

    Returns
    -------
    Separation or None
        None if the maximum is attained. What rounding leaves undecided (an overlap of less than about 1e-11 of
        the terms of x_iᵀδ) counts as a tie; a direction that cannot be verified in floating point is not
        reported.

    Notes
    -----
    Albert and Anderson (1984); the linear programme of largest support is that of Konis (2007), section 4.2, here
    solved on a part of the rows that grows only while it has to: see ``recession.maximal_direction``.

    Examples
    --------
    Successes exactly where x > 2:

    >>> import numpy as np
    >>> x, y = np.arange(5.0), np.array([0, 0, 0, 1, 1])
    >>> found = separated(np.column_stack([np.ones(5), x]), 2 * y - 1)
    >>> found.complete, found.signs
    (True, array([-1.,  1.]))
    >>> separated(np.column_stack([np.ones(5), x]), np.array([-1, 1, -1, 1, 1])) is None
    True
    """
    n, p = X.shape
    counted = np.ones(n, dtype=bool) if weight is None else np.asarray(weight) > least_weight(weight)
    rows = SignedRows(X, np.asarray(direction, dtype=np.int8), counted)
    found = maximal_direction(rows, _allowed(p, held, penalty, rows.scale))
    if found is None:
        return None
    strict = found.strict
    return Separation(
        **_coefficients(found.direction, found.space, found.pull, rows.scale),
        rows=strict,
        complete=bool(np.all(strict[counted])),
    )


def least_weight(weight: np.ndarray) -> float:
    """Weight up to which a row counts for nothing: ε times the average.

    A row of weight w that alone opposes a direction puts the maximum some −log w away, where all others have
    likelihoods within about w of their suprema. Below ε that is lost in rounding, and the maximum is at infinity.
    """
    return EPSILON * float(np.mean(weight))


def separated_multinomial(
    X: Any,
    y: np.ndarray,
    n_levels: int,
    *,
    weight: np.ndarray | None = None,
    held: np.ndarray | None = None,
    penalty: np.ndarray | None = None,
) -> Separation | None:
    """Complete or quasi-complete separation of a multinomial logit with L levels.

    Parameters
    ----------
    X : ndarray or tabmat matrix, (n, p)
        Design, the same for all K = L - 1 predictors.
    y : ndarray of int, (n,)
        Codes 0 .. L-1; level 0 is the baseline, whose predictor is 0.
    n_levels : int
        L.
    weight, held, penalty
        As for :func:`separated`, with the K p parameters ordered by predictor.

    Returns
    -------
    Separation or None
        δ_k in R^p for k = 1..K and δ_0 = 0, with x_iᵀ(δ_{y_i} - δ_k) >= 0 for all rows and levels.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.column_stack([np.ones(6), np.arange(6.0)])
    >>> found = separated_multinomial(X, np.array([0, 0, 1, 1, 2, 2]), 3)
    >>> found.complete
    True
    """
    n, p = X.shape
    counted = np.ones(n, dtype=bool) if weight is None else np.asarray(weight) > least_weight(weight)
    rows = ClassRows(X, np.asarray(y).astype(int), n_levels, counted)
    found = maximal_direction(rows, _allowed(p * (n_levels - 1), held, penalty, rows.scale))
    if found is None:
        return None
    pairs = found.strict.reshape(n, n_levels)
    whole = pairs.sum(axis=1) == n_levels - 1
    return Separation(
        **_coefficients(found.direction, found.space, found.pull, rows.scale),
        rows=whole,
        complete=bool(np.all(whole[counted])),
        pairs=pairs,
    )


def separated_everywhere(part: SeparatingRows, everywhere: Everywhere) -> AtInfinity | None:
    """Complete or quasi-complete separation of rows that are not held.

    Parameters
    ----------
    part : Rows
        Constraints of some of the rows.
    everywhere : callable
        As for :func:`raphson.model.glm.recession.maximal_direction_everywhere`.

    Returns
    -------
    AtInfinity or None
        As :func:`separated` and :func:`separated_multinomial` decide it.
    """
    found = maximal_direction_everywhere(part, np.eye(len(part.scale)), everywhere)
    if found is None:
        return None
    return AtInfinity(**_coefficients(found.direction, found.space, found.pull, part.scale))


def at_infinity(moves: np.ndarray, still: float) -> np.ndarray:
    """Shifts of the linear predictors (K, n) that put rows where a direction leads them, with no more than it takes.

    Among the K predictors of a row and the 0 of its last class, each that moves further than the next is put `FAR`
    beyond it. The multiples of the moves themselves would be so large that the differences which stay finite, those
    of classes that move together, would drown in their rounding.

    Parameters
    ----------
    moves : (K, n) along the direction.
    still : difference up to which two moves are the same.

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
    """How far a direction moves some rows, as it takes to tell moves from rounding once all rows are known.

    Attributes
    ----------
    largest : size of a move.
    sizes : the smallest size of each power of ten.
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
        """Moves up to this are rounding."""
        return NO_MOVE * self.largest

    @property
    def smallest(self) -> float:
        """Size of the smallest move that is one; 1 if none is."""
        return min((size for size in self.sizes if size > self.still), default=1.0)


def proves_finite(
    direction: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    change: np.ndarray,
    rounding: float = 0.0,
) -> bool:
    r"""A proof, by a look at the last step of a fit, that there is no separation (one predictor).

    Parameters
    ----------
    direction : ndarray, (n,)
        As for :func:`separated`.
    score : ndarray, (n,)
        u_i = ∂ℓ_i/∂η at the estimates, all weights multiplied in; rows with weight 0 left out or 0.
    weight : ndarray, (n,)
        Positive W_i of the step: M = Σ W_i x_i x_iᵀ (observed or expected; no penalty).
    change : ndarray, (n,)
        Change of η by the step from there, x_iᵀ M⁻¹ Xᵀu.
    rounding : float
        The rounding error of the score in the norm of M⁻¹, √(rᵀM⁻¹r).

    Returns
    -------
    bool
        True: the maximum is attained. False proves nothing; ask :func:`separated`.

    Notes
    -----
    By Stiemke's theorem no δ has d_i x_iᵀδ >= 0, one of them > 0, and x_iᵀδ = 0 where d_i = 0, if there are
    multipliers v with Σ v_i x_i = 0 and d_i v_i > 0 where d_i is not 0. The scores nearly are such: u_i has
    the sign of d_i, and Xᵀu = s is nearly 0. Taking off W_i x_iᵀM⁻¹s makes it exactly 0, since
    Σ W_i x_i x_iᵀ M⁻¹ s = s, so it only has to leave the signs. Under separation it cannot: a Newton step for a
    logistic model then moves some η by about 1 for ever, however small the score has become.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([0.5, -0.5, 0.5, -0.5])   # a fit of the mean of 1, 0, 1, 0
    >>> proves_finite(np.array([1, -1, 1, -1]), u, np.full(4, 0.25), np.zeros(4))
    True
    """
    # r, the error in s, changes x_iᵀM⁻¹s by at most √(x_iᵀM⁻¹x_i) √(rᵀM⁻¹r), and W_i x_iᵀM⁻¹x_i <= 1 is a
    # leverage. Half the score is left as a margin for everything else.
    free = (direction != 0) & ((score != 0) | (weight != 0))
    signed = direction[free] * score[free]
    moved = weight[free] * np.abs(change[free]) + np.sqrt(weight[free]) * rounding
    return bool(np.all(np.isfinite(moved)) and np.all(moved < 0.5 * signed))


def _allowed(p: int, held: np.ndarray | None, penalty: np.ndarray | None, scale: np.ndarray) -> np.ndarray:
    # Basis of the directions open to the coefficients, in scaled coordinates (δ_j times the scale of column j).
    free = np.ones(p, dtype=bool) if held is None else ~np.asarray(held, dtype=bool)
    space = np.eye(p)[:, free]
    if penalty is None or not np.any(penalty):
        return space
    return null_within(space, np.asarray(penalty) / scale)


def _coefficients(
    direction: np.ndarray, space: np.ndarray, pull: np.ndarray, scale: np.ndarray
) -> dict[str, np.ndarray]:
    share = np.linalg.norm(space, axis=1)
    infinite = share > SUPPORT
    size = np.abs(direction).max()
    direction = np.where(np.abs(direction) > SUPPORT * size, direction, 0.0)
    # A coefficient may be in the support of N and yet not in δ: it then goes where the score pulls it.
    signs = np.where(direction != 0.0, np.sign(direction), np.where(pull >= 0.0, 1.0, -1.0))
    unscaled = direction / scale
    return {
        "direction": unscaled / np.abs(unscaled).max(),
        "infinite": infinite,
        "signs": np.where(infinite, signs, 0.0),
    }
