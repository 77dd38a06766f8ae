"""Which operations of a traced function may meet a 0 or an infinity that does not depend on the parameters.

At x = 0 the base x/c of a power is 0 whatever c is, and so is that of (1 − exp(−k x))^p. The analysis tracks through
the operations whether a value may, in some row, be *still* (the same whatever the parameters are), and whether it may
be 0 there, or infinite. Such operations are replaced by the functions of :mod:`raphson.model.replay.powers`. Others,
such as a division by K + x or a power of a parameter alone, are left as they are: where a parameter reaches the edge of
the region in which a curve is defined, its derivative is not finite, and the search steps back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from raphson.autodiff.walk import walk
from raphson.compat import CUSTOM, closed, is_literal, name_of, parts_of

Marks = dict[int, Any]
"""For each operation to be replaced, by its number in the order of :func:`walk`: which of its operands may be infinite;
or, where it contains functions with such operations, their marks, one for each function."""

POWERS = ("pow", "sqrt", "cbrt", "rsqrt", "integer_pow", "square")

ADDITIVE = frozenset(
    [
        *("add", "add_any", "sub", "neg", "reduce_sum", "cumsum", "copy", "copy_p", "convert_element_type"),
        *("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev", "slice", "concatenate", "pad"),
        *("split", "stack", "mul", "real", "device_put"),
    ]
)
"""Operations whose result is infinite where their operand is."""

NEVER_ZERO = frozenset(["exp", "exp2", "logistic", "cosh"])
"""Functions that are 0 only at infinity."""

PICKS = frozenset(["gather", "dynamic_slice"])

CHOICES = PICKS | frozenset(["max", "min", "clamp", "select_n", "concatenate", "stack"])
"""Operations whose result is one of their operands."""


class Value(NamedTuple):
    """What is known about a value.

    Attributes
    ----------
    moves : whether it depends on the parameters at all.
    still : whether there may be rows in which it does not depend on them.
    zero : whether it may be 0 there.
    infinite : operations to replace if it is infinite somewhere and the output is finite; empty where it cannot be
        infinite.
    sign : 1 or -1 if all of it has that sign, 0 if unknown.
    """

    moves: bool
    still: bool
    zero: bool
    infinite: frozenset[int] = frozenset()
    sign: int = 0


PARAMETER = Value(True, False, False)
DATA = Value(False, True, True)
CONSTANT = Value(False, True, False, sign=1)

SIGNED = frozenset(["broadcast_in_dim", "reshape", "squeeze", "slice", "convert_element_type", "copy", "copy_p"])
"""Operations that preserve the sign."""


def still_operations(jaxpr: Any, n_leaves: int, n_constants: int = 0) -> Marks:
    """The operations to replace in a traced function f(parameter leaves..., data..., constants...).

    Constants are positive numbers.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.autodiff.trace import trace
    >>> stretched = trace(lambda tau, beta, t: jnp.exp(-((t / tau) ** beta)), 1.0, 1.0, 1.0)
    >>> sorted(still_operations(stretched.jaxpr, 2))  # the power, and the exponential: of −∞, if β < 0
    [1, 3]
    >>> still_operations(trace(lambda top, half, x: top * x / (half + x), 1.0, 1.0, 1.0).jaxpr, 2)
    {}
    """
    n_data = len(parts_of(jaxpr).inputs) - n_leaves - n_constants
    inputs = [PARAMETER] * n_leaves + [DATA] * n_data + [CONSTANT] * n_constants
    return _Analysis(eager=False).of(jaxpr, inputs)[0]


class _Analysis:
    """A pass through one function. If `eager`, it marks what may be infinite even where the output may be so too."""

    def __init__(self, eager: bool) -> None:
        self.eager = eager
        self.marks: Marks = {}
        self.candidates: Marks = {}
        self.number = -1

    def of(self, jaxpr: Any, inputs: Sequence[Value]) -> tuple[Marks, list[Value]]:
        outputs = walk(jaxpr, inputs, self._visit, _constant, keep=CUSTOM)
        return self.marks, outputs

    def _visit(self, equation: Any, given: list[Value], site: Any) -> list[Value]:
        self.number += 1
        name = name_of(equation)
        if name == "div":
            self._confirm(given[1:])
        elif name not in ADDITIVE:
            self._confirm(given)
        if name in _NESTED:
            marks, outputs = _NESTED[name](equation.params, given)
            if any(marks):
                self.marks[self.number] = marks
            return outputs
        found = _elementary(name, equation, given)
        infinite = frozenset().union(*found.infinite)
        moves = any(one.moves for one in given)
        if found.replaced is not None and moves:
            for_certain = found.replaced or self.eager
            (self.marks if for_certain else self.candidates)[self.number] = tuple(bool(one.infinite) for one in given)
        if found.ends:
            infinite |= frozenset([self.number])
        sign = -given[0].sign if name == "neg" else given[0].sign if name in SIGNED else 0
        return [Value(moves, found.still, found.zero, infinite, sign)] * len(equation.outvars)

    def _confirm(self, given: Sequence[Value]) -> None:
        """Mark the operations behind infinite values among these, because the result may be finite."""
        for number in frozenset().union(*(one.infinite for one in given)):
            if number in self.candidates:
                self.marks[number] = self.candidates[number]


class _Found(NamedTuple):
    """The result of an operation.

    Attributes
    ----------
    still, zero : as for a value.
    infinite : those of its operands that it passes on.
    ends : whether it may be infinite where its operands are not.
    replaced : True if it is replaced; False if only where the output is finite all the same; None if it is not.
    """

    still: bool
    zero: bool
    infinite: Sequence[frozenset[int]]
    ends: bool = False
    replaced: bool | None = None


def _elementary(name: str, equation: Any, given: Sequence[Value]) -> _Found:
    first, last = given[0] if given else DATA, given[-1] if given else DATA
    infinite = [one.infinite for one in given]
    still, zero, any_infinite = all(one.still for one in given), any(one.zero for one in given), any(infinite)
    if name in POWERS:
        exponent = _exponent(equation, last)
        whole = name in ("integer_pow", "square")
        reciprocal = not exponent > 0
        meets = any_infinite or (first.zero and (reciprocal or not whole))  # a², a³, … are smooth at 0
        ends = first.zero and reciprocal
        return _Found(first.still or still, first.zero or any_infinite, infinite, ends, True if meets else None)
    if name in ("mul", "dot_general"):
        # Where the factor of an infinity does not move, the product has the derivative of the infinity.
        moved = name == "mul" and ((first.infinite and last.moves) or (last.infinite and first.moves))
        return _Found(still or zero, zero, infinite, bool(moved), False if moved else None)
    if name == "div":
        ends = last.zero or bool(first.infinite and last.moves)
        vanishes = first.zero or bool(last.infinite)
        return _Found(
            still or vanishes, vanishes, infinite[:1], ends, True if last.infinite else False if ends else None
        )
    if name in ("log", "log1p") and zero:
        return _Found(still, True, infinite, True, False)
    if name in NEVER_ZERO:
        return _Found(still or any_infinite, any_infinite, infinite, any_infinite, True if any_infinite else None)
    if name == "atan":
        return _Found(still, still and zero, infinite, False, True if any_infinite else None)
    if name == "abs":
        return _Found(True, True, infinite)
    if name in CHOICES:
        chosen = given[1:] if name == "select_n" else given[:1] if name in PICKS else given
        return _Found(any(one.still for one in chosen), any(one.zero for one in chosen), infinite)
    return _Found(still, still and (zero or name not in ADDITIVE or len(given) > 1), infinite)


def _exponent(equation: Any, value: Value) -> float:
    """The exponent of a power if it is a literal number; 1 or -1 if only its sign is known, otherwise NaN."""
    name = name_of(equation)
    if name == "pow":
        exponent = equation.invars[1]
        return float(exponent.val) if is_literal(exponent) else value.sign or np.nan
    return {"integer_pow": equation.params.get("y", 0), "square": 2.0}.get(name, -0.5)


def _constant(value: Any) -> Value:
    try:
        known = np.asarray(value)
    except Exception:  # a traced value without numbers
        return DATA
    if known.dtype.kind not in "fiu":
        return Value(False, True, False)
    infinite = bool(np.isinf(known).any())
    return Value(False, True, bool((known == 0).any()), frozenset([-1]) if infinite else frozenset())


# --- functions inside operations ------------------------------------------------------------------------


def _either(a: Value, b: Value) -> Value:
    return Value(a.moves or b.moves, a.still or b.still, a.zero or b.zero, a.infinite | b.infinite)


def _outside(value: Value) -> Value:
    """A value as it enters or leaves a function, whose operations are numbered separately."""
    return value._replace(infinite=frozenset([-1]) if value.infinite else frozenset())


def _inside(jaxpr: Any, inputs: Sequence[Value]) -> tuple[Marks, list[Value]]:
    marks, outputs = _Analysis(eager=True).of(closed(jaxpr), [_outside(one) for one in inputs])
    return marks, [_outside(one) for one in outputs]


def _repeated(
    jaxpr: Any, constants: Sequence[Value], carried: Sequence[Value], others: Sequence[Value] = ()
) -> tuple[Marks, list[Value]]:
    """A function applied repeatedly to its own results, until they no longer change."""
    carried = [_outside(one) for one in carried]
    while True:
        marks, outputs = _inside(jaxpr, [*constants, *carried, *others])
        joined = [_either(a, b) for a, b in zip(carried, outputs[: len(carried)], strict=True)]
        if joined == carried:
            return marks, [*carried, *outputs[len(carried) :]]
        carried = joined


def _scan(p: dict[str, Any], given: Sequence[Value]) -> tuple[tuple[Marks, ...], list[Value]]:
    a, b = p["num_consts"], p["num_consts"] + p["num_carry"]
    marks, outputs = _repeated(p["jaxpr"], given[:a], given[a:b], given[b:])
    return (marks,), outputs


def _while(p: dict[str, Any], given: Sequence[Value]) -> tuple[tuple[Marks, ...], list[Value]]:
    a, b = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
    marks, outputs = _repeated(p["body_jaxpr"], given[a:b], given[b:])
    return (marks,), outputs


def _cond(p: dict[str, Any], given: Sequence[Value]) -> tuple[tuple[Marks, ...], list[Value]]:
    found = [_inside(branch, given[1:]) for branch in p["branches"]]
    outputs = [outputs for _, outputs in found]
    joined = outputs[0]
    for more in outputs[1:]:
        joined = [_either(a, b) for a, b in zip(joined, more, strict=True)]
    return tuple(marks for marks, _ in found), joined


_NESTED: dict[str, Callable[[dict[str, Any], Sequence[Value]], tuple[tuple[Marks, ...], list[Value]]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}
