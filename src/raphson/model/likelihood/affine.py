"""Whether a traced density's score is affine in the response, or its second derivatives do not depend on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.autodiff.walk import walk
from raphson.compat import jax
from raphson.model.likelihood.predictors import AFFINE, DATA, NONLINEAR, Node, is_affine


def affine_in_response(function: Any, K: int, shapes: tuple[tuple[int, ...], ...]) -> bool:
    """Whether ∂f/∂η is affine in y for f(η (K,), (y, columns...)).

    A select, a gather or a comparison that y decides is not affine. Zero-inflated, hurdle and ordered densities contain
    one: their second derivative by y is zero wherever it exists, and still they are not affine.
    """
    number = jax.ShapeDtypeStruct((), np.float64)
    columns = [jax.ShapeDtypeStruct(shape, np.float64) for shape in shapes]

    def score(y: Any, eta: Any, *row: Any) -> Any:
        return jax.grad(lambda e: function(e, (y, *row)))(eta)

    jaxpr = jax.make_jaxpr(score)(number, jax.ShapeDtypeStruct((K,), np.float64), *columns)

    def visit(equation: Any, given: list[Node], site: Any) -> list[Node]:
        marks = {node.mark for node in given}
        if marks <= {DATA}:
            mark = DATA
        elif NONLINEAR not in marks and is_affine(equation, given):
            mark = AFFINE
        else:
            mark = NONLINEAR
        return [Node(mark)] * len(equation.outvars)

    inputs = [Node(AFFINE), *[Node(DATA)] * (1 + len(shapes))]
    return all(node.mark != NONLINEAR for node in walk(jaxpr, inputs, visit, lambda constant: Node(DATA)))


def information_free_of_response(function: Any, K: int, shapes: tuple[tuple[int, ...], ...]) -> bool:
    """Whether ∂²f/∂η² does not depend on the response, so that the observed information is the expected one."""
    number = jax.ShapeDtypeStruct((), np.float64)
    columns = [jax.ShapeDtypeStruct(shape, np.float64) for shape in shapes]

    def second(y: Any, eta: Any, *row: Any) -> Any:
        return jax.hessian(lambda e: function(e, (y, *row)))(eta)

    jaxpr = jax.make_jaxpr(second)(number, jax.ShapeDtypeStruct((K,), np.float64), *columns)

    def visit(equation: Any, given: list[bool], site: Any) -> list[bool]:
        return [any(given)] * len(equation.outvars)

    inputs = [True, *[False] * (1 + len(shapes))]
    return not any(walk(jaxpr, inputs, visit, lambda constant: False))
