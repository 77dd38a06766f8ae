"""The groups of a model: which rows are whose, what each of them lacks, and how they are stacked."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data import from_arrays, from_formula
from raphson.execute import serial
from raphson.model.families import resolve
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.glm.groups import GroupedModel
from raphson.model.glm.stacked import MOST_PADDING, STACK_ROWS

rng = np.random.default_rng(0)


def grouped(by, p: int = 2, family: str = "gaussian", kind: str = "precision", **given) -> GroupedModel:
    n = len(by)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    y = rng.normal(size=n) if family == "gaussian" else rng.integers(0, 3, n).astype(float)
    return GroupedModel.of(
        GeneralisedLinearModel.of(from_arrays(y, X, by=by, **given), resolve(family), kind, None, serial())
    )


def test_rows_of_sorted_and_of_mixed_groups() -> None:
    by = np.repeat([5, 7, 9], [4, 6, 5])
    whole = grouped(by)
    assert whole.labels == (5, 7, 9) and whole.order is None and whole.rows(1) == slice(4, 10)
    mixed = rng.permutation(15)
    other = grouped(by[mixed])
    for k, label in enumerate(other.labels):
        assert (by[mixed][other.rows(k)] == label).all() and len(other.model(k).y) == [4, 6, 5][k]
    values = rng.normal(size=15)
    np.testing.assert_allclose(other.sums(values), [values[by[mixed] == label].sum() for label in (5, 7, 9)])


def test_every_group_with_enough_rows_is_in_one_stack_of_similar_sizes() -> None:
    sizes = rng.integers(1, 400, 600)
    whole = grouped(np.repeat(np.arange(600), sizes))
    stacks = list(whole.stacks())
    assert sorted(np.concatenate(stacks).tolist()) == np.flatnonzero(sizes > 2).tolist()
    for places in stacks:
        own = sizes[places]
        assert own.max() <= max(MOST_PADDING * own.min(), own.min() + 1) and len(own) * own.max() <= STACK_ROWS
    huge = grouped(np.repeat([0, 1, 2], [STACK_ROWS + 5, 10, STACK_ROWS + 5]))
    assert [places.tolist() for places in huge.stacks()] == [[1], [0], [2]]


def test_what_counts_in_a_group() -> None:
    by = np.repeat([0, 1], 5)
    weights = np.array([1.0, 0.0, 2.0, 3.0, 1.0, 0.0, 0.0, 1.0, 1.0, 4.0])
    plain, copies = grouped(by, weights=weights), grouped(by, weights=weights, kind="frequency")
    assert plain.n_rows.tolist() == [4, 3] and plain.nobs.tolist() == [4, 3] and copies.nobs.tolist() == [7, 6]
    few = grouped(by, weights=weights / 5, kind="frequency")
    assert list(few.stacks()) == []  # less than two observations each


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_what_a_group_lacks_is_said(order) -> None:
    kind, by = np.array(["p", "q", "r"] * 4)[order], np.array([0] * 6 + [1] * 6)[order]
    kind[(by == 1) & (kind == "q")] = "r"
    y = np.where(by == 0, 1.5, np.arange(12.0))
    data = from_formula("y ~ C(kind)", {"y": y, "kind": kind, "g": by}, by="g")
    whole = GroupedModel.of(GeneralisedLinearModel.of(data, resolve("gaussian"), "precision", None, serial()))
    assert (
        whole.remark(0) == "of the response all 6 values are equal (1.5), so there is nothing for covariates to explain"
    )
    assert whole.remark(1) == "no row has C(kind) = 'q'"


def test_remarks_on_the_spread_are_those_of_a_fit() -> None:
    by = np.repeat([0, 1], 200)
    whole = grouped(by, family="poisson")
    whole.whole.y[by == 1] *= 9.0
    theta = np.log(np.stack([whole.whole.y[by == k].mean() for k in (0, 1)]))[:, None] * [1.0, 0.0]
    said = whole.spread_remarks(theta, np.array([198.0, 198.0]))
    assert said[0] == "" or (said[0].startswith("underdispersed") and said[1].startswith("overdispersed"))
    assert said[1].startswith("overdispersed: Pearson's χ² is")
