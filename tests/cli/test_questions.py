"""Questions that a command asks of a fit: they are those of the Fit's methods, and their answers too."""

from __future__ import annotations

import json

import pytest

import raphson as rp
from raphson import datasets

FORMULA = "low ~ age + lwt + smoke"
BIRTHS = str(datasets.path("births"))
ASKED = ("fit", FORMULA, BIRTHS, "--family", "binomial")


@pytest.fixture(scope="module")
def fit() -> rp.Fit:
    return rp.glm(FORMULA, rp.datasets.load("births"), family="binomial")


def answers(run, capsys, *options: str) -> dict:
    assert run(*ASKED, *options, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_hypotheses_are_tested_each(run, capsys, fit: rp.Fit) -> None:
    first, second = answers(run, capsys, "--test", "age = 0", "--test", "age = lwt")["test"]
    assert first["hypothesis"] == "age = 0" and first["df_resid"] is None
    assert first["p_value"] == pytest.approx(fit.wald_test("age = 0").p_value)
    assert second["statistic"] == pytest.approx(fit.wald_test("age = lwt").statistic)


def test_terms_are_left_out(run, capsys, fit: rp.Fit) -> None:
    rows = {row["term"]: row for row in answers(run, capsys, "--drop1")["drop1"]}
    expected = fit.drop1()
    assert list(rows) == list(expected.index)
    assert rows["smoke"]["p_value"] == pytest.approx(expected.loc["smoke", "p_value"])


def test_profiles_are_of_coefficients_and_expressions_at_the_level(run, capsys, fit: rp.Fit) -> None:
    all_of_them = answers(run, capsys, "--profile", "all", "--profile", "10*lwt", "--level", "0.9")["profile"]
    assert [row["term"] for row in all_of_them] == ["Intercept", "age", "lwt", "smoke", "10*lwt"]
    expected = fit.profile("smoke").interval(0.9)
    assert (all_of_them[3]["conf_low"], all_of_them[3]["conf_high"]) == pytest.approx(tuple(expected))
    assert all_of_them[4]["conf_low"] == pytest.approx(10 * all_of_them[2]["conf_low"])


def test_functions_of_the_coefficients_have_errors(run, capsys, fit: rp.Fit) -> None:
    (row,) = answers(run, capsys, "--delta", "exp(smoke)")["delta"]
    assert row["std_error"] == pytest.approx(fit.delta("exp(smoke)").se)


def test_the_bootstrap_has_the_seed_that_was_given(run, capsys, fit: rp.Fit) -> None:
    rows = answers(run, capsys, "--bootstrap", "40", "--seed", "3")["bootstrap"]
    expected = fit.bootstrap(40, seed=3).summary()
    assert [row["std_error"] for row in rows] == pytest.approx(expected["std_error"].to_list())


def test_answers_are_printed_after_the_summary(run, capsys) -> None:
    assert run(*ASKED, "--check", "--drop1", "--test", "age = 0", "--profile", "age") == 0
    out = capsys.readouterr().out
    places = [out.index(text) for text in ("Converged", "Wald test", "left out", "intervals, 95%", "simulated from")]
    assert places == sorted(places)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_plot_is_drawn(run, tmp_path, ending: str) -> None:
    place = tmp_path / f"plot.{ending}"
    assert run(*ASKED, "--plot", str(place)) == 0
    assert place.stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--plot", "plot.bmp"), ".png"),
        (("--bootstrap", "many"), "invalid int value"),
        (("--by", "race", "--drop1"), "--drop1 is about one fit"),
        (("--by", "race", "--plot", "p.png"), "--plot is about one fit"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(run, capsys, options: tuple[str, ...], says: str) -> None:
    assert run(*ASKED, *options) == 2
    out, error = capsys.readouterr()
    assert says in error and error.count("\n") == 1 and out == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--test", "agee = 0"), "age"),
        (("--profile", "agee"), "age"),
        (("--bootstrap", "0"), "n: expected"),
        (("--variances",), "variances"),
    ],
)
def test_a_question_without_an_answer_takes_nothing_from_the_rest(
    run, capsys, tmp_path, options: tuple[str, ...], says: str
) -> None:
    saved = tmp_path / "fit.json"
    assert run(*ASKED, *options, "--delta", "exp(age)", "--save", str(saved)) == 2
    out, error = capsys.readouterr()
    assert says in error and error.count("\n") == 1
    assert "Log-likelihood" in out and "by the delta method" in out and rp.load(saved).converged
    assert run(*ASKED, *options, "--json") == 2
    assert options[0].strip("-") not in json.loads(capsys.readouterr().out)


def test_what_varies_is_told_as_the_fit_tells_it(run, capsys) -> None:
    teeth, formula = datasets.path("teeth"), "distance ~ age + (age | child)"
    fit = rp.glm(formula, rp.datasets.load("teeth"), criterion="reml")
    asked = ("fit", formula, str(teeth), "--criterion", "reml", "--variances", "--random-effects")
    assert run(*asked, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["estimate"] for row in found["variances"]] == pytest.approx(fit.variances["estimate"].to_list())
    assert found["variances"][1]["conf_low"] == pytest.approx(fit.variances.loc[1, "lower"])
    effects = fit.random_effects()
    assert [row["mode"] for row in found["random_effects"]] == pytest.approx(effects["mode"].to_list())
    assert run(*asked) == 0
    shown = capsys.readouterr().out
    assert "What varies, with 95% profile intervals" in shown and "The effects of each level" in shown
    assert effects["level"].iloc[-1] in shown
