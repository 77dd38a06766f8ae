"""Data as strangers have them: extreme shapes, far starts, odd types; each number is found otherwise too."""

from __future__ import annotations

import datetime

import mpmath as mp
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import raphson as rp

RNG = np.random.default_rng(1)
X = RNG.normal(size=60)
POSITIVE = RNG.gamma(2.0, np.exp(0.2 * X))
BINARY = (RNG.random(60) < 0.5) * 1.0


@pytest.mark.parametrize("method", ["fisher-scoring", "newton", "irls"])
@pytest.mark.parametrize(
    ("family", "y", "start"),
    [
        (rp.families.Gamma(link="log"), POSITIVE, -50.0),
        (rp.families.Tweedie(1.5), POSITIVE, -50.0),
        (rp.families.InverseGaussian(link="log"), POSITIVE, -30.0),
        ("quasibinomial", BINARY, 50.0),
        ("quasibinomial", BINARY, -50.0),
    ],
    ids=["gamma", "tweedie", "inverse_gaussian", "quasibinomial", "quasibinomial below"],
)
@pytest.mark.filterwarnings("error", "ignore::UserWarning")
def test_a_start_where_the_dispersion_is_huge_is_not_called_the_maximum(family, y, start, method):
    data = {"x": X, "y": y}
    maximum = rp.glm("y ~ x", data, family=family).params
    found = rp.glm("y ~ x", data, family=family, start=[start, 0.0], method=method)
    assert not found.converged or np.allclose(found.params, maximum, atol=1e-6)


@pytest.mark.parametrize("shape", [0.05, 0.01])
@pytest.mark.filterwarnings("error")
def test_gamma_responses_of_a_hundred_orders_of_magnitude_have_a_maximum(shape):
    y = np.random.default_rng(3).gamma(shape, 1.0, size=60) + 1e-300
    fit = rp.glm("y ~ x", {"x": X, "y": y}, family=rp.families.Gamma(link="log"))
    assert fit.converged
    # At the maximum the relative residuals are orthogonal to the columns.
    relative = y / fit.fittedvalues.to_numpy() - 1.0
    assert np.abs([relative.sum(), relative @ X]).max() < 1e-6 * np.abs(relative).sum()
    with mp.workdps(40):
        ratio = [mp.mpf(a) / mp.mpf(b) for a, b in zip(y.tolist(), fit.fittedvalues.tolist(), strict=True)]
        deviance = sum(2 * (t - 1 - mp.log(t)) for t in ratio)
        k = mp.findroot(
            lambda k: 120 * (mp.log(k) - mp.digamma(k)) - deviance, (mp.mpf("1e-3"), mp.mpf(1)), solver="anderson"
        )
        llf = sum(
            k * mp.log(k * t) - mp.log(v) - k * t - mp.loggamma(k) for t, v in zip(ratio, y.tolist(), strict=True)
        )
    np.testing.assert_allclose([fit.deviance, fit.llf], [float(deviance), float(llf)], rtol=1e-12)


def test_quasibinomial_responses_of_0_and_1_are_not_said_to_be_without_error():
    assert "without error" not in rp.glm("y ~ x", {"x": X, "y": BINARY}, family="quasibinomial").message
    twice = {"x": np.tile(X, 2), "y": np.tile(BINARY, 2), "g": np.repeat(["a", "b"], 60)}
    fits = rp.glm("y ~ x", twice, family="quasibinomial", by="g")
    assert not fits.message.str.contains("without error").any()


COUNTED = pd.DataFrame(
    {"x": X[:40], "w": RNG.integers(0, 4, 40), "trials": RNG.integers(2, 8, 40), "g": np.arange(40) % 7}
)
COUNTED["count"] = RNG.poisson(np.exp(0.3 * COUNTED.x + 0.5))
COUNTED["positive"] = RNG.gamma(3.0, np.exp(0.3 * COUNTED.x) / 3.0)
COUNTED["normal"] = COUNTED.x + RNG.normal(size=40)
COUNTED["successes"] = RNG.binomial(COUNTED.trials, 0.4)
COUNTED["level"] = np.array(list("abc"))[RNG.integers(0, 3, 40)]
REPEATED = COUNTED.loc[np.repeat(COUNTED.index, COUNTED.w)].reset_index(drop=True)
FREQUENCY = {"weights": "w", "weights_kind": "frequency"}

