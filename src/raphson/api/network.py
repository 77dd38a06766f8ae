"""Neural networks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from raphson.api.arguments import (
    dispersion_rule,
    estimated,
    executor_of,
    inputs_of,
    model_data,
    progress_shown,
    start_vector,
)
from raphson.choices import (
    Activation,
    DispersionRule,
    FamilyName,
    MethodName,
    Missing,
    Precision,
    Schedule,
    Shortcut,
    Update,
    WeightsKind,
)
from raphson.data import ModelData
from raphson.errors import ConvergenceWarning, DataError, ModelError, named_arguments, one_line, warn_user
from raphson.execute import Executor
from raphson.fit.fit import Fit
from raphson.fit.network import NetworkReading
from raphson.fit.state import FitState
from raphson.model.network.model import NetworkModel
from raphson.model.objective import Need
from raphson.newton.estimate import Estimate
from raphson.newton.maximize import Result
from raphson.newton.methods import resolve_method
from raphson.newton.path import Path, PathRow
from raphson.newton.training import checkpoint as checkpoints
from raphson.newton.training.first_order import (
    Descent,
    Epoch,
    Sample,
    Snapshot,
    Trained,
    beginning,
    train,
)
from raphson.newton.training.steps import RATES
from raphson.options import Inference, Iteration, Layers, Training
from raphson.status import Status

if TYPE_CHECKING:
    from raphson.fit.fit import FitOfLevels
    from raphson.model.families import Family

MOST_PARAMS = 500_000_000
"""Weights of the largest network allowed: with their gradients and Adam's moments they fill 16 GB."""


