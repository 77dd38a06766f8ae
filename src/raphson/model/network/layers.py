"""Layered predictors: η = output ∘ hidden_L ∘ … ∘ hidden_1 of a row's standardised inputs.

A hidden layer takes x (m, d), one row of data a line, to

    μ = a(N(x W + b))          a: the activation; N: batch norm, or nothing
    x⁺ = μ                     without a residual connection
    x⁺ = x + μ                 "additive" (He, Zhang, Ren and Sun 2016, CVPR, equation 1)
    x⁺ = [μ; x − μ]            "stacked": the layer's output on top of its input centred by that output

A stacked layer is twice as wide as its μ. To keep thirty of them from doubling the width thirty times, the next one
passes on the stream c, the sum of x's halves: x⁺ = [μ; c − μ]. As μ + (c − μ) = c, the sum of the halves is the same
after every stacked layer: the stream reaches every layer unchanged, and so does the gradient in reverse.

Batch norm (Ioffe and Szegedy 2015, ICML, algorithm 1) takes z = xW to γ (z − m)/√(v + ε) + β, with the mean m and
the variance v of the batch while a first-order method trains; there rows depend on one another. Everywhere else m
and v are frozen at their running values, rows are independent, and N is affine.

The functions are pure. They take a structure (static, hashable), its parameters (a list of dicts, one for each layer)
and its state (running statistics and the scale of the output), and return arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod, sqrt
from typing import Any, get_args

import numpy as np

from raphson.choices import Activation, Shortcut
from raphson.compat import jax, jnp
from raphson.errors import ModelError, check_choice
from raphson.model.parameters import element_names

ACTIVATIONS, RESIDUALS = get_args(Activation), (*get_args(Shortcut), None)

NORM_EPSILON = 1e-5
"""ε of batch norm, which avoids division by zero for a unit that never varies. This and the next are PyTorch's."""

MOMENTUM = 0.1
"""Weight of the current batch in the running mean and variance."""

Array = Any
Params = list[dict[str, Array]]


def activate(name: str, z: Array) -> Array:
    """The activation of that name, elementwise.

    Examples
    --------
    >>> float(activate("relu", np.float64(-1.0)))
    0.0
    """
    if name == "relu":
        return jnp.maximum(z, 0.0)
    if name == "tanh":
        return jnp.tanh(z)
    if name == "sigmoid":
        return jax.nn.sigmoid(z)
    if name == "softplus":
        return jnp.logaddexp(z, 0.0)
    return z


