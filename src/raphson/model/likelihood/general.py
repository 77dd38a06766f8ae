"""The general form of a likelihood: loglik(params, row), with a nested dict of parameters and any columns.

It is traced once, for one row. Where its parameters act only through a few linear predictors, these are the model's
(:mod:`raphson.model.likelihood.predictors`); otherwise every parameter is a predictor of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from raphson.autodiff.trace import warn_of_single_precision
from raphson.compat import jax, jnp, text_of
from raphson.compiled import compiled
from raphson.data.columns import Columns, ColumnsByName, RowData, from_columns
from raphson.data.extras import Column
from raphson.errors import ModelError, RaphsonError
from raphson.execute import Executor
from raphson.model.base import check_weights_kind
from raphson.model.likelihood import checks
from raphson.model.likelihood.build import LikelihoodData, check_pure, check_scalar, fingerprint, identity_of
from raphson.model.likelihood.family import LikelihoodFamily, RowFunction, compiled_rows
from raphson.model.likelihood.found_designs import DesignShape, found_designs
from raphson.model.likelihood.model import LikelihoodModel, ParameterPredictor, SharedPredictor
from raphson.model.likelihood.predictors import Cut, cut
from raphson.model.memory import cached_for
from raphson.model.parameters import Parameters
from raphson.model.penalty import penalty_matrix
from raphson.model.replay.replay import accurate
from raphson.numeric import TINY, anchor, x64

AGREEMENT = 1e-9
"""How closely the derivatives by predictors have to agree with the direct ones, relative to the largest. Both are
exact, so that only rounding distinguishes them: terms seven digits larger than their sum may cancel."""

CHECKED_ROWS = 8
"""Rows on which this is looked at, evenly spread."""


class _TracedRow:
    """A row that is being traced, by attribute or by key: its columns are inputs of the trace."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise _ColumnNeeded(name)
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]


class _ColumnNeeded(RaphsonError):  # noqa: N818 - not an error: names a column to add
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class TracedLikelihood:
    """A traced likelihood.

    Attributes
    ----------
    jaxpr : of f(θ leaves..., columns...).
    used : the columns, in order.
    """

    jaxpr: Any
    used: tuple[str, ...]


