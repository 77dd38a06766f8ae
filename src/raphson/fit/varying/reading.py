"""The reading of a fit with terms whose coefficients vary."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raphson.choices import Information
from raphson.data.products import dense
from raphson.data.schema import FormulaSchema
from raphson.data.varying.term import VaryingTerm
from raphson.errors import ConvergenceError, ModelError, RefusedName, visible
from raphson.fit.file import expect
from raphson.fit.means import Prediction
from raphson.fit.reading import LIKELIHOODS_ONLY, NETWORKS_ONLY, Reading, kept_labels
from raphson.fit.state import FitState
from raphson.fit.varying import explained, saving, showing, tables
from raphson.fit.varying.dropping import dropped
from raphson.fit.varying.inferring import AtCriterion, OfCriterion
from raphson.fit.varying.marginal import marginal
from raphson.fit.varying.predicting import VaryingPredictor, VaryingPredictors
from raphson.fit.varying.satterthwaite import degrees_of_freedom
from raphson.fit.varying.smooths import smooths
from raphson.model.varying.model import VaryingModel
from raphson.newton.estimate import Estimate
from raphson.newton.path import Path
from raphson.sheets.sheet import Note
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

WITHOUT_ERROR = (
    "the model fits the responses without error up to rounding, so that the dispersion goes to 0 and the criterion has "
    "no maximum; check whether the response is among the covariates or is constant within groups, and leave terms out"
)

NOT_HERE = {
    "information_matrix_test": "not available where coefficients vary: its rows would be the few groups, whose number "
    "is far below that of the entries of an information matrix; see check()",
    "curvature": "available for least squares with independent rows only; where coefficients vary compare profile() "
    "with the Wald intervals",
    "simulate_coverage": "not available where coefficients vary; see bootstrap(), which draws from the estimate",
}
"""Members that have no meaning where coefficients vary, each with the reason."""


@dataclass(frozen=True, eq=False)
class VaryingReading(OfCriterion):
    """The reading of a fit with varying terms: likelihood and errors are of the criterion, rows of the modes."""

    kind_of_information: ClassVar[Information] = "observed"

    @classmethod
    def wrote(cls, body: Mapping[str, Any]) -> bool:
        return "varying" in body

    @classmethod
    def loaded(cls, body: Mapping[str, Any], common: Mapping[str, Any]) -> VaryingReading:
        """The reading of a file, which has the criterion without its rows."""
        state = Reading.loaded(body, common).state
        own = body["varying"]
        maximum = saving.restored(own, state.family)
        expect(maximum.criterion.X.shape[1] == np.count_nonzero(~state.aliased), "p: expected the number of names")
        expect(isinstance(state.schema, FormulaSchema), "schema: expected that of a formula")
        more = {"maximum": maximum, "n_estimated": float(own["n_estimated"])} | saving.restored_tables(own)
        return VaryingReading(replace(state, saved={**state.saved, **more}))

    @property
    def refused(self) -> Mapping[str, str]:
        return NETWORKS_ONLY | LIKELIHOODS_ONLY | NOT_HERE

    # -- estimates -----------------------------------------------------------------------------------------------

    @cached_property
    def theta_se(self) -> float | None:
        """Standard error of the negative binomial's θ̂, by the delta method."""
        theta = self.theta
        return None if theta is None else float(theta * np.sqrt(self.maximum.cov[-1, -1]))

    def information(self, kind: Information) -> np.ndarray:
        """(n, n) inverse of the covariance: the observed information of the criterion."""
        if kind != "observed":
            raise ModelError(f"kind: expected 'observed', the information of the criterion; got {kind!r}")
        if self.state.at is None:
            return super().information(kind)
        kept, out = self.model.kept, np.full((self.n, self.n), np.nan)
        out[np.ix_(kept, kept)] = np.linalg.inv(self.maximum.beta_cov)
        return out

    @property
    def score(self) -> Any:  # type: ignore[override]
        """Gradient of the criterion by the coefficients at the estimate."""
        gradient = self.at("score").estimate.result.evaluation.score[: self.n]
        return self.series(np.where(self.state.free[: self.n], gradient, np.nan))

    # -- what varies -----------------------------------------------------------------------------------------------

    @cached_property
    def variances(self) -> pd.DataFrame:
        """The standard deviations and correlations, a row each: see :func:`raphson.fit.varying.tables.variances`."""
        return tables.variances(self.maximum)

    @cached_property
    def level_effects(self) -> pd.DataFrame:
        """The effects of the levels: see :func:`random_effects`."""
        return tables.random_effects(self.maximum)

    @cached_property
    def smooths(self) -> pd.DataFrame:
        """The smooth functions, a row each: see :func:`raphson.fit.varying.smooths.smooths`."""
        return smooths(self.maximum, self.model.kept_terms, self.nobs)

    @cached_property
    def edf(self) -> float:
        """Effective degrees of freedom of all coefficients, tr(H⁻¹AᵀWA)."""
        return self.effective

    def own_drop1(self, contains: Callable[[str, str], bool]) -> pd.DataFrame:
        """See :mod:`raphson.fit.varying.dropping`."""
        return dropped(self, contains)

    @property
    def formula_schemas(self) -> list[tuple[str, FormulaSchema]]:
        """What labels of terms begin with, and the schema, of each formula."""
        schema = self.state.schema
        assert isinstance(schema, FormulaSchema)
        return [("", schema)]

    # -- how well it fits ----------------------------------------------------------------------------------------

    @cached_property
    def llf(self) -> float:
        """The criterion: the log-likelihood with the varying coefficients integrated out, by Laplace's approximation.

        It is exact for a normal response with the identity link. For REML the coefficients β are integrated out too.
        """
        return float(self.maximum.spot.value)

    def llf_along(self, steps: Path) -> np.ndarray:
        return np.array([step.llf for step in steps.steps])

    @property
    def use_t(self) -> bool:
        """False: the dispersion is a parameter of the criterion."""
        return False

    @property
    def known_dispersion(self) -> float | None:
        return self.dispersion

    @cached_property
    def dispersion(self) -> float:
        """φ̂, which maximises the criterion; 1 where the family fixes it."""
        density = self.maximum.criterion.density
        return float(np.exp(self.maximum.theta[-1])) if density.scaled else 1.0

    @cached_property
    def shares(self) -> explained.Shares:
        """The parts of the variance."""
        model, density = self.model, self.maximum.criterion.density
        copies = density.given if density.given is not None and density.kind == "frequency" else density.present
        precision = density.given if density.kind == "precision" and self.family.name == "gaussian" else None
        if precision is not None:
            precision = np.where(model.row_weight > 0, precision, 1.0)
        return explained.shares(self.maximum, np.asarray(copies, dtype=float), precision)

    @cached_property
    def effective(self) -> float:
        """Effective degrees of freedom of all coefficients."""
        return float(sum(self.maximum.edf.values()))

    @cached_property
    def df_resid(self) -> float:
        return self.nobs - self.effective

    @cached_property
    def n_estimated(self) -> float:
        """Number of coefficients β, of standard deviations and correlations that moved, and of scales of the family."""
        model, maximum = self.model, self.maximum
        own = int(np.count_nonzero(maximum.free[maximum.criterion.p :]))
        return float(np.count_nonzero(model.kept) + own)

    @property
    def size(self) -> float:
        """Number of coefficients β, and of standard deviations and correlations, those at an edge too."""
        return float(np.count_nonzero(self.model.kept) + self.maximum.criterion.n_entries)

    @cached_property
    def remarks(self) -> list[str]:
        """Cautions for the reader of the numbers: scales without a single best value, a doubtful approximation."""
        return self.model.cautions(self.maximum) if self.state.status.converged else []

    @cached_property
    def satterthwaite_df(self) -> pd.Series:
        """Satterthwaite's degrees of freedom of each coefficient's t, for normal responses by REML."""
        if not self.by_t:
            raise RefusedName(
                "satterthwaite_df: available for normal responses by criterion='reml' only; other coefficients are "
                "compared with the normal distribution"
            )
        return self.series(np.asarray(self.df_of(), dtype=float))

    def df_of(self, combinations: np.ndarray | None = None) -> np.ndarray | None:
        """(q,) Satterthwaite's degrees of freedom, NaN with aliased coefficients; None unless by REML of normals."""
        if not self.by_t:
            return None
        combinations = np.eye(self.n) if combinations is None else combinations
        kept = ~self.state.aliased[: self.n]
        found = degrees_of_freedom(self.maximum, combinations[:, kept])
        return np.where(combinations[:, ~kept].any(axis=1), np.nan, found)

    def summary(self, fit: Any, level: float, exponentiate: bool) -> Any:
        """The summary of a Fit, with a table of how much coefficients vary."""
        found = super().summary(fit, level, exponentiate)
        notes = list(found.notes)
        if self.by_t:
            notes.insert(0, Note("t: with Satterthwaite's degrees of freedom, see satterthwaite_df.", "key"))
        first, *others = found.grids
        told = {visible(name) for name in self.smooth_columns}  # the tests of the functions count them
        first = replace(first, rows=tuple(row for row in first.rows if row[0] not in told))
        grids = [*([first] if first.rows else []), *others, *showing.grids(self)]
        return replace(found, grids=grids, notes=notes)

    def shown_varying(self, level: float) -> Any:
        """See :func:`raphson.fit.varying.showing.varies`."""
        return showing.varies(self, level)

    @property
    def smooth_columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the coefficients that are the part of a smooth function that its penalty spares."""
        labels = tuple(f"{term.label}[" for term in self.maximum.criterion.terms if term.codes is None)
        return tuple(name for name in self.names if labels and name.startswith(labels))

    @property
    def group_sizes(self) -> dict[str, int]:
        """The number of levels of each group."""
        return {term.group: term.n_levels for term in self.maximum.criterion.terms if term.codes is not None}

    @cached_property
    def scales(self) -> pd.DataFrame:
        """The standard deviations and correlations as `variances` has them, with Wald's intervals, which take no time.

        Of a loaded fit, whose intervals come from its file, they are those.
        """
        if self.state.at is None:
            return self.variances
        return tables.variances(self.maximum, profiles=False)

    def predict(self, new: Any, asked: Prediction, offset: Any, missing: str) -> pd.Series | pd.DataFrame:
        """See :meth:`raphson.Fit.predict`."""
        if asked.function is not None:
            raise ModelError(
                "function: expected None, as this fit is not of a likelihood; transform the result of predict()"
            )
        schema = self.state.schema
        assert isinstance(schema, FormulaSchema)
        absent, population = None, asked.effects == "population"
        if new is None:
            self.at("predict() without new data")
            data = self.model.data
            X, terms, shift, labels = data.X, data.varying, data.offset, self.row_labels
        else:
            schema = schema.population() if population else schema
            new = self._with_groups(new) if asked.effects == "marginal" else new
            prepared = schema.design(new, missing=missing, offset=offset)
            X, terms, shift, absent = prepared.X, prepared.varying, prepared.offset, prepared.absent
            labels = kept_labels(prepared.labels, prepared.index, X.shape[0] + prepared.n_dropped)
        by_label = {term.label: term for term in terms if not (population and term.codes is not None)}
        if absent is not None and absent.any():  # without a level, these are no levels that are new
            by_label = {label: term.with_level_0(absent) for label, term in by_label.items()}
        if asked.effects == "marginal":
            found = marginal(self._predictor, *self._read(X, by_label), shift, labels, asked)
        else:
            found = self._predictor.predict(*self._read(X, by_label), shift, labels, asked)
        if absent is not None:
            found.iloc[np.flatnonzero(absent)] = np.nan
        return found

    def _with_groups(self, new: Any) -> Any:
        """New data with a level for all rows in each column of groups that they lack: it does not matter which."""
        from raphson.data import read_table

        frame = read_table(new)
        lacking: dict[str, str] = {}
        for term in self.maximum.criterion.terms:
            names = term.group.split(":") if term.codes is not None else []
            lacking |= {name: term.levels[0] for name in names if name not in frame.columns}
        return frame.assign(**lacking) if lacking else new

    def predictors(self, new: Any) -> VaryingPredictors:
        """See :meth:`Reading.predictors`."""
        prepared = self.state.schema.design(new)
        X, terms = self._read(prepared.X, {term.label: term for term in prepared.varying})
        return VaryingPredictors(self._predictor.predictor(X, terms, prepared.offset), X, terms, self._predictor)

    @cached_property
    def _predictor(self) -> VaryingPredictor:
        return VaryingPredictor(self.maximum, self.family, self.dispersion, self.robustly)

    @property
    def robustly(self) -> Callable[[], np.ndarray] | None:
        """What gives predictions their covariance of the estimates; None for the model's."""
        return (lambda: self.sandwich) if self.state.cov == "cluster" else None

    def _read(self, X: Any, by_label: Mapping[str, VaryingTerm]) -> tuple[np.ndarray, list[VaryingTerm | None]]:
        """The columns of β and the terms, in the order of the fit, of rows that were read."""
        columns = np.asarray(dense(X), dtype=float)[:, ~self.state.aliased[: self.n]]
        return columns, [by_label.get(one.label) for one in self.maximum.criterion.terms]

    def stored(self) -> dict[str, Any]:
        """The entries of a file, with the criterion at its maximum."""
        own = saving.stored(self.maximum, {name: getattr(self, name) for name in saving.TABLES})
        return super().stored() | {"varying": own | {"n_estimated": self.n_estimated}}

    @property
    def measures(self) -> tuple[str, ...]:
        return ("deviance",)

    @cached_property
    def condition_number(self) -> float:
        """Condition number of a root of the coefficients' information, its columns scaled to length 1.

        With the effects that vary integrated out, it is that of the design √V⁻¹X of generalised least squares.
        """
        V = self.maximum.beta_cov
        if not len(V) or not np.isfinite(V).all():
            return math.nan
        M = np.linalg.inv(V)
        scale = np.sqrt(np.diagonal(M))
        values = np.linalg.eigvalsh(M / scale / scale[:, None])
        return math.sqrt(values[-1] / values[0]) if values[0] > 0 else math.inf


