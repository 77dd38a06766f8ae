"""Information and covariance at an estimate, from cached factors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import field
from typing import Any, get_args

import numpy as np

from raphson.cached import cached_property
from raphson.choices import Information
from raphson.errors import ModelError
from raphson.frozen import frozen
from raphson.inference import covariance
from raphson.model.objective import Gram, Need, Root, scaled
from raphson.newton.estimate import Estimate
from raphson.newton.solve import ILL_CONDITIONED, Factor, factorise, on_plane
from raphson.numeric import one_blas_thread

INFORMATION: tuple[Information, ...] = get_args(Information)
COVARIANCES = covariance.COVARIANCES

THREADED = 64
"""Coefficients from which on BLAS splits their products over threads. With 228 the covariance took 150 ms where other
programs kept the processors busy, on one thread 10."""


class NotPositiveDefinite(ModelError):  # noqa: N818 - it is a property of a matrix, and no mistake
    """An information from which no covariance follows."""


@frozen
class Uncertainty:
    """The uncertainty of an estimate, from the curvature of the log-likelihood.

    Matrices are for all parameters that the iteration moved, auxiliary ones last, at unit dispersion.

    Attributes
    ----------
    estimate : the maximum.
    fitted : its model with the auxiliary parameters fixed at their estimates.
    n : number of coefficients, without auxiliary parameters.
    """

    estimate: Estimate
    fitted: Any
    n: int
    _factors: dict[str, Factor] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether all parameters are infinite or aliased, so that none moved."""
        return not self.estimate.result.free.any()

    def factor(self, kind: Information, dispersion: float = 1.0) -> Factor:
        """Factor of the penalised information.

        The outer product of scores depends on the dispersion. It is multiplied by φ̂ here, so that the covariance of
        every kind is φ̂ times the inverse.

        Raises
        ------
        ModelError
            If the matrix is not positive definite.
        """
        found = self._factors.get(kind)
        if found is not None:
            return found
        result = self.estimate.result
        part = result.evaluation.information[kind] if self.at_hand(kind) else None
        found = self._factorised(part or self._part(kind, dispersion, result.root))
        if not result.root and (found is None or found.smallest_pivot**2 < ILL_CONDITIONED):
            # As in the iteration: where Cholesky would lose digits, use the QR of the rows instead.
            found = self._factorised(self._part(kind, dispersion, root=True))
        if found is None:
            remedy = "" if kind == "expected" else ". Use information='expected'"
            raise NotPositiveDefinite(
                f"information: expected a positive definite matrix; the {kind} information at the estimate is not "
                f"(status {self.estimate.status.value!r}){remedy}"
            )
        self._factors[kind] = found
        return found

    def at_hand(self, kind: Information) -> bool:
        """Whether the last evaluation has this information, so that no row has to be read for it."""
        own = self.estimate.model.objective.likelihood is self.estimate.model.objective
        return own and kind != "opg" and kind in self.estimate.result.evaluation.information

    def _factorised(self, part: Gram | Root) -> Factor | None:
        """The factor for the parameters that moved; at a boundary of the domain, on its face."""
        result = self.estimate.result
        if result.face is None:
            return factorise(part, result.free)
        return on_plane(part, result.face.basis, result.free)

    def _part(self, kind: Information, dispersion: float, root: bool) -> Gram | Root:
        """The information, evaluated again."""
        objective = self.estimate.model.objective.likelihood
        evaluation = objective.evaluate(self.estimate.result.theta, Need(kinds=(kind,), root=root))
        part = evaluation.information[kind]
        if kind == "opg" and evaluation.dispersion != dispersion and dispersion > 0:
            part = scaled(part, evaluation.dispersion / dispersion)
        return part

    @cached_property
    def main_factor(self) -> Factor:
        """Factor of the family's main information (expected where it exists), for the coefficients alone."""
        factor = self.factor(self.fitted.family.main_information)
        if self.fitted is self.estimate.model:
            return factor
        part, kept, face = Gram(factor.matrix[: self.n, : self.n]), factor.kept[: self.n], self.estimate.result.face
        found = factorise(part, kept) if face is None else on_plane(part, face.basis_of(self.n), kept)
        assert found is not None
        return found

    def effective_df(self, undetermined: np.ndarray) -> float:
        """Degrees of freedom of the coefficients that moved: their number, or tr((F+P)⁻¹F) under a penalty.

        `undetermined` (n,) is that of :class:`raphson.fit.state.FitState`.
        """
        penalty = self.fitted.penalty
        if penalty is None or self.empty:
            if undetermined.any():  # the curve depends on fewer combinations than it has parameters
                return float(np.count_nonzero(self.main_factor.kept[: self.n]))
            return float(np.count_nonzero(self.estimate.result.free[: self.n]))
        with self._one_thread:
            return covariance.effective_df(self.main_factor, self.main_factor.matrix - penalty)

    def information(self, kind: Information, dispersion: float) -> np.ndarray:
        """(n, n) information of the coefficients, 1/φ̂ included, with auxiliary parameters profiled out."""
        if self.empty:
            return np.full((self.n, self.n), np.nan)
        M, n = self.factor(kind, dispersion).matrix, self.n
        if len(M) > n:
            # Profiling the auxiliary parameters out leaves the Schur complement of their block.
            M = M[:n, :n] - M[:n, n:] @ np.linalg.solve(M[n:, n:], M[n:, :n])
        M = np.array(M / dispersion)
        held = ~self.estimate.result.free[:n]
        M[held], M[:, held] = np.nan, np.nan
        return M

    def model_based(self, kind: Information, dispersion: float) -> np.ndarray:
        """(n, n) φ̂ M⁻¹, or φ̂ (F+P)⁻¹ F (F+P)⁻¹ under a penalty, of the coefficients; NaN where they did not move."""
        if self.empty:
            return np.full((self.n, self.n), np.nan)
        with self._one_thread:
            factor, penalty = self.factor(kind, dispersion), self.estimate.model.penalty
            unpenalised = None if penalty is None else factor.matrix - penalty
            return covariance.model_covariance(factor, dispersion, unpenalised)[: self.n, : self.n]

    @property
    def _one_thread(self) -> AbstractContextManager[None]:
        """One BLAS thread where there would be several, which on a busy machine wait for one another."""
        return one_blas_thread() if self.n >= THREADED else nullcontext()

    @cached_property
    def rows(self) -> Any:
        """Row quantities at the estimate."""
        return self.estimate.model.rows_at(self.estimate.result.evaluation)

    def robust(
        self,
        kind: Information,
        cov: str,
        dispersion: float,
        groups: np.ndarray | None,
        small_sample: str | None = "full",
    ) -> np.ndarray:
        """(n, n) sandwich covariance of the coefficients, with the information of this kind as its bread."""
        return self._sandwich(kind, cov, dispersion, groups, small_sample)[: self.n, : self.n]

    def _sandwich(
        self, kind: Information, cov: str, dispersion: float, groups: np.ndarray | None, small_sample: str | None
    ) -> np.ndarray:
        """Sandwich covariance of all parameters, auxiliary ones last."""
        spec = COVARIANCES[cov]
        kind = spec.information or kind
        if self.empty:
            return np.full((len(self.estimate.result.free),) * 2, np.nan)
        model, theta, factor = self.estimate.model, self.estimate.result.theta, self.factor(kind, dispersion)

        def scores(held: Any, rows: Any, clusters: np.ndarray | None) -> covariance.RowScores:
            information = per_copy(rows.observed if kind == "observed" else rows.expected, held.copies)
            score = per_copy(rows.score, held.copies)
            given = (factor, held.designs(theta), score, information, held.copies, clusters, small_sample)
            return covariance.RowScores(*given, all=held is model)

        if model.by_rows:
            return covariance.of_rows(cov, scores(model, self.rows, groups))
        if spec.middle is None or spec.close is None:
            raise ModelError(
                f"cov: {cov!r} needs all rows at once, but these are streamed; use cov='HC1', or fit a data frame"
            )
        add_up = spec.middle

        def middle(held: Any) -> covariance.Middle:
            rows = scores(held, held.rows(theta), held.data.groups)
            return covariance.Middle(add_up(rows), rows.n)

        total = model.summed(middle, "covariance", cov, kind, theta)
        return spec.close(total.value, covariance.Totals(factor, total.n, small_sample))

    def auxiliary_se(
        self,
        kind: Information,
        cov: str,
        dispersion: float,
        groups: np.ndarray | None,
        small_sample: str | None = "full",
    ) -> np.ndarray:
        """Standard errors of the auxiliary parameters, from the joint information and the kind of covariance.

        The observed information replaces the expected one, whose block for the auxiliary parameters only scales steps.
        """
        joint: Information = "observed" if kind == "expected" else kind
        if cov == "model":
            V = covariance.model_covariance(self.factor(joint, dispersion), dispersion)
        else:
            V = self._sandwich(joint, cov, dispersion, groups, small_sample)
        errors = np.sqrt(np.maximum(np.diagonal(V)[self.n :], 0.0))
        face = self.estimate.result.face
        return errors if face is None else np.where(face.affected[self.n :], np.nan, errors)


def per_copy(values: np.ndarray, copies: np.ndarray | None) -> np.ndarray:
    """Row quantities (..., n) of a single copy, where rows have frequency weights."""
    return values if copies is None else values / np.where(copies > 0, copies, 1.0)
