"""Generalised linear models: build the model, maximise its log-likelihood, return a Fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

from raphson.api.arguments import (
    check_streamable,
    dispersion_rule,
    estimated,
    executor_of,
    inference_of,
    inputs_of,
    iteration_of,
    kept_in,
    model_data,
    rounding_of,
    start_vector,
    sums_elsewhere,
    warn_about,
)
from raphson.choices import (
    Bias,
    Covariance,
    Criterion,
    DispersionRule,
    FamilyName,
    Information,
    MethodName,
    Missing,
    SmallSample,
    StartRows,
    Storage,
    WeightsKind,
)
from raphson.data import streamed
from raphson.data.sources import Source
from raphson.errors import ModelError, named_arguments
from raphson.execute import Executor
from raphson.fit.fit import Fit
from raphson.fit.reading import Reading
from raphson.fit.state import FitState
from raphson.model.families import resolve
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.newton.estimate import Estimate
from raphson.newton.methods import resolve_method
from raphson.options import Inference, Iteration, LinearModel

if TYPE_CHECKING:
    from raphson.fit.levels import FitOfLevels
    from raphson.fit.many import Fits
    from raphson.model.families import Family

ONCE = ("formula", "names", "start", "progress", "checkpoint")
"""Arguments that another formula is not fitted with."""


@overload
def glm(
    formula: Any,
    data: Any = None,
    *,
    family: Literal["multinomial"],
    method: MethodName | str = "fisher-scoring",
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    penalty: Any = None,
    bias: Bias | None = None,
    criterion: Criterion | None = None,
    quadrature: int | None = None,
    information: Information = "expected",
    cov: Covariance | None = None,
    groups: Any = None,
    small_sample: SmallSample | None = "full",
    dispersion: DispersionRule | float | None = None,
    start: Any = None,
    rows: StartRows = "part",
    storage: Storage = "float64",
    by: None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> FitOfLevels: ...
@overload
def glm(
    formula: Any,
    data: Any = None,
    *,
    family: FamilyName | str | Family = "gaussian",
    method: MethodName | str = "fisher-scoring",
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    penalty: Any = None,
    bias: Bias | None = None,
    criterion: Criterion | None = None,
    quadrature: int | None = None,
    information: Information = "expected",
    cov: Covariance | None = None,
    groups: Any = None,
    small_sample: SmallSample | None = "full",
    dispersion: DispersionRule | float | None = None,
    start: Any = None,
    rows: StartRows = "part",
    storage: Storage = "float64",
    by: None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fit: ...
@overload
def glm(
    formula: Any,
    data: Any = None,
    *,
    by: Any,
    family: FamilyName | str | Family = "gaussian",
    method: MethodName | str = "fisher-scoring",
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    penalty: Any = None,
    bias: Bias | None = None,
    criterion: Criterion | None = None,
    quadrature: int | None = None,
    information: Information = "expected",
    cov: Covariance | None = None,
    groups: Any = None,
    small_sample: SmallSample | None = "full",
    dispersion: DispersionRule | float | None = None,
    start: Any = None,
    rows: StartRows = "part",
    storage: Storage = "float64",
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fits: ...
@named_arguments
def glm(
    formula: Any,
    data: Any = None,
    *,
    family: FamilyName | str | Family = "gaussian",
    method: MethodName | str = "fisher-scoring",
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    penalty: Any = None,
    bias: Bias | None = None,
    criterion: Criterion | None = None,
    quadrature: int | None = None,
    information: Information = "expected",
    cov: Covariance | None = None,
    groups: Any = None,
    small_sample: SmallSample | None = "full",
    dispersion: DispersionRule | float | None = None,
    start: Any = None,
    rows: StartRows = "part",
    storage: Storage = "float64",
    by: Any = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fit | Fits:
    """Fit a generalised linear model by maximum likelihood.

    Maximises ℓ(β) = Σ w_i log f(y_i | g⁻¹(x_iᵀβ + offset_i)) − ½ βᵀPβ at unit dispersion, by
    θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ) with the M of `method` (McCullagh and Nelder 1989, section 2.5).

    Parameters
    ----------
    formula : a formula such as ``"low ~ age + C(race)"``, or the response as an array (n,).
    data : with a formula, a data frame (pandas, polars, Arrow), a dict of columns, the path of a CSV, TSV, Parquet or
        Arrow file, or several Parquet files as a list, a folder or a pyarrow.dataset. Parquet data of more than 256 MB
        are streamed (:func:`raphson.stream`). With arrays, the design matrix X (n, p), used as given: no intercept is
        added.
    family : distribution of the response: a name, or an object such as ``rp.families.Gamma(link="log")``.
    method : how each step is computed: "newton", "fisher-scoring" (default), "irls", "bhhh", "newton-cg" or
        "gradient-descent"; or a first-order method that reads batches of 32 rows: "sgd", "momentum", "rmsprop", "adam".
    names : names of the columns of X.
    trials : group sizes of a binomial response, which then counts successes: a column name, an array (n,) or a number
        for all rows.
    offset : added to the linear predictor: a column name, an expression or an array (n,).
    weights : weight of each row, 0 or more: a column name or an array (n,).
    weights_kind : what a weight stands for: "precision" (Var = φ V(μ)/w), "frequency" (w copies of the row) or
        "sampling" (pseudo-likelihood).
    penalty : ridge penalty P: a number (spares the intercept), a vector (p,) or a matrix (p, p).
    bias : reduction of the estimates' bias, which keeps them finite under separation. "firth" removes the bias of
        order 1/n by adjusted scores (Firth 1993; Kosmidis and Firth 2009); in families with a dispersion, the bias of
        the coefficients, with Pearson's estimate of φ. "jeffreys" maximises ℓ(θ) + ½ log det I(θ), in families without
        a dispersion. With a canonical link the two are the same. With another link the adjusted scores are not the
        gradient of any function, so that only Wald tests and intervals exist.
    criterion : what is maximised where coefficients vary, by terms such as ``(1 | group)`` and ``s(x)``: "ml", the
        likelihood with the varying coefficients integrated out by Laplace's approximation, or "reml", with the other
        ones integrated out too. By default "reml" where there is a smooth function, else "ml".
    quadrature : nodes of Gauss-Hermite quadrature in place of Laplace's approximation, for each level: a check of it,
        for one coefficient a level, as in ``(1 | group)``, by ML. 25 are enough for most.
    information : Fisher information that the covariance uses: "expected" (default), "observed" or "opg".
    cov : covariance of the estimates: "model" (default; "HC0" with sampling weights), "HC0" to "HC3", "cluster", or
        "jackknife" (infinitesimal).
    groups : cluster of each row, for ``cov="cluster"``: a column name or an array (n,).
    small_sample : factor of ``cov="cluster"`` with G clusters: "full", G/(G − 1) * (n − 1)/(n − p), or "clusters",
        G/(G − 1) alone; None for no factor.
    dispersion : how the dispersion is estimated: "pearson" (default), "deviance" or "ml"; or its value, a number. Not
        for families with φ = 1.
    start : starting values, (p,).
    rows : rows of large data with which the iteration begins: part of them, or all. A part, which the first steps of
        ``fit.path`` show, saves most of the readings of all rows and does not move the maximum.
    storage : how the numbers of a large dense design are held: in 64 bits, or with "float32" in half the memory. All
        sums are of doubles, and ``fit.storage`` says by how many standard errors the rounding moved the estimates. An
        array of float32 is not copied then.
    by : column whose groups are fitted separately, each as if its rows were all there are; with arrays, the group of
        each row. The result is a :class:`raphson.fit.many.Fits`: a table with a status for each group. The columns of
        the design are those of all rows, so that a group that lacks a level of a factor has aliased ones.
    tol : distance to the maximum, in standard errors, at which one last full step is taken.
    max_iter : largest number of steps; of epochs, for methods that read batches.
    damping : damping of the first step, divided by 10 after each accepted one: τ, which does not move the maximum.
    learning_rate : first trial step size α.
    missing : what is done with rows that have missing values: "drop" (counted and reported) or "raise".
    seed : seed of the random numbers: the order in which some methods read the rows; 0 if not given.
    progress : whether to show the progress of the fit: on a terminal or in a notebook if it takes longer than a second,
        elsewhere as a line on standard error every ten seconds, of streamed data also within a pass; a function is
        called with each step's iteration and distance as keywords.
    executor : where sums over blocks are computed; ``rp.execute.threads()`` by default.
    checkpoint : file to which each pass over streamed data is saved. After an interruption the same call goes on from
        there, and gives the same bits.

    Returns
    -------
    Fit
        Or :class:`raphson.fit.many.Fits` with `by`.

    Raises
    ------
    DataError, FormulaError, ModelError
        If the data, the formula or an option cannot be used; the message names it and says what to do.
    ConvergenceError
        If the log-likelihood is not finite at the start.

    Warns
    -----
    ConvergenceWarning, SeparationWarning, RankWarning, MissingDataWarning
        The Fit is still useful, and its ``message`` says how.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"x": [1, 2, 3, 4, 5, 6], "y": [0, 0, 1, 0, 1, 1]}
    >>> fit = rp.glm("y ~ x", data, family="binomial")
    >>> fit.params.round(4).to_dict()
    {'Intercept': -4.2491, 'x': 1.214}
    >>> fit.converged, fit.n_iter
    (True, 4)
    """
    given = locals()
    asked, iteration, inference = LinearModel.of(given), iteration_of(given), inference_of(given)
    flow = streamed(data) if isinstance(formula, str) and asked.names is None else None
    with kept_in(asked.checkpoint, flow, "glm", given, iteration) as iteration:
        fitted = partial(_fit, given=given, asked=asked, iteration=iteration, inference=inference)
        if flow is not None and by is None:
            supposed = _fit_of_supposed(formula, flow, given, asked, iteration, fitted)
            if supposed is not None:
                return supposed
        model = _model(formula, data, flow, given, asked, iteration)
        if model.data.varying:
            from raphson.api.glm_varying import fit_varying

            return fit_varying(model, given, asked, iteration, inference, _refit(given))
        for name, given_for_these in (("criterion", criterion), ("quadrature", quadrature)):
            if given_for_these is not None:
                raise ModelError(
                    f"{name}: expected None where no coefficients vary; got {given_for_these!r}. Add a term such as "
                    "(1 | group) or s(x) to the formula, or leave it out"
                )
        if by is None:
            return fitted(model)
    from raphson.api.glm_by_group import fit_every_group
    from raphson.model.glm.groups import GroupedModel

    fits = fit_every_group(
        GroupedModel.of(model),
        partial(fitted, alone=False),
        asked,
        iteration,
        inference,
        dispersion_rule(asked.dispersion, model.family),
        start_vector(asked.start, model.objective.n_params),
        executor_of(iteration),
    )
    return fits.in_library_of(data)


def _fit(
    model: GeneralisedLinearModel,
    *,
    given: dict[str, Any],
    asked: LinearModel,
    iteration: Iteration,
    inference: Inference,
    alone: bool = True,
) -> Fit:
    """Fit a model; one that is not `alone` is that of a group, for which no other formula can be fitted."""
    found = estimated(
        model,
        iteration.seeded,
        start_vector(asked.start, model.objective.n_params),
        subsample=asked.rows == "part",
    )
    held = rounding_of(found, asked.storage)
    formula = given["formula"] if isinstance(given["formula"], str) else None
    refit = _refit(given) if alone else None
    state = FitState.of(
        found,
        model,
        method=resolve_method(iteration.method).name,
        inference=inference,
        dispersion=dispersion_rule(asked.dispersion, model.family),
        formula=formula,
        source=given["data"] if alone else None,
        refit=refit,
        inputs=inputs_of(given) | _merged(found) | ({} if held is None else held.to_inputs()),
    )
    fit = Fit(Reading(state))
    if held is not None:
        held.warn()
    warn_about(fit)
    return fit


def _refit(given: dict[str, Any]) -> Callable[..., Fit | Fits] | None:
    """What fits another formula with the same arguments; None for arrays."""
    if not isinstance(given["formula"], str):
        return None
    return partial(glm, **{name: value for name, value in given.items() if name not in ONCE})


def _crosses(given: dict[str, Any], asked: LinearModel, iteration: Iteration) -> bool:
    """Whether XᵀX of the rows as they are is an information that the method factorises."""
    method = resolve_method(iteration.method)
    plain = given["weights"] is None and asked.by is None and asked.bias is None and method.solver == "cholesky"
    return plain and resolve(asked.family).unit_information


def _merged(found: Estimate[GeneralisedLinearModel]) -> dict[str, float]:
    """The number of cells that the iteration read in place of the rows, for the summary."""
    merged = found.model.likelihood.responses
    # Methods that read batches read rows; they read the cells only to measure the distance at the end.
    if merged is None or found.result.path.steps[0].rows >= len(found.model.y):
        return {}
    return {"cells": float(len(merged[0]))}


def _model(
    formula: Any,
    data: Any,
    flow: Source | None,
    given: dict[str, Any],
    asked: LinearModel,
    iteration: Iteration,
) -> GeneralisedLinearModel:
    """The model of a formula or of arrays; a streaming one for data that do not fit into memory, from their source."""
    options = (asked.family, asked.weights_kind, asked.penalty, executor_of(iteration), asked.bias)
    if flow is None:
        read = model_data(formula, data, given, _crosses(given, asked, iteration), varying=True)
        return GeneralisedLinearModel.of(read, *options)
    if asked.by is not None:
        raise ModelError(
            "by: groups are fitted from data in memory, and these are streamed; read them into a data frame"
        )
    from raphson.data import from_stream
    from raphson.execute.journal import answering
    from raphson.model.glm.streamed import StreamedModel

    check_streamable(resolve_method(iteration.method))
    keep, extras = answering(iteration.executor), _extras(given)
    streamed_rows = from_stream(formula, flow, extras, asked.missing, keep)
    if sums_elsewhere(iteration):
        from raphson.data.supposed import begun_as_supposed, supposed

        streamed_rows = begun_as_supposed(streamed_rows, lambda: supposed(formula, flow, extras, keep))
    return StreamedModel.over(streamed_rows, *options)


def _extras(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that give a value for each row."""
    return {name: given[name] for name in ("weights", "offset", "trials", "groups")}


def _fit_of_supposed(
    formula: str,
    flow: Source,
    given: dict[str, Any],
    asked: LinearModel,
    iteration: Iteration,
    fitted: Callable[[GeneralisedLinearModel], Fit],
) -> Fit | None:
    """The fit of streamed rows that need no first pass; None where they need one."""
    from raphson.data.supposed import by_supposition, supposed
    from raphson.execute.journal import answering
    from raphson.model.glm.streamed import StreamedModel

    if resolve_method(iteration.method).solver in ("batch", "cg") or sums_elsewhere(iteration):
        return None  # batches are no sums over all rows, and what is found by workers elsewhere stays there
    options = (asked.family, asked.weights_kind, asked.penalty, executor_of(iteration), asked.bias)
    return by_supposition(
        lambda: supposed(formula, flow, _extras(given), answering(iteration.executor)),
        lambda rows: StreamedModel.over(rows, *options),
        fitted,
    )
