"""Curves through the front door: each way to a fit agrees with every other, and with a second opinion."""

from __future__ import annotations

import re
import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import raphson as rp

rng = np.random.default_rng(7)
X = np.linspace(0.0, 6.0, 40)
Y = 5.0 * np.exp(-0.8 * X) + 1.0 + 0.05 * rng.normal(size=40)
DECAY = "y ~ top*exp(-rate*x) + base"
START = {"top": 3.0, "rate": 0.4, "base": 0.0}
DATA = pd.DataFrame({"x": X, "y": Y})


def decay(params, x):
    return params["top"] * jnp.exp(-params["rate"] * x) + params["base"]


def residuals(theta, x=X, y=Y):
    return theta[0] * np.exp(-theta[1] * x) + theta[2] - y


@pytest.fixture(scope="module")
def fit() -> rp.Fit:
    return rp.nls(DECAY, DATA, start=START)


def same(a, b, rtol=1e-9) -> None:
    names = list(a.params.index)
    np.testing.assert_allclose(a.params[names], b.params[names], rtol=rtol)
    np.testing.assert_allclose(a.bse[names], b.bse[names], rtol=1e3 * rtol)
    np.testing.assert_allclose(a.rss, b.rss, rtol=1e3 * rtol)


def test_against_scipy(fit) -> None:
    truth, V = optimize.curve_fit(
        lambda x, a, b, c: a * np.exp(-b * x) + c, X, Y, [3.0, 0.4, 0.0], xtol=1e-15, ftol=1e-15
    )
    np.testing.assert_allclose(fit.params[["top", "rate", "base"]], truth, rtol=1e-6)
    np.testing.assert_allclose(fit.bse[["top", "rate", "base"]], np.sqrt(np.diag(V)), rtol=1e-5)


@pytest.mark.parametrize(
    "method", ["gauss-newton", "modified-gauss-newton", "newton", "irls", "fisher-scoring", "bhhh", "newton-cg"]
)
def test_methods_agree(fit, method) -> None:
    same(fit, rp.nls(DECAY, DATA, start=START, method=method))


def test_a_function_is_the_same_curve(fit) -> None:
    same(fit, rp.nls(decay, (X, Y), start=START))
    array = rp.nls(lambda p, x: p[0] * jnp.exp(-p[1] * x) + p[2], (X, Y), start=np.array([3.0, 0.4, 0.0]))
    np.testing.assert_allclose(array.params.to_numpy(), fit.params[["top", "rate", "base"]].to_numpy(), rtol=1e-9)


def test_a_function_that_jax_cannot_trace(fit) -> None:
    def simulator(params, x):
        return np.array([float(params["top"]) * np.exp(-float(params["rate"]) * t) + params["base"] for t in x])

    same(fit, rp.nls(simulator, (X, Y), start=START, derivatives="finite"), rtol=1e-6)


def test_a_simulator_with_noise_in_its_digits(fit) -> None:
    def simulator(params, x):
        exact = params["top"] * np.exp(-params["rate"] * x) + params["base"]
        return np.round(exact, 7)  # a solver of seven digits

    found = rp.nls(simulator, (X, Y), start=START, derivatives="finite")
    np.testing.assert_allclose(found.params[list(START)], fit.params[list(START)], rtol=1e-4)
    np.testing.assert_allclose(found.bse[list(START)], fit.bse[list(START)], rtol=1e-2)


NOISE = {  # what the noise is about, relative to the values, and how far the estimates may be, in standard errors
    "single precision": (lambda v: v.astype(np.float32).astype(float), 1e-8, 1e-7, 1e-4),
    "four decimals": (lambda v: np.round(v, 4), 1e-6, 1e-4, 0.1),
    "two decimals": (lambda v: np.round(v, 2), 1e-4, 1e-2, 1.0),
}


@pytest.mark.parametrize("kind", NOISE)
@pytest.mark.parametrize("start", [START, {"top": 4.0, "rate": 0.35, "base": 0.6}])
def test_a_noisy_simulator_arrives_where_its_noise_lets_it_and_says_so(fit, kind, start) -> None:
    spoil, low, high, within = NOISE[kind]
    calls = 0

    def simulator(params, x):
        nonlocal calls
        calls += 1
        return spoil(params["top"] * np.exp(-params["rate"] * x) + params["base"])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rp.nls(simulator, (X, Y), start=start, derivatives="finite")
    assert found.status.value == "rounding floor" and calls < 1500
    assert (((found.params - fit.params).abs() / fit.bse)[list(START)] < within).all()
    said = re.search(r"the function is noisy: its values are off by about (\S+) of their size", found.message)
    assert said and low < float(said[1]) < high
    # What `digits` promises holds.
    assert ((found.params / fit.params - 1).abs()[list(START)] < 10.0 ** -found.digits[list(START)]).all()


