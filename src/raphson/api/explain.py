"""An expression taken apart into its elementary steps, as ``raphson explain`` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raphson.autodiff.decomposition import decompose
from raphson.data.curves import parse_curve
from raphson.data.messages import listing, short
from raphson.errors import FormulaError
from raphson.model.curve.compiled import jax_function

if TYPE_CHECKING:
    from raphson.autodiff.decomposition import Decomposition


def explain(expression: str, at: Mapping[str, float]) -> Decomposition:
    """Take an expression apart into elementary steps at a point.

    Parameters
    ----------
    expression : str
        Arithmetic and listed functions of names, such as ``log(1 + exp(-y*x))``; it is checked, never evaluated as
        Python.
    at : mapping of str to float
        The value of each name.

    Returns
    -------
    Decomposition

    Raises
    ------
    FormulaError
        If the expression is malformed or contains something that is not allowed, or `at` does not give a value for
        each of its names and no others.

    Examples
    --------
    >>> print(explain("x*exp(-x)", {"x": 2.0}))
    x * exp(-x) = 0.270671, in 3 elementary steps
    <BLANKLINE>
    step  operation  value     local partials      adjoint
    --------------------------------------------------------
    x     argument   2                             -0.135335
    z1    -x         -2        -1                  0.270671
    z2    exp(z1)    0.135335  0.135335            2
    z3    x * z2     0.270671  x: 0.135335, z2: 2  1
    """
    if not expression.strip():
        raise FormulaError("expression: it is empty; write one such as 'log(1 + exp(-y*x))'")
    curve = parse_curve(expression, list(at), "expression")
    if not curve.names:
        raise FormulaError(
            f"expression: {short(expression)} has no names, so nothing to differentiate with respect to; write one "
            "such as 'log(1 + exp(-y*x))'"
        )
    missing = [name for name in curve.names if name not in at]
    unused = [name for name in at if name not in curve.names]
    if missing:
        example = ",".join(f"{name}=1" for name in missing)
        raise FormulaError(f"at: no value for {listing(missing)} of {short(expression)}; add {example}")
    if unused:
        raise FormulaError(
            f"at: {listing(unused)} does not occur in {short(expression)}; its names are {listing(curve.names)}"
        )

    def expression_of(*numbers: Any) -> Any:
        return curve.evaluate(dict(zip(at, numbers, strict=True)), jax_function)

    found = decompose(expression_of)(*at.values())
    found.name = curve.text
    for quantity, name in zip(found.arguments, at, strict=True):
        quantity.name = name
    for step in found.steps:
        step.source = None  # the recorded lines are Raphson's own, of no use to the reader
    return found
