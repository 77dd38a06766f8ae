"""Features as columns: categories of every library of data frames, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

import raphson as rp
from raphson.sklearn import GLMRegressor
from raphson.sklearn.columns import Coding, Features, categorical_positions, first_columns, read_category

BIRTHS = rp.datasets.load("births")
TABLE = BIRTHS[["race", "lwt", "ftv"]]
FRAMES = {
    "text": TABLE,
    "category": TABLE.astype({"race": "category", "ftv": "category"}),
    "polars": pl.from_pandas(TABLE),
    "polars categorical": pl.from_pandas(TABLE).with_columns(pl.col("race", "ftv").cast(pl.Categorical)),
    "pyarrow": pa.Table.from_pandas(TABLE),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_the_columns_are_those_of_the_formula(kind):
    X = FRAMES[kind]
    model, fit = GLMRegressor().fit(X, BIRTHS["age"]), rp.glm("age ~ race + lwt + ftv", BIRTHS)
    if kind != "polars categorical":  # whose order is that in which polars met the levels
        assert model.get_feature_names_out().tolist() == [name for name in fit.names if name != "Intercept"]
        np.testing.assert_allclose(model.coef_, fit.params.drop("Intercept"), rtol=1e-9)
    np.testing.assert_allclose(model.predict(X), fit.predict(BIRTHS), rtol=1e-12)
    np.testing.assert_allclose(model.predict(X[:3]), fit.predict(BIRTHS[:3]), rtol=1e-12)  # which lack some levels


def test_an_enum_has_its_own_order():
    X = FRAMES["polars"].with_columns(pl.col("race").cast(pl.Enum(["white", "other", "black", "nobody"])))
    names = GLMRegressor().fit(X, BIRTHS["age"]).get_feature_names_out()
    assert names.tolist() == ["race[T.other]", "race[T.black]", "lwt", "ftv[T.1]", "ftv[T.2+]"]


def test_without_an_intercept_the_first_factor_has_all_its_levels():
    model, fit = (
        GLMRegressor(fit_intercept=False).fit(TABLE, BIRTHS["age"]),
        rp.glm("age ~ race + lwt + ftv - 1", BIRTHS),
    )
    assert model.get_feature_names_out().tolist() == list(fit.names)
    np.testing.assert_allclose(model.coef_, fit.params, rtol=1e-9)


def test_booleans_and_numbers_are_no_categories():
    X = pd.DataFrame({"x": [1.0, 2.0, 3.0], "yes": [True, False, True], "g": ["a", "b", "a"]})
    assert categorical_positions(X, "from_dtype") == [2]
    assert categorical_positions(X.to_numpy(), "from_dtype") == []
    assert categorical_positions(X, None) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("auto", "'from_dtype'"),
        (["nobody"], r"no feature 'nobody'; the names are 'race', 'lwt', 'ftv'"),
        ([7], "positions from 0 to 2; got 7"),
        ([True], "3 truth values"),
        (3.5, "'from_dtype'"),
    ],
)
def test_what_names_no_feature_is_refused(asked, message):
    with pytest.raises(rp.ModelError, match=rf"categorical_features: .*{message}"):
        GLMRegressor(categorical_features=asked).fit(TABLE, BIRTHS["age"])


def test_unknown_and_missing_levels_are_refused():
    model = GLMRegressor().fit(TABLE, BIRTHS["age"])
    with pytest.raises(rp.DataError, match="column 'race': expected the levels 'black', 'other', 'white'; got 'green'"):
        model.predict(TABLE.replace({"race": {"white": "green"}}))
    with pytest.raises(ValueError, match="'race': contains NaN"):
        model.predict(TABLE.assign(race=None))
    with pytest.raises(rp.ModelError, match="sparse matrix has only numbers"):
        read_category(scipy.sparse.eye_array(3), 0)


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array"])
def test_a_sparse_matrix_is_never_made_dense(kind, monkeypatch):
    rng = np.random.default_rng(0)
    X = getattr(scipy.sparse, kind)(scipy.sparse.random_array((2_000, 40), density=0.05, rng=rng))
    weight, y = rng.integers(0, 2, 2_000), rng.poisson(np.exp(X @ rng.normal(size=40)))
    dense = GLMRegressor("poisson").fit(X.toarray(), y, weight)
    full = dense.predict(X.toarray())

    def refused(*_, **__):
        raise AssertionError("made dense")

    for one in (scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.csr_array, scipy.sparse.csc_array):
        monkeypatch.setattr(one, "toarray", refused)
        monkeypatch.setattr(one, "todense", refused)
    model = GLMRegressor("poisson").fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, dense.coef_, rtol=1e-8)
    np.testing.assert_allclose(model.predict(X), full, rtol=1e-8)
    assert model.fit_.df_model == dense.fit_.df_model == 40  # the intercept is known to be one


def test_a_factor_of_one_level_has_no_column():
    coding = Coding(("g", "x"), {0: ("a",)}, True)
    found = read_category(pd.DataFrame({"g": ["a", "a"], "x": [1.0, 2.0]}), 0)
    assert coding.names == ["x"]
    assert coding.design(Features(np.array([[1.0], [2.0]]), {0: found})).toarray().tolist() == [[1.0, 1.0], [1.0, 2.0]]


def test_the_first_columns_of_a_design_of_parts():
    design = Coding(("x", "g"), {1: ("a", "b")}, True).design(
        Features(np.array([[1.0], [2.0]]), {1: read_category(pd.DataFrame({"x": [1, 2], "g": ["a", "b"]}), 1)})
    )
    assert first_columns(design, 3) is design
    assert first_columns(design, 2).tolist() == [[1.0, 1.0], [1.0, 2.0]]
