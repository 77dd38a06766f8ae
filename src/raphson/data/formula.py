"""Parsing of formulas: the response, the terms of the right side, and the offsets.

Every column, call and dot is replaced by placeholders, whose algebra :mod:`raphson.data.algebra` expands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from raphson.data.algebra import expand
from raphson.data.expressions import Expression, column_expression, parse_expression
from raphson.data.functions import FUNCTIONS, function_name
from raphson.data.messages import short, unknown_column
from raphson.data.syntax import Token, not_allowed, tokenize, written
from raphson.errors import DataError, FormulaError, one_line, warn_user

_ALGEBRA = frozenset(["+", "-", "*", "/", ":", "^", "**", "(", ")"])

BARS = frozenset(["|", "||"])
"""What stands between the effects that vary and the groups they vary by."""

SMOOTH_FUNCTIONS = frozenset(["s", "te", "ti"])
"""What is called for a smooth function of columns."""


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes
    ----------
    text : str
        As the user wrote it.
    response : tuple of Expression
        One, or the two of ``cbind(successes, failures)``; empty if there is no left side.
    response_name : str
    factors : tuple of Expression
        The distinct variables of the right side.
    terms : tuple of tuple of int
        Each term as numbers of its factors, main effects first; ``()`` is the intercept.
    offsets : tuple of Expression
    dot : tuple of str
        The columns for which ``.`` stands.
    varying : tuple of str
        The terms whose coefficients vary, as written: ``(1 | g)`` and ``s(x)``; read by
        :mod:`raphson.data.varying.parts`.
    """

    text: str
    response: tuple[Expression, ...]
    response_name: str
    factors: tuple[Expression, ...]
    terms: tuple[tuple[int, ...], ...]
    offsets: tuple[Expression, ...]
    dot: tuple[str, ...]
    varying: tuple[str, ...] = ()

    def term_name(self, term: tuple[int, ...]) -> str:
        """The term as a formula spells it."""
        return ":".join(self.factors[number].text for number in term) or "Intercept"


def parse_formula(
    text: str, names: Sequence[str], exclude: Collection[str] = (), dot: Sequence[str] | None = None
) -> Formula:
    """Parse a formula, given the columns of the data.

    Parameters
    ----------
    text : str
        ``response ~ terms`` in R's syntax.
    names : sequence of str
        The columns.
    exclude : collection of str
        Columns that ``.`` leaves out (weights, say), besides those of the response and a column
        without a name, in which R keeps row names.
    dot : sequence of str, optional
        The columns for which ``.`` stands, if they are known (the formula of a saved model).

    Raises
    ------
    FormulaError
        If it is malformed or contains anything that is not allowed.
    DataError
        If it names a column that the data lack.

    Examples
    --------
    >>> formula = parse_formula("low ~ age * log(lwt) - 1", ["low", "age", "lwt"])
    >>> [formula.term_name(term) for term in formula.terms]
    ['age', 'log(lwt)', 'age:log(lwt)']
    """
    if not isinstance(text, str):
        raise FormulaError(f"formula: expected text such as 'y ~ x'; got {type(text).__name__}")
    try:
        return _parsed(text, names, exclude, dot)
    except (FormulaError, DataError) as error:
        odd = [name for name in sorted(map(str, names), key=len, reverse=True) if not re.fullmatch(r"[\w.]*", name)]
        quoted = re.sub("|".join(["`[^`]*`", *map(re.escape, odd)]), _in_backticks, text)
        if quoted == text:
            raise
        try:
            _parsed(quoted, names, exclude, dot)
        except (FormulaError, DataError):
            raise error from None
        raise FormulaError(f"formula: write names that are not plain in backticks, as in {quoted!r}") from error


