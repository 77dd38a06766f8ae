"""First-order methods: θ ← θ + α M⁻¹ ḡ, with ḡ the mean gradient over a batch and M diagonal, or none.

    sgd        M = I                                                      Robbins and Monro (1951), equation 6
    momentum   M = I, and ḡ is a running sum of gradients                 Polyak (1964), equation 9
    rmsprop    M = √(running mean of ḡ²)                                  Tieleman and Hinton (2012), lecture 6.5
    adam       M = √(running mean of ḡ²), ḡ a running mean too            Kingma and Ba (2015), algorithm 1

They minimise the loss −Σ w_i log f(y_i | η_i)/(φ₀ Σ w_i): minus the mean log density over the dispersion φ₀ of the
constant model, so that a learning rate does not depend on the units of the response. A step reads a batch, so its cost
does not depend on the number of rows.

Many steps run in one compiled loop over a chunk of batches. One compilation serves any number of rows, in memory or
streamed, and the loop never waits for Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.errors import ModelError
from raphson.newton.training.steps import RATES, Chunk, layer_squares, loss_and_score, rule_of, stepped
from raphson.numeric import anchor, device, x64

CHUNK_STEPS = (16, 64, 256)
"""Numbers of steps for which the loop is compiled; a shorter chunk stops early. Each is four times the last, so at most
three quarters of a chunk's steps are empty."""

CHUNK_BYTES = 2**26
"""Largest size of a chunk, 64 MiB, unless the smallest number of steps needs more."""

DIVERGED = 1e3
"""Loss above which the training has diverged; that of the constant model is about 1."""


Answer = Callable[[tuple[Any, ...], Callable[[], Any]], Any]
"""(question, compute): what was kept as the answer to the question, or ``compute()``."""


class TracedPredictor(Protocol):
    """Maps parameters to linear predictors; static and hashable."""

    def eta(
        self, params: Any, state: Any, rows: tuple[Any, ...], training: bool = False, key: Any = None
    ) -> tuple[Any, Any]:
        """η (K, m) of the rows, and the state after them."""
        ...


class BatchSource(Protocol):
    """A source of batches."""

    def steps(self, batch_size: int) -> int:
        """Number of batches in an epoch."""
        ...

    def chunks(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Chunk, int]]:
        """The chunks of an epoch, each with its number of batches (the rest of its S batches are padding)."""
        ...


class Epochs(Protocol):
    """Runs the epochs of a training."""

    def question(self, epoch: int) -> tuple[Any, ...]:
        """What the result of an epoch depends on, besides the start and the epochs before."""
        ...

    def read(self, here: Snapshot, epoch: int, rng: np.random.Generator) -> Epoch | tuple[int, int, int]:
        """Run one epoch, which changes the weights in `here`; or return where the loss diverged, as in `Trained`."""
        ...


