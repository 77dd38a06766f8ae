from __future__ import annotations

import numpy as np
import pytest

from raphson.data import from_arrays, from_formula
from raphson.data.crossed import MANY_ROWS
from raphson.errors import DataError, ModelError
from raphson.execute import serial
from raphson.model import families
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import Need


def make(data, family, kind="precision", penalty=None):
    return GeneralisedLinearModel.of(data, family, kind, penalty, serial())


def test_names_and_predictors_of_one_mean(sample):
    model = make(from_arrays(sample.count, sample.X, names=["one", "x", "z"]), "poisson")
    assert model.names == ("one", "x", "z") and model.predictor.widths == (3,)
    assert model.n_coefficients == 3 and model.objective.n_params == 3


def test_names_of_levels(sample):
    model = make(from_arrays(sample.category, sample.X, names=["one", "x", "z"]), "multinomial")
    assert model.names == ("1:one", "1:x", "1:z", "2:one", "2:x", "2:z")
    assert model.predictor.widths == (3, 3) and model.predictor.design == (0, 0)


def test_an_auxiliary_parameter_comes_last_and_has_no_name(sample):
    model = make(from_arrays(sample.spread, sample.X), "negative_binomial")
    assert model.n_coefficients == 3 and model.objective.n_params == 4 and len(model.names) == 3
    assert model.predictor.widths == (3, 1) and model.predictor.design == (0, 1)
    np.testing.assert_array_equal(model.designs(np.zeros(4))[1], np.ones((sample.n, 1)))


def test_the_offset_shifts_the_mean_and_not_theta(sample):
    model = make(from_arrays(sample.spread, sample.X, offset=sample.offset), "negative_binomial")
    np.testing.assert_array_equal(model.blocks[0].offset[0], sample.offset)
    assert not model.blocks[0].offset[1].any()


@pytest.mark.parametrize(("kind", "nobs", "copies"), [("precision", 3, [1, 0, 1, 1]), ("frequency", 6, [2, 0, 1, 3])])
def test_what_weights_count(kind, nobs, copies):
    data = from_arrays([1.0, 2, 3, 4], np.ones((4, 1)), weights=[2.0, 0.0, 1.0, 3.0])
    model = make(data, "poisson", kind)
    assert model.nobs == nobs
    np.testing.assert_array_equal(model.copies, copies)
    assert make(from_arrays([1.0, 2], np.ones((2, 1))), "poisson").copies is None


def test_trials_multiply_the_weights():
    data = from_arrays([1.0, 3.0], np.ones((2, 1)), trials=[4.0, 5.0], weights=[2.0, 1.0])
    model = make(data, "binomial")
    np.testing.assert_array_equal(model.y, [0.25, 0.6])
    np.testing.assert_array_equal(model.row_weight, [8.0, 5.0])
    assert model.nobs == 2


def test_a_number_as_penalty_spares_the_intercept_of_each_level(sample):
    data = from_formula("y ~ x", {"y": sample.category, "x": sample.x})
    np.testing.assert_array_equal(make(data, "multinomial", penalty=2.0).penalty, np.diag([0.0, 2.0, 0.0, 2.0]))
    data = from_formula("y ~ x", {"y": sample.spread, "x": sample.x})
    np.testing.assert_array_equal(make(data, "nb", penalty=2.0).penalty, np.diag([0.0, 2.0, 0.0]))


def test_the_penalty_of_the_settled_model_has_no_auxiliary_part(sample):
    data = from_formula("y ~ x", {"y": sample.spread, "x": sample.x})
    settled = make(data, "nb", penalty=2.0).with_nuisance_fixed(np.array([0.1, 0.2, np.log(1.5)]))
    assert settled.penalty.shape == (2, 2) and settled.family.theta == pytest.approx(1.5)
    assert settled.predictor.widths == (2,)


