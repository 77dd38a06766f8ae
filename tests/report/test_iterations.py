from __future__ import annotations

import numpy as np
import pandas as pd

from raphson.report import iterations


def test_a_line_for_each_iteration(make_fit) -> None:
    lines = iterations.as_text(make_fit()).splitlines()
    assert len(lines) == 2 + 4
    assert lines[-1].split()[:2] == ["3", "-109.431230"]


def test_columns_that_say_nothing_are_left_out(make_fit) -> None:
    heading = iterations.as_text(make_fit()).splitlines()[0]
    assert "damping" not in heading
    damped = make_fit()
    damped.path["damping"] = 0.1
    assert "damping" in iterations.as_text(damped).splitlines()[0]


def test_the_middle_of_a_long_path_is_left_out(make_fit) -> None:
    path = pd.DataFrame({"iteration": np.arange(1000), "llf": -np.arange(1000.0)})
    text = iterations.as_text(make_fit(path=path))
    assert len(text.splitlines()) < 70
    assert "..." in text and "999" in text


def test_what_lacks_the_dispersion_is_not_called_a_log_likelihood(make_fit) -> None:
    assert "log-likelihood" in iterations.as_text(make_fit()).splitlines()[0]
    heading = iterations.as_text(make_fit(llf=-416.0)).splitlines()[0]
    assert "objective" in heading and "log-likelihood" not in heading
