"""The general form of a likelihood, loglik(params, row), over streamed rows; see :mod:`raphson.model.streamed`.

The function is traced on the first rows, which tells the columns that it reads; only these are read from the files.
The designs of the predictors that are found in it are computed again for each piece that is read.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raphson.data.blocks import block_rows
from raphson.data.column_streams import FirstRows, StreamedColumns, columns_from_stream
from raphson.data.columns import RowData
from raphson.data.extras import counted
from raphson.data.sources import Source
from raphson.errors import ModelError
from raphson.execute import Executor
from raphson.execute.journal import answering
from raphson.model.base import check_weights_kind
from raphson.model.likelihood import checks
from raphson.model.likelihood.build import LikelihoodData
from raphson.model.likelihood.found_designs import (
    DesignShape,
    FoundDesigns,
    affordable,
    every_parameter,
    found_designs,
    piece_designs,
    settled,
    shape_of,
)
from raphson.model.likelihood.general import (
    EvaluationPlan,
    TracedLikelihood,
    agrees,
    arrays_of,
    family_of,
    name_of_function,
    parameter_model,
    parameters_of,
    penalised,
    plan_of,
    trace_likelihood,
    traced_model,
)
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.likelihood.streamed import StreamedLikelihood, check_size, without_rows
from raphson.model.likelihood.streamed_finite import columns_read, finite_family_of_pieces
from raphson.model.parameters import Parameters
from raphson.model.streamed import summed_pieces


@dataclass(frozen=True)
class GeneralTotals:
    """Sums over all rows.

    Attributes
    ----------
    positive : number of rows of positive weight.
    count : sum of the weights.
    shape : of the designs; None where every parameter is a predictor.
    """

    positive: int
    count: float
    shape: DesignShape | None

    def __add__(self, other: GeneralTotals) -> GeneralTotals:
        shape = None if self.shape is None or other.shape is None else self.shape + other.shape
        return GeneralTotals(self.positive + other.positive, self.count + other.count, shape)

    @staticmethod
    def of(rows: RowData, shape: DesignShape | None) -> GeneralTotals:
        """Those of some rows."""
        return GeneralTotals(*counted(rows.weights, rows.n_rows), shape)


@dataclass(frozen=True)
class StreamedGeneral(StreamedLikelihood):
    """loglik(params, row) over streamed rows.

    Attributes
    ----------
    plan : the compiled forms of the function; None if it is not traced.
    """

    streamed: StreamedColumns | None = None
    totals: GeneralTotals | None = None
    plan: EvaluationPlan | None = None

    def with_rows(self, model: LikelihoodModel, data: RowData) -> LikelihoodModel:
        assert self.totals is not None
        arrays, shape = arrays_of(data), self.totals.shape
        given = {
            "data": LikelihoodData.of(data),
            "y": np.zeros(data.n_rows),
            "weight": data.weights,
            "extra": arrays,
        }
        if shape is None:
            return replace(model, **given, matrices=(np.ones((data.n_rows, 1)),))
        assert self.plan is not None
        found = _designs(self.plan, arrays, shape)
        return replace(model, **given, matrices=found.distinct[0], offset=found.offset)


def streamed_general(
    loglik: Callable[..., Any],
    source: Source,
    start: Any,
    derivatives: str,
    *,
    weights: Any,
    weights_kind: str,
    groups: Any,
    missing: str,
    penalty: Any,
    executor: Executor,
) -> tuple[StreamedLikelihood, np.ndarray]:
    """The model of loglik(params, row) over streamed rows, and its starting values.

    Raises
    ------
    ModelError, DataError
        As :func:`raphson.model.likelihood.general.general_model`.
    """
    check_weights_kind(weights_kind)
    name = name_of_function(loglik)
    layout, theta = parameters_of(start)
    given = {"weights": weights, "groups": groups, "missing": missing, "keep": answering(executor)}
    if derivatives == "finite":
        data = columns_from_stream(
            columns_read(loglik, name, layout, FirstRows(source, given["keep"]), theta), source, **given
        )
        family = finite_family_of_pieces(loglik, name, layout, data, theta)
        check_size(layout.size, source.piece_rows)
        totals = summed_pieces(data, lambda rows: GeneralTotals.of(rows, None), executor, "totals")
        how = "by finite differences, row by row"
        part = replace(
            parameter_model(family, data.sample, layout, weights_kind, executor, how), extra=arrays_of(data.sample)
        )
        return _without_rows(penalised(part, penalty), data, totals, None), theta
    checks.compares_with_text(loglik, name)
    traced, data = _read(loglik, name, layout, source, given)
    plan = plan_of(loglik, layout, traced)
    plan.made_of = weakref.ref(loglik), data.cells
    by_cut = agrees(plan, arrays_of(data.sample), theta)
    K = plan.cut.n_predictors if by_cut and plan.cut is not None else layout.size
    check_size(K, source.piece_rows)
    totals = _totals(plan, data, by_cut, name, executor)
    family = family_of(plan, loglik, name, data.cells)
    part = traced_model(plan, family, data.sample, by_cut, weights_kind, executor, totals.shape)
    return _without_rows(penalised(part, penalty), data, totals, plan), theta


def _without_rows(
    part: LikelihoodModel, data: StreamedColumns, totals: GeneralTotals, plan: EvaluationPlan | None
) -> StreamedGeneral:
    """The model of all rows, from that of some of them."""
    fields = without_rows(part, LikelihoodData.of(data.head), tuple(data.head.columns))
    return StreamedGeneral(**fields, streamed=data, totals=totals, plan=plan)


def _designs(plan: EvaluationPlan, arrays: tuple[np.ndarray, ...], shape: DesignShape) -> FoundDesigns:
    """The designs of a piece."""
    size = block_rows(len(arrays[0]))
    if len(arrays[0]) <= size and affordable(size, shape):
        return piece_designs(plan.columns(shape), arrays, size, shape)
    K, p = shape.touched.shape
    return found_designs(plan.derivative, arrays, K, p, shape)


def _read(
    loglik: Callable[..., Any], name: str, layout: Parameters, source: Source, given: dict[str, Any]
) -> tuple[TracedLikelihood, StreamedColumns]:
    """The traced function and the columns that it reads, whose types are those of all rows."""
    first = trace_likelihood(loglik, name, layout, FirstRows(source, given["keep"]))
    data = columns_from_stream(first.used, source, **given)
    return trace_likelihood(loglik, name, layout, data.cells), data


def _totals(plan: EvaluationPlan, data: StreamedColumns, by_cut: bool, name: str, executor: Executor) -> GeneralTotals:
    """Sums over all rows, by a reading that also checks the indices by which parameters are read."""
    given = whole = None
    if by_cut:
        assert plan.cut is not None
        sample, K, p = arrays_of(data.sample), plan.cut.n_predictors, plan.layout.size
        given, whole = found_designs(plan.derivative, sample, K, p).shape, every_parameter(K, p)

    def one(rows: RowData) -> GeneralTotals:
        arrays = arrays_of(rows)
        checks.check_indices(plan.indexed, name, arrays, plan.layout)
        if given is None or whole is None:
            return GeneralTotals.of(rows, None)
        return GeneralTotals.of(rows, shape_of(_designs(plan, arrays, whole), given))

    try:
        found: GeneralTotals = summed_pieces(data, one, executor, "totals", plan.identity)
    except ModelError:
        for piece, rows in data.read(data.pieces):
            checks.check_indices(plan.indexed, name, arrays_of(rows), plan.layout, lambda at=piece: data.numbers(at))
        raise
    if given is None or found.shape is None:
        return found
    return replace(found, shape=settled(found.shape, given))
