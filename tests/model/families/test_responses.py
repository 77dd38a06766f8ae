"""What a family takes from the data: its support, its levels, its start; and its names."""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp
from raphson.errors import DataError, ModelError
from raphson.model import families
from raphson.model.families import links
from raphson.numeric import x64

# the value alone compiles in a third of the time
compiled = jax.jit(lambda family, y, eta: jnp.where(family.inside(eta), family.log_density(y, eta), -jnp.inf))


def response(values, levels=None):
    return SimpleNamespace(name="y", values=np.asarray(values, dtype=np.float64), levels=levels, precision=None)


def test_two_levels_the_second_is_success():
    got = families.Binomial().prepare(response([0, 1, 1], ("no", "yes")))
    assert got.y.tolist() == [0, 1, 1]
    assert got.levels == ("no", "yes")
    assert got.size is None


def test_counts_and_trials_give_proportions():
    got = families.Binomial().prepare(response([[1, 3], [2, 0]]))
    assert got.y.tolist() == [0.25, 1.0]
    assert got.size.tolist() == [4, 2]
    same = families.Binomial().prepare(response([1, 2]), np.array([4.0, 2.0]))
    assert same.y.tolist() == got.y.tolist()
    assert same.size.tolist() == got.size.tolist()


@pytest.mark.parametrize(
    ("family", "values", "match"),
    [
        ("binomial", [0.5, 1.0], "1 of 2 values are proportions, and trials= is not given"),
        ("poisson", [0.5, 1.0], "1 of 2 values are not whole numbers, and the poisson family"),
        ("negative_binomial", [0.5, 1.5], "2 of 2 values are not whole"),
        ("binomial", [[0.5, 1.0]], "1 numbers of successes or failures are not whole"),
    ],
)
def test_fractions_warn_and_fit(family, values, match):
    with pytest.warns(UserWarning, match=match):
        families.resolve(family).prepare(response(values))


TRIAL = {"k": [1, 4, 9, 13, 0], "n": [20, 20, 15, 20, 3], "x": [0, 1, 2, 4, 1], "g": list("aabbb")}


def test_whole_precision_weights_that_make_shares_counts_are_the_trials_as_in_r():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_in_r = rp.glm("k/n ~ x", TRIAL, family="binomial", weights="n")
    counted = rp.glm("k ~ x", TRIAL, family="binomial", trials="n")
    np.testing.assert_allclose(as_in_r.params, counted.params, rtol=1e-12)
    for name in ("llf", "deviance", "aic", "bic", "nobs", "df_resid", "null_deviance"):
        np.testing.assert_allclose(getattr(as_in_r, name), getattr(counted, name), rtol=1e-12)
    for cov in ("HC0", "HC1", "HC2", "HC3", "jackknife"):
        np.testing.assert_allclose(as_in_r.robust(cov).cov_params(), counted.robust(cov).cov_params(), rtol=1e-9)
    np.testing.assert_array_equal(
        as_in_r.residuals("quantile", seed=1).to_numpy(), counted.residuals("quantile", seed=1).to_numpy()
    )
    drawn = as_in_r.simulate(50, seed=1)
    np.testing.assert_array_equal(drawn.to_numpy(), counted.simulate(50, seed=1).to_numpy())
    assert np.allclose(drawn.mul(TRIAL["n"], axis=0), drawn.mul(TRIAL["n"], axis=0).round())
    apart = [rp.glm(f, TRIAL, family="binomial", by="g", **k) for f, k in FORMS]
    np.testing.assert_allclose(*([one[level].llf for level in "ab"] for one in apart), rtol=1e-12)


FORMS = (("k/n ~ 1", {"weights": "n"}), ("k ~ 1", {"trials": "n"}))


