"""The bootstrap: replicates are the fits of resampled data, failures are counted, and the seed decides."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import ModelError


def simulated(n=300, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "g": rng.integers(0, 30, n)})
    eta = 0.3 + 0.8 * frame["x"] - 0.5 * frame["z"]
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    frame["count"] = rng.poisson(np.exp(0.5 + 0.3 * frame["x"]))
    frame["size"] = rng.gamma(3.0, np.exp(0.2 + 0.3 * frame["x"]) / 3.0)
    return frame


@pytest.fixture(scope="module")
def frame():
    return simulated()


@pytest.fixture(scope="module")
def fit(frame):
    return rp.glm("y ~ x + z", frame, family="binomial")


@pytest.fixture(scope="module")
def boot(fit):
    return fit.bootstrap(400, seed=3)


def first_draw(n, seed, chunk):
    """The first replicate's counts, as the bootstrap draws them."""
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    return np.bincount(rng.integers(0, n, (chunk, n))[0], minlength=n).astype(float)


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ x + z", "binomial"),
        ("y ~ x + z", rp.families.Binomial(link="probit")),
        ("count ~ x", "poisson"),
        ("size ~ x", rp.families.Gamma(link="log")),
        ("z ~ x", "gaussian"),
    ],
    ids=str,
)
def test_a_replicate_is_the_fit_of_the_rows_drawn(frame, formula, family):
    fit = rp.glm(formula, frame, family=family)
    counts = first_draw(300, 5, 4)
    frame = frame.assign(copies=counts)
    alone = rp.glm(formula, frame, family=family, weights="copies", weights_kind="frequency")
    found = fit.bootstrap(4, seed=5)
    np.testing.assert_allclose(found.estimates.iloc[0], alone.params, atol=1e-5 * alone.bse.min())
    np.testing.assert_allclose(found._errors[0], alone.bse, rtol=1e-3)


def test_the_same_seed_gives_the_same_replicates_on_any_threads(fit, frame, boot):
    again = rp.glm("y ~ x + z", frame, family="binomial", executor=rp.execute.serial()).bootstrap(400, seed=3)
    pd.testing.assert_frame_equal(again.estimates, boot.estimates)
    assert not fit.bootstrap(4, seed=4).estimates.equals(boot.estimates[:4])


def test_errors_and_intervals_are_near_the_models(fit, boot):
    assert boot.n == boot.n_used == 400
    assert boot.statuses == {"converged": 400}
    np.testing.assert_allclose(boot.se, fit.bse, rtol=0.2)
    assert (boot.bias.abs() < 0.5 * boot.se).all()
    for kind in ("percentile", "basic", "bca", "studentised"):
        ends = boot.conf_int(kind=kind)
        assert (ends["lower"] < fit.params).all()
        assert (ends["upper"] > fit.params).all()
        np.testing.assert_allclose(ends, fit.conf_int(), atol=0.6 * fit.bse.max())
    np.testing.assert_allclose(np.sqrt(np.diag(boot.cov)), boot.se)
    assert list(boot.summary().columns)[:3] == ["estimate", "bias", "std_error"]
    assert "nonparametric bootstrap of 400" in repr(boot)


def test_parametric_replicates_come_from_the_fitted_model(frame):
    fit = rp.glm("z ~ x", frame)
    boot = fit.bootstrap(600, seed=1, kind="parametric")
    np.testing.assert_allclose(boot.se, fit.bse, rtol=0.1)


def test_the_cluster_bootstrap_draws_clusters():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(50), 8)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=50)[g]})
    frame["y"] = frame["x"] + rng.normal(size=50)[g] + 0.3 * rng.normal(size=400)
    fit = rp.glm("y ~ x", frame, groups="g", cov="cluster")
    rows, clusters = fit.bootstrap(300, seed=1), fit.bootstrap(300, seed=1, kind="cluster")
    np.testing.assert_allclose(clusters.se, fit.bse, rtol=0.25)
    assert (clusters.se > 1.8 * rows.se).all()
    plain = rp.glm("y ~ x", frame)
    for groups in ("g", g):
        np.testing.assert_array_equal(plain.bootstrap(300, seed=1, kind="cluster", groups=groups).se, clusters.se)
    with pytest.raises(rp.ModelError, match="groups: expected together with kind='cluster'; got kind='nonparametric'"):
        plain.bootstrap(10, groups="g")


