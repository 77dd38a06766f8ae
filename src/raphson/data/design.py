"""The design matrix: dense, written in blocks of rows; or sparse, without a dense intermediate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.coding import FactorInfo, Scoped, scope_terms
from raphson.data.model_data import Matrix
from raphson.data.values import Levels, Variable
from raphson.errors import FormulaError

# A row-major matrix is written in blocks of rows that stay in the cache. Writing each column over all rows
# would load every cache line once per column.
_BLOCK = 2048
"""Rows of a block: of 64 columns it takes 1 MiB, as much as a core's second-level cache holds."""

_SPARSE_COLUMNS = 50
"""Wider designs are kept sparse where they are sparse enough."""

_SPARSE_DENSITY = 0.15
"""Share of entries that are not 0 above which XᵀWX takes longer sparse than dense: measured at 100 columns and 20,000
rows 0.07 of the time at a share of 0.05, 0.4 at 0.1, 1.1 at 0.15 and 2.6 at 0.3."""


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


class DesignPlan:
    """The layout of a design matrix: which product of factors fills which columns.

    Parameters
    ----------
    terms : sequence of tuple of int
    term_names : sequence of str
    factors : sequence of FactorInfo

    Attributes
    ----------
    names : tuple of str
        Column names.
    terms : dict
        Term -> its column numbers.
    has_intercept : bool
    sparse : bool
        Whether the matrix is built sparse: it has many columns, and few non-zeros in a row.
    """

    def __init__(
        self, terms: Sequence[tuple[int, ...]], term_names: Sequence[str], factors: Sequence[FactorInfo]
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
        if not names:
            raise FormulaError("formula: the design has no columns; keep the intercept or a term")
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise FormulaError(
                f"formula: two columns of the design are named {twice[0]!r}; rename a column of the data"
            )
        self.names = tuple(names)
        self.sparse = len(names) > _SPARSE_COLUMNS and filled < _SPARSE_DENSITY * len(names)

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

    def build(self, variables: Sequence[Variable], rows: np.ndarray | None, n_rows: int) -> Matrix:
        """Build the matrix for some of the rows.

        Parameters
        ----------
        variables : sequence of Numbers or Levels
            One for each factor; levels are coded by the factor's labels.
        rows : ndarray of int or None
            The rows to take; None for all.
        n_rows : int
            Their number.
        """
        columns = [v.codes if isinstance(v, Levels) else v.values for v in variables]
        if rows is not None:
            columns = [column[rows] for column in columns]
        if self.sparse:
            return _build_sparse(self.products, columns, n_rows, len(self.names))
        X = np.empty((n_rows, len(self.names)))
        for start in range(0, n_rows, _BLOCK):
            block = slice(start, min(start + _BLOCK, n_rows))
            for product in self.products:
                _fill(X[block, product.start : product.stop], product, columns, block)
        return X


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


def _build_sparse(products: Sequence[Product], columns: Sequence[np.ndarray], n_rows: int, p: int) -> Any:
    """Assemble the matrix from categorical, sparse and dense parts."""
    import tabmat

    parts: list[Any] = []
    places: list[np.ndarray] = []
    dense: list[Product] = []
    for product in products:
        coded = [coding for coding in product.codings if coding is not None]
        if not coded or not product.is_indicator:
            dense.append(product)
            continue
        parts.extend(_sparse_parts(product, columns, places))
    if dense:
        numbers = np.concatenate([np.arange(one.start, one.stop) for one in dense])
        block = np.empty((n_rows, len(numbers)))
        at = 0
        for product in dense:
            _fill(block[:, at : at + product.stop - product.start], product, columns, slice(0, n_rows))
            at += product.stop - product.start
        parts.insert(0, tabmat.DenseMatrix(block))
        places.insert(0, numbers)
    return tabmat.SplitMatrix(parts, indices=places)


def _sparse_parts(product: Product, columns: Sequence[np.ndarray], places: list[np.ndarray]) -> list[Any]:
    """The parts of a product of indicators, with at most one non-zero in a row."""
    import scipy.sparse
    import tabmat

    # The cell of each row in the product of the factors' levels, numbered with the first factor fastest; -1
    # where a factor is at its reference level.
    cell: np.ndarray | None = None
    size = 1
    multipliers: list[np.ndarray] = []
    layout: list[tuple[bool, int]] = []
    for (number, reduced), coding in zip(product.scoped, product.codings, strict=True):
        own = columns[number]
        if coding is None:
            values = own[:, None] if own.ndim == 1 else own[:, int(reduced) :]
            multipliers.append(values)
            layout.append((False, values.shape[1]))
            continue
        position = np.where(coding.any(axis=1), coding.argmax(axis=1), -1)[own]
        cell = position if cell is None else np.where((cell < 0) | (position < 0), -1, cell + size * position)
        size *= coding.shape[1]
        layout.append((True, coding.shape[1]))
    assert cell is not None
    if not multipliers:
        places.append(np.arange(product.start, product.stop))
        cells = cell.astype(np.int32)
        return [tabmat.CategoricalMatrix(cells, categories=np.arange(size), cat_missing_method="zero")]
    # One sparse part for each combination of columns of the numeric factors.
    order = np.arange(product.start, product.stop).reshape([width for _, width in reversed(layout)])
    order = order.transpose(range(order.ndim)[::-1])
    inside = np.flatnonzero(cell >= 0)
    parts = []
    for choice in np.ndindex(*(values.shape[1] for values in multipliers)):
        weight = np.ones(len(inside))
        for values, which in zip(multipliers, choice, strict=True):
            weight = weight * values[inside, which]
        picks = iter(choice)
        place = order[tuple(slice(None) if is_level else next(picks) for is_level, _ in layout)]
        places.append(place.ravel(order="F"))
        parts.append(
            tabmat.SparseMatrix(scipy.sparse.csc_matrix((weight, (inside, cell[inside])), shape=(len(cell), size)))
        )
    return parts
