"""Frequencies: which parameters of a curve set one, and which frequencies the data show.

The sum of squares of a sine wave has local minima all along the frequency axis, about π/range wide: a search that draws
frequencies over orders of magnitude finds the right one only by luck. So they are drawn at the peaks of the data's
periodogram, and uniformly up to the sampling limit (Nyquist's, π over the spacing of x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from raphson.autodiff.walk import walk
from raphson.compat import name_of

Monomial = tuple[tuple[Any, int], ...]
"""Powers of parameters (by number) and of covariates (by ``"x0"``, ``"x1"``, ...), sorted by their names."""

Polynomial = dict[Monomial, float]

TERMS = 16
"""Most terms of an argument that is analysed."""

PEAKS = 12
"""Number of peaks of the periodogram that frequencies are drawn from. The k-th is drawn in proportion to 1/k; of the
1,536 points that a search draws first about 20 are near the twelfth."""

ROWS, FREQUENCIES = 1024, 8192
"""Most rows and frequencies of a periodogram. Sine and cosine of 8 million arguments take a fraction of a second."""

BEYOND = 8.0
"""The sampling limit of unevenly spaced values, from their smallest gaps, may exceed that of even spacing by this. A
periodogram has four frequencies for each π/range up to the limit, 32 n of n places: up to n = 256 they are at most
FREQUENCIES."""

_WAVES = frozenset(["sin", "cos", "tan"])
_PASSED = frozenset(["copy", "copy_p", "convert_element_type", "broadcast_in_dim", "device_put", "stop_gradient"])


class Wave(NamedTuple):
    """A parameter θ_j that makes f a wave along a covariate, with the angular frequency |factor| θ_j^power."""

    parameter: int
    covariate: int
    factor: float
    power: int

    def value(self, frequency: np.ndarray) -> np.ndarray:
        """θ_j > 0 for angular frequencies."""
        return (frequency / abs(self.factor)) ** (1.0 / self.power)

    def frequency(self, value: np.ndarray) -> np.ndarray:
        """The angular frequencies, all positive, for values of θ_j."""
        with np.errstate(all="ignore"):
            return abs(self.factor) * np.abs(value) ** float(self.power)


class Phase(NamedTuple):
    """A parameter θ_j that is added, times a factor, to the argument of a sine, and so has a period."""

    parameter: int
    factor: float


def waves(jaxpr: Any, parameters: list[int | None]) -> tuple[tuple[Wave, ...], tuple[Phase, ...]]:
    """The parameters that multiply or divide a covariate in the argument of a sine, cosine or tangent, and phases.

    Parameters
    ----------
    jaxpr : closed jaxpr.
    parameters : for each flat input, the number of its parameter, or None for a covariate. Of an array of parameters
        single elements are not followed.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.autodiff.trace import trace
    >>> traced = trace(lambda a, period, x: a * jnp.cos(2 * jnp.pi * x / period), 1.0, 1.0, 1.0)
    >>> [(wave.parameter, round(wave.factor, 3), wave.power) for wave in waves(traced.jaxpr, [0, 1, None])[0]]
    [(1, 6.283, -1)]
    """
    found: dict[tuple[int, int], Wave] = {}
    added: dict[int, Phase] = {}
    inputs: list[Polynomial | None] = []
    covariate = 0
    for number in parameters:
        inputs.append({((f"x{covariate}" if number is None else number, 1),): 1.0})
        covariate += number is None

    def visit(equation: Any, given: list[Polynomial | None], site: Any) -> list[Polynomial | None]:
        name = name_of(equation)
        if name in _WAVES and given[0] is not None:
            for monomial, factor in given[0].items():
                powers = dict(monomial)
                covariates = [key for key in powers if isinstance(key, str)]
                others = [key for key in powers if not isinstance(key, str)]
                if len(covariates) == len(others) == 1 and powers[covariates[0]] == 1 and abs(powers[others[0]]) == 1:
                    j, k = others[0], int(covariates[0][1:])
                    found.setdefault((j, k), Wave(j, k, factor, powers[j]))
                elif not covariates and len(others) == 1 and powers[others[0]] == 1:
                    added.setdefault(others[0], Phase(others[0], factor))
        return [_result(name, equation, given)] * len(equation.outvars)

    walk(jaxpr, inputs, visit, lift=_lifted)
    return tuple(found.values()), tuple(added.values())


def _lifted(constant: Any) -> Polynomial | None:
    values = np.asarray(constant)
    return {(): float(values)} if values.dtype.kind in "fiu" and values.size == 1 else None


def _result(name: str, equation: Any, given: list[Polynomial | None]) -> Polynomial | None:
    if any(one is None for one in given):
        return None
    parts: list[Polynomial] = given  # type: ignore[assignment]
    if name in _PASSED:
        return parts[0]
    if name == "neg":
        return _times(parts[0], {(): -1.0})
    if name in ("add", "add_any", "sub"):
        out = dict(parts[0])
        for monomial, factor in parts[1].items():
            out[monomial] = out.get(monomial, 0.0) + (-factor if name == "sub" else factor)
        return out if len(out) <= TERMS else None
    if name == "mul":
        return _times(*parts)
    if name == "div" and len(parts[1]) == 1:
        ((monomial, factor),) = parts[1].items()
        return _times(parts[0], {tuple((key, -power) for key, power in monomial): 1.0 / factor}) if factor else None
    return None


def _times(a: Polynomial, b: Polynomial) -> Polynomial | None:
    if len(a) * len(b) > TERMS:
        return None
    out: Polynomial = {}
    for one, factor in a.items():
        for other, second in b.items():
            powers = dict(one)
            for key, power in other:
                powers[key] = powers.get(key, 0) + power
            monomial = tuple(sorted(((k, n) for k, n in powers.items() if n), key=lambda pair: str(pair[0])))
            out[monomial] = out.get(monomial, 0.0) + factor * second
    return out


@dataclass(frozen=True)
class Spectrum:
    """The frequencies of the responses along one covariate.

    Attributes
    ----------
    peaks : (m,) angular frequencies at which the periodogram has a peak, the highest first.
    limit : the highest frequency that the sampling can distinguish from lower ones.
    width : π over the range of the covariate, the resolution in frequency.
    """

    peaks: np.ndarray
    limit: float
    width: float

    def draw(self, count: int, random: np.random.Generator) -> np.ndarray:
        """(count,) frequencies: most around peaks, higher ones more often, the others uniform up to the limit."""
        even = random.uniform(0.0, self.limit, count)
        if not len(self.peaks):
            return even
        share = 1.0 / (1.0 + np.arange(len(self.peaks)))
        about = random.choice(self.peaks, count, p=share / share.sum()) + self.width * random.uniform(-0.5, 0.5, count)
        return np.maximum(np.where(random.random(count) < 0.7, about, even), 1e-3 * self.width)


def spectrum(x: np.ndarray, y: np.ndarray) -> Spectrum | None:
    """The spectrum of responses y (n,) along a covariate x (n,), after removing a straight line; None without a range.

    Examples
    --------
    >>> x = np.linspace(0, 100, 300)
    >>> found = spectrum(x, np.sin(1.759 * x))
    >>> abs(float(found.peaks[0]) - 1.759) < found.width, round(found.limit, 2)
    (True, 9.39)
    """
    places = np.unique(x)
    reach = float(places[-1] - places[0])
    if len(places) < 4 or not np.isfinite(reach) or not reach > 0:
        return None
    even = np.pi * (len(places) - 1) / reach
    gap = float(np.quantile(np.diff(places), 0.1))
    limit = min(np.pi / gap if gap > 0 else np.inf, BEYOND * even)
    width = np.pi / reach
    if len(x) > ROWS:
        some = np.sort(np.random.default_rng(0).choice(len(x), ROWS, replace=False))
        x, y = x[some], y[some]
    centred = x - x.mean()
    line = np.polyfit(centred / reach, y, 1)
    left = y - np.polyval(line, centred / reach)
    count = int(min(np.ceil(4.0 * limit / width), FREQUENCIES))
    frequencies = limit * np.arange(1, count + 1) / count
    power = np.concatenate(
        [np.abs(np.exp(-1j * np.outer(some, centred)) @ left) for some in np.array_split(frequencies, count // 64 + 1)]
    )
    padded = np.concatenate([[-np.inf], power, [-np.inf]])
    top = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] > padded[2:]))
    return Spectrum(frequencies[top[np.argsort(-power[top], kind="stable")][:PEAKS]], limit, width)
