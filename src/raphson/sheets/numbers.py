"""Numbers as text: only correct digits, and aligned decimal points."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from raphson.errors import visible


def significant(value: float, digits: int = 6) -> str:
    """Write a number with a given number of significant digits, including trailing zeros.

    Parameters
    ----------
    value : float
    digits : int
        Significant digits, at least 1.

    Examples
    --------
    >>> significant(0.5), significant(-1234.5678, 3), significant(float("-inf"))
    ('0.500000', '-1.23e+03', '-inf')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    # '#' keeps trailing zeros, which show how many digits are known, but also a trailing point, removed below.
    mantissa, e, exponent = f"{value:#.{max(digits, 1)}g}".partition("e")
    return mantissa.removesuffix(".") + e + exponent


def rounded(value: float, decimals: int = 4) -> str:
    """Write a number with a given number of decimals; very large or small ones with an exponent.

    Examples
    --------
    >>> rounded(-109.4312), rounded(1.0, 2), rounded(float("nan"))
    ('-109.4312', '1.00', 'NaN')
    """
    if not math.isfinite(value):
        return significant(value)
    if value != 0 and not 10.0**-decimals <= abs(value) < 1e12:
        return significant(value, decimals + 1)
    return f"{value:.{decimals}f}"


def p_value(value: float) -> str:
    """Write a p value: four decimals, an exponent below 0.0001, and a bound where the digits are meaningless.

    Examples
    --------
    >>> p_value(0.0312), p_value(3.21e-7), p_value(1e-40)
    ('0.0312', '3.2e-07', '<1e-16')
    """
    if math.isnan(value):
        return "NaN"
    if value < 1e-16:
        return "<1e-16"
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.1e}"


def short(value: float) -> str:
    """Write a number with two digits, such as a distance or a condition number.

    Examples
    --------
    >>> short(3.14159e-12), short(0.0), short(2.0)
    ('3.1e-12', '0', '2')
    """
    return f"{value:.2g}" if math.isfinite(value) else significant(value)


def plain(value: object) -> str:
    """A value of a table: four significant digits, a whole number in full, a missing one as an empty text.

    Examples
    --------
    >>> plain(0.123456), plain(12000), plain(None), plain(float("nan")), plain(True)
    ('0.1235', '12,000', '', 'NaN', 'yes')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else significant(value)
    return visible(str(value))


def align(texts: Sequence[str]) -> list[str]:
    """Pad texts to the same width, numbers aligned at their decimal points and words to the right.

    Examples
    --------
    >>> align(["0.46", "-12.5", "3e-05", "inf"])
    ['  0.46 ', '-12.5  ', '  3e-05', '    inf']
    """
    parts = [_NUMBER.fullmatch(text) for text in texts]
    before = max((len(part[1]) for part in parts if part), default=0)
    after = max((len(part[2]) for part in parts if part), default=0)
    width = max([before + after, *map(len, texts)])
    lines = [
        part[1].rjust(before) + part[2].ljust(after) if part else text for part, text in zip(parts, texts, strict=True)
    ]
    return [line.rjust(width) for line in lines]


_NUMBER = re.compile(r"(-?\d+)((?:\.\d*)?(?:e.*)?)")  # the part before the point, and the rest
