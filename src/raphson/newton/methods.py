"""The methods θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ): each is a curvature M, a linear solver and a search for α.

A new method is a new line in the table, or a call of :func:`register` from elsewhere.
"""
# pyright: strict

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from raphson.errors import ModelError, check_choice, one_line, takes
from raphson.model.objective import Evaluation, Kind, Need
from raphson.newton.curvature import EXPECTED, IDENTITY, OBSERVED, OUTER_PRODUCT, Curvature
from raphson.newton.search import Accepted, Search, backtracking, full_step, wolfe
from raphson.newton.training.steps import ADAPTIVE, RATES
from raphson.registry import Registry

__all__ = [
    "EXPECTED",
    "IDENTITY",
    "METHODS",
    "OBSERVED",
    "OUTER_PRODUCT",
    "Accepted",
    "Curvature",
    "Evaluation",
    "Method",
    "backtracking",
    "full_step",
    "register",
    "resolve_method",
    "wolfe",
]

Solver = Literal["cholesky", "qr", "cg", "none", "batch"]


@dataclass(frozen=True)
class Method:
    """A method: curvature, solver and search.

    Attributes
    ----------
    name : as users type it.
    curvature : the matrix M.
    solver : of (M + τD) d = ∇ℓ if M is an information: "cholesky" (switches to QR when necessary), "qr" (weighted least
        squares on the rows), or "cg" (products M v only). "none" if the curvature solves by itself, and "batch" if a
        step reads a batch of rows (:mod:`raphson.newton.training`).
    search : finds α; None for a trust region, which finds τ instead, and for a learning rate.
    max_iter : default for the largest number of steps.

    Examples
    --------
    >>> import raphson as rp
    >>> method = rp.methods.resolve_method("irls")
    >>> method.name, method.matrix, method.solver
    ('irls', 'expected', 'qr')
    """

    name: str
    curvature: Curvature[Any]
    solver: Solver = "none"
    search: Search | None = backtracking
    max_iter: int = 100

    @property
    def matrix(self) -> str:
        """A description of M."""
        if self.solver == "batch":
            return "√ of running squares" if self.name in ADAPTIVE else self.curvature.matrix
        return f"{self.curvature.matrix} + τD" if self.search is None else self.curvature.matrix

    @property
    def informed(self) -> bool:
        """Whether M is an information, so that the iteration can start with a weighted least squares problem."""
        return self.curvature.kind is not None

    def need(self, root: bool, near: bool) -> Need:
        """What an evaluation has to compute.

        Convergence is measured with the observed information, whatever M is. It is evaluated once the maximum is near
        by the method's own measure.
        """
        if self.solver == "cg":
            return Need(kinds=("observed",), products=True)
        kinds = self.curvature.kinds
        if near or not self.curvature.in_standard_errors:
            kinds = (*kinds, "observed")
        return _need(tuple(kinds), root)


@cache
def _need(kinds: tuple[Kind, ...], root: bool) -> Need:
    return Need(kinds=tuple(dict.fromkeys(kinds)), root=root)


def _check(method: Method) -> None:
    """Refuse anything but a method with compatible parts."""
    if not isinstance(method, Method):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"methods.register: expected an rp.methods.Method; got {one_line(method)}")
    how, own = "methods.register", method.curvature
    if not isinstance(own, Curvature):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"{how}: expected an object of a subclass of rp.methods.Curvature; got {one_line(own)}")
    for kind in own.kinds:
        check_choice(f"{how}: kinds", kind, get_args(Kind))
    if method.solver not in (("none",) if own.kind is None else ("none", "cholesky", "qr", "cg")):
        raise ModelError(
            f"{how}: solver: expected 'none', or 'cholesky', 'qr' or 'cg' if the curvature is an information; got "
            f"{method.solver!r}"
        )
    if method.search is None and method.solver != "qr":
        raise ModelError(f"{how}: solver: expected 'qr' with search=None, a trust region; got {method.solver!r}")
    if method.search is not None and not takes(method.search, 5):
        raise ModelError(
            f"{how}: search: expected rp.methods.backtracking, wolfe, full_step or a function (evaluate, here, step, "
            f"slope, first) like them; got {one_line(method.search)}"
        )
    if not isinstance(method.max_iter, int) or method.max_iter < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"{how}: max_iter: expected a whole number, 1 or more; got {one_line(method.max_iter)}")


METHODS = Registry[Method]("method", "method", "methods", "methods.register", _check)
"""The methods by name."""

for _method in (
    Method("newton", OBSERVED, "cholesky", backtracking),
    Method("fisher-scoring", EXPECTED, "cholesky", backtracking),
    Method("irls", EXPECTED, "qr", backtracking),
    Method("gauss-newton", EXPECTED, "qr", full_step),
    Method("modified-gauss-newton", EXPECTED, "qr", backtracking),
    Method("levenberg-marquardt", EXPECTED, "qr", None, max_iter=500),
    Method("bhhh", OUTER_PRODUCT, "cholesky", wolfe, max_iter=500),
    Method("newton-cg", OBSERVED, "cg", backtracking),
    Method("gradient-descent", IDENTITY, "none", backtracking, max_iter=10_000),
    *(Method(name, IDENTITY, "batch", None) for name in RATES),
):
    METHODS.add_builtin(_method.name, _method)


def register(method: Method) -> Method:
    """Add your own method, so that ``method=`` accepts its name everywhere.

    Parameters
    ----------
    method : with its name, M, and the search for α: :func:`backtracking`, :func:`wolfe`, :func:`full_step`, or a
        function like these. It replaces a method that was registered before under the same name.

    Raises
    ------
    ModelError
        If it is not a method, has the name of one of Raphson's methods, or its parts are not compatible.

    Examples
    --------
    Newton's method with a line search, from existing parts:

    >>> import raphson as rp
    >>> searched = rp.methods.Method("newton_searched", OBSERVED, "cholesky", wolfe)
    >>> rp.methods.register(searched).matrix
    'observed'
    >>> births = rp.datasets.load("births")
    >>> rp.glm("low ~ smoke", births, family="binomial", method="newton-searched").method
    'newton_searched'
    """
    return METHODS.register(getattr(method, "name", None), method)


def resolve_method(name: object) -> Method:
    """The method with this name.

    Raises
    ------
    ModelError
        If there is none; the message suggests the most similar name.

    Examples
    --------
    >>> resolve_method("irls").solver
    'qr'
    """
    if isinstance(name, Method):
        raise ModelError(
            f"method: it is asked for by its name; register it with rp.methods.register(...), then method={name.name!r}"
        )
    return METHODS.find(str(name))
