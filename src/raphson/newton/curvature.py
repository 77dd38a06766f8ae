"""The curvature: the matrix M of θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), and the state that an iteration keeps for it.

A curvature has three methods: `init` makes its state before the first step, `update` renews the state after a step, and
`solve` gives the direction M⁻¹∇ℓ. The object itself never changes, so it can serve several iterations at once.

If M is one of the model's informations there is no state. The linear solver of the method then finds the direction, and
takes care of ill-conditioned or indefinite matrices (:mod:`raphson.newton.directions`).
"""
# pyright: strict

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np

from raphson.model.objective import Evaluation, Kind
from raphson.newton.solve import direction

Learned = TypeVar("Learned")


class Curvature(ABC, Generic[Learned]):
    """A matrix M, with a state of type `Learned`.

    The evaluations that it gets have a score of 0 for parameters that do not move: aliased, fixed, or at a bound.

    Attributes
    ----------
    matrix : a description of M.
    kinds : the informations that `solve` reads from an evaluation. If empty, no p × p matrix is formed during the
        iteration.
    in_standard_errors : whether √(∇ℓᵀM⁻¹∇ℓ) is about the distance to the maximum in standard errors. If not, the
        observed information measures the distance at every step.
    kind : the information that M is, or None.

    Examples
    --------
    >>> import raphson as rp
    >>> isinstance(rp.methods.resolve_method("newton").curvature, rp.methods.Curvature)
    True
    """

    matrix: str = "its own"
    kinds: tuple[Kind, ...] = ()
    in_standard_errors: bool = True
    kind: Kind | None = None

    @abstractmethod
    def init(self, here: Evaluation) -> Learned:
        """The state at the start of the iteration."""

    @abstractmethod
    def update(self, learned: Learned, before: Evaluation, after: Evaluation) -> Learned:
        """The state after an accepted step."""

    @abstractmethod
    def solve(self, learned: Learned, here: Evaluation, free: np.ndarray) -> np.ndarray | None:
        """The direction M⁻¹∇ℓ, (p,), in which ℓ rises; None if there is none.

        Parameters
        ----------
        learned : the state from `init` and `update`.
        here : the evaluation at the current point.
        free : (p,) mask of the parameters that move. Other elements of the direction are ignored.
        """


class _Memoryless(Curvature[None]):
    """A curvature without a state."""

    def init(self, here: Evaluation) -> None:
        """Nothing."""

    def update(self, learned: None, before: Evaluation, after: Evaluation) -> None:
        """Nothing."""


class Information(_Memoryless):
    """M is an information of the model: observed, expected, or the outer product of the scores."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.kinds = kind, (kind,)
        self.matrix = "outer product" if kind == "opg" else kind

    def solve(self, learned: None, here: Evaluation, free: np.ndarray) -> np.ndarray | None:
        """The direction; None if M is not positive definite."""
        found = direction(here.information[self.kinds[0]], here.score, free)
        return None if found is None else found.step


class Identity(_Memoryless):
    """M is I. The direction is the score, whose length says nothing about the distance to the maximum."""

    matrix = "identity"
    in_standard_errors = False

    def solve(self, learned: None, here: Evaluation, free: np.ndarray) -> np.ndarray:
        """The score."""
        return here.score


OBSERVED, EXPECTED, OUTER_PRODUCT = Information("observed"), Information("expected"), Information("opg")
IDENTITY = Identity()
