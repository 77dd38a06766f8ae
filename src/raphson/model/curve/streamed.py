"""A curve whose rows are streamed; see :mod:`raphson.model.streamed`.

A sample of the rows is in memory. On it starting values are searched for, conditionally linear parameters solved for,
and other starts tried, as for any curve. Its minimum is some standard errors from that of all rows, where the iteration
moves all parameters together: near the minimum projection saves no step, and would cost one reading more for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.blocks import Block, block_rows
from raphson.data.curve_streams import CurveTotals, StreamedCurveData
from raphson.data.curves import Curve
from raphson.data.first_reading import LaterTotals
from raphson.data.messages import listing
from raphson.data.model_data import ModelData
from raphson.data.not_in_memory import NotInMemory
from raphson.errors import ConvergenceError
from raphson.execute import Executor, serial
from raphson.execute.journal import Recorded
from raphson.model.curve.least_squares import NonlinearModel
from raphson.model.curve.read import ReadCurve, nonlinear_model
from raphson.model.curve.remarks import Variation
from raphson.model.families import resolve
from raphson.model.families.robust import NORMAL_MAD
from raphson.model.glm.streamed import ResponseTotals, StreamedModel
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import VALUE, Evaluation, Need, Root
from raphson.model.spread import Spread
from raphson.model.streamed import StreamedRowTable, fields_of
from raphson.model.streamed_means import StreamedMeans
from raphson.model.streamed_median import Counts, Interval, around, median

CANCELLED = 1e-8
"""Smallest share of Σ w y² that the variation of the response about its mean may be for their difference to be that
variation: it is then right to 2e-8 of itself, and whether a curve leaves all of it is judged to 1e-6."""


@dataclass(frozen=True)
class StreamedCurve(StreamedMeans, NonlinearModel):
    """A curve over streamed rows.

    Attributes
    ----------
    streamed : the data.
    totals : sums over all rows.
    projects : whether :meth:`moved` of the objective solves for conditionally linear parameters, by a reading.
    """

    streamed: StreamedCurveData | None = None
    totals: CurveTotals | LaterTotals | None = None
    projects: bool = False

    @staticmethod
    def over(
        read: ReadCurve,
        streamed: StreamedCurveData,
        bounds: Any,
        fixed: Any,
        weights_kind: str,
        penalty: Any,
        executor: Executor,
        seed: int | None,
    ) -> StreamedCurve:
        """The model of all rows, from the curve as it was read with a sample of them.

        Of data that were never read before the first sum makes the totals.

        Raises
        ------
        ModelError, DataError
            As for :func:`raphson.model.curve.read.nonlinear_model`.
        """
        totals, formula, unread = streamed.totals, streamed.formula, streamed.unread
        options = (bounds, fixed, weights_kind, penalty, executor, seed)
        sampled = float(np.abs(streamed.sample.response.values).max(initial=0.0))
        part = nonlinear_model(read, *options, counted=(totals.positive, totals.largest if unread is None else sampled))
        if unread is not None:
            name = streamed.head.response.name
            unread.expect(
                lambda data: CurveTotals.of(data.response.values, data.weights),
                lambda found: resolve("gaussian").check_units(name, found.largest),
            )
        absent: Any = NotInMemory
        given = fields_of(
            NonlinearModel,
            part,
            data=streamed.head,
            y=absent("the response"),
            weight=None if streamed.head.weights is None else absent("the weights"),
            explain=StreamedExplanation(formula.curve, formula.columns, formula.parameters, streamed),
        )
        return StreamedCurve(**given, streamed=streamed, totals=totals)

    # -- the pieces --------------------------------------------------------------------------------------------

    def _piece(self, data: ModelData) -> CurvePiece:
        return CurvePiece(**self._with(data, penalty=None, executor=serial()))

    def _with(self, data: ModelData, **others: Any) -> dict[str, Any]:
        """The fields of the model of some rows in memory."""
        y = np.asarray(data.response.values)
        return fields_of(NonlinearModel, self, data=data, y=y, weight=data.weights, **others)

    @cached_property
    def sample(self) -> NonlinearModel:  # type: ignore[override]
        """The model of about 50,000 rows, in memory. Its sums are not kept in a checkpoint."""
        held = self.executor
        inner = held.inner if isinstance(held, Recorded) else held
        return NonlinearModel(**self._with(self._data.sample, executor=inner))

    # -- structure ---------------------------------------------------------------------------------------------

    @cached_property
    def likelihood(self) -> LogLikelihood:
        found = super().likelihood
        return found if self.projects else replace(found, project=None, projected=None)

    def designs(self, theta: np.ndarray) -> list[Any]:
        return [NotInMemory("the derivatives of the curve")]

    @property
    def covariates(self) -> None:
        return None

    def null_model(self, family: Any) -> StreamedModel:  # type: ignore[override]
        totals = self.totals
        assert totals is not None and self.streamed is not None
        streamed: Any = self.streamed
        return Level(
            family,
            replace(self.data, names=("Intercept",), has_intercept=True),
            self.y,
            self.weight,
            None,
            self.weights_kind,
            None,
            self.executor,
            streamed=streamed,
            totals=ResponseTotals(totals.positive, totals.weights, totals.weights, 0.0, 0.0, 0.0, False, False),
            curve=self,
        )

    @property
    def squares(self) -> float:
        assert self.totals is not None
        return self.totals.squares

    def second_squares(self, theta: np.ndarray) -> np.ndarray:
        return self.summed(lambda held: held.second_squares(theta), "second", theta)

    def variation(self, found: Evaluation) -> Variation:
        """As in memory: from the first pass and the value at θ, where that loses few digits, otherwise by a reading."""
        near, totals, theta = self.sample.variation(found), self.totals, found.theta
        assert totals is not None
        level = totals.first / totals.weights
        total = totals.squares - level * totals.first
        moves = bool(np.ptp(self.sample.fitted(theta)) > 0)  # a constant may be the level of all rows
        if self.family.quadratic and moves and total > CANCELLED * totals.squares:
            return Variation(level, total, self.deviance(self.rows_at(found)), True)
        origin = near.level if math.isfinite(near.level) else 0.0
        return self.summed(lambda held: _Moments.of(held, theta, origin), "variation", theta).variation

    # -- the iteration -----------------------------------------------------------------------------------------

    @property
    def part_to_search(self) -> NonlinearModel | None:
        return self.sample if self.searched else None

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective where the sample starts."""
        here = self.objective.evaluate(self.sample.start(VALUE, plain).theta, need)
        if not here.finite:
            raise ConvergenceError(self.explain(here.theta))
        return here

    def label_switched(self, theta: np.ndarray) -> None:
        """None: the sample's estimate has its parameters in order already."""

    def reliable(self, theta: np.ndarray) -> bool:
        return self.sample.reliable(theta)

    def kink_gaps(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the sample: in more rows a single one's kink cannot be told from a smooth minimum."""
        return self.sample.kink_gaps(theta)

    def linear_problem(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The triangle of the rows, by a reading, without squaring their condition number."""
        found = self.likelihood.device_triangle(theta)
        if found is not None:
            return found[:, self._linear], found[:, -1]

        def one(held: NonlinearModel) -> Root:
            A, r = held.linear_problem(theta)
            return Root.of(np.column_stack([A, r]))

        triangle = self.summed(one, "projection", theta).triangle
        return triangle[:, :-1], triangle[:, -1]

    # -- robust losses -----------------------------------------------------------------------------------------

    def residual_scale(self, theta: np.ndarray) -> float:
        """As in memory, to the last bit: the median is found by a few readings that count."""
        assert self.totals is not None
        here = np.abs(self.sample.counted_residuals(theta))

        def counts(where: Interval) -> Counts:
            return self.summed(lambda held: where.count(np.abs(held.counted_residuals(theta))), "counts", where, theta)

        def values(where: Interval) -> np.ndarray:
            found = self.summed(
                lambda held: _Values([where.inside(np.abs(held.counted_residuals(theta)))]), "values", where, theta
            )
            return np.concatenate(found.parts)

        n = round(self.totals.weights) if self.weights_kind == "frequency" else self.totals.positive
        found = float(np.median(here)) if len(self.sample.y) == self._data.n_rows else None
        return (median(n, around(here), counts, values) if found is None else found) / NORMAL_MAD

    # -- what the Fit reads ------------------------------------------------------------------------------------

    def deviance(self, rows: StreamedRowTable) -> float:
        """Σ w r² of least squares, which every evaluation has."""
        return -2.0 * self.value_of(rows) if self.family.quadratic else super().deviance(rows)

    def pearson(self, rows: StreamedRowTable) -> float:
        return self.deviance(rows) if self.family.quadratic else super().pearson(rows)

    def sum_of_squares(self, rows: StreamedRowTable) -> float:
        return self.deviance(rows) if self.family.quadratic else super().sum_of_squares(rows)

    def spread(self, rows: StreamedRowTable) -> Spread | None:
        return None

    def log_likelihood(self, rows: StreamedRowTable, dispersion: float) -> float:
        """−½ Σ (w r²/φ + log 2πφ − log w), where a weight other than a precision counts the whole term of its row."""
        if not self.family.quadratic:
            return super().log_likelihood(rows, dispersion)
        assert self.totals is not None
        precise = self.weights_kind == "precision"
        n, logarithms = (self.totals.positive, self.totals.logarithms) if precise else (self.totals.weights, 0.0)
        constant = logarithms - n * math.log(2.0 * math.pi * dispersion)
        return 0.5 * (constant - self.deviance(rows) / dispersion)

    def remarks(self, result: Any, dispersion: float, cov: str, met: Sequence[np.ndarray] = ()) -> list[str]:
        """As in memory: points beside the estimate are fitted again in their conditionally linear parameters."""
        return super(StreamedCurve, replace(self, projects=True)).remarks(result, dispersion, cov, met)


@dataclass(frozen=True)
class CurvePiece(NonlinearModel):
    """The model of one piece, which is one block: it was cut for that."""

    @cached_property
    def blocks(self) -> list[Block]:
        x, n = np.asarray(self.data.X).T, len(self.y)
        if n == block_rows(n) and x.flags.c_contiguous:
            weight = np.ones(n) if self.weight is None else self.weight
            return [Block((x,), self.y, weight, None, n, 0, 0)]
        return super().blocks


@dataclass(frozen=True)
class Level(StreamedModel):
    """The null model: a constant mean.

    Attributes
    ----------
    curve : in whose place it stands.
    """

    curve: StreamedCurve | None = None

    def _piece(self, data: Any) -> Any:
        assert self.curve is not None
        return self.curve._piece(data).null_model(self.family)


@dataclass
class _Values:
    """Arrays in order."""

    parts: list[np.ndarray] = field(default_factory=list[np.ndarray])

    def __add__(self, other: _Values) -> _Values:
        return _Values([*self.parts, *other.parts])


@dataclass
class _Moments:
    """Weighted sums about an origin: of 1, y and y², and of the squared residuals; and the range of the curve."""

    origin: float
    weight: float
    first: float
    second: float
    left: float
    low: float
    high: float

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(
            self.origin,
            self.weight + other.weight,
            self.first + other.first,
            self.second + other.second,
            self.left + other.left,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @staticmethod
    def of(held: NonlinearModel, theta: np.ndarray, origin: float) -> _Moments:
        rows = held.rows(theta)
        weight, f, y = rows.expected[0, 0], rows.mean[0], held.y - origin
        left = float(weight @ (held.y - f) ** 2)
        ends = float(f.min(initial=math.inf)), float(f.max(initial=-math.inf))
        return _Moments(origin, float(weight.sum()), float(weight @ y), float(weight @ (y * y)), left, *ends)

    @property
    def variation(self) -> Variation:
        if not self.weight > 0:
            return Variation(math.nan, 0.0, 0.0, False)
        shift = self.first / self.weight
        level = self.origin + shift
        varies = self.high > self.low or not np.isclose(self.low, level, rtol=1e-9)
        return Variation(level, self.second - shift * self.first, self.left, bool(varies))


@dataclass(frozen=True)
class StreamedExplanation:
    """Explains where an expression is not finite, by a reading: the step, the rows, the values.

    Attributes
    ----------
    curve, columns, parameters : the expression and its names.
    streamed : the data.
    """

    curve: Curve
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    streamed: StreamedCurveData

    def __call__(self, theta: np.ndarray) -> str:
        known: dict[str, Any] = dict(zip(self.parameters, theta, strict=True))
        at = ", ".join(f"{name}={value:.6g}" for name, value in zip(self.parameters, theta.tolist(), strict=True))
        step, count, rows = "", 0, list[int]()
        for piece, data in self.streamed.read(self.streamed.pieces):
            found = self.curve.first_not_finite(known | dict(zip(self.columns, data.X.T, strict=True)))
            if found is None or (step and found[0] != step):
                continue
            bad = np.flatnonzero(np.broadcast_to(found[1], len(data.X)))
            step, count = found[0], count + len(bad)
            rows += (piece.start + bad[: 6 - len(rows)]).tolist()
        if not step:
            return f"start: the curve is finite at {at}, but its squares are not; choose smaller starting values"
        used = " of those used" if self.streamed.head.n_dropped else ""
        more = f", ... and {count - 5} more" if count > 5 else ""
        return (
            f"start: {step!r} is not finite in {count} of {self.streamed.n_rows} rows (row {listing(rows[:5])}{more}"
            f"{used}, counted from 0) at {at}; choose other starting values"
        )
