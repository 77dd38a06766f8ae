"""Fits compared: nested or not, on the same rows or not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import raphson as rp


def fitted(births, right, **keywords):
    return rp.glm(f"low ~ {right}", births, **{"family": "binomial", **keywords})


def test_anova_orders_and_tests(births):
    fits = [fitted(births, right) for right in ("lwt + smoke + race", "lwt", "lwt + smoke")]
    table = rp.anova(*fits)
    assert table.index.tolist() == ["low ~ lwt", "low ~ lwt + smoke", "low ~ lwt + smoke + race"]
    assert table["df"].tolist()[1:] == [1, 2] and np.isnan(table["statistic"].iloc[0])
    np.testing.assert_allclose(table["statistic"].iloc[1:], -np.diff(table["deviance"]), rtol=1e-9)
    np.testing.assert_allclose(table["p_value"].iloc[1:], stats.chi2.sf(table["statistic"].iloc[1:], [1, 2]), rtol=1e-9)


def test_anova_of_least_squares_takes_the_largest_dispersion(births):
    fits = [rp.glm(f"age ~ {right}", births) for right in ("lwt", "lwt + race", "lwt + race + smoke")]
    table = rp.anova(*fits)
    expected = -np.diff(table["deviance"]) / [2, 1] / fits[-1].dispersion
    np.testing.assert_allclose(table["statistic"].iloc[1:], expected, rtol=1e-9)
    np.testing.assert_allclose(table["p_value"].iloc[1:], stats.f.sf(expected, [2, 1], fits[-1].df_resid), rtol=1e-9)


def test_nested_by_span_not_by_name(births):
    larger = fitted(births, "race + lwt")
    smaller = rp.glm("low ~ I(lwt/2)", births, family="binomial")
    assert larger.lr_test(smaller).df == 2
    shifted = rp.glm("low ~ race + offset(0.01*lwt)", births, family="binomial")
    assert larger.lr_test(shifted).statistic == pytest.approx(larger.lr_test("lwt = 0.01").statistic, rel=1e-9)


def test_fits_that_cannot_be_compared(births):
    fit = fitted(births, "lwt + smoke")
    holes = births.assign(lwt=births["lwt"].where(births.index != 3))
    for other, error, message in (
        (fitted(births, "age"), rp.ModelError, "expected a nested model"),
        (fitted(births, "age + ui"), rp.ModelError, "fewer parameters"),
        (fitted(births, "lwt + smoke + age"), rp.ModelError, "fewer parameters.*larger fit"),
        (
            fitted(births, "lwt", family=rp.families.Binomial(link="probit")),
            rp.ModelError,
            "same family and link.*not χ²",
        ),
        (rp.glm("ui ~ lwt", births, family="binomial"), rp.DataError, "expected the response and weights of this fit"),
        (
            fitted(births, "lwt", weights=np.full(189, 2.0)),
            rp.DataError,
            "expected the response and weights of this fit",
        ),
    ):
        with pytest.raises(error, match=message):
            fit.lr_test(other)
    with pytest.warns(rp.MissingDataWarning):
        fewer = fitted(holes, "lwt")
    with pytest.raises(rp.DataError, match="the same 189 rows; got one to 188 rows"):
        fit.lr_test(fewer)


@pytest.mark.parametrize("fits", [(), (1,), (1, 2)])
def test_anova_wants_fits(fits):
    with pytest.raises(rp.ModelError, match="anova: expected two or more fits"):
        rp.anova(*fits)
