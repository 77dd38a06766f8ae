"""Whether models are nested: the larger one can give every row the predictors that the smaller one gives it."""

from __future__ import annotations

import numpy as np

from raphson.data.products import dense
from raphson.errors import DataError, ModelError
from raphson.fit.reading import Reading
from raphson.inference import hypotheses
from raphson.model.base import Model


def check_nested(larger: Reading, smaller: Reading, nested: bool = False) -> int:
    """Degrees of freedom between two fits, after checking that their models are nested; `nested` is the user's word.

    Raises
    ------
    DataError, ModelError
    """
    check_same_data(larger, smaller)
    mine, other = larger.at("lr_test").asked, smaller.at("lr_test").asked
    reason = "" if nested else mine.why_not_nested(other, larger.state.theta, smaller.state.theta)
    family = [_described(fit) for fit in (larger, smaller)]
    same = family[0] == family[1] and larger.state.auxiliary == smaller.state.auxiliary and mine.same_kind(other)
    if reason is None and not same:
        raise ModelError(
            f"smaller: expected a model of the same family and link, {family[0]}; got {family[1]}. Between families "
            "the likelihood ratio is not χ²; compare aic or bic"
        )
    q = round(larger.effective - smaller.effective)
    if q <= 0:
        raise ModelError(
            f"smaller: expected a model with fewer parameters than this fit's {larger.effective:g}; got "
            f"{smaller.effective:g}. Call lr_test on the larger fit"
        )
    if reason:
        raise ModelError(f"smaller: {reason}")
    if reason is None and larger.linear and smaller.linear and not _spans(larger, smaller):
        raise ModelError(
            "smaller: expected a nested model; its terms are not combinations of this fit's, so the likelihood ratio "
            "is not χ². Compare aic or bic"
        )
    return q


def check_same_data(larger: Reading, smaller: Reading) -> None:
    """Check that two fits have the same rows, responses and weights.

    Raises
    ------
    DataError
    """
    mine, other = larger.at("lr_test").asked, smaller.at("lr_test").asked
    if len(mine.y) != len(other.y) or not np.array_equal(_rows_of(mine), _rows_of(other)):
        raise DataError(
            f"smaller: expected a fit to the same {len(mine.y)} rows; got one to {len(other.y)} rows, or to other "
            "ones. Drop the rows with missing values in any covariate, and fit both models to the rest"
        )
    if not np.array_equal(mine.y, other.y) or not np.array_equal(mine.row_weight, other.row_weight):
        raise DataError(
            "smaller: expected the response and weights of this fit; got others. Fit both models to the same ones"
        )


def _spans(larger: Reading, smaller: Reading) -> bool:
    """Whether the larger model's designs span the smaller one's, offsets included."""
    mine, other = larger.at("lr_test").asked, smaller.at("lr_test").asked
    outer, inner = mine.designs(larger.state.theta), list(other.designs(smaller.state.theta))
    if len(outer) != len(inner):
        return True  # the predictors are of different kinds and cannot be compared one by one
    for k, difference in enumerate(_offsets(mine) - _offsets(other)):
        if difference.any():
            inner[k] = np.column_stack([dense(inner[k]), difference])
    return hypotheses.nested(outer, inner, mine.row_weight)


def _offsets(model: Model) -> np.ndarray:
    """(K, n) the predictors at θ = 0."""
    zero = np.zeros(model.predictor.n_params)
    return np.concatenate([model.predictor.eta(block, zero)[:, : block.rows] for block in model.blocks], axis=1)


def _rows_of(model: Model) -> np.ndarray:
    index = model.data.index
    return np.arange(len(model.y)) if index is None else np.asarray(index)


def _described(fit: Reading) -> str:
    """A fit's family, and its link where it has one."""
    link = fit.family.link_name
    return fit.family.name + (f" with {link}" if link else "")
