"""Link functions: how the mean of a response depends on its linear predictor.

A link defines the mean, its logarithm, the logarithm of its complement and its reciprocal as functions
of eta, each safe in value and in derivative from -800 to 800 (see :mod:`raphson.special.elementary`). A
family composes its log density from those it needs, and autodiff takes their derivatives.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from raphson import scipy_special as special
from raphson.compat import jax, jnp
from raphson.errors import ModelError
from raphson.numeric import x64
from raphson.registry import Registry
from raphson.special import elementary

Array = Any

WHOLE_LINE = (-math.inf, math.inf)


class Link:
    """A link function g with eta = g(mean); subclasses say which.

    Links have no parameters: two links of one class are equal and have the same hash, so that compiled
    functions are reused.

    Attributes
    ----------
    name : str
        As users write it.
    limits : tuple of (float or None)
        The mean as eta tends to minus infinity and to infinity; None where the domain is bounded.
    interval : tuple of float
        The open interval of the means that the link can express.
    valid_ends, positive_ends, proper_ends : tuple of float
        Where the domain of eta ends for any mean, for a positive one, for one between 0 and 1.

    Examples
    --------
    >>> from raphson.model.families import links
    >>> links.resolve("logit").link(0.75).round(4).item()
    1.0986
    """

    name: ClassVar[str]
    limits: ClassVar[tuple[float | None, float | None]]
    interval: ClassVar[tuple[float, float]]
    valid_ends: ClassVar[tuple[float, float]] = WHOLE_LINE
    positive_ends: ClassVar[tuple[float, float]] = WHOLE_LINE
    proper_ends: ClassVar[tuple[float, float]] = WHOLE_LINE

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self).__qualname__)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    # Traced: eta is (m,) float64, and so are the results.

    def valid(self, eta: Array) -> Array:
        """Where eta lies in the link's domain."""
        return (abs(eta) < math.inf) & _between(eta, self.valid_ends)

    def positive(self, eta: Array) -> Array:
        """Where the mean is above 0."""
        return self._within(eta, self.positive_ends)

    def proper(self, eta: Array) -> Array:
        """Where the mean lies between 0 and 1, both excluded."""
        return self._within(eta, self.proper_ends)

    def _within(self, eta: Array, ends: tuple[float, float]) -> Array:
        return self.valid(eta) if ends in (self.valid_ends, WHOLE_LINE) else _between(eta, ends)

    def mean(self, eta: Array) -> Array:
        """The mean."""
        raise NotImplementedError

    def log_mean(self, eta: Array) -> Array:
        """log(mean), where the mean is positive."""
        return jnp.log(self.mean(eta))

    def log_complement(self, eta: Array) -> Array:
        """log(1 - mean), where the mean is below 1."""
        return jnp.log1p(-self.mean(eta))

    def reciprocal(self, eta: Array) -> Array:
        """1 / mean."""
        return jnp.exp(-self.log_mean(eta))

    # On the host, in NumPy.

    def link(self, mean: np.ndarray) -> np.ndarray:
        """g(mean), for means inside ``interval``."""
        raise NotImplementedError

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        """d'/d, d being the slope of the mean by eta."""
        raise NotImplementedError


def _between(eta: Array, ends: tuple[float, float]) -> Array:
    """Where eta lies between the ends, both excluded; an end that is infinite is not looked at."""
    low, high = ends
    above = eta > low if math.isfinite(low) else True
    return above & (eta < high) if math.isfinite(high) else above


class Identity(Link):
    """eta = mean."""

    name = "identity"
    limits = WHOLE_LINE
    interval = WHOLE_LINE
    positive_ends = (0.0, math.inf)
    proper_ends = (0.0, 1.0)

    def mean(self, eta: Array) -> Array:
        return eta

    def reciprocal(self, eta: Array) -> Array:
        return 1.0 / eta

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return np.zeros_like(eta)

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.asarray(mean, dtype=np.float64)


class Log(Link):
    """eta = log(mean)."""

    name = "log"
    limits = (0.0, math.inf)
    interval = (0.0, math.inf)
    proper_ends = (-math.inf, 0.0)

    def mean(self, eta: Array) -> Array:
        return jnp.exp(eta)

    def log_mean(self, eta: Array) -> Array:
        return eta

    def log_complement(self, eta: Array) -> Array:
        return elementary.log1m_exp(eta)

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return np.ones_like(eta)

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.log(mean)


