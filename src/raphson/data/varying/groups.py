"""Effects that vary by groups: the columns of the effects, and the level of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.coding import FactorInfo
from raphson.data.described import describe, expect, read_info, saved_info, texts
from raphson.data.design import DesignPlan
from raphson.data.expressions import Expression
from raphson.data.messages import short
from raphson.data.values import Levels, Variable, as_levels, recode, with_used_levels
from raphson.data.varying.parts import GroupPart
from raphson.data.varying.term import VaryingTerm
from raphson.errors import DataError, warn_user

FEW_NUMBERS = 20
"""Numbers with fractions that are taken as groups without a word: a dose has so many values, a measurement more."""

DEPENDENT = 1e-10
"""Relative size below which a pivot of the columns of length 1 is rounding: columns that are told apart have 1e-7."""


@dataclass(frozen=True)
class Grouping:
    """The levels of a group.

    Attributes
    ----------
    name : ``g``, or ``a:b`` of two factors.
    factors : the levels of each factor, by its name.
    cells : which cells of the factors occurred, in order, the last factor varying fastest; None for one factor.
    labels : of the levels.
    """

    name: str
    factors: dict[str, tuple[str, ...]]
    cells: np.ndarray | None
    labels: tuple[str, ...]

    @staticmethod
    def of(factors: dict[str, Levels], kept: np.ndarray | None) -> Grouping:
        """The levels that occur in the rows."""
        name = ":".join(factors)
        used = {text: with_used_levels(one, kept) for text, one in factors.items()}
        labels = {text: one.labels for text, one in used.items() if isinstance(one, Levels)}
        if len(used) == 1:
            return Grouping(name, labels, None, labels[name])
        keys = _keys([one for one in used.values() if isinstance(one, Levels)], labels)
        return Grouping.with_cells(labels, np.unique(keys if kept is None else keys[kept]))

    @staticmethod
    def with_cells(factors: dict[str, tuple[str, ...]], cells: np.ndarray) -> Grouping:
        """The levels of several factors together."""
        places = np.unravel_index(cells, [len(labels) for labels in factors.values()])
        named = [[labels[at] for at in own.tolist()] for labels, own in zip(factors.values(), places, strict=True)]
        return Grouping(":".join(factors), factors, cells, tuple(map(":".join, zip(*named, strict=True))))

    def codes(self, factors: dict[str, Levels]) -> np.ndarray:
        """The level of each row; -1 where it is none of the fit's."""
        own = [_recoded(factors[text], labels) for text, labels in self.factors.items()]
        if self.cells is None:
            return own[0].codes.astype(np.int32)
        keys = _keys(own, self.factors)
        at = np.minimum(np.searchsorted(self.cells, keys), len(self.cells) - 1)
        return np.where(self.cells[at] == keys, at, -1).astype(np.int32)


def _recoded(factor: Levels, labels: tuple[str, ...]) -> Levels:
    """A factor by the fit's levels, others missing."""
    if factor.labels == labels:
        return factor
    known = set(labels)
    strange = np.array([label not in known for label in factor.labels] or [True])
    codes = np.where((factor.codes >= 0) & ~strange[factor.codes], factor.codes, -1)
    return recode(Levels(codes, factor.labels, factor.origin), labels, "group")


def _keys(factors: Sequence[Levels], labels: dict[str, tuple[str, ...]]) -> np.ndarray:
    """The number of each row's cell, the last factor varying fastest; -1 where a level is missing."""
    keys, missing = np.zeros(len(factors[0].codes), dtype=np.int64), np.zeros(len(factors[0].codes), dtype=bool)
    for one, own in zip(factors, labels.values(), strict=True):
        keys = keys * len(own) + one.codes
        missing |= one.codes < 0
    keys[missing] = -1
    return keys


