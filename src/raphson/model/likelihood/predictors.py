"""The fewest linear predictors of a traced likelihood: a minimum cut through its operations.

A likelihood often depends on its many parameters only through a few sums of products with data: ``row.x @ beta``, an
intercept, a group's effect selected by an index. Every value of the traced function is marked as *data* (free of θ),
*affine* (a sum of parameters times data) or *nonlinear*. The affine values that nonlinear operations read are the
sinks, the parameters are the sources, and cutting an affine value costs its number of elements: the minimum vertex cut
(Ford and Fulkerson 1962, section I.11) is the shortest list of predictors η through which θ acts. The derivatives J of
η by θ are data alone and computed once; those of the likelihood by η are computed as for any family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from raphson.autodiff.walk import walk
from raphson.compat import CUSTOM, jnp, name_of, parts_of
from raphson.model.replay.replay import Replaced, numbered, operate, replaced, run

DATA, AFFINE, NONLINEAR = "data", "affine", "nonlinear"

_KEEPS = frozenset(
    [
        "neg",
        "broadcast_in_dim",
        "reshape",
        "squeeze",
        "expand_dims",
        "transpose",
        "slice",
        "reduce_sum",
        "copy",
        "rev",
        "cumsum",
        "copy_p",
        "convert_element_type",
        "concatenate",
        "add",
        "sub",
        "add_any",
        "pad",
    ]
)
"""Operations that are affine in all their inputs together."""

_FIRST = frozenset(["div", "dynamic_slice", "gather"])
"""Operations that are affine in the first input where the others are data."""

_PLACES = frozenset(["scatter", "scatter-add"])
"""Operations that are affine in what they write and in what they write it into, where the positions are data."""

_PRODUCTS = frozenset(["mul", "dot_general"])
"""Operations that are affine in one input where the other is data."""


@dataclass(eq=False)
class Node:
    """A value of the traced function.

    Attributes
    ----------
    mark : data, affine or nonlinear.
    size : number of elements.
    shape : of the value.
    number : position among the affine values, or −1.
    """

    mark: str
    size: int = 0
    shape: tuple[int, ...] = ()
    number: int = -1


@dataclass
class _Graph:
    affine: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    sinks: set[int] = field(default_factory=set)
    seen: dict[Any, list[Node]] = field(default_factory=dict)
    results: list[list[Node]] = field(default_factory=list)
    """The values of the traced function, as they are visited, and how they depend on one another."""

    def new(self, shape: tuple[int, ...]) -> Node:
        node = Node(AFFINE, int(np.prod(shape)), tuple(shape), len(self.affine))
        self.affine.append(node)
        return node

    def consume(self, nodes: Sequence[Node]) -> None:
        self.sinks.update(node.number for node in nodes if node.mark == AFFINE)


@dataclass(frozen=True)
class Cut:
    """Predictors of a traced function f(θ leaves..., columns...).

    Attributes
    ----------
    jaxpr : the traced function.
    n_leaves : how many of its inputs are parameters.
    shapes : of the values cut.
    places : number of an operation -> {number of its result: number of the value cut}.
    inputs : parameter leaves that are themselves cut: leaf -> value.
    marks : by operation, the marks of its results.
    replaced : operations that other functions carry out.
    """

    jaxpr: Any
    n_leaves: int
    shapes: tuple[tuple[int, ...], ...]
    places: dict[int, dict[int, int]]
    inputs: dict[int, int]
    marks: tuple[tuple[str, ...], ...]
    replaced: Replaced

    @property
    def n_predictors(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def predictors(self, leaves: Sequence[Any], columns: Sequence[Any]) -> Any:
        """η (K,) of one row."""
        values: dict[int, Any] = {value: leaves[leaf] for leaf, value in self.inputs.items()}
        number = -1

        def visit(equation: Any, given: list[Any], site: Any) -> list[Any]:
            nonlocal number
            number += 1
            marks = self.marks[number]
            if NONLINEAR in marks or any(one is None for one in given):
                return [None] * len(marks)
            out = operate(equation, given)
            for place, value in self.places.get(number, {}).items():
                values[value] = out[place]
            return out

        run(self.jaxpr, [*leaves, *columns], visit)
        return jnp.concatenate([jnp.ravel(values[k]).astype(float) for k in range(len(self.shapes))])

    def remainder(self, eta: Any, columns: tuple[Any, ...]) -> Any:
        """The log-likelihood of one row as a function of η (K,)."""
        parts, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            parts.append(eta[start : start + size].reshape(shape))
            start += size
        number = -1

        def inner(equation: Any, given: list[Any], site: Any) -> Sequence[Any]:
            if any(one is None for one in given):
                return [None] * len(equation.outvars)
            return operate(equation, given)

        replacing = numbered(self.replaced, inner)

        def visit(equation: Any, given: list[Any], site: Any) -> list[Any]:
            nonlocal number
            number += 1
            out = list(replacing(equation, given, site))
            for place, value in self.places.get(number, {}).items():
                out[place] = parts[value]
            return out

        leaves = [parts[self.inputs[leaf]] if leaf in self.inputs else None for leaf in range(self.n_leaves)]
        return run(self.jaxpr, [*leaves, *columns], visit)[0]


def cut(jaxpr: Any, n_leaves: int) -> Cut | None:
    """The minimum cut of a traced row function, or None if no set of predictors is smaller than θ.

    Parameters
    ----------
    jaxpr : of f(θ leaves..., columns...) -> a number.
    n_leaves : how many of its inputs are parameters.
    """
    graph = _Graph()
    leaves = [graph.new(tuple(one.aval.shape)) for one in parts_of(jaxpr).inputs[:n_leaves]]
    columns = [Node(DATA) for _ in parts_of(jaxpr).inputs[n_leaves:]]

    def visit(equation: Any, given: list[Node], site: Any) -> list[Node]:
        out = _visit(graph, equation, given)
        graph.results.append(out)
        return out

    constants: dict[Any, Node] = {}

    def lift(constant: Any) -> Node:
        if np.ndim(constant) == 0:
            return constants.setdefault((str(np.asarray(constant).dtype), float(constant)), Node(DATA))
        return constants.setdefault(id(constant), Node(DATA))

    graph.consume(walk(jaxpr, [*leaves, *columns], visit, lift, keep=CUSTOM))
    chosen = _minimum_cut(graph, [leaf.number for leaf in leaves])
    if chosen is None or sum(graph.affine[v].size for v in chosen) >= sum(leaf.size for leaf in leaves):
        return None
    position = {v: k for k, v in enumerate(chosen)}
    places: dict[int, dict[int, int]] = {}
    for number, results in enumerate(graph.results):
        here = {place: position[node.number] for place, node in enumerate(results) if node.number in position}
        if here:
            places[number] = here
    return Cut(
        jaxpr,
        n_leaves,
        tuple(graph.affine[v].shape for v in chosen),
        places,
        {leaf: position[node.number] for leaf, node in enumerate(leaves) if node.number in position},
        tuple(tuple(node.mark for node in results) for results in graph.results),
        replaced(jaxpr, n_leaves),
    )


def _visit(graph: _Graph, equation: Any, given: list[Node]) -> list[Node]:
    marks = {node.mark for node in given}
    outputs = equation.outvars
    # The same operation on the same values gives the same results, which are then merged.
    key = (name_of(equation), tuple(id(node) for node in given), str(equation.params))
    if key in graph.seen:
        return graph.seen[key]
    if marks <= {DATA}:
        out = [Node(DATA) for _ in outputs]
    elif NONLINEAR not in marks and is_affine(equation, given):
        out = [graph.new(tuple(one.aval.shape)) for one in outputs]
        graph.edges += [(node.number, one.number) for node in given if node.mark == AFFINE for one in out]
    else:
        graph.consume(given)
        out = [Node(NONLINEAR) for _ in outputs]
    graph.seen[key] = out
    return out


def is_affine(equation: Any, given: list[Node]) -> bool:
    """Whether an operation on affine values and data gives an affine value."""
    name = name_of(equation)
    affine = [node.mark == AFFINE for node in given]
    if name == "convert_element_type":
        return np.issubdtype(equation.params["new_dtype"], np.floating)
    if name in _KEEPS:
        return True
    if name in _PLACES:
        return not affine[1]
    if name in _FIRST:
        return affine[0] and not any(affine[1:])
    if name in _PRODUCTS:
        return sum(affine) == 1
    return name == "select_n" and not affine[0]


def _minimum_cut(graph: _Graph, leaves: list[int]) -> list[int] | None:
    """The affine values of the cut nearest to the leaves, or None if no operation reads any."""
    if not graph.sinks:
        return None
    n = len(graph.affine)
    endless = 1 + sum(node.size for node in graph.affine)
    source, sink = 2 * n, 2 * n + 1
    left: list[dict[int, int]] = [{} for _ in range(2 * n + 2)]

    def connect(a: int, b: int, capacity: int) -> None:
        left[a][b] = capacity
        left[b].setdefault(a, 0)

    for node in graph.affine:  # each value is split into two vertices, for a cut of edges
        connect(2 * node.number, 2 * node.number + 1, node.size)
    for a, b in graph.edges:
        connect(2 * a + 1, 2 * b, endless)
    for leaf in leaves:
        connect(source, 2 * leaf, endless)
    for v in graph.sinks:
        connect(2 * v + 1, sink, endless)
    reached = _saturate(left, source, sink)
    return [v for v in range(n) if 2 * v in reached and 2 * v + 1 not in reached]


def _saturate(left: list[dict[int, int]], source: int, sink: int) -> dict[int, int]:
    """Send as much as possible from source to sink: all shortest paths at a time (Dinic 1970).

    Parameters
    ----------
    left : for each vertex, what may still go to each neighbour; changed in place.

    Returns
    -------
    The vertices that the source still reaches at the end, and how far they are: one side of a minimum cut.
    """
    while True:
        distance, queue = {source: 0}, [source]
        for a in queue:  # it grows
            for b, capacity in left[a].items():
                if capacity and b not in distance:
                    distance[b] = distance[a] + 1
                    queue.append(b)
        if sink not in distance:
            return distance
        path, untried = [source], {a: iter(left[a]) for a in queue}
        while path:
            a = path[-1]
            if a == sink:
                edges = list(pairwise(path))
                amount = min(left[a][b] for a, b in edges)
                for a, b in edges:
                    left[a][b] -= amount
                    left[b][a] += amount
                # Back to where nothing more can go on; what came after may be reached again from elsewhere.
                full = next(k for k, (a, b) in enumerate(edges) if not left[a][b])
                untried.update((b, iter(left[b])) for b in path[full + 1 :])
                del path[full + 1 :]
                continue
            ahead = (b for b in untried[a] if left[a][b] and distance.get(b) == distance[a] + 1)
            following = next(ahead, None)
            if following is None:
                distance[path.pop()] = -1  # a dead end
            else:
                path.append(following)
