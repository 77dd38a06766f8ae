from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.autodiff.trace import trace
from raphson.model.curve.waves import FREQUENCIES, spectrum, waves

CURVES = {
    "angular": (lambda w, ph, x: jnp.sin(w * x + ph), [(0, 1.0, 1)], [(1, 1.0)]),
    "frequency": (lambda f, ph, x: jnp.cos(2 * jnp.pi * f * x - ph) ** 2, [(0, 2 * np.pi, 1)], [(1, -1.0)]),
    "period": (lambda T, x0, x: jnp.sin(2 * jnp.pi * (x - x0) / T), [(0, 2 * np.pi, -1)], []),
    "damped": (lambda k, w, x: jnp.exp(-k * x) * jnp.sin(w * x), [(1, 1.0, 1)], []),
    "two": (lambda u, v, x: jnp.sin(u * x) + jnp.cos(3 * v * x), [(0, 1.0, 1), (1, 3.0, 1)], []),
    "none": (lambda a, b, x: a * jnp.exp(-b * x) + jnp.sin(x), [], []),
    "squared": (lambda a, b, x: jnp.sin(a * x**2 + b * jnp.log(x)), [], []),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_parameters_that_set_a_frequency(name) -> None:
    curve, expected, added = CURVES[name]
    found, phases = waves(trace(curve, 1.0, 1.0, 1.0).jaxpr, [0, 1, None])
    assert [(one.parameter, pytest.approx(one.factor), one.power) for one in found] == expected
    assert [(one.parameter, pytest.approx(one.factor)) for one in phases] == added
    for one in found:
        np.testing.assert_allclose(one.frequency(one.value(np.array([0.1, 7.0]))), [0.1, 7.0])


@pytest.mark.parametrize("frequency", [0.5, 4.0, 9.1])
def test_peaks_are_where_the_frequencies_are(frequency) -> None:
    x = np.linspace(0, 100, 300)
    y = 5 + 0.3 * x + np.sin(frequency * x + 1) + 0.5 * np.random.default_rng(0).normal(size=300)
    seen = spectrum(x, y)
    assert abs(seen.peaks[0] - frequency) < seen.width
    np.testing.assert_allclose(seen.limit, np.pi / (x[1] - x[0]))
    drawn = seen.draw(4000, np.random.default_rng(0))
    assert (drawn > 0).all() and drawn.max() <= seen.limit + seen.width
    assert np.mean(np.abs(drawn - frequency) < seen.width) > 0.15


def test_uneven_sampling_tells_higher_frequencies() -> None:
    x = np.sort(np.random.default_rng(1).uniform(0, 50, 120))
    seen = spectrum(x, np.sin(20.0 * x))  # the mean gap would allow 7.5
    assert seen.limit > 20 and abs(seen.peaks[0] - 20.0) < seen.width


def test_many_rows_are_drawn_from() -> None:
    x = np.linspace(0, 1000, 5000)
    seen = spectrum(x, np.sin(14.0 * x))
    assert abs(seen.peaks[0] - 14.0) < max(seen.width, seen.limit / FREQUENCIES)


@pytest.mark.parametrize("x", [np.ones(9), np.repeat([0.0, 1.0, 2.0], 3)])
def test_without_a_range_there_is_no_spectrum(x) -> None:
    assert spectrum(x, np.arange(9.0)) is None
