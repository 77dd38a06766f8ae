"""Numbers that were read as text: a single stray "n/a" makes a whole column text, which a formula treats as a factor.

Columns of text are sorted here into three kinds: numbers with stray text (refused), columns that may be numbers (a
warning), and factors: words, codes such as ``"001"`` or ``"A12"``, and a few repeated numbers such as ``"1"``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.messages import listing
from raphson.errors import DataError, warn_user

FEW = 10
"""Most different numbers that may be levels of a factor, if each occurs twice on average."""

SHARE = 0.5
"""Share of numbers, among the values that are not marks of missing ones, above which a column is numeric."""

_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d+")
_PADDED = re.compile(r"0\d+")
_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?")
_CLASS = re.compile(r"\d+\s*(?:\+|-\s*\d+|(?:or|and) (?:more|over|above|older))")
_SIGNS = str.maketrans({"−": "-", "–": "-", "\u00a0": " ", "\u202f": " "})
_DECORATION = re.compile(
    r"(?:[<>≤≥=~≈]+\s*)?(?:[$€£¥]\s*|(?:USD|EUR|GBP)\s+)?"  # a limit of detection, a currency
    r"(?P<body>[^<>]*?)"
    r"(?:\s*[%‰€$£¥]|\s+[A-Za-zµμ°][\w/²³^%-]*|(?!st|nd|rd|th)[A-Za-zµμ°]{2,4})?"  # a unit, not an ordinal number
)
_MARKS = frozenset(
    [
        *("", ".", "..", "...", "-", "--", "---", "–", "—", "?", "??", "*", "**", "/", "#", "na", "n/a", "n.a.", "n.a"),
        *("#n/a", "#na", "#n/a n/a", "#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!", "nan", "-nan", "nil"),
        *("null", "none", "<na>", "<null>", "(null)", "(blank)", "blank", "empty", "missing", "error", "invalid", "nd"),
        *("undefined", "n.d.", "n.d", "bdl", "lod", "lloq", "tbd", "not available", "not applicable", "no data"),
        *("not detected", "not measured"),
    ]
)


@dataclass(frozen=True)
class LabelKinds:
    """The kinds of labels in a column of text.

    Attributes
    ----------
    number : (L,) mask of plain numbers.
    decorated : (L,) mask of numbers with a decimal comma, a unit, a currency, a sign such as "<".
    mark : (L,) mask of texts that often stand for a missing value.
    whole : whether all numbers are integers.
    padded : whether there are integers with leading zeros, which only codes have.
    """

    number: np.ndarray
    decorated: np.ndarray
    mark: np.ndarray
    whole: bool
    padded: bool


def examine(labels: Sequence[str]) -> LabelKinds:
    """Classify labels as numbers and other kinds.

    Examples
    --------
    >>> found = examine(["1.5", " 2", "3,5", "n/a", "high", "$5"])
    >>> found.number.tolist()
    [True, True, False, False, False, False]
    >>> found.decorated.tolist(), found.mark.tolist()
    ([False, False, True, False, False, True], [False, False, False, True, False, False])
    """
    plain = [label.translate(_SIGNS).strip() for label in labels]
    number = np.array(
        [label.isascii() and bool(_NUMBER.fullmatch(text)) for label, text in zip(labels, plain, strict=True)],
        dtype=bool,
    )
    other = np.flatnonzero(~number)
    decorated, mark = np.zeros(len(plain), dtype=bool), np.zeros(len(plain), dtype=bool)
    for place in other:
        mark[place] = plain[place].casefold() in _MARKS
        decorated[place] = not mark[place] and _is_decorated_number(plain[place])
    whole = all(_INTEGER.fullmatch(plain[place]) for place in np.flatnonzero(number))
    return LabelKinds(number, decorated, mark, whole, any(_PADDED.fullmatch(plain[place]) for place in other))


def _is_decorated_number(text: str) -> bool:
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    match = _DECORATION.fullmatch(text)
    body = match["body"].strip() if match is not None else ""
    return any(pattern.fullmatch(body) for pattern in (_NUMBER, _COMMA, _THOUSANDS))


def check_text(labels: Sequence[str], codes: np.ndarray, name: str, n_rows: int, declare: str) -> None:
    """Refuse a column of numbers with stray text, and warn of one that may be such a column.

    Parameters
    ----------
    labels, codes : the distinct texts, and the code of each row's; rows with a code below 0 do not count.
    name : name of the column.
    n_rows : number of rows.
    declare : how to declare it a factor, such as "write C(x)"; "" if it cannot be one, and then columns of plain
        numbers are refused too.

    Raises
    ------
    DataError
        The message names the column, the values that are not numbers, and the remedy.

    Warns
    -----
    UserWarning
        If its values are whole numbers apart from words or codes, or so many whole numbers that a factor is unlikely.
    """
    found = examine(labels)
    numeric = found.number | found.decorated
    if not numeric.any() or (found.padded and found.whole):
        return
    counts = np.bincount(codes[codes >= 0], minlength=len(labels))
    if counts[numeric].sum() <= SHARE * counts[~found.mark].sum():
        return
    few = int(numeric.sum()) <= FEW and 2 * int(numeric.sum()) <= n_rows
    rest = ~found.number
    if not rest.any():
        _check_plain(labels, found, name, few, declare)
        return
    if (
        few
        and declare
        and found.whole
        and all(_CLASS.fullmatch(labels[place].strip()) for place in np.flatnonzero(rest).tolist())
    ):
        return  # "0", "1", "2+": classes
    plain = counts[found.number].sum() > SHARE * counts[~found.mark].sum()
    if not plain and not found.mark.any() and few and declare and bool(found.decorated[rest].all()):
        return  # "5 mg", "10 mg": doses as groups
    order = np.argsort(~(found.mark | found.decorated)[rest], kind="stable")
    first: list[int] = np.flatnonzero(rest)[order].tolist()
    some = f"{listing((repr(labels[place]) for place in first), 6)}"
    message = f"column {name!r} is text, although its values are numbers except {some}"
    if not plain:
        message = f"column {name!r} is text, although its values look like numbers, such as {some}"
    words = not (found.mark | found.decorated)[rest].any()
    codes_among = words and all(re.search(r"\d", labels[place]) for place in first)
    if declare and plain and words and found.whole and (few or codes_among):
        warn_user(f"{message}; it is treated as a factor of {len(labels)} levels. {_remedy(labels, first, declare)}")
        return
    raise DataError(f"{message}. {_remedy(labels, first, declare)}")


def _check_plain(labels: Sequence[str], found: LabelKinds, name: str, few: bool, declare: str) -> None:
    """Check a column in which all labels are plain numbers."""
    some = listing(map(repr, labels), 3)
    remedy = "convert it to numbers (pandas.to_numeric)" + (f", or {declare} if it is a factor" if declare else "")
    if not declare or not (few or found.whole):
        raise DataError(f"column {name!r} contains numbers as text, such as {some}; {remedy}")
    alike = len({len(label.strip()) for label in labels}) == 1 and len(labels[0].strip()) > 2
    if not few and not alike:  # years and postcodes all have the same length
        warn_user(
            f"column {name!r} contains numbers as text, and is treated as a factor of {len(labels)} levels; {remedy}"
        )


def _remedy(labels: Sequence[str], rest: Sequence[int], declare: str) -> str:
    texts = [labels[place].translate(_SIGNS).strip() for place in rest]
    decorated = [_is_decorated_number(text) and text.casefold() not in _MARKS for text in texts]
    words = [repr(labels[place]) for place, other in zip(rest, decorated, strict=True) if not other]
    options = []
    if words:
        many = f"[{', '.join(words[:6])}{', ...' if len(words) > 6 else ''}]"
        options.append(
            f"if they stand for missing values, read the file with na_values={many} (--na on the command line)"
        )
    if any(_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text) for text in texts):
        options.append("for decimal commas read the file with decimal=',' (--decimal ',' on the command line)")
    elif any(_THOUSANDS.fullmatch(text) for text in texts):
        options.append("read the file with thousands=',', or decimal=',' if the comma is the decimal mark")
    elif any(decorated):
        options.append("remove signs and units, then convert with pandas.to_numeric")
    if declare:
        options.append(f"if it is a factor, {declare}")
    text = "; ".join(options)
    return f"{text[0].upper()}{text[1:]}"


def stray(labels: Sequence[str]) -> str:
    """The labels that are not numbers, for messages: ``'n/a', '.'``."""
    number = examine(labels).number
    others: list[Any] = [label for label, good in zip(labels, number, strict=True) if not good]
    return listing(map(repr, others or labels), 3)