def test_shares_that_are_rounded_are_counts_in_their_distribution_functions():
    # 0.333 of 3 trials is one success, though 3 * 0.333 is less than 1.
    family, mean, size = families.Binomial(), np.array([0.4]), np.array([3.0])
    for y in (0.333, 1 / 3, 0.3334):
        low, high = family.cdf(np.array([y]), mean, 1.0, size)
        np.testing.assert_allclose([low[0], high[0]], [0.6**3, 0.6**3 + 3 * 0.4 * 0.6**2], rtol=1e-12)


def test_a_row_of_weight_0_is_no_trial():
    more = {name: [*values, extra] for (name, values), extra in zip(TRIAL.items(), (0.5, 0, 9, "b"), strict=True)}
    more["share"] = [*(np.array(TRIAL["k"]) / TRIAL["n"]), 0.37]
    with_it = rp.glm("share ~ x", more, family="binomial", weights="n")
    without = rp.glm("k ~ x", TRIAL, family="binomial", trials="n")
    for name in ("llf", "nobs", "df_resid", "deviance"):
        np.testing.assert_allclose(getattr(with_it, name), getattr(without, name), rtol=1e-12)
    np.testing.assert_allclose(with_it.robust("HC1").cov_params(), without.robust("HC1").cov_params(), rtol=1e-9)


@pytest.mark.parametrize(
    ("y", "weights", "kind"),
    [
        ("k/n", [2.0] * 5, "precision"),
        ("k/n", "n", "frequency"),
        ("k/n", "n", "sampling"),
        ("k/n", [20, 20, 15, 20, 3.5], "precision"),
    ],
)
def test_other_weights_of_shares_are_no_trials(y, weights, kind):
    with pytest.warns(UserWarning, match="trials= is not given"):
        fit = rp.glm(f"{y} ~ x", TRIAL, family="binomial", weights=weights, weights_kind=kind)
    if kind == "sampling":
        return
    assert set(np.unique(fit.simulate(20, seed=1))) <= {0.0, 1.0}


def test_weights_of_single_trials_are_no_trials():
    rows = {"y": [0, 1, 1, 0, 1, 0], "x": [0, 1, 2, 3, 4, 5], "w": [1, 2, 3, 1, 4, 2]}
    drawn = rp.glm("y ~ x", rows, family="binomial", weights="w").simulate(50, seed=1)
    assert set(np.unique(drawn)) == {0.0, 1.0}


def test_quasi_families_take_fractions_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        families.QuasiBinomial().prepare(response([0.5, 0.1]))
        families.QuasiPoisson().prepare(response([0.5, 2.1]))
        families.Poisson().prepare(response([0, 2]))


