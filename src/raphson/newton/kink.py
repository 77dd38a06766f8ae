"""A maximum at a kink of the objective, such as that of a broken line whose break is at a data point.

Let the branch of an operation change where g_i(θ) = 0, i = 1 … m, with the normals a_i = ∂g_i/∂θ. On the plane A d = 0,
where θ moves by Zγ, the maximum is found like any other. Across it the objective has different derivatives in the 2ᵐ
cells σ_i a_i·d ≥ 0, σ_i = ±1. Let each column of D move across one surface, A D = I, and let ∇ℓ^σ be the score in a
cell. Then θ is a local maximum if

    σ_i D_iᵀ ∇ℓ^σ < 0   for all i and σ,   Zᵀ∇ℓ = 0,   ZᵀMZ positive definite,

since d = Zγ + Σ t_i σ_i D_i with t_i ≥ 0 reaches every point of the cell.
"""

# pyright: strict, reportConstantRedefinition=false

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from raphson.model.objective import Evaluation, Need, Objective
from raphson.model.problem import Problem
from raphson.newton.face import SPANNED, Face, across_and_along
from raphson.newton.maximize import PROVED, Result
from raphson.newton.search import value_noise
from raphson.newton.solve import OnPlane, on_plane
from raphson.status import Status

NEAR = 1e-4
"""Largest distance from a kink, in standard errors, of an iteration that got stuck at it. The proof by one-sided
derivatives decides: for a line with its break at a data point any value from 1e-7 to 1 gives the same."""

MOST = 4
"""Largest number of kinks that are treated together: the scores are evaluated on all 2⁴ = 16 sides of them."""

BESIDE = 1e-5
"""Distance from a kink, in standard errors, at which the one-sided scores are evaluated: far above rounding, and short
enough for the scores to be those at the kink. From 1e-8 to 0.1 nothing changes for a line with its break at a data
point."""

STEEP = 1e-4
"""Slope, in standard errors, above which the objective certainly falls: ten times BESIDE, by about which slopes change
within that distance. At 1 the kink of a line with its break at a data point is no longer proved."""

STEPS = 25
"""Steps at most: Newton's double the digits with each once they are near, and an end that is not near is none."""


@dataclass(frozen=True)
class _PointOnKink:
    """A point on a kink: the objective there, A, Z, D, and the factor of ZᵀMZ (None if the plane is a point)."""

    here: Evaluation
    normals: np.ndarray
    along: np.ndarray
    across: np.ndarray
    factor: OnPlane | None


def at_kink(model: Problem, result: Result, tolerance: float) -> Result:
    """The result at the kink near which an iteration ended, if one-sided derivatives prove a local maximum."""
    objective, free, spread = model.objective, result.free, np.sqrt(result.evaluation.dispersion)
    gaps, normals = model.kink_gaps(result.theta)
    unit = _measure(objective, result.theta) if len(gaps) and spread > 0 else None
    if unit is None:
        return result
    chosen = _chosen(gaps, normals, free, unit * spread)
    found = _onto(model, result.theta, free, unit, chosen, 1e-2 * tolerance * spread) if chosen else None
    if found is None or not _inside(objective.bounds, found.here.theta):
        return result
    here = found.here
    left = 0.0 if found.factor is None else float(np.linalg.norm(found.factor.half_solve(here.score))) / spread
    worse = here.value < result.evaluation.value - 10.0 * value_noise(here)
    if worse or left > max(10.0 * tolerance, 10.0 * result.floor, PROVED):
        return result
    slopes = _one_sided(objective, found, spread)
    if slopes is None:
        return result
    size = np.abs(found.normals) * unit
    there = free & (size > SPANNED * size.max()).any(axis=0)
    follows = np.where(there[:, None], found.across, 0.0)
    face = Face(found.normals, slopes, left, found.along, follows, there, True)
    return replace(result, evaluation=here, status=Status.BOUNDARY, face=face, distance=left, blocked=False)


def _onto(
    model: Problem, theta: np.ndarray, free: np.ndarray, unit: np.ndarray, chosen: list[int], short: float
) -> _PointOnKink | None:
    """Newton's steps to the maximum on the surfaces: θ ← θ + b + Zγ, Ab = −g, ZᵀMZγ = Zᵀ(∇ℓ − Mb)."""
    moved = np.inf
    for turn in range(STEPS):
        gaps, normals = (table[chosen] for table in model.kink_gaps(theta))
        here = model.objective.evaluate(theta, Need(kinds=("expected", "observed")))
        if not here.finite:
            return None
        _, across, along = across_and_along(normals, free, unit)
        part = here.information["observed"]
        factor = on_plane(part, along, free) if along.shape[1] else None
        if factor is None and along.shape[1]:
            return None
        Y = across @ np.linalg.inv(normals @ across)
        step = -Y @ gaps
        if factor is not None:
            step = step + factor.solve(here.score - part.matrix @ step)
            Y = Y - factor.solve(part.matrix @ Y)
        before, moved = moved, float(np.sqrt(max(step @ part.matrix @ step, 0.0)))
        if turn and (moved <= short or moved >= 0.5 * before):
            return _PointOnKink(here, normals, along, Y, factor)
        theta = theta + step
    return None


def _inside(bounds: tuple[np.ndarray, np.ndarray] | None, theta: np.ndarray) -> bool:
    return bounds is None or bool(((theta >= bounds[0]) & (theta <= bounds[1])).all())


def _measure(objective: Objective, theta: np.ndarray) -> np.ndarray | None:
    """(p,) 1/√ of the diagonal of the expected information; None if it is not finite."""
    M = objective.evaluate(theta, Need(kinds=("expected",))).information["expected"].matrix
    if not np.isfinite(M).all():
        return None
    diagonal = np.diagonal(M)
    return np.where(diagonal > 0, 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 1.0)


def _chosen(gaps: np.ndarray, normals: np.ndarray, free: np.ndarray, errors: np.ndarray) -> list[int]:
    """The nearest surfaces with linearly independent normals."""
    scaled = np.where(free, normals, 0.0) * errors
    lengths = np.linalg.norm(scaled, axis=1)
    with np.errstate(all="ignore"):
        distance = np.where((lengths > 0) & np.isfinite(lengths), np.abs(gaps) / lengths, np.inf)
    chosen: list[int] = []
    basis = np.zeros((0, scaled.shape[1]))
    for i in np.argsort(distance, kind="stable"):
        if not distance[i] <= NEAR or len(chosen) == MOST:
            break
        direction = scaled[i] / lengths[i]
        left = direction - basis.T @ (basis @ direction)
        if np.linalg.norm(left) > 1e-6:
            chosen.append(int(i))
            basis = np.concatenate([basis, left[None] / np.linalg.norm(left)])
    return chosen


def _one_sided(objective: Objective, found: _PointOnKink, spread: float) -> np.ndarray | None:
    """The smallest descent across each surface, in standard errors; None if the objective does not fall."""
    here, D, M = found.here, found.across, found.here.information["observed"].matrix
    sizes = np.sqrt(np.maximum(np.einsum("pi,pq,qi->i", D, M, D), 0.0)) / spread
    if not (sizes > 0).all():
        return None
    unit = D / sizes
    slopes = np.full(D.shape[1], np.inf)
    for signs in product((1.0, -1.0), repeat=D.shape[1]):
        beside = objective.evaluate(here.theta + BESIDE * unit @ np.array(signs), Need())
        if not beside.finite or beside.value > here.value + value_noise(here):
            return None
        falls = -(beside.score @ unit) * signs / spread**2
        if not (falls > STEEP).all():
            return None
        slopes = np.minimum(slopes, falls)
    return slopes
