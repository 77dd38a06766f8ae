"""Checks of the residuals: their distribution, their local means, their spread, and what single rows do."""

from __future__ import annotations

import numpy as np

from raphson import scipy_special as special
from raphson.checks.check import Check, p_text
from raphson.checks.envelopes import Envelope, envelope
from raphson.checks.pictures import Mark, Picture, some
from raphson.checks.simulated import Simulated
from raphson.checks.smoothing import local_mean

RESIDUAL = "quantile residual"
POINTS = 150
"""Points of a curve of sorted residuals."""
FARTHEST = 10
"""Rows shown of those that move the estimates most."""
DECIDES = 1.0
"""Standard errors by which a row has to move a coefficient to be named, however probable that is under the model."""


def distribution(rows: Simulated) -> Check:
    """The sorted residuals, less those expected of a normal sample."""
    n = rows.n
    chosen = some(n, POINTS)
    if n > POINTS:  # the tails whole: there the rows are that matter
        chosen = np.union1d(chosen, np.r_[0:10, n - 10 : n])
    expected = special.ndtri((chosen + 0.5) / n)
    own = np.sort(rows.data.residual)[chosen] - expected
    others = np.sort(rows.drawn.residual, axis=1)[:, chosen] - expected
    found = envelope(own, others)
    picture = _beside_normal("residual", expected, own, found)
    doubt = (
        f"Sorted residuals leave what simulated ones show ({p_text(found.p_value)}): intervals for new rows mislead."
    )
    return Check(
        "residuals",
        "Residuals as expected" if found.passed else "Residuals not as expected",
        found.passed,
        found.p_value,
        float(own[found.worst]),
        f"Randomised quantile residuals, sorted. Shaded: where each lies in {_of_simulated(rows)}; as a whole, "
        f"{p_text(found.p_value)}.",
        picture,
        "distribution of the residuals",
        "" if found.passed else doubt,
    )


def _beside_normal(what: str, expected: np.ndarray, own: np.ndarray, found: Envelope) -> Picture:
    """What lies beside the order statistics that a normal sample is expected to have."""
    return Picture(
        f"expected {what} (normal)",
        f"{what} minus expected",
        (
            _shade(expected, found),
            Mark("level", "soft", y=np.zeros(1)),
            *_dots(expected, own, found.outside & ~np.bool_(found.passed)),
        ),
    )


def effects(rows: Simulated, name: str) -> Check:
    """The sorted effects of a group's levels, of mean 0 and variance 1, less those expected of a normal sample."""
    data, drawn = (_shaped(one) for one in rows.effects[name])
    expected = special.ndtri((np.arange(len(data)) + 0.5) / len(data))
    own, others = np.sort(data) - expected, np.sort(drawn, axis=1) - expected
    found = envelope(own, others)
    picture = _beside_normal("effect", expected, own, found)
    return Check(
        f"effects: {name}",
        f"Effects of {name} as expected" if found.passed else f"Effects of {name} not normal",
        found.passed,
        found.p_value,
        float(own[found.worst]),
        f"Modes of the effects, sorted, of mean 0 and variance 1. Shaded: where each lies in {_of_simulated(rows)}; as "
        f"a whole, {p_text(found.p_value)}.",
        picture,
        f"distribution of the effects of {name}",
        ""
        if found.passed
        else f"The effects of {name} are not those of a normal distribution ({p_text(found.p_value)}): look at single "
        "levels.",
    )


def _shaped(values: np.ndarray) -> np.ndarray:
    """Values of mean 0 and variance 1 along the last axis; 0 where they do not vary."""
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True))
    return centred / np.where(spread > 0, spread, 1.0)


