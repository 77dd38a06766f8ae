"""The columns of the predictors in pieces: those of β, and those of each varying term; and cross-products of them.

A piece is a matrix (n, c) and, for each row, the level at which its columns stand; it adds to one predictor. The β of a
predictor are a piece with one level. Sums over the rows at a pair of levels of two pieces, with the weight W_ab of the
predictors a and b to which they add,

    K_kl[p] = Σ_{i at the pair p} W_{i,ab} z_ik z_ilᵀ        (c_k, c_l)

are all that XᵀWX and its like consist of: only pairs of levels that some row has are kept. The piece with the most
levels comes first, so that its own block, which is block diagonal, can be eliminated (:mod:`.algebra`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.model.varying.tensors import Symmetric

Blocks = dict[tuple[int, int], np.ndarray]
"""For pieces k ≤ l, an array (pairs, c_k, c_l): the blocks of a symmetric matrix."""

FEW = 3
"""Columns of a product up to which counting a column at a time is faster than a sparse product."""


@dataclass(eq=False)
class Piece:
    """Columns that stand at the level of their row.

    Attributes
    ----------
    columns : (n, c).
    codes : (n,) the level of each row, or None for one level.
    levels : number of levels.
    term : the number of the varying term; None for columns of β.
    predictor : to which predictor it adds.
    """

    columns: np.ndarray
    codes: np.ndarray | None
    levels: int
    term: int | None
    predictor: int = 0

    @property
    def width(self) -> int:
        return self.columns.shape[1]

    @property
    def size(self) -> int:
        return self.levels * self.width

    @cached_property
    def constant(self) -> bool:
        """Whether there is one column, of ones."""
        return self.width == 1 and bool((self.columns == 1.0).all())

    def product(self, b: np.ndarray) -> np.ndarray:
        """Z b, (n,)."""
        if self.codes is None:
            return self.columns @ b
        if self.constant:
            return b[self.codes]
        at = b.reshape(self.levels, self.width)
        return sum(self.columns[:, c] * at[self.codes, c] for c in range(self.width))  # type: ignore[return-value]

    def transposed(self, r: np.ndarray) -> np.ndarray:
        """Zᵀ r, (size,)."""
        if self.codes is None:
            return self.columns.T @ r
        if self.constant:
            return np.bincount(self.codes, r, self.levels)
        each = [np.bincount(self.codes, self.columns[:, c] * r, self.levels) for c in range(self.width)]
        return np.stack(each, axis=1).ravel()


@dataclass(eq=False)
class Pairs:
    """The pairs of levels of two pieces that some row has.

    Attributes
    ----------
    row : (n,) the pair of each row; None for one pair.
    first, second : (pairs,) the levels.
    """

    row: np.ndarray | None
    first: np.ndarray
    second: np.ndarray

    @cached_property
    def indicator(self) -> Any:
        """(pairs, n) sparse, 1 where a row has a pair: its product with row quantities sums them over each pair."""
        from scipy.sparse import csr_array

        assert self.row is not None
        n = len(self.row)
        return csr_array((np.ones(n), self.row, np.arange(n + 1)), shape=(n, len(self.first))).T.tocsr()

    @staticmethod
    def of(one: Piece, other: Piece) -> Pairs:
        if one.codes is None and other.codes is None:
            return Pairs(None, np.zeros(1, dtype=int), np.zeros(1, dtype=int))
        if one is other or one.codes is None or other.codes is None:
            levels = np.arange(max(one.levels, other.levels))
            none = np.zeros(len(levels), dtype=int)
            row = other.codes if one.codes is None else one.codes
            return Pairs(row, none if one.codes is None else levels, none if other.codes is None else levels)
        met, row = np.unique(one.codes.astype(np.int64) * other.levels + other.codes, return_inverse=True)
        return Pairs(row, met // other.levels, met % other.levels)


@dataclass(frozen=True)
class Shape:
    """How many coefficients a piece has at how many levels."""

    levels: int
    width: int

    @property
    def size(self) -> int:
        return self.levels * self.width


class Arrangement:
    """Where the coefficients of pieces without rows are, and their pairs of levels; the first piece is eliminated."""

    eliminated = True

    def __init__(self, pieces: Sequence[Piece | Shape], pairs: dict[tuple[int, int], Pairs]) -> None:
        self.pieces, self.pairs = pieces, pairs
        self.slices, self.size = _placed(pieces)


class Layout:
    """The pieces of a model, the one that is eliminated first.

    Parameters
    ----------
    designs : for each predictor, the columns (n, p) of those β that are integrated as the other coefficients are.
    terms : the varying terms.

    Attributes
    ----------
    pieces : in the order of the coefficients v.
    predictors : those to which some piece adds.
    """

    def __init__(self, designs: Sequence[np.ndarray], terms: Sequence[VaryingTerm]) -> None:
        pieces = [
            Piece(np.asarray(one.columns), one.codes, one.n_levels, k, one.predictor) for k, one in enumerate(terms)
        ]
        largest = max(range(len(pieces)), key=lambda k: pieces[k].levels)
        self.eliminated = pieces[largest].levels > 1
        """Whether the first piece is eliminated."""
        rest = [one for k, one in enumerate(pieces) if k != largest or not self.eliminated]
        fixed = [Piece(np.asarray(X), None, 1, None, a) for a, X in enumerate(designs) if X.shape[1]]
        self.pieces = [*([pieces[largest]] if self.eliminated else []), *fixed, *rest]
        self.predictors = sorted({piece.predictor for piece in self.pieces})
        self.slices, self.size = _placed(self.pieces)
        self.fixed = [k for k, piece in enumerate(self.pieces) if piece.term is None]
        """Where the pieces of β are, one after the other; empty where β is not integrated, or has no columns."""
        own = [self.slices[k] for k in self.fixed]
        self.place_of_fixed = slice(own[0].start, own[-1].stop) if own else slice(0, 0)
        """Where β is in v."""
        self.plain = [k for k, piece in enumerate(self.pieces) if piece.codes is None]
        """The pieces with one level."""
        self._plain_of = {a: [k for k in self.plain if self.pieces[k].predictor == a] for a in self.predictors}
        """The same by their predictor."""
        placed = list(zip(self.pieces, self.slices, strict=True))
        self._of_predictor = {a: [one for one in placed if one[0].predictor == a] for a in self.predictors}

    @cached_property
    def pairs(self) -> dict[tuple[int, int], Pairs]:
        count = range(len(self.pieces))
        return {(k, j): Pairs.of(self.pieces[k], self.pieces[j]) for k in count for j in count if k <= j}

    def product(self, b: np.ndarray) -> dict[int, np.ndarray]:
        """[X Z] b, (n,) of each predictor to which pieces add."""
        if len(self.plain) == len(self.pieces):
            return {a: self._together[a] @ self._of_plain(b, a) for a in self.predictors}
        out: dict[int, np.ndarray] = {}
        for a, own in self._of_predictor.items():
            parts = [piece.product(b[at]) for piece, at in own]
            out[a] = parts[0] if len(parts) == 1 else np.add.reduce(parts)
        return out

    def _of_plain(self, b: np.ndarray, a: int) -> np.ndarray:
        """The coefficients of the pieces with one level that add to a predictor."""
        if len(self.predictors) == 1 and len(self.plain) == len(self.pieces):
            return b
        return np.concatenate([b[self.slices[k]] for k in self._plain_of[a]])

    def transposed(self, r: Mapping[int, np.ndarray]) -> np.ndarray:
        """[X Z]ᵀ r, of an r (n,) for each of the predictors; what is absent is 0."""
        if len(self.predictors) == 1 and len(self.plain) == len(self.pieces):
            return self._together[self.predictors[0]].T @ r[self.predictors[0]]
        return np.concatenate(
            [
                piece.transposed(r[piece.predictor]) if piece.predictor in r else np.zeros(piece.size)
                for piece in self.pieces
            ]
        )

    def by_level(self, v: np.ndarray, factors: Sequence[np.ndarray | None], others: np.ndarray) -> np.ndarray:
        """Each level's coefficients times the factor of its piece; those of `others` where a piece has none.

        Of (size,), or of (m, size).
        """
        out = others.copy()
        for piece, at, factor in zip(self.pieces, self.slices, factors, strict=True):
            if factor is not None:
                here = v[..., at]
                out[..., at] = (here.reshape(-1, piece.width) @ factor.T).reshape(here.shape)
        return out

    def multiplied(self, M: Blocks, b: np.ndarray) -> np.ndarray:
        """M b, for the blocks of a symmetric M."""
        parts = [b[at].reshape(one.levels, one.width) for one, at in zip(self.pieces, self.slices, strict=True)]
        out = np.zeros_like(b)
        for (k, j), block in M.items():
            pairs = self.pairs[k, j]
            for a, c, first, second, turned in (
                (k, j, pairs.first, pairs.second, block),
                (j, k, pairs.second, pairs.first, block.transpose(0, 2, 1)),
            )[: 1 if k == j else 2]:
                moved = (turned @ parts[c][second][:, :, None])[:, :, 0]
                piece = self.pieces[a]
                each = [np.bincount(first, moved[:, i], piece.levels) for i in range(piece.width)]
                out[self.slices[a]] += np.stack(each, axis=1).ravel()
        return out

    def square(self, M: Blocks) -> np.ndarray:
        """M itself."""
        S = np.zeros((self.size, self.size))
        for (k, j), block in M.items():
            pairs, one, other = self.pairs[k, j], self.pieces[k], self.pieces[j]
            view = S[self.slices[k], self.slices[j]].reshape(one.levels, one.width, other.levels, other.width)
            view[pairs.first, :, pairs.second, :] = block
            if k < j:
                S[self.slices[j], self.slices[k]] = S[self.slices[k], self.slices[j]].T
        return S

    # -- cross-products ------------------------------------------------------------------------------------------

    def cross(self, W: Symmetric) -> Blocks:
        """[X Z]ᵀ W [X Z], of the weights W of each pair of predictors."""
        out, alone = self._plain_blocks(W), len(self.predictors) == 1
        w = W.at(self.predictors[0], self.predictors[0]) if alone else None
        for (k, j), pairs in self.pairs.items():
            if pairs.row is not None:
                one, other = self.pieces[k], self.pieces[j]
                if not alone:
                    w = W.at(one.predictor, other.predictor)
                if w is None:
                    out[k, j] = np.zeros((len(pairs.first), one.width, other.width))
                else:
                    out[k, j] = _summed(one, other, pairs, w)
        return out

    def _plain_blocks(self, W: Symmetric) -> Blocks:
        out: Blocks = {}
        if not self.plain:
            return out
        for a, own in self._plain_of.items():
            for b, others in self._plain_of.items():
                if b < a or not own or not others:
                    continue
                N, M, w = self._together[a], self._together[b], W.at(a, b)
                product = (
                    np.zeros((N.shape[1], M.shape[1]))
                    if w is None
                    else N.T @ (M if (w == 1.0).all() else w[:, None] * M)
                )
                for k in own:
                    for j in others:
                        if k <= j:
                            out[k, j] = product[None, self._among[k], self._among[j]]
                        elif a < b:
                            out[j, k] = product.T[None, self._among[j], self._among[k]]
        return out

    @cached_property
    def _together(self) -> dict[int, np.ndarray]:
        """(n, m) the columns of all pieces with one level that add to a predictor."""
        out = {}
        for a, own in self._plain_of.items():
            parts = [self.pieces[k].columns for k in own]
            if parts:
                out[a] = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return out

    @cached_property
    def _among(self) -> dict[int, slice]:
        """Where the columns of each piece with one level are among them."""
        out = {}
        for own in self._plain_of.values():
            ends = np.cumsum([0, *(self.pieces[k].width for k in own)])
            out |= {k: slice(int(ends[i]), int(ends[i + 1])) for i, k in enumerate(own)}
        return out

    def row_forms(self, M: Blocks) -> Symmetric:
        """a_iᵀ M b_i (n,) of the rows a_i, b_i of [X Z] of each pair of predictors, for the blocks of a symmetric M."""
        out = self._plain_forms(M)
        for (k, j), pairs in self.pairs.items():
            if pairs.row is None:
                continue
            one, other = self.pieces[k], self.pieces[j]
            form = _form(one, other, pairs, M[k, j])
            at = min(one.predictor, other.predictor), max(one.predictor, other.predictor)
            if k != j and one.predictor == other.predictor:
                form = 2.0 * form
            out[at] = out[at] + form if at in out else form
        return out

    def _plain_forms(self, M: Blocks) -> Symmetric:
        out = Symmetric()
        if not self.plain:
            return out
        for a, own in self._plain_of.items():
            for b, others in self._plain_of.items():
                if b < a or not own or not others:
                    continue
                one, other = self._together[a], self._together[b]
                whole = np.empty((one.shape[1], other.shape[1]))
                for k in own:
                    for j in others:
                        whole[self._among[k], self._among[j]] = M[k, j][0] if k <= j else M[j, k][0].T
                out[a, b] = np.einsum("im,im->i", one @ whole, other)
        return out


def _placed(pieces: Sequence[Piece | Shape]) -> tuple[list[slice], int]:
    """Where the coefficients of each piece are, and the number of all."""
    ends = np.cumsum([0, *(piece.size for piece in pieces)])
    return [slice(int(a), int(b)) for a, b in pairwise(ends)], int(ends[-1])


def _summed(one: Piece, other: Piece, pairs: Pairs, w: np.ndarray) -> np.ndarray:
    """(pairs, c, c') Σ w z z'ᵀ over the rows of each pair."""
    m, row = len(pairs.first), pairs.row
    assert row is not None
    if max(one.width, other.width) > FEW:
        wide, narrow = (one, other) if one.width >= other.width else (other, one)
        each = [pairs.indicator @ ((w * narrow.columns[:, b])[:, None] * wide.columns) for b in range(narrow.width)]
        out = np.stack(each, axis=2)
        return out if wide is one else out.transpose(0, 2, 1)
    out = np.empty((m, one.width, other.width))
    for a in range(one.width):
        weighted = w if one.constant else w * one.columns[:, a]
        for b in range(other.width):
            if one is other and b < a:
                out[:, a, b] = out[:, b, a]
            else:
                out[:, a, b] = np.bincount(row, weighted if other.constant else weighted * other.columns[:, b], m)
    return out


def _form(one: Piece, other: Piece, pairs: Pairs, block: np.ndarray) -> np.ndarray:
    """(n,) z_iᵀ M z'_i, with the block of the pair of each row."""
    row = pairs.row
    total: np.ndarray | float = 0.0
    for a in range(one.width):
        for b in range(other.width):
            part = block[row, a, b]
            if not one.constant:
                part = part * one.columns[:, a]
            if not other.constant:
                part = part * other.columns[:, b]
            total = total + part
    return np.asarray(total)


def transposed(factors: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """The transpose of each factor."""
    return [None if one is None else one.T for one in factors]


def times(A: np.ndarray, block: np.ndarray) -> np.ndarray:
    """A times each block."""
    return A[0, 0] * block if A.shape == (1, 1) else A @ block


def times_right(block: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Each block times A."""
    return block * A[0, 0] if A.shape == (1, 1) else block @ A
