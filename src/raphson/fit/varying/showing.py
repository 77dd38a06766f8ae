"""What varies, as tables of texts for a summary: standard deviations and correlations, and the smooth functions."""

from __future__ import annotations

import math
from typing import Any

from raphson.errors import visible
from raphson.sheets import numbers
from raphson.sheets.sheet import Grid

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
