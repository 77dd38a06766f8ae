"""What bad input to rp.nls gets: one line that names what is wrong, where, and what to do."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp

DATA = {"x": [1.0, 2, 3, 4, 5, 6], "y": [1.0, 2.1, 2.9, 4.2, 5.1, 5.8], "g": list("aabbcc")}
CURVE = "y ~ a*exp(b*x)"
XY = (np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.5]))


def refused(match, *arguments, error=rp.ModelError, **keywords):
    with pytest.raises(error, match=match) as caught:
        rp.nls(*arguments, **keywords)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "options", "match", "error"),
    [
        (CURVE, {"start": {"b": 3}, "bounds": {"b": (0, 1)}}, r"start: b = 3 lies outside its bounds \(0, 1\)", 0),
        ("y ~ a*exp(rate*x)", {"start": {"rat": 0.1}}, "'rat' does not occur in the curve .* Did you mean 'rate'", 1),
        (CURVE, {"sigma": "y", "weights": "y"}, "sigma: it means precision weights of 1/sigma", 0),
        (CURVE, {"sigma": "y", "weights_kind": "frequency"}, "sigma: it means precision weights of 1/sigma", 0),
        (CURVE, {"absolute_sigma": True}, "absolute_sigma: it says what sigma= are; pass them", 0),
        (
            CURVE,
            {"absolute_sigma": True, "dispersion": "ml", "sigma": "y"},
            "absolute_sigma: True means dispersion=1",
            0,
        ),
        (CURVE, {"start": {"b": 0.1, "x": 1.0}}, "start: 'x' is a column of the data, so it cannot be a parameter", 1),
        ("y ~ a*exp(b*X)", {"start": {"b": 0.1}}, "column 'X' is not in the data; did you mean 'x'", 2),
        ("y ~ a*foo(b*x)", {"start": {"b": 0.1}}, r"'foo\(b \* x\)' in .* is not allowed", 1),
        ("y ~ a*x.real", {}, "'x.real' in .* is not allowed", 1),
        ("y ~ a*log(b*(x-3))", {"start": {"b": 1.0}}, r"'log\(b \* \(x - 3\)\)' is not finite in 3 of 6 rows", 3),
        (CURVE, {"start": {"a": 1.0, "b": 1e4}}, r"'exp\(b \* x\)' is not finite in 6 of 6 rows", 3),
        (CURVE, {"start": {"b": 0.1, "q": 1}}, "'q' does not occur in the curve", 1),
        (CURVE, {"start": {"b": 0.1}, "bounds": {"q": (0, 1)}}, "bounds: 'q' does not occur in the curve", 1),
        (CURVE, {"fixed": {"q": 1}}, "fixed: 'q' does not occur in the curve", 1),
        (CURVE, {"fixed": {"b": 3}, "bounds": {"b": (0, 1)}}, "fixed: b = 3 lies outside its bounds", 0),
        (CURVE, {"start": {"b": math.nan}}, "start: expected a finite number for 'b'; got nan", 0),
        (CURVE, {"bounds": (0, 1)}, r"bounds: .* such as {'b1': \(0, None\)}; got \(0, 1\)", 0),
        (CURVE, {"start": {"b": "q"}}, "start: expected a number for 'b'; got 'q'", 0),
        (CURVE, {"start": [1, 2]}, "start: expected a dict of values by name", 0),
        (CURVE, {"start": {"b": 0.1}, "bounds": {"b": (1, 0)}}, "bounds: expected lower < upper for 'b'", 0),
        (CURVE, {"start": {"b": 0.1}, "bounds": {"b": "x"}}, r"bounds: expected \(lower, upper\) for 'b'", 0),
        (CURVE, {"start": {"b": 0.1}, "loss": "l1"}, "loss: expected one of squared, huber", 0),
        (CURVE, {"start": {"b": 0.1}, "method": "lm"}, "method: there is no method named 'lm'", 0),
        (CURVE, {"start": {"b": 0.1}, "by": "q"}, "column 'q' is not in the data", 2),
        (CURVE, {"start": {"b": 0.1}, "weights": -np.ones(6)}, "weights: expected numbers of 0 or more", 2),
        (
            CURVE,
            {"start": {"b": 0.1}, "sigma": [1, 1, 0, 1, 1, 1]},
            "expected positive .*; 1 is not, in row 2",
            2,
        ),
        (
            CURVE,
            {"start": {"b": 0.1}, "sigma": np.eye(6)},
            "sigma: expected one standard deviation for each row",
            2,
        ),
        (CURVE, {"start": {"b": 0.1}, "weights": np.ones(5)}, "weights: expected 6 numbers", 2),
        (
            CURVE,
            {"start": {"b": 0.1}, "derivatives": "finite"},
            "derivatives: those of an expression are always exact",
            0,
        ),
        ("y ~ a*g", {}, "column 'g' holds text .* fit a curve for each value with by=", 2),
        ("a*exp(b*x)", {}, "expected 'response ~ curve'", 1),
        (
            "y ~ a*exp(-lambda*x)",
            {},
            "lambda is a reserved word of Python: if it is a name, write it in backticks, `lambda`",
            1,
        ),
        ("1 ~ b*x", {}, "the response '1' contains no column", 1),
        ("y ~ x", {}, "expected at least one parameter", 0),
        ("y ~ a*9**9**9", {}, "cannot be computed", 1),
    ],
)
def test_expressions(formula, options, match, error):
    kinds = (rp.ModelError, rp.FormulaError, rp.DataError, rp.ConvergenceError)
    refused(match, formula, DATA, error=kinds[error], **options)


def test_data():
    few = {"x": [1.0, 2, 3], "y": [1.0, 2, 3]}
    start = {"start": {"b": 0.1}}
    refused(
        "at least as many rows as parameters; got 3 rows and 4", CURVE + " + c*x + d", few, error=rp.DataError, **start
    )
    refused("contains complex numbers", CURVE, {"x": np.array([1j, 2]), "y": [1.0, 2]}, error=rp.DataError, **start)
    refused("contains complex numbers", CURVE, {"x": [1.0, 2], "y": np.array([1j, 2])}, error=rp.DataError, **start)
    refused("but no rows", CURVE, {"x": [], "y": []}, error=rp.DataError, **start)
    refused("expected an expression such as", 3, DATA)


def line(p, x):
    return p["a"] * x


@pytest.mark.parametrize(
    ("function", "data", "start", "match"),
    [
        (line, XY, {"a": 1.0, "b": 2.0}, "the model does not depend on 'b'"),
        (line, (XY[0], XY[1][:2]), {"a": 1.0}, r"predictions of the shape of y, \(2,\); the function returns \(3,\)"),
        (lambda p, x: p["a"] * jnp.sum(x), XY, {"a": 1.0}, r"shape of y, \(3,\); the function returns \(\)"),
        (line, (np.ones((3, 2)), XY[1]), {"a": 1.0}, r"the function returns \(3, 2\)"),
        (lambda p, x: np.exp(p["a"] * x), XY, {"a": 0.1}, "passes a traced value to NumPy.*derivatives='finite'"),
        (lambda p, x: math.exp(p["a"]) * x, XY, {"a": 0.1}, "cannot be traced.*derivatives='finite'"),
        (lambda p, x: p["a"] * x if p["a"] > 0 else x, XY, {"a": 0.1}, "Python `if`.*derivatives='finite'"),
        (lambda p, x: p["a"] * x * (1 + 1j), XY, {"a": 0.1}, "expected real predictions"),
        (lambda p, x: p["z"] * x, XY, {"a": 0.1}, "KeyError: 'z'"),
        (lambda p, x: None, XY, {"a": 0.1}, "expected one array of predictions; got 0"),
        (lambda p, x: (x, x), XY, {"a": 0.1}, "expected one array of predictions; got 2"),
        (line, XY, {"a": 1j}, "start: expected numbers for a; got 1j"),
        (line, XY, None, "a function needs start="),
    ],
)
def test_functions(function, data, start, match):
    refused(match, function, data, start=start)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (([], []), r"y: expected numbers in one or two dimensions; got shape \(0,\)"),
        ((np.array([1.0, 2j, 3.0]), XY[1]), "x: expected real numbers; got complex numbers"),
        ((np.array(["a", "b", "c"]), XY[1]), "x: expected real numbers"),
        (XY[0], r"takes data=\(x, y\)"),
        ((XY[0], np.ones((3, 1, 1))), "one or two dimensions"),
    ],
)
def test_arrays(data, match):
    refused(match, line, data, start={"a": 1.0}, error=rp.DataError)


SPREAD = "expected f.params, x., with all parameters in the first argument, as in start=; got "


@pytest.mark.parametrize(
    ("function", "start", "match"),
    [
        (lambda x, a, b: a * x + b, {"a": 1.0, "b": 1.0}, r"f\(x, a, b\).*: f\(x, params\['a'\], params\['b'\]\)"),
        (lambda x, a: a * x, {"a": 1.0}, r"f\(x, a\). Wrap it: lambda params, x: f\(x, params\['a'\]\)"),
        (lambda x, a, b: a * x + b, [1.0, 1.0], r"f\(x, a, b\). Wrap .*f\(x, \*params\), with an array for start="),
        (lambda x, *rest: rest[0] * x, [1.0], r"f\(x, \*rest\)"),
        (lambda p: p["a"], {"a": 1.0}, r"f\(p\). Let it take the parameters as one argument, and then x"),
    ],
)
@pytest.mark.parametrize("derivatives", ["exact", "finite"])
def test_the_signature_of_another_library(function, start, match, derivatives):
    refused(SPREAD + match, function, XY, start=start, derivatives=derivatives)


def test_a_function_that_takes_x_first():
    refused(r"f takes x first. Exchange its arguments, or wrap it", lambda x, p: p["a"] * x, XY, start={"a": 1.0})


def test_a_function_that_is_not_finite_at_the_start():
    refused(
        r"the model is not finite in 2 of 3 values \(number 0, 1, counted from 0\) at a=0.1",
        lambda p, x: p["a"] * jnp.log(x - 2),
        XY,
        start={"a": 0.1},
        error=rp.ConvergenceError,
    )


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda p, x: x / 0 if False else 1 // 0, "failed at a=0.1 with ZeroDivisionError"),
        (lambda p, x: p["zz"], "failed at a=0.1 with KeyError: 'zz'"),
        (lambda p, x: p["a"], r"shape of y, \(3,\); the function returns \(\)"),
        (lambda p, x: x * 1j, "expected real numbers from the function"),
    ],
)
def test_functions_that_are_only_called(function, match):
    refused(match, function, XY, start={"a": 0.1}, derivatives="finite")


def test_a_simulator_that_raises_is_told_what_to_return():
    def fragile(p, x):
        if p["a"] > 0.5:
            raise ValueError("no solution")
        return p["a"] * x

    refused(
        r"failed at a=.* with ValueError: no solution. Let it return NaN",
        fragile,
        XY,
        start={"a": 0.1},
        derivatives="finite",
    )
