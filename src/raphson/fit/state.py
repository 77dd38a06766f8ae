"""The state of a fit: the request and the estimate. Everything else is computed from it on request."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, SupportsFloat

import numpy as np

from raphson.cached import cached_property
from raphson.choices import Covariance, Information, SmallSample
from raphson.data import Schema
from raphson.data.watching import changed_message
from raphson.errors import DataError
from raphson.fit.uncertainty import Uncertainty
from raphson.frozen import frozen
from raphson.inference import influence
from raphson.model.base import Model, RowTable
from raphson.model.families.distribution import Distribution
from raphson.model.predictor import Predictor
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.methods import METHODS
from raphson.newton.path import Path
from raphson.options import Inference
from raphson.status import Status


@frozen(eq=False)
class AtEstimate:
    """The model with its data at the estimate, which a loaded fit lacks. Values are cached.

    Attributes
    ----------
    asked : the model as the user specified it.
    estimate : its maximum, or that of its limiting model.
    """

    asked: Model
    estimate: Estimate[Model]

    @cached_property
    def fitted(self) -> Model:
        """The model that was maximised (`asked` or its limit), with auxiliary parameters fixed at their estimates."""
        return self.estimate.model.with_nuisance_fixed(self.estimate.result.theta)

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """The information at the estimate."""
        return Uncertainty(self.estimate, self.fitted, self.asked.n_coefficients)

    @property
    def theta(self) -> np.ndarray:
        """(p,) the parameters of :attr:`fitted`."""
        return self.estimate.result.theta[: self.fitted.predictor.n_params]

    @cached_property
    def rows(self) -> RowTable:
        """Row quantities at the estimate."""
        self.check_unchanged("what the rows say")
        return self.uncertainty.rows if self.fitted is self.estimate.model else self.fitted.rows(self.theta)

    @cached_property
    def pearson(self) -> float:
        """Σ w (y − μ̂)²/V(μ̂): as the last evaluation found it, if that was of :attr:`fitted`."""
        last = self.estimate.result.evaluation.pearson
        known = self.fitted is self.estimate.model and math.isfinite(last)
        return last if known else self.fitted.pearson(self.rows)

    @cached_property
    def designs(self) -> list[Any]:
        """The derivative of the predictors at the estimate."""
        self.check_unchanged("what the rows say")
        return self.fitted.designs(self.theta)

    @cached_property
    def leverage(self) -> np.ndarray:
        """(n,) diagonal of the hat matrix."""
        return influence.leverage(self.uncertainty.main_factor, self.designs, self.rows.expected)

    @property
    def unfolded(self) -> AtEstimate:
        """The same at the same estimate with a row for each copy that a frequency weight stands for."""
        model = self.estimate.model
        held = self.asked.unfolded if model is self.asked else model.unfolded
        return AtEstimate(self.asked.unfolded, replace(self.estimate, model=held))

    @cached_property
    def null_deviance(self) -> float:
        """Deviance of the null model; NaN where there is none."""
        self.check_unchanged("null_deviance")
        null = self.asked.null_model(self.fitted.family)
        if null is None:
            return float("nan")
        if null.objective.n_params == 0:
            return null.deviance(null.rows(np.zeros(0)))
        found = estimate(null, Options(METHODS["fisher-scoring"]))
        return found.model.deviance(found.model.rows_at(found.result.evaluation))

    def check_unchanged(self, what: str, whole: bool = True) -> None:
        """Refuse to compute from data that have changed since the fit.

        Raises
        ------
        DataError
        """
        watch = self.asked.data.watch
        changed = [] if watch is None else watch.changed(whole)
        if changed:
            raise DataError(changed_message(changed, what))


@frozen(eq=False)
class FitState:
    """The request and the estimate.

    Attributes
    ----------
    names : of the n coefficients, without auxiliary parameters.
    method : name of the fitting method.
    information, cov : kind of information and of covariance of the standard errors.
    small_sample : the factor of a cluster covariance: "full", "clusters" or None.
    dispersion_rule : "pearson", "deviance", "ml", or φ itself.
    formula : None where there is none.
    inputs : a description of each further input, by name: "weights", "offset", "penalty" and the like.
    bias : the kind of bias reduction, or None.
    n_dropped : number of rows left out because of missing values.
    family : with its auxiliary parameters at their estimates.
    auxiliary : names of the auxiliary parameters.
    predictor : maps the parameters to the linear predictors.
    schema : maps new data to designs.
    theta : (p,) all parameters, auxiliary ones last, finite.
    free, aliased : (p,) masks of the parameters that moved, and of the aliased ones.
    infinite : (p,) sign of each infinite parameter, 0 for the others.
    undetermined : (n,) mask of the coefficients that can change without changing the fit; they have no standard error.
    direction : (p,) in which the likelihood rises for ever, or None.
    follows : (n, q) how the estimates move with the boundary of the domain at which the maximum lies, or None.
    status, steps : how the iteration ended, and its path.
    distance, floor_of : from the maximum in standard errors, and the part of it that is rounding: a number, or what
        becomes one when it is asked.
    at : the model with its data; None for a loaded fit.
    groups : (N,) cluster of each row, or None.
    source, refit : the user's data, and a function that fits another formula to them; None where there is none.
    saved : cached values of a loaded fit, by the names of the cached properties.
    """

    names: tuple[str, ...]
    method: str
    information: Information
    cov: Covariance
    small_sample: SmallSample | None
    dispersion_rule: str | float
    formula: str | None
    inputs: Mapping[str, Any]
    bias: str | None
    n_dropped: int
    family: Distribution
    auxiliary: tuple[str, ...]
    predictor: Predictor
    schema: Schema
    theta: np.ndarray
    free: np.ndarray
    aliased: np.ndarray
    infinite: np.ndarray
    undetermined: np.ndarray
    direction: np.ndarray | None
    follows: np.ndarray | None
    status: Status
    steps: Path
    distance: float
    floor_of: SupportsFloat
    at: AtEstimate | None = None
    groups: np.ndarray | None = None
    source: Any = None
    refit: Callable[..., Any] | None = None
    saved: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def floor(self) -> float:
        """The part of the distance that is rounding."""
        return float(self.floor_of)

    @staticmethod
    def of(
        found: Estimate[Model],
        asked: Model,
        *,
        method: str,
        inference: Inference,
        dispersion: str | float,
        formula: str | None,
        source: Any = None,
        refit: Callable[..., Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> FitState:
        """The state of a new fit, from the estimate and the user's request."""
        at, result = AtEstimate(asked, found), found.result
        n, p, fitted = asked.n_coefficients, asked.objective.n_params, at.fitted
        undetermined = np.zeros(n, dtype=bool)
        if not any(found.infinite.tolist()):
            undetermined = asked.undetermined(result)[:n]
        aliased = _padded(result.aliased, p)
        aliased[:n] &= ~undetermined
        return FitState(
            names=asked.names,
            method=method,
            information=inference.information,
            cov=inference.cov,
            small_sample=inference.small_sample,
            dispersion_rule=dispersion,
            formula=formula,
            inputs=dict(inputs or {}),
            bias=asked.bias,
            n_dropped=asked.data.n_dropped,
            family=fitted.family,
            auxiliary=asked.family.auxiliary,
            predictor=fitted.predictor,
            schema=asked.data.schema,
            theta=_padded(result.theta, p),
            free=_padded(result.free, p),
            aliased=aliased,
            infinite=found.infinite,
            undetermined=undetermined,
            direction=found.direction,
            follows=None if result.face is None else result.face.follows[:n],
            status=found.status,
            steps=result.path,
            distance=float(result.distance),
            floor_of=result.floor_of,
            at=at,
            groups=asked.data.groups,
            source=source,
            refit=refit,
        )


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """`values` with zeros appended: a limiting model may lack the auxiliary parameters of the user's model."""
    if len(values) == length:
        return values.copy()
    out = np.zeros(length, dtype=values.dtype)
    out[: len(values)] = values
    return out
