"""Evaluation of checked expressions over the columns of a table, by walking the tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.expressions import Expression
from raphson.data.functions import (
    CONSTANTS,
    ELEMENTWISE,
    FUNCTIONS,
    SPLINES,
    STATE_KEYS,
    contrast_class,
    function_name,
    stateful_transform,
)
from raphson.data.messages import listing
from raphson.data.numbers_in_text import stray
from raphson.data.syntax import Walk, written
from raphson.data.values import Levels, Numbers, Table, Variable, as_levels, label_of
from raphson.errors import DataError, FormulaError

if TYPE_CHECKING:
    from raphson.data.formula import Formula

States = dict[str, dict[str, Any]]
"""The states of stateful transforms (a mean, knots), by the text of their call."""

_STATE_TYPES = {"alpha": dict, "norms2": dict, "knots": list}
_LARGEST_COUNT = 1000
"""Most degrees of freedom of a spline, or degree of a polynomial: that many columns of a million rows take 8 GB."""

_EXACT = 2.0**53
"""Up to here every integer is a double: powers that stay below are computed in integers, without rounding."""


class Evaluator(Walk):
    """Evaluates expressions over one table.

    Parameters
    ----------
    table : Table
    states : dict
        Filled by stateful transforms when fitting; read by them for new data.
    what : str
        Name of the source, for messages.
    new : bool
        Whether these are new data, which need not have every level that the formula names.
    """

    def __init__(self, table: Table, states: States, what: str = "formula", new: bool = False) -> None:
        super().__init__(what)
        self.table, self.states, self.new = table, states, new

    def variable(self, expression: Expression) -> Variable:
        """Evaluate to a variable over the table's rows.

        Raises
        ------
        DataError
            If a column has a type that the expression cannot use.
        FormulaError
            If the expression cannot be evaluated, or contains no column.
        """
        if not expression.columns:
            raise FormulaError(f"{self.what}: {expression.text!r} contains no column; add one")
        with np.errstate(all="ignore"):
            value = self.value(expression.tree)
        if not isinstance(value, (Numbers, Levels)):
            raise FormulaError(f"{self.what}: {expression.text!r} is not a variable; write a column or an expression")
        return value

    def numbers(self, expression: Expression) -> Numbers:
        """Evaluate to one number per row; text is a DataError."""
        value = self.variable(expression)
        if isinstance(value, Levels):
            value = self._to_numbers(value, expression.tree)
        if value.values.ndim != 1:
            raise DataError(f"{self.what}: expected a single column; {expression.text!r} gives several")
        return value

    def origin_of(self, node: ast.expr, rows: np.ndarray) -> str:
        """The smallest part of an expression that is not finite on some of the rows."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Call, ast.BinOp, ast.UnaryOp)):
                with np.errstate(all="ignore"):
                    value = self.value(child)
                bad = value.bad() if isinstance(value, (Numbers, Levels)) else None
                if bad is not None and bool((bad & rows).any()):
                    return self.origin_of(child, rows)
        return written(node)

    def name(self, node: ast.Name) -> Any:
        if node.id in self.table.known:
            return self.table.column(node.id)
        return CONSTANTS[node.id] if node.id in CONSTANTS else contrast_class(node.id)()

    def other(self, node: ast.expr) -> Any:
        return [self.value(one) for one in node.elts] if isinstance(node, ast.List | ast.Tuple) else super().other(node)

    def operand(self, node: ast.expr) -> Numbers | float | int:
        """Evaluate a node to a number or to a numeric variable; raise a FormulaError for anything else."""
        value = self.value(node)
        if isinstance(value, Levels):
            return self._to_numbers(value, node)
        if isinstance(value, Numbers):
            if value.values.ndim != 1:
                raise FormulaError(
                    f"{self.what}: expected a number for each row; {written(node)!r} has several columns"
                )
            return value
        if isinstance(value, (bool, int, float)):
            return value
        raise FormulaError(f"{self.what}: expected a number or a numeric column; got {written(node)!r}")

    def _to_numbers(self, value: Levels, node: ast.expr) -> Numbers:
        # True is 1, as in R; the levels of text have no numeric values.
        if value.origin == "boolean":
            truth = np.array([float(label == "True") for label in value.labels] or [np.nan])
            return Numbers(np.where(value.codes >= 0, truth[value.codes], np.nan))
        kind = "text" if value.origin == "text" else "a factor"
        some = stray(value.labels)
        raise DataError(
            f"{self.what}: expected numbers in {written(node)!r}; got {kind} (such as {some}). Correct the entries "
            "that are not numbers, or use the column by itself as a factor"
        )

    def operated(self, node: ast.expr, function: Callable[..., Any], operands: Sequence[ast.expr]) -> Any:
        if isinstance(node, ast.Compare):
            return self._compare(node, function)
        values = [self.operand(one) for one in operands]
        if not any(isinstance(one, Numbers) for one in values):
            return self.computed(node, function, values)
        power = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)
        raw = (one.values if isinstance(one, Numbers) else one for one in values)
        return Numbers(np.asarray((_power if power else function)(*raw), dtype=np.float64))

    def _compare(self, node: ast.Compare, compare: Callable[[Any, Any], Any]) -> Numbers:
        left, right = self.value(node.left), self.value(node.comparators[0])
        labelled = [isinstance(one, Levels) and one.origin != "boolean" for one in (left, right)]
        if all(labelled):
            return self._compare_levels(node, left, right)
        for one, other, is_factor in zip((left, right), (right, left), labelled, strict=True):
            if is_factor and not isinstance(other, (Numbers, Levels)):
                return self._compare_level(node, one, other)
        a, b = self.operand(node.left), self.operand(node.comparators[0])
        x = a.values if isinstance(a, Numbers) else a
        y = b.values if isinstance(b, Numbers) else b
        if not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
            raise FormulaError(f"{self.what}: {written(node)!r} contains no column; compare a column")
        # A comparison with a missing value is missing.
        truth = np.asarray(compare(x, y), dtype=np.float64)
        return Numbers(np.where(np.isnan(x) | np.isnan(y), np.nan, truth), boolean=True)

    def _compare_level(self, node: ast.Compare, factor: Levels, other: object) -> Numbers:
        if not isinstance(node.ops[0], (ast.Eq, ast.NotEq)) or isinstance(other, list):
            raise DataError(f"{self.what}: {written(node)!r} compares text; compare it with a level, by == or !=")
        label = label_of(other)
        if label not in factor.labels and self.new:
            same = np.zeros(len(factor.codes), dtype=bool)
        elif label in factor.labels:
            same = factor.codes == factor.labels.index(label)
        else:
            raise DataError(
                f"{self.what}: {written(node)!r} names a level {label!r} that does not occur; "
                f"the levels are {listing(map(repr, factor.labels))}"
            )
        truth = same if isinstance(node.ops[0], ast.Eq) else ~same
        return Numbers(np.where(factor.codes < 0, np.nan, truth), boolean=True)

    def _compare_levels(self, node: ast.Compare, a: Levels, b: Levels) -> Numbers:
        if not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            raise DataError(f"{self.what}: {written(node)!r} compares text; use == or !=")
        position = {label: code for code, label in enumerate(a.labels)}
        into_a = np.array([position.get(label, len(position)) for label in b.labels] or [-1])
        same = a.codes == into_a[b.codes]
        truth = same if isinstance(node.ops[0], ast.Eq) else ~same
        return Numbers(np.where((a.codes < 0) | (b.codes < 0), np.nan, truth), boolean=True)

    def call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)
        name = function_name(node.func.id)
        if name is None:
            raise FormulaError(f"{self.what}: {node.func.id!r} is not allowed")
        kind = FUNCTIONS[name].kind
        if kind == "elementwise":
            argument = self.operand(node.args[0])
            if isinstance(argument, Numbers):
                return Numbers(np.asarray(ELEMENTWISE[name](argument.values), dtype=np.float64))
            value = float(ELEMENTWISE[name](np.array([argument]))[0])
            if not np.isfinite(value):
                raise FormulaError(f"{self.what}: {written(node)!r} is not a finite number; correct it")
            return value
        if kind == "identity":
            return self.value(node.args[0])
        if kind == "list":
            return [self.value(argument) for argument in node.args]
        if kind == "contrast":
            return self._contrast(name, node)
        if kind == "factor":
            return self._factor(name, node)
        if kind == "stateful":
            return self._stateful(name, node)
        raise FormulaError(
            f"{self.what}: {name}() cannot be used inside {written(node)!r}; write it by itself on the "
            f"{'left' if name == 'cbind' else 'right'} of the formula"
        )

    def options(self, name: str, node: ast.Call, skip: int) -> dict[str, Any]:
        """The arguments after the first ``skip``, by name."""
        options = dict(zip(FUNCTIONS[name].options, (self.value(a) for a in node.args[skip:]), strict=False))
        options.update({str(option.arg): self.value(option.value) for option in node.keywords})
        for option, value in options.items():
            if isinstance(value, (Numbers, Levels)):
                raise FormulaError(
                    f"{self.what}: expected a constant for the option {option} of {name}(); got a column"
                )
            if option in ("df", "degree") and not isinstance(value, (int, float, type(None))):
                raise FormulaError(f"{self.what}: expected a number as {option} of {name}(); got {value!r}")
        return options

    def _contrast(self, name: str, node: ast.Call) -> Any:
        options = self.options(name, node, skip=0)
        if "reference" in options:
            options["base"] = options.pop("reference")
        if "base" in options:
            options["base"] = label_of(options["base"])
        return contrast_class(name)(**options)

    def _factor(self, name: str, node: ast.Call) -> Levels:
        argument = self.value(node.args[0])
        if not isinstance(argument, (Numbers, Levels)):
            raise FormulaError(f"{self.what}: {written(node)!r} contains no column; add one")
        factor = as_levels(argument)
        options = self.options(name, node, skip=1)
        if name == "relevel":
            first = label_of(options.get("ref"))
            options["levels"] = [first, *(label for label in factor.labels if label != first)]
            if first not in factor.labels and not self.new:
                raise DataError(
                    f"{self.what}: {written(node)!r} names a level {first!r} that does not occur; "
                    f"the levels are {listing(map(repr, factor.labels))}"
                )
        if options.get("levels") is not None:
            factor = self._declared(factor, options["levels"], node)
        contrasts = options.get("contrasts", factor.contrasts)
        if contrasts is not None and not hasattr(contrasts, "get_coding_matrix"):
            raise FormulaError(
                f"{self.what}: expected a coding such as contr.sum as the contrasts in {written(node)!r}"
            )
        origin = "category" if factor.origin == "text" else factor.origin
        return Levels(factor.codes, factor.labels, origin, contrasts)

    def _declared(self, factor: Levels, levels: Any, node: ast.Call) -> Levels:
        labels = tuple(label_of(level) for level in levels) if isinstance(levels, list) else ()
        if not labels or len(set(labels)) != len(labels):
            raise FormulaError(f"{self.what}: expected a list of different levels as levels= in {written(node)!r}")
        counts = np.bincount(factor.codes[factor.codes >= 0], minlength=len(factor.labels))
        occurring = [label for label, count in zip(factor.labels, counts, strict=True) if count]
        left_out = [repr(label) for label in occurring if label not in labels]
        if left_out:
            raise DataError(f"{self.what}: the levels in {written(node)!r} lack {listing(left_out)}; add them")
        position = {label: code for code, label in enumerate(labels)}
        new_code = np.array([position.get(label, -1) for label in factor.labels] or [-1], dtype=np.intp)
        codes = np.where(factor.codes >= 0, new_code[factor.codes], -1)
        return Levels(codes, labels, factor.origin, factor.contrasts)

    def _stateful(self, name: str, node: ast.Call) -> Numbers:
        argument = self.operand(node.args[0])
        if not isinstance(argument, Numbers):
            raise FormulaError(f"{self.what}: {written(node)!r} contains no column; add one")
        options = self.options(name, node, skip=1)
        for option, value in options.items():
            if option in ("df", "degree") and isinstance(value, (int, float)) and value > _LARGEST_COUNT:
                raise FormulaError(f"{self.what}: {option}={value} in {written(node)!r} is too large; lower it")
        text = written(node)
        values = argument.values
        # A transform's state is computed from all rows in which its argument is finite, as in R.
        finite = np.isfinite(values)
        everywhere = bool(finite.all())
        degree = options.get("degree", 1)
        if name == "poly" and not options.get("raw") and text not in self.states:
            distinct = len(np.unique(values[finite]))
            if degree >= distinct:
                raise DataError(
                    f"{self.what}: {text!r} needs more than {degree} different values; got {distinct}. Lower the degree"
                )
        known = text in self.states
        state = self.states.setdefault(text, {})
        if not finite.any() and not (known and self.new):
            raise DataError(f"{self.what}: {text!r} has no finite value; correct its column")
        try:
            usable = values if everywhere else values[finite]
            if not len(usable):
                usable = np.array([float(state.get("lower_bound", 0.0))])  # of which only the columns are used
            result = stateful_transform(name)(usable, _state=state, **options)
        except Exception as error:
            reason = " ".join(str(error).split())
            remedy = ""
            if "extrapolation" in reason or "lower bound" in reason or "upper bound" in reason:
                reason = "some values lie outside the range of the knots"
                remedy = '; fit with extrapolation="extend" or "clip", or leave those rows out'
            raise DataError(f"{self.what}: {text!r} cannot be evaluated: {reason}{remedy}") from error
        return columns_of(result, None if everywhere and len(finite) else finite)


