r"""Taylor expansions of any order in several variables, exact or by finite differences.

f(a + d) = Σ_k (1/k!) D^k f(a)[d, ..., d] = Σ_α (1/α!) ∂^α f(a) d^α + O(|d|^(order + 1)).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import Any, get_args

import numpy as np

from raphson.autodiff.derivatives import Point, name_of
from raphson.autodiff.sweeps import differentiating
from raphson.autodiff.trace import readable_errors, warn_of_single_precision
from raphson.choices import Derivatives
from raphson.compat import jax, jnp
from raphson.errors import DataError, ModelError, check_choice

_LARGEST = 10_000_000
"""Derivatives of an expansion at most: they take 80 MB."""


class TaylorExpansion:
    """The Taylor polynomial of a function at a point; call it like the function.

    Attributes
    ----------
    name : str
        The function's name.
    at : ndarray, (p,)
        The point, all arguments in one vector.
    order : int
    variables : tuple of str
        Names of the p coordinates.
    derivatives : tuple of ndarray
        D^k f, k = 0 ... order, with shape (f's shape) + (p,) * k.

    Examples
    --------
    >>> import raphson as rp
    >>> import jax.numpy as jnp
    >>> expansion = rp.autodiff.taylor(jnp.exp, 0.0, 3)
    >>> print(expansion)
    exp ≈ 1 + 1·x + 0.5·x^2 + 0.166667·x^3
    about x = 0; the remainder is of order 4
    """

    def __init__(self, point: Point, derivatives: tuple[np.ndarray, ...]) -> None:
        self.name = point.name
        self.at = point.vector
        self.order = len(derivatives) - 1
        self.derivatives = derivatives
        self.variables = tuple(variables(point))
        self._point = point

    @property
    def coefficients(self) -> dict[tuple[int, ...], Any]:
        """∂^α f/α! by multi-index α (the order in each coordinate)."""
        result = {}
        p = len(self.at)
        for k, tensor in enumerate(self.derivatives):
            for place in combinations_with_replacement(range(p), k):
                times = Counter(place)
                share = prod(factorial(count) for count in times.values())
                result[tuple(times[j] for j in range(p))] = (tensor[(..., *place)] / share)[()]
        return result

    def __call__(self, *args: Any) -> Any:
        """Evaluate the polynomial.

        If the argument is one number, it may also be an array of points; the result is (points' shape) + (f's shape).
        """
        if len(self.at) == 1 and self._point.shapes == [()] and self._point.alone and np.ndim(args[0]) > 0:
            away = np.asarray(args[0], dtype=float) - self.at[0]
            shape = self.derivatives[0].shape
            away = away.reshape(away.shape + (1,) * len(shape))
            total = np.zeros(np.broadcast_shapes(away.shape, shape))
            for k in range(self.order, -1, -1):
                total = total * away + self.derivatives[k].reshape(shape) / factorial(k)
            return total
        there = Point(self, args, self.name)
        if there.shapes != self._point.shapes or there.tree != self._point.tree:
            raise DataError(
                f"the expansion of {self.name}: expected arguments shaped like those of its point; got other shapes"
            )
        away = there.vector - self.at
        total = np.array(self.derivatives[0])
        for k in range(1, self.order + 1):
            part = self.derivatives[k]
            for _ in range(k):
                part = part @ away
            total = total + part / factorial(k)
        return total[()]

    def __str__(self) -> str:
        shape = self.derivatives[0].shape
        coefficients = self.coefficients
        lines = []
        places = list(np.ndindex(*shape))
        for place in places[:6]:
            label = self.name + (str(list(place)) if place else "")
            lines.append(f"{label} ≈ {self._polynomial({k: v[place] for k, v in coefficients.items()})}")
        if len(places) > 6:
            lines.append(f"... and {len(places) - 6} more")
        point = ", ".join(f"{v} = {x:.6g}" for v, x in zip(self.variables[:6], self.at, strict=False))
        more = ", ..." if len(self.at) > 6 else ""
        return "\n".join([*lines, f"about {point}{more}; the remainder is of order {self.order + 1}"])

    def __repr__(self) -> str:
        return str(self)

    def _polynomial(self, coefficients: dict[tuple[int, ...], float]) -> str:
        terms: list[str] = []
        for times, coefficient in coefficients.items():
            if coefficient == 0.0 and any(times):
                continue
            away = [
                (f"{v}" if x == 0 else f"({v} {'-' if x > 0 else '+'} {abs(x):.6g})") + (f"^{m}" if m > 1 else "")
                for v, x, m in zip(self.variables, self.at, times, strict=True)
                if m
            ]
            text = "·".join([f"{abs(coefficient):.6g}", *away])
            sign = "-" if coefficient < 0 else "+"
            terms.append(f" {sign} {text}" if terms else ("-" if sign == "-" else "") + text)
            if len(terms) == 20:
                return "".join(terms) + " + ..."
        return "".join(terms)


def taylor(f: Callable[..., Any], at: Any, order: int, *, method: Derivatives = "exact") -> TaylorExpansion:
    """Expand a function about a point.

    Parameters
    ----------
    f : callable
        f(x) -> a number or an array. With ``method="exact"`` written with ``jax.numpy``.
    at : number, array, dict of arrays, or tuple
        The point. A tuple holds several arguments, ``f(*at)``.
    order : int
        The highest order, at least 0.
    method : {"exact", "finite"}
        Repeated automatic differentiation, or finite differences (accurate up to an order of about 4).

    Returns
    -------
    TaylorExpansion
        Call it like f. ``derivatives`` has the tensors of all orders; it prints as a polynomial.

    Raises
    ------
    ModelError
        If f cannot be traced or differentiated, or the tensors would be too large.

    References
    ----------
    Griewank and Walther (2008), Evaluating Derivatives, chapter 13; for one variable by
    ``jax.experimental.jet`` where it knows all operations.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> expansion = taylor(jnp.exp, 0.0, 4)
    >>> print(expansion)
    exp ≈ 1 + 1·x + 0.5·x^2 + 0.166667·x^3 + 0.0416667·x^4
    about x = 0; the remainder is of order 5
    >>> round(float(expansion(0.1)), 9)
    1.105170833
    """
    check_choice("method", method, get_args(Derivatives))
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 0:
        raise ModelError(f"order: expected a whole number, 0 or more; got {order!r}")
    point = Point(f, at if isinstance(at, tuple) else (at,), name_of(f))
    if point.size ** int(order) > _LARGEST:
        raise ModelError(
            f"order: {order} means {point.size}^{order} derivatives in {point.size} variables; lower it, or expand "
            f"along "
            "a line, t -> f(a + t d)"
        )
    if method == "finite":
        value = point.evaluate()
        derivatives = [_array(value, point.name)] + [point.differentiate(k) for k in range(1, order + 1)]
    else:
        derivatives = _exact(point, int(order))
    return TaylorExpansion(point, tuple(np.asarray(one) for one in derivatives))


def _exact(point: Point, order: int) -> list[np.ndarray]:
    with differentiating(), readable_errors(point.name):
        shape = jax.eval_shape(of_vector(point), point.vector)
        _array(shape, point.name)
        warn_of_single_precision(jax.make_jaxpr(of_vector(point))(point.vector), point.name)
        if point.size == 1 and order > 1:
            # jet does not support every operation; any other error is raised again below.
            with suppress(Exception):
                series = _one_variable(point, order)
                if all(np.isfinite(one).all() for one in series):
                    return series

        def tensors(vector: Any) -> list[Any]:
            functions = [of_vector(point)]
            for _ in range(order):
                functions.append(jax.jacfwd(functions[-1]))
            return [function(vector) for function in functions]

        return [np.asarray(one) for one in jax.jit(tensors)(point.vector)]


def _one_variable(point: Point, order: int) -> list[np.ndarray]:
    """All derivatives at once, by propagating the truncated series through each operation."""
    from jax.experimental.jet import jet

    function = of_vector(point)

    def series(x: Any) -> Any:
        along = [np.ones(1)] + [np.zeros(1)] * (order - 1)
        value, terms = jet(function, (x,), (along,))
        return [value, *terms]

    found = [np.asarray(one) for one in jax.jit(series)(point.vector)]
    return [one.reshape(one.shape + (1,) * k) for k, one in enumerate(found)]


def of_vector(point: Point) -> Callable[[Any], Any]:
    """f as a traced function of the vector of all arguments."""

    def called(vector: Any) -> Any:
        ends = np.cumsum([int(np.prod(shape)) for shape in point.shapes])[:-1]
        parts = jnp.split(vector, ends)
        structure = point.chosen([part.reshape(shape) for part, shape in zip(parts, point.shapes, strict=True)])
        return point.f(structure) if point.alone else point.f(*structure)

    return called


def _array(result: Any, name: str) -> np.ndarray:
    leaves = jax.tree_util.tree_leaves(result)
    if len(leaves) != 1:
        raise ModelError(
            f"{name}: expected one number or one array as its result; got {len(leaves)} results. Expand them one by one"
        )
    return leaves[0]


def variables(point: Point) -> list[str]:
    """Names of the coordinates."""
    names = []
    for name, shape in zip(point.names, point.shapes, strict=True):
        names += [name if not shape else f"{name}[{', '.join(map(str, place))}]" for place in np.ndindex(*shape)]
    return names
