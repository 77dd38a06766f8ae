"""The compiled code of a curve f(θ, x) and its derivatives; each piece is compiled when first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raphson.cached import cached_property
from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.model.curve.kinks import gaps_of
from raphson.model.curve.rounding import AMPLIFIED, perturbed
from raphson.model.replay.replay import with_limits


class CurveCode:
    """The compiled pieces of a function. Each takes the arguments named, and :func:`raphson.numeric.anchor`.

    Parameters
    ----------
    function : f(theta (p,), x) -> (size,), traceable.
    with_constants : whether the last leaf of x holds positive numbers, constants of an expression.
    """

    def __init__(self, function: Callable[[Any, Any], Any], with_constants: bool = False) -> None:
        self.function = function
        self.differentiable = with_limits(function, with_constants)
        """The same function, with derivatives that are right for powers of x at x = 0."""
        self.backward = False
        """Whether f has no forward-mode derivative: some library functions define only the reverse mode."""

    def use_reverse_mode(self) -> None:
        """Differentiate in reverse mode from now on."""
        self.backward = True
        del self.tangents

    def tangents_either_way(self, *arguments: Any) -> Any:
        """:attr:`tangents`, in reverse mode from the first time on that the forward mode turns out not to be there."""
        try:
            return self.tangents(*arguments)
        except ValueError as error:
            if self.backward or "forward-mode" not in str(error):
                raise
        self.use_reverse_mode()
        return self.tangents(*arguments)

    @cached_property
    def value(self) -> Any:
        """(θ, x) to f, (size,)."""
        return compiled(lambda theta, x, anchor: self.function(theta, x))

    @cached_property
    def many(self) -> Any:
        """(points (m, p), x) to f, (m, size)."""

        def many(points: Any, x: Any, anchor: Any) -> Any:
            return jax.vmap(lambda theta: self.function(theta, x))(points)

        return compiled(many)

    @cached_property
    def rounding(self) -> Any:
        """(points (m, p), x) to the rounding error of f, (m, size)."""
        off = perturbed(self.function)

        def rounding(points: Any, x: Any, anchor: Any) -> Any:
            one = jax.vmap(lambda theta: jnp.abs(off(theta, x) - self.function(theta, x)) / AMPLIFIED)
            return one(points)

        return compiled(rounding)

    @cached_property
    def tangents(self) -> Any:
        """(θ, x) to f and, below it, its derivatives by each parameter, (1 + p, size)."""

        def tangents(theta: Any, x: Any, anchor: Any) -> Any:
            def along(direction: Any) -> tuple[Any, Any]:
                return jax.jvp(lambda t: self.differentiable(t, x), (theta,), (direction,))

            value, J = jax.vmap(along, out_axes=(None, 0))(jnp.eye(len(theta)))
            return jnp.concatenate([value[None], J])

        def backwards(theta: Any, x: Any, anchor: Any) -> Any:
            return jnp.concatenate(
                [self.differentiable(theta, x)[None], jax.jacrev(lambda t: self.differentiable(t, x))(theta).T]
            )

        return compiled(backwards if self.backward else tangents)

    @cached_property
    def solved(self) -> Any:
        """(θ, x, y, √w, which) to θ with one linear parameter at its least squares value, and the tangents there."""

        def solved(theta: Any, x: Any, y: Any, root: Any, which: Any, anchor: Any) -> Any:
            table = self.tangents(theta, x, anchor)
            column = jnp.where(root > 0, root * table[1 + which], 0.0)
            left = jnp.where(root > 0, root * (y - table[0]), 0.0)
            length = jnp.sqrt(jnp.vdot(column, column))
            delta = jnp.vdot(column / length, left) / length
            there = theta.at[which].add(jnp.where(jnp.isfinite(delta), delta, 0.0))
            return there, self.tangents(there, x, anchor)

        return compiled(solved)

    @cached_property
    def second(self) -> Any:
        """(θ, x) to ∂²f/∂θ², (p, p, size)."""
        derivative = jax.jacrev if self.backward else jax.jacfwd

        def second(theta: Any, x: Any, anchor: Any) -> Any:
            return derivative(derivative(lambda t: self.differentiable(t, x)))(theta).transpose(1, 2, 0)

        return compiled(second)

    @cached_property
    def second_order(self) -> Any:
        """(θ, x, u) to −Σ u_i ∂²f_i/∂θ², (p, p)."""
        first = jax.jacrev if self.backward else jax.jacfwd

        def second_order(theta: Any, x: Any, u: Any, anchor: Any) -> Any:
            return first(first(lambda t: -jnp.vdot(u, self.differentiable(t, x))))(theta)

        return compiled(second_order)

    @cached_property
    def kink_gaps(self) -> Any:
        """(θ, x) to the gaps of max, min, abs and comparisons and, below them, their derivatives, (1 + p, K)."""
        gaps = gaps_of(self.function)

        def kink_gaps(theta: Any, x: Any, anchor: Any) -> Any:
            return jnp.concatenate([gaps(theta, x)[None], jax.jacfwd(lambda t: gaps(t, x))(theta).T])

        return compiled(kink_gaps)

    @cached_property
    def many_tangents(self) -> Any:
        """(θ (R, p), x) to the tangents at each, (R, 1 + p, size)."""
        return compiled(jax.vmap(self.tangents, in_axes=(0, None, None)))

    @cached_property
    def many_second_orders(self) -> Any:
        """(θ (R, p), x, u (R, size)) to the second-order term of each, (R, p, p)."""
        return compiled(jax.vmap(self.second_order, in_axes=(0, None, 0, None)))
