"""Checks of a fit against data simulated from it, as a table and as pictures.

Each check compares a curve of the data, such as the sorted residuals, with the curves of data sets that are drawn from
the fit and to which the model is fitted anew (:mod:`raphson.checks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.checks import residuals, responses
from raphson.checks.check import Check
from raphson.checks.simulated import Rows, Simulated
from raphson.errors import ModelError, visible
from raphson.fit.reading import Reading
from raphson.fit.refitting import Refitting, drawing, in_chunks
from raphson.fit.rows import quantile_residuals
from raphson.inference import influence
from raphson.model.base import Model, RowTable, pearson_statistic
from raphson.model.families.distribution import Distribution
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd

MOST_DRAWN = 2_000_000
"""Rows simulated in all, at most: 1,000 data sets of up to 2,000 rows, and 200 of 10,000, each in about a second."""
LEAST, MOST = 200, 1000
"""Simulated data sets: 200 give p-values down to 0.005, which the flags need; a thousand a smooth shade."""
MOST_WORK = 4e9
"""Multiplications that all refits may take: some seconds. Beyond, simulated data are not refitted."""
MOST_COVARIATES = 8
"""Covariates whose residuals are shown, the first of the formula."""
MOST_MOVES = 20_000_000
"""Entries, rows times coefficients times data sets, up to which the influence of rows is simulated."""
FEW_LEVELS = 2
"""A number with at most so many different values is shown as levels."""


@dataclass(frozen=True, repr=False)
class Checks(InNotebook):
    """The checks of a fit, in reading order.

    Attributes
    ----------
    found : the checks.
    table : a row for each: what was checked, the finding, the p-value, whether it passed.
    n : number of simulated data sets.
    """

    found: tuple[Check, ...]
    n: int
    seed: int

    @property
    def passed(self) -> bool:
        """Whether no check was flagged."""
        return all(one.passed is not False for one in self.found)

    @property
    def flagged(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(one for one in self.found if one.passed is False)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each check: finding, value, p_value, passed."""
        import pandas as pd

        lines = [(one.title, one.value, one.p_value, one.passed) for one in self.found]
        index = pd.Index([one.name for one in self.found], name="check")
        return pd.DataFrame(lines, index=index, columns=["finding", "value", "p_value", "passed"])

    def plot(self) -> Any:
        """Draw all checks; returns the matplotlib Figure."""
        from raphson.report.drawing import panels

        return panels([(one.title, one.picture, one.passed) for one in self.found])

    def __iter__(self) -> Iterator[Check]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, name: str) -> Check:
        for one in self.found:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.found)
        raise KeyError(f"{name!r}: this fit has the checks {known}")

    def __repr__(self) -> str:
        if not self.found:
            return "no checks: this kind of fit has no responses to simulate"
        return f"{self.table.to_string(float_format='%.4g')}\n{self.n} data sets simulated from the fit"

    def _sheet(self) -> Sheet:
        formats = {"passed": lambda one: "" if one is None else "✓" if one else "⚠"}
        note = Note(f"By {self.n:,} data sets simulated from the fit. ⚠: the p-value of the whole curve is below 0.01.")
        flagged = [Note(f"{one.title}. {one.caption}", "doubt") for one in self.flagged]
        return Sheet("Checks", (), [Grid.of(self.table, formats=formats)], [note, *flagged])


def check(fit: Reading, n: int | None = None, seed: int = 0) -> Checks:
    """Check a fit against data simulated from it.

    Each check ranks a curve of the data among those of simulated data sets to which the model is fitted anew: sorted
    quantile residuals, their local means over the fitted values and over each covariate, their spread, the influence
    of single rows; for shares calibration and the ROC curve; for counts a rootogram and the dispersion.

    Parameters
    ----------
    n : number of simulated data sets, at least 100. None draws 1,000 for up to 2,000 rows, and fewer for more rows,
        but at least 200. Of more than 10,000 rows about 10,000 are checked, without new fits.
    seed : of the random numbers; the same seed gives the same checks.

    Returns
    -------
    Checks
        With ``table``, ``plot()``, ``flagged``, and each check by its name.

    Raises
    ------
    ModelError
        If the fit has no finite maximum, or its family cannot be simulated.

    Notes
    -----
    A check is flagged if its p-value is below 0.01, of the whole curve and not of a point (Myllymäki et al. 2017,
    J. R. Statist. Soc. B 79, section 4). Randomised quantile residuals are of Dunn and Smyth (1996).

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
    >>> checks = fit.check(seed=1)
    >>> checks["calibration: low"].title, [check.title for check in checks.flagged]
    ('Calibrated', ['Tells rows apart weakly'])
    """
    rows = simulated(fit, n, seed)
    return Checks(tuple(_checks(fit, rows)), rows.count, seed)


