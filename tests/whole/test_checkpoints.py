"""A fit that is killed goes on from its checkpoint: with the same bits, and at most one pass more."""

from __future__ import annotations

import json
import signal
import sys

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import DataError, ModelError
from raphson.execute.journal import Journal
from raphson.model.families import Binomial
from raphson.newton.training import first_order

PARTS, PART = 6, 512

FIT = """
import json, os, signal, sys
import raphson as rp
from raphson.data import parquet

parquet.PART_ROWS = 512
left, read, inner = int(sys.argv[2]), 0, parquet.Stream.read

def counted(self, *given):
    global read
    read += 1
    if read == left:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(self, *given)

parquet.Stream.read = counted
source = rp.stream(sys.argv[1] + "/rows.parquet", piece_rows=256)
shared = {"executor": rp.execute.serial(), "checkpoint": sys.argv[1] + "/fit.ckpt"}
if sys.argv[3] == "network":
    fit = rp.network("y ~ x + g", source, family="binomial", hidden=4, epochs=5, dropout=0.1, batch_norm=True, **shared)
elif sys.argv[3] == "glm":
    fit = rp.glm("y ~ x + g", source, family="binomial", **shared)
elif sys.argv[3] == "nls":
    fit = rp.nls("y ~ a / (1 + exp(-b * x))", source, start={"a": 0.5, "b": 1.0}, **shared)
elif sys.argv[3] == "mle":
    fit = rp.mle("zip", {"mean": "y ~ x + g", "zero": "~ 1"}, source, **shared)
else:
    import jax.numpy as jnp

    def bernoulli(params, row):
        eta = params["beta"][0] + params["beta"][1] * row.x + params["level"] * row.g
        return row.y * eta - jnp.logaddexp(0.0, eta)

    fit = rp.mle(bernoulli, source, start={"beta": [0.0, 0.0], "level": 0.0}, **shared)
bits = [value.hex() for value in (*fit.params, *fit.bse, fit.llf)]
print(json.dumps([bits, fit.path.astype(str).to_numpy().tolist(), read]))
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    n = PARTS * PART
    x, g = rng.normal(size=n), rng.choice(["a", "b"], n)
    y = (rng.random(n) < 1 / (1 + np.exp(1 - x))).astype(float)
    pd.DataFrame({"x": x, "g": g, "y": y}).to_parquet(tmp_path / "rows.parquet", row_group_size=PART)
    return tmp_path


@pytest.fixture
def fitted(folder, script):
    def fit(kill_at=0, door="glm"):
        done = script(FIT, str(folder), str(kill_at), door)
        assert done.returncode == (-signal.SIGKILL if kill_at else 0), done.stderr
        return None if kill_at else json.loads(done.stdout)

    return fit


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_fit_goes_on_with_the_same_bits_and_one_pass_more_at_most(folder, fitted):
    checkpoint = folder / "fit.ckpt"
    bits, path, unbroken = fitted()
    assert unbroken >= 4 * PARTS
    # In the first pass, at the beginning of a later one, in the middle of the last one.
    for kill_at in (2, 2 * PARTS + 1, unbroken - 1):
        checkpoint.unlink()
        fitted(kill_at)
        again, steps, read = fitted()
        assert again == bits
        assert steps == path
        assert kill_at + read <= unbroken + PARTS
    again, steps, read = fitted()
    assert again == bits
    assert steps == path
    assert read == 0  # nor of the log-likelihood, which is computed when it is asked for


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_likelihood_goes_on_with_the_same_bits(folder, fitted):
    frame = pd.read_parquet(folder / "rows.parquet")
    counts = np.random.default_rng(2).poisson(2.0, len(frame)) * frame["y"]
    frame.assign(y=counts).to_parquet(folder / "rows.parquet", row_group_size=PART)
    bits, path, unbroken = fitted(door="mle")
    (folder / "fit.ckpt").unlink()
    kill_at = unbroken - PARTS - 1
    fitted(kill_at, "mle")
    again, steps, read = fitted(door="mle")
    assert again == bits and steps == path
    assert kill_at + read <= unbroken + PARTS


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_curve_goes_on_with_the_same_bits(folder, fitted):
    bits, path, unbroken = fitted(door="nls")
    for kill_at in (PARTS // 2, PARTS + 2, unbroken - 1):
        (folder / "fit.ckpt").unlink()
        fitted(kill_at, "nls")
        again, steps, read = fitted(door="nls")
        assert again == bits and steps == path
        assert kill_at + read <= unbroken + PARTS


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_training_goes_on_with_the_same_bits(folder, fitted):
    bits, path, unbroken = fitted(door="network")
    for kill_at in (PARTS + 1, 3 * PARTS + 2, unbroken - 2 * PARTS - 1):  # in the second reading, an epoch, the end
        (folder / "fit.ckpt").unlink()
        fitted(kill_at, "network")
        again, steps, read = fitted(door="network")
        assert again == bits and steps == path
        assert kill_at + read <= unbroken + PARTS  # the rows held out are kept


def trained(folder, formula="y ~ x + g", **given):
    source = rp.stream(folder / "rows.parquet", piece_rows=256)
    asked = {"family": "binomial", "hidden": 4, "epochs": 2, "checkpoint": folder / "fit.ckpt"}
    return rp.network(formula, source, **asked | given)


def test_more_epochs_go_on_from_the_last_and_others_begin_anew(folder, monkeypatch):
    whole = trained(folder, epochs=4)
    (folder / "fit.ckpt").unlink()
    trained(folder)
    read, epochs = first_order.CompiledEpochs.read, []

    def counted(self, here, epoch, rng):
        epochs.append(epoch)
        return read(self, here, epoch, rng)

    monkeypatch.setattr(first_order.CompiledEpochs, "read", counted)
    more = trained(folder, epochs=4)
    assert epochs == [3, 4]
    assert (more.params == whole.params).all() and more.history.equals(whole.history)
    for other in ({"learning_rate": 0.01}, {"seed": 1}, {"method": "sgd"}, {"start": whole.params}):
        epochs[:] = []
        trained(folder, **other)
        assert epochs == [1, 2]


def test_another_network_or_other_data_are_refused(folder):
    trained(folder)
    with pytest.raises(DataError, match=r"its hidden was '\(4,\)', and now it is '\(5,\)'"):
        trained(folder, hidden=(5,))
    with pytest.raises(DataError, match=r"its validation was 0.1, and now it is 0.2"):
        trained(folder, validation=0.2)
    with pytest.raises(DataError, match=r"its function was 'network', and now it is 'glm'"):
        fit(folder)
    frame = pd.read_parquet(folder / "rows.parquet")
    frame.assign(y=1 - frame["y"]).to_parquet(folder / "rows.parquet", row_group_size=PART)
    with pytest.raises(DataError, match=r"its data's file [^ ]+'s (size in bytes|time of change) was"):
        trained(folder)


def test_a_second_order_method_of_a_network_has_a_checkpoint_over_streamed_rows_alone(folder):
    asked = {"method": "levenberg-marquardt", "weight_decay": 1e-2, "max_iter": 3}
    with pytest.warns(rp.errors.ConvergenceWarning):
        rp.network("y ~ x", rp.stream(folder / "rows.parquet"), hidden=2, checkpoint=folder / "fit.ckpt", **asked)
    assert (folder / "fit.ckpt").exists()
    with pytest.raises(ModelError, match="checkpoint: only first-order methods have this option"):
        rp.network("y ~ x", pd.read_parquet(folder / "rows.parquet"), checkpoint=folder / "other.ckpt", **asked)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_function_of_rows_goes_on_with_the_same_bits(folder, fitted):
    bits, path, unbroken = fitted(door="general")
    for kill_at in (2, PARTS + 2, unbroken - PARTS - 1):  # when the first rows are read, then the totals, then a step
        (folder / "fit.ckpt").unlink()
        fitted(kill_at, "general")
        again, steps, read = fitted(door="general")
        assert again == bits and steps == path
        assert kill_at + read <= unbroken + PARTS  # what the first rows of three columns tell is kept


SLOPE = 1.0


def density(y, eta):
    return y * eta - jnp.logaddexp(0.0, eta)


def test_a_function_with_another_body_is_refused(folder, monkeypatch):
    def fit(function):
        source = rp.stream(folder / "rows.parquet", piece_rows=256)
        return rp.mle(function, {"eta": "y ~ x"}, source, checkpoint=folder / "fit.ckpt")

    def general(function):
        source = rp.stream(folder / "rows.parquet", piece_rows=256)
        return rp.mle(function, source, start={"a": 0.0, "b": 0.0}, checkpoint=folder / "general.ckpt")

    def changed(y, eta):
        return y * eta - jnp.logaddexp(0.0, eta) - 0.1 * eta**2

    def loglik(params, row):
        return density(row.y, params["a"] + SLOPE * params["b"] * row.x)

    changed.__name__ = "density"
    assert (fit(density).params == fit(density).params).all()
    with pytest.raises(DataError, match=r"its logpdf's code, as a digest, was '.*', and now it is"):
        fit(changed)
    general(loglik)
    monkeypatch.setattr(sys.modules[__name__], "SLOPE", 2.0)
    with pytest.raises(DataError, match=r"its logpdf's code, as a digest, was '.*', and now it is"):
        general(loglik)
    monkeypatch.undo()
    with pytest.raises(DataError, match="its parameters was"):
        rp.mle(
            loglik,
            rp.stream(folder / "rows.parquet", piece_rows=256),
            start={"a": 0.0, "b": 0.0, "c": 0.0},
            checkpoint=folder / "general.ckpt",
        )


def fit(folder, formula="y ~ x + g", **given):
    source = rp.stream(folder / "rows.parquet", piece_rows=256)
    return rp.glm(formula, source, checkpoint=folder / "fit.ckpt", **{"family": "binomial"} | given)


def test_another_model_or_other_data_are_refused(folder):
    fit(folder)
    with pytest.raises(DataError, match=r"its formula was 'y ~ x \+ g', and now it is 'y ~ x'"):
        fit(folder, "y ~ x")
    with pytest.raises(DataError, match="its family was 'binomial', and now it is 'poisson'"):
        fit(folder, family="poisson")
    with pytest.raises(DataError, match=r"its penalty was None, and now it is 1"):
        fit(folder, penalty=1.0)
    frame = pd.read_parquet(folder / "rows.parquet")
    frame.assign(y=1 - frame["y"]).to_parquet(folder / "rows.parquet", row_group_size=PART)
    with pytest.raises(DataError, match=r"its data's file [^ ]+'s (size in bytes|time of change) was"):
        fit(folder)


def test_options_of_the_iteration_may_change(folder):
    with pytest.warns(rp.errors.ConvergenceWarning):
        fit(folder, max_iter=1)
    more = fit(folder)
    assert more.converged
    (folder / "fit.ckpt").unlink()
    assert (more.params == fit(folder).params).all()


def test_an_altered_file_is_recognised(folder):
    fit(folder)
    content = bytearray((folder / "fit.ckpt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "fit.ckpt").write_bytes(content)
    with pytest.raises(DataError, match="checkpoint: expected a file as the fit wrote it"):
        fit(folder)


def test_rows_in_memory_have_no_checkpoint(folder):
    with pytest.raises(ModelError, match="checkpoint: passes over data in memory are not kept"):
        rp.glm("y ~ x", pd.read_parquet(folder / "rows.parquet"), checkpoint=folder / "fit.ckpt")
    with pytest.raises(ModelError, match="checkpoint: expected the name of a file; got 3"):
        rp.glm("y ~ x", rp.stream(folder / "rows.parquet"), checkpoint=3)
    assert not (folder / "fit.ckpt").exists()


@pytest.mark.parametrize("method", ["sgd", "adam"])
@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_a_descent_goes_on_from_its_last_epoch_with_the_same_bits(method, folder, monkeypatch):
    asked = {"method": method, "max_iter": 4, "seed": 7}
    whole = fit(folder, **asked)
    (folder / "fit.ckpt").unlink()
    read = first_order.CompiledEpochs.read
    epochs = []

    def stopping(self, here, epoch, rng):
        epochs.append(epoch)
        if epoch == last:
            raise KeyboardInterrupt
        return read(self, here, epoch, rng)

    monkeypatch.setattr(first_order.CompiledEpochs, "read", stopping)
    last = 3
    with pytest.raises(KeyboardInterrupt):
        fit(folder, **asked)
    last, epochs[:] = 0, []
    again = fit(folder, **asked)
    assert epochs == [3, 4]
    assert [x.hex() for x in again.params] == [x.hex() for x in whole.params]
    assert again.path.equals(whole.path)
    epochs[:] = []
    fit(folder, **asked | {"learning_rate": 0.001})  # another descent begins anew
    assert epochs == [1, 2, 3, 4]


def test_other_data_in_text_files_are_refused(folder):
    frame = pd.read_parquet(folder / "rows.parquet")
    given = {"family": "binomial", "checkpoint": folder / "fit.ckpt"}
    frame.to_csv(folder / "rows.csv", index=False)
    first = rp.glm("y ~ x + g", rp.stream(folder / "rows.csv"), **given)
    assert (rp.glm("y ~ x + g", rp.stream(folder / "rows.csv"), **given).params == first.params).all()
    frame.assign(y=1 - frame["y"]).to_csv(folder / "rows.csv", index=False)
    with pytest.raises(DataError, match=r"its data's file [^ ]+'s (size in bytes|time of change) was"):
        rp.glm("y ~ x + g", rp.stream(folder / "rows.csv"), **given)


def test_other_rows_of_a_reader_are_fitted_anew(folder):
    frame = pd.read_parquet(folder / "rows.parquet")
    other = frame.assign(y=1 - frame["y"])
    given = {"family": "binomial", "checkpoint": folder / "fit.ckpt"}
    before = rp.glm("y ~ x", rp.stream([frame[:2000], frame[2000:]]), **given)
    again = rp.glm("y ~ x", rp.stream([frame[:2000], frame[2000:]]), **given)
    after = rp.glm("y ~ x", rp.stream([other[:2000], other[2000:]]), **given)
    assert (again.params == before.params).all()
    np.testing.assert_allclose(after.params, -before.params, rtol=1e-6)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda path: path.mkdir(), "is a folder; name a file"),
        (lambda path: path.write_bytes(b"PAR1" + bytes(50)), "is another kind of file. Pass another name"),
        (lambda path: path.symlink_to(path.parent / "none" / "fit"), "there is no folder"),
    ],
    ids=["a folder", "another kind of file", "a link to nowhere"],
)
def test_what_is_no_checkpoint_is_refused_before_a_row_is_read(made, says, folder, monkeypatch):
    made(folder / "fit.ckpt")
    monkeypatch.setattr("raphson.data.parquet.Stream.read", None)
    with pytest.raises(DataError, match=says):
        fit(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_of_two_fits_at_once_the_second_is_refused(folder):
    with Journal(folder / "fit.ckpt", {}), pytest.raises(DataError, match="is being written by another fit"):
        fit(folder)


def test_checkpoints_of_two_functions_are_told_apart(folder):
    fit(folder)
    source = rp.stream(folder / "rows.parquet", piece_rows=256)
    with pytest.raises(DataError, match=r"its function was 'glm', and now it is 'mle'"):
        rp.mle("zip", {"mean": "y ~ x + g", "zero": "~ 1"}, source, checkpoint=folder / "fit.ckpt")
    with pytest.raises(DataError, match="checkpoint: "):
        rp.network("y ~ x", pd.read_parquet(folder / "rows.parquet"), checkpoint=folder / "fit.ckpt", epochs=1)
    rp.network("y ~ x", pd.read_parquet(folder / "rows.parquet"), checkpoint=folder / "network.ckpt", epochs=1)
    with pytest.raises(DataError, match=r"is another kind of file\. Pass another name"):
        rp.glm("y ~ x", source, checkpoint=folder / "network.ckpt")


def test_another_version_is_refused(folder, monkeypatch):
    fit(folder)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    with pytest.raises(DataError, match=r"its version was '.*', and now it is '99'\. Delete the file"):
        fit(folder)


def test_the_edges_of_the_domain_and_the_tests_of_a_fit_are_kept_too(folder, monkeypatch):
    def lines():
        found = fit(folder, "y ~ x", family=Binomial("log"), cov="HC1")
        return repr([found.llf, found.null_deviance, *found.bse, found.score_test("x").statistic])

    first = lines()
    monkeypatch.setattr("raphson.data.parquet.Stream.read", None)
    assert lines() == first
