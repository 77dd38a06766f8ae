"""The states of transforms such as ``scale(x)``, of which a pass over streamed rows collects the moments.

The measure of n numbers has Gauss nodes: m numbers with weights, by which every polynomial up to degree 2m − 1 has the
same sum as over the numbers. The nodes of pieces together have the sums of all rows. A mean and a variance need two of
them, orthogonal polynomials of degree d need d + 1, and nothing is lost by cancellation, as it would be by powers of x.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raphson.data.evaluate import Evaluator, States, options_of
from raphson.data.expressions import Expression
from raphson.data.functions import FUNCTIONS, stateful_transform
from raphson.data.messages import short
from raphson.data.syntax import written
from raphson.data.values import Numbers, Table
from raphson.errors import DataError

SCALINGS = ("center", "scale", "standardize")


def calls(expressions: Iterable[Expression]) -> dict[str, ast.Call]:
    """The calls of transforms that have a state, by their text."""
    nodes = [node for expression in expressions for node in ast.walk(expression.tree)]
    return {written(node): node for node in nodes if isinstance(node, ast.Call) and name_of(node) is not None}


def name_of(node: ast.AST) -> str | None:
    """The name of a transform with a state, if this is a call of one."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        return name if name in FUNCTIONS and FUNCTIONS[name].kind == "stateful" else None
    return None


class Stage:
    """A pass on the way to the state of a transform.

    Attributes
    ----------
    node : the call.
    last : whether the state is known after it.
    """

    last = True

    def __init__(self, node: ast.Call) -> None:
        self.node, self.text, self.options = node, written(node), options_of(node)
        self.name = name_of(node) or ""

    def begin(self) -> Any:
        """What takes the numbers of some rows, and joins what others took of the rows that follow."""
        return SeenState.of(self.node)

    def after(self, seen: Any) -> Stage | dict[str, Any]:
        """The next pass, or the state as all rows together give it.

        Raises
        ------
        DataError
        """
        return seen.state(self.node)

    def placeholder(self) -> dict[str, Any]:
        """A state by which the transform is finite where its argument is, as by that of all rows."""
        if self.name == "bs" or self.options.get("raw"):
            return {}
        if self.name == "poly":
            degree = int(self.options.get("degree", 1))
            return {"alpha": dict.fromkeys(range(degree), 0.0), "norms2": dict.fromkeys(range(degree + 1), 1.0)}
        return {"ddof": 0, "center": None, "scale": None}


@dataclass
class SeenState:
    """What the pieces so far contain of a transform's argument.

    Attributes
    ----------
    degree : highest degree of the polynomials.
    nodes, weights : Gauss nodes of each piece, and their weights.
    ends : smallest and largest number of each piece.
    distinct : some different numbers, `degree` + 1 at most.
    """

    degree: int
    nodes: list[np.ndarray] = field(default_factory=list[np.ndarray])
    weights: list[np.ndarray] = field(default_factory=list[np.ndarray])
    ends: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    distinct: set[float] = field(default_factory=set[float])

    @classmethod
    def of(cls, node: ast.Call) -> SeenState:
        return cls(int(options_of(node).get("degree", 1)) if name_of(node) == "poly" else 1)

    def take(self, values: np.ndarray) -> None:
        """Add the finite ones of some numbers."""
        values = values[np.isfinite(values)]
        if not len(values):
            return
        nodes, weights = gauss_nodes(values, self.degree + 1)
        self.nodes.append(nodes)
        self.weights.append(weights)
        self.ends.append((float(values.min()), float(values.max())))
        if len(self.distinct) <= self.degree:
            self._note(set(nodes.tolist()) if len(nodes) <= self.degree else set(np.unique(values).tolist()))

    def _note(self, distinct: set[float]) -> None:
        self.distinct = set(sorted(self.distinct | distinct)[: self.degree + 1])

    def join(self, other: SeenState) -> None:
        """Add what was found in the rows that follow."""
        self.nodes += other.nodes
        self.weights += other.weights
        self.ends += other.ends
        self._note(other.distinct)

    def state(self, node: ast.Call) -> dict[str, Any]:
        """The transform's state, as all rows together give it.

        Raises
        ------
        DataError
        """
        name, text, options = name_of(node), written(node), options_of(node)
        if not self.ends:
            raise no_value(text)
        low, high = min(one for one, _ in self.ends), max(one for _, one in self.ends)
        if name == "bs":
            return state_by("bs", text, np.array([low, high]), {}, options)
        if name in SCALINGS:
            return self._scaling(name, text, options)
        if options.get("raw"):
            return {}
        if len(self.distinct) <= self.degree:
            raise DataError(
                f"formula: {text!r} needs more than {self.degree} different values; got {len(self.distinct)}. Lower "
                "the degree"
            )
        alpha, norms = recurrence(np.concatenate(self.nodes), np.concatenate(self.weights), self.degree + 1)
        return {
            "alpha": dict(enumerate(alpha[: self.degree].tolist())),
            "norms2": dict(enumerate(norms.tolist())),
        }

    def _scaling(self, name: str, text: str, options: dict[str, Any]) -> dict[str, Any]:
        x, w = np.concatenate(self.nodes), np.concatenate(self.weights)
        ddof = options.get("ddof", 0 if name == "standardize" else 1)
        center = options.get("center", True)
        scale = False if name == "center" else options.get("rescale" if name == "standardize" else "scale", True)
        middle = float(x[0])
        if isinstance(center, bool):
            center = np.float64(middle + np.sum(w * (x - middle)) / w.sum()) if center else None
        moved = x if center is None else x - center
        if isinstance(scale, bool):
            df = w.sum() - ddof
            scale = (np.sqrt(np.sum(w * moved**2) / df) if df > 0 else np.nan) if scale else None
        if scale is not None and not (np.isfinite(scale) and scale != 0):
            raise DataError(
                f"formula: {text!r} is not finite, as it would be divided by {scale}; does its column have different "
                "values?"
            )
        return {"ddof": ddof, "center": center, "scale": scale}


