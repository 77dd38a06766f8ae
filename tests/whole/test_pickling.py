"""Fits go to other processes and come back as they were: what they are made of is pickled, not what is compiled of it.

Functions of the user's are those of this module, so that the other process finds them by name.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp

X = np.linspace(0.0, 3.0, 30)
Y = 2.0 * np.exp(-0.7 * X) + 0.05 * np.cos(9.0 * X)
CURVE = {"x": X, "y": Y}
MANY = {"x": np.r_[X, X], "y": np.r_[Y, 2.0 * Y], "g": np.repeat(["a", "b"], len(X))}


def decay(params, x):
    return params["a"] * jnp.exp(-params["b"] * x)


def decay_of_numpy(params, x):
    return params["a"] * np.exp(-params["b"] * np.asarray(x))


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma


def straight(params, row):
    return normal(row["y"], params["a"] + params["b"] * row["x"], params["s"])


def curved(params, row):
    return normal(row.y, params["a"] * jnp.exp(-params["b"] * row.x), params["s"])


def plain(params, row):
    return float(-0.5 * ((row["y"] - params["a"]) / np.exp(params["s"])) ** 2 - params["s"])


def births():
    return rp.datasets.load("births")


FITS = {
    "formula": lambda: rp.glm("low ~ lwt + race + cr(age, df=3)", births(), family="binomial"),
    "arrays": lambda: rp.glm(Y, np.column_stack([np.ones(30), X]), names=["one", "x"]),
    "theta": lambda: rp.glm("lwt ~ age", births(), family="negative-binomial"),
    "levels": lambda: rp.glm("race ~ lwt", births(), family="multinomial"),
    "separated": lambda: rp.glm([0, 0, 0, 1, 1.0], [[1, 1], [1, 2], [1, 3], [1, 4], [1, 5.0]], family="binomial"),
    "expression": lambda: rp.nls("y ~ a*exp(-b*(x - 0.4))", CURVE, start={"b": 1.0}),
    "robust loss": lambda: rp.nls("y ~ a*exp(-b*x)", CURVE, start={"b": 1.0}, loss="huber"),
    "function": lambda: rp.nls(decay, (X, Y), start={"a": 1.0, "b": 1.0}),
    "finite": lambda: rp.nls(decay_of_numpy, (X, Y), start={"a": 1.0, "b": 1.0}, derivatives="finite"),
    "by name": lambda: rp.mle("student_t", {"location": "lwt ~ age", "log_scale": "~ age"}, births()),
    "cut points": lambda: rp.mle("ordered_logit", "race ~ lwt", births().assign(race=births()["race"].factorize()[0])),
    "density": lambda: rp.mle(normal, {"mu": "lwt ~ age", "log_sigma": "~ 1"}, births()),
    "predictors": lambda: rp.mle(straight, CURVE, start={"a": 1.0, "b": 0.0, "s": 0.0}),
    "all parameters": lambda: rp.mle(curved, CURVE, start={"a": 1.0, "b": 1.0, "s": 0.0}),
    "finite likelihood": lambda: rp.mle(plain, CURVE, start={"a": 1.0, "s": 0.0}, derivatives="finite"),
    "network": lambda: rp.network("y ~ x", CURVE, hidden=(3,), epochs=3, seed=1, progress=False),
}


def answers(fit):
    """What a fit says, from the data once more where it can be; an error is an answer, too."""
    asked = {
        "params": lambda: fit.params,
        "bse": lambda: fit.bse,
        "robust": lambda: fit.robust("HC0").cov_params(),
        "residuals": lambda: fit.residuals(),
        "predict": lambda: fit.predict(),
        "of new rows": lambda: fit.predict(
            {"x": [0.5, 1.5], "lwt": [100.0, 130.0], "age": [20, 30], "race": ["a", "b"]}
        ),
        "profile": lambda: fit.profile(fit.names[-1]).conf_int(),
        "information": lambda: fit.information("observed"),
        "summary": lambda: fit.summary().text,
        "update": lambda: fit.update(". ~ . + age").params,
        "path": lambda: fit.path,
    }
    out = {}
    for name, ask in asked.items():
        try:
            out[name] = ask()
        except (rp.RaphsonError, TypeError, AttributeError, IndexError) as error:
            out[name] = f"{type(error).__name__}: {error}"
    return out


def assert_same(found, expected, what):
    for name, value in expected.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(found[name], value, check_exact=True, obj=f"{what}, {name}")
        elif isinstance(value, pd.Series):
            pd.testing.assert_series_equal(found[name], value, check_exact=True, obj=f"{what}, {name}")
        elif isinstance(value, np.ndarray):
            assert np.array_equal(found[name], value, equal_nan=True), (what, name)
        else:
            assert str(found[name]) == str(value), (what, name)


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")


def test_every_fit_says_in_another_process_what_it_says_here(tmp_path: Path, script: Callable[..., Any]) -> None:
    fits = {name: make() for name, make in FITS.items()}
    sent = {name: pickle.dumps(fit) for name, fit in fits.items()}
    (tmp_path / "sent").write_bytes(pickle.dumps(sent))
    code = f"""
