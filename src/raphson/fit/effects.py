"""Effects on the response's scale: what a term changes, and the mean response over a covariate, averaged over the rows.

A number is compared at its quartiles, a level with the reference level. Under a logit link the change is a ratio of
odds, under a log link a ratio of means, under the identity a difference; of any other link it is the change of the
linear predictor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raphson.data.products import dense
from raphson.errors import ModelError, RaphsonError, visible
from raphson.fit.checking import covariates
from raphson.fit.functions import conf_int
from raphson.fit.reading import Reading
from raphson.fit.terms import contains, drop1
from raphson.inference import intervals
from raphson.model.base import rows_at
from raphson.scipy_special import chdtrc, fdtrc

CHEAP = 500_000
"""Rows times coefficients up to which intervals come from profiles, and tests from likelihood ratios: each takes a few
readings of the rows for every coefficient."""
MOST_PROFILED = 25
"""Coefficients up to which intervals come from profiles."""
MOST_AVERAGED = 1_000
"""Rows over which mean responses are averaged, evenly spread."""
MOST_ENTRIES = 2_000_000
"""Entries of a design of all values of a covariate in all these rows."""
GRID = 25
"""Values of a number at which the mean response is computed."""


@dataclass(frozen=True)
class EffectScale:
    """What effects are measured in.

    Attributes
    ----------
    name : "odds ratio", "ratio" or "difference".
    quantity : what changes, such as "odds of low".
    plural : whether that is a plural.
    ratio : whether the effect is a ratio, exp of the change of the linear predictor.
    """

    name: str
    quantity: str
    plural: bool
    ratio: bool

    def of(self, change: float) -> float:
        """The effect of a change of the linear predictor."""
        return math.exp(min(change, 700.0)) if self.ratio else change


@dataclass(frozen=True)
class Effect:
    """A row of the table of effects.

    Attributes
    ----------
    term : of the model.
    label : what the row is called: the term, or a level of it.
    compared : what is compared, such as "140 against 110".
    kind : "number", "two values", "level", "reference" or "coefficient".
    estimate, lower, upper : on the scale of the effects.
    p_value : of the whole term; NaN on every row of it but the first.
    rows : rows of the data with this level, or 0.
    """

    term: str
    label: str
    compared: str
    kind: str
    estimate: float
    lower: float
    upper: float
    p_value: float
    rows: int = 0


@dataclass(frozen=True)
class Effects:
    """The effects of a fit.

    Attributes
    ----------
    scale : what they are measured in.
    rows : in the order of the terms.
    profiled : whether the intervals come from profiles.
    by_ratio : whether the tests are likelihood ratio tests.
    """

    scale: EffectScale
    rows: tuple[Effect, ...]
    profiled: bool
    by_ratio: bool

    @property
    def by_term(self) -> dict[str, list[Effect]]:
        """The rows of each term."""
        found: dict[str, list[Effect]] = {}
        for row in self.rows:
            found.setdefault(row.term, []).append(row)
        return found


def effect_scale(fit: Reading) -> EffectScale:
    """What the effects of a generalised linear model are measured in."""
    link, name = fit.family.link_name, fit.family.name
    response = visible(fit.at("effects").asked.data.response.name)
    if link == "logit" and fit.family.support == "proportion":
        return EffectScale("odds ratio", f"odds of {response}", True, True)
    if link == "log":
        word = "expected" if fit.family.support == "count" else "mean"
        return EffectScale("ratio", f"{word} {response}", False, True)
    if link in (None, "identity"):
        return EffectScale("difference", f"mean {response}", False, False)
    return EffectScale(f"change ({link} scale)", f"{link} of the mean of {response} ({name})", False, False)


def effects(fit: Reading, level: float = 0.95) -> Effects:
    """The effects of a generalised linear model's terms, with intervals and tests.

    Raises
    ------
    ModelError
        If the model is not linear with one mean a row.
    """
    if not fit.linear or fit.family.n_predictors != 1 or fit.family.levels is not None:
        raise ModelError("effects: expected a generalised linear model with one mean a row")
    asked = fit.at("effects").asked
    scale = effect_scale(fit)
    ends, profiled = _intervals(fit, level)
    tests, by_ratio = _tests(fit)
    terms = asked.terms or {name: (j,) for j, name in enumerate(fit.names) if not _constant(asked.data, j)}
    told = set(fit.smooth_columns)
    terms = {term: own for term, own in terms.items() if not own or not told.issuperset(fit.names[j] for j in own)}
    read = {name: (values, labels) for name, values, labels in covariates(fit)}
    rows = [row for term, columns in terms.items() for row in _of_term(fit, term, tuple(columns), ends, scale, read)]
    shown = [_with_p(row, tests, first) for row, first in _firsts(rows)]
    return Effects(scale, tuple(shown), profiled, by_ratio)


def _constant(data: Any, j: int) -> bool:
    return bool(data.has_intercept) and np.ptp(np.asarray(dense(data.X[:, [j]]))) == 0


def _firsts(rows: list[Effect]) -> Iterator[tuple[Effect, bool]]:
    before = None
    for row in rows:
        yield row, row.term != before
        before = row.term


def _with_p(row: Effect, tests: dict[str, float], first: bool) -> Effect:
    return replace(row, p_value=tests.get(row.term, math.nan) if first else math.nan)


def cheaply_profiled(fit: Reading) -> bool:
    """Whether profiles and likelihood ratios of all coefficients take few readings of few rows."""
    few = fit.nobs * fit.n * fit.cost_of_rows <= CHEAP and fit.n <= MOST_PROFILED
    return few and fit.state.cov == "model" and fit.dispersion > 0


def _intervals(fit: Reading, level: float) -> tuple[np.ndarray, bool]:
    """(p, 2) intervals of the coefficients, by profiles where that is cheap."""
    if cheaply_profiled(fit) and not fit.state.infinite.any():
        try:
            return conf_int(fit, level, kind="profile").to_numpy(dtype=float), True
        except RaphsonError:
            pass  # a quasi family, a bound: Wald's intervals are left
    return conf_int(fit, level).to_numpy(dtype=float), False


def _tests(fit: Reading) -> tuple[dict[str, float], bool]:
    """The p-value of each term: by likelihood ratio where that is cheap, else Wald's."""
    p_values: dict[str, float] = {}
    by_ratio = cheaply_profiled(fit)
    if by_ratio:
        try:
            p_values = drop1(fit)["p_value"].to_dict()
        except RaphsonError:
            by_ratio = False
    terms = fit.at("effects").asked.terms or {name: (j,) for j, name in enumerate(fit.names)}
    for term, columns in terms.items():
        if term not in p_values or math.isnan(p_values[term]):
            p_values[term] = _wald(fit, [j for j in columns if np.isfinite(fit.cov[j, j]) and fit.cov[j, j] > 0])
    return p_values, by_ratio