class Sample:
    """Rows in memory, shuffled for each epoch; rows that do not fill the last batch are left out of the epoch.

    Parameters
    ----------
    designs : each (n, d).
    y : (n,) response.
    weight : (n,) or None.
    offset : (K, n) or None.
    dtype : of the batches.
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
        """Number of batches in an epoch."""
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
    """Number of steps per chunk for an epoch of `steps`.

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
    epochs : number of passes over the data.
    batch_size : number of rows per step.
    learning_rate : α; None for the rule's default.
    schedule : one of :data:`raphson.choices.Schedule`, or a function from the number of a step to a factor of α.
    weight_decay : λ; each step also subtracts α λ W from the weights W (Loshchilov and Hutter 2019, algorithm 2).
    patience : epochs without a better validation loss before training stops; None for no early stopping.
    seed : of the shuffling and the dropout.
    single : whether to compute in single precision.
    update : "whole", or "layerwise" to update each layer as soon as its gradient is known.
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
        """α of each of the `total` steps."""
        steps = np.arange(total)
        if callable(self.schedule):
            try:
                factors = np.array([float(self.schedule(int(step))) for step in steps])
            except Exception as error:
                raise ModelError(
                    "schedule: expected a function from the number of a step to a factor of the learning rate; it "
                    f"failed with {type(error).__name__}: {error}"
                ) from error
            if not (np.isfinite(factors).all() and (factors >= 0).all()):
                bad = float(factors[~(np.isfinite(factors) & (factors >= 0))][0])
                raise ModelError(f"schedule: expected finite factors of the learning rate, 0 or more; got {bad:g}")
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

            # ∇ loss = Σ Jᵀ ∂loss/∂η: the family gives ∂loss/∂η, and the structure's vjp multiplies by Jᵀ.
            eta, pull, after = jax.vjp(predictors, params, has_aux=True)
            weight = None if chunk.weight is None else chunk.weight[i]
            loss, slope = loss_and_score(family, chunk.y[i], weight, eta, divisor)
            (gradient,) = pull(slope)
            steps, moments = transformation.update(gradient, moments, params)
            params = stepped(params, steps, rates[i], decay)
            return params, after, moments, total + loss, squares + layer_squares(gradient)

        dtype = rates.dtype
        zero = jnp.zeros((), dtype), jnp.zeros(len(params), dtype)
        return jax.lax.fori_loop(first, last, step, (params, state, moments, *zero))

    return compiled(run)


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch.

    Attributes
    ----------
    loss : mean of the losses of its steps, each at the weights before the step.
    validation : loss of the validation rows after the epoch; NaN if there are none.
    rate : α of the last step.
    norms : (L,) norm of each layer's gradient, root mean square over the steps.
    rows : number of row gradients used so far.
    """

    loss: float
    validation: float
    rate: float
    norms: tuple[float, ...]
    rows: int


@dataclass
class Snapshot:
    """The state of a training after an epoch: all that is needed to resume it, as NumPy arrays.

    Attributes
    ----------
    params, state, moments : trees of arrays.
    best_params, best_state : those with the lowest loss so far, of validation if there are such rows.
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
    """The result of a training.

    Attributes
    ----------
    params, state : the chosen weights and their state, in double precision.
    history : the epochs.
    ending : "epochs", "patience" or "diverged".
    kept_epoch : the epoch that the chosen weights come from; 0 for the start.
    diverged_at : if "diverged", the number of the layer whose gradient diverged, the epoch, and the step in it.
    """

    params: Any
    state: Any
    history: list[Epoch]
    ending: str
    kept_epoch: int
    diverged_at: tuple[int, int, int] | None = None


def beginning(params: Any, state: Any, descent: Descent) -> Snapshot:
    """The snapshot at the start of a training."""
    with x64(), np.errstate(over="ignore"):  # a start too large for single precision is reported as diverged
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
    source: Any,
    descent: Descent,
    *,
    divisor: float = 1.0,
    validate: Callable[[Any, Any], float] | None = None,
    keep: Callable[[Snapshot], None] | None = None,
    watch: Callable[[int, Epoch], None] | None = None,
    trace: Callable[[int, Any], None] | None = None,
    answer: Answer | None = None,
    epochs: Callable[..., Epochs] | None = None,
) -> Trained:
    """Minimise the loss, epoch by epoch.

    Parameters
    ----------
    structure : maps parameters to linear predictors.
    family : of the response.
    begin : the start, from :func:`beginning`, or a snapshot to resume from.
    source : of the batches: what `epochs` takes, by default a :class:`BatchSource`.
    descent : the method.
    divisor : φ₀ of the loss.
    validate : gives the loss of the validation rows from parameters and state; the weights of the lowest are kept.
    keep : called with a snapshot after every epoch.
    watch : called with the number and the results of every epoch.
    trace : called after every chunk of steps with the number of rows read so far and the parameters.
    answer : (question, compute), which gives what an epoch came to: what was kept of it, or ``compute()``.
    epochs : makes what runs an epoch, of the arguments of :class:`CompiledEpochs`, which is the default.
    """
    rng = np.random.default_rng(descent.seed)
    if begin.rng:
        rng.bit_generator.state = begin.rng
    here = _on_device(begin)
    reader = (epochs or CompiledEpochs)(structure, family, source, descent, divisor, trace)
    done = len(here.history)
    ending, diverged_at = "epochs", None
    for epoch in range(done + 1, descent.epochs + 1):
        if descent.patience is not None and epoch - 1 - here.best_epoch >= descent.patience and here.history:
            ending = "patience"
            break
        read = reader.read(here, epoch, rng) if answer is None else _answered(answer, reader, here, epoch, rng)
        if isinstance(read, tuple):
            ending, diverged_at = "diverged", read
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
    # Without validation keep the last weights: the lowest training loss is low partly by the choice of batches.
    last = validate is None and ending == "epochs"
    chosen = (here.params, here.state) if last else (here.best_params, here.best_state)
    kept_epoch = len(here.history) if last else here.best_epoch
    params, state = _doubles(chosen)
    return Trained(params, state, here.history, ending, kept_epoch, diverged_at)


