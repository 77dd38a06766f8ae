"""A fit as a file: JSON with numbers and text only. Nothing in it is executed when it is read.

The file carries the SHA-256 of its own content, so that one cut short, or changed by hand, is refused; and whatever
it says is checked again on the way in, formulas against the same list of names as a user's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from raphson.errors import DataError, RaphsonError
from raphson.registry import NotRegisteredError

FORMAT = "raphson fit"
VERSION = 1

NUMBERS = (
    *("nobs", "df_model", "df_resid", "dispersion", "deviance", "null_deviance", "llf", "aic", "bic"),
    *("theta", "theta_se", "rss", "distance", "_floor", "_effective", "condition_number"),
)
"""What is stored of a Fit as one number."""

ABSENT = ("theta", "theta_se", "rss")
"""Which of them may be None."""

NOT_NEGATIVE = ("nobs", "dispersion", "theta", "theta_se", "rss", "distance", "_floor", "condition_number")
"""Which of them are 0 or more, or NaN."""

ARRAYS = ("_theta", "_infinite", "_direction", "_reduced_cov", "_certifying", "_follows")
"""What is stored as an array or None."""

MASKS = ("_free", "_aliased", "_undetermined")
"""What is stored as 0 or 1 for each coefficient."""

TEXTS = ("method", "information_kind", "cov_kind", "formula", "bias", "message")

MAY_LACK = ("formula", "bias")
"""Which texts may be None."""

DISPERSIONS = ("pearson", "deviance", "ml")


def write(fit: Any, path: str | PathLike[str]) -> None:
    """Write a fit to `path`; the file is there whole or not at all."""
    from raphson.files import written_whole

    body: dict[str, Any] = {name: getattr(fit, name) for name in TEXTS}
    body |= {name: getattr(fit, name) for name in NUMBERS if name != "rss"}
    # A multinomial response has no single residual.
    body["rss"] = None if fit.family.predictor_labels is not None else fit.rss
    # Auxiliary parameters, which come last, are settled in the family.
    n = len(fit.names)
    body |= {name: None if (values := getattr(fit, name)) is None else _listed(values[:n]) for name in ARRAYS}
    body |= {name: getattr(fit, name)[:n].astype(int).tolist() for name in MASKS}
    body |= fit._predictor.to_dict()
    body |= {
        "remarks": list(fit.remarks),
        "names": list(fit.names),
        "inputs": dict(fit.inputs),
        "small_sample": fit.small_sample,
        "status": fit.status.value,
        "n_dropped": int(fit.n_dropped),
        "has_intercept": fit.has_intercept,
        "dispersion_rule": fit._dispersion_rule,
        "family": fit.family.to_dict(),
        "schema": fit._schema.to_dict(),
        "path": fit.told_steps.columns(),
        "information": {kind: _listed(_or_none(fit, kind)) for kind in ("expected", "observed", "opg")},
    }
    content = _encode(body)
    document = {"format": FORMAT, "version": VERSION, "sha256": _digest(content), "fit": content}
    with written_whole(path) as draft:
        draft.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


def read(path: str | PathLike[str], rebuild: Callable[[dict[str, Any]], Any]) -> Any:
    """Read what :func:`write` wrote; `rebuild` makes a Fit without its data from the content."""
    if not isinstance(path, str | PathLike):
        raise DataError(f"path: expected the name of a file that Fit.save wrote; got {path!r}")
    content = _checked(path)
    try:
        return rebuild(_decode(content))
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
            f"{path}: expected a saved fit; this is not JSON, or was cut short. Save the fit again"
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f"{path}: expected a file written by Fit.save; this is another kind of file")
    if document.get("version") != VERSION:
        raise DataError(
            f"{path}: expected version {VERSION} of the format; got {document.get('version')!r}. Save the fit again"
        )
    content = document.get("fit")
    try:
        whole = isinstance(content, dict) and _digest(content) == document.get("sha256")
    except (ValueError, RecursionError):  # a bare NaN or infinity, or lists without end: not ours
        whole = False
    if not whole:
        raise DataError(f"{path}: the saved fit was changed since it was written. Save the fit again")
    return content


def rebuilt(body: dict[str, Any], kind: type[Any]) -> Any:
    """The Fit, of a `kind`, that :func:`write` described; every part of it is checked."""
    from raphson.data import Schema
    from raphson.fit.uncertainty import INFORMATION
    from raphson.inference.covariance import SMALL_SAMPLE
    from raphson.model import families
    from raphson.model.curve.nonlinear import saved_predictor
    from raphson.model.likelihood.saved import family_from_dict, is_likelihood, schema_from_dict
    from raphson.model.predictor import LinearPredictor
    from raphson.newton import path as steps
    from raphson.status import Status

    by_rows = is_likelihood(body["family"])
    family = family_from_dict(body["family"]) if by_rows else families.from_dict(body["family"])
    schema: Any = schema_from_dict(body["schema"]) if by_rows else Schema.from_dict(body["schema"])
    names = body["names"]
    _expect(_is_texts(names), "names: expected different texts")
    levels = body["family"].get("levels")
    _expect(levels is None or (_is_texts(levels) and len(levels) > 1), "levels: expected different texts")
    K, n = family.n_predictors, len(names)
    widths = body["widths"] if "curve" not in body else []
    if "curve" in body:
        curve = body["curve"]
        _expect(K == 1 and not by_rows, "curve: expected one predictor")
        _expect(curve is None or (_is_texts(curve["columns"]) and _is_texts(curve["parameters"])), "curve: its names")
        _expect(curve is None or tuple(curve["columns"]) == schema.names, "curve: expected the columns of the data")
        predictor: Any = saved_predictor(curve, names)
    elif by_rows:
        parts = sum(len(part.names) for part in schema.parts.values()) if hasattr(schema, "parts") else 0
        _expect(_is_list(widths, _is_count) and len(widths) == K, f"widths: expected {K}")
        _expect(_is_list(body["design"], _is_count) and len(body["design"]) == K, f"design: expected {K}")
        _expect(parts <= n, f"names: expected {parts} or more")
        predictor = LinearPredictor(tuple(widths), tuple(body["design"]))
    else:
        width = len(schema.names)
        _expect(_is_list(widths, _is_count) and widths == [width] * K, f"widths: expected {K} times {width}")
        _expect(K * width == n, f"names: expected {K * width}")
        _expect(_is_list(body["design"], _is_count) and body["design"] == [0] * K, f"design: expected {K} times 0")
        predictor = LinearPredictor(tuple(widths), tuple(body["design"]))
    fit = object.__new__(kind)
    state = fit.__dict__
    state |= _checked_texts(body)
    state |= {name: _checked_number(body[name], name) for name in NUMBERS}
    for name in ("_theta", "_infinite"):
        state[name] = _array(body[name], (n,), name)
    _expect(bool(np.isin(state["_infinite"], (-1, 0, 1)).all()), "_infinite: expected -1, 0 or 1")
    state["_direction"] = None if body["_direction"] is None else _array(body["_direction"], (n,), "_direction")
    follows = body.get("_follows")
    if follows is not None:
        _expect(isinstance(follows, list) and len(follows) == n and bool(n), "_follows: expected a row a coefficient")
        follows = _array(follows, (n, len(follows[0])), "_follows")
    state["_follows"] = follows
    for name in ("_reduced_cov", "_certifying"):
        state[name] = _covariance(body[name], n, name)
    for name in MASKS:
        flags = _array(body[name], (n,), name)
        _expect(bool(np.isin(flags, (0, 1)).all()), f"{name}: expected 0 or 1")
        state[name] = flags.astype(bool)
    information = body["information"]
    _expect(isinstance(information, dict) and set(information) == set(INFORMATION), "information: other kinds")
    _expect(_is_list(body["remarks"], lambda one: isinstance(one, str)), "remarks: expected texts")
    _expect(_is_count(body["n_dropped"]), "n_dropped: expected a count")
    _expect(isinstance(body["has_intercept"], bool), "has_intercept: expected true or false")
    small_sample = body.get("small_sample", "full")  # older files have none, nor what else was given
    _expect(small_sample in SMALL_SAMPLE, f"small_sample: {small_sample!r} is not known")
    rule = body["dispersion_rule"]
    if isinstance(rule, str):
        _expect(rule in DISPERSIONS, f"dispersion_rule: expected one of {', '.join(DISPERSIONS)}")
    else:
        _expect(_is_number(rule) and 0 < rule < math.inf, "dispersion_rule: expected a positive number")
        rule = float(rule)
    state |= {
        "names": tuple(names),
        "inputs": checked_inputs(body),
        "small_sample": small_sample,
        "_n": n,
        "_predictor": predictor,
        "remarks": body["remarks"],
        "status": Status(body["status"]),
        "n_dropped": body["n_dropped"],
        "has_intercept": body["has_intercept"],
        "_dispersion_rule": rule,
        "family": family,
        "_schema": schema,
        "_steps": steps.Path.from_columns(_checked_columns(body["path"])),
        "_saved_information": {
            k: None if v is None else _array(v, (n, n), f"{k} information") for k, v in information.items()
        },
        "_model": None,
        "_estimate": None,
        "_groups": None,
        "_source": None,
        "_refit": None,
    }
    return fit


def checked_inputs(body: dict[str, Any]) -> dict[str, Any]:
    """What a saved fit's model was given beside its formula; older files do not say."""
    inputs = body.get("inputs", {})
    _expect(isinstance(inputs, dict), "inputs: expected names")
    _expect(all(isinstance(one, str) or _is_number(one) for one in inputs.values()), "inputs: expected texts, numbers")
    return inputs


