r"""The smooth functions as curves and surfaces, with pointwise and simultaneous bands and partial residuals.

A function f(x) = aᵀc has the coefficients c = (β, b): those that its penalty spares, and the others. Their covariance
counts that of the strengths of the penalties,

    V = L H⁻¹ Lᵀ + J C Jᵀ,    J = ∂c/∂θ along the mode,  C the inverse of minus the criterion's Hessian

(Wood, Pya and Säfken, J. Am. Statist. Assoc. 111, 2016, 1548-1563, section 3: V_β + V′), with β among θ for ML and in H
for REML. The standard errors are the roots of aᵀVa. The simultaneous band has f̂ ± c·se, with c the quantile of
max |aᵀz|/se over the grid for z ~ N(0, V), by simulation (Ruppert, Wand and Carroll, Semiparametric Regression, 2003,
section 6.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.values import Levels, Numbers, Variable
from raphson.data.varying.parts import SmoothPart
from raphson.errors import ModelError
from raphson.inference.intervals import quantile
from raphson.inference.residuals import working
from raphson.model.varying.joint import Joint
from raphson.model.varying.results import AtMaximum
from raphson.numeric import in_one_thread
from raphson.options import seed_or_none
from raphson.report.varying_pictures import effects_finding, effects_picture

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 10_000
"""Simulated functions by which the quantile of the largest deviation is found, to about 0.02."""

SURFACE = 30
"""Values of each of two variables at which a surface is computed."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A smooth function at the points of a grid.

    Attributes
    ----------
    term : its name, ``s(x)``.
    variables : what it is a function of, one or two.
    points : (m, d) the grid, over the range of the data.
    fit, se : (m,) the function and its standard errors, on the scale of the predictor.
    reach, reach_all : quantiles of the pointwise and the simultaneous band.
    data : (n, d) the rows that it adds to.
    residuals : (n,) their partial residuals, the function with the working residual; empty where there are none.
    edf, p_value : effective degrees of freedom, and the test of a flat line.
    """

    term: str
    variables: tuple[str, ...]
    points: np.ndarray
    fit: np.ndarray
    se: np.ndarray
    reach: float
    reach_all: float
    data: np.ndarray
    residuals: np.ndarray
    edf: float
    p_value: float


def covariance(at: AtMaximum, joint: Joint, columns: Sequence[int], term: int) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients β of some columns and those of a term with one level, and their covariance V."""
    own, layout = at.criterion, at.criterion.layout
    estimate, given, _ = joint.some(list(columns), term)
    k = next(k for k, piece in enumerate(layout.pieces) if piece.term == term)
    moves = at.moves_of_modes[:, layout.slices[k]]
    if own.restricted:
        moved = np.hstack([at.moves_of_modes[:, layout.place_of_fixed][:, list(columns)], moves])
    else:  # β is among θ; given it, only the others vary
        moved = np.hstack([np.eye(own.n_params)[:, list(columns)], moves])
        given = np.zeros_like(given)
        L = own.factors(at.theta)[k]
        assert L is not None
        given[len(columns) :, len(columns) :] = L @ at.spot.mode.factor.inverse[k, k][0] @ L.T
    V = given + moved.T @ np.nan_to_num(at.cov) @ moved
    return estimate, 0.5 * (V + V.T)


def simultaneous(rows: np.ndarray, V: np.ndarray, level: float, seed: int) -> float:
    """The quantile of max |aᵀz|/√(aᵀVa) over the rows a, for z ~ N(0, V); at least that of one row."""
    values, vectors = np.linalg.eigh(V)
    root = rows @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    size = np.sqrt(np.einsum("ij,ij->i", root, root))
    known = size > 1e-12 * size.max(initial=0.0)
    if not known.any():
        return quantile(level, None)
    drawn = np.random.default_rng(seed_or_none(seed)).normal(size=(root.shape[1], DRAWS))
    largest = np.abs((root[known] / size[known, None]) @ drawn).max(axis=0)
    return max(float(np.quantile(largest, level)), quantile(level, None))


@in_one_thread
def curves(fit: Any, level: float = 0.95, points: int = 100, seed: int = 0) -> list[Curve]:
    """The smooth functions of a reading, in the order of the formula."""
    at, model = fit.maximum, fit.model
    joint, labels = Joint(at), [one.label for one in at.criterion.terms]
    place = np.cumsum(model.kept) - 1
    tests = fit.smooths.set_index("term")
    left = _working(fit)
    found = []
    parts = [(prefix, one) for prefix, schema in fit.formula_schemas for one in schema.varying_values(fit.frame)]
    for prefix, (plan, variables) in parts:
        if not isinstance(plan.part, SmoothPart):
            continue
        names = [one.text for one in plan.part.expressions]
        d = len(names) - (plan.part.by is not None)
        if d > 2:
            continue
        numbers = [np.asarray(one.values, dtype=float) for one in variables[:d]]  # type: ignore[union-attr]
        grid = _grid(numbers, points)
        for number, label in enumerate(prefix + one for one in plan.labels):
            by = _by(plan, variables, number, len(grid))
            given = [*(Numbers(np.ascontiguousarray(one)) for one in grid.T), *by]
            terms, free = plan.build(given, None, len(grid), new=True)
            columns = list(model.terms.get(label, ()))
            kept = [i for i, column in enumerate(columns) if model.kept[column]]
            null = free[number].values[:, kept] if free else np.zeros((len(grid), 0))
            rows = np.hstack([null, terms[number].columns])
            c, V = covariance(at, joint, [int(place[columns[i]]) for i in kept], labels.index(label))
            values = rows @ c
            se = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, V, rows), 0.0))
            inside = _inside(plan, variables, number)
            data, residuals = np.column_stack(numbers)[inside], np.zeros(0)
            if left is not None and (plan.part.by is None or plan.levels is not None):
                own = at.criterion.terms[labels.index(label)].columns @ at.modes(labels.index(label))[0]
                X = np.asarray(at.criterion.X)[:, [int(place[columns[i]]) for i in kept]]
                residuals = (own + X @ c[: len(kept)] + left)[inside]
            reach_all = simultaneous(rows, V, level, seed)
            row = tests.loc[label]
            found.append(
                Curve(
                    label, tuple(names[:d]), grid, values, se, quantile(level, None), reach_all, data, residuals,
                    float(row["edf"]), float(row["p_value"]),
                )
            )  # fmt: skip
    return found


