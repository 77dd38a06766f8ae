from __future__ import annotations

import numpy as np
import pytest

from raphson.data.blocks import make_blocks
from raphson.model import families
from raphson.model import rows as row_module
from raphson.model.rows import block_rows


def evaluate(family, y, eta, weight=None):
    [block] = make_blocks((np.zeros((len(y), 1)),), np.asarray(y, dtype=float), weight)
    padded = np.repeat(eta[:, :1], 256, axis=1)
    padded[:, : len(y)] = eta
    padded[:, len(y) :] = eta[:, block.fill, None]
    return block_rows(family, block, padded)


def test_views_of_the_table():
    # Poisson by hand: value yη − e^η, score y − e^η, information e^η, mean and slope e^η.
    y, eta, w = np.array([0.0, 1, 5]), np.array([[-1.0, 0.2, 1.3]]), np.array([1.0, 2.0, 0.5])
    rows, mu = evaluate(families.Poisson(), y, eta, w), np.exp(eta[0])
    value = y * eta[0] - mu
    for found, expected in (
        (rows.value, value),
        (rows.score, (w * (y - mu))[None]),
        (rows.observed, (w * mu)[None, None]),
        (rows.expected, (w * mu)[None, None]),
        (rows.mean, mu[None]),
        (rows.slope, mu[None, None]),
    ):
        assert isinstance(found, np.ndarray) and found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert rows.total == pytest.approx(w @ value, rel=1e-14)
    assert rows.highest == pytest.approx(value[:2].max(), rel=1e-14)


def test_shapes_of_several_predictors():
    family = families.Multinomial(levels=("a", "b", "c"))
    rows = evaluate(family, [0, 2, 1, 1], np.random.default_rng(0).normal(size=(2, 4)))
    assert rows.value.shape == (4,) and rows.score.shape == (2, 4)
    assert rows.observed.shape == rows.expected.shape == (2, 2, 4)
    assert rows.mean.shape == (3, 4) and rows.slope.shape == (3, 2, 4)
    np.testing.assert_allclose(rows.mean.sum(axis=0), 1.0)
    np.testing.assert_allclose(rows.slope.sum(axis=0), 0.0, atol=1e-15)


def test_padding_does_not_count():
    y, eta = np.array([1.0, 3.0]), np.array([[0.5, -0.5]])
    alone = evaluate(families.Poisson(), y, eta)
    assert alone.total == pytest.approx(alone.value.sum(), rel=1e-15) and alone.value.shape == (2,)


def test_a_row_of_weight_zero_poisons_nothing():
    # Its density is not finite: 0 × inf would be NaN in the sums.
    y, eta = np.array([2.0, 2.0]), np.array([[0.3, 800.0]])
    rows = evaluate(families.Poisson(), y, eta, np.array([1.0, 0.0]))
    assert not np.isfinite(rows.value[1])
    assert rows.total == pytest.approx(rows.value[0])
    assert rows.score[0, 1] == rows.observed[0, 0, 1] == rows.expected[0, 0, 1] == 0.0


def test_the_highest_density_is_of_a_row_that_counts():
    y, eta = np.array([1.0, 1.0]), np.array([[1.0, 40.0]])
    assert evaluate(families.Binomial(), y, eta, np.array([1.0, 0.0])).highest < -0.1
    assert evaluate(families.Binomial(), y, eta).highest > -1e-10


def test_a_large_count_is_not_taken_for_a_certain_one():
    # Without its terms in y the log density of 20 at 20 is 20 log 20 − 20 = 40: no sign of certainty.
    rows = evaluate(families.Poisson(), [20.0, 1.0], np.log([[20.0, 1.0]]))
    assert rows.value[0] > 0 and rows.highest == pytest.approx(-1.0)


def test_outside_the_domain_the_total_is_minus_infinity():
    assert evaluate(families.Poisson(link="identity"), [1.0], np.array([[-0.5]])).total == -np.inf


def test_few_normal_rows_by_numpy_are_those_of_the_compiled_code(monkeypatch):
    rng = np.random.default_rng(5)
    y, w, eta = rng.normal(size=14), rng.uniform(0.5, 2.0, 14), rng.normal(size=(1, 14))
    w[[2, 7]] = 0.0
    y[:2] = 0.0, 1.0
    eta[0, 0], eta[0, 2] = 0.0, np.nan  # fitted with certainty; not finite where nothing counts
    few = evaluate(families.Gaussian(), y, eta, w)
    monkeypatch.setattr(row_module, "FEW_ROWS", 0)
    compiled = evaluate(families.Gaussian(), y, eta, w)
    assert compiled.highest == 0.0
    assert few.highest == -np.inf  # no response is certain under a normal density, and nobody asks
    assert few.total == pytest.approx(compiled.total, rel=1e-15)
    for name in ("value", "score", "observed", "expected", "mean", "slope"):
        found, expected = getattr(few, name), getattr(compiled, name)
        counts = w > 0 if name == "value" else slice(None)
        np.testing.assert_allclose(found[..., counts], expected[..., counts], rtol=1e-15, err_msg=name)
