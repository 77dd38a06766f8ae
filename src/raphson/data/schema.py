"""Schemas: what a fit keeps of its data so that new data get the same columns; saved as plain JSON."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np

from raphson.choices import MissingInNew
from raphson.data.described import expect, read_info, saved_info, texts
from raphson.data.design import DesignPlan, make_plan
from raphson.data.evaluate import Evaluator, States, check_states
from raphson.data.expressions import Expression
from raphson.data.extras import array_argument, check_index, parse_argument
from raphson.data.formula import Formula, parse_formula
from raphson.data.matrices import note_design, read_design
from raphson.data.messages import check_missing, listing, unknown_column
from raphson.data.model_data import NewData, take_columns, take_rows
from raphson.data.points import absent_rows, as_arrays
from raphson.data.products import dense
from raphson.data.readers import is_pandas, read_table
from raphson.data.rows import MissingRows
from raphson.data.values import Levels, Table, Variable, as_levels, recode
from raphson.data.varying.parts import parse_parts
from raphson.data.varying.plans import NOTHING_VARIES, VaryingPlan
from raphson.errors import DataError, RaphsonError

_MISSING = get_args(MissingInNew)


class Schema:
    """Rebuilds a fit's design for new data.

    :class:`FormulaSchema`, :class:`ArraySchema` and :class:`PointsSchema` have all of this; the schemas of likelihoods
    have a design for each parameter, or none.

    * ``names``: the design's column names;
    * ``design(new, missing="drop", offset=None)``: a :class:`NewData`;
    * ``to_dict()``: numbers, text and lists, safe for JSON.
    """

    names: tuple[str, ...]
    needs_offset: bool
    """Whether the fit had an offset given as an array; new data then need one too."""

    def design(self, new: Any, missing: str = "drop", offset: Any = None) -> NewData:
        """Build the design of new data."""
        raise NotImplementedError

    def absent_levels(self, X: Any) -> dict[str, list[str]]:
        """The levels of each factor that no row of a design (n, p) has; empty where there are no factors."""
        return {}

    @property
    def reference_levels(self) -> dict[str, str]:
        """The level of each factor that the others are compared with; empty where there are no factors."""
        return {}

    @property
    def widest_factor(self) -> tuple[str, int] | None:
        """The factor to which half of the columns or more belong, with its number of levels; None if there is none."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """The schema as numbers, text and lists, safe for JSON."""
        raise NotImplementedError

    @staticmethod
    def from_dict(saved: Any) -> Schema:
        """Read what :meth:`to_dict` wrote.

        Everything is checked, a formula as if a user had typed it; nothing is executed.

        Raises
        ------
        DataError
            If the dict is not one that :meth:`to_dict` wrote.
        """
        try:
            expect(isinstance(saved, dict), "a dict")
            if saved.get("kind") == "arrays":
                return ArraySchema._from_dict(saved)
            if saved.get("kind") == "points":
                return PointsSchema()
            expect(saved.get("kind") == "formula", "the kind 'formula' or 'arrays'")
            return FormulaSchema._from_dict(saved)
        except (RaphsonError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
            raise DataError(f"saved model: its description of the data is damaged: {reason}") from error


class FormulaSchema(Schema):
    """The schema of a formula.

    Parameters
    ----------
    formula : Formula
    plan : DesignPlan
    states : dict
        The states of the stateful transforms.
    offset : Expression or None
        The expression given as ``offset=``.
    offset_given : bool
        Whether an array was given as ``offset=``.
    varying : VaryingPlan
        The terms whose coefficients vary.
    """

    def __init__(
        self,
        formula: Formula,
        plan: DesignPlan,
        states: States,
        offset: Expression | None,
        offset_given: bool,
        varying: VaryingPlan = NOTHING_VARIES,
    ) -> None:
        self.formula = formula
        self.names = plan.names
        self.needs_offset = offset_given
        self._plan = plan
        self._states = states
        self._offset = offset
        self._varying = varying

    def population(self) -> FormulaSchema:
        """The schema for predictions without the effects of groups, for which new data need no groups."""
        given, varying = self.needs_offset, self._varying.without_groups()
        return FormulaSchema(self.formula, self._plan, self._states, self._offset, given, varying)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that new data need."""
        expressions = [*self.formula.factors, *self.formula.offsets, *self._varying.expressions]
        return tuple(dict.fromkeys(column for one in expressions for column in one.columns))

    @property
    def offset_columns(self) -> tuple[str, ...]:
        """The columns that new data need besides, unless they get another offset."""
        return () if self._offset is None else self._offset.columns

    def absent_levels(self, X: Any) -> dict[str, list[str]]:
        """As :meth:`Schema.absent_levels`, of the factors that are a term by themselves."""
        found: dict[str, list[str]] = {}
        for product in self._plan.products:
            coding = product.codings[0] if len(product.codings) == 1 else None
            if coding is None:
                continue
            own = np.unique(dense(take_columns(X, list(range(product.start, product.stop)))), axis=0)
            info = self._plan.factors[product.scoped[0][0]]
            here = (coding[:, None] == own[None]).all(axis=2).any(axis=1)
            absent = [str(label) for label, one in zip(info.labels or (), here, strict=True) if not one]
            if absent:
                found[info.text] = absent
        return found

    @property
    def reference_levels(self) -> dict[str, str]:
        """As :attr:`Schema.reference_levels`, of the factors that have a column less than levels."""
        numbers = dict.fromkeys(
            number for product in self._plan.products for number, reduced in product.scoped if reduced
        )
        found = {self._plan.factors[number].text: self._plan.factors[number].reference for number in numbers}
        return {name: level for name, level in found.items() if level is not None}

    @property
    def widest_factor(self) -> tuple[str, int] | None:
        """As :attr:`Schema.widest_factor`, with the columns of the interactions that a factor is in."""
        columns = dict.fromkeys((k for k, info in enumerate(self._plan.factors) if info.categorical), 0)
        for product in self._plan.products:
            for number in {number for number, _ in product.scoped} & columns.keys():
                columns[number] += product.stop - product.start
        widest = max(columns, key=columns.__getitem__, default=None)
        if widest is None or 2 * columns[widest] < len(self.names):
            return None
        info = self._plan.factors[widest]
        return info.text, len(info.labels or ())

    def design(self, new: Any, missing: str = "drop", offset: Any = None) -> NewData:
        """Build the design of new data.

        Parameters
        ----------
        new : data frame, mapping, path or open file
            Anything that :func:`raphson.data.read_table` reads; m rows. The response is not needed.
        missing : {"drop", "raise", "nan"}
            ``"nan"`` keeps every row, with NaN in those that cannot be used.
        offset : str, number or array_like, shape (m,), optional
            Replaces the fit's ``offset=``; the formula's own offsets are always evaluated.

        Raises
        ------
        DataError
            If a column is missing or has another type, or a factor has a level that did not
            occur in the fit.
        """
        check_index(new, offset, "offset")
        check_missing(missing, _MISSING)
        frame = read_table(_as_columns(new))
        table = Table(frame)
        for name in self.columns:
            if name not in table.known:
                raise unknown_column(name, table.names, "new data")
        rows = MissingRows(table.n_rows)
        evaluator = Evaluator(table, self._states, "new data", new=True)
        variables = [self._variable(number, evaluator, rows) for number in range(len(self.formula.factors))]
        varied = self._varying.read(evaluator, rows)
        total = self._total_offset(offset, evaluator, rows)
        kept = rows.usable(missing)
        n_rows = table.n_rows
        if missing != "nan" and kept is not None:
            n_rows = len(kept)
        used = None if missing == "nan" else kept
        terms, unpenalised = self._varying.build(varied, used, n_rows, new=True)
        X = self._plan.build([*variables, *unpenalised], used, n_rows)
        if missing == "nan" and rows.bad is not None:
            X = _set_nan(X, rows.bad)
            total = None if total is None else np.where(rows.bad, np.nan, total)
            kept = None
        elif total is not None and kept is not None:
            total = total[kept]
        labels = frame.index if is_pandas(new) else None
        absent = rows.bad if missing == "nan" else None
        return NewData(X, total, kept, table.n_rows - n_rows, labels, absent, terms)

    def varying_values(self, new: Any) -> list[tuple[Any, list[Variable]]]:
        """What is kept of each term that varies, with its variables over the rows of a frame."""
        table = Table(read_table(_as_columns(new)))
        evaluator = Evaluator(table, self._states, "new data", new=True)
        varied = self._varying.read(evaluator, MissingRows(table.n_rows))
        return list(zip(self._varying.plans, varied, strict=True))

    def _variable(self, number: int, evaluator: Evaluator, rows: MissingRows) -> Variable:
        expression, info = self.formula.factors[number], self._plan.factors[number]
        variable = evaluator.variable(expression)
        rows.note_expression(expression, variable, evaluator)
        if info.categorical:
            assert info.labels is not None
            return recode(as_levels(variable), info.labels, f"new data: {info.text}")
        if isinstance(variable, Levels):
            variable = evaluator.numbers(expression)
        if variable.labels != info.labels:
            raise DataError(f"new data: {info.text!r} gives other columns than in the fit; give it the same type")
        return variable

    def _total_offset(self, offset: Any, evaluator: Evaluator, rows: MissingRows) -> np.ndarray | None:
        parts = []
        expressions = list(self.formula.offsets)
        given = offset
        if given is None and self._offset is not None:
            expressions.append(self._offset)
            for name in self._offset.columns:
                if name not in evaluator.table.known:
                    raise unknown_column(name, evaluator.table.names, "new data")
        if given is None and self.needs_offset:
            raise DataError("offset: the fit had one, given as an array; pass offset= with one number for each new row")
        if isinstance(given, str):
            named = parse_argument(given, evaluator.table.known, "offset")
            expressions += [] if named is None else [named]
        elif given is not None:
            if np.ndim(given) == 0:
                given = np.full(evaluator.table.n_rows, given)
            parts.append(array_argument(given, evaluator.table.n_rows, rows, "offset"))
        for expression in expressions:
            numbers = evaluator.numbers(expression)
            rows.note_expression(expression, numbers, evaluator)
            parts.append(numbers.values)
        return np.sum(parts, axis=0) if parts else None

    def to_dict(self) -> dict[str, Any]:
        """The schema as numbers, text and lists, safe for JSON."""
        formula = self.formula
        used = [*formula.response, *formula.factors, *formula.offsets, *self._varying.expressions]
        if self._offset is not None:
            used.append(self._offset)
        columns = dict.fromkeys(column for one in used for column in one.columns)
        return {
            "kind": "formula",
            "formula": formula.text,
            "columns": [*columns, *(name for name in formula.dot if name not in columns)],
            "dot": list(formula.dot),
            "factors": [saved_info(info) for info in self._plan.factors[: len(formula.factors)]],
            "names": list(self.names),
            "states": {text: _encode(state) for text, state in self._states.items()},
            "offset": None if self._offset is None else self._offset.text,
            "offset_given": self.needs_offset,
            **({"varying": self._varying.to_dict()} if self._varying.plans else {}),
        }

    @staticmethod
    def _from_dict(saved: dict[str, Any]) -> FormulaSchema:
        columns, dot = texts(saved["columns"], "columns"), texts(saved["dot"], "dot")
        offset = None
        if saved["offset"] is not None:
            expect(isinstance(saved["offset"], str), "an offset that is text or null")
            offset = parse_argument(saved["offset"], columns, "offset")
        expect(isinstance(saved["offset_given"], bool), "offset_given to be true or false")
        formula = parse_formula(saved["formula"], list(columns), dot=list(dot))
        factors = saved["factors"]
        expect(isinstance(factors, list) and len(factors) == len(formula.factors), "the factors of the formula")
        infos = [read_info(*pair) for pair in zip(formula.factors, factors, strict=True)]
        parts = parse_parts(formula.varying, columns)
        varying = VaryingPlan.from_dict(parts, saved.get("varying", []))
        plan = make_plan(formula, [*infos, *varying.infos])
        expect(list(plan.names) == saved["names"], "the column names of its formula")
        expect(isinstance(saved["states"], dict), "the states of its transforms")
        states = {str(text): _decode_state(state) for text, state in saved["states"].items()}
        used = [*formula.factors, *formula.offsets, *varying.expressions, *([] if offset is None else [offset])]
        check_states(used, states)
        return FormulaSchema(formula, plan, states, offset, saved["offset_given"], varying)


