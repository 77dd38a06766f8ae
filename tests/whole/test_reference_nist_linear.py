"""NIST's linear regressions, certified from exact arithmetic, whatever the order of the rows."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import raphson as rp

FOLDER = Path(__file__).parents[1] / "reference" / "nist_linear"
ORDERS = ("given", "reversed", "by response", "shuffled")
DIGITS = {"Norris": 11.5, "NoInt1": 14, "Longley": 10, "Wampler1": 8.5, "Wampler4": 7, "Filip": 6.5}
"""What QR of the scaled columns can give."""


def load(name, order):
    problem = json.loads((FOLDER / f"{name}.json").read_text())
    frame = pd.DataFrame(dict(zip(problem["x_names"], problem["x"], strict=True)) | {"y": problem["y"]})
    n = len(frame)
    permutation = {
        "given": np.arange(n),
        "reversed": np.arange(n)[::-1],
        "by response": np.argsort(problem["y"]),
        "shuffled": np.random.default_rng(7).permutation(n),
    }[order]
    powers = range(2, (problem["polynomial_degree"] or 1) + 1)
    terms = [*problem["x_names"], *(f"I(x**{k})" for k in powers)]
    formula = "y ~ " + " + ".join(terms) + ("" if problem["intercept"] else " - 1")
    return formula, frame.iloc[permutation], problem


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", DIGITS)
def test_certified_estimates(name, order, correct_digits):
    formula, frame, problem = load(name, order)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = rp.glm(formula, frame, family="gaussian")
    certified = problem["certified"]
    assert correct_digits(fit.params, certified["params"]) >= DIGITS[name]
    assert fit.converged and not fit.params.isna().any()
    if problem["rss"]:
        assert correct_digits(fit.bse, certified["sd"]) >= min(DIGITS[name], 10)
        assert correct_digits(fit.residual_sd, problem["residual_sd"]) >= min(DIGITS[name], 9)
    else:
        assert fit.bse.max() < 1e-6


@pytest.mark.parametrize("name", ["Longley", "Filip"])
def test_the_solver_changes_over_by_itself(name):
    # Cholesky of X'X would give 7 digits of Longley and none of Filip.
    formula, frame, _ = load(name, "given")
    assert rp.glm(formula, frame).path["solver"].iloc[-1] == "qr"


def test_a_well_conditioned_design_keeps_cholesky():
    formula, frame, _ = load("Norris", "given")
    assert rp.glm(formula, frame).path["solver"].iloc[-1] == "cholesky"


@pytest.mark.parametrize("method", ["newton", "irls", "bhhh", "newton-cg"])
@pytest.mark.parametrize("name", ["Longley", "Wampler4", "Filip"])
def test_other_methods(name, method, correct_digits):
    formula, frame, problem = load(name, "given")
    fit = rp.glm(formula, frame, method=method)
    assert fit.converged
    assert correct_digits(fit.params, problem["certified"]["params"]) >= DIGITS[name]
    # The standard errors come from a factor of their own and must not be worse.
    assert correct_digits(fit.bse, problem["certified"]["sd"]) >= DIGITS[name]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", DIGITS)
def test_claimed_digits_are_there(name, order):
    formula, frame, problem = load(name, order)
    fit = rp.glm(formula, frame)
    truth = np.array(problem["certified"]["params"])
    error = np.abs(fit.params.to_numpy() / truth - 1.0)
    # Certified values have 15 digits; x**k of the frame is rounded before the fit sees it (Filip: 2.5e-8).
    # How far rounding reaches is estimated, to half a digit.
    claimed = 10.0 ** (0.5 - fit.digits.to_numpy())
    assert (error <= claimed + (2.5e-8 if name == "Filip" else 1e-14)).all()
