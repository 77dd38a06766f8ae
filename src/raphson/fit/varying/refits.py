"""Draws from fits where coefficients vary, and refits to them: what the bootstrap and checks by simulation are made of.

A data set is drawn with new effects of the groups, b = Λu with u ~ N(0, I); smooth functions stay as they are, being
unknown but fixed. Only the responses change, so that the layout of the columns, the patterns of their cross-products
and, of a normal response, these cross-products themselves are shared by all refits, which start from the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.choices import Draws
from raphson.errors import ModelError, RaphsonError
from raphson.fit.refitted import Refitted, Replicated, Simulator, Work, drawing, simulated_by
from raphson.fit.varying.deleting import cluster_scores
from raphson.fit.varying.grouping import grouped, is_nested, outermost
from raphson.fit.varying.tables import RESIDUAL, error_of, named
from raphson.inference.bootstrap import acceleration
from raphson.model.base import Model, RowTable
from raphson.model.varying.model import VaryingModel
from raphson.model.varying.results import AtMaximum
from raphson.model.varying.start import starting_values
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.methods import METHODS
from raphson.status import Status

if TYPE_CHECKING:
    from raphson.fit.varying.inferring import OfCriterion

TOLERANCE = 1e-5
"""Distance of a replicate's estimate from its maximum, in standard errors, as of other replicates that are refitted."""

FEWEST_LEVELS = 8
"""Levels of a group from which on the distribution of their effects is checked."""

TOGETHER = 16
"""Replicates that are drawn together."""


