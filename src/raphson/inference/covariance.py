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
from raphson.inference.sandwich import congruence, group_scores, sandwich, whitened_middle, whitened_scores, with_gaps
from raphson.inference.whitening import InformationFactor, Matrix, split_columns, whitener
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
        return with_gaps(dispersion * np.asarray(factor.inverse()), kept)
    T = whitener(factor)
    # (F+P)⁻¹ = TᵀT, so the product is Tᵀ (T F Tᵀ) T, symmetric as it stands.
    return with_gaps(dispersion * (T.T @ congruence(T, information) @ T), kept)


def effective_df(factor: InformationFactor, information: np.ndarray) -> float:
    """Effective number of parameters tr((F+P)⁻¹F); without a penalty the number of kept parameters.

    Parameters
    ----------
    factor : Factor
        Of F + P.
    information : ndarray, (p, p)
        F.
    """
    return float(np.trace(congruence(whitener(factor), information)))


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
    scores = np.asarray(scores, dtype=float)
    return of_rows(kind, RowScores(factor, designs, scores, information, frequency, groups, small_sample))


def of_rows(kind: str, rows: RowScores) -> np.ndarray:
    """:func:`robust_covariance` of rows that are put together already."""
    check_choice("cov", kind, [name for name in COVARIANCES if name != MODEL])
    if (rows.scores.shape[1] if rows.frequency is None else np.count_nonzero(rows.frequency)) == 1:
        raise ModelError(
            f"cov={kind!r}: expected at least two rows; got 1. Use cov='model', or, if the row holds a whole series, "
            "write the likelihood so that independent parts are rows"
        )
    return COVARIANCES[kind].of(rows)


