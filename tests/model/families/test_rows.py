"""Rows in the middle of the domain: finite differences, the mean over the response, traces, the domain."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from raphson.model import families
from raphson.model.families import links
from raphson.numeric import x64

MAKERS = {
    "gaussian": lambda link: families.Gaussian(link=link),
    "binomial": lambda link: families.Binomial(link=link),
    "poisson": lambda link: families.Poisson(link=link),
    "gamma": lambda link: families.Gamma(link=link),
    "inverse_gaussian": lambda link: families.InverseGaussian(link=link),
    "negative_binomial": lambda link: families.NegativeBinomial(theta=1.3, link=link),
    "estimated": lambda link: families.NegativeBinomial(link=link),
    "tweedie": lambda link: families.Tweedie(power=1.4, link=link),
    "multinomial": lambda link: families.Multinomial(levels=("a", "b", "c")),
}


compiled = jax.jit(lambda family, y, eta: family.rows(y, eta))


def rows_of(family, y, eta):
    with x64():
        return jax.tree.map(np.asarray, compiled(family, y, eta))


@pytest.mark.parametrize(
    ("name", "link"), [*((name, "log") for name in MAKERS), ("binomial", "probit"), ("estimated", "probit")]
)
def test_finite_differences(name, link):
    family = MAKERS[name](link)
    rng = np.random.default_rng(1)
    y = rng.choice([0.0, 1.0, 2.0] if name == "multinomial" else [0.3, 1.0, 0.7], 12)
    eta = -rng.uniform(0.2, 2.0, (family.n_predictors, 12))
    rows = rows_of(family, y, eta)
    assert rows.value.shape == (12,)
    for k in range(family.n_predictors):
        step = np.zeros_like(eta)
        step[k] = 1e-5
        ahead, behind = rows_of(family, y, eta + step), rows_of(family, y, eta - step)
        np.testing.assert_allclose(rows.score[k], (ahead.value - behind.value) / 2e-5, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(rows.observed[k], -(ahead.score - behind.score) / 2e-5, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(rows.slope[:, k], (ahead.mean - behind.mean) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("link", sorted(links.LINKS))
def test_expected_information_is_the_mean_over_the_response(link):
    """E[W] by summation over a discrete response, at means between 0 and 1."""
    eta = links.LINKS[link]().link(np.array([0.2, 0.5, 0.9]))
    counts = np.arange(80.0)
    for name in ("binomial", "poisson", "negative_binomial"):
        family = MAKERS[name](link)
        y = np.array([0.0, 1.0]) if name == "binomial" else counts
        grid, at = np.meshgrid(y, eta)
        rows = rows_of(family, grid.ravel(), at.ravel()[None])
        mean = rows.mean[0]
        lower, upper = family.cdf(grid.ravel(), mean, 1.0)
        for quantity in (rows.observed[0, 0], rows.score[0] ** 2):
            total = ((upper - lower) * quantity).reshape(grid.shape).sum(axis=1)
            np.testing.assert_allclose(total, rows.expected[0, 0].reshape(grid.shape)[:, 0], rtol=1e-10)


def test_expected_information_is_the_slope_by_y_squared_times_the_variance():
    # where the score is affine in y: red when a closed form forgets a factor
    for name in ("gaussian", "gamma", "inverse_gaussian", "tweedie"):
        for link in ("cloglog", "inverse"):
            family = MAKERS[name](link)
            eta = np.tile(family.link.link(np.linspace(0.1, 0.9, 9)), 2)
            rows = rows_of(family, np.repeat([0.5, 1.5], 9), eta[None])
            change = rows.score[0, 9:] - rows.score[0, :9]
            affine = change**2 * family.variance(rows.mean[0, :9])
            np.testing.assert_allclose(rows.expected[0, 0, :9], affine, rtol=1e-11, err_msg=f"{name} {link}")


def test_the_information_in_theta_scales_a_step():
    # within 4% of the sum over the response while the mean is not small: it need not be exact
    family = families.NegativeBinomial()
    for theta in (0.05, 0.4, 1.3, 4.0, 50.0):
        for mean in (0.5, 3.0, 40.0):
            y = np.arange(6000.0)
            lower, upper = family.at(theta).cdf(y, np.full(y.shape, mean), 1.0)
            eta = np.log(np.stack([np.full(y.shape, mean), np.full(y.shape, theta)]))
            rows = rows_of(family, y, eta)
            exact = np.sum((upper - lower) * rows.score[1] ** 2)
            np.testing.assert_allclose(rows.expected[1, 1, 0], exact, rtol=0.04)
            cross = np.sum((upper - lower) * rows.observed[0, 1])
            np.testing.assert_allclose(cross, 0, atol=1e-3 * rows.expected[1, 1, 0])


def test_the_canonical_link_in_closed_form_is_autodiff():
    family = families.Binomial()
    y, eta = np.tile([0.0, 0.3, 1.0], 5), np.repeat(np.linspace(-4, 4, 5), 3)
    closed = rows_of(family, y, eta[None])
    with x64():
        general = jax.tree.map(np.asarray, jax.jit(families.Family.rows)(family, y, eta[None]))
    multinomial = rows_of(families.Multinomial(levels=("no", "yes")), np.round(y), eta[None])
    binary = rows_of(family, np.round(y), eta[None])
    for a, b in zip(closed, general, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-16)
    for field in ("value", "score", "observed", "expected"):
        np.testing.assert_allclose(getattr(multinomial, field), getattr(binary, field), rtol=1e-13, atol=1e-16)


def test_the_multinomial_in_closed_form_is_autodiff():
    family = families.Multinomial(levels=("a", "b", "c", "d"))
    eta = np.random.default_rng(2).normal(size=(3, 8))
    y = np.arange(8.0) % 4
    rows = rows_of(family, y, eta)
    with x64():

        def one(x, code):
            return family.log_density(code[None], x[:, None])[0]

        score = jax.jit(jax.vmap(jax.grad(one)))(eta.T, y)
        hessian = jax.jit(jax.vmap(jax.hessian(one)))(eta.T, y)
    np.testing.assert_allclose(rows.score, np.asarray(score).T, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(rows.observed, -np.moveaxis(np.asarray(hessian), 0, -1), rtol=1e-11, atol=1e-14)


def test_outside_the_domain_the_value_is_minus_infinity():
    for family, eta in [
        (families.Poisson(link="identity"), -0.5),
        (families.Gamma(), -0.5),
        (families.Binomial(link="log"), 0.1),
        (families.Binomial(link="identity"), 1.2),
        (families.Gaussian(link="inverse"), 0.0),
        (families.Gaussian(link="sqrt"), -1.0),
        (families.Poisson(), np.nan),
        (families.Poisson(), np.inf),
        (families.Tweedie(power=0.0, link="sqrt"), -1.0),
    ]:
        assert rows_of(family, np.ones(1), np.full((1, 1), eta)).value[0] == -np.inf, family
    # while a negative mean is right for the normal distribution
    assert np.isfinite(rows_of(families.Gaussian(link="inverse"), np.ones(1), np.full((1, 1), -2.0)).value[0])
    assert np.isfinite(rows_of(families.Tweedie(power=0.0, link="identity"), np.ones(1), -np.ones((1, 1))).value[0])


def test_another_parameter_value_traces_nothing():
    traces = []

    @jax.jit
    def score(family, y, eta):
        traces.append(family)
        return family.rows(y, eta).score

    y, eta = np.ones(4), np.zeros((1, 4))
    with x64():
        for theta in (0.5, 2, 7.0):
            score(families.NegativeBinomial(theta=theta), y, eta)
        for power in (1.1, 1.9, 2):
            score(families.resolve(f"tweedie({power})"), y, eta)
        for link in ("log", links.Log(), links.Log):
            score(families.Poisson(link=link), y, eta)
    assert len(traces) == 3


def test_no_two_families_share_a_structure():
    # Structures that compare equal share compiled code whenever their hashes meet in the cache: a Poisson model
    # was then evaluated as a binomial one, in a few runs of a hundred.
    for link in ("log", "logit"):
        every = [
            cls(power=1.5, link=link) if cls is families.Tweedie else cls(link=link)
            for cls in families.FAMILIES.values()
            if cls is not families.Multinomial
        ]
        every += [families.NegativeBinomial(theta=2.0, link=link)]
        structures = [jax.tree.structure(family) for family in every]
        for i, a in enumerate(structures):
            assert [a == b for b in structures] == [i == j for j in range(len(structures))]
    pair = [jax.tree.structure(families.Poisson(link=link)) for link in ("log", "logit")]
    assert pair[0] != pair[1]


def test_families_are_pytrees_with_their_parameters_as_leaves():
    family = families.NegativeBinomial(theta=2)
    assert jax.tree.leaves(family) == [2.0]
    assert type(family.theta) is np.float64
    assert jax.tree.map(lambda leaf: leaf, family) == family
    assert jax.tree.leaves(families.NegativeBinomial()) == []
    assert hash(families.Binomial()) == hash(families.Binomial())
