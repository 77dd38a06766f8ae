r"""Expected information of a user's density: E[W] = E[u uᵀ] over the response, at given predictors.

Where the response enters the observed information nowhere, that is the expected one. Where the score is affine in the
response, u = b (y − μ), the mean and the variance follow from it without a sum: E[u] = 0 makes μ the y at which u
vanishes, and ∂μ/∂η_l = Cov(y, u_l) = b_l Var(y), so that

    E[W_kl] = b_k b_l Var(y) = b_k ∂μ/∂η_l.

Otherwise the score's square is summed over the response. Which responses there are is not asked but found: a density
whose sum over 0, 1, .. up to the largest seen is 1 in every row has no others (a binary response, levels), one whose
sum over 0, 1, 2, ... is 1 is that of a count, one whose integral over the line, or over the numbers above 0 or between
0 and 1, is 1 is continuous. Where none is 1 (a censored time, say, whose event is given) nothing can be expected, and
that is said. Integrals are double exponential sums (Takahasi and Mori 1974).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.blocks import Block
from raphson.errors import ModelError
from raphson.numeric import x64

if TYPE_CHECKING:
    from raphson.model.likelihood.family import LikelihoodFamily

COMPLETE = 1e-7
"""How near to 1 the probabilities of a row have to add up."""

FINITE = 1e-11
"""How near, for responses that end at the largest one seen to be all there are."""

MOST_COUNTS = 2**17
"""Counts are summed to here at most."""

CHUNK = 256
"""Responses at a time."""

Nodes = tuple[np.ndarray, np.ndarray]
"""Responses and weights, (m, r) each."""


def expected_information(family: LikelihoodFamily, block: Block, eta: np.ndarray) -> np.ndarray:
    """E[W] of a block, (K, K, rows), weighted.

    Raises
    ------
    ModelError
        If the density of some row is that of no distribution over its response.
    """
    if free_of_response(family, block.extra):
        return family.own_rows(block, eta).observed
    m = block.rows
    eta = eta[:, :m]
    y = block.y[:m]
    extra = tuple(one[:m] for one in block.extra)
    levels = family.levels
    rules: list[Callable[[], Any]] = []
    if levels is not None:
        rules.append(lambda: _finite_sum(family, eta, extra, np.arange(len(levels), dtype=float)))
    elif (y == np.round(y)).all() and (y >= 0).all():
        if y.max() < CHUNK:
            finite = np.arange(max(y.max(), 1.0) + 1.0)
            rules.append(lambda: _finite_sum(family, eta, extra, finite, FINITE))
        rules.append(lambda: _sum_over_counts(family, eta, extra, y))
    center, spread = float(np.median(y)), float(np.subtract(*np.percentile(y, [84, 16]))) or float(np.std(y)) or 1.0
    if (y > 0).all() and (y < 1).all():
        rules.append(lambda: _integral(family, eta, extra, _unit_nodes))
    if (y > 0).all():
        rules.append(lambda: _integral(family, eta, extra, lambda h: _positive_nodes(h, max(center, 1e-300))))
    rules.append(lambda: _integral(family, eta, extra, lambda h: _line_nodes(h, center, 0.5 * abs(spread))))
    with x64(), np.errstate(all="ignore"):
        for rule in rules:
            found = rule()
            if found is not None:
                affine = _affine_rule(family, eta, extra, y)
                W = found if affine is None else affine
                weight = block.weight[:m]
                return np.where(weight > 0, weight * W, 0.0)
    raise ModelError(
        f"information: the expected information of {family.name} is a mean over the response, but its density adds up "
        "to 1 over no range of responses (a censored response, or a density without its constants); "
        "use information='observed' or 'opg', with method='newton'"
    )


def _terms(family: LikelihoodFamily, eta: np.ndarray, extra: tuple[Any, ...], nodes: Nodes) -> tuple[Any, Any]:
    """Σ_r w f and Σ_r w f u uᵀ for responses (m, r): (m,) and (K, K, m)."""
    f, u = compiled_terms(family)(eta, nodes[0], extra)
    mass = np.where(np.isfinite(f), np.exp(np.asarray(f)), 0.0) * nodes[1]
    u = np.where(mass[:, :, None] > 0, np.asarray(u), 0.0)  # (m, r, K)
    return mass.sum(axis=1), np.einsum("mr,mrk,mrl->klm", mass, u, u, optimize=True)


def compiled_terms(family: LikelihoodFamily) -> Any:
    """(η (K, m), responses (m, r)) -> log density (m, r) and score (m, r, K)."""
    import jax
    import jax.numpy as jnp

    from raphson.model.likelihood.build import remembered

    function = family.function

    def make() -> Any:
        def one(eta: Any, y: Any, extra: tuple[Any, ...]) -> tuple[Any, Any]:
            value, pull = jax.vjp(lambda e: function(e, (y, *extra)), eta)
            return value, pull(jnp.ones_like(value))[0]

        over_responses = jax.vmap(one, in_axes=(None, 0, None))
        return jax.jit(jax.vmap(over_responses, in_axes=(1, 0, 0)))

    return remembered(function, "expected", make)


def free_of_response(family: LikelihoodFamily, extra: tuple[Any, ...]) -> bool:
    """Whether the observed information does not depend on the response, and so is the expected one."""
    from raphson.model.likelihood.affine import information_free_of_response
    from raphson.model.likelihood.build import remembered

    function, K = family.function, family.n_predictors
    shapes = tuple(one.shape[1:] for one in extra)
    with x64():
        return remembered(function, ("free", K, shapes), lambda: information_free_of_response(function, K, shapes))


def _finite_sum(
    family: LikelihoodFamily,
    eta: np.ndarray,
    extra: tuple[Any, ...],
    responses: np.ndarray,
    tolerance: float = COMPLETE,
) -> np.ndarray | None:
    m = eta.shape[1]
    nodes = np.broadcast_to(responses, (m, len(responses))).copy()
    total, W = _terms(family, eta, extra, (nodes, np.ones_like(nodes)))
    return W if np.abs(total - 1.0).max() < tolerance else None


def _sum_over_counts(
    family: LikelihoodFamily, eta: np.ndarray, extra: tuple[Any, ...], y: np.ndarray
) -> np.ndarray | None:
    """Sum over 0, 1, 2, ... until the probabilities of every row add up."""
    m = eta.shape[1]
    total, W = np.zeros(m), np.zeros((len(eta), len(eta), m))
    start = 0
    before = np.zeros_like(W)
    while start < MOST_COUNTS:
        nodes = np.broadcast_to(np.arange(start, start + CHUNK, dtype=float), (m, CHUNK)).copy()
        mass, part = _terms(family, eta, extra, (nodes, np.ones_like(nodes)))
        total, W = total + mass, W + part
        start += CHUNK
        if (total > 1.0 + COMPLETE).any():
            return None
        # The tail that is left out weighs no more than the last chunk did, once that is nothing.
        done = (np.abs(total - 1.0) < COMPLETE).all() and (np.abs(part) <= 1e-14 * np.abs(W).max(axis=(0, 1))).all()
        if done:
            return W
        if start >= 4 * CHUNK and start > 50 * (y.max() + 1) and np.array_equal(before, W):
            return None
        before = W.copy()
    return None


def _integral(
    family: LikelihoodFamily, eta: np.ndarray, extra: tuple[Any, ...], rule: Callable[[float], Nodes]
) -> np.ndarray | None:
    """Halve the step until nothing changes; None if the integral of the density is not 1."""
    m = eta.shape[1]
    last = None
    for h in (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64):
        y, w = rule(h)
        total, W = np.zeros(m), np.zeros((len(eta), len(eta), m))
        for at in range(0, len(y), CHUNK):
            nodes = tuple(
                np.broadcast_to(one[at : at + CHUNK], (m, len(one[at : at + CHUNK]))).copy() for one in (y, w)
            )
            mass, part = _terms(family, eta, extra, nodes)  # type: ignore[arg-type]
            total, W = total + mass, W + part
        complete = np.isfinite(total).all() and np.abs(total - 1.0).max() < COMPLETE
        if complete and last is not None and np.abs(W - last).max() < 1e-9 * np.abs(W).max():
            return W
        last = W if complete else None
    return None


def _steps(h: float, reach: float) -> np.ndarray:
    return h * np.arange(-int(reach / h), int(reach / h) + 1)


def _line_nodes(h: float, center: float, scale: float) -> Nodes:
    """∫ over the line by y = c + s sinh(π/2 sinh t)."""
    t = _steps(h, 4.5)
    inner = 0.5 * np.pi * np.sinh(t)
    return center + scale * np.sinh(inner), h * scale * np.cosh(inner) * 0.5 * np.pi * np.cosh(t)


def _positive_nodes(h: float, scale: float) -> Nodes:
    """∫ over y > 0 by y = s exp(π/2 sinh t)."""
    t = _steps(h, 5.0)
    y = scale * np.exp(0.5 * np.pi * np.sinh(t))
    return y, h * y * 0.5 * np.pi * np.cosh(t)


def _unit_nodes(h: float) -> Nodes:
    """∫ over 0 < y < 1 by the logistic of π sinh t."""
    t = _steps(h, 3.5)
    inner = np.pi * np.sinh(t)
    y = 1.0 / (1.0 + np.exp(-inner))
    kept = (y > 0) & (y < 1)
    w = h * np.pi * np.cosh(t) * y / (1.0 + np.exp(inner))
    return y[kept], w[kept]


def _affine_rule(family: LikelihoodFamily, eta: np.ndarray, extra: tuple[Any, ...], y: np.ndarray) -> np.ndarray | None:
    """b_k ∂μ/∂η_l where the traced score is affine in the response; None where it is not."""
    import jax

    from raphson.model.likelihood.affine import affine_in_response

    function = family.function
    if len(eta) != 1 or not affine_in_response(function, len(eta), tuple(one.shape[1:] for one in extra)):
        return None

    def one(eta: Any, y: Any, extra: tuple[Any, ...]) -> Any:
        def score(eta: Any, y: Any) -> Any:
            return jax.grad(lambda e: function(e, (y, *extra)))(eta)[0]

        b = jax.grad(score, argnums=1)(eta, y)
        u, slope = score(eta, y), jax.grad(score)(eta, y)[0]
        bend = jax.grad(lambda e: jax.grad(score, argnums=1)(e, y))(eta)[0]
        # μ = y − u/b, so that ∂μ/∂η = −u′/b + u b′/b²
        return b * (-slope / b + u * bend / b**2)

    return np.asarray(jax.vmap(one, in_axes=(1, 0, 0))(eta, y, extra))[None, None]
