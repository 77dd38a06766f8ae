r"""Rows that differ in their responses alone, merged before the iteration.

In an exponential family the log density of a row is w (y a(μ) − b(μ)) and a term without μ, so the rows of a cell,
which have the same μ, count as one of weight W = Σw and response ȳ = Σwy/W:

    Σ w log f(y | μ)         = W log f(ȳ | μ) + Σ w log f(y | μ = ȳ) − W log f(ȳ | μ = ȳ)
    Σ w (y − μ)² / V(μ)      = W (ȳ − μ)² / V(μ) + Σ w (y − ȳ)² / V(μ)

for any w, whether it divides a variance, counts rows or trials. Score and information are sums of the same form, the
observed information too. Only Σ w² u uᵀ, of the scores u of single rows, is not, and is left to the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.cells import Cells, cells
from raphson.data.model_data import take_rows
from raphson.data.products import matvec
from raphson.model.block_sums import Sums
from raphson.model.families.rows_by_hand import hand_rows, has_hand_rows
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import VALUE, Evaluation, Need
from raphson.model.rows import means

if TYPE_CHECKING:
    from raphson.model.glm.glm import GeneralisedLinearModel


@dataclass(frozen=True)
class MergedLikelihood(LogLikelihood):
    """The log-likelihood of rows of which the equal ones are merged, with the value that it has of all rows.

    Attributes
    ----------
    whole : of the rows as they are.
    X : the merged design.
    lacking : what the values of the merged rows lack.
    within : (m,) Σ w (y − ȳ)² of each cell; None where the dispersion is known.
    responses : ȳ and W, each (m,).
    """

    whole: LogLikelihood | None = None
    X: Any = None
    lacking: float = 0.0
    within: np.ndarray | None = None
    responses: tuple[np.ndarray, np.ndarray] | None = None  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def by_rows(self) -> LogLikelihood:
        assert self.whole is not None
        return self.whole

    @property
    def n_cases(self) -> int:
        return self.by_rows.n_cases

    @property
    def n_blocks(self) -> int:
        """One: the iteration begins with all merged rows, not with a part of them, whose weights differ."""
        return 1

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        return self.by_rows.evaluate(theta, need) if "opg" in need.kinds else super().evaluate(theta, need)

    def _penalised(self, theta: np.ndarray, sums: Sums) -> Evaluation:
        if math.isfinite(sums.value):
            pearson = sums.pearson
            if self.within is not None and self.residual_df is not None:
                pearson = pearson + self._within(self.within, theta)
            sums = replace(sums, value=sums.value + self.lacking, pearson=pearson)
        return super()._penalised(theta, sums)

    def _within(self, within: np.ndarray, theta: np.ndarray) -> float:
        """Σ w (y − ȳ)²/V(μ). Rows that are all equal add nothing, whatever V(μ) is."""
        if self.family.unit_information and self.family.quadratic:
            return float(within.sum())  # V(μ) = 1
        eta = matvec(self.X, theta)
        offsets = [block.offset[0] for block in self.blocks if block.offset is not None]
        if offsets:
            eta = eta + np.concatenate(offsets)
        uneven = within > 0
        return float(np.sum(within[uneven] / self.family.variance(means(self.family, eta[None])[0])[uneven]))


def merged(model: GeneralisedLinearModel, whole: LogLikelihood) -> LogLikelihood:
    """The likelihood of the merged rows, or that of all rows where they cannot be merged or few are equal.

    Only where the log-likelihood is concave: elsewhere other starting values, those of merged responses, may lead to
    another maximum. And only where no mean is at the end of a domain, which is judged row by row.
    """
    family, bounded = model.family, any(map(math.isfinite, model.family.domain))
    exact = family.sufficient and has_hand_rows(family) and family.log_concave and model.bias is None
    if not exact or bounded or not model.by_rows:
        return whole
    offset = model.offsets
    found = cells(model.data.X, () if offset is None else list(offset))
    if found is None:
        return whole
    mean, W, within = _responses(model, found)
    lacking = 0.0 if family.value_has_counts else _lacking(model, found, mean, W)
    kept = np.flatnonzero(W > 0)
    mean, W, first = mean[kept], W[kept], found.first[kept]
    X = take_rows(model.data.X, first)
    given = {field.name: getattr(whole, field.name) for field in fields(whole)}
    given["blocks"] = model.predictor.blocks((X,), mean, W, None if offset is None else offset[:, first])
    within = None if within is None else within[kept]
    return MergedLikelihood(**given, whole=whole, X=X, lacking=lacking, within=within, responses=(mean, W))


def _responses(model: GeneralisedLinearModel, found: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """ȳ, W and, where the dispersion is estimated, Σ w (y − ȳ)² of each cell; ȳ = 0 where W = 0, as without rows."""
    number, m, w, y = found.number, found.count, model.weight, model.y

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(number, values if w is None else w * values, m)

    W = np.bincount(number, w, m).astype(float, copy=False)
    divisor = np.where(W > 0, W, 1.0)
    mean = total(y) / divisor
    if model.family.dispersion_fixed:
        return mean, W, None
    # Once more, of what is left, so that rounding is that of deviations rather than of responses.
    rest = y - mean[number]
    moved = total(rest) / divisor
    rest *= rest
    return mean + moved, W, np.maximum(total(rest) - W * moved * moved, 0.0)


def _lacking(model: GeneralisedLinearModel, found: Cells, mean: np.ndarray, W: np.ndarray) -> float:
    """Σ w log f(y | μ = ȳ) − W log f(ȳ | μ = ȳ), whose second term is rounding: log f is minus half the deviance."""
    there = np.where(W > 0, mean, 1.0)
    eta = np.asarray(model.family.link.link(there))
    rows, ideal = (hand_rows(model.family, y, at[None]) for y, at in ((model.y, eta[found.number]), (there, eta)))
    assert rows is not None and ideal is not None
    counts = model.row_weight > 0
    return float(model.row_weight[counts] @ rows.value[counts] - W @ ideal.value)
