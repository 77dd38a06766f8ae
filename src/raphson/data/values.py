"""The two kinds of variable in a formula: numbers, and factors with levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from raphson.cached import cached_property
from raphson.data.messages import check_unicode, listing, one_line
from raphson.errors import DataError

if TYPE_CHECKING:
    import pandas

_FEW = 4_096
"""Entries up to which each is looked at: keeping NumPy from warnings about the sum takes longer."""


@dataclass
class Numbers:
    """A numeric variable; missing values are NaN.

    Attributes
    ----------
    values : ndarray of float64, shape (n,) or (n, k)
    labels : tuple of str or None
        Names of the k columns of a transform such as ``poly`` or ``bs``.
    spans_intercept : bool
        Whether the k columns add up to the constant (a B-spline basis with its intercept).
    boolean : bool
        Whether the numbers are the truth values of a comparison (0 or 1).
    whole : bool
        Whether the column has a type of whole numbers.
    """

    values: np.ndarray
    labels: tuple[str, ...] | None = None
    spans_intercept: bool = False
    boolean: bool = False
    whole: bool = False

    @cached_property
    def total(self) -> float:
        """The sum of all entries: finite if they are, unless it overflows."""
        with np.errstate(all="ignore"):
            return float(self.values.sum())

    def absent(self) -> np.ndarray | None:
        """Mask of the rows with missing (not infinite) values; None if there are none."""
        mask = np.isnan(self.values)
        mask = mask if mask.ndim == 1 else np.asarray(mask.any(axis=1))
        return mask if mask.any() else None

    def bad(self) -> np.ndarray | None:
        """Mask of the rows that are not finite; None if there are none."""
        # The sum reads the column once, and is finite if all entries are (unless it overflows: then the mask
        # below is all False). Of a few entries the mask takes less time than keeping NumPy from warnings.
        if len(self.values) > _FEW:
            if math.isfinite(self.total):
                return None
        elif np.logical_and.reduce(np.isfinite(self.values), axis=None):
            return None
        mask = np.asarray(~np.isfinite(self.values))
        mask = mask if mask.ndim == 1 else np.asarray(mask.any(axis=1))
        return mask if mask.any() else None


@dataclass
class Levels:
    """A factor: codes into labels, -1 for missing values.

    Attributes
    ----------
    codes : ndarray of signed integers of any length, shape (n,)
    labels : tuple of str
        In order: sorted, or as declared.
    origin : str
        The type of the column: ``"text"``, ``"category"``, ``"boolean"`` or ``"number"``.
    contrasts : object or None
        formulaic's contrast coding; None for treatment contrasts.
    """

    codes: np.ndarray
    labels: tuple[str, ...]
    origin: str
    contrasts: Any = None

    def bad(self) -> np.ndarray | None:
        """Mask of the rows without a level; None if there are none."""
        if self.codes.min(initial=0) >= 0:
            return None
        return np.asarray(self.codes < 0)

    absent = bad


Variable = Numbers | Levels

REFUSED = "raphson: refused columns"
"""The attribute of a frame with the reason for each column that cannot be used, as not all files have it."""

_PROBE = 10_000
"""Rows that are looked at first for whether all levels occur: of 100 levels as frequent as each other they all do."""


def label_of(value: object) -> str:
    """The text of a level: 6.0 and 6 are both the level ``6``."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    return str(value)


def sliced(variable: Variable, rows: slice) -> Variable:
    """A run of a variable's rows, as a view."""
    if isinstance(variable, Levels):
        return Levels(variable.codes[rows], variable.labels, variable.origin, variable.contrasts)
    return Numbers(variable.values[rows], variable.labels, variable.spans_intercept, variable.boolean)


def as_levels(variable: Variable) -> Levels:
    """A variable as a factor; the levels of numbers are their distinct values, in order."""
    if isinstance(variable, Levels):
        return variable
    if variable.values.ndim != 1:
        raise DataError("formula: a transform with several columns cannot be a factor; use a single column")
    if variable.boolean:
        codes = np.where(np.isnan(variable.values), -1, variable.values == 1).astype(np.intp)
        return Levels(codes, ("False", "True"), "boolean")
    finite = np.isfinite(variable.values)
    distinct, inverse = np.unique(variable.values[finite], return_inverse=True)
    codes = np.full(variable.values.shape, -1, dtype=np.intp)
    codes[finite] = inverse
    return Levels(codes, tuple(label_of(value) for value in distinct), "number")


