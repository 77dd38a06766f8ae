"""What noise hides, against noise that is drawn many times."""

from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.model.curve.noise import SURE
from raphson.model.objective import Need

X = np.linspace(0.0, 6.0, 30)
Y = 4.0 * np.exp(-0.5 * X) + 0.1 * np.random.default_rng(3).normal(size=30)


@pytest.mark.parametrize("weights", [None, np.linspace(0.2, 3.0, 30)])
@pytest.mark.parametrize("level", [1e-6, 1e-4])
def test_the_spread_of_value_and_distance_is_foretold(level, weights):
    random = np.random.default_rng(8)

    def simulator(params, x):
        return params["top"] * np.exp(-params["rate"] * x) + level * random.normal(size=x.shape)

    exact = rp.nls("y ~ top*exp(-rate*x)", {"x": X, "y": Y}, start={"rate": 0.4}, weights=weights)
    theta = exact.params.to_numpy()
    fit = rp.nls(
        simulator, (X, Y), start=dict(zip(exact.names, theta, strict=True)), weights=weights, derivatives="finite"
    )
    R = np.linalg.cholesky(exact.information().to_numpy() * exact.dispersion).T
    values, distances, blurs, noises = [], [], [], []
    for _ in range(60):
        # A point a little aside, so that nothing is remembered.
        here = fit._reading.state.at.asked.objective.evaluate(
            theta * (1.0 + 1e-12 * random.normal(size=2)), Need(("expected",), True)
        )
        values.append(here.value)
        distances.append(np.linalg.norm(np.linalg.solve(R.T, here.score)) / np.sqrt(here.dispersion))
        blurs.append(here.noise_distance)
        noises.append(here.noise)
    # The error of the differences is an upper estimate, that of the values about what it is.
    assert np.std(values) * np.sqrt(2.0) * SURE == pytest.approx(np.median(noises), rel=0.6)
    assert 0.5 < np.median(blurs) / SURE / np.sqrt(np.mean(np.square(distances))) < 8.0
    assert (np.array(distances) <= np.median(blurs)).mean() > 0.9


def test_functions_with_derivatives_have_none():
    fit = rp.nls("y ~ top*exp(-rate*x)", {"x": X, "y": Y}, start={"rate": 0.4})
    assert (
        fit._reading.state.at.asked.likelihood.with_noise is None
        and fit._reading.state.at.estimate.result.evaluation.noise_distance == 0.0
    )
