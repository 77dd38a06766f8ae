"""A likelihood with several predictors, each of which may have terms whose coefficients vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, cast

import numpy as np

from raphson.cached import cached_property
from raphson.data.products import dense
from raphson.data.several import Part
from raphson.data.varying.term import VaryingTerm
from raphson.errors import ModelError
from raphson.model.base import Model
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.likelihood.runaway import limit_at_infinity
from raphson.model.limits import Limit
from raphson.model.objective import Evaluation, Need, Objective
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.criterion_model import CriterionModel, copied
from raphson.model.varying.results import AtMaximum
from raphson.model.varying.several import SeveralDensity
from raphson.model.varying.start import starting_values

FAR_OUT = "where a parameter is on its way to infinity (see params), fit the simpler distribution in that limit"


@dataclass(frozen=True)
class VaryingLikelihood(CriterionModel, LikelihoodModel):
    """A likelihood whose criterion is maximised.

    Attributes
    ----------
    varying : the varying terms, each with the number of its predictor; labels and names begin with the parameter.
    restricted, noted, shared : see :class:`CriterionModel`; `held` too.
    first : (p,) coefficients to start from; None to search for them.
    """

    varying: tuple[VaryingTerm, ...] = ()
    restricted: bool = False
    noted: tuple[str, ...] = ()
    shared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    first: np.ndarray | None = None
    trial_method: ClassVar[str] = ""

    @staticmethod
    def over(
        base: LikelihoodModel, parts: dict[str, Part], restricted: bool, first: np.ndarray | None
    ) -> VaryingLikelihood:
        """The model of the same data with the terms of each formula that vary, in the order of the parameters."""
        terms = tuple(
            named(term, name, number) for number, (name, part) in enumerate(parts.items()) for term in part.varying
        )
        given: dict[str, Any] = {one.name: getattr(base, one.name) for one in fields(base)}
        return VaryingLikelihood(**given, varying=terms, restricted=restricted, first=first)

    @property
    def plain(self) -> LikelihoodModel:
        """The model in which nothing varies."""
        given: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(LikelihoodModel)}
        given["held"] = None
        return LikelihoodModel(**given)

    @property
    def varying_terms(self) -> tuple[VaryingTerm, ...]:
        return self.varying

    @property
    def criterion(self) -> Criterion:
        if "criterion" not in self.shared:
            density = SeveralDensity(self.family, self.y, self.weight, self.extra)
            designs, start = [], 0
            for one in self.design_columns:
                X = np.asarray(dense(one), dtype=float)
                designs.append(np.ascontiguousarray(X[:, self.kept[start : start + X.shape[1]]]))
                start += X.shape[1]
            self.shared["criterion"] = Criterion(density, designs, self.varying, self.offset, self.restricted)
        return cast("Criterion", self.shared["criterion"])

    @property
    def kept_terms(self) -> dict[str, tuple[int, ...]]:
        """The columns of each term among those that are kept."""
        place = np.cumsum(self.kept) - 1
        return {
            term: tuple(int(place[column]) for column in columns if self.kept[column])
            for term, columns in self.term_columns.items()
        }

    @cached_property
    def objective(self) -> Objective:
        return self.criterion

    def same_kind(self, other: Model) -> bool:
        """Also a likelihood without varying terms, which is this one with variances of 0."""
        return isinstance(other, LikelihoodModel)

    def with_terms(self, terms: Sequence[VaryingTerm]) -> VaryingLikelihood:
        return replace(self, varying=tuple(terms))

    def criterion_of(self, rows: np.ndarray, restricted: bool | None = None) -> Criterion:
        """The criterion of some of the rows, with the same columns; levels that have none of them are left out."""
        own = self.criterion
        weight = None if self.weight is None else self.weight[rows]
        density = SeveralDensity(self.family, self.y[rows], weight, tuple(one[rows] for one in self.extra))
        terms = [copied(term, rows, np.zeros(len(rows), dtype=int)) for term in self.varying]
        designs = [X[rows] for X in own.designs]
        made = Criterion(
            density, designs, terms, own.offset[:, rows], own.restricted if restricted is None else restricted
        )
        if made.restricted and own.restricted:
            made.begin[made.layout.place_of_fixed] = own.begin[own.layout.place_of_fixed]
        return made

    # -- the iteration -------------------------------------------------------------------------------------------

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The criterion after some steps of expectation and maximisation, from coefficients without varying terms."""
        first = self.plain.start(Need()).theta if self.first is None else self.first
        theta = starting_values(self.criterion, first[self.kept])
        found = self.objective.evaluate(theta, need)
        if not found.finite:
            raise ModelError(
                f"logpdf: expected a log density with four derivatives and a maximum in the coefficients that vary; "
                f"{self.family.name} has none at the starting values. Begin nearer the maximum with start=, rescale "
                "extreme values, or write it without powers and branches that bend where responses are"
            )
        return found

    def limit(self, theta: np.ndarray, evaluation: Evaluation, converged: bool) -> Limit | None:
        """The model with what lies at an edge held there."""
        return self.at_edge(theta)

    def rounding_restart(self, theta: np.ndarray) -> None:
        return None

    # -- at the estimate -----------------------------------------------------------------------------------------

    def separated(self, maximum: AtMaximum) -> None:
        """None: what separates the responses of a likelihood is not looked for."""
        return

    def exact(self, theta: np.ndarray) -> bool:
        """False: a likelihood has no dispersion."""
        return False

    def at_wall(self, theta: np.ndarray) -> bool:
        """False: a parameter's predictor has no domain that would end."""
        return False

    @property
    def stuck_at_edge(self) -> str:
        """The message for a criterion that has no value where the iteration ended."""
        return (
            f"the {self.family.name} density has no maximum in the coefficients that vary there; begin nearer with "
            f"start=, rescale extreme values, or leave varying terms out; {FAR_OUT}"
        )

    def doubts(self, maximum: AtMaximum) -> list[str]:
        """Which parameters run to infinity, as they do given the modes of what varies."""
        conditional, beta = self.conditional(maximum), maximum.beta_of_all(self.kept)
        evaluation = conditional.objective.evaluate(beta, Need(kinds=("observed",)))
        found = limit_at_infinity(conditional, beta, evaluation, True)
        return [] if found is None else [found.note]

    def advice(self, status: Any) -> str:
        text = super().advice(status)
        return f"{text}; {FAR_OUT}" if status.value == "search failed" else text

    def conditional(self, maximum: AtMaximum) -> LikelihoodModel:
        """The model of β given the modes of the varying coefficients, which are in its offset."""
        offset = maximum.eta_of_terms()
        return replace(self.plain, offset=offset if self.offset is None else offset + self.offset)


def named(term: VaryingTerm, parameter: str, number: int) -> VaryingTerm:
    """The term as one of a parameter, with the number of its predictor."""
    return replace(
        term,
        label=f"{parameter}:{term.label}",
        group=term.group if term.codes is not None else f"{parameter}:{term.group}",
        names=tuple(f"{parameter}:{name}" for name in term.names),
        predictor=number,
        prefix=f"{parameter}:",
    )
