"""The negative binomial: counts with variance mu + mu^2/theta, theta known or estimated."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.errors import ModelError
from raphson.model.families import joint_kernels, negative_binomial_by_hand
from raphson.model.families.base import Array, Family, Rows, clip_to, derivative, refuse
from raphson.model.families.distribution import as_array
from raphson.model.families.exponential import (
    Poisson,
    PositiveMean,
    chain_over_log_mean,
    poisson_excess,
    poisson_peak,
    warn_if_fractional,
)
from raphson.model.families.links import Link, Log
from raphson.model.families.structure import parameter, structured
from raphson.model.families.tails import Tails, log_beta_tails
from raphson.special import gamma
from raphson.special.elementary import sigmoid, with_derivatives
from raphson.special.gamma import log_parallel, stirling_remainder, theta_log1p


@with_derivatives(lambda mean, theta: 1.0 / (1.0 + mean / theta), None)
def _theta_log1p_of_mean(mean: Array, theta: Array) -> Array:
    return theta * jnp.log1p(mean / theta)


@structured
class NegativeBinomial(PositiveMean):
    """The negative binomial distribution: Var(y) = mean + mean^2 / theta.

    Parameters
    ----------
    theta : float, optional
        Known positive value. Without it theta is estimated: the family then has a second linear
        predictor, log theta, with an intercept only.
    link : str or Link
        Of the mean; "log" by default.

    Examples
    --------
    >>> from raphson.model import families
    >>> families.NegativeBinomial().auxiliary
    ('log_theta',)
    >>> families.NegativeBinomial(theta=2.0).n_predictors
    1
    """

    theta: np.float64 | None = None
    link: Link = None  # type: ignore[assignment]
    name: ClassVar[str] = "negative_binomial"
    default_link: ClassVar[str] = "log"
    dispersion_fixed: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(negative_binomial_by_hand.negative_binomial)

    def __post_init__(self) -> None:
        super().__post_init__()
        parameter(self, "theta", self.theta, lambda v: v > 0, "a positive number, or None to estimate it")

    @property
    def n_predictors(self) -> int:
        return 2 if self.theta is None else 1

    @property
    def auxiliary(self) -> tuple[str, ...]:
        return ("log_theta",) if self.theta is None else ()

    support: ClassVar[str | None] = "count"

    @property
    def joint_kernel(self) -> Any:  # type: ignore[override]
        return _KERNEL if self.theta is None and isinstance(self.link, Log) else None

    @property
    def log_concave(self) -> bool:
        # y eta - (y + theta) log(theta + exp(eta)); unknown for the two predictors together
        return self.theta is not None and isinstance(self.link, Log)

    def with_nuisance_fixed(self, auxiliary: np.ndarray) -> Family:
        return self if self.theta is not None else self.at(float(np.exp(auxiliary[0])))

    def limit_evidence(self, y: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Twice the derivative of the log-likelihood by alpha = 1/theta at 0, and Σ w μ² and Σ w μ.

        The derivative is Σ w ((y − μ)² − y)/2 (Cameron and Trivedi 1998, Regression Analysis of Count Data, equation
        3.39).
        """
        return np.array([weight @ ((y - mean) ** 2 - y), weight @ mean**2, weight @ mean])

    def limit(self, auxiliary: np.ndarray, evidence: np.ndarray) -> Family | None:
        """Poisson, if the responses vary no more than Poisson ones and alpha adds almost nothing to the variance.

        The contribution of alpha is the share of Σ w α μ² in Σ w (μ + α μ²). Where the derivative at alpha = 0 is not
        positive, the maximum is there.
        """
        if self.theta is not None:
            return None
        slope, squares, total = evidence
        if np.exp(-auxiliary[0]) * squares > 1e-4 * total:
            return None
        return Poisson(link=self.link) if slope <= 0 else None

    def at(self, theta: float) -> NegativeBinomial:
        """The family with theta fixed at a value, as after its estimation."""
        return NegativeBinomial(theta=np.float64(theta), link=self.link)

    def _known(self) -> np.float64:
        if self.theta is None:
            raise ModelError("NegativeBinomial: theta is not known yet; take the family at its estimate, .at(theta)")
        return self.theta

    # --- traced ---------------------------------------------------------------------------------

    def inside(self, eta: Array) -> Array:
        inside = self.link.positive(eta[0])
        if self.theta is not None:
            return inside
        return inside & (abs(eta[1]) <= negative_binomial_by_hand.FARTHEST_LOG_THETA)

    def log_density(self, y: Array, eta: Array) -> Array:
        if self.theta is None:
            return gamma.negative_binomial_log_density(y, self.link.log_mean(eta[0]), eta[1])
        # y log mu - (y + theta) log(1 + mu/theta), with the two logarithms combined to avoid overflow:
        # log mu - log(1 + mu/theta) = log(mu theta/(mu + theta))
        m, a = self.link.log_mean(eta[0]), jnp.log(self.theta)
        # Below theta the second logarithm is computed from the mean itself: where mu is linear in eta, its
        # second derivative is then -1/theta without a difference of terms of size 1.
        mean = self.link.mean(eta[0])
        near = mean < self.theta
        small = _theta_log1p_of_mean(jnp.where(near, mean, 0.0), self.theta)
        return y * log_parallel(m, a) - jnp.where(near, small, theta_log1p(m, a))

    def expected(self, eta: Array) -> Array:
        # du/dy = (1 - s) d log mu and Var(y) = mu/(1 - s), s = mu/(mu + theta): the product is
        # mu theta/(mu + theta) (d log mu)^2
        m, slope = self.log_mean_slope(eta)
        a = eta[1] if self.theta is None else jnp.broadcast_to(jnp.log(self.theta), m.shape)
        of_mean = (jnp.exp(0.5 * log_parallel(m, a)) * slope) ** 2
        if self.theta is not None:
            return of_mean[None, None]
        # l_ma = s l_m has mean 0: the two predictors are orthogonal.
        zero = jnp.zeros_like(m)
        return jnp.stack([jnp.stack([of_mean, zero]), jnp.stack([zero, _theta_information(m, a)])])

    def rows(self, y: Array, eta: Array) -> Rows:
        if self.theta is not None:
            return super().rows(y, eta)
        # The chain rule over (log mu, log theta), whose derivatives special.gamma has.
        a = eta[1]

        m, m1 = derivative(self.link.log_mean, eta[0])
        value = gamma.negative_binomial_log_density(y, m, a)
        by_mean, by_mean2 = derivative(lambda v: gamma.negative_binomial_mean_score(y, v, a), m)
        by_theta, by_theta2 = derivative(lambda v: gamma.negative_binomial_theta_score(y, m, v), a)
        _, cross = derivative(lambda v: gamma.negative_binomial_mean_score(y, m, v), a)
        first, observed = chain_over_log_mean(self.link, eta[0], by_mean, by_mean2)
        score = jnp.stack([first, by_theta])
        mixed = -cross * m1
        observed = jnp.stack([jnp.stack([observed, mixed]), jnp.stack([mixed, -by_theta2])])
        mean, slope = derivative(self.link.mean, eta[0])
        value = jnp.where(self.inside(eta), value, -jnp.inf)
        slopes = jnp.stack([slope, jnp.zeros_like(slope)])[None]
        return Rows(value, score, observed, self.expected(eta), mean[None], slopes)

    # --- on the host ------------------------------------------------------------------------------

    def check_support(self, name: str, y: np.ndarray) -> None:
        refuse(
            name,
            y,
            y < 0,
            "counts of 0 or more (the negative_binomial family)",
            'Correct those rows, or choose a family for such responses, such as "gaussian"',
        )
        warn_if_fractional(self, name, y)

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        # y + (y == 0)/6, as in R's MASS package
        low, high = self.link.interval
        return clip_to(np.where(y == 0, 1 / 6, y), (max(low, 0.0), high))[None]

    def start_eta(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        eta = super().start_eta(y, weight)
        if self.theta is not None:
            return eta
        # theta by moments of the response, mean^2/(variance - mean), kept between 0.1 and 100. It is too
        # small, since the variance includes what the covariates explain.
        total = float(np.sum(weight))
        mean = float(np.sum(weight * y)) / total
        excess = float(np.sum(weight * (y - mean) ** 2)) / total - mean
        theta = np.clip(mean * mean / excess, 0.1, 100.0) if excess > 0 else 100.0
        return np.concatenate([eta, np.full_like(eta, np.log(theta))])

    def variance(self, mean: np.ndarray) -> np.ndarray:
        mean = as_array(mean)
        return mean * (1.0 + mean / self._known())

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        # 2 {y log(y/mu) - (y + theta) log[(y + theta)/(mu + theta)]}: the linear parts of the two excesses
        # are equal and cancel. Where theta is below the mean the excesses would cancel too, so the logarithms
        # are combined: y log[y (mu + theta)/(mu (y + theta))] and theta times the second.
        theta = self._known()
        y, mean = np.asarray(y, dtype=np.float64), np.asarray(mean, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            large = poisson_excess(y, mean) - poisson_excess(y + theta, mean + theta)
            first = _log_ratio(theta * (y - mean) / (mean * (y + theta)), y / (y + theta) * (mean + theta) / mean)
            second = _log_ratio((y - mean) / (mean + theta), (y + theta) / (mean + theta))
            small = np.where(y > 0, y * first, 0.0) - theta * second
        return 2.0 * np.where(theta < mean, small, large)

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        # The terms of an estimated theta are all in the value.
        known = 0.0 if self.theta is None else gamma.lgamma_difference(y, self.theta)
        return weight * (known - special.gammaln(y + 1.0))

    def saturated_base(
        self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float
    ) -> np.ndarray:
        # Stirling's series for lgamma(y + theta) - lgamma(theta) - lgamma(y + 1): at mean = y the powers cancel.
        theta = self._known()
        positive = np.where(y > 0, y, 1.0)
        more = stirling_remainder(positive + theta) - stirling_remainder(np.asarray(theta))
        return weight * (poisson_peak(y) + np.where(y > 0, more - 0.5 * np.log1p(positive / theta), 0.0))

    @property
    def value_has_counts(self) -> bool:
        return self.theta is not None

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        theta = self._known()
        return rng.negative_binomial(theta, theta / (theta + mean[0]), (count, mean.shape[1])).astype(np.float64)

    def cdf(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        # P(Y <= k) = I_p(theta, k + 1) with p = theta/(theta + mu); 0 for k = -1
        theta = self._known()
        p = theta / (theta + np.asarray(mean))
        below = np.ceil(y) - 1.0
        lower = np.where(below < 0, 0.0, special.betainc(theta, np.maximum(below, 0.0) + 1.0, p))
        return lower, special.betainc(theta, np.floor(y) + 1.0, p)

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        # P(Y < k) = I_p(theta, k) with p = theta/(theta + mu)
        theta = self._known()
        p = theta / (theta + np.asarray(mean))
        k = np.ceil(y)
        below, at_least = log_beta_tails(np.asarray(theta), np.maximum(k, 1.0), p)
        up_to, above = log_beta_tails(np.asarray(theta), np.floor(y) + 1.0, p)
        return np.where(k < 1, -np.inf, below), up_to, np.where(k < 1, 0.0, at_least), above


def _log_ratio(gap: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    # log(ratio) with ratio = 1 + gap, computed from the one that keeps its digits
    near = np.abs(gap) < 0.5
    return np.where(near, np.log1p(np.where(near, gap, 0.0)), np.log(np.where(near, 1.0, ratio)))


def _theta_information(log_mean: Array, log_theta: Array) -> Array:
    # The expected information of log theta, to a few per cent. It only scales steps and need not be exact:
    # standard errors of theta come from the observed information, which is exact.
    #
    # With psi'(x) = int_0^inf t e^(-x t)/(1 - e^-t) dt and the generating function
    # E e^(-tY) = [1 + mu (1 - e^-t)/theta]^-theta, the mean of theta^2 [psi'(theta) - psi'(theta + Y)] is
    # an integral of smooth functions over t, from which theta mu/(theta + mu) is subtracted. The
    # trapezoidal rule in log t is used for 0.01 < theta < 3. Above, where the difference cancels, its
    # expansion p^2/2 / [1 + (1 - 4p/3)/theta] with p = mu/(mu + theta) is used, and below, P(Y > 0)/1.2,
    # since the score is then near 1 for any positive count.
    inner = jnp.clip(log_theta, -4.6, 1.1)
    theta = jnp.exp(inner)
    mu = jnp.exp(jnp.clip(log_mean, -300.0, 300.0))
    total = jnp.zeros_like(mu)
    for t in negative_binomial_by_hand.NODES.tolist():
        e = -np.expm1(-t)
        missing = 1.0 - jnp.exp(-theta * jnp.log1p(mu * (e / theta)))
        total = total + (0.8 * t * t / e) * jnp.exp(-theta * t) * missing
    integral = theta * theta * total - jnp.exp(log_parallel(jnp.log(mu), inner))
    p = sigmoid(log_mean - log_theta)
    expansion = 0.5 * p * p / (1.0 + (1.0 - p * 4.0 / 3.0) * jnp.exp(-jnp.maximum(log_theta, 1.0)))
    positive = -jnp.expm1(-theta_log1p(log_mean, log_theta)) / 1.2
    # The integral also cancels as mu falls; its limit is then p^2/2 / (1 + 1/theta) for every theta.
    least = 0.5 * p * p * theta / (1.0 + theta)
    middle = jnp.where(p < 0.02, least, jnp.maximum(integral, least))
    return jnp.where(log_theta > 1.1, expansion, jnp.where(log_theta < -4.6, positive, middle))


_KERNEL = partial(joint_kernels.negative_binomial, theta_information=negative_binomial_by_hand.theta_information)
