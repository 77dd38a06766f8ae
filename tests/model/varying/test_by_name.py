"""The criterion by all parameters, aliased columns among them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.model.objective import Need
from raphson.model.varying.by_name import ByName


def test_aliased_columns_neither_move_it_nor_have_information():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(8), 5)
    data = pd.DataFrame({"g": g.astype(str), "x": rng.normal(size=40), "z": rng.normal(size=40)})
    data["twice"], data["y"] = 2 * data.x, data.x + rng.normal(0, 1, 8)[g] + rng.normal(0, 0.5, 40)
    with pytest.warns(match="aliased"):
        fit = rp.glm("y ~ x + twice + z + (1 | g)", data)
    model = fit._reading.model
    objective, theta = ByName(model.criterion, model.kept), fit._reading.state.theta
    assert objective.n_params == len(theta) == 6 and objective.n_rows == 40
    there = theta + 0.1
    there[2] = 7.0  # aliased
    here = objective.evaluate(there, Need(kinds=("observed",)))
    without = there.copy()
    without[2] = -3.0
    assert objective.evaluate(without).value == here.value
    M = here.information["observed"].matrix
    assert here.score[2] == 0 and not M[2].any() and not M[:, 2].any()
    for j in (0, 1, 3, 4, 5):
        up, down = there.copy(), there.copy()
        up[j], down[j] = up[j] + 1e-5, down[j] - 1e-5
        slope = (objective.evaluate(up).value - objective.evaluate(down).value) / 2e-5
        assert here.score[j] == pytest.approx(slope, rel=1e-5, abs=1e-6)
        bend = (objective.evaluate(up).score - objective.evaluate(down).score) / 2e-5
        assert M[j] == pytest.approx(-bend, rel=1e-4, abs=1e-4)
