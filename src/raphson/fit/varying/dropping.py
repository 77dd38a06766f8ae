"""Tests of the terms of a model in which coefficients vary, each by leaving it out.

By maximum likelihood a term of the design is tested by its likelihood ratio; by REML, whose criteria are not comparable
then, by F with Satterthwaite's degrees of freedom if the response is normal, else by Wald's χ². What varies is tested
by the likelihood ratio of the model in which its standard deviation is held at 0, a mixture of two χ² at that edge; a
smooth function by Wood's test of a flat line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ConvergenceWarning, ModelError, warn_user
from raphson.fit.varying.refits import off_the_edge
from raphson.inference import hypotheses
from raphson.model.varying.edge import without
from raphson.newton.estimate import Options, estimate
from raphson.newton.methods import METHODS

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit.varying.reading import VaryingReading

COLUMNS = ["df", "llf", "aic", "statistic", "p_value", "test"]
Line = tuple[float, float, float, float, float, str]


def dropped(fit: VaryingReading, contains: Callable[[str, str], bool]) -> pd.DataFrame:
    """First ``<none>``, then a row for each term that can be left out.

    Parameters
    ----------
    fit : the fit.
    contains : whether a term is part of a larger one, which is then not left out.
    """
    import pandas as pd

    lines: dict[str, Line] = {"<none>": (0.0, fit.llf, fit.aic, math.nan, math.nan, "")}
    smooth = set(fit.smooths.term)
    terms = fit.model.terms
    for term, columns in terms.items():
        if term in smooth or any(contains(other, term) for other in terms if other != term):
            continue
        lines[term] = _fixed(fit, list(columns))
    lines |= dict(_varying(fit, contains))
    scaled = fit.maximum.criterion.density.scaled
    for line in fit.smooths[["term", "edf", "statistic", "p_value"]].to_numpy().tolist():
        test = f"Wood's {'F' if scaled else 'chi2'}"
        lines[line[0]] = (line[1], math.nan, math.nan, line[2], line[3], test)
    if len(lines) == 1:
        raise ModelError("drop1: expected a model with a term that can be left out; got none beside the intercept")
    return pd.DataFrame.from_dict(lines, orient="index", columns=COLUMNS)


def _fixed(fit: VaryingReading, columns: list[int]) -> Line:
    """The line of a term of the design; aliased columns of other terms may take up a part of it, or all."""
    model, kept = fit.model, fit.model.kept
    if model.restricted:
        moved = [j for j in columns if kept[j]]
        others = [int(j) for j in np.flatnonzero(~kept) if j not in columns]
        R = hypotheses.left_out(model.triangle, np.flatnonzero(kept), moved, others)
        return _by_wald(fit, R) if len(R) else _nothing(fit)
    smaller = model.without(columns)
    q = int(np.count_nonzero(kept)) - int(np.count_nonzero(smaller.kept))
    if not q:
        return _nothing(fit)
    beta = np.nan_to_num(fit.estimates)[smaller.kept]
    start = np.concatenate([beta, off_the_edge(fit.maximum)[fit.maximum.criterion.p :]])
    return _ratio(fit, smaller, start, (q,), q)


def _nothing(fit: VaryingReading) -> Line:
    return (0.0, fit.llf, fit.aic, math.nan, math.nan, "")


def _by_wald(fit: VaryingReading, R: np.ndarray) -> Line:
    q, df = len(R), fit.joint_df(R)
    found = hypotheses.verdict("", "", hypotheses.wald(R @ np.nan_to_num(fit.estimates), R, fit.cov), q, df)
    test = f"chi2({q})" if df is None else f"F({q}, {df:.4g})"
    return (float(q), math.nan, math.nan, found.statistic, found.p_value, test)


def _varying(fit: VaryingReading, contains: Callable[[str, str], bool]) -> Iterator[tuple[str, Line]]:
    criterion, own = fit.maximum.criterion, off_the_edge(fit.maximum)
    for number, term in enumerate(criterion.terms):
        if term.codes is None:
            continue
        scale = criterion.scales[number]
        for effect, columns in _effects(term, contains):
            whole = len(columns) == term.width
            label = f"({term.own_label})" if whole else f"{effect} in ({term.own_label})"
            entries = own[criterion.p + scale.start :][: scale.count]
            if scale.structure == "correlated":
                where = [at[0] for at in scale.places]
                gone = np.array([a in columns or b in columns for a, b in where])
                L = without(scale.matrix(own[criterion.own_entries]), columns, [])
                entries = np.array([L[a, b] for a, b in where])
            else:
                gone = np.isin(np.arange(scale.count), columns) | (scale.structure != "independent")
            held, start = np.zeros(criterion.n_params, dtype=bool), own.copy()
            at = slice(criterion.p + scale.start, criterion.p + scale.start + scale.count)
            held[at], start[at] = gone, np.where(gone, 0.0, entries)
            q, fresh = int(gone.sum()), 1 if scale.structure in ("common", "tensor") else len(columns)
            mixed = (q - 1, q) if fresh == 1 else ()
            yield f"{term.prefix}{label}", _ratio(fit, replace(fit.model, held=held), start, mixed, q)


def _effects(term: Any, contains: Callable[[str, str], bool]) -> Iterator[tuple[str, list[int]]]:
    """What of a term can be left out: an effect that no larger one contains, or the whole term of a single effect."""
    names: dict[str, list[int]] = {}
    for column, name in enumerate(term.names):
        names.setdefault(re.sub(r"\[[^\]]*\]", "", name.removeprefix(term.prefix)), []).append(column)
    if len(names) == 1 or term.structure in ("common", "tensor"):
        yield next(iter(names)), list(range(term.width))
        return
    for name, columns in names.items():
        if name != "Intercept" and not any(contains(other, name) for other in names if other != name):
            yield name, columns


def _ratio(fit: VaryingReading, smaller: Any, start: np.ndarray, mixed: tuple[int, ...], q: int) -> Line:
    """The line of a smaller model, fitted from a start; without a p-value where several variances are new."""
    found = estimate(smaller, Options(METHODS["newton"]), start)
    if not found.status.converged:
        warn_user(
            "drop1: a smaller model has no maximum that was found; its ratio may be too large", ConvergenceWarning
        )
    at = found.model.maximum(found.result.theta)
    llf = float(at.spot.value)
    chi2 = max(2.0 * (fit.llf - llf), 0.0)
    aic = -2.0 * llf + 2.0 * float(np.count_nonzero(found.model.kept) + np.count_nonzero(at.free[at.criterion.p :]))
    if not mixed:
        return (float(q), llf, aic, chi2, math.nan, "lr_test(smaller, bootstrap=999)")
    chi2 = 0.0 if chi2 < 1e-9 * max(abs(llf), 1.0) else chi2
    test = hypotheses.mixed_verdict("", "", chi2, mixed)
    text = " + ".join(f"{1 / len(mixed):g} chi2({df})" for df in mixed) if len(mixed) > 1 else f"chi2({q})"
    return (float(q), llf, aic, chi2, test.p_value, text)
