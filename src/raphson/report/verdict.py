"""The verdict of a report: did the iteration arrive, and what to doubt, worst first.

At most :data:`MOST` doubts are told, each with its number, what it means for use, and a link to its picture; the last
line names what was checked without a finding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from raphson.errors import RaphsonError
from raphson.report import content
from raphson.report.framing import sign, signed
from raphson.report.words import code, counted, figures, listed

MOST = 4
COLLINEAR = 5.0
"""Variance inflation factors above which a term is doubted: its standard error is then more than twice that of an
uncorrelated one."""
FEW_ROWS = 10
"""Rows of a level below which its effect rests on few."""


@dataclass(frozen=True)
class Doubt:
    """One line of what to doubt: a claim, what it means, and the id of its picture."""

    claim: str
    means: str
    link: str = ""


def verdict_html(fit: Any, checks: Sequence[Any], links: dict[str, str], effects: Any = None) -> str:
    """The verdict as HTML: the arrival, and what to doubt.

    Parameters
    ----------
    fit : Fit
    checks : of the fit, of :class:`raphson.checks.check.Check`.
    links : the ids of the checks' pictures by their names.
    effects : of the fit, or None.
    """
    doubts = found_doubts(fit, checks, links, effects)
    lines = [_line(one) for one in doubts[:MOST]]
    if len(doubts) > MOST:
        more = listed([one.claim.rstrip(".") for one in doubts[MOST:]])
        lines.append(signed(False, f"<b>{counted(len(doubts) - MOST, 'more', 'more')}:</b> {more}."))
    passed = list(dict.fromkeys(one.subject for one in checks if one.passed))
    if passed:
        lines.append(signed(True, f"<b>Checked, nothing found:</b> {escape(listed(passed))}."))
    elif not lines:
        lines.append(signed(True, "Nothing was found to doubt; this kind of fit has no checks by simulation."))
    return (
        f"<div class='verdict'><div>{_arrival(fit)}</div>"
        f"<div><h2>What to doubt</h2><ul>{''.join(lines)}</ul></div></div>"
    )


def _arrival(fit: Any) -> str:
    steps = counted(int(fit.n_iter), "iteration")
    how = f"{steps[:1].upper()}{steps[1:]} of {code(str(fit.method))}. <a href='#path'>How it got there</a>"
    status = str(getattr(fit.status, "value", fit.status))
    if not fit.identified:
        title = "Trained" if content.usable(fit) else status.capitalize()
        no = "" if content.usable(fit) else "<b>Do not use these numbers.</b> "
        told = f"{no}{escape(content.sentence(fit.message, fit))}"
        return f"<h2>{sign(content.usable(fit))}{escape(title)}</h2><p>{told}</p><p>{how}</p>"
    distance = f"{figures(fit.distance)} standard errors" if math.isfinite(fit.distance) else "an unknown distance"
    if not content.usable(fit):
        title = {"step limit": "Stopped early", "search failed": "Got stuck"}.get(status, status.capitalize())
        return (
            f"<h2>{sign(False)}{escape(title)}</h2><p>After {steps} the estimates were {distance} from a maximum. "
            f"<b>Do not use these numbers.</b></p><p>{how}</p>"
        )
    if status == "separated" or np.isinf(fit.params.to_numpy(dtype=float)).any():
        return (
            f"<h2>{sign(False)}Converged to a limit</h2><p>Some estimates are infinite; the others lie {distance} "
            f"from the maximum of the limit.</p><p>{how}</p>"
        )
    if content.saturated(fit):
        told = "There are no more rows than coefficients, so that nothing is left to measure errors by."
        return f"<h2>{sign(True)}Converged</h2><p>{told}</p><p>{how}</p>"
    digits = fit.digits.to_numpy(dtype=float)
    least = np.nanmin(digits) if np.isfinite(digits).any() else math.nan
    exact = f", every one correct to at least {int(least)} digits" if math.isfinite(least) and least >= 1 else ""
    nothing = " No term is aliased, none is infinite." if fit.linear and not fit.has_aliased else ""
    where = "At a boundary" if status == "boundary" else "Converged"
    return (
        f"<h2>{sign(True)}{where}</h2><p>The estimates lie {distance} from the maximum of the likelihood{exact}."
        f"{nothing}</p><p>{how}</p>"
    )


def found_doubts(fit: Any, checks: Sequence[Any], links: dict[str, str], effects: Any = None) -> list[Doubt]:
    """What to doubt, worst first: the iteration, its remarks, the checks that did not pass, collinearity, few rows."""
    found: list[Doubt] = []
    remark = content.warning(fit) if fit.identified else ""
    if remark:
        head = "Everything below." if not (fit.converged or str(fit.status) == "separated") else "The estimates."
        head = "At the edge." if str(fit.status) == "boundary" else head
        found.append(Doubt(head, remark))
    if fit.identified:
        found += [Doubt(*_split(text)) for text in content.remarks(fit)]
    else:
        found.append(Doubt("No coefficients to read.", "Units can change places, so single weights have no meaning."))
    told = any("dispersed" in one.claim for one in found)  # the fit's own test says so, with the remedy
    flagged = [one for one in checks if one.passed is False and not (told and one.name == "dispersion")]
    flagged = sorted(flagged, key=lambda one: (not one.p_value < 0.01, one.p_value))
    found += [Doubt(f"{one.title}.", one.doubt, links.get(one.name, "")) for one in flagged]
    found += _collinear(fit) + _few(effects)
    return found


def _split(text: str) -> tuple[str, str]:
    """The first clause of a remark, and the rest."""
    for stop in (": ", "; ", ". "):
        head, found, rest = text.partition(stop)
        if found and len(head) < 120:
            return head + ".", rest[:1].upper() + rest[1:]
    return text, ""


def _collinear(fit: Any) -> list[Doubt]:
    try:
        table = fit.vif() if fit.linear else None
    except (RaphsonError, AttributeError):
        return []
    if table is None:
        return []
    high = table[table["scaled"] ** 2 > COLLINEAR].sort_values("scaled", ascending=False)
    if not len(high):
        return []
    term, factor = str(high.index[0]), float(high["scaled"].iloc[0])
    others = f" ({len(high)} terms)" if len(high) > 1 else ""
    return [
        Doubt(
            f"{term} overlaps with other terms{others}.", f"Its standard error is {figures(factor)} times wider for it."
        )
    ]


def _few(effects: Any) -> list[Doubt]:
    if effects is None:
        return []
    few = [row for row in effects.rows if 0 < row.rows < FEW_ROWS]
    if not few:
        return []
    row = min(few, key=lambda one: one.rows)
    return [
        Doubt(f"{row.term} {row.label} rests on {counted(row.rows, 'row')}.", "What it shows may be of single rows.")
    ]


def _line(doubt: Doubt) -> str:
    link = f" <a href='#{doubt.link}'>See it</a>" if doubt.link else ""
    return signed(False, f"<b>{escape(doubt.claim)}</b> {escape(doubt.means)}{link}")
