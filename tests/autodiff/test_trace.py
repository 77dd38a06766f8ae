from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from raphson.autodiff.trace import source_of, trace
from raphson.autodiff.walk import walk
from raphson.compat import CUSTOM, operation_name
from raphson.errors import ModelError


def operations(function: Any, *arguments: Any, keep: Any = ()) -> list[str]:
    seen: list[str] = []

    def visit(equation: Any, inputs: list[Any], site: Any) -> list[Any]:
        place = source_of(site)
        assert place is not None and place.file == __file__
        seen.append(operation_name(equation))
        return [None] * len(equation.outvars)

    traced = trace(function, *arguments)
    walk(traced.jaxpr, traced.values, visit, keep=keep)
    return seen


def test_calls_are_looked_into() -> None:
    @jax.jit
    def inner(x: Any) -> Any:
        return jnp.sin(x)

    assert operations(lambda x: inner(x) + jax.checkpoint(jnp.cos)(x), 1.0) == ["sin", "cos", "add"]


def test_functions_with_their_own_derivative_can_be_kept_whole() -> None:
    assert operations(lambda x: jax.nn.relu(x), 1.0) == ["max"]
    assert operations(lambda x: jax.nn.relu(x), 1.0, keep=CUSTOM) == ["relu"]


def test_inputs_are_named_and_64_bit() -> None:
    traced = trace(lambda theta, *more: theta["a"][1] + more[0], {"a": [1, np.ones(2)]}, 3)
    assert traced.names == ("theta['a'][0]", "theta['a'][1]", "more[0]")
    assert all(value.dtype == np.float64 for value in traced.values)
    assert [one.dtype for one in traced.jaxpr.out_avals] == [np.float64]


def test_keyword_arguments() -> None:
    traced = trace(lambda x, *, event: jnp.where(event, x, 0.0), 1.0, keywords={"event": True})
    assert traced.names == ("x", "event") and traced.values[1].dtype == bool


def test_the_innermost_line_of_the_user_is_named() -> None:
    def inner(x: Any) -> Any:
        return np.exp(x)

    with pytest.raises(ModelError, match=r"test_trace.py:\d+ \(`return np.exp\(x\)`\)"):
        trace(lambda x: inner(x) + 1.0, 1.0)
