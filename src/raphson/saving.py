"""A fit as a file: JSON with numbers and text only. Nothing in it is executed when it is read.

The file carries the SHA-256 of its own content, so that one cut short, or changed by hand, is refused; and whatever
it says is checked again on the way in, formulas against the same list of names as a user's.
"""

from __future__ import annotations

import hashlib
import json
import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from raphson.errors import DataError, RaphsonError

FORMAT = "raphson fit"
VERSION = 1

NUMBERS = (
    *("nobs", "df_model", "df_resid", "dispersion", "deviance", "null_deviance", "llf", "aic", "bic"),
    *("theta", "theta_se", "distance", "_floor", "_effective"),
)
"""What is stored of a Fit as one number or None."""

ARRAYS = ("_theta", "_infinite", "_direction", "_reduced_cov", "_certifying")
"""What is stored as an array or None."""

TEXTS = ("method", "information_kind", "cov_kind", "formula", "message")


def write(fit: Any, path: str | PathLike[str]) -> None:
    """Write a fit to `path`; the file is there whole or not at all."""
    from raphson.report.files import written_whole

    body: dict[str, Any] = {name: getattr(fit, name) for name in TEXTS}
    body |= {name: getattr(fit, name) for name in NUMBERS}
    # Auxiliary parameters, which come last, are settled in the family.
    n = len(fit.names)
    body |= {name: None if (values := getattr(fit, name)) is None else _listed(values[:n]) for name in ARRAYS}
    body |= {name: getattr(fit, name)[:n].astype(int).tolist() for name in ("_free", "_aliased")}
    body |= {
        "names": list(fit.names),
        "status": fit.status.value,
        "n_dropped": int(fit.n_dropped),
        "has_intercept": fit.has_intercept,
        "dispersion_rule": fit._dispersion_rule,
        "family": fit.family.to_dict(),
        "schema": fit._schema.to_dict(),
        "widths": list(fit._predictor.widths),
        "design": list(fit._predictor.design),
        "path": fit._steps.columns(),
        "information": {kind: _listed(_or_none(fit, kind)) for kind in ("expected", "observed", "opg")},
    }
    content = _encode(body)
    document = {"format": FORMAT, "version": VERSION, "sha256": _digest(content), "fit": content}
    with written_whole(path) as draft:
        draft.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


def read(path: str | PathLike[str], kind: type[Any]) -> Any:
    """Read what :func:`write` wrote, as a `kind` (the Fit class) without its data."""
    content = _checked(path)
    try:
        return _rebuilt(_decode(content), kind)
    except RaphsonError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path}: expected a saved fit; a part of it is missing or malformed ({error!r}). Save the fit again"
        ) from None


def _checked(path: str | PathLike[str]) -> Any:
    try:
        with Path(path).open(encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise DataError(f"{path}: expected a saved fit; {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise DataError(
            f"{path}: expected a saved fit; this is not JSON, or was cut short. Save the fit again"
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f"{path}: expected a file written by Fit.save; this is another kind of file")
    if document.get("version") != VERSION:
        raise DataError(
            f"{path}: expected version {VERSION} of the format; got {document.get('version')!r}. Save the fit again"
        )
    content = document.get("fit")
    if not isinstance(content, dict) or _digest(content) != document.get("sha256"):
        raise DataError(f"{path}: the saved fit was changed since it was written. Save the fit again")
    return content


def _rebuilt(body: dict[str, Any], kind: type[Any]) -> Any:
    from raphson.data import Schema
    from raphson.model import families
    from raphson.model.predictor import LinearPredictor
    from raphson.newton import path as steps
    from raphson.newton.status import Status

    fit = object.__new__(kind)
    state = fit.__dict__
    for name in TEXTS:
        _expect(body[name] is None or isinstance(body[name], str), name)
        state[name] = body[name]
    for name in NUMBERS:
        _expect(body[name] is None or isinstance(body[name], int | float), name)
        state[name] = body[name]
    for name in ARRAYS:
        state[name] = None if body[name] is None else np.array(body[name], dtype=float)
    names = tuple(body["names"])
    _expect(all(isinstance(name, str) for name in names), "names")
    predictor = LinearPredictor(tuple(map(int, body["widths"])), tuple(map(int, body["design"])))
    p, n = predictor.n_params, len(names)
    _expect(state["_theta"].shape == (p,) and state["_infinite"].shape == (p,), "estimates")
    _expect(
        n <= p and state["_reduced_cov"].shape == (n, n) and state["_certifying"].shape == (n, n),
        "covariance",
    )
    state |= {
        "names": names,
        "_n": n,
        "_predictor": predictor,
        "status": Status(body["status"]),
        "n_dropped": int(body["n_dropped"]),
        "has_intercept": bool(body["has_intercept"]),
        "_dispersion_rule": body["dispersion_rule"],
        "family": families.from_dict(body["family"]),
        "_schema": Schema.from_dict(body["schema"]),
        "_steps": steps.Path.from_columns(body["path"]),
        "_saved_information": {
            k: None if v is None else np.array(v, dtype=float) for k, v in body["information"].items()
        },
        "_model": None,
        "_estimate": None,
        "_groups": None,
        "_source": None,
        "_refit": None,
    }
    for name in ("_free", "_aliased"):
        state[name] = np.array(body[name], dtype=bool)
        _expect(state[name].shape == (p,), name)
    return fit


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _or_none(fit: Any, kind: str) -> np.ndarray | None:
    try:
        return fit.information(kind).to_numpy()
    except RaphsonError:
        return None


def _listed(values: np.ndarray | None) -> Any:
    return None if values is None else np.asarray(values, dtype=float).tolist()


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _encode(value: Any) -> Any:
    """JSON has no NaN or infinity: they are written as {"number": "NaN"} and the like."""
    if isinstance(value, dict):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
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


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"number"}:
            return _SPECIAL[value["number"]]
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
