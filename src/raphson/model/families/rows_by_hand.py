"""Rows of the ready families in NumPy: what a fit of one of them needs, without JAX.

Autodiff of the log density defines every family (:meth:`raphson.model.families.base.Family.rows`). The functions here
are its derivatives written out, composed from those of the links (:mod:`raphson.model.families.links_by_hand`), and
tests hold each family with each link to autodiff. A family names its function `by_hand`:

    by_hand(family, link, y, eta) -> HandRows, or None where it has no digits to promise

of y (m,) and eta (K, m). A family with one predictor has results (m,), the others the shapes of
:class:`raphson.model.families.base.Rows`. Value and score are computed at once, the rest when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np

from raphson.model.families.joint_kernels import Levels
from raphson.model.families.kernels import NEAR
from raphson.model.families.links_by_hand import BY_HAND, LinkByHand, Part, times
from raphson.special.elementary import log1p_gap
from raphson.special.powers import minus_half_deviance_at, two_powers_at


@dataclass
class HandRows:
    """Row quantities of m rows, shaped as those of :class:`raphson.model.families.base.Rows`.

    Attributes
    ----------
    value, first : the log density and its derivative.
    inside : (m,) whether the mean lies in the family's space of means.
    of_observed, of_expected, of_mean, of_slope : functions without arguments.
    """

    value: np.ndarray
    first: Part
    inside: np.ndarray
    of_observed: Callable[[], Part]
    of_expected: Callable[[], Part]
    of_mean: Callable[[], Part]
    of_slope: Callable[[], Part]
    m: int = field(init=False)

    def __post_init__(self) -> None:
        self.m = len(self.value)
        if not self.inside.all():
            self.value = np.where(self.inside, self.value, -np.inf)

    def row(self, part: Part) -> np.ndarray:
        """A part of a family with one predictor as an array (m,)."""
        return self._shaped(part, 1)

    def _shaped(self, part: Part, dimensions: int) -> np.ndarray:
        """A part as an array with that many dimensions: of one predictor those before the rows' are 1."""
        found = np.asarray(part, dtype=np.float64)
        if found.ndim == dimensions:
            return found
        if found.ndim == 0:
            found = np.full(self.m, float(found))
        return found.reshape((1,) * (dimensions - 1) + (self.m,))

    @cached_property
    def score(self) -> np.ndarray:
        return self._shaped(self.first, 2)

    @cached_property
    def observed(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self._shaped(self.of_observed(), 3)

    @cached_property
    def expected(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self._shaped(self.of_expected(), 3)

    @cached_property
    def mean(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self._shaped(self.of_mean(), 2)

    @cached_property
    def slope(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self._shaped(self.of_slope(), 3)


def hand_rows(family: Any, y: np.ndarray, eta: np.ndarray) -> HandRows | None:
    """The rows of a ready family with a ready link; None for any other, even for one derived from them."""
    by_hand = vars(type(family)).get("by_hand")
    link = BY_HAND.get(type(family.link)) if by_hand is not None else None
    if by_hand is None or link is None:
        return None
    with np.errstate(all="ignore"):
        return by_hand.__func__(family, link, y, eta)


def has_hand_rows(family: Any) -> bool:
    """Whether a family is a ready one with a ready link."""
    return "by_hand" in vars(type(family)) and type(family.link) in BY_HAND


def one_predictor(
    family: Any,
    link: LinkByHand,
    eta: np.ndarray,
    value: np.ndarray,
    first: Part,
    inside: np.ndarray | None = None,
    **of: Any,
) -> HandRows:
    """Rows of one predictor, whose mean is the link's."""
    of = {"of_mean": lambda: link.mean(eta[0])[0], "of_slope": lambda: link.mean(eta[0])[1], **of}
    return HandRows(value, first, family.inside(eta) if inside is None else inside, **of)


def gaussian(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows:
    """log f = −½ (y − μ)²."""
    mean, slope, bend = link.mean(eta[0])
    residual = y - mean
    return one_predictor(
        family,
        link,
        eta,
        -0.5 * residual * residual,
        residual * slope,
        family.link.valid(eta[0]),
        of_observed=lambda: slope * slope - residual * bend,
        of_expected=lambda: slope * slope,
        of_mean=lambda: mean,
        of_slope=lambda: slope,
    )


def binomial(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows:
    """log f = y log μ + (1 − y) log(1 − μ); a term whose factor is 0 is left out, as its logarithm may be infinite.

    The expected information is the mean of the squared score, μ (log μ)'² + (1 − μ) (log(1 − μ))'². With the canonical
    link a kernel has it all.
    """
    if family.canonical:
        value, score, _, information, _ = family.kernel(y, eta[0], np.empty((5, len(y))))
        return one_predictor(
            family,
            link,
            eta,
            value,
            score,
            of_observed=lambda: information,
            of_expected=lambda: information,
            of_slope=lambda: information,
        )
    one, none, other = link.log_mean(eta[0]), link.log_complement(eta[0]), 1.0 - y
    value, first = (times(y, one[k]) + times(other, none[k]) for k in (0, 1))

    def observed() -> Part:
        return -(times(y, one[2]) + times(other, none[2]))

    def expected() -> Part:
        total = np.zeros(len(y))
        for log_p, score, _ in (one, none):
            root = np.exp(0.5 * log_p)
            total += times(root, score) ** 2
        return total

    return one_predictor(family, link, eta, value, first, of_observed=observed, of_expected=expected)


def poisson(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows:
    """log f = y log μ − μ; the information is μ (log μ)'²."""
    log_mean, mean = link.log_mean(eta[0]), link.mean(eta[0])
    if family.canonical:
        part = mean[0]
        return one_predictor(
            family,
            link,
            eta,
            times(y, eta[0]) - part,
            y - part,
            of_observed=lambda: part,
            of_expected=lambda: part,
            of_mean=lambda: part,
            of_slope=lambda: part,
        )
    value, first = (times(y, log_mean[k]) - mean[k] for k in (0, 1))
    return one_predictor(
        family,
        link,
        eta,
        value,
        first,
        of_observed=lambda: mean[2] - times(y, log_mean[2]),
        of_expected=lambda: (np.exp(0.5 * log_mean[0]) * log_mean[1]) ** 2,
        of_mean=lambda: mean[0],
        of_slope=lambda: mean[1],
    )


def gamma(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows:
    """log f = log(1 + t) − t with t = y/μ − 1, plus terms without η.

    With r = 1/μ and l = log μ, of which r' = −l' r, the slope is −(y r' + l') = l' t and the curvature
    y r'' + l'' = l'² (1 + t) − l'' t. The right sides have no
    cancellation near t = 0, the left ones none far from it.
    """
    inverse, log_mean = link.reciprocal(eta[0]), link.log_mean(eta[0])
    t = y * inverse[0] - 1.0
    near = np.abs(t) < NEAR
    value = np.log(y) - log_mean[0] - t
    value[near] = -log1p_gap(t[near])

    def observed() -> Part:
        square, bend = log_mean[1] * log_mean[1], log_mean[2]
        return np.where(near, square * (1.0 + t) - bend * t, y * inverse[2] + bend)

    first = np.where(near, log_mean[1] * t, -(y * inverse[1] + log_mean[1]))
    return one_predictor(
        family, link, eta, value, first, of_observed=observed, of_expected=lambda: log_mean[1] * log_mean[1] + 0.0 * t
    )


def inverse_gaussian(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows:
    """log f = −½ (y r − 1)(r − 1/y) with r = 1/μ: the slope is −r' (y r − 1), the curvature r'' (y r − 1) + y r'².

    With the canonical link r = √η, and the curvature is ¼ η^−3/2 for every y.
    """
    inverse = link.reciprocal(eta[0])
    excess = y * inverse[0] - 1.0
    value = -0.5 * excess * (inverse[0] - 1.0 / y)
    first = -inverse[1] * excess

    def observed() -> Part:
        if family.canonical:
            return 0.25 / (eta[0] * inverse[0])
        return inverse[2] * excess + y * inverse[1] * inverse[1]

    def expected() -> Part:
        log_mean, slope, _ = link.log_mean(eta[0])
        return (np.exp(-0.5 * log_mean) * slope) ** 2

    return one_predictor(family, link, eta, value, first, of_observed=observed, of_expected=expected)


def tweedie(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows | None:
    """By the chain rule over m = log μ, of which the log density has the slope y e^(1−p)m − e^(2−p)m."""
    p = float(family.power)
    if p == 0:
        return gaussian(family, link, y, eta)
    m, m1, m2 = link.log_mean(eta[0])
    value = minus_half_deviance_at(y, p, m, np)
    by_mean = two_powers_at(y, 1.0, p, m, np)

    def observed() -> Part:
        by_mean2 = two_powers_at((1.0 - p) * y, 2.0 - p, p, m, np)
        return -(by_mean2 * m1 * m1 + times(m2, by_mean))

    return one_predictor(
        family,
        link,
        eta,
        value,
        by_mean * m1,
        family.link.positive(eta[0]),
        of_observed=observed,
        of_expected=lambda: (np.exp(0.5 * (2.0 - p) * m) * m1) ** 2,
    )


def multinomial(family: Any, link: LinkByHand, y: np.ndarray, eta: np.ndarray) -> HandRows:
    """By :class:`raphson.model.families.joint_kernels.Levels`, with all digits in every row."""
    K = len(eta)
    inside = np.logical_and.reduce(np.isfinite(eta))
    levels = Levels.of(y, eta, below=math.inf)
    p = -levels.negative

    @cache
    def information() -> np.ndarray:
        triangles = levels._replace(negative=-p).information().triangles()
        below = np.zeros((K, K), dtype=np.intp)
        below[np.tril_indices(K)] = np.arange(len(triangles))
        return triangles[np.maximum(below, below.T)]

    def slope() -> Part:
        return np.concatenate([(-p[:1] * p[1:])[None], information()])

    return HandRows(levels.value, levels.score(), inside, information, information, lambda: p, slope)
