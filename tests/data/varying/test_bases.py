"""Bases of smooth functions are those of the references, and have what defines them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raphson.data.varying.bases import MADE, basis_of, knots_of
from raphson.errors import DataError

REFERENCE = Path(__file__).parents[2] / "reference" / "mixed"
X = np.sort(np.random.default_rng(3).uniform(-1, 4, 60))


def made(kind, k=8):
    return basis_of(kind, knots_of(kind, X, k, "s(x)"))


@pytest.mark.parametrize("name", ["mcycle_cr", "discoveries_cr", "airquality_two", "ovary_smooth_and_group"])
def test_cubic_splines_are_those_of_the_references(name):
    data = pd.read_csv(REFERENCE / f"{name}.csv")
    if name == "airquality_two":
        data = data[data.Ozone.notna()]
    for one in json.loads((REFERENCE / f"{name}.json").read_text())["smooth_definitions"]:
        x = np.asarray(data[one["term"][2:-1]], dtype=float)
        knots = knots_of("cr", x, one["k"], one["term"])
        basis = basis_of("cr", knots)
        S, sums = np.array(one["S"]), np.array(one["constraint_1tB"])
        assert np.abs(knots - one["knots"]).max() <= 1e-13 * np.abs(knots).max()
        assert np.abs(basis.S - S).max() <= 1e-12 * np.abs(S).max()
        assert np.abs(basis.values(x).sum(axis=0) - sums).max() <= 1e-12 * np.abs(sums).max()


@pytest.mark.parametrize("kind", list(MADE))
def test_what_is_not_penalised_has_no_penalty_and_all_else_has(kind):
    basis = made(kind)
    assert np.abs(basis.S @ basis.null).max() < 1e-9 * np.abs(basis.S).max()
    assert np.linalg.matrix_rank(basis.S) == len(basis.S) - basis.null.shape[1]
    assert basis.values(X) @ basis.null[:, 0] == pytest.approx(np.ones(len(X)), abs=1e-13)


def test_a_cubic_spline_interpolates_is_natural_and_has_its_curvature_as_the_penalty():
    from scipy.interpolate import CubicSpline

    basis, b = made("cr"), np.random.default_rng(1).normal(size=8)
    spline = CubicSpline(basis.knots, b, bc_type="natural")
    assert basis.values(X) @ b == pytest.approx(spline(X), abs=1e-13)
    second = spline.derivative(2)
    assert b @ basis.S @ b == pytest.approx(
        sum(
            h / 3 * (p * p + p * q + q * q)
            for h, p, q in zip(np.diff(basis.knots), second(basis.knots[:-1]), second(basis.knots[1:]), strict=True)
        ),
        rel=1e-12,
    )


@pytest.mark.parametrize("kind", ["cr", "ps"])
def test_beyond_the_knots_a_function_goes_on_in_a_straight_line(kind):
    basis, b = made(kind), np.random.default_rng(1).normal(size=8)
    low, high = (basis.knots[0], basis.knots[-1]) if kind == "cr" else (basis.knots[3], basis.knots[-4])
    for end, way in ((low, -1.0), (high, 1.0)):
        f = basis.values(end + way * np.array([-1e-6, 0.0, 1.0, 2.0, 5.0])) @ b
        assert f[3] - f[2] == pytest.approx(f[2] - f[1], rel=1e-9)
        assert f[4] - f[3] == pytest.approx(3 * (f[2] - f[1]), rel=1e-9)
        assert (f[1] - f[0]) * 1e6 == pytest.approx(f[2] - f[1], rel=1e-4, abs=1e-4)  # the slope inside


def test_a_cyclic_spline_is_the_same_at_both_ends_and_one_period_on():
    basis, b = made("cc"), np.random.default_rng(1).normal(size=7)
    low, high, period = basis.knots[0], basis.knots[-1], basis.knots[-1] - basis.knots[0]
    f = basis.values(np.array([low, high, X[9], X[9] + 3 * period])) @ b
    assert f[0] == pytest.approx(f[1], abs=1e-13) and f[2] == pytest.approx(f[3], abs=1e-12)
    step = 1e-6
    slopes = np.diff(basis.values(np.array([high - step, high, low, low + step])) @ b)[[0, 2]] / step
    assert slopes[0] == pytest.approx(slopes[1], abs=1e-4)


def test_p_splines_have_even_knots_beyond_the_widened_range_and_second_differences():
    basis = made("ps")
    width = X[-1] - X[0]
    assert np.diff(basis.knots) == pytest.approx(np.full(11, 1.002 * width / 5), rel=1e-12)
    assert basis.knots[3] == pytest.approx(X[0] - 0.001 * width, rel=1e-12)
    b = np.random.default_rng(1).normal(size=8)
    assert b @ basis.S @ b == pytest.approx(np.sum(np.diff(b, 2) ** 2), rel=1e-12)


def test_more_functions_than_values_are_refused():
    with pytest.raises(DataError, match=r"has k=10 functions, but its variable only 7 different values; write k=7"):
        knots_of("cr", np.arange(7.0), 10, "s(x)")
    with pytest.raises(DataError, match="use it as a factor, or as a linear term"):
        knots_of("cr", np.arange(2.0), 10, "s(x)")


@pytest.mark.parametrize("kind", MADE)
def test_a_basis_can_be_pickled(kind):
    basis, there = made(kind), np.append(X, [X[0] - 3.0, X[-1] + 5.0])
    assert np.array_equal(pickle.loads(pickle.dumps(basis)).values(there), basis.values(there))  # noqa: S301
