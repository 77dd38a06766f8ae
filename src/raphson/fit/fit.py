"""The Fit, which a user gets from fitting. Everything beyond the estimate itself is computed on request.

Fit is a facade. :mod:`raphson.fit.state` holds the request and the estimate, :mod:`raphson.fit.reading` what follows
for each kind of model; the other modules here are functions of a reading.
"""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

from raphson.choices import Covariance, Effects, Information, Interval, MissingInNew, NewLevels, Scale, SmallSample
from raphson.data.native import in_library, library_of, with_added
from raphson.data.readers import is_pandas
from raphson.errors import check_choice
from raphson.fit.members import (
    Asked,
    AskedByRow,
    Shown,
    ShownByRow,
    ShownLater,
    Told,
    naming_arguments,
    reading_behind,
    refuse_unknown,
)
from raphson.fit.pictured import Pictured
from raphson.fit.reading import Reading
from raphson.fit.uncertainty import INFORMATION
from raphson.lazy import Lazy
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit import bootstrap as resampling
    from raphson.fit import (
        checking,
        determined,
        draws,
        functions,
        inference_data,
        likelihood,
        network,
        rows,
        terms,
        testing,
    )
    from raphson.fit.storage import Storage
    from raphson.fit.varying import conditional, curves, explained
    from raphson.fit.varying import reading as varying
    from raphson.report.summary import Summary
else:
    # What is computed on request is imported on request.
    resampling, determined = Lazy("raphson.fit.bootstrap"), Lazy("raphson.fit.determined")
    functions, rows = Lazy("raphson.fit.functions"), Lazy("raphson.fit.rows")
    checking, draws = Lazy("raphson.fit.checking"), Lazy("raphson.fit.draws")
    inference_data, varying = Lazy("raphson.fit.inference_data"), Lazy("raphson.fit.varying.reading")
    conditional, curves = Lazy("raphson.fit.varying.conditional"), Lazy("raphson.fit.varying.curves")
    explained = Lazy("raphson.fit.varying.explained")
    terms, testing = Lazy("raphson.fit.terms"), Lazy("raphson.fit.testing")
    likelihood, network = Lazy("raphson.fit.likelihood"), Lazy("raphson.fit.network")


