"""What a file stores of a model whose single coefficients have a meaning, and reading it back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.choices import Information
from raphson.errors import RaphsonError
from raphson.fit.file import array, covariance, expect, is_count, is_list, is_number, is_texts, listed
from raphson.fit.state import FitState
from raphson.fit.uncertainty import INFORMATION
from raphson.model.bias.reduction import BIAS
from raphson.model.predictor import LinearPredictor, Predictor

if TYPE_CHECKING:
    from raphson.fit.reading import Reading

NUMBERS = (
    *("nobs", "df_model", "df_resid", "dispersion", "deviance", "null_deviance", "llf", "aic", "bic"),
    *("theta", "theta_se", "rss", "distance", "_floor", "_effective", "condition_number"),
)
"""What is stored as a number; names with an underscore are not members of a Fit."""

ABSENT = ("theta", "theta_se", "rss")
"""Which of them may be None."""

NOT_NEGATIVE = ("nobs", "dispersion", "theta", "theta_se", "rss", "distance", "_floor", "condition_number")
"""Which of them are 0 or more, or NaN."""

MASKS = ("_free", "_aliased", "_undetermined")
"""What is stored as 0 or 1 for each coefficient."""


def stored(reading: Reading) -> dict[str, Any]:
    """The entries of a model with coefficients; the auxiliary parameters are stored with the family."""
    state, n = reading.state, reading.n
    body = {name: getattr(reading, name.lstrip("_")) for name in NUMBERS if name not in ("distance", "_floor", "rss")}
    body["r_squared"] = math.nan if reading.linear else reading.r_squared
    body["rss"] = None if "rss" in reading.refused else reading.rss
    for name in ("_theta", "_infinite", "_direction", "_follows"):
        values = getattr(state, name.lstrip("_"))
        body[name] = None if values is None else listed(values[:n])
    body |= {name: getattr(state, name.lstrip("_"))[:n].astype(int).tolist() for name in MASKS}
    return body | {
        "_reduced_cov": listed(reading.reduced_cov),
        "_certifying": listed(reading.certifying),
        "bias": state.bias,
        "message": reading.message,
        "remarks": list(reading.remarks),
        "information": {kind: or_none(partial(_information, reading, kind)) for kind in INFORMATION},
        **state.predictor.to_dict(),
    }


def _information(reading: Reading, kind: Information) -> Any:
    return listed(reading.information(kind))


def or_none(compute: Callable[[], Any]) -> Any:
    """The result, or None where it does not exist."""
    try:
        return compute()
    except RaphsonError:
        return None


def restored(
    body: Mapping[str, Any], common: Mapping[str, Any], family: Any, schema: Any, predictor: Predictor
) -> FitState:
    """The state that a file describes; `common` is the part that all kinds of model have."""
    names = body["names"]
    expect(is_texts(names), "names: expected different texts")
    levels = body["family"].get("levels")
    expect(levels is None or (is_texts(levels) and len(levels) > 1), "levels: expected different texts")
    n = len(names)
    expect(body["bias"] is None or body["bias"] in BIAS, f"bias: {body['bias']!r} is not known")
    expect(isinstance(body["message"], str), "message: expected text")
    expect(is_list(body["remarks"], lambda one: isinstance(one, str)), "remarks: expected texts")
    numbers = {name: number(body[name], name) for name in NUMBERS}
    infinite = array(body["_infinite"], (n,), "_infinite")
    expect(bool(np.isin(infinite, (-1, 0, 1)).all()), "_infinite: expected -1, 0 or 1")
    return FitState(
        **common,
        free=_mask(body["_free"], n, "_free"),
        aliased=_mask(body["_aliased"], n, "_aliased"),
        undetermined=_mask(body["_undetermined"], n, "_undetermined"),
        names=tuple(names),
        bias=body["bias"],
        family=family,
        auxiliary=(),
        predictor=predictor,
        schema=schema,
        theta=array(body["_theta"], (n,), "_theta"),
        infinite=infinite,
        direction=None if body["_direction"] is None else array(body["_direction"], (n,), "_direction"),
        follows=_follows(body.get("_follows"), n),
        saved={name.lstrip("_"): value for name, value in numbers.items() if name not in ("distance", "_floor")}
        | {name.lstrip("_"): covariance(body[name], n, name) for name in ("_reduced_cov", "_certifying")}
        | {name: body[name] for name in ("message", "remarks", "has_intercept")}
        | {"r_squared": number(body.get("r_squared", math.nan), "r_squared")}  # older files lack it
        | {"informations": _informations(body["information"], n)},
    )


def linear_predictor(body: Mapping[str, Any], n_predictors: int) -> LinearPredictor:
    """The predictors that a file describes."""
    widths, design = body["widths"], body["design"]
    expect(is_list(widths, is_count) and len(widths) == n_predictors, f"widths: expected {n_predictors}")
    expect(is_list(design, is_count) and len(design) == n_predictors, f"design: expected {n_predictors}")
    return LinearPredictor(tuple(widths), tuple(design))


def number(value: Any, name: str) -> float | None:
    if value is None and name in ABSENT:
        return None
    if not is_number(value):
        raise ValueError(f"{name}: expected a number")
    expect(name not in NOT_NEGATIVE or value >= 0 or math.isnan(value), f"{name}: expected 0 or more")
    return value


def _mask(value: Any, n: int, name: str) -> np.ndarray:
    flags = array(value, (n,), name)
    expect(bool(np.isin(flags, (0, 1)).all()), f"{name}: expected 0 or 1")
    return flags.astype(bool)


def _follows(value: Any, n: int) -> np.ndarray | None:
    if value is None:
        return None
    expect(isinstance(value, list) and len(value) == n and bool(n), "_follows: expected a row for each coefficient")
    return array(value, (n, len(value[0])), "_follows")


def _informations(value: Any, n: int) -> dict[str, np.ndarray | None]:
    expect(isinstance(value, dict) and set(value) == set(INFORMATION), "information: other kinds")
    return {kind: None if M is None else array(M, (n, n), f"{kind} information") for kind, M in value.items()}