def test_frequency_weights_stand_for_rows():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": [0.0, 0.0, 1.0, 1.0], "y": [0.0, 1.0, 0.0, 1.0], "w": [40.0, 20.0, 25.0, 45.0]})
    long = frame.loc[np.repeat(frame.index, frame["w"].astype(int))]
    short = rp.glm("y ~ x", frame, family="binomial", weights="w", weights_kind="frequency").bootstrap(800, seed=1)
    whole = rp.glm("y ~ x", long, family="binomial").bootstrap(800, seed=2)
    np.testing.assert_allclose(short.se, whole.se, rtol=0.15)
    del rng


def test_separated_replicates_count_as_infinite():
    x = np.arange(12.0)
    y = np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1.0])
    fit = rp.glm(y, np.column_stack([np.ones(12), x]), family="binomial", names=["one", "x"])
    with pytest.warns(rp.ConvergenceWarning, match="replicates have their maximum at infinity"):
        boot = fit.bootstrap(200, seed=1)
    apart = boot.statuses["separated"]
    assert 3 < apart == boot.n_infinite and boot.n_used + boot.statuses.get("singular", 0) == 200
    infinite = np.isinf(boot.estimates["x"])
    assert infinite.sum() == apart and (boot.estimates["x"][infinite] > 0).all()  # successes are where x is large
    # An end is that of all replicates, in their order; with more than 2.5% of them beyond, there is none.
    lower, upper = boot.conf_int(kind="percentile").loc["x"]
    ordered = np.sort(boot.estimates["x"].dropna().to_numpy())
    place = 0.025 * (len(ordered) + 1) - 1
    low = int(place)
    assert lower == pytest.approx(ordered[low] + (place - low) * (ordered[low + 1] - ordered[low]), rel=1e-12)
    assert apart / 200 > 0.03 and np.isposinf(upper)
    basic = boot.conf_int(kind="basic").loc["x"]
    assert np.isneginf(basic["lower"]) and basic["upper"] == pytest.approx(2 * fit.params["x"] - lower)
    bca = boot.conf_int(kind="bca").loc["x"]
    assert np.isfinite(bca["lower"]) and bca["upper"] > basic["upper"]
    with pytest.raises(ModelError, match="no finite estimates with standard errors"):
        boot.conf_int(kind="studentised")
    assert np.isnan(boot.se["x"]) and np.isnan(boot.bias["x"])
    boot.plot()


def test_a_replicate_without_a_level_is_singular():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": ["a"] * 20 + ["b"] * 2, "y": rng.normal(size=22)})
    boot = rp.glm("y ~ g", frame).bootstrap(200, seed=1)
    share = (1 - 2 / 22) ** 22  # of replicates without a row of level b
    assert boot.statuses["singular"] == pytest.approx(200 * share, rel=0.5)
    assert boot.estimates.isna().any(axis=1).sum() == boot.statuses["singular"]


def test_an_estimated_theta_is_refitted_too():
    rng = np.random.default_rng(2)
    x = rng.normal(size=150)
    y = rng.negative_binomial(2, 2 / (2 + np.exp(0.5 + 0.4 * x))).astype(float)
    fit = rp.glm(y, np.column_stack([np.ones(150), x]), family="negative_binomial")
    boot = fit.bootstrap(60, seed=1)
    assert list(boot.estimates) == list(fit.names)
    np.testing.assert_allclose(boot.se, fit.bse, rtol=0.5)


def test_a_curve_is_refitted_one_replicate_after_another():
    rng = np.random.default_rng(0)
    x = np.linspace(0, 4, 40)
    frame = pd.DataFrame({"x": x, "y": 3 * np.exp(-x) + 0.1 * rng.normal(size=40)})
    fit = rp.nls("y ~ top*exp(-rate*x)", frame, start={"top": 1.0, "rate": 0.5})
    boot = fit.bootstrap(30, seed=1)
    assert boot.statuses == {"converged": 30}
    np.testing.assert_allclose(boot.se, fit.bse, rtol=0.5)


