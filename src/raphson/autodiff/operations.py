"""The elementary operations of written expressions: in NumPy, with their partial derivatives, and JAX's names for them.

A derivative is written with the same operations, so that it can be differentiated again. It has the digits of JAX's: a
test compares the two. Where it is not finite although the function is, JAX's rules for the ends of a domain are needed
(:mod:`raphson.model.replay.powers`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np


class Elementary(NamedTuple):
    """An elementary operation.

    Attributes
    ----------
    function : of NumPy arrays and numbers; the name of one in ``scipy.special``.
    partials : ``(graph, f, *operands) -> partial derivatives by each operand``, as places in the graph; None for 0.
    primitive : JAX's name of it, or of one that depends on its operands in the same way.
    exact : whether its result is not rounded.
    """

    function: Callable[..., Any] | str
    partials: Callable[..., tuple[Any, ...]] | None
    primitive: str
    exact: bool = False

    @property
    def in_numpy(self) -> Callable[..., Any]:
        """The function itself."""
        return _special(self.function) if isinstance(self.function, str) else self.function


@cache
def _special(name: str) -> Callable[..., Any]:
    from scipy import special

    return getattr(special, name)


def whole_power(a: Any, n: int) -> Any:
    """aⁿ by products, for small n; NumPy's own power takes a logarithm and an exponential."""
    if n == 3:
        return a * a * a
    if n == 4:
        square = a * a
        return square * square
    return np.power(a, float(n))


def log_or_0(a: Any) -> Any:
    """log a; 0 at a = 0, where the power it multiplies is 0 for every exponent near."""
    return np.log(np.where(a == 0, 1.0, a))


def reciprocal_or_0(a: Any) -> Any:
    """Its derivative: 1/a, and 0 at a = 0."""
    still = a == 0
    return np.where(still, 0.0, 1.0 / np.where(still, 1.0, a))


def first_chosen(a: Any, b: Any) -> Any:
    """1 where a is the chosen one of a and b, a half where they are equal, 0 elsewhere."""
    return np.where(a == b, 0.5, (a > b) * 1.0)


_LN2, _LN10 = math.log(2.0), math.log(10.0)
_SQRT_PI, _SQRT_2PI = math.sqrt(math.pi), math.sqrt(2.0 * math.pi)


