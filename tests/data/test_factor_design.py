from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raphson as rp
from raphson.data import design, factor_design, from_formula
from raphson.data.factor_design import FactorDesign, Layout, Term
from raphson.data.products import cross_sandwich, matvec, sandwich, transpose_matvec, weighted_squares

RIGHT_SIDES = [
    "a + b + c",
    "a * b + c + x",
    "a:b:c + x + z",
    "0 + a + x:b + x:c",
    "a*x + b:x + z:x:c + poly(z, 2):b",
    "C(a, Sum) + b + x",
    "b + C(c, Treatment('w1'))*a + x*z",
    "1 + a:x",
]


@pytest.fixture
def by_cells(monkeypatch):
    """Every design with a factor is one of cells, however few its rows and columns."""
    monkeypatch.setattr(design, "_FEW_ROWS", 0)
    monkeypatch.setattr(factor_design, "GATHER", 0.0)
    monkeypatch.setattr(factor_design, "SUM", 0.0)
    monkeypatch.setattr(design, "dense_nanoseconds", lambda p: 1e9)


def table(n=400, seed=3):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": pd.Categorical.from_codes(rng.integers(0, 3, n), ["u", "v", "w"]),
            "b": rng.choice(["b1", "b2", "b3", "b4"], n),
            "c": rng.choice([f"w{i}" for i in range(7)], n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
        }
    )
    frame["count"] = rng.poisson(np.exp(0.3 * frame["x"] + 0.2 * (frame["b"] == "b2")))
    frame["late"] = (rng.random(n) < 1 / (1 + np.exp(-frame["x"] - (frame["a"] == "v")))).astype(float)
    frame["w"] = rng.choice([0.0, 0.5, 1.0, 2.0], n)
    return frame


def written_out(monkeypatch):
    """Every design is dense from here on."""
    monkeypatch.setattr(design, "_FEW_ROWS", 10**9)
    monkeypatch.setattr(design, "SPARSE_COLUMNS", 10**9)


def both(right, monkeypatch, frame=None):
    """The design of cells, and the same dense."""
    frame = table() if frame is None else frame
    cells = from_formula(f"late ~ {right}", frame).X
    written_out(monkeypatch)
    return cells, from_formula(f"late ~ {right}", frame).X


