"""Whether a stationary point is a maximum: at an inflection or a saddle the score is zero as well.

Where the observed information is positive definite and well conditioned, it is one. Elsewhere ℓ is followed both ways
along the directions in which it is hardly curved, or upwards: along an inflection it rises on one side, as the cube of
the way, and from a saddle on both (Rotnitzky, Cox, Bottai and Robins 2000, Bernoulli 6, 243, for likelihoods whose
information is singular, among them the skew normal). The iteration goes on from the highest point met.
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
"""Squared pivots of the scaled information below this tell of a weak direction."""

LINEAR = 0.1
"""The last step has to bring the distance to less than this share: Newton's does, with nothing left but rounding. On
the way to an inflection it goes half of the way, and the distance, which falls as the power 3/2 of it, to a third."""

FLAT = 1e-3
"""Eigenvalues below this, in the metric of the scores, belong to weak directions."""

UPWARDS = 1e-7
"""Eigenvalues below minus this are no rounding: ℓ is curved upwards."""

DIRECTIONS = 3
"""Weak directions that are followed, the weakest first."""

LENGTHS = 4.0 ** np.arange(-2, 7)
"""How far, in standard errors that the parameters would have one by one."""

FALLEN = 3.0
"""By how much ℓ/φ has to fall before a direction is followed no further."""

EXAMINED = (Status.CONVERGED, Status.ROUNDING_FLOOR, Status.SEARCH_FAILED, Status.SINGULAR)
"""Ends that may be stationary points."""


def examined(result: Result, objective: Objective) -> bool:
    """Whether the end looks like a stationary point that need not be a maximum; nothing is read for the answer."""
    if result.status not in EXAMINED or objective.at_limit or objective.prior is not None:
        return False
    if not 0 < np.count_nonzero(result.free) <= MOST_PARAMETERS:
        return False
    steps = result.path.steps
    if len(steps) > 1 and steps[-1].distance > max(LINEAR * steps[-2].distance, 10.0 * result.floor):
        return True
    part = result.evaluation.information.get("observed")
    if part is None:
        return not result.status.converged
    factor = factorise(part, result.free)
    return factor is None or factor.smallest_pivot**2 < WEAK or bool((result.free & ~factor.kept).any())


def higher(result: Result, objective: Objective) -> tuple[np.ndarray | None, bool]:
    """A point near the end of an iteration where ℓ is higher, or None; and whether ℓ is curved upwards at the end.

    Parameters
    ----------
    result : of an iteration whose end is :func:`examined`.
    objective : what was maximised.
    """
    here = objective.evaluate(result.theta, Need(kinds=("observed", "opg")))
    if not here.finite:
        return None, False
    # In the metric of the diagonal of the outer product a length of 1 is a standard error of one parameter alone.
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
    """The highest point met along a direction, if it is higher than the best so far."""
    enough = 10.0 * value_noise(here)
    for length in LENGTHS:
        there = objective.evaluate(objective.moved(here.theta, length * direction))
        if not there.finite or there.value < here.value - FALLEN * here.dispersion:
            break
        if there.value > max(best.value, here.value + enough):
            best = there
    return best


def left_behind(first: Result, again: Result) -> Result:
    """The end of an iteration that went on from beside a stationary point, with the whole way there."""
    return replace(again, path=first.path.then(again.path), begun=first.begun)
