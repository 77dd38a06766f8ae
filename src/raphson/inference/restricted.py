r"""Maxima under restrictions: on a plane Rθ = r by reparametrisation, on a curve h(θ) = 0 by Newton on the Lagrangian.

Both use only the value, score and information of an objective. On the plane, θ = θ₀ + Nγ with RN = 0. The score and the
information of γ are Nᵀ∇ℓ and NᵀMN, and the usual loop maximises over γ. On a curve the multipliers λ are further
unknowns: ∇ℓ = Hᵀλ, h = 0 with H = ∂h/∂θ (Nocedal and Wright 2006, section 18.1).
"""

# pyright: strict, reportConstantRedefinition=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from raphson.errors import ConvergenceError, ModelError
from raphson.linalg import cholesky
from raphson.model.objective import VALUE, DerivedObjective, Evaluation, Gram, Need, Objective, Root, projected
from raphson.model.walls import Walls
from raphson.newton.confined import MOST_ROUNDS, nearest
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS
from raphson.newton.solve import factorise

CLOSE = 1e-4
"""Distance to a restricted maximum, in standard errors, at which the log-likelihood is right to nine digits: it is off
by half the square of the distance, 5e-9."""

MOST_STEPS = 50
"""Steps at most of the search for a restricted maximum, of which Newton's last few double the digits."""

SHARES = (0.1, 1e-2, 1e-4, 1e-7)
"""Fractions of each row's distance to the boundary of the domain that a starting point has to keep, tried in turn."""

LONGEST = 20.0
"""Longest step towards a curve, in standard errors; the quadratic model is not valid farther out."""


class Constraint(Protocol):
    """A function h of the parameters, (q,), with its derivatives."""

    def value(self, theta: np.ndarray) -> np.ndarray:
        """h (q,)."""
        ...

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """∂h (q, p)."""
        ...

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """∂²h (q, p, p)."""
        ...


@dataclass(frozen=True)
class Restricted(DerivedObjective[Objective]):
    """An objective on the plane θ = origin + basis γ, as a function of γ (r,).

    It has no bounds, prior or projected parameters, as single parameters of θ cannot move alone. Outside the bounds of
    θ the objective is −∞.

    Attributes
    ----------
    origin : (p,) a point of the plane.
    basis : (p, r) columns that span it.
    """

    origin: np.ndarray
    basis: np.ndarray

    @property
    def bounds(self) -> None:
        return None

    @property
    def projected(self) -> None:
        return None

    @property
    def prior(self) -> None:
        return None

    @property
    def edges(self) -> None:
        return None

    @property
    def n_params(self) -> int:
        return self.basis.shape[1]

    @property
    def likelihood(self) -> Objective:
        return self

    def theta(self, gamma: np.ndarray) -> np.ndarray:
        """(p,) the point of the plane with coordinates γ."""
        return self.origin + self.basis @ gamma

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """Value, score Nᵀ∇ℓ and information NᵀMN at γ = `theta`."""
        full = evaluate_inside(self.inner, self.theta(theta), need)
        score = self.basis.T @ full.score
        parts = {kind: projected(part, self.basis) for kind, part in full.information.items()}
        return replace(full, theta=theta, score=score, information=parts, operator=None)

    def moved(self, theta: np.ndarray, step: np.ndarray, project: bool = True) -> np.ndarray:
        return theta + step

    def blocked(self, theta: np.ndarray, score: np.ndarray) -> None:
        return None

    @property
    def walled(self) -> bool:
        return self.inner.walled

    def walls(self, theta: np.ndarray, step: np.ndarray | None = None) -> Walls:
        """The walls of θ, restricted to the plane."""
        found = self.inner.walls(self.theta(theta), None if step is None else self.basis @ step)
        return found.on_plane(self.basis)

    def design_root(self, theta: np.ndarray) -> Root | None:
        design = self.inner.design_root(self.theta(theta))
        if design is None:
            return None
        root = projected(design, self.basis)
        assert isinstance(root, Root)
        return root


