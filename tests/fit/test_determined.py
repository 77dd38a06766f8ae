"""Curves that the data do not determine, and other things that a fit must say of its numbers."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp

rng = np.random.default_rng(1)
X = np.linspace(0.1, 4.0, 30)
NOISE = rng.normal(size=30)
DECAY = pd.DataFrame({"x": X, "y": 3.0 * np.exp(-0.7 * X) + 0.05 * NOISE, "zero": 0.0 * X})
PLAIN = rp.nls("y ~ a*exp(-c*x)", DECAY, start={"c": 1.0})


def quiet(*arguments, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rp.nls(*arguments, **keywords)


OPEN = {
    "product": ("y ~ a*b*exp(-c*x)", {"a": 1.0, "b": 1.0, "c": 1.0}, "a and b, but only a*b"),
    "sum": ("y ~ exp(a + b - c*x)", {"a": 1.0, "b": 0.5, "c": 1.0}, "a and b, but only a + b"),
    "ratio": ("y ~ a/b*exp(-c*x)", {"a": 1.0, "b": 2.0, "c": 1.0}, "a and b, but only a/b"),
    "difference": ("y ~ exp(a - b - c*x)", {"a": 3.0, "b": 1.5, "c": 1.0}, "a and b, but only a - b"),
    "square": ("y ~ a^2*b*exp(-c*x)", {"a": 1.0, "b": 1.0, "c": 1.0}, "a and b, but only a^2*b"),
    "linear": ("y ~ (a + b)*exp(-c*x)", {"c": 1.0}, "a and b, but only a + b"),
    "three": ("y ~ a*b*d*exp(-c*x)", {"a": 1.0, "b": 1.5, "d": 1.0, "c": 1.0}, "a, b and d"),
    "column": (
        "y ~ a*exp(-c*x) + b*zero",
        {"c": 1.0},
        "do not determine b: near the estimate no row's prediction depends on it",
    ),
}


@pytest.mark.parametrize("case", OPEN)
def test_what_the_data_leave_open_is_named_and_has_no_standard_error(case):
    formula, start, words = OPEN[case]
    with pytest.warns(rp.RankWarning, match="do not determine"):
        fit = rp.nls(formula, DECAY, start=start)
    assert fit.converged
    assert words in fit.message
    opened = [name for name in fit.names if name not in ("a", "c") or (name == "a" and case != "column")]
    assert fit.bse[opened].isna().all() and np.isfinite(fit.params).all()
    # They stay where they began, or near, and no other start is tried: the curve is so wherever it is fitted.
    assert fit.params.abs().max() < 10 and "other starts" not in fit.message
    # The rest is as if the curve had been written with a parameter for each thing that the data say.
    assert fit.condition_number == np.inf and fit.df_resid == PLAIN.df_resid
    np.testing.assert_allclose([fit.rss, fit.dispersion], [PLAIN.rss, PLAIN.dispersion], rtol=1e-9)
    np.testing.assert_allclose(fit.params["c"], PLAIN.params["c"], rtol=1e-7)
    np.testing.assert_allclose(fit.bse["c"], PLAIN.bse["c"], rtol=1e-6)
    new = {"x": [0.5, 2.0], "zero": [0.0, 0.0]}
    pd.testing.assert_frame_equal(
        fit.predict(new, interval="confidence"), PLAIN.predict(new, interval="confidence"), rtol=1e-6
    )


def test_a_part_that_has_lost_its_use_is_no_matter_of_how_the_curve_is_written():
    formula = "y ~ a*exp(-c*x) + b*exp(-d*x)"
    model = quiet(formula, DECAY, start={"c": 0.5, "d": 2.0})._reading.state.at.asked
    lost = np.array([3.0, 0.7, 0.0, 2.0])  # without a height the second rate has no effect
    assert "some parameters have no effect of their own" in model.needs_multistart(lost, True, np.inf)
    same = quiet("y ~ a*b*exp(-c*x)", DECAY, start={"b": 1.0, "c": 0.5})._reading.state.at.asked
    assert same.needs_multistart(np.array([3.0, 1.0, 0.7]), True, np.inf) == ""


def test_a_linear_curve_has_one_minimum_and_no_search():
    bent = {"x": X, "y": np.exp(X)}
    for keywords in ({}, {"start": {"a": 1.0, "b": 1.0}}, {"fixed": {"a": 1.0, "b": 1.0}}):
        fit = quiet("y ~ a + b*x", bent, **keywords)
        assert fit.converged and "other starts" not in fit.message and "no starting value" not in fit.message


def test_a_flat_valley_is_told_with_what_it_keeps():
    # All x are far below K: only the ratio shows.
    fit = quiet("y ~ v*x/(k + x)", {"x": X, "y": 2.0 * X + 0.05 * NOISE}, start={"k": 1.0})
    assert "hardly determine v and k, but only v/k: a flat valley" in fit.message
    assert (fit.bse > fit.params.abs()).all() and fit.condition_number > 1e3
    assert "Note: The data hardly determine" in str(fit.summary())


def test_a_well_determined_curve_has_nothing_to_say():
    assert PLAIN.remarks == [] and "Note" not in str(PLAIN.summary())
    assert PLAIN.condition_number == pytest.approx(np.linalg.cond(_scaled(PLAIN)), rel=1e-10)
    assert PLAIN.glance()["condition_number"].item() == PLAIN.condition_number


def _scaled(fit):
    J = np.column_stack([np.exp(-fit.params["c"] * X), -fit.params["a"] * X * np.exp(-fit.params["c"] * X)])
    return J / np.linalg.norm(J, axis=0)


def test_a_condition_number_of_any_fit():
    births = rp.datasets.load("births")
    fit = rp.glm("lwt ~ age + smoke", births)
    J = np.column_stack([np.ones(len(births)), births[["age", "smoke"]]])
    assert fit.condition_number == pytest.approx(np.linalg.cond(J / np.linalg.norm(J, axis=0)), rel=1e-10)


def test_a_parameter_that_runs_to_infinity():
    fit = quiet("y ~ a*(1 - exp(-b*x))", {"x": X, "y": 2.0 + 0.1 * NOISE}, start={"b": 1.0})
    assert "b runs to infinity" in fit.message
    assert fit.bse["b"] > 1e6 or np.isnan(fit.bse["b"])
    np.testing.assert_allclose(fit.params["a"], np.mean(2.0 + 0.1 * NOISE), rtol=1e-6)


def test_a_step_between_two_points_is_placed_nowhere():
    fit = quiet("y ~ a/(1 + exp(-c*(x - b)))", {"x": X, "y": (X > 2) + 0.01 * NOISE}, start={"c": 1.0, "b": 1.5})
    assert any(words in fit.message for words in ("c near", "c runs to infinity", "do not determine"))


def test_parameters_at_a_bound():
    fit = quiet("y ~ a*exp(-b*x)", DECAY, start={"a": 1.0, "b": 0.4}, bounds={"b": (0.0, 0.5)})
    assert fit.params["b"] == 0.5 and np.isnan(fit.bse["b"])
    assert "b at its upper bound 0.5: it has no standard error (NaN)" in fit.message
    held = quiet("y ~ a*exp(-b*x)", DECAY, fixed={"b": 0.5})
    np.testing.assert_allclose(fit.bse["a"] / fit.residual_sd, held.bse["a"] / held.residual_sd, rtol=1e-9)
    np.testing.assert_allclose(fit.llf, held.llf, rtol=1e-12)
    assert "b: held by fixed=" in held.message


def test_a_robust_loss_says_what_its_numbers_mean():
    fit = quiet("y ~ a*exp(-b*x)", DECAY, start={"b": 1.0}, loss="cauchy")
    assert "the loss is cauchy's, with the scale" in fit.message and "by the sandwich (HC0)" in fit.message
    assert "llf, aic and bic are NaN" in fit.message and np.isnan(fit.llf)
    assert "Note: The loss is cauchy's" in str(fit.summary()) or "The loss is cauchy's" in str(fit.summary())


def test_a_transformed_response_says_whose_likelihood_it_is():
    positive = DECAY.assign(y=DECAY["y"].abs())
    fit = rp.nls("log(y) ~ a - b*x", positive)
    assert "the response is log(y)" in fit.message
    assert "response" not in rp.nls("y ~ a*exp(-b*x)", positive, start={"b": 1.0}).message
    assert "log(y)" in str(fit.summary())


def test_a_penalty_says_what_the_errors_leave_out():
    fit = quiet("y ~ a*exp(-b*x)", DECAY, start={"a": 1.0, "b": 1.0}, penalty=0.1)
    assert "leave out their bias; llf is without the penalty" in fit.message


def test_starts_that_were_searched_for_are_told():
    fit = rp.nls("y ~ a*exp(-b*x)", DECAY)
    assert "no starting value was given for b; of 3,072 points" in fit.message
    assert "the best was b = " in fit.message and "solving for a" in fit.message
    assert "no starting value" not in PLAIN.message
    np.testing.assert_allclose(fit.params["a"], PLAIN.params["a"], rtol=1e-9)


def test_exchanged_terms_are_told_of():
    y = 5.0 * np.exp(-0.3 * X) + 3.0 * np.exp(-2.5 * X) + 0.01 * NOISE
    fit = rp.nls("y ~ a*exp(-k*x) + b*exp(-m*x)", {"x": X, "y": y}, start={"k": 0.2, "m": 2.0})
    a, k, b, m = fit.params
    other = f"the curve fits as well with a = {b:.4g}, k = {m:.4g}, b = {a:.4g}, m = {k:.4g}: "
    assert other + "the data cannot decide between them, and the one nearer to start= is shown" in fit.message
    free = rp.nls("y ~ a*exp(-k*x) + b*exp(-m*x)", {"x": X, "y": y})
    assert "the curve fits as well with a = " in free.message and "and one of them is shown" in free.message
    # With a penalty one of two is better; a term apart has nothing to change places with.
    held = quiet("y ~ a*exp(-k*x) + b*exp(-m*x)", {"x": X, "y": y}, start={"k": 0.2, "m": 2.0}, fixed={"b": 3.0})
    assert "fits as well" not in held.message and "fits as well" not in PLAIN.message


def test_flip_flop_is_told_of():
    # Theophylline in subject 1: absorption and elimination may change places (Pinheiro and Bates 2000, section 8.1).
    t = np.array([0, 0.25, 0.57, 1.12, 2.02, 3.82, 5.1, 7.03, 9.05, 12.12, 24.37])
    conc = np.array([0.74, 2.84, 6.57, 10.5, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28])
    formula = "conc ~ d*ka/(ka - ke)*(exp(-ke*t) - exp(-ka*t))"
    fit = rp.nls(formula, {"t": t, "conc": conc}, start={"ka": 2.0, "ke": 0.1})
    flipped = rp.nls(formula, {"t": t, "conc": conc}, start={"ka": 0.1, "ke": 2.0})
    np.testing.assert_allclose(fit.rss, flipped.rss, rtol=1e-12)
    d, ka, ke = flipped.params
    assert f"the curve fits as well with d = {d:.4g}, ka = {ka:.4g}, ke = {ke:.4g}: " in fit.message


def test_an_end_as_good_that_a_search_met_is_told_of():
    # Equal steps of 1 cannot tell a frequency from one that is higher by a whole turn.
    steps = np.arange(40.0)
    y = 2.0 * np.sin(0.9 * steps + 0.3) + 0.01 * np.random.default_rng(4).normal(size=40)
    fit = quiet("y ~ a*sin(w*x + p)", {"x": steps, "y": y})
    assert fit.converged and "the curve fits as well with" in fit.message


def test_observed_standard_errors_are_those_of_the_hessian():
    fit = quiet("y ~ a*exp(-b*x)", DECAY, start={"b": 1.0}, information="observed")
    theta, step = fit.params.to_numpy(), 1e-4

    def half_rss(t):
        r = DECAY["y"].to_numpy() - t[0] * np.exp(-t[1] * X)
        return 0.5 * r @ r

    H = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            a, b = step * np.eye(2)[i], step * np.eye(2)[j]
            H[i, j] = (
                half_rss(theta + a + b) - half_rss(theta + a - b) - half_rss(theta - a + b) + half_rss(theta - a - b)
            ) / (4 * step**2)
    np.testing.assert_allclose(fit.bse, np.sqrt(fit.dispersion * np.linalg.inv(H).diagonal()), rtol=1e-5)
    assert not np.allclose(fit.bse, PLAIN.bse.to_numpy(), rtol=1e-6)


def test_a_parameter_is_open_where_its_effect_is_but_rounding():
    # The height of the decay comes out as 1e-16: its rate has no more effect than that, and no standard error of 0.
    fit = quiet("y ~ c + a*exp(-k*x)", {"x": X, "y": np.full(30, 5.0)}, start={"k": 0.5})
    assert np.isnan(fit.bse["k"]) and fit.bse[["c", "a"]].notna().all()
    assert "do not determine k" in fit.message


def test_data_without_noise_are_told_of():
    exact = rp.nls("y ~ a*exp(-k*x)", {"x": X, "y": 3.0 * np.exp(-0.7 * X)}, start={"k": 1.0})
    assert "passes through the data up to rounding" in exact.message
    assert "rounding" not in PLAIN.message
    assert "rounding" not in rp.nls("y ~ a*exp(-k*x)", DECAY.assign(y=1e-9 * DECAY["y"]), start={"k": 1.0}).message


def test_an_estimate_of_zero_is_placed_where_it_is():
    x = np.arange(-5.0, 6.0)
    y = 3.0 * np.exp(-(x**2) / 4) + 0.1 * np.cos(x)
    fit = rp.nls("y ~ h*exp(-(x - m)**2/s)", {"x": x, "y": y}, start={"m": 0.1, "s": 3.0})
    assert abs(fit.params["m"]) < 1e-10 and 0.01 < fit.bse["m"] < 0.02  # the peak is symmetric about 0
    assert not fit.remarks


def test_a_fit_that_did_not_arrive_has_a_summary():
    x = np.linspace(0.5, 10.0, 20)
    halves = {"x": x, "y": np.where(np.arange(20) % 2, 9.0, 1 + 2 * np.exp(-0.3 * x))}
    fit = quiet("y ~ c + a*exp(-k*x)", halves, start={"k": 0.5}, loss="tukey")
    assert fit.status.value == "singular" and fit.bse.isna().all()
    assert "Singular after" in str(fit.summary()) and not fit.converged


def test_what_stands_behind_a_choice_is_solved_for():
    y = np.where(X > 1.6, 3.0, 1.0) + 0.1 * NOISE
    fit = quiet("y ~ low + where(x > at, high, 0)", {"x": X, "y": y}, start={"at": 1.0})
    assert fit.converged and np.isnan(fit.bse["at"])
    above = fit.params["at"] < X
    np.testing.assert_allclose(fit.params["low"], y[~above].mean(), rtol=1e-12)
    np.testing.assert_allclose(fit.params["low"] + fit.params["high"], y[above].mean(), rtol=1e-12)
