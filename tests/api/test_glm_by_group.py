"""One model for every group of the rows: each group's numbers and words are those of a fit of its own rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.api import glm_by_group
from raphson.errors import (
    ConvergenceWarning,
    DataError,
    MissingDataWarning,
    ModelError,
    RankWarning,
    SeparationWarning,
)

GROUPS = ("a", "b", "c", "d", "e", "f", "g")


def table(seed: int = 0, sizes: tuple[int, ...] = (40, 40, 25, 60, 33, 41, 80)) -> pd.DataFrame:
    """Groups of several sizes, with a response for each family."""
    rng = np.random.default_rng(seed)
    g = np.repeat(GROUPS, sizes)
    n = len(g)
    x, z = rng.normal(size=(2, n))
    eta = 0.3 + 0.5 * x - 0.3 * z + 0.2 * np.repeat(rng.normal(size=len(sizes)), sizes)
    mean = 1 / (1 + np.exp(-eta))
    size = rng.integers(2, 9, n)
    return pd.DataFrame(
        {
            "g": g,
            "x": x,
            "z": z,
            "size": size,
            "w": rng.uniform(0.5, 2.0, n) * (rng.random(n) > 0.1),
            "times": rng.integers(0, 4, n),
            "t": rng.uniform(-0.5, 0.5, n),
            "real": eta + rng.normal(size=n),
            "binary": (rng.random(n) < mean).astype(float),
            "successes": rng.binomial(size, mean),
            "count": rng.poisson(np.exp(eta)),
            "wide": rng.poisson(np.exp(eta) * rng.gamma(1.0, 1.0, n)),
            "positive": np.exp(eta) * rng.gamma(4.0, 0.25, n),
        }
    )


KINDS = {
    "gaussian": ("real", {"family": "gaussian"}),
    "logistic": ("binary", {"family": "binomial"}),
    "trials": ("successes", {"family": "binomial", "trials": "size"}),
    "poisson": ("count", {"family": "poisson"}),
    "overdispersed": ("wide", {"family": "poisson"}),
    "gamma, log": ("positive", {"family": rp.families.Gamma(link="log")}),
    "quasipoisson": ("wide", {"family": "quasipoisson"}),
    "quasibinomial": ("successes", {"family": "quasibinomial", "trials": "size"}),
}
OPTIONS = {
    "plain": {},
    "weights": {"weights": "w"},
    "frequencies": {"weights": "times", "weights_kind": "frequency"},
    "offset": {"offset": "t"},
    "observed": {"information": "observed"},
    "start": {"start": [0.1, 0.0, 0.0]},
    "dispersion": {"dispersion": 1.0},
}


def quietly(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rp.glm(*args, **options)


def assert_each_is_a_fit_of_its_own(fits, formula, data, **options) -> None:
    for label in fits.labels:
        alone = quietly(formula, data[data["g"] == label], **options)
        errors = np.where(np.isfinite(alone.bse) & (alone.bse > 0), alone.bse, 1.0)
        assert fits.status[label] == alone.status and fits.message[label] == alone.message
        np.testing.assert_allclose(fits.params.loc[label] / errors, alone.params / errors, rtol=0, atol=1e-8)
        np.testing.assert_allclose(fits.bse.loc[label], alone.bse, rtol=1e-8)
        interval = fits.conf_int().loc[label].to_numpy().reshape(-1, 2)
        np.testing.assert_allclose(interval, alone.conf_int().to_numpy(), rtol=1e-7, atol=1e-8)
        for name in ("dispersion", "deviance", "nobs", "df_resid"):
            np.testing.assert_allclose(getattr(fits, name)[label], getattr(alone, name), rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", OPTIONS)
def test_each_group_is_a_fit_of_its_own_rows(kind, option, monkeypatch) -> None:
    response, family = KINDS[kind]
    data, formula, options = table(), f"{response} ~ x + z", family | OPTIONS[option]
    by_itself = []
    put = glm_by_group._put_single
    monkeypatch.setattr(glm_by_group, "_put_single", lambda *args: (by_itself.append(args[1]), put(*args)))
    assert_each_is_a_fit_of_its_own(quietly(formula, data, by="g", **options), formula, data, **options)
    assert len(by_itself) <= 1  # nearly all of them come from the batch


@pytest.mark.parametrize(
    "options",
    [
        {"family": "binomial", "cov": "HC1"},
        {"family": "binomial", "penalty": 1.0},
        {"family": "binomial", "bias": "firth"},
        {"family": rp.families.Binomial(link="probit")},
        {"family": "binomial", "method": "newton-cg"},
        {"family": "binomial", "max_iter": 2},
        {"family": "binomial", "information": "opg"},
        {"family": "binomial", "cov": "cluster", "groups": "times"},
        {"family": "gaussian", "dispersion": "ml"},
        {"family": "binomial", "weights": "w", "weights_kind": "sampling"},
    ],
    ids=str,
)
def test_what_no_batch_serves_is_fitted_group_by_group(options) -> None:
    data = table()
    data = data[data["g"].isin(["a", "d"])]
    fits = quietly("binary ~ x + z", data, by="g", **options)
    assert_each_is_a_fit_of_its_own(fits, "binary ~ x + z", data, **options)


def test_groups_may_be_in_any_order_and_any_size_or_given_as_an_array() -> None:
    data = table()
    sorted_fits = rp.glm("binary ~ x + z", data, family="binomial", by="g")
    mixed = data.sample(frac=1.0, random_state=1)
    other = rp.glm("binary ~ x + z", mixed, family="binomial", by="g")
    pd.testing.assert_frame_equal(other.params.loc[sorted_fits.labels], sorted_fits.params, rtol=1e-10)
    X = np.column_stack([np.ones(len(mixed)), mixed[["x", "z"]]])
    for by in (mixed["g"].to_numpy(), mixed["g"].tolist(), mixed["g"].map(dict(zip(GROUPS, range(7), strict=True)))):
        arrays = rp.glm(mixed["binary"].to_numpy(), X, family="binomial", by=np.asarray(by))
        np.testing.assert_allclose(arrays.params.sort_index(), sorted_fits.params, rtol=1e-10)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    data = table(sizes=(300, 300, 300, 300, 300, 300, 300))
    one, two = (
        rp.glm("count ~ x + z", data, family="poisson", by="g", executor=executor)
        for executor in (rp.execute.serial(), rp.execute.threads(2))
    )
    assert (one.params.to_numpy() == two.params.to_numpy()).all() and (one.bse.to_numpy() == two.bse.to_numpy()).all()


def test_groups_that_cannot_be_fitted_like_the_others_are_named_and_stop_none() -> None:
    data = table()
    data["kind"] = np.resize(["p", "q", "r"], len(data))
    data.loc[(data["g"] == "b") & (data["kind"] == "q"), "kind"] = "r"  # lacks a level
    data.loc[(data["g"] == "f") & (data["kind"] == "p"), "kind"] = "r"  # lacks the reference level
    data.loc[data["g"] == "c", "binary"] = (data["x"] > 0.1).astype(float)  # separated
    data.loc[data["g"] == "d", "binary"] = 1.0  # constant
    data = data[(data["g"] != "e") | (data.groupby("g").cumcount() < 3)]  # too small
    formula = "binary ~ x + kind"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fits = rp.glm(formula, data, family="binomial", by="g")
    said = {one.category: str(one.message) for one in caught}
    assert "in 2 of 7 groups, such as 'c'" in said[SeparationWarning]
    assert "in 1 of 7 groups, such as 'e', the fit did not converge (refused)" in said[ConvergenceWarning]
    assert "in 2 of 7 groups, such as 'b'" in said[RankWarning]
    wanted = dict(zip(GROUPS, ["converged"] * 2 + ["separated"] * 2 + ["refused"] + ["converged"] * 2, strict=True))
    assert fits.status.to_dict() == wanted
    assert fits.converged.to_dict() == {label: status == "converged" for label, status in wanted.items()}
    assert "expected at least as many rows as coefficients; got 3 rows and 4" in fits.message["e"]
    assert "no row has kind = 'q'" in fits.message["b"] and "aliased" in fits.message["b"]
    assert "no row has kind = 'p'" in fits.message["f"]
    assert "all 60 values are equal (1)" in fits.message["d"] and "infinite" in fits.message["d"]
    assert np.isinf(fits.params.loc["c", "x"]) and np.isnan(fits.params.loc["b", "kind[T.q]"])
    assert fits.params.loc["e"].isna().all() and fits.bse.loc["e"].isna().all()
    for label in ("a", "c", "d", "g"):
        alone = quietly(formula, data[data["g"] == label], family="binomial")
        np.testing.assert_allclose(fits.params.loc[label], alone.params, rtol=1e-7)
        assert fits.message[label].startswith(alone.message)
    # A level that is missing leaves the other coefficients those of a fit without it.
    alone = quietly(formula, data[data["g"] == "b"], family="binomial")
    np.testing.assert_allclose(fits.params.loc["b", alone.params.index], alone.params, rtol=1e-7)
    np.testing.assert_allclose(fits.bse.loc["b", alone.params.index], alone.bse, rtol=1e-7)


def test_constant_responses_have_no_spread() -> None:
    data = table()
    data.loc[data["g"] == "b", "real"] = 2.5
    fits = quietly("real ~ x", data, by="g")
    assert "all 40 values are equal (2.5)" in fits.message["b"] and "without error" in fits.message["b"]
    assert fits.params.loc["b", "Intercept"] == pytest.approx(2.5) and fits.message["a"].startswith(
        "the estimate is at"
    )


def test_aliased_and_nearly_aliased_columns() -> None:
    data = table()
    data["twin"] = data["z"]
    data.loc[data["g"] == "b", "twin"] = 2.0 * data["x"] + 1.0
    data.loc[data["g"] == "c", "twin"] = data["x"] + 1e-5 * data["z"]
    with pytest.warns(RankWarning, match=r"in 1 of 7 groups, such as 'b', some columns are linear combinations"):
        fits = rp.glm("real ~ x + twin", data, by="g")
    assert_each_is_a_fit_of_its_own(fits, "real ~ x + twin", data)


def test_a_large_count_and_a_far_offset_are_left_to_the_loop() -> None:
    data = table()
    data["far"] = np.where(data["g"] == "d", 30.0, 0.0)
    data.loc[data["g"] == "b", "count"] = data["count"] * 10**7
    options = {"family": "poisson", "offset": "far"}
    assert_each_is_a_fit_of_its_own(quietly("count ~ x", data, by="g", **options), "count ~ x", data, **options)


def test_rows_with_missing_values_are_dropped_and_so_are_those_without_a_group() -> None:
    data = table()
    data.loc[[3, 50], "x"] = np.nan
    data.loc[4, "g"] = None
    with pytest.warns(MissingDataWarning, match=r"3 of 319 rows dropped for missing values in x, g"):
        fits = rp.glm("binary ~ x + z", data, family="binomial", by="g")
    assert fits.nobs["a"] == 38 and fits.nobs["b"] == 39 and len(fits) == 7
    assert_each_is_a_fit_of_its_own(fits, "binary ~ x + z", data.dropna(), family="binomial")
    with pytest.raises(DataError, match="missing values in x"):
        rp.glm("binary ~ x", data, family="binomial", by="g", missing="raise")


def test_a_group_is_a_full_fit() -> None:
    data = table()
    fits = rp.glm("binary ~ x + z", data.to_dict("list"), family="binomial", by="g")
    fit = fits["d"]
    alone = rp.glm("binary ~ x + z", data[data["g"] == "d"], family="binomial")
    assert isinstance(fit, rp.Fit) and fit.summary() is not None
    np.testing.assert_array_equal(fit.params, alone.params)
    assert list(fit.fittedvalues.index) == list(alone.fittedvalues.index)
    with pytest.raises(DataError, match="group: expected the label of a group"):
        fits["z"]


def test_a_dot_leaves_the_column_of_the_groups_out() -> None:
    fits = rp.glm("real ~ .", table()[["real", "x", "g"]], by="g")
    assert fits.names == ("Intercept", "x")


def test_what_is_refused_says_what_to_do() -> None:
    data = table()
    with pytest.raises(ModelError, match=r"by: the negative_binomial family has more parameters .*; give theta="):
        rp.glm("count ~ x", data, family="negative_binomial", by="g")
    with pytest.raises(ModelError, match=r"by: the multinomial family has .*; fit each group by itself"):
        rp.glm("g ~ x", data, family="multinomial", by="times")
    with pytest.raises(DataError, match=r"by: column 'h' is not in the data"):
        rp.glm("real ~ x", data, by="h")
    with pytest.raises(DataError, match=r"by: expected the group of each row, as y and X are arrays"):
        rp.glm(data["real"].to_numpy(), data[["x"]].to_numpy(), by="g")
    with pytest.raises(DataError, match=r"by: expected 319 labels"):
        rp.glm("real ~ x", data, by=[1, 2])
    known = rp.families.NegativeBinomial(theta=2.0)
    assert quietly("count ~ x", data, family=known, by="g").converged.all()


def test_data_changed_since_are_not_fitted_again() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(200_000), rng.normal(size=200_000)])
    y, by = X[:, 1] + rng.normal(size=200_000), np.arange(200_000) // 50_000
    fits = rp.glm(y, X, by=by)
    y[:] = 0.0
    with pytest.raises(DataError, match="was changed in place after the fit"):
        fits[0]
