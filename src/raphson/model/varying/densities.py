r"""The rows' log densities with their derivatives by η up to the fourth, and by the logarithm τ of a scale.

A family with a dispersion has w log f = w a(η)/φ + c(w, φ), with a the log density at unit dispersion. With τ = log φ
each derivative of the first part by τ is minus itself, and only those of a by η and of c by τ are needed. The negative
binomial has τ = log θ as its second predictor. Other families have no τ. All results are weighted.

The ready families are written out (:mod:`.higher`); the others come from autodiff, a derivative of a derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from scipy.special import polygamma

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.data.blocks import BLOCK_ROWS
from raphson.errors import ModelError
from raphson.model.families.links import Identity, Log, Logit
from raphson.model.families.rows_by_hand import hand_rows
from raphson.model.varying.higher import negative_binomial, third_and_fourth
from raphson.model.varying.tensors import Symmetric
from raphson.numeric import anchor, x64
from raphson.special.gamma import log_minus_digamma

LARGE_SHAPE = 1e4
"""From here on 1 − a ψ'(a) = −1/(2a) − 1/(6a²) + O(a⁻⁴) to all digits; its difference would lose them."""


NORMALISED = ("gaussian", "gamma", "inverse_gaussian")
"""Families with a dispersion whose constants are elementary."""


@dataclass
class Rows:
    """Σ log f, and row derivatives of log f by its predictors, each (n,) and weighted. τ comes after the predictors.

    Attributes
    ----------
    total : Σ w log f, every constant included.
    score : ∂ log f by each predictor.
    weight, third, fourth : W_ab = −∂² log f by two predictors, and W_abc and W_abcd, its derivatives by further ones,
        as far as they are needed: one index of `third` and two of `fourth` are among the predictors that are asked for.
    tau, tau2 : sums of the first and second derivative by τ.
    each, each_tau, each_tau2 : (n,) log f without its constants, and its derivatives by τ.
    """

    total: float
    score: Sequence[np.ndarray]
    weight: Symmetric
    third: Symmetric = field(default_factory=Symmetric)
    fourth: Symmetric = field(default_factory=Symmetric)
    tau: float = 0.0
    tau2: float = 0.0
    each: Any = None
    each_tau: Any = None
    each_tau2: Any = None


