"""Streamed generalised linear models: the numbers of the fit in memory, and no rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.dataset as pads
import pytest

import raphson as rp
from raphson.data.arrow_files import Dataset
from raphson.data.blocks import StreamedBlocks
from raphson.errors import ConvergenceWarning, DataError, MissingDataWarning, ModelError
from raphson.model.glm.streamed import StreamedModel

N, PIECE = 1000, 256
COMPLETE = N - N // 50  # rows with an x
pytestmark = pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=N), "g": rng.choice(["a", "b", "c"], N), "w": rng.integers(1, 4, N), "off": rng.random(N)}
    )
    eta = 0.3 + 0.4 * frame["x"] + 0.5 * (frame["g"] == "b")
    frame["z"] = eta + rng.normal(size=N)
    frame["yes"] = np.where(rng.random(N) < 1 / (1 + np.exp(-eta)), "yes", "no")
    frame["hits"] = rng.binomial(frame["w"], 1 / (1 + np.exp(-eta)))
    frame["share"] = frame["hits"] / frame["w"]
    frame["count"] = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, N))
    frame["positive"] = rng.gamma(2.0, np.exp(eta) / 2.0) + 1e-6
    frame.loc[::50, "x"] = np.nan
    return frame


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "rows.parquet"
    frame.to_parquet(path, row_group_size=300)
    return path


MODELS = {
    "binomial": ("yes ~ x + g", {"family": "binomial"}),
    "trials of weights": ("yes ~ x + g", {"family": "binomial", "weights": "w"}),
    "copies of trials": ("yes ~ x + g", {"family": "binomial", "weights": "w", "weights_kind": "frequency"}),
    "probit": ("yes ~ x + g", {"family": rp.families.Binomial(link="probit"), "penalty": 2.0}),
    "quasibinomial": ("yes ~ x", {"family": "quasibinomial"}),
    "proportions": ("share ~ x", {"family": "quasibinomial"}),
    "trials": ("hits ~ x + g", {"family": "binomial", "trials": "w"}),
    "poisson": ("count ~ x + g + offset(off)", {"family": "poisson"}),
    "newton": ("count ~ x * g", {"family": "poisson", "method": "newton"}),
    "irls": ("yes ~ x", {"family": "binomial", "method": "irls"}),
    "gaussian": ("z ~ x + g", {"weights": "w"}),
    "penalty": ("z ~ x + g", {"penalty": 3.0}),
    "frequency": ("z ~ x + g", {"weights": "w", "weights_kind": "frequency"}),
    "gamma": ("positive ~ x + g", {"family": rp.families.Gamma(link="log"), "weights": "w", "dispersion": "ml"}),
    "negative binomial": ("count ~ x + g", {"family": "negative_binomial"}),
    "multinomial": ("g ~ x", {"family": "multinomial"}),
    "quasi": ("count ~ x", {"family": "quasipoisson"}),
    "no intercept": ("z ~ x - 1", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_fit_is_that_of_the_data_in_memory(name, frame, path):
    formula, keywords = MODELS[name]
    held = rp.glm(formula, frame, **keywords)
    fit = rp.glm(formula, rp.stream(path, PIECE), **keywords)
    blocks = fit._reading.state.at.asked.blocks
    assert isinstance(blocks, StreamedBlocks) and len(blocks) > 3
    assert fit.converged and fit.n_dropped == held.n_dropped == N // 50 * ("x" in formula)
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-10
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-7)
    for what in ("llf", "deviance", "null_deviance", "dispersion", "aic", "bic", "nobs", "df_resid", "df_model"):
        np.testing.assert_allclose(getattr(fit, what), getattr(held, what), rtol=1e-12, err_msg=what)
    assert fit.theta == (held.theta if held.theta is None else pytest.approx(held.theta, rel=1e-9))
    assert str(fit.summary()).splitlines()[0] == formula


@pytest.mark.parametrize("weights", [None, "w"])
def test_a_logistic_fit_reads_nothing_for_what_its_last_reading_had(weights, frame):
    readings = []

    def reader():
        readings.append(0)
        yield frame

    fit = rp.glm("yes ~ x + g", rp.stream(reader, PIECE), family="binomial", weights=weights)
    done = len(readings)
    assert np.isfinite([fit.llf, fit.deviance, fit.aic, fit.path["llf"].iloc[-1]]).all()
    assert fit.deviance == -2.0 * fit.llf and len(readings) == done


def test_a_last_step_that_was_not_read_for_leaves_the_value_known():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60_000)})
    frame["y"] = rng.random(len(frame)) < 1 / (1 + np.exp(0.3 - 0.5 * frame["x"]))
    readings = []

    def reader():
        readings.append(0)
        yield frame

    held = rp.glm("y ~ x", frame, family="binomial")
    fit = rp.glm("y ~ x", rp.stream(reader, 1024), family="binomial", start=held.params + 3e-6)
    done, last = len(readings), fit.path["distance"].iloc[-1]
    assert 1e-11 < last == fit.distance < 1e-8  # so near the maximum a step is taken without a reading
    np.testing.assert_allclose(fit.llf, held.llf, rtol=1e-14)
    assert len(readings) == done


@pytest.mark.parametrize("more", [{}, {"weights": "w"}, {"weights": "w", "weights_kind": "frequency"}])
def test_a_dispersion_that_is_no_sum_takes_one_reading(more, frame):
    readings = []

    def reader():
        readings.append(0)
        yield frame

    given = {"family": rp.families.Gamma(link="log"), **more}
    held, fit = (rp.glm("positive ~ x", data, **given) for data in (frame, rp.stream(reader, PIECE)))
    assert fit.deviance == pytest.approx(held.deviance, rel=1e-12)
    done = len(readings)
    assert fit.llf == pytest.approx(held.llf, rel=1e-13)
    assert fit.aic == pytest.approx(held.aic, rel=1e-13) and len(readings) == done + 1


def test_a_large_sample_leaves_two_readings_of_the_likelihood(monkeypatch, tmp_path):
    monkeypatch.setattr("raphson.data.sample_rows.PART_ROWS", 1_000)
    monkeypatch.setattr("raphson.data.streams.SAMPLE_ROWS", 1_000)
    rng = np.random.default_rng(1)
    n = 60_000
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=["x", "z"])
    frame["y"] = rng.random(n) < 1 / (1 + np.exp(0.3 - 0.5 * frame["x"]))
    passes = []

    class Counting(Dataset):
        def rows(self, part, columns):
            passes.append(len(columns))
            return super().rows(part, columns)

    held = rp.glm("y ~ x + z", frame, family="binomial")
    frame.to_feather(tmp_path / "rows.arrow", compression="uncompressed")
    source = Counting(pads.dataset(tmp_path / "rows.arrow", format="feather"))
    source.n_rows, source.piece_rows = n, 1024
    fit = rp.glm("y ~ x + z", source, family="binomial", tol=1e-5, executor=rp.execute.serial())
    assert fit.converged and np.abs((fit.params - held.params) / held.bse).max() < 1e-5
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-4)
    np.testing.assert_allclose([fit.llf, fit.deviance], [held.llf, held.deviance], rtol=1e-12)
    assert passes.count(3) == 3  # the first pass and two evaluations


@pytest.fixture(scope="module")
def fit(path):
    with pytest.warns(MissingDataWarning):
        return rp.glm("yes ~ x + g", rp.stream(path, PIECE), family="binomial")


def test_what_needs_no_rows_is_there(fit, frame, tmp_path):
    held = rp.glm("yes ~ x + g", frame, family="binomial")
    fit.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    new = frame.iloc[1:4]
    np.testing.assert_allclose(fit.predict(new), held.predict(new))
    np.testing.assert_allclose(loaded.predict(new), held.predict(new))
    np.testing.assert_allclose(fit.conf_int(kind="profile"), held.conf_int(kind="profile"), rtol=1e-6)
    np.testing.assert_allclose(fit.wald_test("x = 0").statistic, held.wald_test("x = 0").statistic)
    np.testing.assert_allclose(fit.information("observed"), held.information("observed"), atol=1e-10)


@pytest.mark.parametrize(
    "use",
    [
        lambda fit: fit.residuals(),
        lambda fit: fit.fittedvalues,
        lambda fit: fit.leverage,
        lambda fit: fit.predict(),
        lambda fit: fit.augment(),
        lambda fit: fit.bootstrap(10),
        lambda fit: fit.lr_test(fit),
    ],
)
def test_what_needs_the_rows_says_that_they_are_not_held(use, fit):
    with pytest.raises(DataError, match="streamed rows are not kept") as caught:
        use(fit)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "kind", "says"),
    [
        ({"method": "newton-cg"}, ModelError, "method: newton-cg keeps the curvature of every row"),
        ({"bias": "firth"}, ModelError, "bias: bias reduction needs all rows"),
        ({"family": "poisson"}, DataError, "the poisson family expects numbers"),
        ({"family": "gaussian"}, DataError, "expects numbers; got the levels"),
    ],
)
def test_what_cannot_be_streamed_is_refused(keywords, kind, says, path):
    with pytest.raises(kind, match=says):
        rp.glm("yes ~ x", rp.stream(path), **({"family": "binomial"} | keywords))


@pytest.mark.parametrize("family", ["binomial", "negative_binomial", "gaussian"])
def test_a_piece_without_weight_and_a_part_without_rows_change_nothing(family, frame, tmp_path):
    rows = frame.assign(w=np.where((frame.index >= PIECE) & (frame.index < 3 * PIECE), 0, frame["w"]))
    for number, some in enumerate((rows[:300], rows[:0], rows[300:])):
        some.to_parquet(tmp_path / f"{number}.parquet")
    formula = {"binomial": "yes ~ x + g", "negative_binomial": "count ~ x + g", "gaussian": "z ~ x + g"}[family]
    held = rp.glm(formula, rows, family=family, weights="w")
    fit = rp.glm(formula, rp.stream(tmp_path, PIECE), family=family, weights="w")
    assert fit.nobs == held.nobs and fit.status is held.status
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-9
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-7)
    with pytest.raises(DataError, match="weights: all are 0"):
        rp.glm(formula, rp.stream(tmp_path), family=family, weights="I(w * 0)")


def test_a_level_of_unusable_rows_alone_is_no_level(frame, tmp_path):
    rows = frame.assign(g=np.where(frame["x"].isna(), "only there", frame["g"]))
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    held, fit = (rp.glm("z ~ x + g", data) for data in (rows, rp.stream(tmp_path / "rows.parquet", PIECE)))
    assert fit.params.index.equals(held.params.index) and fit.n_dropped == held.n_dropped
    np.testing.assert_allclose(fit.params, held.params, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "cov"),
    [
        *(("binomial", cov) for cov in ("HC0", "HC1", "HC2", "HC3", "jackknife")),
        ("trials", "HC3"),
        ("frequency", "HC2"),
        ("gamma", "HC1"),
        ("multinomial", "HC3"),
        ("negative binomial", "HC1"),
        ("penalty", "HC0"),
    ],
)
def test_robust_covariances_are_those_of_the_data_in_memory(name, cov, frame, path):
    formula, keywords = MODELS[name]
    fit = rp.glm(formula, rp.stream(path, PIECE), cov=cov, **keywords)
    held = rp.glm(formula, frame, cov=cov, **keywords)
    np.testing.assert_allclose(fit.cov_params(), held.cov_params(), rtol=1e-9)
    later = rp.glm(formula, rp.stream(path, PIECE), **keywords).robust(cov)
    np.testing.assert_allclose(later.bse, held.bse, rtol=1e-9)


@pytest.mark.parametrize("groups", ["g", "w", "cluster"])
@pytest.mark.parametrize("small_sample", ["full", "clusters", None])
def test_clustered_covariances_are_those_of_the_data_in_memory(groups, small_sample, frame, tmp_path):
    rng = np.random.default_rng(3)
    labels = rng.choice([f"c{k}" for k in range(40)], N).astype(object)
    labels[7] = None
    frame = frame.assign(cluster=labels)
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    given = {"family": "poisson", "groups": groups, "small_sample": small_sample}
    held = rp.glm("count ~ x", frame, **given)
    fit = rp.glm("count ~ x", rp.stream(tmp_path / "rows.parquet", PIECE), **given)
    assert fit.nobs == held.nobs
    np.testing.assert_allclose(fit.cov_params(), held.cov_params(), rtol=1e-9)


def test_a_covariance_that_needs_all_rows_at_once_says_so(path):
    from raphson.inference import covariance

    spec = covariance.CovarianceSpec("whole", lambda rows: rows.sandwich())
    covariance.register(spec)
    try:
        with pytest.raises(ModelError, match="cov: 'whole' needs all rows at once"):
            _ = rp.glm("z ~ x", rp.stream(path, PIECE), cov="whole").bse
    finally:
        del covariance.COVARIANCES._parts["whole"]


def test_clusters_that_the_fit_was_not_given_are_refused(fit):
    with pytest.raises(DataError, match="streamed rows are not kept"):
        _ = fit.robust("cluster", groups="g").bse


def test_a_value_outside_the_support_is_found_in_the_last_piece(frame, tmp_path):
    bad = frame.assign(count=frame["count"].astype(float))
    bad.loc[N - 1, "count"] = -1.0
    bad.to_parquet(tmp_path / "bad.parquet", row_group_size=300)
    with pytest.raises(DataError, match="'count'"):
        rp.glm("count ~ w", rp.stream(tmp_path / "bad.parquet", PIECE), family="poisson")


@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_first_order_methods_read_passing_rows(method, frame, path):
    formula, data, weighted = (
        "yes ~ x + g + offset(off)",
        rp.stream(path, PIECE),
        {"family": "binomial", "weights": "w"},
    )
    held = rp.glm(formula, frame, **weighted)
    with pytest.warns(ConvergenceWarning, match="standard errors from the maximum"):
        fit, again = (rp.glm(formula, data, **weighted, method=method, seed=1, max_iter=20) for _ in range(2))
    moved = fit.params - held.params
    assert fit.distance < 1.0
    assert fit.distance == pytest.approx(float(np.sqrt(moved @ held.information("observed") @ moved)), rel=0.05)
    assert (again.params == fit.params).all()


def test_methods_race_over_a_stream(fit):
    race = rp.compare(fit, ["newton", "sgd"], max_iter=5)
    assert race.table.loc["newton", "distance"] < 1e-8
    assert race.table.loc["sgd", "row_gradients"] == 5 * (COMPLETE // 32) * 32


def test_large_parquet_streams_without_being_asked(path, monkeypatch):
    monkeypatch.setattr("raphson.data.sources.STREAM_BYTES", 1000)
    fit = rp.glm("z ~ x", str(path))
    assert isinstance(fit._reading.state.at.asked.blocks, StreamedBlocks) and fit.nobs == COMPLETE


def test_threads_give_the_same_bits(path):
    one = rp.glm("z ~ x + g", rp.stream(path, PIECE), executor=rp.execute.serial())
    two = rp.glm("z ~ x + g", rp.stream(path, PIECE), executor=rp.execute.threads(2))
    assert (one.params == two.params).all() and one.llf == two.llf


@pytest.fixture(scope="module")
def apart() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=N), "z": rng.normal(size=N), "g": rng.choice(["a", "b", "c"], N)})
    often = rng.random(N) < 1 / (1 + np.exp(-frame["z"]))
    frame["whole"] = (frame["x"] > 0).astype(int)
    frame["partly"] = np.where(frame["g"] == "c", 1, often)
    frame["none"] = np.where(frame["g"] == "c", 0, rng.poisson(np.exp(0.3 * frame["z"])))
    frame["steep"] = (rng.random(N) < 1 / (1 + np.exp(-30 * frame["x"]))).astype(int)
    return frame


SEPARATED = [("whole ~ x", "binomial"), ("partly ~ z + g", "binomial"), ("none ~ z + g", "poisson")]


@pytest.mark.filterwarnings("ignore::raphson.errors.SeparationWarning")
@pytest.mark.parametrize(("formula", "family"), [*SEPARATED, ("steep ~ x", "binomial")])
def test_separation_is_found_as_in_memory(formula, family, apart, tmp_path):
    apart.to_parquet(tmp_path / "apart.parquet", row_group_size=300)
    held = rp.glm(formula, apart, family=family)
    fit = rp.glm(formula, rp.stream(tmp_path / "apart.parquet", piece_rows=PIECE), family=family)
    assert fit.status is held.status
    assert np.isinf(fit.params).any() == ((formula, family) in SEPARATED)
    np.testing.assert_allclose(fit.params, held.params, rtol=1e-9)
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-9)
    assert fit.llf == pytest.approx(held.llf, rel=1e-12, abs=1e-9)
    new = apart.head(5)
    np.testing.assert_allclose(fit.predict(new), held.predict(new), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::raphson.errors.SeparationWarning")
def test_rare_rows_that_the_sample_misses_are_found_to_separate(tmp_path):
    n, rng = 300_000, np.random.default_rng(0)
    x, z = rng.normal(size=n), np.zeros(n)
    z[[1001, 150_777, 299_999]] = 1
    y = np.where(z == 1, 1.0, rng.random(n) < 1 / (1 + np.exp(-x)))
    pd.DataFrame({"x": x, "z": z, "y": y}).to_parquet(tmp_path / "rare.parquet", row_group_size=50_000)
    fit = rp.glm("y ~ x + z", rp.stream(tmp_path / "rare.parquet"), family="binomial")
    assert np.isposinf(fit.params["z"]) and fit.status == "separated"


def test_a_direction_that_separates_the_sample_alone_is_no_separation(apart, tmp_path, monkeypatch):
    # Of all rows the sample has all but the last; that one has a failure where the sample has none.
    rows = apart[["z", "g", "partly"]].copy()
    rows.loc[N] = [0.3, "c", 0]
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    held = rp.glm("partly ~ z + g", rows, family="binomial")
    whole = StreamedModel.sample.func
    monkeypatch.setattr(StreamedModel, "sample", property(lambda self: whole(self).subset(slice(0, N))))
    fit = rp.glm("partly ~ z + g", rp.stream(tmp_path / "rows.parquet"), family="binomial")
    assert (
        fit._reading.state.at.asked.sample._separation() is not None
        and fit._reading.state.at.asked._separation() is None
    )
    assert fit.converged
    np.testing.assert_allclose(fit.params, held.params, rtol=1e-9)


RARE_ROWS = [17, 503, 999]


@pytest.mark.filterwarnings("ignore::raphson.errors.SeparationWarning", "ignore::raphson.errors.RankWarning")
@pytest.mark.parametrize(
    ("formula", "family", "separated"),
    [
        ("yes ~ x + g", "quasibinomial", True),
        ("yes ~ x + z + w", "binomial", True),  # w = 2 z is aliased as well
        ("opposed ~ x + z", "binomial", False),
        ("count ~ x + z", "poisson", True),
        ("count ~ x + z", "negative_binomial", True),
        ("colour ~ x + z", "multinomial", True),
    ],
)
def test_separation_by_rows_that_the_sample_has_none_of(formula, family, separated, tmp_path, monkeypatch):
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.choice(["a", "b"], N), "z": 0.0})
    frame.loc[RARE_ROWS, ["z", "g"]] = [[1.0, "r"], [2.0, "r"], [1.0, "r"]]
    chance = 1 / (1 + np.exp(-frame["x"]))
    frame["yes"] = np.where(frame["z"] > 0, 1.0, rng.random(N) < chance)
    frame["opposed"] = np.where(np.arange(N) == RARE_ROWS[0], 0.0, frame["yes"])
    frame["count"] = np.where(frame["z"] > 0, 0.0, rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(0.4 * frame["x"]))))
    frame["colour"] = np.where(frame["z"] > 0, "red", rng.choice(["blue", "green", "red"], N))
    frame["w"] = 2.0 * frame["z"]
    frame.to_parquet(tmp_path / "rare.parquet", row_group_size=300)
    monkeypatch.setattr("raphson.data.streams.SAMPLE_ROWS", N // 10)
    held = rp.glm(formula, frame, family=family)
    fit = rp.glm(formula, rp.stream(tmp_path / "rare.parquet", piece_rows=PIECE), family=family)
    assert not np.isin(RARE_ROWS, np.arange(0, N, 10)).any()
    assert (fit.status.value == "separated") == separated == np.isinf(fit.params).any()
    np.testing.assert_allclose(fit.params, held.params, rtol=1e-8)
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-8)
    for what in ("llf", "dispersion", "df_resid", "nobs"):
        np.testing.assert_allclose(getattr(fit, what), getattr(held, what), rtol=1e-9, err_msg=what)
    if separated and family != "multinomial":
        assert fit.df_resid == N - len(RARE_ROWS) - np.isfinite(fit.bse).sum()


@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_counts_that_vary_less_than_poisson_ones_end_as_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=N), "y": rng.binomial(8, 0.5, N)})
    frame.to_parquet(tmp_path / "even.parquet", row_group_size=300)
    held = rp.glm("y ~ x", frame, family="negative_binomial")
    fit = rp.glm("y ~ x", rp.stream(tmp_path / "even.parquet", piece_rows=PIECE), family="negative_binomial")
    assert fit.status.value == held.status.value == "boundary" and fit.theta == np.inf
    np.testing.assert_allclose(fit.params, rp.glm("y ~ x", frame, family="poisson").params, rtol=1e-9)
    assert fit.llf == pytest.approx(held.llf, rel=1e-12)
