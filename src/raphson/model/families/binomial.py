"""The binomial families: the response is the proportion of successes, and the trials multiply the weight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.random import Generator

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.errors import DataError, warn_user
from raphson.model.families import kernels, rows_by_hand
from raphson.model.families.base import Array, Family, Observations, Rows, clip_to, derivative, refuse, some_of
from raphson.model.families.distribution import as_array
from raphson.model.families.exponential import poisson_excess, poisson_peak
from raphson.model.families.links import CLogLog, Identity, Link, Log, Logit, Probit, Sqrt
from raphson.model.families.structure import structured
from raphson.model.families.tails import Tails, log_beta_tails
from raphson.model.spread import binomial_terms
from raphson.special.elementary import log1p_unit, times

if TYPE_CHECKING:
    from raphson.data import Response


def _logistic(eta: np.ndarray) -> np.ndarray:
    mean = np.negative(eta)
    np.exp(mean, out=mean)
    mean += 1.0
    return np.reciprocal(mean, out=mean)


def _whole(y: np.ndarray) -> bool:
    """Whether every response is 0 or 1, for which the perfect fit is certain."""
    return bool(((y == 0.0) | (y == 1.0)).all())


WHOLE = 1e-3
"""How far from a whole number shares times trials may be rounded; R's limit."""


def _shares_of(y: np.ndarray, weights: np.ndarray | None) -> bool:
    """Whether whole weights make proportions whole numbers of successes: they are the trials then."""
    if weights is None or (weights != np.round(weights)).any():
        return False
    successes = y * weights
    # A weight of 0 turns any share into 0 successes, and so tells nothing.
    told = (weights > 0) & (y > 0) & (y < 1)
    return bool(told.any() and (np.abs(successes - np.round(successes)) <= WHOLE).all())


