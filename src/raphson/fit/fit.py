"""The Fit: what a user holds after fitting. Everything beyond the estimate itself is worked out when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from raphson.choices import (
    BootstrapKind,
    Covariance,
    Information,
    Interval,
    IntervalKind,
    MissingInNew,
    Scale,
    SmallSample,
)
from raphson.data.extras import label_array, label_codes, renumber
from raphson.data.formula import updated
from raphson.errors import DataError, ModelError, check_choice, visible
from raphson.fit import saving
from raphson.fit.determined import Determining
from raphson.fit.functions import Profiling
from raphson.fit.goodness import Goodness
from raphson.fit.means import MeanPredictor
from raphson.fit.rows import Diagnosing
from raphson.fit.state import kept_labels
from raphson.fit.terms import Terms
from raphson.fit.uncertainty import COVARIANCES, INFORMATION, Uncertainty
from raphson.inference import certificate, intervals
from raphson.inference.hypotheses import Test
from raphson.newton.estimate import Estimate
from raphson.newton.path import Path
from raphson.options import Inference
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit.bootstrap import Bootstrap
    from raphson.report.summary import Summary


OF_THE_ROWS = ("_rows", "_designs", "_hat", "null_deviance", "has_intercept")
"""What was worked out and costs a reading of the data: it stays where only the covariance is another."""


class Fit(Goodness, Diagnosing, Determining, Terms, Profiling):
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
        cov: Covariance,
        groups: np.ndarray | None,
        dispersion: str | float,
        formula: str | None,
        source: Any = None,
        refit: Callable[..., Fit] | None = None,
        small_sample: SmallSample | None = "full",
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        self._estimate = found
        self._model = asked
        self._groups = groups
        self._dispersion_rule = dispersion
        self._source = source
        self._refit = refit
        self.method = method
        self.information_kind: Information = information
        self.cov_kind: Covariance = cov
        self.small_sample: SmallSample | None = small_sample
        self.inputs: dict[str, Any] = dict(inputs or {})
        self.formula = formula
        self.status: Status = found.status
        self._auxiliary: tuple[str, ...] = asked.family.auxiliary
        self.bias: str | None = asked.bias
        self._settled = found.model.with_nuisance_fixed(found.result.theta)
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
        self._aliased[: self._n] &= ~self._undetermined
        self._predictor = self._settled.predictor
        self._schema = asked.data.schema
        self._steps: Path = found.result.path
        self.distance: float = float(found.result.distance)
        self._floor: float = float(found.result.floor)

    identified = True
    """Whether each parameter can be spoken of by itself, with what a row does to it."""

    # -- how it went -------------------------------------------------------------------------------------------

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum."""
        return self.status.converged

    @property
    def linear(self) -> bool:
        """Whether the predictor is linear in the parameters."""
        return bool(self._predictor.linear)

    @property
    def n_iter(self) -> int:
        """Steps taken."""
        return max(len(self._steps) - 1, 0)

    @cached_property
    def message(self) -> str:
        """How the iteration ended and what to do about it; names aliased and infinite coefficients."""
        ended = self._estimate.note or self._estimate.model.advice(self.status)
        return visible("; ".join([ended, *self._wrong, *self.remarks]))

    @property
    def lacking(self) -> str:
        """The same with what is wrong with some of the coefficients first, for a warning to open with."""
        ended = self._estimate.note or self._estimate.model.advice(self.status)
        return "; ".join([*self._wrong, *self.remarks, ended])

    @property
    def _wrong(self) -> list[str]:
        """What is wrong with some of the coefficients, or with the dispersion."""
        parts = []
        infinite = self._named(self._infinite[: self._n] != 0)
        if infinite:
            parts.append(f"infinite: {', '.join(infinite)}")
        aliased = self._named(self._aliased[: self._n] & (self._infinite[: self._n] == 0))
        if aliased:
            parts.append(f"aliased (linear combinations of earlier columns): {', '.join(aliased)}")
        light = self._light
        if light:
            parts.append(light)
        elif self.df_resid <= 0 and self.use_t:
            parts.append("saturated: as many coefficients as rows, so the dispersion cannot be estimated")
        return parts

    @property
    def _light(self) -> str:
        """What is wrong with frequency weights that stand for fewer observations than there are coefficients."""
        model = self._model
        if model is None or model.weights_kind != "frequency" or self.nobs > self._n:
            return ""
        rows = int(np.count_nonzero(model.row_weight > 0))
        if rows <= self._n:
            return ""
        lost = ", and the dispersion cannot be estimated" if self.use_t else ""
        return (
            f"the frequency weights add up to {self.nobs:.6g}, so that {rows} rows count as no more observations than "
            f"there are coefficients ({self._n}){lost}; weights that are not numbers of copies go with "
            "weights_kind='precision' or 'sampling'"
        )

    @cached_property
    def path(self) -> pd.DataFrame:
        """The iterations, one row each: iteration, llf, score_norm, decrement, distance, step, damping, ...

        ``llf`` is the log-likelihood there, as :attr:`llf` is at the end: every constant included, without a penalty,
        at the dispersion that maximises it. ``penalty`` is what was maximised beside it, so that with a fixed
        dispersion their sum rises.
        """
        import pandas as pd

        return pd.DataFrame(self.told_steps.columns())

    @cached_property
    def told_steps(self) -> Path:
        """The iterations with their log-likelihoods; a loaded fit's have them."""
        if self._model is None or not len(self._steps):
            return self._steps
        return self._steps.told(self._llf_along(self._steps))

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
        return self._cut(self._finite(self._reduced_cov))

    @cached_property
    def _follows(self) -> np.ndarray | None:
        """(n, q) how the estimates follow an edge of the domain at which the maximum lies; None where it does not."""
        found: Any = self._estimate  # a network that was loaded has none
        face = None if found is None else found.result.face
        return None if face is None else face.follows[: self._n]

    def _cut(self, V: np.ndarray) -> np.ndarray:
        """A matrix of the coefficients, NaN in the rows and columns of those that an edge has cut off."""
        if self._follows is None:
            return V
        out, without = np.array(V), self._follows.any(axis=1)
        out[without], out[:, without] = np.nan, np.nan
        return out

    @cached_property
    def _reduced_cov(self) -> np.ndarray:
        """Covariance of the coefficients that the iteration moved: where some are infinite, those of the limit."""
        self._need_data("a covariance")
        self._check_unchanged("a covariance")
        uncertainty, kind = self._uncertainty, self.information_kind
        if self.cov_kind == "model":
            return self._at_maximum(lambda: uncertainty.model_based(kind, self.dispersion))
        small_sample = self.small_sample
        return self._at_maximum(
            lambda: uncertainty.robust(kind, self.cov_kind, self.dispersion, self._groups, small_sample)
        )

    def _at_maximum(self, covariance: Callable[[], np.ndarray]) -> np.ndarray:
        """A covariance; NaN where the iteration ended at no maximum that has one: the status says why."""
        try:
            return covariance()
        except ModelError:
            if self.status in (Status.CONVERGED, Status.ROUNDING_FLOOR):
                raise
            return np.full((self._n, self._n), np.nan)

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
        """Estimates over their standard errors: t where the dispersion was estimated, else z; NaN without an error."""
        errors = self.bse.to_numpy()
        with np.errstate(over="ignore"):
            return self._series(self._estimates / np.where(errors > 0, errors, np.nan))

    @cached_property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of the hypothesis that a coefficient is 0."""
        return self._series(intervals.p_values(self.tvalues.to_numpy(), self._reference_df))

    def conf_int(self, level: float = 0.95, kind: IntervalKind = "wald") -> pd.DataFrame:
        """Confidence intervals, columns ``lower`` and ``upper``.

        Parameters
        ----------
        level : coverage.
        kind : "wald" (estimate ∓ quantile times standard error) or "profile" (see :meth:`profile`).
        """
        import pandas as pd

        if kind == "profile":
            ends = self._profile_intervals(level)
        else:
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

        check_choice("kind", kind, INFORMATION)
        if self._model is None:
            M = self._saved_information[kind]
        else:
            self._check_unchanged("information")
            M = self._cut(self._finite(self._uncertainty.information(kind, self.dispersion)))
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
        """A matrix of the coefficients, NaN in the rows and columns of infinite and undetermined ones."""
        out = np.array(V)
        without = (self._infinite[: self._n] != 0) | self._undetermined
        out[without], out[:, without] = np.nan, np.nan
        return out

    @property
    def title(self) -> str:
        """What a summary is headed by: the formula, or what stands for it."""
        return visible(self.formula, keep="\n") if self.formula else "y and X as arrays"

    def robust(self, cov: Covariance = "HC0", groups: Any = None, small_sample: SmallSample | None = "full") -> Fit:
        """The same fit with another covariance.

        Parameters
        ----------
        cov : "model", "HC0" to "HC3" or "cluster".
        groups : (n,) cluster of each row, or the name of a column, for ``cov="cluster"``.
        small_sample : the factor of ``cov="cluster"`` with G clusters: "full", G/(G − 1) · (n − 1)/(n − p);
            "clusters", G/(G − 1) alone, as R's ``vcovCL`` has it for a GLM; or None for no factor.
        """
        self._need_data("a robust covariance")
        asked = self._groups if groups is None else groups
        Inference(cov=cov, groups=asked, small_sample=small_sample).completed(self.information_kind)
        check_choice("cov", cov, COVARIANCES)
        codes = None
        if groups is not None:
            values = self._column(groups) if isinstance(groups, str) else label_array(groups)
            index = self._model.data.index
            whole = len(self._model.y) + self._model.data.n_dropped
            if index is not None and values.shape == (whole,):
                values = values[index]
            if values.ndim != 1 or len(values) != len(self._model.y):
                raise DataError(f"groups: expected one for each of {len(self._model.y)} rows; got shape {values.shape}")
            numbered = label_codes(values)
            if (numbered < 0).any():
                raise DataError(
                    f"groups: missing for {int((numbered < 0).sum())} of {len(numbered)} rows, the first of them row "
                    f"{int(np.argmin(numbered))} of those fitted; say which group they are in, or fit again with "
                    "cov='cluster' and groups=, which leaves them out"
                )
            codes = renumber(numbered, None)
        other = object.__new__(type(self))
        worked_out = {name for one in type(self).__mro__ for name, made in vars(one).items() if _is_cached(made)}
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k in OF_THE_ROWS or k not in worked_out})
        other.cov_kind, other.small_sample = cov, small_sample
        if codes is not None:
            other._groups = codes
            other.inputs = self.inputs | {"groups": groups if isinstance(groups, str) else "array"}
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
        return self._finite(self._at_maximum(lambda: self._uncertainty.model_based("expected", self.dispersion)))

    # To a type checker a series, or a table where an error or an interval is asked for.
    @overload
    def predict(
        self,
        new: Any = None,
        se: Literal[False] = False,
        interval: None = None,
        level: float = 0.95,
        kind: Scale = "response",
        offset: Any = None,
        missing: MissingInNew = "nan",
    ) -> pd.Series: ...
    @overload
    def predict(
        self,
        new: Any,
        se: Literal[True],
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale = "response",
        offset: Any = None,
        missing: MissingInNew = "nan",
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        new: Any = None,
        *,
        se: Literal[True],
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale = "response",
        offset: Any = None,
        missing: MissingInNew = "nan",
    ) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        new: Any = None,
        se: bool = False,
        *,
        interval: Interval,
        level: float = 0.95,
        kind: Scale = "response",
        offset: Any = None,
        missing: MissingInNew = "nan",
    ) -> pd.DataFrame: ...

    def predict(
        self,
        new: Any = None,
        se: bool = False,
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale = "response",
        offset: Any = None,
        missing: MissingInNew = "nan",
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
        missing : of rows with missing values: "nan" (one prediction for every row, NaN where it cannot be told),
            "drop" or "raise". A level that the fit has not seen is an error in any case.

        Returns
        -------
        A Series of predictions; with `se` or `interval` a frame with columns ``fit``, ``se``, ``lower``, ``upper``.
        A multinomial fit gives a frame with a column for each level.
        """
        absent = None
        if new is None:
            data = self._need_data("predictions without new data").data
            X, shift, labels = data.X, data.offset, self._row_labels
        else:
            prepared = self._schema.design(new, missing=missing, offset=offset)
            X, shift, absent = prepared.X, prepared.offset, prepared.absent
            count = self._predictor.count(X, self._theta[: self._n])
            labels = kept_labels(prepared.labels, prepared.index, count + prepared.n_dropped)
        errors = se or interval is not None
        predictor = MeanPredictor(
            self.family,
            self._predictor,
            self._theta[: self._n],
            None if self._direction is None else self._direction[: self._n],
            self._reduced_cov if errors else np.zeros((0, 0)),
            self.dispersion if errors else math.nan,
            self._reference_df if errors else None,
            self._follows if errors else None,
        )
        found = predictor.predict(X, shift, labels, se=se, interval=interval, level=level, kind=kind)
        # A comparison with what is missing is false: a curve with one in it would give a number.
        if absent is not None and len(absent) == len(found):
            found.iloc[np.flatnonzero(absent)] = np.nan
        return found

    def bootstrap(
        self,
        n: int = 1000,
        seed: int | None = None,
        kind: BootstrapKind = "nonparametric",
        simulate: Callable[..., np.ndarray] | None = None,
        groups: Any = None,
    ) -> Bootstrap:
        """Refit the model to resampled data: standard errors, bias and intervals that do not lean on asymptotics.

        Parameters
        ----------
        n : replicates.
        seed : of the randomisation; the same seed gives the same replicates.
        kind : "nonparametric" (rows are drawn with replacement), "cluster" (the clusters of ``groups=`` are) or
            "parametric" (responses are drawn from the fitted model).
        simulate : for "parametric" where the family cannot be drawn from: ``simulate(rng, eta (K, n)) -> (n,)``.
        groups : (n,) cluster of each row, or the name of a column, for "cluster"; those of the fit by default.

        Returns
        -------
        Bootstrap
            With ``estimates`` (n, p), ``se``, ``bias``, ``conf_int(level, kind)``, ``statuses``, ``plot()``.

        Notes
        -----
        Davison and Hinkley (1997), Bootstrap Methods and their Application, sections 6.3 and 7.2. Replicates that are
        refitted in batches are taken to 1e-5 of a standard error, far below what their number leaves uncertain.

        Examples
        --------
        >>> import raphson as rp
        >>> births = rp.datasets.load("births")
        >>> fit = rp.glm("low ~ lwt + smoke", births, family="binomial")
        >>> fit.bootstrap(200, seed=1).se.round(2).to_dict()
        {'Intercept': 0.9, 'lwt': 0.01, 'smoke': 0.31}
        """
        from raphson.fit.bootstrap import bootstrap

        if groups is not None and kind != "cluster":
            raise ModelError(f"groups: they go with kind='cluster'; got kind={kind!r}")
        if groups is not None:
            return bootstrap(self.robust(self.cov_kind, groups, self.small_sample), n, seed, kind, simulate)
        return bootstrap(self, n, seed, kind, simulate)

    def information_matrix_test(
        self, bootstrap: int | None = None, seed: int | None = 0, simulate: Callable[..., np.ndarray] | None = None
    ) -> Test:
        """White's test that the model is right: do the outer product of scores and the Hessian agree?

        Where the model holds, the expected, the observed and the outer product information estimate one matrix. The
        statistic is Chesher's and Lancaster's nR². Its χ² rejects right models far too often in samples of some hundred
        rows, so it is referred to its own distribution under the fitted model (Horowitz 1994).

        Parameters
        ----------
        bootstrap : data sets to draw from the fitted model for the p-value; 0 for χ². None draws 199 where there are at
            most 20,000 rows, responses can be drawn and refitted together, and else takes χ².
        seed : of the draws.
        simulate : as for :meth:`bootstrap`.

        Returns
        -------
        Test
            Its ``table`` has the standard errors by each of the three informations, and by the sandwich.

        Examples
        --------
        >>> import raphson as rp
        >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
        >>> fit.information_matrix_test().df
        5
        """
        from raphson.fit.bootstrap import calibrated

        return calibrated(self, super().information_matrix_test(), bootstrap, seed, simulate)

    def update(self, formula: str = ". ~ .", **options: Any) -> Fit:
        """Fit again with another formula, or other options, on the same data.

        Parameters
        ----------
        formula : the new one; ``.`` stands for what was there: ``". ~ . + age"``, or ``"+ age"`` for
            short, and ``"- age"``.
        options : of the front door that made the fit, such as ``family=`` or ``start=``; the others stay as they were.
            What start=, fixed= or bounds= said of parameters that a new curve lacks is left out.

        Examples
        --------
        >>> import raphson as rp
        >>> fit = rp.glm("low ~ lwt", rp.datasets.load("births"), family="binomial")
        >>> fit.update(". ~ . + smoke").formula
        'low ~ (lwt) + smoke'
        """
        if self._refit is None or self.formula is None:
            raise ModelError("update: only a fit made from a formula, and not loaded, can be updated; fit anew")
        return self._refit(updated(self.formula, formula), **options)

    # -- tables ------------------------------------------------------------------------------------------------

    def summary(self, level: float = 0.95) -> Summary:
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
        from raphson.data.products import dense

        model, labels = self._need_data("the rows of the data"), self._row_labels
        if self.formula is None:
            frame = pd.DataFrame(dense(model.data.X), columns=list(model.data.names), index=labels)
            frame.insert(0, model.data.response.name, model.y, allow_duplicates=True)
            return frame
        frame = read_table(self._source)
        if model.data.index is not None:
            frame = frame.iloc[model.data.index]
        return frame.set_axis(labels, axis=0)

    # -- keep --------------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to one JSON file: numbers and text, nothing that is executed when it is read."""
        saving.write(self, path)

    def report(self, path: str | PathLike[str]) -> None:
        """Write one self-contained HTML page."""
        from raphson.files import check_output, written_whole
        from raphson.report.html import html_page

        check_output(path, (".html", ".htm"), "a report")
        with written_whole(path) as draft:
            draft.write_text(html_page(self, 0.95), encoding="utf-8")

    # -- helpers -----------------------------------------------------------------------------------------------

    @property
    def has_aliased(self) -> bool:
        """Whether some columns are linear combinations of earlier ones."""
        return bool((self._aliased[: self._n] & (self._infinite[: self._n] == 0)).any())


def _is_cached(attribute: Any) -> bool:
    return isinstance(attribute, cached_property)


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """`values` with zeros behind: a limiting model may lack the auxiliary parameters of the one asked for."""
    out = np.zeros(length)
    out[: len(values)] = values
    return out
