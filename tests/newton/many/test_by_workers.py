"""Many small problems as tasks: the solutions of one process, to the last bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.execute import threads
from raphson.execute.pools import Pool
from raphson.newton.many import problems
from raphson.newton.many.by_workers import solve_anywhere

X = np.linspace(0.0, 5.0, 12)


def kind():
    def decay(theta, data, shared):
        return theta[0] * jnp.exp(-theta[1] * shared["x"]) + theta[2]

    return problems.least_squares(decay)


@pytest.fixture(scope="module")
def y():
    rng = np.random.default_rng(0)
    a, b, c = (rng.uniform(low, high, (700, 1)) for low, high in ((1, 5), (0.3, 2), (0, 1)))
    return a * np.exp(-b * X) + c + 0.3 * rng.normal(size=(700, 12))


BOUNDS = {"none": {}, "common": {"lower": np.zeros(3)}, "own": {"upper": np.full((700, 3), 2.5)}}


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
def test_solutions_have_the_bits_of_one_process(y, bounds):
    asked = {"shared": {"x": X}, "max_iter": 60, **bounds}
    here = solve_anywhere(kind, np.ones(3), {"y": y}, executor=threads(2), **asked)
    with ThreadPoolExecutor(2) as pool:
        where = Pool(pool)
        there = solve_anywhere(kind, np.ones(3), {"y": y}, executor=where, **asked)
    assert [(one.blocks, one.tasks) for one in where.passes] == [(2, 2)]  # of 512 and of 188 problems
    for field in fields(here):
        one, other = getattr(here, field.name), getattr(there, field.name)
        assert one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), field.name


def test_starts_of_another_number_are_refused(y):
    with ThreadPoolExecutor(1) as pool, pytest.raises(ModelError, match="start: expected a row for each of 700"):
        solve_anywhere(kind, np.ones((3, 3)), {"y": y}, {"x": X}, executor=Pool(pool))
