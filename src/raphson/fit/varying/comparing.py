r"""Whether fits are nested that differ in what varies, and the distribution of their likelihood ratio.

A term adds ZGZᵀ, level by level, to the covariance of η. It is nested in a term of the larger model that can give the
same: where Z_s = ZA, by G = AG_sAᵀ; and where its levels lie within those of the larger term, as those of (1 | a:b) do
in (0 + b | a), by the G that solves z_iᵀGz_j = [s_i = s_j] for the rows i, j of a level. The generic rank r of what the
smaller model gives so leaves c − r variances of the larger term at 0.

One new variance is at the edge of what it can be. With its covariances, which are then 0 too, and further parameters,
q in all, the criterion is maximised over a half-space instead of a plane, so that the likelihood ratio is χ²_{q−1} and
χ²_q, each with probability ½ (Self and Liang 1987; Stram and Lee 1994): near a variance of 0 the bound on a covariance,
G_ab² ≤ G_aa G_bb, is of lower order and takes no part. For several new variances the probabilities depend on their
joint information; their ratio is simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.products import dense
from raphson.data.varying.term import VaryingTerm
from raphson.errors import ModelError
from raphson.fit.reading import Reading
from raphson.fit.varying.grouping import is_nested
from raphson.inference import hypotheses
from raphson.model.base import Model

EQUAL = 1e-8
"""Relative error up to which columns are equal."""

PATTERNS = 60
"""Different rows of a term's columns up to which levels within its levels are looked for."""


@dataclass(frozen=True)
class Comparison:
    """Nested fits.

    Attributes
    ----------
    df : number of parameters that the smaller one lacks.
    fresh : number of variances among them that are 0 under the hypothesis.
    """

    df: int
    fresh: int

    @property
    def mixed(self) -> tuple[int, ...]:
        """Degrees of freedom of the χ² that the likelihood ratio is, with equal probabilities.

        Raises
        ------
        ModelError
            If there are several new variances.
        """
        if self.fresh > 1:
            raise ModelError(
                f"smaller: expected a model that lacks at most one of this fit's variances; it lacks {self.fresh}, all "
                "at the edge at once, for which the likelihood ratio has no χ² distribution. Simulate it with "
                "larger.lr_test(smaller, bootstrap=999, seed=1), or compare models that differ in one variance"
            )
        return (self.df - 1, self.df) if self.fresh else (self.df,)


def compared(larger: Reading, smaller: Reading) -> Comparison:
    """What the smaller of two fits to the same rows lacks.

    Raises
    ------
    ModelError
        If the models are not nested, or their criteria are not comparable.
    """
    mine, other = larger.at("lr_test").asked, smaller.at("lr_test").asked
    _check_comparable(larger, smaller, mine, other)
    present = np.flatnonzero(mine.row_weight > 0)
    have, had = _parts(mine.varying_terms, present), _parts(other.varying_terms, present)
    X, Z = (_columns(one, fit) for one, fit in ((mine, larger), (other, smaller)))
    fresh = _new_variances(have, had)
    if fresh is None:
        raise ModelError(
            "smaller: expected a nested model; some of its coefficients vary otherwise than this fit's, so the "
            "likelihood ratio is not χ². Compare aic or bic"
        )
    if not hypotheses.nested(X, Z, mine.row_weight):
        raise ModelError(
            "smaller: expected a nested model; its terms are not combinations of this fit's, so the likelihood ratio "
            "is not χ². Compare aic or bic"
        )
    df = (
        sum(one.shape[1] for one in X)
        - sum(one.shape[1] for one in Z)
        + sum(one.n_parameters for one in have)
        - sum(one.n_parameters for one in had)
    )
    if df <= 0:
        raise ModelError(
            "smaller: expected a model with fewer parameters than this fit; got one with as many. Call lr_test on the "
            "larger fit"
        )
    return Comparison(df, fresh)


# -- what varies ---------------------------------------------------------------------------------------------------


def _parts(terms: Sequence[VaryingTerm], rows: np.ndarray) -> list[VaryingTerm]:
    """The terms on some rows; each coefficient that varies independently of the others as a term of its own."""
    out: list[VaryingTerm] = []
    for term in (one.take_rows(rows) for one in terms):
        alone = term.structure == "independent"
        out += [term.only(column) for column in range(term.width)] if alone else [term]
    return out


def _new_variances(have: Sequence[VaryingTerm], had: Sequence[VaryingTerm]) -> int | None:
    """How many variances of the larger model are 0 in the smaller one; None where that is not nested in it."""
    ranges: list[list[np.ndarray]] = [[] for _ in have]
    for smaller in had:
        ways = [(k, _range(smaller, larger)) for k, larger in enumerate(have)]
        ways = [(k, found) for k, found in ways if found is not None]
        if not ways:
            return None
        k, found = min(ways, key=lambda one: have[one[0]].width)
        assert found is not None
        ranges[k].append(found)
    fresh = 0
    for larger, found in zip(have, ranges, strict=True):
        if larger.structure == "correlated" or larger.width == 1:
            fresh += larger.width - (int(np.linalg.matrix_rank(np.hstack(found), tol=EQUAL)) if found else 0)
        elif not found:
            fresh += larger.n_parameters
    return fresh


