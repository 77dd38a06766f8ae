"""Nonlinear predictors: η_i = f(θ, x_i), with exact derivatives.

J = ∂f/∂θ and the second-order term −Σ u_i ∂²f_i/∂θ² are computed by forward-mode autodiff: p is small compared with n,
and forward derivatives work through loops and differential equation solvers too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from raphson.autodiff.finite import SURE, differentiate, jacobian, noise_level
from raphson.data.blocks import BLOCK_ROWS, Block, make_blocks
from raphson.errors import ModelError
from raphson.model.parameters import Parameters
from raphson.model.predictor import Jacobian, filled

if TYPE_CHECKING:
    from raphson.model.device_designs import DevicePredictor

MANY = 256
"""Number of points at which a curve is evaluated in one compiled call: with 512 rows, the most of a screening, the
values take 1 MiB, as much as a core's second-level cache holds."""

FEW = 64
"""Number of points at which the rounding of a curve is measured in one compiled call."""


class Derivatives(Protocol):
    """A function f(θ, x) of many rows, and its derivatives by θ; x is a block's first design.

    Attributes
    ----------
    exact : whether they are derivatives of a formula or of a traced function, not finite differences.
    """

    exact: ClassVar[bool]

    def value(self, theta: np.ndarray, x: Any) -> np.ndarray:
        """f, (size,)."""
        ...

    def tangents(self, theta: np.ndarray, x: Any) -> np.ndarray:
        """f and, below it, its derivatives by each parameter, (1 + p, size)."""
        ...

    def rounding(self, points: np.ndarray, x: Any) -> np.ndarray:
        """The rounding error of f at each of the points (m, p), (m, size)."""
        ...

    def second_order(self, theta: np.ndarray, x: Any, u: np.ndarray) -> np.ndarray:
        """−Σ u_i ∂²f_i/∂θ², (p, p)."""
        ...

    def second(self, theta: np.ndarray, x: Any) -> np.ndarray:
        """∂²f/∂θ², (p, p, size)."""
        ...

    def many(self, points: np.ndarray, x: Any) -> np.ndarray:
        """f at each of the points (m, p), (m, size)."""
        ...


