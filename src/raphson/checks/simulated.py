"""The rows of a fit beside those of data sets simulated from it: what every check compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from raphson.cached import cached_property


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows at a fit: n of the data, or (B, n) of B simulated data sets.

    Attributes
    ----------
    y : responses as the family sees them.
    mean : fitted means.
    residual : randomised quantile residuals, standard normal under the model.
    moves : largest change of a coefficient, in standard errors, if a row is left out; None where there is none.
    """

    y: np.ndarray
    mean: np.ndarray
    residual: np.ndarray
    moves: np.ndarray | None = None

    def of(self, number: int) -> Rows:
        """The rows of one of several data sets."""
        return Rows(*(None if one is None else one[number] for one in self._parts))  # type: ignore[arg-type]

    @staticmethod
    def joined(several: Sequence[Rows]) -> Rows:
        """Data sets after one another."""
        parts = zip(*(one._parts for one in several), strict=True)
        return Rows(*(None if one[0] is None else np.concatenate(one) for one in parts))  # type: ignore[arg-type]

    @cached_property
    def shape(self) -> np.ndarray:
        """Residuals of mean 0 and variance 1 in each data set, for checks of where they are high or wide.

        A wrong level or variance, of which other checks tell, is then not told again as a curve or as an uneven level.
        """
        r = self.residual - self.residual.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.mean(r * r, axis=-1, keepdims=True))
        return r / np.where(spread > 0, spread, 1.0)

    @property
    def _parts(self) -> tuple[np.ndarray | None, ...]:
        return self.y, self.mean, self.residual, self.moves


@dataclass(frozen=True, eq=False)
class Simulated:
    """A data set and B others that were simulated from its fit.

    Attributes
    ----------
    data : the rows of the data, (n,).
    drawn : those of the simulated data sets, (B, n).
    weight : (n,) trials or precision weights; ones where there are none.
    pearson, drawn_pearson : Pearson's statistic over its degrees of freedom, a number and (B,).
    refitted : whether the model was fitted anew to each simulated data set, as the shade supposes.
    every : one of how many rows is looked at.
    labels : (n,) the names of the rows.
    effects : of the effects of each group, those of the data (L,) and of the simulated data sets (B, L).
    why : where the model was not fitted anew, why not.
    redrawn : whether simulated data sets have other effects of groups than the data, and so other fitted values.
    """

    data: Rows
    drawn: Rows
    weight: np.ndarray
    pearson: float
    drawn_pearson: np.ndarray
    refitted: bool
    every: int
    labels: tuple[str, ...]
    effects: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    why: str = ""
    redrawn: bool = False

    @property
    def n(self) -> int:
        """Number of rows looked at."""
        return len(self.data.y)

    @property
    def count(self) -> int:
        """Number of simulated data sets."""
        return len(self.drawn_pearson)