@pytest.mark.parametrize(
    ("family", "values", "levels", "trials", "message"),
    [
        (
            "poisson",
            [1, -1, 3, -2],
            None,
            None,
            r"response 'y': expected counts of 0 or more \(the poisson family\); got -1 in row 1 "
            r"\(2 of 4 rows: 1, 3, counted from 0\). Correct",
        ),
        ("negative_binomial", [-1], None, None, "got -1 in row 0"),
        ("gamma", [1, 0, 2], None, None, r"expected positive numbers \(the gamma family\); got 0 in row 1"),
        ("inverse_gaussian", [-3.0], None, None, "expected positive numbers"),
        ("tweedie(1.5)", [-3.0], None, None, "numbers of 0 or more"),
        ("tweedie(2.5)", [0.0], None, None, "expected positive numbers"),
        ("binomial", [0, 2] + [3] * 9, None, None, r"10 of 11 rows: 1, 2, 3, 4, 5, \.\.\., counted.*trials="),
        ("binomial", [0, 1], ("a", "b", "c"), None, "expects two levels; got 3: 'a', 'b', 'c'.*multinomial"),
        ("binomial", [0, 0], ("a",), None, "expects two levels; got 1.*nothing to explain"),
        ("binomial", [0, 1], ("a", "b"), [2, 2], "expected a number of successes as the response"),
        ("binomial", [5, 1], None, [4, 4], "no more successes than trials; got 5 in row 0"),
        ("binomial", [0, 1], None, [4, 0], "response 'trials': expected positive numbers of trials; got 0 in row 1"),
        ("binomial", [0, 1], None, [4], r"trials: expected one number per row \(2\)"),
        ("binomial", [-1, 1], None, [4, 4], "successes of 0 or more; got -1"),
        ("binomial", [[1, 2]], None, [3], "already contains the trials"),
        ("binomial", [[1, 2, 3]], None, None, r"two columns cbind\(successes, failures\); got 3"),
        ("binomial", [[1, -2]], None, None, "counts of 0 or more in both columns; got -2 in row 0"),
        ("binomial", [[0, 0], [1, 1]], None, None, "at least one trial in each row; got 0 in row 0"),
        ("binomial", [np.nan, 1], None, None, "expected finite numbers; got nan in row 0"),
        ("gaussian", [np.inf, 1], None, None, "expected finite numbers; got inf in row 0"),
        ("gaussian", [0, 1], ("a", "b"), None, "expects numbers; got the levels 'a', 'b'.*binomial"),
        ("gaussian", [0, 1], tuple("abcdefg"), None, r"'e', \.\.\. \(7 in all\).*multinomial"),
        ("gaussian", [[1, 2]], None, None, "expects one column; got 2.*cbind"),
        ("poisson", [1], None, [3], "trials: expected a binomial family; got the family poisson"),
        ("multinomial", [0, 0], ("a",), None, r"two levels or more; got 1 \('a'\)"),
        ("multinomial", [1.5, 2], None, None, "expected categories.*got 1.5 in row 0"),
        ("multinomial", [[1, 2]], None, None, "one column of categories"),
        ("multinomial", [1, 2], None, [3, 3], "one category per row"),
        ("multinomial", np.arange(2000), None, None, "got 2000 different numbers"),
    ],
)
def test_bad_responses(family, values, levels, trials, message):
    with pytest.raises(DataError, match=message):
        families.resolve(family).prepare(response(values, levels), None if trials is None else np.array(trials))


@pytest.mark.parametrize("far", [0, 10**6], ids=["counted", "sorted"])
def test_multinomial_levels_are_the_numbers_in_order(far):
    values = np.array([4, -3, 4, 0, 7 + far, -3], dtype=float)
    got = families.Multinomial().prepare(response(values))
    assert got.levels == ("-3", "0", "4", str(7 + far))
    assert got.y.dtype == np.float64 and got.y.tolist() == [2, 0, 2, 1, 3, 0]


def test_multinomial_levels():
    got = families.Multinomial().prepare(response([0, 2, 1], ("a", "b", "c")))
    assert got.family.levels == got.levels == ("a", "b", "c")
    assert got.family.n_predictors == 2
    numbers = families.Multinomial().prepare(response([10, 3, 10, 7]))
    assert numbers.levels == ("3", "7", "10")
    assert numbers.y.tolist() == [2, 0, 2, 1]
    with pytest.raises(ModelError, match="levels are not known yet"):
        _ = families.Multinomial().n_predictors
    with pytest.raises(ModelError, match="the only link of the multinomial family; got 'probit'"):
        families.Multinomial(link="probit")


@pytest.mark.parametrize("link", sorted(links.LINKS))
@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_starts_are_in_the_domain(name, link):
    if name == "multinomial":
        family, y = families.Multinomial(levels=("a", "b", "c")), np.array([0.0, 1, 2, 2])
    else:
        cls = families.FAMILIES[name]
        family = cls(power=1.5, link=link) if name == "tweedie" else cls(link=link)
        y = {
            "gaussian": np.array([-2.0, 0, 3, 1]),
            "binomial": np.array([0.0, 1, 1, 0.5]),
            "quasibinomial": np.array([0.0, 1, 1, 0.5]),
            "gamma": np.array([0.1, 5, 1, 2]),
            "inverse_gaussian": np.array([0.1, 5, 1, 2]),
        }.get(name, np.array([0.0, 1, 5, 2]))
    eta = family.start_eta(y, np.ones(4))
    assert eta.shape == (family.n_predictors, 4)
    with x64():
        value = np.asarray(compiled(family, y, eta))
    assert np.isfinite(eta).all()
    assert np.isfinite(value).all()


