from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import tabmat
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog
from scipy.special import expit

from raphson.model.glm import recession, separation
from raphson.model.glm.separating_rows import ClassRows, SeparatingRows, SignedRows
from raphson.model.glm.separation import AtInfinity, least_weight


@dataclass(frozen=True, kw_only=True)
class Separation(AtInfinity):
    """A direction with the rows that it takes along, and of a multinomial response the classes that it rules out."""

    rows: np.ndarray
    complete: bool
    pairs: np.ndarray | None = None


def of_rows(rows: SeparatingRows, counted: np.ndarray, n_levels: int | None = None) -> Separation | None:
    found, whole = separation.separated(rows), recession.maximal_direction(rows, np.eye(len(rows.scale)))
    assert (found is None) == (whole is None)
    if found is None or whole is None:
        return None
    pairs = None if n_levels is None else whole.strict.reshape(-1, n_levels)
    strict = whole.strict if pairs is None else pairs.sum(axis=1) == n_levels - 1
    return Separation(**vars(found), rows=strict, complete=bool(strict[counted].all()), pairs=pairs)


def separated(X, direction: np.ndarray, weight: np.ndarray | None = None) -> Separation | None:
    counted = np.ones(X.shape[0], dtype=bool) if weight is None else weight > least_weight(weight)
    return of_rows(SignedRows(X, np.asarray(direction, dtype=np.int8), counted), counted)


def separated_multinomial(X, y: np.ndarray, n_levels: int) -> Separation | None:
    counted = np.ones(X.shape[0], dtype=bool)
    return of_rows(ClassRows(X, y, n_levels, counted), counted, n_levels)


def with_constant(*columns: np.ndarray | list[float]) -> np.ndarray:
    return np.column_stack([np.ones(len(columns[0])), *columns])


def signs(y: np.ndarray | list[int]) -> np.ndarray:
    return 2 * np.asarray(y, dtype=int) - 1


def separable_rows(B: np.ndarray, E: np.ndarray) -> np.ndarray:
    """Which rows some δ with Bδ >= 0, Eδ = 0 makes positive: one small programme for each row."""
    m, p = B.shape
    out = np.zeros(m, dtype=bool)
    for i in range(m):
        answer = linprog(
            -B[i],
            A_ub=np.vstack([-B, B[i]]),
            b_ub=np.r_[np.zeros(m), 1.0],
            A_eq=E if len(E) else None,
            b_eq=np.zeros(len(E)) if len(E) else None,
            bounds=[(None, None)] * p,
        )
        out[i] = answer.fun < -0.5
    return out


def check(found: Separation, X: np.ndarray, direction: np.ndarray) -> None:
    """What every answer must fulfil, by the definition."""
    value = direction * (X @ found.direction)
    size = np.abs(X) @ np.abs(found.direction)
    assert np.all(value[found.rows] > 0)
    assert np.all(np.abs((X @ found.direction)[~found.rows]) <= 1e-9 * size[~found.rows])
    assert not np.any(found.direction[~found.infinite])
    assert np.all((found.signs != 0) == found.infinite)
    # The others are identified by the rows that are left: no null vector of theirs touches them.
    rest = X[~found.rows] / np.abs(X).max(axis=0)
    rank = np.linalg.matrix_rank(rest) if len(rest) else 0
    finite = rest[:, ~found.infinite]
    assert np.linalg.matrix_rank(finite) == finite.shape[1] if finite.size else True
    if len(rest):
        assert rank == finite.shape[1] + np.linalg.matrix_rank(
            rest[:, found.infinite] - finite @ np.linalg.lstsq(finite, rest[:, found.infinite], rcond=None)[0],
            tol=1e-8,
        )


# -- textbook cases --------------------------------------------------------------------------------------------


