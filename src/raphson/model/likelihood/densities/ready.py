"""The ready densities by name: their parameters, supports and starting values.

To add a density, write a module beside this one that registers it in :data:`DENSITIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.errors import DataError, ModelError
from raphson.model.likelihood.densities.signature import signature_of
from raphson.numeric import x64
from raphson.registry import Registry

Start = Callable[[np.ndarray, dict[str, np.ndarray]], "list[float]"]
"""From the response and the other columns to a constant for each predictor."""

Outside = Callable[[np.ndarray, dict[str, np.ndarray]], "tuple[np.ndarray, str]"]
"""From the response and the other columns to the mask of invalid rows, and what was expected."""


def _trials(y: np.ndarray, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, str]:
    bad, expected = _count(y, columns)
    if bad.any():
        return bad, expected
    trials = columns["trials"]
    return (y > trials) | (trials != np.round(trials)), "no more successes than trials"


def _count(y: np.ndarray, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, str]:
    return (y < 0) | (y != np.round(y)), "counts of 0 or more"


SUPPORTS: dict[str, Outside] = {
    "real": lambda y, columns: (np.zeros(len(y), dtype=bool), ""),
    "count": _count,
    "trials": _trials,
    "share": lambda y, columns: ((y <= 0) | (y >= 1), "shares above 0 and below 1"),
    "positive": lambda y, columns: (y <= 0, "times above 0"),
    "levels": lambda y, columns: (np.zeros(len(y), dtype=bool), ""),
}
"""The supports that a density can name: which rows are outside, and what was expected."""


@dataclass(frozen=True)
class DensitySpec:
    """A density that can be used by name.

    Attributes
    ----------
    name : as given to :func:`raphson.mle`.
    function : one row's log density; with ordered levels its last argument is the vector of cut points.
    parameters : its linear predictors, in order; by default those of its definition.
    support : "real", "count", "share", "positive", "trials" or "levels"; or a function of the response and the other
        columns that returns the mask of the rows outside of it, and what was expected.
    columns : what else it reads, by keyword; by default what its definition has after ``*``.
    optional : the columns that may be absent.
    start : from the response and the other columns to a constant for each predictor; 0 without it.
    rows : value, score and information in closed form, where that is much faster than autodiff; the value may omit
        the terms in y alone.
    constant : from y to these terms, (n,).
    cdf : P(Y ≤ y) of n rows in NumPy, given y (n,), an array for each parameter, and the columns that the density has;
        for quantile residuals, which without it take a table of the density. With ordered levels the last parameter is
        the cut points, (L−1, n).

    Examples
    --------
    >>> import raphson as rp
    >>> spec = rp.densities.resolve("weibull")
    >>> spec.name, spec.parameters
    ('weibull', ('log_time', 'log_sigma'))
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...] = ()
    support: str | Outside = "real"
    start: Start | None = None
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    rows: Callable[..., Any] | None = None
    constant: Callable[[np.ndarray], np.ndarray] | None = None
    cdf: Callable[..., np.ndarray] | None = None

    def __post_init__(self) -> None:
        if not self.parameters:
            taken = signature_of(self.function)
            for name in ("parameters", "columns", "optional"):
                object.__setattr__(self, name, getattr(taken, name))

    def constants(self, y: np.ndarray, columns: dict[str, np.ndarray]) -> np.ndarray:
        """Starting values: one number for each predictor, and for each cut point."""
        found = [0.0] * len(self.parameters) if self.start is None else self.start(y, columns)
        return np.array(found, dtype=float)

    @property
    def cut_points(self) -> bool:
        """Whether cut points between the response's levels follow the parameters."""
        return self.support == "levels"

    def full_name(self, parameter: str) -> str | None:
        """The parameter with this name, which may omit the scale ("mean" for "log_mean"); None if there is none.

        "mu" is the first parameter of every density.
        """
        if parameter in self.parameters:
            return parameter
        if parameter == "mu":
            return self.parameters[0]
        short = [one for one in self.parameters if one.partition("_")[2] == parameter]
        return short[0] if len(short) == 1 else None

    def faults(self, y: np.ndarray, columns: dict[str, np.ndarray]) -> Faults:
        """The responses and columns of some rows for which the density is not defined."""
        outside = SUPPORTS[self.support] if isinstance(self.support, str) else self.support
        with np.errstate(all="ignore"):
            bad, expected = outside(y, columns)
        infinite = {name: Fault.of(~np.isfinite(values), values) for name, values in columns.items()}
        event = columns.get("event")
        return Faults(
            len(y),
            {"": Fault.of(~np.isfinite(y), y), **infinite},
            Fault.of(bad, y),
            expected,
            Fault() if event is None else Fault.of(~np.isin(event, (0, 1)), event),
            None if event is None else int(np.count_nonzero(event)),
        )

    def refuse_infinite(self, name: str, found: Faults) -> None:
        """Refuse infinite numbers, for which no ready density is defined; `name` is that of the response.

        Raises
        ------
        DataError
        """
        for keyword, fault in found.infinite.items():
            if fault.count:
                what = keyword or f"response {name!r}"
                censored = "; for a censored time give the last time of observation, and event = 0"
                raise DataError(
                    f"{what}: the {self.name} density expects finite numbers; got {fault.value:g} in row {fault.row} "
                    f"({fault.count} of {found.rows} rows). Drop those rows"
                    + (censored if "event" in self.columns else "")
                )

    def refuse(self, name: str, found: Faults) -> None:
        """Refuse responses outside the support, and columns that say nothing.

        Raises
        ------
        DataError
            The message names the first invalid row.
        """
        if found.event.count:
            raise DataError(
                f"event: expected 1 (or True) where the event was seen and 0 where not; got {found.event.value:g} in "
                f'row {found.event.row}. Say what counts, as in columns={{"event": "status == 2"}}'
            )
        if found.events == 0:
            raise DataError(
                f"event: expected some events; all {found.rows} times are censored, so that the distribution of times "
                'cannot be estimated. Say what counts as an event, as in columns={"event": "status == 2"}'
            )
        if found.outside.count:
            raise DataError(
                f"response {name!r}: the {self.name} density expects {found.expected}; got {found.outside.value:g} in "
                f"row {found.outside.row} ({found.outside.count} of {found.rows} rows). Correct or drop those rows, or "
                "choose another density"
            )


