"""Smooth functions: the columns of a basis, or of a product of bases, parted into what penalties penalise or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raphson.data.coding import FactorInfo
from raphson.data.described import expect, texts
from raphson.data.expressions import Expression
from raphson.data.messages import short
from raphson.data.values import Levels, Numbers, Variable, as_levels, recode, with_used_levels
from raphson.data.varying import margins as of_margins
from raphson.data.varying.margins import Columns, Margin, array, uncentred
from raphson.data.varying.parts import SmoothPart
from raphson.data.varying.term import Structure, VaryingTerm
from raphson.errors import DataError
from raphson.numeric import one_blas_thread


@dataclass(frozen=True, eq=False)
class SmoothPlan:
    """What is kept of a smooth function.

    Attributes
    ----------
    part : as the formula has it.
    margins : the bases whose product it is; one for ``s(...)``.
    combined : (D, d) combinations of the products that no penalty penalises, whose mean over the fit's rows is 0; all
        of them where it is multiplied by a number, as it is no constant then.
    means : (c + d,) means of the columns over the fit's rows, which are subtracted; None if it is multiplied, or a
        product of centred margins.
    levels : those of a factor in `by`, for each of which there is a function; None without one.
    evaluated : the columns at the rows by which the knots were placed, until the terms are built of them.
    """

    part: SmoothPart
    margins: tuple[Margin, ...]
    combined: np.ndarray
    means: np.ndarray | None
    levels: tuple[str, ...] | None
    evaluated: list[tuple[list[np.ndarray], Columns]] = field(default_factory=list, repr=False)

    population = True
    """Whether a prediction for the population has its effects."""

    @staticmethod
    def of(part: SmoothPart, variables: Sequence[Variable], kept: np.ndarray | None) -> SmoothPlan:
        """Place the knots by the rows; raises a DataError if they have too few values."""
        with one_blas_thread():  # blocks of rows are too small for several, and the numbers the same everywhere
            return SmoothPlan._of(part, variables, kept)

    @staticmethod
    def _of(part: SmoothPart, variables: Sequence[Variable], kept: np.ndarray | None) -> SmoothPlan:
        x = _by_margin(part, variables, kept)
        several = len(part.margins) > 1
        margins = tuple(
            Margin.of(one.basis, values, one.k, part.label_of(one), several, part.interaction)
            for one, values in zip(part.margins, x, strict=True)
        )
        if not several:
            margins = (margins[0].with_unit_strengths(),)
        by = None if part.by is None else with_used_levels(variables[-1], kept)
        own, null = of_margins.values(margins, x)
        combined, means = np.eye(null.shape[1]), None
        if part.centred and (by is None or isinstance(by, Levels)):
            combined = uncentred(null.mean(axis=0))
            null = null @ combined
            means = np.concatenate([own.mean(axis=0), null.mean(axis=0)])
        levels = by.labels if isinstance(by, Levels) else None
        return SmoothPlan(part, margins, combined, means, levels, [(x, (own, null))])

    @property
    def numbers(self) -> list[Expression]:
        """The expressions that are numbers."""
        expressions = self.part.expressions
        return list(expressions if self.levels is None else expressions[:-1])

    @property
    def labels(self) -> list[str]:
        """The name of each of its functions."""
        if self.levels is None:
            return [self.part.label]
        return [f"{self.part.label}[{level}]" for level in self.levels]

    @property
    def infos(self) -> list[FactorInfo]:
        """What it adds to the design: the columns that are not penalised, of each of its functions."""
        variables = [[one.text for one in margin.variables] for margin in self.part.margins]
        names = tuple(of_margins.null_names(self.margins, variables)[0 if self.means is None else 1 :])
        return [FactorInfo(label, False, names, False) for label in self.labels] if names else []

    def build(
        self, variables: Sequence[Variable], kept: np.ndarray | None, n_rows: int, new: bool = False
    ) -> tuple[list[VaryingTerm], list[Variable]]:
        """The terms for some of the rows (None for all), and for all rows what is not penalised."""
        own, null = self._columns(_by_margin(self.part, variables, kept))
        if self.means is not None:
            own, null = own - self.means[: own.shape[1]], null - self.means[own.shape[1] :]
        several = len(self.margins) > 1
        penalties = of_margins.strengths(self.margins) if several else None
        margins = tuple(margin.text for margin in self.part.margins) if several else ()
        structure: Structure = "tensor" if several else "common"
        names = tuple(str(number + 1) for number in range(own.shape[1]))
        terms, free = [], []
        for label, factor in zip(self.labels, self._multipliers(variables, kept, new), strict=True):
            columns, left = (own, null) if factor is None else (own * factor[:, None], null * factor[:, None])
            terms.append(VaryingTerm(label, label, columns, None, (), names, structure, True, margins, penalties))
            if left.shape[1]:
                spread = left
                if kept is not None:
                    spread = np.full((len(_numbers(self.part, variables[0])), left.shape[1]), np.nan)
                    spread[kept] = left
                free.append(Numbers(spread))
        return terms, [*free]

    def _columns(self, x: list[np.ndarray]) -> Columns:
        """The columns at some values; at those of the fit they have just been evaluated."""
        while self.evaluated:
            before, found = self.evaluated.pop()
            if all(map(np.array_equal, before, x)):
                return found
        with one_blas_thread():
            own, null = of_margins.values(self.margins, x)
            return own, null @ self.combined

    def _multipliers(
        self, variables: Sequence[Variable], kept: np.ndarray | None, new: bool
    ) -> list[np.ndarray | None]:
        """What each function is multiplied by in each row."""
        if self.part.by is None:
            return [None]
        by = variables[-1]
        if self.levels is None:
            values = _numbers(self.part, by)
            return [values if kept is None else values[kept]]
        text = f"new data: {self.part.by.text}"
        factor = recode(as_levels(by), self.levels, text) if new else with_used_levels(by, kept)
        assert isinstance(factor, Levels)
        codes = factor.codes if kept is None else factor.codes[kept]
        return [(codes == level).astype(np.float64) for level in range(len(self.levels))]

    def to_dict(self) -> dict[str, Any]:
        """What is kept, safe for JSON."""
        return {
            "margins": [margin.to_dict() for margin in self.margins],
            "combined": self.combined.tolist(),
            "means": None if self.means is None else self.means.tolist(),
            "levels": None if self.levels is None else list(self.levels),
        }

    @staticmethod
    def from_dict(part: SmoothPart, saved: dict[str, Any]) -> SmoothPlan:
        """Read what :meth:`to_dict` wrote."""
        pairs = zip(part.margins, saved["margins"], strict=True)
        margins = tuple(Margin.from_dict(one.basis, len(one.variables), own) for one, own in pairs)
        means = None if saved["means"] is None else array(saved["means"], 1)
        levels = None if saved["levels"] is None else texts(saved["levels"], "levels")
        combined = array(saved["combined"], 2) if saved["combined"] not in ([], [[]]) else None
        D = int(np.prod([margin.null.shape[1] for margin in margins]))
        combined = np.zeros((D, 0)) if combined is None else combined
        expect(combined.shape == (D, D if means is None else D - 1), "combinations of what is not penalised")
        c = of_margins.strengths(margins).shape[1]
        expect(means is None or len(means) == c + combined.shape[1], f"means of {c} columns")
        return SmoothPlan(part, margins, combined, means, levels)


def _by_margin(part: SmoothPart, variables: Sequence[Variable], kept: np.ndarray | None) -> list[np.ndarray]:
    """(n, d) the values of each margin's d variables."""
    values, start = [_numbers(part, one) for one in variables[: part.n_variables]], 0
    out = []
    for margin in part.margins:
        own = np.column_stack(values[start : start + len(margin.variables)])
        out.append(own if kept is None else own[kept])
        start += len(margin.variables)
    return out


def _numbers(part: SmoothPart, variable: Variable) -> np.ndarray:
    """A variable of a smooth function as one number a row."""
    if isinstance(variable, Levels) or variable.values.ndim != 1:
        kind = "a factor" if isinstance(variable, Levels) else "several columns"
        raise DataError(
            f'formula: expected a number in {short(part.text)}; got {kind}. Write s(..., basis="re") or (1 | g) for '
            "groups, and by= for a function of each level"
        )
    return variable.values
