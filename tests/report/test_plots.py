from __future__ import annotations

import sys

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.report import plots


def test_path_is_drawn_on_a_log_axis(make_fit) -> None:
    above, below = plots.plot_path(make_fit()).axes
    assert above.get_yscale() == "log"
    decrement, distance = above.lines
    assert decrement.get_ydata().tolist() == [3.0, 0.21, 1.1e-4, 2.2e-16]
    assert distance.get_xdata().tolist() == [2.0, 3.0]  # unknown before
    assert below.lines[0].get_ydata()[-1] == -109.43123


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_path_without_any_positive_distance(make_fit, value: float, tmp_path) -> None:
    fit = make_fit()
    fit.path[["distance", "decrement"]] = value
    plots.plot_path(fit).savefig(tmp_path / "path.png")


def test_path_of_one_step(make_fit, tmp_path) -> None:
    fit = make_fit()
    fit.path = fit.path.iloc[:1]
    plots.plot_path(fit).savefig(tmp_path / "path.png")


def test_no_window_is_opened_and_pyplot_is_left_alone(make_fit) -> None:
    loaded = "matplotlib.pyplot" in sys.modules
    plots.plot_path(make_fit())
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_notebook_gets_a_picture(make_fit) -> None:
    assert plots.plot_path(make_fit())._repr_png_().startswith(b"\x89PNG")


def test_coefficients_leave_out_what_has_no_interval(make_fit) -> None:
    fit = make_fit()
    fit.params.iloc[1] = np.nan
    (axes,) = plots.plot_coefficients(fit).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["race[T.other]"]


def test_an_intercept_alone_draws_no_coefficients(make_fit, tmp_path) -> None:
    fit = make_fit()
    fit.params = fit.params.iloc[:1]
    fit.bse, fit.tvalues, fit.pvalues, fit.digits = (
        getattr(fit, name).iloc[:1] for name in ("bse", "tvalues", "pvalues", "digits")
    )
    plots.plot_coefficients(fit).savefig(tmp_path / "none.png")


def test_without_quantile_residuals_the_deviance_ones_are_drawn(make_fit) -> None:
    def residuals(kind: str) -> np.ndarray:
        if kind == "quantile":
            raise ModelError("a quasi family has no distribution")
        return np.linspace(-1, 1, 189)

    left, right = plots.plot_residuals(make_fit(residuals=residuals)).axes
    assert left.get_ylabel() == right.get_ylabel() == "deviance residual"


def test_several_fitted_values_a_row_are_refused(make_fit) -> None:
    with pytest.raises(ModelError, match="levels"):
        plots.plot_residuals(make_fit(fittedvalues=np.ones((189, 3)) / 3))


def test_a_curve_with_its_bands() -> None:
    import raphson as rp
    from raphson.report.html import html_page

    data = {"t": [0.0, 1, 2, 3, 4, 5], "y": [2.0, 1.3, 0.75, 0.5, 0.33, 0.2]}
    fit = rp.nls("y ~ a*exp(-b*t)", data, start={"b": 0.5})
    axes = plots.plot_curve(fit).axes[0]
    outer, inner = (band.get_paths()[0].get_extents() for band in axes.collections)
    assert outer.height > inner.height > 0
    curve, points = axes.lines
    assert curve.get_ydata()[0] == pytest.approx(fit.params["a"])
    assert points.get_ydata().tolist() == pytest.approx(data["y"])
    page = html_page(fit)
    assert "The curve" in page and "Curvature times" in page and "cannot be drawn" not in page
    robust = rp.nls("y ~ a*exp(-b*t)", data, start={"b": 0.5}, loss="huber")
    assert len(plots.plot_curve(robust).axes[0].collections) == 1
    with pytest.raises(rp.ModelError, match="one column"):
        plots.plot_curve(rp.glm("y ~ t", data))
