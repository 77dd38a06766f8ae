"""The tables of what varies: standard deviations and correlations, and the effects of the levels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from raphson.errors import ConvergenceWarning, warn_user
from raphson.fit.varying.profiles import Profiles
from raphson.model.varying.joint import Joint, of_groups_alone
from raphson.model.varying.results import AtMaximum, Reported
from raphson.numeric import in_one_thread

if TYPE_CHECKING:
    import pandas as pd

RESIDUAL = "residual"
"""The group of the residual standard deviation."""


@in_one_thread
def variances(at: AtMaximum, level: float = 0.95, profiles: bool | Literal["groups"] = True) -> pd.DataFrame:
    """The standard deviations and correlations, with their errors and intervals.

    A row each: ``group``, ``term`` (the effect that varies; two of them for a correlation), ``kind`` ("sd" or "corr"),
    ``estimate``, ``std_error`` (by the delta method from the inverse of the exact Hessian), and ``lower, upper``: where
    the profile of the criterion has fallen by half the quantile of χ². At the edge there is no standard error.

    Parameters
    ----------
    level : coverage of the intervals.
    profiles : whether the intervals are by profiles, or only those of "groups"; otherwise Wald's, of log σ and atanh ρ.
    """
    import pandas as pd

    ends = Profiles(at, level)
    rows: list[tuple[str, str, str, float, float, float, float]] = []
    for one in at.reported:
        error = error_of(at, one)
        profiled = at.criterion.terms[one.term].codes is not None if profiles == "groups" else profiles
        interval = ends.of(one) if profiled else _wald(one, error, ends.reach)
        rows.append((*named(at, one), one.kind, one.estimate, error, *interval))
        if profiled and not math.isnan(one.estimate):
            _tell_of_lost(rows[-1], interval)
    density = at.criterion.density
    if density.scaled and density.family.name == "gaussian":
        half = 0.5 * float(at.theta[-1])  # τ is log σ²
        error = 0.5 * math.sqrt(at.cov[-1, -1])
        low, high = ends.residual() if profiles else (_exp(half - s * error) for s in (ends.reach, -ends.reach))
        rows.append((RESIDUAL, "", "sd", math.exp(half), math.exp(half) * error, low, high))
    return pd.DataFrame(rows, columns=["group", "term", "kind", "estimate", "std_error", "lower", "upper"])


def _tell_of_lost(row: tuple[str, str, str, float, float, float, float], interval: tuple[float, float]) -> None:
    """Warn of the ends that a profile did not lead to."""
    lost = [name for name, end in zip(("lower", "upper"), interval, strict=True) if math.isnan(end)]
    if lost:
        group, effect, kind, *_ = row
        warn_user(
            f"variances: the {' and '.join(lost)} end of the interval of {kind} {effect} | {group} is NaN, as the "
            "iteration found no maximum on the way there: the data say too little of it; see bootstrap()",
            ConvergenceWarning,
        )


def named(at: AtMaximum, one: Reported) -> tuple[str, str]:
    """The group of a standard deviation or correlation, and the effect or both of them."""
    term = at.criterion.terms[one.term]
    names = [term.names[one.second], term.names[one.first]] if one.kind == "corr" else [term.scale_names[one.first]]
    return term.group, ", ".join(names)


def error_of(at: AtMaximum, one: Reported) -> float:
    """The standard error of a standard deviation or correlation; NaN at the edge."""
    if one.at_edge:
        return math.nan
    error = math.sqrt(max(float(one.slope @ at.cov @ one.slope), 0.0))
    return error * (one.estimate if one.kind == "sd" else 1.0 - one.estimate**2)


def _exp(value: float) -> float:
    """The exponential, ∞ beyond all numbers: the end of an interval of a scale that the data do not tell from 0."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _wald(one: Reported, error: float, reach: float) -> tuple[float, float]:
    if one.kind == "sd":
        far = reach * error / one.estimate if one.estimate else math.nan
        return one.estimate * _exp(-far), one.estimate * _exp(far)
    far = reach * error / (1.0 - one.estimate**2) if abs(one.estimate) < 1 else math.nan
    return math.tanh(one.transformed - far), math.tanh(one.transformed + far)


@in_one_thread
def random_effects(at: AtMaximum) -> pd.DataFrame:
    """The effects of the levels of every group, a row each.

    ``group, level, term``, and ``mode``: the effect at which the penalised likelihood is largest, given the estimates.
    Its standard deviations are ``conditional_sd``, given all else, smooth functions too; ``posterior_sd``, with the
    uncertainty of the coefficients; and ``sd``, with that of the standard deviations and correlations.
    """
    import pandas as pd

    grouped = [number for number, term in enumerate(at.criterion.terms) if term.codes is not None]
    names = ["group", "level", "term", "mode", "conditional_sd", "posterior_sd", "sd"]
    if not grouped:
        return pd.DataFrame(columns=names)
    parts = []
    joint, alone = Joint(at), of_groups_alone(at)
    for place, number in enumerate(grouped):
        term = at.criterion.terms[number]
        columns = {"mode": at.modes(number)}
        covs = {"conditional_sd": alone.posterior_cov(place), "posterior_sd": joint.posterior_cov(number)}
        covs["sd"] = at.full_cov(number)
        columns |= {name: np.sqrt(np.maximum(np.einsum("laa->la", cov), 0.0)) for name, cov in covs.items()}
        labels = {
            "group": np.repeat(term.group, term.n_coefficients),
            "level": np.repeat(np.array(term.levels, dtype=object), term.width),
            "term": np.tile(np.array(term.names, dtype=object), term.n_levels),
        }
        parts.append(pd.DataFrame(labels | {name: values.ravel() for name, values in columns.items()}))
    return pd.concat(parts, ignore_index=True).reindex(columns=names)
