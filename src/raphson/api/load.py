"""Reading saved fits of every kind."""

from __future__ import annotations

from os import PathLike

from raphson.fit import saving
from raphson.fit.fit import Fit


def load(path: str | PathLike[str]) -> Fit:
    """Read a fit that :meth:`Fit.save` wrote.

    Raises
    ------
    DataError
        If the file is missing, cut short, of another kind, or was changed since it was written.
    """
    return Fit(saving.read(path))
