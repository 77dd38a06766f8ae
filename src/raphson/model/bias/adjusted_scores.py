r"""Firth's bias reduction by adjusted scores: the root of U(β) + A(β), where A removes the bias of order n⁻¹.

For a generalised linear model with mean μ(η), d = ∂μ/∂η, d′ = ∂²μ/∂η², information F = Σ w_i x_i x_iᵀ/φ and leverages
h_i = w_i x_iᵀF⁻¹x_i/φ (Kosmidis and Firth 2009, Biometrika 96, 793, section 4.3)

    U(β) = (1/φ) Σ w_i/d_i (y_i − μ_i) x_i        A(β) = Σ ½ h_i d′_i/d_i x_i,

so that each working response gains ½ h_i d′_i/(d_i w_i) φ. Leverages do not depend on φ. Where φ is unknown, the root
of φ U + φ̂ A is sought, with Pearson's φ̂ at β. As φ is orthogonal to β, the bias of β̂ is then of order n⁻², whatever
φ̂ is; φ̂ itself is not adjusted.

For a canonical link d′/d = w′/w and A is the gradient of ½ log det F, Jeffreys' penalty. Otherwise U + A is not a
gradient, and there is no likelihood to compare two points by. The search is then for the root. The steps are those of
the method (quasi Fisher scoring, or Newton with the information of U alone), and a trial is judged by its distance to
the root, ½ (U + A)ᵀF⁻¹(U + A).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raphson.data.blocks import Block
from raphson.data.products import dense
from raphson.execute import sum_blocks
from raphson.model.bias.objective import Biased
from raphson.model.objective import VALUE, Evaluation, Kind, Need
from raphson.model.rows import block_rows

ROWS = 2**16
"""Rows that are whitened at a time. Each column of them takes 512 KiB."""


class AdjustedScores(Biased):
    """A GLM's score with A(β) added. Its value is minus half the squared distance to the root, not a likelihood."""

    @property
    def comparable(self) -> bool:
        return False

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """The adjusted score, the likelihood's informations, and the distance to the root."""
        kinds: tuple[Kind, ...] = (*need.kinds, "expected")
        plain = self.likelihood.evaluate(theta, replace(need, kinds=tuple(dict.fromkeys(kinds)), products=False))
        if not plain.finite:
            return plain
        log_det, T = self._whitener(theta, plain.information["expected"])
        if T is None:
            return replace(plain, value=log_det)
        added = sum_blocks(self.likelihood.executor, lambda block: self._added(block, theta, T), self.likelihood.blocks)
        added = plain.dispersion * added
        score = plain.score + added
        half = T @ score
        information = {
            kind: self._raised(part, added) for kind, part in plain.information.items() if kind in need.kinds
        }
        operator = self.likelihood.evaluate(theta, need).operator if need.products else None
        value = -0.5 * float(half @ half)
        return replace(
            plain,
            value=value,
            added=value - plain.value,
            score=score,
            information=information,
            operator=operator,
        )

    def _added(self, block: Block, theta: np.ndarray, T: np.ndarray) -> np.ndarray:
        """Σ ½ h_i d′_i/d_i x_i of a block, (p,)."""
        eta, jacobian = self.likelihood.predictor.at(block, theta)
        m = block.rows
        W = block_rows(self.likelihood.family, block, eta).expected[0, 0]
        h = np.empty(m)
        for start in range(0, m, ROWS):
            rows = slice(start, min(start + ROWS, m))
            Z = dense(jacobian.parts[0][rows]) @ T.T
            h[rows] = np.einsum("mr,mr->m", Z, Z) * W[rows]
        a = np.where(h > 0, 0.5 * h * self.likelihood.family.link.second_derivative(eta[0, :m]), 0.0)
        return jacobian.transpose_product(a[None])
