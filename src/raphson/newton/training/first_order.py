"""First-order methods: θ ← θ + α M⁻¹ ḡ, with ḡ the mean gradient over a batch and M diagonal, or none.

    sgd        M = I                                                      Robbins and Monro (1951), equation 6
    momentum   M = I, and ḡ is a running sum of gradients                 Polyak (1964), equation 9
    rmsprop    M = √(running mean of ḡ²)                                  Tieleman and Hinton (2012), lecture 6.5
    adam       M = √(running mean of ḡ²), ḡ a running mean too            Kingma and Ba (2015), algorithm 1

What is descended is the loss, −Σ w_i log f(y_i | η_i)/(φ₀ Σ w_i): minus the mean log density over the scale φ₀ of a
model with a constant only, so that a learning rate means the same whatever the units of the response. A step costs
the same whatever the number of rows: it reads a batch.

Many steps run in one compiled loop, which gets its batches as one array for each of a chunk's steps. So one
compilation serves any number of rows, in memory or streamed, and the loop never waits for Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import numpy as np

from raphson.errors import ModelError
from raphson.newton.training.steps import RATES, Chunk, layer_squares, loss_and_score, rule_of, stepped
from raphson.numeric import anchor, device, x64

CHUNK_STEPS = (16, 64, 256)
"""Numbers of steps that the loop is compiled for: a chunk of fewer stops early. Each is four times the last, so that at
most three quarters of a chunk's steps are empty."""

CHUNK_BYTES = 2**26
"""No chunk is larger than this, if it can be helped. 64 MiB."""

BLOWN_UP = 1e3
"""A loss this many times that of a constant model, which is about 1, has diverged."""


class TracedPredictor(Protocol):
    """From parameters to linear predictors; static and hashable."""

    def eta(
        self, params: Any, state: Any, rows: tuple[Any, ...], training: bool = False, key: Any = None
    ) -> tuple[Any, Any]:
        """η (K, m) of the rows, and the state after them."""
        ...


class BatchSource(Protocol):
    """Where batches come from."""

    def steps(self, batch_size: int) -> int:
        """Batches in an epoch."""
        ...

    def chunks(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Chunk, int]]:
        """One epoch: chunks, and how many of the S batches in each are there."""
        ...


class Sample:
    """Rows in memory, shuffled anew for each epoch; the rows that do not fill a batch wait for another epoch.

    Parameters
    ----------
    designs : each (n, d).
    y : (n,) response.
    weight : (n,) or None.
    offset : (K, n) or None.
    dtype : in which the batches are made.
    """

    def __init__(
        self,
        designs: tuple[np.ndarray, ...],
        y: np.ndarray,
        weight: np.ndarray | None,
        offset: np.ndarray | None,
        dtype: Any,
    ) -> None:
        self.designs = tuple(np.ascontiguousarray(X, dtype=dtype) for X in designs)
        self.y = np.asarray(y, dtype=dtype)
        self.weight = None if weight is None else (weight / weight.mean()).astype(dtype)
        self.offset = None if offset is None else np.ascontiguousarray(offset.T, dtype=dtype)
        self.n = len(y)

    def steps(self, batch_size: int) -> int:
        """Batches in an epoch."""
        return self.n // batch_size

    def chunks(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Chunk, int]]:
        """One epoch, in random order."""
        steps = self.steps(batch_size)
        order = rng.permutation(self.n)[: steps * batch_size]
        row = sum(X[0].nbytes for X in self.designs)
        size = chunk_steps(steps, batch_size * row)
        for first in range(0, steps, size):
            count = min(size, steps - first)
            rows = order[first * batch_size : (first + count) * batch_size]
            yield self._chunk(rows, batch_size, size, count), count

    def _chunk(self, rows: np.ndarray, batch_size: int, size: int, count: int) -> Chunk:
        def cut(values: np.ndarray) -> np.ndarray:
            out = np.empty((size, batch_size, *values.shape[1:]), dtype=values.dtype)
            np.take(values, rows, axis=0, out=out[:count].reshape(len(rows), *values.shape[1:]), mode="clip")
            out[count:] = 0
            return out

        offset = None if self.offset is None else np.ascontiguousarray(cut(self.offset).swapaxes(1, 2))
        return Chunk(
            tuple(cut(X) for X in self.designs),
            cut(self.y),
            None if self.weight is None else cut(self.weight),
            offset,
        )


