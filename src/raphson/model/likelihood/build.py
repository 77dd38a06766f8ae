"""From a user's density, formulas and data to a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np

from raphson.autodiff.trace import warn_of_single_precision
from raphson.compat import jax
from raphson.data.columns import RowSchema
from raphson.data.several import PartsSchema, SeveralData
from raphson.errors import DataError, ModelError
from raphson.execute import Executor
from raphson.hints import hint
from raphson.model.base import check_weights_kind
from raphson.model.likelihood.checks import compares_with_text, traced_errors
from raphson.model.likelihood.densities.ready import DENSITIES, DensitySpec
from raphson.model.likelihood.densities.signature import Signature
from raphson.model.likelihood.family import LikelihoodFamily, RowFunction, compiled_closed, compiled_rows
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.memory import cached_for
from raphson.model.penalty import penalty_matrix
from raphson.model.predictor import LinearPredictor
from raphson.model.replay.replay import accurate
from raphson.numeric import x64


def density_model(
    ready: DensitySpec | None,
    density: Callable[..., Any],
    data: SeveralData,
    parameters: tuple[str, ...],
    weights_kind: str,
    penalty: Any,
    executor: Executor,
) -> LikelihoodModel:
    """The model of a density with a formula for each of its `parameters`, in this order."""
    check_weights_kind(weights_kind)
    rows = DensityRows.of(data, parameters)
    rows.check(ready)
    levels = None
    if ready is not None:
        found = ready.faults(rows.y, rows.columns)
        ready.refuse_infinite(rows.name, found)
        levels = response_levels(ready, rows.name, data.response.levels, rows.y)
        ready.refuse(rows.name, found)
    return model_of_rows(ready, density, rows, levels, weights_kind, penalty, executor)


@dataclass(frozen=True)
class DensityRows:
    """Some rows as a density reads them.

    Attributes
    ----------
    data : with the parameters in the density's order.
    y : (n,) response: numbers, or codes of its levels.
    columns : (n,) or (n, d) each, what it reads besides, by keyword.
    """

    data: SeveralData
    y: np.ndarray
    columns: dict[str, np.ndarray]

    @staticmethod
    def of(data: SeveralData, parameters: tuple[str, ...]) -> DensityRows:
        data = replace(data, parts={name: data.parts[name] for name in parameters})
        columns = {name: np.ascontiguousarray(one.values) for name, one in data.columns.items()}
        return DensityRows(data, np.ascontiguousarray(data.response.values, dtype=float), columns)

    @property
    def name(self) -> str:
        """Name of the response."""
        return self.data.response.name

    def check(self, ready: DensitySpec | None) -> None:
        """Refuse several responses, and levels where a ready density expects numbers.

        Raises
        ------
        ModelError, DataError
        """
        if self.y.ndim != 1:
            raise ModelError(f"response {self.name!r}: a density takes one number for each row")
        if ready is not None:
            refuse_labels(ready, self.data)

    def coded(self, levels: tuple[str, ...] | None) -> np.ndarray:
        """(n,) the response, as codes of these levels where they are those of whole numbers."""
        if levels is None or self.data.response.levels is not None:
            return self.y
        return np.searchsorted(np.array(levels, dtype=float), self.y).astype(float)


def model_of_rows(
    ready: DensitySpec | None,
    density: Callable[..., Any],
    rows: DensityRows,
    levels: tuple[str, ...] | None,
    weights_kind: str,
    penalty: Any,
    executor: Executor,
) -> LikelihoodModel:
    """The model of rows that are known to be what the density expects, given the response's levels."""
    data, names = rows.data, tuple(rows.data.parts)
    levels = data.response.levels if levels is None else levels
    y, constants = rows.coded(levels), None
    if ready is not None:
        with np.errstate(all="ignore"):
            constants = ready.constants(y, rows.columns)
    n_cuts = len(levels) - 1 if ready is not None and ready.cut_points and levels is not None else 0
    labels = (*names, *_cut_names(levels, n_cuts))
    shapes = tuple(one.shape[1:] for one in rows.columns.values())
    family = _family(ready, density, tuple(rows.columns), labels, n_cuts, levels, shapes)
    matrices, design = _designs(data, n_cuts)
    widths = tuple(part.X.shape[1] for part in data.parts.values()) + (1,) * n_cuts
    named = [f"{name}:{term}" for name, part in data.parts.items() for term in part.names]
    model = LikelihoodModel(
        family,
        LikelihoodData.of(data),  # type: ignore[arg-type]
        y,
        data.weights,
        None,
        weights_kind,
        None,
        executor,
        linear=LinearPredictor(widths, design),
        matrices=matrices,
        offset=_offsets(data, len(labels)),
        extra=tuple(rows.columns.values()),
        labels=(*named, *_cut_names(levels, n_cuts)),
        constants=constants,
        assembly=f"from {len(labels)} linear predictor{'s' if len(labels) > 1 else ''}, one for each formula",
        term_columns=_terms_of(data),
    )
    if penalty is not None:
        intercepts = np.array([name.rpartition(":")[2] == "Intercept" for name in named] + [True] * n_cuts)
        model = replace(model, penalty=penalty_matrix(penalty, model.predictor.n_params, intercepts))
    return model


