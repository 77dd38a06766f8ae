r"""Tests of hypotheses: Wald, likelihood ratio, score, and White's information matrix test.

A statistic with q degrees of freedom is compared with χ²(q); with an estimated dispersion, statistic/q with
F(q, df_resid).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson import scipy_special as special
from raphson.data.products import dense_rows
from raphson.errors import ModelError, visible
from raphson.inference.whitening import Matrix, slices
from raphson.linalg import DEPENDENT, cholesky, column_squares
from raphson.numeric import EPSILON, TINY
from raphson.sheets import numbers
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Test(InNotebook):
    """The result of a test.

    Attributes
    ----------
    name : of the test.
    hypothesis : as text.
    statistic : χ², or F if the dispersion is estimated.
    df : its degrees of freedom q.
    df_resid : degrees of freedom of the denominator of F; None for χ².
    p_value : probability under the hypothesis of a statistic at least as large.
    restricted : estimates under the hypothesis, where the test has them.
    table : further results (the standard errors by each kind of information, of the information matrix test).
    draws : number of simulated data sets that `p_value` comes from; 0 if it comes from χ² or F.
    mixed : degrees of freedom of the χ² whose mixture with equal probabilities `p_value` comes from; empty for one.

    Examples
    --------
    >>> test = verdict("Wald test", "age = 0", 3.84, 1)
    >>> test
    Wald test of age = 0: chi2(1) = 3.84, p = 0.05004
    """

    __test__ = False  # keeps pytest from collecting this class

    name: str
    hypothesis: str
    statistic: float
    df: int
    df_resid: float | None
    p_value: float
    restricted: pd.Series | None = field(default=None, repr=False, compare=False)
    table: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    draws: int = 0
    mixed: tuple[int, ...] = ()

    @property
    def distribution(self) -> str:
        """``"chi2"`` or ``"F"``."""
        return "chi2" if self.df_resid is None else "F"

    def tidy(self) -> pd.DataFrame:
        """One row: hypothesis, statistic, df, df_resid (NaN for χ²), p_value."""
        import pandas as pd

        df_resid = math.nan if self.df_resid is None else self.df_resid
        values = (self.hypothesis, self.statistic, self.df, df_resid, self.p_value)
        return pd.DataFrame([values], columns=["hypothesis", "statistic", "df", "df_resid", "p_value"])

    def _sheet(self) -> Sheet:
        letter = {"chi2": "χ²", "F": "F"}[self.distribution]
        df = f"{self.df}" if self.df_resid is None else f"{self.df}, {self.df_resid:g}"
        row = (visible(self.hypothesis), numbers.plain(self.statistic), df, numbers.p_value(self.p_value))
        grids = [Grid(("hypothesis", letter, "df", f"P(>{letter})"), (row,))]
        if self.table is not None:
            grids.append(Grid.of(self.table, "Standard errors by each information", "term"))
        drawn = [Note(f"The p-value is that among {self.draws} simulated data sets.")] if self.draws else []
        if self.mixed:
            drawn = [Note(f"The p-value is of {self._mixture('χ²')}, as a variance of 0 is at the edge.")]
        return Sheet(self.name, (), grids, drawn)

    def __repr__(self) -> str:
        more = "" if self.df_resid is None else f", {self.df_resid:g}"
        kind = self._mixture("chi2") if self.mixed else f"{self.distribution}({self.df}{more})"
        shown = f"{kind} = {self.statistic:.4g}, p = {self.p_value:.4g}"
        drawn = f" (among {self.draws} draws)" if self.draws else ""
        return f"{self.name} of {self.hypothesis}: {shown}{drawn}"

    def _mixture(self, letter: str) -> str:
        return " + ".join(f"{1 / len(self.mixed):g} {letter}({df})" for df in self.mixed)


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
    """The test with a statistic that is χ²(df) for known dispersion.

    Parameters
    ----------
    chi2 : the statistic, divided by the estimated dispersion.
    df_resid : residual degrees of freedom if the dispersion is estimated, else None.
    """
    statistic = chi2 if df_resid is None else chi2 / df
    return Test(name, hypothesis, statistic, df, df_resid, tail(statistic, df, df_resid), restricted, table)


def mixed_verdict(name: str, hypothesis: str, chi2: float, mixed: Sequence[int], restricted: Any = None) -> Test:
    """The test with a statistic that is a mixture of χ² with equal probabilities, where χ²(0) is 0.

    Examples
    --------
    >>> mixed_verdict("Likelihood-ratio test", "y ~ 1", 2.705543454095404, (0, 1))
    Likelihood-ratio test of y ~ 1: 0.5 chi2(0) + 0.5 chi2(1) = 2.706, p = 0.05
    """
    p = float(np.mean([tail(chi2, df, None) if df else float(chi2 <= 0.0) for df in mixed]))
    many = tuple(mixed) if len(mixed) > 1 else ()
    return Test(name, hypothesis, chi2, max(mixed), None, p, restricted, mixed=many)


def left_out(T: np.ndarray, kept: np.ndarray, moved: Sequence[int], others: Sequence[int]) -> np.ndarray:
    """The restrictions Rβ = 0 (q, p) of the model without a term, in which other columns may take up a part of it.

    An aliased column is a = Σ_j c_j x_j of those that were kept, and with a coefficient δ of its own it moves these by
    cδ. So the coefficients of the smaller model are those whose part in `moved` lies in the span of the c's parts
    there, and R, whose rows are orthonormal, is orthogonal to these.

    Parameters
    ----------
    T : (m, p) the design, or a triangle with the same cross-products.
    kept : columns that are not aliased.
    moved : those of them that belong to the term.
    others : aliased columns of other terms.

    Examples
    --------
    Of two columns, of which another has the second in it, one parameter is left to test:

    >>> X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    >>> np.abs(left_out(X, np.array([0, 1]), [0, 1], [2]))
    array([[1., 0., 0.]])
    """
    lengths = np.sqrt(column_squares(T))
    lengths[lengths == 0] = 1.0
    c = np.linalg.lstsq((T / lengths)[:, kept], (T / lengths)[:, others], rcond=None)[0][np.isin(kept, moved)]
    U, sizes, _ = np.linalg.svd(c)
    # Coefficients of unit columns that are rounding are below √ε, and others as a rule far above.
    taken = int(np.count_nonzero(sizes > math.sqrt(EPSILON)))
    R = np.zeros((len(moved) - taken, T.shape[1]))
    R[:, moved] = np.linalg.qr(lengths[moved][:, None] * U[:, taken:])[0].T
    return R


def wald(gap: np.ndarray, J: np.ndarray, covariance: np.ndarray) -> float:
    """Wald's statistic hᵀ(J V Jᵀ)⁻¹h.

    Parameters
    ----------
    gap : (q,) h(θ̂), which is 0 under the hypothesis.
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
            "constraint: expected equations with a nonsingular covariance; leave out redundant ones, or use cov='model'"
        )
    z = factor.half_solve(gap)
    return float(z @ z)


