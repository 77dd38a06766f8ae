"""Names that people bring from other packages, and what they are called here: the one table of them.

They were collected from statsmodels, R (stats, MASS, nlme, broom, marginaleffects), scipy.optimize, lmfit and
scikit-learn. An error for an unknown name asks :func:`hint` for the end of its message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache

_FIT = {
    "fit.residuals(kind='deviance')": "resid resids residual resid_deviance wresid resid_dev residuals_",
    "fit.residuals(kind='pearson')": "resid_pearson pearson_residuals",
    "fit.residuals(kind='response')": "resid_response raw_residuals",
    "fit.residuals(kind='working')": "resid_working",
    "fit.residuals(kind='quantile')": "resid_quantile qresid quantile_residuals simulated_residuals",
    "fit.params": "coef coef_ coefs coefficients beta betas estimate estimates estimates_ popt best_values x fixef "
    "params_ fe_params values valuesdict theta_hat",
    "fit.params['Intercept']": "intercept intercept_ const",
    "fit.bse": "se ses stderr stderror std_err std_errs std_error std_errors standard_error standard_errors perr "
    "uvars hc0_se hc1_se hc2_se hc3_se cov_bse",
    "fit.cov_params()": "vcov cov covar pcov covariance cov_x covariance_matrix normalized_cov_params "
    "cov_params_default hess_inv",
    "fit.pvalues": "pvalue p_value p_values pval pvals p",
    "fit.tvalues": "tvalue t_values tstat tstats zvalues zvalue z zscore zstat t t_stat",
    "fit.conf_int()": "confint ci cis conf_interval confidence_interval confidence_intervals conf_intervals "
    "ci_report intervals params_ci",
    "fit.llf": "loglik loglike log_lik log_likelihood loglikelihood llfs ll lnl maximum",
    "fit.aic": "aicc caic",
    "fit.bic": "bic_llf bic_deviance sbc",
    "1 - fit.deviance/fit.null_deviance, the share of the deviance that is explained": "rsquared rsquared_adj r2 "
    "r_squared rsq r2_score adj_r2 adj_r_squared adjusted_r_squared prsquared pseudo_r2 pseudo_rsquared mcfadden d2 "
    "deviance_explained dev_expl",
    "fit.fittedvalues": "fitted fitted_values mu yhat y_hat best_fit fittedvalue fitted_ predictions mean",
    "fit.predict(new)": "forecast eval predict_new yhat_new predicted",
    "fit.predict(new, kind='link')": "predict_linear linear_predictor eta decision_function linear_predictors",
    "fit.predict(new), the probabilities of a binomial or multinomial response": "predict_proba predict_prob "
    "probabilities",
    "fit.predict(new, interval='confidence'), or 'prediction'": "get_prediction eval_uncertainty predict_interval "
    "prediction_interval predict_ci",
    "fit.rss": "ssr rss_ sse chisqr residual_sum_of_squares",
    "fit.dispersion": "scale sigma2 phi redchi mse_resid mse reduced_chi_square s2",
    "fit.residual_sd of a curve, or np.sqrt(fit.dispersion)": "sigma rse rmse residual_standard_error ser s",
    "fit.df_resid": "df df_residual nfree ddf df_residuals",
    "fit.df_model": "model_df",
    "fit.null_deviance": "dev_null deviance_null tss centered_tss uncentered_tss",
    "fit.deviance": "dev deviance_ residual_deviance",
    "fit.nobs": "n n_obs ndata n_observations n_samples nobs_",
    "fit.n_iter": "iterations nit n_iter_ nfev n_iterations iter iters niter nit_",
    "fit.converged, and fit.message": "success ier mle_retvals is_converged errorbars",
    "fit.status and fit.message": "mesg",
    "fit.path": "fit_history convergence_history trace history_ steps",
    "fit.score": "gradient jac grad g",
    "fit.information('observed')": "hessian hess observed_information fisher_information",
    "fit.deviance and fit.df_resid": "pearson_chi2 goodness_of_fit gof chi2",
    "fit.drop1(), or rp.anova(smaller, fit)": "wald_test_terms anova anova_lm terms anova_table compare_f_test "
    "compare_lr_test fvalue f_pvalue fstatistic f_statistic llr llr_pvalue lr lrt likelihood_ratio llnull",
    "fit.wald_test(constraint)": "f_test f wald linear_hypothesis linearhypothesis",
    "fit.delta(function)": "nlcom delta_method deltamethod",
    "fit.robust(cov='HC3')": "cov_type get_robustcov_results robust_se robust_cov vcovhc cov_hc0 cov_hc1 cov_hc2 "
    "cov_hc3 hc0 hc1 hc2 hc3 sandwich use_robust",
    "fit.leverage": "hat hatvalues hat_values hat_matrix_diag leverages hii",
    "fit.cooks_distance": "cooks cooks_d cook cooksd cooks_distances",
    "fit.leverage, fit.cooks_distance, fit.dfbetas, or fit.augment()": "get_influence influence outlier_test "
    "influence_measures rstandard rstudent dffits",
    "np.exp(fit.params) and np.exp(fit.conf_int())": "odds_ratio odds_ratios exp_params hazard_ratio hazard_ratios "
    "rate_ratios incidence_rate_ratios irr",
    "fit.summary()": "fit_report summary2 params_table report_fit display summary_frame summary_table pretty_print",
    "fit.summary().to_markdown(), to_latex() or to_great_tables()": "to_markdown to_latex to_great_tables as_latex "
    "as_text stargazer modelsummary",
    "fit.tidy()": "to_dataframe to_frame to_pandas table coefficient_table coef_table as_dataframe get_table",
    "fit.glance()": "info stats statistics",
    "fit.save(path)": "pickle to_pickle to_json dump remove_data save_model dumps",
    "fit.report(path)": "to_html html as_html",
    "fit.names": "param_names exog_names var_names feature_names feature_names_in_ coef_names term_names columns "
    "xnames",
    "fit.check()": "diagnostics plot_diagnostics check_model dharma diagnose",
    "fit.plot()": "plot_fit plot_coefficients plot_coef coefplot plot_ci",
    "fit.plot_residuals()": "plot_resid residplot",
    "fit.profile(name)": "conf_interval2d confint2d plot_likelihood",
    "fit.bootstrap(n, seed)": "boot resample",
    "fit.update(formula)": "refit fit",
    "fit.to_inferencedata()": "to_arviz to_idata posterior inferencedata to_datatree idata",
    "fit.variances": "varcorr var_corr vcomp variance_components cov_re random_variance re_sd get_me theta_",
    "fit.random_effects()": "ranef random_effect blup blups re modes coef_random",
    "fit.status == 'boundary'": "issingular is_singular",
    "fit.smooths": "s_table smooth_terms edfs",
    "fit.smooths, whose lambda is the factor of each penalty": "gcv gcv_ubre sp smoothing_parameters",
    "fit.check(), and edf against k in fit.smooths": "gam_check k_check kcheck gamcheck",
    "fit.icc()": "intraclass intraclass_correlation vpc",
    "fit.r2_marginal and fit.r2_conditional": "r_squared_glmm rsquaredglmm r2_glmm r2_nakagawa",
    "fit.plot_effects(name)": "effects ggpredict ggeffects effect alleffects",
    "fit.theta": "alpha lnalpha",
    "fit.formula": "model formula_ call model_formula",
}

_PACKAGE = {
    "rp.glm('y ~ x', data), the normal family": "ols lm linear linear_model linearregression linear_regression "
    "regress fastlm feols linear_regressor statsmodels regression",
    "rp.glm('y ~ x', data, weights='w')": "wls gls weighted_least_squares",
    "rp.glm('y ~ x', data, family='binomial')": "logit logistic logistic_regression logisticregression binomial "
    "binomial_glm",
    "rp.glm('y ~ x', data, family=rp.families.Binomial(link='probit'))": "probit cloglog",
    "rp.glm('y ~ x', data, family='poisson')": "poisson poissonregressor poisson_regression fepois glm_poisson",
    "rp.glm('y ~ x', data, family='negative_binomial')": "negativebinomial negative_binomial negbin nb glm_nb nbreg",
    "rp.glm('y ~ x', data, family='gamma')": "gamma gammaregressor",
    "rp.glm('y ~ x', data, family='multinomial')": "mnlogit multinom mlogit multinomial softmax",
    "rp.glm('y ~ x', data, family='tweedie(1.5)')": "tweedie tweedieregressor",
    "rp.glm('y ~ x', data, penalty=1.0)": "ridge elastic_net glmnet ridge_regression lasso",
    "rp.glm('y ~ x', data, family=...)": "genmod generalized_linear_model generalizedlinearregressor from_formula "
    "formula",
    "rp.glm('y ~ x + (1 | g)', data)": "mixedlm lmer lme lme4 glmer mixed mixed_lm glmm lmm",
    "rp.glm('y ~ s(x)', data)": "gam pygam bam smooth spline splines",
    "rp.glm('y ~ x', data, cov='cluster', groups='g')": "gee gees",
    "rp.nls(curve, data, start=...)": "curve_fit curvefit nlsfit nlslm nonlinear_least_squares leastsq least_squares "
    "lsq model parameters levenberg_marquardt drc drm four_parameter_logistic odr gnls minpack lmfit",
    "rp.mle(loglik, data, start=...), or rp.nls for a curve": "optimize minimize maximize optim maximum_likelihood "
    "genericlikelihoodmodel ml likelihood minimizer fit_model maxlik bbmle optimizer minimise maximise",
    "rp.mle('tobit', 'y ~ x', data)": "tobit censored",
    "rp.mle('zero_inflated_poisson', 'y ~ x', data)": "zip zeroinfl zeroinflatedpoisson zero_inflated_poisson",
    "rp.mle('hurdle_poisson', 'y ~ x', data)": "hurdle",
    "rp.mle('beta', 'y ~ x', data)": "betareg beta betamodel",
    "rp.mle('student_t', 'y ~ x', data), or rp.nls(..., loss='huber')": "rlm robust huber student_t",
    "rp.mle('ordered_logit', 'y ~ x', data)": "polr orderedmodel ordered_logit ologit clm ordinal oprobit ordered "
    "ordered_model",
    "rp.mle('weibull', 'time ~ x', data), of parametric survival times": "survreg coxph phreg survival cox weibull aft",
    "rp.network('y ~ .', data, hidden=(64,))": "nn mlp mlpregressor mlpclassifier neural_network sequential dnn net",
    "rp.families": "family distributions",
    "rp.families.links": "links link",
    "rp.densities": "distribution density stats",
    "rp.read(path)": "read_csv read_parquet read_table open read_excel from_csv",
    "rp.datasets.load(name)": "load_dataset dataset get_rdataset data load_data fetch",
    "rp.autodiff": "grad gradient jacobian hessian hvp derivative approx_fprime check_grad autograd jit",
    "a formula, which has an intercept: rp.glm('y ~ x', data)": "add_constant dmatrices dmatrix model_matrix",
    "fit.predict(new)": "predict fitted",
    "fit.params": "coef coefficients params",
    "fit.conf_int()": "confint conf_int",
    "fit.cov_params()": "vcov",
    "fit.aic": "aic",
    "fit.bic": "bic",
    "fit.llf": "loglik log_likelihood",
    "fit.summary()": "summary",
    "fit.residuals()": "resid residuals",
    "fit.plot()": "plot",
    "fit.tidy()": "tidy",
    "fit.glance()": "glance",
    "fit.augment()": "augment",
    "fit.bootstrap(n, seed)": "bootstrap boot",
    "fit.check()": "check check_model diagnostics dharma",
    "fit.report(path)": "report",
    "fit.update(formula)": "update",
    "fit.profile(name)": "profile",
    "rp.anova(smaller, larger)": "lrtest lr_test likelihood_ratio_test waldtest anova_lm",
    "rp.simulate_coverage": "simulate coverage",
    "rp.execute": "parallel threads processes executor cluster",
}

_FAMILY = {
    "family='binomial'": "logistic logit bernouli binary binom log_reg logistic_regression classification",
    "family=rp.families.Binomial(link='probit')": "probit",
    "family=rp.families.Binomial(link='cloglog')": "cloglog",
    "family='gaussian'": "ols lm linear identity least_squares gauss regression mse",
    "family='poisson'": "count counts pois log_linear loglinear",
    "family='negative_binomial'": "nbinom nb2 negative_binom nbinom2 nbin negativ_binomial neg_binomial",
    "family='gamma'": "exponential",
    "family='inverse_gaussian'": "wald ig invgauss inv_gaussian",
    "family='multinomial'": "categorical softmax multiclass mnlogit multinom",
    "family='quasipoisson' or 'quasibinomial'": "quasi quasi_likelihood overdispersed",
    "family='tweedie(1.5)'": "compound_poisson",
    "rp.mle('beta', formula, data)": "beta betar",
    "rp.mle('beta_binomial', formula, data)": "beta_binomial betabinomial",
    "rp.mle('student_t', formula, data)": "student student_t t",
    "rp.mle('weibull', formula, data)": "weibull survival aft",
    "rp.mle('lognormal', formula, data)": "lognormal log_normal",
    "rp.mle('zero_inflated_poisson', formula, data)": "zip zero_inflated zero_inflated_poisson",
    "rp.mle('zero_inflated_negative_binomial', formula, data)": "zinb zero_inflated_negative_binomial",
    "rp.mle('hurdle_poisson', formula, data)": "hurdle hurdle_poisson",
    "rp.mle('ordered_logit', formula, data)": "ordinal ordered ordered_logit polr cumulative clm",
    "rp.mle('tobit', formula, data)": "tobit censored",
}

_LINK = {
    "link='logit'": "logistic sigmoid expit",
    "link='inverse'": "reciprocal inv inverse_power",
    "link='cloglog'": "loglog complementary_log_log",
    "link='identity'": "linear none",
    "link='log'": "exp ln",
    "link='cauchit'": "cauchy",
}

_ARGUMENT: dict[str, Sequence[str]] = {
    # What to write, by the first of its names that the function has.
    "cov_type se_type vcov robust covtype se covariance cov_kind use_robust vcov_type hc": ("cov='HC3'",),
    "cov_kwds cluster clusters cluster_by clustering group id subject panel": ("groups='column'", "by='column'"),
    "exposure log_exposure exposures": ("offset='log(exposure)'",),
    "freq_weights frequency_weights fweights n_copies": ("weights='w', weights_kind='frequency'",),
    "pweights sampling_weights prob_weights": ("weights='w', weights_kind='sampling'",),
    "var_weights sample_weight sample_weights aweights weight w": ("weights='w'",),
    "sigma yerr y_err error": ("sigma='s'", "weights=1/sigma**2"),
    "absolute_sigma scale_covar": ("dispersion=1",),
    "alpha c ridge l2 lam lambda_ reg regularization l2_penalty reg_lambda l1 l1_ratio": (
        "penalty=1.0",
        "weight_decay=1e-4",
        "level=0.95",
    ),
    "p0 x0 start_params init initial guess initial_guess inits starts start_values params starting_values beta0": (
        "start=...",
    ),
    "lower upper bound limits lb ub lbound ubound constraint_bounds": ("bounds={'name': (lower, upper)}",),
    "maxiter maxit max_iterations n_iter maxfev max_nfev iterations maxiterations itermax iter max_steps": (
        "max_iter=100",
    ),
    "xtol ftol gtol epsilon eps rtol atol tolerance convergence": ("tol=1e-8",),
    "disp verbose verbosity trace print_level show_progress full_output": ("progress=True",),
    "callback callbacks iter_cb": ("progress=function",),
    "solver algorithm optimizer optimiser optim": ("method='newton'",),
    "random_state rng seed_ random_seed": ("seed=0",),
    "na_action dropna nan_policy missing_values na": ("missing='drop'",),
    "n_jobs workers threads num_threads cores njobs nthreads client": ("executor=rp.execute.threads(2)",),
    "link links": ("family=rp.families.Binomial(link='probit'), with your family and link",),
    "event events status died death censored censoring delta": ("columns={'event': 'status'}",),
    "dist distribution error_family likelihood": ("family='poisson'", "logpdf='weibull'"),
    "lr eta0 learning_rate_init step_size": ("learning_rate=1e-3",),
    "hidden_layer_sizes layers units architecture": ("hidden=(64, 64)",),
    "n_epochs num_epochs": ("epochs=100",),
    "batchsize mini_batch": ("batch_size=32",),
    "validation_split validation_fraction early_stopping": ("validation=0.1",),
    "dispersion_ scale phi": ("dispersion='pearson'",),
    "size n_trials ntrials total binomial_n n": ("trials='n'",),
    "jac fprime jacobian dfun grad gradient": (
        "derivatives='finite', where a function cannot be differentiated exactly",
    ),
    "diff_step finite_differences": ("derivatives='finite'",),
    "loss_fn robust_loss f_scale": ("loss='huber'",),
    "exog_names columns_ feature_names colnames xnames": ("names=[...]",),
    "fit_intercept intercept add_intercept hasconst": ("formula='y ~ x' with an intercept, or 'y ~ x - 1' without",),
    "response outcome target dependent": (
        "formula='response ~ x'",
        "model='response ~ a*exp(-b*x)', or data=(df, df['response']) for a curve that is a function",
    ),
    "endog y": ("formula=y, the response first: rp.glm(y, X)",),
    "exog x xdata design": ("data=X", "new=data"),
    "newdata new_data x_new xnew exog_new test": ("new=data",),
    "type type_ which": ("kind='response'",),
    "conf_level confidence conf confidence_level": ("level=0.95",),
    "b r n_boot n_bootstrap reps nrep n_resamples replicates": ("n=1000",),
    "se_fit return_std return_se": ("se=True",),
    "axes": ("ax=axes",),
    "df dataframe frame": ("data=df",),
    "f func function curve expression": ("model=...",),
    "subset where": ("data=data[rows]",),
    "groupby group_by over": ("by='column'",),
    "checkpoint_path resume": ("checkpoint='fit.ckpt'",),
}

_CLASS = {
    "rp.families.Gaussian": "normal gauss ols",
    "rp.families.Binomial": "bernoulli logistic logit",
    "rp.families.Multinomial": "categorical softmax",
    "rp.families.NegativeBinomial": "nb negbin negbinom",
    "rp.families.links": "link logit_link log_link",
}

_FORMULA = {
    "cr(x, df=4)": "ns rcs natural_spline",
    "(1 | g)": "error random",
    "te(x, z), or s(x, z) if x and z have one unit": "t2 interact tensor",
    "factor(x)": "as_character ordered as_ordered",
    "log(x)": "ln",
    "`my column`, a name in backticks": "q",
    "I((x > 0)*a + (x <= 0)*b)": "np_where where ifelse if_else case_when",
    "I(x*(x > 0))": "np_maximum np_fmax maximum pmax max",
    "I(x*(x < 0))": "np_minimum np_fmin minimum pmin min",
    "rp.mle('weibull', 'time ~ x', data, columns={'event': 'status'})": "surv",
}

_DENSITY = {
    "'weibull', which is the exponential density where log_sigma = 0": "exponential exp expo",
    "'weibull', for times and their events": "cox coxph survival aft survreg extreme_value",
    "'lognormal'": "log_normal lnorm lognorm",
    "'student_t'": "t student std_t robust",
    "'tobit', for a normal response that is censored": "censored censored_normal",
    "'ordered_logit'": "ordinal ordered polr clm cumulative ologit",
    "'ordered_probit'": "oprobit",
    "'zero_inflated_poisson'": "zip zeroinfl",
    "'zero_inflated_negative_binomial'": "zinb",
    "'hurdle_poisson'": "hurdle",
    "rp.glm('y ~ x', data)": "normal gaussian norm",
    "rp.glm('y ~ x', data, family='poisson')": "poisson",
    "rp.glm('y ~ x', data, family='binomial')": "binomial bernoulli logistic logit",
    "rp.glm('y ~ x', data, family='negative_binomial')": "negative_binomial negbin nb nbinom",
    "rp.glm('y ~ x', data, family='multinomial')": "multinomial categorical",
    "rp.glm('y ~ x', data, family='inverse_gaussian')": "inverse_gaussian",
    "rp.glm('y ~ x', data, family='tweedie(1.5)')": "tweedie",
}

_CURVE = {
    # R's self-starting models, which need no starting values here.
    "Asym/(1 + exp((xmid - x)/scal))": "sslogis",
    "A + (B - A)/(1 + exp((xmid - x)/scal))": "ssfpl",
    "Vm*x/(K + x)": "ssmicmen",
    "Asym + (R0 - Asym)*exp(-exp(lrc)*x)": "ssasymp",
    "Asym*(1 - exp(-exp(lrc)*(x - c0)))": "ssasympoff",
    "Asym*(1 - exp(-exp(lrc)*x))": "ssasymporig",
    "A1*exp(-exp(lrc1)*x) + A2*exp(-exp(lrc2)*x)": "ssbiexp",
    "Dose*exp(lKe + lKa - lCl)*(exp(-exp(lKe)*x) - exp(-exp(lKa)*x))/(exp(lKa) - exp(lKe))": "ssfol",
    "Asym*exp(-b2*b3**x)": "ssgompertz",
    "Asym - Drop*exp(-exp(lrc)*x**pwr)": "ssweibull",
    "log(x)": "ln",
}

_CHOICE: dict[str, dict[str, str]] = {
    "cov": {
        "model": "nonrobust iid standard classical const unadjusted",
        "HC1": "robust white sandwich hetero huber_white heteroskedastic",
        "cluster": "clustered crv1 cr1 group",
    },
    "kind": {
        "response": "prob probs probability mean fitted y mu raw residual",
        "link": "linear eta lp linpred linear_predictor",
        "quantile": "dunn_smyth randomized randomised dharma std standardized standardised studentized studentised",
        "profile": "lr likelihood profile_likelihood",
    },
    "interval": {"confidence": "ci mean conf confint", "prediction": "pi pred obs predict"},
    "missing": {"drop": "omit na_omit dropna exclude na_exclude", "raise": "fail error na_fail"},
    "weights_kind": {
        "frequency": "freq fweight fweights count counts",
        "precision": "aweight aweights analytic var variance inverse_variance",
        "sampling": "pweight pweights survey probability",
    },
}
"""What values of options are called elsewhere, by the argument and what they are called here."""

_METHOD = {
    "'newton'": "nr trust_ncg trust_exact dfp nlm",
    "'newton-cg', which holds no p × p matrix": "lbfgs l_bfgs l_bfgs_b bfgs cg ncg sag saga liblinear",
    "'fisher-scoring'": "fisher scoring irwls glm_fit",
    "'levenberg-marquardt'": "lm levenberg marquardt lma leastsq least_squares trf dogbox port plinear",
    "'newton', which needs derivatives, as Raphson has them": "nm nelder_mead nelder powell simplex slsqp",
    "'newton-cg' or 'levenberg-marquardt'": "default optim nlminb",
}

_TABLES: dict[str, Mapping[str, str]] = {
    "method": _METHOD,
    "fit": _FIT,
    "package": _PACKAGE,
    "family": _FAMILY,
    "link": _LINK,
    "class": _CLASS,
    "formula": _FORMULA,
    "logpdf": _DENSITY,
    "curve": _CURVE,
}


def _folded(name: str) -> str:
    return re.sub(r"[-.\s]+", "_", name.strip().lower())


@cache
def table(of: str) -> dict[str, str]:
    """What to write for each foreign name, in lower case, of a "fit", the "package", a "family" and so on."""
    return {name: meant for meant, names in _TABLES.get(of, {}).items() for name in names.split()}


@cache
def _arguments() -> dict[str, Sequence[str]]:
    return {name: meant for names, meant in _ARGUMENT.items() for name in names.split()}


def hint(of: str, name: str, known: Iterable[str] = (), prefix: str = "") -> str:
    """The end of a message on an unknown name, `` Did you mean ...?``; empty if nothing is near.

    Parameters
    ----------
    of : what it was asked of: a "fit", the "package", a "family", a "link", or the "class" of a family.
    name : the unknown name.
    known : the names there are, of which the nearest is suggested where the table has none.
    prefix : what stands before a known name in code.

    Examples
    --------
    >>> hint("fit", "resid"), hint("fit", "AIC", ["aic", "bic"], "fit.")
    (" Did you mean fit.residuals(kind='deviance')?", ' Did you mean fit.aic?')
    """
    known, folded = list(known), _folded(name)
    alike = next((one for one in known if _folded(one) == folded), None)
    meant = None if alike else table(of).get(folded)
    if meant is None:
        near = [alike] if alike else get_close_matches(folded, known, n=1)
        meant = f"{prefix}{near[0]}" if near else None
    return "" if meant is None else f" Did you mean {meant}?"


def argument_hint(name: str, known: Sequence[str]) -> str:
    """What to write in place of an argument that a function does not have, out of those it has; empty if unknown.

    Examples
    --------
    >>> argument_hint("cov_type", ["family", "cov"]), argument_hint("cov_type", ["family"])
    (" Did you mean cov='HC3'?", '')
    """
    for meant in _arguments().get(_folded(name), ()):
        if meant.partition("=")[0] in known:
            return f" Did you mean {meant}?"
    return ""


def choice_hint(argument: str, value: str, choices: Collection[str | None]) -> str:
    """The choice of an option that a value of it stands for elsewhere, or that it is nearly; empty if unknown.

    Examples
    --------
    >>> choice_hint("cov", "hc3", ["model", "HC3"]), choice_hint("cov", "nonrobust", ["model", "HC3"])
    (" Did you mean 'HC3'?", " Did you mean 'model'?")
    """
    known, folded = {_folded(one): one for one in choices if one is not None}, _folded(value)
    foreign = _CHOICE.get(argument, {}).items()
    meant = next((one for one, names in foreign if one in choices and folded in names.split()), None)
    if meant is None:
        near = get_close_matches(folded, known, n=1, cutoff=0.75)
        meant = known[near[0]] if near else None
    return "" if meant is None else f" Did you mean {meant!r}?"
