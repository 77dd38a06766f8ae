"""Where an iteration stands: the last accepted point, what was measured there, and which parameters move.

Only accepted points replace the present one, so a trial that fails leaves nothing behind.
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
        """Parameters held at a bound, beyond which ℓ rises."""
        self.path = Path()
        self.rows_read = 0
        self.size = math.nan
        """α of the last step."""
        self.near = self.polished = False
        """Whether the observed information is evaluated to measure the distance; whether the last step was by it."""
        self.blocked = False
        """Whether the last search ran into the edge of the model's domain."""
        self.distance = self.previous = self.floor = math.inf

    def begin(self, start: np.ndarray | Evaluation, need: Need) -> None:
        """Stand at the first point, or at the objective evaluated there."""
        if isinstance(start, Evaluation):
            self.here = start
            self.rows_read = start.rows
        else:
            self.here = self.evaluate(start, need)
        if not self.here.finite:
            raise ConvergenceError(
                "start: expected parameters at which the log-likelihood is finite; it is "
                f"{self.here.value} there. Pass start= inside the model's domain"
            )

    @property
    def first(self) -> bool:
        """Whether no step has been measured yet."""
        return not len(self.path)

    def evaluate(self, theta: np.ndarray, need: Need) -> Evaluation:
        """The objective at θ; what is read is counted."""
        evaluation = self.objective.evaluate(theta, need)
        self.rows_read += evaluation.rows
        return evaluation

    def renew(self, need: Need) -> None:
        """Evaluate what is needed at the present point."""
        self.here = self.evaluate(self.here.theta, need)

    def trial(self, step: np.ndarray, need: Need) -> Evaluation:
        """The objective a step away."""
        evaluation = self.evaluate(self.objective.moved(self.here.theta, step), need)
        self.blocked = self.blocked or not evaluation.finite
        return evaluation

    # -- which parameters move -----------------------------------------------------------------------------------

    def free_from_bounds(self) -> None:
        """Let go of the parameters that ℓ no longer pushes against a bound, and hold those that it does."""
        blocked = self.objective.blocked(self.here.theta, self.here.score)
        if blocked is not None:
            aliased = self.wanted & ~self.free & ~self.at_bound
            self.at_bound = blocked & self.wanted & ~aliased
            self.free = self.wanted & ~aliased & ~self.at_bound

    def drop_aliased(self, need: Need) -> None:
        """Hold the columns that earlier ones explain: a method that never factors M would not see them."""
        for root in (False, True):
            kind = self.objective.main_kind
            part = self.evaluate(self.here.theta, Need(kinds=(kind,), root=root)).information[kind]
            factor = factorise(part, self.free)
            if factor is not None and (root or factor.smallest_pivot**2 >= ILL_CONDITIONED):
                self.hold(factor, part, need)
                return

    def explained(self, kept: np.ndarray) -> bool:
        """Whether the design alone says that the columns not kept are combinations of the others."""
        design = self.objective.design_root(self.here.theta)
        if design is None:
            return True
        factor = factorise(design, self.free)
        return factor is not None and not (factor.kept & ~kept).any()

    def hold(self, factor: Factor, part: Gram | Root, need: Need) -> bool:
        """Hold the columns that `factor` leaves out at 0; True if that has changed θ.

        Let θ be h on these and X_h = X_k C: their share C h, which solves M_kk C h = M_kh h, goes to the columns
        that explain them, so that η stays where it is. Where η is not linear in θ they are held where they are.
        """
        held = np.where(self.free & ~factor.kept, self.here.theta, 0.0)
        self.free = factor.kept
        if not held.any() or not self.objective.linear:
            return False
        self.here = self.evaluate(self.here.theta - held + factor.solve(part.matrix @ held), need)
        return True
