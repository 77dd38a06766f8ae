"""The bootstrap: a fit's sampling distribution, from refits to resampled rows, clusters or simulated responses.

Models are refitted in batches: with linear predictors, GLMs and likelihoods alike, by matrix products over all
replicates of a chunk, curves by compiled derivatives at many parameters at once
(:mod:`raphson.newton.many.replicates`). Fits with bounds, ``bias="firth"`` or finite differences are refitted one
replicate after another, from the estimate. Replicates that the batch cannot fit are fitted alone, which tells why.
Estimates that are infinite count as such in the intervals; failed replicates are left out of them. Both are told of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.choices import BootstrapInterval, BootstrapKind
from raphson.errors import ConvergenceWarning, ModelError, RaphsonError, check_choice, warn_user
from raphson.execute import Executor
from raphson.fit.uncertainty import Uncertainty
from raphson.inference import bootstrap as bootstrap_intervals
from raphson.inference.hypotheses import Test
from raphson.inference.influence import dfbeta
from raphson.model.base import Model, RowTable
from raphson.model.replicates import CommonRows
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.many import replicates
from raphson.newton.many.problems import inverses
from raphson.newton.methods import resolve_method
from raphson.numeric import one_blas_thread
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd


Simulator = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""``simulate(rng, eta (K, n)) -> (n,)`` responses."""

CALIBRATING = 199
"""Data sets that White's statistic is compared with, if nobody says how many."""

MOST_CALIBRATED = 20_000
"""Rows up to which they are drawn without being asked."""


