"""What type checkers know of a fit of a response of several levels."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from raphson.choices import Effects, Interval, MissingInNew, NewLevels, Scale
    from raphson.fit.fit import Fit
    from raphson.fit.members import Shown

    class FitOfLevels(Fit):
        """To type checkers, a Fit of a response of several levels: a prediction is a table with a column for each."""

        def predict(  # pyright: ignore[reportIncompatibleMethodOverride]
            self,
            new: Any = None,
            se: bool = False,
            interval: Interval | None = None,
            level: float = 0.95,
            kind: Scale | None = None,
            offset: Any = None,
            missing: MissingInNew = "nan",
            function: Callable[..., Any] | None = None,
            to: str | PathLike[str] | None = None,
            *,
            effects: Effects = "all",
            new_levels: NewLevels = "raise",
        ) -> pd.DataFrame: ...

        fittedvalues: Shown[pd.DataFrame]
