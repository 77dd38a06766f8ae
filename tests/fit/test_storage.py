"""Designs held in 32 bits: the maximum of the rounded design, and what the rounding is said to have cost."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raphson as rp
from raphson.data.factor_design import FactorDesign
from raphson.data.pieced_design import SingleDesign
from raphson.errors import SeparationWarning

N = 20_000


@pytest.fixture(autouse=True, scope="module")
def few_numbers():
    """Small designs are held in 32 bits too."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("arrays", "design", "matrices"):
            patch.setattr(f"raphson.data.{module}.FEWEST", 0)
        yield


def problem(family="binomial", n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=n), 50.0 + rng.normal(size=n), rng.uniform(size=n)])
    eta = X[:, 1] * 0.4 - 0.3 * (X[:, 2] - 50.0) + 0.2
    return X, {
        "binomial": lambda: (rng.uniform(size=n) < 1.0 / (1.0 + np.exp(-eta))).astype(float),
        "gaussian": lambda: eta + rng.normal(size=n),
        "poisson": lambda: rng.poisson(np.exp(eta)).astype(float),
        "negative_binomial": lambda: rng.negative_binomial(2, 2.0 / (2.0 + np.exp(eta))).astype(float),
        "multinomial": lambda: np.array(list("abc"))[np.clip(eta + rng.logistic(size=n) + 1, 0, 2.9).astype(int)],
    }[family]()


def design_of(fit):
    """The design of a fit as it is held."""
    return fit._reading.state.at.asked.data.X


def in_errors(fit, other):
    """How far two fits are apart: in the metric of the information, and the coefficient that is furthest."""
    d = (fit.params - other.params).to_numpy()
    return math.sqrt(d @ np.asarray(other.information()) @ d), np.abs(d / other.bse.to_numpy()).max()


@pytest.mark.parametrize("options", [{}, {"method": "irls"}, {"method": "newton-cg"}, {"cov": "HC3"}, {"penalty": 3.0}])
@pytest.mark.parametrize("family", ["binomial", "gaussian", "poisson", "negative_binomial", "multinomial"])
def test_the_estimate_is_the_maximum_of_the_rounded_design(family, options):
    if family == "multinomial" and options.get("method") == "irls":
        options = {"method": "bhhh"}
    X, y = problem(family)
    weights = np.random.default_rng(1).uniform(size=N)
    weights[::7] = 0.0
    given = {"family": family, "weights": weights, "offset": 0.1 * X[:, 3], **options}
    fit = rp.glm(y, X, storage="float32", **given)
    held = design_of(fit)
    assert isinstance(held, SingleDesign)
    assert held.exact is None  # it would keep the user's array alive
    same, exact = rp.glm(y, held.toarray(), **given), rp.glm(y, X, **given)
    assert np.abs((fit.params - same.params) / same.bse).max() < 1e-11
    np.testing.assert_allclose(fit.bse, same.bse, rtol=1e-8)
    assert (fit.status, fit.llf) == (same.status, pytest.approx(same.llf, rel=1e-13))
    joint, single = in_errors(fit, exact)
    if "cov" not in options:  # the cost is in model-based standard errors
        assert single <= 1.01 * fit.storage.cost
    if "penalty" not in options:
        assert fit.storage.cost == pytest.approx(joint, rel=0.05)
    assert 0 < fit.storage.cost < 1e-5
    left = -np.log10(np.abs(fit.params / exact.params - 1.0).to_numpy().max())
    assert fit.storage.digits == pytest.approx(left, abs=0.02)
    pd.testing.assert_series_equal(fit.fittedvalues, same.fittedvalues, rtol=1e-10) if family != "multinomial" else None


