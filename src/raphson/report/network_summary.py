"""The summary of a network: its layers and its training, as single weights have no meaning."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

from raphson.model.network.layers import Network
from raphson.report import content
from raphson.report.summary import Summary
from raphson.sheets import numbers
from raphson.sheets.sheet import Grid, Note


def network_summary(fit: Any, network: Network) -> Summary:
    """Summarise a network.

    Parameters
    ----------
    fit : Fit
    network : its layers.
    """
    notes = [Note(content.verdict(fit).capitalize() + "."), Note(content.sentence(fit.message, fit), "key")]
    return Summary(fit.formula or "y and X as arrays", _facts(fit), [_layers(network)], notes)


def _facts(fit: Any) -> list[tuple[str, str]]:
    history = fit.history
    pairs = [
        ("Family", f"{fit.family.name}, {fit.family.link_name} link"),
        ("Method", str(fit.method)),
        ("Observations", f"{fit.nobs:,.10g}" + (f" ({fit.n_dropped:,} dropped)" if fit.n_dropped else "")),
        *((name if name != "Weights" else "Row weights", value) for name, value in content.given(fit)),
        ("Weights", f"{len(fit.names):,}"),
        ("Deviance", numbers.rounded(fit.deviance)),
        ("Null deviance", numbers.rounded(fit.null_deviance)),
    ]
    if len(history):
        pairs.append(("Epochs", f"{len(history):,}"))
        pairs.append(("Training loss", numbers.significant(history["loss"].iloc[-1], 5)))
        held = history["validation"].iloc[-1]
        pairs.append(("Validation loss", "none held out" if math.isnan(held) else numbers.significant(held, 5)))
    return pairs


def _layers(network: Network) -> Grid:
    """A line for each layer; neighbouring layers of the same kind share one."""
    rows: list[tuple[str, ...]] = []
    described = [
        (
            str(layer.inputs),
            str(layer.outputs),
            layer.activation,
            "batch" if layer.batch_norm else "-",
            layer.residual or "-",
            f"{sum(math.prod(shape) for shape in layer.shapes.values()):,}",
        )
        for layer in network.layers
    ]
    labels = iter(network.labels)
    for (*cells, weights), alike in groupby(described):
        first, *others = [next(labels) for _ in alike]
        if others:
            rows.append((f"{first} to {others[-1]}", *cells, f"{weights} each"))
        else:
            rows.append((first, *cells, weights))
    return Grid(("layer", "inputs", "units", "activation", "norm", "residual", "weights"), tuple(rows))
