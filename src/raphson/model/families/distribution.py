"""What models ask of the distribution of their response, whether it is a family or a user's likelihood."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from raphson.errors import ModelError
from raphson.model.families.tails import Tails


def as_array(values: Any) -> Any:
    """Numbers as an array: one of JAX, traced ones among them, as it is, anything else as NumPy's.

    What is written with the operators of arrays alone then serves the host and a traced function.
    """
    return values if hasattr(values, "__array_namespace__") else np.asarray(values)


class Distribution:
    """The distribution of a response as models, the iteration and the Fit see it.

    Attributes
    ----------
    name : str
    n_predictors : int
        K: the number of linear predictors of a row.
    dispersion_fixed : bool
        Whether the dispersion is known to be 1.
    quasi : bool
        Whether only mean and variance are specified, and the log-likelihood is NaN.
    dispersion_is_mean_deviance : bool
        Whether the maximum likelihood dispersion is the deviance over the number of rows.
    dispersion_in_deviances : tuple of float
        A range that the maximum likelihood dispersion is in, or near, in units of the deviance over the number of rows.
    auxiliary : tuple of str
        Predictors beyond the mean's, each with an intercept only.
    levels : tuple of str or None
        Levels of a categorical response.
    link_name : str or None
    canonical, log_concave : bool
        What is known of the log density as a function of the linear predictors.
    complete : bool
        Whether the rows' values are the full log density, so that nothing has to be added.
    sufficient : bool
        Whether the log density is w (y a(μ) − b(μ)) and a term without μ, so that rows of one mean count as their
        average response with the sum of their weights.
    """

    name: str
    levels: tuple[str, ...] | None = None
    link_name: str | None = None
    dispersion_fixed: ClassVar[bool] = False
    quasi: ClassVar[bool] = False
    dispersion_is_mean_deviance: ClassVar[bool] = False
    dispersion_in_deviances: ClassVar[tuple[float, float]] = (0.5, 2.0)
    canonical: bool = False
    log_concave: bool = False
    complete: ClassVar[bool] = False
    sufficient: ClassVar[bool] = False

    @property
    def n_predictors(self) -> int:
        return 1

    @property
    def auxiliary(self) -> tuple[str, ...]:
        return ()

    support: ClassVar[str | None] = None
    """For prediction intervals: "real", "count", "proportion", "nonnegative", or None where there are none."""

    main_information: ClassVar[str] = "expected"
    """The kind of information used for certificates, leverages and effective degrees of freedom."""

    own_rows: ClassVar[Any] = None
    """A function (block, eta) that replaces the compiled rows shared by all families, or None."""

    traced_step: ClassVar[Any] = None
    """What `own_rows` computes as a traced function (η, weight, row arrays, curved), or None where it takes NumPy."""

    bounds_deviance: ClassVar[bool] = False
    """Whether minus twice the rows' values is their deviance, or more."""

    by_hand: ClassVar[Any] = None
    """The rows in NumPy (:mod:`raphson.model.families.rows_by_hand`), which replace compiled ones in this class, not in
    a class that is derived from it; or None."""

    @property
    def quadratic(self) -> bool:
        """Whether the log density is a quadratic function of eta."""
        return False

    @property
    def unit_information(self) -> bool:
        """Whether the expected information of a row of weight 1 is 1, whatever eta is."""
        return False

    kernel: ClassVar[Any] = None
    """The rows by hand, for passes over many of them (:mod:`raphson.model.families.kernels`), or None."""

    joint_kernel: ClassVar[Any] = None
    """The same with several predictors (:mod:`raphson.model.families.joint_kernels`), or None."""

    host_mean: ClassVar[Any] = None
    """The mean as a NumPy function of eta for some families with one predictor and the canonical link, else None. Where
    only score y - mean and information V(mean) are needed, NumPy is then faster than compiled code."""

    @property
    def predictor_labels(self) -> tuple[str, ...] | None:
        """Names of the predictors where a response has several, or None."""
        return None

    @property
    def domain(self) -> tuple[float, float]:
        """The ends of the first linear predictor's domain, possibly infinite."""
        return (-np.inf, np.inf)

    def variance(self, mean: np.ndarray) -> np.ndarray:
        """Var(y) at unit dispersion and unit weight, as a function of the mean."""
        raise NotImplementedError

    def unit_deviance(self, y: np.ndarray, mean: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Twice the log density lost relative to a perfect fit, per row at unit weight: (n,), never negative.

        Parameters
        ----------
        y, mean : (n,) arrays
            Responses and fitted means; a multinomial mean is (C, n).
        value : (n,) array
            The rows' ``value`` at the fit, which keeps its digits where the mean is rounded to 0 or 1.
        """
        raise NotImplementedError

    def log_normalizer(
        self,
        y: np.ndarray,
        weight: np.ndarray | None,
        size: np.ndarray | None,
        dispersion: float,
        weights_kind: str = "precision",
    ) -> np.ndarray:
        """The terms of the full log density that the rows' values omit.

        The log-likelihood is ``sum(weight * size * value / dispersion + log_normalizer)``.

        Parameters
        ----------
        y : (n,) array
        weight : (n,) array or None
            None stands for ones. Rows of weight 0 get 0.
        size : (n,) array or None
            Numbers of trials.
        dispersion : float
            Of the log-likelihood: that of :meth:`ml_dispersion`.
        weights_kind : {"precision", "frequency", "sampling"}
            Precision weights divide the dispersion of their row, inside the density. The others
            count copies of a row: they multiply.

        Returns
        -------
        (n,) array
            NaN for quasi families.
        """
        return self._over_weights(self.log_base, y, weight, size, dispersion, weights_kind)

    def atoms(self, y: np.ndarray) -> np.ndarray:
        """(n,) mask of the responses that have a probability of their own in a family whose others have densities."""
        return np.zeros(np.shape(y), dtype=bool)

    def log_saturated(
        self,
        y: np.ndarray,
        weight: np.ndarray | None,
        size: np.ndarray | None,
        dispersion: float,
        weights_kind: str = "precision",
    ) -> np.ndarray:
        """The log density (n,) of the saturated model, whose mean is y.

        The log-likelihood is ``sum(log_saturated - weight * size * unit_deviance / (2 * dispersion))``. It has no terms
        of the size of y log y, beside which counts of 10¹⁵ would lose all other digits (Loader 2000, "Fast and accurate
        computation of binomial probabilities"). Arguments as for :meth:`log_normalizer`.
        """
        return self._over_weights(self.saturated_base, y, weight, size, dispersion, weights_kind)

    def _over_weights(
        self,
        base: Any,
        y: np.ndarray,
        weight: np.ndarray | None,
        size: np.ndarray | None,
        dispersion: float,
        weights_kind: str,
    ) -> np.ndarray:
        """From a term for precision weights to that for the given kind of weights."""
        y = np.asarray(y, dtype=np.float64)
        if self.quasi:
            return np.full(y.shape, np.nan)
        if weight is None:
            weight = np.ones_like(y)
        # Rows of weight 0 do not count; a weight of 1 in its place avoids warnings from logarithms.
        present = weight > 0
        if weights_kind == "precision":
            inner, outer = np.where(present, weight, 1.0), 1.0
        else:
            inner, outer = np.ones_like(y), weight
        return np.where(present, outer * base(y, inner, size, dispersion), 0.0)

    def log_base(self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float) -> np.ndarray:
        """:meth:`log_normalizer` of precision weights, all positive."""
        raise NotImplementedError

    def saturated_base(
        self, y: np.ndarray, weight: np.ndarray, size: np.ndarray | None, dispersion: float
    ) -> np.ndarray:
        """:meth:`log_saturated` of precision weights, all positive; the normaliser itself where the value is −½ d."""
        return self.log_base(y, weight, size, dispersion)

    @property
    def value_has_counts(self) -> bool:
        """Whether the rows' value has terms of the size of y log y, which the normaliser cancels."""
        return False

    def dispersion_of(self, deviance: float, y: np.ndarray, weight: np.ndarray, weights_kind: str) -> float:
        """The dispersion that maximises the log-likelihood, from the weighted deviance."""
        return 1.0

    wider_families: ClassVar[tuple[str, ...]] = ()
    """Names of families for overdispersed responses, the quasi family first; empty if the dispersion is estimated."""

    def spread(self, y: np.ndarray, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Each row's term of the test for overdispersion, with its moments; see :mod:`raphson.model.spread`.

        Parameters
        ----------
        y, mean : (n,)
        count : (n,) numbers of observations, or trials, in each row.

        Returns
        -------
        (3, n) array
        """
        raise NotImplementedError

    def ml_dispersion(
        self, y: np.ndarray, mean: np.ndarray, weight: np.ndarray | None, weights_kind: str = "precision"
    ) -> float:
        """The dispersion that maximises the log-likelihood at fixed means; 1 where it is fixed, NaN without one."""
        return float("nan") if self.quasi and not self.dispersion_fixed else 1.0

    def cdf(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """P(Y < y) and P(Y <= y), for randomised quantile residuals; equal for a continuous response.

        ``dispersion`` may be one number or one per row (dispersion over precision weight).
        """
        raise ModelError(
            f"the {self.name} family has no distribution function, which prediction intervals and quantile residuals "
            "need; see interval='confidence' and residuals('deviance')"
        )

    def log_tails(
        self, y: np.ndarray, mean: np.ndarray, dispersion: float | np.ndarray, size: np.ndarray | None = None
    ) -> Tails:
        """log P(Y < y), log P(Y <= y), log P(Y >= y) and log P(Y > y), each (n,), accurate however far out.

        Arguments as for :meth:`cdf`.
        """
        raise ModelError(f"the {self.name} family has no distribution function, which quantile residuals need")

    def sample(
        self, rng: Generator, eta: np.ndarray, mean: np.ndarray, scale: np.ndarray, size: np.ndarray | None, count: int
    ) -> np.ndarray:
        """Draw responses (count, n).

        Parameters
        ----------
        rng : source of randomness.
        eta : (K, n) linear predictors.
        mean : (C, n) means.
        scale : (n,) dispersion over precision weight.
        size : (n,) numbers of trials, or None.
        count : responses of each row.

        Raises
        ------
        ModelError
            If the family has no distribution to draw from.
        """
        raise ModelError(f"simulate: the {self.name} family has no distribution to draw from; pass simulate=")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        raise NotImplementedError
