"""Where restricted maxima are looked for: the model whose maximum a fit is, and a place to begin at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raphson.errors import ModelError
from raphson.fit.goodness import Goodness
from raphson.model.base import Model
from raphson.model.objective import Need, Objective
from raphson.newton.estimate import Estimate

FALLEN, MOST_FALLEN = 0.05, 2.0
"""Where a search begins of a maximum at infinity: the log-likelihood has fallen by about so much, and no more."""


@dataclass(frozen=True)
class ReferenceFit:
    """Where restricted maxima are looked for: the model asked for, and its maximum.

    Attributes
    ----------
    model : the model.
    objective : what is maximised.
    theta : (p,) the maximum; where it lies at infinity, finite parameters to begin at.
    free : (p,) mask of the parameters that move.
    top : ℓ at the maximum, or its supremum.
    interior : whether `theta` is the maximum.
    pace : (p,) a step that matters on the way to infinity; None where `theta` is the maximum.
    """

    model: Model
    objective: Objective
    theta: np.ndarray
    free: np.ndarray
    top: float
    interior: bool
    pace: np.ndarray | None = None

    @property
    def metric(self) -> np.ndarray:
        """(p, p) observed information at `theta`, in which restricted maxima are near or far."""
        return self.objective.evaluate(self.theta, Need(kinds=("observed",))).information["observed"].matrix

    @staticmethod
    def of(found: Estimate, asked: Model) -> ReferenceFit:
        """The ground of an estimate of the model `asked`."""
        result = found.result
        top = result.evaluation.value
        if found.direction is None:
            return ReferenceFit.of_limit(found)
        # The limit's likelihood is the supremum of that of the model asked for, whose finite parameters are wanted.
        p = len(result.theta)
        if p < asked.objective.n_params:  # a family that ended in a simpler one: the limit is one of that
            asked = found.model.without_limit
        free, direction = result.free | (found.infinite[:p] != 0), found.direction[:p]
        start, pace = _near(asked, result.theta, direction, top)
        if pace is None:
            start = np.where(free, asked.start(Need()).theta, 0.0)
        return ReferenceFit(asked, asked.objective, start, free, top, False, pace)

    @staticmethod
    def of_limit(found: Estimate) -> ReferenceFit:
        """The ground of the model whose maximum an estimate is, its infinite parameters held where they are."""
        result = found.result
        model = found.model
        return ReferenceFit(model, model.objective, result.theta, result.free, result.evaluation.value, True)


def _near(asked: Model, theta: np.ndarray, direction: np.ndarray, top: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Parameters this side of infinity where the likelihood has fallen a little, and how far they are from lower ones.

    The second is None where there are none.
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
    """Where restricted maxima of a fit's model are looked for.

    Raises
    ------
    ModelError
        If what was solved for is the gradient of no likelihood.
    """
    at = fit.at("a restricted maximum")
    if not at.asked.objective.comparable:
        raise ModelError(
            f"bias: with the {at.asked.family.link.name} link of the {at.asked.family.name} family Firth's adjusted "
            "scores are the gradient of no likelihood, so there are no likelihood ratios, profiles or score tests; "
            "use wald_test() and conf_int(), or bias='jeffreys', which maximises a penalised likelihood"
        )
    return ReferenceFit.of(at.estimate, at.asked)


def check_ratios(fit: Goodness, what: str) -> Model:
    """The model of a fit; refused where likelihoods are to be compared and there is none.

    Raises
    ------
    ModelError
    """
    asked = fit.at(what).asked
    if asked.weights_kind == "sampling":
        raise ModelError(
            f"{what}: with sampling weights the fit maximises a pseudo-likelihood, whose ratios are not χ²; use "
            "wald_test or score_test, which take the sandwich"
        )
    if fit.family.quasi and fit.family.dispersion_fixed:
        raise ModelError(
            f"{what}: the {fit.family.name} loss is no likelihood, and its differences are not χ²; use wald_test, "
            "which takes the sandwich"
        )
    return asked


def check_likelihood(fit: Goodness, what: str) -> Model:
    """The same, refused under a penalty, too."""
    asked = check_ratios(fit, what)
    if asked.penalty is not None:
        raise ModelError(f"{what}: a fit with penalty= has no χ² likelihood ratio; use wald_test, or fit without it")
    return asked
