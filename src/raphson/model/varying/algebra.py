r"""The algebra of H = [D Cᵀ; C S]: D is block diagonal, of the piece with the most levels, and is eliminated.

With F = D⁻¹Cᵀ and T = S − C F, which is dense and as small as all other pieces together (:mod:`.nested` has it sparse):

    log|H| = log|D| + log|T|
    H⁻¹    = [D⁻¹ + F T⁻¹ Fᵀ, −F T⁻¹; −T⁻¹Fᵀ, T⁻¹]

Of H⁻¹ only the blocks are kept that cross-products of rows have. For symmetric M_j = [D_j C_jᵀ; C_j S_j], with
G_j = C_jᵀ − D_j F and Q_j = S_j − FᵀG_j − C_jF,

    tr(H⁻¹M_jH⁻¹M_k) = tr(D⁻¹D_jD⁻¹D_k) + 2 tr(D⁻¹ G_j T⁻¹ G_kᵀ) + tr(T⁻¹Q_jT⁻¹Q_k).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from raphson import lapack
from raphson.errors import ModelError
from raphson.model.varying.components import Components
from raphson.model.varying.crossings import Crossings, count_of, mirrored
from raphson.model.varying.layout import Arrangement, Blocks, Layout

DENSE, FULL = 200_000, 0.2
"""Entries of C below which it is held densely whatever it is filled with; and share of its entries that are not zero,
above which it is held densely however large it is."""

SMALL = 128
"""Size of T up to which its inverse is solved for, as LAPACK's own routine for inverses starts threads for 25 columns:
on a busy machine it then takes milliseconds where this takes 20 µs."""

MATRICES = 10
"""Largest number of matrices of the coefficients that are not eliminated that are held at once, at four scales."""

MANY = 300
"""Coefficients that are not eliminated from which on it is looked whether they fall into sets."""

CROSSINGS = 10_000_000
"""Most products of two entries of a row of C that are listed: they take 24 bytes each, 240 MB."""


class Eliminated:
    """How the blocks of a layout make up C and S."""

    def __init__(self, layout: Layout | Arrangement) -> None:
        self.layout = layout
        self.first = layout.pieces[0] if layout.eliminated else None
        self.rest = list(range(1 if layout.eliminated else 0, len(layout.pieces)))
        """The pieces that are not eliminated."""
        self.E = self.first.size if self.first is not None else 0
        self.R = layout.size - self.E
        self._check_memory()

    def _check_memory(self) -> None:
        """Refuse matrices that this machine cannot hold; raises a ModelError."""
        needed, there = 8.0 * MATRICES * self.R**2, memory()
        if needed > there:
            largest = self.layout.pieces[0].levels
            raise ModelError(
                f"formula: besides the {largest:,} levels of the largest group, there are {self.R:,} coefficients, "
                f"whose matrices take {needed / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f} GB; expected at "
                f"most {int(np.sqrt(there / (8.0 * MATRICES))):,} of them. Leave a group out, or take coarser levels"
            )

    def factored(self, blocks: Blocks) -> Factor:
        return Factor(self, blocks)

    def within(self, k: int) -> slice:
        """Where the coefficients of a piece are among those that are not eliminated."""
        at = self.layout.slices[k]
        return slice(at.start - self.E, at.stop - self.E)

    @cached_property
    def entries(self) -> int:
        """Number of entries of C that are not zero."""
        first = self.first
        if first is None:
            return 0
        pairs, pieces = self.layout.pairs, self.layout.pieces
        return sum(len(pairs[0, k].first) * first.width * pieces[k].width for k in self.rest)

    @cached_property
    def dense(self) -> bool:
        whole = self.E * self.R
        return whole <= DENSE or self.entries > FULL * whole

    @cached_property
    def components(self) -> Components | None:
        """The sets that the coefficients that are not eliminated fall into; None where they are few or do not."""
        return Components.of(self._edges(), self.E + self.R, self.R) if self.R >= MANY else None

    def _edges(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs of coefficients that a row or a level connects, the eliminated ones first."""
        pieces = self.layout.pieces
        for k in self.rest:
            if self.first is not None:
                rows, columns = self.place(k)
                yield rows, columns + self.E
            for j in self.rest:
                if k <= j:
                    pairs = self.layout.pairs[k, j]
                    first = self.E + self.within(k).start + pairs.first * pieces[k].width
                    second = self.E + self.within(j).start + pairs.second * pieces[j].width
                    for step in range(pieces[j].width):
                        yield first, second + step

    def product(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """A B of two matrices (R, R) that are 0 between the components."""
        return A @ B if self.components is None else self.components.product(A, B)

    def place(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns (pairs, c, c_k) of the entries of the piece's block in Cᵀ."""
        first, piece, pairs = self.first, self.layout.pieces[k], self.layout.pairs[0, k]
        assert first is not None
        rows = (pairs.first[:, None] * first.width + np.arange(first.width))[:, :, None]
        columns = (self.within(k).start + pairs.second[:, None] * piece.width + np.arange(piece.width))[:, None, :]
        return np.broadcast_arrays(rows, columns)  # type: ignore[return-value]

    @cached_property
    def _pattern(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of Cᵀ as a sparse matrix: which entry comes where, the columns, and where each row begins."""
        places = [self.place(k) for k in self.rest]
        rows = np.concatenate([one[0].ravel() for one in places])
        columns = np.concatenate([one[1].ravel() for one in places])
        order = np.lexsort((columns, rows))
        begins = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=self.E))])
        return order, columns[order].astype(np.int32), begins.astype(np.int32)

    @cached_property
    def crossings(self) -> Crossings | None:
        """The products of entries of C at a level; None where sparse or dense products are better."""
        return self.within_rows if self.first is not None and self.first.width == 1 else None

    @cached_property
    def within_rows(self) -> Crossings | None:
        """The same of the rows of C, of which a level has as many as columns."""
        if self.first is None or self.dense or not self.R:
            return None
        order, columns, begins = self._pattern
        return Crossings(order, columns, begins, self.R) if count_of(begins) <= CROSSINGS else None

    @cached_property
    def _flat(self) -> np.ndarray:
        places = [self.place(k) for k in self.rest]
        return np.concatenate([(one[0] * self.R + one[1]).ravel() for one in places])

    def matrix(self, parts: Sequence[np.ndarray]) -> Any:
        """(E, R) of its blocks, one for each piece that is not eliminated: a sparse matrix or an array."""
        values = np.concatenate([one.ravel() for one in parts])
        if self.dense:
            out = np.zeros(self.E * self.R)
            out[self._flat] = values
            return out.reshape(self.E, self.R)
        from scipy.sparse import csr_array

        order, columns, begins = self._pattern
        return csr_array((values[order], columns, begins), shape=(self.E, self.R))

    def gathered(self, whole: np.ndarray) -> list[np.ndarray]:
        """The blocks of a dense (E, R)."""
        return self._parted(whole.reshape(-1)[self._flat])

    def beside(self, parts: Sequence[np.ndarray], matrix: Any, M: np.ndarray) -> list[np.ndarray]:
        """The blocks of C M for a symmetric M (R, R), of the blocks of C and of C as a matrix."""
        if self.within_rows is None:
            return self.gathered(full(matrix @ M))
        return self._parted(self.within_rows.beside(np.concatenate([one.ravel() for one in parts]), M))

    def _parted(self, flat: np.ndarray) -> list[np.ndarray]:
        out, start = [], 0
        for k in self.rest:
            pairs, piece = self.layout.pairs[0, k], self.layout.pieces[k]
            shape = (len(pairs.first), self.first.width, piece.width)  # type: ignore[union-attr]
            size = int(np.prod(shape))
            out.append(flat[start : start + size].reshape(shape))
            start += size
        return out

    def square(self, blocks: Blocks) -> np.ndarray:
        """S (R, R) of its blocks."""
        S = np.zeros((self.R, self.R))
        for k in self.rest:
            for j in self.rest:
                if k <= j and (k, j) in blocks:
                    pairs, one, other = self.layout.pairs[k, j], self.layout.pieces[k], self.layout.pieces[j]
                    view = S[self.within(k), self.within(j)].reshape(one.levels, one.width, other.levels, other.width)
                    view[pairs.first, :, pairs.second, :] = blocks[k, j]
                    if k < j:
                        S[self.within(j), self.within(k)] = S[self.within(k), self.within(j)].T
        return S

    def of_square(self, S: np.ndarray) -> Blocks:
        """The blocks of a symmetric (R, R)."""
        out = {}
        for k in self.rest:
            for j in self.rest:
                if k <= j:
                    pairs, one, other = self.layout.pairs[k, j], self.layout.pieces[k], self.layout.pieces[j]
                    view = S[self.within(k), self.within(j)].reshape(one.levels, one.width, other.levels, other.width)
                    out[k, j] = view[pairs.first, :, pairs.second, :]
        return out


class Form(Protocol):
    """How the blocks of a layout are factorised."""

    def factored(self, blocks: Blocks) -> Factorised: ...


class Factorised(ABC):
    """H factorised.

    Attributes
    ----------
    log_det : log|H|; None where H is not positive definite, and nothing else is then computed.
    """

    log_det: float | None

    @abstractmethod
    def solve(self, b: np.ndarray) -> np.ndarray:
        """H⁻¹ b for b (size,) or (size, m)."""

    @property
    @abstractmethod
    def inverse(self) -> Blocks:
        """The blocks of H⁻¹ that cross-products of rows have."""

    @abstractmethod
    def between(self, k: int, j: int) -> np.ndarray:
        """(c_k, c_j) the block of H⁻¹ of two pieces of one level."""

    @abstractmethod
    def total(self, k: int) -> np.ndarray:
        """(c, c) the sum of the blocks of H⁻¹ of a piece over its levels."""

    def trace(self, k: int) -> float:
        """The trace of the block of H⁻¹ of one piece."""
        return float(np.trace(self.total(k)))

    @abstractmethod
    def summary(self, pieces: Sequence[int]) -> Summary:
        """What the derivatives need of H⁻¹ where each of the pieces has one scale."""

    @abstractmethod
    def conditioned(self, M: Blocks) -> Conditioned:
        """What :meth:`Conditioned.product_trace` needs of a symmetric matrix given by its blocks."""


class Factor(Factorised):
    """H factorised, with T held densely.

    Attributes
    ----------
    log_det : log|H|; None where H is not positive definite, and nothing else is then computed.
    """

    def __init__(self, form: Eliminated, blocks: Blocks) -> None:
        self.form, self.log_det = form, None
        S = self.S_before = form.square(blocks)
        total = 0.0
        if form.first is not None:
            D = blocks[0, 0]
            found = inverses(D)
            if found is None:
                return
            self.D_inverse, total = found
            self.parts = [blocks[0, k] for k in form.rest]
            self.F_parts = [
                self._by_level(self.D_inverse, one, k) for k, one in zip(form.rest, self.parts, strict=True)
            ]
            if form.R:
                self.F = form.matrix(self.F_parts)
                S = S - self.through
        if form.R:
            triangle = form.components.cholesky(S) if form.components is not None else _cholesky(S)
            if triangle is None:
                return
            diagonal = triangle.diagonal()
            if not (diagonal > 0).all() or not np.isfinite(diagonal).all():
                return
            self.triangle = triangle
            total += 2.0 * float(np.sum(np.log(diagonal)))
        if np.isfinite(total):
            self.log_det = total

    # -- products with C -----------------------------------------------------------------------------------------

    @cached_property
    def _crossed(self) -> np.ndarray:
        """The products of entries of C, as :class:`Crossings` has them."""
        assert self.form.crossings is not None
        return self.form.crossings.products(np.concatenate([one.ravel() for one in self.parts]))

    @cached_property
    def through(self) -> np.ndarray:
        """(R, R) C D⁻¹ Cᵀ = C F."""
        crossings = self.form.crossings
        if crossings is not None:
            return crossings.summed(self._crossed, self.D_inverse[:, 0, 0])
        return full(self.form.matrix(self.parts).T @ self.F)

    @cached_property
    def squared(self) -> np.ndarray:
        """(R, R) FᵀF."""
        crossings = self.form.crossings
        if crossings is not None:
            return crossings.summed(self._crossed, self.D_inverse[:, 0, 0] ** 2)
        return full(self.F.T @ self.F)

    @cached_property
    def beyond(self) -> np.ndarray:
        """(E,) the diagonal of F T⁻¹Fᵀ, where the eliminated piece has one column."""
        crossings = self.form.crossings
        if crossings is not None:
            return crossings.forms(self._crossed, self.rest_inverse) * self.D_inverse[:, 0, 0] ** 2
        return (self.inverse[0, 0] - self.D_inverse)[:, 0, 0]

    def _by_level(self, D: np.ndarray, part: np.ndarray, k: int) -> np.ndarray:
        """D times a block of Cᵀ, each pair by the D of its level."""
        at = D[self.form.layout.pairs[0, k].first]
        return at * part if at.shape[1] == 1 else at @ part

    @cached_property
    def rest_inverse(self) -> np.ndarray:
        """T⁻¹."""
        if self.form.components is not None:
            return self.form.components.inverse(self.triangle)
        if self.form.R <= SMALL:
            return mirrored(lapack.dpotrs(self.triangle, np.eye(self.form.R), lower=1)[0])
        return mirrored(lapack.dpotri(self.triangle, lower=1)[0])

    def solve(self, b: np.ndarray) -> np.ndarray:
        form, E = self.form, self.form.E
        if form.first is None:
            return lapack.dpotrs(self.triangle, b, lower=1)[0]
        low = b[:E].reshape(form.first.levels, form.first.width, -1)
        low = (self.D_inverse * low if form.first.width == 1 else self.D_inverse @ low).reshape(b[:E].shape)
        if not form.R:
            return low
        high = lapack.dpotrs(self.triangle, b[E:] - self.F.T @ b[:E], lower=1)[0]
        high = high.reshape(b[E:].shape)
        return np.concatenate([low - self.F @ high, high])

    @cached_property
    def inverse(self) -> Blocks:
        form = self.form
        out = form.of_square(self.rest_inverse) if form.R else {}
        if form.first is None:
            return out
        own = self.D_inverse
        if form.R:
            K = form.beside(self.F_parts, self.F, self.rest_inverse)
            own = own.copy()
            for k, part, F in zip(form.rest, K, self.F_parts, strict=True):
                out[0, k] = -part
                at = form.layout.pairs[0, k].first
                own += sums_by_level(F @ part.transpose(0, 2, 1), at, form.first.levels)
        out[0, 0] = own
        return out

    def between(self, k: int, j: int) -> np.ndarray:
        return self.rest_inverse[self.form.within(k), self.form.within(j)]

    def total(self, k: int) -> np.ndarray:
        form = self.form
        if form.first is None or k:
            piece, own = form.layout.pieces[k], form.within(k)
            blocks = self.rest_inverse[own, own].reshape(piece.levels, piece.width, piece.levels, piece.width)
            return np.einsum("gagb->ab", blocks)
        if form.first.width > 1 or not form.R:
            return self.inverse[0, 0].sum(axis=0)
        return np.array([[float(np.sum(self.D_inverse[:, 0, 0] + self.beyond))]])

    def summary(self, pieces: Sequence[int]) -> Summary:
        """What the derivatives need of H⁻¹ = N where each of the pieces has one scale, from T⁻¹, CF and FᵀF alone.

        The eliminated piece has one column, if there is one. With f = F T⁻¹ and a the diagonal of fFᵀ,

            tr N₀₀ = Σ (1/d + a),    tr N₀₀H₀₀ = Σ (1 + d a),    ‖N₀₀‖² = Σ (1/d² + 2a/d) + tr FᵀF T⁻¹FᵀF T⁻¹,
            tr N₀ₖHₖ₀ = −tr (T⁻¹ CF)ₖₖ,    ‖N₀ₖ‖² = tr (T⁻¹FᵀF T⁻¹)ₖₖ.
        """
        form, out = self.form, Summary.empty(len(pieces))
        T = turned = self.rest_inverse if form.R else np.zeros((0, 0))
        inverse, a, met, lengths = (np.zeros(0) for _ in range(4))
        if form.first is not None:
            inverse = self.D_inverse[:, 0, 0]
            a = np.zeros(form.E)
            if form.R:
                a, turned = self.beyond, form.product(self.squared, T)
                met, lengths = np.einsum("ij,ij->j", T, self.through), np.einsum("ij,ij->j", T, turned)
        for i, k in enumerate(pieces):
            if form.first is not None and k == 0:
                out.traces[i] = float(np.sum(inverse + a))
                out.between[i, i] = float(np.sum(1.0 + a / inverse))
                out.norms[i, i] = float(np.sum(inverse**2 + 2.0 * a * inverse)) + _crosswise(turned)
                continue
            own = form.within(k)
            out.traces[i] = float(np.trace(T[own, own]))
            for j, other in enumerate(pieces):
                if form.first is not None and other == 0:
                    out.between[i, j] = out.between[j, i] = -float(np.sum(met[own]))
                    out.norms[i, j] = out.norms[j, i] = float(np.sum(lengths[own]))
                else:
                    block = T[own, form.within(other)]
                    out.between[i, j] = float(np.vdot(block, self.S_before[own, form.within(other)]))
                    out.norms[i, j] = _norm(block)
        return out

    def conditioned(self, M: Blocks) -> Conditioned:
        form = self.form
        S = form.square(M)
        if form.first is None:
            return Conditioned(None, [], None, lapack.dpotrs(self.triangle, S, lower=1)[0])
        D = M[0, 0] if (0, 0) in M else np.zeros_like(self.D_inverse)
        turned = self.D_inverse * D if D.shape[1] == 1 else self.D_inverse @ D
        if not form.R:
            return Conditioned(turned, [], None, None)
        parts = [M.get((0, k), np.zeros_like(own)) for k, own in zip(form.rest, self.parts, strict=True)]
        G = [part - self._by_level(D, F, k) for k, part, F in zip(form.rest, parts, self.F_parts, strict=True)]
        whole = form.matrix(G)
        Q = S - full(self.F.T @ whole) - full(form.matrix(parts).T @ self.F)
        beside = form.beside(G, whole, self.rest_inverse)
        before = [self._by_level(self.D_inverse, one, k) for k, one in zip(form.rest, G, strict=True)]
        return Conditioned(turned, before, beside, form.product(self.rest_inverse, Q))


@dataclass
class Summary:
    """Of some pieces: tr N_kk, (K,), and tr N_kj H_jk and ‖N_kj‖², (K, K)."""

    traces: np.ndarray
    between: np.ndarray
    norms: np.ndarray

    @staticmethod
    def empty(K: int) -> Summary:
        return Summary(np.zeros(K), np.zeros((K, K)), np.zeros((K, K)))


class Conditioned:
    """D⁻¹D_j, D⁻¹G_j, G_jT⁻¹ and T⁻¹Q_j; where T is eliminated too, what Q_j has of these in place of the last."""

    def __init__(
        self,
        own: np.ndarray | None,
        before: list[np.ndarray],
        beside: list[np.ndarray] | None,
        rest: np.ndarray | Conditioned | None,
    ) -> None:
        self.own, self.before, self.beside, self.rest = own, before, beside, rest

    def product_trace(self, other: Conditioned) -> float:
        """tr(H⁻¹M_jH⁻¹M_k)."""
        total = 0.0
        if self.own is not None and other.own is not None:
            total += float(np.einsum("gab,gba->", self.own, other.own))
        if self.beside is not None and other.beside is not None:
            total += 2.0 * sum(float(np.vdot(a, b)) for a, b in zip(self.before, other.beside, strict=True))
        if isinstance(self.rest, Conditioned) and isinstance(other.rest, Conditioned):
            total += self.rest.product_trace(other.rest)
        elif isinstance(self.rest, np.ndarray) and isinstance(other.rest, np.ndarray):
            total += float(np.einsum("ij,ji->", self.rest, other.rest))
        return total


def inner(a: Blocks, b: Blocks) -> float:
    """tr(A B) of two symmetric matrices of which one has the other's blocks; missing blocks are zero."""
    return sum((1.0 if k == j else 2.0) * float(np.vdot(a[k, j], part)) for (k, j), part in b.items())


def inverses(D: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The inverses of (G, c, c) positive definite matrices and the logarithm of all determinants' product."""
    if D.shape[1] == 1:
        if not (D > 0).all():
            return None
        return 1.0 / D, float(np.sum(np.log(D)))
    try:
        triangles = np.linalg.cholesky(D)
    except np.linalg.LinAlgError:
        return None
    logs = 2.0 * float(np.sum(np.log(np.diagonal(triangles, axis1=1, axis2=2))))
    roots = np.linalg.inv(triangles)
    return roots.transpose(0, 2, 1) @ roots, logs


def memory() -> float:
    """Bytes of memory of the machine; infinite where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _cholesky(S: np.ndarray) -> np.ndarray | None:
    triangle, failed = lapack.dpotrf(S, lower=1)
    return None if failed else triangle


def full(M: Any) -> np.ndarray:
    return M if isinstance(M, np.ndarray) else M.toarray()


def sums_by_level(parts: np.ndarray, at: np.ndarray, levels: int) -> np.ndarray:
    """(levels, a, b) sums of (pairs, a, b) by the level of each pair."""
    flat = parts.reshape(len(at), -1)
    each = [np.bincount(at, flat[:, c], levels) for c in range(flat.shape[1])]
    return np.stack(each, axis=1).reshape(levels, *parts.shape[1:])


def _crosswise(A: np.ndarray) -> float:
    """tr A A, by pieces that fit the processor's cache."""
    step, total = 256, 0.0
    for i in range(0, len(A), step):
        for j in range(0, len(A), step):
            total += float(np.vdot(A[i : i + step, j : j + step], A[j : j + step, i : i + step].T))
    return total


def _norm(A: np.ndarray) -> float:
    return float(np.vdot(A, A))
