"""The rows of a fit beside those of data sets that are drawn from it, and to which it is fitted anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raphson.checks.simulated import Rows, Simulated
from raphson.errors import ModelError
from raphson.fit.reading import Reading
from raphson.fit.refitted import Work
from raphson.fit.refitting import draws_of, in_chunks, refits_of
from raphson.fit.rows import quantile_residuals
from raphson.inference import influence
from raphson.model.base import Model, RowTable, pearson_statistic
from raphson.model.families.distribution import Distribution

MOST_DRAWN = 2_000_000
"""Rows simulated in all, at most: 1,000 data sets of up to 2,000 rows, and 200 of 10,000, each in about a second."""
LEAST, MOST = 200, 1000
"""Simulated data sets: 200 give p-values down to 0.005, which the flags need; a thousand a smooth shade."""
FEWEST = 50
"""Refits below which no quantile of 2.5 % can be told."""
MOST_ALONE = 300
"""Data sets at most where each has a step of its own: of a likelihood, or with an auxiliary parameter, whose fits take
some 5 ms each."""
MOST_WORK = 4e9
"""Multiplications that all refits may take: some seconds. Beyond, simulated data are not refitted."""
MOST_MOVES = 20_000_000
"""Entries, rows times coefficients times data sets, up to which the influence of rows is simulated."""


@dataclass(frozen=True)
class Plan:
    """How a fit is simulated.

    Attributes
    ----------
    count : number of data sets.
    every : one of how many rows is looked at.
    rows : the numbers of these rows, those of weight 0 left out.
    refits : whether the model is fitted anew to each data set.
    why : where it is not, why not.
    """

    count: int
    every: int
    rows: np.ndarray
    refits: bool
    why: str = ""

    @staticmethod
    def of(fit: Reading, n: int | None, numbers: int = 1) -> Plan:
        """A plan of `n` data sets, with so many numbers kept of a row.

        Raises
        ------
        ModelError
            If the fit has no finite maximum.
        """
        if not fit.converged or fit.state.infinite.any():
            raise ModelError(
                f"check: expected a fit with a finite maximum; this one ended with {fit.state.status.value!r}. Mend "
                "the model first: residuals of a point that is not the maximum say nothing of the model"
            )
        if fit.use_t and not (fit.df_resid > 0 and fit.dispersion > 0):
            raise ModelError(
                "check: expected rows that differ from the fit, more of them than parameters; the model passes through "
                "all rows, so that nothing is left to check"
            )
        if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 100):
            raise ModelError(f"n: expected a whole number of simulated data sets, at least 100, or None; got {n!r}")
        asked = fit.at("check").asked
        total = len(asked.y)
        every = -(-total * numbers // (MOST_DRAWN // LEAST))
        count = int(n) if n is not None else int(np.clip(MOST_DRAWN // -(-total * numbers // every), LEAST, MOST))
        own = fit.own_refits
        # some five steps of n p² products each
        work_of_one = 5 * total * max(len(fit.state.theta), 1) ** 2 if own is None else own.work
        why = ""
        if every > 1:
            why = f"of {total:,} rows one in {every} is looked at"
        elif own is None and asked.replicates is None:
            why = "this model is refitted one data set at a time, as with bounds, bias= or a very large design"
        elif work_of_one * LEAST > MOST_WORK:
            why = f"{LEAST} refits would take too long"
        refits = not why
        if refits and n is None:
            # Of data drawn at the edge of the domain many have their maximum there too, which a batch does not find.
            follows = fit.state.follows is not None
            alone = own is not None or bool(asked.family.auxiliary) or len(fit.rows.mean) != 1 or follows
            count = int(np.clip(MOST_WORK // work_of_one, LEAST, min(count, MOST_ALONE) if alone else count))
        return Plan(count, every, np.flatnonzero(asked.row_weight > 0)[::every], refits, why)

    def without_refits(self, why: str, **changes: Any) -> Plan:
        """The plan without refits, for a reason."""
        return replace(self, refits=False, why=why if self.refits else self.why, **changes)

    def thinned(self, most: int) -> Plan:
        """The plan with at most so many rows, evenly spread."""
        step = -(-len(self.rows) // most)
        return self if step <= 1 else replace(self, every=self.every * step, rows=self.rows[::step])

    def labels(self, fit: Reading) -> tuple[str, ...]:
        """The names of the rows looked at."""
        return tuple(str(one) for one in fit.row_labels[self.rows])

    def in_parts(self, work: Work, fit: Reading, seed: int) -> list[Any]:
        """What `work(rng, count)` gives for all data sets, a part at a time."""
        chunk = refits_of(fit).chunk
        return in_chunks(work, self.count, max(min(chunk, self.count // 4), 1), seed, fit.at("check").asked.executor)


def check_refits(counts: Iterable[int]) -> None:
    """Refuse checks by few data sets, where most that the fit draws have no finite estimate of their own.

    Raises
    ------
    ModelError
    """
    found = sum(counts)
    if found < FEWEST:
        raise ModelError(
            f"check: expected data sets drawn from the fit that have finite estimates of their own; {found} have, of "
            "too few rows or rows without variation"
        )


def simulated(fit: Reading, n: int | None = None, seed: int = 0) -> Simulated:
    """The rows of a fit with one mean a row, and those of `n` data sets drawn from it."""
    plan, at = Plan.of(fit, n), fit.at("check")
    draw = _drawing(fit, plan.refits)
    asked, total = at.asked, len(at.asked.y)
    look = _Look(fit, plan.rows, Moves.of(fit, plan))
    own_at = _At(at.fitted, fit.rows, asked.y, fit.dispersion)
    refitting = refits_of(fit)

    def work(rng: np.random.Generator, size: int) -> tuple[Rows, np.ndarray, list[dict[str, np.ndarray]]]:
        y = draw(rng, size)
        if not plan.refits:
            return *look.rows([_At(at.fitted, fit.rows, one, fit.dispersion) for one in y], rng), []
        found = refitting.refit(y, np.ones(total), size)
        kept = [int(i) for i in np.flatnonzero(found.finite)]
        if not kept:
            return look.rows([own_at], rng)[0], np.zeros(0), []
        seen = [_At(*refitting.at(y[i], found, i), y[i], float(found.dispersion[i])) for i in kept]
        return *look.rows(seen, rng), [refitting.effects(found, i) for i in kept]

    parts = [part for part in plan.in_parts(work, fit, seed) if len(part[1])]
    check_refits(len(one) for _, one, _ in parts)
    drawn = [one for _, _, effects in parts for one in effects]
    own_fits = fit.own_refits if drawn else None
    effects = own_fits.own_effects if own_fits is not None else {}
    own, pearson = look.rows([own_at], np.random.default_rng(seed))
    size = asked.size if asked.size is not None else np.ones(total)
    return Simulated(
        own.of(0),
        Rows.joined([one for one, _, _ in parts]),
        size[plan.rows],
        float(pearson[0]),
        np.concatenate([one for _, one, _ in parts]),
        plan.refits,
        plan.every,
        plan.labels(fit),
        {name: (own_ones, np.stack([one[name] for one in drawn])) for name, own_ones in effects.items()},
        plan.why,
        own_fits is not None and own_fits.redraws,
    )


def _drawing(fit: Reading, refits: bool) -> Any:
    """What draws responses from the fit, if its family has a distribution and quantile residuals.

    Groups have new effects if these are estimated anew, and else those of the fit.
    """
    try:
        if type(fit.family).log_tails is Distribution.log_tails:
            raise ModelError("it has no distribution function in closed form")
        return draws_of(fit, None, "new" if refits else "conditional")
    except ModelError as error:
        raise ModelError(
            f"check: the {fit.family.name} family cannot be simulated and compared, so there is no shade; see "
            "information_matrix_test() and, where rows have one mean, residuals()"
        ) from error


@dataclass(frozen=True, eq=False)
class Moves:
    """How far leaving out a row moves the estimates, linear in its score.

    One Newton step without row i is M⁻¹ J_iᵀ (I − W_i A_i)⁻¹ u_i (:mod:`raphson.inference.influence`). All but the
    score u_i is that of the fit, from which simulated data differ by 1/√n.

    Attributes
    ----------
    levers : (K, m, p) moves of the coefficients, in standard errors, for a unit score of each predictor.
    rows : (m,) the numbers of the rows.
    """

    levers: np.ndarray
    rows: np.ndarray

    @staticmethod
    def of(fit: Reading, plan: Plan) -> Moves | None:
        """Those of a fit; None where there are too many rows, or no refits for comparison."""
        if not plan.refits or fit.own_refits is not None or plan.rows.size * fit.n * plan.count > MOST_MOVES:
            return None
        at, table = fit.at("check"), fit.rows
        errors = np.sqrt(np.maximum(np.diagonal(fit.certifying), 0.0))
        levers = []
        for k in range(len(table.score)):
            unit = np.zeros_like(table.score)
            unit[k] = 1.0
            change = influence.dfbeta(at.uncertainty.main_factor, at.designs, unit, table.expected)[:, : fit.n]
            with np.errstate(divide="ignore", invalid="ignore"):
                levers.append(np.nan_to_num(change / errors, posinf=0.0, neginf=0.0)[plan.rows])
        return Moves(np.stack(levers), plan.rows)

    def of_scores(self, score: np.ndarray) -> np.ndarray:
        """(m,) the largest move of any coefficient, in standard errors, for scores (K, n) of all rows."""
        found = np.einsum("kmp,km->mp", self.levers, score[:, self.rows])
        return np.abs(found).max(axis=1, initial=0.0)


@dataclass(frozen=True, eq=False)
class _At:
    """A data set at the estimate of its own fit: the model there, its rows, the responses (n,), the dispersion."""

    model: Model
    table: RowTable
    y: np.ndarray
    dispersion: float


@dataclass(frozen=True, eq=False)
class _Look:
    """Looks at data sets: at some rows of each, and how far leaving them out would move the estimates."""

    fit: Reading
    chosen: np.ndarray
    moves: Moves | None

    def rows(self, found: list[_At], rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
        """The chosen rows of B data sets, and Pearson's statistic of all rows over its degrees of freedom, (B,)."""
        chosen = self.chosen
        y = np.stack([one.y[chosen] for one in found])
        mean = np.stack([one.table.mean[0][chosen] for one in found])
        weight = self.fit.at("check").asked.row_weight
        pearson = np.array([pearson_statistic(o.y, o.table.mean[0], _variance(o), weight) for o in found])
        moves = np.stack([self._moves(one) for one in found]) if self.moves is not None else None
        residual = np.clip(np.nan_to_num(self._residuals(found, y, mean, rng)), -FARTHEST, FARTHEST)
        return Rows(y, mean, residual, moves), pearson / max(self.fit.df_resid, 1.0)

    def _residuals(self, found: list[_At], y: np.ndarray, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        asked, chosen = self.fit.at("check").asked, self.chosen
        weight, size = asked.row_weight[chosen], None if asked.size is None else asked.size[chosen]
        if self.fit.family.auxiliary or found[0].model.family is not found[-1].model.family:
            each = zip(found, y, mean, strict=True)
            return np.stack(
                [quantile_residuals(o.model.family, u, m, weight, size, o.dispersion, rng) for o, u, m in each]
            )
        # One family for all data sets: one call.
        phi = np.repeat([one.dispersion for one in found], len(chosen))
        w, sizes = np.tile(weight, len(found)), None if size is None else np.tile(size, len(found))
        flat = quantile_residuals(found[0].model.family, y.ravel(), mean.ravel(), w, sizes, phi, rng)
        return flat.reshape(y.shape)

    def _moves(self, one: _At) -> np.ndarray:
        """Of the chosen rows. In a family whose score of a row is u = w (y − μ) μ'(η)/V(μ), that of simulated responses
        needs no new rows."""
        assert self.moves is not None
        mean, slope = one.table.mean[0], one.table.slope[0, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.nan_to_num(self.fit.at("check").asked.row_weight * (one.y - mean) * slope / _variance(one))
        return self.moves.of_scores(score[None])


def _variance(one: _At) -> np.ndarray:
    return one.model.family.variance(one.table.mean[0])


FARTHEST = 9.0
"""Quantile residuals are cut here, so that an impossible response, whose residual is infinite, can be averaged."""
