"""Any likelihood: a density with a formula for each of its parameters, or the log-likelihood of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from raphson.api.arguments import (
    check_streamable,
    estimated,
    executor_of,
    inference_of,
    inputs_of,
    iteration_of,
    kept_in,
    rounding_of,
    start_vector,
    sums_elsewhere,
    warn_about,
)
from raphson.choices import (
    Bias,
    Covariance,
    Criterion,
    Derivatives,
    Information,
    MethodName,
    Missing,
    SmallSample,
    Storage,
    WeightsKind,
)
from raphson.data import streamed
from raphson.data.readers import table_of
from raphson.data.several import from_formulas
from raphson.data.sources import Source
from raphson.errors import ConvergenceError, DataError, ModelError, named_arguments, one_line
from raphson.execute import Executor
from raphson.fit.fit import Fit
from raphson.fit.likelihood import LikelihoodReading
from raphson.fit.state import FitState
from raphson.hints import hint
from raphson.model.bias.reduction import check_bias
from raphson.model.likelihood.build import density_model, formulas_of
from raphson.model.likelihood.densities.ready import DENSITIES, DensitySpec, resolve
from raphson.model.likelihood.densities.signature import Signature, signature_of
from raphson.model.likelihood.general import general_model
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.likelihood.review import check_start, explained, reviewed
from raphson.model.parameters import Parameters
from raphson.newton.methods import resolve_method
from raphson.options import Inference, Iteration, Likelihood

if TYPE_CHECKING:
    from raphson.data.several_streams import StreamedSeveral
    from raphson.model.varying.likelihood import VaryingLikelihood

ONCE = ("formulas", "start", "derivatives", "seed", "checkpoint")
"""Arguments that other formulas are not fitted with."""


@named_arguments
def mle(
    logpdf: Any,
    formulas: Any = None,
    data: Any = None,
    *,
    start: Any = None,
    columns: Mapping[str, str | float] | None = None,
    storage: Storage = "float64",
    derivatives: Derivatives = "exact",
    method: MethodName | str = "newton",
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    penalty: Any = None,
    bias: Bias | None = None,
    criterion: Criterion | None = None,
    information: Information = "observed",
    cov: Covariance | None = None,
    groups: Any = None,
    small_sample: SmallSample | None = "full",
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fit:
    """Fit any likelihood by maximum likelihood, with exact derivatives.

    Maximises ℓ(θ) = Σ w_i log f_i − ½ θᵀPθ, where log f_i is the function's value for row i. Two forms:

    ``mle(logpdf, {"mu": "y ~ x", "log_sigma": "~ 1"}, data)``: ``logpdf(y, mu, log_sigma, *, column)`` is the log
    density of one response given one linear predictor for each parameter, and, by keyword, columns of the data.

    ``mle(loglik, data, start={"beta": np.zeros(3), "log_sigma": 0.0})``: ``loglik(params, row)`` is the
    log-likelihood of one row, given the nested dict of parameters and the row's columns as ``row.column``.

    Parameters
    ----------
    logpdf : a function in ``jax.numpy``, which sees one row at a time and returns one number; or the name of a ready
        density (see :mod:`raphson.model.likelihood.densities`), whose parameters without a formula are constants.
    formulas : a formula for each parameter of the density; one of them names the response. In the general form the
        data are given here.
    data : data frame (pandas, polars, Arrow), dict of columns, or the path of a CSV, TSV, Parquet or Arrow file; in
        the general form a dict may also hold matrices (n, d), of which ``row.name`` is one row. What
        :func:`raphson.stream` takes is streamed.
    start : starting values. General form: the parameters, with their starting values. Density form: a number for each
        coefficient; by default they are searched for.
    columns : values of the density's keywords that are not columns of the same name: a column's name, an expression,
        as in ``{"event": "status == 2"}``, or a number for all rows, as in ``{"lower": 0.5}``.
    storage : how the numbers of large dense designs are held, as for :func:`raphson.glm`: "float32" takes half the
        memory, and ``fit.storage`` says what the rounding cost.
    derivatives : how derivatives are computed: "exact" (automatic differentiation), or "finite" (differences of the
        log-likelihood) for a function that JAX cannot trace, which then gets plain numbers and arrays.
    method : how each step is computed: "newton" (default), "fisher-scoring", "irls", "bhhh", "newton-cg" or
        "gradient-descent".
    weights : weight of each row, 0 or more: a column name or an array (n,). It multiplies the row's log-likelihood.
    weights_kind : what a weight stands for: "precision" (nobs counts the rows), "frequency" (w copies of the row) or
        "sampling".
    penalty : ridge penalty P: a number (spares the intercepts), a vector (p,) or a matrix (p, p).
    bias : Jeffreys' penalty: "jeffreys" adds ½ log det I(θ) to the log-likelihood, which keeps the estimates finite
        under separation. For canonical parameters it is Firth's (1993) reduction of the bias, so "firth" means the
        same. I is the expected information where it can be derived from the density, otherwise the observed one (for
        loglik(params, row) and for censored responses); with a canonical link the two are equal.
    criterion : what is maximised where coefficients vary, by terms such as ``(1 | group)`` and ``s(x)`` in the formula
        of any parameter: "ml", the likelihood with these coefficients integrated out by Laplace's approximation, or
        "reml", with the other coefficients of all parameters integrated out too. The default is "reml" if there is a
        smooth function, else "ml".
    missing : what is done with rows that have missing values in the columns used: "drop" (counted and reported) or
        "raise". Infinity counts as missing in the covariates of a formula only; elsewhere the function gets it.
    seed : accepted as by the other functions, and without effect: nothing here is random.
    information, cov, groups, small_sample, tol, max_iter, damping, learning_rate, progress, executor, checkpoint : as
        for :func:`raphson.glm`, except that the covariance uses the "observed" information by default.

    Returns
    -------
    Fit

    Raises
    ------
    DataError, FormulaError, ModelError
        If the data, a formula, the function or an option cannot be used; the message names it and says what to do.
    ConvergenceError
        If the log-likelihood is not finite at the start; the message names the line and the rows.

    Warns
    -----
    ConvergenceWarning, RankWarning, MissingDataWarning
        The Fit is still useful, and its ``message`` says how.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import raphson as rp
    >>> def normal(y, mu, log_sigma):
    ...     z = (y - mu) / jnp.exp(log_sigma)
    ...     return -0.5 * z**2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)
    >>> data = {"x": [1, 2, 3, 4, 5, 6], "y": [1.2, 1.9, 3.2, 3.8, 5.3, 5.8]}
    >>> fit = rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, data)
    >>> fit.params.round(4).to_dict()
    {'mu:Intercept': 0.1533, 'mu:x': 0.9657, 'log_sigma:Intercept': -1.6247}

    Coefficients may vary by groups, and functions may be smooth, in the formula of any parameter:

    >>> data = {"y": [4, 3, 5, 8, 9, 7, 1, 2, 2, 6, 5, 6], "g": [*"aaabbbcccddd"]}
    >>> fit = rp.mle(normal, {"mu": "y ~ 1 + (1 | g)", "log_sigma": "~ 1"}, data)
    >>> fit.variances[["group", "term", "estimate"]].round(3).to_numpy().tolist()
    [['g', 'mu:Intercept', 2.267]]
    """
    given = locals()
    asked, iteration = Likelihood.of(given), iteration_of(given)
    ready = _ready(logpdf)
    general = data is None and ready is None
    rows = formulas if general else data
    flow = None if rows is None else streamed(rows)
    described = {**given, "formulas": None, "parameters": _layout(start)} if general else given
    if ready is not None and not DENSITIES.is_builtin(ready.name):
        described = {**described, "logpdf": ready.function}
    with kept_in(asked.checkpoint, flow, "mle", described, iteration) as iteration:
        return _fit(given, ready, flow, asked, iteration, inference_of(given, "observed"))


def _fit(
    given: dict[str, Any],
    ready: DensitySpec | None,
    flow: Source | None,
    asked: Likelihood,
    iteration: Iteration,
    inference: Inference,
) -> Fit:
    """Build the model, and fit it."""
    method = resolve_method(given["method"])
    fitted = partial(_fit_of, given=given, asked=asked, iteration=iteration, inference=inference)
    if flow is None:
        return fitted(_model(given, ready, asked, executor_of(iteration)))
    check_streamable(method)
    if given["data"] is not None or ready is not None:
        return _of_stream(given, ready, flow, asked, iteration, fitted)
    from raphson.model.likelihood.streamed_general import streamed_general
    from raphson.model.streamed import refuse_bias

    refuse_bias(asked.bias)
    model, theta = streamed_general(given["logpdf"], flow, **_general(given, asked, executor_of(iteration)))
    return fitted((model, theta, {}))


Built = tuple[LikelihoodModel, np.ndarray | None, dict[str, str]]
"""A model, its starting values, and the formulas of its parameters (none in the general form)."""


def _fit_of(built: Built, given: dict[str, Any], asked: Likelihood, iteration: Iteration, inference: Inference) -> Fit:
    """Fit a model."""
    (model, theta, texts), method = built, given["method"]
    again = {name: value for name, value in given.items() if name not in ONCE}
    refit: Any = partial(_again, given=again) if texts else None
    if model.varying_terms:
        from raphson.api.mle_varying import fit_varying_likelihood

        return fit_varying_likelihood(cast("VaryingLikelihood", model), given, iteration, inference, texts, refit)
    if asked.criterion is not None:
        raise ModelError(
            f"criterion: expected None where no coefficients vary; got {asked.criterion!r}. Add a term such as "
            "(1 | group) or s(x) to a formula, or leave it out"
        )
    formulas, data, penalty = (given[name] for name in ("formulas", "data", "penalty"))
    check_bias(asked.bias, model.family, penalty)
    # Adjusted scores need a formula for the bias, which a likelihood alone does not give. For canonical parameters
    # they are the gradient of the Jeffreys-penalised log-likelihood.
    model = replace(model, bias=None if asked.bias is None else "jeffreys")
    if theta is not None:
        check_start(model, theta)
    try:
        found = estimated(model, replace(iteration, seed=None), theta)
    except ConvergenceError as error:
        raise ConvergenceError(explained(model, theta, str(error))) from None
    end, at_limit = found.result, bool(found.infinite.any()) and found.result.status.converged
    status, note = reviewed(model, found.model, found.status, found.note, end.evaluation, end.free, at_limit)
    found = replace(found, status=status, note=note)
    held = rounding_of(found, asked.storage)
    state = FitState.of(
        found,
        model,
        method=method,
        inference=inference,
        dispersion="pearson",
        formula="; ".join(f"{name}: {text}" for name, text in texts.items()) or None,
        source=data if texts else formulas,
        refit=refit,
        inputs=inputs_of(given) | ({} if held is None else held.to_inputs()),
    )
    fit = Fit(LikelihoodReading(state, model.assembly, texts))
    if held is not None:
        held.warn()
    warn_about(fit)
    return fit


def _again(formulas: dict[str, str], given: dict[str, Any]) -> Fit:
    """The same fit with other formulas."""
    return mle(formulas=formulas, **given)


def _model(given: dict[str, Any], ready: DensitySpec | None, asked: Likelihood, where: Executor) -> Built:
    """The model of data in memory."""
    logpdf, formulas, data = (given[name] for name in ("logpdf", "formulas", "data"))
    if data is None and ready is None:
        return *general_model(logpdf, formulas, **_general(given, asked, where)), {}
    if data is None:
        raise ModelError(
            "data: expected a data frame, a dict of columns or a path; got None. Pass data= after the formulas"
        )
    density = _Density.of(ready, logpdf, formulas, asked)
    columns = _columns(density.taken, asked.columns, lambda: table_of(data).names)
    prepared = from_formulas(
        density.texts,
        data,
        columns=columns,
        without_intercept=density.without_intercept,
        storage=asked.storage,
        weights=given["weights"],
        groups=given["groups"],
        missing=asked.missing,
        varying=True,
    )
    model = density_model(
        ready, density.function, prepared, density.taken.parameters, asked.weights_kind, asked.penalty, where
    )
    first = _start(asked, model)
    if not any(part.varying for part in prepared.parts.values()):
        return model, first, density.texts
    from raphson.api.mle_varying import varying_likelihood

    parts = {name: prepared.parts[name] for name in density.taken.parameters}
    return varying_likelihood(model, parts, asked, first), None, density.texts


def _of_stream(
    given: dict[str, Any],
    ready: DensitySpec | None,
    flow: Source,
    asked: Likelihood,
    iteration: Iteration,
    fitted: Callable[[Built], Fit],
) -> Fit:
    """The fit of a density with formulas over streamed rows: without a first pass where the first sum can be one."""
    from raphson.data.several_streams import from_streams
    from raphson.data.supposed import begun_as_supposed, by_supposition, several_supposed
    from raphson.execute.journal import answering
    from raphson.model.likelihood.streamed_density import StreamedDensity
    from raphson.model.streamed import refuse_bias

    refuse_bias(asked.bias)
    density, elsewhere = _Density.of(ready, given["logpdf"], given["formulas"], asked), sums_elsewhere(iteration)
    options: dict[str, Any] = {
        "columns": _columns(density.taken, asked.columns, lambda: flow.names),
        "weights": given["weights"],
        "groups": given["groups"],
        "without_intercept": density.without_intercept,
        "keep": answering(iteration.executor),
    }

    def built(rows: StreamedSeveral) -> Built:
        more = (density.taken.parameters, asked.weights_kind, asked.penalty, executor_of(iteration))
        model = StreamedDensity.over(ready, density.function, rows, *more)
        return model, _start(asked, model), density.texts

    def suppose() -> StreamedSeveral | None:
        return several_supposed(density.texts, flow, **options)

    # Batches are no sums over all rows, and what is found by workers elsewhere stays there.
    if not elsewhere and resolve_method(given["method"]).solver not in ("batch", "cg"):
        found = by_supposition(suppose, built, fitted)
        if found is not None:
            return found
    rows = from_streams(density.texts, flow, missing=asked.missing, **options)
    return fitted(built(begun_as_supposed(rows, suppose) if elsewhere else rows))


def _general(given: dict[str, Any], asked: Likelihood, where: Executor) -> dict[str, Any]:
    """The options of the general form, a function that reads its columns by itself."""
    if asked.columns is not None:
        raise ModelError("columns: loglik(params, row) gets its columns as row.name; leave columns= out")
    options = {name: getattr(asked, name) for name in ("start", "derivatives", "weights_kind", "missing", "penalty")}
    return options | {"weights": given["weights"], "groups": given["groups"], "executor": where}


def _layout(start: Any) -> list[str] | None:
    """The names of the parameters, as far as there are any."""
    return list(Parameters.of(start, "start")[0].names) if isinstance(start, Mapping) and start else None


def _ready(logpdf: Any) -> DensitySpec | None:
    """The ready density that is meant; None for a function."""
    ready = resolve(logpdf) if isinstance(logpdf, str | DensitySpec) or callable(logpdf) else None
    if ready is None and not callable(logpdf):
        resolve(logpdf)  # raises an error that says what was expected
    return ready


def _start(asked: Likelihood, model: LikelihoodModel) -> np.ndarray | None:
    """The user's starting values."""
    return start_vector(_flat_start(asked.start, model.labels), model.objective.n_params)


