"""The terms of a formula whose coefficients vary: read from the fit's data, built for new data, saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.coding import FactorInfo
from raphson.data.described import expect
from raphson.data.evaluate import Evaluator
from raphson.data.expressions import Expression
from raphson.data.rows import MissingRows, evaluate_all
from raphson.data.values import Levels, Variable
from raphson.data.varying.groups import GroupPlan
from raphson.data.varying.parts import GroupPart, Part
from raphson.data.varying.smooths import SmoothPlan
from raphson.data.varying.term import VaryingTerm

Plan = GroupPlan | SmoothPlan
PartVariables = list[list[Variable]]


def read_variables(parts: Sequence[Part], evaluator: Evaluator, rows: MissingRows) -> PartVariables:
    """The variables of each part over all rows; the rows in which one is missing are marked."""
    return [evaluate_all(part.expressions, evaluator, rows) for part in parts]


@dataclass(frozen=True)
class VaryingPlan:
    """What is kept of all terms that vary.

    Attributes
    ----------
    plans : one for each part of the formula.
    """

    plans: tuple[Plan, ...] = ()

    @staticmethod
    def of(parts: Sequence[Part], variables: PartVariables, kept: np.ndarray | None) -> VaryingPlan:
        """Find levels and knots in the rows."""
        return VaryingPlan(
            tuple(
                GroupPlan.of(part, own, kept) if isinstance(part, GroupPart) else SmoothPlan.of(part, own, kept)
                for part, own in zip(parts, variables, strict=True)
            )
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the formula."""
        return tuple(plan.part for plan in self.plans)

    @property
    def expressions(self) -> list[Expression]:
        """The variables of all terms."""
        return [one for plan in self.plans for one in plan.part.expressions]

    @property
    def infos(self) -> list[FactorInfo]:
        """The columns that the terms add to the design, as variables that are no factors."""
        return [info for plan in self.plans for info in plan.infos]

    def read(self, evaluator: Evaluator, rows: MissingRows) -> PartVariables:
        """The variables over new rows; raises a DataError for text where the fit's rows had numbers."""
        for plan in self.plans:
            for expression in plan.numbers:
                if isinstance(evaluator.variable(expression), Levels):
                    evaluator.numbers(expression)  # tells which text
        return read_variables(self.parts, evaluator, rows)

    def without_groups(self) -> VaryingPlan:
        """The terms that a prediction for the population has."""
        return VaryingPlan(tuple(plan for plan in self.plans if plan.population))

    def build(
        self, variables: PartVariables, kept: np.ndarray | None, n_rows: int, new: bool = False
    ) -> tuple[tuple[VaryingTerm, ...], list[Variable]]:
        """The terms for some of the rows (None for all), and the variables of :attr:`infos` for all rows."""
        built = [plan.build(own, kept, n_rows, new) for plan, own in zip(self.plans, variables, strict=True)]
        return tuple(term for terms, _ in built for term in terms), [one for _, free in built for one in free]

    def to_dict(self) -> list[dict[str, Any]]:
        """What is kept, safe for JSON."""
        return [plan.to_dict() for plan in self.plans]

    @staticmethod
    def from_dict(parts: Sequence[Part], saved: Any) -> VaryingPlan:
        """Read what :meth:`to_dict` wrote."""
        expect(isinstance(saved, list) and len(saved) == len(parts), "the terms that vary")
        return VaryingPlan(
            tuple(
                GroupPlan.from_dict(part, own) if isinstance(part, GroupPart) else SmoothPlan.from_dict(part, own)
                for part, own in zip(parts, saved, strict=True)
            )
        )


NOTHING_VARIES = VaryingPlan()
"""Of a formula without such terms."""
