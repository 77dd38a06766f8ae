"""Diagnoses of a likelihood: where it is not finite, what it does not depend on, and what is not identified."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.compat import CUSTOM, as_function, jax, operation_name
from raphson.errors import ModelError, first_of
from raphson.linalg import ALIASED, SINGULAR
from raphson.model.base import RowTable
from raphson.model.likelihood.family import LikelihoodFamily
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.likelihood.start import coefficients
from raphson.model.objective import Evaluation, Need
from raphson.model.replay.replay import apply
from raphson.numeric import x64
from raphson.status import Status

TRIED, HIGH = 50, 10.0
"""Most parameters that are tested for an unbounded likelihood, and the log density that indicates one. e¹⁰ is
22,000."""


def check_start(model: LikelihoodModel, theta: np.ndarray) -> None:
    """Refuse parameters that the likelihood does not depend on.

    Raises
    ------
    ModelError
        The message names them.
    """
    with np.errstate(all="ignore"):
        unused = _unused(model, theta)
        if unused.any():
            unused &= _unused(model, theta + 0.1 * np.random.default_rng(0).normal(size=len(theta)))
    if unused.any() and not unused.all():
        named = ", ".join(name for name, one in zip(model.labels, unused, strict=True) if one)
        raise ModelError(
            f"{model.family.name}: the likelihood does not depend on {named}: no row's value changes with it. "
            "Remove it from start=, or check why the function does not use it"
        )


def _unused(model: LikelihoodModel, theta: np.ndarray) -> np.ndarray:
    found = model.objective.evaluate(theta, Need(kinds=("observed", "opg")))
    if not found.finite:
        return np.zeros(len(theta), dtype=bool)
    sizes = []
    for kind in ("observed", "opg"):
        part = found.information[kind]
        M = part.matrix
        sizes.append(np.abs(M if model.penalty is None else M - model.penalty).max(axis=0))
    return (sizes[0] == 0) & (sizes[1] == 0)


def explained(model: LikelihoodModel, theta: np.ndarray | None, message: str) -> str:
    """The message of a log-likelihood that is not finite, with the first step of the function that is not finite."""
    if theta is None:
        theta = np.zeros(model.predictor.n_params)
        if model.constants is not None:
            theta = coefficients(model, model.constants)
    some = model.examined(theta)
    bad = _not_finite(some, theta)
    if not len(bad):
        return _broken_slope(model, some, theta) or message
    first = int(bad[0])
    every, model = model.counted(lambda one: _not_finite(one, theta), "not finite", theta), some
    with np.errstate(all="ignore"):
        rows = model.rows(theta)
    text = (
        f"start: {model.family.name} is {rows.value[first]} for {_those(model, bad, every)} at {_values(model, theta)}"
    )
    step = _first_step(model, theta, rows, first)
    if step:
        text += f"; the first step that is not finite: {step}"
    return text + ". Pass start= where every row has a positive density"


def _not_finite(model: LikelihoodModel, theta: np.ndarray) -> np.ndarray:
    """The rows whose log-likelihood is not finite."""
    with np.errstate(all="ignore"):
        return np.flatnonzero(~np.isfinite(model.rows(theta).value) & (model.row_weight > 0))


def _without_slope(model: LikelihoodModel, theta: np.ndarray) -> np.ndarray:
    """The rows whose log-likelihood is finite and whose derivatives are not."""
    with np.errstate(all="ignore"):
        rows = model.rows(theta)
    finite = np.isfinite(rows.score).all(axis=0) & np.isfinite(rows.observed).all(axis=(0, 1))
    return np.flatnonzero(np.isfinite(rows.value) & ~finite & (model.row_weight > 0))


def _those(model: LikelihoodModel, rows: np.ndarray, every: tuple[int, int]) -> str:
    """Some rows of a model in words: `every` has the numbers of such rows in all data, and of all rows."""
    shown = _original(model, rows)
    more = ", ..." if every[0] > len(rows) and not shown.endswith("...") else ""
    return f"{every[0]} of {every[1]} rows ({shown}{more}, counted from 0)"


def _original(model: LikelihoodModel, rows: np.ndarray) -> str:
    """The first few rows, by their numbers in the user's data."""
    index = model.data.index
    return first_of(rows if index is None else index[rows])