@pytest.mark.parametrize("most", [1, 12, 10_000])
@pytest.mark.parametrize("right", RIGHT_SIDES)
def test_products_are_those_of_the_dense_matrix(right, most, by_cells, monkeypatch):
    monkeypatch.setattr(factor_design, "MOST_CELLS", most)
    X, D = both(right, monkeypatch)
    assert isinstance(X, FactorDesign) and isinstance(D, np.ndarray)
    np.testing.assert_allclose(X.toarray(), D, rtol=3e-16, atol=0)
    rng = np.random.default_rng(1)
    n, p = D.shape
    v, u, w, Z = rng.normal(size=p), rng.normal(size=n), rng.normal(size=n), rng.normal(size=(n, 2))
    close = {"rtol": 1e-12, "atol": 1e-11}
    np.testing.assert_allclose(matvec(X, v), D @ v, **close)
    np.testing.assert_allclose(transpose_matvec(X, u), D.T @ u, **close)
    M = sandwich(X, w)
    np.testing.assert_allclose(M, D.T @ (D * w[:, None]), **close)
    np.testing.assert_allclose(M, M.T, rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(weighted_squares(X, w), np.diag(M), **close)
    np.testing.assert_allclose(cross_sandwich(X, w, Z), D.T @ (Z * w[:, None]), **close)
    np.testing.assert_allclose(cross_sandwich(Z, w, X), Z.T @ (D * w[:, None]), **close)
    monkeypatch.setattr(factor_design, "SMALL", np.uint8)
    monkeypatch.setattr(factor_design, "PIECE", 37)
    large = FactorDesign(X.layout, [one.astype(np.intp) for one in X.codes], X.scales, X.dense)
    np.testing.assert_allclose(sandwich(large, w), M, **close)
    np.testing.assert_allclose(matvec(large, v), D @ v, **close)
    out = np.full(n, np.nan)
    assert X.matvec(v, out=out) is out
    np.testing.assert_allclose(out, D @ v, **close)


@pytest.mark.parametrize("right", RIGHT_SIDES)
def test_rows_and_columns_are_taken(right, by_cells, monkeypatch):
    X, D = both(right, monkeypatch)
    D = X.toarray()
    sandwich(X, np.ones(len(D)))  # what is kept of all rows must not serve some of them
    mask = np.arange(len(D)) % 3 == 1
    columns = [column for column in range(D.shape[1]) if column % 2 == 0]
    for rows in (slice(10, 50), slice(None, None, 7), np.array([5, 3, 3]), mask, 4):
        wanted = np.atleast_2d(D[rows])
        np.testing.assert_array_equal(X[rows].toarray(), wanted)
        np.testing.assert_allclose(X[rows].sandwich(np.ones(len(wanted))), wanted.T @ wanted, rtol=1e-12, atol=1e-12)
    part = X[:, columns]
    np.testing.assert_array_equal(part.toarray(), D[:, columns])
    np.testing.assert_allclose(part.sandwich(np.ones(len(D))), D[:, columns].T @ D[:, columns], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(part @ np.ones(len(columns)), D[:, columns].sum(axis=1), rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_layout(data):
    levels = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    n = data.draw(st.integers(1, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    p, terms = 0, []
    for _ in range(data.draw(st.integers(1, 5))):
        factors = tuple(number for number in range(len(levels)) if rng.random() < 0.5)
        columns = np.full([levels[number] for number in factors], -1)
        there = rng.random(columns.shape) < 0.7
        columns[there] = p + np.arange(np.count_nonzero(there))
        p += np.count_nonzero(there)
        terms.append(Term(factors, columns, data.draw(st.sampled_from([None, 0, 1]))))
    q = data.draw(st.integers(0, 2))
    layout = Layout(p + q, levels, terms, range(p, p + q))
    codes = [rng.integers(0, count, n) for count in levels]
    X = FactorDesign(layout, codes, list(rng.normal(size=(2, n))), rng.normal(size=(n, q)))
    D, w, v = X.toarray(), rng.normal(size=n), rng.normal(size=p + q)
    np.testing.assert_allclose(X.matvec(v), D @ v, atol=1e-12)
    np.testing.assert_allclose(X.transpose_matvec(w), D.T @ w, atol=1e-12)
    np.testing.assert_allclose(X.sandwich(w), D.T @ (D * w[:, None]), atol=1e-12)


def test_factors_are_merged_into_few_tables():
    # 8 factors have 28 cross-tables; of up to 12,288 cells 11 tables hold them all, and 3 hold the factors.
    sizes = (5, 8, 10, 12, 20, 30, 50, 100)
    ends = np.cumsum([1, *[size - 1 for size in sizes]])
    terms = [Term((), np.array(0))]
    for number in range(len(sizes)):
        terms.append(Term((number,), np.r_[-1, np.arange(ends[number], ends[number + 1])]))
    layout = Layout(int(ends[-1]), sizes, terms, [])
    assert len(layout.groups) == 3
    assert len(layout.tables) <= 12
    assert all(np.prod(layout.shape(one.factors)) <= factor_design.MOST_CELLS for one in layout.tables)


def test_a_design_is_of_cells_only_where_that_is_faster():
    few, many = table(400), table(20_000)
    assert isinstance(from_formula("late ~ a + b + c + x", few).X, np.ndarray)
    assert isinstance(from_formula("late ~ a * c + b * c + x", many).X, FactorDesign)
    assert isinstance(from_formula("late ~ a + x + z", many).X, np.ndarray)
    assert isinstance(from_formula("late ~ x + z", many).X, np.ndarray)


def fits(monkeypatch, formula, frame, **options):
    """The fit by cells and the dense one."""
    cells = rp.glm(formula, frame, **options)
    written_out(monkeypatch)
    return cells, rp.glm(formula, frame, **options)


def alike(one, other, digits=1e-9):
    assert one.status == other.status and one.message == other.message
    np.testing.assert_allclose(one.params, other.params, rtol=digits, atol=digits)
    np.testing.assert_allclose(one.bse, other.bse, rtol=digits)
    np.testing.assert_allclose(one.llf, other.llf, rtol=1e-12)


@pytest.mark.parametrize(
    ("response", "options"),
    [
        ("late", {"family": "binomial"}),
        ("late", {"family": rp.families.Binomial(link="probit")}),
        ("count", {"family": "poisson", "weights": "w"}),
        ("count", {"family": "poisson", "offset": "z", "penalty": 2.0}),
        ("count", {"family": "negative binomial"}),
        ("x", {"family": "normal", "weights": "w"}),
        ("exp(x)", {"family": rp.families.Gamma(link="log")}),
        ("a", {"family": "multinomial"}),
    ],
)
def test_fits_are_those_of_the_dense_design(response, options, by_cells, monkeypatch):
    right = "b + c + z" if response in ("a", "x") else "a*b + c + z"
    alike(*fits(monkeypatch, f"{response} ~ {right}", table(600), **options))


@pytest.mark.parametrize("penalty", ["vector", "matrix"])
def test_a_penalty_by_vector_and_matrix(penalty, by_cells, monkeypatch):
    p = 12
    root = np.random.default_rng(2).normal(size=(p, p))
    given_one = np.linspace(0.1, 3.0, p) if penalty == "vector" else root @ root.T
    alike(*fits(monkeypatch, "late ~ a + b + c", table(), family="binomial", penalty=given_one))


def test_an_aliased_level_goes_as_from_a_dense_design(by_cells, monkeypatch):
    frame = table()
    frame["d"] = np.where(frame["b"] == "b3", "q", np.where(frame["b"] == "b4", "r", "s"))
    cells, other = fits(monkeypatch, "count ~ b + d + x", frame, family="poisson")
    assert np.isnan(cells.params[["d[T.r]", "d[T.s]"]]).all() and np.isfinite(cells.params).sum() == 5
    alike(cells, other)


def test_a_separated_level_is_found(by_cells, monkeypatch):
    frame = table()
    frame.loc[frame["c"] == "w3", "late"] = 1.0
    with pytest.warns(Warning):
        cells, other = fits(monkeypatch, "late ~ a + c + x", frame, family="binomial")
    assert cells.status == other.status == "separated"
    np.testing.assert_allclose(cells.llf, other.llf, rtol=1e-10)


def test_inference_and_predictions_are_those_of_the_dense_design(by_cells, monkeypatch, tmp_path):
    frame = table(500)
    cells, other = fits(monkeypatch, "late ~ a + b*x + c", frame, family="binomial")
    for kind in ("HC0", "HC1", "HC3"):
        np.testing.assert_allclose(
            cells.robust(kind).cov_params(), other.robust(kind).cov_params(), rtol=1e-8, atol=1e-12
        )
    for kind in ("expected", "observed", "opg"):
        np.testing.assert_allclose(cells.information(kind), other.information(kind), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(cells.leverage, other.leverage, rtol=1e-9)
    new = frame.iloc[:40].copy()
    monkeypatch.setattr(design, "_FEW_ROWS", 0)
    found = cells.predict(new)
    monkeypatch.setattr(design, "_FEW_ROWS", 10**9)
    np.testing.assert_allclose(found, other.predict(new), rtol=1e-9)
    cells.save(tmp_path / "fit")
    np.testing.assert_allclose(rp.load(tmp_path / "fit").predict(new), found, rtol=1e-12)


def test_rows_without_a_level_are_dropped_or_nan(by_cells):
    frame = table(300)
    fit = rp.glm("late ~ a + b + c", frame, family="binomial")
    new = frame.iloc[:6].copy()
    new.loc[new.index[2], "b"] = None
    left = fit.predict(new, missing="drop")
    kept = fit.predict(new, missing="nan")
    assert len(left) == 5 and np.isnan(np.asarray(kept)[2]) and np.isfinite(np.delete(np.asarray(kept), 2)).all()
    missing = frame.copy()
    missing.loc[missing.index[:7], "c"] = None
    with pytest.warns(rp.errors.MissingDataWarning, match="7"):
        assert rp.glm("late ~ a + b + c", missing, family="binomial").nobs == 293


def test_the_sums_do_not_depend_on_the_number_of_threads():
    frame = table(100_000)
    one, two = (
        rp.glm("late ~ a * c + b * c + x", frame, family="binomial", executor=rp.execute.threads(workers))
        for workers in (1, 2)
    )
    np.testing.assert_array_equal(one.params, two.params)
    np.testing.assert_array_equal(one.cov_params(), two.cov_params())
