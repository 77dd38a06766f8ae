r"""Expected information of a user's density: E[W] = E[u uᵀ] over the response, at given predictors.

Where the observed information does not depend on the response, it is the expected one. Where the score is affine in
the response, u = b (y − μ), mean and variance follow without a sum: by E[u] = 0, μ is the y at which u vanishes, and
∂μ/∂η_l = Cov(y, u_l) = b_l Var(y), so that

    E[W_kl] = b_k b_l Var(y) = b_k ∂μ/∂η_l.

Otherwise the score's square is summed over the response (:mod:`raphson.model.likelihood.quadrature`). The range of the
response is not asked for but found. A density whose sum over 0, 1, .. up to the largest response seen is 1 in every row
has no other values (a binary response, levels). One whose sum over 0, 1, 2, ... is 1 is that of a count. One whose
integral over the line, over the numbers above 0 or between 0 and 1 is 1 is continuous; where several rows share the
smallest or the largest response, that may be an atom, a point with a probability of its own at the end of the interval.
Where nothing adds up to 1 (a censored time whose event is given, say), or the score's mean is not 0, there is no
expected information, and an error says so.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.compat import jax
from raphson.compiled import compiled
from raphson.data.blocks import Block
from raphson.errors import ModelError, first_of
from raphson.model.likelihood.affine import affine_in_response, information_free_of_response
from raphson.model.likelihood.quadrature import QuadratureRule, ScoreMoments, at_points, rule_of
from raphson.model.likelihood.row_densities import RowDensities, Support, levels_of, ranges_of
from raphson.model.memory import cached_for
from raphson.numeric import x64

if TYPE_CHECKING:
    from raphson.model.likelihood.family import LikelihoodFamily

COMPLETE = 1e-7
"""How near to 1 the sum of a row's probabilities has to be: within ten times what a panel may differ from its halves by
at most."""

SURE = 1e-10
"""A sum this near to 1 makes trying another range of responses unnecessary: ten panels that are right to AGREED. A
range that leaves out a part of the responses, found by chance, falls short by more. From 1e-13 to 1e-4 nothing changes
for a zero-inflated Poisson, a beta density and Student's t."""

FINITE = 1e-11
"""How near to 1 the sum has to be for the responses up to the largest one seen to be taken as all. If larger ones were
possible, the largest of n would be exceeded with a probability of about 1/n."""

CENTRED = 1e-5
"""How near to 0 the mean of a score has to be, relative to its standard deviation. From 1e-9 to 0.01 nothing changes
for the same three; at 1e-13 the rounding of the beta density is refused."""

FEW_RESPONSES = 256
"""Up to this many responses, 16 panels, are tried as the complete set."""

TRIED = 12
"""Rows on which a range of responses is tried first, so that a wrong one costs little."""

ROWS = 1_024
"""Rows whose quadrature rules are made together. A row has 3 panels of 16 responses (a zero-inflated Poisson), 16 (a
beta density) or 46 (Student's t): up to 753,664 numbers, 6 MB, for each array."""

Expectation = Callable[[np.ndarray], np.ndarray]
"""From predictors (K, m), near those for which it was made, to E[W] (K, K, m), unweighted."""

_LAST: weakref.WeakKeyDictionary[Block, tuple[Any, bytes, Expectation, np.ndarray]] = weakref.WeakKeyDictionary()
"""For each block, its last expectation: the family, the predictors, the function and its value."""


def expected_information(family: LikelihoodFamily, block: Block, eta: np.ndarray) -> np.ndarray:
    """E[W] of a block, (K, K, rows), weighted.

    Raises
    ------
    ModelError
        If some row's density does not integrate to 1 over the response.
    """
    if free_of_response(family, block.extra):
        return family.own_rows(block, eta).observed
    W, m = expectation(family, block, eta)[1], block.rows
    return np.where(block.weight[:m] > 0, block.weight[:m] * W, 0.0)


def expectation(family: LikelihoodFamily, block: Block, eta: np.ndarray) -> tuple[Expectation, np.ndarray]:
    """E[W] as a function of a block's predictors near `eta`, and its value there, (K, K, rows), unweighted.

    The function always sums over the same responses, so that its differences are as smooth as the density.

    Raises
    ------
    ModelError
        If some row's density does not integrate to 1 over the response.
    """
    m = block.rows
    eta = np.ascontiguousarray(eta[:, :m])
    key = eta.tobytes()
    known = _LAST.get(block)
    if known is not None and known[0] is family and known[1] == key:
        return known[2], known[3]
    y, extra = block.y[:m], tuple(one[:m] for one in block.extra)
    with x64(), np.errstate(all="ignore"):
        rules, moments = _rules(family, eta, extra, y, block.start)
        affine = _affine_rule(family, extra)

        def summed(there: np.ndarray) -> np.ndarray:
            with x64(), np.errstate(all="ignore"):
                parts = [rule.moments(RowDensities(family, there[:, part], tuple(one[part] for one in extra)))
                         for part, rule in rules]  # fmt: skip
                return ScoreMoments.joined(parts).information

        def closed(there: np.ndarray) -> np.ndarray:
            with x64(), np.errstate(all="ignore"):
                return np.asarray(affine(there, y, extra))[None, None]  # type: ignore[misc]

        function, value = (summed, moments.information) if affine is None else (closed, closed(eta))
    _LAST[block] = family, key, function, value
    return function, value


