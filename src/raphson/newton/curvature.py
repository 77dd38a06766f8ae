"""What M is: the matrix of θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), and what an iteration learns of it on the way.

A curvature is one object with three verbs: `init` says what it knows before the first step, `update` what it knows
after another, and `solve` gives the direction M⁻¹∇ℓ. The object itself never changes. What an iteration has learned
goes from one call to the next, so that one object serves any number of iterations at a time.

Where M is one of the model's informations there is nothing to learn: the linear solver of the method finds the
direction, with all the care that an ill-conditioned or indefinite matrix takes (:mod:`raphson.newton.directions`).
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
    """A matrix M, of which `Learned` is what an iteration knows.

    Every evaluation that it is given has a score of 0 for the parameters that are held: aliased, or at a bound.

    Attributes
    ----------
    matrix : what M is, in words.
    kinds : the informations that `solve` reads off an evaluation. Without any, no p × p matrix is formed on the way.
    in_standard_errors : whether √(∇ℓᵀM⁻¹∇ℓ) tells when the maximum is near: where it is small, so is the distance to
        the maximum in standard errors, more or less. Otherwise the observed information measures every step.
    kind : the information that M is; None where it is none of them.
    """

    matrix: str = "its own"
    kinds: tuple[Kind, ...] = ()
    in_standard_errors: bool = True
    kind: Kind | None = None

    @abstractmethod
    def init(self, here: Evaluation) -> Learned:
        """What is known where the iteration begins."""

    @abstractmethod
    def update(self, learned: Learned, before: Evaluation, after: Evaluation) -> Learned:
        """What is known after an accepted step."""

    @abstractmethod
    def solve(self, learned: Learned, here: Evaluation, free: np.ndarray) -> np.ndarray | None:
        """The direction M⁻¹∇ℓ, (p,), along which ℓ rises; None if there is none.

        Parameters
        ----------
        learned : what `init` and `update` have found.
        here : the present point.
        free : (p,) mask of the parameters that move. What the direction says of the others is not read.
        """


class _Memoryless(Curvature[None]):
    """A curvature that the present point alone decides."""

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
        """The direction; None where M is not positive definite."""
        found = direction(here.information[self.kinds[0]], here.score, free)
        return None if found is None else found.step


class Identity(_Memoryless):
    """M is I: the direction is the score, whose length says nothing of the distance to the maximum."""

    matrix = "identity"
    in_standard_errors = False

    def solve(self, learned: None, here: Evaluation, free: np.ndarray) -> np.ndarray:
        """The score."""
        return here.score


OBSERVED, EXPECTED, OUTER_PRODUCT = Information("observed"), Information("expected"), Information("opg")
IDENTITY = Identity()
