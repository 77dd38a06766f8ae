r"""Jeffreys' penalty: the objective ℓ(θ) + ½ log det I(θ), I the expected information.

The maximum is the mode under Jeffreys' prior. For a canonical link it is Firth's bias reduction: its bias is of order
n⁻² where that of θ̂ is of order n⁻¹ (Firth 1993, Biometrika 80, 27-38). With any link the estimates are finite even
where covariates separate the responses (Heinze and Schemper 2002, Statistics in Medicine 21; Kosmidis and Firth 2021,
Biometrika 108, 71). With I = Σ J_iᵀ W_i J_i, W = E[−∂²log f/∂η²] and linear predictors,
whose J does not depend on θ, Jacobi's formula gives, with A_i = J_i I⁻¹ J_iᵀ (K, K),

    ∂/∂η_ic  ½ log det I = ½ tr(A_i ∂W_i/∂η_ic) =: a_ic         so that the score gains  Σ J_iᵀ a_i
    ∂²       ½ log det I = ½ Σ J_iᵀ [tr(A_i ∂²W_i/∂η_c∂η_d)] J_i − ½ tr(I⁻¹ I_r I⁻¹ I_s),   I_r = ∂I/∂θ_r.

For logistic regression a_i = h_i (½ − μ_i), with h_i the leverage: Firth's modified score. The derivatives of W are by
autodiff of the family's rows.

Where a likelihood does not say which column is its response, there is no expected information and the observed one
takes its place; for a canonical link the two are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.data.blocks import Block
from raphson.data.products import dense
from raphson.errors import ModelError
from raphson.execute import sum_blocks
from raphson.model.bias.objective import Biased
from raphson.model.objective import VALUE, Evaluation, Gram, Kind, Need
from raphson.model.rows import block_rows
from raphson.numeric import anchor, x64

ENTRIES = 2**22
"""How many numbers of the second derivatives are held at a time: 32 MB."""

STEP = 2.0**-17
"""Relative step of second-order differences, about the cube root of the spacing of doubles."""

WIDE_STEP, SHARE = 2.0**-10, 2.0**-8
"""Relative step of fourth-order differences, about the fifth root of the spacing of doubles; and the largest share of
a predictor's own unit, √(1/W), that a step may be."""