def _in_backticks(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("`") else f"`{found[0]}`"


def _parsed(text: str, names: Sequence[str], exclude: Collection[str], dot: Sequence[str] | None) -> Formula:
    tokens = tokenize(text, "formula")
    tildes = [token for token in tokens if token.text == "~" and token.kind == "operator"]
    if len(tildes) != 1:
        raise FormulaError(f"formula: expected one '~', as in 'y ~ x'; got {len(tildes)} in {short(text)}")
    left, right = text[: tildes[0].start], text[tildes[0].end :]
    known = dict.fromkeys(names)
    response, response_name = _response(left, known)
    in_response = {column for part in response for column in part.columns}
    if dot is None:
        dot = [name for name in names if name and name not in in_response and name not in exclude]
    reader = _RightSide(right, known, dot)
    alone: dict[str, list[int]] = {"offset": [], "varying": []}
    kept = []
    for term in expand(reader.read(), text):
        which = [name.partition("_") for name in term if not name.startswith("factor_")]
        if not which:
            kept.append(tuple(int(name.removeprefix("factor_")) for name in term))
        elif len(term) == 1:
            alone[which[0][0]].append(int(which[0][2]))
        else:
            kind, _, number = which[0]
            what = "an offset" if kind == "offset" else reader.varying[int(number)]
            raise FormulaError(
                f"formula: {what} is part of an interaction in {short(text)}; add it as a term of its own"
            )
    # In R's order: by degree, and as written within a degree.
    kept.sort(key=len)
    # A variable that is only subtracted (". - y") is not used at all.
    used = sorted({number for term in kept for number in term})
    place = {number: at for at, number in enumerate(used)}
    factors = list(reader.factors.values())
    return Formula(
        text.strip(),
        response,
        response_name,
        tuple(factors[number] for number in used),
        tuple(tuple(place[number] for number in term) for term in kept),
        tuple(reader.offsets[number] for number in alone["offset"]),
        tuple(dot) if reader.has_dot else (),
        tuple(reader.varying[number] for number in alone["varying"]),
    )


def check_sides(formula: Formula, response: tuple[Expression, ...]) -> None:
    """Refuse the response on the right side too (R drops it there), and warn of a function of it.

    A response made of several columns is not checked: a change from baseline may depend on the baseline.
    """
    both = [factor.text for factor in formula.factors if factor.text in {part.text for part in response}]
    if both:
        raise FormulaError(
            f"formula: the response {both[0]!r} is also on the right side of {short(formula.text)}, where it would "
            "predict itself; remove it there"
        )
    for part in response:
        alike = [factor.text for factor in (*formula.factors, *formula.offsets) if factor.columns == part.columns]
        if len(part.columns) == 1 and alike:
            warn_user(
                f"formula: the response {part.text!r} and {alike[0]!r} on the right side of {short(formula.text)} "
                f"are computed from the same column, {part.columns[0]!r}; a function of the response explains "
                "nothing"
            )


def _response(left: str, known: Collection[str]) -> tuple[tuple[Expression, ...], str]:
    if not left.strip():
        return (), ""
    expression = parse_expression(left, known, "formula")
    tree = expression.tree
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "cbind":
        if len(tree.args) != 2:
            raise FormulaError(f"formula: expected two columns, cbind(successes, failures); got {expression.text}")
        parts = (parse_expression(written(part), known, "formula") for part in tree.args)
        return tuple(parts), expression.text
    return (expression,), expression.text


class _RightSide:
    """Replaces the columns, calls and dots of the right side by placeholders."""

    def __init__(self, source: str, known: Collection[str], dot: Sequence[str]) -> None:
        self.source = source
        self.known = known
        self.dot = dot
        self.has_dot = False
        self.factors: dict[str, Expression] = {}
        self.offsets: list[Expression] = []
        self.varying: list[str] = []
        self._numbers: dict[str, int] = {}

    def read(self) -> list[str]:
        tokens = tokenize(self.source, "formula")
        pieces: list[str] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.kind in ("name", "quoted"):
                stop = _end_of_call(tokens, at)
                pieces.append(self._variable(token) if stop == at + 1 else self._call(token, tokens[stop - 1]))
                at = stop
                continue
            stop = _end_of_bracket(tokens, at) if token.text == "(" else at
            if any(one.text in BARS for one in _outermost(tokens[at + 1 : stop - 1])):
                pieces.append(self._varies(self.source[token.start : tokens[stop - 1].end]))
                at = stop
                continue
            pieces.extend(self._dot() if token.kind == "dot" else [self._other(token, pieces)])
            at += 1
        if not pieces:
            raise FormulaError("formula: the right side of '~' is empty; write 'y ~ 1' for an intercept only")
        return pieces

    def _factor(self, expression: Expression) -> str:
        number = self._numbers.setdefault(expression.text, len(self._numbers))
        self.factors.setdefault(expression.text, expression)
        return f"factor_{number}"

    def _variable(self, token: Token) -> str:
        name = token.text[1:-1] if token.kind == "quoted" else token.text
        if name not in self.known:
            # parse_expression raises the error, except for a constant, which is valid but not a term.
            if token.kind == "name":
                parse_expression(name, self.known, "formula")
                raise FormulaError(f"formula: the term {name!r} is not a column; name a column")
            raise unknown_column(name, self.known, "formula")
        return self._factor(column_expression(name))

    def _call(self, first: Token, last: Token) -> str:
        text = self.source[first.start : last.end]
        if first.text in SMOOTH_FUNCTIONS:
            return self._varies(text)
        expression = parse_expression(text, self.known, "formula")
        tree = expression.tree
        assert isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)
        if FUNCTIONS[str(function_name(tree.func.id))].kind in ("contrast", "list"):
            raise FormulaError(f"formula: {text!r} cannot be a term; use a column or a function of columns")
        if not expression.columns:
            raise FormulaError(f"formula: {text!r} contains no column; add one")
        if tree.func.id != "offset":
            return self._factor(expression)
        self.offsets.append(parse_expression(written(tree.args[0]), self.known, "offset"))
        return f"offset_{len(self.offsets) - 1}"

    def _varies(self, text: str) -> str:
        """The placeholder of a term that varies; the same for the same text, so that it can be taken away."""
        text = " ".join(text.split())
        if text not in self.varying:
            self.varying.append(text)
        return f"varying_{self.varying.index(text)}"

    def _dot(self) -> list[str]:
        self.has_dot = True
        if not self.dot:
            raise FormulaError("formula: '.' stands for the other columns, but there are none; name the terms")
        # A sum in brackets, which may begin with a sign.
        return ["(", *(piece for name in self.dot for piece in ("+", self._factor(column_expression(name)))), ")"]

    def _other(self, token: Token, before: list[str]) -> str:
        if token.kind == "number":
            power = bool(before) and before[-1] in ("^", "**")
            if token.text in ("0", "1") or (power and token.text.isdigit() and int(token.text) > 0):
                return token.text
            raise FormulaError(
                f"formula: the number {token.text!r} is not a term; write I({token.text}*x) for a multiple of x"
            )
        if token.text == "%in%":
            raise FormulaError("formula: %in% is not supported; write a:b for a within b, with b as a term of its own")
        if token.text in _ALGEBRA:
            return token.text
        if token.text in BARS:
            raise FormulaError(
                f"formula: '{token.text}' in {short(self.source)} is not in brackets; write (1 | g) for an intercept "
                "that varies by g"
            )
        if token.text in ("<", ">", "<=", ">=", "==", "!="):
            raise FormulaError(
                f"formula: {token.text!r} in {short(self.source)} is not allowed between terms; write I(...) around a "
                "comparison, as in I(x > 3)"
            )
        if token.text in ("%", "//"):
            raise FormulaError(
                f"formula: {token.text!r} in {short(self.source)} is not allowed between terms; write I(...) around "
                f"arithmetic, as in I(x {token.text} 2)"
            )
        raise not_allowed(token.text, self.source, "formula")


