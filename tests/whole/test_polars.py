"""Who brings polars gets polars back, at every door; the numbers are those of pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import raphson as rp

pytestmark = pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning", "ignore::raphson.ConvergenceWarning")

BIRTHS = rp.datasets.load("births")
BIRTHS.loc[3, "lwt"] = np.nan
THEIRS = pl.from_pandas(BIRTHS)
DOORS = {
    "glm": lambda data: rp.glm("low ~ lwt + race", data, family="binomial"),
    "levels": lambda data: rp.glm("race ~ lwt", data, family="multinomial"),
    "nls": lambda data: rp.nls("lwt ~ a + b*age", data, start={"a": 1.0, "b": 1.0}),
    "mle": lambda data: rp.mle("student_t", "lwt ~ age", data),
    "network": lambda data: rp.network("lwt ~ age", data, hidden=(3,), epochs=2, validation=0.1, progress=False),
    "arrays": lambda data: rp.glm(BIRTHS["low"].to_numpy(), data[["age", "lwt"]]),
}
BY_ROW = ("fittedvalues", "leverage", "cooks_distance", "dfbetas", "covariates", "residuals", "augment", "predict")
TABLES = ("tidy", "glance")


def called(fit, name):
    """What a fit has by a name; None if it has not."""
    try:
        found = getattr(fit, name)
        return found() if callable(found) else found
    except (AttributeError, rp.ModelError):
        return None


@pytest.mark.parametrize("door", DOORS)
def test_what_has_a_value_for_each_row_is_in_polars(door):
    ours, theirs = DOORS[door](BIRTHS), DOORS[door](THEIRS)
    for name in BY_ROW + TABLES:
        plain, found = called(ours, name), called(theirs, name)
        if plain is None:
            assert found is None
            continue
        if isinstance(plain, pd.Series):
            assert isinstance(found, pl.Series) and found.name in (name, "fit")
            np.testing.assert_array_equal(found.to_numpy(), plain.to_numpy())
            continue
        assert isinstance(found, pl.DataFrame) and found.columns == list(plain.columns)
        numbers = plain.select_dtypes("number").columns
        np.testing.assert_array_equal(found.select(list(numbers)).to_numpy(), plain[numbers].to_numpy())
    if door == "mle":
        assert isinstance(theirs.residuals("quantile"), pl.Series)
    for name in ("params", "bse", "pvalues"):
        pd.testing.assert_series_equal(getattr(theirs, name), getattr(ours, name))


def test_new_data_decide_for_predictions():
    ours, theirs = DOORS["glm"](BIRTHS), DOORS["glm"](THEIRS)
    assert isinstance(ours.predict(THEIRS), pl.Series) and isinstance(theirs.predict(BIRTHS), pd.Series)
    band = ours.predict(THEIRS, interval="confidence")
    assert isinstance(band, pl.DataFrame) and band.columns == ["fit", "lower", "upper"]
    assert np.isnan(band["fit"][3])  # a row with a missing value, in its place
    assert isinstance(theirs.predict({"lwt": [100], "race": ["white"]}), pl.Series)
    assert isinstance(ours.predict(pa.Table.from_pandas(BIRTHS)), pa.ChunkedArray)


def test_augment_leaves_the_columns_as_they_were():
    races = pl.Enum(["white", "black", "other"])
    data = THEIRS.with_columns(pl.col("race").cast(races))
    found = rp.glm("low ~ lwt + race", data.lazy(), family="binomial").augment()
    assert found["race"].dtype == races
    assert found.drop([".fitted", ".resid", ".std_resid", ".hat", ".cooksd"]).equals(data.filter(pl.col("lwt") > 0))


def test_leave_one_out_is_in_polars_and_adds_up():
    ours, theirs = DOORS["glm"](BIRTHS).loo(), DOORS["glm"](THEIRS).loo()
    assert isinstance(theirs.pointwise, pl.Series) and isinstance(theirs.estimates, pl.DataFrame)
    assert (theirs.elpd, theirs.se) == (ours.elpd, ours.se)


@pytest.mark.parametrize("door", [rp.glm, rp.nls])
def test_fits_of_groups(door):
    formula = {"glm": "lwt ~ age", "nls": "lwt ~ a + b*age"}[door.__name__]
    ours, theirs = door(formula, BIRTHS, by="race"), door(formula, THEIRS, by="race")
    assert isinstance(theirs.params, pd.DataFrame)
    assert theirs.tidy().equals(pl.from_pandas(ours.tidy()))
    assert theirs.glance()["group"].to_list() == ours.labels
    np.testing.assert_array_equal(theirs.predict(THEIRS).to_numpy(), ours.predict(BIRTHS).to_numpy())
    assert isinstance(theirs["white"].fittedvalues, pl.Series)


def test_reports_and_files_are_the_same(tmp_path):
    ours, theirs = DOORS["glm"](BIRTHS), DOORS["glm"](THEIRS)
    for number, fit in enumerate((ours, theirs)):
        fit.augment(tmp_path / f"augmented{number}.csv")
        fit.predict(to=tmp_path / f"predicted{number}.csv")
        fit.plot_residuals()
        fit.plot_effects()
    for name in ("augmented", "predicted"):
        assert (tmp_path / f"{name}0.csv").read_text("utf-8") == (tmp_path / f"{name}1.csv").read_text("utf-8")
    curve = DOORS["nls"](THEIRS)
    curve.plot()
    curve.report(tmp_path / "curve.html")
    assert (tmp_path / "curve.html").exists()


def test_categories_of_polars_are_in_the_order_of_the_alphabet_however_the_rows_are_ordered():
    frame = pl.DataFrame({"g": list("cabcab"), "y": [1.0, 2.0, 4.0, 1.5, 2.5, 3.0]})
    frame = frame.with_columns(pl.col("g").cast(pl.Categorical))
    expected = ("Intercept", "g[T.b]", "g[T.c]")
    ways = [frame, frame.reverse(), frame.lazy(), rp.stream(lambda: iter([frame.head(3), frame.tail(3)]))]
    assert [rp.glm("y ~ g", way).names for way in ways] == [expected] * 4
    declared = frame.with_columns(pl.col("g").cast(pl.Enum(["b", "c", "a"])))
    assert rp.glm("y ~ g", declared).names == ("Intercept", "g[T.c]", "g[T.a]")