class ArraySchema(Schema):
    """The schema of a design given as an array.

    Parameters
    ----------
    names : tuple of str
    offset_given : bool
    """

    def __init__(self, names: tuple[str, ...], offset_given: bool) -> None:
        self.names = names
        self.needs_offset = offset_given

    def design(self, new: Any, missing: str = "drop", offset: Any = None) -> NewData:
        """Check a new design of p columns.

        Parameters
        ----------
        new : array_like, shape (m, p), or data frame
            The columns of a frame that has all the names may be in any order.
        missing : {"drop", "raise", "nan"}
        offset : number or array_like, shape (m,), optional

        Raises
        ------
        DataError
            If the number of columns differs, or there is something else than numbers.
        """
        check_index(new, offset, "offset")
        check_missing(missing, _MISSING)
        new, labels = self._by_name(new)
        X, _ = read_design(new, None, "new data")
        if X.shape[1] != len(self.names):
            # A single row may be one-dimensional, as in predict([1, 0.5]).
            if isinstance(X, np.ndarray) and np.ndim(new) == 1 and X.shape == (len(self.names), 1):
                X = np.ascontiguousarray(X.T)
            else:
                raise DataError(
                    f"new data: expected the fit's {len(self.names)} columns ({listing(self.names)}); got {X.shape[1]}"
                )
        n_rows = X.shape[0]
        rows = MissingRows(n_rows)
        note_design(X, self.names, rows)
        total = None
        if offset is None and self.needs_offset:
            raise DataError("offset: the fit had one; pass offset= with one number for each new row")
        if offset is not None:
            offset = np.full(n_rows, offset) if np.ndim(offset) == 0 else offset
            total = array_argument(offset, n_rows, rows, "offset")
        kept = rows.usable(missing)
        if missing == "nan":
            absent = absent_rows(X) if rows.bad is not None and isinstance(X, np.ndarray) else None
            return NewData(X, total, None, 0, labels, absent)
        if kept is not None:
            X, total = take_rows(X, kept), None if total is None else total[kept]
        return NewData(X, total, kept, n_rows - X.shape[0], labels)

    def _by_name(self, new: Any) -> tuple[Any, Any]:
        if isinstance(new, (np.ndarray, list, tuple)) or hasattr(new, "tocsc") or hasattr(new, "sandwich"):
            return new, None
        frame = read_table(_as_columns(new))
        labels = frame.index if is_pandas(new) else None
        if set(self.names) <= set(frame.columns):
            return frame[list(self.names)], labels
        if frame.shape[1] == len(self.names) and all(name == f"x{i + 1}" for i, name in enumerate(self.names)):
            return frame, labels
        absent = [name for name in self.names if name not in set(frame.columns)]
        raise unknown_column(absent[0], list(frame.columns), "new data")

    def to_dict(self) -> dict[str, Any]:
        """The schema, safe for JSON."""
        return {"kind": "arrays", "names": list(self.names), "offset_given": self.needs_offset}

    @staticmethod
    def _from_dict(saved: dict[str, Any]) -> ArraySchema:
        expect(isinstance(saved["offset_given"], bool), "offset_given to be true or false")
        names = texts(saved["names"], "names")
        expect(bool(names), "column names")
        return ArraySchema(names, saved["offset_given"])


