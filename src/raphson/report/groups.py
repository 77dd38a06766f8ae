"""The page of many fits: a sentence, how they ended, how their estimates differ, and a row for each group.

Sorted estimates of groups that share one value would lie in a shade of their own errors, so that what leaves it is a
difference between groups. Cochran's Q = Σ (b_g − b̄)²/se_g², with b̄ the mean weighted by 1/se², is then χ² on one
degree of freedom less than there are groups (Cochran 1954, Biometrics 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from raphson.checks.check import p_text
from raphson.checks.envelopes import SUSPECT
from raphson.checks.pictures import Mark, Picture, some
from raphson.errors import visible
from raphson.report.framing import framed, listed_pairs, made_with, panel, sign, signed
from raphson.report.words import counted, figures, listed, name, without_common_start
from raphson.scipy_special import chdtrc

MOST_PARAMETERS = 12
"""Parameters that have a picture and a column, the first."""
SHOWN, MOST_ROWS = 40, 400
"""Groups in the open table, and in all; what failed comes first."""
SEED, DRAWS = 0, 400


def groups_page(fits: Any) -> str:
    """The report of the fits of many groups, of :class:`raphson.fit.many.Fits`, as one self-contained HTML page."""
    by = visible(str(fits.by)) if fits.by is not None else "curve"
    spreads = [_Spread.of(fits, one) for one in fits.names[:MOST_PARAMETERS]]
    body = [
        "<header class='in'>",
        f"<p class='over'>Raphson report: {counted(len(fits), 'fit')}, one for each {escape(by)}</p>",
        f"<h1>{_headline(fits, spreads)}</h1>",
        _verdict(fits, spreads),
        "</header><main class='in'>",
        _pictures(fits, by, spreads),
        _table(fits, by),
        "</main>",
        f"<footer><div class='in'><h2>Data and reproducibility</h2>{listed_pairs(_facts(fits, by))}</div></footer>",
    ]
    return framed(f"{len(fits)} fits by {by}", body)


class _Spread:
    """How the estimates of one parameter differ between groups.

    Attributes
    ----------
    name : of the parameter.
    value, error : (m,) of the groups that converged, in order of the estimates, with a standard error or NaN.
    labels : (m,) of these groups.
    p_value : of Cochran's Q; NaN where there are less than two standard errors.
    """

    def __init__(self, name: str, value: np.ndarray, error: np.ndarray, labels: Sequence[Any]) -> None:
        order = np.argsort(value, kind="stable")
        self.name, self.value, self.error = visible(name), value[order], error[order]
        self.labels = [labels[k] for k in order]
        self.known = np.isfinite(self.error) & (self.error > 0)
        self.p_value, self.centre = math.nan, math.nan
        if np.count_nonzero(self.known) > 1:
            w = self.error[self.known] ** -2.0
            self.centre = float(np.average(self.value[self.known], weights=w))
            Q = float(np.sum(w * (self.value[self.known] - self.centre) ** 2))
            self.p_value = float(chdtrc(len(w) - 1, Q))

    @staticmethod
    def of(fits: Any, name: str) -> _Spread:
        value, error = fits.params[name].to_numpy(dtype=float), fits.bse[name].to_numpy(dtype=float)
        good = fits.converged.to_numpy() & np.isfinite(value)
        return _Spread(name, value[good], error[good], [fits.labels[k] for k in np.flatnonzero(good)])

    @property
    def differs(self) -> bool:
        return self.p_value < SUSPECT

    @property
    def quartiles(self) -> np.ndarray:
        return np.quantile(self.value, [0.25, 0.5, 0.75]) if len(self.value) else np.full(3, np.nan)

    def picture(self, by: str) -> Picture:
        """The estimates in order, beside those of groups with one value."""
        m = len(self.value)
        rows = some(m)
        place = rows + 1.0
        marks: list[Mark] = []
        if math.isfinite(self.centre):
            # Of many groups some: the sorted values of these rows are enough of a curve.
            known = np.flatnonzero(self.known)
            errors = self.error[known[some(len(known), 2_000)]]
            drawn = np.sort(np.random.default_rng(SEED).normal(self.centre, errors, (DRAWS, len(errors))), axis=1)
            lower, upper = np.quantile(drawn, [0.025, 0.975], axis=0)
            at = np.linspace(1, m, len(errors))
            marks.append(Mark("band", "shade", at, lower, upper))
            half = 1.96 * self.error[rows]
            drawable = np.isfinite(half)
            v = self.value[rows]
            marks.append(
                Mark("whiskers", "data", place[drawable], (v - half)[drawable], (v + half)[drawable])
                if m <= SHOWN
                else Mark("level", "soft", y=np.array([self.centre]))
            )
        marks.append(Mark("dots", "data", place, self.value[rows]))
        ticks = ()
        if m <= SHOWN:
            texts = without_common_start([visible(str(one)) for one in self.labels])
            ticks = tuple((k + 1.0, text[:8]) for k, text in enumerate(texts))
        return Picture(f"{by}, in order", self.name, tuple(marks), ticks, y_range=self.ends, whole_x=not ticks)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The ends of the axis: a group far beyond the others, by three times the quartiles' distance, is left out."""
        if not len(self.value):
            return 0.0, 1.0
        low, _, high = (float(one) for one in self.quartiles)
        reach = max(3.0 * (high - low), 4.0 * float(np.nanmedian(self.error)) if self.known.any() else 0.0)
        inside = self.value[(self.value >= low - reach) & (self.value <= high + reach)]
        low, high = float(inside.min()), float(inside.max())
        half = 2.2 * float(np.median(self.error[self.known])) if self.known.any() else 0.0
        edge = max(0.05 * (high - low), half, 1e-6 * max(abs(low), abs(high), 1e-300))
        return low - edge, high + edge

    @property
    def caption(self) -> str:
        low, high = self.ends
        beyond = int(np.count_nonzero((self.value < low) | (self.value > high)))
        left = f" {counted(beyond, 'group lies', 'groups lie')} beyond the axis." if beyond else ""
        if math.isnan(self.p_value):
            return f"Estimates of the groups in order; there are no standard errors.{left}"
        return (
            "Shaded: where sorted estimates lie (95%) if groups share one value. Cochran's Q: "
            f"{p_text(self.p_value)}.{left}"
        )

    @property
    def finding(self) -> str:
        if math.isnan(self.p_value):
            return self.name
        return f"{self.name} differs between groups" if self.differs else f"{self.name}: no more than chance"