def columns_of(result: Any, finite: np.ndarray | None = None) -> Numbers:
    """What a transform made of some numbers; where not all of them were finite, spread over the rows (n,) that were."""
    metadata = getattr(result, "__formulaic_metadata__", None)
    raw = getattr(result, "__wrapped__", result)
    labels: tuple[str, ...] | None = None
    if isinstance(raw, dict):
        labels = tuple(str(key) for key in raw)
        values = np.column_stack([np.asarray(column, dtype=np.float64) for column in raw.values()])
    else:
        values = np.asarray(raw, dtype=np.float64)
        if values.ndim == 2:
            named = getattr(metadata, "column_names", None) or range(values.shape[1])
            labels = tuple(str(label) for label in named)
    if finite is not None:
        spread = np.full((len(finite), *values.shape[1:]), np.nan)
        spread[finite] = values[: np.count_nonzero(finite)]
        values = spread
    spans = labels is not None and bool(getattr(metadata, "spans_intercept", False))
    return Numbers(values, labels, spans)


def constant_contrasts(expression: Expression) -> Any:
    """The contrast coding that an expression such as ``C(x, contr.sum)`` names; needs no data."""
    tree = expression.tree
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "C"):
        return None
    asked = [*tree.args[1:2], *(option.value for option in tree.keywords if option.arg == "contrasts")]
    return _NO_DATA.value(asked[0]) if asked else None


