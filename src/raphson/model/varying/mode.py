"""The coefficients v at which the penalised log-likelihood of the rows is largest, by Newton's steps with halving.

They are those of :func:`raphson.newton.maximize` with the observed information, whose system has a structure here
that a p × p matrix would not show. That loop stands above the model and drives objectives whose matrices it factorises
itself; what it adds, aliased columns, bounds, damping and a path of steps, has no meaning for penalised coefficients,
whose H is positive definite at every mode, and would cost more than the few structured solves of a climb, of which an
outer step has one for each trial. So the climb is a loop of its own, of full steps with halving.

They end where rounding ends them, as the criterion's derivatives take the inner gradient for 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.model.varying.algebra import Factorised
from raphson.model.varying.densities import Rows
from raphson.model.varying.tensors import Symmetric

STEPS, HALVINGS = 60, 15
"""Largest number of steps, and of halvings of one."""

SMALL, FEW = 2.0**-8, 2
"""Share of a step, and how many steps of no more, after which the mode is taken to lie at the edge of the link's
domain: there each step is half of the way that is left. Inside of it few steps are halved, and none so often."""

FLOOR = 1e-10
"""Decrement from which on a full step, which squares it, leads to rounding: 1e-20 of a standard error."""

LEAST = 1e-3
"""Where H is not positive definite, rows with a convex log density, or nearly so, get weights of this share of the mean
absolute weight, or of their own absolute value if that is more."""


@dataclass
class Mode:
    """The end of the climb.

    Attributes
    ----------
    v, eta : the coefficients, and the predictors (K, n).
    rows : the rows' derivatives there, up to the fourth.
    K : cross-products with the weights of the rows.
    factor : of H there.
    value : Σ log f − ½ uᵀu.
    """

    v: np.ndarray
    eta: np.ndarray
    rows: Rows
    K: Any
    factor: Factorised
    value: float

    @property
    def sum_of_squares(self) -> float:
        """Σ s²/W over the rows with a positive weight, in units of φ."""
        return sum_of_squares(self.rows)


def sum_of_squares(rows: Rows) -> float:
    """Σ s²/W of one predictor over the rows with a positive weight, in units of φ."""
    weight = rows.weight[0, 0]
    with np.errstate(all="ignore"):
        return float(np.sum(rows.score[0] ** 2 / np.where(weight > 0, weight, np.inf)))


def climb(problem: Any, v: np.ndarray, order: int) -> Mode | None:
    """From v to the mode; None where there is none with a positive definite H.

    Parameters
    ----------
    problem : has `eta(v)`, `rows(eta, order)`, `gradient(v, rows)`, `hessian(weight)` → (K, Factor), `penalty(v)`, and
        the `predictors` that v adds to.
    v : where to start.
    order : of the rows' derivatives at the end.
    """
    eta = problem.eta(v)
    rows = problem.rows(eta, 2)
    value = rows.total - problem.penalty(v)
    if not np.isfinite(value):
        return None
    last, small = False, 0
    for _ in range(STEPS):
        K, factor = problem.hessian(rows.weight)
        if factor.log_det is None:
            K, factor = problem.hessian(lifted(rows.weight, problem.predictors))
            if factor.log_det is None:
                return None
            last = False
        gradient = problem.gradient(v, rows)
        step = factor.solve(gradient)
        decrement = float(gradient @ step)
        if not np.isfinite(decrement):
            return None
        if last:
            break
        size = 1.0
        for _ in range(HALVINGS):
            there = v + size * step
            eta_there = problem.eta(there)
            rows_there = problem.rows(eta_there, 2)
            value_there = rows_there.total - problem.penalty(there)
            if value_there >= value + 1e-4 * size * decrement - 1e-12 * (abs(value) + 1.0):
                break
            size *= 0.5
        else:
            return None
        small += size <= SMALL
        if small == FEW:
            return None
        last = size == 1.0 and decrement < FLOOR
        v, eta, rows, value = there, eta_there, rows_there, value_there
    else:
        return None
    if factor.log_det is None:
        return None
    return Mode(v, eta, problem.rows(eta, order), K, factor, value)


def lifted(weight: Symmetric, predictors: Sequence[int]) -> Symmetric:
    """Positive definite weights in place of those of rows whose log density is not concave in some predictors."""
    if len(predictors) == 1:
        size = np.abs(weight[predictors[0], predictors[0]])
        return Symmetric({(predictors[0], predictors[0]): np.maximum(size, LEAST * float(np.mean(size)))})
    # in units in which the predictors' own weights are 1 on average
    units = {}
    for a in predictors:
        own = weight.at(a, a)
        units[a] = (float(np.sqrt(np.mean(np.abs(own)))) if own is not None else 0.0) or 1.0
    n = len(next(iter(weight.values())))
    W = np.zeros((n, len(predictors), len(predictors)))
    for i, a in enumerate(predictors):
        for j, b in enumerate(predictors):
            part = weight.at(a, b)
            if part is not None:
                W[:, i, j] = part / (units[a] * units[b])
    values, vectors = np.linalg.eigh(np.where(np.isfinite(W), W, 0.0))
    size = np.maximum(np.abs(values), LEAST)
    W = np.einsum("nij,nj,nkj->nik", vectors, size, vectors)
    return Symmetric(
        {
            (a, b): W[:, i, j] * units[a] * units[b]
            for i, a in enumerate(predictors)
            for j, b in enumerate(predictors)
            if i <= j
        }
    )
