"""Log probabilities of ordered levels: a latent variable that falls between cut points (McCullagh 1980)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.model.likelihood.densities.ready import DensitySpec, own
from raphson.special.elementary import Array, log1m_exp, log_ndtr, softplus


def _between(
    level: Array, location: Array, cuts: Array, interval: Callable[[Array, Array], Array], below: Callable[..., Array]
) -> Array:
    """log P(c_{level−1} < Z ≤ c_level); the outermost intervals have one end only."""
    last = cuts.shape[-1]
    level = jnp.asarray(level).astype(int)
    upper = cuts[jnp.minimum(level, last - 1)] - location
    lower = cuts[jnp.maximum(level - 1, 0)] - location
    inner = (level > 0) & (level < last)
    middle = interval(jnp.where(inner, upper, 1.0), jnp.where(inner, lower, 0.0))
    ends = jnp.where(level == 0, below(jnp.where(level == 0, upper, -lower)), below(-lower))
    value = jnp.where(inner, middle, ends)
    # With cut points out of order there is no such distribution.
    return jnp.where(jnp.all(cuts[1:] > cuts[:-1]), value, -jnp.inf)


def _logistic_interval(upper: Array, lower: Array) -> Array:
    # F(u) − F(l) = F(u) F(−l) (1 − e^(l−u)) for the logistic F
    return log1m_exp(jnp.where(lower < upper, lower - upper, -1.0)) - softplus(-upper) - softplus(lower)


def _normal_interval(upper: Array, lower: Array) -> Array:
    # Computed in the lower tail, where Φ keeps its digits: Φ(u) − Φ(l) = Φ(−l) − Φ(−u).
    flip = lower + upper > 0
    high, low = jnp.where(flip, -lower, upper), jnp.where(flip, -upper, lower)
    top = log_ndtr(high)
    gap = log_ndtr(low) - top
    return top + log1m_exp(jnp.where(gap < 0, gap, -1.0))


def ordered_logit(y: Array, location: Array, cuts: Array) -> Array:
    """P(Y ≤ j) = F(c_j − location) with the logistic F (McCullagh 1980, equation 2.2).

    Parameters
    ----------
    y : number of the level, 0 .. L−1.
    location : linear predictor, without an intercept.
    cuts : (L−1,) increasing cut points.

    Examples
    --------
    >>> import math
    >>> import raphson as rp
    >>> import numpy as np
    >>> cuts = np.array([-1.0, 1.0])
    >>> density = rp.autodiff.decompose(rp.densities.ordered_logit)  # evaluates in double precision
    >>> [round(math.exp(density(level, 0.0, cuts).value), 4) for level in (0.0, 1.0, 2.0)]
    [0.2689, 0.4621, 0.2689]
    """
    return _between(y, location, cuts, _logistic_interval, lambda x: -softplus(-x))


def ordered_probit(y: Array, location: Array, cuts: Array) -> Array:
    """P(Y ≤ j) = Φ(c_j − location) with the normal Φ.

    Parameters
    ----------
    y : number of the level, 0 .. L−1.
    location : linear predictor, without an intercept.
    cuts : (L−1,) increasing cut points.

    Examples
    --------
    >>> import math
    >>> import raphson as rp
    >>> import numpy as np
    >>> cuts = np.array([-1.0, 1.0])
    >>> density = rp.autodiff.decompose(rp.densities.ordered_probit)  # evaluates in double precision
    >>> [round(math.exp(density(level, 0.0, cuts).value), 4) for level in (0.0, 1.0, 2.0)]
    [0.1587, 0.6827, 0.1587]
    """
    return _between(y, location, cuts, _normal_interval, log_ndtr)


def _below_cut(y: np.ndarray, location: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """c_y − location, the argument of P(Y ≤ y); ∓∞ below the first level and from the last one on."""
    level = np.floor(y).astype(int)
    between = np.take_along_axis(cuts, np.clip(level, 0, len(cuts) - 1)[None], axis=0)[0] - location
    return np.where(level < 0, -np.inf, np.where(level >= len(cuts), np.inf, between))


def _logit_cdf(y: np.ndarray, location: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    return special.expit(_below_cut(y, location, cuts))


def _probit_cdf(y: np.ndarray, location: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    return special.ndtr(_below_cut(y, location, cuts))


def _levels(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    # The location is 0 without covariates; cut points at the logits of the cumulative shares.
    shares = np.cumsum(np.bincount(y.astype(int))) / len(y)
    return [0.0, *(float(np.log(s / (1.0 - s))) for s in np.clip(shares[:-1], 1e-4, 1.0 - 1e-4))]


def _probit_levels(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    return [0.6 * value for value in _levels(y, columns)]


own(
    DensitySpec("ordered_logit", ordered_logit, ("location",), "levels", _levels, cdf=_logit_cdf),
    DensitySpec("ordered_probit", ordered_probit, ("location",), "levels", _probit_levels, cdf=_probit_cdf),
)
