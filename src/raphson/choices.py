"""The words that options accept, as Literal types; the checks read the same lists by ``typing.get_args``.

Where other names are possible too (a family with its parameter, such as "tweedie(1.5)"), signatures add ``str``.
"""

from __future__ import annotations

from typing import Literal

FamilyName = Literal[
    "gaussian",
    "binomial",
    "poisson",
    "gamma",
    "inverse_gaussian",
    "negative_binomial",
    "tweedie",
    "multinomial",
    "quasipoisson",
    "quasibinomial",
]
DensityName = Literal[
    "student_t",
    "beta",
    "tobit",
    "beta_binomial",
    "zero_inflated_poisson",
    "zero_inflated_negative_binomial",
    "hurdle_poisson",
    "hurdle_negative_binomial",
    "ordered_logit",
    "ordered_probit",
    "weibull",
    "lognormal",
    "gamma",
]
"""The densities that :func:`raphson.mle` knows by name; those of one's own are not among them."""

LinkName = Literal["identity", "log", "logit", "probit", "cloglog", "cauchit", "inverse", "inverse_squared", "sqrt"]

FirstOrder = Literal["sgd", "momentum", "rmsprop", "adam"]
MethodName = Literal[
    "newton",
    "fisher-scoring",
    "irls",
    "gauss-newton",
    "modified-gauss-newton",
    "levenberg-marquardt",
    "bhhh",
    "newton-cg",
    "gradient-descent",
    FirstOrder,
]

WeightsKind = Literal["precision", "frequency", "sampling"]
Missing = Literal["drop", "raise"]
MissingInNew = Literal["nan", "drop", "raise"]
"""What is done with rows that have missing values: in data to fit, and in new data to predict for."""

Information = Literal["expected", "observed", "opg"]
Covariance = Literal["model", "HC0", "HC1", "HC2", "HC3", "cluster", "jackknife"]
SmallSample = Literal["full", "clusters"]
"""Factors of a cluster covariance: G/(G−1) · (n−1)/(n−p), or G/(G−1) alone."""

DispersionRule = Literal["pearson", "deviance", "ml"]
StartRows = Literal["part", "all"]
"""The rows of large data from which the iteration starts."""
Storage = Literal["float64", "float32"]
SmoothBasis = Literal["cr", "ps", "cc", "tp", "re"]
Bias = Literal["firth", "jeffreys"]
Criterion = Literal["ml", "reml"]
Loss = Literal["squared", "huber", "cauchy", "tukey"]
Derivatives = Literal["exact", "finite"]

Activation = Literal["relu", "tanh", "sigmoid", "softplus", "identity"]
Shortcut = Literal["additive", "stacked"]
Schedule = Literal["constant", "cosine", "exponential", "warmup"]
Update = Literal["whole", "layerwise"]
Precision = Literal["single", "double"]

Interval = Literal["confidence", "prediction"]
Effects = Literal["all", "population", "marginal"]
Draws = Literal["new", "conditional"]
"""The effects of groups in simulated responses: new ones of their distribution, or those of the fit."""
NewLevels = Literal["raise", "population"]
Scale = Literal["response", "link"]
"""What is predicted: the mean response, or the linear predictors."""
IntervalKind = Literal["wald", "profile"]
ResidualKind = Literal["deviance", "pearson", "response", "working", "quantile"]
BootstrapKind = Literal["nonparametric", "parametric", "cluster"]
BootstrapInterval = Literal["percentile", "basic", "bca", "studentised"]