def no_value(text: str) -> DataError:
    """The error for a transform whose argument is nowhere finite."""
    return DataError(f"formula: {text!r} has no finite value; correct its column")


def state_by(name: str, text: str, x: np.ndarray, state: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The state that a transform finds from some numbers; an error of the transform is a DataError."""
    try:
        stateful_transform(name)(x, _state=state, **options)
    except Exception as error:
        raise DataError(f"formula: {text!r} cannot be evaluated: {short(str(error))}") from error
    return state


def argument(node: ast.Call, table: Table, states: States) -> np.ndarray:
    """The numbers that a transform is of, by the states of those within it."""
    with np.errstate(all="ignore"):
        value = Evaluator(table, states, new=True).operand(node.args[0])
    return value.values if isinstance(value, Numbers) else np.array([])


def gauss_nodes(values: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """m nodes and weights, by which polynomials up to degree 2m − 1 have the same sum as over the values (n,).

    They are eigenvalues of the tridiagonal matrix of the three-term recurrence (Golub and Welsch 1969).

    Examples
    --------
    >>> x = np.arange(10.0)
    >>> nodes, weights = gauss_nodes(x, 2)
    >>> [round(float(weights @ nodes**k), 9) == float((x**k).sum()) for k in range(4)]
    [True, True, True, True]
    """
    some = np.unique(values[: 16 * m])
    if len(some) <= m:
        some, counts = np.unique(values, return_counts=True)
        if len(some) <= m:
            return some, counts.astype(float)
    middle = 0.5 * (values.min() + values.max())
    reach = max(float(np.abs(values - middle).max()), np.finfo(float).tiny)
    t = (values - middle) / reach
    alpha, norms = recurrence(t, np.ones(len(t)), m)
    off = np.sqrt(norms[1:] / norms[:-1])
    nodes, vectors = np.linalg.eigh(np.diag(alpha) + np.diag(off, 1) + np.diag(off, -1))
    return middle + reach * nodes, len(t) * vectors[0] ** 2


def recurrence(x: np.ndarray, weights: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Σ w x p²/Σ w p² and Σ w p² of the first m monic orthogonal polynomials p of a measure."""
    middle = 0.5 * (x.min() + x.max())
    t = x - middle
    alpha, norms = np.zeros(m), np.zeros(m)
    earlier, p = np.zeros(len(t)), np.ones(len(t))
    for k in range(m):
        # No products of BLAS, whose last bits depend on its number of threads.
        squares = weights * p**2
        norms[k] = squares.sum()
        alpha[k] = np.sum(t * squares) / norms[k] if norms[k] > 0 else 0.0
        following = (t - alpha[k]) * p - (norms[k] / norms[k - 1] * earlier if k else 0.0)
        earlier, p = p, following
    return alpha + middle, norms