def chunk_steps(steps: int, batch_bytes: int) -> int:
    """Steps of the chunks that an epoch of `steps` is cut into.

    Examples
    --------
    >>> chunk_steps(10, 1000), chunk_steps(1125, 1000)
    (16, 256)
    """
    size = next((s for s in CHUNK_STEPS if steps <= s), CHUNK_STEPS[-1])
    while size > CHUNK_STEPS[0] and size * batch_bytes > CHUNK_BYTES:
        size = CHUNK_STEPS[CHUNK_STEPS.index(size) - 1]
    return size


@dataclass(frozen=True)
class Descent:
    """A first-order method and its settings.

    Attributes
    ----------
    rule : one of RATES.
    epochs : readings of the data.
    batch_size : rows of a step.
    learning_rate : α; None for the rule's own.
    schedule : a word of :data:`raphson.choices.Schedule`, or a function from the number of a step to the factor of α.
    weight_decay : λ: each step also takes α λ W off the weights W (Loshchilov and Hutter 2019, algorithm 2).
    patience : epochs without a better validation loss before training stops; None for no early stopping.
    seed : of the shuffling and the dropout.
    single : whether batches are computed in single precision.
    update : "whole", or "layerwise": each layer as its gradient arrives.
    """

    rule: str
    epochs: int
    batch_size: int
    learning_rate: float | None = None
    schedule: str | Callable[[Any], Any] = "constant"
    weight_decay: float = 0.0
    patience: int | None = None
    seed: int = 0
    single: bool = False
    update: str = "whole"

    @property
    def rate(self) -> float:
        return RATES[self.rule] if self.learning_rate is None else self.learning_rate

    @property
    def dtype(self) -> Any:
        return np.float32 if self.single else np.float64

    def rates(self, total: int) -> np.ndarray:
        """α of each of the training's `total` steps."""
        steps = np.arange(total)
        if callable(self.schedule):
            try:
                factors = np.array([float(self.schedule(int(step))) for step in steps])
            except Exception as error:
                raise ModelError(f"schedule: expected a function from step to a number; it failed: {error}") from error
            if not (np.isfinite(factors).all() and (factors >= 0).all()):
                raise ModelError("schedule: expected a function from step to a factor of the learning rate, 0 or more")
            return self.rate * factors
        with x64():
            return np.asarray(_schedule(self.schedule, total)(steps), dtype=float) * self.rate