def _headline(fits: Any, spreads: Sequence[_Spread]) -> str:
    lost = int(np.count_nonzero(~fits.converged.to_numpy()))
    if lost == len(fits):
        return "Do not use these numbers: no fit converged."
    begin = f"All {len(fits):,} fits converged" if not lost else f"{lost:,} of {len(fits):,} fits did not converge"
    differ = [name(one.name) for one in spreads if one.differs]
    same = [name(one.name) for one in spreads if one.p_value >= SUSPECT]
    told = []
    if differ:
        told.append(f"{_some(differ)} {'differs' if len(differ) == 1 else 'differ'} between groups")
    if same:
        told.append(f"{_some(same)} {'differs' if len(same) == 1 else 'differ'} no more than chance")
    return f"{begin}{'; ' if told else ''}{', '.join(told)}."


def _some(names: Sequence[str], most: int = 4) -> str:
    return listed(names) if len(names) <= most else listed([*names[: most - 1], f"{len(names) - most + 1} others"])


def _verdict(fits: Any, spreads: Sequence[_Spread]) -> str:
    good = fits.converged.to_numpy()
    distance = fits.distance.to_numpy(dtype=float)[good]
    lost = int(np.count_nonzero(~good))
    worst = f" The farthest of them lies {figures(float(np.nanmax(distance)))} standard errors from its optimum." if (
        len(distance) and np.isfinite(distance).any()
    ) else ""  # fmt: skip
    head = "All converged" if not lost else f"{len(fits) - lost:,} of {len(fits):,} converged"
    lines = [signed(False, escape(text)) for text in (fits.failures, fits.open_groups) if text]
    if lost:
        which = [visible(str(fits.labels[k])) for k in np.flatnonzero(~good)[:5]]
        more = "" if lost <= 5 else f" and {lost - 5:,} others"
        lines.insert(0, signed(False, f"<b>Do not use {escape(', '.join(which))}{more}.</b> "))
    few = int(np.count_nonzero((fits.df_resid.to_numpy() < 3) & good))
    if few:
        lines.append(
            signed(False, f"{counted(few, 'group has', 'groups have')} less than three rows more than parameters.")
        )
    if not lines:
        lines = [signed(True, "No group failed, and all parameters are determined in each.")]
    return (
        f"<div class='verdict'><div><h2>{sign(lost == 0)}{head}</h2><p>{_range_of(spreads)}{worst}</p></div>"
        f"<div><h2>What to doubt</h2><ul>{''.join(lines)}</ul></div></div>"
    )


def _range_of(spreads: Sequence[_Spread]) -> str:
    known = [one for one in spreads if np.isfinite(one.quartiles).all()][:1]
    if not known:
        return ""
    low, middle, high = known[0].quartiles
    return (
        f"Of {name(known[0].name)} the median is {figures(float(middle), 3)}, and half of the groups lie between "
        f"{figures(float(low), 3)} and {figures(float(high), 3)}."
    )


