"""Quadrature: its derivatives against differences, and its agreement with the exact integral."""

import numpy as np
import pytest

import raphson as rp
from raphson.model import families
from raphson.model.objective import Need
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.densities import Density
from raphson.model.varying.quadrature import Quadrature

RNG = np.random.default_rng(8)
N = 90


def built(family, grouping, nodes=25):
    family, x = families.resolve(family), RNG.normal(size=N)
    y = RNG.poisson(2.0, N) + (0.5 if family.name == "gamma" else 0.0)
    y = np.minimum(y, 1) if family.name == "binomial" else y
    term = grouping("g", RNG.integers(0, 12, N), x[:, None])
    density = Density(family, y.astype(float), RNG.integers(1, 3, N).astype(float), None, "frequency")
    model = Quadrature(density, np.column_stack([np.ones(N), x]), [term], None, False, nodes=nodes)
    return model, np.array([0.4, 0.1, 0.5, *([-0.5] * density.has_tau)])


@pytest.mark.parametrize("nodes", [1, 2, 3, 9, 25])
@pytest.mark.parametrize(
    "family",
    [
        "poisson",
        "binomial",
        "negative_binomial",
        families.Gamma(link="log"),
        families.Binomial(link="probit"),
        families.Binomial(link="cloglog"),
    ],
)
def test_derivatives_are_those_of_the_value(family, nodes, grouping_term):
    """Of the sum as it is, whose nodes move with the parameters, not of the integral."""
    model, theta = built(family, grouping_term, nodes)
    here = model.evaluate(theta, Need(kinds=("observed",)))
    H = here.information["observed"].matrix
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-5
        above, below = model.evaluate(theta + step), model.evaluate(theta - step)
        assert abs((above.value - below.value) / 2e-5 - here.score[j]) < 1e-6 * np.abs(here.score).max()
        np.testing.assert_allclose(-(above.score - below.score) / 2e-5, H[j], atol=1e-6 * np.abs(H).max())


def test_one_node_is_laplace(grouping_term):
    model, theta = built("negative_binomial", grouping_term, 1)
    laplace = Criterion(model.density, model.designs, model.terms, None, False)
    one, other = (of.evaluate(theta, Need(kinds=("observed",))) for of in (model, laplace))
    assert abs(one.value - other.value) < 1e-10
    np.testing.assert_allclose(one.score, other.score, rtol=1e-9, atol=1e-10)
    matrices = (of.information["observed"].matrix for of in (one, other))
    np.testing.assert_allclose(*matrices, rtol=1e-9, atol=1e-9)


def test_the_integral(grouping_term):
    model, theta = built("poisson", grouping_term, 40)
    (term,), u = model.terms, np.linspace(-9, 9, 20_001)
    total, w = model.density._base, model.density.weight
    for level in range(term.n_levels):
        rows = term.codes == level
        if not rows.any():
            continue
        eta = (model.X[rows] @ theta[:2])[:, None] + theta[2] * term.columns[rows] * u
        logs = w[rows] @ (model.density.y[rows, None] * eta - np.exp(eta)) - 0.5 * u * u - 0.5 * np.log(2 * np.pi)
        total += np.log(np.trapezoid(np.exp(logs - logs.max()), u)) + logs.max()
    assert abs(model.evaluate(theta).value - total) < 1e-9


def test_nodes_beyond_the_domain_have_no_density(grouping_term):
    """Roots of counts near 0: the effects' normal distribution reaches beyond 0, where the link is not defined."""
    rng = np.random.default_rng(14)
    g = rng.integers(0, 8, N)
    y = rng.poisson(np.square(0.9 + 0.4 * rng.normal(size=8)[g])).astype(float)
    density = Density(families.Poisson(link="sqrt"), y, None, None, "precision")
    model = Quadrature(density, np.ones((N, 1)), [grouping_term("g", g)], None, False, nodes=25)
    spot = model.at(np.array([0.9, 0.4]))
    assert spot.derivatives.cut > 1e-9 and np.isfinite(spot.derivatives.gradient).all()
    far = model.at(np.array([3.0, 0.1]))
    assert far.derivatives.cut == 0.0


def test_a_cut_integral_is_said_to_be_one():
    rng = np.random.default_rng(14)
    g = rng.integers(0, 8, 80)
    y = rng.poisson(np.square(0.6 + 0.4 * rng.normal(size=8)[g])).astype(float)
    fit = rp.glm("y ~ 1 + (1 | g)", {"y": y, "g": g}, family=families.Poisson(link="sqrt"))
    assert fit.converged and "cut off" in " ".join(fit._reading.remarks)
    assert "quadrature=25" not in " ".join(fit._reading.remarks)


@pytest.mark.parametrize("nodes", [5, 9])
@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_few_nodes_converge(link, nodes):
    rng = np.random.default_rng(2)
    herd, period, x = np.repeat(np.arange(15), 4), np.tile(np.arange(4.0), 15), rng.normal(size=60)
    eta = -1 - 0.4 * period + 0.3 * x + 0.8 * rng.normal(size=15)[herd]
    size = rng.integers(2, 30, 60)
    ill = rng.binomial(size, 1 / (1 + np.exp(-eta)))
    data = {"ill": ill, "well": size - ill, "period": period, "x": x, "herd": herd}
    formula, family = "cbind(ill, well) ~ period + x + (1 | herd)", families.Binomial(link=link)
    assert rp.glm(formula, data, family=family, quadrature=nodes).converged