def _wald(fit: Reading, columns: list[int]) -> float:
    if not columns:
        return math.nan
    b, V = fit.estimates[columns], fit.cov[np.ix_(columns, columns)]
    try:
        statistic = float(b @ np.linalg.solve(V, b))
    except np.linalg.LinAlgError:
        return math.nan
    q = len(columns)
    df = fit.joint_df(np.eye(fit.n)[columns])
    return float(chdtrc(q, statistic) if df is None else fdtrc(q, df, statistic / q))


def _of_term(
    fit: Reading, term: str, columns: tuple[int, ...], ends: np.ndarray, scale: EffectScale, read: dict[str, Any]
) -> list[Effect]:
    shown = visible(term)
    bare = term[2:-1] if term.startswith("C(") and term.endswith(")") and "," not in term else term
    values, labels = read.get(visible(bare), (None, None))
    inside = any(contains(other, term) for other in fit.at("effects").asked.terms or ())
    if inside and not (labels is not None and len(columns) == len(labels) - 1):
        values = labels = None  # what it changes depends on what it interacts with
    if values is not None and labels is None and len(columns) == 1 and bare == term:
        low, high = (float(one) for one in np.quantile(values, [0.25, 0.75], method="nearest"))
        if low == high:
            low, high = float(values.min()), float(values.max())
        return [
            _row(fit, columns[0], ends, scale, high - low, term, shown, f"{_said(high)} against {_said(low)}", "number")
        ]
    if values is not None and labels is not None and len(columns) == 1 and _is_number(fit, columns[0], values, labels):
        low, high = float(labels[0]), float(labels[1])
        row = _row(
            fit, columns[0], ends, scale, high - low, term, shown, f"{labels[1]} against {labels[0]}", "two values"
        )
        return [row]
    if values is not None and labels is not None and len(columns) == len(labels) - 1:
        return _levels(fit, term, columns, ends, scale, values, labels)
    names = [visible(fit.names[j]) for j in columns]
    unit = "one more unit, where what it interacts with is 0" if inside else "one more unit"
    return [
        _row(fit, j, ends, scale, 1.0, term, name, unit, "coefficient") for j, name in zip(columns, names, strict=True)
    ]