def test_aliased_columns_stay_out(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.glm("y ~ x + z + I(2*x)", frame, family="binomial")
    assert "I(2*x)" not in fit.bootstrap(5, seed=1).estimates


def test_a_users_simulator_is_asked(frame):
    fit = rp.glm("count ~ x", frame, family="quasipoisson")
    with pytest.raises(ModelError, match="simulate"):
        fit.bootstrap(5, seed=1, kind="parametric")
    boot = fit.bootstrap(50, seed=1, kind="parametric", simulate=lambda rng, eta: rng.poisson(np.exp(eta[0])))
    assert boot.n_used == 50
    with pytest.raises(ModelError, match="300 responses"):
        fit.bootstrap(5, seed=1, kind="parametric", simulate=lambda rng, eta: np.zeros(3))


def test_a_density_is_drawn_from_and_a_function_that_is_none_needs_a_simulator():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60)})
    frame["y"] = 1 + frame["x"] + rng.normal(size=60)

    def logpdf(y, mu, log_sigma):
        return -0.5 * ((y - mu) * jnp.exp(-log_sigma)) ** 2 - log_sigma

    formulas = {"mu": "y ~ x", "log_sigma": "~ 1"}
    fit = rp.mle(logpdf, formulas, frame)
    with pytest.raises(ModelError, match=r"does not integrate to 1 .* simulate="):
        fit.bootstrap(5, seed=1, kind="parametric")
    boot = fit.bootstrap(
        200, seed=1, kind="parametric", simulate=lambda rng, eta: eta[0] + np.exp(eta[1]) * rng.normal(size=60)
    )
    np.testing.assert_allclose(boot.se, fit.bse, rtol=0.25)
    whole = rp.mle(lambda y, mu, log_sigma: logpdf(y, mu, log_sigma) - 0.5 * jnp.log(2 * jnp.pi), formulas, frame)
    np.testing.assert_allclose(whole.bootstrap(200, seed=1, kind="parametric").se, fit.bse, rtol=0.25)
    general = rp.mle(
        lambda params, row: logpdf(row.y, params["a"] + params["b"] * row.x, params["s"]),
        frame,
        start={"a": 0.0, "b": 0.0, "s": 0.0},
    )
    with pytest.raises(ModelError, match="does not say which column is the response"):
        general.bootstrap(5, seed=1, kind="parametric")


def test_bad_requests_are_refused(fit):
    with pytest.raises(ModelError, match="nonparametric, parametric, cluster"):
        fit.bootstrap(10, kind="wild")
    with pytest.raises(ModelError, match="n: expected a whole number"):
        fit.bootstrap(0)
    with pytest.raises(ModelError, match="groups"):
        fit.bootstrap(10, kind="cluster")


def test_a_separated_fit_has_nothing_to_start_from():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.glm([0.0, 0, 0, 1, 1, 1], np.column_stack([np.ones(6), np.arange(6.0)]), family="binomial")
    with pytest.raises(ModelError, match="finite maximum"):
        fit.bootstrap(10)


def test_a_fit_at_a_limit_is_not_resampled():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [
            rp.mle("hurdle_poisson", "k ~ 1", {"k": [1, 2, 1, 3, 1, 2, 4, 1]}),
            rp.glm("k ~ 1", {"k": [2.0, 3, 2, 3, 2, 3]}, family="negative_binomial"),
        ]
    for fit in fits:
        with pytest.raises(ModelError, match="finite maximum"):
            fit.bootstrap(10)


def test_it_plots(boot):
    figure = boot.plot()
    assert [axes.get_title(loc="left") for axes in figure.axes][:3] == ["Intercept", "x", "z"]


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma


def decaying(params, row):
    mean = params["a"] * jnp.exp(-params["b"] * row.z**2)
    return -0.5 * ((row.size - mean) / jnp.exp(params["s"])) ** 2 - params["s"]


def shared(params, row):
    eta = params["b"][0] + params["b"][1] * row.x
    return row.y * eta - jnp.log1p(jnp.exp(eta + params["c"] * row.z))


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: rp.mle(normal, {"mu": "z ~ x", "log_sigma": "~ x"}, frame),
        lambda frame: rp.mle("zero_inflated_poisson", {"log_mean": "count ~ x", "logit_zero": "~ 1"}, frame),
        lambda frame: rp.mle(decaying, frame, start={"a": 1.0, "b": 0.1, "s": 0.0}),
        lambda frame: rp.mle(shared, frame, start={"b": np.zeros(2), "c": 0.0}),
        lambda frame: rp.nls("size ~ a*exp(b*x)", frame, start={"a": 1.0, "b": 0.1}),
        lambda frame: rp.nls("size ~ a*exp(b*x)", frame, start={"a": 1.0, "b": 0.1}, penalty=2.0, weights="w"),
    ],
    ids=["density", "ready", "general, nonlinear", "general, two predictors", "curve", "curve with ridge and weights"],
)
def test_a_batch_is_the_fits_one_by_one(frame, make):
    from raphson.fit.refitting import Refitting

    frame = frame.assign(w=1.0 + np.arange(len(frame)) % 3)
    fit = make(frame)
    refitting = Refitting.of(fit._reading)
    assert refitting.model.replicates is not None
    counts = np.random.default_rng(1).multinomial(300, np.ones(300) / 300, size=5).astype(float)
    batch = refitting.refit(fit._reading.state.at.asked.y, counts, 5)
    alone = refitting._one_by_one(fit._reading.state.at.asked.y, counts, 5)
    np.testing.assert_array_equal(batch.finite, alone.finite)
    np.testing.assert_array_equal(np.isinf(batch.limit), np.isinf(alone.limit))
    assert (batch.finite | np.isinf(batch.limit).any(axis=1)).all() and batch.finite.any()
    found = [np.where(one.finite[:, None], one.theta, one.limit) for one in (batch, alone)]
    np.testing.assert_allclose(*found, atol=1e-5 * fit.bse.min())
    here = batch.finite
    np.testing.assert_allclose(batch.variance[here], alone.variance[here], rtol=2e-3)
    np.testing.assert_allclose(batch.dispersion[here], alone.dispersion[here], rtol=1e-5)


