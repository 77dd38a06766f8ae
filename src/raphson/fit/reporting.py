"""What a report shows of a fit, gathered: checks, effects, intervals; the page itself is :mod:`raphson.report.html`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from raphson.checks import profiles
from raphson.checks.check import Check
from raphson.errors import RaphsonError, visible
from raphson.fit.checking import SEED, check
from raphson.fit.effects import averages, cheaply_profiled, effects
from raphson.fit.functions import conf_int
from raphson.numeric import in_one_thread
from raphson.report.html import Parts, html_page
from raphson.report.plots import profile_picture
from raphson.report.ratios import ratio_name


@in_one_thread
def page(fit: Any, level: float = 0.95, exponentiate: bool = False) -> str:
    """The report of a Fit as HTML; with `exponentiate`, its coefficients are given as ratios."""
    if exponentiate:
        ratio_name(fit)  # or the reason why there is none
    return html_page(fit, level, replace(gathered(fit, level), ratios=exponentiate))


def gathered(fit: Any, level: float) -> Parts:
    """What the page shows besides the fit; what this kind of fit has not is left out, with the reason."""
    reading = fit._reading
    if not fit.identified:
        return Parts()
    found: dict[str, Any] = {}
    try:
        checks = check(reading, seed=SEED)
        found |= {"checks": checks.found, "draws": checks.n, "seed": SEED}
    except RaphsonError as error:
        found["unchecked"] = f"There is no check by simulated data: {str(error).removeprefix('check: ')}"
    try:
        found["effects"] = effects(reading, level)
        found["averages"] = averages(reading, level) if fit.converged else ()
    except RaphsonError:
        pass
    found["varies"] = reading.shown_varying(level)
    found["ends"], found["profiled"] = _ends(reading, level, "effects" in found)
    if found["profiled"]:
        found["checks"] = (*found.get("checks", ()), *_most_curved(fit, found["ends"], level))
    return Parts(**found)


def _most_curved(fit: Any, ends: np.ndarray, level: float) -> list[Check]:
    """The check of the parameter whose profile is the least symmetric."""
    k = int(np.argmax(profiles.asymmetry(fit._reading.estimates, ends)))
    name = fit.names[k]
    try:
        found = fit.profile(name)
        wald = conf_int(fit._reading, level).loc[name]
    except RaphsonError:
        return []
    picture, (low, high) = profile_picture(found, level), ends[k].tolist()
    ends_of_wald = tuple(wald.to_numpy(dtype=float))
    return [profiles.wald_serves(visible(name), ends_of_wald, (low, high), picture, len(fit.names))]


def _ends(reading: Any, level: float, told: bool) -> tuple[np.ndarray, bool]:
    """(p, 2) intervals of the parameters, by profiles where that takes few readings of the rows; those of effects are
    `told` elsewhere."""
    if cheaply_profiled(reading) and reading.converged and not told:
        try:
            return conf_int(reading, level, kind="profile").to_numpy(dtype=float), True
        except RaphsonError:
            pass
    return conf_int(reading, level).to_numpy(dtype=float), False
