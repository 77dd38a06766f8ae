"""Draws for ArviZ. What ArviZ makes of them is checked where it is installed, otherwise what it is given."""

from __future__ import annotations

import builtins
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import raphson as rp

BIRTHS = rp.datasets.load("births")
pytestmark = pytest.mark.filterwarnings("ignore::raphson.RankWarning", "ignore::raphson.SeparationWarning")


@pytest.fixture(params=["before 1.0", "1.0"])
def arviz(request, monkeypatch):
    """A module that keeps what it is given: as keywords before ArviZ 1.0, from then on as a dict of groups."""
    module = ModuleType("arviz")
    if request.param == "1.0":
        module.from_dict = lambda groups, *, coords=None, dims=None: SimpleNamespace(**groups, coords=coords, dims=dims)
    else:
        module.InferenceData = object
        module.from_dict = lambda *, coords=None, dims=None, **groups: SimpleNamespace(
            **groups, coords=coords, dims=dims
        )
    monkeypatch.setitem(sys.modules, "arviz", module)


DOORS = {
    "glm": lambda data: rp.glm("low ~ lwt + race", data, family="binomial"),
    "dispersion": lambda data: rp.glm("lwt ~ age", data, weights="ftvs"),
    "theta": lambda data: rp.glm("lwt ~ age", data, family="negative_binomial"),
    "levels": lambda data: rp.glm("race ~ lwt", data, family="multinomial"),
    "nls": lambda data: rp.nls("lwt ~ a + b*age", data, start={"a": 1.0, "b": 1.0}),
    "mle": lambda data: rp.mle("student_t", "lwt ~ age", data),
}


@pytest.mark.parametrize("door", DOORS)
def test_the_log_likelihood_of_a_draw_is_that_of_its_parameters(arviz, door):
    fit = DOORS[door](BIRTHS.assign(ftvs=np.arange(189) % 3 + 0.5))
    found = fit.to_inferencedata(draws=20, chains=2)
    (response,) = found.log_likelihood
    values = found.log_likelihood[response]
    assert values.shape == (2, 20, 189) and list(found.posterior) == list(fit.names)
    assert found.observed_data[response].shape == (189,) and found.dims == {response: ["row"]}
    # Each is below the maximum by half a χ², so by the inverse of the covariance: the second-order expansion at θ̂.
    draws = np.stack([found.posterior[name] for name in fit.names], axis=-1).reshape(40, -1)
    away = draws - fit.params.to_numpy()
    expected = fit.llf - 0.5 * np.einsum("ij,jk,ik->i", away, np.linalg.inv(fit.cov_params()), away)
    near = np.abs(values.sum(axis=-1).ravel() - expected)
    assert np.median(near) < 0.25


def test_the_draws_have_the_estimates_as_mean_and_their_covariance(arviz):
    fit = DOORS["glm"](BIRTHS).robust("HC1")
    found = fit.to_inferencedata(draws=5000, chains=4, log_likelihood=False, seed=1)
    assert not hasattr(found, "log_likelihood")
    draws = np.stack([found.posterior[name].ravel() for name in fit.names], axis=-1)
    assert np.abs((draws.mean(axis=0) - fit.params) / fit.bse).max() < 5 / np.sqrt(20_000)
    np.testing.assert_allclose(draws.std(axis=0), fit.bse, rtol=0.04)
    again = fit.to_inferencedata(draws=5000, chains=4, log_likelihood=False, seed=1)
    np.testing.assert_array_equal(again.posterior["lwt"], found.posterior["lwt"])


def test_bootstrapped_draws_are_those_of_the_bootstrap(arviz):
    fit = DOORS["glm"](BIRTHS)
    found = fit.to_inferencedata(draws=30, chains=2, kind="bootstrap", seed=3)
    np.testing.assert_array_equal(found.posterior["lwt"].ravel(), fit.bootstrap(60, seed=3).estimates["lwt"])
    assert found.log_likelihood["low"].shape == (2, 30, 189)


def test_an_aliased_coefficient_has_no_draws(arviz):
    fit = rp.glm("lwt ~ age + twice", BIRTHS.assign(twice=2 * BIRTHS["age"]))
    found = fit.to_inferencedata(draws=10, chains=1)
    assert list(found.posterior) == ["Intercept", "age"]
    assert np.isfinite(found.log_likelihood["lwt"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DOORS["glm"](BIRTHS).to_inferencedata(kind="mcmc"), "kind: expected one of normal, bootstrap"),
        (lambda: DOORS["glm"](BIRTHS).to_inferencedata(draws=0), "draws: expected a draw"),
        (
            lambda: rp.glm("age ~ lwt", BIRTHS, family="quasipoisson").to_inferencedata(10, log_likelihood=True),
            "the quasipoisson family has no density",
        ),
        (
            lambda: rp.network("lwt ~ age", BIRTHS, hidden=(2,), epochs=1, progress=False).to_inferencedata(),
            "not identified",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::raphson.ConvergenceWarning")
def test_what_cannot_be_given_is_refused(arviz, call, message):
    with pytest.raises(rp.ModelError, match=message):
        call()


def test_what_has_no_density_has_draws(arviz):
    found = rp.glm("age ~ lwt", BIRTHS, family="quasipoisson").to_inferencedata(10)
    assert not hasattr(found, "log_likelihood") and found.posterior["lwt"].shape == (4, 10)


def test_where_coefficients_vary_the_rows_have_no_log_likelihood_of_their_own(arviz):
    # At the modes of the varying coefficients it would be above the marginal likelihood that was maximised.
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=60), "g": np.repeat(list("abcdef"), 10)}
    data["y"] = data["x"] + np.repeat(rng.normal(size=6), 10) + rng.normal(size=60)
    fit = rp.glm("y ~ x + (1 | g)", data)
    found = fit.to_inferencedata(draws=10, chains=1)
    assert list(found.posterior) == ["Intercept", "x"] and not hasattr(found, "log_likelihood")
    with pytest.raises(rp.ModelError, match="log_likelihood: there is none"):
        fit.to_inferencedata(draws=10, log_likelihood=True)


def test_what_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "arviz", raising=False)
    there = builtins.__import__

    def without(name, *rest):
        if name == "arviz":
            raise ImportError("No module named 'arviz'")
        return there(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(rp.RaphsonError, match=r'to_inferencedata: it needs arviz: pip install "raphson\[arviz\]"'):
        DOORS["glm"](BIRTHS).to_inferencedata()


@pytest.mark.filterwarnings("ignore")
def test_arviz_reads_it():
    arviz = pytest.importorskip("arviz")
    fit = DOORS["glm"](BIRTHS)
    found = fit.to_inferencedata()
    ours, theirs = fit.loo(), arviz.loo(found)
    assert float(theirs["elpd_loo" if "elpd_loo" in theirs else "elpd"]) == pytest.approx(ours.elpd, abs=0.5)
