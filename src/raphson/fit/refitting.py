"""Refits of a model to other responses or weights, in batches where possible, for the bootstrap and simulations.

Batches (:mod:`raphson.newton.many.replicates`) use matrix products over all replicates of a chunk where predictors are
linear, and compiled derivatives at many parameters at once for curves. Fits with bounds, ``bias="firth"`` or finite
differences are refitted one by one, from the estimate. So is a replicate that a batch cannot fit, to learn why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.choices import Draws, Information
from raphson.errors import RaphsonError
from raphson.execute import Executor
from raphson.fit.reading import Reading
from raphson.fit.refitted import Refits, Refitted, Simulator, Work, drawing
from raphson.fit.uncertainty import Uncertainty
from raphson.model.base import Model, RowTable
from raphson.model.replicates import CommonRows
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.many import replicates
from raphson.newton.many.problems import inverses
from raphson.newton.methods import resolve_method
from raphson.options import seed_or_none
from raphson.status import Status


def unfolded(fit: Reading) -> Reading:
    """The fit with a row for each copy that a frequency weight stands for, each of which is drawn for itself."""
    at, own = fit.state.at, fit.own_refits
    rows = None if at is None or own is not None else at.asked.folded
    if at is None or rows is None:
        return fit
    groups = None if fit.state.groups is None else fit.state.groups[rows]
    return replace(fit, state=replace(fit.state, at=at.unfolded, groups=groups))


def refits_of(fit: Reading) -> Refits:
    """What refits the model of a fit to other data."""
    own = fit.own_refits
    return Refitting.of(fit) if own is None else own


def draws_of(fit: Reading, simulate: Simulator | None, effects: Draws = "new") -> Work:
    """A function that draws (count, n) responses from a fit; effects of groups are drawn too, or those of the fit."""
    own = fit.own_refits
    if own is None:
        return drawing(fit.at("a simulation").fitted, fit.rows, fit.dispersion, simulate)
    return own.sampler(effects, simulate)


@dataclass(frozen=True)
class Refitting:
    """Fits replicates of a model.

    Attributes
    ----------
    model : the model.
    start : (p,) where refits start.
    free : (p,) mask of the parameters to estimate; the others stay at `start`.
    method : name of the method, for replicates that are fitted one by one.
    information : the information that the variances use.
    dispersion : its value; None to estimate it by Pearson's statistic over the degrees of freedom.
    """

    model: Model
    start: np.ndarray
    free: np.ndarray
    method: str
    information: Information
    dispersion: float | None

    @staticmethod
    def of(fit: Reading) -> Refitting:
        """Refitting with the settings of a fit, from its estimates."""
        at, state = fit.at("a refit"), fit.state
        kind: Information = "observed" if state.information == "observed" else "expected"
        how = (state.method, kind, fit.known_dispersion)
        if state.infinite.any():  # infinite parameters stay infinite
            return Refitting(at.estimate.model, at.estimate.result.theta, at.estimate.result.free, *how)
        return Refitting(at.asked, state.theta, state.free, *how)

    @property
    def draws_anew(self) -> bool:
        return False

    @property
    def own_effects(self) -> dict[str, np.ndarray]:
        """No group has effects."""
        return {}

    @property
    def chunk(self) -> int:
        """Number of replicates that are drawn and fitted together."""
        batch = self.model.replicates
        return 16 if batch is None else batch.chunk

    @cached_property
    def _common(self) -> CommonRows | None:
        """Quantities of each row at the start, which replicates share if only their weights differ."""
        batch = self.model.replicates
        assert batch is not None
        kinds = replicates.kinds_of(batch, self.information)
        counts = (self.base_weight > 0).astype(float)
        return batch.common(self.start, self.model.y, counts, kinds, self.dispersion is None)

    @cached_property
    def _slopes(self) -> replicates.Slopes | None:
        """Derivatives of the information at the start."""
        batch, model = self.model.replicates, self.model
        assert batch is not None
        return replicates.information_slopes(
            batch, self.start, model.y, self.base_weight, model.penalty, self.information
        )

    @cached_property
    def base_weight(self) -> np.ndarray:
        """(n,) weights of the rows, trials included."""
        return self.model.row_weight

    def at(self, y: np.ndarray, found: Refitted, i: int) -> tuple[Model, RowTable]:
        """The model and its rows at the estimate of a replicate, with the responses of the model."""
        del y
        theta = found.theta[i]
        model = self.model.with_nuisance_fixed(theta)
        return model, model.rows(theta[: model.predictor.n_params])

    def eta(self, found: Refitted, i: int) -> np.ndarray:
        """(K, n) the predictors at the estimate of a replicate."""
        model = self.model
        return np.concatenate([model.predictor.eta(one, found.theta[i])[:, : one.rows] for one in model.blocks], axis=1)

    def effects(self, found: Refitted, i: int) -> dict[str, np.ndarray]:
        """No group has effects."""
        del found, i
        return {}

    def values(self, y: np.ndarray, found: Refitted) -> np.ndarray:
        """(B,) log-likelihoods of replicates with responses (B, n), each at the dispersion that maximises it."""
        out = np.full(len(y), np.nan)
        for i in np.flatnonzero(found.finite):
            model = self.model.replica(y[i], np.ones(y.shape[1])).with_nuisance_fixed(found.theta[i])
            rows = model.rows(found.theta[i][: model.predictor.n_params])
            phi = model.ml_dispersion(rows) if self.dispersion is None else self.dispersion
            out[i] = model.log_likelihood(rows, phi)
        return out

    def refit(self, y: np.ndarray, counts: np.ndarray, B: int) -> Refitted:
        """Fit B replicates, with responses (B, n) or (n,) and counts of the rows (B, n) or (n,)."""
        if self.model.replicates is None:
            return self._one_by_one(y, counts, B)
        found = self.in_batch(y, counts, B)
        theta, status, phi = found.theta, found.status, self._dispersions(found, counts, B)
        free = self.free
        variance = np.full(theta.shape, np.nan)
        variance[:, free] = self._variances(found.information[:, free][:, :, free]) * phi[:, None]
        finite, df = np.array([one.converged for one in status], dtype=bool), self.residual_df(counts, B)
        limit = np.full(theta.shape, np.nan)
        # A maximum that took many steps, or was not found, may lie at infinity; a fit of its own finds out.
        for i in np.flatnonzero((found.n_iter > SLOW) | ~finite):
            # Start from the last iterate, which is already far out if the maximum is at infinity.
            begin = theta[i] if status[i] in (Status.CONVERGED, Status.STEP_LIMIT, Status.SINGULAR) else self.start
            alone = self._alone(y[i] if y.ndim == 2 else y, counts[i] if counts.ndim == 2 else counts, begin)
            status[i], finite[i] = self._ended(alone)
            if alone is not None and self._at_infinity(alone):
                limit[i] = self._limit(alone)
            if alone is not None and finite[i]:
                theta[i, : len(alone.result.theta)] = alone.result.theta
                phi[i], variance[i] = self._spread(alone, df[i])
        return Refitted(theta, variance, phi, found.score / phi[:, None], status, finite, limit)

    def _variances(self, M: np.ndarray) -> np.ndarray:
        """Diagonals (B, r) of M⁻¹, or with a penalty of M⁻¹ F M⁻¹, for M = F + P (B, r, r) of the free parameters."""
        V = inverses(M, np.ones(M.shape[:2], dtype=bool))
        if self.model.penalty is None:
            return np.einsum("bii->bi", V)
        return np.einsum("bij,bjk,bki->bi", V, M - self.model.penalty[np.ix_(self.free, self.free)], V, optimize=True)

    def in_batch(self, y: np.ndarray, counts: np.ndarray, B: int, free: np.ndarray | None = None) -> replicates.Refits:
        """Fit replicates in a batch, optionally with other parameters free."""
        batch = self.model.replicates
        assert batch is not None
        return replicates.refit(
            batch,
            self.start,
            y,
            counts * self.base_weight,
            penalty=self.model.penalty,
            free=self.free if free is None else free,
            residual_df=self.residual_df(counts, B) if self.dispersion is None else None,
            kind=self.information,
            common=self._common if y.ndim == 1 else None,
            slopes=self._slopes,
        )

    def residual_df(self, counts: np.ndarray, B: int) -> np.ndarray:
        """(B,) observations minus parameters, by the weights of each replicate."""
        w, n = self.model.data.weights, len(self.model.y)
        frequency = self.model.weights_kind == "frequency"
        present = np.ones(n) if w is None else w if frequency else (w > 0).astype(float)
        total = np.broadcast_to(counts @ present, (B,))
        return np.maximum(total - np.count_nonzero(self.free), 1.0)

    def _dispersions(self, found: replicates.Refits, counts: np.ndarray, B: int) -> np.ndarray:
        if self.dispersion is not None:
            return np.full(B, self.dispersion)
        return found.pearson / self.residual_df(counts, B)

    def _alone(self, y: np.ndarray, counts: np.ndarray, begin: np.ndarray) -> Estimate | None:
        try:
            options = Options(resolve_method(self.method))
            return estimate(self.model.replica(y, counts), options, begin)
        except RaphsonError:
            return None

    def _ended(self, found: Estimate | None) -> tuple[Status, bool]:
        """The status of a replicate, and whether its coefficients are finite.

        It is singular if it does not determine a parameter that the full data determine.
        """
        if found is None:
            return Status.NOT_FINITE, False
        free, status, n = found.result.free, found.status, self.model.n_coefficients
        if len(free) == len(self.free) and (self.free & ~free).any() and status.converged:
            return Status.SINGULAR, False
        return status, status.converged and not found.infinite[:n].any()

    def _at_infinity(self, found: Estimate) -> bool:
        """Whether a replicate has a maximum with infinite coefficients."""
        at_limit = found.status in (Status.SEPARATED, Status.BOUNDARY) and found.result.status.converged
        return bool(at_limit and found.infinite[: self.model.n_coefficients].any())

    def _limit(self, found: Estimate) -> np.ndarray:
        """(p,) the estimates of a replicate whose maximum is at infinity."""
        out = np.full(len(self.start), np.nan)
        out[: len(found.result.theta)] = found.result.theta
        return np.where(found.infinite != 0, np.copysign(np.inf, found.infinite), out)

    def _one_by_one(self, y: np.ndarray, counts: np.ndarray, B: int) -> Refitted:
        p = len(self.start)
        theta, variance, score, limit = (np.full((B, p), np.nan) for _ in range(4))
        phi, status = np.full(B, np.nan), np.array([Status.NOT_FINITE] * B, dtype=object)
        finite, df = np.zeros(B, dtype=bool), self.residual_df(counts, B)
        for i in range(B):
            own = y[i] if y.ndim == 2 else y
            found = self._alone(own, counts[i] if counts.ndim == 2 else counts, self.start)
            status[i], finite[i] = self._ended(found)
            if found is None:
                continue
            theta[i, : len(found.result.theta)] = found.result.theta
            if self._at_infinity(found):
                limit[i] = self._limit(found)
            if finite[i]:
                phi[i], variance[i] = self._spread(found, df[i])
        return Refitted(theta, variance, phi, score, status, finite, limit)

    def _spread(self, found: Estimate, df: float) -> tuple[float, np.ndarray]:
        """Dispersion, on `df` degrees of freedom, and variances (p,) of a replicate that was fitted on its own."""
        model = found.model
        fitted = model.with_nuisance_fixed(found.result.theta)
        phi = self.dispersion
        if phi is None:
            rows = fitted.rows(found.result.theta[: fitted.predictor.n_params])
            phi = fitted.pearson(rows) / df
        variance = np.full(len(self.start), np.nan)
        try:
            V = Uncertainty(found, fitted, model.n_coefficients).model_based(self.information, phi)
            variance[: len(V)] = np.diagonal(V)
        except RaphsonError:
            pass  # no variance where the information is not positive definite
        return phi, variance


SLOW = 9
"""A replicate that takes more steps than this may be separated, so that its maximum is at infinity. Newton's method
brings a distance of 0.5 below 1e-8 in five; where rows are separated each step moves their η by 1 only."""


def in_chunks(work: Work, n: int, size: int, seed: int | None, executor: Executor) -> list[Any]:
    """Call ``work(rng, count)`` for `n` replicates, `size` at a time, in parallel threads.

    Each chunk has its own random stream, so the result does not depend on the scheduling.
    """
    counts = [min(size, n - start) for start in range(0, n, size)]
    streams = np.random.SeedSequence(seed_or_none(seed)).spawn(len(counts))

    def one(job: tuple[int, np.random.SeedSequence]) -> Any:
        return work(np.random.default_rng(job[1]), job[0])

    return executor.map(one, list(zip(counts, streams, strict=True)))
