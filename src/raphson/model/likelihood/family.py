"""A density or likelihood of one row as a family: its rows of value, score and information, by autodiff.

The row function g(η, row) is differentiated by its K predictors alone. With few predictors each second derivative is
a forward derivative of a forward one, over all rows at once: a derivative in the direction of one predictor of every
row, since rows do not speak to one another. With many it is forward over reverse, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from raphson.data.blocks import Block
from raphson.errors import ModelError
from raphson.numeric import anchor, x64

FEW_PREDICTORS = 2
"""Up to so many, forward over forward is faster to run, and not much slower to compile."""

RowFunction = Callable[[Any, tuple[Any, ...]], Any]
"""g(η (K,), row): the log-likelihood of one row, in jax.numpy; the row is a tuple of numbers or arrays."""


def compiled_rows(function: RowFunction) -> Any:
    """The compiled step of a row function: (η (K, size), weight, row arrays) to [Σ w ℓ] and a table.

    The table's rows are ℓ_i, then the K of w u, then the K² of w W, each over the rows of the block, 0 where w = 0.
    """
    import jax
    import jax.numpy as jnp

    def step(eta: Any, weight: Any, row: tuple[Any, ...], anchor: Any) -> tuple[Any, Any]:
        del anchor
        value, score, information = derivatives(function, eta, row)
        counts = weight > 0
        size = eta.shape[1]

        def weigh(quantity: Any) -> Any:
            return jnp.where(counts, weight * quantity, 0.0).reshape(-1, size)

        total = jnp.sum(weigh(value))
        return total, jnp.concatenate([value[None], weigh(score), weigh(information)])

    return jax.jit(step, keep_unused=True)


def derivatives(function: RowFunction, eta: Any, row: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Value (m,), score (K, m) and minus the second derivative (K, K, m) of a row function over m rows."""
    import jax
    import jax.numpy as jnp

    K = len(eta)
    if K > FEW_PREDICTORS:
        try:
            return _by_row(jax.jacrev(function), function, eta, row)
        except ValueError:  # loops have no reverse sweep
            return _by_row(jax.jacfwd(function), function, eta, row)

    def over_rows(x: Any) -> Any:
        return jax.vmap(function, in_axes=(1, 0))(x, row)

    directions = [jnp.zeros_like(eta).at[k].set(1.0) for k in range(K)]
    scores: list[Any] = []
    second: list[list[Any]] = [[None] * K for _ in range(K)]
    value: Any = None
    score: Any = None
    for k in range(K):

        def by_k(x: Any, k: int = k) -> tuple[Any, Any]:
            return jax.jvp(over_rows, (x,), (directions[k],))

        for j in range(k + 1):
            (value, score), (_, mixed) = jax.jvp(by_k, (eta,), (directions[j],))
            second[k][j] = second[j][k] = -mixed
        scores.append(score)
    return value, jnp.stack(scores), jnp.stack([jnp.stack(line) for line in second])


def _by_row(gradient: Any, function: RowFunction, eta: Any, row: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    import jax

    value = jax.vmap(function, in_axes=(1, 0))(eta, row)
    score = jax.vmap(gradient, in_axes=(1, 0), out_axes=1)(eta, row)
    return value, score, -jax.vmap(jax.jacfwd(gradient), in_axes=(1, 0), out_axes=2)(eta, row)


class LikelihoodRows:
    """Row quantities of one block; see :class:`raphson.model.rows.BlockRows`, whose names these are."""

    __slots__ = ("_K", "_block", "_eta", "_family", "_table", "highest", "total")

    def __init__(self, family: LikelihoodFamily, block: Block, eta: np.ndarray, total: Any, table: Any) -> None:
        self.total = float(total)
        self.highest = -math.inf
        self._family, self._block, self._eta = family, block, eta
        self._table = np.asarray(table)[:, : block.rows]
        self._K = len(eta)

    @property
    def value(self) -> np.ndarray:
        """(m,) log f(y_i | η_i), every term included; unweighted."""
        return self._table[0]

    @property
    def score(self) -> np.ndarray:
        """(K, m) w_i u_i."""
        return self._table[1 : 1 + self._K]

    @property
    def observed(self) -> np.ndarray:
        """(K, K, m) w_i W_i."""
        return self._table[1 + self._K :].reshape(self._K, self._K, -1)

    @property
    def expected(self) -> np.ndarray:
        """(K, K, m) w_i E[W_i], if the family knows it."""
        return self._family.expected(self._block, self._eta)

    @property
    def mean(self) -> np.ndarray:
        """(0, m): a likelihood has no mean to tell of."""
        return self._table[:0]

    @property
    def slope(self) -> np.ndarray:
        """(0, K, m)."""
        return np.zeros((0, self._K, self._block.rows))


@dataclass(frozen=True, eq=False)
class LikelihoodFamily:
    """What a user's likelihood, or a ready density, is to the iteration and the Fit.

    Attributes
    ----------
    name : in messages and tables.
    function : g(η, row).
    labels : what each predictor is called.
    step : the compiled rows of the function.
    with_response : whether the row's first element is the response, so that expectations over it have a meaning.
    ready : name of the ready density, if it is one.
    levels : labels of the response's codes, if it has some.
    origin : (θ, η, row) to the user's function as it was traced and its inputs, to look for what went wrong.
    """

    name: str
    function: RowFunction
    labels: tuple[str, ...]
    step: Any
    with_response: bool = True
    ready: str | None = None
    levels: tuple[str, ...] | None = None
    origin: Any = None

    dispersion_fixed: ClassVar[bool] = True
    quasi: ClassVar[bool] = False
    canonical: ClassVar[bool] = False
    main_information: ClassVar[str] = "observed"
    many_rows: ClassVar[bool] = True
    """Whether rows are told by what they hold alone, so that those of many replicates can stand in one block."""
    support: ClassVar[str | None] = None
    auxiliary: ClassVar[tuple[str, ...]] = ()

    @property
    def n_predictors(self) -> int:
        return len(self.labels)

    @property
    def predictor_labels(self) -> tuple[str, ...]:
        return self.labels

    def row_arrays(self, block: Block) -> tuple[Any, ...]:
        """What the function reads of a block's rows."""
        return (block.y, *block.extra) if self.with_response else block.extra

    def own_rows(self, block: Block, eta: np.ndarray) -> Any:
        """Evaluate one block at predictors η (K, size)."""
        with x64():
            total, table = self.step(eta, block.weight, self.row_arrays(block), anchor())
            return LikelihoodRows(self, block, eta, total, table)

    def expected(self, block: Block, eta: np.ndarray) -> np.ndarray:
        """E[W] over the response, (K, K, rows), weighted."""
        if not self.with_response:
            raise ModelError(
                "information: the expected information is a mean over the response, and loglik(params, row) does not "
                "say which column that is; use information='observed' or 'opg', or write a density "
                "logpdf(y, ...) with formulas"
            )
        from raphson.model.likelihood.expected import expected_information

        return expected_information(self, block, eta)

    def to_dict(self) -> dict[str, Any]:
        """The family as plain JSON values."""
        fields: dict[str, Any] = {
            "name": "likelihood",
            "title": self.name,
            "density": self.ready,
            "labels": list(self.labels),
        }
        if self.levels is not None:
            fields["levels"] = list(self.levels)
        return fields
