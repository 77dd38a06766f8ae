"""Checks of a fit against data simulated from it, as a table and as pictures.

Each check compares a curve of the data, such as the sorted residuals, with the curves of data sets that are drawn from
the fit and to which the model is fitted anew (:mod:`raphson.checks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.checks import levels, residuals, responses, survival
from raphson.checks.check import Check
from raphson.checks.simulated import Simulated
from raphson.errors import ModelError, visible
from raphson.fit.reading import Reading
from raphson.fit.refitted import Simulator
from raphson.fit.refitting import unfolded
from raphson.fit.simulating import Plan, simulated
from raphson.fit.simulating_levels import simulated_levels
from raphson.fit.simulating_likelihoods import Drawn, simulated_likelihood
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd

MOST_COVARIATES = 8
"""Covariates whose residuals are shown, the first of the formula."""
SEED = 0
"""Of the random numbers of plots and reports: the same fit gives the same page."""
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
    note : why the model was not fitted anew to them, if it was not.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> checks = rp.glm("low ~ lwt", births, family="binomial").check(n=100)
    >>> checks.n, checks.table.columns.to_list()
    (100, ['finding', 'value', 'p_value', 'passed'])
    """

    found: tuple[Check, ...]
    n: int
    seed: int
    why: str = ""

    @property
    def note(self) -> str:
        """Why the model was not fitted anew to the simulated data; empty if it was."""
        told = "their curves vary a little more than with refits, so that misfits are flagged less often"
        return f"not refitted to them: {self.why}; {told}" if self.why else ""

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
        told = f"; {self.note}" if self.why else ""
        return f"{self.table.to_string(float_format='%.4g')}\n{self.n} data sets simulated from the fit{told}"

    def _sheet(self) -> Sheet:
        formats = {"passed": lambda one: "" if one is None else "✓" if one else "⚠"}
        note = Note(f"By {self.n:,} data sets simulated from the fit. ⚠: the p-value of the whole curve is below 0.01.")
        why = [Note(f"{self.note[0].upper()}{self.note[1:]}.")] if self.why else []
        flagged = [Note(f"{one.title}. {one.caption}", "doubt") for one in self.flagged]
        return Sheet("Checks", (), [Grid.of(self.table, formats=formats)], [note, *why, *flagged])


def check(fit: Reading, n: int | None = None, seed: int = 0, simulate: Simulator | None = None) -> Checks:
    """Check a fit against data simulated from it.

    Each check ranks a curve of the data among those of simulated data sets to which the model is fitted anew: sorted
    quantile residuals, their local means over the fitted values and over each covariate, their spread, the influence
    of single rows; for shares calibration and the ROC curve; for counts a rootogram and the dispersion; for levels the
    calibration of each; for censored times Kaplan-Meier curves. The quantile residuals of a likelihood come from its
    distribution function, or from tables of its density. Where coefficients vary by groups, data sets are drawn with
    new effects, residuals are given the modes of the effects, and these themselves are compared with normal ones.

    Parameters
    ----------
    n : number of simulated data sets, at least 100. None draws 1,000 for up to 2,000 rows, and fewer for more rows,
        or where each takes longer, as where coefficients vary, but at least 200. Of more than 10,000 rows about
        10,000 are checked, without new fits.
    seed : of the random numbers; the same seed gives the same checks.
    simulate : ``simulate(rng, eta (K, n)) -> (n,)`` draws responses of a likelihood whose density has no distribution
        function and does not integrate to 1; the data's are then ranked among them.

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

    A p-value of B data sets has a standard error of √(p(1 − p)/B), 0.006 for p = 0.01 and B = 265, so that one near
    0.01 passes or fails by the seed; ``n=5000`` settles it. Stopping early (Besag and Clifford 1991, Biometrika 78,
    301) would save time where p is large and not here: all checks share the data sets, and the last p-value decides.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")
    >>> checks = fit.check(seed=1)
    >>> checks["calibration: low"].title, [check.title for check in checks.flagged]
    ('Calibrated', ['Tells rows apart weakly'])
    """
    # A report, the plots and a user ask for the same: the last checks of a fit are kept.
    asked = (n, seed) if simulate is None else None
    kept = vars(fit).get("last_checks")
    if kept is not None and asked is not None and kept[0] == asked:
        fit.at("check")
        return kept[1]
    made = _found(unfolded(fit), n, seed, simulate)
    if asked is not None:
        vars(fit)["last_checks"] = asked, made
    return made


