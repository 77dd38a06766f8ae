"""A fit as a file, JSON with numbers and text only, and the reading of such a file. Nothing in it is executed.

A file holds the state but for the data, and what else is worked out from them (:data:`NUMBERS` and the like): a loaded
reading has these as if it had worked them out itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from raphson.choices import Information
from raphson.data import Schema
from raphson.errors import ModelError, RaphsonError
from raphson.fit import file
from raphson.fit.file import array, covariance, expect, is_count, is_list, is_number, is_texts, listed
from raphson.fit.likelihood import LikelihoodReading
from raphson.fit.network import NetworkReading
from raphson.fit.reading import Reading
from raphson.fit.state import FitState
from raphson.fit.uncertainty import COVARIANCES, INFORMATION
from raphson.inference.covariance import SMALL_SAMPLE
from raphson.model import families
from raphson.model.bias.reduction import BIAS
from raphson.model.curve.nonlinear import saved_predictor
from raphson.model.likelihood.saved import family_from_dict, is_likelihood, schema_from_dict
from raphson.model.network.layers import Network
from raphson.model.network.predictor import NetworkPredictor, Scale
from raphson.model.predictor import LinearPredictor
from raphson.newton.methods import METHODS
from raphson.newton.path import Path, PathRow
from raphson.status import Status

NUMBERS = (
    *("nobs", "df_model", "df_resid", "dispersion", "deviance", "null_deviance", "llf", "aic", "bic"),
    *("theta", "theta_se", "rss", "distance", "_floor", "_effective", "condition_number"),
)
"""What is stored of a fit as one number; an underscore stands before what no Fit shows."""

ABSENT = ("theta", "theta_se", "rss")
"""Which of them may be None."""

NOT_NEGATIVE = ("nobs", "dispersion", "theta", "theta_se", "rss", "distance", "_floor", "condition_number")
"""Which of them are 0 or more, or NaN."""

OF_NETWORKS = ("nobs", "dispersion", "deviance", "null_deviance", "distance", "_floor", "llf")
"""Which of them are stored of a network."""

MASKS = ("_free", "_aliased", "_undetermined")
"""What is stored as 0 or 1 for each coefficient."""

DISPERSIONS = ("pearson", "deviance", "ml")


def write(reading: Reading, path: str | PathLike[str]) -> None:
    """Write a fit to `path`; the file is there whole or not at all."""
    state = reading.state
    body: dict[str, Any] = {
        "names": list(state.names),
        "method": state.method,
        "formula": state.formula,
        "information_kind": state.information,
        "cov_kind": state.cov,
        "small_sample": state.small_sample,
        "dispersion_rule": state.dispersion_rule,
        "inputs": dict(state.inputs),
        "status": state.status.value,
        "n_dropped": int(state.n_dropped),
        "distance": state.distance,
        "_floor": state.floor,
        "has_intercept": reading.has_intercept,
        "family": state.family.to_dict(),
        "schema": state.schema.to_dict(),
        "path": reading.told_steps.columns(),
    }
    own = _layers(reading) if isinstance(reading, NetworkReading) else _coefficients(reading)
    file.write(body | own, path)


def read(path: str | PathLike[str]) -> Reading:
    """The reading of a fit that :func:`write` wrote.

    Raises
    ------
    DataError
        If the file is missing, cut short, of another kind, or was changed since it was written.
    """
    return file.read(path, _rebuilt)


# -- what is written -------------------------------------------------------------------------------------------


def _coefficients(reading: Reading) -> dict[str, Any]:
    """What is stored of a model with coefficients; auxiliary parameters, which come last, are in the family."""
    state, n = reading.state, reading.n
    body = {name: getattr(reading, name.lstrip("_")) for name in NUMBERS if name not in ("distance", "_floor", "rss")}
    body["rss"] = None if "rss" in reading.refused else reading.rss
    for name in ("_theta", "_infinite", "_direction", "_follows"):
        values = getattr(state, name.lstrip("_"))
        body[name] = None if values is None else listed(values[:n])
    body |= {name: getattr(state, name.lstrip("_"))[:n].astype(int).tolist() for name in MASKS}
    body |= {
        "_reduced_cov": listed(reading.reduced_cov),
        "_certifying": listed(reading.certifying),
        "bias": state.bias,
        "message": reading.message,
        "remarks": list(reading.remarks),
        "information": {kind: _told(partial(_information, reading, kind)) for kind in INFORMATION},
        **state.predictor.to_dict(),
    }
    return body | reading.own()


def _information(reading: Reading, kind: Information) -> Any:
    return listed(reading.information(kind))


def _told(ask: Callable[[], Any]) -> Any:
    """What is there to be had, or None."""
    try:
        return ask()
    except RaphsonError:
        return None


def _layers(reading: NetworkReading) -> dict[str, Any]:
    """What is stored of a network."""
    try:
        V, effective = reading.reduced_cov, reading.effective
    except ModelError:
        V, effective = np.zeros((0, 0)), math.nan  # more weights than intervals are made from
    return {name: getattr(reading, name) for name in OF_NETWORKS if name not in ("distance", "_floor")} | {
        "_remark": reading.remark,
        "rss": _told(lambda: reading.rss) if "rss" not in reading.refused else None,
        "theta": reading.state.theta[: reading.n].tolist(),
        "covariance": V.tolist(),
        "effective": effective,
        "reference_df": reading.reference_df,
        "history": [dict(row) for row in reading.epochs],
        **reading.predictor.to_dict(),
    }


# -- what is read ----------------------------------------------------------------------------------------------


def _rebuilt(body: dict[str, Any]) -> Reading:
    """The reading that a file describes; every part of it is checked."""
    if "network" in body:
        return _network(body)
    by_rows = is_likelihood(body["family"])
    schema: Any = schema_from_dict(body["schema"]) if by_rows else Schema.from_dict(body["schema"])
    family = family_from_dict(body["family"], schema) if by_rows else families.from_dict(body["family"])
    names = body["names"]
    expect(is_texts(names), "names: expected different texts")
    levels = body["family"].get("levels")
    expect(levels is None or (is_texts(levels) and len(levels) > 1), "levels: expected different texts")
    n = len(names)
    expect(body["bias"] is None or body["bias"] in BIAS, f"bias: {body['bias']!r} is not known")
    expect(isinstance(body["message"], str), "message: expected text")
    expect(is_list(body["remarks"], lambda one: isinstance(one, str)), "remarks: expected texts")
    numbers = {name: _number(body[name], name) for name in NUMBERS}
    infinite = array(body["_infinite"], (n,), "_infinite")
    expect(bool(np.isin(infinite, (-1, 0, 1)).all()), "_infinite: expected -1, 0 or 1")
    state = FitState(
        **_common(body),
        free=_mask(body["_free"], n, "_free"),
        aliased=_mask(body["_aliased"], n, "_aliased"),
        undetermined=_mask(body["_undetermined"], n, "_undetermined"),
        names=tuple(names),
        bias=body["bias"],
        family=family,
        auxiliary=(),
        predictor=_predictor(body, family, schema),
        schema=schema,
        theta=array(body["_theta"], (n,), "_theta"),
        infinite=infinite,
        direction=None if body["_direction"] is None else array(body["_direction"], (n,), "_direction"),
        follows=_follows(body.get("_follows"), n),
        saved={name.lstrip("_"): value for name, value in numbers.items() if name not in ("distance", "_floor")}
        | {name.lstrip("_"): covariance(body[name], n, name) for name in ("_reduced_cov", "_certifying")}
        | {name: body[name] for name in ("message", "remarks", "has_intercept")}
        | {"informations": _informations(body["information"], n)},
    )
    return LikelihoodReading.loaded(state, body) if by_rows else Reading(state)


def _common(body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the state that is stored of every kind of model."""
    for name in ("method", "information_kind", "cov_kind"):
        expect(isinstance(body[name], str), f"{name}: expected text")
    kind = body["information_kind"]
    expect(kind in INFORMATION, f"information_kind: {kind!r} is not known")
    METHODS.saved(body["method"])
    COVARIANCES.saved(body["cov_kind"])
    formula = body["formula"]
    expect(formula is None or isinstance(formula, str), "formula: expected text")
    expect(is_count(body["n_dropped"]), "n_dropped: expected a count")
    expect(isinstance(body["has_intercept"], bool), "has_intercept: expected true or false")
    small_sample = body.get("small_sample", "full")  # older files have none, nor what else was given
    expect(small_sample in SMALL_SAMPLE, f"small_sample: {small_sample!r} is not known")
    inputs = body.get("inputs", {})
    expect(isinstance(inputs, dict), "inputs: expected names")
    expect(all(isinstance(one, str) or is_number(one) for one in inputs.values()), "inputs: expected texts, numbers")
    rule = body["dispersion_rule"]
    if isinstance(rule, str):
        expect(rule in DISPERSIONS, f"dispersion_rule: expected one of {', '.join(DISPERSIONS)}")
    else:
        expect(is_number(rule) and 0 < rule < math.inf, "dispersion_rule: expected a positive number")
        rule = float(rule)
    return {
        "method": body["method"],
        "information": body["information_kind"],
        "cov": body["cov_kind"],
        "small_sample": small_sample,
        "dispersion_rule": rule,
        "formula": formula,
        "inputs": inputs,
        "n_dropped": body["n_dropped"],
        "status": Status(body["status"]),
        "steps": Path.from_columns(_columns(body["path"])),
        "distance": _number(body["distance"], "distance"),
        "floor": _number(body["_floor"], "_floor"),
    }


