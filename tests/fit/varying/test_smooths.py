"""Smooth functions: degrees of freedom and strengths of the references, and the test of a flat line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.fit.varying.smooths import degrees_of_freedom, flat_line_test, smooths


@pytest.mark.parametrize("name", ["mcycle_cr", "discoveries_cr", "airquality_two", "ovary_smooth_and_group"])
def test_degrees_of_freedom_and_strengths(name, at_maximum, reference):
    read, at = at_maximum(name, True)
    table, fit = smooths(at, read.terms, at.criterion.n_rows), reference(name)[2]["reml"]
    assert list(table.columns) == ["term", "edf", "lambda", "statistic", "p_value"]
    assert table.term.tolist() == [one["term"] for one in fit["smooths"]]
    assert table.edf.to_numpy() == pytest.approx([one["edf"] for one in fit["smooths"]], rel=1e-9)
    assert table["lambda"].to_numpy() == pytest.approx([one["lam"] for one in fit["smooths"]], rel=1e-8)
    assert degrees_of_freedom(at) == pytest.approx(fit["edf_total"], rel=1e-9)
    assert ((table.p_value >= 0) & (table.p_value < 0.05)).all()


def test_of_a_whole_rank_it_is_walds_test():
    rng = np.random.default_rng(2)
    X, L = rng.normal(size=(40, 3)), rng.normal(size=(3, 3))
    V, b = L @ L.T, rng.normal(size=3)
    statistic, p = flat_line_test(X, b, V, 3.0, None)
    assert statistic == pytest.approx(b @ np.linalg.solve(V, b), rel=1e-10)
    from scipy.stats import chi2, f

    assert p == pytest.approx(chi2.sf(statistic, 3), rel=1e-10)
    divided, p = flat_line_test(X, b, V, 3.0, 17.0)
    assert divided == pytest.approx(statistic / 3) and p == pytest.approx(f.sf(divided, 3, 17), rel=1e-10)


def test_p_values_of_a_flat_line_are_uniform():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(60, 4))
    L = rng.normal(size=(4, 4))
    V = L @ L.T
    p = np.array([flat_line_test(X, L @ rng.normal(size=4), V, 2.6, None)[1] for _ in range(500)])
    for share in (0.05, 0.2, 0.5):
        assert abs((p < share).mean() - share) < 4 * np.sqrt(share * (1 - share) / 500)


def test_a_function_that_is_a_straight_line_has_an_infinite_strength(at_maximum):
    read, at = at_maximum("mcycle_cr", True)
    theta, free = at.theta.copy(), at.free.copy()
    theta[at.criterion.own_entries], free[at.criterion.own_entries] = 0.0, False
    table = smooths(type(at)(at.criterion, theta, free), read.terms, at.criterion.n_rows)
    assert table["lambda"].tolist() == [np.inf] and table.edf.tolist() == pytest.approx([1.0])


def test_weighted_rows_count_in_the_test_as_replicated_ones():
    # The points of x are the same and have equal shares, so that basis and constraint are the same.
    rng = np.random.default_rng(5)
    x = np.tile(np.linspace(0, 1, 25), 2)
    data = pd.DataFrame({"x": x, "y": np.sin(4 * x) + rng.normal(size=50) * 0.9, "w": np.repeat([1.0, 3.0], 25)})
    fit = rp.glm("y ~ s(x, k=6)", data, weights="w", weights_kind="frequency")
    other = rp.glm("y ~ s(x, k=6)", data.loc[np.repeat(data.index, data.w.astype(int))])
    found, expected = (one.smooths.iloc[0, 1:].to_numpy(dtype=float) for one in (fit, other))
    assert found == pytest.approx(expected, rel=1e-5)
    # Rows of weight 0 leave no degrees of freedom for the error.
    data["w"] = np.repeat([1.0, 0.0], 25)
    fit, other = rp.glm("y ~ s(x, k=6)", data, weights="w"), rp.glm("y ~ s(x, k=6)", data.iloc[:25])
    found, expected = (one.smooths.iloc[0, 1:].to_numpy(dtype=float) for one in (fit, other))
    assert found == pytest.approx(expected, rel=1e-5)
