"""What the operations of a curve show about its parameters, and explanations where it is not finite."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from raphson.data.curves import Curve
from raphson.data.messages import listing
from raphson.errors import ModelError
from raphson.model.curve.dimensions import Dimensions, dimensions
from raphson.model.curve.linearity import NOTHING, Dependence, curved_pairs, largest_linear_set
from raphson.model.curve.nonlinear import Derivatives
from raphson.model.curve.waves import Phase, Wave, waves
from raphson.model.curve.written import program_of
from raphson.model.parameters import Parameters


@dataclass(frozen=True)
class CurveStructure:
    """What tracing a curve shows.

    Attributes
    ----------
    linear : (p,) mask of the parameters that it is jointly linear in, with the others held fixed.
    absent : (p,) mask of the parameters that it does not depend on.
    dimensions : of the parameters; None where the curve was not traced.
    waves, phases : the parameters that set a frequency, and those that shift a wave.
    """

    linear: np.ndarray
    absent: np.ndarray
    dimensions: Dimensions | None = None
    waves: tuple[Wave, ...] = ()
    phases: tuple[Phase, ...] = ()


@lru_cache(maxsize=256)
def structure_of_curve(curve: Curve, columns: tuple[str, ...], parameters: tuple[str, ...]) -> CurveStructure:
    """What the operations of an expression show."""
    program: Any = program_of(curve, columns, parameters)
    if program is None:
        from raphson.model.curve.compiled import traced_curve

        program = traced_curve(curve, columns, parameters)
    return structure_of(program, Parameters.scalars(parameters), len(columns))


def structure_of(jaxpr: Any, parameters: Parameters, n_data: int) -> CurveStructure:
    """What the operations of a traced function or of an expression's graph show."""
    parts = [Dependence(frozenset([j]), frozenset()) for j in range(len(parameters.shapes))]
    reach = curved_pairs(jaxpr, parts + [NOTHING] * n_data)
    linear = largest_linear_set(reach.pairs, sorted(reach.on))

    def spread(chosen: Any) -> np.ndarray:
        return np.repeat([j in chosen for j in range(len(parameters.shapes))], parameters.sizes)

    inputs = [*range(len(parameters.shapes)), *[None] * n_data]
    found = dimensions(jaxpr, inputs, n_data)
    first = np.concatenate([[0], np.cumsum(parameters.sizes)]).astype(int)

    def elements(kind: tuple[Any, ...]) -> tuple[Any, ...]:
        """The scalar parameters, renumbered as elements of θ."""
        single = [one for one in kind if parameters.sizes[one.parameter] == 1]
        return tuple(one._replace(parameter=int(first[one.parameter])) for one in single)

    frequencies, phases = waves(jaxpr, inputs)
    each = Dimensions(*(np.repeat(table, parameters.sizes, axis=0) for table in (found.exponents, found.position)))
    return CurveStructure(spread(linear), ~spread(reach.on), each, elements(frequencies), elements(phases))


def refuse_absent(structure: CurveStructure, names: tuple[str, ...]) -> None:
    """Refuse parameters that the model does not depend on."""
    absent = [name for name, is_absent in zip(names, structure.absent, strict=True) if is_absent]
    if absent:
        raise ModelError(
            f"start: the model does not depend on {listing(map(repr, absent))}; leave it out of start=, or use it in "
            "the model"
        )


@dataclass(frozen=True)
class CurveExplanation:
    """Explains where an expression is not finite: the step, the rows, the values.

    Attributes
    ----------
    curve, columns, parameters : the expression and its names.
    X : (n, d) the columns.
    index : (n,) the user's row numbers; None if no row was dropped.
    """

    curve: Curve
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    X: np.ndarray
    index: np.ndarray | None

    def __call__(self, theta: np.ndarray) -> str:
        values: dict[str, Any] = dict(zip(self.parameters, theta, strict=True))  # NumPy numbers: they may divide by 0
        values |= {name: self.X[:, k] for k, name in enumerate(self.columns)}
        found = self.curve.first_not_finite(values)
        at = ", ".join(f"{name}={value:.6g}" for name, value in zip(self.parameters, theta.tolist(), strict=True))
        if found is None:
            return f"start: the curve is finite at {at}, but its squares are not; choose smaller starting values"
        step, bad = found
        rows = np.flatnonzero(np.broadcast_to(bad, len(self.X)))
        shown = listing(rows if self.index is None else self.index[rows], 5)
        return (
            f"start: {step!r} is not finite in {len(rows)} of {len(self.X)} rows (row {shown}, counted from 0) at "
            f"{at}; choose other starting values"
        )


@dataclass(frozen=True)
class FunctionExplanation:
    """Explains where a function is not finite."""

    derivatives: Derivatives
    parameters: Parameters
    x: Any

    def __call__(self, theta: np.ndarray) -> str:
        values = self.derivatives.value(theta, self.x)
        rows = np.flatnonzero(~np.isfinite(values))
        at = ", ".join(f"{name}={value:.6g}" for name, value in zip(self.parameters.names, theta.tolist(), strict=True))
        return (
            f"start: the model is not finite in {len(rows)} of {values.size} values (number "
            f"{listing(rows, 5)}, counted from 0) at {at}; choose other starting values"
        )
