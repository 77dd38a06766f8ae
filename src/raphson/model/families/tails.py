"""Logarithms of tail probabilities, even where the probabilities are below the smallest double.

SciPy gives the probability as long as it does not underflow; beyond, a series of terms of one sign is summed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raphson import scipy_special as special

SMALLEST = 1e-290
"""Below this probability the series is used: below 2e-308 doubles lose digits."""

TERMS = 20_000
"""Terms of a sum at most. A probability of 1e-290 lies 36 standard deviations out, where terms fall by a factor of
about 1 − 36/√a: the sum ends within 1.1 √a of them, and 20,000 serve up to a = 3e8."""

Tails = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""log P(Y < y), log P(Y ≤ y), log P(Y ≥ y) and log P(Y > y), each (n,)."""


def log_gamma_tails(shape: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log P(a, x) and log Q(a, x), the regularised incomplete gamma functions, for a ≥ 0 and x ≥ 0.

    Below x = a, P is x^a e^-x/Γ(a + 1) times Σ x^n/((a + 1) ... (a + n)) (NIST DLMF 8.11.4); above, Q is
    x^a e^-x/Γ(a) times a continued fraction (8.9.2).
    """
    a, x = np.broadcast_arrays(np.asarray(shape, dtype=float), np.asarray(x, dtype=float))
    base = special.xlogy(a, x) - x - special.gammaln(a + 1.0)
    lower = _beyond(special.gammainc(a, x), lambda i: base[i] + np.log(_series(lambda n: x[i] / (a[i] + n))), x > 0)
    upper = _beyond(special.gammaincc(a, x), lambda i: base[i] + np.log(a[i] * _fraction(a[i], x[i])), a > 0)
    return lower, upper


def log_beta_tails(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log I_x(a, b) and log(1 − I_x(a, b)), the regularised incomplete beta function.

    I_x = x^a (1 − x)^b/(a B(a, b)) Σ (a + b)_n/(a + 1)_n x^n (NIST DLMF 8.17.8), and 1 − I_x(a, b) = I_{1−x}(b, a).
    """
    a, b, x = np.broadcast_arrays(*(np.asarray(one, dtype=float) for one in (a, b, x)))

    def far(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        def of(i: np.ndarray) -> np.ndarray:
            p, q, z = a[i], b[i], x[i]
            total = np.log(_series(lambda n: (p + q + n - 1.0) / (p + n) * z))
            return special.xlogy(p, z) + special.xlog1py(q, -z) - np.log(p) - special.betaln(p, q) + total

        return of

    lower = _beyond(special.betainc(a, b, x), far(a, b, x), x > 0)
    upper = _beyond(special.betaincc(a, b, x), far(b, a, 1.0 - x), x < 1)
    return lower, upper


def _beyond(probability: np.ndarray, far: Callable[[np.ndarray], np.ndarray], possible: np.ndarray) -> np.ndarray:
    """The logarithm of a probability, by `far` where it underflows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.array(np.log(probability), ndmin=1)
        places = np.flatnonzero(np.ravel((probability < SMALLEST) & possible))
        if len(places):
            out[places] = far(places)
    return out


def _series(ratio: Callable[[int], np.ndarray]) -> np.ndarray:
    """Σ over n ≥ 0 of the products ratio(1) ... ratio(n), where the ratio falls below 1."""
    term = np.ones_like(ratio(1))
    total = term.copy()
    for n in range(1, TERMS):
        term = term * ratio(n)
        total += term
        if not (term > 1e-17 * total).any():
            break
    return total


def _fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """1/(x + 1 − a − 1(1 − a)/(x + 3 − a − ...)), evaluated backward, for x above a."""
    rest = np.zeros_like(x)
    for n in range(400, 0, -1):
        rest = n * (n - a) / (x + 2.0 * n + 1.0 - a + rest) * -1.0
    return 1.0 / (x + 1.0 - a + rest)
