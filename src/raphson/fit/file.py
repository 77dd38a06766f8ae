"""The file format of saved fits, and checks of what is read.

A file is JSON with the SHA-256 of its content, so that a file that was cut short or edited is refused. Everything read
is checked, formulas against the same list of allowed names as a user's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import numpy as np

from raphson.errors import DataError, RaphsonError
from raphson.files import written_whole
from raphson.registry import NotRegisteredError

T = TypeVar("T")

FORMAT = "raphson fit"
VERSION = 1
"""Of the format: another number is refused."""


def write(body: dict[str, Any], path: str | PathLike[str]) -> None:
    """Write the description of a fit to `path`, whole or not at all."""
    content = encoded(body)
    document = {"format": FORMAT, "version": VERSION, "sha256": _digest(content), "fit": content}
    with written_whole(path) as draft:
        draft.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


def read(path: str | PathLike[str], rebuild: Callable[[dict[str, Any]], T]) -> T:
    """Read what :func:`write` wrote; `rebuild` makes the fit from it."""
    if not isinstance(path, str | PathLike):
        raise DataError(f"path: expected the name of a file that Fit.save wrote; got {path!r}")
    content = _checked(path)
    try:
        return rebuild(decoded(content))
    except NotRegisteredError as error:
        raise NotRegisteredError(f"{path}: {error}") from None
    except RaphsonError as error:
        reason = str(error)
    except KeyError as error:
        reason = f"no {error}"
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        reason = str(error)
    raise DataError(
        f"{path}: expected a saved fit; a part of it is missing or malformed ({reason.rstrip('.')}). Save the fit again"
    )


def _checked(path: str | PathLike[str]) -> Any:
    try:
        with Path(path).open(encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise DataError(f"{path}: expected a saved fit; {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise DataError(
            f"{path}: expected a saved fit; the file is not JSON, or was cut short. Save the fit again"
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f"{path}: expected a file written by Fit.save; got JSON of another kind")
    if document.get("version") != VERSION:
        raise DataError(
            f"{path}: expected version {VERSION} of the format; got {document.get('version')!r}. Load it with the "
            "Raphson that wrote it, or fit again"
        )
    content = document.get("fit")
    try:
        whole = isinstance(content, dict) and _digest(content) == document.get("sha256")
    except (ValueError, RecursionError):  # a bare NaN or infinity, or endless nesting, which `write` never writes
        whole = False
    if not whole:
        raise DataError(f"{path}: expected a file as Fit.save wrote it; its content was changed. Save the fit again")
    return content


def array(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """An array of the given shape from nested lists."""
    expect(_has_shape(value, shape), f"{name}: expected numbers of shape {shape}")
    return np.array(value, dtype=float).reshape(shape)


def covariance(value: Any, n: int, name: str) -> np.ndarray:
    """A covariance matrix (n, n) from nested lists."""
    V = array(value, (n, n), name)
    known = np.isfinite(np.diagonal(V))
    U = V[np.ix_(known, known)]  # NaN marks parameters that take no part
    expect(bool(np.isfinite(U).all()), f"{name}: expected finite numbers beside a finite variance")
    rounding = 1e-6 * np.abs(U).max(initial=0.0)
    expect(bool((np.abs(U - U.T) <= rounding).all()), f"{name}: expected a symmetric matrix")
    expect(bool((np.diagonal(U) >= -rounding).all()), f"{name}: expected variances of 0 or more")
    return V


def _has_shape(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return is_number(value)
    return isinstance(value, list) and len(value) == shape[0] and all(_has_shape(one, shape[1:]) for one in value)


def is_list(value: Any, test: Callable[[Any], bool]) -> bool:
    """Whether `value` is a list whose items all pass a test."""
    return isinstance(value, list) and all(test(one) for one in value)


def is_texts(value: Any, different: bool = True) -> bool:
    """Whether `value` is a list of strings, all different unless said otherwise."""
    return is_list(value, lambda one: isinstance(one, str)) and not (different and len(set(value)) < len(value))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value` is a number that a float can hold, NaN and infinity included."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1023)


def is_count(value: Any) -> bool:
    """Whether `value` is a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def expect(condition: bool, what: str) -> None:
    """Raise ValueError unless the condition holds."""
    if not condition:
        raise ValueError(what)


def listed(values: np.ndarray | None) -> Any:
    """An array as nested lists."""
    return None if values is None else np.asarray(values, dtype=float).tolist()


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encoded(value: Any) -> Any:
    """Plain JSON values; NaN and infinity, which JSON lacks, become {"number": "NaN"} and the like."""
    if isinstance(value, dict):
        return {str(key): encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isfinite(number):
            return number
        return {"number": "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"}
    return value


def decoded(value: Any) -> Any:
    """The inverse of :func:`encoded`."""
    if isinstance(value, dict):
        if set(value) == {"number"}:
            return _SPECIAL[value["number"]]
        return {key: decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return value


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