class Density:
    """The log densities of the responses.

    Parameters
    ----------
    family, y, weight, size, kind : as of a :class:`raphson.model.base.Model`; `weight` is the user's own.
    """

    def __init__(
        self, family: Any, y: np.ndarray, weight: np.ndarray | None, size: np.ndarray | None, kind: str
    ) -> None:
        family = _as_named(family)
        self.family, self.y, self.given, self.size, self.kind = family, y, weight, size, kind
        w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
        self.present = w > 0
        self.all_present = bool(self.present.all())
        self.weight = w if size is None else w * size
        self.scaled = not family.dispersion_fixed
        """Whether τ is the logarithm of a dispersion."""
        self.joint = family.n_predictors == 2
        """Whether τ is the family's second predictor."""
        self.n_predictors = 1
        """The number K of predictors, without τ."""
        self.quadratic = bool(getattr(family, "quadratic", False))
        """Whether W does not depend on η."""
        if family.quasi:
            raise ModelError(
                f"family: expected a distribution, whose likelihood effects that vary need; got {family.name!r}, which "
                "has none. Choose for example family='negative_binomial' for counts"
            )
        if family.n_predictors > 2 or family.levels is not None or (self.joint and not family.auxiliary):
            raise ModelError(
                f"family: expected a family with one predictor where effects vary; got {family.name!r}. Write "
                "the log density of its levels for rp.mle, with a formula for each but the first, or leave the varying "
                "effects out"
            )
        if self.scaled and not (family.name in NORMALISED or _between(family)):
            raise ModelError(
                f"family: expected a family whose likelihood is known as a function of its dispersion, where effects "
                f"vary; got {family!r}. Choose 'gaussian', 'gamma', 'inverse_gaussian', 'negative_binomial', or "
                "'tweedie(p)' with 1 < p < 2"
            )

    def with_responses(self, y: np.ndarray) -> Density:
        """The same with other responses (n,)."""
        return Density(self.family, y, self.given, self.size, self.kind)

    @property
    def has_tau(self) -> bool:
        return self.scaled or self.joint

    @cached_property
    def walled(self) -> bool:
        """Whether some predictors are outside of the link's domain."""
        ends = (np.full(len(self.y), one) for one in (-5.0, 5.0))
        return not all(np.isfinite(self.at(eta[None], 0.0, 2).total) for eta in ends)

    # -- constants -----------------------------------------------------------------------------------------------

    @cached_property
    def _base(self) -> float:
        """Σ c(w, 1)."""
        made = self.family.log_normalizer(self.y, self.given, self.size, 1.0, self.kind)
        return float(np.sum(np.where(self.present, made, 0.0)))

    def _constant(self, phi: float) -> tuple[float, float, float]:
        """Σ c(w, φ) and its first two derivatives by log φ."""
        if not self.scaled:
            return self._base, 0.0, 0.0
        w, copies = self.weight, self.kind != "precision"
        if _between(self.family):
            return self._constant_of_tweedie(phi)
        if self.family.name != "gamma":
            count = float(np.sum(w)) if copies else float(np.count_nonzero(self.present))
            return self._base - 0.5 * count * float(np.log(phi)), -0.5 * count, 0.0
        made = self.family.log_normalizer(self.y, self.given, self.size, phi, self.kind)
        # c = a log a − a − lgamma(a) − log y with a = w/φ, so that ∂c/∂log a = a (log a − ψ(a))
        times, a = float(np.sum(w)), np.full(1, 1.0 / phi)
        if not copies and self.given is not None:
            times, a = 1.0, w[self.present] / phi
        first = a * log_minus_digamma(a)
        bent = np.where(a < LARGE_SHAPE, a * (1.0 - a * polygamma(1, np.minimum(a, LARGE_SHAPE))), -0.5 - 1.0 / (6 * a))
        total = float(np.sum(np.where(self.present, made, 0.0)))
        return total, -times * float(np.sum(first)), times * float(np.sum(first + bent))

    def _constant_of_tweedie(self, phi: float) -> tuple[float, float, float]:
        own, copies = np.where(self.present, self.weight, 1.0), self.kind != "precision"
        made = self.family.log_normalizer(self.y, self.given, self.size, phi, self.kind)
        slopes = self.family.normalizer_slopes(self.y, np.full(len(self.y), phi) if copies else phi / own)
        times = self.weight if copies else self.present
        first, second = (float(np.sum(times * np.where(self.present, one, 0.0))) for one in slopes)
        return float(np.sum(np.where(self.present, made, 0.0))), first, second

    def constants(self, tau: float) -> tuple[float, float, float]:
        """Σ c(w, φ) and its first two derivatives by τ."""
        return self._constant(float(np.exp(tau)) if self.scaled else 1.0)

    # -- rows ----------------------------------------------------------------------------------------------------

    def at(self, eta: np.ndarray, tau: float, order: int = 4, inside: Sequence[int] = (0,)) -> Rows:
        """The rows at predictors (K, n), with derivatives up to an order of 2, 3 or 4.

        Parameters
        ----------
        inside : the predictors that one index of the third and two of the fourth derivatives are among.
        """
        del inside  # there is one predictor
        with np.errstate(all="ignore"):
            return self._joint_rows(eta[0], tau, order) if self.joint else self._rows(eta[0], tau, order)

    def _rows(self, eta: np.ndarray, tau: float, order: int) -> Rows:
        phi = float(np.exp(tau)) if self.scaled else 1.0
        parts = self._unit(eta, order)
        w = self.weight if phi == 1.0 else self.weight / phi
        parts = [w * one for one in parts]
        if not self.all_present:
            parts = [np.where(self.present, one, 0.0) for one in parts]
        base, base1, base2 = self._constant(phi)
        value = float(np.sum(parts[0]))
        out = Rows(value + base, [parts[1]], Symmetric({(0, 0): -parts[2]}), each=parts[0])
        if order > 2 and not self.quadratic:
            out.third[0, 0, 0] = -parts[3]
        if order > 3 and not self.quadratic:
            out.fourth[0, 0, 0, 0] = -parts[4]
        if self.scaled and order > 2:
            out.tau, out.tau2 = base1 - value, base2 + value
            out.each_tau, out.each_tau2 = -parts[0], parts[0]
            # a derivative by τ is minus itself
            weight, score = out.weight[0, 0], parts[1]
            out.weight[0, 1] = score
            out.third |= {(0, 0, 1): -weight, (0, 1, 1): -score}
            out.fourth[0, 0, 1, 1] = weight
            if not self.quadratic:
                out.fourth[0, 0, 0, 1] = parts[3]
        return out

    def _unit(self, eta: np.ndarray, order: int) -> list[Any]:
        """The log density at unit dispersion and its derivatives by η."""
        family = self.family
        quick = _QUICK.get((family.name, type(family.link)))
        if quick is not None:
            return quick(self.y, eta, order)
        rows = hand_rows(family, self.y, eta[None])
        if rows is not None:
            out = [rows.value, rows.score[0], -rows.observed[0, 0]]
            if order < 3:
                return out
            more = third_and_fourth(family, self.y, eta)
            if more is not None:
                return [*out, *more]
        found = _by_blocks(family, self.y, eta[None], max(order, 2))
        return [found[k] for k in range(max(order, 2) + 1)]

    def _joint_rows(self, eta: np.ndarray, tau: float, order: int) -> Rows:
        """With log θ of the negative binomial as τ."""
        both = np.stack([eta, np.full(len(eta), tau)])
        rows = hand_rows(self.family, self.y, both)
        more = negative_binomial(type(self.family.link), self.y, eta, tau) if order > 2 else None
        if rows is None or (order > 2 and more is None):
            return self._joint_by_autodiff(both, order)
        weight = self._counted(rows.observed[0, 0])
        out = Rows(self._summed(rows.value) + self._base, [self._counted(rows.score[0])], Symmetric({(0, 0): weight}))
        out.each = self._counted(rows.value)
        if more is not None:
            out.each_tau, out.each_tau2 = self._counted(rows.score[1]), -self._counted(rows.observed[1, 1])
            out.tau, out.tau2 = float(np.sum(out.each_tau)), float(np.sum(out.each_tau2))
            out.weight[0, 1] = self._counted(rows.observed[0, 1])
            _higher(out, *(self._counted(one) for one in more))
        return out

    def _counted(self, values: np.ndarray) -> np.ndarray:
        """Values times the weights, 0 where these are 0."""
        out = self.weight * values
        return out if self.all_present else np.where(self.present, out, 0.0)

    def _summed(self, values: np.ndarray) -> float:
        return float(np.sum(self._counted(values)))

    def _joint_by_autodiff(self, both: np.ndarray, order: int) -> Rows:
        found = self._counted(_by_blocks(self.family, self.y, both, 4 if order > 2 else 2))
        out = Rows(float(np.sum(found[0])) + self._base, [found[1]], Symmetric({(0, 0): -found[2]}), each=found[0])
        if order > 2:
            out.tau, out.tau2 = float(np.sum(found[5])), float(np.sum(found[9]))
            out.each_tau, out.each_tau2 = found[5], found[9]
            out.weight[0, 1] = -found[6]
            _higher(out, found[3], found[4], found[7], found[8], found[10], found[11])
        return out


