"""The methods: each θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), a curvature M, a linear solver and a search for α.

A new method is a new line in the table at the end.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from raphson.errors import ModelError
from raphson.model.objective import Kind, Need
from raphson.newton.search import Accepted, backtracking, full_step, wolfe
from raphson.newton.training.steps import ADAPTIVE, RATES


@dataclass(frozen=True)
class Method:
    """Three parts.

    Attributes
    ----------
    name : as users type it.
    curvature : which information M is; None for the identity.
    solver : "cholesky" (changes over to QR by itself where that is needed), "qr" (weighted least squares on the
        tall matrix), "cg" (products M v only), "none", or "batch" (a step reads some rows; first_order).
    search : how α is found; None for a trust region, which finds τ instead, and for a learning rate.
    max_iter : steps allowed unless the user says otherwise.
    """

    name: str
    curvature: Kind | None
    solver: Literal["cholesky", "qr", "cg", "none", "batch"]
    search: Callable[..., Accepted | None] | None
    max_iter: int = 100

    @property
    def matrix(self) -> str:
        """What M is, in words."""
        if self.solver == "batch":
            return "√ of running squares" if self.name in ADAPTIVE else "identity"
        named = {None: "identity", "observed": "observed", "expected": "expected", "opg": "outer product"}
        return f"{named[self.curvature]} + τD" if self.search is None else named[self.curvature]

    def need(self, root: bool, near: bool) -> Need:
        """What to ask of an evaluation.

        Convergence is measured with the observed information whatever M the method steps with; it is asked
        for once the method's own measure says that the maximum is near.
        """
        if self.solver == "cg":
            return Need(kinds=("observed",), products=True)
        kinds: tuple[Kind, ...] = () if self.curvature is None else (self.curvature,)
        if near or self.curvature is None:
            kinds = (*kinds, "observed")
        return Need(kinds=tuple(dict.fromkeys(kinds)), root=root)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("newton", "observed", "cholesky", backtracking),
        Method("fisher-scoring", "expected", "cholesky", backtracking),
        Method("irls", "expected", "qr", backtracking),
        Method("gauss-newton", "expected", "qr", full_step),
        Method("modified-gauss-newton", "expected", "qr", backtracking),
        Method("levenberg-marquardt", "expected", "qr", None, max_iter=500),
        Method("bhhh", "opg", "cholesky", wolfe, max_iter=500),
        Method("newton-cg", "observed", "cg", backtracking),
        Method("gradient-descent", None, "none", backtracking, max_iter=10_000),
        *(Method(name, None, "batch", None) for name in RATES),
    )
}


def resolve_method(name: str, allowed: tuple[str, ...] = tuple(METHODS)) -> Method:
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
    key = str(name).lower().replace("_", "-")
    if key in METHODS and key in allowed:
        return METHODS[key]
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ModelError(f"method: expected one of {', '.join(allowed)}; got {name!r}{hint}")
