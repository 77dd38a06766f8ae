"""What bad input gets from every function that streams: one clear error, or the fit of the rows that are there."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.special import gammaln

import raphson as rp
from raphson.errors import RaphsonError

N, PARTS = 1200, 3


def poisson(params, row):
    eta = params["beta"][0] + params["beta"][1] * row.x + params["slope"] * row.g
    return row.y * eta - jnp.exp(eta) - gammaln(row.y + 1.0)


DOORS: dict[str, Callable[..., Any]] = {
    "glm": lambda data, **given: rp.glm("y ~ x + g", data, family="poisson", **given),
    "mle": lambda data, **given: rp.mle("zero_inflated_poisson", {"mean": "y ~ x + g", "zero": "~ 1"}, data, **given),
    "general": lambda data, **given: rp.mle(poisson, data, start={"beta": np.zeros(2), "slope": 0.0}, **given),
    "nls": lambda data, **given: rp.nls("y ~ exp(a + b * x)", data, start={"a": 0.0, "b": 0.0}, **given),
    "network": lambda data, **given: rp.network("y ~ x + g", data, hidden=[2], epochs=2, seed=0, **given),
}
"""Each function that streams, with a model of y, x and g; `given` are ``weights=`` and ``checkpoint=``."""

FITTED = {
    ("nls", "a level more"),  # it does not read g
    ("nls", "a response outside the support"),
    ("network", "a response outside the support"),
}
"""What is no error to some of them."""

FILES = {
    "parquet": lambda frame, path: frame.to_parquet(path, row_group_size=150, write_page_checksum=True),
    "arrow": lambda frame, path: frame.to_feather(path, compression="lz4"),
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "csv.gz": lambda frame, path: path.write_bytes(gzip.compress(frame.to_csv(index=False).encode())),
}
"""How each format is written."""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x, g = rng.normal(size=N), rng.choice(["a", "b", "c"], N)
    y = rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(0.3 + 0.2 * x)), N)
    return pd.DataFrame({"x": x, "g": g, "y": y, "w": 1.0 + (np.arange(N) % 3), "unused": 1.0})


@pytest.fixture(scope="module")
def in_memory() -> Callable[..., Any]:
    """The fit in memory of a door to tables, made once for all formats and readers that give the same ones."""
    made: dict[tuple[Any, ...], Any] = {}

    def fit(door: str, tables: list[pd.DataFrame], **given: Any) -> Any:
        rows = pd.concat(tables)
        key = (door, tuple(given), pd.util.hash_pandas_object(rows, index=True).to_numpy().tobytes())
        if key not in made:
            made[key] = DOORS[door](rows, **given)
        return made[key]

    return fit


def cut(frame: pd.DataFrame) -> list[pd.DataFrame]:
    size = -(-len(frame) // PARTS)
    return [frame[start : start + size].reset_index(drop=True) for start in range(0, len(frame), size)]


def last(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[list[pd.DataFrame]], list[pd.DataFrame]]:
    """A change of the last part alone."""
    return lambda parts: [*parts[:-1], change(parts[-1])]


def noise(content: bytes) -> bytes:
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(np.random.default_rng(0).integers(1, 256, 300, dtype=np.uint8))
        + content[middle + 300 :]
    )


def with_level(part: pd.DataFrame) -> pd.DataFrame:
    return part.assign(g=part["g"].where(part.index % 5 > 0, "new"))


PARTS_OF_FILES = {
    "as they are": (None, None, None),
    "a level of the last part alone": (last(with_level), None, None),
    "a part without rows": (lambda parts: [parts[0], parts[1][:0], *parts[1:]], None, None),
    "a first part without rows": (lambda parts: [parts[1][:0], *parts], None, None),
    "a column more": (last(lambda part: part.assign(more=1)), None, None),
    "columns in another order": (last(lambda part: part[["y", "g", "w", "x", "unused"]]), None, None),
    "a column less that is not read": (last(lambda part: part.drop(columns="unused")), None, None),
    "whole numbers in one part": (last(lambda part: part.assign(x=part["x"].round().astype(int))), None, None),
    "a column missing throughout a part": (last(lambda part: part.assign(x=np.nan)), None, None),
    "a block of weight zero": (last(lambda part: part.assign(w=0.0)), None, None),
    "a column less": (last(lambda part: part.drop(columns="x")), None, "lacks the column 'x'"),
    "text for numbers": (last(lambda part: part.assign(x="much")), None, "'x' has the type|invalid value 'much'"),
    "negative weights": (last(lambda part: part.assign(w=-1.0)), None, "weights: expected numbers of 0 or more"),
    "weights of zero": (lambda parts: [part.assign(w=0.0) for part in parts], None, "weights: all are 0"),
    "a response outside the support": (last(lambda part: part.assign(y=-1)), None, "response .*expect|is -inf for"),
    "no rows": (lambda parts: [part[:0] for part in parts], None, "no rows"),
    "cut short": (None, lambda content: content[: len(content) // 2 - 3], "complete"),
    "nothing at all": (None, lambda content: b"", "complete|empty"),
    "noise in the middle": (None, noise, "cannot be read"),
    "another format": (None, lambda content: b"\x7fELF" + bytes(500), "complete|never has|cannot be read"),
}
"""Of each case: how the parts differ, how the bytes of the last file do, and what is said; None if they are fitted."""

OF_THE_ROWS = ("negative weights", "weights of zero", "a response outside the support", "no rows")
"""Cases whose message does not name the file, as the rows of all of them count."""


def written(parts: list[pd.DataFrame], ending: str, folder: Path) -> list[Path]:
    paths = [folder / f"part-{number}.{ending}" for number in range(len(parts))]
    for part, path in zip(parts, paths, strict=True):
        FILES[ending](part, path)
    return paths


@pytest.mark.parametrize("ending", FILES)
@pytest.mark.parametrize("what", PARTS_OF_FILES)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_files_with_faults(door, what, ending, frame, in_memory, tmp_path):
    change, damage, says = PARTS_OF_FILES[what]
    if (door, what) in FITTED:
        says = None
    parts = cut(frame) if change is None else change(cut(frame))
    paths = written(parts, ending, tmp_path)
    if damage is not None:
        paths[-1].write_bytes(damage(paths[-1].read_bytes()))
    if says is None:
        alike(DOORS[door](rp.stream(paths, 256), weights="w"), in_memory(door, parts, weights="w"))
        return
    message = refused(says, lambda: DOORS[door](rp.stream(paths, 256), weights="w"))
    assert what in OF_THE_ROWS or message.startswith(f"{paths[-1]}: "), message


def alike(fit: Any, held: Any) -> None:
    """Hold a fit to that in memory; batches of streamed rows are other ones, and so are the weights of a network."""
    if hasattr(fit, "history"):
        assert fit.nobs == held.nobs and np.isfinite(fit.predict(pd.DataFrame({"x": [0.5], "g": ["a"]}))).all()
        return
    assert fit.converged and fit.nobs == held.nobs
    np.testing.assert_allclose(fit.params - held.params, 0, atol=1e-8 * held.bse.min())


def refused(says: str, fit: Callable[[], Any]) -> str:
    """The one line of the one error that a call raises."""
    with pytest.raises(RaphsonError, match=says) as caught:
        fit()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- readers of one's own ----------------------------------------------------------------------------------------------


class Reader:
    """Tables that are other ones once there were so many complete readings, of which the first pass is one.

    The first two readings begin one for the names of the columns alone.
    """

    def __init__(self, parts: list[pd.DataFrame], later: Callable[[list[pd.DataFrame]], Any], after: int) -> None:
        self.parts, self.later, self.after, self.begun, self.complete = parts, later, after, 0, 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        return self._tables(self.begun > 2 and self.complete >= self.after)

    def _tables(self, other: bool) -> Iterator[Any]:
        yield from self.later(self.parts) if other else self.parts
        self.complete += 1


def failing(parts: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    yield parts[0]
    raise ConnectionResetError("the server is gone")


READERS = {
    "as they are": (lambda parts: parts, None),
    "tables of other lengths": (
        lambda parts: [part[k : k + 7] for part in parts for k in range(0, len(part), 7)],
        None,
    ),
    "other rows": (last(lambda part: part.assign(x=part["x"] + 1.0)), "other values of 'x'|other rows"),
    "rows in another order": (last(lambda part: part[::-1]), "other values|other rows"),
    "fewer rows": (lambda parts: parts[:-1], "fewer rows"),
    "more rows": (lambda parts: [*parts, parts[0]], "more rows"),
    "nothing": (lambda parts: [], "fewer rows|no table|no rows"),
    "an error in the middle": (failing, "ConnectionResetError: the server is gone"),
    "other columns": (last(lambda part: part.drop(columns="x")), "table 3 of the reader: lacks the column 'x'"),
    "text for numbers": (last(lambda part: part.assign(x="much")), "column 'x'"),
    "no tables": (lambda parts: [*parts[:-1], 3], "table 3 is a int|other rows"),
    "a level more": (last(with_level), "other values of 'g'|other rows"),
}


@pytest.mark.parametrize("after", [0, 1], ids=["at the first reading", "at the second reading"])
@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("door", DOORS)
def test_readers_with_faults(door, what, after, frame, in_memory):
    later, says = READERS[what]
    if (door, what) in FITTED:
        says = None
    parts = cut(frame)
    data = rp.stream(Reader(parts, later, after), 256)
    if not after and says is not None and "other" in says and what not in ("other columns", "no tables"):
        says = None  # nothing tells these rows from those that were meant
    if not after and what in ("fewer rows", "more rows"):
        says = None
    if says is None:
        alike(DOORS[door](data), in_memory(door, list(parts if after else later(parts))))
    else:
        refused(says, lambda: DOORS[door](data))


# -- folders and lists -------------------------------------------------------------------------------------------------


def hidden(folder: Path) -> None:
    for name in ("_SUCCESS", ".part-0.crc", "_metadata.json", ".DS_Store"):
        (folder / name).write_bytes(b"\0\1")


FOLDERS = {
    "marks of other programs": (hidden, None),
    "a note": (lambda folder: (folder / "notes.md").write_text("mine"), "notes.md"),
    "nothing": (lambda folder: [path.unlink() for path in folder.iterdir()], "no Parquet files, nor any other"),
}


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv"])
@pytest.mark.parametrize("what", FOLDERS)
@pytest.mark.parametrize("door", DOORS)
def test_folders_with_other_files(door, what, ending, frame, in_memory, tmp_path):
    change, says = FOLDERS[what]
    written(cut(frame), ending, tmp_path)
    change(tmp_path)
    if says is None:
        alike(DOORS[door](rp.stream(tmp_path, 256)), in_memory(door, [frame]))
    else:
        refused(says, lambda: DOORS[door](rp.stream(tmp_path, 256)))


@pytest.mark.parametrize("source", [[], (), "*.parquet", "rows.parquet", "rows.csv", "rows.arrow"], ids=str)
@pytest.mark.parametrize("door", DOORS)
def test_no_files(door, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused("no file matches|there is no such file|expected", lambda: DOORS[door](source))
    refused("no file matches|there is no such file|expected", lambda: DOORS[door](rp.stream(source)))


# -- predictions and full disks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", FILES)
@pytest.mark.parametrize("what", ["a column less", "cut short", "noise in the middle", "a new level", "as they are"])
def test_predictions_of_files_with_faults(what, ending, frame, tmp_path):
    change, damage, says = PARTS_OF_FILES.get(what) or (last(with_level), None, "g: expected the levels .* got 'new'")
    parts = cut(frame) if change is None else change(cut(frame))
    paths = written(parts, ending, tmp_path)
    if damage is not None:
        paths[-1].write_bytes(damage(paths[-1].read_bytes()))
    fit, to = rp.glm("y ~ x + g", frame, family="poisson"), tmp_path / "predicted.csv"

    def predict() -> Any:
        return fit.predict(rp.stream(paths, 256), to=to)

    if says is None:
        predict()
        np.testing.assert_allclose(pd.read_csv(to)["fit"], fit.predict(frame), rtol=1e-12)
    else:
        assert str(paths[-1]) in refused(says, predict) and not to.exists()


@contextmanager
def full_at(n_bytes: int) -> Iterator[None]:
    """Files that can be no longer than so many bytes, as if the disk were full then."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("to", ["rows.csv", "rows.parquet", "rows.arrow"])
