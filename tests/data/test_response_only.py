"""A reading of the response alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_stream
from raphson.data.response_only import of_response
from raphson.data.sources import stream
from raphson.errors import DataError

N = 1500


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"x": rng.normal(size=N), "g": rng.choice(["a", "b"], N), "w": rng.random(N), "y": rng.choice(["no", "yes"], N)}
    )


ARGUMENTS = {"weights": "w", "offset": "x", "trials": None, "groups": "g"}


def test_it_has_the_same_responses_and_reads_no_other_column(frame):
    read = []

    def tables():
        yield from (frame[a : a + 400] for a in range(0, N, 400))

    source = stream(tables, 256)
    data = from_stream("y ~ x * g", source, ARGUMENTS)
    before = source.rows
    source.rows = lambda part, columns: (read.append(columns), before(part, columns))[1]  # type: ignore[method-assign]
    short = of_response(data)
    for (piece, whole), (other, part) in zip(data.read(data.pieces), short.read(short.pieces), strict=True):
        assert piece == other
        np.testing.assert_array_equal(part.response.values, whole.response.values)
        np.testing.assert_array_equal(part.weights, whole.weights)
        assert part.offset is None and part.X.shape == (piece.rows, 1) and (part.X == 1).all()
    assert {*map(tuple, read)} == {("y", "x", "g", "w"), ("y", "w")}


def test_rows_that_are_dropped_for_a_covariate_are_not_read_by_the_response(frame):
    frame.loc[3, "x"] = np.nan
    with pytest.warns(UserWarning, match="1 of 1500 rows dropped"):
        data = from_stream("y ~ x", stream([frame], 256), ARGUMENTS)
    assert of_response(data) is data


def test_other_responses_are_found_out(frame):
    tables = [frame.copy()]
    short = of_response(from_stream("y ~ x", stream(tables, 256), ARGUMENTS))
    tables[0].loc[700, "w"] = 9.0
    with pytest.raises(DataError, match="other values of 'w'"):
        list(short.read(short.pieces))
