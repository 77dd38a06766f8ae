"""A fit as ArviZ has it: draws of the parameters, the observed data, and the log likelihood of each row and draw."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from raphson.errors import ModelError, Needs, check_choice
from raphson.fit.bootstrap import bootstrap
from raphson.fit.reading import Reading
from raphson.options import seed_or_none

DRAWS = ("normal", "bootstrap")
MOST_NUMBERS = 20_000_000
"""Log likelihoods, of all rows and draws, that are added without being asked for: 160 MB."""

Numbers = dict[str, np.ndarray]


def to_inferencedata(
    fit: Reading,
    draws: int = 1000,
    chains: int = 4,
    kind: Literal["normal", "bootstrap"] = "normal",
    log_likelihood: bool | None = None,
    seed: int = 0,
) -> Any:
    """The fit for ArviZ: an ``InferenceData``, or from ArviZ 1.0 on a ``DataTree``.

    The draws approximate a posterior with a flat prior: with many rows it is normal, with the estimates as its mean and
    their covariance (Laplace's approximation). They are independent, so that effective sample sizes are the numbers of
    draws, and R̂ is 1. An estimated dispersion or θ is held at its estimate. Needs ArviZ:
    ``pip install "raphson[arviz]"``.

    Parameters
    ----------
    draws, chains : number of draws in each chain, and of chains.
    kind : "normal" for draws from the normal distribution of the estimates, with the covariance of the fit, or
        "bootstrap" for the estimates of so many resampled data sets (:meth:`raphson.Fit.bootstrap`).
    log_likelihood : whether to add the log likelihood of each row and draw, which ``arviz.loo`` and ``waic`` read; by
        default if these are no more than 20 million numbers.
    seed : of the random numbers.

    Returns
    -------
    With the groups ``posterior`` (a variable for each coefficient that has a standard error), ``observed_data`` (the
    response of the rows that were used) and ``log_likelihood``.

    Raises
    ------
    RaphsonError
        If ArviZ is not installed.
    ModelError
        If single parameters have no meaning, as in a network, or the log likelihood is asked for where there is none.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
    >>> idata = fit.to_inferencedata(draws=1000, chains=4, seed=0)  # doctest: +SKIP
    >>> arviz.summary(idata)  # doctest: +SKIP
    """
    check_choice("kind", kind, DRAWS)
    if draws < 1 or chains < 1:
        raise ModelError(f"draws: expected a draw and a chain or more; got draws={draws}, chains={chains}")
    if not fit.identified:
        raise ModelError("to_inferencedata: a network's weights are not identified, so they have no distribution")
    with Needs("arviz", "to_inferencedata: it"):
        import arviz  # pyright: ignore[reportMissingImports]
    asked = fit.at("to_inferencedata").asked
    estimates = _bootstrapped(fit, draws * chains, seed) if kind == "bootstrap" else _normal(fit, draws * chains, seed)
    known = np.isfinite(fit.bse.to_numpy())
    shape = (chains, len(estimates) // chains)
    estimates = estimates[: shape[0] * shape[1]]
    groups: dict[str, Numbers] = {
        "posterior": {name: estimates[:, place].reshape(shape) for place, name in enumerate(fit.names) if known[place]}
    }
    response = asked.data.response.name or "y"
    if asked.by_rows:
        groups["observed_data"] = {response: np.asarray(asked.y, dtype=np.float64)}
    values = _log_likelihoods(fit, estimates, log_likelihood)
    if values is not None:
        groups["log_likelihood"] = {response: values.reshape(*shape, -1)}
    of: dict[str, Any] = {}
    if asked.by_rows:
        of = {"coords": {"row": np.asarray(fit.row_labels)}, "dims": {response: ["row"]}}
    return _as_arviz(arviz, groups, of)


def _as_arviz(arviz: Any, groups: dict[str, Numbers], of: dict[str, Any]) -> Any:
    """What ArviZ makes of the groups: before version 1.0 they are keywords."""
    if hasattr(arviz, "InferenceData"):
        return arviz.from_dict(**groups, **of)
    return arviz.from_dict(groups, **of)


def _normal(fit: Reading, count: int, seed: int) -> np.ndarray:
    """(count, n) draws from the normal distribution of the estimates."""
    root, rng = np.nan_to_num(fit.covariance_root), np.random.default_rng(seed_or_none(seed))
    return fit.state.theta[: fit.n] + rng.standard_normal((count, len(root))) @ root


def _bootstrapped(fit: Reading, count: int, seed: int) -> np.ndarray:
    """(B, n) finite estimates of resampled data, B ≤ count."""
    found = np.array(bootstrap(fit, count, seed=seed).estimates)
    aliased = ~np.isfinite(fit.estimates)
    found[:, aliased] = fit.state.theta[: fit.n][aliased]
    return found[np.isfinite(found).all(axis=1)]


def _log_likelihoods(fit: Reading, draws: np.ndarray, asked_for: bool | None) -> np.ndarray | None:
    """(draws, rows) log likelihoods with all constants; None where they are not asked for or there are none."""
    at = fit.at("log_likelihood")
    fitted = at.fitted
    refusal = ""
    if not at.asked.by_rows:
        refusal = "the rows are streamed, and not in memory"
    elif fit.compares_criteria or "loo" in fit.refused:
        refusal = "what a row says alone depends on more than these parameters"
    elif fit.family.quasi:
        refusal = f"the {fit.family.name} family has no density"
    elif fitted.predictor.n_params != fit.n:
        refusal = "some estimates are infinite"
    if asked_for and refusal:
        raise ModelError(f"log_likelihood: there is none, as {refusal}; leave it out")
    if asked_for is None:
        asked_for = not refusal and len(draws) * len(at.asked.y) <= MOST_NUMBERS
    if not asked_for:
        return None
    dispersion = fit.known_dispersion
    if dispersion is None:
        dispersion = fitted.ml_dispersion(at.rows)
    out = np.empty((len(draws), len(at.asked.y)))
    with np.errstate(all="ignore"):
        for place, theta in enumerate(draws):
            rows = fitted.rows(theta)
            out[place] = fitted.log_density(rows.value, rows.mean, dispersion)
    return out
