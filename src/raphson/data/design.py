"""The design matrix: dense, written in blocks of rows; or the levels of factors, without a dense intermediate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raphson.data.coding import FactorInfo, Scoped, scope_terms
from raphson.data.factor_design import SMALL, FactorDesign, Layout, Term, dense_nanoseconds
from raphson.data.formula import Formula
from raphson.data.model_data import Matrix
from raphson.data.pieced_design import FEWEST, MadeDesign, WrittenDesign
from raphson.data.rounding import rounded
from raphson.data.values import Levels, Variable
from raphson.errors import FormulaError

# A row-major matrix is written in blocks of rows that stay in the cache. Writing each column over all rows
# would load every cache line once per column.
_BLOCK = 2048
"""Rows of a block: of 64 columns it takes 1 MiB, as much as a core's second-level cache holds."""

SPARSE_COLUMNS = 50
"""Wider designs are kept sparse where they are sparse enough."""

SPARSE_DENSITY = 0.15
"""Share of entries that are not 0 above which XᵀWX takes longer sparse than dense: measured at 100 columns and 20,000
rows 0.07 of the time at a share of 0.05, 0.4 at 0.1, 1.1 at 0.15 and 2.6 at 0.3."""

_FEW_ROWS = 16_384
"""Up to so many rows narrower designs are dense: a pass over them takes less than two milliseconds."""


Multiplier = tuple[tuple[int, bool, int], ...]
"""A column of each of some numeric factors: the factor's number, whether it is coded reduced, and the column."""


@dataclass(frozen=True)
class Product:
    """A product of coded factors, and the columns that it fills.

    Attributes
    ----------
    scoped : tuple
    start, stop : int
        Range of its columns.
    codings : tuple of ndarray or None
        The coding matrix of each factor; None for numbers.
    """

    scoped: Scoped
    start: int
    stop: int
    codings: tuple[np.ndarray | None, ...]

    @property
    def is_indicator(self) -> bool:
        """Whether every row of every coding has at most one non-zero entry, a 1."""
        return all(
            coding is None or bool(np.isin(coding, (0.0, 1.0)).all() and (coding.sum(axis=1) <= 1).all())
            for coding in self.codings
        )

    @property
    def by_cells(self) -> bool:
        """Whether each row's cell says which of its columns is not 0; the constant has one cell."""
        return self.is_indicator and (not self.scoped or any(coding is not None for coding in self.codings))


