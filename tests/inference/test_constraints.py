"""Constraints in words, as matrices and as mappings, and what is said of those that cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raphson.errors import ModelError
from raphson.inference.constraints import independent, linear

NAMES = ["Intercept", "age", "lwt", "C(race)[T.2]", "C(race)[T.3]", "age:lwt", "b:age", "x.1", "I(a = 1, 'b')"]


def row(**values: float) -> list[float]:
    return [values.get(str(j), 0.0) for j in range(len(NAMES))]


@pytest.mark.parametrize(
    ("text", "rows", "values"),
    [
        ("age = 0", [{1: 1}], [0]),
        ("age", [{1: 1}], [0]),
        ("age = 0, lwt = 0", [{1: 1}, {2: 1}], [0, 0]),
        ("2*age + lwt = 1", [{1: 2, 2: 1}], [1]),
        ("age*2 = 3 - lwt/4", [{1: 2, 2: 0.25}], [3]),
        ("C(race)[T.2] = C(race)[T.3]", [{3: 1, 4: -1}], [0]),
        ("-(age - 2*(lwt + 1)) = +5", [{1: -1, 2: 2}], [3]),
        ("age = lwt = 2", [{1: 1, 2: -1}, {2: 1}], [0, 2]),
        ("age:lwt = b:age", [{5: 1, 6: -1}], [0]),
        ("x.1 - `age` = 1e-3", [{7: 1, 1: -1}], [1e-3]),
        ("I(a = 1, 'b') = 2", [{8: 1}], [2]),
    ],
)
def test_words(text, rows, values):
    found = linear(text, NAMES)
    expected = np.zeros((len(rows), len(NAMES)))
    for i, entries in enumerate(rows):
        for j, value in entries.items():
            expected[i, j] = value
    np.testing.assert_allclose(found.matrix, expected)
    np.testing.assert_allclose(found.value, values)


def test_blanks_in_an_index_do_not_matter():
    names = ["B[0,0]", "B[0,1]", "s"]
    for text in ("B[0,1] = 2*s, B[0,0] = 1", "B[0, 1] = 2*s, B[0,  0] = 1"):
        np.testing.assert_array_equal(linear(text, names).matrix, [[0, 1, -2], [1, 0, 0]])
    assert linear("B[0,1]", ["B[0, 0]", "B[0, 1]"]).matrix.tolist() == [[0, 1]]  # as older saved fits have them
    assert linear({"B[0, 1]": 3}, names).matrix.tolist() == [[0, 3, 0]]


def test_other_forms_agree():
    R = np.zeros((2, len(NAMES)))
    R[0, 1], R[1, [2, 3]] = 1.0, (2.0, -1.0)
    for form in ((R, [0.0, 3.0]), ["age = 0", "2*lwt - C(race)[T.2] = 3"], "age = 0, 2*lwt - C(race)[T.2] = 3"):
        found = linear(form, NAMES)
        np.testing.assert_array_equal(found.matrix, R)
        np.testing.assert_array_equal(found.value, [0.0, 3.0])
    assert linear(R, NAMES).value.tolist() == [0.0, 0.0]
    assert linear(R[0], NAMES).matrix.shape == (1, len(NAMES))
    assert linear({"age": 1, "lwt": -2}, NAMES).texts == ("age - 2*lwt = 0",)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("agee = 0", "'agee' in 'agee = 0' is not a parameter.*did you mean 'age'"),
        ("C(race)[T.9] = 0", "is not a parameter"),
        ("log(age) = 0", "is not a parameter"),
        ("1 = 2", "depends on none"),
        ("age = age", "depends on none"),
        ("age * lwt = 1", "expected equations linear in.*Pass a function"),
        ("age / lwt = 1", "expected equations linear in"),
        ("age = 0,, lwt = 0", "empty"),
        ("age >= 0", "cannot parse"),
        ("age = 0; lwt = 0", "cannot parse"),
        ("__import__('os')", "is not a parameter"),
        (np.eye(3), r"expected a matrix of q rows and 9 columns"),
        ((np.ones((2, 9)), [1.0]), r"right-hand sides; got shapes \(2, 9\) and \(1,\)"),
        (np.full(9, np.nan), "finite numbers"),
        ({"nobody": 1.0}, "is not a parameter"),
        ({"age": "x"}, "expected a number for each parameter"),
        (object(), "expected text such as"),
    ],
)
def test_what_cannot_be_read(constraint, message):
    with pytest.raises(ModelError, match=message) as caught:
        linear(constraint, NAMES, "constraint")
    assert "\n" not in str(caught.value)


def test_redundant_equations():
    independent(np.array([[1.0, 0.0], [1.0, 1e-6]]))
    for J in ([[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]):
        with pytest.raises(ModelError, match="independent equations"):
            independent(np.array(J))


@given(st.lists(st.floats(-1e6, 1e6), min_size=len(NAMES), max_size=len(NAMES)), st.floats(-1e6, 1e6))
def test_what_is_written_is_read_back(coefficients, value):
    if not any(coefficients):
        return
    text = " + ".join(f"{c!r}*{name}" for c, name in zip(coefficients, NAMES, strict=True)) + f" = {value!r}"
    found = linear(text, NAMES)
    np.testing.assert_allclose(found.matrix[0], coefficients, rtol=1e-15)
    assert found.value[0] == pytest.approx(value, rel=1e-15)
