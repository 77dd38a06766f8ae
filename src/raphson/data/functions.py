"""The functions that expressions may call, and nothing else: this list is the fence."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np


class FormulaFunction(NamedTuple):
    """Kind and arguments of a function.

    Attributes
    ----------
    kind : str
        ``"elementwise"``, ``"stateful"`` (it keeps a state computed from the fit's data: a
        mean, knots), ``"factor"``, ``"contrast"``, ``"identity"``, ``"list"`` or
        ``"structure"`` (a part of the formula itself: offset, cbind).
    options : tuple of str
        The names of its keyword arguments, in the order of their positions after the first.
    most : int or None
        Most positional arguments; None for any number.
    """

    kind: str
    options: tuple[str, ...] = ()
    most: int | None = 1

    @property
    def takes_data(self) -> bool:
        """Whether its first argument is a column or an expression over columns."""
        return self.kind not in ("contrast", "list")


OF_NUMBERS: dict[str, tuple[str, int]] = {
    **{name: (name, 1) for name in ("exp", "log", "log10", "log2", "log1p", "expm1", "sqrt", "cbrt", "square")},
    **{name: (name, 1) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "sinc", "sign", "floor", "ceil")},
    **{f"a{name}": (f"arc{name}", 1) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"arc{name}": (f"arc{name}", 1) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "abs": ("abs", 1),
    "fabs": ("abs", 1),
    "atan2": ("arctan2", 2),
    "arctan2": ("arctan2", 2),
    "hypot": ("hypot", 2),
    "pow": ("power", 2),
    "power": ("power", 2),
    **{name: ("minimum", 2) for name in ("min", "pmin", "minimum")},
    **{name: ("maximum", 2) for name in ("max", "pmax", "maximum")},
    **{name: ("where", 3) for name in ("where", "ifelse")},
    "erf": ("special.erf", 1),
    "erfc": ("special.erfc", 1),
    "gamma": ("special.gamma", 1),
    **{name: ("special.gammaln", 1) for name in ("gammaln", "lgamma")},
    **{name: ("special.expit", 1) for name in ("expit", "logistic", "plogis")},
    **{name: ("special.logit", 1) for name in ("logit", "qlogis")},
    **{name: ("special.ndtr", 1) for name in ("pnorm", "ndtr")},
}
"""Function of numbers -> its name in NumPy and ``jax.numpy`` (or in their special functions), and its arity."""


def numpy_function(name: str) -> Any:
    """A function of numbers by NumPy or SciPy."""
    if name.startswith("special."):
        from scipy import special

        return getattr(special, name.removeprefix("special."))
    return getattr(np, name)


def bare(name: str) -> str:
    """A function's name without the module's that may stand before it."""
    for prefix in ("np.", "numpy.", "jnp.", "math."):
        name = name.removeprefix(prefix)
    return name


ELEMENTWISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    name: numpy_function(OF_NUMBERS[name][0])
    for name in ["log", "log10", "log2", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan", "floor", "ceil"]
}
"""What terms of formulas may apply to each number."""

CONSTANTS = {
    "TRUE": True,
    "FALSE": False,
    "True": True,
    "False": False,
    "pi": float(np.pi),
    "np.pi": float(np.pi),
}
"""Constants by name; a column of the same name takes precedence."""

_SPLINE = ("df", "knots", "lower_bound", "upper_bound", "constraints", "extrapolation")
_CONTRASTS: dict[str, tuple[str, ...]] = {
    "contr.treatment": ("base",),
    "contr.SAS": ("base",),
    "contr.sum": (),
    "contr.helmert": ("reverse", "scale"),
    "contr.diff": ("backward",),
    "contr.poly": ("scores",),
    "Treatment": ("reference",),
    "Sum": (),
    "Helmert": ("reverse", "scale"),
    "Diff": ("backward",),
    "Poly": ("scores",),
}

FUNCTIONS: dict[str, FormulaFunction] = {
    **{name: FormulaFunction("elementwise") for name in ELEMENTWISE},
    "I": FormulaFunction("identity"),
    "C": FormulaFunction("factor", ("contrasts", "levels"), 2),
    "factor": FormulaFunction("factor", ("levels",), 1),
    "as.factor": FormulaFunction("factor"),
    "relevel": FormulaFunction("factor", ("ref",), 2),
    "center": FormulaFunction("stateful"),
    "scale": FormulaFunction("stateful", ("center", "scale", "ddof"), 4),
    "standardize": FormulaFunction("stateful", ("center", "rescale", "ddof"), 4),
    "poly": FormulaFunction("stateful", ("degree", "raw"), 3),
    "bs": FormulaFunction(
        "stateful",
        ("df", "knots", "degree", "include_intercept", "lower_bound", "upper_bound", "extrapolation"),
        8,
    ),
    "cr": FormulaFunction("stateful", _SPLINE, 7),
    "cs": FormulaFunction("stateful", _SPLINE, 7),
    "cc": FormulaFunction("stateful", _SPLINE, 7),
    **{name: FormulaFunction("contrast", options, len(options)) for name, options in _CONTRASTS.items()},
    "c": FormulaFunction("list", (), None),
    "offset": FormulaFunction("structure"),
    "cbind": FormulaFunction("structure", (), 2),
}
"""Every function by its name in a formula."""

_KNOTS = frozenset(["lower_bound", "upper_bound", "knots"])
_SCALING = frozenset(["ddof", "center", "scale"])
STATE_KEYS: dict[str, frozenset[str]] = {
    "center": _SCALING,
    "scale": _SCALING,
    "standardize": _SCALING,
    "poly": frozenset(["alpha", "norms2"]),
    "bs": _KNOTS,
    "cr": _KNOTS | {"constraints", "cyclic"},
    "cs": _KNOTS | {"constraints", "cyclic"},
    "cc": _KNOTS | {"constraints", "cyclic"},
}
"""The state of each stateful function (``poly`` with raw powers has none)."""

FORMULAIC_NAMES = {"bs": "basis_spline", "cr": "natural_cubic_spline", "cs": "natural_cubic_spline",
                   "cc": "cyclic_cubic_spline"}  # fmt: skip
"""Names of stateful functions in formulaic.transforms that differ from those in formulas."""


SPLINES = frozenset(["cr", "cs", "cc"])
"""Transforms whose columns add up to 1 unless they are constrained."""


def function_name(name: str) -> str | None:
    """The listed name of a function (``log`` for ``np.log``); None if it is not listed."""
    short = bare(name) if bare(name) in ELEMENTWISE else name
    return short if short in FUNCTIONS else None


@cache
def allowed() -> str:
    """What a formula may contain, for messages."""
    called = [name for name, function in FUNCTIONS.items() if function.kind not in ("contrast", "structure")]
    return (
        "columns of the data (in backticks if the name is not plain), numbers, strings, lists of them, "
        f"+ - * / ^ ** // %, comparisons, and the functions {', '.join(called)}, offset, cbind and contr.*"
    )


@cache
def contrast_class(name: str) -> Any:
    """formulaic's class of the contrast coding that has this name in a formula."""
    from formulaic.transforms import contrasts

    return {
        "treatment": contrasts.TreatmentContrasts,
        "sas": contrasts.SASContrasts,
        "sum": contrasts.SumContrasts,
        "helmert": contrasts.HelmertContrasts,
        "diff": contrasts.DiffContrasts,
        "poly": contrasts.PolyContrasts,
    }[name.removeprefix("contr.").lower()]


def stateful_transform(name: str) -> Callable[..., Any]:
    """formulaic's implementation of a stateful function."""
    from formulaic import transforms
    from formulaic.transforms.patsy_compat import standardize

    return standardize if name == "standardize" else getattr(transforms, FORMULAIC_NAMES.get(name, name))
