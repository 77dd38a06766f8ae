"""What is inferred from a fit where coefficients vary: covariances, restricted maxima, refits, and left-out levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from raphson.choices import BootstrapKind
from raphson.errors import ModelError
from raphson.fit.reading import Reading
from raphson.fit.reference import ReferenceFit
from raphson.fit.state import AtEstimate
from raphson.fit.varying.deleting import Deletions, cluster_scores, small_sample_factor
from raphson.fit.varying.refits import VaryingRefits, off_the_edge
from raphson.fit.varying.satterthwaite import has_degrees_of_freedom, joint_degrees_of_freedom
from raphson.frozen import frozen
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.varying.by_name import ByName
from raphson.model.varying.joint import Joint
from raphson.model.varying.model import VaryingModel
from raphson.model.varying.results import AtMaximum
from raphson.model.varying.tensors import pairs


@frozen(eq=False)
class AtCriterion(AtEstimate):
    """The model at the maximum of its criterion; its rows are those of the modes of the varying coefficients."""

    @cached_property
    def maximum(self) -> AtMaximum:
        model: Any = self.estimate.model
        return model.maximum(model.own(self.estimate.result.theta))

    @cached_property
    def leverage(self) -> np.ndarray:
        """(n,) a_iᵀH⁻¹a_i W_i with all coefficients, those that vary and β; their sum is the effective number."""
        joint = Joint(self.maximum)
        criterion = joint.criterion
        inverse = criterion.sandwich_inverse(joint.factor.inverse, joint.factors)
        forms, weight = criterion.layout.row_forms(inverse), self.maximum.spot.mode.rows.weight
        total = np.zeros(criterion.n_rows)
        for a, b, times in pairs(criterion.layout.predictors):
            form, W = forms.at(a, b), weight.at(a, b)
            if form is not None and W is not None:
                total += times * form * W
        return total

    @cached_property
    def fitted(self) -> GeneralisedLinearModel:  # type: ignore[override]
        model: Any = self.estimate.model
        return model.conditional(self.maximum)


@dataclass(frozen=True, eq=False)
class OfCriterion(Reading):
    """A reading whose inference is by the criterion that integrates what varies."""

    compares_criteria: ClassVar[bool] = True
    kind_of_bootstrap: ClassVar[BootstrapKind] = "parametric"

    @cached_property
    def maximum(self) -> AtMaximum:
        """The criterion at its maximum."""
        at = self.at("what varies")
        assert isinstance(at, AtCriterion)
        return at.maximum

    @property
    def model(self) -> VaryingModel:
        model = self.at("what varies").estimate.model
        assert isinstance(model, VaryingModel)
        return model

    # -- covariances -----------------------------------------------------------------------------------------------

    @cached_property
    def reduced_cov(self) -> np.ndarray:
        """(n, n) of the joint observed information for ML; for REML given the estimated scales."""
        if self.state.cov != "cluster":
            return self.certifying
        p = len(self.maximum.beta)
        return self._among_all(self.sandwich[:p, :p])

    @cached_property
    def certifying(self) -> np.ndarray:
        return self._among_all(self.maximum.beta_cov)

    def _among_all(self, V: np.ndarray) -> np.ndarray:
        """(n, n) a matrix of the columns that are not aliased, NaN for the others."""
        kept, out = self.model.kept, np.full((self.n, self.n), np.nan)
        out[np.ix_(kept, kept)] = V
        return out

    @cached_property
    def sandwich(self) -> np.ndarray:
        """C (Σ s_g s_gᵀ) C of the scores of clusters: (J, J) of all θ by ML; by REML (p, p) of β given the scales."""
        at, clusters = self.maximum, self.clusters
        assert clusters is not None
        score, p = cluster_scores(self, clusters), len(at.beta)
        moved = score[:, :p] @ at.beta_cov if at.criterion.restricted else score @ at.cov
        factor = small_sample_factor(self.state.small_sample, len(score), self.nobs, p)
        return factor * moved.T @ moved

    def check_covariance(self, cov: str) -> None:
        """Refuse sandwiches of single rows, and clusters that are not independent."""
        if cov not in ("model", "cluster"):
            raise ModelError(
                f"cov: expected 'model' or 'cluster' where coefficients vary, as single rows are not independent; got "
                f"{cov!r}"
            )

    @cached_property
    def deletions(self) -> Deletions:
        """The levels of the outermost group, each left out in turn."""
        return Deletions(self)

    @property
    def by_t(self) -> bool:
        return self.state.cov == "model" and has_degrees_of_freedom(self.maximum)

    # -- other data ----------------------------------------------------------------------------------------------

    @cached_property
    def own_refits(self) -> VaryingRefits:
        """Draws with new effects of the groups, and refits to them."""
        return VaryingRefits(self)

    @property
    def clusters(self) -> np.ndarray | None:
        """The clusters that were asked for, else the levels of the outermost group."""
        return self.own_refits.clusters if self.state.groups is None else self.state.groups

    @property
    def grouping(self) -> frozenset[str]:
        """The columns that have the levels of groups."""
        terms = [term for term in self.model.varying if term.codes is not None]
        return frozenset(name for term in terms for name in term.group.split(":"))

    # -- restricted maxima -----------------------------------------------------------------------------------------

    cost_of_rows: ClassVar[float] = 30.0

    @cached_property
    def own_reference(self) -> ReferenceFit:
        """The criterion by all parameters, at its maximum.

        Raises
        ------
        ModelError
            By REML, or if the fit has no finite maximum.
        """
        model, state = self.model, self.state
        if model.restricted:
            raise ModelError(
                "criterion: expected 'ml' for likelihood ratios and profiles of coefficients, which REML integrates "
                "out; got 'reml'. Fit with criterion='ml', or use wald_test and conf_int()"
            )
        if state.infinite.any() or not state.status.converged:
            raise ModelError(
                f"expected a fit with a finite maximum where coefficients vary; this one ended with "
                f"{state.status.value!r}"
            )
        objective, top = ByName(model.criterion, model.kept), self.maximum.spot.value
        moved = np.zeros(len(state.theta))
        moved[objective.places] = off_the_edge(self.maximum) - self.maximum.theta
        awake = None
        if moved.any():
            free = state.free.copy()
            free[objective.places] = True
            awake = ReferenceFit(model, objective, state.theta + moved, free, top, False, moved)
        return ReferenceFit(model, objective, state.theta, state.free, top, True, None, awake)

    @property
    def ratio_dispersion(self) -> float:
        """1: the dispersion is a parameter of the criterion."""
        return 1.0

    def joint_df(self, combinations: np.ndarray) -> float | None:
        """Satterthwaite's degrees of freedom of F, for normal responses by REML."""
        if not self.by_t:
            return None
        kept = ~self.state.aliased[: self.n]
        return joint_degrees_of_freedom(self.maximum, combinations[:, kept])