@dataclass(frozen=True)
class Refitted:
    """Replicates of a model, refitted.

    Attributes
    ----------
    theta : (B, p) estimates, auxiliary parameters last; the last iterate where there is no finite maximum.
    variance : (B, p) variances by the model, the dispersion included; NaN where not known.
    dispersion : (B,).
    score : (B, p) scores at the start, dispersion included; NaN where not known.
    status : (B,) of :class:`Status`.
    finite : (B,) mask of the replicates whose coefficients have a finite maximum: the converged ones, and those where
        only an auxiliary parameter is infinite (a negative binomial that is a Poisson: "boundary").
    limit : (B, p) estimates where the maximum lies at infinity, some of them ±inf; NaN elsewhere.
    """

    theta: np.ndarray
    variance: np.ndarray
    dispersion: np.ndarray
    score: np.ndarray
    status: np.ndarray
    finite: np.ndarray
    limit: np.ndarray

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many ended in which way, the most frequent first."""
        found: dict[str, int] = {}
        for status in self.status:
            found[status.value] = found.get(status.value, 0) + 1
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @staticmethod
    def joined(parts: Sequence[Refitted]) -> Refitted:
        names = Refitted.__dataclass_fields__
        return Refitted(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class Bootstrap:
    """Bootstrap replicates of a fit, and what they say about it.

    Attributes
    ----------
    kind : "nonparametric", "parametric" or "cluster".
    params : the fit's estimates.
    estimates : a frame (B, p): the estimates of each replicate, ±inf where its maximum lies at infinity, NaN where it
        has none.
    statuses : how many replicates ended in which way.
    """

    kind: str
    params: pd.Series
    estimates: pd.DataFrame
    statuses: dict[str, int]
    _errors: np.ndarray = field(repr=False)
    _error: np.ndarray = field(repr=False)
    _accelerate: Callable[[], np.ndarray] = field(repr=False)

    @cached_property
    def _used(self) -> np.ndarray:
        return np.asarray(~np.isnan(self.estimates.to_numpy()).any(axis=1))

    @cached_property
    def _values(self) -> np.ndarray:
        return self.estimates.to_numpy()[self._used]

    @property
    def n_infinite(self) -> int:
        """Replicates with an infinite estimate."""
        return int(np.isinf(self._values).any(axis=1).sum())

    @cached_property
    def _acceleration(self) -> np.ndarray:
        with one_blas_thread():
            return self._accelerate()

    @property
    def n(self) -> int:
        """Replicates drawn."""
        return len(self.estimates)

    @property
    def n_used(self) -> int:
        """Replicates that have estimates, finite or not, which the summaries rest on."""
        return int(self._used.sum())

    @cached_property
    def se(self) -> pd.Series:
        """Standard deviations of the replicates; NaN where some are infinite."""
        with np.errstate(invalid="ignore"):
            return self._series(self._values.std(axis=0, ddof=1) if self.n_used > 1 else np.nan)

    @cached_property
    def bias(self) -> pd.Series:
        """Mean of the replicates minus the estimate; NaN where some are infinite."""
        if not self.n_used:
            return self._series(np.nan)
        with np.errstate(invalid="ignore"):
            centre = self._values.mean(axis=0)
        return self._series(np.where(np.isfinite(centre), centre, np.nan) - self.params.to_numpy())

    @cached_property
    def cov(self) -> pd.DataFrame:
        """Covariance matrix of the replicates; NaN where some are infinite."""
        import pandas as pd

        with np.errstate(invalid="ignore"):
            V = np.atleast_2d(np.cov(self._values, rowvar=False))
        return pd.DataFrame(V, index=self.params.index, columns=self.params.index)

    def conf_int(self, level: float = 0.95, kind: BootstrapInterval = "bca") -> pd.DataFrame:
        """Confidence intervals, columns ``lower`` and ``upper``.

        Parameters
        ----------
        level : coverage.
        kind : "percentile", "basic", "bca" (bias-corrected and accelerated) or "studentised" (by each replicate's own
            model-based standard errors).

        Notes
        -----
        Davison and Hinkley (1997), sections 5.2 and 5.3. An infinite estimate of a replicate counts as such: an end may
        be infinite. Replicates that failed are left out; where there are many (``statuses``), the intervals say less
        than they seem to.

        Raises
        ------
        ModelError
            For "studentised" intervals where an estimate of some replicate has no standard error.
        """
        import pandas as pd

        errors = self._errors[self._used]
        usable = np.isfinite(errors).all() and np.isfinite(self._error).all() and (errors > 0).all()
        ends = bootstrap_intervals.intervals(
            self._values,
            self.params.to_numpy(),
            kind,
            level,
            acceleration=self._acceleration if kind == "bca" else None,
            errors=errors if usable else None,
            error=self._error if usable else None,
        )
        return pd.DataFrame(ends, index=self.params.index, columns=["lower", "upper"])

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """One row for each parameter: estimate, bias, standard errors by bootstrap and by model, BCa interval."""
        interval = self.conf_int(level)
        frame = interval.rename(columns={"lower": "conf_low", "upper": "conf_high"})
        frame.insert(0, "estimate", self.params)
        frame.insert(1, "bias", self.bias)
        frame.insert(2, "std_error", self.se)
        frame.insert(3, "model_std_error", self._series(self._error))
        return frame

    def plot(self, level: float = 0.95) -> Any:
        """Histogram of the replicates of each parameter, with the estimate and the BCa interval; a Figure."""
        from raphson.report.plots import plot_replicates

        return plot_replicates(self, level)

    def _series(self, values: Any) -> pd.Series:
        import pandas as pd

        return pd.Series(values, index=self.params.index, dtype=float)

    def __repr__(self) -> str:
        ended = ", ".join(f"{count} {name}" for name, count in self.statuses.items())
        return (
            f"{self.kind} bootstrap of {self.n} replicates ({ended})\n{self.summary().to_string(float_format='%.4g')}"
        )


def bootstrap(
    fit: Any, n: int = 1000, seed: int | None = None, kind: str = "nonparametric", simulate: Simulator | None = None
) -> Bootstrap:
    """Refit a fit's model to `n` resampled data sets; see :meth:`raphson.Fit.bootstrap`."""
    check_choice("kind", kind, get_args(BootstrapKind))
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"n: expected a whole number of replicates, at least 1; got {n!r}")
    model: Model = fit._need_data("a bootstrap")
    if fit._infinite.any() or not fit.converged:
        raise ModelError(
            f"bootstrap: the fit has no finite maximum to start from ({fit.status.value}: {fit.message}); mend the "
            "model first"
        )
    groups = fit._groups
    if kind == "cluster" and groups is None:
        raise ModelError("groups: kind='cluster' resamples clusters; pass groups=, the cluster of each row")
    _check_units(model, kind, groups)
    draws = _Draws(model, kind, groups, simulator(fit, simulate) if kind == "parametric" else None)
    refitting = Refitting.of(fit)

    def work(rng: np.random.Generator, count: int) -> Refitted:
        return refitting.refit(*draws.draw(rng, count), count)

    found = Refitted.joined(in_chunks(work, int(n), refitting.chunk, seed, model.executor))
    out = _summarised(fit, found, kind, groups)
    _tell(out)
    return out


