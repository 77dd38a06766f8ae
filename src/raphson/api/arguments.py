"""What the functions that fit share: their arguments turned into what models and fits take."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.choices import Covariance, Information, Storage
from raphson.data import ModelData, from_arrays, from_formula
from raphson.data.sources import Source
from raphson.errors import (
    ConvergenceError,
    ConvergenceWarning,
    DataError,
    ModelError,
    RankWarning,
    SeparationWarning,
    check_choice,
    one_line,
    warn_user,
)
from raphson.execute import Executor, threads
from raphson.fit.fit import Fit
from raphson.fit.uncertainty import COVARIANCES
from raphson.linalg import column_squares
from raphson.model.objective import Gram, Root
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.methods import Method, resolve_method
from raphson.options import Inference, Iteration
from raphson.status import Status

if TYPE_CHECKING:
    from raphson.fit.storage import Storage as Rounding

SHOWN = ("weights", "sigma", "offset", "trials", "penalty", "weight_decay", "groups")
"""Arguments besides the formula that the summary shows."""

CURVE = ("model", "bounds", "fixed", "loss", "scale")
LIKELIHOOD = ("logpdf", "formulas", "columns", "parameters")
LAYERS = ("hidden", "activation", "batch_norm", "residual", "dropout", "validation")
ROWS = ("weights_kind", "missing")
DESCRIBED = ("formula", "family", *LIKELIHOOD, *CURVE, *LAYERS, *SHOWN, *ROWS)
"""Arguments that say what is fitted. Others say how, and may change from one call to the next."""


def estimated(model: Any, iteration: Iteration, start: np.ndarray | None = None, subsample: bool = True) -> Estimate:
    """Run the iteration with the user's options; that of many rows begins with a part of them, if `subsample`."""
    of = model.objective.n_rows

    def more(step: Any) -> dict[str, Any]:
        return {"rows": step.rows, "of": of, "tol": iteration.tol} if is_shown(iteration.progress) else {}

    with progress_shown(iteration.progress) as show:
        options = Options(
            resolve_method(iteration.method),
            iteration.tol,
            iteration.max_iter,
            iteration.damping,
            iteration.learning_rate,
            None if show is None else lambda step: show(iteration=step.iteration, distance=step.distance, **more(step)),
            iteration.seed,
            subsample=subsample,
        )
        try:
            found = estimate(model, options, start)
        except ConvergenceError:
            check_sizes(model)
            raise
        if found.result.aliased.any() or not all(map(_in_range, found.result.evaluation.information.values())):
            check_sizes(model)
        return found


def _in_range(part: Gram | Root) -> bool:
    """Whether sums of squares neither overflow nor lose digits near 0."""
    squares = column_squares(part.triangle)[:-1] if isinstance(part, Root) else part.matrix.diagonal()
    return bool(((np.abs(squares) < 1e280) & ((squares == 0) | (np.abs(squares) > 1e-280))).all())


def check_sizes(model: Any) -> None:
    """Refuse weights, and columns of a design, whose sums of squares are no numbers of double precision any more.

    They would be infinite, or 0 as those of a column that is a linear combination of others.

    Raises
    ------
    DataError
    """
    X = getattr(model.data, "X", None)
    if not model.predictor.linear or not isinstance(X, np.ndarray) or X.ndim != 2:
        return
    w = model.data.weights
    sizes = [(f"column {name!r}", size) for name, size in zip(model.data.names, np.abs(X).max(axis=0), strict=False)]
    for what, size in [*sizes, ("weights", 1.0 if w is None else np.sqrt(w.max()))]:
        if not 1e-140 < size < 1e140 and size > 0:
            raise DataError(
                f"{what}: values of up to {size if what != 'weights' else size * size:.3g} have sums of squares that "
                "double precision does not hold; measure them in other units"
            )


def check_options(
    given: Mapping[str, Any], usual: Mapping[str, tuple[Any, str]], inference: Inference, method: str, *methods: str
) -> None:
    """Refuse options that have no meaning where coefficients vary.

    Parameters
    ----------
    usual : options that are not to be given, with their defaults and what to know instead.
    method : that was chosen.
    methods : that may be, each of which means Newton's.
    """
    for name, (default, instead) in usual.items():
        if given[name] is not None and given[name] != default:
            raise ModelError(
                f"{name}: expected {default!r} where coefficients vary, as {instead}; got {one_line(given[name])}. "
                "Leave it out"
            )
    if inference.cov != "model" or given["groups"] is not None:
        raise ModelError(
            f"cov: expected 'model' where coefficients vary, as the groups are part of the model; got "
            f"{inference.cov!r}. Leave cov= and groups= out, or leave the varying terms out"
        )
    if given["weights_kind"] == "sampling":
        raise ModelError(
            "weights_kind: expected 'precision' or 'frequency' where coefficients vary; got 'sampling', whose "
            "pseudo-likelihood of a row has no Laplace approximation"
        )
    if method not in methods:
        raise ModelError(
            f"method: expected 'newton' where coefficients vary, whose criterion has one information, the observed; "
            f"got {method!r}"
        )


