"""Starting values of a density: the best constant for each predictor, turned into coefficients.

With constants as its predictors a density is a function of K numbers. On a part of the rows it is evaluated at
combinations of numbers that the response suggests (its mean and spread, their logarithms, the logit of its mean), and
maximised from the best. Where that ends at a point where parameters cannot be distinguished (two components of a
mixture that begin alike, a skewness of 0), the search is repeated from points spread over the response.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from raphson.data.blocks import make_blocks
from raphson.data.products import matvec
from raphson.errors import ConvergenceError
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Evaluation, Need, Objective
from raphson.model.predictor import LinearPredictor
from raphson.model.rows import block_rows
from raphson.model.start import least_squares

if TYPE_CHECKING:
    from raphson.model.likelihood.model import LikelihoodModel

PART_ROWS = 2_000
"""Number of rows on which constants are searched for."""

MOST_TRIALS = 600
"""Most combinations of constants that are tried. On so many rows they take 1.2 million densities."""

ALIKE = 1e-8
"""Below this eigenvalue of the scaled outer product of scores parameters cannot be distinguished: two columns of
scores, scaled to length 1, then differ by 1e-4."""

SPREAD_TRIALS, SPREAD_CLIMBS = 400, 8
"""Numbers of points that are tried, and that are maximised from, where parameters are alike: of 2,000 rows 800,000
densities, and up to four times as many."""

RUNAWAY = 8.0
"""A log density this far above the median belongs to a component that shrinks onto a single row. Its density is 3,000
times that of the median row."""


def starting_point(model: LikelihoodModel, need: Need, objective: Objective) -> Evaluation:
    """An objective of the model at coefficients where the log-likelihood is finite.

    Raises
    ------
    ConvergenceError
        If none are found.
    """
    for constants in _constants(model):
        theta = coefficients(model, constants)
        evaluation = objective.evaluate(theta, need)
        if evaluation.finite:
            return evaluation
    raise ConvergenceError(
        f"start: the log-likelihood of {model.family.name} is not finite at any of the starting values tried; pass "
        "start= with parameters at which every row has a positive density"
    )


def _constants(model: LikelihoodModel) -> list[np.ndarray]:
    """Constants for the predictors, the best first."""
    part = model if len(model.y) <= PART_ROWS else model.subsampled(len(model.y) // PART_ROWS + 1)
    K = model.family.n_predictors
    ones = np.ones((len(part.y), 1))
    blocks = make_blocks((ones,), part.y, part.weight, None, part.extra)
    objective = LogLikelihood(model.family, LinearPredictor((1,) * K, (0,) * K), blocks)
    finite = part.y[np.isfinite(part.y)]  # a density may allow infinite responses, but they suggest no number
    responses = finite if finite.size else np.zeros(1)

    def value(theta: np.ndarray) -> float:
        found = objective.evaluate(theta)
        return found.value if found.finite else -np.inf

    trials = [] if model.constants is None else [model.constants]
    if not trials or not np.isfinite(value(trials[0])):
        trials += _suggested(responses, K)
    values = np.array([value(theta) for theta in trials])
    order = np.argsort(-values, kind="stable")
    finite = [trials[i] for i in order if np.isfinite(values[i])]
    if not finite:
        return [] if model.constants is None else [model.constants]
    maximum = _maximum(objective, finite[0])
    if K > 1 and model.constants is None and _alike(objective, maximum):
        spread = _spread_out(objective, responses, maximum)
        if spread is not None:
            return [spread, maximum, *finite[:20]]
    return [maximum, *finite[:20]]


def _alike(objective: LogLikelihood, theta: np.ndarray) -> bool:
    """Whether the scores of some constants are proportional over the rows, so that their outer product is singular."""
    found = objective.evaluate(theta, Need(kinds=("opg",)))
    if not found.finite:
        return False
    M = found.information["opg"].matrix
    size = np.sqrt(np.diagonal(M))
    if not np.isfinite(M).all() or not (size > 0).all():
        return True
    return bool(np.linalg.eigvalsh(M / size / size[:, None])[0] < ALIKE)


def _spread_out(objective: LogLikelihood, y: np.ndarray, maximum: np.ndarray) -> np.ndarray | None:
    """The best maximum found from constants spread over the response's quantiles; None if none is better."""
    rng = np.random.default_rng(0)
    places = np.quantile(y, [0.1, 0.25, 0.5, 0.75, 0.9])
    size = float(np.std(y)) or 1.0
    numbers = np.array([*places, 0.0, 1.0, -1.0, 2.0, np.log(size), np.log(0.4 * size), size])
    trials = []
    for _ in range(SPREAD_TRIALS):
        trial = np.where(rng.random(len(maximum)) < 0.3, maximum, rng.choice(numbers, len(maximum)))
        found = objective.evaluate(trial)
        if found.finite:
            trials.append((found.value, trial))
    trials.sort(key=lambda one: -one[0])
    least = objective.evaluate(maximum).value
    best = None
    for _, trial in trials[:SPREAD_CLIMBS]:
        ended = _maximum(objective, trial, 200)
        found = objective.evaluate(ended)
        if found.finite and found.value > least + 1e-6 and not _degenerate(objective, ended):
            best, least = ended, found.value
    return best


