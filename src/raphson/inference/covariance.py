r"""Covariances of the estimates: model-based, with or without a penalty, and sandwiches.

Model-based: φ M⁻¹, with M the information at unit dispersion, or φ (F+P)⁻¹ F (F+P)⁻¹ with a penalty P.
Sandwich: M⁻¹ (Σ J_iᵀ u_i u_iᵀ J_i) M⁻¹. The dispersion cancels between the bread and the scores, so both are taken at
φ = 1.

**Weights.** ``scores`` are those of the weighted log-likelihood: a precision or sampling weight is
multiplied in (w_i u_i) and enters the middle squared. A frequency weight f is passed separately, as ``frequency``:
the row stands for f copies, each with the score u_i, so that the middle gets f_i u_i u_iᵀ. The information behind the
factor includes both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from raphson.choices import Information, SmallSample
from raphson.errors import DataError, ModelError, check_choice
from raphson.inference.influence import correct_for_leverage, leverage
from raphson.inference.whitening import InformationFactor, Matrix, dense_rows, slices, split_columns, whitened, whitener
from raphson.linalg import cholesky
from raphson.registry import Registry

SMALL_SAMPLE = (*get_args(SmallSample), None)
"""Factors of a cluster covariance: G/(G−1) · (n−1)/(n−p), G/(G−1) alone, or none."""


def model_covariance(
    factor: InformationFactor, dispersion: float = 1.0, information: np.ndarray | None = None
) -> np.ndarray:
    """Covariance φ M⁻¹, or φ (F+P)⁻¹ F (F+P)⁻¹ of a penalised fit.

    Parameters
    ----------
    factor : Factor
        Of the information at unit dispersion; of F + P for a penalised fit.
    dispersion : float
        φ.
    information : ndarray, (p, p), optional
        F, the information without the penalty P. Give it when there is a penalty.

    Returns
    -------
    ndarray, (p, p)
        NaN in the rows and columns of parameters that the factor left out.

    Notes
    -----
    The penalised form follows from θ̂ - θ ≈ (F+P)⁻¹ s, where the score s has the variance φF: Gray (1992), JASA 87,
    equation 2.7.
    """
    kept = np.asarray(factor.kept, dtype=bool)
    if information is None:
        return _with_gaps(dispersion * np.asarray(factor.inverse()), kept)
    T = whitener(factor)
    # (F+P)⁻¹ = TᵀT, so the product is Tᵀ (T F Tᵀ) T, symmetric as it stands.
    return _with_gaps(dispersion * (T.T @ _congruence(T, information) @ T), kept)


def effective_df(factor: InformationFactor, information: np.ndarray) -> float:
    """Effective number of parameters tr((F+P)⁻¹F); without a penalty the number of kept parameters.

    Parameters
    ----------
    factor : Factor
        Of F + P.
    information : ndarray, (p, p)
        F.
    """
    return float(np.trace(_congruence(whitener(factor), information)))


def outer_product(designs: Sequence[Matrix], scores: np.ndarray, frequency: np.ndarray | None = None) -> np.ndarray:
    """Outer product of the row scores Σ f_i J_iᵀ u_i u_iᵀ J_i, summed over blocks of rows.

    Parameters
    ----------
    designs : sequence of K matrices (n, p_k)
    scores : ndarray, (K, n)
        ∂ℓ_i/∂η_k.
    frequency : ndarray, (n,), optional

    Returns
    -------
    ndarray, (p, p)
        With p = Σ p_k. For one predictor it is Xᵀ diag(f u²) X; the n x p matrix of row scores is never formed.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [1.0, 2.0]])
    >>> outer_product([X], np.array([[1.0, -3.0]]))
    array([[10., 18.],
           [18., 36.]])
    """
    n = scores.shape[1]
    count = np.ones(n) if frequency is None else frequency
    widths = [X.shape[1] for X in designs]
    ends = np.cumsum([0, *widths])
    total = np.zeros((ends[-1], ends[-1]))
    if all(isinstance(X, np.ndarray) for X in designs):
        for rows in slices(n):
            G = _row_scores(designs, scores, rows) * np.sqrt(count[rows])[:, None]
            total += G.T @ G
        return total
    for k, X in enumerate(designs):
        here = slice(ends[k], ends[k + 1])
        total[here, here] = _gram(X, count * scores[k] ** 2)
        for j in range(k):
            there = slice(ends[j], ends[j + 1])
            cross = _cross(X, designs[j], count * scores[k] * scores[j])
            total[here, there] = cross
            total[there, here] = cross.T
    return total


def whitened_middle(
    factor: InformationFactor, designs: Sequence[Matrix], scores: np.ndarray, frequency: np.ndarray | None = None
) -> np.ndarray:
    """Middle of the sandwich in whitened coordinates, S = R⁻ᵀ (Σ f_i J_iᵀ u_i u_iᵀ J_i) R⁻¹.

    Dense rows are whitened before they are summed, so that the loss of digits grows with the condition number of R,
    not with its square. A tabmat design keeps its structure and is whitened after summing.

    Returns
    -------
    ndarray, (r, r)
    """
    T = whitener(factor)
    if not all(isinstance(X, np.ndarray) for X in designs):
        return _congruence(T, outer_product(designs, scores, frequency))
    total = np.zeros((len(T), len(T)))
    parts = split_columns(T, designs)
    for rows in slices(scores.shape[1]):
        Z = _whitened_scores(designs, parts, scores, rows)
        if frequency is not None:
            Z = Z * np.sqrt(frequency[rows])[:, None]
        total += Z.T @ Z
    return total


def group_scores(
    factor: InformationFactor,
    designs: Sequence[Matrix],
    scores: np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    frequency: np.ndarray | None = None,
) -> np.ndarray:
    """Whitened scores summed within groups, one row per group.

    Parameters
    ----------
    groups : ndarray of int, (n,)
        Codes 0 .. n_groups - 1.

    Returns
    -------
    ndarray, (n_groups, r)
        Σ over the group of f_i R⁻ᵀ J_iᵀ u_i.
    """
    T = whitener(factor)
    parts = split_columns(T, designs)
    total = np.zeros((n_groups, len(T)))
    for rows in slices(scores.shape[1]):
        Z = _whitened_scores(designs, parts, scores, rows)
        if frequency is not None:
            Z = Z * frequency[rows][:, None]
        # Sort the block by group, so that one reduceat adds whole runs; np.add.at is many times slower.
        order = np.argsort(groups[rows], kind="stable")
        codes = groups[rows][order]
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        total[codes[starts]] += np.add.reduceat(Z[order], starts, axis=0)
    return total


def sandwich(factor: InformationFactor, middle: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Covariance R⁻¹ S R⁻ᵀ from the whitened middle S, times ``scale``: (p, p), NaN where not kept."""
    T = whitener(factor)
    return _with_gaps(scale * (T.T @ middle @ T), np.asarray(factor.kept, dtype=bool))