@dataclass(frozen=True)
class _Density:
    """A density as the user gave it.

    Attributes
    ----------
    function : one row's log density.
    taken : its arguments.
    texts : the formula of each parameter.
    without_intercept : parameters whose intercept the cut points replace.
    """

    function: Callable[..., Any]
    taken: Signature
    texts: dict[str, str]
    without_intercept: tuple[str, ...]

    @staticmethod
    def of(ready: DensitySpec | None, logpdf: Any, formulas: Any, asked: Likelihood) -> _Density:
        if asked.derivatives == "finite":
            raise ModelError(
                'derivatives: "finite" works only in the general form, mle(loglik, data, start=...); '
                "write the likelihood as loglik(params, row)"
            )
        if ready is None:
            taken, function = signature_of(logpdf), logpdf
        else:
            taken, function = Signature(ready.parameters, ready.columns, ready.optional), ready.function
        without = ready.parameters[:1] if ready is not None and ready.cut_points else ()
        return _Density(function, taken, formulas_of(ready, taken, formulas), without)


def _columns(taken: Signature, columns: Any, names: Callable[[], Iterable[str]]) -> dict[str, str]:
    """The column or expression that each keyword of the density gets."""
    if columns is None:
        columns = {}
    if not isinstance(columns, Mapping):
        raise ModelError(
            f"columns: expected a dict from the density's keywords to columns, such as {{'event': 'died'}}; got "
            f"{one_line(columns)}"
        )
    for name in columns:
        if name not in taken.columns:
            known = f"its keywords are {', '.join(taken.columns)}" if taken.columns else "it has no keywords"
            meant = hint("keyword", str(name), taken.columns)
            raise ModelError(f"columns: the density has no keyword {name!r}; {known}.{meant}".removesuffix("."))
    there = set(names()) if taken.columns else set[str]()
    asked: dict[str, str] = {}
    for name in taken.columns:
        if name in columns:
            given = columns[name]
            asked[name] = str(float(given)) if isinstance(given, Real) and not isinstance(given, bool) else given
        elif name in there:
            asked[name] = name
        elif name not in taken.optional:
            raise DataError(
                f"data: the density needs a column {name!r} (an argument after *), which the data lack; add it, or "
                f'name another column in its place, as in columns={{"{name}": "..."}}, or give all rows one number, '
                f'as in columns={{"{name}": 1}}'
            )
    return asked


def _flat_start(start: Any, labels: tuple[str, ...]) -> Any:
    """Starting values in the density form: a vector, or a dict by coefficient or by parameter."""
    if not isinstance(start, Mapping):
        return start
    by_parameter: dict[str, list[str]] = {}
    for label in labels:
        by_parameter.setdefault(label.partition(":")[0], []).append(label)
    values = dict.fromkeys(labels, 0.0)
    for name, value in start.items():
        if name in values:
            values[name] = value
        elif name in by_parameter and np.size(value) == len(by_parameter[name]):
            values |= dict(zip(by_parameter[name], np.ravel(value), strict=True))
        else:
            raise ModelError(
                f"start: expected a number for each of {', '.join(labels)}, or as many as a parameter has "
                f"coefficients; got {name!r}: {one_line(value)}"
            )
    return list(values.values())
