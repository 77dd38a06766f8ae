"""Functions as graphs of elementary operations, differentiated symbolically and evaluated by NumPy.

For a few thousand rows this needs neither JAX's import (0.3 s) nor a compilation (0.1 to 0.4 s) nor the 20 to 60 µs
that a call of compiled code takes. Equal subexpressions are one place in the graph, so the derivatives share what they
have in common with the function and with one another.

A function is traced by calling it with :class:`Node` in place of numbers; a derivative adds places to the same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from raphson.autodiff.operations import ELEMENTARY, KINKS
from raphson.cached import cached_property

MOST_PLACES = 4000
"""Largest number of places of a graph: beyond that, compiled code is the better form."""


SHAKEN = 2.0**-44
"""Relative size of the errors by which rounding is measured: large enough not to be lost in rounding, and small enough
for their effects to be additive."""

AMPLIFIED = SHAKEN / 2.0**-53
"""The ratio of that to an operation's largest rounding error."""


class UnwrittenError(Exception):
    """The function cannot be written as a graph: it has other operations, or too many."""


@dataclass(frozen=True)
class Place:
    """One place of a graph: a number, an input or an operation on earlier places."""

    name: str
    operands: tuple[int, ...] = ()
    value: Any = None


class Graph:
    """A growing list of places. Operands come before the operations on them."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self._known: dict[Place | tuple[Any, ...], int] = {}
        self._tangents: dict[int, dict[int, int | None]] = {}

    def add(self, name: str, *operands: int, value: Any = None) -> int:
        """The place of an operation, a new one unless the same exists."""
        key = (name, operands, type(value), value)
        if key not in self._known:
            if len(self.places) >= MOST_PLACES:
                raise UnwrittenError("too many operations")
            self._known[key] = len(self.places)
            self.places.append(Place(name, operands, value))
        return self._known[key]

    def number_of(self, place: int | float) -> float | None:
        """The number at a place; None if it is not a number."""
        if not isinstance(place, int):
            return place
        return self.places[place].value if self.places[place].name == "number" else None

    # -- operations with simplification, for derivatives: floats are numbers, integers are places --------------------

    def _placed(self, place: int | float) -> int:
        return place if isinstance(place, int) else self.add("number", value=float(place))

    def apply(self, name: str, *operands: int | float) -> int:
        """An operation of places or numbers."""
        return self.add(name, *map(self._placed, operands))

    def sum(self, a: int | float, b: int | float) -> int:
        """a + b."""
        return self.apply("add", a, b)

    def difference(self, a: int | float, b: int | float) -> int:
        """a − b."""
        return self.apply("subtract", a, b)

    def negative(self, a: int | float) -> int | float:
        """−a."""
        number = self.number_of(a)
        if number is not None:
            return -float(number)
        assert isinstance(a, int)
        here = self.places[a]
        return here.operands[0] if here.name == "negative" else self.apply("negative", a)

    def product(self, a: int | float, b: int | float) -> int | float:
        """a b."""
        first, second = self.number_of(a), self.number_of(b)
        if first is not None and second is not None:
            return float(first) * float(second)
        if first is not None and abs(first) == 1:
            return b if first == 1 else self.negative(b)
        if second is not None and abs(second) == 1:
            return a if second == 1 else self.negative(a)
        return self.apply("multiply", a, b)

    def divided(self, a: int | float, b: int | float) -> int | float:
        """a/b."""
        return a if self.number_of(b) == 1 else self.apply("divide", a, b)

    def power(self, a: int, b: int | float) -> int | float:
        """a^b, with a number b in the form that Python's operator has."""
        number = self.number_of(b)
        if number is None:
            return self.apply("power", a, b)
        return self.powered(a, int(number) if float(number).is_integer() else float(number))

    def powered(self, a: int, n: float) -> int | float:
        """aⁿ for a number n."""
        if n in (0, 1):
            return 1.0 if n == 0 else a
        if n == -1:
            return self.divided(1.0, a)
        if n == 2:
            return self.apply("multiply", a, a)
        if isinstance(n, int):
            return self.add("whole_power", a, self.add("number", value=n))
        return self.apply("power", a, n)

    # -- derivatives ---------------------------------------------------------------------------------------------------

    def needed(self, outputs: Sequence[int | None]) -> list[int]:
        """The places that the outputs depend on, in order."""
        found = set[int]()
        stack = [one for one in outputs if one is not None]
        while stack:
            place = stack.pop()
            if place not in found:
                found.add(place)
                stack += self.places[place].operands
        return sorted(found)

    def tangent(self, place: int, theta: int) -> int | None:
        """The derivative of a place by another, an input; None where it does not depend on it."""
        known = self._tangents.setdefault(theta, {theta: self._placed(1.0)})
        for one in self.needed([place]):
            if one not in known:
                known[one] = self._differentiated(one, known)
        return known[place]

    def _differentiated(self, place: int, known: dict[int, int | None]) -> int | None:
        """The derivative of an operation, from those of its operands."""
        here = self.places[place]
        tangents = [known[one] for one in here.operands]
        if here.name == "where":
            tangents = tangents[1:]
        if all(one is None for one in tangents):
            return None
        if here.name == "where":
            return self.apply("where", here.operands[0], *(0.0 if one is None else one for one in tangents))
        operation = ELEMENTARY[here.name]
        if operation.partials is None:
            if operation.exact:
                return None  # a function in steps
            raise UnwrittenError(f"no derivative of {here.name}")
        total: int | float | None = None
        for partial, tangent in zip(operation.partials(self, place, *here.operands), tangents, strict=True):
            if partial is None or tangent is None:
                continue
            term = self.product(partial, tangent)
            total = term if total is None else self.sum(total, term)
        return None if total is None else self._placed(total)