def _values(model: LikelihoodModel, theta: np.ndarray) -> str:
    shown = [f"{name}={value:.4g}" for name, value in zip(model.labels, theta, strict=True)]
    return first_of(shown, 8)


def _first_step(model: LikelihoodModel, theta: np.ndarray, rows: RowTable, number: int) -> str:
    """The first operation of the row function whose value is not finite although its inputs are."""
    from raphson.autodiff.trace import source_of
    from raphson.autodiff.walk import walk

    family: LikelihoodFamily = model.family
    if type(family) is not LikelihoodFamily:
        return ""
    found: list[str] = []

    def visit(equation: Any, given: list[Any], site: Any) -> list[Any]:
        out = apply(equation, given)
        finite_before = all(np.isfinite(np.asarray(one, dtype=float)).all() for one in given)
        after = [np.asarray(one, dtype=float) for one in out]
        if not found and finite_before and not all(np.isfinite(one).all() for one in after):
            place = source_of(site)
            inputs = ", ".join(np.array2string(np.asarray(one, dtype=float), precision=4) for one in given)
            result = np.array2string(after[0], precision=4)
            line = f" at {place} (`{place.text}`)" if place is not None else ""
            found.append(f"{operation_name(equation)}({inputs}) = {result}{line}")
        return out

    try:
        jaxpr, inputs = _traced_row(model, theta, rows, number)
        with x64():
            walk(jaxpr, inputs, visit, keep=CUSTOM)
    except Exception:
        return ""
    return found[0] if found else ""


def _broken_slope(whole: LikelihoodModel, model: LikelihoodModel, theta: np.ndarray) -> str:
    """A message if the log-likelihood is finite and its derivatives are not; otherwise empty.

    `model` has those of the `whole` rows that are examined.
    """
    bad = _without_slope(model, theta)
    if not len(bad):
        return ""
    every = whole.counted(lambda one: _without_slope(one, theta), "without slope", theta)
    with np.errstate(all="ignore"):
        rows = model.rows(theta)
    text = (
        f"{model.family.name} is finite for {_those(model, bad, every)} at {_values(model, theta)}, but its "
        "derivatives are not"
    )
    step = _first_slope(model, theta, rows, int(bad[0]))
    return (
        text
        + (f": {step}" if step else "")
        + (
            ". Where jnp.where does not choose this step, give it an argument at which it is finite, as in "
            "jnp.where(ok, f(jnp.where(ok, x, 1.0)), other)"
        )
    )


def _first_slope(model: LikelihoodModel, theta: np.ndarray, rows: RowTable, number: int) -> str:
    """The step of the row function whose derivative is not finite."""
    from raphson.autodiff.decomposition import Decomposition
    from raphson.autodiff.sweeps import Quantity, decomposed

    n_row = len(model.extra) + model.family.with_response
    try:
        jaxpr, inputs = _traced_row(model, theta, rows, number)
        active, row = [np.asarray(one) for one in inputs[:-n_row]], inputs[-n_row:]
        function = as_function(jaxpr)
        ones = [np.ones_like(one) for one in active]

        def slope(*inputs: Any) -> Any:
            """The derivative in one direction; its own derivatives are second derivatives."""
            return jax.jvp(lambda *some: function(*some, *inputs[-n_row:])[0], inputs[:-n_row], tuple(ones))[1]

        found = None
        for traced in (lambda: jaxpr, lambda: jax.make_jaxpr(slope)(*active, *row)):
            with x64():
                quantities = [
                    Quantity(f"input {j}", np.asarray(one), j < len(active)) for j, one in enumerate((*active, *row))
                ]
                steps, output = decomposed(traced(), quantities, model.family.name, 100_000)
            found = Decomposition(model.family.name, quantities, steps, output, None).first_nonfinite()
            if found is not None:
                break
    except Exception:
        return ""
    if found is None:
        return ""
    line = f" at {found.step.source} (`{found.text}`)" if found.text else ""
    return f"{found.operation}{line}: {found.reason}"


