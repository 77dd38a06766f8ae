"""Log densities of times, some of which may be right-censored (only known to be longer than observed)."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.model.likelihood.densities.continuous import LOG_SQRT_2PI
from raphson.model.likelihood.densities.ready import DensitySpec, log, own, spread
from raphson.numeric import TINY
from raphson.special.elementary import Array, log_ndtr
from raphson.special.incomplete import log_gamma_kernel, log_gammaincc


def weibull(y: Array, log_time: Array, log_sigma: Array, *, event: Array) -> Array:
    """An accelerated failure time: log T = log_time + σ W, W the smallest extreme value (Kalbfleisch and Prentice 2.2).

    Parameters
    ----------
    y : time, above 0.
    log_time : the linear predictor of log T; its exponential is the Weibull scale.
    log_sigma : log σ; 1/σ is the Weibull shape.
    event : 1 where the time is that of the event, 0 where the event was later.

    Examples
    --------
    >>> import raphson as rp
    >>> weibull = rp.densities.weibull
    >>> [round(float(weibull(2.0, 0.0, 0.0, event=event)), 4) for event in (1, 0)]  # the exponential distribution
    [-2.0, -2.0]
    """
    log_y = jnp.log(y)
    w = (log_y - log_time) * jnp.exp(-log_sigma)
    return jnp.where(event > 0, w - log_sigma - log_y, 0.0) - jnp.exp(w)


def lognormal(y: Array, log_time: Array, log_sigma: Array, *, event: Array) -> Array:
    """A time whose logarithm is normal: log T = log_time + σ Z.

    Parameters
    ----------
    y : time, above 0.
    log_time : mean of log T.
    log_sigma : log σ.
    event : 1 where the time is that of the event, 0 where the event was later.

    Examples
    --------
    >>> import raphson as rp
    >>> round(float(rp.densities.lognormal(1.0, 0.0, 0.0, event=0)), 4)  # log of 1/2
    -0.6931
    """
    log_y = jnp.log(y)
    z = (log_y - log_time) * jnp.exp(-log_sigma)
    return jnp.where(event > 0, -0.5 * z * z - log_sigma - log_y - LOG_SQRT_2PI, log_ndtr(-z))


def gamma(y: Array, log_mean: Array, log_shape: Array, *, event: Array) -> Array:
    """A Gamma-distributed time with mean μ and shape k, so that Var = μ²/k.

    Parameters
    ----------
    y : time, above 0.
    log_mean : log μ.
    log_shape : log k.
    event : 1 where the time is that of the event, 0 where the event was later.

    Examples
    --------
    >>> import raphson as rp
    >>> evaluated = rp.autodiff.decompose(lambda y: rp.densities.gamma(y, 0.0, 0.0, event=0))  # in double precision
    >>> round(evaluated(2.0).value, 4)  # the exponential distribution
    -2.0
    """
    shape = jnp.exp(log_shape)
    log_y = jnp.log(y)
    log_x = log_y + log_shape - log_mean
    x = jnp.exp(log_x)
    kernel = log_gamma_kernel(shape, x)
    # Each row uses one of the two terms; the other is evaluated where its derivatives are finite.
    at = jnp.where(event > 0, 1.0, x)
    censored = log_gammaincc(shape, at, jnp.where(event > 0, 0.0, kernel))
    return jnp.where(event > 0, kernel - log_y, censored)


def _weibull_cdf(y: np.ndarray, log_time: np.ndarray, log_sigma: np.ndarray, event: Any = None) -> np.ndarray:
    del event  # the distribution of the time, seen or not
    return -np.expm1(-np.exp((np.log(y) - log_time) * np.exp(-log_sigma)))


def _lognormal_cdf(y: np.ndarray, log_time: np.ndarray, log_sigma: np.ndarray, event: Any = None) -> np.ndarray:
    del event
    return special.ndtr((np.log(y) - log_time) * np.exp(-log_sigma))


def _gamma_cdf(y: np.ndarray, log_mean: np.ndarray, log_shape: np.ndarray, event: Any = None) -> np.ndarray:
    del event
    return special.gammainc(np.exp(log_shape), y * np.exp(log_shape - log_mean))


def _log_times(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    log_y = np.log(y)
    return [float(log_y.mean()) + 0.5, log(spread(log_y), 0.1)]


def _gamma_times(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    died = max(float(columns["event"].mean()), 0.1)
    return [log(float(y.mean()) / died, TINY), 0.0]


own(
    DensitySpec("weibull", weibull, support="positive", start=_log_times, cdf=_weibull_cdf),
    DensitySpec("lognormal", lognormal, support="positive", start=_log_times, cdf=_lognormal_cdf),
    DensitySpec("gamma", gamma, support="positive", start=_gamma_times, cdf=_gamma_cdf),
)
