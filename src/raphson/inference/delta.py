r"""The delta method, for linear predictors, means, and any function of θ, and intervals for predictions.

A covariance enters as its *root*, a matrix Q with C = QᵀQ from ``covariance_root``. The variance of xᵀθ̂ is then |Q x|²,
never negative, and the n x n matrix X C Xᵀ is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson import scipy_special as special
from raphson.errors import ModelError
from raphson.inference import intervals
from raphson.inference.whitening import Matrix, slices, split_columns, whitened
from raphson.sheets.sheet import Grid, InNotebook, Sheet

if TYPE_CHECKING:
    import pandas as pd


def covariance_root(covariance: np.ndarray) -> np.ndarray:
    """Root Q of a covariance, C = QᵀQ.

    Parameters
    ----------
    covariance : ndarray, (p, p)
        Symmetric, positive semi-definite up to rounding. A parameter with NaN in its row and column, such as an
        aliased one, gets a zero column.

    Returns
    -------
    ndarray, (r, p)

    Examples
    --------
    >>> import numpy as np
    >>> Q = covariance_root(np.array([[4.0, 2.0], [2.0, 3.0]]))
    >>> (Q.T @ Q).round(12).tolist()
    [[4.0, 2.0], [2.0, 3.0]]
    """
    covariance = np.asarray(covariance, dtype=float)
    scale = np.sqrt(np.diag(covariance))
    used = np.isfinite(scale) & (scale > 0)
    if not used.any():
        return np.zeros((0, len(scale)))
    # Eigenvectors, as Cholesky would fail for a singular sandwich. Scaling to correlations keeps a coefficient with a
    # tiny standard error from being lost beside one with a large one.
    correlation = covariance[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    value, vector = np.linalg.eigh((correlation + correlation.T) / 2)
    root = np.zeros((len(value), len(scale)))
    root[:, used] = np.sqrt(np.maximum(value, 0.0))[:, None] * vector.T * scale[used]
    return root


def predictor_se(designs: Sequence[Matrix], root: np.ndarray) -> np.ndarray:
    """Standard errors of the linear predictors, √(x_ikᵀ C x_ik).

    Parameters
    ----------
    designs : sequence of K matrices (n, p_k)
    root : ndarray, (r, p)
        From :func:`covariance_root`, p = Σ p_k.

    Returns
    -------
    ndarray, (K, n)

    Examples
    --------
    >>> import numpy as np
    >>> root = covariance_root(np.array([[1.0, 0.0], [0.0, 4.0]]))
    >>> predictor_se([np.array([[1.0, 0.0], [0.0, 1.0]])], root)
    array([[1., 2.]])
    """
    parts = split_columns(root, designs)
    n = designs[0].shape[0]
    se = np.empty((len(designs), n))
    for rows in slices(n):
        Z = whitened(designs, parts, rows)
        se[:, rows] = np.sqrt(np.einsum("kmr,kmr->km", Z, Z))
    return se


def mean_se(designs: Sequence[Matrix], root: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Standard errors of the means by the delta method, |Σ_k (∂μ_c/∂η_k) Q x_ik|.

    Parameters
    ----------
    designs : sequence of K matrices (n, p_k)
    root : ndarray, (r, p)
    slope : ndarray, (C, K, n)
        ∂μ_c/∂η_k of each row.

    Returns
    -------
    ndarray, (C, n)
    """
    parts = split_columns(root, designs)
    n = designs[0].shape[0]
    se = np.empty((slope.shape[0], n))
    for rows in slices(n):
        G = np.einsum("ckm,kmr->cmr", slope[..., rows], whitened(designs, parts, rows), optimize=True)
        se[:, rows] = np.sqrt(np.einsum("cmr,cmr->cm", G, G))
    return se


