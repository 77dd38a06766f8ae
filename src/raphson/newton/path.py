"""The path of an iteration: one row for every step."""

# pyright: strict, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple


class PathRow(NamedTuple):
    """One iteration.

    Attributes
    ----------
    iteration : 0 at the start.
    llf : the objective, at unit dispersion and up to terms without the parameters. In the path of a Fit it is the
        log-likelihood, as in the Fit's ``llf``: without a penalty, at the dispersion that maximises it. A quasi family
        or a robust loss has no log-likelihood, and keeps the objective.
    score_norm : length of the objective's gradient.
    decrement : √(∇ℓᵀM⁻¹∇ℓ/φ̂) with the matrix M of the method.
    distance : the same with the observed information, the distance to the maximum in standard errors.
    step : step size α that led here (NaN at the start).
    damping : τ of M + τD.
    condition : condition number of the scaled M (NaN if none was formed).
    rows : rows of data read for this iteration.
    solver : "cholesky", "qr", "cg" or "none"; with "(kept)" if M is that of an earlier iteration; "observed" if the
        observed information has replaced the method's own M; "part" of a last step that only a part of the rows judges.
    penalty : the further terms of the objective, at unit dispersion: −½ θᵀPθ for a penalty; ½ log det I(θ) for bias
        reduction, with columns scaled to length 1; else 0.
    """

    iteration: int
    llf: float
    score_norm: float
    decrement: float
    distance: float
    step: float
    damping: float
    condition: float
    rows: int
    solver: str
    penalty: float = 0.0


@dataclass
class Path:
    """The iterations, in order.

    Examples
    --------
    >>> path = Path()
    >>> path.append(PathRow(0, -3.0, 1.0, 0.5, 0.5, float("nan"), 0.0, 1.0, 10, "qr"))
    >>> len(path), path.columns()["llf"]
    (1, [-3.0])
    """

    steps: list[PathRow] = field(default_factory=list)

    def then(self, other: Path) -> Path:
        """This path, followed by one that started from its end; iterations are renumbered."""
        steps = self.steps + other.steps[1:]
        return Path([step._replace(iteration=i) for i, step in enumerate(steps)])

    def scaled(self, factor: float) -> Path:
        """The path over a part of the rows, with the log-likelihood scaled up to all rows."""
        steps = [step._replace(llf=(step.llf - step.penalty) * factor + step.penalty) for step in self.steps]
        return Path(steps)

    def with_llf(self, llf: Sequence[float] | Any) -> Path:
        """The same steps with other log-likelihoods."""
        return Path([step._replace(llf=float(value)) for step, value in zip(self.steps, llf, strict=True)])

    @property
    def last_distances(self) -> tuple[float, ...]:
        """The distances of the last two iterations, or of the only one."""
        return tuple([step.distance for step in self.steps[-2:]])

    def append(self, step: PathRow) -> None:
        self.steps.append(step)

    def __len__(self) -> int:
        return len(self.steps)

    def columns(self) -> dict[str, list[Any]]:
        """The table, a list for each column."""
        return {name: [step[place] for step in self.steps] for place, name in enumerate(PathRow._fields)}

    @staticmethod
    def from_columns(columns: dict[str, list[Any]]) -> Path:
        """The inverse of :meth:`columns`."""
        names = [name for name in PathRow._fields if name in columns or name not in PathRow._field_defaults]
        rows = zip(*(columns[name] for name in names), strict=True)
        return Path([PathRow(**dict(zip(names, values, strict=True))) for values in rows])


class LatePath(Path):
    """A path of known distances whose rows are made when they are first looked at.

    Examples
    --------
    >>> path = LatePath([0.5], lambda: [PathRow(0, -3.0, 1.0, 0.5, 0.5, float("nan"), 0.0, 1.0, 10, "qr")])
    >>> len(path), path.columns()["llf"]
    (1, [-3.0])
    """

    def __init__(self, distances: list[float], rows: Callable[[], list[PathRow]]) -> None:  # not Path's: `steps` late
        self._distances, self._rows = distances, rows

    @cached_property
    def steps(self) -> list[PathRow]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._rows()

    def __len__(self) -> int:
        return len(self.steps) if "steps" in vars(self) else len(self._distances)

    @property
    def last_distances(self) -> tuple[float, ...]:
        return super().last_distances if "steps" in vars(self) else tuple(self._distances[-2:])

    def __reduce__(self) -> tuple[type[Path], tuple[list[PathRow]]]:
        return Path, (self.steps,)
