"""The Tweedie family: the variance is a given power of the mean."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.errors import ModelError
from raphson.model.families import rows_by_hand
from raphson.model.families.base import Array, Family, Rows, clip_to, derivative, refuse
from raphson.model.families.distribution import as_array
from raphson.model.families.exponential import (
    Gamma,
    Gaussian,
    InverseGaussian,
    Poisson,
    PositiveMean,
    chain_over_log_mean,
    require_positive,
    warn_if_fractional,
)
from raphson.model.families.links import Link
from raphson.model.families.structure import parameter, structured
from raphson.model.families.tails import Tails
from raphson.special.powers import minus_half_deviance, two_powers


@structured
class Tweedie(PositiveMean):
    """A Tweedie distribution: Var(y) = dispersion x mean^power.

    Powers between 1 and 2 allow responses of exactly 0 among positive ones. Powers 0, 1, 2 and 3 are the
    Gaussian, Poisson, gamma and inverse Gaussian families.

    Parameters
    ----------
    power : float
        Not between 0 and 1, where no such distribution exists.
    link : str or Link
        "log" by default.

    Examples
    --------
    >>> from raphson.model import families
    >>> families.resolve("tweedie(1.5)") == families.Tweedie(power=1.5)
    True
    """

    power: np.float64
    link: Link = None  # type: ignore[assignment]
    name: ClassVar[str] = "tweedie"
    default_link: ClassVar[str] = "log"
    bounds_deviance: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.tweedie)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power is None:
            raise ModelError('power: expected a number, as in "tweedie(1.5)"; got None')
        parameter(self, "power", self.power, lambda p: p <= 0 or p >= 1, "a number outside (0, 1)")

    @property
    def log_concave(self) -> bool:
        # y exp((1-p) eta)/(1-p) - exp((2-p) eta)/(2-p) with the log link
        return self.link.name == "log" and bool(1 <= self.power <= 2)

    @property
    def named(self) -> Family | None:
        named = {0.0: Gaussian, 1.0: Poisson, 2.0: Gamma, 3.0: InverseGaussian}.get(float(self.power))
        return None if named is None else named(link=self.link)

    def attains(self, y: np.ndarray, end: float) -> np.ndarray:
        # For a response of 0 the slope of the log density, -mu^(1 - power), is infinite at mean 0.
        return np.zeros(np.shape(y), dtype=bool)

    def atoms(self, y: np.ndarray) -> np.ndarray:
        # No jumps have the probability exp(-mu^(2-p) / ((2-p) phi)), at most 1.
        return (np.asarray(y) == 0) & (1 < self.power < 2)

    # --- traced ---------------------------------------------------------------------------------

    def inside(self, eta: Array) -> Array:
        return jnp.where(self.power == 0, self.link.valid(eta[0]), self.link.positive(eta[0]))

    def log_density(self, y: Array, eta: Array) -> Array:
        # Power 0 is the normal distribution, whose mean may be negative and then has no logarithm.
        p = jnp.asarray(self.power)
        residual = y - self.link.mean(eta[0])
        normal = -0.5 * residual * residual
        return jnp.where(p == 0, normal, minus_half_deviance(y, p, self.link.log_mean(eta[0])))

    def rows(self, y: Array, eta: Array) -> Rows:
        # By the chain rule over log mu: a product of an infinite derivative with a second derivative of 0 can
        # then be left out.
        p = jnp.asarray(self.power)
        by_mean, by_mean2 = derivative(lambda m: two_powers(y, 1.0, p, m), self.link.log_mean(eta[0]))
        score, observed = chain_over_log_mean(self.link, eta[0], by_mean, by_mean2)
        (mean, slope), (_, second) = derivative(lambda x: derivative(self.link.mean, x), eta[0])
        residual = y - mean
        score = jnp.where(p == 0, residual * slope, score)
        observed = jnp.where(p == 0, slope * slope - residual * second, observed)
        value = jnp.where(self.inside(eta), self.log_density(y, eta), -jnp.inf)
        expected = self.expected(eta)
        return Rows(value, score[None], observed[None, None], expected, mean[None], slope[None, None])

    def expected(self, eta: Array) -> Array:
        # du/dy = mu^(1-p) d log mu, Var(y) = mu^p
        log_mean, slope = self.log_mean_slope(eta)
        _, mean_slope = derivative(self.link.mean, eta[0])
        power = (jnp.exp(0.5 * (2.0 - self.power) * log_mean) * slope) ** 2
        return jnp.where(self.power == 0, mean_slope * mean_slope, power)[None, None]

    # --- on the host ------------------------------------------------------------------------------

    def check_support(self, name: str, y: np.ndarray) -> None:
        p = float(self.power)
        if p == 1:
            warn_if_fractional(self, name, y)
        if 1 <= p < 2:
            expected = f"numbers of 0 or more (tweedie with power {p:g})"
            refuse(name, y, y < 0, expected, "Correct or drop those rows")
        elif p >= 2:
            require_positive(self, name, y)

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        low, high = self.link.interval
        y = np.asarray(y, dtype=np.float64)
        return clip_to(np.where(y == 0, 0.1, y), (max(low, 0.0), high))[None]

    def variance(self, mean: np.ndarray) -> np.ndarray:
        return as_array(mean) ** self.power

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        return -2.0 * np.asarray(value)

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        # The log density at mean = y, where the unit deviance is 0.
        p = float(self.power)
        named = self.named
        if named is not None:
            return named.saturated_base(y, weight, size, dispersion)
        if not 1 < p < 2:
            # Stable distributions: the series of their densities alternate and cancel, so there is no density.
            return np.full(np.shape(y), np.nan)
        return _series_at_mean(np.asarray(y, dtype=np.float64), p, dispersion / weight)[0]

    def normalizer_slopes(self, y: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first two derivatives of the log density at mean = y by the logarithm of the dispersion, for 1 < p < 2.

        Each log W_j falls by 1 + α as log φ rises by 1, so that they are −(1 + α) E j and (1 + α)² Var j, with weights
        proportional to W_j, and those of the part that is proportional to 1/φ.
        """
        _, first, second = _series_at_mean(np.asarray(y, dtype=np.float64), float(self.power), dispersion)
        return first, second

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        named = self.named
        if named is None:
            return super().log_tails(y, mean, dispersion, size)
        return named.log_tails(y, mean, dispersion, size)

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        named, p = self.named, float(self.power)
        if named is not None:
            return named.sample(rng, eta, mean, scale, size, count)
        if not 1 < p < 2:
            return super().sample(rng, eta, mean, scale, size, count)
        # A Poisson number of gamma variables (Jorgensen 1987, J. R. Statist. Soc. B 49, section 4.2).
        m = mean[0]
        jumps = rng.poisson(m ** (2 - p) / (scale * (2 - p)), (count, len(m)))
        return scale * (p - 1) * m ** (p - 1) * rng.standard_gamma(jumps * ((2 - p) / (p - 1)))

    def ml_dispersion(
        self, y: np.ndarray, mean: np.ndarray, weight: np.ndarray | None, weights_kind: str = "precision"
    ) -> float:
        p = float(self.power)
        named = self.named
        if named is not None:
            return named.ml_dispersion(y, mean, weight, weights_kind)
        if not 1 < p < 2:
            return float("nan")
        y, mean = np.asarray(y, dtype=np.float64), np.asarray(mean, dtype=np.float64)
        weight = np.ones_like(y) if weight is None else np.asarray(weight, dtype=np.float64)
        there = weight > 0  # other rows may have an infinite value, of which 0 times is no number
        value = _host_value(y[there], mean[there], p)
        return self.dispersion_of(-2.0 * float(np.sum(weight[there] * value)), y, weight, weights_kind)

    def dispersion_of(self, deviance: float, y: np.ndarray, weight: np.ndarray, weights_kind: str) -> float:
        from scipy.optimize import minimize_scalar

        named, p = self.named, float(self.power)
        if named is not None:
            return named.dispersion_of(deviance, y, weight, weights_kind)
        if not 1 < p < 2:
            return float("nan")
        if deviance <= 0:
            return 0.0

        def loss(log_dispersion: float) -> float:
            phi = float(np.exp(log_dispersion))
            base = self.log_normalizer(y, weight, None, phi, weights_kind)
            return 0.5 * deviance / phi - float(np.sum(base))

        centre = float(np.log(deviance / np.sum(weight > 0)))
        found = minimize_scalar(loss, bracket=(centre - 0.5, centre + 0.5), method="brent", tol=1e-10)
        return float(np.exp(found.x))  # pyright: ignore[reportAttributeAccessIssue]