@dataclass(frozen=True)
class Fault:
    """Rows with a wrong number: how many, and the number and value of the first."""

    count: int = 0
    row: int = 0
    value: float = 0.0

    @staticmethod
    def of(bad: np.ndarray, values: np.ndarray) -> Fault:
        """The rows of a mask (n,)."""
        if not bad.any():
            return Fault()
        first = int(np.argmax(bad))
        return Fault(int(np.count_nonzero(bad)), first, float(values[first]))

    def then(self, other: Fault, rows: int) -> Fault:
        """Those of these and of further rows, before which there are so many rows."""
        if not other.count:
            return self
        first = self if self.count else Fault(0, rows + other.row, other.value)
        return Fault(self.count + other.count, first.row, first.value)


@dataclass(frozen=True)
class Faults:
    """The numbers for which a density is not defined. Those of several parts of the rows add up, in their order.

    Attributes
    ----------
    rows : number of rows.
    infinite : by column; "" is the response.
    outside : responses outside the support.
    expected : what the support is, in words.
    event : indicators that are neither 0 nor 1.
    events : number of events; None where there is no indicator.
    """

    rows: int
    infinite: dict[str, Fault]
    outside: Fault
    expected: str
    event: Fault
    events: int | None

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.rows + other.rows,
            {name: one.then(other.infinite[name], self.rows) for name, one in self.infinite.items()},
            self.outside.then(other.outside, self.rows),
            self.expected or other.expected,
            self.event.then(other.event, self.rows),
            None if self.events is None or other.events is None else self.events + other.events,
        )


TRIED = {"count": (0.0, 1.0, 3.0), "trials": (0.0, 1.0), "share": (0.3, 0.6), "positive": (0.5, 2.0)}
"""Responses at which a density is tested when it is registered; −1, 0.5 and 2 for other supports."""


