"""Predictors of saved curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raphson.data.curves import parse_curve
from raphson.model.curve.nonlinear import Absent, NonlinearPredictor
from raphson.model.curve.written import curve_derivatives


def saved_predictor(saved: Any, names: Sequence[str]) -> NonlinearPredictor:
    """The predictor that :meth:`NonlinearPredictor.to_dict` described. An expression is checked like a user's.

    Raises
    ------
    RaphsonError, ValueError
        If it is not an expression of the named parameters.
    """
    if saved is None:
        return NonlinearPredictor(Absent(), len(names), False)
    columns, parameters = tuple(saved["columns"]), tuple(saved["parameters"])
    if parameters != tuple(names) or not isinstance(saved["text"], str):
        raise ValueError("curve: expected an expression of the fit's parameters")
    curve = parse_curve(saved["text"], {*columns, *parameters}, "saved curve")
    if set(curve.names) != {*columns, *parameters}:
        raise ValueError("curve: expected an expression of the fit's columns and parameters")
    return NonlinearPredictor(curve_derivatives(curve, columns, parameters), len(names), True)
