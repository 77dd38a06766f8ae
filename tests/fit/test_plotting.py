from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import raphson as rp


@pytest.fixture(scope="module")
def fit():
    return rp.glm("low ~ lwt + race", rp.datasets.load("births"), family="binomial")


def test_each_plot_takes_axes_and_returns_them(fit) -> None:
    from raphson.report.style import figure

    loaded = "matplotlib.pyplot" in sys.modules
    for draw in (fit.plot, fit.plot_residuals, fit.plot_calibration, fit.plot_path):
        axes = figure()[1][0, 0]
        assert draw(ax=axes) is axes and axes.has_data()
    axes = figure()[1][0, 0]
    assert fit.plot_effects("race", ax=axes) is axes and fit.plot_profile("lwt", ax=axes) is axes
    assert fit.plot().figure._repr_png_().startswith(b"\x89PNG")
    assert ("matplotlib.pyplot" in sys.modules) == loaded  # no window, no global state


def test_effects_are_on_the_scale_of_the_response(fit) -> None:
    axes = fit.plot()
    assert axes.get_xscale() == "log" and "odds ratio" in axes.get_xlabel()
    (curve,) = fit.plot_effects().lines
    assert (curve.get_ydata() > 0).all() and (curve.get_ydata() < 100).all()
    with pytest.raises(rp.ModelError, match="expected one of lwt, race"):
        fit.plot_effects("age")


def test_a_curve_has_both_bands_and_its_data() -> None:
    data = {"t": [0.0, 1, 2, 3, 4, 5], "y": [2.0, 1.3, 0.75, 0.5, 0.33, 0.2]}
    curve = rp.nls("y ~ a*exp(-b*t)", data, start={"b": 0.5})
    axes = curve.plot()
    outer, inner = (band.get_paths()[0].get_extents() for band in axes.collections)
    assert outer.height > inner.height > 0
    line, points = axes.lines
    assert line.get_ydata()[0] == pytest.approx(curve.params["a"])
    assert points.get_ydata().tolist() == pytest.approx(data["y"])
    robust = rp.nls("y ~ a*exp(-b*t)", data, start={"b": 0.5}, loss="huber")
    assert len(robust.plot().collections) == 1  # no distribution of new responses


def test_what_a_fit_has_not_is_refused_in_words() -> None:
    births = rp.datasets.load("births")
    with pytest.raises(rp.ModelError, match="plot_calibration"):
        rp.glm("lwt ~ age", births).plot_calibration()
    several = rp.glm("race ~ age", births, family="multinomial")
    with pytest.raises(rp.ModelError, match="levels"):
        several.plot_residuals()
    assert several.plot().has_data()  # its coefficients
    quasi = rp.glm("age ~ lwt", births, family="quasipoisson")
    assert quasi.plot_residuals().get_title(loc="left") == "deviance residual"


def test_a_network_has_its_losses() -> None:
    x = np.linspace(-1, 1, 60)
    net = rp.network("y ~ x", pd.DataFrame({"x": x, "y": x**2}), hidden=(4,), epochs=5, validation=0.25)
    assert net.plot().has_data() and net.plot_path().has_data()
