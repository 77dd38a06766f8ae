"""The base of families: traced rows of score and information; support and deviance in NumPy."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from raphson.choices import LinkName
from raphson.compat import jax, jnp
from raphson.errors import DataError, first_of
from raphson.frozen import frozen
from raphson.model.families import links
from raphson.model.families.distribution import Distribution
from raphson.model.families.links import Link

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


@frozen
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
    ends: tuple[float, float] | None = None
    """The smallest and the largest y, where they are known."""
    weights_are_trials: bool = False
    """Whether the weights given are what `size` holds, and are to count once."""

    def weight(self, given: np.ndarray | None) -> np.ndarray | None:
        """(n,) the weights given, times the trials; None where all are 1."""
        if self.size is None:
            return given
        return self.size if given is None else given * self.size


class Family(Distribution):
    """A distribution of the response given its linear predictors.

    Subclasses are frozen dataclasses and pytrees: numeric parameters are leaves, so that a new value
    compiles nothing; the link and all structure are static.

    Attributes
    ----------
    link : Link
        And those of a :class:`Distribution`.

    Examples
    --------
    >>> import raphson as rp
    >>> family = rp.families.resolve("binomial")
    >>> isinstance(family, rp.families.Family), family.name, family.link_name
    (True, 'binomial', 'logit')
    """

    name: ClassVar[str]
    default_link: ClassVar[str]
    link: Link

    if TYPE_CHECKING:
        # The fields of each family are its arguments. A link may be given by name, which type checkers cannot infer.
        def __init__(self, *fields: Any, link: LinkName | str | Link | None = None, **named: Any) -> None: ...

    def __post_init__(self) -> None:
        # JAX makes copies with tracers in the fields; only names are resolved.
        if not isinstance(self.link, Link):
            object.__setattr__(self, "link", links.resolve(self.link or self.default_link))

    canonical_link: ClassVar[str] = ""
    """The link with which observed and expected information are the same."""

    @property
    def link_name(self) -> str:
        return self.link.name

    @property
    def canonical(self) -> bool:
        """Whether the link is the canonical one."""
        return self.link.name == self.canonical_link

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
    if math.isfinite(low) and math.isfinite(high):
        margin = 0.01 * (high - low)
        return np.minimum(np.maximum(mean, low + margin), high - margin)
    if math.isfinite(low):
        # a tenth of the average above the lower end, as a scale
        above = np.mean(np.maximum(mean - low, 0.0))
        floor = 0.1 * above if above > 0 else 1.0
        return np.where(mean > low, mean, low + floor)
    return mean
