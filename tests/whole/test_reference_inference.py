"""Profile intervals and terms left out, for every reference case that has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import raphson as rp

FILES = sorted((Path(__file__).parents[1] / "reference" / "glm").glob("*.json"))
HAVING = {key: [f.stem for f in FILES if key in json.loads(f.read_text())] for key in ("profile_ci", "drop1")}


def test_there_are_cases():
    assert len(HAVING["profile_ci"]) >= 3 and len(HAVING["drop1"]) >= 3


@pytest.mark.parametrize("name", HAVING["profile_ci"])
def test_profile_intervals_are_exact_roots(name, glm_case, correct_digits):
    case = glm_case(name)
    fit = rp.glm(case.formula, case.frame, family=case.family)
    truth = case.reference["profile_ci"]
    interval = fit.conf_int(truth["level"], kind="profile")
    assert correct_digits(interval["lower"], truth["lower"]) >= 9
    assert correct_digits(interval["upper"], truth["upper"]) >= 9


@pytest.mark.parametrize("name", HAVING["drop1"])
def test_terms_left_out(name, glm_case, correct_digits):
    case = glm_case(name)
    truth = case.reference["drop1"]
    table = rp.glm(case.formula, case.frame, family=case.family).drop1()
    assert table.index.tolist() == ["<none>", *truth["terms"]]
    table = table.iloc[1:]
    assert table["df"].tolist() == truth["df"]
    for mine, its in (("deviance", "deviance"), ("aic", "AIC"), ("statistic", "LRT"), ("p_value", "p_value")):
        assert correct_digits(table[mine], truth[its]) >= 10
