"""Predictions as a folder of files: those of one file, complete or absent, whoever writes them."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import parquet
from raphson.errors import DataError, MissingDataWarning

N = 1_200


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.choice(["a", "b", "c"], N)})
    frame["count"] = rng.poisson(np.exp(0.3 * frame["x"]))
    frame.loc[[5, 700, 701, N - 1], "x"] = np.nan
    return frame


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parquet, "PART_ROWS", 300)


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    place = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame.to_parquet(place, row_group_size=300)
    return place


@pytest.fixture(scope="module")
def fit(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingDataWarning)
        return rp.glm("count ~ x + g", rp.stream(path, 256), family="poisson")


def names(folder):
    return sorted(one.name for one in folder.iterdir())


ASKED = {"means": {}, "intervals": {"interval": "prediction", "se": True}, "dropped": {"missing": "drop"}}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_the_files_together_are_the_one_file(asked, fit, path, tmp_path):
    fit.predict(rp.stream(path, 256), to=tmp_path / "one.parquet", **asked)
    fit.predict(rp.stream(path, 256), to=f"{tmp_path}/all/", **asked)
    assert names(tmp_path / "all") == [f"part-{k:05d}.parquet" for k in range(4)]
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "all"), pd.read_parquet(tmp_path / "one.parquet"), check_exact=True
    )
    assert names(tmp_path) == ["all", "one.parquet"]


def test_the_rows_of_the_fit_and_rows_in_memory(fit, frame, tmp_path):
    fit.predict(to=tmp_path / "used")
    fit.predict(to=tmp_path / "used.parquet")
    one, all_ = pd.read_parquet(tmp_path / "used.parquet"), pd.read_parquet(tmp_path / "used")
    assert len(one) == N - 4 and one.equals(all_)
    fit.predict(frame.head(50), to=tmp_path / "few")
    assert names(tmp_path / "few") == ["part-00000.parquet"]
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "few")["fit"], fit.predict(frame.head(50)))


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_tasks_write_them_and_an_error_leaves_nothing(path, frame, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        fit = rp.glm("count ~ x + g", rp.stream(path, 256), family="poisson", executor=pool)
        passes = fit._reading.state.at.asked.executor.passes
        before = len(passes)
        fit.predict(rp.stream(path, 256), to=tmp_path / "all")
        assert len(passes) == before + 1 and len(names(tmp_path / "all")) == 4
        fit.predict(rp.stream(path, 256), to=tmp_path / "one.parquet")
        assert pd.read_parquet(tmp_path / "all").equals(pd.read_parquet(tmp_path / "one.parquet"))
        other = tmp_path / "other.parquet"
        frame.assign(g=np.where(np.arange(N) == 1_000, "new", frame["g"])).to_parquet(other, row_group_size=300)
        with pytest.raises(DataError, match=r"other\.parquet.*among the rows 901 to 1200: .*new"):
            fit.predict(rp.stream(other, 256), to=tmp_path / "broken")
    assert names(tmp_path) == ["all", "one.parquet", "other.parquet"]


def test_warnings_and_dropped_rows_are_told_once(fit, path, frame, tmp_path):
    with pytest.warns(MissingDataWarning, match=r"4 of 1200 rows dropped"):
        fit.predict(rp.stream(path, 256), to=tmp_path / "all", missing="drop")
    bad = tmp_path / "bad.parquet"
    frame.assign(x=np.nan).to_parquet(bad, row_group_size=300)
    with pytest.raises(DataError, match="none of 1200 rows can be used"):
        fit.predict(rp.stream(bad, 256), to=tmp_path / "none", missing="drop")
    assert not (tmp_path / "none").exists()


def test_files_that_are_not_in_the_folder_are_missed(fit, path, tmp_path, monkeypatch):
    from raphson.fit import by_parts

    write = by_parts.PartWriter.__call__

    def elsewhere(self, part):
        found = write(self, part)
        if part == 2:
            (self.folder / "part-00002.parquet").unlink()
        return found

    monkeypatch.setattr(by_parts.PartWriter, "__call__", elsewhere)
    with pytest.raises(DataError, match="to: 1 of 4 files that workers have written are not in"):
        fit.predict(rp.stream(path, 256), to=tmp_path / "all")
    assert names(tmp_path) == []
