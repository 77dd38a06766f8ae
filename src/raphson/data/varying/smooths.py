"""Smooth functions: the columns of a basis, parted into what its penalty penalises and what it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.coding import FactorInfo
from raphson.data.described import expect, texts
from raphson.data.expressions import Expression
from raphson.data.messages import short
from raphson.data.values import Levels, Numbers, Variable, as_levels, recode, with_used_levels
from raphson.data.varying.bases import Basis, basis_of, knots_of, split
from raphson.data.varying.parts import SmoothPart
from raphson.data.varying.term import VaryingTerm
from raphson.errors import DataError


@dataclass(frozen=True, eq=False)
class SmoothPlan:
    """What is kept of a smooth function.

    Attributes
    ----------
    part : as the formula has it.
    knots : of its basis.
    means : (k,) means of the basis over the fit's rows, which are subtracted; None if it is multiplied by a number, as
        it is no constant then.
    penalised, null : the coefficients of its columns, of :func:`raphson.data.varying.bases.split`. They are kept, as
        another machine may give eigenvectors another sign.
    levels : those of a factor in `by`, for each of which there is a function; None without one.
    evaluated : the basis at the rows by which the knots were placed, until the terms are built of it.
    """

    part: SmoothPart
    knots: np.ndarray
    means: np.ndarray | None
    penalised: np.ndarray
    null: np.ndarray
    levels: tuple[str, ...] | None
    evaluated: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list, repr=False)

    population = True
    """Whether a prediction for the population has its effects."""

    @cached_property
    def basis(self) -> Basis:
        """Its basis."""
        return basis_of(self.part.basis, self.knots)

    @staticmethod
    def of(part: SmoothPart, variables: Sequence[Variable], kept: np.ndarray | None) -> SmoothPlan:
        """Place the knots by the rows; raises a DataError if they have too few values."""
        x = _numbers(part, variables[0])
        x = x if kept is None else x[kept]
        knots = knots_of(part.basis, x, part.k, short(part.text))
        basis = basis_of(part.basis, knots)
        by = None if part.by is None else with_used_levels(variables[1], kept)
        values = basis.values(x)
        means = values.mean(axis=0) if by is None or isinstance(by, Levels) else None
        levels = by.labels if isinstance(by, Levels) else None
        return SmoothPlan(part, knots, means, *split(basis, means), levels, [(x, values)])

    @property
    def numbers(self) -> list[Expression]:
        """The expressions that are numbers."""
        return list(self.part.expressions if self.levels is None else self.part.expressions[:1])

    @property
    def labels(self) -> list[str]:
        """The name of each of its functions."""
        if self.levels is None:
            return [self.part.label]
        return [f"{self.part.label}[{level}]" for level in self.levels]

    @property
    def infos(self) -> list[FactorInfo]:
        """What it adds to the design: the columns that are not penalised, of each of its functions."""
        names = ("constant", "linear")[2 - self.null.shape[1] if self.means is not None else 0 :][: self.null.shape[1]]
        return [FactorInfo(label, False, names, False) for label in self.labels] if names else []

    def build(
        self, variables: Sequence[Variable], kept: np.ndarray | None, n_rows: int, new: bool = False
    ) -> tuple[list[VaryingTerm], list[Variable]]:
        """The terms for some of the rows (None for all), and for all rows what is not penalised."""
        x = _numbers(self.part, variables[0])
        values = self._values(x if kept is None else x[kept])
        # Centred after the product: the coefficients of the null space have no mean already.
        own, null = values @ self.penalised, values @ self.null
        if self.means is not None:
            own -= self.means @ self.penalised
            null -= self.means @ self.null
        names = tuple(str(number + 1) for number in range(own.shape[1]))
        terms, free = [], []
        for label, factor in zip(self.labels, self._multipliers(variables, kept, new), strict=True):
            columns, left = (own, null) if factor is None else (own * factor[:, None], null * factor[:, None])
            terms.append(VaryingTerm(label, label, columns, None, (), names, "common", smooth=True))
            if self.null.shape[1]:
                spread = left
                if kept is not None:
                    spread = np.full((len(x), left.shape[1]), np.nan)
                    spread[kept] = left
                free.append(Numbers(spread))
        return terms, [*free]

    def _values(self, x: np.ndarray) -> np.ndarray:
        """The basis at some values; at those of the fit it has just been evaluated."""
        while self.evaluated:
            before, values = self.evaluated.pop()
            if np.array_equal(before, x):
                return values
        return self.basis.values(x)

    def _multipliers(
        self, variables: Sequence[Variable], kept: np.ndarray | None, new: bool
    ) -> list[np.ndarray | None]:
        """What each function is multiplied by in each row."""
        if self.part.by is None:
            return [None]
        by = variables[1]
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
            "knots": self.knots.tolist(),
            "means": None if self.means is None else self.means.tolist(),
            "penalised": self.penalised.tolist(),
            "null": self.null.tolist(),
            "levels": None if self.levels is None else list(self.levels),
        }

    @staticmethod
    def from_dict(part: SmoothPart, saved: dict[str, Any]) -> SmoothPlan:
        """Read what :meth:`to_dict` wrote."""
        knots = _array(saved["knots"], 1)
        means = None if saved["means"] is None else _array(saved["means"], 1)
        penalised, null = _array(saved["penalised"], 2), _array(saved["null"], 2)
        levels = None if saved["levels"] is None else texts(saved["levels"], "levels")
        k = len(basis_of(part.basis, knots).S)
        expect(len(penalised) == len(null) == k and (means is None or len(means) == k), f"{k} functions")
        return SmoothPlan(part, knots, means, penalised, null, levels)


def _array(saved: Any, ndim: int) -> np.ndarray:
    array = np.array(saved, dtype=np.float64)
    expect(array.ndim == ndim and bool(np.isfinite(array).all()), "finite numbers of a smooth function")
    return array


def _numbers(part: SmoothPart, variable: Variable) -> np.ndarray:
    """A variable of a smooth function as one number a row."""
    if isinstance(variable, Levels) or variable.values.ndim != 1:
        kind = "a factor" if isinstance(variable, Levels) else "several columns"
        raise DataError(
            f'formula: expected a number in {short(part.text)}; got {kind}. Write s(..., basis="re") or (1 | g) for '
            "groups"
        )
    return variable.values