def _check_units(model: Model, kind: str, groups: np.ndarray | None) -> None:
    """Refuse to draw from one row, or one cluster: every data set would be the one that is there."""
    if kind == "parametric":
        return
    counted = model.row_weight > 0
    cluster = groups if kind == "cluster" else None
    units = np.count_nonzero(counted) if cluster is None else len(np.unique(cluster[counted]))
    if units < 2:
        raise ModelError(
            f"bootstrap: expected at least two {'rows' if cluster is None else 'clusters'} to draw from; got {units}, "
            "of which every data set would be a copy (a whole series may be one row): write the likelihood so that "
            "independent parts are rows, or simulate from the model with kind='parametric'"
        )


def _tell(found: Bootstrap) -> None:
    """Warn of replicates that are not what a summary takes them for."""
    told = []
    if found.n_infinite:
        told.append(
            f"{found.n_infinite} of {found.n} replicates have their maximum at infinity, as where a resampled data set "
            "is separated: their estimates count as infinite in intervals, and se and bias are NaN where there are any"
        )
    if found.n_used < found.n:
        told.append(f"{found.n - found.n_used} of {found.n} replicates have no maximum and are left out")
    if told:
        warn_user(f"bootstrap: {'; '.join(told)}", ConvergenceWarning)


def calibrated(fit: Any, test: Test, n: int | None, seed: int | None, simulate: Simulator | None) -> Test:
    """White's test with the p-value that its statistic has among `n` data sets drawn from the fitted model.

    With 0 it is left as it is; None draws data sets where that is cheap.
    """
    if n is None:
        n = CALIBRATING if _draws_cheaply(fit, simulate) else 0
    if n == 0 and not isinstance(n, bool):
        return test
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 19:
        raise ModelError(f"bootstrap: expected a whole number of replicates, at least 19, or 0; got {n!r}")
    model, draw, refitting = fit._need_data("a bootstrap"), simulator(fit, simulate), Refitting.of(fit)
    ones = np.ones(len(model.y))

    def work(rng: np.random.Generator, count: int) -> list[float]:
        y = draw(rng, count)
        found = refitting.refit(y, ones, count)
        return [
            fit._information_gap(model.replica(y[i], ones), found.theta[i], fit._free, found.dispersion[i])[0]
            for i in np.flatnonzero(found.finite)
        ]

    drawn = np.concatenate(in_chunks(work, int(n), refitting.chunk, seed, model.executor))
    p_value = float((1 + np.count_nonzero(drawn >= test.statistic)) / (1 + len(drawn)))
    return replace(test, p_value=p_value, draws=len(drawn))


def _draws_cheaply(fit: Any, simulate: Simulator | None) -> bool:
    """Whether responses can be drawn from the fitted model, and are few enough and refitted in batches."""
    model = fit._need_data("a bootstrap")
    if len(model.y) > MOST_CALIBRATED or model.replicates is None:
        return False
    try:
        simulator(fit, simulate)
    except ModelError:
        return False
    return True


def simulator(fit: Any, simulate: Simulator | None) -> Work:
    """A function that draws (count, n) responses from the fitted model."""
    return drawing(fit._settled, fit._rows, fit.dispersion, simulate)


def drawing(model: Model, rows: RowTable, dispersion: float, simulate: Simulator | None) -> Work:
    """A function that draws (count, n) responses of a model whose rows are those at the true parameters."""
    n = len(model.y)
    if simulate is None:
        return model.sampler(rows, dispersion)

    def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
        y = [np.asarray(simulate(rng, rows.eta), dtype=float) for _ in range(count)]
        if y[0].shape != (n,):
            raise ModelError(
                f"simulate: expected a function that returns {n} responses; it returned shape {y[0].shape}"
            )
        return np.stack(y)

    return drawn


