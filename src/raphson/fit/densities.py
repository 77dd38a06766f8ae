"""Predictions from a fitted likelihood: predictors, mean and quantiles of the response, and functions of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.compat import jax, jnp
from raphson.data.columns import CodedColumns, ColumnsByName
from raphson.data.model_data import common_rows, take_rows
from raphson.data.products import matvec
from raphson.errors import ConvergenceWarning, ModelError, warn_user
from raphson.fit.means import Prediction
from raphson.inference import delta
from raphson.inference.functions import Params
from raphson.model.likelihood.distribution import Tabulated, quantiles
from raphson.model.likelihood.general import TracedLikelihood, trace_likelihood
from raphson.model.parameters import Parameters
from raphson.model.replay.replay import accurate
from raphson.numeric import x64

if TYPE_CHECKING:
    import pandas as pd

FAR_OUT = (15.0, 30.0)
"""Two distances towards infinity, in units of the fastest predictor, at which a limit is judged. There a logistic
function is e⁻¹⁵ = 3e-7 and e⁻³⁰ = 1e-13 from its limit."""

ROUNDING = 1e-6
"""Moves below this, relative to the largest part of the direction, are rounding."""

SAME = 1e-5
"""Relative change between the two distances below which the limit is reached, 30 times e⁻¹⁵."""


@dataclass(frozen=True)
class Predicted:
    """The predictors of some rows, and how these depend on the parameters.

    Attributes
    ----------
    names : (K,) of the predictors.
    eta : (K, m).
    designs : K matrices (m, p_k), whose columns together belong to the parameters in order.
    root : Q of the covariance C = QᵀQ of the parameters, (r, p).
    reach : quantile of the intervals.
    labels : index of the rows.
    kept : their positions in the new data; None if all are there.
    moves : (K, m) how each predictor goes to infinity, the fastest of a row by ±1; 0 where it stays finite.
    """

    names: Sequence[str]
    eta: np.ndarray
    designs: Sequence[Any]
    root: np.ndarray
    reach: float
    labels: Any
    kept: np.ndarray | None
    moves: np.ndarray

    @property
    def moved(self) -> np.ndarray:
        """(m,) mask of the rows that have a predictor at infinity."""
        return np.logical_or.reduce(self.moves != 0, axis=0)

    def only(self, rows: np.ndarray) -> Predicted:
        """A subset of the rows, with 0 in place of NaN."""
        designs = [take_rows(design, rows) for design in self.designs]
        eta, moves = np.nan_to_num(self.eta[:, rows]), self.moves[:, rows]
        return replace(self, eta=eta, moves=moves, designs=designs, labels=self.labels[rows])

    def outward(self, reach: float) -> Predicted:
        """The rows moved by `reach` towards infinity."""
        return replace(self, eta=self.eta + reach * self.moves)

    def predictor_errors(self) -> np.ndarray:
        """(K, m) standard errors of the predictors."""
        return delta.predictor_se(self.designs, self.root)

    def errors_of(self, slope: np.ndarray) -> np.ndarray:
        """(C, m) standard errors of functions of the predictors with the derivatives `slope` (C, K, m)."""
        return delta.mean_se(self.designs, self.root, slope)

    def predictors(self, count: int, asked: Prediction) -> pd.DataFrame:
        """A column for each of the first `count` predictors, with ``_se``, ``_lower``, ``_upper`` on request."""
        import pandas as pd

        columns: dict[str, np.ndarray] = {}
        eta = np.where(self.moves == 0, self.eta, np.copysign(np.inf, self.moves))
        errors = np.zeros(eta.shape)
        if asked.uncertain:  # Wald theory gives no error at infinity
            errors = np.where(self.moves == 0, self.predictor_errors(), np.nan)
        for name, values, error in zip(self.names[:count], eta, errors, strict=False):
            columns[name] = values
            if asked.se:
                columns[f"{name}_se"] = error
            if asked.interval:
                columns[f"{name}_lower"] = values - self.reach * error
                columns[f"{name}_upper"] = values + self.reach * error
        return pd.DataFrame(columns, index=self.labels)

    def function(self, asked: Prediction) -> pd.Series | pd.DataFrame:
        """A function of the predictors, one row at a time, with its standard error by the delta method."""
        function = asked.function
        assert function is not None

        def one(eta: Any) -> Any:
            return jnp.asarray(function(*eta), dtype=float)

        what = f"lambda {', '.join(self.names)}: ..."
        values, slope = evaluated(lambda: (jax.vmap(one)(self.eta.T), jax.vmap(jax.jacfwd(one))(self.eta.T)), what)
        return self.with_errors(values, slope.T, asked)

    def response(
        self, tables: list[Tabulated], levels: Sequence[str] | None, asked: Prediction
    ) -> pd.Series | pd.DataFrame:
        """The mean of the response, or the probability of each of its ordered levels."""
        import pandas as pd

        if levels is not None:
            return self._levels(tables, levels, asked)
        slope = np.concatenate([table.mean_slope for table in tables], axis=1)
        mean = np.concatenate([table.mean for table in tables])
        if asked.interval != "prediction":
            return self.with_errors(mean, slope, asked)
        found = self.with_errors(mean, slope, replace(asked, interval=None))
        table = found.to_frame() if isinstance(found, pd.Series) else found
        # Quantiles at (1 ∓ level)/2 of the distribution at the estimate; the error of the estimate is left out.
        table["lower"], table["upper"] = quantiles(tables, 0.5 + 0.5 * asked.level * np.array([-1.0, 1.0]))
        return table

    def _levels(self, tables: list[Tabulated], levels: Sequence[str], asked: Prediction) -> pd.DataFrame:
        import pandas as pd

        mass = np.concatenate([table.mass for table in tables])
        slope = np.concatenate([np.asarray(table.mass_slope) for table in tables], axis=2)
        found = {"fit": mass.T}
        if asked.uncertain:
            errors = self.errors_of(slope)
            found |= {"se": errors} if asked.se else {}
            if asked.interval:
                found["lower"], found["upper"] = delta.probability_interval(mass.T, errors, self.reach)
        if len(found) == 1:
            return pd.DataFrame(mass, index=self.labels, columns=list(levels))
        columns = {
            f"{what}_{level}": row for what, rows in found.items() for level, row in zip(levels, rows, strict=True)
        }
        return pd.DataFrame(columns, index=self.labels)

    def with_errors(self, values: np.ndarray, slope: np.ndarray, asked: Prediction) -> pd.Series | pd.DataFrame:
        """The table of values (m,) whose derivatives by the predictors are `slope` (K, m)."""
        errors = self.errors_of(slope[None])[0] if asked.uncertain else None
        return shown(values, errors, asked, self.reach, self.labels)


def shown(
    values: np.ndarray, errors: np.ndarray | None, asked: Prediction, reach: float, labels: Any
) -> pd.Series | pd.DataFrame:
    """A Series of predictions, or a frame with columns ``fit``, ``se``, ``lower``, ``upper``."""
    import pandas as pd

    if errors is None:
        return pd.Series(values, index=labels, name="fit")
    columns = {"fit": values}
    if asked.se:
        columns["se"] = errors
    if asked.interval:
        columns["lower"], columns["upper"] = values - reach * errors, values + reach * errors
    return pd.DataFrame(columns, index=labels)


def evaluated(compute: Callable[[], Any], what: str) -> list[np.ndarray]:
    """The values of a user's function of rows.

    Raises
    ------
    ModelError
        If it fails, or returns more than one number for a row.
    """
    try:
        with x64():
            found = [np.asarray(part) for part in compute()]
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).split("\n", 1)[0]
        raise ModelError(
            f"function: expected {what}, in jax.numpy, one row at a time; it failed with {type(error).__name__}: "
            f"{reason}"
        ) from error
    if found[0].ndim != 1:
        raise ModelError(f"function: expected one number for each row; got an array of shape {found[0].shape[1:]}")
    return found


def traced(function: Callable[..., Any], names: tuple[str, ...], columns: ColumnsByName) -> TracedLikelihood:
    """A function of the parameters, by `names`, and a row of these columns."""
    layout, _ = Parameters.of({"theta": np.zeros(len(names))}, "theta")

    def wrapped(params: Any, row: Any) -> Any:
        return function(Params(params["theta"], names), row)

    return trace_likelihood(wrapped, "function", layout, columns)


def of_rows(
    function: Callable[..., Any],
    names: tuple[str, ...],
    theta: np.ndarray,
    direction: np.ndarray,
    columns: CodedColumns,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate a function of the parameters and a row.

    Returns the values (m,), the derivatives (m, p), and a mask (m,) of the rows that depend on a parameter at infinity,
    whose values are limits. Rows with a missing value, or a level that is not among its column's labels, give NaN.
    """
    made = traced(function, names, columns)
    again = accurate(made.jaxpr)
    read = [columns[name] for name in made.used]
    cells = [one.values for one in read]
    rows = tuple(one.values if one.labels is None else _codes(one.values) for one in read)

    def one(theta: Any, row: Any) -> Any:
        return again(theta, *row)[0]

    def at(theta: np.ndarray) -> list[np.ndarray]:
        return evaluated(
            lambda: (jax.vmap(one, (None, 0))(theta, rows), jax.vmap(jax.jacrev(one), (None, 0))(theta, rows)),
            "a function of (params, row)",
        )

    values, slope = at(theta)
    moved = np.zeros(len(values), dtype=bool)
    if direction.any():
        unit = direction / np.abs(direction).max()
        near, far = (at(theta + reach * unit)[0] for reach in FAR_OUT)
        moved = (slope * unit != 0).any(axis=1) | (near != values)
        values = np.where(moved, _limit(near, far), values)
    absent = np.any([np.isnan(one.reshape(len(one), -1)).any(axis=1) for one in cells], axis=0)
    _warn_no_limit(moved & np.isnan(values) & ~absent)
    # A comparison with NaN is false, so a function with a branch would return a number for a missing value.
    return np.where(absent, np.nan, values), slope, moved


