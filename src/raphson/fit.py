"""The Fit: what a user holds after fitting. Everything beyond the estimate itself is worked out when asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson import saving
from raphson.errors import DataError, ModelError
from raphson.inference import certificate, influence, intervals, residuals
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.methods import METHODS
from raphson.newton.path import Path
from raphson.newton.status import Status
from raphson.predicting import Predictor
from raphson.uncertainty import COVARIANCES, INFORMATION, Information, Uncertainty

if TYPE_CHECKING:
    import pandas as pd


class Fit:
    """A fitted model.

    Front doors such as :func:`raphson.glm` make it; :func:`raphson.load` reads a saved one, which has everything
    but what needs the data themselves (residuals, leverage, the augmented table).

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm([1.0, 2.0, 4.0, 3.0], [[1, 0], [1, 1], [1, 2], [1, 3]], names=["one", "x"])
    >>> fit.params.round(6).to_dict()
    {'one': 1.3, 'x': 0.8}
    >>> fit.status.value
    'converged'
    """

    _saved_information: dict[str, np.ndarray | None]

    def __init__(
        self,
        found: Estimate,
        asked: Any,
        *,
        method: str,
        information: Information,
        cov: str,
        groups: np.ndarray | None,
        dispersion: str | float,
        formula: str | None,
        source: Any = None,
        refit: Callable[[str], Fit] | None = None,
    ) -> None:
        self._estimate = found
        self._model = asked
        self._groups = groups
        self._dispersion_rule = dispersion
        self._source = source
        self._refit = refit
        self.method = method
        self.information_kind: Information = information
        self.cov_kind = cov
        self.formula = formula
        self.status: Status = found.status
        self._auxiliary: tuple[str, ...] = asked.family.auxiliary
        self._settled = found.model.settled(found.result.theta)
        self._uncertainty = Uncertainty(found, self._settled, asked.n_coefficients)
        self.family = self._settled.family
        self.names: tuple[str, ...] = asked.names
        self.n_dropped: int = asked.data.n_dropped
        self._n = asked.n_coefficients
        self._theta = _padded(found.result.theta, asked.objective.n_params)
        self._infinite = found.infinite
        self._direction = found.direction
        self._free = _padded(found.result.free, asked.objective.n_params).astype(bool)
        self._aliased = _padded(found.result.aliased, asked.objective.n_params).astype(bool)
        self._predictor = self._settled.predictor
        self._schema = asked.data.schema
        self._steps: Path = found.result.path
        self.distance: float = float(found.result.distance)
        self._floor: float = float(found.result.floor)

    # -- how it went -------------------------------------------------------------------------------------------

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum."""
        return self.status.converged

    @property
    def n_iter(self) -> int:
        """Steps taken."""
        return max(len(self._steps) - 1, 0)

    @cached_property
    def message(self) -> str:
        """How the iteration ended and what to do about it; names aliased and infinite coefficients."""
        parts = [self._estimate.note or self.status.advice]
        infinite = self._named(self._infinite[: self._n] != 0)
        if infinite:
            parts.append(f"infinite: {', '.join(infinite)}")
        aliased = self._named(self._aliased[: self._n] & (self._infinite[: self._n] == 0))
        if aliased:
            parts.append(f"aliased (linear combinations of earlier columns): {', '.join(aliased)}")
        if self.df_resid <= 0 and self.use_t:
            parts.append("saturated: as many coefficients as rows, so the dispersion cannot be estimated")
        return "; ".join(parts)

    @cached_property
    def path(self) -> pd.DataFrame:
        """The iterations, one row each: iteration, llf, score_norm, decrement, distance, step, damping, ..."""
        import pandas as pd

        return pd.DataFrame(self._steps.columns())

    def plot_path(self) -> Any:
        """Plot the iterations; returns the matplotlib Figure."""
        from raphson.report.plots import plot_path

        return plot_path(self)

    # -- estimates ---------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> pd.Series:
        """Estimates by name; NaN where aliased, infinite where separated."""
        values = self._theta[: self._n].copy()
        values[self._aliased[: self._n]] = np.nan
        infinite = self._infinite[: self._n]
        values[infinite != 0] = np.inf * infinite[infinite != 0]
        return self._series(values)

    @cached_property
    def _cov(self) -> np.ndarray:
        return self._finite(self._reduced_cov)

    @cached_property
    def _reduced_cov(self) -> np.ndarray:
        """Covariance of the coefficients that the iteration moved: where some are infinite, those of the limit."""
        self._need_data("a covariance")
        if self.cov_kind == "model":
            return self._uncertainty.model_based(self.information_kind, self.dispersion)
        return self._uncertainty.robust(self.information_kind, self.cov_kind, self.dispersion, self._groups)

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the estimates; NaN in the rows of aliased and infinite ones."""
        import pandas as pd

        return pd.DataFrame(self._cov, index=list(self.names), columns=list(self.names))

    @cached_property
    def bse(self) -> pd.Series:
        """Standard errors."""
        return self._series(np.sqrt(np.maximum(np.diagonal(self._cov), 0.0)))

    @cached_property
    def tvalues(self) -> pd.Series:
        """Estimates over their standard errors: t where the dispersion was estimated, else z."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._series(self._estimates / self.bse.to_numpy())

    @cached_property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of the hypothesis that a coefficient is 0."""
        return self._series(intervals.p_values(self.tvalues.to_numpy(), self._reference_df))

    def conf_int(self, level: float = 0.95, kind: str = "wald") -> pd.DataFrame:
        """Confidence intervals, columns ``lower`` and ``upper``."""
        import pandas as pd

        ends = intervals.conf_int(self._estimates, self.bse.to_numpy(), level, self._reference_df, kind)
        return pd.DataFrame(ends, index=list(self.names), columns=["lower", "upper"])

    @property
    def use_t(self) -> bool:
        """Whether the dispersion is estimated, so that t takes the place of z."""
        return not self.family.dispersion_fixed and not isinstance(self._dispersion_rule, float)

    @property
    def _reference_df(self) -> float | None:
        return self.df_resid if self.use_t else None

    @property
    def _estimates(self) -> np.ndarray:
        values = self.params.to_numpy()
        return np.where(np.isinf(values), np.nan, values)

    # -- information and covariance ----------------------------------------------------------------------------

    def information(self, kind: Information = "expected") -> pd.DataFrame:
        """Fisher information at the estimate, 1/φ̂ included; its inverse is the model-based ``cov_params()``.

        With a penalty P it is F + P, and the covariance φ̂ (F+P)⁻¹ F (F+P)⁻¹; with a negative binomial whose θ was
        estimated, that of the coefficients with θ profiled out.
        """
        import pandas as pd

        if kind not in INFORMATION:
            raise ModelError(f"kind: expected one of {', '.join(INFORMATION)}; got {kind!r}")
        if self._model is None:
            M = self._saved_information[kind]
        else:
            M = self._finite(self._uncertainty.information(kind, self.dispersion))
        if M is None:
            raise ModelError(f"information: the saved fit has no {kind} information; fit again")
        return pd.DataFrame(M, index=list(self.names), columns=list(self.names))

    @cached_property
    def score(self) -> pd.Series:
        """Gradient of the log-likelihood at the estimate, 1/φ̂ included: rounding is what is left of it."""
        self._need_data("the score")
        gradient = _padded(self._estimate.result.evaluation.score, len(self._theta))[: self._n] / self.dispersion
        return self._series(np.where(self._free[: self._n], gradient, np.nan))

    def _finite(self, V: np.ndarray) -> np.ndarray:
        """A matrix of the coefficients, NaN in the rows and columns of infinite ones."""
        out = np.array(V)
        infinite = self._infinite[: self._n] != 0
        out[infinite], out[:, infinite] = np.nan, np.nan
        return out

    def robust(self, cov: str = "HC0", groups: Any = None) -> Fit:
        """The same fit with another covariance.

        Parameters
        ----------
        cov : "model", "HC0" to "HC3" or "cluster".
        groups : (n,) cluster of each row, or the name of a column, for ``cov="cluster"``.
        """
        self._need_data("a robust covariance")
        if cov not in COVARIANCES:
            raise ModelError(f"cov: expected one of {', '.join(COVARIANCES)}; got {cov!r}")
        codes = None
        if groups is not None:
            values = self._column(groups) if isinstance(groups, str) else np.asarray(groups)
            index = self._model.data.index
            whole = len(self._model.y) + self._model.data.n_dropped
            if index is not None and values.shape == (whole,):
                values = values[index]
            if values.ndim != 1 or len(values) != len(self._model.y):
                raise DataError(f"groups: expected one for each of {len(self._model.y)} rows; got shape {values.shape}")
            codes = np.unique(values, return_inverse=True)[1]
        elif cov == "cluster" and self._groups is None:
            raise ModelError("groups: cov='cluster' needs groups=, the cluster of each row")
        other = object.__new__(Fit)
        other.__dict__.update(self.__dict__)
        for name in ("_reduced_cov", "_cov", "bse", "tvalues", "pvalues", "digits"):
            other.__dict__.pop(name, None)
        other.cov_kind = cov
        if codes is not None:
            other._groups = codes
        return other

    def _column(self, name: str) -> np.ndarray:
        frame = self._frame
        if name not in frame:
            raise DataError(f"groups: column {name!r} is not in the data; the columns are {', '.join(map(str, frame))}")
        return frame[name].to_numpy()

    # -- the certificate ---------------------------------------------------------------------------------------

    @cached_property
    def digits(self) -> pd.Series:
        """How many significant digits of each estimate are correct, as far as the iteration can tell."""
        return self._series(
            certificate.digits(self._estimates, np.sqrt(np.diagonal(self._certifying)), self.distance, self._floor)
        )

    @cached_property
    def _certifying(self) -> np.ndarray:
        return self._finite(self._uncertainty.model_based("expected", self.dispersion))

    # -- fit ---------------------------------------------------------------------------------------------------

    @cached_property
    def _rows(self) -> Any:
        """Row quantities at the estimate, of the model whose maximum it is."""
        return self._settled.rows(self._theta[: self._settled.predictor.n_params])

    @cached_property
    def _designs(self) -> list[Any]:
        """The derivative of the predictors at the estimate."""
        return self._settled.designs(self._theta[: self._settled.predictor.n_params])

    @cached_property
    def nobs(self) -> float:
        """Observations: rows of positive weight, or the sum of frequency weights."""
        return self._model.nobs

    @cached_property
    def _effective(self) -> float:
        """Degrees of freedom that the coefficients take: their number, or tr((F+P)⁻¹F) under a penalty."""
        unmoved = (self._infinite[: self._n] != 0) & ~self._free[: self._n]
        return self._uncertainty.effective_df + float(np.count_nonzero(unmoved))

    @cached_property
    def df_model(self) -> float:
        """Degrees of freedom of the model, without the intercepts."""
        return self._effective - (self.family.n_predictors if self.has_intercept else 0)

    @cached_property
    def df_resid(self) -> float:
        """Residual degrees of freedom."""
        return self.nobs - self._effective

    @cached_property
    def dispersion(self) -> float:
        """φ̂, by the rule asked for; 1 where the family fixes it."""
        rule = self._dispersion_rule
        if isinstance(rule, float):
            return rule
        if self.family.dispersion_fixed:
            return 1.0
        if rule == "ml":
            return self._ml_dispersion
        if self.df_resid <= 0:
            return math.nan
        total = self._settled.pearson(self._rows) if rule == "pearson" else self.deviance
        return total / self.df_resid

    @cached_property
    def _ml_dispersion(self) -> float:
        return self._settled.ml_dispersion(self._rows)

    @cached_property
    def deviance(self) -> float:
        """Twice the gap to the saturated log-likelihood, at unit dispersion."""
        return self._settled.deviance(self._rows)

    @cached_property
    def null_deviance(self) -> float:
        """Deviance of the model with only the intercept, if there is one, and the offset."""
        return null_deviance(self._model.null_model(self.family))

    @cached_property
    def llf(self) -> float:
        """Log-likelihood at the estimate, every constant included, at the maximum likelihood dispersion."""
        if self.family.quasi:
            return math.nan
        phi = self._dispersion_rule
        if self.family.dispersion_fixed:
            phi = 1.0
        elif not isinstance(phi, float):
            phi = self._ml_dispersion
        if phi == 0.0:
            return math.inf  # a perfect fit: the density of a point
        return self._settled.log_likelihood(self._rows, phi)

    @property
    def _n_estimated(self) -> float:
        return self._effective + len(self._auxiliary) + float(self.use_t)

    @cached_property
    def aic(self) -> float:
        """−2 llf + 2 × the number of parameters, an estimated dispersion or θ counted."""
        return -2.0 * self.llf + 2.0 * self._n_estimated

    @cached_property
    def bic(self) -> float:
        """−2 llf + log(nobs) × the number of parameters."""
        return -2.0 * self.llf + math.log(self.nobs) * self._n_estimated

    @cached_property
    def theta(self) -> float | None:
        """The negative binomial's θ (Var = μ + μ²/θ), None for other families."""
        value = getattr(self.family, "theta", None)
        if value is None:
            return math.inf if self._auxiliary else None
        return float(value)

    @cached_property
    def theta_se(self) -> float | None:
        """Standard error of θ̂ from the joint observed information; None where θ was not estimated."""
        if not self._auxiliary or self.theta == math.inf:
            return None
        # θ = exp(log θ): by the delta method its standard error is θ times that of log θ.
        return float(np.exp(self._theta[self._n]) * self._uncertainty.auxiliary_se()[0])

    @cached_property
    def rss(self) -> float:
        """Weighted sum of squared residuals."""
        if self.family.predictor_labels is not None:
            raise ModelError("rss: a multinomial response has no residuals to square; see fit.deviance")
        return self._settled.sum_of_squares(self._rows)

    @property
    def residual_sd(self) -> float:
        """√(rss/df_resid)."""
        if self.family.predictor_labels is not None:
            raise ModelError("residual_sd: a multinomial response has no residuals; see fit.deviance")
        return math.sqrt(self.rss / self.df_resid) if self.df_resid > 0 else math.nan

    # -- data --------------------------------------------------------------------------------------------------

    @cached_property
    def fittedvalues(self) -> pd.Series | pd.DataFrame:
        """Fitted means, by the index of the data."""
        self._need_data("fitted values")
        return self._by_row(self._rows.mean)

    def residuals(self, kind: str = "deviance", seed: int = 0) -> pd.Series:
        """Residuals by the index of the data.

        Parameters
        ----------
        kind : "deviance", "pearson", "response", "working" or "quantile" (randomised; Dunn and Smyth 1996).
        seed : of the randomisation.
        """
        model, rows = self._need_data("residuals"), self._rows
        if self.family.predictor_labels is not None:
            raise ModelError("residuals: a multinomial response has no single residual; compare fittedvalues")
        y, mean, w = model.y, rows.mean[0], model.row_weight
        if kind == "deviance":
            values = residuals.deviance(y, mean, self.family.unit_deviance(y, mean, rows.value), w)
        elif kind == "pearson":
            values = residuals.pearson(y, mean, self.family.variance(mean), w)
        elif kind == "response":
            values = residuals.response(y, mean)
        elif kind == "working":
            values = residuals.working(y, mean, rows.slope[0, 0])
        elif kind == "quantile":
            scale = self.dispersion if model.size is not None else self.dispersion / np.where(w > 0, w, 1.0)
            lower, upper = self.family.cdf(y, mean, scale, model.size)
            values = residuals.randomised_quantile(lower, upper, seed)
        else:
            known = "deviance, pearson, response, working, quantile"
            raise ModelError(f"kind: expected one of {known}; got {kind!r}")
        return self._by_row(values[None])

    @cached_property
    def leverage(self) -> pd.Series:
        """Diagonal of the hat matrix of the weighted least squares problem at the estimate."""
        return self._by_row(self._hat[None])

    @cached_property
    def _hat(self) -> np.ndarray:
        self._need_data("leverage")
        return influence.leverage(self._uncertainty.main_factor, self._designs, self._rows.expected)

    @cached_property
    def cooks_distance(self) -> pd.Series:
        """Cook's distance of each row, by one step (R's ``cooks.distance``)."""
        self._need_data("cooks_distance")
        values = influence.cooks_distance(
            self._uncertainty.main_factor, self._designs, self._rows.score, self._rows.expected, self.dispersion
        )
        return self._by_row(values[None])

    @cached_property
    def dfbetas(self) -> pd.DataFrame:
        """Change of each estimate in standard errors when a row is left out, by one step."""
        import pandas as pd

        self._need_data("dfbetas")
        factor, rows = self._uncertainty.main_factor, self._rows
        change = influence.dfbeta(factor, self._designs, rows.score, rows.expected)
        sigma: float | np.ndarray = 1.0
        if self.use_t:
            sigma = influence.deletion_sigma(self.residuals("deviance").to_numpy(), self._hat, self.df_resid)
        values = influence.dfbetas(change, factor, sigma)
        return pd.DataFrame(values[:, : self._n], index=self._row_labels, columns=list(self.names))

    def predict(
        self,
        new: Any = None,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        kind: str = "response",
        offset: Any = None,
        missing: str = "drop",
    ) -> pd.Series | pd.DataFrame:
        """Predict for new data, or for the data of the fit.

        Parameters
        ----------
        new : a data frame, a path, or a matrix with the columns of the fit; None for the data of the fit.
        se : whether to add standard errors.
        interval : None, "confidence" (of the mean) or "prediction" (of a new response).
        level : coverage.
        kind : "response" for means, "link" for linear predictors.
        offset : (n,) offset of the new rows, where that of the fit was given as an array.
        missing : what to do with rows that have missing values: "drop", "raise" or "nan" (keep them, predict NaN).

        Returns
        -------
        A Series of predictions; with `se` or `interval` a frame with columns ``fit``, ``se``, ``lower``, ``upper``.
        A multinomial fit gives a frame with a column for each level.
        """
        if new is None:
            data = self._need_data("predictions without new data").data
            X, shift, labels = data.X, data.offset, self._row_labels
        else:
            prepared = self._schema.design(new, missing=missing, offset=offset)
            X, shift = prepared.X, prepared.offset
            labels = _labels(prepared.labels, prepared.index, X.shape[0] + prepared.n_dropped)
        predictor = Predictor(
            self.family,
            self._predictor,
            self._theta[: self._n],
            None if self._direction is None else self._direction[: self._n],
            self._reduced_cov,
            self.dispersion,
            self._reference_df,
        )
        return predictor.predict(X, shift, labels, se=se, interval=interval, level=level, kind=kind)

    def update(self, formula: str) -> Fit:
        """Fit again with another formula on the same data; ``.`` stands for what was there: ``". ~ . + age"``."""
        if self._refit is None or self.formula is None:
            raise ModelError("update: only a fit made from a formula, and not loaded, can be updated; fit anew")
        left, right = (side.strip() for side in self.formula.split("~", 1))
        parts = formula.split("~", 1)
        dot = re.compile(r"(?<![\w.)\]])\.(?![\w.])")
        new_right = dot.sub(lambda _: f"({right})", parts[-1].strip())
        new_left = dot.sub(lambda _: left, parts[0].strip()) if len(parts) == 2 and parts[0].strip() else left
        return self._refit(f"{new_left} ~ {new_right}")

    # -- tables ------------------------------------------------------------------------------------------------

    def summary(self, level: float = 0.95) -> Any:
        """The fit on one page: prints as text, shows as HTML in a notebook."""
        from raphson.report.summary import summary

        return summary(self, level)

    def __repr__(self) -> str:
        from raphson.report.summary import summary

        return summary(self).text

    def _repr_html_(self) -> str:
        return self.summary().html

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row for each coefficient: term, estimate, std_error, statistic, p_value, conf_low, conf_high."""
        from raphson.report.tables import tidy

        return tidy(self, level)

    def glance(self) -> pd.DataFrame:
        """One row for the fit as a whole."""
        from raphson.report.tables import glance

        return glance(self)

    @cached_property
    def has_intercept(self) -> bool:
        """Whether the constant lies in the span of the columns."""
        return bool(self._model.data.has_intercept)

    @property
    def df_null(self) -> float:
        """Residual degrees of freedom of the null model."""
        return self.nobs - (self.family.n_predictors if self.has_intercept else 0)

    def augment(self) -> pd.DataFrame:
        """The rows of the data that were used, with ``.fitted``, ``.resid``, ``.std_resid``, ``.hat``, ``.cooksd``."""
        from raphson.report.tables import augment

        return augment(self, self._frame)

    @property
    def _frame(self) -> pd.DataFrame:
        """The rows of the data that were used."""
        import pandas as pd

        from raphson.data import read_table
        from raphson.data.matrix import dense

        model = self._need_data("the rows of the data")
        if self.formula is None:
            frame = pd.DataFrame(dense(model.data.X), columns=list(model.data.names), index=self._row_labels)
            frame.insert(0, model.data.response.name, model.y, allow_duplicates=True)
            return frame
        frame = read_table(self._source)
        if model.data.index is not None:
            frame = frame.iloc[model.data.index]
        return frame.set_axis(self._row_labels, axis=0)

    # -- keep --------------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to one JSON file: numbers and text, nothing that is executed when it is read."""
        saving.write(self, path)

    def report(self, path: str | PathLike[str]) -> None:
        """Write one self-contained HTML page."""
        from raphson.report.files import check_output, written_whole
        from raphson.report.html import html_page

        check_output(path, (".html", ".htm"), "a report")
        with written_whole(path) as draft:
            draft.write_text(html_page(self, 0.95), encoding="utf-8")

    # -- helpers -----------------------------------------------------------------------------------------------

    def _series(self, values: np.ndarray) -> pd.Series:
        import pandas as pd

        return pd.Series(np.asarray(values, dtype=float), index=list(self.names))

    def _named(self, mask: np.ndarray) -> list[str]:
        return [name for name, chosen in zip(self.names, mask, strict=True) if chosen]

    @property
    def has_aliased(self) -> bool:
        """Whether some columns are linear combinations of earlier ones."""
        return bool((self._aliased[: self._n] & (self._infinite[: self._n] == 0)).any())

    def _need_data(self, what: str) -> Any:
        if self._model is None:
            raise DataError(f"{what}: a loaded fit does not carry its data; fit again to get them")
        return self._model

    @cached_property
    def _row_labels(self) -> Any:
        data = self._need_data("row labels").data
        return _labels(data.labels, data.index, len(self._model.y) + data.n_dropped)

    def _by_row(self, values: np.ndarray) -> Any:
        """Rows of (C, n) as a Series, or as a frame with a column for each level."""
        import pandas as pd

        if len(values) == 1:
            return pd.Series(values[0], index=self._row_labels)
        return pd.DataFrame(values.T, index=self._row_labels, columns=list(self.family.levels))


def _labels(labels: Any, index: np.ndarray | None, n: int) -> Any:
    """The index of the rows that were kept, of n in all."""
    import pandas as pd

    labels = pd.RangeIndex(n) if labels is None else labels
    return labels if index is None else labels[index]


def null_deviance(null: Any) -> float:
    """Deviance of a null model at its maximum."""
    if null.objective.n_params == 0:
        return float(null.deviance(null.rows(np.zeros(0))))
    found = estimate(null, Options(METHODS["fisher-scoring"]))
    return float(found.model.deviance(found.model.rows(found.result.theta)))


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """`values` with zeros behind: a limiting model may lack the auxiliary parameters of the one asked for."""
    out = np.zeros(length)
    out[: len(values)] = values
    return out


def load(path: str | PathLike[str]) -> Fit:
    """Read a fit that :meth:`Fit.save` wrote.

    Raises
    ------
    DataError
        If the file is missing, cut short, of another kind, or was changed since it was written.
    """
    return saving.read(path, Fit)
