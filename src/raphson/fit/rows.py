"""Diagnostics of single rows: residuals, leverage, influence, leave-one-out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.choices import ResidualKind
from raphson.errors import ModelError, check_choice
from raphson.fit.reading import Reading
from raphson.fit.uncertainty import per_copy
from raphson.inference import influence
from raphson.inference import residuals as of_kind
from raphson.model.families.distribution import Distribution
from raphson.model.objective import Need
from raphson.newton.solve import factorise
from raphson.sheets import numbers
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd


def residuals(fit: Reading, kind: ResidualKind = "deviance", seed: int = 0) -> pd.Series:
    """Residuals, with the index of the data.

    Parameters
    ----------
    kind : "deviance", "pearson", "response", "working" or "quantile" (randomised; Dunn and Smyth 1996).
    seed : of the randomisation.
    """
    check_choice("kind", kind, get_args(ResidualKind))
    model, rows = fit.at("residuals").asked, fit.rows
    y, w = model.y, model.row_weight
    if not len(rows.mean):
        return _by_row(fit, _of_distribution(fit, kind, seed))
    mean = rows.mean[0]
    if kind == "deviance":
        values = of_kind.deviance(y, mean, fit.family.unit_deviance(y, mean, rows.value), w)
    elif kind == "pearson":
        values = of_kind.pearson(y, mean, fit.family.variance(mean), w)
    elif kind == "response":
        values = of_kind.response(y, mean)
    elif kind == "working":
        values = of_kind.working(y, mean, rows.slope[0, 0])
    else:
        values = quantile_residuals(fit.family, y, mean, w, model.size, fit.dispersion, seed)
    return _by_row(fit, values)


def quantile_residuals(
    family: Distribution,
    y: np.ndarray,
    mean: np.ndarray,
    weight: np.ndarray,
    size: np.ndarray | None,
    dispersion: float | np.ndarray,
    seed: Any,
) -> np.ndarray:
    """(n,) randomised quantile residuals of responses with given means; `seed`, or the generator of the random part."""
    scale = dispersion if size is not None else dispersion / np.where(weight > 0, weight, 1.0)
    return of_kind.randomised_quantile(family.log_tails(y, mean, scale, size), seed)


def _of_distribution(fit: Reading, kind: str, seed: int) -> np.ndarray:
    """(n,) quantile residuals of a likelihood, which has a distribution and no mean."""
    if kind != "quantile":
        raise ModelError(
            f"residuals: a likelihood has no mean of its own, so it has no {kind} residuals; use residuals('quantile')"
        )
    model: Any = fit.at("residuals").asked
    return of_kind.randomised_quantile(model.log_tails(model.y, fit.rows.eta), seed)


def leverage(fit: Reading) -> pd.Series:
    """Diagonal of the hat matrix of the weighted least squares problem at the estimate.

    Where coefficients vary, all of them are part of that problem, with their penalty.
    """
    return _by_row(fit, fit.at("leverage").leverage)


def cooks_distance(fit: Reading) -> pd.Series:
    """Cook's distance of each row, by a one-step approximation (R's ``cooks.distance``).

    Where coefficients vary by groups, of each level of the outermost one, whose rows are left out together.
    """
    if fit.deletions is not None:
        return _by_level(fit, fit.deletions.cooks)
    at = fit.at("cooks_distance")
    factor = at.uncertainty.main_factor
    return _by_row(fit, influence.cooks_distance(factor, at.designs, at.rows.score, at.rows.expected, fit.dispersion))


def dfbetas(fit: Reading) -> pd.DataFrame:
    """Change of each estimate, in standard errors, when a row is left out, by a one-step approximation.

    Where coefficients vary by groups, when a level of the outermost one is, by a Newton step of the criterion.
    """
    import pandas as pd

    if fit.deletions is not None:
        moves = fit.deletions.moves / fit.bse.to_numpy()
        return pd.DataFrame(moves, index=_levels(fit), columns=list(fit.names))
    at = fit.at("dfbetas")
    factor = at.uncertainty.main_factor
    change = influence.dfbeta(factor, at.designs, at.rows.score, at.rows.expected)
    sigma: float | np.ndarray = 1.0
    if fit.use_t:
        sigma = influence.deletion_sigma(residuals(fit).to_numpy(), at.leverage, fit.df_resid)
    values = influence.dfbetas(change, factor, sigma)
    return pd.DataFrame(values[:, : fit.n], index=fit.row_labels, columns=list(fit.names))


def loo(fit: Reading) -> LeaveOneOut:
    """Approximate leave-one-out cross-validation: estimates and predictive density without each row, without refits.

    One Newton step from θ̂ with the observed information gives the estimates without row i. The log density of row i
    there, summed over the rows, is the expected log predictive density (Rad and Maleki 2020, J. R. Statist. Soc. B
    82). Of a row with frequency weight, one copy is left out. An estimated dispersion or θ is held fixed. Where
    coefficients vary by groups, the levels of the outermost one are left out, with a step of all parameters, and the
    density of a level has its effects integrated out.

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

    at = fit.at("loo")
    if fit.deletions is not None:
        density = _by_level(fit, fit.deletions.densities)
        table = pd.DataFrame(fit.estimates - fit.deletions.moves, index=density.index, columns=list(fit.names))
        return LeaveOneOut(density, table, fit.llf, fit.deletions.counted.astype(float))
    if fit.family.quasi:
        raise ModelError(f"loo: not available for the {fit.family.name} family, which has no density; see dfbetas")
    fitted, rows, copies = at.fitted, at.rows, at.asked.copies
    factor, W = at.uncertainty.main_factor, rows.expected
    evaluation = fitted.objective.likelihood.evaluate(at.theta, Need(kinds=("observed",)))
    observed = factorise(evaluation.information["observed"], factor.kept)
    if observed is not None:
        factor, W = observed, rows.observed
    score, information = per_copy(rows.score, copies), per_copy(W, copies)
    shift = influence.deleted_shift(factor, at.designs, score, information)
    phi = fit.known_dispersion
    if phi is None:
        phi = fitted.ml_dispersion(rows)
    with np.errstate(all="ignore"):
        pointwise = fitted.log_density(*fitted.values_at(rows.eta - shift), phi)
    change = influence.dfbeta(factor, at.designs, score, information)[:, : fit.n]
    estimates = pd.DataFrame(fit.estimates - change, index=fit.row_labels, columns=list(fit.names))
    return LeaveOneOut(pd.Series(pointwise, index=fit.row_labels), estimates, fit.llf, copies)


