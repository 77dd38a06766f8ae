"""Several methods on one objective from one start: the cost of each step, and the distance that it left."""

# pyright: strict, reportUnknownVariableType=false

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from raphson.errors import RaphsonError
from raphson.model.objective import VALUE, DerivedObjective, Evaluation, Need, Objective, Operator
from raphson.model.problem import Problem
from raphson.newton.maximize import maximize
from raphson.newton.methods import Method
from raphson.newton.path import PathRow
from raphson.newton.stochastic import BATCH_ROWS, descend

DOES_NOT_APPLY = "does not apply"
"""Status of a method that cannot fit the model."""


@dataclass
class Meter:
    """Counts the passes over the data."""

    passes: float = 0.0
    seen: list[tuple[float, np.ndarray]] = field(default_factory=list)
    """Value and θ of the evaluations since the last accepted point."""


@dataclass(frozen=True)
class Metered(DerivedObjective[Objective]):
    """An objective that counts its passes over the data."""

    meter: Meter = field(default_factory=Meter)

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """Evaluate, and count a pass."""
        evaluation = self.inner.evaluate(theta, need)
        self.meter.passes += 1
        self.meter.seen.append((evaluation.value, evaluation.theta))
        operator = evaluation.operator
        return evaluation if operator is None else replace(evaluation, operator=MeteredOperator(operator, self.meter))


@dataclass(frozen=True)
class MeteredOperator:
    """An operator that counts its products, each of which is a pass over the data."""

    inner: Operator
    meter: Meter

    def product(self, v: np.ndarray) -> np.ndarray:
        """M v."""
        self.meter.passes += 1
        return self.inner.product(v)

    def diagonal(self) -> np.ndarray:
        """The diagonal of M."""
        return self.inner.diagonal()


@dataclass(frozen=True)
class Runner:
    """The run of one method.

    Attributes
    ----------
    method : name of the method.
    status : how it ended.
    iteration, passes, row_gradients : (k,) counts at each recorded point. A pass reads every row once, for its
        gradient, its curvature or a product with a vector.
    theta : (k, p).
    seconds : duration, including compilation.
    note : why the method cannot fit the model; empty if it can.
    """

    method: str
    status: str
    iteration: np.ndarray
    passes: np.ndarray
    row_gradients: np.ndarray
    theta: np.ndarray
    seconds: float
    note: str = ""


def run(model: Problem, method: Method, start: np.ndarray, *, tol: float, max_iter: int | None, seed: int) -> Runner:
    """Run one method from `start`.

    Parameters
    ----------
    model : the model.
    method : the method.
    start : (p,).
    tol : distance to the maximum at which to stop.
    max_iter : largest number of steps, or of epochs for a method that reads batches.
    seed : of a method that reads batches.
    """
    began = time.perf_counter()
    n = model.objective.n_rows
    rows: list[tuple[float, float, np.ndarray]] = [(0.0, 0.0, start)]
    if method.solver == "batch":
        batch = min(BATCH_ROWS, n)

        def trace(read: int, theta: np.ndarray) -> None:
            rows.append((read / batch, read / n, theta))

        result, _ = descend(model, method.name, start, tol=tol, max_iter=max_iter, seed=seed, trace=trace)
    else:
        metered = Metered(model.objective)
        meter = metered.meter

        def watch(step: PathRow) -> None:
            if step.iteration:
                accepted = [theta for value, theta in meter.seen if value == step.llf]
                rows.append((step.iteration, meter.passes, accepted[-1] if accepted else rows[-1][2]))
            meter.seen = meter.seen[-1:]

        with np.errstate(all="ignore"):
            result = maximize(metered, start, method, free=model.free, tol=tol, max_iter=max_iter, watch=watch)
        rows.append((rows[-1][0], meter.passes, result.theta))
    iteration, passes = (np.array([row[i] for row in rows]) for i in (0, 1))
    seconds = time.perf_counter() - began
    theta = np.array([row[2] for row in rows])
    return Runner(method.name, result.status.value, iteration, passes, passes * n, theta, seconds)


def race(
    model: Problem, methods: Sequence[Method], start: np.ndarray, *, tol: float, max_iter: int | None, seed: int
) -> list[Runner]:
    """Run the methods one after the other, each from `start`."""
    return [_attempt(model, method, start, tol=tol, max_iter=max_iter, seed=seed) for method in methods]


def _attempt(model: Problem, method: Method, start: np.ndarray, **options: Any) -> Runner:
    """Run a method, or record why it cannot fit the model."""
    try:
        return run(model, method, start, **options)
    except RaphsonError as error:
        none = np.zeros(1)
        return Runner(method.name, DOES_NOT_APPLY, none, none, none, start[None], math.nan, str(error))


def distances(theta: np.ndarray, best: Evaluation, information: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """√((θ−θ̂)ᵀ M (θ−θ̂)/φ̂) for each row of `theta` (k, p): the distance from the maximum in standard errors.

    M is the observed information at the maximum for the `kept` parameters, so the distance is the same for all methods.
    """
    moved = (theta - best.theta)[:, kept]
    M = information[np.ix_(kept, kept)]
    return np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", moved, M, moved), 0.0) / best.dispersion)


def yardstick(model: Problem, theta: np.ndarray) -> tuple[Evaluation, np.ndarray]:
    """The objective at the maximum and its observed information, or the expected one if that is indefinite."""
    best = model.objective.evaluate(theta, Need(kinds=("observed",)))
    M = best.information["observed"].matrix
    steady = math.isfinite(float(M.sum())) and np.linalg.eigvalsh(M)[0] >= -1e-10 * np.abs(M).max(initial=1.0)
    if steady or model.objective.main_kind == "observed":
        return best, M
    best = model.objective.evaluate(theta, Need(kinds=("expected",)))
    return best, best.information["expected"].matrix
