"""Many curves at once: each as if it were fitted alone, and each with a status of its own."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import ConvergenceWarning, DataError, ModelError, RankWarning

rng = np.random.default_rng(3)
X = np.linspace(0.0, 5.0, 25)
RATES = np.array([0.4, 0.9, 1.7, 2.5])
Y = np.array([2 + k for k in range(4)])[:, None] * np.exp(-RATES[:, None] * X) + 0.02 * rng.normal(size=(4, 25))
LONG = pd.DataFrame({"x": np.tile(X, 4), "y": Y.ravel(), "plant": np.repeat(["a", "b", "c", "d"], 25)})
CURVE, START = "y ~ top*exp(-rate*x)", {"top": 2.0, "rate": 1.0}


def decay(params, x):
    return params["top"] * jnp.exp(-params["rate"] * x)


@pytest.fixture(scope="module")
def fits() -> rp.Fits:
    return rp.nls(CURVE, LONG, start=START, by="plant")


def test_each_is_the_fit_of_its_own_rows(fits) -> None:
    assert fits.converged.all() and list(fits.params.index) == ["a", "b", "c", "d"]
    for name in fits.labels:
        alone = rp.nls(CURVE, LONG[LONG["plant"] == name], start=START)
        np.testing.assert_allclose(fits.params.loc[name, alone.params.index], alone.params, rtol=1e-9)
        np.testing.assert_allclose(fits.bse.loc[name, alone.params.index], alone.bse, rtol=1e-6)
        np.testing.assert_allclose(fits.rss[name], alone.rss, rtol=1e-9)
        interval = fits.conf_int().loc[name]
        np.testing.assert_allclose(interval["rate"], alone.conf_int().loc["rate"], rtol=1e-6)
        again = fits[name]
        np.testing.assert_allclose(again.params, alone.params, rtol=1e-9)


def test_a_group_knows_its_rows_among_those_of_all() -> None:
    of_a_dict = rp.nls(CURVE, LONG.to_dict("list"), start=START, by="plant")
    assert list(of_a_dict["b"].fittedvalues.index) == list(range(25, 50))


def test_rows_of_an_array_are_curves(fits) -> None:
    wide = rp.nls(decay, (X, Y), start=START)
    np.testing.assert_allclose(wide.params[["top", "rate"]], fits.params[["top", "rate"]], rtol=1e-9)
    np.testing.assert_allclose(wide.bse[["top", "rate"]], fits.bse[["top", "rate"]], rtol=1e-6)
    assert wide.labels == [0, 1, 2, 3]


def test_groups_of_any_size_in_any_order(fits) -> None:
    some = LONG.sample(frac=1.0, random_state=0)
    shuffled = rp.nls(CURVE, some, start=START, by="plant")
    np.testing.assert_allclose(shuffled.params.sort_index(), fits.params, rtol=1e-9)
    kept = LONG.drop(index=range(5, 20))
    uneven = rp.nls(CURVE, kept, start=START, by="plant")
    assert uneven.nobs.tolist() == [10, 25, 25, 25]
    np.testing.assert_allclose(uneven.params.loc["b":], fits.params.loc["b":], rtol=1e-9)


def test_conditionally_linear_parameters_need_no_start(fits) -> None:
    np.testing.assert_allclose(rp.nls(CURVE, LONG, start={"rate": 1.0}, by="plant").params, fits.params, rtol=1e-8)


def test_fixed_parameters_and_bounds() -> None:
    fits = rp.nls(CURVE, LONG, start={"rate": 1.0}, fixed={"top": 3.0}, by="plant")
    assert (fits.params["top"] == 3.0).all() and fits.bse["top"].isna().all() and (fits.df_resid == 24).all()
    bounded = rp.nls(CURVE, LONG, start=START, bounds={"rate": (0, 1.0)}, by="plant")
    assert (bounded.params["rate"] <= 1.0).all() and np.isnan(bounded.bse.loc["d", "rate"])


def test_a_curve_that_fails_leaves_the_others_alone(fits) -> None:
    # From a start where the curve falls, no step finds growth by 19 orders of magnitude.
    data = LONG.assign(y=np.where(LONG["plant"] == "c", np.exp(9.0 * LONG["x"]), LONG["y"]))
    with pytest.warns(ConvergenceWarning, match="1 of 4 groups did not converge"):
        found = rp.nls(CURVE, data, start=START, by="plant")
    assert found.converged.to_dict() == {"a": True, "b": True, "c": False, "d": True}
    assert found.bse.loc["c"].isna().all() and found.status["c"] != "converged" and found.message["c"]
    rest = ["a", "b", "d"]
    np.testing.assert_allclose(found.params.loc[rest], fits.params.loc[rest], rtol=1e-9)
    assert "1 of 4 groups" in found.failures


def test_one_start_for_curves_of_many_scales() -> None:
    rates = 10.0 ** np.linspace(-2, 2, 30)
    x = np.linspace(0, 5, 40)[None] / rates[:, None]
    y = 3.0 * np.exp(-rates[:, None] * x) + 0.01 * np.random.default_rng(1).normal(size=x.shape)
    data = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "g": np.repeat(np.arange(30), 40)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = rp.nls(CURVE, data, start=START, by="g")
    good = found.converged & (abs(np.log(found.params["rate"] / rates)) < 0.1)
    assert good.mean() > 0.6  # a start four orders of magnitude away is too far for some
    assert (good | ~found.converged | (found.rss > 0.1)).all()


def test_tables(fits) -> None:
    tidy = fits.tidy()
    assert list(tidy.columns)[:4] == ["group", "term", "estimate", "std_error"] and len(tidy) == 8
    assert len(fits) == 4 and fits.glance().loc["a", "status"] == "converged"
    assert repr(fits).startswith("4 fits (4 converged)")
    np.testing.assert_allclose(fits.residual_sd**2 * fits.df_resid, fits.rss)


def test_errors(fits) -> None:
    with pytest.raises(DataError, match=r"group: expected the label of a group, such as .*; got 'z'"):
        fits["z"]
    with pytest.raises(ModelError, match="many curves are fitted by plain least squares"):
        rp.nls(CURVE, LONG, start=START, by="plant", loss="huber")
    with pytest.raises(ModelError, match="give y two dimensions"):
        rp.nls(decay, (X, Y), start=START, by="plant")
    missing = Y.copy()
    missing[0, 0] = np.nan
    with pytest.raises(DataError, match="expected no missing values"):
        rp.nls(decay, (X, missing), start=START)


def test_what_the_data_leave_open_is_said_of_each_group() -> None:
    some = LONG[LONG["plant"].isin(["a", "b"])]
    with pytest.warns(RankWarning, match="in 2 of 2 groups the data do not determine all parameters"):
        fits = rp.nls("y ~ top*exp(shift - rate*x)", some, start={"top": 2.0, "shift": 0.1, "rate": 1.0}, by="plant")
    assert fits.message.str.contains("do not determine all parameters").all()


def test_groups_too_small_or_without_noise_say_so() -> None:
    steady = pd.DataFrame({"x": X, "y": 5.0, "plant": "steady"})
    small = LONG[LONG["plant"] == "a"].head(2).assign(plant="small")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = rp.nls("y ~ low + top*exp(-rate*x)", pd.concat([LONG, steady, small]), start={"rate": 1.0}, by="plant")
    assert "2 rows cannot determine 3 parameters" in fits.message["small"]
    assert "up to rounding" in fits.message["steady"] and "up to rounding" not in fits.message["a"]


def test_rows_are_predicted_by_the_curves_of_their_groups(fits, tmp_path) -> None:
    new = LONG.iloc[[3, 90, 40, 4]].assign(plant=["a", "d", "b", "a"]).drop(columns="y")
    asked = {"se": True, "interval": "prediction", "level": 0.9}
    fits.save(tmp_path / "fits.json")
    for one in (fits, rp.load(tmp_path / "fits.json")):
        table = one.predict(new, **asked)
        assert list(table.index) == [3, 90, 40, 4]
        for label in "abd":
            alone = fits[label].predict(new[new["plant"] == label], **asked)
            pd.testing.assert_frame_equal(table[new["plant"] == label], alone, rtol=1e-6)
        assert one.predict(new).tolist() == table["fit"].tolist()
        lacking = one.predict(new.assign(plant=["a", None, "b", "a"], x=[np.nan, 1.0, 1.0, 1.0]))
        assert np.isnan(lacking).tolist() == [True, True, False, False]
        with pytest.raises(DataError, match=r"predict: expected labels of groups, such as .*; got 'z'"):
            one.predict(new.assign(plant="z"))
        with pytest.raises(DataError, match="expected the column 'plant' of the groups; got x"):
            one.predict({"x": [1.0]})


def test_a_loaded_one_has_its_numbers_but_no_data(fits, tmp_path) -> None:
    fits.save(tmp_path / "fits.json")
    loaded = rp.load(tmp_path / "fits.json")
    for name in ("params", "bse", "rss", "distance", "message", "nobs"):
        assert getattr(loaded, name).equals(getattr(fits, name)), name
    pd.testing.assert_frame_equal(loaded.tidy(), fits.tidy())
    with pytest.raises(DataError, match="does not have the data"):
        loaded["a"]
    loaded.report(tmp_path / "page.html")
    assert "<h1>" in (tmp_path / "page.html").read_text()
