"""Rows by hand of families with several predictors: as :mod:`raphson.model.families.kernels`, for K of them.

A joint kernel is made for a piece of rows that stays in the processor's cache. It is a function

    kernel(y, eta, observed) -> JointRows or None

of y (m,), eta (K, m), which it may overwrite, and for each matrix wanted whether that is the observed rather than the
expected information. None means that the short forms used here would lose digits at these rows, which autodiff's forms
(:meth:`raphson.model.families.base.Family.rows`) keep. Rows of weight 0 and rows outside the domain are the caller's.

Matrices come as their lower triangles, row by row: of K predictors the pairs (0, 0), (1, 0), (1, 1), (2, 0) and so on.
That of levels comes as their probabilities, of which there are fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from raphson.special.gamma import lgamma_difference, log_minus_digamma, trigamma_excess


class JointRows(NamedTuple):
    """Row quantities of m rows with K predictors."""

    value: np.ndarray
    """(m,) log density at unit dispersion."""
    score: np.ndarray
    """(K, m) its derivatives."""
    matrices: list[np.ndarray | LevelCovariance]
    """Each matrix wanted: (K (K + 1)/2, m), or what it is made from."""


class LevelCovariance(NamedTuple):
    """diag(p) − p pᵀ of m rows, where p are the probabilities of all levels but the first."""

    p: np.ndarray
    """(K, m)."""
    certain: np.ndarray
    """The rows whose likeliest level is all but certain."""
    likeliest: np.ndarray
    """That level."""
    doubt: np.ndarray
    """1 − p of it, with all digits."""

    def triangles(self) -> np.ndarray:
        """(K (K + 1)/2, m)."""
        K, m = self.p.shape
        negative = -self.p
        W, first = np.empty((K * (K + 1) // 2, m)), 0
        for k, one in enumerate(self.p):
            np.multiply(one, negative[: k + 1], out=W[first : first + k + 1])
            first += k + 1
            W[first - 1] += one
        there = np.flatnonzero(self.likeliest)
        k, doubt = self.likeliest[there], self.doubt[there]
        W[k * (k + 1) // 2 - 1, self.certain[there]] = doubt * (1.0 - doubt)
        return W

    def of_certain(self) -> np.ndarray:
        """The triangles of the rows that have an all but certain level."""
        return self._replace(p=self.p[:, self.certain], certain=np.arange(len(self.certain))).triangles()


JointKernel = Callable[[np.ndarray, np.ndarray, tuple[bool, ...]], JointRows | None]

NEARLY_CERTAIN = 1e-3
"""Where all levels but the likeliest have a smaller probability than this in all, they are added up by themselves:
as a difference from 1 their sum would have lost three digits or more."""


MODERATE = 300.0
"""Up to this size of η neither exp(η) nor the smallest probability, exp(−2 · 300)/K, leaves the range of doubles."""


class Levels(NamedTuple):
    """The levels of m multinomial rows with logits against the first level, whose η is 0.

    With M the largest of all η, e_k = exp(η_k − M) and S the sum of all e_k but that of the likeliest level, 1 itself,
    log f = η_y − M − log(1 + S), u_k = [y = k] − p_k with p_k = e_k/(1 + S), and W_kj = p_k ([k = j] − p_j), observed
    and expected alike. 1 − p of the likeliest level is S/(1 + S).

    Where all η are moderate M may as well be 0, and log f is the logarithm of p_y, which the score needs anyway: that
    takes six tenths of the time. Both lose digits only where a level is all but certain.
    """

    value: np.ndarray
    """(m,) log f."""
    negative: np.ndarray
    """(K + 1, m) −p."""
    chosen: np.ndarray
    """(m,) where −p of the response's level is in the flat array."""
    certain: np.ndarray
    """The rows whose likeliest level is all but certain."""
    likeliest: np.ndarray
    """That level."""
    doubt: np.ndarray
    """1 − p of it, with all digits."""

    @classmethod
    def of(cls, y: np.ndarray, eta: np.ndarray, below: float = NEARLY_CERTAIN) -> Levels:
        """At y (m,) and eta (K, m); a level is certain where S is below that."""
        m = eta.shape[1]
        chosen = y.astype(np.intp)
        chosen *= m
        chosen += np.arange(m)
        flat = eta.reshape(-1)
        # The sum of squares is taken in half the time that the largest of them is.
        moderate = flat @ flat <= MODERATE**2 or max(flat.max(initial=0.0), -flat.min(initial=0.0)) <= MODERATE
        return (cls._of_moderate if moderate and below < 1.0 else cls._of_any)(chosen, eta, below)

    @classmethod
    def _of_moderate(cls, chosen: np.ndarray, eta: np.ndarray, below: float) -> Levels:
        K, m = eta.shape
        power = np.empty((K + 1, m))
        np.exp(eta, out=power[1:])
        total = power[1] + 1.0
        for one in power[2:]:
            total += one
        np.divide(-1.0, total, out=power[0])
        power[1:] *= power[0]
        flat = power.reshape(-1)
        value = np.log(-flat.take(chosen))
        certain = likeliest = np.empty(0, dtype=np.intp)
        doubt = np.empty(0)
        least = -1.0 / (1.0 + below)
        if flat.min(initial=0.0) < least:
            certain = np.flatnonzero(power.min(axis=0) < least)
            few = power[:, certain]
            likeliest = few.argmin(axis=0)
            few[likeliest, np.arange(len(certain))] = 0.0
            doubt = -few.sum(axis=0)
            right = chosen[certain] == likeliest * m + certain
            value[certain[right]] = np.log1p(-doubt[right])
        return cls(value, power, chosen, certain, likeliest, doubt)

    @classmethod
    def _of_any(cls, chosen: np.ndarray, eta: np.ndarray, below: float) -> Levels:
        K, m = eta.shape
        power = np.empty((K + 1, m))
        largest = np.maximum(eta[0], 0.0)
        for one in eta[1:]:
            np.maximum(largest, one, out=largest)
        np.subtract(eta, largest, out=power[1:])
        np.negative(largest, out=power[0])
        value = power.reshape(-1).take(chosen)
        np.exp(power, out=power)
        others = power.sum(axis=0)
        np.divide(-1.0, others, out=largest)
        others -= 1.0
        certain = np.flatnonzero(others < below)
        few = power[:, certain]
        likeliest = few.argmax(axis=0)
        few[likeliest, np.arange(len(certain))] = 0.0
        rest = others[certain] = few.sum(axis=0)
        power *= largest
        value -= np.log1p(others, out=others)
        return cls(value, power, chosen, certain, likeliest, rest / (1.0 + rest))

    def information(self) -> LevelCovariance:
        """W."""
        return LevelCovariance(-self.negative[1:], self.certain, self.likeliest, self.doubt)

    def score(self) -> np.ndarray:
        """(K, m) u, which takes the place of −p."""
        flat = self.negative.reshape(-1)
        residual = flat.take(self.chosen)
        residual += 1.0
        right = self.chosen[self.certain] == self.likeliest * len(residual) + self.certain
        residual[self.certain[right]] = self.doubt[right]
        flat[self.chosen] = residual
        return self.negative[1:]


