"""Sums over listed products against dense algebra, and the criterion that uses them against the one that does not."""

import numpy as np
import pytest

from raphson.model import families
from raphson.model.varying import algebra, quadratic
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.crossings import Crossings, count_of, mirrored
from raphson.model.varying.densities import Density

N = 400


def test_sums_and_forms_are_those_of_the_dense_matrix():
    rng = np.random.default_rng(1)
    C = np.where(rng.random((9, 6)) < 0.4, rng.normal(size=(9, 6)), 0.0)
    C[3] = 0.0
    rows, columns = np.nonzero(C)
    begins = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=9))])
    # the values come in another order than the pattern's
    shuffled = rng.permutation(len(rows))
    crossings = Crossings(np.argsort(shuffled), columns, begins, 6)
    products = crossings.products(C[rows, columns][shuffled])
    weights, M = rng.random(9), rng.normal(size=(6, 6))
    M = M + M.T
    assert len(products) == count_of(begins)
    assert crossings.summed(products, weights) == pytest.approx(C.T @ (weights[:, None] * C), rel=1e-14)
    assert crossings.forms(products, M) == pytest.approx(np.einsum("gi,ij,gj->g", C, M, C), rel=1e-13, abs=1e-14)


def test_a_product_where_the_matrix_has_entries():
    rng = np.random.default_rng(4)
    C = np.where(rng.random((9, 6)) < 0.5, rng.normal(size=(9, 6)), 0.0)
    rows, columns = np.nonzero(C)
    begins = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=9))])
    shuffled = rng.permutation(len(rows))
    crossings = Crossings(np.argsort(shuffled), columns, begins, 6)
    M = rng.normal(size=(6, 6))
    M = M + M.T
    expected = (C @ M)[rows, columns][shuffled]
    assert crossings.beside(C[rows, columns][shuffled], M) == pytest.approx(expected, rel=1e-13, abs=1e-14)


def test_a_triangle_is_mirrored_whatever_its_order():
    A = np.arange(9.0).reshape(3, 3)
    for own in (A, np.asfortranarray(A)):
        assert np.array_equal(mirrored(own), np.tril(A) + np.tril(A, -1).T)


def crossed(grouping, restricted, weight, smooth):
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(N), rng.normal(size=N)])
    one, other, third = rng.integers(0, 60, N), rng.integers(0, 25, N), rng.integers(0, 7, N)
    columns = [rng.normal(size=(N, 1)), np.ones((N, 1)), np.ones((N, 1))]
    terms = [grouping(name, codes, z) for name, codes, z in zip("abc", (one, other, third), columns, strict=True)]
    if smooth:
        terms.append(grouping("d", np.zeros(N), rng.normal(size=(N, 4)) / 2, "common"))
    y = rng.normal(size=60)[one] * columns[0][:, 0] + rng.normal(size=25)[other] + rng.normal(size=N)
    model = Criterion(Density(families.resolve("gaussian"), y, weight, None, "precision"), X, terms, None, restricted)
    theta = np.concatenate([[0.1, -0.2][: model.p], [0.8, -0.9, 0.4, 0.3][: len(terms)], [0.15]])
    return model, theta


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_gradient_and_hessian_are_those_of_the_blocks(grouping_term, monkeypatch, restricted, smooth, sparse):
    weight = np.random.default_rng(3).integers(0, 3, N).astype(float)
    if sparse:
        monkeypatch.setattr(algebra, "DENSE", 0)
        monkeypatch.setattr(algebra, "FULL", 1.0)
    made = []
    for lost, most in ((0.0, algebra.CROSSINGS), (np.inf, 0)):
        monkeypatch.setattr(quadratic, "LOST", lost)
        monkeypatch.setattr(algebra, "CROSSINGS", most)
        model, theta = crossed(grouping_term, restricted, weight, smooth)
        found = model.derivatives(model.at(theta))
        assert (found._summary is None) == bool(lost)
        assert (model.form.crossings is None) == (bool(lost) or not sparse)
        made.append((found.gradient, found.hessian, [found.factor.total(k) for k in range(len(model.layout.pieces))]))
    (gradient, hessian, totals), (gradient_of_blocks, hessian_of_blocks, totals_of_blocks) = made
    assert gradient == pytest.approx(gradient_of_blocks, rel=1e-10, abs=1e-10)
    assert hessian == pytest.approx(hessian_of_blocks, rel=1e-10, abs=1e-10)
    for one, other in zip(totals, totals_of_blocks, strict=True):
        assert one == pytest.approx(other, rel=1e-12)


def test_near_a_scale_of_zero_the_blocks_are_added(grouping_term):
    model, theta = crossed(grouping_term, True, None, False)
    theta[0] = 1e-4
    assert model.derivatives(model.at(theta))._summary is None
    theta[0] = 0.0
    assert model.derivatives(model.at(theta)).gradient[0] == 0.0
