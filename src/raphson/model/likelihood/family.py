"""A density or likelihood of one row as a family: value, score and information of each row, by autodiff.

The row function g(η, row) is differentiated by its K predictors only. With few predictors each second derivative is
a forward derivative of a forward one, in the direction of one predictor, for all rows at once: rows do not depend on
one another. With many predictors it is forward over reverse, row by row.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.data.blocks import Block
from raphson.errors import ModelError
from raphson.model.families.distribution import Distribution
from raphson.model.likelihood.densities.ready import DENSITIES
from raphson.model.likelihood.expected import expectation, expected_information
from raphson.model.memory import cached_for
from raphson.numeric import anchor, x64

FEW_PREDICTORS = 2
"""Up to this many predictors, forward over forward runs faster and compiles hardly slower."""

_CONSTANTS: weakref.WeakKeyDictionary[Block, tuple[float, np.ndarray]] = weakref.WeakKeyDictionary()
"""For each block, the terms of its rows' log densities without a parameter."""

_MADE = frozenset(["function", "step", "origin", "closed", "constant"])
"""Attributes of a family that are traced or compiled; a pickle holds the recipe for them instead."""

BRIEFLY = 1024
"""Rows of a block up to which the step is compiled briefly: of two predictors and Student's t in 320 ms instead of 620,
after which 1,024 rows take 0.28 ms instead of 0.19."""

RowFunction = Callable[[Any, tuple[Any, ...]], Any]
"""g(η (K,), row): the log-likelihood of one row, in jax.numpy; the row is a tuple of numbers or arrays."""


def compiled_rows(function: RowFunction, source: str | None = None) -> Any:
    """The compiled step of a row function: (η (K, size), weight, row arrays) to [Σ w ℓ] and a table.

    The table's rows are ℓ_i, then the K of w u, then the K² of w W, each over the rows of the block, 0 where w = 0.
    `source` is as for :func:`raphson.compiled.compiled`.
    """

    def step(eta: Any, weight: Any, row: tuple[Any, ...], anchor: Any) -> tuple[Any, Any]:
        del anchor
        value, score, information = derivatives(function, eta, row)
        counts = weight > 0
        size = eta.shape[1]

        def weigh(quantity: Any) -> Any:
            return jnp.where(counts, weight * quantity, 0.0).reshape(-1, size)

        total = jnp.sum(weigh(value))
        return total, jnp.concatenate([value[None], weigh(score), weigh(information)])

    few, many = compiled(step, brief=True, source=source), compiled(step, source=source)

    def sized(eta: Any, weight: Any, row: tuple[Any, ...], anchor: Any) -> tuple[Any, Any]:
        return (few if eta.shape[1] <= BRIEFLY else many)(eta, weight, row, anchor)

    return sized


