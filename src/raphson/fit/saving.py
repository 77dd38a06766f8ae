"""Saving a fit to a JSON file of numbers and text, and loading it. Nothing in a file is executed.

A file holds the state without the data, and the results that need the data, which each kind of reading lists; they fill
the caches of a loaded reading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike
from typing import Any, get_type_hints

from raphson.fit import file
from raphson.fit.coefficients import number
from raphson.fit.file import expect, is_count, is_list, is_number
from raphson.fit.likelihood import LikelihoodReading
from raphson.fit.network import NetworkReading
from raphson.fit.reading import Reading
from raphson.fit.uncertainty import COVARIANCES, INFORMATION
from raphson.fit.varying.likelihood import VaryingLikelihoodReading
from raphson.fit.varying.reading import VaryingReading
from raphson.inference.covariance import SMALL_SAMPLE
from raphson.newton.methods import METHODS
from raphson.newton.path import Path, PathRow
from raphson.status import Status

KINDS = (NetworkReading, VaryingLikelihoodReading, LikelihoodReading, VaryingReading, Reading)
"""The kinds of reading; the first that recognises a file reads it."""

DISPERSIONS = ("pearson", "deviance", "ml")


def write(reading: Reading, path: str | PathLike[str]) -> None:
    """Write a fit to `path`, whole or not at all."""
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
        "path": reading.path_with_llf.columns(),
    }
    file.write(body | reading.stored(), path)


def rebuilt(body: dict[str, Any]) -> Reading:
    """The reading that a file describes, with every part checked."""
    kind = next(one for one in KINDS if one.wrote(body))
    return kind.loaded(body, _common(body))


def _common(body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the state that every kind of model stores."""
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
    small_sample = body.get("small_sample", "full")  # older files lack it, and inputs
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
        "distance": number(body["distance"], "distance"),
        "floor_of": number(body["_floor"], "_floor"),
    }


def _columns(columns: Any) -> dict[str, list[Any]]:
    """The path's columns, checked by the types of PathRow."""
    tests = {"int": is_count, "float": is_number, "str": lambda value: isinstance(value, str)}
    for name, kind in get_type_hints(PathRow).items():
        if name not in columns and name in PathRow._field_defaults:
            continue  # of an older file
        expect(is_list(columns[name], tests[kind.__name__]), f"path: the column {name}")
    return columns
