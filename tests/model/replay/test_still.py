"""Which operations may meet a 0 that no parameter moves: read off traced functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from raphson.autodiff.trace import trace
from raphson.autodiff.walk import walk
from raphson.compat import CUSTOM, name_of
from raphson.model.replay.still import still_operations


def names(function: Any, parameters: int) -> list[str]:
    """The operations to be replaced, by name; parameters come first, and one column of data."""
    jaxpr = trace(function, *[1.0] * (parameters + 1)).jaxpr
    marks = still_operations(jaxpr, parameters)
    seen: list[str] = []

    def visit(equation: Any, given: list[Any], site: Any) -> list[Any]:
        seen.append(name_of(equation))
        return [None] * len(equation.outvars)

    walk(jaxpr, [None] * (parameters + 1), visit, keep=CUSTOM)
    return [name for number, name in enumerate(seen) if number in marks]


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (lambda a, b, x: a * jnp.exp(-b * x), 2),
        (lambda a, b, x: a * x / (b + x), 2),
        (lambda a, b, x: a / (1.0 + jnp.exp(-b * x)), 2),
        (lambda a, b, x: a + b * x + a * x**2, 2),
        (lambda a, b, x: jnp.sqrt(a) * b**a + x, 2),  # the parameter's own edge
        (lambda a, b, x: (a - 1.0) * jnp.log(x) - x / b, 2),  # where it is infinite, so is the output
        (lambda a, b, x: (x - a) / jnp.exp(b), 2),
        (lambda a, b, x: jnp.log(a * x) * b, 2),
    ],
)
def test_smooth_curves_are_left_alone(function: Any, parameters: int) -> None:
    # Red where a rule is too wide: these would be compiled with more operations than they need.
    assert names(function, parameters) == []


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (lambda a, b, x: (x / a) ** b, ["pow"]),
        (lambda a, b, x: a * x**0.5 + b, []),  # nothing that moves is raised to a power
        (lambda a, b, x: jnp.maximum(a - x, 0.0) ** b, ["pow"]),
        (lambda a, b, x: (1 - jnp.exp(-a * x)) ** b, ["pow"]),
        (lambda a, b, x: b + jnp.sqrt(a * x), ["sqrt"]),
        (lambda a, b, x: a * jnp.exp(b * jnp.log(x)), ["mul", "exp"]),
        (lambda a, b, x: jnp.exp(-a / x) + b, ["div", "exp"]),
        (lambda a, b, x: jnp.where(x > 0, jnp.log(x / a), b), ["log"]),
    ],
)
def test_what_is_replaced(function: Any, right: list[str]) -> None:
    assert names(function, 2) == right


def test_inside_of_loops() -> None:
    def looped(a: Any, b: Any, x: Any) -> Any:
        return jax.lax.fori_loop(0, 3, lambda i, c: c + (x / a) ** b, 0.0 * x)

    assert names(looped, 2) == ["scan"]
    assert names(lambda a, b, x: jax.lax.fori_loop(0, 3, lambda i, c: c + a * x, b), 2) == []
