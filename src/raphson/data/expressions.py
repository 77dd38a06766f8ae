"""Expressions over columns: read in R's or Python's spelling, and checked before anything is evaluated.

An expression is never handed to Python's ``eval``. It is parsed into a tree, every node of the
tree is held against a list of what is allowed, and :mod:`raphson.data.evaluate` walks what is left.
"""

from __future__ import annotations

import ast
import copy
import keyword
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from raphson.data.functions import CONSTANTS, FUNCTIONS, allowed, function_name
from raphson.data.messages import nearest, short, unknown_column
from raphson.errors import FormulaError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<quoted>`[^`]+`)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*)
    | (?P<dot>\.)
    | (?P<operator>%in%|\*\*|==|!=|<=|>=|//|[-+*/^:()\[\],=<>~%])
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_NAME = re.compile(r"(?:[^\W\d_]|\.(?=[^\W\d]))[\w.]*|_[\w.]*")
_OPENING, _CLOSING = {"(": ")", "[": "]"}, {")": "(", "]": "["}
_DEEPEST, _DEEPEST_TREE = 50, 150

_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


class Token(NamedTuple):
    """A piece of a formula: what it is, its text and where it starts."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the next piece starts."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes
    ----------
    tree : ast.expr
        Its names are columns of the data (as they are called there) or functions of the list.
    text : str
        The expression in one normal spelling; it names the factor's design columns.
    columns : tuple of str
        The columns it reads, in order of appearance.
    """

    tree: ast.expr
    text: str
    columns: tuple[str, ...]


def tokenize(source: str, what: str) -> list[Token]:
    """Cut a formula into pieces, without the spaces; brackets must match.

    Parameters
    ----------
    source : str
    what : str
        Names the argument in messages, such as ``"formula"`` or ``"weights"``.

    Raises
    ------
    FormulaError
        If a character has no meaning, or a bracket or quotation mark has no partner.
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
            raise not_allowed(text, source, what)
        if text in _OPENING:
            open_brackets.append(text)
            if len(open_brackets) > _DEEPEST:
                raise FormulaError(f"{what}: brackets are nested more than {_DEEPEST} deep")
        elif text in _CLOSING and (not open_brackets or open_brackets.pop() != _CLOSING[text]):
            raise FormulaError(f"{what}: the bracket {text!r} in {short(source)} has no opening bracket")
        tokens.append(Token(kind, text, match.start()))
    if open_brackets:
        raise FormulaError(f"{what}: the bracket {open_brackets[-1]!r} in {short(source)} is never closed")
    return tokens


def parse_expression(source: str, names: Collection[str], what: str) -> Expression:
    """Read an expression over columns and check it against the list of what is allowed.

    Parameters
    ----------
    source : str
        In Python's spelling or R's (``x^2``, ``Solar.R``, ``TRUE``, ``c("a", "b")``).
    names : collection of str
        The columns there are.
    what : str
        Names the argument in messages.

    Returns
    -------
    Expression

    Raises
    ------
    FormulaError
        If it is malformed, or names anything but columns, constants and the listed functions.
    DataError
        If it names a column that is not in the data.
    """
    tree = parsed(source, names, what)
    try:
        columns: dict[str, None] = {}
        _check(tree, names, source, what, columns)
        return Expression(tree, written(tree), tuple(columns))
    except RecursionError as error:
        raise FormulaError(f"{what}: {short(source)} is nested too deeply") from error


def column_expression(name: str) -> Expression:
    """Make the expression that is just a column."""
    return Expression(ast.Name(name, ast.Load()), spell(name), (name,))


def spell(name: str) -> str:
    """Write a column's name as a formula needs it: in backticks unless it is a plain name."""
    return name if _PLAIN_NAME.fullmatch(name) else f"`{name}`"


def written(tree: ast.AST) -> str:
    """Write a checked tree in its one normal spelling."""
    return ast.unparse(_Speller().visit(copy.deepcopy(tree)))


def not_allowed(piece: str, source: str, what: str) -> FormulaError:
    """Say what is not allowed in a formula, and what is."""
    return FormulaError(f"{what}: {short(piece)} in {short(source)} is not allowed; allowed are {allowed()}")


def parsed(source: str, names: Collection[str], what: str) -> ast.expr:
    """Parse an expression into a tree of Python's, whose names are the user's; nothing is checked yet."""
    python, aliases = _to_python(source, names, what)
    try:
        tree = ast.parse(f"({python}\n)", mode="eval").body
        _restore_names(tree, aliases)
    except (MemoryError, RecursionError) as error:  # Python's own limit, which may be the lower one
        raise _too_deep(source, "too many", what) from error
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too long a number"
        reserved = [word for word in re.findall(r"\w+", python) if keyword.iskeyword(word)]
        if isinstance(error, SyntaxError) and reserved:
            reason += f"; {reserved[0]} is a reserved word of Python; as a name write it in backticks, `{reserved[0]}`"
        raise FormulaError(f"{what}: cannot read {short(source)} ({reason})") from error
    if _depth(tree) > _DEEPEST_TREE:
        raise _too_deep(source, f"more than {_DEEPEST_TREE}", what)
    return tree


def _too_deep(source: str, many: str, what: str) -> FormulaError:
    return FormulaError(
        f"{what}: {short(source)} has {many} nested operations; write it as a function of the parameters and the "
        "data, in jax.numpy"
    )


def _depth(tree: ast.expr) -> int:
    """Levels of a tree: a sum of n terms has n."""
    depth, level = 0, [tree]
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return depth


def _to_python(source: str, names: Collection[str], what: str) -> tuple[str, dict[str, str]]:
    # Every name gets an alias that is a Python identifier, so that Solar.R is one name and not
    # an attribute, and `a b` or a column called "lambda" is a name at all. An attribute or a
    # keyword that is left in the parsed tree is then one that the user wrote, and is refused.
    aliases: dict[str, str] = {}
    pieces: list[str] = []
    previous = None
    for token in tokenize(source, what):
        text = token.text
        if previous is not None and previous.end == token.start and {previous.kind, token.kind} == {"name", "string"}:
            raise not_allowed(previous.text + text, source, what)
        if token.kind == "quoted" or (token.kind == "name" and (text in names or not keyword.iskeyword(text))):
            alias = f"name_{len(aliases)}"
            aliases[alias] = text[1:-1] if token.kind == "quoted" else text
            pieces.append(alias)
        elif text == "^":
            pieces.append("**")
        elif text in ("~", "%in%"):
            raise not_allowed(text, source, what)
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


def _check(node: ast.AST, names: Collection[str], source: str, what: str, columns: dict[str, None]) -> None:
    """Hold every node of the tree against the list; note the columns."""

    def refuse(piece: ast.AST) -> FormulaError:
        return not_allowed(ast.unparse(piece), source, what)

    if isinstance(node, ast.Constant):
        # No complex numbers, bytes or "...". A whole number must be one that a double can hold.
        if not isinstance(node.value, (bool, int, float, str)):
            raise refuse(node)
        if isinstance(node.value, int) and abs(node.value) > 2**63:
            raise FormulaError(f"{what}: the number {str(node.value)[:20]}... in {short(source)} is too large")
    elif isinstance(node, ast.Name):
        if node.id in names:
            columns.setdefault(node.id)
        elif node.id not in CONSTANTS and not _is_contrast(node.id):
            raise _unknown_name(node.id, names, source, what)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, _BINARY):
        _check(node.left, names, source, what, columns)
        _check(node.right, names, source, what, columns)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        _check(node.operand, names, source, what, columns)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], _COMPARISONS):
        _check(node.left, names, source, what, columns)
        _check(node.comparators[0], names, source, what, columns)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for element in node.elts:
            if any(True for _ in _columns_in(element, names)):
                raise refuse(node)
            _check(element, names, source, what, columns)
    elif isinstance(node, ast.Call):
        _check_call(node, names, source, what, columns)
    else:
        raise refuse(node)


def _check_call(node: ast.Call, names: Collection[str], source: str, what: str, columns: dict[str, None]) -> None:
    if not isinstance(node.func, ast.Name):
        raise not_allowed(ast.unparse(node.func), source, what)
    called = function_name(node.func.id)
    if called is None:
        if node.func.id in names:
            raise FormulaError(f"{what}: {node.func.id!r} is a column, not a function, in {short(source)}")
        raise not_allowed(node.func.id, source, what)
    known = FUNCTIONS[called]
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise not_allowed(ast.unparse(argument), source, what)
        if not known.takes_data and any(True for _ in _columns_in(argument, names)):
            raise FormulaError(f"{what}: {called}() takes constants only, in {short(source)}")
        _check(argument, names, source, what, columns)
    if known.most is not None and len(node.args) > known.most:
        raise FormulaError(f"{what}: {called}() takes at most {known.most} arguments; got {len(node.args)}")
    if known.takes_data and not node.args:
        raise FormulaError(f"{what}: {called}() needs a column, as in {called}(x)")
    for option in node.keywords:
        if option.arg is None or option.arg not in known.options:
            given = option.arg or "**"
            listed = ", ".join(known.options) or "none"
            raise FormulaError(f"{what}: {called}() has no option {given!r}; its options are {listed}")
        if any(True for _ in _columns_in(option.value, names)):
            raise FormulaError(f"{what}: the option {option.arg} of {called}() must be a constant, not a column")
        _check(option.value, names, source, what, columns)


def _is_contrast(name: str) -> bool:
    return name in FUNCTIONS and FUNCTIONS[name].kind == "contrast"


def _columns_in(node: ast.AST, names: Collection[str]) -> Iterator[str]:
    called = {id(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in names and id(part) not in called:
            yield part.id


def _unknown_name(name: str, names: Collection[str], source: str, what: str) -> Exception:
    if "__" in name:
        return not_allowed(name, source, what)
    if nearest(name, names) is None:
        if function_name(name) is not None:
            return FormulaError(f"{what}: {name!r} in {short(source)} is a function; write {name}(x)")
        # x.real is no misspelt column: what stands before the dot is one, or a module.
        before, dot, _ = name.partition(".")
        if dot and (before in names or before in ("np", "contr")):
            return not_allowed(name, source, what)
    return unknown_column(name, names, what)
