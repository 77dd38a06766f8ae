"""The factors of tensor products and their derivatives, beside those of mpmath and differences of the criterion."""

import mpmath as mp
import numpy as np
import pytest

from raphson.data.varying.term import VaryingTerm
from raphson.model import families
from raphson.model.objective import Need
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.densities import Density
from raphson.model.varying.scales import TensorScale

N, WIDTH = 200, 9


def penalties(q):
    """Of which each column has some, as those of tensor products."""
    d = np.random.default_rng(q).uniform(0.2, 3.0, (q, WIDTH))
    for a in range(WIDTH):
        kept = [(a + 1) >> m & 1 for m in range(q)]
        d[:, a] *= kept if any(kept) else 1
    return d


def of_mpmath(sigma, d):
    """Λ_aa, whose zeros are cancelled."""
    kept = [m for m in range(len(d)) if d[m] > 0]
    others = [mp.fprod(sigma[k] ** 2 for k in kept if k != m) * mp.mpf(float(d[m])) for m in kept]
    return mp.fprod(sigma[m] for m in kept) / mp.sqrt(mp.fsum(others))


@pytest.mark.parametrize("q", [2, 3])
@pytest.mark.parametrize("sigma", [(0.7, -0.3, 1.2), (1e-7, 0.5, -2.0), (0.0, 0.5, 0.3), (0.5, 0.0, -0.3)])
def test_the_factor_of_a_tensor_product_and_its_derivatives(q, sigma):
    d, sigma = penalties(q), np.array(sigma[:q])
    scale = TensorScale("tensor", WIDTH, 0, d)
    first, second = scale.moves(sigma), scale.bends(sigma)
    with mp.workdps(50):
        for a in range(WIDTH):

            def at(*moved, a=a):
                return of_mpmath([mp.mpf(float(s)) + step for s, step in zip(sigma, moved, strict=True)], d[:, a])

            assert scale.matrix(sigma)[a, a] == pytest.approx(float(at(*[0] * q)), rel=1e-14)
            for m in range(q):
                unit = [int(k == m) for k in range(q)]
                assert first[m][a, a] == pytest.approx(float(mp.diff(at, [0] * q, unit)), rel=1e-12, abs=1e-14)
                for k in range(m + 1):
                    orders = [unit[i] + int(i == k) for i in range(q)]
                    own = second[m, k][a, a] if (m, k) in second else 0.0
                    assert own == pytest.approx(float(mp.diff(at, [0] * q, orders)), rel=1e-9, abs=1e-12)


def test_where_two_are_zero_the_slopes_are_those_along_the_axes():
    scale, nothing = TensorScale("tensor", WIDTH, 0, penalties(2)), np.zeros(2)
    assert not scale.matrix(nothing).any() and scale.bends(nothing) == {}
    both = (penalties(2) > 0).all(axis=0)
    for m, slope in enumerate(scale.moves(nothing)):
        assert not slope.diagonal()[both].any()
        along = scale.matrix(np.eye(2)[m]).diagonal()
        np.testing.assert_allclose(slope.diagonal(), along, rtol=1e-14)


def test_the_first_entries_have_nearly_the_largest_likelihood():
    d, found = penalties(2), np.array([0.8, 0.3])
    scale = TensorScale("tensor", WIDTH, 0, d)
    variances = (found**-2.0 @ d) ** -1
    np.testing.assert_allclose(scale.entries(np.diag(variances)), found, rtol=0.05)


def built(family, restricted, grouping):
    rng = np.random.default_rng(3)
    family, g, columns = families.resolve(family), rng.integers(0, 7, N), rng.normal(size=(N, WIDTH)) / 2
    names = tuple(str(one) for one in range(WIDTH))
    term = VaryingTerm("te(x, z)", "te(x, z)", columns, None, (), names, "tensor", True, ("x", "z"), penalties(2))
    X = np.column_stack([np.ones(N), rng.normal(size=N)])
    mean = np.exp(0.3 + columns @ rng.normal(size=WIDTH) / 2 + rng.normal(0, 0.4, 7)[g])
    y = {
        "gaussian": lambda: np.log(mean) + rng.normal(0, 0.5, N),
        "poisson": lambda: rng.poisson(mean).astype(float),
        "binomial": lambda: (rng.random(N) < mean / (1 + mean)).astype(float),
        "gamma": lambda: rng.gamma(4.0, mean / 4.0),
        "negative_binomial": lambda: rng.negative_binomial(2.0, 2.0 / (2.0 + mean)).astype(float),
    }[family.name]()
    terms = [grouping("g", g, X, "independent"), term]
    return Criterion(Density(family, y, None, None, "precision"), X, terms, rng.normal(0, 0.1, N), restricted)


FAMILIES = ["gaussian", "poisson", "binomial", "negative_binomial", families.Gamma(link="log")]


@pytest.mark.parametrize("sigma", [(0.5, 0.9), (-0.4, 0.7), (1e-4, 0.6), (0.8, 0.0)])
@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one if isinstance(one, str) else one.name)
def test_derivatives_of_the_criterion(family, restricted, sigma, grouping_term):
    model = built(family, restricted, grouping_term)
    theta = np.array([*[0.3, 0.2][: model.p], 0.4, 0.3, *sigma, *[0.2] * model.density.has_tau])
    here = model.evaluate(theta, Need(kinds=("observed",)))
    score, hessian = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-5
        above, below = model.evaluate(theta + step), model.evaluate(theta - step)
        score[j], hessian[j] = (above.value - below.value) / 2e-5, (above.score - below.score) / 2e-5
    np.testing.assert_allclose(here.score, score, rtol=1e-6, atol=1e-6 * np.abs(score).max())
    found = -here.information["observed"].matrix
    np.testing.assert_allclose(found, hessian, rtol=1e-6, atol=1e-7 * np.abs(hessian).max())
    mirrored = theta.copy()
    mirrored[model.p + 2] *= -1
    assert model.evaluate(mirrored).value == pytest.approx(here.value, abs=1e-10)


def test_the_value_is_the_likelihood_with_the_sum_of_the_penalties(grouping_term):
    model = built("gaussian", False, grouping_term)
    theta = np.array([0.3, 0.2, 0.4, 0.3, 0.5, 0.9, 0.2])
    G = [np.kron(np.eye(7), np.diag([0.4**2, 0.3**2])), np.linalg.inv(np.diag(penalties(2).T @ [0.5**-2, 0.9**-2]))]
    V = np.exp(0.2) * np.eye(N) + sum(t.matrix() @ one @ t.matrix().T for t, one in zip(model.terms, G, strict=True))
    r = model.density.y - model.offset[0] - model.X @ theta[:2]
    direct = -0.5 * (N * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + r @ np.linalg.solve(V, r))
    assert model.evaluate(theta).value == pytest.approx(direct, abs=1e-9)
