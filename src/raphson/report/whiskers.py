"""Tables whose rows carry their interval as a line: effects on one axis, or parameters each on its own.

The lines are SVG in percent, so that they fit a column of any width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from raphson.checks.check import p_value
from raphson.report.words import figures, to

MOST_ROWS = 40
"""Rows of a table of effects that are shown at once; the others are folded."""


def effects_table(found: Any, level: float) -> str:
    """The effects, a row each, on one axis."""
    ratio = found.scale.ratio
    axis = _Axis.of([v for r in found.rows for v in (r.lower, r.estimate, r.upper) if math.isfinite(v)], ratio)
    how = "profile" if found.profiled else "Wald"
    caption = (
        f"{found.scale.name[:1].upper()}{found.scale.name[1:]}s of the {escape(found.scale.quantity)}, with "
        f"{100 * level:g}% {how} intervals. Numbers are compared at their quartiles, other covariates held. p: "
        f"{'likelihood ratio' if found.by_ratio else 'Wald test'} of the whole term."
    )
    head = (
        "<thead><tr><th scope='col'>term</th><th scope='col'>compared</th>"
        f"<th scope='col' class='wk'><span class='sr'>interval as a line</span>{axis.ticks()}</th>"
        f"<th scope='col' class='n'>{escape(found.scale.name)}</th>"
        f"<th scope='col' class='n'>{100 * level:g}% interval</th><th scope='col' class='n'>p</th></tr></thead>"
    )
    lines = []
    for term, rows in found.by_term.items():
        several = len(rows) > 1
        if several:
            lines.append(
                f"<tr><th scope='row'>{escape(term)}</th><td class='cmp'></td><td class='wk'>{axis.marks()}</td>"
                f"<td class='n est'></td><td class='n'></td><td class='n p'>{p_value(rows[0].p_value)}</td></tr>"
            )
        lines += [_line(row, axis, several) for row in rows]
    return _table(caption, head, lines)


def _table(caption: str, head: str, lines: list[str]) -> str:
    """The table, with the rows beyond the first ones folded."""
    found = []
    for part, title in ((lines[:MOST_ROWS], caption), (lines[MOST_ROWS:], "The other rows")):
        body = f"<caption>{title}</caption>{head}<tbody>{''.join(part)}</tbody>"
        found.append(f"<div class='tab'><table class='rows'>{body}</table></div>")
    rest = len(lines) - MOST_ROWS
    return found[0] if rest <= 0 else f"{found[0]}<details><summary>{rest} more rows</summary>{found[1]}</details>"


def _line(row: Any, axis: _Axis, level: bool) -> str:
    reference = row.kind == "reference"
    interval = "reference" if reference else _interval(row.lower, row.upper)
    p = "" if level else p_value(row.p_value)
    return (
        f"<tr{' class=level' if level else ''}><th scope='row'>{escape(row.label)}</th>"
        f"<td class='cmp'>{escape(row.compared)}</td>"
        f"<td class='wk'>{axis.marks(row.lower, row.estimate, row.upper, reference)}</td>"
        f"<td class='n est'>{_number(row.estimate)}</td><td class='n'>{interval}</td><td class='n p'>{p}</td></tr>"
    )


def _number(value: float) -> str:
    return "not estimated" if math.isnan(value) else figures(value)


def _interval(lower: float, upper: float) -> str:
    return "none" if math.isnan(lower) and math.isnan(upper) else to(lower, upper)


class _Axis:
    """An axis in percent of its column, linear or logarithmic."""

    def __init__(self, low: float, high: float, ratio: bool) -> None:
        self.low, self.high, self.ratio = low, high, ratio

    @staticmethod
    def of(values: Sequence[float], ratio: bool) -> _Axis:
        """The axis of some values, no effect among them; a ratio's reaches from 1/64 to 64 at most."""
        if ratio:
            logs = [math.log2(v) for v in values if v > 0 and math.isfinite(math.log2(v))]
            low, high = min([*logs, -0.5]), max([*logs, 0.5])
            return _Axis(max(low, -6.0) - 0.1, min(high, 6.0) + 0.1, True)
        low, high = min([*values, 0.0]), max([*values, 0.0])
        edge = 0.04 * (high - low) or 1.0
        return _Axis(low - edge, high + edge, False)

    def at(self, value: float) -> float:
        """Percent from the left, cut at the ends."""
        if self.ratio:
            value = math.log2(value) if 0 < value < math.inf else math.copysign(math.inf, value - 1.0)
        share = (value - self.low) / (self.high - self.low) if math.isfinite(value) else float(value > 0)
        return 100 * min(max(share, 0.0), 1.0)

    @property
    def _places(self) -> list[tuple[float, str]]:
        if self.ratio:
            names = {-6: "1/64", -5: "1/32", -4: "1/16", -3: "⅛", -2: "¼", -1: "½"}
            found = [k for k in range(-6, 7) if self.low <= k <= self.high]
            every = 2 if len(found) > 7 else 1
            return [(2.0**k, names.get(k, f"{2**k if k >= 0 else 0}")) for k in found if k % every == 0]
        step = 10 ** math.floor(math.log10((self.high - self.low) / 3))
        step = next(m * step for m in (1, 2, 5, 10) if (self.high - self.low) / (m * step) <= 6)
        first = math.ceil(self.low / step)
        return [(k * step, _tick(k * step, step)) for k in range(first, math.floor(self.high / step) + 1)]

    def ticks(self) -> str:
        """The axis in the head of the table."""
        texts = "".join(
            f"<text x='{self.at(v):.2f}%' y='26' text-anchor='middle'>{text}</text>" for v, text in self._places
        )
        return f"<svg aria-hidden='true'>{texts}</svg>"

    def marks(
        self, lower: float = math.nan, estimate: float = math.nan, upper: float = math.nan, reference: bool = False
    ) -> str:
        """The line of one row; a title says nothing that the row does not."""
        grid = "".join(
            f"<line class='axis' x1='{self.at(v):.2f}%' x2='{self.at(v):.2f}%' y1='0' y2='100%'/>"
            for v, _ in self._places
        )
        none = self.at(1.0 if self.ratio else 0.0)
        grid += f"<line class='none' x1='{none:.2f}%' x2='{none:.2f}%' y1='0' y2='100%'/>"
        own = ""
        if not (math.isnan(lower) or math.isnan(upper)):
            own = f"<line class='line' x1='{self.at(lower):.2f}%' x2='{self.at(upper):.2f}%' y1='50%' y2='50%'/>"
        if not math.isnan(estimate):
            kind = "open" if reference else "dot"
            own += f"<circle class='{kind}' cx='{self.at(estimate):.2f}%' cy='50%' r='4'/>"
        return f"<svg class='marks' aria-hidden='true'>{grid}{own}</svg>"


