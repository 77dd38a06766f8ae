"""What is kept of a variable to code it again in new data, and how it is saved."""

from __future__ import annotations

from typing import Any

from raphson.data.coding import FactorInfo
from raphson.data.evaluate import constant_contrasts
from raphson.data.expressions import Expression
from raphson.data.values import Levels, Variable
from raphson.errors import DataError


def describe(expression: Expression, variable: Variable) -> FactorInfo:
    """What is kept of a variable."""
    if isinstance(variable, Levels):
        return FactorInfo(expression.text, True, variable.labels, True, variable.contrasts)
    return FactorInfo(expression.text, False, variable.labels, variable.spans_intercept)


def saved_info(info: FactorInfo) -> dict[str, Any]:
    """What is kept of a variable, safe for JSON."""
    return {
        "text": info.text,
        "categorical": info.categorical,
        "labels": None if info.labels is None else list(info.labels),
        "spans_intercept": info.spans_intercept,
    }


def read_info(expression: Expression, saved: Any) -> FactorInfo:
    """Read what :func:`saved_info` wrote of an expression; raises a DataError if it did not."""
    expect(saved["text"] == expression.text, f"the factor {expression.text!r}")
    categorical, spans = saved["categorical"], saved["spans_intercept"]
    expect(isinstance(categorical, bool) and isinstance(spans, bool), f"the kind of {expression.text!r}")
    labels = None if saved["labels"] is None else texts(saved["labels"], "labels")
    expect(not categorical or bool(labels), f"the levels of {expression.text!r}")
    contrasts = constant_contrasts(expression) if categorical else None
    return FactorInfo(expression.text, categorical, labels, spans or categorical, contrasts)


def expect(condition: bool, what: str) -> None:
    """Refuse a saved model that has not what is expected."""
    if not condition:
        raise DataError(f"expected {what}")


def texts(value: Any, what: str) -> tuple[str, ...]:
    """A list of different texts."""
    expect(isinstance(value, list) and all(isinstance(one, str) for one in value), f"{what} to be a list of text")
    expect(len(set(value)) == len(value), f"{what} without repetition")
    return tuple(value)
