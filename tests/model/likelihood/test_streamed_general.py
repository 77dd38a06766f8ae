"""The general form of a likelihood over streamed rows: the numbers of the fit in memory, from the columns it reads."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.special import logsumexp

import raphson as rp
from raphson.data.blocks import StreamedBlocks
from raphson.data.sources import Source
from raphson.errors import ConvergenceError, DataError, ModelError

N, PIECE = 1500, 256
pytestmark = pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.choice(["b", "a"], N), "w": rng.integers(0, 4, N)})
    frame.loc[N - 40 :, "g"] = "late"  # a level that the last piece alone has
    frame["k"] = frame["g"].map({"a": 0, "b": 1, "late": 2})
    frame["y"] = 0.3 + 0.4 * frame["x"] + 0.5 * (frame["g"] == "b") + rng.normal(size=N)
    frame["two"] = np.where(rng.random(N) < 0.4, rng.normal(-2, 0.7, N), rng.normal(2, 1.2, N))
    time, end = rng.weibull(1.5, N) * np.exp(0.3 * frame["x"]), rng.exponential(3.0, N)
    frame["time"], frame["seen"] = np.minimum(time, end), time <= end
    frame.loc[::50, "x"] = np.nan
    frame.loc[13, "g"] = None
    return frame


@pytest.fixture(scope="module")
def files(frame, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("general")
    for number, start in enumerate(range(0, N, 550)):
        frame.iloc[start : start + 550].to_parquet(folder / f"{number}.parquet", row_group_size=400)
    return str(folder / "*.parquet")


class Tables:
    """A reader of one's own, with a matrix."""

    def __init__(self, frame: pd.DataFrame, step: int = 173) -> None:
        used = frame.dropna(subset="x")
        X = np.column_stack([np.ones(len(used)), used["x"], used["x"] ** 2])
        self.columns = {"X": X, "Z": X[:, :2], "y": used["y"].to_numpy(), "w": used["w"].to_numpy()}
        self.step = step

    def __iter__(self):
        for start in range(0, len(self.columns["y"]), self.step):
            yield {name: values[start : start + self.step] for name, values in self.columns.items()}


def normal(params, row):
    z = (row.y - row.X @ params["beta"]) * jnp.exp(-params["log_sigma"])
    return -0.5 * z**2 - params["log_sigma"]


def scaled(params, row):
    log_sigma = row.Z @ params["gamma"]
    return -0.5 * ((row.y - row.X @ params["beta"]) * jnp.exp(-log_sigma)) ** 2 - log_sigma


def levels(params, row):
    return -0.5 * (row.y - params["level"][row.g] - params["slope"] * row.x) ** 2


def numbers(params, row):
    return -0.5 * (row.y - params["level"][row.k] - params["slope"] * row["x"]) ** 2


def weibull(params, row):
    scale, shape = params["a"] + params["b"] * row.x, jnp.exp(params["log_shape"])
    z = shape * (jnp.log(row.time) - scale)
    return row.seen * (params["log_shape"] + z - jnp.log(row.time)) - jnp.exp(z)


def mixture(params, row):
    share = params["logit"]
    parts = [
        log_share - 0.5 * ((row.two - mean) * jnp.exp(-log_sigma)) ** 2 - log_sigma
        for log_share, mean, log_sigma in zip(
            (-jnp.logaddexp(0.0, share), -jnp.logaddexp(0.0, -share)), params["mean"], params["log_sigma"], strict=True
        )
    ]
    return logsumexp(jnp.stack(parts))


def curved(params, row):
    return -0.5 * (row.y - params["a"] * jnp.exp(params["b"] * row.x)) ** 2


MATRICES = {
    "normal": (normal, {"beta": np.zeros(3), "log_sigma": 0.0}, {}),
    "weights": (normal, {"beta": np.zeros(3), "log_sigma": 0.0}, {"weights": "w", "weights_kind": "frequency"}),
    "two designs": (scaled, {"beta": np.zeros(3), "gamma": np.zeros(2)}, {"weights": "w"}),
    "penalty": (normal, {"beta": np.zeros(3), "log_sigma": 0.0}, {"penalty": [0.0, 5.0, 5.0, 0.0]}),
}
FRAMES = {
    "text": (levels, {"level": np.zeros(3), "slope": 0.0}, {}),
    "whole numbers": (numbers, {"level": np.zeros(3), "slope": 0.0}, {"groups": "g", "cov": "cluster"}),
    "weibull": (weibull, {"a": 0.0, "b": 0.0, "log_shape": 0.0}, {"cov": "HC1"}),
    "mixture": (mixture, {"logit": 0.0, "mean": [-1.0, 1.0], "log_sigma": [0.0, 0.0]}, {}),
    "every parameter": (curved, {"a": 0.5, "b": 0.5}, {"method": "bhhh"}),
}


