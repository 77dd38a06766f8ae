"""Functions of the parameters: profile likelihoods and the delta method."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.choices import IntervalKind
from raphson.errors import (
    ConvergenceError,
    ConvergenceWarning,
    FormulaError,
    ModelError,
    check_choice,
    visible,
    warn_user,
)
from raphson.fit.reading import Reading
from raphson.fit.reference import ReferenceFit, check_ratios, reference_of
from raphson.inference import constraints, delta, intervals
from raphson.inference.functions import Combinations, ParameterFunction
from raphson.inference.profile import Awakening, Padded, Profiler, Release
from raphson.model.parameters import place_of
from raphson.numeric import TINY, one_blas_thread
from raphson.report.ratios import as_ratios, ratio_name
from raphson.sheets import numbers
from raphson.sheets.sheet import Grid, InNotebook, Sheet

if TYPE_CHECKING:
    import pandas as pd

TRACE_LEVEL = 0.99
"""Level of the interval that the trace of a profile spans."""

POINTS = 8
"""Points of a trace on each side of the estimate."""


def delta_of(fit: Reading, function: Any, level: float = 0.95, order: int = 1) -> delta.Delta:
    """Estimate of any function of the parameters, with its standard error and interval by the delta method.

    Parameters
    ----------
    function : a function of the parameters by name, in ``jax.numpy``, that returns a number, an array or a dict of
        numbers: ``lambda p: p["a"] / p["b"]``. Or an expression as text: ``"log(2)/rate"``.
    level : coverage of the interval.
    order : 1, or 2 for the second-order correction. With H the function's Hessian, it subtracts the bias ½ tr(HV) from
        the estimate, and the variance is gᵀVg + ½ tr(HVHV), for a normal θ̂ (Kendall and Stuart, section 10.6).

    Returns
    -------
    Delta
        ``estimate``, ``se`` and ``interval``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
    >>> odds_ratio = fit.delta(lambda p: jnp.exp(p["smoke"]))
    >>> round(odds_ratio.estimate, 4), round(odds_ratio.se, 4)
    (1.9673, 0.6388)
    """
    if order not in (1, 2):
        raise ModelError(f"order: expected 1 or 2; got {order!r}")
    made = _scalar_or_vector(fit, function)
    theta = fit.estimates
    value, J = made.value(theta), made.jacobian(theta)
    fit.check_finite(J, "function")
    H = made.hessian(theta) if order == 2 else None
    return delta.delta_method(value, J, fit.cov, level, fit.reference_df, H, made.labels, made.scalar)


def profile(fit: Reading, name: Any) -> Profile:
    """Profile likelihood of a parameter, or of any function of the parameters.

    Parameters
    ----------
    name : a parameter; an expression as text, ``"age - lwt"`` or ``"log(2)/rate"``; or a function of the parameters in
        ``jax.numpy`` that returns one number, ``lambda p: p["a"] / p["b"]``.

    Returns
    -------
    Profile
        With ``interval(level)``, ``trace``, ``plot()`` and ``better``.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
    >>> fit.profile("smoke").interval().round(6).tolist()
    [0.040874, 1.317346]
    """
    fit.at("profile")
    place = place_of(name, fit.names) if isinstance(name, str) else None
    if place is not None:
        row = np.zeros((1, fit.n))
        row[0, place] = 1.0
        function: Any = Combinations(row, np.zeros(1), (name,))
    else:
        function = _scalar_or_vector(fit, name)
    return profile_of(fit, function)


def _scalar_or_vector(fit: Reading, function: Any) -> Any:
    if callable(function):
        return ParameterFunction(function, fit.names)
    try:
        found = constraints.linear(function, fit.names, "function")
    except ModelError:
        made = _in_words(fit, function)
        if made is None:
            raise
        return made
    labels = [text.removesuffix(" = 0") for text in found.texts]
    return Combinations(found.matrix, -found.value, labels)


def _in_words(fit: Reading, text: Any) -> ParameterFunction | None:
    """The function that an expression is, such as "log(2)/rate"; None if it is none of the parameters."""
    try:
        curve, places = constraints.expression(text, fit.names)
    except (FormulaError, TypeError):
        return None
    from raphson.model.curve.compiled import jax_function  # the function is differentiated by JAX; others are not

    made = ParameterFunction(
        lambda params: curve.evaluate({name: params[place] for name, place in places.items()}, jax_function), fit.names
    )
    made.labels = (text,)
    return made


def conf_int(
    fit: Reading, level: float = 0.95, kind: IntervalKind = "wald", exponentiate: bool = False
) -> pd.DataFrame:
    """Confidence intervals, columns ``lower`` and ``upper``.

    Parameters
    ----------
    level : coverage.
    kind : "wald" (estimate ∓ quantile times standard error) or "profile" (see :meth:`profile`).
    exponentiate : whether to give those of ratios, exp of the ends; see :meth:`tidy`.
    """
    import pandas as pd

    check_choice("kind", kind, get_args(IntervalKind))
    if kind == "profile":
        fit.check_name("profile")
        ends = np.full((fit.n, 2), np.nan)
        # With several BLAS threads products of a few rows mostly wait.
        with one_blas_thread():
            for j, name in enumerate(fit.names):
                if fit.state.free[j] or fit.state.infinite[j]:
                    ends[j] = profile(fit, name).interval(level)
    else:
        ends = intervals.conf_int(fit.estimates, fit.bse.to_numpy(), level, fit.df_of())
    table = pd.DataFrame(ends, index=list(fit.names), columns=["lower", "upper"])
    if not exponentiate:
        return table
    ratio_name(fit)  # or the reason why there is none
    return as_ratios(table)


class Profile(InNotebook):
    """The profile likelihood of one function of the parameters.

    Attributes
    ----------
    name : of the function.
    estimate : its value at the maximum, which may be ±inf.
    se : its standard error; NaN where it has none.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> profile = rp.glm("low ~ lwt", births, family="binomial").profile("lwt")
    >>> profile.interval(0.9).round(4).tolist()
    [-0.0248, -0.0044]
    """

    def __init__(self, name: str, se: float, profiler: Profiler, names: tuple[str, ...], df: float | None) -> None:
        self.name, self.se = name, se
        self.estimate = profiler.estimate
        self._profiler, self._names, self._df = profiler, names, df

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Lower and upper end, (2,), where the signed root of the likelihood ratio reaches ∓ its quantile.

        The quantile is that of t where the dispersion is estimated, otherwise of the normal. An end is infinite if the
        likelihood never falls so far, and NaN if the profile of a nonlinear function could not be traced to it.
        """
        reach = intervals.quantile(level, self._df)
        ends = np.array([self._profiler.end(side, reach)[0] for side in (-1, 1)])
        self._warn()
        return ends

    @cached_property
    def trace(self) -> pd.DataFrame:
        """The points of the profile: value, zeta (the signed root), llf_drop (ℓ̂ − ℓ) and the parameters."""
        import pandas as pd

        lines = []
        profiler = self._profiler
        centre = profiler.estimate if math.isfinite(profiler.estimate) else float("nan")
        if math.isfinite(centre):
            lines.append((centre, 0.0, 0.0, *profiler.theta[: len(self._names)]))
        reach = intervals.quantile(TRACE_LEVEL, self._df)
        ends = [profiler.end(side, reach)[0] for side in (-1, 1)]
        for side, end in zip((-1, 1), ends, strict=True):
            theta = None
            for value in self._grid(centre, end, side):
                try:
                    found = profiler.at(value, theta)
                except ConvergenceError:
                    break
                theta = found.theta
                if isinstance(profiler.released, Awakening):
                    found = max(found, profiler.released.profiler.at(value), key=lambda one: one.value)
                zeta = profiler.root(found, value)
                lines.append((value, zeta, 0.5 * zeta * zeta, *found.theta[: len(self._names)]))
        self._warn()
        table = pd.DataFrame(lines, columns=["value", "zeta", "llf_drop", *self._names])
        return table.sort_values("value", ignore_index=True)

    def _grid(self, centre: float, end: float, side: int) -> np.ndarray:
        if math.isfinite(centre) and math.isfinite(end):
            return centre + (end - centre) * np.arange(1, POINTS + 1) / POINTS
        width = self._profiler.scale * 3.0
        if math.isfinite(centre):
            return centre + side * width * np.arange(1, POINTS + 1) / POINTS
        # The maximum is at infinity: the grid runs from the finite end towards it.
        if math.isfinite(end):
            return end - side * width * np.arange(POINTS + 1) / POINTS
        return np.zeros(0)

    @property
    def values(self) -> np.ndarray:
        """The values of the function in the trace."""
        return self.trace["value"].to_numpy()

    @property
    def zeta(self) -> np.ndarray:
        """The signed roots √(2(ℓ̂ − ℓ_p)/φ̂) in the trace; a straight line where the Wald interval is exact."""
        return self.trace["zeta"].to_numpy()

    @property
    def better(self) -> pd.Series | None:
        """Parameters with a higher likelihood than the fit's, if the profile found any; refit with start= from them."""
        import pandas as pd

        found = self._profiler.better
        return None if found is None else pd.Series(found[1][: len(self._names)], index=list(self._names))

    def plot(self, level: float = 0.95, ax: Any = None) -> Any:
        """Plot the signed root against the value, with the interval; returns the matplotlib Axes."""
        from raphson.report.plots import plot_profile

        return plot_profile(self, level, ax)

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row: term, estimate, std_error, conf_low, conf_high."""
        import pandas as pd

        values = (self.name, self.estimate, self.se, *self.interval(level))
        return pd.DataFrame([values], columns=["term", "estimate", "std_error", "conf_low", "conf_high"])

    def _sheet(self) -> Sheet:
        reach = intervals.quantile(0.95, self._df) * self.se
        wald = (self.estimate - reach, self.estimate + reach)
        rows = (("profile likelihood", *self.interval()), ("Wald", *wald))
        grid = Grid(
            ("95% interval", "2.5%", "97.5%"), tuple((n, numbers.plain(a), numbers.plain(b)) for n, a, b in rows)
        )
        facts = [("Estimate", f"{self.estimate:.6g}"), ("Std. error", numbers.plain(self.se))]
        return Sheet(f"Profile of {visible(self.name)}", facts, [grid])

    def __repr__(self) -> str:
        lower, upper = self.interval()
        return f"Profile of {self.name}: {self.estimate:.6g}, 95% interval [{lower:.6g}, {upper:.6g}]"

    def _warn(self) -> None:
        if self._profiler.warnings:
            warn_user(
                f"profile of {self.name}: {'; '.join(dict.fromkeys(self._profiler.warnings))}", ConvergenceWarning
            )
            self._profiler.warnings = []
        found = self._profiler.better
        if found is not None:
            gain = found[0] - self._profiler.top
            warn_user(
                f"profile: found a better maximum than the fit's, by {gain:.3g} in the log-likelihood; fit again with "
                "start=profile.better",
                ConvergenceWarning,
            )


def profile_of(fit: Reading, function: Any) -> Profile:
    """The profile of a scalar function of a fit's coefficients.

    Raises
    ------
    ModelError
        If the function is not scalar, or depends on no estimated parameter.
    """
    reference, n = reference_of(fit), fit.n
    awake = reference.awake
    check_ratios(fit, "profile")
    theta = reference.theta[:n]
    function, J = _affine(function, theta), function.jacobian(theta)
    if len(J) != 1:
        raise ModelError(f"name: expected a parameter or a function that returns one number; got {len(J)} numbers")
    label = function.labels[0] if function.labels else "the function"
    if not J[:, reference.free[:n]].any():
        raise ModelError(
            f"name: expected a function of an estimated parameter; {label} depends on fixed or aliased ones alone"
        )
    wrapped = Padded(function, n, len(reference.theta))
    linear = isinstance(function, Combinations)
    outside = None
    if not reference.interior and not J[:, fit.state.infinite[:n] != 0].any():
        outside, reference = reference, ReferenceFit.of_limit(fit.at("profile").estimate)
    with np.errstate(all="ignore"):
        estimate = _at_maximum(fit, function, J, linear, reference)
        root = delta.covariance_root(fit.certifying)
        se = float(np.linalg.norm(root @ J[0]))
    known = math.isfinite(se) and se > 0
    cut_off = fit.state.follows is not None and bool((J[0] @ fit.state.follows).any())
    scale = se if known and math.isfinite(estimate) else 1.0 / max(float(np.abs(J).max()), TINY)
    if math.isinf(estimate) and reference.pace is not None:
        scale = abs(float(J[0] @ reference.pace[:n])) or scale

    def profiler_on(reference: ReferenceFit) -> Profiler:
        return Profiler(
            reference.objective,
            reference.theta,
            reference.top,
            reference.free,
            wrapped,
            linear,
            estimate,
            scale,
            fit.ratio_dispersion,
            reference.interior,
            several=reference is awake and awake is not None,
        )

    profiler = profiler_on(reference)
    if outside is not None:
        found, p = fit.at("profile").estimate, len(reference.theta)
        assert found.direction is not None
        direction, model = found.direction[:p], outside.model
        profiler.released = Release(profiler_on(outside), lambda theta: model.finite_point(theta, direction), direction)
    if awake is not None:
        moved = awake.pace
        assert moved is not None
        profiler.released = Awakening(profiler_on(awake), lambda theta: theta + moved, -moved)
    return Profile(label, se if known and not cut_off else math.nan, profiler, fit.names, fit.reference_df)


def _affine(function: Any, theta: np.ndarray) -> Any:
    """A function as the linear combination that it is, if its derivatives are the same everywhere."""
    if isinstance(function, Combinations):
        return function
    J = function.jacobian(theta)
    far = np.random.default_rng(0).normal(size=(4, len(theta))) * (10.0 + np.abs(theta))
    if not all(np.array_equal(J, function.jacobian(one)) for one in (-theta, *far)):
        return function
    return Combinations(J, function.value(theta) - J @ theta, function.labels or ["function"])


def _at_maximum(fit: Reading, function: Any, J: np.ndarray, linear: bool, reference: ReferenceFit) -> float:
    """The function at the maximum; infinite where the likelihood keeps rising in a direction that changes it."""
    if reference.interior:
        return float(function.value(reference.theta[: fit.n])[0])
    values = fit.state.theta[: fit.n]
    if not linear:
        raise ModelError(
            "name: expected a parameter or a linear combination, as some estimates are infinite; got a nonlinear "
            "function, which has no profile there"
        )
    assert fit.state.direction is not None
    direction = fit.state.direction[: fit.n]
    terms = J[0] * direction
    move = float(terms.sum())
    if abs(move) > 1e-9 * float(np.abs(terms).sum()):
        return math.copysign(math.inf, move)
    return float(function.value(values)[0])
