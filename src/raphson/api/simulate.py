"""Coverage by simulation: draw data from a model with known parameters, refit, and count how often intervals cover."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.choices import IntervalKind
from raphson.data.messages import listing
from raphson.errors import ModelError, RaphsonError, named_arguments, one_line
from raphson.fit.fit import Fit
from raphson.fit.reading import Reading, reading_of
from raphson.fit.refitted import Refitted, Simulator, Work
from raphson.fit.refitting import Refitting, drawing, in_chunks
from raphson.inference.intervals import quantile
from raphson.inference.restricted import maximum_on_plane
from raphson.model.objective import Need
from raphson.model.parameters import place_of
from raphson.options import at_least_one, seed_or_none
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

INTERVALS = get_args(IntervalKind)


@dataclass(frozen=True, repr=False)
class Coverage(InNotebook):
    """Estimates and intervals of a model over simulated data sets.

    Attributes
    ----------
    table : a row for each parameter: ``truth``; ``mean`` of the estimates; ``bias`` and its Monte Carlo standard error
        ``bias_std_error``; ``sd``, the standard deviation of the estimates; ``mean_std_error``, the average of their
        standard errors; ``std_error_ratio`` = mean_std_error / sd; ``wald`` and ``profile``, the shares of intervals
        that cover the truth; ``score``, the average score at the truth in its standard errors, about N(0, 1) if the
        model is correct.
    level : nominal coverage of the intervals.
    n, reps : number of rows in each data set, and of data sets.
    statuses : number of refits with each status.
    estimates : (reps, p) frame, NaN where there is no finite estimate.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> study = rp.simulate_coverage(rp.glm("low ~ lwt", births, family="binomial"), reps=100, seed=1)
    >>> study.estimates.shape, round(study.error, 4)
    ((100, 2), 0.0218)
    """

    table: pd.DataFrame
    level: float
    n: int
    reps: int
    statuses: dict[str, int]
    estimates: pd.DataFrame

    @property
    def error(self) -> float:
        """Monte Carlo standard error of a nominal coverage, √(level (1 − level)/reps)."""
        return math.sqrt(self.level * (1 - self.level) / self.reps)

    def plot(self) -> Any:
        """Coverages with their Monte Carlo error, and standard errors over standard deviations; a matplotlib Figure."""
        from raphson.report.plots import plot_coverage

        return plot_coverage(self)

    def _sheet(self) -> Sheet:
        facts = [("Data sets", f"{self.reps:,}"), ("Rows of each", f"{self.n:,}"), ("Level", f"{100 * self.level:g}%")]
        facts += [(name, f"{count:,}") for name, count in self.statuses.items()]
        note = Note(f"A share of {self.reps:,} has a Monte Carlo standard error of {self.error:.2g}.")
        return Sheet("Coverage by simulation", facts, [Grid.of(self.table, name="term")], [note])

    def __repr__(self) -> str:
        ended = ", ".join(f"{count} {name}" for name, count in self.statuses.items())
        return (
            f"{self.reps} data sets of {self.n} rows ({ended}); coverage of {100 * self.level:g}% intervals, "
            f"Monte Carlo standard error {self.error:.4f}\n{self.table.to_string(float_format='%.4g')}"
        )


@named_arguments
def simulate_coverage(
    model: Fit,
    truth: Any = None,
    n: int | None = None,
    reps: int = 1000,
    seed: int | None = None,
    *,
    level: float = 0.95,
    dispersion: float | None = None,
    intervals: Sequence[IntervalKind] = INTERVALS,
    simulate: Simulator | None = None,
) -> Coverage:
    """Simulate from a model with known parameters, refit, and report bias, standard errors and coverage.

    Parameters
    ----------
    model : a fit: its design, family and options are those of the simulation.
    truth : the true parameters, by name or in order; the fit's estimates by default.
    n : number of rows of each data set. By default the fit's own rows; otherwise n of them, drawn once with
        replacement.
    reps : number of data sets.
    seed : seed of the random numbers; the same seed gives the same result.
    level : nominal coverage of the intervals.
    dispersion : the true φ, where the family has one; the fit's by default.
    intervals : "wald" (estimate ∓ quantile · standard error) and "profile" (the values of a parameter that the
        likelihood-ratio test does not reject; counted by that test at the truth).
    simulate : ``simulate(rng, eta (K, n)) -> (n,)`` draws responses, for a model that has no simulation of its own,
        or to see what happens if the data come from another model.

    Returns
    -------
    Coverage

    Raises
    ------
    ModelError
        If `truth` does not match the parameters, or the model cannot be simulated from.

    Notes
    -----
    A data set whose estimates are infinite (separation) has no Wald interval, and counts as not covered. Its profile
    likelihood interval is infinite on one side, and counts as any other.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> fit = rp.glm("low ~ lwt + smoke", births, family="binomial")
    >>> study = rp.simulate_coverage(fit, reps=400, seed=1)
    >>> bool((study.table["wald"] - 0.95).abs().max() < 4 * study.error)
    True
    """
    reading = reading_of(model)
    if reading is None:
        raise ModelError(f"model: expected a Fit, such as rp.glm returns; got {type(model).__name__}")
    reading.check_name("simulate_coverage")
    for kind in intervals:
        if kind not in INTERVALS:
            raise ModelError(f"intervals: expected some of {', '.join(INTERVALS)}; got {kind!r}")
    q = quantile(level)
    asked = reading.at("a simulation").asked
    rng = np.random.default_rng(seed_or_none(seed))
    if n is not None:
        asked = asked.subset(rng.integers(0, len(asked.y), at_least_one("n", n)))  # type: ignore[arg-type]
    theta = _truth(reading, truth)
    settled = asked.with_nuisance_fixed(theta)
    phi = model.dispersion if dispersion is None else float(dispersion)
    rows = settled.rows(theta[: settled.predictor.n_params])
    draw = drawing(settled, rows, phi, simulate)
    refitting = replace(Refitting.of(reading), model=asked, start=theta)
    if refitting.dispersion is None:
        q = quantile(level, float(refitting.residual_df(np.ones(len(asked.y)), 1)[0]))
    study = _Study(refitting, draw, reading.n, q, "profile" in intervals)
    parts = in_chunks(study.chunk, at_least_one("reps", reps), refitting.chunk, seed, asked.executor)
    found = Refitted.joined([part for part, _ in parts])
    covered = np.concatenate([part for _, part in parts])
    return _reported(reading, found, covered, theta, q, level, intervals, len(asked.y))


@dataclass(frozen=True)
class _Study:
    """Draws data sets, refits them, and tests the true value of each parameter."""

    refitting: Refitting
    draw: Work
    n_coefficients: int
    q: float
    profiled: bool

    def chunk(self, rng: np.random.Generator, count: int) -> tuple[Refitted, np.ndarray]:
        """Refits of some data sets, and whether the profile interval of each parameter covers, (count, p)."""
        y = self.draw(rng, count)
        ones = np.ones(len(self.refitting.model.y))
        found = self.refitting.refit(y, ones, count)
        covered = np.full((count, len(self.refitting.start)), np.nan)
        if self.profiled and self.refitting.model.replicates is None:
            for i in np.flatnonzero(found.finite):
                covered[i] = self._covered(y[i], found.theta[i], found.dispersion[i])
        elif self.profiled:
            top = self._value(found.theta, y)
            for j in np.flatnonzero(self.refitting.free[: self.n_coefficients]):
                free = self.refitting.free.copy()
                free[j] = False
                held = self.refitting.in_batch(y, ones, count, free)
                ratio = 2.0 * (top - self._value(held.theta, y)) / found.dispersion
                covered[:, j] = ratio <= self.q**2
                # Where the batch missed the restricted maximum, its likelihood is too low and the test rejects too
                # often: those data sets are tested one by one.
                for i in np.flatnonzero((held.status != Status.CONVERGED) & ~(ratio <= self.q**2)):
                    covered[i, j] = self._covers(y[i], held.theta[i], top[i], found.dispersion[i], j)
        return found, covered

    def _covered(self, y: np.ndarray, theta: np.ndarray, dispersion: float) -> np.ndarray:
        """Whether the profile intervals cover, (p,), for a data set that was fitted alone."""
        model = self.refitting.model.replica(y, np.ones(len(y)))
        top = model.objective.evaluate(theta, Need()).value
        covered = np.full(len(theta), np.nan)
        for j in np.flatnonzero(self.refitting.free[: self.n_coefficients]):
            covered[j] = self._covers(y, theta, top, dispersion, j)
        return covered

    def _covers(self, y: np.ndarray, begin: np.ndarray, top: float, dispersion: float, j: Any) -> bool:
        """Whether the profile interval of a parameter covers; `begin` is the start for the restricted maximum."""
        model = self.refitting.model.replica(y, np.ones(len(y)))
        row = np.zeros((1, len(begin)))
        row[0, j] = 1.0
        try:
            metric = model.objective.evaluate(begin, Need(kinds=("observed",))).information["observed"].matrix
            held = maximum_on_plane(model.objective, row, self.refitting.start[[j]], begin, self.refitting.free, metric)
        except RaphsonError:
            return False  # the truth is impossible with these data
        return bool(2.0 * (top - held.value) / dispersion <= self.q**2)

    def _value(self, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Penalised log-likelihoods (count,) at unit dispersion."""
        batch, weight = self.refitting.model.replicates, self.refitting.base_weight
        assert batch is not None
        total = batch.sums(theta, y, weight, (), values=True).value
        assert total is not None
        penalty = self.refitting.model.penalty
        return total if penalty is None else total - 0.5 * np.einsum("rp,pq,rq->r", theta, penalty, theta)


