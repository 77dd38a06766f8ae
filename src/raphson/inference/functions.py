r"""A user's function of the parameters, with its first and second derivatives by autodiff.

The function is written in ``jax.numpy``. It gets the parameters by name, ``params["age"]`` (or ``params.age`` if the
name is an identifier), or by position: ``params[0]``, ``params[-1]``, ``params[1:3]``. Parameters ``beta[0], beta[1]``,
… are also the array ``params["beta"]``, and ``scale.a, scale.b`` are also members of ``params["scale"]``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from raphson.compat import jax, jnp
from raphson.errors import ModelError, RaphsonError
from raphson.model.parameters import place_of
from raphson.numeric import device, x64


class Params(Mapping[str, Any]):
    """The parameters by name or position, as a user's function gets them.

    Parameters
    ----------
    theta : (p,) values.
    names : (p,) names.

    Examples
    --------
    >>> import numpy as np
    >>> params = Params(np.array([1.0, 2.0, 3.0]), ["b[0]", "b[1]", "scale"])
    >>> float(params["scale"]), float(params[-1]), params["b"].tolist(), params[:2].tolist()
    (3.0, 3.0, [1.0, 2.0], [1.0, 2.0])
    """

    def __init__(self, theta: Any, names: Sequence[str]) -> None:
        self._theta = theta
        self._names = tuple(names)

    def __getitem__(self, name: Any) -> Any:
        if isinstance(name, slice):
            return self._theta[name]
        if isinstance(name, int | np.integer) and not isinstance(name, bool):
            count = len(self._names)
            if not -count <= name < count:  # JAX would clip the index
                raise ModelError(f"function: expected a parameter number from 0 to {count - 1}; got {name}")
            return self._theta[int(name)]
        if isinstance(name, str):
            if (place := place_of(name, self._names)) is not None:
                return self._theta[place]
            if (array := self._array(name)) is not None:
                return array
            inner = [i for i, one in enumerate(self._names) if one.startswith(f"{name}.")]
            if inner:
                return Params(self._theta[np.array(inner)], [self._names[i][len(name) + 1 :] for i in inner])
        near = difflib.get_close_matches(str(name), self._names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"function: {name!r} is not a parameter; the parameters are {', '.join(self._names)}{hint}")

    def _array(self, name: str) -> Any:
        """The parameters name[0], name[1], ... or name[0, 0], ... as one array; None where there are none."""
        pattern = re.compile(re.escape(name) + r"\[(\d+(?:, ?\d+)*)\]")
        found = [(i, match) for i, one in enumerate(self._names) if (match := pattern.fullmatch(one))]
        if not found:
            return None
        last = [int(index) for index in found[-1][1].group(1).split(",")]
        return self._theta[np.array([i for i, _ in found])].reshape([index + 1 for index in last])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class ParameterFunction:
    """m functions of p parameters.

    Parameters
    ----------
    function : takes :class:`Params`, returns a number, an array, or a dict of numbers.
    names : (p,) names of the parameters.
    what : name of the argument in messages.

    Attributes
    ----------
    labels : (m,) names of the results; None before the first evaluation, or where there are none.
    scalar : whether it returns one number.

    Examples
    --------
    >>> import numpy as np
    >>> ratio = ParameterFunction(lambda params: params["a"] / params["b"], ["a", "b"])
    >>> ratio.value(np.array([1.0, 2.0])).tolist(), ratio.jacobian(np.array([1.0, 2.0])).tolist()
    ([0.5], [[0.5, -0.25]])
    """

    def __init__(self, function: Callable[..., Any], names: Sequence[str], what: str = "function") -> None:
        self.function, self.names, self.what = function, tuple(names), what
        self.labels: tuple[str, ...] | None = None
        self.scalar = False
        self._made: dict[str, Any] = {}

    def value(self, theta: np.ndarray) -> np.ndarray:
        """(m,)."""
        return self._call("value", theta)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """(m, p)."""
        return self._call("jacobian", theta)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """(m, p, p)."""
        return self._call("hessian", theta)

    def _call(self, kind: str, theta: np.ndarray) -> np.ndarray:
        with x64():
            made = self._made.get(kind)
            if made is None:
                made = self._made[kind] = self._make(kind)
            try:
                return np.asarray(made(jax.device_put(np.asarray(theta, dtype=float), device())))
            except RaphsonError:
                raise
            except Exception as error:
                reason = str(error).split("\n", 1)[0]
                raise ModelError(
                    f"{self.what}: expected a function of the parameters in jax.numpy, such as lambda params: "
                    f"jnp.exp(params[{self.names[0]!r}]); it failed with {type(error).__name__}: {reason}"
                ) from error

    def _make(self, kind: str) -> Callable[..., Any]:
        def flat(theta: Any) -> Any:
            found = self.function(Params(theta, self.names))
            if isinstance(found, Mapping):
                self.labels = tuple(str(key) for key in found)
                found = list(found.values())
            if isinstance(found, list | tuple):
                found = jnp.stack([jnp.asarray(one, dtype=float) for one in found])
            array = jnp.asarray(found, dtype=float)
            self.scalar = array.ndim == 0
            return array.reshape(-1)

        if kind == "jacobian":
            return jax.jit(jax.jacfwd(flat))
        if kind == "hessian":
            return jax.jit(jax.jacfwd(jax.jacrev(flat)))
        return jax.jit(flat)


class Combinations:
    """m linear combinations of the parameters, with the methods of :class:`ParameterFunction`.

    Parameters
    ----------
    matrix : (m, p).
    constant : (m,) added.
    labels : (m,) names.
    """

    def __init__(self, matrix: np.ndarray, constant: np.ndarray, labels: Sequence[str]) -> None:
        self.matrix, self.constant, self.labels = matrix, constant, tuple(labels)
        self.scalar = len(matrix) == 1

    def value(self, theta: np.ndarray) -> np.ndarray:
        """(m,)."""
        used = self.matrix.any(axis=0)
        return self.matrix[:, used] @ theta[used] + self.constant

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """(m, p)."""
        return self.matrix

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """(m, p, p), all zero."""
        return np.zeros((len(self.matrix), len(theta), len(theta)))
