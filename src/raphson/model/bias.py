r"""Firth's bias reduction: the objective ℓ(θ) + ½ log det I(θ), I the expected information.

The maximum is the mode under Jeffreys' prior. For a canonical link its bias is of order n⁻² where that of θ̂ is of order
n⁻¹, and the estimates are finite even where covariates separate the responses (Firth 1993, Biometrika 80, 27-38; Heinze
and Schemper 2002, Statistics in Medicine 21). With I = Σ J_iᵀ W_i J_i, W = E[−∂²log f/∂η²] and linear predictors,
whose J does not depend on θ, Jacobi's formula gives in A_i = J_i I⁻¹ J_iᵀ (K, K)

    ∂/∂η_ic  ½ log det I = ½ tr(A_i ∂W_i/∂η_ic) =: a_ic         so that the score gains  Σ J_iᵀ a_i
    ∂²       ½ log det I = ½ Σ J_iᵀ [tr(A_i ∂²W_i/∂η_c∂η_d)] J_i − ½ tr(I⁻¹ I_r I⁻¹ I_s),   I_r = ∂I/∂θ_r.

For logistic regression a_i = h_i (½ − μ_i), with h_i the leverage: Firth's modified score. The derivatives of W are by
autodiff of the family's rows.

Where a likelihood does not tell of which response the information would be a mean, the observed one takes its place:
for a canonical link the two are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from raphson.data.blocks import Block
from raphson.data.matrix import dense
from raphson.errors import ModelError
from raphson.execute import sum_blocks
from raphson.model.objective import BlockCurvature, Evaluation, Gram, Kind, Need, Objective, Root
from raphson.model.predictor import Predictor
from raphson.model.rows import block_rows
from raphson.model.walls import Walls
from raphson.numeric import anchor, x64

BIAS = (None, "firth")
"""What may be done about the bias of maximum likelihood."""

ALIASED = 1e-11
"""A direction in which the scaled design has no more length than this is none: columns are aliased."""

ENTRIES = 2**22
"""Numbers held at a time for the second derivatives."""

STEP = 2.0**-17
"""Of second-order differences, about the cube root of the spacing of doubles."""

WIDE_STEP = 2.0**-10
"""Of fourth-order differences, about the fifth root."""

VALUE = Need()


def check_bias(bias: Any, family: Any, penalty: Any) -> None:
    """Refuse a bias reduction that is not known, or not defined for the family.

    Raises
    ------
    ModelError
    """
    if bias not in BIAS:
        raise ModelError(f"bias: expected None or 'firth'; got {bias!r}")
    if bias is None:
        return
    if family.quasi or not family.dispersion_fixed or family.auxiliary:
        raise ModelError(
            f"bias: Firth's penalty ½ log det I(θ) is for likelihoods in the coefficients alone, such as binomial, "
            f"poisson or multinomial; the {family.name} family has another parameter to estimate. Leave bias= out"
        )
    if penalty is not None:
        raise ModelError("bias: expected either bias='firth' or penalty=, two ways of shrinking; got both")


@dataclass(frozen=True)
class BiasReduced:
    """An objective with ½ log det I(θ) added.

    Attributes
    ----------
    likelihood : the objective without it. Covariances come from its information.
    kind : which information I is: the expected one, or the observed.
    """

    likelihood: Objective
    kind: Kind = "expected"

    @property
    def family(self) -> Any:
        return self.likelihood.family

    @property
    def blocks(self) -> Sequence[Block]:
        return self.likelihood.blocks

    @property
    def n_params(self) -> int:
        return self.likelihood.n_params

    @property
    def n_rows(self) -> int:
        return self.likelihood.n_rows

    @property
    def at_limit(self) -> bool:
        return self.likelihood.at_limit

    @property
    def main_kind(self) -> Kind:
        """That of the objective inside."""
        return self.likelihood.main_kind

    def same(self, kind: Kind) -> Kind:
        """The kind itself: the added term bends the observed information of a canonical link too."""
        return kind

    @property
    def predictor(self) -> Predictor:
        return self.likelihood.predictor

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray] | None:
        return self.likelihood.bounds

    @property
    def projected(self) -> None:
        """No parameter is solved for: the added term depends on all of them."""
        return None

    @property
    def prior(self) -> np.ndarray | None:
        return self.likelihood.prior

    def moved(self, theta: np.ndarray, step: np.ndarray, project: bool = True) -> np.ndarray:
        """See :meth:`Objective.moved`."""
        return self.likelihood.moved(theta, step, project=False)

    def blocked(self, theta: np.ndarray, score: np.ndarray) -> np.ndarray | None:
        """See :meth:`Objective.blocked`."""
        return self.likelihood.blocked(theta, score)

    @property
    def walled(self) -> bool:
        """False: where the information grows without bound, at the edge of the domain, so does the added term."""
        return False

    def walls(self, theta: np.ndarray, step: np.ndarray | None = None) -> Walls:
        """See :meth:`Objective.walls`: there are none."""
        return Walls.none(self.n_params)

    def linearised(self, eta: np.ndarray, need: Need, project: bool = False) -> Evaluation:
        """See :meth:`Objective.linearised`: starting values are those of the likelihood."""
        return self.likelihood.linearised(eta, need, project)

    def design_root(self, theta: np.ndarray) -> Root:
        """See :meth:`Objective.design_root`."""
        return self.likelihood.design_root(theta)

    def information_product(self, curvature: list[BlockCurvature], v: np.ndarray) -> np.ndarray:
        """See :meth:`Objective.information_product`: that of the likelihood."""
        return self.likelihood.information_product(curvature, v)

    def information_diagonal(self, curvature: list[BlockCurvature]) -> np.ndarray:
        """See :meth:`Objective.information_diagonal`: that of the likelihood."""
        return self.likelihood.information_diagonal(curvature)

    @cached_property
    def _scale(self) -> np.ndarray:
        """(p,) lengths of the design's columns, as units of the parameters that do not depend on θ."""
        triangle = self.likelihood.design_root(np.zeros(self.n_params)).triangle[:, :-1]
        lengths = np.sqrt(np.einsum("ij,ij->j", triangle, triangle))
        return np.where(lengths > 0, lengths, 1.0)

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """Value, score and information of the objective; the information of kind "observed" is its curvature."""
        kinds = tuple(dict.fromkeys((*need.kinds, self.kind)))
        try:
            plain = self.likelihood.evaluate(theta, replace(need, kinds=kinds, products=False))
        except ModelError:  # nothing can be expected so far out, at a trial point: the search steps back
            return replace(self.likelihood.evaluate(theta), value=-np.inf)
        if not plain.finite:
            return plain
        log_det, T = self._whitener(theta, plain.information[self.kind])
        if T is None:  # the observed information is not positive definite here: the search steps back
            return replace(plain, value=log_det)
        curved = "observed" in need.kinds and not need.products

        def one(block: Block) -> _Correction:
            return self._correction(block, theta, T, curved)

        found = sum_blocks(self.likelihood.executor, one, self.blocks)
        information = {
            kind: self._raised(part, found.score) for kind, part in plain.information.items() if kind in need.kinds
        }
        if curved:
            # Σ_r,s over the whitened I_r: tr(I⁻¹ I_r I⁻¹ I_s) = Σ (T I_r Tᵀ)·(T I_s Tᵀ).
            bent = found.second - 0.5 * found.turned @ found.turned.T
            information["observed"] = Gram(plain.information["observed"].matrix - bent)
        curvature = plain.curvature
        if need.products:
            curvature = self.likelihood.evaluate(theta, need).curvature
        return replace(
            plain,
            value=plain.value + 0.5 * log_det,
            added=0.5 * log_det,
            score=plain.score + found.score,
            information=information,
            curvature=curvature,
        )

    def _whitener(self, theta: np.ndarray, part: Gram | Root) -> tuple[float, np.ndarray | None]:
        """log det I and T (r, p) with TᵀT = I⁻¹, on the span of the design where columns are aliased.

        There I = B J Bᵀ with a B that is the same for all θ, so that the product of the nonzero eigenvalues is the
        determinant of what is left without the aliased columns, times a constant.
        """
        scale = self._scale
        if isinstance(part, Gram):
            values, vectors = np.linalg.eigh(part.matrix / scale / scale[:, None])
            if values[0] > 1e-6 * values[-1]:
                return float(np.sum(np.log(values))), (vectors / np.sqrt(values)).T / scale
            if values[0] < -ALIASED * values[-1]:
                return -np.inf, None
            part = self.likelihood.evaluate(theta, Need(kinds=(self.kind,), root=True)).information[self.kind]
            if isinstance(part, Gram):  # some row's is indefinite, so there is no root
                kept = values > ALIASED * values[-1]
                root = (vectors[:, kept] / np.sqrt(values[kept])).T
                return float(np.sum(np.log(values[kept]))), root / scale
        _, sizes, rows = np.linalg.svd(part.triangle[:, :-1] / scale, full_matrices=False)
        kept = sizes > ALIASED * sizes[0]
        return float(2.0 * np.sum(np.log(sizes[kept]))), rows[kept] / sizes[kept, None] / scale

    def _raised(self, part: Gram | Root, more: np.ndarray) -> Gram | Root:
        """A root whose right-hand side z answers for `more` of the score too: Rᵀz gains that."""
        if isinstance(part, Gram):
            return part
        triangle = part.triangle.copy()
        scale = self._scale
        triangle[:, -1] += np.linalg.lstsq(triangle[:, :-1].T / scale[:, None], more / scale, rcond=ALIASED)[0]
        return Root(triangle, part.bend)

    def _correction(self, block: Block, theta: np.ndarray, T: np.ndarray, curved: bool) -> _Correction:
        eta, jacobian = self.likelihood.predictor.at(block, theta)
        m, K, r = block.rows, len(eta), len(T)
        first, second = _slopes(self.family, block, eta, curved, self.kind)
        score = np.zeros((K, m))
        bent = np.zeros((K, K, m))
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
            bent[..., rows] = 0.5 * np.einsum("abm,abcdm->cdm", A, second[..., rows])
            turns = np.einsum("abcm,amr,bms->cmrs", first[..., rows], Z, Z, optimize=True)
            for c, (x, cols) in enumerate(zip(X, jacobian.slices, strict=True)):
                turned[cols] += x.T @ turns[c].reshape(len(x), r * r)
        if turned is None:
            return _Correction(jacobian.transpose_product(score), None, None)
        return _Correction(jacobian.transpose_product(score), jacobian.information(bent), turned)