def robust_covariance(
    factor: InformationFactor,
    designs: Sequence[Matrix],
    scores: np.ndarray,
    kind: str = "HC0",
    *,
    information: np.ndarray | None = None,
    frequency: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    small_sample: str | None = "full",
) -> np.ndarray:
    """Sandwich covariance of all rows at once.

    Parameters
    ----------
    factor : Factor
        Of the information at unit dispersion: the bread, expected or observed.
    designs : sequence of K matrices (n, p_k)
    scores : ndarray, (K, n)
        Row scores at unit dispersion, precision and sampling weights multiplied in. A row with weight zero
        has score zero.
    kind : str
        One of :data:`COVARIANCES`.
    information : ndarray, (K, K, n), optional
        -∂²ℓ_i/∂η² with the weights of ``scores`` multiplied in (not the frequency): HC2 and HC3 need it for
        the leverages.
    frequency : ndarray, (n,), optional
        Number of copies that each row stands for; 1 by default.
    groups : ndarray, (n,), optional
        Cluster labels, of any type that sorts.
    small_sample : {"full", "clusters", None}
        The factor of "cluster": G/(G-1) · (n-1)/(n-p), G/(G-1) alone, or none.

    Returns
    -------
    ndarray, (p, p)
        NaN in the rows and columns of parameters that the factor left out.

    Raises
    ------
    ModelError
        For an unknown kind, missing groups or information, fewer than two clusters, n <= p, or (HC2, HC3) a
        row whose leverage is 1.

    Notes
    -----
    With n = Σf rows, p parameters and G clusters: HC1 is n/(n-p) times HC0 (MacKinnon and White, 1985, J.
    Econometrics 29); HC2 and HC3 divide the score by (1-h)^½ and 1-h; cluster sums the scores within each
    cluster first and multiplies by what ``small_sample`` says. For K > 1 predictors, 1-h is the K x K matrix
    I - W_i J_i M⁻¹ J_iᵀ.

    Examples
    --------
    White's covariance of a mean, Σ(y-ȳ)²/n², by hand (2/9):

    >>> import numpy as np
    >>> class One:
    ...     kept = np.array([True])
    ...     def half_solve(self, v): return v / np.sqrt(3.0)
    >>> y = np.array([1.0, 2.0, 3.0])
    >>> float(robust_covariance(One(), [np.ones((3, 1))], (y - 2.0)[None])[0, 0].round(6))
    0.222222
    """
    rows = RowScores(factor, designs, np.asarray(scores, dtype=float), information, frequency, groups, small_sample)
    check_choice("cov", kind, [name for name in COVARIANCES if name != MODEL])
    if (rows.scores.shape[1] if frequency is None else np.count_nonzero(frequency)) == 1:
        raise ModelError(
            f"cov={kind!r}: expected at least two rows; got 1. Use cov='model', or, if the row holds a whole series, "
            "write the likelihood so that independent parts are rows"
        )
    return COVARIANCES[kind].of(rows)