@naming_arguments
class Fit(Pictured):
    """A fitted model.

    Functions such as :func:`raphson.glm` return it; :func:`raphson.load` reads a saved one, which lacks only what needs
    the data (residuals, leverage, the augmented table). A name that does not apply to this kind of model, such as the
    fitted values of a likelihood, raises an error with the reason; ``hasattr`` is False for it.

    What has a value for each row, and the tables of :meth:`tidy`, :meth:`glance` and :meth:`augment`, are in polars or
    pyarrow if the data were, otherwise in pandas. What has a value for each coefficient, such as ``params``, is in
    pandas, with the names as its index.

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
        self._library = library_of(reading.state.source)

    def _as_given(self, found: Any, name: str = "") -> Any:
        """A Series or frame of pandas in the library of data frames that the data of the fit came in."""
        return in_library(found, self._library, name)

    def _in_pandas(self) -> Fit:
        """The same fit, with tables in pandas."""
        if self._library is None:
            return self
        same = Fit(self._reading)
        same._library = None
        return same

    if not TYPE_CHECKING:  # otherwise a type checker would accept any name

        def __getattr__(self, name: str) -> Any:
            refuse_unknown(self, name)

    # -- what was asked --------------------------------------------------------------------------------------------

    formula = Told[str | None]("The formula; None where there is none.")
    names = Told[tuple[str, ...]]("Names of the coefficients.")
    family = Told[Any]("The family, with its auxiliary parameters at their estimates.")
    method = Told[str]("Name of the fitting method.")
    information_kind = Told[Information](
        'The information that the standard errors use: "expected", "observed" or "opg".', "information"
    )
    cov_kind = Told[Covariance]('The kind of covariance: "model", "HC0" to "HC3", "cluster" or "jackknife".', "cov")
    small_sample = Told[SmallSample | None](
        'The small-sample factor of a cluster covariance: "full", "clusters" or None.'
    )
    bias = Told[str | None]('The kind of bias reduction: "firth", "jeffreys" or None.')

    @property
    def inputs(self) -> dict[str, Any]:
        """A description of each further input, by name: "weights", "offset", "penalty" and the like.

        "cells" is the number of rows that the iteration read where equal ones were merged.
        """
        return dict(self._reading.state.inputs)

    @property
    def storage(self) -> Storage:
        """How the design is held, and by how many standard errors its rounding moved the estimates."""
        from raphson.fit.storage import Storage

        return Storage.of_inputs(self._reading.state.inputs)

    n_dropped = Told[int]("Number of rows left out because of missing values.")
    formulas = ShownLater(lambda: likelihood.LikelihoodReading.formulas)
    assembly = ShownLater(lambda: likelihood.LikelihoodReading.assembly)
    reference_levels = Shown(Reading.reference_levels)

    # -- how it went -----------------------------------------------------------------------------------------------

    status = Told[Status]("How the iteration ended.")

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum."""
        return self.status.converged

    distance = Told[float]("How far the estimate is from the maximum, in standard errors.")
    n_iter = Shown(Reading.n_iter)
    message = Shown(Reading.message)
    lacking = Shown(Reading.lacking)
    remarks = Shown(Reading.remarks)
    path = Shown(Reading.path)
    passes = Shown(Reading.passes)
    digits = Shown(Reading.digits)
    history = ShownLater(lambda: network.NetworkReading.history)
    gradient_profile = Asked(lambda: network.NetworkReading.gradient_profile)
    variances = ShownLater(lambda: varying.VaryingReading.variances)
    random_effects = Asked(lambda: varying.random_effects)
    smooths = ShownLater(lambda: varying.VaryingReading.smooths)
    edf = ShownLater(lambda: varying.VaryingReading.edf)
    conditional_aic = ShownLater(lambda: conditional.conditional_aic)
    conditional_df = ShownLater(lambda: conditional.conditional_df)
    conditional_llf = ShownLater(lambda: conditional.conditional_llf)
    r2_marginal = ShownLater(lambda: explained.r2_marginal)
    r2_conditional = ShownLater(lambda: explained.r2_conditional)
    smooth_curves = Asked(lambda: curves.smooth_curves)
    icc = Asked(lambda: explained.icc)
    satterthwaite_df = ShownLater(lambda: varying.VaryingReading.satterthwaite_df)

    # -- estimates -------------------------------------------------------------------------------------------------

    params = Shown(Reading.params)
    bse = Shown(Reading.bse)
    tvalues = Shown(Reading.tvalues)
    pvalues = Shown(Reading.pvalues)
    score = Shown(Reading.score)
    condition_number = Shown(Reading.condition_number)
    has_aliased = Shown(Reading.has_aliased)
    has_undetermined = Shown(Reading.has_undetermined)
    conf_int = Asked(lambda: functions.conf_int)

    @property
    def identified(self) -> bool:
        """Whether single parameters have a meaning, so that standard errors and influence make sense."""
        return self._reading.identified

    @property
    def linear(self) -> bool:
        """Whether the predictor is linear in the parameters."""
        return self._reading.linear

    @property
    def use_t(self) -> bool:
        """Whether the dispersion is estimated, so that the reference distribution is t instead of normal."""
        return self._reading.use_t

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the estimates; NaN for aliased and infinite ones."""
        return self._reading.square(self._reading.cov)

    def information(self, kind: Information | None = None) -> pd.DataFrame:
        """Fisher information at the estimate, 1/φ̂ included; its inverse is the model-based ``cov_params()``.

        With a penalty P it is F + P, and the covariance is φ̂ (F+P)⁻¹ F (F+P)⁻¹. For a negative binomial with estimated
        θ, it is that of the coefficients with θ profiled out.

        Parameters
        ----------
        kind : "expected", "observed" or "opg"; by default expected, for a likelihood observed.
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
        small_sample : the factor of ``cov="cluster"`` with G clusters: "full" for G/(G − 1) · (n − 1)/(n − p),
            "clusters" for G/(G − 1) alone, as in R's ``vcovCL`` for a GLM, or None for no factor.
        """
        from raphson.fit.robust import robust

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
    interval_kind = ShownLater(lambda: network.NetworkReading.interval_kind)

    @property
    def measures(self) -> tuple[str, ...]:
        """The statistics that a summary shows in addition to those of the likelihood."""
        return self._reading.measures

    # -- inference -------------------------------------------------------------------------------------------------

    wald_test = Asked(lambda: testing.wald_test)
    t_test = Asked(lambda: testing.t_test)
    score_test = Asked(lambda: testing.score_test)
    lr_test = Asked(lambda: testing.lr_test)
    drop1 = Asked(lambda: terms.drop1)
    vif = Asked(lambda: terms.vif)
    delta = Asked(lambda: functions.delta_of)
    profile = Asked(lambda: functions.profile)
    curvature = Asked(lambda: determined.curvature)
    bootstrap = Asked(lambda: resampling.bootstrap)
    to_inferencedata = Asked(lambda: inference_data.to_inferencedata)
    information_matrix_test = Asked(lambda: resampling.information_matrix_test)

    # -- rows ------------------------------------------------------------------------------------------------------

    fittedvalues = ShownByRow(lambda: Reading.fittedvalues)
    residuals = AskedByRow(lambda: rows.residuals)
    leverage = ShownByRow(lambda: rows.leverage)
    cooks_distance = ShownByRow(lambda: rows.cooks_distance)
    dfbetas = ShownByRow(lambda: rows.dfbetas)
    loo = AskedByRow(lambda: rows.loo)
    simulate = AskedByRow(lambda: draws.simulate)
    check = Asked(lambda: checking.check)

    @property
    def covariates(self) -> pd.DataFrame | None:
        """The columns that a model expression reads, for the rows that were used; None for other models."""
        return self._as_given(self._reading.covariates)

    # The types say a Series, or a DataFrame with `se` or `interval`. (Several levels give a DataFrame in any case, see
    # FitOfLevels below; so do a likelihood's predictors, which types cannot express.)
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
        to: None = None,
        *,
        effects: Effects = "all",
        new_levels: NewLevels = "raise",
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
        to: None = None,
        *,
        effects: Effects = "all",
        new_levels: NewLevels = "raise",
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
        to: None = None,
        effects: Effects = "all",
        new_levels: NewLevels = "raise",
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
        to: None = None,
        effects: Effects = "all",
        new_levels: NewLevels = "raise",
    ) -> pd.DataFrame: ...

    @overload
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
        *,
        to: str | PathLike[str],
        effects: Effects = "all",
        new_levels: NewLevels = "raise",
    ) -> None: ...

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
        to: str | PathLike[str] | None = None,
        *,
        effects: Effects = "all",
        new_levels: NewLevels = "raise",
    ) -> pd.Series | pd.DataFrame | None:
        """Predict for new data, or for the data of the fit.

        Parameters
        ----------
        new : a data frame, a path, a dict of columns, or a matrix with the columns of the fit; None for the data of the
            fit.
        se : whether to add standard errors.
        interval : None, "confidence" (for the mean or predictor) or "prediction" (for a new response; for a likelihood
            the quantiles of its distribution at the estimate).
        level : coverage.
        kind : "response" for means, "link" for linear predictors; by default means, for a likelihood its predictors.
            The mean of a likelihood is the integral over its density, or the probability of each ordered level. For
            a density of survival times it is the mean of the time itself, without censoring.
        offset : (n,) offset of the new rows, if the fit's was given as an array. The offsets of a likelihood are part
            of its formulas.
        missing : what to do with rows that have missing values: "nan" (predict NaN), "drop" or "raise". A level that
            the fit has not seen is always an error.
        function : for a likelihood, what to predict instead, in ``jax.numpy``, one row at a time. With formulas it is a
            function of the density's predictors in order, ``lambda mu, log_sigma: jnp.exp(mu)``; in the general form
            of the parameters and the row, ``lambda params, row: params["a"] * row.x``. Standard errors are by the
            delta method.
        to : file to write the predictions to, as CSV, TSV, Parquet or Arrow by its ending, instead of returning them.
            Large `new` data, or those of a streamed fit, are then read piece by piece and never all in memory. The file
            is complete or absent. A folder, or a name without an ending, becomes a folder of Parquet files, one for
            each part of the data, complete or absent too, written by the workers of the fit's `executor` if it has any.
        effects : where coefficients vary, "all" effects; those of the "population", without the groups' own; or
            "marginal", the mean response averaged over the effects that groups may have.
        new_levels : of a level that the fit did not have, "raise" an error, or predict it for the "population", with
            the deviation of a level among the errors.

        Returns
        -------
        A Series of predictions; with `se` or `interval` a frame with columns ``fit``, ``se``, ``lower``, ``upper``;
        with `to`, None. A multinomial fit gives a frame with a column for each level. A likelihood's predictors are a
        frame with a column for each parameter of the density, with ``parameter_se``, ``parameter_lower``,
        ``parameter_upper``. They are in polars or pyarrow if the new data are; of new data that are no data frame, or
        none, if the data of the fit were.

        Raises
        ------
        ModelError
            For loglik(params, row) without `function`, as it does not say what to predict; for the response of a
            density that does not integrate to 1 (it has a point mass, or the response is censored).

        Warns
        -----
        ConvergenceWarning
            If an infinite parameter leaves a row without a finite prediction; it is NaN.

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
        from raphson.fit.means import Prediction

        reading = self._reading
        kind = reading.kind_of_prediction if kind is None else kind
        asked = Prediction(kind, se, interval, level, function, effects=effects, new_levels=new_levels)
        if to is None:
            found = reading.predict(new, asked, offset, missing)
            return in_library(found, None if is_pandas(new) else library_of(new) or self._library, "fit")
        from raphson.fit.by_parts import write_anywhere

        return write_anywhere(reading, new, asked, offset, missing, to)

    def update(self, formula: str | Mapping[str, str] = ". ~ .", **options: Any) -> Fit:
        """Fit again with another formula, or other options, on the same data.

        Parameters
        ----------
        formula : the new formula, where ``.`` stands for what was there: ``". ~ . + age"``, in short ``"+ age"``, or
            ``"- age"``. For a likelihood, the formula of the response, or a dict of changes by parameter, such as
            ``{"zero": "~ . + age"}``.
        options : keywords of the function that made the fit, such as ``family=`` or ``start=``; the others keep their
            values. Entries of start=, fixed= and bounds= for parameters that a new curve lacks are dropped.

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
        """The heading of the summary: the formula, or what stands for it."""
        return self._reading.title

    def summary(self, level: float = 0.95, exponentiate: bool = False) -> Summary:
        """The fit on one page, as text or, in a notebook, as HTML; ``to_markdown()`` and ``to_latex()`` write it.

        Parameters
        ----------
        level : coverage of the intervals.
        exponentiate : whether to show ratios instead of coefficients; see :meth:`tidy`.
        """
        return self._reading.summary(self, level, exponentiate)

    def __repr__(self) -> str:
        return self.summary().text

    def _repr_html_(self) -> str:
        return self.summary().html

    def tidy(self, level: float = 0.95, exponentiate: bool = False) -> pd.DataFrame:
        """One row for each coefficient: term, estimate, std_error, statistic, p_value, conf_low, conf_high.

        Parameters
        ----------
        level : coverage of the intervals.
        exponentiate : whether to give ratios, exp of the coefficients: odds ratios with the logit link, rate ratios of
            counts and ratios of means with the log link, risk ratios of shares with it, hazard ratios with cloglog.
            Their intervals are exp of the ends, their standard errors by the delta method; ``statistic`` and
            ``p_value`` stay those of the coefficient, which test a ratio of 1.
        """
        from raphson.report.tables import tidy

        return self._as_given(tidy(self._in_pandas(), level, exponentiate))

    def glance(self) -> pd.DataFrame:
        """One row for the fit as a whole."""
        from raphson.report.tables import glance

        return self._as_given(glance(self))

    @overload
    def augment(self, to: None = None) -> pd.DataFrame: ...
    @overload
    def augment(self, to: str | PathLike[str]) -> None: ...

    def augment(self, to: str | PathLike[str] | None = None) -> pd.DataFrame | None:
        """The rows that were used, with ``.fitted``, ``.resid``, ``.std_resid``, ``.hat``, ``.cooksd``.

        With `to` they are written to that file, as CSV, TSV, Parquet or Arrow by its ending: those of a streamed fit
        piece by piece, so that they are never all in memory. The file is complete or absent.
        """
        reading = reading_behind(self, "augment")
        if to is not None:
            from raphson.fit.by_pieces import write_augmented

            return write_augmented(reading, lambda one: Fit(one)._in_pandas(), to)
        from raphson.report.tables import added, augment

        if reading.shows_source and library_of(reading.state.source):
            asked = reading.at("augment").asked
            return with_added(reading.state.source, asked.data.index, added(self._in_pandas()))
        return self._as_given(augment(self._in_pandas(), reading.frame))

    # -- keep ------------------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to a JSON file of numbers and text; loading it executes no code from the file."""
        from raphson.fit.saving import write

        write(self._reading, path)

    def report(self, path: str | PathLike[str], level: float = 0.95, exponentiate: bool = False) -> None:
        """Write one self-contained HTML page.

        Parameters
        ----------
        path : of the page, ending in .html.
        level : coverage of the intervals.
        exponentiate : whether its coefficients are given as ratios; see :meth:`tidy`.
        """
        from raphson.files import check_output, written_whole
        from raphson.fit import reporting

        check_output(path, (".html", ".htm"), "a report")
        with written_whole(path) as draft:
            draft.write_text(reporting.page(self._in_pandas(), level, exponentiate), encoding="utf-8")
