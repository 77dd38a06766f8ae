from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.report.curve import curve_pictures


def test_a_second_covariate_of_few_values_splits_the_picture() -> None:
    rng = np.random.default_rng(0)
    x, g = np.tile(np.linspace(0, 2, 20), 2), np.repeat([0, 1], 20)
    data = pd.DataFrame({"x": x, "g": g, "y": (1 + g) * np.exp(-x) + 0.02 * rng.normal(size=40)})
    fit = rp.nls("y ~ (a + b*g)*exp(-c*x)", data, start={"a": 1, "b": 1, "c": 1})
    (low, first), (high, second) = curve_pictures(fit)
    assert (low, high) == ("g = 0", "g = 1")
    assert [len(picture.marks[-1].x) for picture in (first, second)] == [20, 20]
    assert first.marks[2].y[0] == pytest.approx(fit.params["a"])


def test_other_covariates_are_held_at_their_medians() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.uniform(0, 2, 40), "z": rng.uniform(0, 1, 40)})
    data["y"] = np.exp(-data.x) + data.z + 0.02 * rng.normal(size=40)
    fit = rp.nls("y ~ exp(-c*x) + d*z", data, start={"c": 1, "d": 1})
    titles = [title for title, _ in curve_pictures(fit)]
    assert titles[0] == f"Over x, with z = {data.z.median():.4g}" and len(titles) == 2
    with pytest.raises(rp.ModelError, match="in columns"):
        curve_pictures(rp.glm("y ~ x", data))
