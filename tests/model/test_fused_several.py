"""Readings of several predictors in pieces against the blocks' own sums, which autodiff's rows make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raphson.data.blocks import make_blocks
from raphson.execute import serial, threads
from raphson.model import families
from raphson.model.fused import CERTAIN_FROM
from raphson.model.fused_several import SMALLEST, read_jointly
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Need
from raphson.model.predictor import LinearPredictor

N = 4 * SMALLEST + 357
MULTINOMIAL = families.Multinomial(levels=("a", "b", "c", "d"))
NEGATIVE_BINOMIAL = families.NegativeBinomial()
KINDS = {"multinomial": ("expected",), "negative_binomial": ("expected", "observed")}


class Plain(LogLikelihood):
    """Without rows by hand."""

    @property
    def _joint_kernel(self):
        return None


def problem(family, weights=None, copies=1, seed=0, penalty=None, cls=LogLikelihood):
    rng = np.random.default_rng(seed)
    columns = 7
    X = rng.normal(size=(N, columns)) / np.sqrt(columns)
    offset = 0.1 * rng.normal(size=(family.n_predictors, N))
    if family.name == "multinomial":
        predictor = LinearPredictor((columns,) * 3, (0,) * 3)
        y, designs = rng.integers(0, 4, N).astype(float), (X,)
        theta = rng.normal(size=3 * columns)
    else:
        predictor = LinearPredictor((columns, 1), (0, 1))
        y, designs = rng.negative_binomial(2.0, 0.3, N).astype(float), (X, np.ones((N, 1)))
        theta = np.append(0.5 * rng.normal(size=columns), 0.7)
        offset[1] = 0.0
    w = None if weights is None else np.tile(weights(rng), copies)
    designs = tuple(np.tile(design, (copies, 1)) for design in designs)
    blocks = make_blocks(designs, np.tile(y, copies), w, np.tile(offset, (1, copies)))
    return cls(family, predictor, blocks, penalty), theta


def told_apart(ours, theirs):
    """The largest difference of score and information, in standard errors, and that of the values."""
    scale = np.sqrt(theirs.information["expected"].matrix.diagonal())
    gaps = [np.abs((ours.score - theirs.score) / scale).max(), abs(ours.value / theirs.value - 1.0)]
    for kind, part in theirs.information.items():
        gaps.append(np.abs((ours.information[kind].matrix - part.matrix) / scale / scale[:, None]).max())
    return gaps


@pytest.mark.parametrize("family", [MULTINOMIAL, NEGATIVE_BINOMIAL], ids=lambda family: family.name)
@pytest.mark.parametrize(
    "weights", [None, lambda rng: rng.integers(0, 3, N) * rng.random(N)], ids=["none", "some zero"]
)
def test_sums_are_those_of_the_blocks(family, weights):
    need = Need(kinds=KINDS[family.name])
    by_hand, theta = problem(family, weights)
    plain, _ = problem(family, weights, cls=Plain)
    ours, theirs = by_hand.evaluate(theta, need), plain.evaluate(theta, need)
    gaps = told_apart(ours, theirs)
    # The expected information of log θ is interpolated.
    assert max(gaps) <= (3e-4 if family is NEGATIVE_BINOMIAL else 1e-12)
    assert max(gaps[:2]) <= 1e-12
    assert gaps[-1] <= 1e-12
    main = slice(None, -1)
    difference = ours.information["expected"].matrix - theirs.information["expected"].matrix
    assert np.abs(difference[main, main]).max() <= 1e-12 * N


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("every", [0, 40, 3], ids=["none", "few", "many"])
def test_levels_that_are_all_but_certain_keep_their_digits(every, weighted):
    columns, rng = 5, np.random.default_rng(3)
    X = rng.normal(size=(N, columns))
    offset = np.zeros((3, N))
    if every:
        offset[1, ::every] = 25.0
    y = rng.integers(0, 4, N).astype(float)
    weight = rng.integers(0, 3, N) * rng.random(N) if weighted else np.ones(N)
    if every:
        # Of the last column only rows with a certain level say something.
        X[:, -1] = 0.0
        X[::every, -1] = rng.normal(size=len(X[::every]))
        y[::every] = 2.0
    theta = 0.3 * rng.normal(size=3 * columns)
    predictor = LinearPredictor((columns,) * 3, (0,) * 3)
    ours, theirs = (
        cls(MULTINOMIAL, predictor, predictor.blocks([X], y, weight, offset)).evaluate(theta, Need(kinds=("expected",)))
        for cls in (LogLikelihood, Plain)
    )
    assert max(told_apart(ours, theirs)) <= 1e-12
    assert ours.highest == pytest.approx(theirs.highest, rel=1e-6) or max(ours.highest, theirs.highest) < CERTAIN_FROM


@pytest.mark.parametrize("family", [MULTINOMIAL, NEGATIVE_BINOMIAL], ids=lambda family: family.name)
def test_information_is_symmetric_to_the_last_bit_and_penalised(family):
    penalty = np.diag(np.arange(1.0, 1 + problem(family)[0].n_params))
    need = Need(kinds=("observed",))
    by_hand, theta = problem(family, penalty=penalty)
    plain, _ = problem(family, penalty=penalty, cls=Plain)
    ours, theirs = (one.evaluate(theta, need).information["observed"] for one in (by_hand, plain))
    assert (ours.matrix == ours.matrix.T).all()
    assert np.allclose(ours.matrix, theirs.matrix, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("family", [MULTINOMIAL, NEGATIVE_BINOMIAL], ids=lambda family: family.name)
def test_threads_give_the_same_bits(family):
    objective, theta = problem(family, copies=9)
    need = Need(kinds=KINDS[family.name])
    one = replace(objective, executor=serial()).evaluate(theta, need)
    two = replace(objective, executor=threads(2)).evaluate(theta, need)
    assert one.value == two.value
    assert (one.score == two.score).all()
    for kind, part in one.information.items():
        assert (part.matrix == two.information[kind].matrix).all()


@pytest.mark.parametrize("family", [MULTINOMIAL, NEGATIVE_BINOMIAL], ids=lambda family: family.name)
def test_rows_that_do_not_count_may_lie_anywhere_and_others_may_not(family):
    weights = np.ones(N)
    weights[5] = 0.0
    objective, theta = problem(family, lambda rng: weights)
    block = objective.blocks[0]
    X = block.designs[0].copy()
    theta[:7] *= 4.0
    X[5] = 1.7e308 * np.sign(theta[:7])
    spoilt = replace(block, designs=(X, *block.designs[1:]))
    observed = (False,)
    with np.errstate(all="ignore"):
        ours = read_jointly(family.joint_kernel, spoilt, objective.predictor, theta, observed)
        theirs = read_jointly(family.joint_kernel, block, objective.predictor, theta, observed)
    assert ours.value == pytest.approx(theirs.value, rel=1e-14)
    assert np.allclose(ours.score, theirs.score, rtol=1e-12, atol=1e-10)
    assert np.isfinite(ours.matrices[0]).all()
    spoilt.weight[5] = 1.0
    with np.errstate(all="ignore"):
        assert read_jointly(family.joint_kernel, spoilt, objective.predictor, theta, observed).value == -np.inf


def test_levels_held_at_infinity_are_as_the_blocks_own():
    by_hand, theta = problem(MULTINOMIAL)
    far = np.where(np.arange(N) % 2, -1e6, 0.0)[None] * np.array([[1.0], [0.0], [0.0]])
    need = Need(kinds=("expected",))
    ours, theirs = (
        replace(
            one, blocks=[replace(block, offset=far[:, block.start : block.start + block.rows]) for block in one.blocks]
        )
        for one in (by_hand, problem(MULTINOMIAL, cls=Plain)[0])
    )
    ours, theirs = ours.evaluate(theta, need), theirs.evaluate(theta, need)
    assert max(told_apart(ours, theirs)) <= 1e-12
    assert max(ours.highest, theirs.highest) < CERTAIN_FROM


def test_counts_that_no_table_holds_are_left_to_autodiff():
    objective, theta = problem(NEGATIVE_BINOMIAL)
    block = objective.blocks[0]
    for there in (np.append(theta[:-1], 12.0), np.append(30.0 * theta[:-1], 0.0)):
        assert read_jointly(NEGATIVE_BINOMIAL.joint_kernel, block, objective.predictor, there, ()) is None
    for y in (block.y + 0.5, block.y + 1e5):
        assert read_jointly(NEGATIVE_BINOMIAL.joint_kernel, replace(block, y=y), objective.predictor, theta, ()) is None
