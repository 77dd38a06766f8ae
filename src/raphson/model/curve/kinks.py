"""The kinks of a traced function, from max, min, abs and comparisons.

Such an operation switches branches where a gap g(θ, x) passes through 0: a − b for max(a, b) and for a < b, a itself
for abs(a). Where a row's gap is 0, the derivatives on the two sides of the surface g(θ) = 0 differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raphson.autodiff.walk import walk
from raphson.compat import jax, jnp, name_of
from raphson.model.replay.replay import apply

PAIRS = frozenset(["max", "min", "lt", "le", "gt", "ge"])


def gaps_of(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The gaps (K,) of a function f(θ, x) of ``jax.numpy``; K is 0 where it has no kinks.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> gaps_of(lambda theta, x: jnp.maximum(x - theta[0], 0.0))(jnp.array([2.0]), jnp.array([1.0, 4.0])).tolist()
    [-1.0, 2.0]
    """

    def gaps(theta: Any, x: Any) -> Any:
        found: list[Any] = []

        def visit(equation: Any, given: list[Any], site: Any) -> list[Any]:
            name = name_of(equation)
            if jnp.asarray(given[0]).dtype.kind == "f" if given else False:
                if name in PAIRS:
                    found.append(given[0] - given[1])
                elif name in ("abs", "sign"):
                    found.append(given[0])
                elif name == "clamp":
                    found.extend([given[1] - given[0], given[1] - given[2]])
            return apply(equation, given)

        walk(jax.make_jaxpr(function)(theta, x), [theta, *jax.tree_util.tree_leaves(x)], visit)
        return jnp.concatenate([jnp.zeros(0), *map(jnp.ravel, found)])

    return gaps