def test_allison_complete_and_quasi_complete() -> None:
    # Allison (2008), SAS Global Forum 360, tables 1 and 2: x from -5 to 5, then two more rows at x = 0.
    x = np.r_[-5.0:0.0, 1.0:6.0]
    found = separated(with_constant(x), signs(x > 0))
    assert found is not None
    assert found.complete
    assert found.rows.all()
    assert found.infinite.all()
    assert found.signs[1] == 1.0

    x, y = np.r_[x, 0.0, 0.0], np.r_[x > 0, False, True]
    found = separated(with_constant(x), signs(y))
    assert found is not None
    assert not found.complete
    assert found.rows.tolist() == [True] * 10 + [False] * 2
    assert found.signs.tolist() == [0.0, 1.0]
    assert found.direction.tolist() == [0.0, 1.0]


def test_overlap_is_not_separation() -> None:
    x = np.r_[-5.0:6.0]
    y = x > 0
    y[3] = True
    assert separated(with_constant(x), signs(y)) is None


def test_a_zero_cell() -> None:
    # A 2 x 2 table with an empty cell: nobody treated died.
    treated, died = np.r_[0, 0, 0, 0, 1, 1, 1], np.r_[0, 0, 1, 1, 0, 0, 0]
    found = separated(with_constant(treated), signs(died))
    assert found is not None
    assert found.signs.tolist() == [0.0, -1.0]
    assert found.rows.tolist() == [False] * 4 + [True] * 3


def test_poisson_regressor_that_is_zero_wherever_the_count_is_positive() -> None:
    # Santos Silva and Tenreyro (2010), Economics Letters 107: y = 0 wherever the dummy is 1.
    y, dummy = np.array([0, 2, 1, 0, 3, 0, 0]), np.array([0, 0, 0, 0, 0, 1, 1.0])
    direction = np.where(y == 0, -1, 0)
    x = np.arange(7.0)
    found = separated(with_constant(dummy, x), direction)
    assert found is not None
    assert found.signs.tolist() == [0.0, -1.0, 0.0]
    assert found.rows.tolist() == [False] * 5 + [True] * 2
    # One positive count with the dummy, and it is gone.
    assert separated(with_constant(dummy, x), np.where(np.r_[y[:-1], 1] == 0, -1, 0)) is None
    # The trap: with y > 0 nowhere, even the intercept runs off.
    found = separated(np.ones((3, 1)), np.array([-1, -1, -1]))
    assert found is not None
    assert found.complete
    assert found.signs.tolist() == [-1.0]


def test_rows_with_a_finite_optimum_of_full_rank_settle_it() -> None:
    x = np.arange(6.0)
    assert separated(with_constant(x), np.zeros(6, dtype=int)) is None
    assert separated(with_constant(x), np.array([0, 0, 1, 1, -1, 1])) is None


def test_direction_through_several_covariates() -> None:
    # x1 + x2 separates, neither alone does; x3 has nothing to do with it.
    x1, x2 = np.array([0, 3, 1, 2, 3, 0, 2.0, 2]), np.array([1, -2, 0, -2, -1, 2, 0, -1.0])
    y = x1 + x2 > 1
    x3 = np.array([1, -1, -1, 1, 1, -1, 1, -1.0])
    assert separated(with_constant(x1, x3), signs(y)) is None
    found = separated(with_constant(x1, x2), signs(y))
    assert found is not None
    check(found, with_constant(x1, x2), signs(y))
    assert found.complete


# -- what counts as separated ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
def test_nearly_separated_is_decided_rightly(gap: float) -> None:
    # Failure at 1 + gap, above the success at 1: an overlap of `gap`. The tolerance of the solver is 1e-7. Swapping
    # the two gives a separation with as small a margin.
    x = np.array([0.0, 1.0, 1.0 + gap, 3.0, 4.0, -2.0])
    assert separated(with_constant(x), signs([0, 1, 0, 1, 1, 0])) is None
    found = separated(with_constant(x), signs([0, 0, 1, 1, 1, 0]))
    assert found is not None
    assert found.complete


