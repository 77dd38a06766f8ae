"""Sums of replicates on a device, here the processor as JAX's own, against those of the host."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from raphson.model import device_replicates, families
from raphson.model.replicates import CommonRows, Replicates
from raphson.numeric import computing_on

rng = np.random.default_rng(0)
N, R = 60, 7
X = rng.normal(size=(N, 3))
Y = {
    "poisson": rng.poisson(1.0, N).astype(float),
    "gamma": rng.gamma(2.0, size=N),
    "multinomial": rng.integers(0, 3, N).astype(float),
}


@pytest.mark.parametrize("own", ["weights", "responses"])
@pytest.mark.parametrize(
    "family",
    [
        families.Poisson(),
        families.Gamma(link="log"),
        families.QuasiPoisson(),
        families.Multinomial(levels=("a", "b", "c")),
    ],
)
def test_the_sums_are_the_hosts(family, own):
    K = family.n_predictors
    name = family.name.removeprefix("quasi")
    slices = [slice(3 * k, 3 * k + 3) for k in range(K)]
    model = Replicates(family, [X] * K, slices, 0.1 * rng.normal(size=(K, N)))
    theta = 0.2 * rng.normal(size=(R, 3 * K))
    y, weight = Y[name], rng.integers(0, 3, (R, N)).astype(float)
    if own == "responses":
        y, weight = np.stack([rng.permutation(y) for _ in range(R)]), np.ones(N)
    asked = {"values": True, "pearson": name != "multinomial"}
    here = model.sums(theta, y, weight, ("observed", "expected"), **asked)
    with computing_on(jax.devices("cpu")[0]):
        there = model.sums(theta, y, weight, ("observed", "expected"), **asked)
    np.testing.assert_allclose(there.score, here.score, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(there.value, here.value, rtol=1e-12)
    for kind in here.information:
        np.testing.assert_allclose(there.information[kind], here.information[kind], rtol=1e-10, atol=1e-10)
    if here.pearson is not None:
        np.testing.assert_allclose(there.pearson, here.pearson, rtol=1e-10)


def test_what_is_not_asked_for_is_not_there():
    model = Replicates(families.Poisson(), [X], [slice(0, 3)], None)
    with computing_on(jax.devices("cpu")[0]):
        found = model.sums(np.zeros((2, 3)), Y["poisson"], np.ones((2, N)), ())
    assert found.value is None and found.pearson is None and not found.information


def test_designs_with_many_columns_are_multiplied_without_all_their_products(monkeypatch):
    model = Replicates(families.Poisson(), [X], [slice(0, 3)], None)
    given = 0.1 * rng.normal(size=(R, 3)), Y["poisson"], rng.integers(0, 3, (R, N)).astype(float), ("expected",)
    here = model.sums(*given)
    monkeypatch.setattr(device_replicates, "MOST_PRODUCTS", 0)
    device_replicates._program.cache_clear()
    with computing_on(jax.devices("cpu")[0]):
        there = model.sums(*given)
    device_replicates._program.cache_clear()
    np.testing.assert_allclose(there.information["expected"], here.information["expected"], rtol=1e-10, atol=1e-10)


def test_rows_that_replicates_share_are_weighted_there():
    common = CommonRows(rng.normal(size=(N, 11)), ("expected",), 3)
    weight = rng.integers(0, 3, (R, N)).astype(float)
    here = common.sums(weight)
    with computing_on(jax.devices("cpu")[0]):
        there = common.sums(weight)
    np.testing.assert_allclose(there.score, here.score, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(there.information["expected"], here.information["expected"], rtol=1e-12, atol=1e-12)


def test_any_number_of_replicates_compiles_a_few_sizes():
    sizes = {device_replicates.padded_number(count, 262) for count in range(1, 263)}
    assert sizes == {262, 66, 17, 5, 2, 1} and device_replicates.padded_number(600, 262) == 786