def _said(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1000 else f"{value:.6g}".replace("-", "−")


def _is_number(fit: Reading, column: int, values: np.ndarray, labels: tuple[str, ...]) -> bool:
    """Whether a covariate of two values stands in the design as the number it is."""
    try:
        numbers = np.array([float(one) for one in labels])
    except ValueError:
        return False
    return bool(np.array_equal(np.asarray(dense(fit.at("effects").asked.data.X[:, [column]])).ravel(), numbers[values]))


def _levels(
    fit: Reading,
    term: str,
    columns: tuple[int, ...],
    ends: np.ndarray,
    scale: EffectScale,
    values: np.ndarray,
    labels: tuple[str, ...],
) -> list[Effect]:
    """A row for each level, the reference first, if the columns are indicators of levels."""
    X = np.asarray(dense(fit.at("effects").asked.data.X[:, list(columns)]))
    counts = np.bincount(values, minlength=len(labels))
    means = np.stack([np.bincount(values, column, len(labels)) for column in X.T], axis=1) / counts[:, None]
    reference = np.flatnonzero((means == 0).all(axis=1))
    if len(reference) != 1 or not ((means == 0) | (means == 1)).all():
        return [
            _row(fit, j, ends, scale, 1.0, term, visible(fit.names[j]), "one more unit", "coefficient") for j in columns
        ]
    r = int(reference[0])
    nothing = 1.0 if scale.ratio else 0.0
    text = f"{counts[r]:,} rows: the reference"
    rows = [Effect(term, labels[r], text, "reference", nothing, math.nan, math.nan, math.nan, int(counts[r]))]
    for level in range(len(labels)):
        if level != r:
            j = columns[int(np.argmax(means[level]))]
            compared = f"{counts[level]:,} rows, against {labels[r]}"
            rows.append(_row(fit, j, ends, scale, 1.0, term, labels[level], compared, "level", int(counts[level])))
    return rows


def _row(
    fit: Reading,
    j: int,
    ends: np.ndarray,
    scale: EffectScale,
    change: float,
    term: str,
    label: str,
    compared: str,
    kind: str,
    rows: int = 0,
) -> Effect:
    b, (lower, upper) = float(fit.params.iloc[j]), ends[j]
    b, lower, upper = (scale.of(one * change) if math.isfinite(one) else one for one in (b, float(lower), float(upper)))
    return Effect(term, label, compared, kind, b, lower, upper, math.nan, rows)


@dataclass(frozen=True, eq=False)
class Averages:
    """The mean response over a covariate, averaged over the rows, others as they are.

    Attributes
    ----------
    name : of the covariate.
    labels : of a factor's levels, or None.
    x : (m,) values, or numbers of levels.
    mean, lower, upper : (m,) with pointwise intervals.
    data : (n,) the covariate's own values.
    """

    name: str
    labels: tuple[str, ...] | None
    x: np.ndarray
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    data: np.ndarray


def averages(fit: Reading, level: float = 0.95) -> list[Averages]:
    """The mean response over each covariate that a formula reads, the most important part of a picture of effects.

    The mean over rows i of g⁻¹(x_i(v)ᵀβ), with the covariate set to v in every row, has the gradient mean of
    (dμ/dη) x_i(v); its interval is computed on the scale of the link, so that it stays in the range of means. Smooth
    functions are those of the value, and levels have their own effects, as the rows do.
    """
    own = fit.state.schema
    columns = getattr(own, "columns", None)
    if columns is None or not fit.linear or fit.family.n_predictors != 1 or own.needs_offset:
        return []
    frame = fit.frame
    step = -(-len(frame) // max(1, min(MOST_AVERAGED, MOST_ENTRIES // (GRID * fit.n))))
    some = frame.iloc[::step]
    reach = intervals.quantile(level, fit.reference_df)
    found = []
    for name, values, labels in covariates(fit):
        if name not in frame.columns or name in fit.grouping:
            continue
        if labels is None:
            low, high = float(values.min()), float(values.max())
            grid: Any = np.linspace(low, high, GRID)
            if frame[name].dtype.kind in "iu":
                grid = np.unique(np.rint(grid)).astype(int)
            x = np.asarray(grid, dtype=float)
        else:
            first = [int(np.argmax(values == k)) for k in range(len(labels))]
            grid, x = [frame[name].iloc[i] for i in first], np.arange(len(labels), dtype=float)
        try:
            mean, lower, upper = _average(fit, some, name, grid, reach)
        except RaphsonError:
            continue  # a value that a transform cannot take
        found.append(Averages(name, labels, x, mean, lower, upper, values))
    return found


def _average(fit: Reading, some: Any, name: str, grid: Any, reach: float) -> tuple[np.ndarray, ...]:
    """The mean over some rows at each value of a covariate, (m,), with its interval."""
    m, k = len(grid), len(some)
    column = some[name].iloc[:0].astype(some[name].dtype)
    repeated = some.iloc[np.tile(np.arange(k), m)]
    values = type(column)(np.repeat(np.asarray(grid), k), index=repeated.index).astype(column.dtype)
    found = fit.predictors(repeated.assign(**{name: values}))
    rows = rows_at(fit.family, found.eta)
    average = rows.mean[0].reshape(m, k).mean(axis=1)
    error = np.sqrt(np.maximum(found.variance_of_sums(rows.slope[0, 0].reshape(m, k) / k), 0.0))
    # On the scale of the link the error is that of the mean over dμ/dη at the average.
    family: Any = fit.family
    centre = family.link.link(average)
    at = np.abs(rows_at(fit.family, centre).slope[0, 0])
    move = np.divide(reach * error, at, out=np.zeros(m), where=at > 0)
    ends = np.stack([rows_at(fit.family, centre + sign * move).mean[0] for sign in (-1.0, 1.0)])
    return average, ends.min(axis=0), ends.max(axis=0)