def test_a_subset_takes_everything_along(sample):
    data = from_arrays(sample.binary, sample.X, weights=sample.weights, offset=sample.offset)
    keep = np.arange(sample.n) % 2 == 0
    part = make(data, "binomial").subset(keep)
    theta = np.array([0.1, 0.5, -0.2])
    whole = make(data, "binomial").rows(theta)
    np.testing.assert_array_equal(part.rows(theta).score, whole.score[:, keep])
    assert part.objective.n_rows == keep.sum()
    assert make(data, "binomial").subsampled(3).objective.n_rows == 20


def test_the_null_model_keeps_offset_and_weights(sample):
    data = from_arrays(sample.count, sample.X, weights=sample.weights, offset=sample.offset)
    null = make(data, "poisson").null_model(families.Poisson())
    assert null.data.X.shape == (sample.n, 1)
    # Its maximum in closed form: e^β = Σ w y / Σ w e^offset.
    beta = np.log(sample.weights @ sample.count / (sample.weights @ np.exp(sample.offset)))
    assert abs(null.objective.evaluate(np.array([beta])).score[0]) < 1e-10
    without = from_arrays(sample.count, sample.X[:, 1:])
    assert make(without, "poisson").null_model(families.Poisson()).objective.n_params == 0


def test_row_quantities_by_hand(sample):
    data = from_arrays(sample.count, sample.X, weights=sample.weights, offset=sample.offset)
    model = make(data, "poisson")
    theta = np.array([0.2, 0.5, -0.3])
    rows = model.rows(theta)
    mu = np.exp(sample.X @ theta + sample.offset)
    np.testing.assert_allclose(rows.mean[0], mu, rtol=1e-13)
    np.testing.assert_allclose(rows.eta[0], sample.X @ theta + sample.offset, rtol=1e-13, atol=1e-15)
    assert model.pearson(rows) == pytest.approx(np.sum(sample.weights * (sample.count - mu) ** 2 / mu))
    assert model.sum_of_squares(rows) == pytest.approx(np.sum(sample.weights * (sample.count - mu) ** 2))


def test_a_row_of_weight_zero_changes_no_sum():
    X = np.column_stack([np.ones(5), np.arange(5.0)])
    w = np.array([1.0, 2, 1, 1, 0])
    model = make(from_arrays([1.0, 2, 3, 4, 9], X, weights=w), "poisson")
    four = make(from_arrays([1.0, 2, 3, 4], X[:4], weights=w[:4]), "poisson")
    theta = np.array([0.1, 0.3])
    for name in ("deviance", "pearson", "sum_of_squares"):
        assert getattr(model, name)(model.rows(theta)) == pytest.approx(getattr(four, name)(four.rows(theta)))
    assert model.log_likelihood(model.rows(theta), 1.0) == pytest.approx(four.log_likelihood(four.rows(theta), 1.0))


# -- bad input -------------------------------------------------------------------------------------------------


def test_fewer_rows_than_coefficients():
    data = from_arrays([1.0, 2.0], np.eye(2, 3))
    with pytest.raises(DataError, match="2 rows and 3 coefficients"):
        make(data, "gaussian")
    # A penalty makes up for it.
    assert make(data, "gaussian", penalty=1.0).objective.n_params == 3
    # Rows of weight 0 are none.
    with pytest.raises(DataError, match="1 rows and 2 coefficients"):
        make(from_arrays([1.0, 2.0, 3.0], np.eye(3, 2), weights=[1.0, 0, 0]), "gaussian")


def test_a_constant_response_is_remarked_on():
    with pytest.warns(UserWarning, match="all 3 values are equal"):
        make(from_arrays([2.0, 2.0, 2.0], np.ones((3, 1))), "gaussian")


def test_unknown_weights_kind(sample):
    with pytest.raises(ModelError, match="weights_kind: expected one of precision, frequency, sampling; got 'exact'"):
        make(from_arrays(sample.count, sample.X), "poisson", "exact")


# -- maxima at infinity ----------------------------------------------------------------------------------------


