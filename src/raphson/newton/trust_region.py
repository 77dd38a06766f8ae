"""Levenberg-Marquardt as a trust-region method: the best step in the region where the quadratic model is trusted.

With A the matrix of the rows, AᵀA = M, and z the right-hand side, Aᵀz = ∇ℓ, the step is

    min ‖A d − z‖²  subject to  ‖D d‖ ≤ Δ,        (AᵀA + τD²) d = Aᵀz for the τ ≥ 0 that satisfies the constraint

(Moré 1978, Numerical Analysis, Lecture Notes in Mathematics 630, 105). D has the largest length so far of each column
of A, so that the units of the parameters do not matter. Δ depends on how well the gain of the last step was predicted.
A Gauss-Newton step inside the region is taken in full, with τ = 0; the last steps of every fit are such steps.

Parameters that are solved for at each trial point (variable projection) are not part of the region. The step of the
others is that of the problem from which these have been eliminated, which one more triangularisation gives.
"""

# pyright: strict, reportConstantRedefinition=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from raphson.lapack import dtrtrs
from raphson.linalg import ALIASED, all_independent, column_squares, independent
from raphson.model.objective import Evaluation, triangularised
from raphson.newton.by_numbers import MOST_BY_NUMBERS, backward
from raphson.newton.search import acceptable, value_noise
from raphson.numeric import TINY
from raphson.unrolled import look

FIRST_RADIUS = 1.0
"""First radius, in units of the length of the scaled θ. MINPACK's is 100: with 0.1, 1, 10 and 100 eight of NIST's
regressions take 214, 215, 228 and 229 steps in all."""

SLACK = 1.1
"""Factor by which a full step may exceed the radius. As Moré (1978) has it: his σ is 0.1."""

VANISHED = 1e-100
"""Length of a column below which its parameter counts as without effect. It is scaled by 1/D, the square of which,
1e200, does not overflow yet."""


class Proposal(NamedTuple):
    """A step within the region.

    Attributes
    ----------
    step : (p,).
    gain : increase of ℓ that the quadratic model predicts.
    damping : τ.
    length : ‖D d‖ of the parameters in the region.
    """

    step: np.ndarray
    gain: float
    damping: float
    length: float


