"""The summary of a network: its layers and its training, as single weights have no meaning."""

from __future__ import annotations

import math
import textwrap
from html import escape
from itertools import groupby
from typing import Any

from raphson.model.network.layers import Network
from raphson.report import content, numbers
from raphson.report.summary import _WIDTH, Summary, _two_columns


def network_summary(fit: Any, network: Network) -> Summary:
    """Summarise a network.

    Parameters
    ----------
    fit : Fit
    network : its layers.
    """
    facts, layers = _facts(fit), _layers(network)
    title = fit.formula or "y and X as arrays"
    widths = [max(map(len, column)) for column in zip(*layers, strict=True)]
    table = [
        "  ".join([line[0].ljust(widths[0]), *(t.rjust(w) for t, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in layers
    ]
    remark = content.sentence(fit.message, fit)
    lines = [
        *textwrap.wrap(title, _WIDTH, subsequent_indent="    "),
        "",
        *_two_columns(facts),
        "",
        table[0],
        "-" * max(map(len, table)),
        *table[1:],
        "",
        *textwrap.wrap(content.verdict(fit).capitalize() + ".", _WIDTH),
        *textwrap.wrap(remark, _WIDTH, subsequent_indent="    "),
    ]
    head, *body = layers
    html = [f"<p><strong>{escape(title)}</strong></p><table class='facts'>"]
    html += [f"<tr><th scope='row'>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts]
    html.append("</table><table class='coefficients'><thead><tr>")
    html += [f"<th scope='col'>{escape(cell)}</th>" for cell in head]
    html.append("</tr></thead><tbody>")
    for line in body:
        html.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>")
    html.append(f"</tbody></table><p>{escape(remark)}</p>")
    return Summary("\n".join(lines), "".join(html), tuple(facts), layers)


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


def _layers(network: Network) -> list[list[str]]:
    """A line for each layer; neighbouring layers of the same kind share one."""
    rows = [["layer", "inputs", "units", "activation", "norm", "residual", "weights"]]
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
            rows.append([f"{first} to {others[-1]}", *cells, f"{weights} each"])
        else:
            rows.append([first, *cells, weights])
    return rows
