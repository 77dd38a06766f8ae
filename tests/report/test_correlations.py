from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from raphson.report.correlations import correlation_strip


def test_the_largest_come_first_and_what_has_no_error_is_left_out() -> None:
    V = np.array([[4.0, -1.8, 0.1, np.nan], [-1.8, 1.0, 0.0, np.nan], [0.1, 0.0, 1.0, np.nan], [np.nan] * 4])
    strip = correlation_strip(SimpleNamespace(cov_params=lambda: V, names=("a<", "b", "c", "d")))
    assert strip.index("−0.900") < strip.index("0.050") < strip.index("0.000") and strip.count("<li>") == 3
    assert "a&lt;, b" in strip and "--negative" in strip and ", d<" not in strip


def test_one_parameter_has_none_and_many_are_cut() -> None:
    assert correlation_strip(SimpleNamespace(cov_params=lambda: np.eye(1), names=("a",))) == ""
    strip = correlation_strip(SimpleNamespace(cov_params=lambda: np.eye(8), names=tuple("abcdefgh")))
    assert strip.count("<li>") == 10 and "10 largest of 28" in strip
