"""Row quantities, scores and information of many replicates are those of each model by itself."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data import from_arrays
from raphson.execute import serial
from raphson.model.glm.glm import GeneralisedLinearModel
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


@pytest.mark.parametrize("family", CASES)
def test_sums_run_over_groups_of_replicates(family, monkeypatch):
    from raphson.model import replicates

    model = model_of(family, CASES[family])
    batch, rng = model.replicates, np.random.default_rng(2)
    theta, counts = 0.1 * rng.normal(size=(7, batch.n_params)), rng.poisson(1.0, (7, 60)).astype(float)
    if family == "gamma":
        theta[:, 0] += 1.0  # the mean is 1/η
    kinds, fixed = ("observed", "expected"), model.family.dispersion_fixed
    whole = batch.sums(theta, model.y, counts, kinds, values=True, pearson=not fixed)
    monkeypatch.setattr(replicates, "GROUP_ROWS", 130)
    groups = batch.sums(theta, model.y, counts, kinds, values=True, pearson=not fixed)
    for one, other in zip((whole.score, whole.value), (groups.score, groups.value), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    for kind in kinds:
        np.testing.assert_allclose(whole.information[kind], groups.information[kind], rtol=1e-12, atol=1e-12)
    assert (whole.pearson is None) == fixed


@pytest.mark.parametrize("family", CASES)
def test_common_rows_are_the_rows_of_each(family):
    model = model_of(family, CASES[family])
    batch, rng = model.replicates, np.random.default_rng(3)
    theta, counts = 0.1 * rng.normal(size=batch.n_params), rng.poisson(1.0, (5, 60)).astype(float)
    counts[:, 7] = 0.0
    if family == "gamma":
        theta[0] += 1.0
    kinds, pearson = ("observed", "expected"), not model.family.dispersion_fixed
    common = batch.common(theta, model.y, counts.max(axis=0).clip(0, 1), kinds, pearson)
    found, own = common.sums(counts), batch.sums(np.tile(theta, (5, 1)), model.y, counts, kinds, True, pearson)
    np.testing.assert_allclose(found.score, own.score, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found.value, own.value, rtol=1e-11)
    for kind in kinds:
        np.testing.assert_allclose(found.information[kind], own.information[kind], rtol=1e-11, atol=1e-11)
    if pearson:
        np.testing.assert_allclose(found.pearson, own.pearson, rtol=1e-11)


def test_common_rows_that_are_too_many_are_not_kept(monkeypatch):
    from raphson.model import replicates

    monkeypatch.setattr(replicates, "MOST_PRODUCTS", 10)
    model = model_of("poisson", CASES["poisson"])
    assert model.replicates.common(np.zeros(3), model.y, np.ones(60), ("observed",)) is None


@pytest.mark.parametrize("family", ["binomial", "poisson", "gaussian", "quasipoisson"])
def test_rows_in_numpy_are_the_compiled_ones(family):
    model = model_of(family, CASES["poisson" if "poisson" in family else "binomial"])
    batch, rng = model.replicates, np.random.default_rng(4)
    theta, counts = rng.normal(size=(5, 3)), rng.poisson(1.0, (5, 60)).astype(float)
    assert model.family.host_mean is not None
    numpy, compiled = batch.rows(theta, model.y, counts, values=False), batch.rows(theta, model.y, counts)
    np.testing.assert_allclose(numpy.score, compiled.score, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(numpy.observed, compiled.observed, rtol=1e-12, atol=1e-13)
    if not model.family.dispersion_fixed:
        np.testing.assert_allclose(numpy.mean, compiled.mean, rtol=1e-12)


def test_other_links_have_no_rows_in_numpy():
    from raphson.model.families import Binomial, Gaussian, Poisson

    for family in (Binomial(link="probit"), Poisson(link="sqrt"), Gaussian(link="log")):
        assert family.host_mean is None
