"""What varies, as tables of texts for a summary: standard deviations and correlations, and the smooth functions."""

from __future__ import annotations

import math
from typing import Any

from raphson.errors import RaphsonError, visible
from raphson.fit.varying import tables
from raphson.fit.varying.conditional import conditional_aic, conditional_df
from raphson.fit.varying.curves import curves, effects_pictures
from raphson.fit.varying.explained import icc, r2_conditional, r2_marginal
from raphson.report.varying_page import Varies
from raphson.sheets import numbers
from raphson.sheets.sheet import Grid

CHEAP = 500_000
"""Rows times parameters up to which the profiles of all scales are computed for a report."""

KINDS = {"sd": "std. deviation", "corr": "correlation"}


def grids(reading: Any) -> list[Grid]:
    """A table of how much effects of groups and responses vary, and one of the smooth functions; neither if empty."""
    found = [scales(reading), smooth_functions(reading)]
    return [one for one in found if one.rows]


def scales(reading: Any) -> Grid:
    """Standard deviations and correlations of the effects of groups, and the residual one, with standard errors.

    What a smooth function varies by is told by its degrees of freedom, in the other table.
    """
    smooth = {term.group for term in reading.maximum.criterion.terms if term.codes is None}
    rows = []
    for row in reading.scales.itertuples(index=False):
        if row.group in smooth:
            continue
        what = f"{row.group}: {row.term}" if row.term else row.group
        rows.append((what, KINDS[row.kind], row.estimate, row.std_error))
    density = reading.maximum.criterion.density
    if density.scaled and density.family.name != "gaussian":
        root = math.sqrt(reading.dispersion)
        error = 0.5 * root * math.sqrt(max(float(reading.maximum.cov[-1, -1]), 0.0))
        rows.append(("residual", "root of dispersion", root, error))
    cells = [(visible(what), kind, *(_five(value) for value in values)) for what, kind, *values in rows]
    return Grid(("what varies", "", "estimate", "std. error"), tuple(cells), words=(1,))


def smooth_functions(reading: Any) -> Grid:
    """The smooth functions: degrees of freedom, the factor of the penalty, and the test of a flat line."""
    letter = "F" if reading.maximum.criterion.density.scaled else "chi2"
    rows = []
    for term, edf, *strengths, statistic, p in reading.smooths.itertuples(index=False):
        told = ", ".join(_three(one) for one in strengths if not math.isnan(one))  # of a tensor product several
        rows.append((visible(str(term)), f"{edf:.2f}", told, numbers.rounded(statistic, 3), numbers.p_value(p)))
    return Grid(("smooth function", "edf", "lambda", letter, "p, flat"), tuple(rows))


def _five(value: float) -> str:
    return numbers.significant(value, 5)


def _three(value: float) -> str:
    return numbers.significant(value, 3)


def varies(reading: Any, level: float) -> Varies:
    """What a report shows: scales, levels in order, smooth functions, and shares of the variance.

    The intervals of the scales are by profiles where that takes moments.
    """
    criterion = reading.maximum.criterion
    profiled = criterion.n_rows * criterion.n_params <= CHEAP
    scales = tables.variances(reading.maximum, level, profiles="groups" if profiled and reading.group_sizes else False)
    shares: dict[str, float] = {}
    try:
        shares |= {"conditional AIC": conditional_aic(reading), "conditional df": conditional_df(reading)}
        shares |= {"R² marginal": r2_marginal(reading), "R² conditional": r2_conditional(reading)}
        parts = icc(reading).set_index("group")["estimate"].to_dict()
        shares |= {f"ICC {group}": value for group, value in parts.items()}
        shares["ICC"] = parts.get("all", next(iter(parts.values())))
    except RaphsonError:
        pass  # what is not defined is left out
    sizes = reading.group_sizes
    found = effects_pictures(reading, level) if sizes else []
    shown = curves(reading, level) if len(reading.smooths) else []
    return Varies(scales, profiled, sizes, found, shown, shares, str(reading.state.inputs.get("criterion", "")))