def nested(larger: Sequence[Matrix], smaller: Sequence[Matrix], weight: np.ndarray | None = None) -> bool:
    """Whether the columns of each smaller design are linear combinations of those of the larger one.

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
            R = np.asarray(np.linalg.qr(np.concatenate([R, block]), mode="r"))
        lengths = np.sqrt(column_squares(R))
        R = R / np.where(lengths > 0, lengths, 1.0)
        missed = R[:, p:] - R[:, :p] @ np.linalg.lstsq(R[:, :p], R[:, p:], rcond=None)[0]
        if (np.sqrt(column_squares(missed)) > 1e-8).any():
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

    If the model is right, E[u uᵀ] = E[−∂²ℓ], and each row's indicators d_i, the lower triangle of
    J_iᵀ(u_i u_iᵀ − W_i)J_i, have mean 0. n times the uncentred R² of a regression of 1 on the row scores and the
    indicators is χ². Its degrees of freedom are the number of indicators that are linearly independent of each other
    and of the scores (White 1982, Econometrica 50, theorem 4.1, without its third derivatives).

    Parameters
    ----------
    designs : K matrices (n, p_k), or each (n, p).
    scores : (K, n) u_i at the estimate, divided by the dispersion.
    information : (K, K, n) W_i, observed, divided by the dispersion.
    kept : (p,) mask of the parameters that were estimated.
    frequency : (n,), optional
        Number of copies that each row stands for.
    more : (n, m), optional
        Other estimating functions of the fit, such as that of the dispersion.

    Returns
    -------
    statistic, degrees of freedom

    Raises
    ------
    ModelError
        If there are too few rows for the indicators, or all indicators are 0.

    Notes
    -----
    In small samples this form rejects too often (Orme 1990, The Econometrics Journal; Davidson and MacKinnon 1992);
    with fewer than a few hundred rows, bootstrap the statistic instead.
    """
    n, n_kept = scores.shape[1], int(kept.sum())
    lower = np.tril_indices(n_kept)
    extra = np.zeros((n, 0)) if more is None else more
    width = n_kept + extra.shape[1]
    count = np.ones(n) if frequency is None else frequency

    def moments(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        J = _jacobian(designs, rows, len(kept))[:, :, kept]
        return _moments(J, scores[:, rows], information[..., rows], lower, extra[rows], count[rows])

    R, sizes = _reduced(moments, n)
    A, b = R[:, :-1], R[:, -1]
    lengths = np.sqrt(column_squares(A))
    # An indicator that consists of rounding in every row is set to 0; scaled to length 1 it would count.
    lengths[width:] = np.where(lengths[width:] > DEPENDENT * np.sqrt(sizes), lengths[width:], 0.0)
    A = np.where(lengths > 0, A / np.where(lengths > 0, lengths, 1.0), 0.0)
    df = _rank(A) - _rank(A[:, :width])
    total = float(count.sum())
    if df < 1:
        raise ModelError(
            "information_matrix_test: expected informations that differ in some row; they agree in every row (as when "
            "each group of rows has its own parameter), so there is nothing to test"
        )
    if df + width >= total:
        raise ModelError(
            f"information_matrix_test: expected more rows than the {df + width} moments whose covariance it estimates; "
            f"got {total:g}"
        )
    fitted = A @ np.linalg.lstsq(A, b, rcond=DEPENDENT)[0]
    return float(fitted @ fitted), df


def _jacobian(designs: Sequence[Matrix], rows: slice, p: int) -> np.ndarray:
    """The derivative (K, m, p) of some rows' predictors."""
    wide = [X.shape[1] == p and len(designs) > 1 for X in designs]
    starts = np.cumsum([0, *(0 if w else X.shape[1] for X, w in zip(designs, wide, strict=True))])
    J = np.zeros((len(designs), rows.stop - rows.start, p))
    for k, X in enumerate(designs):
        here = slice(None) if X.shape[1] == p else slice(starts[k], starts[k] + X.shape[1])
        J[k, :, here] = dense_rows(X, rows)
    return J


def _moments(
    J: np.ndarray,
    u: np.ndarray,
    W: np.ndarray,
    lower: tuple[np.ndarray, np.ndarray],
    extra: np.ndarray,
    count: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Other functions, scores, indicators and 1 of some rows, times √count; and the sizes of what indicators subtract.

    The sizes are sums of squares. Of the matrices of a row only the lower triangle is formed.
    """
    i, j = lower
    G = np.einsum("kmp,km->mp", J, u)
    WJ = np.einsum("klm,lmp->kmp", W, J)
    outer = G[:, i] * G[:, j]
    observed = J[0][:, i] * WJ[0][:, j]
    for k in range(1, len(J)):
        observed += J[k][:, i] * WJ[k][:, j]
    sizes = count @ (outer * outer + observed * observed)
    outer -= observed
    block = np.hstack([extra, G, outer, np.ones((len(G), 1))])
    block *= np.sqrt(count)[:, None]
    return block, sizes


def _reduced(moments: Callable[[slice], tuple[np.ndarray, np.ndarray]], n: int) -> tuple[np.ndarray, np.ndarray]:
    """The triangle that QR makes of the moments of all rows, and the sizes of the indicators."""
    R, sizes = moments(slice(0, 0))
    for rows in slices(n, 1024):
        block, size = moments(rows)
        R = np.asarray(np.linalg.qr(np.concatenate([R, block]), mode="r"))
        sizes = sizes + size
    return R, sizes


def _rank(A: np.ndarray) -> int:
    if not A.size:
        return 0
    values = np.linalg.svd(A, compute_uv=False)
    return int(np.count_nonzero(values > DEPENDENT * max(values[0], TINY)))
