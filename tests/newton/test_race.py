"""Methods are compared by what they read, and by how many standard errors they are from the maximum."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.newton.methods import resolve_method
from raphson.newton.race import DOES_NOT_APPLY, Meter, MeteredOperator, distances, race


def test_the_distance_is_measured_in_standard_errors():
    M = np.diag([4.0, 25.0, 1.0])
    best = SimpleNamespace(theta=np.array([1.0, 1.0, 1.0]), dispersion=4.0)
    kept = np.array([True, True, False])
    found = distances(np.array([[2.0, 1.0, 9.0], [1.0, 1.4, 1.0]]), best, M, kept)
    np.testing.assert_allclose(found, [1.0, 1.0])


def test_each_product_with_a_vector_is_a_pass():
    meter = Meter()
    operator = MeteredOperator(SimpleNamespace(product=lambda v: 2 * v, diagonal=lambda: np.ones(2)), meter)
    assert operator.product(np.ones(2)).tolist() == [2.0, 2.0] and operator.diagonal().tolist() == [1.0, 1.0]
    assert meter.passes == 1


def test_a_method_that_the_model_has_no_use_for_says_why():
    class Model:
        @property
        def objective(self):
            raise ModelError("method: not here")

    [runner] = race(Model(), [resolve_method("newton")], np.zeros(2), tol=1e-8, max_iter=None, seed=0)
    assert runner.status == DOES_NOT_APPLY and runner.note == "method: not here" and np.isnan(runner.seconds)


@pytest.mark.parametrize("method", ["newton", "irls"])
def test_a_race_ends_at_the_maximum(method):
    import raphson as rp

    fit = rp.glm("low ~ lwt", rp.datasets.load("births"), family="binomial")
    table = rp.compare(fit, [method]).table
    assert table["distance"].iloc[0] < 1e-6 and table["passes"].iloc[0] >= table["n_iter"].iloc[0]
