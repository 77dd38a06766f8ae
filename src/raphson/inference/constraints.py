r"""Linear restrictions Rθ = r, from text, a matrix, or a mapping of names to coefficients.

Text is parsed into a tree and evaluated as an affine function of the parameters; anything but a sum of numbers times
parameters is refused. Parameter names may contain any characters, as in ``C(race)[T.2]`` and ``b:x``: they are matched
before parsing, the longest name first.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.curves import Curve, parse_curve
from raphson.data.syntax import Walk, parsed, written
from raphson.errors import FormulaError, ModelError
from raphson.linalg import DEPENDENT
from raphson.model.parameters import INDEX_GAP, place_of


@dataclass(frozen=True)
class Linear:
    """The restriction Rθ = r.

    Attributes
    ----------
    matrix : (q, p) R.
    value : (q,) r.
    texts : each equation as text.
    """

    matrix: np.ndarray
    value: np.ndarray
    texts: tuple[str, ...]


def linear(constraint: Any, names: Sequence[str], what: str = "constraint") -> Linear:
    """Read linear restrictions of the parameters `names`.

    Parameters
    ----------
    constraint : text such as ``"age = 0, 2*lwt + smoke = 1"`` (without ``=``, a combination equals 0); a list of
        such texts; a mapping of names to coefficients; a matrix (q, p) or a row (p,); or a pair (matrix, values) of
        a matrix and the right-hand sides (q,).
    names : the p parameters.
    what : name of the argument in messages.

    Raises
    ------
    ModelError
        If the constraint names no parameter, is not linear, or has another number of columns than parameters.

    Examples
    --------
    >>> found = linear("b1 = b2, 2*b1 + 1 = 3", ["b1", "b2"])
    >>> found.matrix.tolist(), found.value.tolist()
    ([[1.0, -1.0], [2.0, 0.0]], [0.0, 2.0])
    """
    if isinstance(constraint, str):
        return _from_words([constraint], names, what)
    if isinstance(constraint, Mapping):
        row = np.zeros(len(names))
        for name, coefficient in constraint.items():
            row[_number_of(str(name), names, what)] = _number(coefficient, what)
        return _checked(row[None], np.zeros(1), names, what)
    if isinstance(constraint, list | tuple) and constraint and all(isinstance(one, str) for one in constraint):
        return _from_words(list(constraint), names, what)
    value: Any = None
    if isinstance(constraint, tuple) and len(constraint) == 2 and np.ndim(constraint[0]) > 0:
        constraint, value = constraint
    try:
        R = np.atleast_2d(np.asarray(constraint, dtype=float))
        r = np.zeros(len(R)) if value is None else np.atleast_1d(np.asarray(value, dtype=float))
    except (TypeError, ValueError):
        raise ModelError(
            f"{what}: expected text such as '{names[0]} = 0', a matrix, a (matrix, values) pair or a function of the "
            f"parameters; got {type(constraint).__name__}"
        ) from None
    if R.ndim != 2 or R.shape[1] != len(names) or not len(R) or r.shape != (len(R),):
        raise ModelError(
            f"{what}: expected a matrix of q rows and {len(names)} columns (for {_listed(names)}), and q right-hand "
            f"sides; got shapes {R.shape} and {r.shape}"
        )
    return _checked(R, r, names, what)


def _checked(R: np.ndarray, r: np.ndarray, names: Sequence[str], what: str) -> Linear:
    if not (np.isfinite(R).all() and np.isfinite(r).all()):
        raise ModelError(f"{what}: expected finite numbers; got NaN or infinity")
    texts = tuple(_written(row, value, names) for row, value in zip(R, r, strict=True))
    return Linear(R, r, texts)


def independent(J: np.ndarray, what: str = "constraint") -> None:
    """Check that the equations, with Jacobian J (q, p), are linearly independent.

    Raises
    ------
    ModelError
        If they are not, or one depends on no parameter.
    """
    lengths = np.linalg.norm(J, axis=1)
    scaled = J / np.where(lengths > 0, lengths, 1.0)[:, None]
    if len(J) > J.shape[1] or (len(J) and np.linalg.svd(scaled, compute_uv=False)[-1] < DEPENDENT):
        raise ModelError(
            f"{what}: expected linearly independent equations in the estimated parameters; got {len(J)}, some of which "
            "follow from the others. Leave out the redundant ones"
        )


def _from_words(texts: Sequence[str], names: Sequence[str], what: str) -> Linear:
    rows, values, kept = [], [], []
    for text in texts:
        masked, aliases = _masked(text, names)
        for equation in masked.split(","):
            shown = _unmasked(equation.strip(), aliases, names)
            if not equation.strip():
                raise ModelError(f"{what}: expected equations such as '{names[0]} = 0'; got an empty one in {text!r}")
            sides = [_affine(side, aliases, names, text, what) for side in equation.split("=")]
            if len(sides) == 1:
                sides.append(np.zeros(len(names) + 1))
            for left, right in itertools.pairwise(sides):
                difference = left - right
                if not difference[:-1].any():
                    raise ModelError(
                        f"{what}: expected equations in the parameters {_listed(names)}; {shown!r} depends on none"
                    )
                rows.append(difference[:-1])
                values.append(0.0 - difference[-1])
                kept.append(shown if "=" in shown else f"{shown} = 0")
    return Linear(np.array(rows), np.array(values), tuple(kept))


def expression(text: str, names: Sequence[str], what: str = "function") -> tuple[Curve, dict[str, int]]:
    """An expression of the parameters, and which parameter each of its names is.

    Raises
    ------
    FormulaError
        If it is malformed, or there is something in it that is neither a parameter nor allowed in a curve.

    Examples
    --------
    >>> curve, places = expression("log(2)/C(race)[2]", ["a", "C(race)[2]"])
    >>> curve.text, places[curve.names[0]]
    ('log(2) / parameter_1_', 1)
    """
    masked, aliases = _masked(text, names)
    curve = parse_curve(masked, aliases.keys(), what)
    if not set(curve.names) <= set(aliases):
        raise FormulaError(f"{what}: expected an expression of the parameters {_listed(names)}; got {text!r}")
    return curve, aliases


def _masked(text: str, names: Sequence[str]) -> tuple[str, dict[str, int]]:
    """The text with every parameter's name replaced by a unique identifier."""
    aliases = {f"parameter_{i}_": i for i in range(len(names))}
    written: dict[str, int] = {}
    for i, name in enumerate(names):
        written[name] = i
        written.setdefault(f"`{name}`", i)
    pieces = []
    longest_first = sorted(written, key=len, reverse=True)
    for name in longest_first:
        before = r"(?<![\w.])" if re.match(r"[\w.]", name) else ""
        after = r"(?![\w.]*[\w(\[:])" if re.search(r"\w$", name) else ""
        # Blanks between the numbers of an index are optional.
        body = r",\s*".join(map(re.escape, re.split(INDEX_GAP, name)))
        pieces.append(f"({before}{body}{after})")
    places = [written[name] for name in longest_first]
    pattern = re.compile("|".join(pieces))
    return pattern.sub(lambda match: f"parameter_{places[(match.lastindex or 1) - 1]}_", text), aliases


