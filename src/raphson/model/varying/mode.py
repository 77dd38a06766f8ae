"""The coefficients v at which the penalised log-likelihood of the rows is largest, by Newton's steps with halving.

They are those of :func:`raphson.newton.maximize` with the observed information, whose system has a structure here
that a p × p matrix would not show. They end where rounding ends them, as the criterion's derivatives take the inner
gradient for 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.model.varying.algebra import Factor
from raphson.model.varying.densities import Rows

STEPS, HALVINGS = 60, 15
"""Largest number of steps, and of halvings of one."""

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
    v, eta : the coefficients, and the predictors (n,).
    rows : the rows' derivatives there, up to the fourth.
    K : cross-products with the weights of the rows.
    factor : of H there.
    value : Σ log f − ½ uᵀu.
    """

    v: np.ndarray
    eta: np.ndarray
    rows: Rows
    K: Any
    factor: Factor
    value: float

    @property
    def sum_of_squares(self) -> float:
        """Σ s²/W over the rows with a positive weight, in units of φ."""
        with np.errstate(all="ignore"):
            squares = self.rows.score**2 / np.where(self.rows.weight > 0, self.rows.weight, np.inf)
        return float(np.sum(squares))


def climb(problem: Any, v: np.ndarray, order: int) -> Mode | None:
    """From v to the mode; None where there is none with a positive definite H.

    Parameters
    ----------
    problem : has `eta(v)`, `rows(eta, order)`, `gradient(v, rows)`, `hessian(weight)` → (K, Factor), and `penalty(v)`.
    v : where to start.
    order : of the rows' derivatives at the end.
    """
    eta = problem.eta(v)
    rows = problem.rows(eta, 2)
    value = rows.total - problem.penalty(v)
    if not np.isfinite(value):
        return None
    last = False
    for _ in range(STEPS):
        K, factor = problem.hessian(rows.weight)
        if factor.log_det is None:
            K, factor = problem.hessian(_lifted(rows.weight))
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
        last = size == 1.0 and decrement < FLOOR
        v, eta, rows, value = there, eta_there, rows_there, value_there
    else:
        return None
    if factor.log_det is None:
        return None
    return Mode(v, eta, problem.rows(eta, order), K, factor, value)


def _lifted(weight: np.ndarray) -> np.ndarray:
    """Positive weights in place of those of rows whose log density is convex."""
    size = np.abs(weight)
    return np.maximum(size, LEAST * float(np.mean(size)))
