"""``raphson network``."""

from __future__ import annotations

import json

import pytest

import raphson as rp
from raphson import datasets

BIRTHS = str(datasets.path("births"))
SMALL = ("--hidden", "4,3", "--epochs", "3", "--batch-norm", "--activation", "tanh", "--validation", "0")


def test_options_reach_the_training(run, capsys) -> None:
    assert run("network", "low ~ age + lwt", BIRTHS, "--family", "binomial", *SMALL, "--seed", "2", "--json") in (0, 1)
    found = json.loads(capsys.readouterr().out)
    births = rp.datasets.load("births")
    options = {"hidden": (4, 3), "epochs": 3, "batch_norm": True, "activation": "tanh", "validation": 0, "seed": 2}
    expected = rp.network("low ~ age + lwt", births, family="binomial", **options)
    assert found["llf"] == pytest.approx(expected.llf, rel=1e-12)


def test_a_network_is_shown_by_its_layers(run, capsys) -> None:
    assert run("network", "low ~ age + lwt", BIRTHS, "--family", "binomial", *SMALL) in (0, 1)
    out = capsys.readouterr().out
    assert "hidden1" in out and "NaN" not in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--hidden", "4,x"), "64,64"),
        (("--hidden", "0"), "hidden"),
        (("--activation", "sigmoi"), "sigmoid"),
    ],
)
def test_bad_input_gets_one_line(run, one_line, options: tuple[str, ...], says: str) -> None:
    assert run("network", "low ~ age", BIRTHS, "--family", "binomial", "--epochs", "1", *options) == 2
    assert says in one_line()


@pytest.mark.parametrize(("options", "says"), [(("--drop1",), "drop1"), (("--test", "age = 0"), "wald_test")])
def test_what_a_network_cannot_answer_is_said_after_its_summary(
    run, capsys, options: tuple[str, ...], says: str
) -> None:
    assert run("network", "low ~ age", BIRTHS, "--family", "binomial", "--epochs", "1", *options) == 2
    out, error = capsys.readouterr()
    assert "Training loss" in out and says in error.splitlines()[-1]
