"""Smooth functions as curves: their values and errors by definition, and the coverage of both bands."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import raphson as rp
from raphson.fit.varying.curves import covariance, curves, simultaneous
from raphson.model.varying.joint import Joint


def waves(seed=1, n=150):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 10, n)
    f, g = rng.choice(["a", "b"], n), rng.integers(0, 8, n)
    return pd.DataFrame({"x": x, "f": f, "g": g, "y": np.sin(x) + rng.normal(0, 0.4, 8)[g] + rng.normal(0, 0.4, n)})


@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_values_are_those_of_predictions_and_errors_those_of_the_mode_s_moves(criterion):
    data = waves()
    fit = rp.glm("y ~ s(x, k=6) + (1 | g)", data, criterion=criterion)
    table = fit.smooth_curves(points=7)
    new = pd.DataFrame({"x": table.x})
    shift = fit.predict(new, effects="population") - table.fit
    assert np.ptp(shift) < 1e-10 and table.x.iloc[0] == data.x.min() and table.x.iloc[-1] == data.x.max()
    at = fit._reading.maximum
    own = at.criterion
    columns, number = [1], 0
    _, V = covariance(at, Joint(at), columns, number)

    def coefficients(theta):  # along the mode
        from raphson.model.varying.results import AtMaximum

        there = AtMaximum(own, theta, at.free)
        return np.append(there.beta[columns], there.modes(number)[0])

    steps = 1e-5 * np.eye(own.n_params)
    J = np.array([(coefficients(at.theta + one) - coefficients(at.theta - one)) / 2e-5 for one in steps])
    # given θ: dense (AᵀWA + P)⁻¹ of all that is integrated
    Z = np.hstack([term.matrix() for term in own.terms])
    A = np.hstack([own.X, Z]) if criterion == "reml" else Z
    pairs = zip(own.terms, at.reported, strict=True)
    sds = np.concatenate([np.full(term.n_coefficients, one.estimate) for term, one in pairs])
    P = np.diag(np.append(np.zeros(A.shape[1] - len(sds)), sds**-2.0))
    inverse = np.linalg.inv(A.T @ A / fit.dispersion + P)
    first = A.shape[1] - len(sds)
    where = [*columns, *range(first, first + 4)] if criterion == "reml" else list(range(4))
    given = np.zeros((5, 5))
    given[5 - len(where) :, 5 - len(where) :] = inverse[np.ix_(where, where)]
    np.testing.assert_allclose(V, given + J.T @ at.cov @ J, rtol=1e-5, atol=1e-9)


def test_both_bands_cover_as_they_say():
    grid_inside, whole = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = np.linspace(0, 10, 120)
        truth = np.sin(x)
        fit = rp.glm("y ~ s(x, k=12)", {"x": x, "y": truth + rng.normal(0, 0.5, 120)})
        (curve,) = curves(fit._reading, points=120)
        missed = np.abs(curve.fit - (truth - truth.mean())) / curve.se
        grid_inside.append(np.mean(missed < curve.reach))
        whole.append(np.all(missed < curve.reach_all))
    assert 0.91 < np.mean(grid_inside) < 0.99
    assert np.mean(whole) >= 0.85


def test_the_largest_deviation_of_independent_values():
    V = np.diag([1.0, 4.0, 9.0, 0.25])
    exact = norm.ppf((1 + 0.95**0.25) / 2)
    assert simultaneous(np.eye(4), V, 0.95, 0) == pytest.approx(exact, abs=0.03)
    assert simultaneous(np.eye(4)[:1], V, 0.95, 0) == pytest.approx(norm.ppf(0.975), abs=0.03)
    assert simultaneous(np.zeros((2, 4)), V, 0.95, 0) == pytest.approx(norm.ppf(0.975))


def test_functions_of_levels_and_partial_residuals():
    data = waves()
    fit = rp.glm("y ~ f + s(x, by=f)", data)
    first, second = curves(fit._reading)
    assert (first.term, second.term) == ("s(x):f[a]", "s(x):f[b]")
    assert len(first.data) == (data.f == "a").sum() and len(first.residuals) == len(first.data)
    plain = rp.glm("y ~ s(x)", data)
    (curve,) = curves(plain._reading)
    residuals = data.y - plain.fittedvalues  # of the identity link
    assert curve.residuals - residuals.to_numpy() == pytest.approx(
        np.interp(data.x, curve.points[:, 0], curve.fit), abs=5e-3
    )
    times = rp.glm("y ~ s(x, by=z)", data.assign(z=np.linspace(0.5, 1.5, len(data))))
    (multiplied,) = curves(times._reading)
    assert not len(multiplied.residuals) and len(multiplied.fit) == 100


def test_a_table_has_a_row_a_point_and_its_seed():
    fit = rp.glm("y ~ s(x) + (1 | g)", waves())
    table = fit.smooth_curves(points=20, level=0.9)
    assert table.equals(fit.smooth_curves(points=20, level=0.9))
    assert len(table) == 20 and set(table.term) == {"s(x)"}
    assert ((table.lower_all < table.lower) & (table.upper < table.upper_all)).all()
    assert (table.upper - table.fit).to_numpy() == pytest.approx(norm.ppf(0.95) * table.se)
    assert table.upper_all.max() < fit.smooth_curves(points=20).upper_all.max()


def test_a_straight_line_where_the_penalty_is_infinite():
    x = np.linspace(0, 1, 60)
    fit = rp.glm("y ~ s(x)", {"x": x, "y": 2 * x + np.random.default_rng(3).normal(0, 0.3, 60)})
    assert fit.status == "boundary"
    table = fit.smooth_curves(points=5)
    assert np.diff(table.fit, n=2) == pytest.approx(np.zeros(3), abs=1e-10)
    assert (table.se.iloc[[0, 4]] > 0).all()


def test_what_has_no_curves_is_refused_in_words(tmp_path):
    data = waves()
    with pytest.raises(rp.ModelError, match="expected a fit with a smooth function of one or two variables"):
        rp.glm("y ~ 1 + (1 | g)", data).smooth_curves()
    with pytest.raises(rp.ModelError, match="points: expected a whole number of at least 2; got 1"):
        rp.glm("y ~ s(x)", data).smooth_curves(points=1)
    fit = rp.glm("y ~ s(x)", data)
    fit.save(tmp_path / "fit.json")
    with pytest.raises(rp.DataError, match="smooth_curves: a loaded fit lacks its data"):
        rp.load(tmp_path / "fit.json").smooth_curves()
    assert not hasattr(rp.glm("y ~ x", data), "smooth_curves")


def test_plots(tmp_path):
    from raphson.report.style import figure

    data = waves()
    fit = rp.glm("y ~ s(x) + (1 + x | g)", data)
    axes = figure()[1][0, 0]
    assert fit.plot_smooths(ax=axes) is axes and len(axes.collections) == 2
    several = fit.plot_random_effects()
    assert len(several) == 2 and several[0].figure is several[1].figure
    own = figure(1, 2)[1]
    assert fit.plot_random_effects(ax=own[0]) == list(own[0])
    assert fit.plot_random_effects("g", ax=axes) is axes
    assert len(rp.glm("y ~ s(x)", data).plot().collections) == 2  # where there is nothing else, the function
    with pytest.raises(rp.ModelError, match=r"term: expected one of s\(x\); got 's\(z\)'"):
        fit.plot_smooths("s(z)")
    with pytest.raises(rp.ModelError, match="group: expected one of g; got 'h'"):
        fit.plot_random_effects("h")
    with pytest.raises(rp.ModelError, match="expected effects that vary by groups"):
        rp.glm("y ~ s(x)", data).plot_random_effects()
    with pytest.raises(rp.errors.RefusedName, match="where coefficients vary only"):
        rp.glm("y ~ x", data).plot_smooths()