def test_bias_reduction_is_resampled_too():
    frame = pd.DataFrame({"x": [0.0, 1.0] * 10, "y": [0, 0, 0, 1] * 5})
    fit = rp.glm("y ~ x", frame, family="binomial", bias="firth")
    boot = fit.bootstrap(30, seed=1)
    assert boot.statuses == {"converged": 30}  # where x = 0 there is no success: maximum likelihood is infinite
    assert boot.se["x"] < 2


def test_replicates_that_are_poisson_keep_their_coefficients(frame):
    rng = np.random.default_rng(3)
    frame = frame.assign(count=rng.poisson(np.exp(0.5 + 0.3 * frame["x"]) * rng.gamma(20.0, 1 / 20, len(frame))))
    fit = rp.glm("count ~ x", frame, family="negative_binomial")
    boot = fit.bootstrap(40, seed=1)
    assert boot.statuses["boundary"] > 5 and boot.n_used == 40 and boot.n_infinite == 0
    np.testing.assert_allclose(boot.se, fit.bse, rtol=0.5)


def test_the_information_matrix_test_is_calibrated_by_drawing(frame):
    # At n = 40 the χ² of nR² rejects some third of right models at 5%; its own distribution does not.
    rng = np.random.default_rng(0)
    plain, drawn = [], []
    for seed in range(25):
        x = rng.normal(size=40)
        fit = rp.glm("y ~ x", {"x": x, "y": rng.poisson(np.exp(0.3 + 0.4 * x))}, family="poisson")
        plain.append(fit.information_matrix_test(bootstrap=0).p_value)
        drawn.append(fit.information_matrix_test(bootstrap=39, seed=seed).p_value)
    assert np.mean(np.array(drawn) <= 0.05) <= 0.16
    assert np.mean(drawn) > np.mean(plain)
    # and it still sees a wrong model: counts with twice the variance of Poisson's
    wrong = frame.assign(count=rng.poisson(rng.gamma(1.0, np.exp(1 + 0.3 * frame["x"]))))
    fit = rp.glm("count ~ x", wrong, family="poisson")
    assert fit.information_matrix_test(bootstrap=39, seed=1).p_value == pytest.approx(1 / 40)
    assert repr(fit.information_matrix_test(bootstrap=39)).endswith("p = 0.025 (among 39 draws)")
    with pytest.raises(ModelError, match="at least 19, or 0; got 3"):
        fit.information_matrix_test(bootstrap=3)


def test_every_replicate_draws_as_many_units_as_there_are():
    from raphson.fit.bootstrap import resampled

    for n, count in [(1, 5), (30, 1000), (20_000, 3)]:
        counts = resampled(np.random.default_rng(0), n, count)
        assert counts.shape == (count, n)
        assert (counts.sum(axis=1) == n).all()
    assert resampled(np.random.default_rng(0), 30, 4000).mean(axis=0) == pytest.approx(np.ones(30), abs=0.1)


def test_censored_times_are_not_drawn():
    rng = np.random.default_rng(0)
    data = {"t": rng.weibull(1.5, 40), "x": rng.normal(size=40), "event": (np.arange(40) % 4 > 0).astype(int)}
    fit = rp.mle("weibull", "t ~ x", data)
    with pytest.raises(rp.ModelError, match="simulate: some responses are censored, and when those drawn"):
        fit.bootstrap(5, seed=1, kind="parametric")


@pytest.mark.parametrize("kind", ["nonparametric", "cluster"])
def test_rows_of_weight_0_are_not_drawn(kind):
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"x": rng.normal(size=60), "y": rng.normal(size=60), "g": np.repeat(np.arange(15), 4)})
    frame["w"] = np.where(frame.g % 5 == 2, 0.0, 1.0)
    fits = [rp.glm("y ~ x", frame, weights="w", groups="g"), rp.glm("y ~ x", frame[frame.w > 0], groups="g")]
    found = [fit.bootstrap(30, seed=1, kind=kind).estimates.to_numpy() for fit in fits]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
