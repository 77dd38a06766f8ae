"""Value, score and information summed on a device, by the traced rows of the model that all others are held to.

Rows lie on the device in chunks, each a few blocks put together. Compiled functions evaluate a chunk: η from the
predictor, the family's rows by autodiff, and the sums Σ w ℓ, Σ Jᵀ w u and Σ JᵀWJ, all in float64. θ goes there and one
array of sums comes back from each chunk; these are added on the host by the fixed tree. A chunk that has no room on the
device is sent for each evaluation, and one that is streamed is read for each, and then sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.data.blocks import Block, StreamedBlocks
from raphson.execute import Executor, serial, sum_blocks
from raphson.execute.device import Device
from raphson.model.block_sums import Sums
from raphson.model.device_designs import Array, DevicePredictor, Rows, fill_of, filled_rows
from raphson.model.objective import Gram, Kind, Need, Root
from raphson.model.traced_rows import traced_family
from raphson.numeric import anchor, x64

CHUNK_BYTES = 2**28
"""Most bytes that a chunk takes on the device with the copy of its designs that its weights scale, 256 MiB, unless a
block takes more: of 100 columns it has 65,536 rows. Besides the rows that are kept one chunk is on the device; of
streamed rows, which are sent as blocks, one for each thread that reads."""

CHUNKS = 4
"""How many chunks rows are cut into at least where they are more than one block: with four times as many blocks in a
chunk where there are more rows, no more than a quarter of the last chunk's share is padding."""

PROGRAMS = 64
"""How many of the last used kinds of evaluation keep their compiled code."""


@dataclass
class DeviceSums:
    """What the rows of some chunks add up to.

    Attributes
    ----------
    sums : the sums.
    rootless : kinds of information of which some row has no root, so that they have no triangle.
    doubtful : whether rows lie at the edge of the domain, whose information the host judges row by row.
    """

    sums: Sums
    rootless: frozenset[str]
    doubtful: bool

    def __add__(self, other: DeviceSums | Awaited) -> DeviceSums:
        other = other.arrived
        doubtful = self.doubtful or other.doubtful
        return DeviceSums(self.sums + other.sums, self.rootless | other.rootless, doubtful)

    @property
    def arrived(self) -> DeviceSums:
        """Itself."""
        return self


class Awaited:
    """Sums that are still on the device, where the next chunk can be begun meanwhile."""

    def __init__(self, found: Any, unpack: Callable[[Any], DeviceSums]) -> None:
        self._found, self._unpack = found, unpack

    @cached_property
    def arrived(self) -> DeviceSums:
        """The sums."""
        return self._unpack(jax.device_get(self._found))

    def __add__(self, other: DeviceSums | Awaited) -> DeviceSums:
        return self.arrived + other.arrived


# -- the compiled functions ----------------------------------------------------------------------------------------
#
# A chunk is evaluated by three of them, so that each is compiled for what it depends on: η for the predictor, the rows
# for the family, and the sums for the predictor and the matrices that are asked for.


@lru_cache(maxsize=PROGRAMS)
def _predictors(predictor: DevicePredictor) -> Any:
    """(constants, θ, columns, offset (size, K) or None, anchor) to η (K, size)."""

    def predictors(constants: Any, theta: Any, columns: Any, offset: Any, anchor: Any) -> Any:
        eta = predictor.eta(theta, Rows(columns, constants))
        return eta if offset is None else eta + offset.T

    return compiled(predictors)


@lru_cache(maxsize=PROGRAMS)
def _rows(rows_of: Any, curved: bool, dispersed: bool) -> Any:
    """The family's rows: [Σ w ℓ, Pearson's statistic, the highest log density, whether the host has to judge], the
    scores (K, size), and the expected and observed information (K, K, size); a matrix that is not known is None."""

    def rows(parameters: Any, eta: Any, y: Any, weight: Any, extra: Any, anchor: Any) -> Any:
        found = rows_of(parameters, eta, y, weight, extra, curved)
        pearson = found.pearson if dispersed else 0.0
        head = jnp.stack([found.total, pearson, found.highest, 1.0 * found.doubtful])
        return head, found.score, found.expected, found.observed

    return compiled(rows)


@dataclass(frozen=True)
class Asked:
    """What the compiled sums are to be of a matrix.

    Attributes
    ----------
    outer : whether W is u uᵀ.
    bent : whether the second-order term is wanted too.
    root : whether it is to be a triangle.
    """

    outer: bool
    bent: bool
    root: bool


