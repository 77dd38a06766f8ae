"""Networks over streamed rows: those of the rows in memory, in bounded memory, and with the same bits each time."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import parquet
from raphson.errors import ConvergenceWarning, DataError, MissingDataWarning, ModelError
from raphson.model.network import streamed
from raphson.model.network.model import NetworkModel
from raphson.model.network.streamed import StreamedNetwork
from raphson.model.streamed import fields_of
from raphson.report import progress

N, PIECE = 1000, 256
pytestmark = pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")

ONE = {"hidden": (8,), "activation": "tanh", "epochs": 3}
"""What most tests train."""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "size": 1e4 + 1e3 * rng.normal(size=N),
            "g": rng.choice(["a", "b", "c"], N),
            "w": rng.integers(0, 3, N),
            "off": rng.random(N),
            "n": rng.integers(1, 4, N),
        }
    )
    eta = np.sin(2 * frame["x"]) + 0.5 * (frame["g"] == "b")
    frame["z"] = 50.0 + 10.0 * eta + rng.normal(size=N)
    frame["brand"] = np.where(eta < -0.5, "low", np.where(eta < 0.5, "mid", "top"))
    frame["hits"] = rng.binomial(frame["n"], 1 / (1 + np.exp(-eta)))
    frame["count"] = rng.poisson(np.exp(0.5 * eta) * rng.gamma(2.0, 0.5, N))
    frame.loc[::50, "x"] = np.nan
    return frame


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "rows.parquet"
    frame.to_parquet(path, row_group_size=300)
    return path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parquet, "PART_ROWS", 300)


def streaming(frame, size=300):
    """The rows in several tables, in pieces of 256 rows."""
    return rp.stream([frame[a : a + size] for a in range(0, len(frame), size)], PIECE)


MODELS = {
    "plain": ("z ~ x + size + g", {}),
    "weights and an offset": ("z ~ x + g", {"weights": "w", "offset": "off", "validation": 0.2}),
    "frequency": ("z ~ x", {"weights": "w", "weights_kind": "frequency", "weight_decay": 1e-2}),
    "levels, batch norm": ("brand ~ x + size", {"family": "multinomial", "batch_norm": True, "hidden": (8, 8)}),
    "trials, dropout": ("hits ~ x + g", {"family": "binomial", "trials": "n", "dropout": 0.2}),
    "negative binomial": ("count ~ x", {"family": "negative_binomial", "precision": "double"}),
    "layerwise": ("z ~ x", {"update": "layerwise", "schedule": "cosine", "batch_norm": True}),
    "stacked, momentum": ("z ~ x + g", {"hidden": (8, 8), "residual": "stacked", "method": "momentum"}),
    "no validation": ("count ~ x", {"family": "poisson", "validation": 0, "method": "rmsprop"}),
    "patience": ("z ~ x", {"patience": 2, "epochs": 60, "learning_rate": 0.5}),
}


@pytest.mark.parametrize("name", MODELS)
def test_data_of_one_piece_give_the_same_bits_as_a_frame(name, frame):
    formula, options = MODELS[name]
    asked = ONE | options
    held, fit = rp.network(formula, frame, **asked), rp.network(formula, rp.stream([frame]), **asked)
    assert isinstance(fit._reading.state.at.asked, StreamedNetwork)
    np.testing.assert_array_equal(fit.params, held.params)
    pd.testing.assert_frame_equal(fit.history, held.history)
    assert (fit.message, fit.status, fit.nobs, fit.n_dropped) == (held.message, held.status, held.nobs, held.n_dropped)
    for quantity in ("deviance", "null_deviance", "llf", "dispersion", "df_model", "df_resid"):
        assert getattr(fit, quantity) == pytest.approx(getattr(held, quantity), rel=1e-9), quantity
    new = frame.head(20)
    asked = {"se": True, "interval": "confidence", "offset": new["off"] if "offset" in options else None}
    np.testing.assert_allclose(fit.predict(new, **asked), held.predict(new, **asked), rtol=1e-7)


@pytest.mark.parametrize("name", ["plain", "weights and an offset", "levels, batch norm"])
def test_many_pieces_train_as_well(name, frame, path):
    formula, options = MODELS[name]
    asked = ONE | {"epochs": 60, "learning_rate": 0.01} | options
    held, fit = rp.network(formula, frame, **asked), rp.network(formula, rp.stream(path, PIECE), **asked)
    assert fit._reading.state.at.asked.streamed.source.parts == 4
    assert fit.nobs == pytest.approx(held.nobs, abs=3)
    for loss in ("loss", "validation"):
        assert fit.history[loss].min() == pytest.approx(held.history[loss].min(), rel=0.1, abs=0.02)
    assert fit.deviance < 0.6 * fit.null_deviance


def test_the_seed_decides_whatever_the_number_of_threads(path):
    asked = ONE | {"validation": 0.2, "batch_norm": True, "dropout": 0.1}
    one, two, again = (
        rp.network("z ~ x + g", rp.stream(path, PIECE), **asked, executor=rp.execute.threads(k)) for k in (1, 2, 2)
    )
    other = rp.network("z ~ x + g", rp.stream(path, PIECE), **asked, seed=1)
    for fit in (two, again):
        np.testing.assert_array_equal(fit.params, one.params)
        pd.testing.assert_frame_equal(fit.history, one.history)
        assert (fit.deviance, fit.dispersion, fit.df_model) == (one.deviance, one.dispersion, one.df_model)
    assert np.abs(other.params - one.params).max() > 0


def test_sums_over_held_out_rows_are_by_pieces_with_the_same_bits(path, monkeypatch):
    fit = rp.network("z ~ x + g", rp.stream(path, PIECE), **ONE, seed=1)
    theta, held = fit.params.to_numpy(), fit._reading.state.at.asked.held_out
    whole = NetworkModel(**fields_of(NetworkModel, held))
    sizes = []
    assert len(held.y) > 50
    monkeypatch.setattr(streamed, "BLOCK_ROWS", (32,))
    by_pieces = held.summed(lambda one: sizes.append(len(one.y)) or one.pearson(one.rows(theta)))
    assert max(sizes) == 32 and sum(sizes) == len(held.y)
    assert by_pieces == pytest.approx(whole.pearson(whole.rows(theta)), rel=1e-12)
    monkeypatch.undo()
    assert held.loss(theta) == whole.loss(theta)
    assert "inputs" not in vars(held)  # which take as much memory as the design


def test_held_out_rows_beyond_the_bound_are_read_piece_by_piece(path, monkeypatch):
    asked = ONE | {"validation": 0.2}
    kept = rp.network("z ~ x + g", rp.stream(path, PIECE), **asked)
    monkeypatch.setattr(streamed, "HELD_BYTES", 0)
    fit = rp.network("z ~ x + g", rp.stream(path, PIECE), **asked)
    assert isinstance(fit._reading.state.at.asked.held_out, StreamedNetwork)
    assert not isinstance(kept._reading.state.at.asked.held_out, StreamedNetwork)
    np.testing.assert_array_equal(fit.params, kept.params)
    np.testing.assert_allclose(fit.history, kept.history, rtol=1e-12)
    assert fit.dispersion == pytest.approx(kept.dispersion, rel=1e-12)
    table = fit.predict({"x": [0.1], "g": ["b"]}, interval="confidence")
    pd.testing.assert_frame_equal(table, kept.predict({"x": [0.1], "g": ["b"]}, interval="confidence"))


def test_no_row_validates_that_trains(path):
    fit = rp.network("z ~ x + g", rp.stream(path, PIECE), **ONE, validation=0.3, weights="w")
    asked = fit._reading.state.at.asked
    training, held = ([one.response.values for _, one in data.read(data.pieces)] for data in (asked.streamed,) * 2)
    assert len(np.concatenate(training)) == asked.n_rows
    assert not np.isin(asked.held_out.y, np.concatenate(held)).any()
    assert (asked.held_out.data.weights > 0).all()


SECOND = {
    "levenberg-marquardt": {},
    "gauss-newton": {"damping": 1e-3},
    "newton": {},
    "modified-gauss-newton": {},
    "fisher-scoring": {},
    "bhhh": {},
    "gradient-descent": {"learning_rate": 1e-3},
}


@pytest.mark.parametrize("method", SECOND)
def test_second_order_methods_add_up_the_blocks_of_all_pieces(method, frame, path):
    asked = {"hidden": (3,), "activation": "tanh", "weight_decay": 1e-2, "max_iter": 6} | SECOND[method]
    start = rp.network("z ~ x + g", frame, hidden=(3,), activation="tanh", epochs=40, learning_rate=0.02).params
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        held = rp.network("z ~ x + g", frame, **asked, method=method, start=start)
        fit = rp.network("z ~ x + g", rp.stream(path, PIECE), **asked, method=method, start=start)
    assert fit.n_iter == held.n_iter
    np.testing.assert_allclose(fit.params, held.params, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fit.path["llf"], held.path["llf"], rtol=1e-9)
    assert fit.df_model == pytest.approx(held.df_model, rel=1e-6)


def test_a_maximum_is_that_of_the_rows_in_memory(frame, path):
    asked = {"hidden": (2,), "activation": "tanh", "weight_decay": 1e-1, "method": "levenberg-marquardt"}
    held, fit = (rp.network("z ~ x", data, **asked) for data in (frame, rp.stream(path, PIECE)))
    assert held.converged and fit.converged and fit.distance < 1e-8
    np.testing.assert_allclose(fit.predict(frame.head(50)), held.predict(frame.head(50)), rtol=1e-8)


def test_batch_norm_is_frozen_over_all_pieces(frame, path):
    asked = {"hidden": (4, 4), "batch_norm": True, "method": "levenberg-marquardt", "max_iter": 2, "dropout": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = rp.network("z ~ x + g", frame, **asked).params
        held, fit = (rp.network("z ~ x + g", data, **asked, start=start) for data in (frame, rp.stream(path, PIECE)))
    for one, other in zip(
        fit._reading.predictor.state["running"], held._reading.predictor.state["running"], strict=True
    ):
        for name in other:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-10, atol=1e-14)


def test_a_piece_of_many_weights_is_several_blocks(frame):
    from raphson.model.network import predictor

    asked = {"hidden": (8,), "method": "levenberg-marquardt", "max_iter": 2, "weight_decay": 1e-2}
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", ConvergenceWarning)
        held = rp.network("z ~ x + g", frame, **asked)
        patch.setattr(predictor, "JACOBIAN_BYTES", 0)  # blocks of 256 rows
        fit = rp.network("z ~ x + g", rp.stream([frame], 1024), **asked)
        assert len(next(iter(fit._reading.state.at.asked.blocks))) == 4
    np.testing.assert_allclose(fit.params, held.params, rtol=1e-7, atol=1e-9)


def test_of_many_weights_the_last_layer_gives_the_intervals(frame):
    asked = {"hidden": (250,), "epochs": 2, "validation": 0}
    held, fit = (rp.network("z ~ x", data, **asked) for data in (frame, rp.stream([frame])))
    cut = rp.network("z ~ x", streaming(frame), **asked)
    new = {"x": [-1.0, 0.0, 2.0]}
    pd.testing.assert_frame_equal(fit.predict(new, se=True), held.predict(new, se=True), rtol=1e-7)
    assert cut.interval_kind == "last layer" and np.isfinite(cut.predict(new, se=True)).all(axis=None)


def test_rows_are_written_piece_by_piece(frame, path, tmp_path):
    held, fit = (rp.network("z ~ x + g", data, **ONE, validation=0.2) for data in (frame, rp.stream([frame])))
    cut = rp.network("z ~ x + g", rp.stream(path, PIECE), **ONE, validation=0.2)
    for one in (fit, cut):
        one.augment(to=tmp_path / "rows.parquet")
        written = pd.read_parquet(tmp_path / "rows.parquet")
        assert len(written) == one.nobs
        np.testing.assert_allclose(written[".fitted"], one.predict(written))
        if one is fit:
            expected = held.augment().reset_index(drop=True)
            pd.testing.assert_frame_equal(written, expected, check_dtype=False)
    cut.predict(rp.stream(path, PIECE), to=tmp_path / "new.parquet", interval="prediction")
    written = pd.read_parquet(tmp_path / "new.parquet")
    np.testing.assert_allclose(written, cut.predict(frame, interval="prediction"))
    cut.predict(to=tmp_path / "used.parquet", se=True)
    assert len(pd.read_parquet(tmp_path / "used.parquet")) == cut.nobs
    for what in (lambda: cut.fittedvalues, lambda: cut.predict(), lambda: cut.residuals()):
        with pytest.raises(DataError, match="streamed rows are not kept in memory"):
            what()


def test_a_saved_network_predicts_the_same(path, frame, tmp_path):
    fit = rp.network("brand ~ x + g", rp.stream(path, PIECE), family="multinomial", **ONE)
    fit.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    pd.testing.assert_frame_equal(loaded.predict(frame, se=True), fit.predict(frame, se=True))
    assert str(loaded.summary()) == str(fit.summary())


def test_sorted_rows_are_shuffled_together(frame):
    ordered = frame.sort_values("z")
    fit = rp.network("z ~ x + g", streaming(ordered, 100), **ONE | {"epochs": 40, "learning_rate": 0.01})
    assert fit.deviance < 0.3 * fit.null_deviance


def test_progress_tells_how_far_an_epoch_is(frame, capsys, monkeypatch):
    monkeypatch.setattr(progress, "TICK", 0.0)
    monkeypatch.setattr(progress.Progress.__init__, "__defaults__", (None, 1.0, False, 0.0))
    rp.network("z ~ x + g", streaming(frame), **ONE | {"epochs": 2, "batch_size": 8}, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("Fitting, epoch 1 of 2, loss ") and "% of 882 rows, " in line for line in lines)
    assert any(line.startswith("Fitting, epoch 2 of 2, loss ") and ", validation " in line for line in lines)


# -- bad input -----------------------------------------------------------------------------------------------------


def test_a_level_that_only_the_last_part_has(frame):
    late = frame.assign(g=np.where(np.arange(N) < N - 20, frame["g"], "late"))
    late = late.assign(brand=np.where(np.arange(N) < N - 20, late["brand"], "new"))
    fit = rp.network("brand ~ g", streaming(late), family="multinomial", **ONE)
    assert fit._reading.predictor.network.layers[0].inputs == 3
    assert fit.predict({"g": ["late"]}).columns.tolist() == ["low", "mid", "new", "top"]


def test_a_block_without_weight_trains_nothing_and_changes_nothing(frame):
    light = frame.assign(w=np.where((np.arange(N) >= 256) & (np.arange(N) < 512), 0.0, 1.0))
    fit = rp.network("z ~ x + g", streaming(light), weights="w", **ONE, validation=0.2)
    assert fit.nobs == round(0.8 * ((light["w"] > 0) & light["x"].notna()).sum())
    other = light.assign(z=np.where(light["w"] > 0, light["z"], 50.0), size=0.0)
    same = rp.network("z ~ x + g", streaming(other), weights="w", **ONE, validation=0.2)
    np.testing.assert_array_equal(same.params, fit.params)
    with pytest.raises(DataError, match="weights: all are 0"):
        rp.network("z ~ x", streaming(frame.assign(w=0.0)), weights="w", **ONE)


def test_an_empty_part_and_a_part_that_is_dropped_are_left_out(frame):
    gone = frame.assign(x=np.where((np.arange(N) >= 300) & (np.arange(N) < 600), np.nan, frame["x"]))
    tables = [gone[:300], gone[:0], gone[300:600], gone[600:]]
    with pytest.warns(MissingDataWarning, match=r"314 of 1000 rows dropped"):
        fit = rp.network("z ~ x", rp.stream(tables, PIECE), **ONE, validation=0)
    assert fit.nobs == 686


def test_a_column_that_one_file_lacks_and_a_file_that_changes(frame, tmp_path):
    for number, part in enumerate((frame[:500], frame[500:].drop(columns="g"))):
        part.to_parquet(tmp_path / f"{number}.parquet")
    with pytest.raises(DataError, match=r"1\.parquet: lacks the column 'g'"):
        rp.network("z ~ x + g", rp.stream(tmp_path, PIECE), **ONE)
    assert rp.network("z ~ x", rp.stream(tmp_path, PIECE), **ONE).nobs > 800
    tables = [frame[:500].copy(), frame[500:]]
    seen = []

    def change(**row):
        seen.append(row)
        tables[0].loc[tables[0].index[3], "z"] = 0.0

    with pytest.raises(DataError, match=r"a second reading gave other rows than the first .*'z'"):
        rp.network("z ~ x + g", rp.stream(tables, PIECE), **ONE, progress=change)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "newton-cg", "epochs": 200}, ModelError, "newton-cg keeps the curvature of every row in memory"),
        ({"weights": np.ones(N)}, DataError, "weights: expected a column's name"),
        ({"batch_size": 5000}, DataError, "batch_size: expected at most 882, the number of training rows"),
        ({"family": "gamma", "offset": "off", "trials": "n"}, (DataError, ModelError), "trials"),
        ({"family": "quasipoisson"}, (ModelError, DataError), "family: expected one with a log density|response"),
        ({"family": "multinomial"}, DataError, "response 'z': expected categories"),
        ({"method": "newton", "epochs": 3}, ModelError, "epochs: only first-order methods"),
        ({"names": ["a"]}, ModelError, "names: a formula names its own columns"),
    ],
)
def test_bad_input_is_refused_in_one_line(options, error, message, path):
    with pytest.raises(error, match=message) as caught:
        rp.network("z ~ x + g", rp.stream(path, PIECE), **{"hidden": (8,), "epochs": 1} | options)
    assert "\n" not in str(caught.value)


def test_a_formula_without_inputs_is_refused(path):
    with pytest.raises(ModelError, match="expected at least one input besides the intercept"):
        rp.network("z ~ 1", rp.stream(path, PIECE))