def mean_interval(
    eta: np.ndarray, se: np.ndarray, inverse_link: Callable[[np.ndarray], np.ndarray], reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence interval of the mean: the inverse link of η ∓ reach · se.

    Parameters
    ----------
    eta, se : ndarray, (n,)
        Linear predictor and its standard error (one predictor).
    inverse_link : callable
        Monotone, μ = g⁻¹(η). If it is decreasing, the ends are swapped. An end outside the link's domain is NaN; it is
        recognised by an image that is NaN or on the wrong side of the mean.
    reach : float
        Quantile of the reference distribution.

    Returns
    -------
    lower, upper : ndarray, (n,)

    Examples
    --------
    >>> import numpy as np
    >>> lower, upper = mean_interval(np.array([0.0]), np.array([1.0]), np.exp, 2.0)
    >>> lower.round(3).tolist(), upper.round(3).tolist()
    ([0.135], [7.389])
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        centre = inverse_link(eta)
        one, other = inverse_link(eta - reach * se), inverse_link(eta + reach * se)
        # An end inside the domain shows whether the link is decreasing; 1/η changes sides at η = 0.
        falling = np.where(np.isnan(other), one > centre, other < centre)
        lower, upper = np.where(falling, other, one), np.where(falling, one, other)
        return np.where(lower <= centre, lower, np.nan), np.where(upper >= centre, upper, np.nan)


def probability_interval(mean: np.ndarray, se: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidence interval of probabilities without their own link (multinomial), on the logit scale.

    The standard error of log(p/(1-p)) is se/(p(1-p)). Its interval is transformed back, so it stays in (0, 1).

    Parameters
    ----------
    mean, se : ndarray
        Probabilities and their standard errors, of any shape.
    reach : float

    Returns
    -------
    lower, upper : ndarray
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = special.logit(mean)
        half = reach * se / (mean * (1.0 - mean))
        lower, upper = special.expit(centre - half), special.expit(centre + half)
    # At a probability of exactly 0 or 1 the logit is infinite, and the interval is that point.
    point = (mean == 0.0) | (mean == 1.0)
    return np.where(point, mean, lower), np.where(point, mean, upper)


def gaussian_prediction_interval(
    mean: np.ndarray,
    se: np.ndarray,
    dispersion: float,
    reach: float,
    weight: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Interval for a new observation, μ̂ ∓ reach √(se² + φ/w): exact for a linear gaussian model.

    Parameters
    ----------
    mean, se : ndarray, (n,)
        Mean and its standard error.
    dispersion : float
        φ, the residual variance.
    reach : float
        Quantile of t on the residual degrees of freedom.
    weight : ndarray or float
        Precision weight of the new observation.

    Returns
    -------
    lower, upper : ndarray, (n,)
    """
    half = reach * np.sqrt(se**2 + dispersion / weight)
    return mean - half, mean + half


def plug_in_prediction_interval(
    cdf: Callable[[np.ndarray], np.ndarray],
    support: str,
    mean: np.ndarray,
    level: float = 0.95,
    size: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Interval for a new observation between two quantiles of the *fitted* distribution.

    The interval takes the estimates for the true values ("plug-in"). It ignores their uncertainty, so in small samples
    it covers a little less than ``level``. For a discrete response it covers at least ``level`` of the fitted
    distribution.

    Parameters
    ----------
    cdf : callable
        y (n,) -> P(Y <= y) (n,) at the estimates.
    support : {"count", "proportion", "nonnegative"}
        0, 1, 2, ...; 0, 1/size, ..., 1; or the half line, with or without an atom at 0.
    mean : ndarray, (n,)
        Fitted means, where the search starts.
    level : float
    size : ndarray, (n,), optional
        Number of trials, for proportions; 1 by default.

    Returns
    -------
    lower, upper : ndarray, (n,)

    Raises
    ------
    ModelError
        For another support.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import special
    >>> mean = np.array([3.0])
    >>> plug_in_prediction_interval(lambda y: special.pdtr(y, mean), "count", mean)
    (array([0.]), array([7.]))
    """
    intervals.check_level(level)
    mean = np.asarray(mean, dtype=float)
    tail = (1.0 - level) / 2.0
    if support == "count":
        ends = [_whole_quantile(cdf, p, mean, None) for p in (tail, 1.0 - tail)]
    elif support == "proportion":
        most = np.ones_like(mean) if size is None else np.asarray(size, dtype=float)
        ends = [_whole_quantile(lambda k: cdf(k / most), p, mean, most) / most for p in (tail, 1.0 - tail)]
    elif support == "nonnegative":
        ends = [_positive_quantile(cdf, p, mean) for p in (tail, 1.0 - tail)]
    else:
        raise ModelError(
            "interval: expected 'confidence', as prediction intervals are for 'real', 'count', 'proportion' and "
            f"'nonnegative' responses; got 'prediction' for the support {support!r}"
        )
    return ends[0], ends[1]


def _whole_quantile(
    cdf: Callable[[np.ndarray], np.ndarray], probability: float, mean: np.ndarray, most: np.ndarray | None
) -> np.ndarray:
    # The smallest whole k with P(Y <= k) >= probability, by doubling and halving, all rows at once.
    # Invariant: cdf(low) < probability <= cdf(high), with low = -1 at first.
    low = np.full_like(mean, -1.0)
    high = np.ceil(np.where(np.isfinite(mean), mean, 0.0)) + 1.0 if most is None else most.copy()
    while most is None and (short := (cdf(high) < probability) & (high < 2.0**52)).any():
        low = np.where(short, high, low)
        high = np.where(short, 2.0 * high, high)
    while (open_ := high - low > 1.0).any():
        middle = np.where(open_, np.floor((low + high) / 2.0), high)
        enough = cdf(middle) >= probability
        high = np.where(open_ & enough, middle, high)
        low = np.where(open_ & ~enough, middle, low)
    return np.where(np.isnan(mean), np.nan, high)


def _positive_quantile(cdf: Callable[[np.ndarray], np.ndarray], probability: float, mean: np.ndarray) -> np.ndarray:
    # cdf(y) = probability by bisection of log y, which gives relative accuracy for heavy and light tails.
    with np.errstate(divide="ignore", invalid="ignore"):
        at_zero = np.nan_to_num(cdf(np.zeros_like(mean))) >= probability
        low, high = np.log(mean) - 1.0, np.log(mean) + 1.0
        step = 1.0
        while (out := (cdf(np.exp(low)) > probability) & (low > -700.0) & ~at_zero).any():
            low, step = np.where(out, low - step, low), 2.0 * step
        step = 1.0
        while (out := (cdf(np.exp(high)) < probability) & (high < 700.0)).any():
            high, step = np.where(out, high + step, high), 2.0 * step
        for _ in range(64):
            middle = (low + high) / 2.0
            below = cdf(np.exp(middle)) < probability
            low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(at_zero, 0.0, np.exp(high))


@dataclass(frozen=True)
class Delta(InNotebook):
    """The estimate of a function of the parameters.

    Attributes
    ----------
    estimate : a float, or a Series for several functions.
    se : its standard error, of the same type.
    interval : (lower, upper) for one function; a DataFrame with columns ``lower`` and ``upper`` for several.
    cov : (m, m) covariance of the m functions.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> found = rp.glm("low ~ lwt", births, family="binomial").delta("exp(10*lwt)")
    >>> round(found.estimate, 4), round(found.se, 4)
    (0.8689, 0.0536)
    """

    estimate: Any
    se: Any
    interval: Any
    cov: np.ndarray

    def __repr__(self) -> str:
        if isinstance(self.estimate, float):
            lower, upper = self.interval
            return f"{self.estimate:.6g} (std. error {self.se:.4g}), interval [{lower:.6g}, {upper:.6g}]"
        return self.tidy().set_index("term").rename_axis(None).to_string()

    def tidy(self) -> pd.DataFrame:
        """One row for each function: term, estimate, std_error, conf_low, conf_high."""
        import pandas as pd

        if isinstance(self.estimate, float):
            values = ("function", self.estimate, self.se, *self.interval)
            return pd.DataFrame([values], columns=["term", "estimate", "std_error", "conf_low", "conf_high"])
        ends = {"conf_low": self.interval["lower"].to_numpy(), "conf_high": self.interval["upper"].to_numpy()}
        own = {"estimate": self.estimate.to_numpy(), "std_error": self.se.to_numpy()}
        return pd.DataFrame({"term": list(self.estimate.index)} | own | ends)

    def _sheet(self) -> Sheet:
        return Sheet("By the delta method", (), [Grid.of(self.tidy().set_index("term"))])


def delta_method(
    value: np.ndarray,
    J: np.ndarray,
    covariance: np.ndarray,
    level: float = 0.95,
    df: float | None = None,
    H: np.ndarray | None = None,
    labels: Sequence[str] | None = None,
    scalar: bool = False,
) -> Delta:
    """Estimates, standard errors and intervals of m functions g of the parameters.

    To first order g(θ̂) − g(θ) ≈ J(θ̂ − θ), with covariance J V Jᵀ. To second order, for normal θ̂, g_k(θ̂) has the bias
    ½ tr(H_k V), which is subtracted, and the covariance of g_k and g_l gains ½ tr(H_k V H_l V).

    Parameters
    ----------
    value : (m,) g(θ̂).
    J : (m, p) ∂g/∂θ.
    covariance : (p, p) V; parameters with NaN count as constants.
    level, df : of the interval; see :func:`raphson.inference.intervals.quantile`.
    H : (m, p, p) second derivatives, for the second-order correction.
    labels : (m,) names.
    scalar : whether g is a number, not a vector with one element.

    Examples
    --------
    >>> import numpy as np
    >>> delta_method(np.array([2.0]), np.array([[3.0]]), np.array([[0.25]]), scalar=True).se
    1.5
    """
    import pandas as pd

    root = covariance_root(covariance)
    half = root @ np.where(np.isfinite(J), J, 0.0).T
    C = half.T @ half
    if H is not None:
        second = np.einsum("ri,kij,sj->krs", root, H, root, optimize=True)
        value = value - 0.5 * np.einsum("krr->k", second)
        C = C + 0.5 * np.einsum("krs,lsr->kl", second, second)
    errors = np.sqrt(np.diagonal(C))
    ends = intervals.conf_int(value, errors, level, df)
    if scalar:
        return Delta(float(value[0]), float(errors[0]), (float(ends[0, 0]), float(ends[0, 1])), C)
    index = list(labels) if labels is not None else list(range(len(value)))
    table = pd.DataFrame(ends, index=index, columns=["lower", "upper"])
    return Delta(pd.Series(value, index=index), pd.Series(errors, index=index), table, C)