def _checked_texts(body: dict[str, Any]) -> dict[str, str | None]:
    from raphson.fit.uncertainty import COVARIANCES, INFORMATION
    from raphson.model.bias.reduction import BIAS
    from raphson.newton.methods import METHODS

    known = {"information_kind": INFORMATION, "cov_kind": COVARIANCES, "bias": BIAS}
    for name in TEXTS:
        value = body[name]
        _expect(isinstance(value, str) or (name in MAY_LACK and value is None), f"{name}: expected text")
        if name == "cov_kind":
            COVARIANCES.saved(value)
        _expect(name not in known or value in known[name], f"{name}: {value!r} is not known")
    METHODS.saved(body["method"])
    return {name: body[name] for name in TEXTS}


def _checked_number(value: Any, name: str) -> float | None:
    if value is None and name in ABSENT:
        return None
    if not _is_number(value):
        raise ValueError(f"{name}: expected a number")
    _expect(name not in NOT_NEGATIVE or value >= 0 or math.isnan(value), f"{name}: expected 0 or more")
    return value


def _checked_columns(columns: Any) -> dict[str, list[Any]]:
    """The path's columns: counts, numbers or text, as its steps have them."""
    from dataclasses import MISSING, fields

    from raphson.newton.path import PathRow

    tests = {"int": _is_count, "float": _is_number, "str": lambda value: isinstance(value, str)}
    for field in fields(PathRow):
        if field.name not in columns and field.default is not MISSING:
            continue  # of an older file
        _expect(_is_list(columns[field.name], tests[str(field.type)]), f"path: the column {field.name}")
    return columns


def _array(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    _expect(_has_shape(value, shape), f"{name}: expected numbers of shape {shape}")
    return np.array(value, dtype=float).reshape(shape)


def _covariance(value: Any, n: int, name: str) -> np.ndarray:
    V = _array(value, (n, n), name)
    known = np.isfinite(np.diagonal(V))
    U = V[np.ix_(known, known)]  # NaN marks parameters that take no part
    _expect(bool(np.isfinite(U).all()), f"{name}: expected finite numbers beside a finite variance")
    rounding = 1e-6 * np.abs(U).max(initial=0.0)
    _expect(bool((np.abs(U - U.T) <= rounding).all()), f"{name}: expected a symmetric matrix")
    _expect(bool((np.diagonal(U) >= -rounding).all()), f"{name}: expected variances of 0 or more")
    return V


def _has_shape(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return _is_number(value)
    return isinstance(value, list) and len(value) == shape[0] and all(_has_shape(one, shape[1:]) for one in value)


def _is_list(value: Any, test: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(test(one) for one in value)


def _is_texts(value: Any) -> bool:
    return _is_list(value, lambda one: isinstance(one, str)) and len(set(value)) == len(value)


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a number that a float can hold; NaN and infinity are."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1023)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


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