def test_a_tie_broken_only_by_rounding_is_a_tie() -> None:
    # Thirds that should add up to 1 and don't quite.
    x = np.array([0.0, 1 / 3 + 1 / 3 + 1 / 3, 0.1 * 3 + 0.7, 2.0])
    found = separated(with_constant(x), signs([0, 0, 1, 1]))
    assert found is not None
    assert found.rows.tolist() == [True, False, False, True]


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_units_and_origins_do_not_matter(unit: float) -> None:
    x = np.array([-2.0, -1.0, 0.0, 0.0, 1.0, 2.0])
    y = np.array([0, 0, 0, 1, 1, 1])
    found = separated(with_constant(2000.0 + unit * x if unit >= 1 else unit * x), signs(y))
    assert found is not None
    assert found.rows.tolist() == [True, True, False, False, True, True]
    overlap = y.copy()
    overlap[0] = 1
    assert separated(with_constant(unit * x), signs(overlap)) is None


def test_weight_zero_rows_take_no_part() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0, 9.0]), np.array([0, 0, 1, 1, 0])
    assert separated(with_constant(x), signs(y)) is None
    found = separated(with_constant(x), signs(y), weight=np.array([1.0, 2.0, 1.0, 1.0, 0.0]))
    assert found is not None
    assert found.complete
    assert found.rows.tolist() == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (lambda x, o: (o, 2 * o, x), [0, 0, 1]),
        (lambda x, o: (o, x, x + 1), [0, 1, 0]),
        (lambda x, o: (x, o, x - 2 * o), [1, 0, 0]),
    ],
)
def test_of_aliased_columns_the_later_stays(columns: object, expected: list[int]) -> None:
    x, y = np.r_[-3.0:0.0, 1.0:4.0, 0.0, 0.0], np.r_[0, 0, 0, 1, 1, 1, 0, 1]
    found = separated(np.column_stack(columns(x, np.ones(8))), signs(y))  # pyright: ignore[reportCallIssue]
    assert found is not None
    assert found.infinite.astype(int).tolist() == expected


# -- against one programme for each row, and invariances -------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n, p = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    X = draw(hnp.arrays(np.int8, (n, p), elements=st.integers(-2, 2))).astype(float)
    X[:, 0] = 1.0
    direction = draw(hnp.arrays(np.int8, n, elements=st.sampled_from([-1, 1, -1, 1, 0])))
    assume(np.linalg.matrix_rank(X) == p)
    return X, direction.astype(int)


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_the_rows_are_those_that_can_be_separated(problem: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    X, direction = problem
    free = direction != 0
    expected = np.zeros(len(X), dtype=bool)
    if free.any():
        expected[free] = separable_rows((X * direction[:, None])[free], X[~free])
    found = separated(X, direction)
    assert (found is not None) == expected.any()
    if found is None:
        return
    assert found.rows.tolist() == expected.tolist()
    check(found, X, direction)

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    shuffled = separated(X[order], direction[order])
    assert shuffled is not None
    assert shuffled.rows.tolist() == expected[order].tolist()
    assert shuffled.infinite.tolist() == found.infinite.tolist()


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_another_basis_of_the_columns_changes_nothing(problem: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    X, direction = problem
    rng = np.random.default_rng(seed)
    A = np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0] * 10.0 ** rng.uniform(-4, 4, X.shape[1])
    one, other = separated(X, direction), separated(X @ A, direction)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.rows.tolist() == other.rows.tolist()
        check(other, X @ A, direction)


# -- many rows: only some of them enter the programme ----------------------------------------------------------


def test_many_rows_with_a_rare_zero_cell() -> None:
    rng = np.random.default_rng(0)
    n = 60_000
    rare = rng.random(n) < 5e-4
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 6)), rare])
    y = (rng.random(n) < expit(X[:, :7] @ rng.normal(size=7))) & ~rare
    found = separated(X, signs(y))
    assert found is not None
    assert found.infinite.tolist() == [False] * 7 + [True]
    assert found.rows.tolist() == rare.tolist()
    check(found, X, signs(y))
    y[np.flatnonzero(rare)[3]] = True
    assert separated(X, signs(y)) is None


