"""Rows of the commonest families by hand, in NumPy: what a pass over millions of rows needs, and no more.

Autodiff of the log density defines every family (:meth:`raphson.model.families.base.Family.rows`), and serves all of
them. The functions here are the same derivatives written out for families that large data are fitted with: of a
response's log density, its slope and its curvature by η, with nothing computed twice, no copy and no ``where``. Tests
hold each of them to autodiff.

A kernel is made for a piece of rows that stays in the processor's cache. It is a function

    kernel(y, eta, work) -> (value, score, expected, observed, variation)

of y (m,), eta (m,) and scratch space work, (5, m) or five arrays (m,), whose results are (m,) arrays, mostly those of
`work`: the log density at unit dispersion, its derivative, its expected and its observed information (the same array
where they are one), and (y − μ)²/V(μ), None where the dispersion is known. Rows of weight 0 and rows outside the domain
are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from raphson.special.elementary import log1p_gap

Kernel = Callable[[np.ndarray, np.ndarray, Any], tuple[np.ndarray, ...]]

_MINUS_ONE, _MINUS_HALF, _HALF, _ONE = map(np.asarray, (-1.0, -0.5, 0.5, 1.0))
"""Constants as arrays: of 200 rows a quarter of an operation's time is to make one of a number."""


def logistic(y: np.ndarray, eta: np.ndarray, work: Any) -> tuple[Any, ...]:
    """Binomial with the logit link.

    With e = exp(−|η|) and s = 1/(1 + e) the likelier outcome has the probability s and the other one e s; the
    information is e s². With h = 1 for η ≥ 0 and 0 elsewhere, log f = (y − h) η − log(1 + e) and y − μ = (y − h) ± e s:
    of a response that is fitted all but with certainty y − h is 0 exactly, and no digit of the small rest is lost.
    """
    value, score, information, small, half = work
    np.copysign(eta, _MINUS_ONE, small)
    np.exp(small, small)
    np.log1p(small, value)
    np.add(small, _ONE, information)
    np.reciprocal(information, information)
    np.multiply(small, information, small)
    np.multiply(small, information, information)
    np.copysign(_HALF, eta, half)
    np.subtract(y, _HALF, score)
    np.subtract(score, half, score)
    np.multiply(score, eta, half)
    np.subtract(half, value, value)
    np.copysign(small, eta, small)
    np.add(score, small, score)
    return value, score, information, information, None


def normal(y: np.ndarray, eta: np.ndarray, work: Any) -> tuple[Any, ...]:
    """Normal with the identity link: log f = −½ (y − η)², and the information is 1."""
    value, score, information, square, _ = work
    np.subtract(y, eta, out=score)
    np.multiply(score, score, out=square)
    np.multiply(square, _MINUS_HALF, out=value)
    information[:] = 1.0
    return value, score, information, information, square


def log_poisson(y: np.ndarray, eta: np.ndarray, work: Any) -> tuple[Any, ...]:
    """Poisson with the log link: log f = y η − μ with μ = exp(η), which is the information too."""
    value, score, mean, _, _ = work
    np.exp(eta, out=mean)
    np.multiply(y, eta, out=value)
    np.subtract(value, mean, out=value)
    np.subtract(y, mean, out=score)
    return value, score, mean, mean, None


def log_gamma(y: np.ndarray, eta: np.ndarray, work: Any) -> tuple[Any, ...]:
    """Gamma with the log link: with t = y/μ − 1 log f = −(t − log(1 + t)), of slope t and curvature −(1 + t) by η.

    The expected information is 1. Where y is near μ in every row, t − log(1 + t) is added up without cancellation.
    """
    value, score, expected, observed, square = work
    np.negative(eta, out=observed)
    np.exp(observed, out=observed)
    np.multiply(y, observed, out=observed)
    np.subtract(observed, _ONE, out=score)
    np.multiply(score, score, out=square)
    if square.max(initial=0.0) < NEAR * NEAR:
        value = -log1p_gap(score)
    else:
        np.log(observed, out=value)
        np.subtract(value, score, out=value)
    expected[:] = 1.0
    return value, score, expected, observed, square


NEAR = 0.2
"""Where |t| is below this in every row of a piece log(1 + t) is taken from t by a series: elsewhere the terms that are
large leave nothing of the others' cancellation to be seen in the sum."""
