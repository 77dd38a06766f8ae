r"""Sums and integrals over the response of a density, with panels for each row that cover its probability.

A row's density may be very narrow compared with the range of the data, so each row has a rule of its own. From its
modes (:mod:`raphson.model.likelihood.modes`) panels extend outwards, each about as long as the mode's width or its
distance from the mode, until the last adds nothing; a heavy tail takes some tens of them. A panel of a continuous
response has Gauss-Legendre nodes. A panel of N counts has the nodes of Gauss's rule for the sum over N integers, which
are the integers themselves where N is the number of nodes. A panel is halved until its halves agree with it.

As the density integrates to 1 and its score has mean 0, every row's rule can be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from raphson.model.likelihood.modes import MOST_MODES, Located, modes
from raphson.model.likelihood.row_densities import NODES, RowDensities, Support
from raphson.numeric import EPSILON

HALVINGS, BATCHES = 40, 120
"""Most rounds of halving panels, and of adding panels. Forty halvings leave 1e-12 of a panel; panels added grow
1.7-fold, three in a round, and reach any place that a double can name."""

NEGLIGIBLE = 1e-13
"""Largest share of the whole that the last panel may have: some 500 ε. From 1e-15 to 1e-7 a zero-inflated Poisson, a
beta density and Student's t are fitted alike by their expected information."""

AGREED, LEAST_AGREED = 1e-11, 1e-8
"""Largest difference between a panel and its halves, as a share of the whole: at first, growing four times with every
round, and at most. After many rounds only a jump or rounding of the density's constants is left."""

MOST_PANELS = 4_000
"""Most panels of a row, beyond which its density is given up: 64,000 evaluations."""


@cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    """Nodes in (0, 1) and weights that add up to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return 0.5 * (nodes + 1.0), 0.5 * weights


@cache
def _gram(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes among 0 .. count − 1 and weights of the rule that is exact for sums of polynomials over these integers.

    The polynomials orthogonal over N equally spaced points have the recurrence coefficients
    β_k = k² (N² − k²)/(4 (4k² − 1)); the rule follows from them by Golub and Welsch (1969, Mathematics of Computation
    23). With N nodes β_N = 0, and the nodes are the integers.
    """
    k = np.arange(1, NODES)
    beta = k**2 * (float(count) ** 2 - k**2) / (4.0 * (4.0 * k**2 - 1.0))
    middle = np.diag(np.sqrt(beta), 1)
    places, vectors = np.linalg.eigh(middle + middle.T)
    places = places + 0.5 * (count - 1)
    weights = count * vectors[0] ** 2
    return (np.round(places), np.ones(NODES)) if count == NODES else (places, weights)


@dataclass
class Panels:
    """Panels of some rows, from `start` to `end`; for counts, `end` is excluded.

    Attributes
    ----------
    rows, start, end : (P,).
    """

    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, which: np.ndarray) -> Panels:
        return Panels(self.rows[which], self.start[which], self.end[which])

    @staticmethod
    def joined(parts: list[Panels]) -> Panels:
        if not parts:
            return Panels(np.zeros(0, dtype=int), np.zeros(0), np.zeros(0))
        return Panels(*(np.concatenate(one) for one in zip(*((p.rows, p.start, p.end) for p in parts), strict=True)))

    def halves(self) -> Panels:
        """The two halves of each panel, one after the other."""
        middle = 0.5 * (self.start + self.end)
        starts, ends = np.column_stack([self.start, middle]), np.column_stack([middle, self.end])
        return Panels(np.repeat(self.rows, 2), starts.ravel(), ends.ravel())

    def nodes(self, support: Support) -> tuple[np.ndarray, np.ndarray]:
        """Places z and the logarithms of the weights, dy/dz included, each (P, nodes)."""
        length = self.end - self.start
        if support.counts:
            z, w = np.empty((len(self), NODES)), np.empty((len(self), NODES))
            for count in np.unique(length):
                here = length == count
                places, weights = _gram(int(count))
                z[here], w[here] = self.start[here, None] + places, weights
            return z, np.log(w)
        places, weights = _legendre()
        z = self.start[:, None] + length[:, None] * places
        with np.errstate(all="ignore"):
            return z, np.log(length[:, None] * weights) + support.log_slope(z)


@dataclass
class QuadratureRule:
    """Responses and weights of each row for sums over its response.

    Attributes
    ----------
    rows : (P,) the row of each panel.
    y : (P, nodes) responses.
    log_weight : (P, nodes); −∞ for none.
    count : m.
    """

    rows: np.ndarray
    y: np.ndarray
    log_weight: np.ndarray
    count: int

    def plus(self, other: QuadratureRule) -> QuadratureRule:
        return QuadratureRule(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.log_weight, other.log_weight]),
            self.count,
        )

    def moments(self, density: RowDensities) -> ScoreMoments:
        """Sums of the density, of its score and of the score's square, by row."""
        return ScoreMoments.of(density, self.rows, self.y, self.log_weight).by_row(self.rows, self.count)


