"""Satterthwaite's degrees of freedom of REML fits of normal responses, and t where they are used."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

import raphson as rp
from raphson.errors import ModelError


@pytest.mark.parametrize("name", ["sleepstudy_corr", "sleepstudy_uncorr", "machines"])
def test_they_are_the_references(name, reference, tmp_path):
    data, formula, fits = reference(name)
    expected = fits["reml"]["fixed"]["satterthwaite_df"]
    fit = rp.glm(formula, data, criterion="reml")
    assert fit.satterthwaite_df.to_numpy() == pytest.approx(expected, rel=1e-9)
    fit.save(tmp_path / "fit.json")
    assert rp.load(tmp_path / "fit.json").satterthwaite_df.tolist() == fit.satterthwaite_df.tolist()


def test_a_variance_of_0_leaves_those_of_the_smaller_model(reference):
    data, formula, _ = reference("dyestuff2_boundary")
    fit = rp.glm(formula, data, criterion="reml")
    assert fit.satterthwaite_df.to_numpy() == pytest.approx(len(data) - 1, rel=1e-9)


def test_coefficients_are_compared_with_t(reference):
    data, formula, _ = reference("sleepstudy_corr")
    fit = rp.glm(formula, data, criterion="reml")
    table = fit.tidy()
    assert table.p_value.to_numpy() == pytest.approx(2 * t.sf(np.abs(table.statistic), 17), rel=1e-8)
    reach = t.ppf(0.975, 17) * table.std_error
    assert (table.conf_high - table.estimate).to_numpy() == pytest.approx(reach.to_numpy(), rel=1e-9)
    assert "P(>|t|)" in fit.summary().text and "Satterthwaite" in fit.summary().text
    contrast = fit.t_test(np.array([[0.0, 1.0]]))
    assert contrast.p_value.iloc[0] == pytest.approx(table.p_value[1], rel=1e-12)
    test = fit.wald_test("Days = 0")
    assert test.df_resid == pytest.approx(17, rel=1e-9)
    assert test.p_value == pytest.approx(table.p_value[1], rel=1e-9)


def test_an_aliased_column_has_none(reference):
    data, _, _ = reference("sleepstudy_corr")
    with pytest.warns(rp.RankWarning):
        fit = rp.glm("Reaction ~ Days + I(2 * Days) + (Days | Subject)", data, criterion="reml")
    found = fit.satterthwaite_df.to_numpy()
    assert found[:2] == pytest.approx(17, rel=1e-8) and np.isnan(found[2])
    assert pd.isna(fit.pvalues.iloc[2])


def test_other_fits_keep_the_normal(reference):
    data, formula, _ = reference("sleepstudy_corr")
    fit = rp.glm(formula, data)
    assert "P(>|z|)" in fit.summary().text
    with pytest.raises(ModelError, match="criterion='reml' only"):
        _ = fit.satterthwaite_df
