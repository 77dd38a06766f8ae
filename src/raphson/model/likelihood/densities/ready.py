"""The ready densities by name: what their parameters are, which responses they take, and where to begin."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from raphson.errors import DataError, ModelError
from raphson.model.likelihood.densities import continuous, counts, ordered, survival

Start = Callable[[np.ndarray, dict[str, np.ndarray]], "list[float]"]
"""From the response and the other columns to a constant for each predictor."""


@dataclass(frozen=True)
class DensitySpec:
    """A density that can be asked for by name.

    Attributes
    ----------
    name : what it is asked for by.
    function : one row's log density; with ordered levels its last argument is the vector of cut points.
    parameters : its linear predictors, in order.
    support : "real", "count", "share", "positive", "trials" or "levels".
    columns : what else it reads, by keyword.
    optional : which of these it can do without.
    start : constants to begin with.
    rows : value, score and information in closed form, where that is much faster than autodiff; its value may lack
        the terms in y alone.
    constant : these terms, (n,), from y.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]
    support: str
    start: Start
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    rows: Callable[..., Any] | None = None
    constant: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def cut_points(self) -> bool:
        """Whether cut points between the response's levels follow the parameters."""
        return self.support == "levels"

    def full_name(self, parameter: str) -> str | None:
        """The parameter meant: its name, or its name without the scale ("mean" for "log_mean"); None if there is none.

        "mu" is the first in every density.
        """
        if parameter in self.parameters:
            return parameter
        if parameter == "mu":
            return self.parameters[0]
        short = [one for one in self.parameters if one.partition("_")[2] == parameter]
        return short[0] if len(short) == 1 else None

    def check_finite(self, numbers: dict[str, np.ndarray]) -> None:
        """Refuse infinity, which no ready density has a meaning for; its numbers by name.

        Raises
        ------
        DataError
        """
        for name, values in numbers.items():
            infinite = ~np.isfinite(values)
            if infinite.any():
                row = int(np.argmax(infinite))
                censored = "; of a censored time give the last at which it was watched, and event = 0"
                raise DataError(
                    f"{name}: the {self.name} density expects finite numbers; got {values[row]:g} in row {row} "
                    f"({int(infinite.sum())} of {len(values)} rows). Drop those rows"
                    + (censored if "event" in self.columns else "")
                )

    def check(self, name: str, y: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Refuse responses outside the support.

        Raises
        ------
        DataError
            The message names the first row at fault.
        """
        bad, expected = np.zeros(len(y), dtype=bool), ""
        if self.support in ("count", "trials"):
            bad, expected = (y < 0) | (y != np.round(y)), "counts of 0 or more"
        if self.support == "trials" and not bad.any():
            trials = columns["trials"]
            bad, expected = (y > trials) | (trials != np.round(trials)), "no more successes than trials"
        if self.support == "share":
            bad, expected = (y <= 0) | (y >= 1), "shares above 0 and below 1"
        if self.support == "positive":
            bad, expected = y <= 0, "times above 0"
        if self.name == "tobit":
            bad, expected = (
                y < columns.get("lower", np.zeros(len(y))),
                "no value below the limit (column 'lower', or 0)",
            )
        event = columns.get("event")
        if event is not None and not np.isin(event, (0, 1)).all():
            row = int(np.flatnonzero(~np.isin(event, (0, 1)))[0])
            raise DataError(
                f"event: expected 1 (or True) where the event was seen and 0 where not; got {event[row]:g} in row {row}"
                '. Say what counts, as in columns={"event": "status == 2"}'
            )
        if event is not None and not event.any():
            raise DataError(
                f"event: all {len(event)} times are censored, and without one event nothing says how long the times are"
                '. Say what counts as one, as in columns={"event": "status == 2"}'
            )
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"response {name!r}: the {self.name} density expects {expected}; got {y[row]:g} in row {row} "
                f"({int(bad.sum())} of {len(y)} rows). Mend or drop those rows, or choose another density"
            )


def _logit(p: float) -> float:
    p = min(max(p, 0.01), 0.99)
    return float(np.log(p / (1.0 - p)))


def _log(x: float, least: float = 1e-3) -> float:
    return float(np.log(max(x, least)))


def _spread(y: np.ndarray) -> float:
    return float(np.std(y)) or 1.0


def _with_zeros(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    positive = y[y > 0]
    mean = float(positive.mean()) if len(positive) else 0.1
    excess = float(np.mean(y == 0)) - np.exp(-mean)
    return [_log(mean), _logit(max(excess, 0.05) / (1.0 - min(np.exp(-mean), 0.9)))]


def _hurdle(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    positive = y[y > 0]
    mean = float(positive.mean()) if len(positive) else 0.1
    return [_log(mean - 0.5, 0.1), _logit(float(np.mean(y > 0)))]


def _shares(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    mean, variance = float(y.mean()), float(y.var())
    return [_logit(mean), _log(mean * (1.0 - mean) / max(variance, 1e-12) - 1.0, 0.5)]


def _successes(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    return [_logit(float(y.sum() / max(columns["trials"].sum(), 1.0))), 2.0]


def _log_times(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    log_y = np.log(y)
    return [float(log_y.mean()) + 0.5, _log(_spread(log_y), 0.1)]


def _gamma_times(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    died = max(float(columns["event"].mean()), 0.1)
    return [_log(float(y.mean()) / died, 1e-300), 0.0]


def _levels(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    # The location is 0 without covariates; cut points at the logits of the cumulative shares.
    shares = np.cumsum(np.bincount(y.astype(int))) / len(y)
    return [0.0, *(float(np.log(s / (1.0 - s))) for s in np.clip(shares[:-1], 1e-4, 1.0 - 1e-4))]


def _probit_levels(y: np.ndarray, columns: dict[str, np.ndarray]) -> list[float]:
    return [0.6 * value for value in _levels(y, columns)]


DENSITIES: dict[str, DensitySpec] = {
    ready.name: ready
    for ready in (
        DensitySpec(
            "student_t",
            continuous.student_t,
            ("location", "log_scale", "log_df"),
            "real",
            lambda y, columns: [float(np.median(y)), _log(0.7 * _spread(y), 1e-300), 1.5],
        ),
        DensitySpec("beta", continuous.beta, ("logit_mean", "log_precision"), "share", _shares),
        DensitySpec(
            "tobit",
            continuous.tobit,
            ("mean", "log_sigma"),
            "real",
            lambda y, columns: [float(y.mean()), _log(_spread(y), 1e-300)],
            ("lower",),
            ("lower",),
        ),
        DensitySpec(
            "beta_binomial", counts.beta_binomial, ("logit_mean", "log_precision"), "trials", _successes, ("trials",)
        ),
        DensitySpec(
            "zero_inflated_poisson",
            counts.zero_inflated_poisson,
            ("log_mean", "logit_zero"),
            "count",
            _with_zeros,
            rows=counts.zero_inflated_poisson_rows,
            constant=counts.minus_log_factorial,
        ),
        DensitySpec(
            "zero_inflated_negative_binomial",
            counts.zero_inflated_negative_binomial,
            ("log_mean", "logit_zero", "log_theta"),
            "count",
            lambda y, columns: [*_with_zeros(y, columns), 1.0],
        ),
        DensitySpec("hurdle_poisson", counts.hurdle_poisson, ("log_mean", "logit_positive"), "count", _hurdle),
        DensitySpec(
            "hurdle_negative_binomial",
            counts.hurdle_negative_binomial,
            ("log_mean", "logit_positive", "log_theta"),
            "count",
            lambda y, columns: [*_hurdle(y, columns), 1.0],
        ),
        DensitySpec("weibull", survival.weibull, ("log_time", "log_sigma"), "positive", _log_times, ("event",)),
        DensitySpec("lognormal", survival.lognormal, ("log_time", "log_sigma"), "positive", _log_times, ("event",)),
        DensitySpec("gamma", survival.gamma, ("log_mean", "log_shape"), "positive", _gamma_times, ("event",)),
        DensitySpec("ordered_logit", ordered.ordered_logit, ("location",), "levels", _levels),
        DensitySpec("ordered_probit", ordered.ordered_probit, ("location",), "levels", _probit_levels),
    )
}
"""The ready densities by name."""

_ALIASES = {
    "t": "student_t",
    "zip": "zero_inflated_poisson",
    "zinb": "zero_inflated_negative_binomial",
    "betabinomial": "beta_binomial",
    "log_normal": "lognormal",
    "polr": "ordered_logit",
}


def resolve(density: Any) -> DensitySpec | None:
    """The ready density meant by a name or by its function; None for any other function.

    Raises
    ------
    ModelError
        For a name that none has.

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
    name = re.sub(r"[-.\s]+", "_", density.strip().lower())
    name = _ALIASES.get(name, name)
    if name not in DENSITIES:
        near = get_close_matches(name, [*DENSITIES, *_ALIASES], n=1)
        hint = f"; did you mean {_ALIASES.get(near[0], near[0])!r}?" if near else ""
        raise ModelError(f"logpdf: expected a function or one of {', '.join(DENSITIES)}; got {density!r}{hint}")
    return DENSITIES[name]
