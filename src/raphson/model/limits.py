"""Maxima at infinity: separated responses, and families that end in a simpler one.

The distance to the maximum cannot see them, since the likelihood flattens on the way: they are decided on the design.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Limit:
    """The model that a likelihood tends to as some parameters go to infinity.

    Attributes
    ----------
    status : "separated" or "boundary".
    model : what remains to be estimated.
    infinite : (p,) sign of each infinite parameter of the original model, 0 for the finite ones.
    direction : (p,) along which the likelihood rises for ever, so long that rows which it moves are at their limits.
    note : what it means, in words.
    """

    status: Literal["separated", "boundary"]
    model: Any
    infinite: np.ndarray
    direction: np.ndarray | None
    note: str = ""
