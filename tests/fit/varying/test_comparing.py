"""Likelihood ratios of fits that differ in what varies: the mixture at the edge, and what is refused."""

from __future__ import annotations

import pytest
from scipy.stats import chi2

import raphson as rp
from raphson.errors import DataError, ModelError


@pytest.fixture(scope="module")
def sleep(reference):
    data, _, _ = reference("sleepstudy_corr")
    formulas = {
        "plain": "Reaction ~ Days",
        "intercept": "Reaction ~ Days + (1 | Subject)",
        "split": "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)",
        "independent": "Reaction ~ Days + (Days || Subject)",
        "correlated": "Reaction ~ Days + (Days | Subject)",
        "flat": "Reaction ~ 1 + (Days | Subject)",
    }
    return data, {name: rp.glm(formula, data) for name, formula in formulas.items()}


@pytest.mark.parametrize(
    ("larger", "smaller", "degrees"),
    [
        ("intercept", "plain", (0, 1)),
        ("independent", "intercept", (0, 1)),
        ("correlated", "intercept", (1, 2)),
        ("correlated", "independent", (1,)),
        ("correlated", "split", (1,)),
        ("correlated", "flat", (1,)),
    ],
)
def test_a_new_variance_is_at_the_edge_and_a_correlation_is_not(larger, smaller, degrees, sleep):
    _, fits = sleep
    test = fits[larger].lr_test(fits[smaller])
    statistic = 2.0 * (fits[larger].llf - fits[smaller].llf)
    assert test.statistic == pytest.approx(statistic, rel=1e-12)
    tails = [chi2.sf(statistic, df) if df else 0.0 for df in degrees]
    assert test.p_value == pytest.approx(sum(tails) / len(tails), rel=1e-10)
    assert test.df == max(degrees) and test.mixed == (degrees if len(degrees) > 1 else ())
    if test.mixed:
        low, high = degrees
        assert f"0.5 chi2({low}) + 0.5 chi2({high})" in repr(test) and "edge" in test._repr_html_()


@pytest.mark.parametrize(
    ("larger", "smaller", "degrees"),
    [
        ("(0 + half | Subject)", "(1 | Subject)", (1, 2)),  # the variance of a difference and a covariance
        ("(0 + half | Subject)", "(half | Subject)", None),  # the same model
        ("(half | Subject)", "(1 | Subject/half)", (1,)),  # equal variances of the two halves
        ("(0 + half | Subject)", "(1 | Subject:half)", (2,)),  # and no covariance
        ("(Days | Subject)", "(0 + I(2 * Days + 1) | Subject)", (1, 2)),  # along a line of both coefficients
        ("(third | Subject)", "(1 | Subject/third)", (4,)),
        ("(third | Subject)", "(1 | Subject)", 2),
        ("(Days | Subject) + (1 | Subject:half)", "(1 | Subject/half)", (1, 2)),
        ("(1 | Subject/half)", "(0 + half | Subject)", "otherwise"),
        ("(Days | Subject)", "(1 | Subject:half)", "otherwise"),
        ("(half || Subject)", "(half | Subject)", "otherwise"),
    ],
)
def test_nesting_is_by_what_the_effects_can_be(larger, smaller, degrees, sleep):
    data, _ = sleep
    data = data.assign(half=data.Days.gt(4).map({True: "b", False: "a"}), third=(data.Days % 3).map(str))
    fits = [rp.glm(f"Reaction ~ Days + {one}", data) for one in (larger, smaller)]
    if degrees is None or isinstance(degrees, str):
        with pytest.raises(ModelError, match=degrees or "with as many"):
            fits[0].lr_test(fits[1])
    elif isinstance(degrees, int):
        with pytest.raises(ModelError, match=f"it lacks {degrees}, all at the edge"):
            fits[0].lr_test(fits[1])
    else:
        test = fits[0].lr_test(fits[1])
        assert (test.mixed or (test.df,)) == degrees


