"""Warnings about a fitted curve, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.messages import listing
from raphson.linalg import column_squares
from raphson.model.curve.identification import UnidentifiedDirection, describe, without_error
from raphson.model.curve.label_switching import equally_good
from raphson.model.families.robust import Robust
from raphson.model.glm.glm import PERFECT
from raphson.model.objective import Evaluation, Need

STILL = 1e-3
"""How far a curve may move when a diverged parameter doubles, in residual standard deviations. ℓ/φ changes by half the
square of that, 5e-7."""

NOTHING_GAINED = 1.0 - 1e-6
"""A curve that leaves more than this share of the response's variation explains nothing. Fitted to noise alone p
parameters explain about p/n of it, more than 1e-6 up to a million rows."""

SLIGHT = 1e-6
"""How far noise of the function may move the estimates without a warning, in standard errors."""

FURTHER = 100.0
"""Factor by which a suspected parameter is multiplied to see whether the curve still fits."""


@dataclass(frozen=True)
class Variation:
    """How much of the variation of a response a curve leaves.

    Attributes
    ----------
    level : weighted mean of the response; NaN where no row counts.
    total, left : weighted sums of squares about it, and about the curve.
    varies : whether the curve is anything but that mean.
    """

    level: float
    total: float
    left: float
    varies: bool

    @staticmethod
    def of(weight: np.ndarray, y: np.ndarray, fitted: np.ndarray) -> Variation:
        """That of rows (n,)."""
        count = weight.sum()
        if not count > 0:
            return Variation(np.nan, 0.0, 0.0, False)
        level = float(weight @ y / count)
        varies = float(np.ptp(fitted)) > 0 or not np.isclose(fitted[0], level, rtol=1e-9)
        return Variation(level, float(weight @ (y - level) ** 2), float(weight @ (y - fitted) ** 2), bool(varies))


def remarks(
    model: Any,
    result: Any,
    directions: list[UnidentifiedDirection],
    R: np.ndarray,
    dispersion: float,
    cov: str,
    met: Sequence[np.ndarray] = (),
) -> Iterator[str]:
    """Yield the warnings, the most important first.

    Parameters
    ----------
    model, result : the curve, and where its iteration ended.
    directions : directions that the data do not identify.
    R : (m, p), RᵀR = JᵀWJ + P.
    dispersion : φ̂.
    cov : kind of covariance that the standard errors come from.
    met : other points at which a search found ℓ as high.
    """
    names, theta = model.names, result.theta
    yield from _unidentified(directions, names, theta)
    if not dispersion > PERFECT * model.squares / model.objective.n_rows:
        yield (
            "the curve passes through the data up to rounding: standard errors, tests and intervals measure that "
            "rounding, not how well noisy data would determine the parameters"
        )
    yield from _explains_nothing(model, result.evaluation)
    yield from _noise(model, result)
    known = ~without_error(directions, len(theta))
    if known.all() and result.status.converged:
        yield from _equivalent_points(model, theta, met, np.sqrt(dispersion) / np.sqrt(column_squares(R)))
    yield from _runaway(model, result, R, dispersion, known)
    yield from _at_kink(model, result)
    yield from _at_bounds(model, result)
    held = [name for name, moved in zip(names, model.movable, strict=True) if not moved]
    if held:
        yield f"{listing(held)}: held by fixed=, so that {'they have' if len(held) > 1 else 'it has'} no standard error"
    if isinstance(model.family, Robust):
        yield (
            f"the loss is {model.family.name}'s, with the scale {float(model.family.scale):.5g}: standard errors are "
            f"{_spread(cov)}, and llf, aic and bic are NaN, since the loss is not a likelihood"
        )
    if model.transformed:
        yield (
            f"the response is {model.data.response.name}: residuals, predictions, standard errors and llf are on its "
            "scale, and llf cannot be compared with that of another response"
        )
    if model.penalty is not None:
        yield (
            "with a penalty the standard errors measure the variation of the penalised estimates and leave out their "
            "bias; llf is without the penalty"
        )


def _spread(cov: str) -> str:
    if cov == "model":
        return "those of the loss treated as a likelihood"
    return f"by the sandwich ({cov})"


def _unidentified(directions: list[UnidentifiedDirection], names: tuple[str, ...], theta: np.ndarray) -> Iterator[str]:
    for direction in directions:
        words = describe(direction, names, theta)
        who = [names[j] for j in np.flatnonzero(direction.involved)]
        if direction.exact and len(who) == 1:
            yield (
                f"the data do not determine {words}: near the estimate no row's prediction depends on it; its standard "
                "error is NaN. Hold it with fixed=, or leave it out"
            )
        elif direction.exact:
            yield (
                f"the data do not determine {words}: the sum of squares is the same whatever the share of each, and "
                "their standard errors are NaN. Hold one of them with fixed=, or write the curve with fewer parameters"
            )
        else:
            sizes = [f"{name} ± {abs(direction.step[names.index(name)]):.3g}" for name in who]
            yield (
                f"the data hardly determine {words}: a flat valley, in which one standard error is {', '.join(sizes)}. "
                "Trust profiles rather than Wald intervals; add data that distinguish them, or hold one with fixed="
            )


def _equivalent_points(model: Any, theta: np.ndarray, met: Sequence[np.ndarray], errors: np.ndarray) -> Iterator[str]:
    """Other parameters that fit equally well: the terms of a sum, or the rates of a chain, in another order."""
    if model.penalty is not None:
        return  # a penalty prefers one of two equal curves
    zero, part = np.zeros_like(theta), model.sample
    here = theta if part is model else part.objective.moved(theta, zero)
    others = equally_good(
        here,
        np.flatnonzero(model.movable & ~model.projected),
        lambda there: part.objective.moved(there, zero),
        part.fitted,
        met,
        errors,
    )
    if not others:
        return
    if part is not model:
        others = [model.objective.moved(there, zero) for there in others]
    differs = np.flatnonzero(np.abs(others[0] - theta) > 1e-6 * np.abs(theta))
    where = ", ".join(f"{model.names[j]} = {others[0][j]:.4g}" for j in differs)
    given = not np.isnan(model.initial[~model.projected]).any()
    shown = "the one nearer to start=" if given else "one of them"
    yield (
        f"the curve fits as well with {where}"
        + (f", and at {len(others) - 1} more such points" if len(others) > 1 else "")
        + f": the data cannot decide between them, and {shown} is shown"
    )


def _explains_nothing(model: Any, there: Evaluation) -> Iterator[str]:
    """A curve that explains no more than the mean: the wrong curve, or a failed search."""
    found = model.variation(there)
    if found.varies and found.total > 0 and found.left >= NOTHING_GAINED * found.total:
        yield (
            "the curve explains no more of the response than a constant would: either it is the wrong curve for these "
            "data, or a better minimum exists; give other starting values"
        )


def _noise(model: Any, result: Any) -> Iterator[str]:
    """How far the noise of a function that JAX cannot trace may move the estimates."""
    distance = result.evaluation.noise_distance
    if distance < SLIGHT:
        return
    relative = model.likelihood.with_noise.relative(result.theta)
    off = f"are off by about {relative:.1g} of their size" if relative > 1e-14 else "jump as the parameters move"
    yield (
        f"the function is noisy: its values {off}, which moves the estimates by up to {distance:.1g} standard errors"
        + ("" if result.status.converged else ", too much to locate the minimum")
        + ". For more digits, let it return unrounded values in double precision, tighten a solver's tolerances, or "
        "average more runs"
    )


def _runaway(model: Any, result: Any, R: np.ndarray, dispersion: float, known: np.ndarray) -> Iterator[str]:
    """Parameters that diverge, or on which the curve does not depend at the estimate."""
    if not dispersion > 0:
        return
    theta, value = result.theta, result.evaluation.value
    length = np.sqrt(column_squares(R))
    effect = np.abs(theta) * length

    def fall(j: int, change: float) -> float:
        """By how much ℓ falls when parameter j changes by `change`."""
        step = np.zeros_like(theta)
        step[j] = change
        with np.errstate(all="ignore"):
            there = model.objective.evaluate(model.objective.moved(theta, step), Need())
        return value - there.value if there.finite else np.inf

    def loss(j: int, factor: float) -> float:
        """By how much ℓ falls when parameter j is multiplied by `factor`."""
        return fall(j, (factor - 1.0) * theta[j])

    def placed(j: int) -> bool:
        """Whether one standard error either way lowers ℓ by about ½φ̂, as in a linear model: an estimate near 0."""
        if not length[j] > 0:
            return False
        error = np.sqrt(dispersion) / length[j]
        return all(0.1 * dispersion < fall(j, way * error) < 2.0 * dispersion for way in (-1.0, 1.0))

    # A parameter that the curve is linear in does not diverge: it is near 0, and its standard error says how near.
    moving = result.free & ~model.conditionally_linear
    for j in np.flatnonzero(moving & (theta != 0) & (effect < STILL * np.sqrt(dispersion))):
        name = model.names[j]
        if loss(int(j), FURTHER) <= 0.01 * dispersion < loss(int(j), 1e-6):
            yield (
                f"{name} runs to infinity: the curve fits as well at {name} = {FURTHER * theta[j]:.3g} as at "
                f"{theta[j]:.3g}, so the data only give a bound"
            )
        elif known[j] and not placed(int(j)):
            yield (f"the curve does not change with {name} near {name} = {theta[j]:.6g}: the data do not determine it")


def _at_kink(model: Any, result: Any) -> Iterator[str]:
    if result.face is None:
        return
    there = np.flatnonzero(result.face.affected)
    where = listing([f"{model.names[j]} = {result.theta[j]:.6g}" for j in there])
    several = len(there) > 1
    yield (
        f"the sum of squares has a kink at {where}, where the curve's kink meets a data point: it rises on both sides, "
        f"and {'they have' if several else f'{model.names[there[0]]} has'} no standard error (NaN). The other "
        f"standard errors are those of a fit that holds {'them' if several else 'it'} there; profile intervals remain "
        'valid: conf_int(kind="profile")'
    )


def _at_bounds(model: Any, result: Any) -> Iterator[str]:
    held = np.flatnonzero(result.at_bound)
    if not len(held):
        return
    low, _ = model.box
    where = [
        f"{model.names[j]} at its {'lower' if result.theta[j] == low[j] else 'upper'} bound {result.theta[j]:.6g}"
        for j in held
    ]
    several = len(held) > 1
    yield (
        f"{', '.join(where)}: {'they have' if several else 'it has'} no standard error (NaN), and the other standard "
        f"errors, like llf, are those of a fit that holds {'them' if several else 'it'} there"
    )
