"""The first sentence of a report, by rule: which terms have an effect, the clearest with its size, and which show none.

Every word follows from numbers and names of columns; nothing is known of the subject. A term has an effect if its
test's p-value is below 0.05, as its interval then excludes none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raphson.report.words import counted, figures, listed, name, to

CLEAR = 0.05
MOST_NAMED = 4
"""Terms of each kind that a headline names; of more it names the clearest and counts the others."""


def effects_headline(found: Any, others: Mapping[str, Any] | None = None) -> str:
    """The sentence of a generalised linear model.

    Parameters
    ----------
    found : Effects
    others : of further terms, such as smooth functions, a p-value and the words for where it is clear.

    Returns
    -------
    str
        HTML, ending with a full stop.
    """
    by_term = found.by_term
    others = {} if others is None else others
    p_values = {term: rows[0].p_value for term, rows in by_term.items()}
    p_values |= {term: one.p_value for term, one in others.items()}
    clear = sorted((t for t, p in p_values.items() if p < CLEAR), key=lambda term: p_values[term])
    unclear = [term for term, p in p_values.items() if p >= CLEAR]
    untold = [term for term, p in p_values.items() if math.isnan(p)]  # aliased, or no rows left for a test
    scale = found.scale
    subject = f"The {_quantity(scale)}"
    if not p_values:
        return f"{subject} {_verb(scale, 'is', 'are')} the same in every row of this model."
    if not clear and not unclear:
        return f"What moves the {_quantity(scale)} cannot be told: there is no test of {_named(untold, MOST_NAMED)}."
    rest = f"; there is no test of {_named(untold, MOST_NAMED - 1)}." if untold else "."
    if not clear:
        none = _named(unclear, MOST_NAMED)
        return (
            f"No clear effect on the {_quantity(scale)}: {none} {'shows' if len(unclear) == 1 else 'show'} none{rest}"
        )
    parts = [others[t].text if t in others else _clearest(scale, by_term[t]) for t in clear[:1]]
    parts += [others[t].text if t in others else _verb_of(scale, by_term[t]) for t in clear[1:MOST_NAMED]]
    if len(clear) > MOST_NAMED:
        parts.append(f"{_verb(scale, 'depends', 'depend')} on {counted(len(clear) - MOST_NAMED, 'more term')}")
    sentence = f"{subject} {_merged(parts)}"
    if not unclear:
        return f"{sentence}{rest}"
    shows = "shows" if len(unclear) == 1 else "show"
    return f"{sentence}; {_named(unclear, MOST_NAMED - 1)} {shows} no clear effect{rest}"


def _merged(parts: list[str]) -> str:
    """Verbs that follow one another said once: "fall with a and fall with b" is "fall with a and b"."""
    kept: list[list[str]] = []
    for part in parts:
        if " a curve over " in part or " together" in part or not (" with " in part or " by " in part):
            kept.append([part])
            continue
        verb, _, rest = part.partition(" with ") if " with " in part else part.partition(" by ")
        joint = " with " if " with " in part else " by "
        if kept and kept[-1][0] == verb + joint and not verb.startswith(("is ", "are ")):
            kept[-1].append(rest)
        else:
            kept.append([verb + joint, rest])
    return listed([one[0] + listed(one[1:]) if len(one[1:]) else one[0] for one in kept])


def _quantity(scale: Any) -> str:
    head, _, response = scale.quantity.rpartition(" ")
    return f"{head} {name(response)}"


def _verb(scale: Any, one: str, many: str) -> str:
    return many if scale.plural else one


def _clearest(scale: Any, rows: list[Any]) -> str:
    """The clearest term, with its size and interval."""
    row = max((r for r in rows if r.kind != "reference"), key=lambda r: _weight(scale, r))
    size = f" ({to(row.lower, row.upper)})" if math.isfinite(row.lower) and math.isfinite(row.upper) else ""
    be = _verb(scale, "is", "are")
    how = f"{be} {figures(row.estimate)} times as high" if scale.ratio else (
        f"{be} {figures(abs(row.estimate))} {'higher' if row.estimate > 0 else 'lower'}"
    )  # fmt: skip
    if not scale.ratio and row.estimate < 0 and size:
        size = f" ({to(-row.upper, -row.lower)})"
    if row.kind == "level":
        against = next((r.label for r in rows if r.kind == "reference"), "the reference")
        return f"{how} with {name(row.term)} {name(row.label)} as with {name(against)}{size}" if scale.ratio else (
            f"{how} with {name(row.term)} {name(row.label)} than with {name(against)}{size}"
        )  # fmt: skip
    if row.kind == "two values" and row.compared == "1 against 0":
        return f"{how} with {name(row.term)}{size}"
    if row.kind in ("number", "two values"):
        high, _, low = row.compared.partition(" against ")
        return f"{how} with {name(row.term)} at {high} as at {low}{size}" if scale.ratio else (
            f"{how} with {name(row.term)} at {high} than at {low}{size}"
        )  # fmt: skip
    return f"{how} with one unit of {name(row.label)} more{size}"


def _weight(scale: Any, row: Any) -> float:
    if not math.isfinite(row.estimate):
        return 0.0
    return abs(math.log(row.estimate)) if scale.ratio and row.estimate > 0 else abs(row.estimate)


def _verb_of(scale: Any, rows: list[Any]) -> str:
    real = [row for row in rows if row.kind != "reference"]
    if len(real) > 1 or len(rows) > 1:
        return f"{_verb(scale, 'differs', 'differ')} by {name(real[0].term)}"
    up = real[0].estimate > (1.0 if scale.ratio else 0.0)
    verb = _verb(scale, "rises", "rise") if up else _verb(scale, "falls", "fall")
    return f"{verb} with {name(real[0].term)}"


def _named(terms: list[str], most: int) -> str:
    if len(terms) <= most:
        return listed([name(term) for term in terms])
    return listed([*(name(term) for term in terms[: most - 1]), f"{len(terms) - most + 1} others"])
