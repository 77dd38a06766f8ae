"""Replicates of one data set: where they end, how near they say that they are, and how few steps they take."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.api.glm import glm
from raphson.fit.bootstrap import resampled
from raphson.fit.refitting import Refitting
from raphson.model.families import Binomial, Gamma
from raphson.newton.many.replicates import change, information_slopes, refit


def simulated(family, n=400):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    eta = X @ [0.3, 0.5, -0.4, 0.0]
    if "omial" in str(family) and "neg" not in str(family):
        return X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    if family == "gaussian":
        return X, eta + rng.normal(size=n)
    if str(family).startswith("Gamma"):
        return X, rng.gamma(2.0, np.exp(eta) / 2.0)
    return X, rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, n)).astype(float)


FAMILIES = ["binomial", Binomial(link="probit"), "poisson", "negative_binomial", Gamma(link="log"), "gaussian"]


@pytest.mark.parametrize("family", FAMILIES, ids=str)
@pytest.mark.parametrize("kind", ["expected", "observed"])
def test_they_end_at_their_maxima(family, kind):
    X, y = simulated(family)
    fit = glm(y, X, family=family, information=kind)
    refitting = Refitting.of(fit._reading)
    counts = resampled(np.random.default_rng(1), len(y), 100)
    found = refitting.in_batch(y, counts, 100)
    exact = refit(
        refitting.model.replicates,
        refitting.start,
        y,
        counts,
        free=refitting.free,
        residual_df=None if refitting.dispersion is not None else refitting.residual_df(counts, 100),
        kind=kind,
        tol=1e-11,
    )
    off = found.theta - exact.theta
    distance = np.sqrt(np.einsum("ri,rij,rj->r", off, exact.information, off))
    assert np.median(distance) < 1e-5
    assert distance.max() < 1e-4
    scale = np.abs(exact.information).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.information / scale, exact.information / scale, atol=3e-3)
    # Two steps, of which the first is taken from common rows; straight ones need four (a normal likelihood two).
    assert found.n_iter.mean() <= max(exact.n_iter.mean() - 1.0, 2.0)


def test_the_slopes_are_third_derivatives():
    X, y = simulated("binomial")
    refitting = Refitting.of(glm(y, X, family="binomial")._reading)
    theta = refitting.start
    slopes = information_slopes(refitting.model.replicates, theta, y, np.ones(len(y)), None, "expected")
    mean = 1 / (1 + np.exp(-X @ theta))
    # W = μ(1 − μ), dW/dη = W (1 − 2μ)
    exact = np.einsum("n,ni,nj,nk->ijk", mean * (1 - mean) * (1 - 2 * mean), X, X, X)
    np.testing.assert_allclose(slopes.observed, exact, atol=1e-3 * np.abs(exact).max())
    assert slopes.reported is slopes.observed
    step = np.array([[0.01, -0.02, 0.03, 0.01], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(change(slopes.observed, step), np.einsum("ijk,rk->rij", slopes.observed, step))


def test_each_information_has_slopes_of_its_own():
    X, y = simulated("poisson")
    refitting = Refitting.of(glm(y, X, family="negative_binomial")._reading)
    slopes = information_slopes(refitting.model.replicates, refitting.start, y, np.ones(len(y)), None, "expected")
    assert np.abs(slopes.observed - slopes.reported).max() > 1e-3 * np.abs(slopes.observed).max()


def test_many_parameters_have_no_slopes(monkeypatch):
    X, y = simulated("poisson")
    refitting = Refitting.of(glm(y, X, family="poisson")._reading)
    monkeypatch.setattr("raphson.newton.many.replicates.MOST_SLOPES", 3)
    arguments = refitting.model.replicates, refitting.start, y, np.ones(len(y)), None, "expected"
    assert information_slopes(*arguments) is None
    counts = resampled(np.random.default_rng(1), len(y), 20)
    straight = refitting.in_batch(y, counts, 20)
    assert all(status.converged for status in straight.status)
    monkeypatch.undo()
    second = Refitting.of(glm(y, X, family="poisson")._reading).in_batch(y, counts, 20)
    np.testing.assert_allclose(straight.theta, second.theta, atol=1e-6)
    assert straight.n_iter.mean() > second.n_iter.mean()


def test_where_the_start_has_no_curvature_there_are_no_slopes():
    X, y = simulated("poisson")
    X[:, 3] = 0.0
    refitting = Refitting.of(glm(y, X[:, :3], family="poisson")._reading)
    assert (
        information_slopes(refitting.model.replicates, refitting.start, y, np.zeros(len(y)), None, "expected") is None
    )