def states_before(formulas: Sequence[Formula]) -> States:
    """States of transforms before they see the data: a spline beside an intercept is centred.

    The columns of cr(), cs() and cc() add up to 1, so that beside an intercept the last one would be aliased. Centred
    splines have one column less for the same knots; with the intercept they span the same space as R's ``ns`` between
    its boundary knots. Two kinds of spline are left as they are: those that occur only in interactions, where they may
    have to span a constant for each level, and those with constraints of their own.
    """
    centred: dict[str, bool] = {}
    for formula in formulas:
        for number, factor in enumerate(formula.factors):
            tree = factor.tree
            if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.func.id not in SPLINES:
                continue
            place = 1 + FUNCTIONS[tree.func.id].options.index("constraints")
            constrained = len(tree.args) > place or any(option.arg == "constraints" for option in tree.keywords)
            beside = () in formula.terms and (number,) in formula.terms
            text = written(tree)
            centred[text] = centred.get(text, True) and beside and not constrained
    return {text: {"constraints": "center"} for text, chosen in centred.items() if chosen}


def check_states(expressions: Iterable[Expression], states: States) -> None:
    """Raise a DataError if a stateful transform has no state: it would otherwise compute it from the new data."""
    for expression in expressions:
        for node in ast.walk(expression.tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            needed = STATE_KEYS.get(node.func.id, frozenset())
            raw = len(node.args) > 2 or any(option.arg == "raw" for option in node.keywords)
            if node.func.id == "poly" and raw and not states.get(written(node)):
                continue
            state = states.get(written(node), {})
            fitted = needed <= state.keys() and all(
                isinstance(state[key], kind) for key, kind in _STATE_TYPES.items() if key in needed
            )
            if not fitted:
                raise DataError(f"the state of {written(node)!r}, computed from the fit's data, is missing")


class _NoTable:
    known: tuple[str, ...] = ()


_NO_DATA = Evaluator(_NoTable(), {})  # type: ignore[arg-type]


def options_of(node: ast.Call) -> dict[str, Any]:
    """The arguments of a transform after the first, by name; needs no data."""
    assert isinstance(node.func, ast.Name)
    return _NO_DATA.options(node.func.id, node, skip=1)


def _power(a: Any, b: Any) -> np.ndarray:
    # Powers of integers are computed in integers while the results are exact as doubles: a fast
    # floating-point power may be off by one unit in the last place.
    if isinstance(b, (int, float)) and float(b).is_integer() and 2 < b < 64 and isinstance(a, np.ndarray):
        largest = np.abs(a).max(initial=0.0)
        if largest ** float(b) < _EXACT and bool((a == np.floor(a)).all()):
            return (a.astype(np.int64) ** int(b)).astype(np.float64)
    return np.asarray(np.power(a, b), dtype=np.float64)
