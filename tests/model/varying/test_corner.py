"""Corners where several strengths of a tensor product are infinite are left where the criterion rises along a way."""

from __future__ import annotations

import numpy as np
import pandas as pd

import raphson as rp
from raphson.model.objective import Need
from raphson.model.varying.corner import way_out


def test_a_corner_that_is_no_maximum_is_left():
    """The iteration comes to where both strengths are infinite, but the criterion rises along one of them."""
    rng = np.random.default_rng(5)
    x, z = rng.uniform(0, 1, 200), rng.uniform(-2, 3, 200)
    rng.normal(0, 0.5, 200)
    data = pd.DataFrame({"x": x, "z": z, "c": rng.poisson(np.exp(np.clip(0.5 * x * z, -3, 2)))})
    fit = rp.glm("c ~ te(x, z)", data, family="poisson")
    criterion = fit._reading.maximum.criterion
    grid = [(a, b) for a in (0.0, *np.geomspace(0.01, 30, 12)) for b in (0.0, *np.geomspace(0.01, 10, 12))]
    assert fit.converged and fit.variances.estimate[:2].max() > 0.01
    assert fit.llf > max(criterion.evaluate(np.array(one)).value for one in grid) - 1e-9
    corner, nothing = np.zeros(2), np.zeros(2, dtype=bool)
    there = way_out(criterion, corner, nothing)
    assert there is not None and criterion.evaluate(there).value > criterion.evaluate(corner).value
    assert way_out(criterion, fit._reading.maximum.theta, nothing) is None
    assert way_out(criterion, corner, ~nothing) is None  # nothing may move


def test_a_corner_that_is_a_maximum_stays():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.uniform(0, 1, 200), "z": rng.uniform(-2, 3, 200)})
    data["y"] = data.x + data.z
    for _ in range(20):
        fit = rp.glm("y ~ te(x, z)", data.assign(y=data.y + rng.normal(0, 0.5, 200)))
        if not fit.variances.estimate[:2].any():
            break
    maximum = fit._reading.maximum
    assert fit.status == "boundary"
    assert way_out(maximum.criterion, maximum.theta, np.zeros(3, dtype=bool)) is None


def test_a_maximum_at_an_edge_is_left_for_a_higher_one_along_it():
    rng = np.random.default_rng(6)
    x, z = rng.uniform(0, 1, 120), rng.uniform(-2, 3, 120)
    rng.normal(0, 0.5, 120)
    data = pd.DataFrame({"x": x, "z": z, "c": rng.poisson(np.exp(0.5 * np.cos(6 * x)))})
    fit = rp.glm("c ~ te(x, z)", data, family="poisson")
    criterion, there = fit._reading.maximum.criterion, fit._reading.maximum.theta.copy()
    assert fit.converged and there.all()
    there[1] = 0.0
    curvature = criterion.evaluate(there, Need(kinds=("observed",))).information["observed"].matrix[1, 1]
    assert curvature > 0 and criterion.evaluate(there).value < fit.llf  # a maximum along z, too
