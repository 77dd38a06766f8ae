"""The Fit of a likelihood: a Fit whose model has parameters and predictors, but no mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.columns import Columns
from raphson.data.formula import updated
from raphson.data.matrix import matvec
from raphson.errors import ModelError
from raphson.fit import Fit
from raphson.inference import delta, intervals
from raphson.model.densities.ready import DENSITIES
from raphson.state import kept_labels

if TYPE_CHECKING:
    import pandas as pd


class LikelihoodFit(Fit):
    """A fitted likelihood: what :func:`raphson.mle` returns.

    It has what every :class:`~raphson.fit.Fit` has, but for what needs a mean or a saturated model: deviances, fitted
    values and residuals.

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

    def predict(
        self,
        new: Any = None,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        kind: str = "link",
        offset: Any = None,
        missing: str = "drop",
    ) -> pd.Series | pd.DataFrame:
        """Predict the linear predictors of new rows: a column for each parameter of the density.

        Parameters
        ----------
        new : a data frame, a path or a dict of columns; None for the data of the fit.
        se : whether to add standard errors, columns ``parameter_se``.
        interval : None, or "confidence" for columns ``parameter_lower`` and ``parameter_upper``.
        level : coverage.
        kind : "link", the only one: a density tells of its predictors, not of a mean. Other functions of the
            parameters, with standard errors, are ``fit.delta``'s.
        offset : accepted for symmetry; offsets stand in the formulas.
        missing : "drop", "raise" or "nan" (keep rows with missing values, predict NaN).

        Raises
        ------
        ModelError
            In the general form: loglik(params, row) does not say what to predict.
        """
        import pandas as pd

        del offset
        parts = getattr(self._schema, "parts", None)
        if parts is None:
            raise ModelError(
                "predict: loglik(params, row) does not say what to predict; use fit.delta(function of params), or "
                "write a density with formulas"
            )
        if kind not in ("link", "response"):
            raise ModelError(f"kind: expected 'link'; got {kind!r}")
        if interval not in (None, "confidence"):
            raise ModelError(f"interval: expected None or 'confidence'; got {interval!r}")
        reach = intervals.quantile(level, self._reference_df)
        columns: dict[str, np.ndarray] = {}
        labels: Any = None
        root = delta.covariance_root(self._reduced_cov) if se or interval else None
        start = 0
        for name, part in parts.items():
            made = part.design(new, missing) if new is not None else part
            X, shift = made.X, made.offset
            if labels is None:
                labels = (
                    self._row_labels
                    if new is None
                    else kept_labels(made.labels, made.index, X.shape[0] + made.n_dropped)
                )
            here = slice(start, start + X.shape[1])
            start = here.stop
            eta = matvec(X, np.nan_to_num(self._theta[here]))
            columns[name] = eta if shift is None else eta + shift
            if root is not None:
                error = delta.predictor_se([X], root[:, here])[0]
                if se:
                    columns[f"{name}_se"] = error
                if interval:
                    columns[f"{name}_lower"] = columns[name] - reach * error
                    columns[f"{name}_upper"] = columns[name] + reach * error
        return pd.DataFrame(columns, index=labels)

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
        formula : the change of each parameter's formula, by parameter, as in ``{"zero": "~ . + age"}``; a text alone
            changes the formula with the response.

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
