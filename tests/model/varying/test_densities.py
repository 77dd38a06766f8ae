"""Row derivatives to the fourth order, each against differences of the one before."""

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.model import families
from raphson.model.varying import densities
from raphson.model.varying.densities import Density

RNG = np.random.default_rng(3)
ETA = np.linspace(-2.5, 2.5, 60)
RESPONSES = {
    "gaussian": RNG.normal(size=60),
    "poisson": RNG.poisson(3.0, 60).astype(float),
    "binomial": RNG.integers(0, 5, 60) / 4,
    "gamma": RNG.gamma(2.0, 1.0, 60),
    "inverse_gaussian": RNG.wald(2.0, 3.0, 60),
    "tweedie": np.where(RNG.random(60) < 0.3, 0.0, RNG.gamma(2.0, 1.0, 60)),
}


LINKS = [
    ("gaussian", "identity", ETA),
    ("gaussian", "log", ETA),
    ("gaussian", "inverse", ETA + 4.0),
    ("poisson", "log", ETA),
    ("poisson", "identity", ETA + 4.0),
    ("poisson", "sqrt", ETA + 4.0),
    *(("binomial", link, ETA) for link in ("logit", "probit", "cloglog", "cauchit")),
    ("binomial", "log", ETA - 3.0),
    ("binomial", "identity", ETA / 6.0 + 0.5),
    ("gamma", "log", ETA),
    ("gamma", "inverse", ETA + 4.0),
    ("inverse_gaussian", "log", ETA),
    ("inverse_gaussian", "inverse_squared", ETA + 4.0),
    ("tweedie", "log", ETA),
    ("tweedie", "identity", ETA + 4.0),
]


@pytest.mark.parametrize(("name", "link", "eta"), LINKS, ids=[f"{name}-{link}" for name, link, _ in LINKS])
def test_each_derivative_is_that_of_the_one_before(name, link, eta):
    family = families.Tweedie(power=1.4, link=link) if name == "tweedie" else type(families.resolve(name))(link=link)
    density = Density(family, RESPONSES[name], None, None, "precision")
    h = 1e-5
    here, above, below = (density.at(at[None], 0.2, 4) for at in (eta, eta + h, eta - h))
    towers = [[-one.score[0], *(derivative(one, *[0] * k) for k in (2, 3, 4))] for one in (here, above, below)]
    for expected, high, low in zip(towers[0][1:], towers[1], towers[2], strict=False):
        if expected is not None:
            slope = (high - low) / (2 * h)
            np.testing.assert_allclose(expected + 0 * eta, slope, rtol=1e-6, atol=1e-7 * np.abs(slope).max())


def derivative(rows, *index):
    """W with these indices; None where it is 0."""
    return {2: rows.weight, 3: rows.third, 4: rows.fourth}[len(index)].at(*index)


def test_autodiff_agrees_with_what_is_written_out():
    family = families.Poisson(link="log")
    density = Density(family, RESPONSES["poisson"], None, None, "precision")
    found = densities._by_blocks(family, RESPONSES["poisson"], ETA[None], 4)
    for one, other in zip(density._unit(ETA, 4), found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("family", ["gaussian", families.Gamma(link="log"), "negative_binomial", "tweedie(1.6)"])
def test_derivatives_by_the_scale(family):
    family = families.resolve(family)
    y = RESPONSES["poisson"] if family.name == "negative_binomial" else RESPONSES[family.name]
    density, tau, h = Density(family, y, None, None, "precision"), 0.3, 1e-5
    here, above, below = (density.at(ETA[None], at, 4) for at in (tau, tau + h, tau - h))
    for value, slope in [("total", "tau"), ("tau", "tau2"), ("each_tau", "each_tau2")]:
        found = (getattr(above, value) - getattr(below, value)) / (2 * h)
        np.testing.assert_allclose(getattr(here, slope), found, rtol=1e-6, atol=1e-6)
    for index in [(0,), (0, 1), (0, 0), (0, 0, 1), (0, 0, 0)]:
        values = [-one.score[0] if index == (0,) else derivative(one, *index) for one in (above, below)]
        if values[0] is None:
            continue
        slope, found = (values[0] - values[1]) / (2 * h), derivative(here, *index, 1)
        np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-6)


def test_large_shapes_keep_their_digits():
    mpmath = pytest.importorskip("mpmath")
    y = RESPONSES["gamma"]
    density = Density(families.Gamma(link="log"), y, None, None, "precision")
    mpmath.mp.dps = 40
    a = mpmath.mpf(10) ** 6
    first, second = density._constant(1e-6)[1:]
    exact = -a * (mpmath.log(a) - mpmath.digamma(a))
    assert abs(first / 60 - float(exact)) < 1e-12
    assert abs(second / 60 - float(-exact + a * (1 - a * mpmath.polygamma(1, a)))) < 1e-12


@pytest.mark.parametrize("name", ["quasipoisson", "tweedie(1)", "tweedie(2.5)"])
def test_families_without_a_likelihood_are_refused(name):
    with pytest.raises(ModelError, match="family: expected"):
        Density(families.resolve(name), RESPONSES["poisson"], None, None, "precision")


@pytest.mark.parametrize("kind", ["precision", "frequency"])
def test_derivatives_of_tweedies_constants_with_weights(kind):
    weight = RNG.integers(0, 4, 60).astype(float)
    density, h = Density(families.resolve("tweedie(1.3)"), RESPONSES["tweedie"], weight, None, kind), 1e-4
    here, above, below = (density.constants(at) for at in (0.2, 0.2 + h, 0.2 - h))
    assert (above[0] - below[0]) / (2 * h) == pytest.approx(here[1], rel=1e-6)
    assert (above[1] - below[1]) / (2 * h) == pytest.approx(here[2], rel=1e-6)


def test_a_tweedie_family_with_the_power_of_another_one_is_that():
    rows = [
        Density(family, RESPONSES["gamma"], None, None, "precision").at(ETA[None], 0.3, 4)
        for family in (families.Tweedie(power=2.0), families.Gamma(link="log"))
    ]
    assert rows[0].total == rows[1].total and rows[0].tau2 == rows[1].tau2
