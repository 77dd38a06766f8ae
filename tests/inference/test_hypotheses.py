"""Tests from arrays: reference distributions, Wald's statistic, nested designs, the information matrix test."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tabmat
from scipy import stats

from raphson.errors import ModelError
from raphson.inference import hypotheses


@pytest.mark.parametrize("df", [1, 3])
def test_tails(df):
    for x in (0.1, 3.0, 80.0):
        assert hypotheses.tail(x, df, None) == pytest.approx(stats.chi2.sf(x, df), rel=1e-11)
        assert hypotheses.tail(x, df, 7.0) == pytest.approx(stats.f.sf(x, df, 7), rel=1e-11)
        assert hypotheses.tail(x, df, math.inf) == pytest.approx(stats.chi2.sf(x * df, df), rel=1e-11)
    assert math.isnan(hypotheses.tail(1.0, df, 0.0)) and math.isnan(hypotheses.tail(math.nan, df, None))


def test_a_verdict_reads_well():
    assert (
        repr(hypotheses.verdict("Wald test", "a = 0", 8.0, 2, 10.0)) == "Wald test of a = 0: F(2, 10) = 4, p = 0.05292"
    )
    test = hypotheses.verdict("Score test", "a = 0", 8.0, 2)
    assert test.distribution == "chi2" and test.statistic == 8.0


def test_wald_is_the_plain_quadratic_form():
    rng = np.random.default_rng(0)
    A, J, gap = rng.normal(size=(4, 4)), rng.normal(size=(2, 4)), rng.normal(size=2)
    V = A @ A.T
    assert hypotheses.wald(gap, J, V) == pytest.approx(gap @ np.linalg.solve(J @ V @ J.T, gap), rel=1e-10)
    # Parameters without a covariance take no part where J is 0, and units do not matter.
    V[3], V[:, 3], J[:, 3] = np.nan, np.nan, 0.0
    D = np.array([1e8, 1e-8])
    assert hypotheses.wald(D * gap, D[:, None] * J, V) == pytest.approx(hypotheses.wald(gap, J, V), rel=1e-9)
    with pytest.raises(ModelError, match="equations with a nonsingular covariance"):
        hypotheses.wald(np.zeros(2), np.eye(2), np.ones((2, 2)))


def test_nested_designs():
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(50), rng.normal(size=(50, 3)) * [1.0, 1e6, 1e-6]])
    inside = X[:, :3] @ rng.normal(size=(3, 2))
    assert hypotheses.nested([X], [inside])
    assert hypotheses.nested([tabmat.DenseMatrix(X)], [X[:, :1]])
    assert not hypotheses.nested([X], [inside + 10.0 * rng.normal(size=(50, 2))])
    assert not hypotheses.nested([X, X], [X])
    odd = X[:, :2].copy()
    odd[7, 1] += 1.0
    weight = np.ones(50)
    assert not hypotheses.nested([X], [odd], weight)
    weight[7] = 0.0
    assert hypotheses.nested([X], [odd], weight)


def test_information_matrix_test_is_the_regression_it_says():
    rng = np.random.default_rng(2)
    n = 200
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    mean = 1 / (1 + np.exp(-X @ [0.2, 0.5]))
    y = (rng.random(n) < mean).astype(float)
    u, W = (y - mean)[None], (mean * (1 - mean))[None, None]
    chi2, df = hypotheses.information_matrix([X], u, W, np.ones(2, dtype=bool))
    G = X * u[0][:, None]
    D = ((u[0] ** 2 - W[0, 0])[:, None, None] * X[:, :, None] * X[:, None, :])[:, [0, 1, 1], [0, 0, 1]]
    Z = np.column_stack([G, D])
    fitted = Z @ np.linalg.lstsq(Z, np.ones(n), rcond=None)[0]
    assert df == 3 and chi2 == pytest.approx(fitted @ fitted, rel=1e-9)
    # A row that stands for two is two rows.
    twice = np.repeat(np.arange(n), 2)
    each = hypotheses.information_matrix([X[twice]], u[:, twice], W[..., twice], np.ones(2, dtype=bool))
    assert hypotheses.information_matrix([X], u, W, np.ones(2, dtype=bool), np.full(n, 2.0))[0] == pytest.approx(
        each[0]
    )
    with pytest.raises(ModelError, match="expected more rows"):
        hypotheses.information_matrix([X[:5]], u[:, :5], W[..., :5], np.ones(2, dtype=bool))


def test_indicators_made_of_rounding_do_not_count():
    # With a constant alone d_i = u² − W is that of y, and where it is 0 but for rounding nothing is left to test.
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(200), rng.normal(size=200)])
    u = rng.choice([-1.0, 1.0], size=200) * (0.1 + 0.2)
    W = np.full(200, 0.3**2)
    with pytest.raises(ModelError, match="information_matrix_test"):
        hypotheses.information_matrix([X], u[None], W[None, None], np.ones(2, dtype=bool))


def test_information_matrix_test_keeps_its_level_and_has_power():
    rng = np.random.default_rng(3)
    n, right, wrong = 1000, [], []
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    for _ in range(200):
        for spread, out in ((0.0, right), (0.8, wrong)):
            # Poisson counts, and ones that vary more than the model says.
            y = rng.poisson(np.exp(0.5 + spread * rng.normal(size=n) - spread**2 / 2)).astype(float)
            theta = np.array([np.log(y.mean()), 0.0])
            for _ in range(8):
                mean = np.exp(X @ theta)
                theta = theta + np.linalg.solve((X.T * mean) @ X, X.T @ (y - mean))
            mean = np.exp(X @ theta)
            found = hypotheses.information_matrix([X], (y - mean)[None], mean[None, None], np.ones(2, dtype=bool))
            out.append(hypotheses.tail(*found, None))
    assert 0.01 < np.mean(np.array(right) < 0.05) < 0.16
    assert np.mean(np.array(wrong) < 0.05) > 0.9
