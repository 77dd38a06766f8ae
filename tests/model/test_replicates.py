"""Row quantities, scores and information of many replicates are those of each model by itself."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data import from_arrays
from raphson.execute import serial
from raphson.model.glm import GeneralisedLinearModel
from raphson.model.objective import Gram, Need


def model_of(family, y, n=60, p=3, offset=None, penalty=None):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    data = from_arrays(y(rng, n), X, names=None, weights=None, offset=offset, trials=None, groups=None, missing="drop")
    return GeneralisedLinearModel.of(data, family, "precision", penalty, serial())


CASES = {
    "binomial": lambda rng, n: (rng.random(n) < 0.4).astype(float),
    "poisson": lambda rng, n: rng.poisson(3, n).astype(float),
    "gamma": lambda rng, n: rng.gamma(2, 1, n),
    "negative_binomial": lambda rng, n: rng.poisson(rng.gamma(2, 2, n)).astype(float),
    "multinomial": lambda rng, n: rng.integers(0, 3, n).astype(float),
}


@pytest.mark.parametrize("family", CASES)
@pytest.mark.parametrize("values", [True, False])
def test_each_replicate_is_the_model_with_its_weights(family, values):
    from raphson.model.families import Gamma

    rng = np.random.default_rng(1)
    offset = None if family == "multinomial" else rng.normal(size=60) * 0.1
    model = model_of(Gamma(link="log") if family == "gamma" else family, CASES[family], offset=offset)
    batch = model.replicates
    theta = 0.2 * rng.normal(size=(5, batch.n_params))
    counts = rng.poisson(1.0, (5, 60)).astype(float)
    rows = batch.rows(theta, model.y, counts, values=values)
    score = batch.score(rows.score)
    kinds = {"observed": batch.information(rows.observed), "expected": batch.information(rows.expected)}
    for i in range(5):
        own = model.replica(model.y, counts[i])
        there = own.objective.evaluate(theta[i], Need(kinds=("observed", "expected")))
        np.testing.assert_allclose(score[i], there.score, rtol=1e-11, atol=1e-11)
        for kind, M in kinds.items():
            part = there.information[kind]
            assert isinstance(part, Gram)
            np.testing.assert_allclose(M[i], part.matrix, rtol=1e-11, atol=1e-11)
        if values:
            np.testing.assert_allclose(rows.value[i] @ counts[i], there.value, rtol=1e-12)


def test_many_products_are_not_kept(monkeypatch):
    from raphson.model import replicates

    model = model_of("poisson", CASES["poisson"])
    W = np.random.default_rng(0).random((4, 1, 1, 60))
    kept = model.replicates.information(W)
    monkeypatch.setattr(replicates, "MOST_PRODUCTS", 10)
    again = model_of("poisson", CASES["poisson"]).replicates.information(W)
    np.testing.assert_allclose(again, kept, rtol=1e-13)


def test_more_rows_than_a_block_holds():
    model = model_of("poisson", CASES["poisson"], n=20_000)
    rows = model.replicates.rows(np.array([[1.0, 0.0, 0.0], [0.5, 0.1, 0.0]]), model.y, np.ones(20_000))
    np.testing.assert_allclose(rows.mean[0, 0], np.e)
    np.testing.assert_allclose(rows.score[1, 0], model.y - rows.mean[1, 0])