def _divided(g: Any, f: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return g.divided(1.0, b), g.negative(g.divided(f, b))


def _powered(g: Any, f: Any, a: Any, b: Any) -> tuple[Any, ...]:
    n = g.number_of(b)
    if n is None:
        return g.product(b, g.power(a, g.difference(b, 1.0))), g.product(f, g.apply("log_or_0", a))
    if n == 0:
        return None, None
    return g.product(float(n), g.power(a, float(n) - 1.0)), None


def _angled(g: Any, f: Any, a: Any, b: Any) -> tuple[Any, ...]:
    squares = g.sum(g.product(a, a), g.product(b, b))
    return g.divided(b, squares), g.negative(g.divided(a, squares))


def _larger(g: Any, f: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return g.apply("first_chosen", a, b), g.apply("first_chosen", b, a)


def _smaller(g: Any, f: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return g.apply("first_chosen", b, a), g.apply("first_chosen", a, b)


def _gauss(g: Any, a: Any, factor: float, scale: float) -> Any:
    """factor · exp(−scale a²)."""
    return g.product(factor, g.apply("exp", g.product(-scale, g.product(a, a))))


def _ends(g: Any, a: Any) -> Any:
    """(1 − a)(1 + a)."""
    return g.product(g.difference(1.0, a), g.sum(1.0, a))


def _root(g: Any, inside: Any) -> Any:
    return g.divided(1.0, g.apply("sqrt", inside))


def _plain(name: str, partial: Callable[[Any, Any, Any], Any], primitive: str | None = None) -> Elementary:
    return Elementary(getattr(np, name), lambda g, f, a: (partial(g, f, a),), primitive or name)


def _scipy(name: str, partial: Callable[[Any, Any, Any], Any], primitive: str) -> Elementary:
    return Elementary(name, lambda g, f, a: (partial(g, f, a),), primitive)


def _steps(function: Callable[..., Any], primitive: str, exact: bool = True) -> Elementary:
    return Elementary(function, None, primitive, exact)


ELEMENTARY: dict[str, Elementary] = {
    "add": Elementary(np.add, lambda g, f, a, b: (1.0, 1.0), "add"),
    "subtract": Elementary(np.subtract, lambda g, f, a, b: (1.0, -1.0), "sub"),
    "multiply": Elementary(np.multiply, lambda g, f, a, b: (b, a), "mul"),
    "divide": Elementary(np.true_divide, _divided, "div"),
    "negative": Elementary(np.negative, lambda g, f, a: (-1.0,), "neg", exact=True),
    "power": Elementary(np.power, _powered, "pow"),
    "whole_power": Elementary(whole_power, _powered, "integer_pow"),
    "remainder": Elementary(np.mod, lambda g, f, a, b: (1.0, g.negative(g.apply("floor", g.divided(a, b)))), "rem"),
    "exp": _plain("exp", lambda g, f, a: f),
    "expm1": _plain("expm1", lambda g, f, a: g.sum(f, 1.0)),
    "log": _plain("log", lambda g, f, a: g.divided(1.0, a)),
    "log1p": _plain("log1p", lambda g, f, a: g.divided(1.0, g.sum(1.0, a))),
    "log10": _plain("log10", lambda g, f, a: g.divided(1.0 / _LN10, a), "log"),
    "log2": _plain("log2", lambda g, f, a: g.divided(1.0 / _LN2, a), "log"),
    "sqrt": _plain("sqrt", lambda g, f, a: g.divided(0.5, f)),
    "cbrt": _plain("cbrt", lambda g, f, a: g.divided(f, g.product(3.0, a))),
    "square": _plain("square", lambda g, f, a: g.product(2.0, a)),
    "sin": _plain("sin", lambda g, f, a: g.apply("cos", a)),
    "cos": _plain("cos", lambda g, f, a: g.negative(g.apply("sin", a))),
    "tan": _plain("tan", lambda g, f, a: g.sum(1.0, g.product(f, f))),
    "sinh": _plain("sinh", lambda g, f, a: g.apply("cosh", a)),
    "cosh": _plain("cosh", lambda g, f, a: g.apply("sinh", a)),
    "tanh": _plain("tanh", lambda g, f, a: _ends(g, f)),
    "arcsin": _plain("arcsin", lambda g, f, a: _root(g, _ends(g, a)), "asin"),
    "arccos": _plain("arccos", lambda g, f, a: g.negative(_root(g, _ends(g, a))), "acos"),
    "arctan": _plain("arctan", lambda g, f, a: g.divided(1.0, g.sum(1.0, g.product(a, a))), "atan"),
    "arcsinh": _plain("arcsinh", lambda g, f, a: _root(g, g.sum(1.0, g.product(a, a))), "asinh"),
    "arccosh": _plain("arccosh", lambda g, f, a: _root(g, g.product(g.difference(a, 1.0), g.sum(a, 1.0))), "acosh"),
    "arctanh": _plain("arctanh", lambda g, f, a: g.divided(1.0, _ends(g, a)), "atanh"),
    "abs": Elementary(np.abs, lambda g, f, a: (g.apply("sign", a),), "abs", exact=True),
    "arctan2": Elementary(np.arctan2, _angled, "atan2"),
    "hypot": Elementary(np.hypot, lambda g, f, a, b: (g.divided(a, f), g.divided(b, f)), "max"),
    "maximum": Elementary(np.maximum, _larger, "max", exact=True),
    "minimum": Elementary(np.minimum, _smaller, "min", exact=True),
    "where": Elementary(np.where, None, "select_n", exact=True),
    "sign": _steps(np.sign, "sign"),
    "floor": _steps(np.floor, "floor"),
    "ceil": _steps(np.ceil, "ceil"),
    "less": _steps(np.less, "lt"),
    "less_equal": _steps(np.less_equal, "le"),
    "greater": _steps(np.greater, "gt"),
    "greater_equal": _steps(np.greater_equal, "ge"),
    "equal": _steps(np.equal, "eq"),
    "not_equal": _steps(np.not_equal, "ne"),
    "first_chosen": _steps(first_chosen, "gt"),
    "log_or_0": _plain("log", lambda g, f, a: g.apply("reciprocal_or_0", a))._replace(function=log_or_0),
    "reciprocal_or_0": Elementary(reciprocal_or_0, lambda g, f, a: (g.negative(g.product(f, f)),), "div"),
    "erf": _scipy("erf", lambda g, f, a: _gauss(g, a, 2.0 / _SQRT_PI, 1.0), "erf"),
    "erfc": _scipy("erfc", lambda g, f, a: _gauss(g, a, -2.0 / _SQRT_PI, 1.0), "erfc"),
    "ndtr": _scipy("ndtr", lambda g, f, a: _gauss(g, a, 1.0 / _SQRT_2PI, 0.5), "erf"),
    "gammaln": _scipy("gammaln", lambda g, f, a: g.apply("digamma", a), "lgamma"),
    "gamma": _scipy("gamma", lambda g, f, a: g.product(f, g.apply("digamma", a)), "lgamma"),
    "digamma": _scipy("digamma", lambda g, f, a: g.apply("trigamma", a), "digamma"),
    "trigamma": Elementary(lambda a: _special("polygamma")(1, a), None, "polygamma"),
    "expit": _scipy("expit", lambda g, f, a: g.product(f, g.apply("expit", g.negative(a))), "logistic"),
    "logit": _scipy("logit", lambda g, f, a: g.divided(1.0, g.product(a, g.difference(1.0, a))), "log"),
}
"""Every operation by its name."""

KINKS = {"maximum": 2, "minimum": 2, "less": 2, "less_equal": 2, "greater": 2, "greater_equal": 2, "abs": 1, "sign": 1}
"""Operations that switch branches where their operand, or the difference of their two operands, passes through 0."""
