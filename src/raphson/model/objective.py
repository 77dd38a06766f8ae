"""What an iteration sees of a model: a value to maximise, its score, and the matrices M for steps and distances.

M comes in two forms. The *gram* form is the p × p matrix itself. The *root* form is the triangle R of a QR
decomposition of the tall matrix A with AᵀA = M − B, together with Qᵀz where Aᵀz = ∇ℓ, and B: it keeps the digits
that forming AᵀA would square away, and is combined over blocks by decomposing stacked triangles (TSQR; Demmel,
Grigori, Hoemmen and Langou 2012, SIAM J. Sci. Comput. 34, A206). B is the curvature of a predictor that is not linear
in θ (:mod:`raphson.model.log_likelihood`).

Nothing changes an evaluation or a matrix once it is made. They are not frozen all the same: to set the twelve fields
of a frozen evaluation takes 2 µs, to set them plainly a fifth of that, and a small curve takes 30 of them in a fit.
"""
# pyright: strict, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from raphson.cached import cached_property
from raphson.choices import Information
from raphson.lapack import dgeqrf
from raphson.model.walls import Edges, Walls

Kind = Information

Bounds = tuple[np.ndarray, np.ndarray]
"""(lower, upper), each (p,)."""


def _none_yet() -> dict[bytes, Any]:
    return {}


@dataclass
class Gram:
    """M itself.

    Attributes
    ----------
    matrix : (p, p).
    factors : its factorisations, by the columns that took part. With thousands of columns one takes seconds, and the
        last step's is used for the condition number and the covariance too.
    """

    matrix: np.ndarray
    factors: dict[bytes, Any] = field(default_factory=_none_yet, compare=False, repr=False)

    def __add__(self, other: Gram) -> Gram:
        return Gram(self.matrix + other.matrix)


@dataclass
class Root:
    """[R, Qᵀz; 0, ρ]: the triangle of the QR decomposition of [A, z], AᵀA = M − B and Aᵀz = ∇ℓ.

    Attributes
    ----------
    triangle : (≤ p + 1, p + 1).
    second_order : B (p, p), or None where it is zero.
    factors : as of :class:`Gram`.
    """

    triangle: np.ndarray
    second_order: np.ndarray | None = None
    factors: dict[bytes, Any] = field(default_factory=_none_yet, compare=False, repr=False)

    def __add__(self, other: Root) -> Root:
        terms = [term for term in (self.second_order, other.second_order) if term is not None]
        second_order = np.sum(terms, axis=0) if terms else None
        return Root.of(np.concatenate([self.triangle, other.triangle]), second_order)

    @staticmethod
    def of(rows: np.ndarray, second_order: np.ndarray | None = None) -> Root:
        """Decompose the tall matrix [A, z]."""
        return Root(triangularised(rows), second_order)

    @property
    def matrix(self) -> np.ndarray:
        """M (p, p)."""
        R = self.triangle[:, :-1]
        return R.T @ R if self.second_order is None else R.T @ R + self.second_order


@dataclass(frozen=True)
class Need:
    """What an evaluation is asked for besides value and score.

    Attributes
    ----------
    kinds : the matrices M wanted.
    root : whether in root form. A matrix that is not positive semidefinite comes in gram form all the same.
    products : whether an operator that multiplies the first matrix with vectors is wanted instead of the matrix.
    """

    kinds: tuple[Kind, ...] = ()
    root: bool = False
    products: bool = False

    @cached_property
    def summed(self) -> bool:
        """Whether only sums are wanted, for which rows need not be kept."""
        return not (self.products or "opg" in self.kinds)

    @cached_property
    def observed(self) -> tuple[bool, ...]:
        """Of each matrix, whether it is the observed information."""
        return tuple([kind == "observed" for kind in self.kinds])


VALUE = Need()
"""Value and score alone."""


class Operator(Protocol):
    """M by its products with vectors, where the matrix is not formed."""

    def product(self, v: np.ndarray) -> np.ndarray:
        """M v, (p,)."""
        ...

    def diagonal(self) -> np.ndarray:
        """The diagonal of M, (p,), or of its positive part."""
        ...


