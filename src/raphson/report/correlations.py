"""The largest correlations of estimates, as a strip of coloured bars with their numbers."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from raphson.errors import visible

MOST = 10
"""Pairs that are shown, the largest."""


def correlation_strip(fit: Any) -> str:
    """The strip as HTML; empty for less than two parameters with standard errors."""
    V = np.asarray(fit.cov_params(), dtype=float)
    spread = np.sqrt(np.maximum(np.diagonal(V), 0.0))
    known = np.flatnonzero(np.isfinite(spread) & (spread > 0))
    if len(known) < 2:
        return ""
    R = V[np.ix_(known, known)] / np.outer(spread[known], spread[known])
    first, second = np.triu_indices(len(known), 1)
    order = np.argsort(-np.abs(R[first, second]), kind="stable")
    names = [visible(str(fit.names[k])) for k in known]
    items = []
    for k in order[:MOST]:
        a, b, r = names[first[k]], names[second[k]], float(R[first[k], second[k]])
        tone = "data" if r >= 0 else "negative"
        bar = f"<i><i style='width:{100 * abs(r):.0f}%;background:var(--{tone})'></i></i>"
        items.append(f"<li><span>{escape(a)}, {escape(b)}</span>{bar}<b>{f'{r:.3f}'.replace('-', '−')}</b></li>")
    left = len(order) - MOST
    note = f" The {MOST} largest of {len(order)}." if left > 0 else ""
    return (
        "<h3 style='margin-top:32px'>Correlation of the estimates</h3>"
        f"<p class='note'>Blue: positive, yellow: negative; the longer, the stronger.{note} Near ±1 the data tell two "
        f"parameters apart only together.</p><ul class='corr'>{''.join(items)}</ul>"
    )
