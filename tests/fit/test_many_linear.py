"""Tables of generalised linear models: their names, their predictions, and what is kept of them."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import DataError, ModelError
from raphson.fit.many import Fits

rng = np.random.default_rng(4)
N = 240
DATA = pd.DataFrame({"g": np.repeat(["a", "b", "c", "d"], N // 4), "x": rng.normal(size=N), "t": rng.uniform(-1, 0, N)})
DATA["y"] = (rng.random(N) < 1 / (1 + np.exp(-DATA["x"]))).astype(float)
DATA["z"] = DATA["x"] + rng.normal(size=N)
DATA.loc[DATA["g"] == "c", "y"] = (DATA["x"] > 0).astype(float)  # separated


@pytest.fixture(scope="module")
def fits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rp.glm("y ~ x", DATA, family="binomial", offset="t", by="g")


def test_it_is_a_table_with_a_row_for_each_group(fits) -> None:
    assert isinstance(fits, Fits) and len(fits) == 4 and list(fits.params.index) == list("abcd")
    assert list(fits.glance().columns)[:4] == ["status", "converged", "n_iter", "nobs"]
    tidy = fits.tidy()
    assert list(tidy.columns)[:4] == ["group", "term", "estimate", "std_error"] and len(tidy) == 8
    assert repr(fits).startswith("4 fits (3 converged, 1 separated)")
    assert (fits.dispersion == 1.0).all() and (fits.n_iter > 0).all() and (fits.distance[fits.converged] <= 1e-8).all()


def test_names_that_only_curves_have_say_what_to_use(fits) -> None:
    with pytest.raises(ModelError, match=r"rss: it is of curves; .* deviance and dispersion"):
        fits.rss  # noqa: B018
    with pytest.raises(ModelError, match="residual_sd: it is of curves"):
        fits.residual_sd  # noqa: B018


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_rows_are_predicted_by_the_fits_of_their_groups(family, tmp_path) -> None:
    response = {"binomial": "y", "gaussian": "z"}[family]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = rp.glm(f"{response} ~ x", DATA, family=family, offset="t", by="g")
        fits.save(tmp_path / "fits.json")
        loaded = rp.load(tmp_path / "fits.json")
        new = DATA.iloc[[3, 200, 130, 70]].drop(columns=["y", "z"])
        interval = "prediction" if family == "gaussian" else "confidence"
        for one in (fits, loaded):
            table = one.predict(new, se=True, interval=interval)
            assert list(table.index) == [3, 200, 130, 70]
            for label in "abcd":
                alone = fits[label].predict(new[new["g"] == label], se=True, interval=interval)
                pd.testing.assert_frame_equal(table[new["g"] == label], alone, rtol=1e-7)
            assert one.predict(new, kind="link").isna().sum() == 0


def test_a_loaded_table_says_all_that_the_first_one_does(fits, tmp_path) -> None:
    fits.save(tmp_path / "fits.json")
    loaded = rp.load(tmp_path / "fits.json")
    for name in ("params", "bse"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(fits, name))
    for name in ("status", "message", "nobs", "df_resid", "deviance", "dispersion", "distance", "n_iter", "converged"):
        pd.testing.assert_series_equal(getattr(loaded, name), getattr(fits, name))
    pd.testing.assert_frame_equal(loaded.conf_int(), fits.conf_int())
    with pytest.raises(DataError, match="a loaded fit of many groups does not have the data"):
        loaded["a"]


def test_a_file_that_is_not_whole_is_refused(fits, tmp_path) -> None:
    from raphson.fit import file

    fits.save(tmp_path / "fits.json")
    body = file.read(tmp_path / "fits.json", lambda body: body)
    for broken in ({"message": ["x"]}, {"use_t": 1}, {"names": ["Intercept", "w"]}, {"found": {}}):
        file.write(body | broken, tmp_path / "broken.json")
        with pytest.raises(DataError):
            rp.load(tmp_path / "broken.json")
    assert json.loads((tmp_path / "fits.json").read_text())["fit"]["by"] == "g"


def test_groups_that_were_given_as_an_array_have_no_column_to_predict_by(tmp_path) -> None:
    fits = rp.glm("z ~ x", DATA, by=DATA["g"].to_numpy())
    with pytest.raises(ModelError, match="predict: the groups have no column that new data could name"):
        fits.predict(DATA)
    with pytest.raises(ModelError, match="save: expected groups by a column"):
        fits.save(tmp_path / "fits.json")


def test_it_can_be_pickled(fits) -> None:
    again = pickle.loads(pickle.dumps(fits))  # noqa: S301
    pd.testing.assert_frame_equal(again.params, fits.params)
    np.testing.assert_allclose(again["a"].params, fits.params.loc["a"], rtol=1e-10)
    assert again.message.tolist() == fits.message.tolist()
