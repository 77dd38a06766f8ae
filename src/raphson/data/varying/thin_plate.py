r"""Thin plate regression splines: functions of one or more variables whose bending is the same in all directions.

With the points x_i of d variables and E_ij = η(‖x_i − x_j‖), every f(x) = Σ δ_i η(‖x − x_i‖) + p(x) with Tᵀδ = 0, where
p has a degree less than m and T has the values of the polynomials at the points, bends by

    δᵀEδ = ∫ Σ_{ν₁+…+ν_d = m} m!/(ν₁!…ν_d!) (∂ᵐf/∂x₁^ν₁…∂x_d^ν_d)² dx.

Of these as many functions as there are points, the k that count are kept (Wood, Journal of the Royal Statistical
Society B 65, 2003; Generalized Additive Models, 2017, section 5.5.1): δ = U Z c, where U has the eigenvectors of E with
the largest absolute eigenvalues D, and Z spans the c' with TᵀU c' = 0, so that the penalty is cᵀZᵀDZc. They depend a
little on the unit of the variables where d is even, as the logarithm in η does.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np

from raphson.errors import DataError

MOST_POINTS = 2000
"""Most points; of more, as many are drawn. E has 32 MB."""

DENSE = 400
"""Points up to which all eigenvectors are found, as that is faster than to find some."""

BLOCK = 100_000
"""Numbers of radial functions that are held at once, which the processor's cache keeps."""

DEPENDENT = 1e-8
"""Singular value of the polynomials at the points, in units of the largest, that is 0."""

MORE = (8, 27, 100)
"""Functions beyond the polynomials by default, of one, two, and more variables, as in mgcv."""


def order_of(d: int) -> int:
    """The order m of the derivatives in the penalty of functions of d variables: the smallest with 2m > d + 1."""
    return (d + 1) // 2 + 1


def exponents(d: int) -> list[tuple[int, ...]]:
    """The powers of the variables in each of the polynomials of a degree less than m; the first is the constant."""
    found = []
    for degree in range(order_of(d)):
        for factors in combinations_with_replacement(range(d), degree):
            found.append(tuple(factors.count(variable) for variable in range(d)))
    return found


def usual_k(d: int) -> int:
    """The number of functions of d variables where none is given."""
    return len(exponents(d)) + MORE[min(d, len(MORE)) - 1]


def radial(squares: np.ndarray, d: int) -> np.ndarray:
    """η(r) of squared distances r².

    For odd d, Γ(d/2 − m)/(2^{2m} π^{d/2} (m−1)!) r^{2m−d}; for even d, with logarithms,
    (−1)^{m+1+d/2}/(2^{2m−1} π^{d/2} (m−1)! (m−d/2)!) r^{2m−d} log r.
    """
    m = order_of(d)
    if d % 2:
        factor = math.gamma(d / 2 - m) / (2.0 ** (2 * m) * math.pi ** (d / 2) * math.factorial(m - 1))
        powers = np.sqrt(squares)
        powers *= factor
        for _ in range(m - (d + 1) // 2):
            powers *= squares
        return powers
    half = d // 2
    factor = (-1.0) ** (m + 1 + half) / (2.0 ** (2 * m - 1) * math.pi**half)
    factor /= math.factorial(m - 1) * math.factorial(m - half)
    # log r = ½ log r², and 0 log 0 = 0
    logs = np.log(np.where(squares > 0, squares, 1.0))
    logs *= 0.5 * factor
    for _ in range(m - half):
        logs *= squares
    return logs


def polynomials(x: np.ndarray) -> np.ndarray:
    """(n, M) of x (n, d)."""
    return np.stack([np.prod(x ** np.array(powers), axis=1) for powers in exponents(x.shape[1])], axis=1)


def _squares(x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, m) squared distances."""
    total = np.zeros((len(x), len(points)))
    for one, other in zip(x.T, points.T, strict=True):
        apart = one[:, None] - other
        apart *= apart
        total += apart
    return total


def product(x: np.ndarray, points: np.ndarray, origin: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(n, c) at x (n, d) the radial functions about points (m, d), and polynomials, times coefficients (m + M, c)."""
    m = len(points)
    step = max(1, BLOCK // m)
    out = polynomials(x - origin) @ coefficients[m:]
    for start in range(0, len(x), step):
        some = slice(start, start + step)
        out[some] += radial(_squares(x[some], points), x.shape[1]) @ coefficients[:m]
    return out


def points_of(x: np.ndarray, k: int, label: str) -> np.ndarray:
    """The distinct points among x (n, d) in order, at most MOST_POINTS of them.

    Raises
    ------
    DataError
        If there are fewer than k, or a polynomial is 0 at all of them.
    """
    ordered = x[np.lexsort(x.T[::-1])]
    points = ordered[np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])]
    d = x.shape[1]
    if len(points) < k:
        fewest = len(exponents(d)) + 1
        what = "its variable only" if d == 1 else "its variables only"
        remedy = f"write k={len(points)}" if len(points) >= fewest else "use linear terms"
        kind = "values" if d == 1 else "points"
        raise DataError(f"formula: {label} has k={k} functions, but {what} {len(points)} different {kind}; {remedy}")
    spread = points - points.mean(axis=0)
    T = polynomials(spread / np.maximum(np.abs(spread).max(axis=0), 1e-300))
    sizes = np.linalg.svd(T, compute_uv=False)
    if not sizes[-1] > DEPENDENT * sizes[0]:
        raise DataError(
            f"formula: the points of {label} lie on a line, or too few of them do not, so that functions of all its "
            "variables cannot be told apart; leave a variable out"
        )
    if len(points) <= MOST_POINTS:
        return points
    # One of each part of the points in order, which one by chance, as a regular choice would meet regular points oddly.
    ends = np.arange(MOST_POINTS + 1) * len(points) // MOST_POINTS
    drawn = ends[:-1] + np.floor(np.random.default_rng(1).random(MOST_POINTS) * np.diff(ends)).astype(np.intp)
    return points[drawn]


def truncated(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, k − M) the U Z of points (m, d), and (k − M, k − M) the penalty Zᵀ D Z."""
    d = points.shape[1]
    E = radial(_squares(points, points), d)
    T = polynomials(points - points.mean(axis=0))
    T /= np.sqrt(np.mean(T**2, axis=0))
    if k == len(points):
        Z = np.linalg.qr(T, mode="complete")[0][:, T.shape[1] :]
        return Z, Z.T @ E @ Z
    values, U = _largest(E, k)
    Z = np.linalg.qr(U.T @ T, mode="complete")[0][:, T.shape[1] :]
    return U @ Z, (Z.T * values) @ Z


def _largest(E: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k eigenvalues with the largest absolute values, and their eigenvectors (m, k)."""
    if len(E) <= DENSE or 4 * k > len(E):
        values, U = np.linalg.eigh(E)
    else:
        from scipy.sparse.linalg import eigsh

        start = np.random.default_rng(1).normal(size=len(E))  # or scipy draws one by chance
        values, U = eigsh(E, k, which="LM", v0=start, tol=0)
    kept = np.argsort(-np.abs(values), kind="stable")[:k]
    return values[kept], U[:, kept]
