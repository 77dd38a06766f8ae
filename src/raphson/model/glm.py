"""A generalised linear model with its data: a family, linear predictors, and what the Fit reads of them.

Nelder and Wedderburn (1972), J. R. Statist. Soc. A 135, 370; McCullagh and Nelder (1989), chapter 2.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data import ModelData
from raphson.data.blocks import Block
from raphson.data.matrix import dense, matvec
from raphson.errors import DataError, ModelError
from raphson.execute import Executor
from raphson.model.base import Model, check_weights_kind
from raphson.model.bias import check_bias
from raphson.model.families import resolve
from raphson.model.limits import Limit
from raphson.model.objective import Evaluation, Need, Objective
from raphson.model.penalty import penalty_matrix
from raphson.model.predictor import LinearPredictor
from raphson.model.replicates import MOST_DENSE, Replicates
from raphson.model.separation import separated, separated_multinomial
from raphson.model.start import start_from

CERTAIN = 1e-7
"""A row whose log density is nearer to 0 than this is fitted all but with certainty: a sign of separation."""

FAR = 1e4
"""η at infinity: every mean there is at its limit in double precision."""

NO_MOVE = 1e-9
"""Rows that a direction moves by less than this share of the largest move stay where they are."""

INTERCEPTS = ("Intercept", "(Intercept)")
"""What an intercept is called."""


@dataclass(frozen=True)
class GeneralisedLinearModel(Model):
    """Family, design and response of a GLM.

    Attributes
    ----------
    shift : (K, n) added to the linear predictors besides the offset: where a limit holds some rows at infinity.
    """

    shift: np.ndarray | None = None

    @staticmethod
    def of(
        data: ModelData, family: Any, weights_kind: str, penalty: Any, executor: Executor, bias: str | None = None
    ) -> GeneralisedLinearModel:
        """Check a response against a family and put the model together.

        Raises
        ------
        DataError
            If the response is outside the family's support.
        ModelError
            If the family or the kind of weights is unknown, or the penalty does not fit.
        """
        check_weights_kind(weights_kind)
        observations = resolve(family).prepare(data.response, data.trials)
        weight = data.weights
        if observations.size is not None:
            weight = observations.size if weight is None else weight * observations.size
        model = GeneralisedLinearModel(
            observations.family, data, observations.y, weight, observations.size, weights_kind, None, executor
        )
        check_bias(bias, model.family, penalty)
        if bias is not None:
            model = replace(model, bias=bias)
        if penalty is not None:
            model = replace(model, penalty=penalty_matrix(penalty, model.predictor.n_params, model._intercepts))
        model._check()
        return model

    def _check(self) -> None:
        n = int(np.sum(self.row_weight > 0)) if self.weight is not None else len(self.y)
        level = float(self.y.mean() if self.weight is None else self.y @ self.weight / self.weight.sum())
        self._check_response(n, level, float(self.y.min(initial=math.inf)), float(self.y.max(initial=-math.inf)))

    def _check_response(self, n: int, level: float, lowest: float, highest: float) -> None:
        """Check n responses of positive weight, by their mean and their range."""
        p = self.predictor.n_params
        if n < p and self.penalty is None:
            raise DataError(
                f"data: expected at least as many rows as coefficients; got {n} rows and {p} coefficients. "
                "Drop terms, bring more data, or pass penalty="
            )
        low, high = self.family.link.interval
        if self.family.predictor_labels is None and not low <= level <= high:
            raise ModelError(
                f"link: the means of the {self.family.link.name} link lie between {low:g} and {high:g}, but the "
                f"responses average {level:.4g}; choose another link for the {self.family.name} family"
            )
        if n and lowest == highest:
            warnings.warn(
                f"response: all {n} values are equal ({lowest:g}); there is nothing for covariates to explain",
                UserWarning,
                stacklevel=5,
            )

    # -- structure ---------------------------------------------------------------------------------------------

    @cached_property
    def predictor(self) -> LinearPredictor:
        """One predictor for each that the family has; the auxiliary ones are a single constant each."""
        n_auxiliary = len(self.family.auxiliary)
        n_main = self.family.n_predictors - n_auxiliary
        p = len(self.data.names)
        return LinearPredictor((p,) * n_main + (1,) * n_auxiliary, (0,) * n_main + (1,) * n_auxiliary)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients; ``level:term`` where there are several predictors."""
        terms = self.data.names
        levels = self.family.predictor_labels
        return tuple(terms) if levels is None else tuple(f"{level}:{term}" for level in levels for term in terms)

    @cached_property
    def terms(self) -> dict[str, list[int]]:
        width = len(self.data.names)
        starts = range(0, self.n_coefficients, width)
        constant = {j for j, name in enumerate(self.data.names) if name in INTERCEPTS}
        if not constant and self.data.has_intercept and set(self.data.terms) == set(self.data.names):
            X = dense(self.data.X)  # a matrix, whose columns may be called anything
            constant = {j for j in range(width) if np.ptp(X[:, j]) == 0.0}
        return {
            term: [start + j for start in starts for j in columns]
            for term, columns in self.data.terms.items()
            if columns and not constant.issuperset(columns)
        }

    @cached_property
    def _intercepts(self) -> np.ndarray:
        one = np.array([name in INTERCEPTS for name in self.data.names], dtype=bool)
        n_main = self.family.n_predictors - len(self.family.auxiliary)
        return np.concatenate([np.tile(one, n_main), np.ones(len(self.family.auxiliary), dtype=bool)])

    @cached_property
    def blocks(self) -> list[Block]:
        designs: tuple[Any, ...] = (self.data.X,)
        if self.family.auxiliary:
            designs += (np.ones((len(self.y), 1)),)
        offset = self.shift
        if self.data.offset is not None:
            offset = np.zeros((self.family.n_predictors, len(self.y))) if offset is None else offset.copy()
            offset[: self.family.n_predictors - len(self.family.auxiliary)] += self.data.offset
        return self.predictor.blocks(designs, self.y, self.weight, offset)

    @cached_property
    def likelihood(self) -> Objective:
        return replace(super().likelihood, at_limit=self.shift is not None)

    # -- the iteration -----------------------------------------------------------------------------------------

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at starting values inside the domain; those of a constant mean if `plain`."""
        weight = self.row_weight
        eta = np.asarray(self.family.start_eta(self.y, weight))
        constant = eta @ weight / weight.sum()
        return start_from(self.objective, eta, constant, need, plain)

    @property
    def _main_penalty(self) -> np.ndarray | None:
        n = self.n_coefficients
        return None if self.penalty is None else self.penalty[:n, :n]

    def settled(self, theta: np.ndarray) -> GeneralisedLinearModel:
        """The model of the coefficients alone, the family's auxiliary parameters fixed at their estimates."""
        if not self.family.auxiliary:
            return self
        family = self.family.settled(theta[self.n_coefficients :])
        shift = None if self.shift is None else self.shift[: family.n_predictors]
        return replace(self, family=family, penalty=self._main_penalty, shift=shift)

    def null_model(self, family: Any) -> GeneralisedLinearModel:
        """The model with only the intercept (if it has one) and the offset, its family's parameters settled."""
        X = np.ones((len(self.y), 1 if self.data.has_intercept else 0))
        data = replace(self.data, X=X, names=("Intercept",)[: X.shape[1]])
        return replace(self, family=family, data=data, penalty=None, bias=None)

    def designs(self, theta: np.ndarray) -> list[Any]:
        """The design matrix of each predictor, at any θ."""
        ones = np.ones((len(self.y), 1))
        return [(self.data.X, ones)[d] for d in self.predictor.design]

    @cached_property
    def replicates(self) -> Replicates | None:
        n, p = self.data.X.shape
        if n * p > MOST_DENSE or self.bias is not None:
            return None
        X, ones = np.ascontiguousarray(dense(self.data.X)), np.ones((n, 1))
        offsets = [block.offset for block in self.blocks if block.offset is not None]
        offset = np.concatenate(offsets, axis=1) if offsets else None
        designs = [(X, ones)[d] for d in self.predictor.design]
        return Replicates(self.family, designs, self.predictor.slices, offset)

    def subset(self, rows: slice) -> GeneralisedLinearModel:
        """The same model on some of its rows."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        X = self.data.X[rows]
        data = replace(
            self.data,
            X=np.ascontiguousarray(X) if isinstance(X, np.ndarray) else X,
            offset=cut(self.data.offset),
            weights=cut(self.data.weights),
        )
        return replace(self, data=data, y=self.y[rows].copy(), weight=cut(self.weight), size=cut(self.size))

    # -- maxima at infinity ------------------------------------------------------------------------------------

    def suspects_infinity(self, evaluation: Evaluation) -> bool:
        """Whether some response is fitted with such certainty that separation should be looked for."""
        return evaluation.highest > -CERTAIN and self._may_separate

    @cached_property
    def _may_separate(self) -> bool:
        if self.shift is not None or self.penalty is not None or self.bias is not None:
            return False
        return self.family.predictor_labels is not None or bool(self.family.recession(self.y, self.size).any())

    def limit(self, theta: np.ndarray, evaluation: Evaluation, converged: bool) -> Limit | None:
        """The model that the likelihood tends to, if its maximum lies at infinity.

        Parameters
        ----------
        theta : (p,) where the iteration ended.
        evaluation : of the objective there.
        converged : whether the iteration claims a maximum.
        """
        if self.family.auxiliary:
            mean = self.rows(theta).mean[0]
            simpler = self.family.limit(theta[self.n_coefficients :], self.y, mean, self.row_weight)
            if simpler is not None:
                signs = np.zeros(len(theta))
                signs[self.n_coefficients :] = 1.0
                model = replace(self, family=simpler, penalty=self._main_penalty)
                note = (
                    f"the responses vary no more than {simpler.name} ones: {', '.join(self.family.auxiliary)} runs to "
                    f"infinity, and the {simpler.name} fit, its limit, is shown"
                )
                return Limit("boundary", model, signs, None, note)
        suspicious = self._may_separate and (
            self.suspects_infinity(evaluation) or not converged or self._rules_out_a_level(theta)
        )
        return self._separation() if suspicious else None

    def _rules_out_a_level(self, theta: np.ndarray) -> bool:
        """Whether some row has a level of probability 0: with three or more no row need be fitted with certainty."""
        if self.family.predictor_labels is None:
            return False
        return bool(self.rows(theta).mean[:, self.row_weight > 0].min() < CERTAIN)

    def _separation(self) -> Limit | None:
        """Hold the separated rows at infinity, where their log density is at its supremum, and keep the rest.

        There a row has neither score nor information left, so what is maximised is the likelihood of the others.
        """
        K = self.family.n_predictors - len(self.family.auxiliary)
        if self.family.predictor_labels is not None:
            found = separated_multinomial(self.data.X, self.y.astype(int), K + 1, weight=self.weight)
        else:
            direction = self.family.recession(self.y, self.size)
            found = separated(self.data.X, direction, weight=self.weight)
        if found is None:
            return None
        delta = np.zeros(self.predictor.n_params)
        delta[: self.n_coefficients] = found.direction
        signs = np.zeros(self.predictor.n_params)
        signs[: self.n_coefficients] = found.signs
        moves = np.stack([matvec(self.data.X, part) for part in found.direction.reshape(K, -1)])
        # Between two classes it is the difference of their predictors that goes to infinity.
        gaps = moves if K == 1 else np.concatenate([moves, (moves[:, None] - moves[None]).reshape(K * K, -1)])
        sizes = np.abs(gaps)
        real = sizes > NO_MOVE * sizes.max()
        far = FAR / float(sizes[real].min())
        shift = np.zeros((self.family.n_predictors, len(self.y)))
        shift[:K] = at_infinity(moves, NO_MOVE * float(sizes.max()))
        return Limit("separated", replace(self, shift=shift), signs, far * delta)


def at_infinity(moves: np.ndarray, still: float) -> np.ndarray:
    """Shifts of the linear predictors (K, n) that put rows where a direction leads them, with no more than it takes.

    Among the K predictors of a row and the 0 of its last class, each that moves further than the next is put `FAR`
    beyond it. The multiples of the moves themselves would be so large that the differences which stay finite, those
    of classes that move together, would drown in their rounding.

    Parameters
    ----------
    moves : (K, n) along the direction.
    still : difference up to which two moves are the same.

    Examples
    --------
    >>> at_infinity(np.array([[3e9, -1.0], [3e9, 0.0]]), 1e-6).tolist()
    [[10000.0, -10000.0], [10000.0, 0.0]]
    """
    all_classes = np.concatenate([np.zeros((1, moves.shape[1])), moves])
    order = np.argsort(all_classes, axis=0, kind="stable")
    apart = np.diff(np.take_along_axis(all_classes, order, axis=0), axis=0) > still
    ranks = np.concatenate([np.zeros((1, moves.shape[1])), np.cumsum(apart, axis=0)])
    ranked = np.empty_like(all_classes)
    np.put_along_axis(ranked, order, ranks, axis=0)
    return FAR * (ranked[1:] - ranked[:1])