class DesignPlan:
    """The layout of a design matrix: which product of factors fills which columns.

    Parameters
    ----------
    terms : sequence of tuple of int
    term_names : sequence of str
    factors : sequence of FactorInfo
    may_be_empty : bool
        Whether the design may have no columns, as where all coefficients vary.

    Attributes
    ----------
    names : tuple of str
        Column names.
    terms : dict
        Term -> its column numbers.
    has_intercept : bool
    sparse : bool
        Whether the matrix is never written out: it has many columns, and few non-zeros in a row.
    """

    def __init__(
        self,
        terms: Sequence[tuple[int, ...]],
        term_names: Sequence[str],
        factors: Sequence[FactorInfo],
        may_be_empty: bool = False,
    ) -> None:
        self.factors = tuple(factors)
        scoped, self.has_intercept = scope_terms(terms, factors)
        names: list[str] = []
        self.products: list[Product] = []
        self.terms: dict[str, tuple[int, ...]] = {}
        filled = 0.0
        for term_name, products in zip(term_names, scoped, strict=True):
            first = len(names)
            for product in products:
                start = len(names)
                names.extend(self._product_names(product))
                codings = tuple(
                    self.factors[number].matrix(reduced) if self.factors[number].categorical else None
                    for number, reduced in product
                )
                self.products.append(Product(product, start, len(names), codings))
                width = math.prod(
                    1 if coding is not None else self._width(number, reduced)
                    for (number, reduced), coding in zip(product, codings, strict=True)
                )
                filled += width if self.products[-1].is_indicator else len(names) - start
            self.terms[term_name] = tuple(range(first, len(names)))
        if not names and not may_be_empty:
            raise FormulaError("formula: the design has no columns; keep the intercept or a term")
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise FormulaError(
                f"formula: two columns of the design are named {twice[0]!r}; rename a column of the data"
            )
        self.names = tuple(names)
        self.sparse = len(names) > SPARSE_COLUMNS and filled < SPARSE_DENSITY * len(names)

    def _width(self, number: int, reduced: bool) -> int:
        labels = self.factors[number].labels
        return 1 if labels is None else len(labels) - int(reduced)

    def _product_names(self, product: Scoped) -> list[str]:
        if not product:
            return ["Intercept"]
        # The first factor varies fastest, as in R.
        names = [""]
        for place, (number, reduced) in enumerate(product):
            own = self.factors[number].column_names(reduced)
            names = [f"{left}:{right}" if place else right for right in own for left in names]
        return names

    def build(
        self,
        variables: Sequence[Variable],
        rows: np.ndarray | None,
        n_rows: int,
        by_columns: bool = False,
        single: bool = False,
    ) -> Matrix:
        """Build the matrix for some of the rows.

        Parameters
        ----------
        variables : sequence of Numbers or Levels
            One for each factor; levels are coded by the factor's labels.
        rows : ndarray of int or None
            The rows to take; None for all.
        n_rows : int
            Their number.
        by_columns : bool
            Whether a dense matrix is stored column after column. That is written in half the time, for a piece that is
            read once; a large matrix would then be read from as many places as it has columns.
        single : bool
            Whether a dense matrix is held in 32 bits, where it is large enough.
        """
        columns = [v.codes if isinstance(v, Levels) else v.values for v in variables]
        by_levels = self.sparse or (n_rows > _FEW_ROWS and self._merges)
        if single and not by_levels and n_rows * len(self.names) > FEWEST:
            return rounded(_made(self.products, columns, rows, n_rows), self.names)
        if rows is not None:
            columns = [column[rows] for column in columns]
        if by_levels:
            return self._factor_design(columns, n_rows, single)
        X = np.empty((n_rows, len(self.names)), order="F" if by_columns else "C")
        size = max(1, n_rows) if by_columns else _BLOCK
        for start in range(0, n_rows, size):
            block = slice(start, min(start + size, n_rows))
            _fill_all(X[block], self.products, columns, block)
        return X

    def written(self, variables: Sequence[Variable], rows: np.ndarray | None, n_rows: int) -> Matrix:
        """As :meth:`build` for a piece that is read once; a dense matrix is written where it is read, in parts.

        A part stays in the processor's cache until its sums are made. Of 10,000,000 rows of 11 columns a reading takes
        0.50 s of a processor, and of pieces of 16,384 rows that are written as a whole 0.62.
        """
        if self.sparse or n_rows <= _BLOCK:
            return self.build(variables, rows, n_rows, by_columns=True)
        columns = [v.codes if isinstance(v, Levels) else v.values for v in variables]
        if rows is not None:
            columns = [column[rows] for column in columns]
        return WrittenDesign((n_rows, len(self.names)), self._writer(columns))

    def _writer(self, columns: Sequence[np.ndarray]) -> Callable[[np.ndarray, int, int], None]:
        """What writes rows of the matrix: columns of numbers by themselves, which takes less than a product does."""
        plain: list[tuple[int, np.ndarray]] = []
        others: list[Product] = []
        for product in self.products:
            numeric = len(product.scoped) == 1 and product.codings[0] is None
            own = columns[product.scoped[0][0]] if numeric else None
            if own is not None and own.ndim == 1:
                plain.append((product.start, own))
            else:
                others.append(product)

        def write(out: np.ndarray, start: int, stop: int) -> None:
            for at, own in plain:
                out[:, at] = own[start:stop]
            for product in others:
                _fill(out[:, product.start : product.stop], product, columns, slice(start, stop))

        return write

    # -- by the levels of factors --------------------------------------------------------------------------------

    @cached_property
    def _merges(self) -> bool:
        """Whether a pass by the cells of factors takes less than half as long as one over a dense matrix."""
        return any(one.by_cells and one.scoped for one in self.products) and (
            2.0 * self._layout.nanoseconds < dense_nanoseconds(len(self.names))
        )

    @cached_property
    def _dense_products(self) -> list[Product]:
        return [product for product in self.products if not product.by_cells]

    @cached_property
    def _scales(self) -> dict[Multiplier, int]:
        """The numbers that cells are multiplied by, one for each choice of columns of the numeric factors."""
        used = [multiplier for one in self.products if one.by_cells for multiplier in self._multipliers(one)]
        return {multiplier: number for number, multiplier in enumerate(dict.fromkeys(filter(None, used)))}

    @cached_property
    def _layout(self) -> Layout:
        levels = [len(info.labels or ()) if info.categorical else 1 for info in self.factors]
        terms = []
        for product in self.products:
            if not product.by_cells:
                continue
            widths = [
                self._width(number, reduced) if coding is None else coding.shape[1]
                for (number, reduced), coding in zip(product.scoped, product.codings, strict=True)
            ]
            # The first factor varies fastest.
            places = np.arange(product.start, product.stop).reshape(widths, order="F")
            factors = [number for number, _ in product.scoped if self.factors[number].categorical]
            for multiplier in self._multipliers(product):
                picks = iter(multiplier)
                chosen = tuple(next(picks)[2] if coding is None else slice(None) for coding in product.codings)
                columns = np.asarray(places[chosen])
                for axis, coding in enumerate(one for one in product.codings if one is not None):
                    present = coding.any(axis=1).reshape([-1 if one == axis else 1 for one in range(columns.ndim)])
                    columns = np.where(present, columns.take(coding.argmax(axis=1), axis=axis), -1)
                columns = columns.transpose(np.argsort(factors)) if factors else columns
                terms.append(Term(tuple(sorted(factors)), columns, self._scales.get(multiplier)))
        dense = [column for one in self._dense_products for column in range(one.start, one.stop)]
        return Layout(len(self.names), levels, terms, dense)

    def _multipliers(self, product: Product) -> Iterator[Multiplier]:
        """Each choice of one column of each numeric factor; one empty choice where there is none."""
        numeric = [one for one, coding in zip(product.scoped, product.codings, strict=True) if coding is None]
        return itertools.product(*([(*one, column) for column in range(self._width(*one))] for one in numeric))

    def _factor_design(self, columns: Sequence[np.ndarray], n_rows: int, single: bool) -> FactorDesign:
        codes = []
        for info, own in zip(self.factors, columns, strict=True):
            if not info.categorical:
                codes.append(np.broadcast_to(SMALL(0), (n_rows,)))
            else:
                # Rows without a level are kept for predictions only, which are NaN there.
                codes.append(np.maximum(own, 0) if own.size and own.min() < 0 else own)
        scales = []
        for multiplier in self._scales:
            scale = np.ones(n_rows)
            for number, reduced, column in multiplier:
                own = columns[number]
                scale *= own if own.ndim == 1 else own[:, column + int(reduced)]
            scales.append(scale)
        if single and n_rows * len(self._layout.dense) > FEWEST:
            names = [self.names[column] for column in self._layout.dense.tolist()]
            made = _made(self._dense_products, columns, None, n_rows)
            return FactorDesign(self._layout, codes, scales, rounded(made, names))
        dense = np.empty((n_rows, len(self._layout.dense)))
        for start in range(0, n_rows, _BLOCK):
            block = slice(start, min(start + _BLOCK, n_rows))
            _fill_all(dense[block], self._dense_products, columns, block)
        return FactorDesign(self._layout, codes, scales, dense)


