from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tabmat
from scipy import special

from raphson.errors import ModelError
from raphson.inference import delta
from raphson.inference.whitening import whitener


def test_predictor_se_is_the_root_of_the_diagonal(softmax: SimpleNamespace) -> None:
    C = np.linalg.inv(softmax.M)
    brute = np.sqrt(np.einsum("ikp,pq,ikq->ki", softmax.J, C, softmax.J))
    designs = [softmax.designs[0], tabmat.DenseMatrix(softmax.designs[1])]
    assert delta.predictor_se(designs, whitener(softmax.factor)) == pytest.approx(brute, rel=1e-11)
    assert delta.predictor_se(designs, delta.covariance_root(C)) == pytest.approx(brute, rel=1e-11)
    assert delta.predictor_se(designs, 2.0 * whitener(softmax.factor)) == pytest.approx(2 * brute, rel=1e-11)


def test_mean_se_against_finite_differences_of_the_means(softmax: SimpleNamespace) -> None:
    # The gradient of the class probabilities with respect to the five parameters, by central differences.
    rng = np.random.default_rng(0)
    theta, C = rng.normal(size=5) / 2, np.linalg.inv(softmax.M)

    def means(theta: np.ndarray) -> np.ndarray:
        eta = np.vstack([np.zeros(softmax.n), softmax.designs[0] @ theta[:3], softmax.designs[1] @ theta[3:]])
        return special.softmax(eta, axis=0)

    steps = 1e-5 * np.eye(5)
    gradient = np.stack([(means(theta + s) - means(theta - s)) / 2e-5 for s in steps], axis=-1)
    brute = np.sqrt(np.einsum("cip,pq,ciq->ci", gradient, C, gradient))
    p = means(theta)
    slope = np.array([[p[c] * ((c == k) - p[k]) for k in (1, 2)] for c in range(3)])
    se = delta.mean_se(softmax.designs, whitener(softmax.factor), slope)
    assert se == pytest.approx(brute, rel=1e-8)


def test_a_covariance_with_gaps_and_of_low_rank() -> None:
    a = np.array([1.0, 2.0, 0.5])
    C = np.full((4, 4), np.nan)
    C[np.ix_([0, 1, 3], [0, 1, 3])] = np.outer(a, a)
    root = delta.covariance_root(C)
    X = np.array([[1.0, 1.0, 99.0, 2.0], [2.0, -1.0, 1.0, 0.0]])
    # |aᵀx| on the parameters that take part; 0 for the second row, never NaN from a rounded negative.
    assert delta.predictor_se([X], root)[0] == pytest.approx([4.0, 0.0], abs=1e-7)
    assert delta.predictor_se([X], delta.covariance_root(np.full((4, 4), np.nan)))[0].tolist() == [0.0, 0.0]


def test_mean_intervals_carry_the_ends() -> None:
    eta, se = np.array([2.0, 0.5, -1.0]), np.array([0.5, 1.0, np.nan])

    def inverse(eta: np.ndarray) -> np.ndarray:
        return 1 / eta

    lower, upper = delta.mean_interval(eta, se, inverse, 1.0)
    assert lower[0] == pytest.approx(1 / 2.5)
    assert upper[0] == pytest.approx(1 / 1.5)
    # η - se = -0.5 is outside the domain: no upper bound, but the lower one stands.
    assert lower[1] == pytest.approx(1 / 1.5)
    assert np.isnan(upper[1])
    assert np.isnan(lower[2])
    assert np.isnan(upper[2])
    masked = delta.mean_interval(eta, se, lambda e: np.where(e > 0, 1 / e, np.nan), 1.0)
    assert masked[0][:2] == pytest.approx(lower[:2])
    assert np.isnan(masked[1][1])
    lower, upper = delta.mean_interval(eta, se, special.expit, 1.96)
    assert lower[0] == pytest.approx(special.expit(2 - 0.98))
    assert upper[0] == pytest.approx(special.expit(2 + 0.98))