@dataclass(frozen=True)
class Layer:
    """The structure of a dense layer, without its weights.

    Attributes
    ----------
    inputs : width d of x.
    outputs : width h of μ.
    activation : one of ACTIVATIONS.
    batch_norm : whether N is batch norm; then γ and β replace the bias.
    residual : None, "additive" or "stacked"; needs an incoming stream as wide as μ.
    stacked_input : whether x is [μ; c − μ] of the previous layer.
    dropout : share of the units of μ that a training step drops.
    gain : factor of the initial weights.
    """

    inputs: int
    outputs: int
    activation: str = "identity"
    batch_norm: bool = False
    residual: str | None = None
    stacked_input: bool = False
    dropout: float = 0.0
    gain: float = 1.0

    @property
    def width(self) -> int:
        """Width of x⁺."""
        return 2 * self.outputs if self.residual == "stacked" else self.outputs

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' shapes, in the order in which they lie in θ."""
        rest = ("scale", "shift") if self.batch_norm else ("bias",)
        return {"weight": (self.inputs, self.outputs)} | dict.fromkeys(rest, (self.outputs,))

    @property
    def initial_variance(self) -> float:
        """Variance of the initial weights.

        To preserve the size of activations it is gain² times 2/d for relu and softplus (He, Zhang, Ren and Sun 2015,
        ICCV, equation 10) or 2/(d + h) for others (Glorot and Bengio 2010, AISTATS, equation 12). Batch norm fixes the
        size of activations, and the size of the weights only determines how far a step rotates them (van Laarhoven
        2017, arXiv 1706.05350): with 1/(3d) they rotate faster.
        """
        if self.batch_norm:
            return self.gain**2 / (3.0 * self.inputs)
        one_sided = self.activation in ("relu", "softplus")
        return self.gain**2 * (2.0 / self.inputs if one_sided else 2.0 / (self.inputs + self.outputs))

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random weights; biases and shifts of 0, scales of 1."""
        params = {name: np.zeros(shape) for name, shape in self.shapes.items()}
        params["weight"] = sqrt(self.initial_variance) * rng.standard_normal(self.shapes["weight"])
        if self.batch_norm:
            params["scale"] = np.ones(self.outputs)
        return params

    def running(self, dtype: Any = np.float64) -> dict[str, np.ndarray]:
        """Initial running mean and variance for batch norm; empty without it."""
        if not self.batch_norm:
            return {}
        return {"mean": np.zeros(self.outputs, dtype), "variance": np.ones(self.outputs, dtype)}

    def apply(
        self, params: dict[str, Array], running: dict[str, Array], x: Array, training: bool = False, key: Any = None
    ) -> tuple[Array, dict[str, Array]]:
        """x⁺ (m, width) and the running statistics after this batch.

        Parameters
        ----------
        params, running : of this layer.
        x : (m, inputs).
        training : whether batch norm uses the batch's own mean and variance, and units drop out.
        key : random key of the dropout.
        """
        z = x @ params["weight"]
        if self.batch_norm:
            z, running = self._normalise(params, running, z, training)
        else:
            z = z + params["bias"]
        mu = activate(self.activation, z)
        if training and self.dropout:
            # Remaining units are scaled up, so that prediction needs no factor (Srivastava et al. 2014, section 10).
            stays = jax.random.uniform(key, mu.shape, dtype=mu.dtype) >= self.dropout
            mu = jnp.where(stays, mu / (1.0 - self.dropout), 0.0)
        return self._connect(x, mu), running

    def _normalise(
        self, params: dict[str, Array], running: dict[str, Array], z: Array, training: bool
    ) -> tuple[Array, dict[str, Array]]:
        mean, variance = running["mean"], running["variance"]
        if training:
            mean = z.mean(0)
            centred = z - mean
            variance = (centred * centred).mean(0)
            running = {
                "mean": (1.0 - MOMENTUM) * running["mean"] + MOMENTUM * mean,
                "variance": (1.0 - MOMENTUM) * running["variance"] + MOMENTUM * variance,
            }
        else:
            centred = z - mean
        return centred * (params["scale"] * jax.lax.rsqrt(variance + NORM_EPSILON)) + params["shift"], running

    def _connect(self, x: Array, mu: Array) -> Array:
        if self.residual is None:
            return mu
        h = self.outputs
        stream = x[:, :h] + x[:, h:] if self.stacked_input else x
        if self.residual == "additive":
            return stream + mu
        return jnp.concatenate([mu, stream - mu], axis=1)


@dataclass(frozen=True)
class Network:
    """Hidden layers and an output layer, for the K linear predictors of a family.

    Attributes
    ----------
    layers : hidden ones first; the last is the output: dense, identity.
    n_auxiliary : linear predictors beyond the mean's, each a constant (the log θ of the negative binomial).
    """

    layers: tuple[Layer, ...]
    n_auxiliary: int = 0

    @staticmethod
    def of(
        inputs: int,
        outputs: int,
        hidden: Sequence[int],
        *,
        activation: str = "relu",
        batch_norm: bool = False,
        residual: str | None = None,
        dropout: float = 0.0,
        n_auxiliary: int = 0,
    ) -> Network:
        """A network of the usual form.

        A residual connection needs a stream of the layer's own width: it bypasses each hidden layer that is as wide as
        the one before it (or as the number of inputs).

        Raises
        ------
        ModelError
            If a layer has no units, or the activation or the kind of residual connection is unknown.

        Examples
        --------
        >>> network = Network.of(3, 1, (8, 8), residual="stacked")
        >>> [(layer.inputs, layer.outputs, layer.width) for layer in network.layers]
        [(3, 8, 8), (8, 8, 16), (16, 1, 1)]
        """
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("residual", residual, RESIDUALS)
        layers: list[Layer] = []
        width, stream, stacked = inputs, inputs, False
        around = sum(a == b for a, b in zip((inputs, *hidden), hidden, strict=False))
        for units in hidden:
            if units < 1:
                raise ModelError(f"hidden: expected layers of one unit or more; got {tuple(hidden)}")
            kind = residual if units == stream else None
            # Each additive layer adds its variance to the stream's. Dividing the weights by the root of the number of
            # layers keeps the sum bounded, whatever the depth (Hanin and Rolnick 2018, NeurIPS, theorem 6).
            gain = 1.0 / sqrt(around) if kind == "additive" and not batch_norm else 1.0
            layer = Layer(width, units, activation, batch_norm, kind, stacked and kind is not None, dropout, gain)
            layers.append(layer)
            width, stream, stacked = layer.width, units, kind == "stacked"
        layers.append(Layer(width, outputs))
        return Network(tuple(layers), n_auxiliary)

    @property
    def n_predictors(self) -> int:
        """K, auxiliary ones included."""
        return self.layers[-1].outputs + self.n_auxiliary

    @property
    def batch_norm(self) -> bool:
        return any(layer.batch_norm for layer in self.layers)

    @property
    def labels(self) -> list[str]:
        """Names of the layers: hidden1, hidden2, ..., output."""
        return [*(f"hidden{i}" for i in range(1, len(self.layers))), "output"]

    @cached_property
    def shapes(self) -> list[dict[str, tuple[int, ...]]]:
        """Shapes of the parameters, layer by layer; constants of auxiliary predictors come last."""
        constants = [{"constant": (self.n_auxiliary,)}] if self.n_auxiliary else []
        return [*(layer.shapes for layer in self.layers), *constants]

    @cached_property
    def n_params(self) -> int:
        return sum(prod(shape) for shapes in self.shapes for shape in shapes.values())

    @cached_property
    def slices(self) -> list[slice]:
        """Where each layer's parameters lie in θ."""
        sizes = [sum(prod(shape) for shape in shapes.values()) for shapes in self.shapes]
        return [slice(b - size, b) for b, size in zip(accumulate(sizes), sizes, strict=True)]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name for each element of θ, such as ``hidden1.weight[0,3]``."""
        names: list[str] = []
        for label, shapes in zip([*self.labels, "auxiliary"], self.shapes, strict=False):
            for part, shape in shapes.items():
                names.extend(element_names(f"{label}.{part}", shape))
        return tuple(names)

    @cached_property
    def decays(self) -> np.ndarray:
        """(p,) mask of the weights that weight decay shrinks: not biases, scales, shifts or constants."""
        return self.pack([{k: np.full(s, k == "weight") for k, s in shapes.items()} for shapes in self.shapes]) > 0

    def pack(self, params: Params) -> np.ndarray:
        """θ (p,) of the parameters of the layers."""
        return np.concatenate(
            [
                np.asarray(part[name], dtype=float).ravel()
                for part, shapes in zip(params, self.shapes, strict=True)
                for name in shapes
            ]
        )

    def unpack(self, theta: Array) -> Params:
        """The reverse of :meth:`pack`; traced arrays stay traced."""
        params: Params = []
        at = 0
        for shapes in self.shapes:
            part = {}
            for name, shape in shapes.items():
                part[name] = theta[at : at + prod(shape)].reshape(shape)
                at += prod(shape)
            params.append(part)
        return params

    def initial(self, rng: np.random.Generator) -> Params:
        """Random parameters."""
        constants = [{"constant": np.zeros(self.n_auxiliary)}] if self.n_auxiliary else []
        return [*(layer.initial(rng) for layer in self.layers), *constants]

    def prior_precision(self, length: int, decay: float = 0.0) -> np.ndarray:
        """(p,) precision of the prior that the initial weights are drawn from; 1 for parameters that are not weights.

        Parameters
        ----------
        length : how many of the first elements of θ.
        decay : precision that weight decay gives the weights; 0 for that of the initial weights.
        """
        parts = []
        for layer in self.layers:
            part = {name: np.ones(shape) for name, shape in layer.shapes.items()}
            part["weight"] = part["weight"] * (decay or 1.0 / layer.initial_variance)
            parts.append(part)
        if self.n_auxiliary:
            parts.append({"constant": np.ones(self.n_auxiliary)})
        return self.pack(parts)[:length]

    def state(self, centre: np.ndarray, spread: np.ndarray) -> dict[str, Any]:
        """The state: running statistics, and the scale of the output, η = centre + spread · output.

        Parameters
        ----------
        centre : (K,) η before training, of auxiliary predictors too.
        spread : (K,) by how much a unit of output moves it.
        """
        return {"running": [layer.running() for layer in self.layers], "centre": centre, "spread": spread}

    def eta(
        self, params: Params, state: dict[str, Any], rows: tuple[Array, ...], training: bool = False, key: Any = None
    ) -> tuple[Array, dict[str, Any]]:
        """η (K, m) of the rows, and the state after them.

        Parameters
        ----------
        params : of the layers.
        state : see :meth:`state`.
        rows : one matrix (m, d) of standardised inputs.
        training : whether batch norm uses the batch's own statistics and units drop out.
        key : random key of the dropout.
        """
        (x,) = rows
        running = []
        for i, (layer, run) in enumerate(zip(self.layers, state["running"], strict=True)):
            own = jax.random.fold_in(key, i) if training and layer.dropout else None
            x, run = layer.apply(params[i], run, x, training, own)
            running.append(run)
        out = x.T
        if self.n_auxiliary:
            constant = jnp.broadcast_to(params[-1]["constant"][:, None], (self.n_auxiliary, out.shape[1]))
            out = jnp.concatenate([out, constant])
        eta = state["centre"][:, None] + state["spread"][:, None] * out
        return eta, state | {"running": running}

    def to_dict(self) -> dict[str, Any]:
        """The structure as plain JSON values."""
        from dataclasses import asdict

        return {"layers": [asdict(layer) for layer in self.layers], "n_auxiliary": self.n_auxiliary}

    @staticmethod
    def from_dict(saved: dict[str, Any]) -> Network:
        """The reverse of :meth:`to_dict`.

        Raises
        ------
        ValueError
            If the widths of successive layers do not match.
        """
        layers = tuple(Layer(**fields) for fields in saved["layers"])
        for before, after in pairwise(layers):
            if before.width != after.inputs:
                raise ValueError(f"expected {before.width} inputs after a layer of that width; got {after.inputs}")
        for layer in layers:
            known = layer.activation in ACTIVATIONS and layer.residual in RESIDUALS
            if not known or min(layer.inputs, layer.outputs) < 1:
                raise ValueError(f"expected a layer of a network; got {layer}")
        return Network(layers, int(saved["n_auxiliary"]))
