"""A factor made the plain way, and small fits by formulas of their own: nothing here comes from Raphson's fitting."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


class PlainFactor:
    """R of the QR of √W X, on the kept columns; dropped ones get zeros, as the protocol allows."""

    def __init__(self, rows: np.ndarray, kept: np.ndarray | None = None) -> None:
        self.kept = np.ones(rows.shape[1], dtype=bool) if kept is None else kept
        self.R = np.linalg.qr(rows[:, self.kept])[1]

    def half_solve(self, v: np.ndarray) -> np.ndarray:
        return np.linalg.solve(self.R.T, v[self.kept])

    def solve(self, v: np.ndarray) -> np.ndarray:
        out = np.zeros_like(v, dtype=float)
        out[self.kept] = np.linalg.solve(self.R, self.half_solve(v))
        return out

    def inverse(self) -> np.ndarray:
        return self.solve(np.eye(len(self.kept)))


def softmax_problem(n: int = 40, seed: int = 3) -> SimpleNamespace:
    """Three classes, two predictors of different designs: row Jacobians, scores and information matrices."""
    rng = np.random.default_rng(seed)
    designs = [
        np.column_stack([np.ones(n), rng.normal(size=(n, 2))]),
        np.column_stack([np.ones(n), rng.normal(size=n)]),
    ]
    theta = [np.array([0.2, 0.5, -0.3]), np.array([-0.4, 0.6])]
    eta = np.vstack([np.zeros(n), *(X @ b for X, b in zip(designs, theta, strict=True))])
    p = np.exp(eta) / np.exp(eta).sum(axis=0)
    y = (rng.random(n) > np.cumsum(p, axis=0)).sum(axis=0)
    scores = np.array([(y == k) - p[k] for k in (1, 2)])
    information = np.array([[p[k] * ((k == m) - p[m]) for m in (1, 2)] for k in (1, 2)])
    J = np.zeros((n, 2, 5))
    J[:, 0, :3], J[:, 1, 3:] = designs
    M = np.einsum("ikp,kli,ilq->pq", J, information, J)
    factor = PlainFactor(np.linalg.cholesky(M).T)
    return SimpleNamespace(designs=designs, scores=scores, information=information, J=J, M=M, factor=factor, n=n)


@pytest.fixture(scope="session")
def plain_factor() -> type[PlainFactor]:
    return PlainFactor


@pytest.fixture(scope="session")
def softmax() -> SimpleNamespace:
    return softmax_problem()


@pytest.fixture(scope="session")
def logistic() -> SimpleNamespace:
    """A logistic regression with weights, fitted by Newton's method written out."""
    rng = np.random.default_rng(5)
    n = 60
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = (rng.random(n) < 1 / (1 + np.exp(-X @ [0.3, 1.0, -0.7]))).astype(float)
    weight = rng.integers(1, 4, size=n).astype(float)
    theta = np.zeros(3)
    for _ in range(30):
        mean = 1 / (1 + np.exp(-X @ theta))
        W = weight * mean * (1 - mean)
        theta = theta + np.linalg.solve((X.T * W) @ X, X.T @ (weight * (y - mean)))
    mean = 1 / (1 + np.exp(-X @ theta))
    return SimpleNamespace(X=X, y=y, weight=weight, theta=theta, mean=mean, u=y - mean, W=mean * (1 - mean), n=n)


@pytest.fixture(scope="session")
def gaussian() -> SimpleNamespace:
    """A weighted linear regression by least squares."""
    rng = np.random.default_rng(8)
    n = 25
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    X[3, 1] = 6.0
    weight = rng.uniform(0.5, 3.0, size=n)
    y = X @ [1.0, 2.0, -1.0] + rng.normal(size=n) / np.sqrt(weight)
    root = np.sqrt(weight)
    theta = np.linalg.lstsq(X * root[:, None], y * root, rcond=None)[0]
    residual = y - X @ theta
    dispersion = float(weight @ residual**2 / (n - 3))
    return SimpleNamespace(X=X, y=y, weight=weight, theta=theta, residual=residual, dispersion=dispersion, n=n)