@dataclass
class Evaluation:
    """The objective at one θ.

    Attributes
    ----------
    theta : (p,).
    value : ℓ(θ), penalised, at unit dispersion and up to terms without θ.
    score : (p,) its gradient.
    information : the matrices asked for, penalised, by kind.
    dispersion : φ̂ at this θ, 1 where the family fixes it.
    highest : largest log density of any row with response 0 or 1. Near 0, some response is fitted with certainty.
    rows : how many rows were read.
    operator : M by its products with vectors, when asked for.
    added : the part of ℓ that is not the log-likelihood: −½ θᵀPθ of a penalty, ½ log det I(θ) of bias reduction.
    noise : how much of ℓ may be noise in the predictor, beyond rounding.
    noise_distance : how far away noise alone can make the maximum appear, in standard errors.
    pearson : Σ w (y − μ)²/V(μ); NaN where the dispersion is known.
    """

    theta: np.ndarray
    value: float
    score: np.ndarray
    information: dict[str, Gram | Root]
    dispersion: float
    highest: float
    rows: int
    operator: Operator | None = None
    added: float = 0.0
    noise: float = 0.0
    noise_distance: float = 0.0
    pearson: float = math.nan

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and math.isfinite(float(self.score.dot(self.score)))


def projected(part: Gram | Root, basis: np.ndarray) -> Gram | Root:
    """NᵀMN, the information of γ where θ moves by Nγ, for N (p, r)."""
    if isinstance(part, Gram):
        return Gram(basis.T @ part.matrix @ basis)
    second_order = None if part.second_order is None else basis.T @ part.second_order @ basis
    return Root.of(np.column_stack([part.triangle[:, :-1] @ basis, part.triangle[:, -1]]), second_order)


def triangularised(rows: np.ndarray) -> np.ndarray:
    """R of the QR decomposition of rows (m, n), (min(m, n), n).

    LAPACK is called directly: for the few rows of a small curve NumPy's own call takes ten times as long.

    Examples
    --------
    >>> abs(triangularised(np.array([[3.0, 1.0], [4.0, 2.0]]))).round(3).tolist()
    [[5.0, 2.2], [0.0, 0.4]]
    """
    m, n = rows.shape
    if not m or not n:
        return np.zeros((min(m, n), n))
    R = dgeqrf(rows, lwork=32 * n)[0][:n]
    return np.where(_above(len(R), n), R, 0.0)


@cache
def _above(m: int, n: int) -> np.ndarray:
    mask = np.triu(np.ones((m, n), dtype=bool))
    mask.flags.writeable = False
    return mask


def penalty_rows(penalty: np.ndarray) -> np.ndarray:
    """Rows B (p, p) with BᵀB = P."""
    values, vectors = np.linalg.eigh(penalty)
    return (vectors * np.sqrt(np.maximum(values, 0.0))).T


def penalised(part: Gram | Root, penalty: np.ndarray, theta: np.ndarray) -> Gram | Root:
    """M + P; in root form the rows B with BᵀB = P and right-hand side −Bθ are added: Bᵀ(−Bθ) = −Pθ."""
    if isinstance(part, Gram):
        return Gram(part.matrix + penalty)
    B = penalty_rows(penalty)
    return Root.of(np.concatenate([part.triangle, np.column_stack([B, -B @ theta])]), part.second_order)


def scaled(part: Gram | Root, factor: float) -> Gram | Root:
    """factor · M; the right-hand side z grows by 1/√factor so that Aᵀz stays the score."""
    if isinstance(part, Gram):
        return Gram(part.matrix * factor)
    triangle = part.triangle * np.sqrt(factor)
    triangle[:, -1] /= factor
    return Root(triangle, None if part.second_order is None else part.second_order * factor)


