"""Gradients, Jacobians, Hessians and Hessian-vector products of any function, exact or by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from raphson.autodiff import finite
from raphson.autodiff.sweeps import differentiating
from raphson.autodiff.trace import flat, readable_errors, warn_of_single_precision
from raphson.choices import Derivatives
from raphson.compat import jax
from raphson.errors import DataError, ModelError, check_choice
from raphson.numeric import x64

Function = Callable[..., Any]


def gradient(f: Function, *, method: Derivatives = "exact") -> Function:
    """The gradient ∇f of a function whose result is one number.

    Parameters
    ----------
    f : callable
        ``f(*args)`` -> a number. The arguments are numbers, arrays, or dicts, lists and tuples of them.
    method : {"exact", "finite"}
        Automatic differentiation of an f written with ``jax.numpy``, or finite differences of any f, with steps
        chosen from the noise of f; :func:`finite_difference` also gives their error.

    Returns
    -------
    callable
        Takes f's arguments; returns NumPy numbers and arrays shaped like the argument, or a tuple for several
        arguments.

    Raises
    ------
    ModelError
        If f cannot be traced, has an operation without a derivative, or returns anything but one number.
    DataError
        If an argument is not made of real numbers.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> gradient(lambda x: jnp.sum(x**3))(np.array([1.0, 2.0]))
    array([ 3., 12.])
    >>> import math
    >>> round(float(gradient(math.lgamma, method="finite")(3.0)), 10)  # written without jax
    0.9227843351
    """
    return _of_scalar(f, method, "grad", lambda point: point.rebuild_columns(point.differentiate(1), ()))


def jacobian(f: Function, *, method: Derivatives = "exact") -> Function:
    """The Jacobian ∂f/∂x of a function whose result is an array, or a structure of arrays.

    Parameters
    ----------
    f, method
        As in :func:`gradient`.

    Returns
    -------
    callable
        Takes f's arguments; returns an array of shape (f's shape) + (the argument's shape). For structures it returns
        the structure of f's result, whose leaves have the structure of the argument, or a tuple for several arguments.

    Raises
    ------
    ModelError, DataError
        As in :func:`gradient`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> jacobian(lambda x: jnp.stack([x[0] * x[1], x[0] ** 2]))(np.array([2.0, 3.0]))
    array([[3., 2.],
           [4., 0.]])
    """
    _check(method)
    name = name_of(f)

    def at(*args: Any) -> Any:
        point = Point(f, args, name)
        if method == "exact":
            return exact(point)
        result = point.evaluate()
        leaves, tree = jax.tree_util.tree_flatten(result)
        whole = point.differentiate(1)
        ends = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]
        parts = [
            point.rebuild_columns(part.reshape(*np.shape(leaf), -1), np.shape(leaf))
            for part, leaf in zip(np.split(whole.reshape(-1, point.size), ends), leaves, strict=True)
        ]
        return jax.tree_util.tree_unflatten(tree, parts)

    def derive(called: Function) -> Function:
        def choose(point: Any) -> Any:
            inputs = sum(leaf.size for leaf in jax.tree_util.tree_leaves(point))
            results = jax.tree_util.tree_leaves(jax.eval_shape(called, point))
            wide = inputs > sum(leaf.size for leaf in results)
            return (jax.jacrev if wide else jax.jacfwd)(called)(point)

        return choose

    exact = Exact(derive, name)
    return at


def hessian(f: Function, *, method: Derivatives = "exact") -> Function:
    """The Hessian ∂²f/∂x∂xᵀ of a function whose result is one number.

    Parameters
    ----------
    f, method
        As in :func:`gradient`. Finite differences give about 10 correct digits.

    Returns
    -------
    callable
        Takes f's arguments; returns an array with the argument's shape twice. For structures and several arguments
        it returns their structure, whose leaves have that structure again.

    Raises
    ------
    ModelError, DataError
        As in :func:`gradient`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return _of_scalar(f, method, "hessian", lambda point: point.rebuild_square(point.differentiate(2)))


def _of_scalar(f: Function, method: str, kind: str, by_differences: Callable[[Point], Any]) -> Function:
    """JAX's derivative of this kind of a function with one number as its result, or that by differences."""
    _check(method)
    name = name_of(f)

    def at(*args: Any) -> Any:
        point = Point(f, args, name)
        if method == "finite":
            point.scalar()
            return by_differences(point)
        return exact(point)

    def derive(called: Function) -> Function:
        return getattr(jax, kind)(_scalar(called, name))

    exact = Exact(derive, name)
    return at


def hvp(f: Function, *, method: Derivatives = "exact") -> Function:
    """The product H v of f's Hessian with a vector; if exact, without forming the Hessian.

    Parameters
    ----------
    f, method
        As in :func:`gradient`.

    Returns
    -------
    callable
        ``hvp(f)(*args, v)``: v and the product are shaped like the argument, or are tuples for several arguments.

    Raises
    ------
    ModelError, DataError
        As in :func:`gradient`; also if v is not shaped like the arguments.

    References
    ----------
    Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> hvp(lambda x: jnp.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([6., 0.])
    """
    _check(method)
    name = name_of(f)

    def at(*args: Any) -> Any:
        if len(args) < 2:
            raise ModelError(f"hvp({name}): expected {name}'s arguments and a direction v shaped like them; pass both")
        point = Point(f, args[:-1], name)
        direction = Point(f, args[-1] if len(args) > 2 else (args[-1],), name)
        if point.tree != direction.tree or point.shapes != direction.shapes:
            raise DataError(
                f"hvp({name}): expected a direction v shaped like the argument (shapes {_listed(point.shapes)}); got "
                f"shapes {_listed(direction.shapes)}"
            )
        if method == "finite":
            point.scalar()
            return point.rebuild_columns(point.differentiate(2) @ direction.vector, ())
        return exact(point, direction.structure)

    def derive(called: Function) -> Function:
        slope = jax.grad(_scalar(called, name))
        return lambda point, direction: jax.jvp(slope, (point,), (direction,))[1]

    exact = Exact(derive, name)
    return at


def finite_difference(f: Function, x: Any, *, order: int = 1, **options: Any) -> finite.FiniteDifference:
    """Differentiate a function by finite differences, with an estimate of their error.

    Parameters
    ----------
    f : callable
        f(x) -> a number or an array, for arguments shaped like x.
    x : number or array
    order : int
        1 for the gradient or Jacobian, 2 for the Hessian, and so on.
    **options
        ``scale``, ``bounds``, ``noise``: see :func:`raphson.autodiff.finite.jacobian`.

    Returns
    -------
    FiniteDifference
        ``value`` (f's shape, then x's shape ``order`` times), ``error`` of each element, ``step`` of each
        coordinate, ``noise`` of f's results and ``evaluations``.

    Raises
    ------
    ModelError
        If f fails, or is not finite at x.

    Examples
    --------
    >>> import math
    >>> found = finite_difference(math.exp, 1.0)
    >>> abs(float(found.value) - math.e) < float(found.error) < 1e-11
    True
    """
    point = Point(f, (x,), name_of(f))
    found = point.finite(order, **options)
    shape = point.shapes[0] if len(point.shapes) == 1 else (point.size,)

    def shaped(values: np.ndarray) -> np.ndarray:
        lead = values.shape[: values.ndim - order]
        return values.reshape(lead + shape * order)[()]

    return finite.FiniteDifference(
        shaped(found.value), shaped(found.error), found.step.reshape(shape)[()], found.noise[()], found.evaluations
    )


class Point:
    """Conversion of a function's arguments to one vector and back."""

    def __init__(self, f: Function, args: Any, name: str) -> None:
        self.name = name
        self.f = f
        if len(args) == 0:
            raise ModelError(f"{name}: expected at least one argument to differentiate with respect to; got none")
        names, values, self.tree = flat(f, args, {}, name)
        self.names = names
        self.values = [np.asarray(value, dtype=float) for value in values]
        self.shapes = [value.shape for value in self.values]
        self.vector = np.concatenate([value.ravel() for value in self.values] or [np.zeros(0)])
        self.size = len(self.vector)
        self.alone = len(args) == 1

    @property
    def structure(self) -> Any:
        """The argument, or the tuple of them, with arrays of doubles as leaves."""
        return self.chosen(self.values)

    def chosen(self, leaves: Any) -> Any:
        """The leaves in the structure of the argument, or of the tuple of arguments."""
        arguments, _ = jax.tree_util.tree_unflatten(self.tree, leaves)
        return arguments[0] if self.alone else arguments

    def _split(self, vector: np.ndarray) -> list[np.ndarray]:
        parts = np.split(vector, np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def at(self, vector: np.ndarray) -> Any:
        """Evaluate f at another point, given as a vector; call it in the 64-bit scope."""
        structure = self.chosen([leaf[()] for leaf in self._split(vector)])
        return self.f(structure) if self.alone else self.f(*structure)

    def evaluate(self) -> Any:
        """Evaluate f at this point, with NumPy leaves."""
        with x64(), readable_errors(self.name):
            return jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, dtype=float), self.at(self.vector))

    def scalar(self) -> None:
        """Raise a ModelError unless f returns one number."""
        _check_scalar(self.evaluate(), self.name)

    def flat_function(self) -> Callable[[np.ndarray], np.ndarray]:
        """f as a function from a vector to an array: its only leaf, or all leaves as one vector."""

        def called(vector: np.ndarray) -> np.ndarray:
            with x64():
                leaves = [np.asarray(leaf, float) for leaf in jax.tree_util.tree_leaves(self.at(vector))]
            return leaves[0] if len(leaves) == 1 else np.concatenate([leaf.ravel() for leaf in leaves])

        return called

    def finite(self, order: int, **options: Any) -> finite.FiniteDifference:
        """Differentiate by finite differences with respect to the vector."""
        with readable_errors(self.name):
            here = self.flat_function()
            if not np.isfinite(here(self.vector)).all():
                raise ModelError(
                    f"{self.name}: it is not finite at the point, so it has no derivative there; choose another point"
                )
            whole = self.shapes[0] if len(self.shapes) == 1 else (self.size,)

            def vector(given: Any) -> np.ndarray:
                return np.broadcast_to(np.asarray(given, dtype=float), whole).ravel()

            if options.get("scale") is not None:
                options["scale"] = vector(options["scale"])
            if options.get("bounds") is not None:
                options["bounds"] = tuple(map(vector, options["bounds"]))
            return finite.differentiate(here, self.vector, order=order, **options)

    def differentiate(self, order: int) -> np.ndarray:
        """The derivative by :meth:`finite`, without its error."""
        return self.finite(order).value

    def rebuild_columns(self, columns: np.ndarray, lead: tuple[int, ...]) -> Any:
        """An array (..., p) in the structure of the arguments."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        parts = np.split(columns, ends, axis=-1)
        leaves = [part.reshape(lead + shape)[()] for part, shape in zip(parts, self.shapes, strict=True)]
        return self.chosen(leaves)

    def rebuild_square(self, square: np.ndarray) -> Any:
        """A matrix (p, p) in the structure of the arguments, twice."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        rows = [
            self.rebuild_columns(block.reshape(*shape, self.size), shape)
            for block, shape in zip(np.split(square, ends, axis=0), self.shapes, strict=True)
        ]
        return self.chosen(rows)


