from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

from raphson.report import plots
from raphson.report.style import figure


def test_a_profile_and_its_wald_line_shade_the_interval() -> None:
    trace = pd.DataFrame({"value": [-1.0, 0.0, 2.0], "zeta": [-2.5, 0.0, 2.2]})
    profile = SimpleNamespace(name="$x", trace=trace, estimate=0.0, se=0.5, interval=lambda level: (-0.8, 1.8))
    axes = figure()[1][0, 0]
    assert plots.plot_profile(profile, ax=axes) is axes
    wald, zeta = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert wald.get_ydata().tolist() == [-2.0, 0.0, 4.0] and zeta.get_ydata().tolist() == [-2.5, 0.0, 2.2]
    assert "−0.8000 to 1.800" in axes.get_title(loc="left")
    open_ended = SimpleNamespace(**{**vars(profile), "interval": lambda level: (float("-inf"), 1.8)})
    assert not plots.plot_profile(open_ended).collections
