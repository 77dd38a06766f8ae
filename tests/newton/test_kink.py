"""Minima at kinks: a break at a data point is found, proved by one-sided derivatives, and told of."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp

X = np.arange(10.0)
Y = np.array([0, 1.1, 1.9, 3.1, 4.4, 3.1, 1.9, 1.1, 0, -1.0])
START = {"y0": 4.0, "x0": 4.3, "k1": 1.0, "k2": -1.0}
DESIGN = np.column_stack([np.ones(10), np.minimum(X - 4, 0), np.maximum(X - 4, 0)])
"""Of the line with its break at 4: y0, k1, k2 by linear least squares."""


def stick(p: dict, x: jnp.ndarray) -> jnp.ndarray:
    return p["y0"] + p["k1"] * jnp.minimum(x - p["x0"], 0) + p["k2"] * jnp.clip(x - p["x0"], 0, None)


def fitted(form: str, method: str) -> rp.Fit:
    if form == "function":
        return rp.nls(stick, (X, Y), start=START, method=method)
    return rp.nls(f"y ~ {form}", {"x": X, "y": Y}, start=START, method=method)


@pytest.mark.parametrize(
    ("form", "method"),
    [
        ("y0 + k1*(x - x0) + (k2 - k1)*max(x - x0, 0)", "levenberg-marquardt"),
        ("where(x < x0, y0 + k1*(x - x0), y0 + k2*(x - x0))", "newton"),
        ("function", "gauss-newton"),
    ],
)
def test_a_break_at_a_data_point(form: str, method: str) -> None:
    # Red where the end is called a failure, is not brought onto the kink, or has an error across it.
    fit = fitted(form, method)
    right, rss = np.linalg.lstsq(DESIGN, Y, rcond=None)[:2]
    errors = np.sqrt(np.diag(np.linalg.inv(DESIGN.T @ DESIGN)) * rss[0] / (10 - 4))
    assert fit.status.value == "boundary" and fit.converged
    assert fit.params["x0"] == pytest.approx(4.0, abs=1e-12) and fit.rss == pytest.approx(rss[0], rel=1e-12)
    np.testing.assert_allclose(fit.params[["y0", "k1", "k2"]], right, rtol=1e-10)
    np.testing.assert_allclose(fit.bse[["y0", "k1", "k2"]], errors, rtol=1e-8)
    assert np.isnan(fit.bse["x0"]) and "kink at x0 = 4," in " ".join(fit.remarks)


def test_two_breaks_at_data_points() -> None:
    # Red where only one kink is looked at: all four sides have to fall.
    x = np.arange(15.0)
    y = np.interp(x, [0, 4, 9, 14], [0, 4, -1, 4]) + 0.05 * np.cos(7 * x) + 0.5 * (x == 4) - 0.5 * (x == 9)
    fit = rp.nls("y ~ a + b*x + c*max(x - x1, 0) + d*max(x - x2, 0)", {"x": x, "y": y}, start={"x1": 4.3, "x2": 8.6})
    A = np.column_stack([np.ones(15), x, np.maximum(x - 4, 0), np.maximum(x - 9, 0)])
    assert fit.converged and fit.rss == pytest.approx(np.linalg.lstsq(A, y, rcond=None)[1][0], rel=1e-12)
    np.testing.assert_allclose(fit.params[["x1", "x2"]], [4, 9], atol=1e-12)


def test_a_break_between_data_points_is_no_kink() -> None:
    x = np.arange(10.0)
    y = np.interp(x, [0, 4.4, 9], [0, 4, -1]) + 0.05 * np.cos(9 * x)
    fit = rp.nls("y ~ y0 + k1*(x - x0) + (k2 - k1)*max(x - x0, 0)", {"x": x, "y": y}, start=START)
    assert fit.status.value == "converged" and np.isfinite(fit.bse).all() and 4 < fit.params["x0"] < 5
