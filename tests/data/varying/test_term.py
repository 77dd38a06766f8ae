"""The record of a term whose coefficients vary."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.varying.term import Structure, VaryingTerm

CODES = np.array([1, 0, -1, 1], dtype=np.int32)
COLUMNS = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 4.0], [1.0, 5.0]])


def of(structure: Structure = "correlated", codes: np.ndarray | None = CODES):
    levels = () if codes is None else ("a", "b")
    return VaryingTerm("1 + x | g", "g", COLUMNS, codes, levels, ("Intercept", "x"), structure)


@pytest.mark.parametrize(("structure", "count"), [("correlated", 3), ("independent", 2), ("common", 1)])
def test_a_structure_says_how_many_parameters_there_are(structure, count):
    assert of(structure).n_parameters == count


def test_the_matrix_has_the_columns_at_the_rows_level_and_zeros_at_an_unknown_one():
    expected = [[0, 0, 1, 2], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 1, 5]]
    assert of().matrix().tolist() == expected
    assert of().n_coefficients == 4


def test_without_codes_there_is_one_level():
    term = of("common", None)
    assert (term.n_levels, term.n_coefficients) == (1, 2)
    assert term.matrix() is COLUMNS


def test_rows_taken_keep_the_levels():
    taken = of().take_rows(np.array([3, 1]))
    assert taken.codes is not None and taken.codes.tolist() == [1, 0] and taken.levels == ("a", "b")
    assert taken.columns.tolist() == [[1.0, 5.0], [1.0, 3.0]]
    assert of("common", None).take_rows(np.array([0])).codes is None


def test_a_tensor_product_has_a_parameter_for_each_of_its_penalties():
    names, d = tuple("abc"), np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    term = VaryingTerm("te(x, z)", "te(x, z)", np.ones((4, 3)), None, (), names, "tensor", True, ("x", "z"), d)
    assert term.n_parameters == 2 and term.scale_names == ("x", "z")
    assert term.take_rows(np.array([0])).penalties is d
    assert of("common").scale_names == ("",) and of("independent").scale_names == ("Intercept", "x")
