"""Which rows can be used, and why the others cannot."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

import numpy as np

from raphson.data.evaluate import Evaluator
from raphson.data.expressions import Expression
from raphson.data.messages import listing, warn_missing
from raphson.data.values import Numbers, Table, Variable, as_levels
from raphson.errors import DataError

FEW = 4_096
"""Largest number of values that are looked at one by one, which takes a microsecond; of more their sum tells faster."""


@dataclass
class MissingRows:
    """Collects the rows with missing, infinite or undefined values, and the columns these are in.

    Attributes
    ----------
    n_rows : number of rows of the data.
    bad : (n_rows,) mask of the rows, or None.
    columns : the names of the columns, in order, by what is wrong with them.
    """

    n_rows: int
    bad: np.ndarray | None = None
    columns: dict[str, dict[str, None]] = field(default_factory=dict)

    def note(self, mask: np.ndarray | None, reason: str, name: str) -> None:
        """Mark rows as unusable because of ``name``."""
        if mask is None:
            return
        self.columns.setdefault(reason, {}).setdefault(name)
        self.bad = mask.copy() if self.bad is None else self.bad | mask

    def note_numbers(self, values: np.ndarray, name: str) -> None:
        """Mark the rows in which an array is missing or infinite."""
        if values.size <= FEW and np.count_nonzero(np.isfinite(values)) == values.size:
            return
        variable = Numbers(values)
        mask = variable.bad()
        if mask is not None:
            if np.isnan(values).any():
                self.note(mask, "missing values", name)
            if np.isinf(values).any():
                self.note(mask, "infinite values", name)

    def note_expression(
        self, expression: Expression, variable: Variable, evaluator: Evaluator, infinite: bool = False
    ) -> None:
        """Mark the rows in which the expression, or a column in it, is missing or infinite.

        With `infinite`, infinity is usable: to a density it may be a censored time.
        """
        raw = self._note_columns(expression, evaluator.table, infinite)
        mask = variable.absent() if infinite else variable.bad()
        if mask is None or isinstance(expression.tree, ast.Name):
            return
        # If all columns are finite in a row, a function is not: the log of a negative number, say.
        made = mask if raw is None else mask & ~raw
        if made.any():
            self.note(made, "values that are not finite", evaluator.origin_of(expression.tree, made))

    def _note_columns(self, expression: Expression, table: Table, infinite: bool) -> np.ndarray | None:
        together: np.ndarray | None = None
        for name in expression.columns:
            mask = table.column(name).absent() if infinite else table.bad(name)
            if mask is None:
                continue
            column = table.column(name)
            values = column.values if isinstance(column, Numbers) else None
            if values is None or np.isnan(values).any():
                self.note(mask, "missing values", name)
            if values is not None and not infinite and np.isinf(values).any():
                self.note(mask, "infinite values", name)
            together = mask if together is None else together | mask
        return together

    def absorb(self, other: MissingRows) -> None:
        """Add the reasons of other rows."""
        for reason, names in other.columns.items():
            self.columns.setdefault(reason, {}).update(names)

    def reasons(self) -> str:
        """The reasons for messages: ``missing values in Ozone, Solar.R``."""
        return "; ".join(f"{reason} in {listing(names)}" for reason, names in self.columns.items())

    def usable(self, missing: str) -> np.ndarray | None:
        """The rows to use.

        Parameters
        ----------
        missing : {"drop", "raise", "nan"}
            ``"drop"`` warns of the rows left out; with ``"nan"`` the caller handles them.

        Returns
        -------
        ndarray of int or None
            The positions of the usable rows; None if all are.

        Raises
        ------
        DataError
            With ``"raise"``, if a row is unusable; with ``"drop"``, if none is left.
        """
        if self.bad is None:
            return None
        refuse_or_warn(missing, self.reasons(), int(self.bad.sum()), self.n_rows)
        return np.flatnonzero(~self.bad)


def refuse_or_warn(missing: str, reasons: str, count: int, n_rows: int) -> None:
    """Refuse or warn of `count` unusable rows of `n_rows`, as ``missing=`` says: see :meth:`MissingRows.usable`."""
    if missing == "raise":
        raise DataError(
            f'data: {reasons}, in {count} of {n_rows} rows; fill them in, or drop those rows with missing="drop"'
        )
    if missing == "drop":
        if count == n_rows:
            raise DataError(f"data: all {n_rows} rows have {reasons}, so none is left; correct those columns")
        warn_missing(f"{count} of {n_rows} rows dropped for {reasons}")


def evaluate_all(
    expressions: tuple[Expression, ...], evaluator: Evaluator, rows: MissingRows, infinite: bool = False
) -> list[Variable]:
    """Evaluate expressions and mark the rows in which they cannot be used."""
    variables: list[Variable] = []
    for expression in expressions:
        variable = evaluator.variable(expression)
        rows.note_expression(expression, variable, evaluator, infinite)
        # A boolean variable is a factor with the levels False and True, as in R.
        boolean = isinstance(variable, Numbers) and variable.boolean
        variables.append(as_levels(variable) if boolean else variable)
    return variables
