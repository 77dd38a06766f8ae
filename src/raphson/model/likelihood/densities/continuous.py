"""Log densities of measurements: with heavy tails, between 0 and 1, or censored at a limit."""

from __future__ import annotations

import numpy as np

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.model.likelihood.densities.ready import DensitySpec, log, logit, own, spread
from raphson.numeric import TINY
from raphson.special.elementary import Array, log_ndtr, softplus
from raphson.special.incomplete import betaln, lgamma_growth

LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))


def student_t(y: Array, location: Array, log_scale: Array, log_df: Array) -> Array:
    """Student's t distribution with location, scale σ and ν degrees of freedom.

    Parameters
    ----------
    y : number.
    location : centre of the distribution.
    log_scale : log σ; the standard deviation is σ √(ν/(ν−2)).
    log_df : log ν.

    Examples
    --------
    >>> import raphson as rp
    >>> student_t = rp.densities.student_t
    >>> round(float(student_t(1.0, 0.0, 0.0, 0.0)), 4)  # log of 1/(2 pi), Cauchy's
    -1.8379
    """
    df = jnp.exp(log_df)
    z = (y - location) * jnp.exp(-log_scale)
    # lgamma(ν/2 + 1/2) − lgamma(ν/2) − log(νπ)/2, in which the first difference grows like log(ν/2)/2
    constant = lgamma_growth(jnp.asarray(0.5), 0.5 * df) - LOG_SQRT_2PI
    return constant - log_scale - 0.5 * (df + 1.0) * jnp.log1p(z * z / df)


def beta(y: Array, logit_mean: Array, log_precision: Array) -> Array:
    """The Beta(μφ, (1−μ)φ) distribution of a share (Ferrari and Cribari-Neto 2004, equation 4).

    Parameters
    ----------
    y : share, above 0 and below 1.
    logit_mean : log μ/(1−μ).
    log_precision : log φ; the variance is μ(1−μ)/(1+φ).

    Examples
    --------
    >>> import math
    >>> import raphson as rp
    >>> round(float(rp.densities.beta(0.3, 0.0, math.log(2.0))), 4) == 0.0  # mean 1/2, precision 2: uniform
    True
    """
    a, b = jnp.exp(log_precision - softplus(-logit_mean)), jnp.exp(log_precision - softplus(logit_mean))
    inside = (y > 0) & (y < 1)
    share = jnp.where(inside, y, 0.5)
    return jnp.where(inside, (a - 1.0) * jnp.log(share) + (b - 1.0) * jnp.log1p(-share) - betaln(a, b), -jnp.inf)


def tobit(y: Array, mean: Array, log_sigma: Array, *, lower: Array = 0.0) -> Array:
    """A normal measurement that is recorded as `lower` where it is below (Tobin 1958).

    Parameters
    ----------
    y : number, not below `lower`.
    mean : of the normal distribution before censoring.
    log_sigma : log of its standard deviation.
    lower : the limit; 0 unless the data have a column of that name.

    Examples
    --------
    >>> import raphson as rp
    >>> round(float(rp.densities.tobit(0.0, 0.0, 0.0)), 4)  # at the limit: log of 1/2
    -0.6931
    """
    z = (y - mean) * jnp.exp(-log_sigma)
    at_limit = y <= lower
    return jnp.where(at_limit, log_ndtr((lower - mean) * jnp.exp(-log_sigma)), -0.5 * z * z - log_sigma - LOG_SQRT_2PI)


def _student_t_cdf(y: np.ndarray, location: np.ndarray, log_scale: np.ndarray, log_df: np.ndarray) -> np.ndarray:
    return special.stdtr(np.exp(log_df), (y - location) * np.exp(-log_scale))


def _beta_cdf(y: np.ndarray, logit_mean: np.ndarray, log_precision: np.ndarray) -> np.ndarray:
    precision = np.exp(log_precision)
    return special.betainc(precision * special.expit(logit_mean), precision * special.expit(-logit_mean), y)


def _tobit_cdf(y: np.ndarray, mean: np.ndarray, log_sigma: np.ndarray, lower: np.ndarray | float = 0.0) -> np.ndarray:
    return np.where(y < lower, 0.0, special.ndtr((y - mean) * np.exp(-log_sigma)))


def _shares(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    mean, variance = float(y.mean()), float(y.var())
    return [logit(mean), log(mean * (1.0 - mean) / max(variance, 1e-12) - 1.0, 0.5)]


def _below_limit(y: np.ndarray, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, str]:
    return y < columns.get("lower", np.zeros(len(y))), "no value below the limit (column 'lower', or 0)"


own(
    DensitySpec(
        "student_t",
        student_t,
        start=lambda y, columns: [float(np.median(y)), log(0.7 * spread(y), TINY), 1.5],
        cdf=_student_t_cdf,
    ),
    DensitySpec("beta", beta, support="share", start=_shares, cdf=_beta_cdf),
    DensitySpec(
        "tobit",
        tobit,
        support=_below_limit,
        start=lambda y, columns: [float(y.mean()), log(spread(y), TINY)],
        cdf=_tobit_cdf,
    ),
)
