r"""How accurately a function's values determine its argument: to ε near a root, to √ε near an optimum.

With noise ε_f in its values, f distinguishes x + δ from x if |f(x + δ) − f(x)| ≈ |f′|δ + ½|f″|δ² exceeds ε_f:

    δ = (√(f′² + 2 ε_f |f″|) − |f′|) / |f″|,   which is   ε_f/|f′|  if f′ dominates (near a root)
                                               and  √(2 ε_f/|f″|)  if f′ = 0 (at an optimum).

The second is why convergence cannot be judged by changes of the log-likelihood: near the maximum it determines only
half of the digits of the estimate. The root of f′ has δ = ε_{f′}/|f″| again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.autodiff import finite
from raphson.autodiff.derivatives import Point, name_of
from raphson.errors import ModelError
from raphson.numeric import EPSILON
from raphson.sheets.sheet import Grid, Sheet

_POINTS = 8
"""Number of points tried within each step."""


@dataclass(frozen=True)
class Resolution:
    """How accurately the values of a function determine one coordinate.

    Attributes
    ----------
    coordinate : str
    by : str
        ``"f"`` or ``"f'"``: the function whose values are used.
    kind : str
        ``"optimum"``, ``"root"`` or ``"slope"`` (neither).
    predicted, measured : float
        The smallest visible change of the coordinate, in theory and by experiment.
    digits : float
        −log₁₀ of the measured change relative to the coordinate (absolute if that is 0).
    """

    coordinate: str
    by: str
    kind: str
    predicted: float
    measured: float
    digits: float


@dataclass(frozen=True)
class Precision:
    """Result of :func:`precision`; it prints as a table.

    Attributes
    ----------
    name : str
    value : float
        f at the point.
    noise : float
        Noise of f's values.
    rows : tuple of Resolution
        For each coordinate one by f, and one by its derivative.
    """

    name: str
    value: float
    noise: float
    rows: tuple[Resolution, ...]

    def _cells(self) -> list[list[str]]:
        return [
            [r.coordinate, r.by, r.kind, f"{r.predicted:.2g}", f"{r.measured:.2g}", f"{r.digits:.1f}"]
            for r in self.rows
        ]

    def _title(self) -> str:
        return (
            f"{self.name} = {self.value:.6g}, with noise {self.noise:.2g}. The smallest visible change of each "
            "coordinate:"
        )

    def __str__(self) -> str:
        table = [_HEAD, *self._cells()]
        widths = [max(len(row[k]) for row in table) for k in range(len(_HEAD))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
        return "\n".join([self._title(), "", lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return Sheet(self._title(), (), [Grid(tuple(_HEAD), tuple(map(tuple, self._cells())), words=(1, 2))]).html


_HEAD = ["coordinate", "by", "near", "predicted", "measured", "digits"]


def precision(f: Callable[..., Any], at: Any) -> Precision:
    """How accurately the values of f, and of its derivative, determine the argument.

    Parameters
    ----------
    f : callable
        f(x) -> one number. It need not be written with ``jax.numpy``.
    at : number, array, dict of arrays, or tuple of several arguments
        A point: near a root f resolves x to about ε, near an optimum only to √ε, and its derivative to ε again.

    Returns
    -------
    Precision
        For each coordinate the smallest visible change: as predicted from f's noise and derivatives, and as measured
        (every larger change, up to the size of x, changes f by more than its noise).

    Raises
    ------
    ModelError
        If f does not return one number, or is not finite at the point.

    References
    ----------
    Press et al. (2007), Numerical Recipes, 3rd ed., section 10.1; Gill, Murray and Wright (1981), Practical
    Optimization, section 8.2.2.

    Examples
    --------
    >>> import math
    >>> by_value, by_slope = precision(lambda x: (x - 2.0) ** 2 + 1.0, 2.0).rows
    >>> by_value.kind, 1e-9 < by_value.measured < 1e-7, by_slope.measured < 1e-14
    ('optimum', True, True)
    >>> precision(lambda x: x**2 - 2.0, math.sqrt(2.0)).rows[0].kind
    'root'
    """
    point = Point(f, at if isinstance(at, tuple) else (at,), name_of(f))
    point.scalar()
    of_vector = point.flat_function()
    x = point.vector
    first, second = point.finite(1), point.finite(2)
    here = float(of_vector(x))
    noise = float(finite.noise_level(of_vector, x))
    # At a root x the step is relative to x itself, as the values there vanish.
    size = np.where(x != 0, np.abs(x), 1.0)
    rows = []
    for j, name in enumerate(_variables(point)):
        slope, second_order = float(first.value[j]), float(second.value[j, j])
        slope = 0.0 if abs(slope) <= 10.0 * float(first.error[j]) else slope
        second_order = 0.0 if abs(second_order) <= 10.0 * float(second.error[j, j]) else second_order
        # The coordinate itself is rounded too.
        least = EPSILON * size[j] / 2.0
        predicted = max(_smallest(abs(slope), abs(second_order), noise), least)
        kind = (
            "optimum"
            if second_order != 0.0 and slope**2 < 2.0 * noise * abs(second_order)
            else ("root" if _near_root(here, slope, size[j]) else "slope")
        )

        def by_value(delta: float, j: int = j) -> float:
            return float(of_vector(finite.moved(x, j, delta))) - here

        measured = _measure(by_value, noise, size[j])
        rows.append(_row(name, "f", kind, predicted, measured, size[j]))
        if second_order == 0.0:
            continue
        # The derivative's noise is about one more rounding of its terms.
        rough = EPSILON / 2.0 * (abs(slope) + abs(second_order) * size[j])
        derivative = _derivative(point, j)
        if derivative is not None:
            found = float(derivative(x))

            def by_slope(delta: float, j: int = j, found: float = found, derivative: Any = derivative) -> float:
                return float(derivative(finite.moved(x, j, delta))) - found

            measured = _measure(by_slope, rough, size[j])
            kind = "root" if abs(slope) <= 1e-3 * abs(second_order) * size[j] else "slope"
            rows.append(_row(name, "f'", kind, max(rough / abs(second_order), least), measured, size[j]))
    return Precision(point.name, here, noise, tuple(rows))


def _smallest(slope: float, second_order: float, noise: float) -> float:
    """Solve |f′|δ + ½|f″|δ² = ε_f, without cancellation."""
    if slope == 0.0 and second_order == 0.0:
        return np.inf
    return 2.0 * noise / (slope + np.sqrt(slope**2 + 2.0 * noise * second_order))


def _near_root(value: float, slope: float, size: float) -> bool:
    return abs(value) <= 1e-3 * abs(slope) * size


def _measure(change: Callable[[float], float], noise: float, size: float) -> float:
    """The smallest step above which every larger one is visible."""
    smallest = np.inf
    delta = size * 0.25
    # From large steps down to the first one that is lost in the noise.
    while delta > EPSILON * size / 4.0:
        steps = delta * (1.0 + np.arange(_POINTS) / _POINTS)
        seen = [abs(change(sign * step)) > noise for step in steps for sign in (1.0, -1.0)]
        if np.mean(seen) < 0.9:
            break
        smallest = delta
        delta /= 1.5
    return smallest


def _derivative(point: Point, j: int) -> Callable[[np.ndarray], Any] | None:
    """∂f/∂x_j as a function of the vector; None if JAX cannot differentiate f."""
    from raphson.autodiff.derivatives import gradient
    from raphson.autodiff.expansion import of_vector

    try:
        slope = gradient(of_vector(point))
        slope(point.vector)
    except ModelError:
        return None
    return lambda vector: slope(vector)[j]


def _row(name: str, by: str, kind: str, predicted: float, measured: float, size: float) -> Resolution:
    digits = -np.log10(measured / size) if np.isfinite(measured) else 0.0
    return Resolution(name, by, kind, float(predicted), float(measured), float(digits))


def _variables(point: Point) -> list[str]:
    from raphson.autodiff.expansion import variables

    return variables(point)
