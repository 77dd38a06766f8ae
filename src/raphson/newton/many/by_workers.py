"""Many small problems as tasks of workers in other processes: each solves some of them from beginning to end.

A solution does not depend on the other problems, and chunks have the size that they have in one process, so that the
solutions have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from raphson.compat import jax
from raphson.execute import Executor, serial
from raphson.execute.remote import TASKS
from raphson.newton.many.problems import Solutions, TracedProblem, chunk_of, solve, starts_of


@dataclass(frozen=True)
class SomeProblems:
    """Those of a task: their starts (B, p), their data, and their bounds, (B, p) or None."""

    start: np.ndarray
    data: Any
    lower: np.ndarray | None
    upper: np.ndarray | None


@dataclass(frozen=True)
class Solver:
    """What a worker calls with its problems.

    Attributes
    ----------
    recipe : makes the kind of problem, whose compiled code stays in the worker.
    shared : what all problems have in common.
    chunk : number of problems in a compiled call.
    tol, max_iter : as of :func:`raphson.newton.many.problems.solve`.
    """

    recipe: Callable[[], TracedProblem]
    shared: Any
    chunk: int
    tol: float
    max_iter: int

    def __call__(self, some: SomeProblems) -> Solutions:
        limits: dict[str, Any] = {"lower": some.lower, "upper": some.upper, "tol": self.tol, "max_iter": self.max_iter}
        return solve(self.recipe(), some.start, some.data, self.shared, **limits, executor=serial(), chunk=self.chunk)


def solve_anywhere(
    recipe: Callable[[], TracedProblem],
    start: np.ndarray,
    data: Any,
    shared: Any = None,
    *,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
    tol: float = 1e-8,
    max_iter: int = 200,
    executor: Executor | None = None,
) -> Solutions:
    """As :func:`raphson.newton.many.problems.solve`, by the executor's workers if it has any.

    Parameters
    ----------
    recipe : makes the kind of problem; it can be pickled.
    """
    limits: dict[str, Any] = {"tol": tol, "max_iter": max_iter}
    workers = getattr(executor, "workers", 0) if hasattr(executor, "sum") else 0
    if not workers or executor is None:
        return solve(recipe(), start, data, shared, lower=lower, upper=upper, **limits, executor=executor)
    start = starts_of(start, data)
    count, chunk = len(start), chunk_of(start, data, shared)
    each = chunk * -(-count // (chunk * TASKS * workers))
    cuts = [slice(first, first + each) for first in range(0, count, each)]
    tasks = [SomeProblems(start[cut], _cut(data, cut), _own(lower, cut), _own(upper, cut)) for cut in cuts]
    return joined(executor.map(Solver(recipe, shared, chunk, **limits), tasks))


def joined(parts: list[Solutions]) -> Solutions:
    """Solutions of some problems and of those that follow them."""
    return Solutions(
        **{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Solutions)}
    )


def _cut(data: Any, cut: slice) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[cut], data)


def _own(limit: np.ndarray | None, cut: slice) -> np.ndarray | None:
    """The bounds of some problems; those that all have in common as they are."""
    return limit if limit is None or np.ndim(limit) < 2 else limit[cut]
