"""Reading saved fits of every kind."""

from __future__ import annotations

from os import PathLike
from typing import Any

from raphson.fit import network_saving, saving
from raphson.fit.fit import Fit
from raphson.fit.likelihood import LikelihoodFit
from raphson.fit.network import NetworkFit
from raphson.model.likelihood.saved import is_likelihood


def load(path: str | PathLike[str]) -> Fit:
    """Read a fit that :meth:`Fit.save` wrote.

    Raises
    ------
    DataError
        If the file is missing, cut short, of another kind, or was changed since it was written.
    """
    return saving.read(path, _rebuilt)


def _rebuilt(body: dict[str, Any]) -> Fit:
    if "network" in body:
        return network_saving.rebuilt(body, NetworkFit)
    return saving.rebuilt(body, LikelihoodFit if is_likelihood(body.get("family")) else Fit)
