"""The rows of a fitted likelihood beside those of data sets drawn from it: quantile residuals, levels, censored times.

At the parameters that drew them the quantile residuals of simulated data are standard normal by their definition. So
where the model is not fitted anew, they are drawn as such, and no density is tabulated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raphson.checks.levels import Levels
from raphson.checks.simulated import Rows, Simulated
from raphson.checks.survival import Times, censoring_times
from raphson.errors import ModelError, visible
from raphson.fit.reading import Reading
from raphson.fit.refitted import Simulator, drawing
from raphson.fit.refitting import draws_of, refits_of
from raphson.fit.simulating import FARTHEST, LEAST, Moves, Plan, check_refits
from raphson.inference.residuals import randomised_quantile
from raphson.model.likelihood.row_densities import levels_of
from raphson.model.likelihood.tails import in_closed_form
from raphson.model.objective import Need
from raphson.options import seed_or_none

MOST_TABULATED = 30_000
"""Rows times data sets up to which densities without a distribution function are tabulated for each refit: 1 s for
10,000 of them."""
MOST_DRAWN_ANEW = 200_000
"""The same where each data set has effects of its own, which its rows' densities are tabulated with: 20 s of them."""
MOST_STEPPED = 500_000
"""Rows times data sets up to which censored data are refitted, by Newton steps of one data set at a time."""
MOST_ROWS = 3_000
"""Rows looked at where a density has to be tabulated, or times are censored: 0.5 s."""
RANKS = 250
"""Responses of each row, drawn by a user's `simulate`, among which the data's are ranked (as in DHARMa)."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What checks of a likelihood compare.

    Attributes
    ----------
    rows : responses and quantile residuals.
    levels : of an ordered response, else None.
    times : of censored data, else None.
    counts : whether responses are counts.
    """

    rows: Simulated
    levels: Levels | None = None
    times: Times | None = None
    counts: bool = False


def simulated_likelihood(fit: Reading, n: int | None, seed: int, simulate: Simulator | None) -> Drawn:
    """The rows of a fitted likelihood, and of `n` data sets drawn from it.

    Raises
    ------
    ModelError
        If the likelihood does not describe a distribution of the response, and `simulate` is not given.
    """
    plan = Plan.of(fit, n)
    model: Any = fit.at("check").asked
    if not model.family.with_response:
        raise ModelError(
            "check: loglik(params, row) does not say which column is the response, so there is nothing to simulate; "
            "write a density logpdf(y, ...) with formulas"
        )
    closed, censored = in_closed_form(model.family), bool(model.censored.any())
    if not plan.refits and (censored or not closed):
        plan = plan.thinned(MOST_ROWS)
    rng = np.random.default_rng(seed_or_none(seed))
    if simulate is not None:
        return _ranked(fit, plan.without_refits("the data are ranked among responses of simulate="), simulate, rng)
    try:
        own = _residuals(model, model.y, fit.rows.eta, plan.rows, rng)
    except ModelError as error:
        raise ModelError(
            f"check: {str(error).partition(', so it has')[0]}, so there is no quantile residual; pass "
            "simulate=lambda rng, eta: responses (n,), or register the density with its cdf="
        ) from error
    if censored:
        return _censored(fit, plan, own, rng)
    anew = refits_of(fit).draws_anew
    if (anew or not closed) and plan.refits:
        fewer = plan.count if n is not None else LEAST
        if fewer * len(plan.rows) <= (MOST_DRAWN_ANEW if anew else MOST_TABULATED):
            plan = replace(plan, count=fewer)
        else:
            plan = plan.without_refits(
                f"its density would be tabulated in {fewer * len(plan.rows):,} rows{'' if anew else '; give its cdf='}"
            )
    names, counts = levels_of(model.family), _are_counts(model)
    if plan.refits:
        try:
            return _refitted(fit, plan, own, names, counts, seed)
        except ModelError:  # a mass at one point, which cannot be drawn: not refitted, the residuals are still normal
            plan = plan.without_refits("a response with a probability of its own at one point cannot be drawn")
    residual = rng.standard_normal((plan.count, len(own)))
    y, drawn, levels = model.y[plan.rows], np.zeros((plan.count, 1)), None
    if counts or names is not None:
        at = fit.at("check")
        part = at.fitted.subset(plan.rows)
        try:
            drawn = part.sampler(part.rows(at.theta), 1.0)(rng, plan.count)
        except ModelError:
            counts, names = False, None
    if names is not None:
        p = _probabilities(model, fit.rows.eta[:, plan.rows], plan.rows, len(names))
        levels = Levels(names, y, p, drawn, p[None])
    rows = _simulated(fit, plan, Rows(y, fit.rows.eta[0][plan.rows], own), Rows(drawn, drawn, residual))
    return Drawn(rows, levels, None, counts)


