"""Curves written as expressions: arithmetic and the usual functions of columns and parameters.

``b1*(1 - exp(-b2*x))`` is parsed into a tree, and every node is checked against a list of what is allowed. Then
:meth:`Curve.evaluate` walks the tree with NumPy arrays, or with values that JAX traces to differentiate them.
:mod:`raphson.data.syntax` does both.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from raphson.cached import cached_property
from raphson.data.functions import OF_NUMBERS, bare, numpy_function
from raphson.data.messages import listing, nearest, short
from raphson.data.syntax import OPERATORS, Check, Walk, operation, written
from raphson.errors import FormulaError

CONSTANTS = {"pi": float(np.pi)}


@dataclass(frozen=True)
class Curve:
    """A checked expression of names.

    Attributes
    ----------
    tree : the parsed expression; its names are columns, parameters or constants.
    text : the expression in a normal form.
    names : columns and parameters in order of appearance.
    """

    tree: ast.expr
    text: str
    names: tuple[str, ...]

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and self.text == other.text

    @property
    def transformed(self) -> bool:
        """Whether it is more than a single name."""
        return not isinstance(self.tree, ast.Name)

    @cached_property
    def form(self) -> tuple[Curve, dict[str, float]]:
        """The expression with names in place of its numbers, and the numbers, all positive.

        Curves of the same form share compiled code. Numbers that determine the kind of expression stay in it: 0 and 1,
        and exponents that are multiples of one half.

        Examples
        --------
        >>> form, constants = parse_curve("a*exp(-b*(x - 1.7)^2) + 3", ["x"], "formula").form
        >>> form.text, constants
        ('a * exp(-b * (x - `#0`) ** 2) + `#1`', {'#0': 1.7, '#1': 3.0})
        """
        numberless = _Numberless(self.names)
        tree = numberless.visit(copy.deepcopy(self.tree))
        return Curve(tree, written(tree), (*self.names, *numberless.constants)), numberless.constants

    def evaluate(self, values: Mapping[str, Any], functions: Callable[[str], Any]) -> Any:
        """The value, given the value of each name and a lookup of functions such as :func:`numpy_function`."""
        return _Values(values, functions).value(self.tree)

    def first_not_finite(self, values: Mapping[str, Any]) -> tuple[str, np.ndarray] | None:
        """The first step that is not finite although its operands are, and the mask of its rows.

        Examples
        --------
        >>> curve = parse_curve("a*log(b*x)", ["x"], "formula")
        >>> curve.first_not_finite({"a": 1.0, "b": 1.0, "x": np.array([1.0, 0.0])})
        ('log(b * x)', array([False,  True]))
        """
        walk = _FirstNotFinite(values, numpy_function)
        with np.errstate(all="ignore"):
            walk.value(self.tree)
        return walk.found


def parse_curve(source: str, known: Collection[str], what: str) -> Curve:
    """Read an expression and check it.

    Parameters
    ----------
    source : in the spelling of Python or R.
    known : names of columns and parameters, even if they mean something else in Python (``pi``, ``lambda``).
    what : name of the argument, for messages.

    Raises
    ------
    FormulaError
        If it is malformed, or contains anything but names, numbers, arithmetic, comparisons and listed functions.

    Examples
    --------
    >>> parse_curve("b1*(1-exp(-b2*x))", ["x"], "formula").names
    ('b1', 'b2', 'x')
    """
    return _parsed_curve(source, frozenset(known), what)


@lru_cache(maxsize=256)
def _parsed_curve(source: str, known: frozenset[str], what: str) -> Curve:
    check = _Check(source, known, what)
    tree = check.tree()
    return Curve(tree, written(tree), tuple(check.names))


def split_curve(formula: str) -> tuple[str, str]:
    """Split ``response ~ curve`` into its two sides.

    Raises
    ------
    FormulaError
        If there is not exactly one ``~``, or nothing on one of its sides.
    """
    sides = formula.split("~")
    if len(sides) != 2 or not all(side.strip() for side in sides):
        raise FormulaError(f"formula: expected 'response ~ curve', such as 'y ~ b1*exp(-b2*x)'; got {short(formula)}")
    return sides[0].strip(), sides[1].strip()


def names_of_curve(formula: str) -> frozenset[str]:
    """All names in ``response ~ curve``, on both sides: columns, parameters, constants and functions.

    Examples
    --------
    >>> sorted(names_of_curve("log(y) ~ a*exp(-b*x)"))
    ['a', 'b', 'exp', 'log', 'x', 'y']
    """
    return frozenset(re.findall(r"[^\W\d]\w*", formula))


@cache
def allowed() -> str:
    """What a curve may contain, for messages."""
    return "names of columns and parameters, numbers, pi, + - * / ^ ** %, comparisons, and the functions " + ", ".join(
        sorted(OF_NUMBERS)
    )


def _function(node: ast.Call) -> tuple[str, int] | None:
    name = bare(node.func.id) if isinstance(node.func, ast.Name) else ""
    return ("", 1) if name == "I" else OF_NUMBERS.get(name)


class _Check(Check):
    operators = OPERATORS.keys() - {ast.FloorDiv}

    def allowed(self) -> str:
        return allowed()

    def name(self, node: ast.Name) -> None:
        name, known = node.id, self.known
        if name not in known:
            before, dot, _ = name.partition(".")
            if name in OF_NUMBERS:
                raise FormulaError(f"{self.what}: {name!r} in {short(self.source)} is a function; write {name}(...)")
            if "__" in name or (dot and before in known):  # x.real is not a parameter if x is a column
                raise self.refused(node)
        if name not in CONSTANTS or name in known:
            self.names.setdefault(name)

    def call(self, node: ast.Call) -> None:
        function = _function(node)
        if function is None or node.keywords:
            if isinstance(node.func, ast.Name) and node.func.id in self.known:
                raise FormulaError(
                    f"{self.what}: {node.func.id!r} in {short(self.source)} is a column or parameter, not a function; "
                    f"write {node.func.id}*(...) to multiply"
                )
            raise self.refused(node)
        if len(node.args) != function[1]:
            raise FormulaError(
                f"{self.what}: {written(node.func)}() takes {function[1]} argument{'s' if function[1] > 1 else ''}; "
                f"got {len(node.args)} in {short(self.source)}"
            )
        for one in node.args:
            self.value(one)


class _Values(Walk):
    def __init__(self, values: Mapping[str, Any], functions: Callable[[str], Any]) -> None:
        super().__init__("formula")
        self.values, self.functions = values, functions

    def name(self, node: ast.Name) -> Any:
        return self.values[node.id] if node.id in self.values else CONSTANTS[node.id]

    def call(self, node: ast.Call) -> Any:
        function = _function(node)
        assert function is not None
        arguments = [self.value(one) for one in node.args]
        return self.functions(function[0])(*arguments) if function[0] else arguments[0]


class _FirstNotFinite(_Values):
    found: tuple[str, np.ndarray] | None = None

    def value(self, node: ast.expr) -> Any:
        value = super().value(node)
        if self.found is None and not isinstance(node, ast.Name | ast.Constant):
            bad = ~np.isfinite(value)
            self.found = (written(node), np.asarray(bad)) if np.any(bad) else None
        return value


class _Numberless(ast.NodeTransformer):
    """Puts a new name in place of each number, which it notes; signs stay in the tree."""

    def __init__(self, names: Collection[str]) -> None:
        self.names, self.constants = names, dict[str, float]()
        self.exponents: list[ast.AST] = []

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and _is_number(node, self.names):
            return self._number(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            self.exponents.append(node.right)
        elif isinstance(node, ast.Call) and _function(node) == OF_NUMBERS["pow"]:
            self.exponents.append(node.args[1])
        return self.generic_visit(node)

    def _number(self, node: ast.expr) -> ast.expr:
        value = _Values({}, numpy_function).value(node)
        half = node in self.exponents and float(2 * value).is_integer()
        positive: ast.expr = ast.Constant(abs(value))
        if value not in (-1, 0, 1) and np.isfinite(value) and not half:
            name = f"#{len(self.constants)}"
            while name in self.names:
                name += "#"
            self.constants[name] = float(abs(value))
            positive = ast.Name(name, ast.Load())
        return ast.UnaryOp(ast.USub(), positive) if value < 0 else positive


def _is_number(node: ast.expr, names: Collection[str]) -> bool:
    """Whether it is arithmetic of numbers only."""
    if isinstance(node, ast.Name):
        return node.id in CONSTANTS and node.id not in names
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        return all(_is_number(one, names) for one in operation(node)[1])
    return isinstance(node, ast.Constant)


def columns_and_parameters(
    curve: Curve, columns: Collection[str], parameters: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sort a curve's names into columns of the data and parameters.

    Parameters
    ----------
    curve : the curve.
    columns : names of the data's columns.
    parameters : names that are parameters because an argument gives values for them, each with that argument's name.

    Raises
    ------
    FormulaError
        If a name is both, or a parameter does not occur in the curve.
    """
    both = [name for name in parameters if name in columns]
    if both:
        raise FormulaError(
            f"{parameters[both[0]]}: {listing(map(repr, both))} is a column of the data, so it cannot be a "
            "parameter; rename one"
        )
    strange = [name for name in parameters if name not in curve.names]
    if strange:
        guess = nearest(strange[0], [name for name in curve.names if name not in parameters])
        raise FormulaError(
            f"{parameters[strange[0]]}: {listing(map(repr, strange))} does not occur in the curve "
            f"{short(curve.text)}; its names are {listing(curve.names)}"
            + (f". Did you mean {guess!r}?" if guess is not None else "")
        )
    return (
        tuple(name for name in curve.names if name in columns),
        tuple(name for name in curve.names if name not in columns),
    )