class PointsSchema(Schema):
    """The schema of the x of a user's function of ``(params, x)``: arrays of any shape, not split into rows.

    Parameters
    ----------
    integers : whether integers stay integers, so that the function can index with them.
    """

    names = ()
    needs_offset = False

    def __init__(self, integers: bool = False) -> None:
        self.integers = integers

    def design(self, new: Any, missing: str = "drop", offset: Any = None) -> NewData:
        """Check a new x at which the function predicts.

        Parameters
        ----------
        new : whatever the function takes: an array, a tuple or a dict of arrays, a data frame.
        missing : without effect, as only the function knows which axis is the rows. Missing rows are noted if it is
            the first.
        offset : refused.

        Raises
        ------
        DataError
            If there is anything but real numbers.
        """
        check_missing(missing, _MISSING)
        if offset is not None:
            raise DataError("offset: the fit of a function has none; leave offset= out")
        x = as_arrays(new, self.integers)
        return NewData(x, None, None, 0, None, absent_rows(x))

    def to_dict(self) -> dict[str, Any]:
        """The schema, safe for JSON."""
        return {"kind": "points"}


def _as_columns(new: Any) -> Any:
    """A dict of single values as one row."""
    if isinstance(new, dict) and new and all(np.ndim(value) == 0 for value in new.values()):
        return {name: [value] for name, value in new.items()}
    return new


