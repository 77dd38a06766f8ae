"""The Fit: what a user holds after fitting. Everything beyond the estimate itself is worked out when asked for.

It is a front: :mod:`raphson.fit.state` has what was asked and estimated, :mod:`raphson.fit.reading` what follows from
it for a kind of model, and the modules beside them what can be asked of a reading.
"""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

from raphson.choices import Covariance, Information, Interval, MissingInNew, Scale, SmallSample
from raphson.errors import check_choice
from raphson.fit import bootstrap as resampling
from raphson.fit import determined, functions, rows, saving, terms, testing
from raphson.fit.likelihood import LikelihoodReading
from raphson.fit.means import Prediction
from raphson.fit.members import Asked, Shown, reading_behind
from raphson.fit.network import NetworkReading
from raphson.fit.reading import Reading
from raphson.fit.robust import robust
from raphson.fit.uncertainty import INFORMATION
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from raphson.report.summary import Summary


class Fit:
    """A fitted model.

    Front doors such as :func:`raphson.glm` make it; :func:`raphson.load` reads a saved one, which has everything
    but what needs the data themselves (residuals, leverage, the augmented table). A name that this kind of model has
    not, such as the residuals of a likelihood, is refused with the reason; ``hasattr`` is False for it.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm([1.0, 2.0, 4.0, 3.0], [[1, 0], [1, 1], [1, 2], [1, 3]], names=["one", "x"])
    >>> fit.params.round(6).to_dict()
    {'one': 1.3, 'x': 0.8}
    >>> fit.status.value
    'converged'
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    # -- what was asked --------------------------------------------------------------------------------------------

    @property
    def formula(self) -> str | None:
        """The formula; None where there is none."""
        return self._reading.state.formula

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self._reading.state.names

    @property
    def family(self) -> Any:
        """The family, its auxiliary parameters filled in."""
        return self._reading.state.family

    @property
    def method(self) -> str:
        """Name of the method that fitted it."""
        return self._reading.state.method

    @property
    def information_kind(self) -> Information:
        """Which information the standard errors use: "expected", "observed" or "opg"."""
        return self._reading.state.information

    @property
    def cov_kind(self) -> Covariance:
        """Which covariance: "model", "HC0" to "HC3", "cluster" or "jackknife"."""
        return self._reading.state.cov

    @property
    def small_sample(self) -> SmallSample | None:
        """The factor of a cluster covariance: "full", "clusters" or None."""
        return self._reading.state.small_sample

    @property
    def bias(self) -> str | None:
        """The kind of bias reduction: "firth", "jeffreys" or None."""
        return self._reading.state.bias

    @property
    def inputs(self) -> dict[str, Any]:
        """What the model was given beside its formula, in words: "weights", "offset", "penalty" and the like."""
        return dict(self._reading.state.inputs)

    @property
    def n_dropped(self) -> int:
        """Rows that were left out as something was missing."""
        return self._reading.state.n_dropped

    formulas = Shown(LikelihoodReading.formulas)
    assembly = Shown(LikelihoodReading.assembly)

    # -- how it went -----------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """How the iteration ended."""
        return self._reading.state.status

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum."""
        return self.status.converged

    @property
    def distance(self) -> float:
        """How far the estimate is from the maximum, in standard errors."""
        return self._reading.state.distance

    n_iter = Shown(Reading.n_iter)
    message = Shown(Reading.message)
    lacking = Shown(Reading.lacking)
    remarks = Shown(Reading.remarks)
    path = Shown(Reading.path)
    digits = Shown(Reading.digits)
    history = Shown(NetworkReading.history)
    gradient_profile = Asked(NetworkReading.gradient_profile)

    def plot_path(self) -> Any:
        """Plot the iterations; returns the matplotlib Figure."""
        from raphson.report.plots import plot_path

        return plot_path(self)

    # -- estimates -------------------------------------------------------------------------------------------------

    params = Shown(Reading.params)
    bse = Shown(Reading.bse)
    tvalues = Shown(Reading.tvalues)
    pvalues = Shown(Reading.pvalues)
    score = Shown(Reading.score)
    condition_number = Shown(Reading.condition_number)
    has_aliased = Shown(Reading.has_aliased)
    has_undetermined = Shown(Reading.has_undetermined)
    conf_int = Asked(functions.conf_int)

    @property
    def identified(self) -> bool:
        """Whether each parameter can be spoken of by itself, with what a row does to it."""
        return self._reading.identified

    @property
    def linear(self) -> bool:
        """Whether the predictor is linear in the parameters."""
        return self._reading.linear

    @property
    def use_t(self) -> bool:
        """Whether the dispersion is estimated, so that t takes the place of z."""
        return self._reading.use_t

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the estimates; NaN in the rows of aliased and infinite ones."""
        return self._reading.square(self._reading.cov)

    def information(self, kind: Information | None = None) -> pd.DataFrame:
        """Fisher information at the estimate, 1/φ̂ included; its inverse is the model-based ``cov_params()``.

        With a penalty P it is F + P, and the covariance φ̂ (F+P)⁻¹ F (F+P)⁻¹; with a negative binomial whose θ was
        estimated, that of the coefficients with θ profiled out.

        Parameters
        ----------
        kind : "expected", "observed" or "opg"; by default the expected one, of a likelihood the observed one.
        """
        reading = reading_behind(self, "information")
        kind = reading.kind_of_information if kind is None else kind
        check_choice("kind", kind, INFORMATION)
        return reading.square(reading.information(kind))

    def robust(self, cov: Covariance = "HC0", groups: Any = None, small_sample: SmallSample | None = "full") -> Fit:
        """The same fit with another covariance.

        Parameters
        ----------
        cov : "model", "HC0" to "HC3" or "cluster".
        groups : (n,) cluster of each row, or the name of a column, for ``cov="cluster"``.
        small_sample : the factor of ``cov="cluster"`` with G clusters: "full", G/(G − 1) · (n − 1)/(n − p);
            "clusters", G/(G − 1) alone, as R's ``vcovCL`` has it for a GLM; or None for no factor.
        """
        return Fit(robust(reading_behind(self, "robust"), cov, groups, small_sample))

    # -- how well it fits ------------------------------------------------------------------------------------------

    llf = Shown(Reading.llf)
    deviance = Shown(Reading.deviance)
    null_deviance = Shown(Reading.null_deviance)
    dispersion = Shown(Reading.dispersion)
    aic = Shown(Reading.aic)
    bic = Shown(Reading.bic)
    nobs = Shown(Reading.nobs)
    df_model = Shown(Reading.df_model)
    df_resid = Shown(Reading.df_resid)
    df_null = Shown(Reading.df_null)
    has_intercept = Shown(Reading.has_intercept)
    theta = Shown(Reading.theta)
    theta_se = Shown(Reading.theta_se)
    rss = Shown(Reading.rss)
    residual_sd = Shown(Reading.residual_sd)
    interval_kind = Shown(NetworkReading.interval_kind)

    @property
    def measures(self) -> tuple[str, ...]:
        """Which statistics of fit a summary shows, beside those of the likelihood."""
        return self._reading.measures

    # -- inference -------------------------------------------------------------------------------------------------

    wald_test = Asked(testing.wald_test)
    t_test = Asked(testing.t_test)
    score_test = Asked(testing.score_test)
    lr_test = Asked(testing.lr_test)
    drop1 = Asked(terms.drop1)
    vif = Asked(terms.vif)
    delta = Asked(functions.delta_of)
    profile = Asked(functions.profile)
    curvature = Asked(determined.curvature)
    bootstrap = Asked(resampling.bootstrap)
    information_matrix_test = Asked(resampling.information_matrix_test)

    # -- rows ------------------------------------------------------------------------------------------------------

    fittedvalues = Shown(Reading.fittedvalues)
    residuals = Asked(rows.residuals)
    leverage = Shown(rows.leverage)
    cooks_distance = Shown(rows.cooks_distance)
    dfbetas = Shown(rows.dfbetas)
    loo = Asked(rows.loo)

    @property
    def covariates(self) -> pd.DataFrame | None:
        """The columns that an expression reads, in the rows that were used; None for any other fit."""
        return self._reading.covariates

    # To a type checker a series, or a table where an error or an interval is asked for. (Of several levels it is a
    # table in any case, which FitOfLevels below tells; of a likelihood's predictors, too, which no type tells.)
    @overload
    def predict(
        self,
        new: Any = None,
        se: Literal[False] = False,
        interval: None = None,
        level: float = 0.95,
        kind: Scale | None = None,
        offset: Any = None,
        missing: MissingInNew = "nan",
        function: Callable[..., Any] | None = None,
    ) -> pd.Series: ...
    @overload
    def predict(
        self,
        new: Any,
        se: Literal[True],
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale | None = None,
        offset: Any = None,
        missing: MissingInNew = "nan",
        function: Callable[..., Any] | None = None,
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        new: Any = None,
        *,
        se: Literal[True],
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale | None = None,
        offset: Any = None,
        missing: MissingInNew = "nan",
        function: Callable[..., Any] | None = None,
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        new: Any = None,
        se: bool = False,
        *,
        interval: Interval,
        level: float = 0.95,
        kind: Scale | None = None,
        offset: Any = None,
        missing: MissingInNew = "nan",
        function: Callable[..., Any] | None = None,
    ) -> pd.DataFrame: ...

    def predict(
        self,
        new: Any = None,
        se: bool = False,
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale | None = None,
        offset: Any = None,
        missing: MissingInNew = "nan",
        function: Callable[..., Any] | None = None,
    ) -> pd.Series | pd.DataFrame:
        """Predict for new data, or for the data of the fit.

        Parameters
        ----------
        new : a data frame, a path, a dict of columns, or a matrix with the columns of the fit; None for the data of the
            fit.
        se : whether to add standard errors.
        interval : None, "confidence" (of what is predicted) or "prediction" (of a new response; of a likelihood the
            quantiles of its distribution at the estimate).
        level : coverage.
        kind : "response" for means, "link" for linear predictors; by default means, of a likelihood its predictors. Of
            a likelihood the mean is integrated over the density, or is the probability of each of its ordered levels; a
            ready density of survival times is that of the time itself, not censored.
        offset : (n,) offset of the new rows, where that of the fit was given as an array; those of a likelihood stand
            in its formulas.
        missing : of rows with missing values: "nan" (one prediction for every row, NaN where it cannot be told),
            "drop" or "raise". A level that the fit has not seen is an error in any case.
        function : of a likelihood, what to predict instead, in ``jax.numpy``, one row at a time: of the density's
            predictors, in its order, ``lambda mu, log_sigma: jnp.exp(mu)``; in the general form of the parameters and
            the row, ``lambda params, row: params["a"] * row.x``. Its standard error is the delta method's.

        Returns
        -------
        A Series of predictions; with `se` or `interval` a frame with columns ``fit``, ``se``, ``lower``, ``upper``.
        A multinomial fit gives a frame with a column for each level, a likelihood's predictors one for each parameter
        of the density, with ``parameter_se``, ``parameter_lower``, ``parameter_upper``.

        Raises
        ------
        ModelError
            Of loglik(params, row) without `function`, as it does not say what to predict; of a density that is that of
            no distribution (one with a mass at a point, or of a censored response).

        Warns
        -----
        ConvergenceWarning
            If a likelihood's parameter is infinite, and with it the prediction of some row, which is NaN.

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
        reading = self._reading
        asked = Prediction(reading.kind_of_prediction if kind is None else kind, se, interval, level, function)
        return reading.predict(new, asked, offset, missing)

    def update(self, formula: str | Mapping[str, str] = ". ~ .", **options: Any) -> Fit:
        """Fit again with another formula, or other options, on the same data.

        Parameters
        ----------
        formula : the new one; ``.`` stands for what was there: ``". ~ . + age"``, or ``"+ age"`` for
            short, and ``"- age"``. Of a likelihood that with the response, or the change of each, by parameter, as in
            ``{"zero": "~ . + age"}``.
        options : of the front door that made the fit, such as ``family=`` or ``start=``; the others stay as they were.
            What start=, fixed= or bounds= said of parameters that a new curve lacks is left out.

        Examples
        --------
        >>> import raphson as rp
        >>> births = rp.datasets.load("births")
        >>> fit = rp.glm("low ~ lwt", births, family="binomial")
        >>> fit.update(". ~ . + smoke").formula
        'low ~ (lwt) + smoke'
        >>> fit = rp.mle("tobit", {"mean": "ftv ~ age", "sigma": "~ 1"}, births.assign(ftv=births["age"] % 3))
        >>> fit.update({"mean": ". ~ . + smoke", "sigma": "~ smoke"}).formulas
        {'mean': 'ftv ~ (age) + smoke', 'log_sigma': '~ smoke'}
        """
        return reading_behind(self, "update").updated(formula, options)

    # -- tables ----------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """What a summary is headed by: the formula, or what stands for it."""
        return self._reading.title

    def summary(self, level: float = 0.95) -> Summary:
        """The fit on one page: prints as text, shows as HTML in a notebook."""
        return self._reading.summary(self, level)

    def __repr__(self) -> str:
        return self.summary().text

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

    def augment(self) -> pd.DataFrame:
        """The rows of the data that were used, with ``.fitted``, ``.resid``, ``.std_resid``, ``.hat``, ``.cooksd``."""
        from raphson.report.tables import augment

        return augment(self, reading_behind(self, "augment").frame)

    # -- keep ------------------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to one JSON file: numbers and text, nothing that is executed when it is read."""
        saving.write(self._reading, path)

    def report(self, path: str | PathLike[str]) -> None:
        """Write one self-contained HTML page."""
        from raphson.files import check_output, written_whole
        from raphson.report.html import html_page

        check_output(path, (".html", ".htm"), "a report")
        with written_whole(path) as draft:
            draft.write_text(html_page(self, 0.95), encoding="utf-8")


if TYPE_CHECKING:

    class FitOfLevels(Fit):
        """To type checkers, a Fit of a response of several levels: a prediction is a table with a column for each."""

        def predict(  # pyright: ignore[reportIncompatibleMethodOverride]
            self,
            new: Any = None,
            se: bool = False,
            interval: Interval | None = None,
            level: float = 0.95,
            kind: Scale | None = None,
            offset: Any = None,
            missing: MissingInNew = "nan",
            function: Callable[..., Any] | None = None,
        ) -> pd.DataFrame: ...

        fittedvalues: Shown[pd.DataFrame]
