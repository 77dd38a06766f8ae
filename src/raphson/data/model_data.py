"""The data of a model: a response, a design matrix, and the rows to which they belong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from raphson.frozen import frozen

if TYPE_CHECKING:
    import pandas
    import tabmat

    from raphson.data.crossed import Crossed
    from raphson.data.factor_design import FactorDesign
    from raphson.data.pieced_design import PiecedDesign
    from raphson.data.schema import Schema
    from raphson.data.varying.term import VaryingTerm
    from raphson.data.watching import Watch

    Matrix: TypeAlias = np.ndarray | PiecedDesign | FactorDesign | tabmat.MatrixBase
else:
    Matrix: TypeAlias = Any


def take_rows(X: Matrix, rows: np.ndarray) -> Matrix:
    """Some rows of a design matrix of any kind."""
    return cast("Matrix", X[rows])


def take_columns(X: Matrix, columns: list[int]) -> Matrix:
    """Some columns of a design matrix of any kind."""
    return cast("Matrix", X[:, columns])


@frozen
class Response:
    """The response as it is in the data, before a family interprets it.

    Attributes
    ----------
    name : str
        Its text in the formula; for arrays the Series' name, or ``"y"``.
    values : ndarray of float64, shape (n,) or (n, 2)
        The numbers; the codes 0..L-1 of a categorical response; two columns
        (successes, failures) for ``cbind``.
    levels : tuple of str or None
        The labels of the codes if the response is text, categorical or boolean.
    precision : ndarray of float64, shape (n,), or None
        The weights of kind "precision": of proportions these may be the numbers of trials, as in R.
    """

    name: str
    values: np.ndarray
    levels: tuple[str, ...] | None = None
    precision: np.ndarray | None = None

    def weighted(self, weights: np.ndarray | None, kind: str) -> Response:
        """The response with its weights, if their kind is "precision"."""
        return self if weights is None or kind != "precision" else replace(self, precision=weights)


@frozen
class ModelData:
    """The data of a model: n rows without missing values, p design columns.

    Attributes
    ----------
    X : ndarray of float64, shape (n, p), C order; a design in 32 bits or of factors; or a tabmat matrix
        The design. It may share memory with the user's array, and is never written to.
    names : tuple of str
        The p column names.
    response : Response
    weights, offset, trials : ndarray of float64, shape (n,), or None
    groups : ndarray of int64, shape (n,), or None
        Cluster numbers 0..G-1.
    index : ndarray of int, shape (n,), or None
        Positions of the kept rows in the original data; None if every row was kept.
    n_dropped : int
    labels : pandas.Index or None
        The index of *all* rows of a pandas frame, for results by row.
    schema : Schema
        Rebuilds the design for new data.
    has_intercept : bool
        Whether the columns span the constant, as the formula or a constant column says.
    terms : dict
        The numbers of the columns of each term.
    watch : Watch or None
        Detects changes of the user's own arrays.
    by : ndarray of int64, shape (n,), or None
        Number of the group of each row, where every group is fitted by itself.
    by_labels : tuple
        The labels of these groups.
    crossed : Crossed or None
        XᵀX and Xᵀy where they were summed up while the design was read; of the arrays that they name.
    varying : tuple of VaryingTerm
        The terms whose coefficients vary, besides the design; of the same rows.
    """

    X: Matrix
    names: tuple[str, ...]
    response: Response
    weights: np.ndarray | None
    offset: np.ndarray | None
    trials: np.ndarray | None
    groups: np.ndarray | None
    index: np.ndarray | None
    n_dropped: int
    labels: pandas.Index | None
    schema: Schema
    has_intercept: bool
    terms: dict[str, tuple[int, ...]]
    watch: Watch | None = None
    by: np.ndarray | None = None
    by_labels: tuple[Any, ...] = ()
    crossed: Crossed | None = None
    varying: tuple[VaryingTerm, ...] = ()


def common_rows(parts: list[NewData]) -> list[NewData]:
    """Several designs of the same new data, restricted to the rows that all of them have."""
    indices = [part.index for part in parts if part.index is not None]
    if not indices:
        return parts
    kept = reduce(np.intersect1d, indices)
    cut = []
    for part in parts:
        here = kept if part.index is None else np.searchsorted(part.index, kept)
        total = part.X.shape[0] + part.n_dropped
        offset = None if part.offset is None else part.offset[here]
        varying = tuple(term.take_rows(here) for term in part.varying)
        X, dropped = take_rows(part.X, here), total - len(kept)
        cut.append(NewData(X, offset, kept, dropped, part.labels, varying=varying))
    return cut


@dataclass(frozen=True, slots=True)
class NewData:
    """The design of new data, built as the fit's; see :class:`ModelData` for the other attributes.

    Attributes
    ----------
    absent : (n,) mask of the rows that were kept although something is missing; None if nothing is.
    varying : the terms whose coefficients vary, with the fit's levels, for the same rows.
    """

    X: Matrix
    offset: np.ndarray | None
    index: np.ndarray | None
    n_dropped: int
    labels: pandas.Index | None
    absent: np.ndarray | None = None
    varying: tuple[VaryingTerm, ...] = ()
