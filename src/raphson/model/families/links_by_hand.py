"""The links in NumPy: the mean, log mean, log complement and reciprocal mean, each with two derivatives.

A link defines these functions for JAX (:mod:`raphson.model.families.links`), whose autodiff is the definition of their
derivatives. What stands here are the same derivatives written out, each safe from η = −800 to 800. A derivative that
does not depend on η is a plain number. Tests hold every function of every link to autodiff.

NumPy warns where a result overflows; callers switch that off.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from raphson import scipy_special as special
from raphson.model.families import links
from raphson.model.families.links import Link
from raphson.special.elementary import BERNOULLI_SERIES, polynomial

Part = Any
"""(m,) array, or a number that stands for one."""

Jet = tuple[Part, Part, Part]
"""A function of η with its first two derivatives."""


def times(y: Part, x: Part) -> Part:
    """y x, and 0 where y is 0, even if x is infinite."""
    if not isinstance(y, np.ndarray):
        return 0.0 if y == 0 else y * x
    product = y * x
    product[y == 0] = 0.0
    return product


class LinkByHand:
    """A link's functions of η (m,), each with its first two derivatives."""

    def mean(self, eta: np.ndarray) -> Jet:
        raise NotImplementedError

    def log_mean(self, eta: np.ndarray) -> Jet:
        raise NotImplementedError

    def log_complement(self, eta: np.ndarray) -> Jet:
        raise NotImplementedError

    def reciprocal(self, eta: np.ndarray) -> Jet:
        """(1/μ)' = −l'/μ and (1/μ)'' = (l'² − l'')/μ with l = log μ."""
        log_mean, first, second = self.log_mean(eta)
        value = np.exp(-log_mean)
        return value, -first * value, (first * first - second) * value


class _Symmetric(LinkByHand):
    """1 − μ(η) = μ(−η)."""

    def log_complement(self, eta: np.ndarray) -> Jet:
        value, first, second = self.log_mean(-eta)
        return value, -first, second


class _Identity(LinkByHand):
    def mean(self, eta: np.ndarray) -> Jet:
        return eta, 1.0, 0.0

    def log_mean(self, eta: np.ndarray) -> Jet:
        slope = 1.0 / eta
        return np.log(eta), slope, -slope * slope

    def log_complement(self, eta: np.ndarray) -> Jet:
        slope = -1.0 / (1.0 - eta)
        return np.log1p(-eta), slope, -slope * slope

    def reciprocal(self, eta: np.ndarray) -> Jet:
        value = 1.0 / eta
        square = value * value
        return value, -square, 2.0 * square * value


class _Log(LinkByHand):
    def mean(self, eta: np.ndarray) -> Jet:
        mean = np.exp(eta)
        return mean, mean, mean

    def log_mean(self, eta: np.ndarray) -> Jet:
        return eta, 1.0, 0.0

    def log_complement(self, eta: np.ndarray) -> Jet:
        # o = μ/(1 − μ) are the odds: o' = o (1 + o)
        odds = 1.0 / np.expm1(-eta)
        near = eta > -math.log(2.0)
        value = np.log1p(-np.exp(eta))
        value[near] = np.log(-np.expm1(eta[near]))
        return value, -odds, -odds * (1.0 + odds)

    def reciprocal(self, eta: np.ndarray) -> Jet:
        value = np.exp(-eta)
        return value, -value, value


class _Logit(_Symmetric):
    def mean(self, eta: np.ndarray) -> Jet:
        mean, complement = special.expit(eta), special.expit(-eta)
        slope = mean * complement
        return mean, slope, slope * (complement - mean)

    def log_mean(self, eta: np.ndarray) -> Jet:
        complement = special.expit(-eta)
        return special.log_expit(eta), complement, -complement * special.expit(eta)

    def reciprocal(self, eta: np.ndarray) -> Jet:
        odds = np.exp(-eta)
        return 1.0 + odds, -odds, odds


FAR = 5.0
"""Beyond this many standard deviations the gap between φ/Φ and −η is a continued fraction: as a difference it loses a
digit of each factor of √10 in η, one and a half up to here."""

