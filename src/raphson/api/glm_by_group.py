"""One generalised linear model for every group of the rows: in batches, and one by one where there is any doubt."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raphson.data.watching import changed_message
from raphson.errors import (
    ConvergenceError,
    ConvergenceWarning,
    DataError,
    ModelError,
    RankWarning,
    SeparationWarning,
    warn_user,
)
from raphson.execute import Executor
from raphson.fit.fit import Fit
from raphson.fit.many_linear import GroupEstimates, LinearFits, LinearGroups
from raphson.model.glm.glm import CERTAIN, GeneralisedLinearModel
from raphson.model.glm.groups import GroupedModel
from raphson.newton.many.stacks import MOST_PASSES, Maxima, inverted, maxima
from raphson.newton.methods import resolve_method
from raphson.options import Inference, Iteration, LinearModel
from raphson.status import Status

SAME_MAXIMUM = ("fisher-scoring", "newton", "irls")
"""Methods for which the batch stands in: all end at the same digits."""

CLOSE = 1e-8
"""Largest distance in standard errors at which the batch takes its last step, whatever looser `tol` is asked for."""


@dataclass(frozen=True)
class OneGroup:
    """Fits a single group, given its number; see :func:`fit_every_group` for the fields."""

    grouped: GroupedModel
    fitted: Callable[[GeneralisedLinearModel], Fit]

    def __call__(self, number: int) -> Fit:
        watch = self.grouped.whole.data.watch
        changed = [] if watch is None else watch.changed(whole=False)
        if changed:
            raise DataError(changed_message(changed, "fits[label]"))
        model = self.grouped.model(number)
        with np.errstate(all="ignore"):
            model.check()
        return self.fitted(model)


def fit_every_group(
    grouped: GroupedModel,
    fitted: Callable[[GeneralisedLinearModel], Fit],
    asked: LinearModel,
    iteration: Iteration,
    inference: Inference,
    rule: str | float,
    start: np.ndarray | None,
    executor: Executor,
) -> LinearFits:
    """Fit a model to every group of its rows.

    Parameters
    ----------
    grouped : the model and its groups.
    fitted : fits a model by itself, with the user's options, and warns as it does.
    asked, iteration, inference : the user's options.
    rule : by which φ is estimated, or its value.
    start : (p,) the user's starting values, or None.
    executor : runs the batches.
    """
    whole, names = grouped.whole, grouped.whole.names
    table = GroupEstimates.empty(len(grouped), len(names))
    found = np.zeros(len(grouped), dtype=bool)
    tol = min(iteration.tol, CLOSE)

    def batch(places: np.ndarray) -> tuple[np.ndarray, Maxima]:
        stack = grouped.stack(places)
        rows, df = grouped.n_rows[places], np.maximum(grouped.nobs[places] - len(names), 1.0)
        with np.errstate(all="ignore"):
            ended = maxima(stack, start, df, rows, tol, CERTAIN)
            dispersion = None if whole.family.dispersion_fixed else ended.pearson / df
            ended.found[:] &= ~grouped.doubtful(stack, dispersion)
        return places, ended

    if grouped.stackable and _in_batches(iteration, inference, rule):
        for places, ended in executor.map(batch, list(grouped.stacks())):
            found[places[ended.found]] = True
            _put(table, grouped, places, ended, inference.information, rule)

    single = OneGroup(grouped, fitted)
    for number in np.flatnonzero(~found).tolist():
        _put_single(table, number, single, grouped)
    groups = LinearGroups(
        whole.family,
        whole.data.schema,
        asked.by if isinstance(asked.by, str) else None,
        not whole.family.dispersion_fixed and not isinstance(rule, float),
        whole.advice,
        grouped.deviance if grouped.stackable else None,
        grouped.spread_remarks if grouped.stackable and inference.cov == "model" else None,
    )
    fits = LinearFits(table, grouped.labels, names, groups, single)
    for text, category in (
        (f"separation: {fits.separations}" if fits.separations else "", SeparationWarning),
        (f"not converged: {fits.failures}" if fits.failures else "", ConvergenceWarning),
        (f"rank: {fits.open_groups}" if fits.open_groups else "", RankWarning),
    ):
        if text:
            warn_user(text, category)
    return fits


def _in_batches(iteration: Iteration, inference: Inference, rule: str | float) -> bool:
    """Whether the options are those that a batch serves; with any other each group is fitted by itself."""
    plain = iteration.damping == 0.0 and iteration.learning_rate is None
    steps = iteration.max_iter is None or iteration.max_iter >= MOST_PASSES
    known = inference.cov == "model" and inference.information != "opg" and rule not in ("deviance", "ml")
    return plain and steps and known and resolve_method(iteration.method).name in SAME_MAXIMUM


def _put(
    table: GroupEstimates, grouped: GroupedModel, places: np.ndarray, ended: Maxima, kind: str, rule: str | float
) -> None:
    """Write what a batch found into the table."""
    done = ended.found
    here = places[done]
    table.theta[here], table.distance[here], table.n_iter[here] = (
        ended.theta[done],
        ended.distance[done],
        ended.n_iter[done],
    )
    table.nobs[here] = grouped.nobs[here]
    table.df_resid[here] = table.nobs[here] - table.theta.shape[1]
    table.status[here] = Status.CONVERGED
    if isinstance(rule, float):
        table.dispersion[here] = rule
    elif grouped.whole.family.dispersion_fixed:
        table.dispersion[here] = 1.0
    else:
        table.dispersion[here] = ended.pearson[done] / table.df_resid[here]
    M = (ended.observed if kind == "observed" else ended.expected)[done]
    V = inverted(M) * table.dispersion[here, None, None]
    table.covariance[here] = V
    table.bse[here] = np.sqrt(np.einsum("bii->bi", V))


def _put_single(table: GroupEstimates, number: int, single: Callable[[int], Fit], grouped: GroupedModel) -> None:
    """Fit one group by itself and write it into the table; what the fit refuses or warns of is the group's message."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = single(number)
            table.put(number, fit, grouped.remark(number))
    except (DataError, ModelError, ConvergenceError) as error:
        table.nobs[number] = grouped.nobs[number]
        table.message[number] = str(error)
        if isinstance(error, ConvergenceError):
            table.status[number] = Status.NOT_FINITE