@dataclass
class _Correction:
    """What blocks add to score and curvature: Σ J_iᵀ a_i, the term in ∂²W, and T I_r Tᵀ (p, r²)."""

    score: np.ndarray
    second: Any
    turned: Any

    def __add__(self, other: _Correction) -> _Correction:
        if self.turned is None:
            return _Correction(self.score + other.score, None, None)
        return _Correction(self.score + other.score, self.second + other.second, self.turned + other.turned)


@cache
def _compiled() -> Any:
    import jax
    import jax.numpy as jnp

    def slopes(family: Any, y: Any, eta: Any, weight: Any, anchor: Any) -> Any:
        del anchor

        def along(c: int) -> Any:
            # Rows do not see one another, so one direction serves all of them.
            direction = jnp.zeros_like(eta).at[c].set(1.0)
            return jax.jvp(lambda at: family.rows(y, at).expected, (eta,), (direction,))[1]

        slope = jnp.stack([along(c) for c in range(eta.shape[0])], axis=2)
        return jnp.where(weight > 0, weight * slope, 0.0)

    return jax.jit(slopes, keep_unused=True)


def _slopes(
    family: Any, block: Block, eta: np.ndarray, curved: bool, kind: Kind = "expected"
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted ∂W_ab/∂η_c (K, K, K, rows) and, if `curved`, the second derivatives (K, K, K, K, rows)."""

    def first(at: np.ndarray) -> np.ndarray:
        if kind == "observed":
            return family.information_slopes(block, at)
        if getattr(family, "own_rows", None) is not None:
            return _by_differences(family, block, at)
        with x64():
            return np.asarray(_compiled()(family, block.y, at, block.weight, anchor()))[..., : block.rows]

    if not curved:
        return first(eta), np.zeros(0)
    # Central differences, right to some ten digits, are enough for a curvature that only steers the steps; a fourth
    # derivative of the family would take seconds to compile.
    second = []
    for d in range(len(eta)):
        step = np.zeros_like(eta)
        step[d] = STEP * np.maximum(1.0, np.abs(eta[d]))
        second.append((first(eta + step) - first(eta - step)) / (2.0 * step[d, : block.rows]))
    return first(eta), np.nan_to_num(np.stack(second, axis=3), nan=0.0, posinf=0.0, neginf=0.0)


def _by_differences(family: Any, block: Block, eta: np.ndarray) -> np.ndarray:
    """Weighted ∂E[W_ab]/∂η_c of a family that brings its own rows, by differences of the fourth order.

    With the step h their error is about h⁴/30 times the fifth derivative, and rounding adds ε/h: some twelve digits.
    """
    slopes = []
    for c in range(len(eta)):
        step = np.zeros_like(eta)
        step[c] = WIDE_STEP * np.maximum(1.0, np.abs(eta[c]))
        near, far = (
            [block_rows(family, block, eta + sign * size * step).expected for sign in (1, -1)] for size in (1, 2)
        )
        slopes.append((8.0 * (near[0] - near[1]) - (far[0] - far[1])) / (12.0 * step[c, : block.rows]))
    return np.stack(slopes, axis=2)
