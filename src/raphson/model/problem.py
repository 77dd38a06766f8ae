"""What an iteration needs of a model, and what a model may know beyond that.

An iteration needs an objective, which parameters move, and where to start. All else has the default of a model of which
nothing more is known: one maximum, inside, of a smooth function.
"""
# pyright: strict

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from raphson.cached import cached_property
from raphson.data.blocks import StreamedBlocks
from raphson.model.limits import Limit
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Evaluation, Need, Objective
from raphson.status import Status


class RowsInMemory(NamedTuple):
    """Rows that batches are taken from.

    Attributes
    ----------
    designs : each (n, d).
    y, weight : (n,) response; weights, or None.
    offset : (K, n) or None.
    """

    designs: tuple[np.ndarray, ...]
    y: np.ndarray
    weight: np.ndarray | None
    offset: np.ndarray | None


class RowsStreamed(NamedTuple):
    """Streamed rows that batches are taken from.

    Attributes
    ----------
    blocks : the rows, which can be read in a random order.
    width : number of columns of their design.
    mean_weight : of the rows; None if there are no weights.
    pieces : numbers of rows of the pieces, each a block or a list of blocks.
    starts : numbers of the first pieces of the parts, each of which is read by itself.
    """

    blocks: StreamedBlocks
    width: int
    mean_weight: float | None
    pieces: tuple[int, ...]
    starts: tuple[int, ...]


class Layered(NamedTuple):
    """The traced model that a first-order method trains where the predictors are not linear.

    Attributes
    ----------
    structure : from parameters to η; static and hashable.
    state : what the structure needs besides the parameters.
    rows : that batches are taken from.
    divisor : φ₀ of the loss.
    total : Σ w.
    decay : weight decay.
    pack, unpack : from its parameters, which have units of their own, to θ, and back.
    """

    structure: Any
    state: Any
    rows: RowsInMemory | RowsStreamed
    divisor: float
    total: float
    decay: float
    pack: Callable[[Any], np.ndarray]
    unpack: Callable[[np.ndarray], Any]


class MultiStart:
    """What a model knows about having several maxima."""

    trial_method: ClassVar[str] = ""
    """Method that iterates from the :meth:`candidates`; if empty, the fit's own."""

    def needs_multistart(self, theta: np.ndarray, converged: bool, condition: float, steps: int | None = None) -> str:
        """Why there may be a better maximum than where the iteration ended; an empty string without a reason.

        Parameters
        ----------
        theta, converged : as for :meth:`Problem.limit`.
        condition : number of the scaled information's root there.
        steps : number of steps from the user's start; None where the iteration began elsewhere.
        """
        return ""

    def candidates(self, count: int, number: int = 0) -> list[np.ndarray]:
        """Other starting values, the most promising first; a different set for each `number`."""
        return []

    def reliable(self, theta: np.ndarray) -> bool:
        """Whether the likelihood at θ is computed to useful accuracy rather than dominated by rounding."""
        return True

    def label_switched(self, theta: np.ndarray) -> np.ndarray | None:
        """An equally good θ nearer to the start, with some parameters' places or signs exchanged; None if none is."""
        return None

    def start_note(self, begun: np.ndarray) -> str:
        """Where the starting values came from, in words, if they had to be searched for."""
        return ""


class Problem(MultiStart):
    """What is maximised, from which start, and what each way of ending means."""

    read_beforehand = ""
    """What was read before the iteration and is not in its path, in words; empty if nothing was."""

    @cached_property
    def objective(self) -> Objective:
        """What is maximised."""
        raise NotImplementedError

    @property
    def free(self) -> np.ndarray | None:
        """(p,) mask of the parameters to estimate; None for all."""
        return None

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at starting values inside the domain; those of a constant mean if `plain`."""
        raise NotImplementedError

    def subsampled(self, every: int) -> Self:
        """The same problem on one of `every` rows, from whose solution a large data set's iteration begins."""
        raise NotImplementedError

    @property
    def part_to_search(self) -> Problem | None:
        """The problem of a part of the rows, whose solution the iteration begins with and on which other starts are
        tried, where each would take readings of all rows; None to try them with all rows."""
        return None

    def limit(self, theta: np.ndarray, evaluation: Evaluation, converged: bool) -> Limit | None:
        """What the likelihood tends to, if its maximum lies at infinity.

        Parameters
        ----------
        theta : (p,) where the iteration ended.
        evaluation : of the objective there.
        converged : whether the iteration claims a maximum.
        """
        return None

    # -- where the maximum may be, and what an end means -----------------------------------------------------------

    @property
    def concave(self) -> bool:
        """Whether the log-likelihood is known to be concave in θ, so that a maximum found is the only one."""
        return False

    def suspects_infinity(self, evaluation: Evaluation) -> bool:
        """Whether the maximum looks as if it lay at infinity."""
        return False

    def rounding_restart(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Where to restart a search that stalled in rounding, (p,), and the mask of the parameters that it then moves.

        None where rounding was not the cause.
        """
        return None

    def kink_gaps(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Functions of θ that are 0 at the model's kinks, (K,), and their derivatives (K, p); K = 0 if it is smooth."""
        return np.zeros(0), np.zeros((0, len(theta)))

    def advice(self, status: Status) -> str:
        """What a status means here, and what to do about it."""
        return status.proven if self.concave else status.advice

    @property
    def stuck_at_edge(self) -> str:
        """The message for an end at the edge of the domain where the maximum could not be proved to lie there."""
        return (
            "the iteration stopped at the boundary of the parameter space, but could not prove that the maximum lies "
            "there; raise max_iter, begin elsewhere with start=, or choose a link or a family without that boundary"
        )

    # -- what methods that read batches need -----------------------------------------------------------------------

    @cached_property
    def likelihood(self) -> LogLikelihood:
        """The log-likelihood, penalised, as a sum over rows."""
        raise NotImplementedError

    @property
    def layered(self) -> Layered | None:
        """The model for first-order methods, where its predictors are not linear; None elsewhere."""
        return None
