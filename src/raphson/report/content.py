"""The contents of a report as plain rows, from which text, HTML and JSON are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from raphson.errors import RaphsonError, visible
from raphson.model.bias.reduction import described
from raphson.report.ratios import ratio_digits, ratio_name
from raphson.report.tables import tidy
from raphson.sheets import numbers


class Coefficient(NamedTuple):
    """One line of the coefficient table."""

    name: str
    estimate: float
    std_error: float
    statistic: float
    p_value: float
    lower: float
    upper: float
    digits: float
    """Number of correct digits of the estimate."""
    at_infinity: str = "separated"
    """The note of an infinite estimate: a key of :data:`NOTES`."""
    ratio: bool = False
    """Whether it is exp of a coefficient."""

    @property
    def note(self) -> str:
        """Why there is no finite estimate: a key of :data:`NOTES`, or an empty text."""
        if math.isnan(self.estimate):
            return "aliased"
        return self.at_infinity if math.isinf(self.estimate) or (self.ratio and self.estimate == 0.0) else ""

    def places(self) -> int | None:
        """Decimals of the estimate, its standard error and its interval; None for exponents instead.

        The standard error has five digits, and the others as many decimals as it has. Only correct digits of the
        estimate are shown, but at least two.
        """
        if not (math.isfinite(self.estimate) and math.isfinite(self.std_error) and self.std_error > 0):
            return None
        places = 4 - math.floor(math.log10(self.std_error))
        if self.estimate != 0 and not math.isnan(self.digits):
            places = min(places, self._known - 1 - math.floor(math.log10(abs(self.estimate))))
        # Numbers too large or too small for a table are written with exponents.
        return max(places, 0) if -4 <= places <= 10 and abs(self.estimate) < 1e9 else None

    def text(self, value: float) -> str:
        """A number of the row, with the row's decimals."""
        places = self.places()
        if places is not None and math.isfinite(value):
            return f"{value:.{places}f}"
        return numbers.significant(value, min(self._known, 5))

    @property
    def _known(self) -> int:
        return 5 if math.isnan(self.digits) else max(math.floor(self.digits), 2)


NOTES = {
    "aliased": "a linear combination of earlier columns, left out of the fit",
    "infinite": "the likelihood increases without bound in this direction",
    "separated": "it separates the responses: the likelihood increases without bound in this direction",
}
"""What each :attr:`Coefficient.note` means."""


def coefficients(fit: Any, level: float = 0.95, exponentiate: bool = False) -> list[Coefficient]:
    """Rows of the coefficient table.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals.
    exponentiate : whether they are ratios, exp of the coefficients.
    """
    table = tidy(fit, level, exponentiate)
    digits = fit.digits.tolist()
    if exponentiate:
        digits = [ratio_digits(b, one) for b, one in zip(fit.params.tolist(), digits, strict=True)]
    rows = zip(table["term"], *(table[name].tolist() for name in table.columns[1:]), digits, strict=True)
    at_infinity = "separated" if _status(fit) == "separated" else "infinite"
    notes = {"at_infinity": at_infinity, "ratio": exponentiate}
    return [Coefficient(visible(str(name)), *values, **notes) for name, *values in rows]


def estimate_name(fit: Any, exponentiate: bool) -> str:
    """What an estimate is called: "estimate", or "odds ratio" and the like."""
    return ratio_name(fit) if exponentiate else "estimate"


def usable(fit: Any) -> bool:
    """Whether the numbers may be used: those of a maximum or of a limit, and a network's unless its loss diverged."""
    status = str(fit.status)
    if not fit.identified:
        return status != "not finite"
    return fit.converged or status in ("separated", "stopped early")


def saturated(fit: Any) -> bool:
    """Whether no row is left over to estimate the dispersion from, so that nothing has a standard error."""
    return fit.identified and fit.use_t and fit.df_resid <= 0


def explained(fit: Any) -> float:
    """Share of the deviance that the model explains, which of a gaussian one is R²; NaN where there is none."""
    if "null_deviance" not in fit.measures or not fit.df_model:
        return math.nan
    null, own = float(fit.null_deviance), float(fit.deviance)
    return 1.0 - own / null if null > 0 else math.nan


def r_squared(fit: Any) -> float:
    """R² of a curve, where its model contains a constant mean; else NaN."""
    if "rss" not in fit.measures:
        return math.nan
    try:
        return float(getattr(getattr(fit, "_reading", fit), "r_squared", math.nan))
    except RaphsonError:  # the data have changed since the fit: the rest of the summary still holds
        return math.nan