def test_correlated_against_independent_is_of_the_references_likelihoods(reference, sleep):
    _, fits = sleep
    llf = [reference(name)[2]["ml"]["loglik"] for name in ("sleepstudy_corr", "sleepstudy_uncorr")]
    test = fits["correlated"].lr_test(fits["independent"])
    assert test.statistic == pytest.approx(2.0 * (llf[0] - llf[1]), abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_variance_of_0_says_nothing_against_the_smaller_model(shift, reference):
    # With the second response the likelihoods differ by rounding, which is no evidence.
    data, formula, _ = reference("dyestuff2_boundary")
    data = data.assign(Yield=data.Yield + shift, w=[0.5 + 0.05 * i for i in range(len(data))])
    test = rp.glm(formula, data, weights="w").lr_test(rp.glm("Yield ~ 1", data, weights="w"))
    assert test.statistic == 0.0 and test.p_value == 1.0


def test_counts_against_a_model_in_which_nothing_varies(reference):
    data, formula, _ = reference("cbpp")
    fit = rp.glm(formula, data, family="binomial")
    plain = rp.glm(formula.replace(" + (1 | herd)", ""), data, family="binomial")
    test = fit.lr_test(plain)
    assert test.p_value == pytest.approx(0.5 * chi2.sf(2.0 * (fit.llf - plain.llf), 1), rel=1e-10)
    fixed = rp.glm("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data, family="binomial")
    assert fit.lr_test(fixed).df == 3 and fit.lr_test(fixed).mixed == ()


def test_anova_orders_them_and_keeps_the_f_of_plain_fits(reference, sleep):
    data, fits = sleep
    table = rp.anova(fits["correlated"], fits["plain"], fits["intercept"])
    assert list(table.index) == [fits[name].formula for name in ("plain", "intercept", "correlated")]
    assert table.p_value.iloc[2] == fits["correlated"].lr_test(fits["intercept"]).p_value
    constant = rp.glm("Reaction ~ 1", data)
    table = rp.anova(fits["intercept"], constant, fits["plain"])
    assert table.p_value.iloc[1] == pytest.approx(fits["plain"].lr_test(constant).p_value, rel=1e-12)
    data, formula, _ = reference("dyestuff2_boundary")
    both = rp.glm(formula, data), rp.glm("Yield ~ 1", data)
    assert list(rp.anova(*both).index) == ["Yield ~ 1", formula]


def test_what_is_not_comparable_is_refused_in_words(sleep):
    data, fits = sleep
    for larger, smaller, words in (
        ("correlated", "plain", "lacks 2, all at the edge .* bootstrap=999"),
        ("intercept", "flat", "vary otherwise than this fit's"),
        ("plain", "intercept", "Call lr_test on the larger fit"),
        ("intercept", "intercept", "with as many"),
    ):
        with pytest.raises(ModelError, match=words):
            fits[larger].lr_test(fits[smaller])
    with pytest.raises(DataError, match="expected a fit to the same 180 rows"):
        fits["intercept"].lr_test(rp.glm("Reaction ~ Days", data.head(170)))
    with pytest.raises(ModelError, match="same family and link"):
        fits["intercept"].lr_test(rp.glm("Reaction ~ Days", data, family="gamma"))
    shifted = rp.glm("Reaction ~ Days", data, offset="Days")
    with pytest.raises(ModelError, match="expected the offset of this fit"):
        fits["intercept"].lr_test(shifted)


def test_restricted_fits_need_the_same_fixed_coefficients(sleep):
    data, fits = sleep
    intercept, correlated, flat = (
        rp.glm(f"Reaction ~ {terms}", data, criterion="reml")
        for terms in ("Days + (1 | Subject)", "Days + (Days | Subject)", "1 + (1 | Subject)")
    )
    assert correlated.lr_test(intercept).mixed == (1, 2)
    with pytest.raises(ModelError, match=r"REML integrates them out.*criterion='ml'"):
        correlated.lr_test(flat)
    for other in (fits["intercept"], fits["plain"]):
        with pytest.raises(
            ModelError, match=r"by the same criterion; got REML and ML. Fit what has varying terms with criterion='ml'"
        ):
            correlated.lr_test(other)