def straight(
    rows: Simulated, x: np.ndarray, name: str, label: str | None = None, own_x: np.ndarray | None = None
) -> Check:
    """The local mean of the residuals over a covariate, or over the fitted values.

    `own_x` (B, n) are those of the simulated data sets where these have others.
    """
    at, own, found, (shade, *marks) = _local_means(x, rows.data.shape, rows.drawn.shape, own_x)
    zero = Mark("level", "soft", y=np.zeros(1))
    picture = Picture(label or name, RESIDUAL, (shade, zero, *marks), y_range=_range(rows.data.shape))
    title = f"Straight in {name}" if found.passed else f"Not straight in {name}"
    where = float(at[found.worst])
    doubt = f"Residuals drift near {name} = {where:.4g} ({p_text(found.p_value)}): a curved term may fit better."
    return Check(
        f"straight: {name}",
        title,
        found.passed,
        found.p_value,
        _but_rounding(own[found.worst]),
        f"Line: local mean. Shaded: where it lies in {_of_simulated(rows)}; over the whole range, "
        f"{p_text(found.p_value)}.",
        picture,
        f"curvature in {name}",
        "" if found.passed else doubt,
    )


def spread(rows: Simulated, x: np.ndarray, label: str, own_x: np.ndarray | None = None) -> Check:
    """The local mean of the residuals' size over the fitted values, of simulated data sets over `own_x` (B, n)."""
    at, own, found, marks = _local_means(x, np.abs(rows.data.shape), np.abs(rows.drawn.shape), own_x)
    picture = Picture(label, f"size of the {RESIDUAL}", marks, y_range=(0.0, _range(rows.data.shape)[1]))
    wider = own[found.worst] > found.middle[found.worst]
    title = "Spread as expected" if found.passed else "Spread not even"
    doubt = (
        f"Residuals spread {'more' if wider else 'less'} than they should near {label} = {at[found.worst]:.4g} "
        f"({p_text(found.p_value)}): use cov='HC3', or model the spread."
    )
    return Check(
        "spread",
        title,
        found.passed,
        found.p_value,
        float(own[found.worst]),
        f"Line: local mean of the residuals' size. Shaded: where it lies in {_of_simulated(rows)}; over the whole "
        f"range, {p_text(found.p_value)}.",
        picture,
        "spread of the residuals",
        "" if found.passed else doubt,
    )


def even(rows: Simulated, codes: np.ndarray, labels: tuple[str, ...], name: str) -> Check:
    """The mean residual of each level of a factor."""
    counts = np.bincount(codes, minlength=len(labels))
    used = np.flatnonzero(counts)[:MOST_LEVELS]
    member = (codes[None, :] == used[:, None]) / counts[used][:, None]
    own, others = rows.data.shape @ member.T, rows.drawn.shape @ member.T
    found = envelope(own, others, least=_least(member))
    place = np.arange(len(used), dtype=float)
    dots = some(rows.n)
    dots = dots[np.isin(codes[dots], used)]
    # Rows of a level side by side, in the order of the data: no random numbers in a picture.
    aside = 0.5 * ((np.arange(len(dots)) * 0.618034) % 1.0 - 0.5)
    picture = Picture(
        name,
        RESIDUAL,
        (
            Mark("bars", "shade", place, found.lower, found.upper, width=0.8),
            Mark("level", "soft", y=np.zeros(1)),
            Mark("dots", "data", np.searchsorted(used, codes[dots]) + aside, rows.data.shape[dots]),
            Mark("bars", "data", place, own - _THICK, own + _THICK, width=0.7),
            *([Mark("dots", "doubt", place[found.outside], own[found.outside])] if not found.passed else []),
        ),
        ticks=tuple((float(k), labels[level]) for k, level in enumerate(used)),
        y_range=_range(rows.data.shape),
    )
    title = f"Even over {name}" if found.passed else f"Uneven over {name}"
    level = labels[used[found.worst]]
    doubt = (
        f"Residuals of {level} are off by {own[found.worst]:.2g} ({p_text(found.p_value)}): interactions may matter."
    )
    return Check(
        f"even: {name}",
        title,
        found.passed,
        found.p_value,
        _but_rounding(own[found.worst]),
        f"Blue bar: mean of a level. Shaded: where it lies in {_of_simulated(rows)}; all levels, "
        f"{p_text(found.p_value)}.",
        picture,
        f"levels of {name}",
        "" if found.passed else doubt,
    )