@lru_cache(maxsize=PROGRAMS)
def _sums(predictor: DevicePredictor, asked: tuple[Asked, ...]) -> Any:
    """Σ Jᵀ u (p,), and for each matrix asked for Σ JᵀWJ or its triangle, the second-order term, and whether some row
    has no root."""

    def sums(constants: Any, theta: Any, columns: Any, weight: Any, u: Any, Ws: Any, copies: Any, anchor: Any) -> Any:
        held = Rows(columns, constants)
        parts = predictor.parts(theta, held)
        # Of a row that does not count the derivatives may be anything, as in the padding.
        parts = parts if predictor.linear else [jnp.where((weight > 0)[:, None], part, 0.0) for part in parts]
        score = jnp.zeros(len(theta))
        for (start, stop), part, slope in zip(predictor.slices, parts, u, strict=True):
            score = score.at[start:stop].add(slope @ part)
        matrices = []
        for one, W in zip(asked, Ws, strict=True):
            if one.outer:
                W = u[:, None] * u[None]
                # u is c u; c copies of the row give c u uᵀ, and (c u)(c u)ᵀ is c times that.
                W = W if copies is None else W / jnp.where(copies > 0, copies, 1.0)
            if one.root:
                matrix, rootless = _triangle(parts[0], W[0, 0], u[0])
            else:
                matrix, rootless = _information(predictor, parts, W, len(theta)), False
            matrices.append((matrix, predictor.second_order(theta, held, u) if one.bent else None, rootless))
        return score, matrices

    return compiled(sums)


def _information(predictor: DevicePredictor, parts: Sequence[Array], W: Array, p: int) -> Array:
    """Σ JᵀWJ (p, p)."""
    M = jnp.zeros((p, p))
    for k, (start, stop) in enumerate(predictor.slices):
        for j, (first, last) in enumerate(predictor.slices[: k + 1]):
            block = (parts[k] * W[k, j][:, None]).T @ parts[j]
            M = M.at[start:stop, first:last].add(block)
            if j < k:
                M = M.at[first:last, start:stop].add(block.T)
    return 0.5 * (M + M.T)


def _triangle(part: Array, W: Array, u: Array) -> tuple[Array, Array]:
    """The triangle of [√W J, u/√W], and whether some row has none: as :func:`raphson.model.row_roots.row_roots`."""
    nothing = W == 0
    root = jnp.sqrt(W)
    z = u / jnp.where(nothing, 1.0, root)
    triangle = jnp.linalg.qr(jnp.column_stack([root[:, None] * part, z]), mode="r")
    return triangle, jnp.any(W < 0) | jnp.any(nothing & (u != 0))


@dataclass(frozen=True)
class Chunk:
    """Some blocks whose rows lie together on the device.

    Attributes
    ----------
    blocks : in order.
    size : rows with padding.
    """

    blocks: Sequence[Block]
    size: int


