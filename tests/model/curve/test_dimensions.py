from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.autodiff.trace import trace
from raphson.data.curves import parse_curve
from raphson.model.curve.compiled import jax_function
from raphson.model.curve.dimensions import dimensions


def found(expression: str, columns: tuple[str, ...] = ("x",)):
    """Exponents and positions by name."""
    curve = parse_curve(expression, columns, "formula")
    names = [name for name in curve.names if name not in columns]

    def function(parts, x):
        return curve.evaluate(dict(zip(names, parts, strict=True)) | dict(zip(columns, x, strict=True)), jax_function)

    traced = trace(function, [1.0] * len(names), [1.0] * len(columns))
    table = dimensions(traced.jaxpr, [*range(len(names)), *[None] * len(columns)], len(columns))
    return {name: table.exponents[j].round(9).tolist() for j, name in enumerate(names)}, {
        name: table.position[j].tolist() for j, name in enumerate(names) if table.position[j].any()
    }


@pytest.mark.parametrize(
    ("expression", "exponents"),
    [
        ("top*(1 - exp(-rate*x))", {"top": [0, 1], "rate": [-1, 0]}),
        ("a*exp(-x/tau) + c", {"a": [0, 1], "tau": [1, 0], "c": [0, 1]}),
        ("vmax*x/(km + x)", {"vmax": [0, 1], "km": [1, 0]}),
        ("top*x**h/(ec50**h + x**h)", {"h": [0, 0]}),
        ("b1*(x**2 + x*b2)/(x**2 + x*b3 + b4)", {"b1": [0, 1], "b2": [1, 0], "b3": [1, 0], "b4": [2, 0]}),
        ("a/sqrt(1 + (x/s)**2)", {"a": [0, 1], "s": [1, 0]}),
        ("exp(-b1*x)/(b2 + b3*x)", {"b1": [-1, 0], "b2": [0, -1], "b3": [-1, -1]}),
        ("a*sin(w*x + p)", {"a": [0, 1], "w": [-1, 0], "p": [0, 0]}),
        ("a*where(x > c, 1, 0)", {"a": [0, 1], "c": [1, 0]}),
        ("a*square(x - b)", {"a": [-2, 1], "b": [1, 0]}),
    ],
)
def test_curves_of_one_covariate(expression, exponents) -> None:
    table, _ = found(expression)
    assert {name: table[name] for name in exponents} == exponents


def test_two_covariates() -> None:
    table, _ = found("a*x1*exp(-b*x2)", ("x1", "x2"))
    assert table == {"a": [-1, 0, 1], "b": [0, -1, 0]}


def test_positions_with_their_sign() -> None:
    table, position = found("a*exp(-((x - c)/w)**2) + d/(e + x)")
    assert position == {"c": [1.0], "e": [-1.0]} and table["w"] == [1, 0] and table["c"] == [1, 0]


def test_a_curve_against_the_rules_gets_finite_numbers() -> None:
    table, _ = found("exp(a*x) + exp(b*x**2) + a*b")
    assert np.isfinite(list(table.values())).all()


def test_what_it_does_not_know_constrains_nothing() -> None:
    traced = trace(lambda a, b, x: a * jnp.sort(jnp.stack([b * x, x]))[0], 1.0, 1.0, 1.0)
    table = dimensions(traced.jaxpr, [0, 1, None], 1)
    assert np.isfinite(table.exponents).all()
