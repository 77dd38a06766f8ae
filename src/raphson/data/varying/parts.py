"""Reading of the terms of a formula whose coefficients vary: ``(1 + x | a/b)`` and ``s(x, k=20)``."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, get_args

from raphson.choices import SmoothBasis
from raphson.data.expressions import Expression, parse_expression
from raphson.data.formula import BARS, Formula, parse_formula
from raphson.data.messages import short
from raphson.data.syntax import parsed, tokenize, written
from raphson.data.varying.margins import fewest, usual_k
from raphson.data.varying.term import Structure
from raphson.errors import FormulaError

MOST_FUNCTIONS = 1000
"""Most functions of a smooth term: that many columns of a million rows take 8 GB."""

_OPTIONS = ("k", "basis", "by")


@dataclass(frozen=True)
class GroupPart:
    """Effects that vary by groups.

    Attributes
    ----------
    text : as it is written.
    effects : the formula of the effects, ``~ 1 + x``.
    label : the effects, for labels.
    groups : the factors of each product that groups the rows: those of a, and of a and b, for ``a/b``.
    structure : how the effects of a group vary.
    smooth : whether it was written as a smooth function, ``s(g, basis="re")``.
    """

    text: str
    effects: Formula
    label: str
    groups: tuple[tuple[Expression, ...], ...]
    structure: Structure
    smooth: bool = False

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its variables: those of the effects, then the groups."""
        groups = {factor.text: factor for product in self.groups for factor in product}
        return (*self.effects.factors, *groups.values())


@dataclass(frozen=True)
class MarginPart:
    """A basis of one or more variables.

    Attributes
    ----------
    variables : what it is a function of.
    basis : its kind.
    k : the number of its functions.
    """

    variables: tuple[Expression, ...]
    basis: str
    k: int

    @property
    def text(self) -> str:
        """The names of its variables."""
        return ", ".join(one.text for one in self.variables)