def test_probability_intervals_stay_inside() -> None:
    mean, se = np.array([0.5, 0.999, 0.0, 1.0]), np.array([0.1, 0.01, 0.0, 0.0])
    lower, upper = delta.probability_interval(mean, se, 1.96)
    assert lower[0] == pytest.approx(special.expit(-0.784))
    assert 0 < lower[1] < upper[1] < 1
    assert lower[2:].tolist() == upper[2:].tolist() == [0.0, 1.0]


def test_gaussian_prediction_covers_at_its_level() -> None:
    # 3,000 regressions of 8 points: 90 % within 4 standard errors (0.022). Red if se² or φ is left out: 0.79 to 0.87.
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(8), np.arange(8.0)])
    x_new = np.array([[1.0, 12.0]])
    y = rng.normal(size=(3000, 8))
    theta = y @ np.linalg.pinv(X).T
    dispersion = ((y - theta @ X.T) ** 2).sum(axis=1) / 6
    root = np.linalg.inv(np.linalg.cholesky(X.T @ X))
    unit = delta.predictor_se([x_new], root)[0, 0]
    reach = -special.stdtrit(6, 0.05)
    ends = [
        delta.gaussian_prediction_interval(t @ x_new.T, np.sqrt(d) * np.array([unit]), d, reach)
        for t, d in zip(theta, dispersion, strict=True)
    ]
    new = rng.normal(size=3000)
    inside = [lower[0] <= v <= upper[0] for (lower, upper), v in zip(ends, new, strict=True)]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.022)
    narrow = delta.gaussian_prediction_interval(np.zeros(1), np.zeros(1), 4.0, 1.0, weight=4.0)
    assert narrow[1].tolist() == [1.0]


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999999])
def test_count_intervals_are_the_smallest_whole_quantiles(level: float) -> None:
    mean = np.array([1e-3, 0.7, 5.0, 300.0, 1e7, np.nan])
    lower, upper = delta.plug_in_prediction_interval(lambda y: special.pdtr(y, mean), "count", mean, level)
    for ends, probability in ((lower, (1 - level) / 2), (upper, (1 + level) / 2)):
        assert np.isnan(ends[-1])
        assert np.all(special.pdtr(ends, mean)[:-1] >= probability)
        assert np.all((special.pdtr(ends - 1, mean)[:-1] < probability) | (ends[:-1] == 0))


def test_proportion_and_nonnegative_intervals() -> None:
    mean, size = np.array([0.3, 0.5]), np.array([10.0, 1.0])
    lower, upper = delta.plug_in_prediction_interval(
        lambda y: special.bdtr(np.floor(y * size + 1e-9), size.astype(int), mean), "proportion", mean, 0.9, size
    )
    assert lower.tolist() == [0.1, 0.0]
    assert upper.tolist() == [0.5, 1.0]
    shape, mean = np.array([0.05, 2.0, 1e6]), np.array([1e-3, 4.0, 1e9])
    ends = delta.plug_in_prediction_interval(
        lambda y: special.gammainc(shape, y * shape / mean), "nonnegative", mean, 0.9
    )
    for end, probability in zip(ends, (0.05, 0.95), strict=True):
        assert end == pytest.approx(special.gammaincinv(shape, probability) * mean / shape, rel=1e-9)
    # An atom of 0.3 at zero, as a Tweedie response has.
    lower, _ = delta.plug_in_prediction_interval(lambda y: 0.3 + 0.7 * -np.expm1(-y), "nonnegative", np.ones(1), 0.9)
    assert lower.tolist() == [0.0]


def test_unknown_supports_are_refused() -> None:
    with pytest.raises(ModelError, match="interval: expected 'confidence'"):
        delta.plug_in_prediction_interval(lambda y: y, "real", np.ones(1))
    with pytest.raises(ModelError, match="level"):
        delta.plug_in_prediction_interval(lambda y: y, "count", np.ones(1), 95)
