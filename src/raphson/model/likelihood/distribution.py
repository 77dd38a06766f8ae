r"""The distribution that a user's density describes, tabulated: mean, quantiles and draws of the response.

The range of the response is found as for the expected information (:mod:`raphson.model.likelihood.expected`): levels,
counts, or numbers of the unit interval, the half-line or the line. On the last three the density is tabulated at
y = T(c + s sinh(π/2 sinh t)) for equally spaced t, where T is the logistic, the exponential or the identity and (c, s)
are the row's own centre and spread, found iteratively from its highest mode. In t the density is smooth and decays
double exponentially (Takahasi and Mori 1974), so that sums equal integrals up to rounding. Partial sums are corrected
by the Euler-Maclaurin formula, and a quantile between two nodes is found by Newton's method. With the score
u = ∂ log f/∂η, the mean's derivative is E[y u].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.errors import ModelError
from raphson.model.likelihood.expected import COMPLETE
from raphson.model.likelihood.modes import modes
from raphson.model.likelihood.row_densities import COUNTS, NODES, RowDensities, Support, levels_of, ranges_of
from raphson.numeric import TINY, x64

ROWS = 256
"""Rows that are tabulated together: with 405 nodes 0.8 MB for each array."""

REACH, COARSE, FINE = 4.2, 1 / 8, 1 / 48
"""The range of t on either side of 0, and its step: in the search for centre and spread, and in the table. At |t| = 4.2
the response is 3e22 spreads away, beyond which Cauchy's density has 1e-23 of its mass; the tables have 69 and 405
nodes."""

SEARCHES = 12
"""Rounds at most in which centre and spread are found."""

LEFT_OUT = 1e-11
"""Largest probability of the counts that are left out: a ten thousandth of what COMPLETE permits the sum to miss."""

CHUNK, MOST_COUNTS = 256, 2**15
"""Counts that are added at a time, and the most that are tabulated: of 256 rows 8.4 million numbers, 64 MiB."""

BELOW = 8.0
"""Counts are tabulated from this many widths below a mode. A width of a normal density is its standard deviation, and
eight leave out a probability of 6e-16."""


_HERMITE = np.array(
    [
        [0.0, 0.0, 0.0, 10.0, -15.0, 6.0],
        [0.0, 1.0, 0.0, -6.0, 8.0, -3.0],
        [0.0, 0.0, 0.0, -4.0, 7.0, -3.0],
        [0.0, 0.0, 0.5, -1.5, 1.5, -0.5],
        [0.0, 0.0, 0.0, 0.5, -1.0, 0.5],
    ]
)
"""Coefficients of x⁰ .. x⁵ of the Hermite quintics. Of value, slope and second derivative at 0 and 1 all are 0 but one,
which is 1: the value at 1; the slope at 0, at 1; the second derivative at 0, at 1."""

_HERMITE_SLOPES = np.pad(_HERMITE[:, 1:] * np.arange(1, 6), ((0, 0), (0, 1)))


@dataclass(frozen=True)
class Tabulated:
    """Distributions of m rows.

    Attributes
    ----------
    y : (m, r) or (r,) responses, ascending.
    mass : (m, r) their probabilities, or their shares of the integral.
    below : (m, r) P(Y ≤ y).
    node_slope : (m, r) derivative of the mass by node, for a continuous response, else None.
    place : (m, 2) centre and spread of the continuous response.
    transformation : from the real line to the continuous response.
    mean_slope : (K, m) ∂E[Y]/∂η.
    mass_slope : (r, K, m) ∂mass/∂η of the levels of an ordered response, else None.
    """

    y: np.ndarray
    mass: np.ndarray
    below: np.ndarray
    mean_slope: np.ndarray
    mass_slope: np.ndarray | None = None
    node_slope: np.ndarray | None = None
    place: np.ndarray | None = None
    transformation: Support | None = None

    @property
    def mean(self) -> np.ndarray:
        """(m,) E[Y]; NaN where it does not exist."""
        terms = self.mass * self.y
        if self.node_slope is not None:
            # An integral that is still growing at the ends of the table diverges.
            open_ended = np.maximum(np.abs(terms[:, 0]), np.abs(terms[:, -1])) > 1e-9 * np.abs(terms).sum(axis=1)
            return np.where(open_ended, np.nan, terms.sum(axis=1))
        return terms.sum(axis=1)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """(m, c) the smallest y with P(Y ≤ y) ≥ p, for p (m, c)."""
        out = np.empty(p.shape)
        for i, row in enumerate(self.below):
            at = np.minimum(np.searchsorted(row, p[i] * row[-1]), len(row) - 1)
            if self.node_slope is None:
                out[i] = (self.y if self.y.ndim == 1 else self.y[i])[at]
            else:
                out[i] = self._between(i, at, p[i] * row[-1])
        return out

    def at_most(self, y: np.ndarray) -> np.ndarray:
        """(m,) P(Y ≤ y) of each row, for y (m,)."""
        m, r = self.below.shape
        rows, total = np.arange(m), self.below[:, -1]
        if self.place is None or self.transformation is None or self.node_slope is None:
            first = self.y[0] if self.y.ndim == 1 else self.y[:, 0]
            at = np.floor(y - first).astype(int)  # counts and levels follow one another
            found = self.below[rows, np.clip(at, 0, r - 1)]
            return np.where(at < 0, 0.0, np.where(at >= r - 1, 1.0, found / total))
        center, spread = self.place.T
        with np.errstate(all="ignore"):
            t = np.arcsinh(np.arcsinh((self.transformation.back(y) - center) / spread) * (2.0 / np.pi))
        at = np.where(np.isnan(t), -1.0, t / FINE + 0.5 * (r - 1))
        left = np.clip(np.floor(at), 0, r - 2).astype(int)
        low, high = self.below[rows, left], self.below[rows, left + 1]
        rise = np.maximum(high - low, TINY)
        x = np.clip(at - left, 0.0, 1.0)
        ends = _HERMITE @ x ** np.arange(6)[:, None]
        parts = (self.mass[rows, left], self.mass[rows, left + 1], self.node_slope[rows, left])
        a, b, c, d = (one / rise for one in (*parts, self.node_slope[rows, left + 1]))
        share = np.clip(ends[0] + a * ends[1] + b * ends[2] + c * ends[3] + d * ends[4], 0.0, 1.0)
        return np.where(at <= 0, 0.0, np.where(at >= r - 1, 1.0, (low + rise * share) / total))

    def _between(self, i: int, at: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Where the quintic that matches P(t), its slope and its second derivative at two nodes equals p."""
        assert self.node_slope is not None and self.place is not None and self.transformation is not None
        left = np.maximum(at - 1, 0)
        below, g, g1 = self.below[i], self.mass[i], self.node_slope[i]
        rise = np.maximum(below[left + 1] - below[left], TINY)
        a, b, c, d = g[left] / rise, g[left + 1] / rise, g1[left] / rise, g1[left + 1] / rise
        goal = np.clip((p - below[left]) / rise, 0.0, 1.0)
        x = goal.copy()
        for _ in range(5):
            powers = x ** np.arange(6)[:, None]
            value, slope = (
                ends[0] + a * ends[1] + b * ends[2] + c * ends[3] + d * ends[4]
                for ends in (_HERMITE @ powers, _HERMITE_SLOPES @ powers)
            )
            x = np.clip(x - (value - goal) / np.where(np.abs(slope) > 1e-12, slope, 1.0), 0.0, 1.0)
        t = FINE * (left + x - (len(below) - 1) / 2)
        center, spread = self.place[i]
        return self.transformation.to(center + spread * np.sinh(0.5 * np.pi * np.sinh(t)))


