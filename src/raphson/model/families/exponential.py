"""Gaussian, Poisson, gamma and inverse Gaussian: exponential families whose variance is a power of the mean.

The score u of each is affine in the response, so that the expected information is (du/dy)^2 Var(y).
Written with d log mu / d eta, it avoids 0 times infinity.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.errors import warn_user
from raphson.model.families import kernels, rows_by_hand
from raphson.model.families.base import Array, Family, clip_to, derivative, refuse
from raphson.model.families.distribution import as_array
from raphson.model.families.links import Identity, Inverse, InverseSquared, Link, Log, Sqrt
from raphson.model.families.structure import structured
from raphson.model.families.tails import Tails, log_gamma_tails
from raphson.model.spread import poisson_terms
from raphson.special.elementary import log1p_gap_ratio, ratio_gap, times, with_derivatives
from raphson.special.gamma import log_minus_digamma, stirling_remainder

_LOG_2PI = 1.8378770664093453


class PositiveMean(Family):
    """A family whose mean is positive.

    Examples
    --------
    >>> import raphson as rp
    >>> isinstance(rp.families.Gamma(), rp.families.PositiveMean)
    True
    >>> isinstance(rp.families.Gaussian(), rp.families.PositiveMean)
    False
    """

    @property
    def domain(self) -> tuple[float, float]:
        return self.link.positive_ends

    def inside(self, eta: Array) -> Array:
        return self.link.positive(eta[0])

    def log_mean_slope(self, eta: Array) -> tuple[Array, Array]:
        """log mu and d log mu / d eta, each (m,)."""
        return derivative(self.link.log_mean, eta[0])

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        low, high = self.link.interval
        return clip_to(np.asarray(y, dtype=np.float64), (max(low, 0.0), high))[None]


def chain_over_log_mean(link: Link, eta: Array, by_mean: Array, by_mean2: Array) -> tuple[Array, Array]:
    """Score and observed information (m,) by eta from the first two derivatives by log mu.

    Where the second derivative of log mu is 0, far out, its product with an infinite derivative is left out.
    """
    (_, m1), (_, m2) = derivative(lambda x: derivative(link.log_mean, x), eta)
    return by_mean * m1, -(by_mean2 * m1 * m1 + times(m2, by_mean))


@structured
class Gaussian(Family):
    """The normal distribution: Var(y) = dispersion.

    Parameters
    ----------
    link : str or Link
        "identity" by default.

    Examples
    --------
    >>> from raphson.model import families
    >>> families.Gaussian(link="log").link.name
    'log'
    """

    link: Link = None  # type: ignore[assignment]
    dispersion_is_mean_deviance: ClassVar[bool] = True
    name: ClassVar[str] = "gaussian"
    sufficient: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.gaussian)
    default_link: ClassVar[str] = "identity"
    canonical_link: ClassVar[str] = "identity"
    support: ClassVar[str | None] = "real"

    @property
    def domain(self) -> tuple[float, float]:
        return self.link.valid_ends

    def attains(self, y: np.ndarray, end: float) -> np.ndarray:
        # Any response has a finite density at a mean of 0 (sqrt link), none at an infinite one (inverse_squared).
        return np.full(np.shape(y), isinstance(self.link, Sqrt))

    def inside(self, eta: Array) -> Array:
        return self.link.valid(eta[0])

    def log_density(self, y: Array, eta: Array) -> Array:
        # half the residual is squared, which delays overflow by a power of 2
        residual = y - self.link.mean(eta[0])
        return -0.5 * residual * residual

    @property
    def quadratic(self) -> bool:
        return self.canonical

    @property
    def unit_information(self) -> bool:
        return self.canonical

    @property
    def kernel(self) -> Any:  # type: ignore[override]
        return kernels.normal if self.canonical else None

    @property
    def host_mean(self) -> Any:  # type: ignore[override]
        return np.asarray if self.canonical else None

    def expected(self, eta: Array) -> Array:
        _, slope = derivative(self.link.mean, eta[0])
        return (slope * slope)[None, None]

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        mean = clip_to(np.asarray(y, dtype=np.float64), self.link.interval)
        if isinstance(self.link, Inverse):
            scale = float(np.mean(np.abs(mean))) or 1.0
            mean = np.where(np.abs(mean) > 1e-3 * scale, mean, 0.1 * scale * np.where(mean < 0, -1.0, 1.0))
        return mean[None]

    def recession(self, y: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
        # 1/eta jumps from minus to plus infinity at 0: no direction leads to mean 0 from everywhere.
        if isinstance(self.link, Inverse):
            return np.zeros(np.shape(y), dtype=np.int8)
        return super().recession(y, size)

    def variance(self, mean: np.ndarray) -> np.ndarray:
        mean = as_array(mean)
        return mean.__array_namespace__().ones_like(mean)

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        return (y - mean) ** 2

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return 0.5 * (np.log(weight) - np.log(dispersion) - _LOG_2PI)

    def ml_dispersion(
        self, y: np.ndarray, mean: np.ndarray, weight: np.ndarray | None, weights_kind: str = "precision"
    ) -> float:
        return mean_deviance(self, y, mean, weight, weights_kind)

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        return mean[0] + np.sqrt(scale) * rng.standard_normal((count, mean.shape[1]))

    def cdf(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        p = special.ndtr((y - mean) / np.sqrt(dispersion))
        return p, p

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        z = (y - mean) / np.sqrt(dispersion)
        lower, upper = special.log_ndtr(z), special.log_ndtr(-z)
        return lower, lower, upper, upper


@structured
class Poisson(PositiveMean):
    """The Poisson distribution: Var(y) = mean.

    Parameters
    ----------
    link : str or Link
        "log" by default.

    Examples
    --------
    >>> import raphson as rp
    >>> counts = {"x": [0, 1, 2, 3, 4, 5], "y": [1, 0, 3, 4, 8, 13]}
    >>> rp.glm("y ~ x", counts, family="poisson").params.round(4).to_dict()
    {'Intercept': -0.433, 'x': 0.6081}
    """

    link: Link = None  # type: ignore[assignment]
    name: ClassVar[str] = "poisson"
    sufficient: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.poisson)
    default_link: ClassVar[str] = "log"
    canonical_link: ClassVar[str] = "log"
    support: ClassVar[str | None] = "count"
    dispersion_fixed: ClassVar[bool] = True
    wider_families: ClassVar[tuple[str, ...]] = ("quasipoisson", "negative_binomial")

    def spread(self, y: np.ndarray, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
        return poisson_terms(count * y, count * mean)

    @property
    def log_concave(self) -> bool:
        # y log eta - eta, 2y log eta - eta^2, y eta - exp(eta)
        return isinstance(self.link, Identity | Sqrt | Log)

    def log_density(self, y: Array, eta: Array) -> Array:
        return times(y, self.link.log_mean(eta[0])) - self.link.mean(eta[0])

    @property
    def kernel(self) -> Any:  # type: ignore[override]
        return kernels.log_poisson if self.canonical else None

    @property
    def host_mean(self) -> Any:  # type: ignore[override]
        return np.exp if self.canonical else None

    def expected(self, eta: Array) -> Array:
        # du/dy = d log mu, Var(y) = mu: mu (d log mu)^2, squared last so that a tiny mu lasts longer
        log_mean, slope = self.log_mean_slope(eta)
        return ((jnp.exp(0.5 * log_mean) * slope) ** 2)[None, None]

    def check_support(self, name: str, y: np.ndarray) -> None:
        refuse(
            name,
            y,
            y < 0,
            f"counts of 0 or more (the {self.name} family)",
            'Correct those rows, or choose a family for such responses, such as "gaussian"',
        )
        warn_if_fractional(self, name, y)

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        low, high = self.link.interval
        return clip_to(np.asarray(y, dtype=np.float64) + 0.1, (max(low, 0.0), high))[None]

    def variance(self, mean: np.ndarray) -> np.ndarray:
        return as_array(mean)

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        # Where the mean is rounded to 0, the value still contains its logarithm.
        y = np.asarray(y, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(mean > 0, 2.0 * poisson_excess(y, mean), 2.0 * (special.xlogy(y, y) - y - value))

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        return -weight * special.gammaln(y + 1.0)

    def saturated_base(
        self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float
    ) -> np.ndarray:
        return weight * poisson_peak(y)

    @property
    def value_has_counts(self) -> bool:
        return True

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        return rng.poisson(mean[0], (count, mean.shape[1])).astype(np.float64)

    def cdf(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        y = np.asarray(y, dtype=np.float64)
        below = np.ceil(y) - 1.0
        return np.where(below < 0, 0.0, special.pdtr(np.maximum(below, 0.0), mean)), special.pdtr(np.floor(y), mean)

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        # P(Y >= k) = P(k, mu), the incomplete gamma function
        at_least, below = log_gamma_tails(np.ceil(y), mean)
        above, up_to = log_gamma_tails(np.floor(y) + 1.0, mean)
        return below, up_to, at_least, above


@structured
class QuasiPoisson(Poisson):
    """Poisson mean and score with Var(y) = dispersion x mean; its log-likelihood is NaN.

    Examples
    --------
    >>> import raphson as rp
    >>> counts = {"x": [0, 1, 2, 3, 4, 5], "y": [1, 0, 3, 4, 8, 13]}
    >>> fit = rp.glm("y ~ x", counts, family="quasipoisson")
    >>> round(float(fit.dispersion), 4)
    0.4394
    """

    link: Link = None  # type: ignore[assignment]
    name: ClassVar[str] = "quasipoisson"
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.poisson)
    dispersion_fixed: ClassVar[bool] = False
    quasi: ClassVar[bool] = True
    sample = Family.sample


@with_derivatives(lambda t: t / (1.0 + t))
def _near_gap(t: Array) -> Array:
    return t * t * log1p_gap_ratio(t)


@structured
class Gamma(PositiveMean):
    """The gamma distribution: Var(y) = dispersion x mean^2, shape 1/dispersion.

    Parameters
    ----------
    link : str or Link
        "inverse" by default.

    Examples
    --------
    >>> import raphson as rp
    >>> costs = {"x": [0, 1, 2, 3, 4, 5], "y": [2.1, 2.9, 4.2, 7.0, 8.1, 13.5]}
    >>> fit = rp.glm("y ~ x", costs, family=rp.families.Gamma(link="log"))
    >>> fit.params.round(4).to_dict()
    {'Intercept': 0.7265, 'x': 0.3692}
    """

    link: Link = None  # type: ignore[assignment]
    # 1/(2a) < log a - psi(a) < 1/a, of which the weighted sum is half the deviance (Alzer 1997).
    dispersion_in_deviances: ClassVar[tuple[float, float]] = (0.49, 1.02)
    name: ClassVar[str] = "gamma"
    sufficient: ClassVar[bool] = True
    bounds_deviance: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.gamma)
    default_link: ClassVar[str] = "inverse"
    canonical_link: ClassVar[str] = "inverse"
    support: ClassVar[str | None] = "nonnegative"

    @property
    def log_concave(self) -> bool:
        # log eta - y eta, -eta - y exp(-eta)
        return isinstance(self.link, Inverse | Log)

    def log_density(self, y: Array, eta: Array) -> Array:
        # -y/mu - log mu, plus 1 + log y to give minus half the unit deviance, -(t - log(1 + t)) with
        # t = y/mu - 1, which has a small rounding error to be multiplied by a shape of 1e8.
        t = y * self.link.reciprocal(eta[0]) - 1.0
        near = jnp.abs(t) < 0.2
        far = t - (jnp.log(y) - self.link.log_mean(eta[0]))
        return -jnp.where(near, _near_gap(jnp.where(near, t, 0.0)), far)

    @property
    def kernel(self) -> Any:  # type: ignore[override]
        return kernels.log_gamma if isinstance(self.link, Log) else None

    @property
    def unit_information(self) -> bool:
        # (dμ/dη)²/V(μ) = μ²/μ²
        return isinstance(self.link, Log)

    def expected(self, eta: Array) -> Array:
        # du/dy = d log mu / mu, Var(y) = mu^2
        _, slope = self.log_mean_slope(eta)
        return (slope * slope)[None, None]

    def check_support(self, name: str, y: np.ndarray) -> None:
        require_positive(self, name, y)

    def variance(self, mean: np.ndarray) -> np.ndarray:
        return as_array(mean) ** 2

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        return -2.0 * np.asarray(value)

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        # With shape a: a log a - a - lgamma(a) - log y, the first three by Stirling's series
        even = len(weight) > 1 and bool((weight == weight[0]).all())
        with np.errstate(divide="ignore"):
            a = (weight[:1] if even else weight) / dispersion
            return 0.5 * (np.log(a) - _LOG_2PI) - stirling_remainder(a) - np.log(y)

    def ml_dispersion(
        self, y: np.ndarray, mean: np.ndarray, weight: np.ndarray | None, weights_kind: str = "precision"
    ) -> float:
        y = np.asarray(y, dtype=np.float64)
        weight = np.ones_like(y) if weight is None else np.asarray(weight, dtype=np.float64)
        deviance = 2.0 * ratio_gap(y, mean)
        there = weight > 0
        return self.dispersion_of(float(np.sum(weight[there] * deviance[there])), y[there], weight[there], weights_kind)

    def dispersion_of(self, deviance: float, y: np.ndarray, weight: np.ndarray, weights_kind: str) -> float:
        target, size = 0.5 * deviance, weight.size
        if size > 1 and weight.min() == weight.max():  # one row represents all
            target, weight, size = target / size, weight[:1], 1
        scale = weight if weights_kind == "precision" else np.ones_like(weight)
        total = float(np.sum(weight))
        if target <= 0:
            return 0.0
        # sum w [log(w a) - psi(w a)] = D/2 for the shape a at unit weight. The left side falls like
        # 1/(2a), and its logarithm is nearly linear in log a, in which Newton's steps are taken. It is
        # evaluated without cancellation, so the root is accurate to the last digits at any shape.
        log_shape = np.log(0.5 * size / target)
        if weights_kind != "precision":
            log_shape = np.log(0.5 * total / target)
        for _ in range(50):
            a = scale * np.exp(log_shape)
            left = float(np.sum(weight * log_minus_digamma(a)))
            # a d/da [log a - psi(a)] = 1 - a psi'(a), which tends to -1/(2a)
            with np.errstate(over="ignore"):
                exact = 1.0 - a * special.polygamma(1, np.minimum(a, 1e4))
                slope = np.where(a < 1e4, exact, -0.5 / a - 1 / (6 * a * a))
            step = (np.log(left) - np.log(target)) * left / float(np.sum(weight * slope))
            log_shape -= step
            if abs(step) < 1e-15 * max(1.0, abs(log_shape)):
                break
        return float(np.exp(-log_shape))

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        shape = 1.0 / scale
        return mean[0] * scale * rng.standard_gamma(np.broadcast_to(shape, (count, mean.shape[1])))

    def cdf(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        shape = 1.0 / np.asarray(dispersion)
        p = special.gammainc(shape, shape * y / mean)
        return p, p

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        shape = 1.0 / np.asarray(dispersion)
        lower, upper = log_gamma_tails(shape, shape * y / mean)
        return lower, lower, upper, upper


@with_derivatives(None, lambda y, x: -0.5 * (y - 1.0 / jnp.sqrt(x)))
def _canonical_inverse_gaussian(y: Array, x: Array) -> Array:
    root = jnp.sqrt(x)
    return -0.5 * (y * root - 1.0) * (root - 1.0 / y)


@structured
class InverseGaussian(PositiveMean):
    """The inverse Gaussian distribution: Var(y) = dispersion x mean^3.

    Parameters
    ----------
    link : str or Link
        "inverse_squared" by default.

    Examples
    --------
    >>> import raphson as rp
    >>> times = {"x": [0, 1, 2, 3, 4, 5], "y": [2.1, 2.9, 4.2, 7.0, 8.1, 13.5]}
    >>> fit = rp.glm("y ~ x", times, family=rp.families.InverseGaussian(link="log"))
    >>> fit.params.round(4).to_dict()
    {'Intercept': 0.7276, 'x': 0.3685}
    """

    link: Link = None  # type: ignore[assignment]
    dispersion_is_mean_deviance: ClassVar[bool] = True
    name: ClassVar[str] = "inverse_gaussian"
    bounds_deviance: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.inverse_gaussian)
    default_link: ClassVar[str] = "inverse_squared"
    canonical_link: ClassVar[str] = "inverse_squared"
    support: ClassVar[str | None] = "nonnegative"

    def attains(self, y: np.ndarray, end: float) -> np.ndarray:
        # eta - y eta^2/2 with the inverse link: at 0 the mean is infinite, and the distribution is Levy's.
        return np.full(np.shape(y), isinstance(self.link, Inverse))

    @property
    def log_concave(self) -> bool:
        # eta - y eta^2/2, sqrt(eta) - y eta/2
        return isinstance(self.link, Inverse | InverseSquared)

    def log_density(self, y: Array, eta: Array) -> Array:
        # -y/(2 mu^2) + 1/mu - 1/(2y), minus half the unit deviance. With the canonical link the first term is
        # linear; written so, its second derivative is 0 instead of a rounding error times y.
        if isinstance(self.link, InverseSquared):
            return _canonical_inverse_gaussian(y, eta[0])
        reciprocal = self.link.reciprocal(eta[0])
        return -0.5 * (y * reciprocal - 1.0) * (reciprocal - 1.0 / y)

    def expected(self, eta: Array) -> Array:
        # du/dy = d log mu / mu^2, Var(y) = mu^3
        log_mean, slope = self.log_mean_slope(eta)
        return ((jnp.exp(-0.5 * log_mean) * slope) ** 2)[None, None]

    def check_support(self, name: str, y: np.ndarray) -> None:
        require_positive(self, name, y)

    def variance(self, mean: np.ndarray) -> np.ndarray:
        return as_array(mean) ** 3

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        return -2.0 * np.asarray(value)

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return 0.5 * (np.log(weight) - np.log(dispersion) - _LOG_2PI) - 1.5 * np.log(y)

    def ml_dispersion(
        self, y: np.ndarray, mean: np.ndarray, weight: np.ndarray | None, weights_kind: str = "precision"
    ) -> float:
        return mean_deviance(self, y, mean, weight, weights_kind, ((y - mean) / mean) ** 2 / y)

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        return rng.wald(mean[0], 1.0 / scale, (count, mean.shape[1]))

    def cdf(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        # Shuster (1968, JASA 63, 1514): Phi(r (y/mu - 1)) + exp(2/(phi mu)) Phi(-r (y/mu + 1)) with
        # r = 1/sqrt(phi y), the second term in logarithms because its factors over- and underflow.
        root = 1.0 / np.sqrt(dispersion * y)
        upper = np.exp(2.0 / (dispersion * mean) + special.log_ndtr(-root * (y / mean + 1.0)))
        p = special.ndtr(root * (y / mean - 1.0)) + upper
        return p, p

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        # With a = r (y/mu - 1) and b = r (y/mu + 1) the factor exp(2/(phi mu)) is phi(a)/phi(b), so that the
        # tails are Phi(a) + phi(a) m(b) and phi(a) [m(a) - m(b)] with Mills's ratio m(x) = Phi(-x)/phi(x), which
        # is sqrt(pi/2) erfcx(x/sqrt 2).
        root = 1.0 / np.sqrt(dispersion * y)
        a, b = root * (y / mean - 1.0), root * (y / mean + 1.0)
        density = -0.5 * a * a - 0.5 * _LOG_2PI
        mills = np.sqrt(np.pi / 2) * special.erfcx(b / np.sqrt(2))
        lower = np.logaddexp(special.log_ndtr(a), density + np.log(mills))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            far = density + np.log(np.sqrt(np.pi / 2) * special.erfcx(a / np.sqrt(2)) - mills)
        upper = np.where(lower < -1.0, np.log1p(-np.exp(np.minimum(lower, -1.0))), far)
        return lower, lower, upper, upper


def mean_deviance(
    family: Family,
    y: np.ndarray,
    mean: np.ndarray,
    weight: np.ndarray | None,
    weights_kind: str,
    deviance: np.ndarray | None = None,
) -> float:
    """D / n with precision weights (n rows of positive weight), D / sum(w) with weights that count."""
    deviance = (y - mean) ** 2 if deviance is None else deviance
    if weight is None:
        return float(np.mean(deviance))
    present = weight > 0
    total = np.sum(weight[present] * deviance[present])
    return float(total / (np.sum(present) if weights_kind == "precision" else np.sum(weight)))


def poisson_excess(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """x log(x/mean) - x + mean for x >= 0, mean > 0, without the cancellation at x near the mean.

    Loader's ``bd0`` (2000, "Fast and accurate computation of binomial probabilities").
    """
    x, mean = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(mean, dtype=np.float64))
    positive = np.where(x > 0, x, 1.0)
    # x [d - log(1 + d)] with 1 + d = mean/x
    return np.where(x > 0, positive * ratio_gap(mean, positive), mean)


def poisson_peak(y: np.ndarray) -> np.ndarray:
    """log of y^y e^-y / y!, the Poisson probability of y where the mean is y: -log(2 pi y)/2 - R(y), and 0 at 0."""
    positive = np.where(y > 0, y, 1.0)
    return np.where(y > 0, -0.5 * (_LOG_2PI + np.log(positive)) - stirling_remainder(positive), 0.0)


def require_positive(family: Family, name: str, y: np.ndarray) -> None:
    """Raise a DataError unless every response is above 0."""
    refuse(
        name,
        y,
        y <= 0,
        f"positive numbers (the {family.name} family)",
        'Drop those rows, or use a family that allows zeros, such as "tweedie(1.5)"',
    )


def warn_if_fractional(family: Family, name: str, y: np.ndarray) -> None:
    """Warn about responses that are not counts."""
    if family.quasi:
        return
    count = int(np.count_nonzero(y != np.floor(y)))
    if count:
        warn_user(
            f"response {name!r}: {count} of {y.size} values are not whole numbers, and the {family.name} "
            "family describes counts. The fit continues; its log-likelihood uses the gamma function. "
            'Consider family="quasipoisson", or an offset for rates',
            UserWarning,
        )