class Logit(Link):
    """eta = log(mean / (1 - mean))."""

    name = "logit"
    limits = (0.0, 1.0)
    interval = (0.0, 1.0)

    def mean(self, eta: Array) -> Array:
        return elementary.sigmoid(eta)

    def log_mean(self, eta: Array) -> Array:
        return -elementary.softplus(-eta)

    def log_complement(self, eta: Array) -> Array:
        return -elementary.softplus(eta)

    def reciprocal(self, eta: Array) -> Array:
        return 1.0 + jnp.exp(-eta)

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return -np.tanh(0.5 * eta)

    def link(self, mean: np.ndarray) -> np.ndarray:
        # A fit that begins here is spared the import of scipy.special.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(mean) - np.log1p(-mean)


class Probit(Link):
    """eta = Phi^-1(mean), Phi the normal distribution function."""

    name = "probit"
    limits = (0.0, 1.0)
    interval = (0.0, 1.0)

    def mean(self, eta: Array) -> Array:
        return elementary.ndtr(eta)

    def log_mean(self, eta: Array) -> Array:
        return elementary.log_ndtr(eta)

    def log_complement(self, eta: Array) -> Array:
        return elementary.log_ndtr(-eta)

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return -eta

    def link(self, mean: np.ndarray) -> np.ndarray:
        return special.ndtri(mean)


class CLogLog(Link):
    """eta = log(-log(1 - mean)), the complementary log-log link."""

    name = "cloglog"
    limits = (0.0, 1.0)
    interval = (0.0, 1.0)

    def mean(self, eta: Array) -> Array:
        return elementary.gumbel_distribution(eta)

    def log_mean(self, eta: Array) -> Array:
        return elementary.log_gumbel(eta)

    def log_complement(self, eta: Array) -> Array:
        return -jnp.exp(eta)

    def reciprocal(self, eta: Array) -> Array:
        return elementary.gumbel_reciprocal(eta)

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return -np.expm1(eta)

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.log(-np.log1p(-np.asarray(mean)))


class Cauchit(Link):
    """eta = tan(pi (mean - 1/2)), the quantile function of the Cauchy distribution."""

    name = "cauchit"
    limits = (0.0, 1.0)
    interval = (0.0, 1.0)

    def mean(self, eta: Array) -> Array:
        return elementary.cauchy_distribution(eta)

    def log_mean(self, eta: Array) -> Array:
        return elementary.log_cauchy(eta)

    def log_complement(self, eta: Array) -> Array:
        return elementary.log_cauchy(-eta)

    def reciprocal(self, eta: Array) -> Array:
        return elementary.cauchy_reciprocal(eta)

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return -2.0 * eta / (1.0 + eta * eta)

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.tan(np.pi * (np.asarray(mean) - 0.5))


class Inverse(Link):
    """eta = 1 / mean; eta may be negative where the family's mean may."""

    name = "inverse"
    limits = (None, 0.0)
    interval = WHOLE_LINE
    positive_ends = (0.0, math.inf)
    proper_ends = (1.0, math.inf)

    def valid(self, eta: Array) -> Array:
        return (abs(eta) < math.inf) & (eta != 0)

    def mean(self, eta: Array) -> Array:
        return 1.0 / eta

    def log_mean(self, eta: Array) -> Array:
        return -jnp.log(eta)

    def log_complement(self, eta: Array) -> Array:
        return elementary.log1m_reciprocal(eta)

    def reciprocal(self, eta: Array) -> Array:
        return eta

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return -2.0 / eta

    def link(self, mean: np.ndarray) -> np.ndarray:
        return 1.0 / np.asarray(mean, dtype=np.float64)


class InverseSquared(Link):
    """eta = 1 / mean^2, for positive eta."""

    name = "inverse_squared"
    limits = (None, 0.0)
    interval = (0.0, math.inf)
    valid_ends = (0.0, math.inf)
    positive_ends = (0.0, math.inf)
    proper_ends = (1.0, math.inf)

    def mean(self, eta: Array) -> Array:
        return 1.0 / jnp.sqrt(eta)

    def log_mean(self, eta: Array) -> Array:
        return -0.5 * jnp.log(eta)

    def log_complement(self, eta: Array) -> Array:
        return elementary.log1m_reciprocal_root(eta)

    def reciprocal(self, eta: Array) -> Array:
        return jnp.sqrt(eta)

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return -1.5 / eta

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.asarray(mean, dtype=np.float64) ** -2.0


class Sqrt(Link):
    """eta = sqrt(mean), for positive eta."""

    name = "sqrt"
    limits = (None, math.inf)
    interval = (0.0, math.inf)
    valid_ends = (0.0, math.inf)
    positive_ends = (0.0, math.inf)
    proper_ends = (0.0, 1.0)

    def mean(self, eta: Array) -> Array:
        return eta * eta

    def log_mean(self, eta: Array) -> Array:
        return 2.0 * jnp.log(eta)

    def log_complement(self, eta: Array) -> Array:
        return elementary.log1m_square(eta)

    def reciprocal(self, eta: Array) -> Array:
        return 1.0 / (eta * eta)

    def second_derivative(self, eta: np.ndarray) -> np.ndarray:
        return 1.0 / eta

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.sqrt(mean)


