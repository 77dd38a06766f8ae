"""Factors are coded as R and formulaic code them, and terms together span a space without spanning it twice."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.coding import FactorInfo, scope_terms
from raphson.errors import DataError

A = FactorInfo("a", True, ("p", "q", "r"), True)
B = FactorInfo("b", True, ("u", "v"), True)
X = FactorInfo("x", False, None, False)


def test_treatment_contrasts_leave_the_first_level_out():
    np.testing.assert_array_equal(A.matrix(reduced=True), [[0, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(A.matrix(reduced=False), np.eye(3))
    assert A.column_names(reduced=True) == ["a[T.q]", "a[T.r]"]
    assert A.column_names(reduced=False) == ["a[p]", "a[q]", "a[r]"]


def test_numbers_are_named_after_themselves_and_their_columns():
    assert X.column_names(reduced=False) == ["x"]
    spline = FactorInfo("bs(x)", False, ("1", "2", "3"), True)
    assert spline.column_names(reduced=False) == ["bs(x)[1]", "bs(x)[2]", "bs(x)[3]"]
    assert spline.column_names(reduced=True) == ["bs(x)[2]", "bs(x)[3]"]


def test_a_single_level_cannot_be_told_from_the_intercept():
    with pytest.raises(DataError, match=r"the factor 'a' has only one level \('p'\).*leave it out"):
        FactorInfo("a", True, ("p",), True).column_names(reduced=True)


@pytest.mark.parametrize(
    ("terms", "scoped", "intercept"),
    [
        ([(), (0,)], [[()], [((0, True),)]], True),  # 1 + a
        ([(0,)], [[((0, False),)]], True),  # 0 + a: the levels add up to 1
        ([(2,)], [[((2, False),)]], False),  # 0 + x
        ([(), (0,), (1,), (0, 1)], [[()], [((0, True),)], [((1, True),)], [((0, True), (1, True))]], True),  # a*b
        ([(), (0, 1)], [[()], [((1, True),), ((0, True), (1, False))]], True),  # a:b, beside 1
        ([(), (2,), (2, 0)], [[()], [((2, False),)], [((2, False), (0, True))]], True),  # x + x:a
    ],
)
def test_terms_span_what_earlier_ones_have_not(terms, scoped, intercept):
    found, has_intercept = scope_terms(terms, [A, B, X])
    assert has_intercept is intercept
    assert [len(products) for products in found] == [len(products) for products in scoped]
    if len(terms) != 2 or len(terms[1]) < 2:
        assert found == scoped


def test_an_interaction_alone_has_as_many_columns_as_cells():
    found, _ = scope_terms([(), (0, 1)], [A, B, X])
    sizes = {0: (3, 2), 1: (2, 1)}
    columns = [np.prod([sizes[number][reduced] for number, reduced in product]) for term in found for product in term]
    assert sum(columns) == 6


def test_the_reference_is_the_level_without_a_column():
    from formulaic.transforms.contrasts import SumContrasts, TreatmentContrasts

    labels = ("a", "b", "c")
    assert FactorInfo("f", True, labels, True).reference == "a"
    assert FactorInfo("f", True, labels, True, TreatmentContrasts(base="b")).reference == "b"
    assert FactorInfo("f", True, labels, True, SumContrasts()).reference is None
    assert FactorInfo("x", False, None, False).reference is None