def _pictures(fits: Any, by: str, spreads: Sequence[_Spread]) -> str:
    panels = []
    for one in spreads:
        if len(one.value) < 2:
            continue
        panels.append(panel(one.finding, one.picture(by), one.caption))
    distance = fits.distance.to_numpy(dtype=float)
    if np.count_nonzero(distance > 0) > 1:
        panels.append(panel("How far from the optimum", _distances(distance), "On a log axis; to the right is worse."))
    if not panels:
        return ""
    return (
        "<section><h2>How the groups differ</h2><p class='note'>Blue is what the groups show, shaded is where they "
        f"would lie if all had the same value (95%).</p><div class='panels'>{''.join(panels)}</div></section>"
    )


def _distances(distance: np.ndarray) -> Picture:
    """A histogram of the distances in powers of ten."""
    logs = np.log10(distance[np.isfinite(distance) & (distance > 0)])
    counts, edges = np.histogram(logs, bins=min(24, max(6, int(math.sqrt(len(logs))))))
    middle, width = 0.5 * (edges[1:] + edges[:-1]), float(edges[1] - edges[0])
    marks = (Mark("bars", "data", middle, np.zeros(len(counts)), counts.astype(float), width=0.9 * width),)
    return Picture("distance, log₁₀ of std. errors", "groups", marks)


def _table(fits: Any, by: str) -> str:
    """A row for each group: how it ended, rows, estimates with their errors; what failed first, then the farthest."""
    names = list(fits.names[:MOST_PARAMETERS])
    good, distance = fits.converged.to_numpy(), np.nan_to_num(fits.distance.to_numpy(dtype=float), nan=np.inf)
    order = np.lexsort((-distance, good))
    heads = [by, "status", "rows", *(visible(one) for one in names)]
    head = "".join(f"<th scope='col'{' class=n' if k > 1 else ''}>{escape(one)}</th>" for k, one in enumerate(heads))
    columns = (fits.status.to_numpy(), fits.nobs.to_numpy(), fits.params[names].to_numpy(), fits.bse[names].to_numpy())
    lines = [_row(fits.labels[k], heads, good[k], *(one[k] for one in columns)) for k in order[:MOST_ROWS]]
    caption = "What did not converge comes first, then what ended farthest from its optimum. ±: standard error."

    def table(rows: Sequence[str], title: str) -> str:
        body = f"<caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        return f"<div class='tab'><table class='stacked'>{body}</table></div>"

    rest = lines[SHOWN:]
    folded = f"<details><summary>{len(rest)} more groups</summary>{table(rest, 'The other groups')}</details>"
    more = len(fits) - MOST_ROWS
    note = f"<p class='note'>{more:,} more groups: fits.tidy() has all of them.</p>" if more > 0 else ""
    return f"<section><h2>The groups</h2>{table(lines[:SHOWN], caption)}{folded if rest else ''}{note}</section>"


def _row(
    label: Any, heads: Sequence[str], good: bool, status: str, rows: Any, values: np.ndarray, errors: np.ndarray
) -> str:
    state = escape(str(status)) if good else f"<span class='sign doubt'>⚠</span>{escape(str(status))}"
    cells = [state, f"{int(rows):,}"]
    for value, error in zip(values, errors, strict=True):
        known = math.isfinite(error) and error > 0
        cells.append(
            f"{_estimate(value, error)}<small class='soft'> ± {figures(error)}</small>" if known else _plain(value)
        )
    body = "".join(
        f"<td{' class=n' if k else ''} data-l='{escape(head)}'>{cell}</td>"
        for k, (head, cell) in enumerate(zip(heads[1:], cells, strict=True))
    )
    return f"<tr><th scope='row'>{escape(visible(str(label)))}</th>{body}</tr>"


def _estimate(value: float, error: float) -> str:
    """An estimate with two figures of its standard error."""
    places = 1 - math.floor(math.log10(error))
    if not -4 <= places <= 8:
        return figures(value, 4)
    text = f"{abs(round(value, places)):,.{max(places, 0)}f}"
    return ("−" if value < 0 else "") + text


def _plain(value: float) -> str:
    return "–" if math.isnan(value) else figures(value, 4)


def _facts(fits: Any, by: str) -> list[tuple[str, str]]:
    rows = int(np.sum(fits.nobs.to_numpy()))
    found = [
        ("Groups", f"{len(fits):,}, by {by}"),
        ("Rows used", f"{rows:,}"),
        ("Parameters", ", ".join(map(visible, fits.names))),
    ]
    ends = fits.status.value_counts().to_dict()
    found.append(("Ended", ", ".join(f"{count:,} {status}" for status, count in ends.items())))
    found.append(("Shades", f"{DRAWS} draws, seed {SEED}"))
    return [*found, *made_with()]
