"""What models have in common whose criterion is maximised, whatever their rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from raphson.data.products import dense
from raphson.data.varying.term import VaryingTerm
from raphson.linalg import independent
from raphson.model.limits import Limit
from raphson.model.objective import Evaluation, triangularised
from raphson.model.varying.corner import way_out
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.edge import edge_of
from raphson.model.varying.results import AtMaximum

ADVICE = (
    "the estimate is a maximum at the edge of the parameter space: a standard deviation of 0, a correlation of ±1 or "
    "an infinite penalty, which is the answer, not a failure"
)

CORNER = "the iteration came to where a penalty is infinite, but the criterion is higher elsewhere"


class CriterionModel:
    """A model whose coefficients vary: the maximum of its criterion, and the edges that it may lie at.

    Attributes
    ----------
    restricted : whether β is integrated with the varying coefficients (REML).
    held : (J,) mask of the θ that are held at an edge, or None.
    noted : what each edge that this model lies at means.
    shared : what models that differ in what they hold have in common, such as the criterion.
    """

    if TYPE_CHECKING:
        restricted: bool
        held: np.ndarray | None
        noted: tuple[str, ...]
        shared: dict[str, Any]
        weight: np.ndarray | None
        row_weight: np.ndarray
        n_coefficients: int
        design_columns: list[Any]

    @property
    def criterion(self) -> Criterion:
        """What is maximised, with the terms and the columns that are not aliased."""
        raise NotImplementedError

    @property
    def kept(self) -> np.ndarray:
        """(p,) mask of the columns of each predictor that are not linear combinations of earlier ones."""
        if "kept" not in self.shared:
            self.shared["kept"] = self._independent(())
        return cast("np.ndarray", self.shared["kept"])

    def _independent(self, without: Sequence[int]) -> np.ndarray:
        """(p,) mask of the columns that are no linear combinations of earlier ones, some columns left out."""
        parts, start = [np.zeros(0, dtype=bool)], 0
        for one in self.design_columns:
            X = np.asarray(dense(one), dtype=float)
            there = ~np.isin(np.arange(start, start + X.shape[1]), without)
            start += X.shape[1]
            X = X[:, there] if self.weight is None else X[self.row_weight > 0][:, there]
            if X.shape[1]:
                there[there] = independent(triangularised(X))
            parts.append(there)
        return np.concatenate(parts)

    # -- other data ----------------------------------------------------------------------------------------------

    def with_responses(self, y: np.ndarray) -> Self:
        """The same model with other responses (n,), nothing held, and the layout of the columns shared."""
        shared = {"kept": self.kept, "criterion": self.criterion.with_responses(y)}
        return replace(cast("Any", self), y=y, held=None, noted=(), shared=shared)

    def with_rows(self, rows: np.ndarray, copies: np.ndarray) -> Self:
        """The model of some rows (m,), with the number of the copy (m,) of each: a level's copies are other levels."""
        base: Any = self
        part = base.subset(rows).with_terms([copied(term, rows, copies) for term in base.varying])
        return replace(part, held=None, noted=(), shared={})

    def without(self, columns: Sequence[int]) -> Self:
        """The model without some columns of the design and nothing held.

        Columns that are linear combinations with those left out take their place; the others are numbered as before.
        """
        return replace(cast("Any", self), held=None, shared={"kept": self._independent(columns)})

    @property
    def triangle(self) -> np.ndarray:
        """(m, p) the cross-products of the columns of each predictor, those of different predictors apart."""
        parts = []
        for one in self.design_columns:
            X = np.asarray(dense(one), dtype=float)
            parts.append(triangularised(X if self.weight is None else X[self.row_weight > 0]))
        from scipy.linalg import block_diag

        return np.asarray(block_diag(*parts))

    # -- the iteration -------------------------------------------------------------------------------------------

    @property
    def free(self) -> np.ndarray | None:
        return None if self.held is None else ~self.held

    @property
    def concave(self) -> bool:
        return False

    def suspects_infinity(self, evaluation: Evaluation) -> bool:
        return False

    def undetermined(self, result: Any) -> np.ndarray:
        return np.zeros(self.n_coefficients, dtype=bool)

    def advice(self, status: Any) -> str:
        return ADVICE if status.value == "boundary" else str(status.advice)

    def remarks(self, result: Any, dispersion: float, cov: str, met: Sequence[np.ndarray] = ()) -> list[str]:
        return []

    def needs_multistart(self, theta: np.ndarray, converged: bool, condition: float, steps: int | None = None) -> str:
        """Whether the iteration came to an edge of a tensor product that is not the highest place seen."""
        if not np.isfinite(theta).all():
            return ""
        held = np.zeros(len(theta), dtype=bool) if self.held is None else self.held
        self.shared["out"] = way_out(self.criterion, theta, held)
        return "" if self.shared["out"] is None else CORNER

    def candidates(self, count: int, number: int = 0) -> list[np.ndarray]:
        """The way away from the edge."""
        return [] if number or self.shared.get("out") is None else [self.shared["out"]]

    def at_edge(self, theta: np.ndarray) -> Limit | None:
        """The model with what lies at an edge held there; None where nothing does."""
        held = np.zeros(len(theta), dtype=bool) if self.held is None else self.held
        found = edge_of(self.criterion, theta, held)
        if found is None:
            return None
        model = replace(cast("Any", self), held=found.held, noted=(*self.noted, *found.notes))
        return Limit("boundary", model, np.zeros(len(theta)), None, "; ".join(model.noted), found.theta)

    def maximum(self, theta: np.ndarray) -> AtMaximum:
        """The criterion at its maximum θ."""
        free = np.ones(len(theta), dtype=bool) if self.held is None else ~self.held
        return AtMaximum(self.criterion, theta, free)

    def cautions(self, maximum: AtMaximum) -> list[str]:
        """What the reader of the numbers has to know: what the data cannot tell, then what the criterion cannot."""
        flat = maximum.flat
        if not flat:
            return self.doubts(maximum)
        if len(flat) > 1:
            told = f"the data do not tell how much of the variation is that of {' and of '.join(flat)}"
        else:
            told = f"the data do not tell the scales of {flat[0]} from one another"
        return [
            f"{told}: other values fit them exactly as well, as there are too few rows a level; these are one choice "
            "of many, without standard errors. Leave an effect out, or write || for effects without correlations",
            *self.doubts(maximum),
        ]

    def doubts(self, maximum: AtMaximum) -> list[str]:
        """What makes the criterion itself doubtful there."""
        raise NotImplementedError

    def own(self, whole: np.ndarray) -> np.ndarray:
        """The θ of the criterion, of all parameters with β first."""
        p = len(self.kept)
        return whole[p:].copy() if self.restricted else np.concatenate([whole[:p][self.kept], whole[p:]])

    def whole(self, theta: np.ndarray) -> np.ndarray:
        """All parameters, β first, 0 for aliased ones, of the θ of the criterion."""
        return self._widened(self.maximum(theta).beta, theta)

    def whole_mask(self, free: np.ndarray) -> np.ndarray:
        """Which of all parameters moved."""
        return self._widened(np.ones(int(np.count_nonzero(self.kept)), dtype=bool), free)

    def whole_score(self, score: np.ndarray) -> np.ndarray:
        """The gradient by all parameters; that by integrated coefficients is 0, where they have their mode."""
        return self._widened(score[: self.criterion.p] if self.criterion.p else np.zeros(int(self.kept.sum())), score)

    def _widened(self, beta: np.ndarray, theta: np.ndarray) -> np.ndarray:
        out = np.zeros(len(self.kept), dtype=theta.dtype)
        out[self.kept] = beta
        return np.concatenate([out, theta[self.criterion.p :]])


def copied(term: VaryingTerm, rows: np.ndarray, copies: np.ndarray) -> VaryingTerm:
    """The term on some rows, with the number of the copy of each: a level's copies are other levels."""
    if term.codes is None:
        return term.take_rows(rows)
    both = copies.astype(np.int64) * term.n_levels + term.codes[rows]
    met, codes = np.unique(both, return_inverse=True)
    levels = tuple(f"{term.levels[one % term.n_levels]}#{one // term.n_levels}" for one in met)
    return replace(term, columns=term.columns[rows], codes=codes.astype(np.int32), levels=levels)
