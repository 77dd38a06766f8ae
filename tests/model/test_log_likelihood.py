"""The objective's derivatives against differences of the objective itself, and its forms against one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raphson.data import blocks, from_arrays
from raphson.execute import serial, threads
from raphson.model import families
from raphson.model.block_sums import Sums
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import Gram, Need, Root, scaled
from raphson.newton.solve import factorise

FAMILIES = {
    "gaussian": ("normal", families.Gaussian()),
    "logit": ("binary", families.Binomial()),
    "probit": ("binary", families.Binomial(link="probit")),
    "poisson": ("count", families.Poisson()),
    "gamma": ("positive", families.Gamma(link="log")),
    "inverse gaussian": ("positive", families.InverseGaussian(link="log")),
    "theta known": ("spread", families.NegativeBinomial(theta=1.3)),
    "theta estimated": ("spread", families.NegativeBinomial()),
    "tweedie": ("spread", families.Tweedie(power=1.5)),
    "multinomial": ("category", families.Multinomial()),
}
KINDS = ("observed", "expected", "opg")


def make(sample, name, weights=True, offset=True, penalty=True, kind="precision", y=None):
    response, family = FAMILIES[name]
    values = getattr(sample, response) if y is None else y
    data = from_arrays(
        values,
        sample.X,
        weights=sample.weights if weights else None,
        offset=sample.offset if offset else None,
    )
    model = GeneralisedLinearModel.of(data, family, kind, None, serial())
    if penalty:
        p = model.predictor.n_params
        B = np.random.default_rng(p).normal(size=(p, p))
        model = replace(model, penalty=B.T @ B)
    return model


def near(model):
    """A point near, but not at, the maximum."""
    start = model.start(Need()).theta
    return start + 0.1 * np.random.default_rng(1).normal(size=len(start))


def derivative(function, theta, h=1e-5):
    """Central differences, by rows."""
    columns = []
    for j in range(len(theta)):
        e = np.zeros(len(theta))
        e[j] = h * max(1.0, abs(theta[j]))
        columns.append((function(theta + e) - function(theta - e)) / (2 * e[j]))
    return np.stack(columns)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_score_is_the_derivative_of_the_value(sample, name):
    objective = make(sample, name).objective
    theta = near(make(sample, name))
    found = objective.evaluate(theta).score
    numeric = derivative(lambda t: objective.evaluate(t).value, theta)
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_observed_information_is_minus_the_derivative_of_the_score(sample, name):
    objective = make(sample, name).objective
    theta = near(make(sample, name))
    found = objective.evaluate(theta, Need(("observed",))).information["observed"].matrix
    numeric = -derivative(lambda t: objective.evaluate(t).score, theta)
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-7 * np.abs(found).max())


@pytest.mark.parametrize("name", ["logit", "probit"])
def test_the_expected_information_is_the_sum_over_responses(sample, name):
    # Σ_y P(y | η) observed(y), exactly: the information is linear in the weights.
    model = make(sample, name, penalty=False)
    theta = near(model)
    mean = model.rows(theta).mean[0]
    total = 0.0
    for y, probability in ((0.0, 1.0 - mean), (1.0, mean)):
        other = replace(model, y=np.full(sample.n, y), weight=model.weight * probability)
        total = total + other.objective.evaluate(theta, Need(("observed",))).information["observed"].matrix
    found = model.objective.evaluate(theta, Need(("expected",))).information["expected"].matrix
    np.testing.assert_allclose(found, total, rtol=1e-12)


def test_the_expected_information_is_the_mean_over_counts(sample):
    # Σ_y P(y) observed(y) over all counts that have a chance, by the recurrence of their probabilities.
    model = make(sample, "theta known", penalty=False)
    theta = near(model)
    mean = model.rows(theta).mean[0]
    found = model.objective.evaluate(theta, Need(("expected",))).information["expected"].matrix
    size, total = 1.3, 0.0
    probability = (size / (size + mean)) ** size  # P(Y = 0)
    for y in range(400):
        other = replace(model, y=np.full(sample.n, float(y)), weight=model.weight * probability)
        total = total + other.objective.evaluate(theta, Need(("observed",))).information["observed"].matrix
        probability = probability * (y + size) / (y + 1) * mean / (size + mean)
    np.testing.assert_allclose(found, total, rtol=1e-10)


@pytest.mark.parametrize("name", ["gaussian", "probit", "multinomial"])
def test_the_outer_product(sample, name):
    model = make(sample, name, penalty=False)
    theta = near(model)
    evaluation = model.objective.evaluate(theta, Need(("opg",)))
    u = model.rows(theta).score  # weighted
    G = np.concatenate([row[:, None] * sample.X for row in u], axis=1)
    np.testing.assert_allclose(
        evaluation.information["opg"].matrix, G.T @ G / evaluation.dispersion, rtol=1e-12, atol=1e-12
    )


def test_copies_of_a_row_score_one_by_one(sample):
    model = make(sample, "poisson", penalty=False, kind="frequency")
    theta = near(model)
    found = model.objective.evaluate(theta, Need(("opg",))).information["opg"].matrix
    times = np.repeat(np.arange(sample.n), sample.weights.astype(int))
    data = from_arrays(sample.count[times], sample.X[times], offset=sample.offset[times])
    repeated = GeneralisedLinearModel.of(data, families.Poisson(), "precision", None, serial())
    expected = repeated.objective.evaluate(theta, Need(("opg",))).information["opg"].matrix
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["gaussian", "logit", "gamma", "theta estimated", "multinomial"])
@pytest.mark.parametrize("penalty", [False, True])
def test_the_root_form_squares_to_the_gram_form(sample, name, kind, penalty):
    objective = make(sample, name, penalty=penalty).objective
    theta = near(make(sample, name))
    gram = objective.evaluate(theta, Need((kind,)))
    root = objective.evaluate(theta, Need((kind,), root=True))
    M, part = gram.information[kind].matrix, root.information[kind]
    if isinstance(part, Gram):
        assert kind == "observed"  # some row's information is indefinite
        np.testing.assert_allclose(part.matrix, M, rtol=1e-11, atol=1e-11 * np.abs(M).max())
        return
    R = part.triangle[:, :-1]
    np.testing.assert_allclose(R.T @ R, M, rtol=1e-11, atol=1e-11 * np.abs(M).max())
    # The right-hand side that goes with it: Aᵀz is the score.
    score = R.T @ part.triangle[:, -1]
    np.testing.assert_allclose(score, root.score, rtol=1e-10, atol=1e-10 * np.abs(root.score).max())


def test_products_without_the_matrix(sample):
    for name in ("gamma", "multinomial"):
        model = make(sample, name)
        theta = near(model)
        evaluation = model.objective.evaluate(theta, Need(("observed",), products=True))
        M = model.objective.evaluate(theta, Need(("observed",))).information["observed"].matrix
        v = np.arange(1.0, len(theta) + 1)
        np.testing.assert_allclose(evaluation.operator.product(v), M @ v, rtol=1e-11)
        np.testing.assert_allclose(evaluation.operator.diagonal(), np.diag(M), rtol=1e-11)


@pytest.fixture
def many_blocks(monkeypatch):
    """Blocks of 256 rows only: no new shape is compiled, and 700 rows are three of them."""
    monkeypatch.setattr(blocks, "BLOCK_ROWS", (256,))


@pytest.fixture
def large():
    rng = np.random.default_rng(8)
    X = np.column_stack([np.ones(700), rng.normal(size=(700, 2))])
    y = rng.gamma(2.0, np.exp(0.3 * X[:, 1]) / 2.0)
    return from_arrays(y, X, offset=0.1 * rng.normal(size=700), weights=rng.integers(0, 3, 700).astype(float))


@pytest.mark.parametrize("root", [False, True])
def test_blocks_and_threads_add_up_to_the_last_bit(large, many_blocks, root):
    results = []
    for executor in (serial(), threads(2), threads(3)):
        model = GeneralisedLinearModel.of(large, families.Gamma(link="log"), "precision", None, executor)
        assert len(model.blocks) == 3
        evaluation = model.objective.evaluate(np.array([0.1, 0.2, -0.1]), Need(KINDS, root=root))
        parts = [getattr(part, "matrix", getattr(part, "triangle", None)) for part in evaluation.information.values()]
        results.append((evaluation.value, evaluation.score.tobytes(), *(part.tobytes() for part in parts)))
    assert results[0] == results[1] == results[2]


def test_the_block_layout_does_not_matter(large, many_blocks):
    theta = np.array([0.1, 0.2, -0.1])
    family = families.Gamma(link="log")
    cut = GeneralisedLinearModel.of(large, family, "precision", None, serial()).objective
    found = cut.evaluate(theta, Need(KINDS))
    half = [
        GeneralisedLinearModel.of(large, family, "precision", None, serial()).subset(keep).objective
        for keep in (np.arange(700) < 250, np.arange(700) >= 250)
    ]
    parts = [objective.evaluate(theta, Need(KINDS)) for objective in half]
    assert found.value == pytest.approx(sum(part.value for part in parts), rel=1e-12)
    np.testing.assert_allclose(found.score, sum(part.score for part in parts), rtol=1e-10)
    for kind in ("observed", "expected"):
        total = sum(part.information[kind].matrix for part in parts)
        np.testing.assert_allclose(found.information[kind].matrix, total, rtol=1e-12)


def test_roots_and_grams_of_different_blocks_are_added(many_blocks):
    # Tiny responses in the first block make W > 0, huge ones in the second make it negative: only the first
    # block has a root, and the sum is a gram.
    n = 512
    X = np.column_stack([np.ones(n), np.linspace(-1, 1, n)])
    y = np.where(np.arange(n) < 256, 0.5, 40.0)
    family = families.Gaussian(link="log")
    model = GeneralisedLinearModel.of(from_arrays(y, X), family, "precision", None, serial())
    theta = np.array([1.0, 0.2])
    root = model.objective.evaluate(theta, Need(("observed",), root=True)).information["observed"]
    gram = model.objective.evaluate(theta, Need(("observed",))).information["observed"]
    assert isinstance(root, Gram)
    np.testing.assert_allclose(root.matrix, gram.matrix, rtol=1e-11)


def test_the_linearised_problem_is_the_first_least_squares_fit(sample):
    # At η it solves Xᵀ W X θ = Xᵀ W (η − offset + (y − μ)/μ') of iteratively reweighted least squares.
    model = make(sample, "poisson", penalty=False)
    eta = np.log(np.where(sample.count == 0, 0.5, sample.count))[None]
    evaluation = model.likelihood.linearised(eta, Need(("expected",)))
    theta = np.linalg.solve(evaluation.information["expected"].matrix, evaluation.score)
    mu, w = np.exp(eta[0]), sample.weights
    z = eta[0] - sample.offset + (sample.count - mu) / mu
    A = np.sqrt(w * mu)[:, None] * sample.X
    expected = np.linalg.lstsq(A, np.sqrt(w * mu) * z, rcond=None)[0]
    np.testing.assert_allclose(theta, expected, rtol=1e-11)


def test_outside_the_domain_it_is_not_finite(sample):
    family = families.Poisson(link="identity")
    data = from_arrays(sample.count, sample.X)
    model = GeneralisedLinearModel.of(data, family, "precision", None, serial())
    evaluation = model.objective.evaluate(np.array([-1.0, 0, 0]), Need(("expected",)))
    assert evaluation.value == -np.inf and not evaluation.finite and evaluation.information == {}


def test_canonical_information_is_computed_once(sample):
    objective = make(sample, "logit").objective
    evaluation = objective.evaluate(np.zeros(3), Need(("expected", "observed")))
    assert evaluation.information["observed"] is evaluation.information["expected"]
    assert objective.same("observed") == "expected" and make(sample, "probit").objective.same("observed") == "observed"


def test_dispersion_is_pearsons(sample):
    model = make(sample, "gamma", penalty=False)
    theta = near(model)
    mean = model.rows(theta).mean[0]
    pearson = np.sum(sample.weights * ((sample.positive - mean) / mean) ** 2)
    found = model.objective.evaluate(theta).dispersion
    assert found == pytest.approx(pearson / (sample.n - 3), rel=1e-12)
    assert make(sample, "poisson").objective.evaluate(np.zeros(3)).dispersion == 1.0


def test_scaling_keeps_the_right_hand_side():
    rng = np.random.default_rng(0)
    A, z = rng.normal(size=(9, 3)), rng.normal(size=9)
    part = Root.of(np.column_stack([A, z]))
    R = scaled(part, 4.0).triangle
    np.testing.assert_allclose(R[:, :-1].T @ R[:, :-1], 4.0 * A.T @ A, rtol=1e-12)
    np.testing.assert_allclose(R[:, :-1].T @ R[:, -1], A.T @ z, rtol=1e-12)
    np.testing.assert_array_equal(scaled(Gram(np.eye(2)), 4.0).matrix, 4 * np.eye(2))
    # Neither changes what it was made from.
    np.testing.assert_allclose(factorise(part).matrix, A.T @ A, rtol=1e-12)


def test_blocks_outside_the_domain_leave_no_information_whichever_comes_first():
    inside = Sums(-1.0, np.zeros(2), 0.0, 0.0, {"observed": Gram(np.eye(2))})
    outside = Sums(-np.inf, np.zeros(2), 0.0, 0.0, {})
    assert (inside + inside).information["observed"].matrix.tolist() == [[2.0, 0.0], [0.0, 2.0]]
    for found in (inside + outside, outside + inside, outside + outside, inside + inside + outside):
        assert found.information == {} and found.value == -np.inf