def _explained(fit: Any) -> list[tuple[str, str]]:
    share = explained(fit)
    of_curve = r_squared(fit)
    if math.isfinite(of_curve):
        return [("R-squared", f"{of_curve:.4f}")]
    label = (
        "R-squared" if fit.family.name == "gaussian" and getattr(fit, "has_intercept", True) else "Deviance explained"
    )
    told = f"{share:.4f}" if label == "R-squared" else f"{100 * share:.2f}%"
    return [(label, told)] if math.isfinite(share) else []


def _references(fit: Any) -> list[tuple[str, str]]:
    """The level of each factor that the others are compared with."""
    texts = [f"{name} {level}" for name, level in getattr(fit, "reference_levels", {}).items()]
    levels = getattr(fit.family, "levels", None)
    # Ordered levels, of a likelihood without a link, have thresholds between them and no baseline.
    baseline = [("Baseline", cut(visible(levels[0])))] if levels and fit.family.link_name else []
    return baseline + ([("Reference", cut(visible(", ".join(texts))))] if texts else [])


def cut(text: str) -> str:
    """A text of at most LONGEST letters."""
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def statistic_name(fit: Any) -> str:
    """``t`` if estimates over their standard errors are compared with it, otherwise ``z``."""
    return "t" if getattr(getattr(fit, "_reading", fit), "by_t", fit.use_t) else "z"


def interval_names(level: float) -> tuple[str, str]:
    """Headings of an interval's two ends.

    Examples
    --------
    >>> interval_names(0.95)
    ('2.5%', '97.5%')
    """
    tail = 50 * (1 - level)
    return f"{tail:.4g}%", f"{100 - tail:.4g}%"


def objective_name(fit: Any) -> str:
    """What the path's ``llf`` is: the log-likelihood or, for a quasi family or a robust loss, the objective."""
    climbed = [value for value in fit.path["llf"].tolist() if math.isfinite(value)]
    same = bool(climbed) and math.isclose(climbed[-1], fit.llf, rel_tol=1e-6, abs_tol=1e-6)
    return "log-likelihood" if same else "objective"


LONGEST = 44
"""Most letters shown of an input's name."""


def covariance_name(fit: Any) -> str:
    """The kind of covariance; for clusters with their variable and, unless it is the default, the factor.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> covariance_name(SimpleNamespace(cov_kind="cluster", inputs={"groups": "herd"}, small_sample="clusters"))
    'cluster (herd; G/(G-1))'
    """
    if fit.cov_kind != "cluster":
        return str(fit.cov_kind)
    groups = getattr(fit, "inputs", {}).get("groups")
    factor = {"full": None, "clusters": "G/(G-1)", None: "no factor"}[getattr(fit, "small_sample", "full")]
    details = "; ".join(one for one in (groups if groups != "array" else None, factor) if one)
    return f"cluster ({details})" if details else "cluster"


def given(fit: Any) -> list[tuple[str, str]]:
    """The arguments besides the formula: weights with their kind, trials, offset, penalty."""
    inputs, pairs = getattr(fit, "inputs", {}), []
    for name in ("weights", "sigma", "trials", "offset", "penalty", "weight_decay"):
        if name in inputs:
            value = inputs[name]
            text = visible(value) if isinstance(value, str) else f"{value:g}"
            kind = f" ({inputs['weights_kind']})" if name == "weights" else ""
            pairs.append((name.capitalize().replace("_", " "), cut(text) + kind))
    return pairs


def _cells(fit: Any) -> list[tuple[str, str]]:
    """The number of cells that equal rows were merged into before the iteration."""
    inputs = getattr(fit, "inputs", {})
    return [("Cells", f"{inputs['cells']:,.10g} (equal rows merged)")] if "cells" in inputs else []


def _criterion(fit: Any) -> list[tuple[str, str]]:
    """Which criterion chose how much coefficients vary."""
    inputs = getattr(fit, "inputs", {})
    return [("Criterion", inputs["criterion"])] if "criterion" in inputs else []


def degrees(value: float) -> str:
    """Degrees of freedom: a whole number, or effective ones with two decimals.

    Examples
    --------
    >>> degrees(1200.0), degrees(44.5043853)
    ('1,200', '44.50')
    """
    return f"{value:,.2f}" if math.isfinite(value) and abs(value - round(value)) > 5e-7 else f"{value:,.10g}"


def group_sizes(fit: Any) -> dict[str, int]:
    """The number of levels of each group whose effects vary."""
    return getattr(getattr(fit, "_reading", fit), "group_sizes", {})


def _groups(fit: Any) -> list[tuple[str, str]]:
    sizes = group_sizes(fit)
    return [("Groups", ", ".join(f"{count:,} {cut(visible(name))}" for name, count in sizes.items()))] if sizes else []


