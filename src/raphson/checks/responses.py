"""Checks of responses that are counts or shares: calibration, discrimination, counts beside those expected, spread."""

from __future__ import annotations

import numpy as np

from raphson.checks.check import Check, p_text
from raphson.checks.envelopes import envelope, rank
from raphson.checks.pictures import Mark, Picture
from raphson.checks.simulated import Rows, Simulated

GROUPS = 10
WEAK = 0.7
"""An area under the ROC curve below which rows are told apart weakly: "acceptable" begins there (Hosmer, Lemeshow and
Sturdivant 2013, Applied Logistic Regression, section 5.2.4)."""


def calibration(rows: Simulated, what: str) -> Check:
    """Observed shares of ten groups of rows of about equal fitted probability, beside the mean probability."""
    share, mean = _by_groups(rows.data.y, rows.data.mean, rows.weight)
    simulated = [_by_groups(y, m, rows.weight) for y, m in zip(rows.drawn.y, rows.drawn.mean, strict=True)]
    count = min([len(share), *(len(one[0]) for one in simulated)])
    own = (share - mean)[:count]
    others = np.stack([(one[0] - one[1])[:count] for one in simulated])
    found = envelope(own, others)
    share, mean = share[:count], mean[:count]
    width = 100 * max(0.012, 0.5 * float(np.diff(mean).min(initial=0.1)))
    outside = found.outside if not found.passed else np.zeros(count, dtype=bool)
    picture = Picture(
        "fitted probability (%)",
        f"observed share of {what} (%)",
        (
            Mark("bars", "shade", 100 * mean, 100 * (mean + found.lower), 100 * (mean + found.upper), width=width),
            Mark("diagonal", "soft"),
            Mark("dots", "data", 100 * mean[~outside], 100 * share[~outside]),
            *([Mark("dots", "doubt", 100 * mean[outside], 100 * share[outside])] if outside.any() else []),
        ),
    )
    return Check(
        f"calibration: {what}",
        "Calibrated" if found.passed else "Not calibrated",
        found.passed,
        found.p_value,
        float(own[found.worst]) if count else float("nan"),
        f"{count} groups of rows by fitted probability; on the dashed line the model is right. Shaded: where a share "
        f"lies in 95 of 100 simulated data sets; all groups, {p_text(found.p_value)}.",
        picture,
        "calibration",
        ""
        if found.passed
        else f"Shares differ from fitted probabilities by up to {100 * np.abs(own).max():.2g} points.",
    )


