"""Expressions over columns, in the spelling of R or Python, checked before anything is evaluated.

:mod:`raphson.data.syntax` reads them; :mod:`raphson.data.evaluate` evaluates what is left.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from dataclasses import dataclass

from raphson.data.functions import CONSTANTS, FUNCTIONS, function_name
from raphson.data.messages import nearest, short, unknown_column
from raphson.data.syntax import Check, not_allowed, spell, written
from raphson.errors import FormulaError


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes
    ----------
    tree : ast.expr
        Its names are columns of the data, spelt as they are there, or listed functions.
    text : str
        The expression in a normal form; it names the factor's design columns.
    columns : tuple of str
        The columns that it reads, in order of appearance.
    """

    tree: ast.expr
    text: str
    columns: tuple[str, ...]


def parse_expression(source: str, names: Collection[str], what: str) -> Expression:
    """Read an expression over columns and check it against the list of what is allowed.

    Parameters
    ----------
    source : str
        In the spelling of Python or R (``x^2``, ``Solar.R``, ``TRUE``, ``c("a", "b")``).
    names : collection of str
        The columns of the data.
    what : str
        Name of the argument, for messages.

    Returns
    -------
    Expression

    Raises
    ------
    FormulaError
        If it is malformed, or contains names other than columns, constants and listed functions.
    DataError
        If it names a column that is not in the data.
    """
    check = _Check(source, names, what)
    tree = check.tree()
    return Expression(tree, written(tree), tuple(check.names))


def column_expression(name: str) -> Expression:
    """The expression that is a single column."""
    return Expression(ast.Name(name, ast.Load()), spell(name), (name,))


class _Check(Check):
    constants = (bool, int, float, str)

    def name(self, node: ast.Name) -> None:
        if node.id in self.known:
            self.names.setdefault(node.id)
        elif node.id not in CONSTANTS and not _is_contrast(node.id):
            raise _unknown_name(node.id, self.known, self.source, self.what)

    def other(self, node: ast.expr) -> None:
        if not isinstance(node, ast.List | ast.Tuple) or any(map(self._has_column, node.elts)):
            raise self.refused(node)
        for element in node.elts:
            self.value(element)

    def call(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Name):
            raise self.refused(node.func)
        what, source = self.what, short(self.source)
        called = function_name(node.func.id)
        if called is None:
            if node.func.id in self.known:
                raise FormulaError(
                    f"{what}: {node.func.id!r} in {source} is a column, not a function; write {node.func.id}*(...) to "
                    "multiply"
                )
            raise self.refused(node.func)
        known = FUNCTIONS[called]
        if known.most is not None and len(node.args) > known.most:
            raise FormulaError(f"{what}: {called}() takes at most {known.most} arguments; got {len(node.args)}")
        if known.takes_data and not node.args:
            raise FormulaError(f"{what}: {called}() needs a column, as in {called}(x)")
        if not known.takes_data and any(map(self._has_column, node.args)):
            raise FormulaError(f"{what}: {called}() takes constants only, in {source}")
        for option in node.keywords:
            if option.arg is None or option.arg not in known.options:
                given, listed = option.arg or "**", ", ".join(known.options) or "none"
                raise FormulaError(f"{what}: {called}() has no option {given!r}; its options are {listed}")
            if self._has_column(option.value):
                raise FormulaError(
                    f"{what}: expected a constant for the option {option.arg} of {called}(); got a column"
                )
        for argument in (*node.args, *(option.value for option in node.keywords)):
            self.value(argument)

    def _has_column(self, node: ast.expr) -> bool:
        called = {id(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
        names = (part for part in ast.walk(node) if isinstance(part, ast.Name) and id(part) not in called)
        return any(part.id in self.known for part in names)


def _is_contrast(name: str) -> bool:
    return name in FUNCTIONS and FUNCTIONS[name].kind == "contrast"


def _unknown_name(name: str, names: Collection[str], source: str, what: str) -> Exception:
    if "__" in name:
        return not_allowed(name, source, what)
    if nearest(name, names) is None:
        if function_name(name) is not None:
            return FormulaError(f"{what}: {name!r} in {short(source)} is a function; write {name}(x)")
        # x.real is not a misspelt column: it is an attribute of a column or of a module.
        before, dot, _ = name.partition(".")
        if dot and (before in names or before in ("np", "contr")):
            return not_allowed(name, source, what)
    return unknown_column(name, names, what)