@overload
def network(
    formula: Any,
    data: Any = None,
    *,
    hidden: int | Sequence[int] = (64, 64),
    family: Literal["multinomial"],
    activation: Activation = "relu",
    batch_norm: bool = False,
    residual: Shortcut | None = None,
    dropout: float = 0.0,
    method: MethodName | str = "adam",
    learning_rate: float | None = None,
    schedule: Schedule | Callable[[int], float] = "constant",
    batch_size: int | None = None,
    epochs: int = 200,
    validation: float | None = None,
    patience: int | None = 20,
    weight_decay: float = 0.0,
    seed: int | None = 0,
    update: Update = "whole",
    precision: Precision | None = None,
    checkpoint: str | PathLike[str] | None = None,
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    dispersion: DispersionRule | float | None = None,
    start: Any = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    missing: Missing = "drop",
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
) -> FitOfLevels: ...
@overload
def network(
    formula: Any,
    data: Any = None,
    *,
    hidden: int | Sequence[int] = (64, 64),
    family: FamilyName | str | Family = "gaussian",
    activation: Activation = "relu",
    batch_norm: bool = False,
    residual: Shortcut | None = None,
    dropout: float = 0.0,
    method: MethodName | str = "adam",
    learning_rate: float | None = None,
    schedule: Schedule | Callable[[int], float] = "constant",
    batch_size: int | None = None,
    epochs: int = 200,
    validation: float | None = None,
    patience: int | None = 20,
    weight_decay: float = 0.0,
    seed: int | None = 0,
    update: Update = "whole",
    precision: Precision | None = None,
    checkpoint: str | PathLike[str] | None = None,
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    dispersion: DispersionRule | float | None = None,
    start: Any = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    missing: Missing = "drop",
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
) -> Fit: ...
@named_arguments
def network(
    formula: Any,
    data: Any = None,
    *,
    hidden: int | Sequence[int] = (64, 64),
    family: FamilyName | str | Family = "gaussian",
    activation: Activation = "relu",
    batch_norm: bool = False,
    residual: Shortcut | None = None,
    dropout: float = 0.0,
    method: MethodName | str = "adam",
    learning_rate: float | None = None,
    schedule: Schedule | Callable[[int], float] = "constant",
    batch_size: int | None = None,
    epochs: int = 200,
    validation: float | None = None,
    patience: int | None = 20,
    weight_decay: float = 0.0,
    seed: int | None = 0,
    update: Update = "whole",
    precision: Precision | None = None,
    checkpoint: str | PathLike[str] | None = None,
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    dispersion: DispersionRule | float | None = None,
    start: Any = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    missing: Missing = "drop",
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
) -> Fit:
    """Fit a neural network: any family, with layers in place of the linear predictor.

    Maximises ℓ(θ) = Σ w_i log f(y_i | η_i) with η_i = network(θ, x_i), one η for each linear predictor of the family
    (L − 1 log odds for a multinomial response of L levels). First-order methods minimise the loss −ℓ/(φ₀ Σ w_i), where
    φ₀ is the dispersion of the model with only a constant; each step reads one batch. Inputs are standardised inside
    the model, on a scale that leaves no row farther than 5 from the mean. A network has biases of its own, so that the
    formula's intercept is left out. A family given by name has its default link or, where that link has no mean for
    some η (gamma and inverse Gaussian), the log link.

    Parameters
    ----------
    formula : a formula such as ``"y ~ ."`` (categorical columns are coded), or the response as an array (n,).
    data : with a formula, a data frame, a dict of columns or a path; with arrays, the inputs X (n, d).
    hidden : units of each hidden layer; ``()`` for no hidden layer.
    family : distribution of the response, as for :func:`raphson.glm`.
    activation : activation function of the hidden units: "relu", "tanh", "sigmoid", "softplus" or "identity".
    batch_norm : whether each hidden layer normalises its units over the batch (Ioffe and Szegedy 2015).
    residual : skip connection around each hidden layer that is as wide as the one before: None, "additive"
        (x⁺ = x + μ) or "stacked" (x⁺ = [μ; x − μ]); see :mod:`raphson.model.network.layers`.
    dropout : share of the hidden units that a training step leaves out.
    method : how each step is computed: "sgd", "momentum", "rmsprop" or "adam" (default); or a second-order method such
        as "levenberg-marquardt", "gauss-newton" or "newton-cg", which reads all rows, with batch norm frozen and
        without dropout.
    learning_rate : first trial step size α; for first-order methods the size of each step, by default 0.05 for sgd,
        0.01 for momentum, 0.001 for rmsprop and adam.
    schedule : how the learning rate changes during training: "constant", "cosine" (to 0), "exponential" (to a
        thousandth), "warmup" (up over the first twentieth of the steps, then cosine), or a function from the number of
        the step to a factor.
    batch_size : rows in each batch; 32, or all where there are fewer.
    epochs : passes over the data. Epochs, batches and schedules apply to first-order methods only.
    validation : share of the rows held out for validation; the weights with the lowest loss on them are kept. By
        default 0.1 for a first-order method, otherwise 0.
    patience : epochs without a lower validation loss after which to stop; None for no early stopping.
    weight_decay : factor of half the squared weights, added to the loss: λ of ½ λ |W|², decoupled from the gradient in
        first-order methods (Loshchilov and Hutter 2019). Biases are not penalised.
    seed : seed of the random numbers: the initial weights, the rows held out, the shuffling and the dropout; None for
        a new one each time.
    update : what a step updates at once: "whole", or "layerwise", where each layer is updated as soon as the reverse
        sweep reaches it, so that only one layer's gradient is in memory. The weights are the same. It is slower, and
        meant for networks whose gradients fill the memory.
    precision : precision in which batches are computed: "single" (default; twice as fast, and its rounding is smaller
        than the noise of the batches) or "double". Standardisation, validation and results are in double precision.
    checkpoint : file to which the training is saved after every epoch; the same call resumes from it.
    names, trials, offset, weights, weights_kind, missing, executor : as for :func:`raphson.glm`.
    dispersion : how the dispersion is estimated: by default on the rows held out, or from the residuals if there are
        none; or its value, a number.
    start : starting values of the weights (p,), in the order of ``fit.params``.
    tol, max_iter, damping : for second-order methods, as for :func:`raphson.glm`.
    progress : whether to show the progress of the fit, as for :func:`raphson.glm`; a function is called with each
        epoch's iteration and loss as keywords.

    Returns
    -------
    Fit
        A Fit with predictions, ``history`` and ``gradient_profile()``. Predictions have intervals; the weights have no
        standard errors, as they are not identified.

    Raises
    ------
    DataError, FormulaError, ModelError
        If the data, the formula or an option cannot be used; the message names it and says what to do.

    Warns
    -----
    ConvergenceWarning
        If the loss diverged, or a second-order method stopped short of a maximum.

    Examples
    --------
    >>> import numpy as np
    >>> import raphson as rp
    >>> x = np.linspace(-2, 2, 200)
    >>> fit = rp.network("y ~ x", {"x": x, "y": np.sin(2 * x)}, hidden=(16,), activation="tanh",
    ...                  learning_rate=0.02, epochs=100, validation=0)
    >>> bool(np.abs(fit.predict({"x": x}) - np.sin(2 * x)).max() < 0.2)
    True
    """
    given = locals()
    asked, training, iteration = Layers.of(given), Training.of(given), Iteration.of(given)
    chosen = resolve_method(method)
    first_order = chosen.name in RATES
    if training.validation is None:
        training = replace(training, validation=0.1 if first_order else 0.0)
    rng = np.random.default_rng(iteration.seed)
    model = _model(model_data(formula, data, given), asked, training, executor_of(iteration), rng)
    theta = _start(asked.start, model, rng)
    if first_order:
        descent = _descent(model, chosen.name, asked, training, iteration, rng)
        with progress_shown(iteration.progress) as show:
            found, model, history, remark = _descended(model, theta, descent, training.checkpoint, show)
    else:
        _refuse(training, chosen.name)
        model = model.with_state(model.population_state(theta)).penalised()
        found, history, remark = estimated(model, replace(iteration, seed=None), theta), [], ""
    state = FitState.of(
        found,
        model,
        method=chosen.name,
        inference=Inference(information="expected", cov="model"),
        dispersion=dispersion_rule(asked.dispersion, model.family),
        formula=formula if isinstance(formula, str) else None,
        source=data,
        inputs=inputs_of(given | {"weight_decay": asked.weight_decay or None}),
    )
    fit = Fit(NetworkReading.of(state, history, remark))
    _warn_about(fit, first_order)
    return fit


