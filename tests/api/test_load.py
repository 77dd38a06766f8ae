"""A saved fit of each kind comes back as one of its kind."""

from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.errors import DataError

X = np.linspace(0.0, 2.0, 20)
Y = 1.0 + 2.0 * X + 0.1 * np.cos(7 * X)


@pytest.mark.parametrize(
    "fitted",
    [
        lambda: rp.glm("y ~ x", {"x": X, "y": Y}, family="gaussian"),
        lambda: rp.nls("y ~ a + b*x", {"x": X, "y": Y}, start={"a": 0.0, "b": 1.0}),
        lambda: rp.mle("weibull", {"mu": "y ~ x", "log_sigma": "~ 1"}, {"x": X, "y": Y, "event": np.ones(20)}),
    ],
)
def test_kinds(fitted, tmp_path):
    fit = fitted()
    fit.save(tmp_path / "fit.json")
    back = rp.load(tmp_path / "fit.json")
    assert isinstance(back, rp.Fit) and type(back) is type(fit)
    np.testing.assert_array_equal(back.params, fit.params)
    np.testing.assert_array_equal(back.cov_params(), fit.cov_params())
    assert (back.llf, back.nobs, back.status) == (fit.llf, fit.nobs, fit.status)


def test_another_file_is_no_fit(tmp_path):
    (tmp_path / "fit.json").write_text('{"a": 1}')
    with pytest.raises(DataError):
        rp.load(tmp_path / "fit.json")
