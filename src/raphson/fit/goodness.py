"""How well a fit describes the data: log-likelihood, deviance, dispersion, criteria, degrees of freedom."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from raphson.cached import cached_property
from raphson.choices import BootstrapKind
from raphson.errors import DataError, ModelError
from raphson.fit.state import AtEstimate, FitState
from raphson.model.base import Model, RowTable
from raphson.model.families.distribution import Distribution
from raphson.newton.path import Path


@dataclass(frozen=True, eq=False)
class Goodness:
    """How well a fit describes its data. Values are cached; those of a loaded fit come from its file.

    Attributes
    ----------
    state : what was asked and estimated.
    """

    state: FitState

    def __post_init__(self) -> None:
        vars(self).update(self.state.saved)  # fills the caches of the cached properties

    @property
    def n(self) -> int:
        """Number of coefficients, without auxiliary parameters."""
        return len(self.state.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self.state.names

    @property
    def family(self) -> Distribution:
        """The family, with its auxiliary parameters at their estimates."""
        return self.state.family

    def at(self, what: str, whole: bool = False) -> AtEstimate:
        """The model with its data, for the computation `what`; `whole` checks all rows of large data for changes.

        Raises
        ------
        DataError
            If the fit was loaded, or the data have changed since.
        """
        self._here(what).check_unchanged(what, whole)
        return self._here(what)

    def _here(self, what: str) -> AtEstimate:
        if self.state.at is None:
            raise DataError(f"{what}: a loaded fit lacks its data, which this needs; fit again")
        return self.state.at

    @property
    def rows(self) -> RowTable:
        """Row quantities at the estimate."""
        return self._here("what the rows say").rows

    # -- other data ------------------------------------------------------------------------------------------------

    kind_of_bootstrap: ClassVar[BootstrapKind] = "nonparametric"
    """What ``bootstrap`` draws by default."""

    @property
    def own_refits(self) -> Any:
        """What draws from this kind of model and refits it; None where :mod:`raphson.fit.refitting` does."""
        return None

    @property
    def clusters(self) -> np.ndarray | None:
        """(n,) the number of each row's cluster, as the fit has it."""
        return self.state.groups

    @property
    def grouping(self) -> frozenset[str]:
        """The columns whose values are levels of groups, numbers too."""
        return frozenset()

    # -- restricted maxima -----------------------------------------------------------------------------------------

    cost_of_rows: ClassVar[float] = 1.0
    """What an evaluation of the objective costs beside one of a generalised linear model."""

    @property
    def own_reference(self) -> Any:
        """The reference for restricted maxima of this kind of model; None where it is that of the estimate."""
        return None

    @property
    def deletions(self) -> Any:
        """What leaving out levels of a group does, where single rows are not independent; else None."""
        return None

    @property
    def ratio_dispersion(self) -> float:
        """What differences of the objective are divided by: φ̂, or 1 where φ is among its parameters."""
        return self.dispersion

    def joint_df(self, combinations: np.ndarray) -> float | None:
        """Degrees of freedom of the denominator of F for combinations (q, n) of the coefficients; None for χ²."""
        del combinations
        return self.reference_df

    def own_drop1(self, contains: Callable[[str, str], bool]) -> Any:
        """The table of :func:`raphson.fit.terms.drop1` of this kind of model; None where it is that of all others."""
        del contains
        return None

    def check_covariance(self, cov: str) -> None:
        """Refuse a covariance that this kind of model does not have.

        Raises
        ------
        ModelError
        """

    smooth_columns: ClassVar[tuple[str, ...]] = ()
    """Names of the coefficients that are part of a smooth function, of which they tell nothing alone."""

    def shown_varying(self, level: float) -> Any:
        """What a report shows of the coefficients that vary; None where none does."""
        del level

    # -- measures --------------------------------------------------------------------------------------------------

    @cached_property
    def nobs(self) -> float:
        """Number of observations: rows of positive weight, or the sum of frequency weights."""
        return self._here("nobs").asked.nobs

    @cached_property
    def has_intercept(self) -> bool:
        """Whether the constant lies in the span of the columns."""
        return bool(self._here("has_intercept").asked.data.has_intercept)

    @cached_property
    def effective(self) -> float:
        """Degrees of freedom of the coefficients: their number, or tr((F+P)⁻¹F) under a penalty."""
        n, state = self.n, self.state
        unmoved = (state.infinite[:n] != 0) & ~state.free[:n]
        moved = self._here("degrees of freedom").uncertainty.effective_df(state.undetermined)
        return moved + float(np.count_nonzero(unmoved))

    @cached_property
    def df_model(self) -> float:
        """Degrees of freedom of the model, without the intercepts."""
        return self.effective - (self.family.n_predictors if self.has_intercept else 0)

    @cached_property
    def df_resid(self) -> float:
        """Residual degrees of freedom; under separation those of the rows that are not fitted exactly.

        Rows that are fitted exactly only determine the infinite coefficients: they leave no residual and no
        information.
        """
        at = self._here("df_resid")
        exact = at.fitted.fitted_exactly
        return self.nobs - exact - (at.uncertainty.effective_df(self.state.undetermined) if exact else self.effective)

    @cached_property
    def df_null(self) -> float:
        """Residual degrees of freedom of the null model."""
        return self.nobs - (self.family.n_predictors if self.has_intercept else 0)

    @property
    def use_t(self) -> bool:
        """Whether the dispersion is estimated, so that the reference distribution is t instead of normal."""
        return not self.family.dispersion_fixed and not isinstance(self.state.dispersion_rule, float)

    @cached_property
    def reference_df(self) -> float | None:
        """Degrees of freedom of t, or None where the reference distribution is normal."""
        return self.df_resid if self.use_t else None

    @property
    def known_dispersion(self) -> float | None:
        """φ, or None where it is estimated."""
        if self.family.dispersion_fixed:
            return 1.0
        return self.state.dispersion_rule if isinstance(self.state.dispersion_rule, float) else None

    @cached_property
    def dispersion(self) -> float:
        """φ̂ by the chosen rule; 1 where the family fixes it."""
        rule = self.state.dispersion_rule
        if isinstance(rule, float):
            return rule
        if self.family.dispersion_fixed:
            return 1.0
        if rule == "ml":
            return self._here("dispersion").fitted.ml_dispersion(self.rows)
        if self.df_resid <= 0:
            return math.nan
        total = self._here("dispersion").pearson if rule == "pearson" else self.deviance
        return total / self.df_resid

    @cached_property
    def deviance(self) -> float:
        """Twice the gap to the saturated log-likelihood, at unit dispersion."""
        return self._here("deviance").fitted.deviance(self.rows)

    @cached_property
    def null_deviance(self) -> float:
        """Deviance of the model with only the offset and, if the model has one, the intercept."""
        return self._here("null_deviance").null_deviance

    @cached_property
    def llf(self) -> float:
        """Log-likelihood at the estimate and the maximum likelihood dispersion, all constants included."""
        return self.llf_of(self._here("llf").fitted, self.rows)

    def llf_of(self, fitted: Model, rows: RowTable) -> float:
        """Log-likelihood of a model of the same family at other estimates."""
        if self.family.quasi:
            return math.nan
        phi = self.known_dispersion
        if phi is None:
            phi = fitted.ml_dispersion(rows)
        if phi == 0.0:
            # A perfect fit, whose density is a point mass; responses that are atoms then have the probability 1.
            present = fitted.row_weight > 0
            return 0.0 if bool(self.family.atoms(fitted.y)[present].all()) else math.inf
        return fitted.log_likelihood(rows, phi)

    def llf_along(self, steps: Path) -> np.ndarray:
        """The log-likelihood at each step. The path itself has the objective, at unit dispersion.

        The last value is `llf`. Where φ is known, the others differ from it by the difference of the objectives over φ.
        Where φ is estimated, the objective without the penalty is −D/2, and the log-likelihood is a function of D:
        −(N/2) log D + const if φ̂ = D/N, otherwise the log-likelihood at the φ̂ of each D.
        """
        objective = np.array([step.llf - step.penalty for step in steps.steps])
        llf, model, end = self.llf, self._here("path").fitted, objective[-1]
        if not math.isfinite(llf) or not math.isfinite(end):
            return objective
        phi = self.known_dispersion
        if phi is None:
            along = model.profile_likelihood(objective)
            if along is not None:
                return llf + (along - along[-1])
            phi = model.ml_dispersion(self.rows)
        return llf + (objective - end) / phi

    @property
    def n_estimated(self) -> float:
        """Number of parameters in the information criteria."""
        return self.effective + len(self.state.auxiliary) + float(self.use_t)

    @cached_property
    def aic(self) -> float:
        """−2 llf + 2 × the number of parameters, including an estimated dispersion or θ."""
        return -2.0 * self.llf + 2.0 * self.n_estimated

    @cached_property
    def bic(self) -> float:
        """−2 llf + log(nobs) × the number of parameters."""
        return -2.0 * self.llf + math.log(self.nobs) * self.n_estimated

    @cached_property
    def theta(self) -> float | None:
        """The negative binomial's θ (Var = μ + μ²/θ), None for other families."""
        value = getattr(self.family, "theta", None)
        if value is None:
            return math.inf if self.state.auxiliary else None
        return float(value)

    @cached_property
    def theta_se(self) -> float | None:
        """Standard error of θ̂ by the fit's kind of covariance; None where θ was not estimated.

        It comes from the joint information of the coefficients and θ: the outer product if the fit uses it, otherwise
        the observed. NaN where the covariance does not exist, such as HC3 with a row of leverage 1.
        """
        state = self.state
        if not state.auxiliary or self.theta == math.inf:
            return None
        try:
            error = self._here("theta_se").uncertainty.auxiliary_se(
                state.information, state.cov, self.dispersion, state.groups, state.small_sample
            )[0]
        except ModelError:
            return math.nan
        # θ = exp(log θ): by the delta method its standard error is θ times that of log θ.
        return float(np.exp(state.theta[self.n]) * error)

    @cached_property
    def rss(self) -> float:
        """Weighted sum of squared residuals."""
        return self._here("rss").fitted.sum_of_squares(self.rows)

    @cached_property
    def r_squared(self) -> float:
        """R² = 1 − RSS/TSS of a curve, TSS being the weighted sum of squares about the weighted mean; else NaN.

        It is the share of the variance that a curve explains only if the mean alone is a curve of the model, so that
        RSS ≤ TSS: to first order, if a combination of the derivatives by the parameters is constant, as of
        ``a + b*exp(-k*x)``. For others, such as ``vmax*x/(k + x)``, nothing holds it above 0 and it is NaN (Kvålseth
        1985, Am. Stat. 39, 279), as it is for robust losses, streamed rows and parameters that are not determined.
        """
        at, state = self._here("r_squared"), self.state
        if state.predictor.linear or self.family.name != "gaussian" or not at.fitted.by_rows or not self.df_resid > 0:
            return math.nan
        if state.undetermined.any() or not at.fitted.holds_constant(state.theta, state.free[: self.n]):
            return math.nan
        total = self.null_deviance
        return 1.0 - self.rss / total if total > 0 else math.nan

    @cached_property
    def residual_sd(self) -> float:
        """√(rss/df_resid)."""
        return math.sqrt(self.rss / self.df_resid) if self.df_resid > 0 else math.nan
