"""A network as a predictor: η and its derivatives by all weights, with batch norm and dropout frozen.

J_i = ∂η_i/∂θ is dense and as wide as θ. Where only products with J are needed, one forward or one reverse sweep gives
them without forming J (Pearlmutter 1994, Neural Computation 6, 147, for the second-order term).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.data.blocks import BLOCK_ROWS, Block, make_blocks
from raphson.data.products import dense
from raphson.errors import ModelError
from raphson.model.network.layers import Network
from raphson.model.network.moments import Moments
from raphson.model.predictor import Jacobian, filled
from raphson.numeric import anchor, x64

if TYPE_CHECKING:
    from raphson.model.device_designs import DevicePredictor

MOST_BENT = 400
"""Up to this many weights second derivatives are formed as a matrix; beyond, the observed information is JᵀWJ alone.
They take as many passes over the data as there are weights."""

JACOBIAN_BYTES = 2**26
"""Largest Jacobian of a block, which limits its rows, unless they would become too few."""

FARTHEST = 5.0
"""Largest distance of a training row from the mean of an input, in units of its spread. Of a million normal values the
farthest is at 4.9, so that these keep their standard deviation."""


@dataclass(frozen=True)
class Scale:
    """How inputs are standardised.

    Attributes
    ----------
    columns : which columns of the design are inputs; not the intercept, as each layer has its own.
    centre : (d,) mean of each over the training rows.
    spread : (d,) divisor of a centred column: its standard deviation, or more where its farthest row would be beyond
        FARTHEST. The indicator of a level that occurs in 1 row of 1,000, for example, has a standard deviation of 0.03,
        and that row would be at 32. A constant column is only centred.
    """

    columns: tuple[int, ...]
    centre: np.ndarray
    spread: np.ndarray

    @staticmethod
    def of(X: np.ndarray, names: Sequence[str], weight: np.ndarray | None) -> Scale:
        """The scale of a design's columns over weighted rows."""
        columns = Scale.inputs_among(names)
        return Scale.by(columns, Moments.of(X[:, columns], weight))

    @staticmethod
    def inputs_among(names: Sequence[str]) -> tuple[int, ...]:
        """The columns of a design that are inputs.

        Raises
        ------
        ModelError
            If there are none.
        """
        columns = tuple(i for i, name in enumerate(names) if name not in ("Intercept", "(Intercept)"))
        if not columns:
            raise ModelError("formula: expected at least one input besides the intercept; got none. Name some columns")
        return columns

    @staticmethod
    def by(columns: tuple[int, ...], found: Moments) -> Scale:
        """The scale of inputs with these moments."""
        spread = np.maximum(np.sqrt(found.square), found.reach / FARTHEST)
        return Scale(columns, found.centre, np.where(spread > 1e-12 * found.size, spread, 1.0))

    def inputs(self, X: Any) -> np.ndarray:
        """Standardised inputs (n, d) of a design (n, p)."""
        out = np.asarray(dense(X)[:, self.columns], dtype=float)  # a copy
        out -= self.centre
        out /= self.spread
        return out


@dataclass(frozen=True)
class NetworkDerivatives:
    """Compiled functions of (θ, state, Z, …, anchor)."""

    eta: Any
    jacobian: Any
    forward: Any
    reverse: Any
    second_order_product: Any
    second_order: Any
    features: Any


@cache
def derivatives_of(network: Network) -> NetworkDerivatives:
    """Every derivative of one structure; each takes (θ, state, Z, ..., anchor)."""

    def eta(theta: Any, state: Any, Z: Any) -> Any:
        return network.eta(network.unpack(theta), state, (Z,))[0]

    def jacobian(theta: Any, state: Any, Z: Any) -> Any:
        one = jax.jacrev(lambda t, z: eta(t, state, z[None])[:, 0])
        return jnp.moveaxis(jax.vmap(one, (None, 0))(theta, Z), 1, 0)

    def forward(theta: Any, state: Any, Z: Any, v: Any) -> Any:
        return jax.jvp(lambda t: eta(t, state, Z), (theta,), (v,))[1]

    def reverse(theta: Any, state: Any, Z: Any, u: Any) -> Any:
        return jax.vjp(lambda t: eta(t, state, Z), theta)[1](u)[0]

    def second_order_product(theta: Any, state: Any, Z: Any, u: Any, v: Any) -> Any:
        return -jax.jvp(lambda t: reverse(t, state, Z, u), (theta,), (v,))[1]

    def second_order(theta: Any, state: Any, Z: Any, u: Any) -> Any:
        columns = jnp.eye(network.n_params)
        return jax.lax.map(lambda v: second_order_product(theta, state, Z, u, v), columns, batch_size=16)

    def features(theta: Any, state: Any, Z: Any) -> Any:
        params = network.unpack(theta)
        for layer, own, running in zip(network.layers[:-1], params, state["running"], strict=False):
            Z, _ = layer.apply(own, running, Z)
        return Z

    def jitted(function: Any) -> Any:
        # The anchor, the last argument, determines the device.
        return compiled(lambda *arguments: function(*arguments[:-1]))

    return NetworkDerivatives(
        *map(jitted, (eta, jacobian, forward, reverse, second_order_product, second_order, features))
    )


