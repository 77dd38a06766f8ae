"""A generalised linear model with terms whose coefficients vary, as the iteration and the Fit see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any, ClassVar, cast

import numpy as np

from raphson.cached import cached_property
from raphson.data.products import dense
from raphson.data.varying.term import VaryingTerm
from raphson.errors import ConvergenceError
from raphson.frozen import frozen
from raphson.model.base import Model
from raphson.model.families.exponential import Poisson
from raphson.model.glm.glm import CERTAIN, GeneralisedLinearModel
from raphson.model.limits import Limit
from raphson.model.objective import Evaluation, Need, Objective
from raphson.model.streamed import fields_of
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.criterion_model import CriterionModel, copied
from raphson.model.varying.densities import Density
from raphson.model.varying.quadrature import IntegralDerivatives, Quadrature, one_by_one
from raphson.model.varying.results import AtMaximum
from raphson.model.varying.start import starting_values

EXACT = 1e-14
"""Share of the responses' mean square below which a dispersion that the iteration stopped at is on its way to 0."""

SHARE = 1e-4
"""Share of the counts' variance below which what the negative binomial adds to the Poisson's may be on its way to 0."""

SUSPICIOUS, RISING, SETTLING = 1e-2, 1e-8, 4
"""The share from which on a θ that still grows is suspected to do so for ever, the slope that counts as growth, and how
many steps the others are given at a large θ."""

OBSERVED = Need(kinds=("observed",))

WALL = 1e-7
"""How far from the edge of the link's domain a predictor may be to be taken to lie at it."""

FELT = 1e-4
"""Share of a node beside the edge of the link's domain from which on the integral is felt to be cut off there."""

CUT = (
    "the normal distribution of the effects reaches beyond what the {link} link allows, so that the likelihood is cut "
    "off there and the quality of its approximation is not known; a link that is defined for every η, such as 'log' or "
    "'logit', has no such edge"
)

CHECKED_BY, DOUBTFUL = 9, 0.2
"""Nodes of the quadrature that Laplace's approximation is checked by, and how far, in standard errors, it may move the
estimates before that is said. Of the references cbpp moves by 0.03, bacteria by 0.1."""


