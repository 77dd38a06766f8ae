"""Predictors as a device evaluates them: columns of rows that stay there, and functions of them that are traced.

A predictor's `on_device` says which arrays of some blocks the device needs and how η and its derivatives follow from
them. Rows are padded to equal numbers, so that one compiled function serves all pieces of the data; the padding repeats
a row that counts, and weighs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

from raphson.compat import jnp
from raphson.data.blocks import Block
from raphson.data.factor_design import FactorDesign, Layout
from raphson.data.pieced_design import SingleDesign
from raphson.data.products import dense

Array = Any
"""A traced array."""


class Rows(NamedTuple):
    """Rows on a device, and the predictor's constants."""

    columns: Any
    constants: Any


class DevicePredictor(Protocol):
    """A predictor in traced functions; hashable, and equal where the functions are.

    Attributes
    ----------
    linear : whether η is linear in θ.
    """

    linear: ClassVar[bool]

    @property
    def whole(self) -> bool:
        """Whether the rows are one block that cannot be padded."""
        ...

    @property
    def constants(self) -> Any:
        """Numbers that it takes besides the rows: a tree of arrays, which does not tell it from others."""
        ...

    @property
    def slices(self) -> Sequence[tuple[int, int]]:
        """For each of the K predictors the first of its parameters, and the one after the last."""
        ...

    def columns(self, blocks: Sequence[Block], size: int) -> Any:
        """What of these blocks the device is to keep: a tree of NumPy arrays, of `size` rows each."""
        ...

    def eta(self, theta: Array, rows: Rows) -> Array:
        """η (K, size) at θ (p,), without the offset."""
        ...

    def parts(self, theta: Array, rows: Rows) -> Sequence[Array]:
        """∂η_k/∂θ of each predictor by its own parameters, K matrices (size, p_k)."""
        ...

    def second_order(self, theta: Array, rows: Rows, u: Array) -> Array | None:
        """−Σ_i Σ_k u_ik ∂²η_ik/∂θ² (p, p) for u (K, size); None where η is linear in θ."""
        ...


def fill_of(blocks: Sequence[Block]) -> int:
    """The number, in some blocks, of a row that counts; 0 if none does."""
    start = 0
    for block in blocks:
        if block.weight[block.fill] > 0:
            return start + block.fill
        start += block.rows
    return 0


def filled_rows(parts: Sequence[np.ndarray], size: int, fill: int) -> np.ndarray:
    """Rows put together and filled up to `size` with copies of row `fill`; a view where nothing has to be copied.

    Examples
    --------
    >>> filled_rows([np.array([1.0, 2.0]), np.array([3.0])], 5, 1).tolist()
    [1.0, 2.0, 3.0, 2.0, 2.0]
    """
    rows = sum(len(part) for part in parts)
    first = parts[0]
    if rows == size and (len(parts) == 1 or _one_view(parts)):
        return as_strided(first, (size, *first.shape[1:]), first.strides)
    out = np.empty((size, *first.shape[1:]), dtype=first.dtype)
    np.concatenate(parts, out=out[:rows])
    out[rows:] = out[fill]
    return out


def _one_view(parts: Sequence[np.ndarray]) -> bool:
    """Whether the parts lie one behind the other in the memory of one array, as the blocks of a design do."""
    first, follows = parts[0], parts[0].ctypes.data
    for part in parts:
        if part.base is not first.base or part.strides != first.strides or part.ctypes.data != follows:
            return False
        follows += len(part) * part.strides[0]
    return first.base is not None


# -- designs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """A design in doubles."""

    def columns(self, designs: Sequence[Any], size: int, fill: int) -> Any:
        return filled_rows([dense(X) for X in designs], size, fill)

    def matrix(self, columns: Any) -> Array:
        """X (size, p)."""
        return columns


@dataclass(frozen=True)
class Single:
    """A design in 32 bits about a centre in 64, whose doubles are made where they are read."""

    def columns(self, designs: Sequence[SingleDesign], size: int, fill: int) -> Any:
        centre = designs[0].centre
        numbers = filled_rows([X.numbers for X in designs], size, fill)
        return numbers, np.zeros(designs[0].shape[1]) if centre is None else centre

    def matrix(self, columns: Any) -> Array:
        numbers, centre = columns
        return numbers.astype(float) + centre


