"""Many independent curves fitted at once: the estimates of each as one row of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import DataError
from raphson.inference import intervals
from raphson.model.glm.glm import PERFECT
from raphson.newton.many.problems import Solutions
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit.fit import Fit


class Fits:
    """Fits of one model to many groups of rows, each with its own status.

    ``fits[label]`` fits that group again from its estimate and returns a full :class:`Fit`.

    Parameters
    ----------
    found : the solution of each group.
    labels : (G,) of the groups.
    names : (p,) of the parameters.
    n_rows : (G,) rows of positive weight in each group.
    squares : (G,) Σ w y² of each group.
    movable : (p,) mask of the parameters that were estimated.
    information : "expected" or "observed"; the information that the standard errors use.
    dispersion : φ if the user gave it; None for RSS/(n − p) of each group.
    single : fits a group, given by its number, from a start.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"dose": [1, 2, 4, 8] * 2, "y": [2.0, 2.6, 3.0, 3.2, 4.1, 5.2, 5.9, 6.4], "plant": ["a"] * 4 + ["b"] * 4}
    >>> fits = rp.nls("y ~ top*dose/(half + dose)", data, start={"half": 1.0}, by="plant")
    >>> fits.params.round(3)
         top   half
    a  3.526  0.741
    b  6.943  0.687
    """

    def __init__(
        self,
        found: Solutions,
        labels: Sequence[Any],
        names: tuple[str, ...],
        n_rows: np.ndarray,
        squares: np.ndarray,
        movable: np.ndarray,
        information: str,
        dispersion: float | None,
        single: Callable[[int, np.ndarray], Fit],
    ) -> None:
        self._found, self.names = found, names
        self.labels = list(labels)
        self._n_rows, self._squares, self._movable = n_rows, squares, movable
        self.information_kind, self._dispersion = information, dispersion
        self._single = single

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, label: Any) -> Fit:
        if label not in self._places:
            raise DataError(f"group: expected the label of a group, such as {self.labels[:5]!r}; got {label!r}")
        place = self._places[label]
        return self._single(place, self._found.theta[place])

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {label: place for place, label in enumerate(self.labels)}

    @cached_property
    def params(self) -> pd.DataFrame:
        """Estimates: a row for each group, a column for each parameter."""
        return self._table(self._found.theta)

    @cached_property
    def bse(self) -> pd.DataFrame:
        """Standard errors; NaN where a group did not converge, or a parameter is fixed or at a bound."""
        V = self._found.covariance(self.information_kind)
        if self._dispersion is not None:
            V = V / self._found.dispersion[:, None, None] * self._dispersion
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(np.diagonal(V, axis1=1, axis2=2))
        known = (
            self._found.converged[:, None] & self._movable & ~self._found.held & (self.df_resid.to_numpy() > 0)[:, None]
        )
        return self._table(np.where(known, errors, np.nan))

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Wald intervals with t on each group's residual degrees of freedom; columns (parameter, lower or upper)."""
        import pandas as pd

        df = self.df_resid.to_numpy()
        reach = np.array([intervals.quantile(level, float(d)) if d > 0 else np.nan for d in np.unique(df)])
        half = reach[np.searchsorted(np.unique(df), df)][:, None] * self.bse.to_numpy()
        both = np.stack([self.params.to_numpy() - half, self.params.to_numpy() + half], axis=-1)
        columns = pd.MultiIndex.from_product([self.names, ["lower", "upper"]])
        return pd.DataFrame(both.reshape(len(self), -1), index=self._index, columns=columns)

    @cached_property
    def status(self) -> pd.Series:
        """How each group's iteration ended: "converged", "step limit", …"""
        return self._series([status.value for status in self._found.status])

    @cached_property
    def converged(self) -> pd.Series:
        """Whether each group's estimate is a minimum of its sum of squares."""
        return self._series(self._found.converged)

    @cached_property
    def n_iter(self) -> pd.Series:
        """Number of steps tried for each group."""
        return self._series(self._found.n_iter)

    @cached_property
    def rss(self) -> pd.Series:
        """Weighted sum of squared residuals of each group."""
        return self._series(-2.0 * self._found.value)

    @cached_property
    def nobs(self) -> pd.Series:
        """Number of rows of each group."""
        return self._series(self._n_rows)

    @cached_property
    def df_resid(self) -> pd.Series:
        """Number of rows minus number of estimated parameters."""
        return self._series(self._n_rows - np.count_nonzero(self._movable))

    @cached_property
    def residual_sd(self) -> pd.Series:
        """√(rss/df_resid)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._series(np.sqrt(self.rss.to_numpy() / self.df_resid.where(self.df_resid > 0).to_numpy()))

    @cached_property
    def distance(self) -> pd.Series:
        """Distance of each estimate from the minimum, in standard errors."""
        return self._series(self._found.distance)

    @cached_property
    def message(self) -> pd.Series:
        """How each group's iteration ended and what to do about it."""
        estimated, rss = int(np.count_nonzero(self._movable)), self.rss.to_numpy()
        out = []
        for place, (status, rows) in enumerate(zip(self._found.status, self._n_rows, strict=True)):
            text = status.advice
            if rows < estimated:
                text = f"{rows} rows cannot determine {estimated} parameters; fix some with fixed=, or bring more data"
            elif self._undetermined[place]:
                text += f"; the data do not determine all parameters: see fits[{self.labels[place]!r}].remarks"
            if rows > estimated and not rss[place] > PERFECT * self._squares[place]:
                text += "; the curve passes through the data up to rounding, which is all that standard errors measure"
            out.append(text)
        return self._series(out)

    @cached_property
    def _undetermined(self) -> np.ndarray:
        """(G,) mask of the groups that converged and have an estimated parameter without a standard error."""
        open_ones = self.bse.isna().to_numpy() & self._movable & ~self._found.held
        return open_ones.any(axis=1) & self._found.converged & (self.df_resid.to_numpy() > 0)

    @property
    def open_groups(self) -> str:
        """A warning of the groups whose data do not determine all parameters; empty if there are none."""
        count = int(np.count_nonzero(self._undetermined))
        if not count:
            return ""
        first = self.labels[int(np.flatnonzero(self._undetermined)[0])]
        return (
            f"in {count} of {len(self)} groups the data do not determine all parameters; those have no standard error. "
            f"See .message, and fits[{first!r}].remarks for their names"
        )

    def tidy(self) -> pd.DataFrame:
        """One row for each group and parameter: group, term, estimate, std_error, status."""
        import pandas as pd

        p = len(self.names)
        return pd.DataFrame(
            {
                "group": np.repeat(np.array(self.labels, dtype=object), p),
                "term": list(self.names) * len(self),
                "estimate": self.params.to_numpy().ravel(),
                "std_error": self.bse.to_numpy().ravel(),
                "status": np.repeat(self.status.to_numpy(), p),
            }
        )

    def glance(self) -> pd.DataFrame:
        """One row for each group: status, n_iter, nobs, rss, residual_sd, distance."""
        import pandas as pd

        names = ("status", "n_iter", "nobs", "rss", "residual_sd", "distance")
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self._found.counts().items())
        return f"{len(self)} fits ({counts})\n{self.params.describe().to_string()}"

    @property
    def failures(self) -> str:
        """A warning of the groups that did not converge; empty if all did."""
        lost = int(np.count_nonzero(~self._found.converged))
        if not lost:
            return ""
        worst = {s.value: s.advice for s in Status if not s.converged and s.value in self._found.counts()}
        kinds = "; ".join(f"{name}: {advice}" for name, advice in worst.items())
        return f"{lost} of {len(self)} groups did not converge ({kinds}); see .status"

    @property
    def _index(self) -> pd.Index:
        import pandas as pd

        return pd.Index(self.labels)

    def _table(self, values: np.ndarray) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(values, index=self._index, columns=list(self.names))

    def _series(self, values: Any) -> pd.Series:
        import pandas as pd

        return pd.Series(values, index=self._index)