def _higher(out: Rows, third: Any, fourth: Any, by_tau: Any, by_tau_eta: Any, score_tau2: Any, by_tau2: Any) -> None:
    """Take in ∂³_η, ∂⁴_η, ∂²_η∂_τ, ∂³_η∂_τ, ∂_η∂²_τ and ∂²_η∂²_τ of the log density."""
    out.third |= {(0, 0, 0): -third, (0, 0, 1): -by_tau, (0, 1, 1): -score_tau2}
    out.fourth |= {(0, 0, 0, 0): -fourth, (0, 0, 0, 1): -by_tau_eta, (0, 0, 1, 1): -by_tau2}


def _between(family: Any) -> bool:
    """Whether it is a Tweedie family of a Poisson number of gamma variables, whose density is a convergent series."""
    return family.name == "tweedie" and bool(1.0 < family.power < 2.0)


def _as_named(family: Any) -> Any:
    """A Tweedie family whose power makes it another one with a dispersion, as that."""
    named = family.named if family.name == "tweedie" else None
    return family if named is None or named.dispersion_fixed else named


# -- the canonical links, at the least cost ----------------------------------------------------------------------


def _gaussian(y: np.ndarray, eta: np.ndarray, order: int) -> list[np.ndarray]:
    r = y - eta
    return [-0.5 * r * r, r, np.full(len(y), -1.0), np.zeros(1), np.zeros(1)]


