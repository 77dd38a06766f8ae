"""How much of a curve is rounding: it is evaluated again, every operation off by more than its own rounding.

Each result of an elementary operation is correct to half a unit in the last place. Multiplied by 1 + δ, δ = ±2⁻⁴⁴ at
random, it is off by some thousand times as much, and so is, to first order, what the curve makes of it (Monte Carlo
arithmetic: Parker 1997, Monte Carlo Arithmetic, UCLA CSD-970002). A thousandth of the difference is the rounding of the
curve itself. So 1 − exp(−exp(c)x) at c = −37, whose true values are 1e-16 x, shows as the staircase that it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from raphson.autodiff.trace import walk
from raphson.compat import name_of, opened
from raphson.model.replay.replay import apply

SHAKEN = 2.0**-44
"""Relative size of the errors that are put in. Large enough not to be lost in the rounding itself, and small enough
that their effects add up."""

AMPLIFIED = SHAKEN / 2.0**-53
"""How many times larger that is than an operation's own rounding at its worst."""

_EXACT = frozenset(
    [
        *("neg", "abs", "sign", "max", "min", "select_n", "stop_gradient", "copy", "copy_p", "device_put", "real"),
        *("convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev", "slice"),
        *("concatenate", "pad", "gather", "dynamic_slice", "dynamic_update_slice", "split", "stack", "iota", "clamp"),
        *("floor", "ceil", "round", "reduce_max", "reduce_min"),
    ]
)
"""Operations that round nothing."""

_LOOPS = frozenset(["while", "scan", "cond"])


def perturbed(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The function f(θ, x) -> (size,) with every operation off; f itself where it holds loops, which are one operation.

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
        import jax

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

        if any(name_of(equation) in _LOOPS for equation in opened(jaxpr).equations):
            return function(theta, x)
        (value,) = walk(jaxpr, jax.tree_util.tree_leaves((theta, x)), visit)
        return value

    return off