def drop_unused(variable: Levels) -> Levels:
    """Keep only the levels that occur, in their order (R's drop.unused.levels)."""
    # Moved up by one, so that a missing level (-1) is counted by itself.
    some = np.bincount(variable.codes[:_PROBE].astype(np.intp) + 1, minlength=len(variable.labels) + 1)
    if some[1:].all():
        return variable  # the first rows have them all
    present = variable.codes if variable.bad() is None else variable.codes[variable.codes >= 0]
    counts = np.bincount(present, minlength=len(variable.labels))
    if (counts > 0).all():
        return variable
    new_code = np.where(counts > 0, np.cumsum(counts > 0) - 1, -1)
    codes = np.where(variable.codes >= 0, new_code[variable.codes], -1)
    labels = tuple(label for label, count in zip(variable.labels, counts, strict=True) if count)
    return Levels(codes, labels, variable.origin, variable.contrasts)


def with_used_levels(variable: Variable, kept: np.ndarray | None) -> Variable:
    """The variable with only the levels that occur in the kept rows; numbers as they are."""
    if not isinstance(variable, Levels):
        return variable
    if kept is None:
        return drop_unused(variable)
    codes = np.full(len(variable.codes), -1, dtype=np.intp)
    codes[kept] = variable.codes[kept]
    return drop_unused(Levels(codes, variable.labels, variable.origin, variable.contrasts))


def recode(variable: Levels, labels: tuple[str, ...], what: str) -> Levels:
    """The factor coded by the given labels; raises a DataError for any other level."""
    if variable.labels == labels:
        return variable
    position = {label: code for code, label in enumerate(labels)}
    new_code = np.array([position.get(label, -1) for label in variable.labels] or [-1], dtype=np.intp)
    codes = np.where(variable.codes >= 0, new_code[variable.codes], -1)
    lost = np.unique(variable.codes[(variable.codes >= 0) & (codes < 0)])
    if lost.size:
        unseen = [repr(variable.labels[code]) for code in lost]
        raise DataError(
            f"{what}: expected the levels {listing(repr(label) for label in labels)}; got {listing(unseen)}. Drop "
            "those rows, or correct their labels"
        )
    return Levels(codes, labels, variable.origin, variable.contrasts)


class Table:
    """The columns of a frame as variables, each converted on first use.

    Parameters
    ----------
    frame : pandas.DataFrame
        With unique text column names, as :func:`raphson.data.read_table` gives it.
    """

    def __init__(self, frame: pandas.DataFrame) -> None:
        self.frame = frame
        self.n_rows = len(frame)
        self.names = tuple(frame.columns)
        self._variables: dict[str, Variable] = {}
        self._bad: dict[str, np.ndarray | None] = {}

    @cached_property
    def known(self) -> dict[str, None]:
        """The column names, in order and quick to look up."""
        return dict.fromkeys(self.names)

    def column(self, name: str) -> Variable:
        """A column as numbers or as a factor."""
        if name not in self._variables:
            if name in self.frame.attrs.get(REFUSED, {}):
                raise DataError(self.frame.attrs[REFUSED][name])
            self._variables[name] = read_series(cast("pandas.Series", self.frame[name]), name)
        return self._variables[name]

    def bad(self, name: str) -> np.ndarray | None:
        """Mask of the rows in which the column is missing or infinite; None if there are none."""
        if name not in self._bad:
            self._bad[name] = self.column(name).bad()
        return self._bad[name]


