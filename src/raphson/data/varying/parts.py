"""Reading of the terms of a formula whose coefficients vary: ``(1 + x | a/b)`` and ``s(x, k=20)``."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from raphson.choices import SmoothBasis
from raphson.data.expressions import Expression, parse_expression
from raphson.data.formula import BARS, Formula, parse_formula
from raphson.data.messages import short
from raphson.data.syntax import parsed, tokenize, written
from raphson.data.varying.bases import MADE
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
class SmoothPart:
    """A smooth function.

    Attributes
    ----------
    text : as it is written.
    label : its name, ``s(x)``, or ``s(x):f`` with a `by`.
    variable : what it is a function of.
    k : the number of functions of its basis.
    basis : the kind of basis.
    by : a factor, for each level of which there is a function, or a number that multiplies it.
    """

    text: str
    label: str
    variable: Expression
    k: int
    basis: str
    by: Expression | None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its variables."""
        return (self.variable,) if self.by is None else (self.variable, self.by)


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
            keys: list[tuple[object, ...]] = [(part.label,)]
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
    if tree.func.id != "s":
        raise FormulaError(f"formula: {short(text)} cannot be fitted yet; write s(x) + s(z) for functions of each")
    if len(tree.args) != 1:
        raise FormulaError(
            f"formula: s() takes one variable, as in s(x, k=20); got {len(tree.args)} in {short(text)}. Write a term "
            "for each"
        )
    given: dict[str, ast.expr] = {}
    for option in tree.keywords:
        name = "basis" if option.arg == "bs" else str(option.arg)
        if name not in _OPTIONS:
            raise FormulaError(f"formula: s() has no option {option.arg!r}; its options are {', '.join(_OPTIONS)}")
        given[name] = option.value
    variable = parse_expression(written(tree.args[0]), known, "formula")
    if not variable.columns:
        raise FormulaError(f"formula: {short(text)} contains no column; add one")
    basis = _constant(given.get("basis"), "cr", text)
    kinds = get_args(SmoothBasis)
    if basis not in kinds:
        raise FormulaError(f"formula: expected one of {', '.join(kinds)} as the basis in {short(text)}; got {basis!r}")
    by = parse_expression(written(given["by"]), known, "formula") if "by" in given else None
    label = f"s({variable.text})"
    if basis == "re":
        if "k" in given or by is not None:
            raise FormulaError(
                f"formula: a smooth of groups has no k or by; got {short(text)}. Write (x | g) for slopes"
            )
        effects = parse_formula("~ 1", list(known), dot=[])
        return GroupPart(text, effects, label, ((variable,),), "correlated", smooth=True)
    k = _constant(given.get("k"), 10, text)
    fewest = MADE[basis][2]
    if not isinstance(k, int) or isinstance(k, bool) or not fewest <= k <= MOST_FUNCTIONS:
        raise FormulaError(
            f"formula: expected a whole number from {fewest} to {MOST_FUNCTIONS} as k in {short(text)}; got {k!r}"
        )
    return SmoothPart(text, label if by is None else f"{label}:{by.text}", variable, k, str(basis), by)


def _constant(node: ast.expr | None, default: Any, text: str) -> Any:
    if node is None:
        return default
    if not isinstance(node, ast.Constant):
        raise FormulaError(f"formula: expected a constant, not {written(node)!r}, in {short(text)}")
    return node.value