@settings(max_examples=25, deadline=None)
@given(
    gap=st.floats(-9.0, 0.0),
    centre=st.sampled_from([0.0, 3.0, 1e3, 1.7e9]),
    family=st.sampled_from(["gaussian", "binomial"]),
    signal=st.sampled_from([0.0, 1.0, 1e3]),
    seed=st.integers(0, 10**6),
)
def test_the_cost_is_no_less_than_the_true_one(gap, centre, family, signal, seed):
    rng = np.random.default_rng(seed)
    n = 3_000
    a, b = rng.normal(size=(2, n))
    X = np.column_stack(
        [np.ones(n), a, a + 10.0**gap * b, centre + (3.0 + 1e-3 * centre) * rng.normal(size=n), rng.integers(0, 3, n)]
    )
    eta = signal * a if family == "gaussian" else 0.5 * a
    y = eta + rng.normal(size=n) if family == "gaussian" else (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))) * 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit, exact = rp.glm(y, X, family=family, storage="float32"), rp.glm(y, X, family=family)
    d = (fit.params - exact.params).to_numpy()
    mean = exact.fittedvalues.to_numpy()
    W = mean * (1.0 - mean) if family == "binomial" else 1.0 / exact.dispersion
    # The columns of a timestamp and of ones nearly cancel: Xd is known to more digits than the information is.
    joint, single = math.sqrt(np.sum(W * (X @ d) ** 2)), np.abs(d / exact.bse.to_numpy()).max()
    stated = fit.storage.cost
    # Beyond what Newton's step from the one maximum to the other says there are terms of the second order.
    assert single <= 1.01 * joint + 1e-9
    assert joint <= (1.03 + joint) * stated + 1e-9
    if gap > -5.0:
        assert stated <= 1.05 * joint + 1e-9  # not a bound that is far too large


@pytest.mark.parametrize(("gap", "said"), [(1e-6, "moved the estimates by up to"), (1e-8, "cannot be told from")])
def test_a_loss_that_shows_is_a_warning_that_names_a_column(gap, said):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 2))
    data = {"x": x[:, 0], "z": x[:, 0] + gap * x[:, 1], "y": x[:, 0] + 0.3 * rng.normal(size=N)}
    with pytest.warns(UserWarning, match=f"storage: .*{said}.*leave storage= out") as seen:
        fit = rp.glm("y ~ x + z", data, storage="float32")
    assert "'x'" in str(seen[0].message) or "'z'" in str(seen[0].message)
    assert fit.storage.cost > 0.01
    assert math.isinf(fit.storage.cost) == (said == "cannot be told from")
    assert fit.storage.column in ("x", "z")


def test_a_combination_of_other_columns_is_not_claimed_to_be_determined():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 2))
    data = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 0] + x[:, 1], "y": rng.normal(size=N)}
    with pytest.warns(UserWarning, match="cannot be told from a combination of the other columns"):
        assert math.isinf(rp.glm("y ~ a + b + c", data, storage="float32").storage.cost)


def test_formulas_are_held_in_32_bits_with_rows_missing():
    X, y = problem()
    frame = pd.DataFrame(X[:, 1:], columns=["a", "b", "c"]).assign(y=y, g=np.arange(N) % 3)
    frame.loc[::11, "a"] = np.nan
    formula = "y ~ a*b + log(c) + C(g)"
    with pytest.warns(rp.MissingDataWarning):
        fit = rp.glm(formula, frame, family="binomial", storage="float32")
    with pytest.warns(rp.MissingDataWarning):
        exact = rp.glm(formula, frame, family="binomial")
    assert isinstance(design_of(fit), SingleDesign)
    np.testing.assert_allclose(design_of(fit).toarray(), design_of(exact), rtol=1e-7)
    joint, _ = in_errors(fit, exact)
    assert fit.storage.cost == pytest.approx(joint, rel=0.05)
    assert fit.n_dropped == exact.n_dropped
    new = frame[:50].fillna(1.0)
    np.testing.assert_allclose(fit.predict(new), exact.predict(new), rtol=1e-6)
    assert fit.drop1().shape == exact.drop1().shape
    assert fit.update(". ~ . - a:b").storage.held == "float32"
    np.testing.assert_allclose(fit.robust("cluster", "g").bse, exact.robust("cluster", "g").bse, rtol=1e-5)
    np.testing.assert_allclose(fit.cooks_distance, exact.cooks_distance, rtol=1e-4, atol=1e-12)
    assert len(fit.augment()) == fit.nobs


def test_arrays_of_singles_are_held_as_they_are_and_watched():
    X, y = problem(n=200_000)
    X = X.astype(np.float32)
    fit = rp.glm(y, X, family="binomial", storage="float32")
    assert design_of(fit).numbers is X
    assert fit.storage == rp.fit.storage.Storage("float32")
    same = rp.glm(y, X, family="binomial")
    assert np.abs((fit.params - same.params) / same.bse).max() < 1e-11
    assert fit.storage.cost == 0.0
    X[5, 1] += 1.0
    with pytest.raises(rp.DataError, match="X was changed in place"):
        fit.residuals()
    X[5, 1] = np.nan
    with pytest.warns(rp.MissingDataWarning):
        assert rp.glm(y, X, family="binomial", storage="float32").nobs == 199_999