def influence(rows: Simulated) -> Check | None:
    """How far the rows that move a coefficient most do so, if each is left out."""
    if rows.data.moves is None or rows.drawn.moves is None:
        return None
    order = np.argsort(-rows.data.moves, kind="stable")[:FARTHEST]
    own = rows.data.moves[order]
    others = -np.sort(-rows.drawn.moves, axis=1)[:, : len(order)]
    found = envelope(own, others)
    passed = found.passed or own[0] < MATTERS
    if own[0] > DECIDES and found.p_value < 0.05:
        passed = False
    place = np.arange(len(order), dtype=float)
    names = [rows.labels[k] for k in order]
    picture = Picture(
        "row left out",
        "largest move of a coefficient (std. errors)",
        (
            Mark("band", "shade", place, found.lower, found.upper, steps=True),
            Mark("stems", "data", place, own),
            *([] if passed else [Mark("dots", "doubt", place[:1], own[:1], label=names[0])]),
        ),
        ticks=tuple((float(k), name[:6]) for k, name in enumerate(names)),
        y_range=(0.0, 1.15 * float(max(own[0], found.upper.max(initial=0.0), 0.1))),
    )
    title = "No row decides the result" if passed else f"Row {names[0]} pulls"
    return Check(
        "influence",
        title,
        passed,
        found.p_value,
        float(own[0]),
        f"Each row left out in turn, by one Newton step. Without row {names[0]} a coefficient moves by {own[0]:.2g} "
        f"standard errors. Shaded: what {_of_simulated(rows)} show.",
        picture,
        "influence of single rows",
        "" if passed else f"Without it a coefficient moves by {own[0]:.2g} standard errors: look at that row.",
    )


MATTERS = 0.6
"""Standard errors below which the move of a coefficient is not worth a flag, however rare it is under the model."""

MOST_LEVELS = 12
"""Levels of a factor shown in one picture."""

_THICK = 0.03


def _local_means(
    x: np.ndarray, values: np.ndarray, simulated: np.ndarray, own_x: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, Envelope, tuple[Mark, ...]]:
    """Local means over x of values (n,): where, what, how they lie among `simulated` ones (B, n), and their marks."""
    smooth = local_mean(x)
    own = smooth.of(values)
    others = smooth.of(simulated) if own_x is None else smooth.over(own_x, simulated)
    found = envelope(own, others, least=_least(smooth.weights))
    dots = some(len(x))
    marks = (
        _shade(smooth.x, found),
        Mark("dots", "data", x[dots], values[dots]),
        Mark("line", "data", smooth.x, own),
        *_outside(smooth.x, own, found),
    )
    return smooth.x, own, found, marks


def _least(weights: np.ndarray) -> np.ndarray:
    """The smallest half-width that counts, of means with these weights (m, n): a tenth of their standard deviation."""
    return 0.1 * np.sqrt(np.sum(weights * weights, axis=1))


def _but_rounding(mean: float) -> float:
    """A mean of residuals, which have the variance 1; 0 where it is held at 0, as that of a factor's level is."""
    return float(mean) if abs(mean) > 1e-12 else 0.0


def _of_simulated(rows: Simulated) -> str:
    return f"95 of 100 data sets simulated from this fit{'' if rows.refitted else ', not refitted'}"


def _shade(x: np.ndarray, found: Envelope) -> Mark:
    return Mark("band", "shade", x, found.lower, found.upper)


def _dots(x: np.ndarray, y: np.ndarray, outside: np.ndarray) -> tuple[Mark, ...]:
    marks = [Mark("dots", "data", x[~outside], y[~outside])]
    if outside.any():
        marks.append(Mark("dots", "doubt", x[outside], y[outside]))
    return tuple(marks)


def _outside(x: np.ndarray, y: np.ndarray, found: Envelope) -> tuple[Mark, ...]:
    if found.passed or not found.outside.any():
        return ()
    return (Mark("dots", "doubt", x[found.outside], y[found.outside]),)


def _range(residual: np.ndarray) -> tuple[float, float]:
    reach = max(3.0, min(1.05 * float(np.max(np.abs(residual), initial=0.0)), 8.0))
    return -reach, reach
