"""The methods: each θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), a curvature M, a linear solver and a search for α.

A new method is a new line in the table, or a call of :func:`register` from anywhere else.
"""
# pyright: strict

from __future__ import annotations

from dataclasses import dataclass
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
    """Three parts.

    Attributes
    ----------
    name : as users type it.
    curvature : what M is.
    solver : of (M + τD) d = ∇ℓ where M is an information: "cholesky" (changes over to QR by itself where that is
        needed), "qr" (weighted least squares on the tall matrix), or "cg" (products M v only). "none" where M solves
        by itself, and "batch" where a step reads some rows (:mod:`raphson.newton.training`).
    search : how α is found; None for a trust region, which finds τ instead, and for a learning rate.
    max_iter : steps allowed unless the user says otherwise.
    """

    name: str
    curvature: Curvature[Any]
    solver: Solver = "none"
    search: Search | None = backtracking
    max_iter: int = 100

    @property
    def matrix(self) -> str:
        """What M is, in words."""
        if self.solver == "batch":
            return "√ of running squares" if self.name in ADAPTIVE else self.curvature.matrix
        return f"{self.curvature.matrix} + τD" if self.search is None else self.curvature.matrix

    @property
    def informed(self) -> bool:
        """Whether M is an information, so that the iteration may begin with the weighted least squares problem."""
        return self.curvature.kind is not None

    def need(self, root: bool, near: bool) -> Need:
        """What to ask of an evaluation.

        Convergence is measured with the observed information whatever M the method steps with; it is asked
        for once the method's own measure says that the maximum is near.
        """
        if self.solver == "cg":
            return Need(kinds=("observed",), products=True)
        kinds = self.curvature.kinds
        if near or not self.curvature.in_standard_errors:
            kinds = (*kinds, "observed")
        return Need(kinds=tuple(dict.fromkeys(kinds)), root=root)


def _check(method: Method) -> None:
    """Refuse what is no method, or one whose parts do not go together."""
    if not isinstance(method, Method):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"methods.register: expected an rp.methods.Method; got {one_line(method)}")
    how, own = "methods.register", method.curvature
    if not isinstance(own, Curvature):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"{how}: expected an object of a subclass of rp.methods.Curvature; got {one_line(own)}")
    for kind in own.kinds:
        check_choice(f"{how}: kinds", kind, get_args(Kind))
    if method.solver not in (("none",) if own.kind is None else ("none", "cholesky", "qr", "cg")):
        raise ModelError(
            f"{how}: expected the solver 'none' with a curvature that solves by itself, and 'cholesky', 'qr' or 'cg' "
            f"with one of the informations; got {method.solver!r}"
        )
    if method.search is None and method.solver != "qr":
        raise ModelError(f"{how}: search: a trust region, search=None, takes solver='qr'; got {method.solver!r}")
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
    METHODS.own(_method.name, _method)


def register(method: Method) -> Method:
    """Add a method of one's own: every door takes its name from here on.

    Parameters
    ----------
    method : its name, what M is, and how α is found: by :func:`backtracking`, :func:`wolfe`, :func:`full_step`, or a
        function like them. One of the same name that was registered before goes.

    Raises
    ------
    ModelError
        If it is no method, its name is that of one that comes with Raphson, or its parts do not go together.

    Examples
    --------
    Newton's method with a line search, of parts that are there:

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
    """The method of that name.

    Raises
    ------
    ModelError
        If there is none; the message suggests the nearest.

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
