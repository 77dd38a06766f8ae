"""Fits of generalised linear models whose formulas have terms with coefficients that vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from raphson.api.arguments import check_options, estimated, inputs_of, start_vector, warn_about
from raphson.errors import ModelError
from raphson.fit.fit import Fit
from raphson.fit.varying.reading import VaryingReading, varying_state
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.varying.model import VaryingModel
from raphson.model.varying.quadrature import one_by_one
from raphson.newton.methods import METHODS
from raphson.options import Inference, Iteration, LinearModel

NOT_WITH: Mapping[str, tuple[Any, str]] = {
    "bias": (None, "estimates are of the criterion, which has no bias reduction"),
    "penalty": (None, "a term such as (1 | group) or s(x) has a penalty whose strength the data choose"),
    "dispersion": (None, "the dispersion maximises the criterion"),
    "storage": ("float64", "designs are held in 64 bits"),
}
"""Options that have no meaning here, with their defaults and what to know instead."""


def fit_varying(
    base: GeneralisedLinearModel,
    given: Mapping[str, Any],
    asked: LinearModel,
    iteration: Iteration,
    inference: Inference,
    refit: Callable[..., Any] | None,
) -> Fit:
    """Fit the model of a formula with varying terms.

    Raises
    ------
    ModelError
        If an option has no meaning for such a model.
    """
    _check(given, inference, iteration)
    restricted = _restricted(asked, base)
    _check_levels(base)
    model = VaryingModel.over(base, restricted, _nodes(asked, base, restricted))
    by_newton = replace(iteration, method=METHODS["newton"].name)
    start = start_vector(asked.start, model.objective.n_params, "parameter of the criterion")
    found = estimated(model, by_newton, start, subsample=False)
    state = varying_state(
        found,
        inference=inference,
        formula=given["formula"] if isinstance(given["formula"], str) else None,
        source=given["data"],
        refit=refit,
        inputs=inputs_of(given) | {"criterion": _named(model)},
    )
    fit = Fit(VaryingReading(state))
    warn_about(fit)
    return fit


def _named(model: VaryingModel) -> str:
    """The criterion as a summary names it."""
    name = "REML" if model.restricted else "ML"
    if model.criterion.density.quadratic:
        return name
    return f"{name} (Laplace)" if model.nodes is None else f"{name} ({model.nodes} nodes)"


def _check_levels(base: GeneralisedLinearModel) -> None:
    """Refuse a group with a level for each row in a family whose dispersion is estimated, which says the same."""
    if base.family.dispersion_fixed:
        return
    for term in base.data.varying:
        if term.n_levels == len(base.y) > 1:
            raise ModelError(
                f"formula: every row has a level of {term.group!r} of its own, so that how its effects vary cannot be "
                f"told from the dispersion of the {base.family.name} family; leave ({term.label}) out, or give levels "
                "that several rows share"
            )


def _restricted(asked: LinearModel, base: GeneralisedLinearModel) -> bool:
    """Whether the criterion is REML: as asked for, and by default where there is a smooth function."""
    if asked.criterion is not None:
        return asked.criterion == "reml"
    return any(term.smooth for term in base.data.varying)


def _nodes(asked: LinearModel, base: GeneralisedLinearModel, restricted: bool) -> int | None:
    """The number of nodes of the quadrature; None for Laplace's approximation."""
    if asked.quadrature is None or asked.quadrature == 1:
        return None
    terms = base.data.varying
    if not one_by_one(terms):
        labels = ", ".join(term.label for term in terms)
        raise ModelError(
            f"quadrature: expected one term with one coefficient a level, such as (1 | group); got {labels}. Leave "
            "quadrature= out for Laplace's approximation"
        )
    if restricted:
        raise ModelError("quadrature: expected criterion='ml', which it integrates; got criterion='reml'")
    return asked.quadrature


def _check(given: Mapping[str, Any], inference: Inference, iteration: Iteration) -> None:
    check_options(given, NOT_WITH, inference, iteration.method, "fisher-scoring", "newton")
    if given["by"] is not None:
        raise ModelError("by: expected None where coefficients vary; fit each group's rows by a call of their own")
