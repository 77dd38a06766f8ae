"""Predictions of a likelihood's fit: its predictors, the response's mean and quantiles, and any function of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.choices import Interval, Scale
from raphson.data.columns import Columns
from raphson.data.model_data import common_rows, take_rows
from raphson.data.products import matvec
from raphson.errors import ModelError, check_choice
from raphson.inference import delta
from raphson.inference.functions import Params
from raphson.model.likelihood.distribution import Tabulated, quantiles
from raphson.model.likelihood.general import trace_likelihood
from raphson.model.likelihood.parameters import Parameters
from raphson.model.replay.replay import accurate
from raphson.numeric import x64

if TYPE_CHECKING:
    import pandas as pd


def check_request(kind: str, interval: str | None) -> None:
    """Refuse what cannot be predicted.

    Raises
    ------
    ModelError
    """
    check_choice("kind", kind, get_args(Scale))
    check_choice("interval", interval, (*get_args(Interval), None))


@dataclass(frozen=True)
class Predicted:
    """Predictors of some rows and how they depend on the parameters.

    Attributes
    ----------
    names : (K,) of the predictors.
    eta : (K, m).
    designs : K matrices (m, p_k), one after the other over the parameters.
    root : Q of the covariance C = QᵀQ of the parameters, (r, p).
    reach : quantile of the intervals.
    labels : index of the rows.
    kept : their positions in the new data; None if all are there.
    """

    names: Sequence[str]
    eta: np.ndarray
    designs: Sequence[Any]
    root: np.ndarray
    reach: float
    labels: Any
    kept: np.ndarray | None = None

    def only(self, rows: np.ndarray) -> Predicted:
        """Some of the rows, numbers in place of what is missing."""
        designs = [take_rows(design, rows) for design in self.designs]
        return replace(self, eta=np.nan_to_num(self.eta[:, rows]), designs=designs, labels=self.labels[rows])

    def predictors(self, count: int, se: bool, interval: str | None) -> pd.DataFrame:
        """A column for each of the first `count` predictors, and ``_se``, ``_lower``, ``_upper`` if asked for."""
        import pandas as pd

        columns: dict[str, np.ndarray] = {}
        errors = delta.predictor_se(self.designs, self.root) if se or interval else self.eta
        for name, eta, error in zip(self.names[:count], self.eta, errors, strict=False):
            columns[name] = eta
            if se:
                columns[f"{name}_se"] = error
            if interval:
                columns[f"{name}_lower"], columns[f"{name}_upper"] = eta - self.reach * error, eta + self.reach * error
        return pd.DataFrame(columns, index=self.labels)

    def function(self, function: Callable[..., Any], se: bool, interval: str | None) -> pd.Series | pd.DataFrame:
        """A function of the predictors, one row at a time, with its standard error by the delta method."""
        import jax
        import jax.numpy as jnp

        def one(eta: Any) -> Any:
            return jnp.asarray(function(*eta), dtype=float)

        what = f"lambda {', '.join(self.names)}: ..."
        values, slope = evaluated(lambda: (jax.vmap(one)(self.eta.T), jax.vmap(jax.jacfwd(one))(self.eta.T)), what)
        return self.with_errors(values, slope.T, se, interval)

    def levels(self, tables: list[Tabulated], levels: Sequence[str], se: bool, interval: str | None) -> pd.DataFrame:
        """The probability of each level of an ordered response."""
        import pandas as pd

        mass = np.concatenate([table.mass for table in tables])
        slope = np.concatenate([np.asarray(table.mass_slope) for table in tables], axis=2)
        found = {"fit": mass.T}
        if se or interval:
            errors = delta.mean_se(self.designs, self.root, slope)
            found |= {"se": errors} if se else {}
            if interval:
                found["lower"], found["upper"] = delta.probability_interval(mass.T, errors, self.reach)
        if len(found) == 1:
            return pd.DataFrame(mass, index=self.labels, columns=list(levels))
        columns = {
            f"{what}_{level}": row for what, rows in found.items() for level, row in zip(levels, rows, strict=True)
        }
        return pd.DataFrame(columns, index=self.labels)

    def with_errors(
        self, values: np.ndarray, slope: np.ndarray, se: bool, interval: str | None
    ) -> pd.Series | pd.DataFrame:
        """Values (m,) with their slopes by the predictors (K, m)."""
        errors = delta.mean_se(self.designs, self.root, slope[None])[0] if se or interval else None
        return shown(values, errors, se, interval, self.reach, self.labels)


def shown(
    values: np.ndarray, errors: np.ndarray | None, se: bool, interval: str | None, reach: float, labels: Any
) -> pd.Series | pd.DataFrame:
    """A Series of predictions, or a frame with columns ``fit``, ``se``, ``lower``, ``upper``."""
    import pandas as pd

    if errors is None:
        return pd.Series(values, index=labels, name="fit")
    columns = {"fit": values}
    if se:
        columns["se"] = errors
    if interval:
        columns["lower"], columns["upper"] = values - reach * errors, values + reach * errors
    return pd.DataFrame(columns, index=labels)


def evaluated(compute: Callable[[], Any], what: str) -> list[np.ndarray]:
    """What a user's function of rows gives.

    Raises
    ------
    ModelError
        If it fails, or gives more than one number for a row.
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