def warn_about(fit: Fit) -> None:
    """Warn of what the user has to know before using the numbers."""
    state = fit._reading.state
    if state.status is Status.SEPARATED:
        warn_user(f"separation: {fit.message}", SeparationWarning)
    elif not state.status.converged:
        warn_user(f"not converged ({fit.status.value}): {fit.message}", ConvergenceWarning)
    if (any(state.aliased.tolist()) or any(state.undetermined.tolist())) and (fit.has_aliased or fit.has_undetermined):
        warn_user(f"rank: {fit.lacking}", RankWarning)
    elif fit.use_t and fit.df_resid <= 0:
        warn_user(fit.lacking, RankWarning)


def model_data(
    formula: Any, data: Any, given: Mapping[str, Any], crossed: bool = False, varying: bool = False
) -> ModelData:
    """The data of a formula, or of arrays, whose products with themselves may be wanted.

    Coefficients of the formula may vary, by groups or as a smooth function's, if `varying`.
    """
    extras: dict[str, Any] = {
        name: given.get(name) for name in ("weights", "offset", "trials", "groups", "by", "missing")
    }
    if given.get("by") is None:  # the rows of a group are few
        extras["storage"] = given.get("storage", "float64")
    if not isinstance(formula, str):
        return from_arrays(formula, data, names=given["names"], crossed=crossed, **extras)
    if given["names"] is not None:
        raise ModelError("names: a formula names its own columns; leave names= out")
    return from_formula(formula, data, varying=varying, **extras)


def progress_shown(progress: bool | Callable[..., None]) -> Any:
    """A context manager that gives the function to call at each step, or None if no progress is shown."""
    if progress is True:
        from raphson.report.progress import Progress

        return Progress("Fitting", log=True)
    return nullcontext(progress or None)


def is_shown(progress: bool | Callable[..., None] | None) -> bool:
    """Whether this package shows the progress, not a function of the user's."""
    if not progress or progress is True:
        return bool(progress)
    from raphson.report.progress import Progress

    return isinstance(progress, Progress)


@contextmanager
def _watched(iteration: Iteration) -> Iterator[Iteration]:
    """The iteration over streamed rows with an executor that shows how far each pass is, if progress is shown."""
    if not is_shown(iteration.progress):
        yield iteration
        return
    from raphson.execute.watched import Watched

    with progress_shown(iteration.progress) as shown:
        executor = executor_of(iteration)
        shown.workers = getattr(executor, "told", None)
        yield replace(iteration, executor=Watched(executor, shown.reading), progress=shown)


def kept_in(
    checkpoint: Any, source: Source | None, kind: str, given: Mapping[str, Any], iteration: Iteration
) -> AbstractContextManager[Iteration]:
    """The iteration with an executor that keeps its sums in a checkpoint and shows its passes, as asked for.

    Raises
    ------
    ModelError
        If the rows are in memory.
    DataError
        If the file is not a checkpoint of this fit, or cannot be written.
    """
    where = iteration.executor if source is None or iteration.executor is not None else source.client
    if source is not None and where is not None:
        iteration = replace(iteration, executor=executor_of(replace(iteration, executor=where)))
    if checkpoint is None:
        return nullcontext(iteration) if source is None else _watched(iteration)
    return _recorded(checkpoint, source, kind, given, iteration)


@contextmanager
def _recorded(
    checkpoint: Any, source: Source | None, kind: str, given: Mapping[str, Any], iteration: Iteration
) -> Iterator[Iteration]:
    """The iteration with an executor that keeps its sums in a checkpoint: see :func:`kept_in`."""
    if not isinstance(checkpoint, str | PathLike):
        raise ModelError(f"checkpoint: expected the name of a file; got {one_line(checkpoint)}")
    if source is None:
        raise ModelError(
            "checkpoint: passes over data in memory are not kept, as they take no longer than reading a file; leave it "
            "out, or stream the data: rp.stream(path)"
        )
    from importlib.metadata import version

    from raphson.execute.journal import Journal, Recorded

    asked = {name: _described(given.get(name)) for name in DESCRIBED if name in given}
    description = {"version": version("raphson"), "function": kind, "data": source.identity, **asked}
    with Journal(checkpoint, description) as journal, _watched(iteration) as iteration:
        yield replace(iteration, executor=Recorded(executor_of(iteration), journal))


