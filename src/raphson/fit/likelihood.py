"""The reading of a fitted likelihood, which has parameters and predictors but no mean of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raphson.choices import Information, Scale
from raphson.data.columns import CodedColumns, Columns, ColumnsByName
from raphson.data.formula import updated
from raphson.data.messages import listing
from raphson.data.several import PartsSchema
from raphson.errors import ModelError, one_line
from raphson.fit.reading import NETWORKS_ONLY, VARYING_ONLY, Reading, kept_labels
from raphson.lazy import Lazy
from raphson.model.likelihood.family import LikelihoodFamily

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit import densities
    from raphson.fit.means import Prediction
    from raphson.model.likelihood import distribution, saved
else:
    densities = Lazy("raphson.fit.densities")
    distribution, saved = Lazy("raphson.model.likelihood.distribution"), Lazy("raphson.model.likelihood.saved")

KEPT_RESPONSES = 33
"""Number of responses that a file keeps, for predictions of the response: the quantiles at 0, 1/32, …, 1."""

NO_MEAN = dict.fromkeys(
    ("rss", "residual_sd", "fittedvalues", "augment"),
    "not available, as a likelihood has no mean of its own; see params, llf, and predict() for its predictors",
)
NO_CURVE = {
    "curvature": "Bates and Watts's measures need a least-squares fit; compare profile() and the Wald intervals",
}


@dataclass(frozen=True, eq=False)
class LikelihoodReading(Reading):
    """The reading of a fitted likelihood: everything that needs neither a mean nor a saturated model.

    Attributes
    ----------
    assembled : a description of how the information was computed.
    texts : the formula of each parameter, where there are formulas.
    """

    assembled: str = ""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])

    kind_of_prediction: ClassVar[Scale] = "link"
    kind_of_information: ClassVar[Information] = "observed"

    @classmethod
    def wrote(cls, body: Mapping[str, Any]) -> bool:
        return saved.is_likelihood(body["family"])

    @classmethod
    def loaded(cls, body: Mapping[str, Any], common: Mapping[str, Any]) -> LikelihoodReading:
        """The reading of a loaded fit; older files lack the entries of this kind of model."""
        from raphson.fit.coefficients import linear_predictor, restored
        from raphson.fit.file import array, expect, is_texts

        schema = saved.schema_from_dict(body["schema"])
        family = saved.family_from_dict(body["family"], schema)
        assembly, formulas, responses = body.get("assembly", ""), body.get("formulas", {}), body.get("responses", [])
        predictor = linear_predictor(body, family.n_predictors)
        expect(schema.n_design_columns <= len(body["names"]), f"names: expected {schema.n_design_columns} or more")
        expect(isinstance(assembly, str), "assembly: expected text")
        expect(isinstance(formulas, dict) and is_texts([*formulas.values()], False), "formulas: expected texts")
        y = array(responses, (len(responses),), "responses")
        expect(bool(np.isfinite(y).all()), "responses: expected finite numbers")
        state = restored(body, common, family, schema, predictor)
        return LikelihoodReading(replace(state, saved={**state.saved, "responses": y}), assembly, formulas)

    def stored(self) -> dict[str, Any]:
        own = {"assembly": self.assembled, "formulas": dict(self.texts), "responses": self.responses.tolist()}
        return super().stored() | own

    @property
    def family(self) -> LikelihoodFamily:
        assert isinstance(self.state.family, LikelihoodFamily)
        return self.state.family

    @property
    def refused(self) -> Mapping[str, str]:
        return NETWORKS_ONLY | VARYING_ONLY | NO_MEAN | NO_CURVE

    def assembly(self) -> str:
        """How the information was computed: from which linear predictors, or row by row."""
        return self.assembled

    def formulas(self) -> dict[str, str]:
        """The formula of each parameter, where there are formulas."""
        return dict(self.texts)

    @cached_property
    def deviance(self) -> float:
        """NaN: there is no saturated model to compare with."""
        return math.nan

    @cached_property
    def null_deviance(self) -> float:
        """NaN: there is no null model without a mean."""
        return math.nan

    @cached_property
    def df_null(self) -> float:
        """NaN, like `null_deviance`."""
        return math.nan

    @cached_property
    def df_model(self) -> float:
        """The effective number of parameters."""
        return self.effective

    @cached_property
    def certifying(self) -> np.ndarray:
        uncertainty = self.at("the certificate").uncertainty
        try:
            return self._finite(uncertainty.model_based("observed", self.dispersion))
        except ModelError:
            return np.full((self.n, self.n), np.nan)

    @property
    def measures(self) -> tuple[str, ...]:
        return ()

    @property
    def title(self) -> str:
        return self.state.formula or f"{self.family.name}(params, row)"

    def predict(self, new: Any, asked: Prediction, offset: Any, missing: str) -> pd.Series | pd.DataFrame:
        """Predict the predictors, the response, or a function of the predictors."""
        del offset  # offsets are part of the formulas
        self.check_effects(asked)
        from raphson.inference.intervals import quantile

        reach = quantile(asked.level, self.reference_df)
        root = self.covariance_root if asked.uncertain else np.zeros((0, self.n))
        if new is None:
            self.at("predict() without new data")
        schema = self.state.schema
        if not isinstance(schema, PartsSchema):
            return self._of_rows(new, asked, root, reach)
        made = densities.predicted(schema.parts, self._parameters, new, missing, self._labels_of(new), root, reach)
        return self._of_predictors(schema, made, new, asked)

    def _of_predictors(self, schema: PartsSchema, made: densities.Predicted, new: Any, asked: Prediction) -> Any:
        """What is asked of the predictors of some rows: themselves, the response, or a function of them."""
        if asked.function is not None:
            if asked.interval == "prediction":
                raise ModelError(
                    "interval: expected None or 'confidence' with function=; got 'prediction', which is for a response"
                )
            return densities.of_whole_rows(made, (), asked, lambda rows, _: rows.function(asked))
        if asked.kind == "link" and asked.interval != "prediction":
            return made.predictors(len(schema.parts), asked)
        levels, responses = distribution.levels_of(self.family), self._responses
        if levels is not None and asked.interval == "prediction":
            raise ModelError(
                "interval: expected None or 'confidence' for ordered levels; got 'prediction'. For the probability of "
                "every level use kind='response'"
            )

        def response(rows: densities.Predicted, extra: tuple[np.ndarray, ...]) -> pd.Series | pd.DataFrame:
            return rows.response(distribution.tabulate(self.family, rows.eta, extra, responses), levels, asked)

        return densities.of_whole_rows(made, self._columns_of(schema, new, made), asked, response)

    @property
    def _parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) finite parameters, and the direction in which they go to infinity, 0 where they stay finite."""
        direction = self.state.direction
        return self.state.theta[: self.n], np.zeros(self.n) if direction is None else direction[: self.n]

    @cached_property
    def responses(self) -> np.ndarray:
        """A sample of the responses with the smallest and the largest, which brackets the search for quantiles."""
        asked: Any = self.at("predictions of the response").asked
        if not self.family.with_response:
            return np.zeros(0)
        return np.unique(np.quantile(asked.some_responses, np.linspace(0.0, 1.0, KEPT_RESPONSES), method="nearest"))

    @property
    def _responses(self) -> np.ndarray:
        if self.state.at is not None:
            asked: Any = self.state.at.asked
            return asked.some_responses
        if self.family.step is None or not len(self.responses):
            raise ModelError(
                "predict: a loaded fit lacks its density, unless that is one of Raphson's own and the file of this "
                "version; use kind='link' or function= of the predictors, or fit again"
            )
        return self.responses

    def _labels_of(self, new: Any) -> Callable[[Any], Any]:
        if new is None:
            return lambda made: self.row_labels
        return lambda made: kept_labels(made.labels, made.index, made.X.shape[0] + made.n_dropped)

    def _columns_of(self, schema: PartsSchema, new: Any, made: densities.Predicted) -> tuple[np.ndarray, ...]:
        """Further columns of the density for the predicted rows; indicators of censoring say uncensored."""
        found: list[np.ndarray] = []
        at: Any = self.state.at
        for number, name in enumerate(schema.columns):
            if name in self.family.uncensored:
                values = np.ones(made.eta.shape[1])
            elif new is None:
                values = at.asked.extra[number]
            else:
                values = schema.read(name, new).values
                values = values if made.kept is None else values[made.kept]
            found.append(values)
        return tuple(found)

    def _of_rows(self, new: Any, asked: Prediction, root: np.ndarray, reach: float) -> pd.Series | pd.DataFrame:
        """Predict a function of (params, row), for a likelihood in the general form."""
        if asked.function is None:
            raise ModelError(
                "function: expected function=lambda params, row: ..., as loglik(params, row) does not say what to "
                "predict; got None. For functions of the parameters alone use fit.delta"
            )
        if asked.interval == "prediction":
            raise ModelError(
                "interval: expected 'confidence', as loglik(params, row) does not say which column is the response; "
                "got 'prediction'. For that, write a density logpdf(y, ...) with formulas"
            )
        source = self.frame if new is None else new
        read = Columns(source)
        columns = CodedColumns(read, {**asked.labels, **self._labels, **self.fitted_labels(self.uncoded(asked, read))})
        values, slope, moved = densities.of_rows(asked.function, self.names, *self._parameters, columns)
        errors = None
        if asked.uncertain:
            errors = np.where(moved, np.nan, np.linalg.norm(root @ np.nan_to_num(slope).T, axis=0))
        return densities.shown(values, errors, asked, reach, getattr(source, "index", None))

    @property
    def _labels(self) -> Mapping[str, tuple[str, ...]]:
        """Those of the codes of text that loglik(params, row) read, by column."""
        return getattr(self.state.schema, "labels", {})

    def uncoded(self, asked: Prediction, columns: ColumnsByName) -> tuple[str, ...]:
        if asked.function is None or isinstance(self.state.schema, PartsSchema):
            return ()
        read = {name: columns[name] for name in densities.traced(asked.function, self.names, columns).used}
        # What is missing in all rows may be text in others.
        return tuple(
            name
            for name, one in read.items()
            if name not in self._labels
            and name not in asked.labels
            and (one.labels is not None or np.isnan(one.values).all())
        )

    def fitted_labels(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        at: Any = self.state.at
        if not names:
            return {}
        if at is None:
            raise ModelError(
                f"function: reads {listing(map(repr, names))}, whose levels a loaded fit does not know, as "
                f"{self.family.name}(params, row) did not read it; write it as numbers, or predict with the fit before "
                "it is saved"
            )
        if not at.asked.by_rows:
            from raphson.data.column_streams import labels_of_source

            source = at.asked.streamed.source
            return labels_of_source(source, [name for name in names if name in source.names])
        fitted = Columns(self.state.source)
        found = {name: fitted[name].labels for name in names if name in fitted.names}
        return {name: labels for name, labels in found.items() if labels is not None}

    @property
    def frame(self) -> pd.DataFrame:
        """The rows that were used; of a dict with matrices, only the plain columns."""
        frame = Columns(self.state.source).table.frame
        index = self.at("augment").asked.data.index
        return (frame if index is None else frame.iloc[index]).set_axis(self.row_labels, axis=0)

    def updated(self, formula: Any, options: Mapping[str, Any]) -> Any:
        """Fit again with other formulas: a string for the response's, or a mapping by parameter."""
        if self.state.refit is None or not self.texts:
            raise ModelError(
                "update: expected a likelihood with formulas that was not loaded from a file; fit again with rp.mle"
            )
        if options:
            named = ", ".join(options)
            raise ModelError(f"update: expected only formulas for a likelihood; got {named}=. Fit again with rp.mle")
        if not isinstance(formula, str | Mapping):
            raise ModelError(
                "update: expected a formula, or a dict of formulas by parameter, such as {'sigma': '~ x'}; got "
                f"{one_line(formula)}"
            )
        changes = {next(iter(self.texts)): formula} if isinstance(formula, str) else dict(formula)
        texts = dict(self.texts)
        for name, change in changes.items():
            full = self.family.full_name(name)
            if full not in texts:
                raise ModelError(f"update: expected parameters among {', '.join(texts)}; got {name!r}")
            texts[full] = updated(texts[full], change)
        return self.state.refit(texts)
