"""Coding of factors as columns, so that the columns of different terms do not span the same space.

The rule is the one of patsy and formulaic (patsy's documentation, "Technical details"): a factor
``a`` spans the constant and its own contrasts, ``a = 1 + a-``, and an interaction spans the
products. A term contributes only the products that no earlier term spans; ``b- + a-:b-`` is joined to
``a:b-``, which spans the same space.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.errors import DataError

Scoped = tuple[tuple[int, bool], ...]
"""A product of factors: the number of each, and whether it is coded with one column less."""


@dataclass(frozen=True)
class FactorInfo:
    """A variable of the formula, with everything needed to code it again in new data.

    Attributes
    ----------
    text : str
        Its spelling in the design's column names.
    categorical : bool
    labels : tuple of str or None
        The levels; or the names of a transform's columns, None if it has a single one.
    spans_intercept : bool
        Whether its columns span the constant.
    contrasts : object or None
        formulaic's coding; None for treatment contrasts against the first level.
    """

    text: str
    categorical: bool
    labels: tuple[str, ...] | None
    spans_intercept: bool
    contrasts: Any = None

    def matrix(self, reduced: bool) -> np.ndarray:
        """The coding matrix, (L, k): a row for each level."""
        assert self.labels is not None
        if self.contrasts is None:
            return np.eye(len(self.labels))[:, int(reduced) :]
        try:
            coded = self.contrasts.get_coding_matrix(list(self.labels), reduced_rank=reduced)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise DataError(f"formula: {self.text!r} cannot be coded: {reason}") from error
        return np.asarray(coded, dtype=np.float64)

    @property
    def reference(self) -> str | None:
        """The level that has no column where there is one less; None for contrasts that compare with no single one."""
        if not self.categorical or not self.labels:
            return None
        if self.contrasts is None:
            return self.labels[0]
        coded = self.matrix(True)
        without = np.flatnonzero(~coded.any(axis=1))
        alone = ((coded == 0.0) | (coded == 1.0)).all() and (coded.sum(axis=1) <= 1.0).all()
        return self.labels[int(without[0])] if len(without) == 1 and alone else None

    def column_names(self, reduced: bool) -> list[str]:
        """Names of the columns."""
        if not self.categorical:
            if self.labels is None:
                return [self.text]
            return [f"{self.text}[{label}]" for label in self.labels[int(reduced) :]]
        assert self.labels is not None
        levels = list(self.labels)
        self._check_levels(reduced)
        if self.contrasts is None:
            return [f"{self.text}[{'T.' * reduced}{label}]" for label in levels[int(reduced) :]]
        try:
            form = self.contrasts.get_factor_format(levels, reduced_rank=reduced)
            fields = self.contrasts.get_coding_column_names(levels, reduced_rank=reduced)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise DataError(f"formula: {self.text!r} cannot be coded: {reason}") from error
        return [form.format(name=self.text, field=field) for field in fields]

    def _check_levels(self, reduced: bool) -> None:
        if reduced and self.labels is not None and len(self.labels) < 2:
            level = ", ".join(map(repr, self.labels))
            raise DataError(
                f"formula: the factor {self.text!r} has only one level ({level}), so it is the same as the intercept; "
                "leave it out"
            )


def scope_terms(terms: Sequence[tuple[int, ...]], factors: Sequence[FactorInfo]) -> tuple[list[list[Scoped]], bool]:
    """Determine how the factors of each term are coded.

    Returns
    -------
    scoped : list of list
        For each term, the products that it contributes.
    has_intercept : bool
        Whether the terms together span the constant.
    """
    spanned: set[Scoped] = set()
    result = []
    for term in terms:
        # x spans x; a spans 1 and a-. The term spans the products of these.
        choices: list[tuple[tuple[int, bool] | None, ...]] = [
            ((number, True), None) if factors[number].spans_intercept else ((number, False),) for number in term
        ]
        products = itertools.product(*choices)
        spans = [tuple(part for part in product if part is not None) for product in products]
        result.append(_simplify([span for span in spans if span not in spanned]))
        spanned.update(spans)
    return result, () in spanned


def _simplify(products: Iterable[Scoped]) -> list[Scoped]:
    """Join products that differ by one reduced factor: (rest) + a-:(rest) spans the same as a:(rest)."""
    kept: list[Scoped] = []
    for product in sorted(products, key=len):
        for other in kept:
            extra = set(product) - set(other)
            if len(product) - 1 != len(other) or len(extra) != 1:
                continue
            number, reduced = next(iter(extra))
            if reduced:
                joined = tuple((n, False) if (n, r) == (number, reduced) else (n, r) for n, r in product)
                kept = _simplify([*(one for one in kept if one != other), joined])
                break
        else:
            kept.append(product)
    return kept
