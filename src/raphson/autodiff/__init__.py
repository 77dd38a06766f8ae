"""Derivatives of any function, exact or by finite differences, and its decomposition into elementary steps."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raphson.autodiff.decomposition import Decomposition, decompose
    from raphson.autodiff.derivatives import finite_difference, gradient, hessian, hvp, jacobian
    from raphson.autodiff.expansion import TaylorExpansion, taylor
    from raphson.autodiff.layers import backpropagate
    from raphson.autodiff.resolution import precision

_WHERE = {
    "Decomposition": "decomposition",
    "TaylorExpansion": "expansion",
    "backpropagate": "layers",
    "decompose": "decomposition",
    "finite_difference": "derivatives",
    "gradient": "derivatives",
    "hessian": "derivatives",
    "hvp": "derivatives",
    "jacobian": "derivatives",
    "precision": "resolution",
    "taylor": "expansion",
}

__all__ = [
    "Decomposition",
    "TaylorExpansion",
    "backpropagate",
    "decompose",
    "finite_difference",
    "gradient",
    "hessian",
    "hvp",
    "jacobian",
    "precision",
    "taylor",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'raphson.autodiff' has no attribute {name!r}")
    value = getattr(import_module(f"raphson.autodiff.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
