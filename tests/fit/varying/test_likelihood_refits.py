"""Draws from likelihoods whose parameters vary, and refits: against moments, and rp.glm where both do a model."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.special import gammaln

import raphson as rp

RNG = np.random.default_rng(3)
LEVELS, ROWS = 20, 6
N = LEVELS * ROWS
G = np.repeat(np.arange(LEVELS), ROWS)
X, Z = RNG.normal(size=N), RNG.uniform(-1, 1, N)
LOCATION = 0.5 + 0.4 * X + RNG.normal(0, 0.6, LEVELS)[G]
SCALE = np.exp(-0.8 + RNG.normal(0, 0.4, LEVELS)[G])
DATA = pd.DataFrame(
    {
        "time": np.exp(LOCATION + SCALE * np.log(RNG.exponential(size=N))),
        "event": np.ones(N, dtype=int),
        "y": LOCATION + SCALE * RNG.normal(size=N),
        "n": RNG.poisson(np.exp(LOCATION)).astype(float),
        "level": (LOCATION[:, None] + RNG.logistic(size=(N, 1)) > [-0.3, 1.2]).sum(axis=1),
        "x": X,
        "z": Z,
        "g": [f"g{i:02d}" for i in G],
    }
)
WEIBULL = {"log_time": "time ~ x + (1 | g)", "log_sigma": "~ z + (1 | g)"}


def poisson(y, log_mean):
    return y * log_mean - jnp.exp(log_mean) - gammaln(y + 1)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) * jnp.exp(-log_sigma)) ** 2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)


def counts(formula="n ~ x + z + (1 | g)", data=DATA):
    return rp.mle(poisson, {"log_mean": formula}, data), rp.glm(formula, data, family="poisson")


@pytest.fixture(scope="module")
def both():
    return counts()


@pytest.fixture(scope="module")
def times():
    return rp.mle("weibull", WEIBULL, DATA)


# -- draws -----------------------------------------------------------------------------------------------------------


def test_draws_have_the_moments_of_effects_of_both_parameters(times):
    """log T = a + s W with W = log of an exponential, E W = −γ, Var W = π²/6, and a, log s normal in each group."""
    sd, tau = times.variances.estimate
    every = times.predict(effects="population")
    a, log_s = every["log_time"].to_numpy(), every["log_sigma"].to_numpy()
    s, squared = np.exp(log_s + tau**2 / 2), np.exp(2 * log_s + 2 * tau**2)
    count = 120
    drawn = np.log(times.simulate(count, seed=1).to_numpy())
    gap = drawn - (a - np.euler_gamma * s)[:, None]
    variance = sd**2 + squared * (np.pi**2 / 6 + np.euler_gamma**2) - (np.euler_gamma * s) ** 2
    groups = (gap / np.sqrt(variance)[:, None]).reshape(LEVELS, ROWS, count)
    means = groups.mean(axis=1)
    assert abs(means.mean()) < 4.5 * means.std() / np.sqrt(means.size)
    assert np.mean(groups**2) == pytest.approx(1.0, abs=0.08)
    # Two rows of a group have the covariance sd² + γ² Cov(s_i, s_j), and Cov(s_i, s_j) = E s_i E s_j (exp τ² − 1).
    product = (gap / s[:, None]).reshape(LEVELS, ROWS, count)
    own = np.mean(product[:, 0] * product[:, 1])
    known = np.mean(sd**2 / (s[::ROWS] * s[1::ROWS])) + np.euler_gamma**2 * np.expm1(tau**2)
    assert own == pytest.approx(known, rel=0.15)
    across = np.mean(groups[:-1, 0] * groups[1:, 0])
    assert abs(across) < 4.5 / np.sqrt((LEVELS - 1) * count)
    assert times.simulate(2, seed=1).equals(times.simulate(2, seed=1))


def test_conditional_draws_are_of_the_modes(times):
    eta = times.predict()
    drawn = np.log(times.simulate(500, seed=2, effects="conditional").to_numpy())
    s = np.exp(eta["log_sigma"].to_numpy())
    z = (drawn.mean(axis=1) - eta["log_time"] + np.euler_gamma * s) / (s * np.pi / np.sqrt(6 * 500))
    assert np.abs(z).max() < 4.5
    assert np.abs(np.corrcoef(drawn[:ROWS]) - np.eye(ROWS)).max() < 4.5 / np.sqrt(500)


def test_levels_are_drawn_by_their_names():
    data = DATA.assign(level=pd.Categorical.from_codes(DATA.level, ["low", "mid", "top"], ordered=True))
    fit = rp.mle("ordered_logit", "level ~ x + (1 | g)", data)
    drawn = fit.simulate(100, seed=1)
    assert set(np.unique(drawn.to_numpy())) == {"low", "mid", "top"}
    nodes, w = np.polynomial.hermite_e.hermegauss(40)
    at = fit.predict(effects="population")
    shift = fit.variances.estimate[0] * nodes
    first = fit.params.iloc[-2]  # the lower cut
    below = 1 / (1 + np.exp(at["location"].to_numpy()[:, None] + shift - first)) @ (w / w.sum())
    assert (drawn == "low").to_numpy().mean() == pytest.approx(below.mean(), abs=0.03)


# -- refits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("density", "formulas", "criterion"),
    [
        ("weibull", WEIBULL, "ml"),
        (normal, {"mu": "y ~ x + (1 + x | g)", "log_sigma": "~ (1 | g)"}, "reml"),
        ("ordered_logit", {"location": "level ~ x + (1 | g)"}, "ml"),
        (normal, {"mu": "y ~ s(x, k=5) + (1 | g)", "log_sigma": "~ 1"}, None),
    ],
)
def test_a_refit_to_the_fits_own_responses_is_the_fit(density, formulas, criterion):
    fit = rp.mle(density, formulas, DATA, criterion=criterion)
    own = fit._reading.own_refits
    found = own.refit(own.model.y[None], np.ones(N), 1)
    assert found.finite[0] and found.value[0] == pytest.approx(fit.llf, abs=1e-7)
    assert list(own.replicated.names)[: len(fit.params)] == list(fit.params.index)
    errors = np.where(own.replicated.errors > 0, own.replicated.errors, 1.0)
    assert np.nanmax(np.abs(found.theta[0] - own.replicated.estimates) / errors) < 1e-4
    np.testing.assert_allclose(own.eta(found, 0), fit._reading.rows.eta, atol=1e-3)


def test_levels_drawn_twice_are_two_levels(times):
    take = np.array([2, 0, *[1] * (LEVELS - 2)])
    own = times._reading.own_refits
    found = own.refit(own.model.y, take[G].astype(float), 1)
    parts = [DATA[k == G].assign(g=f"{k}-{copy}") for k in range(LEVELS) for copy in range(take[k])]
    again = rp.mle("weibull", WEIBULL, pd.concat(parts, ignore_index=True))
    assert found.value[0] == pytest.approx(again.llf, abs=1e-7)
    np.testing.assert_allclose(found.theta[0], [*again.params, *again.variances.estimate], rtol=1e-3, atol=1e-4)


def test_the_bootstrap_of_the_same_draws_is_that_of_glm(both):
    fit, other = both

    def draw(rng, eta):
        return rng.poisson(np.exp(eta[0])).astype(float)

    mine, its = (one.bootstrap(48, seed=4, simulate=draw) for one in both)
    own = other.bootstrap(48, seed=4)  # its own sampler draws the same
    np.testing.assert_allclose(mine.estimates, its.estimates, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(own.estimates, its.estimates, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mine.estimates.std()[:3], fit.bse, rtol=0.35)
    cluster = [one.bootstrap(20, kind="cluster", seed=4).estimates for one in both]
    np.testing.assert_allclose(*cluster, rtol=1e-4, atol=1e-5)


def test_a_bootstrap_by_the_densitys_own_draws(times):
    found = times.bootstrap(60, seed=1)
    assert list(found.estimates.columns)[-2:] == ["sd log_time:Intercept | g", "sd log_sigma:Intercept | g"]
    np.testing.assert_allclose(found.estimates.std()[:4], times.bse, rtol=0.35)
    np.testing.assert_allclose(found.estimates.std()[4:], times.variances.std_error, rtol=0.45)


def test_what_cannot_be_drawn_says_so(times):
    censored = rp.mle("weibull", WEIBULL, DATA.assign(event=np.arange(N) % 4 > 0))
    for draw in (censored.simulate, lambda: censored.bootstrap(20, kind="parametric")):
        with pytest.raises(rp.ModelError, match=r"some responses are censored.*rows or clusters"):
            draw()
    assert len(censored.bootstrap(20, kind="cluster", seed=1).estimates) == 20
    with pytest.raises(rp.ModelError, match="'parametric' or 'cluster' where coefficients vary"):
        times.bootstrap(20, kind="nonparametric")
    with pytest.raises(rp.ModelError, match=r"expected a function that returns 120 responses; got shape \(3,\)"):
        times.bootstrap(20, simulate=lambda rng, eta: np.ones(3))


# -- tests -----------------------------------------------------------------------------------------------------------


def test_ratios_by_simulation_agree_with_those_of_glm(both):
    plain = rp.mle(poisson, {"log_mean": "n ~ x + (1 | g)"}, DATA), rp.glm("n ~ x + (1 | g)", DATA, family="poisson")
    mine, its = (one.lr_test(small, bootstrap=59, seed=2) for one, small in zip(both, plain, strict=True))
    assert mine.statistic == pytest.approx(its.statistic, abs=1e-6) and mine.draws == its.draws == 59
    p = 0.5 * (mine.p_value + its.p_value)
    assert abs(mine.p_value - its.p_value) < 4 * np.sqrt(2 * p * (1 - p) / 59) + 0.02
    fixed = rp.mle(poisson, {"log_mean": "n ~ x + z"}, DATA)
    assert both[0].lr_test(fixed, bootstrap=19, seed=2).p_value == pytest.approx(1 / 20)


def test_what_is_dropped_is_the_test_of_the_smaller_fit(times):
    table = times.drop1()
    smaller = {
        "log_time:x": {"log_time": "time ~ (1 | g)"},
        "log_sigma:z": {"log_sigma": "~ (1 | g)"},
        "log_time:(1 | g)": {"log_time": "time ~ x"},
        "log_sigma:(1 | g)": {"log_sigma": "~ z"},
    }
    assert list(table.index) == ["<none>", *smaller]
    for name, change in smaller.items():
        fit = rp.mle("weibull", WEIBULL | change, DATA)
        test = times.lr_test(fit)
        line = table.loc[name]
        assert line.statistic == pytest.approx(test.statistic, abs=1e-6)
        assert (line.llf, line.aic, line.df) == pytest.approx((fit.llf, fit.aic, test.df))
        assert line.p_value == pytest.approx(test.p_value, rel=1e-5, abs=1e-12)


def test_drops_and_scores_are_those_of_glm(both):
    mine, its = (one.drop1() for one in both)
    assert list(mine.index) == ["<none>", "log_mean:x", "log_mean:z", "log_mean:(1 | g)"]
    np.testing.assert_allclose(mine.iloc[:, :5].astype(float), its.iloc[:, :5].astype(float), rtol=1e-6, atol=1e-8)
    score = both[0].score_test("log_mean:z = 0"), both[1].score_test("z = 0")
    assert score[0].statistic == pytest.approx(score[1].statistic, rel=1e-6)
    slopes, same = counts("n ~ x + (x | g)")
    assert list(slopes.drop1().index)[-1] == "log_mean:x in (x | g)"
    np.testing.assert_allclose(slopes.drop1().p_value, same.drop1().p_value, rtol=1e-4)


def test_a_column_takes_the_place_of_one_that_is_dropped():
    """With x, z and x + z, the last of which is aliased, leaving out z changes nothing."""
    with pytest.warns(rp.RankWarning):
        fits = counts("n ~ x + z + I(x + z) + (1 | g)")
    for fit in fits:
        table = fit.drop1()
        first = table.index[1]
        assert table.loc[first, "df"] == 0 and np.isnan(table.loc[first, "p_value"])


# -- residuals -------------------------------------------------------------------------------------------------------


def test_quantile_residuals_are_given_the_modes():
    fit = rp.mle(normal, {"mu": "y ~ x + (1 | g)", "log_sigma": "~ (1 | g)"}, DATA)
    eta = fit.predict()
    known = (DATA.y - eta["mu"]) * np.exp(-eta["log_sigma"])
    np.testing.assert_allclose(fit.residuals("quantile"), known, atol=1e-6)
    with pytest.raises(rp.ModelError, match="no deviance residuals"):
        fit.residuals("deviance")


def test_checks_tell_what_is_wrong_as_those_of_glm_do():
    data = DATA.assign(n=np.where(np.arange(N) % 10 == 0, DATA.n * 5 + 12, DATA.n))
    fit, other = counts("n ~ x + (1 | g)", data)
    assert not fit.check(n=110)["residuals"].passed and not other.check(n=110)["residuals"].passed
    right, same = counts("n ~ x + (1 | g)")
    found, its = right.check(n=110, seed=1), same.check(n=110, seed=1)
    assert found["effects: g: log_mean:Intercept"].passed and its["effects: g: Intercept"].passed
    assert found["effects: g: log_mean:Intercept"].value == pytest.approx(its["effects: g: Intercept"].value, abs=0.1)
    assert found.passed and its.passed


def test_checks_of_censored_times_are_given_the_modes():
    until = np.random.default_rng(8).exponential(6.0, N)
    data = DATA.assign(time=np.minimum(DATA.time, until), event=(DATA.time <= until).astype(int))
    found = rp.mle("weibull", WEIBULL, data).check(n=100)
    assert found["times"].passed and found["survival"].passed


# -- parameters that run to infinity ---------------------------------------------------------------------------------


def test_a_share_that_goes_to_0_is_said_and_the_rest_is_the_simpler_fit(both):
    fit = rp.mle("zip", {"mean": "n ~ x + z + (1 | g)"}, DATA)
    assert "rises without end as logit_zero:Intercept goes to -infinity" in fit.message
    assert "the fit of the simpler distribution in that limit" in str(fit.summary())
    assert fit.llf == pytest.approx(both[0].llf, abs=1e-6)
    np.testing.assert_allclose(fit.params[:3], both[0].params, atol=1e-5)
    np.testing.assert_allclose(fit.bse[:3], both[0].bse, rtol=1e-4)
    assert "infinity" not in both[0].message


def test_an_iteration_that_infinity_stops_says_what_to_fit():
    def negative_binomial(y, log_mean, log_theta):
        theta = jnp.exp(log_theta)
        total = gammaln(y + theta) - gammaln(theta) - gammaln(y + 1)
        return total + y * log_mean + theta * log_theta - (y + theta) * jnp.logaddexp(log_mean, log_theta)

    even = DATA.assign(n=np.minimum(DATA.n, 2))
    with pytest.warns(rp.ConvergenceWarning, match=r"on its way to infinity \(see params\), fit the simpler"):
        fit = rp.mle(negative_binomial, {"log_mean": "n ~ x + (1 | g)", "log_theta": "~ 1"}, even)
    assert not fit.converged and fit.params["log_theta:Intercept"] > 10