def _rules(
    family: LikelihoodFamily, eta: np.ndarray, extra: tuple[np.ndarray, ...], y: np.ndarray, first: int
) -> tuple[list[tuple[slice, QuadratureRule]], ScoreMoments]:
    """Quadrature rules for all rows, :data:`ROWS` at a time, and the moments that they give."""
    m = eta.shape[1]

    def density(which: Any) -> RowDensities:
        return RowDensities(family, np.ascontiguousarray(eta[:, which]), tuple(one[which] for one in extra))

    few = np.unique(np.linspace(0, m - 1, min(m, TRIED)).astype(int))
    best: tuple[float, ScoreMoments] | None = None
    for maker, within in _ranges(family, y):
        sample = density(few)
        moments = maker(sample, y[few]).moments(sample)
        if not _adds_up(moments, within).all():
            continue
        rules = []
        for start in range(0, m, ROWS):
            part = slice(start, min(start + ROWS, m))
            rules.append((part, maker(density(part), y[part])))
        whole = ScoreMoments.joined([rule.moments(density(part)) for part, rule in rules])
        if _adds_up(whole, within).all():
            return rules, whole
        missed = float(np.mean(~_adds_up(whole, within)))
        if best is None or missed < best[0]:
            best = missed, whole
    raise ModelError(_why(family, best, first))


def _ranges(
    family: LikelihoodFamily, y: np.ndarray
) -> Iterator[tuple[Callable[[RowDensities, np.ndarray], QuadratureRule], float]]:
    """The ranges of responses to try, each as a rule for rows and how near to 1 it has to sum.

    In the first round a continuous range has to sum to 1 up to rounding: one that falls slightly short leaves something
    out. In a second round the first one that comes near is accepted.
    """
    levels, supports = levels_of(family), ranges_of(family, y)
    if levels is not None:
        yield (lambda density, own: at_points(np.arange(float(len(levels))), density.rows)), COMPLETE
    elif supports[0].counts and y.max() < FEW_RESPONSES:
        top = max(float(y.max()), 1.0)
        yield (lambda density, own: at_points(np.arange(top + 1.0), density.rows)), FINITE
    supports += _with_atoms(y)
    for within in (SURE, COMPLETE):
        for support in supports:
            yield (lambda density, own, support=support: rule_of(density, support, y, own)), within


def _with_atoms(y: np.ndarray) -> list[Support]:
    """Ranges that end at responses which several rows share."""
    low, high = float(y.min()), float(y.max())
    least, most = np.count_nonzero(y == low) > 1, np.count_nonzero(y == high) > 1
    found = []
    if least:
        found.append(Support(lower=low, atoms=(low,)))
    if most and high > low:
        found.append(Support(upper=high, atoms=(high,)))
        if least:
            found.append(Support(low, high, atoms=(low, high)))
    return found


def _adds_up(moments: ScoreMoments, within: float) -> np.ndarray:
    """(m,) whether a row's probabilities add up to 1, and its score to 0."""
    gap, drift = moments.defects()
    return (gap < within) & (drift < CENTRED)


def _why(family: LikelihoodFamily, best: tuple[float, ScoreMoments] | None, first: int) -> str:
    """The message for a density that has no expected information."""
    what = f"information: the expected information of {family.name} is a mean over the response, but its density "
    remedy = "; use information='observed' or 'opg', with method='newton'"
    if best is None:
        return (
            f"{what}does not integrate to 1 over the response, or the mean of its score is not 0 (a censored "
            "response, a mass at one point, a range that depends on a parameter, or a density without its "
            f"constants){remedy}"
        )
    bad = np.flatnonzero(~_adds_up(best[1], COMPLETE))
    gap, _ = best[1].defects()
    worst = bad[np.argmax(np.nan_to_num(gap[bad], nan=np.inf))]
    return (
        f"{what}could not be summed in {len(bad)} of {len(gap)} rows ({first_of(first + bad)}, counted from 0): in row "
        f"{first + worst} it adds up to {best[1].total[worst]:.6g}{remedy}"
    )


def free_of_response(family: LikelihoodFamily, extra: tuple[Any, ...]) -> bool:
    """Whether the observed information does not depend on the response, and so is the expected one."""
    function, K = family.function, family.n_predictors
    shapes = tuple(one.shape[1:] for one in extra)
    with x64():
        return cached_for(function, ("free", K, shapes), lambda: information_free_of_response(function, K, shapes))


def _affine_rule(family: LikelihoodFamily, extra: tuple[Any, ...]) -> Any:
    """(η (1, m), y, extra) -> b_k ∂μ/∂η_l where the traced score is affine in the response; None where it is not."""
    function, shapes = family.function, tuple(one.shape[1:] for one in extra)

    def make() -> Any:
        if family.n_predictors != 1 or not affine_in_response(function, 1, shapes):
            return None

        def one(eta: Any, y: Any, extra: tuple[Any, ...]) -> Any:
            def score(eta: Any, y: Any) -> Any:
                return jax.grad(lambda e: function(e, (y, *extra)))(eta)[0]

            b = jax.grad(score, argnums=1)(eta, y)
            u, slope = score(eta, y), jax.grad(score)(eta, y)[0]
            second = jax.grad(lambda e: jax.grad(score, argnums=1)(e, y))(eta)[0]
            # μ = y − u/b, so that ∂μ/∂η = −u′/b + u b′/b²
            return b * (-slope / b + u * second / b**2)

        return compiled(jax.vmap(one, in_axes=(1, 0, 0)))

    return cached_for(function, ("affine", shapes), make)