def agree(fit, held) -> None:
    blocks = fit._reading.state.at.asked.blocks
    assert isinstance(blocks, StreamedBlocks) and len(blocks) > 4
    assert fit.status == held.status and fit.converged and fit.n_dropped == held.n_dropped
    assert fit.assembly == held.assembly
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-8
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-6)
    for what in ("llf", "aic", "bic", "nobs", "df_resid", "df_model"):
        np.testing.assert_allclose(getattr(fit, what), getattr(held, what), rtol=1e-11, err_msg=what)
    assert str(fit.summary()).splitlines()[0] == str(held.summary()).splitlines()[0]


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_of_a_reader_are_fitted_as_in_memory(name, frame):
    loglik, start, more = MATRICES[name]
    tables = Tables(frame)
    weights = {"weights": tables.columns["w"]} if "weights" in more else {}
    held = rp.mle(loglik, tables.columns, start=start, **more | weights)
    agree(rp.mle(loglik, rp.stream(tables, PIECE), start=start, **more), held)


@pytest.mark.parametrize("name", FRAMES)
def test_several_files_are_fitted_as_in_memory(name, frame, files):
    loglik, start, more = FRAMES[name]
    agree(
        rp.mle(loglik, rp.stream(files, PIECE), start=start, **more),
        rp.mle(loglik, frame, start=start, **more),
    )


def test_a_reader_is_streamed_without_being_told(frame):
    fit = rp.mle(normal, Tables(frame), start=MATRICES["normal"][1])
    assert isinstance(fit._reading.state.at.asked.blocks, StreamedBlocks)


def test_only_the_columns_that_the_function_reads_are_read(files, monkeypatch):
    asked: set[str] = set()
    read = Source.read

    def noted(self, part, columns, rows=None):
        asked.update(columns)
        return read(self, part, columns, rows)

    monkeypatch.setattr(Source, "read", noted)
    rp.mle(weibull, rp.stream(files, PIECE), start=FRAMES["weibull"][1])
    assert asked == {"x", "time", "seen"}


def test_tests_profiles_and_functions_read_the_rows_again(frame, files):
    loglik, start, _ = FRAMES["weibull"]
    held, fit = (rp.mle(loglik, data, start=start) for data in (frame, rp.stream(files, PIECE)))
    np.testing.assert_allclose(fit.conf_int(kind="profile"), held.conf_int(kind="profile"), rtol=1e-6)
    np.testing.assert_allclose(fit.wald_test("b = 0").statistic, held.wald_test("b = 0").statistic)
    np.testing.assert_allclose(fit.robust("HC0").bse, held.robust("HC0").bse, rtol=1e-6)
    one = fit.delta(lambda p: jnp.exp(p["log_shape"]))
    np.testing.assert_allclose(one.se, held.delta(lambda p: jnp.exp(p["log_shape"])).se, rtol=1e-6)


def test_the_index_beyond_a_parameter_names_its_row_among_all(frame, files):
    start = {"level": np.zeros(2), "slope": 0.0}
    with pytest.raises(ModelError, match=r"index 2 is beyond the end of 'level'.* in row 1460 "):
        rp.mle(numbers, frame, start=start)
    with pytest.raises(ModelError, match=r"index 2 is beyond the end of 'level'.* in row 1460 "):
        rp.mle(numbers, rp.stream(files, PIECE), start=start)


@pytest.mark.parametrize(
    ("more", "kind", "says"),
    [
        ({"weights": np.ones(N)}, DataError, "weights: expected a column's name"),
        ({"groups": np.ones(N)}, DataError, "groups: expected a column's name"),
        ({"bias": "firth"}, ModelError, "bias: bias reduction needs all rows in memory"),
        ({"method": "newton-cg"}, ModelError, "keeps the curvature of every row"),
        ({"columns": {"x": "y"}}, ModelError, "gets its columns as row.name"),
        ({"start": None}, ModelError, "start: expected a dict"),
        ({"missing": "raise"}, DataError, r"missing values in x, in 30 of 1500 rows"),
        ({"weights": "x - x"}, DataError, "weights: all are 0"),
        ({"weights": "w - 1"}, DataError, "weights: expected numbers of 0 or more"),
    ],
)
def test_what_cannot_be_fitted_is_refused(more, kind, says, files):
    loglik, start, _ = FRAMES["weibull"]
    with pytest.raises(kind, match=says):
        rp.mle(loglik, rp.stream(files, PIECE), **{"start": start} | more)


def test_a_column_that_is_not_there_is_named(files):
    with pytest.raises(DataError, match="'nothing'"):
        rp.mle(lambda p, row: p["a"] * row.nothing, rp.stream(files, PIECE), start={"a": 0.0})


def test_a_matrix_that_changes_its_width_is_refused(frame):
    class Ragged(Tables):
        def __iter__(self):
            for number, table in enumerate(super().__iter__()):
                yield table if number < 4 else {**table, "X": table["X"][:, :2]}

    with pytest.raises(DataError, match=r"column 'X' has 3 numbers and 2 numbers in a row"):
        rp.mle(normal, rp.stream(Ragged(frame, 256), PIECE), start=MATRICES["normal"][1])


def test_other_rows_at_a_second_reading_are_refused(frame):
    class Changing(Tables):
        times = 0

        def __iter__(self):
            self.times += 1
            for table in super().__iter__():
                yield {**table, "X": table["X"] + (self.times > 6) * np.array([0.0, 1e-3, -1e-3])}

    with pytest.raises(DataError, match=r"a second reading gave other rows than the first .other values of 'X'"):
        rp.mle(normal, rp.stream(Changing(frame), PIECE), start=MATRICES["normal"][1])