def _model(
    prepared: ModelData, asked: Layers, training: Training, executor: Executor, rng: np.random.Generator
) -> NetworkModel:
    """The network, with some rows held out."""
    order = rng.permutation(len(prepared.response.values))
    if prepared.weights is not None:
        order = order[prepared.weights[order] > 0]  # a row of weight 0 validates nothing
    n, held = len(order), training.validation
    n_held = min(max(1, round(held * n)), n - 1) if held and n > 1 else 0
    parts = ("hidden", "activation", "batch_norm", "residual", "dropout")
    structure = {name: getattr(asked, name) for name in parts}
    model = NetworkModel.of(
        prepared, asked.family, asked.weights_kind, executor, structure, np.sort(order[:n_held])
    ).decaying(asked.weight_decay)
    if asked.residual is not None and not any(layer.residual for layer in model.network.layers):
        warn_user(
            f"residual: no hidden layer of {asked.hidden} is as wide as the one before it, so there are no skip "
            "connections; give two neighbouring layers the same width",
            UserWarning,
        )
    if model.network.n_params > MOST_PARAMS:
        raise ModelError(
            f"hidden: {asked.hidden} gives {model.network.n_params:.2g} weights; expected at most {MOST_PARAMS:.0g}. "
            "Use fewer units"
        )
    return model


def _descent(
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
        _batch_size(training.batch_size, len(model.y), asked.batch_norm),
        iteration.learning_rate,
        training.schedule,
        model.weight_decay,
        training.patience if training.validation else None,
        int(rng.integers(2**31)),
        training.precision != "double",
        training.update,
    )


def _refuse(training: Training, method: str) -> None:
    """Refuse options that only first-order methods have."""
    usual = Training()
    for name in ("checkpoint", "precision", "batch_size", "schedule", "epochs"):
        if getattr(training, name) != getattr(usual, name):
            instead = "set max_iter= instead" if name == "epochs" else "leave it out"
            raise ModelError(f"{name}: only first-order methods have this option; with method={method!r} {instead}")
    if training.update != "whole":
        raise ModelError(f"update: method={method!r} needs the gradients of all layers at once; leave update= out")


def _descended(
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

    def watch(number: int, epoch: Epoch) -> None:
        if show is not None:
            show(iteration=number, loss=epoch.loss, validation=epoch.validation)

    held = model.held_out
    judge: Callable[[Any, Any], float] | None = None
    if held is not None:

        def validate(params: Any, state: Any) -> float:
            with np.errstate(all="ignore"):
                return held.loss(structure.pack(params), state)

        judge = validate

    sample = Sample((model.inputs,), model.y, model.weight, model.offset, descent.dtype)
    asked: dict[str, Any] = {"divisor": model.divisor, "validate": judge, "keep": keep_in, "watch": watch}
    trained = train(structure, model.family, begin, sample, descent, **asked)
    model = model.with_state(trained.state)
    theta = structure.pack(trained.params)
    with np.errstate(all="ignore"):
        evaluation = model.objective.evaluate(theta, Need())
    status, remark = _ending(trained, structure.labels)
    everything = np.ones(len(theta), dtype=bool)
    path = _path(trained.history, model)
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
        for i, epoch in enumerate(trained.history, start=1)
    ]
    return Estimate(model, result, status, np.zeros(len(theta))), model, history, remark


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


def _start(start: Any, model: NetworkModel, rng: np.random.Generator) -> np.ndarray:
    initial = model.initial(rng)
    given = start_vector(start.params if isinstance(start, Fit) else start, len(initial), "weight")
    return initial if given is None else given


def _warn_about(fit: Fit, first_order: bool) -> None:
    if fit.status is Status.NOT_FINITE or not (fit.converged or first_order):
        warn_user(f"not converged ({fit.status.value}): {fit.message}", ConvergenceWarning)
