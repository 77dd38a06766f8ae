"""A reading of a fit: everything that follows from its state.

:class:`Reading` is for models with means: generalised linear models and curves. Another kind of model overrides what
differs, such as predictions, statistics of fit, covariances and the summary, and lists the names that do not apply to
it, each with the reason.
"""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raphson.cached import cached_property
from raphson.choices import Information, Scale
from raphson.data import Schema
from raphson.data.formula import updated
from raphson.errors import ModelError, RefusedName, visible
from raphson.fit.estimates import Estimates
from raphson.fit.predictors import FixedPredictors, Predictors
from raphson.lazy import Lazy
from raphson.model import families
from raphson.newton.path import Path

if TYPE_CHECKING:
    import pandas as pd

    from raphson.data.columns import ColumnsByName
    from raphson.fit import coefficients, determined
    from raphson.fit.means import Prediction
else:
    coefficients, determined = Lazy("raphson.fit.coefficients"), Lazy("raphson.fit.determined")

NETWORKS_ONLY = dict.fromkeys(
    ("history", "gradient_profile", "interval_kind"), "available for networks only; see fit.path"
)
LIKELIHOODS_ONLY = {
    "formulas": "available for likelihoods only, which have a formula for each parameter; see fit.formula",
    "assembly": "available for likelihoods only, whose information is computed from the user's function",
}
VARYING_ONLY = dict.fromkeys(
    (
        *("variances", "random_effects", "smooths", "edf", "satterthwaite_df", "conditional_aic", "conditional_df"),
        *(
            "conditional_llf",
            "r2_marginal",
            "r2_conditional",
            "icc",
            "smooth_curves",
            "plot_smooths",
            "plot_random_effects",
        ),
    ),
    "available where coefficients vary only, by terms such as (1 | group) and s(x)",
)
OF_OTHERS = NETWORKS_ONLY | LIKELIHOODS_ONLY | VARYING_ONLY
ONE_RESIDUAL_ONLY = dict.fromkeys(
    ("residuals", "rss", "residual_sd"),
    "not available, as a response with several levels has no single residual; see fit.fittedvalues and fit.deviance",
)