def test_many_rows_completely_separated_but_for_one() -> None:
    rng = np.random.default_rng(1)
    X = with_constant(*rng.normal(size=(5, 50_000)))
    eta = X @ rng.normal(size=6)
    found = separated(X, signs(eta > 0))
    assert found is not None
    assert found.complete
    # Turn round the row that lies deepest inside: nothing separates any more.
    y = eta > 0
    y[np.argmax(eta)] = False
    assert separated(X, signs(y)) is None


def test_the_programme_is_not_needed_for_overlapping_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(C: np.ndarray) -> None:
        raise AssertionError("the linear programme ran")

    monkeypatch.setattr(recession, "_programme", refuse)
    rng = np.random.default_rng(2)
    X = with_constant(*rng.normal(size=(3, 5_000)))
    assert separated(X, signs(rng.random(5_000) < 0.3)) is None


def test_the_programme_alone_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recession, "_climb", lambda C: None)
    test_allison_complete_and_quasi_complete()
    test_a_zero_cell()
    test_nearly_separated_is_decided_rightly(1e-8)
    test_overlap_is_not_separation()


def test_tabmat_designs() -> None:
    rng = np.random.default_rng(3)
    n = 5_000
    group, x = rng.integers(0, 8, n), rng.normal(size=(n, 2))
    X = tabmat.SplitMatrix([tabmat.DenseMatrix(x), tabmat.CategoricalMatrix(group)])
    y = rng.random(n) < 0.4
    assert separated(X, signs(y)) is None
    y[group == 5] = True
    found = separated(X, signs(y))
    assert found is not None
    assert found.signs.tolist() == [0.0] * 7 + [1.0, 0.0, 0.0]
    assert found.rows.tolist() == (group == 5).tolist()


# -- multinomial -----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_multinomial_against_stacked_rows(problem: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    X, _ = problem
    n, p = X.shape
    y = np.random.default_rng(seed).integers(0, 3, n)
    units = np.vstack([np.zeros(2), np.eye(2)])
    pairs = [(i, k) for i in range(n) for k in range(3) if k != y[i]]
    B = np.array([np.kron(units[y[i]] - units[k], X[i]) for i, k in pairs])
    expected = np.zeros((n, 3), dtype=bool)
    for (i, k), value in zip(pairs, separable_rows(B, np.zeros((0, 2 * p))), strict=True):
        expected[i, k] = value
    found = separated_multinomial(X, y, 3)
    assert (found is not None) == expected.any()
    if found is not None:
        assert found.pairs is not None
        assert found.pairs.tolist() == expected.tolist()
        assert found.rows.tolist() == (expected.sum(axis=1) == 2).tolist()


def test_two_classes_are_the_binary_case() -> None:
    x = np.r_[-3.0:0.0, 1.0:4.0, 0.0, 0.0]
    y = np.r_[0, 0, 0, 1, 1, 1, 0, 1]
    one, other = separated(with_constant(x), signs(y)), separated_multinomial(with_constant(x), y, 2)
    assert one is not None
    assert other is not None
    assert one.rows.tolist() == other.rows.tolist()
    assert one.signs.tolist() == other.signs.tolist()


def test_one_class_of_three_apart() -> None:
    # Class 2 lies beyond x = 10, classes 0 and 1 overlap: only what sets class 2 apart is infinite.
    x, y = np.array([0.0, 1, 2, 3, 4, 11, 12, 13]), np.array([0, 1, 0, 1, 0, 2, 2, 2])
    found = separated_multinomial(with_constant(x), y, 3)
    assert found is not None
    assert found.infinite.tolist() == [False, False, True, True]
    assert found.signs.tolist() == [0.0, 0.0, -1.0, 1.0]
    assert found.rows.tolist() == [False] * 5 + [True] * 3
    assert found.pairs is not None
    assert found.pairs[0].tolist() == [False, False, True]
    assert not found.complete
