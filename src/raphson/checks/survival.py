"""Checks of times, some of them censored: Kaplan-Meier curves beside those of simulated times.

Simulated times are censored as those of the data are: a censored row at its own time; another at a time drawn from the
Kaplan-Meier estimate of the censoring times, given that it is later than the row's own (Davison and Hinkley 1997,
Bootstrap Methods, algorithm 3.1). Under the model the probability integral transforms F(t) are uniform, censored where
the times are: their Kaplan-Meier curve, the Cox-Snell residuals' on another scale, is the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raphson.checks.check import Check, p_text
from raphson.checks.envelopes import envelope
from raphson.checks.pictures import Mark, Picture

THIRDS = ("earliest third", "middle third", "latest third")
POINTS = 60
"""Times at which Kaplan-Meier curves are compared."""


@dataclass(frozen=True, eq=False)
class Times:
    """Times of the data, (n,), and of B simulated data sets, (B, n), with what was seen of them.

    Attributes
    ----------
    name : of the time.
    y, seen, share : times, masks of those that are no censoring times, and F(y) at the fit.
    drawn, drawn_seen, drawn_share : of the simulated data sets, each at its own fit.
    third : (n,) which third of the fitted times a row is in, all 0 where they are equal.
    refitted : whether the model was fitted anew to each simulated data set.
    """

    name: str
    y: np.ndarray
    seen: np.ndarray
    share: np.ndarray
    drawn: np.ndarray
    drawn_seen: np.ndarray
    drawn_share: np.ndarray
    third: np.ndarray
    refitted: bool

    @property
    def simulated(self) -> str:
        """What the shade is of, in words."""
        how = "" if self.refitted else ", not refitted"
        return f"95 of 100 data sets simulated from this fit, with the censoring of the data{how}"


def kaplan_meier(time: np.ndarray, seen: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The product-limit estimate of P(T > t) at some times; from the last time on, if that is censored, constant.

    Examples
    --------
    >>> import numpy as np
    >>> kaplan_meier(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), np.array([0.5, 1.0, 2.5]))
    array([1.        , 0.66666667, 0.66666667])
    """
    return _product_limit(time, seen, seen, at)


