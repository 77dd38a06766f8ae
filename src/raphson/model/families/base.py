"""The base of families: traced rows of score and information; support and deviance in NumPy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.random import Generator

from raphson.choices import LinkName
from raphson.errors import DataError, ModelError, first_of
from raphson.model.families import links
from raphson.model.families.links import Link
from raphson.model.families.tails import Tails

if TYPE_CHECKING:
    from raphson.data import Response

Array = Any
"""A traced array in the traced methods."""

LARGEST = 1e145
"""Responses beyond this, or all below its inverse, have squares that overflow or lose their digits. Its square is
1e290, of which 1e18 can be added up before doubles overflow at 1.8e308."""


class Rows(NamedTuple):
    """Row quantities of a block: m rows with K linear predictors and C components of the mean.

    ``value``, which is maximised, is the log density at unit dispersion, up to terms without eta.
    """

    value: Array
    """(m,) log density; -inf where eta leaves the domain."""
    score: Array
    """(K, m) derivative of the value by eta."""
    observed: Array
    """(K, K, m) minus the second derivative."""
    expected: Array
    """(K, K, m) mean of the observed information over the response."""
    mean: Array
    """(C, m) mean of the response; for a multinomial response the probability of each level."""
    slope: Array
    """(C, K, m) derivative of the mean by eta."""


@dataclass(frozen=True)
class Observations:
    """A response as its family reads it."""

    y: np.ndarray
    """(n,) numbers inside the support: proportions for a binomial response, codes for a multinomial one."""
    size: np.ndarray | None
    """(n,) numbers of trials, which multiply the weights, or None."""
    levels: tuple[str, ...] | None
    """Levels of a categorical response, or None."""
    family: Family
    """The family, with its levels filled in."""


class Family:
    """A distribution of the response given its linear predictors.

    Subclasses are frozen dataclasses and pytrees: numeric parameters are leaves, so that a new value
    compiles nothing; the link and all structure are static.

    Attributes
    ----------
    name : str
    link : Link
    n_predictors : int
        K: the number of linear predictors of a row.
    dispersion_fixed : bool
        Whether the dispersion is known to be 1.
    quasi : bool
        Whether only mean and variance are specified, and the log-likelihood is NaN.
    dispersion_is_mean_deviance : bool
        Whether the maximum likelihood dispersion is the deviance over the number of rows.
    auxiliary : tuple of str
        Predictors beyond the mean's, each with an intercept only.
    levels : tuple of str or None
        Levels of a categorical response.
    """

    name: ClassVar[str]
    dispersion_fixed: ClassVar[bool] = False
    quasi: ClassVar[bool] = False
    dispersion_is_mean_deviance: ClassVar[bool] = False
    default_link: ClassVar[str]
    link: Link
    levels: tuple[str, ...] | None = None

    if TYPE_CHECKING:
        # The fields of each family are its arguments. A link may be given by name, which type checkers cannot infer.
        def __init__(self, *fields: Any, link: LinkName | str | Link | None = None, **named: Any) -> None: ...

    def __post_init__(self) -> None:
        # JAX makes copies with tracers in the fields; only names are resolved.
        if not isinstance(self.link, Link):
            object.__setattr__(self, "link", links.resolve(self.link or self.default_link))

    @property
    def n_predictors(self) -> int:
        return 1

    @property
    def auxiliary(self) -> tuple[str, ...]:
        return ()

    canonical_link: ClassVar[str] = ""
    """The link with which observed and expected information are the same."""

    support: ClassVar[str | None] = None
    """For prediction intervals: "real", "count", "proportion", "nonnegative", or None where there are none."""

    main_information: ClassVar[str] = "expected"
    """The kind of information used for certificates, leverages and effective degrees of freedom."""

    own_rows: ClassVar[Any] = None
    """A function (block, eta) that replaces the compiled rows shared by all families, or None."""

    few_rows: ClassVar[Any] = None
    """A NumPy function (y, eta, weight) that replaces the compiled code for few rows, or None."""

    @property
    def quadratic(self) -> bool:
        """Whether the log density is a quadratic function of eta."""
        return False

    kernel: ClassVar[Any] = None
    """The rows by hand, for passes over many of them (:mod:`raphson.model.families.kernels`), or None."""

    host_mean: ClassVar[Any] = None
    """The mean as a NumPy function of eta for some families with one predictor and the canonical link, else None. Where
    only score y - mean and information V(mean) are needed, NumPy is then faster than compiled code."""

    @property
    def canonical(self) -> bool:
        """Whether the link is the canonical one."""
        return self.link.name == self.canonical_link

    @property
    def predictor_labels(self) -> tuple[str, ...] | None:
        """Names of the predictors where a response has several, or None."""
        return None

    def with_nuisance_fixed(self, auxiliary: np.ndarray) -> Family:
        """The family with its auxiliary parameters fixed at their estimates."""
        return self

    def limit_evidence(self, y: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Sums over rows that decide about :meth:`limit`."""
        return np.zeros(0)

    def limit(self, auxiliary: np.ndarray, evidence: np.ndarray) -> Family | None:
        """The simpler family that the likelihood tends to if an auxiliary parameter runs to infinity, else None.

        `evidence` is the sum of :meth:`limit_evidence` over all rows.
        """
        return None

    @property
    def domain(self) -> tuple[float, float]:
        """The ends of the first linear predictor's domain, possibly infinite."""
        return (-np.inf, np.inf)

    def attains(self, y: np.ndarray, end: float) -> np.ndarray:
        """(n,) whether a row may lie at that end of the domain: its log density and its slope stay finite there.

        They do where the mean at that end is y itself; elsewhere the log density falls to minus infinity.
        """
        with np.errstate(all="ignore"):
            return np.asarray(self.link.link(np.asarray(y, dtype=np.float64))) == end

    @property
    def log_concave(self) -> bool:
        """Whether the log density of every response is concave in eta, so that a maximum is the only one.

        With a canonical link it is y eta - b(eta) with a convex b; for other links each family decides.
        """
        return self.canonical

    # --- traced ---------------------------------------------------------------------------------

    def inside(self, eta: Array) -> Array:
        """Mask (m,) of the rows whose mean lies in the family's space of means; eta is (K, m)."""
        raise NotImplementedError

    def log_density(self, y: Array, eta: Array) -> Array:
        """The log density (m,) at unit dispersion up to terms free of eta, where ``inside``.

        Parameters
        ----------
        y : (m,) array
        eta : (K, m) array
        """
        raise NotImplementedError

    def mean(self, eta: Array) -> Array:
        """The mean (C, m) at the linear predictors (K, m)."""
        return self.link.mean(eta[0])[None]

    def expected(self, eta: Array) -> Array:
        """The expected information (K, K, m) at the linear predictors (K, m)."""
        raise NotImplementedError

    def rows(self, y: Array, eta: Array) -> Rows:
        """Value, score and information of a block of rows, by autodiff of :meth:`log_density`.

        Parameters
        ----------
        y : (m,) array, float64
        eta : (K, m) array, float64

        Returns
        -------
        Rows
        """

        # Rows do not depend on one another, so the derivative in the direction of all ones is the
        # derivative of every row by its own eta; forward over forward gives the second.
        def first(x: Array) -> tuple[Array, Array]:
            return derivative(lambda v: self.log_density(y, v[None]), x)

        (value, score), (_, second) = derivative(first, eta[0])
        mean, slope = derivative(lambda v: self.mean(v[None]), eta[0])
        value = jnp.where(self.inside(eta), value, -jnp.inf)
        return Rows(value, score[None], -second[None, None], self.expected(eta), mean, slope[:, None])

    # --- on the host ------------------------------------------------------------------------------

    def prepare(self, response: Response, trials: np.ndarray | None = None) -> Observations:
        """Check a response against the support.

        Parameters
        ----------
        response : Response
            As read from the data.
        trials : (n,) array, optional
            Numbers of trials, for a binomial response only.

        Returns
        -------
        Observations

        Raises
        ------
        DataError
            If values lie outside the support; the message says which rows, how many, and what to do.
        """
        y = self.plain_numbers(response, trials)
        self.check_support(response.name, y)
        return Observations(y, None, None, self)

    def plain_numbers(self, response: Response, trials: np.ndarray | None) -> np.ndarray:
        """The response as one finite number per row; raises a DataError for anything else."""
        if trials is not None:
            raise DataError(
                f"trials: expected a binomial family; got the family {self.name}. "
                'Use family="binomial", or leave trials= out'
            )
        if response.levels is not None:
            raise DataError(
                f"response {response.name!r}: the {self.name} family expects numbers; got the levels "
                f"{some_of(response.levels)}. "
                + (
                    'Use family="binomial" for two levels.'
                    if len(response.levels) == 2
                    else 'Use family="multinomial" for categories, or convert the column to numbers.'
                )
            )
        y = np.asarray(response.values, dtype=np.float64)
        if y.ndim != 1:
            raise DataError(
                f"response {response.name!r}: the {self.name} family expects one column; got "
                f'{y.shape[1]}. cbind(successes, failures) goes with family="binomial"'
            )
        return refuse(response.name, y, ~np.isfinite(y), "finite numbers", "Correct or drop those rows")

    def check_support(self, name: str, y: np.ndarray) -> None:
        """Raise a DataError where y is outside the support; may warn."""

    def check_units(self, name: str, size: float) -> None:
        """Refuse responses whose largest absolute value `size` would make the dispersion 0 or infinite.

        Raises
        ------
        DataError
        """
        if self.dispersion_fixed or self.support == "proportion" or not 0.0 < size < np.inf:
            return  # a proportion has no units, and the variance of 1 is 0
        with np.errstate(all="ignore"):
            needed = [size * size, float(self.variance(np.array(size)))]
        if not all(LARGEST**-2 <= value <= LARGEST**2 for value in needed):
            raise DataError(
                f"response {name!r}: its largest absolute value is {size:.3g}, and the squares or powers "
                f"of such numbers {'vanish' if size < 1 else 'overflow'} in 64 bits, so that dispersion and standard "
                f"errors cannot be computed. Measure the response in other units: divide it by {size:.0e}"
            )

    def start_mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Starting means (C, n), inside the domain and near the responses.

        ``weight`` counts trials too: weight times size.
        """
        raise NotImplementedError

    def start_eta(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Finite linear predictors (K, n) at :meth:`start_mean`."""
        return self.link.link(self.start_mean(y, weight)[0])[None]

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

    def spread(self, y: np.ndarray, mean: np.ndarray, count: np.ndarray) -> np.ndarray | None:
        """Each row's term of the test for overdispersion, with its moments; see :mod:`raphson.model.spread`.

        Parameters
        ----------
        y, mean : (n,)
        count : (n,) numbers of observations, or trials, in each row.

        Returns
        -------
        (3, n) array, or None where the family has no fixed dispersion.
        """
        return None

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

    def recession(self, y: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
        """The direction of eta in which the log density never stops rising: (n,) of +1, -1 and 0 (none).

        As a function of the mean, the log density rises up to mean = y and falls after it. So it never
        stops rising exactly where the mean at one end of eta's range is y itself or does not reach y
        (a success under the logit link, a zero count under the log link).
        """
        low, high = self.link.limits
        y = np.asarray(y)
        direction = np.zeros(y.shape, dtype=np.int8)
        if low is not None and np.isfinite(low):
            direction[y <= low] = -1
        if high is not None and np.isfinite(high):
            # with a decreasing link (the inverse) the mean reaches its lower end as eta grows
            direction[(y <= high) if low is None else (y >= high)] = 1
        return direction

    def to_dict(self) -> dict[str, Any]:
        """The family as plain JSON values; :func:`raphson.model.families.from_dict` reads them."""
        fields: dict[str, Any] = {"name": self.name, "link": self.link.name}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.name == "link":
                continue
            value = getattr(self, field.name)
            if value is not None:
                fields[field.name] = list(value) if isinstance(value, tuple) else float(value)
        return fields


def derivative(function: Any, x: Array) -> tuple[Any, Any]:
    """The function at x and its elementwise derivative."""
    return jax.jvp(function, (x,), (jnp.ones_like(x),))


def some_of(levels: tuple[str, ...]) -> str:
    """The first few levels, for a message."""
    return first_of(map(repr, levels)) + (f" ({len(levels)} in all)" if len(levels) > 5 else "")


def refuse(name: str, y: np.ndarray, bad: np.ndarray, expected: str, remedy: str) -> np.ndarray:
    """Return y, or raise a DataError that says which rows are invalid, how many, and what to do."""
    if bad.any():
        where = np.flatnonzero(bad)
        first = y[where[0]]
        raise DataError(
            f"response {name!r}: expected {expected}; got {first:g} in row {where[0]} "
            f"({where.size} of {y.shape[0]} rows: {first_of(where)}, counted from 0). {remedy}"
        )
    return y


def clip_to(mean: np.ndarray, interval: tuple[float, float]) -> np.ndarray:
    """Means moved inside an open interval: slightly inside an end that they touch or exceed."""
    low, high = interval
    if np.isfinite(low) and np.isfinite(high):
        margin = 0.01 * (high - low)
        return np.clip(mean, low + margin, high - margin)
    if np.isfinite(low):
        # a tenth of the average above the lower end, as a scale
        above = np.mean(np.maximum(mean - low, 0.0))
        floor = 0.1 * above if above > 0 else 1.0
        return np.where(mean > low, mean, low + floor)
    return mean
