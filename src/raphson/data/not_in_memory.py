"""What stands where values by row would be, for rows that are streamed."""

from __future__ import annotations

from typing import Any

from raphson.errors import DataError


class NotInMemory:
    """Placeholder for values by row that are not in memory: any use of it raises a DataError."""

    def __init__(self, what: str) -> None:
        self._what = what

    def _refuse(self, *_: Any) -> Any:
        raise DataError(
            f"data: streamed rows are not kept in memory, so there is no access to {self._what}; for quantities by row "
            "fit a part of the data as a data frame, or predict for the rows of interest"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._refuse()

    __len__ = __iter__ = __getitem__ = __array__ = __eq__ = __ne__ = _refuse  # type: ignore[assignment]
    __mul__ = __rmul__ = __add__ = __radd__ = __sub__ = __rsub__ = __gt__ = __lt__ = _refuse
    __hash__ = object.__hash__
