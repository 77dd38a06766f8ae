"""Rows of the negative binomial in NumPy, θ known or estimated: derivatives of the log density written out.

With q = θ/(θ + μ), s = μ/(θ + μ) and P = μ q = θ s, in m = log μ and a = log θ:

    log f = G(y, θ) + y log P − θ log(1 + μ/θ),     G = log Γ(y + θ) − log Γ(θ) − y log θ
    l_m   = y q − P             l_mm = −y s q − P q              l_ma = y s q − P s
    l_a   = S(y, θ) − θ h       l_aa = S'(y, θ) + θ (t² θ/(θ + y) − h)

with t = (y − μ)/(θ + μ) and h = t − log(1 + t). θ is the same in all rows, so that G, S and S' are functions of the
count alone: they are computed for each count once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from raphson import scipy_special as special
from raphson.model.families.links_by_hand import LinkByHand, Part, times
from raphson.model.families.rows_by_hand import HandRows, one_predictor
from raphson.special.elementary import log1p_gap_ratio
from raphson.special.gamma import (
    STEPS,
    lgamma_difference,
    theta_curvature_of_counts,
    theta_score_of_counts,
)

LARGEST_LOG_THETA = 100.0
"""|log θ| beyond which the formulas here may overflow. Where θ is estimated and above, what is left of its terms is
proportional to a power of 1/θ; below, rows are left to autodiff, whose formulas hold from −800 to 800."""

LARGEST_LOG_MEAN = 40.0
"""Means up to e⁴⁰ are 10⁻²⁶ of e¹⁰⁰ and smaller."""

FARTHEST_LOG_THETA = 800.0
"""No θ is beyond it: its terms would be 0, and no step led back."""


class _Parts:
    """What value and derivatives by log μ are composed of, at η (m,) and the number θ."""

    def __init__(self, link: LinkByHand, eta: np.ndarray, theta: float) -> None:
        self.m, self.m1, self.m2 = link.log_mean(eta)
        self.mean, self.mean1, self.mean2 = link.mean(eta)
        self.theta, a = theta, float(np.log(theta))
        gap = self.m - a
        # log(1 + e^−|m − a|) serves log P = min(m, a) − that and log(μ + θ) = max(m, a) + that
        rest = np.log1p(np.exp(-np.abs(gap)))
        self.log_parallel = np.minimum(self.m, a) - rest
        self.log_total = np.maximum(self.m, a) + rest
        self.near = self.mean < theta
        ratio = self.mean / theta
        self.q = 1.0 / (1.0 + ratio)
        # P and s: from μ below θ, from θ above, where μ may be infinite
        self.parallel = np.where(self.near, self.mean, theta) / np.where(self.near, 1.0 + ratio, 1.0 + 1.0 / ratio)
        self.s = self.parallel / theta
        self.grown = theta * np.where(self.near, np.log1p(ratio), self.log_total - a)
        """θ log(1 + μ/θ)."""

    def of_mean(self) -> Part:
        """The expected information about η."""
        return (np.exp(0.5 * self.log_parallel) * self.m1) ** 2

    def by_eta(self, y: np.ndarray) -> tuple[Part, Callable[[], Part]]:
        """The score, and the observed information: below θ from the derivatives of μ itself, which may be 0."""

        def observed() -> Part:
            of_counts = y * (self.s * self.q * self.m1 * self.m1 - self.q * self.m2)
            far = self.parallel * (self.q * self.m1 * self.m1 + self.m2)
            below = self.mean2 * self.q - (self.mean1 * self.q) ** 2 / self.theta
            return of_counts + np.where(self.near, below, far)

        slope = np.where(self.near, self.mean1 * self.q, self.parallel * self.m1)
        return y * self.q * self.m1 - slope, observed


def negative_binomial(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows | None:
    """The rows with θ known, or None."""
    if family.theta is None:
        return _estimated(family, link, y, eta)
    theta = float(family.theta)
    if abs(np.log(theta)) > LARGEST_LOG_THETA:
        return None
    parts = _Parts(link, eta[0], theta)
    score, observed = parts.by_eta(y)
    value = y * parts.log_parallel - parts.grown
    return one_predictor(
        family,
        link,
        eta,
        value,
        score,
        of_observed=observed,
        of_expected=parts.of_mean,
        of_mean=lambda: parts.mean,
        of_slope=lambda: parts.mean1,
    )


def _estimated(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows | None:
    """The rows with log θ as the second predictor, the same in all rows; None where it is not."""
    a = float(eta[1, 0]) if eta.shape[1] else 0.0
    if not (eta[1] == a).all() or -FARTHEST_LOG_THETA <= a < -LARGEST_LOG_THETA:
        return None
    if abs(a) > LARGEST_LOG_THETA:
        return _nearly_poisson(family, link, y, eta, a)
    theta = float(np.exp(a))
    parts = _Parts(link, eta[0], theta)
    scores = _of_counts(lambda counts: theta_score_of_counts(counts, np.float64(a), np), y)
    gap, gap_slope = _gap_terms(parts, y, theta)
    if theta < STEPS:
        # Σ log(θ + k) over k < y, and log s = log P − log θ
        value = _of_counts(lambda counts: special.gammaln(counts + theta) - special.gammaln(theta), y)
        value = value + times(y, parts.log_parallel - a) - parts.grown
    else:
        value = _of_counts(lambda counts: lgamma_difference(counts, np.float64(theta)), y)
        value = value + times(y, parts.log_parallel) - parts.grown
    by_eta, of_mean = parts.by_eta(y)

    def observed() -> Part:
        W = np.empty((2, 2, len(y)))
        W[0, 0] = of_mean()
        W[0, 1] = W[1, 0] = parts.s * (parts.parallel - y * parts.q) * parts.m1
        curvatures = _of_counts(lambda counts: theta_curvature_of_counts(counts, np.float64(a), np), y)
        W[1, 1] = -(curvatures + gap_slope)
        return W

    def expected() -> Part:
        # l_ma = s l_m has mean 0: the two predictors are orthogonal.
        W = np.zeros((2, 2, len(y)))
        W[0, 0], W[1, 1] = parts.of_mean(), theta_information(parts.m, a)
        return W

    def slope() -> Part:
        out = np.zeros((1, 2, len(y)))
        out[0, 0] = parts.mean1
        return out

    first = np.empty((2, len(y)))
    first[0], first[1] = by_eta, scores + gap
    return HandRows(value, first, family.inside(eta), observed, expected, lambda: parts.mean, slope)


def _nearly_poisson(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray, a: float) -> HandRows | None:
    """The rows where θ is so large that log f is Poisson's to the last bit: by those at the largest θ of the formulas.

    l_a, l_aa and l_ma are c/θ (1 + O(y/θ, μ/θ)) with c of y and μ alone, and the expected information of a is c/θ².
    Beyond the farthest log θ, of either sign, no row is in the domain, and a search steps back.
    """
    at_largest = eta.copy()
    at_largest[1] = LARGEST_LOG_THETA
    found = _estimated(family, link, y, at_largest)
    if found is None or (abs(a) <= FARTHEST_LOG_THETA and not (link.log_mean(eta[0])[0] <= LARGEST_LOG_MEAN).all()):
        return None
    shrunk = float(np.exp(LARGEST_LOG_THETA - abs(a)))
    found.first[1] *= shrunk

    def scaled(part: Callable[[], Part], cross: float, own: float) -> Callable[[], Part]:
        return lambda: part() * np.array([[1.0, cross], [cross, own]])[:, :, None]

    inside = found.inside & (abs(a) <= FARTHEST_LOG_THETA)
    observed = scaled(found.of_observed, shrunk, shrunk)
    expected = scaled(found.of_expected, 0.0, shrunk * shrunk)
    return HandRows(found.value, found.first, inside, observed, expected, found.of_mean, found.of_slope)


def _of_counts(function: Callable[[np.ndarray], np.ndarray], y: np.ndarray) -> np.ndarray:
    """A function of the counts: of each count once, where there are fewer counts than rows."""
    largest = y.max(initial=0.0)
    if largest + 1.0 < len(y):
        codes = y.astype(np.intp)
        if (codes == y).all():
            return function(np.arange(largest + 1.0))[codes]
    return function(y)


def _gap_terms(parts: _Parts, y: np.ndarray, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """−θ h and θ (t² θ/(θ + y) − h).

    log(1 + t) is log(y + θ) − log(μ + θ) away from t = 0, and near it h is t² times a series. There
    t² θ/(θ + y) − t is −t (s + θ/(θ + y)), because t θ/(θ + y) = (1 − s) − θ/(θ + y).
    """
    total = y + theta
    t = (y - parts.mean) / (theta + parts.mean)
    t[np.isinf(parts.mean)] = -1.0
    near = np.abs(t) < 0.2
    small = np.where(near, t, 0.0)
    ratio = log1p_gap_ratio(small)
    square = theta * small * small
    log_ratio = np.log(total) - parts.log_total
    share = theta / total
    score = np.where(near, -square * ratio, theta * (log_ratio - t))
    slope = np.where(near, square * (share - ratio), theta * (log_ratio - t * (parts.s + share)))
    return score, slope


NODES = np.exp(0.8 * np.arange(-8, 10))
"""Nodes t = e^(0.8 k), from 0.0017 to 1,339, of the trapezoidal rule in log t."""


def theta_information(m: np.ndarray, a: float) -> np.ndarray:
    """The expected information about a = log θ at m = log μ, to a few per cent.

    The formulas are those of :func:`raphson.model.families.negative_binomial._theta_information`, of which one alone is
    needed where log θ is the same in all rows.
    """
    p = special.expit(m - a)
    if a > 1.1:
        return 0.5 * p * p / (1.0 + (1.0 - p * 4.0 / 3.0) * np.exp(-a))
    if a < -4.6:
        return -np.expm1(-np.exp(a) * np.logaddexp(0.0, m - a)) / 1.2
    theta = np.exp(a)
    mean = np.exp(np.clip(m, -300.0, 300.0))
    total = np.zeros(len(mean))
    for t in NODES.tolist():
        e = -np.expm1(-t)
        missing = 1.0 - np.exp(-theta * np.log1p(mean * (e / theta)))
        total += (0.8 * t * t / e) * np.exp(-theta * t) * missing
    log_mean = np.log(mean)
    parallel = np.exp(np.minimum(log_mean, a) - np.log1p(np.exp(-np.abs(log_mean - a))))
    integral = theta * theta * total - parallel
    least = 0.5 * p * p * theta / (1.0 + theta)
    return np.where(p < 0.02, least, np.maximum(integral, least))