def plain(params, row):
    """Not traceable: a branch, text, and Python's math."""
    import math

    mean = params["a"] + params["b"] * row.x
    if row.g == "b":
        mean += 0.5
    return -0.5 * math.fabs(row.y - mean) ** 2


PLAIN = {"a": 0.0, "b": 0.0}


@pytest.fixture(scope="module")
def few(frame, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("few") / "rows.parquet"
    frame.iloc[-300:].to_parquet(path, row_group_size=100)
    return str(path)


@pytest.mark.parametrize("more", [{}, {"weights": "w"}])
def test_finite_differences_are_those_in_memory(more, frame, few):
    given = {"start": PLAIN, "derivatives": "finite", **more}
    held, fit = (rp.mle(plain, data, **given) for data in (frame.iloc[-300:], rp.stream(few, PIECE)))
    assert fit.assembly == held.assembly and fit.n_dropped == held.n_dropped and fit.converged
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-8
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-6)
    np.testing.assert_allclose(fit.llf, held.llf, rtol=1e-12)


def test_a_failure_of_a_plain_function_names_its_row_among_all(frame, few):
    last = frame.iloc[-300:]
    wrong = last["y"].iloc[293]

    def fails(params, row):
        return [][0] if row.g == "late" and row.y == wrong else -((row.y - params["a"]) ** 2)

    for data in (last, rp.stream(few, PIECE)):
        with pytest.raises(ModelError, match=r"fails: failed in row 293 with IndexError"):
            rp.mle(fails, data, start={"a": 0.0}, derivatives="finite")


def test_a_column_that_only_late_rows_read_is_refused(few, monkeypatch):
    monkeypatch.setattr("raphson.model.likelihood.streamed_finite.LOOKED_AT", 10)

    def reads_late(params, row):
        return -((row.y - params["a"] - (row.k if row.g == "late" else 0.0)) ** 2)

    with pytest.raises(ModelError, match="the column 'k' is read in some rows only"):
        rp.mle(reads_late, rp.stream(few, PIECE), start={"a": 0.0}, derivatives="finite")


def test_rows_that_are_not_finite_are_named_as_in_memory(frame, files):
    def logarithm(params, row):
        return -((jnp.log(row.y + 2.5) - params["a"] - params["b"] * row.x) ** 2)

    def root(params, row):
        return -((row.y - params["a"] * jnp.sqrt(row.x * 0.0 + params["b"] - 1.0)) ** 2)

    for function in (logarithm, root):
        said = []
        for data in (frame, rp.stream(files, PIECE)):
            with pytest.raises(ConvergenceError, match="counted from 0") as caught:
                rp.mle(function, data, start={"a": 1.0, "b": 1.0})
            said.append(str(caught.value).replace(", ...", ""))
        numbers = [[one for one in text.split("(", 1)[1].split(", counted")[0].split(", ")] for text in said]
        assert set(numbers[1]) <= set(numbers[0])
        assert said[0].split(" rows (")[0] == said[1].split(" rows (")[0]
        assert said[0].split("counted from 0")[1] == said[1].split("counted from 0")[1]


def test_predictions_code_text_by_the_levels_of_the_fit(frame, files, tmp_path):
    start = FRAMES["text"][1]
    held, fit = (rp.mle(levels, data, start=start) for data in (frame, rp.stream(files, PIECE)))
    function = lambda p, row: p["level"][row.g] + p["slope"] * row.x  # noqa: E731
    late = frame[frame["g"] == "late"].dropna()
    expected = held.params["level[2]"] + held.params["slope"] * late["x"]
    for one in (held, fit):
        np.testing.assert_allclose(one.predict(late, function=function), expected, rtol=1e-7)
        assert one.predict(late.assign(g="other"), function=function).isna().all()
    fit.predict(rp.stream(files, PIECE), function=function, to=tmp_path / "predicted.parquet")
    whole = frame.dropna(subset=["x", "g"])
    written = pd.read_parquet(tmp_path / "predicted.parquet")["fit"].dropna().to_numpy()
    np.testing.assert_allclose(written, held.predict(whole, function=function), rtol=1e-7)
    fit.save(tmp_path / "fit.json")
    again = rp.load(tmp_path / "fit.json").predict(late, function=function)
    np.testing.assert_allclose(again, expected, rtol=1e-7)


def test_predictions_of_the_rows_that_were_fitted_are_written(frame, files, tmp_path):
    start, function = FRAMES["text"][1], lambda p, row: p["level"][row.g] + p["slope"] * row.x
    held, fit = (rp.mle(levels, data, start=start) for data in (frame, rp.stream(files, PIECE)))
    fit.predict(function=function, interval="confidence", to=tmp_path / "predicted.parquet")
    written = pd.read_parquet(tmp_path / "predicted.parquet")
    expected = held.predict(function=function, interval="confidence")
    np.testing.assert_allclose(written, expected, rtol=1e-6)
