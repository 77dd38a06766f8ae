"""Likelihood ratio tests whose distribution under the hypothesis is simulated, from the smaller of two fits."""

from __future__ import annotations

import numpy as np

from raphson.errors import ConvergenceWarning, ModelError, warn_user
from raphson.fit.reading import Reading
from raphson.fit.refitting import draws_of, in_chunks, refits_of, unfolded
from raphson.inference.hypotheses import Test

FEWEST = 19
"""Data sets with which a p-value can be 0.05."""

ROUNDING = 1e-8
"""Share of a log-likelihood by which a ratio may be smaller than that of the data and count as large: its rounding."""


def simulated_ratio(fit: Reading, smaller: Reading, df: int, text: str, n: int, seed: int | None) -> Test:
    """The test of a smaller fit, nested in a fit, by the ratios of n data sets drawn from it.

    Under the hypothesis the data set of the fit is one of the 1 + n, so that (1 + k)/(1 + n) is a p-value in the strict
    sense but for the error of the smaller model's estimates (Davison and Hinkley 1997, section 4.2).

    Raises
    ------
    ModelError
        If one of the fits has no finite maximum, the smaller one cannot be drawn from, or hardly any refit has one.

    Warns
    -----
    ConvergenceWarning
        If some of the refits have no maximum; their data sets are left out.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < FEWEST:
        raise ModelError(f"bootstrap: expected a whole number of data sets, at least {FEWEST}, or 0; got {n!r}")
    for one in (fit, smaller):
        one.check_name("bootstrap")
        if one.state.infinite.any() or not one.converged:
            raise ModelError(
                "bootstrap: expected fits with finite maxima, from which data can be drawn; one of them ended with "
                f"{one.state.status.value!r}"
            )
    own = [one.own_refits for one in (fit, smaller) if one.own_refits is not None]
    for one in own:
        one.check_copies()
    if not own:
        fit, smaller = unfolded(fit), unfolded(smaller)
    statistic = max(2.0 * (fit.llf - smaller.llf), 0.0)
    draw, both = draws_of(smaller, None), (refits_of(fit), refits_of(smaller))
    ones = np.ones(len(fit.at("lr_test").asked.y))

    def work(rng: np.random.Generator, count: int) -> np.ndarray:
        y = draw(rng, count)
        top, below = (one.values(y, one.refit(y, ones, count)) for one in both)
        return 2.0 * (top - below)

    chunk = min(one.chunk for one in both)
    found = np.concatenate(in_chunks(work, int(n), chunk, seed, fit.at("lr_test").asked.executor))
    known = found[~np.isnan(found)]
    if len(known) < FEWEST:
        raise ModelError(
            f"bootstrap: expected data sets to which both models can be fitted; {n - len(known)} of {n} have no "
            "maximum of one of them. Draw more, or compare models with fewer terms"
        )
    if len(known) < n:
        warn_user(
            f"lr_test: {n - len(known)} of {n} data sets are left out, for which one of the models has no maximum",
            ConvergenceWarning,
        )
    least = statistic - ROUNDING * max(abs(fit.llf), 1.0)
    p_value = float((1 + np.count_nonzero(known >= least)) / (1 + len(known)))
    return Test("Likelihood-ratio test", text, statistic, df, None, p_value, smaller.params, draws=len(known))