def _answered(
    answer: Answer,
    reader: Epochs,
    here: Snapshot,
    epoch: int,
    rng: np.random.Generator,
) -> Epoch | tuple[int, int, int]:
    """As :meth:`Epochs.read`, where an epoch may have been kept: its results, the weights after it and the order."""
    shape = jax.tree.structure((here.params, here.state, here.moments))

    def compute() -> tuple[Any, ...]:
        read = reader.read(here, epoch, rng)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((here.params, here.state, here.moments))]
        return read, leaves, dict(rng.bit_generator.state)

    read, leaves, rng.bit_generator.state = answer(reader.question(epoch), compute)
    with x64():
        on_device = [jax.device_put(leaf, device()) for leaf in leaves]
    here.params, here.state, here.moments = jax.tree.unflatten(shape, on_device)
    return read


def _on_device(begin: Snapshot) -> Snapshot:
    """A copy of a snapshot with its arrays on the device."""
    with x64():
        now, best = (begin.params, begin.state), (begin.best_params, begin.best_state)
        one, two, moments = jax.tree.map(lambda a: jax.device_put(a, device()), (*now, begin.moments))
        # At the start the best weights are the first ones, so one copy is enough.
        same = begin.best_params is begin.params
        kept = (one, two) if same else jax.tree.map(lambda a: jax.device_put(a, device()), best)
    return Snapshot(one, two, moments, kept[0], kept[1], begin.best, begin.best_epoch, list(begin.history))


def _doubles(tree: Any) -> Any:
    """Arrays of the device as NumPy arrays in double precision."""
    with x64():
        return jax.tree.map(lambda a: np.asarray(a, dtype=float), tree)


def asked_of(descent: Descent, rates: np.ndarray, epoch: int, steps: int) -> tuple[int, Descent, np.ndarray]:
    """What a descent says of one of its epochs, each of some steps."""
    asked = replace(descent, epochs=0, patience=None, learning_rate=None, schedule="")
    return epoch, asked, rates[(epoch - 1) * steps : epoch * steps]


class CompiledEpochs:
    """The compiled steps of a training, and their arguments other than weights and batches."""

    def __init__(
        self,
        structure: TracedPredictor,
        family: Any,
        source: BatchSource,
        descent: Descent,
        divisor: float,
        trace: Callable[[int, Any], None] | None,
    ) -> None:
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

    def question(self, epoch: int) -> tuple[Any, ...]:
        """What the result of an epoch depends on, besides the start and the epochs before."""
        return "epoch", *asked_of(self.descent, self.rates, epoch, self.per_epoch)

    def read(self, here: Snapshot, epoch: int, rng: np.random.Generator) -> Epoch | tuple[int, int, int]:
        """Run one epoch, which changes the weights in `here`; or return where the loss diverged, as in `Trained`."""
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
                if not math.isfinite(loss) or loss > DIVERGED * count:
                    layer, at = _first_diverged(self.run, before, arguments, count, (step, self.key))
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


def _first_diverged(
    run: Any, before: Any, arguments: tuple[Any, ...], count: int, place: tuple[int, Any]
) -> tuple[int, int]:
    """Repeat a chunk's steps one by one to find the layer whose gradient diverged, and the step.

    It is the first layer with a gradient that is not finite, or, if the loss diverged before any gradient, the one
    whose gradient grew most. Of several at the same step it is the last layer, where the reverse sweep starts.
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
        if not np.isfinite(norms).all() or not math.isfinite(float(loss)) or float(loss) > DIVERGED:
            break
    return int(len(worst) - 1 - np.argmax(worst[::-1])), at