def _set_nan(X: Any, bad: np.ndarray) -> Any:
    """Set the bad rows to NaN, so that everything computed from them is NaN."""
    if isinstance(X, np.ndarray):
        X[bad] = np.nan
        return X
    return X.without_rows(bad)


def _encode(value: Any) -> Any:
    """A transform's state for JSON: arrays as {"array": lists}, dicts with numbers as keys as {"items": pairs}."""
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _encode(one) for key, one in value.items()}
        return {"items": [[int(key), _encode(one)] for key, one in value.items()]}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, (list, tuple)):
        return [_encode(one) for one in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value)


def _decode_state(saved: Any) -> dict[str, Any]:
    expect(isinstance(saved, dict), "a transform's state to be a dict")
    state = {str(key): _decode(value, 0) for key, value in saved.items()}
    for key, value in state.items():
        if key == "knots":
            good = isinstance(value, list) and len(value) > 1 and all(map(_is_number, value))
        elif key in ("alpha", "norms2"):
            good = isinstance(value, dict) and bool(value) and all(map(_is_number, value.values()))
        elif key in ("center", "scale"):
            good = value is None or _is_number(value) or (isinstance(value, np.ndarray) and value.ndim < 2)
        elif key == "constraints":
            good = value is None or (isinstance(value, np.ndarray) and value.ndim == 2)
        elif key == "cyclic":
            good = isinstance(value, bool)
        else:
            good = _is_number(value)
        expect(good, f"other values for {key!r} in a transform's state")
    return state


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _decode(saved: Any, depth: int) -> Any:
    expect(depth < 8, "a state that is not nested so deeply")
    if isinstance(saved, dict):
        if set(saved) == {"array"}:
            array = np.array(saved["array"], dtype=np.float64)
            expect(bool(np.isfinite(array).all()), "finite numbers")
            return array
        expect(set(saved) == {"items"}, "an array or items")
        return {int(key): _decode(value, depth + 1) for key, value in saved["items"]}
    if isinstance(saved, list):
        return [_decode(value, depth + 1) for value in saved]
    expect(saved is None or isinstance(saved, (bool, int, float)), "numbers in a transform's state")
    expect(not isinstance(saved, float) or math.isfinite(saved), "finite numbers")
    return saved