def _piecewise_linear(model: LikelihoodModel, theta: np.ndarray) -> str:
    """A message if the likelihood is piecewise linear in some parameters, which have scores but no second derivatives.

    A smooth likelihood may have a zero second derivative at one point (a three-parameter Weibull's by its threshold at
    shape 1), but not at the points around it.
    """
    straight = _linear_in_every_row(model, theta)
    rng = np.random.default_rng(0)
    for _ in range(2):
        straight &= _linear_in_every_row(model, theta + 0.01 * (1.0 + np.abs(theta)) * rng.normal(size=len(theta)))
    if not straight.any():
        return ""
    named = ", ".join(label for label, one in zip(model.family.labels, straight, strict=True) if one)
    return (
        f"the second derivatives by {named} are 0 in every row, as those of abs() or max() are: a likelihood with such "
        "kinks has no information to step with. Smooth them, as in jnp.sqrt(x**2 + 1e-6) for abs(x)"
    )


def _linear_in_every_row(model: LikelihoodModel, theta: np.ndarray) -> np.ndarray:
    """(K,) mask of the predictors that some row depends on, and that every row depends on linearly."""
    with np.errstate(all="ignore"):
        rows = model.rows(theta)
    K = len(rows.score)
    finite = np.isfinite(rows.value) & (model.row_weight > 0)
    bent, slope = rows.observed[range(K), range(K)][:, finite], rows.score[:, finite]
    return (bent == 0).all(axis=1) & (slope != 0).any(axis=1) if finite.any() else np.ones(K, dtype=bool)


def _traced_row(model: LikelihoodModel, theta: np.ndarray, rows: RowTable, number: int) -> tuple[Any, list[Any]]:
    """The row function as it was traced, and its inputs for one row: parameters or predictors first."""
    family = model.family
    row = tuple(one[number] for one in ((model.y, *model.extra) if family.with_response else model.extra))
    with x64():
        eta = rows.eta[:, number]
        if family.origin is not None:
            return family.origin(theta, eta, row)
        return jax.make_jaxpr(lambda eta, *row: family.function(eta, row))(eta, *row), [eta, *row]


def reviewed(
    model: LikelihoodModel,
    climbed: LikelihoodModel,
    status: Status,
    note: str,
    end: Evaluation,
    free: np.ndarray,
    at_limit: bool,
) -> tuple[Status, str]:
    """Status and note of an estimate, corrected where it is not a maximum or not identified.

    Parameters
    ----------
    model, climbed : the model asked for, and the one that was maximised: a limit's where the maximum is at infinity.
    status, note : what the iteration reports.
    end : the objective of `climbed` where it ended.
    free : (p,) mask of the parameters that it moved.
    at_limit : whether a limit's model has its maximum there.
    """
    if not status.converged and not at_limit:
        advice, some = note or model.advice(status), model.examined(end.theta)
        wrong = _unbounded(some, end.theta)
        if not wrong and (broken := _broken_slope(model, some, end.theta) or _piecewise_linear(some, end.theta)):
            return status, broken
        return status, "; ".join(one for one in (wrong or _unidentified(model, end.theta), advice) if one)
    if _singular(climbed, end, free):
        return Status.SINGULAR, (
            _unbounded(model.examined(end.theta), end.theta)
            or _unidentified(model, end.theta)
            or model.advice(Status.SINGULAR)
        )
    return status, note


def _singular(model: LikelihoodModel, end: Evaluation, free: np.ndarray) -> bool:
    """Whether the information at a maximum is singular."""
    part = end.information.get("observed")
    if part is None:
        part = model.objective.evaluate(end.theta, Need(kinds=("observed",))).information.get("observed")
    if part is None or not np.isfinite(part.matrix).all():
        return True
    M = part.matrix[np.ix_(free, free)]
    size = np.sqrt(np.abs(np.diagonal(M)))
    if not len(M):
        return False
    if not (size > 0).all():
        return True
    return bool(np.linalg.eigvalsh(M / size / size[:, None])[0] < SINGULAR)


