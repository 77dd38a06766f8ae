from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.data import from_arrays
from raphson.errors import ConvergenceError
from raphson.execute import serial
from raphson.model import families
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import Gram, Need, Root
from raphson.model.start import least_squares, start_from


def model(y, X, family):
    return GeneralisedLinearModel.of(from_arrays(y, X), family, "precision", None, serial())


def test_least_squares_solves_both_forms():
    rng = np.random.default_rng(0)
    A, z = rng.normal(size=(20, 3)) * [1.0, 1e6, 1e-6], rng.normal(size=20)
    expected = np.linalg.lstsq(A, z, rcond=None)[0]
    np.testing.assert_allclose(least_squares(Gram(A.T @ A), A.T @ z), expected, rtol=1e-9)
    np.testing.assert_allclose(least_squares(Root.of(np.column_stack([A, z])), A.T @ z), expected, rtol=1e-9)


def test_least_squares_with_aliased_and_empty_columns():
    A = np.column_stack([np.ones(5), np.arange(5.0), 2 * np.arange(5.0) + 1, np.zeros(5)])
    z = 3 + 2 * np.arange(5.0)
    theta = least_squares(Gram(A.T @ A), A.T @ z)
    np.testing.assert_allclose(A @ theta, z, rtol=1e-8)


def test_a_linear_model_starts_at_its_maximum(sample):
    start = model(sample.normal, sample.X, families.Gaussian()).start(Need())
    np.testing.assert_allclose(start.theta, np.linalg.lstsq(sample.X, sample.normal, rcond=None)[0], rtol=1e-10)


def test_a_plain_start_is_the_constant_mean(sample):
    start = model(sample.count, sample.X, families.Poisson()).start(Need(), plain=True)
    assert start.theta[0] != 0 and np.abs(start.theta[1:]).max() < 1e-10


def test_the_start_carries_what_the_first_step_needs(sample):
    start = model(sample.count, sample.X, families.Poisson()).start(Need(("expected",)))
    assert start.finite and isinstance(start.information["expected"], Gram)


@pytest.mark.parametrize(
    ("family", "y"),
    [
        # Each least squares line is negative at the left end.
        (families.Gamma(link="inverse"), np.array([1.0, 100.0, 1.0, 1.0, 1.0, 1.0])),
        (families.Poisson(link="identity"), np.array([0.0, 0.0, 0.0, 1.0, 30.0, 90.0])),
    ],
)
def test_a_fit_outside_the_domain_is_drawn_back(family, y):
    X = np.column_stack([np.ones(6), np.arange(6.0)])
    made = model(y, X, family)
    eta = made.family.start_eta(made.y, made.row_weight)
    evaluation = made.likelihood.linearised(eta, Need(("expected",)))
    direct = np.linalg.solve(evaluation.information["expected"].matrix, evaluation.score)
    assert not made.objective.evaluate(direct).finite
    assert made.start(Need()).finite


def test_no_start_in_the_domain():
    # Without an intercept η = xβ has both signs whatever β is.
    X = np.array([[1.0], [-1.0], [2.0]])
    made = model(np.array([1.0, 2.0, 3.0]), X, families.Gamma(link="inverse"))
    with pytest.raises(ConvergenceError, match=r"start: found no starting values.*pass start="):
        start_from(made.likelihood, made.objective, np.ones((1, 3)), lambda: np.ones(1), Need())


@pytest.mark.parametrize(
    ("family", "y"),
    [
        (rp.families.Poisson(link="sqrt"), np.arange(30) % 4),
        (rp.families.Poisson(link="identity"), np.arange(30) % 4),
        (rp.families.Gamma(link="identity"), 1.0 + np.arange(30) % 4),
        (rp.families.Gamma(), 1.0 + np.arange(30) % 4),
        (rp.families.Binomial(link="log"), (np.arange(30) % 4 == 0) * 1.0),
    ],
    ids=["sqrt", "identity", "gamma", "inverse", "log"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_offset_that_passes_the_end_of_the_domain_leaves_a_start_inside_and_a_maximum(family, y):
    rng = np.random.default_rng(1)
    X, offset = np.column_stack([np.ones(30), rng.normal(size=30)]), 10.0 * rng.normal(size=30)
    fit = rp.glm(y, X, family=family, offset=offset)
    assert fit.converged

    def higher(beta):
        # A start of another's choosing leads no higher.
        return rp.glm(y, X, family=family, offset=offset, start=beta).llf

    far = -60.0 if np.isfinite(family.domain[1]) else 60.0
    assert higher([far, 0.0]) <= fit.llf + 1e-6 * abs(fit.llf)
