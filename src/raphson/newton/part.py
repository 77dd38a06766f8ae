"""The end of an iteration over many rows: what a part of them says of the last step, so that it is not read for.

A Newton step s = M⁻¹∇ℓ from d standard errors away leaves what M changes along it, some d²/√n. The part of the rows
that the iteration started with says how much that is: of its own score,

    r = share (∇ℓ_part(θ + s) − ∇ℓ_part(θ) + M_part(θ) s),

where all rows have `share` times as many as the part. M⁻¹r corrects the step, and leaves as much of r as the part errs
by, which is what steps by the part's own M have left of a distance. In the same way the part carries M to the maximum,

    M(θ̂) ≈ M(θ) + share (M_part(θ̂) − M_part(θ)).
"""
# pyright: strict

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from raphson.model.objective import Evaluation, Gram, Kind, Need, Objective, Root
from raphson.newton.solve import Factor

CARRIED: tuple[Kind, ...] = ("expected", "observed")
"""Information that a part of the rows carries on."""

ALIKE = 0.5
"""Largest relative difference between the curvature of ℓ along the last step and what the part says it is, for the part
to be believed: the two differ by √(2/m) of m rows, unless a few rows have most of the information."""


@dataclass(frozen=True)
class Part:
    """A part of the rows.

    Attributes
    ----------
    objective : of the part alone.
    share : number of all rows over those of the part.
    """

    objective: Objective
    share: float

    @property
    def error(self) -> float:
        """√(p/m), the relative error of the part's information."""
        return min(1.0, math.sqrt(self.objective.n_params / self.objective.n_rows))


@dataclass(frozen=True)
class Carried:
    """All rows' evaluation carried along a step, and what became of the distance.

    Attributes
    ----------
    there : the evaluation; of its score nothing is known but that it is about 0.
    left : distance that the step alone leaves, in standard errors.
    rows : rows that were read.
    """

    there: Evaluation
    left: float
    rows: int


def final_step(
    part: Part, objective: Objective, here: Evaluation, step: np.ndarray, factor: Factor, kind: Kind
) -> Carried | None:
    """The full step by the observed information, corrected by the part; None where the part cannot speak for all rows.

    Parameters
    ----------
    objective, here : of all rows, where M was evaluated.
    step, factor : M⁻¹∇ℓ, and the factor of M.
    kind : of M.
    """
    added = objective.addition(here.theta + step)
    if added is None or here.dispersion != 1.0 or not math.isnan(here.pearson):
        return None  # the dispersion changes by a share of d, not of d²
    kinds = _kinds(here)
    whole = here.information[kind]
    if isinstance(whole, Root):
        return None
    there = objective.moved(here.theta, step, project=False)
    earlier, later = (part.objective.evaluate(theta, Need(kinds=kinds)) for theta in (here.theta, there))
    if not earlier.finite or not later.finite:
        return None
    of_part = earlier.information[kind].matrix @ step
    curved, expected = float(step @ whole.matrix @ step), part.share * float(step @ of_part)
    if not abs(expected - curved) <= ALIKE * curved:
        return None
    rest = part.share * (later.score - earlier.score + of_part)
    correction = factor.solve(rest)
    left = math.sqrt(max(float(rest @ correction), 0.0))
    found = replace(
        here,
        theta=objective.moved(there, correction, project=False),
        # ℓ changes by what is left of it to the third order only, d³/√n.
        value=here.value + 0.5 * float(here.score @ step),
        score=here.score - whole.matrix @ step,
        added=added,
    )
    return Carried(_moved(found, part, earlier, later, kinds), left, earlier.rows + later.rows)


def carried_on(here: Evaluation, before: np.ndarray, part: Part, tolerance: float) -> Evaluation:
    """The evaluation with its M carried from the point `before`, where it was evaluated, a last step of s earlier.

    Over s, of d standard errors, M changes by d/√n of itself, and M of the part by the same times 1 + √(p/m) at most.
    """
    kinds = _kinds(here)
    grams = [here.information[kind] for kind in kinds]
    if not grams or any(isinstance(one, Root) for one in grams):
        return here
    step = here.theta - before
    if step @ grams[0].matrix @ step <= tolerance**2 * here.rows * here.dispersion:
        return here
    earlier, later = (part.objective.evaluate(theta, Need(kinds=kinds)) for theta in (before, here.theta))
    return _moved(here, part, earlier, later, kinds) if earlier.finite and later.finite else here


def _kinds(here: Evaluation) -> tuple[Kind, ...]:
    return tuple([kind for kind in CARRIED if kind in here.information])


def _moved(here: Evaluation, part: Part, earlier: Evaluation, later: Evaluation, kinds: tuple[Kind, ...]) -> Evaluation:
    """The evaluation with its M changed as that of the part does."""
    moved: dict[str, Gram | Root] = {
        kind: Gram(
            here.information[kind].matrix
            + part.share * (later.information[kind].matrix - earlier.information[kind].matrix)
        )
        for kind in kinds
    }
    return replace(here, information=here.information | moved)
