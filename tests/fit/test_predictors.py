from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.fit.predictors import FixedPredictors
from raphson.fit.reading import reading_of


def test_sums_of_predictors_have_the_variance_of_one_row_that_is_their_sum() -> None:
    rng = np.random.default_rng(0)
    X, weights, root = rng.normal(size=(6, 3)), rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    found = FixedPredictors.of(X, np.ones(3), None, root @ root.T).variance_of_sums(weights)
    assert found == pytest.approx([np.sum((weights[i] @ X[3 * i : 3 * i + 3] @ root) ** 2) for i in range(2)])


def test_the_variance_of_a_mean_of_rows_whose_coefficients_vary_is_that_of_one_row_where_rows_are_alike() -> None:
    teeth = rp.datasets.load("teeth")
    alike = teeth.iloc[np.repeat([0, 50], 6)]
    for criterion in ("ml", "reml"):
        fit = rp.glm("distance ~ age + sex + (age | child)", teeth, criterion=criterion)
        reading = reading_of(fit)
        assert reading is not None
        found = reading.predictors(alike).variance_of_sums(np.full((2, 6), 1 / 6))
        assert np.sqrt(found) == pytest.approx(fit.predict(teeth.iloc[[0, 50]], se=True)["se"].to_numpy(), rel=1e-9)
