"""Checks of a response of several levels: calibration of each, and where their shares leave the fitted ones.

Levels without an order have no quantile residual. What a row shows of level k is e_k = [y = k] − p_k, whose local mean
is the observed share less the fitted one. A check is of all levels at once, and its picture shows the one that departs
most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from raphson.checks.check import Check, p_text
from raphson.checks.envelopes import Envelope, envelope
from raphson.checks.pictures import Mark, Picture
from raphson.checks.responses import calibration
from raphson.checks.simulated import Rows, Simulated
from raphson.checks.smoothing import level_means, local_mean

MOST_LEVELS = 6
"""Levels whose calibration is shown, the first."""


@dataclass(frozen=True, eq=False)
class Levels:
    """A response of L levels and its fitted probabilities, of the data and of B simulated data sets.

    Attributes
    ----------
    names : (L,) of the levels.
    y, mean : (n,) codes and (L, n) probabilities.
    drawn : (B, n) simulated codes.
    means : (B, L, n) probabilities of the fits to these, or (1, L, n) the fit's own where it was not refitted.
    """

    names: tuple[str, ...]
    y: np.ndarray
    mean: np.ndarray
    drawn: np.ndarray
    means: np.ndarray

    @property
    def refitted(self) -> bool:
        """Whether the model was fitted anew to each simulated data set."""
        return len(self.means) > 1

    def departures(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of e by weights (m, n): of the data (L, m), of simulated data (B, L, m), and a tenth of their spread.

        The spread, √Σ w² p(1 − p), tells a departure from rounding where refitting holds a mean fixed.
        """
        codes = np.arange(len(self.names))
        own = ((self.y == codes[:, None]) - self.mean) @ weights.T
        others = [(y == codes[:, None]) @ weights.T for y in self.drawn]
        return own, np.stack(others) - self.means @ weights.T, self._spread(weights)

    def _spread(self, weights: np.ndarray) -> np.ndarray:
        return 0.1 * np.sqrt((self.mean * (1.0 - self.mean)) @ (weights * weights).T)


def calibrations(levels: Levels) -> Iterator[Check]:
    """The calibration of each level, among all others."""
    n, B = len(levels.y), len(levels.drawn)
    for k, name in enumerate(levels.names[:MOST_LEVELS]):
        own = Rows((levels.y == k).astype(float), levels.mean[k], levels.mean[k])
        means = np.broadcast_to(levels.means[:, k], (B, n))
        drawn = Rows((levels.drawn == k).astype(float), means, means)
        none = np.full(B, np.nan)
        found = calibration(Simulated(own, drawn, np.ones(n), np.nan, none, levels.refitted, 1, ()), name)
        yield replace(found, title=f"{name}: {found.title[:1].lower()}{found.title[1:]}")


def straight(levels: Levels, x: np.ndarray, name: str) -> Check:
    """Observed shares less fitted ones over a covariate."""
    smooth = local_mean(x)
    k, own, found, whole = _worst(levels, smooth.weights)
    marks = (
        Mark("band", "shade", smooth.x, 100 * found.lower, 100 * found.upper),
        Mark("level", "soft", y=np.zeros(1)),
        Mark("line", "data", smooth.x, 100 * own),
        *_outside(smooth.x, own, found, whole),
    )
    return _check(levels, f"straight: {name}", name, k, own, found, whole, marks, ())


def even(levels: Levels, codes: np.ndarray, labels: tuple[str, ...], name: str) -> Check | None:
    """Observed shares less fitted ones at each level of a factor; None where the model makes them equal."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(labels)))[:MOST_GROUPS]
    k, own, found, whole = _worst(levels, level_means(np.searchsorted(used, codes), len(used)))
    if np.max(found.upper - found.lower) < HELD:
        return None
    place = np.arange(len(used), dtype=float)
    marks = (
        Mark("bars", "shade", place, 100 * found.lower, 100 * found.upper),
        Mark("level", "soft", y=np.zeros(1)),
        Mark("dots", "data", place, 100 * own),
        *_outside(place, own, found, whole),
    )
    ticks = tuple((float(j), labels[one]) for j, one in enumerate(used))
    return _check(levels, f"even: {name}", name, k, own, found, whole, marks, ticks)


HELD = 1e-4
"""Width of a shade below which the fit itself holds the shares of a factor's levels: a factor of the model with a
canonical link."""
MOST_GROUPS = 12
"""Levels of a covariate shown in one picture."""


def _worst(levels: Levels, weights: np.ndarray) -> tuple[int, np.ndarray, Envelope, Envelope]:
    """The level that departs most, its means (m,) and their shade, and the verdict on all levels."""
    own, others, least = levels.departures(weights)
    whole = envelope(own.ravel(), others.reshape(len(others), -1), least=least.ravel())
    k = whole.worst // own.shape[1]
    return k, own[k], envelope(own[k], others[:, k], least=least[k]), whole


def _outside(x: np.ndarray, own: np.ndarray, found: Envelope, whole: Envelope) -> tuple[Mark, ...]:
    if whole.passed or not found.outside.any():
        return ()
    return (Mark("dots", "doubt", x[found.outside], 100 * own[found.outside]),)


def _check(
    levels: Levels,
    key: str,
    name: str,
    k: int,
    own: np.ndarray,
    found: Envelope,
    whole: Envelope,
    marks: tuple[Mark, ...],
    ticks: tuple[tuple[float, str], ...],
) -> Check:
    level, most = levels.names[k], float(own[found.worst])
    right = "Even over" if ticks else "Straight in"
    wrong = "Uneven over" if ticks else "Not straight in"
    cause = "interactions may matter" if ticks else "a curved term may fit better"
    points = f"{100 * abs(most):.2g} points"
    doubt = f"{level} is {points} {'more' if most > 0 else 'less'} frequent than fitted ({p_text(whole.p_value)}): "
    refits = "" if levels.refitted else ", not refitted"
    return Check(
        key,
        f"{right if whole.passed else wrong} {name}",
        whole.passed,
        whole.p_value,
        most,
        f"Of {len(levels.names)} levels {level} departs most. Shaded: where its share lies in 95 of 100 data sets "
        f"simulated from this fit{refits}; all levels, {p_text(whole.p_value)}.",
        Picture(name, f"{level}: observed less fitted share (points)", marks, ticks),
        f"levels of {name}" if ticks else f"curvature in {name}",
        "" if whole.passed else f"{doubt}{cause}.",
    )
