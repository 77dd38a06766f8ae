"""Curves written as expressions: arithmetic and the usual functions of columns and parameters.

``b1*(1 - exp(-b2*x))`` is parsed into a tree, every node of which is held against a list of what is allowed; then
:meth:`Curve.evaluate` walks the tree with whatever numbers it is given: NumPy arrays, or values that JAX traces to
differentiate them. Python's ``eval`` is never called.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np

from raphson.data.expressions import parsed, written
from raphson.data.messages import listing, nearest, short
from raphson.errors import FormulaError

FUNCTIONS: dict[str, tuple[str, int]] = {
    **{name: (name, 1) for name in ("exp", "log", "log10", "log2", "log1p", "expm1", "sqrt", "cbrt", "square")},
    **{name: (name, 1) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "sinc", "sign", "floor", "ceil")},
    **{f"a{name}": (f"arc{name}", 1) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"arc{name}": (f"arc{name}", 1) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "abs": ("abs", 1),
    "fabs": ("abs", 1),
    "atan2": ("arctan2", 2),
    "arctan2": ("arctan2", 2),
    "hypot": ("hypot", 2),
    "pow": ("power", 2),
    "power": ("power", 2),
    **{name: ("minimum", 2) for name in ("min", "pmin", "minimum")},
    **{name: ("maximum", 2) for name in ("max", "pmax", "maximum")},
    **{name: ("where", 3) for name in ("where", "ifelse")},
    "erf": ("special.erf", 1),
    "erfc": ("special.erfc", 1),
    "gamma": ("special.gamma", 1),
    **{name: ("special.gammaln", 1) for name in ("gammaln", "lgamma")},
    **{name: ("special.expit", 1) for name in ("expit", "logistic", "plogis")},
    **{name: ("special.logit", 1) for name in ("logit", "qlogis")},
    **{name: ("special.ndtr", 1) for name in ("pnorm", "ndtr")},
}
"""Function of an expression -> its name in NumPy and ``jax.numpy`` (or in their special functions), and its arity."""

CONSTANTS = {"pi": float(np.pi)}

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Curve:
    """A checked expression of names.

    Attributes
    ----------
    tree : its names are columns, parameters or constants.
    text : the expression in one normal spelling.
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
        """Whether it is more than one bare name."""
        return not isinstance(self.tree, ast.Name)

    @cached_property
    def form(self) -> tuple[Curve, dict[str, float]]:
        """The expression with names in place of its numbers, and these, all positive: what is compiled serves others.

        Numbers that say what kind of expression it is stay: 0 and 1, and exponents that are multiples of one half.

        Examples
        --------
        >>> form, constants = parse_curve("a*exp(-b*(x - 1.7)^2) + 3", ["x"], "formula").form
        >>> form.text, constants
        ('a * exp(-b * (x - `#0`) ** 2) + `#1`', {'#0': 1.7, '#1': 3.0})
        """
        constants: dict[str, float] = {}
        tree = _without_numbers(self.tree, frozenset(self.names), constants)
        return Curve(tree, written(tree), (*self.names, *constants)), constants

    def evaluate(self, values: Mapping[str, Any], functions: Callable[[str], Any]) -> Any:
        """The value, given each name's value and where functions are found (:func:`numpy_function`)."""
        return _evaluate(self.tree, values, functions, None)

    def first_not_finite(self, values: Mapping[str, Any]) -> tuple[str, np.ndarray] | None:
        """The first step that is not finite, though what it is made of is, and the mask of its rows.

        Examples
        --------
        >>> curve = parse_curve("a*log(b*x)", ["x"], "formula")
        >>> curve.first_not_finite({"a": 1.0, "b": 1.0, "x": np.array([1.0, 0.0])})
        ('log(b * x)', array([False,  True]))
        """
        found: list[tuple[str, np.ndarray]] = []

        def watch(node: ast.expr, value: Any) -> None:
            bad = ~np.isfinite(value)
            if not found and np.any(bad):
                found.append((written(node), np.asarray(bad)))

        with np.errstate(all="ignore"):
            _evaluate(self.tree, values, numpy_function, watch)
        return found[0] if found else None


