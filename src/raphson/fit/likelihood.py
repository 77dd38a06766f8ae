"""The Fit of a likelihood: a Fit whose model has parameters and predictors, but no mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.columns import Columns
from raphson.data.formula import updated
from raphson.errors import ModelError
from raphson.fit.densities import (
    Predicted,
    check_request,
    ends_of,
    mean_of,
    of_rows,
    of_whole_rows,
    predicted,
    shown,
)
from raphson.fit.fit import Fit
from raphson.fit.state import kept_labels
from raphson.inference import delta, intervals
from raphson.model.likelihood.densities.ready import DENSITIES
from raphson.model.likelihood.distribution import levels_of, tabulate

if TYPE_CHECKING:
    import pandas as pd


class LikelihoodFit(Fit):
    """A fitted likelihood: what :func:`raphson.mle` returns.

    It has what every :class:`~raphson.fit.fit.Fit` has, but for what needs a mean or a saturated model: deviances,
    fitted values and residuals.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"art": [0, 0, 0, 1, 2, 0, 3, 1, 0, 4], "x": [1, 0, 1, 0, 0, 1, 0, 1, 1, 0]}
    >>> fit = rp.mle("zero_inflated_poisson", "art ~ x", data)
    >>> list(fit.params.index)
    ['log_mean:Intercept', 'log_mean:x', 'logit_zero:Intercept']
    """

    assembly: str = ""
    """How the information was put together: from which linear predictors, or row by row."""

    formulas: dict[str, str] = {}  # noqa: RUF012 - replaced, never changed
    """The formula of each parameter, where there are formulas."""

    def _no(self, what: str) -> ModelError:
        return ModelError(
            f"{what}: a likelihood has no mean, so it has no {what}; see params, llf, and predict() for its predictors"
        )

    @property
    def deviance(self) -> float:  # type: ignore[override]
        """NaN: there is no saturated model to compare with."""
        return math.nan

    @property
    def null_deviance(self) -> float:  # type: ignore[override]
        """NaN: there is no mean to hold constant."""
        return math.nan

    @property
    def rss(self) -> float:  # type: ignore[override]
        raise self._no("rss")

    @property
    def residual_sd(self) -> float:
        raise self._no("residual_sd")

    @property
    def fittedvalues(self) -> Any:  # type: ignore[override]
        raise self._no("fittedvalues")

    def residuals(self, kind: str = "deviance", seed: int = 0) -> Any:
        raise self._no("residuals")

    @cached_property
    def df_model(self) -> float:
        """The number of parameters, or what a penalty leaves of it."""
        return self._effective

    @property
    def df_null(self) -> float:
        return math.nan

    def information(self, kind: str = "observed") -> pd.DataFrame:  # type: ignore[override]
        """Fisher information at the estimate: "observed" (default), "expected" or "opg"."""
        return super().information(kind)  # type: ignore[arg-type]

    @cached_property
    def _reduced_cov(self) -> np.ndarray:
        """As for any Fit; NaN where the iteration did not end at a maximum and the information is singular."""
        try:
            return super()._reduced_cov
        except ModelError:
            if self.converged:
                raise
            return np.full((self._n, self._n), np.nan)

    @cached_property
    def _certifying(self) -> np.ndarray:
        try:
            return self._finite(self._uncertainty.model_based("observed", self.dispersion))
        except ModelError:
            return np.full((self._n, self._n), np.nan)

    @property
    def title(self) -> str:
        return self.formula or f"{self.family.name}(params, row)"

    def predict(
        self,
        new: Any = None,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        kind: str = "link",
        offset: Any = None,
        missing: str = "nan",
        function: Callable[..., Any] | None = None,
    ) -> pd.Series | pd.DataFrame:
        """Predict for new rows: the predictors, the response, or any function of them.

        Parameters
        ----------
        new : a data frame, a path or a dict of columns; None for the data of the fit.
        se : whether to add standard errors.
        interval : None, "confidence" (of what is predicted), or "prediction": of a new response, the quantiles of its
            distribution at the estimate.
        level : coverage.
        kind : "link" for the linear predictors, a column for each parameter of the density, with columns
            ``parameter_se``, ``parameter_lower``, ``parameter_upper``; "response" for the mean of the response, which
            is integrated over the density, or the probability of each of its ordered levels. A ready density of
            survival times is that of the time itself, not censored.
        offset : accepted for symmetry; offsets stand in the formulas.
        missing : of rows with missing values: "nan" (one prediction for every row, NaN where it cannot be told),
            "drop" or "raise".
        function : what to predict instead, in ``jax.numpy``, one row at a time: of the density's predictors, in its
            order, ``lambda mu, log_sigma: jnp.exp(mu)``; in the general form of the parameters and the row,
            ``lambda params, row: params["a"] * row.x``. Its standard error is the delta method's.

        Returns
        -------
        A frame with a column for each predictor; of the response or a function a Series, with `se` or `interval` a
        frame with columns ``fit``, ``se``, ``lower``, ``upper``.

        Raises
        ------
        ModelError
            In the general form without `function`: loglik(params, row) does not say what to predict. If the density is
            that of no distribution (one with a mass at a point, or of a censored response).

        Examples
        --------
        >>> import jax.numpy as jnp
        >>> import raphson as rp
        >>> data = {"art": [0, 0, 0, 1, 2, 0, 3, 1, 0, 4], "x": [1, 0, 1, 0, 0, 1, 0, 1, 1, 0]}
        >>> fit = rp.mle("zero_inflated_poisson", "art ~ x", data)
        >>> fit.predict({"x": [0, 1]}, kind="response", se=True).round(4).to_numpy().tolist()
        [[2.0055, 0.6974], [0.1995, 0.2015]]
        >>> by_hand = fit.predict({"x": [0, 1]}, function=lambda mean, zero: jnp.exp(mean) / (1 + jnp.exp(zero)))
        >>> by_hand.round(4).tolist()
        [2.0055, 0.1995]
        """
        import pandas as pd

        del offset
        check_request(kind, interval)
        reach = intervals.quantile(level, self._reference_df)
        parts = getattr(self._schema, "parts", None)
        root = delta.covariance_root(self._reduced_cov) if se or interval else np.zeros((0, self._n))
        if parts is None:
            return self._of_rows(function, new, se, interval, root, reach)
        n_cuts = self._n - sum(part.X.shape[1] for part in parts.values())
        made = predicted(parts, self._theta, n_cuts, new, missing, self._labels_of(new), root, reach)
        if function is not None:
            if interval == "prediction":
                raise ModelError("interval: a function of the predictors has interval='confidence', no prediction")
            return of_whole_rows(made, (), lambda rows, _: rows.function(function, se, interval))
        if kind == "link" and interval != "prediction":
            return made.predictors(len(parts), se, interval)
        model = self._need_data("predictions of the response")
        levels = levels_of(self.family)
        if levels is not None and interval == "prediction":
            raise ModelError("interval: of ordered levels kind='response' gives every probability; leave it out")

        def response(rows: Predicted, extra: tuple[np.ndarray, ...]) -> pd.Series | pd.DataFrame:
            tables = tabulate(self.family, rows.eta, extra, model.y)
            if levels is not None:
                return rows.levels(tables, levels, se, interval)
            mean, slope = mean_of(tables)
            if interval != "prediction":
                return rows.with_errors(mean, slope, se, interval)
            found = rows.with_errors(mean, slope, se, None)
            table = found.to_frame() if isinstance(found, pd.Series) else found
            table["lower"], table["upper"] = ends_of(tables, level)
            return table

        return of_whole_rows(made, self._columns_of(new, made), response)

    def _labels_of(self, new: Any) -> Callable[[Any], Any]:
        if new is None:
            return lambda made: self._row_labels
        return lambda made: kept_labels(made.labels, made.index, made.X.shape[0] + made.n_dropped)

    def _columns_of(self, new: Any, made: Predicted) -> tuple[np.ndarray, ...]:
        """What else the density reads, of the rows that are predicted."""
        ready = self.family.ready
        found = []
        for number, name in enumerate(self._schema.columns):
            if ready is not None and name == "event":
                values = np.ones(made.eta.shape[1])
            elif new is None:
                values = self._model.extra[number]
            else:
                values = self._schema.read(name, new).values
                values = values if made.kept is None else values[made.kept]
            found.append(values)
        return tuple(found)

    def _of_rows(
        self, function: Any, new: Any, se: bool, interval: str | None, root: np.ndarray, reach: float
    ) -> pd.Series | pd.DataFrame:
        """A function of (params, row), in the general form."""
        if function is None:
            raise ModelError(
                "predict: loglik(params, row) does not say what to predict; pass function=lambda params, row: ..., or "
                "use fit.delta for functions of the parameters alone"
            )
        if interval == "prediction":
            raise ModelError(
                "interval: loglik(params, row) does not say which column is the response; use interval='confidence', "
                "or write a density logpdf(y, ...) with formulas"
            )
        source = self._frame if new is None else new
        values, slope = of_rows(function, self.names, self._estimates, source)
        errors = np.linalg.norm(root @ np.nan_to_num(slope).T, axis=0) if se or interval else None
        return shown(values, errors, se, interval, reach, getattr(source, "index", None))

    @property
    def _frame(self) -> pd.DataFrame:
        """The rows of the data that were used; of a dict with matrices, its plain columns."""
        frame = Columns(self._source).table.frame
        index = self._need_data("the rows of the data").data.index
        return (frame if index is None else frame.iloc[index]).set_axis(self._row_labels, axis=0)

    def update(self, formula: str | Mapping[str, str]) -> Fit:
        """Fit again with other formulas on the same data; ``.`` stands for what was there.

        Parameters
        ----------
        formula : the change of each parameter's formula, by parameter, as in ``{"zero": "~ . + age"}``, or ``"+ age"``
            for short; a text alone changes the formula with the response.

        Examples
        --------
        >>> import raphson as rp
        >>> births = rp.datasets.load("births")
        >>> fit = rp.mle("tobit", {"mean": "ftv ~ age", "sigma": "~ 1"}, births.assign(ftv=births["age"] % 3))
        >>> fit.update({"mean": ". ~ . + smoke", "sigma": "~ smoke"}).formulas
        {'mean': 'ftv ~ (age) + smoke', 'log_sigma': '~ smoke'}
        """
        if self._refit is None or not self.formulas:
            raise ModelError(
                "update: only a likelihood with formulas, and not loaded, can be updated; fit again with rp.mle"
            )
        first = next(iter(self.formulas))
        changes = {first: formula} if isinstance(formula, str) else dict(formula)
        texts = dict(self.formulas)
        ready = DENSITIES.get(self.family.ready or "")
        for name, change in changes.items():
            full = ready.full_name(name) if ready is not None else name
            if full not in texts:
                raise ModelError(f"update: there is no formula of {name!r}; there are those of {', '.join(texts)}")
            texts[full] = updated(texts[full], change)
        return self._refit(texts)  # type: ignore[arg-type]
