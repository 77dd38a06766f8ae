"""Curves with x = 0 under a power: dose-response, relaxation and growth curves, fitted in every form.

The right values are SciPy's, whose differences never see the derivative at 0.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

import raphson as rp

DOSE = np.array([0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.1, 6.2, 12.5, 25])
RESPONSE = np.array([0.083, 0.07, 0.130, 0.187, 0.301, 0.502, 0.823, 1.180, 1.500, 1.683, 1.791])
TIME = np.linspace(0, 10, 21)
RELAXED = 3 * np.exp(-((TIME / 2) ** 0.6)) + 0.03 * np.cos(9 * TIME)


@pytest.fixture(scope="module")
def logistic() -> np.ndarray:
    """bottom, top, half, slope."""

    def residuals(p: np.ndarray) -> np.ndarray:
        return p[0] + (p[1] - p[0]) * (1 - 1 / (1 + (DOSE / p[2]) ** p[3])) - RESPONSE

    return least_squares(residuals, [0.08, 1.9, 2, 1.2], xtol=1e-15, ftol=1e-15, gtol=1e-15).x


@pytest.fixture(scope="module")
def stretched() -> np.ndarray:
    """A, tau, beta."""
    found = least_squares(
        lambda p: p[0] * np.exp(-((TIME / p[1]) ** p[2])) - RELAXED, [3, 2, 0.6], xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    return found.x


@pytest.mark.parametrize(
    "written",
    [
        "top + (bottom - top)/(1 + (x/half)**slope)",
        "bottom + (top - bottom)/(1 + (half/x)**slope)",
        "bottom + (top - bottom)/(1 + exp(-slope*log(x/half)))",
    ],
)
def test_a_dose_of_zero_without_a_start(written: str, logistic: np.ndarray) -> None:
    # Red where the search, the iteration or a second derivative meets NaN.
    fit = rp.nls(f"y ~ {written}", {"x": DOSE, "y": RESPONSE})
    assert fit.converged
    np.testing.assert_allclose(fit.params[["bottom", "top", "half", "slope"]], logistic, rtol=1e-5)
    assert np.isfinite(fit.bse).all() and "nan" not in str(fit.curvature())


def test_a_function_and_a_likelihood_with_a_zero(stretched: np.ndarray) -> None:
    # Red where only expressions are rewritten. Of a normal likelihood the curve's estimates are the same.
    start = {"A": 2.0, "tau": 1.0, "beta": 1.0}

    def curve(p: dict, x: jnp.ndarray) -> jnp.ndarray:
        return p["A"] * jnp.exp(-jnp.power(x / p["tau"], p["beta"]))

    fit = rp.nls(curve, (TIME, RELAXED), start=start)
    np.testing.assert_allclose(fit.params, stretched, rtol=1e-5)

    def loglik(p: dict, row: Any) -> jnp.ndarray:
        return -0.5 * ((row.y - curve(p, row.x)) / jnp.exp(p["log_sigma"])) ** 2 - p["log_sigma"]

    likelihood = rp.mle(loglik, {"x": TIME, "y": RELAXED}, start=start | {"log_sigma": -1.0})
    assert likelihood.converged
    np.testing.assert_allclose(likelihood.params[["A", "tau", "beta"]], stretched, rtol=1e-5)


def test_many_curves_with_a_zero(stretched: np.ndarray) -> None:
    # Red where the compiled batches keep JAX's derivative: the starting values come back.
    data = {"t": np.r_[TIME, TIME], "y": np.r_[RELAXED, 2 * RELAXED], "g": np.repeat(["a", "b"], len(TIME))}
    fits = rp.nls("y ~ A*exp(-(t/tau)**beta)", data, by="g", start={"A": 3, "tau": 2.5, "beta": 0.8})
    assert fits.converged.all()
    np.testing.assert_allclose(fits.params[["tau", "beta"]], np.tile(stretched[1:], (2, 1)), rtol=1e-5)


def test_a_threshold_by_max() -> None:
    # Red where the derivative above the threshold is ∞ · 0. Above Tc the curve is 0: the rest is fitted without a max.
    T = np.linspace(0.5, 1.5, 30)
    y = 2 * np.maximum(1 - T / 1.1, 0) ** 0.5 + 0.01 * np.sin(40 * T)
    fit = rp.nls("y ~ M*max(1 - T/Tc, 0)**b", {"T": T, "y": y}, start={"M": 1.5, "Tc": 1.15, "b": 0.6})
    below = T < 1.1

    def residuals(p: np.ndarray) -> np.ndarray:
        return p[0] * np.maximum(1 - T[below] / p[1], 0) ** p[2] - y[below]

    found = least_squares(residuals, [2, 1.1, 0.5], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fit.converged
    np.testing.assert_allclose(fit.params, found.x, rtol=1e-4)
