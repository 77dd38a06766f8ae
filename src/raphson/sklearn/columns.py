"""Features as columns of a design: numbers as they are, categories as indicators of their levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from raphson.data import read_table
from raphson.data.matrices import sparse_design
from raphson.data.products import dense
from raphson.data.values import Levels, as_levels, drop_unused, read_series, recode
from raphson.errors import DataError, ModelError, first_of, one_line


def is_sparse(X: Any) -> bool:
    """Whether it is a sparse matrix or array of SciPy."""
    return hasattr(X, "tocsc") and hasattr(X, "nnz")


def is_frame(X: Any) -> bool:
    """Whether it is a data frame."""
    return hasattr(X, "columns") or hasattr(X, "column_names")


@dataclass(frozen=True)
class Features:
    """The rows of features, numbers and categories apart.

    Attributes
    ----------
    numbers : (n, d) the numeric features, an array or a sparse matrix.
    categories : the categorical ones, by position.
    """

    numbers: Any
    categories: Mapping[int, Levels] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.numbers.shape[0]

    def rows(self, kept: np.ndarray) -> Features:
        """Those that a mask (n,) selects, with the levels that occur in them."""
        there = {place: drop_unused(replace(one, codes=one.codes[kept])) for place, one in self.categories.items()}
        return Features(self.numbers[kept], there)


def categorical_positions(X: Any, asked: Any) -> list[int]:
    """The positions of the categorical features.

    Parameters
    ----------
    X : (n, p) features.
    asked : "from_dtype" for the columns of a data frame that are categorical, Enum or text; None for none; or a list of
        names, positions or p truth values.

    Raises
    ------
    ModelError
        If there is no such feature, or it is none of these.
    """
    if asked is None or (isinstance(asked, str) and asked == "from_dtype" and not is_frame(X)):
        return []
    if isinstance(asked, str):
        if asked != "from_dtype":
            raise _not_features(asked)
        frame = read_table(X)
        # Text that scikit-learn would read as numbers ("1.5") is text here too.
        return [place for place in range(frame.shape[1]) if _is_categorical(frame.iloc[:, place])]
    try:
        several = np.atleast_1d(np.asarray(asked))
    except ValueError:
        raise _not_features(asked) from None
    if several.ndim != 1 or several.dtype.kind not in "biuUO":
        raise _not_features(asked)
    names = list(read_table(X).columns) if is_frame(X) else []
    p = len(names) if is_frame(X) else np.shape(X)[1] if np.ndim(X) == 2 or is_sparse(X) else 0
    if several.dtype.kind == "b":
        if len(several) != p:
            raise ModelError(
                f"categorical_features: expected {p} truth values, one for each feature; got {len(several)}"
            )
        return np.flatnonzero(several).tolist()
    out: list[int] = []
    for one in several.tolist():
        if isinstance(one, str):
            if one not in names:
                known = first_of(map(repr, names)) if names else "none, as X is no data frame"
                raise ModelError(f"categorical_features: there is no feature {one!r}; the names are {known}")
            out.append(names.index(one))
        elif isinstance(one, int) and 0 <= one < p:
            out.append(one)
        else:
            raise ModelError(f"categorical_features: expected positions from 0 to {p - 1}; got {one_line(one)}")
    return sorted(set(out))


def in_pandas(X: Any) -> Any:
    """A data frame of any library as one of pandas, read once for all of its columns; anything else as it is."""
    return read_table(X) if is_frame(X) else X


def _not_features(asked: Any) -> ModelError:
    return ModelError(
        "categorical_features: expected 'from_dtype', None, or a list of names, positions or truth values; got "
        f"{one_line(asked)}"
    )


def _is_categorical(column: Any) -> bool:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if column.dtype.kind in "biufcMm":
        return False
    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "categorical")


def read_category(X: Any, place: int) -> Levels:
    """A categorical feature as a factor of the levels that occur.

    Raises
    ------
    DataError
        If a value is missing.
    """
    import pandas as pd

    if is_frame(X):
        column = read_table(X).iloc[:, place]
    elif is_sparse(X):
        raise ModelError("categorical_features: expected a data frame or an array; a sparse matrix has only numbers")
    else:
        column = pd.Series([row[place] for row in np.asarray(X, dtype=object)]).infer_objects()
    name = str(column.name) if is_frame(X) else f"x{place}"
    found = drop_unused(as_levels(read_series(column, name)))
    if (found.codes < 0).any():
        raise DataError(
            f"column {name!r}: contains NaN, a missing value; expected a level in each row. Impute it first"
        )
    return found


def numbers_of(X: Any, without: Sequence[int]) -> Any:
    """The features that are not categorical, as scikit-learn reads them; a column of zeros where there are none."""
    import pandas as pd

    if is_frame(X):
        frame = read_table(X)
        rest = frame.iloc[:, [place for place in range(frame.shape[1]) if place not in without]]
        return rest if rest.shape[1] else pd.DataFrame({"": np.zeros(len(frame))})
    values = np.asarray(X, dtype=object)
    rest = np.delete(values, list(without), axis=1)
    return rest if rest.shape[1] else np.zeros((len(values), 1))


@dataclass(frozen=True)
class Coding:
    """How features become the columns of a design.

    A factor's first level is the reference, which has no column. Without an intercept the first factor has a column for
    each level, as in a formula.

    Attributes
    ----------
    features : names of the features.
    levels : the levels of the categorical ones, by position.
    intercept : whether the first column is of ones.
    """

    features: tuple[str, ...]
    levels: Mapping[int, tuple[str, ...]]
    intercept: bool

    @property
    def whole(self) -> int | None:
        """The factor with a column for each level."""
        return None if self.intercept or not self.levels else min(self.levels)

    def shown(self, place: int) -> tuple[str, ...]:
        """The levels of a factor that have a column."""
        return self.levels[place] if place == self.whole else self.levels[place][1:]

    @property
    def names(self) -> list[str]:
        """Names of the columns, without that of ones."""
        out: list[str] = []
        for place, name in enumerate(self.features):
            if place in self.levels:
                treated = "" if place == self.whole else "T."
                out += [f"{name}[{treated}{level}]" for level in self.shown(place)]
            else:
                out.append(name)
        return out

    def recoded(self, features: Features) -> Features:
        """New rows, their categories coded by these levels.

        Raises
        ------
        DataError
            If there is a level that was not there.
        """
        known = {
            place: recode(one, self.levels[place], f"column {self.features[place]!r}")
            for place, one in features.categories.items()
        }
        return Features(features.numbers, known)

    def design(self, features: Features) -> Any:
        """The design (n, p): an array, or a matrix of tabmat where some columns are sparse or indicators."""
        X, n = features.numbers, len(features)
        if not self.levels and not is_sparse(X):
            return np.column_stack([np.ones(n), X]) if self.intercept else X
        import tabmat

        ones = [np.ones((n, 1))] if self.intercept else []
        dense, places = [*ones], [*([0] if ones else [])]
        parts: list[Any] = []
        indices: list[np.ndarray] = []
        at, number = len(ones), 0
        if is_sparse(X):
            parts, indices = [sparse_design(X)], [np.arange(at, at + X.shape[1])]
        else:
            for place in range(len(self.features)):
                if place not in self.levels:
                    dense.append(X[:, number : number + 1])
                    places.append(at)
                    at, number = at + 1, number + 1
                    continue
                width = len(self.shown(place))
                if width:
                    parts.append(self._indicators(features.categories[place], place))
                    indices.append(np.arange(at, at + width))
                at += width
        if dense:
            parts, indices = [tabmat.DenseMatrix(np.hstack(dense)), *parts], [np.array(places), *indices]
        return tabmat.SplitMatrix(parts, indices) if len(parts) > 1 else parts[0]

    def _indicators(self, one: Levels, place: int) -> Any:
        import pandas as pd
        import tabmat

        column = pd.Categorical.from_codes(one.codes, categories=list(one.labels))
        return tabmat.CategoricalMatrix(column, drop_first=place != self.whole)


def first_columns(design: Any, count: int) -> Any:
    """The first columns of a design; a matrix of tabmat becomes an array if some are left out."""
    if design.shape[1] == count:
        return design
    return np.ascontiguousarray(dense(design)[:, :count])
