"""What a page tells of coefficients that vary: scales with their intervals, levels in order, smooth functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from raphson.checks.check import p_text
from raphson.checks.pictures import Picture
from raphson.errors import visible
from raphson.report.framing import panel
from raphson.report.varying_pictures import left_out, ratio_of, smooth_picture, swing
from raphson.report.words import counted, figures, listed, name, to

if TYPE_CHECKING:
    import pandas as pd

MOST_PANELS = 12
"""Pictures of smooth functions, and of effects of groups, that are shown at most."""
CLEAR = 0.05
STRAIGHT = 1.1
"""Effective degrees of freedom below which a function of one variable is told as a straight line."""


@dataclass(frozen=True)
class Varies:
    """What varies in a fit.

    Attributes
    ----------
    scales : the table of standard deviations and correlations.
    profiled : whether its intervals are by profiles.
    sizes : the number of levels of each group.
    effects : of each effect of each group its group, its name, a finding, and its picture.
    curves : the smooth functions, of :class:`raphson.fit.varying.curves.Curve`.
    shares : R² and the intraclass correlations, as pairs of a label and a number; none where they are not defined.
    criterion : which was maximised.
    """

    scales: pd.DataFrame
    profiled: bool
    sizes: dict[str, int]
    effects: Sequence[tuple[str, str, str, Picture]] = ()
    curves: Sequence[Any] = ()
    shares: dict[str, float] = field(default_factory=dict)
    criterion: str = ""


@dataclass(frozen=True)
class Clause:
    """What the headline says of a term: its p-value, and the words for where it is clear."""

    p_value: float
    text: str


def clauses(curves: Sequence[Any], scale: Any) -> dict[str, Clause]:
    """A clause for each smooth function, in HTML."""
    return {one.term: Clause(one.p_value, _clause(one, scale)) for one in curves}


def _clause(curve: Any, scale: Any) -> str:
    many = scale.plural
    level = curve.term.partition("[")[2].rstrip("]") if "[" in curve.term else ""
    where = f" where {name(curve.term.rpartition(':')[2].partition('[')[0])} is {name(level)}" if level else ""
    if len(curve.variables) > 1:
        return f"{'vary' if many else 'varies'} over {listed([name(one) for one in curve.variables])} together{where}"
    x = name(curve.variables[0])
    if curve.edf < STRAIGHT:
        up = curve.fit[-1] > curve.fit[0]
        verb = ("rise" if up else "fall") + ("" if many else "s")
        return f"{verb} with {x}{where}"
    low, high, size = swing(curve)
    far = f"{figures(ratio_of(size))} times as high" if scale.ratio else f"{figures(size)} higher"
    lowest, highest = (figures(float(curve.points[k, 0]), 3) for k in (low, high))
    verb, than = "follow" if many else "follows", "as" if scale.ratio else "than"
    return f"{verb} a curve over {x}{where}, {far} at {highest} {than} at {lowest}"


def lede(varies: Varies) -> list[str]:
    """Sentences under the headline: how much the levels of groups differ."""
    every: list[Any] = list(varies.scales.itertuples(index=False))
    rows = [row for row in every if row.kind == "sd"]
    found = []
    for group, count in varies.sizes.items():
        own = [row for row in rows if row.group == group]
        if all(row.estimate == 0.0 for row in own):
            most = max((float(row.upper) for row in own), default=math.nan)
            limit = f", and at most {figures(most)} ({_how(varies)})" if math.isfinite(most) else ""
            found.append(
                f"Nothing tells the {count:,} levels of {name(visible(group))} apart: their standard deviation is 0"
                f"{limit}."
            )
            continue
        share = varies.shares.get(f"ICC {group}", math.nan)
        if math.isfinite(share) and len(own) == 1:
            found.append(
                f"Of the variance that the covariates leave, {figures(100 * share)}% is between the {count:,} levels "
                f"of {name(visible(group))}."
            )
            continue
        told = [
            f"{figures(row.estimate)} ({to(row.lower, row.upper)}) for {name(visible(row.term or 'Intercept'))}"
            for row in own
            if row.estimate > 0
        ]
        found.append(
            f"The {count:,} levels of {name(visible(group))} differ, with standard deviations of {listed(told)}."
        )
    return [f"<p class='lede'>{' '.join(found)}</p>"] if found else []


def _how(varies: Varies) -> str:
    return "95% profile" if varies.profiled else "95% Wald"


def section(varies: Varies, level: float, quantity: str) -> list[str]:
    """The section of the page: the table of scales, levels in order, and the smooth functions."""
    return [*_groups(varies, level), *_smooths(varies, level, quantity)]


def _groups(varies: Varies, level: float) -> list[str]:
    smooth = {curve.term for curve in varies.curves}
    rows: list[Any] = list(varies.scales.itertuples(index=False))
    rows = [row for row in rows if row.group not in smooth]
    rows = [row for row in rows if row.group in varies.sizes or row.group == "residual"]
    if not varies.sizes:
        return []
    counts = listed([f"{count:,} {escape(visible(group))}" for group, count in varies.sizes.items()])
    table = _table(rows, level, varies.profiled)
    varying = {(row.group, row.term) for row in rows if row.kind == "sd" and row.estimate > 0}
    shown = [one for one in varies.effects if one[:2] in varying]
    shown = [(group, finding, picture) for group, _, finding, picture in shown]
    panels = [
        panel(
            finding,
            picture,
            f"Effects of the levels in order{f', with {100 * level:g}% intervals' if picture.ticks else ''}. Shaded: "
            "where they would lie (95%) if effects were normal with the estimated deviation.",
        )
        for _, finding, picture in shown[:MOST_PANELS]
    ]
    more = len(shown) - MOST_PANELS
    note = f"<p class='note'>{more} more effects: fit.random_effects() has all of them.</p>" if more > 0 else ""
    return [
        f"<section id='groups'><h2>How the groups differ</h2><p class='note'>Levels: {counts}.</p>{table}"
        f"<div class='panels'>{''.join(panels)}</div>{note}</section>"
    ]


def _table(rows: Sequence[Any], level: float, profiled: bool) -> str:
    lines = []
    for row in rows:
        kind = "correlation" if row.kind == "corr" else "standard deviation"
        what = visible(f"{row.group}: {row.term}" if row.term else row.group)
        edge = row.estimate == 0.0 if row.kind == "sd" else abs(row.estimate) == 1.0
        error = "at the edge" if edge else f"± {figures(row.std_error)}" if math.isfinite(row.std_error) else "no error"
        known = math.isfinite(row.lower) and math.isfinite(row.upper)
        interval = to(row.lower, row.upper) if known else "none"
        estimate = "not defined" if math.isnan(row.estimate) else figures(row.estimate)
        lines.append(
            f"<tr><th scope='row'>{escape(what)}</th><td class='cmp'>{kind}, {error}</td>"
            f"<td class='wk'>{_line(row, known)}</td><td class='n est'>{estimate}</td><td class='n'>{interval}</td>"
            "</tr>"
        )
    how = f"{100 * level:g}% {'profile' if profiled else 'Wald'} intervals"
    head = (
        "<thead><tr><th scope='col'>what varies</th><th scope='col'>standard error</th>"
        "<th scope='col' class='wk'><span class='sr'>interval as a line</span></th>"
        f"<th scope='col' class='n'>estimate</th><th scope='col' class='n'>{100 * level:g}% interval</th></tr></thead>"
    )
    at_edge = any(row.estimate == 0.0 if row.kind == "sd" else abs(row.estimate) == 1.0 for row in rows)
    edge = " At the edge there is no error: the estimate is the answer, and the other numbers are of the model with it."
    caption = (
        f"Standard deviations and correlations, with {how}. A line begins at 0; that of a correlation goes from −1 "
        f"to 1.{edge if at_edge else ''}"
    )
    body = f"<caption>{caption}</caption>{head}<tbody>{''.join(lines)}</tbody>"
    return f"<div class='tab'><table class='rows'>{body}</table></div>"


def _line(row: Any, known: bool) -> str:
    """The interval in percent of the column: from 0, or from −1 to 1."""
    if math.isnan(row.estimate):
        return ""
    top = max(float(row.estimate), float(row.upper) if known else 0.0) or 1.0
    low, high = (-1.0, 1.0) if row.kind == "corr" else (0.0, 1.05 * top)

    def at(value: float) -> float:
        return 3.0 + 94.0 * (value - low) / (high - low)

    none = f"<line class='none' x1='{at(0.0):.2f}%' x2='{at(0.0):.2f}%' y1='0' y2='100%'/>"
    line = (
        f"<line class='line' x1='{at(row.lower):.2f}%' x2='{at(row.upper):.2f}%' y1='50%' y2='50%'/>" if known else ""
    )
    dot = f"<circle class='dot' cx='{at(row.estimate):.2f}%' cy='50%' r='4'/>"
    return f"<svg class='marks' aria-hidden='true'>{none}{line}{dot}</svg>"


def _smooths(varies: Varies, level: float, quantity: str) -> list[str]:
    if not varies.curves:
        return []
    panels = [panel(_finding(one), smooth_picture(one), _caption(one)) for one in varies.curves[:MOST_PANELS]]
    more = len(varies.curves) - MOST_PANELS
    rest = f"<p class='note'>{counted(more, 'more function')}: fit.smooth_curves() has all.</p>" if more > 0 else ""
    percent = f"{100 * level:g}%"
    note = (
        f"On the scale of the {quantity}, with mean 0 over the rows. Dark shade: {percent} for each value; light "
        f"shade: {percent} for the whole function; both count that the penalty's strength is estimated. Dots: partial "
        "residuals."
    )
    if any(len(one.variables) > 1 for one in varies.curves):
        note += " Of a function of two variables, lines are its values, blue above 0, and dots the rows."
    return [
        f"<section id='smooths'><h2>The smooth functions</h2><p class='note'>{escape(note)}</p>"
        f"<div class='panels'>{''.join(panels)}</div>{rest}</section>"
    ]


def _finding(curve: Any) -> str:
    term = visible(curve.term)
    if not curve.p_value < CLEAR:
        return f"{term}: no clear effect"
    if len(curve.variables) > 1:
        return f"{term}: a surface"
    return f"{term}: a straight line" if curve.edf < STRAIGHT else f"{term}: a curve"


def _caption(curve: Any) -> str:
    flat = "line" if len(curve.variables) == 1 else "surface"
    told = f"{figures(curve.edf)} effective degrees of freedom; test of a flat {flat}: {p_text(curve.p_value)}."
    beyond = left_out(curve)
    more = f" {counted(beyond, 'residual lies', 'residuals lie')} beyond the axis." if beyond else ""
    return told + more


def numbers(varies: Varies) -> list[tuple[str, str, str]]:
    """R², the intraclass correlation and the conditional AIC, as a label, a value and what is small beside it."""
    found = []
    shares = varies.shares
    if "R² marginal" in shares:
        small = f"with the groups {figures(shares['R² conditional'])}" if varies.sizes else ""
        found.append(("R²", figures(shares["R² marginal"]), small))
    if "ICC" in shares:
        found.append(("Intraclass correlation", figures(shares["ICC"]), "of what the covariates leave"))
    if "conditional AIC" in shares:
        small = f"{figures(shares['conditional df'], 3)} degrees of freedom"
        found.append(("Conditional AIC", f"{shares['conditional AIC']:,.1f}".replace("-", "−"), small))
    return found


def method(varies: Varies) -> str:
    """How the scales were chosen, in words."""
    restricted = varies.criterion.startswith("REML")
    how = {
        "(Laplace)": "by Laplace's approximation",
        "nodes)": "by Gauss-Hermite quadrature",
    }
    by = next((text for ending, text in how.items() if varies.criterion.endswith(ending)), "exactly")
    what = ["standard deviations and correlations"] if varies.sizes else []
    what += ["strengths of the penalties"] if varies.curves else []
    over = "the effects that vary and all other coefficients" if restricted else "the effects that vary"
    title = "REML, the likelihood of" if restricted else "the likelihood of"
    return f"The {listed(what)} maximise {title} the responses with {over} integrated out {by}."