def multinomial(y: np.ndarray, eta: np.ndarray, observed: tuple[bool, ...]) -> JointRows:
    """Multinomial, by :class:`Levels`."""
    levels = Levels.of(y, eta)
    matrices: list[np.ndarray | LevelCovariance] = [levels.information()] * len(observed) if observed else []
    return JointRows(levels.value, levels.score(), matrices)


LARGEST_COUNT = 2**16 - 1
"""Counts up to this are looked up: three tables of so many numbers take half a megabyte each, and fit the cache."""

SMALLEST, LARGEST, FARTHEST = -5.0, 7.0, 30.0
"""log θ between these and |log μ| up to the last lose no digits in the short forms. Terms of the size of θ log(1 + μ/θ)
are subtracted from one another in the score of log θ, whose information is about ½ (μ/(μ + θ))² a row: at θ = e⁷ and
μ = 1 that is 4 · 10⁻⁷, and rounding 3 · 10⁻¹⁰ of it."""

STEP = 1.0 / 32.0
"""Between the values of log μ at which the expected information of log θ is taken. In between it is interpolated: that
is wrong by about STEP²/8 = 10⁻⁴ of it, where it is itself known to a few per cent, and only scales steps."""


@lru_cache(maxsize=8)
def _count_tables(log_theta: float, counts: int) -> tuple[np.ndarray, ...]:
    """What depends on the count and θ alone, for y = 0, 1, ..., counts − 1.

    lgamma(θ + y) − lgamma(θ) − y log θ, S + θ log(1 + y/θ) and S' with S = θ [ψ(θ + y) − ψ(θ) − log(1 + y/θ)] and its
    derivative by log θ, θ log(1 + y/θ), and 1/(θ + y).
    """
    y, theta = np.arange(float(counts)), math.exp(log_theta)
    grown = theta + y
    log_growth = theta * np.log1p(y / theta)
    S = theta * (log_minus_digamma(np.asarray(theta)) - log_minus_digamma(grown))
    slope = S + theta * theta * (trigamma_excess(grown) - trigamma_excess(np.asarray(theta)))
    return lgamma_difference(y, np.asarray(theta)), S + log_growth, slope + log_growth, 1.0 / grown