@pytest.mark.parametrize("what", ["predict", "augment"])
def test_a_full_disk_leaves_no_half_of_a_file(what, to, frame, tmp_path):
    (source,) = written([frame], "parquet", tmp_path)
    data = rp.stream(source, 256)
    fit = rp.glm("y ~ x + g", data, family="poisson")
    with full_at(2000):
        refused(
            "cannot be written: .*; make room, or choose another place",
            lambda: fit.augment(to=tmp_path / to) if what == "augment" else fit.predict(data, to=tmp_path / to),
        )
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize("door", DOORS)
def test_a_fit_goes_on_when_there_is_room_on_the_disk_again(door, frame, tmp_path):
    data, kept = rp.stream(written(cut(frame), "parquet", tmp_path), 256), tmp_path / "fit.ckpt"
    whole = DOORS[door](data, checkpoint=kept)
    size = kept.stat().st_size
    kept.unlink()
    for part in (0.001, 0.5, 0.9, 0.99):
        with full_at(int(part * size)):
            refused("fit.ckpt cannot be written: .*; make room and call", lambda: DOORS[door](data, checkpoint=kept))
        assert kept.stat().st_size <= part * size
    again = DOORS[door](data, checkpoint=kept)
    assert [value.hex() for value in again.params] == [value.hex() for value in whole.params]
    assert again.path.equals(whole.path)


@pytest.mark.parametrize("door", DOORS)
def test_a_fit_goes_on_when_its_reader_is_back(door, frame, tmp_path):
    parts, given = cut(frame), {"checkpoint": tmp_path / "fit.ckpt", "executor": rp.execute.serial()}
    refused("the server is gone", lambda: DOORS[door](rp.stream(Reader(parts, failing, 2), 256), **given))
    reader, other = Reader(parts, failing, 99), Reader(parts, failing, 99)
    fit, whole = (
        DOORS[door](rp.stream(reader, 256), **given),
        DOORS[door](rp.stream(other, 256), executor=rp.execute.serial()),
    )
    assert [value.hex() for value in fit.params] == [value.hex() for value in whole.params]
    assert reader.complete == other.complete - 1  # the first is read again, to tell that the rows are the same