@dataclass(frozen=True)
class RowScores:
    """The inputs of a covariance: a factor of the information M = RᵀR, and the score of each row.

    Attributes
    ----------
    factor : of M at unit dispersion, with p parameters of which r are kept.
    designs, scores, information, frequency, groups, small_sample : as for :func:`robust_covariance`.
    """

    factor: InformationFactor
    designs: Sequence[Matrix]
    scores: np.ndarray
    information: np.ndarray | None = None
    frequency: np.ndarray | None = None
    groups: np.ndarray | None = None
    small_sample: str | None = "full"

    @property
    def count(self) -> np.ndarray:
        """(n,) number of copies that each row stands for."""
        return np.ones(self.scores.shape[1]) if self.frequency is None else self.frequency

    @property
    def n(self) -> float:
        """Number of rows, including copies."""
        return float(self.count.sum())

    @property
    def p(self) -> int:
        """Number of estimated parameters."""
        return int(np.sum(self.factor.kept))

    def whitened(self) -> np.ndarray:
        """(n, r) R⁻ᵀ J_iᵀ u_i: the row scores in coordinates in which M is the identity."""
        parts = split_columns(whitener(self.factor), self.designs)
        return _whitened_scores(self.designs, parts, self.scores, slice(None))

    def leverage(self) -> np.ndarray:
        """(n,) leverage of a single copy of each row."""
        assert self.information is not None
        return leverage(self.factor, self.designs, self.information)

    def sandwich(self, middle: np.ndarray | None = None, scale: float = 1.0) -> np.ndarray:
        """(p, p) M⁻¹ (...) M⁻¹ with a middle (r, r) in whitened coordinates; by default White's."""
        if middle is None:
            middle = whitened_middle(self.factor, self.designs, self.scores, self.frequency)
        return sandwich(self.factor, middle, scale)

    def freedom(self, kind: str, other: str) -> float:
        """n − p.

        Raises
        ------
        ModelError
            If n ≤ p.
        """
        if self.n <= self.p:
            raise ModelError(
                f"cov={kind!r}: expected more rows than parameters; got n = {self.n:g} and p = {self.p}. Use {other}, "
                "or more data"
            )
        return self.n - self.p


@dataclass(frozen=True)
class CovarianceSpec:
    """A covariance with a name.

    Attributes
    ----------
    name : as in ``cov="HC3"``.
    of : computes the covariance (p, p) from :class:`RowScores`.
    information : the kind of information that it always uses; None for the kind that the user chose.
    """

    name: str
    of: Callable[[RowScores], np.ndarray]
    information: Information | None = None


def _without_leverage(kind: str, power: float) -> Callable[[RowScores], np.ndarray]:
    def of(rows: RowScores) -> np.ndarray:
        if rows.information is None:
            raise ModelError(f"information: expected that of each row, (K, K, n), for cov={kind!r}; got None")
        scores, full = correct_for_leverage(rows.factor, rows.designs, rows.scores, rows.information, power)
        full &= rows.count > 0
        if full.any():
            some = ", ".join(str(i) for i in np.flatnonzero(full)[:5])
            raise ModelError(
                f"cov={kind!r}: expected leverages below 1; {int(full.sum())} row(s) have leverage 1 (first: {some}), "
                "as each alone determines a parameter. Use cov='HC1', or leave out these rows and parameters"
            )
        return replace(rows, scores=scores).sandwich()

    return of


