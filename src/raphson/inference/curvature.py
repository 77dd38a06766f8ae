r"""Curvature of a least-squares fit: the measures of Bates and Watts, Box's bias, Hougaard's skewness.

Wald intervals and standard errors approximate the expectation surface η(θ) by a plane, and the parameter lines on it by
a straight, even grid. With J = QR and H_i = ∂²η_i/∂θ², the accelerations in orthonormal tangent coordinates are

    A_i = R⁻ᵀ H_i R⁻¹,    (n, p, p)

The tangential part, QQᵀA, is the curvature of the parameter lines, which depends on the parametrisation. The normal
part, (I − QQᵀ)A, is the curvature of the surface itself. Multiplied by ρ = s√p they are dimensionless; multiplied by
√F(p, ν; level) they are relative to the radius of the joint confidence region (Bates and Watts 1980, J. R. Statist.
Soc. B 42, 1, sections 2.2-2.4; 1988, Nonlinear Regression Analysis and Its Applications, section 7.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson import scipy_special as special
from raphson.linalg import column_squares
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 0.5
"""Curvature times √F up to which the linear approximation is adequate: over the confidence region the plane is then
within about 15% of the surface (Bates and Watts 1980, section 2.5; Ratkowsky 1983, Nonlinear Regression Modeling,
section 2.6: 1/(2√F))."""

MAX_ITERATIONS = 200
"""Steps of the power iteration for the direction of greatest curvature."""


@dataclass(frozen=True)
class Curvature(InNotebook):
    """Bates and Watts's relative curvatures, each times √F; below ½ the linear approximation is adequate.

    Attributes
    ----------
    intrinsic, parameter_effects : root mean square over all directions; R's ``MASS::rms.curv`` gives the same.
    max_intrinsic, max_parameter_effects : in the direction of greatest curvature.
    root_f : √F(p, ν; level), the factor of all four.
    level : coverage of the joint confidence region.
    bias : Box's approximate bias of each estimate (1971, J. R. Statist. Soc. B 33, 171, equation 2.24).
    skewness : Hougaard's approximate skewness of each estimate (1985, J. R. Statist. Soc. B 47, 103); in absolute value
        below 0.1 it is nearly symmetric, above 0.25 visibly skewed (Ratkowsky 1990).
    """

    intrinsic: float
    parameter_effects: float
    max_intrinsic: float
    max_parameter_effects: float
    root_f: float
    level: float
    bias: pd.Series = field(repr=False)
    skewness: pd.Series = field(repr=False)

    @property
    def linear(self) -> bool:
        """Whether both root mean squares are below ½, so that Wald intervals and ellipses can be trusted."""
        return bool(max(self.intrinsic, self.parameter_effects) < LIMIT)

    @property
    def verdict(self) -> str:
        """What this means for the intervals, as a sentence."""
        if not self.intrinsic < LIMIT:
            return (
                "the expectation surface is curved over the confidence region: neither Wald nor profile intervals have "
                "the nominal coverage; use the bootstrap"
            )
        if not self.parameter_effects < LIMIT:
            return (
                "the parameter lines are curved over the confidence region: use profile intervals, which do not depend "
                "on the parametrisation, or other parameters"
            )
        return "the curve is close to linear over the confidence region: Wald intervals are adequate"

    def _sheet(self) -> Sheet:
        rows = [
            ("intrinsic", self.intrinsic, self.max_intrinsic),
            ("parameter effects", self.parameter_effects, self.max_parameter_effects),
        ]
        grid = Grid(("", "root mean square", "greatest"), tuple((n, f"{a:.4f}", f"{b:.4f}") for n, a, b in rows))
        title = f"Curvature times √F (1 is as curved as the {100 * self.level:g}% region is wide)"
        return Sheet(title, (), [grid], [Note(f"{self.verdict[:1].upper()}{self.verdict[1:]}.")])

    def __repr__(self) -> str:
        return (
            f"Curvature times √F (1 is as curved as the {100 * self.level:g}% region is wide):\n"
            f"  intrinsic          {self.intrinsic:.4f} (greatest {self.max_intrinsic:.4f})\n"
            f"  parameter effects  {self.parameter_effects:.4f} (greatest {self.max_parameter_effects:.4f})\n"
            f"{self.verdict}"
        )


def relative_curvatures(
    J: np.ndarray, H: np.ndarray, dispersion: float
) -> tuple[np.ndarray, np.ndarray, tuple[float, float], tuple[float, float]]:
    """Bias, skewness, and (root mean square, maximum) of the intrinsic and of the parameter-effects curvature.

    Parameters
    ----------
    J : (n, p), ∂η/∂θ, rows times √w; of full rank.
    H : (n, p, p), ∂²η/∂θ², rows times √w.
    dispersion : s².

    Examples
    --------
    A circle of radius 2 has the curvature ½, all of it intrinsic; here s√p is 1.

    >>> _, _, intrinsic, effects = relative_curvatures(np.array([[0.0], [2.0]]), np.array([[[-2.0]], [[0.0]]]), 1.0)
    >>> float(intrinsic[1]), float(effects[1])
    (0.5, 0.0)
    """
    n, p = J.shape
    scale = np.sqrt(column_squares(J))
    Q, R = np.linalg.qr(J / scale)
    T = np.linalg.inv(R) / scale[:, None]  # θ = T z, with z the coordinates along the columns of Q
    A = T.T @ H @ T
    flat = A.reshape(n, p * p)
    tangential = Q.T @ flat
    normal = flat - Q @ tangential
    normal -= Q @ (Q.T @ normal)
    radius = np.sqrt(dispersion * p)
    measures = [
        (radius * _root_mean_square(part.reshape(-1, p, p)), radius * _greatest(part.reshape(-1, p, p)))
        for part in (normal, tangential)
    ]
    B = tangential.reshape(p, p, p)
    bias = -0.5 * dispersion * T @ np.einsum("qkk->q", B)
    # Hougaard's third moment in the coordinates z is −s⁴ (B_jkl + B_kjl + B_ljk); T transforms it to θ_i.
    third = np.einsum("ij,ik,il,jkl->i", T, T, T, B + B.transpose(1, 0, 2) + B.transpose(1, 2, 0))
    spread = np.einsum("ij,ij->i", T, T)
    skewness = -np.sqrt(dispersion) * third / spread**1.5
    return bias, skewness, measures[0], measures[1]


def _root_mean_square(A: np.ndarray) -> float:
    """√ of the mean of ‖A(d, d)‖² over the unit sphere, Σ_i (2 Σ a_ijk² + (Σ a_ijj)²)/(p(p + 2))."""
    p = A.shape[-1]
    traces = np.einsum("ijj->i", A)
    return float(np.sqrt((2.0 * np.einsum("ijk,ijk->", A, A) + traces @ traces) / (p * (p + 2))))


def _greatest(A: np.ndarray) -> float:
    """max ‖A(d, d)‖ over unit d: power iteration d ← g/‖g‖, g_k = Σ_i A_i(d, d) (A_i d)_k, from many directions."""
    p = A.shape[-1]
    # A rotation of the rows changes no length, so QR reduces them to at most p(p + 1)/2.
    A = np.asarray(np.linalg.qr(A.reshape(len(A), p * p), mode="r")).reshape(-1, p, p)
    A = 0.5 * (A + A.transpose(0, 2, 1))
    vectors = np.linalg.eigh(np.einsum("ijk,ikl->jl", A, A))[1]
    draws = np.random.default_rng(0).normal(size=(p, 8 * p))
    D = np.concatenate([np.eye(p), vectors, draws / np.linalg.norm(draws, axis=0)], axis=1)
    best = np.zeros(D.shape[1])
    for _ in range(MAX_ITERATIONS):
        AD = np.einsum("ijk,kd->ijd", A, D)
        acceleration = np.einsum("ijd,jd->id", AD, D)
        value = np.sqrt(np.einsum("id,id->d", acceleration, acceleration))
        if (value <= best * (1.0 + 1e-12)).all():
            break
        best = np.maximum(best, value)
        step = np.einsum("id,ijd->jd", acceleration, AD)
        length = np.linalg.norm(step, axis=0)
        # Adding half of d keeps a direction that maps to its opposite from oscillating.
        D = np.where(length > 0, step / np.where(length > 0, length, 1.0), 0.0) + 0.5 * D
        D /= np.linalg.norm(D, axis=0)
    return float(best.max(initial=0.0))


def curvature_of(
    J: np.ndarray, H: np.ndarray, dispersion: float, df: float, level: float, names: list[str], free: np.ndarray
) -> Curvature:
    """The measures of a fit, for its free parameters.

    Parameters
    ----------
    J, H : as for :func:`relative_curvatures`, for all p parameters.
    dispersion, df : s² and its degrees of freedom.
    level : coverage of the joint region.
    names, free : (p,) names of the parameters, and mask of the estimated ones.
    """
    import pandas as pd

    chosen = np.flatnonzero(free)
    bias, skewness, intrinsic, effects = relative_curvatures(
        J[:, chosen], H[:, chosen[:, None], chosen[None, :]], dispersion
    )
    root_f = float(np.sqrt(special.fdtri(len(chosen), df, level)))

    def of_all(values: np.ndarray) -> Any:
        out = np.full(len(names), np.nan)
        out[chosen] = values
        return pd.Series(out, index=names)

    return Curvature(
        float(intrinsic[0] * root_f),
        float(effects[0] * root_f),
        float(intrinsic[1] * root_f),
        float(effects[1] * root_f),
        root_f,
        level,
        of_all(bias),
        of_all(skewness),
    )
