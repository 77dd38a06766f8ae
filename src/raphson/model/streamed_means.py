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
        theta = rows.theta
        return float(
            self.summed(lambda held: held.log_likelihood(held.rows(theta), dispersion), "llf", theta, dispersion)
        )

    def ml_dispersion(self, rows: StreamedRowTable) -> float:
        """The φ that maximises the likelihood at the fitted means."""
        from scipy.optimize import minimize_scalar

        guess = self.pearson(rows) / max(self.nobs, 1.0)
        if not (guess > 0 and math.isfinite(guess)):
            return 0.0
        if self._model.family.dispersion_is_mean_deviance:
            totals = self._model.totals
            n = totals.positive if self._model.weights_kind == "precision" else totals.weights
            return self.deviance(rows) / n
        # For other families φ̂ is not a sum over rows. A few readings find it to half of the digits, with which the
        # log-likelihood is accurate to all.
        centre = math.log(guess)
        found = minimize_scalar(
            lambda log_phi: -self.log_likelihood(rows, math.exp(log_phi)),
            bracket=(centre - 0.1, centre + 0.1),
            method="brent",
            tol=1e-9,
        )
        return math.exp(float(found.x))


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
