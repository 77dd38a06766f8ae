"""The likelihood of many replicates of one data set at once: the same design, other weights or other responses.

A bootstrap resamples rows by giving them counts, and a simulation draws new responses; in both the design X stays.
For R replicates with coefficients Θ (R, p) all sums are matrix products,

    η       = Θ Xᵀ                               (R, n)
    scores  = U X,   U (R, n) weighted row scores   (R, p)
    M       = W Z,   Z (n, p(p+1)/2) the products x_ij x_ik, W (R, n) weighted row information

and the row quantities come from the family's compiled step, over the rows of as many replicates as fit into the
processor's cache. Where replicates share one θ and differ only in their weights, the rows are evaluated once, and all
sums are one product of the weights (R, n) with what each row adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from raphson.compat import jnp
from raphson.compiled import compiled
from raphson.data.blocks import BLOCK_ROWS, Block, padded
from raphson.model.rows import block_rows as evaluate_rows
from raphson.numeric import anchor, elsewhere, x64

CHUNK_ROWS = 16 * BLOCK_ROWS[-1]
"""Most rows, over all replicates, that take a step together: 2 MiB for each column of numbers."""

GROUP_ROWS = 4 * BLOCK_ROWS[-1]
"""Most rows, over all replicates, that are summed together: they fit into the processor's cache."""

SIZES = (BLOCK_ROWS[1], BLOCK_ROWS[-1], GROUP_ROWS)
"""Numbers of rows that are evaluated together."""

MOST_DENSE = 2**27
"""Larger designs (1 GB) are not made dense for the sake of fitting many replicates together."""

MOST_PRODUCTS = 2**24
"""Beyond this many numbers (128 MiB) the products x_ij x_ik are not kept, and M is formed replicate by replicate."""


@dataclass(frozen=True)
class ReplicateRows:
    """Row quantities of R replicates.

    Attributes
    ----------
    value : (R, n) unweighted log densities, up to terms without η; None where they were not asked for.
    score : (R, K, n) weighted.
    observed, expected : (R, K, K, n) weighted.
    mean : (R, C, n); None where neither it nor the values were asked for.
    slope : (R, n, p) ∂η/∂θ, where the predictor is not linear; else None.
    theta : (R, p) the parameters at which `slope` was taken.
    """

    value: np.ndarray | None
    score: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    mean: np.ndarray | None
    slope: np.ndarray | None = None
    theta: np.ndarray | None = None


@dataclass(frozen=True)
class ReplicateSums:
    """Sums over the rows of R replicates.

    Attributes
    ----------
    score : (R, p).
    information : kind ("observed", "expected") to (R, p, p), as many as were asked for.
    value : (R,) log-likelihoods, up to terms without η; None where they were not asked for.
    pearson : (R,) Σ w (y − μ)²/V(μ); None where it was not asked for.
    """

    score: np.ndarray
    information: Mapping[str, np.ndarray]
    value: np.ndarray | None = None
    pearson: np.ndarray | None = None

    def taken(self, which: np.ndarray) -> ReplicateSums:
        """The sums of some replicates, by a mask (R,)."""
        if which.all():
            return self
        return ReplicateSums(
            self.score[which],
            {kind: M[which] for kind, M in self.information.items()},
            None if self.value is None else self.value[which],
            None if self.pearson is None else self.pearson[which],
        )

    @staticmethod
    def joined(parts: Sequence[ReplicateSums]) -> ReplicateSums:
        if len(parts) == 1:
            return parts[0]

        def together(tables: list[Any]) -> Any:
            return None if tables[0] is None else np.concatenate(tables)

        return ReplicateSums(
            np.concatenate([part.score for part in parts]),
            {kind: np.concatenate([part.information[kind] for part in parts]) for kind in parts[0].information},
            together([part.value for part in parts]),
            together([part.pearson for part in parts]),
        )


