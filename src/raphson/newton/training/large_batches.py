"""Epochs of large batches of streamed rows: a step's gradient is a sum over parts of the batch, as any sum over blocks.

So threads or workers in other processes compute it, each from the rows that it reads (:mod:`.lanes`): what a step sends
is the weights, and what comes back is the gradient. The terms are added by the fixed tree; the training has the same
bits whoever adds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from raphson.compat import jax
from raphson.compiled import compiled
from raphson.execute import summed
from raphson.execute.watched import unseen
from raphson.model.problem import RowsStreamed
from raphson.newton.training.first_order import DIVERGED, Descent, Epoch, Snapshot, asked_of
from raphson.newton.training.lanes import Lanes, Plan, Reader, Rows, StepRows
from raphson.newton.training.steps import layer_squares, loss_and_score, rule_of, stepped
from raphson.numeric import anchor, device, x64

LARGE = 8_192
"""Rows of a batch from which on its gradient is a sum over lanes. The gradient of fewer takes a few milliseconds, which
is as long as a cluster takes to hand out its parts."""


class LargeBatches:
    """The rows that large batches are read from.

    Parameters
    ----------
    rows : all of them.
    dtype : of the batches.
    executor : where sums are computed.
    show : called with the number of rows that an epoch has read so far and that of all rows; equal at its end.
    """

    def __init__(
        self, rows: RowsStreamed, dtype: Any, executor: Any, show: Callable[[int, int], None] = unseen
    ) -> None:
        self.rows, self.executor, self.show, self.n = rows, executor, show, sum(rows.pieces)
        starts = (*rows.starts, len(rows.pieces))
        self.lanes = Lanes(rows.blocks.reader, starts, rows.width, rows.mean_weight, dtype)

    def steps(self, batch_size: int) -> int:
        """Number of batches in an epoch."""
        return Plan.of(self.rows, batch_size).steps


def has_lanes(structure: Any, rows: RowsStreamed, descent: Descent, executor: Any) -> bool:
    """Whether the gradient of a batch is to be a sum over lanes.

    Batch norm takes means over the whole batch, and layer by layer there is no gradient of all layers; a device
    computes a batch faster than it could be sent the parts.
    """
    return (
        len(rows.starts) > 1
        and descent.batch_size >= LARGE
        and descent.update == "whole"
        and not structure.batch_norm
        and getattr(executor, "device", None) is None
    )


@dataclass(frozen=True)
class StepGradient:
    """Loss and gradient of rows of a batch, as one vector (1 + p,) in double precision, in which they are added up.

    Attributes
    ----------
    structure : from parameters to η.
    here : parameters and state, as NumPy arrays.
    family : of the response.
    divisor : φ₀.
    rows : of the whole batch.
    key, number : of the random numbers of this step.
    """

    structure: Any
    here: tuple[Any, Any]
    family: Any
    divisor: Any
    rows: int
    key: np.ndarray
    number: int

    def __call__(self, some: Rows) -> np.ndarray:
        with x64():
            place = self.number, *some.place
            numbers = self.divisor, np.asarray(self.rows, some.y.dtype), self.key, np.asarray(place, np.uint32)
            loss, gradient = _gradient(self.structure)(self.here, self.family, tuple(some[1:]), numbers, anchor())
            leaves = [np.asarray(leaf, dtype=float).ravel() for leaf in jax.tree.leaves(gradient)]
        return np.concatenate([[float(loss)], *leaves])


@cache
def _gradient(structure: Any) -> Any:
    """The compiled loss and gradient of some rows, for one structure."""

    def run(here: Any, family: Any, rows: Any, numbers: Any, anchor: Any) -> Any:
        del anchor
        (params, state), (y, weight, offset, design) = here, rows
        divisor, of, key, place = numbers
        own = jax.random.wrap_key_data(key)
        for number in range(3):
            own = jax.random.fold_in(own, place[number])

        def predictors(p: Any) -> Any:
            eta, _ = structure.eta(p, state, (design,), training=True, key=own)
            return eta if offset is None else eta + offset

        eta, pull = jax.vjp(predictors, params)
        loss, slope = loss_and_score(family, y, weight, eta, divisor, of)
        (gradient,) = pull(slope)
        return loss, gradient

    return compiled(run)


@cache
def _update(rule: str) -> Any:
    """The step from a gradient: parameters and moments after it, and the layers' squared norms."""
    transformation = rule_of(rule)

    def run(params: Any, moments: Any, gradient: Any, rate: Any, decay: Any, anchor: Any) -> Any:
        del anchor
        steps, moments = transformation.update(gradient, moments, params)
        return stepped(params, steps, rate, decay), moments, layer_squares(gradient)

    return compiled(run)


