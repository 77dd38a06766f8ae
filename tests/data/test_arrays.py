"""Arrays are checked and put together; nothing is copied that need not be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from raphson.data import from_arrays
from raphson.data.matrices import RUN, has_constant, scan
from raphson.errors import DataError, MissingDataWarning, ModelError

NAN, INF = np.nan, np.inf
X = np.array([[1, 0.5], [1, 2], [1, 3], [1, 5]])
Y = np.array([0.0, 1, 0, 1])


def test_a_good_array_is_not_copied_if_it_is_large():
    y, large = np.tile(Y, 40_000), np.tile(X, (40_000, 1))
    model = from_arrays(y, large)
    assert model.X is large and model.response.values is y
    model = from_arrays(Y, X)
    assert not np.shares_memory(model.X, X) and not np.shares_memory(model.response.values, Y)
    assert model.names == ("x1", "x2") and model.terms == {"x1": (0,), "x2": (1,)}
    assert model.index is None and model.labels is None and model.response.name == "y"


@pytest.mark.parametrize(
    "matrix",
    [X.tolist(), X.astype(np.float32), np.asfortranarray(X), pd.DataFrame(X), X[::-1][::-1]],
)  # fmt: skip
def test_other_arrays_become_float64_in_c_order(matrix):
    design = from_arrays(Y, matrix).X
    np.testing.assert_array_equal(design, X)
    assert design.dtype == np.float64 and design.flags.c_contiguous


def test_integers_booleans_and_single_columns():
    assert from_arrays(Y, np.array([1, 2, 3, 4])).X.shape == (4, 1)
    assert from_arrays(Y, np.array([True, False, True, True])).X.tolist() == [[1], [0], [1], [1]]
    assert from_arrays(Y, pd.Series([1, 2, 3, 4], name="dose")).names == ("dose",)


def test_names_of_frames():
    polars = pytest.importorskip("polars")
    columns = {"one": [1, 1, 1, 1], "dose": [0.5, 2, 3, 5], "on": [True, False, True, True]}
    for frame in (pd.DataFrame(columns), polars.DataFrame(columns)):
        model = from_arrays(Y, frame)
        assert model.names == ("one", "dose", "on") and model.X[:, 2].tolist() == [1, 0, 1, 1]
    labelled = pd.DataFrame(X, index=list("pqrs"))
    assert from_arrays(pd.Series(Y, name="low"), labelled).labels.tolist() == list("pqrs")
    assert from_arrays(pd.Series(Y, name="low"), labelled).response.name == "low"
    assert from_arrays(Y, X, names=["a", "b"]).names == ("a", "b")


@pytest.mark.parametrize(
    ("y", "values", "levels"),
    [
        ([0, 1, 0, 1], [0, 1, 0, 1], None),
        (Y[:, None], Y, None),
        (["no", "yes", "no", "yes"], [0, 1, 0, 1], ("no", "yes")),
        (np.array(["b", "a", "c", "a"]), [1, 0, 2, 0], ("a", "b", "c")),
        (np.array([True, False, True, True]), [1, 0, 1, 1], ("False", "True")),
        (np.array([True, True, True, True]), [1, 1, 1, 1], ("False", "True")),
        (pd.Categorical(list("bacb"), categories=list("dcba")), [1, 2, 0, 1], ("c", "b", "a")),
        (pd.Series(["u", "v", "u", "v"], dtype="string"), [0, 1, 0, 1], ("u", "v")),
        ([[1, 2], [3, 4], [5, 6], [7, 8]], [[1, 2], [3, 4], [5, 6], [7, 8]], None),
        (pd.DataFrame({"s": [1, 2, 3, 4], "f": [4, 3, 2, 1]}), [[1, 4], [2, 3], [3, 2], [4, 1]], None),
    ],
)
def test_responses(y, values, levels):
    response = from_arrays(y, X).response
    np.testing.assert_array_equal(response.values, values)
    assert response.levels == levels and response.values.dtype == np.float64


def test_missing_values_are_dropped_everywhere():
    matrix = np.array([[1, 0.5], [1, NAN], [1, 3], [1, INF]])
    with pytest.warns(MissingDataWarning, match="2 of 4 rows dropped for missing values in b; infinite values in b"):
        model = from_arrays(Y, matrix, names=["a", "b"], weights=[1, 2, 3, 4], groups=list("ppqq"))
    assert model.index.tolist() == [0, 2] and model.X.tolist() == [[1, 0.5], [1, 3]]
    assert model.weights.tolist() == [1, 3] and model.groups.tolist() == [0, 1] and model.n_dropped == 2
    with pytest.raises(DataError, match=r"missing values in b; infinite values in b, in 2 of 4 rows"):
        from_arrays(Y, matrix, names=["a", "b"], missing="raise")


@pytest.mark.parametrize(
    ("y", "options"),
    [
        ([0, NAN, 0, 1], {}),
        (["a", None, "b", "a"], {}),
        (pd.Series([0, None, 1, 1], dtype="Int64"), {}),
        ([[1, 2], [NAN, 2], [1, 2], [1, 2]], {}),
        (Y, {"weights": [1, NAN, 1, 1]}),
        (Y, {"offset": [1, -INF, 1, 1]}),
        (Y, {"trials": [1, NAN, 1, 1]}),
        (Y, {"groups": ["a", None, "b", "a"]}),
        (Y, {"groups": [1.0, NAN, 1, 2]}),
    ],
)
def test_the_second_row_is_dropped(y, options):
    with pytest.warns(MissingDataWarning, match="1 of 4 rows dropped"):
        assert from_arrays(y, X, **options).index.tolist() == [0, 2, 3]


def test_a_huge_but_finite_number_is_kept():
    matrix = np.array([[1e200, 1.0], [1e308, 2.0], [-1e308, 3.0], [1e308, 1.0]])
    np.testing.assert_array_equal(from_arrays(Y, matrix).X, matrix)


@pytest.mark.parametrize("form", [scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_matrix])
def test_sparse_matrices_stay_sparse(form):
    import tabmat

    model = from_arrays(Y, form(X))
    assert isinstance(model.X, tabmat.SparseMatrix)
    np.testing.assert_array_equal(model.X.toarray(), X)
    bad = X.copy()
    bad[2, 1] = NAN
    with pytest.warns(MissingDataWarning, match="missing values in x2"):
        assert from_arrays(Y, form(bad)).X.toarray().tolist() == X[[0, 1, 3]].tolist()


def test_a_sparse_matrix_may_have_long_indices():
    # tabmat reads indices of 32 bits only; SciPy makes longer ones where two matrices are put together, among others.
    long = scipy.sparse.csc_array(X)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    fit = from_arrays(Y, long)
    np.testing.assert_array_equal(fit.X.toarray(), X)
    np.testing.assert_allclose(fit.X.sandwich(np.ones(len(X))), X.T @ X)


def test_tabmat_matrices():
    import tabmat

    categories = tabmat.CategoricalMatrix(np.array(["u", "v", "u", "w"]))
    split = tabmat.SplitMatrix([tabmat.DenseMatrix(X), categories])
    model = from_arrays(Y, split)
    assert model.X is split and model.has_intercept and len(model.names) == 5
    with pytest.warns(MissingDataWarning):
        kept = from_arrays([0, NAN, 1, 1], split).X
    np.testing.assert_array_equal(kept.toarray(), split.toarray()[[0, 2, 3]])
    assert isinstance(from_arrays(Y, tabmat.DenseMatrix(X)).X, np.ndarray)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (X, True),
        (X[:, 1:], False),
        (np.zeros((4, 1)), False),
        (np.full((4, 1), -2.5), True),
        (np.vstack([np.ones((100, 1)), [[2.0]]]), False),
    ],
)
def test_a_constant_column_counts_as_intercept(matrix, expected):
    assert from_arrays(np.zeros(len(matrix)), matrix).has_intercept is expected


@pytest.mark.parametrize(
    ("y", "matrix", "options", "message"),
    [
        (Y, X.astype(complex), {}, "X: expected real numbers; got complex numbers"),
        (Y, X.astype(str), {}, "X: expected real numbers; got text"),
        (Y, X.astype(object), {}, "X: expected real numbers; got text or objects"),
        (
            Y,
            pd.DataFrame({"a": list("pqrs"), "b": Y}),
            {},
            "X: the column 'a' holds text or categories.*formula",
        ),
        (Y, scipy.sparse.csr_matrix(X.astype(complex)), {}, "sparse matrix of complex"),
        (Y, [[1, 2], [3]], {}, "X: its rows differ in length"),
        (Y, np.ones((4, 2, 2)), {}, "X: expected a matrix"),
        ([], np.ones((0, 2)), {}, r"X: expected a matrix of shape \(n, p\); got shape .0, 2."),
        (Y, np.ones((4, 0)), {}, "X: expected a matrix"),
        (Y[:3], X, {}, "y: expected 4 values, one for each row of X.*got shape .3,"),
        (Y.astype(complex), X, {}, "y: expected real numbers or labels; got complex128"),
        (np.ones((4, 3)), X, {}, "y: expected 4 values"),
        (list("abc"), X, {}, "y: expected 4 values"),
        (3.0, X, {}, "y: expected 4 values"),
        (Y, X, {"names": ["a"]}, "names: expected 2 names, one for each column of X; got 1"),
        (Y, X, {"names": "ab"}, "names: expected 2"),
        (Y, X, {"names": ["a", "a"]}, "names: more than one column is called 'a'"),
        (Y, pd.DataFrame(X, columns=["a", "a"]), {}, "more than one column is called 'a'"),
        (Y, X, {"weights": [1, 2, 3]}, "weights: expected 4 numbers"),
        (Y, X, {"weights": list("abcd")}, "weights: expected numbers; got text"),
        (Y, X, {"weights": "w"}, "weights: expected numbers"),
        (Y, X, {"weights": [0, 0, 0, 0]}, "weights: all are 0"),
        (Y, X, {"weights": [1, 1, 1, -1]}, "weights: expected numbers of 0 or more; 1 is negative, in row 3"),
        (Y, X, {"offset": [1, 2]}, "offset: expected 4"),
        (Y, X, {"trials": [1, 2]}, "trials: expected 4"),
        (Y, X, {"groups": [1, 2]}, "groups: expected 4"),
        (Y, X, {"missing": "keep"}, "missing: expected one of drop, raise"),
        ([NAN] * 4, X, {}, "all 4 rows have missing values in y, so none is left"),
    ],
)
def test_what_does_not_fit(y, matrix, options, message):
    with pytest.raises((DataError, ModelError), match=message) as caught:
        from_arrays(y, matrix, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("late", [None, 0, -1], ids=["constant", "not at first", "not at the end"])
def test_one_reading_of_a_large_matrix_finds_its_squares_and_its_constant_column(late):
    X = np.random.default_rng(0).normal(size=(RUN // 2, 3))
    X[:, 1] = 2.0
    if late is not None:
        X[late, 1] = 3.0
    found = scan(X)
    assert found.squares == pytest.approx(np.sum(X * X), rel=1e-13)
    assert found.constant == (late is None) == has_constant(X)
    assert scan(X[:10]).constant == (late is None or late == -1)


def test_a_large_matrix_with_a_missing_entry_has_the_constant_column_of_the_rows_that_are_left():
    X = np.random.default_rng(0).normal(size=(RUN // 2, 3))
    X[:, 1] = 2.0
    X[-1, :2] = np.nan, 5.0
    with pytest.warns(MissingDataWarning, match="missing values in x1"):
        model = from_arrays(X[:, 2].copy(), X)
    assert model.has_intercept and model.n_dropped == 1