COUNTED_MODELS = {
    "poisson": lambda data, **more: rp.glm("count ~ x", data, family="poisson", offset="normal", **more),
    "gaussian": lambda data, **more: rp.glm("normal ~ x", data, **more),
    "gamma": lambda data, **more: rp.glm("positive ~ x", data, family=rp.families.Gamma(link="log"), **more),
    "trials": lambda data, **more: rp.glm("successes ~ x", data, family="binomial", trials="trials", **more),
    "multinomial": lambda data, **more: rp.glm("level ~ x", data, family="multinomial", **more),
    "curve": lambda data, **more: rp.nls("positive ~ exp(a + b*x)", data, start={"a": 0.0, "b": 0.0}, **more),
    "huber": lambda data, **more: rp.nls(
        "positive ~ exp(a + b*x)", data, start={"a": 0.0, "b": 0.0}, loss="huber", **more
    ),
    "tukey": lambda data, **more: rp.nls(
        "positive ~ exp(a + b*x)", data, start={"a": 0.0, "b": 0.0}, loss="tukey", **more
    ),
}


@pytest.mark.parametrize("name", COUNTED_MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_copies_of_a_row_by_its_weight_are_drawn_and_tested_as_rows_are(name):
    weighted, repeated = COUNTED_MODELS[name](COUNTED, **FREQUENCY), COUNTED_MODELS[name](REPEATED)
    np.testing.assert_allclose(weighted.params, repeated.params, rtol=1e-6)
    np.testing.assert_allclose(weighted.bse, repeated.bse, rtol=1e-5)
    if name in ("huber", "tukey"):
        return
    if weighted.status != "boundary":
        draws = [fit.bootstrap(30, seed=1, kind="parametric").se for fit in (weighted, repeated)]
        np.testing.assert_allclose(*draws, rtol=1e-4)
        checks = [fit.check(100, seed=3).table.p_value for fit in (weighted, repeated)]
        pd.testing.assert_series_equal(*checks, rtol=1e-6)
    if name != "multinomial":
        left_out = [fit.loo() for fit in (weighted, repeated)]
        np.testing.assert_allclose(*[[one.elpd, one.se, one.p_loo] for one in left_out], rtol=1e-7)
    tests = [fit.information_matrix_test(bootstrap=40) for fit in (weighted, repeated)]
    assert tests[0].df == tests[1].df
    np.testing.assert_allclose(*[[one.statistic, one.p_value] for one in tests], rtol=1e-4)


def test_copies_of_a_row_need_whole_weights():
    fit = rp.glm("count ~ x", COUNTED, family="poisson", weights=COUNTED.w + 0.5, weights_kind="frequency")
    with pytest.raises(rp.ModelError, match=r"weights: expected whole frequency weights .* got 2.5"):
        fit.bootstrap(30, kind="parametric")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_scale_of_a_robust_loss_counts_copies_in_streamed_rows_too(tmp_path):
    path = tmp_path / "rows.parquet"
    COUNTED.to_parquet(path, row_group_size=15)
    fits = [COUNTED_MODELS["huber"](data, **FREQUENCY) for data in (COUNTED, rp.stream(path))]
    np.testing.assert_allclose(*[fit.params for fit in fits], rtol=1e-8)
    np.testing.assert_allclose(*[fit.dispersion for fit in fits], rtol=1e-8)


def test_the_information_matrix_test_of_a_negative_binomial_that_is_a_poisson_is_that_of_the_poisson():
    data = {"x": X, "y": np.random.default_rng(5).binomial(8, 0.4, 60)}
    fits = [rp.glm("y ~ x", data, family=family) for family in ("negative_binomial", "poisson")]
    assert fits[0].status == "boundary"
    tests = [fit.information_matrix_test(bootstrap=40) for fit in fits]
    np.testing.assert_allclose(*[[one.statistic, one.p_value] for one in tests], rtol=1e-6)


@pytest.mark.parametrize("scale", [5e-324, 1e-200, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_columns_whose_squares_are_no_numbers_are_named(scale, family):
    data = {"x": np.round(9 * X) * scale, "y": np.arange(60) % 5}
    with pytest.raises(rp.DataError, match=r"column 'x': values of up to .* measure them in other units"):
        rp.glm("y ~ x", data, family=family)


@pytest.mark.parametrize("scale", [1e-130, 1e130])
def test_columns_of_nearly_any_size_give_the_same_test(scale):
    y = np.arange(60) % 5
    fits = [rp.glm("y ~ x", {"x": X * size, "y": y}, family="poisson") for size in (1.0, scale)]
    np.testing.assert_allclose(*[fit.tvalues for fit in fits], rtol=1e-10)


def test_weights_whose_sums_are_no_numbers_are_refused():
    with pytest.raises(rp.DataError, match=r"weights: values of up to 1e-3.. have sums of squares"):
        rp.glm("y ~ x", {"x": X, "y": POSITIVE}, weights=np.full(60, 1e-320))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([datetime.date(2020, 1, 1 + i) for i in range(28)], "has type date, .* dates and times into numbers"),
        ([datetime.time(1, i) for i in range(28)], "has type time, .* dates and times into numbers"),
        (pd.period_range("2020-01", periods=28, freq="M"), "has type period, .* dates and times into numbers"),
        ([b"a", b"b"] * 14, "contains bytes; make them text"),
    ],
)
def test_objects_that_are_neither_numbers_nor_text_are_named(column, said):
    with pytest.raises(rp.DataError, match=rf"column 't' {said}"):
        rp.glm("y ~ t", pd.DataFrame({"t": column, "y": POSITIVE[:28]}))


def test_a_record_batch_is_a_table():
    batch = pa.RecordBatch.from_pydict({"x": X, "y": POSITIVE})
    np.testing.assert_array_equal(rp.glm("y ~ x", batch).params, rp.glm("y ~ x", {"x": X, "y": POSITIVE}).params)
    with pytest.raises(rp.DataError, match=r"got list; pandas.DataFrame\(data\) may make one"):
        rp.glm("y ~ x", [{"x": 1.0, "y": 2.0}])


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("x == 0", r"write I\(...\) around a comparison"),
        ("np.where(x > 0, 1, 0)", r"Did you mean I\(\(x > 0\)\*a"),
        ("np.maximum(x, 0)", r"Did you mean I\(x\*\(x > 0\)\)"),
        ('Q("x")', "a name in backticks"),
    ],
)
def test_what_others_write_in_formulas_is_told(term, said):
    with pytest.raises(rp.FormulaError, match=said):
        rp.glm(f"y ~ {term}", {"x": X, "y": POSITIVE})


