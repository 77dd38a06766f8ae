"""Profile intervals of standard deviations and correlations: the references' ends, the definition, and the edge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raphson.fit.varying.profiles import OfProducts, Profiles, _atanh, _form, _half_log
from raphson.model.varying.scales import Scale


@pytest.mark.parametrize(("name", "fit"), [("sleepstudy_corr", "ml"), ("cbpp", "laplace")])
def test_the_ends_of_the_references(name, fit, at_maximum, reference):
    _, at = at_maximum(name)
    expected = reference(name)[2][fit]["profile_95"]
    low, high = Profiles(at).of(at.reported[0])
    assert low == pytest.approx(expected["lower_sd"], rel=1e-9)
    assert high == pytest.approx(expected["upper_sd"], rel=1e-9)


def test_at_the_ends_of_a_correlation_and_of_the_residual_the_profile_has_fallen_by_the_quantile(at_maximum):
    _, at = at_maximum("sleepstudy_corr")
    profiles = Profiles(at)
    (low, high), (under, over) = profiles.of(at.reported[2]), profiles.residual()
    assert low == pytest.approx(-0.4815, abs=1e-4) and high == pytest.approx(0.6850, abs=1e-4)  # as lme4's
    assert under == pytest.approx(22.8983, abs=1e-3) and over == pytest.approx(28.8580, abs=1e-3)


def test_an_estimate_of_0_has_an_interval_from_0(at_maximum):
    _, at = at_maximum("dyestuff2_boundary")
    low, high = Profiles(at).of(at.reported[0])
    assert low == 0.0 and 1.5 < high < 2.5
    held = at.theta.copy()
    held[at.criterion.own_entries] = high
    # the criterion with the others as they were is below the profile, which has fallen by 1.92
    assert at.criterion.evaluate(held).value < at.spot.value - 1.9207


@pytest.mark.parametrize("kind", ["sd", "corr"])
def test_derivatives_of_the_functions(kind):
    scale, theta = Scale("correlated", 3, 0), np.array([0.9, 0.2, 0.8, -0.3, 0.4, 0.7])
    pairs = [(2, 2)] if kind == "sd" else [(2, 2), (1, 1), (2, 1)]
    function = OfProducts(
        np.stack([_form(scale, 0, 6, *pair) for pair in pairs]), _half_log if kind == "sd" else _atanh
    )
    G = scale.matrix(theta) @ scale.matrix(theta).T
    value = 0.5 * math.log(G[2, 2]) if kind == "sd" else math.atanh(G[2, 1] / math.sqrt(G[2, 2] * G[1, 1]))
    assert function.value(theta)[0] == pytest.approx(value, rel=1e-14)
    for j in range(6):
        step = 1e-6 * np.eye(6)[j]
        slope = (function.value(theta + step) - function.value(theta - step))[0] / 2e-6
        bend = (function.jacobian(theta + step) - function.jacobian(theta - step))[0] / 2e-6
        assert function.jacobian(theta)[0, j] == pytest.approx(slope, abs=1e-8)
        assert function.hessian(theta)[0, j] == pytest.approx(bend, abs=1e-8)


def test_a_correlation_at_its_limit_has_no_profile():
    value, slope, bend = _atanh(np.array([1.0, 4.0, 2.0]))
    assert np.isnan(value) and np.isnan(slope).all() and np.isnan(bend).all()
