r"""Designs of factors: a row is given by the levels of its factors, and its zeros are neither stored nor multiplied.

A *term* is a set of factors whose cells (a level of each) have a column each, or none as the reference level has. Its
columns are 0 or 1, or a number of the row where the term is a factor's interaction with numbers. Beside the terms stand
dense columns. Each product of the matrix X is then a sum over the cells of a few factors at a time:

    (Xθ)_i        Σ_terms θ[column of row i's cell]
    Xᵀu           column of a cell: Σ u_i over the rows of the cell
    XᵀWX          columns of two cells: Σ w_i over the rows that are in both, a cross-table of the factors of both terms

So factors are merged as long as their joint cells stay few enough for the processor's cache: one gather from a table,
or one sum into a table (`np.bincount`), then serves all terms of the merged factors, and what belongs to each term are
the sums of the table over the other factors.

Measured at 1,000,000 rows of 8 factors with 5 to 100 levels, 228 columns, in blocks of 65,536: Xθ 5 ms, Xᵀu 6 ms and
XᵀWX 48 ms (12 tables of up to 12,000 cells).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.pieced_design import PiecedDesign
from raphson.data.products import dense as in_doubles
from raphson.data.products import matvec, sandwich, transpose_matvec

MOST_CELLS = 12_288
"""Cells up to which factors are merged: 96 KiB of sums. A row takes `np.bincount` 1.6 ns with 5,000 cells, 1.8 with
11,000, 2.2 with 32,000 and 2.6 with 64,000."""

SMALL = np.uint16
"""The type of levels and cells that it has numbers for: NumPy works them out in a fifth of the time of longer ones, and
they go through memory in a quarter."""

FEW_DENSE = 4
"""Dense columns up to which each is weighted once and multiplied with the others: one column takes 2 ns a row, as a
product of matrices 9."""

SUM, GATHER = 1.7, 0.9
"""Nanoseconds a row of one sum into a table and of one gather."""

ROW = 8.0
"""Nanoseconds that the family's own work on a row takes by hand, about."""

PIECE = 16_384
"""Rows of a gather that is added to others: 128 KiB. A gather of 65,536 rows into an array of its own takes 4.9 ns a
row, and 1.0 into one that is there."""

Cells = tuple[int, ...]
"""Numbers of factors, in order."""


@dataclass(frozen=True, eq=False)
class Term:
    """Columns with at most one entry in a row that is not 0.

    Attributes
    ----------
    factors : numbers of its factors, in order; none for the constant.
    columns : the column of each cell, -1 where it has none; an axis for each factor.
    scale : number of the scale that the entries are; None where they are 1.
    """

    factors: Cells
    columns: np.ndarray
    scale: int | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """A table of sums over the cells of some factors, and the entries of XᵀWX that are its sums over the others.

    Attributes
    ----------
    factors : its factors.
    scales : numbers of the scales that the weights are multiplied by.
    sums : the sums of this table, the larger ones first.
    entries : of the pairs of terms, with the sums that they are.
    """

    factors: Cells
    scales: tuple[int, ...]
    sums: list[Sums]
    entries: list[tuple[int, Entries]]


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of a table over all factors but some, which are those of sums before it over one more factor.

    Attributes
    ----------
    factors : the factors that are left.
    of : which of the sums before it these are sums of; -1 for the table itself.
    axis : the axis of those that is summed over.
    """

    factors: Cells
    of: int
    axis: int


def summed(table: np.ndarray, chain: Sequence[Sums]) -> list[np.ndarray]:
    """The sums of a table (an axis for each of its factors), one after the other."""
    made: list[np.ndarray] = []
    for one in chain:
        made.append(table if one.of < 0 else np.add.reduce(made[one.of], axis=one.axis))
    return made


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries of XᵀWX of a pair of terms.

    Attributes
    ----------
    cells : those of the sums that are entries.
    rows, columns : where they are in XᵀWX. A cell without a column (-1) has a last one, which is cut off.
    """

    cells: Any
    rows: Any
    columns: Any

    def enter(self, sums: np.ndarray, M: np.ndarray) -> None:
        """Put the entries into M. No other pair of terms has any of them."""
        M[self.rows, self.columns] = sums[self.cells]


