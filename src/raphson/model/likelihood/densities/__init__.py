"""Densities ready for use with :func:`raphson.mle`, by name, and as functions for likelihoods of one's own.

Each takes the response, then one linear predictor for each of its parameters, named by the scale that it is on
(``log_mean`` is the logarithm of the mean), then by keyword what else it reads of a row; each gives one row's log
density with every constant in it.

>>> from raphson.numeric import x64
>>> with x64():
...     print(round(float(zero_inflated_poisson(0, 0.5, -1.0)), 6))
-0.892768
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from raphson.model.likelihood.densities.continuous import beta, student_t, tobit
from raphson.model.likelihood.densities.counts import (
    beta_binomial,
    hurdle_negative_binomial,
    hurdle_poisson,
    zero_inflated_negative_binomial,
    zero_inflated_poisson,
)
from raphson.model.likelihood.densities.ordered import ordered_logit, ordered_probit
from raphson.model.likelihood.densities.ready import DENSITIES, DensitySpec, register, resolve
from raphson.model.likelihood.densities.survival import gamma, lognormal, weibull

__all__ = [
    "DENSITIES",
    "DensitySpec",
    "beta",
    "beta_binomial",
    "gamma",
    "hurdle_negative_binomial",
    "hurdle_poisson",
    "lognormal",
    "ordered_logit",
    "ordered_probit",
    "register",
    "resolve",
    "student_t",
    "tobit",
    "weibull",
    "zero_inflated_negative_binomial",
    "zero_inflated_poisson",
]

for _module in iter_modules(__path__):  # whatever densities a module has, it takes in
    import_module(f"{__name__}.{_module.name}")