def _host_value(y: np.ndarray, mean: np.ndarray, p: float) -> np.ndarray:
    # minus_half_deviance for 1 < p < 2 in NumPy
    x = np.log(mean) - np.log(np.where(y > 0, y, 1.0))
    scale = np.where(y > 0, y, 1.0) ** (2 - p)
    inner = scale * (np.expm1((1 - p) * x) / (1 - p) - np.expm1((2 - p) * x) / (2 - p))
    return np.where(y > 0, inner, -(mean ** (2 - p)) / (2 - p))


def _series_at_mean(y: np.ndarray, p: float, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # With its first two derivatives by the logarithm of the dispersion.
    # The log density of a compound Poisson-gamma response at mean = y, by the series of Dunn & Smyth
    # (2005, Statistics and Computing 15, eq. 16-17): log f = log sum_j W_j - log y
    # + y^(2-p)/dispersion [1/(1-p) - 1/(2-p)] for y > 0, with alpha = (2-p)/(p-1) and
    # log W_j = j log z - lgamma(j + 1) - lgamma(alpha j),
    # z = y^alpha (p-1)^-alpha / (dispersion^(1+alpha) (2-p)).
    # W_j peaks near j = y^(2-p)/(dispersion (2-p)) and falls on both sides like a normal density with
    # variance j/(1 + alpha): terms beyond 12 standard deviations and 40 more are below 1e-17.
    y, dispersion = np.broadcast_arrays(y, dispersion)
    result, first_slope, second_slope = (np.zeros(y.shape) for _ in range(3))
    positive = np.flatnonzero(y > 0)
    if positive.size == 0:
        return result, first_slope, second_slope
    alpha = (2 - p) / (p - 1)
    y, phi = y[positive], dispersion[positive]
    log_z = alpha * (np.log(y) - np.log(p - 1)) - (1 + alpha) * np.log(phi) - np.log(2 - p)
    peak = y ** (2 - p) / (phi * (2 - p))
    reach = 12.0 * np.sqrt(peak) + 40.0
    first = np.maximum(1.0, np.floor(peak - reach))
    count = np.ceil(peak + reach) - first
    bent = y ** (2 - p) / phi * (1 / (1 - p) - 1 / (2 - p))
    linear = bent - np.log(y)
    # Rows with similar numbers of terms are summed together, so that no table holds more than a million.
    order = np.argsort(count)
    at = 0
    while at < order.size:
        stop = at + 1
        while stop < order.size and (stop + 1 - at) * count[order[stop]] < 1e6:
            stop += 1
        rows = order[at:stop]
        j = first[rows, None] + np.arange(int(count[rows[-1]]))
        log_w = j * log_z[rows, None] - special.gammaln(j + 1) - special.gammaln(alpha * j)
        total = np.asarray(special.logsumexp(log_w, axis=1))
        result[positive[rows]] = total + linear[rows]
        share = np.exp(log_w - total[:, None])
        mean = np.sum(share * j, axis=1)
        first_slope[positive[rows]] = -(1 + alpha) * mean - bent[rows]
        second_slope[positive[rows]] = (1 + alpha) ** 2 * np.sum(share * (j - mean[:, None]) ** 2, axis=1) + bent[rows]
        at = stop
    return result, first_slope, second_slope
