"""Thousands of small independent problems, maximised in a few compiled calls.

The iteration is θ ← θ + (M + τD)⁻¹ ∇ℓ(θ) as in the one loop, written for one problem and mapped over many:

1. *Approach.* Levenberg-Marquardt: D is the running maximum of diag M (Marquardt 1963; Moré 1978, equation 7.1). τ is
   divided by ten after a step whose gain the quadratic model predicted well, and raised by doubling factors after a
   failure (Nielsen 1999, IMM-REP-1999-05). M is the problem's own matrix: JᵀJ for least squares.
2. *Finish.* Within :data:`NEAR`, the same with the exact observed information, undamped unless a step fails, until the
   distance to the maximum in standard errors is below the tolerance. Convergence is quadratic, however large the
   residuals are.

Problems run in chunks of equal size, so that a kind of problem compiles once and memory is bounded; chunks are
distributed over threads. A finished problem keeps its state while the others in its chunk go on. After every few steps
the unfinished problems are gathered into fewer chunks, so that slow ones do not delay the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.errors import ModelError
from raphson.execute import Executor, threads
from raphson.linalg import definite
from raphson.newton.many.ends import Ends
from raphson.numeric import EPSILON, anchor, x64
from raphson.status import Status

CHUNK_PROBLEMS = (8, 64, 512)
"""Numbers of problems per compiled call for which code is compiled, each eight times the last."""

CHUNK_NUMBERS = 2**22
"""Largest number of elements (32 MB) of the Jacobians of a chunk."""

ROUND = 6
"""Steps between gatherings of the unfinished problems."""

DEVICE_PROBLEMS, DEVICE_NUMBERS, DEVICE_ROUND = (8, 64, 512, 4_096, 32_768), 2**27, 48
"""The same where a device with memory of its own computes (:func:`raphson.execute.gpu`): it has thousands of problems
in hand at once, and problems that wait for slow ones cost it less than to be gathered on the host and sent again. They
are no measured optimum."""

NEAR = 1e-2
"""Distance to the maximum, in standard errors, within which the exact observed information is used, as by
:mod:`raphson.newton.directions` in the fit of a single curve."""

FIRST_DAMPING, SMALLEST_DAMPING, LARGEST_DAMPING = 1e-3, 1e-13, 1e14
"""τ at the start (as Madsen, Nielsen and Tingleff 2004, Methods for Non-Linear Least Squares Problems, section 3.2,
advise where the start is not known to be good); below which it becomes 0 (narrow valleys need small values); above
which to give up, as a step is then 1e-14 of Gauss and Newton's."""

SINGULAR_PIVOT = 1e-13
"""Squared pivot of a scaled matrix that counts as 0; at most the least damping, which makes every matrix definite."""

LIGHT_DAMPING = 1e-9
"""Largest damping with which the damped matrix measures the distance to the maximum if the undamped one is singular. It
hides only the distance in directions that the data do not determine."""

SHORTEST = 8
"""Smallest length to which groups of rows are padded."""

_ACTIVE, _NEAR, _CONVERGED, _FLOOR, _FAILED, _NOT_FINITE = range(6)


@dataclass(frozen=True, eq=False)
class TracedProblem:
    """A kind of small problem, written in ``jax.numpy`` for a single problem.

    The object holds its compiled code; keep it and use it again, to compile once.

    Attributes
    ----------
    evaluate : ``(theta (p,), data, shared) -> (value, score (p,), M (p, p))``. `data` is a tree of arrays of one
        problem, `shared` a tree that all problems have in common. The value is maximised, the score is its gradient,
        and M is symmetric and approximates minus its second derivative.
    observed : ``(theta, data, shared) -> (p, p)``, minus the exact second derivative of the value, if that is not M.
    dispersion : ``(value, p, data, shared) -> φ̂``, for distances in standard errors; 1 by default.
    """

    evaluate: Callable[..., Any]
    observed: Callable[..., Any] | None = None
    dispersion: Callable[..., Any] | None = None

    @cached_property
    def steps(self) -> Any:
        """The compiled steps."""
        return _compiled(self)

    @cached_property
    def seen(self) -> set[Any]:
        """Shapes for which the steps have been compiled."""
        return set()


