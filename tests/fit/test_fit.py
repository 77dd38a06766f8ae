"""What a Fit says of itself, from a handful of fits that the module shares."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import raphson as rp
from raphson.fit.uncertainty import NotPositiveDefinite, Uncertainty
from raphson.status import Status


@pytest.fixture(scope="module")
def logistic(births):
    return rp.glm("low ~ age + lwt + C(race) + smoke", births, family="binomial")


@pytest.fixture(scope="module")
def gamma(sample):
    return rp.glm(
        sample.positive, sample.X, family=rp.families.Gamma(link="log"), weights=sample.weights, offset=sample.offset
    )


@pytest.fixture(scope="module")
def levels(sample):
    return rp.glm(sample.category, sample.X, family="multinomial", names=["one", "x", "z"])


@pytest.fixture(scope="module")
def counts(sample):
    return rp.glm(sample.spread, sample.X, family="negative_binomial")


@pytest.fixture(params=["logistic", "linear", "gamma", "levels", "counts"])
def fit(request):
    return request.getfixturevalue(request.param)


# -- what holds for every fit ----------------------------------------------------------------------------------


def test_the_score_is_zero_to_rounding(fit):
    assert list(fit.score.index) == list(fit.names)
    assert np.abs(fit.score * fit.bse).max() < 1e-10


@pytest.mark.parametrize("kind", ["expected", "observed", "opg"])
def test_information_and_covariance_are_inverse(fit, kind):
    M = fit.information(kind)
    assert list(M.index) == list(M.columns) == list(fit.names)
    np.testing.assert_allclose(M, M.T, rtol=1e-10, atol=1e-10)
    if kind == "expected":
        np.testing.assert_allclose(M.to_numpy() @ fit.cov_params(), np.eye(len(M)), atol=1e-9)
        np.testing.assert_allclose(fit.bse, np.sqrt(np.diag(np.linalg.inv(M))), rtol=1e-9)


def test_an_unknown_information(fit):
    with pytest.raises(rp.ModelError, match="kind: expected one of expected"):
        fit.information("fisher")


def test_the_path_is_a_table(fit):
    path = fit.path
    assert path["iteration"].tolist() == list(range(fit.n_iter + 1))
    assert path["distance"].iloc[-1] == fit.distance < 1e-8
    assert path["llf"].is_monotonic_increasing or path["llf"].diff().min() > -1e-9
    assert (path["rows"] > 0).all() and np.isnan(path["step"].iloc[0])


def test_wald_statistics(fit):
    np.testing.assert_allclose(fit.tvalues, fit.params / fit.bse)
    df = fit.df_resid if fit.use_t else np.inf
    np.testing.assert_allclose(fit.pvalues, 2 * stats.t.sf(np.abs(fit.tvalues), df), rtol=1e-8)
    for level in (0.5, 0.95):
        interval = fit.conf_int(level)
        reach = stats.t.ppf(0.5 + level / 2, df)
        np.testing.assert_allclose(interval["lower"], fit.params - reach * fit.bse, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(interval["upper"], fit.params + reach * fit.bse, rtol=1e-9, atol=1e-12)


def test_tables(fit):
    tidy = fit.tidy(0.9)
    assert list(tidy) == ["term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
    assert tidy["term"].tolist() == list(fit.names)
    np.testing.assert_array_equal(tidy["conf_low"], fit.conf_int(0.9)["lower"])
    glance = fit.glance()
    assert len(glance) == 1 and glance["nobs"][0] == fit.nobs and glance["llf"][0] == fit.llf
    assert glance["df_null"][0] == fit.nobs - 1 * fit.family.n_predictors or fit.family.n_predictors > 1
    augmented = fit.augment()
    assert len(augmented) == fit.nobs
    assert ".fitted" in augmented or any(name.startswith(".fitted_") for name in augmented)
    assert fit.method in fit.summary().text and "<" in fit._repr_html_() and repr(fit) == fit.summary().text


def test_criteria(fit):
    n_params = len(fit.params) + (fit.use_t) + (fit.theta is not None)
    assert fit.aic == pytest.approx(-2 * fit.llf + 2 * n_params)
    assert fit.bic == pytest.approx(-2 * fit.llf + math.log(fit.nobs) * n_params)
    assert fit.df_resid == fit.nobs - len(fit.params)
    assert fit.deviance <= fit.null_deviance


def test_leverage_adds_up_to_the_parameters(fit):
    assert fit.leverage.sum() == pytest.approx(len(fit.params), rel=1e-9)
    if fit.family.n_predictors == 1:
        assert fit.leverage.between(0, 1).all()


def test_level_out_of_range(fit):
    with pytest.raises(rp.ModelError, match=r"level: expected a number between 0 and 1.*0\.95"):
        fit.conf_int(95)


# -- likelihoods -----------------------------------------------------------------------------------------------


def test_log_likelihood_of_each_family(sample, logistic, births, linear, gamma, counts):
    p = logistic.fittedvalues
    assert logistic.llf == pytest.approx(stats.bernoulli.logpmf(births["low"], p).sum(), rel=1e-12)
    sd = math.sqrt(linear.rss / sample.n)
    assert linear.llf == pytest.approx(stats.norm.logpdf(sample.normal, linear.fittedvalues, sd).sum(), rel=1e-12)
    size, mu = counts.theta, counts.fittedvalues
    expected = stats.nbinom.logpmf(sample.spread, size, size / (size + mu)).sum()
    assert counts.llf == pytest.approx(expected, rel=1e-11)

    # A Gamma with precision weights has the shape w/φ, at the φ that maximises it.
    def negative(log_phi):
        shape = sample.weights / math.exp(log_phi)
        return -stats.gamma.logpdf(sample.positive, shape, scale=gamma.fittedvalues / shape).sum()

    best = optimize.minimize_scalar(negative, bounds=(-4, 2), method="bounded", options={"xatol": 1e-10})
    assert gamma.llf == pytest.approx(-best.fun, rel=1e-10)


def test_dispersion_rules(sample, gamma):
    def fit(rule):
        return rp.glm(
            sample.positive,
            sample.X,
            family=rp.families.Gamma(link="log"),
            weights=sample.weights,
            offset=sample.offset,
            dispersion=rule,
        )

    pearson = (gamma.residuals("pearson") ** 2).sum() / gamma.df_resid
    assert gamma.dispersion == pytest.approx(pearson, rel=1e-10)
    assert fit("pearson").dispersion == gamma.dispersion
    assert fit("deviance").dispersion == pytest.approx(gamma.deviance / gamma.df_resid)
    ml = fit("ml").dispersion
    assert ml != gamma.dispersion
    fixed = fit(0.5)
    assert fixed.dispersion == 0.5 and not fixed.use_t
    # The estimates stay; standard errors go with √φ, and a known dispersion is no parameter.
    np.testing.assert_allclose(fixed.params, gamma.params, rtol=1e-12)
    np.testing.assert_allclose(fixed.bse / math.sqrt(0.5), gamma.bse / math.sqrt(gamma.dispersion), rtol=1e-10)
    assert fixed.aic == pytest.approx(-2 * fixed.llf + 2 * 3)
    assert fixed.pvalues.to_numpy() == pytest.approx(2 * stats.norm.sf(np.abs(fixed.tvalues)))
    # The sandwich has no dispersion factor.
    np.testing.assert_allclose(fixed.robust("HC0").bse, gamma.robust("HC0").bse, rtol=1e-12)


def test_quasi_families(sample):
    quasi = rp.glm(sample.spread, sample.X, family="quasipoisson")
    plain = rp.glm(sample.spread, sample.X, family="poisson")
    np.testing.assert_allclose(quasi.params, plain.params, rtol=1e-12)
    np.testing.assert_allclose(quasi.bse, plain.bse * math.sqrt(quasi.dispersion), rtol=1e-10)
    assert math.isnan(quasi.llf) and math.isnan(quasi.aic) and math.isnan(quasi.bic) and quasi.use_t
    assert quasi.dispersion == pytest.approx((plain.residuals("pearson") ** 2).sum() / plain.df_resid)


def test_precision_weights_of_a_linear_model(sample):
    fit = rp.glm(sample.normal, sample.X, weights=sample.weights)
    A = np.sqrt(sample.weights)[:, None] * sample.X
    theta, rss = np.linalg.lstsq(A, np.sqrt(sample.weights) * sample.normal, rcond=None)[:2]
    np.testing.assert_allclose(fit.params, theta, rtol=1e-11)
    assert fit.rss == pytest.approx(rss[0]) and fit.dispersion == pytest.approx(rss[0] / 57)
    np.testing.assert_allclose(fit.cov_params(), rss[0] / 57 * np.linalg.inv(A.T @ A), rtol=1e-9)
    sd = np.sqrt(rss[0] / 60 / sample.weights)
    assert fit.llf == pytest.approx(stats.norm.logpdf(sample.normal, fit.fittedvalues, sd).sum(), rel=1e-12)
    assert fit.residual_sd == pytest.approx(math.sqrt(rss[0] / 57))


def test_sampling_weights_do_not_care_for_their_unit(sample):
    one = rp.glm(sample.count, sample.X, family="poisson", weights=sample.weights, weights_kind="sampling")
    two = rp.glm(sample.count, sample.X, family="poisson", weights=7 * sample.weights, weights_kind="sampling")
    assert one.cov_kind == "HC0"
    np.testing.assert_allclose(one.params, two.params, rtol=1e-10)
    np.testing.assert_allclose(one.bse, two.bse, rtol=1e-9)


# -- covariances -----------------------------------------------------------------------------------------------


def test_sandwiches_of_a_linear_model(sample, linear):
    X, e = sample.X, linear.residuals("response").to_numpy()
    bread = np.linalg.inv(X.T @ X)
    h = np.einsum("ij,jk,ik->i", X, bread, X)
    n, p = X.shape
    for kind, omega in (
        ("HC0", e**2),
        ("HC1", e**2 * n / (n - p)),
        ("HC2", e**2 / (1 - h)),
        ("HC3", e**2 / (1 - h) ** 2),
    ):
        V = bread @ (X.T * omega) @ X @ bread
        np.testing.assert_allclose(linear.robust(kind).cov_params(), V, rtol=1e-10)
        np.testing.assert_allclose(rp.glm(sample.normal, X, cov=kind).bse, np.sqrt(np.diag(V)), rtol=1e-10)
    G = pd.DataFrame(X * e[:, None]).groupby(sample.group).sum().to_numpy()
    g = len(G)
    V = bread @ G.T @ G @ bread * g / (g - 1) * (n - 1) / (n - p)
    np.testing.assert_allclose(linear.robust("cluster", groups=sample.group).cov_params(), V, rtol=1e-10)
    np.testing.assert_allclose(rp.glm(sample.normal, X, groups=sample.group).bse, np.sqrt(np.diag(V)), rtol=1e-10)


def test_robust_changes_the_covariance_and_nothing_else(logistic):
    before = logistic.bse.copy()
    robust = logistic.robust("HC3")
    assert robust.cov_kind == "HC3" and not np.allclose(robust.bse, before)
    pd.testing.assert_series_equal(logistic.bse, before)
    pd.testing.assert_series_equal(robust.params, logistic.params)
    np.testing.assert_allclose(robust.tvalues, robust.params / robust.bse)
    np.testing.assert_allclose(robust.robust("model").bse, before)
    # The certificate speaks of the maximum, not of the covariance.
    pd.testing.assert_series_equal(robust.digits, logistic.digits)


def test_every_row_its_own_cluster_is_hc0(logistic):
    n, p = logistic.nobs, len(logistic.params)
    cluster = logistic.robust("cluster", groups=np.arange(int(n)))
    factor = n / (n - 1) * (n - 1) / (n - p)
    np.testing.assert_allclose(cluster.cov_params(), factor * logistic.robust("HC0").cov_params(), rtol=1e-10)


def test_robust_refuses(logistic):
    with pytest.raises(rp.ModelError, match="cov: expected one of model, HC0"):
        logistic.robust("HC9")
    with pytest.raises(rp.ModelError, match="groups"):
        logistic.robust("cluster")
    with pytest.raises(rp.DataError, match="groups: expected a cluster for each of 189"):
        logistic.robust("cluster", groups=[1, 2])
    for absent in (np.nan, None):
        with pytest.raises(rp.DataError, match="missing for 2 of 189 rows, the first of them row 0 of those"):
            logistic.robust("cluster", groups=[absent, absent, *(f"g{i % 20}" for i in range(187))])
    numbers = np.r_[np.nan, np.arange(188) % 20]
    with pytest.raises(rp.DataError, match=r"groups: .* missing for 1 of 189 rows"):
        logistic.robust("cluster", groups=numbers)


# -- penalty ---------------------------------------------------------------------------------------------------


def test_a_ridge_is_zero_where_its_own_gradient_is(sample):
    P = np.diag([0.0, 2.0, 3.0])
    fit = rp.glm(sample.count, sample.X, family="poisson", penalty=P)
    theta, mu = fit.params.to_numpy(), fit.fittedvalues.to_numpy()
    F = (sample.X.T * mu) @ sample.X
    assert np.abs(sample.X.T @ (sample.count - mu) - P @ theta).max() < 1e-9
    inverse = np.linalg.inv(F + P)
    np.testing.assert_allclose(fit.cov_params(), inverse @ F @ inverse, rtol=1e-9)
    df = np.trace(inverse @ F)
    assert fit.df_resid == pytest.approx(60 - df, rel=1e-10) and fit.df_model == pytest.approx(df - 1, rel=1e-10)
    assert fit.leverage.sum() == pytest.approx(df)
    # llf is that of the data, without the penalty.
    assert fit.llf == pytest.approx(stats.poisson.logpmf(sample.count, mu).sum(), rel=1e-12)


def test_a_ridge_of_a_linear_model_in_closed_form(sample):
    fit = rp.glm("y ~ x + z", {"y": sample.normal, "x": sample.x, "z": sample.z}, penalty=5.0)
    P = np.diag([0.0, 5.0, 5.0])
    expected = np.linalg.solve(sample.X.T @ sample.X + P, sample.X.T @ sample.normal)
    np.testing.assert_allclose(fit.params, expected, rtol=1e-11)
    assert fit.dispersion == pytest.approx(fit.rss / fit.df_resid)


def test_a_ridge_of_counts_with_theta_estimated(sample):
    frame = {"y": sample.spread, "x": sample.x, "z": sample.z}
    fit = rp.glm("y ~ x + z", frame, family="nb", penalty=4.0)
    plain = rp.glm("y ~ x + z", frame, family="nb")
    assert fit.converged and np.abs(fit.params[1:]).sum() < np.abs(plain.params[1:]).sum()
    mu = fit.fittedvalues
    gradient = sample.X.T @ ((sample.spread - mu) / (1 + mu / fit.theta)) - 4.0 * np.array([0, *fit.params[1:]])
    assert np.abs(gradient).max() < 1e-8
    assert 1 < fit.nobs - fit.df_resid < 3


def test_a_tiny_ridge_changes_next_to_nothing(sample, linear):
    fit = rp.glm(sample.normal, sample.X, penalty=1e-9)
    np.testing.assert_allclose(fit.params, linear.params, rtol=1e-8)
    assert fit.df_resid == pytest.approx(57, abs=1e-6)


# -- negative binomial -----------------------------------------------------------------------------------------


def test_theta_is_where_the_profile_is_flat(sample, counts):
    assert counts.family.theta == pytest.approx(counts.theta)

    def profile(theta):
        return rp.glm(sample.spread, sample.X, family=rp.families.NegativeBinomial(theta=theta)).llf

    # To second order the profile falls by half a squared standard error.
    h = 1e-3 * counts.theta_se
    drop = 2 * counts.llf - profile(counts.theta + h) - profile(counts.theta - h)
    assert drop == pytest.approx((h / counts.theta_se) ** 2, rel=1e-3)
    assert profile(counts.theta) == pytest.approx(counts.llf, rel=1e-12)


def test_theta_of_other_families(logistic, sample):
    assert logistic.theta is None and logistic.theta_se is None
    known = rp.glm(sample.spread, sample.X, family=rp.families.NegativeBinomial(theta=2.5))
    assert known.theta == 2.5 and known.theta_se is None


# -- rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["deviance", "pearson", "response", "working", "quantile"])
def test_residuals_of_every_kind(logistic, linear, gamma, counts, kind):
    for fit in (logistic, linear, gamma, counts):
        residuals = fit.residuals(kind)
        assert len(residuals) == fit.nobs and np.isfinite(residuals).all()
        assert residuals.index.equals(fit.fittedvalues.index)


def test_residuals_by_hand(sample, gamma):
    y, mu, w = sample.positive, gamma.fittedvalues, sample.weights
    np.testing.assert_allclose(gamma.residuals("response"), y - mu, rtol=1e-12)
    np.testing.assert_allclose(gamma.residuals("pearson"), np.sqrt(w) * (y - mu) / mu, rtol=1e-10)
    np.testing.assert_allclose(gamma.residuals("working"), (y - mu) / mu, rtol=1e-10)
    deviance = gamma.residuals("deviance")
    np.testing.assert_array_equal(np.sign(deviance), np.sign(y - mu))
    assert (deviance**2).sum() == pytest.approx(gamma.deviance, rel=1e-10)
    p = stats.gamma.cdf(y, w / gamma.dispersion, scale=mu * gamma.dispersion / w)
    np.testing.assert_allclose(gamma.residuals("quantile"), special.ndtri(p), rtol=1e-7, atol=1e-9)


def test_quantile_residuals_follow_their_seed(logistic):
    one, two = logistic.residuals("quantile", seed=1), logistic.residuals("quantile", seed=1)
    pd.testing.assert_series_equal(one, two)
    assert not one.equals(logistic.residuals("quantile", seed=2))
    assert abs(one.mean()) < 0.25 and 0.8 < one.std() < 1.2


def test_unknown_residuals(logistic, levels):
    with pytest.raises(rp.ModelError, match="kind: expected one of deviance"):
        logistic.residuals("raw")
    with pytest.raises(rp.ModelError, match="no single residual"):
        levels.residuals()


def test_deletion_of_a_row_of_a_linear_model(sample, linear):
    # One step is exact for a linear model: what a fit without the row gives.
    for i in (0, 17):
        rest = np.arange(60) != i
        without = rp.glm(sample.normal[rest], sample.X[rest])
        gap = linear.params.to_numpy() - without.params.to_numpy()
        M = sample.X.T @ sample.X
        assert linear.cooks_distance[i] == pytest.approx(gap @ M @ gap / (3 * linear.dispersion), rel=1e-8)
        scale = np.sqrt(without.dispersion * np.diag(np.linalg.inv(M)))
        np.testing.assert_allclose(linear.dfbetas.loc[i], gap / scale, rtol=1e-8)
        h = linear.leverage[i]
        standardised = linear.residuals()[i] / math.sqrt(linear.dispersion * (1 - h))
        assert linear.augment()[".std_resid"][i] == pytest.approx(standardised)


def test_cooks_distance_of_a_logistic_model(logistic, births):
    h, r = logistic.leverage, logistic.residuals("pearson")
    np.testing.assert_allclose(logistic.cooks_distance, (r / (1 - h)) ** 2 * h / 6, rtol=1e-9)
    assert logistic.dfbetas.shape == (189, 6) and list(logistic.dfbetas) == list(logistic.names)


def test_rows_stay_aligned_after_some_were_dropped(births):
    broken = births.set_index(pd.Index([f"mother {i}" for i in range(189)]))
    broken["age"] = broken["age"].astype(float)
    broken.loc[["mother 3", "mother 100"], "age"] = np.nan
    with pytest.warns(rp.MissingDataWarning, match="2 of 189"):
        fit = rp.glm("low ~ age + lwt", broken, family="binomial")
    kept = broken.drop(["mother 3", "mother 100"])
    for rows in (fit.fittedvalues, fit.residuals(), fit.leverage, fit.cooks_distance, fit.dfbetas, fit.predict()):
        assert rows.index.equals(kept.index)
    augmented = fit.augment()
    pd.testing.assert_frame_equal(augmented[list(kept)], kept, check_dtype=False)
    assert {".fitted", ".resid", ".std_resid", ".hat", ".cooksd"} <= set(augmented)
    same = rp.glm("low ~ age + lwt", kept, family="binomial")
    pd.testing.assert_series_equal(fit.fittedvalues, same.fittedvalues)
    np.testing.assert_allclose(augmented[".fitted"], same.fittedvalues)
    groups = np.arange(189) % 20
    np.testing.assert_allclose(
        fit.robust("cluster", groups=groups).bse,
        same.robust("cluster", groups=np.delete(groups, [3, 100])).bse,
        rtol=1e-10,
    )


def test_augment_of_arrays(linear, sample):
    frame = linear.augment()
    assert list(frame)[:4] == ["y", "one", "x", "z"]
    np.testing.assert_array_equal(frame["x"], sample.x)


def test_augment_of_levels(levels):
    frame = levels.augment()
    np.testing.assert_allclose(frame[[".fitted_0", ".fitted_1", ".fitted_2"]].sum(axis=1), 1.0)


# -- update ----------------------------------------------------------------------------------------------------


def test_update(logistic, births):
    smaller = logistic.update(". ~ . - smoke")
    assert "smoke" not in smaller.names and smaller.family.name == "binomial"
    direct = rp.glm("low ~ age + lwt + C(race)", births, family="binomial")
    np.testing.assert_allclose(smaller.params, direct.params, rtol=1e-10)
    larger = logistic.update("~ . + ht")
    assert larger.names == (*logistic.names, "ht") and larger.llf > logistic.llf
    assert logistic.update("low ~ age").names == ("Intercept", "age")
    assert logistic.update("smoke ~ age + lwt").formula == "smoke ~ age + lwt"


def test_an_update_that_begins_with_a_sign_changes_what_was_there(births):
    fit = rp.glm("low ~ age + lwt", births, family="binomial")
    assert fit.update("- age").names == ("Intercept", "lwt")
    assert fit.update(" + smoke + ht - lwt").names == ("Intercept", "age", "smoke", "ht")
    assert fit.update("-1").names == ("age", "lwt")
    curve = rp.nls("y ~ a*x", {"x": [1.0, 2, 3, 4], "y": [3.1, 4.9, 7.2, 8.8]}).update("+ c")
    # Least squares: the slope is the sum of (x - 2.5) y, 9.7, over that of its squares, 5.
    np.testing.assert_allclose(curve.params["a"], 9.7 / 5, rtol=1e-10)


def test_update_keeps_the_options(births):
    fit = rp.glm("low ~ age", births, family="binomial", method="irls", cov="HC1", offset="lwt / 200")
    more = fit.update(". ~ . + smoke")
    assert (more.method, more.cov_kind) == ("irls", "HC1")
    direct = rp.glm("low ~ age + smoke", births, family="binomial", offset="lwt / 200")
    np.testing.assert_allclose(more.params, direct.params, rtol=1e-10)


def test_only_a_formula_can_be_updated(linear):
    with pytest.raises(rp.ModelError, match="update: expected a fit made from a formula"):
        linear.update(". ~ . + x")


# -- intercepts, nulls -----------------------------------------------------------------------------------------


def test_degrees_of_freedom_exclude_the_intercept(sample, linear, levels):
    assert linear.df_model == 2 and levels.df_model == 4
    assert rp.glm(sample.normal, sample.X[:, 1:]).df_model == 2


def test_the_null_deviance(sample, linear, counts):
    assert linear.null_deviance == pytest.approx(np.sum((sample.normal - sample.normal.mean()) ** 2))
    without = rp.glm(sample.normal, sample.X[:, 1:])
    assert without.null_deviance == pytest.approx(np.sum(sample.normal**2))
    # At the θ of the fit, as R has it
    family = rp.families.NegativeBinomial(theta=counts.theta)
    null = rp.glm(sample.spread, sample.X[:, :1], family=family)
    assert counts.null_deviance == pytest.approx(null.deviance, rel=1e-10)


def test_the_certificate(logistic):
    assert logistic.status is Status.CONVERGED and logistic.converged and "maximum" in logistic.message
    assert logistic.digits.min() > 12 and logistic.digits.max() <= 16


def test_a_looser_tolerance_is_certified_by_what_was_reached(births):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rough = rp.glm("low ~ age + lwt", births, family="binomial", max_iter=2)
    fine = rp.glm("low ~ age + lwt", births, family="binomial")
    error = np.abs(rough.params / fine.params - 1)
    assert (error <= 1.5 * 10.0**-rough.digits).all() and rough.digits.max() < 8
    assert np.abs((rough.params - fine.params) / fine.bse).max() <= 1.1 * rough.distance


def test_plots_need_nothing_else(logistic):
    import matplotlib.axes

    assert isinstance(logistic.plot_path(), matplotlib.axes.Axes)


def test_a_report_is_written(logistic, tmp_path):
    logistic.report(tmp_path / "fit.html")
    assert "smoke" in (tmp_path / "fit.html").read_text(encoding="utf-8")


def test_the_factor_of_clusters_is_the_users_choice():
    births = rp.datasets.load("births")
    fit = rp.glm("low ~ age + lwt", births, family="binomial", groups="ftv")
    n, p, G = 189, 3, births["ftv"].nunique()
    plain = rp.glm("low ~ age + lwt", births, family="binomial", groups="ftv", small_sample=None)
    np.testing.assert_allclose(fit.bse, plain.bse * np.sqrt(G / (G - 1) * (n - 1) / (n - p)))
    np.testing.assert_allclose(fit.robust("cluster", small_sample="clusters").bse, plain.bse * np.sqrt(G / (G - 1)))
    assert plain.update(". ~ . - age").small_sample is None
    with pytest.raises(rp.ModelError, match="small_sample: expected one of full, clusters or None; got 'hc1'"):
        fit.robust("cluster", small_sample="hc1")
    with pytest.raises(rp.ModelError, match="small_sample: only cov='cluster' has this option"):
        rp.glm("low ~ age", births, family="binomial", cov="HC1", small_sample="clusters")


def test_a_fit_saved_before_it_said_what_it_was_given_still_loads(tmp_path):
    import json

    from raphson.fit import file

    fit = rp.glm("low ~ age", rp.datasets.load("births"), family="binomial")
    fit.save(tmp_path / "fit.json")
    document = json.loads((tmp_path / "fit.json").read_text())
    for name in ("inputs", "small_sample"):
        del document["fit"][name]
    document["sha256"] = file._digest(document["fit"])
    (tmp_path / "fit.json").write_text(json.dumps(document))
    assert str(rp.load(tmp_path / "fit.json").summary()) == str(fit.summary())


def test_an_information_without_a_covariance_gives_nan_and_a_warning(monkeypatch):
    def refuse(self, kind, dispersion):
        raise NotPositiveDefinite("information: it is not positive definite")

    fit = rp.glm("y ~ x", {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 3.0]})
    monkeypatch.setattr(Uncertainty, "model_based", refuse)
    with pytest.warns(rp.RankWarning, match="standard errors are NaN: information: it is not positive definite"):
        assert fit.bse.isna().all()
    assert fit.predict({"x": [1.0]}, se=True)["se"].isna().all()