def simulated(fit: Reading, n: int | None = None, seed: int = 0) -> Simulated:
    """The rows of a fit, and those of `n` data sets drawn from it."""
    at = fit.at("check")
    if not fit.converged or fit.state.infinite.any():
        raise ModelError(
            f"check: expected a fit with a finite maximum; this one ended with {fit.state.status.value!r}. Mend the "
            "model first: residuals of a point that is not the maximum say nothing of the model"
        )
    if fit.family.levels is not None:
        raise ModelError("check: expected a response with one mean a row; use residuals() by level")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 100):
        raise ModelError(f"n: expected a whole number of simulated data sets, at least 100, or None; got {n!r}")
    draw = _drawing(fit)
    asked = at.asked
    total = len(asked.y)
    every = -(-total // (MOST_DRAWN // LEAST))
    count = int(n) if n is not None else int(np.clip(MOST_DRAWN // -(-total // every), LEAST, MOST))
    counted = np.flatnonzero(asked.row_weight > 0)[::every]
    work_of_one = 5 * total * max(len(fit.state.theta), 1) ** 2  # some five steps of n p² products each
    # In a family with an auxiliary parameter many a refit is one by one, which takes as long as the fit itself.
    batch = asked.replicates is not None and not fit.family.auxiliary
    refits = every == 1 and batch and work_of_one * LEAST <= MOST_WORK
    if refits and n is None:
        count = int(np.clip(MOST_WORK // work_of_one, LEAST, count))
    look = _Look(fit, counted, refits and counted.size * fit.n * count <= MOST_MOVES)
    refitting = Refitting.of(fit)

    def work(rng: np.random.Generator, size: int) -> tuple[Rows, np.ndarray]:
        y = draw(rng, size)
        if not refits:
            return look.rows([_At(at.fitted, fit.rows, one, fit.dispersion) for one in y], rng)
        found = refitting.refit(y, np.ones(total), size)
        kept = np.flatnonzero(found.finite)
        return look.rows([look.at(y[i], found.theta[i], float(found.dispersion[i])) for i in kept], rng)

    parts = in_chunks(work, count, max(min(refitting.chunk, count // 4), 1), seed, asked.executor)
    own, pearson = look.rows([_At(at.fitted, fit.rows, asked.y, fit.dispersion)], np.random.default_rng(seed))
    size = asked.size if asked.size is not None else np.ones(total)
    return Simulated(
        own.of(0),
        Rows.joined([one for one, _ in parts]),
        size[counted],
        float(pearson[0]),
        np.concatenate([one for _, one in parts]),
        refits,
        every,
        tuple(str(one) for one in fit.row_labels[counted]),
    )


def _drawing(fit: Reading) -> Any:
    """What draws responses from the fit, if its family has a distribution and quantile residuals."""
    try:
        if type(fit.family).log_tails is Distribution.log_tails:
            raise ModelError("it has no distribution function in closed form")
        return drawing(fit.at("check").fitted, fit.rows, fit.dispersion, None)
    except ModelError as error:
        raise ModelError(
            f"check: the {fit.family.name} family cannot be simulated and compared, so there is no shade; see "
            "information_matrix_test() and, where rows have one mean, residuals()"
        ) from error


@dataclass(frozen=True, eq=False)
class _At:
    """A data set at the estimate of its own fit: the model there, its rows, the responses (n,), the dispersion."""

    model: Model
    table: RowTable
    y: np.ndarray
    dispersion: float


@dataclass(frozen=True, eq=False)
class _Look:
    """Looks at data sets: at some rows of each, and how far leaving them out would move the estimates."""

    fit: Reading
    chosen: np.ndarray
    moves: bool

    def at(self, y: np.ndarray, theta: np.ndarray, dispersion: float) -> _At:
        """Simulated responses (n,) at the estimate of their own fit."""
        model = self.fit.at("check").asked.with_nuisance_fixed(theta)
        return _At(model, model.rows(theta[: model.predictor.n_params]), y, dispersion)

    def rows(self, found: list[_At], rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
        """The chosen rows of B data sets, and Pearson's statistic of all rows over its degrees of freedom, (B,)."""
        chosen = self.chosen
        y = np.stack([one.y[chosen] for one in found])
        mean = np.stack([one.table.mean[0][chosen] for one in found])
        weight = self.fit.at("check").asked.row_weight
        pearson = np.array([pearson_statistic(o.y, o.table.mean[0], _variance(o), weight) for o in found])
        moves = np.stack([self._moves(one) for one in found]) if self.moves else None
        residual = np.clip(np.nan_to_num(self._residuals(found, y, mean, rng)), -FARTHEST, FARTHEST)
        return Rows(y, mean, residual, moves), pearson / max(self.fit.df_resid, 1.0)

    def _residuals(self, found: list[_At], y: np.ndarray, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        asked, chosen = self.fit.at("check").asked, self.chosen
        weight, size = asked.row_weight[chosen], None if asked.size is None else asked.size[chosen]
        if self.fit.family.auxiliary or found[0].model.family is not found[-1].model.family:
            each = zip(found, y, mean, strict=True)
            return np.stack(
                [quantile_residuals(o.model.family, u, m, weight, size, o.dispersion, rng) for o, u, m in each]
            )
        # One family for all data sets: one call.
        phi = np.repeat([one.dispersion for one in found], len(chosen))
        w, sizes = np.tile(weight, len(found)), None if size is None else np.tile(size, len(found))
        flat = quantile_residuals(found[0].model.family, y.ravel(), mean.ravel(), w, sizes, phi, rng)
        return flat.reshape(y.shape)

    def _moves(self, one: _At) -> np.ndarray:
        """(n,) largest move of a coefficient if a row is left out, in standard errors.

        In a family whose score of a row is u = w (y − μ) μ'(η)/V(μ), that of simulated responses needs no new rows. The
        information is the fit's own, from which theirs differ by 1/√n.
        """
        fit, at = self.fit, self.fit.at("check")
        mean, slope = one.table.mean[0], one.table.slope[0, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.nan_to_num(at.asked.row_weight * (one.y - mean) * slope / _variance(one))
        change = influence.dfbeta(at.uncertainty.main_factor, at.designs, score[None], one.table.expected)[:, : fit.n]
        errors = np.sqrt(np.maximum(np.diagonal(fit.certifying), 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(np.abs(change / errors)).max(axis=1, initial=0.0)[self.chosen]


def _variance(one: _At) -> np.ndarray:
    return one.model.family.variance(one.table.mean[0])


FARTHEST = 9.0
"""Quantile residuals are cut here, so that an impossible response, whose residual is infinite, can be averaged."""


def _checks(fit: Reading, rows: Simulated) -> Iterator[Check]:
    family, response = fit.family, _response(fit)
    binary = family.support == "proportion" and bool((rows.weight == 1).all())
    if family.support == "proportion":
        yield responses.calibration(rows, response)
    yield residuals.distribution(rows)
    if binary:
        found = responses.discrimination(rows, response)
        if found is not None:
            yield found
    if family.support == "count":
        yield responses.counts(rows, response)
    if family.dispersion_fixed and not binary:
        yield responses.dispersion(rows)
    fitted = fit.rows.eta[0] if fit.linear else fit.rows.mean[0]
    chosen = _chosen(fit, rows)
    if np.ptp(fitted[chosen]) > 1e-9 * np.max(np.abs(fitted[chosen]), initial=1e-300):
        yield residuals.straight(rows, fitted[chosen], "the fitted value", _fitted_label(fit))
        if not binary:
            yield residuals.spread(rows, fitted[chosen], _fitted_label(fit))
    for name, values, labels in covariates(fit):
        if labels is None:
            yield residuals.straight(rows, values[chosen], name)
        else:
            yield residuals.even(rows, values[chosen].astype(int), labels, name)
    moved = residuals.influence(rows)
    if moved is not None:
        yield moved


def _chosen(fit: Reading, rows: Simulated) -> np.ndarray:
    return np.flatnonzero(fit.at("check").asked.row_weight > 0)[:: rows.every]


def _response(fit: Reading) -> str:
    return visible(fit.at("check").asked.data.response.name)


def _fitted_label(fit: Reading) -> str:
    link = fit.family.link_name
    return "fitted value" if not fit.linear or link in (None, "identity") else f"fitted value ({link} scale)"


def covariates(fit: Reading) -> list[tuple[str, np.ndarray, tuple[str, ...] | None]]:
    """The columns that the model reads, but for the response: name, values (n,), and the labels of a factor's codes.

    Numbers of at most two different values count as factors.
    """
    import pandas as pd

    own = fit.covariates
    try:
        frame = own if own is not None else fit.frame
    except (ModelError, OSError):
        return []
    read = getattr(fit.state.schema, "columns", None)
    response = fit.at("check").asked.data.response.name
    names = [name for name in (frame.columns if read is None else read) if name in frame.columns and name != response]
    found: list[tuple[str, np.ndarray, tuple[str, ...] | None]] = []
    for name in names[:MOST_COVARIATES]:
        column = frame[name]
        if not isinstance(column, pd.Series):
            continue
        number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if number and column.nunique() > FEW_LEVELS:
            values = column.to_numpy(dtype=float)
            if np.isfinite(values).all():
                found.append((visible(str(name)), values, None))
            continue
        codes, levels = pd.factorize(column, sort=True)
        if (codes >= 0).all() and len(levels) > 1:
            found.append(
                (visible(str(name)), codes, tuple(visible(f"{one:g}" if number else str(one)) for one in levels))
            )
    return found
