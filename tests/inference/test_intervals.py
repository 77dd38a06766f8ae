from __future__ import annotations

import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest
import scipy
from scipy import special

from raphson.errors import ModelError
from raphson.inference import intervals


@pytest.mark.parametrize("t", [1e-8, 0.3, 1.0, 2.0, 40.0, 1e6, 1e150])
def test_p_values_of_t_against_closed_forms(t: float) -> None:
    # df = 1 and 2 have elementary tails; written so that they keep their digits far out.
    one = 2 / np.pi * np.arctan(1 / t)
    root = np.sqrt(2 + t * t)
    two = 2 / root / (root + t) if t < 1e100 else 1 / t**2
    assert float(intervals.p_values(np.array(t), 1)) == pytest.approx(one, rel=1e-11)
    assert float(intervals.p_values(np.array(-t), 2)) == pytest.approx(two, rel=1e-11)


def test_p_values_of_z_and_of_t_with_many_degrees() -> None:
    # 2 Φ(-30) = 9.8134278042... e-198 (mpmath).
    assert float(intervals.p_values(np.array(30.0))) == pytest.approx(9.813427854297537e-198, rel=1e-12)
    z, t = intervals.p_values(np.array([0.5, 3.0, 12.0])), intervals.p_values(np.array([0.5, 3.0, 12.0]), 1e12)
    # The first-order difference between t and z is about t⁴/(4 df).
    assert t == pytest.approx(z, rel=1e-8)


def test_quantiles_and_p_values_of_z_are_those_of_scipy() -> None:
    tails = np.concatenate([np.geomspace(1e-16, 0.4, 60), np.linspace(0.4, 0.5, 21)[:-1]])
    exact = -special.ndtri(tails)
    found = np.array([intervals._normal_quantile(float(tail)) for tail in tails])
    # Near 0 the quantile has the digits of ½ − tail.
    assert np.abs(found - exact).max() < 2e-15 and np.abs(found / exact - 1.0)[:60].max() < 1e-15
    z = np.linspace(0.0, 37.0, 200).reshape(4, 50)
    assert intervals.p_values(z) == pytest.approx(2.0 * special.ndtr(-z), rel=1e-13)


def test_p_values_at_the_ends() -> None:
    assert intervals.p_values(np.array([0.0, np.inf, -np.inf]), 5).tolist() == [1.0, 0.0, 0.0]
    assert intervals.p_values(np.array([0.0, np.inf])).tolist() == [1.0, 0.0]
    assert np.isnan(intervals.p_values(np.array([np.nan]), 5)).all()
    assert np.isnan(intervals.p_values(np.array([1.0]), 0)).all()


@pytest.mark.parametrize("df", [None, 1.0, 7.5, 1e3, np.inf])
@pytest.mark.parametrize("level", [1e-6, 0.5, 0.95, 1 - 1e-9])
def test_quantile_and_p_value_are_inverse(df: float | None, level: float) -> None:
    q = intervals.quantile(level, df)
    assert float(intervals.p_values(np.array(q), df)) == pytest.approx(1 - level, rel=1e-9)


def test_known_intervals() -> None:
    ends = intervals.conf_int(np.array([1.0, np.nan, np.inf]), np.array([0.5, np.nan, np.nan]), df=10)
    bound = 1e-10 if scipy.__version__.startswith("1.15.") else 1e-14
    assert ends[0] == pytest.approx([1 - 0.5 * 2.2281388519862747, 1 + 0.5 * 2.2281388519862747], rel=bound)
    assert np.isnan(ends[1:]).all()
    assert np.isnan(intervals.conf_int(np.array([1.0]), np.array([0.5]), df=0)).all()


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"such as 0\.95; got 2\.$"):
        intervals.check_level(2)
    with pytest.raises(ModelError, match=r"Did you mean level=0.95"):
        intervals.quantile(95)
    for level in (0.0, 1.0, np.nan, "high"):
        with pytest.raises(ModelError, match="level"):
            intervals.quantile(level)  # pyright: ignore[reportArgumentType]


def test_scipy_stats_is_not_imported() -> None:
    code = "import sys, raphson.inference.intervals, raphson.inference.residuals; print('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize("level", [0.05, 0.01, np.float64(0.1)])
def test_a_level_below_one_half_is_warned_of_and_taken_for_what_it_says(level):
    with pytest.warns(UserWarning, match=f"level: expected the coverage.*pass {1 - level:g}") as said:
        reach = intervals.quantile(level)
    assert reach == pytest.approx(NormalDist().inv_cdf(0.5 + level / 2))
    assert said[0].filename == __file__


def test_from_one_half_on_a_level_is_nothing_to_warn_of(recwarn):
    assert intervals.check_level(0.5) == 0.5
    assert not recwarn.list
