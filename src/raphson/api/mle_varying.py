"""Fits of likelihoods in the formulas of whose parameters coefficients vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from raphson.api.arguments import check_options, estimated, inputs_of, warn_about
from raphson.data.several import Part
from raphson.fit.fit import Fit
from raphson.fit.varying.likelihood import VaryingLikelihoodReading
from raphson.fit.varying.reading import varying_state
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.likelihood.review import check_start
from raphson.model.varying.likelihood import VaryingLikelihood
from raphson.newton.methods import METHODS
from raphson.options import Inference, Iteration, Likelihood

NOT_WITH: Mapping[str, tuple[Any, str]] = {
    "bias": (None, "estimates are of the criterion, which has no bias reduction"),
    "penalty": (None, "a term such as (1 | group) or s(x) has a penalty whose strength the data choose"),
    "storage": ("float64", "designs are held in 64 bits"),
    "groups": (None, "the groups are part of the model"),
    "checkpoint": (None, "the data are in memory"),
}
"""Options that have no meaning here, with their defaults and what to know instead."""


def varying_likelihood(
    base: LikelihoodModel, parts: Mapping[str, Part], asked: Likelihood, first: np.ndarray | None
) -> VaryingLikelihood:
    """The model of the formulas of parameters, some of whose terms vary.

    Parameters
    ----------
    parts : by parameter, in the density's order.
    first : coefficients to start from, or None.
    """
    if first is not None:
        check_start(base, first)
    if asked.criterion is None:
        restricted = any(term.smooth for part in parts.values() for term in part.varying)
    else:
        restricted = asked.criterion == "reml"
    return VaryingLikelihood.over(base, dict(parts), restricted, first)


def fit_varying_likelihood(
    model: VaryingLikelihood,
    given: Mapping[str, Any],
    iteration: Iteration,
    inference: Inference,
    texts: Mapping[str, str],
    refit: Callable[..., Any] | None,
) -> Fit:
    """Fit the model.

    Raises
    ------
    ModelError
        If an option has no meaning for it.
    """
    check_options(given, NOT_WITH, inference, iteration.method, "newton")
    by_newton = replace(iteration, method=METHODS["newton"].name, seed=None)
    found = estimated(model, by_newton, None, subsample=False)
    state = varying_state(
        found,  # pyright: ignore[reportArgumentType]
        inference=inference,
        formula="; ".join(f"{name}: {text}" for name, text in texts.items()),
        source=given["data"],
        refit=refit,
        inputs=inputs_of(given) | {"criterion": "REML (Laplace)" if model.restricted else "ML (Laplace)"},
    )
    fit = Fit(VaryingLikelihoodReading(state, model.assembly, texts))
    warn_about(fit)
    return fit
