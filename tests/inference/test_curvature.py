"""Curvature against published values, finite differences, simulated moments, and what must not change it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.inference.curvature import relative_curvatures

PUROMYCIN = pd.DataFrame(
    {
        "conc": [0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.10, 1.10],
        "rate": [76.0, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200],
    }
)
"""Treated cells; Bates and Watts (1988), appendix A1.1."""


@pytest.fixture(scope="module")
def puromycin():
    return rp.nls("rate ~ Vm*conc/(K + conc)", PUROMYCIN, start={"K": 0.05})


def test_published_root_mean_squares(puromycin):
    # Printed by MASS::rms.curv for these data: parameter effects 0.2121, intrinsic 0.092, both times √F.
    found = puromycin.curvature()
    assert round(found.parameter_effects, 4) == 0.2121
    assert round(found.intrinsic, 3) == 0.092
    assert found.linear and "Wald intervals are adequate" in found.verdict


def test_a_surface_does_not_bend_by_other_parameters(puromycin):
    other = rp.nls("rate ~ conc/(a + exp(lb)*conc)", PUROMYCIN, start={"a": 3e-4, "lb": -5.0})
    one, two = puromycin.curvature(), other.curvature()
    np.testing.assert_allclose(two.intrinsic, one.intrinsic, rtol=1e-9)
    np.testing.assert_allclose(two.max_intrinsic, one.max_intrinsic, rtol=1e-9)
    assert abs(two.parameter_effects / one.parameter_effects - 1) > 0.1


def test_units_do_not_count(puromycin):
    scaled = rp.nls(
        "rate ~ 1e-6*Vm*conc/(K/1e5 + conc)", PUROMYCIN.assign(rate=PUROMYCIN["rate"] * 1e3), start={"K": 5e3}
    )
    one, two = puromycin.curvature(), scaled.curvature()
    for name in ("intrinsic", "parameter_effects", "max_intrinsic", "max_parameter_effects"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-8)
    np.testing.assert_allclose(two.skewness, one.skewness, rtol=1e-8)
    np.testing.assert_allclose(two.bias / scaled.bse, one.bias / puromycin.bse, rtol=1e-8)


def test_a_circle():
    # On a circle of radius r the curvature is 1/r, all intrinsic, where the angle is the parameter.
    angle, r = 0.7, 3.0
    J = r * np.array([[-np.sin(angle)], [np.cos(angle)]])
    H = -r * np.array([[[np.cos(angle)]], [[np.sin(angle)]]])
    _, _, intrinsic, effects = relative_curvatures(J, H, dispersion=4.0)
    np.testing.assert_allclose(intrinsic, np.array([1, 1]) * 2.0 / r)
    np.testing.assert_allclose(effects, 0.0, atol=1e-15)


@pytest.mark.parametrize("p", [1, 2, 4])
def test_root_mean_square_and_maximum_are_those_of_many_directions(p):
    rng = np.random.default_rng(p)
    J, H = rng.normal(size=(9, p)), rng.normal(size=(9, p, p))
    H = H + H.transpose(0, 2, 1)
    _, _, intrinsic, effects = relative_curvatures(J, H, dispersion=0.3)
    Q, R = np.linalg.qr(J)
    d = rng.normal(size=(p, 200_000))
    d /= np.linalg.norm(d, axis=0)
    v = np.linalg.solve(R, d)
    acceleration = np.einsum("ijk,jd,kd->id", H, v, v) * np.sqrt(0.3 * p)
    tangential = Q @ (Q.T @ acceleration)
    for part, (rms, most) in ((acceleration - tangential, intrinsic), (tangential, effects)):
        size = np.linalg.norm(part, axis=0)
        np.testing.assert_allclose(rms, np.sqrt(np.mean(size**2)), rtol=0.02)
        assert size.max() <= most * (1 + 1e-9) and most <= size.max() * (1.05 if p < 4 else 1.3)


def test_exact_second_derivatives_agree_with_finite_ones(puromycin):
    def curve(p, x):
        return p["Vm"] * x / (p["K"] + x)

    data = PUROMYCIN["conc"].to_numpy(), PUROMYCIN["rate"].to_numpy()
    finite = rp.nls(curve, data, start={"Vm": 200.0, "K": 0.05}, derivatives="finite").curvature()
    exact = puromycin.curvature()
    for name in ("intrinsic", "parameter_effects", "max_intrinsic", "max_parameter_effects"):
        np.testing.assert_allclose(getattr(finite, name), getattr(exact, name), rtol=1e-4)


def test_bias_and_skewness_foretell_simulated_ones():
    # ŷ = exp(θ): the estimate of θ from n responses is log ȳ, whose moments are those of a function of one normal.
    rng = np.random.default_rng(3)
    n, theta, sigma = 5, 0.4, 0.5
    means = np.exp(theta) + sigma / np.sqrt(n) * rng.normal(size=2_000_000)
    estimates = np.log(means[means > 0])
    third = np.mean((estimates - estimates.mean()) ** 3) / estimates.std() ** 3
    y = np.exp(theta) + sigma * np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) * np.sqrt(4 / 2.5)
    fit = rp.nls("y ~ exp(theta)", {"y": y}, start={"theta": 0.0})
    np.testing.assert_allclose(fit.residual_sd, sigma)
    found = fit.curvature()
    np.testing.assert_allclose(found.bias["theta"], estimates.mean() - theta, rtol=0.06)
    np.testing.assert_allclose(found.skewness["theta"], third, rtol=0.15)


def test_weights_and_penalties_count(puromycin):
    twice = pd.concat([PUROMYCIN, PUROMYCIN])
    weighted = rp.nls(
        "rate ~ Vm*conc/(K + conc)", PUROMYCIN, start={"K": 0.05}, weights=np.full(12, 2.0), dispersion=1.0
    )
    doubled = rp.nls("rate ~ Vm*conc/(K + conc)", twice, start={"K": 0.05}, dispersion=1.0)
    a, b = weighted.curvature(), doubled.curvature()
    np.testing.assert_allclose(a.intrinsic / a.root_f, b.intrinsic / b.root_f, rtol=1e-9)
    held = rp.nls("rate ~ Vm*conc/(K + conc)", PUROMYCIN, start={"Vm": 200.0, "K": 0.05}, penalty=[1e8, 0.0])
    # A penalty that nails Vm down leaves a curve in K alone.
    assert held.curvature().skewness["Vm"] == pytest.approx(0.0, abs=1e-3)


def test_a_held_parameter_takes_no_part():
    fit = rp.nls("rate ~ Vm*conc/(K + conc)", PUROMYCIN, fixed={"Vm": 212.0}, start={"K": 0.05})
    found = fit.curvature()
    assert np.isnan(found.bias["Vm"]) and np.isfinite(found.bias["K"])


def test_a_linear_model_has_none():
    line = rp.glm("rate ~ conc", PUROMYCIN).curvature()
    assert line.intrinsic == line.parameter_effects == line.max_parameter_effects == 0.0
    curve = rp.nls("rate ~ a + b*conc", PUROMYCIN).curvature()
    assert curve.intrinsic == curve.parameter_effects == 0.0


def test_much_curvature_is_said():
    fit = rp.nls("y ~ a*exp(-b*x)", {"x": [0.0, 1, 2, 3], "y": [1.0, 0.2, 0.4, -0.1]}, start={"b": 1.0})
    found = fit.curvature()
    assert not found.linear and ("profile intervals" in found.verdict or "bootstrap" in found.verdict)
    assert found.level == 0.95 and fit.curvature(0.5).intrinsic < found.intrinsic


def test_refusals(puromycin):
    with pytest.raises(rp.ModelError, match=r"least-squares.*binomial with the logit link"):
        rp.glm("low ~ age", rp.datasets.load("births"), family="binomial").curvature()
    with pytest.raises(rp.ModelError, match="huber"):
        rp.nls("rate ~ Vm*conc/(K + conc)", PUROMYCIN, start={"K": 0.05}, loss="huber").curvature()
    with pytest.raises(rp.ModelError, match=r"level: expected .*Did you mean level=0\.95"):
        puromycin.curvature(95)
    with pytest.raises(rp.ModelError, match="residual degrees of freedom"):
        rp.nls("y ~ a*exp(b*x)", {"x": [0.0, 1.0], "y": [1.0, 2.0]}, start={"b": 0.5}).curvature()
    with pytest.warns(rp.RankWarning):
        product = rp.nls("rate ~ A*B*conc/(K + conc)", PUROMYCIN, start={"A": 10.0, "B": 20.0, "K": 0.05})
    with pytest.raises(rp.ModelError, match="do not determine A, B"):
        product.curvature()
