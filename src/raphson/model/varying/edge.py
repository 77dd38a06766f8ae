"""Standard deviations of 0 and correlations of ±1: where the maximum lies at the edge, and what is held there.

The criterion is even in the diagonal entries of Λ, so that its gradient vanishes at 0 in any model. What decides is the
curvature there, which is the one-sided derivative in the variance: V(σ) = V(0) + σ² ∂V/∂σ² + …. Where V falls, 0 is the
answer, and the entry is held at exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.model.objective import Need
from raphson.model.varying.criterion import Criterion

NEAR = 1e-3
"""Size of an entry in its own standard errors within which it is tried at 0. Newton's last step leaves some 1e-8."""


@dataclass(frozen=True)
class Edge:
    """What is held at an edge.

    Attributes
    ----------
    theta : (J,) with the held entries at 0.
    held : (J,) mask of them.
    notes : what each means.
    """

    theta: np.ndarray
    held: np.ndarray
    notes: tuple[str, ...]


def edge_of(criterion: Criterion, theta: np.ndarray, held: np.ndarray) -> Edge | None:
    """The edge that θ has come to, beyond what is held already; None where it has come to none."""
    if not criterion.n_entries:
        return None
    here = criterion.evaluate(theta, Need(kinds=("observed",)))
    if "observed" not in here.information:
        return None
    sizes = np.sqrt(np.abs(here.information["observed"].matrix.diagonal()))
    there, more, notes = theta.copy(), np.zeros(len(theta), dtype=bool), []
    tried: list[int] = []
    for scale, term in zip(criterion.scales, criterion.terms, strict=True):
        at = slice(criterion.p + scale.start, criterion.p + scale.start + scale.count)
        found = _of_term(scale, there[at], sizes[at], held[at])
        if found is None:
            continue
        there[at], own, diagonal, said = found
        more[at] |= own
        tried += [at.start + j for j in diagonal]
        notes += [_said(kind, names, term) for kind, *names in said]
    if not more.any():
        return None
    after = criterion.evaluate(there, Need(kinds=("observed",)))
    if "observed" not in after.information:
        return None
    curvature = after.information["observed"].matrix.diagonal()
    falls = all(curvature[j] > 0 for j in tried)
    return Edge(there, held | more, tuple(notes)) if falls else None


def _of_term(scale: Any, entries: np.ndarray, sizes: np.ndarray, held: np.ndarray) -> Any:
    """New entries, those to be held, the diagonal ones among them whose curvature decides, and what to say of them."""
    near = np.abs(entries) * sizes < NEAR
    if scale.structure != "correlated":
        own = near & ~held
        if not own.any():
            return None
        chosen = [j for j in range(len(entries)) if own[j]]
        return np.where(own, 0.0, entries), own, chosen, [("sd", j) for j in chosen]
    places = [where[0] for where in scale.places]
    diagonal = {a: j for j, (a, b) in enumerate(places) if a == b}
    c = scale.width
    of_row = [[j for j, (a, _) in enumerate(places) if a == row] for row in range(c)]
    zero = [row for row in range(c) if all(near[j] for j in of_row[row])]
    singular = [row for row in range(c) if row not in zero and near[diagonal[row]]]
    fresh = [row for row in (*zero, *singular) if not held[diagonal[row]]]
    if not fresh:
        return None
    L = np.zeros((c, c))
    for value, (a, b) in zip(entries, places, strict=True):
        L[a, b] = value
    own = np.zeros(len(entries), dtype=bool)
    gone = [*zero, *singular]
    for j, (a, b) in enumerate(places):
        if a in zero or b in gone:
            own[j] = True
    L = without(L, zero, singular)
    new = np.array([0.0 if own[j] else L[a, b] for j, (a, b) in enumerate(places)])
    said = [("sd", row) if row in zero else ("corr", row) for row in fresh]
    return new, own & ~held, [diagonal[row] for row in fresh], said


def without(L: np.ndarray, zero: list[int], singular: list[int]) -> np.ndarray:
    """A triangle with the same LLᵀ that has no entries in the columns of what is 0."""
    c = len(L)
    kept = [k for k in range(c) if k not in zero and k not in singular]
    rows = [k for k in range(c) if k not in zero]
    out = np.zeros_like(L)
    # Coefficients without a part of their own depend on those before them.
    G = L @ L.T
    for row in rows:
        known = [k for k in kept if k < row]
        if known:
            out[row, known] = np.linalg.solve(out[np.ix_(known, known)], G[known, row])
        if row in kept:
            out[row, row] = np.sqrt(max(G[row, row] - float(out[row, known] @ out[row, known]), 0.0))
    return out


def _said(kind: str, names: list[int], term: Any) -> str:
    name = term.scale_names[names[0]]
    if kind == "corr":
        return (
            f"({term.label}): the coefficients of {name} are a linear function of those before: their correlation is "
            "at its limit, and the criterion falls within it"
        )
    if term.structure == "tensor":
        return f"{term.label} is along {name} what its penalty spares (λ = ∞): the criterion falls as it bends there"
    if term.codes is None:
        return f"{term.label} is what its penalty spares (λ = ∞): the criterion falls as it bends"
    of = "" if term.width == 1 else f" of {name}"
    return (
        f"({term.label}): the standard deviation{of} is 0, as the criterion falls when it leaves 0; the other "
        "estimates are those of the model without it"
    )
