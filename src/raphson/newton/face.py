r"""The face of the domain that a maximum lies on: the proof that it is a maximum, and its uncertainty.

On the face A d = 0 the parameters move by d = Zγ. There the maximum is like any other, with the information ZᵀMZ and
the covariance Z(ZᵀMZ)⁻¹Zᵀ. Across the face the estimate is not normal. If the boundary moved by t, A d = t, the maximum
would move with it by

    D t,   D = Y − Z(ZᵀMZ)⁻¹ZᵀMY,   AY = I

so a parameter with a nonzero row of D is determined by the boundary and has no standard error. A parameter with a zero
row is where it would be without the boundary, and keeps its standard error.
"""

# pyright: strict, reportConstantRedefinition=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raphson.model.objective import Gram, Need, Objective, projected
from raphson.model.walls import Walls
from raphson.newton.solve import factorise

SPANNED = 1e-9
"""Relative size below which a wall's normal, after projecting out the other walls, is rounding, some ε. From 1e-13 to
1e-3 nothing changes for four models at the edge, binomial with a log link and Poisson with an identity link."""

FLAT = 1e-12
"""Squared pivot of the information along a face below which ℓ counts as flat: a pivot of 1e-6, of which rounding is
1e-10. From 1e-16 to 1e-6 nothing changes for the same four models."""

MOVED = 1e-7
"""Size, relative to the largest move, below which a parameter does not move with the boundary. From 1e-12 to 1e-3
nothing changes for six models at the edge; at 0.1 a parameter that the edge determines gets a standard error."""


@dataclass(frozen=True)
class Face:
    """A face, and the multipliers of its walls.

    Attributes
    ----------
    normals : (m, p) of its walls.
    multipliers : (m,) λ ≥ 0 that minimise the residual ∇ℓ − Σ λ_i a_i.
    residual : its length, in standard errors along the face and in units of the scores across it.
    basis : (p, r) Z.
    follows : (p, q) D.
    affected : (p,) mask of the parameters that the boundary determines.
    curved : whether ℓ is strictly concave along the face; if not, other points of it may be equally high.
    """

    normals: np.ndarray
    multipliers: np.ndarray
    residual: float
    basis: np.ndarray
    follows: np.ndarray
    affected: np.ndarray
    curved: bool

    def basis_of(self, n: int) -> np.ndarray:
        """(n, ·) Z for the first n parameters alone, if the walls involve no others."""
        if n == len(self.basis):
            return self.basis
        U, s, _ = np.linalg.svd(self.basis[:n], full_matrices=False)
        return U[:, s > SPANNED * s.max(initial=0.0)]


def face_of(objective: Objective, theta: np.ndarray, free: np.ndarray, walls: Walls) -> Face | None:
    """The face that θ lies on; None if the objective is not finite there."""
    from scipy.optimize import nnls

    here = objective.evaluate(theta, Need(kinds=("observed", "opg")))
    if not here.finite:
        return None
    M, across = here.information["observed"].matrix, here.information["opg"].matrix
    diagonal = np.diagonal(np.abs(M) + across)
    unit = np.where(diagonal > 0, 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 1.0)
    lengths = np.linalg.norm((walls.normals * unit)[:, free], axis=1)
    A, Y, Z = across_and_along(walls.normals, free, unit)
    factor = factorise(projected(Gram(M), Z)) if Z.shape[1] else None
    curved = not Z.shape[1] or (factor is not None and factor.smallest_pivot**2 > FLAT)
    if not curved:
        M = M + 1e-6 * across
        factor = factorise(projected(Gram(M), Z))
    follows = Y - Z @ factor.solve(Z.T @ (M @ Y)) if factor is not None else Y
    moves = np.linalg.norm(follows / unit[:, None], axis=1)
    affected = free & (moves > MOVED * moves.max(initial=0.0))
    follows[~affected] = 0.0
    # The residual score is measured by M along the face, and in units of the scores across it.
    multipliers, missed = nnls(A.T, (here.score * unit)[free])
    along = factor.half_solve(Z.T @ here.score) if factor is not None else np.zeros(0)
    full = np.zeros(len(lengths))
    full[lengths > 0] = multipliers / lengths[lengths > 0]
    residual = max(float(missed), float(np.linalg.norm(along))) / np.sqrt(here.dispersion)
    return Face(walls.normals, full, float(residual), Z, follows, affected, curved)


def across_and_along(
    normals: np.ndarray, free: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The normals (m, p) of a plane, scaled to length 1 in the given units; Y (p, k) across it; Z (p, r) along it."""
    A = (normals * unit)[:, free]
    lengths = np.linalg.norm(A, axis=1)
    A = A[lengths > 0] / lengths[lengths > 0, None]
    _, s, V = np.linalg.svd(A, full_matrices=True)
    rank = int(np.count_nonzero(s > SPANNED * s.max(initial=0.0)))
    return A, *(_placed(part.T, free, unit) for part in (V[:rank], V[rank:]))  # type: ignore[return-value]


def _placed(columns: np.ndarray, free: np.ndarray, unit: np.ndarray) -> np.ndarray:
    out = np.zeros((len(free), columns.shape[1]))
    out[free] = columns
    return out * unit[:, None]