def _schedule(name: str, total: int) -> Callable[[Any], Any]:
    import optax

    if name == "cosine":
        return optax.cosine_decay_schedule(1.0, max(total, 1))
    if name == "exponential":
        return optax.exponential_decay(1.0, max(total, 1), 1e-3)
    if name == "warmup":
        return optax.warmup_cosine_decay_schedule(0.0, 1.0, max(total // 20, 1), max(total, 2))
    return lambda steps: np.ones(len(steps))


@cache
def _compiled(structure: TracedPredictor, rule: str) -> Any:
    """The loop over a chunk's steps, for one structure and one rule."""
    import jax

    transformation = rule_of(rule)

    def run(here: Any, batches: Any, first: Any, last: Any, number: Any, key: Any, anchor: Any) -> Any:
        del anchor
        (params, state, moments), (family, chunk, rates, decay, divisor) = here, batches

        def step(i: Any, carry: Any) -> Any:
            params, state, moments, total, squares = carry
            rows = tuple(X[i] for X in chunk.designs)
            own = jax.random.fold_in(jax.random.wrap_key_data(key), number + i)

            def predictors(p: Any) -> Any:
                eta, after = structure.eta(p, state, rows, training=True, key=own)
                return (eta if chunk.offset is None else eta + chunk.offset[i]), after

            # ∇ loss = Σ Jᵀ ∂loss/∂η: the family gives its score by η, the structure pulls it back.
            eta, pull, after = jax.vjp(predictors, params, has_aux=True)
            weight = None if chunk.weight is None else chunk.weight[i]
            loss, slope = loss_and_score(family, chunk.y[i], weight, eta, divisor)
            (gradient,) = pull(slope)
            steps, moments = transformation.update(gradient, moments, params)
            params = stepped(params, steps, rates[i], decay)
            return params, after, moments, total + loss, squares + layer_squares(gradient)

        import jax.numpy as jnp

        dtype = rates.dtype
        zero = jnp.zeros((), dtype), jnp.zeros(len(params), dtype)
        return jax.lax.fori_loop(first, last, step, (params, state, moments, *zero))

    return jax.jit(run, keep_unused=True)


@dataclass(frozen=True)
class Epoch:
    """What one reading of the data came to.

    Attributes
    ----------
    loss : mean over its steps, as the weights went along.
    validation : loss of the rows held out, at the end; NaN without.
    rate : α of the last step.
    norms : (L,) root mean square over the steps of the norm of each layer's gradient.
    rows : row gradients used so far.
    """

    loss: float
    validation: float
    rate: float
    norms: tuple[float, ...]
    rows: int


@dataclass
class Snapshot:
    """Where a training stands at the end of an epoch: all that is needed to go on from there, as NumPy arrays.

    Attributes
    ----------
    params, state, moments : trees of arrays.
    best_params, best_state : those of the lowest validation (else training) loss so far.
    best : that loss.
    best_epoch : its epoch; 0 for the start.
    history : the epochs so far.
    rng : state of the generator that shuffles.
    """

    params: Any
    state: Any
    moments: Any
    best_params: Any
    best_state: Any
    best: float
    best_epoch: int
    history: list[Epoch] = field(default_factory=list)
    rng: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """Where a training ended.

    Attributes
    ----------
    params, state : the weights kept, and what goes with them, in double precision.
    history : one Epoch after another.
    ending : "epochs", "patience" or "diverged".
    kept_epoch : at the end of which epoch the weights kept were; 0 for the start.
    blown_up : with "diverged" the number of the layer whose gradient blew up, the epoch and the step in it.
    """

    params: Any
    state: Any
    history: list[Epoch]
    ending: str
    kept_epoch: int
    blown_up: tuple[int, int, int] | None = None


def beginning(params: Any, state: Any, descent: Descent) -> Snapshot:
    """The snapshot of a training that has not begun."""
    import jax

    with x64(), np.errstate(over="ignore"):  # a start too large for single precision diverges, and is told as that
        here = jax.tree.map(lambda a: np.asarray(a, dtype=descent.dtype), (params, state))
        rule = rule_of(descent.rule)
        begun = [rule.init(layer) for layer in here[0]] if descent.update == "layerwise" else rule.init(here[0])
        moments = jax.tree.map(np.asarray, begun)
    now, state = here
    return Snapshot(now, state, moments, now, state, math.inf, 0)


def train(
    structure: TracedPredictor,
    family: Any,
    begin: Snapshot,
    source: BatchSource,
    descent: Descent,
    *,
    divisor: float = 1.0,
    validate: Callable[[Any, Any], float] | None = None,
    keep: Callable[[Snapshot], None] | None = None,
    watch: Callable[[int, Epoch], None] | None = None,
    trace: Callable[[int, Any], None] | None = None,
) -> Trained:
    """Descend the loss, epoch after epoch.

    Parameters
    ----------
    structure : from parameters to linear predictors.
    family : of the response.
    begin : where to begin: :func:`beginning`, or a snapshot to go on from.
    source : of the batches.
    descent : the method.
    divisor : φ₀, by which the loss is divided.
    validate : loss of the rows held out, from parameters and state; the weights of the lowest are kept.
    keep : called with a snapshot at the end of every epoch.
    watch : called with the number of every epoch and what it came to.
    trace : called after every chunk of steps with the rows read so far and the parameters.
    """
    rng = np.random.default_rng(descent.seed)
    if begin.rng:
        rng.bit_generator.state = begin.rng
    here = _on_device(begin)
    reader = _Epochs(structure, family, source, descent, divisor, trace)
    done = len(here.history)
    ending, blown_up = "epochs", None
    for epoch in range(done + 1, descent.epochs + 1):
        if descent.patience is not None and epoch - 1 - here.best_epoch >= descent.patience and here.history:
            ending = "patience"
            break
        read = reader.read(here, epoch, rng)
        if isinstance(read, tuple):
            ending, blown_up = "diverged", read
            break
        if validate is not None:
            read = replace(read, validation=validate(*_doubles((here.params, here.state))))
        here.history.append(read)
        judged = read.loss if validate is None else read.validation
        if judged < here.best:
            here.best, here.best_epoch = judged, epoch
            here.best_params, here.best_state = here.params, here.state
        if watch is not None:
            watch(epoch, read)
        if keep is not None:
            here.rng = dict(rng.bit_generator.state)
            keep(here)
    # Without validation the last weights are the best guess; the lowest training loss is not, it is the luckiest.
    last = validate is None and ending == "epochs"
    chosen = (here.params, here.state) if last else (here.best_params, here.best_state)
    kept_epoch = len(here.history) if last else here.best_epoch
    params, state = _doubles(chosen)
    return Trained(params, state, here.history, ending, kept_epoch, blown_up)


def _on_device(begin: Snapshot) -> Snapshot:
    """A copy of a snapshot whose arrays lie where the steps are taken."""
    import jax

    with x64():
        now, best = (begin.params, begin.state), (begin.best_params, begin.best_state)
        one, two, moments = jax.tree.map(lambda a: jax.device_put(a, device()), (*now, begin.moments))
        # At the beginning the best weights are the first ones: one copy serves.
        same = begin.best_params is begin.params
        kept = (one, two) if same else jax.tree.map(lambda a: jax.device_put(a, device()), best)
    return Snapshot(one, two, moments, kept[0], kept[1], begin.best, begin.best_epoch, list(begin.history))


def _doubles(tree: Any) -> Any:
    """Arrays of the device as NumPy's, in double precision."""
    import jax

    with x64():
        return jax.tree.map(lambda a: np.asarray(a, dtype=float), tree)


class _Epochs:
    """The compiled steps of a training, and what they take beside weights and batches."""

    def __init__(
        self,
        structure: TracedPredictor,
        family: Any,
        source: BatchSource,
        descent: Descent,
        divisor: float,
        trace: Callable[[int, Any], None] | None,
    ) -> None:
        import jax

        self.source, self.descent, self.trace = source, descent, trace
        self.per_epoch = source.steps(descent.batch_size)
        with x64():
            self.run = _compiled(structure, descent.rule)
            if descent.update == "layerwise":
                from raphson.newton.training.layerwise import layerwise

                self.run = layerwise(structure, descent.rule)  # type: ignore[arg-type]
            self.family = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=descent.dtype), family)
            self.key = jax.device_put(jax.random.key_data(jax.random.key(descent.seed)), device())
            self.numbers = [np.asarray(v, dtype=descent.dtype) for v in (descent.weight_decay, divisor)]
        self.rates = descent.rates(self.per_epoch * descent.epochs).astype(descent.dtype)

    def read(self, here: Snapshot, epoch: int, rng: np.random.Generator) -> Epoch | tuple[int, int, int]:
        """Read the data once, and move the weights in `here`; or say where the loss blew up, as `Trained` does."""
        size, past = self.descent.batch_size, (epoch - 1) * self.per_epoch
        summed, squares, taken, rate = 0.0, 0.0, 0, math.nan
        for chunk, count in self.source.chunks(size, rng):
            step = past + taken
            rates = np.zeros(len(chunk.y), dtype=self.descent.dtype)
            rates[:count] = self.rates[step : step + count]
            with x64():
                arguments = (self.family, chunk, rates, *self.numbers)
                before = here.params, here.state, here.moments
                *after, chunk_loss, chunk_squares = self.run(before, arguments, 0, count, step, self.key, anchor())
                loss = float(chunk_loss)
                if not math.isfinite(loss) or loss > BLOWN_UP * count:
                    layer, at = _first_blown_up(self.run, before, arguments, count, (step, self.key))
                    return layer, epoch, taken + at
                here.params, here.state, here.moments = after
                summed += loss
                squares = squares + np.asarray(chunk_squares, dtype=float)
            taken += count
            if self.trace is not None:
                self.trace((past + taken) * size, _doubles(here.params))
            rate = float(rates[count - 1])
        rows = (here.history[-1].rows if here.history else 0) + taken * size
        return Epoch(summed / taken, math.nan, rate, tuple(np.sqrt(np.asarray(squares) / taken).tolist()), rows)


def _first_blown_up(
    run: Any, before: Any, arguments: tuple[Any, ...], count: int, place: tuple[int, Any]
) -> tuple[int, int]:
    """Take a chunk's steps again, one by one: which layer's gradient grew out of bounds, and at which step.

    The one that is first not finite, or, where the loss went before any gradient did, that which grew most. Of
    several at once the last layer: the reverse sweep comes from there.
    """
    first: np.ndarray | None = None
    worst = np.ones(1)
    at = 0
    for i in range(count):
        *before, loss, squares = run(tuple(before), arguments, i, i + 1, *place, anchor())
        norms = np.sqrt(np.asarray(squares, dtype=float))
        if first is None:
            first = np.where(norms > 0, norms, 1.0)
        with np.errstate(all="ignore"):
            growth = norms / first
        at = i + 1
        worst = np.where(np.isnan(growth), np.inf, growth)
        if not np.isfinite(norms).all() or not math.isfinite(float(loss)) or float(loss) > BLOWN_UP:
            break
    return int(len(worst) - 1 - np.argmax(worst[::-1])), at
