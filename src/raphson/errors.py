"""Errors and warnings. Every error that Raphson raises on purpose is a :class:`RaphsonError`."""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from functools import wraps
from itertools import islice
from typing import ParamSpec, TypeVar

from raphson.hints import argument_hint, choice_hint

P = ParamSpec("P")
T = TypeVar("T")

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, characters that change the direction of writing, and unpaired surrogates."""


def visible(text: str, keep: str = "") -> str:
    r"""Escape the control characters of a text, so that a name from a file cannot control the terminal.

    Examples
    --------
    >>> print(visible("red \x1b[31m"), visible("two\nlines"))
    red \x1b[31m two\nlines
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else f"{found[0]!a}"[1:-1], text)


class RaphsonError(Exception):
    """Base class of all errors raised by Raphson.

    Each message names the argument, what was expected, what came, and the remedy.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(visible(one, keep="\n\t") if isinstance(one, str) else one for one in arguments))


class DataError(RaphsonError, ValueError):
    """The data cannot be used as they are: a missing column, a wrong type, a value outside the support."""


class FormulaError(RaphsonError, ValueError):
    """A formula or model expression is malformed or names something that is not allowed."""


class ModelError(RaphsonError, ValueError):
    """The model was specified inconsistently: an unknown family, link, method or option."""


class RefusedName(ModelError, AttributeError):  # noqa: N818 - it is never raised for anything but a name
    """A fit has no such attribute, and the message says why, or what it is called; ``hasattr`` returns False."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        # Python would add a suggestion of its own to the message.
        self.name = self.obj = None


class ArgumentError(ModelError, TypeError):
    """A function has no argument of that name, or was not given one that it needs."""


class ConvergenceError(RaphsonError, RuntimeError):
    """The iteration cannot go on: for example, the log-likelihood is not finite at the start."""


class ConvergenceWarning(UserWarning):
    """The iteration ended without reaching the maximum; the Fit's ``message`` says why."""


class SeparationWarning(ConvergenceWarning):
    """Some covariates separate the responses: their estimates are infinite."""


class RankWarning(UserWarning):
    """Some columns of the design are linear combinations of earlier ones; their estimates are NaN."""


class MissingDataWarning(UserWarning):
    """Rows with missing values were dropped."""


EXTRAS = {
    "plot": "matplotlib",
    "parquet": "pyarrow",
    "sklearn": "scikit-learn 1.6 or later",
    "cluster": "cloudpickle and Dask",
    "shell": "shtab",
    "arviz": "arviz",
    "tables": "great-tables",
}
"""Optional dependencies: the names in ``pip install "raphson[...]"``, and the package that each installs."""


class Needs:
    """Context for importing an optional dependency: if it is missing, the error names the extra to install.

    Parameters
    ----------
    extra : str
        One of :data:`EXTRAS`.
    what : str
        What needs it, as the subject of the message.

    Examples
    --------
    >>> with Needs("plot", "a plot"):
    ...     import nowhere
    Traceback (most recent call last):
    raphson.errors.RaphsonError: a plot needs matplotlib: pip install "raphson[plot]" (No module named 'nowhere')
    """

    def __init__(self, extra: str, what: str) -> None:
        self.extra, self.what = extra, what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImportError):
            raise RaphsonError(
                f'{self.what} needs {EXTRAS[self.extra]}: pip install "raphson[{self.extra}]" ({error})'
            ) from error


def check_choice(name: str, value: object, choices: Collection[str | None]) -> None:
    """Raise a ModelError if a value is not among the choices, the last of which may be None.

    Examples
    --------
    >>> check_choice("missing", "drop", ("drop", "raise"))
    >>> check_choice("missing", 3, ("drop", "raise"))
    Traceback (most recent call last):
    raphson.errors.ModelError: missing: expected one of drop, raise; got 3
    """
    if not isinstance(value, str | None) or value not in choices:  # `in` would compare an array element by element
        words = ", ".join(choice for choice in choices if choice is not None)
        meant = choice_hint(name, value, choices) if isinstance(value, str) else ""
        told = f"{name}: expected one of {words}{' or None' * (None in choices)}; got {one_line(value)}"
        raise ModelError(f"{told}.{meant}" if meant else told)


def first_of(items: Iterable[object], most: int = 5) -> str:
    """The first few of some rows, levels or values, for a message.

    Examples
    --------
    >>> first_of([3, 4, 9, 12], most=3)
    '3, 4, 9, ...'
    """
    shown = [*islice(map(str, items), most + 1)]
    return ", ".join(shown if len(shown) <= most else [*shown[:most], "..."])


def named_arguments(function: Callable[P, T], what: str = "") -> Callable[P, T]:
    """A decorator: an argument that the function does not have, or lacks, is an error that names it, and the nearest.

    Parameters
    ----------
    what : what the function is called in the message; by default its name.

    Examples
    --------
    >>> @named_arguments
    ... def area(*, width, height=1.0): return width * height
    >>> area(width=2.0, hieght=3.0)
    Traceback (most recent call last):
    raphson.errors.ArgumentError: area: there is no argument 'hieght'. Did you mean 'height'?
    """
    signature = inspect.signature(function)

    @wraps(function)
    def called(*given: P.args, **named: P.kwargs) -> T:
        try:
            return function(*given, **named)
        except TypeError:
            try:
                signature.bind(*given, **named)
            except TypeError as mismatch:
                raise ArgumentError(_mistaken(what or function.__qualname__, signature, named, mismatch)) from None
            raise

    return called


def takes(function: object, n_arguments: int) -> bool:
    """Whether something can be called with so many arguments, as far as can be told."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*[None] * n_arguments)
    except TypeError:
        return False
    except ValueError:
        return True  # the signature of a compiled function cannot be read
    return True


def _mistaken(what: str, signature: inspect.Signature, named: Collection[str], mismatch: TypeError) -> str:
    """What is wrong with the names of a call's arguments."""
    what = what.removesuffix(".__init__")
    names = [name for name in signature.parameters if name not in ("self", "fit")]
    unknown = next((name for name in named if name not in names), None)
    if unknown is None:
        return f"{what}: {mismatch}"
    near = get_close_matches(unknown, names, n=1)
    hint = argument_hint(unknown, names)
    if not hint:
        hint = f" Did you mean {near[0]!r}?" if near else f" The arguments are {', '.join(names)}."
    return f"{what}: there is no argument {unknown!r}.{hint}"


def one_line(value: object, most: int = 80) -> str:
    """The repr of a value on one line, for a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that called Raphson, however deep the call."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(("raphson.", "jax.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(visible(message, keep="\n\t"), category, stacklevel=level)
