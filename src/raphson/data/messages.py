"""Wording that messages about data share: nearest names, shortened lists and texts, warnings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import get_args

from raphson.choices import Missing
from raphson.errors import DataError, MissingDataWarning, check_choice, warn_user


def listing(items: Iterable[object], limit: int = 8) -> str:
    """The first items joined by commas, and the number of the others."""
    every = [str(item) for item in items]
    if len(every) <= limit:
        return ", ".join(every)
    return ", ".join(every[:limit]) + f" and {len(every) - limit} more"


def short(text: str, limit: int = 80) -> str:
    """A quoted piece of the user's text, shortened to fit in a message."""
    text = " ".join(text.split())
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def one_line(error: Exception) -> str:
    """The text of another library's error on one line, shortened to fit in a message."""
    return " ".join(str(error).split())[:200]


def check_unique(names: Sequence[str], what: str) -> None:
    """Raise a DataError if two columns have the same name."""
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{what}: more than one column is called {listing(map(repr, twice))}; rename them")


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that is spelt most like ``name``; None if none is similar."""
    import difflib

    folded: dict[str, str] = {}
    for other in known:
        folded.setdefault(other.casefold(), other)
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def unknown_column(name: str, known: Collection[str], where: str) -> DataError:
    """The error for a column that the data lack; it suggests a similar name."""
    guess = nearest(name, known)
    remedy = f"did you mean {guess!r}?" if guess is not None else f"its columns are {listing(filter(None, known))}"
    return DataError(f"{where}: column {name!r} is not in the data; {remedy}")


def check_unicode(texts: Iterable[object], what: str) -> None:
    """Refuse an unpaired surrogate: it is not valid Unicode, and can be neither shown nor saved.

    Examples
    --------
    >>> check_unicode(["b\\ud800"], "column 'k'")
    Traceback (most recent call last):
    raphson.errors.DataError: column 'k': 'b\\ud800' contains an unpaired surrogate, which is not a character; ...
    """
    for text in texts:
        try:
            str(text).encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{what}: {str(text)!a} contains an unpaired surrogate, which is not a character; replace it, as "
                "text.encode('utf-8', 'replace').decode() does, or read the file in the encoding that it was "
                "written in"
            ) from None


def check_missing(missing: object, choices: tuple[str, ...] = get_args(Missing)) -> None:
    """Check the argument ``missing=``."""
    check_choice("missing", missing, choices)


def warn_missing(message: str) -> None:
    """Warn of rows left out, at the line of the user's code that called Raphson."""
    warn_user(message, MissingDataWarning)
