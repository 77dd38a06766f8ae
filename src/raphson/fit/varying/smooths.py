"""The smooth functions of a fit: how many degrees of freedom each takes, its strength, and a test of a flat line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from raphson.inference.quadratic_forms import upper_tail
from raphson.model.varying.joint import Joint
from raphson.model.varying.results import AtMaximum
from raphson.numeric import in_one_thread

if TYPE_CHECKING:
    import pandas as pd


def degrees_of_freedom(at: AtMaximum) -> float:
    """The effective degrees of freedom of the whole model, tr(H⁻¹AᵀWA)."""
    return float(sum(at.edf.values()))


@in_one_thread
def smooths(at: AtMaximum, terms: Mapping[str, Sequence[int]], nobs: float) -> pd.DataFrame:
    """The smooth functions, a row each.

    ``term``; ``edf``, the effective degrees of freedom; ``lambda``, the factor of the penalty bᵀSb, with S as the basis
    has it (it is infinite where the function is what the penalty leaves, a straight line); and a test of the
    hypothesis that the function is flat: ``statistic`` is χ², or F where the dispersion is estimated, with its
    ``p_value`` (Wood, Biometrika 100, 2013, 221-228). Tensor products have a factor for each variable, ``lambda`` that
    of the first; the table then has the columns ``lambda_2`` and so on after it, NaN for other terms.

    Parameters
    ----------
    terms : the columns of the design by term.
    nobs : number of observations.
    """
    import pandas as pd

    joint = Joint(at)
    phi = math.exp(float(at.theta[-1])) if at.criterion.density.scaled else 1.0
    df = nobs - degrees_of_freedom(at) if at.criterion.density.scaled else None
    root = np.sqrt(at.criterion.density.weight)[:, None]  # rows that stand for several count as so many
    rows = []
    deviations: dict[int, list[float]] = {}
    for one in at.reported:
        if one.kind == "sd":
            deviations.setdefault(one.term, []).append(one.estimate)
    smooth = [k for k, term in enumerate(at.criterion.terms) if term.smooth and term.codes is None]
    most = max((len(deviations[k]) for k in smooth), default=1)
    names = ["lambda", *(f"lambda_{m + 2}" for m in range(most - 1))]
    for number in smooth:
        term = at.criterion.terms[number]
        columns = list(terms.get(term.label, ()))
        strengths = [phi / deviation**2 if deviation > 0 else math.inf for deviation in deviations[number]]
        strengths += [math.nan] * (most - len(strengths))
        edf = at.edf[number] + len(columns)
        estimate, V, rank = joint.some(columns, number)
        design = root * np.column_stack([at.criterion.X[:, columns], term.columns])
        rows.append((term.label, edf, *strengths, *flat_line_test(design, estimate, V, rank, df)))
    return pd.DataFrame(rows, columns=["term", "edf", *names, "statistic", "p_value"])


def flat_line_test(
    design: np.ndarray, b: np.ndarray, V: np.ndarray, rank: float, df: float | None
) -> tuple[float, float]:
    """The statistic and p-value of the hypothesis that the function Xb is 0.

    T = fᵀV_f⁻f with f = Xb and V_f = XVXᵀ, whose pseudo-inverse has the fractional rank r: the first k = ⌊r⌋ − 1
    eigenvalues as they are, and for the next two the block with 1 and ν = r − ⌊r⌋ on its diagonal and √(ν(1−ν)/2)
    beside it, which makes T's distribution that of χ²_k plus two weighted χ²_1. The sign of an eigenvector is
    arbitrary, so that there are two such statistics; these are averaged, and so are their p-values.
    """
    R = np.asarray(np.linalg.qr(design, mode="r"))
    values, vectors = np.linalg.eigh(R @ V @ R.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = min(rank, float(R.shape[1]))
    known = int(np.count_nonzero(values > values[0] * np.finfo(float).eps ** 0.9))
    if not known or not values[0] > 0:
        return math.nan, math.nan
    whole, part = max(int(rank), 1), rank - max(int(rank), 1)
    if part <= 0 or known < whole + 1:
        whole, part = min(whole, known), 0.0
    scores = (vectors.T @ (R @ b)) / np.sqrt(np.where(values > 0, values, np.inf))
    if part == 0.0:
        statistics, count, pair = [float(scores[:whole] @ scores[:whole])], whole, None
    else:
        beside = math.sqrt(max(0.5 * part * (1.0 - part), 0.0))
        first = float(scores[: whole - 1] @ scores[: whole - 1])
        statistics, count = [], whole - 1
        for sign in (1.0, -1.0):
            last = np.array([sign * scores[whole - 1], scores[whole]])
            statistics.append(first + float(last @ np.array([[1.0, beside], [beside, part]]) @ last))
        larger = 0.5 * (1.0 + part + math.sqrt((1.0 + part) * (1.0 - part)))
        pair = larger, 1.0 + part - larger
    p = float(np.mean([upper_tail(one, count, pair, df) for one in statistics]))
    statistic = float(np.mean(statistics))
    return statistic if df is None else statistic / rank, min(p, 1.0)
