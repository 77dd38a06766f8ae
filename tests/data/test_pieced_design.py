"""Designs that are read in pieces against the doubles that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.blocks import in_doubles, make_blocks
from raphson.data.matrices import has_constant
from raphson.data.pieced_design import NUMBERS, MadeDesign, SingleDesign, WrittenDesign
from raphson.data.products import cross_sandwich, dense, matvec, sandwich, transpose_matvec, weighted_squares

P = 7
N = 2 * (NUMBERS // P) + 357
"""Two pieces and a part of one."""


@pytest.fixture(params=["held", "centred", "made", "written"])
def design(request):
    rng = np.random.default_rng(2)
    numbers = rng.normal(size=(N, P)).astype(np.float32)
    numbers[:, 3] = 2.5
    if request.param == "held":
        return SingleDesign(numbers)
    if request.param == "centred":
        return SingleDesign(numbers, np.array([0.0, 1e9, 0.0, 0.1, 0.0, -3.0, 0.0]))
    doubles = rng.normal(size=(N, P)) + np.pi
    doubles[:, 3] = 2.5
    if request.param == "written":
        return WrittenDesign((N, P), lambda out, start, stop: np.copyto(out, doubles[start:stop]))
    return MadeDesign((N, P), lambda start, stop: doubles[start:stop])


def test_products_are_those_of_its_doubles(design):
    rng = np.random.default_rng(3)
    X, Z = design.toarray(), rng.normal(size=(N, 3))
    v, u, w = rng.normal(size=P), rng.normal(size=N), rng.normal(size=N)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(dense(design), X)
    np.testing.assert_array_equal(np.asarray(design), X)
    for found, exact, terms in [
        (matvec(design, v), X @ v, np.abs(X) @ np.abs(v)),
        (transpose_matvec(design, u), u @ X, np.abs(u) @ np.abs(X)),
        (sandwich(design, w), X.T @ (X * w[:, None]), np.abs(X).T @ (np.abs(X * w[:, None]))),
        (sandwich(design, w**2), X.T @ (X * w[:, None] ** 2), np.abs(X).T @ (np.abs(X * w[:, None] ** 2))),
        (cross_sandwich(design, w, Z), X.T @ (Z * w[:, None]), np.abs(X).T @ np.abs(Z * w[:, None])),
        (cross_sandwich(Z, w, design), Z.T @ (X * w[:, None]), np.abs(Z).T @ np.abs(X * w[:, None])),
        (weighted_squares(design, w), w @ X**2, np.abs(w) @ X**2),
    ]:
        # An accumulation in 32 bits would be off by 1e-7 of the terms.
        assert np.all(np.abs(found - exact) <= 1e-13 * terms)
    other = SingleDesign(rng.normal(size=(N, 2)).astype(np.float32))
    np.testing.assert_allclose(cross_sandwich(design, w, other), cross_sandwich(X, w, other.toarray()), rtol=1e-9)


def test_some_rows_and_columns_are_those_of_the_doubles(design):
    X = design.toarray()
    np.testing.assert_array_equal(dense(design[100:5000]), X[100:5000])
    np.testing.assert_array_equal(dense(design[100:5000][7:9]), X[107:109])
    np.testing.assert_array_equal(dense(design[N - 3 :]), X[N - 3 :])
    for key in (slice(None, None, 7), np.array([5, 2, 9000]), X[:, 0] > 0.5, (slice(None), [2, 0])):
        there = design[key]
        np.testing.assert_array_equal(there if isinstance(there, np.ndarray) else there.toarray(), X[key])
    with pytest.raises(TypeError):  # NumPy would turn all of it into doubles
        X[:, 0] @ design


def test_a_run_of_rows_is_a_view():
    numbers = np.ones((1000, 4), dtype=np.float32)
    assert np.shares_memory(SingleDesign(numbers)[10:20].numbers, numbers)
    assert not np.shares_memory(SingleDesign(numbers)[::10].numbers, numbers)


def test_constant_columns_are_found(design):
    assert design.constant.tolist() == [False] * 3 + [True] + [False] * 3
    if isinstance(design, SingleDesign):
        assert has_constant(design)
        assert not has_constant(design[:, [0, 1]])


def test_a_block_in_doubles_has_the_same_rows(design):
    blocks = make_blocks((design, np.ones((N, 1))), np.zeros(N))
    X = np.concatenate([in_doubles(block).designs[0] for block in blocks])
    np.testing.assert_array_equal(X, design.toarray())
    plain = make_blocks((np.ones((9, 1)),), np.zeros(9))[0]
    assert in_doubles(plain) is plain