class Layout:
    """Where the columns of a design of factors are, whatever its rows.

    Parameters
    ----------
    n_columns : p.
    levels : the number of levels of each factor.
    terms : with columns that differ.
    dense : the columns that are dense.
    """

    def __init__(self, n_columns: int, levels: Sequence[int], terms: Sequence[Term], dense: Sequence[int]) -> None:
        self.n_columns, self.levels, self.terms = n_columns, tuple(levels), tuple(terms)
        self.dense = np.asarray(dense, dtype=np.intp)

    def shape(self, factors: Cells) -> tuple[int, ...]:
        """The numbers of levels of some factors."""
        return tuple(self.levels[number] for number in factors)

    def within(self, term: Term, factors: Cells) -> np.ndarray:
        """A term's columns, with an axis of length 1 for each of the factors that it lacks."""
        return term.columns.reshape([self.levels[one] if one in term.factors else 1 for one in factors])

    @cached_property
    def groups(self) -> list[tuple[Cells, int | None, list[Term]]]:
        """Merged factors with the terms that they determine, all of one scale."""
        found: list[tuple[Cells, int | None, list[Term]]] = []
        for scale in dict.fromkeys(term.scale for term in self.terms):
            left = [term for term in self.terms if term.scale == scale]
            for factors in self._merged(term.factors for term in left):
                found.append((factors, scale, [term for term in left if set(term.factors) <= set(factors)]))
                left = [term for term in left if not set(term.factors) <= set(factors)]
        return found

    @cached_property
    def tables(self) -> list[Table]:
        """The tables whose sums are the entries of XᵀWX for each pair of terms."""
        pairs: dict[tuple[int, ...], list[tuple[Cells, Term, Term]]] = {}
        for number, one in enumerate(self.terms):
            for other in self.terms[: number + 1]:
                scales = tuple(sorted(term.scale for term in (one, other) if term.scale is not None))
                joint = tuple(sorted({*one.factors, *other.factors}))
                pairs.setdefault(scales, []).append((joint, one, other))
        tables = []
        for scales, left in pairs.items():
            for factors in self._merged(joint for joint, _, _ in left):
                inside = [pair for pair in left if set(pair[0]) <= set(factors)]
                left = [pair for pair in left if not set(pair[0]) <= set(factors)]
                sums = self.chain(factors, [joint for joint, _, _ in inside])
                places = {one.factors: place for place, one in enumerate(sums)}
                entries = [(places[pair[0]], self._entries(*pair)) for pair in inside]
                tables.append(Table(factors, scales, sums, entries))
        return tables

    @cached_property
    def margins(self) -> list[tuple[list[Sums], list[int]]]:
        """The sums of a table of each of the `groups`, and which of them belong to each of its terms."""
        found = []
        for factors, _, terms in self.groups:
            sums = self.chain(factors, [term.factors for term in terms])
            places = {one.factors: place for place, one in enumerate(sums)}
            found.append((sums, [places[term.factors] for term in terms]))
        return found

    def chain(self, factors: Cells, wanted: Iterable[Cells]) -> list[Sums]:
        """The sums of a table over all but some of its factors at a time, each from the smallest that has them.

        One factor is summed over at a time, the one of most levels first. NumPy sums 10,944 cells over one of four
        factors in 10 µs and over two or three in 30 to 60, and what one of them leaves serves other sums too.
        """

        def size(some: Cells) -> int:
            return math.prod(self.shape(some))

        sums = [Sums(factors, -1, 0)]
        for goal in sorted(set(wanted), key=lambda one: (-size(one), one)):
            at = min((size(one.factors), k) for k, one in enumerate(sums) if set(goal) <= set(one.factors))[1]
            while sums[at].factors != goal:
                here = sums[at].factors
                gone = max((one for one in here if one not in goal), key=lambda one: self.levels[one])
                sums.append(Sums(tuple(one for one in here if one != gone), at, here.index(gone)))
                at = len(sums) - 1
        return sums

    def _entries(self, joint: Cells, one: Term, other: Term) -> Entries:
        rows, columns = _run(one), _run(other)
        if rows is None or columns is None or one.factors == other.factors:
            return Entries(..., self.within(one, joint), self.within(other, joint))
        # Of two factors alone the entries are a rectangle, which is copied several times faster than one by one.
        if one.factors > other.factors:
            rows, columns = columns, rows
        return Entries((rows[0], columns[0]), rows[1], columns[1])

    def _merged(self, sets: Iterable[Cells]) -> list[Cells]:
        """Unions of the sets that hold each of them, with as many cells as the cache takes; the largest sets first."""
        waiting = sorted(set(sets), key=lambda one: (-math.prod(self.shape(one)), one))
        unions = []
        while waiting:
            union = set(waiting[0])
            for one in waiting[1:]:
                if math.prod(self.levels[number] for number in union.union(one)) <= MOST_CELLS:
                    union.update(one)
            waiting = [one for one in waiting if not set(one) <= union]
            unions.append(tuple(sorted(union)))
        return unions

    @property
    def nanoseconds(self) -> float:
        """About how long a row takes in Xθ, Xᵀu and XᵀWX together."""
        q, groups, tables = len(self.dense), len(self.groups), len(self.tables)
        return (GATHER + SUM) * groups + SUM * (tables + q * groups) + dense_nanoseconds(q)

    @property
    def curvature_cost(self) -> float:
        """About how many readings without XᵀWX take as long as one with it."""
        q, groups, tables = len(self.dense), len(self.groups), len(self.tables)
        plain = ROW + (GATHER + SUM) * groups + 0.5 * q
        return 1.0 + (SUM * (tables + q * groups) + 0.5 * q + 0.03 * q * q) / plain


