"""Streamed data without their right side: a reading of the response and the weights alone, which is a short one."""

from __future__ import annotations

from dataclasses import replace

from raphson.data.design import make_plan
from raphson.data.pieces import together
from raphson.data.streams import StreamedData


def of_response(streamed: StreamedData) -> StreamedData:
    """The same rows with the response, the weights and the trials only, and a constant for a design.

    Where rows were dropped for their covariates, and where the data have so many columns that pieces are read by
    themselves, these are the data themselves.
    """
    formula = replace(streamed.asked.formula, factors=(), terms=((),), offsets=(), dot=())
    without = {"offset": None, "groups": None}
    asked = replace(
        streamed.asked,
        formulas={"": formula},
        arguments=streamed.asked.arguments | without,
        expressions=streamed.asked.expressions | without,
    )
    size = streamed.source.piece_rows
    alike = together(size, len(asked.columns)) == together(size, len(streamed.asked.columns))
    if streamed.head.n_dropped or not alike:
        return streamed
    same = streamed.same
    at = [1 + same.columns.index(name) for name in asked.columns]
    found = {place: [sums[0], *(sums[k] for k in at)] for place, sums in same.found.items()}
    plan = make_plan(formula, [])
    return replace(
        streamed,
        asked=asked,
        factors=((),),
        same=replace(same, columns=asked.columns, found=found),
        plan=plan,
        head=replace(streamed.head, names=plan.names, terms=plan.terms, has_intercept=True, offset=None, groups=None),
    )