class Objective(ABC):
    """What an iteration maximises: a value, its gradient, and an information to step and measure by.

    Six members define it: `n_params`, `n_rows` and `evaluate`, and `bounds`, `moved` and `blocked`, whose defaults
    are those of a function without bounds. All others are capabilities. Their defaults assume nothing about the
    function; a subclass overrides what it knows.
    """

    @property
    @abstractmethod
    def n_params(self) -> int:
        """p, the length of θ."""

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Rows of data that an evaluation reads."""

    @property
    def n_cases(self) -> int:
        """Rows of data that it is a sum over: more than are read where equal ones are merged."""
        return self.n_rows

    @abstractmethod
    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """Value, score and the information asked for, at θ (p,)."""

    @property
    def bounds(self) -> Bounds | None:
        """(lower, upper), each (p,), the box that θ is kept in; None for none."""
        return None

    def moved(self, theta: np.ndarray, step: np.ndarray, project: bool = True) -> np.ndarray:
        """θ + step, clipped to the bounds and then, unless `project` is False, moved to the best point beside it."""
        there = theta + step
        return there if self.bounds is None else np.clip(there, *self.bounds)

    def blocked(self, theta: np.ndarray, score: np.ndarray) -> np.ndarray | None:
        """(p,) mask of the parameters at a bound beyond which ℓ rises; None where there are no bounds."""
        if self.bounds is None:
            return None
        low, high = self.bounds
        return ((theta <= low) & (score < 0)) | ((theta >= high) & (score > 0))

    # -- capabilities ------------------------------------------------------------------------------------------

    @property
    def likelihood(self) -> Objective:
        """The objective whose information covariances come from."""
        return self

    @property
    def comparable(self) -> bool:
        """Whether the score is the gradient of the value, so that two points can be compared by their values."""
        return True

    @property
    def main_kind(self) -> Kind:
        """The kind of information that is always available."""
        return "expected"

    def same(self, kind: Kind) -> Kind:
        """The kind to compute when `kind` is wanted."""
        return kind

    @property
    def linear(self) -> bool:
        """Whether rows depend on θ through Xθ alone, so that columns can be aliased."""
        return False

    @property
    def concave(self) -> bool:
        """Whether ℓ is concave in θ, so that a point where it does not rise is the maximum."""
        return False

    @property
    def quadratic(self) -> bool:
        """Whether ℓ is a quadratic function of θ, whose maximum is one step away and whose information is constant."""
        return False

    def constant(self, kind: Kind) -> bool:
        """Whether the information of a kind is the same at every θ."""
        return self.quadratic

    def addition(self, theta: np.ndarray) -> float | None:
        """The part of ℓ that is not the log-likelihood; None where it takes a reading."""
        return None

    def expanded(self, here: Evaluation, step: np.ndarray) -> Evaluation | None:
        """The objective a step away from `here`, by its expansion to the second order, which reads no rows.

        None where it is not a quadratic function, or where the sums at `here` do not have the digits.
        """
        return None

    @property
    def n_blocks(self) -> int:
        """Number of blocks that the rows are read in."""
        return 1

    @property
    def few(self) -> bool:
        """Whether an evaluation reads so few rows, and does so little else, that a step's own work counts."""
        return False

    @property
    def curvature_cost(self) -> float:
        """How many readings for the score alone take as long as one for an information too: by products of a dense
        design about 1 + p/18."""
        return 1.0 + self.n_params / 18.0

    @property
    def patience(self) -> float:
        """Largest number of steps, each reading the data for the score alone, for which keeping M is cheaper than a new
        M, which saves little, as the last M is evaluated at the end anyway."""
        return 2.0 + 1.8 * (self.curvature_cost - 1.0)

    @property
    def row_shares(self) -> np.ndarray | None:
        """(p,) share of the rows that the information on each parameter rests on; None where that is not known."""
        return None

    @property
    def most_part_rows(self) -> float:
        """Largest number of rows of a part that the iteration can start with."""
        return math.inf

    @property
    def at_limit(self) -> bool:
        """Whether some rows are held at infinity, so that columns which only they determine are rightly left out."""
        return False

    @property
    def projected(self) -> np.ndarray | None:
        """(p,) mask of the parameters that `moved` solves for; None for none."""
        return None

    @property
    def prior(self) -> np.ndarray | None:
        """(p,) precisions of a weak prior, no part of ℓ. It gives a scale to directions that the data do not determine.

        None where every parameter is to be determined.
        """
        return None

    @property
    def edges(self) -> Edges | None:
        """The ends of the means' domain that rows may lie at; None where there are none."""
        return None

    @property
    def walled(self) -> bool:
        """Whether some rows may lie at the edge of the domain."""
        return self.edges is not None

    def walls(self, theta: np.ndarray, step: np.ndarray | None = None) -> Walls:
        """Inequalities of the rows at the edge of the domain: those active at θ, or those θ + step would violate."""
        return Walls.none(self.n_params) if self.edges is None else self.edges.walls(theta, step)

    def design_root(self, theta: np.ndarray) -> Root | None:
        """The triangle of the design alone, for its rank; None where there is no design."""
        return None