class VaryingRefits:
    """Draws from a fit and refits of its model.

    Parameters
    ----------
    fit : the fit.
    """

    chunk, draws_anew = TOGETHER, True

    def __init__(self, fit: OfCriterion) -> None:
        self.fit = fit
        at = fit.at("a refit")
        asked: Any = at.asked
        self.model: Any = asked

    @property
    def work(self) -> float:
        """Multiplications that take about as long as a refit: some 5 ms, and more with the rows."""
        return 1.5e7 + 20.0 * len(self.model.y) * self.model.criterion.n_params**2

    @property
    def redraws(self) -> bool:
        """Whether draws have new effects of groups, which smooth functions have not."""
        return bool(grouped(self.model.varying))

    # -- draws ---------------------------------------------------------------------------------------------------

    def sampler(self, effects: Draws, simulate: Simulator | None = None) -> Work:
        """A function that draws (count, n) responses, with new effects of the groups or those of the fit.

        Raises
        ------
        ModelError
            If the family cannot be drawn from.
        """
        fit = self.fit
        self.check_copies()
        fitted, eta, at = fit.at("a simulation").fitted, fit.rows.eta, fit.maximum
        pieces = [piece for piece in at.criterion.layout.pieces if piece.codes is not None and piece.term is not None]
        if effects == "conditional" or not pieces:
            return drawing(fitted, fit.rows, fit.dispersion, simulate)
        base = eta.copy()
        for piece in pieces:
            base[piece.predictor] -= piece.product(at.modes(_term(piece)).ravel())
        factors = at.criterion.factors(at.theta)
        own = {one.term: L for one, L in zip(at.criterion.layout.pieces, factors, strict=True)}

        def draw(rng: np.random.Generator, count: int) -> np.ndarray:
            eta = np.tile(base, (count, 1, 1))
            for piece in pieces:
                L = own[piece.term]
                assert L is not None
                b = rng.standard_normal((count, piece.levels, piece.width)) @ L.T
                for c in range(piece.width):
                    eta[:, piece.predictor] += piece.columns[:, c] * b[:, piece.codes, c]
            if simulate is not None:
                return simulated_by(simulate, rng, eta)
            return fitted.draw(rng, eta, fit.dispersion)

        return draw

    def check_copies(self) -> None:
        """Refuse rows that stand for several observations, each of which would have a response of its own.

        Raises
        ------
        ModelError
        """
        w = self.model.data.weights
        if w is not None and self.model.weights_kind == "frequency" and (w[w > 0] != 1.0).any():
            raise ModelError(
                "weights: expected rows that stand for one observation each where responses are drawn from a fit whose "
                "coefficients vary; got frequency weights, and the copies of a row would have different responses. "
                "Repeat the rows that many times, and fit without weights"
            )

    # -- refits --------------------------------------------------------------------------------------------------

    @cached_property
    def start(self) -> np.ndarray:
        """(J,) where refits start: the estimate, off the edge."""
        at, criterion = self.fit.maximum, self.model.criterion
        if at.criterion.n_params != criterion.n_params:
            return starting_values(criterion)  # the family has ended in a simpler one
        return off_the_edge(at)

    def refit(self, y: np.ndarray, counts: np.ndarray, B: int) -> Refitted:
        """Fit B replicates; a row, or level, that counts twice is two rows, or two levels."""
        m = len(self.replicated.names)
        theta, variance, limit = (np.full((B, m), np.nan) for _ in range(3))
        phi, value, finite = np.full(B, np.nan), np.full(B, np.nan), np.zeros(B, dtype=bool)
        status, inner = np.full(B, Status.NOT_FINITE, dtype=object), np.full(B, None, dtype=object)
        for i in range(B):
            found = self._fitted(y[i] if y.ndim == 2 else y, counts[i] if counts.ndim == 2 else counts)
            if found is None:
                continue
            status[i] = found.status
            if not found.status.converged:
                continue
            at = found.model.maximum(found.result.theta)
            if at.beta.shape != self.fit.maximum.beta.shape:
                status[i] = Status.SINGULAR
                continue
            theta[i], errors = _as_many(at, m)
            variance[i], value[i], inner[i] = errors**2, at.spot.value, found
            phi[i] = math.exp(at.theta[-1]) if at.criterion.density.scaled else 1.0
            signs = found.model.separated(at)
            if signs is not None:
                status[i], limit[i] = Status.SEPARATED, theta[i]
                kept = signs[self.model.kept]
                limit[i, : len(kept)] = np.where(kept != 0, np.copysign(np.inf, kept), limit[i, : len(kept)])
            finite[i] = signs is None
        score = np.full((B, m), np.nan)
        return Refitted(theta, variance, phi, score, status, finite, limit, value, inner)

    def _fitted(self, y: np.ndarray, counts: np.ndarray) -> Estimate[VaryingModel] | None:
        try:
            if (counts == 1.0).all():
                model = self.model.with_responses(y)
            else:
                times = np.rint(counts).astype(int)
                rows = np.repeat(np.arange(len(times)), times)
                copies = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
                model = self.model.with_rows(rows, copies)
            return estimate(model, Options(METHODS["newton"], tol=TOLERANCE, polish=False), self.start)
        except (RaphsonError, np.linalg.LinAlgError):
            return None

    def values(self, y: np.ndarray, found: Refitted) -> np.ndarray:
        """(B,) the criterion at the maximum of each replicate."""
        del y
        assert found.value is not None
        return found.value

    def at(self, y: np.ndarray, found: Refitted, i: int) -> tuple[Model, RowTable]:
        """The model of a replicate given the modes of its coefficients, and its rows."""
        del y
        assert found.inner is not None
        end: Estimate[VaryingModel] = found.inner[i]
        maximum = end.model.maximum(end.result.theta)
        conditional = end.model.conditional(maximum)
        return conditional, conditional.rows(maximum.beta_of_all(self.model.kept))

    def eta(self, found: Refitted, i: int) -> np.ndarray:
        """(K, n) the predictors of a replicate, with the modes of its coefficients."""
        assert found.inner is not None
        end: Estimate[VaryingModel] = found.inner[i]
        return end.model.maximum(end.result.theta).spot.mode.eta

    def effects(self, found: Refitted, i: int) -> dict[str, np.ndarray]:
        """The modes of the effects of groups of a replicate, by their names."""
        assert found.inner is not None
        end: Estimate[VaryingModel] = found.inner[i]
        return _effects(end.model.maximum(end.result.theta))

    @cached_property
    def own_effects(self) -> dict[str, np.ndarray]:
        """Those of the fit, of groups with enough levels to tell a distribution, where they are not all 0."""
        return {name: b for name, b in _effects(self.fit.maximum).items() if len(b) >= FEWEST_LEVELS and np.ptp(b) > 0}

    # -- what is drawn ---------------------------------------------------------------------------------------------

    def check(self, kind: str, clusters: np.ndarray | None) -> None:
        """Refuse to draw what are no independent parts of the data.

        Raises
        ------
        ModelError
        """
        terms = self.model.varying
        some = grouped(terms)
        if kind == "nonparametric" and some:
            raise ModelError(
                f"kind: expected 'parametric' or 'cluster' where coefficients vary by {terms[some[0]].group!r}; got "
                "'nonparametric', which draws single rows, but rows of a level are not independent"
            )
        if kind != "cluster" or clusters is None:
            return
        for number in some:
            codes = terms[number].codes
            assert codes is not None
            if not is_nested(codes, clusters):
                raise ModelError(
                    f"groups: expected clusters that have every level of {terms[number].group!r} as a whole; some of "
                    "its levels have rows in several. Draw responses with kind='parametric'"
                )

    @cached_property
    def clusters(self) -> np.ndarray | None:
        """(n,) the levels of the outermost group; None where groups are crossed."""
        number = outermost(self.model.varying)
        return None if number is None else self.model.varying[number].codes

    @cached_property
    def replicated(self) -> Replicated:
        """The coefficients, standard deviations and correlations, and scales of the family."""
        fit = self.fit
        estimates, errors = (np.array(column) for column in zip(*_numbers(fit.maximum), strict=True))
        names = (*fit.named(self.model.kept), *names_of(fit.maximum))
        places = np.arange(len(names))
        return Replicated(names, places, estimates, errors, self._acceleration)

    def _acceleration(self, groups: np.ndarray | None) -> np.ndarray:
        """Of BCa intervals, from the influence of the outermost levels, or of clusters, on each number.

        It is 0, so that intervals are corrected for bias alone, where no levels are independent, and by REML.
        """
        fit, at = self.fit, self.fit.maximum
        clusters = self.clusters if groups is None else groups
        if clusters is None or at.criterion.restricted or any(term.codes is None for term in self.model.varying):
            return np.zeros(len(self.replicated.names))
        moved = cluster_scores(fit, clusters) @ at.cov
        columns = [*moved[:, : at.criterion.p].T, *(moved @ one.slope for one in at.reported)]
        columns += [moved[:, -1]] if at.criterion.density.has_tau else []
        return acceleration(np.column_stack(columns))


