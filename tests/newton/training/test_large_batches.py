"""Large batches of streamed rows: their gradient is that of the batch, whoever adds it up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import parquet
from raphson.errors import DataError
from raphson.newton.training import lanes, large_batches

N = 1_000
pytestmark = [
    pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning"),
    pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.choice(["a", "b", "c"], N), "w": rng.integers(0, 3, N)})
    frame["off"], frame["n"] = rng.random(N), rng.integers(1, 4, N)
    frame["z"] = 50.0 + 10.0 * np.sin(2 * frame["x"]) + (frame["g"] == "b") + rng.normal(size=N)
    frame["hits"] = rng.binomial(frame["n"], 1 / (1 + np.exp(-frame["x"])))
    frame["count"] = rng.poisson(np.exp(0.5 * frame["x"]) * rng.gamma(2.0, 0.5, N))
    frame.loc[::50, "x"] = np.nan
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame.to_parquet(path, row_group_size=300)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(parquet, "PART_ROWS", 300)
    monkeypatch.setattr(lanes, "LANE_ROWS", 64)
    monkeypatch.setattr(large_batches, "LARGE", 128)


def trained(path, formula="z ~ x + g", **more):
    asked = {"hidden": (8,), "activation": "tanh", "epochs": 3, "batch_size": 256, "validation": 0.2}
    return rp.network(formula, rp.stream(path, 256), **(asked | more))


MODELS = {
    "plain": ("z ~ x + g", {}),
    "weights and an offset": ("z ~ x + g", {"weights": "w", "offset": "off"}),
    "trials, adam": ("hits ~ x + g", {"family": "binomial", "trials": "n", "method": "adam"}),
    "negative binomial, weight decay": ("count ~ x", {"family": "negative_binomial", "weight_decay": 0.01}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_all_rows_gives_the_steps_of_the_compiled_loop(name, path, monkeypatch):
    formula, more = MODELS[name]
    asked = {"batch_size": 980, "validation": 0, "precision": "double", "method": "sgd", "epochs": 4} | more
    found = trained(path, formula, **asked)
    monkeypatch.setattr(large_batches, "LARGE", 10**6)
    loop = trained(path, formula, **asked)
    assert found.params.to_numpy().tobytes() != loop.params.to_numpy().tobytes()  # other sums
    np.testing.assert_allclose(found.params, loop.params, rtol=1e-9, atol=1e-12)
    for column in ("loss", "rate", "rows"):
        np.testing.assert_allclose(found.history[column], loop.history[column], rtol=1e-9)
    np.testing.assert_allclose(found.gradient_profile().table, loop.gradient_profile().table, rtol=1e-7)


def test_one_thread_and_two_give_the_same_bits(path):
    asked = {"dropout": 0.1, "schedule": "cosine", "patience": 1000}
    one, two = (trained(path, executor=rp.execute.threads(k), epochs=4, **asked) for k in (1, 2))
    assert one.params.to_numpy().tobytes() == two.params.to_numpy().tobytes()
    pd.testing.assert_frame_equal(one.history, two.history)
    assert np.abs(trained(path, epochs=4, seed=1, **asked).params - one.params).max() > 0


def test_a_training_goes_on_from_its_last_complete_epoch(path, tmp_path, monkeypatch):
    asked = {"dropout": 0.1, "epochs": 4, "schedule": "cosine", "patience": 1000}
    whole, read, done = trained(path, **asked), large_batches.LargeBatchEpochs.read, list[int]()

    def until_the_third(self, here, epoch, rng):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(epoch)
        return read(self, here, epoch, rng)

    monkeypatch.setattr(large_batches.LargeBatchEpochs, "read", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        trained(path, checkpoint=tmp_path / "fit.ckpt", **asked)
    done.clear()
    found = trained(path, checkpoint=tmp_path / "fit.ckpt", **asked)
    assert done == [3, 4]
    assert found.params.to_numpy().tobytes() == whole.params.to_numpy().tobytes()


def test_a_loss_that_diverges_names_the_layer_and_the_weights_before_are_kept(path):
    fit = trained(path, "count ~ x", family="poisson", learning_rate=1e4, method="sgd", validation=0.2)
    assert fit.status is rp.Status.NOT_FINITE
    assert "the loss diverged in epoch 1 at step" in fit.message and "gradient of layer" in fit.message
    assert np.isfinite(fit.params).all()


def test_it_trains_as_well_as_small_batches(path):
    fit = trained(path, epochs=150, learning_rate=0.05, patience=1000)
    assert fit.deviance < 0.3 * fit.null_deviance


def test_batch_norm_and_one_part_are_trained_by_the_compiled_loop(path, monkeypatch):
    monkeypatch.setattr(large_batches.LargeBatchEpochs, "read", None)
    trained(path, batch_norm=True)
    trained(path, update="layerwise")
    monkeypatch.setattr(parquet, "PART_ROWS", 10**6)
    trained(path)


def test_rows_that_change_meanwhile_are_named(path, tmp_path, monkeypatch):
    import shutil

    other = tmp_path / "rows.parquet"
    shutil.copy(path, other)
    read = large_batches.LargeBatchEpochs.read

    def changing(self, here, epoch, rng):
        pd.read_parquet(path).head(900).to_parquet(other, row_group_size=300)
        return read(self, here, epoch, rng)

    monkeypatch.setattr(large_batches.LargeBatchEpochs, "read", changing)
    with pytest.raises(DataError, match=r"rows\.parquet"):
        trained(other)