@dataclass(frozen=True, eq=False)
class Reading(Estimates):
    """Everything that follows from the state of a fit; values are cached."""

    kind_of_prediction: ClassVar[Scale] = "response"
    """What ``predict`` gives by default."""
    kind_of_information: ClassVar[Information] = "expected"
    """What ``information`` gives by default."""
    identified: ClassVar[bool] = True
    """Whether single parameters have a meaning, so that standard errors and influence make sense."""

    compares_criteria: ClassVar[bool] = False
    """Whether a likelihood ratio is of criteria in which coefficients vary, whose variances have an edge."""

    @property
    def size(self) -> float:
        """By what fits are ordered that are compared: their degrees of freedom."""
        return self.effective

    # -- names that do not apply to this kind of model -------------------------------------------------------------

    @property
    def refused(self) -> Mapping[str, str]:
        """The members of a Fit that do not apply to this kind of model, each with the reason."""
        return OF_OTHERS if self.family.levels is None else OF_OTHERS | ONE_RESIDUAL_ONLY

    def check_name(self, name: str) -> None:
        """Refuse a name that does not apply to this kind of model.

        Raises
        ------
        RefusedName
        """
        reason = self.refused.get(name)
        if reason is not None:
            raise RefusedName(f"{name}: {reason}")

    # -- how it went -----------------------------------------------------------------------------------------------

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum."""
        return self.state.status.converged

    @property
    def linear(self) -> bool:
        """Whether the predictor is linear in the parameters."""
        return bool(self.state.predictor.linear)

    @cached_property
    def n_iter(self) -> int:
        """Number of steps; of a network trained by a first-order method, the number of epochs."""
        return max(len(self.state.steps) - 1, 0)

    @cached_property
    def message(self) -> str:
        """How the iteration ended and what to do about it, with the names of aliased and infinite coefficients."""
        return visible("; ".join([self._ended, *self._wrong, *self.remarks]))

    @cached_property
    def lacking(self) -> str:
        """The message for a warning, which begins with what is wrong with some of the coefficients."""
        if self.state.at is None:
            return self.message
        return "; ".join([*self._wrong, *self.remarks, self._ended])

    @property
    def _ended(self) -> str:
        found = self.at("message").estimate
        return found.note or found.model.advice(self.state.status)

    @property
    def _wrong(self) -> list[str]:
        """Remarks on infinite and aliased coefficients and on a dispersion that cannot be estimated."""
        parts: list[str] = []
        infinite = self.named(self._infinite != 0)
        if infinite:
            parts.append(f"infinite: {', '.join(infinite)}")
        aliased = self.named(self._left_out)
        if aliased:
            parts.append(f"aliased (linear combinations of earlier columns): {', '.join(aliased)}")
        light = determined.light_weights(self)
        if light:
            parts.append(light)
        elif self.df_resid <= 0 and self.use_t:
            parts.append("saturated: as many coefficients as rows, so the dispersion cannot be estimated")
        return parts

    @cached_property
    def remarks(self) -> list[str]:
        """Cautions for the reader of the numbers, a sentence each: parameters that the data do not determine, and what
        standard errors and likelihood mean with a loss, a transformed response or bounds."""
        return determined.remarks(self)

    @cached_property
    def has_aliased(self) -> bool:
        """Whether some columns are linear combinations of earlier ones."""
        return bool(self._left_out.any())

    @cached_property
    def has_undetermined(self) -> bool:
        """Whether some parameters can change without changing the fit at all."""
        return bool(self.state.undetermined.any())

    @cached_property
    def path_with_llf(self) -> Path:
        """The iterations with their log-likelihoods."""
        steps = self.state.steps
        if self.state.at is None or not len(steps):  # a loaded path has them already
            return steps
        return steps.with_llf(self.llf_along(steps))

    @cached_property
    def path(self) -> pd.DataFrame:
        """The iterations, one row each: iteration, llf, score_norm, decrement, distance, step, damping, ...

        ``llf`` is the log-likelihood of each iterate, defined as :attr:`llf` is at the end: with all constants, without
        a penalty, at the dispersion that maximises it. ``penalty`` is the penalty's term in the objective; with a fixed
        dispersion the sum of both rises.
        """
        import pandas as pd

        return pd.DataFrame(self.path_with_llf.columns())

    @cached_property
    def passes(self) -> pd.DataFrame:
        """What each pass of the workers cost, one row each: blocks, tasks, workers, bytes sent and received, seconds.

        They are those up to when it is first asked for. It is refused where this process computed the sums itself.
        """
        import pandas as pd

        executor: Any = self.at("passes").asked.executor
        while hasattr(executor, "inner"):
            executor = executor.inner
        found = getattr(executor, "passes", None)
        if found is None:
            raise RefusedName("passes: the sums were computed by this process; pass executor= with workers")
        return pd.DataFrame([vars(one) for one in found])

    # -- the rows --------------------------------------------------------------------------------------------------

    @cached_property
    def row_labels(self) -> Any:
        """The index of the rows that were used."""
        asked = self.at("row labels").asked
        return kept_labels(asked.data.labels, asked.data.index, len(asked.y) + asked.data.n_dropped)

    def by_row(self, values: np.ndarray) -> pd.Series | pd.DataFrame:
        """Values (C, n) as a Series if C is 1, otherwise as a frame with a column for each level."""
        import pandas as pd

        if len(values) == 1:
            return pd.Series(values[0], index=self.row_labels)
        return pd.DataFrame(values.T, index=self.row_labels, columns=list(self.family.levels or ()))

    @cached_property
    def fittedvalues(self) -> pd.Series | pd.DataFrame:
        """Fitted means, with the index of the data."""
        self.at("fittedvalues")
        return self.by_row(self.rows.mean)

    @property
    def shows_source(self) -> bool:
        """Whether :attr:`frame` has the columns of the user's table, instead of those of arrays."""
        return self.state.formula is not None

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of the data that were used."""
        import pandas as pd

        from raphson.data import read_table
        from raphson.data.products import dense

        asked, labels = self.at("augment").asked, self.row_labels
        if self.state.formula is None:
            X = np.asarray(dense(asked.data.X))
            if X.ndim > 2 or len(X) != len(labels):
                raise ModelError(
                    f"augment: expected data with a row for each of {len(labels)} responses; got shape {X.shape}"
                )
            X = X.reshape(len(X), -1)
            names = list(asked.data.names) or [f"x{j}" if X.shape[1] > 1 else "x" for j in range(X.shape[1])]
            frame = pd.DataFrame(X, columns=names, index=labels)
            frame.insert(0, asked.data.response.name, asked.y, allow_duplicates=True)
            return frame
        frame = read_table(self.state.source)
        if asked.data.index is not None:
            frame = frame.iloc[asked.data.index]
        return frame.set_axis(labels, axis=0)

    @property
    def covariates(self) -> pd.DataFrame | None:
        """The columns that a model expression reads, for the rows that were used; None for other models."""
        import pandas as pd

        read = None if self.state.at is None else self.state.at.asked.covariates
        if self.state.at is None or self.state.formula is None or read is None:
            return None
        return pd.DataFrame(read, columns=list(self.state.at.asked.data.names), index=self.row_labels)

    # -- output ----------------------------------------------------------------------------------------------------

    @property
    def measures(self) -> tuple[str, ...]:
        """The statistics that a summary shows in addition to those of the likelihood."""
        return ("deviance", "null_deviance") if self.linear else ("residual_sd", "rss", "condition_number")

    @property
    def title(self) -> str:
        """The heading of the summary: the formula, or what stands for it."""
        return visible(self.state.formula, keep="\n") if self.state.formula else "y and X as arrays"

    @cached_property
    def reference_levels(self) -> dict[str, str]:
        """The level of each factor of the formula that the others are compared with."""
        return self.state.schema.reference_levels

    def summary(self, fit: Any, level: float, exponentiate: bool) -> Any:
        """The summary of a Fit with this reading."""
        from raphson.report.summary import summary

        return summary(fit, level, exponentiate)

    def check_effects(self, asked: Prediction) -> None:
        """Refuse options of predictions that are for coefficients that vary."""
        if (asked.effects, asked.new_levels) != ("all", "raise"):
            self.check_name("random_effects")

    def predict(self, new: Any, asked: Prediction, offset: Any, missing: str) -> pd.Series | pd.DataFrame:
        """See :meth:`raphson.Fit.predict`."""
        if asked.function is not None:
            raise ModelError(
                "function: expected None, as this fit is not of a likelihood; for functions of the coefficients use "
                "fit.delta, and for functions of the mean transform the result of predict()"
            )
        self.check_effects(asked)
        from raphson.fit.means import MeanPredictor

        state, n, absent = self.state, self.n, None
        if new is None:
            data = self.at("predict() without new data").asked.data
            X, shift, labels = data.X, data.offset, self.row_labels
        else:
            prepared = state.schema.design(new, missing=missing, offset=offset)
            X, shift, absent = prepared.X, prepared.offset, prepared.absent
            count = state.predictor.count(X, state.theta[:n])
            labels = kept_labels(prepared.labels, prepared.index, count + prepared.n_dropped)
        errors = asked.uncertain
        predictor = MeanPredictor(
            self.family,
            state.predictor,
            state.theta[:n],
            None if state.direction is None else state.direction[:n],
            self.covariance_root if errors else np.zeros((0, 0)),
            self.dispersion if errors else np.nan,
            self.reference_df if errors else None,
            state.follows if errors else None,
        )
        found = predictor.predict(X, shift, labels, asked)
        # A comparison with NaN is false, so a curve with a branch would return a number for a missing value.
        if absent is not None and len(absent) == len(found):
            found.iloc[np.flatnonzero(absent)] = np.nan
        return found

    def predictors(self, new: Any) -> Predictors:
        """The linear predictors of new rows of a generalised linear model, and how uncertain they are."""
        rows = self.state.schema.design(new)
        return FixedPredictors.of(rows.X, self.state.theta[: self.n], rows.offset, self.cov)

    def uncoded(self, asked: Prediction, columns: ColumnsByName) -> tuple[str, ...]:
        """The columns that a requested function reads of rows, which may be text without the codes of the fit."""
        del asked, columns
        return ()

    def fitted_labels(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The labels of the codes of columns that the fit did not read, where its data have them as text.

        Raises
        ------
        ModelError
            If the fit is without its data.
        """
        del names
        return {}

    # -- files -----------------------------------------------------------------------------------------------------

    @classmethod
    def wrote(cls, body: Mapping[str, Any]) -> bool:
        """Whether a file is from this kind of model."""
        return True

    @classmethod
    def loaded(cls, body: Mapping[str, Any], common: Mapping[str, Any]) -> Reading:
        """The reading of a file's content, with every part checked; `common` is the state of all kinds of model."""
        from raphson.fit.file import expect, is_texts
        from raphson.model.curve.saved import saved_predictor

        schema, family = Schema.from_dict(body["schema"]), families.from_dict(body["family"])
        names, K, width = body["names"], family.n_predictors, len(schema.names)
        if "curve" in body:
            curve = body["curve"]
            expect(K == 1, "curve: expected one predictor")
            expect(curve is None or (is_texts(curve["columns"]) and is_texts(curve["parameters"])), "curve: its names")
            expect(curve is None or tuple(curve["columns"]) == schema.names, "curve: expected the columns of the data")
            predictor = saved_predictor(curve, names)
        else:
            predictor = coefficients.linear_predictor(body, K)
            expect(predictor.widths == (width,) * K, f"widths: expected {K} times {width}")
            expect(K * width == len(names), f"names: expected {K * width}")
            expect(predictor.design == (0,) * K, f"design: expected {K} times 0")
        return Reading(coefficients.restored(body, common, family, schema, predictor))

    def stored(self) -> dict[str, Any]:
        """The entries of a file that this kind of model adds to those of all kinds."""
        return coefficients.stored(self)

    def updated(self, formula: Any, options: Mapping[str, Any]) -> Any:
        """See :meth:`raphson.Fit.update`."""
        if self.state.refit is None or self.state.formula is None:
            raise ModelError("update: expected a fit made from a formula and not loaded from a file; fit again")
        return self.state.refit(updated(self.state.formula, formula), **options)


def kept_labels(labels: Any, index: np.ndarray | None, n: int) -> Any:
    """The labels of the rows that were kept, out of n."""
    import pandas as pd

    if labels is None:
        return pd.RangeIndex(n) if index is None else pd.Index(index)
    return labels if index is None else labels[index]


def reading_of(fit: Any) -> Reading | None:
    """The reading of a Fit or of a reading; None for anything else."""
    found = getattr(fit, "_reading", fit)
    return found if isinstance(found, Reading) else None