def _are_counts(model: Any) -> bool:
    y = model.y
    return levels_of(model.family) is None and bool(
        (y == np.round(y)).all() and (y >= 0).all() and len(np.unique(y)) > 1
    )


def _residuals(model: Any, y: np.ndarray, eta: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Quantile residuals of some rows."""
    found = randomised_quantile(model.log_tails(y[rows], eta[:, rows], rows), rng)
    return np.clip(np.nan_to_num(found), -FARTHEST, FARTHEST)


def _eta(model: Any, theta: np.ndarray) -> np.ndarray:
    """(K, n)."""
    return np.concatenate([model.predictor.eta(one, theta)[:, : one.rows] for one in model.blocks], axis=1)


def _probabilities(model: Any, eta: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """(L, m) probabilities of the levels."""
    below = [np.exp(model.log_tails(np.full(len(rows), float(k)), eta, rows)[1]) for k in range(count)]
    return np.diff(np.stack(below), axis=0, prepend=0.0)


def _simulated(fit: Reading, plan: Plan, own: Rows, drawn: Rows) -> Simulated:
    ones, none = np.ones(len(plan.rows)), np.full(len(drawn.residual), np.nan)
    return Simulated(own, drawn, ones, np.nan, none, plan.refits, plan.every, plan.labels(fit), why=plan.why)


def _refitted(
    fit: Reading, plan: Plan, own: np.ndarray, names: tuple[str, ...] | None, counts: bool, seed: int
) -> Drawn:
    model, rows = fit.at("check").asked, plan.rows
    draw, refitting, ones = draws_of(fit, None), refits_of(fit), np.ones(len(model.y))
    moves_of = Moves.of(fit, plan)

    def work(rng: np.random.Generator, size: int) -> list[tuple[Any, ...]]:
        y = draw(rng, size)
        found = refitting.refit(y, ones, size)
        kept = []
        for i in np.flatnonzero(found.finite):
            eta = refitting.eta(found, int(i))
            residual = _residuals(model, y[i], eta, rows, rng)
            p = residual if names is None else _probabilities(model, eta[:, rows], rows, len(names))
            moves = residual
            if moves_of is not None:
                moves = moves_of.of_scores(model.replica(y[i], ones).rows(found.theta[i]).score)
            kept.append((y[i][rows], eta[0][rows], residual, p, moves, refitting.effects(found, int(i))))
        return kept

    every = [one for part in plan.in_parts(work, fit, seed) for one in part]
    check_refits([len(every)])
    *columns, effects = zip(*every, strict=True)
    y, first, residual, p, moves = (np.stack(one) for one in columns)
    alone = None if moves_of is None else moves_of.of_scores(fit.rows.score)
    data = Rows(model.y[rows], fit.rows.eta[0][rows], own, alone)
    levels = None
    if names is not None:
        fitted = _probabilities(model, fit.rows.eta[:, rows], rows, len(names))
        levels = Levels(names, data.y, fitted, y, p)
    found = _simulated(fit, plan, data, Rows(y, first, residual, moves if moves_of is not None else None))
    own_effects = refitting.own_effects.items()
    both = {name: (mine, np.stack([one[name] for one in effects])) for name, mine in own_effects}
    return Drawn(replace(found, effects=both), levels, None, counts)


def _censored(fit: Reading, plan: Plan, own: np.ndarray, rng: np.random.Generator) -> Drawn:
    """Times drawn and censored as the data are, refitted where that is quick."""
    at: Any = fit.at("check")
    model, rows = at.asked, plan.rows
    seen = ~model.censored
    whole = _uncensored(at.fitted)
    # Of more rows fewer data sets, and of so many that a refit takes long none is refitted.
    plan = replace(plan, count=int(np.clip(MOST_STEPPED // len(model.y), min(LEAST, plan.count), plan.count)))
    if refits_of(fit).draws_anew:
        plan = plan.without_refits("the effects of new groups would have to be censored as those of the data are")
    elif len(model.y) * plan.count > MOST_STEPPED:
        plan = plan.without_refits(f"{plan.count} refits of {len(model.y):,} censored rows would take too long")
    refits = plan.refits
    part, ends = (whole, seen) if refits else (whole.subset(rows), seen[rows])
    eta = fit.rows.eta if refits else fit.rows.eta[:, rows]
    time = part.sampler(part.rows(at.theta), 1.0)(rng, plan.count)
    until = censoring_times(model.y if refits else model.y[rows], ends, rng, plan.count)
    y, event = np.minimum(time, until), time <= until
    share = np.empty((plan.count, len(rows)))
    residual = rng.standard_normal((plan.count, len(rows)))
    kept = np.ones(plan.count, dtype=bool)
    for i in range(plan.count):
        near = eta
        if refits:
            drawn = _with_events(model, y[i], event[i])
            theta = _stepped(drawn, fit.state.theta, fit.state.free)
            kept[i] = bool(np.isfinite(theta).all())
            near = _eta(drawn, theta)
            residual[i] = _residuals(drawn, y[i], near, rows, rng)
        chosen = rows if refits else slice(None)
        share[i] = np.exp(whole.log_tails(y[i][chosen], near[:, chosen], rows)[1])
    check_refits([int(kept.sum())])
    if refits:
        y, event = y[:, rows], event[:, rows]
    first = fit.rows.eta[0][rows]
    times = Times(
        visible(model.data.response.name),
        model.y[rows],
        seen[rows],
        np.exp(whole.log_tails(model.y[rows], fit.rows.eta[:, rows], rows)[1]),
        y[kept],
        event[kept],
        share[kept],
        _thirds(first),
        refits,
    )
    found = _simulated(fit, plan, Rows(model.y[rows], first, own), Rows(y[kept], y[kept], residual[kept]))
    return Drawn(found, None, times)


def _thirds(values: np.ndarray) -> np.ndarray:
    """Which third a row is in; 0 for all where values hardly differ."""
    ends = np.quantile(values, [1 / 3, 2 / 3])
    if not values.min() < ends[0] < ends[1]:
        return np.zeros(len(values), dtype=int)
    return np.searchsorted(ends, values, side="left")


def _uncensored(model: Any) -> Any:
    """The model of the times as if all were seen, which says how they are distributed."""
    return _with_events(model, model.y, np.ones(len(model.y), dtype=bool))


def _with_events(model: Any, y: np.ndarray, event: np.ndarray) -> Any:
    extra = tuple(
        event.astype(float) if name in model.family.uncensored else one for name, one in model.keywords.items()
    )
    return replace(model, y=y, extra=extra)


def _stepped(model: Any, theta: np.ndarray, free: np.ndarray, steps: int = 3) -> np.ndarray:
    """The estimate by Newton steps from the parameters that drew the data, which lie one standard error or so away."""
    theta = theta.copy()
    for _ in range(steps):
        found = model.objective.evaluate(theta, Need(kinds=("observed",)))
        M = np.asarray(found.information["observed"].matrix)[np.ix_(free, free)]
        try:
            theta[free] += np.linalg.solve(M, found.score[free])
        except np.linalg.LinAlgError:
            return np.full_like(theta, np.nan)
    return theta


def _ranked(fit: Reading, plan: Plan, simulate: Simulator, rng: np.random.Generator) -> Drawn:
    """Quantile residuals by the ranks of the responses among those that a function draws."""
    model, rows = fit.at("check").asked, plan.rows
    draw: Callable[..., np.ndarray] = drawing(model, fit.rows, 1.0, simulate)
    drawn, y = draw(rng, max(RANKS, plan.count))[:, rows], model.y[rows]
    below, ties = np.sum(drawn < y, axis=0), np.sum(drawn == y, axis=0)
    total = len(drawn) + 1.0
    with np.errstate(divide="ignore"):
        ends = [np.log(one) for one in (below / total, (below + ties + 1) / total)]
        uppers = [np.log(one) for one in (1.0 - below / total, 1.0 - (below + ties + 1) / total)]
    own = randomised_quantile((*ends, *uppers), rng)
    residual = rng.standard_normal((plan.count, len(rows)))
    data = Rows(y, fit.rows.eta[0][rows], own)
    kept = drawn[: plan.count]
    return Drawn(_simulated(fit, plan, data, Rows(kept, kept, residual)), counts=_are_counts(model))
