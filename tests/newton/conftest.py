from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from raphson.model.objective import VALUE, Evaluation, Gram, Need, Objective, Root


class Toy(Objective):
    """An objective without data: a value, its score and its observed information as functions of θ.

    `expected` defaults to the observed information, `opg` to the identity; `tall`, where given, is a matrix A with
    AᵀA = M, which has digits that M has lost. What is asked for is counted. It has no design that could say why a
    column is left out.
    """

    n_params = n_rows = n_blocks = 0
    at_limit = linear = True
    quadratic = False
    bounds = projected = prior = None

    def __init__(
        self,
        value: Callable[[np.ndarray], float],
        score: Callable[[np.ndarray], np.ndarray],
        observed: Callable[[np.ndarray], np.ndarray],
        n_params: int,
        expected: Callable[[np.ndarray], np.ndarray] | None = None,
        dispersion: float = 1.0,
        rows: int = 100,
        n_blocks: int = 1,
        tall: np.ndarray | None = None,
        quadratic: bool = False,
    ) -> None:
        self.tall, self.quadratic = tall, quadratic
        self.functions = {
            "observed": observed,
            "expected": expected or observed,
            "opg": lambda theta: np.eye(n_params),
        }
        self.value, self.score, self.n_params = value, score, n_params
        self.dispersion, self.n_rows, self.n_blocks = dispersion, rows, n_blocks
        self.asked: list[tuple[np.ndarray, Need]] = []

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        theta = np.asarray(theta, dtype=float)
        self.asked.append((theta, need))
        value, score = float(self.value(theta)), np.asarray(self.score(theta), dtype=float)
        information: dict[str, Gram | Root] = {}
        for kind in need.kinds if np.isfinite(value) else ():
            M = np.asarray(self.functions[kind](theta), dtype=float)
            values, vectors = np.linalg.eigh(M)
            if need.root and (values[0] >= 0 or self.tall is not None):
                A = (vectors * np.sqrt(np.maximum(values, 0.0))).T if self.tall is None else self.tall
                z = np.linalg.lstsq(A.T, score, rcond=None)[0]
                information[kind] = Root.of(np.column_stack([A, z]))
            elif not need.products:
                information[kind] = Gram(M)
        operator = Products(np.asarray(self.functions["observed"](theta))) if need.products else None
        return Evaluation(theta, value, score, information, self.dispersion, -1.0, self.n_rows, operator)


class Products:
    """A matrix that only multiplies."""

    def __init__(self, M: np.ndarray) -> None:
        self.M = M

    def product(self, v: np.ndarray) -> np.ndarray:
        return self.M @ v

    def diagonal(self) -> np.ndarray:
        return np.diag(self.M).copy()


@pytest.fixture
def toy() -> type[Toy]:
    return Toy


@pytest.fixture
def poisson() -> Callable[..., Toy]:
    """Σ (y η − e^η) with η = Xθ, whose maximum Newton reaches in a few steps."""

    def make(**changes: Any) -> Toy:
        rng = np.random.default_rng(0)
        X = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
        y = rng.poisson(np.exp(X @ [0.5, 0.8, -0.4]))
        return Toy(
            lambda t: y @ (X @ t) - np.exp(X @ t).sum(),
            lambda t: X.T @ (y - np.exp(X @ t)),
            lambda t: (X.T * np.exp(X @ t)) @ X,
            3,
            **{"rows": 40, **changes},
        )

    return make


@pytest.fixture
def quadratic() -> Callable[..., Toy]:
    """−½ (θ − 1)ᵀ M (θ − 1)."""

    def make(M: Any, **changes: Any) -> Toy:
        M = np.asarray(M, dtype=float)
        return Toy(lambda t: -0.5 * (t - 1) @ M @ (t - 1), lambda t: M @ (1 - t), lambda t: M, len(M), **changes)

    return make