def _reported(
    fit: Reading,
    found: Refitted,
    covered: np.ndarray,
    theta: np.ndarray,
    q: float,
    level: float,
    intervals: Sequence[str],
    n: int,
) -> Coverage:
    import pandas as pd

    p, finite = fit.n, found.finite
    kept = fit.state.free[:p]
    names = [name for name, keep in zip(fit.names, kept, strict=True) if keep]
    estimates = np.where(finite[:, None], found.theta[:, :p], np.nan)[:, kept]
    true = theta[:p][kept]
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt(found.variance[:, :p][:, kept])
        scores = found.score[:, :p][:, kept]
        wald = np.abs(estimates - true) <= q * errors
        used = estimates[finite]
        sd = used.std(axis=0, ddof=1) if len(used) > 1 else np.full(len(true), np.nan)
        table = {
            "truth": true,
            "mean": used.mean(axis=0) if len(used) else np.full(len(true), np.nan),
            "bias": used.mean(axis=0) - true if len(used) else np.full(len(true), np.nan),
            "bias_std_error": sd / math.sqrt(max(len(used), 1)),
            "sd": sd,
            "mean_std_error": errors[finite].mean(axis=0) if len(used) else np.full(len(true), np.nan),
        }
        table["std_error_ratio"] = table["mean_std_error"] / sd
        if "wald" in intervals:
            table["wald"] = np.mean(wald & finite[:, None], axis=0)
        if "profile" in intervals:
            table["profile"] = np.mean(np.nan_to_num(covered[:, :p][:, kept]), axis=0)
        if np.isfinite(scores).any():
            table["score"] = np.nanmean(scores, axis=0) / (np.nanstd(scores, axis=0, ddof=1) / math.sqrt(len(scores)))
    return Coverage(
        pd.DataFrame(table, index=names),
        level,
        n,
        len(finite),
        found.counts,
        pd.DataFrame(estimates, columns=names),
    )


def _truth(fit: Reading, truth: Any) -> np.ndarray:
    """(p,) the true parameters; those not named, and auxiliary ones, are the estimates."""
    theta = fit.state.theta.copy()
    if truth is None:
        if fit.state.status not in (Status.CONVERGED, Status.ROUNDING_FLOOR):
            raise ModelError("truth: the fit's own estimates are not a finite maximum; pass finite values as truth=")
        return theta
    if isinstance(truth, Mapping) or hasattr(truth, "to_dict"):
        given = dict(truth.items())
        places = {name: place_of(str(name), fit.names) for name in given}
        unknown = [name for name, place in places.items() if place is None]
        if unknown:
            known = listing(map(repr, fit.names))
            raise ModelError(f"truth: no parameter is named {listing(map(repr, unknown))}; the parameters are {known}")
        for name, value in given.items():
            theta[places[name]] = value
    else:
        values = np.asarray(truth, dtype=float)
        if values.shape != (fit.n,):
            raise ModelError(f"truth: expected {fit.n} numbers, one for each parameter; got shape {values.shape}")
        theta[: fit.n] = values
    if not np.isfinite(theta).all():
        raise ModelError(f"truth: expected finite numbers; got {one_line(truth)}")
    return theta