@dataclass
class ScoreMoments:
    """Sums Σ f, Σ f u and Σ f u uᵀ.

    Attributes
    ----------
    total : (m,).
    score : (m, K).
    square : (m, K, K).
    """

    total: np.ndarray
    score: np.ndarray
    square: np.ndarray

    @staticmethod
    def of(density: RowDensities, rows: np.ndarray, y: np.ndarray, log_weight: np.ndarray) -> ScoreMoments:
        """The moments of each panel."""
        return ScoreMoments(*density.sums(rows, y, log_weight))

    def by_row(self, rows: np.ndarray, count: int) -> ScoreMoments:
        """Panels added up by their rows."""

        def summed(one: np.ndarray) -> np.ndarray:
            flat = one.reshape(len(rows), -1)
            sums = [np.bincount(rows, flat[:, j], minlength=count) for j in range(flat.shape[1])]
            return np.stack(sums, axis=1).reshape(count, *one.shape[1:])

        return self._each(summed)

    def _each(self, function: Callable[[np.ndarray], np.ndarray]) -> ScoreMoments:
        return ScoreMoments(function(self.total), function(self.score), function(self.square))

    def chosen(self, which: np.ndarray | slice) -> ScoreMoments:
        return self._each(lambda one: one[which])

    def times(self, factor: float) -> ScoreMoments:
        return self._each(lambda one: factor * one)

    def plus(self, other: ScoreMoments) -> ScoreMoments:
        return ScoreMoments(self.total + other.total, self.score + other.score, self.square + other.square)

    @staticmethod
    def joined(parts: list[ScoreMoments]) -> ScoreMoments:
        return ScoreMoments(
            np.concatenate([one.total for one in parts]),
            np.concatenate([one.score for one in parts]),
            np.concatenate([one.square for one in parts]),
        )

    @property
    def information(self) -> np.ndarray:
        """E[u uᵀ], (K, K, m); division by Σ f removes rounding of the density's constants."""
        return np.moveaxis(self.square / self.total[:, None, None], 0, 2)

    def relative(self, whole: ScoreMoments, rows: np.ndarray) -> np.ndarray:
        """(P,) the largest share that a panel has in any of its row's sums."""
        with np.errstate(all="ignore"):
            size = np.sqrt(np.einsum("mkk->mk", whole.square))[rows]
            shares = [
                (np.abs(self.total) / whole.total[rows])[:, None],
                np.abs(self.score) / size,
                (np.abs(self.square) / (size[:, :, None] * size[:, None])).reshape(len(rows), -1),
            ]
        return np.max(np.nan_to_num(np.concatenate(shares, axis=1), nan=0.0, posinf=1.0), axis=1)

    def defects(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) how far Σ f is from 1, and Σ f u from 0 relative to its standard deviation."""
        with np.errstate(all="ignore"):
            deviation = np.sqrt(np.einsum("mkk->mk", self.square))
            drift = np.max(np.abs(self.score) / np.where(deviation > 0, deviation, 1.0), axis=1, initial=0.0)
        return np.abs(self.total - 1.0), drift


@dataclass
class _Front:
    """How far the panels of m rows reach on one side of their modes.

    Attributes
    ----------
    sign : −1 on the left, 1 on the right.
    edge : (m,) where the next panel begins.
    places, near, far : (m, modes) places of the modes, and their widths towards the previous panels and away from them;
        NaN for none.
    """

    sign: float
    edge: np.ndarray
    places: np.ndarray
    near: np.ndarray
    far: np.ndarray
    counts: bool
    active: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))

    def step(self) -> Panels:
        """The next panel of each active row."""
        rows, edge = self.active, self.edge[self.active]
        away = self.sign * (edge[:, None] - self.places[rows])  # beyond the mode if positive
        width = np.where(away >= 0, self.far[rows], self.near[rows])
        length = np.nanmin(np.maximum(width, 0.7 * np.abs(away)), axis=1)
        if self.counts:
            length = NODES * 2.0 ** np.floor(np.log2(np.maximum(length / NODES, 1.0)))
            if self.sign < 0:  # down to 0, from a multiple of the nodes
                length = np.minimum(length, NODES * 2.0 ** np.floor(np.log2(np.maximum(edge / NODES, 1.0))))
        else:
            ahead = np.nanmin(np.where(away < 0, -away, np.inf), axis=1)  # panels end at modes, which may be cusps
            length = np.maximum(np.minimum(length, ahead), 8.0 * EPSILON * np.abs(edge))
        there = edge + self.sign * length
        self.edge[rows] = there
        left, right = (there, edge) if self.sign < 0 else (edge, there)
        kept = np.isfinite(left) & np.isfinite(right) & (right > left)
        if self.counts:
            kept &= left >= 0
        self.active = rows[kept]
        return Panels(rows[kept], left[kept], right[kept])


def rule_of(density: RowDensities, support: Support, like: np.ndarray, own: np.ndarray | None = None) -> QuadratureRule:
    """The rule of each row. The caller checks that the density sums to 1 by it.

    Parameters
    ----------
    density, support, like, own : see :func:`modes`.
    """
    m = density.rows
    found = modes(density, support, like, own)
    parts: list[Panels] = []
    sums: list[ScoreMoments] = []
    whole = ScoreMoments(
        np.zeros(m), np.zeros((m, len(density.eta))), np.zeros((m, len(density.eta), len(density.eta)))
    )

    def added(panels: Panels) -> ScoreMoments:
        z, log_weight = panels.nodes(support)
        with np.errstate(all="ignore"):
            return ScoreMoments.of(density, panels.rows, support.to(z), log_weight)

    for front in _fronts(m, found, support):
        goal = np.nanmax(front.sign * (front.places + front.sign * 6.0 * front.far), axis=1, initial=-np.inf)
        for batch in range(BATCHES):
            if not len(front.active):
                break
            new = [front.step() for _ in range(3)]
            while not batch and len(front.active) and len(new) < 60:
                short = front.sign * front.edge[front.active] < goal[front.active]
                if not short.any():
                    break
                waiting, front.active = front.active[~short], front.active[short]
                new.append(front.step())
                front.active = np.concatenate([waiting, front.active])
            panels = Panels.joined(new)
            if not len(panels):
                break
            values = added(panels)
            parts.append(panels)
            sums.append(values)
            whole = whole.plus(values.by_row(panels.rows, m))
            share = values.relative(whole, panels.rows)
            # The last panel of each row is its outermost one.
            last = np.full(m, np.inf)
            last[panels.rows] = share
            front.active = front.active[last[front.active] > NEGLIGIBLE]
    rule = _halved(density, support, Panels.joined(parts), sums, whole, added)
    return rule.plus(at_points(np.array(support.atoms), m)) if support.atoms else rule


def _fronts(m: int, found: Located, support: Support) -> list[_Front]:
    rows, place, left, right = found
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    tables = [np.full((m, MOST_MODES), np.nan) for _ in range(3)]
    for table, values in zip(tables, (place, left, right), strict=True):
        table[rows, rank] = values
    places, left, right = tables
    begin = places[:, 0].copy()
    if support.counts:
        begin = NODES * np.floor(begin / NODES)
    active = np.flatnonzero(np.isfinite(begin))
    return [
        _Front(1.0, begin.copy(), places, left, right, support.counts, active),
        _Front(-1.0, begin.copy(), places, right, left, support.counts, active),
    ]


def at_points(points: np.ndarray, m: int) -> QuadratureRule:
    """The sum over the same responses (c,) in each of m rows."""
    panels = -(-len(points) // NODES)
    y = np.full(panels * NODES, points[0])
    y[: len(points)] = points
    log_weight = np.where(np.arange(len(y)) < len(points), 0.0, -np.inf)
    shape = (m, panels, NODES)
    return QuadratureRule(
        np.repeat(np.arange(m), panels),
        np.broadcast_to(y.reshape(panels, NODES), shape).reshape(-1, NODES).copy(),
        np.broadcast_to(log_weight.reshape(panels, NODES), shape).reshape(-1, NODES).copy(),
        m,
    )


def _halved(
    density: RowDensities,
    support: Support,
    panels: Panels,
    sums: list[ScoreMoments],
    whole: ScoreMoments,
    added: Callable[[Panels], ScoreMoments],
) -> QuadratureRule:
    """Halve panels until their halves agree with them."""
    values = ScoreMoments.joined([whole.chosen(slice(0)), *sums])
    kept: list[Panels] = []
    used = np.bincount(panels.rows, minlength=density.rows)
    for turn in range(HALVINGS):
        if support.counts:
            exact = panels.end - panels.start <= NODES
            kept.append(panels.chosen(exact))
            values, panels = values.chosen(~exact), panels.chosen(~exact)
        if not len(panels):
            break
        halves = panels.halves()
        parts = added(halves)
        change = parts.chosen(slice(0, None, 2)).plus(parts.chosen(slice(1, None, 2))).plus(values.times(-1.0))
        agreed = change.relative(whole, panels.rows) <= min(AGREED * 4.0**turn, LEAST_AGREED)
        used += np.bincount(panels.rows, minlength=density.rows)
        agreed |= used[panels.rows] > MOST_PANELS
        kept.append(panels.chosen(agreed))
        again = np.repeat(~agreed, 2)
        panels, values = halves.chosen(again), parts.chosen(again)
    kept.append(panels)
    leaves = Panels.joined(kept)
    z, log_weight = leaves.nodes(support)
    with np.errstate(all="ignore"):
        return QuadratureRule(leaves.rows, support.to(z), log_weight, density.rows)