@pytest.mark.parametrize("kind", [np.float16, np.int32, np.int64, bool])
def test_other_numbers_and_orders_are_rounded_from_what_they_are(kind):
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.integers(0, 2**30 if kind in (np.int32, np.int64) else 2, (N, 3)).astype(kind))
    y = rng.normal(size=N)
    fit, exact = rp.glm(y, X, storage="float32"), rp.glm(y, X)
    assert isinstance(design_of(fit), SingleDesign)
    joint, _ = in_errors(fit, exact)
    assert fit.storage.cost == pytest.approx(joint, rel=0.05, abs=1e-11)


def test_frames_of_singles_are_held_as_they_are():
    X, y = problem()
    frame = pd.DataFrame(X.astype(np.float32), columns=list("abcd"))
    fit, exact = rp.glm(y, frame, family="binomial", storage="float32"), rp.glm(y, frame, family="binomial")
    assert isinstance(design_of(fit), SingleDesign)
    assert np.abs((fit.params - exact.params) / exact.bse).max() < 1e-11
    assert str(fit.storage) == "float32, without rounding"


@pytest.mark.parametrize("family", ["binomial", "multinomial"])
def test_any_number_of_threads_gives_the_same_bits(family):
    X, y = problem(family, n=60_000)
    fits = [
        rp.glm(y, X, family=family, storage="float32", executor=executor)
        for executor in (rp.execute.serial(), rp.execute.threads(2), rp.execute.threads(5))
    ]
    for fit in fits[1:]:
        assert (fit.params == fits[0].params).all()
        assert (fit.bse == fits[0].bse).all()
        assert fit.storage == fits[0].storage


def test_separated_columns_are_not_mistaken_for_combinations():
    X, y = problem()
    X[:, 3] = 0.0
    X[:9, 3], y[:9] = 1.1, 1.0
    with pytest.warns(SeparationWarning):
        fit = rp.glm(y, X, family="binomial", storage="float32")
    assert fit.params.iloc[3] == math.inf
    assert 0 < fit.storage.cost < 1e-5


def test_what_has_no_dense_numbers_is_exact():
    X, y = problem()
    rng = np.random.default_rng(0)
    factors = {"y": y, "g": rng.choice(list("abcdefgh"), N), "h": rng.choice(list("pqrst"), N)}
    import scipy.sparse

    for fit in (
        rp.glm("y ~ g*h", factors, family="binomial", storage="float32"),
        rp.glm(y, scipy.sparse.csc_matrix(X), family="binomial", storage="float32"),
    ):
        assert str(fit.storage) == "float64, without rounding"
        assert fit.summary().text.count("float64 (exact)") == 1
    fits = rp.glm(y, X, family="binomial", storage="float32", by=np.arange(N) % 3)
    assert fits.params.equals(rp.glm(y, X, family="binomial", by=np.arange(N) % 3).params)


def test_streamed_rows_are_not_held_and_exact(tmp_path):
    X, y = problem(n=3_000)
    frame = pd.DataFrame(X[:, 1:], columns=["a", "b", "c"]).assign(y=y)
    frame.to_parquet(tmp_path / "x.parquet")
    source = rp.stream(tmp_path / "x.parquet")
    fit = rp.glm("y ~ a + b + c", source, family="binomial", storage="float32", checkpoint=tmp_path / "fit.ckpt")
    same = rp.glm("y ~ a + b + c", source, family="binomial", checkpoint=tmp_path / "fit.ckpt")
    assert fit.params.equals(same.params)
    assert str(fit.storage) == "float64, without rounding"


def test_the_statement_is_in_the_summary_and_in_a_saved_fit(tmp_path):
    X, y = problem()
    fit = rp.glm(y, X, family="binomial", storage="float32")
    assert f"float32 (cost {fit.storage.cost:.1e} SE)" in fit.summary().text
    fit.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    assert loaded.storage == fit.storage
    assert str(loaded.storage).startswith("float32, whose rounding cost ")
    assert "Storage" not in rp.glm(y, X, family="binomial").summary().text


