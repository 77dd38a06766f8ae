r"""Whether fits are nested that differ in what varies, and the distribution of their likelihood ratio.

A new variance is 0 under the hypothesis, at the edge of what it can be. With its c new covariances, which are then 0
too, and q further parameters, the criterion is maximised over a half-space instead of a plane, so that the likelihood
ratio is χ²_{q+c} and χ²_{q+c+1}, each with probability ½ (Self and Liang 1987; Stram and Lee 1994): near a variance
of 0 the bound on a covariance, G_ab² ≤ G_aa G_bb, is of lower order and takes no part. For several new variances the
probabilities depend on their joint information.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.products import dense
from raphson.data.varying.term import VaryingTerm
from raphson.errors import ModelError
from raphson.fit.reading import Reading
from raphson.inference import hypotheses
from raphson.model.base import Model

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Varying:
    """What varies in a model: of a coefficient, the levels and the column; of a covariance, the levels and a pair."""

    variances: frozenset[Key]
    covariances: frozenset[Key]

    @staticmethod
    def of(terms: tuple[VaryingTerm, ...]) -> Varying:
        variances: set[Key] = set()
        covariances: set[Key] = set()
        for term in terms:
            levels = None if term.codes is None else term.codes.tobytes()
            if term.structure == "common":
                variances.add((levels, term.columns.tobytes()))
                continue
            columns = [np.ascontiguousarray(one).tobytes() for one in term.columns.T]
            variances |= {(levels, one) for one in columns}
            if term.structure == "correlated":
                covariances |= {(levels, frozenset((a, b))) for a in columns for b in columns if a != b}
        return Varying(frozenset(variances), frozenset(covariances))


def degrees_of_freedom(larger: Reading, smaller: Reading) -> tuple[int, ...]:
    """Degrees of freedom of the χ² that the likelihood ratio of two fits to the same rows is, with equal probabilities.

    Raises
    ------
    ModelError
        If the models are not nested, their criteria are not comparable, or their ratio has another distribution.
    """
    mine, other = larger.at("lr_test").asked, smaller.at("lr_test").asked
    _check_comparable(larger, smaller, mine, other)
    have, had = Varying.of(tuple(mine.data.varying)), Varying.of(tuple(other.data.varying))
    X, Z = (_columns(one, fit) for one, fit in ((mine, larger), (other, smaller)))
    if not (had.variances <= have.variances and had.covariances <= have.covariances):
        raise ModelError(
            "smaller: expected a nested model; some of its coefficients vary otherwise than this fit's, so the "
            "likelihood ratio is not χ². Compare aic or bic"
        )
    if not hypotheses.nested([X], [Z], mine.row_weight):
        raise ModelError(
            "smaller: expected a nested model; its terms are not combinations of this fit's, so the likelihood ratio "
            "is not χ². Compare aic or bic"
        )
    fresh, q = have.variances - had.variances, X.shape[1] - Z.shape[1]
    q += len(have.covariances - had.covariances)
    if q + len(fresh) <= 0:
        raise ModelError(
            "smaller: expected a model with fewer parameters than this fit; got one with as many. Call lr_test on the "
            "larger fit"
        )
    if len(fresh) > 1:
        raise ModelError(
            f"smaller: expected a model that lacks at most one of this fit's variances; it lacks {len(fresh)}, and the "
            "distribution of their likelihood ratio, all being at the edge at once, is not known. Compare models that "
            "differ in one variance, or aic"
        )
    return (q, q + 1) if fresh else (q,)


def _columns(model: Model, fit: Reading) -> np.ndarray:
    """The columns of the design that are not aliased."""
    return np.asarray(dense(model.data.X), dtype=float)[:, ~fit.state.aliased[: fit.n]]


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
    shifts = [np.zeros(len(one.y)) if one.data.offset is None else one.data.offset for one in (mine, other)]
    if not np.array_equal(shifts[0], shifts[1]):
        raise ModelError("smaller: expected the offset of this fit; got another. Fit both models with the same one")
    restricted = [name == "REML" or name.startswith("REML ") for name in criteria]
    if any(restricted):
        X, Z = _columns(mine, larger), _columns(other, smaller)
        if not all(restricted):
            raise ModelError(
                f"smaller: expected fits by the same criterion; got {criteria[0]} and {criteria[1]}. Fit both with "
                "criterion='ml'"
            )
        if X.shape != Z.shape or not np.array_equal(X, Z):
            raise ModelError(
                "smaller: expected the same coefficients that do not vary, as REML integrates them out, so that "
                "criteria of different ones are not comparable; got others. Fit both with criterion='ml'"
            )
    elif mine.data.varying and other.data.varying and criteria[0] != criteria[1]:
        raise ModelError(
            f"smaller: expected fits by the same criterion; got {criteria[0]} and {criteria[1]}. Fit both with the "
            "same quadrature="
        )