def parse_curve(source: str, known: Collection[str], what: str) -> Curve:
    """Read an expression and check it.

    Parameters
    ----------
    source : in Python's spelling or R's.
    known : names that are columns or parameters even where they look like something else (``pi``, ``lambda``).
    what : names the argument in messages.

    Raises
    ------
    FormulaError
        If it is malformed, or holds more than names, numbers, arithmetic, comparisons and listed functions.

    Examples
    --------
    >>> parse_curve("b1*(1-exp(-b2*x))", ["x"], "formula").names
    ('b1', 'b2', 'x')
    """
    return _parsed_curve(source, frozenset(known), what)


@lru_cache(maxsize=256)
def _parsed_curve(source: str, known: frozenset[str], what: str) -> Curve:
    tree = parsed(source, known, what)
    names: dict[str, None] = {}
    _check(tree, known, source, what, names)
    return Curve(tree, written(tree), tuple(names))


def split_curve(formula: str) -> tuple[str, str]:
    """Cut ``response ~ curve`` into its two sides.

    Raises
    ------
    FormulaError
        If there is not one ``~`` with something on both sides.
    """
    sides = formula.split("~")
    if len(sides) != 2 or not all(side.strip() for side in sides):
        raise FormulaError(f"formula: expected 'response ~ curve', such as 'y ~ b1*exp(-b2*x)'; got {short(formula)}")
    return sides[0].strip(), sides[1].strip()


def names_of_curve(formula: str) -> frozenset[str]:
    """The names in ``response ~ curve``, on either side, whatever they are; for names that look like others as well.

    Examples
    --------
    >>> sorted(names_of_curve("log(y) ~ a*exp(-b*x)"))
    ['a', 'b', 'exp', 'log', 'x', 'y']
    """
    return frozenset(re.findall(r"[^\W\d]\w*", formula))


@cache
def allowed() -> str:
    """Put the list of what a curve may hold into words."""
    return "names of columns and parameters, numbers, pi, + - * / ^ ** %, comparisons, and the functions " + ", ".join(
        sorted(FUNCTIONS)
    )


def numpy_function(name: str) -> Any:
    """A listed function's implementation by NumPy or SciPy."""
    if name.startswith("special."):
        from scipy import special

        return getattr(special, name.removeprefix("special."))
    return getattr(np, name)


def _refused(node: ast.AST, source: str, what: str) -> FormulaError:
    piece = written(node) if isinstance(node, ast.expr) else type(node).__name__
    return FormulaError(f"{what}: {short(piece)} in {short(source)} is not allowed; allowed are {allowed()}")


def _function(node: ast.Call) -> tuple[str, int] | None:
    if not isinstance(node.func, ast.Name):
        return None
    name = node.func.id
    for prefix in ("np.", "numpy.", "jnp.", "math."):
        name = name.removeprefix(prefix)
    return ("", 1) if name == "I" else FUNCTIONS.get(name)


def _check(node: ast.expr, known: Collection[str], source: str, what: str, names: dict[str, None]) -> None:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool | str | bytes | complex) or not isinstance(node.value, int | float):
            raise _refused(node, source, what)
    elif isinstance(node, ast.Name):
        if node.id not in CONSTANTS or node.id in known:
            _check_name(node, known, source, what)
            names.setdefault(node.id)
    elif isinstance(node, ast.Call):
        function = _function(node)
        if function is None or node.keywords or any(isinstance(one, ast.Starred) for one in node.args):
            if isinstance(node.func, ast.Name) and node.func.id in known:
                raise FormulaError(
                    f"{what}: {node.func.id!r} is not a function, in {short(source)}; write {node.func.id}*(...)"
                )
            raise _refused(node, source, what)
        if len(node.args) != function[1]:
            raise FormulaError(
                f"{what}: {written(node.func)}() takes {function[1]} argument{'s' if function[1] > 1 else ''}; got "
                f"{len(node.args)} in {short(source)}"
            )
        for one in node.args:
            _check(one, known, source, what, names)
    elif _operands(node) is not None:
        for one in _operands(node) or ():
            _check(one, known, source, what, names)
    else:
        raise _refused(node, source, what)


def _check_name(node: ast.Name, known: Collection[str], source: str, what: str) -> None:
    before, dot, _ = node.id.partition(".")
    if dot and node.id not in known and before in known:  # x.real is no parameter, if x is a column
        raise _refused(node, source, what)
    if "__" in node.id or (node.id in FUNCTIONS and node.id not in known):
        if node.id in FUNCTIONS:
            raise FormulaError(f"{what}: {node.id!r} in {short(source)} is a function; write {node.id}(...)")
        raise _refused(node, source, what)