def _clustered(rows: RowScores) -> np.ndarray:
    freedom = rows.freedom("cluster", "small_sample='clusters'") if rows.small_sample == "full" else 1.0
    if rows.groups is None:
        raise ModelError("groups: expected the cluster of each row, for cov='cluster'; got None")
    codes, n_groups = _codes(rows.groups, rows.scores.shape[1], rows.frequency)
    if n_groups < 2:
        raise ModelError("groups: expected at least two clusters for cov='cluster'; got 1. Use cov='HC0'")
    Z = group_scores(rows.factor, rows.designs, rows.scores, codes, n_groups, rows.frequency)
    scale = 1.0 if rows.small_sample is None else n_groups / (n_groups - 1)
    return rows.sandwich(Z.T @ Z, scale * (rows.n - 1) / freedom if rows.small_sample == "full" else scale)


def _jackknife(rows: RowScores) -> np.ndarray:
    """The infinitesimal jackknife, from the derivatives of the estimates by the rows' weights (Jaeckel 1972).

    It is the sandwich with the observed information, clustered if there are groups.
    """
    return rows.sandwich() if rows.groups is None else _clustered(rows)


def check_covariance(spec: Any) -> None:
    """Check a covariance by trying it on twelve rows and two parameters.

    Raises
    ------
    ModelError
    """
    how = "covariance.register"
    if not (isinstance(spec, CovarianceSpec) and callable(spec.of)):
        raise ModelError(f"{how}: expected a CovarianceSpec(name, of), of(rows) giving a matrix; got {spec!r}")
    if spec.information is not None:
        check_choice(f"{how}: information", spec.information, get_args(Information))
    X = np.column_stack([np.ones(12), np.arange(12.0)])
    factor = cholesky(X.T @ X)
    assert factor is not None
    u = np.sin(3.0 * np.arange(12.0))[None]
    rows = RowScores(factor, [X], u, np.ones((1, 1, 12)), np.ones(12), np.arange(12) // 3)
    try:
        V = np.asarray(spec.of(rows), dtype=float)
    except Exception as error:
        raise ModelError(f"{how}: {spec.name} failed on twelve rows with {type(error).__name__}: {error}") from error
    if V.shape != (2, 2) or not np.isfinite(V).all():
        raise ModelError(f"{how}: expected {spec.name} to return a finite (2, 2) matrix for p = 2; got {V.tolist()}")
    if not np.allclose(V, V.T, rtol=1e-9) or np.linalg.eigvalsh(V)[0] < -1e-9 * np.abs(V).max():
        raise ModelError(
            f"{how}: expected {spec.name} to return a symmetric matrix without negative eigenvalues; got {V.tolist()}"
        )


MODEL = "model"
"""The covariance that follows from the model alone: :func:`model_covariance`."""

COVARIANCES: Registry[CovarianceSpec] = Registry(
    "cov", "covariance", "covariances", "raphson.inference.covariance.register", check_covariance
)
"""The covariances by name."""

for _spec in (
    CovarianceSpec(MODEL, lambda rows: model_covariance(rows.factor)),
    CovarianceSpec("HC0", lambda rows: rows.sandwich()),
    CovarianceSpec("HC1", lambda rows: rows.sandwich(scale=rows.n / rows.freedom("HC1", "cov='HC0'"))),
    CovarianceSpec("HC2", _without_leverage("HC2", 0.5)),
    CovarianceSpec("HC3", _without_leverage("HC3", 1.0)),
    CovarianceSpec("cluster", _clustered),
    CovarianceSpec("jackknife", _jackknife, "observed"),
):
    COVARIANCES.add_builtin(_spec.name, _spec)


def register(spec: CovarianceSpec) -> CovarianceSpec:
    """Make a covariance available by its name, in ``cov=`` and ``fit.robust``.

    Parameters
    ----------
    spec : CovarianceSpec

    Returns
    -------
    CovarianceSpec

    Raises
    ------
    ModelError
        If it does not return a covariance for a few test rows, or its name is taken.

    Examples
    --------
    A sandwich with row scores clipped to ±2 in whitened coordinates:

    >>> import numpy as np
    >>> from raphson.inference import covariance
    >>> def bounded(rows):
    ...     Z = np.clip(rows.whitened(), -2.0, 2.0)
    ...     return rows.sandwich((Z * rows.count[:, None]).T @ Z)
    >>> covariance.register(covariance.CovarianceSpec("bounded", bounded)).name
    'bounded'
    """
    return COVARIANCES.register(getattr(spec, "name", None), spec)


def rank_remark(kind: str, weight: np.ndarray, groups: np.ndarray | None, p: int) -> str:
    """A remark on a sandwich that has no more rows or clusters than parameters; otherwise empty.

    Its middle is a sum of one square for each row or cluster. Their scores add up to 0, so the rank is one less than
    their number.

    Parameters
    ----------
    kind : as for :func:`robust_covariance`.
    weight : (n,) of the rows; those of weight 0 do not count.
    groups : (n,) clusters, for "cluster" and "jackknife".
    p : number of parameters.
    """
    clustered = groups is not None and kind in ("cluster", "jackknife")
    there = weight > 0
    count = len(np.unique(np.asarray(groups)[there])) if clustered else int(np.count_nonzero(there))
    if not 1 < count <= p:
        return ""
    of = "clusters" if clustered else "rows"
    return (
        f"the {kind} covariance has rank {count - 1}, as there are {count} {of} for {p} parameters: standard errors "
        f"are too small, and at most {count - 1} parameters can be tested together; use fewer parameters or cov='model'"
    )


def _with_gaps(covariance: np.ndarray, kept: np.ndarray) -> np.ndarray:
    covariance = (covariance + covariance.T) / 2
    covariance[~kept] = np.nan
    covariance[:, ~kept] = np.nan
    return covariance


def _congruence(T: np.ndarray, A: np.ndarray) -> np.ndarray:
    # T A Tᵀ. T has zero columns where a parameter was left out, and A may have NaN there.
    used = T.any(axis=0)
    return T[:, used] @ A[np.ix_(used, used)] @ T[:, used].T


def _row_scores(designs: Sequence[Matrix], scores: np.ndarray, rows: slice) -> np.ndarray:
    # J_iᵀ u_i for a few rows: the predictors' columns side by side, each times its score.
    return np.hstack([dense_rows(X, rows) * u[rows, None] for X, u in zip(designs, scores, strict=True)])


def _whitened_scores(
    designs: Sequence[Matrix], parts: Sequence[np.ndarray], scores: np.ndarray, rows: slice
) -> np.ndarray:
    # R⁻ᵀ J_iᵀ u_i = Σ_k u_ik R⁻ᵀ x_ik: (m, r).
    return np.einsum("kmr,km->mr", whitened(designs, parts, rows), scores[:, rows])


def _gram(X: Matrix, weight: np.ndarray) -> np.ndarray:
    if not isinstance(X, np.ndarray):
        return np.asarray(X.sandwich(weight))
    return _cross(X, X, weight)


def _cross(X: Matrix, Y: Matrix, weight: np.ndarray) -> np.ndarray:
    # Xᵀ diag(weight) Y, with weights of either sign. X keeps its structure; Y is made dense.
    if X is Y and not isinstance(X, np.ndarray):
        return np.asarray(X.sandwich(weight))
    if isinstance(X, np.ndarray) and not isinstance(Y, np.ndarray):
        return _cross(Y, X, weight).T
    if not isinstance(X, np.ndarray):
        columns = Y if isinstance(Y, np.ndarray) else Y.toarray()
        return np.column_stack([X.transpose_matvec(weight * column) for column in columns.T])
    total = np.zeros((X.shape[1], Y.shape[1]))
    for rows in slices(len(weight)):
        total += (X[rows] * weight[rows, None]).T @ Y[rows]
    return total


def _codes(groups: np.ndarray, n: int, frequency: np.ndarray | None) -> tuple[np.ndarray, int]:
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise DataError(f"groups: expected a label for each row, shape ({n},); got shape {groups.shape}")
    _, codes = np.unique(groups, return_inverse=True)
    if frequency is not None:
        # A cluster whose rows all have frequency 0 does not count towards G.
        present = np.unique(codes[frequency > 0])
        renumber = np.zeros(codes.max() + 1, dtype=int)
        renumber[present] = np.arange(len(present))
        return renumber[codes], len(present)
    return codes, int(codes.max()) + 1
