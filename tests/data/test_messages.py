"""What cannot be data or a name is told in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp


def test_a_structured_array_is_told_how_it_becomes_a_table():
    rows = np.zeros(3, dtype=[("x", float), ("y", float)])
    for table in (rows, rows.view(np.recarray)):
        with pytest.raises(rp.DataError, match=r"data: structured arrays are not supported; pass pandas.DataFrame"):
            rp.glm("y ~ x", table)
    with pytest.raises(rp.DataError, match="y: expected numbers or labels, one for each row"):
        rp.glm(rows, np.ones((3, 1)))


HALF = "b\ud800"
CODES = [0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    "column",
    [
        np.array(["a", HALF])[CODES],
        np.array(["a", HALF], dtype=object)[CODES],
        [["a", HALF][code] for code in CODES],
        pd.Categorical.from_codes(CODES, categories=pd.Index(["a", HALF], dtype=object)),
        pd.Series(np.array(["a", HALF], dtype=object)[CODES], dtype=object),
    ],
    ids=["text", "objects", "list", "categorical", "series"],
)
def test_half_a_surrogate_pair_is_named(column):
    numbers = np.arange(5.0) ** 2
    half = r"'b\\ud800' contains an unpaired surrogate"
    for formula, family in (("y ~ k", "gaussian"), ("k ~ y", "binomial")):
        with pytest.raises(rp.DataError, match="column 'k': " + half):
            rp.glm(formula, {"y": numbers, "k": column}, family=family)
    with pytest.raises(rp.DataError, match=half):
        rp.glm(column, numbers[:, None], family="binomial")
    with pytest.raises(rp.DataError, match="groups.*" + half):
        rp.glm(numbers, np.ones((5, 1)), groups=column)


def test_half_a_surrogate_pair_in_a_name_is_named():
    with pytest.raises(rp.DataError, match=r"names: .*surrogate"):
        rp.glm([1.0, 2.0, 4.0], np.ones((3, 1)), names=[HALF])
    with pytest.raises(rp.DataError, match=r"data: the names of the columns: .*surrogate"):
        rp.glm("y ~ 1", {"y": [1.0, 2.0, 4.0], HALF: [1.0, 2.0, 3.0]})
