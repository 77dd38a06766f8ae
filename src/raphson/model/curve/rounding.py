"""The rounding error of a curve, measured by evaluating it with an error added to every operation.

The result of an elementary operation is correct to half a unit in the last place. Multiplying it by 1 + δ, with random
δ = ±2⁻⁴⁴, makes its error some thousand times as large and, to first order, that of the curve too (Monte Carlo
arithmetic: Parker 1997, Monte Carlo Arithmetic, UCLA CSD-970002). A thousandth of the difference is the rounding error
of the curve itself. This reveals, for example, that 1 − exp(−exp(c)x) at c = −37, whose true values are 1e-16 x, is a
staircase in floating point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from raphson.autodiff.graph import AMPLIFIED as AMPLIFIED
from raphson.autodiff.graph import SHAKEN
from raphson.autodiff.walk import walk
from raphson.compat import jax, name_of, parts_of
from raphson.model.replay.replay import apply

_EXACT = frozenset(
    [
        *("neg", "abs", "sign", "max", "min", "select_n", "stop_gradient", "copy", "copy_p", "device_put", "real"),
        *("convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev", "slice"),
        *("concatenate", "pad", "gather", "dynamic_slice", "dynamic_update_slice", "split", "stack", "iota", "clamp"),
        *("floor", "ceil", "round", "reduce_max", "reduce_min"),
    ]
)
"""Operations without rounding."""

_LOOPS = frozenset(["while", "scan", "cond"])


def perturbed(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The function f(θ, x) -> (size,) with an error in every operation; f itself if it contains loops.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.numeric import x64
    >>> f = lambda theta, x: theta[0] * (1 - jnp.exp(-theta[1] * x))
    >>> with x64():
    ...     x = np.linspace(1.0, 2.0, 50)
    ...     off = [np.ptp(perturbed(f)(np.array([1.0, k]), x) / f(np.array([1.0, k]), x)) for k in (1.0, 1e-15)]
    >>> bool(off[0] < 1e-12), bool(off[1] > 1)
    (True, True)
    """

    def off(theta: Any, x: Any) -> Any:
        jaxpr = jax.make_jaxpr(function)(theta, x)
        random = np.random.default_rng(0)

        def visit(equation: Any, given: list[Any], site: Any) -> list[Any]:
            name = name_of(equation)
            results = apply(equation, given)
            if name in _EXACT or name in _LOOPS:
                return results
            return [
                one * (1.0 + SHAKEN * random.choice([-1.0, 1.0], one.shape)) if one.dtype.kind == "f" else one
                for one in results
            ]

        if any(name_of(equation) in _LOOPS for equation in parts_of(jaxpr).equations):
            return function(theta, x)
        (value,) = walk(jaxpr, jax.tree_util.tree_leaves((theta, x)), visit)
        return value

    return off