def _tick(value: float, step: float) -> str:
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(value) >= 1e6 or step < 1e-5:
        return figures(value)
    return f"{value:,.{places}f}".replace("-", "−") if value else "0"


def parameters_table(rows: Sequence[Any], ends: Any, profiled: bool, level: float) -> str:
    """Parameters in units of their own, each with its interval on a scale of its own.

    Parameters
    ----------
    rows : the lines of the coefficient table (:class:`raphson.report.content.Coefficient`).
    ends : (p, 2) the intervals to draw; Wald's ends are ticks beside profile intervals.
    """
    lines = []
    for row, (lower, upper) in zip(rows, ends, strict=True):
        estimate = row.text(row.estimate)
        error = f"± {figures(row.std_error)}" if math.isfinite(row.std_error) and row.std_error > 0 else row.note or ""
        lines.append(
            f"<tr><th scope='row'>{escape(row.name)}</th><td class='cmp'>{escape(error)}</td>"
            f"<td class='wk'>{_own_line(row, float(lower), float(upper), profiled)}</td>"
            f"<td class='n est'>{escape(estimate.replace('-', '−'))}</td>"
            f"<td class='n'>{_own_interval(row, float(lower), float(upper))}</td>"
            f"<td class='n p'>{p_value(row.p_value)}</td></tr>"
        )
    how = f"{100 * level:g}% {'profile' if profiled else 'Wald'} interval"
    ticks = "; ticks: Wald interval" if profiled else ""
    head = (
        "<thead><tr><th scope='col'>parameter</th><th scope='col'>standard error</th>"
        "<th scope='col' class='wk'><span class='sr'>interval as a line</span></th>"
        f"<th scope='col' class='n'>estimate</th><th scope='col' class='n'>{100 * level:g}% interval</th>"
        "<th scope='col' class='n'>p</th></tr></thead>"
    )
    caption = (
        f"Estimates with their standard errors. Line: {how}{ticks}. Each line has its own scale. p: of the value 0."
    )
    return _table(caption, head, lines)


def _own_interval(row: Any, lower: float, upper: float) -> str:
    if math.isnan(lower) and math.isnan(upper):
        return "none"
    return " to ".join(row.text(one).replace("-", "−") for one in (lower, upper))


def _own_line(row: Any, lower: float, upper: float, profiled: bool) -> str:
    known = [v for v in (lower, upper, row.estimate, *((row.lower, row.upper) if profiled else ())) if math.isfinite(v)]
    if len(known) < 2 or max(known) == min(known):
        return ""
    low, high = min(known), max(known)
    edge = 0.1 * (high - low)

    def at(value: float) -> float:
        if math.isinf(value):
            return 100.0 * (value > 0)
        return 100 * (value - low + edge) / (high - low + 2 * edge)

    line = f"<line class='line' x1='{at(lower):.2f}%' x2='{at(upper):.2f}%' y1='50%' y2='50%'/>"
    if profiled:
        line += "".join(
            f"<line class='tick' x1='{at(v):.2f}%' x2='{at(v):.2f}%' y1='30%' y2='70%'/>"
            for v in (row.lower, row.upper)
            if math.isfinite(v)
        )
    dot = f"<circle class='dot' cx='{at(row.estimate):.2f}%' cy='50%' r='4'/>" if math.isfinite(row.estimate) else ""
    return f"<svg class='marks' aria-hidden='true'>{line}{dot}</svg>"