def test_starts_are_those_of_r():
    y = np.array([0.0, 1.0, 3.0])
    np.testing.assert_allclose(families.Poisson().start_mean(y, np.ones(3))[0], y + 0.1)
    np.testing.assert_allclose(families.Binomial().start_mean(y / 3, np.full(3, 3.0))[0], (y + 0.5) / 4)
    np.testing.assert_allclose(families.NegativeBinomial().start_mean(y, np.ones(3))[0], [1 / 6, 1, 3])
    np.testing.assert_allclose(families.Gaussian().start_mean(y, np.ones(3))[0], y)


def test_recession():
    y = np.array([0.0, 0.5, 1.0, 3.0])
    for link in ("logit", "probit", "cloglog", "cauchit"):
        assert families.Binomial(link=link).recession(y[:3]).tolist() == [-1, 0, 1]
    for family in (families.Poisson(), families.NegativeBinomial(), families.Tweedie(power=1.5)):
        assert family.recession(y).tolist() == [-1, 0, 0, 0]
    # the log link reaches a mean of 1 at eta = 0, an end of the domain and no direction
    assert families.Binomial(link="log").recession(y[:3]).tolist() == [-1, 0, 0]
    for family in (families.Poisson(link="sqrt"), families.Gaussian(), families.Gaussian(link="inverse")):
        assert family.recession(y).tolist() == [0, 0, 0, 0]
    # a mean that cannot reach the response: any of 1 and more under a link that ends at 1
    assert families.Poisson(link="logit").recession(y).tolist() == [-1, 0, 1, 1]
    # 1/eta falls to 0 as eta grows
    assert families.Poisson(link="inverse").recession(y).tolist() == [1, 0, 0, 0]
    assert families.Multinomial(levels=("a", "b")).recession(y).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_recession_is_a_direction_in_which_the_value_only_rises(name):
    if name == "multinomial":
        return
    cls = families.FAMILIES[name]
    y = np.array([0.0, 1.0]) if "binomial" in name and "neg" not in name else np.array([0.0, 1.0, 4.0])
    y = y if name not in ("gamma", "inverse_gaussian") else y + 0.5
    for link in links.LINKS:
        family = cls(power=1.5, link=link) if name == "tweedie" else cls(link=link)
        if family.n_predictors > 1:
            continue
        direction = family.recession(y)
        if not direction.any():
            continue
        eta = np.linspace(2.0, 30.0, 15)[:, None] * direction
        with x64():
            value = np.asarray(compiled(family, np.tile(y, 15), eta.ravel()[None]))
        value = value.reshape(15, -1)[:, direction != 0]
        assert (np.diff(value, axis=0) >= -1e-12).all(), (name, link)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Gamma", families.Gamma()),
        ("inverse.gaussian", families.InverseGaussian(link="1/mu^2")),
        ("INVERSE GAUSSIAN", families.InverseGaussian()),
        ("nb", families.NegativeBinomial()),
        ("negative-binomial", families.NegativeBinomial()),
        ("negative_binomial(2)", families.NegativeBinomial(theta=2)),
        ("tweedie( power = 1.5 )", families.Tweedie(power=1.5)),
        ("Tweedie(1.5)", families.Tweedie(power=1.5)),
        ("quasi-poisson", families.QuasiPoisson()),
        (families.Poisson, families.Poisson()),
    ],
)
def test_names(name, family):
    assert families.resolve(name) == family
    assert families.resolve(family) is family


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("binomal", r"no family named 'binomal'. Did you mean 'binomial'\?"),
        ("negbinn", r"Did you mean 'negative_binomial'\?"),
        ("zzz", r"there is no family named 'zzz'. The families are gaussian, binomial"),
        ("tweedie", r'needs its power, as in "tweedie\(1.5\)"'),
        ("tweedie(x)", "expected a number for the power of tweedie; got 'x'"),
        ("tweedie(0.5)", r"power: expected a number outside \(0, 1\); got 0.5"),
        ("nb(-1)", "theta: expected a positive number, or None to estimate it; got -1"),
        ("nb(nan)", "theta: expected a positive number"),
        ("binomial(probit)", r"Write family=rp.families.Binomial\(link='probit'\)"),
        ('gamma(link="log")', r"Write family=rp.families.Gamma\(link='log'\)"),
        ("poisson(3)", r"the poisson family has no parameter; got 'poisson\(3\)'"),
        ("poisson(3", "no family named"),
        (7, "family: expected a name .* or a Family; got int"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(ModelError, match=message):
        families.resolve(name)


def test_parameters_are_checked():
    with pytest.raises(ModelError, match="theta: expected a positive number, or None to estimate it; got '2'"):
        families.NegativeBinomial(theta="2")
    with pytest.raises(ModelError, match="power: expected a number"):
        families.Tweedie(power=None)
    with pytest.raises(ModelError, match=r"there is no link named 'lgo'\. Did you mean 'log'"):
        families.Poisson(link="lgo")
    with pytest.raises(ModelError, match="theta is not known yet"):
        families.NegativeBinomial().variance(np.ones(2))


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_saved_and_read_back(name):
    family = {
        "tweedie": families.Tweedie(power=1.1, link="sqrt"),
        "negative_binomial": families.NegativeBinomial(theta=0.1),
        "multinomial": families.Multinomial(levels=("a", "é")),
    }.get(name) or families.resolve(name)
    assert families.from_dict(json.loads(json.dumps(family.to_dict()))) == family


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "expected the saved description of a family; got the name None"),
        ([], "got the name None"),
        ({"name": "poisson", "link": "log", "theta": 1.0}, r"the saved poisson has unknown fields: \['theta'\]"),
        ({"name": "poisson", "link": "os"}, "no link named 'os'"),
        ({"name": "tweedie", "link": "log", "power": "1"}, "power: expected a number"),
    ],
)
def test_descriptions_that_were_tampered_with(fields, message):
    with pytest.raises(ModelError, match=message):
        families.from_dict(fields)