@dataclass(eq=False)
class EvaluationPlan:
    """The compiled forms of a traced likelihood, made once for a function and the shapes of what it reads."""

    traced: TracedLikelihood
    layout: Parameters
    agreed: bool | None = None
    """Whether the cut agrees with the function itself; None before the check."""
    made_of: tuple[Any, dict[str, Column]] | None = None
    """A weak reference to the function, and its columns without their rows, to make the plan in another process."""
    _columns: dict[Any, Any] = field(default_factory=dict)

    def for_workers(self) -> PlanOfWorkers:
        """What another process traces: the function, not its traced code."""
        assert self.made_of is not None
        function, cells = self.made_of
        return PlanOfWorkers(function(), self.layout, cells)

    @cached_property
    def indexed(self) -> checks.IndexedElements:
        """The elements of parameters that rows read by index."""
        return checks.IndexedElements.of(self.traced.jaxpr, self.layout)

    @cached_property
    def identity(self) -> str:
        """A digest of the traced function, by which a checkpoint tells it from others."""
        return identity_of(self.traced.jaxpr)

    @cached_property
    def _digest(self) -> str | None:
        text = text_of(self.traced.jaxpr)
        return None if text is None else hashlib.sha256(text.encode()).hexdigest()

    def source(self, what: str) -> str | None:
        """All that a compiled form depends on, for other processes; None if it is not known."""
        return None if self._digest is None else f"likelihood {self._digest}: {what}"

    @cached_property
    def again(self) -> Callable[..., list[Any]]:
        """The traced function with its special functions replaced by accurate ones."""
        return accurate(self.traced.jaxpr, len(self.layout.paths))

    def origin(self, theta: np.ndarray, eta: np.ndarray, row: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """The traced function itself, and its inputs."""
        return self.traced.jaxpr, [*self.layout.split(theta), *row]

    def whole(self, theta: Any, row: tuple[Any, ...]) -> Any:
        """The log-likelihood of one row at θ (p,)."""
        return self.again(*self.layout.split(theta), *row)[0]

    @cached_property
    def whole_step(self) -> Any:
        """Compiled rows with every parameter as a predictor."""
        return compiled_rows(self.whole)

    @cached_property
    def cut(self) -> Cut | None:
        """The predictors through which the parameters act; None if they are not fewer than the parameters."""
        return cut(self.traced.jaxpr, len(self.layout.paths))

    def eta(self, theta: Any, row: tuple[Any, ...]) -> Any:
        """The predictors (K,) of the cut, of one row at θ (p,)."""
        assert self.cut is not None
        return self.cut.predictors(self.layout.split(theta), row)

    @cached_property
    def cut_step(self) -> Any:
        """Compiled rows of the predictors of the cut."""
        assert self.cut is not None
        return compiled_rows(self.cut.remainder, self.source("rows by predictors"))

    def parts(self, whole: bool) -> dict[str, Any]:
        """What :class:`LikelihoodFamily` needs, by attribute; if `whole`, with every parameter as a predictor."""
        if whole:
            return {"function": self.whole, "step": self.whole_step, "origin": self.origin}
        assert self.cut is not None
        return {"function": self.cut.remainder, "step": self.cut_step, "origin": self.origin}

    @cached_property
    def derivative(self) -> Any:
        """Compiled (columns) -> (η at θ = 0 (m, K), ∂η/∂θ (m, K, p)) of the cut."""

        def both(row: tuple[Any, ...], anchor: Any) -> tuple[Any, Any]:
            del anchor
            zero = jnp.zeros(self.layout.size)
            one = jax.vmap(self.eta, in_axes=(None, 0))(zero, row)
            return one, jax.vmap(jax.jacrev(self.eta), in_axes=(None, 0))(zero, row)

        return compiled(both, once=True, source=self.source("predictors"))

    def columns(self, shape: DesignShape) -> Any:
        """Compiled (columns) -> (η at θ = 0 (K, m), the distinct designs (p_k, m)) of the cut."""
        where, first = shape.supports, tuple(dict.fromkeys(shape.first))
        key = (tuple((where[k].start, where[k].stop) for k in first), first, shape.shifted)
        if key not in self._columns:
            self._columns[key] = self._compiled_columns(key)
        return self._columns[key]

    def _compiled_columns(self, key: tuple[Any, ...]) -> Any:
        ranges, first, shifted = key

        def both(row: tuple[Any, ...], anchor: Any) -> tuple[Any, Any]:
            del anchor
            zero = jnp.zeros(self.layout.size)
            J = jax.vmap(jax.jacrev(self.eta), in_axes=(None, 0))(zero, row)
            parts = tuple(J[:, k, start:stop].T for k, (start, stop) in zip(first, ranges, strict=True))
            return jax.vmap(self.eta, in_axes=(None, 0), out_axes=1)(zero, row) if shifted else jnp.zeros((1, 1)), parts

        return compiled(both, source=self.source(f"designs {key}"))


@dataclass(frozen=True)
class PlanOfWorkers:
    """An :class:`EvaluationPlan` as it is sent; where it arrives it is one."""

    loglik: Callable[..., Any]
    layout: Parameters
    cells: dict[str, Column]

    def __reduce__(self) -> Any:
        return traced_plan, (self.loglik, self.layout, self.cells)


def general_model(
    loglik: Callable[..., Any],
    data: Any,
    start: Any,
    derivatives: str,
    *,
    weights: Any,
    weights_kind: str,
    groups: Any,
    missing: str,
    penalty: Any,
    executor: Executor,
) -> tuple[LikelihoodModel, np.ndarray]:
    """The model of loglik(params, row), and its starting values.

    Raises
    ------
    ModelError
        If the function cannot be traced, does not return a number, or indexes a parameter beyond its end.
    DataError
        If it reads a column that is not there.
    """
    check_weights_kind(weights_kind)
    name = name_of_function(loglik)
    layout, theta = parameters_of(start)
    if data is None:
        raise ModelError(f"data: expected a data frame, a dict of columns or a path; got None. Pass it after {name}")
    columns = Columns(data)
    extras = {"weights": weights, "groups": groups, "missing": missing}
    if derivatives == "finite":
        from raphson.model.likelihood.finite import finite_family

        family, rows = finite_family(loglik, name, layout, columns, theta, extras)
        model = parameter_model(family, rows, layout, weights_kind, executor, "by finite differences, row by row")
        return penalised(model, penalty), theta
    checks.compares_with_text(loglik, name)
    traced = trace_likelihood(loglik, name, layout, columns)
    rows = from_columns(columns, traced.used, **extras)
    plan = plan_of(loglik, layout, traced)
    checks.check_indices(plan.indexed, name, arrays_of(rows), layout, lambda: rows.index)
    cells = {one: replace(columns[one], values=columns[one].values[:0]) for one in traced.used}
    family = family_of(plan, loglik, name, cells)
    model = traced_model(plan, family, rows, agrees(plan, arrays_of(rows), theta), weights_kind, executor)
    return penalised(model, penalty), theta


def name_of_function(loglik: Callable[..., Any]) -> str:
    """What messages call a likelihood."""
    return str(getattr(loglik, "__name__", "loglik"))


def parameters_of(start: Any) -> tuple[Parameters, np.ndarray]:
    """The structure of the starting values, and their vector.

    Raises
    ------
    ModelError
        If there are none, or they are not a dict of finite numbers, arrays and dicts.
    """
    if start is None:
        raise ModelError(
            "start: expected a dict of parameters with starting values, such as "
            "start={'beta': np.zeros(3), 'log_sigma': 0.0}; got None"
        )
    return Parameters.named(start)


def arrays_of(rows: RowData) -> tuple[np.ndarray, ...]:
    """The columns of some rows as a traced likelihood takes them."""
    return tuple(np.ascontiguousarray(one.values) for one in rows.columns.values())


def family_of(
    plan: EvaluationPlan, loglik: Callable[..., Any], name: str, cells: dict[str, Column]
) -> LikelihoodFamily:
    """The family with every parameter as a predictor, without its compiled rows; `cells` are the empty columns."""
    return LikelihoodFamily(
        name,
        plan.whole,
        plan.layout.names,
        None,
        False,
        origin=plan.origin,
        identity=plan.identity,
        recipe=(likelihood_parts, (loglik, plan.layout, cells, True)),
    )


def traced_model(
    plan: EvaluationPlan,
    family: LikelihoodFamily,
    rows: RowData,
    by_cut: bool,
    weights_kind: str,
    executor: Executor,
    shape: DesignShape | None = None,
) -> LikelihoodModel:
    """The model of rows, with the predictors of the cut if `by_cut`; of some of many rows the `shape` is known."""
    if by_cut:
        return _assembled(plan, family, rows, weights_kind, executor, shape)
    family = replace(family, step=plan.whole_step)
    how = "row by row, from second derivatives by all parameters"
    return replace(parameter_model(family, rows, plan.layout, weights_kind, executor, how), extra=arrays_of(rows))


def plan_of(loglik: Callable[..., Any], layout: Parameters, traced: TracedLikelihood) -> EvaluationPlan:
    """The plan of a traced likelihood, cached with the function."""
    key = ("general", layout, traced.used, fingerprint(traced.jaxpr))
    return cached_for(loglik, key, lambda: EvaluationPlan(traced, layout))


def likelihood_parts(
    loglik: Callable[..., Any], layout: Parameters, cells: dict[str, Column], whole: bool
) -> dict[str, Any]:
    """What :class:`LikelihoodFamily` needs of loglik(params, row); `cells` are its columns without their rows."""
    return traced_plan(loglik, layout, cells).parts(whole)


def traced_plan(loglik: Callable[..., Any], layout: Parameters, cells: dict[str, Column]) -> EvaluationPlan:
    """The plan of a function that is traced with `cells`, its columns without their rows."""
    traced = trace_likelihood(loglik, name_of_function(loglik), layout, cells)
    return plan_of(loglik, layout, traced)


def trace_likelihood(
    loglik: Callable[..., Any], name: str, layout: Parameters, columns: ColumnsByName
) -> TracedLikelihood:
    """Trace one row, again with one more input whenever the function reads another column."""
    used: list[str] = []
    lacking: list[_ColumnNeeded] = []
    while True:
        try:
            with x64(), checks.traced_errors(name):
                leaves = [jax.ShapeDtypeStruct(shape, np.float64) for shape in layout.shapes]
                cells = [_cell(columns[one]) for one in used]

                def flat(*inputs: Any) -> Any:
                    params = layout.build(inputs[: len(layout.paths)])
                    row = _TracedRow(dict(zip(used, inputs[len(layout.paths) :], strict=True)))
                    return loglik(params, row)

                def noting(*inputs: Any) -> Any:
                    try:
                        return flat(*inputs)
                    except _ColumnNeeded as needed:  # JAX takes 5 ms to tidy up the traceback of an error
                        lacking.append(needed)
                        return 0.0

                jaxpr, out = jax.make_jaxpr(noting, return_shape=True)(*leaves, *cells)
                if lacking:
                    raise lacking.pop()
                again = jax.make_jaxpr(lambda *inputs: flat(*inputs))(
                    *leaves, *cells
                )  # a new lambda: JAX caches by function
        except _ColumnNeeded as needed:
            if needed.name in used:
                raise
            columns[needed.name]  # raises where there is none
            used.append(needed.name)
            continue
        check_scalar(out, name)
        check_pure(jaxpr, again, name)
        warn_of_single_precision(jaxpr, name)
        if not used:
            raise ModelError(
                f"{name}: it reads no column of the row, so that every row has the same likelihood; read the data from "
                "row"
            )
        return TracedLikelihood(jaxpr, tuple(used))


def _cell(column: Column) -> Any:
    whole = column.labels is not None or column.values.dtype.kind in "iub"  # codes are whole in the rows that are used
    return jax.ShapeDtypeStruct(column.values.shape[1:], np.int64 if whole else np.float64)


def _model(
    family: LikelihoodFamily, rows: RowData, weights_kind: str, executor: Executor, **parts: Any
) -> LikelihoodModel:
    data: Any = LikelihoodData.of(rows)
    return LikelihoodModel(
        family, data, np.zeros(rows.n_rows), rows.weights, None, weights_kind, None, executor, **parts
    )


def parameter_model(
    family: LikelihoodFamily, rows: RowData, layout: Parameters, weights_kind: str, executor: Executor, assembly: str
) -> LikelihoodModel:
    p = layout.size
    parts = {"linear": ParameterPredictor((1,) * p, (0,) * p), "matrices": (np.ones((rows.n_rows, 1)),)}
    return _model(family, rows, weights_kind, executor, labels=layout.names, assembly=assembly, **parts)


def penalised(model: LikelihoodModel, penalty: Any) -> LikelihoodModel:
    """The model with the user's penalty."""
    if penalty is None:
        return model
    p = model.predictor.n_params
    return replace(model, penalty=penalty_matrix(penalty, p, np.zeros(p, dtype=bool)))


def _assembled(
    plan: EvaluationPlan,
    family: LikelihoodFamily,
    rows: RowData,
    weights_kind: str,
    executor: Executor,
    shape: DesignShape | None,
) -> LikelihoodModel:
    """The model with the predictors of the cut."""
    assert plan.cut is not None and family.recipe is not None
    K, arrays = plan.cut.n_predictors, arrays_of(rows)
    found = found_designs(plan.derivative, arrays, K, plan.layout.size, shape)
    make, (*given, _) = family.recipe
    family = replace(
        family,
        labels=tuple(f"predictor {k + 1}" for k in range(K)),
        recipe=(make, (*given, False)),
        **plan.parts(False),
    )
    (matrices, design), supports = found.distinct, found.supports
    widths = tuple(part.stop - part.start for part in supports)
    return _model(
        family,
        rows,
        weights_kind,
        executor,
        linear=SharedPredictor(widths, design, tuple(supports), plan.layout.size),
        matrices=matrices,
        offset=found.offset,
        extra=arrays,
        labels=plan.layout.names,
        assembly=f"from {K} linear predictor{'s' if K > 1 else ''} found in the function",
    )


def agrees(plan: EvaluationPlan, arrays: tuple[np.ndarray, ...], theta: np.ndarray) -> bool:
    """Whether the predictors of the cut are fewer than the parameters, and agree with the function on some rows."""
    if plan.cut is None:
        return False
    if plan.agreed is None:
        plan.agreed = _agrees(plan, arrays, theta)
    return plan.agreed


def _agrees(plan: EvaluationPlan, arrays: tuple[np.ndarray, ...], theta: np.ndarray) -> bool:
    """Whether the cut gives the same values, gradients and Hessian products as the function, for some rows."""
    assert plan.cut is not None
    n = len(arrays[0])
    chosen = np.unique(np.linspace(0, n - 1, min(n, CHECKED_ROWS)).astype(int))
    row = tuple(one[chosen] for one in arrays)
    rng = np.random.default_rng(0)
    found = plan.cut
    try:
        with x64():

            def through(theta: Any, row: tuple[Any, ...]) -> Any:
                return found.remainder(plan.eta(theta, row), row)

            def three(theta: Any, v: Any, row: tuple[Any, ...], anchor: Any) -> tuple[tuple[Any, ...], ...]:
                """Value, gradient and the Hessian's product with a random vector, by row, of both functions."""

                def one(function: RowFunction, theta: Any, v: Any, row: tuple[Any, ...]) -> tuple[Any, ...]:
                    gradient, product = jax.jvp(lambda t: jax.grad(function)(t, row), (theta,), (v,))
                    return function(theta, row), gradient, product

                by_row = (None, None, 0)
                return tuple(jax.vmap(partial(one, f), in_axes=by_row)(theta, v, row) for f in (plan.whole, through))

            checked = compiled(three, once=True, source=plan.source("agreement"))
            for point in (theta, theta + 0.1 * rng.normal(size=len(theta))):
                v = rng.normal(size=len(theta))
                for pair in zip(*checked(point, v, row, anchor()), strict=True):
                    a, b = map(np.asarray, pair)
                    same = np.isfinite(a) == np.isfinite(b)
                    a, b = np.where(np.isfinite(a), a, 0.0), np.where(np.isfinite(b), b, 0.0)
                    if not same.all() or np.abs(a - b).max() > AGREEMENT * max(np.abs(a).max(), TINY):
                        return False
    except Exception:  # whatever goes wrong with the cut, the direct way remains
        return False
    return True
