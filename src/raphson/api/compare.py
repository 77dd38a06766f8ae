"""Comparison of several methods on one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.api.arguments import start_vector
from raphson.choices import MethodName
from raphson.errors import ModelError, named_arguments
from raphson.fit.fit import Fit
from raphson.fit.reading import Reading, reading_of
from raphson.model.objective import Need
from raphson.newton.methods import METHODS, resolve_method
from raphson.newton.race import Runner, distances, race, yardstick
from raphson.numeric import TINY
from raphson.options import Iteration, count
from raphson.report.race import Comparison
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

DEFAULT: tuple[MethodName, ...] = ("newton", "fisher-scoring", "bhhh", "gradient-descent", "adam")

CONTOUR_ROWS = 20_000
"""Most rows from which contours are computed; of more rows an evenly spaced subset is taken. The grid has 41² = 1,681
points, so this is 34 million log densities, about a second."""


@named_arguments
def compare(
    model: Fit,
    methods: Sequence[MethodName | str] = DEFAULT,
    *,
    start: Any = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Run one model by several methods, from the same start.

    All are θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), each with its own M. They differ in the number of steps, in how often they read
    the data, and in how many gradients of rows they compute. The distance to the maximum is √((θ−θ̂)ᵀ M (θ−θ̂)/φ̂), where
    M is the observed information at the maximum: it is measured in standard errors, so that all methods share one
    scale. In a model with many maxima, such as a network, it is the distance to the best point found; there the
    difference in log-likelihood (`llf_drop`) says more.

    Parameters
    ----------
    model : a Fit with its data, such as :func:`raphson.glm` returns. It need not have converged.
    methods : names of methods: "newton", "fisher-scoring", "irls", "bhhh", "gauss-newton", "levenberg-marquardt",
        "newton-cg", "gradient-descent", and "sgd", "momentum", "rmsprop", "adam", which read batches.
    start : (p,) starting values of all methods; by default the coefficients of a constant mean, or the model's own
        starting values where its predictor is not linear.
    tol : distance at which a method may stop.
    max_iter : largest number of steps; of epochs, for methods that read batches. By default each method's own.
    seed : seed of the methods that read batches.

    Returns
    -------
    Comparison
        With ``table``, ``paths``, ``plot()`` and, for two parameters, ``plot_contours()``. A method that cannot fit
        the model has the status "does not apply", and ``notes`` says why.

    Raises
    ------
    ModelError
        If `model` is not a Fit with data, a method is unknown, none applies, or the maximum lies at infinity.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"x": [1, 2, 3, 4, 5, 6], "y": [0, 0, 1, 0, 1, 1]}
    >>> race = rp.compare(rp.glm("y ~ x", data, family="binomial"), methods=["newton", "gradient-descent"])
    >>> race.table["status"].to_list()
    ['converged', 'converged']
    """
    import pandas as pd

    fit = _checked(model, methods)
    iteration = Iteration(tol=tol, max_iter=max_iter)
    chosen = [resolve_method(name) for name in methods]
    asked = fit.at("a comparison").asked
    if model.status is Status.SEPARATED or fit.at("a comparison").estimate.infinite.any():
        raise ModelError(
            f"model: its maximum is at infinity ({model.status.value}), so no distance to it can be computed; drop the "
            "covariates that separate the responses, or add penalty="
        )
    begin = start_vector(start, asked.objective.n_params)
    if begin is None:
        begin = asked.start(Need(), plain=True).theta
    limits = {"tol": iteration.tol, "max_iter": iteration.max_iter, "seed": count("seed", seed)}
    runners = race(asked, chosen, begin, **limits)
    ran = [runner for runner in runners if not runner.note]
    if not ran:
        raise ModelError(f"methods: none applies to this model; {runners[0].note}")
    theta = np.asarray(fit.state.theta, dtype=float)
    if not model.converged:
        ends = [theta, *(runner.theta[-1] for runner in ran)]
        theta = max(ends, key=lambda t: _value(asked, t))
    best, information = yardstick(asked, theta)
    kept = np.ones(len(theta), dtype=bool) & ~fit.state.aliased
    away = {runner.method: distances(runner.theta, best, information, kept) for runner in ran}
    short = {one.method: max(best.value - _value(asked, one.theta[-1]), 0.0) / best.dispersion for one in ran}
    names = _names(model, len(theta))
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.sqrt(best.dispersion / np.maximum(np.diagonal(information), TINY))
    every = max(1, asked.objective.n_rows // CONTOUR_ROWS)
    drawn = asked if every == 1 else asked.subsampled(every)
    return Comparison(
        pd.DataFrame([_line(runner, away, short) for runner in runners]).set_index("method"),
        pd.concat([_points(runner, away[runner.method], names) for runner in ran], ignore_index=True),
        names,
        best.theta,
        errors,
        lambda t: _value(drawn, t) * asked.objective.n_rows / drawn.objective.n_rows / best.dispersion,
        {runner.method: runner.note for runner in runners if runner.note},
    )


def _checked(model: Any, methods: Any) -> Reading:
    """The reading of a Fit, after checking that `model` is a Fit and `methods` are names."""
    fit = reading_of(model)
    if fit is None:
        raise ModelError(f"model: expected a Fit, such as rp.glm returns; got {type(model).__name__}")
    if isinstance(methods, str) or not isinstance(methods, Sequence) or not len(methods):
        got = repr(methods) if isinstance(methods, str | Sequence) else type(methods).__name__
        hint = "; fits of nested models are compared by rp.anova" if isinstance(methods, Fit) else ""
        raise ModelError(f"methods: expected a list of names; got {got}{hint}")
    return fit


def _line(runner: Runner, away: dict[str, np.ndarray], short: dict[str, float]) -> dict[str, Any]:
    """The method's row of the table; a method that does not apply has no steps."""
    ran = runner.method in away
    return {
        "method": runner.method,
        "M": METHODS[runner.method].matrix,
        "n_iter": int(runner.iteration[-1]) if ran else 0,
        "passes": float(runner.passes[-1]) if ran else 0.0,
        "row_gradients": round(float(runner.row_gradients[-1])) if ran else 0,
        "seconds": runner.seconds if ran else np.nan,
        "distance": float(away[runner.method][-1]) if ran else np.nan,
        "llf_drop": short.get(runner.method, np.nan),
        "status": runner.status,
    }


def _points(runner: Runner, away: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    """The method's path."""
    import pandas as pd

    counted = ("method", "iteration", "passes", "row_gradients")
    columns = {name: getattr(runner, name) for name in counted} | {"distance": away}
    return pd.DataFrame(columns | dict(zip(names, runner.theta.T, strict=True)))


def _value(model: Any, theta: np.ndarray) -> float:
    """ℓ(θ), or −∞ if it is not finite."""
    with np.errstate(all="ignore"):
        value = model.objective.evaluate(theta).value
    return value if np.isfinite(value) else -np.inf


def _names(fit: Fit, n_params: int) -> tuple[str, ...]:
    extra = tuple(f"auxiliary{i + 1}" for i in range(n_params - len(fit.names)))
    return tuple(fit.names) + extra
