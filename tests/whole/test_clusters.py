"""Fits whose sums are computed by other processes have the same bits as those of one thread."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.special import gammaln
from threadpoolctl import threadpool_limits

import raphson as rp
from raphson.data import parquet
from raphson.newton.training import lanes, large_batches


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    n = 3_000
    x, z = rng.normal(size=n), rng.normal(size=n)
    mean = np.exp(0.3 + 0.5 * x)
    data = pd.DataFrame({"x": x, "z": z, "g": rng.choice(["a", "b", "c"], n), "w": rng.integers(0, 3, n)})
    data["low"] = (rng.random(n) < 1 / (1 + np.exp(-x + 0.5 * z))).astype(float)
    data["count"] = rng.poisson(mean * rng.gamma(2.0, 0.5, n)).astype(float)
    data["size"] = mean * rng.gamma(2.0, 0.5, n)
    data["y"] = 1.0 + 2.0 * np.exp(-0.7 * x) + rng.normal(size=n)
    data.loc[rng.choice(n, 40, replace=False), "z"] = np.nan
    return data


@pytest.fixture(scope="module")
def stream(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame.to_parquet(path, row_group_size=500)
    return lambda: rp.stream(path, piece_rows=256)


@pytest.fixture(scope="module")
def few(frame, tmp_path_factory):
    """For functions of Python, which are called row by row."""
    path = tmp_path_factory.mktemp("rows") / "few.parquet"
    frame.head(600).to_parquet(path, row_group_size=100)
    return lambda: rp.stream(path, piece_rows=256)


def same(one, other):
    assert one.params.to_numpy().tobytes() == other.params.to_numpy().tobytes()
    assert one.cov_params().to_numpy().tobytes() == other.cov_params().to_numpy().tobytes()
    assert (one.llf, one.n_iter, one.status, one.message) == (other.llf, other.n_iter, other.status, other.message)


GLMS = {
    "logistic": {"formula": "low ~ x + z + g", "family": "binomial"},
    "weights": {"formula": "count ~ x + z", "family": "poisson", "weights": "w"},
    "theta": {"formula": "count ~ x", "family": "negative_binomial"},
    "robust": {"formula": "y ~ x + g", "cov": "HC1"},
    "levels": {"formula": "g ~ x", "family": "multinomial", "penalty": 0.5},
    "states": {"formula": "count ~ poly(scale(x), 2) + bs(z, df=4) + cr(size, df=3)", "family": "poisson"},
}


@pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning")
@pytest.mark.parametrize("asked", GLMS.values(), ids=GLMS)
def test_a_generalised_linear_model_of_streamed_rows(asked, stream, pool):
    fits = [rp.glm(data=stream(), executor=executor, **asked) for executor in (rp.execute.threads(2), pool)]
    same(*fits)


@pytest.mark.parametrize("n", [12_000, 130_000])
def test_where_one_process_would_leave_the_sums_to_several_threads_of_blas(n, pool, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    pd.DataFrame({"x": x, "y": rng.poisson(np.exp(0.2 * x))}).to_parquet(tmp_path / "rows.parquet")
    with threadpool_limits(2, "blas"):
        fits = [
            rp.glm("y ~ poly(x, 3)", rp.stream(tmp_path / "rows.parquet"), family="poisson", executor=executor)
            for executor in (rp.execute.serial(), rp.execute.threads(2), pool)
        ]
    same(*fits[:2])
    same(*fits[1:])


@pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning")
def test_rows_in_memory(frame, pool):
    rows = pd.concat([frame] * 20, ignore_index=True)
    fits = [
        rp.glm("low ~ x + z + g", rows, family="binomial", executor=executor)
        for executor in (rp.execute.threads(2), pool)
    ]
    same(*fits)


def test_a_fit_by_workers_goes_on_from_a_checkpoint_of_threads(stream, pool, tmp_path):
    asked = {"formula": "low ~ x + g", "family": "binomial", "checkpoint": tmp_path / "fit.ckpt"}
    first = rp.glm(data=stream(), executor=rp.execute.threads(2), **asked)
    size = (tmp_path / "fit.ckpt").stat().st_size
    same(first, rp.glm(data=stream(), executor=pool, **asked))
    assert (tmp_path / "fit.ckpt").stat().st_size == size


def test_a_pool_that_forks_is_refused(stream):
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as forking,
        pytest.raises(rp.ModelError, match="executor: its processes are forks of this one"),
    ):
        rp.glm("low ~ x", stream(), family="binomial", executor=forking)


def gamma_density(y, log_mean, log_shape):
    shape = jnp.exp(log_shape)
    return (
        log_shape * shape - shape * log_mean + (shape - 1) * jnp.log(y) - shape * y / jnp.exp(log_mean) - gammaln(shape)
    )


def normal_rows(params, row):
    return -0.5 * ((row.y - params["a"] * jnp.exp(-params["b"] * row.x)) / jnp.exp(params["s"])) ** 2 - params["s"]


def straight_rows(params, row):
    return -0.5 * ((row.y - params["a"] - params["b"] * row.x) / jnp.exp(params["s"])) ** 2 - params["s"]


def plain_rows(params, row):
    return float(-0.5 * ((row["y"] - params["a"]) / np.exp(params["s"])) ** 2 - params["s"])


LIKELIHOODS = {
    "by name": ("student_t", {"location": "y ~ x", "log_scale": "~ 1"}, {}),
    "a density": (gamma_density, {"log_mean": "size ~ x", "log_shape": "~ 1"}, {}),
    "predictors": (straight_rows, None, {"start": {"a": 2.0, "b": 0.5, "s": 0.0}}),
    "all parameters": (normal_rows, None, {"start": {"a": 2.0, "b": 0.5, "s": 0.0}}),
    "finite": (plain_rows, None, {"start": {"a": 3.0, "s": 0.0}, "derivatives": "finite"}),
}


@pytest.mark.parametrize("density, formulas, more", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_likelihoods_of_ones_own_go_to_workers_by_their_code(density, formulas, more, stream, few, cluster):
    rows = few if density is plain_rows else stream
    fits = [
        rp.mle(density, *([rows()] if formulas is None else [formulas, rows()]), executor=executor, **more)
        for executor in (rp.execute.threads(2), cluster)
    ]
    same(*fits)


CURVES = {
    "curve": {},
    "robust": {"loss": "huber", "cov": "HC0"},
    "bounds": {"bounds": {"b": (0.0, 0.6)}},
}


@pytest.mark.parametrize("more", CURVES.values(), ids=CURVES)
def test_a_curve_of_streamed_rows(more, stream, cluster):
    fits = [
        rp.nls("y ~ c + a*exp(-b*x)", stream(), start={"b": 0.5}, executor=executor, **more)
        for executor in (rp.execute.threads(2), cluster)
    ]
    same(*fits)


BATCHES = {"batches in this process": {}, "large batches on workers": {"batch_size": 512, "dropout": 0.1}}


@pytest.fixture
def large(monkeypatch):
    """Batches of 256 rows are large, and each row group is a part."""
    monkeypatch.setattr(parquet, "PART_ROWS", 500)
    monkeypatch.setattr(large_batches, "LARGE", 256)
    monkeypatch.setattr(lanes, "LANE_ROWS", 128)


@pytest.mark.parametrize("more", BATCHES.values(), ids=BATCHES)
def test_a_network_of_streamed_rows(more, stream, cluster, large):
    fits = [
        rp.network("y ~ x", stream(), hidden=(3,), epochs=2, seed=1, executor=executor, **more)
        for executor in (rp.execute.threads(2), cluster)
    ]
    one, other = fits
    assert one.params.to_numpy().tobytes() == other.params.to_numpy().tobytes() and one.llf == other.llf
    assert one.history.equals(other.history)
    assert len(other.passes) > 10 or not more  # a pass for each step


@pytest.fixture(scope="module")
def partitions(frame, cluster):
    import dask.dataframe as dd

    return dd.from_pandas(frame, npartitions=7)


FRAMES = {
    "glm": lambda data, **more: rp.glm("low ~ x + z + g", data, family="binomial", **more),
    "nls": lambda data, **more: rp.nls("y ~ c + a*exp(-b*x)", data, start={"b": 0.5}, **more),
    "mle": lambda data, **more: rp.mle(straight_rows, data, start={"a": 2.0, "b": 0.5, "s": 0.0}, **more),
    "network": lambda data, **more: rp.network("y ~ x", data, hidden=(3,), epochs=2, seed=1, batch_size=512, **more),
}


@pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning")
@pytest.mark.parametrize("fitted", FRAMES.values(), ids=FRAMES)
def test_a_dask_frame_is_fitted_where_its_partitions_are(fitted, partitions, cluster, large):
    one, there = (fitted(partitions, executor=executor) for executor in (rp.execute.threads(1), cluster))
    assert one.params.to_numpy().tobytes() == there.params.to_numpy().tobytes() and one.llf == there.llf
    if one.status is rp.Status.CONVERGED:
        same(one, there)


def test_the_partitions_of_a_cluster_are_not_for_a_pool(partitions, pool):
    with pytest.raises(rp.ModelError, match="executor: the partitions of this Dask data frame are in the workers"):
        rp.glm("low ~ x", partitions, family="binomial", executor=pool)


def many_curves(executor):
    x = np.tile(np.linspace(0.0, 3.0, 12), 40)
    data = pd.DataFrame({"x": x, "g": np.repeat(np.arange(40), 12)})
    data["y"] = 2.0 * np.exp(-0.7 * x) + 0.05 * np.random.default_rng(0).normal(size=len(x))
    fits = rp.nls("y ~ a*exp(-b*x)", data, start={"b": 1.0}, by="g", executor=executor)
    ragged = rp.nls("y ~ a*exp(-b*x)", data[data.index % 7 > 0], start={"b": 1.0}, by="g", executor=executor)
    return fits.params, fits.bse, ragged.params


TASKS = {
    "replicates": lambda frame, where: [
        rp.glm("low ~ x", frame, family="binomial", executor=where).bootstrap(60, seed=1).estimates
    ],
    "groups": lambda frame, where: [rp.glm("low ~ x", frame, family="binomial", by="g", executor=where).params],
    "curves": lambda frame, where: many_curves(where),
    "checks": lambda frame, where: [rp.glm("low ~ x", frame, family="binomial", executor=where).check(100).table],
}


@pytest.mark.parametrize("asked", TASKS.values(), ids=TASKS)
def test_replicates_groups_and_curves_are_tasks(asked, frame, pool):
    here, there = (asked(frame[:300], where) for where in (rp.execute.threads(2), pool))
    assert len(here) == len(there) > 0
    for one, other in zip(here, there, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_fit_by_workers_can_be_pickled_without_them(frame, pool):
    fit = rp.glm("low ~ x", frame[:300], family="binomial", executor=pool)
    back = pickle.loads(pickle.dumps(fit))  # noqa: S301
    same(fit, back)


@pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning")
def test_predictions_are_written_by_the_workers(stream, partitions, cluster, tmp_path, large):
    fit = rp.glm("low ~ x + z", stream(), family="binomial", executor=cluster)
    for name, new in (("files", stream()), ("partitions", partitions)):
        before = len(fit._reading.state.at.asked.executor.passes)
        fit.predict(new, to=tmp_path / name, interval="confidence")
        (cost,) = fit._reading.state.at.asked.executor.passes[before:]
        assert cost.blocks == len(list((tmp_path / name).iterdir())) > 4 and cost.received < 10_000
        fit.predict(new, to=tmp_path / f"{name}.parquet", interval="confidence")
        one, several = pd.read_parquet(tmp_path / f"{name}.parquet"), pd.read_parquet(tmp_path / name)
        pd.testing.assert_frame_equal(one, several, check_exact=True)


def test_a_fit_says_what_each_pass_cost_and_progress_tells_of_workers(stream, pool):
    fit = rp.glm("low ~ x", stream(), family="binomial", executor=pool)
    passes = fit.passes
    assert list(passes.columns) == ["blocks", "tasks", "workers", "sent", "received", "seconds"]
    assert (passes["workers"] == 2).all() and (passes[["sent", "received", "seconds"]] > 0).all(axis=None)
    assert passes["blocks"].iloc[-1] == 12 and passes["sent"].iloc[-1] < 100_000
    assert not hasattr(rp.glm("low ~ x", stream(), family="binomial"), "passes")


def test_files_that_workers_do_not_see_are_named(pool, tmp_path, frame):
    path = tmp_path / "here.parquet"
    frame.to_parquet(path, row_group_size=500)
    source = rp.stream(path, piece_rows=256)
    source._parts = [[one] for part in source._parts for one in part]
    path.unlink()
    with pytest.raises(rp.DataError, match=r"data: a worker on .* finds no file .*here.parquet; put the files where"):
        rp.glm("low ~ x", source, family="binomial", executor=pool)


# What workers do not survive comes last: each begins anew, and imports all that it needs.


def test_lost_partitions_are_computed_again(frame, partitions, cluster):
    asked = {"formula": "low ~ x + g", "family": "binomial"}
    before = rp.glm(data=partitions, **asked)
    assert (before.passes["workers"] == 2).all()  # those that have the partitions, though none were named
    cluster.restart()
    same(before, rp.glm(data=partitions, **asked))


def test_a_worker_killed_in_the_middle_of_a_fit_changes_nothing(few, cluster, tmp_path):
    died = tmp_path / "died"

    def deadly(params, row):
        if params["a"] != 3.0 and multiprocessing.parent_process() is not None and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return plain_rows(params, row)

    one, other = (
        rp.mle(deadly, few(), start={"a": 3.0, "s": 0.0}, derivatives="finite", executor=executor)
        for executor in (rp.execute.threads(2), cluster)
    )
    assert died.exists()
    same(one, other)