@dataclass(frozen=True)
class Totals:
    """What a covariance reads besides the rows: a factor of the information M = RᵀR, and their number.

    Attributes
    ----------
    factor : of M at unit dispersion, with p parameters of which r are kept.
    n : number of rows, including copies.
    small_sample : as for :func:`robust_covariance`.
    """

    factor: InformationFactor
    n: float
    small_sample: str | None = "full"

    @property
    def p(self) -> int:
        """Number of estimated parameters."""
        return int(np.sum(self.factor.kept))

    def sandwich(self, middle: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """(p, p) M⁻¹ (...) M⁻¹ with a middle (r, r) in whitened coordinates."""
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
class RowScores:
    """The inputs of a covariance: a factor of the information M = RᵀR, and the score of each row.

    Attributes
    ----------
    factor : of M at unit dispersion, with p parameters of which r are kept.
    designs, scores, information, frequency, groups, small_sample : as for :func:`robust_covariance`.
    all : whether these are all rows, and not a piece of them.
    """

    factor: InformationFactor
    designs: Sequence[Matrix]
    scores: np.ndarray
    information: np.ndarray | None = None
    frequency: np.ndarray | None = None
    groups: np.ndarray | None = None
    small_sample: str | None = "full"
    all: bool = True

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
        return self.totals.p

    @property
    def totals(self) -> Totals:
        """What is not by row."""
        return Totals(self.factor, self.n, self.small_sample)

    def whitened(self) -> np.ndarray:
        """(n, r) R⁻ᵀ J_iᵀ u_i: the row scores in coordinates in which M is the identity."""
        parts = split_columns(whitener(self.factor), self.designs)
        return whitened_scores(self.designs, parts, self.scores, slice(None))

    def leverage(self) -> np.ndarray:
        """(n,) leverage of a single copy of each row."""
        assert self.information is not None
        return leverage(self.factor, self.designs, self.information)

    def middle(self) -> np.ndarray:
        """(r, r) White's middle Σ f_i R⁻ᵀ J_iᵀ u_i u_iᵀ J_i R⁻¹."""
        return whitened_middle(self.factor, self.designs, self.scores, self.frequency)

    def sandwich(self, middle: np.ndarray | None = None, scale: float = 1.0) -> np.ndarray:
        """(p, p) M⁻¹ (...) M⁻¹ with a middle (r, r) in whitened coordinates; by default White's."""
        return self.totals.sandwich(self.middle() if middle is None else middle, scale)


@dataclass(frozen=True)
class ClusterScores:
    """Whitened scores summed within clusters.

    Attributes
    ----------
    labels : (G,) of the clusters, sorted.
    scores : (G, r).
    """

    labels: np.ndarray
    scores: np.ndarray

    def __add__(self, other: ClusterScores) -> ClusterScores:
        labels, codes = np.unique(np.concatenate([self.labels, other.labels]), return_inverse=True)
        scores = np.zeros((len(labels), self.scores.shape[1]))
        scores[codes[: len(self.labels)]] = self.scores
        scores[codes[len(self.labels) :]] += other.scores
        return ClusterScores(labels, scores)


@dataclass(frozen=True)
class Middle:
    """What a covariance adds up over the rows.

    Attributes
    ----------
    value : of the covariance's own `middle`.
    n : number of rows, including copies.
    """

    value: Any
    n: float

    def __add__(self, other: Middle) -> Middle:
        return Middle(self.value + other.value, self.n + other.n)


@dataclass(frozen=True)
class CovarianceSpec:
    """A covariance with a name.

    Attributes
    ----------
    name : as in ``cov="HC3"``.
    of : computes the covariance (p, p) from :class:`RowScores`.
    information : the kind of information that it always uses; None for the kind that the user chose.
    middle, close : a sum over the rows, and the covariance (p, p) that follows from it and :class:`Totals`, as it is
        computed where data are streamed. None where it needs all rows at once.
    """

    name: str
    of: Callable[[RowScores], np.ndarray]
    information: Information | None = None
    middle: Callable[[RowScores], Any] | None = None
    close: Callable[[Any, Totals], np.ndarray] | None = None

    @staticmethod
    def summed(
        name: str,
        middle: Callable[[RowScores], Any],
        close: Callable[[Any, Totals], np.ndarray],
        information: Information | None = None,
    ) -> CovarianceSpec:
        """A covariance that follows from a sum over the rows."""
        return CovarianceSpec(name, lambda rows: close(middle(rows), rows.totals), information, middle, close)


def _without_leverage(kind: str, power: float) -> Callable[[RowScores], np.ndarray]:
    def middle(rows: RowScores) -> np.ndarray:
        if rows.information is None:
            raise ModelError(f"information: expected that of each row, (K, K, n), for cov={kind!r}; got None")
        scores, full = correct_for_leverage(rows.factor, rows.designs, rows.scores, rows.information, power)
        full &= rows.count > 0
        if full.any():
            some = ", ".join(str(i) for i in np.flatnonzero(full)[:5])
            which = f"{int(full.sum())} row(s) have leverage 1 (first: {some})" if rows.all else "some have leverage 1"
            raise ModelError(
                f"cov={kind!r}: expected leverages below 1; {which}, as each alone determines a parameter. Use "
                "cov='HC1', or leave out these rows and parameters"
            )
        return replace(rows, scores=scores).middle()

    return middle


def _cluster_scores(rows: RowScores) -> ClusterScores:
    if rows.groups is None:
        raise ModelError("groups: expected the cluster of each row, for cov='cluster'; got None")
    labels, codes = _codes(rows.groups, rows.scores.shape[1], rows.frequency)
    scores = group_scores(rows.factor, rows.designs, rows.scores, codes, len(labels), rows.frequency)
    return ClusterScores(labels, scores)


def _clustered(sums: ClusterScores, totals: Totals) -> np.ndarray:
    freedom = totals.freedom("cluster", "small_sample='clusters'") if totals.small_sample == "full" else 1.0
    G, Z = len(sums.labels), sums.scores
    if G < 2:
        raise ModelError("groups: expected at least two clusters for cov='cluster'; got 1. Use cov='HC0'")
    scale = 1.0 if totals.small_sample is None else G / (G - 1)
    return totals.sandwich(Z.T @ Z, scale * (totals.n - 1) / freedom if totals.small_sample == "full" else scale)


def _jackknife_middle(rows: RowScores) -> np.ndarray | ClusterScores:
    """Of the infinitesimal jackknife, from the derivatives of the estimates by the rows' weights (Jaeckel 1972).

    It is the sandwich with the observed information, clustered if there are groups.
    """
    return rows.middle() if rows.groups is None else _cluster_scores(rows)


def _jackknife(middle: np.ndarray | ClusterScores, totals: Totals) -> np.ndarray:
    return totals.sandwich(middle) if isinstance(middle, np.ndarray) else _clustered(middle, totals)


def _white(middle: np.ndarray, totals: Totals) -> np.ndarray:
    return totals.sandwich(middle)


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
    CovarianceSpec.summed("HC0", RowScores.middle, _white),
    CovarianceSpec.summed(
        "HC1", RowScores.middle, lambda middle, of: of.sandwich(middle, of.n / of.freedom("HC1", "cov='HC0'"))
    ),
    CovarianceSpec.summed("HC2", _without_leverage("HC2", 0.5), _white),
    CovarianceSpec.summed("HC3", _without_leverage("HC3", 1.0), _white),
    CovarianceSpec.summed("cluster", _cluster_scores, _clustered),
    CovarianceSpec.summed("jackknife", _jackknife_middle, _jackknife, "observed"),
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


def _codes(groups: np.ndarray, n: int, frequency: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the clusters, sorted, and the number of each row's among them.

    A cluster whose rows all have frequency 0 has no label, and its rows have the number of another: they add nothing.
    """
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise DataError(f"groups: expected a label for each row, shape ({n},); got shape {groups.shape}")
    labels, codes = np.unique(groups, return_inverse=True)
    if frequency is None:
        return labels, codes
    present = np.unique(codes[frequency > 0])
    renumber = np.zeros(len(labels), dtype=int)
    renumber[present] = np.arange(len(present))
    return labels[present], renumber[codes]