def _storage(fit: Any) -> list[tuple[str, str]]:
    """How the design is held, where that was asked for, and how far at most rounding moved a coefficient."""
    inputs = getattr(fit, "inputs", {})
    if "storage" not in inputs:
        return []
    cost = f" (cost {inputs['storage_cost']:.1e} SE)" if inputs["storage_column"] else " (exact)"
    return [("Storage", inputs["storage"] + cost)]


MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "deviance": ("Deviance", numbers.rounded),
    "null_deviance": ("Null deviance", numbers.rounded),
    "residual_sd": ("Residual SD", lambda value: numbers.significant(value, 6)),
    "rss": ("Residual SS", lambda value: numbers.significant(value, 6)),
    "condition_number": ("Condition no.", numbers.short),
}
"""Label and format of each statistic of fit."""


def facts(fit: Any) -> list[tuple[str, str]]:
    """Description of the fit as a whole: pairs of a label and a value, in reading order."""
    count = numbers.significant
    link, assembly = fit.family.link_name, getattr(fit, "assembly", "")
    theta = getattr(fit, "theta", None)
    # At θ = ∞ the family is its limit, and θ was estimated none the less.
    family = f"negative_binomial at its limit, {fit.family.name}" if theta == math.inf else fit.family.name
    pairs = [
        ("Family", family + (f", {link} link" if link else "")),
        ("Method", str(fit.method)),
        ("Information", str(fit.information_kind) + (f", {assembly}" if assembly else "")),
        ("Covariance", covariance_name(fit)),
        ("Observations", f"{fit.nobs:,.10g}" + (f" ({fit.n_dropped:,} dropped)" if fit.n_dropped else "")),
        *_cells(fit),
        *_storage(fit),
        *given(fit),
        *_criterion(fit),
        *_groups(fit),
        ("Residual df", degrees(fit.df_resid)),
        ("Model df", degrees(fit.df_model)),
        ("Dispersion", numbers.significant(fit.dispersion, 6) if fit.use_t else f"{fit.dispersion:g}"),
        ("Log-likelihood", numbers.rounded(fit.llf)),
        ("AIC", numbers.rounded(fit.aic)),
        ("BIC", numbers.rounded(fit.bic)),
        *((MEASURES[name][0], MEASURES[name][1](getattr(fit, name))) for name in fit.measures),
        *_explained(fit),
        *_references(fit),
    ]
    if getattr(fit, "bias", None) is not None:
        pairs.append(("Bias reduction", described(fit.family, fit.bias)))
    if theta is not None:
        error = "" if fit.theta_se is None else f" (std. error {count(fit.theta_se, 4)})"
        error = " (AIC and BIC count it)" if theta == math.inf else error
        pairs.append(("Theta", count(theta, 6) + error))
    return pairs


def verdict(fit: Any) -> str:
    """How the iteration ended, in one line.

    It ends with the distance to the maximum in standard errors, which shows how exact the estimate is.
    """
    steps = f"{fit.n_iter} iteration" + ("" if fit.n_iter == 1 else "s")
    line = f"{_status(fit)} after {steps}"
    if math.isfinite(fit.distance) and (fit.converged or fit.distance > 0):
        line += f", {numbers.short(fit.distance)} standard errors from the maximum"
    return line


def warning(fit: Any) -> str:
    """What the user has to know before using the numbers, or an empty text."""
    remark = str(fit.message or "").strip()
    ended = _status(fit) in ("converged", "rounding floor")
    unusual = not ended or saturated(fit) or any(row.note for row in coefficients(fit))
    if fit.converged and not unusual:
        return ""
    if not remark:
        return "The iteration did not reach the maximum: do not use these estimates."
    return sentence(remark, fit)


def remarks(fit: Any) -> list[str]:
    """What else the user should know about the numbers, a sentence each; without the text of :func:`warning`."""
    if warning(fit):
        return []
    return [sentence(text, fit) for text in getattr(fit, "remarks", [])]


def sentence(text: str, fit: Any) -> str:
    """A remark as a sentence; the name of a parameter or a term at the beginning, such as s(x), keeps its case."""
    named = re.match(r"\w+\(", text) is not None or any(
        text.startswith(name) and not (text[len(name) : len(name) + 1].isalnum() or text[len(name) :].startswith("_"))
        for name in getattr(fit, "names", ())
        if name
    )
    text = visible(text)
    first = text[:1] if named else text[:1].upper()
    return first + text[1:] + ("" if text.endswith(".") else ".")


def _status(fit: Any) -> str:
    return str(getattr(fit.status, "value", fit.status))
