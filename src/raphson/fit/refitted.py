"""What refits to other data came to, whatever the kind of model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from raphson.errors import ModelError
from raphson.model.base import Model, RowTable

Simulator = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""``simulate(rng, eta (K, n)) -> (n,)`` responses."""

Work = Callable[[np.random.Generator, int], Any]
"""What is made of a source of randomness and of a number of replicates."""


def simulated_by(simulate: Simulator, rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    """(count, n) responses that a user's function draws at predictors (count, K, n).

    Raises
    ------
    ModelError
    """
    y, n = [np.asarray(simulate(rng, one), dtype=float) for one in eta], eta.shape[2]
    for one in y:
        if one.shape != (n,):
            raise ModelError(f"simulate: expected a function that returns {n} responses; got shape {one.shape}")
    return np.stack(y)


def drawing(model: Model, rows: RowTable, dispersion: float, simulate: Simulator | None) -> Work:
    """A function that draws (count, n) responses; `rows` are the model's at the true parameters."""
    if simulate is None:
        return model.sampler(rows, dispersion)
    return lambda rng, count: simulated_by(simulate, rng, np.broadcast_to(rows.eta, (count, *rows.eta.shape)))


class Refits(Protocol):
    """What fits a model to other data."""

    @property
    def chunk(self) -> int:
        """Number of replicates that are drawn and fitted together."""
        ...

    def refit(self, y: np.ndarray, counts: np.ndarray, B: int) -> Refitted:
        """Fit B replicates, with responses (B, n) or (n,) and counts of the rows (B, n) or (n,)."""
        ...

    def effects(self, found: Refitted, i: int) -> dict[str, np.ndarray]:
        """The effects of groups of a replicate, by their names."""
        ...

    def values(self, y: np.ndarray, found: Refitted) -> np.ndarray:
        """(B,) the log-likelihoods of replicates with responses (B, n); NaN where there is no finite maximum."""
        ...

    @property
    def draws_anew(self) -> bool:
        """Whether each data set that is drawn has predictors of its own, as effects are drawn too."""
        ...

    @property
    def own_effects(self) -> dict[str, np.ndarray]:
        """The effects of groups of the fit, by their names."""
        ...

    def eta(self, found: Refitted, i: int) -> np.ndarray:
        """(K, n) the predictors at the estimate of a replicate."""
        ...

    def at(self, y: np.ndarray, found: Refitted, i: int) -> tuple[Any, Any]:
        """The model with one mean a row, and its rows, at the estimate of a replicate."""
        ...


@dataclass(frozen=True)
class Replicated:
    """What replicates of a fit estimate.

    Attributes
    ----------
    names : of the numbers.
    places : (m,) their columns among those of :attr:`Refitted.theta`.
    estimates, errors : (m,) of the fit itself, with model-based standard errors.
    acceleration : of the number of each row's cluster (or None for single rows), (m,) of BCa intervals.
    """

    names: tuple[str, ...]
    places: np.ndarray
    estimates: np.ndarray
    errors: np.ndarray
    acceleration: Callable[[np.ndarray | None], np.ndarray]


@dataclass(frozen=True)
class Refitted:
    """The refits of the replicates.

    Attributes
    ----------
    theta : (B, p) estimates, auxiliary parameters last; the last iterate where there is no finite maximum.
    variance : (B, p) model-based variances, including the dispersion; NaN where unknown.
    dispersion : (B,).
    score : (B, p) scores at the start, including the dispersion; NaN where unknown.
    status : (B,) of :class:`Status`.
    finite : (B,) mask of the replicates whose coefficients are finite: the converged ones, and those where only an
        auxiliary parameter is infinite (a negative binomial that is a Poisson, of status "boundary").
    limit : (B, p) estimates of the replicates with infinite coefficients, ±inf for these; NaN for other replicates.
    value : (B,) log-likelihood at the maximum, where the refits tell it.
    inner : (B,) arrays, the parameters of what was maximised where these are not the estimates.
    """

    theta: np.ndarray
    variance: np.ndarray
    dispersion: np.ndarray
    score: np.ndarray
    status: np.ndarray
    finite: np.ndarray
    limit: np.ndarray
    value: np.ndarray | None = None
    inner: np.ndarray | None = None

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of replicates with each status, the most frequent first."""
        found: dict[str, int] = {}
        for status in self.status:
            found[status.value] = found.get(status.value, 0) + 1
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @staticmethod
    def joined(parts: Sequence[Refitted]) -> Refitted:
        names = Refitted.__dataclass_fields__
        columns: Any = ([getattr(part, name) for part in parts] for name in names)
        joined: Any = (None if one[0] is None else np.concatenate(one) for one in columns)
        return Refitted(*joined)
