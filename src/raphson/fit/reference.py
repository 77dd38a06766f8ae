"""The reference for restricted maxima: the model, its maximum, and where to start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raphson.errors import ModelError
from raphson.fit.goodness import Goodness
from raphson.model.base import Model
from raphson.model.objective import Need, Objective
from raphson.newton.estimate import Estimate

FALLEN, MOST_FALLEN = 0.05, 2.0
"""If the maximum is at infinity, searches start where ℓ is lower by about the first, and at most the second."""


@dataclass(frozen=True)
class ReferenceFit:
    """A model and its maximum, from which restricted maxima are sought.

    Attributes
    ----------
    model : the model.
    objective : what is maximised.
    theta : (p,) the maximum; if that is at infinity, finite parameters to start from.
    free : (p,) mask of the parameters that move.
    top : ℓ at the maximum, or its supremum.
    interior : whether `theta` is the maximum.
    pace : (p,) a step towards infinity that changes ℓ noticeably; None if `theta` is the maximum.
    awake : the same with the parameters free that are held at an edge, which restrictions may move off it; its pace is
        how far they are moved. None where none are held.
    """

    model: Model
    objective: Objective
    theta: np.ndarray
    free: np.ndarray
    top: float
    interior: bool
    pace: np.ndarray | None = None
    awake: ReferenceFit | None = None

    @property
    def metric(self) -> np.ndarray:
        """(p, p) observed information at `theta`, by which distances to restricted maxima are measured."""
        return self.objective.evaluate(self.theta, Need(kinds=("observed",))).information["observed"].matrix

    @staticmethod
    def of(found: Estimate, asked: Model) -> ReferenceFit:
        """The reference for the model `asked`, from its estimate."""
        result = found.result
        top = result.evaluation.value
        if found.direction is None:
            return ReferenceFit.of_limit(found)
        # The maximum of the limiting model is the supremum of the model's own likelihood. Restricted maxima are
        # those of the model itself, so the search needs finite parameters of it.
        p = len(result.theta)
        if p < asked.objective.n_params:  # the family ended in a simpler one, without its auxiliary parameters
            asked = found.model.without_limit
        free, direction = result.free | (found.infinite[:p] != 0), found.direction[:p]
        start, pace = _near(asked, result.theta, direction, top)
        if pace is None:
            start = np.where(free, asked.start(Need()).theta, 0.0)
        return ReferenceFit(asked, asked.objective, start, free, top, False, pace)

    @staticmethod
    def of_limit(found: Estimate) -> ReferenceFit:
        """The reference for the limiting model, whose infinite parameters are held fixed."""
        result = found.result
        model = found.model
        return ReferenceFit(model, model.objective, result.theta, result.free, result.evaluation.value, True)


def _near(asked: Model, theta: np.ndarray, direction: np.ndarray, top: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Finite parameters where the likelihood is a little below its supremum, and the step from the origin to them.

    The step is None if there are no such parameters.
    """
    origin, best, pace = asked.finite_point(theta, direction), theta, None
    for part in 2.0 ** -np.arange(0.0, 45.0):
        there = origin + part * direction
        fallen = top - asked.objective.evaluate(there).value
        if np.isfinite(fallen) and fallen < MOST_FALLEN:
            best, pace = there, part * direction
        if fallen > FALLEN:
            break
    return best, pace


def reference_of(fit: Goodness) -> ReferenceFit:
    """The reference for restricted maxima of a fit's model.

    Raises
    ------
    ModelError
        If the equations that were solved are not the gradient of a likelihood.
    """
    own = fit.own_reference
    if own is not None:
        assert isinstance(own, ReferenceFit)
        return own
    at = fit.at("a restricted maximum")
    if not at.asked.objective.comparable:
        raise ModelError(
            f"bias: Firth's adjusted scores are not the gradient of a likelihood with the {at.asked.family.link_name} "
            f"link of the {at.asked.family.name} family, so there are no likelihood ratios, profiles or score tests; "
            "use wald_test() and conf_int(), or bias='jeffreys', which maximises a penalised likelihood"
        )
    return ReferenceFit.of(at.estimate, at.asked)


def check_ratios(fit: Goodness, what: str) -> Model:
    """The model of a fit, after checking that its likelihood ratios are χ².

    Raises
    ------
    ModelError
    """
    asked = fit.at(what).asked
    if asked.weights_kind == "sampling":
        raise ModelError(
            f"{what}: not available with sampling weights, as ratios of a pseudo-likelihood are not χ²; use wald_test "
            "or score_test, which use the sandwich covariance"
        )
    if fit.family.quasi and fit.family.dispersion_fixed:
        raise ModelError(
            f"{what}: not available for the {fit.family.name} loss, which is not a likelihood; use wald_test, which "
            "uses the sandwich covariance"
        )
    return asked


def check_likelihood(fit: Goodness, what: str) -> Model:
    """Like :func:`check_ratios`; a penalty is refused as well."""
    asked = check_ratios(fit, what)
    if asked.penalty is not None:
        raise ModelError(f"{what}: not available with penalty=, whose ratios are not χ²; use wald_test, or fit without")
    return asked