def evaluate_inside(objective: Objective, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
    """Evaluate the objective, which is −∞ outside its bounds."""
    bounds = objective.bounds
    if bounds is not None and ((theta < bounds[0]) | (theta > bounds[1])).any():
        return Evaluation(theta, -math.inf, np.zeros_like(theta), {}, 1.0, 0.0, objective.n_rows)
    return objective.evaluate(theta, need)


@dataclass(frozen=True)
class Maximum:
    """A maximum under a restriction.

    Attributes
    ----------
    theta : (p,).
    value : ℓ there, at unit dispersion.
    score : (p,) its gradient, orthogonal to the restriction.
    converged : whether it was reached.
    """

    theta: np.ndarray
    value: float
    score: np.ndarray
    converged: bool


def maximum_on_plane(
    objective: Objective,
    R: np.ndarray,
    r: np.ndarray,
    start: np.ndarray,
    free: np.ndarray,
    metric: np.ndarray | None = None,
) -> Maximum:
    """Maximise under Rθ = r.

    Parameters
    ----------
    objective : of θ (p,).
    R, r : (q, p) of full rank, and (q,).
    start : (p,) point near which to start, such as the unrestricted estimate.
    free : (p,) mask of the parameters that move; the others stay at `start`.
    metric : (p, p) information near `start`. The search starts at the point of the plane that is nearest to `start` in
        this metric, about one Newton step from the maximum; in the Euclidean metric if it is not positive definite.

    Raises
    ------
    ConvergenceError
        If the log-likelihood is finite at none of the starting points.
    """
    r = r - R[:, ~free] @ start[~free]
    R = R[:, free]
    scale = _scale(metric, free, start)
    Q = np.linalg.qr((R / scale).T, mode="complete")[0]
    basis = np.zeros((len(start), R.shape[1] - len(R)))
    basis[free] = Q[:, len(R) :] / scale[:, None]
    for origin in _inner_origins(objective, _origins(R, r, start, free, scale, metric), basis, start):
        plane = Restricted(objective, origin, basis)
        here = evaluate_inside(objective, origin)
        if not here.finite:
            continue
        if not basis.shape[1]:
            return Maximum(origin, here.value, here.score, True)
        found = None
        for method in ("newton", "fisher-scoring"):
            try:
                with np.errstate(all="ignore"):
                    result = maximize(plane, np.zeros(plane.n_params), METHODS[method])
            except ModelError:
                continue  # some likelihoods have no expected information
            if found is None or result.evaluation.value > found.evaluation.value:
                found = result
            if result.status.converged:
                break
        assert found is not None
        theta = plane.theta(found.theta)
        there = objective.evaluate(theta)
        converged = found.status.converged or found.distance < CLOSE
        return Maximum(theta, there.value, there.score, converged)
    raise ConvergenceError(
        "constraint: expected one that parameters with a finite log-likelihood can satisfy; none were found"
    )


def _scale(metric: np.ndarray | None, free: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(r,) the scale that makes each free parameter dimensionless: the root of its information, where known."""
    if metric is None:
        return 1.0 / np.maximum(np.abs(start[free]), 1.0)
    diagonal = np.abs(np.diagonal(metric)[free])
    return np.sqrt(np.where(diagonal > 0, diagonal, 1.0))


def _origins(
    R: np.ndarray, r: np.ndarray, start: np.ndarray, free: np.ndarray, scale: np.ndarray, metric: np.ndarray | None
) -> list[np.ndarray]:
    """Points of the plane: those nearest to `start` in the metric and in Euclidean distance, and that nearest to 0."""
    origins = []
    inner = start[free]
    factor = None if metric is None else cholesky(metric[np.ix_(free, free)])
    if factor is not None:
        half = factor.half_solve(R.T)
        origins.append(inner - factor.back_solve(half @ np.linalg.solve(half.T @ half, R @ inner - r)))
    for point in (inner, np.zeros_like(inner)):
        origins.append(point - np.linalg.lstsq(R / scale, R @ point - r, rcond=None)[0] / scale)
    out = []
    for origin in origins:
        # Project again, so that the restriction holds up to rounding.
        origin = origin - np.linalg.lstsq(R / scale, R @ origin - r, rcond=None)[0] / scale
        theta = start.copy()
        theta[free] = origin
        out.append(theta)
    return out


def _inner_origins(
    objective: Objective, origins: list[np.ndarray], basis: np.ndarray, start: np.ndarray
) -> Iterator[np.ndarray]:
    """The given points, then points that were moved into the domain of the means."""
    yield from origins
    if not objective.walled or not basis.shape[1]:
        return
    for share in SHARES:
        found = _brought_inside(objective, origins[0], basis, start, share)
        if found is not None:
            yield found


def _brought_inside(
    objective: Objective, origin: np.ndarray, basis: np.ndarray, inside: np.ndarray, share: float
) -> np.ndarray | None:
    """The point of the plane nearest to `origin` where every row keeps a `share` of its distance at `inside`."""
    factor = factorise(Gram(np.eye(basis.shape[1])))
    assert factor is not None
    theta, walls = origin, Walls.none(basis.shape[1])
    for _ in range(MOST_ROUNDS):
        assert objective.edges is not None
        beyond = objective.edges.outside(theta, inside, share)
        if not len(beyond):
            return theta
        # The room is measured from θ; measured from the origin it differs by the move from there to θ.
        more = Walls(beyond.normals, beyond.room + beyond.normals @ (theta - origin)).on_plane(basis)
        walls, before = walls.combined(more), len(walls)
        gamma = nearest(factor, np.zeros(basis.shape[1]), walls) if len(walls) > before else None
        if gamma is None:
            return None
        theta = origin + basis @ gamma
    return None


def maximum_on_curve(
    objective: Objective, function: Constraint, value: np.ndarray, start: np.ndarray, free: np.ndarray
) -> Maximum:
    """Maximise under h(θ) = value, by Newton's method on the Lagrangian with a merit function.

    With B = M + Σ λ_k ∂²h_k, the curvature of ℓ − λᵀ(h − value), a step solves

        [B  Hᵀ] [δ]   [    ∇ℓ   ]
        [H  0 ] [λ] = [value − h]

    (Nocedal and Wright 2006, equation 18.6). B is damped until it is positive definite along the curve, and the step is
    halved until −ℓ + μ Σ|h_k − value_k| falls (their equation 18.26).

    Parameters
    ----------
    objective : of θ (p,).
    function : h.
    value : (q,).
    start : (p,) where the log-likelihood is finite; it need not satisfy the restriction.
    free : (p,) mask of the parameters that move.

    Raises
    ------
    ConvergenceError
        If the log-likelihood is not finite at `start`, or no step helps far from a solution.
    """
    theta = start.copy()
    here = objective.evaluate(theta, Need(kinds=("observed",)))
    if not here.finite:
        raise ConvergenceError("constraint: the log-likelihood is not finite where the search starts")
    multipliers = np.zeros(len(value))
    penalty, converged = 0.0, False
    for _ in range(MOST_STEPS):
        gap = function.value(theta) - value
        H = function.jacobian(theta)[:, free]
        M_full = here.information["observed"].matrix
        M = M_full[np.ix_(free, free)]
        second = np.einsum("k,kij->ij", multipliers, function.hessian(theta))[np.ix_(free, free)]
        step, multipliers, length = _lagrangian_step(M, second, H, here.score[free], gap)
        move = np.zeros_like(theta)
        move[free] = step
        length /= math.sqrt(here.dispersion)
        # Powell's rule lets the penalty fall again after multipliers that were large far from the solution.
        largest = 1.5 * float(np.abs(multipliers).max(initial=0.0))
        penalty = max(largest, 0.5 * (penalty + largest))
        size, there = min(1.0, LONGEST / length if length > 0 else 1.0), None
        falls = float(here.score @ move) + penalty * float(np.abs(gap).sum())
        while size > 1e-12:
            there = evaluate_inside(objective, theta + size * move, Need(kinds=("observed",)))
            # Near the solution a full step is right, and the merit function changes only by rounding.
            if there.finite and (length < 1e-4 or _gains(here, there, function, value, gap, penalty, size * falls)):
                break
            if size == 1.0 and there.finite:
                # The merit function may reject a good step along the tangent, as the curve bends away from it (the
                # Maratos effect). A second-order correction, back to the curve, prevents that.
                correction = np.zeros_like(theta)
                scale = _scale(M_full, free, theta)
                missed = function.value(there.theta) - value
                correction[free] = -np.linalg.lstsq(H / scale, missed, rcond=None)[0] / scale
                nearer = evaluate_inside(objective, there.theta + correction, Need(kinds=("observed",)))
                if nearer.finite and _gains(here, nearer, function, value, gap, penalty, falls):
                    there, move = nearer, move + correction
                    break
            size /= 2.0
        else:
            break
        assert there is not None
        theta, here = theta + size * move, there
        if length < 1e-7:
            converged = True
            break
    return Maximum(theta, here.value, here.score, converged)


def _gains(
    here: Evaluation,
    there: Evaluation,
    function: Constraint,
    value: np.ndarray,
    gap: np.ndarray,
    penalty: float,
    falls: float,
) -> bool:
    rise = (
        there.value
        - here.value
        - penalty * float(np.abs(function.value(there.theta) - value).sum() - np.abs(gap).sum())
    )
    return rise >= 1e-4 * max(falls, 0.0)


def _lagrangian_step(
    M: np.ndarray, second: np.ndarray, H: np.ndarray, score: np.ndarray, gap: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """The step (r,), the multipliers (q,) and the step's length, scaled by the diagonal of the information.

    `second` is the second-order term Σ λ_k ∂²h_k.
    """
    diagonal = np.abs(np.diagonal(M))
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    q = len(H)
    Hs, s = H / scale, score / scale
    Q, T = np.linalg.qr(Hs.T, mode="complete")
    along, across, T = Q[:, q:], Q[:, :q], T[:q]
    normal = across @ np.linalg.solve(T.T, -gap)
    B = (M + second) / scale / scale[:, None]
    C, damping = along.T @ B @ along, 0.0
    factor = cholesky(C)
    while factor is None and damping < 1e8:
        damping = max(10.0 * damping, 1e-3)
        factor = cholesky(C + damping * np.eye(len(C)))
    step = normal if factor is None else normal + along @ factor.solve(along.T @ (s - B @ normal))
    multipliers = np.linalg.solve(T, across.T @ (s - B @ step))
    return step / scale, multipliers, float(np.linalg.norm(step))