def with_rows(model: LikelihoodModel, rows: DensityRows) -> LikelihoodModel:
    """The model with other rows."""
    n_cuts = model.family.n_predictors - len(rows.data.parts)
    return replace(
        model,
        data=LikelihoodData.of(rows.data),  # type: ignore[arg-type]
        y=rows.coded(model.family.levels),
        weight=rows.data.weights,
        matrices=_designs(rows.data, n_cuts)[0],
        offset=_offsets(rows.data, model.family.n_predictors),
        extra=tuple(rows.columns.values()),
    )


def _family(
    ready: DensitySpec | None,
    density: Callable[..., Any],
    columns: tuple[str, ...],
    labels: tuple[str, ...],
    n_cuts: int,
    levels: tuple[str, ...] | None,
    shapes: tuple[tuple[int, ...], ...],
) -> LikelihoodFamily:
    named = ready.name if ready and DENSITIES.is_builtin(ready.name) else density
    recipe = (named, columns, len(labels) - n_cuts, n_cuts, levels is not None, shapes)
    return LikelihoodFamily(
        name=ready.name if ready else getattr(density, "__name__", "density"),
        labels=labels,
        ready=ready.name if ready else None,
        levels=levels,
        recipe=(density_parts, recipe),
        **density_parts(*recipe),
    )


def refuse_labels(ready: DensitySpec, data: SeveralData) -> None:
    """Refuse levels where a ready density expects numbers.

    Raises
    ------
    DataError
    """
    name, levels = data.response.name, data.response.levels
    if levels is not None and not ready.cut_points:
        raise DataError(
            f"response {name!r}: the {ready.name} density expects numbers; got the levels "
            f"{', '.join(map(repr, levels[:5]))}. Convert the column, or use 'ordered_logit' for ordered levels"
        )
    for keyword, column in data.columns.items():
        if column.labels is not None:
            # The codes of levels would make an event of whichever level is sorted last.
            raise DataError(
                f"{keyword}: the {ready.name} density expects numbers; {data.asked[keyword]} holds the levels "
                f"{', '.join(map(repr, column.labels[:5]))}. Convert the column, or say which counts, as in "
                f'columns={{"{keyword}": "status == \'dead\'"}}'
            )