def _poisson(y: np.ndarray, eta: np.ndarray, order: int) -> list[np.ndarray]:
    mean = np.exp(eta)
    return [y * eta - mean, y - mean, -mean, -mean, -mean]


def _binomial(y: np.ndarray, eta: np.ndarray, order: int) -> list[np.ndarray]:
    # y η − log(1 + e^η), with −|η| in the exponent
    e = np.exp(-np.abs(eta))
    near = 1.0 / (1.0 + e)
    p, V = np.where(eta >= 0, near, e * near), e * near * near
    out = [y * eta - np.maximum(eta, 0.0) - np.log1p(e), y - p, -V]
    return out if order < 3 else [*out, -V * (1.0 - 2.0 * p), -V * (1.0 - 6.0 * V)]


_QUICK: dict[Any, Any] = {
    ("gaussian", Identity): _gaussian,
    ("poisson", Log): _poisson,
    ("binomial", Logit): _binomial,
}


# -- by autodiff -----------------------------------------------------------------------------------------------


def _by_blocks(family: Any, y: np.ndarray, eta: np.ndarray, order: int) -> np.ndarray:
    """(order + 1, n), or of two predictors (12, n): derivatives of the log density, in blocks of a few sizes."""
    n, out = len(y), []
    size = next((size for size in BLOCK_ROWS if n <= size), BLOCK_ROWS[-1])
    code = _compiled(order)
    for start in range(0, n, size):
        stop = min(start + size, n)
        rows = np.empty((len(eta), size))
        rows[:, : stop - start], rows[:, stop - start :] = eta[:, start:stop], eta[:, start : start + 1]
        responses = np.full(size, y[start])
        responses[: stop - start] = y[start:stop]
        with x64():
            out.append(np.asarray(code(family, responses, rows, anchor()))[:, : stop - start])
    return np.concatenate(out, axis=1)


@cache
def _compiled(order: int) -> Any:
    def parts(family: Any, y: Any, eta: Any, anchor: Any) -> Any:
        del anchor
        if family.n_predictors == 1:
            found = _tower(lambda x: family.log_density(y, x[None]), eta[0], order)
            found[0] = jnp.where(family.inside(eta), found[0], -jnp.inf)
            return jnp.stack(found)
        a = eta[1]

        def along(x: Any, tau: Any) -> Any:
            return family.log_density(y, jnp.stack([x, tau]))

        own = _tower(lambda x: along(x, a), eta[0], order)
        own[0] = jnp.where(family.inside(eta), own[0], -jnp.inf)
        if order < 4:
            return jnp.stack(own)

        def tower(tau: Any) -> Any:
            return jnp.stack(_tower(lambda x: along(x, tau), eta[0], 3))

        def first(tau: Any) -> Any:
            return jax.jvp(tower, (tau,), (jnp.ones_like(tau),))[1]

        by_tau, by_tau2 = jax.jvp(first, (a,), (jnp.ones_like(a),))
        return jnp.concatenate([jnp.stack(own), by_tau, by_tau2[:3]])

    return compiled(parts, once=True)


def _tower(function: Any, x: Any, order: int) -> list[Any]:
    """A function and its derivatives, elementwise: each level differentiates the last one and hands on the others."""

    def level(of: Any) -> Any:
        def raised(at: Any) -> tuple[Any, tuple[Any, ...]]:
            _, slope, (value, lower) = jax.jvp(lambda v: _with_aux(of, v), (at,), (jnp.ones_like(at),), has_aux=True)
            return slope, (*lower, value)

        return raised

    def _with_aux(of: Any, v: Any) -> tuple[Any, Any]:
        value, lower = of(v)
        return value, (value, lower)

    raised: Any = lambda v: (function(v), ())  # noqa: E731
    for _ in range(order):
        raised = level(raised)
    top, lower = raised(x)
    return [*lower, top]
