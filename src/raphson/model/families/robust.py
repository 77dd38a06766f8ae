"""Robust losses: M-estimation with a known scale.

    maximises  −Σ w_i ρ((y_i − η_i)/s)

with the ψ = ρ′ of Huber (1964, Ann. Math. Statist. 35, 73), of Cauchy's density, or of Tukey's biweight (Beaton and
Tukey 1974, Technometrics 16, 147), each tuned to 95% efficiency for normal errors. In place of the expected information
stands ψ(z)/z, the weight of iteratively reweighted least squares, which is never negative; the observed one is ψ′.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from raphson.compat import jnp
from raphson.errors import check_choice
from raphson.model.families.base import Array, Family, Rows
from raphson.model.families.links import Link
from raphson.model.families.structure import parameter, structured

NORMAL_MAD = 0.6744897501960817
"""Median of |z| for a standard normal z."""


class Robust(Family):
    """A location family with a robust loss and the scale s."""

    dispersion_fixed: ClassVar[bool] = True
    quasi: ClassVar[bool] = True
    default_link: ClassVar[str] = "identity"
    scale: float

    def __post_init__(self) -> None:
        super().__post_init__()
        parameter(self, "scale", self.scale, lambda s: s > 0, "a positive number")

    def loss(self, z: Array) -> tuple[Array, Array, Array]:
        """ρ(z), ψ(z)/z and ψ′(z)."""
        raise NotImplementedError

    def inside(self, eta: Array) -> Array:
        return jnp.isfinite(eta[0])

    def rows(self, y: Array, eta: Array) -> Rows:
        s, one = self.scale, jnp.ones_like(y)
        z = (y - eta[0]) / s
        rho, weight, bent = self.loss(z)
        value = jnp.where(self.inside(eta), -rho, -jnp.inf)
        return Rows(
            value,
            (weight * z / s)[None],
            (bent / s**2)[None, None],
            (weight / s**2)[None, None],
            eta,
            one[None, None],
        )

    def variance(self, mean: np.ndarray) -> np.ndarray:
        return np.full_like(mean, float(self.scale) ** 2)

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        return -2.0 * value

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.asarray(y, dtype=float)[None]

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        return np.full(np.shape(y), np.nan)


@structured
class Huber(Robust):
    """Square inside 1.345 s, absolute value outside."""

    link: Link = None  # type: ignore[assignment]
    scale: float = 1.0
    name: ClassVar[str] = "huber"

    def loss(self, z: Array) -> tuple[Array, Array, Array]:
        k = 1.345
        size = jnp.abs(z)
        inner = size <= k
        safe = jnp.where(inner, 1.0, size)
        return (
            jnp.where(inner, 0.5 * z * z, k * size - 0.5 * k * k),
            jnp.where(inner, 1.0, k / safe),
            jnp.where(inner, 1.0, 0.0),
        )


@structured
class Cauchy(Robust):
    """Minus the log density of a Cauchy distribution with scale 2.385 s."""

    link: Link = None  # type: ignore[assignment]
    scale: float = 1.0
    name: ClassVar[str] = "cauchy"

    def loss(self, z: Array) -> tuple[Array, Array, Array]:
        c2 = 2.385**2
        t = z * z / c2
        return 0.5 * c2 * jnp.log1p(t), 1.0 / (1.0 + t), (1.0 - t) / (1.0 + t) ** 2


@structured
class Tukey(Robust):
    """Biweight: residuals beyond 4.685 s have no influence at all."""

    link: Link = None  # type: ignore[assignment]
    scale: float = 1.0
    name: ClassVar[str] = "tukey"

    def loss(self, z: Array) -> tuple[Array, Array, Array]:
        c2 = 4.685**2
        t = jnp.minimum(z * z / c2, 1.0)
        left = 1.0 - t
        return c2 / 6.0 * (1.0 - left**3), left**2, left * (1.0 - 5.0 * t)


LOSSES: dict[str, type[Robust]] = {"huber": Huber, "cauchy": Cauchy, "tukey": Tukey}


def resolve_loss(loss: str, scale: float) -> Robust:
    """The family of a loss, by name.

    Raises
    ------
    ModelError
        For an unknown name.
    """
    check_choice("loss", loss, tuple(LOSSES))
    return LOSSES[loss](None, scale)  # type: ignore[call-arg]


def robust_scale(residuals: np.ndarray) -> float:
    """s = median |r| / 0.6745, which for normal errors estimates their standard deviation."""
    return float(np.median(np.abs(residuals)) / NORMAL_MAD)


def preliminary_scale(residuals: np.ndarray, n_params: int) -> float:
    """The M-scale of Yohai (1987, Ann. Statist. 15, 642): the s at which Σ ρ(r_i/s) is half of (n − p) max ρ.

    ρ is the biweight with the constant 1.547, so that s is σ for normal errors. Up to half of the rows may be outliers,
    however far away. n − p allows for a curve that passes through p rows (Maronna, Martin and Yohai 2006, Robust
    Statistics, section 5.7).

    Returns
    -------
    s; 0 where so many residuals are 0 that no s satisfies the equation
    """
    from scipy.optimize import brentq

    size = np.abs(residuals)
    wanted = 0.5 * max(len(size) - n_params, 1)
    if np.count_nonzero(size) <= wanted:
        return 0.0

    def excess(logarithm: float) -> float:
        t = np.minimum((size / (1.547 * np.exp(logarithm))) ** 2, 1.0)
        return float(np.sum(1.0 - (1.0 - t) ** 3) - wanted)

    some = np.log(size[size > 0])
    return float(np.exp(brentq(excess, some.min() - 8.0, some.max() + 8.0, xtol=1e-12)))  # type: ignore[arg-type]
