"""The bootstrap: a fit's sampling distribution, from refits to resampled rows, clusters or simulated responses.

Infinite estimates count as infinite in the intervals; failed replicates are left out. A warning reports both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.choices import BootstrapInterval, BootstrapKind
from raphson.errors import ConvergenceWarning, ModelError, check_choice, warn_user
from raphson.fit.reading import Reading
from raphson.fit.refitted import Refitted, Replicated, Simulator, Work
from raphson.fit.refitting import draws_of, in_chunks, refits_of, unfolded
from raphson.fit.robust import robust
from raphson.fit.testing import information_gap, informations_equal
from raphson.inference import bootstrap as bootstrap_intervals
from raphson.inference.hypotheses import Test
from raphson.inference.influence import dfbeta
from raphson.model.base import Model
from raphson.numeric import one_blas_thread
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd

CALIBRATION_DRAWS = 199
"""Default number of simulated data sets that White's statistic is compared with. The p-value is then a multiple of
1/200, as are 1% and 5%."""

MAX_CALIBRATION_ROWS = 20_000
"""Largest number of rows for which the information matrix test simulates by default, four million responses."""


@dataclass(frozen=True, repr=False)
class Bootstrap(InNotebook):
    """Bootstrap replicates of a fit, and their summaries.

    Attributes
    ----------
    kind : "nonparametric", "parametric" or "cluster".
    params : the fit's estimates.
    estimates : a frame (B, p): the estimates of each replicate, ±inf where its maximum lies at infinity, NaN where it
        has none.
    statuses : the number of replicates that ended with each status.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> fit = rp.glm("low ~ lwt", births, family="binomial")
    >>> found = fit.bootstrap(50, seed=1)
    >>> found.n, found.se.index.to_list()
    (50, ['Intercept', 'lwt'])
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
        return np.asarray(~np.isnan(self.estimates.to_numpy()).all(axis=1))

    @cached_property
    def _values(self) -> np.ndarray:
        return self.estimates.to_numpy()[self._used]

    @property
    def _columns(self) -> list[np.ndarray]:
        """Of each parameter the replicates that have it: a correlation is none where a standard deviation is 0."""
        return [one[~np.isnan(one)] for one in self._values.T]

    @property
    def n_infinite(self) -> int:
        """Number of replicates with an infinite estimate."""
        return int(np.isinf(self._values).any(axis=1).sum())

    @cached_property
    def _acceleration(self) -> np.ndarray:
        with one_blas_thread():
            return self._accelerate()

    @property
    def n(self) -> int:
        """Number of replicates drawn."""
        return len(self.estimates)

    @property
    def n_used(self) -> int:
        """Number of replicates that have estimates, finite or infinite; the summaries use these."""
        return int(self._used.sum())

    @cached_property
    def se(self) -> pd.Series:
        """Standard deviations of the replicates; NaN where some are infinite."""
        with np.errstate(invalid="ignore"):
            return self._series([one.std(ddof=1) if len(one) > 1 else np.nan for one in self._columns])

    @cached_property
    def bias(self) -> pd.Series:
        """Mean of the replicates minus the estimate; NaN where some are infinite."""
        if not self.n_used:
            return self._series(np.nan)
        with np.errstate(invalid="ignore"):
            centre = np.array([one.mean() if len(one) else np.nan for one in self._columns])
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
        Davison and Hinkley (1997), sections 5.2 and 5.3. Infinite estimates count as infinite, so an end may be
        infinite. Failed replicates are left out; where there are many (see ``statuses``), the intervals are less
        reliable than they look.

        Raises
        ------
        ModelError
            For "studentised" intervals, if a replicate lacks the standard error of some estimate.
        """
        import pandas as pd

        acceleration = self._acceleration if kind == "bca" else np.zeros(len(self.params))
        ends = [self._interval(j, kind, level, acceleration[[j]]) for j in range(len(self.params))]
        return pd.DataFrame(np.concatenate(ends), index=self.params.index, columns=["lower", "upper"])

    def _interval(self, j: int, kind: BootstrapInterval, level: float, acceleration: np.ndarray) -> np.ndarray:
        """(1, 2) the interval of one parameter, from the replicates that have it."""
        values, estimate = self._values[:, [j]], self.params.to_numpy()[[j]]
        has = ~np.isnan(values[:, 0])
        errors, error = self._errors[self._used][has][:, [j]], self._error[[j]]
        usable = np.isfinite(errors).all() and np.isfinite(error).all() and (errors > 0).all()
        ends = bootstrap_intervals.intervals(
            values[has],
            estimate,
            kind,
            level,
            acceleration=acceleration,
            errors=errors if usable else None,
            error=error if usable else None,
        )
        return ends if kind == "percentile" or not np.isnan(estimate[0]) else np.full((1, 2), np.nan)

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """One row for each parameter: estimate, bias, standard errors by bootstrap and by model, BCa interval."""
        interval = self.conf_int(level)
        frame = interval.rename(columns={"lower": "conf_low", "upper": "conf_high"})
        frame.insert(0, "estimate", self.params)
        frame.insert(1, "bias", self.bias)
        frame.insert(2, "std_error", self.se)
        frame.insert(3, "model_std_error", self._series(self._error))
        return frame

    def _sheet(self) -> Sheet:
        facts = [("Replicates", f"{self.n:,}"), *((name, f"{count:,}") for name, count in self.statuses.items())]
        note = Note("95% intervals are bias-corrected and accelerated (BCa).")
        return Sheet(f"{self.kind.capitalize()} bootstrap", facts, [Grid.of(self.summary(), name="term")], [note])

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
    fit: Reading,
    n: int = 1000,
    seed: int | None = None,
    kind: BootstrapKind | None = None,
    simulate: Simulator | None = None,
    groups: Any = None,
) -> Bootstrap:
    """Refit the model to resampled data: standard errors, bias and intervals that do not rely on asymptotics.

    Parameters
    ----------
    n : number of replicates.
    seed : of the random numbers; the same seed gives the same replicates.
    kind : "nonparametric" (draws rows with replacement), "cluster" (draws the clusters of ``groups=`` with
        replacement) or "parametric" (draws responses from the fitted model). None draws rows; where coefficients vary
        by groups, responses with new effects of the groups.
    simulate : for "parametric" with a family that has no generator: ``simulate(rng, eta (K, n)) -> (n,)``, where
        coefficients vary with predictors that have new effects.
    groups : (n,) cluster of each row, or the name of a column, for "cluster"; by default those of the fit. Where
        coefficients vary, by default the levels of the outermost group; one that is drawn twice is two levels.

    Returns
    -------
    Bootstrap
        With ``estimates`` (n, p), ``se``, ``bias``, ``conf_int(level, kind)``, ``statuses``, ``plot()``.

    Raises
    ------
    ModelError
        If the fit has no finite maximum, if there are fewer than two rows or clusters to draw from, or if the family
        has no generator.

    Notes
    -----
    Davison and Hinkley (1997), Bootstrap Methods and their Application, sections 6.3 and 7.2. Replicates that are
    refitted in batches are accurate to 1e-5 of a standard error, far below the Monte Carlo error.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> fit = rp.glm("low ~ lwt + smoke", births, family="binomial")
    >>> fit.bootstrap(200, seed=1).se.round(2).to_dict()
    {'Intercept': 0.9, 'lwt': 0.01, 'smoke': 0.31}
    """
    fit.check_name("bootstrap")
    kind = fit.kind_of_bootstrap if kind is None else kind
    check_choice("kind", kind, get_args(BootstrapKind))
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"n: expected a whole number of replicates, at least 1; got {n!r}")
    if groups is not None:
        if kind != "cluster":
            raise ModelError(f"groups: expected together with kind='cluster'; got kind={kind!r}")
        fit = robust(fit, fit.state.cov, groups, fit.state.small_sample)
    model = fit.at("bootstrap").asked
    if fit.state.infinite.any() or not fit.converged:
        raise ModelError(
            f"bootstrap: expected a fit with a finite maximum; this one ended with {fit.state.status.value!r} "
            f"({fit.message}). Where estimates are infinite, use conf_int(kind='profile'); otherwise mend the model"
        )
    clusters = fit.clusters
    if kind == "cluster" and clusters is None:
        raise ModelError(
            "groups: expected the cluster of each row, for kind='cluster'; got None, and the model names no outermost "
            "group that all others are nested in"
        )
    _check_units(model, kind, clusters)
    if fit.own_refits is not None:
        fit.own_refits.check(kind, clusters)
    if kind == "parametric":
        fit = unfolded(fit)
        model = fit.at("bootstrap").asked
    draws = _Draws(model, kind, clusters, simulator(fit, simulate) if kind == "parametric" else None)
    refitting = refits_of(fit)

    def work(rng: np.random.Generator, count: int) -> Refitted:
        return refitting.refit(*draws.draw(rng, count), count)

    found = Refitted.joined(in_chunks(work, int(n), refitting.chunk, seed, model.executor))
    out = _summarised(fit, found, kind, clusters)
    _warn_of_replicates(out)
    return out


def _check_units(model: Model, kind: str, groups: np.ndarray | None) -> None:
    """Refuse to draw from a single row or cluster: every replicate would be a copy of the data."""
    if kind == "parametric":
        return
    counted = model.row_weight > 0
    cluster = groups if kind == "cluster" else None
    units = np.count_nonzero(counted) if cluster is None else len(np.unique(cluster[counted]))
    if units < 2:
        raise ModelError(
            f"bootstrap: expected at least two {'rows' if cluster is None else 'clusters'} to draw from; got {units}. "
            "If a row holds a whole series, write the likelihood so that independent parts are rows, or simulate "
            "from the model with kind='parametric'"
        )


def _warn_of_replicates(found: Bootstrap) -> None:
    """Warn of replicates whose maximum is infinite or was not found."""
    warnings = []
    if found.n_infinite:
        infinite: Any = np.isinf(found.estimates.to_numpy()).any(axis=0)
        separated = any(some and name != "theta" for name, some in zip(found.params.index, infinite, strict=True))
        why = "their data are separated" if separated else "their counts vary no more than Poisson ones: theta = inf"
        warnings.append(
            f"{found.n_infinite} of {found.n} replicates have their maximum at infinity ({why}): these estimates count "
            "as infinite in the intervals, and make their se and bias NaN"
        )
    if found.n_used < found.n:
        warnings.append(f"{found.n - found.n_used} of {found.n} replicates have no maximum and are left out")
    if warnings:
        warn_user(f"bootstrap: {'; '.join(warnings)}", ConvergenceWarning)


def information_matrix_test(
    fit: Reading, bootstrap: int | None = None, seed: int | None = 0, simulate: Simulator | None = None
) -> Test:
    """White's information matrix test: do the outer product of scores and the Hessian agree?

    If the model is right, the expected, the observed and the outer product information estimate the same matrix. The
    statistic is Chesher's and Lancaster's nR². With a few hundred rows its χ² approximation rejects right models far
    too often, so by default the p-value comes from data simulated under the fitted model (Horowitz 1994).

    Parameters
    ----------
    bootstrap : number of data sets to simulate for the p-value; 0 for χ². None simulates 199 if there are at most
        20,000 rows and the family has a generator and is refitted in batches; otherwise it uses χ².
    seed : of the random numbers.
    simulate : as for :meth:`bootstrap`.

    Returns
    -------
    Test
        Its ``table`` has the standard errors from each of the three informations, and from the sandwich.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
    >>> fit.information_matrix_test().df
    5
    """
    test, n, fit = informations_equal(fit), bootstrap, unfolded(fit)
    if n is None:
        n = CALIBRATION_DRAWS if _draws_cheaply(fit, simulate) else 0
    if n == 0 and not isinstance(n, bool):
        return test
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 19:
        raise ModelError(f"bootstrap: expected a whole number of replicates, at least 19, or 0; got {n!r}")
    at, draw, refitting = fit.at("bootstrap"), simulator(fit, simulate), refits_of(fit)
    model = at.estimate.model if fit.state.infinite.any() else at.asked
    ones, free = np.ones(len(model.y)), at.estimate.result.free

    def work(rng: np.random.Generator, count: int) -> list[float]:
        y = draw(rng, count)
        found = refitting.refit(y, ones, count)
        return [
            information_gap(fit, model.replica(y[i], ones), found.theta[i], free, found.dispersion[i])[0]
            for i in np.flatnonzero(found.finite)
        ]

    drawn = np.concatenate(in_chunks(work, int(n), refitting.chunk, seed, model.executor))
    p_value = float((1 + np.count_nonzero(drawn >= test.statistic)) / (1 + len(drawn)))
    return replace(test, p_value=p_value, draws=len(drawn))


def _draws_cheaply(fit: Reading, simulate: Simulator | None) -> bool:
    """Whether simulating is cheap: few rows, a family with a generator, refits in batches."""
    model = fit.at("bootstrap").asked
    if len(model.y) > MAX_CALIBRATION_ROWS or model.replicates is None:
        return False
    try:
        simulator(fit, simulate)
    except ModelError:
        return False
    return True


def simulator(fit: Reading, simulate: Simulator | None) -> Work:
    """A function that draws (count, n) responses from the fitted model."""
    return draws_of(fit, simulate)


@dataclass(frozen=True)
class _Draws:
    """Draws replicates: counts of each row, or new responses."""

    model: Model
    kind: str
    groups: np.ndarray | None
    simulate: Callable[[np.random.Generator, int], np.ndarray] | None

    def draw(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Responses, (count, n) or (n,), and the count of each row, (count, n) or (n,)."""
        n = len(self.model.y)
        if self.simulate is not None:
            return self.simulate(rng, count), np.ones(n)
        copies = self.model.data.weights if self.model.weights_kind == "frequency" else None
        if self.kind == "cluster" or copies is None:
            return self.model.y, self._counts(rng, count)
        # A row with frequency c stands for c copies, each of which may be drawn. The refit multiplies the count by c
        # again, so it is divided by c here.
        total = round(float(copies.sum()))
        drawn = rng.multinomial(total, copies / copies.sum(), size=count)
        return self.model.y, np.divide(drawn, copies, out=np.zeros(drawn.shape), where=copies > 0)

    def _counts(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(count, n) of each row, or of its cluster; rows of weight 0 are no observations, and are not drawn."""
        unit = self.groups if self.kind == "cluster" else np.arange(len(self.model.y))
        assert unit is not None
        counted = np.unique(unit[self.model.row_weight > 0])
        drawn = np.zeros((count, int(unit.max()) + 1))
        drawn[:, counted] = resampled(rng, len(counted), count)
        return drawn[:, unit]


def resampled(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """Counts (count, n) of each of `n` units in `n` draws with replacement."""
    counts = np.empty((count, n))
    together = max(1, DRAWN_TOGETHER // n)
    for start in range(0, count, together):
        some = counts[start : start + together]
        drawn = rng.integers(0, n, some.shape)
        drawn += n * np.arange(len(some))[:, None]
        some[:] = np.bincount(drawn.reshape(-1), minlength=some.size).reshape(some.shape)
    return counts


DRAWN_TOGETHER = 2**14
"""Draws that are made before they are counted; so many fit into the processor's cache."""


def _summarised(fit: Reading, found: Refitted, kind: str, groups: np.ndarray | None) -> Bootstrap:
    import pandas as pd

    own = fit.own_refits
    said: Replicated = _replicated(fit) if own is None else own.replicated
    names, places = list(said.names), said.places
    values = np.where(found.finite[:, None], found.theta, found.limit)[:, places]
    with np.errstate(invalid="ignore"):
        errors = np.where(np.isinf(values), np.nan, np.sqrt(found.variance[:, places]))
    return Bootstrap(
        kind=kind,
        params=pd.Series(said.estimates, index=names),
        estimates=pd.DataFrame(values, columns=names),
        statuses=found.counts,
        _errors=errors,
        _error=said.errors,
        _accelerate=lambda: said.acceleration(groups if kind == "cluster" else None),
    )


def _replicated(fit: Reading) -> Replicated:
    """The coefficients that moved."""
    kept = fit.state.free[: fit.n]
    V = fit.at("bootstrap").uncertainty.model_based(fit.state.information, fit.dispersion)
    return Replicated(
        tuple(fit.named(kept)),
        np.flatnonzero(kept),
        fit.params.to_numpy()[kept],
        np.sqrt(np.diagonal(V)[kept]),
        lambda groups: _acceleration(fit, groups)[kept],
    )


def _acceleration(fit: Reading, groups: np.ndarray | None) -> np.ndarray:
    """The acceleration of BCa intervals, from the influence M⁻¹ J_iᵀ u_i of each row or cluster."""
    at = fit.at("bootstrap")
    rows = at.rows
    change = dfbeta(at.uncertainty.main_factor, at.designs, rows.score, np.zeros_like(rows.expected))
    if groups is not None:
        summed = np.zeros((int(groups.max()) + 1, change.shape[1]))
        np.add.at(summed, groups, change)
        return bootstrap_intervals.acceleration(summed)
    copies = at.asked.copies
    if copies is None:
        return bootstrap_intervals.acceleration(change)
    return bootstrap_intervals.acceleration(change / np.where(copies > 0, copies, 1.0)[:, None], copies)
