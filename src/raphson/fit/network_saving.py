"""A network's Fit as a file: the same JSON envelope as any Fit's, and what it needs to predict with intervals."""

from __future__ import annotations

import json
import math
from os import PathLike
from typing import Any

import numpy as np

from raphson.errors import ModelError
from raphson.fit import saving

NUMBERS = ("nobs", "dispersion", "deviance", "null_deviance", "distance", "_floor", "llf")
TEXTS = ("method", "formula", "_remark", "information_kind", "cov_kind")


def write(fit: Any, path: str | PathLike[str]) -> None:
    """Write a network's fit to `path`; the file is there whole or not at all."""
    from raphson.files import written_whole

    try:
        covariance, effective = fit._reduced_cov, fit._effective
    except ModelError:
        covariance, effective = np.zeros((0, 0)), math.nan  # more weights than intervals are made from
    state = fit._predictor.state
    n = len(fit.names)
    body: dict[str, Any] = {name: getattr(fit, name) for name in (*NUMBERS, *TEXTS)}
    body |= {
        "network": fit._predictor.network.to_dict(),
        "running": [{name: values.tolist() for name, values in one.items()} for one in state["running"]],
        "centre": np.asarray(state["centre"]).tolist(),
        "spread": np.asarray(state["spread"]).tolist(),
        "scale": {
            "columns": list(fit._predictor.scale.columns),
            "centre": fit._predictor.scale.centre.tolist(),
            "spread": fit._predictor.scale.spread.tolist(),
        },
        "theta": fit._theta[:n].tolist(),
        "covariance": covariance.tolist(),
        "last_layer": fit._predictor.last_layer,
        "effective": effective,
        "reference_df": fit._reference_df,
        "history": fit._history,
        "status": fit.status.value,
        "n_dropped": int(fit.n_dropped),
        "has_intercept": fit.has_intercept,
        "dispersion_rule": fit._dispersion_rule,
        "family": fit.family.to_dict(),
        "schema": fit._schema.to_dict(),
        "inputs": dict(fit.inputs),
        "path": fit.told_steps.columns(),
    }
    content = saving._encode(body)
    document = {
        "format": saving.FORMAT,
        "version": saving.VERSION,
        "sha256": saving._digest(content),
        "fit": content,
    }
    with written_whole(path) as draft:
        draft.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


def rebuilt(body: dict[str, Any], kind: type[Any]) -> Any:
    """The Fit, of a `kind`, that :func:`write` described; every part of it is checked."""
    from raphson.data import Schema
    from raphson.model import families
    from raphson.model.network.layers import Network
    from raphson.model.network.predictor import NetworkPredictor, Scale
    from raphson.newton import path as steps
    from raphson.status import Status

    expect, array = saving._expect, saving._array
    family = families.from_dict(body["family"])
    schema = Schema.from_dict(body["schema"])
    network = Network.from_dict(body["network"])
    K, p = network.n_predictors, network.n_params
    expect(family.n_predictors == K and network.n_auxiliary == 0, f"network: expected {family.n_predictors} outputs")
    running = []
    expect(len(body["running"]) == len(network.layers), "running: expected one for each layer")
    for layer, one in zip(network.layers, body["running"], strict=True):
        expect(set(one) == set(layer.running()), "running: other statistics")
        running.append({name: array(values, (layer.outputs,), name) for name, values in one.items()})
    scale = body["scale"]
    columns = scale["columns"]
    expect(saving._is_list(columns, saving._is_count), "scale: expected numbers of columns")
    expect(all(column < len(schema.names) for column in columns), "scale: a column that is not there")
    d = len(columns)
    expect(network.layers[0].inputs == d, f"network: expected {d} inputs")
    centre, spread = array(scale["centre"], (d,), "scale"), array(scale["spread"], (d,), "scale")
    expect(bool((spread > 0).all()), "scale: expected positive spreads")
    theta = array(body["theta"], (p,), "theta")
    expect(bool(np.isfinite(theta).all()), "theta: expected finite weights")
    covariance = np.zeros((0, 0))
    expect(isinstance(body["last_layer"], bool), "last_layer: expected true or false")
    if body["covariance"]:
        last = network.layers[-1]
        covariance = saving._covariance(
            body["covariance"], (last.inputs + 1) * K if body["last_layer"] else p, "covariance"
        )
    state = network.state(array(body["centre"], (K,), "centre"), array(body["spread"], (K,), "spread"))
    for name in NUMBERS:
        expect(saving._is_number(body[name]), f"{name}: expected a number")
    for name in TEXTS:
        value = body[name]
        expect(isinstance(value, str) or (name == "formula" and value is None), f"{name}: expected text")
    reference_df = body["reference_df"]
    expect(reference_df is None or saving._is_number(reference_df), "reference_df: expected a number or none")
    labels = network.labels
    history = [_epoch(row, len(network.shapes)) for row in body["history"]]
    expect(saving._is_count(body["n_dropped"]), "n_dropped: expected a count")
    fit = object.__new__(kind)
    fit.__dict__.update({name: body[name] for name in (*NUMBERS, *TEXTS)})
    fit.__dict__.update(
        names=network.names,
        inputs=saving.checked_inputs(body),
        small_sample="full",
        _n=p,
        _theta=theta,
        _predictor=NetworkPredictor(
            network, state | {"running": running}, Scale(tuple(columns), centre, spread), body["last_layer"]
        ),
        _reduced_cov=covariance,
        _effective=float(body["effective"]),
        _reference_df=reference_df,
        _history=history,
        _labels=labels,
        status=Status(body["status"]),
        n_dropped=body["n_dropped"],
        has_intercept=bool(body["has_intercept"]),
        _dispersion_rule=body["dispersion_rule"],
        family=family,
        _schema=schema,
        _steps=steps.Path.from_columns(saving._checked_columns(body["path"])),
        _auxiliary=(),
        _aliased=np.zeros(p, dtype=bool),
        _infinite=np.zeros(p),
        _free=np.ones(p, dtype=bool),
        _direction=None,
        _saved_information=dict.fromkeys(("expected", "observed", "opg")),
        _model=None,
        _estimate=None,
        _groups=None,
        _source=None,
        _refit=None,
    )
    return fit


def _epoch(row: Any, n_layers: int) -> dict[str, Any]:
    saving._expect(set(row) == {"epoch", "loss", "validation", "rate", "rows", "norms"}, "history: other columns")
    saving._array(row["norms"], (n_layers,), "norms")
    saving._expect(all(saving._is_number(row[name]) for name in row if name != "norms"), "history: expected numbers")
    return row
