"""First-order methods for models with linear predictors or layers, where each step reads a batch of rows.

A learning rate says nothing about where the maximum is. So after the last epoch the score and the observed information
are evaluated over all rows, and the distance to the maximum in standard errors decides whether the estimate has
converged. It seldom has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.blocks import Block, StreamedBlocks
from raphson.data.products import dense
from raphson.errors import ModelError
from raphson.execute import computing_with, sum_blocks
from raphson.execute.journal import answering
from raphson.linalg import column_squares
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.network.linear_rows import LinearRows
from raphson.model.network.output_scale import output_scale
from raphson.model.objective import Kind, Need, Objective
from raphson.model.problem import Problem
from raphson.newton.maximize import Result
from raphson.newton.path import Path, PathRow
from raphson.newton.solve import direction
from raphson.newton.training.checkpoint import kept_epochs
from raphson.newton.training.first_order import (
    Descent,
    Epoch,
    Sample,
    TracedPredictor,
    Trained,
    beginning,
    train,
)
from raphson.newton.training.steps import RATES
from raphson.newton.training.streaming import StreamedBatches, ToldRows, batches_of
from raphson.status import Status

BATCH_ROWS = 32
"""Rows of a batch, as is usual (Bengio 2012, Practical recommendations for gradient-based training)."""

FEWEST_STEPS = 10_000
"""Smallest default number of steps; there are also at least FEWEST_EPOCHS epochs. A small network takes 25,000 steps a
second."""

FEWEST_EPOCHS = 20
"""Readings of the data at least, of data so large that they hold all the steps."""

MOST_STEPS = 1_000_000
"""Largest default number of steps, if FEWEST_EPOCHS would take more; there is at least one epoch. They take 40
seconds."""

SCALE_ROWS = 50_000
"""Number of rows that determine the scale of η if the data are streamed. They give a standard deviation to 1/√(2n) =
0.3%."""

LINEAR_RATES = {"sgd": 0.1, "momentum": 0.02, "rmsprop": 0.02, "adam": 0.02}
"""Default α, for columns scaled to size 1; α falls to 0 along a cosine."""


@dataclass(frozen=True)
class Task:
    """A model in the form that first-order methods need.

    Attributes
    ----------
    structure : traced predictors.
    state : their further quantities, such as scales.
    rows : the source of batches.
    divisor : φ₀ of the loss.
    scale : −ℓ at unit dispersion is the loss times this.
    pack, unpack : from the structure's parameters to θ (p,), and back.
    rates : the default α of each method.
    decay : weight decay.
    """

    structure: TracedPredictor
    state: dict[str, Any]
    rows: Sample | StreamedBatches | ToldRows
    divisor: float
    scale: float
    pack: Callable[[Any], np.ndarray]
    unpack: Callable[[np.ndarray], Any]
    rates: dict[str, float]
    decay: float = 0.0

    @staticmethod
    def of(model: Problem, name: str) -> Task:
        """The task of a model with its data.

        Raises
        ------
        ModelError
            If its predictors are neither linear nor layers, or it has bounds, a penalty or bias reduction.
        """
        layered = model.layered
        if layered is not None:
            rows = batches_of(layered.rows, np.float64)
            scale = layered.divisor * layered.total
            own = (layered.pack, layered.unpack, RATES, layered.decay)
            return Task(layered.structure, layered.state, rows, layered.divisor, scale, *own)
        likelihood = model.likelihood
        predictor = likelihood.predictor
        if not predictor.linear:
            raise ModelError(
                f"method: expected a model with linear predictors, or layers without batch norm, for {name!r}; use "
                "method='levenberg-marquardt', or rp.network for layers"
            )
        if model.objective is not likelihood:
            raise ModelError(
                f"method: {name!r} reads batches of rows, but what is maximised where coefficients vary, or with bias "
                "reduction, is not a sum over rows; use method='newton', or 'gradient-descent' for a first-order method"
            )
        if likelihood.penalty is not None or likelihood.bounds is not None:
            raise ModelError(f"method: {name!r} supports no penalty and no bounds; use method='newton'")
        if likelihood.family.own_rows is not None:
            raise ModelError(
                f"method: {name!r} reads batches of a single response, but a row of this likelihood reads more "
                "columns; use method='newton', or 'gradient-descent' for a first-order method"
            )
        design: tuple[int, ...] = predictor.design  # type: ignore[attr-defined]
        likelihood = likelihood.by_rows
        blocks = likelihood.blocks
        if isinstance(blocks, StreamedBlocks):
            return Task._streamed(model, likelihood, blocks, LinearRows(design))
        designs = tuple(np.concatenate([dense(b.designs[d]) for b in blocks]) for d in range(len(blocks[0].designs)))
        y, w = _responses(blocks)
        offset = None if blocks[0].offset is None else np.concatenate([b.offset for b in blocks], axis=1)  # type: ignore[misc]
        _, spread, divisor = output_scale(likelihood.family, y, w)
        sizes = [_sizes(column_squares(X) / len(X)) for X in designs]
        scaled = tuple(X / size for X, size in zip(designs, sizes, strict=True))
        weight = None if (w == 1.0).all() else w
        rows = Sample(scaled, y, weight, offset, np.float64)
        return Task._linear(LinearRows(design), sizes, spread, rows, divisor, divisor * float(w.sum()))

    @staticmethod
    def _linear(
        structure: LinearRows,
        sizes: list[np.ndarray],
        spread: np.ndarray,
        rows: Sample | StreamedBatches | ToldRows,
        divisor: float,
        scale: float,
    ) -> Task:
        """The task with columns divided by `sizes` (their root mean squares), and each η by its `spread` (K,)."""
        return Task(
            structure,
            {"spread": spread},
            rows,
            divisor,
            scale,
            lambda params: structure.pack(params, sizes, spread),
            lambda theta: structure.unpack(theta, sizes, spread),
            LINEAR_RATES,
        )

    @staticmethod
    def _streamed(model: Problem, likelihood: LogLikelihood, blocks: StreamedBlocks, structure: LinearRows) -> Task:
        """The task of streamed rows: sizes from one pass over the data, scales from a part of the rows."""
        some = model.subsampled(max(1, likelihood.n_rows // SCALE_ROWS)).likelihood.blocks
        _, spread, divisor = output_scale(likelihood.family, *_responses(some))

        def moments(block: Block) -> np.ndarray:
            squares = [np.square(dense(X)).sum(axis=0) for X in block.designs]
            weight = block.weight[: block.rows]
            # The sum of the weights, and the number of weights other than 1.
            return np.concatenate([[weight.sum(), np.count_nonzero(weight != 1.0)], *squares])

        n = likelihood.n_rows
        (total, uneven), *squares = np.split(
            sum_blocks(likelihood.executor, moments, blocks, lambda: ("moments",)),
            2 + np.cumsum([0, *(X.shape[1] for X in some[0].designs)])[:-1],
        )
        sizes = [_sizes(one / n) for one in squares]
        batches = StreamedBatches(blocks, sizes, total / n if uneven else None, np.float64)
        rows = ToldRows(batches, n, answering(likelihood.executor).show)
        return Task._linear(structure, sizes, spread, rows, divisor, divisor * float(total))


def descend(
    model: Problem,
    name: str,
    start: np.ndarray | None,
    *,
    tol: float = 1e-8,
    max_iter: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = 0,
    watch: Callable[[PathRow], None] | None = None,
    trace: Callable[[int, np.ndarray], None] | None = None,
) -> tuple[Result, str]:
    """Maximise a model's likelihood by a first-order method.

    Parameters
    ----------
    model : with linear predictors or layers.
    name : of the method.
    start : (p,) where to start; by default the model's plain start, such as the coefficients of a constant mean.
    tol : distance to the maximum, in standard errors, that counts as converged.
    max_iter : number of epochs.
    learning_rate : α at the first step.
    seed : of the shuffling.
    watch : called with every epoch as a step of the path.
    trace : called after every few steps with the number of rows read so far and θ.

    Returns
    -------
    The result, and a note on how it ended.
    """
    objective = model.objective
    task = Task.of(model, name)
    theta = model.start(Need(), plain=True).theta if start is None else start
    batch = min(BATCH_ROWS, task.rows.n)
    epochs = _epochs(task.rows.steps(batch)) if max_iter is None else max_iter
    rate = task.rates[name] if learning_rate is None else learning_rate
    own_seed = np.random.SeedSequence(seed).generate_state(1)[0].item()
    descent = Descent(name, epochs, batch, rate, "cosine", weight_decay=task.decay, seed=own_seed)
    begin = beginning(task.unpack(theta), task.state, descent)
    path = Path()

    def took(number: int, epoch: Epoch) -> None:
        rows = epoch.rows - sum(step.rows for step in path.steps)
        norm = math.sqrt(sum(one**2 for one in epoch.norms)) * task.scale
        nan = math.nan
        path.append(PathRow(number, -epoch.loss * task.scale, norm, nan, nan, epoch.rate, 0.0, nan, rows, "batch"))
        if watch is not None:
            watch(path.steps[-1])

    def traced(rows: int, params: Any) -> None:
        assert trace is not None
        trace(rows, task.pack(params))

    with computing_with(model.likelihood.executor):
        trained = train(
            task.structure,
            model.likelihood.family,
            begin,
            task.rows,
            descent,
            divisor=task.divisor,
            watch=took,
            trace=None if trace is None else traced,
            answer=kept_epochs(model.likelihood.executor, theta),
        )
    return _end(objective, task.pack(trained.params), trained, path, tol, descent)


def _epochs(steps: int) -> int:
    """Default number of epochs, of `steps` batches each.

    Examples
    --------
    >>> _epochs(10), _epochs(1_000), _epochs(300_000)
    (1000, 20, 3)
    """
    return max(math.ceil(FEWEST_STEPS / steps), min(FEWEST_EPOCHS, max(1, MOST_STEPS // steps)))


def _responses(blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) responses and weights."""
    y, w = (np.concatenate([getattr(b, part)[: b.rows] for b in blocks]) for part in ("y", "weight"))
    return y, w


