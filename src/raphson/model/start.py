"""Starting values: inside the model's domain, and near enough to the maximum for Newton's step.

The family proposes a mean for each row (R's `mustart`: the response, pulled off the edge of the support). One
weighted least squares fit of the linearised model turns it into coefficients. Where that leaves the domain of
the link (an inverse link whose η turns negative, say), the coefficients are drawn back towards those of a
constant mean, which is always inside.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raphson.errors import ConvergenceError
from raphson.linalg import SINGULAR, all_finite, cholesky
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Evaluation, Gram, Need, Objective, Root

EXPECTED = Need(kinds=("expected",))

MOST_DOUBLINGS = 12
"""Of the distance from a constant mean at which a start inside the domain is looked for: to 4,000 times."""


def least_squares(part: Gram | Root, score: np.ndarray) -> np.ndarray:
    """Solution of M θ = ∇ℓ, that of minimum norm where columns are aliased."""
    M = part.matrix
    factor = cholesky(M)
    if factor is not None:
        return factor.solve(score)
    scale = np.sqrt(np.maximum(M.diagonal(), 0.0))
    scale[scale == 0] = 1.0
    return np.linalg.lstsq(M / scale / scale[:, None], score / scale, rcond=SINGULAR)[0] / scale


def start_from(
    likelihood: LogLikelihood,
    objective: Objective,
    eta: np.ndarray,
    constant: Callable[[], np.ndarray],
    need: Need,
    plain: bool = False,
) -> Evaluation:
    """The objective at coefficients where the log-likelihood is finite.

    Parameters
    ----------
    likelihood : the model's.
    objective : what is maximised: the likelihood, with or without bias reduction.
    eta : (K, n) the family's proposal, row by row.
    constant : gives the (K,) linear predictors of a constant mean.
    need : what the first step needs of the evaluation.
    plain : whether to begin at the constant mean. The least squares fit is in effect a step of a second-order method,
        which a first-order method should not be given.

    Raises
    ------
    ConvergenceError
        If no such coefficients are found.
    """
    linear = _fit(likelihood, eta)
    here = None if plain else _evaluate(objective, linear, need)
    if here is not None and likelihood.family.canonical:
        return here
    inside = _fit(likelihood, np.broadcast_to(constant()[:, None], eta.shape), project=True)
    if here is not None:
        # Without concavity a start worse than a constant mean may lead away to infinity.
        level = _evaluate(objective, inside, need)
        return here if level is None or here.value >= level.value else level
    for candidate in (inside, np.zeros_like(inside)):
        here = _evaluate(objective, candidate, need)
        if here is None:
            continue
        if plain:
            return here
        for halving in range(1, 11):
            nearer = _evaluate(objective, candidate + 0.5**halving * (linear - candidate), need)
            if nearer is not None:
                return nearer
        return here
    found = _far_inside(likelihood, objective, constant(), need)
    if found is not None:
        return found
    raise ConvergenceError(
        "start: found no starting values inside the link's domain; pass start= with coefficients at which every mean "
        "is possible, or use a link that is defined for every η, such as 'log' or 'logit'"
    )


def _far_inside(likelihood: LogLikelihood, objective: Objective, level: np.ndarray, need: Need) -> Evaluation | None:
    """The objective where every η is far inside a domain that ends on one side, as with an offset that passes the end.

    An intercept, or columns that add up to one, can outweigh any offset.
    """
    low, high = likelihood.family.domain
    if np.isfinite(low) == np.isfinite(high):
        return None
    away = np.zeros_like(level)
    away[0] = (1.0 if np.isfinite(low) else -1.0) * max(abs(level[0]), 1.0)
    for doubling in range(MOST_DOUBLINGS):
        eta = np.repeat((level + 2.0**doubling * away)[:, None], likelihood.n_rows, axis=1)
        here = _evaluate(objective, _fit(likelihood, eta, project=True), need)
        if here is not None:
            return here
    return None


def levels(likelihood: LogLikelihood, eta: np.ndarray, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Coefficients that come nearest to a constant η, for distinct quantiles of a family's proposal (K, n)."""
    constants = np.unique(np.quantile(eta, shares, axis=1), axis=0)
    found = [_fit(likelihood, np.repeat(one[:, None], likelihood.n_rows, axis=1), project=True) for one in constants]
    return [theta for theta in found if np.isfinite(theta).all()]


def _evaluate(objective: Objective, theta: np.ndarray, need: Need) -> Evaluation | None:
    if not all_finite(theta):
        return None
    evaluation = objective.evaluate(theta, need)
    return evaluation if evaluation.finite else None


def _fit(likelihood: LogLikelihood, eta: np.ndarray, project: bool = False) -> np.ndarray:
    evaluation = likelihood.linearised(eta, EXPECTED, project)
    if not evaluation.finite or "expected" not in evaluation.information:
        return np.full(likelihood.n_params, np.nan)
    return least_squares(evaluation.information["expected"], evaluation.score)
