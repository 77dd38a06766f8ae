"""Whether a stationary point is a maximum: at an inflection or a saddle the score is zero as well.

If the observed information is positive definite and well conditioned, the point is a maximum. If not, ℓ is followed
both ways in the directions where it is nearly flat or convex. At an inflection it rises on one side, like a cube, and
at a saddle on both (Rotnitzky, Cox, Bottai and Robins 2000, Bernoulli 6, 243, on likelihoods with singular information,
such as the skew normal's). The iteration continues from the highest point found.
"""

# pyright: strict

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raphson.model.objective import Evaluation, Need, Objective
from raphson.newton.directions import MOST_PARAMETERS
from raphson.newton.indefinite import eigenpairs
from raphson.newton.maximize import Result
from raphson.newton.search import value_noise
from raphson.newton.solve import factorise
from raphson.status import Status

WEAK = 1e-5
"""Squared pivots of the scaled information below this indicate a weak direction. At 1e-9 a skew normal density, whose
best fit to 40 positive values has an infinite shape, stays at its inflection, with ℓ lower by 5.6; from 1e-6 to 0.1 it
leaves it."""

LINEAR = 0.1
"""Reduction of the distance by the last step above which the end is examined. Newton's last step to a maximum leaves
only rounding. A step towards an inflection goes half of the way, which leaves a third of the distance, (1/2)^(3/2)."""

FLAT = 1e-3
"""Eigenvalues below this, in the metric of the scores, belong to weak directions: those of a sharp maximum are of the
size of a correlation matrix's. From 1e-7 to 1 nothing changes for a skew normal density with its maximum at infinity,
nor for four likelihoods without weak directions."""

UPWARDS = 1e-7
"""If an eigenvalue is below minus this, it is not rounding, some 1e-15 of the largest: ℓ is convex in its direction.
From 1e-11 to 1e-3 nothing changes for the same likelihoods."""

DIRECTIONS = 3
"""Largest number of weak directions that are followed, weakest first. With one the skew normal density leaves its
inflection too."""

LENGTHS = 4.0 ** np.arange(-2, 7)
"""How far they are followed, in standard errors of single parameters with the others fixed."""

FALLEN = 3.0
"""Drop of ℓ/φ after which a direction is not followed further. A twentieth of the likelihood is left then."""

EXAMINED = (Status.CONVERGED, Status.ROUNDING_FLOOR, Status.SEARCH_FAILED, Status.SINGULAR)
"""Statuses of ends that may be stationary points."""


def examined(result: Result, objective: Objective) -> bool:
    """Whether the end may be a stationary point that is not a maximum; this reads no data."""
    if result.status not in EXAMINED or objective.at_limit or objective.prior is not None:
        return False
    if not 0 < np.count_nonzero(result.free) <= MOST_PARAMETERS:
        return False
    distances = result.path.last_distances
    if len(distances) > 1 and distances[-1] > max(LINEAR * distances[-2], 10.0 * result.floor):
        return True
    part = result.evaluation.information.get("observed")
    if part is None:
        return not result.status.converged
    factor = factorise(part, result.free)
    return factor is None or factor.smallest_pivot**2 < WEAK or bool((result.free & ~factor.kept).any())


def higher(result: Result, objective: Objective) -> tuple[np.ndarray | None, bool]:
    """A point near the end of an iteration with a higher ℓ, or None; and whether ℓ is convex in some direction there.

    Parameters
    ----------
    result : of an iteration whose end is :func:`examined`.
    objective : what was maximised.
    """
    here = objective.evaluate(result.theta, Need(kinds=("observed", "opg")))
    if not here.finite:
        return None, False
    # In the metric of the outer product's diagonal, a length of 1 is the standard error of a single parameter.
    metric = np.diag(np.diagonal(here.information["opg"].matrix))
    found = eigenpairs(here.information["observed"].matrix, metric, result.free)
    if found is None:
        return None, False
    values, vectors = found
    weak = max(1, min(DIRECTIONS, int(np.count_nonzero(values < FLAT))))
    best = here
    for vector in vectors[:, :weak].T:
        for direction in (vector, -vector):
            best = _along(objective, here, direction, best)
    return (None if best is here else best.theta), bool(values[0] < -UPWARDS)


def _along(objective: Objective, here: Evaluation, direction: np.ndarray, best: Evaluation) -> Evaluation:
    """The highest point in a direction, if it is higher than the best so far."""
    enough = 10.0 * value_noise(here)
    for length in LENGTHS:
        there = objective.evaluate(objective.moved(here.theta, length * direction))
        if not there.finite or there.value < here.value - FALLEN * here.dispersion:
            break
        if there.value > max(best.value, here.value + enough):
            best = there
    return best


def left_behind(first: Result, again: Result) -> Result:
    """The result of an iteration that continued from near a stationary point, with the whole path."""
    return replace(again, path=first.path.then(again.path), begun=first.begun)
