"""rp.mle beyond its reference cases: information, methods, starts, predictions, keeping, and what its Fit offers."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.model.objective import Need

rng = np.random.default_rng(4)
N = 200
X = rng.normal(size=N)
FRAME = pd.DataFrame(
    {
        "x": X,
        "count": rng.poisson(np.exp(0.3 + 0.5 * X)),
        "y": 2.0 + X + rng.normal(size=N),
        "time": rng.weibull(1.4, size=N) * np.exp(1.0 + 0.3 * X),
        "seen": rng.random(N) < 0.7,
        "exposure": rng.uniform(0.5, 2.0, size=N),
    }
)


def poisson(y, log_mean):
    return y * log_mean - jnp.exp(log_mean) - special.gammaln(y + 1)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) * jnp.exp(-log_sigma)) ** 2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)


def test_a_poisson_density_is_the_glm():
    formula = "count ~ x + offset(log(exposure))"
    fit = rp.mle(poisson, {"log_mean": formula}, FRAME)
    glm = rp.glm(formula, FRAME, family="poisson")
    np.testing.assert_allclose(fit.params, glm.params, rtol=1e-11)
    for kind in ("expected", "observed", "opg"):
        np.testing.assert_allclose(fit.information(kind), glm.information(kind), rtol=1e-9)
    for cov in ("HC0", "HC1", "HC2", "HC3"):
        np.testing.assert_allclose(fit.robust(cov).bse, glm.robust(cov).bse, rtol=1e-9)
    assert fit.llf == pytest.approx(glm.llf, rel=1e-13) and fit.aic == pytest.approx(glm.aic, rel=1e-13)
    np.testing.assert_allclose(fit.predict(FRAME)["log_mean"], glm.predict(FRAME, kind="link"), rtol=1e-9)


def test_expected_information_of_a_normal_density_by_quadrature():
    fit = rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, FRAME)
    expected, sigma = fit.information("expected").to_numpy(), np.exp(fit.params["log_sigma:Intercept"])
    design = np.column_stack([np.ones(N), X])
    np.testing.assert_allclose(expected[:2, :2], design.T @ design / sigma**2, rtol=1e-8)
    np.testing.assert_allclose(expected[2], [0, 0, 2 * N], atol=1e-5)
    scored = rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, FRAME, method="fisher-scoring")
    np.testing.assert_allclose(scored.params, fit.params, rtol=1e-9)


def test_expected_information_of_an_ordered_response_is_a_finite_sum():
    FRAME["level"] = pd.cut(FRAME["y"], [-np.inf, 1, 2, 3, np.inf], labels=list("abcd"))
    fit = rp.mle("ordered_logit", "level ~ x", FRAME)
    expected, observed = fit.information("expected").to_numpy(), fit.information("observed").to_numpy()
    assert np.isfinite(expected).all() and not np.allclose(expected, observed)
    np.testing.assert_allclose(expected, observed, rtol=0.3, atol=5)


def bernoulli_probit(y, eta):
    return jnp.where(y == 1, special.log_ndtr(eta), special.log_ndtr(-eta))


@pytest.mark.parametrize(
    ("density", "formula", "family"),
    [
        (lambda y, eta: y * eta - jax.nn.softplus(eta), "seen ~ x", "binomial"),  # information free of y
        (lambda y, eta: y * eta - jnp.exp(eta), "count ~ x", "poisson"),  # and without its constant
        (bernoulli_probit, "seen ~ x", rp.families.Binomial(link="probit")),  # responses 0 and 1 are all there are
    ],
)
def test_expected_information_without_a_range_to_sum_over(density, formula, family):
    frame = FRAME.assign(seen=FRAME["seen"].astype(int))
    fit = rp.mle(density, {"eta": formula}, frame)
    glm = rp.glm(formula, frame, family=family)
    np.testing.assert_allclose(fit.information("expected"), glm.information("expected"), rtol=1e-11)


@pytest.mark.parametrize("separated", [False, True])
def test_bias_reduction_of_a_likelihood_by_hand_is_that_of_the_glm(separated, correct_digits):
    x = FRAME["x"].to_numpy()[:60]
    low = x > 0.2 if separated else x + 0.4 * np.sin(40 * x) > 0.2
    data = pd.DataFrame({"low": low.astype(int), "x": x, "z": np.cos(9 * x)})
    glm = rp.glm("low ~ x + z", data, family="binomial", bias="firth")

    def density(y, eta):
        return y * eta - jax.nn.softplus(eta)

    def loglik(params, row):
        p = jax.nn.sigmoid(params["b"][0] + params["b"][1] * row.x + params["b"][2] * row.z)
        return jnp.where(row.low == 1, jnp.log(p), jnp.log1p(-p))

    for fit in (
        rp.mle(density, {"eta": "low ~ x + z"}, data, bias="firth"),
        rp.mle(loglik, data, start={"b": np.zeros(3)}, bias="firth"),
    ):
        assert fit.converged and np.isfinite(fit.params).all() and fit.bias == "jeffreys"
        assert correct_digits(fit.params, glm.params) >= 10
        assert correct_digits(fit.bse, glm.bse) >= 10
    probit = rp.families.Binomial(link="probit")
    by_hand = rp.mle(bernoulli_probit, {"eta": "low ~ x + z"}, data, bias="firth")  # expected, not observed
    glm = rp.glm("low ~ x + z", data, family=probit, bias="jeffreys")
    assert correct_digits(by_hand.params, glm.params) >= 9


def test_bias_reduction_of_a_censored_regression_maximises_what_it_says():
    # Weibull times, some censored: nothing can be expected, so the observed information is taken.
    plain = rp.mle("weibull", "time ~ x", FRAME.head(25), columns={"event": "seen"})
    firth = rp.mle("weibull", "time ~ x", FRAME.head(25), columns={"event": "seen"}, bias="firth")
    assert firth.converged
    assert abs(firth.params["log_sigma:Intercept"] - plain.params["log_sigma:Intercept"]) > 0.01
    model = plain._reading.state.at.asked

    def target(theta):
        found = model.likelihood.evaluate(theta, Need(kinds=("observed",)))
        return found.value + 0.5 * np.linalg.slogdet(found.information["observed"].matrix)[1]

    at, h = firth.params.to_numpy(), 1e-5
    slope = [(target(at + h * e) - target(at - h * e)) / (2 * h) for e in np.eye(len(at))]
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)


def test_what_bias_may_be():
    with pytest.raises(rp.ModelError, match="bias: expected one of firth, jeffreys or None"):
        rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, FRAME, bias="heinze")
    with pytest.raises(rp.ModelError, match="either bias='firth' or penalty="):
        rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, FRAME, bias="firth", penalty=1.0)


def test_a_censored_time_has_no_expected_information():
    fit = rp.mle("weibull", "time ~ x", FRAME, columns={"event": "seen"})
    with pytest.raises(rp.ModelError, match="does not integrate to 1"):
        fit.information("expected")


@pytest.mark.parametrize("method", ["newton", "bhhh", "newton-cg"])
def test_methods_meet(method):
    fit = rp.mle("weibull", "time ~ x", FRAME, columns={"event": "seen"}, method=method)
    best = rp.mle("weibull", "time ~ x", FRAME, columns={"event": "seen"})
    assert fit.converged
    assert (np.abs(fit.params - best.params) / best.bse).max() < 1e-8


def test_the_order_of_formulas_does_not_matter_and_starts_have_names():
    one = rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ x"}, FRAME)
    other = rp.mle(normal, {"log_sigma": "~ x", "mu": "y ~ x"}, FRAME, start={"mu:Intercept": 1.5, "log_sigma": [0, 0]})
    np.testing.assert_allclose(one.params, other.params, rtol=1e-9)
    assert list(one.params.index) == list(other.params.index)


def test_rows_that_lack_something_used_are_dropped_once():
    gaps = FRAME.drop(columns="seen").copy()
    gaps.loc[3, "x"], gaps.loc[7, "y"], gaps.loc[9, "count"] = np.nan, np.nan, np.nan
    with pytest.warns(rp.MissingDataWarning, match="2 of 200 rows"):
        fit = rp.mle(normal, {"mu": "y ~ 1", "log_sigma": "~ x"}, gaps)
    assert fit.nobs == 198 and len(fit.predict()) == 198
    with pytest.warns(rp.MissingDataWarning, match="1 of 200 rows"):
        fit = rp.mle(lambda p, row: -0.5 * (row.y - p["a"]) ** 2, gaps, start={"a": 0.0})
    assert fit.nobs == 199


def test_differences_of_a_plain_function_give_the_same_fit():
    import math

    def plain(params, row):
        rate = math.exp(params["b"][0] + params["b"][1] * row.x)
        return row["count"] * math.log(rate) - rate - math.lgamma(row["count"] + 1)

    few = FRAME.head(60)
    fit = rp.mle(plain, few, start={"b": np.zeros(2)}, derivatives="finite")
    glm = rp.glm("count ~ x", few, family="poisson")
    assert fit.converged and "finite differences" in fit.assembly
    np.testing.assert_allclose(fit.params, glm.params, rtol=1e-8)
    np.testing.assert_allclose(fit.bse, glm.bse, rtol=1e-6)


def test_a_distribution_that_ends_in_a_simpler_one_says_so():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.mle("zero_inflated_negative_binomial", {"mean": "count ~ x", "zero": "~ 1"}, FRAME)
        simpler = rp.glm("count ~ x", FRAME, family="poisson")
    assert fit.status.value == "boundary" and "the simpler distribution in that limit" in fit.message
    running = fit.params[np.isinf(fit.params)]
    assert "log_theta:Intercept" in running.index and running["log_theta:Intercept"] > 0
    assert fit.bse[running.index].isna().all() and all(name in fit.message for name in running.index)
    if "logit_zero:Intercept" in running.index:  # neither more zeros nor more spread than a Poisson has
        np.testing.assert_allclose(fit.params.iloc[:2], simpler.params, rtol=1e-8)
        np.testing.assert_allclose(fit.bse.iloc[:2], simpler.bse, rtol=1e-7)
        assert fit.llf == pytest.approx(simpler.llf, rel=1e-12)


def test_separated_responses_are_no_maximum():
    def logistic(y, eta):
        return y * eta - jnp.logaddexp(0.0, eta)

    def general(params, row):
        return logistic(row.y, params["a"] + params["b"] * row.x)

    line = {"x": [1.0, 2, 3, 4, 5, 6], "y": [0.0, 0, 0, 1, 1, 1]}
    groups = {"g": ["a"] * 20 + ["b"] * 20, "y": [0, 1] * 10 + [1] * 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [
            rp.mle(logistic, {"eta": "y ~ x"}, line),
            rp.mle(general, line, start={"a": 0.0, "b": 0.0}),
            rp.mle(logistic, {"eta": "y ~ g"}, groups),
            rp.mle(logistic, {"eta": "y ~ x"}, {"x": np.arange(0.8, 2.5, 0.01), "y": np.arange(170.0) > 40}),
            rp.mle("ordered_logit", "y ~ x", {"y": [0, 0, 1, 1, 2, 2], "x": [1, 2, 3, 4, 5, 6]}),
        ]
    for fit in fits:
        assert fit.status.value == "separated" and not fit.converged
        assert "covariates separate the responses" in fit.message
        assert fit.bse[np.isinf(fit.params)].isna().all()
    # What the same model says as a GLM, whose separation is decided on the design.
    with pytest.warns(rp.SeparationWarning):
        glm = rp.glm("y ~ g", groups, family="binomial")
    np.testing.assert_allclose(fits[2].params, glm.params, atol=1e-12)
    np.testing.assert_allclose(fits[2].bse, glm.bse, rtol=1e-8)
    assert fits[2].llf == pytest.approx(glm.llf, rel=1e-12)
    assert "eta:g[T.b]" in fits[2].message and "eta:Intercept" not in fits[2].message


def test_large_units_are_no_way_to_infinity():
    y = 50_000 + 20_000 * np.random.default_rng(3).normal(size=100)

    def normal(y, mu, log_sigma):
        return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma

    def raw(params, row):
        return -0.5 * ((row.y - params["m"]) / params["s"]) ** 2 - jnp.log(params["s"])

    for fit in (
        rp.mle(normal, {"mu": "y ~ 1", "log_sigma": "~ 1"}, {"y": y}),
        rp.mle(raw, {"y": y}, start={"m": 4e4, "s": 1e4}),
    ):
        assert fit.converged and fit.bse.iloc[0] > 1000
        np.testing.assert_allclose(fit.params.iloc[0], y.mean(), rtol=1e-10)


def test_whole_numbers_are_levels_wherever_they_begin():
    data = {"y": [1, 2, 4, 5, 1, 2, 4, 5, 2], "x": [1, 2, 3, 4, 2, 3, 1, 2, 1]}
    fit = rp.mle("ordered_logit", "y ~ x", data)
    same = rp.mle("ordered_logit", "y ~ x", {**data, "y": np.searchsorted([1, 2, 4, 5], data["y"])})
    assert list(fit.params.index) == ["location:x", "1|2", "2|4", "4|5"]
    np.testing.assert_allclose(fit.params, same.params, rtol=1e-12)
    assert list(fit.predict({"x": [1.0]}, kind="response")) == ["1", "2", "4", "5"]


def test_it_is_kept_and_read(tmp_path):
    fit = rp.mle("weibull", "time ~ x", FRAME, columns={"event": "seen"})
    fit.save(tmp_path / "fit.json")
    again = rp.load(tmp_path / "fit.json")
    np.testing.assert_array_equal(again.params, fit.params)
    np.testing.assert_allclose(again.bse, fit.bse, rtol=1e-14)
    pd.testing.assert_frame_equal(again.predict(FRAME.head(), se=True), fit.predict(FRAME.head(), se=True))
    assert str(again.summary()).splitlines()[0] == "log_time: time ~ x; log_sigma: ~ 1"
    general = rp.mle(lambda p, row: -0.5 * (row.y - p["a"]) ** 2, FRAME, start={"a": 0.0})
    general.save(tmp_path / "general.json")
    again = rp.load(tmp_path / "general.json")
    assert again.params["a"] == general.params["a"]
    with pytest.raises(rp.ModelError, match="what to predict"):
        again.predict(FRAME)


def test_what_all_fits_offer_works_here_too():
    fit = rp.mle("weibull", "time ~ x", FRAME, columns={"event": "seen"})
    smaller = rp.mle("weibull", "time ~ 1", FRAME, columns={"event": "seen"})
    wald = fit.wald_test("log_time:x = 0")
    assert wald.p_value < 1e-2 and fit.lr_test(smaller).p_value < 1e-2
    assert 1.9 < fit.leverage.sum() < 3.1
    assert fit.loo().elpd < fit.llf
    profile = fit.conf_int(kind="profile")
    assert ((profile - fit.conf_int()).abs().to_numpy() < 0.1).all()
    assert fit.bootstrap(20, seed=1) is not None


def test_profile_intervals_of_a_reference_case(correct_digits):
    import json
    from pathlib import Path

    folder = Path(__file__).parents[1] / "reference" / "mle"
    truth = json.loads((folder / "weibull_lung.json").read_text())
    lung = pd.read_csv(folder / "weibull_lung.csv")
    fit = rp.mle("weibull", "time ~ age + sex + `ph.ecog`", lung, columns={"event": "status == 2"})
    found = fit.conf_int(kind="profile")
    assert correct_digits(found["lower"], truth["profile_ci"]["lower"]) >= 9
    assert correct_digits(found["upper"], truth["profile_ci"]["upper"]) >= 9


def mixture(y, low, high, log_s1, log_s2, logit_share):
    one = stats.norm.logpdf(y, low, jnp.exp(log_s1)) + jax.nn.log_sigmoid(logit_share)
    two = stats.norm.logpdf(y, high, jnp.exp(log_s2)) + jax.nn.log_sigmoid(-logit_share)
    return jnp.logaddexp(one, two)


def test_parameters_that_begin_alike_are_told_apart():
    draw = np.random.default_rng(1)
    y = np.concatenate([draw.normal(2.0, 0.24, 98), draw.normal(4.3, 0.44, 174)])
    constants = dict.fromkeys(["high", "log_s1", "log_s2", "logit_share"], "~ 1")
    found = rp.mle(mixture, {"low": "y ~ 1", **constants}, {"y": y})
    near = rp.mle(mixture, {"low": "y ~ 1", **constants}, {"y": y}, start=[2.0, 4.0, 0.0, 0.0, 0.0])
    assert found.converged and found.llf == pytest.approx(near.llf, abs=1e-8)

    def skewed(y, location, log_scale, shape):
        z = (y - location) * jnp.exp(-log_scale)
        return jnp.log(2.0) + stats.norm.logpdf(z) - log_scale + special.log_ndtr(shape * z)

    a, b = draw.normal(size=(2, 400))  # |a| and b make a skew normal variable of shape 4
    y = (4 * np.abs(a) + b) / np.sqrt(17)
    fit = rp.mle(skewed, {"location": "y ~ 1", "log_scale": "~ 1", "shape": "~ 1"}, {"y": y})
    assert fit.converged and 2.0 < fit.params["shape:Intercept"] < 8.0  # at 0 the information is singular


def test_several_formulas_are_updated_and_their_terms_left_out():
    frame = FRAME.assign(z=np.cos(np.arange(N)), group=np.where(np.arange(N) % 3 == 0, "a", "b"))
    fit = rp.mle("hurdle_poisson", {"mean": "count ~ x + z", "positive": "~ x + group"}, frame)
    table = fit.drop1()
    assert list(table.index) == [
        "<none>",
        "log_mean:x",
        "log_mean:z",
        "logit_positive:x",
        "logit_positive:group",
    ]
    for change, term in (({"mean": ". ~ . - z"}, "log_mean:z"), ({"positive": "~ . - group"}, "logit_positive:group")):
        smaller = fit.update(change)
        assert 2.0 * (fit.llf - smaller.llf) == pytest.approx(table["statistic"][term], abs=1e-8)
        assert smaller.aic == pytest.approx(table["aic"][term], abs=1e-8)
    assert fit.update("~ . + group").formulas["log_mean"] == "count ~ (x + z) + group"
    with pytest.raises(rp.ModelError, match=r"update: expected parameters among log_mean.*; got 'zero'"):
        fit.update({"zero": "~ 1"})
    general = rp.mle(lambda p, row: -0.5 * (row.y - p["a"]) ** 2, FRAME, start={"a": 0.0})
    with pytest.raises(rp.ModelError, match="update: expected a likelihood with formulas"):
        general.update("~ x")


def test_a_general_likelihood_is_headed_by_its_function():
    def decay(params, row):
        return -0.5 * (row.y - params["a"]) ** 2

    fit = rp.mle(decay, {"y": [1.0, 2.0, 4.0]}, start={"a": 0.0})
    assert str(fit.summary()).splitlines()[0] == "decay(params, row)"
    assert "<p class='title'>decay(params, row)</p>" in fit.summary()._repr_html_()


def test_a_keyword_may_stand_for_a_number():
    frame = FRAME.assign(y=np.maximum(FRAME["count"], 1.0), least=1.0)
    fit = rp.mle("tobit", "y ~ x", frame, columns={"lower": 1})
    same = rp.mle("tobit", "y ~ x", frame, columns={"lower": "least"})
    np.testing.assert_array_equal(fit.params, same.params)
    assert fit.params.iloc[0] != rp.mle("tobit", "y ~ x", frame).params.iloc[0]

    def shifted(y, mu, *, by):
        return -0.5 * (y - mu - by) ** 2 - 0.5 * jnp.log(2.0 * jnp.pi)

    moved = rp.mle(shifted, {"mu": "y ~ x"}, frame, columns={"by": "-2"})
    new = frame[["x"]].head(3)
    np.testing.assert_allclose(moved.predict(new, kind="response"), moved.predict(new)["mu"] - 2.0, rtol=1e-7)
    for wrong in ("'a'", True, None, "1/0", float("nan")):
        with pytest.raises(rp.RaphsonError):
            rp.mle("tobit", "y ~ x", frame, columns={"lower": wrong})