def _by_groups(y: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares and mean probabilities of groups of equal weight; rows of equal probability stay together."""
    order = np.argsort(mean, kind="stable")
    m, w, s = mean[order], weight[order], (y * weight)[order]
    total = np.cumsum(w)
    group = np.minimum((GROUPS * (total - 0.5 * w) / total[-1]).astype(int), GROUPS - 1)
    same = np.r_[False, np.diff(m) <= 1e-12]
    group[same] = -1
    group = np.maximum.accumulate(group)
    used, group = np.unique(group, return_inverse=True)
    weights = np.bincount(group, w, len(used))
    return np.bincount(group, s, len(used)) / weights, np.bincount(group, m * w, len(used)) / weights


def discrimination(rows: Simulated, what: str) -> Check | None:
    """The ROC curve, with its area."""
    if len(np.unique(rows.data.y)) != 2:
        return None
    grid = np.linspace(0.0, 1.0, 101)
    own, area = _roc(rows.data, grid)
    curves = [
        _roc(Rows(y, m, m), grid) for y, m in zip(rows.drawn.y, rows.drawn.mean, strict=True) if 0 < y.sum() < len(y)
    ]
    found = envelope(own, np.stack([one[0] for one in curves]))
    areas = np.quantile([one[1] for one in curves], [0.025, 0.975])
    passed = area >= WEAK
    picture = Picture(
        "false alarms (%)",
        f"{what} found (%)",
        (
            Mark("band", "shade", 100 * grid, 100 * found.lower, 100 * found.upper),
            Mark("diagonal", "soft"),
            Mark("line", "data", 100 * grid, 100 * own, steps=True),
            Mark("text", "data", np.array([58.0]), np.array([18.0]), label=f"area {area:.2f}"),
        ),
    )
    return Check(
        "discrimination",
        "Tells rows apart" if passed else "Tells rows apart weakly",
        passed,
        float("nan"),
        area,
        f"Of two rows, one with {what} and one without, the fit ranks the first higher {100 * area:.0f} times in 100; "
        f"a coin (dashed) 50. Shaded: what simulated data show (areas {areas[0]:.2f} to {areas[1]:.2f}).",
        picture,
        "discrimination",
        ""
        if passed
        else f"The area under the ROC curve is {area:.2f}: use the effects, not predictions of single rows.",
    )


def _roc(rows: Rows, grid: np.ndarray) -> tuple[np.ndarray, float]:
    """The true positive rate at false positive rates, and the area (ties count half)."""
    order = np.argsort(-rows.mean, kind="stable")
    score, y = rows.mean[order], rows.y[order]
    last = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1]
    true = np.r_[0.0, np.cumsum(y)[last]] / y.sum()
    false = np.r_[0.0, np.cumsum(1.0 - y)[last]] / (1.0 - y).sum()
    return np.interp(grid, false, true), float(np.trapezoid(true, false))


def counts(rows: Simulated, what: str) -> Check:
    """A hanging rootogram: square roots of how often each count occurs, hanging from those expected (Tukey)."""
    top = int(min(max(np.quantile(rows.data.y, 0.99), 1), MOST_COUNTS))
    places = np.arange(top + 1, dtype=float)
    own = _frequencies(rows.data.y, top)
    others = np.stack([_frequencies(y, top) for y in rows.drawn.y])
    expected = np.sqrt(others.mean(axis=0))
    # √ of a Poisson count has a standard deviation of about a half, which a rare count's simulated quantiles may miss.
    found = envelope(expected - np.sqrt(own), expected - np.sqrt(others), least=0.5)
    foot = expected - np.sqrt(own)
    out = found.outside
    picture = Picture(
        f"{what} (count)",
        "√rows, hanging from the fit",
        (
            Mark("band", "shade", places, found.lower, found.upper, steps=True),
            Mark("level", "soft", y=np.zeros(1)),
            Mark("bars", "data", places[~out], foot[~out], expected[~out], width=0.55),
            *([Mark("bars", "doubt", places[out], foot[out], expected[out], width=0.55)] if out.any() else []),
            Mark("line", "data", places, expected),
        ),
    )
    zeros, simulated = own[0], others[:, 0]
    excess = rank(zeros, simulated)
    many = "more" if zeros > simulated.mean() else "fewer"
    doubt = f"{int(out.sum())} of {top + 1} counts occur more or less often than in simulated data"
    if excess < 0.01:
        doubt += f"; {int(zeros)} zeros where {simulated.mean():.0f} are expected"
    return Check(
        "counts",
        "Counts as expected" if found.passed else "Counts not as expected",
        found.passed,
        found.p_value,
        float(zeros),
        f"Bars hang from the fitted curve and should end inside the shade: {int(out.sum())} of {top + 1} do not. There "
        f"are {int(zeros)} zeros, {many} than the {simulated.mean():.3g} expected ({p_text(excess)}).",
        picture,
        "counts beside those expected",
        "" if found.passed else doubt + ".",
    )


MOST_COUNTS = 30


def _frequencies(y: np.ndarray, top: int) -> np.ndarray:
    whole = np.rint(y).astype(int)
    return np.bincount(whole[whole <= top], minlength=top + 1).astype(float)


def dispersion(rows: Simulated) -> Check:
    """Pearson's statistic over its degrees of freedom, among those of simulated data."""
    ratio = rows.pearson / float(np.mean(rows.drawn_pearson))
    p_value = rank(rows.pearson, rows.drawn_pearson)
    # A variance within a fifth of the expected moves standard errors by less than a tenth.
    passed = p_value >= 0.01 or 0.8 < ratio < 1.25
    bars, edges = np.histogram(rows.drawn_pearson, bins=24)
    middles = 0.5 * (edges[1:] + edges[:-1])
    role = "data" if passed else "doubt"
    own = np.array([rows.pearson])
    high = float(bars.max())
    picture = Picture(
        "Pearson dispersion",
        "simulated data sets",
        (
            Mark("bars", "shade", middles, np.zeros(24), bars.astype(float), width=float(edges[1] - edges[0])),
            Mark(
                "upright", role, own, np.array([0.0]), np.array([0.75 * high]), label=f"these data: {rows.pearson:.3g}"
            ),
        ),
        x_log=bool(ratio > 3 or ratio < 1 / 3),
        y_range=(0.0, 1.2 * high),
    )
    wide = ratio > 1
    return Check(
        "dispersion",
        "Variance as expected" if passed else f"{ratio:.2g} times the variance expected",
        passed,
        p_value,
        rows.pearson,
        f"One number, beside what it would be if the model were right ({p_text(p_value)}).",
        picture,
        "dispersion",
        ""
        if passed
        else f"Standard errors are {'too small' if wide else 'too large'} by a factor of {ratio**0.5:.2g}: choose a "
        f"family with {'a wider' if wide else 'another'} variance or cov='HC0'.",
    )
