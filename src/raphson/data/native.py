"""Tables in the user's own library of data frames: who brings polars or pyarrow gets polars or pyarrow back."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_TABLES = (("polars", "DataFrame"), ("polars", "LazyFrame"), ("pyarrow", "Table"))
"""The tables that results are given back as, by package and class. All others that are read give pandas."""


def library_of(source: Any) -> str | None:
    """ "polars" or "pyarrow" for a table of theirs; None for anything else.

    Examples
    --------
    >>> import polars, pandas
    >>> library_of(polars.DataFrame({"x": [1]})), library_of(pandas.DataFrame({"x": [1]})), library_of({"x": [1]})
    ('polars', None, None)
    """
    package = _package(source)
    if package == "narwhals":
        import narwhals as nw

        source = nw.to_native(source, pass_through=True)
        package = _package(source)
    return package if (package, type(source).__name__) in _TABLES else None


def _package(source: Any) -> str:
    return type(source).__module__.partition(".")[0]


def in_library(found: Any, library: str | None, name: str = "") -> Any:
    """A pandas Series or frame as one of another library, without its index; None for pandas.

    An index with a name, as that of the levels of a group, is the first column. Of a record, the fields that are Series
    or frames. A Series of polars has the given name, as pandas' has none. NaN stays NaN; what is missing in a column of
    anything but numbers is null.

    Examples
    --------
    >>> import pandas as pd
    >>> in_library(pd.DataFrame({"term": ["a", "b"], "estimate": [1.0, 2.0]}), "polars").shape
    (2, 2)
    """
    import pandas as pd

    if library is None:
        return found
    import narwhals as nw

    backend: Any = library
    if isinstance(found, pd.Series | pd.DataFrame) and found.index.name is not None:
        found = found.reset_index() if isinstance(found, pd.DataFrame) else found.rename(name).reset_index()
    if isinstance(found, pd.Series):
        return nw.new_series(name, _values(found), backend=backend).to_native()
    if isinstance(found, pd.DataFrame):
        return nw.from_dict(_columns(found), backend=backend).to_native()
    if is_dataclass(found) and not isinstance(found, type):
        inside = {field.name: getattr(found, field.name) for field in fields(found) if field.init}
        tables = {name: one for name, one in inside.items() if isinstance(one, pd.DataFrame)}
        tables |= {name: one.rename_axis(None) for name, one in inside.items() if isinstance(one, pd.Series)}
        return replace(found, **{name: in_library(one, library, name) for name, one in tables.items()})
    return found


def with_added(source: Any, kept: np.ndarray | None, added: pd.DataFrame) -> Any:
    """The kept rows of a table of polars or pyarrow, as it is, with further columns.

    Parameters
    ----------
    source : the table, n rows.
    kept : numbers of its rows; None for all.
    added : a row for each kept one.
    """
    import narwhals as nw

    frame: Any = nw.from_native(source)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if kept is not None:
        frame = frame[np.asarray(kept)]
    backend = frame.implementation
    columns = [nw.new_series(name, values, backend=backend) for name, values in _columns(added).items()]
    return frame.with_columns(*columns).to_native()


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns by name; of two of the same name, which pandas allows, the second gets another one."""
    out: dict[str, Any] = {}
    for place, name in enumerate(map(str, frame.columns)):
        while name in out:
            name += "_"
        out[name] = _values(frame.iloc[:, place])
    return out


def _values(column: pd.Series) -> Any:
    values = column.to_numpy()
    if values.dtype.kind in "biufMm":
        return np.ascontiguousarray(values)
    return [None if absent else one for one, absent in zip(column.tolist(), column.isna(), strict=True)]
