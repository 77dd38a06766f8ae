"""Predictions of linear predictors and means, with standard errors and intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.choices import Effects, Interval, NewLevels, Scale
from raphson.data.blocks import Block
from raphson.data.products import matvec
from raphson.errors import ConvergenceWarning, ModelError, check_choice, warn_user
from raphson.inference import delta, intervals
from raphson.model.base import RowTable, row_table, rows_at
from raphson.model.families.distribution import Distribution
from raphson.model.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd


ROUNDING = 1e-8
"""How far rounding may carry a linear predictor beyond the end of its domain, where a maximum may lie."""


@dataclass(frozen=True)
class Prediction:
    """A request for predictions.

    Attributes
    ----------
    kind : "response" or "link".
    se : whether standard errors are wanted.
    interval : None, "confidence" or "prediction".
    level : coverage.
    function : of a likelihood's predictors, to predict instead; or None.
    labels : of the codes of text that such a function reads and the fit did not, by column; a column without has those
        of its own rows.
    effects : where coefficients vary, "all" of them; those of the "population", without the effects of groups; or
        "marginal", averaged over these.
    new_levels : what a level that the fit did not have is: an error, or like the "population".
    """

    kind: Scale
    se: bool = False
    interval: Interval | None = None
    level: float = 0.95
    function: Callable[..., Any] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    effects: Effects = "all"
    new_levels: NewLevels = "raise"

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Scale))
        check_choice("effects", self.effects, get_args(Effects))
        check_choice("new_levels", self.new_levels, get_args(NewLevels))
        check_choice("interval", self.interval, (*get_args(Interval), None))

    @property
    def uncertain(self) -> bool:
        """Whether standard errors or intervals are wanted."""
        return self.se or self.interval is not None


@dataclass(frozen=True)
class MeanPredictor:
    """The parts of a fit that predictions need.

    Attributes
    ----------
    family, predictor : of the model.
    theta : (p,) finite estimates.
    direction : (p,) in which some estimates are infinite, or None.
    root : (r, m) Q of the covariance QᵀQ of the coefficients without auxiliary parameters; m ≤ p.
    dispersion : φ̂.
    df : degrees of freedom of t, or None for the normal.
    follows : (m, q) how the coefficients move with the boundary of the domain at which the maximum lies, or None.
    """

    family: Distribution
    predictor: Predictor
    theta: np.ndarray
    direction: np.ndarray | None
    root: np.ndarray
    dispersion: float
    df: float | None
    follows: np.ndarray | None = None

    def predict(self, X: Any, offset: np.ndarray | None, labels: Any, asked: Prediction) -> pd.Series | pd.DataFrame:
        """See :meth:`raphson.fit.fit.Fit.predict`; X (n, p) is the design of the rows, `labels` their index."""
        import pandas as pd

        interval, level = asked.interval, asked.level
        reach = intervals.quantile(level, self.df)
        moves = self._moves(X)
        blocks = self._blocks(X, offset, moves)
        rows = row_table(self.family, self.predictor, blocks, self.theta)
        link = asked.kind == "link"
        if not link:
            self._warn_of_impossible(rows.eta[0])
        values = np.where(moves == 0, rows.eta, np.copysign(np.inf, moves)) if link else rows.mean
        if not asked.uncertain:
            return self._table({"": values}, labels)
        root = self.root
        designs = self.predictor.designs(X, blocks, self.theta)
        errors = delta.predictor_se(designs, root)
        if not link:
            errors = delta.mean_se(designs, root, rows.slope)
        columns = {"fit": values}
        if asked.se:
            columns["se"] = errors
        if interval == "confidence":
            columns["lower"], columns["upper"] = self._confidence(rows, designs, root, errors, reach, link)
        elif interval == "prediction":
            if link:
                raise ModelError("interval: expected kind='response' with 'prediction'; got kind='link'")
            columns["lower"], columns["upper"] = self._prediction(rows, errors, reach, level)
        # Wald theory gives neither a standard error nor an interval at infinity.
        beyond = (moves != 0).any(axis=0) | self._cut_off(X, moves.shape[1])
        for name in columns.keys() - {"fit"}:
            columns[name] = np.where(beyond, np.nan, columns[name])
        table = self._table(columns, labels)
        return table if isinstance(table, pd.DataFrame) else table.to_frame()

    def _warn_of_impossible(self, eta: np.ndarray) -> None:
        """Warn of means that no response of the family has, as of a probability above 1."""
        low, high = self.family.domain
        below, above = eta < low - ROUNDING, eta > high + ROUNDING
        if below.any() or above.any():
            family, link = self.family.name, self.family.link_name
            warn_user(
                f"predict: {np.count_nonzero(below | above)} of {len(eta)} rows have a mean that the {family} family "
                f"does not have: with the {link} link its linear predictor ends at {high if above.any() else low:g}. "
                "Predict nearer to the rows of the fit, or choose another link",
                ConvergenceWarning,
            )

    def _cut_off(self, X: Any, n: int) -> np.ndarray:
        """(n,) mask of the rows whose predictor moves with the boundary, so that its error is not normal."""
        if self.follows is None:
            return np.zeros(n, dtype=bool)
        moves = np.column_stack([matvec(X, part) for part in self.follows.T])
        return np.abs(moves).max(axis=1) > 1e-9 * np.abs(self.follows).max()

    def _moves(self, X: Any) -> np.ndarray:
        """(K, n) how the direction of separation moves each row's linear predictors; 0 where they stay finite."""
        K = self.family.n_predictors
        if self.direction is None:
            return np.zeros((K, self.predictor.count(X, self.theta)))
        moves = np.stack([matvec(X, part) for part in self.direction.reshape(K, -1)])
        from raphson.model.glm.separation import FAR

        return np.where(np.abs(moves) > 1e-6 * FAR, moves, 0.0)  # smaller moves are rounding

    def _blocks(self, X: Any, offset: np.ndarray | None, moves: np.ndarray) -> list[Block]:
        shift = moves if offset is None else moves + offset
        # The means do not depend on the response, so any number will do.
        return self.predictor.blocks((X,), np.ones(moves.shape[1]), None, shift)

    def _confidence(
        self,
        rows: RowTable,
        designs: list[Any],
        root: np.ndarray,
        errors: np.ndarray,
        reach: float,
        link: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        if link:
            eta = rows.eta
            return eta - reach * errors, eta + reach * errors
        if self.family.levels is not None:
            return delta.probability_interval(rows.mean, errors, reach)
        ends = delta.mean_interval(rows.eta[0], delta.predictor_se(designs, root)[0], self._mean, reach)
        return ends[0][None], ends[1][None]

    def _mean(self, eta: np.ndarray) -> np.ndarray:
        mean = rows_at(self.family, eta).mean[0]
        return np.where(np.isfinite(mean), mean, np.nan)

    def _prediction(
        self, rows: RowTable, errors: np.ndarray, reach: float, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        mean = rows.mean[0]
        if self.family.support is None or self.family.quasi:
            raise ModelError(
                f"interval: expected 'confidence' for the {self.family.name} family, which has no prediction "
                "intervals; got 'prediction'"
            )
        if self.family.support == "real":
            lower, upper = delta.gaussian_prediction_interval(mean, errors[0], self.dispersion, reach)
        else:
            lower, upper = delta.plug_in_prediction_interval(
                lambda y: self.family.cdf(y, mean, self.dispersion, None)[1], self.family.support, mean, level
            )
        return lower[None], upper[None]

    def _table(self, columns: dict[str, np.ndarray], labels: Any) -> Any:
        """A Series if there is only the prediction, otherwise a frame; several means give a column for each level."""
        import pandas as pd

        levels = self.family.levels
        data: dict[str, np.ndarray] = {}
        for name, values in columns.items():
            if levels is None:
                data[name] = values[0]
            else:
                shown = levels if len(values) == len(levels) else levels[1:]
                data |= {f"{name}_{level}".strip("_"): v for level, v in zip(shown, values, strict=True)}
        if list(data) == [""]:
            return pd.Series(data[""], index=labels, name="fit")
        return pd.DataFrame(data, index=labels)