def _degenerate(objective: LogLikelihood, theta: np.ndarray) -> bool:
    """Whether parameters are alike, or the density of a few rows grows far beyond that of the others."""
    if _alike(objective, theta):
        return True
    values = np.concatenate(
        [block_rows(objective.family, block, objective.predictor.eta(block, theta)).value for block in objective.blocks]
    )
    return bool(np.max(values) > np.median(values) + RUNAWAY)


def _suggested(y: np.ndarray, K: int) -> list[np.ndarray]:
    mean, spread = float(np.mean(y)), float(np.std(y)) or 1.0
    numbers = [0.0, mean, np.log(spread), 1.0, -1.0, float(np.median(y))]
    if mean > 0:
        numbers += [np.log(mean)]
    if 0 < mean < 1:
        numbers += [np.log(mean / (1.0 - mean))]
    if (y > 0).all():
        logs = np.log(y)
        numbers += [float(logs.mean()), np.log(float(logs.std()) or 1.0)]
    numbers += [2.0, -2.0, 1.0 / mean if mean else 3.0, 1.0 / spread, spread, -np.log(spread)]
    if mean > 0:
        numbers += [-np.log(mean)]
    # Six digits, so that equal suggestions coincide whatever the units of the response.
    distinct = list(dict.fromkeys(float(f"{number:.6g}") for number in numbers if np.isfinite(number)))
    while len(distinct) ** K > MOST_TRIALS and len(distinct) > 3:
        distinct.pop()
    combinations = itertools.islice(itertools.product(distinct, repeat=K), MOST_TRIALS)
    return [np.array(one) for one in combinations]


def _maximum(objective: Objective, start: np.ndarray, steps: int = 50) -> np.ndarray:
    """The maximum over constants, to a few digits.

    Each constant is scaled by how far it moves for a row's log density to change by about 1, so that the units of the
    response do not matter.
    """
    from scipy.optimize import minimize

    first = objective.evaluate(start, Need(kinds=("opg",)))
    with np.errstate(all="ignore"):
        unit = 1.0 / np.sqrt(np.diagonal(first.information["opg"].matrix) / first.rows) if first.finite else np.ones(1)
    unit = np.where(np.isfinite(unit), unit, 1.0)

    def both(z: np.ndarray) -> tuple[float, np.ndarray]:
        found = objective.evaluate(start + unit * z)
        return (-found.value, -unit * found.score) if found.finite else (1e300, np.zeros_like(z))

    with np.errstate(all="ignore"):
        found = minimize(
            both, np.zeros_like(start), jac=True, method="L-BFGS-B", options={"maxiter": steps, "ftol": 1e-6}
        )
    better = np.isfinite(found.x).all() and found.fun < both(np.zeros_like(start))[0] and np.abs(found.x).max() < 50
    return start + unit * found.x if better else start


def coefficients(model: LikelihoodModel, constants: np.ndarray) -> np.ndarray:
    """θ whose predictors, without offsets, come nearest to the constants."""
    predictor = model.predictor
    theta = np.zeros(predictor.n_params)
    for k, part in enumerate(predictor.slices):
        X = model.matrices[predictor.design[k]]
        width = part.stop - part.start
        names = model.labels[part]
        intercept = [j for j, name in enumerate(names) if name.rpartition(":")[2] == "Intercept"]
        if intercept or (width == 1 and (matvec(X, np.ones(1)) == 1.0).all()):
            theta[part.start + (intercept[0] if intercept else 0)] = constants[k]
        elif constants[k] != 0:
            from raphson.data.products import sandwich, transpose_matvec
            from raphson.model.objective import Gram

            ones = np.ones(X.shape[0])
            theta[part] = least_squares(Gram(sandwich(X, ones)), transpose_matvec(X, constants[k] * ones))
    return theta