def test_a_simulator_that_is_mostly_noise_has_not_converged() -> None:
    def simulator(params, x):
        return np.round(params["top"] * np.exp(-params["rate"] * x) + params["base"])

    with pytest.warns(rp.ConvergenceWarning, match="too much to locate the minimum"):
        found = rp.nls(simulator, (X[::4], Y[::4]), start=START, derivatives="finite")
    assert not found.converged


def test_a_function_in_steps_has_a_slope_from_further_away() -> None:
    # Over a hundredth of each parameter none of its values changes: a Jacobian of zeros looked like a minimum.
    few, steps = np.arange(0.0, 6.0), np.array([4.0, 3.0, 2.0, 2.0, 1.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = rp.nls(
            lambda p, x: np.round(p["top"] * np.exp(-p["rate"] * x)),
            (few, steps + 0.05 * np.sin(few)),
            start={"top": 6.1, "rate": 0.5},
            derivatives="finite",
        )
    assert "do not determine" not in found.message and "noisy" in found.message
    assert abs(found.params["top"] - 4.0) < 1.0 and found.bse.notna().all()


def test_projection_is_the_full_fit(fit) -> None:
    same(fit, rp.nls(DECAY, DATA, start={"rate": 0.4}))
    bounded = rp.nls(DECAY, DATA, start=START, bounds={"top": (0, 100), "base": (-50, 50)})  # nothing is projected
    same(fit, bounded)


def test_other_parameters_for_the_same_curve(fit) -> None:
    other = rp.nls("y ~ exp(logtop)*exp(-x/tau) + base", DATA, start={"logtop": 1.0, "tau": 2.0, "base": 0.0})
    assert other.params["tau"] == pytest.approx(1 / fit.params["rate"], rel=1e-9)
    assert other.params["logtop"] == pytest.approx(np.log(fit.params["top"]), rel=1e-9)
    assert other.bse["tau"] == pytest.approx(fit.bse["rate"] / fit.params["rate"] ** 2, rel=1e-6)
    assert other.rss == pytest.approx(fit.rss, rel=1e-12) and other.llf == pytest.approx(fit.llf, rel=1e-12)


def test_rows_in_any_order_and_units(fit) -> None:
    same(fit, rp.nls(DECAY, DATA.sample(frac=1, random_state=1), start=START))
    scaled = rp.nls(DECAY, DATA.assign(x=1e6 * X, y=1e-3 * Y), start={"rate": 4e-7})
    np.testing.assert_allclose(scaled.params["rate"] * 1e6, fit.params["rate"], rtol=1e-9)
    np.testing.assert_allclose(scaled.params["top"] * 1e3, fit.params["top"], rtol=1e-9)


def test_frequency_weights_are_replicated_rows() -> None:
    times = np.arange(40) % 3
    copied = rp.nls(DECAY, DATA.loc[np.repeat(np.arange(40), times)], start=START)
    weighted = rp.nls(DECAY, DATA.assign(w=times), start=START, weights="w", weights_kind="frequency")
    same(copied, weighted)
    assert weighted.nobs == copied.nobs and weighted.df_resid == copied.df_resid
    np.testing.assert_allclose(weighted.llf, copied.llf, rtol=1e-10)


def test_precision_weights_are_those_of_curve_fit() -> None:
    sigma = 0.05 * (1 + X)
    fit = rp.nls(DECAY, DATA, start=START, weights=1 / sigma**2, dispersion=1.0)
    truth, V = optimize.curve_fit(
        lambda x, a, b, c: a * np.exp(-b * x) + c, X, Y, [3, 0.4, 0], sigma, absolute_sigma=True, xtol=1e-14, ftol=1e-14
    )
    np.testing.assert_allclose(fit.params[list(START)], truth, rtol=1e-6)
    np.testing.assert_allclose(fit.bse[list(START)], np.sqrt(np.diag(V)), rtol=1e-5)


@pytest.mark.parametrize("loss", ["huber", "cauchy"])
def test_robust_losses_are_those_of_scipy(loss) -> None:
    y = Y.copy()
    y[[3, 17, 30]] += [4.0, -3.0, 5.0]
    fit = rp.nls(DECAY, {"x": X, "y": y}, start=START, loss=loss, scale=0.05)
    tuning = {"huber": 1.345, "cauchy": 2.3849}[loss] * 0.05
    truth = optimize.least_squares(
        lambda t: residuals(t, X, y), [4, 0.7, 1], loss=loss, f_scale=tuning, xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    np.testing.assert_allclose(fit.params[list(START)], truth.x, rtol=2e-5)


@pytest.mark.parametrize("loss", ["huber", "cauchy", "tukey"])
def test_robust_estimates_solve_their_equations_and_ignore_outliers(loss, fit) -> None:
    y = Y.copy()
    y[[3, 17, 30]] += [4.0, -3.0, 5.0]
    found = rp.nls(DECAY, {"x": X, "y": y}, start=START, loss=loss)
    assert found.converged
    np.testing.assert_allclose(found.params[list(START)], fit.params[list(START)], atol=4 * fit.bse.max())
    least_squares = rp.nls(DECAY, {"x": X, "y": y}, start=START)
    assert abs(found.params["top"] - 5) < abs(least_squares.params["top"] - 5)


def test_bounds_are_those_of_scipy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.nls(DECAY, DATA, start=START, bounds={"rate": (None, 0.6)})
    truth = optimize.least_squares(
        residuals, [3, 0.4, 0], bounds=([-np.inf] * 3, [np.inf, 0.6, np.inf]), xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert fit.params["rate"] == 0.6 and np.isnan(fit.bse["rate"])
    np.testing.assert_allclose(fit.params[list(START)], truth.x, rtol=1e-6)
    assert np.isfinite(fit.bse[["top", "base"]]).all()


def test_fixed_parameters_are_constants() -> None:
    held = rp.nls(DECAY, DATA, start={"rate": 0.4}, fixed={"base": 1.0})
    constant = rp.nls("y ~ top*exp(-rate*x) + 1.0", DATA, start={"rate": 0.4})
    np.testing.assert_allclose(held.params[["top", "rate"]], constant.params[["top", "rate"]], rtol=1e-10)
    np.testing.assert_allclose(held.bse[["top", "rate"]], constant.bse[["top", "rate"]], rtol=1e-8)
    assert held.params["base"] == 1.0 and held.df_resid == constant.df_resid


@pytest.mark.parametrize("start", [START, {"rate": 0.4}])
def test_a_penalty_shrinks_as_rows_of_zeros_would(start) -> None:
    fit = rp.nls(DECAY, DATA, start=start, penalty=0.1)
    order = [list(fit.params.index).index(name) for name in START]
    truth = optimize.least_squares(
        lambda t: np.concatenate([residuals(t), np.sqrt(0.1) * t]), [3, 0.4, 0], xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    np.testing.assert_allclose(fit.params.to_numpy()[order], truth.x, rtol=1e-6)


def test_a_vector_valued_response() -> None:
    y = np.column_stack([Y, 2.0 * Y + 0.01 * rng.normal(size=40)])

    def both(params, x):
        one = params["top"] * jnp.exp(-params["rate"] * x) + params["base"]
        return jnp.stack([one, params["ratio"] * one], axis=1)

    fit = rp.nls(both, (X, y), start=START | {"ratio": 1.0})
    truth = optimize.least_squares(
        lambda t: np.concatenate([residuals(t), t[3] * (residuals(t) + Y) - y[:, 1]]), [3, 0.4, 0, 1], xtol=1e-15
    )
    np.testing.assert_allclose(fit.params[[*START, "ratio"]], truth.x, rtol=1e-6)
    assert fit.nobs == 80


def test_a_transformed_response() -> None:
    data = pd.DataFrame({"x": X, "y": np.exp(1.0 - 0.3 * X + 0.01 * rng.normal(size=40))})
    fit = rp.nls("log(y) ~ a - b*x", data, start={"a": 0.0, "b": 1.0})
    slope, intercept = np.polyfit(X, np.log(data["y"]), 1)
    np.testing.assert_allclose(fit.params[["a", "b"]], [intercept, -slope], rtol=1e-9)


# -- where the answer came from --------------------------------------------------------------------------------


def test_a_good_start_is_not_doubted(fit) -> None:
    assert "start" not in fit.message


def test_the_message_says_that_another_start_was_taken() -> None:
    peaks = 3 * np.exp(-(((X - 1.5) / 0.4) ** 2)) + 2 * np.exp(-(((X - 4.0) / 0.6) ** 2))
    data = {"x": X, "y": peaks + 0.02 * rng.normal(size=40)}
    curve = "y ~ a*exp(-((x - b)/c)**2) + d*exp(-((x - e)/f)**2)"
    near = rp.nls(curve, data, start={"b": 1.4, "c": 0.5, "e": 4.2, "f": 0.5})
    assert "other starts" not in near.message
    far = rp.nls(curve, data, start={"b": 90.0, "c": 0.01, "e": 0.3, "f": 40.0})
    assert "the best of" in far.message and "other starts is shown" in far.message
    assert far.rss == pytest.approx(near.rss, rel=1e-9)
    none = rp.nls(curve, data)
    assert "without starting values, several were tried" in none.message
    assert none.rss == pytest.approx(near.rss, rel=1e-9)


def test_terms_keep_the_order_and_the_signs_of_the_start() -> None:
    y = 3.0 * np.exp(-0.5 * X) + 2.0 * np.exp(-4.0 * X)
    for first, second in ((0.1, 20.0), (20.0, 0.1)):
        fit = rp.nls("y ~ a*exp(-b*x) + c*exp(-d*x)", {"x": X, "y": y}, start={"b": first, "d": second})
        assert (fit.params["b"] < fit.params["d"]) == (first < second)
        assert sorted(fit.params[["b", "d"]]) == pytest.approx([0.5, 4.0], rel=1e-8)
    peak = {"x": X, "y": np.exp(-(((X - 2.0) / 0.7) ** 2)) + 0.01 * rng.normal(size=40)}
    for sign in (1.0, -1.0):
        assert np.sign(rp.nls("y ~ a*exp(-((x-b)/w)**2)", peak, start={"b": 2.5, "w": sign}).params["w"]) == sign
    assert rp.nls("y ~ a*exp(-((x-b)/w)**2)", peak).params["w"] > 0


def test_the_seed_decides() -> None:
    data = {"x": X, "y": np.sin(3.0 * X + 0.4) + 0.1 * rng.normal(size=40)}
    one, two = (rp.nls("y ~ a*sin(w*x + p)", data, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.params, two.params)


@pytest.mark.parametrize("where", ["y", "x", "weights", "groups"])
def test_rows_with_something_missing_are_dropped_with_a_warning_from_a_function_too(where) -> None:
    def masked(values):
        return np.ma.masked_where(np.arange(len(X)) == 3, values)

    given = {"x": X, "y": Y, "weights": 1.0 + X, "groups": np.arange(len(X)) // 3}
    given[where] = masked(np.where(np.arange(len(X)) == 3, 999, given[where]))
    rest = {"start": START, "cov": "cluster"}
    with pytest.warns(rp.MissingDataWarning, match=f"1 of {len(X)} rows dropped for missing values in {where}"):
        found = rp.nls(decay, (given["x"], given["y"]), weights=given["weights"], groups=given["groups"], **rest)
    kept = np.arange(len(X)) != 3
    x, y, w, g = (np.asarray(given[name])[kept] for name in ("x", "y", "weights", "groups"))
    alone = rp.nls(decay, (x, y), weights=w, groups=g, **rest)
    np.testing.assert_allclose(found.params, alone.params, rtol=1e-9)
    np.testing.assert_allclose(found.bse, alone.bse, rtol=1e-9)
    assert found.n_dropped == 1
    with pytest.raises(rp.DataError, match=f"missing values in {where}, in 1 of"):
        rp.nls(
            decay,
            tuple(given[k] for k in "xy"),
            weights=given["weights"],
            groups=given["groups"],
            missing="raise",
            **rest,
        )


@pytest.mark.parametrize("derivatives", ["exact", "finite"])
def test_whole_numbers_pick_elements(derivatives) -> None:
    library = jnp if derivatives == "exact" else np
    group, x = np.repeat([2, 0, 1], 8), np.tile(np.linspace(0, 4, 8), 3)
    y = np.array([1.0, 2, 3])[group] * np.exp(-0.5 * x)
    found = rp.nls(
        lambda p, d: p["A"][d["set"]] * library.exp(-p["k"] * d["x"]),
        ({"x": x, "set": group}, y),
        start={"A": np.ones(3), "k": 1.0},
        derivatives=derivatives,
    )
    np.testing.assert_allclose(found.params, [1, 2, 3, 0.5], rtol=1e-6)
    np.testing.assert_allclose(
        found.predict({"x": [1.0, 1.0], "set": [2, 0]}), [3 * np.exp(-0.5), np.exp(-0.5)], rtol=1e-6
    )


def test_whole_numbers_are_numbers_where_nothing_is_picked() -> None:
    x = np.arange(1, 9)
    found = rp.nls(lambda p, x: p["a"] * x**-2, (x, 3.0 / x**2.0), start={"a": 1.0})
    np.testing.assert_allclose(found.params["a"], 3.0, rtol=1e-12)


def test_a_linear_parameter_near_zero_is_placed() -> None:
    found = rp.nls("y ~ a + b*x", {"x": [-2.0, -1, 0, 1, 2], "y": [1.0, 1.2, 0.9, 1.2, 1.0]})
    assert found.bse["b"] > 0.04 and "does not change" not in found.message and "infinity" not in found.message


LOBLOLLY = {  # R's data set: heights (feet) of loblolly pines at six ages, with asymptote and rate by golden sections
    329: ([3.93, 9.34, 26.08, 37.79, 48.31, 56.43], 315.04, 31.8633),
    309: ([4.81, 11.20, 28.66, 41.66, 53.31, 63.05], 357.21, 26.9396),
}


@pytest.mark.parametrize("tree", LOBLOLLY)
def test_a_search_does_not_fit_rounding(tree) -> None:
    height, top, rss = LOBLOLLY[tree]
    found = rp.nls("h ~ Asym*(1 - exp(-exp(lrc)*age))", {"age": [3, 5, 10, 15, 20, 25], "h": height})
    assert found.converged
    np.testing.assert_allclose([found.params["Asym"], found.rss], [top, rss], rtol=1e-4)


def test_a_start_among_rounding_is_left() -> None:
    height, top, rss = LOBLOLLY[329]
    data = {"age": [3, 5, 10, 15, 20, 25], "h": height}
    found = rp.nls("h ~ Asym*(1 - exp(-exp(lrc)*age))", data, start={"Asym": 4.7e16, "lrc": -37.5352})
    np.testing.assert_allclose([found.params["Asym"], found.rss], [top, rss], rtol=1e-4)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("form", ["column", "array", "function", "number"])
def test_sigma_is_that_of_curve_fit(form, absolute) -> None:
    s = np.full(len(X), 0.2) if form == "number" else 0.05 * (1 + X)
    if form == "function":
        found = rp.nls(decay, (X, Y), start=START, sigma=s, absolute_sigma=absolute)
    else:
        given = {"column": "s", "array": s, "number": 0.2}[form]
        found = rp.nls(DECAY, {"x": X, "y": Y, "s": s}, start=START, sigma=given, absolute_sigma=absolute)
    curve = lambda x, a, b, c: a * np.exp(-b * x) + c  # noqa: E731
    tight = {"p0": [4, 0.7, 1], "xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
    truth, V = optimize.curve_fit(curve, X, Y, sigma=s, absolute_sigma=absolute, **tight)
    np.testing.assert_allclose(found.params[list(START)], truth, rtol=1e-6)
    np.testing.assert_allclose(found.bse[list(START)], np.sqrt(np.diag(V)), rtol=1e-4)


def test_values_that_a_start_leaves_out_are_looked_for() -> None:
    y = 3 * np.exp(-2 * X) + np.exp(-0.3 * X) + 0.001 * np.cos(9 * X)
    formula = "y ~ a*exp(-k*x) + b*exp(-m*x)"
    whole = rp.nls(formula, {"x": X, "y": y}, start={"k": 2.0, "m": 0.3})
    found = rp.nls(formula, {"x": X, "y": y}, start={"k": 2.0})
    np.testing.assert_allclose(found.params, whole.params, rtol=1e-6)
    assert "no starting value was given for m" in found.message


def test_an_update_keeps_what_applies(fit) -> None:
    held = rp.nls(DECAY, DATA, start=START, bounds={"rate": (0, 5)}, weights=1 + X)
    less = held.update("y ~ top*exp(-rate*x)")
    alone = rp.nls("y ~ top*exp(-rate*x)", DATA, start={"rate": 0.4}, weights=1 + X)
    np.testing.assert_allclose(less.params, alone.params, rtol=1e-6)
    more = fit.update(". ~ . + slope*x")
    assert more.formula == "y ~ (top*exp(-rate*x) + base) + slope*x" and "slope" in more.params
    assert more.rss < fit.rss
    same(fit.update(start={"rate": 2.0}), fit, rtol=1e-6)
    np.testing.assert_allclose(fit.update(fixed={"base": 1.0}).params["base"], 1.0)


def test_a_curve_that_explains_nothing_is_told_of(fit) -> None:
    y = 5 + 0.1 * np.random.default_rng(2).normal(size=40)
    found = rp.nls("y ~ sin(a*x)", {"x": X, "y": y})
    assert "explains no more of the response than a constant" in found.message
    assert "explains no more" not in fit.message
    assert "explains no more" not in rp.nls("y ~ a + 0*x", {"x": X, "y": y}).message


def test_a_remark_that_begins_with_a_name_keeps_its_case() -> None:
    found = rp.nls(DECAY, DATA, start=START, bounds={"rate": (0, 0.5)})
    text = str(found.summary())
    assert "rate at its upper bound" in text and "Rate at" not in text


@pytest.mark.parametrize(
    ("formula", "curve", "name", "truth"),
    [
        ("y ~ sin(a*x)", lambda x: np.sin(1.759 * x), "a", 1.759),
        ("y ~ c + A*exp(-k*x)*cos(w*x + ph)", lambda x: 2 + 4 * np.exp(-0.02 * x) * np.cos(9.0 * x + 1), "w", 9.0),
        ("y ~ c + A*sin(2*pi*(x - x0)/T)", lambda x: 1 + np.sin(2 * np.pi * (x - 1) / 1.7), "T", 1.7),
    ],
)
def test_frequencies_up_to_the_limit_of_the_sampling_are_found(formula, curve, name, truth) -> None:
    x = np.linspace(0, 100, 300)
    found = rp.nls(formula, {"x": x, "y": curve(x)})
    np.testing.assert_allclose(abs(found.params[name]), truth, rtol=1e-6)


def test_two_frequencies_at_uneven_places() -> None:
    random = np.random.default_rng(4)
    x = np.sort(random.uniform(0, 60, 150))
    y = np.sin(2.3 * x) + 0.7 * np.cos(6.1 * x) + 0.05 * random.normal(size=150)
    found = rp.nls("y ~ a*sin(u*x) + b*cos(u*x) + c*sin(v*x) + d*cos(v*x)", {"x": x, "y": y})
    np.testing.assert_allclose(np.sort(np.abs(found.params[["u", "v"]])), [2.3, 6.1], atol=0.01)


def test_a_search_that_ends_beside_a_single_row_still_starts() -> None:
    y = 3 * np.exp(-0.9 * X) + 0.5
    y[-1] += 87.0  # which exp(71 x) passes through, times 1e-184
    found = rp.nls("y ~ a*exp(-b*x) + c", {"x": X, "y": y}, loss="tukey", scale=0.03)
    np.testing.assert_allclose(found.params, [3, 0.9, 0.5], rtol=1e-6)


def test_a_step_that_no_region_bounds_is_not_proposed_for_ever():
    # Nothing in the curve depends on `at` where it ends, so that only the linear parameters are left to step in.
    rng, x = np.random.default_rng(101), np.arange(15.0)
    y = 1 + 0.3 * x + 0.25 * np.maximum(x - 8, 0) + 0.8 * rng.standard_normal(15)
    fit = rp.nls("y ~ a + b*x + c*max(x - at, 0)", {"x": x, "y": y})
    assert fit.rss < 7.2


def test_an_outlier_that_a_robust_loss_gives_up_does_not_make_the_curve_a_constant():
    x = np.linspace(0.2, 5, 20)
    y = 2 * x / (0.8 + x) + 0.02 * np.cos(7 * x * x)
    y[5] += 7
    fit = rp.nls("y ~ V*x/(K + x)", {"x": x, "y": y}, loss="tukey", scale=0.02)
    assert fit.params["V"] == pytest.approx(2, abs=0.05)
    assert not any("than a constant would" in remark for remark in fit.remarks)