def _grid(numbers: Sequence[np.ndarray], points: int) -> np.ndarray:
    if len(numbers) == 1:
        return np.linspace(numbers[0].min(), numbers[0].max(), points)[:, None]
    axes = [np.linspace(one.min(), one.max(), SURFACE) for one in numbers]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(numbers))


def _by(plan: Any, variables: Sequence[Variable], number: int, m: int) -> list[Variable]:
    """The variable in `by` that shows one function alone: its level, or the number 1."""
    if plan.part.by is None:
        return []
    if plan.levels is None:
        return [Numbers(np.ones(m))]
    own = variables[-1]
    origin = own.origin if isinstance(own, Levels) else "text"
    return [Levels(np.full(m, number, dtype=np.int32), tuple(plan.levels), origin)]


def _inside(plan: Any, variables: Sequence[Variable], number: int) -> np.ndarray:
    """(n,) mask of the rows that a function adds to."""
    first = variables[0]
    n = len(first.codes) if isinstance(first, Levels) else len(first.values)
    own = variables[-1]
    if plan.levels is None or not isinstance(own, Levels):
        return np.ones(n, dtype=bool)
    return np.array([one == plan.levels[number] for one in own.labels])[own.codes]


def _working(fit: Any) -> np.ndarray | None:
    """(n,) working residuals; None where a row has no single mean."""
    rows, asked = fit.rows, fit.model
    if len(rows.mean) != 1:
        return None
    return working(asked.y, rows.mean[0], rows.slope[0, 0])


def smooth_curves(fit: Any, level: float = 0.95, points: int = 100, seed: int = 0) -> pd.DataFrame:
    """The smooth functions of one or two variables as curves with their bands, a row a point.

    ``term``; ``x``, and ``z`` where a function is of two variables: points of an even grid over the data; ``fit`` on
    the scale of the predictor, with mean 0 over the rows; ``se``, its standard error with the uncertainty of the
    penalty's strength; ``lower, upper``, the pointwise interval; and ``lower_all, upper_all``, the band that the whole
    function is in with that probability.

    Parameters
    ----------
    level : coverage of the bands.
    points : points of a curve; a surface has 30 × 30.
    seed : of the simulation of the largest deviation.

    Examples
    --------
    >>> import numpy as np
    >>> import raphson as rp
    >>> x = np.linspace(0, 6, 60)
    >>> fit = rp.glm("y ~ s(x)", {"x": x, "y": np.sin(x) + 0.1 * np.cos(40 * x)})
    >>> curve = fit.smooth_curves(points=5)
    >>> curve.columns.tolist()
    ['term', 'x', 'fit', 'se', 'lower', 'upper', 'lower_all', 'upper_all']
    >>> bool((curve.lower_all <= curve.lower).all())
    True
    """
    import pandas as pd

    found = checked(fit, "smooth_curves", level, points, seed)
    parts = []
    for one in found:
        columns = {"term": np.repeat(np.array(one.term, dtype=object), len(one.fit))}
        columns |= dict(zip(("x", "z"), one.points.T, strict=False))
        columns |= {"fit": one.fit, "se": one.se}
        for ending, reach in (("", one.reach), ("_all", one.reach_all)):
            columns |= {f"lower{ending}": one.fit - reach * one.se, f"upper{ending}": one.fit + reach * one.se}
        parts.append(pd.DataFrame(columns))
    order = [name for name in ("term", "x", "z", "fit") if any(name in part for part in parts)]
    whole = pd.concat(parts, ignore_index=True)
    return whole.reindex(columns=[*order, "se", "lower", "upper", "lower_all", "upper_all"])


def checked(fit: Any, what: str, level: float, points: int = 100, seed: int = 0) -> list[Curve]:
    """The curves, or the reason why there are none."""
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 2:
        raise ModelError(f"points: expected a whole number of at least 2; got {points!r}")
    fit.at(what)
    found = curves(fit, level, int(points), seed)
    if not found:
        raise ModelError(
            f"{what}: expected a fit with a smooth function of one or two variables, such as s(x); got none"
        )
    return found


def effects_pictures(fit: Any, level: float = 0.95) -> list[tuple[str, str, str, Any]]:
    """Of each effect of each group its group, its name, a finding, and its picture."""
    table, sds = fit.level_effects, fit.scales
    found = []
    for (group, term), rows in table.groupby(["group", "term"], sort=False):
        own = sds[(sds["group"] == group) & (sds["term"] == term) & (sds["kind"] == "sd")]
        scale = float(own["estimate"].iloc[0]) if len(own) else 0.0
        mode, sd, posterior = (rows[name].to_numpy(dtype=float) for name in ("mode", "sd", "posterior_sd"))
        what = f"{group}: {term}"
        picture = effects_picture(group, rows["level"].tolist(), mode, sd, posterior, scale, what, level)
        found.append((str(group), str(term), effects_finding(what, mode, sd, scale, level), picture))
    return found
