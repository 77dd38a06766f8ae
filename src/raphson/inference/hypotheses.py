r"""Tests of hypotheses: Wald, likelihood ratio, score, and White's information matrix test.

A statistic of q degrees of freedom is referred to χ²(q); with an estimated dispersion, a q-th of it to F(q, df_resid).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from raphson.errors import ModelError
from raphson.inference.whitening import Matrix, dense_rows, slices
from raphson.linalg import DEPENDENT, cholesky

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Test:
    """A test and its verdict.

    Attributes
    ----------
    name : which test.
    hypothesis : what it tests, in words.
    statistic : χ², or F where the dispersion is estimated.
    df : its degrees of freedom q.
    df_resid : those of the denominator of F; None for χ².
    p_value : probability of a statistic as large under the hypothesis.
    restricted : estimates under the hypothesis, where the test has them.
    table : the numbers that belong to it (the three kinds of standard errors of the information matrix test).
    draws : data sets drawn under the hypothesis among which `p_value` is counted; 0 where it is the distribution's.

    Examples
    --------
    >>> test = verdict("Wald test", "age = 0", 3.84, 1)
    >>> test
    Wald test of age = 0: chi2(1) = 3.84, p = 0.05004
    """

    __test__ = False  # no test of pytest's

    name: str
    hypothesis: str
    statistic: float
    df: int
    df_resid: float | None
    p_value: float
    restricted: pd.Series | None = field(default=None, repr=False, compare=False)
    table: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    draws: int = 0

    @property
    def distribution(self) -> str:
        """``"chi2"`` or ``"F"``."""
        return "chi2" if self.df_resid is None else "F"

    def __repr__(self) -> str:
        more = "" if self.df_resid is None else f", {self.df_resid:g}"
        shown = f"{self.distribution}({self.df}{more}) = {self.statistic:.4g}, p = {self.p_value:.4g}"
        drawn = f" (among {self.draws} draws)" if self.draws else ""
        return f"{self.name} of {self.hypothesis}: {shown}{drawn}"


def tail(statistic: float, df: int, df_resid: float | None) -> float:
    """P(χ²(df) ≥ statistic), or P(F(df, df_resid) ≥ statistic).

    Examples
    --------
    >>> round(tail(3.841458820694124, 1, None), 12), round(tail(4.0, 1, 10.0), 6)
    (0.05, 0.073388)
    """
    if math.isnan(statistic) or (df_resid is not None and not df_resid > 0):
        return math.nan
    if df_resid is None or math.isinf(df_resid):
        scaled = statistic if df_resid is None else statistic * df
        return float(special.chdtrc(df, scaled))
    return float(special.fdtrc(df, df_resid, statistic))


def verdict(
    name: str,
    hypothesis: str,
    chi2: float,
    df: int,
    df_resid: float | None = None,
    restricted: Any = None,
    table: Any = None,
) -> Test:
    """Refer a statistic that is χ²(df) with a known dispersion to its distribution.

    Parameters
    ----------
    chi2 : the statistic, the estimated dispersion divided out.
    df_resid : residual degrees of freedom where the dispersion is estimated, else None.
    """
    statistic = chi2 if df_resid is None else chi2 / df
    return Test(name, hypothesis, statistic, df, df_resid, tail(statistic, df, df_resid), restricted, table)


def wald(gap: np.ndarray, J: np.ndarray, covariance: np.ndarray) -> float:
    """Wald's statistic hᵀ(J V Jᵀ)⁻¹h.

    Parameters
    ----------
    gap : (q,) h(θ̂), which the hypothesis says is 0.
    J : (q, p) ∂h/∂θ.
    covariance : (p, p) V; NaN where a parameter has none.

    Raises
    ------
    ModelError
        If J V Jᵀ is singular.

    Examples
    --------
    >>> wald(np.array([2.0]), np.array([[1.0, 0.0]]), np.diag([4.0, 1.0]))
    1.0
    """
    used = J.any(axis=0)
    V = J[:, used] @ covariance[np.ix_(used, used)] @ J[:, used].T
    factor = cholesky(V)
    if factor is None:
        raise ModelError(
            "constraint: the covariance of its equations is singular; leave out the redundant ones, or use cov='model'"
        )
    z = factor.half_solve(gap)
    return float(z @ z)


def nested(larger: Sequence[Matrix], smaller: Sequence[Matrix], weight: np.ndarray | None = None) -> bool:
    """Whether the columns of each smaller design are combinations of those of the larger one.

    Parameters
    ----------
    larger, smaller : K matrices (n, p_k) and (n, q_k).
    weight : (n,), optional
        Rows of weight 0 do not count.
    """
    if len(larger) != len(smaller):
        return False
    for X, Z in zip(larger, smaller, strict=True):
        p, q = X.shape[1], Z.shape[1]
        R = np.zeros((0, p + q))
        for rows in slices(X.shape[0]):
            block = np.hstack([dense_rows(X, rows), dense_rows(Z, rows)])
            if weight is not None:
                block = block * (weight[rows] > 0)[:, None]
            R = np.linalg.qr(np.concatenate([R, block]), mode="r")
        lengths = np.sqrt(np.einsum("ij,ij->j", R, R))
        R = R / np.where(lengths > 0, lengths, 1.0)
        missed = R[:, p:] - R[:, :p] @ np.linalg.lstsq(R[:, :p], R[:, p:], rcond=None)[0]
        if (np.sqrt(np.einsum("ij,ij->j", missed, missed)) > 1e-8).any():
            return False
    return True


def information_matrix(
    designs: Sequence[Matrix],
    scores: np.ndarray,
    information: np.ndarray,
    kept: np.ndarray,
    frequency: np.ndarray | None = None,
    more: np.ndarray | None = None,
) -> tuple[float, int]:
    r"""White's information matrix test in the form of Chesher (1983) and Lancaster (1984).

    Where the model is right, E[u uᵀ] = E[−∂²ℓ]: each row's indicators d_i, the lower triangle of
    J_iᵀ(u_i u_iᵀ − W_i)J_i, have mean 0. n times the uncentred R² of a regression of 1 on the row scores and the
    indicators is χ² with as many degrees of freedom as there are linearly independent indicators, the scores taken
    out (White 1982, Econometrica 50, theorem 4.1, without its third derivatives).

    Parameters
    ----------
    designs : K matrices (n, p_k), or each (n, p).
    scores : (K, n) u_i at the estimate, divided by the dispersion.
    information : (K, K, n) W_i, observed, divided by the dispersion.
    kept : (p,) mask of the parameters that were estimated.
    frequency : (n,), optional
        Copies that a row stands for.
    more : (n, m), optional
        Other estimating functions of the fit, such as that of the dispersion.

    Returns
    -------
    statistic, degrees of freedom

    Raises
    ------
    ModelError
        If the rows are too few for the indicators.

    Notes
    -----
    In small samples this form rejects too often (Orme 1990, The Econometrics Journal; Davidson and MacKinnon 1992):
    with fewer than some hundred rows a bootstrap of the statistic is to be preferred.
    """
    p = len(kept)
    n = scores.shape[1]
    lower = np.tril_indices(int(kept.sum()))
    extra = np.zeros((n, 0)) if more is None else more
    width = int(kept.sum()) + extra.shape[1]
    R = np.zeros((0, width + len(lower[0]) + 1))
    count = np.ones(n) if frequency is None else frequency
    sizes = np.zeros((int(kept.sum()),) * 2)
    wide = [X.shape[1] == p and len(designs) > 1 for X in designs]
    starts = np.cumsum([0, *(0 if w else X.shape[1] for X, w in zip(designs, wide, strict=True))])
    for rows in slices(n, 1024):
        J = np.zeros((len(designs), rows.stop - rows.start, p))
        for k, X in enumerate(designs):
            here = slice(None) if X.shape[1] == p else slice(starts[k], starts[k] + X.shape[1])
            J[k, :, here] = dense_rows(X, rows)
        J = J[:, :, kept]
        u, W = scores[:, rows], information[..., rows]
        G = np.einsum("kmp,km->mp", J, u)
        outer, bent = G[:, :, None] * G[:, None, :], np.einsum("kmp,klm,lmq->mpq", J, W, J, optimize=True)
        D = outer - bent
        sizes += np.einsum("m,mpq->pq", count[rows], outer**2 + bent**2)
        root = np.sqrt(count[rows])[:, None]
        block = np.hstack([extra[rows], G, D[:, lower[0], lower[1]], np.ones((len(G), 1))]) * root
        R = np.linalg.qr(np.concatenate([R, block]), mode="r")
    R = np.asarray(R)
    A, b = R[:, :-1], R[:, -1]
    lengths = np.sqrt(np.einsum("ij,ij->j", A, A))
    # An indicator that is 0 in every row but for rounding is none; scaled to length 1 it would count as one.
    lengths[width:] = np.where(lengths[width:] > DEPENDENT * np.sqrt(sizes[lower]), lengths[width:], 0.0)
    A = np.where(lengths > 0, A / np.where(lengths > 0, lengths, 1.0), 0.0)
    df = _rank(A) - _rank(A[:, :width])
    total = float(count.sum())
    if df < 1:
        raise ModelError(
            "information_matrix_test: the informations agree in every row, as where each group of rows has a parameter "
            "of its own, so there is nothing to test"
        )
    if df + width >= total:
        raise ModelError(
            f"information_matrix_test: expected more rows than its {df + width} moments; got {total:g}: too few to "
            "estimate their covariance"
        )
    fitted = A @ np.linalg.lstsq(A, b, rcond=DEPENDENT)[0]
    return float(fitted @ fitted), df


def _rank(A: np.ndarray) -> int:
    if not A.size:
        return 0
    values = np.linalg.svd(A, compute_uv=False)
    return int(np.count_nonzero(values > DEPENDENT * max(values[0], 1e-300)))