def _range(smaller: VaryingTerm, larger: VaryingTerm) -> np.ndarray | None:
    """(c, r) what the G of a larger term spans that gives what a smaller one does; None where none does."""
    if smaller.predictor != larger.predictor:
        return None
    free = larger.structure == "correlated" or larger.width == 1
    if _same_levels(smaller, larger):
        A = np.linalg.lstsq(larger.columns, smaller.columns, rcond=None)[0]
        gap = np.linalg.norm(smaller.columns - larger.columns @ A, axis=0)
        if not (gap <= EQUAL * np.linalg.norm(smaller.columns, axis=0)).all():
            return None
        if free:
            return A / np.where(np.abs(A).max(axis=0) > 0, np.abs(A).max(axis=0), 1.0)
        same = np.array_equal(smaller.columns, larger.columns) and smaller.structure == larger.structure
        return A if same else None
    if free and larger.width > 1 and smaller.width == 1 and larger.codes is not None and smaller.codes is not None:
        return _range_within(smaller.columns[:, 0], smaller.codes, larger.columns, larger.codes)
    return None


def _same_levels(one: VaryingTerm, other: VaryingTerm) -> bool:
    """Whether two terms have the same levels, whatever these are called."""
    if one.codes is None or other.codes is None:
        return one.codes is other.codes
    pairs = len(np.unique(one.codes.astype(np.int64) * other.n_levels + other.codes))
    return pairs == len(np.unique(one.codes)) == len(np.unique(other.codes))


def _range_within(z: np.ndarray, inner: np.ndarray, columns: np.ndarray, codes: np.ndarray) -> np.ndarray | None:
    """Of levels within those of the larger term: what spans G in PGPᵀ = E, of the different rows P of its columns.

    E has z_p z_q where the patterns p and q have one inner level, and 0 where they have two, in all levels alike.
    """
    whole = np.column_stack([columns, z])
    patterns, row = np.unique(whole, axis=0, return_inverse=True)
    row = row.ravel()
    m = len(patterns)
    if m > PATTERNS:
        return None
    if not is_nested(inner, codes):
        return None
    cells = np.unique(np.column_stack([codes, row, inner]), axis=0)
    same, apart = np.zeros((m, m), dtype=bool), np.zeros((m, m), dtype=bool)
    for level in np.split(cells, np.flatnonzero(np.diff(cells[:, 0])) + 1):
        alike = level[:, 2][:, None] == level[:, 2]
        at = np.ix_(level[:, 1], level[:, 1])
        np.logical_or.at(same, at, alike)
        np.logical_or.at(apart, at, ~alike)
    if (same & apart).any() or not (same | apart).all():
        return None
    P, E = patterns[:, :-1], np.where(same, np.outer(patterns[:, -1], patterns[:, -1]), 0.0)
    inverse = np.linalg.pinv(P)
    G = inverse @ E @ inverse.T
    if np.abs(P @ G @ P.T - E).max() > EQUAL * np.abs(E).max():
        return None
    values, vectors = np.linalg.eigh(G)
    if values[0] < -EQUAL * values[-1]:
        return None
    return vectors[:, values > EQUAL * values[-1]]


def _columns(model: Model, fit: Reading) -> list[np.ndarray]:
    """The columns of each predictor's design that are not aliased."""
    designs = [np.asarray(dense(one), dtype=float) for one in model.design_columns]
    kept = np.split(~fit.state.aliased[: fit.n], np.cumsum([one.shape[1] for one in designs])[:-1])
    return [X[:, own] for X, own in zip(designs, kept, strict=True)]


def _check_comparable(larger: Reading, smaller: Reading, mine: Any, other: Any) -> None:
    criteria = [fit.state.inputs.get("criterion", "ML") for fit in (larger, smaller)]
    families = [f"{fit.family.name} with {fit.family.link_name}" for fit in (larger, smaller)]
    estimated = [bool(model.family.auxiliary) for model in (mine, other)]
    if families[0] != families[1] or estimated[0] != estimated[1] or not mine.same_kind(other):
        raise ModelError(
            f"smaller: expected a model of the same family and link, {families[0]}, with nested terms; got "
            f"{families[1]}. Between families the likelihood ratio is not χ²; compare aic or bic"
        )
    if isinstance(smaller.state.dispersion_rule, float):
        raise ModelError(
            f"smaller: expected a fit whose dispersion is estimated; got dispersion={smaller.state.dispersion_rule:g}. "
            "Fit it without"
        )
    if mine.data.weights is not None and mine.weights_kind != other.weights_kind:
        raise ModelError(f"smaller: expected weights_kind={mine.weights_kind!r}; got {other.weights_kind!r}")
    shifts = [np.zeros(1) if one.offsets is None else one.offsets for one in (mine, other)]
    if not (shifts[0] == shifts[1]).all():
        raise ModelError("smaller: expected the offset of this fit; got another. Fit both models with the same one")
    restricted = [name == "REML" or name.startswith("REML ") for name in criteria]
    if any(restricted):
        X, Z = _columns(mine, larger), _columns(other, smaller)
        if not all(restricted):
            raise ModelError(
                f"smaller: expected fits by the same criterion; got {criteria[0]} and {criteria[1]}. Fit what "
                "has varying terms with criterion='ml'"
            )
        if len(X) != len(Z) or not all(map(np.array_equal, X, Z)):
            raise ModelError(
                "smaller: expected the same coefficients that do not vary, as REML integrates them out, so that "
                "criteria of different ones are not comparable; got others. Fit what has varying terms with "
                "criterion='ml'"
            )
    elif mine.varying_terms and other.varying_terms and criteria[0] != criteria[1]:
        raise ModelError(
            f"smaller: expected fits by the same criterion; got {criteria[0]} and {criteria[1]}. Fit both with the "
            "same quadrature="
        )
