"""Where responses lie in the distributions of a likelihood, for quantile residuals.

A ready density may have its distribution function in closed form; of any other density it is tabulated
(:mod:`raphson.model.likelihood.distribution`). P(Y < y) is P(Y ≤ y⁻) at the largest number y⁻ below y, so that one
function serves continuous responses, counts, levels and a probability at one point. Of a censored time only T > c is
known, so that its tails are those of the interval (c, ∞): its quantile residual is drawn from there, and is standard
normal under the model as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raphson.errors import ModelError
from raphson.model.families.tails import Tails
from raphson.model.likelihood.densities.ready import DENSITIES
from raphson.model.likelihood.distribution import ROWS, tabulate

if TYPE_CHECKING:
    from raphson.model.likelihood.family import LikelihoodFamily


def in_closed_form(family: LikelihoodFamily) -> bool:
    """Whether the distribution function needs no table.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> in_closed_form(SimpleNamespace(ready="weibull")), in_closed_form(SimpleNamespace(ready=None))
    (True, False)
    """
    return family.ready is not None and DENSITIES[family.ready].cdf is not None


def log_tails(
    family: LikelihoodFamily,
    y: np.ndarray,
    eta: np.ndarray,
    columns: dict[str, np.ndarray],
    typical: np.ndarray,
) -> Tails:
    """log P(Y < y), log P(Y ≤ y), log P(Y ≥ y) and log P(Y > y) of n rows.

    Parameters
    ----------
    family : a likelihood with a response.
    y, eta : (n,) responses and (K, n) predictors.
    columns : what else the density reads, by keyword, (n, ...) each.
    typical : responses, whose range says what they are.

    Raises
    ------
    ModelError
        If the density does not integrate to 1 over the response.
    """
    if not family.with_response:
        raise ModelError("loglik(params, row) does not say which column is the response, so it has no distribution")
    before = np.nextafter(y, -np.inf)
    if in_closed_form(family):
        spec = DENSITIES[family.ready]  # type: ignore[index]
        k = len(spec.parameters)
        given = [*eta[:k], eta[k:]] if spec.cut_points else list(eta)
        with np.errstate(all="ignore"):
            below, up_to = (np.asarray(spec.cdf(one, *given, **columns), dtype=float) for one in (before, y))  # type: ignore[misc]
    else:
        seen = {name: np.ones_like(one) if name in family.uncensored else one for name, one in columns.items()}
        below, up_to = _tabulated(family, (before, y), eta, tuple(seen.values()), typical)
    for name in family.uncensored:
        if name in columns:
            censored = columns[name] == 0
            below, up_to = np.where(censored, up_to, below), np.where(censored, 1.0, up_to)
    with np.errstate(divide="ignore"):
        return np.log(below), np.log(up_to), np.log1p(-below), np.log1p(-up_to)


def _tabulated(
    family: LikelihoodFamily,
    places: tuple[np.ndarray, ...],
    eta: np.ndarray,
    extra: tuple[np.ndarray, ...],
    typical: np.ndarray,
) -> list[np.ndarray]:
    """P(Y ≤ y) at each of several places (n,); a table is dropped once it was read."""
    found = []
    for start in range(0, eta.shape[1], ROWS):
        part = slice(start, start + ROWS)
        (table,) = tabulate(family, eta[:, part], tuple(one[part] for one in extra), typical)
        found.append([table.at_most(one[part]) for one in places])
    return [np.concatenate(one) for one in zip(*found, strict=True)]