@frozen
class VaryingModel(CriterionModel, GeneralisedLinearModel):
    """Family, design and response, with varying terms.

    What is maximised is the criterion (:mod:`.criterion`) in its own parameters θ.

    Attributes
    ----------
    restricted : whether β is integrated with the varying coefficients (REML).
    nodes : of the quadrature in place of Laplace's approximation; None for the latter.
    held : (J,) mask of the θ that are held at an edge, or None.
    noted : what each edge that this model lies at means.
    shared : the criterion, which models that differ in what they hold have in common.
    """

    restricted: bool = False
    nodes: int | None = None
    held: np.ndarray | None = None
    noted: tuple[str, ...] = ()
    shared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    trial_method: ClassVar[str] = ""

    @staticmethod
    def over(base: GeneralisedLinearModel, restricted: bool, nodes: int | None = None) -> VaryingModel:
        """The model of the same data with their varying terms."""
        made = VaryingModel(**fields_of(GeneralisedLinearModel, base), restricted=restricted, nodes=nodes)
        _ = made.criterion  # which refuses a family that it cannot do with
        return made

    @property
    def varying(self) -> Sequence[VaryingTerm]:
        return self.data.varying

    @property
    def criterion(self) -> Criterion:
        """What is maximised, with the terms and the columns that are not aliased."""
        if "criterion" not in self.shared:
            columns = self._columns
            density = columns[0]
            self.shared["criterion"] = (
                Criterion(*columns)
                if self.nodes is None or density.quadratic
                else Quadrature(*columns, nodes=self.nodes)
            )
        return cast("Criterion", self.shared["criterion"])

    @property
    def _columns(self) -> tuple[Any, ...]:
        """What a criterion is made of."""
        density = Density(self.family, self.y, self.data.weights, self.size, self.weights_kind)
        X = np.ascontiguousarray(np.asarray(dense(self.data.X), dtype=float)[:, self.kept])
        return density, X, self.varying, self.data.offset, self.restricted

    @property
    def kept_terms(self) -> dict[str, tuple[int, ...]]:
        """The columns of each term among those that are kept."""
        place = np.cumsum(self.kept) - 1
        return {
            term: tuple(int(place[column]) for column in columns if self.kept[column])
            for term, columns in self.data.terms.items()
        }

    @cached_property
    def objective(self) -> Objective:
        return self.criterion

    def same_kind(self, other: Model) -> bool:
        """Also a model without varying terms, which is this one with variances of 0."""
        return isinstance(other, GeneralisedLinearModel)

    # -- other data ----------------------------------------------------------------------------------------------

    def with_terms(self, terms: Sequence[VaryingTerm]) -> VaryingModel:
        return replace(self, data=replace(self.data, varying=tuple(terms)))

    def criterion_of(self, rows: np.ndarray, restricted: bool | None = None) -> Criterion:
        """The criterion of some of the rows, with the same columns; levels that have none of them are left out."""
        density, X, terms, offset, own = self._columns

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        part = Density(density.family, density.y[rows], cut(density.given), cut(density.size), density.kind)
        some = [copied(term, rows, np.zeros(len(rows), dtype=int)) for term in terms]
        given = part, X[rows], some, cut(offset), own if restricted is None else restricted
        if self.nodes is None or density.quadratic:
            return Criterion(*given)
        return Quadrature(*given, nodes=self.nodes)

    # -- the iteration -------------------------------------------------------------------------------------------

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The criterion after some steps of expectation and maximisation."""
        found = self.objective.evaluate(starting_values(self.criterion), need)
        if not np.isfinite(found.value) and self.criterion.density.walled:
            raise ConvergenceError(f"start: found no values to start from, as {self.stuck_at_edge}")
        return found

    def suspects_infinity(self, evaluation: Evaluation) -> bool:
        """Whether a negative binomial's θ seems to be on its way to infinity, where each step adds 1 to its log."""
        if not self.criterion.density.joint or not evaluation.finite:
            return False
        return bool(evaluation.theta[-1] > self._suspicious and evaluation.score[-1] > RISING)

    @cached_property
    def _suspicious(self) -> float:
        """The log θ from which on 1/θ adds no more than SUSPICIOUS to the variance, with y (y − 1) for μ²."""
        y, w = self.y, self.row_weight
        return float(np.log(max(w @ (y * (y - 1.0)), 1e-300) / max(float(w @ y), 1e-300) / SUSPICIOUS))

    def advice(self, status: Any) -> str:
        if status.value == "search failed" and self.criterion.density.walled:
            return self.stuck_at_edge
        return super().advice(status)

    @property
    def stuck_at_edge(self) -> str:
        """The message for a criterion that ends where a mean reaches the edge of what the link allows."""
        if self.nodes is not None:
            return CUT.format(link=self.family.link_name)
        return (
            f"the likelihood is highest where some mean of the {self.family.name} family is at the edge of what the "
            f"{self.family.link_name} link allows, and Laplace's approximation ends there; choose a link that is "
            "defined for every η, such as 'log' or 'logit', or leave varying terms out"
        )

    def limit(self, theta: np.ndarray, evaluation: Evaluation, converged: bool) -> Limit | None:
        """The family's limit, or the model with what lies at an edge held there."""
        simpler = self._simpler(theta)
        if simpler is not None:
            return simpler
        return self.at_edge(theta)

    def _simpler(self, theta: np.ndarray) -> Limit | None:
        """The model of counts that vary no more than Poisson ones, to which a θ that runs to infinity leads.

        Where 1/θ adds a small share SHARE to the variance, the criterion still rises by log θ if the maximum is at
        infinity; nearer to it the slope would drown in rounding. On the way there the others are first brought to their
        maximum at that θ.
        """
        if not self.criterion.density.joint or not np.isfinite(theta).all():
            return None
        maximum = self.maximum(theta)
        _, squares, total = self.conditional(maximum).limit_evidence(maximum.beta_of_all(self.kept))
        with np.errstate(all="ignore"):
            farthest = float(np.log(squares / total / SHARE))
        if not theta[-1] >= farthest and not self.suspects_infinity(self.criterion.evaluate(theta)):
            return None
        nearer = np.append(theta[:-1], farthest)
        if theta[-1] < farthest:
            nearer = self._settled(nearer)
        if not self.criterion.evaluate(nearer).score[-1] > 0:
            return None
        theta = nearer if theta[-1] < farthest else theta
        note = (
            "the responses vary no more than poisson ones: theta runs to infinity; this is the poisson fit, its limit"
        )
        held = None if self.held is None else self.held[:-1]
        family = Poisson(link=self.family.link)
        model = replace(self, family=family, held=held, noted=(*self.noted, note), shared={})
        signs = np.append(np.zeros(len(theta) - 1), 1.0)
        return Limit("boundary", model, signs, None, "; ".join(model.noted), theta[:-1])

    def _settled(self, theta: np.ndarray) -> np.ndarray:
        """θ after a few of Newton's steps in all but its last entry, as far as each raises the criterion."""
        free = np.append(np.ones(len(theta) - 1, dtype=bool) if self.held is None else ~self.held[:-1], False)
        here = self.criterion.evaluate(theta, OBSERVED)
        for _ in range(SETTLING):
            M = here.information["observed"].matrix[np.ix_(free, free)] if here.finite else np.zeros((1, 1))
            if not np.linalg.eigvalsh(M)[0] > 0:
                break
            there = here.theta.copy()
            there[free] += np.linalg.solve(M, here.score[free])
            tried = self.criterion.evaluate(there, OBSERVED)
            if not tried.value >= here.value:
                break
            here = tried
        return here.theta

    def separated(self, maximum: AtMaximum) -> np.ndarray | None:
        """(p,) signs of the coefficients that are infinite, as the design separates responses; None where it does not.

        Along a direction that separates rows their likelihood rises whatever the varying coefficients are, so that the
        criterion rises too.
        """
        if not self._may_separate:
            return None
        conditional = self.conditional(maximum)
        highest = conditional.rows(maximum.beta_of_all(self.kept)).value[self.row_weight > 0].max(initial=-np.inf)
        if not highest > -CERTAIN:
            return None
        found = GeneralisedLinearModel(**fields_of(GeneralisedLinearModel, self))._separation()
        return None if found is None else found.infinite[: self.n_coefficients]

    def exact(self, theta: np.ndarray) -> bool:
        """Whether the dispersion has gone to 0 beside the responses, whose rounding is all that is left."""
        if not self.criterion.density.scaled:
            return False
        return bool(np.exp(theta[-1]) <= EXACT * max(float(np.mean(self.y**2)), 1e-300))

    def at_wall(self, theta: np.ndarray) -> bool:
        """Whether some mean is at the edge of what the link allows, where the mode is none."""
        density = self.criterion.density
        if not density.walled:
            return False
        spot = self.criterion.at(theta)
        assert spot is not None
        eta, tau = spot.mode.eta, float(theta[-1]) if density.has_tau else 0.0
        return not all(np.isfinite(density.at(eta + side * WALL, tau, 2).total) for side in (-1.0, 1.0))

    def doubts(self, maximum: AtMaximum) -> list[str]:
        """What makes Laplace's approximation doubtful: how far quadrature would move the estimates.

        That is known for one coefficient a level, by one Newton step of its criterion.
        """
        criterion, known = maximum.criterion, one_by_one(self.varying)
        if self.nodes is not None and isinstance(found := maximum.derivatives, IntegralDerivatives):
            return [CUT.format(link=self.family.link_name)] if found.cut > FELT else []
        if self.restricted or self.nodes is not None or criterion.density.quadratic or not known:
            return []
        given = criterion.density, criterion.designs, criterion.terms, criterion.offset, False
        finer = Quadrature(*given, nodes=CHECKED_BY)
        with np.errstate(all="ignore"):  # nodes may lie outside of the link's domain
            spot = finer.at(maximum.theta)
            assert spot is not None and isinstance(spot.derivatives, IntegralDerivatives)
            gradient = spot.derivatives.gradient
            moved = float(np.sqrt(gradient @ maximum.cov @ gradient))
        if spot.derivatives.cut > FELT:
            return [CUT.format(link=self.family.link_name)]
        if not DOUBTFUL < moved < np.inf:
            return []
        return [
            f"Laplace's approximation is doubtful here: quadrature would move the estimates by about {moved:.2g} "
            "standard errors, as the rows of a level say little about its coefficient; fit with quadrature=25"
        ]

    # -- at the estimate -----------------------------------------------------------------------------------------

    def null_model(self, family: Any) -> GeneralisedLinearModel:
        """The model in which nothing varies, with only the intercept (if it has one) and the offset."""
        given = fields_of(GeneralisedLinearModel, self, data=replace(self.data, varying=()))
        return GeneralisedLinearModel(**given).null_model(family)

    def conditional(self, maximum: AtMaximum) -> GeneralisedLinearModel:
        """The model of β given the modes of the varying coefficients, which are in its offset."""
        offset = maximum.eta_of_terms()[0]
        if self.data.offset is not None:
            offset = offset + self.data.offset
        family = self.family
        if self.criterion.density.joint:
            family = family.with_nuisance_fixed(maximum.theta[-1:])
        data = replace(self.data, offset=offset, varying=())
        return GeneralisedLinearModel(**fields_of(GeneralisedLinearModel, self, data=data, family=family))