def _found(fit: Reading, n: int | None, seed: int, simulate: Simulator | None) -> Checks:
    """The checks that suit what a row of the fit has, one mean, several or none."""
    fit.check_name("check")
    fit.at("check")
    means = len(fit.rows.mean)
    if simulate is not None and means:
        raise ModelError("simulate: expected None, as this family draws its own responses")
    if not means:
        drawn = simulated_likelihood(fit, n, seed, simulate)
        return Checks(tuple(_of_likelihood(fit, drawn)), drawn.rows.count, seed, drawn.rows.why)
    if means > 1:
        plan = Plan.of(fit, n, means)
        shown = simulated_levels(fit, plan, seed)
        return Checks(tuple(_of_levels(fit, shown, plan.rows)), len(shown.drawn), seed, plan.why)
    rows = simulated(fit, n, seed)
    return Checks(tuple(_checks(fit, rows)), rows.count, seed, rows.why)


def _of_likelihood(fit: Reading, drawn: Drawn) -> Iterator[Check]:
    rows = drawn.rows
    if drawn.times is not None:
        yield survival.distribution(drawn.times)
        yield survival.by_risk(drawn.times)
    else:
        yield residuals.distribution(rows)
    if drawn.counts:
        yield responses.counts(rows, _response(fit))
    if drawn.levels is not None:
        yield from levels.calibrations(drawn.levels)
    chosen, varying = _chosen(fit, rows), 0
    for name, values in zip(fit.family.predictor_labels or (), fit.rows.eta[:, chosen], strict=True):
        if np.ptp(values) > 1e-9 * np.max(np.abs(values), initial=1e-300):
            yield residuals.straight(rows, values, visible(name))
            if not varying and drawn.times is None and drawn.levels is None:
                yield residuals.spread(rows, values, visible(name))
            varying += 1
    yield from _over_covariates(fit, rows, chosen)
    yield from _of_effects(rows)


def _of_levels(fit: Reading, shown: levels.Levels, chosen: np.ndarray) -> Iterator[Check]:
    yield from levels.calibrations(shown)
    for name, values, labels in covariates(fit):
        if labels is None:
            yield levels.straight(shown, values[chosen], name)
        else:
            found = levels.even(shown, values[chosen].astype(int), labels, name)
            if found is not None:
                yield found


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
        others = _own_fitted(fit, rows)
        yield residuals.straight(rows, fitted[chosen], "the fitted value", _fitted_label(fit), others)
        if not binary:
            yield residuals.spread(rows, fitted[chosen], _fitted_label(fit), others)
    yield from _over_covariates(fit, rows, chosen)
    yield from _of_effects(rows)


def _of_effects(rows: Simulated) -> Iterator[Check]:
    for name in rows.effects:
        yield residuals.effects(rows, name)


def _own_fitted(fit: Reading, rows: Simulated) -> np.ndarray | None:
    """(B, n) fitted values that order the rows of each simulated data set; None where the data's own do.

    Effects are shrunk, so that residuals given them rise with the fitted value that has them: this is as it should be,
    and simulated data with new effects show it over fitted values of their own only. Means are in the order of the
    predictors, or in the opposite one where the link falls.
    """
    if not rows.redrawn:
        return None
    falls = fit.linear and float(np.median(fit.rows.slope[0, 0])) < 0
    return -rows.drawn.mean if falls else rows.drawn.mean


def _over_covariates(fit: Reading, rows: Simulated, chosen: np.ndarray) -> Iterator[Check]:
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
    read = _read(fit)
    response = fit.at("check").asked.data.response.name
    names = [name for name in (frame.columns if read is None else read) if name in frame.columns and name != response]
    found: list[tuple[str, np.ndarray, tuple[str, ...] | None]] = []
    for name in names[:MOST_COVARIATES]:
        column = frame[name]
        if not isinstance(column, pd.Series):
            continue
        number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if number and column.nunique() > FEW_LEVELS and name not in fit.grouping:
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


def _read(fit: Reading) -> list[str] | None:
    """The columns that the formulas read, in order; None where that is not known."""
    schema = fit.state.schema
    parts = getattr(schema, "parts", None)
    if parts is None:
        return getattr(schema, "columns", None)
    found = [name for part in parts.values() for name in getattr(part.schema, "columns", None) or ()]
    return list(dict.fromkeys(found))