def test_canonical_links_are_the_defaults():
    defaults = {name: cls.default_link for name, cls in families.FAMILIES.items()}
    assert defaults == {
        "gaussian": "identity",
        "binomial": "logit",
        "poisson": "log",
        "gamma": "inverse",
        "inverse_gaussian": "inverse_squared",
        "negative_binomial": "log",
        "tweedie": "log",
        "multinomial": "logit",
        "quasipoisson": "log",
        "quasibinomial": "logit",
    }


@pytest.mark.parametrize(
    ("family", "unit"), [("gaussian", 1e-165), ("gaussian", 1e160), ("gamma", 1e-160), ("inverse_gaussian", 1e-110)]
)
def test_units_whose_squares_are_no_numbers(family, unit):
    x = np.linspace(0, 1, 12)
    y = 1.5 + np.cos(7 * x)
    with pytest.raises(rp.DataError, match=r"its largest absolute value is .* other units: divide it by"):
        rp.glm(unit * y, np.column_stack([np.ones(12), x]), family=family)
    with pytest.raises(rp.DataError, match="other units"):
        rp.nls("y ~ a + b*x", {"x": x, "y": 1e-165 * y})


def test_small_units_that_do_no_harm():
    x = np.linspace(0, 1, 12)
    X, y = np.column_stack([np.ones(12), x]), 1.5 + np.cos(7 * x)
    one, small = rp.glm(y, X), rp.glm(1e-140 * y, X)
    np.testing.assert_allclose(small.bse, 1e-140 * one.bse, rtol=1e-10)