def check_density(spec: Any) -> None:
    """Refuse a density that does not work on a few responses.

    Raises
    ------
    ModelError
        The message says what is wrong.
    """
    how = "densities.register"
    if not isinstance(spec, DensitySpec):
        raise ModelError(f"{how}: expected a DensitySpec(name, function, ...); got {spec!r}")
    taken = signature_of(spec.function)
    n_arguments = len(spec.parameters) + spec.cut_points
    if len(taken.parameters) != n_arguments or set(spec.columns) != set(taken.columns):
        raise ModelError(
            f"{how}: {spec.name} takes ({', '.join(('y', *taken.parameters, *taken.columns))}), which does not match "
            f"its parameters {', '.join(spec.parameters)} and columns {', '.join(spec.columns) or 'none'}"
        )
    if isinstance(spec.support, str) and spec.support not in SUPPORTS:
        raise ModelError(f"{how}: expected support {', '.join(SUPPORTS)} or a function; got {spec.support!r}")
    if spec.cut_points:
        return
    y = np.array(TRIED.get(str(spec.support), (-1.0, 0.5, 2.0)))
    columns = {name: np.ones(len(y)) for name in spec.columns}
    start = spec.constants(y, columns)
    if start.shape != (len(spec.parameters),) or not np.isfinite(start).all():
        raise ModelError(f"{how}: expected start to return {len(spec.parameters)} finite numbers; got {start.tolist()}")
    try:
        with x64():
            values = [np.asarray(spec.function(one, *start, **{name: 1.0 for name in columns})) for one in y]
    except Exception as error:
        raise ModelError(f"{how}: {spec.name} failed at y = {y[0]:g} with {type(error).__name__}: {error}") from error
    if any(one.shape != () for one in values):
        raise ModelError(f"{how}: expected {spec.name} to return one number for a row; got shape {values[0].shape}")
    if not callable(spec.support) and not np.isfinite(values).all():
        raise ModelError(
            f"{how}: expected {spec.name} to be finite in its support {spec.support!r}; got {values} "
            f"at y = {y.tolist()}"
        )


DENSITIES: Registry[DensitySpec] = Registry(
    "logpdf",
    "density",
    "densities",
    "rp.densities.register",
    check_density,
    {
        "t": "student_t",
        "zip": "zero_inflated_poisson",
        "zinb": "zero_inflated_negative_binomial",
        "betabinomial": "beta_binomial",
        "log_normal": "lognormal",
        "polr": "ordered_logit",
    },
)
"""The registry of ready densities."""


def own(*specs: DensitySpec) -> None:
    """Register densities that come with Raphson."""
    for spec in specs:
        DENSITIES.add_builtin(spec.name, spec)


def register(spec: DensitySpec) -> DensitySpec:
    """Make a density available by its name in :func:`raphson.mle`.

    Parameters
    ----------
    spec : DensitySpec

    Returns
    -------
    DensitySpec

    Raises
    ------
    ModelError
        If the function's arguments do not match, it is not finite inside its support, or the name is taken.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import raphson as rp
    >>> def rayleigh(y, log_scale):
    ...     return jnp.log(y) - 2.0 * log_scale - 0.5 * (y * jnp.exp(-log_scale)) ** 2
    >>> rp.densities.register(rp.densities.DensitySpec("rayleigh", rayleigh, support="positive")).parameters
    ('log_scale',)
    """
    return DENSITIES.register(getattr(spec, "name", None), spec)


def logit(p: float) -> float:
    p = min(max(p, 0.01), 0.99)
    return float(np.log(p / (1.0 - p)))


def log(x: float, least: float = 1e-3) -> float:
    return float(np.log(max(x, least)))


def spread(y: np.ndarray) -> float:
    return float(np.std(y)) or 1.0


def resolve(density: Any) -> DensitySpec | None:
    """The ready density with this name or function; None for any other function.

    Raises
    ------
    ModelError
        For an unknown name.

    Examples
    --------
    >>> resolve("zip").parameters
    ('log_mean', 'logit_zero')
    """
    if isinstance(density, DensitySpec):
        return density
    if callable(density):
        return next((ready for ready in DENSITIES.values() if ready.function is density), None)
    if not isinstance(density, str):
        raise ModelError(
            f"logpdf: expected a function in jax.numpy, or the name of a ready density; got {type(density).__name__}"
        )
    return DENSITIES.find(density)