def _codes(values: np.ndarray) -> np.ndarray:
    """Codes as whole numbers, 0 where they are missing."""
    return np.nan_to_num(values).astype(np.int64)


def predicted(
    parts: Any,
    parameters: tuple[np.ndarray, np.ndarray],
    new: Any,
    missing: str,
    labels: Any,
    root: np.ndarray,
    reach: float,
) -> Predicted:
    """The predictors of new rows, or of the fit's own; the cut points of ordered levels come last.

    Parameters
    ----------
    parts : parameter -> its design.
    parameters : θ (n,), finite, and the direction (n,) in which it goes to infinity.
    labels : gives the index of the rows from the first part's design.
    """
    names: list[str] = []
    designs: list[Any] = []
    etas, moves = [], []
    theta, direction = parameters
    start = 0
    rows = list(parts.values()) if new is None else common_rows([part.design(new, missing) for part in parts.values()])
    for name, made in zip(parts, rows, strict=True):
        here = slice(start, start + made.X.shape[1])
        start = here.stop
        eta = matvec(made.X, theta[here])
        names.append(name)
        etas.append(eta if made.offset is None else eta + made.offset)
        moves.append(matvec(made.X, direction[here]))
        designs.append(made.X)
    m = len(etas[0])
    for j in range(start, len(theta)):
        names.append(f"cut {j - start + 1}")
        etas.append(np.full(m, theta[j]))
        moves.append(np.full(m, direction[j]))
        designs.append(np.ones((m, 1)))
    moved = np.nan_to_num(np.stack(moves))
    largest = np.abs(moved).max(axis=0)
    unit = np.where(np.abs(moved) > ROUNDING * np.abs(direction).max(initial=0.0), moved, 0.0)
    unit = unit / np.where(largest > 0, largest, 1.0)
    kept = None if new is None else rows[0].index
    return Predicted(names, np.stack(etas), designs, root, reach, labels(rows[0]), kept, unit)