def _run(term: Term) -> tuple[slice, slice] | None:
    """The levels of a term of one factor and their columns, if both are without gaps."""
    if len(term.factors) != 1:
        return None
    levels = np.flatnonzero(term.columns >= 0)
    first, count = int(levels[0]) if len(levels) else 0, len(levels)
    start = int(term.columns[first])
    if not np.array_equal(term.columns[first : first + count], np.arange(start, start + count)):
        return None
    return slice(first, first + count), slice(start, start + count)


def dense_nanoseconds(p: int) -> float:
    """About how long a row of p dense columns takes in Xθ, Xᵀu and XᵀWX: 32 ns of 20 columns, 1.4 µs of 200."""
    return p + 0.03 * p * p


class FactorDesign:
    """A design matrix of factors beside dense columns.

    Parameters
    ----------
    layout : where its columns are.
    codes : (n,) the level of each row, for each factor.
    scales : (n,) numbers that the terms of that scale have in place of 1.
    dense : (n, q) the dense columns, as doubles or read in pieces.
    absent : (n,) mask of rows that are NaN in every column; None for none.
    """

    ndim = 2

    def __init__(
        self,
        layout: Layout,
        codes: Sequence[np.ndarray],
        scales: Sequence[np.ndarray],
        dense: np.ndarray | PiecedDesign,
        absent: np.ndarray | None = None,
    ) -> None:
        small = np.iinfo(SMALL).max
        self.layout, self.scales = layout, tuple(scales)
        self.codes = tuple(
            one.astype(SMALL if levels <= small else np.intp, copy=False)
            for one, levels in zip(codes, layout.levels, strict=True)
        )
        self.dense, self.absent = dense, absent
        self.shape = (dense.shape[0], layout.n_columns)
        self._cells: dict[Cells, np.ndarray] = {}

    # -- products ------------------------------------------------------------------------------------------------

    def matvec(self, v: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """X v, (n,); in `out` if that is given."""
        v = np.asarray(v, dtype=np.float64)
        out = np.empty(self.shape[0]) if out is None else out
        padded, begun = np.append(v, 0.0), bool(self.dense.shape[1])
        if begun:
            self._dense_product(v[self.layout.dense], out)
        space = np.empty(min(PIECE, len(out)))
        for factors, scale, terms in self.layout.groups:
            table = np.zeros(self.layout.shape(factors))
            for term in terms:
                table += padded[self.layout.within(term, factors)]
            cells = self._rows_cells(factors)
            for start in range(0, len(out), PIECE):
                rows = slice(start, min(start + PIECE, len(out)))
                part = space[: rows.stop - start] if begun else out[rows]
                # `clip` spares a check of the cells, all of which are there.
                np.take(table, cells[rows], mode="clip", out=part)
                if scale is not None:
                    part *= self.scales[scale][rows]
                if begun:
                    out[rows] += part
            begun = True
        if self.absent is not None:
            out[self.absent] = np.nan
        return out

    def _dense_product(self, v: np.ndarray, out: np.ndarray) -> None:
        """Put the product of the dense columns with v (q,) into `out`."""
        if len(v) == 1 and isinstance(self.dense, np.ndarray):
            np.multiply(self.dense[:, 0], v[0], out=out)  # BLAS takes ten times as long
        else:
            out[:] = matvec(self.dense, v)

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        return self.matvec(v)

    def transpose_matvec(self, u: np.ndarray) -> np.ndarray:
        """Xᵀ u, (p,)."""
        u = np.asarray(u, dtype=np.float64)
        out = np.zeros(self.layout.n_columns + 1)
        self._add_sums(out, u)
        out[self.layout.dense] = transpose_matvec(self.dense, u)
        return out[:-1]

    def _add_sums(self, out: np.ndarray, u: np.ndarray) -> None:
        """Add Xᵀu of the terms' columns to `out` (p + 1,)."""
        for (factors, scale, terms), (chain, places) in zip(self.layout.groups, self.layout.margins, strict=True):
            sums = summed(self._sums(factors, u if scale is None else u * self.scales[scale]), chain)
            for term, place in zip(terms, places, strict=True):
                out[term.columns] += sums[place]

    def sandwich(self, w: np.ndarray) -> np.ndarray:
        """Xᵀ diag(w) X, (p, p) symmetric."""
        w = np.asarray(w, dtype=np.float64)
        p, dense = self.layout.n_columns, self.layout.dense
        M = np.zeros((p + 1, p + 1))
        for table in self.layout.tables:
            weight = w
            for scale in table.scales:
                weight = weight * self.scales[scale]
            made = summed(self._sums(table.factors, weight), table.sums)
            for place, entries in table.entries:
                entries.enter(made[place], M)
        few, numbers = len(dense) <= FEW_DENSE, in_doubles(self.dense)
        for place, column in enumerate(dense):
            weighted = w * numbers[:, place]
            self._add_sums(M[column], weighted)
            if few:
                M[column, dense[: place + 1]] = weighted @ numbers[:, : place + 1]
        # Each pair of terms, and each term with a dense column, has been entered on one side only.
        diagonal = M.diagonal().copy()
        M = M + M.T
        np.fill_diagonal(M, diagonal)
        if not few:
            M[np.ix_(dense, dense)] = sandwich(numbers, w)
        return M[:-1, :-1].copy()

    def weighted_squares(self, w: np.ndarray) -> np.ndarray:
        """The diagonal of Xᵀ diag(w) X, (p,)."""
        squares, numbers = [scale * scale for scale in self.scales], in_doubles(self.dense)
        return FactorDesign(self.layout, self.codes, squares, numbers * numbers).transpose_matvec(w)

    def _sums(self, factors: Cells, weight: np.ndarray) -> np.ndarray:
        """Σ weight over the rows of each cell, with an axis for each factor."""
        shape = self.layout.shape(factors)
        if not factors:
            return weight.sum()
        return np.bincount(self._rows_cells(factors), weight, math.prod(shape)).reshape(shape)

    def _rows_cells(self, factors: Cells) -> np.ndarray:
        """(n,) the number of each row's cell, the last factor varying fastest."""
        kept = self._cells.get(factors)
        if kept is not None:
            return kept
        few = math.prod(self.layout.shape(factors)) <= np.iinfo(SMALL).max
        cells = np.zeros(self.shape[0], dtype=SMALL if few else np.intp)
        for place, number in enumerate(factors):
            if place:
                cells *= cells.dtype.type(self.layout.levels[number])
            cells += self.codes[number]
        if any(factors == group for group, _, _ in self.layout.groups):
            self._cells[factors] = cells
        return cells

    # -- parts and forms -----------------------------------------------------------------------------------------

    def toarray(self) -> np.ndarray:
        """The matrix with its zeros, (n, p)."""
        out = np.zeros(self.shape)
        for term in self.layout.terms:
            columns = np.broadcast_to(term.columns[tuple(self.codes[one] for one in term.factors)], self.shape[:1])
            inside = np.flatnonzero(columns >= 0)
            out[inside, columns[inside]] = 1.0 if term.scale is None else self.scales[term.scale][inside]
        out[:, self.layout.dense] = in_doubles(self.dense)
        if self.absent is not None:
            out[self.absent] = np.nan
        return out

    def __getitem__(self, key: Any) -> FactorDesign:
        """Some rows, or some rows and columns."""
        rows, columns = key if isinstance(key, tuple) else (key, None)
        if isinstance(rows, (int, np.integer)):
            rows = [int(rows)]
        found = FactorDesign(
            self.layout,
            [one[rows] for one in self.codes],
            [one[rows] for one in self.scales],
            self.dense[rows],
            None if self.absent is None else self.absent[rows],
        )
        return found if columns is None else found._with_columns(columns)

    def _with_columns(self, columns: Any) -> FactorDesign:
        wanted = np.arange(self.shape[1])[columns]
        place = np.full(self.shape[1] + 1, -1)
        place[wanted] = np.arange(len(wanted))
        terms = [replace(term, columns=place[term.columns]) for term in self.layout.terms]
        terms = [term for term in terms if (term.columns >= 0).any()]
        left = np.flatnonzero(place[self.layout.dense] >= 0)
        layout = Layout(len(wanted), self.layout.levels, terms, place[self.layout.dense[left]].tolist())
        numbers = self.dense[:, left]
        if isinstance(numbers, np.ndarray):
            numbers = np.ascontiguousarray(numbers)
        return FactorDesign(layout, self.codes, self.scales, numbers, self.absent)

    def with_dense(self, dense: np.ndarray | PiecedDesign) -> FactorDesign:
        """The same with other dense columns."""
        return FactorDesign(self.layout, self.codes, self.scales, dense, self.absent)

    def without_rows(self, absent: np.ndarray) -> FactorDesign:
        """The same with the rows of the mask NaN."""
        return FactorDesign(self.layout, self.codes, self.scales, self.dense, absent)