def make_plan(formula: Formula, infos: Sequence[FactorInfo]) -> DesignPlan:
    """The layout of a formula's design matrix; variables beyond those of the formula are terms of their own."""
    own = len(formula.factors)
    terms = [*formula.terms, *((number,) for number in range(own, len(infos)))]
    names = [*(formula.term_name(term) for term in formula.terms), *(info.text for info in infos[own:])]
    return DesignPlan(terms, names, infos, may_be_empty=bool(formula.varying))


def _made(
    products: Sequence[Product], columns: Sequence[np.ndarray], rows: np.ndarray | None, n_rows: int
) -> MadeDesign:
    """The columns of some products for some of the rows, each of whose pieces is written when it is read."""
    width = sum(product.stop - product.start for product in products)

    def make(start: int, stop: int) -> np.ndarray:
        here = slice(start, stop) if rows is None else rows[start:stop]
        X = np.empty((stop - start, width))
        _fill_all(X, products, [column[here] for column in columns], slice(0, stop - start))
        return X

    return MadeDesign((n_rows, width), make)


def _fill_all(out: np.ndarray, products: Sequence[Product], columns: Sequence[np.ndarray], block: slice) -> None:
    """Write the columns of some products, one after the other, for a block of rows."""
    at = 0
    for product in products:
        width = product.stop - product.start
        _fill(out[:, at : at + width], product, columns, block)
        at += width


def _fill(out: np.ndarray, product: Product, columns: Sequence[np.ndarray], block: slice) -> None:
    """Write the columns of one product for a block of rows."""
    if not product.scoped:
        out[:] = 1.0
        return
    result: np.ndarray | None = None
    for (number, reduced), coding in zip(product.scoped, product.codings, strict=True):
        own = columns[number][block]
        if coding is not None:
            own = coding[own]
        elif own.ndim == 1:
            own = own[:, None]
        elif reduced:
            own = own[:, 1:]
        # (m, k_b, k_a) in row-major order has the first factor vary fastest.
        result = own if result is None else (own[:, :, None] * result[:, None, :]).reshape(len(own), -1)
    out[:] = result
