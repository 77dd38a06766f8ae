"""Which parameters a traced function is linear in.

f is linear in a set L of parameters, with the others held fixed, where ∂²f/∂θ_j∂θ_k = 0 for all j, k in L. For each
operation of f the pairs (j, k) are recorded whose second derivative it can make nonzero: a sum adds none, a product
adds pairs of a parameter of one factor with one of the other, and any other operation adds all pairs that it depends
on. This errs on the safe side: a pair that cancels may be recorded, but none is missed.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

from raphson.autodiff.walk import walk
from raphson.compat import name_of

Pairs = frozenset[tuple[int, int]]

LINEAR = frozenset(
    [
        *("add", "add_any", "sub", "neg", "reduce_sum", "cumsum", "copy", "copy_p", "convert_element_type"),
        *("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev", "slice", "concatenate", "pad"),
        *("split", "stack", "real", "device_put"),
    ]
)
"""Primitives linear in all their inputs together."""

INDEXED = frozenset(["dynamic_slice", "gather", "select_n", "dynamic_update_slice"])
"""Linear in what is selected from, with the parameters that select held fixed."""

PRODUCTS = frozenset(["mul", "dot_general", "conv_general_dilated"])

EXHAUSTIVE = 14
"""Up to this many parameters all sets are tried to find the largest one: 2¹⁴ = 16,384 sets."""


class Dependence(NamedTuple):
    """What a value depends on, and the pairs of parameters that its second derivatives may involve."""

    on: frozenset[int]
    pairs: Pairs


NOTHING = Dependence(frozenset(), frozenset())


def _pairs(a: frozenset[int], b: frozenset[int]) -> Pairs:
    return frozenset((min(j, k), max(j, k)) for j in a for k in b)


def curved_pairs(jaxpr: Any, inputs: list[Dependence]) -> Dependence:
    """What a traced function's output depends on, and the pairs (j ≤ k) whose second derivative may not vanish.

    Parameters
    ----------
    jaxpr : closed jaxpr.
    inputs : for each flat input, what it depends on: parameter number j is ``Dependence(frozenset([j]), frozenset())``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.autodiff.trace import trace
    >>> traced = trace(lambda a, b: a * jnp.exp(b), 1.0, 2.0)
    >>> sorted(curved_pairs(traced.jaxpr, [Dependence(frozenset([j]), frozenset()) for j in range(2)]).pairs)
    [(0, 1), (1, 1)]
    """

    def visit(equation: Any, given: list[Dependence], site: Any) -> list[Dependence]:
        name, on = name_of(equation), frozenset().union(*(one.on for one in given))
        pairs = frozenset().union(*(one.pairs for one in given))
        if not on or name in LINEAR:
            pass
        elif name in INDEXED:
            pairs |= _pairs(_selection(name, given), on)
        elif name in PRODUCTS:
            pairs |= _pairs(given[0].on, given[1].on)
        elif name == "div":
            pairs |= _pairs(given[0].on, given[1].on) | _pairs(given[1].on, given[1].on)
        elif not (name == "integer_pow" and equation.params["y"] == 1):
            pairs |= _pairs(on, on)
        return [Dependence(on, pairs)] * len(equation.outvars)

    outputs = walk(jaxpr, inputs, visit, lift=lambda constant: NOTHING)
    return Dependence(
        frozenset().union(*(one.on for one in outputs)), frozenset().union(*(one.pairs for one in outputs))
    )


def _selection(name: str, given: list[Dependence]) -> frozenset[int]:
    """The parameters on which a selection depends."""
    indices = given[:1] if name == "select_n" else given[2:] if name == "dynamic_update_slice" else given[1:]
    return frozenset().union(*(one.on for one in indices))


def largest_linear_set(pairs: Pairs, candidates: list[int]) -> frozenset[int]:
    """The largest set of candidates of which no two form one of `pairs`; the first among equally large ones.

    Examples
    --------
    >>> sorted(largest_linear_set(frozenset([(0, 1), (1, 1), (1, 2)]), [0, 1, 2]))
    [0, 2]
    """
    able = [j for j in candidates if (j, j) not in pairs]
    clashes = {(j, k) for j, k in pairs if j in able and k in able}
    if len(able) <= EXHAUSTIVE:
        for size in range(len(able), 0, -1):
            for chosen in combinations(able, size):
                if not any(j in chosen and k in chosen for j, k in clashes):
                    return frozenset(chosen)
        return frozenset()
    kept: list[int] = []
    for j in sorted(able, key=lambda j: sum(j in pair for pair in clashes)):
        if not any((min(j, k), max(j, k)) in clashes for k in kept):
            kept.append(j)
    return frozenset(kept)
