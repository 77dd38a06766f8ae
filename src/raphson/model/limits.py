"""Maxima at infinity: separated responses, and families whose limit is a simpler one.

The distance to the maximum cannot reveal them, since the likelihood flattens on the way: the design decides.
"""

# pyright: strict

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from raphson.model.problem import Problem


@dataclass(frozen=True)
class Limit:
    """The model that a likelihood tends to as some parameters go to infinity.

    Attributes
    ----------
    status : "separated" or "boundary".
    model : what remains to be estimated.
    infinite : (p,) sign of each infinite parameter of the original model, 0 for the finite ones.
    direction : (p,) along which the likelihood never stops rising, long enough to take the rows that it moves to their
        limits.
    note : what it means, in words.
    start : (p,) where the search for its maximum begins; None for where the iteration ended.
    """

    status: Literal["separated", "boundary"]
    model: Problem
    infinite: np.ndarray
    direction: np.ndarray | None
    note: str = ""
    start: np.ndarray | None = None

    def joined(self, further: Limit) -> Limit:
        """This limit followed by a limit of its own model, which has the same parameters or the first of them."""
        rest = len(self.infinite) - len(further.infinite)
        infinite = np.where(
            np.pad(further.infinite, (0, rest)) != 0, np.pad(further.infinite, (0, rest)), self.infinite
        )
        steps = [
            np.pad(one, (0, len(self.infinite) - len(one)))
            for one in (self.direction, further.direction)
            if one is not None
        ]
        direction = np.sum(steps, axis=0) if steps else None
        status: Literal["separated", "boundary"] = "boundary"
        if "separated" in (self.status, further.status):
            status = "separated"
        apart = "some covariates separate the responses: their maximum likelihood estimates are infinite"
        note = further.note or f"{self.note or apart}; {apart}"
        return Limit(status, further.model, infinite, direction, note, further.start)
