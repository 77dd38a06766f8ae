"""What the pieces of streamed data contain of a variable: whether it is numbers, and which levels it has."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from raphson.data.frames import MOST_LEVELS
from raphson.data.values import Levels, Numbers, Variable
from raphson.errors import DataError


@dataclass
class SeenVariable:
    """What the pieces so far contain of one variable.

    Attributes
    ----------
    text : the expression, for messages.
    first : the first piece of it that has values.
    orders, occurring : the orders of levels that occurred, and the levels.
    numeric, declared : whether it was numbers somewhere, or had declared categories.
    whole : whether it was of a type of whole numbers, none of them missing, in all pieces.
    """

    text: str
    first: Variable | None = None
    orders: dict[tuple[str, ...], None] = field(default_factory=dict)
    occurring: set[str] = field(default_factory=set)
    numeric: bool = False
    declared: bool = False
    whole: bool = True

    def take(self, variable: Variable, kept: np.ndarray | None, kind: str) -> None:
        """Add one piece."""
        if isinstance(variable, Numbers):
            self.whole = self.whole and variable.whole and variable.absent() is None
            self._check_width(variable)
            if not self.numeric:
                self.numeric = not bool(np.isnan(variable.values).all())
                if self.first is None:
                    # Of numbers only the names of the columns are needed.
                    self.first = replace(variable, values=variable.values[:1])
        else:
            self.whole = self.whole and variable.origin == "boolean" and variable.absent() is None
            self.declared = self.declared or kind == "declared"
            if not isinstance(self.first, Levels):
                self.first = replace(variable, codes=variable.codes[:0])
            codes = variable.codes if kept is None else variable.codes[kept]
            self.orders.setdefault(variable.labels)
            here = np.bincount(codes[codes >= 0], minlength=len(variable.labels)) > 0
            self.occurring.update(label for label, occurs in zip(variable.labels, here, strict=True) if occurs)
        self._check()

    def join(self, other: SeenVariable) -> None:
        """Add what was found in the pieces that follow."""
        if isinstance(other.first, Levels):
            if not isinstance(self.first, Levels):
                self.first = other.first
        elif other.first is not None:
            self._check_width(other.first)
            self.first = self.first or other.first
        self.orders |= other.orders
        self.occurring |= other.occurring
        self.numeric = self.numeric or other.numeric
        self.declared = self.declared or other.declared
        self.whole = self.whole and other.whole
        self._check()

    def _check(self) -> None:
        """Refuse too many levels, and levels that are numbers elsewhere.

        Raises
        ------
        DataError
        """
        if len(self.occurring) > MOST_LEVELS or len(self.orders) > MOST_LEVELS:
            raise DataError(
                f"column {self.text!r} has more than {MOST_LEVELS} different values; leave it out if it is an "
                "identifier, or convert it if it is numbers stored as text"
            )
        if self.numeric and isinstance(self.first, Levels):
            raise DataError(
                f"column {self.text!r} is text in some files and numbers in others; give it one type in all"
            )

    def agrees(self, variable: Variable) -> bool:
        """Whether :meth:`take` of a variable, all of whose rows are usable, would change nothing of what is known."""
        if isinstance(variable, Numbers):
            alike = isinstance(self.first, Numbers) and self.first.values.shape[1:] == variable.values.shape[1:]
            return alike and self.whole == variable.whole
        if not isinstance(self.first, Levels) or self.first.origin != variable.origin:
            return False
        if variable.labels not in self.orders:
            # Other levels are missing here than in the first rows, which changes no order that is alphabetical.
            ordered = all(list(order) == sorted(order) for order in (variable.labels, *self.orders))
            if self.declared or self.first.origin != "text" or not ordered:
                return False
        here = np.bincount(variable.codes, minlength=len(variable.labels)) > 0
        return self.occurring.issuperset(label for label, occurs in zip(variable.labels, here, strict=True) if occurs)

    def _check_width(self, variable: Numbers) -> None:
        """Refuse a matrix with another number of columns than before."""
        before, now = getattr(self.first, "values", variable.values).shape[1:], variable.values.shape[1:]
        if before != now:
            widths = " and ".join(f"{one[0]} numbers" if one else "one number" for one in (before, now))
            raise DataError(f"column {self.text!r} has {widths} in a row; give it the same number in all rows")

    @property
    def boolean(self) -> bool:
        """Whether it is a boolean variable, which always has both levels as a response."""
        return isinstance(self.first, Levels) and self.first.origin == "boolean"

    def variable(self, text: str, unused: bool = False) -> Variable:
        """The variable of all pieces together, with its levels, also `unused` ones, but no data (a row at most)."""
        if self.first is None:
            raise DataError(f"data: no row of {text!r} could be read; check the files")
        if not isinstance(self.first, Levels):
            return self.first
        labels = self._ordered(self.first.origin)
        if not unused:
            labels = tuple(label for label in labels if label in self.occurring)
        return replace(self.first, labels=labels, codes=np.arange(len(labels)))

    def _ordered(self, origin: str) -> tuple[str, ...]:
        orders = list(self.orders)
        if len(orders) == 1:
            return orders[0]
        every = dict.fromkeys(label for order in orders for label in order)
        if self.declared:
            return tuple(every)
        if origin == "number":
            return tuple(sorted(every, key=float))
        leads = {order[0] for order in orders if order}
        if len(leads) == 1 and any(list(order) != sorted(order) for order in orders):
            lead = leads.pop()  # relevel(x, ref=lead)
            return (lead, *sorted(label for label in every if label != lead))
        return tuple(sorted(every))
