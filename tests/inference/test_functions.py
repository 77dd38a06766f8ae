"""Functions of the parameters: names, arrays, derivatives, and errors that say what to write."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.inference.functions import Combinations, ParameterFunction

NAMES = ["beta[0]", "beta[1]", "S[0,0]", "S[0,1]", "S[1,0]", "S[1,1]", "part.a", "part.b", "rate"]
THETA = np.arange(1.0, 10.0)


def test_parameters_by_name():
    found = {}

    def read(params):
        found.update(
            beta=params["beta"],
            S=params["S"],
            a=params["part"]["a"],
            rate=params.rate,
            one=params["beta[1]"],
            n=len(params),
        )
        return params["rate"]

    ParameterFunction(read, NAMES).value(THETA)
    assert ParameterFunction(lambda params: params["S[0, 1]"], NAMES).value(THETA).tolist() == [4.0]
    assert found["beta"].shape == (2,) and found["S"].shape == (2, 2) and found["n"] == 9


def test_values_and_derivatives_of_every_shape():
    def several(params):
        return {"ratio": params["rate"] / params["beta"][0], "trace": jnp.trace(params["S"]) ** 2}

    function = ParameterFunction(several, NAMES)
    assert function.value(THETA).tolist() == [9.0, 81.0]
    assert function.labels == ("ratio", "trace") and not function.scalar
    J, H = function.jacobian(THETA), function.hessian(THETA)
    assert J.shape == (2, 9) and J[0, 8] == 1.0 and J[0, 0] == -9.0 and J[1, 2] == J[1, 5] == 18.0
    assert H.shape == (2, 9, 9) and H[0, 0, 0] == 18.0 and H[1, 2, 5] == 2.0
    assert J.dtype == np.float64
    assert ParameterFunction(lambda p: p.rate, NAMES).value(THETA).shape == (1,)
    assert ParameterFunction(lambda p: [p.rate, 1], NAMES).value(THETA).tolist() == [9.0, 1.0]


def test_combinations_look_like_functions():
    made = Combinations(np.array([[1.0, -2.0]]), np.array([0.5]), ["a - 2*b"])
    theta = np.array([3.0, 1.0])
    assert made.value(theta).tolist() == [1.5] and made.scalar
    assert made.jacobian(theta).tolist() == [[1.0, -2.0]] and not made.hessian(theta).any()
    # A parameter without an estimate takes no part where its coefficient is 0.
    assert Combinations(np.array([[1.0, 0.0]]), np.zeros(1), ["a"]).value(np.array([3.0, np.nan])).tolist() == [3.0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p: p["rat"], "'rat' is not a parameter.*did you mean 'rate'"),
        (lambda p: np.log(p["rate"]), "expected a function of the parameters in jax.numpy"),
        (lambda p: math.log(p["rate"]), "jax.numpy"),
        (lambda p: p["rate"] if p["rate"] > 0 else 0.0, "jax.numpy"),
        (lambda p: "text", "jax.numpy"),
        (lambda: 1.0, "jax.numpy"),
    ],
)
def test_what_cannot_be_traced(function, message):
    with pytest.raises(ModelError, match=message) as caught:
        ParameterFunction(function, NAMES).jacobian(THETA)
    assert "\n" not in str(caught.value)