@dataclass(frozen=True)
class SmoothPart:
    """A smooth function.

    Attributes
    ----------
    text : as it is written.
    label : its name, ``s(x)``, or ``s(x):f`` with a `by`.
    margins : its basis, or those whose product it is.
    by : a factor, for each level of which there is a function, or a number that multiplies it.
    interaction : whether it is a product without main effects, whose margins are centred.
    """

    text: str
    label: str
    margins: tuple[MarginPart, ...]
    by: Expression | None
    interaction: bool = False

    @property
    def variables(self) -> tuple[Expression, ...]:
        """What it is a function of."""
        return tuple(one for margin in self.margins for one in margin.variables)

    @property
    def n_variables(self) -> int:
        """The number of them."""
        return len(self.variables)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its variables, then `by`."""
        return self.variables if self.by is None else (*self.variables, self.by)

    @property
    def centred(self) -> bool:
        """Whether it has the mean 0 over the rows, as long as it is multiplied by nothing."""
        return not self.interaction

    def label_of(self, margin: MarginPart) -> str:
        """A margin as messages name it."""
        return short(self.text) if len(self.margins) == 1 else f"the margin {margin.text} of {short(self.text)}"


Part = GroupPart | SmoothPart


def parse_parts(texts: Sequence[str], names: Collection[str]) -> tuple[Part, ...]:
    """Read the terms of a formula that vary, given the columns of the data.

    Raises
    ------
    FormulaError
        If one is malformed, or the same coefficients are in two of them.

    Examples
    --------
    >>> parts = parse_parts(["(x || a/b)", "s(z, k=5)"], ["x", "z", "a", "b"])
    >>> [[one.text for one in part.expressions] for part in parts]
    [['x', 'a', 'b'], ['z']]
    """
    known = dict.fromkeys(names)
    parts = tuple(_group(text, known) if text.startswith("(") else _smooth(text, known) for text in texts)
    seen: dict[tuple[object, ...], str] = {}
    for part in parts:
        if isinstance(part, SmoothPart):
            variables = frozenset(one.text for one in part.variables)
            by = None if part.by is None else part.by.text
            keys: list[tuple[object, ...]] = [(len(part.margins), part.interaction, variables, by)]
        else:
            # An effect is told from another by its variables.
            effects = [frozenset(part.effects.term_name(term).split(":")) for term in part.effects.terms]
            grouped = [frozenset(factor.text for factor in product) for product in part.groups]
            keys = [(effect, group) for group in grouped for effect in effects]
        for key in keys:
            if key in seen:
                both = f"{short(seen[key])} and {short(part.text)}"
                raise FormulaError(
                    f"formula: {both} have the same effect, and only its sum could be estimated; leave it out of one"
                )
        seen |= dict.fromkeys(keys, part.text)
    return parts


def _group(text: str, known: Collection[str]) -> GroupPart:
    inner = text[1:-1]
    bars = [token for token in tokenize(inner, "formula") if token.text in BARS]
    if len(bars) != 1:
        raise FormulaError(f"formula: expected one bar, as in (1 | g); got {short(text)}")
    left, right = inner[: bars[0].start].strip(), inner[bars[0].end :].strip()
    if not left or not right:
        raise FormulaError(f"formula: expected effects and a group, as in (1 + x | g); got {short(text)}")
    if left.replace(" ", "") in ("0", "-1"):
        raise FormulaError(f"formula: no effect varies in {short(text)}; write (1 | g) for an intercept")
    effects = _without_more(parse_formula(f"~ {left}", list(known), dot=[]), text)
    grouped = _without_more(parse_formula(f"~ 0 + {right}", list(known), dot=[]), text)
    if () in grouped.terms or not grouped.terms:
        raise FormulaError(f"formula: expected a group such as g, a:b or a/b behind the bar; got {short(text)}")
    if "+" in right and "(" not in right:
        raise FormulaError(f"formula: {short(text)} has two groups; write a term for each, (1 | a) + (1 | b)")
    groups = tuple(tuple(grouped.factors[number] for number in term) for term in grouped.terms)
    structure: Structure = "independent" if bars[0].text == "||" else "correlated"
    return GroupPart(text, effects, left, groups, structure)


def _without_more(formula: Formula, text: str) -> Formula:
    if formula.varying or formula.offsets:
        what = formula.varying[0] if formula.varying else "an offset"
        raise FormulaError(f"formula: {what} cannot be in {short(text)}; add it as a term of its own")
    return formula


def _smooth(text: str, known: Collection[str]) -> Part:
    tree = parsed(text, known, "formula")
    assert isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)
    called = tree.func.id
    given: dict[str, ast.expr] = {}
    for option in tree.keywords:
        name = "basis" if option.arg == "bs" else str(option.arg)
        if name not in _OPTIONS:
            raise FormulaError(
                f"formula: {called}() has no option {option.arg!r}; its options are {', '.join(_OPTIONS)}"
            )
        given[name] = option.value
    variables = [parse_expression(written(one), known, "formula") for one in tree.args]
    _check_variables(called, variables, text)
    by = parse_expression(written(given["by"]), known, "formula") if "by" in given else None
    label = f"{called}({', '.join(one.text for one in variables)})"
    if called == "s" and _constant(given.get("basis"), "", text) == "re":
        if "k" in given or by is not None or len(variables) > 1:
            raise FormulaError(
                f"formula: a smooth of groups has one variable and no k or by; got {short(text)}. Write (x | g) for "
                "slopes"
            )
        effects = parse_formula("~ 1", list(known), dot=[])
        return GroupPart(text, effects, label, ((variables[0],),), "correlated", smooth=True)
    margins = _margins(called, variables, given, text)
    return SmoothPart(text, label if by is None else f"{label}:{by.text}", margins, by, called == "ti")


def _check_variables(called: str, variables: Sequence[Expression], text: str) -> None:
    if not variables:
        raise FormulaError(f"formula: expected a variable in {short(text)}, as in s(x)")
    if called != "s" and len(variables) == 1:
        raise FormulaError(
            f"formula: {called}() takes two variables or more, as in {called}(x, z, k=(5, 8)); got one in "
            f"{short(text)}. Write s({variables[0].text})"
        )
    for one in variables:
        if not one.columns:
            raise FormulaError(f"formula: {one.text!r} in {short(text)} contains no column; add one")
    names = [one.text for one in variables]
    for name in names:
        if names.count(name) > 1:
            raise FormulaError(f"formula: {name!r} is twice in {short(text)}; leave one out")


def _margins(
    called: str, variables: Sequence[Expression], given: dict[str, ast.expr], text: str
) -> tuple[MarginPart, ...]:
    """The basis of ``s()``, or one of each variable of ``te()`` and ``ti()``."""
    if called == "s":
        d = len(variables)
        kind = _constant(given.get("basis"), "cr" if d == 1 else "tp", text)
        _check_kind(kind, d, text)
        k = _constant(given.get("k"), usual_k(kind, d), text)
        _check_k(k, fewest(kind, d), text)
        return (MarginPart(tuple(variables), kind, k),)
    kinds, ks = _each(given, "basis", "cr", len(variables), text), _each(given, "k", 5, len(variables), text)
    for kind, k in zip(kinds, ks, strict=True):
        _check_kind(kind, 1, text, called)
        _check_k(k, fewest(kind, 1), text)
    if prod(ks) > MOST_FUNCTIONS:
        raise FormulaError(
            f"formula: {short(text)} has {' · '.join(map(str, ks))} = {prod(ks)} functions; at most {MOST_FUNCTIONS} "
            "are possible. Write a smaller k"
        )
    return tuple(MarginPart((one,), kind, k) for one, kind, k in zip(variables, kinds, ks, strict=True))


def _each(given: dict[str, ast.expr], name: str, default: Any, count: int, text: str) -> list[Any]:
    """An option of ``te()`` for each variable: one for all, or a list of them."""
    node = given.get(name)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "c" and not node.keywords:
        node = ast.Tuple(node.args, ast.Load())  # as R writes it
    if not isinstance(node, (ast.Tuple, ast.List)):
        return [_constant(node, default, text)] * count
    if len(node.elts) != count:
        raise FormulaError(
            f"formula: expected one {name} or {count} of them, one for each variable, in {short(text)}; got "
            f"{len(node.elts)}"
        )
    return [_constant(one, default, text) for one in node.elts]


def _check_kind(kind: Any, d: int, text: str, called: str = "s") -> None:
    kinds = [one for one in get_args(SmoothBasis) if called == "s" or one != "re"]
    if kind not in kinds:
        hint = ". Write by=, or (1 | g), for groups" if kind == "re" else ""
        raise FormulaError(
            f"formula: expected one of {', '.join(kinds)} as the basis in {short(text)}; got {kind!r}{hint}"
        )
    if d > 1 and kind != "tp":
        raise FormulaError(
            f"formula: the basis {kind!r} in {short(text)} is of one variable; write te(...) for products of such "
            'bases, a term for each, or basis="tp"'
        )


def _check_k(k: Any, least: int, text: str) -> None:
    if not isinstance(k, int) or isinstance(k, bool) or not least <= k <= MOST_FUNCTIONS:
        raise FormulaError(
            f"formula: expected a whole number from {least} to {MOST_FUNCTIONS} as k in {short(text)}; got {k!r}"
        )


def _constant(node: ast.expr | None, default: Any, text: str) -> Any:
    if node is None:
        return default
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return -value if isinstance(value, (int, float)) else value
    if not isinstance(node, ast.Constant):
        raise FormulaError(f"formula: expected a constant, not {written(node)!r}, in {short(text)}")
    return node.value