def tabulate(family: Any, eta: np.ndarray, extra: tuple[np.ndarray, ...], y: np.ndarray) -> list[Tabulated]:
    """The distributions of rows with predictors eta (K, m), a table for every :data:`ROWS` of them.

    Parameters
    ----------
    family : a likelihood with a response.
    eta : (K, m).
    extra : what else the density reads, (m, ...) each.
    y : typical responses, whose range says what they are.

    Raises
    ------
    ModelError
        If the density does not integrate to 1 over the response.
    """
    rules: list[Callable[..., Tabulated | None]] = []
    levels = levels_of(family)
    if levels is not None:
        rules.append(lambda eta, extra: _levels(family, eta, extra, len(levels)))
    for support in ranges_of(family, y):
        if support.counts:
            rules.append(lambda eta, extra: _counts(family, eta, extra, y))
        else:
            rules.append(lambda eta, extra, T=support: _continuous(family, eta, extra, y, T))
    tables = []
    with x64(), np.errstate(all="ignore"):
        for start in range(0, eta.shape[1], ROWS):
            own, more = eta[:, start : start + ROWS], tuple(one[start : start + ROWS] for one in extra)
            found = next((table for table in (rule(own, more) for rule in rules) if table is not None), None)
            if found is None:
                raise ModelError(
                    f"{family.name}: its density does not integrate to 1 over the responses (a censored response, a "
                    "mass at one point, or a density without its constants), so it has no mean or quantiles and "
                    "cannot be drawn from; pass function= to predict something else, simulate= to draw responses"
                )
            tables.append(found)
    return tables


