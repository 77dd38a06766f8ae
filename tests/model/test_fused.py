"""Readings in pieces against the blocks' own sums, which autodiff's rows make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raphson.data.blocks import make_blocks
from raphson.data.crossed import FEW_COLUMNS, NARROW, WIDE
from raphson.data.pieced_design import WrittenDesign
from raphson.execute import serial, threads
from raphson.model import families
from raphson.model.fused import FEW_WRITTEN, WRITTEN_ROWS, read
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Need
from raphson.model.predictor import LinearPredictor

N = 2 * NARROW + 357


class Plain(LogLikelihood):
    """Without rows by hand."""

    @property
    def _kernel(self):
        return None


def problem(family, columns=7, weights=None, order="C", seed=0, cls=LogLikelihood):
    rng = np.random.default_rng(seed)
    X = np.asarray(rng.normal(size=(N, columns)) / np.sqrt(columns), order=order)
    eta = rng.normal(size=N)
    y = {
        "binomial": rng.integers(0, 2, N).astype(float),
        "gaussian": eta,
        "poisson": rng.poisson(np.exp(eta)).astype(float),
        "gamma": rng.gamma(2.0, np.exp(eta)),
    }[family.name.removeprefix("quasi")]
    w = None if weights is None else weights(rng)
    blocks = make_blocks((X,), y, w, 0.1 * eta[None])
    df = None if family.dispersion_fixed else float(N - columns)
    return cls(family, LinearPredictor((columns,), (0,)), blocks, None, serial(), None, df), 0.3 * rng.normal(
        size=columns
    )


FAMILIES = [
    families.Binomial(),
    families.Gaussian(),
    families.Poisson(),
    families.Gamma("log"),
    families.QuasiPoisson(),
    families.QuasiBinomial(),
]
WEIGHTS = {"none": None, "some zero": lambda rng: rng.integers(0, 3, N) * rng.random(N)}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("columns", [3, FEW_COLUMNS + 2])
def test_sums_are_those_of_the_blocks(family, weights, columns):
    need = Need(kinds=("expected", "observed"))
    by_hand, theta = problem(family, columns, WEIGHTS[weights])
    plain, _ = problem(family, columns, WEIGHTS[weights], cls=Plain)
    ours, theirs = by_hand.evaluate(theta, need), plain.evaluate(theta, need)
    assert ours.value == pytest.approx(theirs.value, rel=1e-13)
    assert ours.dispersion == pytest.approx(theirs.dispersion, rel=1e-12)
    scale = np.sqrt(theirs.information["expected"].matrix.diagonal())
    assert np.abs(ours.score - theirs.score).max() <= 1e-12 * N
    for kind, part in theirs.information.items():
        gap = (ours.information[kind].matrix - part.matrix) / scale / scale[:, None]
        assert np.abs(gap).max() <= 1e-13


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_sums_at_zero_are_those_of_the_blocks(family):
    need = Need(kinds=("expected",))
    by_hand, theta = problem(family)
    plain, _ = problem(family, cls=Plain)
    ours, theirs = by_hand.evaluate(0.0 * theta, need), plain.evaluate(0.0 * theta, need)
    assert ours.value == pytest.approx(theirs.value, rel=1e-13)
    assert np.allclose(ours.score, theirs.score, rtol=1e-11, atol=1e-11)
    assert np.allclose(ours.information["expected"].matrix, theirs.information["expected"].matrix, rtol=1e-12)


def test_a_design_in_fortran_order_gives_the_same():
    need = Need(kinds=("expected",))
    plain, theta = problem(families.Binomial())
    turned, _ = problem(families.Binomial(), order="F")
    ours, theirs = turned.evaluate(theta, need), plain.evaluate(theta, need)
    assert ours.value == pytest.approx(theirs.value, rel=1e-14)
    assert np.allclose(ours.information["expected"].matrix, theirs.information["expected"].matrix, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("columns", [3, FEW_WRITTEN + 1])
def test_a_design_that_is_written_where_it_is_read_gives_the_same(family, weights, columns, monkeypatch):
    monkeypatch.setattr("raphson.model.fused.WRITTEN_ROWS", NARROW // 2)  # several pieces, of which the last is short
    assert NARROW // 2 < WRITTEN_ROWS
    held, theta = problem(family, columns, WEIGHTS[weights])
    starts = np.cumsum([0, *(block.rows for block in held.blocks)])
    X = np.concatenate([block.designs[0] for block in held.blocks])
    written = replace(
        held,
        blocks=[
            replace(block, designs=(WrittenDesign(block.designs[0].shape, writer(X[start:])),))
            for block, start in zip(held.blocks, starts, strict=False)
        ],
    )
    need = Need(kinds=("expected", "observed"))
    ours, theirs = written.evaluate(theta, need), held.evaluate(theta, need)
    assert ours.value == pytest.approx(theirs.value, rel=1e-13)
    assert ours.dispersion == pytest.approx(theirs.dispersion, rel=1e-12)
    assert np.abs(ours.score - theirs.score).max() <= 1e-12 * N
    for kind, part in theirs.information.items():
        assert np.allclose(ours.information[kind].matrix, part.matrix, rtol=1e-12, atol=1e-12 * N)


def writer(X):
    return lambda out, start, stop: np.copyto(out, X[start:stop])


def test_information_is_symmetric_to_the_last_bit():
    objective, theta = problem(families.Binomial())
    M = objective.evaluate(theta, Need(kinds=("expected",))).information["expected"].matrix
    assert (M == M.T).all()


def test_threads_give_the_same_bits():
    objective, theta = problem(families.Poisson())
    several = replace(
        objective,
        executor=threads(2),
        blocks=make_blocks(
            (np.tile(objective.blocks[0].designs[0], (9, 1)),),
            np.tile(np.concatenate([b.y[: b.rows] for b in objective.blocks]), 9),
        ),
    )
    need = Need(kinds=("expected",))
    one, two = replace(several, executor=serial()).evaluate(theta, need), several.evaluate(theta, need)
    assert one.value == two.value
    assert (one.score == two.score).all()
    assert (one.information["expected"].matrix == two.information["expected"].matrix).all()


def test_rows_that_do_not_count_may_lie_anywhere():
    family = families.Poisson()
    weights = np.ones(N)
    weights[5] = 0.0
    objective, theta = problem(family, weights=lambda rng: weights)
    block = objective.blocks[0]
    X = block.designs[0].copy()
    X[5] = 1e300
    spoilt = replace(block, designs=(X,))
    with np.errstate(all="ignore"):
        ours = read(family.kernel, spoilt, theta, (False,))
        theirs = read(family.kernel, block, theta, (False,))
    assert ours.value == pytest.approx(theirs.value, rel=1e-14)
    assert np.isfinite(ours.score).all()


def test_rows_outside_the_domain_make_the_value_minus_infinity():
    family = families.Binomial()
    objective, theta = problem(family)
    block = objective.blocks[0]
    X = block.designs[0].copy()
    X[7] = np.inf
    with np.errstate(all="ignore"):
        assert read(family.kernel, replace(block, designs=(X,)), theta, ()).value == -np.inf


def test_the_surest_response_is_told_where_it_matters():
    family = families.Binomial()
    y = np.concatenate([np.ones(600), np.full(600, 0.5)])
    X = np.concatenate([np.full(600, 30.0), np.zeros(600)])[:, None]
    (block,) = make_blocks((X,), y)
    assert read(family.kernel, block, np.ones(1), ()).highest == pytest.approx(-np.exp(-30.0), rel=1e-12)
    assert WIDE < NARROW
