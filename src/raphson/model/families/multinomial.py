"""The multinomial family: log odds of each level of a categorical response against the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.random import Generator

from raphson.compat import jnp
from raphson.errors import DataError, ModelError
from raphson.model.families import joint_kernels, rows_by_hand
from raphson.model.families.base import Array, Family, Observations, Rows, refuse
from raphson.model.families.distribution import as_array
from raphson.model.families.links import Link, Logit
from raphson.model.families.structure import structured

if TYPE_CHECKING:
    from raphson.data import Response

_MOST_LEVELS = 1000
"""Levels of a response of numbers at most: a measured response has a level in every row, and each has a predictor."""

_CLOSE = 4096
"""Whole numbers that span less than this are counted: the counts take 32 KiB."""


@structured
class Multinomial(Family):
    """A response in one of L levels: log(P(level k)/P(first level)) = eta_k, K = L - 1 predictors.

    Parameters
    ----------
    link : str or Link
        "logit", the only one.
    levels : tuple of str, optional
        Levels of the response, the baseline first; filled in from the data.

    Examples
    --------
    >>> from raphson.model import families
    >>> families.Multinomial(levels=("bus", "car", "train")).n_predictors
    2
    """

    link: Link = None  # type: ignore[assignment]
    levels: tuple[str, ...] | None = None
    name: ClassVar[str] = "multinomial"
    default_link: ClassVar[str] = "logit"
    dispersion_fixed: ClassVar[bool] = True
    canonical_link: ClassVar[str] = "logit"
    joint_kernel: ClassVar[Any] = staticmethod(joint_kernels.multinomial)
    by_hand: ClassVar[Any] = staticmethod(rows_by_hand.multinomial)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.link, Logit):
            raise ModelError(f"link: expected 'logit', the only link of the multinomial family; got {self.link.name!r}")
        levels: Any = self.levels
        if isinstance(levels, list | np.ndarray):
            object.__setattr__(self, "levels", tuple(str(level) for level in levels))

    @property
    def n_predictors(self) -> int:
        if self.levels is None:
            raise ModelError("Multinomial: the levels are not known yet; they come from the response")
        return len(self.levels) - 1

    @property
    def predictor_labels(self) -> tuple[str, ...] | None:
        return None if self.levels is None else self.levels[1:]

    # --- traced ---------------------------------------------------------------------------------

    def inside(self, eta: Array) -> Array:
        return jnp.all(jnp.isfinite(eta), axis=0)

    def _parts(self, y: Array, eta: Array) -> tuple[Array, Array, Array]:
        # With eta_0 = 0 for the baseline and M the largest eta: log p_k = (eta_k - M) - log(1 + S), where S is
        # the sum of exp(eta_k - M) over all levels but the largest. For that level 1 - p is S/(1 + S); computed
        # as a difference it would be 0 from eta = 37 on.
        full = jnp.concatenate([jnp.zeros_like(eta[:1]), eta])
        largest = jnp.argmax(full, axis=0)
        shifted = full - jnp.max(full, axis=0)
        levels = jnp.arange(full.shape[0])[:, None]
        top = levels == largest
        power = jnp.exp(shifted)
        rest = jnp.sum(jnp.where(top, 0.0, power), axis=0)
        p = power / (1.0 + rest)
        complement = jnp.where(top, rest / (1.0 + rest), 1.0 - p)
        chosen = levels == y.astype(jnp.int32)
        value = jnp.sum(jnp.where(chosen, shifted, 0.0), axis=0) - jnp.log1p(rest)
        return value, p, complement

    def log_density(self, y: Array, eta: Array) -> Array:
        return self._parts(y, eta)[0]

    def mean(self, eta: Array) -> Array:
        return self._parts(jnp.zeros_like(eta[0]), eta)[1]

    def expected(self, eta: Array) -> Array:
        _, p, complement = self._parts(jnp.zeros_like(eta[0]), eta)
        return _covariance(p[1:], complement[1:])

    def rows(self, y: Array, eta: Array) -> Rows:
        # Canonical, in closed form: u_k = [y = k] - p_k, W = diag(p) - p p', d p_c / d eta_k the same.
        value, p, complement = self._parts(y, eta)
        k = jnp.arange(1, p.shape[0])[:, None]
        score = jnp.where(k == y.astype(jnp.int32), complement[1:], -p[1:])
        information = _covariance(p[1:], complement[1:])
        slope = jnp.concatenate([(-p[:1] * p[1:])[None], information])
        value = jnp.where(self.inside(eta), value, -jnp.inf)
        return Rows(value, score, information, information, p, slope)

    # --- on the host ------------------------------------------------------------------------------

    def prepare(self, response: Response, trials: np.ndarray | None = None) -> Observations:
        name = response.name
        values = np.asarray(response.values, dtype=np.float64)
        if trials is not None:
            raise DataError("trials: the multinomial family expects one category per row. Leave trials= out")
        if values.ndim != 1:
            raise DataError(f"response {name!r}: the multinomial family expects one column of categories")
        levels = response.levels
        if levels is None:
            refuse(name, values, ~np.isfinite(values), "finite numbers", "Correct or drop those rows")
            refuse(
                name,
                values,
                values != np.floor(values),
                "categories: text, a categorical column, or whole numbers",
                "Convert the response to categories",
            )
            found, values = _distinct(values)
            if len(found) > _MOST_LEVELS:
                raise DataError(
                    f"response {name!r}: expected categories; got {len(found)} different numbers. "
                    'Use another family for a numeric response, such as "gaussian" or "poisson"'
                )
            levels = tuple(f"{level:.0f}" for level in found)
        if len(levels) < 2:
            raise DataError(
                f"response {name!r}: expected two levels or more; got {len(levels)} "
                f"({', '.join(map(repr, levels)) or 'none'}). A response with one level has nothing to "
                "explain"
            )
        return Observations(values, None, tuple(levels), Multinomial(link=self.link, levels=tuple(levels)))

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        # (w [y = k] + 1/L)/(w + 1), the binomial's start for L levels
        count = self.n_predictors + 1
        chosen = np.arange(count)[:, None] == np.asarray(y)[None]
        return (weight * chosen + 1.0 / count) / (weight + 1.0)

    def start_eta(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        log_mean = np.log(self.start_mean(y, weight))
        return log_mean[1:] - log_mean[0]

    def variance(self, mean: np.ndarray) -> np.ndarray:
        """Var([y = k]) of each level, (C, n) as the mean."""
        mean = as_array(mean)
        return mean * (1.0 - mean)

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        return -2.0 * np.asarray(value)

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        return np.zeros(np.shape(y))

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        # One uniform number per row, compared with the cumulative probabilities.
        u = rng.random((count, mean.shape[1]))
        return np.sum(u[:, None] > np.cumsum(mean, axis=0)[:-1], axis=1).astype(np.float64)

    def recession(self, y: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
        """All 0: a direction of K predictors is not just a sign; the caller handles categories."""
        return np.zeros(np.shape(y), dtype=np.int8)


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different whole numbers in order, and which of them each value is, as doubles.

    Numbers that lie close together are counted, which takes a tenth of the time of sorting them.
    """
    lowest = values.min(initial=0.0)
    if not values.max(initial=0.0) - lowest < _CLOSE:
        found, place = np.unique(values, return_inverse=True)
        return found, place.astype(np.float64)
    codes = (values - lowest).astype(np.intp)
    there = np.bincount(codes) > 0
    return np.flatnonzero(there) + lowest, (np.cumsum(there) - 1.0)[codes]


def _covariance(p: Array, complement: Array) -> Array:
    # diag(p) - p p' (K, K, m), the diagonal as p (1 - p) with its own complement
    k = jnp.arange(p.shape[0])
    same = (k[:, None] == k[None])[..., None]
    return jnp.where(same, (p * complement)[None], -p[:, None] * p[None])