def test_no_limit_is_looked_for_without_a_sign(sample, monkeypatch):
    model = make(from_arrays(sample.binary, sample.X), "binomial")
    monkeypatch.setattr(GeneralisedLinearModel, "_separation", lambda self: pytest.fail("asked"))
    theta = np.zeros(3)
    assert model.limit(theta, model.objective.evaluate(theta), converged=True) is None


def test_a_penalised_model_cannot_separate():
    data = from_arrays([0.0, 0, 1, 1], np.column_stack([np.ones(4), [-2.0, -1, 1, 2]]))
    theta = np.array([0.0, 40.0])
    penalised = make(data, "binomial", penalty=1.0)
    assert penalised.limit(theta, penalised.objective.evaluate(theta), converged=False) is None
    limit = make(data, "binomial").limit(theta, make(data, "binomial").objective.evaluate(theta), converged=False)
    assert limit is not None and limit.status == "separated"


def test_the_limit_of_a_quasi_separated_model():
    # Where g is 1 every response is: the coefficient of g is infinite, and the other rows decide the rest.
    g = np.array([0.0, 0, 0, 0, 1, 1])
    model = make(from_arrays([0.0, 1, 0, 1, 1, 1], np.column_stack([np.ones(6), g])), "binomial")
    theta = np.array([0.0, 30.0])
    limit = model.limit(theta, model.objective.evaluate(theta), converged=True)
    np.testing.assert_array_equal(limit.infinite, [0, 1])
    rows = limit.model.rows(np.zeros(2))
    np.testing.assert_array_equal(rows.mean[0, 4:], 1.0)
    np.testing.assert_array_equal(rows.score[0, 4:], 0.0)
    np.testing.assert_array_equal(rows.mean[0, :4], 0.5)
    # Nor does it look again.
    assert limit.model.limit(theta, limit.model.objective.evaluate(theta), converged=False) is None


@pytest.mark.parametrize("family", [families.Gaussian(), families.Gamma("log")], ids=lambda family: family.name)
@pytest.mark.parametrize("extras", [{}, {"offset": 0.1}, {"penalty": 2.0}], ids=["plain", "offset", "penalty"])
def test_sums_made_while_the_design_was_read_stand_for_a_reading(family, extras):
    rng = np.random.default_rng(0)
    n = MANY_ROWS + 500
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = np.exp(0.1 * X[:, 1]) * rng.gamma(2.0, 0.5, n)
    offset = rng.normal(size=n) * extras["offset"] if "offset" in extras else None
    read, known = (
        make(from_arrays(y, X, offset=offset, crossed=crossed), family, penalty=extras.get("penalty")).objective
        for crossed in (False, True)
    )
    assert known.crossed is not None and read.crossed is None
    for theta in (np.zeros(3), np.array([0.1, -0.2, 0.3])):
        for kinds in ((), ("expected",), ("expected", "observed")):
            here, there = (one.evaluate(theta, Need(kinds=kinds)) for one in (read, known))
            np.testing.assert_allclose(there.value, here.value, rtol=1e-12)
            np.testing.assert_allclose(there.score, here.score, atol=1e-12 * n)
            assert list(there.information) == list(here.information)
            for kind, part in here.information.items():
                np.testing.assert_allclose(there.information[kind].matrix, part.matrix, atol=1e-12 * n)
            assert there.dispersion == pytest.approx(here.dispersion, rel=1e-12) and there.rows == here.rows


def test_sums_of_other_rows_or_weights_are_not_used():
    rng = np.random.default_rng(0)
    n = MANY_ROWS + 500
    model = make(from_arrays(rng.normal(size=n), np.ones((n, 1)), crossed=True), "gaussian")
    assert model.likelihood.crossed is not None
    assert model.replica(model.y, rng.random(n)).likelihood.crossed is None
    assert model.replica(model.y + 1.0, np.ones(n)).likelihood.crossed is None
    assert model.subset(slice(None, None, 2)).likelihood.crossed is None
    assert model.null_model(model.family).likelihood.crossed is None
    assert make(model.data, families.Gaussian("log")).likelihood.crossed is None