def _by_row(fit: Reading, values: np.ndarray) -> pd.Series:
    import pandas as pd

    return pd.Series(values, index=fit.row_labels)


def _levels(fit: Reading) -> pd.Index:
    import pandas as pd

    return pd.Index(fit.deletions.labels, name=fit.deletions.group)


def _by_level(fit: Reading, values: np.ndarray) -> pd.Series:
    import pandas as pd

    return pd.Series(values, index=_levels(fit))


@dataclass(frozen=True, repr=False)
class LeaveOneOut(InNotebook):
    """Leave-one-out estimates and predictive densities.

    Attributes
    ----------
    pointwise : log predictive density of each row; NaN where the row alone determines a parameter.
    estimates : the coefficients without each row.
    llf : log-likelihood of the whole fit.
    copies : (n,) how many observations, or levels, each row stands for; None if each is one.
    """

    pointwise: pd.Series = field(repr=False)
    estimates: pd.DataFrame = field(repr=False)
    llf: float = field(repr=False)
    copies: np.ndarray | None = field(default=None, repr=False)

    @property
    def elpd(self) -> float:
        """Expected log predictive density: the sum over the rows."""
        return float(np.sum(self.pointwise.to_numpy()))

    @property
    def se(self) -> float:
        """Standard error of `elpd`, √n times the standard deviation of its terms, one for each of n observations."""
        total = self.pointwise.to_numpy()
        count = np.ones(len(total)) if self.copies is None else self.copies
        each, n = total / np.where(count > 0, count, 1.0), float(count.sum())
        return math.sqrt(n * float(count @ (each - total.sum() / n) ** 2) / (n - 1.0)) if n > 1 else math.nan

    @property
    def p_loo(self) -> float:
        """llf − elpd, the effective number of parameters."""
        return self.llf - self.elpd

    def _sheet(self) -> Sheet:
        values = [("elpd", self.elpd, self.se), ("llf", self.llf, None), ("p_loo", self.p_loo, None)]
        rows = tuple((name, numbers.plain(value), numbers.plain(se)) for name, value, se in values)
        note = "elpd: log predictive density of rows left out; p_loo = llf - elpd, the effective number of parameters."
        return Sheet("Leave-one-out", (), [Grid(("", "value", "std. error"), rows)], [Note(note)])

    def __repr__(self) -> str:
        return f"LeaveOneOut(elpd={self.elpd:.6g}, se={self.se:.4g}, p_loo={self.p_loo:.4g})"
