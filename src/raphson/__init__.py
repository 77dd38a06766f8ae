"""Raphson fits statistical models by maximum likelihood, with exact derivatives, and says how far to trust the fit.

Everything is imported when it is first used, so that ``import raphson`` takes almost no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raphson import numeric as numeric  # records the importing process, as its forks cannot use its JAX
from raphson.errors import (
    ConvergenceError,
    ConvergenceWarning,
    DataError,
    FormulaError,
    MissingDataWarning,
    ModelError,
    RankWarning,
    RaphsonError,
    SeparationWarning,
)
from raphson.hints import hint
from raphson.lazy import on_request

__version__ = "0.1.0"

if TYPE_CHECKING:
    from raphson import autodiff, datasets, execute, sklearn
    from raphson.api.compare import compare
    from raphson.api.glm import glm
    from raphson.api.load import load
    from raphson.api.mle import mle
    from raphson.api.network import network
    from raphson.api.nls import nls
    from raphson.api.simulate import simulate_coverage
    from raphson.api.table import table
    from raphson.data.readers import read
    from raphson.data.sources import stream
    from raphson.fit.anova import anova
    from raphson.fit.fit import Fit
    from raphson.model import families
    from raphson.model.likelihood import densities
    from raphson.newton import methods
    from raphson.status import Status

_WHERE = {
    "glm": ("raphson.api.glm", "glm"),
    "mle": ("raphson.api.mle", "mle"),
    "nls": ("raphson.api.nls", "nls"),
    "network": ("raphson.api.network", "network"),
    "compare": ("raphson.api.compare", "compare"),
    "densities": ("raphson.model.likelihood.densities", None),
    "Fit": ("raphson.fit.fit", "Fit"),
    "load": ("raphson.api.load", "load"),
    "anova": ("raphson.fit.anova", "anova"),
    "sklearn": ("raphson.sklearn", None),
    "Status": ("raphson.status", "Status"),
    "read": ("raphson.data.readers", "read"),
    "stream": ("raphson.data.sources", "stream"),
    "table": ("raphson.api.table", "table"),
    "simulate_coverage": ("raphson.api.simulate", "simulate_coverage"),
    "families": ("raphson.model.families", None),
    "methods": ("raphson.newton.methods", None),
    "execute": ("raphson.execute", None),
    "autodiff": ("raphson.autodiff", None),
    "datasets": ("raphson.datasets", None),
}

__all__ = [
    "ConvergenceError",
    "ConvergenceWarning",
    "DataError",
    "Fit",
    "FormulaError",
    "MissingDataWarning",
    "ModelError",
    "RankWarning",
    "RaphsonError",
    "SeparationWarning",
    "Status",
    "anova",
    "autodiff",
    "compare",
    "datasets",
    "densities",
    "execute",
    "families",
    "glm",
    "load",
    "methods",
    "mle",
    "network",
    "nls",
    "read",
    "simulate_coverage",
    "sklearn",
    "stream",
    "table",
]


if not TYPE_CHECKING:  # otherwise a type checker would accept any name
    __getattr__ = on_request(__name__, _WHERE, lambda name: hint("package", name, __all__, "rp."))


def __dir__() -> list[str]:
    return sorted(__all__)
