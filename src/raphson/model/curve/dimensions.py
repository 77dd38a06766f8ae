"""Dimensional analysis of a traced curve: the dimension of each parameter, which gives the scale of its values.

Physical quantities can be added only if they have the same dimension, and an exponential takes a pure number. Applied
to the operations of ``top*exp(-((x - centre)/width)**2)``, these rules give centre and width the dimension of x, and
top that of y; in ``exp(-rate*x)`` the rate has that of 1/x. They are linear equations in the exponents (Buckingham
1914, Physical Review 4, 345). An exponent that they do not determine is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from raphson.autodiff.walk import walk
from raphson.compat import name_of
from raphson.linalg import DEPENDENT

Exponents = dict[Any, float]
"""The dimension of a value, as a sum of unknown exponents (of parameters, by number) and known units (by name)."""

_SAME = frozenset(["add", "add_any", "sub", "max", "min", "concatenate", "rem", "clamp", "nextafter"])
_COMPARED = frozenset(["lt", "le", "gt", "ge", "eq", "ne", "atan2"])
_PURE = frozenset(
    [
        *("exp", "exp2", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "logistic", "erf"),
        *("erfc", "erf_inv", "asin", "acos", "atan", "asinh", "acosh", "atanh", "lgamma", "digamma"),
    ]
)
_PASSED = frozenset(
    [
        *("neg", "abs", "copy", "copy_p", "convert_element_type", "broadcast_in_dim", "reshape", "squeeze"),
        *("expand_dims", "transpose", "rev", "slice", "reduce_sum", "reduce_max", "reduce_min", "cumsum", "real"),
        *("stop_gradient", "gather", "dynamic_slice", "device_put", "split", "floor", "ceil", "round"),
    ]
)
_POWERS = {"square": 2.0, "sqrt": 0.5, "rsqrt": -0.5, "cbrt": 1.0 / 3.0}


class Known(NamedTuple):
    """What is known about a value of the traced curve.

    Attributes
    ----------
    exponents : its dimension; None for a zero, which fits any.
    constant : its value, if it is a constant number.
    """

    exponents: Exponents | None
    constant: float | None = None


PURE = Known({})


@dataclass(frozen=True)
class Dimensions:
    """Dimensions of the parameters.

    Attributes
    ----------
    exponents : (p, d + 1): powers of the d covariates' scales, and of the response's in the last column.
    position : (p, d) sign of a parameter that is subtracted from a covariate (−1 if it is added to it), 0 for others.
    """

    exponents: np.ndarray
    position: np.ndarray


@dataclass
class _Equations:
    """The equations collected while the curve is traversed."""

    n_params: int
    rows: list[Exponents] = field(default_factory=list)
    positions: dict[tuple[int, int], int] = field(default_factory=dict)
    fresh: int = 0

    def unknown(self) -> Known:
        self.fresh += 1
        return Known({self.n_params + self.fresh - 1: 1.0})

    def equal(self, a: Exponents, b: Exponents) -> None:
        self.rows.append(_sum(a, b, -1.0))

    def note_position(self, name: str, given: Sequence[Known]) -> None:
        """Record a parameter that is added to or subtracted from a covariate itself."""
        for one, other in (given, given[::-1]) if len(given) == 2 else ():
            j, k = _alone(one.exponents), _alone(other.exponents)
            if isinstance(j, int) and j < self.n_params and isinstance(k, str):
                self.positions[j, int(k)] = 1 if name == "sub" else -1


def dimensions(jaxpr: Any, parameters: Sequence[int | None], n_covariates: int) -> Dimensions:
    """The dimensions of a traced curve's parameters.

    Parameters
    ----------
    jaxpr : closed jaxpr of one output.
    parameters : for each flat input, the number of its parameter, or None for a covariate; covariates are numbered in
        their order.
    n_covariates : d.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.autodiff.trace import trace
    >>> traced = trace(lambda top, rate, x: top * jnp.exp(-rate * x), 1.0, 1.0, 1.0)
    >>> dimensions(traced.jaxpr, [0, 1, None], 1).exponents.round(6).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    numbers = [j for j in parameters if j is not None]
    equations = _Equations(len(numbers))
    inputs, covariate = [], 0
    for j in parameters:
        if j is None:
            inputs.append(Known({str(covariate): 1.0}))
            covariate += 1
        else:
            inputs.append(Known({j: 1.0}))

    def visit(equation: Any, given: list[Known], site: Any) -> list[Known]:
        return [_result(equation, given, equations)] * len(equation.outvars)

    for output in walk(jaxpr, inputs, visit, lift=_lifted):
        if output.exponents is not None:
            equations.equal(output.exponents, {str(n_covariates): 1.0})
    return Dimensions(_solved(equations, n_covariates + 1), _positions(equations, n_covariates))


