"""First-order methods on models with linear predictors or layers."""

import numpy as np
import pytest

import raphson as rp


@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_every_epoch_of_the_path_says_how_many_rows_it_read():
    x = np.random.default_rng(0).normal(size=100)
    data = {"x": x, "y": (x > np.random.default_rng(1).normal(size=100)).astype(float)}
    path = rp.glm("y ~ x", data, family="binomial", method="adam", max_iter=4).path
    assert path["rows"].tolist() == [96, 96, 96, 96, 100]  # of 32 a batch; the last row measures the distance
