"""How an iteration can end."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """How an iteration ended; ``status.converged`` says whether the result is a maximum.

    Examples
    --------
    >>> Status.STEP_LIMIT.value, Status.STEP_LIMIT.converged
    ('step limit', False)
    """

    CONVERGED = "converged"
    ROUNDING_FLOOR = "rounding floor"
    STEP_LIMIT = "step limit"
    SEARCH_FAILED = "search failed"
    SINGULAR = "singular"
    NOT_FINITE = "not finite"
    SEPARATED = "separated"
    BOUNDARY = "boundary"
    STOPPED_EARLY = "stopped early"

    @property
    def converged(self) -> bool:
        """True at a maximum: within tolerance, as near as rounding lets the score tell, or at a proved edge."""
        return self in (Status.CONVERGED, Status.ROUNDING_FLOOR, Status.BOUNDARY)

    @property
    def advice(self) -> str:
        """What the status means and what to do about it; of a maximum no more than that it is one."""
        return _ADVICE[self]

    @property
    def proven(self) -> str:
        """The same where the log-likelihood is known to be concave, and has no more than one maximum.

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
        "the estimate is as near a maximum as the rounding of the score lets one see; "
        "`digits` says how many digits of each estimate are safe"
    ),
    Status.STEP_LIMIT: "the iteration ran out of steps; raise max_iter, try another method, or start= nearer",
    Status.SEARCH_FAILED: (
        "no step along the last direction raised the log-likelihood; try method='newton', damping=, or another start="
    ),
    Status.SINGULAR: (
        "the information is singular where the iteration stands: begin nearer the maximum with start=, rescale extreme "
        "values, or simplify the model"
    ),
    Status.NOT_FINITE: "the log-likelihood stopped being finite; try another start= or check the data for extremes",
    Status.SEPARATED: (
        "some covariates separate the responses: their maximum likelihood estimates are infinite; drop them, "
        "merge levels, or pass bias='firth' or penalty="
    ),
    Status.BOUNDARY: (
        "the estimate is a maximum at the edge of what is possible: the log-likelihood falls along the edge and away "
        "from it"
    ),
    Status.STOPPED_EARLY: (
        "the loss of the rows held out stopped falling; the weights are those of its lowest value, which is what "
        "predicts best, not a maximum of the likelihood"
    ),
}