def varying_state(
    found: Estimate[VaryingModel],
    *,
    inference: Any,
    formula: str | None,
    source: Any,
    refit: Any,
    inputs: Mapping[str, Any],
) -> FitState:
    """The state of a new fit: its θ are all coefficients β, then the entries of all Λ and the scale of the family."""
    model, result = found.model, found.result
    if model.criterion.at(result.theta) is None:
        raise ConvergenceError(f"the iteration ended where the criterion has no value: {model.stuck_at_edge}")
    whole = model.whole(result.theta)
    free = model.whole_mask(result.free)
    evaluation = replace(
        result.evaluation, theta=whole, score=model.whole_score(result.evaluation.score), information={}
    )
    none = np.zeros(len(whole), dtype=bool)
    aliased = none.copy()
    aliased[: len(model.kept)] = ~model.kept
    converted = replace(result, evaluation=evaluation, free=free, aliased=aliased, at_bound=none)
    infinite, status = np.zeros(len(whole)), found.status
    signs = model.separated(model.maximum(result.theta)) if np.isfinite(whole).all() else None
    if signs is not None:
        infinite[: len(signs)], status = signs, Status.SEPARATED
    note = Status.SEPARATED.advice if signs is not None else found.note
    if signs is None and model.at_wall(result.theta):
        status, note = Status.SEARCH_FAILED, model.stuck_at_edge
    if not status.converged and model.exact(result.theta):
        note = WITHOUT_ERROR
    estimate = replace(found, result=converted, infinite=infinite, status=status, note=note)
    at = AtCriterion(model, estimate)  # pyright: ignore[reportArgumentType]
    return FitState(
        names=model.names,
        method="newton",
        information="observed",
        cov="model",
        small_sample=inference.small_sample,
        dispersion_rule="ml",
        formula=formula,
        inputs=dict(inputs),
        bias=None,
        n_dropped=model.data.n_dropped,
        family=at.fitted.family,
        auxiliary=(),
        predictor=at.fitted.predictor,
        schema=model.data.schema,
        theta=whole,
        free=free,
        aliased=aliased,
        infinite=infinite,
        undetermined=np.zeros(len(model.names), dtype=bool),
        direction=None,
        follows=None,
        status=status,
        steps=result.path,
        distance=float(result.distance),
        floor_of=result.floor_of,
        at=at,
        groups=model.data.groups,
        source=source,
        refit=refit,
    )


def random_effects(fit: VaryingReading) -> pd.DataFrame:
    """The effects of the levels of every group, a row each: ``group, level, term, mode`` and three deviations.

    ``mode`` is the effect at which the penalised likelihood is largest, given the estimates. Its standard deviations
    are ``conditional_sd``, given all else; ``posterior_sd``, with the uncertainty of the other coefficients; and
    ``sd``, with that of the standard deviations and correlations too.
    """
    return fit.level_effects.copy()