def _predictor(body: Mapping[str, Any], family: Any, schema: Any) -> Any:
    names, K = body["names"], family.n_predictors
    n = len(names)
    if "curve" in body:
        curve = body["curve"]
        expect(K == 1 and not is_likelihood(body["family"]), "curve: expected one predictor")
        expect(curve is None or (is_texts(curve["columns"]) and is_texts(curve["parameters"])), "curve: its names")
        expect(curve is None or tuple(curve["columns"]) == schema.names, "curve: expected the columns of the data")
        return saved_predictor(curve, names)
    widths, design = body["widths"], body["design"]
    expect(is_list(widths, is_count) and len(widths) == K, f"widths: expected {K}")
    expect(is_list(design, is_count) and len(design) == K, f"design: expected {K}")
    if is_likelihood(body["family"]):
        parts = sum(len(part.names) for part in schema.parts.values()) if hasattr(schema, "parts") else 0
        expect(parts <= n, f"names: expected {parts} or more")
    else:
        width = len(schema.names)
        expect(widths == [width] * K, f"widths: expected {K} times {width}")
        expect(K * width == n, f"names: expected {K * width}")
        expect(design == [0] * K, f"design: expected {K} times 0")
    return LinearPredictor(tuple(widths), tuple(design))


def _network(body: dict[str, Any]) -> NetworkReading:
    family, schema = families.from_dict(body["family"]), Schema.from_dict(body["schema"])
    network = Network.from_dict(body["network"])
    K, p = network.n_predictors, network.n_params
    expect(family.n_predictors == K and network.n_auxiliary == 0, f"network: expected {family.n_predictors} outputs")
    for name in ("effective", *OF_NETWORKS):
        expect(is_number(body[name]), f"{name}: expected a number")
    expect(isinstance(body["_remark"], str), "_remark: expected text")
    expect(isinstance(body["last_layer"], bool), "last_layer: expected true or false")
    reference_df = body["reference_df"]
    expect(reference_df is None or is_number(reference_df), "reference_df: expected a number or none")
    theta = array(body["theta"], (p,), "theta")
    expect(bool(np.isfinite(theta).all()), "theta: expected finite weights")
    V = np.zeros((0, 0))
    if body["covariance"]:
        last = network.layers[-1]
        V = covariance(body["covariance"], (last.inputs + 1) * K if body["last_layer"] else p, "covariance")
    none = np.zeros(p, dtype=bool)
    state = FitState(
        **_common(body),
        names=network.names,
        bias=None,
        family=family,
        auxiliary=(),
        predictor=_layered(body, network, schema),
        schema=schema,
        theta=theta,
        free=~none,
        aliased=none,
        infinite=np.zeros(p),
        undetermined=none,
        direction=None,
        follows=None,
        saved={name: body[name] for name in OF_NETWORKS if name not in ("distance", "_floor")}
        | {"reduced_cov": V, "effective": float(body["effective"]), "reference_df": reference_df}
        | {"has_intercept": body["has_intercept"], "informations": dict.fromkeys(INFORMATION)}
        | ({"rss": _number(body["rss"], "rss")} if body.get("rss") is not None else {}),  # older files have none
    )
    return NetworkReading(state, [_epoch(row, len(network.shapes)) for row in body["history"]], body["_remark"])