def _unmasked(text: str, aliases: Mapping[str, int], names: Sequence[str]) -> str:
    return re.sub(r"parameter_(\d+)_", lambda match: names[aliases[match.group()]], text)


def _affine(side: str, aliases: Mapping[str, int], names: Sequence[str], text: str, what: str) -> np.ndarray:
    """An affine function as its p coefficients and its constant, (p + 1,)."""
    try:
        return _Affine(aliases, names, text, what).value(parsed(side, (), what))
    except (FormulaError, OverflowError, RecursionError):
        unknown = re.sub(r"parameter_\d+_", " ", side)
        odd = re.search(r"[A-Za-z_][\w.:()\[\]]*", unknown)
        if odd is not None:
            raise _no_parameter(odd.group(), names, text, what) from None
        raise ModelError(
            f"{what}: expected equations such as '{names[0]} = 0' or '2*{names[0]} + {names[-1]} = 1', separated by "
            f"commas; cannot parse {text!r}"
        ) from None


class _Affine(Walk):
    """Evaluates an affine function of the p parameters as its coefficients and its constant, (p + 1,)."""

    def __init__(self, aliases: Mapping[str, int], names: Sequence[str], text: str, what: str) -> None:
        super().__init__(what)
        self.aliases, self.names, self.text = aliases, names, text

    def constant(self, node: ast.Constant) -> np.ndarray:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.refused(node)
        return self._affine(-1, float(node.value))

    def name(self, node: ast.Name) -> np.ndarray:
        if node.id not in self.aliases:
            raise _no_parameter(node.id, self.names, self.text, self.what)
        return self._affine(self.aliases[node.id], 1.0)

    def _affine(self, place: int, coefficient: float) -> np.ndarray:
        one = np.zeros(len(self.names) + 1)
        one[place] = coefficient
        return one

    def computed(self, node: ast.expr, function: Callable[..., Any], values: Sequence[np.ndarray]) -> np.ndarray:
        if isinstance(node, ast.Compare):
            raise self.refused(node)
        if function in (operator.add, operator.sub) or isinstance(node, ast.UnaryOp):
            return function(*values)
        left, right = values
        if function is operator.mul and not left[:-1].any():
            return left[-1] * right
        if not right[:-1].any() and (function is operator.mul or (function is operator.truediv and right[-1])):
            return function(left, right[-1])
        raise ModelError(
            f"{self.what}: expected equations linear in the parameters; got {self.text!r}. Pass a function instead, "
            "such as lambda params: params['a'] * params['b'] - 1"
        )

    def refused(self, node: ast.expr) -> Exception:
        if isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
            return _no_parameter(written(node), self.names, self.text, self.what)
        return super().refused(node)


def _no_parameter(name: str, names: Sequence[str], text: str, what: str) -> ModelError:
    name = re.sub(r"parameter_(\d+)_", lambda match: names[int(match.group(1))], name)
    near = difflib.get_close_matches(name, names, n=1)
    own = [one for one in names if one.startswith(f"{name}[")]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if own:
        hint = f"; of the whole term write {own}, or use drop1()"
    return ModelError(f"{what}: {name!r} in {text!r} is not a parameter; the parameters are {_listed(names)}{hint}")


def _number_of(name: str, names: Sequence[str], what: str) -> int:
    place = place_of(name, names)
    if place is None:
        raise _no_parameter(name, names, name, what)
    return place


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ModelError(f"{what}: expected a number for each parameter; got {value!r}") from None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _written(row: np.ndarray, value: float, names: Sequence[str]) -> str:
    terms = []
    for coefficient, name in zip(row.tolist(), names, strict=True):
        if coefficient:
            size = "" if abs(coefficient) == 1 else f"{abs(coefficient):g}*"
            sign = "-" if coefficient < 0 else "+"
            terms.append((f"{sign} " if terms else "-" * (coefficient < 0)) + size + name)
    return f"{' '.join(terms) or '0'} = {value:g}"
