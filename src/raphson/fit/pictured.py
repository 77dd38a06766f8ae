"""The methods of a Fit that plot."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raphson.fit.members import naming_arguments
from raphson.lazy import Lazy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from raphson.fit import plotting
else:
    plotting = Lazy("raphson.fit.plotting")


@naming_arguments
class Pictured:
    """What of a Fit can be plotted. Its pictures are of tables in pandas, whatever the data came in."""

    def _in_pandas(self) -> Any:
        raise NotImplementedError

    def plot(self, ax: Axes | None = None, level: float = 0.95) -> Axes:
        """Plot what the fit found: the curve over its data, the effects with their intervals, or a network's losses.

        Each method that plots takes ``ax=``, Matplotlib axes to draw on; by default they are those of a new figure,
        which pyplot does not manage. It returns the axes; ``axes.figure.savefig(path)`` writes them.
        """
        return plotting.plot(self._in_pandas(), ax, level)

    def plot_residuals(self, ax: Axes | None = None) -> Axes:
        """Plot quantile residuals over the fitted values, with their local mean and where it lies in simulated data.

        Deviance residuals, without a shade, of a family that cannot be simulated.
        """
        return plotting.plot_residuals(self._in_pandas(), ax)

    def plot_effects(self, name: str | None = None, ax: Axes | None = None, level: float = 0.95) -> Axes:
        """Plot the mean response over a covariate, averaged over the rows; by default over the first of the formula."""
        return plotting.plot_effects(self._in_pandas(), name, ax, level)

    def plot_calibration(self, ax: Axes | None = None) -> Axes:
        """Plot observed shares of ten groups of rows over fitted probabilities; for shares and binary responses."""
        return plotting.plot_calibration(self._in_pandas(), ax)

    def plot_path(self, ax: Axes | None = None) -> Axes:
        """Plot the iteration: the distance to the maximum in standard errors, at each step, on a logarithmic axis."""
        return plotting.plot_path(self._in_pandas(), ax)

    def plot_profile(self, name: str, ax: Axes | None = None, level: float = 0.95) -> Axes:
        """Plot the profile likelihood of a coefficient as a signed root, beside what Wald's interval assumes."""
        return plotting.plot_profile(self._in_pandas(), name, ax, level)

    def plot_smooths(self, term: str | None = None, ax: Any = None, level: float = 0.95) -> Any:
        """Plot smooth functions with partial residuals and two bands: of single values, and of the whole function.

        Parameters
        ----------
        term : of one of them, such as "s(x)"; by default all.
        ax : axes to draw on, or several; by default those of a new figure, with a panel for each function.
        level : coverage of the bands.

        Returns
        -------
        Axes, or a list of them where there are several pictures.
        """
        return plotting.plot_smooths(self._in_pandas(), term, ax, level)

    def plot_random_effects(self, group: str | None = None, ax: Any = None, level: float = 0.95) -> Any:
        """Plot the effects of the levels of groups in order, over where normal effects of the estimated size would lie.

        Parameters
        ----------
        group : one of them; by default all.
        ax : axes to draw on, or several; by default those of a new figure, with a panel for each effect of a group.
        level : coverage of the intervals.

        Returns
        -------
        Axes, or a list of them where there are several pictures.
        """
        return plotting.plot_random_effects(self._in_pandas(), group, ax, level)
