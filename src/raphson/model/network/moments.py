"""Means, variances and extremes of columns, which can be added up over pieces of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Of weighted rows, what the scale of each column is made of.

    Sums of two parts are by the update of Chan, Golub and LeVeque (1983, American Statistician 37, 242): with weights a
    and b and means that differ by δ, the mean moves by δ b/(a + b), and the mean square grows by δ² ab/(a + b)². Sums
    of squares about 0 would lose the digits of a column that varies little about a large mean.

    Attributes
    ----------
    weight : their sum.
    centre, square : (d,) means, and mean squares about them.
    low, high : (d,) extremes over the rows of positive weight; infinite if there are none.
    least, most : (d,) extremes over all rows.
    """

    weight: float
    centre: np.ndarray
    square: np.ndarray
    low: np.ndarray
    high: np.ndarray
    least: np.ndarray
    most: np.ndarray

    @staticmethod
    def of(columns: np.ndarray, weight: np.ndarray | None) -> Moments:
        """Of rows (n, d) with weights (n,), or each of weight 1."""
        total = float(len(columns)) if weight is None else float(weight.sum())
        centre = square = np.zeros(columns.shape[1])
        if total > 0:
            centre = np.average(columns, axis=0, weights=weight)
            square = np.average((columns - centre) ** 2, axis=0, weights=weight)
        counted = columns if weight is None else columns[weight > 0]
        low, high = counted.min(axis=0, initial=np.inf), counted.max(axis=0, initial=-np.inf)
        least, most = columns.min(axis=0, initial=np.inf), columns.max(axis=0, initial=-np.inf)
        return Moments(total, centre, square, low, high, least, most)

    def __add__(self, other: Moments) -> Moments:
        a, b = self.weight, other.weight
        centre, square = (other.centre, other.square) if not a else (self.centre, self.square)
        if a and b:
            apart = other.centre - self.centre
            centre = self.centre + apart * (b / (a + b))
            square = (a * self.square + b * other.square) / (a + b) + apart**2 * (a / (a + b) * (b / (a + b)))
        return Moments(
            a + b,
            centre,
            square,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            np.minimum(self.least, other.least),
            np.maximum(self.most, other.most),
        )

    @property
    def reach(self) -> np.ndarray:
        """(d,) distance of the farthest row of positive weight from the mean."""
        return np.maximum(self.high - self.centre, self.centre - self.low)

    @property
    def size(self) -> np.ndarray:
        """(d,) the largest absolute value of any row."""
        return np.maximum(np.abs(self.least), np.abs(self.most))

    @property
    def varying(self) -> np.ndarray:
        """(d,) mask of the columns whose rows are not all equal."""
        return self.least < self.most