def quantiles(tables: list[Tabulated], p: np.ndarray) -> np.ndarray:
    """(c, m) quantiles of all rows at p (c, m), or at the same p (c,) for all."""
    parts, start = [], 0
    for table in tables:
        count = len(table.mass)
        own = np.repeat(p[:, None], count, axis=1) if p.ndim == 1 else p[:, start : start + count]
        parts.append(table.quantile(np.ascontiguousarray(own.T)).T)
        start += count
    return np.concatenate(parts, axis=1)


def _table(family: Any, eta: np.ndarray, extra: Any, y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masses (m, r) and their slopes ∂mass/∂η = mass · u, (m, r, K), at responses (m, r) with weights (m, r)."""
    m, r = y.shape
    panels = -(-r // NODES)
    padded = np.concatenate([y, np.repeat(y[:, :1], panels * NODES - r, axis=1)], axis=1)
    f, u = RowDensities(family, eta, extra).at(np.repeat(np.arange(m), panels), padded.reshape(-1, NODES))
    f, u = f.reshape(m, -1)[:, :r], u.reshape(m, panels * NODES, -1)[:, :r]
    mass = np.where(np.isfinite(f), np.exp(f), 0.0) * w
    return mass, mass[:, :, None] * np.where(mass[:, :, None] > 0, u, 0.0)


def _mean_slope(y: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Σ y ∂mass/∂η, (K, m)."""
    return np.einsum("mr,mrk->km", y, slope)


def _levels(family: Any, eta: np.ndarray, extra: Any, count: int) -> Tabulated | None:
    codes = np.arange(count, dtype=float)
    nodes = np.broadcast_to(codes, (eta.shape[1], len(codes))).copy()
    mass, slope = _table(family, eta, extra, nodes, np.ones_like(nodes))
    if np.abs(mass.sum(axis=1) - 1.0).max() > COMPLETE:
        return None
    return Tabulated(codes, mass, np.cumsum(mass, axis=1), _mean_slope(nodes, slope), slope.transpose(1, 2, 0))


def _counts(family: Any, eta: np.ndarray, extra: Any, y: np.ndarray) -> Tabulated | None:
    m = eta.shape[1]
    rows, place, left, _ = modes(RowDensities(family, eta, extra), COUNTS, y)
    if len(np.unique(rows)) < m:
        return None
    # Far from 0 each row's counts begin below its modes. With heavier tails the sum falls short of 1: refused.
    low = np.full(m, np.inf)
    np.minimum.at(low, rows, np.floor(np.maximum(place - BELOW * left, 0.0)))
    low = np.where(low < CHUNK, 0.0, low)
    parts, slopes = [], np.zeros(eta.shape)
    total = before = np.zeros(m)
    for start in range(0, MOST_COUNTS, CHUNK):
        nodes = low[:, None] + np.arange(start, start + CHUNK, dtype=float)
        mass, slope = _table(family, eta, extra, nodes, np.ones_like(nodes))
        parts.append(mass)
        slopes += _mean_slope(nodes, slope)
        before, total = total, total + mass.sum(axis=1)
        if (total > 1.0 + COMPLETE).any():
            return None
        complete = np.abs(total - 1.0) < COMPLETE
        if complete.all() and (total - before < LEFT_OUT).all() | (np.abs(total - 1.0) < LEFT_OUT).all():
            table = np.concatenate(parts, axis=1)
            counts = low[:, None] + np.arange(table.shape[1], dtype=float)
            return Tabulated(counts, table, np.cumsum(table, axis=1), slopes)
        if start and (total == before).all() and (total > 0).any():
            return None
    return None


def _nodes(T: Support, center: np.ndarray, spread: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Responses (m, r), equally spaced by h in t, and dy/dt."""
    t = h * np.arange(-round(REACH / h), round(REACH / h) + 1)
    inner = 0.5 * np.pi * np.sinh(t)
    z = center[:, None] + spread[:, None] * np.sinh(inner)
    y = T.to(z)
    stretch = np.exp(T.log_slope(z)) * spread[:, None] * np.cosh(inner) * 0.5 * np.pi * np.cosh(t)
    inside = np.isfinite(y) & np.isfinite(stretch) & (stretch > 0)
    middle = y[:, [y.shape[1] // 2]]
    return np.where(inside, y, middle), np.where(inside, stretch, 0.0)


def _integrals(mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """∫ g from the left end to each node, to sixth order, and h² g′, from h g (m, r), which vanishes at the ends.

    By the Euler-Maclaurin formula the error of the trapezoidal sum is h²/12 g′ − h⁴/720 g‴, at its upper end only.
    """
    wide = np.pad(mass, ((0, 0), (3, 3)))
    r = mass.shape[1]

    def odd(k: int) -> np.ndarray:
        return wide[:, 3 + k : 3 + k + r] - wide[:, 3 - k : 3 - k + r]

    first = (45.0 * odd(1) - 9.0 * odd(2) + odd(3)) / 60.0
    third = (-13.0 * odd(1) + 8.0 * odd(2) - odd(3)) / 8.0
    below = np.cumsum(mass, axis=1) - 0.5 * mass - first / 12.0 + third / 720.0
    return np.maximum.accumulate(np.maximum(below, 0.0), axis=1), first


def _continuous(family: Any, eta: np.ndarray, extra: Any, y: np.ndarray, T: Support) -> Tabulated | None:
    m = eta.shape[1]
    rows, place, left, right = modes(RowDensities(family, eta, extra), T, y)
    highest = np.searchsorted(rows, np.arange(m))
    if len(np.unique(rows)) < m:
        return None
    center, spread = place[highest], np.maximum(left, right)[highest]
    for _ in range(SEARCHES):
        nodes, stretch = _nodes(T, center, spread, COARSE)
        mass, _ = _table(family, eta, extra, nodes, COARSE * stretch)
        total = mass.sum(axis=1)
        if not (np.isfinite(total).all() and (total > 0).all()):
            return None
        share = np.cumsum(mass, axis=1) / total[:, None]
        at = [np.argmax(share >= p, axis=1) for p in (0.16, 0.5, 0.84)]
        zs = [T.back(nodes[np.arange(m), one]) for one in at]
        wide = np.maximum(0.5 * (zs[2] - zs[0]), 0.05 * spread)
        stable = (np.abs(zs[1] - center) < spread) & (wide > 0.3 * spread) & (wide < 3.0 * spread)
        if stable.all() and np.abs(total - 1.0).max() < 1e-2:  # good enough for a centre and a spread
            break
        center, spread = zs[1], wide
    nodes, stretch = _nodes(T, center, spread, FINE)
    mass, slope = _table(family, eta, extra, nodes, FINE * stretch)
    if not np.abs(mass.sum(axis=1) - 1.0).max() < COMPLETE:
        return None
    below, node_slope = _integrals(mass)
    return Tabulated(
        nodes, mass, below, _mean_slope(nodes, slope), None, node_slope, np.column_stack([center, spread]), T
    )
