"""What happened on the way: one line for every iteration."""

# pyright: strict, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class PathRow:
    """One iteration.

    Attributes
    ----------
    iteration : 0 at the start.
    llf : what is maximised there, at unit dispersion and up to terms without the parameters; in the path of a Fit the
        log-likelihood itself, as the Fit's ``llf`` is: without a penalty, at the dispersion that suits these parameters
        best. Of a quasi family or a robust loss, which have none, it stays what is maximised.
    score_norm : length of its gradient.
    decrement : √(∇ℓᵀM⁻¹∇ℓ/φ̂) with the matrix M of the method.
    distance : the same with the observed information: distance to the maximum in standard errors.
    step : step size α that led here (NaN at the start).
    damping : τ of M + τD.
    condition : condition number of the scaled M (NaN where none was formed).
    rows : rows of data read for this iteration.
    solver : "cholesky", "qr", "cg" or "none"; "(kept)" when M is that of an earlier iteration; "observed" where the
        observed information has taken over from the method's own M.
    penalty : what is maximised beside the log-likelihood, at unit dispersion: −½ θᵀPθ of a penalty, ½ log det I(θ) of
        bias reduction, in which the columns have length 1, else 0.
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
        """This path and one that went on from its end, numbered through."""
        steps = self.steps + other.steps[1:]
        return Path([replace(step, iteration=i) for i, step in enumerate(steps)])

    def scaled(self, factor: float) -> Path:
        """The steps of a climb over a part of the rows, the log-likelihood multiplied to stand for all."""
        steps = [replace(step, llf=(step.llf - step.penalty) * factor + step.penalty) for step in self.steps]
        return Path(steps)

    def told(self, llf: Sequence[float] | Any) -> Path:
        """The same steps with these log-likelihoods."""
        return Path([replace(step, llf=float(value)) for step, value in zip(self.steps, llf, strict=True)])

    def append(self, step: PathRow) -> None:
        self.steps.append(step)

    def __len__(self) -> int:
        return len(self.steps)

    def columns(self) -> dict[str, list[Any]]:
        """The table, a list for each column."""
        rows = [asdict(step) for step in self.steps]
        return {f.name: [row[f.name] for row in rows] for f in fields(PathRow)}

    @staticmethod
    def from_columns(columns: dict[str, list[Any]]) -> Path:
        """The reverse of :meth:`columns`."""
        names = [f.name for f in fields(PathRow) if f.name in columns or f.default is MISSING]
        rows = zip(*(columns[name] for name in names), strict=True)
        return Path([PathRow(**dict(zip(names, values, strict=True))) for values in rows])
