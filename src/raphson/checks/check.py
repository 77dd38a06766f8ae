"""One check: what was found, whether it passes, and the picture that shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raphson.checks.pictures import Picture


@dataclass(frozen=True, eq=False)
class Check:
    """The result of a check.

    Attributes
    ----------
    name : a short one, unique among the checks of a fit, such as "straight: age".
    title : the finding, in a few words.
    passed : whether nothing speaks against the model; None where a picture only informs.
    p_value : of the finding if the model were right; NaN where none was computed.
    value : the number that the check is about.
    caption : how to read the picture.
    picture : what it shows.
    subject : what was checked, as a list of what was found in order names it.
    doubt : for a check that did not pass, what that means for use, a sentence after the title.
    """

    name: str
    title: str
    passed: bool | None
    p_value: float
    value: float
    caption: str
    picture: Picture
    subject: str
    doubt: str = ""


def p_value(value: float) -> str:
    """A p-value with two figures, as pages and captions say it.

    Examples
    --------
    >>> p_value(0.00446), p_value(1e-9)
    ('0.0045', '< 0.0001')
    """
    if math.isnan(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:#.2g}"


def p_text(value: float) -> str:
    """A p-value in a sentence.

    Examples
    --------
    >>> p_text(0.0312), p_text(0.5), p_text(1e-9)
    ('p = 0.031', 'p = 0.50', 'p < 0.0001')
    """
    if math.isnan(value):
        return "p unknown"
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
