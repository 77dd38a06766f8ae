from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from raphson.report.effect_pictures import average_picture


def test_probabilities_are_in_percent_and_means_are_not() -> None:
    one = SimpleNamespace(
        name="g",
        labels=("a", "b"),
        x=np.arange(2.0),
        lower=np.full(2, 0.1),
        mean=np.full(2, 0.2),
        upper=np.full(2, 0.3),
    )
    odds = average_picture(one, SimpleNamespace(name="odds ratio", quantity="odds of y"))
    assert odds.marks[1].y.tolist() == [20.0, 20.0] and odds.y_label == "probability of y (%)"
    mean = average_picture(
        SimpleNamespace(**{**vars(one), "labels": None}), SimpleNamespace(name="ratio", quantity="mean y")
    )
    assert mean.marks[0].upper.tolist() == [0.3, 0.3] and mean.y_label == "mean y" and not mean.ticks
