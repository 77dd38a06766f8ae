"""Constraints read in blocks are those read by number, from dense and sparse designs."""

from __future__ import annotations

import numpy as np
import pytest
import tabmat
from scipy.sparse import csc_matrix

from raphson.model.glm.separating_rows import ABSENT, EQUATION, INEQUALITY, ClassRows, MoreRows, SignedRows

X = np.random.default_rng(1).normal(size=(7, 3))
DIRECTION = np.array([1.0, -1.0, 0.0, 1.0, 1.0, -1.0, 1.0])
COUNTED = np.array([True, True, True, False, True, True, True])
LEVEL = np.array([0, 1, 2, 0, 1, 2, 1])


@pytest.mark.parametrize("design", [X, tabmat.SparseMatrix(csc_matrix(X))], ids=["dense", "sparse"])
@pytest.mark.parametrize("kind", ["signed", "classes", "more"])
def test_blocks_and_numbers_agree(design, kind):
    rows = {
        "signed": lambda: SignedRows(design, DIRECTION, COUNTED),
        "classes": lambda: ClassRows(design, LEVEL, 3, COUNTED),
        "more": lambda: MoreRows(SignedRows(design, DIRECTION, COUNTED), np.eye(3), np.ones(3)),
    }[kind]()
    dense = rows.dense(np.arange(len(rows.kind)))
    space = np.random.default_rng(2).normal(size=(dense.shape[1], 2))
    parts = list(rows.products(space))
    np.testing.assert_allclose(np.concatenate([part[1] for part in parts]), dense @ space, atol=1e-12)
    covered = np.concatenate([np.arange(len(rows.kind))[part[0]] for part in parts])
    assert covered.tolist() == list(range(len(rows.kind)))
    assert (np.concatenate([part[2] for part in parts]) >= np.abs(dense @ space) - 1e-12).all()


def test_rows_that_do_not_count_and_rows_that_must_be_met_exactly():
    rows = SignedRows(X, DIRECTION, COUNTED, scale=np.ones(3))
    assert rows.kind[3] == ABSENT and rows.kind[2] == EQUATION and rows.kind[0] == INEQUALITY
    np.testing.assert_array_equal(rows.dense(np.array([1])), -X[[1]])


def test_the_observed_class_against_each_other():
    rows = ClassRows(X, LEVEL, 3, COUNTED, scale=np.ones(6))
    # Row 1 is of class 1: against class 0 (η₀ = 0) it is x, against class 2 it is x₁ − x₂.
    np.testing.assert_array_equal(rows.dense(np.array([3])), [[*X[1], 0, 0, 0]])
    np.testing.assert_array_equal(rows.dense(np.array([5])), [[*X[1], *-X[1]]])
    assert rows.kind[4] == ABSENT  # against itself
