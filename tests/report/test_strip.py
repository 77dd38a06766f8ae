from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.report import strip


def test_distances_fall_on_a_log_axis(make_fit) -> None:
    picture = strip.path_picture(make_fit())
    line = picture.marks[0]
    assert picture.y_log and line.y.tolist() == [3.0, 0.21, 1e-4, 2.2e-16]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_without_distances_the_objective_is_drawn(make_fit, value: float) -> None:
    fit = make_fit()
    fit.path[["distance", "decrement"]] = value
    picture = strip.path_picture(fit)
    assert not picture.y_log and picture.y_label == "log-likelihood" and "<svg" in strip.strip_svg(fit)


def test_every_method_says_what_m_is() -> None:
    for name in rp.methods.names() if hasattr(rp.methods, "names") else ("newton", "adam"):
        assert "M is" in strip.method_sentence(name), name
    assert strip.method_sentence("mine") == "M is the matrix of the method mine."
