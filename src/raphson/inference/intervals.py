r"""Quantiles, p-values and Wald intervals of the normal and Student's t.

Those of the normal are of the standard library's ``erfc``, as ``scipy.special`` takes 0.1 s to import; t's are from it.
``scipy.stats`` has them all, but takes longer to import than the rest of Raphson.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from raphson import scipy_special as special
from raphson.errors import ModelError, one_line, warn_user


def check_level(level: Any) -> float:
    """Check the coverage of an interval, with a warning if it is below a half.

    Other packages take α = 1 - level, so whoever passes 0.05 may mean 95%.

    Raises
    ------
    ModelError
        If ``level`` isn't strictly between 0 and 1.

    Examples
    --------
    >>> check_level(0.95)
    0.95
    """
    try:
        inside = 0.0 < float(level) < 1.0
    except (TypeError, ValueError):
        inside = False
    if not inside:
        hint = f" Did you mean level={level / 100:g}?" if _is_percentage(level) else ""
        raise ModelError(f"level: expected a number between 0 and 1, such as 0.95; got {one_line(level)}.{hint}")
    if level < 0.5:
        warn_user(
            f"level: expected the coverage, such as 0.95; got {level:g}, so that intervals miss more often than not. "
            f"For {100 * (1 - level):.4g}% intervals pass {1 - level:.4g}"
        )
    return float(level)


def quantile(level: float, df: float | None = None) -> float:
    """Upper quantile q with P(|T| <= q) = level.

    Parameters
    ----------
    level : float
        Between 0 and 1, such as 0.95.
    df : float, optional
        Degrees of freedom of t; ``None`` or infinity for the standard normal.

    Returns
    -------
    float
        NaN for df <= 0, as a saturated model has no estimate of the dispersion.

    Raises
    ------
    ModelError
        If ``level`` isn't strictly between 0 and 1.

    Examples
    --------
    >>> round(quantile(0.95), 6), round(quantile(0.95, 10), 6)
    (1.959964, 2.228139)
    """
    # From the lower tail, as (1 + level)/2 rounds to 1 for levels near 1.
    tail = (1.0 - check_level(level)) / 2.0
    if _is_normal(df):
        return _normal_quantile(float(tail))
    return float(-special.stdtrit(df, tail)) if df is not None and df > 0 else float("nan")


def p_values(statistics: np.ndarray, df: float | np.ndarray | None = None) -> np.ndarray:
    r"""Two-sided p-values P(\|T\| >= \|t\|), to full precision far into the tails.

    Parameters
    ----------
    statistics : ndarray
        z or t statistics; NaN gives NaN.
    df : float or ndarray, optional
        Degrees of freedom of t, one for all or one for each; ``None`` or infinity for the standard normal.

    Returns
    -------
    ndarray
        Of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> p_values(np.array([1.959963984540054, 30.0])).round(12).tolist()
    [0.05, 0.0]
    >>> float(p_values(30.0)) < 1e-190
    True
    """
    if isinstance(df, np.ndarray):
        return np.array([float(p_values(t, one)) for t, one in zip(statistics, df.tolist(), strict=True)])
    t = np.abs(np.asarray(statistics, dtype=float))
    if _is_normal(df):
        return np.array([math.erfc(one) for one in (t / math.sqrt(2.0)).flat]).reshape(t.shape)
    if df is None or not df > 0:
        return np.full(t.shape, np.nan)
    # P(|T| >= t) = I_x(df/2, 1/2) with x = df/(df+t²). For t² < df, x is close to 1 and the digits are in 1-x (with
    # df = 1e10, an error of eps in x causes one of 1e-6 in x^(df/2)), so use the complement.
    with np.errstate(over="ignore", invalid="ignore"):
        square = t * t
        far = np.where(np.isinf(square), 0.0, df / (df + square))
        near = np.where(np.isinf(square), 1.0, square / (df + square))
    p = np.where(square > df, special.betainc(df / 2, 0.5, far), special.betaincc(0.5, df / 2, near))
    return np.where(np.isnan(t), np.nan, p)


def conf_int(
    params: np.ndarray,
    bse: np.ndarray,
    level: float = 0.95,
    df: float | np.ndarray | None = None,
) -> np.ndarray:
    """Wald's confidence intervals: estimate ∓ quantile · standard error.

    Parameters
    ----------
    params, bse : ndarray, (p,)
        Estimates and standard errors; NaN where aliased, fixed or separated.
    level : float
    df : float, optional
        As in :func:`quantile`.

    Returns
    -------
    ndarray, (p, 2)
        Lower and upper ends.

    Raises
    ------
    ModelError
        For a level outside (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> conf_int(np.array([1.0]), np.array([0.5])).round(4).tolist()
    [[0.02, 1.98]]
    """
    many = isinstance(df, np.ndarray)
    quantiles = np.array([quantile(level, one) for one in df.tolist()]) if many else quantile(level, df)
    reach = quantiles * np.asarray(bse, dtype=float)
    with np.errstate(invalid="ignore"):
        return np.column_stack([params - reach, params + reach])


def _normal_quantile(tail: float) -> float:
    """The x with P(Z > x) = `tail`, which is at most a half.

    Formula 26.2.23 of Abramowitz and Stegun is off by up to 5e-4.

    With Q(x) = erfc(x/√2)/2 and φ = −Q′, so that Q″ = xφ, Halley's step for f = Q − tail is

        x − 2ff′/(2f′² − ff″) = x + 2e/(2 − xe),   e = f/φ,

    which cubes the error, so that two steps reach rounding.
    """
    r = math.sqrt(-2.0 * math.log(tail))
    x = r - (2.515517 + r * (0.802853 + r * 0.010328)) / (1.0 + r * (1.432788 + r * (0.189269 + r * 0.001308)))
    for _ in range(2):
        e = (0.5 * math.erfc(x / math.sqrt(2.0)) - tail) * math.sqrt(2.0 * math.pi) * math.exp(0.5 * x * x)
        x += 2.0 * e / (2.0 - x * e)
    return x


def _is_normal(df: float | None) -> bool:
    return df is None or df == np.inf


def _is_percentage(level: object) -> bool:
    return isinstance(level, (int, float)) and 50 <= level < 100
