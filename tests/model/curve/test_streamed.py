"""Curves over streamed rows: the numbers of the fit in memory, and no rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import curve_streams
from raphson.data.blocks import StreamedBlocks
from raphson.errors import ConvergenceError, DataError, FormulaError, MissingDataWarning, ModelError
from raphson.model.curve.streamed import StreamedCurve

N, PIECE = 1500, 256
FORMULA = "y ~ top*(1 - exp(-rate*x))"
pytestmark = pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": 5.0 * rng.random(N), "w": rng.integers(0, 4, N), "s": 1.0 + rng.random(N)})
    frame["g"] = rng.choice(["a", "b", "c", "d"], N)
    frame["y"] = 3.0 * (1.0 - np.exp(-0.7 * frame["x"])) + 0.2 * rng.normal(size=N)
    frame["far"] = frame["y"] + 5.0 * (rng.random(N) < 0.1)
    frame.loc[::50, "x"] = np.nan
    return frame


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("curve") / "rows.parquet"
    frame.to_parquet(path, row_group_size=400)
    return path


@pytest.fixture
def few(monkeypatch):
    """A sample that is a part of the rows, as of large data."""
    monkeypatch.setattr(curve_streams, "SAMPLE_ROWS", 300)


START = {"start": {"rate": 1.0}}
"""Of what differs from a plain fit after its end alone: that has no start, and searches for one."""

MODELS = {
    "plain": (FORMULA, {}),
    "start": (FORMULA, {"start": {"rate": 1.0}}),
    "weights": (FORMULA, {"weights": "w"}),
    "frequency": (FORMULA, {"weights": "w", "weights_kind": "frequency"}),
    "sampling": (FORMULA, {"weights": "w", "weights_kind": "sampling"}),
    "sigma": (FORMULA, {"sigma": "0.2*s", "absolute_sigma": True}),
    "penalty": (FORMULA, {"penalty": 2.0}),
    "bounds": (FORMULA, {"bounds": {"rate": (0, 0.5)}}),
    "loose bounds": (FORMULA, {"bounds": {"rate": (0, 5), "top": (0, None)}}),
    "fixed": (FORMULA, {"fixed": {"rate": 0.6}}),
    "gauss-newton": (FORMULA, {"method": "gauss-newton"}),
    "modified": (FORMULA, {"method": "modified-gauss-newton"}),
    "newton": (FORMULA, {"method": "newton"}),
    "observed": (FORMULA, START | {"information": "observed"}),
    "outer products": (FORMULA, START | {"information": "opg"}),
    "ml": (FORMULA, START | {"dispersion": "ml"}),
    "transformed": ("exp(y) ~ a + b*x^c", {"start": {"c": 1.0}}),
    "constant": ("y ~ level + 0*x", {}),
    "HC0": (FORMULA, START | {"cov": "HC0"}),
    "HC1": (FORMULA, START | {"cov": "HC1"}),
    "HC2": (FORMULA, START | {"cov": "HC2"}),
    "HC3": (FORMULA, START | {"cov": "HC3"}),
    "jackknife": (FORMULA, START | {"cov": "jackknife"}),
    "cluster": (FORMULA, START | {"cov": "cluster", "groups": "g"}),
    "huber": (FORMULA.replace("y", "far", 1), {"loss": "huber"}),
    "cauchy": (FORMULA.replace("y", "far", 1), {"loss": "cauchy", "weights": "w"}),
    "tukey": (FORMULA.replace("y", "far", 1), {"loss": "tukey"}),
    "scale": (FORMULA.replace("y", "far", 1), {"loss": "huber", "scale": 0.2}),
}
STATISTICS = ("llf", "deviance", "null_deviance", "dispersion", "aic", "bic", "nobs", "df_resid", "df_model", "rss")


def check_the_same(fit, held):
    assert isinstance(fit._reading.state.at.asked, StreamedCurve)
    assert isinstance(fit._reading.state.at.asked.blocks, StreamedBlocks)
    assert (fit.converged, fit.status, fit.n_dropped) == (held.converged, held.status, held.n_dropped)
    away = np.abs((fit.params - held.params) / held.bse)[held.bse > 0]
    assert (fit.bse.isna() == held.bse.isna()).all()
    assert away.max() < 1e-9
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-8)
    for what in STATISTICS:
        np.testing.assert_allclose(getattr(fit, what), getattr(held, what), rtol=1e-10, err_msg=what)


@pytest.mark.parametrize("name", MODELS)
def test_the_fit_is_that_of_the_data_in_memory(name, frame, path):
    formula, keywords = MODELS[name]
    held, fit = rp.nls(formula, frame, **keywords), rp.nls(formula, rp.stream(path, PIECE), **keywords)
    check_the_same(fit, held)
    assert fit.message == held.message
    assert len(fit.path) >= 2  # its log-likelihoods need the weights' sum
    assert str(fit.summary()).splitlines()[0] == formula


@pytest.mark.parametrize("name", ["plain", "weights", "loose bounds", "bounds", "huber", "tukey", "newton", "HC3"])
def test_a_part_of_the_rows_leads_to_the_minimum_of_all(name, frame, path, few):
    formula, keywords = MODELS[name]
    held, fit = rp.nls(formula, frame, **keywords), rp.nls(formula, rp.stream(path, PIECE), **keywords)
    sample = len(fit._reading.state.at.asked.sample.y)
    assert 250 < sample < 700
    check_the_same(fit, held)
    if name == "plain":
        assert f"(on {sample} of the 1,470 rows)" in fit.message


def test_terms_that_may_change_places_are_told_of(tmp_path, few):
    rng = np.random.default_rng(3)
    x = 4.0 * rng.random(2000)
    y = 3.0 * np.exp(-2.0 * x) + np.exp(-0.3 * x) + 0.01 * rng.normal(size=2000)
    frame = pd.DataFrame({"x": x, "y": y})
    frame.to_parquet(tmp_path / "rows.parquet")
    given = ("y ~ a*exp(-k*x) + b*exp(-m*x)",)
    start = {"k": 1.5, "m": 0.2}
    held, fit = rp.nls(*given, frame, start=start), rp.nls(*given, rp.stream(tmp_path, PIECE), start=start)
    check_the_same(fit, held)
    (said,) = (one for one in held.message.split("; ") if one.startswith("the curve fits as well with"))
    assert said in fit.message


def test_a_parameter_that_the_rows_do_not_determine_is_found_as_in_memory(frame, path, few):
    formula = "y ~ top*scale*(1 - exp(-rate*x))"
    with pytest.warns(rp.errors.RankWarning):
        held = rp.nls(formula, frame, start={"rate": 0.7})
    with pytest.warns(rp.errors.RankWarning):
        fit = rp.nls(formula, rp.stream(path, PIECE), start={"rate": 0.7})
    assert fit.rss == pytest.approx(held.rss, rel=1e-12) and fit.df_resid == held.df_resid
    assert (fit.bse.isna() == held.bse.isna()).all() and fit.bse.isna().sum() == 2
    assert "the data do not determine" in fit.message


def test_a_curve_that_explains_nothing_says_so(frame, tmp_path, few):
    noise = frame[["x"]].assign(y=np.random.default_rng(1).normal(size=N))
    noise.to_parquet(tmp_path / "rows.parquet")
    says = "the curve explains no more of the response than a constant would"
    held = rp.nls("y ~ c + 0*x", noise)
    fit = rp.nls("y ~ c + 0*x", rp.stream(tmp_path, PIECE))
    assert (says in held.message) == (says in fit.message)
    fit = rp.nls("y ~ 5 + d*x", rp.stream(tmp_path, PIECE))
    assert says in rp.nls("y ~ 5 + d*x", noise).message and says in fit.message


@pytest.fixture(scope="module")
def fits(frame, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingDataWarning)
        return rp.nls(FORMULA, frame), rp.nls(FORMULA, rp.stream(path, PIECE))


ASKED = {
    "profile": lambda fit: fit.conf_int(kind="profile"),
    "wald": lambda fit: fit.wald_test("rate = 1").p_value,
    "score": lambda fit: fit.score_test("rate = 1").statistic,
    "t": lambda fit: fit.t_test("top - 4*rate").to_numpy(dtype=float),
    "delta": lambda fit: fit.delta(lambda p: p["top"] * p["rate"]).se,
    "robust": lambda fit: fit.robust("HC1").bse,
    "information": lambda fit: fit.information("observed"),
    "condition number": lambda fit: fit.condition_number,
    "predict": lambda fit: fit.predict({"x": [1.0, 2.0]}, interval="prediction"),
    "update": lambda fit: fit.update(FORMULA + " + c").params,
}


@pytest.mark.parametrize("ask", ASKED)
def test_what_needs_no_rows_or_reads_them_again(ask, fits):
    held, fit = (np.asarray(ASKED[ask](one), dtype=float) for one in fits)
    np.testing.assert_allclose(fit, held, rtol=1e-6)


def test_a_fit_is_saved_and_loaded(fits, tmp_path):
    fits[1].save(tmp_path / "fit.json")
    loaded, new = rp.load(tmp_path / "fit.json"), {"x": [0.5, 3.0]}
    assert (loaded.params == fits[1].params).all() and loaded.llf == fits[1].llf
    assert (loaded.predict(new) == fits[1].predict(new)).all()


def test_rows_are_written_piece_by_piece(fits, frame, path, tmp_path):
    held, fit = fits
    fit.augment(to=tmp_path / "rows.parquet")
    written, there = pd.read_parquet(tmp_path / "rows.parquet"), held.augment()
    assert len(written) == len(there)
    for name in (".fitted", ".resid", ".hat"):
        np.testing.assert_allclose(written[name], there[name], rtol=1e-9, atol=1e-12)
    fit.predict(rp.stream(path, PIECE), to=tmp_path / "p.csv", interval="confidence")
    np.testing.assert_allclose(
        pd.read_csv(tmp_path / "p.csv")["lower"].iloc[:3], held.predict(frame, interval="confidence")["lower"].iloc[:3]
    )
    fit.predict(to=tmp_path / "used.parquet")
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "used.parquet")["fit"], held.fittedvalues)


@pytest.mark.parametrize("ask", ["residuals()", "fittedvalues", "augment()", "bootstrap(5)", "curvature()"])
def test_what_has_a_value_for_each_row_is_refused(ask, fits):
    with pytest.raises((DataError, ModelError), match="streamed rows are not kept in memory"):
        eval(f"fit.{ask}", {"fit": fits[1]})


def test_several_files_and_a_reader_of_ones_own_are_the_same_data(frame, tmp_path):
    held = rp.nls(FORMULA, frame)
    for k, part in enumerate(np.array_split(np.arange(N), 3)):
        frame.iloc[part].to_parquet(tmp_path / f"{k}.parquet")
        frame.iloc[part].to_csv(tmp_path / f"{k}.csv", index=False)
    frame.iloc[:0].to_parquet(tmp_path / "9.parquet")  # an empty part

    class Reader:
        def __iter__(self):
            for first in range(0, N, 97):
                yield frame.iloc[first : first + 97]

    for source in (str(tmp_path / "*.parquet"), str(tmp_path / "*.csv"), Reader()):
        check_the_same(rp.nls(FORMULA, rp.stream(source, PIECE)), held)
    assert isinstance(rp.nls(FORMULA, Reader())._reading.state.at.asked, StreamedCurve)  # without being asked


def test_a_block_of_weight_zero_changes_nothing(frame, tmp_path):
    more = pd.concat([frame, frame.assign(y=1e3, w=0), frame])
    more.to_parquet(tmp_path / "rows.parquet", row_group_size=400)
    fit = rp.nls(FORMULA, rp.stream(tmp_path, PIECE), weights="w")
    check_the_same(fit, rp.nls(FORMULA, more, weights="w"))


def test_threads_give_the_same_bits(path, few):
    one, two = (rp.nls(FORMULA, rp.stream(path, PIECE), executor=rp.execute.threads(k)) for k in (1, 2))
    assert (one.params == two.params).all() and (one.bse == two.bse).all() and one.llf == two.llf


def test_a_start_where_the_curve_is_not_finite_names_the_rows(frame, tmp_path):
    frame.assign(x=frame["x"].where(frame.index != 1401, -1.0)).to_parquet(tmp_path / "rows.parquet")
    asked = ("y ~ a + b*log(x - c)", rp.stream(tmp_path, PIECE))
    with pytest.raises(
        ConvergenceError, match=r"'log\(x - c\)' is not finite in 1 of 1470 rows \(row 1372 of those used"
    ):
        rp.nls(*asked, start={"a": 1.0, "b": 1.0, "c": -0.5})


def replaced(folder, name, change):
    file = folder / f"{name}.parquet"
    change(pd.read_parquet(file)).to_parquet(file)


SPOILT = {
    "lacks a column": (lambda part: part.drop(columns="x"), "lacks the column 'x'"),
    "another type": (lambda part: part.assign(x="one"), "x"),
    "a negative weight": (lambda part: part.assign(w=-1.0), "weights: expected numbers of 0 or more"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_refused(how, frame, tmp_path):
    for k, part in enumerate(np.array_split(np.arange(N), 3)):
        frame.iloc[part].to_parquet(tmp_path / f"{k}.parquet")
    change, says = SPOILT[how]
    replaced(tmp_path, 2, change)
    with pytest.raises(DataError, match=says):
        rp.nls(FORMULA, rp.stream(tmp_path, PIECE), weights="w")


def test_a_file_that_is_cut_or_changed_is_refused(frame, tmp_path):
    for k, part in enumerate(np.array_split(np.arange(N), 3)):
        frame.iloc[part].to_parquet(tmp_path / f"{k}.parquet")
    fit = rp.nls(FORMULA, rp.stream(tmp_path, PIECE))
    replaced(tmp_path, 1, lambda part: part.assign(y=part["y"] + 1.0))
    with pytest.raises(DataError, match=r"1\.parquet|other values of 'y'|changed"):
        fit.score_test("rate = 1")
    whole = (tmp_path / "2.parquet").read_bytes()
    (tmp_path / "2.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"2\.parquet"):
        rp.nls(FORMULA, rp.stream(tmp_path, PIECE))


def test_a_reader_that_gives_other_rows_the_second_time_is_refused(frame):
    class Moving:
        reading = 0

        def __iter__(self):
            self.reading += 1
            yield frame.assign(y=frame["y"] + (self.reading > 3))

    with pytest.raises(DataError, match="a second reading gave other rows than the first"):
        rp.nls(FORMULA, Moving())


@pytest.mark.parametrize(
    ("more", "kind", "says"),
    [
        ({"by": "g"}, ModelError, "by: curves of groups are fitted from data in memory"),
        ({"method": "newton-cg"}, ModelError, "keeps the curvature of every row"),
        ({"method": "adam"}, ModelError, "expected a model with linear predictors"),
        ({"weights": np.ones(N)}, DataError, "weights: expected a column's name or an expression"),
        ({"derivatives": "finite"}, ModelError, "derivatives: those of an expression are always exact"),
        ({"start": {"rate": 9.0}, "bounds": {"rate": (0, 1)}}, ModelError, "lies outside its bounds"),
        ({"start": {"other": 9.0}}, FormulaError, "start: 'other' does not occur in the curve"),
    ],
)
def test_what_cannot_be_streamed_is_refused(more, kind, says, path):
    with pytest.raises(kind, match=says):
        rp.nls(FORMULA, rp.stream(path, PIECE), **more)


@pytest.mark.parametrize("pair", [True, False])
def test_a_function_is_refused_in_words(pair, path):
    source = rp.stream(path)
    with pytest.raises(DataError, match="write the curve as an expression of columns"):
        rp.nls(lambda p, x: p["a"] * x, (source, "y") if pair else source, start={"a": 1.0})


@pytest.mark.parametrize("more", [{}, {"loss": "huber"}])
def test_a_checkpoint_gives_the_same_bits_wherever_it_was_cut(more, path, tmp_path):
    checkpoint = tmp_path / "fit.ckpt"
    given = {"checkpoint": checkpoint} | more
    first = rp.nls(FORMULA, rp.stream(path, PIECE), **given)
    assert first.bse.notna().all()  # what is asked after the end is in the file too
    whole = checkpoint.read_bytes()
    for share in (0.3, 0.7, 1.0):
        checkpoint.write_bytes(whole[: int(share * len(whole))])
        again = rp.nls(FORMULA, rp.stream(path, PIECE), **given)
        assert (again.params == first.params).all() and (again.bse == first.bse).all()
        assert checkpoint.read_bytes() == whole
    with pytest.raises(DataError, match="its fixed was None, and now it is"):
        rp.nls(FORMULA, rp.stream(path, PIECE), **given, fixed={"rate": 0.6})
    with pytest.raises(DataError, match="its model was"):
        rp.nls(FORMULA + " + c", rp.stream(path, PIECE), **given)


def test_rows_in_memory_have_no_checkpoint(frame, tmp_path):
    with pytest.raises(ModelError, match="checkpoint: passes over data in memory are not kept"):
        rp.nls(FORMULA, frame, checkpoint=tmp_path / "fit.ckpt")


@pytest.mark.parametrize("more", [{}, {"weights": "w"}, {"weights": "w", "weights_kind": "frequency"}])
def test_the_summary_reads_no_row_again(more, frame, few):
    class Counted:
        readings = 0

        def __iter__(self):
            self.readings += 1
            yield frame

    source = Counted()
    fit = rp.nls(FORMULA, rp.stream(source, PIECE), start={"rate": 0.7}, **more)
    done = source.readings
    held = rp.nls(FORMULA, frame, start={"rate": 0.7}, **more)
    assert fit.llf == pytest.approx(held.llf, rel=1e-13) and fit.message == held.message
    assert fit.bse.notna().all() and fit.aic == pytest.approx(held.aic, rel=1e-13)
    assert source.readings == done
