"""First-order methods on models with linear predictors or layers."""

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.report.progress import Progress


@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_every_epoch_of_the_path_says_how_many_rows_it_read():
    x = np.random.default_rng(0).normal(size=100)
    data = {"x": x, "y": (x > np.random.default_rng(1).normal(size=100)).astype(float)}
    path = rp.glm("y ~ x", data, family="binomial", method="adam", max_iter=4).path
    assert path["rows"].tolist() == [96, 96, 96, 96, 100]  # of 32 a batch; the last row measures the distance


@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_it_is_shown_how_far_an_epoch_over_streamed_rows_is(monkeypatch):
    told = []
    monkeypatch.setattr(Progress, "reading", lambda self, rows, of: told.append((rows, of)))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40_000, 2)), columns=["x", "y"])
    rp.glm("y ~ x", rp.stream(lambda: iter([frame]), 1024), method="sgd", max_iter=2, progress=True)
    ends = [k for k, (rows, of) in enumerate(told) if rows == of]
    assert [told[k - 1][0] < 40_000 for k in ends[-3:]] == [True] * 3  # two epochs, and the distance after them
    assert all(of == 40_000 for _, of in told[ends[0] :])
