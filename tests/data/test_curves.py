"""Expressions of curves: what they may hold, and that nothing else is ever evaluated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raphson as rp
from raphson.data.curve_data import from_curve
from raphson.data.curves import parse_curve, split_curve
from raphson.data.functions import OF_NUMBERS, numpy_function
from raphson.errors import MissingDataWarning


def value(source, **values):
    return parse_curve(source, list(values), "formula").evaluate(values, numpy_function)


@pytest.mark.parametrize(
    "source",
    [
        "x.real",
        "x.__class__",
        "a.b.c()",
        "(x).real",
        "foo(x)",
        "open('file')",
        "eval('1')",
        "__import__('os')",
        "__builtins__",
        "a__b__",
        "lambda z: z",
        "[z for z in x]",
        "{1: 2}",
        "{1, 2}",
        "[1, 2]",
        "(1, 2)",
        "'text'",
        'f"{x}"',
        "(y := 3)",
        "x[0]",
        "x if a else b",
        "a and b",
        "not a",
        "x < y < z",
        "x is a",
        "x // 2",
        "a @ b",
        "a | b",
        "a << 2",
        "~a",
        "1j",
        "True + x",
        "None",
        "...",
        "*x",
        "exp(*x)",
        "exp(x, out=x)",
        "exp(x, y)",
        "exp()",
        "exp",
        "np.load(x)",
        "jnp.save(x, y)",
        "math.os(x)",
        "exp.__call__(x)",
        "await x",
        "yield",
        "x; y",
        "x\nimport os",
        "x = 3",
        "",
        "a +",
        "((a)",
        "a)",
        "!x",
        "x ? y",
        "$x",
        "\\x",
        "(" * 200 + "x" + ")" * 200,
    ],
)
def test_anything_else_is_refused_unevaluated(source):
    with pytest.raises(rp.FormulaError) as error:
        parse_curve(source, ["x"], "formula")
    assert "\n" not in str(error.value) and str(error.value).startswith("formula: ")


@pytest.mark.parametrize(
    "source", ["a + 9**9**9", "a*10**400", "x**(9**9**9)", "a + 1/0", "a + 5 % 0", "a + (-8)**0.5"]
)
def test_arithmetic_of_constants_ends(source):
    with pytest.raises(rp.FormulaError, match=r"cannot be computed|not a real number|too large"):
        value(source, a=1.0, x=2.0)


def test_what_is_allowed():
    assert value("2*a^2 + -x/4 - (3 % 2)", a=3.0, x=4.0) == 16.0
    assert value("where(x > 1, a, 0) + (x >= 2)", a=3.0, x=2.0) == 4.0
    assert value("np.exp(x) + log(a) + I(x)", a=math.e, x=0.0) == pytest.approx(2.0)
    assert value("pmax(a, x) + min(a, x) + atan2(a, a)", a=1.0, x=2.0) == pytest.approx(3 + math.pi / 4)
    assert value("erf(x) + plogis(a) + pnorm(a) + gamma(x + 4)", a=0.0, x=0.0) == pytest.approx(7.0)
    assert value("2*pi*lambda", **{"lambda": 0.5}) == pytest.approx(math.pi)
    assert value("Solar.R*1e-3", **{"Solar.R": 1000.0}) == 1.0


def test_every_function_has_numbers_and_derivatives():
    import jax

    from raphson.model.curve.compiled import jax_function
    from raphson.numeric import x64

    for name, (_, arity) in OF_NUMBERS.items():
        at = 1.5 if "acosh" in name or "arccosh" in name else 0.4
        names = ["a", "b", "c"][:arity]
        values = {one: at + 0.1 * k for k, one in enumerate(names)}
        curve = parse_curve(f"{name}({', '.join(names)})", names, "formula")
        plain = curve.evaluate(values, numpy_function)
        with x64():

            def by_first(t, curve=curve, values=values):
                return curve.evaluate(values | {"a": t}, jax_function) * 1.0

            traced, slope = float(by_first(at)), float(jax.grad(by_first)(at))
        h = 1e-6
        up, down = (float(curve.evaluate(values | {"a": at + s * h}, numpy_function)) for s in (1, -1))
        assert traced == pytest.approx(float(plain), rel=1e-12), name
        assert slope == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-7), name


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abxy()+-*/^%.~_'\"[]{}:=<>!,0123456789 \n", max_size=30))
def test_no_text_does_anything_but_parse_or_be_refused(text):
    try:
        parse_curve(text, ["x", "y"], "formula")
    except rp.RaphsonError as error:
        assert "\n" not in str(error)


def test_sides():
    assert split_curve("log(y) ~ a*x") == ("log(y)", "a*x")
    for formula in ("y", "y ~", "~ x", "y ~ a ~ b"):
        with pytest.raises(rp.FormulaError, match="response ~ curve"):
            split_curve(formula)


def test_the_first_step_that_is_not_finite():
    curve = parse_curve("a*sqrt(log(x))", ["x"], "formula")
    step, rows = curve.first_not_finite({"a": 1.0, "x": np.array([1.0, 0.5, 3.0])})
    assert step == "sqrt(log(x))" and rows.tolist() == [False, True, False]
    assert curve.first_not_finite({"a": 1.0, "x": np.array([2.0])}) is None


@pytest.mark.parametrize("formula", ["v ~ V*S/(K + S)", "conc ~ conc0*exp(-S)", "S ~ a*s*v"])
def test_a_parameter_may_look_like_a_column_that_the_formula_uses(formula):
    read = from_curve(formula, {"v": [1.0, 2, 3], "S": [1.0, 2, 4], "conc": [3.0, 2, 1]}, {})
    assert {"V", "conc0", "s"} & set(read.parameters)


def test_rows_are_counted_for_one_reason_each():
    data = {"x": [1.0, 2, 3], "y": [np.inf, 2.0, 3.0]}
    with pytest.warns(MissingDataWarning, match="for infinite values in y$"):
        from_curve("y ~ a*x", data, {})
    with pytest.warns(MissingDataWarning, match=r"not finite in log\(y - 2\)"):
        from_curve("log(y - 2) ~ a*x", data, {})


@pytest.mark.parametrize(
    ("source", "form", "numbers"),
    [
        ("a*exp(b*(x - 1.7)/2.5)", "a * exp(b * (x - `#0`) / `#1`)", [1.7, 2.5]),
        ("a*(1 - exp(-b*x))", "a * (1 - exp(-b * x))", []),
        ("a*x^2 + b*x^-0.5 + c*x^-1.3", "a * x ** 2 + b * x ** (-0.5) + c * x ** (-`#0`)", [1.3]),
        ("a*x**(1/2) + pow(x, 0.7)*pow(3, b)", "a * x ** 0.5 + pow(x, `#0`) * pow(`#1`, b)", [0.7, 3.0]),
        ("a*sin(2*pi*x/12 + b)", "a * sin(`#0` * x / `#1` + b)", [2 * np.pi, 12.0]),
        ("a + (3 - 10)*x", "a + -`#0` * x", [7.0]),
        ("ifelse(x > 4, a, 0)", "ifelse(x > `#0`, a, 0)", [4.0]),
    ],
)
def test_numbers_are_taken_out_of_an_expression_but_for_those_that_make_its_kind(source, form, numbers):
    curve = parse_curve(source, ["x"], "formula")
    found, constants = curve.form
    assert (found.text, list(constants.values())) == (form, numbers)
    values = {"a": 1.3, "b": 0.4, "c": 0.8, "x": np.linspace(0.5, 6.0, 7)}
    values = {name: value for name, value in values.items() if name in curve.names}
    np.testing.assert_allclose(
        found.evaluate(values | constants, numpy_function), curve.evaluate(values, numpy_function), rtol=1e-15
    )


def test_a_number_takes_no_name_of_the_users():
    curve = parse_curve("`#0`*x + 2.5 + pi", ["x", "#0", "pi"], "formula")
    form, constants = curve.form
    assert form.text == "`#0` * x + `#0#` + pi" and constants == {"#0#": 2.5}