Inner = TypeVar("Inner", bound=Objective)


@dataclass(frozen=True)
class DerivedObjective(Objective, Generic[Inner]):
    """An objective made from another one. It delegates everything that a subclass does not override.

    Attributes
    ----------
    inner : the other one.
    """

    inner: Inner

    @property
    def n_params(self) -> int:
        return self.inner.n_params

    @property
    def n_rows(self) -> int:
        return self.inner.n_rows

    @property
    def n_cases(self) -> int:
        return self.inner.n_cases

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        return self.inner.evaluate(theta, need)

    @property
    def bounds(self) -> Bounds | None:
        return self.inner.bounds

    def moved(self, theta: np.ndarray, step: np.ndarray, project: bool = True) -> np.ndarray:
        return self.inner.moved(theta, step, project)

    def blocked(self, theta: np.ndarray, score: np.ndarray) -> np.ndarray | None:
        return self.inner.blocked(theta, score)

    @property
    def likelihood(self) -> Objective:
        return self.inner.likelihood

    @property
    def comparable(self) -> bool:
        return self.inner.comparable

    @property
    def main_kind(self) -> Kind:
        return self.inner.main_kind

    def same(self, kind: Kind) -> Kind:
        return self.inner.same(kind)

    @property
    def linear(self) -> bool:
        return self.inner.linear

    @property
    def concave(self) -> bool:
        return self.inner.concave

    @property
    def quadratic(self) -> bool:
        return self.inner.quadratic

    def constant(self, kind: Kind) -> bool:
        return self.inner.constant(kind)

    def addition(self, theta: np.ndarray) -> float | None:
        """None, as `evaluate` may add something else than the inner one's."""
        return None

    def expanded(self, here: Evaluation, step: np.ndarray) -> Evaluation | None:
        """None, as `evaluate` may be another than the inner one's."""
        return None

    @property
    def n_blocks(self) -> int:
        return self.inner.n_blocks

    @property
    def few(self) -> bool:
        return self.inner.few

    @property
    def curvature_cost(self) -> float:
        return self.inner.curvature_cost

    @property
    def patience(self) -> float:
        return self.inner.patience

    @property
    def row_shares(self) -> np.ndarray | None:
        return self.inner.row_shares

    @property
    def most_part_rows(self) -> float:
        return self.inner.most_part_rows

    @property
    def at_limit(self) -> bool:
        return self.inner.at_limit

    @property
    def projected(self) -> np.ndarray | None:
        return self.inner.projected

    @property
    def prior(self) -> np.ndarray | None:
        return self.inner.prior

    @property
    def edges(self) -> Edges | None:
        return self.inner.edges

    def walls(self, theta: np.ndarray, step: np.ndarray | None = None) -> Walls:
        return self.inner.walls(theta, step)

    def design_root(self, theta: np.ndarray) -> Root | None:
        return self.inner.design_root(theta)
