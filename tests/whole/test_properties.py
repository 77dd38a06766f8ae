"""What must not matter does not: copies or counts, the order of rows, the basis, the blocks, the units."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import raphson as rp
from raphson.data import blocks
from raphson.execute import serial, threads

FAMILIES = {
    "binomial": rp.families.Binomial(),
    "poisson": rp.families.Poisson(),
    "gamma": rp.families.Gamma(link="log"),
    "gaussian": rp.families.Gaussian(),
}
few = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
families = st.sampled_from(sorted(FAMILIES))
seeds = st.integers(0, 10_000)


def data(name, seed, n=40):
    """A response of the family, a design of three columns, and its generator for more."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=n), rng.integers(0, 2, n).astype(float)])
    eta = X @ [0.2, 0.4, -0.3]
    y = {
        "binomial": lambda: (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float),
        "poisson": lambda: rng.poisson(np.exp(eta)).astype(float),
        "gamma": lambda: rng.gamma(3.0, np.exp(eta) / 3.0),
        "gaussian": lambda: eta + rng.normal(size=n),
    }[name]()
    return y, X, rng


def fit(name, y, X, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return rp.glm(y, X, family=FAMILIES[name], **keywords)


def assert_same(one, two, tolerance=1e-9):
    """Two fits agree in all that a user reads of them."""
    for get in (
        lambda f: f.params,
        lambda f: f.bse,
        lambda f: f.robust("HC0").bse,
        lambda f: f.robust("HC1").bse,
        lambda f: np.array([f.llf, f.deviance, f.dispersion, f.nobs, f.df_resid, f.aic, f.bic]),
    ):
        np.testing.assert_allclose(get(one), get(two), rtol=tolerance, atol=1e-12)


@few
@given(families, seeds, st.sampled_from(["expected", "observed", "opg"]))
def test_a_frequency_is_so_many_copies_of_the_row(name, seed, information):
    y, X, rng = data(name, seed)
    counts = rng.integers(0, 4, len(y))
    weighted = fit(name, y, X, weights=counts.astype(float), weights_kind="frequency", information=information)
    repeated = fit(name, np.repeat(y, counts), np.repeat(X, counts, axis=0), information=information)
    assert_same(weighted, repeated)
    np.testing.assert_allclose(weighted.robust("HC3").bse, repeated.robust("HC3").bse, rtol=1e-8)


@few
@given(families, seeds)
def test_a_frequency_with_clusters(name, seed):
    y, X, rng = data(name, seed)
    counts, groups = rng.integers(1, 4, len(y)), rng.integers(0, 6, len(y))
    weighted = fit(name, y, X, weights=counts.astype(float), weights_kind="frequency", groups=groups)
    repeated = fit(name, np.repeat(y, counts), np.repeat(X, counts, axis=0), groups=np.repeat(groups, counts))
    np.testing.assert_allclose(weighted.bse, repeated.bse, rtol=1e-8)


@few
@given(seeds)
def test_a_frequency_with_theta_estimated(seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(60), rng.normal(size=60)])
    y = rng.negative_binomial(1.0, 0.25, 60).astype(float)
    counts = rng.integers(1, 3, 60)
    weighted = rp.glm(y, X, family="nb", weights=counts.astype(float), weights_kind="frequency")
    repeated = rp.glm(np.repeat(y, counts), np.repeat(X, counts, axis=0), family="nb")
    assert_same(weighted, repeated, 1e-8)
    assert weighted.theta == pytest.approx(repeated.theta, rel=1e-9)
    assert weighted.theta_se == pytest.approx(repeated.theta_se, rel=1e-9)


@few
@given(families, seeds)
def test_a_precision_weight_of_zero_is_a_row_left_out(name, seed):
    y, X, rng = data(name, seed)
    keep = rng.random(len(y)) < 0.8
    w = np.where(keep, rng.random(len(y)) + 0.5, 0.0)
    if name in ("binomial", "poisson"):
        w = np.where(keep, 2.0, 0.0)
    assert_same(fit(name, y, X, weights=w), fit(name, y[keep], X[keep], weights=w[keep]))


@few
@given(families, seeds)
def test_the_order_of_the_rows(name, seed):
    y, X, rng = data(name, seed)
    order = rng.permutation(len(y))
    assert_same(fit(name, y, X), fit(name, y[order], X[order]))