def _operands(node: ast.expr) -> tuple[ast.expr, ...] | None:
    """What an operator works on; None if the node is no listed operator."""
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return node.left, node.right
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        return (node.operand,)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        return node.left, node.comparators[0]
    return None


def _constant(node: ast.BinOp, left: float, right: float) -> float:
    """Arithmetic of two constants in doubles: 9**9**9 as a whole number would take for ever."""
    try:
        value = _BINARY[type(node.op)](float(left), float(right))
    except (ZeroDivisionError, OverflowError) as error:
        raise FormulaError(f"formula: {written(node)} has no value ({error})") from None
    if isinstance(value, complex):
        raise FormulaError(f"formula: {written(node)} is not a real number")
    # A whole exponent stays one, which derivatives treat better.
    return int(value) if value.is_integer() and abs(value) < 2**31 else value


def _evaluate(
    node: ast.expr,
    values: Mapping[str, Any],
    functions: Callable[[str], Any],
    watch: Callable[[ast.expr, Any], None] | None,
) -> Any:
    def of(one: ast.expr) -> Any:
        return _evaluate(one, values, functions, watch)

    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return values[node.id] if node.id in values else CONSTANTS[node.id]
    if isinstance(node, ast.Call):
        function = _function(node)
        assert function is not None
        arguments = [of(one) for one in node.args]
        value = functions(function[0])(*arguments) if function[0] else arguments[0]
    elif isinstance(node, ast.BinOp):
        left, right = of(node.left), of(node.right)
        if type(left) in (int, float) and type(right) in (int, float):  # no values of parameters, which are NumPy's
            value = _constant(node, left, right)
        else:
            value = _BINARY[type(node.op)](left, right)
    elif isinstance(node, ast.Compare):
        value = _COMPARISONS[type(node.ops[0])](of(node.left), of(node.comparators[0]))
    else:
        assert isinstance(node, ast.UnaryOp)
        inner = of(node.operand)
        value = -inner if isinstance(node.op, ast.USub) else inner
    if watch is not None:
        watch(node, value)
    return value


def _without_numbers(
    node: ast.expr, names: frozenset[str], constants: dict[str, float], exponent: bool = False
) -> ast.expr:
    """The tree with a new name for each number, which is noted; signs stay in the tree."""

    def of(one: ast.expr, exponent: bool = False) -> ast.expr:
        return _without_numbers(one, names, constants, exponent)

    if _is_number(node, names):
        value = _evaluate(node, {}, numpy_function, None)
        plain = value in (-1, 0, 1) or not np.isfinite(value) or (exponent and float(2 * value).is_integer())
        name = f"#{len(constants)}"
        while name in names:
            name += "#"
        positive = ast.Constant(abs(value)) if plain else ast.Name(name, ast.Load())
        if not plain:
            constants[name] = float(abs(value))
        return ast.UnaryOp(ast.USub(), positive) if value < 0 else positive
    if isinstance(node, ast.Call):
        power = _function(node) == FUNCTIONS["pow"]
        return ast.Call(node.func, [of(one, power and k == 1) for k, one in enumerate(node.args)], [])
    if isinstance(node, ast.BinOp):
        return ast.BinOp(of(node.left), node.op, of(node.right, isinstance(node.op, ast.Pow)))
    if isinstance(node, ast.Compare):
        return ast.Compare(of(node.left), node.ops, [of(node.comparators[0])])
    if isinstance(node, ast.UnaryOp):
        return ast.UnaryOp(node.op, of(node.operand))
    return node


def _is_number(node: ast.expr, names: Collection[str]) -> bool:
    """Whether it is arithmetic of numbers alone."""
    if isinstance(node, ast.Name):
        return node.id in CONSTANTS and node.id not in names
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        return all(_is_number(one, names) for one in _operands(node) or ())
    return isinstance(node, ast.Constant)


def columns_and_parameters(
    curve: Curve, columns: Collection[str], parameters: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sort a curve's names into columns of the data and parameters.

    Parameters
    ----------
    curve : the curve.
    columns : of the data.
    parameters : names that the user has called parameters, each with the argument that did.

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