class JeffreysPenalised(Biased):
    """An objective with ½ log det I(θ) added."""

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """Value, score and information of the objective; the information of kind "observed" is its curvature."""
        kinds = tuple(dict.fromkeys((*need.kinds, self.kind)))
        try:
            plain = self.likelihood.evaluate(theta, replace(need, kinds=kinds, products=False))
        except ModelError:  # a trial point too far out for the expected information: the search steps back
            return replace(self.likelihood.evaluate(theta), value=-np.inf)
        if not plain.finite:
            return plain
        log_det, T = self._whitener(theta, plain.information[self.kind])
        if T is None:  # the observed information is not positive definite here: the search steps back
            return replace(plain, value=log_det)
        curved = "observed" in need.kinds and not need.products

        def one(block: Block) -> _Correction:
            return self._correction(block, theta, T, curved)

        found = sum_blocks(self.likelihood.executor, one, self.likelihood.blocks)
        information = {
            kind: self._raised(part, found.score) for kind, part in plain.information.items() if kind in need.kinds
        }
        if curved:
            # Σ_r,s over the whitened I_r: tr(I⁻¹ I_r I⁻¹ I_s) = Σ (T I_r Tᵀ)·(T I_s Tᵀ).
            second = found.second - 0.5 * found.turned @ found.turned.T
            information["observed"] = Gram(plain.information["observed"].matrix - second)
        operator = self.likelihood.evaluate(theta, need).operator if need.products else None
        return replace(
            plain,
            value=plain.value + 0.5 * log_det,
            added=0.5 * log_det,
            score=plain.score + found.score,
            information=information,
            operator=operator,
        )

    def _correction(self, block: Block, theta: np.ndarray, T: np.ndarray, curved: bool) -> _Correction:
        eta, jacobian = self.likelihood.predictor.at(block, theta)
        m, K, r = block.rows, len(eta), len(T)
        first, second = _slopes(self.likelihood.family, block, eta, curved, self.kind)
        score = np.zeros((K, m))
        term = np.zeros((K, K, m))
        turned = np.zeros((self.n_params, r * r)) if curved else None
        step = max(ENTRIES // max(K * r * r, 1), 16)
        for start in range(0, m, step):
            rows = slice(start, min(start + step, m))
            X = [dense(part[rows]) for part in jacobian.parts]
            Z = np.stack([x @ T[:, cols].T for x, cols in zip(X, jacobian.slices, strict=True)])
            A = np.einsum("amr,bmr->abm", Z, Z)
            score[:, rows] = 0.5 * np.einsum("abm,abcm->cm", A, first[..., rows])
            if turned is None:
                continue
            term[..., rows] = 0.5 * np.einsum("abm,abcdm->cdm", A, second[..., rows])
            turns = np.einsum("abcm,amr,bms->cmrs", first[..., rows], Z, Z, optimize=True)
            for c, (x, cols) in enumerate(zip(X, jacobian.slices, strict=True)):
                turned[cols] += x.T @ turns[c].reshape(len(x), r * r)
        if turned is None:
            return _Correction(jacobian.transpose_product(score), None, None)
        return _Correction(jacobian.transpose_product(score), jacobian.information(term), turned)


@dataclass
class _Correction:
    """Sums over blocks for score and curvature: Σ J_iᵀ a_i, the term in ∂²W, and T I_r Tᵀ (p, r²)."""

    score: np.ndarray
    second: Any
    turned: Any

    def __add__(self, other: _Correction) -> _Correction:
        if self.turned is None:
            return _Correction(self.score + other.score, None, None)
        return _Correction(self.score + other.score, self.second + other.second, self.turned + other.turned)


@cache
def _compiled() -> Any:
    def slopes(family: Any, y: Any, eta: Any, weight: Any, anchor: Any) -> Any:
        del anchor

        def along(c: int) -> Any:
            # Rows do not depend on one another, so one direction serves all of them.
            direction = jnp.zeros_like(eta).at[c].set(1.0)
            return jax.jvp(lambda at: family.rows(y, at).expected, (eta,), (direction,))[1]

        slope = jnp.stack([along(c) for c in range(eta.shape[0])], axis=2)
        return jnp.where(weight > 0, weight * slope, 0.0)

    return compiled(slopes)


def _slopes(
    family: Any, block: Block, eta: np.ndarray, curved: bool, kind: Kind = "expected"
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted ∂W_ab/∂η_c (K, K, K, rows) and, if `curved`, the second derivatives (K, K, K, K, rows)."""
    if kind == "expected" and family.own_rows is not None:
        return _by_differences(family, block, eta, curved)

    def first(at: np.ndarray) -> np.ndarray:
        if kind == "observed":
            return family.information_slopes(block, at)
        with x64():
            return np.asarray(_compiled()(family, block.y, at, block.weight, anchor()))[..., : block.rows]

    if not curved:
        return first(eta), np.zeros(0)
    # Central differences, accurate to some ten digits, suffice for a curvature that only directs the steps; a fourth
    # derivative of the family would take seconds to compile.
    second = []
    for d in range(len(eta)):
        step = np.zeros_like(eta)
        step[d] = STEP * np.maximum(1.0, np.abs(eta[d]))
        second.append((first(eta + step) - first(eta - step)) / (2.0 * step[d, : block.rows]))
    return first(eta), np.nan_to_num(np.stack(second, axis=3), nan=0.0, posinf=0.0, neginf=0.0)


def _near(family: Any, block: Block, eta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """From predictors near eta to the weighted E[W] (K, K, rows)."""
    if hasattr(family, "expectation"):
        return family.expectation(block, eta)
    return lambda at: block_rows(family, block, at).expected


def _by_differences(family: Any, block: Block, eta: np.ndarray, curved: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """As `_slopes`, for a family that evaluates its own rows: fourth-order differences.

    With step h their error is about h⁴/30 times the fifth derivative, and rounding adds ε/h: some twelve digits are
    right.
    """
    expected = _near(family, block, eta)
    here, weight, K = expected(eta), block.weight[: block.rows], len(eta)
    steps = []
    for c in range(K):
        with np.errstate(all="ignore"):
            unit = np.sqrt(weight / here[c, c])
        unit = SHARE * np.where(np.isfinite(unit) & (unit > 0), unit, np.inf)
        step = np.zeros_like(eta)
        step[c] = WIDE_STEP * np.maximum(1.0, np.abs(eta[c]))
        step[c, : block.rows] = np.minimum(step[c, : block.rows], unit)
        steps.append(step)
    size = [step[c, : block.rows] for c, step in enumerate(steps)]
    near = [[expected(eta + sign * step) for sign in (1, -1)] for step in steps]
    far = [[expected(eta + sign * step) for sign in (2, -2)] for step in steps]
    slopes = [(8.0 * (n[0] - n[1]) - (f[0] - f[1])) / (12.0 * h) for n, f, h in zip(near, far, size, strict=True)]
    if not curved:
        return np.stack(slopes, axis=2), np.zeros(0)
    second = np.empty((K, K, K, K, block.rows))
    for c in range(K):
        second[:, :, c, c] = (near[c][0] - 2.0 * here + near[c][1]) / size[c] ** 2
        for d in range(c):
            ends = expected(eta + steps[c] + steps[d]) + expected(eta - steps[c] - steps[d])
            mixed = (ends + 2.0 * here - sum(near[c]) - sum(near[d])) / (2.0 * size[c] * size[d])
            second[:, :, c, d] = second[:, :, d, c] = mixed
    return np.stack(slopes, axis=2), np.nan_to_num(second, nan=0.0, posinf=0.0, neginf=0.0)