class ArrayTable(Table):
    """The columns of a dict of numbers, read without a frame.

    Parameters
    ----------
    columns : arrays (n,) of numbers by name.
    """

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self.arrays = columns
        self.names = tuple(columns)
        self.n_rows = len(columns[self.names[0]])
        self._variables: dict[str, Variable] = {}
        self._bad: dict[str, np.ndarray | None] = {}

    @staticmethod
    def of(source: Any) -> ArrayTable | None:
        """The columns of a dict; None unless all of them are NumPy's or Python's numbers, as many of each."""
        if type(source) is not dict or not source:
            return None
        columns: dict[str, np.ndarray] = {}
        for name, values in source.items():
            if type(values) is list and {*map(type, values)} <= {float, int}:
                values = np.asarray(values)
            if type(values) is not np.ndarray or values.dtype.kind not in "fiu" or values.itemsize > 8:
                return None
            if type(name) is not str or not name.isascii() or values.ndim != 1 or not len(values):
                return None
            columns[name] = values
        return ArrayTable(columns) if len({*map(len, columns.values())}) == 1 else None

    @cached_property
    def frame(self) -> pandas.DataFrame:  # type: ignore[override]
        import pandas as pd

        return pd.DataFrame(self.arrays)

    def column(self, name: str) -> Variable:
        if name not in self._variables:
            values = self.arrays[name]
            self._variables[name] = Numbers(values.astype(np.float64), whole=values.dtype.kind in "iu")
        return self._variables[name]


def as_series(array: Any, what: str) -> pandas.Series:
    """An array as a pandas column; raises a DataError if it cannot be one."""
    import pandas as pd

    try:
        return pd.Series(array)
    except UnicodeEncodeError:
        check_unicode(np.asarray(array).ravel(), what)
        raise
    except (ValueError, TypeError) as error:
        raise DataError(f"{what}: expected numbers or labels, one for each row: {one_line(error)}") from error


def read_series(series: pandas.Series, name: str) -> Variable:
    """A pandas column as numbers or as a factor; raises a DataError if it is neither."""
    variable = _read_series(series, name)
    if isinstance(variable, Levels):
        check_unicode(variable.labels, f"column {name!r}")
    return variable


def _read_series(series: pandas.Series, name: str) -> Variable:
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        labels = tuple(label_of(value) for value in dtype.categories)
        if len(set(labels)) != len(labels):
            raise DataError(
                f"column {name!r}: two of its categories have the same text ({listing(labels)}); rename one"
            )
        return Levels(series.cat.codes.to_numpy(), labels, "category")
    if isinstance(dtype, pd.SparseDtype):
        return read_series(series.sparse.to_dense(), name)
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"column {name!r} contains complex numbers; use real ones, such as its absolute values")
    if pd.api.types.is_bool_dtype(dtype):
        return as_levels(Numbers(_floats(series), boolean=True))
    if pd.api.types.is_numeric_dtype(dtype):
        return Numbers(_floats(series), whole=dtype.kind in "iu")
    if dtype.kind == "O" or isinstance(dtype, pd.StringDtype) or pd.api.types.is_string_dtype(dtype):
        return _read_objects(series, name)
    raise _neither(name, str(dtype))


_TIMES = frozenset(["date", "datetime", "datetime64", "time", "timedelta", "timedelta64", "period"])
"""What pandas calls objects that are dates or times."""


def _neither(name: str, kind: str) -> DataError:
    return DataError(
        f"column {name!r} has type {kind}, which is neither numbers nor a factor; "
        "turn dates and times into numbers first, such as days since a start"
    )


def _floats(series: pandas.Series) -> np.ndarray:
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy().astype(np.float64, copy=False)
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def _read_objects(series: pandas.Series, name: str) -> Variable:
    import pandas as pd

    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind == "string":
        codes, distinct = pd.factorize(series, sort=True)
        return Levels(codes.astype(np.intp, copy=False), tuple(str(value) for value in distinct), "text")
    if kind == "empty":
        return Numbers(np.full(len(series), np.nan))
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return Numbers(np.array([np.nan if pd.isna(v) else float(v) for v in series], dtype=np.float64))
    if kind == "boolean":
        numbers = [np.nan if pd.isna(v) else float(v) for v in series]
        return as_levels(Numbers(np.array(numbers), boolean=True))
    if kind in _TIMES:
        raise _neither(name, kind)
    if kind == "bytes":
        raise DataError(f"column {name!r} contains bytes; make them text, as with .str.decode('utf-8')")
    there = series.dropna()
    text = list(dict.fromkeys(value for value in there if isinstance(value, str)))
    if text and len(text) < len(there):
        raise DataError(
            f"column {name!r} contains numbers and text ({listing(map(repr, text), 6)}); make the text missing (NaN), "
            "as pandas.to_numeric(..., errors='coerce') does, or make it all text for a factor"
        )
    some = listing(repr(value) for value in there[:3])
    raise DataError(f"column {name!r} mixes types ({kind}), such as {some}; make it all numbers or all text")