def _designs(data: SeveralData, n_cuts: int) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The distinct design matrices, and which of them each predictor has; cut points are constants."""
    matrices: list[Any] = []
    design: list[int] = []
    for part in data.parts.values():
        place = next((d for d, X in enumerate(matrices) if X is part.X), len(matrices))
        if place == len(matrices):
            matrices.append(part.X)
        design.append(place)
    if n_cuts:
        design += [len(matrices)] * n_cuts
        matrices.append(np.ones((len(data.response.values), 1)))
    return tuple(matrices), tuple(design)


def _offsets(data: SeveralData, n_predictors: int) -> np.ndarray | None:
    """(K, n) offsets of all predictors; None if no formula has one."""
    given = [part.offset for part in data.parts.values()]
    if all(one is None for one in given):
        return None
    offset = np.zeros((n_predictors, len(data.response.values)))
    for k, one in enumerate(given):
        offset[k] = 0.0 if one is None else one
    return offset


def _terms_of(data: SeveralData) -> dict[str, tuple[int, ...]]:
    """The coefficients of each term of each formula, as positions in θ."""
    found: dict[str, tuple[int, ...]] = {}
    start = 0
    for name, part in data.parts.items():
        found |= {f"{name}:{term}": tuple(start + j for j in columns) for term, columns in part.terms.items()}
        start += part.X.shape[1]
    return found


def response_levels(
    ready: DensitySpec, name: str, levels: tuple[str, ...] | None, values: np.ndarray
) -> tuple[str, ...] | None:
    """The levels of a response in order: those that it has, or those of whole numbers by size; None for numbers.

    Raises
    ------
    ModelError
        If an ordered density has no levels, or fewer than two.
    """
    if not ready.cut_points:
        return levels
    if levels is None:
        if (values != np.round(values)).any():
            raise ModelError(
                f"response {name!r}: an ordered density expects levels: an ordered categorical column, or whole numbers"
            )
        levels = tuple(f"{value:.0f}" for value in np.unique(values))
    if len(levels) < 2:
        raise ModelError(f"response {name!r}: an ordered density expects at least two levels; got {list(levels)}")
    return levels


def _cut_names(levels: tuple[str, ...] | None, n_cuts: int) -> tuple[str, ...]:
    names = levels if levels is not None else tuple(map(str, range(n_cuts + 1)))
    return tuple(f"{names[j]}|{names[j + 1]}" for j in range(n_cuts))


def density_parts(
    density: str | Callable[..., Any],
    columns: tuple[str, ...],
    n_parameters: int,
    n_cuts: int,
    coded: bool,
    shapes: tuple[tuple[int, ...], ...],
) -> dict[str, Any]:
    """What :class:`LikelihoodFamily` needs of a density, traced and compiled, by the names of its attributes.

    Parameters
    ----------
    density : the user's, or the name of a ready one.
    columns, shapes : the columns that it reads besides the response, and the shape of each in a row.
    n_parameters, n_cuts : numbers of its predictors, and of the cut points after them.
    coded : whether the response is the code of a level.
    """
    if isinstance(density, str):
        ready = DENSITIES[density]
        parts = _density_rows(ready.function, columns, n_parameters, n_cuts, coded, None)
        if ready.rows is None:
            return parts
        rows = ready.rows
        return parts | {
            "closed": cached_for(rows, "closed", lambda: compiled_closed(rows)),
            "constant": ready.constant,
        }
    return _density_rows(density, columns, n_parameters, n_cuts, coded, shapes)


def _density_rows(
    density: Callable[..., Any],
    columns: tuple[str, ...],
    n_parameters: int,
    n_cuts: int,
    coded: bool,
    shapes: tuple[tuple[int, ...], ...] | None,
) -> dict[str, Any]:
    """The row function of a density, its compiled rows, and its traced original; without shapes it is not traced."""

    def row_density(eta: Any, row: tuple[Any, ...]) -> Any:
        predictors = [eta[k] for k in range(n_parameters)]
        if n_cuts:
            predictors.append(eta[n_parameters:])
        y = row[0].astype(int) if coded else row[0]
        return density(y, *predictors, **dict(zip(columns, row[1:], strict=True)))

    if shapes is None:
        key = (columns, n_cuts, coded)
        return cached_for(density, key, lambda: {"function": row_density, "step": compiled_rows(row_density)})
    name = getattr(density, "__name__", "logpdf")
    compares_with_text(density, name, columns)
    traced = trace_row(row_density, n_parameters + n_cuts, shapes, name)

    def make() -> dict[str, Any]:
        again = accurate(traced)

        def replayed(eta: Any, row: tuple[Any, ...]) -> Any:
            return again(eta, *row)[0]

        def origin(theta: np.ndarray, eta: np.ndarray, row: tuple[Any, ...]) -> tuple[Any, list[Any]]:
            return traced, [eta, *row]

        return {
            "function": replayed,
            "step": compiled_rows(replayed),
            "origin": origin,
            "identity": identity_of(traced),
        }

    return cached_for(density, (columns, n_cuts, coded, shapes, fingerprint(traced)), make)


def fingerprint(jaxpr: Any) -> Any:
    """A key that identifies a traced function: what a function closes over may have changed since the last trace."""
    return str(jaxpr), tuple(np.asarray(one).tobytes() for one in jaxpr.consts)


def identity_of(traced: Any) -> str:
    """A digest of a traced function that is the same in other processes: places in memory do not count."""
    text, constants = fingerprint(traced)
    return sha256(b"".join([re.sub("0x[0-9a-f]+", "", text).encode(), *constants])).hexdigest()


def trace_row(function: RowFunction, K: int, shapes: tuple[tuple[int, ...], ...], what: str) -> Any:
    """Trace the density of one row; errors name the user's line."""
    with x64(), traced_errors(what):
        number = jax.ShapeDtypeStruct((), np.float64)
        columns = tuple(jax.ShapeDtypeStruct(shape, np.float64) for shape in shapes)
        eta = jax.ShapeDtypeStruct((K,), np.float64)

        def flat(eta: Any, *row: Any) -> Any:
            return function(eta, row)

        traced, out = jax.make_jaxpr(flat, return_shape=True)(eta, number, *columns)
        again = jax.make_jaxpr(lambda *inputs: flat(*inputs))(
            eta, number, *columns
        )  # a new lambda: JAX caches by function
    check_scalar(out, what)
    check_pure(traced, again, what)
    warn_of_single_precision(traced, what)
    return traced


