from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.autodiff import precision
from raphson.errors import ModelError


def log_likelihood(mean: Any) -> Any:
    return -0.5 * jnp.sum((np.array([1.0, 2.0, 6.0]) - mean) ** 2)


def test_an_optimum_is_told_to_the_root_of_epsilon() -> None:
    by_value, by_slope = precision(log_likelihood, 3.0).rows
    assert by_value.kind == "optimum" and by_slope.kind == "root"
    assert 1e-9 < by_value.measured < 1e-7 and 7 < by_value.digits < 9.5
    assert by_slope.measured < 1e-14
    for row in (by_value, by_slope):
        assert 0.2 < row.measured / row.predicted < 5.0


def test_a_root_is_told_to_epsilon() -> None:
    (row, *_) = precision(lambda x: x**2 - 2.0, math.sqrt(2.0)).rows
    assert row.kind == "root" and row.measured < 2e-15 and row.digits > 14.5


def test_each_coordinate_by_itself() -> None:
    found = precision(lambda x: (x[0] - 1.0) ** 2 + 3.0 * x[1] + 2.0, np.array([1.0, 1.0]))
    by_name = {(row.coordinate, row.by): row for row in found.rows}
    assert by_name["x[0]", "f"].kind == "optimum" and by_name["x[0]", "f"].measured > 1e-9
    assert by_name["x[1]", "f"].kind == "slope" and by_name["x[1]", "f"].measured < 1e-14


def test_noise_costs_digits() -> None:
    (row, *_) = precision(lambda x: np.float64(np.float32((x - 3.0) ** 2 + 1.0)), 3.0).rows
    assert 2.0 < row.digits < 4.5


def test_it_prints_itself() -> None:
    text = str(precision(log_likelihood, 3.0))
    assert "predicted" in text and "measured" in text and "optimum" in text and "f'" in text
    assert "<table" in precision(log_likelihood, 3.0)._repr_html_()


def test_bad_input() -> None:
    with pytest.raises(ModelError, match="one number"):
        precision(lambda x: x, np.ones(2))
    with pytest.raises(ModelError, match="not finite"):
        precision(jnp.log, -1.0)
