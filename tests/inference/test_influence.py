from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from raphson.inference import influence


def refits(case: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and σ without each row, by fitting again."""
    thetas, sigmas = [], []
    for i in range(case.n):
        keep = np.arange(case.n) != i
        root = np.sqrt(case.weight[keep])
        theta = np.linalg.lstsq(case.X[keep] * root[:, None], case.y[keep] * root, rcond=None)[0]
        residual = root * (case.y[keep] - case.X[keep] @ theta)
        thetas.append(theta)
        sigmas.append(np.sqrt(residual @ residual / (case.n - 1 - 3)))
    return np.array(thetas), np.array(sigmas)


def test_gaussian_deletion_is_exact(gaussian: SimpleNamespace, plain_factor: type) -> None:
    # Red if the 1 - h correction, a sign, or the place of the weight is wrong.
    factor = plain_factor(np.sqrt(gaussian.weight)[:, None] * gaussian.X)
    information, scores = gaussian.weight[None, None], (gaussian.weight * gaussian.residual)[None]
    thetas, sigmas = refits(gaussian)
    change = influence.dfbeta(factor, [gaussian.X], scores, information)
    assert change == pytest.approx(gaussian.theta - thetas, rel=1e-9, abs=1e-12)

    h = influence.leverage(factor, [gaussian.X], information)
    sigma = influence.deletion_sigma(np.sqrt(gaussian.weight) * gaussian.residual, h, gaussian.n - 3)
    assert sigma == pytest.approx(sigmas, rel=1e-10)

    M = (gaussian.X.T * gaussian.weight) @ gaussian.X
    cook = np.einsum("ip,pq,iq->i", gaussian.theta - thetas, M, gaussian.theta - thetas) / (3 * gaussian.dispersion)
    distance = influence.cooks_distance(factor, [gaussian.X], scores, information, gaussian.dispersion)
    assert distance == pytest.approx(cook, rel=1e-9)

    scaled = influence.dfbetas(change, factor, sigma)
    by_hand = (gaussian.theta - thetas) / sigmas[:, None] / np.sqrt(np.diag(np.linalg.inv(M)))
    assert scaled == pytest.approx(by_hand, rel=1e-9, abs=1e-12)


def test_leverages_are_the_hat_diagonal(gaussian: SimpleNamespace, plain_factor: type) -> None:
    rows = np.sqrt(gaussian.weight)[:, None] * gaussian.X
    hat = rows @ np.linalg.pinv(rows)
    h = influence.leverage(plain_factor(rows), [gaussian.X], gaussian.weight[None, None])
    assert h == pytest.approx(np.diag(hat), rel=1e-12)


def test_cooks_distance_is_that_of_r(logistic: SimpleNamespace, plain_factor: type) -> None:
    factor = plain_factor(np.sqrt(logistic.W * logistic.weight)[:, None] * logistic.X)
    W = logistic.W * logistic.weight
    h = influence.leverage(factor, [logistic.X], W[None, None])
    assert h.sum() == pytest.approx(3.0, rel=1e-12)
    pearson = np.sqrt(logistic.weight) * logistic.u / np.sqrt(logistic.W)
    in_r = (pearson / (1 - h)) ** 2 * h / 3
    distance = influence.cooks_distance(factor, [logistic.X], (logistic.weight * logistic.u)[None], W[None, None])
    assert distance == pytest.approx(in_r, rel=1e-11)


def test_one_step_deletion_with_several_predictors(softmax: SimpleNamespace) -> None:
    # By solving with the information of the other rows, without Woodbury.
    change = influence.dfbeta(softmax.factor, softmax.designs, softmax.scores, softmax.information)
    h = influence.leverage(softmax.factor, softmax.designs, softmax.information)
    for i in range(softmax.n):
        J, W = softmax.J[i], softmax.information[:, :, i]
        brute = np.linalg.solve(softmax.M - J.T @ W @ J, J.T @ softmax.scores[:, i])
        assert change[i] == pytest.approx(brute, rel=1e-9, abs=1e-13)
        assert h[i] == pytest.approx(np.trace(W @ J @ np.linalg.solve(softmax.M, J.T)), rel=1e-11)
    distance = influence.cooks_distance(softmax.factor, softmax.designs, softmax.scores, softmax.information)
    assert distance == pytest.approx(np.einsum("ip,pq,iq->i", change, softmax.M, change) / 5, rel=1e-10)


def test_half_the_correction_twice_is_the_whole(softmax: SimpleNamespace) -> None:
    whole, _ = influence.correct_for_leverage(softmax.factor, softmax.designs, softmax.scores, softmax.information, 1.0)
    once, _ = influence.correct_for_leverage(softmax.factor, softmax.designs, softmax.scores, softmax.information, 0.5)
    twice, _ = influence.correct_for_leverage(softmax.factor, softmax.designs, once, softmax.information, 0.5)
    assert twice == pytest.approx(whole, rel=1e-10)


def test_a_zero_row_of_a_design_changes_nothing(softmax: SimpleNamespace) -> None:
    designs = [X.copy() for X in softmax.designs]
    designs[0][4] = 0.0
    J = softmax.J.copy()
    J[4, 0] = 0.0
    M = np.einsum("ikp,kli,ilq->pq", J, softmax.information, J)
    factor = type(softmax.factor)(np.linalg.cholesky(M).T)
    change = influence.dfbeta(factor, designs, softmax.scores, softmax.information)
    W = softmax.information[:, :, 4]
    assert change[4] == pytest.approx(np.linalg.solve(M - J[4].T @ W @ J[4], J[4].T @ softmax.scores[:, 4]), rel=1e-9)


def test_a_row_with_a_parameter_of_its_own_is_nan(plain_factor: type) -> None:
    X = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    factor, W = plain_factor(X), np.ones((1, 1, 4))
    residual = np.array([1.0, -1.0, 0.0, 0.0])
    h = influence.leverage(factor, [X], W)
    assert h == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0])
    for values in (
        influence.cooks_distance(factor, [X], residual[None], W),
        influence.dfbeta(factor, [X], residual[None], W)[:, 0],
        influence.standardised(residual, h, 2.0),
        influence.deletion_sigma(residual, h, 2.0),
    ):
        assert np.isnan(values[3])
        assert np.isfinite(values[:3]).all()
    assert influence.standardised(residual, h, 2.0)[0] == pytest.approx(1 / np.sqrt(2 * 2 / 3))


def test_parameters_left_out_are_nan(gaussian: SimpleNamespace, plain_factor: type) -> None:
    X = np.column_stack([gaussian.X, gaussian.X[:, 1] * 3])
    kept = np.array([True, True, True, False])
    root = np.sqrt(gaussian.weight)[:, None]
    scores = (gaussian.weight * gaussian.residual)[None]
    information = gaussian.weight[None, None]
    change = influence.dfbeta(plain_factor(root * X, kept), [X], scores, information)
    small = influence.dfbeta(plain_factor(root * gaussian.X), [gaussian.X], scores, information)
    assert np.isnan(change[:, 3]).all()
    assert change[:, :3] == pytest.approx(small, rel=1e-11)
