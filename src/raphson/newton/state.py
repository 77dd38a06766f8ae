"""The state of an iteration: the last accepted point, the measurements there, and which parameters move.

Only an accepted trial replaces the current point; a rejected one changes nothing.
"""
# pyright: strict

from __future__ import annotations

import math

import numpy as np

from raphson.errors import ConvergenceError
from raphson.model.objective import Evaluation, Gram, Need, Objective, Root
from raphson.newton.path import Path
from raphson.newton.solve import ILL_CONDITIONED, Factor, factorise


class IterationState:
    """The state of an iteration.

    Parameters
    ----------
    objective : what is maximised.
    free : (p,) mask of the parameters that move.
    tolerance : distance to the maximum at which to stop.
    """

    here: Evaluation
    """The objective at the last accepted point."""

    def __init__(self, objective: Objective, free: np.ndarray, tolerance: float) -> None:
        self.objective, self.tolerance = objective, tolerance
        self.wanted, self.free = free, free
        self.at_bound = np.zeros_like(free)
        """Parameters at a bound beyond which ℓ rises."""
        self.path = Path()
        self.rows_read = 0
        self.size = math.nan
        """α of the last step."""
        self.near = self.polished = False
        """Whether the observed information measures the distance; whether it gave the last step, in full."""
        self.blocked = False
        """Whether the last search reached the boundary of the model's domain."""
        self.distance = self.previous = self.floor = math.inf

    def begin(self, start: np.ndarray | Evaluation, need: Need) -> None:
        """Set the first point, from the parameters or an evaluation there."""
        if isinstance(start, Evaluation):
            self.here = start
            self.rows_read = start.rows
        else:
            self.here = self.evaluate(start, need)
        if not self.here.finite:
            raise ConvergenceError(
                f"start: expected parameters with a finite log-likelihood; it is {self.here.value} there. Pass start= "
                "inside the model's domain"
            )

    @property
    def first(self) -> bool:
        """Whether no step has been measured yet."""
        return not len(self.path)

    def evaluate(self, theta: np.ndarray, need: Need) -> Evaluation:
        """The objective at θ, counting the rows that are read."""
        evaluation = self.objective.evaluate(theta, need)
        self.rows_read += evaluation.rows
        return evaluation

    def renew(self, need: Need) -> None:
        """Evaluate the objective at the current point again, with what is needed."""
        self.here = self.evaluate(self.here.theta, need)

    def trial(self, step: np.ndarray, need: Need) -> Evaluation:
        """The objective a step away from the current point."""
        evaluation = self.evaluate(self.objective.moved(self.here.theta, step), need)
        self.blocked = self.blocked or not evaluation.finite
        return evaluation

    # -- which parameters move -----------------------------------------------------------------------------------

    def free_from_bounds(self) -> None:
        """Free the parameters at a bound beyond which ℓ no longer rises, and hold those where it does."""
        blocked = self.objective.blocked(self.here.theta, self.here.score)
        if blocked is not None:
            aliased = self.wanted & ~self.free & ~self.at_bound
            self.at_bound = blocked & self.wanted & ~aliased
            self.free = self.wanted & ~aliased & ~self.at_bound

    def drop_aliased(self, need: Need) -> None:
        """Hold aliased columns, for methods that never factorise M and so would not find them."""
        for root in (False, True):
            kind = self.objective.main_kind
            part = self.evaluate(self.here.theta, Need(kinds=(kind,), root=root)).information[kind]
            factor = factorise(part, self.free)
            if factor is not None and (root or factor.smallest_pivot**2 >= ILL_CONDITIONED):
                self.hold(factor, part, need)
                return

    def explained(self, kept: np.ndarray) -> bool:
        """Whether by the design alone the columns that were not kept are linear combinations of the others."""
        design = self.objective.design_root(self.here.theta)
        if design is None:
            return True
        factor = factorise(design, self.free)
        return factor is not None and not (factor.kept & ~kept).any()

    def hold(self, factor: Factor, part: Gram | Root, need: Need) -> bool:
        """Hold the columns that `factor` leaves out at 0; True if that has changed θ.

        Let h be θ for these columns, X_h = X_k C. Adding C h, which solves M_kk C h = M_kh h, to the other columns
        keeps η as it is. If η is not linear in θ, they are held at their current values.
        """
        held = np.where(self.free & ~factor.kept, self.here.theta, 0.0)
        self.free = factor.kept
        if not held.any() or not self.objective.linear:
            return False
        self.here = self.evaluate(self.here.theta - held + factor.solve(part.matrix @ held), need)
        return True
