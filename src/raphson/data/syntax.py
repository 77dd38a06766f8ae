"""Parsing of expressions: a text becomes a tree, which is checked against what is allowed and then walked.

An expression, in the spelling of R or Python, is never passed to Python's ``eval``. What names, constants and calls
mean is defined by :mod:`raphson.data.expressions` and :mod:`raphson.data.evaluate` for the terms of formulas, by
:mod:`raphson.data.curves` for curves, and by :mod:`raphson.inference.constraints` for constraints.
"""

from __future__ import annotations

import ast
import copy
import keyword
import math
import operator
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from raphson.data.functions import allowed
from raphson.data.messages import short
from raphson.errors import FormulaError
from raphson.hints import hint

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<quoted>`[^`]+`)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*)
    | (?P<dot>\.)
    | (?P<operator>%in%|\*\*|==|!=|<=|>=|//|\|\||[-+*/^:()\[\],=<>~%|])
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_NAME = re.compile(r"(?:[^\W\d_]|\.(?=[^\W\d]))[\w.]*|_[\w.]*")
_OPENING, _CLOSING = {"(": ")", "[": "]"}, {")": "(", "]": "["}
_DEEPEST, _DEEPEST_TREE = 50, 150
"""Brackets within brackets, where Python's own parser ends at 200; and levels of the tree; functions that call
themselves walk it, and Python allows 1,000 calls within calls."""

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.UAdd: lambda x: x,
    ast.USub: operator.neg,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
"""The function of each operator, for numbers, NumPy arrays and values that JAX traces."""


class Token(NamedTuple):
    """A token of a formula: its kind, its text and its position."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The position after the token."""
        return self.start + len(self.text)


def tokenize(source: str, what: str, may: str | None = None) -> list[Token]:
    """Split a formula into tokens, without the spaces, and check that brackets match.

    Parameters
    ----------
    source : str
    what : str
        Name of the argument for messages, such as ``"formula"`` or ``"weights"``.
    may : str, optional
        What is allowed, for messages; by default what the terms of a formula may contain.

    Raises
    ------
    FormulaError
        If a character is not allowed, or a bracket or quotation mark is unmatched.
    """
    tokens: list[Token] = []
    open_brackets: list[str] = []
    for match in _TOKEN.finditer(source):
        kind, text = str(match.lastgroup), match.group()
        if kind == "space":
            continue
        if kind == "other":
            if text in "\"'`":
                raise FormulaError(f"{what}: the quotation mark {text} in {short(source)} is never closed")
            raise not_allowed(text, source, what, may)
        if text in _OPENING:
            open_brackets.append(text)
            if len(open_brackets) > _DEEPEST:
                raise FormulaError(f"{what}: brackets are nested more than {_DEEPEST} deep; simplify it")
        elif text in _CLOSING and (not open_brackets or open_brackets.pop() != _CLOSING[text]):
            raise FormulaError(f"{what}: the bracket {text!r} in {short(source)} has no opening bracket")
        tokens.append(Token(kind, text, match.start()))
    if open_brackets:
        raise FormulaError(f"{what}: the bracket {open_brackets[-1]!r} in {short(source)} is never closed")
    return tokens


def spell(name: str) -> str:
    """A column's name as a formula spells it: in backticks unless it is a plain name."""
    return name if _PLAIN_NAME.fullmatch(name) else f"`{name}`"


def written(tree: ast.AST) -> str:
    """The text of a checked tree, in a normal form."""
    return ast.unparse(_Speller().visit(copy.deepcopy(tree)))


def not_allowed(piece: str, source: str, what: str, may: str | None = None) -> FormulaError:
    """The error for something that is not allowed; it says what to write for what R calls so, or lists what is."""
    function = re.match(r"\s*([\w.]+)", piece)  # of a call, its name
    name = piece if function is None else function[1]
    foreign = hint("formula" if may in (None, allowed()) else "curve", name)  # a curve has other functions
    told = f"{what}: {short(piece)} in {short(source)} is not allowed"
    return FormulaError(f"{told}.{foreign}" if foreign else f"{told}; allowed are {may or allowed()}")


def parsed(source: str, names: Collection[str], what: str, may: str | None = None) -> ast.expr:
    """Parse an expression into a Python syntax tree with the user's names; nothing is checked yet."""
    python, aliases = _to_python(source, names, what, may)
    try:
        tree = ast.parse(f"({python}\n)", mode="eval").body
        _restore_names(tree, aliases)
    except (MemoryError, RecursionError) as error:  # Python's own limit may be lower
        raise _too_deep(source, "too many", what) from error
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too long a number"
        reserved = [word for word in re.findall(r"\w+", python) if keyword.iskeyword(word)]
        if isinstance(error, SyntaxError) and reserved:
            reason += (
                f"; {reserved[0]} is a reserved word of Python: if it is a name, write it in backticks, `{reserved[0]}`"
            )
        raise FormulaError(f"{what}: cannot read {short(source)} ({reason})") from error
    return tree


def _too_deep(source: str, many: str, what: str) -> FormulaError:
    return FormulaError(
        f"{what}: {short(source)} has {many} nested operations; write it as a function of the parameters and the "
        "data, in jax.numpy"
    )


def _depth(tree: ast.expr) -> int:
    """Depth of a tree: n for a sum of n terms."""
    depth, level = 0, [tree]
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return depth