def check_streamable(method: Method) -> None:
    """Refuse what needs every row in memory.

    Raises
    ------
    ModelError
    """
    if method.solver == "cg":
        raise ModelError(
            f"method: {method.name} keeps the curvature of every row in memory, which streamed data rule out; use "
            "method='fisher-scoring', 'newton' or 'irls'"
        )


def _described(value: Any) -> Any:
    """An argument as a checkpoint describes it; a function by its name and a digest of what it computes."""
    if callable(value):
        from raphson.execute.fingerprint import fingerprint

        name, python = getattr(value, "__name__", type(value).__name__), ".".join(map(str, sys.version_info[:2]))
        return {"name": str(name), "version of Python": python, "code, as a digest,": fingerprint(value)}
    return value if value is None or isinstance(value, str | int | float) else repr(value)


def iteration_of(given: dict[str, Any]) -> Iteration:
    """The options of the iteration among the arguments of a door.

    In these the user's pool or client is replaced by its executor, as a fit keeps them for other fits of the same data:
    the fit can then be pickled, and sent to workers.
    """
    asked = Iteration.of(given)
    if asked.executor is None:
        return asked
    given["executor"] = executor_of(asked)
    return replace(asked, executor=given["executor"])


def sums_elsewhere(iteration: Iteration) -> bool:
    """Whether the executor adds up by itself, in other processes."""
    return getattr(executor_of(iteration), "sum", None) is not None


def executor_of(iteration: Iteration) -> Executor:
    """The user's executor; threads by default."""
    if iteration.executor is None:
        return threads()
    from raphson.execute.engines import as_executor

    return as_executor(iteration.executor)


def rounding_of(found: Estimate[Any], storage: Storage) -> Rounding | None:
    """What the rounding of the design cost; None where it is held as it was given."""
    if storage != "float32":
        return None
    from raphson.fit.storage import storage_of

    return storage_of(found)


def inference_of(
    given: Mapping[str, Any], information: Information = "expected", cov: Covariance | None = None
) -> Inference:
    """The options of the standard errors, their defaults filled in; with sampling weights cov is "HC0" by default."""
    usual: Covariance = cov or ("HC0" if given["weights_kind"] == "sampling" else "model")
    completed = Inference.of(given).completed(information, usual)
    check_choice("cov", completed.cov, COVARIANCES)
    return completed


def inputs_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the summary shows: a name or a number as it is, anything else as "array".

    Examples
    --------
    >>> inputs_of({"weights": "w", "weights_kind": "frequency", "offset": [0.0, 1.0], "penalty": 2, "trials": None})
    {'weights': 'w', 'offset': 'array', 'penalty': 2.0, 'weights_kind': 'frequency'}
    """
    shown: dict[str, Any] = {}
    for name in SHOWN:
        value = given.get(name)
        if value is None:
            continue
        if isinstance(value, str):
            shown[name] = value
        else:
            shown[name] = float(value) if isinstance(value, numbers.Real) else "array"
    return shown | ({"weights_kind": given["weights_kind"]} if "weights" in shown else {})


def dispersion_rule(dispersion: str | float | None, family: Any) -> str | float:
    """The rule by which φ is estimated, or its value."""
    if isinstance(dispersion, float) and family.dispersion_fixed and dispersion != 1.0:
        raise ModelError(
            f"dispersion: it is 1 by definition in the {family.name} family; got {dispersion:g}. "
            "Use family='quasipoisson' or 'quasibinomial', in which it is estimated"
        )
    return "pearson" if dispersion is None else dispersion


def start_vector(start: Any, n_params: int, of: str = "coefficient") -> np.ndarray | None:
    """The user's starting values, checked; None for the model's own."""
    if start is None:
        return None
    try:
        values = np.asarray(start, dtype=float)
    except (TypeError, ValueError):
        raise ModelError(f"start: expected {n_params} numbers; got {one_line(start)}") from None
    if values.shape != (n_params,) or not np.isfinite(values).all():
        raise ModelError(f"start: expected {n_params} finite numbers, one for each {of}; got shape {values.shape}")
    return values