def of_rows(
    function: Callable[..., Any], names: tuple[str, ...], theta: np.ndarray, data: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Values (m,) and slopes (m, p) of a function of the parameters and a row, over the rows of `data`.

    Rows where a column is missing give NaN.
    """
    import jax

    columns = Columns(data)
    layout, _ = Parameters.of({"theta": theta})

    def wrapped(params: Any, row: Any) -> Any:
        return function(Params(params["theta"], names), row)

    traced = trace_likelihood(wrapped, "function", layout, columns)
    again = accurate(traced.jaxpr)
    rows = tuple(columns[name].values for name in traced.used)

    def one(theta: Any, row: Any) -> Any:
        return again(theta, *row)[0]

    values, slope = evaluated(
        lambda: (jax.vmap(one, (None, 0))(theta, rows), jax.vmap(jax.jacrev(one), (None, 0))(theta, rows)),
        "a function of (params, row)",
    )
    absent = np.any([np.isnan(cells.reshape(len(cells), -1)).any(axis=1) for cells in rows], axis=0)
    # A comparison with what is missing is false, and would choose a number.
    return np.where(absent, np.nan, values), slope


def predicted(
    parts: Any, theta: np.ndarray, n_cuts: int, new: Any, missing: str, labels: Any, root: np.ndarray, reach: float
) -> Predicted:
    """The predictors of new rows, or of those of the fit; cut points of ordered levels follow the parts.

    Parameters
    ----------
    parts : parameter -> its design.
    labels : from the first part's design to the index of the rows.
    """
    names, etas, designs = [], [], []
    start = 0
    rows = list(parts.values()) if new is None else common_rows([part.design(new, missing) for part in parts.values()])
    index = labels(rows[0])
    for name, made in zip(parts, rows, strict=True):
        here = slice(start, start + made.X.shape[1])
        start = here.stop
        eta = matvec(made.X, np.nan_to_num(theta[here]))
        names.append(name)
        etas.append(eta if made.offset is None else eta + made.offset)
        designs.append(made.X)
    m = len(etas[0])
    for j in range(n_cuts):
        names.append(f"cut {j + 1}")
        etas.append(np.full(m, theta[start + j]))
        designs.append(np.ones((m, 1)))
    kept = None if new is None else rows[0].index
    return Predicted(names, np.stack(etas), designs, root, reach, index, kept)


def of_whole_rows(
    made: Predicted, extra: tuple[np.ndarray, ...], predict: Callable[[Predicted, tuple[np.ndarray, ...]], Any]
) -> pd.Series | pd.DataFrame:
    """What `predict` makes of the rows whose predictors and columns are all there; NaN for the others."""
    import pandas as pd

    whole = [np.isfinite(made.eta).all(axis=0), *(~np.isnan(values) for values in extra)]
    good: np.ndarray = np.logical_and.reduce(whole)
    if good.all():
        return predict(made, extra)
    # Where no row is whole the first, with zeros in it, tells what is predicted of a row.
    kept = np.flatnonzero(good) if good.any() else np.zeros(1, dtype=int)
    found = predict(made.only(kept), tuple(np.nan_to_num(values[kept]) for values in extra))
    values = np.full((len(good), *found.shape[1:]), np.nan)
    values[good] = found.to_numpy()[: good.sum()]
    if isinstance(found, pd.Series):
        return pd.Series(values, index=made.labels, name=found.name)
    return pd.DataFrame(values, index=made.labels, columns=found.columns)


def mean_of(tables: list[Tabulated]) -> tuple[np.ndarray, np.ndarray]:
    """Means (m,) and their slopes by the predictors (K, m)."""
    slope = np.concatenate([table.mean_slope for table in tables], axis=1)
    return np.concatenate([table.mean for table in tables]), slope


def ends_of(tables: Any, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles at (1 ∓ level)/2 of each row's response at the estimate, whose own uncertainty is left out."""
    lower, upper = quantiles(tables, np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level]))
    return lower, upper