def _product_limit(time: np.ndarray, seen: np.ndarray, told: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Π (1 − told/left) over the times up to those of `at`, out of the rows that are left."""
    order = np.lexsort((~seen, time))  # events before censored times that are equal
    left = len(time) - np.arange(len(time))
    share = np.r_[1.0, np.cumprod(1.0 - told[order] / left)]
    return share[np.searchsorted(time[order], at, side="right")]


def censoring_times(time: np.ndarray, seen: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, n) times at which simulated rows are censored; infinite for a row that never is."""
    found = np.broadcast_to(np.where(seen, np.inf, time), (count, len(time))).copy()
    if seen.all():
        return found
    places = np.unique(time[~seen])
    later = _product_limit(time, seen, ~seen, np.r_[places, time[seen]])  # P(C > t): an event is a censored time
    after, of_seen = later[: len(places)], later[len(places) :]
    # Given C > t, C is the first place where P(C > place) is at most u, uniform below P(C > t).
    u = rng.random((count, int(seen.sum()))) * of_seen
    found[:, seen] = np.r_[places, np.inf][np.searchsorted(-after, -u, side="left")]
    return found


def distribution(times: Times) -> Check:
    """The Kaplan-Meier curve of F(t), less the one expected."""
    at = np.linspace(0.02, 0.98, 49)
    own = 1.0 - kaplan_meier(times.share, times.seen, at) - at
    last = times.share.max() if not times.seen[np.argmax(times.share)] else 1.0
    own = np.where(at > last, np.nan, own)
    others = np.stack(
        [1.0 - kaplan_meier(u, seen, at) - at for u, seen in zip(times.drawn_share, times.drawn_seen, strict=True)]
    )
    found = envelope(own, others, least=0.1 * np.sqrt(at * (1.0 - at) / len(times.y)))
    known = np.isfinite(own)
    marks = (
        Mark("band", "shade", 100 * at, 100 * found.lower, 100 * found.upper),
        Mark("level", "soft", y=np.zeros(1)),
        Mark("line", "data", 100 * at[known], 100 * own[known]),
    )
    if not found.passed:
        marks += (Mark("dots", "doubt", 100 * at[found.outside], 100 * own[found.outside]),)
    most = float(own[found.worst])
    return Check(
        "times",
        "Times as expected" if found.passed else "Times not as expected",
        found.passed,
        found.p_value,
        most,
        f"Kaplan-Meier curve of F(t) at each row's own fit, less the one expected: Cox-Snell residuals on a scale of "
        f"shares. {int(np.sum(~times.seen))} of {len(times.y)} times are censored. Shaded: where it lies in "
        f"{times.simulated}; as a whole, {p_text(found.p_value)}.",
        Picture("expected share with the event (%)", "observed less expected share (points)", marks),
        "distribution of the times",
        ""
        if found.passed
        else f"Where {100 * at[found.worst]:.0f}% should have had the event, {100 * abs(most):.2g} points "
        f"{'more' if most > 0 else 'fewer'} had it ({p_text(found.p_value)}): another distribution may fit better.",
    )


def by_risk(times: Times) -> Check:
    """Kaplan-Meier curves of thirds of the rows by their fitted time."""
    latest = float(np.quantile(times.y, 0.98))
    at = np.linspace(0.0, latest, POINTS)
    groups = [times.third == k for k in np.unique(times.third)]
    own = np.stack([kaplan_meier(times.y[g], times.seen[g], at) for g in groups])
    known = np.stack([at <= times.y[g].max() for g in groups])
    others = np.stack(
        [
            np.stack([kaplan_meier(y[g], seen[g], at) for g in groups])
            for y, seen in zip(times.drawn, times.drawn_seen, strict=True)
        ]
    )
    counts = np.array([np.count_nonzero(g) for g in groups])[:, None]
    least = 0.1 * np.sqrt(np.maximum(own * (1.0 - own), 0.01) / counts)
    curve = np.where(known, own, np.nan)
    found = envelope(curve.ravel(), others.reshape(len(others), -1), least=least.ravel())
    lower, upper, outside = (one.reshape(own.shape) for one in (found.lower, found.upper, found.outside))
    marks: list[Mark] = [Mark("band", "shade", at, 100 * a, 100 * b) for a, b in zip(lower, upper, strict=True)]
    for line, some in zip(own, known, strict=True):
        marks.append(Mark("line", "data", at[some], 100 * line[some], steps=True))
    if len(groups) > 1:  # below the lowest curve, and above the end of the highest
        marks.append(Mark("text", "data", np.array([0.01 * latest]), np.array([5.0]), label=THIRDS[0]))
        end = np.array([100.0 * own[-1][known[-1]][-1]])
        marks.append(Mark("dots", "data", at[known[-1]][-1:], end, label=THIRDS[-1], left=True))
    if not found.passed:
        marks += [Mark("dots", "doubt", at[o], 100 * line[o]) for o, line in zip(outside, own, strict=True) if o.any()]
    worst = found.worst // POINTS
    groups_of = "thirds by fitted time" if len(groups) > 1 else "all rows"
    who = THIRDS[worst] if len(groups) > 1 else "sample"
    return Check(
        "survival",
        "Survival as fitted" if found.passed else "Survival not as fitted",
        found.passed,
        found.p_value,
        float(curve.ravel()[found.worst]),
        f"Kaplan-Meier curves of {groups_of}. Shaded: where they lie in {times.simulated}; as a whole, "
        f"{p_text(found.p_value)}.",
        Picture(times.name, "share without the event (%)", tuple(marks), y_range=(0.0, 104.0)),
        "survival by risk" if len(groups) > 1 else "survival",
        ""
        if found.passed
        else f"The {who} leaves its shade near {at[found.worst % POINTS]:.3g} ({p_text(found.p_value)}).",
    )