def test_an_unknown_storage_is_refused():
    X, y = problem(n=50)
    with pytest.raises(rp.ModelError, match="storage: expected one of float64, float32; got 'float16'"):
        rp.glm(y, X, storage="float16")


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_columns_beside_many_levels_are_held_in_32_bits(family):
    X, y = problem(family)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(X[:, 1:], columns=["a", "b", "c"]).assign(
        y=y, g=rng.integers(0, 60, N), h=rng.integers(0, 9, N)
    )
    frame.loc[5, "a"] = np.nan
    formula = "y ~ a + b + c:a + C(g) + C(h) + c:C(h)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rp.MissingDataWarning)
        fit, exact = (rp.glm(formula, frame, family=family, storage=held) for held in ("float32", "float64"))
    X32, X64 = design_of(fit), design_of(exact)
    assert isinstance(X64, FactorDesign)
    assert isinstance(X32.dense, SingleDesign)
    np.testing.assert_allclose(X32.toarray(), X64.toarray(), rtol=1e-7)
    names = list(fit.params.index)
    same = rp.glm(exact._reading.state.at.asked.y, X32.toarray(), names=names, family=family)
    assert np.abs((fit.params - same.params) / same.bse).max() < 1e-11
    np.testing.assert_allclose(fit.robust("HC1").bse, same.robust("HC1").bse, rtol=1e-8)
    joint, single = in_errors(fit, exact)
    assert single <= fit.storage.cost == pytest.approx(joint, rel=0.05)
    assert fit.storage.column in ("b", "a", "a:c", "c:a")
    assert fit.drop1().shape == exact.drop1().shape


@pytest.mark.parametrize(
    ("density", "formulas", "options"),
    [
        ("zero_inflated_poisson", {"mean": "y ~ a + b", "zero": "~ a"}, {}),
        ("zero_inflated_poisson", {"mean": "y ~ a + b", "zero": "~ a + b"}, {"penalty": 2.0, "cov": "HC1"}),
        ("tobit", {"mean": "t ~ a*b", "sigma": "~ a"}, {}),
        ("ordered_logit", {"location": "level ~ a + b"}, {}),
    ],
)
def test_likelihoods_hold_every_design_in_32_bits(density, formulas, options):
    X, y = problem("poisson")
    y[::3] = 0.0
    level = pd.Categorical.from_codes(np.minimum(y, 2).astype(int), ["low", "mid", "high"], ordered=True)
    frame = pd.DataFrame({"a": X[:, 1], "b": X[:, 2], "y": y, "t": np.maximum(X[:, 1] + y - 1.0, 0.0), "level": level})
    fit, exact = (rp.mle(density, formulas, frame, storage=held, **options) for held in ("float32", "float64"))
    there, wanted = (one._reading.state.at.asked.matrices for one in (fit, exact))
    for held, X64 in zip(there, wanted, strict=True):
        if isinstance(held, SingleDesign):  # a design of ones has nothing to round
            np.testing.assert_allclose(held.toarray(), X64, rtol=1e-7)
            assert held.exact is None
    assert sum(isinstance(one, SingleDesign) for one in there) == len(
        {one.rpartition("~")[2] for one in formulas.values()}
    )
    same = rp.newton.estimate.estimate(
        fit._reading.state.at.asked.with_matrices([np.asarray(one) for one in there]),
        rp.newton.estimate.Options(rp.newton.methods.METHODS["newton"]),
    )
    assert np.abs((fit.params.to_numpy() - same.result.theta) / fit.bse.to_numpy()).max() < 1e-9
    joint, single = in_errors(fit, exact)
    if not options:
        assert single <= 1.01 * fit.storage.cost
        assert fit.storage.cost == pytest.approx(joint, rel=0.1)
    assert 0 < fit.storage.cost < 1e-5
    assert fit.storage.column in fit.params.index
    new = frame[:20]
    np.testing.assert_allclose(fit.predict(new), exact.predict(new), rtol=1e-5, atol=1e-7)


def test_the_general_form_has_no_design_to_hold():
    _, y = problem("gaussian")
    fit = rp.mle(lambda at, row: -0.5 * (row.y - at["mu"]) ** 2, {"y": y}, start={"mu": 0.0}, storage="float32")
    assert str(fit.storage) == "float64, without rounding"
