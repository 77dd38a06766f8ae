"""Derivatives of a curve by JAX: compiled when first used, and kept.

It serves functions of the user, curves over many rows, and those with operations that a graph lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from raphson.autodiff.trace import readable_errors, trace
from raphson.compat import jax, jnp, lax
from raphson.data.curves import Curve
from raphson.model.curve.code import CurveCode
from raphson.model.curve.nonlinear import FEW, MANY
from raphson.numeric import anchor, device, x64


class CompiledDerivatives:
    """Derivatives by autodiff of a function of ``jax.numpy``, compiled when first used.

    Parameters
    ----------
    code : the function and its compiled pieces, possibly shared with others.
    what : the function's name in messages.
    recipe : a function and its arguments that remake this object in another process: compiled code cannot be pickled.
    numbers : the constants that the code takes besides x; None if it takes none.
    """

    exact: ClassVar[bool] = True
    written = None

    def __init__(
        self,
        code: CurveCode,
        what: str,
        recipe: tuple[Callable[..., CompiledDerivatives], tuple[Any, ...]],
        numbers: tuple[float, ...] | None = None,
    ) -> None:
        self.code, self.what, self.recipe = code, what, recipe
        self.numbers = numbers

    def __reduce__(self) -> tuple[Callable[..., CompiledDerivatives], tuple[Any, ...]]:
        return self.recipe

    def given(self, x: Any) -> Any:
        """x in the form that the code takes."""
        return x if self.numbers is None else (x, _on_device(self.numbers, device()))

    def _run(self, compiled: Any, theta: np.ndarray, x: Any, *more: Any) -> np.ndarray:
        with x64(), readable_errors(self.what):
            return np.asarray(compiled(theta, self.given(x), *more, anchor()))

    def tangents_of_many(self, thetas: np.ndarray, x: Any) -> np.ndarray:
        """:meth:`tangents` at each of R parameters (R, p), (R, 1 + p, size)."""
        return self._run(self.code.many_tangents, thetas, x)

    def second_order_of_many(self, thetas: np.ndarray, x: Any, u: np.ndarray) -> np.ndarray:
        """:meth:`second_order` at each of R parameters (R, p) with u (R, size), (R, p, p)."""
        M = self._run(self.code.many_second_orders, thetas, x, u)
        return 0.5 * (M + M.transpose(0, 2, 1))

    def value(self, theta: np.ndarray, x: Any) -> np.ndarray:
        return self._run(self.code.value, theta, x)

    @property
    def traced(self) -> tuple[CurveCode, tuple[float, ...] | None]:
        """The code and its constants, for traced functions that call it."""
        return self.code, self.numbers

    def tangents(self, theta: np.ndarray, x: Any) -> np.ndarray:
        return self._run(self.code.tangents_either_way, theta, x)

    def solved(
        self, theta: np.ndarray, x: Any, y: np.ndarray, root: np.ndarray, which: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """θ with one parameter that f is linear in at its least squares value, and :meth:`tangents` there.

        The value is θ_j + φᵀr/φᵀφ with φ = √w ∂f/∂θ_j and r = √w (y − f): one compiled call instead of two.
        """
        with x64(), readable_errors(self.what):
            there, table = self.code.solved(theta, self.given(x), y, root, which, anchor())
            return np.array(there), np.asarray(table)

    def second_order(self, theta: np.ndarray, x: Any, u: np.ndarray) -> np.ndarray:
        M = self._run(self.code.second_order, theta, x, u)
        return 0.5 * (M + M.T)

    def second(self, theta: np.ndarray, x: Any) -> np.ndarray:
        return self._run(self.code.second, theta, x)

    def kink_gaps(self, theta: np.ndarray, x: Any) -> np.ndarray:
        """The gaps of f's max, min, abs and comparisons and, below them, their derivatives, (1 + p, K)."""
        return self._run(self.code.kink_gaps, theta, x)

    def many(self, points: np.ndarray, x: Any) -> np.ndarray:
        return self._batches(self.code.many, MANY, points, x)

    def rounding(self, points: np.ndarray, x: Any) -> np.ndarray:
        return self._batches(self.code.rounding, FEW, points, x)

    def _batches(self, compiled: Any, size: int, points: np.ndarray, x: Any) -> np.ndarray:
        # Always the same number of points, for a single compilation.
        out = []
        for i in range(0, len(points), size):
            some = points[i : i + size]
            filled = np.concatenate([some, np.repeat(some[:1], size - len(some), axis=0)])
            out.append(self._run(compiled, filled, x)[: len(some)])
        return np.concatenate(out)


def jax_function(name: str) -> Any:
    from jax.scipy import special

    return getattr(special, name.removeprefix("special.")) if name.startswith("special.") else getattr(jnp, name)


@dataclass(frozen=True)
class WrittenFunction:
    """An expression as a function f(θ, x) of ``jax.numpy``.

    Attributes
    ----------
    form : the expression; some of its names may stand for numbers.
    constants : these names. If there are any, x is a pair, of which the second is the numbers (c,).
    columns, parameters : its other names; the columns are the rows of x (d, size).
    """

    form: Curve
    constants: tuple[str, ...]
    columns: tuple[str, ...]
    parameters: tuple[str, ...]

    def __call__(self, theta: Any, x: Any) -> Any:
        values: dict[str, Any] = {name: theta[j] for j, name in enumerate(self.parameters)}
        if self.constants:
            x, numbers = x
            values |= {name: lax.index_in_dim(numbers, k, keepdims=False) for k, name in enumerate(self.constants)}
        values |= {name: x[k] for k, name in enumerate(self.columns)}
        return jnp.broadcast_to(self.form.evaluate(values, jax_function) * 1.0, x.shape[1:])


CURVES_KEPT = 32
"""How many of the last used expressions keep their compiled code: each takes some megabytes."""


@lru_cache(maxsize=CURVES_KEPT)
def _code_of(
    form: Curve, constants: tuple[str, ...], columns: tuple[str, ...], parameters: tuple[str, ...]
) -> CurveCode:
    return CurveCode(WrittenFunction(form, constants, columns, parameters), len(constants) > 0)


@lru_cache(maxsize=256)
def _on_device(numbers: tuple[float, ...], where: Any) -> Any:
    with x64():
        return jax.device_put(np.array(numbers), where)


def compiled_curve(
    curve: Curve,
    columns: tuple[str, ...],
    parameters: tuple[str, ...],
) -> CompiledDerivatives:
    """The derivatives of a curve; x is (d, size), one row for each of the columns.

    Curves that differ only in their constants share compiled code.
    """
    form, constants = curve.form
    return CompiledDerivatives(
        _code_of(form, tuple(constants), columns, parameters),
        f"the curve {curve.text}",
        (compiled_curve, (curve, columns, parameters)),
        tuple(constants.values()) if constants else None,
    )


def traced_curve(curve: Curve, columns: tuple[str, ...], parameters: tuple[str, ...]) -> Any:
    """An expression as a closed jaxpr."""

    def function(parts: list[Any], x: list[Any]) -> Any:
        values = dict(zip(parameters, parts, strict=True)) | dict(zip(columns, x, strict=True))
        return curve.evaluate(values, jax_function) * 1.0

    return trace(function, [1.0] * len(parameters), [1.0] * len(columns), what="the curve").jaxpr
