"""Curves from chemistry, biology and physics, from no start and from one that is wrong by up to a factor of 100."""

from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.data.curves import parse_curve
from raphson.data.functions import numpy_function

POSITIVE = np.linspace(0.05, 10, 60)
DOSE = np.logspace(-3, 3, 40)
KELVIN = np.linspace(280, 380, 25)
WAVELENGTH = np.linspace(400, 500, 120)
TIME = np.linspace(0, 20, 150)

CURVES = {
    "Michaelis-Menten": ("vmax*x/(km + x)", POSITIVE, {"vmax": 5, "km": 1.3}, 0.03),
    "Hill": ("vmax*x**n/(k**n + x**n)", POSITIVE, {"vmax": 5, "k": 2.5, "n": 2.2}, 0.03),
    "four-parameter logistic": (
        "low + (top - low)/(1 + (x/ec50)**(-slope))",
        DOSE,
        {"low": 2, "top": 90, "ec50": 0.7, "slope": 1.1},
        1.0,
    ),
    "five-parameter logistic": (
        "low + (top - low)/(1 + (x/c)**(-slope))**g",
        DOSE,
        {"low": 2, "top": 90, "c": 0.7, "slope": 1.1, "g": 0.6},
        0.3,
    ),
    "Gompertz": ("a*exp(-b*exp(-c*x))", POSITIVE, {"a": 100, "b": 5, "c": 0.6}, 1.0),
    "biexponential": (
        "a1*exp(-k1*x) + a2*exp(-k2*x) + c",
        TIME,
        {"a1": 5, "k1": 1.5, "a2": 3, "k2": 0.15, "c": 0.3},
        0.01,
    ),
    "Arrhenius": ("A*exp(-Ea/(8.314*x))", KELVIN, {"A": 1e9, "Ea": 5e4}, 0.3),
    "peak": (
        "h*exp(-(x-c)**2/(2*s**2)) + b0 + b1*x",
        WAVELENGTH,
        {"h": 10, "c": 455, "s": 4, "b0": 5, "b1": -0.01},
        0.1,
    ),
    "two peaks": (
        "h1/(1 + ((x-c1)/w1)**2) + h2/(1 + ((x-c2)/w2)**2) + b",
        WAVELENGTH,
        {"h1": 10, "c1": 430, "w1": 3, "h2": 6, "c2": 461, "w2": 5, "b": 1},
        0.1,
    ),
    "damped oscillation": (
        "a*exp(-x/tau)*cos(2*pi*f*x + p) + c",
        TIME,
        {"a": 3, "tau": 8, "f": 0.7, "p": 0.5, "c": 0.2},
        0.1,
    ),
    "Antoine": ("A - B/(x + C)", KELVIN - 273.15, {"A": 8.07, "B": 1730, "C": 233.4}, 0.002),
    "van Genuchten": (
        "tr + (ts - tr)/(1 + (a*x)**n)**(1 - 1/n)",
        np.logspace(-1, 4, 40),
        {"tr": 0.06, "ts": 0.43, "a": 0.02, "n": 1.6},
        0.003,
    ),
    "power law": ("a*x**b + c", POSITIVE, {"a": 2, "b": 0.4, "c": -1}, 0.02),
    "Bateman": ("D*ka/(ka - ke)*(exp(-ke*x) - exp(-ka*x))", TIME, {"D": 10, "ka": 1.5, "ke": 0.2}, 0.1),
}


@pytest.mark.parametrize("name", CURVES)
def test_every_start_leads_to_the_same_minimum(name: str) -> None:
    text, x, truth, noise = CURVES[name]
    random = np.random.default_rng(11)
    curve = parse_curve(text, ["x"], "formula")
    y = curve.evaluate({**truth, "x": x}, numpy_function) + noise * random.normal(size=len(x))
    data = {"x": x, "y": y}
    near = rp.nls(f"y ~ {text}", data, start=truth)
    assert near.converged and near.residual_sd == pytest.approx(noise, rel=0.35)
    far = {key: value * 100.0 ** random.uniform(-1, 1) for key, value in truth.items()}
    for start in (None, far):
        fit = rp.nls(f"y ~ {text}", data, start=start)
        assert fit.converged and fit.rss == pytest.approx(near.rss, rel=1e-9), start


def test_a_division_by_zero_at_the_start_is_named() -> None:
    text, x, truth, _ = CURVES["Bateman"]
    with pytest.raises(rp.ConvergenceError, match=r"start: 'D \* ka / \(ka - ke\)' is not finite"):
        rp.nls(f"y ~ {text}", {"x": x, "y": x}, start=dict.fromkeys(truth, 1.0))
