"""What a fit knows: what was asked, and what was estimated. All else follows from it when it is asked for."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from raphson.choices import Covariance, Information, SmallSample
from raphson.data.watching import told
from raphson.errors import DataError
from raphson.fit.uncertainty import Uncertainty
from raphson.inference import influence
from raphson.model.base import Model, RowTable
from raphson.model.predictor import Predictor
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.methods import METHODS
from raphson.newton.path import Path
from raphson.status import Status


@dataclass(frozen=True, eq=False)
class AtEstimate:
    """The model and its data at the estimate: what a fit has until it is saved. Each is worked out once.

    Attributes
    ----------
    asked : the model that was asked for.
    estimate : its maximum, or that of its limit.
    """

    asked: Model
    estimate: Estimate[Model]

    @cached_property
    def settled(self) -> Model:
        """The model whose maximum it is, auxiliary parameters fixed at their estimates."""
        return self.estimate.model.with_nuisance_fixed(self.estimate.result.theta)

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """The information at the estimate."""
        return Uncertainty(self.estimate, self.settled, self.asked.n_coefficients)

    @property
    def theta(self) -> np.ndarray:
        """(p,) the parameters of :attr:`settled`."""
        return self.estimate.result.theta[: self.settled.predictor.n_params]

    @cached_property
    def rows(self) -> RowTable:
        """Row quantities at the estimate."""
        self.check_unchanged("what the rows say")
        return self.uncertainty.rows if self.settled is self.estimate.model else self.settled.rows(self.theta)

    @cached_property
    def designs(self) -> list[Any]:
        """The derivative of the predictors at the estimate."""
        self.check_unchanged("what the rows say")
        return self.settled.designs(self.theta)

    @cached_property
    def leverage(self) -> np.ndarray:
        """(n,) diagonal of the hat matrix."""
        return influence.leverage(self.uncertainty.main_factor, self.designs, self.rows.expected)

    @cached_property
    def null_deviance(self) -> float:
        """Deviance of the model of a constant mean; NaN where there is none."""
        self.check_unchanged("null_deviance")
        null = self.asked.null_model(self.settled.family)
        if null is None:
            return float("nan")
        if null.objective.n_params == 0:
            return null.deviance(null.rows(np.zeros(0)))
        found = estimate(null, Options(METHODS["fisher-scoring"]))
        return found.model.deviance(found.model.rows(found.result.theta))

    def check_unchanged(self, what: str, whole: bool = True) -> None:
        """Refuse what would be worked out from other data than those of the fit.

        Raises
        ------
        DataError
        """
        watch = self.asked.data.watch
        changed = [] if watch is None else watch.changed(whole)
        if changed:
            raise DataError(told(changed, what))


@dataclass(frozen=True, eq=False)
class FitState:
    """What was asked, and what was estimated.

    Attributes
    ----------
    names : of the n coefficients that the user sees.
    method, information, cov : of the iteration, of the standard errors, and which covariance.
    small_sample : the factor of a cluster covariance: "full", "clusters" or None.
    dispersion_rule : "pearson", "deviance", "ml", or φ itself.
    formula : None where there is none.
    inputs : what the model was given beside its formula, in words: "weights", "offset", "penalty" and the like.
    bias : the kind of bias reduction, or None.
    n_dropped : rows that were left out as something was missing.
    family : with its auxiliary parameters filled in; their names are `auxiliary`.
    predictor, schema : from the parameters to the linear predictors, and from new data to designs.
    theta : (p,) all parameters, auxiliary ones behind the coefficients, finite.
    free, aliased : (p,) masks of the parameters that moved, and of those that others stand for.
    infinite : (p,) sign of each parameter that is infinite, 0 for the others.
    undetermined : (n,) mask of the coefficients that can change and leave the fit as it is, so without errors.
    direction : (p,) along which the likelihood rises for ever, or None.
    follows : (n, q) how the estimates follow an edge of the domain at which the maximum lies, or None.
    status, steps, distance, floor : how the iteration ended, its way, and what its certificate rests on.
    at : the model with its data; None where the fit was loaded.
    groups : (N,) cluster of each row, or None.
    source, refit : what the user gave, and what fits it again by another formula; None where there is none.
    saved : what a file says of a loaded fit, under the names of what else works it out.
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
    family: Any
    auxiliary: tuple[str, ...]
    predictor: Predictor
    schema: Any
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
    floor: float
    at: AtEstimate | None = None
    groups: np.ndarray | None = None
    source: Any = None
    refit: Callable[..., Any] | None = None
    saved: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @staticmethod
    def of(
        found: Estimate[Model],
        asked: Model,
        *,
        method: str,
        information: Information,
        cov: Covariance,
        dispersion: str | float,
        formula: str | None,
        groups: np.ndarray | None = None,
        source: Any = None,
        refit: Callable[..., Any] | None = None,
        small_sample: SmallSample | None = "full",
        inputs: Mapping[str, Any] | None = None,
    ) -> FitState:
        """The state of a fit with its data: the estimate of the model asked for, and what the user said of both."""
        at, result = AtEstimate(asked, found), found.result
        n, p, settled = asked.n_coefficients, asked.objective.n_params, at.settled
        undetermined = np.zeros(n, dtype=bool)
        if not found.infinite.any():
            undetermined = asked.undetermined(result)[:n]
        aliased = _padded(result.aliased, p).astype(bool)
        aliased[:n] &= ~undetermined
        return FitState(
            names=asked.names,
            method=method,
            information=information,
            cov=cov,
            small_sample=small_sample,
            dispersion_rule=dispersion,
            formula=formula,
            inputs=dict(inputs or {}),
            bias=asked.bias,
            n_dropped=asked.data.n_dropped,
            family=settled.family,
            auxiliary=asked.family.auxiliary,
            predictor=settled.predictor,
            schema=asked.data.schema,
            theta=_padded(result.theta, p),
            free=_padded(result.free, p).astype(bool),
            aliased=aliased,
            infinite=found.infinite,
            undetermined=undetermined,
            direction=found.direction,
            follows=None if result.face is None else result.face.follows[:n],
            status=found.status,
            steps=result.path,
            distance=float(result.distance),
            floor=float(result.floor),
            at=at,
            groups=groups,
            source=source,
            refit=refit,
        )


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """`values` with zeros behind: a limiting model may lack the auxiliary parameters of the one asked for."""
    out = np.zeros(length)
    out[: len(values)] = values
    return out
