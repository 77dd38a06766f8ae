"""The textbook's rules say what JAX's own say, for the values and for the adjoints."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from raphson.autodiff.rules import CompiledRule, Stack, Take, TextbookRule, host, rule_of
from raphson.numeric import x64

A, B = np.array([0.5, -2.0, 3.0]), np.array([1.5, 0.25, -1.0])


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lax.add, [A, B]),
        (lax.sub, [A, B]),
        (lax.mul, [A, B]),
        (lax.div, [A, B]),
        (lax.neg, [A]),
        (lax.square, [A]),
    ],
)
def test_the_textbook_is_right(function, inputs):
    with x64():
        [equation] = jax.make_jaxpr(function)(*inputs).eqns
    ours, theirs = (rule(equation.primitive, equation.params) for rule in (TextbookRule, CompiledRule))
    active, adjoint = tuple(range(len(inputs))), np.array([2.0, -1.0, 0.5])
    with x64():
        np.testing.assert_array_equal(ours.value(inputs)[0], theirs.value(inputs)[0])
        one, other = (rule.pullback(inputs, active, (0,), [adjoint]) for rule in (ours, theirs))
        for found, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_elements_are_taken_and_stacked_with_their_adjoints():
    assert Take(1).value([A])[0] == -2.0
    assert Take(1).pullback([A], (0,), (0,), [np.array(7.0)])[0].tolist() == [0.0, 7.0, 0.0]
    assert Stack().value([A, B])[0].shape == (2, 3)
    parts = Stack().pullback([A, B], (1,), (0,), [np.arange(6.0).reshape(2, 3)])
    assert [part.tolist() for part in parts] == [[3.0, 4.0, 5.0]]


def test_a_rule_is_kept_unless_it_holds_a_function():
    assert rule_of(lax.exp_p, {"accuracy": None}) is rule_of(lax.exp_p, {"accuracy": None})
    assert rule_of(lax.add_p, {}) is rule_of(lax.add_p, {}) and isinstance(rule_of(lax.add_p, {}), TextbookRule)
    assert rule_of(lax.exp_p, {"code": lambda x: x}) is None


def test_values_come_back_as_numpy():
    with x64():
        assert type(host(jnp.ones(2))) is np.ndarray