@dataclass(frozen=True)
class Solutions(Ends):
    """The solutions of the problems.

    Attributes
    ----------
    theta : (B, p) estimates.
    value : (B,).
    score : (B, p).
    information : (B, p, p) M at the estimate.
    observed : (B, p, p) minus the second derivative of the value there (M if the problem has no other).
    dispersion : (B,).
    distance : (B,) to the maximum in standard errors, for the parameters that are not held.
    held : (B, p) mask of the parameters at a bound beyond which the value would rise.
    n_iter : (B,) number of steps tried.
    status : (B,) of :class:`Status`.
    """

    theta: np.ndarray
    value: np.ndarray
    score: np.ndarray
    information: np.ndarray
    observed: np.ndarray
    dispersion: np.ndarray
    distance: np.ndarray
    held: np.ndarray
    n_iter: np.ndarray
    status: np.ndarray

    def covariance(self, kind: str = "expected") -> np.ndarray:
        """(B, p, p) φ̂ M⁻¹ for the free parameters, by the problem's M or ("observed") the exact one; NaN elsewhere."""
        M = self.observed if kind == "observed" else self.information
        return inverses(M, ~self.held) * self.dispersion[:, None, None]


class _State(NamedTuple):
    """The state of a problem, or with a leading axis of a chunk."""

    theta: Any
    step: Any
    definite: Any
    value: Any
    score: Any
    M: Any
    H: Any
    scale: Any
    damping: Any
    growth: Any
    distance: Any
    dispersion: Any
    held: Any
    steps: Any
    status: Any