def _unbounded(model: LikelihoodModel, theta: np.ndarray) -> str:
    """A message if the log-likelihood seems unbounded, because some row's density has become enormous."""
    with np.errstate(all="ignore"):
        value = model.rows(theta).value
    highest = np.nanmax(np.where(model.row_weight > 0, value, -np.inf))
    if not highest > 15.0 or not highest > np.nanmedian(value) + 10.0:
        return _linearly_unbounded(model, theta)
    number = int(np.nanargmax(np.where(model.row_weight > 0, value, -np.inf)))
    far = int(np.argmax(np.abs(theta)))
    return (
        f"the likelihood seems unbounded: the density of row {_original(model, np.array([number]))} is "
        f"exp({highest:.0f}) and grows as {model.labels[far]} goes to {theta[far]:.3g}, as when a variance goes "
        "to 0; bound it below, share the variance, or add penalty="
    )


def _linearly_unbounded(model: LikelihoodModel, theta: np.ndarray) -> str:
    """A message if the log-likelihood rises linearly along a parameter, to densities that no data have.

    −n log σ does so where every residual is 0: the densities of all rows grow alike. A bounded density rises linearly
    in its tail too, but never so high.
    """
    weight = model.row_weight
    if model.family.with_response:
        with np.errstate(all="ignore"):
            usual = float(np.nanmedian(model.rows(theta).value[weight > 0]))
        spread = float(np.std(model.y[(weight > 0) & np.isfinite(model.y)]))
        if spread > 0 and HIGH < usual + np.log(spread) < np.inf:
            return (
                f"the likelihood seems unbounded: the density of half of the rows is above exp({usual:.0f}), much more "
                "than their spread allows, as when a variance goes to 0 because the model fits without error; bound it "
                "below, or add penalty="
            )

    def at(j: int, length: float) -> tuple[float, float]:
        there = theta.copy()
        there[j] += length
        value = model.rows(there).value[weight > 0]
        return float(weight[weight > 0] @ value), float(value.max())

    with np.errstate(all="ignore"):
        here = at(0, 0.0)[0]
        for j in range(min(len(theta), TRIED)):
            for far in (4.0, 64.0, -4.0, -64.0):
                half, (end, highest) = at(j, far / 2)[0], at(j, far)
                straight = end - half > 0.9 * (half - here) and half - here > 0.9 * (end - half)
                if straight and half - here > 1.0 and HIGH < highest < np.inf:
                    return (
                        f"the likelihood seems unbounded: it rises in a straight line as {model.labels[j]} goes to "
                        f"{'-' if far < 0 else ''}infinity, as when a variance goes to 0 because the residuals are all "
                        "0; bound it below, leave out what fits the data without error, or add penalty="
                    )
    return ""


def _unidentified(model: LikelihoodModel, theta: np.ndarray) -> str:
    """A message naming the combinations of parameters along which no row's log-likelihood changes.

    They span the null space of the outer product of row scores wherever the iteration ended; that of the observed
    information only at the maximum.
    """
    with np.errstate(all="ignore"):
        found = model.objective.evaluate(theta, Need(kinds=("opg",)))
    if not found.finite or model.likelihood.n_rows < len(theta):
        return ""
    M = found.information["opg"].matrix
    size = np.sqrt(np.abs(np.diagonal(M)))
    if not np.isfinite(M).all() or not size.any():
        return ""
    flat = size <= ALIASED * size.max()
    scale = np.where(flat, 1.0, size)
    values, vectors = np.linalg.eigh(M / scale / scale[:, None])
    loose = vectors[:, np.abs(values) < SINGULAR * np.abs(values).max()].T
    named = []
    for one in loose[:3]:
        direction = one / scale
        direction = direction / np.abs(direction).max()
        terms = [
            f"{value:+.3g}*{name}" for name, value in zip(model.labels, direction, strict=True) if abs(value) > 1e-6
        ]
        named.append(" ".join(terms))
    if not named:
        return ""
    return (
        f"not identified: the likelihood does not change along {' and '.join(named)}; fix one of these parameters or "
        "leave one out"
    )
