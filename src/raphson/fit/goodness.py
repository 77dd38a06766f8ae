"""How well a fit describes the data: log-likelihood, deviance, dispersion, criteria, degrees of freedom."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from raphson.errors import ModelError
from raphson.fit.state import State
from raphson.newton.estimate import Options, estimate
from raphson.newton.methods import METHODS
from raphson.newton.path import Path


class Goodness(State):
    """The part of a Fit that measures it against the data."""

    @cached_property
    def _rows(self) -> Any:
        """Row quantities at the estimate, of the model whose maximum it is."""
        self._check_unchanged("what the rows say")
        if self._settled is self._estimate.model:
            return self._uncertainty.rows
        return self._settled.rows(self._theta[: self._settled.predictor.n_params])

    @cached_property
    def _designs(self) -> list[Any]:
        """The derivative of the predictors at the estimate."""
        self._check_unchanged("what the rows say")
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
        """Residual degrees of freedom; under separation those of the rows that are not fitted exactly.

        Such rows tell the infinite coefficients alone, and have neither residual nor information left.
        """
        exact = self._settled.fitted_exactly
        return self.nobs - exact - (self._uncertainty.effective_df if exact else self._effective)

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
        self._check_unchanged("null_deviance")
        return null_deviance(self._model.null_model(self.family))

    @cached_property
    def llf(self) -> float:
        """Log-likelihood at the estimate, every constant included, at the maximum likelihood dispersion."""
        return self._llf_of(self._settled, self._rows)

    def _llf_of(self, settled: Any, rows: Any) -> float:
        """Log-likelihood of a model of the same family at other estimates."""
        if self.family.quasi:
            return math.nan
        phi = self._dispersion_rule
        if self.family.dispersion_fixed:
            phi = 1.0
        elif not isinstance(phi, float):
            phi = settled.ml_dispersion(rows)
        if phi == 0.0:
            return math.inf  # a perfect fit: the density of a point
        return settled.log_likelihood(rows, phi)

    def _llf_along(self, steps: Path) -> np.ndarray:
        """The log-likelihood at each step, of which the path has what was maximised, at unit dispersion.

        The last is `llf`. That of another step differs by the difference of the objectives over φ where φ is known.
        Where it is estimated, the objective is −D/2 but for the penalty, and the log-likelihood is a function of D:
        −(N/2) log D + const where φ̂ = D/N, else what the φ̂ of each D gives.
        """
        objective = np.array([step.llf - step.penalty for step in steps.steps])
        llf, model, end = self.llf, self._settled, objective[-1]
        if not math.isfinite(llf) or not math.isfinite(end):
            return objective
        phi = 1.0 if self.family.dispersion_fixed else self._dispersion_rule
        if not isinstance(phi, float):
            along = model.profile_likelihood(objective)
            if along is not None:
                return llf + (along - along[-1])
            phi = model.ml_dispersion(self._rows)
        return llf + (objective - end) / phi

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
        """Standard error of θ̂ by the fit's kind of covariance; None where θ was not estimated.

        It comes from the joint information of coefficients and θ, the observed one unless the outer product was asked
        for. NaN where the covariance cannot be had, as that of HC3 with a row of leverage 1.
        """
        if not self._auxiliary or self.theta == math.inf:
            return None
        try:
            error = self._uncertainty.auxiliary_se(
                self.information_kind, self.cov_kind, self.dispersion, self._groups, self.small_sample
            )[0]
        except ModelError:
            return math.nan
        # θ = exp(log θ): by the delta method its standard error is θ times that of log θ.
        return float(np.exp(self._theta[self._n]) * error)

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


def null_deviance(null: Any) -> float:
    """Deviance of a null model at its maximum."""
    if null.objective.n_params == 0:
        return float(null.deviance(null.rows(np.zeros(0))))
    found = estimate(null, Options(METHODS["fisher-scoring"]))
    return float(found.model.deviance(found.model.rows(found.result.theta)))
