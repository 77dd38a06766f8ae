from __future__ import annotations

import inspect
import re
from typing import get_overloads

import numpy as np
import pytest

import raphson as rp
from raphson.cli.parse import READERS
from raphson.options import GLM, MLE, NETWORK, NLS, Inference, Iteration, LinearModel, keywords

DOORS = {rp.glm: GLM, rp.nls: NLS, rp.mle: MLE, rp.network: NETWORK}
THEIRS = ("formula", "formulas", "data", "model", "logpdf")
"""What a door is given before its keywords."""


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_doors_signature_is_that_of_its_records(door) -> None:
    signature = inspect.signature(door).parameters
    found = {name: one.default for name, one in signature.items() if name not in THEIRS}
    assert found == {one.name: one.default for one in keywords(DOORS[door])}


def test_each_form_of_nls_has_the_same_defaults() -> None:
    usual = {one.name: one.default for one in keywords(NLS)}
    first, by_group = (inspect.signature(one).parameters for one in get_overloads(rp.nls))
    assert set(first) == {"model", "data", *usual}
    for form in (first, by_group):
        assert all(one.default in (usual.get(name), inspect.Parameter.empty) for name, one in form.items())
    refused = {"loss", "scale", "derivatives", "penalty", "cov", "groups", "small_sample", "checkpoint"}
    assert set(first) - set(by_group) == refused  # what many curves do not take


def test_each_form_of_glm_has_the_same_defaults() -> None:
    usual = {one.name: one.default for one in keywords(GLM)}
    forms = [inspect.signature(one).parameters for one in get_overloads(rp.glm)]
    assert len(forms) == 3
    for form in forms:
        assert set(form) == {"formula", "data", *usual}
        assert all(one.default in (usual.get(name), inspect.Parameter.empty) for name, one in form.items())


def documented(door) -> dict[str, str]:
    """What the docstring says of each parameter, on one line."""
    section = inspect.cleandoc(door.__doc__).partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for names, text in re.findall(r"^(\w[\w, ]*) : (.*(?:\n    .*)*)", section, re.M):
        found |= dict.fromkeys(names.split(", "), " ".join(text.replace("``", "").replace("−", "-").split()))
    return found


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_docstring_says_of_each_keyword_what_its_record_says(door) -> None:
    told = documented(door)
    assert set(told) == set(inspect.signature(door).parameters)
    for keyword in keywords(DOORS[door]):
        text = told[keyword.name]
        if not text.startswith(("as for :func:`raphson.glm`", "accepted as by", "for second-order methods")):
            assert text.startswith(keyword.option.help), keyword.name


def test_compare_takes_the_defaults_of_any_iteration() -> None:
    signature = inspect.signature(rp.compare).parameters
    usual = Iteration(seed=0)
    assert {name: getattr(usual, name) for name in ("tol", "max_iter", "seed")} == {
        name: signature[name].default for name in ("tol", "max_iter", "seed")
    }


@pytest.mark.parametrize("door", DOORS.values(), ids=lambda door: type(door[0]).__name__)
def test_every_keyword_has_help_that_any_terminal_shows_and_a_form_that_is_read(door) -> None:
    for keyword in keywords(door):
        option = keyword.option
        assert option.help.isascii() and not option.help.endswith(".")
        assert option.shell in ("", "FLAG", *READERS)


@pytest.mark.parametrize(
    ("record", "given", "says"),
    [
        (Iteration, {"tol": 0}, "tol: expected a positive number; got 0"),
        (Iteration, {"tol": True}, "tol: expected a positive number; got True"),
        (Iteration, {"tol": None}, "tol: expected a positive number; got None"),
        (Iteration, {"max_iter": 2.5}, "max_iter: expected a whole number, 0 or more; got 2.5"),
        (Iteration, {"damping": float("nan")}, "damping: expected a number, 0 or more; got nan"),
        (Iteration, {"progress": 3}, "progress: expected True, False or a function; got 3"),
        (Iteration, {"executor": map}, "executor: expected rp.execute.threads"),
        (Inference, {"information": "fisher"}, "information: expected one of expected, observed, opg; got 'fisher'"),
        (Inference, {"small_sample": "hc"}, "small_sample: expected one of full, clusters or None; got 'hc'"),
        (LinearModel, {"dispersion": "mean"}, "dispersion: expected pearson, deviance, ml or a number; got 'mean'"),
        (LinearModel, {"dispersion": -1.0}, "dispersion: expected a positive number; got -1.0"),
        (LinearModel, {"weights_kind": np.ones(2)}, "weights_kind: expected one of precision, frequency, sampling"),
    ],
)
def test_a_record_refuses_what_cannot_be(record, given, says) -> None:
    with pytest.raises(rp.RaphsonError, match=says.replace("(", r"\(")):
        record(**given)


def test_what_is_left_open_is_the_models() -> None:
    completed = Inference().completed("observed")
    assert completed.information == "observed" and completed.cov == "model"
    assert Inference(information="opg").completed("observed").information == "opg"
    assert Inference(groups="g").completed("expected", "HC0").cov == "cluster"
    assert Inference(cov="HC1").completed("expected", "HC0").cov == "HC1"
    with pytest.raises(rp.RaphsonError, match="groups: expected the cluster of each row"):
        Inference(cov="cluster").completed("expected")
    with pytest.raises(rp.RaphsonError, match="small_sample: only cov='cluster' has this option"):
        Inference(small_sample=None).completed("expected")


CATEGORIES = "categorical_features"


@pytest.mark.parametrize(
    ("estimator", "door", "own"),
    [
        (rp.sklearn.GLMRegressor, GLM, {"fit_intercept", CATEGORIES}),
        # Whose penalty is scikit-learn's C = 1.
        (rp.sklearn.GLMClassifier, GLM, {"link", "fit_intercept", "penalty", CATEGORIES}),
        (rp.sklearn.NLSRegressor, NLS, {"curve"}),
        (rp.sklearn.NetworkRegressor, NETWORK, {CATEGORIES}),
        (rp.sklearn.NetworkClassifier, NETWORK, {CATEGORIES}),
    ],
)
def test_an_estimators_parameters_are_a_doors(estimator, door, own) -> None:
    usual = {"random_state" if one.name == "seed" else one.name: one.default for one in keywords(door)}
    signature = inspect.signature(estimator).parameters
    assert own <= set(signature)
    for name in set(signature) - own:
        assert signature[name].default == usual[name], name
    assert set(estimator().get_params()) == set(signature)
    assert f":func:`raphson.{door_name(door)}`" in estimator.__doc__


def door_name(door) -> str:
    return next(one.__name__ for one, records in DOORS.items() if records is door)