class DeviceRows:
    """The rows of a likelihood on a device.

    Parameters
    ----------
    family, predictor, blocks, copies, executor : as of :class:`raphson.model.log_likelihood.LogLikelihood`.
    dispersed : whether the dispersion is estimated.
    device : where they lie.
    traced : the predictor as the device evaluates it.
    rows_of, parameters : the family's traced rows, and their parameters.
    """

    def __init__(self, likelihood: Any, device: Device, traced: DevicePredictor, rows_of: Any, parameters: Any) -> None:
        self.executor: Executor = likelihood.executor
        self.blocks: Sequence[Block] = likelihood.blocks
        self.copies: Any = likelihood.copies
        self.device = device
        self.dispersed = likelihood.residual_df is not None
        self.traced, self.rows_of, self.parameters = traced, rows_of, parameters
        self.n_params: int = likelihood.n_params
        self.constant = getattr(likelihood.family, "constant_of", None)

    @staticmethod
    def of(likelihood: Any, device: Device) -> DeviceRows | None:
        """The rows of a likelihood on a device; None where they cannot be traced."""
        family = traced_family(likelihood.family)
        if family is None:
            return None
        traced = likelihood.predictor.on_device(likelihood.blocks[0])
        return None if traced is None else DeviceRows(likelihood, device, traced, *family)

    def read(self, theta: np.ndarray, need: Need, about: Callable[[], tuple[Any, ...]]) -> Sums | None:
        """The sums over all rows at θ (p,); None where they are left to the host."""
        if need.products or (need.root and (len(self.traced.slices) > 1 or "opg" in need.kinds)):
            return None
        if "expected" in need.kinds and not self.rows_of.knows_expected:
            return None

        def one(chunk: Any) -> DeviceSums | Awaited:
            streamed = isinstance(chunk, Block)
            rows = Chunk([chunk], len(chunk.y)) if streamed else chunk
            with self.device.computing(), x64():
                found = None if streamed else self._kept(rows)
                sums = self._evaluated(theta, need, *(self._sent(rows) if found is None else found))
            awaited = Awaited(sums, lambda arrays: self._arrived(arrays, need, rows))
            return awaited.arrived if found is None else awaited

        # One chunk after another: only reading streamed rows takes threads.
        executor = self.executor if isinstance(self.chunks, StreamedBlocks) else serial()
        with self.device.computing():  # an error of the device shows when its results arrive
            found: DeviceSums = sum_blocks(executor, one, self.chunks, about).arrived
        if found.doubtful:
            return None
        sums = found.sums
        if not math.isfinite(sums.value):  # outside the domain nothing else is defined
            return Sums(-math.inf, np.zeros(self.n_params), 0.0, 0.0, {})
        left: tuple[Kind, ...] = tuple(kind for kind in need.kinds if kind in found.rootless)
        if left:
            plain = self.read(theta, Need(left), lambda: (*about(), "gram"))
            assert plain is not None
            sums.information.update(plain.information)
        return sums

    def _evaluated(self, theta: np.ndarray, need: Need, columns: Any, rest: Any) -> Any:
        """The sums of a chunk, still on the device."""
        traced, at = self.traced, anchor()
        y, weight, offset, extra, copies = rest
        eta = _predictors(traced)(traced.constants, theta, columns, offset, at)
        rows = _rows(self.rows_of, bool(need.kinds), self.dispersed)
        head, u, expected, observed = rows(self.parameters, eta, y, weight, extra, at)
        matrix = {"expected": expected, "observed": observed if observed is not None else expected, "opg": None}
        asked = tuple(Asked(kind == "opg", kind == "observed" and not traced.linear, need.root) for kind in need.kinds)
        Ws = tuple(matrix[kind] for kind in need.kinds)
        return head, _sums(traced, asked)(traced.constants, theta, columns, weight, u, Ws, copies, at)

    @cached_property
    def chunks(self) -> Any:
        """The rows as chunks; streamed ones as the blocks that they are read in."""
        blocks = self.blocks
        if isinstance(blocks, StreamedBlocks):
            return blocks
        if self.traced.whole:
            return [Chunk(blocks, blocks[0].rows)]
        size, n = len(blocks[0].y), len(blocks)
        row = self._row_bytes
        together = 1
        while 4 * together * CHUNKS <= n and 4 * together * size * row <= CHUNK_BYTES:
            together *= 4
        return [Chunk(blocks[i : i + together], together * size) for i in range(0, n, together)]

    @property
    def _row_bytes(self) -> float:
        """About how many bytes a row takes on the device while it is computed."""
        block = self.blocks[0]
        columns, rest = self._arrays(Chunk([block], block.rows if self.traced.whole else len(block.y)))
        held = sum(leaf.nbytes for leaf in jax.tree.leaves((columns, rest))) / len(block.y)
        return held + 8.0 * self.n_params

    def _arrays(self, chunk: Chunk) -> tuple[Any, Any]:
        """The columns of the predictor, and [y, weight, offset, extra, copies], as NumPy arrays."""
        blocks, size, fill = chunk.blocks, chunk.size, fill_of(chunk.blocks)

        def together(parts: list[np.ndarray]) -> np.ndarray:
            return filled_rows(parts, size, fill)

        weight = np.zeros(size)
        np.concatenate([block.weight[: block.rows] for block in blocks], out=weight[: sum(one.rows for one in blocks)])
        offset = None
        if blocks[0].offset is not None:
            offset = together([block.offset.T for block in blocks if block.offset is not None])
        extra = tuple(
            together([values[: block.rows] for values, block in zip(column, blocks, strict=True)])
            for column in zip(*(block.extra for block in blocks), strict=True)
        )
        copies = None if self.copies is None else together([self._copies(block) for block in blocks])
        y = together([block.y[: block.rows] for block in blocks])
        return self.traced.columns(blocks, size), (y, weight, offset, extra, copies)

    def _copies(self, block: Block) -> np.ndarray:
        if callable(self.copies):
            return np.asarray(self.copies(block))
        return self.copies[block.start : block.start + block.rows]

    def _sent(self, chunk: Chunk) -> tuple[Any, Any]:
        return jax.device_put(self._arrays(chunk), self.device.place)

    def _kept(self, chunk: Chunk) -> tuple[Any, Any] | None:
        """The chunk's arrays as they are kept on the device; None where there is no room."""
        kept, first = self.device.kept, chunk.blocks[0]
        form = (self.traced, chunk.size, self.copies is None)
        found = kept.find(first, form)
        if found is None:
            n_bytes = int(self._held_bytes * chunk.size)
            found = kept.keep(first, form, id(self.blocks[0]), n_bytes, lambda: self._sent(chunk))
        return found

    @cached_property
    def _held_bytes(self) -> float:
        return self._row_bytes - 8.0 * self.n_params

    def _arrived(self, arrays: Any, need: Need, chunk: Chunk) -> DeviceSums:
        """The results of a chunk as sums."""
        head, (score, found) = arrays
        value, pearson, highest, doubtful = head.tolist()
        if self.constant is not None:
            value += sum(self.constant(block) for block in chunk.blocks)
        information: dict[str, Gram | Root] = {}
        for kind, (part, second, _) in zip(need.kinds, found, strict=True):
            bent = None if second is None else 0.5 * (second + second.T)
            if need.root:
                information[kind] = Root(part, bent)
            else:
                information[kind] = Gram(part if bent is None else part + bent)
        rootless = frozenset(kind for kind, one in zip(need.kinds, found, strict=True) if one[2])
        return DeviceSums(Sums(value, np.array(score), pearson, highest, information), rootless, bool(doubtful))