@dataclass(frozen=True)
class Factors:
    """A design of factors, of which the levels are kept: the zeros are written out where they are read.

    Attributes
    ----------
    n_columns : p.
    terms : of each its factors, the shape and the bytes of the table of its columns, and its scale.
    dense : the columns that are dense.
    """

    n_columns: int
    terms: tuple[tuple[Any, ...], ...]
    dense: tuple[int, ...]

    @staticmethod
    def of(layout: Layout) -> Factors:
        """The form of the designs with a layout."""
        columns = [(term, term.columns.astype(np.int64)) for term in layout.terms]
        terms = tuple((term.factors, table.shape, table.tobytes(), term.scale) for term, table in columns)
        return Factors(layout.n_columns, terms, tuple(layout.dense.tolist()))

    def columns(self, designs: Sequence[FactorDesign], size: int, fill: int) -> Any:
        def together(parts: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, ...]:
            return tuple(filled_rows(one, size, fill) for one in zip(*parts, strict=True))

        numbers = filled_rows([dense(X.dense) for X in designs], size, fill)
        absent = None
        if any(X.absent is not None for X in designs):
            masks = [np.zeros(X.shape[0], dtype=bool) if X.absent is None else X.absent for X in designs]
            absent = filled_rows(masks, size, fill)
        return together([X.codes for X in designs]), together([X.scales for X in designs]), numbers, absent

    def matrix(self, columns: Any) -> Array:
        codes, scales, numbers, absent = columns
        size, p = len(numbers), self.n_columns
        out = jnp.zeros((size, p))
        if self.dense:
            out = out.at[:, np.array(self.dense)].set(numbers)
        rows = jnp.arange(size)
        for factors, shape, table, scale in self.terms:
            columns = jnp.asarray(np.frombuffer(table, np.int64).reshape(shape))
            places = jnp.broadcast_to(columns[tuple(codes[one].astype(int) for one in factors)], (size,))
            entries = 1.0 if scale is None else scales[scale]
            # A cell without a column has the place −1, which is put beyond the last one and dropped there.
            out = out.at[rows, jnp.where(places < 0, p, places)].set(entries, mode="drop")
        return out if absent is None else jnp.where(absent[:, None], jnp.nan, out)


def form_of(design: Any) -> Any:
    """How a design's rows are kept on a device."""
    if isinstance(design, FactorDesign):
        return Factors.of(design.layout)
    return Single() if isinstance(design, SingleDesign) else Written()


# -- linear predictors ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinearOnDevice:
    """Linear predictors η_k = X_k θ_k.

    Attributes
    ----------
    forms : of the distinct designs.
    design : which of them each predictor has.
    slices : where each predictor's coefficients lie in θ.
    """

    forms: tuple[Any, ...]
    design: tuple[int, ...]
    slices: tuple[tuple[int, int], ...]

    linear: ClassVar[bool] = True

    @property
    def whole(self) -> bool:
        return False

    @property
    def constants(self) -> None:
        return None

    @staticmethod
    def of(designs: Sequence[Any], design: tuple[int, ...], slices: tuple[tuple[int, int], ...]) -> LinearOnDevice:
        """Those of rows that are held like these."""
        return LinearOnDevice(tuple(map(form_of, designs)), design, slices)

    def columns(self, blocks: Sequence[Block], size: int) -> Any:
        fill = fill_of(blocks)
        designs = zip(*(block.designs for block in blocks), strict=True)
        return tuple(form.columns(one, size, fill) for form, one in zip(self.forms, designs, strict=True))

    def eta(self, theta: Array, rows: Rows) -> Array:
        parts = zip(self.parts(theta, rows), self.slices, strict=True)
        return jnp.stack([X @ theta[start:stop] for X, (start, stop) in parts])

    def parts(self, theta: Array, rows: Rows) -> Sequence[Array]:
        matrices = [form.matrix(one) for form, one in zip(self.forms, rows.columns, strict=True)]
        return [matrices[number] for number in self.design]

    def second_order(self, theta: Array, rows: Rows, u: Array) -> None:
        return None
