"""Fits of likelihoods whose parameters vary by groups, against a Laplace approximation group by group written here."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.special import gammaln

import raphson as rp
from raphson.errors import DataError, RefusedName

RNG = np.random.default_rng(7)
N, GROUPS = 300, 12
G = RNG.integers(0, GROUPS, N)
X = RNG.normal(size=N)
LOCATION = 0.5 + 0.4 * X + RNG.normal(0, 0.6, GROUPS)[G]
SCALE = np.exp(-0.4 + RNG.normal(0, 0.35, GROUPS)[G])
TIMES = np.exp(LOCATION + SCALE * np.log(RNG.exponential(size=N)))
CENSORED = RNG.exponential(12.0, N)
MEAN = np.exp(LOCATION)
DATA = pd.DataFrame(
    {
        "y": LOCATION + SCALE * RNG.normal(size=N),
        "time": np.minimum(TIMES, CENSORED),
        "event": (TIMES <= CENSORED).astype(int),
        "n": RNG.negative_binomial(3.0, 3.0 / (3.0 + MEAN)).astype(float),
        "zeros": np.where(RNG.random(N) < 0.25, 0, RNG.poisson(MEAN)).astype(float),
        "level": (LOCATION[:, None] + RNG.logistic(size=(N, 1)) > [-0.3, 1.2]).sum(axis=1),
        "brand": np.argmax(
            np.column_stack([np.zeros(N), LOCATION, np.log(SCALE) + X]) + RNG.gumbel(size=(N, 3)), axis=1
        ),
        "x": X,
        "z": RNG.uniform(0, 1, N),
        "g": [f"g{i:02d}" for i in G],
    }
)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) * jnp.exp(-log_sigma)) ** 2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)


def logistic(y, mu, log_scale):
    z = (y - mu) * jnp.exp(-log_scale)
    return -z - log_scale - 2.0 * jnp.logaddexp(0.0, -z)


def weibull(y, log_time, log_sigma, event):
    w = (jnp.log(y) - log_time) * jnp.exp(-log_sigma)
    return event * (w - log_sigma - jnp.log(y)) - jnp.exp(w)


def inflated(y, log_mean, logit_zero):
    p, mean = jax.nn.sigmoid(logit_zero), jnp.exp(log_mean)
    poisson = y * log_mean - mean - gammaln(y + 1)
    return jnp.where(y == 0, jnp.log(p + (1 - p) * jnp.exp(-mean)), jnp.log1p(-p) + poisson)


def ordered(y, location, first, second):
    below = jnp.where(y == 0, 0.0, jax.nn.sigmoid(jnp.where(y == 2, second, first) - location))
    above = jnp.where(y == 2, 1.0, jax.nn.sigmoid(jnp.where(y == 0, first, second) - location))
    return jnp.log(above - below)


class ByGroup:
    """V(β, σ) with a random intercept in some predictors: a small integral for each group."""

    def __init__(self, density, y, designs, varying, extra=()):
        self.designs, self.varying, m = designs, varying, len(varying)
        widths = np.cumsum([one.shape[1] for one in designs])

        def rows(theta, v):
            beta, sigma = jnp.split(theta[: widths[-1]], widths[:-1]), theta[widths[-1] :]
            eta = [one @ b for one, b in zip(designs, beta, strict=True)]
            for k, a in enumerate(varying):
                eta[a] = eta[a] + sigma[k] * v[G, k]
            return density(y, *eta, *extra)

        def h(v, theta):
            return jnp.sum(rows(theta, v)) - 0.5 * jnp.sum(v * v)

        def blocks(v, theta):
            moves = jnp.eye(m)
            each = [jax.jvp(lambda at: jax.grad(h)(at, theta), (v,), (jnp.tile(e, (GROUPS, 1)),))[1] for e in moves]
            return -jnp.stack(each, axis=2)

        def step(v, theta):
            values, vectors = jnp.linalg.eigh(blocks(v, theta))  # uphill where they are not positive definite
            turned = jnp.einsum("gab,ga->gb", vectors, jax.grad(h)(v, theta)) / jnp.maximum(jnp.abs(values), 0.1)
            return jnp.einsum("gab,gb->ga", vectors, turned)

        self.h, self.blocks, self.step = jax.jit(h), jax.jit(blocks), jax.jit(step)
        self.v = np.zeros((GROUPS, m))

    def __call__(self, theta):
        v = self.v
        for _ in range(50):
            step, before = np.asarray(self.step(v, theta)), self.h(v, theta)
            while not self.h(v + step, theta) > before - 1e-9:
                step = step / 2
            v = v + step
            if np.abs(step).max() < 1e-11:
                break
        self.v = v
        return float(self.h(v, theta)) - 0.5 * float(jnp.sum(jnp.linalg.slogdet(self.blocks(v, theta))[1]))

    def derivatives(self, theta):
        J, t = len(theta), 1e-3
        E, slope, bend = np.eye(J) * t, np.zeros(J), np.zeros((J, J))
        top = self(theta)
        single = [[self(theta + k * e) for k in (-2, -1, 1, 2)] for e in E]
        for j, (a, b, c, d) in enumerate(single):
            slope[j] = (a - 8 * b + 8 * c - d) / (12 * t)
            bend[j, j] = (-a + 16 * b - 30 * top + 16 * c - d) / (12 * t * t)
            for k in range(j):
                cross = [(self(theta + s * (E[j] + E[k])) - self(theta + s * (E[j] - E[k])), s) for s in (1, -1, 2, -2)]
                one = (cross[0][0] + cross[1][0]) / (4 * t * t)
                two = (cross[2][0] + cross[3][0]) / (16 * t * t)
                bend[j, k] = bend[k, j] = (4 * one - two) / 3
        return top, slope, bend


def choice(y, b, c):
    """Of three levels, the first the baseline."""
    return jnp.where(y == 1, b, jnp.where(y == 2, c, 0.0)) - jnp.log(1.0 + jnp.exp(b) + jnp.exp(c))


ONE, BOTH = np.ones((N, 1)), np.column_stack([np.ones(N), X])
CASES = {
    "normal": (normal, normal, {"mu": "y ~ x + (1 | g)", "log_sigma": "~ (1 | g)"}, "y", [0, 1]),
    "logistic": (logistic, logistic, {"mu": "y ~ x + (1 | g)", "log_scale": "~ 1"}, "y", [0]),
    "weibull": ("weibull", weibull, {"time": "time ~ x + (1 | g)", "sigma": "~ (1 | g)"}, "time", [0, 1]),
    "zip": ("zip", inflated, {"mean": "zeros ~ x + (1 | g)"}, "zeros", [0]),
    "choice": (choice, choice, {"b": "brand ~ x + (1 | g)", "c": "~ x + (1 | g)"}, "brand", [0, 1]),
    "ordered": ("ordered_logit", ordered, {"location": "level ~ x + (1 | g)"}, "level", [0]),
}


@pytest.mark.parametrize("name", list(CASES))
def test_estimates_and_errors_are_those_of_the_integrals_by_group(name):
    given, mine, formulas, response, varying = CASES[name]
    fit = rp.mle(given, formulas, DATA)
    assert fit.status.value == "converged" and fit.inputs["criterion"] == "ML (Laplace)"
    designs = [X[:, None], ONE, ONE] if name == "ordered" else [BOTH, BOTH if name == "choice" else ONE]
    with jax.enable_x64(True):
        extra = (DATA.event.to_numpy(),) if name == "weibull" else ()
        y = DATA[response].to_numpy(float)
        value, slope, bend = ByGroup(mine, y, designs, varying, extra).derivatives(
            np.concatenate([fit.params, fit.variances.estimate])
        )
    assert fit.llf == pytest.approx(value, abs=1e-9 * abs(value))
    cov = np.linalg.inv(-bend)
    assert np.sqrt(slope @ cov @ slope) < 1e-6  # standard errors from the maximum
    errors = np.concatenate([fit.bse, fit.variances.std_error])
    np.testing.assert_allclose(errors, np.sqrt(cov.diagonal()), rtol=1e-6)
    assert list(fit.variances.group) == ["g"] * len(varying)


# -- what rp.glm can do too ------------------------------------------------------------------------------------------


def negative_binomial(y, log_mean, log_theta):
    theta = jnp.exp(log_theta)
    total = gammaln(y + theta) - gammaln(theta) - gammaln(y + 1)
    return total + y * log_mean + theta * log_theta - (y + theta) * jnp.logaddexp(log_mean, log_theta)


def poisson(y, log_mean):
    return y * log_mean - jnp.exp(log_mean) - gammaln(y + 1)


def gamma(y, log_mean, log_shape):
    a = jnp.exp(log_shape)
    return a * (log_shape - log_mean) + (a - 1) * jnp.log(y) - a * y * jnp.exp(-log_mean) - gammaln(a)


def bernoulli(y, logit):
    return y * logit - jnp.logaddexp(0.0, logit)


@pytest.mark.parametrize(
    ("density", "family", "response", "criterion"),
    [
        (poisson, "poisson", "n", "ml"),
        (poisson, "poisson", "n", "reml"),
        (bernoulli, "binomial", "event", "reml"),
        (negative_binomial, "negative_binomial", "n", "ml"),
        (gamma, rp.families.Gamma(link="log"), "time", "ml"),
        (normal, "gaussian", "y", "ml"),
    ],
)
def test_what_glm_fits_too(density, family, response, criterion):
    terms = f"{response} ~ x + (1 + x | g)"
    other = rp.glm(terms, DATA, family=family, criterion=criterion)
    first = "mu" if density is normal else "logit" if density is bernoulli else "log_mean"
    more = {normal: "log_sigma", negative_binomial: "log_theta", gamma: "log_shape"}.get(density)
    fit = rp.mle(density, {first: terms} | ({more: "~ 1"} if more else {}), DATA, criterion=criterion)
    assert fit.llf == pytest.approx(other.llf, abs=1e-9 * abs(other.llf))
    assert np.abs((fit.params.to_numpy()[:2] - other.params) / other.bse).max() < 1e-7
    np.testing.assert_allclose(fit.bse.to_numpy()[:2], other.bse, rtol=1e-7)
    numbers, known = (one.variances[["estimate", "std_error", "lower", "upper"]].to_numpy()[:3] for one in (fit, other))
    np.testing.assert_allclose(numbers, known, rtol=1e-5)
    mine, its = (one.random_effects()[["mode", "conditional_sd", "sd"]] for one in (fit, other))
    np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-7)
    new = DATA.head(5)[["x", "g"]]
    np.testing.assert_allclose(
        fit.predict(new, se=True).to_numpy()[:, :2], other.predict(new, se=True, kind="link"), rtol=1e-6
    )
    assert fit.aic == pytest.approx(other.aic, rel=1e-9)


# -- what a Fit has --------------------------------------------------------------------------------------------------

FORMULAS = {"log_time": "time ~ x + (1 | g)", "log_sigma": "~ (1 | g)"}


@pytest.fixture(scope="module")
def fitted():
    return rp.mle("weibull", FORMULAS, DATA)


def test_names_tell_the_parameter(fitted):
    assert list(fitted.params.index) == ["log_time:Intercept", "log_time:x", "log_sigma:Intercept"]
    assert list(fitted.variances.term) == ["log_time:Intercept", "log_sigma:Intercept"]
    effects = fitted.random_effects()
    assert len(effects) == 2 * GROUPS and set(effects.term) == set(fitted.variances.term)
    assert "g: log_sigma:Intercept" in str(fitted.summary()) and "ML (Laplace)" in str(fitted.summary())


def test_predictions_by_level(fitted):
    new = DATA.head(4)[["x", "g"]]
    known, every = fitted.predict(new, se=True), fitted.predict(new, se=True, effects="population")
    effects = fitted.random_effects().set_index(["term", "level"])["mode"]
    for name in ("log_time", "log_sigma"):
        own = [effects[f"{name}:Intercept", level] for level in new.g]
        np.testing.assert_allclose(known[name] - every[name], own, rtol=1e-9)
    strange = new.assign(g="somebody")
    with pytest.raises(DataError, match="a level of 'g' that the fit did not have"):
        fitted.predict(strange)
    found = fitted.predict(strange, se=True, new_levels="population")
    np.testing.assert_allclose(found["log_time"], every["log_time"], rtol=1e-12)
    sd = fitted.variances.estimate[1]
    np.testing.assert_allclose(found["log_sigma_se"] ** 2, every["log_sigma_se"] ** 2 + sd**2, rtol=1e-9)
    pd.testing.assert_frame_equal(fitted.predict(DATA, se=True), fitted.predict(se=True))


def test_a_function_of_both_predictors_has_their_covariance(fitted):
    new = DATA.head(3)[["x", "g"]]
    both = fitted.predict(new, function=lambda m, s: m + 2 * s, se=True)
    apart = fitted.predict(new, se=True)
    sums = apart["log_time_se"] ** 2 + 4 * apart["log_sigma_se"] ** 2
    assert not np.allclose(both["se"] ** 2, sums, rtol=1e-3)  # they are correlated
    mean = fitted.predict(new, kind="response", se=True, interval="confidence")
    assert list(mean.columns) == ["fit", "se", "lower", "upper"] and (mean.se > 0).all()


def test_a_saved_fit_says_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    pd.testing.assert_frame_equal(loaded.variances, fitted.variances)
    pd.testing.assert_frame_equal(loaded.random_effects(), fitted.random_effects())
    pd.testing.assert_series_equal(loaded.bse, fitted.bse)
    assert loaded.llf == fitted.llf and loaded.aic == fitted.aic and str(loaded.summary()) == str(fitted.summary())
    new = DATA.head(6)
    for options in ({"se": True}, {"kind": "response", "se": True}, {"effects": "population"}):
        np.testing.assert_allclose(loaded.predict(new, **options), fitted.predict(new, **options), rtol=1e-9)
    assert loaded.formulas == fitted.formulas


def test_nested_fits_and_mixtures(fitted):
    smaller = rp.mle("weibull", FORMULAS | {"log_sigma": "~ 1"}, DATA)
    fixed = rp.mle("weibull", {"log_time": "time ~ x"}, DATA)
    assert fitted.lr_test(smaller).mixed == (0, 1) and smaller.lr_test(fixed).mixed == (0, 1)
    ratio = 2 * (fitted.llf - smaller.llf)
    assert fitted.lr_test(smaller).statistic == pytest.approx(ratio)
    assert list(rp.anova(fixed, smaller, fitted).df)[1:] == [1.0, 1.0]
    elsewhere = rp.mle("weibull", {"log_time": "time ~ x", "log_sigma": "~ (1 | g)"}, DATA)
    with pytest.raises(rp.ModelError, match="nested"):
        smaller.lr_test(elsewhere)
    with pytest.raises(rp.ModelError, match="same family"):
        fitted.lr_test(rp.mle("lognormal", FORMULAS | {"log_sigma": "~ 1"}, DATA))


def test_smooth_functions_of_two_parameters():
    fit = rp.mle(normal, {"mu": "y ~ s(x, k=6) + (1 | g)", "log_sigma": "~ s(z, k=5)"}, DATA)
    assert list(fit.smooths.term) == ["mu:s(x)", "log_sigma:s(z)"] and fit.inputs["criterion"] == "REML (Laplace)"
    assert 1.0 <= fit.smooths.edf[1] < 4.0 and fit.smooths.p_value[0] < 1e-6 < fit.smooths.p_value[1]
    curves, new = fit.smooth_curves(points=7), DATA.head(2).assign(x=[-1.0, 1.0], z=[0.2, 0.7])
    for (term, curve), name in zip(curves.groupby("term", sort=False), ("x", "z"), strict=True):
        parameter = term.partition(":")[0]
        ends = pd.concat([new] * 4, ignore_index=True).head(7).assign(**{name: curve["x"].to_numpy(), "g": "g00"})
        ends["z" if name == "x" else "x"] = 0.5
        values = fit.predict(ends, effects="population")[parameter].to_numpy()
        np.testing.assert_allclose(values - values[0], curve["fit"] - curve["fit"].iloc[0], atol=1e-10)
    assert 2.0 + fit.smooths.edf.sum() < fit.edf < 2.0 + fit.smooths.edf.sum() + GROUPS


def test_a_deviation_of_0_is_the_smaller_model():
    flat = DATA.assign(g=np.arange(N) % GROUPS)
    fit = rp.mle(normal, {"mu": "y ~ x + (1 | g)", "log_sigma": "~ (1 | g)"}, flat)
    zero = fit.variances.estimate == 0
    assert fit.status.value == "boundary" and zero.any() and fit.converged
    kept = {"mu": "y ~ x" if zero[0] else "y ~ x + (1 | g)", "log_sigma": "~ 1" if zero[1] else "~ (1 | g)"}
    smaller = rp.mle(normal, kept, flat)
    assert fit.llf == pytest.approx(smaller.llf, abs=1e-9)
    np.testing.assert_allclose(fit.params, smaller.params, rtol=1e-8)
    np.testing.assert_allclose(fit.bse, smaller.bse, rtol=1e-6)


def test_weights_are_copies_and_rows_have_no_order():
    times = RNG.integers(1, 3, N)
    formulas = {"mu": "y ~ x + (1 | g)", "log_sigma": "~ x"}
    fit = rp.mle(normal, formulas, DATA.assign(w=times), weights="w", weights_kind="frequency")
    copies = rp.mle(normal, formulas, DATA.loc[DATA.index.repeat(times)].sample(frac=1.0, random_state=1))
    assert fit.llf == pytest.approx(copies.llf, rel=1e-11)
    np.testing.assert_allclose(fit.params, copies.params, rtol=1e-7)
    np.testing.assert_allclose(fit.bse, copies.bse, rtol=1e-7)


@pytest.mark.parametrize("name", ["fittedvalues"])
def test_what_is_not_there_is_refused(fitted, name):
    with pytest.raises(RefusedName, match="not available"):
        member = getattr(fitted, name)
        member()


@pytest.mark.parametrize("term", ["s(x, z)", "te(x, z)"])
def test_a_named_density_has_surfaces(term):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 150))
    y = rng.gamma(3, np.exp(0.3 * np.sin(2 * x) + 0.2 * z) / 3)
    formulas = {"log_mean": f"y ~ {term}", "log_shape": "~ 1"}
    fit = rp.mle("gamma", formulas, {"y": y, "x": x, "z": z}, columns={"event": 1})
    assert fit.converged and list(fit.smooths.term) == [f"log_mean:{term}"]
    other = rp.glm(f"y ~ {term}", {"y": y, "x": x, "z": z}, family=rp.families.Gamma(link="log"))
    mean = np.exp(fit.predict({"x": x[:9], "z": z[:9]}, kind="link")["log_mean"])
    assert mean.to_numpy() == pytest.approx(other.predict({"x": x[:9], "z": z[:9]}).to_numpy(), rel=0.02)
