"""Densities for :func:`raphson.mle`, available by name and as functions for your own likelihoods.

Each takes the response, then one linear predictor for each parameter, named by its scale (``log_mean`` is the logarithm
of the mean), then other columns of a row by keyword. It returns the log density of one row, every constant included.

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

for _module in iter_modules(__path__):  # each module registers its densities when it is imported
    import_module(f"{__name__}.{_module.name}")