def of_whole_rows(
    made: Predicted,
    extra: tuple[np.ndarray, ...],
    asked: Prediction,
    predict: Callable[[Predicted, tuple[np.ndarray, ...]], pd.Series | pd.DataFrame],
) -> pd.Series | pd.DataFrame:
    """Apply `predict` to the complete rows; the others are NaN.

    Where a predictor is infinite, the prediction is its limit, or NaN with a warning if the limit is not finite.
    """
    import pandas as pd

    whole = np.logical_and.reduce([np.isfinite(made.eta).all(axis=0), *(~np.isnan(values) for values in extra)])
    good = whole & ~made.moved
    if good.all():
        return predict(made, extra)

    def of(rows: np.ndarray, reach: float = 0.0) -> pd.Series | pd.DataFrame:
        return predict(made.only(rows).outward(reach), tuple(np.nan_to_num(values[rows]) for values in extra))

    # If no row is complete, the first one, filled with zeros, gives the names of the columns.
    found = of(np.flatnonzero(good) if good.any() else np.zeros(1, dtype=int))
    values = np.full((len(good), *found.shape[1:]), np.nan)
    values[good] = found.to_numpy()[: good.sum()]
    beyond = np.flatnonzero(whole & made.moved)
    if len(beyond):
        with suppress(ModelError):  # so far out the density may have no distribution
            values[beyond] = _limit(*(of(beyond, reach).to_numpy() for reach in FAR_OUT))
        limits = values[beyond].reshape(len(beyond), -1)
        if isinstance(found, pd.DataFrame) and asked.uncertain:
            # Wald theory gives no error at infinity; quantiles of the response are those of the limit.
            without = "se" if asked.interval == "prediction" else ("se", "lower", "upper")
            errors = np.array([str(name).startswith(without) for name in found.columns])
            values[np.ix_(beyond, np.flatnonzero(errors))] = np.nan
            limits = limits[:, ~errors]
        _warn_no_limit(np.logical_or.reduce(np.isnan(limits), axis=1))
    if isinstance(found, pd.Series):
        return pd.Series(values, index=made.labels, name=found.name)
    return pd.DataFrame(values, index=made.labels, columns=found.columns)


def _limit(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """The limit of values that no longer change, or vanish; NaN for the others."""
    same = np.abs(near - far) <= SAME * np.maximum(np.abs(near), np.abs(far))
    return np.where(same, far, np.where(np.abs(far) <= SAME * np.abs(near), 0.0, np.nan))


def _warn_no_limit(without: np.ndarray) -> None:
    """Warn of the rows (m,) whose prediction has no finite limit."""
    if without.any():
        warn_user(
            f"predict: {int(without.sum())} of {len(without)} rows depend on an infinite parameter and have no finite "
            "prediction; they are NaN (see fit.message)",
            ConvergenceWarning,
        )
