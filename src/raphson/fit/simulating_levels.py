"""The rows of a fit whose response has levels without an order, beside those of data sets drawn from it."""

from __future__ import annotations

import numpy as np

from raphson.checks.levels import Levels
from raphson.fit.reading import Reading
from raphson.fit.refitting import Refitting, drawing
from raphson.fit.simulating import Plan, check_refits


def simulated_levels(fit: Reading, plan: Plan, seed: int = 0) -> Levels:
    """Responses and fitted probabilities of the data, and of the data sets of a plan, which are drawn from the fit."""
    names, at = tuple(map(str, fit.family.levels or ())), fit.at("check")
    asked, rows = at.asked, plan.rows
    draw = drawing(at.fitted, fit.rows, fit.dispersion, None)
    refitting, ones = Refitting.of(fit), np.ones(len(asked.y))

    def work(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        y = draw(rng, size)
        if not plan.refits:
            return y[:, rows], np.zeros((0, len(names), len(rows)))
        found = refitting.refit(y, ones, size)
        kept = np.flatnonzero(found.finite)
        means = [asked.rows(found.theta[i]).mean[:, rows] for i in kept]
        return y[kept][:, rows], np.array(means).reshape(-1, len(names), len(rows))

    parts = plan.in_parts(work, fit, seed)
    check_refits(len(one) for one, _ in parts)
    mean = fit.rows.mean[:, rows]
    means = np.concatenate([one for _, one in parts]) if plan.refits else mean[None]
    return Levels(names, asked.y[rows], mean, np.concatenate([one for one, _ in parts]), means)
