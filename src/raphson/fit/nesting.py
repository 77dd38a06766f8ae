"""Which fits are of nested models: the larger one's parameters can give every row what the smaller one gives it."""

from __future__ import annotations

import numpy as np

from raphson.data.products import dense
from raphson.errors import DataError, ModelError
from raphson.fit.reading import Reading
from raphson.inference import hypotheses
from raphson.model.base import Model


def check_nested(larger: Reading, smaller: Reading, nested: bool = False) -> int:
    """Degrees of freedom between two fits of nested models; `nested` is the user's word for it.

    Raises
    ------
    DataError, ModelError
    """
    mine, other = larger.at("lr_test").asked, smaller.at("lr_test").asked
    if len(mine.y) != len(other.y) or not np.array_equal(_rows_of(mine), _rows_of(other)):
        raise DataError(
            f"smaller: it was fitted to {len(other.y)} rows and this fit to {len(mine.y)}, not the same ones; drop the "
            "missing values of all covariates first, and fit both to what remains"
        )
    if not np.array_equal(mine.y, other.y) or not np.array_equal(mine.row_weight, other.row_weight):
        raise DataError(
            "smaller: it has another response or other weights than this fit; models of the same are nested"
        )
    reason = "" if nested else mine.why_not_nested(other, larger.state.theta, smaller.state.theta)
    family = [_described(fit) for fit in (larger, smaller)]
    if reason is None and (
        family[0] != family[1] or larger.state.auxiliary != smaller.state.auxiliary or type(mine) is not type(other)
    ):
        raise ModelError(
            f"smaller: expected a model of the same family and link, {family[0]}; got {family[1]}: between "
            "families the ratio has no χ² distribution, nested at an edge or not; compare aic or bic"
        )
    q = round(larger.effective - smaller.effective)
    if q <= 0:
        raise ModelError(
            f"smaller: expected a model with fewer parameters than this fit's {larger.effective:g}; got "
            f"{smaller.effective:g}. Call lr_test on the larger fit; models of as many parameters are not nested"
        )
    if reason:
        raise ModelError(f"smaller: {reason}")
    if reason is None and larger.linear and smaller.linear and not _spans(larger, smaller):
        raise ModelError(
            "smaller: its terms are not combinations of this fit's, so the models are not nested and the ratio has no "
            "χ² distribution; compare aic or bic"
        )
    return q


def _spans(larger: Reading, smaller: Reading) -> bool:
    """Whether the smaller model's predictors are among the larger one's, offsets included."""
    mine, other = larger.at("lr_test").asked, smaller.at("lr_test").asked
    outer, inner = mine.designs(larger.state.theta), list(other.designs(smaller.state.theta))
    if len(outer) != len(inner):
        return True  # predictors of another kind, which cannot be compared one by one
    for k, difference in enumerate(_offsets(mine) - _offsets(other)):
        if difference.any():
            inner[k] = np.column_stack([dense(inner[k]), difference])
    return hypotheses.nested(outer, inner, mine.row_weight)


def _offsets(model: Model) -> np.ndarray:
    """(K, n) what the predictors are at θ = 0."""
    zero = np.zeros(model.predictor.n_params)
    return np.concatenate([model.predictor.eta(block, zero)[:, : block.rows] for block in model.blocks], axis=1)


def _rows_of(model: Model) -> np.ndarray:
    index = getattr(model.data, "index", None)
    return np.arange(len(model.y)) if index is None else np.asarray(index)


def _described(fit: Reading) -> str:
    """A fit's family, and its link where it has one."""
    link = getattr(fit.family, "link", None)
    return fit.family.name + (f" with {link.name}" if link is not None else "")