def check_pure(traced: Any, again: Any, what: str) -> None:
    """Refuse a function that gives something else when it is called again."""
    if fingerprint(traced) != fingerprint(again):
        raise ModelError(
            f"{what}: expected the same values for the same arguments; got different ones in a second call, as from "
            "random numbers or from changing something outside the function. Draw random numbers beforehand, as columns"
        )


def check_scalar(out: Any, what: str) -> None:
    """Refuse a function that gives anything but one real number for a row."""
    shape = getattr(out, "shape", None)
    if shape is None:
        raise ModelError(f"{what}: expected one number for each row; it returned a {type(out).__name__}")
    if shape != ():
        raise ModelError(
            f"{what}: expected one number for each row; it returned an array of shape {shape}. It is called with one "
            "row at a time: leave out sums over rows, and sum over the elements within a row"
        )
    if not np.issubdtype(out.dtype, np.floating):
        raise ModelError(
            f"{what}: expected a log density, a real number; it returned {out.dtype}, which has no derivative. "
            "Check whether some branch returns a constant"
        )


@dataclass(frozen=True)
class LikelihoodData:
    """The data of a likelihood as the Fit reads them, with the names of :class:`raphson.data.ModelData`.

    Attributes
    ----------
    schema : how the designs of new rows are made.
    """

    weights: np.ndarray | None
    index: np.ndarray | None
    n_dropped: int
    labels: Any
    response: Any
    groups: np.ndarray | None
    has_intercept: bool
    schema: Any
    offset: np.ndarray | None = None
    trials: np.ndarray | None = None
    terms: dict[str, tuple[int, ...]] = field(default_factory=dict)
    watch: Any = None

    @staticmethod
    def of(data: Any) -> LikelihoodData:
        """From the data of the density form or of the general form."""
        has_intercept = any(part.has_intercept for part in getattr(data, "parts", {}).values())
        if isinstance(data, SeveralData):
            read = {name: (data.asked[name], column.labels) for name, column in data.columns.items()}
            schema: Any = PartsSchema(data.parts, read)
        else:
            coded = {name: one.labels for name, one in data.columns.items() if one.labels is not None}
            schema = RowSchema(tuple(data.columns), coded)
        return LikelihoodData(
            data.weights,
            data.index,
            data.n_dropped,
            data.labels,
            data.response,
            data.groups,
            has_intercept,
            schema,
            watch=data.watch,
        )

    def subset(self, rows: slice | np.ndarray) -> LikelihoodData:
        """The same for some of the rows."""
        return replace(self, weights=None if self.weights is None else np.ascontiguousarray(self.weights[rows]))


def formulas_of(ready: DensitySpec | None, taken: Signature, formulas: Any) -> dict[str, str]:
    """A formula for each parameter of the density: first the one with the response, then the others in its order.

    Raises
    ------
    ModelError
        If a formula is for an unknown parameter, or a parameter has none.
    """
    if isinstance(formulas, str) and ready is not None:
        formulas = {ready.parameters[0]: formulas}
    if not isinstance(formulas, Mapping) or not formulas:
        raise ModelError(
            "formulas: expected a dict of a formula for each parameter, such as "
            f"{{{taken.parameters[0]!r}: 'y ~ x', ...}}; got {formulas!r}"
        )
    found: dict[str, str] = {}
    for name, text in formulas.items():
        full = ready.full_name(name) if ready is not None else name if name in taken.parameters else None
        if full is None:
            short = [one.partition("_")[2] for one in taken.parameters] if ready is not None else []
            meant = hint("density", str(name), [*taken.parameters, *filter(None, short)])
            raise ModelError(
                f"formulas: the density has no parameter {name!r}; its parameters are {', '.join(taken.parameters)}"
                + (f".{meant}" if meant else "")
            )
        found[full] = text
    absent = [name for name in taken.parameters if name not in found]
    if absent and ready is None:
        raise ModelError(
            f"formulas: expected one for each parameter; got none for {', '.join(absent)}. Write '~ 1' for a constant"
            + (f", or make {absent[0]} keyword-only (after *) if it is a column" if len(absent) == 1 else "")
        )
    found |= dict.fromkeys(absent, "~ 1")
    texts = {name: str(text) for name, text in found.items()}
    first = next((name for name, text in texts.items() if text.partition("~")[0].strip()), next(iter(texts)))
    return {name: texts[name] for name in (first, *(name for name in taken.parameters if name != first))}
