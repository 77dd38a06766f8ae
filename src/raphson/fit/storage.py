r"""What the rounding of a design to 32 bits cost, from one reading of the design before it was rounded.

Let X̃ = X − E be the design that was fitted and θ̃ its maximum, where the score of X̃ is 0. The score of X there is

    s = Xᵀu(Xθ̃) − X̃ᵀu(X̃θ̃) = Eᵀu − X̃ᵀWEθ̃ + …

and the maximum of X is M⁻¹s away, to first order: √(sᵀM⁻¹s/φ) standard errors, as far from a maximum is measured
everywhere else. By Cauchy-Schwarz no coefficient, nor any linear function of them, is further away than that.

M is the information of X̃. That of X may be smaller where columns are nearly collinear, as rounding makes them less so:

    ‖√W X v‖ ≥ ‖√W X̃ v‖ − ‖√W E v‖ ≥ (1 − ρ) ‖√W X̃ v‖,   ρ = Σ_j r_j √(M_jj (M⁻¹)_jj),   r_j = max_i |e_ij / x̃_ij|

for every v, as ‖√W E v‖ ≤ Σ_j |v_j| r_j √M_jj and v_j² ≤ (M⁻¹)_jj vᵀMv. So the distance is divided by 1 − ρ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.factor_design import FactorDesign
from raphson.data.pieced_design import SingleDesign
from raphson.errors import warn_user
from raphson.inference import covariance
from raphson.inference.certificate import MOST_DIGITS
from raphson.model.objective import Evaluation, Need
from raphson.newton.estimate import Estimate
from raphson.newton.solve import Factor, factorise, on_plane
from raphson.numeric import one_blas_thread

WORTH_A_WARNING = 0.01
"""Standard errors that rounding moves an estimate by before there is a warning: as much as the second digit of a
standard error, which is itself not known better than that from less than 5,000 rows."""

SEPARATE = 0.5
"""Largest ρ at which the information of the design as given is told from that of the rounded one."""


@dataclass(frozen=True)
class Storage:
    """How the design is held, and what that cost.

    Attributes
    ----------
    held : "float64" or "float32".
    cost : how far the rounding moved the coefficients, none of them by more, in model-based standard errors; infinite
        where rounding hides whether a column is a combination of others.
    digits : correct digits that every coefficient has left at least.
    column : the coefficient to whose column the rounding matters most; "" where nothing was rounded.
    """

    held: str = "float64"
    cost: float = 0.0
    digits: float = MOST_DIGITS
    column: str = ""

    def __str__(self) -> str:
        if not self.column:
            return f"{self.held}, without rounding"
        if math.isinf(self.cost):
            return f"{self.held}, in which {self.column!r} cannot be told from a combination of the other columns"
        return f"{self.held}, whose rounding cost {self.cost:.1e} standard errors and left {self.digits:.1f} digits"

    def warn(self) -> None:
        """Warn of a loss that shows."""
        if math.isinf(self.cost):
            warn_user(
                f"storage: in 32 bits the column {self.column!r} cannot be told from a combination of the other "
                "columns, so that the estimates may be of rounding alone; leave storage= out"
            )
        elif self.cost > WORTH_A_WARNING:
            warn_user(
                f"storage: rounding the design to 32 bits moved the estimates by up to {self.cost:.2g} standard "
                f"errors, mostly by the column {self.column!r}; leave storage= out"
            )

    def to_inputs(self) -> dict[str, Any]:
        """Itself among the inputs of a fit."""
        return {f"storage_{name}" if name != "held" else "storage": value for name, value in vars(self).items()}

    @staticmethod
    def of_inputs(inputs: Mapping[str, Any]) -> Storage:
        """The storage among the inputs of a fit."""
        if "storage" not in inputs:
            return Storage()
        given = (inputs[f"storage_{name}"] for name in ("cost", "digits", "column"))
        return Storage(inputs["storage"], *given)


def storage_of(found: Estimate[Any]) -> Storage:
    """How the design of an estimate is held, and what that cost. The design before it was rounded is let go of."""
    model, here = found.model, found.result.evaluation
    singles = [single for single in map(_single, model.matrices) if single is not None]
    if not singles:
        return Storage()
    if all(single.exact is None for single in singles):
        return Storage("float32")
    with np.errstate(all="ignore"), one_blas_thread():
        score = model.with_matrices([_exact(X) for X in model.matrices]).objective.evaluate(here.theta).score
    cost = _cost(found, score - here.score)
    for single in singles:
        single.forget()
    return cost


def _single(X: Any) -> SingleDesign | None:
    """The part of a design that is held in 32 bits."""
    numbers = X.dense if isinstance(X, FactorDesign) else X
    return numbers if isinstance(numbers, SingleDesign) else None


def _exact(X: Any) -> Any:
    """A design as it was before it was rounded."""
    single = _single(X)
    if single is None or single.exact is None:
        return X
    return X.with_dense(single.exact) if isinstance(X, FactorDesign) else single.exact


def _cost(found: Estimate[Any], score: np.ndarray) -> Storage:
    """What rounded designs cost, from the difference (p,) that the rounding makes to the score."""
    model, result = found.model, found.result
    relative, error = (_by_parameter(model, which) for which in ("relative", "error"))
    names = (*model.names, *model.family.auxiliary)
    infinite = found.infinite[: len(score)] != 0
    lost = result.aliased & (relative > 0) & ~infinite
    factor = _factor(found, result.evaluation)
    if lost.any() or factor is None:
        return Storage("float32", math.inf, 0.0, names[int(np.argmax(lost * relative))])
    inflation = np.zeros(len(score))
    inflation[factor.kept] = np.sqrt((factor.matrix.diagonal() * factor.inverse().diagonal())[factor.kept])
    hidden = relative * inflation
    if not hidden.sum() < SEPARATE:
        return Storage("float32", math.inf, 0.0, names[int(np.argmax(hidden))])
    dispersion, shift = result.evaluation.dispersion, factor.solve(score)
    distance = float(np.linalg.norm(factor.half_solve(score))) / math.sqrt(dispersion)
    with np.errstate(divide="ignore", invalid="ignore"):
        if model.penalty is not None:  # standard errors are smaller than those of M⁻¹ then
            V = covariance.model_covariance(factor, dispersion, factor.matrix - model.penalty)
            distance = float(np.nanmax(np.abs(shift) / np.sqrt(V.diagonal()), initial=distance))
        share = np.abs(shift / result.theta)[: model.n_coefficients]
        digits = -np.log10(np.max(share[np.isfinite(share)], initial=0.0))
    moved = np.abs(result.theta) * error
    return Storage(
        "float32",
        distance / (1.0 - float(hidden.sum())),
        float(np.clip(digits, 0.0, MOST_DIGITS)),
        names[int(np.argmax(moved))],
    )


def _factor(found: Estimate[Any], here: Evaluation) -> Factor | None:
    """The factor of the information that distances are measured by."""
    result, objective = found.result, found.model.objective
    part = here.information.get("observed") or here.information.get(objective.main_kind)
    if part is None:
        need = Need(kinds=(objective.main_kind,))
        with np.errstate(all="ignore"), one_blas_thread():
            part = objective.evaluate(result.theta, need).information[objective.main_kind]
    return factorise(part, result.free) if result.face is None else on_plane(part, result.face.basis, result.free)


def _by_parameter(model: Any, which: str) -> np.ndarray:
    """An attribute of rounded columns, (p,) by the parameters that multiply them; 0 for the others."""
    out = np.zeros(model.objective.n_params)
    for design, part in zip(model.predictor.design, model.predictor.slices, strict=True):
        if design < len(model.matrices) and (single := _single(model.matrices[design])) is not None:
            X = model.matrices[design]
            out[part][X.layout.dense if isinstance(X, FactorDesign) else slice(None)] = getattr(single, which)
    return out