@dataclass(frozen=True)
class _Draws:
    """Draws replicates: how often each row counts, or new responses."""

    model: Model
    kind: str
    groups: np.ndarray | None
    simulate: Callable[[np.random.Generator, int], np.ndarray] | None

    def draw(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Responses (count, n) or (n,), and how often each row counts, (count, n) or (n,)."""
        n = len(self.model.y)
        if self.simulate is not None:
            return self.simulate(rng, count), np.ones(n)
        if self.kind == "cluster":
            assert self.groups is not None
            return self.model.y, resampled(rng, int(self.groups.max()) + 1, count)[:, self.groups]
        copies = self.model.data.weights if self.model.weights_kind == "frequency" else None
        if copies is None:
            return self.model.y, resampled(rng, n, count)
        # A row that stands for c copies is drawn as often as they are: relative to c, which multiplies again.
        total = round(float(copies.sum()))
        drawn = rng.multinomial(total, copies / copies.sum(), size=count)
        return self.model.y, np.divide(drawn, copies, out=np.zeros(drawn.shape), where=copies > 0)


def resampled(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """How often each of `n` units is drawn in `n` draws with replacement, (count, n)."""
    counts = np.empty((count, n))
    together = max(1, DRAWN_TOGETHER // n)
    for start in range(0, count, together):
        some = counts[start : start + together]
        drawn = rng.integers(0, n, some.shape)
        drawn += n * np.arange(len(some))[:, None]
        some[:] = np.bincount(drawn.reshape(-1), minlength=some.size).reshape(some.shape)
    return counts


DRAWN_TOGETHER = 2**14
"""So many draws stay in the processor's cache until they are counted."""


@dataclass(frozen=True)
class Refitting:
    """How the replicates of a model are fitted.

    Attributes
    ----------
    model : what is fitted.
    start : (p,) where refits begin.
    free : (p,) mask of the parameters to estimate; the others stay at `start`.
    method : name of the method, for replicates that are fitted alone.
    information : which information the variances come from.
    dispersion : None where it is estimated (by Pearson's statistic over the degrees of freedom), else its value.
    """

    model: Model
    start: np.ndarray
    free: np.ndarray
    method: str
    information: str
    dispersion: float | None

    @staticmethod
    def of(fit: Any) -> Refitting:
        """As the fit was fitted, from its estimates."""
        rule, ended = fit._dispersion_rule, fit._estimate
        known = 1.0 if fit.family.dispersion_fixed else rule if isinstance(rule, float) else None
        kind = "observed" if fit.information_kind == "observed" else "expected"
        if fit._infinite.any():  # what runs to infinity stays there
            return Refitting(ended.model, ended.result.theta, ended.result.free, fit.method, kind, known)
        return Refitting(fit._model, fit._theta, fit._free, fit.method, kind, known)

    @property
    def chunk(self) -> int:
        """How many replicates are drawn and fitted together."""
        batch = self.model.replicates
        return 16 if batch is None else batch.chunk

    @cached_property
    def _common(self) -> CommonRows | None:
        """What each row adds at the start: where only weights differ, all replicates begin with it."""
        batch = self.model.replicates
        assert batch is not None
        kinds = replicates.kinds_of(batch, self.information)
        counts = (self.base_weight > 0).astype(float)
        return batch.common(self.start, self.model.y, counts, kinds, self.dispersion is None)

    @cached_property
    def _slopes(self) -> replicates.Slopes | None:
        """Third derivatives of the model's own likelihood at the start."""
        batch, model = self.model.replicates, self.model
        assert batch is not None
        return replicates.information_slopes(
            batch, self.start, model.y, self.base_weight, model.penalty, self.information
        )

    @cached_property
    def base_weight(self) -> np.ndarray:
        """(n,) weights of the rows, trials included."""
        return self.model.row_weight

    def refit(self, y: np.ndarray, counts: np.ndarray, B: int) -> Refitted:
        """Fit replicates with responses (B, n), or (n,) for all, whose rows count (B, n) or (n,) times."""
        if self.model.replicates is None:
            return self._one_by_one(y, counts, B)
        found = self.in_batch(y, counts, B)
        theta, status, phi = found.theta, found.status, self._dispersions(found, counts, B)
        free = self.free
        variance = np.full(theta.shape, np.nan)
        variance[:, free] = self._variances(found.information[:, free][:, :, free]) * phi[:, None]
        finite, df = np.array([one.converged for one in status], dtype=bool), self.residual_df(counts, B)
        limit = np.full(theta.shape, np.nan)
        # A maximum that took long to find, or was not found, may lie at infinity: fitted alone it says so.
        for i in np.flatnonzero((found.n_iter > SLOW) | ~finite):
            # From the last iterate, which is far out already where it runs to infinity.
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
        """Diagonals (B, r) of M⁻¹, or of (F+P)⁻¹ F (F+P)⁻¹ under a penalty, from M = F + P over the free parameters."""
        V = inverses(M, np.ones(M.shape[:2], dtype=bool))
        if self.model.penalty is None:
            return np.einsum("bii->bi", V)
        return np.einsum("bij,bjk,bki->bi", V, M - self.model.penalty[np.ix_(self.free, self.free)], V, optimize=True)

    def in_batch(self, y: np.ndarray, counts: np.ndarray, B: int, free: np.ndarray | None = None) -> replicates.Refits:
        """The batch alone, with other parameters free if asked."""
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
        """(B,) observations minus parameters, as the weights of each replicate count them."""
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
        """How a replicate ended, and whether its coefficients are finite.

        It is singular where it does not determine a parameter that all the rows do.
        """
        if found is None:
            return Status.NOT_FINITE, False
        free, status, n = found.result.free, found.status, self.model.n_coefficients
        if len(free) == len(self.free) and (self.free & ~free).any() and status.converged:
            return Status.SINGULAR, False
        return status, status.converged and not found.infinite[:n].any()

    def _at_infinity(self, found: Estimate) -> bool:
        """Whether a replicate has a maximum, and some coefficients are infinite there."""
        at_limit = found.status in (Status.SEPARATED, Status.BOUNDARY) and found.result.status.converged
        return bool(at_limit and found.infinite[: self.model.n_coefficients].any())

    def _limit(self, found: Estimate) -> np.ndarray:
        """(p,) the estimates of a replicate fitted alone whose maximum lies at infinity."""
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
        """Dispersion and variances (p,) of a replicate fitted alone; its rows' copies leave `df` degrees of freedom."""
        model = found.model
        settled = model.with_nuisance_fixed(found.result.theta)
        phi = self.dispersion
        if phi is None:
            rows = settled.rows(found.result.theta[: settled.predictor.n_params])
            phi = settled.pearson(rows) / df
        variance = np.full(len(self.start), np.nan)
        try:
            V = Uncertainty(found, settled, model.n_coefficients).model_based(self.information, phi)  # type: ignore[arg-type]
            variance[: len(V)] = np.diagonal(V)
        except RaphsonError:
            pass  # no variance where the information is not positive definite
        return phi, variance


SLOW = 9
"""A replicate that takes more steps than this may be separated: its likelihood rises for ever."""

Work = Callable[[np.random.Generator, int], Any]


def in_chunks(work: Work, n: int, size: int, seed: int | None, executor: Executor) -> list[Any]:
    """``work(rng, count)`` for `n` replicates in all, `size` at a time, shared out over threads.

    Each chunk has a random stream of its own, so that the result does not depend on where it ran.
    """
    counts = [min(size, n - start) for start in range(0, n, size)]
    streams = np.random.SeedSequence(seed).spawn(len(counts))

    def one(job: tuple[int, np.random.SeedSequence]) -> Any:
        return work(np.random.default_rng(job[1]), job[0])

    return executor.map(one, list(zip(counts, streams, strict=True)))


def _summarised(fit: Any, found: Refitted, kind: str, groups: np.ndarray | None) -> Bootstrap:
    import pandas as pd

    p = fit._n
    values = np.where(found.finite[:, None], found.theta, found.limit)[:, :p]
    kept = fit._free[:p]
    names = [name for name, keep in zip(fit.names, kept, strict=True) if keep]
    with np.errstate(invalid="ignore"):
        errors = np.where(np.isinf(values), np.nan, np.sqrt(found.variance[:, :p]))[:, kept]
        error = np.sqrt(np.diagonal(fit._uncertainty.model_based(fit.information_kind, fit.dispersion))[kept])
    return Bootstrap(
        kind=kind,
        params=fit.params[names],
        estimates=pd.DataFrame(values[:, kept], columns=names),
        statuses=found.counts,
        _errors=errors,
        _error=error,
        _accelerate=lambda: _acceleration(fit, groups if kind == "cluster" else None)[kept],
    )


def _acceleration(fit: Any, groups: np.ndarray | None) -> np.ndarray:
    """From the influence M⁻¹ J_iᵀ u_i of each row or cluster."""
    rows, factor = fit._rows, fit._uncertainty.main_factor
    change = dfbeta(factor, fit._designs, rows.score, np.zeros_like(rows.expected))
    if groups is not None:
        summed = np.zeros((int(groups.max()) + 1, change.shape[1]))
        np.add.at(summed, groups, change)
        return bootstrap_intervals.acceleration(summed)
    copies = fit._model.copies
    if copies is None:
        return bootstrap_intervals.acceleration(change)
    return bootstrap_intervals.acceleration(change / np.where(copies > 0, copies, 1.0)[:, None], copies)