def compiled_closed(rows: Callable[..., Any]) -> Any:
    """The compiled step of rows in closed form, with one more argument: whether the information is wanted.

    Parameters
    ----------
    rows : (y, *η) to value, score and the entries of the information's lower triangle, row by row.
    """

    def step(eta: Any, weight: Any, row: tuple[Any, ...], anchor: Any, curved: bool) -> tuple[Any, Any]:
        del anchor
        K = len(eta)
        value, score, entries = rows(row[0], *eta)
        counts = weight > 0
        weighed = [jnp.where(counts, weight * one, 0.0) for one in (value, *score, *(entries if curved else ()))]
        square = []
        if curved:
            below = {(k, j): weighed[1 + K + k * (k + 1) // 2 + j] for k in range(K) for j in range(k + 1)}
            square = [below[max(k, j), min(k, j)] for k in range(K) for j in range(K)]
        return jnp.sum(weighed[0]), jnp.stack([value, *weighed[1 : 1 + K], *square])

    forms = {curved: compiled(partial(step, curved=curved)) for curved in (False, True)}
    return lambda *arguments: forms[arguments[-1]](*arguments[:-1])


@dataclass(frozen=True)
class TracedStep:
    """(η, weight, row arrays, curved) to Σ w ℓ and the table of the rows, in a traced function.

    Attributes
    ----------
    step, closed : as of a :class:`LikelihoodFamily`.
    """

    step: Any
    closed: Any

    def __call__(self, eta: Any, weight: Any, row: tuple[Any, ...], curved: bool) -> tuple[Any, Any]:
        if self.closed is None:
            return self.step(eta, weight, row, 0.0)
        return self.closed(eta, weight, row, 0.0, curved)


def derivatives(function: RowFunction, eta: Any, row: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Value (m,), score (K, m) and minus the second derivative (K, K, m) of a row function over m rows."""
    K = len(eta)
    if K > FEW_PREDICTORS:
        try:
            return _by_row(jax.jacrev(function), function, eta, row)
        except ValueError:  # loops cannot be differentiated in reverse mode
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
    value = jax.vmap(function, in_axes=(1, 0))(eta, row)
    score = jax.vmap(gradient, in_axes=(1, 0), out_axes=1)(eta, row)
    return value, score, -jax.vmap(jax.jacfwd(gradient), in_axes=(1, 0), out_axes=2)(eta, row)


def _slopes_of(function: RowFunction) -> Any:
    def slopes(eta: Any, weight: Any, row: tuple[Any, ...], anchor: Any) -> Any:
        del anchor

        def along(c: int) -> Any:
            direction = jnp.zeros_like(eta).at[c].set(1.0)
            return jax.jvp(lambda at: derivatives(function, at, row)[2], (eta,), (direction,))[1]

        slope = jnp.stack([along(c) for c in range(len(eta))], axis=2)
        return jnp.where(weight > 0, weight * slope, 0.0)

    return cached_for(function, "slopes", lambda: compiled(slopes))


class LikelihoodRows:
    """Row quantities of one block, with the names of :class:`raphson.model.rows.BlockRows`."""

    __slots__ = ("_K", "_block", "_constant", "_eta", "_family", "_table", "highest", "total")

    def __init__(
        self,
        family: LikelihoodFamily,
        block: Block,
        eta: np.ndarray,
        total: Any,
        table: Any,
        constant: tuple[float, np.ndarray | float] = (0.0, 0.0),
    ) -> None:
        self.total = float(total) + constant[0]
        self._constant = constant[1]
        self.highest = -math.inf
        self._family, self._block, self._eta = family, block, eta
        self._table = np.asarray(table)[:, : block.rows]
        self._K = len(eta)

    @property
    def value(self) -> np.ndarray:
        """(m,) log f(y_i | η_i), every term included; unweighted."""
        return self._table[0] + self._constant

    @property
    def score(self) -> np.ndarray:
        """(K, m) w_i u_i."""
        return self._table[1 : 1 + self._K]

    @property
    def observed(self) -> np.ndarray:
        """(K, K, m) w_i W_i."""
        if len(self._table) == 1 + self._K:  # it was left out as not needed
            return self._family.own_rows(self._block, self._eta).observed
        return self._table[1 + self._K :].reshape(self._K, self._K, -1)

    @property
    def expected(self) -> np.ndarray:
        """(K, K, m) w_i E[W_i], where the family knows it."""
        return self._family.expected(self._block, self._eta)

    @property
    def mean(self) -> np.ndarray:
        """(0, m): a likelihood's mean is unknown."""
        return self._table[:0]

    @property
    def slope(self) -> np.ndarray:
        """(0, K, m)."""
        return np.zeros((0, self._K, self._block.rows))


@dataclass(frozen=True, eq=False)
class LikelihoodFamily(Distribution):
    """A user's likelihood, or a ready density, with the interface of a family.

    Attributes
    ----------
    name : its name in messages and tables.
    function : g(η, row).
    labels : name of each predictor.
    step : the compiled rows of the function.
    with_response : whether the row's first element is the response, so that expectations over it are defined.
    ready : name of the ready density, if it is one.
    levels : labels of the response's codes, if it has any.
    origin : (θ, η, row) to the user's function as it was traced and its inputs, for finding what went wrong.
    closed : compiled rows in closed form, used instead of `step`; see :func:`compiled_closed`.
    constant : y (m,) to the terms of log f that these omit, (m,).
    identity : a digest of a user's function, by which a checkpoint tells it from others.
    recipe : a function and its arguments that remake `function`, `step`, `origin`, `closed` and `constant`, by name, in
        another process; None where they can be pickled.
    """

    name: str
    function: RowFunction
    labels: tuple[str, ...]
    step: Any
    with_response: bool = True
    ready: str | None = None
    levels: tuple[str, ...] | None = None
    origin: Any = None
    closed: Any = None
    constant: Callable[[np.ndarray], np.ndarray] | None = None
    identity: str = ""
    recipe: tuple[Callable[..., dict[str, Any]], tuple[Any, ...]] | None = None

    dispersion_fixed: ClassVar[bool] = True
    complete: ClassVar[bool] = True
    main_information: ClassVar[str] = "observed"
    many_rows: ClassVar[bool] = True
    """Whether a row's value depends on its contents alone and not on its position, so that the rows of many replicates
    can share a block."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.labels}, {self.levels}, {self.identity!r})"

    def for_workers(self) -> LikelihoodFamily:
        """Itself: a worker compiles it once for a whole fit."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if self.recipe is None or name not in _MADE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.recipe is not None:
            make, arguments = self.recipe
            vars(self).update(make(*arguments))

    @property
    def n_predictors(self) -> int:
        return len(self.labels)

    @property
    def uncensored(self) -> tuple[str, ...]:
        """Columns that are 1 where the response was observed; predictions take them as 1."""
        return () if self.ready is None else ("event",)

    def full_name(self, parameter: str) -> str | None:
        """The predictor meant by a name, which may be a short one if the density is ready-made."""
        return parameter if self.ready is None else DENSITIES[self.ready].full_name(parameter)

    @property
    def predictor_labels(self) -> tuple[str, ...]:
        return self.labels

    def row_arrays(self, block: Block) -> tuple[Any, ...]:
        """The arrays of a block that the function reads."""
        return (block.y, *block.extra) if self.with_response else block.extra

    def own_rows(self, block: Block, eta: np.ndarray, curved: bool = True) -> Any:
        """Evaluate one block at predictors η (K, size). Unless `curved`, the information may be left out."""
        with x64():
            if self.closed is None:
                total, table = self.step(eta, block.weight, self.row_arrays(block), anchor())
                return LikelihoodRows(self, block, eta, total, table)
            total, table = self.closed(eta, block.weight, self.row_arrays(block), anchor(), curved)
            return LikelihoodRows(self, block, eta, total, table, self._constant_of(block))

    @property
    def traced_step(self) -> Any:  # type: ignore[override]
        """The rows in closed form, or by autodiff, for traced functions (:mod:`raphson.model.traced_rows`)."""
        return TracedStep(self.step, self.closed)

    def constant_of(self, block: Block) -> float:
        """Σ w c of the terms that `traced_step` leaves out."""
        return self._constant_of(block)[0]

    def _constant_of(self, block: Block) -> tuple[float, np.ndarray | float]:
        """Σ w c and c (m,) of a block, cached."""
        if self.constant is None:
            return 0.0, 0.0
        if block not in _CONSTANTS:
            m = block.rows
            constant = self.constant(block.y[:m])
            weight = block.weight[:m]
            _CONSTANTS[block] = float(np.sum(np.where(weight > 0, weight * constant, 0.0))), constant
        return _CONSTANTS[block]

    def information_slopes(self, block: Block, eta: np.ndarray) -> np.ndarray:
        """w ∂W_ab/∂η_c, (K, K, K, rows): minus third derivatives of the rows, by autodiff."""
        function = self.function
        with x64():
            return np.asarray(_slopes_of(function)(eta, block.weight, self.row_arrays(block), anchor()))[
                ..., : block.rows
            ]

    def expected(self, block: Block, eta: np.ndarray) -> np.ndarray:
        """E[W] over the response, (K, K, rows), weighted."""
        if not self.with_response:
            raise ModelError(
                "information: 'expected' takes a mean over the response, and loglik(params, row) does not say which "
                "column that is; use information='observed' or 'opg', or write a density logpdf(y, ...) with formulas"
            )
        return expected_information(self, block, eta)

    def expectation(self, block: Block, eta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """From predictors near eta to :meth:`expected`; it sums over the same responses everywhere, so it is smooth."""
        m = block.rows
        near, weight = expectation(self, block, eta)[0], block.weight[:m]
        return lambda at: np.where(weight > 0, weight * near(np.ascontiguousarray(at[:, :m])), 0.0)

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
