"""How many problems ended."""

from __future__ import annotations

from functools import cached_property

import numpy as np


class Ends:
    """What tables of many problems share.

    Attributes
    ----------
    status : (B,) of :class:`raphson.status.Status`.
    """

    status: np.ndarray

    @cached_property
    def converged(self) -> np.ndarray:
        """(B,) mask of the problems at their maximum."""
        good = {status: status.converged for status in set(self.status.tolist())}
        return np.array([good[status] for status in self.status.tolist()], dtype=bool)

    def counts(self) -> dict[str, int]:
        """The number of problems with each status."""
        found: dict[str, int] = {}
        for status in self.status:
            found[status.value] = found.get(status.value, 0) + 1
        return found
