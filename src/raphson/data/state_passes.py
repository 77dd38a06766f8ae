"""Passes over streamed rows that find the states of transforms which the first pass cannot find by itself.

A transform of another one has to know the other's state, and knots at quantiles are found in one to three passes. They
read only the columns that these transforms are of.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from raphson.data.evaluate import States, states_before
from raphson.data.first_pass import Seen, pass_over
from raphson.data.frames import FormulaArguments
from raphson.data.pieces import Rows, count, variables_of
from raphson.data.same_rows import Place, SameRows
from raphson.data.seen_splines import stage_of
from raphson.data.seen_states import Stage, argument, calls
from raphson.data.sources import Source
from raphson.execute.watched import Keeping


@dataclass(frozen=True)
class Beforehand:
    """What passes before the first one found.

    Attributes
    ----------
    states : of the transforms that need such passes.
    stages : of the others, by the first pass.
    readings : what each pass found of the rows, by which the first pass is judged.
    """

    states: States
    stages: dict[str, Stage]
    readings: tuple[SameRows, ...] = ()

    def check(self, same: SameRows, source: Source) -> None:
        """Raise a DataError if the first pass reads other rows."""
        for one in self.readings:
            same.compare(one, source)


@dataclass(kw_only=True)
class _Seen(Seen):
    """What a pass has found so far.

    Attributes
    ----------
    among : the columns of all passes, by which it is known how many rows are read at a time.
    seen : of each transform, by its text.
    """

    among: tuple[str, ...]
    seen: dict[str, Any]

    @property
    def together(self) -> Sequence[str]:
        return self.among

    def join(self, other: Self) -> None:
        super().join(other)
        for text, one in self.seen.items():
            one.join(other.seen[text])


def states_beforehand(asked: FormulaArguments, source: Source, keep: Keeping) -> Beforehand:
    """Find what the first pass has to know beforehand.

    Raises
    ------
    FormulaError, DataError
        If a transform cannot be evaluated.
    """
    before = states_before(list(asked.formulas.values()))
    nodes = calls(asked.evaluated)
    stages = {text: stage_of(node, before.get(text), source.parts) for text, node in nodes.items()}
    within = {text: set(calls_within(node)) for text, node in nodes.items()}
    states: States = {}
    readings: list[SameRows] = []
    while True:
        ready = {text: one for text, one in stages.items() if within[text] <= states.keys()}
        if len(ready) == len(stages) and all(one.last for one in stages.values()):
            return Beforehand(states, stages, tuple(readings))
        # The first pass finds the others, which no other transform waits for.
        awaited = set[str]().union(*(within[text] for text in stages))
        wanted = {text: one for text, one in ready.items() if not one.last or text in awaited}
        seen = _pass(asked, source, keep, wanted, states, len(readings))
        readings.append(seen.same)
        for text, one in wanted.items():
            found = one.after(seen.seen[text])
            if isinstance(found, Stage):
                stages[text] = found
            else:
                states[text] = found
                del stages[text]


def calls_within(node: ast.Call) -> list[str]:
    """The texts of the transforms within a call of another one."""
    from raphson.data.expressions import Expression

    return [text for one in node.args for text in calls([Expression(one, "", ())])]


def _pass(
    asked: FormulaArguments, source: Source, keep: Keeping, wanted: dict[str, Stage], states: States, number: int
) -> _Seen:
    """One pass over the columns of these transforms."""
    read = {one.id for stage in wanted.values() for one in ast.walk(stage.node) if isinstance(one, ast.Name)}
    columns = [name for name in asked.columns if name in read]

    def begin() -> _Seen:
        return _Seen.of(
            source, columns, 1, among=tuple(asked.columns), seen={text: one.begin() for text, one in wanted.items()}
        )

    def take(seen: _Seen, place: Place, rows: Rows) -> None:
        table = variables_of(rows)
        seen.same.note(place, table, source)
        for text, one in wanted.items():
            seen.seen[text].take(argument(one.node, table, states))
        seen.read += count(rows)

    return pass_over(source, keep, ("pass for states", number), begin, take)
