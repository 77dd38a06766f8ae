"""Neural networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from raphson.api.arguments import (
    check_streamable,
    dispersion_rule,
    estimated,
    executor_of,
    inputs_of,
    iteration_of,
    kept_in,
    model_data,
    progress_shown,
    start_vector,
)
from raphson.api.network_training import descent_of, refuse_training, trained
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
from raphson.data import ModelData, from_stream, streamed
from raphson.data.row_split import drawn, number_held, parted
from raphson.data.sources import Source
from raphson.errors import ConvergenceWarning, ModelError, named_arguments, warn_user
from raphson.execute import Executor
from raphson.execute.journal import answering
from raphson.fit.fit import Fit
from raphson.fit.network import NetworkReading
from raphson.fit.state import FitState
from raphson.model.network.model import NetworkModel
from raphson.model.network.streamed import StreamedNetwork
from raphson.newton.methods import resolve_method
from raphson.newton.training.steps import RATES
from raphson.options import Inference, Iteration, Layers, Training
from raphson.status import Status

if TYPE_CHECKING:
    from raphson.fit.levels import FitOfLevels
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
    data : with a formula, a data frame, a dict of columns or a path, where what :func:`raphson.stream` takes is
        streamed; with arrays, the inputs X (n, d).
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
    batch_size : rows in each batch; 32, or all where there are fewer. Of streamed rows, batches of 8,192 or more are
        read at several places of the data at once, by the threads or the workers of `executor`.
    epochs : passes over the data. Epochs, batches and schedules apply to first-order methods only.
    validation : share of the rows held out for validation; the weights with the lowest loss on them are kept. By
        default 0.1 for a first-order method, otherwise 0.
    patience : epochs without a lower validation loss after which to stop; None for no early stopping.
    weight_decay : factor of half the squared weights, added to the loss: λ of ½ λ ‖W‖², decoupled from the gradient in
        first-order methods (Loshchilov and Hutter 2019). Biases are not penalised.
    seed : seed of the random numbers: the initial weights, the rows held out, the shuffling and the dropout; None for
        a new one each time.
    update : what a step updates at once: "whole", or "layerwise", where each layer is updated as soon as the reverse
        sweep reaches it, so that only one layer's gradient is in memory. The weights are the same. It is slower, and
        meant for networks whose gradients fill the memory.
    precision : precision in which batches are computed: "single" (default; twice as fast, and its rounding is smaller
        than the noise of the batches) or "double". Standardisation, validation and results are in double precision.
    checkpoint : file to which the training is saved after every epoch, and every other pass over streamed rows; the
        same call resumes from it. That of streamed rows grows with each epoch, by the weights and their moments.
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
    asked, training, iteration = Layers.of(given), Training.of(given), iteration_of(given)
    chosen = resolve_method(method)
    first_order = chosen.name in RATES
    if training.validation is None:
        training = replace(training, validation=0.1 if first_order else 0.0)
    flow = streamed(data) if isinstance(formula, str) and names is None else None
    if not first_order:
        refuse_training(training, chosen.name, flow is not None)
    # Passes over streamed rows are kept as sums; a training in memory keeps its last epoch.
    kept, own = (None, training.checkpoint) if flow is None else (training.checkpoint, None)
    described = given | {"hidden": asked.hidden, "validation": training.validation}
    with kept_in(kept, flow, "network", described, iteration) as iteration:
        model, theta, rng = _begun(formula, data, flow, given, asked, training, iteration)
        if first_order:
            descent = descent_of(model, chosen.name, asked, training, iteration, rng)
            with progress_shown(iteration.progress) as show:
                found, model, history, remark = trained(model, theta, descent, own, show)
        else:
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


def _begun(
    formula: Any,
    data: Any,
    flow: Source | None,
    given: dict[str, Any],
    asked: Layers,
    training: Training,
    iteration: Iteration,
) -> tuple[NetworkModel, np.ndarray, np.random.Generator]:
    """The network with some rows held out, its starting weights, and the generator that chose both."""
    rng = np.random.default_rng(iteration.seed)
    parts = ("hidden", "activation", "batch_norm", "residual", "dropout")
    structure = {name: getattr(asked, name) for name in parts}
    if flow is None:
        model = _in_memory(model_data(formula, data, given), asked, training, executor_of(iteration), structure, rng)
    else:
        model = _streaming(formula, flow, given, asked, training, iteration, structure, rng)
    model = model.decaying(asked.weight_decay)
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
    return model, _start(asked.start, model, rng), rng


def _in_memory(
    prepared: ModelData,
    asked: Layers,
    training: Training,
    executor: Executor,
    structure: dict[str, Any],
    rng: np.random.Generator,
) -> NetworkModel:
    """The network of rows in memory."""
    order = drawn(rng, len(prepared.response.values), prepared.weights)
    held = np.sort(order[: number_held(training.validation or 0.0, len(order))])
    return NetworkModel.of(prepared, asked.family, asked.weights_kind, executor, structure, held)


def _streaming(
    formula: str,
    flow: Source,
    given: dict[str, Any],
    asked: Layers,
    training: Training,
    iteration: Iteration,
    structure: dict[str, Any],
    rng: np.random.Generator,
) -> StreamedNetwork:
    """The network of streamed rows."""
    check_streamable(resolve_method(iteration.method))
    extras = {name: given[name] for name in ("weights", "offset", "trials")} | {"groups": None}
    rows = from_stream(formula, flow, extras, asked.missing, answering(iteration.executor))
    rows, held = parted(rows, training.validation or 0.0, rng)
    return StreamedNetwork.over(rows, asked.family, asked.weights_kind, executor_of(iteration), structure, held)


def _start(start: Any, model: NetworkModel, rng: np.random.Generator) -> np.ndarray:
    initial = model.initial(rng)
    given = start_vector(start.params if isinstance(start, Fit) else start, len(initial), "weight")
    return initial if given is None else given


def _warn_about(fit: Fit, first_order: bool) -> None:
    if fit.status is Status.NOT_FINITE or not (fit.converged or first_order):
        warn_user(f"not converged ({fit.status.value}): {fit.message}", ConvergenceWarning)
