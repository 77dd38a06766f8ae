"""New data get the columns and levels of the fit, also after saving; what is new in them is told."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_formula, from_stream, stream
from raphson.data.schema import FormulaSchema, Schema
from raphson.data.several import from_formulas
from raphson.errors import DataError, FormulaError

FORMULA = "y ~ z + s(x, k=6) + s(x, by=f, basis='ps', k=5) + (poly(z, 2) | g/h) + (0 + f || g) + s(h, basis='re')"


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 96
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(size=n),
            "z": rng.normal(size=n),
            "f": np.tile(["u", "v"], n // 2),
            "g": np.repeat(list("pqrs"), n // 4),
            "h": np.tile([1, 2, 3], n // 3),
        }
    )


@pytest.fixture
def made(table):
    return from_formula(FORMULA, table, varying=True)


def test_the_fits_own_rows_give_its_own_terms_also_after_saving(made, table):
    loaded = Schema.from_dict(json.loads(json.dumps(made.schema.to_dict())))
    for schema in (made.schema, loaded):
        new = schema.design(table)
        assert np.asarray(new.X).tolist() == np.asarray(made.X).tolist() and schema.names == made.names
        for one, other in zip(new.varying, made.varying, strict=True):
            assert one.columns.tolist() == other.columns.tolist()
            assert (one.label, one.levels, one.names, one.structure) == (
                other.label,
                other.levels,
                other.names,
                other.structure,
            )
            assert one.codes is None or one.codes.tolist() == other.codes.tolist()


def test_rows_in_another_order_keep_their_levels(made, table):
    rows = np.array([90, 3, 41])
    for one, other in zip(made.schema.design(table.iloc[rows]).varying, made.varying, strict=True):
        assert one.columns == pytest.approx(other.columns[rows], abs=1e-13)
        assert one.codes is None or one.codes.tolist() == other.codes[rows].tolist()


def test_a_new_level_is_told_and_a_missing_one_is_missing(made, table):
    new = table.iloc[[0, 1, 2]].assign(g=["p", "new", None])
    design = made.schema.design(new, missing="nan")
    codes = {term.label: term.codes for term in design.varying}
    assert codes["poly(z, 2) | g"].tolist() == [0, -1, -1]
    assert codes["poly(z, 2) | g:h"].tolist() == [0, -1, -1]
    assert design.absent is not None and design.absent.tolist() == [False, False, True]
    codes = {term.label: term.codes for term in made.schema.design(table.iloc[[0]].assign(h=7)).varying}
    assert codes["poly(z, 2) | g"].tolist() == [0] and codes["poly(z, 2) | g:h"].tolist() == [-1]


def test_a_prediction_for_the_population_needs_no_groups(made, table):
    design = made.schema.population().design(table[["x", "z", "f"]])
    assert [term.label for term in design.varying] == ["s(x)", "s(x):f[u]", "s(x):f[v]"]
    assert np.asarray(design.X).tolist() == np.asarray(made.X).tolist()


def test_a_damaged_description_is_refused(made):
    saved = made.schema.to_dict()
    for change in ({"varying": saved["varying"][:1]}, {"varying": [{}] * 5}):
        with pytest.raises(DataError, match="damaged"):
            Schema.from_dict(saved | change)
    spoilt = json.loads(json.dumps(saved))
    spoilt["varying"][0]["margins"][0]["penalised"] = [[1.0]]
    with pytest.raises(DataError, match="damaged"):
        Schema.from_dict(spoilt)


def test_a_formula_without_such_terms_is_saved_as_before(table):
    schema = from_formula("y ~ x", table).schema
    assert isinstance(schema, FormulaSchema) and "varying" not in schema.to_dict()


def test_models_that_cannot_have_them_say_so(table):
    with pytest.raises(FormulaError, match=r"the coefficients of \(1 \| g\) vary, which this model cannot have"):
        from_formula("y ~ x + (1 | g)", table)
    with pytest.raises(FormulaError, match=r"the coefficients of s\(x\) vary, which this model cannot have"):
        from_formulas({"mu": "y ~ x", "sigma": "~ s(x)"}, table)


def test_streamed_data_say_so(table, tmp_path):
    table.to_parquet(tmp_path / "data.parquet")
    with pytest.raises(FormulaError, match=r"\(1 \| g\) vary, which takes all rows at once, but the data are streamed"):
        from_stream("y ~ x + (1 | g)", stream(tmp_path / "data.parquet"), arguments={})


@pytest.mark.parametrize(
    ("formula", "column"), [("y ~ 1 + (z | g)", "z"), ("y ~ s(x, k=5)", "x"), ("y ~ s(x, by=z, k=5)", "z")]
)
def test_text_in_new_rows_does_not_stand_for_numbers(table, formula, column):
    schema = from_formula(formula, table, varying=True).schema
    new = table.head(4).assign(**{column: ["7", "9", "7", "9"]})
    with pytest.raises(DataError, match=f"new data: expected numbers in '{column}'; got text"):
        schema.design(new)