@dataclass(frozen=True, eq=False)
class NetworkPredictor:
    """η of a network whose state is fixed.

    Attributes
    ----------
    network : the structure.
    state : running statistics and scale of the output; see :meth:`raphson.model.network.layers.Network.state`.
    scale : of the inputs.
    last_layer : whether :meth:`designs` are the derivatives by the output layer's weights alone.

    The single design of a block holds the standardised inputs (rows, d).
    """

    network: Network
    state: dict[str, Any]
    scale: Scale
    last_layer: bool = False

    linear: ClassVar[bool] = False

    @property
    def n_params(self) -> int:
        return self.network.n_params

    @property
    def n_predictors(self) -> int:
        return self.network.n_predictors

    def blocks(
        self, designs: Sequence[Any], y: np.ndarray, weight: np.ndarray | None, offset: np.ndarray | None
    ) -> list[Block]:
        """Standardise the inputs of the single design, and cut the rows into blocks."""
        return self.blocks_of(self.scale.inputs(designs[0]), y, weight, offset)

    def blocks_of(
        self, inputs: np.ndarray, y: np.ndarray, weight: np.ndarray | None, offset: np.ndarray | None
    ) -> list[Block]:
        """Cut rows with standardised inputs (n, d) into blocks, whose Jacobians are not too large."""
        row = 8 * self.n_params * self.n_predictors
        size = max([rows for rows in BLOCK_ROWS if rows * row <= JACOBIAN_BYTES], default=BLOCK_ROWS[0])
        return make_blocks((inputs,), y, weight, offset, most_rows=size)

    def on_device(self, block: Block) -> DevicePredictor:
        """The network's compiled derivatives in traced functions."""
        from raphson.model.network.on_device import NetworkOnDevice

        curved = self.n_params <= MOST_BENT
        return NetworkOnDevice(self.network, derivatives_of(self.network), curved, self.state)

    def to_dict(self) -> dict[str, Any]:
        """Itself as plain JSON values: the layers, their running statistics, and the scales."""
        scale = self.scale
        return {
            "network": self.network.to_dict(),
            "running": [{name: values.tolist() for name, values in one.items()} for one in self.state["running"]],
            "centre": np.asarray(self.state["centre"]).tolist(),
            "spread": np.asarray(self.state["spread"]).tolist(),
            "scale": {"columns": list(scale.columns), "centre": scale.centre.tolist(), "spread": scale.spread.tolist()},
            "last_layer": self.last_layer,
        }

    def count(self, X: Any, theta: np.ndarray) -> int:
        """Rows of X."""
        return int(X.shape[0])

    def designs(self, X: Any, blocks: Sequence[Block], theta: np.ndarray) -> list[Any]:
        """K matrices with a row for each row of X, computed when their rows are read."""
        rows = _Derivatives(self, theta, X)
        return [DerivativeColumns(rows, k) for k in range(self.n_predictors)]

    def eta(self, block: Block, theta: np.ndarray) -> np.ndarray:
        """(K, size) predictors, offset included."""
        return filled(np.array(self._call("eta", theta, inputs(block))), block)

    def at(self, block: Block, theta: np.ndarray) -> tuple[np.ndarray, NetworkJacobian]:
        """η and J."""
        Z = inputs(block)
        eta = filled(np.array(self._call("eta", theta, Z)), block)
        return eta, NetworkJacobian(self, theta, Z, block.rows)

    def features(self, block: Block, theta: np.ndarray) -> np.ndarray:
        """(rows, h) inputs of the output layer."""
        return self._call("features", theta, inputs(block))[: block.rows]

    def _call(self, what: str, theta: np.ndarray, Z: np.ndarray, *arguments: np.ndarray) -> np.ndarray:
        with x64():
            function = getattr(derivatives_of(self.network), what)
            return np.asarray(function(theta, self.state, Z, *arguments, anchor()))


