"""Sums on a device, here the processor as JAX's own, against the host's over the same rows."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import jax
import numpy as np
import pytest

from raphson.data.blocks import StreamedBlocks, make_blocks
from raphson.data.factor_design import FactorDesign, Layout, Term
from raphson.data.pieced_design import SingleDesign
from raphson.execute import gpu
from raphson.model import device_rows, families
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Need, Root
from raphson.model.predictor import LinearPredictor

KINDS = ("expected", "observed", "opg")
rng = np.random.default_rng(0)
N = 300
X = rng.normal(size=(N, 3))
THETA = np.array([0.2, -0.3, 0.1])
Y = {
    "binomial": rng.integers(0, 2, N).astype(float),
    "gaussian": rng.normal(size=N),
    "poisson": rng.poisson(1.0, N).astype(float),
    "gamma": rng.gamma(2.0, size=N),
}


def likelihoods(family, X=X, y=None, theta=THETA, weight=None, offset=None, memory=None, **given):
    """The same on the host and on a device."""
    family = families.resolve(family)
    y = Y[family.name] if y is None else y
    predictor = LinearPredictor((X.shape[1],), (0,))
    blocks = make_blocks((X,), y, weight, offset)
    dispersed = None if family.dispersion_fixed else 290.0
    host = LogLikelihood(family, predictor, blocks, residual_df=dispersed, **given)
    return host, replace(host, executor=gpu(platform="cpu", memory=memory))


def check(host, device, theta, need, rtol=1e-11):
    assert device._on_device is not None and device._on_device.read(theta, need, tuple) is not None
    one, other = host.evaluate(theta, need), device.evaluate(theta, need)
    # Sums of terms of both signs have an error of the sum of their sizes.
    assert other.value == pytest.approx(one.value, rel=rtol) and other.rows == one.rows
    scale = np.sqrt(np.diagonal(host.evaluate(theta, Need(("opg",))).information["opg"].matrix))
    np.testing.assert_allclose(other.score / scale, one.score / scale, atol=100 * rtol)
    assert other.dispersion == pytest.approx(one.dispersion, rel=rtol) and other.added == one.added
    assert set(other.information) == set(one.information)
    for kind, part in one.information.items():
        there = other.information[kind]
        assert type(there) is type(part)
        np.testing.assert_allclose(there.matrix, part.matrix, rtol=rtol, atol=rtol * np.abs(part.matrix).max())
        if isinstance(part, Root):
            R, S = part.triangle, there.triangle
            np.testing.assert_allclose(S[:, :-1].T @ S[:, -1], R[:, :-1].T @ R[:, -1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("family", ["binomial", "gaussian", "poisson", families.Gamma(link="log"), "gamma"])
def test_value_score_and_every_information_agree_with_the_hosts(family):
    weight = rng.integers(0, 3, N).astype(float)
    theta = THETA if families.resolve(family).name != "gamma" or family != "gamma" else np.array([0.01, 0.0, 0.0])
    design = X if family != "gamma" else np.column_stack([np.ones(N), 0.1 * X[:, 1:]])
    theta = theta if family != "gamma" else np.array([0.5, 0.1, -0.1])
    host, device = likelihoods(family, design, weight=weight, offset=0.01 * rng.normal(size=(1, N)), copies=weight)
    for need in (Need(), Need(KINDS), Need(("expected", "observed"), root=True)):
        check(host, device, theta, need)


def test_rows_of_weight_zero_may_be_anything():
    weight = np.ones(N)
    weight[[0, 7]] = 0.0
    y, design = Y["poisson"].copy(), X.copy()
    design[0] = 1e200  # its mean overflows
    host, device = likelihoods("poisson", design, y, weight=weight)
    there = device.evaluate(THETA, Need(("expected",)))
    assert math.isfinite(there.value) and there.value == pytest.approx(host.evaluate(THETA).value, rel=1e-12)


def test_outside_the_domain_the_value_is_minus_infinity_and_there_is_no_information():
    _, device = likelihoods(families.Poisson(link="identity"), y=Y["poisson"])
    found = device.evaluate(np.array([-50.0, 0.0, 0.0]), Need(("expected",)))
    assert found.value == -math.inf and not found.information and not found.score.any()


def test_rows_at_the_edge_of_the_domain_are_left_to_the_host():
    design, y = np.column_stack([np.ones(N), X[:, 0] > 0]), np.where(X[:, 0] > 0, 0.0, 2.0)
    host, device = likelihoods(families.Poisson(link="identity"), design, y)
    theta = np.array([2.0, -2.0 + 1e-12])  # the mean of half of the rows is all but 0, as their response is
    assert device._on_device.read(theta, Need(("expected",)), tuple) is None
    found, there = host.evaluate(theta, Need(("expected",))), device.evaluate(theta, Need(("expected",)))
    assert np.array_equal(found.information["expected"].matrix, there.information["expected"].matrix)


def test_where_a_row_has_no_root_that_matrix_comes_as_it_is():
    host, device = likelihoods(families.robust.Huber(scale=0.5), y=Y["gaussian"])
    check(host, device, THETA, Need(("expected", "observed"), root=True))
    assert not isinstance(device.evaluate(THETA, Need(("observed",), root=True)).information["observed"], Root)


def test_a_penalty_is_added_on_the_host():
    host, device = likelihoods("binomial", penalty=np.diag([1.0, 2.0, 3.0]))
    check(host, device, THETA, Need(KINDS))


def test_several_predictors():
    y = rng.integers(0, 3, N).astype(float)
    family = families.Multinomial(levels=("a", "b", "c"))
    blocks = make_blocks((X,), y, None, None)
    host = LogLikelihood(family, LinearPredictor((3, 3), (0, 0)), blocks)
    device = replace(host, executor=gpu(platform="cpu"))
    theta = 0.3 * rng.normal(size=6)
    for need in (Need(), Need(KINDS)):
        check(host, device, theta, need)
    assert device._on_device.read(theta, Need(("expected",), root=True), tuple) is None  # the host has K roots a row


@pytest.mark.parametrize("log_theta", [2.0, 799.0, 801.0, -801.0])
def test_no_theta_of_a_negative_binomial_family_is_farther_than_on_the_host(log_theta):
    blocks = make_blocks((X, np.ones((N, 1))), Y["poisson"])
    host = LogLikelihood(families.NegativeBinomial(), LinearPredictor((3, 1), (0, 1)), blocks)
    found = replace(host, executor=gpu(platform="cpu")).evaluate(np.append(THETA, log_theta), Need(("expected",)))
    there = host.evaluate(np.append(THETA, log_theta), Need(("expected",)))
    assert found.value == pytest.approx(there.value, rel=1e-12) and found.information.keys() == there.information.keys()


def test_factors_and_designs_in_32_bits_are_written_out_where_they_are_read():
    codes, other = rng.integers(0, 3, N), rng.integers(0, 4, N)
    terms = [
        Term((0,), np.array([-1, 1, 2])),
        Term((1,), np.array([-1, 3, 4, 5]), 0),
        Term((0, 1), np.array([[-1, -1, -1, -1], [-1, 6, 7, 8], [-1, 9, -1, 10]])),
    ]
    layout = Layout(11, (3, 4), terms, [0])
    factors = FactorDesign(layout, [codes, other], [rng.normal(size=N)], np.ones((N, 1)))
    single = SingleDesign(X.astype(np.float32), np.array([1.0, 2.0, 1e3]))
    for design, size in ((factors, 11), (single, 3)):
        theta = 1e-3 * rng.normal(size=size)
        host, device = likelihoods("binomial", design)
        check(host, device, theta, Need(("expected",)))
    # The same layout made anew compiles nothing anew.
    again = Layout(11, (3, 4), terms, [0])
    form = device_rows.DeviceRows.of(likelihoods("binomial", factors)[1], gpu(platform="cpu").device).traced
    assert form == likelihoods("binomial", FactorDesign(again, *vars_of(factors)))[1]._on_device.traced


def vars_of(design):
    return design.codes, design.scales, design.dense


@pytest.fixture
def small_chunks(monkeypatch):
    """Rows cut as many times as many more would be."""
    blocks = [make_blocks((X[i : i + 20],), Y["binomial"][i : i + 20])[0] for i in range(0, N, 20)]
    blocks = [replace(block, start=20 * i) for i, block in enumerate(blocks)]
    cut = []
    for block in blocks:
        weight = np.zeros(20)
        weight[:] = block.weight[:20]
        cut.append(replace(block, y=block.y[:20], weight=weight))
    return LogLikelihood(families.Binomial(), LinearPredictor((3,), (0,)), cut)


def test_chunks_are_blocks_put_together(small_chunks):
    device = replace(small_chunks, executor=gpu(platform="cpu"))
    chunks = device._on_device.chunks
    assert [len(chunk.blocks) for chunk in chunks] == [1] * 15  # with four times as many there would be too few
    check(small_chunks, device, THETA, Need(KINDS))
    more = replace(small_chunks, blocks=small_chunks.blocks * 2)
    there = replace(more, executor=gpu(platform="cpu"))
    assert [len(chunk.blocks) for chunk in there._on_device.chunks] == [4] * 7 + [2]
    check(more, there, THETA, Need(("expected",)))


def test_what_has_no_room_is_sent_each_time(small_chunks):
    one = replace(small_chunks, executor=gpu(platform="cpu"))
    one.evaluate(THETA)
    kept = one.executor.device.kept
    every = kept.n_bytes
    assert every == 300 * (3 + 2) * 8  # the design, the response and the weights, each once
    device = replace(small_chunks, executor=gpu(platform="cpu", memory=every // 2))
    check(small_chunks, device, THETA, Need(("expected",)))
    assert 0 < device.executor.device.kept.n_bytes <= every // 2
    check(small_chunks, replace(small_chunks, executor=gpu(platform="cpu", memory=0)), THETA, Need(("expected",)))


def test_a_second_evaluation_sends_nothing_but_the_parameters(small_chunks, monkeypatch):
    device = replace(small_chunks, executor=gpu(platform="cpu"))
    device.evaluate(THETA)
    monkeypatch.setattr(device_rows.DeviceRows, "_sent", lambda *_: pytest.fail("rows are sent again"))
    device.evaluate(THETA + 0.1)
    # Neither does another likelihood of the same blocks.
    replace(device, penalty=np.eye(3)).evaluate(THETA)


def test_streamed_blocks_are_sent_as_they_are_read(small_chunks):
    blocks = small_chunks.blocks

    def read(numbers):
        return iter([blocks[number] for number in numbers])

    streamed = replace(small_chunks, blocks=StreamedBlocks(N, len(blocks), read, lambda _: iter([blocks])))
    device = replace(streamed, executor=gpu(platform="cpu"))
    found, there = small_chunks.evaluate(THETA, Need(("expected",))), device.evaluate(THETA, Need(("expected",)))
    assert there.value == pytest.approx(found.value, rel=1e-13) and device.executor.device.kept.n_bytes == 0


def test_the_users_jax_keeps_its_precision_and_device():
    before = jax.config.jax_enable_x64, jax.config.jax_default_device
    host, device = likelihoods("binomial")
    check(host, device, THETA, Need(("expected",)))
    assert (jax.config.jax_enable_x64, jax.config.jax_default_device) == before
    assert jax.numpy.ones(1).dtype == np.float32


def test_a_pickle_finds_its_own_device():
    _, device = likelihoods("binomial")
    value = device.evaluate(THETA).value
    again = copy.deepcopy(device)
    assert again.executor == device.executor and again.evaluate(THETA).value == value


def test_a_new_value_compiles_nothing():
    _, device = likelihoods("binomial")
    device.evaluate(THETA, Need(("expected",)))
    programs = device_rows._rows.cache_info().misses, device_rows._sums.cache_info().misses
    _, other = likelihoods("binomial", y=1.0 - Y["binomial"])
    other.evaluate(2.0 * THETA, Need(("expected",)))
    assert (device_rows._rows.cache_info().misses, device_rows._sums.cache_info().misses) == programs


def test_rows_that_lie_together_are_not_copied():
    from raphson.model.device_designs import filled_rows

    parts = [X[i : i + 60] for i in range(0, N, 60)]
    assert np.shares_memory(filled_rows(parts, N, 0), X) and np.array_equal(filled_rows(parts, N, 0), X)
    for other in ([*parts[1:], parts[0]], [parts[0], *(part.copy() for part in parts[1:])]):
        assert np.array_equal(filled_rows(other, N, 0), np.concatenate(other))
    columns = np.asfortranarray(X)
    assert np.array_equal(filled_rows([columns[:100], columns[100:]], N, 0), X)
