"""What models have in common that have a mean for each of their streamed rows: the statistics of the fit as sums."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from raphson.data.model_data import ModelData
from raphson.data.not_in_memory import NotInMemory
from raphson.data.streams import StreamedData
from raphson.errors import ModelError
from raphson.model.families.base import Family
from raphson.model.spread import Spread
from raphson.model.streamed import StreamedRows, StreamedRowTable
from raphson.model.streamed_dispersion import best_dispersion


class StreamedMeans(StreamedRows):
    """Deviance, likelihood and dispersion by readings of the rows; see :class:`raphson.model.streamed.StreamedRows`.

    `totals` has `weights` too, the sum of the weights, trials included. The model in memory has `family`.
    """

    def _sums(self, rows: StreamedRowTable) -> np.ndarray:
        """Deviance, Pearson's statistic, sum of squares, log-likelihood at unit dispersion and the sums of the test for
        overdispersion, in one reading."""

        def one(held: Any) -> np.ndarray:
            here = held.rows(rows.theta)
            with np.errstate(all="ignore"):
                squares = math.nan if self._model.family.predictor_labels is not None else held.sum_of_squares(here)
                llf = math.nan if self._model.family.quasi else held.log_likelihood(here, 1.0)
                spread = held.spread(here) or (math.nan,) * 3
                return np.array([held.deviance(here), held.pearson(here), squares, llf, *spread])

        if rows.sums is None:
            rows.sums = np.asarray(self.summed(one, "sums", rows.theta))
        return rows.sums

    def deviance(self, rows: StreamedRowTable) -> float:
        return float(self._sums(rows)[0])

    def pearson(self, rows: StreamedRowTable) -> float:
        return float(self._sums(rows)[1])

    def spread(self, rows: StreamedRowTable) -> Spread | None:
        found = self._sums(rows)[4:]
        return None if np.isnan(found).any() else Spread(*map(float, found))

    def sum_of_squares(self, rows: StreamedRowTable) -> float:
        return float(self._sums(rows)[2])

    def log_likelihood(self, rows: StreamedRowTable, dispersion: float) -> float:
        if dispersion == 1.0:
            return float(self._sums(rows)[3])
        if rows.best is not None and rows.best[0] == dispersion:
            return rows.best[1]
        return float(self._likelihoods(rows, np.array([dispersion]))[0])

    def _likelihoods(self, rows: StreamedRowTable, dispersions: np.ndarray) -> np.ndarray:
        """The log-likelihoods (m,) at several φ (m,), in one reading."""

        def one(held: Any) -> np.ndarray:
            here = held.rows(rows.theta)
            return np.array([held.log_likelihood(here, float(phi)) for phi in dispersions])

        return np.asarray(self.summed(one, "llf", rows.theta, dispersions))

    def ml_dispersion(self, rows: StreamedRowTable) -> float:
        """The φ that maximises the likelihood at the fitted means."""
        guess = self.pearson(rows) / max(self.nobs, 1.0)
        if not (guess > 0 and math.isfinite(guess)):
            return 0.0
        family, totals = self._model.family, self._model.totals
        n = totals.positive if self._model.weights_kind == "precision" else totals.weights
        mean = self.deviance(rows) / n
        if family.dispersion_is_mean_deviance or not mean > 0:
            return mean
        if rows.best is None:
            low, high = family.dispersion_in_deviances
            rows.best = best_dispersion(lambda several: self._likelihoods(rows, several), low * mean, high * mean)
        return rows.best[0]


def refuse_numbers_as_categories(family: Family, streamed: StreamedData) -> None:
    """Refuse a response of numbers for a family of categories: its levels would be those of all rows.

    Raises
    ------
    ModelError
    """
    if family.predictor_labels is not None and streamed.levels is None:
        raise ModelError(
            "response: expected the categories of a streamed multinomial response as text or as a categorical "
            f"column; {streamed.head.response.name!r} holds numbers. Write them as text"
        )


def rows_not_in_memory(streamed: StreamedData, trials: bool) -> tuple[Any, Any, Any]:
    """What stands for the response, the weights and the trials of all rows in a model."""
    weighted = trials or streamed.head.weights is not None
    size, weight = NotInMemory("the trials"), NotInMemory("the weights")
    return NotInMemory("the response"), weight if weighted else None, size if trials else None


def rows_of_piece(family: Family, data: ModelData) -> tuple[Any, Any, Any]:
    """The response, the weights (times the trials) and the trials of a piece, as for data in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the sample has already warned
        observations = family.prepare(data.response, data.trials)
    return observations.y, observations.weight(data.weights), observations.size