def _trials_and_successes(y: np.ndarray, size: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of trials and of successes, whole where they are so but for the rounding of the shares y."""
    m = np.ones(np.shape(y)) if size is None else np.round(size)
    k = m * np.asarray(y)
    whole = np.round(k)
    return m, np.where(np.abs(k - whole) <= WHOLE, whole, k)


@structured
class Binomial(Family):
    """Successes in a number of trials: Var(y) = mean (1 - mean) / trials.

    Parameters
    ----------
    link : str or Link
        "logit" by default.

    Examples
    --------
    >>> from raphson.model import families
    >>> families.resolve("binomial") == families.Binomial(link="logit")
    True
    """

    link: Link = None  # type: ignore[assignment]
    name: ClassVar[str] = "binomial"
    sufficient: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.binomial)
    default_link: ClassVar[str] = "logit"
    canonical_link: ClassVar[str] = "logit"
    support: ClassVar[str | None] = "proportion"
    dispersion_fixed: ClassVar[bool] = True
    wider_families: ClassVar[tuple[str, ...]] = ("quasibinomial",)

    def spread(self, y: np.ndarray, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
        return binomial_terms(y, mean, count)

    @property
    def domain(self) -> tuple[float, float]:
        return self.link.proper_ends

    @property
    def log_concave(self) -> bool:
        # log mu and log(1 - mu) are both concave in eta
        return isinstance(self.link, Logit | Probit | CLogLog | Log | Identity | Sqrt)

    def inside(self, eta: Array) -> Array:
        return self.link.proper(eta[0])

    def log_density(self, y: Array, eta: Array) -> Array:
        # A term whose factor is 0 is left out: far out its logarithm is infinite.
        return times(y, self.link.log_mean(eta[0])) + times(1.0 - y, self.link.log_complement(eta[0]))

    def expected(self, eta: Array) -> Array:
        # The sum over y = 1 and 0 of p(y) u(y)^2, each score multiplied by sqrt(p) before it is squared:
        # under the probit link mu' in mu'^2 / (mu (1 - mu)) underflows from |eta| = 27 on.
        total = jnp.zeros_like(eta[0])
        for log_probability in (self.link.log_mean, self.link.log_complement):
            log_p, score = derivative(log_probability, eta[0])
            root = jnp.exp(0.5 * log_p)
            total = total + jnp.where(root > 0, root * score, 0.0) ** 2
        return total[None, None]

    def rows(self, y: Array, eta: Array) -> Rows:
        if not isinstance(self.link, Logit):
            return super().rows(y, eta)
        # The canonical link in closed form, with one exponential, one logarithm and one division; observed and
        # expected information agree. log mu = -max(-eta, 0) - l and log(1 - mu) = -max(eta, 0) - l.
        x = eta[0]
        e = jnp.exp(-jnp.abs(x))
        share = 1.0 / (1.0 + e)
        other = e * share
        mean = jnp.where(x >= 0, share, other)
        complement = jnp.where(x >= 0, other, share)
        value = -(y * jnp.maximum(-x, 0.0) + (1.0 - y) * jnp.maximum(x, 0.0)) - log1p_unit(e)
        value = jnp.where(self.inside(eta), value, -jnp.inf)
        slope = share * other
        information = slope[None, None]
        score = y * complement - (1.0 - y) * mean
        return Rows(value, score[None], information, information, mean[None], information)

    @property
    def kernel(self) -> Any:  # type: ignore[override]
        return kernels.logistic if self.canonical else None

    @property
    def host_mean(self) -> Any:  # type: ignore[override]
        return _logistic if self.canonical else None

    def prepare(self, response: Response, trials: np.ndarray | None = None) -> Observations:
        name, levels = response.name, response.levels
        values = np.asarray(response.values, dtype=np.float64)
        if values.ndim == 2:
            if trials is not None:
                raise DataError(
                    "trials: the response cbind(successes, failures) already contains the trials. Leave trials= out"
                )
            return self._from_counts(name, values)
        if levels is not None:
            if trials is not None:
                raise DataError(
                    f"trials: expected a number of successes as the response; {name!r} has the levels "
                    f"{some_of(levels)}. Leave trials= out, or give the successes as numbers"
                )
            if len(levels) != 2:
                raise DataError(
                    f"response {name!r}: the {self.name} family expects two levels; got {len(levels)}: "
                    f"{some_of(levels)}. "
                    + (
                        'Use family="multinomial"'
                        if len(levels) > 2
                        else "A response with one level has nothing to explain"
                    )
                )
            return Observations(values, None, levels, self)
        if values.ndim != 1:
            raise DataError(f"response {name!r}: expected one column; got the shape {values.shape}")
        if trials is not None:
            refuse(name, values, ~np.isfinite(values), "finite numbers", "Correct or drop those rows")
            return self._from_trials(name, values, np.asarray(trials, dtype=np.float64))
        lowest = float(np.minimum.reduce(values, initial=math.inf))
        highest = float(np.maximum.reduce(values, initial=-math.inf))
        if not (lowest >= 0.0 and highest <= 1.0) and values.size:
            refuse(name, values, ~np.isfinite(values), "finite numbers", "Correct or drop those rows")
            refuse(
                name,
                values,
                (values < 0) | (values > 1),
                f"0 or 1, or proportions between them (the {self.name} family)",
                "For numbers of successes, give the group sizes as trials= or use cbind(successes, failures)",
            )
        fractional = int(np.count_nonzero((values > 0) & (values < 1)))
        weights = response.precision
        if fractional and weights is not None and not self.quasi and _shares_of(values, weights):
            return Observations(
                values, np.maximum(weights, 1.0), None, self, (lowest, highest), weights_are_trials=True
            )
        if fractional and not self.quasi:
            self._warn_of_proportions(name, fractional, values)
        return Observations(values, None, None, self, (lowest, highest))

    def _from_counts(self, name: str, counts: np.ndarray) -> Observations:
        if counts.shape[1] != 2:
            raise DataError(
                f"response {name!r}: expected the two columns cbind(successes, failures); "
                f"got {counts.shape[1]}. Write both counts, in this order"
            )
        bad = ~np.isfinite(counts) | (counts < 0)
        worst = np.where(bad[:, 0], counts[:, 0], counts[:, 1])
        refuse(name, worst, np.any(bad, axis=1), "counts of 0 or more in both columns", "Correct those rows")
        size = counts.sum(axis=1)
        refuse(name, size, size <= 0, "at least one trial in each row", "Drop the rows without trials")
        self._warn_if_fractional(name, counts)
        return Observations(counts[:, 0] / size, size, None, self)

    def _from_trials(self, name: str, successes: np.ndarray, trials: np.ndarray) -> Observations:
        if trials.shape != successes.shape:
            raise DataError(f"trials: expected one number per row ({successes.shape[0]}); got the shape {trials.shape}")
        bad = ~np.isfinite(trials) | (trials <= 0)
        refuse("trials", trials, bad, "positive numbers of trials", "Drop the rows without trials")
        refuse(name, successes, successes < 0, "numbers of successes of 0 or more", "Correct those rows")
        refuse(
            name,
            successes,
            successes > trials,
            "no more successes than trials",
            "With trials= the response is the number of successes, not the proportion; correct those rows",
        )
        self._warn_if_fractional(name, successes)
        return Observations(successes / trials, trials, None, self)

    def _warn_of_proportions(self, name: str, count: int, values: np.ndarray) -> None:
        warn_user(
            f"response {name!r}: {count} of {values.size} values are proportions, and trials= is not given. The fit "
            "assumes one trial per row; give the group sizes as trials= with the numbers of successes as the response, "
            'or use family="quasibinomial"',
            UserWarning,
        )

    def _warn_if_fractional(self, name: str, counts: np.ndarray) -> None:
        count = int(np.count_nonzero(counts != np.floor(counts)))
        if count and not self.quasi:
            warn_user(
                f"response {name!r}: {count} numbers of successes or failures are not whole. The fit "
                "continues; if the response is a proportion, multiply it by the trials",
                UserWarning,
            )

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        # (w y + 1/2) / (w + 1), as in R
        mean = (weight * y + 0.5) / (weight + 1.0)
        low, high = self.link.interval
        return clip_to(mean, (max(low, 0.0), min(high, 1.0)))[None]

    def variance(self, mean: np.ndarray) -> np.ndarray:
        mean = as_array(mean)
        return mean * (1.0 - mean)

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        # For y = 0 or 1 the perfect fit has log density 0. Otherwise the linear parts of the two excesses in
        # y log(y/mu) + (1 - y) log((1 - y)/(1 - mu)) cancel. Where the mean is rounded to 0 or 1, the value
        # still contains its logarithm.
        y, mean = np.asarray(y, dtype=np.float64), np.asarray(mean, dtype=np.float64)
        if _whole(y):
            return 2.0 * (0.0 - value)
        with np.errstate(divide="ignore", invalid="ignore"):
            close = poisson_excess(y, mean) + poisson_excess(1.0 - y, 1.0 - mean)
        far = special.xlogy(y, y) + special.xlog1py(1.0 - y, -y) - value
        inner = (y > 0) & (y < 1) & (mean > 0) & (mean < 1)
        # Far from y nothing cancels, and the value keeps the digits that a small 1 - mean has lost.
        return 2.0 * np.where(inner & (close < 0.1), close, far)

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        # log of the binomial coefficient. Without trials, a precision weight is a number of trials (the
        # variance is mu (1 - mu)/weight, as in R); with trials, it multiplies them.
        m = weight if size is None else size
        if _whole(y):
            return np.zeros(len(y))  # all trials fail or all succeed, in one way
        coefficient = special.gammaln(m + 1.0) - special.gammaln(m * y + 1.0) - special.gammaln(m * (1.0 - y) + 1.0)
        return coefficient if size is None else weight * coefficient

    def saturated_base(
        self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float
    ) -> np.ndarray:
        # m!/(k! (m - k)!) y^k (1 - y)^(m - k): with m^m e^-m/m! for each factorial the powers cancel.
        m = weight if size is None else size
        if _whole(y):
            return np.zeros(len(y))
        peak = poisson_peak(m * y) + poisson_peak(m * (1.0 - y)) - poisson_peak(m)
        return peak if size is None else weight * peak

    @property
    def value_has_counts(self) -> bool:
        return True

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        trials = np.ones(mean.shape[1]) if size is None else np.round(size)
        return rng.binomial(trials.astype(np.int64), mean[0], (count, mean.shape[1])) / trials

    def cdf(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        m, k = _trials_and_successes(y, size)
        below = np.ceil(k) - 1.0
        trials = m.astype(np.int64)
        lower = np.where(below < 0, 0.0, special.bdtr(np.maximum(below, 0.0), trials, mean))
        return lower, special.bdtr(np.floor(k), trials, mean)

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        m, k = _trials_and_successes(y, size)

        def from_count(k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """log P(Y >= k) = log I_p(k, m - k + 1), and log P(Y < k)."""
            inner = (k >= 1) & (k <= m)
            a, b = np.where(inner, k, 1.0), np.where(inner, m - k + 1.0, 1.0)
            lower, upper = log_beta_tails(a, b, mean)
            none, all_of_them = np.full(k.shape, -np.inf), np.zeros(k.shape)
            start, end = np.where(k < 1, all_of_them, none), np.where(k < 1, none, all_of_them)
            return np.where(inner, lower, start), np.where(inner, upper, end)

        at_least, below = from_count(np.ceil(k))
        above, up_to = from_count(np.floor(k) + 1.0)
        return below, up_to, at_least, above


@structured
class QuasiBinomial(Binomial):
    """Binomial mean and score, Var(y) = dispersion x mean (1 - mean) / trials; its log-likelihood is NaN.

    Examples
    --------
    >>> import raphson as rp
    >>> trial = {"x": [0, 1, 2, 3], "y": [1, 4, 5, 9], "n": [10, 10, 10, 10]}
    >>> fit = rp.glm("y ~ x", trial, family="quasibinomial", trials="n")
    >>> round(float(fit.dispersion), 4)
    0.5692
    """

    link: Link = None  # type: ignore[assignment]
    name: ClassVar[str] = "quasibinomial"
    bounds_deviance: ClassVar[bool] = True
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.binomial)
    dispersion_fixed: ClassVar[bool] = False
    quasi: ClassVar[bool] = True
    sample = Family.sample
