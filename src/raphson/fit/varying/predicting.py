r"""Predictions with the effects of the levels and smooth functions, or for the population.

A predictor is x'β + z'b, with the modes b̂. Its variance is

* for REML aᵀH⁻¹a with a = ∂η/∂(β, u): the scales are held, as is usual for smooth functions;
* for ML zᵀΛH_u⁻¹Λᵀz + gᵀCg, with g the total derivative of x'β + z'b̂(θ) by θ and C the inverse of the exact Hessian;
* with a robust covariance of the estimates, that in place of C, or of the block of H⁻¹ of β;
* for a level that the fit did not have, whose effect is 0 on average, zᵀΛΛᵀz besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.errors import DataError, ModelError
from raphson.fit.means import Prediction
from raphson.inference import delta
from raphson.inference.intervals import quantile
from raphson.model.base import rows_at
from raphson.model.families.distribution import Distribution
from raphson.model.varying.joint import Joint
from raphson.model.varying.results import AtMaximum

if TYPE_CHECKING:
    import pandas as pd

ENTRIES = 4_000_000
"""Numbers of the rows' derivatives that are held at once, 32 MB."""


@dataclass(frozen=True, eq=False)
class VaryingPredictor:
    """The parts of a fit that predictions need.

    Attributes
    ----------
    at : the criterion at its maximum.
    family : with its auxiliary parameters at their estimates.
    dispersion : φ̂.
    robust : gives the covariance of θ by ML, or of β by REML, in place of the model's.
    """

    at: AtMaximum
    family: Distribution
    dispersion: float
    robust: Callable[[], np.ndarray] | None = None

    def predict(
        self,
        X: np.ndarray,
        terms: Sequence[VaryingTerm | None],
        offset: np.ndarray | None,
        labels: Any,
        asked: Prediction,
    ) -> pd.Series | pd.DataFrame:
        """Predict for rows with the columns X (n, p) and the terms, None for those that are left out."""
        import pandas as pd

        check_levels(terms, asked)
        eta = self.predictor(X, terms, offset)
        link = asked.kind == "link"
        rows = None if link else rows_at(self.family, eta)
        values = eta if rows is None else rows.mean[0]
        if not asked.uncertain:
            return pd.Series(values, index=labels, name="fit")
        errors = np.sqrt(np.maximum(self.variance(X, terms), 0.0))
        columns = {"fit": values}
        slope = 1.0 if rows is None else np.abs(rows.slope).reshape(-1, len(eta))[0]
        if asked.se:
            columns["se"] = slope * errors
        if asked.interval is not None:
            columns["lower"], columns["upper"] = self._interval(eta, values, errors, slope * errors, asked)
        return pd.DataFrame(columns, index=labels)

    def _interval(
        self, eta: np.ndarray, mean: np.ndarray, errors: np.ndarray, of_mean: np.ndarray, asked: Prediction
    ) -> tuple[np.ndarray, np.ndarray]:
        reach = quantile(asked.level, None)
        if asked.interval == "confidence":
            if asked.kind == "link":
                return eta - reach * errors, eta + reach * errors
            return delta.mean_interval(eta, errors, lambda one: rows_at(self.family, one).mean[0], reach)
        if asked.kind == "link":
            raise ModelError("interval: expected kind='response' with 'prediction'; got kind='link'")
        if self.family.support == "real":
            return delta.gaussian_prediction_interval(mean, of_mean, self.dispersion, reach)
        assert self.family.support is not None
        return delta.plug_in_prediction_interval(
            lambda y: self.family.cdf(y, mean, self.dispersion, None)[1], self.family.support, mean, asked.level
        )

    def predictor(
        self, X: np.ndarray, terms: Sequence[VaryingTerm | None], offset: np.ndarray | None, which: int = 0
    ) -> np.ndarray:
        """(n,) x'β + z'b̂ + offset of a predictor, the first if there are several; β has the columns X there."""
        eta = X @ self.at.beta[self.at.criterion.columns_of[which]]
        for number, term in enumerate(terms):
            if term is not None and self.at.criterion.terms[number].predictor == which:
                eta = eta + _product(term, self.at.modes(number))
        return eta if offset is None else eta + offset

    def variance(self, X: np.ndarray, terms: Sequence[VaryingTerm | None]) -> np.ndarray:
        """(n,) variances of the predictors."""
        total = np.empty(len(X))
        step = max(1, ENTRIES // self.at.criterion.layout.size)
        for start in range(0, len(X), step):
            rows = np.arange(start, min(start + step, len(X)))
            some = [None if term is None else term.take_rows(rows) for term in terms]
            total[rows] = self._of_known(X[rows], some)
        for number, term in enumerate(terms):
            if term is not None:
                total += self._of_new(number, term)
        return total

    def covariances(self, designs: Sequence[np.ndarray], terms: Sequence[VaryingTerm | None]) -> np.ndarray:
        """(K, K, n) covariances of the K predictors, whose β have the columns of `designs`."""
        K, n = len(designs), len(designs[0])
        total = np.zeros((K, K, n))
        step = max(1, ENTRIES // (K * self.at.criterion.layout.size))
        for start in range(0, n, step):
            rows = np.arange(start, min(start + step, n))
            some = [None if term is None else term.take_rows(rows) for term in terms]
            moves = [self.moves(X[rows], some, a) for a, X in enumerate(designs)]
            for a in range(K):
                for b in range(a + 1):
                    total[a, b, rows] = total[b, a, rows] = self.form(moves[a], moves[b])
        for number, term in enumerate(terms):
            if term is not None:
                total[term.predictor, term.predictor] += self._of_new(number, term)
        return total

    def _of_new(self, number: int, term: VaryingTerm) -> np.ndarray:
        """(n,) variances of the coefficients of levels that the fit did not have; 0 at the others."""
        out = np.zeros(len(term.columns))
        if term.codes is not None:
            new = np.flatnonzero(term.codes < 0)
            moved = term.columns[new] @ self._factor(number)
            out[new] = np.einsum("ij,ij->i", moved, moved)
        return out

    @cached_property
    def _joint(self) -> Joint:
        return Joint(self.at)

    def _factor(self, number: int) -> np.ndarray:
        criterion = self.at.criterion
        k = next(k for k, piece in enumerate(criterion.layout.pieces) if piece.term == number)
        found = criterion.factors(self.at.theta)[k]
        assert found is not None
        return found

    @cached_property
    def _robust(self) -> np.ndarray | None:
        return None if self.robust is None else self.robust()

    def _of_known(self, X: np.ndarray, terms: Sequence[VaryingTerm | None]) -> np.ndarray:
        return self.form(self.moves(X, terms))

    def moves(self, X: np.ndarray, terms: Sequence[VaryingTerm | None], which: int = 0) -> np.ndarray:
        """(n, q) how a predictor moves with what is uncertain: linear in the rows, so that sums of rows are too."""
        at = self.at
        if at.criterion.restricted:
            return self._joint.rows(X, terms, which)
        g = np.zeros((len(X), at.criterion.n_params))
        g[:, at.criterion.columns_of[which]] = X
        layout = at.criterion.layout
        own = np.zeros((len(X), layout.size))
        for piece, place in zip(layout.pieces, layout.slices, strict=True):
            assert piece.term is not None
            term = terms[piece.term]
            if term is None or piece.predictor != which:
                continue
            for j, moved in enumerate(at.moves_of_modes[:, place]):
                g[:, j] += _product(term, moved.reshape(piece.levels, piece.width))
            own[:, place] = _spread(term, self._factor(piece.term))
        return np.hstack([g, own])

    def form(self, moves: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
        """(n,) the variances that belong to :meth:`moves` or to sums of them; covariances with others.

        A robust covariance is that of the estimates; the effects given these keep the variance that the model has.
        """
        at, others, robust = self.at, moves if others is None else others, self._robust
        if at.criterion.restricted:
            total = self._joint.covariance(moves, others)
            if robust is None:
                return total
            # H⁻¹ of v = (β, u) is that of u given β, and M V_β Mᵀ with M = ∂v/∂β = [H⁻¹]_·β V_β⁻¹ along the mode.
            units = np.eye(at.criterion.layout.size)[:, at.criterion.layout.place_of_fixed]
            along = np.linalg.solve(at.beta_cov, self._joint.factor.solve(units).T).T
            return total + np.einsum("ij,jk,ik->i", moves @ along, robust - at.beta_cov, others @ along)
        (g, own), (h, other) = (np.split(one, [at.criterion.n_params], axis=1) for one in (moves, others))
        solved = at.spot.mode.factor.solve(np.ascontiguousarray(other.T))
        return np.einsum("im,mi->i", own, solved) + np.einsum("ij,jk,ik->i", g, at.cov if robust is None else robust, h)


@dataclass(frozen=True, eq=False)
class VaryingPredictors:
    """Linear predictors of rows whose coefficients vary; see :class:`raphson.fit.predictors.Predictors`.

    Attributes
    ----------
    eta : (n,) with the effects of the rows' levels and the offset.
    X, terms : of the rows.
    by : the fit.
    """

    eta: np.ndarray
    X: np.ndarray
    terms: Sequence[VaryingTerm | None]
    by: VaryingPredictor

    def variance_of_sums(self, weights: np.ndarray) -> np.ndarray:
        """(m,) variances of Σ_j w_ij η_ij, the rows being m groups of k, for weights (m, k)."""
        m, k = weights.shape
        step = max(1, ENTRIES // self.by.at.criterion.layout.size)
        sums: list[np.ndarray] = []
        for group in range(m):
            total: Any = 0.0
            for start in range(0, k, step):
                rows = np.arange(group * k + start, group * k + min(start + step, k))
                some = [None if term is None else term.take_rows(rows) for term in self.terms]
                total = total + weights[group, rows - group * k] @ self.by.moves(self.X[rows], some)
            sums.append(total)
        return self.by.form(np.stack(sums))


def check_levels(terms: Sequence[VaryingTerm | None], asked: Prediction) -> None:
    """Refuse levels that the fit did not have, unless they are asked for.

    Raises
    ------
    DataError
    """
    if asked.new_levels == "population":
        return
    for term in terms:
        if term is None or term.codes is None:
            continue
        strange = int(np.count_nonzero(term.codes < 0))
        if strange:
            raise DataError(
                f"new data: {strange} of {len(term.codes)} rows have a level of {term.group!r} that the fit did "
                'not have; predict them with new_levels="population", or all rows with effects="population"'
            )


def _product(term: VaryingTerm, b: np.ndarray) -> np.ndarray:
    """Z b, with b (L, c); 0 for a level that is not the fit's."""
    if term.codes is None:
        return term.columns @ b[0]
    return np.where(term.codes >= 0, np.einsum("ij,ij->i", term.columns, b[term.codes]), 0.0)


def _spread(term: VaryingTerm, factor: np.ndarray) -> np.ndarray:
    """(n, c L) the columns, times a factor, at the row's level."""
    moved = term.columns @ factor
    if term.codes is None:
        return moved
    out = np.zeros((len(moved), term.n_levels, term.width))
    known = np.flatnonzero(term.codes >= 0)
    out[known, term.codes[known]] = moved[known]
    return out.reshape(len(moved), term.n_coefficients)
