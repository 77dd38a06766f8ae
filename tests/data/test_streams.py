"""A formula over streamed Parquet data: the same design as in memory, piece by piece."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_formula, from_stream
from raphson.data.curve_streams import from_curve_stream
from raphson.data.pieced_design import WrittenDesign
from raphson.data.products import dense
from raphson.data.sample_rows import spread_rows
from raphson.data.sources import stream
from raphson.data.streams import NotInMemory
from raphson.errors import DataError, FormulaError, MissingDataWarning
from raphson.execute import threads
from raphson.execute.parcels import Sender
from raphson.execute.watched import Keeping
from raphson.execute.worker import Held, Task

NONE = dict.fromkeys(("weights", "offset", "trials", "groups"))
N = 1500


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "letter": rng.choice(["c", "a", "b"], N),
            "number": rng.integers(8, 12, N),
            "truth": rng.random(N) < 0.5,
            "size": pd.Categorical(rng.choice(["low", "high"], N), categories=["low", "mid", "high"]),
            "w": rng.uniform(0.5, 2.0, N),
            "y": rng.normal(size=N),
        }
    )
    frame["late"] = np.where(np.arange(N) < 1400, "early", "late")  # a level that the last piece alone has
    frame.loc[::7, "x"] = np.nan
    frame.loc[[3, 1499], "letter"] = None
    frame.loc[:400, "number"] = 9  # a piece with one level only
    return frame


@pytest.fixture
def path(frame, tmp_path):
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path, row_group_size=400)
    return path


def whole(data, pieces=None):
    """All pieces of a stream, put together."""
    read = [one for _, one in data.read(data.pieces if pieces is None else pieces)]
    X = np.concatenate([dense(one.X) for one in read])
    return read, X, np.concatenate([one.response.values for one in read])


FORMULAS = [
    "y ~ x + letter + C(number) + truth + size + late",
    "y ~ x * letter + I(w > 1) - 1",
    "log(w) ~ C(letter, contr.sum) + relevel(letter, 'b'):x + late",
    "truth ~ x",
    "letter ~ x",
    "size ~ x + offset(log(w))",
    "cbind(number, w) ~ x",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_the_design_is_that_of_the_data_in_memory(formula, frame, path):
    asked = {**NONE, "weights": "w"}
    data = from_stream(formula, stream(path, 256), asked)
    held = from_formula(formula, frame, weights="w")
    read, X, y = whole(data)
    assert len(read) > 4 and data.plan.names == held.names
    np.testing.assert_array_equal(X, dense(held.X))
    np.testing.assert_array_equal(y, held.response.values)
    assert data.levels == held.response.levels and data.head.n_dropped == held.n_dropped
    np.testing.assert_array_equal(np.concatenate([one.weights for one in read]), held.weights)
    if held.offset is not None:
        np.testing.assert_array_equal(np.concatenate([one.offset for one in read]), held.offset)
    assert data.head.has_intercept == held.has_intercept and data.head.terms == held.terms
    assert [piece.start for piece in data.pieces] == np.cumsum([0, *(p.rows for p in data.pieces)])[:-1].tolist()
    assert data.n_rows == len(held.response.values)


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_a_level_of_unusable_rows_alone_is_none(frame, tmp_path):
    changed = frame.assign(letter=frame["letter"].where(frame.index != 700, "z"))  # there x is missing
    changed.to_parquet(tmp_path / "rows.parquet")
    _, X, _ = whole(from_stream("y ~ x + letter", stream(tmp_path / "rows.parquet", 256), NONE))
    np.testing.assert_array_equal(X, dense(from_formula("y ~ x + letter", changed).X))


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_some_pieces_can_be_read_without_the_others(path):
    data = from_stream("y ~ x + letter", stream(path, 256), NONE)
    _, X, _ = whole(data)
    chosen = [data.pieces[k] for k in (1, 4)]
    read, part, _ = whole(data, chosen)
    assert [len(one.response.values) for one in read] == [piece.rows for piece in chosen]
    np.testing.assert_array_equal(part, np.concatenate([X[p.start : p.start + p.rows] for p in chosen]))


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_shuffled_pieces_are_all_rows_once_and_from_several_places(frame, path, monkeypatch):
    monkeypatch.setattr("raphson.data.parquet.PART_ROWS", 1)
    data = from_stream("y ~ x", stream(path, 256), NONE)
    groups = list(data.shuffled(np.random.default_rng(0)))
    y = np.concatenate([one.response.values for group in groups for one in group])
    held = frame.loc[frame["x"].notna(), "y"].to_numpy()
    assert len(groups[0]) == 4
    np.testing.assert_array_equal(np.sort(y), np.sort(held))
    firsts = {next(data.shuffled(np.random.default_rng(seed)))[0].response.values[0] for seed in range(8)}
    assert len(firsts) > 1


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_the_sample_is_spread_evenly(path, frame, monkeypatch):
    monkeypatch.setattr("raphson.data.streams.SAMPLE_ROWS", 100)
    data = from_stream("y ~ late", stream(path, 256), NONE)
    np.testing.assert_array_equal(data.sample.response.values, frame["y"].to_numpy()[spread_rows(0, N, 15)])
    assert data.sample.X.shape == (100, 2)


def test_dropped_rows_are_counted_and_named_once(path):
    with pytest.warns(MissingDataWarning, match=r"217 of 1500 rows dropped for missing values in x, letter") as caught:
        from_stream("y ~ x + letter", stream(path, 256), NONE)
    assert len(caught) == 1
    with pytest.raises(DataError, match="missing values in x, letter, in 217 of 1500 rows"):
        from_stream("y ~ x + letter", stream(path, 256), NONE, missing="raise")


@pytest.mark.parametrize(
    ("formula", "arguments", "kind", "says"),
    [
        ("y ~ scale(cr(x, df=3))", {}, FormulaError, "expected a number for each row; 'cr.x, df=3.' has several"),
        ("y ~ scale(0*w)", {}, DataError, "is not finite, as it would be divided by 0"),
        ("y ~ nothing", {}, DataError, "nothing"),
        ("~ x", {}, FormulaError, "no response"),
        ("y ~ w", {"weights": np.ones(N)}, DataError, "weights: expected a column's name"),
        ("y ~ x", {"weights": "y"}, DataError, "weights: expected numbers of 0 or more"),
        ("y ~ x", {"weights": "0*w"}, DataError, "weights: all are 0"),
        ("y ~ log(-1 - w)", {}, DataError, "so none is left"),
    ],
)
@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_what_cannot_be_streamed_is_refused(formula, arguments, kind, says, path):
    with pytest.raises(kind, match=says):
        from_stream(formula, stream(path, 256), {**NONE, **arguments})


def test_an_identifier_is_no_factor(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"y": np.arange(600.0), "name": [f"n{i}" for i in range(600)]}).to_parquet(path)
    with pytest.raises(DataError, match="'name' is text with 600 different values in 600 rows"):
        from_stream("y ~ name", stream(path, 256), NONE)
    monkeypatch.setattr("raphson.data.seen_variables.MOST_LEVELS", 500)
    with pytest.raises(DataError, match="more than 500 different values"):
        from_stream("y ~ name", stream(path, 256), NONE)


def test_files_of_other_types_are_refused(tmp_path):
    for number, values in enumerate([[1.0, 2.0], ["a", "b"]]):
        pd.DataFrame({"y": [1.0, 2.0], "g": pd.Series(values, dtype=object)}).to_parquet(tmp_path / f"{number}.parquet")
    with pytest.raises(
        DataError, match=r"1.parquet: column 'g' has the type string, but double in .*0.parquet; give it one"
    ):
        from_stream("y ~ g", stream(tmp_path, 256), NONE)


def test_the_sample_holds_no_piece(path):
    # A view of a piece would keep all of it: memory would grow with the data.
    from raphson.data.frames import FormulaArguments
    from raphson.data.streams import FirstPass

    source = stream(path, 256)
    first_pass = FirstPass(FormulaArguments.of("y ~ w", source.names, NONE), source)
    seen = first_pass.begin()
    seen.sampled.every = seen.sampled.base = 3
    frame = next(source.read(0, ["y", "w"]))
    first_pass.take(seen, (0, 0), frame)
    assert len(seen.sampled.parts[0]) == len(spread_rows(0, 256, 3))
    assert not np.shares_memory(seen.sampled.parts[0]["w"].to_numpy(), frame["w"].to_numpy())


class InThisProcess:
    """Workers that are this process, but are sent what they need."""

    def map(self, function, blocks):
        sender, held = Sender(), Held(2**20)
        parcel, content = sender.pack(function)
        sent = {parcel.key: content} | {key: sender.content(key) for key in parcel.needs}
        received = held.value(parcel.key, Task(parcel.key, parcel.needs, sent, (), None, None))
        return [received(block) for block in blocks.reader(range(len(blocks)))]


@pytest.mark.parametrize("curve", [False, True])
def test_a_first_pass_by_workers_finds_what_one_reading_finds(tmp_path, curve):
    rng = np.random.default_rng(5)
    n = 4_000
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "w": rng.integers(0, 3, n)})
    data["g"] = np.repeat(["c", "a", "b", "a"], n // 4)
    data.loc[rng.choice(n, 60, replace=False), "x"] = np.nan
    data.to_parquet(tmp_path / "rows.parquet", row_group_size=700)
    source = stream(tmp_path / "rows.parquet", 256)
    source._parts = [[one] for part in source._parts for one in part]
    found = []
    for workers in (None, InThisProcess()):
        keep = Keeping(workers=workers)
        with pytest.warns(MissingDataWarning, match="60 of 4000 rows dropped"):
            if curve:
                found.append(from_curve_stream("y ~ a*x", source, {}, weights="w", keep=keep))
            else:
                found.append(from_stream("y ~ x + g", source, NONE | {"weights": "w"}, keep=keep))
    one, other = found
    assert len(source._parts) == 6 and one.pieces == other.pieces and one.same == other.same
    assert np.array_equal(dense(one.sample.X), dense(other.sample.X)) and one.head.names == other.head.names
    if curve:
        assert one.totals == other.totals
    else:
        assert one.factors[0][1].labels == other.factors[0][1].labels == ("a", "b", "c")


def test_what_is_not_held_says_so():
    for use in (len, np.asarray, lambda one: one[0], lambda one: one.mean(), lambda one: one * 2, lambda one: one == 1):
        with pytest.raises(DataError, match="so there is no access to the weights"):
            use(NotInMemory("the weights"))


@pytest.mark.parametrize("weights", [None, "w"])
def test_two_threads_find_in_their_parts_what_one_finds_in_all(tmp_path, monkeypatch, weights):
    monkeypatch.setattr("raphson.data.parquet.PART_ROWS", 500)
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"x": rng.normal(size=4_000), "w": rng.uniform(0.1, 1.0, 4_000)})
    rows["g"], rows["y"] = rng.choice(["a", "b"], 4_000), rng.normal(size=4_000)
    rows.loc[[3, 700, 3_999], "x"] = np.nan
    rows.loc[3_500:, "g"] = "c"
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=500)
    shown = []

    def found(workers):
        source, keep = (
            stream(tmp_path / "rows.parquet", 256),
            Keeping(show=lambda read, of: shown.append((read, of)), threads=threads(workers)),
        )
        with pytest.warns(MissingDataWarning):
            return from_stream("y ~ x + g", source, NONE | {"weights": weights}, keep=keep)

    one, two = found(1), found(2)
    assert one.pieces == two.pieces and one.factors == two.factors and one.n_rows == 3_997
    assert one.same.found == two.same.found and one.same.complete == two.same.complete
    assert (one.sample.X == two.sample.X).all()
    assert shown.count((4_000, 4_000)) == 2 and len(shown) == 16


def test_a_sample_is_held_and_the_design_of_a_large_piece_is_written_where_it_is_read(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=9_000), "x": rng.normal(size=9_000)})
    frame.to_parquet(tmp_path / "rows.parquet")
    data = from_stream("y ~ x", stream(tmp_path / "rows.parquet"), NONE)
    assert isinstance(data.sample.X, np.ndarray)
    ((_, piece),) = data.read(data.pieces)
    assert isinstance(piece.X, WrittenDesign)
    np.testing.assert_array_equal(np.asarray(piece.X)[:, 1], frame["x"])
