"""Pictures of what varies: marks, ends of the axes, findings."""

from types import SimpleNamespace

import numpy as np
import pytest

from raphson.report.drawing import draw, svg
from raphson.report.varying_pictures import apart, effects_finding, effects_picture, left_out, smooth_picture, swing


def curve(residuals=None, d=1):
    x = np.linspace(0, 1, 30)
    points = x[:, None] if d == 1 else np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    fit = np.sin(6 * points[:, 0]) + (points[:, 1] if d == 2 else 0.0)
    data = np.random.default_rng(0).uniform(0, 0.5 if d == 2 else 1, (200, d))
    return SimpleNamespace(
        term="s(x)", variables=("x", "z")[:d], points=points, fit=fit, se=np.full(len(fit), 0.1), reach=1.96,
        reach_all=2.8, data=data, residuals=np.zeros(0) if residuals is None else residuals, edf=4.0, p_value=0.001,
    )  # fmt: skip


def test_a_curve_has_both_bands_and_its_residuals():
    residuals = np.append(np.random.default_rng(1).normal(size=199), 1000.0)
    one = curve(residuals)
    picture = smooth_picture(one)
    kinds = [(mark.kind, mark.role) for mark in picture.marks]
    assert kinds == [("band", "outer"), ("band", "shade"), ("dots", "data"), ("level", "soft"), ("line", "data")]
    outer, inner = picture.marks[:2]
    assert (outer.upper - outer.y)[0] == pytest.approx(0.56) and (inner.upper - inner.y)[0] == pytest.approx(0.392)
    assert picture.y_range[1] < 10 and left_out(one) >= 1  # one row far off does not flatten the curve
    low, high, size = swing(one)
    assert one.fit[high] - one.fit[low] == size == pytest.approx(np.ptp(one.fit))


def test_a_surface_is_drawn_where_there_are_rows():
    picture = smooth_picture(curve(d=2))
    surface = picture.marks[0]
    far = (surface.x > 0.8) & (surface.y > 0.8)
    assert surface.kind == "surface" and np.isnan(surface.upper[far]).all()
    assert np.isfinite(surface.upper[surface.x + surface.y < 0.5]).all()
    text = svg(picture, "a surface")
    assert "var(--data)" in text and "var(--negative)" in text and "#1f5f8b" not in text
    flat = SimpleNamespace(**vars(curve(d=2)) | {"fit": np.zeros(900)})
    assert draw(smooth_picture(flat)) is not None


def test_effects_in_order_lie_over_those_of_normal_ones():
    mode, sd = np.array([2.0, -1.0, 0.0, 0.5]), np.full(4, 0.4)
    picture = effects_picture("herd", ["h1", "h2", "h3", "h4"], mode, sd, sd, 1.2, "herd: Intercept", 0.95)
    assert [text for _, text in picture.ticks] == ["2", "3", "4", "1"]
    dots = next(mark for mark in picture.marks if mark.kind == "dots")
    assert (np.diff(dots.y) > 0).all()
    assert apart(mode, sd, 0.95) == 2
    assert effects_finding("herd: Intercept", mode, sd, 1.2, 0.95) == "herd: Intercept: 2 of 4 apart from 0"
    assert effects_finding("herd: Intercept", 0 * mode, 0 * sd, 0.0, 0.95) == "herd: Intercept does not vary"


def test_many_levels_have_dots_only():
    mode = np.random.default_rng(0).normal(size=5_000)
    picture = effects_picture("g", [str(k) for k in range(5_000)], mode, 0 * mode + 0.1, 0 * mode, 1.0, "g", 0.95)
    assert not picture.ticks and all(mark.kind != "whiskers" for mark in picture.marks)
    assert sum(len(mark.x) for mark in picture.marks if mark.kind == "dots") <= 400


def test_effects_at_the_edge_have_no_shade():
    zeros = np.zeros(5)
    picture = effects_picture("g", list("abcde"), zeros, zeros, zeros, 0.0, "g", 0.95)
    assert all(mark.kind != "band" for mark in picture.marks) and draw(picture) is not None