def _sizes(mean_squares: np.ndarray) -> np.ndarray:
    """Root mean squares of columns; 1 for a column of zeros."""
    size = np.sqrt(mean_squares)
    return np.where(size > 0, size, 1.0)


def _end(
    objective: Objective, theta: np.ndarray, trained: Trained, path: Path, tol: float, descent: Descent
) -> tuple[Result, str]:
    """The result of the training, with the distance to the maximum measured over all rows."""
    free = np.ones(len(theta), dtype=bool)
    distance, factor = math.inf, None
    kinds: tuple[Kind, ...] = ("observed", "expected")
    for kind in kinds:  # the second only if the first is indefinite
        with np.errstate(all="ignore"):
            here = objective.evaluate(theta, Need(kinds=(kind,)))
        found = direction(here.information[kind], here.score, free) if here.finite else None
        if found is not None and found.factor is not None:
            distance, factor = found.decrement / math.sqrt(here.dispersion), found.factor
        if found is None or factor is not None or objective.main_kind == "observed":
            break
    kept = free if factor is None else factor.kept
    nan = math.nan
    norm = float(np.linalg.norm(here.score))
    path.append(PathRow(len(path) + 1, here.value, norm, distance, distance, nan, 0.0, nan, here.rows, "none"))
    none = np.zeros(len(theta), dtype=bool)
    if trained.ending == "diverged":
        status = Status.NOT_FINITE
        note = "the loss diverged, and the last finite estimate was restored; lower learning_rate"
    elif distance <= tol:
        status, note = Status.CONVERGED, ""
    else:
        status = Status.STEP_LIMIT
        note = (
            f"{descent.rule} ended after {descent.epochs} epochs, {distance:.2g} standard errors from the maximum; "
            "raise max_iter, or use method='newton', which needs only a few passes"
        )
    return Result(here, status, path, kept, ~kept, none, distance, math.nan, False, factor), note
