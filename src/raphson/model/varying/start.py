r"""Where the outer iteration starts: a few steps of expectation and maximisation from moderate shrinkage.

Given the mode, the second moments of a level's coefficients are Λ(û ûᵀ + [H⁻¹]_uu)Λᵀ, and their mean over the levels is
the next ΛΛᵀ; likewise the dispersion. Each step raises the criterion of a normal response, but the last ones are slow,
where Newton's are fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.model.varying.criterion import Criterion, Inner
from raphson.model.varying.interior import interior, weighted_fit, weights
from raphson.model.varying.mode import sum_of_squares

EM_STEPS, SETTLED = 2, 0.1
"""Largest number of the steps, and the largest change of the logarithm of an entry or of τ after which no more are
taken: from there Newton's are better."""

HALVINGS = 10
"""Of the standard deviations, until there is a mode."""


def starting_values(criterion: Criterion, beta: np.ndarray | None = None) -> np.ndarray:
    """θ to start the outer iteration from.

    Where a link has a domain there may be no mode inside of it; the less coefficients vary, the nearer it is to that of
    the model in which none does.

    Parameters
    ----------
    beta : coefficients without the varying terms; None for those of the family's own start.
    """
    theta = _after_steps(criterion, beta)
    if criterion.at(theta) is not None:
        return theta
    own, nearer = criterion.own_entries, theta.copy()
    for _ in range(HALVINGS):
        nearer[own] *= 0.5
        if criterion.p and beta is not None:
            nearer[: criterion.p] = beta
        elif criterion.p:
            tau = float(theta[-1]) if criterion.density.has_tau else 0.0
            nearer[: criterion.p] = interior(criterion.density, criterion.X, criterion.offset[0], tau)
        if criterion.at(nearer) is not None:
            return nearer
    return theta


def _after_steps(criterion: Criterion, beta: np.ndarray | None) -> np.ndarray:
    density = criterion.density
    # the coefficients β are found with the others, whichever of the criteria is to be maximised
    joint = criterion.joint
    theta = np.zeros(joint.n_params)
    if beta is None:
        beta, each = _of_family(joint, theta)
    else:
        each = _of_coefficients(joint, beta)
    for scale, term in zip(joint.scales, criterion.terms, strict=True):
        level = each[term.predictor] @ term.columns**2 / term.n_levels
        sizes = 1.0 / np.sqrt(np.where(level > 0, level, 1.0))
        if scale.structure == "common":
            theta[scale.own] = 1.0 / np.sqrt(float(np.mean(level)) or 1.0)
        else:
            theta[scale.own] = scale.entries(np.diag(sizes**2))
    v = np.zeros(joint.layout.size)
    fixed = joint.layout.place_of_fixed
    v[fixed] = beta
    if density.n_predictors > 1:  # elsewhere some density may be 0
        joint.begin = v.copy()
        criterion.begin = criterion.own_part(joint.begin)
    for _ in range(EM_STEPS):
        problem = Inner(joint, theta)
        mode = problem.climb(v, 2)
        if mode is None:
            break
        v, before = mode.v, theta
        theta = _expected(joint, theta, mode)
        with np.errstate(all="ignore"):
            moved = np.abs(np.log(np.abs(theta[: joint.n_entries] / before[: joint.n_entries])))
        if np.nanmax(moved, initial=0.0) < SETTLED:
            break
    return theta if criterion.restricted else np.concatenate([v[fixed], theta])


def _of_family(joint: Criterion, theta: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Coefficients and weights of one predictor by the family's own start, which sets the τ in θ."""
    density = joint.density
    with np.errstate(all="ignore"):
        eta = density.family.start_eta(density.y, density.weight)
    if density.joint:
        theta[-1] = float(eta[1][0])
    if density.scaled:
        theta[-1] = _first_dispersion(density, joint, eta[0])
    tau = float(theta[-1]) if density.has_tau else 0.0
    return interior(density, joint.X, joint.offset[0], tau), [weights(density, eta[0], tau)]


def _of_coefficients(joint: Criterion, beta: np.ndarray) -> list[np.ndarray]:
    """The weights of each predictor at some coefficients, 0 where they are none."""
    shift = [X @ beta[own] for X, own in zip(joint.designs, joint.columns_of, strict=True)]
    rows = joint.density.at(joint.offset + np.stack(shift), 0.0, 2, joint.layout.predictors)
    found = [rows.weight.at(a, a) for a in range(joint.density.n_predictors)]
    return [np.zeros(joint.n_rows) if one is None else np.where(one > 0, one, 0.0) for one in found]


def _first_dispersion(density: Any, joint: Criterion, eta: np.ndarray) -> float:
    """log φ from the residuals of the fit without terms that vary."""
    weight = weights(density, eta, 0.0)
    fit = joint.offset[0] + joint.X @ weighted_fit(joint.X, eta - joint.offset[0], weight)
    mean = sum_of_squares(density.at(fit[None], 0.0, 2)) / max(float(np.sum(density.present)), 1.0)
    return float(np.log(mean)) if np.isfinite(mean) and mean > 0 else 0.0


def _expected(joint: Criterion, theta: np.ndarray, mode: Any) -> np.ndarray:
    """The next θ of expectation and maximisation."""
    out, layout = theta.copy(), joint.layout
    factors = joint.factors(theta)
    for k, piece in enumerate(layout.pieces):
        if piece.term is None:
            continue
        scale, L = joint.scales[piece.term], factors[k]
        assert L is not None
        u = mode.v[layout.slices[k]].reshape(piece.levels, piece.width)
        spread = (u.T @ u + mode.factor.total(k)) / piece.levels
        out[scale.own] = scale.entries(L @ spread @ L.T)
    if joint.density.scaled:
        n = max(float(np.sum(joint.density.present)), 1.0)
        used = layout.size - sum(mode.factor.trace(k) for k, one in enumerate(layout.pieces) if one.term is not None)
        # squares are in units of φ: their sum is n less the degrees of freedom at the right one
        ratio = (mode.sum_of_squares + used) / n
        if np.isfinite(ratio) and ratio > 0:
            out[-1] += float(np.log(ratio))
    return out