class Finite:
    """Derivatives of a function that JAX cannot trace, by finite differences whose steps are adapted to its noise.

    Parameters
    ----------
    function : f(params, x) of NumPy arrays; deterministic.
    parameters : from θ to params.
    """

    exact: ClassVar[bool] = False

    def __init__(self, function: Callable[[Any, Any], Any], parameters: Parameters) -> None:
        self.function, self.parameters = function, parameters
        self._noise: tuple[float, np.ndarray] | None = None
        self._last: tuple[bytes, Any, Any] = (b"", None, None)

    def value(self, theta: np.ndarray, x: Any) -> np.ndarray:
        return self.shaped(theta, x).ravel()

    def shaped(self, theta: np.ndarray, x: Any) -> np.ndarray:
        """f in the shape that the function returns.

        Raises
        ------
        ModelError
            If the function fails, or does not return real numbers.
        """
        at = ", ".join(f"{n}={value:.6g}" for n, value in zip(self.parameters.names, theta.tolist(), strict=True))
        # Copies, because the function may change its arguments; plain numbers for scalars.
        parts = [np.array(part)[()] for part in self.parameters.split(theta)]
        try:
            values = np.asarray(self.function(self.parameters.build(parts), x))
        except Exception as error:
            raise ModelError(
                f"model: the function failed at {at} with {type(error).__name__}: {error}. Let it return NaN where it "
                "cannot be computed: the iteration then steps back"
            ) from error
        if values.dtype.kind not in "fiub":
            raise ModelError(f"model: expected real numbers from the function; at {at} it returned {values.dtype}")
        return values.astype(float)

    def tangents(self, theta: np.ndarray, x: Any) -> np.ndarray:
        value = self.value(theta, x)
        if not np.isfinite(value).all():
            return np.concatenate([value[None], np.full((len(theta), len(value)), np.nan)])
        noise = self._noise_at(theta, x, value)
        J, error = jacobian(lambda t: self.value(t, x), theta, noise=noise)
        self._last = (theta.tobytes(), noise, error / SURE)
        return np.concatenate([value[None], J.T])

    def _noise_at(self, theta: np.ndarray, x: Any, value: np.ndarray) -> np.ndarray:
        """The noise of f, measured again where the size of f has changed several times."""
        size = float(np.abs(value).max(initial=0.0))
        if self._noise is None or not 0.25 * self._noise[0] <= size <= 4.0 * self._noise[0]:
            self._noise = (size, noise_level(lambda t: self.value(t, x), theta))
        return self._noise[1]

    def noise_and_error(self, theta: np.ndarray, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations of the noise of f, (n,), and of the error of its derivatives, (n, p)."""
        if self._last[0] != theta.tobytes():
            self.tangents(theta, x)
        return self._last[1:]

    def many(self, points: np.ndarray, x: Any) -> np.ndarray:
        out: list[Any] = []
        for theta in points:
            try:
                out.append(self.value(theta, x))
            except ModelError:
                out.append(np.nan)
        size = max(np.size(values) for values in out)
        return np.stack([np.broadcast_to(values, (size,)) for values in out])

    def rounding(self, points: np.ndarray, x: Any) -> np.ndarray:
        return np.zeros((len(points), 1))  # the iteration accounts for its noise

    def second_order(self, theta: np.ndarray, x: Any, u: np.ndarray) -> np.ndarray:
        count = len(self.value(theta, x))
        M = np.asarray(differentiate(lambda t: -float(u[:count] @ self.value(t, x)), theta, order=2).value)
        return 0.5 * (M + M.T)

    def second(self, theta: np.ndarray, x: Any) -> np.ndarray:
        found = np.asarray(differentiate(lambda t: self.value(t, x), theta, order=2).value)
        return np.moveaxis(found, 0, -1)


class Absent:
    """A placeholder for the user's function in a loaded fit: functions are not saved."""

    exact: ClassVar[bool] = False
    written = None

    def value(self, theta: np.ndarray, x: Any) -> np.ndarray:
        raise ModelError(
            "predict: a saved fit does not hold the function that was fitted; call the function itself at fit.params, "
            "or fit an expression, which is saved"
        )

    def tangents(self, theta: np.ndarray, x: Any) -> np.ndarray:
        return self.value(theta, x)

    def second_order(self, theta: np.ndarray, x: Any, u: np.ndarray) -> np.ndarray:
        return self.value(theta, x)

    def second(self, theta: np.ndarray, x: Any) -> np.ndarray:
        return self.value(theta, x)

    def many(self, points: np.ndarray, x: Any) -> np.ndarray:
        return self.value(points[0], x)

    def rounding(self, points: np.ndarray, x: Any) -> np.ndarray:
        return self.value(points[0], x)


@dataclass
class CurvedJacobian(Jacobian):
    """J of a nonlinear predictor: dense, with a second-order term.

    Attributes
    ----------
    derivatives, theta, x : where it was taken.
    size : rows with padding.
    """

    derivatives: Derivatives
    theta: np.ndarray
    x: Any
    size: int

    def second_order(self, u: np.ndarray) -> np.ndarray:
        padded = u[0]
        if len(padded) < self.size:
            padded = np.zeros(self.size)
            padded[: u.shape[1]] = u[0]
        return self.derivatives.second_order(self.theta, self.x, padded)

    def second(self) -> np.ndarray:
        return self.derivatives.second(self.theta, self.x)[None, :, :, : len(self.parts[0])]


@dataclass(frozen=True)
class NonlinearPredictor:
    """One predictor, η_i = f(θ, x_i).

    Attributes
    ----------
    derivatives : of f.
    n_params : p.
    by_row : whether x is (d, n), a column for each row, and f acts row by row; otherwise x is the user's own object,
        passed to f whole.
    """

    derivatives: Derivatives
    n_params: int
    by_row: bool
    _last: dict[str, tuple[Any, bytes, np.ndarray]] = field(default_factory=dict, repr=False, compare=False)

    linear: ClassVar[bool] = False

    @property
    def n_predictors(self) -> int:
        return 1

    def to_dict(self) -> dict[str, Any]:
        """Itself as JSON values, for a saved fit; None in place of a user's function."""
        return {"curve": getattr(self.derivatives, "written", None)}

    def blocks(
        self, designs: Sequence[Any], y: np.ndarray, weight: np.ndarray | None, offset: np.ndarray | None
    ) -> list[Block]:
        """Cut the rows into blocks; their design is x in the form that f takes."""
        if self.by_row:
            X = np.ascontiguousarray(designs[0])
            blocks = make_blocks((X,), y, weight, offset)
            return [replace(block, designs=(_columns(block),)) for block in blocks]
        n = len(y)
        size = next((rows for rows in BLOCK_ROWS if n <= rows), n)
        w = np.zeros(size)
        w[:n] = 1.0 if weight is None else weight
        fill = int(np.argmax(w > 0))
        padded = np.full(size, y[fill])
        padded[:n] = y
        return [Block((designs[0],), padded, w, offset, n, 0, fill)]

    def on_device(self, block: Block) -> DevicePredictor | None:
        """The curve's compiled code in traced functions; None where it has none."""
        traced = getattr(self.derivatives, "traced", None)
        if traced is None:
            return None
        from raphson.model.curve.on_device import CurveOnDevice

        code, numbers = traced
        return CurveOnDevice(code, numbers, self.n_params, self.by_row)

    def light(self, rows: int) -> bool:
        """Whether an evaluation at so many rows is a few calls of NumPy, and neither compiled nor the user's code."""
        served = getattr(self.derivatives, "in_numpy", None) if self.by_row else None
        return served is not None and served(rows)

    def unpadded(self, X: Any, y: np.ndarray, weight: np.ndarray | None) -> list[Block] | None:
        """All rows as one block without padding; None where they are not few, or the curve's code is compiled."""
        if not self.light(len(y)):
            return None
        w = np.ones(len(y)) if weight is None else weight
        return [Block((np.ascontiguousarray(X.T),), y, w, None, len(y), 0, 0, unit=weight is None)]

    def count(self, X: Any, theta: np.ndarray) -> int:
        return len(X) if self.by_row else self.derivatives.value(theta, X).size

    def designs(self, X: Any, blocks: Sequence[Block], theta: np.ndarray) -> list[Any]:
        parts = [self.at(block, theta)[1].parts[0] for block in blocks]
        return [parts[0] if len(parts) == 1 else np.concatenate(parts)]

    def eta(self, block: Block, theta: np.ndarray) -> np.ndarray:
        table = self._known(block, theta)
        value = self.derivatives.value(theta, block.designs[0])[None] if table is None else table[:1]
        return self._padded(value, block)

    def at(self, block: Block, theta: np.ndarray) -> tuple[np.ndarray, Jacobian]:
        x = block.designs[0]
        table = self._table(block, theta)
        J = table[1:, : block.rows].T
        jacobian = CurvedJacobian(
            [J], [slice(0, self.n_params)], self.n_params, self.derivatives, theta, x, table.shape[1]
        )
        return self._padded(table[:1], block), jacobian

    def solved(self, block: Block, theta: np.ndarray, root: np.ndarray | None, which: int) -> np.ndarray | None:
        """θ with one conditionally linear parameter at its least squares value, for a block of all rows.

        `root` has the √w, None where all are 1. The result is None without exact derivatives.
        """
        if not self.by_row or not self.derivatives.exact:
            return None
        there, table = self.derivatives.solved(  # type: ignore[attr-defined]
            theta, block.designs[0], block.y, root, which
        )
        self._last["table"] = (block, there.tobytes(), table)
        return there

    def _known(self, block: Block, theta: np.ndarray) -> np.ndarray | None:
        """f and J, (1 + p, size), if they are the last ones computed."""
        where, bits, table = self._last.get("table", (None, b"", None))
        return table if where is block and bits == theta.tobytes() else None

    def _table(self, block: Block, theta: np.ndarray) -> np.ndarray:
        table = self._known(block, theta)
        if table is None:
            table = self.derivatives.tangents(theta, block.designs[0])
            self._last["table"] = (block, theta.tobytes(), table)
        return table

    def _padded(self, values: np.ndarray, block: Block) -> np.ndarray:
        if block.offset is None and values.shape[1] == len(block.y):
            return values  # x is padded with copies of the row that fills the padding
        eta = np.empty((1, len(block.y)))
        eta[:, : values.shape[1]] = values
        return filled(eta, block)


def _columns(block: Block) -> np.ndarray:
    """The block's rows of x as (d, size), padded like its response."""
    X = block.designs[0]
    out = np.empty((X.shape[1], len(block.y)))
    out[:, : block.rows] = X.T
    out[:, block.rows :] = X[block.fill, :, None]
    return out