def _layered(body: Mapping[str, Any], network: Network, schema: Schema) -> NetworkPredictor:
    """The layers, with their running statistics and the scale of the inputs."""
    K, running = network.n_predictors, []
    expect(len(body["running"]) == len(network.layers), "running: expected one for each layer")
    for layer, one in zip(network.layers, body["running"], strict=True):
        expect(set(one) == set(layer.running()), "running: other statistics")
        running.append({name: array(values, (layer.outputs,), name) for name, values in one.items()})
    scale = body["scale"]
    columns = scale["columns"]
    expect(is_list(columns, is_count), "scale: expected numbers of columns")
    expect(all(column < len(schema.names) for column in columns), "scale: a column that is not there")
    d = len(columns)
    expect(network.layers[0].inputs == d, f"network: expected {d} inputs")
    centre, spread = array(scale["centre"], (d,), "scale"), array(scale["spread"], (d,), "scale")
    expect(bool((spread > 0).all()), "scale: expected positive spreads")
    state = network.state(array(body["centre"], (K,), "centre"), array(body["spread"], (K,), "spread"))
    return NetworkPredictor(
        network, state | {"running": running}, Scale(tuple(columns), centre, spread), body["last_layer"]
    )


def _epoch(row: Any, n_layers: int) -> dict[str, Any]:
    expect(set(row) == {"epoch", "loss", "validation", "rate", "rows", "norms"}, "history: other columns")
    array(row["norms"], (n_layers,), "norms")
    expect(all(is_number(row[name]) for name in row if name != "norms"), "history: expected numbers")
    return row


def _number(value: Any, name: str) -> float | None:
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
    expect(isinstance(value, list) and len(value) == n and bool(n), "_follows: expected a row a coefficient")
    return array(value, (n, len(value[0])), "_follows")


def _informations(value: Any, n: int) -> dict[str, np.ndarray | None]:
    expect(isinstance(value, dict) and set(value) == set(INFORMATION), "information: other kinds")
    return {kind: None if M is None else array(M, (n, n), f"{kind} information") for kind, M in value.items()}


def _columns(columns: Any) -> dict[str, list[Any]]:
    """The path's columns: counts, numbers or text, as its steps have them."""
    tests = {"int": is_count, "float": is_number, "str": lambda value: isinstance(value, str)}
    for one in fields(PathRow):
        if one.name not in columns and one.default is not MISSING:
            continue  # of an older file
        expect(is_list(columns[one.name], tests[str(one.type)]), f"path: the column {one.name}")
    return columns
