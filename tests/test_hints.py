"""Names of other packages, and what they are called here."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import traceback

import numpy as np
import pytest

import raphson as rp
from raphson import hints

DOORS = (rp.glm, rp.nls, rp.mle, rp.network)
METHODS = [getattr(rp.Fit, name) for name in ("predict", "residuals", "conf_int", "bootstrap", "plot")]
ARGUMENTS = {name for one in (*DOORS, *METHODS) for name in inspect.signature(one).parameters}


@pytest.fixture(scope="module")
def fit():
    return rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")


@pytest.mark.parametrize("of", ["fit", "package", "family", "link", "class", "formula"])
def test_what_a_hint_says_is_there(of):
    # A hint that names what does not exist would send the reader from one error to the next.
    for meant in hints.table(of).values():
        for name in re.findall(r"fit\.(\w+)", meant):
            assert hasattr(rp.Fit, name), meant
        for whole in re.findall(r"rp\.([\w.]+)", meant):
            found = rp
            for name in whole.split("."):
                found = getattr(found, name)
        for name in re.findall(r"(\w+)=", meant):
            assert name in ARGUMENTS | {"kind", "interval", "link", "seed", "df"}, meant
        for family in re.findall(r"family='([^']+)'", meant):
            rp.families.resolve(family)
        for density in re.findall(r"rp.mle\('(\w+)'", meant):
            rp.densities.resolve(density)
        for link in re.findall(r"link='(\w+)'", meant):
            rp.families.links.resolve(link)


@pytest.mark.parametrize("of", ["fit", "package", "family", "link", "class", "formula"])
def test_no_name_stands_for_two_things(of):
    names = [name for line in hints._TABLES[of].values() for name in line.split()]
    assert sorted(names) == sorted(set(names))


def test_what_a_hint_for_an_argument_says_is_an_argument():
    names = [name for line in hints._ARGUMENT for name in line.split()]
    assert sorted(names) == sorted(set(names))
    for several in hints._ARGUMENT.values():
        for meant in several:
            assert meant.partition("=")[0] in ARGUMENTS, meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resid", r"fit\.residuals\(kind='deviance'\)"),
        ("coef_", r"fit\.params"),
        ("rsquared", r"1 - fit\.deviance/fit\.null_deviance"),
        ("cov_type", r"fit\.robust"),
        ("AIC", r"fit\.aic"),
        ("convreged", r"fit\.converged"),
        ("qqq", r"dir\(fit\)"),
    ],
)
def test_a_fit_says_what_is_meant(fit, name, meant):
    with pytest.raises(AttributeError, match=meant) as caught:
        getattr(fit, name)
    assert isinstance(caught.value, rp.RaphsonError)
    assert not hasattr(fit, name)
    # Python adds no second suggestion.
    assert "".join(traceback.format_exception(caught.value)).rstrip().count("Did you mean") <= 1


def test_a_member_that_refuses_says_why(fit):
    with pytest.raises(AttributeError, match="networks only"):
        fit.history  # noqa: B018


def test_a_fit_is_still_copied_and_pickled_and_asked_by_notebooks(fit):
    assert not hasattr(fit, "_repr_png_") and not hasattr(fit, "__array__")
    arrays = rp.glm(np.array([1.0, 3.0, 2.0]), np.ones((3, 1)))
    for other in (copy.copy(arrays), pickle.loads(pickle.dumps(arrays))):  # noqa: S301
        assert other.params.tolist() == arrays.params.tolist()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("logit", r"rp\.glm\('y ~ x', data, family='binomial'\)"),
        ("ols", r"rp\.glm\('y ~ x', data\)"),
        ("OLS", r"rp\.glm\('y ~ x', data\)"),
        ("poisson", r"family='poisson'"),
        ("curve_fit", r"rp\.nls\(curve, data, start=\.\.\.\)"),
        ("optimize", r"rp\.mle\(loglik"),
        ("netwrok", r"rp\.network\?"),
    ],
)
def test_the_package_says_what_is_meant(name, meant):
    with pytest.raises(AttributeError, match=meant) as caught:
        getattr(rp, name)
    assert not hasattr(rp, name)
    assert "".join(traceback.format_exception(caught.value)).count("Did you mean") == 1


def test_a_name_that_nobody_has_is_an_ordinary_error():
    with pytest.raises(AttributeError, match=r"module 'raphson' has no attribute 'qqq'$"):
        rp.qqq  # noqa: B018


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: rp.glm("y ~ x", {}, cov_type="HC3"), r"Did you mean cov='HC3'\?"),
        (lambda: rp.glm("y ~ x", {}, maxiter=5), r"Did you mean max_iter=100\?"),
        (lambda: rp.glm("y ~ x", {}, freq_weights="w"), r"weights_kind='frequency'"),
        (lambda: rp.glm("y ~ x", {}, sigma="s"), r"weights=1/sigma\*\*2"),
        (lambda: rp.glm("y ~ x", {}, link="log"), r"rp\.families\.\w+\(link='\w+'\), with your family and link\?"),
        (lambda: rp.mle("weibull", "t ~ x", {}, event="died"), r"Did you mean columns=\{'event': 'status'\}\?"),
        (lambda: rp.nls("y ~ a*x", {}, p0=[1]), r"start="),
        (lambda: rp.network("y ~ x", {}, alpha=1), r"weight_decay="),
        (lambda: rp.glm("y ~ x", {}, famly="poisson"), r"Did you mean 'family'\?"),
        (lambda: rp.glm("y ~ x", {}, qqqqq=1), r"The arguments are formula, "),
    ],
)
def test_a_function_says_which_argument_is_meant(call, meant):
    with pytest.raises(rp.ModelError, match=meant):
        call()


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda fit: fit.conf_int(alpha=0.1), r"Fit\.conf_int: .*Did you mean level=0\.95\?"),
        (lambda fit: fit.predict(exog=[1]), r"Fit\.predict: .*Did you mean new=data\?"),
        (lambda fit: fit.residuals(type="pearson"), r"Fit\.residuals: .*Did you mean kind='response'\?"),
        (lambda fit: fit.robust(cov_type="HC1"), r"Did you mean cov='HC3'\?"),
        (lambda fit: fit.profile(), r"Fit\.profile: missing a required argument: 'name'"),
        (lambda fit: fit.summary(qqqqq=1), r"The arguments are level"),
    ],
)
def test_a_method_says_which_argument_is_meant(fit, call, meant):
    with pytest.raises(rp.ModelError, match=meant):
        call(fit)


def test_fits_of_groups_say_where_a_name_is():
    data = {"y": [1.0, 2.0, 4.0, 1.0, 3.0, 2.0], "x": [0.0, 1.0, 2.0] * 2, "g": list("aaabbb")}
    fits = rp.glm("y ~ x", data, by="g")
    for name, meant in (
        ("coef", r"fits\.params\?"),
        ("llf", r"fits\[label\]\.llf\?"),
        ("resid", r"fits\[label\]\.resid"),
    ):
        with pytest.raises(AttributeError, match=meant):
            getattr(fits, name)
    assert not hasattr(fits, "_repr_png_")
    copied = pickle.loads(pickle.dumps(fits))  # noqa: S301
    assert copied.params.equals(fits.params)


def test_a_class_of_families_says_what_is_meant():
    with pytest.raises(AttributeError, match=r"Did you mean rp\.families\.Gaussian\?"):
        rp.families.Normal  # noqa: B018
    with pytest.raises(AttributeError, match=r"Did you mean rp\.families\.Poisson\?"):
        rp.families.Poison  # noqa: B018


@pytest.mark.parametrize(
    ("family", "meant"),
    [
        ("logistic", r"family='binomial'"),
        ("Logit", r"family='binomial'"),
        ("probit", r"Binomial\(link='probit'\)"),
        ("lognormal", r"rp\.mle\('lognormal'"),
        ("gausian", r"Did you mean 'gaussian'"),
    ],
)
def test_a_family_says_what_is_meant(family, meant):
    with pytest.raises(rp.ModelError, match=meant):
        rp.glm("y ~ x", {"y": [1.0, 2.0, 3.0], "x": [1.0, 2.0, 4.0]}, family=family)


@pytest.mark.parametrize(
    ("argument", "value", "choices", "meant"),
    [
        ("cov", "hc3", ["model", "HC0", "HC3"], "HC3"),
        ("cov", "nonrobust", ["model", "HC3"], "model"),
        ("kind", "prob", ["response", "link"], "response"),
        ("kind", "raw", ["deviance", "response"], "response"),
        ("kind", "Deviance", ["deviance", "pearson"], "deviance"),
        ("interval", "ci", ["confidence", "prediction", None], "confidence"),
        ("missing", "omit", ["drop", "raise"], "drop"),
        ("weights_kind", "fweights", ["precision", "frequency"], "frequency"),
        ("missing", "xyz", ["drop", "raise"], None),
    ],
)
def test_values_of_options_as_others_call_them(argument, value, choices, meant):
    expected = "" if meant is None else f" Did you mean {meant!r}?"
    assert hints.choice_hint(argument, value, choices) == expected


@pytest.mark.parametrize(
    ("name", "meant"), [("L-BFGS-B", "newton-cg"), ("lm", "levenberg-marquardt"), ("Nelder-Mead", "needs derivatives")]
)
def test_methods_as_others_call_them(name, meant):
    with pytest.raises(rp.ModelError, match=rf"there is no method named '{name}'. Did you mean .*{meant}"):
        rp.methods.resolve_method(name)


@pytest.mark.parametrize(
    ("name", "meant"), [("VarCorr", "fit.variances"), ("ranef", "fit.random_effects()"), ("isSingular", "'boundary'")]
)
def test_names_of_mixed_models_are_known(fit, name, meant):
    with pytest.raises(AttributeError, match=re.escape(meant)):
        getattr(fit, name)