def _term(piece: Any) -> int:
    return int(piece.term)


def off_the_edge(at: AtMaximum) -> np.ndarray:
    """(J,) the estimate, with what it holds at an edge moved off it: there nothing would move, as the slope is 0.

    At an edge the criterion falls as ½V''σ², so that 1/√|V''| is how far other data may move its maximum.
    """
    criterion, theta = at.criterion, at.theta.copy()
    held = ~at.free
    if not held.any():
        return theta
    diagonal = np.zeros(criterion.n_params, dtype=bool)
    for scale in criterion.scales:
        own = slice(criterion.p + scale.start, criterion.p + scale.start + scale.count)
        correlated = scale.structure == "correlated"
        diagonal[own] = [a == b for ((a, b),) in scale.places] if correlated else True
    bend = np.abs(np.diagonal(at.derivatives.hessian))
    step = np.where(bend > 0, 1.0 / np.sqrt(np.where(bend > 0, bend, 1.0)), 0.1)
    theta[held & diagonal] = step[held & diagonal]
    return theta


def _effects(at: AtMaximum) -> dict[str, np.ndarray]:
    """The modes of each effect of a group, (L,)."""
    return {
        f"{term.group}: {name}": at.modes(number)[:, column]
        for number, term in enumerate(at.criterion.terms)
        if term.codes is not None
        for column, name in enumerate(term.names)
    }


def names_of(at: AtMaximum) -> list[str]:
    """Names of the standard deviations and correlations, as :attr:`variances` has them, and of scales of the family."""
    out = []
    for one in at.reported:
        group, effect = named(at, one)
        out.append(f"{one.kind} {effect} | {group}" if effect else f"{one.kind} {group}")
    density = at.criterion.density
    if density.scaled:
        out.append(f"sd {RESIDUAL}" if density.family.name == "gaussian" else "dispersion")
    return [*out, "theta"] if density.joint else out


def _numbers(at: AtMaximum) -> Iterator[tuple[float, float]]:
    """Estimates and standard errors, in the order of the names."""
    yield from zip(at.beta, np.sqrt(np.maximum(np.diagonal(at.beta_cov), 0.0)), strict=True)
    for one in at.reported:
        yield one.estimate, error_of(at, one)
    density = at.criterion.density
    if density.has_tau:
        power = 0.5 if density.family.name == "gaussian" else 1.0
        value = math.exp(power * float(at.theta[-1]))
        yield value, power * value * math.sqrt(max(float(at.cov[-1, -1]), 0.0))


def _as_many(at: AtMaximum, m: int) -> tuple[np.ndarray, np.ndarray]:
    """(m,) each, the numbers of a replicate and their errors, in the order of those of the fit.

    The last one is the θ of a negative binomial. A replicate that varies no more than Poisson counts has θ = ∞, where a
    fit that has ended there itself has no θ.
    """
    numbers = [*_numbers(at), (math.inf, math.nan)][:m]
    estimates, errors = zip(*numbers, strict=True)
    return np.array(estimates), np.array(errors)
