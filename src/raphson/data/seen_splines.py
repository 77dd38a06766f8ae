"""The states of splines over streamed rows: knots at quantiles, and the means by which columns are centred."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raphson.data.evaluate import columns_of
from raphson.data.functions import SPLINES, stateful_transform
from raphson.data.quantiles import Found, Quantiles
from raphson.data.seen_states import Stage, no_value, state_by
from raphson.errors import DataError
from raphson.execute import tree_sum

PROBED = 10_000
"""Different numbers of which a transform says how many knots it has: more than it may have columns."""


def stage_of(node: ast.Call, before: dict[str, Any] | None, parts: int) -> Stage:
    """The first pass on the way to the state of a transform.

    Parameters
    ----------
    node : the call.
    before : its state before it sees the data, as :func:`raphson.data.evaluate.states_before` says; None for none.
    parts : of the source.
    """
    stage = Stage(node)
    if stage.name in SPLINES or (stage.name == "bs" and stage.options.get("df") is not None):
        return KnotStage(node, before or {}, parts)
    return stage


class KnotStage(Stage):
    """A pass on the way to the knots of a spline.

    Quantiles of ``cr``, ``cs`` and ``cc`` are those of the different values, as in patsy and mgcv.
    """

    last = False

    def __init__(self, node: ast.Call, before: dict[str, Any], parts: int, search: Quantiles | None = None) -> None:
        super().__init__(node)
        self.before, self.parts = before, parts
        self.search = self._search() if search is None else search

    def _search(self) -> Quantiles:
        """The search for the inner knots, and for the ends of all numbers."""
        n, cubic = self._inner(), self.name in SPLINES
        shares = np.linspace(0, 100, n + 2)[1:-1] / 100 if cubic else np.linspace(0, 1, n + 2)[1:-1]
        inside = cubic or self.options.get("extrapolation", "raise") not in ("raise", "extend")
        low, high = (self.options.get(f"{end}_bound") if inside else None for end in ("lower", "upper"))
        return Quantiles(
            shares, -math.inf if low is None else low, math.inf if high is None else high, cubic, self.parts
        )

    def _inner(self) -> int:
        """How many inner knots are asked for at quantiles: what the transform takes of any other numbers."""
        if self.options.get("df") is None:
            return 0
        options = {name: one for name, one in self.options.items() if name not in ("lower_bound", "upper_bound")}
        state = state_by(self.name, self.text, np.arange(float(PROBED)), dict(self.before), options)
        outer = 0 if self.name in SPLINES else self.options.get("degree", 3)
        return len(state["knots"]) - 2 - 2 * int(outer)

    def begin(self) -> Any:
        return self.search.begin()

    def after(self, seen: Any) -> Stage | dict[str, Any]:
        found = self.search.after(seen)
        if isinstance(found, Quantiles):
            return KnotStage(self.node, self.before, self.parts, found)
        if found.least > found.largest:
            raise no_value(self.text)
        state = self._state(found)
        centred = "center" in (self.before.get("constraints"), self.options.get("constraints"))
        return MeanStage(self.node, state) if self.name in SPLINES and centred else state

    def _state(self, found: Found) -> dict[str, Any]:
        """The state, in which the means of centred columns are those of the ends alone."""
        options = {name: one for name, one in self.options.items() if name != "df"}
        if len(self.search.shares) and not found.n:
            raise DataError(
                f"formula: {self.text!r} cannot be evaluated: no value lies between lower_bound and upper_bound; "
                "correct them"
            )
        if "df" in self.options:
            options["knots"] = found.values
        ends = np.array([found.least, found.largest])
        return state_by(self.name, self.text, ends, dict(self.before), options)


class MeanStage(Stage):
    """The pass that finds the means of a spline's columns, which are centred by them.

    Parameters
    ----------
    node : the call.
    state : with everything else.
    """

    def __init__(self, node: ast.Call, state: dict[str, Any]) -> None:
        super().__init__(node)
        self.state = state

    def begin(self) -> SeenMeans:
        # Beyond the bounds the means are those of the columns before they are set to 0.
        beyond = self.options.get("extrapolation", "extend")
        return SeenMeans(self.name, self.state | {"constraints": None}, "extend" if beyond == "zero" else beyond)

    def after(self, seen: SeenMeans) -> dict[str, Any]:
        means = tree_sum(seen.sums) / seen.n
        return self.state | {"constraints": means[None, :]}

    def placeholder(self) -> dict[str, Any]:
        return self.state


@dataclass
class SeenMeans:
    """Sums of the columns of a spline over the pieces so far.

    Attributes
    ----------
    name, state, extrapolation : of the transform, without centring.
    sums : (k,) of each piece.
    n : number of rows.
    """

    name: str
    state: dict[str, Any]
    extrapolation: str
    sums: list[np.ndarray] = field(default_factory=list[np.ndarray])
    n: int = 0

    def take(self, values: np.ndarray) -> None:
        """Add the finite ones of some numbers."""
        values = values[np.isfinite(values)]
        if len(values):
            made = stateful_transform(self.name)(values, _state=dict(self.state), extrapolation=self.extrapolation)
            self.sums.append(columns_of(made).values.sum(axis=0))
            self.n += len(values)

    def join(self, other: SeenMeans) -> None:
        """Add what was found in the rows that follow."""
        self.sums += other.sums
        self.n += other.n
