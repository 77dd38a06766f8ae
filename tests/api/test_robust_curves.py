"""One gross outlier must not choose among the maxima of a robust objective."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import optimize

import raphson as rp

RHO = {
    "huber": lambda z: np.where(np.abs(z) < 1.345, 0.5 * z * z, 1.345 * np.abs(z) - 0.5 * 1.345**2),
    "cauchy": lambda z: 0.5 * 2.385**2 * np.log1p((z / 2.385) ** 2),
    "tukey": lambda z: 4.685**2 / 6 * (1 - (1 - np.minimum((z / 4.685) ** 2, 1)) ** 3),
}
CURVES = {
    "saturation": ("y ~ V*x/(K + x)", lambda p, x: p[0] * x / (p[1] + x), {"V": 2.0, "K": 0.8}, (0.05, 5, 20)),
    "decay": (
        "y ~ a*exp(-b*x) + c",
        lambda p, x: p[0] * np.exp(-p[1] * x) + p[2],
        {"a": 3, "b": 0.9, "c": 0.5},
        (0, 5, 18),
    ),
    "peak": (
        "y ~ a*exp(-((x - m)/w)**2) + c",
        lambda p, x: p[0] * np.exp(-(((x - p[1]) / p[2]) ** 2)) + p[3],
        {"a": 2, "m": 6, "w": 0.8, "c": 1},
        (0, 10, 41),
    ),
    "line": ("y ~ a + b*x", lambda p, x: p[0] + p[1] * x, {"a": 1, "b": 0.5}, (0, 4, 12)),
}


def data(name: str, where: int, size: float):
    formula, curve, truth, ends = CURVES[name]
    x = np.linspace(*ends)
    clean = curve(list(truth.values()), x)
    sd = 0.01 * np.ptp(clean)
    y = clean + sd * np.random.default_rng(3).normal(size=len(x))
    y[where] += size * np.ptp(clean)
    return formula, curve, np.array(list(truth.values())), x, y, sd


@pytest.mark.parametrize(
    ("name", "where", "size", "loss"),
    [
        ("saturation", 5, 3.5, "cauchy"),
        ("saturation", 5, 3.5, "tukey"),
        ("decay", 6, 30, "cauchy"),
        ("peak", 0, -3, "tukey"),
        ("line", -1, 30, "tukey"),
    ],
)
def test_the_highest_maximum_is_kept_whatever_one_row_says(name, where, size, loss) -> None:
    formula, curve, truth, x, y, sd = data(name, where, size)
    found = rp.nls(formula, {"x": x, "y": y}, loss=loss, scale=sd)
    assert found.converged

    def value(theta):
        return float(np.sum(RHO[loss]((y - curve(theta, x)) / sd)))

    names = list(CURVES[name][2])
    best = optimize.minimize(
        value, truth, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000}
    )
    assert value(found.params[names].to_numpy()) <= best.fun + 1e-6


@pytest.mark.parametrize("start", [None, {"K": 1.2}])
def test_the_scale_is_estimated_where_the_other_rows_are(start) -> None:
    formula, _, truth, x, y, sd = data("saturation", 6, 30)
    found = rp.nls(formula, {"x": x, "y": y}, start=start, loss="tukey")
    scale = np.median(np.abs(y - found.fittedvalues)) / 0.6745
    assert 0.3 * sd < scale < 2 * sd
    np.testing.assert_allclose(found.params[["V", "K"]], truth, rtol=0.1)
    assert ("than at the one nearest to the least squares fit" in found.message) == (start is None)


def test_no_other_start_is_told_of_where_the_least_squares_fit_leads_to_the_best() -> None:
    formula, _, truth, x, y, sd = data("decay", 6, 0.0)
    found = rp.nls(formula, {"x": x, "y": y}, start={"b": 1.0}, loss="tukey", scale=sd)
    assert "than at the one nearest to the least squares fit" not in found.message
    np.testing.assert_allclose(found.params[["a", "b", "c"]], truth, atol=5 * found.bse.max())


def test_most_rows_on_the_curve_leave_no_scale() -> None:
    x = np.arange(12.0)
    with warnings.catch_warnings(), pytest.raises(rp.DataError, match="scale: more than half"):
        warnings.simplefilter("ignore")
        rp.nls("y ~ a + b*x", {"x": x, "y": np.where(x == 5, 40.0, 2.0)}, loss="tukey")
