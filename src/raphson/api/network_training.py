"""How a network is trained by a first-order method: batches, checkpoints, progress, and how it ended."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from raphson.api.arguments import is_shown
from raphson.errors import DataError, ModelError, one_line
from raphson.execute import computing_with
from raphson.execute.watched import unseen
from raphson.model.network.model import NetworkModel
from raphson.model.objective import Need
from raphson.model.problem import RowsStreamed
from raphson.newton.estimate import Estimate
from raphson.newton.maximize import Result
from raphson.newton.path import Path, PathRow
from raphson.newton.training import checkpoint as checkpoints
from raphson.newton.training.first_order import (
    Descent,
    Epoch,
    Snapshot,
    Trained,
    beginning,
    train,
)
from raphson.newton.training.large_batches import LargeBatchEpochs, LargeBatches, has_lanes
from raphson.newton.training.streaming import ToldRows, batches_of
from raphson.options import Iteration, Layers, Training
from raphson.status import Status


def descent_of(
    model: NetworkModel,
    rule: str,
    asked: Layers,
    training: Training,
    iteration: Iteration,
    rng: np.random.Generator,
) -> Descent:
    """How a first-order method trains the network."""
    if training.update == "layerwise" and asked.dropout:
        raise ModelError("dropout: it cannot be combined with update='layerwise'; leave one of the two out")
    return Descent(
        rule,
        training.epochs,
        _batch_size(training.batch_size, model.n_rows, asked.batch_norm),
        iteration.learning_rate,
        training.schedule,
        model.weight_decay,
        training.patience if training.validation else None,
        int(rng.integers(2**31)),
        training.precision != "double",
        training.update,
    )


def refuse_training(training: Training, method: str, streamed: bool) -> None:
    """Refuse options that only first-order methods have; of streamed rows any method has a checkpoint."""
    usual = Training()
    for name in ("checkpoint", "precision", "batch_size", "schedule", "epochs"):
        if (name, streamed) != ("checkpoint", True) and getattr(training, name) != getattr(usual, name):
            instead = "set max_iter= instead" if name == "epochs" else "leave it out"
            raise ModelError(f"{name}: only first-order methods have this option; with method={method!r} {instead}")
    if training.update != "whole":
        raise ModelError(f"update: method={method!r} needs the gradients of all layers at once; leave update= out")


def trained(
    model: NetworkModel,
    theta: np.ndarray,
    descent: Descent,
    checkpoint: str | PathLike[str] | None,
    show: Callable[..., None] | None,
) -> tuple[Estimate, NetworkModel, list[dict[str, Any]], str]:
    """Train by a first-order method, and return the result as an Estimate."""
    structure = model.network
    begin = beginning(structure.unpack(theta), model.frozen, descent)
    keep_in: Callable[[Snapshot], None] | None = None
    if checkpoint is not None:
        if not isinstance(checkpoint, str | PathLike):
            raise ModelError(f"checkpoint: expected the name of a file; got {one_line(checkpoint)}")
        description = _description(model, theta, descent)
        begin = checkpoints.read(checkpoint, description, begin) or begin

        def keep(snapshot: Snapshot) -> None:
            checkpoints.write(snapshot, description, checkpoint)

        keep_in = keep

    more = {"epochs": descent.epochs, "rows": model.n_rows, "of": model.n_rows} if is_shown(show) else {}

    def watch(number: int, epoch: Epoch) -> None:
        if show is not None:
            show(iteration=number, loss=epoch.loss, validation=epoch.validation, **more)

    held = model.held_out
    judge: Callable[[Any, Any], float] | None = None
    if held is not None:

        def validate(params: Any, state: Any) -> float:
            with np.errstate(all="ignore"):
                return held.loss(structure.pack(params), state)

        judge = validate

    asked: dict[str, Any] = {"divisor": model.divisor, "validate": judge, "keep": keep_in, "watch": watch}
    asked["answer"] = checkpoints.kept_epochs(model.executor, theta)
    rows = _batches(model, descent, show)
    if isinstance(rows, LargeBatches):
        asked["epochs"] = LargeBatchEpochs
    with computing_with(model.executor):
        found = train(structure, model.family, begin, rows, descent, **asked)
    model = model.with_state(found.state)
    theta = structure.pack(found.params)
    with np.errstate(all="ignore"):
        evaluation = model.objective.evaluate(theta, Need())
    status, remark = _ending(found, structure.labels)
    everything = np.ones(len(theta), dtype=bool)
    path = _path(found.history, model)
    result = Result(evaluation, status, path, everything, ~everything, ~everything, math.nan, math.nan, False, None)
    history = [
        {
            "epoch": i,
            "loss": epoch.loss,
            "validation": epoch.validation,
            "rate": epoch.rate,
            "rows": epoch.rows,
            "norms": list(epoch.norms),
        }
        for i, epoch in enumerate(found.history, start=1)
    ]
    return Estimate(model, result, status, np.zeros(len(theta))), model, history, remark


def _batches(model: NetworkModel, descent: Descent, show: Any) -> Any:
    """The rows to train on; how far an epoch over streamed rows is, is shown if this package shows the progress."""
    told = is_shown(show) and not model.by_rows
    given = model.trained_rows
    if isinstance(given, RowsStreamed) and has_lanes(model.network, given, descent, model.executor):
        return LargeBatches(given, descent.dtype, model.executor, show.reading if told else unseen)
    rows = batches_of(given, descent.dtype)
    return ToldRows(rows, model.n_rows, show.reading) if told else rows


def _ending(trained: Trained, labels: list[str]) -> tuple[Status, str]:
    done = len(trained.history)
    if trained.ending == "diverged":
        assert trained.diverged_at is not None
        layer, epoch, step = trained.diverged_at
        name = labels[layer] if layer < len(labels) else "auxiliary"
        kept = "the initial weights" if not trained.kept_epoch else f"the weights of epoch {trained.kept_epoch}"
        return Status.NOT_FINITE, (
            f"the loss diverged in epoch {epoch} at step {step}, where the gradient of layer {name} exploded; {kept}, "
            "the last good ones, were restored. Lower learning_rate=, or use batch_norm=True"
        )
    if trained.ending == "patience":
        return Status.STOPPED_EARLY, f"{Status.STOPPED_EARLY.advice} (epoch {trained.kept_epoch} of {done})"
    return Status.STEP_LIMIT, (
        f"trained for all {done} epochs"
        + (f"; the weights are those of epoch {trained.kept_epoch}" if trained.kept_epoch != done else "")
        + "; fit.history shows whether more would help"
    )


def _path(history: list[Epoch], model: NetworkModel) -> Path:
    """The epochs as iterations: the mean objective over each; no distance, as there is no single maximum."""
    scale = model.divisor * model.total_weight
    path = Path()
    rows = 0
    for i, epoch in enumerate(history, start=1):
        norm = math.sqrt(sum(one**2 for one in epoch.norms)) * scale
        nan = math.nan
        path.append(PathRow(i, -epoch.loss * scale, norm, nan, nan, epoch.rate, 0.0, nan, epoch.rows - rows, "batch"))
        rows = epoch.rows
    return path


def _description(model: NetworkModel, theta: np.ndarray, descent: Descent) -> dict[str, Any]:
    """What has to be the same for a training to resume from a checkpoint."""

    def digest(*arrays: np.ndarray | None) -> str:
        mixed = hashlib.sha256()
        for values in arrays:
            mixed.update(b"-" if values is None else np.ascontiguousarray(values).tobytes())
        return mixed.hexdigest()[:16]

    return {
        "network": model.network.to_dict(),
        "family": model.family.to_dict(),
        "method": descent.rule,
        "update": descent.update,
        "batch_size": descent.batch_size,
        "precision": "single" if descent.single else "double",
        "weight_decay": descent.weight_decay,
        "data": digest(model.inputs, model.y, model.weight, model.offset),
        "start": digest(theta),
    }


def _batch_size(batch_size: int | None, n: int, batch_norm: bool) -> int:
    size = min(32, n) if batch_size is None else batch_size
    if size > n:
        raise DataError(
            f"batch_size: expected at most {n}, the number of training rows; got {size}. Lower batch_size= or "
            "validation="
        )
    if size == 1 and batch_norm:
        raise ModelError(
            "batch_size: batch norm needs two rows or more, as one row has no variance; got 1. Raise batch_size= or "
            "leave batch_norm= out"
        )
    return size
