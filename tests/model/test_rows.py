from __future__ import annotations

import numpy as np
import pytest

from raphson.data.blocks import make_blocks
from raphson.model import families
from raphson.model import rows as row_module
from raphson.model.rows import WeightedRows, block_rows, means


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


@pytest.mark.parametrize("family", [families.Gaussian(), families.Binomial(link="probit"), families.Gamma(link="log")])
def test_rows_in_numpy_are_weighted_as_those_of_the_compiled_code(family, monkeypatch):
    rng = np.random.default_rng(5)
    y, w, eta = rng.uniform(0.1, 0.9, 14), rng.uniform(0.5, 2.0, 14), rng.normal(size=(1, 14))
    w[[2, 7]] = 0.0
    eta[0, 2] = np.nan  # not finite where nothing counts
    by_hand = evaluate(family, y, eta, w)
    monkeypatch.setattr(row_module, "hand_rows", lambda *_: None)
    compiled = evaluate(family, y, eta, w)
    assert isinstance(by_hand, WeightedRows) and not isinstance(compiled, WeightedRows)
    assert by_hand.total == pytest.approx(compiled.total, rel=1e-15)
    for name in ("value", "score", "observed", "expected", "mean", "slope"):
        found, expected = getattr(by_hand, name), getattr(compiled, name)
        counts = slice(None) if name in ("score", "observed", "expected") else w > 0
        np.testing.assert_allclose(found[..., counts], expected[..., counts], rtol=5e-14, err_msg=name)


def test_no_response_is_certain_under_a_normal_density():
    assert evaluate(families.Gaussian(), [0.0, 1.0], np.array([[0.0, 1.0]])).highest == -np.inf


def test_expected_information_at_the_edge_of_the_domain_is_the_observed_one():
    # At a mean of 0 that of a Poisson count with the identity link is 1/0, and no other row would be seen beside it.
    rows = evaluate(families.Poisson(link="sqrt"), [0.0, 1.0], np.array([[1e-160, 1.0]]))
    assert np.isfinite(rows.expected).all()
    rows = evaluate(families.Poisson(link="identity"), [0.0, 1.0], np.array([[1e-12, 1.0]]))
    assert rows.expected[0, 0, 0] == rows.observed[0, 0, 0] == 0.0


def test_means_are_those_of_the_rows():
    eta = np.array([[0.3, -0.4], [0.1, 0.1]])
    for family in (families.NegativeBinomial(), families.Multinomial(levels=("a", "b", "c"))):
        np.testing.assert_allclose(means(family, eta), evaluate(family, [1.0, 0.0], eta).mean, rtol=1e-14)
    own = type("Own", (families.Poisson,), {})()
    np.testing.assert_allclose(means(own, eta[:1]), np.exp(eta[:1]), rtol=1e-14)
