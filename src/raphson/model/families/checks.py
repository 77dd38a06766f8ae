"""What is wrong with a family that a user registers: what it lacks, and what does not follow from its density."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from raphson.compat import jax
from raphson.errors import ModelError, RaphsonError, check_choice
from raphson.model.families import links
from raphson.model.families.base import Family
from raphson.model.families.structure import needed_by
from raphson.numeric import x64

NEEDED = ("inside", "log_density", "expected", "start_mean", "variance", "unit_deviance", "log_base")
"""Methods that every family has to define. Others have defaults, or are refused where they are needed."""

SUPPORTS = ("real", "count", "proportion", "nonnegative", None)

TRIED = (0.3, 0.6, 2.5)
"""Means at which a family is tried, where it has them."""

POINTS = 2001
"""Responses at which a density is summed."""

CLOSE = 1e-3
"""Moments that differ by less are the same: quadrature finds those of a smooth density to 1e-8 or so."""


def check_family(family: Any) -> None:
    """Refuse a class that is not a complete family.

    Raises
    ------
    ModelError
    """
    if not (isinstance(family, type) and issubclass(family, Family)):
        raise ModelError(f"families.register: expected a subclass of rp.families.Family; got {family!r}")
    lacking = [what for what in NEEDED if getattr(family, what) is getattr(Family, what)]
    if lacking and family.rows is Family.rows:
        raise ModelError(
            f"families.register: {family.__name__} lacks the method{'s' * (len(lacking) > 1)} {', '.join(lacking)}; "
            "see docs/add-your-own.md for what each returns"
        )
    if not isinstance(getattr(family, "default_link", None), str):
        raise ModelError(f'families.register: {family.__name__} lacks its default_link, such as default_link = "log"')
    links.resolve(family.default_link)
    check_choice("families.register: support", family.support, SUPPORTS)


def check_moments(kind: type[Family]) -> None:
    """Hold what a family says of its density to the density: each is the mean of something over the responses.

    Of a density f(y | η) the score has the mean 0, and minus the second derivative the mean `expected`; `mean` and
    `variance` are those of y. A density that quadrature does not find to add up to 1 (it has a mass at a point, say) is
    taken as it is.

    Raises
    ------
    ModelError
    """
    try:
        needed: dict[str, Any] = dict.fromkeys(needed_by(kind), 1.5)
        one = kind(**needed)
    except RaphsonError:
        return  # of a parameter that is asked for, 1.5 is no value
    if one.quasi or one.n_predictors > 1 or one.auxiliary:
        return
    low, high = one.link.interval
    with x64(), np.errstate(all="ignore"):
        rows = jax.jit(lambda y, eta: (one.rows(y, eta), one.inside(eta)))
        for mean in TRIED:
            if low < mean < high:
                with suppress(NotImplementedError):  # what is not there is refused where it is asked for
                    _check_at(one, rows, float(one.link.link(np.array([mean]))[0]))


def _check_at(one: Family, rows_at: Any, eta: float) -> None:
    at = np.full((1, POINTS), eta)
    rows, inside = rows_at(np.ones(POINTS), at)
    if not np.asarray(inside).all():
        return
    mean = float(rows.mean[0, 0])
    variance = float(np.asarray(one.variance(np.array([mean])), dtype=float)[0])
    for y, width in _responses(mean, float(np.sqrt(variance))):
        rows, _ = rows_at(y, at)
        mass = width * np.exp(np.asarray(rows.value) + one.log_base(y, np.ones_like(y), None, 1.0))
        there = (mass > 0) & np.isfinite(mass)
        if abs(mass[there].sum() - 1.0) < 1e-6:
            break
    else:
        return

    def over_responses(values: Any) -> float:
        return float(mass[there] @ np.broadcast_to(np.asarray(values), y.shape)[there])

    expected = np.asarray(rows.expected)[0, 0]
    told = {
        "expected": (over_responses(rows.observed[0, 0]), expected[there].mean(), "minus the second derivative by eta"),
        "mean": (over_responses(y), mean, "the response"),
        "variance": (over_responses((y - mean) ** 2), variance, "(y - mean)**2"),
    }
    if abs(over_responses(rows.score[0])) > CLOSE * np.sqrt(abs(told["expected"][0])):
        raise ModelError(
            f"families.register: {type(one).__name__}: the score has the mean {over_responses(rows.score[0]):.6g} over "
            f"the responses at eta = {eta:.4g}, and that of a density is 0; check log_density, log_base and rows"
        )
    for what, (found, given, of) in told.items():
        if not abs(found - given) <= CLOSE * abs(found):
            raise ModelError(
                f"families.register: {type(one).__name__}.{what} is not that of its density: at eta = {eta:.4g} the "
                f"mean of {of} is {found:.6g}; got {given:.6g}"
            )


def _responses(mean: float, sd: float) -> Any:
    """Points and widths, by which a density is summed: over counts, the line, positive numbers and shares.

    On t, of which y is a smooth function that goes to the ends of the support by an exponential, the trapezoidal rule
    converges faster than any power (Trefethen and Weideman 2014, SIAM Review 56, 385).
    """
    t = np.linspace(-20.0, 20.0, POINTS)
    step = t[1] - t[0]
    count = np.arange(float(POINTS))
    yield count, np.ones_like(count)
    yield mean + sd * np.sinh(t), step * sd * np.cosh(t)
    yield np.exp(t), step * np.exp(t)
    share = 1.0 / (1.0 + np.exp(-t))
    yield share, step * share * (1.0 - share)
