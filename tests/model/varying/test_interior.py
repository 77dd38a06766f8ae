"""Links with a domain: fits by REML and by ML against a dense Laplace approximation, and what is said at its edge."""

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.model import families
from raphson.model.varying.densities import Density
from raphson.model.varying.interior import interior

MEANS = {"identity": lambda x: x, "sqrt": np.square, "inverse": lambda x: 1 / x, "inverse_squared": lambda x: x**-0.5}


def data_of(family, link, level, seed=4, n=70, groups=7):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    mean = MEANS[link](level + 0.15 * x + 0.3 * rng.normal(size=groups)[g])
    draw = {
        "poisson": rng.poisson,
        "gamma": lambda m: rng.gamma(5.0, m / 5.0),
        "gaussian": lambda m: rng.normal(m, 0.4),
    }
    draw["inverse_gaussian"] = lambda m: rng.wald(m, 6.0)
    return pd.DataFrame({"y": draw[family](mean).astype(float), "x": x, "g": g})


def log_density(family, link, y, eta, tau):
    """log f and its derivatives by η, by the chain rule over the mean m."""
    m = MEANS[link](eta)
    m1, m2 = {
        "identity": (np.ones_like(eta), 0.0),
        "sqrt": (2 * eta, 2.0),
        "inverse": (-(eta**-2), 2 * eta**-3),
        "inverse_squared": (-0.5 * eta**-1.5, 0.75 * eta**-2.5),
    }[link]
    phi = np.exp(tau)
    from scipy.special import gammaln

    f, f1, f2 = {
        "poisson": lambda: (y * np.log(m) - m - gammaln(y + 1), y / m - 1, -y / m**2),
        "gamma": lambda: (
            (-y / m - np.log(m) + np.log(y / phi)) / phi - gammaln(1 / phi) - np.log(y),
            (y / m**2 - 1 / m) / phi,
            (1 / m**2 - 2 * y / m**3) / phi,
        ),
        "gaussian": lambda: (-((y - m) ** 2) / (2 * phi) - np.log(2 * np.pi * phi) / 2, (y - m) / phi, -1 / phi),
        "inverse_gaussian": lambda: (
            -((y - m) ** 2) / (2 * phi * y * m**2) - np.log(2 * np.pi * phi * y**3) / 2,
            (y - m) / (phi * m**3),
            (2 * m - 3 * y) / (phi * m**4),
        ),
    }[family]()
    return f, f1 * m1, f2 * m1**2 + f1 * m2


def laplace(family, link, data, sigma, tau, v):
    """REML's criterion from dense matrices, by plain Newton steps from v = (β, u)."""
    n, groups = len(data), 7
    A = np.column_stack([np.ones(n), data.x, sigma * np.eye(groups)[data.g]])
    P = np.diag([0.0, 0.0, *np.ones(groups)])
    for _ in range(30):
        f, s, bent = log_density(family, link, data.y.to_numpy(), A @ v, tau)
        H = (A.T * -bent) @ A + P
        v = v + np.linalg.solve(H, A.T @ s - P @ v)
    f, s, bent = log_density(family, link, data.y.to_numpy(), A @ v, tau)
    H = (A.T * -bent) @ A + P
    return f.sum() - 0.5 * v @ P @ v - 0.5 * np.linalg.slogdet(H)[1] + np.log(2 * np.pi)


@pytest.mark.parametrize(
    ("family", "link", "level"),
    [
        ("poisson", "identity", 3.0),
        ("poisson", "sqrt", 2.0),
        ("gamma", "inverse", 1.5),
        ("gamma", "identity", 3.0),
        ("gaussian", "inverse", 1.0),
        ("inverse_gaussian", "inverse_squared", 2.0),
    ],
)
def test_links_with_a_domain_by_reml(family, link, level):
    data = data_of(family, link, level)
    fit = rp.glm("y ~ x + (1 | g)", data, family=families.resolve(family).__class__(link=link), criterion="reml")
    assert fit.converged and fit.status in ("converged", "boundary")
    at = fit._reading.maximum
    sigma, tau = at.theta[0], at.theta[-1] if len(at.theta) > 1 else 0.0
    v = np.concatenate([at.beta, at.spot.mode.v[:7]])

    def value(s, t):
        return laplace(family, link, data, s, t, v)

    assert abs(fit.llf - value(sigma, tau)) < 1e-10 * abs(fit.llf)
    h = 1e-4
    slope = (value(sigma + h, tau) - value(sigma - h, tau)) / (2 * h)
    assert abs(slope) < 1e-5
    if len(at.theta) > 1:
        assert abs(value(sigma, tau + h) - value(sigma, tau - h)) / (2 * h) < 1e-5


def test_counts_of_zero_with_the_identity_link():
    for seed in range(6):
        data = data_of("poisson", "identity", 0.9, seed)
        data["y"] = np.where(data.y < 2, data.y, 1.0)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                fit = rp.glm("y ~ x + (1 | g)", data, family=families.Poisson(link="identity"))
            except rp.ConvergenceError as error:
                assert "identity link allows" in str(error)
                continue
        assert fit.status in ("converged", "boundary") or "identity link allows" in str(said[-1].message)


def test_a_start_is_drawn_inside():
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    X = np.column_stack([np.ones(50), x])
    y = np.where(x < -0.5, 0.0, rng.poisson(np.maximum(3 * x, 0.1)).astype(float))
    density = Density(families.Poisson(link="identity"), y, None, None, "precision")
    assert density.walled and not Density(families.Poisson(), y, None, None, "precision").walled
    beta = interior(density, X, np.zeros(50), 0.0)
    assert (X @ beta > 0).all() and np.isfinite(density.at((X @ beta)[None], 0.0, 2).total)


def test_where_the_mode_is_at_the_edge_no_success_is_claimed():
    """The most likely mean of a group of zeros is 0 there."""
    g = np.repeat(np.arange(4), 10)
    x = np.tile(np.linspace(-1, 1, 10), 4)
    y = np.where(g == 0, 0.0, np.round(1 + x + 0.2 * g))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit = rp.glm("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, family=families.Poisson(link="identity"))
        except rp.ConvergenceError as error:
            assert "identity link allows" in str(error)
        else:
            assert not fit.converged and "identity link allows" in str(said[-1].message)
