"""Reading saved fits of every kind."""

from __future__ import annotations

from os import PathLike
from typing import Any

from raphson.fit import file, saving
from raphson.fit.fit import Fit
from raphson.fit.many import Fits
from raphson.fit.many_linear import LinearFits


def load(path: str | PathLike[str]) -> Fit | Any:
    """Read a fit that :meth:`Fit.save` wrote; of a fit of many groups, all of them.

    Raises
    ------
    DataError
        If the file is missing, incomplete, not a saved fit, or changed since it was written.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> fit = rp.glm("low ~ lwt", births, family="binomial")
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(f"{folder}/fit.json")
    ...     loaded = rp.load(f"{folder}/fit.json")
    >>> loaded.params.equals(fit.params)
    True
    """
    return file.read(path, _rebuilt)


def _rebuilt(body: dict[str, Any]) -> Fit | Fits:
    if "groups" not in body:
        return Fit(saving.rebuilt(body))
    return (LinearFits if "family" in body else Fits).loaded(body)
