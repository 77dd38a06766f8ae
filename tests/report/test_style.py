from __future__ import annotations

import pytest

from raphson.report.style import DARK, LIGHT, axes_or_new, cut, themed


def _luminance(colour: str) -> float:
    parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("palette", [LIGHT, DARK])
@pytest.mark.parametrize(("role", "least"), [("ink", 4.5), ("soft", 4.5), ("data", 4.5), ("doubt", 4.5), ("edge", 3.0)])
def test_contrast_on_paper_and_card(palette: dict[str, str], role: str, least: float) -> None:
    for ground in ("paper",) if role == "edge" else ("paper", "card"):
        high, low = sorted((_luminance(palette[role]), _luminance(palette[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= least


def test_every_colour_becomes_a_variable() -> None:
    assert len(set(LIGHT.values())) == len(LIGHT) and LIGHT.keys() == DARK.keys()
    assert themed(" ".join(LIGHT.values())) == " ".join(f"var(--{role})" for role in LIGHT)


def test_a_notebook_shows_the_axes_that_a_plot_returns() -> None:
    """The last line of a cell is shown by its own picture; pyplot, which would show the figure, does not manage it."""
    assert axes_or_new(None)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_axes_that_are_given_are_used() -> None:
    axes = axes_or_new(None)
    assert axes_or_new(axes) is axes
    assert cut("a" * 40, 10) == "aaaaaaa..."
