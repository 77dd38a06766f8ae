"""Numbers and lists as a sentence says them, in HTML: a true minus, no e-notation, names that wrap nowhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import takewhile


def figures(value: float, digits: int = 2) -> str:
    """A number with so many significant figures, as one says it.

    Examples
    --------
    >>> figures(2.8703), figures(1234.6, 3), figures(-0.05), figures(8.5e-15)
    ('2.9', '1,235', '−0.050', '8.5 × 10⁻¹⁵')
    """
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)) + 1e-12)
    if size < -4 or size > 8:
        mantissa, _, exponent = f"{abs(value):.{digits - 1}e}".partition("e")
        return ("−" if value < 0 else "") + f"{mantissa} × 10{_raised(int(exponent))}"
    text = f"{abs(value):,.{max(digits - 1 - size, 0)}f}"
    return ("−" if value < 0 else "") + text


def _raised(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))


def to(lower: float, upper: float, digits: int = 2) -> str:
    """An interval.

    Examples
    --------
    >>> to(1.382, 6.185)
    '1.4 to 6.2'
    """
    return f"{figures(lower, digits)} to {figures(upper, digits)}"


def listed(texts: Sequence[str], last: str = "and") -> str:
    """A list as a sentence has it.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def name(text: str) -> str:
    """A column's or parameter's name in a headline: italic, escaped."""
    return f"<var>{escape(text)}</var>"


def code(text: str) -> str:
    """A name in running text: in the letters of code, escaped."""
    return f"<code>{escape(text)}</code>"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def without_common_start(texts: Sequence[str]) -> list[str]:
    """Labels without the letters that all of them begin with: "subject 1" beside "subject 2" is "1".

    Examples
    --------
    >>> without_common_start(["p01", "p02", "p12"])
    ['01', '02', '12']
    """
    alike = (len(set(letters)) == 1 for letters in zip(*texts, strict=False))
    same = sum(1 for _ in takewhile(bool, alike)) if len(texts) > 1 else 0
    return [text[same:] or text for text in texts]
