"""What a summary and a table of fits tell of what varies."""

import numpy as np
import pandas as pd
import pytest

import raphson as rp


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.uniform(0, 10, 200), "z": rng.normal(size=200), "herd": rng.integers(0, 12, 200)})
    own = rng.normal(0, 0.5, 12)[frame.herd]
    frame["n"] = rng.poisson(np.exp(0.5 + 0.6 * np.sin(frame.x) + own))
    frame["y"] = np.sin(frame.x) + own + rng.normal(0, 0.3, 200)
    return frame


@pytest.fixture(scope="module")
def fit(data):
    return rp.glm("n ~ z + s(x) + (1 | herd)", data, family="poisson", criterion="REML")


def test_the_criterion_may_be_written_in_capitals(fit, data):
    assert fit.inputs["criterion"] == "REML (Laplace)"
    with pytest.raises(rp.ModelError, match="criterion: expected one of ml, reml or None; got 'GCV'"):
        rp.glm("y ~ s(x)", data, criterion="GCV")


def test_a_summary_tells_groups_scales_and_smooth_functions(fit):
    text = str(fit.summary())
    assert "Groups        12 herd" in text
    facts = dict(fit.summary().facts)
    assert facts["Model df"] == f"{fit.df_model:.2f}" and facts["Residual df"] == f"{fit.df_resid:.2f}"
    assert "herd: Intercept  std. deviation" in text
    row = fit.smooths.iloc[0]
    assert f"{row.edf:.2f}" in text.split("smooth function")[1] and "chi2" in text
    assert "[linear]" not in text and "s(x)[linear]" in fit.params.index
    for written in (fit.summary().to_markdown(), fit.summary().to_latex(), fit._repr_html_()):
        assert "smooth function" in written and "12 herd" in written


def test_ratios_are_of_coefficients_only(fit):
    text = str(fit.summary(exponentiate=True))
    assert "rate ratio" in text and f"{np.exp(fit.params['z']):.4f}"[:5] in text
    assert "herd: Intercept  std. deviation" in text


def test_what_varies_has_rows_beside_other_fits(fit, data):
    plain = rp.glm("n ~ z", data, family="poisson")
    table = rp.table(plain, fit)
    rows = {row[0]: row[1:] for row in table.grids[0].rows}
    assert rows["Levels of herd"] == ("", "12")
    sd = fit.variances.set_index("group").estimate["herd"]
    assert rows["SD herd: Intercept"][0] == "" and rows["SD herd: Intercept"][1].startswith(f"{sd:.3f}")
    assert rows["s(x), edf"] == ("", f"{fit.smooths.edf[0]:.2f}")
    assert "s(x)[linear]" not in rows and "s(x)[linear]" in table.tidy().term.tolist()


def test_a_residual_deviation_is_among_the_scales_of_a_normal_response(data):
    fit = rp.glm("y ~ s(x) + (1 | herd)", data)
    assert "residual" in str(fit.summary()) and " F " in str(fit.summary())
    gamma = rp.glm("y ~ s(x)", data.assign(y=np.exp(data.y)), family=rp.families.Gamma(link="log"))
    assert "root of dispersion" in str(gamma.summary())


def test_a_loaded_fit_has_the_same_summary(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    assert str(rp.load(tmp_path / "fit.json").summary()) == str(fit.summary())
