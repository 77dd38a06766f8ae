"""Sums of outer products of scores: over blocks of rows, and over designs of either kind."""

from __future__ import annotations

import numpy as np
import pytest
import tabmat

from raphson.inference import sandwich


def test_designs_of_either_kind_give_the_same_outer_product() -> None:
    rng = np.random.default_rng(1)
    designs, scores = [rng.normal(size=(50, 2)), rng.normal(size=(50, 3))], rng.normal(size=(2, 50))
    rows = np.hstack([X * u[:, None] for X, u in zip(designs, scores, strict=True)])
    outer = sandwich.outer_product(designs, scores)
    assert outer == pytest.approx(rows.T @ rows, rel=1e-12)
    mixed = [tabmat.DenseMatrix(designs[0]), designs[1]]
    assert sandwich.outer_product(mixed, scores) == pytest.approx(outer, rel=1e-12)
    assert sandwich.outer_product(mixed[::-1], scores[::-1])[3:, :3] == pytest.approx(outer[:2, 2:], rel=1e-12)


def test_blocks_of_rows_add_up(plain_factor: type) -> None:
    rng = np.random.default_rng(0)
    X, u = rng.normal(size=(20_000, 3)), rng.normal(size=(1, 20_000))
    factor = plain_factor(X)
    whole = sandwich.whitened_middle(factor, [X], u)
    halves = sum(sandwich.whitened_middle(factor, [X[s]], u[:, s]) for s in (slice(0, 9_000), slice(9_000, None)))
    assert whole == pytest.approx(np.asarray(halves), rel=1e-11)
    bread = np.linalg.inv(X.T @ X)
    assert sandwich.sandwich(factor, whole) == pytest.approx(bread @ (X.T * u[0] ** 2) @ X @ bread, rel=1e-10)