@dataclass(frozen=True)
class GroupPlan:
    """What is kept of effects that vary by groups.

    Attributes
    ----------
    part : as the formula has it.
    effects : the layout of the effects' columns.
    groupings : the levels of each group.
    """

    part: GroupPart
    effects: DesignPlan
    groupings: tuple[Grouping, ...]

    population = False
    """Whether a prediction for the population has its effects."""

    @staticmethod
    def of(part: GroupPart, variables: Sequence[Variable], kept: np.ndarray | None) -> GroupPlan:
        """Find the levels of the effects and groups in the rows; raises a DataError for what cannot vary."""
        effects, factors = _split(part, variables)
        used = [with_used_levels(one, kept) for one in effects]
        infos = [describe(*pair) for pair in zip(part.effects.factors, used, strict=True)]
        for text, variable in zip(factors, variables[len(effects) :], strict=True):
            _say_many_numbers(text, variable, factors[text], part)
        groupings = tuple(
            Grouping.of({one.text: factors[one.text] for one in product}, kept) for product in part.groups
        )
        for grouping in groupings:
            if len(grouping.labels) < 2:
                raise DataError(
                    f"formula: the group {grouping.name!r} of {short(part.text)} has one level only "
                    f"({', '.join(map(repr, grouping.labels))}), which cannot tell how levels vary; leave it out"
                )
        return GroupPlan(part, _plan(part, infos), groupings)

    @property
    def numbers(self) -> list[Expression]:
        """The expressions that are numbers."""
        pairs = zip(self.part.expressions, self.effects.factors, strict=False)  # the groups' follow the effects'
        return [expression for expression, info in pairs if not info.categorical]

    @property
    def infos(self) -> list[FactorInfo]:
        """What it adds to the design: nothing."""
        return []

    def build(
        self, variables: Sequence[Variable], kept: np.ndarray | None, n_rows: int, new: bool = False
    ) -> tuple[list[VaryingTerm], list[Variable]]:
        """The terms for some of the rows (None for all)."""
        effects, factors = _split(self.part, variables)
        if new:
            effects = [
                recode(as_levels(one), info.labels or (), f"new data: {info.text}") if info.categorical else one
                for one, info in zip(effects, self.effects.factors, strict=True)
            ]
        else:
            effects = [with_used_levels(one, kept) for one in effects]
        design: Any = self.effects.build(effects, kept, n_rows)
        columns = design if isinstance(design, np.ndarray) else design.toarray()
        if not new:
            _check_independent(columns, self.effects.names, self.part)
        terms = []
        for grouping in self.groupings:
            codes = grouping.codes(factors)
            smooth, label = self.part.smooth, f"{self.part.label} | {grouping.name}"
            terms.append(
                VaryingTerm(
                    label=self.part.label if smooth else label,
                    group=grouping.name,
                    columns=columns,
                    codes=codes if kept is None else codes[kept],
                    levels=grouping.labels,
                    names=self.effects.names,
                    structure=self.part.structure,
                    smooth=smooth,
                )
            )
        return terms, []

    def to_dict(self) -> dict[str, Any]:
        """What is kept, safe for JSON."""
        factors = {text: list(labels) for one in self.groupings for text, labels in one.factors.items()}
        cells = [None if one.cells is None else one.cells.tolist() for one in self.groupings]
        return {"effects": [saved_info(info) for info in self.effects.factors], "factors": factors, "cells": cells}

    @staticmethod
    def from_dict(part: GroupPart, saved: dict[str, Any]) -> GroupPlan:
        """Read what :meth:`to_dict` wrote."""
        infos = [read_info(*pair) for pair in zip(part.effects.factors, saved["effects"], strict=True)]
        labels = {str(text): texts(own, "levels") for text, own in saved["factors"].items()}
        groupings = []
        for product, cells in zip(part.groups, saved["cells"], strict=True):
            own = {factor.text: labels[factor.text] for factor in product}
            if cells is None:
                expect(len(own) == 1, "one factor")
                groupings.append(Grouping(product[0].text, own, None, labels[product[0].text]))
            else:
                groupings.append(Grouping.with_cells(own, np.array(cells, dtype=np.int64)))
        return GroupPlan(part, _plan(part, infos), tuple(groupings))


def _plan(part: GroupPart, infos: Sequence[FactorInfo]) -> DesignPlan:
    return DesignPlan(part.effects.terms, [part.effects.term_name(term) for term in part.effects.terms], infos)


def _split(part: GroupPart, variables: Sequence[Variable]) -> tuple[list[Variable], dict[str, Levels]]:
    """The variables of the effects, and the factors that group."""
    count = len(part.effects.factors)
    texts_of = [one.text for one in part.expressions[count:]]
    return list(variables[:count]), {
        text: as_levels(one) for text, one in zip(texts_of, variables[count:], strict=True)
    }


def _say_many_numbers(text: str, variable: Variable, factor: Levels, part: GroupPart) -> None:
    """Warn of a measurement that is taken as groups."""
    if isinstance(variable, Levels) or len(factor.labels) <= FEW_NUMBERS:
        return
    if not bool(np.equal(variable.values, np.floor(variable.values)).all()):
        warn_user(
            f"formula: {text!r} in {short(part.text)} is a number with {len(factor.labels)} different values, each of "
            f"which is taken as a group; write s({text}) for a function of it, or C({text}) if groups are meant"
        )


def _check_independent(columns: np.ndarray, names: Sequence[str], part: GroupPart) -> None:
    """Refuse effects one of which the others make up: how it varies could not be told from how they do."""
    lengths = np.sqrt(np.einsum("ij,ij->j", columns, columns))
    # Columns of length 1, each without what the ones before it explain (Gram and Schmidt by Cholesky's pivots).
    gram = columns.T @ columns / np.outer(*(np.where(lengths, lengths, 1.0),) * 2)
    for place, name in enumerate(names):
        before = gram[:place, :place]
        left = gram[place, place] - gram[place, :place] @ np.linalg.solve(before, gram[:place, place])
        if not left > DEPENDENT:
            what = f"is a combination of {', '.join(names[:place])}"
            if names[:place] == ("Intercept",):
                what = "is the same in all rows"
                if np.ptp(columns[:, place]):
                    what = "is nearly the same in all rows (subtract its mean from it)"
            if not lengths[place]:
                what = "is 0 in all rows"
            raise DataError(
                f"formula: the column {name!r} in {short(part.text)} {what}, so that its variance cannot be estimated; "
                "leave it out there"
            )
