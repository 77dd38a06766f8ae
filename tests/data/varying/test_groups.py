"""Groups have the levels of the rows that are used; what says nothing about how they vary is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_formula
from raphson.errors import DataError, MissingDataWarning


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 48
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "one": np.full(n, 3.0),
            "zero": np.zeros(n),
            "same": np.full(n, "a"),
            "g": np.repeat(["p", "q", "r", "s"], 12),
            "inner": np.tile(np.repeat(["1", "2", "3"], 4), 4),
            "f": np.tile(["u", "v", "w"], 16),
            "id": np.repeat(np.arange(24), 2),
        }
    )


def terms(right, data):
    return from_formula(f"y ~ {right}", data, varying=True).varying


def test_an_intercept_and_a_slope(table):
    (term,) = terms("(x | g)", table)
    assert (term.label, term.group, term.names, term.levels) == ("x | g", "g", ("Intercept", "x"), tuple("pqrs"))
    assert term.columns.tolist() == np.column_stack([np.ones(48), table.x]).tolist()
    assert term.codes is not None and term.codes.dtype == np.int32
    assert term.codes.tolist() == np.repeat(range(4), 12).tolist()


def test_labels_that_repeat_in_another_group_are_other_levels(table):
    outer, inner = terms("(1 | g/inner)", table)
    assert outer.n_levels == 4 and inner.n_levels == 12 and inner.group == "g:inner"
    assert inner.levels[:4] == ("p:1", "p:2", "p:3", "q:1")
    assert inner.codes is not None and len(np.unique(inner.codes)) == 12


def test_only_pairs_that_occur_are_levels(table):
    table = table[~((table.g == "p") & (table.inner == "2"))]
    (term,) = terms("(1 | g:inner)", table)
    assert term.n_levels == 11 and "p:2" not in term.levels


def test_a_factor_varies_by_a_column_for_each_level_or_contrast(table):
    assert terms("(0 + f | g)", table)[0].names == ("f[u]", "f[v]", "f[w]")
    (term,) = terms("(f || g)", table)
    assert term.names == ("Intercept", "f[T.v]", "f[T.w]") and (term.structure, term.n_parameters) == ("independent", 3)


def test_numbers_are_groups_without_a_word_if_they_are_whole(table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (term,) = terms("(1 | id)", table)
    assert term.levels[:2] == ("0", "1") and term.n_levels == 24
    with pytest.warns(UserWarning, match=r"'x' in '\(1 \| x\)' is a number with 48 different values, each of"):
        terms("(1 | x)", table)


def test_rows_without_a_group_are_dropped(table):
    table.loc[table.g == "q", "g"] = None
    with pytest.warns(MissingDataWarning, match="12 of 48 rows dropped for missing values in g"):
        (term,) = terms("(x | g)", table)
    assert term.levels == ("p", "r", "s") and term.columns.shape == (36, 2)
    assert term.codes is not None and term.codes.tolist() == np.repeat(range(3), 12).tolist()


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("(1 | same)", r"the group 'same' of '\(1 \| same\)' has one level only \('a'\)"),
        ("(one | g)", r"the column 'one' in '\(one \| g\)' is the same in all rows"),
        ("(I(x + 1e7) | g)", r"is nearly the same in all rows \(subtract its mean from it\)"),
        ("(zero | g)", "is 0 in all rows"),
        ("(x + I(2*x) | g)", r"the column 'I\(2 \* x\)' in .* is a combination of Intercept, x"),
    ],
)
def test_what_says_nothing_about_how_levels_vary_is_refused(table, right, message):
    with pytest.raises(DataError, match=message):
        terms(right, table)


def test_many_levels_are_no_matter(table):
    table = pd.DataFrame({"y": np.arange(30_000.0), "g": np.repeat(np.arange(15_000), 2).astype(str)})
    assert terms("(1 | g)", table)[0].n_levels == 15_000