class _Derivatives:
    """J of any rows; the last ones are cached, as each of K predictors reads the same."""

    def __init__(self, predictor: NetworkPredictor, theta: np.ndarray, X: Any) -> None:
        self.predictor, self.theta, self.X = predictor, theta, X
        last = predictor.network.layers[-1]
        self.width = last.inputs + 1 if predictor.last_layer else predictor.n_params
        self.rows: Any = None
        self.parts: list[np.ndarray] = []

    def of(self, rows: Any) -> list[np.ndarray]:
        if self.rows is None or rows != self.rows:
            X = self.X[rows]
            predictor = self.predictor
            blocks = predictor.blocks((X,), np.ones(X.shape[0]), None, None)
            if predictor.last_layer:
                features = with_constant(np.concatenate([predictor.features(block, self.theta) for block in blocks]))
                self.parts = [spread * features for spread in predictor.state["spread"]]
            else:
                parts = [predictor.at(block, self.theta)[1].parts for block in blocks]
                self.parts = [np.concatenate(one) for one in zip(*parts, strict=True)]
            self.rows = rows
        return self.parts


class DerivativeColumns:
    """∂η_k/∂θ of many rows, a matrix that is formed a few rows at a time."""

    def __init__(self, rows: _Derivatives, k: int) -> None:
        self._rows, self._k = rows, k
        self.shape = (rows.X.shape[0], rows.width)

    def __getitem__(self, rows: slice) -> _Formed:
        return _Formed(self._rows.of(rows)[self._k])


@dataclass(frozen=True)
class _Formed:
    values: np.ndarray

    def toarray(self) -> np.ndarray:
        return self.values


def with_constant(features: np.ndarray) -> np.ndarray:
    """The features with a column of ones appended."""
    return np.column_stack([features, np.ones(len(features))])


def inputs(block: Block) -> np.ndarray:
    """(size, d) inputs of a block, padded with zeros; results of the padding are cut off or have weight 0."""
    (Z,) = block.designs
    if len(Z) == len(block.y):
        return Z
    out = np.zeros((len(block.y), Z.shape[1]))
    out[: len(Z)] = Z
    return out


class NetworkJacobian(Jacobian):
    """J at θ of a block's rows, formed when a method needs its entries.

    Parameters
    ----------
    predictor : the network and its state.
    theta : (p,).
    Z : (size, d) inputs, padded.
    rows : how many are real.
    """

    _predictor: NetworkPredictor
    _theta: np.ndarray
    _Z: np.ndarray
    _rows: int

    def __init__(self, predictor: NetworkPredictor, theta: np.ndarray, Z: np.ndarray, rows: int) -> None:
        whole = slice(0, predictor.n_params)
        object.__setattr__(self, "slices", [whole] * predictor.n_predictors)
        object.__setattr__(self, "n_params", predictor.n_params)
        self.__dict__.update(_predictor=predictor, _theta=theta, _Z=Z, _rows=rows)

    @cached_property
    def parts(self) -> Sequence[np.ndarray]:  # type: ignore[override]
        """K matrices (rows, p)."""
        return list(self._call("jacobian")[:, : self._rows])

    def _call(self, what: str, *arguments: np.ndarray) -> np.ndarray:
        return self._predictor._call(what, self._theta, self._Z, *arguments)

    def _padded(self, u: np.ndarray) -> np.ndarray:
        out = np.zeros((len(u), len(self._Z)))
        out[:, : self._rows] = u
        return out

    def product(self, v: np.ndarray) -> np.ndarray:
        """J v, (K, rows), by a forward sweep."""
        return self._call("forward", v)[:, : self._rows]

    def transpose_product(self, u: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ u_i, (p,), by a reverse sweep: backpropagation."""
        return self._call("reverse", self._padded(u))

    def second_order(self, u: np.ndarray) -> np.ndarray | None:
        """−Σ_i Σ_k u_ik ∂²η_ik/∂θ², (p, p); None where θ is too long for it."""
        if self.n_params > MOST_BENT:
            return None
        second_order = self._call("second_order", self._padded(u))
        return 0.5 * (second_order + second_order.T)

    def second_order_product(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The second-order term times v, by forward over reverse mode."""
        return self._call("second_order_product", self._padded(u), v)
