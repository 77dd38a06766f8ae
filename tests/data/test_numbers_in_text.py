"""One stray token must not make a factor of a numeric column; and what is a factor stays one, without a word."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import raphson as rp
from raphson.cli import main
from raphson.data.numbers_in_text import check_text, examine

rng = np.random.default_rng(0)
N = 120
Y = rng.normal(size=N)
NUMBERS = [str(value) for value in rng.normal(size=N).round(1)]
TOKENS = [".", "n/a", "#N/A", "NA ", "-", "?", "", " ", "missing", "<0.1", "1,234", "3,5", "12 kg", "$5", "12%", "−5",
          "(12)", "1.5.", "1e5x", "None", "see note"]  # fmt: skip


def design(x, formula="y ~ x"):
    """The names of the design, and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = rp.data.from_formula(formula, {"y": Y[: len(x)], "x": x})
    return model.names, " ".join(str(one.message) for one in said)


def spoilt(token):
    return [token if row in (7, 30) else number for row, number in enumerate(NUMBERS)]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_among_numbers_is_refused_by_name(token):
    with pytest.raises(rp.DataError) as refused:
        design(spoilt(token))
    message = str(refused.value)
    assert "column 'x' is text" in message and repr(token) in message and "write C(x)" in message
    assert any(remedy in message for remedy in ("na_values=", "decimal=','", "to_numeric"))
    # In a transform and in a likelihood's own columns there is no C().
    with pytest.raises(rp.DataError, match="expected numbers in") as refused:
        design(spoilt(token), "y ~ exp(x)")
    assert repr(token) in str(refused.value)
    with pytest.raises(rp.DataError, match="column 'x' is text") as refused:
        rp.mle(lambda p, row: -((row.y - p["b"] * row.x) ** 2), {"y": Y, "x": spoilt(token)}, start={"b": 0.0})
    assert repr(token) in str(refused.value) and "C(x)" not in str(refused.value)


@pytest.mark.parametrize(
    "texts",
    [
        [number.replace(".", ",") for number in NUMBERS],
        [f"{number} kg" for number in NUMBERS],
        [f"${number}" for number in NUMBERS],
        [f"{1000 + row:,}" for row in range(N)],
        NUMBERS,
        [f" {number} " for number in NUMBERS],
    ],
    ids=["decimal commas", "units", "dollars", "thousands", "plain", "blanks"],
)
def test_numbers_as_text_are_refused(texts):
    with pytest.raises(rp.DataError, match=r"column 'x' (is text, although|contains numbers as text,) .*C\(x\)"):
        design(texts)
    names, said = design(texts, "y ~ C(x)")
    assert len(names) == len(set(texts)) and not said


@pytest.mark.parametrize(
    "levels",
    [
        ["1", "2", "3"],
        ["0", "1"],
        ["0.5", "1.0", "2.0"],
        ["5 mg", "10 mg", "20 mg"],
        ["10%", "20%"],
        ["0-5", "5-10", "10+"],
        ["1", "2", "3+"],
        ["0", "1", "2-5", "6 or more"],
        ["a", "b", "n/a"],
        ["1st", "2nd", "3rd"],
        [str(year) for year in range(2000, 2030)],
        [f"{code:03d}" for code in range(1, 120)],
        [f"A{code}" for code in range(30)],
        [f"{code}B" for code in range(30)],
        ["2020-01-01", "2020-01-02"],
        ["12:30", "13:00"],
    ],
    ids=" ".join,
)
def test_a_factor_of_text_stays_one_without_a_word(levels):
    texts = (levels * N)[:N] if len(levels) < N else levels
    names, said = design(texts)
    assert len(names) == len(set(texts)) and not said


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (["1", "2", "other"], "numbers except 'other'; it is treated as a factor of 3 levels"),
        (["2001", "2002", "unknown"], "numbers except 'unknown'; it is treated as a factor of 3 levels"),
        ([str(age) for age in range(2, 100)], "contains numbers as text, and is treated as a factor of 98 levels"),
        ([*map(str, range(100, 130)), "A12"], "numbers except 'A12'; it is treated as a factor of 31 levels"),
    ],
)
def test_what_may_be_either_is_told_of(levels, words):
    with pytest.warns(UserWarning, match=words):
        model = rp.data.from_formula("y ~ x", {"y": Y, "x": (levels * N)[:N]})
    assert len(model.names) == len(levels)
    names, said = design((levels * N)[:N], "y ~ C(x)")
    assert len(names) == len(levels) and not said


def test_a_declared_factor_is_left_alone():
    names, said = design(pd.Categorical(spoilt("n/a")))
    assert len(names) == len(set(spoilt("n/a"))) and not said


def test_every_source_is_looked_at(tmp_path, capsys):
    import polars
    import pyarrow

    table = {"y": Y, "x": spoilt("n/a")}
    for source in (pd.DataFrame(table), polars.DataFrame(table), pyarrow.table(table)):
        with pytest.raises(rp.DataError, match=r"column 'x' is text.*'n/a'"):
            rp.glm("y ~ x", source)
    pd.DataFrame(table).to_csv(tmp_path / "spoilt.csv", index=False)
    assert main(["fit", "y ~ x", str(tmp_path / "spoilt.csv")]) == 2
    assert "column 'x' is text, although its values are numbers except 'n/a'" in capsys.readouterr().err
    pd.DataFrame(table).to_parquet(tmp_path / "spoilt.parquet")
    with pytest.raises(rp.DataError, match=r"column 'x' is text.*'n/a'"):
        rp.glm("y ~ x", rp.stream(tmp_path / "spoilt.parquet"))
    with pytest.raises(rp.DataError, match=r"column 'y' is text.*'n/a'"):
        rp.glm(np.array(spoilt("n/a")), np.ones((N, 1)), family="multinomial", names=["one"])
    with pytest.raises(rp.DataError, match=r"column 'x' contains numbers and text [(]'n/a'[)]"):
        rp.glm("y ~ x", {"y": Y[:3], "x": [1.5, "n/a", 2.5]})
    with pytest.raises(rp.DataError, match=r"column 'x' holds text [(]'n/a'[)]"):
        rp.nls("y ~ a*exp(b*x)", table)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=30), st.sampled_from(["{}", " {}", "{}\t"]))
def test_however_python_writes_a_float_it_is_a_number(values, written):
    assert examine([written.format(value) for value in values]).number.all()


@given(st.lists(st.from_regex(r"[A-Z]{1,3}-?\d{1,4}|0\d{1,5}|[a-z]{1,8}", fullmatch=True), min_size=1, unique=True))
def test_codes_and_words_are_never_refused(labels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_text(labels, np.arange(len(labels)), "id", len(labels), "write C(id)")


@given(
    st.lists(st.floats(-1e6, 1e6).map(lambda value: f"{value:.3f}"), min_size=4, unique=True),
    st.text(st.characters(codec="utf-8", exclude_characters="0123456789"), max_size=6),
)
def test_any_text_among_decimals_is_refused(numbers, token):
    if token.strip().lower() in ("inf", "infinity", "+inf", "-inf"):
        return
    labels = [*dict.fromkeys(numbers), token]
    with pytest.raises(rp.DataError):
        check_text(labels, np.arange(len(labels)), "x", len(labels), "write C(x)")


def test_a_column_of_text_that_is_missing_in_all_rows_has_no_labels():
    assert examine([]).number.dtype == bool
    check_text((), np.full(3, -1), "g", 3, "")
