"""Readings of few rows against the sums over blocks, for every ready family with every link."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from raphson.data.blocks import make_blocks
from raphson.execute import serial
from raphson.model import families
from raphson.model.families import links
from raphson.model.few_rows import MOST_COLUMNS, MOST_NUMBERS, FewRows
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Need
from raphson.model.predictor import LinearPredictor

N = 60
NAMES = ("gaussian", "binomial", "quasibinomial", "poisson", "quasipoisson", "gamma", "inverse_gaussian")
NEED = Need(kinds=("expected", "observed"))


class InBlocks(LogLikelihood):
    """Without the layout for few rows."""

    _few = None


def responses(name, rng):
    if "binomial" in name:
        return rng.integers(0, 2, N).astype(float)
    return rng.poisson(2.0, N) + (0.0 if "poisson" in name else 0.5)


def problem(family, cls=LogLikelihood, weighted=False, offset=False, penalty=None, moved=0.0):
    rng = np.random.default_rng(3)
    X = np.column_stack([np.ones(N), rng.uniform(-0.2, 0.2, size=(N, 2))])
    y = responses(family.name if family.name in NAMES else "gamma", rng)
    weight = rng.integers(0, 3, N) * rng.random(N) if weighted else None
    shift = rng.uniform(-0.05, 0.05, (1, N)) if offset else None
    df = None if family.dispersion_fixed else float(N - 3)
    blocks = make_blocks((X,), y, weight, shift)
    found = cls(family, LinearPredictor((3,), (0,)), blocks, penalty, serial(), None, df)
    return found, np.array([0.5 + moved, 0.2, -0.3])


def check_same(ours, theirs):
    assert ours.value == pytest.approx(theirs.value, rel=1e-13)
    assert ours.dispersion == pytest.approx(theirs.dispersion, rel=1e-12)
    assert ours.pearson == pytest.approx(theirs.pearson, rel=1e-12, nan_ok=True)
    assert (ours.rows, ours.added) == (theirs.rows, theirs.added)
    assert ours.information.keys() == theirs.information.keys()
    np.testing.assert_allclose(ours.score, theirs.score, rtol=1e-12, atol=1e-12 * N)
    for kind, part in theirs.information.items():
        scale = np.sqrt(np.abs(part.matrix.diagonal()))
        assert np.abs((ours.information[kind].matrix - part.matrix) / scale / scale[:, None]).max() <= 1e-13


@pytest.mark.parametrize("link", links.LINKS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_blocks(name, link, weighted):
    family = families.FAMILIES[name](link=link)
    given = {"weighted": weighted, "offset": weighted, "penalty": np.eye(3) if weighted else None}
    few, theta = problem(family, **given)
    blocks, _ = problem(family, InBlocks, **given)
    assert few._few is not None
    check_same(few.evaluate(theta, NEED), blocks.evaluate(theta, NEED))
    eta = 0.1 + few.blocks[0].designs[0] @ theta
    for project in (False, True):
        need = Need(kinds=("expected",))
        check_same(few.linearised(eta[None], need, project), blocks.linearised(eta[None], need, project))


@pytest.mark.parametrize("family", [families.Tweedie(power=1.5), families.NegativeBinomial(theta=2.0)])
def test_families_with_parameters(family):
    few, theta = problem(family, weighted=True)
    check_same(few.evaluate(theta, NEED), problem(family, InBlocks, weighted=True)[0].evaluate(theta, NEED))


@pytest.mark.parametrize("link", ["identity", "inverse", "log", "sqrt"])
@pytest.mark.parametrize("weighted", [False, True])
def test_outside_the_domain_there_is_no_information(link, weighted):
    for name in ("binomial", "gamma"):
        family = families.FAMILIES[name](link=link)
        few, theta = problem(family, weighted=weighted, moved=-3.0 if name == "gamma" else 9.0)
        blocks, _ = problem(family, InBlocks, weighted=weighted)
        with np.errstate(all="ignore"):
            ours, theirs = few.evaluate(theta, NEED), blocks.evaluate(theta, NEED)
        assert ours.finite == theirs.finite
        assert ours.information.keys() == theirs.information.keys()


def test_a_row_at_the_edge_of_the_domain_has_its_observed_information():
    """A count of 0 under the identity link may have the mean 0, where the expected information is infinite."""
    family = families.Poisson(link="identity")
    X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    found = []
    for cls in (LogLikelihood, InBlocks):
        blocks = make_blocks((X,), np.array([0.0, 1.0, 2.0, 4.0]))
        objective = cls(family, LinearPredictor((2,), (0,)), blocks)
        found.append(objective.evaluate(np.array([1e-12, 1.0]), NEED))
    assert found[0].information["expected"].matrix[0, 0] < 1e6
    check_same(*found)


def test_a_response_fitted_with_certainty_is_seen():
    family = families.Binomial()
    few, theta = problem(family, moved=30.0)
    blocks, _ = problem(family, InBlocks)
    assert few.evaluate(theta, NEED).highest == pytest.approx(blocks.evaluate(theta, NEED).highest, abs=1e-15)
    assert few.evaluate(theta, NEED).highest > -1e-7


def test_rows_of_weight_0_may_lie_anywhere():
    few, theta = problem(families.Poisson(), weighted=True)
    block = few.blocks[0]
    (ignored,) = np.nonzero(block.weight[:N] == 0)
    block.designs[0][ignored] = 1e300
    clean, _ = problem(families.Poisson(), weighted=True)
    assert few.evaluate(theta, NEED).value == clean.evaluate(theta, NEED).value


def test_what_is_not_few_is_read_in_blocks():
    rng = np.random.default_rng(0)
    wide, long = rng.random((80, MOST_COLUMNS + 1)), rng.random((MOST_NUMBERS // 2 + 1, 2))
    for X in (wide, long):
        assert FewRows.of(families.Poisson(), make_blocks((X,), np.ones(len(X))), False) is None


def test_other_informations_come_from_blocks():
    few, theta = problem(families.Binomial())
    blocks, _ = problem(families.Binomial(), InBlocks)
    for need in (Need(kinds=("opg",)), Need(kinds=("expected",), root=True)):
        ours, theirs = few.evaluate(theta, need), blocks.evaluate(theta, need)
        for kind, part in theirs.information.items():
            assert (ours.information[kind].matrix == part.matrix).all()


def test_a_pickle_has_no_products_of_columns_and_the_sums_are_the_same_bits():
    few, theta = problem(families.Binomial())
    rows = few._few
    before = rows.read(theta, (False,))
    assert rows.products is not None
    carried = pickle.dumps(rows)
    again = pickle.loads(carried)  # noqa: S301
    assert "products" not in vars(again)
    np.testing.assert_array_equal(again.read(theta, (False,)).matrices, before.matrices)