def negative_binomial(
    y: np.ndarray,
    eta: np.ndarray,
    observed: tuple[bool, ...],
    theta_information: Callable[[np.ndarray, float], np.ndarray],
) -> JointRows | None:
    """Negative binomial with the log link and an estimated θ, whose logarithm a is the second predictor.

    With r = μ/θ, L = log(1 + r), s = r/(1 + r), t = (y − μ)/(θ + μ) and the terms of :func:`_count_tables`

        log f = [lgamma(θ + y) − lgamma(θ) − y log θ] + y η − (y + θ) L
        l_η   = (y − μ)/(1 + r) = θ t
        l_a   = S − θ [t − log(1 + t)] = [S + θ log(1 + y/θ)] − l_η − θ L
        −l_ηη = (y + θ) s (1 − s),   −l_ηa = −s l_η
        −l_aa = −S' − θ [t² θ/(θ + y) − t + log(1 + t)] = −[S' + θ log(1 + y/θ)] − l_η²/(θ + y) + l_η + θ L

    since log(1 + t) = log(1 + y/θ) − L. The expected information of η is μ/(1 + r), and none is shared with a.

    Parameters
    ----------
    theta_information : the expected information of log θ as a function of log μ and log θ.
    """
    m, a = eta[0], float(eta[1, 0])
    largest = float(y.max())
    near = SMALLEST <= a <= LARGEST and m.min() >= -FARTHEST and m.max() <= FARTHEST and bool((eta[1] == a).all())
    if not near or largest > LARGEST_COUNT:
        return None
    count = y.astype(np.intp)
    if not (count == y).all():
        return None
    # A power of 2, so that blocks with other largest counts share the tables.
    growth, slope, curvature, inverse = _count_tables(a, 2 ** (int(largest)).bit_length())
    theta = math.exp(a)
    mean = np.exp(m)
    r = mean * (1.0 / theta)
    L = np.log1p(r)
    grown = y + theta
    value = growth.take(count)
    one = y * m
    value += one
    np.multiply(grown, L, out=one)
    value -= one
    np.add(r, 1.0, out=one)
    np.reciprocal(one, out=one)
    score = np.empty((2, len(y)))
    np.subtract(y, mean, out=score[0])
    score[0] *= one
    L *= theta
    L += score[0]
    np.subtract(slope.take(count), L, out=score[1])
    matrices: list[np.ndarray | LevelCovariance] = []
    for of_response in observed:
        W = np.empty((3, len(y)))
        s = np.multiply(r, one, out=W[1])
        if of_response:
            np.multiply(grown, s, out=W[0])
            W[0] *= one
            np.subtract(L, curvature.take(count), out=W[2])
            W[2] -= score[0] * score[0] * inverse.take(count)
            s *= score[0]
            np.negative(s, out=s)
        else:
            np.multiply(s, theta, out=W[0])
            s[:] = 0.0
            values, rises = _information_table(theta_information, a)
            place = (m + FARTHEST) * (1.0 / STEP)
            node = place.astype(np.intp)
            place -= node
            place *= rises.take(node)
            np.add(values.take(node), place, out=W[2])
        matrices.append(W)
    return JointRows(value, score, matrices)


@lru_cache(maxsize=8)
def _information_table(
    theta_information: Callable[[np.ndarray, float], np.ndarray], log_theta: float
) -> tuple[np.ndarray, np.ndarray]:
    """At each node, and how much it rises to the next."""
    values = theta_information(np.arange(-FARTHEST, FARTHEST + 1.5 * STEP, STEP), log_theta)
    return values[:-1], np.diff(values)
