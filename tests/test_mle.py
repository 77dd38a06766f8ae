"""rp.mle beyond its reference cases: information, methods, starts, predictions, keeping, and what its Fit offers."""

from __future__ import annotations

import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
import pandas as pd
import pytest

import raphson as rp

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


def test_a_censored_time_has_no_expected_information():
    fit = rp.mle("weibull", "time ~ x", FRAME, columns={"event": "seen"})
    with pytest.raises(rp.ModelError, match="adds up to 1 over no range"):
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
    with pytest.warns(UserWarning, match="seems to run to infinity"):
        fit = rp.mle("zero_inflated_negative_binomial", {"mean": "count ~ x", "zero": "~ 1"}, FRAME)
    assert fit.status.value == "boundary"


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

    folder = Path(__file__).parent / "reference" / "mle"
    truth = json.loads((folder / "weibull_lung.json").read_text())
    lung = pd.read_csv(folder / "weibull_lung.csv")
    fit = rp.mle("weibull", "time ~ age + sex + `ph.ecog`", lung, columns={"event": "status == 2"})
    found = fit.conf_int(kind="profile")
    assert correct_digits(found["lower"], truth["profile_ci"]["lower"]) >= 9
    assert correct_digits(found["upper"], truth["profile_ci"]["upper"]) >= 9