@pytest.mark.parametrize("term", ["x % 2", "x // 2"])
def test_arithmetic_between_terms_is_told_of(term):
    with pytest.raises(rp.FormulaError, match=r"write I\(...\) around arithmetic, as in I\(x %|// 2\)"):
        rp.glm(f"y ~ {term}", {"x": X, "y": POSITIVE})


@pytest.mark.parametrize("arrays", [False, True])
def test_an_offset_of_new_rows_in_another_order_is_refused(arrays):
    data = pd.DataFrame({"x": X, "y": POSITIVE, "o": X * X}, index=np.arange(60) + 7)
    fit = rp.glm(data.y, data[["x"]], offset=data.o) if arrays else rp.glm("y ~ x", data, offset="o")
    new = data[["x", "o"]].head(4)
    right = fit.predict(new[["x"]] if arrays else new, offset=new.o)
    np.testing.assert_allclose(right, fit.fittedvalues.head(4))
    with pytest.raises(rp.DataError, match="offset: its index differs from that of the data"):
        fit.predict(new[["x"]] if arrays else new, offset=new.o.iloc[::-1])


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_what_is_no_seed_is_told_of(seed):
    fit = rp.glm("y ~ x", {"x": X, "y": BINARY}, family="binomial")
    asked = (
        lambda: fit.bootstrap(20, seed=seed),
        lambda: fit.simulate(2, seed=seed),
        lambda: fit.check(100, seed=seed),
        lambda: fit.information_matrix_test(bootstrap=20, seed=seed),
    )
    for ask in asked:
        with pytest.raises(rp.ModelError, match="seed: expected a whole number, 0 or more"):
            ask()


@pytest.mark.parametrize("change", [None, 3, b"x", ["x"]])
def test_an_update_by_something_else_than_a_formula_is_told_of(change):
    for fit in (rp.glm("y ~ x", {"x": X, "y": POSITIVE}), rp.mle("student_t", "y ~ x", {"x": X, "y": POSITIVE})):
        with pytest.raises(rp.RaphsonError, match=r"expected a (change|formula)"):
            fit.update(change)


@pytest.mark.parametrize("start", [None, [-50.0, 0.0]])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_groups_whose_means_begin_far_below_the_responses_are_fitted_as_by_themselves(start):
    shapes = (2.0, 0.5, 0.1, 0.05, 0.02, 0.01)
    y = np.concatenate([np.random.default_rng(i).gamma(shape, 1.0, 60) + 1e-300 for i, shape in enumerate(shapes)])
    data = pd.DataFrame({"x": np.random.default_rng(0).normal(size=360), "y": y, "g": np.repeat(np.arange(6), 60)})
    family = rp.families.Gamma(link="log")
    fits = rp.glm("y ~ x", data, family=family, by="g", start=start)
    for g, rows in data.groupby("g"):
        alone = rp.glm("y ~ x", rows, family=family).params
        assert fits.status[g] != "converged" or np.allclose(fits.params.loc[g], alone, rtol=1e-5)
    if start is None:
        assert (fits.status == "converged").all()
