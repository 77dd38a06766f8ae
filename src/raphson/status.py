"""How an iteration can end."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How an iteration ended, as a string that also says whether the result is a maximum and what to do about it.

    Examples
    --------
    >>> import raphson as rp
    >>> rp.Status.STEP_LIMIT.converged, rp.Status.STEP_LIMIT == "step limit"
    (False, True)
    >>> rp.Status("boundary").converged
    True
    """

    CONVERGED = "converged"
    """A maximum, within the tolerance."""

    ROUNDING_FLOOR = "rounding floor"
    """As near a maximum as rounding of the score allows: success; `Fit.digits` says how many digits are reliable."""

    STEP_LIMIT = "step limit"
    """The iteration reached max_iter before a maximum: never success."""

    SEARCH_FAILED = "search failed"
    """No step along the last direction raised the log-likelihood; or a boundary point not proved to be a maximum."""

    SINGULAR = "singular"
    """The information is singular at the last point, so that no further step can be computed."""

    NOT_FINITE = "not finite"
    """The log-likelihood or a derivative is no longer finite; for a network, the loss diverged."""

    SEPARATED = "separated"
    """Covariates separate the responses: some estimates are infinite, and the others are their limits."""

    BOUNDARY = "boundary"
    """A maximum at the boundary of the parameter space, proved by its multipliers or one-sided derivatives: success."""

    STOPPED_EARLY = "stopped early"
    """The loss of a network on the rows held out stopped falling; the weights are those with the lowest loss."""

    REFUSED = "refused"
    """The rows of a group cannot be fitted, being too few for example: its message says why. Others are fitted."""

    @property
    def converged(self) -> bool:
        """True at a maximum: within the tolerance, as near as rounding allows, or proved to be at the boundary."""
        return self in (Status.CONVERGED, Status.ROUNDING_FLOOR, Status.BOUNDARY)

    @property
    def advice(self) -> str:
        """What the status means and, unless it is a maximum, what to do about it."""
        return _ADVICE[self]

    @property
    def proven(self) -> str:
        """The same if the log-likelihood is known to be concave, so that there is at most one maximum.

        Examples
        --------
        >>> Status.CONVERGED.advice
        'the estimate is at a maximum, within the tolerance'
        >>> Status.CONVERGED.proven
        'the estimate is at the maximum, within the tolerance'
        """
        return self.advice.replace("a maximum", "the maximum") if self.converged else self.advice


_ADVICE = {
    Status.CONVERGED: "the estimate is at a maximum, within the tolerance",
    Status.ROUNDING_FLOOR: (
        "the estimate is as near a maximum as the rounding of the score allows; `digits` says how many digits of each "
        "estimate are reliable"
    ),
    Status.STEP_LIMIT: "the iteration ran out of steps; raise max_iter, try another method, or start= nearer",
    Status.SEARCH_FAILED: (
        "no step along the last direction raised the log-likelihood; try method='newton', damping=, or another start="
    ),
    Status.SINGULAR: (
        "the information is singular at the last point; begin nearer the maximum with start=, rescale extreme values, "
        "or simplify the model"
    ),
    Status.NOT_FINITE: "the log-likelihood is no longer finite; try another start=, or check the data for extremes",
    Status.SEPARATED: (
        "some covariates separate the responses: their maximum likelihood estimates are infinite; drop them, "
        "merge levels, or pass bias='firth' or penalty="
    ),
    Status.BOUNDARY: (
        "the estimate is a maximum at the boundary of the parameter space: the log-likelihood falls along the "
        "boundary and away from it"
    ),
    Status.STOPPED_EARLY: (
        "the loss of the rows held out stopped falling; the weights are those where it was lowest, which predict best "
        "but are no maximum of the likelihood"
    ),
    Status.REFUSED: "the rows of this group cannot be fitted, as its message says; the other groups are fitted",
}