class LargeBatchEpochs:
    """The epochs of a training of large batches: what :func:`raphson.newton.training.first_order.train` asks for."""

    def __init__(
        self, structure: Any, family: Any, source: LargeBatches, descent: Descent, divisor: float, trace: Any = None
    ) -> None:
        self.structure, self.source, self.descent, self.trace = structure, source, descent, trace
        self.plan = Plan.of(source.rows, descent.batch_size)
        with x64():
            self.family = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=descent.dtype), family)
            self.key = np.asarray(jax.device_put(jax.random.key_data(jax.random.key(descent.seed)), device()))
        self.decay, self.divisor = (np.asarray(v, dtype=descent.dtype) for v in (descent.weight_decay, divisor))
        self.rates = descent.rates(self.plan.steps * descent.epochs).astype(descent.dtype)

    def question(self, epoch: int) -> tuple[Any, ...]:
        """What the result of an epoch depends on, besides the start and the epochs before."""
        return "epoch of large batches", *asked_of(self.descent, self.rates, epoch, self.plan.steps)

    def read(self, here: Snapshot, epoch: int, rng: np.random.Generator) -> Epoch | tuple[int, int, int]:
        """Run one epoch, which changes the weights in `here`; or return where the loss diverged, as in `Trained`."""
        past, drawn = (epoch - 1) * self.plan.steps, int(rng.integers(2**63))
        total, squares, read, first = 0.0, 0.0, 0, None
        for step, stretches in enumerate(self.plan.epoch(rng)):
            rows = sum(one.n_rows for one in stretches)
            rate = self.rates[past + step]
            loss, params, moments, own = self._step(
                here, Reader(self.source.lanes, stretches, drawn), rows, past + step
            )
            first = np.where(own > 0, own, 1.0) if first is None else first
            if not math.isfinite(loss) or loss > DIVERGED:
                with np.errstate(all="ignore"):
                    growth = np.nan_to_num(own / first, nan=math.inf)
                return int(len(own) - 1 - np.argmax(growth[::-1])), epoch, step + 1
            here.params, here.moments = params, moments
            total, squares, read = total + loss, squares + own, read + rows
            if read < self.source.n:
                self.source.show(read, self.source.n)
        self.source.show(self.source.n, self.source.n)
        before = here.history[-1].rows if here.history else 0
        norms = tuple(np.sqrt(np.asarray(squares) / self.plan.steps).tolist())
        return Epoch(total / self.plan.steps, math.nan, float(rate), norms, before + read)

    def _step(self, here: Snapshot, reader: Reader, rows: int, number: int) -> tuple[float, Any, Any, np.ndarray]:
        """The loss of a batch, the parameters and moments after the step, and the layers' squared gradients."""
        leaves, shape = jax.tree.flatten(here.params)
        arrays = [np.asarray(leaf) for leaf in leaves]
        state = jax.tree.map(np.asarray, here.state)
        at = jax.tree.unflatten(shape, arrays), state
        gradient = StepGradient(self.structure, at, self.family, self.divisor, rows, self.key, number)
        with np.errstate(all="ignore"):
            found = summed(self.source.executor, gradient, StepRows(reader, self.source.rows.blocks.held))
        cuts = np.split(found[1:], np.cumsum([one.size for one in arrays])[:-1])
        parts = [cut.reshape(one.shape).astype(one.dtype) for cut, one in zip(cuts, arrays, strict=True)]
        with x64():
            params, moments, squares = _update(self.descent.rule)(
                here.params, here.moments, jax.tree.unflatten(shape, parts), self.rates[number], self.decay, anchor()
            )
        return float(found[0]), params, moments, np.asarray(squares, dtype=float)
