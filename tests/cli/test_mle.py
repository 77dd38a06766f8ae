"""``raphson mle``."""

from __future__ import annotations

import json
from typing import get_args

import pytest

import raphson as rp
from raphson import datasets
from raphson.choices import DensityName
from raphson.cli.parse import parser

BIRTHS = str(datasets.path("births"))


def test_each_parameter_has_its_formula(run, capsys) -> None:
    arguments = ("tobit", "mean = lwt ~ age", "log_sigma = ~ smoke", BIRTHS, "--columns", "lower=80", "--json")
    assert run("mle", *arguments) == 0
    found = json.loads(capsys.readouterr().out)["coefficients"]
    births = rp.datasets.load("births")
    expected = rp.mle("tobit", {"mean": "lwt ~ age", "log_sigma": "~ smoke"}, births, columns={"lower": 80})
    assert {row["term"]: row["estimate"] for row in found} == pytest.approx(expected.params.to_dict())


def test_one_formula_is_of_the_first_parameter_even_with_an_equals_sign(run, capsys) -> None:
    assert run("mle", "ordered_logit", "ftv ~ I(age >= 20)", BIRTHS, "--json") == 0
    names = [row["term"] for row in json.loads(capsys.readouterr().out)["coefficients"]]
    assert any("age" in name for name in names)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tobitt", "lwt ~ age", BIRTHS), "tobit"),
        (("tobit", "lwt ~ age", "~ smoke", BIRTHS), "log_sigma = ~ x"),
        (("tobit", "mean = lwt ~ age", "mean = lwt ~ 1", BIRTHS), "two for mean"),
        (("tobit", "mean = lwt ~ age", "sigmaa = ~ 1", BIRTHS), "sigmaa"),
        (("tobit", "lwt ~ age", BIRTHS, "--columns", "lower"), "event=dead"),
        (("tobit", "lwt ~ age"), "DATA"),
    ],
)
def test_bad_input_gets_one_line(run, one_line, arguments: tuple[str, ...], says: str) -> None:
    assert run("mle", *arguments) == 2
    assert says in one_line()


def test_help_names_every_density(run, capsys) -> None:
    ours = rp.densities.DENSITIES
    assert list(get_args(DensityName)) == [name for name in ours if ours.is_builtin(name)]
    with pytest.raises(SystemExit):
        parser().parse_args(["mle", "--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in get_args(DensityName)) and 'cov="cluster"' not in shown
