"""The common base of objectives with bias reduction: what they take from the likelihood, and F^(−½)."""

# pyright: strict

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raphson.linalg import COMPUTED, SINGULAR, column_squares
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import DerivedObjective, Gram, Kind, Need, Root
from raphson.model.walls import Walls


@dataclass(frozen=True)
class Biased(DerivedObjective[LogLikelihood]):
    """A likelihood with something added to its score; subclasses say what.

    There are no walls: at the edge of the domain the information grows without bound, and with it what is added.

    Attributes
    ----------
    kind : the information that the addition is made from, expected or observed.
    """

    kind: Kind = "expected"

    @property
    def likelihood(self) -> LogLikelihood:
        """The likelihood itself, whose information covariances come from."""
        return self.inner

    def same(self, kind: Kind) -> Kind:
        """The kind itself: with the added term, observed and expected differ even for a canonical link."""
        return kind

    @property
    def concave(self) -> bool:
        return False

    @property
    def few(self) -> bool:
        """False: what is added takes several times as long as the reading, and its score may be no gradient."""
        return False

    @property
    def projected(self) -> None:
        """None: what is added depends on all parameters, so none can be solved for."""
        return None

    def moved(self, theta: np.ndarray, step: np.ndarray, project: bool = True) -> np.ndarray:
        return self.inner.moved(theta, step, project=False)

    @property
    def edges(self) -> None:
        return None

    def walls(self, theta: np.ndarray, step: np.ndarray | None = None) -> Walls:
        return Walls.none(self.n_params)

    @cached_property
    def _scale(self) -> np.ndarray:
        """(p,) lengths of the design's columns: scales of the parameters that do not depend on θ."""
        triangle = self.likelihood.design_root(np.zeros(self.n_params)).triangle[:, :-1]
        lengths = np.sqrt(column_squares(triangle))
        return np.where(lengths > 0, lengths, 1.0)

    def _whitener(self, theta: np.ndarray, part: Gram | Root) -> tuple[float, np.ndarray | None]:
        """log det I and T (r, p) with TᵀT = I⁻¹, on the span of the design where columns are aliased.

        Where columns are aliased, I = B J Bᵀ with one B for all θ, so that the product of the nonzero eigenvalues is a
        constant times the determinant without the aliased columns.
        """
        scale = self._scale
        if isinstance(part, Gram):
            values, vectors = np.linalg.eigh(part.matrix / scale / scale[:, None])
            if values[0] > 1e-6 * values[-1]:
                return float(np.sum(np.log(values))), (vectors / np.sqrt(values)).T / scale
            if values[0] < -SINGULAR * values[-1]:
                return -np.inf, None
            part = self.likelihood.evaluate(theta, Need(kinds=(self.kind,), root=True)).information[self.kind]
            if isinstance(part, Gram):  # some row's is indefinite, so there is no root
                kept = values > SINGULAR * values[-1]
                root = (vectors[:, kept] / np.sqrt(values[kept])).T
                return float(np.sum(np.log(values[kept]))), root / scale
        _, sizes, rows = np.linalg.svd(part.triangle[:, :-1] / scale, full_matrices=False)
        kept = sizes > COMPUTED * sizes[0]
        return float(2.0 * np.sum(np.log(sizes[kept]))), rows[kept] / sizes[kept, None] / scale

    def _raised(self, part: Gram | Root, more: np.ndarray) -> Gram | Root:
        """The same root with a right-hand side z that accounts for `more` of the score: Rᵀz grows by `more`."""
        if isinstance(part, Gram):
            return part
        triangle = part.triangle.copy()
        scale = self._scale
        triangle[:, -1] += np.linalg.lstsq(triangle[:, :-1].T / scale[:, None], more / scale, rcond=COMPUTED)[0]
        return Root(triangle, part.second_order)
