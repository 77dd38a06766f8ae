"""Nonlinear least squares: a gaussian family with a nonlinear predictor.

    maximises  −½ Σ w_i (y_i − f(θ, x_i))² − ½ θᵀPθ

Parameters that f is linear in (with the others held fixed) need no iteration: for given values of the others they solve
a linear least squares problem, and every trial point is moved to that solution (variable projection; Golub and
Pereyra 1973, SIAM J. Numer. Anal. 10, 413). The Gauss-Newton step from such a point is Kaufman's step for the reduced
problem (Ruhe and Wedin 1980, SIAM Review 22, 318, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from raphson.cached import cached_property
from raphson.data import ModelData
from raphson.data.blocks import Block
from raphson.data.messages import listing
from raphson.data.points import leaves
from raphson.errors import ConvergenceError
from raphson.frozen import frozen
from raphson.linalg import ALIASED, column_squares
from raphson.model.base import Model
from raphson.model.curve.dimensions import Dimensions
from raphson.model.curve.identification import clearly_determined, unidentified_directions, without_error
from raphson.model.curve.label_switching import apart, changed
from raphson.model.curve.noise import NoiseFloor
from raphson.model.curve.nonlinear import Finite, NonlinearPredictor
from raphson.model.curve.remarks import NOTHING_GAINED, Variation, remarks
from raphson.model.curve.replicates import CurveReplicates
from raphson.model.curve.robust_screening import RobustScreen
from raphson.model.curve.screening import Screen
from raphson.model.curve.starts import SearchRegion, ends, points_of, search
from raphson.model.curve.waves import Phase, Spectrum, Wave, spectrum
from raphson.model.families import Family
from raphson.model.families.robust import robust_scale
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import Evaluation, Need, Root, penalty_rows
from raphson.numeric import EPSILON, one_blas_thread

VISIBLE = 1e-3
"""Residuals below this share of the response's variation are not examined: the curve explains 99.9% of it. From 1e-6 to
0.1 the ten curves named with :data:`FAR` end at the same minima."""

CORRELATED = 5.0
"""Residuals count as correlated where Σ(r_i − r_{i−1})²/Σr_i² is below 2 by this over √n. If they are independent, its
mean is 2 and its standard deviation 2/√n (von Neumann 1941, Ann. Math. Statist. 12, 367), of which this is two and a
half. Six rows or fewer cannot show it, as 5/√6 > 2."""

FAR = 10.0
"""Factor between a starting value and its estimate from which on the start counts as a guess. From 2 to 1,000 ten
curves, six of them NIST's MGH09, MGH17, BoxBOD, Eckerle4 and twice Rat43, end at the same minima; at 2 three more are
searched, for nothing."""

MANY_STEPS = 25
"""Number of steps from which on the start counts as far away. At 12 two more of the same ten curves are searched, at 50
three fewer; they end at the same minima."""

DEGENERATE = 1e8
"""Condition number of the scaled Jacobian from which on some parameters count as not identified. About 1/√ε: half of
the digits of such an estimate are lost. From 1e5 to 1e11 nothing changes for the same ten curves."""

PROBES = 8
"""Number of points at which the rank of the Jacobian is computed, to see whether it is deficient everywhere. If it is
full somewhere, it is at almost every point of an analytic curve, so that one point would do; the others are for those
at which the curve is not finite, or a part of it vanishes in double precision."""

CONSTANT = 1e-6
"""Relative distance of the constant from the span of the derivatives up to which a curve is said to contain it."""

UNSEEN = 1e-26
"""Share of Σ y² below which sums of squares differ only by rounding. Residuals are then 10⁻¹³ of the responses, some
500 times their spacing."""

ADVICE = {
    "search failed": (
        "no step along the last direction lowered the sum of squares. A flat valley, a parameter on its way to "
        "infinity, a kink in the curve, or noise stopped the iteration; give other starting values, bounds=, or a "
        "simpler curve"
    ),
    "boundary": (
        "the minimum lies at a kink of the curve: the derivatives on either side show that the sum of squares rises "
        "both ways"
    ),
    "singular": (
        "the Jacobian is singular at the last step; give other starting values, hold a parameter with fixed=, or "
        "simplify the curve"
    ),
}
"""What a status means for a curve, where that differs from the general advice."""


@frozen
class NonlinearModel(Model):
    """A curve with its data.

    Attributes
    ----------
    curve : the predictor.
    parameter_names : (p,).
    initial : (p,) starting values; NaN where there is none.
    movable : (p,) mask of the parameters that are estimated; the others are held at `initial`.
    box : (lower, upper), each (p,).
    conditionally_linear : (p,) mask of the parameters that f is jointly linear in, with the others held fixed.
    dimensions, waves, phases : what tracing the curve shows about the parameters.
    explain : from a point where f is not finite to the reason, in words.
    seed : of the search for starting values.
    searched : whether other starts are tried when the minimum found is doubtful.
    transformed : whether the response is a function of a column, not a column itself.
    """

    curve: NonlinearPredictor = None  # type: ignore[assignment]
    parameter_names: tuple[str, ...] = ()
    initial: np.ndarray = None  # type: ignore[assignment]
    movable: np.ndarray = None  # type: ignore[assignment]
    box: tuple[np.ndarray, np.ndarray] | None = None
    conditionally_linear: np.ndarray = None  # type: ignore[assignment]
    dimensions: Dimensions | None = None
    waves: tuple[Wave, ...] = ()
    phases: tuple[Phase, ...] = ()
    explain: Any = None
    seed: int = 0
    searched: bool = True
    transformed: bool = False

    # -- structure ---------------------------------------------------------------------------------------------

    @property
    def predictor(self) -> NonlinearPredictor:
        return self.curve

    @property
    def names(self) -> tuple[str, ...]:
        return self.parameter_names

    @property
    def free(self) -> np.ndarray | None:
        return None if self.movable.all() else self.movable

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray] | None:
        return self.box

    @cached_property
    def blocks(self) -> list[Block]:
        # Other families' rows are compiled, and so only for the sizes of blocks.
        few = self.curve.unpadded(self.data.X, self.y, self.weight) if self.family.quadratic else None
        return self._padded_blocks if few is None else few

    @cached_property
    def _padded_blocks(self) -> list[Block]:
        return self.curve.blocks((self.data.X,), self.y, self.weight, None)

    @property
    def moves(self) -> dict[str, Any]:
        project = self.project if self.projected.any() else None
        return {"project": project, "projected": self.projected, "with_noise": self._noise_floor}

    @property
    def _noise_floor(self) -> NoiseFloor | None:
        derivatives = self.curve.derivatives
        if not isinstance(derivatives, Finite):
            return None
        return NoiseFloor(self.family, self.curve, derivatives, self.blocks[0], self.movable)

    def designs(self, theta: np.ndarray) -> list[Any]:
        return self.curve.designs(self.data.X, self.blocks, theta)

    def holds_constant(self, theta: np.ndarray, free: np.ndarray) -> bool:
        # The distance of 1 from the span of the derivatives J, both of the rows that count: ‖(I − QQᵀ)√w‖/‖√w‖. The
        # derivatives of a function that is only known by its values have some eight digits.
        root = np.sqrt(self.row_weight)
        J = root[:, None] * self.designs(theta)[0][:, free]
        lengths = np.sqrt(column_squares(J))
        if not np.isfinite(lengths).all() or not (lengths > 0).all() or not lengths.size:
            return False
        Q = np.linalg.qr(J / lengths)[0]
        return bool(np.linalg.norm(root - Q @ (Q.T @ root)) <= CONSTANT * np.linalg.norm(root))

    @cached_property
    def replicates(self) -> CurveReplicates | None:
        if not self.curve.derivatives.exact or self.box is not None or self.bias is not None:
            return None
        return CurveReplicates(self.family, (), (), None, predictor=self.curve, blocks=self._padded_blocks)

    def replica(self, y: np.ndarray, counts: np.ndarray) -> NonlinearModel:
        """As for any model, without a search from other starts."""
        return replace(super().replica(y, counts), searched=False)

    def subset(self, rows: slice | np.ndarray) -> NonlinearModel:
        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        data = replace(self.data, X=self.data.X[rows], weights=cut(self.data.weights))
        return replace(self, data=data, y=self.y[rows].copy(), weight=cut(self.weight))

    @property
    def covariates(self) -> np.ndarray | None:
        return np.asarray(self.data.X) if self.curve.by_row else None

    def null_model(self, family: Any) -> GeneralisedLinearModel:
        ones = np.ones((len(self.y), 1))
        data: ModelData = replace(self.data, X=ones, names=("Intercept",), has_intercept=True)
        return GeneralisedLinearModel(family, data, self.y, self.weight, None, self.weights_kind)

    # -- what the data determine -------------------------------------------------------------------------------

    def remarks(self, result: Any, dispersion: float, cov: str, met: Sequence[np.ndarray] = ()) -> list[str]:
        R = self._root(result)
        directions = unidentified_directions(R, result.free | result.aliased, result.theta, dispersion)
        return list(remarks(self, result, directions, R, dispersion, cov, met))

    def advice(self, status: Any) -> str:
        return str(ADVICE.get(status.value, status.advice))

    @property
    def stuck_at_edge(self) -> str:
        return (
            "the iteration reached the edge of the region where the curve is finite; keep it inside with bounds=, or "
            "begin elsewhere with start="
        )

    def undetermined(self, result: Any) -> np.ndarray:
        R, estimated = self._root(result), result.free | result.aliased
        if clearly_determined(R, estimated):
            return np.zeros(len(result.theta), dtype=bool)
        directions = unidentified_directions(R, estimated, result.theta, math.nan)
        return without_error(directions, len(result.theta))

    def _root(self, result: Any) -> np.ndarray:
        """R (m, p) with RᵀR = JᵀWJ + P at the estimate; columns that are 0 up to rounding are set to 0."""
        R = self._rounded_root(result)
        length = np.sqrt(column_squares(R))
        rounding = EPSILON * math.sqrt(self.squares)
        doubtful = (length > 0) & (np.abs(result.theta) * length <= 1e3 * rounding)
        if not any(doubtful.tolist()):
            return R
        # At best the other parameters are accurate to δ_l = rounding/‖J_l‖, and J_j to Σ_l ‖∂J_j/∂θ_l‖ δ_l. Where the
        # height of a decay came out as 1e-16, for example, the J_j of its rate has that size, which stands for 0.
        known = np.divide(rounding, length, out=np.zeros_like(length), where=length > 0)
        uncertainty = np.sqrt(self.second_squares(result.theta)) * known
        straight = result.free & (uncertainty.diagonal() <= 1e-3 * length)  # only then is δ_l small enough
        negligible = doubtful & (length <= 4.0 * uncertainty @ straight)
        return np.where(negligible, 0.0, R)

    @property
    def squares(self) -> float:
        """Σ w y²."""
        return self._weighted_sum(self.y * self.y)

    def second_squares(self, theta: np.ndarray) -> np.ndarray:
        """Σ w (∂²f/∂θ_j∂θ_k)², (p, p)."""
        found = np.zeros((len(theta), len(theta)))
        for block in self.blocks:
            second = self.curve.at(block, theta)[1].second()
            assert second is not None
            found += np.sum(block.weight[: block.rows] * second[0] ** 2, axis=-1)
        return found

    def variation(self, found: Evaluation) -> Variation:
        """How much of the variation of the response is left, without rows that a robust loss rejects."""
        rows = self.rows_at(found)
        return Variation.of(rows.expected[0, 0], self.y, rows.mean[0])

    @property
    def sample(self) -> NonlinearModel:
        """The model of the rows that are in memory: of all, or of a sample where they are streamed."""
        return self

    def _rounded_root(self, result: Any) -> np.ndarray:
        part = result.evaluation.information.get("expected")
        if not isinstance(part, Root):
            need = Need(kinds=("expected",), root=True)
            part = self.objective.evaluate(result.theta, need).information["expected"]
        assert isinstance(part, Root)
        return part.triangle[:, :-1]

    def kink_gaps(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        derivatives: Any = self.curve.derivatives
        if not derivatives.exact:
            return super().kink_gaps(theta)
        table = np.concatenate([derivatives.kink_gaps(theta, block.designs[0]) for block in self.blocks], axis=1)
        return table[0], table[1:].T

    # -- conditionally linear parameters -----------------------------------------------------------------------

    @cached_property
    def projected(self) -> np.ndarray:
        """(p,) mask of the parameters that projection solves for: conditionally linear, estimated, without bounds."""
        mask = self.conditionally_linear & self.movable
        if self.box is not None:
            mask = mask & np.isinf(self.box[0]) & np.isinf(self.box[1])
        return mask

    @cached_property
    def _linear(self) -> np.ndarray:
        return np.flatnonzero(self.projected)

    @cached_property
    def _root_weight(self) -> np.ndarray | None:
        """√w of the single block, padding included; None where all are 1."""
        weight = self.blocks[0].weight
        return None if (weight == 1.0).all() else np.sqrt(weight)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """θ with its conditionally linear parameters β at their least squares values, given the others.

        As f = f₀ + Φβ with Φ = ∂f/∂β, β changes by the δ that minimises ‖√w (y − f − Φδ)‖² + (β + δ)ᵀP(β + δ) + …
        """
        linear = self._linear
        if self.by_rows and len(linear) == 1 and len(self.blocks) == 1 and self.penalty is None:
            (block,) = self.blocks
            there = self.curve.solved(block, theta, self._root_weight, int(linear[0]))
            if there is not None:
                return there
        A, r = self.linear_problem(theta)
        if self.penalty is not None:
            B = penalty_rows(self.penalty)
            A, r = np.concatenate([A, B[:, linear]]), np.concatenate([r, -B @ theta])
        scale = np.sqrt(column_squares(A))
        if not (np.isfinite(scale).all() and np.isfinite(r).all()):
            return theta
        scale[scale == 0] = 1.0
        delta = np.linalg.lstsq(A / scale, r, rcond=ALIASED)[0] / scale
        out = theta.copy()
        out[linear] += delta
        return out

    def linear_problem(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """√w Φ (m, q) and √w (y − f) (m,), or fewer rows with the same least squares solution."""
        triangle = self.likelihood.device_triangle(theta)
        if triangle is not None:
            return triangle[:, self._linear], triangle[:, -1]
        rows, residuals = [], []
        for block in self.blocks:
            eta, jacobian = self.curve.at(block, theta)
            root = np.sqrt(block.weight[: block.rows])
            rows.append(root[:, None] * jacobian.parts[0][:, self._linear])
            residuals.append(root * (block.y[: block.rows] - eta[0, : block.rows]))
        return np.concatenate(rows), np.concatenate(residuals)

    # -- where to start ----------------------------------------------------------------------------------------

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at the user's starting values; missing ones are found by a search over several scales.

        Raises
        ------
        ConvergenceError
            If the curve is not finite at the start.
        """
        del plain
        theta = self._given
        if not np.isnan(theta).any():
            here = self.objective.evaluate(self.objective.moved(theta, np.zeros_like(theta)), need)
            if not here.finite:
                raise ConvergenceError(self.explain(theta))
            return here
        best = self.candidates(1)
        if not best:
            raise ConvergenceError(
                "start: at each of the starting values tried the curve is not finite in some row; pass start= with a "
                "value for each parameter"
            )
        return self.objective.evaluate(best[0], need)

    def start_note(self, begun: np.ndarray) -> str:
        """What the search for starting values did."""
        missing = np.flatnonzero(np.isnan(self._given))
        if not len(missing):
            return ""
        won = ", ".join(f"{self.names[j]} = {begun[j]:.4g}" for j in missing)
        solved = listing([self.names[j] for j in np.flatnonzero(np.isnan(self.initial) & self.projected)])
        return (
            f"no starting value was given for {listing([self.names[j] for j in missing])}; of "
            f"{points_of(self._effort):,} points tried, over four orders of magnitude around the scales that the data "
            f"suggest, the best was {won}" + (f", solving for {solved}" if solved else "")
        )

    def needs_multistart(self, theta: np.ndarray, converged: bool, condition: float, steps: int | None = None) -> str:
        """Why another start should be tried; empty if there is no reason.

        At a wrong minimum the curve misses the shape of the data. Residuals in the order of x are then serially
        correlated, by von Neumann's ratio Σ(e_i − e_{i−1})²/Σe², which is 2 ± 2/√n where they are not. Or a part of the
        curve has become useless, and the Jacobian is rank deficient. Or the start was orders of magnitude or many steps
        away, and the nearest minimum may be a wrong one.
        """
        if not self.searched or not (self.movable & ~self.conditionally_linear).any():
            return ""  # a sum of squares that is quadratic has one minimum
        if steps is not None and np.isnan(self._given).any():
            some = "" if np.isnan(self._given[self.movable & ~self.projected]).all() else "some "
            return f"without {some}starting values, several were tried"
        if not converged:
            return "from the given start no minimum was reached"
        if condition > DEGENERATE and not self._unidentified_everywhere(theta):
            return "at the minimum reached first some parameters have no effect of their own"
        if steps is not None and steps > MANY_STEPS:
            return f"the iteration took {steps} steps from the given start"
        if steps is not None and self._far_from_start(theta):
            return f"some starting values were more than {FAR:g} times too large or too small"
        w, residual = self.row_weight, self._residuals(theta)
        rss, n = float(residual.dot(residual)), len(residual)
        spread = self.y - self.y.dot(w) / w.sum()
        total = self._weighted_sum(spread * spread)
        if rss >= NOTHING_GAINED * total:
            return "at the minimum reached first the curve is no better than a constant"
        order = None if rss <= VISIBLE * total else self._order
        if order is None:
            return ""
        changes = np.diff(residual[order])
        if float(changes @ changes) < (2.0 - CORRELATED / np.sqrt(n)) * rss:
            return "at the minimum reached first the residuals are serially correlated"
        return ""

    def fitted(self, theta: np.ndarray) -> np.ndarray:
        """(n,) the curve, which is the mean itself."""
        parts = [self.curve.eta(block, theta)[0, : block.rows] for block in self.blocks]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _residuals(self, theta: np.ndarray) -> np.ndarray:
        """√w (y − f), (n,)."""
        residual = self.y - self.fitted(theta)
        return residual if self.weight is None else np.sqrt(self.weight) * residual

    def _unidentified_everywhere(self, theta: np.ndarray) -> bool:
        """Whether as many directions are unidentified at points of every scale: other starts cannot help then."""
        points = (theta, *self._search_region(0).draw(PROBES, np.random.default_rng(0)))
        found = [self._n_unidentified(point) for point in points]
        return found[0] > 0 and min(found) >= found[0] and np.isfinite(found).sum() > PROBES // 2

    def _n_unidentified(self, theta: np.ndarray) -> float:
        """How many directions are exactly unidentified at θ; infinite where the curve is not finite."""
        need = Need(kinds=("expected",), root=True)
        here = self.objective.evaluate(theta, need)
        if not here.finite:
            return math.inf
        root = here.information["expected"]
        assert isinstance(root, Root)
        return float(len(unidentified_directions(root.triangle[:, :-1], self.movable, theta, math.nan)))

    def _far_from_start(self, theta: np.ndarray) -> bool:
        moved = self.movable & ~self.projected & (self.initial != 0)
        pairs = zip(theta[moved].tolist(), self.initial[moved].tolist(), strict=True)
        return not all([1.0 / FAR < end / begin < FAR for end, begin in pairs])

    @property
    def _order(self) -> np.ndarray | None:
        X = self.data.X
        if not isinstance(X, np.ndarray) or not X.size or len(X) != len(self.y):
            return None
        return np.argsort(X.reshape(len(X), -1)[:, 0], kind="stable")

    def candidates(self, count: int, number: int = 0) -> list[np.ndarray]:
        """Other starting values, the most promising first; a different set for each `number`."""
        screen = self._screen()
        found = []
        zero = np.zeros_like(self._given)
        with np.errstate(all="ignore"), one_blas_thread():  # the points are many, though the rows may be few
            points = search(self._search_region(number), screen, 2 * count, (self.seed, number), self._effort)
            for theta in screen.solved(points):
                evaluation = self.objective.evaluate(self.objective.moved(theta, zero), Need())
                if evaluation.finite:
                    found.append(evaluation)
        found.sort(key=lambda evaluation: -evaluation.value)
        return [evaluation.theta for evaluation in found[:count]]

    def reliable(self, theta: np.ndarray) -> bool:
        """Whether the curve's rounding error is small relative to the residuals: otherwise ℓ is meaningless."""
        screen = self._screen()
        length = np.linalg.norm(self._residuals(theta))
        with np.errstate(all="ignore"):
            return bool(screen.reliable(theta[None], np.array([length]))[0])

    def residual_scale(self, theta: np.ndarray) -> float:
        """s = median |√w r| / 0.6745, of the rows that count; of each copy's r where weights are frequencies."""
        return robust_scale(self.counted_residuals(theta))

    def counted_residuals(self, theta: np.ndarray) -> np.ndarray:
        """√w (y − f) in the rows that count; y − f of each copy where weights are frequencies."""
        with np.errstate(all="ignore"):
            if self.folded is not None:
                return (self.y - self.fitted(theta))[self.folded]
            return self._residuals(theta)[self.row_weight > 0]

    def robust_starts(self, count: int) -> list[np.ndarray]:
        """Starting values that outliers do not determine: the user's, and the best of a search by Cauchy's criterion.

        Linear parameters take that criterion's values too; in the user's start, only those that were not given.
        """
        others = (self.curve, self.data.X, self.y, self.row_weight, self.projected, bool(self.waves))
        screen = RobustScreen(*others, seed=(self.seed, 0))
        starts = []
        if not np.isnan(self._given).any():
            here = self._given[None]
            starts = [np.where(np.isnan(self.initial), screen.solved(here)[0], self.initial)]
        found = search(self._search_region(0), screen, count, (self.seed, 0), self._effort)
        return [*starts, *screen.solved(found)]

    def with_loss(self, loss: Family, theta: np.ndarray) -> NonlinearModel:
        """The same curve with another loss, started from θ, without projection."""
        nothing = np.zeros_like(self.conditionally_linear)
        return replace(self, family=loss, initial=theta, conditionally_linear=nothing, searched=False)

    @property
    def _effort(self) -> float:
        """The search's number of points, as a share of the usual number."""
        return 1.0 if self.curve.by_row else 0.25 if self.curve.derivatives.exact else 0.03

    def _search_region(self, number: int) -> SearchRegion:
        """The region to search. Every other search ignores the values given, as they may mislead."""
        X: Any = self.data.X
        covariates = ends(tuple(X.T)) if self.curve.by_row else ends(X)
        low, high = zip(*covariates, (float(self.y.min()), float(self.y.max())), strict=True)
        given = np.where(self.movable, self._given, self.initial)
        drawn = self.movable & ~self.projected
        given = np.where(drawn & (number % 2 == 1), np.nan, given)
        ends_of = (np.array(low), np.array(high))
        phases = self.phases if self._spectra else ()
        return SearchRegion(given, drawn, *ends_of, self.dimensions, self.box, self._spectra, phases)

    @cached_property
    def _spectra(self) -> tuple[tuple[Wave, Spectrum], ...]:
        """The parameters that set a frequency, each with the spectrum of the responses along its covariate."""
        if not self.waves:
            return ()
        X: Any = self.data.X
        columns = list(X.T) if self.curve.by_row else leaves(X)
        found, kept = [], self.row_weight > 0
        for wave in self.waves:
            x = np.ravel(columns[wave.covariate]) if wave.covariate < len(columns) else np.empty(0)
            seen = spectrum(x[kept], self.y[kept]) if len(x) == len(self.y) else None
            if seen is not None:
                found.append((wave, seen))
        return tuple(found)

    def _screen(self) -> Screen:
        return Screen(self.curve, self.data.X, self.y, self.row_weight, self.projected, bool(self.waves))

    @cached_property
    def _given(self) -> np.ndarray:
        """The starting values; 1 for those that projection finds, NaN for the other missing ones."""
        return np.where(np.isnan(self.initial) & self.projected, 1.0, self.initial)

    def label_switched(self, theta: np.ndarray) -> np.ndarray | None:
        """The same curve, with its parameters in the order and with the signs of the start.

        Parts of the same form, such as the terms of a sum of exponentials, may exchange places during the iteration,
        and a width that enters squared may change its sign. Such changes are undone if that leaves ℓ as it is. Without
        a start, signs that do not matter are made positive.
        """
        free = self.movable & ~self.projected
        here, zero = theta, np.zeros_like(theta)
        missing = np.isnan(self.initial)
        some = bool(missing.any())
        moving = free.nonzero()[0]
        ordered = np.flatnonzero(free & ~missing[free].all()) if some else moving

        def off(point: np.ndarray) -> float:
            """Distance of a point from the starting values that were given."""
            return apart(point, np.where(missing, np.abs(point), self.initial) if some else self.initial)

        tried = True
        while tried:
            tried, far = False, off(here)
            for there in changed(here, moving, ordered):
                if off(there) >= far - 1e-9:
                    continue
                there = self.objective.moved(there, zero)
                value = self.objective.evaluate(there, Need()).value
                best = self.objective.evaluate(here, Need()).value
                if abs(value - best) <= 1e-9 * abs(best) + UNSEEN * self._weighted_sum(self.y * self.y):
                    here, tried = there, True
                    break
        return None if here is theta else here
