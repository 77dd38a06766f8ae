"""Gradient and Hessian of the criterion against differences of its value and of its gradient."""

import numpy as np
import pytest

from raphson.model import families
from raphson.model.objective import Need
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.densities import Density

RNG = np.random.default_rng(5)
N = 240


def response(family, eta):
    mean = np.exp(eta)
    return {
        "gaussian": lambda: eta + RNG.normal(0, 0.6, N),
        "poisson": lambda: RNG.poisson(mean).astype(float),
        "binomial": lambda: (RNG.random(N) < 1 / (1 + np.exp(-eta))).astype(float),
        "gamma": lambda: RNG.gamma(4.0, mean / 4.0),
        "inverse_gaussian": lambda: RNG.wald(mean, 5.0),
        "negative_binomial": lambda: RNG.negative_binomial(2.0, 2.0 / (2.0 + mean)).astype(float),
    }[family]()


def built(family, restricted, grouping, weight=None, kind="precision"):
    family = families.resolve(family)
    x = RNG.normal(size=N)
    X = np.column_stack([np.ones(N), x])
    one, other = RNG.integers(0, 12, N), RNG.integers(0, 5, N)
    terms = [
        grouping("b", other),
        grouping("a", one, X),
        grouping("c", RNG.integers(0, 6, N), X, "independent"),
        grouping("d", np.zeros(N), RNG.normal(size=(N, 4)) / 2, "common"),
    ]
    eta = 0.4 + 0.3 * x + RNG.normal(0, 0.5, 12)[one] + RNG.normal(0, 0.3, 5)[other]
    y = response(family.name, eta)
    model = Criterion(Density(family, y, weight, None, kind), X, terms, RNG.normal(0, 0.1, N), restricted)
    theta = np.concatenate([np.zeros(model.p), [0.4, 0.5, -0.2, 0.3, 0.2, 0.3, 0.4], [0.2] * model.density.has_tau])
    theta[: model.p] = [0.3, 0.2][: model.p]
    return model, theta


def differences(model, theta):
    score, hessian = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-5
        above, below = model.evaluate(theta + step), model.evaluate(theta - step)
        score[j] = (above.value - below.value) / 2e-5
        hessian[j] = (above.score - below.score) / 2e-5
    return score, hessian


LINKS = [
    *("gaussian", "poisson", "binomial", "negative_binomial"),
    families.Gamma(link="log"),
    families.Gaussian(link="log"),
    families.InverseGaussian(link="log"),
    families.Binomial(link="cloglog"),
]


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize(
    "family", LINKS, ids=lambda one: one if isinstance(one, str) else f"{one.name}-{one.link_name}"
)
def test_derivatives(family, restricted, grouping_term):
    model, theta = built(family, restricted, grouping_term)
    here = model.evaluate(theta, Need(kinds=("observed",)))
    score, hessian = differences(model, theta)
    np.testing.assert_allclose(here.score, score, rtol=1e-6, atol=1e-6 * np.abs(score).max())
    np.testing.assert_allclose(
        -here.information["observed"].matrix, hessian, rtol=1e-6, atol=1e-6 * np.abs(hessian).max()
    )


@pytest.mark.parametrize("kind", ["precision", "frequency"])
@pytest.mark.parametrize("family", ["gaussian", families.Gamma(link="log"), "poisson"])
def test_weights(family, kind, grouping_term):
    weight = RNG.integers(0, 3, N).astype(float)
    model, theta = built(family, True, grouping_term, weight, kind)
    here = model.evaluate(theta, Need(kinds=("observed",)))
    score, hessian = differences(model, theta)
    np.testing.assert_allclose(here.score, score, rtol=1e-6, atol=1e-6 * np.abs(score).max())
    np.testing.assert_allclose(-here.information["observed"].matrix, hessian, atol=1e-6 * np.abs(hessian).max())
    if kind == "frequency":  # as many copies of each row
        copies = np.repeat(np.arange(N), weight.astype(int))
        density = model.density
        same = Criterion(
            Density(density.family, density.y[copies], None, None, "precision"),
            model.X[copies],
            [term.take_rows(copies) for term in model.terms],
            model.offset[:, copies],
            True,
        )
        np.testing.assert_allclose(here.value, same.evaluate(theta).value, rtol=1e-12)