def _lifted(constant: Any) -> Known:
    values = np.asarray(constant)
    if values.dtype.kind in "fiu" and values.size and not values.any():
        return Known(None, 0.0)
    return Known({}, float(values) if values.dtype.kind in "fiu" and values.size == 1 else None)


def _result(equation: Any, given: list[Known], equations: _Equations) -> Known:
    name = name_of(equation)
    known = [one.exponents for one in given if one.exponents is not None]
    if name == "select_n":
        given, name = given[1:], "max"
        known = [one.exponents for one in given if one.exponents is not None]
    if name in _SAME or name in _COMPARED:
        if name in ("add", "sub"):
            equations.note_position(name, given)
        for other in known[1:]:
            equations.equal(known[0], other)
        return PURE if name in _COMPARED or not known else Known(known[0])
    if name in _PURE:
        for one in known:
            equations.equal(one, {})
        return PURE
    if name in _PASSED:
        return Known(given[0].exponents)
    if name in ("mul", "dot_general", "div"):
        if len(known) < 2:
            return Known(None, 0.0)
        return Known(_sum(known[0], known[1], -1.0 if name == "div" else 1.0))
    if name == "integer_pow":
        return Known(_sum({}, known[0] if known else {}, float(equation.params["y"])))
    if name in _POWERS:
        return Known(_sum({}, known[0] if known else {}, _POWERS[name]))
    if name == "pow":
        base, power = given
        if power.constant is not None:
            return Known(_sum({}, base.exponents or {}, power.constant))
        equations.equal(power.exponents or {}, {})
        return equations.unknown() if base.exponents else PURE
    return PURE if name in ("sign", "iota", "and", "or", "not", "is_finite") else equations.unknown()


def _sum(a: Exponents, b: Exponents, factor: float) -> Exponents:
    out = dict(a)
    for key, value in b.items():
        out[key] = out.get(key, 0.0) + factor * value
    return {key: value for key, value in out.items() if value}


def _alone(exponents: Exponents | None) -> int | str | None:
    """The single parameter or unit whose dimension this is; None if it is composed of several."""
    if exponents is None or len(exponents) != 1:
        return None
    ((key, value),) = exponents.items()
    return key if value == 1.0 else None


def _solved(equations: _Equations, n_units: int) -> np.ndarray:
    """The least squares solution of minimum norm, a compromise for a curve that breaks the rules."""
    p, size = equations.n_params, equations.n_params + equations.fresh
    rows = [row for row in equations.rows if any(isinstance(key, int) for key in row)]
    A, B = np.zeros((len(rows), size)), np.zeros((len(rows), n_units))
    for i, row in enumerate(rows):
        for key, value in row.items():
            if isinstance(key, int):
                A[i, key] = value
            else:
                B[i, int(key)] = -value
    if not rows:
        return np.zeros((p, n_units))
    return np.linalg.lstsq(A, B, rcond=DEPENDENT)[0][:p]


def _positions(equations: _Equations, d: int) -> np.ndarray:
    out = np.zeros((equations.n_params, d))
    for (j, k), sign in equations.positions.items():
        out[j, k] = sign
    return out