@few
@given(families, seeds)
def test_the_basis_of_the_columns(name, seed):
    y, X, rng = data(name, seed)
    A = rng.normal(size=(3, 3)) + 3 * np.eye(3)
    one, two = fit(name, y, X), fit(name, y, X @ A)
    np.testing.assert_allclose(one.fittedvalues, two.fittedvalues, rtol=1e-9)
    np.testing.assert_allclose(one.params, A @ two.params, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(one.leverage, two.leverage, rtol=1e-7)
    assert one.llf == pytest.approx(two.llf, rel=1e-11)


@few
@given(families, seeds, st.integers(-40, 40))
def test_the_unit_of_a_column(name, seed, power):
    # By a power of two nothing is rounded: the estimate is scaled exactly.
    y, X, _ = data(name, seed)
    scaled = X.copy()
    scaled[:, 1] *= 2.0**power
    one, two = fit(name, y, X), fit(name, y, scaled)
    np.testing.assert_allclose(two.params["x2"] * 2.0**power, one.params["x2"], rtol=1e-12)
    np.testing.assert_allclose(two.bse["x2"] * 2.0**power, one.bse["x2"], rtol=1e-12)
    assert two.llf == pytest.approx(one.llf, rel=1e-13)


@few
@given(families, seeds)
def test_an_offset_is_a_shift_of_the_linear_predictor(name, seed):
    # With offset X c the estimate is smaller by c, and nothing else changes.
    y, X, rng = data(name, seed)
    c = 0.3 * rng.normal(size=3)
    one, two = fit(name, y, X), fit(name, y, X, offset=X @ c)
    np.testing.assert_allclose(one.params - c, two.params, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(one.bse, two.bse, rtol=1e-9)
    np.testing.assert_allclose(one.fittedvalues, two.fittedvalues, rtol=1e-9)
    assert one.llf == pytest.approx(two.llf, rel=1e-12)


@few
@given(seeds)
def test_the_unit_of_a_gaussian_response(seed):
    y, X, _ = data("gaussian", seed)
    one, two = fit("gaussian", y, X), fit("gaussian", 1024.0 * y, X)
    np.testing.assert_allclose(1024.0 * one.params, two.params, rtol=1e-12)
    np.testing.assert_allclose(one.tvalues, two.tvalues, rtol=1e-10)
    assert two.dispersion == pytest.approx(1024.0**2 * one.dispersion)


@few
@given(seeds)
def test_successes_and_failures_change_places(seed):
    y, X, _ = data("binomial", seed)
    one, two = fit("binomial", y, X), fit("binomial", 1.0 - y, X)
    np.testing.assert_allclose(one.params, -two.params, rtol=1e-10)
    np.testing.assert_allclose(one.bse, two.bse, rtol=1e-10)


@few
@given(seeds)
def test_two_levels_are_a_logistic_model(seed):
    y, X, _ = data("binomial", seed)
    one, two = fit("binomial", y, X), rp.glm(y, X, family="multinomial")
    np.testing.assert_allclose(one.params, two.params, rtol=1e-10)
    np.testing.assert_allclose(one.bse, two.bse, rtol=1e-10)
    assert one.llf == pytest.approx(two.llf, rel=1e-12)


@few
@given(st.sampled_from(["binomial", "poisson"]), seeds)
def test_grouped_rows_are_their_sum(name, seed):
    # Rows with the same covariates can be added up: the estimates and their standard errors stay.
    y, X, rng = data(name, seed)
    X[:, 1] = rng.integers(0, 3, len(y))
    cells, which = np.unique(X, axis=0, return_inverse=True)
    total, size = np.bincount(which.ravel(), y), np.bincount(which.ravel()).astype(float)
    if name == "binomial":
        grouped = rp.glm(total, cells, family="binomial", trials=size)
    else:
        grouped = rp.glm(total, cells, family="poisson", offset=np.log(size))
    one = rp.glm(y, X, family=name)
    np.testing.assert_allclose(one.params, grouped.params, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(one.bse, grouped.bse, rtol=1e-8)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_blocks_and_threads_change_no_bit(name, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", (256,))
    y, X, rng = data(name, 3, n=1_500)
    w, offset = rng.integers(1, 3, 1_500).astype(float), 0.1 * rng.normal(size=1_500)
    fits = [
        fit(name, y, X, weights=w, offset=offset, executor=executor)
        for executor in (serial(), threads(1), threads(2), threads(3))
    ]
    for other in fits[1:]:
        assert other.params.to_numpy().tobytes() == fits[0].params.to_numpy().tobytes()
        assert other.bse.to_numpy().tobytes() == fits[0].bse.to_numpy().tobytes()
        assert (other.llf, other.distance) == (fits[0].llf, fits[0].distance)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_size_of_the_blocks(name, monkeypatch):
    y, X, _ = data(name, 3, n=900)
    whole = fit(name, y, X)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", (256,))
    assert_same(whole, fit(name, y, X), 1e-10)