TERMS = 40
"""Terms of that continued fraction: at 5 the last of them changes it by less than 10⁻¹⁶, and farther out by less."""


class _Probit(_Symmetric):
    def mean(self, eta: np.ndarray) -> Jet:
        density = np.exp(-0.5 * eta * eta) / math.sqrt(2.0 * math.pi)
        return special.ndtr(eta), density, -eta * density

    def log_mean(self, eta: np.ndarray) -> Jet:
        # With the inverse of Mills's ratio λ = φ/Φ: (log Φ)' = λ and λ' = −λ (η + λ). In the lower tail λ is −η and
        # little more: the rest is 1/(z + 2/(z + 3/(z + ...))) at z = −η (NIST DLMF 7.9.1).
        mills = math.sqrt(2.0 / math.pi) / special.erfcx(eta * -math.sqrt(0.5))
        gap = eta + mills
        far = np.flatnonzero(eta < -FAR)
        if len(far):
            z = -eta[far]
            rest = z.copy()
            for k in range(TERMS, 1, -1):
                rest = z + k / rest
            gap[far] = 1.0 / rest
        return special.log_ndtr(eta), mills, -mills * gap


class _CLogLog(LinkByHand):
    def mean(self, eta: np.ndarray) -> Jet:
        power = np.exp(eta)
        density = np.exp(eta - power)
        return -np.expm1(-power), density, -times(density, np.expm1(eta))

    def log_mean(self, eta: np.ndarray) -> Jet:
        # With v = exp(η), g = v/(exp(v) − 1) and c = v/(1 − exp(−v)) − 1: (log μ)' = g and g' = −g c. Below v = 1 c is
        # v/2 + Σ B_2k v^2k/(2k)!, and log μ = η − log(1 + c).
        power, slope, excess = _gumbel(eta)
        value = np.log1p(-np.exp(-power))
        low = eta < 0
        value[low] = eta[low] - np.log1p(excess[low])
        return value, slope, -times(slope, excess)

    def log_complement(self, eta: np.ndarray) -> Jet:
        value = -np.exp(eta)
        return value, value, value

    def reciprocal(self, eta: np.ndarray) -> Jet:
        # r = 1/μ overflows in the lower tail, so that each derivative has one factor r: r' = −r g, r'' = r g (g + c)
        _, slope, excess = _gumbel(eta)
        value = np.exp(-self.log_mean(eta)[0])
        return value, -value * slope, value * times(slope, slope + excess)


