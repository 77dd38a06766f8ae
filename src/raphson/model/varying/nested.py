r"""The algebra of H where levels nest in levels, by one elimination after another.

Where each level of the eliminated piece meets one level of another, as a class in one school, eliminating it connects
no two levels of that other piece: in H = [D Cᵀ; C S] of :mod:`.algebra` the matrix T = S − C D⁻¹Cᵀ is block diagonal
there too. So T is taken as H is, and held as blocks; only what nothing nests in, β and crossed effects, is dense, as a
border of few columns beside the levels and one square matrix.

All of H⁻¹ that is needed of T is T⁻¹ at the entries of T, which T's own elimination has. With f = F T⁻¹, whose entries
are kept where C has its own, and the G_j, Q_j of :mod:`.algebra`, a product's trace is

    tr(H⁻¹M_jH⁻¹M_k) = tr(D⁻¹D_jD⁻¹D_k) + 2 tr(D⁻¹ G_j (G_kT⁻¹)ᵀ) + tr(T⁻¹Q_jT⁻¹Q_k):

the last is one of T. Norms are traces of products, ‖N_jk‖² = tr(NΠ_jNΠ_k) of the projections on pieces j and k.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from raphson.errors import ModelError
from raphson.model.varying.algebra import (
    MATRICES,
    Conditioned,
    Eliminated,
    Factorised,
    Form,
    Summary,
    full,
    inverses,
    memory,
    sums_by_level,
)
from raphson.model.varying.layout import Arrangement, Blocks, Layout, Pairs, Shape

MANY = 300
"""Coefficients that are not eliminated from which on it is looked for levels that nest in others."""

LEAST = 0.5
"""Share of these coefficients that the levels others nest in must have."""

Parts = Sequence[np.ndarray]
"""The blocks of a matrix with the pattern of Cᵀ: of the pieces that others nest in, and then of all others."""


def form_of(layout: Layout) -> Form:
    """How H is factorised: by nested levels where most coefficients are theirs, else densely but for one piece."""
    if layout.eliminated and layout.size - layout.pieces[0].size >= MANY:
        above = chain(layout)
        if sum(layout.pieces[k].size for k in above) >= LEAST * (layout.size - layout.pieces[0].size):
            return Nest(layout, above)
    return Eliminated(layout)


def chain(layout: Layout) -> list[int]:
    """The pieces that the first one nests in, each nested in the next."""
    out, last = [], 0
    for k in sorted(range(1, len(layout.pieces)), key=lambda k: -layout.pieces[k].levels):
        if layout.pieces[k].levels > 1 and _upward(layout, last, k) is not None:
            out.append(k)
            last = k
    return out


def _upward(layout: Layout | Arrangement, below: int, above: int) -> np.ndarray | None:
    """The level of one piece that each level of another nests in; None where it does not, or no row has it."""
    pairs = layout.pairs[min(below, above), max(below, above)]
    low, high = (pairs.first, pairs.second) if below <= above else (pairs.second, pairs.first)
    if len(low) != layout.pieces[below].levels:
        return None
    out = np.full(len(low), -1)
    out[low] = high
    return None if (out < 0).any() else out


class Nest:
    """How the blocks of a layout make up C and T.

    Parameters
    ----------
    layout : whose first piece is eliminated.
    above : the pieces that it nests in, each nested in the next.
    """

    def __init__(self, layout: Layout | Arrangement, above: Sequence[int]) -> None:
        self.layout, self.above = layout, list(above)
        pieces = layout.pieces
        self.others = [k for k in range(1, len(pieces)) if k not in self.above]
        self.m = len(self.above)
        self.first, self.E = pieces[0], pieces[0].size
        beside = [0, *self.others]
        pairs = {(a, b): layout.pairs[k, j] for a, k in enumerate(beside) for b, j in enumerate(beside) if k <= j}
        self.border = Eliminated(Arrangement([pieces[k] for k in beside], pairs))
        """The first piece and the others."""
        self.width = self.border.R
        self._check_memory()
        self.up = [_found(_upward(layout, 0, k)) for k in self.above]
        """The level above each level of the first piece."""
        self.order = np.concatenate([np.arange(at.start, at.stop) for at in map(self._slice, self.rest)])
        """The coefficients that are not eliminated, in the order of T."""
        self.inside = self._inside()
        self.inner: Form = Nest(self.inside, range(1, self.m)) if self.m > 1 else Eliminated(self.inside)
        """How T is factorised."""

    @property
    def rest(self) -> list[int]:
        """The pieces that are not eliminated, as T has them."""
        return [*self.above, *self.others]

    def _slice(self, k: int) -> slice:
        return self.layout.slices[k]

    def _check_memory(self) -> None:
        """Refuse borders that this machine cannot hold; raises a ModelError."""
        levels = max(self.layout.pieces[k].size for k in self.above)
        needed, there = 8.0 * MATRICES * levels * self.width, memory()
        if needed > there:
            raise ModelError(
                f"formula: {levels:,} coefficients of levels that others nest in stand beside {self.width:,} others, "
                f"and their matrices take {needed / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f} GB; "
                f"expected at most {int(there / (8.0 * MATRICES * levels)):,} others. Leave a group out, or take "
                "coarser levels"
            )

    def _inside(self) -> Arrangement:
        """The pieces of T: those that others nest in, and all others as one."""
        shapes = [Shape(self.layout.pieces[k].levels, self.layout.pieces[k].width) for k in self.above]
        pairs = {}
        for i, k in enumerate(self.above):
            every = np.arange(shapes[i].levels)
            for j in range(i, self.m):
                at = every if i == j else _found(_upward(self.layout, k, self.above[j]))
                pairs[i, j] = Pairs(None, every, at)
            if self.width:
                pairs[i, self.m] = Pairs(None, every, np.zeros(len(every), dtype=int))
        if self.width:
            one = np.zeros(1, dtype=int)
            pairs[self.m, self.m] = Pairs(None, one, one)
            shapes.append(Shape(1, self.width))
        return Arrangement(shapes, pairs)

    def factored(self, blocks: Blocks) -> NestedFactor:
        return NestedFactor(self, blocks)

    # -- blocks --------------------------------------------------------------------------------------------------

    def parts(self, M: Blocks) -> list[np.ndarray]:
        """The blocks of M beside the eliminated piece; zeros where it has none."""
        return [M[0, k] if (0, k) in M else self._nothing(k) for k in self.rest]

    def _nothing(self, k: int) -> np.ndarray:
        return np.zeros((len(self.layout.pairs[0, k].first), self.first.width, self.layout.pieces[k].width))

    def of_rest(self, M: Blocks) -> Blocks:
        """The blocks of the pieces that are not eliminated, as T has them."""
        out: Blocks = {}
        for at, (levels, width, columns) in self._shapes.items():
            out[at] = np.zeros((levels, width, columns))
        for (k, j), block in M.items():
            if k == 0:
                continue
            pairs = self.layout.pairs[k, j]
            if k in self.above and j in self.above:
                a, b = self.above.index(k), self.above.index(j)
                if a <= b:
                    out[a, b][pairs.first] = block
                else:
                    out[b, a][pairs.second] = block.transpose(0, 2, 1)
            elif k in self.above:
                out[self.above.index(k), self.m][self._at(k, j, pairs.first, pairs.second)] = block
            elif j in self.above:
                at = self._at(j, k, pairs.second, pairs.first)
                out[self.above.index(j), self.m][at] = block.transpose(0, 2, 1)
        if self.width:
            number = {k: a for a, k in enumerate(self.others, 1)}
            own = {(number[k], number[j]): one for (k, j), one in M.items() if k in number and j in number}
            out[self.m, self.m][0] = self.border.square(own)
        return out

    def to_rest(self, N: Blocks) -> Blocks:
        """The blocks of the layout of a matrix that is given as T is."""
        out: Blocks = {}
        for (k, j), pairs in self.layout.pairs.items():
            if k in self.above and j in self.above:
                a, b = self.above.index(k), self.above.index(j)
                out[k, j] = N[a, b][pairs.first] if a <= b else N[b, a][pairs.second].transpose(0, 2, 1)
            elif k in self.above:
                out[k, j] = N[self.above.index(k), self.m][self._at(k, j, pairs.first, pairs.second)]
            elif j in self.above and k:
                at = self._at(j, k, pairs.second, pairs.first)
                out[k, j] = N[self.above.index(j), self.m][at].transpose(0, 2, 1)
        if self.width:
            found = self.border.of_square(N[self.m, self.m][0])
            out |= {(self.others[a - 1], self.others[b - 1]): one for (a, b), one in found.items()}
        return out

    @cached_property
    def _shapes(self) -> dict[tuple[int, int], tuple[int, int, int]]:
        pieces = self.inside.pieces
        count = range(len(pieces))
        return {(a, b): (pieces[a].levels, pieces[a].width, pieces[b].width) for a in count for b in count if a <= b}

    def _at(self, k: int, q: int, levels: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, ...]:
        """Where the blocks of levels of a piece and of levels of one of the others are in the border of the piece."""
        own, piece, start = self.layout.pieces[k], self.layout.pieces[q], self.border_start(q)
        columns = (start + others * piece.width)[:, None, None] + np.arange(piece.width)
        return levels[:, None, None], np.arange(own.width)[:, None], columns

    def border_start(self, q: int) -> int:
        """Where the coefficients of one of the others begin among them."""
        return self.border.within(self.others.index(q) + 1).start

    def columns(self, i: int, part: np.ndarray) -> np.ndarray:
        """(E, size) of the blocks beside one of the pieces above, as a sparse matrix."""
        from scipy.sparse import csr_array

        piece = self.layout.pieces[self.above[i]]
        at = np.broadcast_to((self.up[i] * piece.width)[:, None, None] + np.arange(piece.width), part.shape)
        begins = np.arange(0, part.size + 1, piece.width)
        return csr_array((part.ravel(), at.ravel(), begins), shape=(self.E, piece.size))  # type: ignore[return-value]

    def crossed(self, A: Parts, B: Parts) -> Blocks:
        """AᵀB at the entries of T, on one side of its diagonal."""
        out: Blocks = {}
        dense = self.border.matrix(B[self.m :]) if self.width else None
        for i, k in enumerate(self.above):
            piece = self.layout.pieces[k]
            for j in range(i, self.m):
                each = _product(A[i].transpose(0, 2, 1), B[j])
                out[i, j] = sums_by_level(each, self.up[i], piece.levels)
            if dense is not None:
                met = full(self.columns(i, A[i]).T @ dense)
                out[i, self.m] = met.reshape(piece.levels, piece.width, self.width)
        if dense is not None:
            out[self.m, self.m] = full(self.border.matrix(A[self.m :]).T @ dense)[None]
        return out

    def beside(self, A: Parts, N: Blocks) -> list[np.ndarray]:
        """A N at the entries of A, for a symmetric N that is given as T is."""
        out, m = [], self.m
        for j, k in enumerate(self.above):
            total = np.zeros_like(A[j])
            for i in range(m):
                block = N[i, j][self.up[i]] if i <= j else N[j, i][self.up[j]].transpose(0, 2, 1)
                total += _product(A[i], block)
            for q, part in zip(self.others, A[m:], strict=True):
                pairs = self.layout.pairs[0, q]
                met = N[j, m][self._at(k, q, self.up[j][pairs.first], pairs.second)]
                total += sums_by_level(_product(part, met.transpose(0, 2, 1)), pairs.first, self.first.levels)
            out.append(total)
        if not self.width:
            return out
        others = self.border.beside(A[m:], self.border.matrix(A[m:]), N[m, m][0])
        for q, total in zip(self.others, others, strict=True):
            pairs = self.layout.pairs[0, q]
            for i, k in enumerate(self.above):
                met = N[i, m][self._at(k, q, self.up[i][pairs.first], pairs.second)]
                total = total + _product(A[i][pairs.first], met)
            out.append(total)
        return out


class NestedFactor(Factorised):
    """H factorised.

    Attributes
    ----------
    log_det : log|H|; None where H is not positive definite, and nothing else is then computed.
    """

    def __init__(self, form: Nest, blocks: Blocks) -> None:
        self.form, self.blocks, self.log_det = form, blocks, None
        found = inverses(blocks[0, 0])
        if found is None:
            return
        self.D_inverse, own = found
        parts = self.parts = form.parts(blocks)
        self.F = self._by_level(self.D_inverse, parts)
        inner = self.inner = form.inner.factored(_less(form.of_rest(blocks), form.crossed(parts, self.F)))
        if inner.log_det is not None and np.isfinite(own):
            self.log_det = own + inner.log_det

    def _by_level(self, D: np.ndarray, parts: Parts) -> list[np.ndarray]:
        """D times blocks of Cᵀ, each pair by the D of its level."""
        firsts = [self.form.layout.pairs[0, k].first for k in self.form.rest]
        return [_product(D[at], one) for at, one in zip(firsts, parts, strict=True)]

    @cached_property
    def _columns(self) -> list[tuple[np.ndarray, slice]]:
        """F by pieces, with where they are among the coefficients that are not eliminated."""
        form = self.form
        out = [(form.columns(i, self.F[i]), form.inside.slices[i]) for i in range(form.m)]
        if form.width:
            out.append((form.border.matrix(self.F[form.m :]), form.inside.slices[form.m]))
        return out

    def solve(self, b: np.ndarray) -> np.ndarray:
        form, E = self.form, self.form.E
        out, high = np.empty(b.shape), b[form.order]
        for F, at in self._columns:
            high[at] -= F.T @ b[:E]
        high = self.inner.solve(high)
        low = b[:E].reshape(form.first.levels, form.first.width, -1)
        low = _product(self.D_inverse, low).reshape(b[:E].shape)
        for F, at in self._columns:
            low -= F @ high[at]
        out[:E], out[form.order] = low, high
        return out

    @cached_property
    def inverse(self) -> Blocks:
        form = self.form
        out, own = form.to_rest(self.inner.inverse), self.D_inverse.copy()
        for k, part, F in zip(form.rest, form.beside(self.F, self.inner.inverse), self.F, strict=True):
            out[0, k] = -part
            at = form.layout.pairs[0, k].first
            own += sums_by_level(_product(F, part.transpose(0, 2, 1)), at, form.first.levels)
        out[0, 0] = own
        return out

    def between(self, k: int, j: int) -> np.ndarray:
        return self.inverse[k, j][0] if k <= j else self.inverse[j, k][0].T

    def total(self, k: int) -> np.ndarray:
        return self.inverse[k, k].sum(axis=0)

    def summary(self, pieces: Sequence[int]) -> Summary:
        out, layout = Summary.empty(len(pieces)), self.form.layout
        on = [
            self.conditioned({(k, k): np.broadcast_to(np.eye(layout.pieces[k].width), self.blocks[k, k].shape)})
            for k in pieces
        ]
        for i, k in enumerate(pieces):
            out.traces[i] = self.trace(k)
            for j, other in enumerate(pieces[: i + 1]):
                at = min(k, other), max(k, other)
                out.between[i, j] = out.between[j, i] = float(np.vdot(self.inverse[at], self.blocks[at]))
                out.norms[i, j] = out.norms[j, i] = on[i].product_trace(on[j])
        return out

    def conditioned(self, M: Blocks) -> Conditioned:
        form, Q = self.form, self.form.of_rest(M)
        if all(k for k, _ in M):  # nothing stands beside the eliminated piece
            return Conditioned(None, [], None, self.inner.conditioned(Q))
        parts, D = form.parts(M), M[0, 0] if (0, 0) in M else np.zeros_like(self.D_inverse)
        G = [part - one for part, one in zip(parts, self._by_level(D, self.F), strict=True)]
        Q = _less(Q, form.crossed(self.F, G))
        if any(k == 0 < j for k, j in M):
            Q = _less(Q, form.crossed(parts, self.F))
        return Conditioned(
            _product(self.D_inverse, D),
            self._by_level(self.D_inverse, G),
            form.beside(G, self.inner.inverse),
            self.inner.conditioned(Q),
        )


def _product(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A B of stacks of matrices; those of one inner column many times faster than by `@`."""
    return A * B if A.shape[2] == 1 else A @ B


def _less(A: Blocks, B: Blocks) -> Blocks:
    return {at: one - B[at] for at, one in A.items()}


def _found(levels: np.ndarray | None) -> np.ndarray:
    assert levels is not None
    return levels