def check_link(link: Any) -> None:
    """Refuse a class that is not a complete link.

    Raises
    ------
    ModelError
        The message says what is missing.
    """
    if not (isinstance(link, type) and issubclass(link, Link)):
        raise ModelError(f"links.register: expected a subclass of rp.families.Link; got {link!r}")
    lacking = [what for what in ("mean", "link", "second_derivative") if getattr(link, what) is getattr(Link, what)]
    lacking += [what for what in ("limits", "interval") if not hasattr(link, what)]
    if lacking:
        raise ModelError(
            f"links.register: {link.__name__} lacks {', '.join(lacking)}; "
            "see docs/add-your-own.md for what each returns"
        )
    one = link()
    low, high = one.interval
    means = np.array([0.3, 0.6]) if math.isinf(low) else low + np.array([0.3, 0.6]) * min(high - low, 2.0)
    with x64(), np.errstate(all="ignore"):
        eta = jnp.asarray(one.link(means))
        back = np.asarray(one.mean(eta))
        # Rows do not speak to one another: derivatives in the direction of all ones are those by their own eta.
        ones = (jnp.ones_like(eta),)
        (_, slope), (_, second) = jax.jvp(lambda x: jax.jvp(one.mean, (x,), ones), (eta,), ones)
        found, given = np.asarray(second / slope), np.asarray(one.second_derivative(np.asarray(eta)))
        others = [
            ("log_mean", np.log(back), one.log_mean(eta), back > 0),
            ("log_complement", np.log1p(-back), one.log_complement(eta), back < 1),
            ("reciprocal", 1.0 / back, one.reciprocal(eta), back > 0),
        ]
    if not np.allclose(back, means, rtol=1e-9):
        raise ModelError(
            f"links.register: expected {link.__name__}.mean to be the inverse of .link; the mean {means[0]:g} "
            f"comes back as {back[0]:g}"
        )
    others.append(("second_derivative", found, given, np.isfinite(found)))
    for what, wanted, got, where in others:
        if not np.allclose(np.where(where, wanted, 0.0), np.where(where, got, 0.0), rtol=1e-6, atol=1e-9):
            raise ModelError(
                f"links.register: {link.__name__}.{what} does not follow from its mean: at eta = {float(eta[0]):.6g} "
                f"expected {wanted[0]:.6g}; got {np.asarray(got)[0]:.6g}"
            )


LINKS: Registry[type[Link]] = Registry(
    "link",
    "link",
    "links",
    "rp.families.links.register",
    check_link,
    {"1/mu^2": "inverse_squared", "1/mu": "inverse", "inverse_square": "inverse_squared", "root": "sqrt"},
)
"""The links by name."""

for _link in (Identity, Log, Logit, Probit, CLogLog, Cauchit, Inverse, InverseSquared, Sqrt):
    LINKS.add_builtin(_link.name, _link)


def register(link: type[Link]) -> type[Link]:
    """Make a link available by its name, like those that come with Raphson; a class decorator.

    Parameters
    ----------
    link : subclass of Link
        With a ``name``.

    Returns
    -------
    type
        The class.

    Raises
    ------
    ModelError
        If the class lacks something that every link needs, something does not follow from its mean, or the name is
        taken.

    Examples
    --------
    >>> import raphson as rp
    >>> rp.families.links.register(rp.families.links.Log)
    Traceback (most recent call last):
    raphson.errors.ModelError: rp.families.links.register: 'log' is a link that comes with Raphson; choose another name
    """
    return LINKS.register(getattr(link, "name", None), link)


def resolve(link: str | Link) -> Link:
    """Return the link with a name.

    Parameters
    ----------
    link : str or Link
        A name, in either case and with '-', '.' or a space for '_'; or a link, returned as it is.

    Returns
    -------
    Link

    Raises
    ------
    ModelError
        For an unknown name.

    Examples
    --------
    >>> from raphson.model.families import links
    >>> links.resolve("inverse-squared")
    InverseSquared()
    """
    if isinstance(link, Link):
        return link
    if isinstance(link, type) and issubclass(link, Link):
        return link()
    if not isinstance(link, str):
        raise ModelError(f"link: expected a name ({', '.join(LINKS)}) or a Link; got {type(link).__name__}")
    return LINKS.find(link)()