@dataclass(frozen=True)
class CommonRows:
    """What each row adds at one θ, for replicates that differ only in the weights of the rows.

    Attributes
    ----------
    table : (n, c) each row's log density, part of Pearson's statistic, score (p) and the lower triangle of each kind of
        information, at weight 1; zeros for rows that never count.
    kinds : the kinds of information.
    n_params : p.
    """

    table: np.ndarray
    kinds: Sequence[str]
    n_params: int

    def sums(self, weight: np.ndarray) -> ReplicateSums:
        """Sums of replicates with weights (R, n)."""
        p, q = self.n_params, self.n_params * (self.n_params + 1) // 2
        if elsewhere():
            from raphson.model.device_replicates import device_product

            total = device_product(weight, self.table, CHUNK_ROWS // len(self.table))
        else:
            total = weight @ self.table
        starts = [2 + p + i * q for i in range(len(self.kinds))]
        packed = {kind: total[:, start : start + q] for kind, start in zip(self.kinds, starts, strict=True)}
        information = {kind: M[:, _symmetric(p)] for kind, M in packed.items()}
        return ReplicateSums(total[:, 2 : 2 + p], information, total[:, 0], total[:, 1])


@dataclass(frozen=True)
class Replicates:
    """A family and linear predictors over rows that all replicates share.

    Attributes
    ----------
    family : of the responses.
    designs : the design of each of the K predictors, dense (n, p_k).
    slices : where the coefficients of each lie in θ.
    offset : (K, n) or None.
    extra : other arrays (n, ...) that the family reads.
    sizes : numbers of rows that are evaluated together, ascending. As replicates finish, fewer rows are left; every
        new size would compile anew.
    """

    family: Any
    designs: Sequence[np.ndarray]
    slices: Sequence[slice]
    offset: np.ndarray | None
    extra: Sequence[np.ndarray] = ()
    sizes: Sequence[int] = SIZES

    @property
    def n_rows(self) -> int:
        return self.designs[0].shape[0]

    @property
    def one_information(self) -> bool:
        """Whether the observed and the expected information are the same."""
        return bool(self.family.canonical)

    @cached_property
    def n_params(self) -> int:
        return max(part.stop for part in self.slices)

    @property
    def chunk(self) -> int:
        """How many replicates are worked on together."""
        return max(1, CHUNK_ROWS // self.n_rows)

    def eta(self, theta: np.ndarray) -> np.ndarray:
        """(K, R, n) linear predictors at Θ (R, p)."""
        eta = np.stack([theta[:, part] @ X.T for X, part in zip(self.designs, self.slices, strict=True)])
        return eta if self.offset is None else eta + self.offset[:, None]

    def sums(
        self,
        theta: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        kinds: Sequence[str],
        values: bool = False,
        pearson: bool = False,
    ) -> ReplicateSums:
        """Sums at Θ (R, p) with responses and weights, each (R, n), or (n,) if all replicates share them."""
        if elsewhere() and self.designs and self.family.own_rows is None:
            return self._on_device(theta, y, weight, tuple(kinds), values, pearson)
        group, found = max(1, GROUP_ROWS // self.n_rows), []
        for start in range(0, len(theta), group):
            cut = slice(start, start + group)
            own_y, own_weight = (table if table.ndim == 1 else table[cut] for table in (y, weight))
            rows = self.rows(theta[cut], own_y, own_weight, values)
            found.append(
                ReplicateSums(
                    self.score_of(rows),
                    {kind: self.information_of(rows, kind) for kind in kinds},
                    _weighted_sum(rows.value, own_weight) if values else None,
                    _weighted_sum(self._pearson(rows.mean, own_y), own_weight) if pearson else None,
                )
            )
        return ReplicateSums.joined(found)

    def _on_device(
        self, theta: np.ndarray, y: np.ndarray, weight: np.ndarray, kinds: tuple[str, ...], values: bool, pearson: bool
    ) -> ReplicateSums:
        from raphson.model.device_replicates import device_sums

        given = self.family, self.designs, self.slices, self.offset, theta, y, weight, self.chunk
        score, matrices, value, variation = device_sums(*given, kinds, values, pearson)
        return ReplicateSums(score, dict(zip(kinds, matrices, strict=True)), value, variation)

    def _pearson(self, mean: np.ndarray | None, y: np.ndarray) -> np.ndarray:
        """(y − μ)²/V(μ), (R, n), from means (R, C, n)."""
        assert mean is not None
        square = (y - mean[:, 0]) ** 2
        with np.errstate(all="ignore"):
            return np.where(square > 0, square / self.family.variance(mean[:, 0]), 0.0)

    def common(
        self, theta: np.ndarray, y: np.ndarray, counts: np.ndarray, kinds: Sequence[str], pearson: bool = False
    ) -> CommonRows | None:
        """What each row adds at θ (p,) with responses y (n,); None where that is too much to keep.

        `counts` (n,) is 1 for the rows that count in any replicate, and 0 for others.
        """
        n, p = self.n_rows, self.n_params
        if n * p * p > MOST_PRODUCTS:
            return None
        rows = self.rows(theta[None], y, counts)
        J = np.zeros((len(self.designs), n, p))
        for own, X, part in zip(J, self.designs, self.slices, strict=True):
            own[:, part] = X
        score, parts = np.einsum("kn,kni->ni", rows.score[0], J), []
        for kind in kinds:
            W = (rows.observed if kind == "observed" else rows.expected)[0]
            M = np.einsum("kni,kln,lnj->nij", J, W, J, optimize=True)
            parts.append(M[:, *np.tril_indices(p)])
        assert rows.value is not None
        square = self._pearson(rows.mean, y)[0] if pearson else np.zeros(n)
        single = np.where(counts > 0, np.stack([rows.value[0], square]), 0.0).T
        return CommonRows(np.concatenate([single, score, *parts], axis=1), tuple(kinds), p)

    def rows(self, theta: np.ndarray, y: np.ndarray, weight: np.ndarray, values: bool = True) -> ReplicateRows:
        """Row quantities at Θ (R, p) with responses and weights, each (R, n), or (n,) if all replicates share them.

        Without `values` the log densities, whose logarithms take half of the time, are left out, and so are the means
        where φ is known.
        """
        return self.rows_at(self.eta(theta), y, weight, values)

    def rows_at(self, eta: np.ndarray, y: np.ndarray, weight: np.ndarray, values: bool) -> ReplicateRows:
        """Row quantities at predictors (K, R, n)."""
        if not values and self.family.host_mean is not None:
            return self._on_host(eta[0], y, weight)
        R, n = eta.shape[1], self.n_rows
        eta = eta.reshape(len(eta), R * n)
        y = np.broadcast_to(y, (R, n)).reshape(-1)
        weight = np.broadcast_to(weight, (R, n)).reshape(-1)
        evaluate = self._all if values or self.family.own_rows is not None else self._derivatives
        parts = []
        for start in range(0, R * n, self.sizes[-1]):
            cut = slice(start, min(start + self.sizes[-1], R * n))
            size = next(size for size in self.sizes if cut.stop - start <= size)
            block = _block(y[cut], weight[cut], size)
            if self.extra:
                number = np.arange(cut.start, cut.stop) % n
                block = replace(block, extra=tuple(padded(one[number], size, block.fill) for one in self.extra))
            parts.append(evaluate(block, _padded_eta(eta[:, cut], block.fill, size)))

        def joined(k: int) -> Any:
            pieces = [part[k] for part in parts]
            if pieces[0] is None:
                return None
            table = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)
            return np.moveaxis(table.reshape(*table.shape[:-1], R, n), -2, 0)

        value, score, observed = joined(0), joined(1), joined(2)
        expected = observed if parts[0][3] is None or self.family.canonical else joined(3)
        return ReplicateRows(value, score, observed, expected, joined(4))

    def _on_host(self, eta: np.ndarray, y: np.ndarray, weight: np.ndarray) -> ReplicateRows:
        """Score y − μ and information V(μ) of a canonical family, at predictors (R, n)."""
        with np.errstate(all="ignore"):
            mean = self.family.host_mean(eta)
            score = y - mean
            score *= weight
            W = (self.family.variance(mean) * weight)[:, None, None]
        return ReplicateRows(None, score[:, None], W, W, None if self.family.dispersion_fixed else mean[:, None])

    def _all(self, block: Block, eta: np.ndarray) -> tuple[Any, ...]:
        found = evaluate_rows(self.family, block, eta)
        # The expected information of a user's likelihood takes an integral for each row; nothing here needs it.
        expected = found.expected if self.family.main_information == "expected" else None
        return found.value, found.score, found.observed, expected, found.mean

    def _derivatives(self, block: Block, eta: np.ndarray) -> tuple[Any, ...]:
        with x64():
            found = _compiled()(self.family, block.y, eta, block.weight, anchor())
            return None, *(None if table is None else np.asarray(table)[..., : block.rows] for table in found)

    def score_of(self, rows: ReplicateRows) -> np.ndarray:
        """Scores (R, p)."""
        return self.score(rows.score)

    def information_of(self, rows: ReplicateRows, kind: str) -> np.ndarray:
        """Information "observed" or "expected", (R, p, p)."""
        return self.information(rows.observed if kind == "observed" else rows.expected)

    def score(self, u: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ u_i, (R, p), for u (R, K, n)."""
        out = np.zeros((len(u), self.n_params))
        for k, (X, part) in enumerate(zip(self.designs, self.slices, strict=True)):
            out[:, part] += u[:, k] @ X
        return out

    def information(self, W: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ W_i J_i, (R, p, p), for W (R, K, K, n)."""
        M = np.zeros((len(W), self.n_params, self.n_params))
        for k, (X, part) in enumerate(zip(self.designs, self.slices, strict=True)):
            for j in range(k + 1):
                block = self._weighted_products(k, j, X, self.designs[j], W[:, k, j])
                M[:, part, self.slices[j]] += block
                if j < k:
                    M[:, self.slices[j], part] += np.swapaxes(block, 1, 2)
        return M

    def _weighted_products(self, k: int, j: int, X: np.ndarray, Y: np.ndarray, w: np.ndarray) -> np.ndarray:
        a, b = X.shape[1], Y.shape[1]
        products = self._products(k, j)
        if products is None:
            return np.stack([(X * row[:, None]).T @ Y for row in w])
        flat = w @ products
        if X is not Y:
            return flat.reshape(-1, a, b)
        return flat[:, _symmetric(a)]

    @cached_property
    def _kept_products(self) -> dict[tuple[int, int], np.ndarray | None]:
        return {}

    def _products(self, k: int, j: int) -> np.ndarray | None:
        """Z, the products of the columns of two designs, (n, a b), or (n, a (a + 1)/2) for a design with itself."""
        X, Y = self.designs[k], self.designs[j]
        key = (id(X), id(Y))
        if key not in self._kept_products:
            same = X is Y
            a, b = X.shape[1], Y.shape[1]
            count = a * (a + 1) // 2 if same else a * b
            if self.n_rows * count > MOST_PRODUCTS:
                self._kept_products[key] = None
            elif same:
                rows, columns = np.tril_indices(a)
                self._kept_products[key] = X[:, rows] * X[:, columns]
            else:
                self._kept_products[key] = (X[:, :, None] * Y[:, None, :]).reshape(self.n_rows, count)
        return self._kept_products[key]


@cache
def _compiled() -> Any:
    def derivatives(family: Any, y: Any, eta: Any, weight: Any, anchor: Any) -> tuple[Any, ...]:
        del anchor
        rows = family.rows(y, eta)

        def weigh(quantity: Any) -> Any:
            return jnp.where(weight > 0, weight * quantity, 0.0)

        # Writing to memory costs more than computing, so what is not needed is left out: the expected information of
        # a canonical family, which is the observed one, and the mean where φ is known.
        expected = None if family.canonical else weigh(rows.expected)
        return weigh(rows.score), weigh(rows.observed), expected, None if family.dispersion_fixed else rows.mean

    return compiled(derivatives)


def _weighted_sum(table: np.ndarray | None, weight: np.ndarray) -> np.ndarray:
    """Σ w t (R,) over the rows with w > 0, for t (R, n) and w (R, n) or (n,)."""
    assert table is not None
    return np.einsum("rn,rn->r", np.where(weight > 0, table, 0.0), np.broadcast_to(weight, table.shape))


def _block(y: np.ndarray, weight: np.ndarray, size: int) -> Block:
    rows = len(y)
    fill = int(np.argmax(weight > 0))
    if rows < size:
        weight = np.concatenate([weight, np.zeros(size - rows)])
    return Block((), padded(y, size, fill), weight, None, rows, 0, fill)


def _padded_eta(eta: np.ndarray, fill: int, size: int) -> np.ndarray:
    if eta.shape[1] == size:
        return eta
    return np.concatenate([eta, np.repeat(eta[:, fill, None], size - eta.shape[1], axis=1)], axis=1)


def _symmetric(p: int) -> np.ndarray:
    """(p, p) positions in the list of the lower triangle's elements, row by row."""
    row, column = np.indices((p, p))
    high, low = np.maximum(row, column), np.minimum(row, column)
    return high * (high + 1) // 2 + low