def solve(
    problem: TracedProblem,
    start: np.ndarray,
    data: Any = None,
    shared: Any = None,
    *,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
    tol: float = 1e-8,
    max_iter: int = 200,
    executor: Executor | None = None,
    chunk: int | None = None,
) -> Solutions:
    """Maximise many problems of one kind, each from its own start.

    Parameters
    ----------
    problem : the kind of problem.
    start : (B, p) where to start; (p,) for a common start.
    data : tree of arrays whose first axis, of length B, runs over the problems; None if only their starts differ.
    shared : tree of arrays that all problems have in common.
    lower, upper : (p,) or (B, p) bounds; equal bounds fix a parameter.
    tol : distance to the maximum in standard errors.
    max_iter : largest number of steps tried for each problem.
    executor : runs the chunks; all cores by default.
    chunk : number of problems in a compiled call, where these are a part of more; by default :func:`chunk_of` them.

    Returns
    -------
    Solutions
        In the order of the problems. A solution depends neither on the executor nor on the other problems.

    Raises
    ------
    ModelError
        If `start` and `data` have different numbers of problems.

    Examples
    --------
    Two means, by least squares:

    >>> mean = least_squares(lambda theta, data, shared: theta[0] + 0.0 * data["y"])
    >>> found = solve(mean, np.zeros(1), {"y": np.array([[1.0, 3.0], [5.0, 6.0]])})
    >>> found.theta.round(6).tolist(), found.counts()
    ([[2.0], [5.5]], {'converged': 2})
    """
    start, leaves = starts_of(start, data), jax.tree.leaves(data)
    count, p = start.shape
    limits = _limits(lower, -np.inf, count, p), _limits(upper, np.inf, count, p)
    elsewhere = getattr(executor, "device", None) is not None
    chunk = chunk_of(start, data, shared, elsewhere) if chunk is None else chunk
    state = _begin(np.clip(start, *limits))
    shapes = (chunk, p, *(leaf.shape[1:] for leaf in leaves), None, *map(np.shape, jax.tree.leaves(shared)))
    steps = DEVICE_ROUND if elsewhere else ROUND
    run = _Run(problem, data, shared, limits, chunk, steps, shapes, executor or threads())
    if problem.observed is not None:
        # At most half of the steps with M; if it is too slow, the observed information continues.
        _rounds(run, state, False, NEAR, (max_iter + 1) // 2)
        state.damping[state.status == _NEAR] = 0.0
        state.status[state.status == _NEAR] = _ACTIVE
        again = state.status == _ACTIVE
        state.value[again], state.step[again] = -np.inf, 0.0  # evaluates again, with H
    _rounds(run, state, True, tol, max_iter)
    return _solutions(state)


def starts_of(start: np.ndarray, data: Any) -> np.ndarray:
    """(B, p) where each problem starts.

    Raises
    ------
    ModelError
        If `start` and `data` have different numbers of problems.
    """
    leaves = jax.tree.leaves(data)
    start = np.asarray(start, dtype=np.float64)
    count = leaves[0].shape[0] if leaves else len(np.atleast_2d(start))
    if start.ndim == 1:
        start = np.tile(start, (count, 1))
    if start.ndim != 2 or len(start) != count or any(leaf.shape[0] != count for leaf in leaves):
        sizes = ", ".join(str(leaf.shape) for leaf in leaves)
        raise ModelError(
            f"start: expected a row for each of {count} problems; got shape {start.shape} and data of shapes {sizes}"
        )
    return start


def chunk_of(start: np.ndarray, data: Any, shared: Any, elsewhere: bool = False) -> int:
    """The number of problems whose Jacobians fit into memory together, into that of a device if `elsewhere`."""
    count, p = start.shape
    numbers = sum(int(np.prod(leaf.shape[1:])) for leaf in jax.tree.leaves(data)) or _size(jax.tree.leaves(shared))
    sizes, most = (DEVICE_PROBLEMS, DEVICE_NUMBERS) if elsewhere else (CHUNK_PROBLEMS, CHUNK_NUMBERS)
    fitting = [size for size in sizes if size * numbers * (p + 2) <= most] or [sizes[0]]
    return next((size for size in fitting if size >= count), fitting[-1])


class _Run(NamedTuple):
    """What is the same for all rounds."""

    problem: TracedProblem
    data: Any
    shared: Any
    limits: tuple[np.ndarray, np.ndarray]
    chunk: int
    steps: int
    shapes: Any
    executor: Executor


def _rounds(run: _Run, state: _State, exact: bool, tol: float, max_iter: int) -> None:
    """Iterate until every problem has ended, and gather the unfinished ones after each round; changes `state`."""
    while True:
        active = np.flatnonzero((state.status == _ACTIVE) & (state.steps < max_iter))
        if not len(active):
            return
        chunks = [active[i : i + run.chunk] for i in range(0, len(active), run.chunk)]

        def advance(which: np.ndarray) -> tuple[np.ndarray, _State]:
            # The last chunk is padded with copies of a problem that are marked as finished.
            filled = np.concatenate([which, np.repeat(which[:1], run.chunk - len(which))])
            part = _State(*(values[filled] for values in state))
            part.status[len(which) :] = _CONVERGED
            mine = jax.tree.map(lambda leaf: np.asarray(leaf)[filled], run.data)
            limits = tuple(limit[filled] for limit in run.limits)
            with x64():
                after = run.problem.steps(
                    part, mine, run.shared, limits, exact, tol, min(run.steps, max_iter), anchor()
                )
                return which, _State(*(np.asarray(values)[: len(which)] for values in after))

        # The first call compiles, which two threads would both do.
        new = [] if run.shapes in run.problem.seen else run.executor.map(advance, [chunks.pop(0)])
        run.problem.seen.add(run.shapes)
        for which, after in (*new, *(run.executor.map(advance, chunks) if chunks else ())):
            for mine, new in zip(state, after, strict=True):
                mine[which] = new


def _begin(theta: np.ndarray) -> _State:
    """The initial states. No problem has been evaluated; a step of length 0 from the value −∞ does that."""
    count, p = theta.shape
    eye = np.tile(np.eye(p), (count, 1, 1))
    return _State(
        theta=theta,
        step=np.zeros((count, p)),
        definite=np.ones(count, dtype=bool),
        value=np.full(count, -np.inf),
        score=np.zeros((count, p)),
        M=eye,
        H=eye.copy(),
        scale=np.zeros((count, p)),
        damping=np.full(count, FIRST_DAMPING),
        growth=np.full(count, 2.0),
        distance=np.full(count, np.inf),
        dispersion=np.ones(count),
        held=np.zeros((count, p), dtype=bool),
        steps=np.full(count, -1),
        status=np.zeros(count, dtype=np.int64),
    )


def _compiled(problem: TracedProblem) -> Any:
    """The compiled iteration of a chunk: until all its problems have ended, or for a number of steps."""

    def advance(
        state: _State, data: Any, shared: Any, limits: Any, exact: Any, tol: Any, steps: Any, anchor: Any
    ) -> _State:
        del anchor
        iterate = jax.vmap(lambda mine, own, low, high: _iterate(problem, exact, mine, own, shared, low, high, tol))

        def unfinished(carry: tuple[Any, _State]) -> Any:
            return (carry[0] < steps) & jnp.any(carry[1].status == _ACTIVE)

        def once(carry: tuple[Any, _State]) -> tuple[Any, _State]:
            before = carry[1]
            after = iterate(before, data, *limits)
            active = before.status == _ACTIVE

            def keep(new: Any, old: Any) -> Any:
                return jnp.where(active.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

            return carry[0] + 1, _State(*map(keep, after, before))

        return jax.lax.while_loop(unfinished, once, (0, state))[1]

    return compiled(advance, brief=True)


def _iterate(
    problem: TracedProblem, exact: Any, here: _State, data: Any, shared: Any, low: Any, high: Any, tol: Any
) -> _State:
    """One traced iteration of one problem: evaluates a trial and accepts or rejects it."""
    p = here.theta.shape[0]
    first = here.value == -jnp.inf
    matrix = jnp.where(exact, here.H, here.M)
    # 1. The step solves (M + τD) d = ∇ℓ on the free parameters.
    trial = jnp.clip(here.theta + here.step, low, high)
    d = trial - here.theta
    slope = here.score @ d
    predicted = slope - 0.5 * d @ matrix @ d
    # 2. The trial. Near the maximum the value has only half the digits of θ, so the slope decides.
    value, score, M = problem.evaluate(trial, data, shared)
    H = M
    if problem.observed is not None:
        observed = problem.observed
        # `exact` is the same for all problems, so the branch not taken costs nothing.
        H = jax.lax.cond(exact, lambda t: observed(t, data, shared), lambda _: M, trial)
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(score)) & jnp.all(jnp.isfinite(M)) & jnp.all(jnp.isfinite(H))
    gain = value - here.value
    # Rounding moves η by ε Σ |θ_j J_j|, and the value by that times the length of the residuals, √(2 |value|).
    terms = jnp.abs(here.theta) @ jnp.sqrt(jnp.abs(jnp.diagonal(here.M)))
    noise = EPSILON * (64 * jnp.abs(here.value) + 4 * terms * jnp.sqrt(2 * jnp.abs(here.value)))
    flat = (jnp.abs(gain) <= noise) & (jnp.abs(score @ d) <= 0.9 * slope)
    accepted = finite & (first | (here.definite & ((gain > 1e-4 * predicted) & (predicted > 0) | flat)))
    # 3. The damping.
    damping, growth = _damping(here, accepted, first, jnp.where(flat | first, 1.0, gain / predicted))

    def chosen(new: Any, old: Any) -> Any:
        return jnp.where(accepted, new, old)

    theta, score, M, H = (chosen(a, b) for a, b in ((trial, here.theta), (score, here.score), (M, here.M), (H, here.H)))
    value = chosen(value, here.value)
    matrix = jnp.where(exact, H, M)
    scale = jnp.maximum(here.scale, jnp.abs(jnp.diagonal(M)))
    # 4. The distance to the maximum.
    held = ((theta <= low) & (score <= 0)) | ((theta >= high) & (score >= 0))
    dispersion = jnp.ones(()) if problem.dispersion is None else problem.dispersion(value, p, data, shared)
    # The next step, which is damped, and the undamped Newton step, which measures the distance.
    ridges = jnp.stack([damping * scale, jnp.zeros(p)])
    (step, _), (damped, square), (solvable, definite) = jax.vmap(lambda r: _solve(matrix, r, score, ~held))(ridges)
    step = jnp.where(solvable, step, 0.0)
    spread = jnp.sqrt(jnp.maximum(dispersion, 0.0))
    square = jnp.where(definite, square, jnp.where(solvable & (damping <= LIGHT_DAMPING), damped, jnp.inf))
    distance = jnp.where(square > 0, jnp.sqrt(square) / spread, 0.0)
    # See convergence.rounding_floor.
    diagonal = jnp.where(held, 0.0, jnp.abs(jnp.diagonal(M)))
    floor = EPSILON * (jnp.abs(theta) @ jnp.sqrt(diagonal) / spread + 10.0)
    # 5. Whether to stop.
    still = jnp.all(trial == here.theta)
    status = _ending(here, first, finite, accepted, distance, floor, damping, still, tol)
    point = (theta, step, solvable, value, score, M, H, scale)
    return _State(*point, damping, growth, distance, dispersion, held, here.steps + 1, status)


def _damping(here: _State, accepted: Any, first: Any, agreement: Any) -> tuple[Any, Any]:
    """τ of the next step, by the ratio of actual to predicted gain, and the factor of its next increase."""
    eased = jnp.where(agreement > 0.75, 0.1, jnp.where(agreement > 0.25, 1.0, 3.0)) * here.damping
    eased = jnp.where(first, here.damping, jnp.where(eased < SMALLEST_DAMPING, 0.0, eased))
    raised = jnp.maximum(here.damping, SMALLEST_DAMPING) * here.growth
    return jnp.where(accepted, eased, raised), jnp.where(accepted, 2.0, 2.0 * here.growth)


def _ending(
    here: _State, first: Any, finite: Any, accepted: Any, distance: Any, floor: Any, damping: Any, still: Any, tol: Any
) -> Any:
    """The status after a trial: ended after a full step, or where the remaining distance is rounding."""
    full = accepted & ~first & (here.damping == 0.0)
    stalled = (full | ~accepted) & (distance >= 0.5 * here.distance) & (distance <= 100 * floor)
    near = tol >= NEAR
    # Below the tolerance one last full step squares the remaining distance, unless the step before has done so.
    last = full & ((here.distance <= tol) | (distance <= 1e-3 * tol))
    done = (distance <= tol) & (near | last | (distance <= floor))
    hopeless = (damping > LARGEST_DAMPING) | (here.definite & still)
    status = jnp.where(done, jnp.where(near, _NEAR, _CONVERGED), _ACTIVE)
    at_floor = jnp.where(near, _NEAR, jnp.where(distance <= tol, _CONVERGED, _FLOOR))
    rounded = jnp.isfinite(distance) & ((distance <= floor) | stalled)
    status = jnp.where((status == _ACTIVE) & rounded, at_floor, status)
    give_up = jnp.where(distance <= tol, jnp.where(near, _NEAR, _CONVERGED), _FAILED)
    status = jnp.where((status == _ACTIVE) & hopeless & ~first, give_up, status)
    return jnp.where(first & ~finite, _NOT_FINITE, status)


def _solve(M: Any, ridge: Any, v: Any, free: Any) -> tuple[Any, Any, Any]:
    """(M + diag(ridge))⁻¹ v for the free parameters, vᵀ (M + diag(ridge))⁻¹ v, and whether it is positive definite.

    Gauss-Jordan elimination on the matrix scaled to a unit diagonal. A positive definite matrix needs no exchanges, and
    the pivots are those of its LDLᵀ. A single loop over columns is vectorised over the problems and compiles quickly
    for any p; LAPACK would be called for each problem.
    """
    p = v.shape[0]
    diagonal = jnp.diagonal(M) + ridge
    positive = diagonal > 0
    s = jnp.where(free & positive, 1.0 / jnp.sqrt(jnp.where(positive, diagonal, 1.0)), 0.0)
    A = jnp.where(jnp.eye(p, dtype=bool), 1.0, M * s[:, None] * s[None, :])
    table = jnp.concatenate([A, (v * s)[:, None]], axis=1)

    def eliminate(k: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        table, smallest = carry
        row = jax.lax.dynamic_index_in_dim(table, k, 0, keepdims=False)
        column = jax.lax.dynamic_index_in_dim(table, k, 1, keepdims=False)
        pivot = jax.lax.dynamic_index_in_dim(row, k, keepdims=False)
        safe = jnp.where(pivot > SINGULAR_PIVOT, pivot, 1.0)
        mine = (jnp.arange(p) == k)[:, None]
        table = jnp.where(mine, row[None] / safe, table - column[:, None] * (row / safe)[None])
        return table, jnp.minimum(smallest, pivot)

    table, smallest = jax.lax.fori_loop(0, p, eliminate, (table, jnp.ones(())))
    x = table[:, p]
    return x * s, jnp.maximum(x @ (v * s), 0.0), (smallest > SINGULAR_PIVOT) & jnp.all(positive | ~free)


def _solutions(state: _State) -> Solutions:
    names = {
        _ACTIVE: Status.STEP_LIMIT,
        _NEAR: Status.STEP_LIMIT,
        _CONVERGED: Status.CONVERGED,
        _FLOOR: Status.ROUNDING_FLOOR,
        _FAILED: Status.SEARCH_FAILED,
        _NOT_FINITE: Status.NOT_FINITE,
    }
    status = np.array([names[code] for code in state.status.tolist()], dtype=object)
    status[(state.status == _FAILED) & ~np.isfinite(state.distance)] = Status.SINGULAR
    return Solutions(
        theta=state.theta,
        value=state.value,
        score=state.score,
        information=state.M,
        observed=state.H,
        dispersion=state.dispersion,
        distance=state.distance,
        held=state.held,
        n_iter=np.maximum(state.steps, 0),
        status=status,
    )


def _limits(bound: np.ndarray | None, default: float, count: int, p: int) -> np.ndarray:
    return np.array(np.broadcast_to(default if bound is None else np.asarray(bound, dtype=np.float64), (count, p)))


def _size(leaves: list[Any]) -> int:
    return sum(int(np.size(leaf)) for leaf in leaves)


def inverses(M: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Inverses (B, p, p) of symmetric positive definite matrices for their free (B, p) parameters; NaN elsewhere.

    Examples
    --------
    >>> M = np.array([[[4.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    >>> free = np.array([[True, False], [True, True]])
    >>> inverses(M, free).tolist()
    [[[0.25, nan], [nan, nan]], [[nan, nan], [nan, nan]]]
    """
    both = np.asarray(free[:, :, None] & free[:, None, :])
    diagonal = np.einsum("bii->bi", M)
    s = np.where(free & (diagonal > 0), 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 1.0)
    A = np.where(both, M * s[:, :, None] * s[:, None, :], np.eye(M.shape[1]))
    finite = np.isfinite(A).reshape(len(A), -1).min(axis=1, initial=True)
    A = np.where(np.reshape(finite, (-1, 1, 1)), A, 0.0)
    good = np.reshape(definite(A), (-1, 1, 1))
    V = np.linalg.inv(np.where(good, A, np.eye(M.shape[1])))
    return np.where(both & good, V * s[:, :, None] * s[:, None, :], np.nan)


def stacked(codes: np.ndarray, columns: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Arrange rows as one problem for each group, padded to a few lengths.

    Parameters
    ----------
    codes : (n,) group of each row, 0 .. G − 1.
    columns : arrays (n,) by name, with or without "weight".

    Yields
    ------
    (groups (g,), columns (g, m)) for each padded length m, a power of 2. The padding repeats each group's first row
    with weight 0, as the curve is finite there.

    Examples
    --------
    >>> for groups, columns in stacked(np.array([1, 0, 1]), {"y": np.array([1.0, 2.0, 3.0])}):
    ...     print(groups, columns["y"][:, :3].tolist(), columns["weight"].sum(axis=1))
    [0 1] [[2.0, 2.0, 2.0], [1.0, 3.0, 1.0]] [1. 2.]
    """
    codes = np.asarray(codes)
    order = np.argsort(codes, kind="stable")
    groups, first, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    lengths = np.maximum(2 ** np.ceil(np.log2(sizes)).astype(int), SHORTEST)
    weight = np.asarray(columns.get("weight", np.ones(len(codes))), dtype=np.float64)
    for length in np.unique(lengths):
        these = lengths == length
        place = np.arange(length)
        real = place < sizes[these, None]
        rows = order[np.where(real, first[these, None] + place, first[these, None])]
        found = {name: np.asarray(values)[rows] for name, values in columns.items()}
        yield groups[these], found | {"weight": np.where(real, weight[rows], 0.0)}


_KIND = "_raphson_least_squares"
"""Attribute of a curve that holds its problem, so that the compiled code lives as long as the function."""


def least_squares(curve: Callable[..., Any]) -> TracedProblem:
    """The problem of fitting a curve by weighted least squares, which maximises −½ Σ w_i (y_i − f_i(θ))².

    Parameters
    ----------
    curve : ``(theta (p,), data, shared) -> (m,)`` predictions of one problem. Responses are ``data["y"]``, or
        ``shared["y"]`` if all problems have the same; optional weights are ``"weight"`` in the same mapping. A row of
        weight 0 does not count, even if it is NaN. The same function returns the same, already compiled, problem.

    Returns
    -------
    TracedProblem
        With M = JᵀWJ, the observed information JᵀWJ − Σ w r ∂²f, and φ̂ = RSS/(n − p).
    """
    made = getattr(curve, _KIND, None)
    if made is not None:
        return made

    def weighted(data: Any, shared: Any) -> tuple[Any, Any]:
        home = data if isinstance(data, dict) and "y" in data else shared
        weight = home.get("weight")
        return home["y"], jnp.ones_like(home["y"]) if weight is None else weight

    def residuals(theta: Any, data: Any, shared: Any) -> Any:
        y, weight = weighted(data, shared)
        return jnp.where(weight > 0, jnp.sqrt(weight) * (y - curve(theta, data, shared)), 0.0)

    def evaluate(theta: Any, data: Any, shared: Any) -> tuple[Any, Any, Any]:
        p = theta.shape[0]
        r, push = jax.linearize(lambda t: residuals(t, data, shared), theta)
        A = jnp.concatenate([jax.vmap(push)(jnp.eye(p)), r[None]])  # −√W J, transposed, and r
        products = A @ A.T
        return -0.5 * products[p, p], -products[:p, p], products[:p, :p]

    def observed(theta: Any, data: Any, shared: Any) -> Any:
        def slope(t: Any) -> Any:
            r, push = jax.linearize(lambda s: residuals(s, data, shared), t)
            return jax.vmap(push)(jnp.eye(len(t))) @ r

        # Forward over forward mode compiles faster than reverse mode, and allows curves with loops.
        return jax.jacfwd(slope)(theta)

    def dispersion(value: Any, p: int, data: Any, shared: Any) -> Any:
        n = jnp.sum(weighted(data, shared)[1] > 0)
        return -2.0 * value / jnp.maximum(n - p, 1)

    made = TracedProblem(evaluate, observed, dispersion)
    with suppress(AttributeError):  # a bound method has no attributes, and is compiled every time
        setattr(curve, _KIND, made)
    return made