import pickle, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_pickling
sent = pickle.load(open({str(tmp_path / "sent")!r}, "rb"))
back = {{}}
for name, text in sent.items():
    fit = pickle.loads(text)
    back[name] = test_pickling.answers(fit), pickle.dumps(fit)
pickle.dump(back, open({str(tmp_path / "back")!r}, "wb"))
"""
    done = script(code)
    assert done.returncode == 0, done.stderr
    back = pickle.loads((tmp_path / "back").read_bytes())
    for name, fit in fits.items():
        here = answers(fit)
        assert not isinstance(here["params"], str) and not isinstance(here["summary"], pd.Series)
        assert_same(back[name][0], here, name)
        assert_same({"params": pickle.loads(back[name][1]).params}, {"params": here["params"]}, name)


def test_many_curves_go_and_come_back_with_what_fits_each_again() -> None:
    rows = (X, np.stack([Y, 2.0 * Y]))
    by_row = rp.nls(decay, rows, start={"a": 1.0, "b": 1.0})
    for fits, group in ((rp.nls("y ~ a*exp(-b*x)", MANY, start={"b": 1.0}, by="g"), "b"), (by_row, 1)):
        back = pickle.loads(pickle.dumps(fits))
        pd.testing.assert_frame_equal(back.params, fits.params, check_exact=True)
        pd.testing.assert_frame_equal(back.bse, fits.bse, check_exact=True)
        pd.testing.assert_series_equal(back[group].bse, fits[group].bse, check_exact=True)


def test_what_is_carried_is_no_compiled_code() -> None:
    fit = rp.nls("y ~ a*exp(-b*x)", CURVE, start={"b": 1.0})
    fit.summary()
    back = pickle.loads(pickle.dumps(fit))
    codes = [one._reading.state.at.asked.curve.derivatives.code for one in (fit, back)]
    assert codes[0] is codes[1]  # found again, not made anew
    assert len(pickle.dumps(fit)) < 50_000


def test_a_function_lives_as_long_as_the_fit_that_came_back() -> None:
    back = pickle.loads(pickle.dumps(rp.nls(decay, (X, Y), start={"a": 1.0, "b": 1.0})))
    gc.collect()
    np.testing.assert_allclose(back.predict(X[:3]), decay_of_numpy(back.params, X[:3]), rtol=1e-14)


def test_a_streamed_fit_carries_its_paths(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    births().to_parquet(path)
    fit = rp.glm("low ~ lwt + age", rp.stream(path), family="binomial")
    back = pickle.loads(pickle.dumps(fit))
    pd.testing.assert_frame_equal(back.information("observed"), fit.information("observed"), check_exact=True)
    assert back.summary().text == fit.summary().text
    assert len(pickle.dumps(fit)) < 50_000


def test_a_function_that_cannot_be_found_by_name_goes_with_cloudpickle() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    shift = 0.25

    def shifted(params, x):
        return params["a"] * jnp.exp(-params["b"] * (x - shift))

    fits = [
        rp.nls(shifted, (X, Y), start={"a": 1.0, "b": 1.0}),
        rp.mle(lambda y, mu, ls: normal(y, mu + shift, ls), {"mu": "lwt ~ age", "ls": "~ 1"}, births()),
        rp.mle(lambda params, row: straight(params, row) * 1.0, CURVE, start={"a": 1.0, "b": 0.0, "s": 0.0}),
    ]
    for fit in fits:
        with pytest.raises((pickle.PicklingError, AttributeError)):
            pickle.dumps(fit)
        back = pickle.loads(cloudpickle.dumps(fit))
        pd.testing.assert_frame_equal(back.robust("HC0").cov_params(), fit.robust("HC0").cov_params(), check_exact=True)
