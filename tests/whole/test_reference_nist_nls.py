"""NIST's certified nonlinear regressions, at default settings, from both of NIST's starts.

The truth is `polished`: 80-digit Gauss-Newton on the decimal data, rounded to the nearest double; it agrees with what
NIST certifies in every digit that NIST gives. Standard deviations are those of (JᵀJ)⁻¹ RSS/df.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import raphson as rp

PLACE = Path(__file__).parents[1] / "reference" / "nist_nls"
NAMES = sorted(path.stem for path in PLACE.glob("*.json"))
BEYOND_DOUBLE = "Lanczos1"
"""Its residual sum of squares, 1.4e-25, is below the rounding of y."""


def problem(name: str) -> dict[str, Any]:
    found = json.loads((PLACE / f"{name}.json").read_text())
    found["data"] = pd.DataFrame({**dict(zip(found["x_names"], found["x"], strict=True)), "y": found["y"]})
    found["formula"] = f"{found['response']} ~ {found['expr']}"
    return found


def start_of(case: dict[str, Any], which: str) -> dict[str, float]:
    return dict(zip(case["param_names"], case[which], strict=True))


def check(fit: rp.Fit, case: dict[str, Any], correct_digits) -> None:
    truth = case["polished"]
    names = case["param_names"]
    assert fit.converged, fit.message
    assert correct_digits(fit.params[names], truth["params"]) >= 9
    if case["name"] != BEYOND_DOUBLE:
        assert correct_digits(fit.bse[names], truth["sd"]) >= 8
        assert correct_digits(fit.rss, truth["rss"]) >= 9
        assert correct_digits(fit.residual_sd, truth["residual_sd"]) >= 9
        assert fit.df_resid == case["df"]


@pytest.mark.parametrize("which", ["start1", "start2"])
@pytest.mark.parametrize("name", NAMES)
def test_every_digit_from_both_starts(name: str, which: str, correct_digits) -> None:
    case = problem(name)
    check(rp.nls(case["formula"], case["data"], start=start_of(case, which)), case, correct_digits)


LINEAR = {
    "DanWood": {"b1"},
    "Gauss2": {"b1", "b3", "b6"},
    "Hahn1": {"b1", "b2", "b3", "b4"},
    "Lanczos3": {"b1", "b3", "b5"},
    "MGH09": {"b1"},
    "Nelson": {"b1", "b2"},
    "Rat43": {"b1"},
    "Roszman1": {"b1", "b2"},
    "Thurber": {"b1", "b2", "b3", "b4"},
}
"""The parameters that each curve is linear in together, of one curve of each kind."""


@pytest.mark.parametrize("name", LINEAR)
def test_conditionally_linear_parameters_need_no_start(name: str, correct_digits) -> None:
    case = problem(name)
    start = {key: value for key, value in start_of(case, "start2").items() if key not in LINEAR[name]}
    check(rp.nls(case["formula"], case["data"], start=start), case, correct_digits)


@pytest.mark.parametrize("name", NAMES)
def test_no_start_is_needed_at_all(name: str, correct_digits) -> None:
    case = problem(name)
    fit = rp.nls(case["formula"], case["data"])
    assert fit.converged and "without starting values, several were tried" in fit.message
    if name == BEYOND_DOUBLE:
        assert fit.rss < 1e-20
    else:
        assert correct_digits(fit.rss, case["polished"]["rss"]) >= 9


@pytest.mark.parametrize(
    ("name", "seed"), [("Bennett5", 0), ("ENSO", 1), ("Gauss1", 0), ("Gauss2", 1), ("Lanczos3", 0), ("Chwirut1", 1)]
)
def test_bad_starts_lead_to_the_same_minimum(name: str, seed: int, correct_digits) -> None:
    case = problem(name)
    truth = np.array(case["polished"]["params"])
    start = truth * 100.0 ** np.random.default_rng(seed).uniform(-1, 1, len(truth))
    fit = rp.nls(case["formula"], case["data"], start=dict(zip(case["param_names"], start, strict=True)))
    assert fit.converged and correct_digits(fit.rss, case["polished"]["rss"]) >= 9


@pytest.mark.parametrize("name", ["Thurber", "MGH10"])
def test_the_order_of_the_rows_does_not_matter(name: str, correct_digits) -> None:
    case = problem(name)
    data = case["data"].sample(frac=1.0, random_state=1)
    check(rp.nls(case["formula"], data, start=start_of(case, "start2")), case, correct_digits)


def test_methods_meet_at_the_same_minimum(correct_digits) -> None:
    case = problem("Misra1a")
    for method in ("gauss-newton", "modified-gauss-newton", "levenberg-marquardt", "newton"):
        fit = rp.nls(case["formula"], case["data"], start=start_of(case, "start2"), method=method)
        check(fit, case, correct_digits)


def test_finite_differences_reach_the_digits_too(correct_digits) -> None:
    case = problem("Misra1a")

    def curve(params: dict[str, Any], x: np.ndarray) -> np.ndarray:
        return params["b1"] * (1.0 - np.exp(-params["b2"] * x))

    fit = rp.nls(curve, (case["x"][0], case["y"]), start=start_of(case, "start2"), derivatives="finite")
    assert correct_digits(fit.params, case["polished"]["params"]) >= 8
    assert correct_digits(fit.bse, case["polished"]["sd"]) >= 6
