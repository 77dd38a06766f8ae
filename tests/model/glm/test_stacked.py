"""Rows of many groups at once: the sums of each are those of its own log-likelihood."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data import from_arrays
from raphson.execute import serial
from raphson.model.families import Gamma, resolve
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.glm.groups import GroupedModel
from raphson.model.objective import Need

rng = np.random.default_rng(0)
SIZES = (30, 30, 37, 31)
BY = np.repeat(np.arange(4), SIZES)
N = len(BY)
X = np.column_stack([np.ones(N), rng.normal(size=(N, 2))])
RESPONSES = {
    "gaussian": (resolve("gaussian"), rng.normal(size=N)),
    "logistic": (resolve("binomial"), rng.integers(0, 2, N).astype(float)),
    "poisson": (resolve("poisson"), rng.poisson(2.0, N).astype(float)),
    "quasipoisson": (resolve("quasipoisson"), rng.poisson(2.0, N).astype(float)),
    "gamma, log": (Gamma(link="log"), rng.gamma(2.0, 1.0, N)),
}


def grouped(kind: str, **given) -> GroupedModel:
    family, y = RESPONSES[kind]
    return GroupedModel.of(
        GeneralisedLinearModel.of(from_arrays(y, X, by=BY, **given), family, "precision", None, serial())
    )


@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("extra", [(), ("weights",), ("offset",), ("weights", "offset")], ids=str)
def test_sums_are_those_of_the_log_likelihood_of_each_group(kind, extra) -> None:
    every = {"weights": rng.uniform(0.5, 2.0, N) * (rng.random(N) > 0.2), "offset": rng.normal(size=N) / 4}
    whole = grouped(kind, **{name: every[name] for name in extra})
    theta = rng.normal(size=(4, 3)) / 4
    need = Need(kinds=("observed", "expected"))
    (places,) = list(whole.stacks())
    assert sorted(places.tolist()) == [0, 1, 2, 3]
    stack = whole.stack(places)
    assert (stack.weight is None) == (not extra and len(set(SIZES)) == 1)
    sums, begin = stack.at(theta[places]), stack.linearised()
    for k, place in enumerate(places):
        model = whole.model(place)
        evaluation = model.likelihood.evaluate(theta[place], need)
        np.testing.assert_allclose(sums.score[k], evaluation.score, rtol=1e-10, atol=1e-12)
        for name in need.kinds:
            np.testing.assert_allclose(
                getattr(sums, name)[k], evaluation.information[name].matrix, rtol=1e-10, atol=1e-12
            )
        if sums.pearson is not None:
            np.testing.assert_allclose(sums.pearson[k], model.pearson(model.rows(theta[place])), rtol=1e-10)
        if model.family.canonical and kind not in (
            "poisson",
            "quasipoisson",
        ):  # their start is on the scale of the mean
            eta = np.asarray(model.family.start_eta(model.y, model.row_weight))
            first = model.likelihood.linearised(eta, Need(kinds=("expected",)))
            np.testing.assert_allclose(begin.score[k], first.score, rtol=1e-9, atol=1e-9)


def test_two_responses_start_as_any_others_do() -> None:
    whole = grouped("logistic")
    (places,) = list(whole.stacks())
    rows = whole.stack(places[:2])
    assert rows.weight is None and rows._two_values() is not None
    other = grouped("logistic", offset=np.zeros(N))
    np.testing.assert_allclose(rows.linearised().score, other.stack(places[:2]).linearised().score, rtol=1e-12)
    np.testing.assert_allclose(rows.linearised().expected, other.stack(places[:2]).linearised().expected, rtol=1e-12)


def test_a_row_that_is_fitted_with_certainty_is_seen_where_it_counts() -> None:
    weights = np.ones(N)
    weights[40] = 0.0
    whole = grouped("logistic", weights=weights)
    stack = whole.stack(np.arange(4))
    theta = np.zeros((4, 3))
    sums = stack.at(theta)
    sums.residual[0][1, 10] = 1e-9  # row 40, of weight 0
    sums.residual[0][2, 3] = 1e-9
    assert stack.has_certain(sums, np.ones(4, dtype=bool), 1e-7).tolist() == [False, False, True, False]
