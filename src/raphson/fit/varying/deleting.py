r"""What the levels of the outermost group do to the estimates, each left out in turn; and the scores of clusters.

Where no group crosses another and nothing is smooth, the criterion of maximum likelihood is a sum over the levels of
the outermost group, V = Σ V_l. One Newton step from θ̂, whose gradient is 0, leads without level l to

    θ̂ − (M − M_l)⁻¹ g_l,    g_l = ∇V_l,  M_l = −∇²V_l,  M = Σ M_l,

with gradients and Hessians that are exact. One part of M − M_l is not taken as it is: where the rows that are left are
not at their maximum, the mixed derivatives by β and scales have a term with their score, which has the mean 0 at the
maximum that is sought (that of a normal response is nothing else). So the mixed block is M's, by the share of the
weights; against fits without the level this makes errors several times smaller.

Otherwise, and by REML, where β ties the levels together, the step is that of the criterion without the rows of the
level, and β is then the mode at the new scales.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from raphson.errors import ModelError
from raphson.fit.varying.grouping import grouped, is_nested, outermost
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.results import AtMaximum

if TYPE_CHECKING:
    from raphson.fit.varying.inferring import OfCriterion


@dataclass(frozen=True, eq=False)
class Deletions:
    """The levels of the outermost group, or where groups are crossed of the first one, each left out in turn.

    Attributes
    ----------
    fit : the fit.
    """

    fit: OfCriterion

    @cached_property
    def _term(self) -> int:
        terms = self.fit.model.varying
        some = grouped(terms)
        if not some:
            raise ModelError(
                "influence is of the levels of a group, which are left out in turn, where coefficients vary; this "
                "model has smooth functions alone. See residuals() and check()"
            )
        outer = outermost(terms)
        return some[0] if outer is None else outer

    @property
    def labels(self) -> tuple[str, ...]:
        """The levels."""
        return self.fit.model.varying[self._term].levels

    @property
    def group(self) -> str:
        """What has the levels."""
        return self.fit.model.varying[self._term].group

    @cached_property
    def _rows(self) -> list[np.ndarray]:
        """The rows of each level."""
        codes = self.fit.model.varying[self._term].codes
        assert codes is not None
        return rows_of(codes, len(self.labels))

    @cached_property
    def counted(self) -> np.ndarray:
        """(L,) which levels have rows of positive weight."""
        w = self.fit.model.row_weight
        return np.array([bool((w[rows] > 0).any()) for rows in self._rows])

    @property
    def separate(self) -> bool:
        """Whether the criterion is a sum over the levels."""
        model = self.fit.model
        return not model.restricted and outermost(model.varying) is not None and not _smooth(self.fit)

    @cached_property
    def thetas(self) -> np.ndarray:
        """(L, J) one Newton step from θ̂ without each level; NaN where its rows alone determine a parameter."""
        at = self.fit.maximum
        free, out = at.free, np.tile(at.theta, (len(self.labels), 1))
        M = -at.derivatives.hessian[np.ix_(free, free)]
        p, w = int(np.count_nonzero(free[: at.criterion.p])), at.criterion.density.weight
        for number, rows in enumerate(self._rows):
            if not len(rows):
                continue
            if self.separate:
                part = AtMaximum(self._alone(rows), at.theta, free).derivatives
                g, left = -part.gradient[free], M + part.hessian[np.ix_(free, free)]
            else:
                rest = self._without(rows)
                if rest.at(at.theta) is None:  # no other rows determine β
                    out[number] = np.nan
                    continue
                others = AtMaximum(rest, at.theta, free).derivatives
                g, left = others.gradient[free], -others.hessian[np.ix_(free, free)]
            left[:p, p:] = M[:p, p:] * (1.0 - w[rows].sum() / w.sum())
            left[p:, :p] = left[:p, p:].T
            out[number, free] += _solved(left, g)
        return out

    @cached_property
    def coefficients(self) -> np.ndarray:
        """(L, p) the coefficients β without each level, of the columns that are not aliased."""
        at, p = self.fit.maximum, self.fit.maximum.criterion.p
        if not at.criterion.restricted:
            return self.thetas[:, :p]
        out = np.tile(at.beta, (len(self.labels), 1))
        for number, rows in enumerate(self._rows):
            theta = self.thetas[number]
            if len(rows):
                known = np.isfinite(theta).all()
                out[number] = AtMaximum(self._without(rows), theta, at.free).beta if known else np.nan
        return out

    @property
    def moves(self) -> np.ndarray:
        """(L, n) how far each coefficient moves, of the estimates with all rows less those without a level."""
        out = np.full((len(self.labels), self.fit.n), np.nan)
        out[:, self.fit.model.kept] = self.fit.maximum.beta - self.coefficients
        return out

    @cached_property
    def cooks(self) -> np.ndarray:
        """(L,) the squared move of all coefficients, by their covariance, over their number."""
        moves = self.fit.maximum.beta - self.coefficients
        whitened = np.linalg.solve(np.linalg.cholesky(self.fit.maximum.beta_cov), moves.T)
        return np.sum(whitened**2, axis=0) / max(moves.shape[1], 1)

    @cached_property
    def densities(self) -> np.ndarray:
        """(L,) the log density of the rows of each level, its effects integrated out, at the estimates without it.

        It is 0 of a level whose rows have the weight 0, and NaN where they alone determine a parameter.
        """
        if not self.separate:
            raise ModelError(
                "loo: expected a fit by maximum likelihood in which levels are independent given the coefficients; "
                "REML, crossed groups and smooth functions tie them together. See dfbetas and check()"
            )
        out = np.zeros(len(self.labels))
        for number in np.flatnonzero(self.counted):
            theta = self.thetas[number]
            spot = self._alone(self._rows[number]).at(theta) if np.isfinite(theta).all() else None
            out[number] = np.nan if spot is None else spot.value
        return out

    def _alone(self, rows: np.ndarray) -> Criterion:
        return self.fit.model.criterion_of(rows)

    def _without(self, rows: np.ndarray) -> Criterion:
        kept = np.ones(self.fit.maximum.criterion.n_rows, dtype=bool)
        kept[rows] = False
        return self.fit.model.criterion_of(np.flatnonzero(kept))


def cluster_scores(fit: OfCriterion, clusters: np.ndarray) -> np.ndarray:
    """(G, J) the gradients of the criterion of each cluster, by β and, by maximum likelihood, the scales.

    Clusters whose rows all have the weight 0 are none.

    Raises
    ------
    ModelError
        If the clusters are not independent of each other.
    """
    model, at = fit.model, fit.maximum
    if _smooth(fit):
        raise ModelError(
            "cov: expected 'model' where there are smooth functions, which all clusters share, so that their scores "
            "are not independent; got 'cluster'. See bootstrap(kind='parametric')"
        )
    for number in grouped(model.varying):
        codes = model.varying[number].codes
        assert codes is not None
        if not is_nested(codes, clusters):
            raise ModelError(
                f"groups: expected clusters that have every level of {model.varying[number].group!r} as a whole, so "
                "that they are independent; some of its levels have rows in several"
            )
    theta = np.concatenate([at.beta, at.theta]) if model.restricted else at.theta
    w = model.row_weight
    parts = [rows for rows in rows_of(clusters, int(clusters.max()) + 1) if (w[rows] > 0).any()]
    return np.stack(list(_gradients(fit, parts, theta)))


def small_sample_factor(kind: str | None, G: int, n: float, p: int) -> float:
    """The factor of a covariance of G clusters: "full", "clusters" or None."""
    if G < 2:
        raise ModelError(f"cov: expected two or more clusters for cov='cluster'; got {G}")
    if kind is None:
        return 1.0
    return G / (G - 1) * ((n - 1) / (n - p) if kind == "full" else 1.0)


def _gradients(fit: OfCriterion, parts: list[np.ndarray], theta: np.ndarray) -> Iterator[np.ndarray]:
    for rows in parts:
        part = AtMaximum(fit.model.criterion_of(rows, restricted=False), theta, np.ones(len(theta), dtype=bool))
        yield part.derivatives.gradient


def rows_of(codes: np.ndarray, count: int) -> list[np.ndarray]:
    """The rows of each of some codes (n,)."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=count))[:-1])


def _smooth(fit: OfCriterion) -> bool:
    return any(term.codes is None for term in fit.model.varying)


def _solved(M: np.ndarray, g: np.ndarray) -> np.ndarray:
    try:
        np.linalg.cholesky(M)
    except np.linalg.LinAlgError:
        return np.full(len(g), np.nan)
    return np.linalg.solve(M, g)