class Exact:
    """A derivative by JAX: compiled once for each structure and shape of the arguments."""

    def __init__(self, derive: Callable[[Function], Function], name: str) -> None:
        self._derive = derive
        self._name = name
        self._compiled: dict[Any, Function] = {}

    def __call__(self, point: Point, *more: Any) -> Any:
        """The derivative at a point, as NumPy arrays."""
        key = (point.tree, tuple(point.shapes))
        with differentiating(), readable_errors(self._name):
            if key not in self._compiled:
                called = point.f if point.alone else lambda arguments: point.f(*arguments)
                warn_of_single_precision(jax.make_jaxpr(called)(point.structure), self._name)
                self._compiled[key] = jax.jit(self._derive(called))
            result = self._compiled[key](point.structure, *more)
            return jax.tree_util.tree_map(lambda leaf: np.asarray(leaf)[()], result)


def name_of(f: Any) -> str:
    """A function's name, for messages."""
    name = getattr(f, "__name__", "f")
    return "f" if name == "<lambda>" else name


def _check(method: str) -> None:
    check_choice("method", method, get_args(Derivatives))


def _scalar(called: Function, name: str) -> Function:
    def checked(*args: Any) -> Any:
        result = called(*args)
        _check_scalar(result, name)
        return result

    return checked


def _check_scalar(result: Any, name: str) -> None:
    shapes = [np.shape(leaf) for leaf in jax.tree_util.tree_leaves(result)]
    if shapes != [()]:
        got = f"an array of shape {shapes[0]}" if len(shapes) == 1 else f"{len(shapes)} results"
        raise ModelError(
            f"{name}: expected one number as its result; got {got}. Use jacobian, or return one element or a sum"
        )


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))
