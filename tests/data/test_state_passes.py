from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import quantiles
from raphson.errors import DataError

N = 6000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, z = rng.normal(2.0, 3.0, N), rng.uniform(1.0, 3.0, N)
    return pd.DataFrame({"x": x, "z": z, "y": rng.poisson(np.exp(0.1 * x - 0.3 * z)).astype(float)})


@pytest.mark.parametrize(
    ("term", "passes"),
    [
        ("scale(log(z))", 0),
        ("poly(scale(x), 2)", 1),
        ("scale(center(x)) + scale(z)", 1),
        ("poly(scale(center(x)), 2)", 2),
        ("poly(log(scale(z, False)), 2) + scale(z, False)", 1),
        ("cr(scale(log(z)), df=4)", 2),
        ("bs(x, df=5) + cr(z, df=4)", 1),
        ("I(center(x) * scale(z))", 0),
        ("poly(I(center(x) * scale(z)), 2)", 1),
    ],
)
def test_transforms_of_transforms_take_as_many_passes_as_they_are_deep(term, passes, frame, pieces):
    held = rp.glm(f"y ~ {term}", frame, family="poisson")
    fit = rp.glm(f"y ~ {term}", pieces(frame), family="poisson")
    assert list(fit.params.index) == list(held.params.index)
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-8
    np.testing.assert_allclose(fit.predict(frame[:50]), held.predict(frame[:50]), rtol=1e-9)
    said = f"{passes} pass{'es' * (passes > 1)} over some columns found states of transforms beforehand"
    assert fit.message.endswith(said) if passes else "beforehand" not in fit.message


def test_formulas_of_a_density_have_them_too(frame, pieces):
    formulas = {"mean": "y ~ scale(log(z))", "zero": "~ bs(x, df=4)"}
    held, fit = (rp.mle("zero_inflated_poisson", formulas, data) for data in (frame, pieces(frame)))
    np.testing.assert_allclose(fit.predict(frame[:50]), held.predict(frame[:50]), rtol=1e-5)
    assert "1 pass over some columns" in fit.message


def test_only_the_columns_of_these_transforms_are_read(frame):
    class Reader:
        asked: list = []  # noqa: RUF012

        def __iter__(self):
            return iter([frame])

    source = rp.stream(Reader(), 256)
    usual = type(source).rows
    asked: list[tuple[str, ...]] = []

    class Noting(type(source)):
        def rows(self, part, columns):
            asked.append(tuple(columns))
            return usual(self, part, columns)

    source.__class__ = Noting
    rp.glm("y ~ bs(x, df=5) + z", source, family="poisson")
    assert asked[0] == ("x",) and set(asked[1]) == {"x", "y", "z"}


@pytest.mark.parametrize(
    ("formula", "kept"),
    [
        ("y ~ scale(x) + poly(z, 2)", quantiles.KEPT),  # the first pass finds both states
        ("y ~ poly(scale(x), 2) + cr(z, df=4)", quantiles.KEPT),
        ("y ~ poly(scale(x), 2) + cr(z, df=4)", 500),
    ],
)
def test_the_bits_are_those_of_one_thread_and_of_an_interrupted_fit(formula, kept, frame, tmp_path, monkeypatch):
    monkeypatch.setattr(quantiles, "KEPT", kept)
    monkeypatch.setattr(quantiles, "FEWEST", kept)
    monkeypatch.setattr(quantiles, "FEW", kept)
    for part in range(3):
        frame[2000 * part : 2000 * part + 2000].to_parquet(tmp_path / f"{part}.parquet", row_group_size=700)
    monkeypatch.setattr("raphson.data.parquet.PART_ROWS", 600)
    params = [
        rp.glm(
            formula,
            rp.stream(f"{tmp_path}/*.parquet", 256),
            family="poisson",
            executor=rp.execute.threads(count),
            checkpoint=tmp_path / "fit.ckpt" if count < 3 else None,  # the second fit reads it
        ).params.to_numpy()
        for count in (1, 2, 3)
    ]
    assert (params[0] == params[1]).all() and (params[0] == params[2]).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.assign(x=rows["x"].where(rows.index != 700, 0.0)), "other values of 'x'"),
        (lambda rows: pd.concat([rows, rows]), "more rows"),
        (lambda rows: rows[:5500], "fewer rows"),
    ],
)
def test_rows_that_are_others_in_the_first_pass_are_found_out(change, says, frame):
    readings = []

    def reader():
        readings.append(0)
        # The first two begin a reading for the names of the columns alone; the third finds the knots.
        return iter([frame if len(readings) < 4 else change(frame)])

    with pytest.raises(DataError, match=f"gave other rows than the first .{says}"):
        rp.glm("y ~ bs(x, df=5)", rp.stream(reader, 256), family="poisson")
