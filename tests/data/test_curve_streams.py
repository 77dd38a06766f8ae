"""The columns of a curve, read piece by piece: the same numbers as of the data in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data.curve_data import from_curve
from raphson.data.curve_streams import from_curve_stream
from raphson.errors import DataError, FormulaError, MissingDataWarning

FORMULA = "log(y) ~ a + b*x*z"


def table(n: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"x": rng.normal(size=n), "z": rng.random(n), "y": rng.random(n) + 0.5, "s": 1 + rng.random(n)}
    )
    frame["w"], frame["g"] = rng.integers(0, 3, n), rng.choice(["a", "b", "c"], n)
    frame.loc[7, "x"], frame.loc[300, "z"], frame.loc[301, "y"] = np.nan, np.inf, -1.0
    return frame


def streamed(frame, tmp_path, formula=FORMULA, piece_rows=256, **keywords):
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    return from_curve_stream(formula, rp.stream(tmp_path / "rows.parquet", piece_rows), {}, **keywords)


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
@pytest.mark.parametrize("more", [{"weights": "w"}, {"sigma": "2*s"}, {}], ids=["weights", "sigma", "neither"])
def test_the_pieces_are_the_rows_in_memory(more, tmp_path):
    held = from_curve(FORMULA, table(), {}, groups="g", **more).data
    data = streamed(table(), tmp_path, groups="g", **more)
    assert data.head.n_dropped == held.n_dropped == 3 and data.head.names == held.names
    assert data.n_rows == len(held.response.values) and len(data.pieces) == 4
    read = [one for _, one in data.read(data.pieces)]
    assert np.array_equal(np.concatenate([one.X for one in read]), held.X)
    assert np.array_equal(np.concatenate([one.response.values for one in read]), held.response.values)
    if more:
        assert np.array_equal(np.concatenate([one.weights for one in read]), held.weights)
    assert np.array_equal(np.unique(np.concatenate([one.groups for one in read]), return_inverse=True)[1], held.groups)
    assert len(data.sample.response.values) == data.n_rows  # few rows are a sample of themselves
    w = np.ones(data.n_rows) if held.weights is None else held.weights
    assert data.totals.positive == np.count_nonzero(w)
    assert data.totals.squares == pytest.approx(float(w @ held.response.values**2), rel=1e-14)


def test_dropped_rows_are_counted_as_in_memory(tmp_path):
    with pytest.warns(MissingDataWarning) as held:
        from_curve(FORMULA, table(), {})
    with pytest.warns(MissingDataWarning) as found:
        streamed(table(), tmp_path)
    assert {str(one.message) for one in found} == {str(one.message) for one in held}
    with pytest.raises(DataError, match="missing values in x; infinite values in z"):
        streamed(table(), tmp_path, missing="raise")


@pytest.mark.parametrize(
    ("change", "formula", "more", "message"),
    [
        (lambda t: t.assign(x="one"), FORMULA, {}, "column 'x' holds text"),
        (lambda t: t.assign(w=-t["w"]), FORMULA, {"weights": "w"}, r"weights: expected numbers of 0 or more; .* negat"),
        (lambda t: t.assign(w=0), FORMULA, {"weights": "w"}, "weights: all are 0"),
        (lambda t: t.assign(s=t["s"].where(t.index != 700, 0.0)), FORMULA, {"sigma": "s"}, r"sigma: .* in row 700"),
        (lambda t: t.assign(x=np.nan), FORMULA, {}, "data: all 1000 rows have"),
        (lambda t: t, FORMULA, {"weights": np.ones(1000)}, "weights: expected a column's name or an expression"),
    ],
)
@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_unusable_data_are_refused(change, formula, more, message, tmp_path):
    with pytest.raises(DataError, match=message):
        streamed(change(table()), tmp_path, formula, **more)


def test_a_misspelt_column_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises((DataError, FormulaError), match="Y"):
        streamed(table(), tmp_path, "Y ~ a + b*x")
