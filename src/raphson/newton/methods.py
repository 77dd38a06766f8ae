"""The methods: each θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), a curvature M, a linear solver and a search for α.

A new method is a new line in the table, or a call of :func:`register` from anywhere else.
"""
# pyright: strict

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal

from raphson.errors import ModelError, one_line
from raphson.model.objective import Evaluation, Need
from raphson.newton.curvature import EXPECTED, IDENTITY, OBSERVED, OUTER_PRODUCT, Curvature
from raphson.newton.search import Accepted, Search, backtracking, full_step, wolfe
from raphson.newton.training.steps import ADAPTIVE, RATES

__all__ = [
    "METHODS",
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
    solver: Solver
    search: Search | None
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


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
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
    )
}


BUILT_IN = frozenset(METHODS)


def register(
    name: str,
    curvature: Curvature[Any],
    *,
    search: Search = backtracking,
    max_iter: int = 1000,
) -> Method:
    """Add a method of one's own: every door takes its name from here on.

    Parameters
    ----------
    name : as users will type it, in lower case. That of an earlier one of one's own is replaced.
    curvature : what M is, and how it solves.
    search : how α is found along a direction: :func:`backtracking`, :func:`wolfe`, :func:`full_step`, or a function
        like them.
    max_iter : steps allowed unless the user says otherwise.

    Raises
    ------
    ModelError
        If the name is that of a method of the package, or not in lower case, or `curvature` is none.

    Examples
    --------
    >>> class Fixed(Curvature[None]):
    ...     matrix = "a tenth of the identity"
    ...     def init(self, here): return None
    ...     def update(self, learned, before, after): return None
    ...     def solve(self, learned, here, free): return 10 * here.score
    >>> register("fixed", Fixed()).matrix
    'a tenth of the identity'
    >>> del METHODS["fixed"]
    """
    if not isinstance(name, str) or name != _key(name) or not name or name in BUILT_IN:  # pyright: ignore[reportUnnecessaryIsInstance]
        taken = "is a method of the package" if name in BUILT_IN else "is none"
        raise ModelError(f"name: expected a new name in lower case, with hyphens; {name!r} {taken}")
    if not isinstance(curvature, Curvature):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(
            f"curvature: expected an object of a subclass of rp.methods.Curvature; got {one_line(curvature)}"
        )
    METHODS[name] = Method(name, curvature, "none", search, max_iter)
    return METHODS[name]


def _key(name: Any) -> str:
    return str(name).lower().replace("_", "-")


def resolve_method(name: str) -> Method:
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
    key = _key(name)
    if key in METHODS:
        return METHODS[key]
    near = difflib.get_close_matches(key, METHODS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ModelError(f"method: expected one of {', '.join(METHODS)}; got {name!r}{hint}")
