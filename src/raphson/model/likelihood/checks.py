"""Mistakes that JAX does not report: indices beyond a parameter's end, codes compared with text."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.autodiff.trace import readable_errors, source_of
from raphson.autodiff.walk import walk
from raphson.compat import CUSTOM, jax, jnp, name_of, parts_of
from raphson.compiled import compiled
from raphson.errors import ModelError
from raphson.model.parameters import Parameters
from raphson.model.replay.replay import operate
from raphson.numeric import x64


@contextmanager
def traced_errors(name: str) -> Iterator[None]:
    """Rewrite errors raised while a likelihood is traced into one line that names this package's remedy."""
    try:
        with readable_errors(name):
            yield
    except ModelError as error:
        text = str(error).replace(
            "differentiate it with method='finite'", "write loglik(params, row) and pass derivatives='finite'"
        )
        text = text.replace("differentiate with method='finite'", "write loglik(params, row) with derivatives='finite'")
        raise type(error)(text) from error.__cause__


def compares_with_text(function: Callable[..., Any], name: str, columns: tuple[str, ...] = ()) -> None:
    """Refuse a function whose source compares a column with text: it is passed codes, which never equal a text.

    Parameters
    ----------
    function : takes a row as its second argument, or columns by keyword.
    name : what messages call it.
    columns : the keywords.
    """
    try:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
        first = inspect.unwrap(function).__code__.co_firstlineno
        arguments = list(inspect.signature(function).parameters)
    except (OSError, TypeError, SyntaxError, ValueError, AttributeError):
        return
    row = arguments[1] if len(arguments) > 1 and not columns else None
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        texts = [one.value for one in sides if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        read = [one for one in sides if _reads_row(one, row, columns)]
        if texts and read:
            what = ast.unparse(read[0])
            raise ModelError(
                f"{name}: line {first + node.lineno - 1} compares {what} with the text {texts[0]!r}, but the function "
                "receives a column of text as numbers, the codes 0, 1, ... of its sorted levels; compare with the "
                "code, or add a column such as (data.column == 'level') beforehand"
            )


def _reads_row(node: ast.expr, row: str | None, columns: tuple[str, ...]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in columns
    return isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == row


@dataclass(frozen=True)
class IndexedElements:
    """The places where a traced likelihood reads elements of a parameter by index.

    Attributes
    ----------
    places : the operation, its place in the user's code, and the parameters it reads from.
    indices : compiled (columns) -> the index at each place, by row; None if there is none.
    """

    places: tuple[tuple[Any, Any, frozenset[int]], ...]
    indices: Any

    @staticmethod
    def of(jaxpr: Any, layout: Parameters) -> IndexedElements:
        """Find them in a traced likelihood."""
        n_leaves, n_inputs = len(layout.paths), len(parts_of(jaxpr).inputs)
        places: list[tuple[Any, Any, frozenset[int]]] = []

        def reads_by_index(equation: Any) -> bool:
            return name_of(equation) in ("dynamic_slice", "gather")

        def mark(equation: Any, given: list[frozenset[int]], site: Any) -> list[frozenset[int]]:
            if reads_by_index(equation) and given[0] and not frozenset().union(*given[1:]):
                places.append((equation, site, given[0]))
            return [frozenset().union(*given)] * len(equation.outvars)

        leaves = [frozenset([leaf]) for leaf in range(n_leaves)]
        none: frozenset[int] = frozenset()
        walk(jaxpr, [*leaves, *[none] * (n_inputs - n_leaves)], mark, lambda constant: none, keep=CUSTOM)
        if not places:
            return IndexedElements((), None)

        def indices(row: tuple[Any, ...]) -> list[Any]:
            found: list[Any] = []

            def visit(equation: Any, given: list[Any], site: Any) -> list[Any]:
                missing = [one is None for one in given]
                if reads_by_index(equation) and missing[0] and not any(missing[1:]):
                    found.append(jnp.stack([jnp.asarray(one) for one in given[1:]]) if len(given) > 2 else given[1])
                return [None] * len(equation.outvars) if any(missing) else operate(equation, given)

            walk(jaxpr, [*[None] * n_leaves, *row], visit, keep=CUSTOM)
            return found

        return IndexedElements(tuple(places), compiled(jax.vmap(indices)))


def check_indices(
    indexed: IndexedElements,
    name: str,
    arrays: tuple[np.ndarray, ...],
    layout: Parameters,
    numbers: Callable[[], np.ndarray | None] = lambda: None,
) -> None:
    """Refuse an index beyond the end of a parameter, which JAX would silently replace by the nearest valid one.

    `numbers` gives those of the rows in the user's data; None for 0, 1, ....

    Raises
    ------
    ModelError
        The message names the parameter, the index, its row and the line.
    """
    if not indexed.places:
        return
    with x64():
        values = [np.asarray(one) for one in indexed.indices(arrays)]
    for (equation, site, dependent), value in zip(indexed.places, values, strict=True):
        shape = equation.invars[0].aval.shape
        if name_of(equation) == "dynamic_slice":
            most = np.array(shape) - np.array(equation.params["slice_sizes"])
            value = value.reshape(len(value), -1)
        else:
            numbers = equation.params["dimension_numbers"]
            axes = list(numbers.start_index_map)
            most = (np.array(shape) - np.array(equation.params["slice_sizes"]))[axes]
            value = value.reshape(len(value), -1, len(axes))
            most = np.broadcast_to(most, value.shape[1:])
        wrong = (value < 0) | (value > most)
        if wrong.any():
            at = tuple(axis[0] for axis in np.nonzero(wrong))
            paths = [".".join(layout.paths[leaf]) for leaf in sorted(dependent)]
            place, known = source_of(site), numbers()
            row = at[0] if known is None else known[at[0]]
            line = f" at {place} (`{place.text}`)" if place is not None else ""
            raise ModelError(
                f"{name}: index {int(value[at])} is beyond the end of {paths[0]!r}, of shape "
                f"{layout.shapes[min(dependent)]}, in row {row}{line}; levels are counted from 0. Give it "
                "more elements in start=, or correct the index"
            )