def _gumbel(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """v, g and c."""
    power = np.exp(eta)
    complement = -np.expm1(-power)
    slope = np.exp(eta - power) / complement
    excess = power / complement - 1.0
    low = eta < 0
    v = power[low]
    excess[low] = v * (0.5 + v * polynomial(BERNOULLI_SERIES, v * v))
    slope[power == 0] = 1.0
    return power, slope, excess


class _Cauchit(_Symmetric):
    def mean(self, eta: np.ndarray) -> Jet:
        shrunk = 1.0 / (1.0 + eta * eta)
        density = shrunk / math.pi
        return _cauchy(eta), density, -2.0 * eta * density * shrunk

    def log_mean(self, eta: np.ndarray) -> Jet:
        # (f/F)' = f'/F − (f/F)²
        mean, density, bend = self.mean(eta)
        slope = density / mean
        value = np.log1p(-_cauchy(-eta))
        low = eta < 0
        value[low] = np.log(mean[low])
        return value, slope, bend / mean - slope * slope

    def reciprocal(self, eta: np.ndarray) -> Jet:
        # r' = −f r² and r'' = r² (2 f² r − f'), whose terms cancel in the lower tail. There r is πy + πy b/(1 − b) with
        # y = −η, b = u (1/3 − u/5 + u²/7 − ...) and u = 1/y², and with f = 1/(π(1 + y²)), f' = 2πy f² the second
        # derivative is 2 f² r² (r − πy).
        mean, density, bend = self.mean(eta)
        value = 1.0 / mean
        rest = 2.0 * density * density * value - bend
        far = np.flatnonzero(eta < -4.0)
        if len(far):
            y = -eta[far]
            u = 1.0 / (y * y)
            b = u * np.polynomial.polynomial.polyval(-u, ARC_TANGENT)
            above = np.pi * y * b / (1.0 - b)
            value[far] = np.pi * y + above
            rest[far] = 2.0 * density[far] ** 2 * above
        square = value * value
        return value, -density * square, square * rest


ARC_TANGENT = 1.0 / (2.0 * np.arange(14) + 3.0)
"""1/3, 1/5, ...: at η = −4 the first that is left out is below 1e-18."""


def _cauchy(eta: np.ndarray) -> np.ndarray:
    return np.arctan2(1.0, -eta) / math.pi


class _Inverse(LinkByHand):
    def mean(self, eta: np.ndarray) -> Jet:
        mean = 1.0 / eta
        square = mean * mean
        return mean, -square, 2.0 * square * mean

    def log_mean(self, eta: np.ndarray) -> Jet:
        slope = -1.0 / eta
        return -np.log(eta), slope, slope * slope

    def log_complement(self, eta: np.ndarray) -> Jet:
        value = np.log1p(-1.0 / eta)
        near = eta < 2.0
        value[near] = np.log(eta[near] - 1.0) - np.log(eta[near])
        slope = 1.0 / (eta * (eta - 1.0))
        return value, slope, -(2.0 * eta - 1.0) * slope * slope

    def reciprocal(self, eta: np.ndarray) -> Jet:
        return eta, 1.0, 0.0


class _InverseSquared(LinkByHand):
    def mean(self, eta: np.ndarray) -> Jet:
        mean, inverse = 1.0 / np.sqrt(eta), 1.0 / eta
        slope = -0.5 * mean * inverse
        return mean, slope, -1.5 * slope * inverse

    def log_mean(self, eta: np.ndarray) -> Jet:
        slope = -0.5 / eta
        return -0.5 * np.log(eta), slope, 2.0 * slope * slope

    def log_complement(self, eta: np.ndarray) -> Jet:
        # with s = √η: 1 − 1/s = (η − 1)/(s (s + 1)), the slope is 1/(2 η (s − 1)), and
        # d/dη of η (s − 1) is 3s/2 − 1
        root = np.sqrt(eta)
        value = np.log1p(-1.0 / root)
        near = eta < 4.0
        value[near] = np.log(eta[near] - 1.0) - np.log(root[near]) - np.log1p(root[near])
        slope = (root + 1.0) / (2.0 * eta * (eta - 1.0))
        return value, slope, -(3.0 * root - 2.0) * slope * slope

    def reciprocal(self, eta: np.ndarray) -> Jet:
        root = np.sqrt(eta)
        slope = 0.5 / root
        return root, slope, -0.5 * slope / eta


class _Sqrt(LinkByHand):
    def mean(self, eta: np.ndarray) -> Jet:
        return eta * eta, 2.0 * eta, 2.0

    def log_mean(self, eta: np.ndarray) -> Jet:
        slope = 2.0 / eta
        return 2.0 * np.log(eta), slope, -0.5 * slope * slope

    def log_complement(self, eta: np.ndarray) -> Jet:
        square = eta * eta
        value = np.log1p(-square)
        near = eta > 0.5
        value[near] = np.log1p(-eta[near]) + np.log1p(eta[near])
        inverse = 1.0 / ((1.0 - eta) * (1.0 + eta))
        return value, -2.0 * eta * inverse, -2.0 * (1.0 + square) * inverse * inverse

    def reciprocal(self, eta: np.ndarray) -> Jet:
        value = 1.0 / (eta * eta)
        slope = -2.0 * value / eta
        return value, slope, -3.0 * slope / eta


BY_HAND: dict[type[Link], LinkByHand] = {
    links.Identity: _Identity(),
    links.Log: _Log(),
    links.Logit: _Logit(),
    links.Probit: _Probit(),
    links.CLogLog: _CLogLog(),
    links.Cauchit: _Cauchit(),
    links.Inverse: _Inverse(),
    links.InverseSquared: _InverseSquared(),
    links.Sqrt: _Sqrt(),
}
"""By the class itself: a class that a user derives from one of these may redefine what it likes."""
