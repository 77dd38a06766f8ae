"""Warnings about a maximum at the edge of the domain: the rows that lie there, and missing standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.model.walls import Edges

PATTERNS = 3
"""Most covariate patterns that are written out."""

COLUMNS = 6
"""Patterns are written out for up to this many columns."""


def edge_remarks(model: Any, result: Any) -> list[str]:
    """Sentences about a result at the edge."""
    objective, theta, face = model.likelihood, result.theta, result.face
    edges: Edges = objective.edges
    rows, end = edges.at(theta), _end(model, edges)
    count = f"{len(rows)} row" + ("" if len(rows) == 1 else "s")
    lie = "lies" if len(rows) == 1 else "lie"
    out = [f"{count} {lie} at the boundary, with a fitted mean of {end}: {_patterns(model, face)}"]
    cut_off = face.affected[: model.n_coefficients]
    named = [name for name, one in zip(model.names, cut_off, strict=True) if one]
    if named:
        several = len(named) > 1
        out.append(
            f"{', '.join(named)} {'have' if several else 'has'} no standard error (NaN), since the boundary truncates "
            f"{'their distributions' if several else 'its distribution'}; profile intervals remain valid: "
            'conf_int(kind="profile")'
        )
    if not face.curved:
        out.append("the likelihood is flat along the boundary: other estimates there fit equally well")
    return out


def _end(model: Any, edges: Edges) -> str:
    """The mean at the edge, in words."""
    low, high = model.family.domain
    sides = edges.sides
    means = []
    with np.errstate(all="ignore"):
        for sign, end in ((-1, low), (1, high)):
            if sign in sides:
                means.append(f"{float(np.asarray(model.family.link.mean(np.float64(end)))):g}")
    return " or ".join(means)


def _patterns(model: Any, face: Any) -> str:
    """The covariate patterns at the edge, as names and values; only their number where there are many columns."""
    names, m = model.names, len(face.normals)
    if len(names) > COLUMNS:
        return f"{m} pattern" + ("" if m == 1 else "s") + " of covariates"
    shown = []
    for normal in face.normals[:PATTERNS]:
        # A wall's normal is a row of the design, or its negative.
        row = normal[: len(names)]
        first = row[np.flatnonzero(row)[0]] if row.any() else 1.0
        constant = [row[j] for j, name in enumerate(names) if name in ("Intercept", "(Intercept)")]
        sign = np.sign(constant[0]) if constant else np.sign(first)
        values = [f"{name} = {value:.6g}" for name, value in zip(names, sign * row, strict=True)]
        kept = [text for text, name in zip(values, names, strict=True) if name not in ("Intercept", "(Intercept)")]
        shown.append(", ".join(kept) or "every row of the intercept alone")
    more = f"; and {m - PATTERNS} more patterns" if m > PATTERNS else ""
    return "; ".join(f"({text})" if m > 1 else text for text in shown) + more