def test_sparse_and_dense_algebra_agree(grouping_term, monkeypatch):
    from raphson.model.varying import algebra

    model, theta = built("poisson", True, grouping_term)
    assert model.form.dense
    here = model.evaluate(theta, Need(kinds=("observed",)))
    monkeypatch.setattr(algebra, "DENSE", 0)
    monkeypatch.setattr(algebra, "FULL", 2.0)
    sparse = Criterion(model.density, model.X, model.terms, model.offset, True)
    assert not sparse.form.dense
    there = sparse.evaluate(theta, Need(kinds=("observed",)))
    np.testing.assert_allclose(there.value, here.value, rtol=1e-13)
    np.testing.assert_allclose(there.score, here.score, rtol=1e-9, atol=1e-9)
    matrices = there.information["observed"].matrix, here.information["observed"].matrix
    np.testing.assert_allclose(*matrices, rtol=1e-9, atol=1e-9)


def test_a_term_on_one_level_is_not_eliminated(grouping_term):
    model, theta = built("gaussian", True, grouping_term)
    alone = Criterion(model.density, model.X, [model.terms[3]], model.offset, True)
    assert not alone.layout.eliminated
    theta = np.array([0.3, -0.5])
    score, hessian = differences(alone, theta)
    here = alone.evaluate(theta, Need(kinds=("observed",)))
    np.testing.assert_allclose(here.score, score, rtol=1e-6)
    np.testing.assert_allclose(-here.information["observed"].matrix, hessian, rtol=1e-6)


def test_the_criterion_is_even_in_a_standard_deviation(grouping_term):
    model, theta = built("binomial", False, grouping_term)
    j = model.p
    there = theta.copy()
    there[j] = -theta[j]
    assert abs(model.evaluate(theta).value - model.evaluate(there).value) < 1e-10
    there[j] = 0.0
    assert abs(model.evaluate(there).score[j]) < 1e-10


def test_the_value_is_the_marginal_likelihood_of_a_normal_response(grouping_term):
    model, theta = built("gaussian", False, grouping_term)
    entries = theta[model.own_entries]
    V = np.exp(theta[-1]) * np.eye(N)
    for scale, term in zip(model.scales, model.terms, strict=True):
        Z, L = term.matrix(), scale.matrix(entries)
        G = np.kron(np.eye(term.n_levels), L @ L.T)
        V += Z @ G @ Z.T
    r = model.density.y - model.offset[0] - model.X @ theta[: model.p]
    direct = -0.5 * (N * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + r @ np.linalg.solve(V, r))
    assert abs(model.evaluate(theta).value - direct) < 1e-9


@pytest.mark.parametrize("restricted", [False, True])
def test_traces_by_norms_are_those_of_the_general_algebra(restricted, grouping_term):
    model, _ = built("gaussian", restricted, grouping_term)
    crossed = Criterion(model.density, model.X, [model.terms[k] for k in (0, 3)], model.offset, restricted)
    theta = np.concatenate([np.zeros(crossed.p), [0.4, -0.3, 0.2]])
    found = crossed.derivatives(crossed.at(theta))
    dots = [found._dot(j) for j in range(crossed.n_params)]
    quick, general = found._traces_of_products(dots), super(type(found), found)._traces_of_products(dots)
    np.testing.assert_allclose(quick, general, rtol=1e-10, atol=1e-10 * np.abs(general).max())


def test_cross_products_keep_the_digits_of_a_response_far_from_zero(grouping_term):
    model, theta = built("gaussian", True, grouping_term)
    far = Criterion(
        Density(model.density.family, model.density.y + 1e6, None, None, "precision"),
        model.X,
        model.terms,
        model.offset,
        True,
    )
    assert abs(far.evaluate(theta).value - model.evaluate(theta).value) < 1e-6
