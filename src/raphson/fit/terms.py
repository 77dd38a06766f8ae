"""The terms of a fit: tests by leaving one out, and their collinearity."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ModelError
from raphson.fit.reading import Reading
from raphson.fit.reference import ReferenceFit, check_likelihood, reference_of
from raphson.fit.testing import likelihood_ratio
from raphson.inference import hypotheses
from raphson.inference.restricted import maximum_on_plane

if TYPE_CHECKING:
    import pandas as pd


def drop1(fit: Reading) -> pd.DataFrame:
    """Test each term by leaving it out: likelihood-ratio tests, like R's ``drop1``.

    A term that another one contains is not tested: with ``a:b`` in the model, neither ``a`` nor ``b`` is left out. Each
    smaller model is maximised, starting from this one's estimates.

    Returns
    -------
    DataFrame
        First ``<none>``, then a row for each term: df, deviance, aic, statistic, p_value. The statistic is F if the
        dispersion is estimated (aic then is R's, at the ML dispersion), else χ². Where coefficients vary, the columns
        are df, llf, aic, statistic, p_value and test: a likelihood ratio, or by REML F with Satterthwaite's degrees of
        freedom; of what varies a mixture of χ² at the edge; of a smooth function Wood's test.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ age + race", rp.datasets.load("births"), family="binomial")
    >>> fit.drop1()[["df", "statistic", "p_value"]].round(4)
            df  statistic  p_value
    <none>   0        NaN      NaN
    age      1     1.5341   0.2155
    race     2     3.7845   0.1507
    """
    import pandas as pd

    fit.check_name("drop1")
    own = fit.own_drop1(contains)
    if own is not None:
        return own
    check_likelihood(fit, "drop1")
    reference = reference_of(fit)
    lines: dict[str, tuple[Any, ...]] = {"<none>": (0, fit.deviance, fit.aic, math.nan, math.nan)}
    terms = reference.model.terms
    for term, columns in terms.items():
        if any(contains(other, term) for other in terms if other != term):
            continue
        moved = [j for j in columns if reference.free[j]]
        if not moved:
            lines[term] = (0, fit.deviance, fit.aic, math.nan, math.nan)
            continue
        R = _without(fit, reference, moved, columns)
        df = len(R)
        if not df:
            lines[term] = (0, fit.deviance, fit.aic, math.nan, math.nan)
            continue
        found = maximum_on_plane(
            reference.objective, R, np.zeros(df), reference.theta, reference.free, reference.metric
        )
        test = likelihood_ratio(fit, reference, term, 2.0 * (reference.top - found.value) / fit.dispersion, df)
        fitted = reference.model.with_nuisance_fixed(found.theta)
        rows = fitted.rows(found.theta[: fitted.predictor.n_params])
        aic = -2.0 * fit.llf_of(fitted, rows) + 2.0 * (fit.n_estimated - df)
        lines[term] = (df, fitted.deviance(rows), aic, test.statistic, test.p_value)
    if len(lines) == 1:
        raise ModelError("drop1: expected a model with a term that can be left out; got none beside the intercept")
    table = pd.DataFrame.from_dict(lines, orient="index", columns=["df", "deviance", "aic", "statistic", "p_value"])
    return table.astype({"df": int})


def _without(fit: Reading, reference: ReferenceFit, moved: Sequence[int], columns: Sequence[int]) -> np.ndarray:
    """The restrictions R θ = 0 (q, p) of the model without a term, of which the coefficients `moved` are estimated."""
    n, out = fit.n, np.zeros((len(moved), len(reference.theta)))
    others = [int(j) for j in np.flatnonzero(fit.state.aliased[:n]) if j not in columns and not reference.free[j]]
    root = reference.objective.design_root(reference.theta) if others else None
    if root is None:
        out[np.arange(len(moved)), moved] = 1.0
        return out
    R = hypotheses.left_out(root.triangle[:, :n], np.flatnonzero(reference.free[:n]), moved, others)
    return np.hstack([R, np.zeros((len(R), out.shape[1] - n))])


def vif(fit: Reading) -> pd.DataFrame:
    """Variance inflation factors: how much collinearity with the other terms widens a term's confidence region.

    Returns
    -------
    DataFrame
        ``vif``, the generalised factor of Fox and Monette (1992, JASA 87, equation 10), from the correlations of
        the estimates (as in R's ``car::vif``); ``df``, the number of coefficients of the term; and ``scaled``,
        vif^(1/(2 df)), the factor of a standard error.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ age + lwt", rp.datasets.load("births"), family="binomial")
    >>> fit.vif()["vif"].round(4).to_dict()
    {'age': 1.0223, 'lwt': 1.0223}
    """
    import pandas as pd

    terms = fit.at("vif").asked.terms or {name: [j] for j, name in enumerate(fit.names)}
    V = fit.certifying
    used = [j for j in range(fit.n) if np.isfinite(V[j, j]) and any(j in own for own in terms.values())]
    C = V[np.ix_(used, used)]
    scale = np.sqrt(np.diagonal(C))
    C = C / scale / scale[:, None]
    lines, inverse = {}, np.linalg.inv(C)
    for term, columns in terms.items():
        own = np.isin(used, columns)
        if own.any():
            # det C₁₁ det C₂₂ / det C with det C₂₂ / det C = det (C⁻¹)₁₁, Jacobi's identity for complementary minors.
            logs = [np.linalg.slogdet(part[np.ix_(own, own)])[1] for part in (C, inverse)]
            factor, df = math.exp(logs[0] + logs[1]), int(own.sum())
            lines[term] = (factor, df, factor ** (0.5 / df))
    if len(lines) < 2:
        raise ModelError(f"vif: expected at least two terms beside the intercept; got {len(lines)}")
    return pd.DataFrame.from_dict(lines, orient="index", columns=["vif", "df", "scaled"])


def _factors(term: str) -> frozenset[str]:
    """The factors of a term: the parts between its colons outside brackets and quotes.

    >>> sorted(_factors("C(a, levels=['x:y']):b"))
    ["C(a, levels=['x:y'])", 'b']
    """
    parts, depth, quote = [""], 0, ""
    for letter in term:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"`":
            quote = letter
        depth += (letter in "([") - (letter in ")]") if not quote else 0
        if letter == ":" and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return frozenset(re.sub(r"\s+", " ", part.strip()) for part in parts)


def contains(larger: str, term: str) -> bool:
    """Whether a term is part of a larger one, as a is of a:b."""
    return _factors(term) < _factors(larger)
