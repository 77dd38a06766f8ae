"""Several fits side by side: a column for each, a row for each term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raphson.errors import visible
from raphson.report import content
from raphson.report.summary import RATIOS
from raphson.report.tables import tidy
from raphson.sheets import numbers
from raphson.sheets.sheet import Grid, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd

BESIDE = {
    "std_error": "In parentheses: standard errors.",
    "p_value": "In parentheses: p-values.",
    "interval": "In brackets: {level:g}% intervals.",
    None: "",
}
"""What may stand beside an estimate, and the note that says so."""

FIGURES = 3
"""Significant digits of a standard error; its estimate and interval have as many decimals."""


@dataclass(frozen=True, repr=False)
class SideBySide(Sheet):
    """Fits side by side: it prints as text, and in a notebook as HTML.

    ``to_markdown()`` and ``to_latex()`` write it, and ``tidy()`` has its numbers.
    """

    numbers: pd.DataFrame | None = field(default=None, compare=False)

    def tidy(self) -> pd.DataFrame:
        """A row for each model and term: model, term, estimate, std_error, statistic, p_value, conf_low, conf_high."""
        assert self.numbers is not None
        return self.numbers


def side_by_side(
    fits: Sequence[Any], names: Sequence[str], level: float, exponentiate: bool, show: str | None
) -> SideBySide:
    """Fits side by side.

    Parameters
    ----------
    fits : of one kind or several; each has coefficients.
    names : heading of each.
    level : coverage of the intervals.
    exponentiate : whether to show ratios.
    show : a key of :data:`BESIDE`.
    """
    import pandas as pd

    tables = [tidy(fit, level, exponentiate) for fit in fits]
    behind = [getattr(fit, "_reading", fit) for fit in fits]
    # a smooth function has a row of its own, which its part that is not penalised would only repeat
    told = {name for one in behind for name in getattr(one, "smooth_columns", ())}
    terms = [term for term in dict.fromkeys(term for table in tables for term in table["term"]) if term not in told]
    columns = []
    for table in tables:
        cells = dict(zip(table["term"], _cells(table, show), strict=True))
        columns.append([cells.get(term, "") for term in terms])
    rows = [(visible(str(term)), *cells) for term, *cells in zip(terms, *columns, strict=True)]
    rows += _aligned([_varying(one, show) for one in behind])
    rows += _differing(fits)
    rows += _measures(fits)
    ratios = dict.fromkeys(content.estimate_name(fit, True) for fit in fits) if exponentiate else {}
    notes = [Note(f"{name}: {RATIOS}", "key") for name in ratios]
    if BESIDE[show]:
        notes.append(Note(BESIDE[show].format(level=100 * level)))
    notes += [Note(text, "doubt") for text in _doubts(fits, names)]
    long = pd.concat([one.assign(model=name) for one, name in zip(tables, names, strict=True)], ignore_index=True)
    long.insert(0, "model", long.pop("model"))
    return SideBySide(_title(fits), (), [Grid(("", *names), tuple(rows), points=False)], notes, long)


def _title(fits: Sequence[Any]) -> str:
    responses = dict.fromkeys(_response(fit) for fit in fits)
    count = "1 model" if len(fits) == 1 else f"{len(fits)} models"
    return f"{count} of {next(iter(responses))}" if len(responses) == 1 else count


def _response(fit: Any) -> str:
    return visible(" ".join((fit.formula or "y").partition("~")[0].split())) or "y"


def _kind(fit: Any) -> str:
    return fit.family.name + (f", {fit.family.link_name}" if fit.family.link_name else "")


def _cells(table: pd.DataFrame, show: str | None) -> list[str]:
    """The cell of each row of a fit's table: the estimate, and what stands beside it."""
    return [" ".join(_parts(row, show)) for row in table.itertuples(index=False)]


def _parts(row: Any, show: str | None) -> list[str]:
    places = _places(row.std_error)
    parts = [_number(row.estimate, places)]
    if show == "std_error":
        parts.append(f"({_number(row.std_error, places)})")
    elif show == "p_value":
        parts.append(f"({numbers.p_value(row.p_value)})")
    elif show == "interval":
        parts.append(f"[{_number(row.conf_low, places)}, {_number(row.conf_high, places)}]")
    return parts


def _places(error: float) -> int | None:
    if not (math.isfinite(error) and error > 0):
        return None
    places = FIGURES - 1 - math.floor(math.log10(error))
    return max(places, 0) if places <= 10 else None


def _number(value: float, places: int | None) -> str:
    if places is None or not math.isfinite(value) or abs(value) >= 1e9:
        return numbers.significant(value, 4)
    return f"{value:.{places}f}"


def _varying(reading: Any, show: str | None) -> dict[str, str]:
    """Standard deviations and correlations of what varies, and the degrees of freedom of smooth functions."""
    scales = getattr(reading, "scales", None)
    if scales is None:
        return {}
    smooths = dict(zip(reading.smooths["term"], reading.smooths["edf"], strict=True))
    cells = {}
    for row in scales.itertuples(index=False):
        if row.group in smooths:
            continue
        places = _places(row.std_error)
        beside = f" ({_number(row.std_error, places)})" if show == "std_error" and places is not None else ""
        what = f"{row.group}: {row.term}" if row.term else row.group
        cells[f"{KINDS[row.kind]} {visible(what)}"] = _number(row.estimate, places) + beside
    return cells | {f"{visible(str(term))}, edf": f"{edf:.2f}" for term, edf in smooths.items()}


KINDS = {"sd": "SD", "corr": "Corr."}


def _aligned(found: Sequence[dict[str, str]]) -> list[tuple[str, ...]]:
    """A row for each label that some fit has."""
    labels = dict.fromkeys(label for one in found for label in one)
    return [(label, *(one.get(label, "") for one in found)) for label in labels]


def _differing(fits: Sequence[Any]) -> list[tuple[str, ...]]:
    """Response and family, where the fits do not have the same."""
    rows = [("Response", *map(_response, fits)), ("Family", *map(_kind, fits))]
    return [row for row in rows if len(set(row[1:])) > 1]


def _measures(fits: Sequence[Any]) -> list[tuple[str, ...]]:
    """What a summary tells of each fit as a whole; rows that no fit has are left out."""
    rows = [
        ("Observations", *(f"{fit.nobs:,.10g}" for fit in fits)),
        *_aligned([{f"Levels of {visible(g)}": f"{n:,}" for g, n in content.group_sizes(fit).items()} for fit in fits]),
        ("Deviance explained", *(_told(content.explained(fit), "{:.4f}") for fit in fits)),
        ("Log-likelihood", *(_told(fit.llf, "{:.2f}") for fit in fits)),
        ("AIC", *(_told(fit.aic, "{:.2f}") for fit in fits)),
        ("BIC", *(_told(fit.bic, "{:.2f}") for fit in fits)),
    ]
    return [row for row in rows if any(row[1:])]


def _told(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else ""


def _doubts(fits: Sequence[Any], names: Sequence[str]) -> list[str]:
    lost = [name for fit, name in zip(fits, names, strict=True) if not fit.converged]
    found = [f"Not converged: {', '.join(lost)}. Do not use these numbers."] if lost else []
    if len({fit.nobs for fit in fits}) > 1:
        found.append("The fits are of different numbers of rows: their log-likelihoods, AIC and BIC do not compare.")
    return found
