"""What each row says of a fit, and does to it: fitted values, residuals, leverage, influence, leave-one-out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, get_args

import numpy as np

from raphson.choices import ResidualKind
from raphson.errors import ModelError, check_choice
from raphson.fit.state import State
from raphson.fit.uncertainty import per_copy
from raphson.inference import influence, residuals
from raphson.model.objective import Need
from raphson.newton.solve import factorise

if TYPE_CHECKING:
    import pandas as pd


class Diagnosing(State):
    """The part of a Fit that looks at the rows."""

    @cached_property
    def fittedvalues(self) -> pd.Series | pd.DataFrame:
        """Fitted means, by the index of the data."""
        self._need_data("fitted values")
        return self._by_row(self._rows.mean)

    def residuals(self, kind: ResidualKind = "deviance", seed: int = 0) -> pd.Series:
        """Residuals by the index of the data.

        Parameters
        ----------
        kind : "deviance", "pearson", "response", "working" or "quantile" (randomised; Dunn and Smyth 1996).
        seed : of the randomisation.
        """
        model, rows = self._need_data("residuals"), self._rows
        if self.family.predictor_labels is not None:
            raise ModelError("residuals: a multinomial response has no single residual; compare fittedvalues")
        check_choice("kind", kind, get_args(ResidualKind))
        y, mean, w = model.y, rows.mean[0], model.row_weight
        if kind == "deviance":
            values = residuals.deviance(y, mean, self.family.unit_deviance(y, mean, rows.value), w)
        elif kind == "pearson":
            values = residuals.pearson(y, mean, self.family.variance(mean), w)
        elif kind == "response":
            values = residuals.response(y, mean)
        elif kind == "working":
            values = residuals.working(y, mean, rows.slope[0, 0])
        else:
            scale = self.dispersion if model.size is not None else self.dispersion / np.where(w > 0, w, 1.0)
            values = residuals.randomised_quantile(self.family.log_tails(y, mean, scale, model.size), seed)
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

    def loo(self) -> LeaveOneOut:
        """Approximate leave-one-out: the estimates and the predictive density without each row, from this one fit.

        One Newton step by the observed information from θ̂ leads to the estimates without row i; the row's log density
        there, summed over the rows, is the expected log predictive density (Rad and Maleki 2020, J. R. Statist. Soc. B
        82). Of a row that stands for several, one copy is left out. An estimated dispersion, or θ, stays what it is.

        Returns
        -------
        LeaveOneOut

        Raises
        ------
        ModelError
            For a quasi family, which has no density.

        Examples
        --------
        >>> import raphson as rp
        >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
        >>> round(fit.loo().elpd, 4), round(fit.llf, 4)
        (-115.2915, -112.1703)
        """
        import pandas as pd

        model = self._need_data("leave-one-out")
        if self.family.quasi:
            raise ModelError(f"loo: the {self.family.name} family has no density; see dfbetas or cooks_distance")
        settled, rows, copies = self._settled, self._rows, model.copies
        theta = self._theta[: settled.predictor.n_params]
        factor, W = self._uncertainty.main_factor, rows.expected
        evaluation = settled.objective.likelihood.evaluate(theta, Need(kinds=("observed",)))
        observed = factorise(evaluation.information["observed"], factor.kept)
        if observed is not None:
            factor, W = observed, rows.observed
        score, information = per_copy(rows.score, copies), per_copy(W, copies)
        shift = influence.deleted_shift(factor, self._designs, score, information)
        phi = self._dispersion_rule if isinstance(self._dispersion_rule, float) else None
        if self.family.dispersion_fixed:
            phi = 1.0
        elif phi is None:
            phi = settled.ml_dispersion(rows)
        with np.errstate(all="ignore"):
            pointwise = settled.log_density(*settled.values_at(rows.eta - shift), phi)
        change = influence.dfbeta(factor, self._designs, score, information)[:, : self._n]
        estimates = pd.DataFrame(self._estimates - change, index=self._row_labels, columns=list(self.names))
        return LeaveOneOut(pd.Series(pointwise, index=self._row_labels), estimates, self.llf)


@dataclass(frozen=True)
class LeaveOneOut:
    """What a fit would be, and predict, without each of its rows.

    Attributes
    ----------
    pointwise : log predictive density of each row; NaN where a parameter is its own.
    estimates : the coefficients without each row.
    llf : log-likelihood of the whole fit.
    """

    pointwise: pd.Series = field(repr=False)
    estimates: pd.DataFrame = field(repr=False)
    llf: float = field(repr=False)

    @property
    def elpd(self) -> float:
        """Expected log predictive density: the sum over the rows."""
        return float(np.sum(self.pointwise.to_numpy()))

    @property
    def se(self) -> float:
        """Standard error of `elpd`, √n times the standard deviation of its terms."""
        return math.sqrt(len(self.pointwise)) * float(np.std(self.pointwise.to_numpy(), ddof=1))

    @property
    def p_loo(self) -> float:
        """llf − elpd: how many parameters the fit has in effect."""
        return self.llf - self.elpd

    def __repr__(self) -> str:
        return f"LeaveOneOut(elpd={self.elpd:.6g}, se={self.se:.4g}, p_loo={self.p_loo:.4g})"
