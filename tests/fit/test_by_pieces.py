"""What has a value for each row, written piece by piece: the same as in memory, whole or not at all."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import DataError, MissingDataWarning, ModelError

PIECE, N = 256, 5_000  # 8 pieces are read together
READERS = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".arrow": pd.read_feather}


def made(seed=3):
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=N), rng.choice(["a", "b", "c"], N)
    count = rng.poisson(np.exp(0.3 * x + (g == "b")))
    x[[5, 700, 701, N - 1]] = np.nan
    return pd.DataFrame(
        {
            "x": x,
            "g": g,
            "yes": np.where(rng.random(N) < 1 / (1 + np.exp(-np.nan_to_num(x))), "yes", "no"),
            "kind": rng.choice(["u", "v", "w"], N),
            "count": count,
            "w": rng.integers(0, 3, N).astype(float),
            "id": np.arange(N),
            "day": pd.date_range("2020-01-01", periods=N),
        }
    )


@pytest.fixture(scope="module")
def frame():
    return made()


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    place = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame.to_parquet(place, row_group_size=300)
    return place


def both(path, frame, formula, **given):
    with pytest.warns(MissingDataWarning):
        return rp.glm(formula, rp.stream(path, PIECE), **given), rp.glm(formula, frame, **given)


@pytest.mark.parametrize(
    ("formula", "given", "ending"),
    [
        ("yes ~ x + g", {"family": "binomial"}, ".csv"),
        ("count ~ x + g", {"family": "poisson", "weights": "w", "offset": "0.1*x"}, ".parquet"),
        ("count ~ x + g", {"family": "negative_binomial"}, ".arrow"),
        ("x ~ g + w", {"weights": "w", "weights_kind": "frequency"}, ".parquet"),
        ("x ~ g + w", {"penalty": 3.0}, ".parquet"),
        ("kind ~ x", {"family": "multinomial"}, ".arrow"),
    ],
)
def test_augmented_rows_are_those_of_a_fit_in_memory(formula, given, ending, path, frame, tmp_path):
    streamed, held = both(path, frame, formula, **given)
    assert streamed.augment(to=tmp_path / f"streamed{ending}") is None
    held.augment(to=tmp_path / f"held{ending}")
    found, expected = (READERS[ending](tmp_path / f"{name}{ending}") for name in ("streamed", "held"))
    assert len(expected) == N - 4
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-9, check_dtype=False)


@pytest.mark.parametrize("asked", [{}, {"se": True, "interval": "confidence"}, {"kind": "link"}, {"missing": "drop"}])
@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_predictions_for_a_stream_are_those_in_memory(asked, path, frame, tmp_path):
    streamed, held = both(path, frame, "yes ~ x + g", family="binomial", offset="0.1*x")
    out = tmp_path / "p.parquet"
    assert held.predict(rp.stream(path, PIECE), to=out, **asked) is None
    expected = held.predict(frame, **asked)
    expected = expected.to_frame("fit") if expected.ndim == 1 else expected
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected.reset_index(drop=True), rtol=1e-12)
    held.predict(frame, to=out, **asked)  # what is in memory is written at once
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected.reset_index(drop=True))
    streamed.predict(to=out, **asked)  # the rows of the fit
    expected = held.predict(**asked)
    expected = expected.to_frame("fit") if expected.ndim == 1 else expected
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected.reset_index(drop=True), rtol=1e-6)


def test_dropped_rows_are_counted_once_and_a_piece_may_lack_usable_ones(frame, tmp_path):
    new = frame.copy()
    new.loc[8 * PIECE : 16 * PIECE - 1, "x"] = np.nan
    new.to_parquet(tmp_path / "new.parquet", row_group_size=8 * PIECE)
    fit = rp.glm("yes ~ x", frame.dropna(), family="binomial")
    source = rp.stream(tmp_path / "new.parquet", PIECE)
    with pytest.warns(MissingDataWarning) as caught:
        fit.predict(source, missing="drop", to=tmp_path / "p.csv")
    lost = int(new["x"].isna().sum())
    assert [str(one.message) for one in caught] == [f"{lost} of {N} rows dropped for missing or infinite values"]
    with pytest.warns(MissingDataWarning):
        expected = fit.predict(new, missing="drop")
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p.csv")["fit"], expected, rtol=1e-12)


def batches(frame):
    def tables():
        for start in range(0, len(frame), 1700):
            yield frame.iloc[start : start + 1700]

    return tables


def test_what_goes_wrong_in_a_late_piece_leaves_no_file(frame, tmp_path):
    fit = rp.glm("yes ~ x + g", frame.dropna(), family="binomial")
    late = frame.dropna().copy()
    late.loc[N - 3, "g"] = "d"
    out = tmp_path / "p.parquet"
    with pytest.raises(DataError, match=r"data, among the rows 4097 to 4996: .*'d'"):
        fit.predict(rp.stream(batches(late), PIECE), to=out)
    with pytest.raises(DataError, match="offset: expected a column's name, an expression of columns or a number"):
        fit.predict(rp.stream(batches(late), PIECE), to=out, offset=np.zeros(N))
    with pytest.raises(DataError, match=r"expected one of the endings"):
        fit.predict(rp.stream(batches(late), PIECE), to=tmp_path / "p.xlsx")
    with pytest.raises(DataError, match="none of 4996 rows can be used"):
        fit.predict(rp.stream(batches(frame.dropna().assign(x=np.nan)), PIECE), to=out, missing="drop")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_gives_other_rows_is_found_and_leaves_no_file(frame, tmp_path):
    readings = 0

    def tables():
        nonlocal readings
        readings += 1
        rows = frame.dropna()
        yield rows if readings < changed_from else rows.iloc[:-1]

    changed_from = 10**6
    fit = rp.glm("yes ~ x", rp.stream(tables, PIECE), family="binomial")
    changed_from = 0
    with pytest.raises(DataError, match="a second reading gave other rows"):
        fit.augment(to=tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_column_of_another_type_is_named(frame, tmp_path):
    rows = frame.dropna()

    def tables():
        yield rows.iloc[:cut].assign(note=1)
        yield rows.iloc[cut:].assign(note="text")

    cut = PIECE * 8
    fit = rp.glm("yes ~ x", rp.stream(tables, PIECE), family="binomial")
    with pytest.raises(DataError, match=r"column 'note' has the type .*string, and in the rows before int64"):
        fit.augment(to=tmp_path / "rows.parquet")
    cut = 100
    with pytest.raises(DataError, match=r"a column has values of several types .*column note with type object"):
        fit.augment(to=tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


def test_separated_rows_are_those_of_a_fit_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=N), rng.choice(["a", "b"], N)
    frame = pd.DataFrame({"x": x, "g": g, "y": np.where(g == "b", 1.0, rng.random(N) < 0.4)})
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.warns(rp.SeparationWarning):
        streamed = rp.glm("y ~ x + g", rp.stream(tmp_path / "rows.parquet", PIECE), family="binomial")
        held = rp.glm("y ~ x + g", frame, family="binomial")
    streamed.augment(to=tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "out.parquet"), held.augment(), rtol=1e-6, atol=1e-9, check_dtype=False
    )


def test_a_likelihood_says_that_it_has_no_residuals_and_predicts(frame, tmp_path):
    fit = rp.mle("zero_inflated_poisson", "count ~ g", frame)
    with pytest.raises(ModelError, match="a likelihood has no mean of its own"):
        fit.augment(to=tmp_path / "rows.csv")
    fit.predict(rp.stream(batches(frame), PIECE), to=tmp_path / "p.csv")
    expected = fit.predict(frame)
    found = pd.read_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(found.to_numpy().ravel(), expected.to_numpy().ravel(), rtol=1e-12)


def test_a_streamed_likelihood_predicts_its_own_rows_and_its_source_alike(frame, tmp_path):
    source, out = rp.stream(batches(frame), PIECE), tmp_path / "p.parquet"
    fit = rp.mle("zero_inflated_poisson", "count ~ g", source)
    expected = fit.predict(frame, kind="response")
    for new in (None, source):
        fit.predict(new, kind="response", to=out)
        np.testing.assert_allclose(pd.read_parquet(out)["fit"], expected, rtol=1e-10)


@pytest.mark.parametrize("missing_first", [False, True])
def test_text_that_the_fit_did_not_read_has_the_codes_of_all_rows(missing_first, tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=N), "y": rng.poisson(2.0, N)})
    frame["g"] = np.where(np.arange(N) < N // 2, "b", rng.choice(["a", "c"], N))  # the first pieces lack "a"
    if missing_first:
        frame.loc[: 8 * PIECE, "g"] = None

    def poisson(params, row):
        eta = params["a"] + params["b"] * row.x
        return row.y * eta - jnp.exp(eta)

    def by_group(params, row):
        return params["a"] + 10.0 * row.g

    start, out, source = {"a": 0.0, "b": 0.0}, tmp_path / "p.parquet", rp.stream(batches(frame), PIECE)
    held = rp.mle(poisson, frame, start=start)
    expected = held.predict(frame, function=by_group)
    for fit, new in ((held, source), (rp.mle(poisson, source, start=start), None)):
        fit.predict(new, function=by_group, to=out)
        np.testing.assert_allclose(pd.read_parquet(out)["fit"], expected, rtol=1e-6)


def test_text_that_the_fit_did_not_read_is_coded_by_the_levels_of_its_data_wherever_it_is_predicted(tmp_path):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=N), "y": rng.poisson(2.0, N), "g": rng.choice(["a", "b", "c"], N)})

    def poisson(params, row):
        eta = params["a"] + params["b"] * row.x
        return row.y * eta - jnp.exp(eta)

    def by_group(params, row):
        return 10.0 * row.g + 0.0 * params["a"]

    def by_other(params, row):
        return 10.0 * row.other + 0.0 * params["a"]

    start, source, out = {"a": 0.0, "b": 0.0}, rp.stream(batches(frame), PIECE), tmp_path / "p.parquet"
    new = pd.DataFrame({"x": 0.0, "g": ["c", "b", "z", None, "c"], "other": ["v", "u", "v", "u", "w"]})
    held = rp.mle(poisson, frame, start=start)
    for fit in (held, rp.mle(poisson, source, start=start)):
        assert fit.predict(new, function=by_group).tolist()[:2] == [20.0, 10.0]
        np.testing.assert_array_equal(fit.predict(new, function=by_group), [20.0, 10.0, np.nan, np.nan, 20.0])
        assert fit.predict(new, function=by_other).tolist() == [
            10.0,
            0.0,
            10.0,
            0.0,
            20.0,
        ]  # its data have no such text
        fit.predict(rp.stream(batches(new), PIECE), function=by_group, to=out)
        np.testing.assert_array_equal(pd.read_parquet(out)["fit"], [20.0, 10.0, np.nan, np.nan, 20.0])
    held.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    with pytest.raises(rp.ModelError, match="function: reads 'g', whose levels a loaded fit does not know"):
        loaded.predict(new, function=by_group)
    new["g"] = [2.0, 1.0, 0.0, 0.0, 2.0]
    assert loaded.predict(new, function=by_group).tolist()[:2] == [20.0, 10.0]