class Node:
    """A value while a function is traced: numbers' operators add places to the graph.

    Parameters
    ----------
    graph : the graph.
    place : where the value is.
    truth : whether it is a truth value, from a comparison.
    """

    __array_ufunc__ = None  # NumPy's numbers leave operators to this class
    __slots__ = ("graph", "place", "truth")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, graph: Graph, place: int, truth: bool = False) -> None:
        self.graph, self.place, self.truth = graph, place, truth

    def __add__(self, other: Any) -> Node:
        return traced("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return traced("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return traced("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return traced("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return traced("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return traced("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return traced("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return traced("divide", other, self)

    def __mod__(self, other: Any) -> Node:
        return traced("remainder", self, other)

    def __rmod__(self, other: Any) -> Node:
        return traced("remainder", other, self)

    def __pow__(self, other: Any) -> Node:
        return traced("power", self, other)

    def __rpow__(self, other: Any) -> Node:
        return traced("power", other, self)

    def __neg__(self) -> Node:
        return traced("negative", self)

    def __lt__(self, other: Any) -> Node:
        return traced("less", self, other)

    def __le__(self, other: Any) -> Node:
        return traced("less_equal", self, other)

    def __gt__(self, other: Any) -> Node:
        return traced("greater", self, other)

    def __ge__(self, other: Any) -> Node:
        return traced("greater_equal", self, other)

    def __eq__(self, other: object) -> Any:
        return traced("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return traced("not_equal", self, other)


_COMPARISONS = frozenset(["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
_WEIGHED = frozenset(["multiply", "add", "subtract"])


def traced(name: str, *values: Any) -> Any:
    """The result of an operation on nodes and numbers.

    Raises
    ------
    UnwrittenError
        If NumPy's result may differ from JAX's, as arithmetic of truth values does.
    """
    nodes = [one for one in values if isinstance(one, Node)]
    if not nodes:
        with np.errstate(all="ignore"):
            return ELEMENTARY[name].in_numpy(*map(float, values))
    graph = nodes[0].graph
    if any(one.truth for one in nodes if name != "where" or one is not values[0]):
        if name not in _WEIGHED or all(isinstance(one, Node) and one.truth for one in values):
            raise UnwrittenError(f"{name} of a truth value")
        values = tuple(one if isinstance(one, Node) else float(one) for one in values)
    if name == "power" and isinstance(values[1], int) and not isinstance(values[1], bool):
        name = "whole_power"
    places = [one.place if isinstance(one, Node) else graph.add("number", value=_plain(one)) for one in values]
    return Node(graph, graph.add(name, *places), name in _COMPARISONS)


def _plain(value: Any) -> Any:
    """A number that is not a node."""
    if isinstance(value, bool | int | float | np.floating):
        return value
    raise UnwrittenError(f"a value of type {type(value).__name__}")


# -- evaluation --------------------------------------------------------------------------------------------------------

Step = tuple[Callable[..., Any], tuple[int, ...], int]


@dataclass(frozen=True)
class Schedule:
    """The operations that lead to some places of a graph, in order, as NumPy computes them.

    Attributes
    ----------
    constants : numbers by their place, in a list of all places.
    steps : function, places of its operands, place of its result.
    outputs : the places that are wanted; None for zeros.
    """

    constants: list[Any]
    steps: list[Step]
    outputs: tuple[int | None, ...]

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The values at all places; the inputs are the first ones."""
        values = self.constants.copy()
        values[: len(inputs)] = inputs
        with np.errstate(all="ignore"):
            self.fill(values)
        return values

    @cached_property
    def fill(self) -> Callable[[list[Any]], None]:
        """The function that puts the values at the places of the steps into a list of all places.

        It is written out, an operation a line: of a curve with few rows the loop over them takes half as long as they.
        """
        names: dict[str, Any] = {f"f{number}": step[0] for number, step in enumerate(self.steps)}
        lines = [
            f"v[{place}] = f{number}({', '.join(f'v[{one}]' for one in operands)})"
            for number, (_, operands, place) in enumerate(self.steps)
        ]
        body = "\n    ".join(lines or ["pass"])
        exec(f"def fill(v):\n    {body}", names)  # noqa: S102 - of functions and whole numbers
        return names["fill"]


@dataclass(frozen=True)
class Program:
    """A function of parameters and columns as a graph.

    Attributes
    ----------
    graph : its places; the first ones are the parameters, then the columns.
    output : the place of the result.
    n_parameters, n_columns : numbers of inputs.
    """

    graph: Graph
    output: int
    n_parameters: int
    n_columns: int
    _schedules: dict[Any, Schedule] = field(default_factory=dict, repr=False, compare=False)
    _along: dict[int, tuple[Schedule, Schedule]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of(function: Callable[[list[Node], list[Node]], Any], n_parameters: int, n_columns: int) -> Program:
        """Trace a function of parameters and columns.

        Raises
        ------
        UnwrittenError
            If it has operations that are not in :data:`raphson.autodiff.operations.ELEMENTARY`.

        Examples
        --------
        >>> program = Program.of(lambda theta, x: theta[0] * x[0] ** 2, 1, 1)
        >>> program.tangents([3.0, np.array([1.0, 2.0])], 2).tolist()
        [[3.0, 12.0], [1.0, 4.0]]
        """
        graph = Graph()
        inputs = [Node(graph, graph.add("input", value=k)) for k in range(n_parameters + n_columns)]
        out = function(inputs[:n_parameters], inputs[n_parameters:])
        if not isinstance(out, Node):
            raise UnwrittenError("a constant")
        return Program(graph, (out * 1.0 if out.truth else out).place, n_parameters, n_columns)

    # -- for analyses --------------------------------------------------------------------------------------------------

    def walked(
        self,
        inputs: Sequence[Any],
        visit: Callable[[Any, list[Any], Any], Sequence[Any]],
        lift: Callable[[Any], Any],
    ) -> list[Any]:
        """Visit the operations of the function in order, as :func:`raphson.autodiff.walk.walk` does those of a jaxpr.

        An operation has the attributes of an equation of a jaxpr that analyses read: ``primitive.name``, ``params``
        and ``outvars``.
        """
        values: dict[int, Any] = dict(enumerate(inputs))
        for place in self.graph.needed([self.output]):
            here = self.graph.places[place]
            if here.name == "number":
                values[place] = lift(np.asarray(here.value))
            elif here.name != "input":
                operands, params = here.operands, {}
                if here.name == "whole_power":
                    operands, params = operands[:1], {"y": self.graph.places[operands[1]].value}
                elif here.name == "where":
                    operands = (operands[0], operands[2], operands[1])  # select_n has the choice for False first
                equation = SimpleNamespace(
                    primitive=SimpleNamespace(name=ELEMENTARY[here.name].primitive), params=params, outvars=[place]
                )
                values[place] = visit(equation, [values[one] for one in operands], equation)[0]
        return [values[self.output]]

    # -- values --------------------------------------------------------------------------------------------------------

    def value(self, inputs: Sequence[Any]) -> Any:
        """f, of the shape that the inputs broadcast to, or of fewer dimensions."""
        schedule = self._schedule("value", lambda: [self.output])
        return schedule.run(inputs)[self.output]

    def values_at(self, inputs: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
        """f at many parameters, inputs (m, 1), for columns (size,)."""
        return np.broadcast_to(self.value(inputs), shape)

    def tangents(self, inputs: Sequence[Any], size: int) -> np.ndarray:
        """f and, below it, its derivatives by each parameter, (1 + p, size)."""
        schedule = self._schedule("tangents", lambda: [self.output, *self._gradient()])
        return _filled(schedule, inputs, size)

    def along(self, inputs: Sequence[Any], j: int, size: int) -> Along:
        """f and its derivative by parameter j, from which :meth:`Along.tangents` goes on."""
        if j not in self._along:
            every = self._schedule("tangents", lambda: [self.output, *self._gradient()])
            first = self._schedule(f"along {j}", lambda: [self.output, self.graph.tangent(self.output, j)])
            done, moved = {step[2] for step in first.steps}, {j}
            for _, operands, place in every.steps:
                if not moved.isdisjoint(operands):
                    moved.add(place)
            rest = [step for step in every.steps if step[2] in moved or step[2] not in done]
            self._along[j] = first, Schedule(every.constants, rest, every.outputs)
        return Along(*self._along[j], inputs, j, size)

    def second(self, inputs: Sequence[Any], size: int) -> np.ndarray:
        """∂²f/∂θ², (p, p, size)."""
        p = self.n_parameters
        table = _filled(self._schedule("second", self._hessian), inputs, size)
        out = np.empty((p, p, size))
        for row, (j, k) in enumerate(_pairs(p)):
            out[j, k] = out[k, j] = table[row]
        return out

    def second_order(self, inputs: Sequence[Any], u: np.ndarray) -> np.ndarray:
        """−Σ u_i ∂²f_i/∂θ², (p, p)."""
        p = self.n_parameters
        schedule = self._schedule("second", self._hessian)
        values = schedule.run(inputs)
        out = np.zeros((p, p))
        for place, (j, k) in zip(schedule.outputs, _pairs(p), strict=True):
            if place is not None:
                value = values[place]
                whole = value.dot(u) if isinstance(value, np.ndarray) and value.ndim else value * u.sum()
                out[j, k] = out[k, j] = -whole
        return out

    def gaps(self, inputs: Sequence[Any], size: int) -> np.ndarray:
        """The gaps of max, min, abs and comparisons and, below them, their derivatives, (1 + p, gaps · size)."""
        rows = 1 + self.n_parameters
        table = _filled(self._schedule("gaps", self._gaps), inputs, size)
        return table.reshape(-1, rows, size).transpose(1, 0, 2).reshape(rows, -1)

    def rounding(self, inputs: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
        """The rounding error of f: a part of the change when every operation's result is multiplied by 1 ± δ."""
        schedule = self._schedule("value", lambda: [self.output])
        plain = schedule.run(inputs)[self.output]
        random = np.random.default_rng(0)
        values = schedule.constants.copy()
        values[: len(inputs)] = inputs
        with np.errstate(all="ignore"):
            for function, operands, place in schedule.steps:
                value = function(*[values[one] for one in operands])
                if not ELEMENTARY[self.graph.places[place].name].exact:
                    value = value * (1.0 + SHAKEN * random.choice([-1.0, 1.0], np.shape(value)))
                values[place] = value
            return np.broadcast_to(np.abs(values[self.output] - plain) / AMPLIFIED, shape)

    # -- places --------------------------------------------------------------------------------------------------------

    def _gradient(self) -> list[int | None]:
        return [self.graph.tangent(self.output, j) for j in range(self.n_parameters)]

    def _hessian(self) -> list[int | None]:
        first = self._gradient()
        return [None if (one := first[j]) is None else self.graph.tangent(one, k) for j, k in _pairs(len(first))]

    def _gaps(self) -> list[int | None]:
        places: list[int | None] = []
        for place in self.graph.needed([self.output]):
            here = self.graph.places[place]
            count = KINKS.get(here.name, 0)
            if count:
                gap = here.operands[0] if count == 1 else self.graph.difference(*here.operands)
                places += [gap, *(self.graph.tangent(gap, j) for j in range(self.n_parameters))]
        return places

    def _schedule(self, key: str, outputs: Callable[[], list[int | None]]) -> Schedule:
        if key not in self._schedules:
            wanted = outputs()
            places = self.graph.places
            constants: list[Any] = [one.value if one.name == "number" else None for one in places]
            steps = [
                (ELEMENTARY[places[one].name].in_numpy, places[one].operands, one)
                for one in self.graph.needed(wanted)
                if places[one].name not in ("number", "input")
            ]
            self._schedules[key] = Schedule(constants, steps, tuple(wanted))
        return self._schedules[key]


class Along:
    """f and its derivative by one parameter, and then all derivatives at another value of that parameter.

    What does not depend on the parameter is not computed again. NumPy's warnings are left to the caller.

    Attributes
    ----------
    table : f and its derivative by the parameter, (2, size).
    """

    def __init__(self, first: Schedule, rest: Schedule, inputs: Sequence[Any], j: int, size: int) -> None:
        self._rest, self._j = rest, j
        self._values = rest.constants.copy()
        self._values[: len(inputs)] = inputs
        first.fill(self._values)
        self.table = _table(first, self._values, size)

    def tangents(self, value: Any) -> np.ndarray:
        """As :meth:`Program.tangents` where the parameter has that value."""
        self._values[self._j] = value
        self._rest.fill(self._values)
        return _table(self._rest, self._values, self.table.shape[1])


def _filled(schedule: Schedule, inputs: Sequence[Any], size: int) -> np.ndarray:
    """The outputs of a schedule, (outputs, size)."""
    return _table(schedule, schedule.run(inputs), size)


def _table(schedule: Schedule, values: list[Any], size: int) -> np.ndarray:
    out = np.empty((len(schedule.outputs), size))
    for row, place in enumerate(schedule.outputs):
        out[row] = 0.0 if place is None else values[place]
    return out


def _pairs(p: int) -> list[tuple[int, int]]:
    return [(j, k) for j in range(p) for k in range(j, p)]