class TrustRegion:
    """The trust region: its radius and scales.

    Parameters
    ----------
    projected : (p,) mask of the parameters outside the region, or None.
    """

    def __init__(self, projected: np.ndarray | None) -> None:
        self.projected = projected
        self.radius = math.inf
        self.scale: list[float] | None = None
        self.seen: tuple[list[list[float]], list[float]] | None = None
        """The rows of the last triangle and the lengths of its columns, where the step was looked for by numbers."""
        self._orders: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray, bool]] = {}

    def propose(
        self,
        triangle: np.ndarray,
        theta: np.ndarray,
        free: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Proposal:
        """The step by a triangle [R, Qᵀz] for the free parameters, inside the bounds."""
        self.seen = None
        if bounds is None and (proposal := self._by_numbers(triangle, theta, free)) is not None:
            return proposal
        movable, fixed = free, None
        while True:
            proposal = self._solve(triangle, theta, movable, fixed)
            if bounds is None:
                return proposal
            there = theta + proposal.step
            outside = movable & ((there < bounds[0]) | (there > bounds[1]))
            if not outside.any():
                return proposal
            # Parameters outside are moved to their bound, and the others are solved for again.
            before = np.zeros_like(theta) if fixed is None else fixed
            fixed = np.where(outside, np.clip(there, *bounds) - theta, before)
            movable = movable & ~outside

    def _by_numbers(self, triangle: np.ndarray, theta: np.ndarray, free: np.ndarray) -> Proposal | None:
        """The step of a few parameters, by numbers rather than arrays; None where :meth:`_solve` has to decide.

        The triangle is that of all parameters in their order, none depends on others, and either the full step is in
        the region, or the region has one dimension.
        """
        p = len(theta)
        if p > MOST_BY_NUMBERS or len(triangle) < p:
            return None
        beta, alpha, _, as_given = self._order(free)
        b = len(beta)
        if not as_given or b + len(alpha) < p:
            return None
        rows: list[list[float]] = triangle.tolist()
        seen = look(p, b, ALIASED)(rows)
        if seen is None:
            return None
        lengths, own, step = seen
        self.seen = rows, lengths
        z = [row[p] for row in rows[:p]]
        if b == p:
            return Proposal(np.array(step), 0.5 * sum([v * v for v in z]), 0.0, 0.0)
        D = self._scales(range(b, p), own, p)
        self._begin(D, theta.tolist()[b:])
        length = math.hypot(*[d * s for d, s in zip(D, step[b:], strict=True)])
        if length <= SLACK * self.radius:
            # Along the full step the model rises by half the square of Qᵀz.
            return Proposal(np.array(step), 0.5 * sum([v * v for v in z]), 0.0, length)
        if b < p - 1:
            return None
        pivot, right = rows[b][b], z[b]
        (moved,), damping = _within([abs(pivot) / D[0]], [math.copysign(1.0, pivot) * right], self.radius)
        step = backward(rows, [*z[:b], moved / D[0]], known=1)
        rise = pivot * step[b]
        gain = 0.5 * sum([v * v for v in z[:b]]) + rise * (right - 0.5 * rise)
        return Proposal(np.array(step), gain, damping, abs(moved))

    def _solve(self, triangle: np.ndarray, theta: np.ndarray, free: np.ndarray, fixed: np.ndarray | None) -> Proposal:
        beta, alpha, order, as_given = self._order(free)
        b, a = len(beta), len(alpha)
        step = np.zeros_like(theta) if fixed is None else fixed.copy()
        damping = length = 0.0
        T = triangle
        if not as_given or fixed is not None:
            T = triangularised(np.column_stack([T[:, order], T[:, -1] - T[:, :-1] @ step]))
        outer = T[:b, :b]
        if b and not all_independent(outer, np.sqrt(column_squares(outer))):
            kept = independent(outer)
            # A column that depends on earlier ones would take a row of T from the others; its parameter does not move.
            return self._solve(triangle, theta, free & ~np.isin(np.arange(len(free)), beta[~kept]), fixed)
        if a:
            inner, shared = T[b : b + a, b : b + a], T[:b, b : b + a]
            lengths = np.sqrt(column_squares(inner))
            if b and (lost := lengths <= ALIASED * np.sqrt(column_squares(shared))).any():
                # A column that depends on those of the projected parameters is rounding; its parameter does not move.
                return self._solve(triangle, theta, free & ~np.isin(np.arange(len(free)), alpha[lost]), fixed)
            D = np.array(self._scales(alpha.tolist(), lengths.tolist(), len(theta)))
            self._begin(D.tolist(), theta[alpha].tolist())
            right = T[b : b + len(inner), -1]
            scaled = None
            if all_independent(inner, lengths):
                scaled = np.asarray(dtrtrs(inner, right)[0], dtype=np.float64)
            length = math.inf if scaled is None else math.hypot(*(D * scaled).tolist())
            if scaled is not None and length <= SLACK * self.radius:
                step[alpha] = scaled
            else:
                U, s, V = np.linalg.svd(inner / D, full_matrices=False)
                within, damping = _within(s.tolist(), (U.T @ right).tolist(), self.radius)
                length = math.hypot(*within)
                step[alpha] = V.T @ np.array(within) / D
        if b:
            rest = T[:b, -1] - T[:b, b : b + a] @ step[alpha]
            step[beta] = dtrtrs(outer, rest)[0]
        moved = triangle[:, :-1] @ step
        gain = float(triangle[:, -1] @ moved - 0.5 * moved @ moved)
        return Proposal(step, gain, damping, length)

    def _order(self, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """The projected parameters, those in the region, all in this order, and whether that is the order of θ."""
        bits = free.tobytes()
        if bits not in self._orders:
            solved = np.zeros_like(free) if self.projected is None else self.projected & free
            beta, alpha = np.flatnonzero(solved), np.flatnonzero(free & ~solved)
            order = np.concatenate([beta, alpha])
            self._orders[bits] = beta, alpha, order, np.array_equal(order, np.arange(len(free)))
        return self._orders[bits]

    def _scales(self, alpha: Iterable[int], lengths: list[float], p: int) -> list[float]:
        """D of the parameters in the region, which has the largest length so far of each column."""
        if self.scale is None:
            self.scale = [0.0] * p
        scale = self.scale
        for j, length in zip(alpha, lengths, strict=True):
            scale[j] = max(scale[j], length)
        return [scale[j] if scale[j] > VANISHED else 1.0 for j in alpha]

    def _begin(self, D: list[float], theta: list[float]) -> None:
        """Set the first radius."""
        if not math.isfinite(self.radius):
            size = math.hypot(*[d * t for d, t in zip(D, theta, strict=True)])
            self.radius = FIRST_RADIUS * size if size > 0 else FIRST_RADIUS

    def accepts(self, here: Evaluation, trial: Evaluation, slope: float, proposal: Proposal) -> bool:
        """Whether the trial of a proposal, along which ℓ has `slope` > 0, is acceptable; the radius learns from it."""
        accepted = acceptable(here, trial, 1.0, slope, proposal.step)
        rise = trial.value - here.value if trial.finite else -math.inf
        ratio = 1.0 if accepted and abs(rise) <= value_noise(here) else rise / proposal.gain
        # A rejected trial has to shrink the region, or the same one would be tried for ever.
        self.learn(ratio if accepted else min(ratio, 0.25), proposal)
        return accepted

    def spent(self, here: Evaluation, proposal: Proposal) -> bool:
        """Whether after a rejected proposal no smaller region gives a better step.

        The step may move nothing that the region bounds, or the predicted gain be rounding.
        """
        return not proposal.length or self.exhausted(here.theta) or proposal.gain <= value_noise(here)

    def learn(self, ratio: float, proposal: Proposal) -> None:
        """Update the radius after a trial whose gain was `ratio` times the predicted one."""
        if not ratio > 0.25:
            self.radius = (0.5 if ratio > 0 else 0.25) * min(self.radius, proposal.length or self.radius)
        elif ratio > 0.75 or proposal.damping == 0.0:
            self.radius = max(self.radius, 2.0 * proposal.length)

    def exhausted(self, theta: np.ndarray) -> bool:
        """Whether the region has shrunk to the rounding of θ."""
        scale = self.scale or [0.0] * len(theta)
        size = math.hypot(*[d * t for d, t in zip(scale, theta.tolist(), strict=True)])
        return bool(self.radius <= 1e-16 * max(size, TINY))


def _within(s: list[float], c: list[float], radius: float) -> tuple[list[float], float]:
    """v with min ‖diag(s) v − c‖ under ‖v‖ ≤ radius, and its τ (by Hebden's iteration on 1/‖v(τ)‖)."""
    least = ALIASED * max(s[0], TINY)
    v = [ci / si if si > least else 0.0 for si, ci in zip(s, c, strict=True)]
    length = math.hypot(*v)
    if length <= SLACK * radius:
        return v, 0.0
    g = [si * ci for si, ci in zip(s, c, strict=True)]
    low, high = 0.0, math.hypot(*g) / radius
    tau = max(1e-3 * high, TINY)
    for _ in range(30):
        weights = [si * si + tau for si in s]
        v = [gi / weight for gi, weight in zip(g, weights, strict=True)]
        length = math.hypot(*v)
        if abs(length - radius) <= 0.1 * radius or not length:
            break
        if length > radius:
            low = tau
        else:
            high = tau
        # The squares of a vector of unit length do not underflow, however small the region is.
        units = [(vi / length) ** 2 / weight for vi, weight in zip(v, weights, strict=True)]
        tau += (length / radius - 1.0) / sum(units)
        if not low < tau < high:
            tau = max(0.001 * high, math.sqrt(low * high))
    return v, tau
