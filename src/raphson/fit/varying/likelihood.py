"""The reading of a likelihood in the formulas of whose parameters coefficients vary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raphson.choices import Scale
from raphson.data.model_data import NewData, common_rows
from raphson.data.products import dense
from raphson.data.schema import FormulaSchema
from raphson.data.several import PartsSchema
from raphson.fit.densities import Predicted
from raphson.fit.file import expect
from raphson.fit.likelihood import NO_CURVE, NO_MEAN, LikelihoodReading
from raphson.fit.means import Prediction
from raphson.fit.reading import NETWORKS_ONLY
from raphson.fit.varying import saving
from raphson.fit.varying.predicting import VaryingPredictor, check_levels
from raphson.fit.varying.reading import NOT_HERE, VaryingReading
from raphson.inference.intervals import quantile
from raphson.model.likelihood import saved
from raphson.model.varying.likelihood import VaryingLikelihood, named

if TYPE_CHECKING:
    import pandas as pd

    from raphson.data.varying.term import VaryingTerm


@dataclass(frozen=True)
class VaryingPredicted(Predicted):
    """The predictors of some rows, with their covariances.

    Attributes
    ----------
    cov : (K, K, m).
    """

    cov: np.ndarray

    def only(self, rows: np.ndarray) -> VaryingPredicted:
        found = super().only(rows)
        assert isinstance(found, VaryingPredicted)
        return replace(found, cov=np.nan_to_num(self.cov[:, :, rows]))

    def predictor_errors(self) -> np.ndarray:
        return np.sqrt(np.maximum(np.einsum("kkm->km", self.cov), 0.0))

    def errors_of(self, slope: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(np.einsum("ckm,klm,clm->cm", slope, self.cov, slope), 0.0))


@dataclass(frozen=True, eq=False)
class VaryingLikelihoodReading(VaryingReading, LikelihoodReading):
    """The reading of a likelihood with varying terms: of its criterion, and of its predictors."""

    kind_of_prediction: ClassVar[Scale] = "link"

    @classmethod
    def wrote(cls, body: Mapping[str, Any]) -> bool:
        return "varying" in body and saved.is_likelihood(body["family"])

    @classmethod
    def loaded(cls, body: Mapping[str, Any], common: Mapping[str, Any]) -> VaryingLikelihoodReading:
        found = LikelihoodReading.loaded(body, common)
        state, own = found.state, body["varying"]
        maximum = saving.restored(own, state.family)
        expect(maximum.criterion.X.shape[1] == np.count_nonzero(~state.aliased), "p: expected the number of names")
        expect(isinstance(state.schema, PartsSchema), "schema: expected that of formulas")
        more = {"maximum": maximum, "n_estimated": float(own["n_estimated"])} | saving.restored_tables(own)
        return VaryingLikelihoodReading(replace(state, saved={**state.saved, **more}), found.assembled, found.texts)

    @property
    def model(self) -> VaryingLikelihood:  # type: ignore[override]
        model: Any = self.at("what varies").estimate.model
        assert isinstance(model, VaryingLikelihood)
        return model

    @property
    def refused(self) -> Mapping[str, str]:
        return NETWORKS_ONLY | NO_MEAN | NO_CURVE | NOT_HERE

    @property
    def measures(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def df_model(self) -> float:
        """The effective degrees of freedom."""
        return self.effective

    @cached_property
    def theta_se(self) -> None:
        """None: θ of a negative binomial is among the parameters."""
        return

    @cached_property
    def deviance(self) -> float:
        """NaN: there is no saturated model to compare with."""
        return math.nan

    @property
    def formula_schemas(self) -> list[tuple[str, FormulaSchema]]:
        schema = self.state.schema
        assert isinstance(schema, PartsSchema)
        found = ((f"{name}:", part.schema) for name, part in schema.parts.items())
        return [(prefix, one) for prefix, one in found if isinstance(one, FormulaSchema)]

    # -- predictions -----------------------------------------------------------------------------------------------

    def predict(self, new: Any, asked: Prediction, offset: Any, missing: str) -> pd.Series | pd.DataFrame:
        """Predict the predictors, the response, or a function of the predictors."""
        del offset  # offsets are part of the formulas
        if new is None:
            self.at("predict() without new data")
        schema = self.state.schema
        assert isinstance(schema, PartsSchema)
        return self._of_predictors(schema, self._predicted(schema, new, asked, missing), new, asked)

    def _predicted(self, schema: PartsSchema, new: Any, asked: Prediction, missing: str) -> VaryingPredicted:
        """The predictors of new rows, or of the fit's own, with their covariances."""
        population = asked.effects == "population"
        parts = {name: part.population() if population else part for name, part in schema.parts.items()}
        rows: list[Any] = list(parts.values())
        if new is not None:
            rows = common_rows([part.design(new, missing) for part in parts.values()])
        m = rows[0].X.shape[0]
        terms = self._terms(dict(zip(parts, rows, strict=True)), population)
        check_levels(terms, asked)
        predictor, criterion = VaryingPredictor(self.maximum, self.family, 1.0, self.robustly), self.maximum.criterion
        kept, start, designs = ~self.state.aliased[: self.n], 0, []
        for made in rows:
            width = made.X.shape[1]
            designs.append(np.asarray(dense(made.X), dtype=float)[:, kept[start : start + width]])
            start += width
        designs += [np.ones((m, 1))] * (criterion.density.n_predictors - len(rows))
        offsets = [made.offset for made in rows] + [None] * (len(designs) - len(rows))
        eta = np.stack(
            [
                predictor.predictor(X, terms, offset, a)
                for a, (X, offset) in enumerate(zip(designs, offsets, strict=True))
            ]
        )
        K = len(eta)
        cov = predictor.covariances(designs, terms) if asked.uncertain else np.zeros((K, K, m))
        made = rows[0]
        return VaryingPredicted(
            names=[*parts, *(f"cut {j + 1}" for j in range(K - len(rows)))],
            eta=eta,
            designs=designs,
            root=np.zeros((0, 0)),
            reach=quantile(asked.level, None),
            labels=self._labels_of(new)(made),
            kept=None if new is None else made.index,
            moves=np.zeros((K, m)),
            cov=cov,
        )

    def _terms(self, rows: Mapping[str, NewData], population: bool) -> list[VaryingTerm | None]:
        """The terms of the fit, of new rows; None for those that are left out."""
        found: dict[str, VaryingTerm] = {}
        for number, (name, made) in enumerate(rows.items()):
            for term in made.varying:
                if population and term.codes is not None:
                    continue
                own = named(term, name, number)
                absent = getattr(made, "absent", None)
                found[own.label] = own if absent is None else own.with_level_0(absent)
        return [found.get(one.label) for one in self.maximum.criterion.terms]