def _end_of_call(tokens: list[Token], at: int) -> int:
    """The index after the name at ``at`` and the brackets that follow it."""
    if tokens[at].kind != "name" or at + 1 == len(tokens) or tokens[at + 1].text != "(":
        return at + 1
    return _end_of_bracket(tokens, at + 1)


def _end_of_bracket(tokens: Sequence[Token], at: int) -> int:
    """The index after the bracket that opens at ``at``."""
    depth, stop = 1, at + 1
    while depth:
        depth += _depth_change(tokens[stop])
        stop += 1
    return stop


def _outermost(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens that are in no bracket."""
    depth = 0
    for token in tokens:
        if not depth:
            yield token
        depth += _depth_change(token)


def _depth_change(token: Token) -> int:
    return {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "operator" else 0


_DOT = re.compile(r"(?<![\w.)\]])\.(?![\w.])")


def updated(formula: str, change: str) -> str:
    """Change a formula as R's ``update`` does: ``.`` stands for the old expression on that side.

    A change without ``~`` that begins with a sign is added to the right side, or subtracted from it.

    >>> updated("y ~ a", ". ~ . + b"), updated("~ a", "~ . - a"), updated("y ~ a", "~ b")
    ('y ~ (a) + b', '~ (a) - a', 'y ~ b')
    >>> updated("y ~ a", "+ b"), updated("y ~ a", "- a")
    ('y ~ (a) + b', 'y ~ (a) - a')
    """
    if not isinstance(change, str):
        raise FormulaError(f"formula: expected a change as text, such as '. ~ . + x'; got {one_line(change)}")
    if change.lstrip().startswith(("+", "-")) and "~" not in change:
        change = f". {change.strip()}"
    left, right = (side.strip() for side in formula.split("~", 1))
    parts = change.split("~", 1)
    new_right = _DOT.sub(lambda _: f"({right})", parts[-1].strip())
    new_left = _DOT.sub(lambda _: left, parts[0].strip()) if len(parts) == 2 and parts[0].strip() else left
    return f"{new_left} ~ {new_right}".strip()
