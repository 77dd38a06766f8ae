"""Several formulas over streamed data: the designs and columns are those of the data in memory, piece by piece."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data.products import dense
from raphson.data.several import from_formulas
from raphson.data.several_streams import from_streams
from raphson.data.sources import stream
from raphson.errors import DataError, FormulaError

N = 1500
pytestmark = pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.normal(size=N),
            "letter": rng.choice(["c", "a", "b"], N),
            "done": rng.random(N) < 0.5,
            "w": rng.uniform(0.5, 2.0, N),
        }
    )
    frame["late"] = np.where(np.arange(N) < 1400, "early", "late")
    frame.loc[::7, "x"] = np.nan
    frame.loc[3, "letter"] = None
    frame.loc[10, "y"] = np.inf  # to a density it may be a time
    frame.loc[7, "letter"] = "z"  # where x is missing
    return frame


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("several") / "rows.parquet"
    frame.to_parquet(path, row_group_size=400)
    return path


FORMULAS = {"mu": "y ~ x + letter", "log_sigma": "~ late + offset(w)", "nu": "~ x + letter"}
COLUMNS = {"event": "done", "group": "letter", "bound": "0.5", "twice": "2 * w"}


@pytest.mark.parametrize("without", [(), ("mu",)])
def test_the_designs_and_columns_are_those_of_the_data_in_memory(without, frame, path):
    given = {"columns": COLUMNS, "weights": "w", "without_intercept": without}
    data = from_streams(FORMULAS, stream(path, 256), **given)
    held = from_formulas(FORMULAS, frame, **given)
    read = [one for _, one in data.read(data.pieces)]
    assert len(read) > 4 and data.n_rows == len(held.response.values) and data.head.n_dropped == held.n_dropped
    for name, part in held.parts.items():
        pieces = [one.parts[name] for one in read]
        np.testing.assert_array_equal(np.concatenate([dense(one.X) for one in pieces]), dense(part.X))
        for told in (data.head.parts[name], pieces[0]):
            assert (told.names, told.terms, told.has_intercept) == (part.names, part.terms, part.has_intercept)
        if part.offset is not None:
            np.testing.assert_array_equal(np.concatenate([one.offset for one in pieces]), part.offset)
    assert (read[0].parts["mu"].X is read[0].parts["nu"].X) == (not without)
    for name, column in held.columns.items():
        np.testing.assert_array_equal(np.concatenate([one.columns[name].values for one in read]), column.values)
        assert data.head.columns[name].labels == read[0].columns[name].labels == column.labels
    np.testing.assert_array_equal(np.concatenate([one.response.values for one in read]), held.response.values)
    np.testing.assert_array_equal(np.concatenate([one.weights for one in read]), held.weights)
    assert data.head.asked == held.asked


def test_what_is_not_in_memory_says_so(path):
    head = from_streams(FORMULAS, stream(path, 256), columns=COLUMNS).head
    for use in (
        lambda: len(head.response.values),
        lambda: head.parts["mu"].X.shape,
        lambda: head.columns["event"].values * 2,
    ):
        with pytest.raises(DataError, match="streamed rows are not kept in memory"):
            use()


@pytest.mark.parametrize(
    ("formulas", "more", "kind", "says"),
    [
        ({"mu": "y ~ x", "s": "y ~ x"}, {}, FormulaError, "only the first formula may have a response"),
        ({"mu": "~ x"}, {}, FormulaError, "that of 'mu', has no response"),
        ({"mu": "y ~ x", "s": "~ cr(x, df=0)"}, {}, DataError, "'df'=0 must be greater than or equal to 1"),
        ({"mu": "y ~ x"}, {"weights": np.ones(N)}, DataError, "weights: expected a column's name"),
        ({"mu": "y ~ x"}, {"columns": {"event": "nothing"}}, DataError, "nothing"),
    ],
)
def test_what_cannot_be_streamed_is_refused(formulas, more, kind, says, path):
    with pytest.raises(kind, match=says):
        from_streams(formulas, stream(path, 256), **{"columns": {}} | more)