def _to_python(source: str, names: Collection[str], what: str, may: str | None) -> tuple[str, dict[str, str]]:
    # Every name gets an alias that is a Python identifier, so that Solar.R is a name and not an
    # attribute, and `a b` or a column "lambda" is a name too. So any attribute or keyword in the
    # parsed tree was written by the user, and is refused.
    aliases: dict[str, str] = {}
    pieces: list[str] = []
    previous = None
    for token in tokenize(source, what, may):
        text = token.text
        if previous is not None and previous.end == token.start and {previous.kind, token.kind} == {"name", "string"}:
            raise not_allowed(previous.text + text, source, what, may)
        if token.kind == "quoted" or (token.kind == "name" and (text in names or not keyword.iskeyword(text))):
            alias = f"name_{len(aliases)}"
            aliases[alias] = text[1:-1] if token.kind == "quoted" else text
            pieces.append(alias)
        elif text == "^":
            pieces.append("**")
        elif text in ("~", "%in%", "|", "||"):
            raise not_allowed(text, source, what, may)
        else:
            pieces.append(text)
        previous = token
    return " ".join(pieces), aliases


def _restore_names(tree: ast.expr, aliases: dict[str, str]) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = aliases.get(node.id, node.id)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            node.arg = aliases.get(node.arg, node.arg)
        elif isinstance(node, ast.Attribute):
            node.attr = aliases.get(node.attr, node.attr)


class _Speller(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(spell(node.id), node.ctx)


def operation(node: ast.AST) -> tuple[type[ast.AST], tuple[ast.expr, ...]]:
    """The operator of a node and its operands; no operands for other nodes."""
    match node:
        case ast.UnaryOp(sign, operand):
            return type(sign), (operand,)
        case ast.BinOp(left, arithmetic, right):
            return type(arithmetic), (left, right)
        case ast.Compare(left, [comparison], [right]):
            return type(comparison), (left, right)
    return type(node), ()


class Walk:
    """Evaluates a tree; subclasses define its names and calls.

    Parameters
    ----------
    what : str
        Name of the argument, for messages.

    Examples
    --------
    >>> Walk("at").value(parsed("2*(3 + 4)^2", (), "at"))
    98
    """

    operators: Collection[type[ast.AST]] = OPERATORS.keys()

    def __init__(self, what: str) -> None:
        self.what = what

    def value(self, node: ast.expr) -> Any:
        """The value of a node."""
        if isinstance(node, ast.Constant):
            return self.constant(node)
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        kind, operands = operation(node)
        if kind in self.operators:
            return self.operated(node, OPERATORS[kind], operands)
        return self.other(node)

    def constant(self, node: ast.Constant) -> Any:
        """A number or a text."""
        return node.value

    def name(self, node: ast.Name) -> Any:
        """A name that is not called."""
        raise self.refused(node)

    def call(self, node: ast.Call) -> Any:
        """A function of arguments."""
        raise self.refused(node)

    def operated(self, node: ast.expr, function: Callable[..., Any], operands: Sequence[ast.expr]) -> Any:
        """An operator applied to its operands."""
        return self.computed(node, function, list(map(self.value, operands)))

    def other(self, node: ast.expr) -> Any:
        """Any other node."""
        raise self.refused(node)

    def refused(self, node: ast.expr) -> Exception:
        """The error for a node that is not allowed."""
        return FormulaError(f"{self.what}: {written(node)!r} is not allowed")

    def computed(self, node: ast.expr, function: Callable[..., Any], values: Sequence[Any]) -> Any:
        """An operator applied to values; to two constants in floating point, as 9**9**9 would take for ever."""
        # Values of parameters have NumPy's types.
        if not isinstance(node, ast.BinOp) or any(type(one) not in (int, float, bool) for one in values):
            return function(*values)
        try:
            value = function(*map(float, values))
            if isinstance(value, complex) or not math.isfinite(value):
                raise OverflowError("not a finite real number")
        except (ZeroDivisionError, OverflowError) as error:
            raise FormulaError(f"{self.what}: {written(node)!r} cannot be computed ({error.args[-1]})") from None
        # A whole exponent stays an integer, which is better for derivatives.
        return int(value) if value.is_integer() and abs(value) < 2**31 else value


class Check(Walk):
    """Checks every node of an expression against what is allowed, and records its names in order of appearance.

    Parameters
    ----------
    source : str
    known : collection of str
        Names of columns and parameters, even if they mean something else in Python.
    what : str
        Name of the argument, for messages.
    """

    constants: tuple[type, ...] = (int, float)

    def __init__(self, source: str, known: Collection[str], what: str) -> None:
        super().__init__(what)
        self.source, self.known = source, known
        self.names: dict[str, None] = {}

    def tree(self) -> ast.expr:
        """The tree; raises a FormulaError if it is malformed or contains anything that is not allowed."""
        tree = parsed(self.source, self.known, self.what, self.allowed())
        if _depth(tree) > _DEEPEST_TREE:
            raise _too_deep(self.source, f"more than {_DEEPEST_TREE}", self.what)
        self.value(tree)
        return tree

    def allowed(self) -> str:
        """What is allowed, for messages."""
        return allowed()

    def constant(self, node: ast.Constant) -> None:
        if type(node.value) not in self.constants:
            raise self.refused(node)
        if isinstance(node.value, int) and abs(node.value) > 2**63:
            some = str(node.value)[:20]
            raise FormulaError(f"{self.what}: the number {some}... in {short(self.source)} is too large; write 1e30")

    def operated(self, node: ast.expr, function: Callable[..., Any], operands: Sequence[ast.expr]) -> None:
        for one in operands:
            self.value(one)

    def refused(self, node: ast.expr) -> Exception:
        return not_allowed(written(node), self.source, self.what, self.allowed())
