"""A network with its data: the scale of inputs and output, the validation rows, and what the Fit reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data import ModelData
from raphson.data.blocks import Block, make_blocks
from raphson.data.products import dense
from raphson.errors import DataError, ModelError
from raphson.execute import Executor
from raphson.model.base import Model, check_weights_kind
from raphson.model.families import resolve
from raphson.model.families.base import Family
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.network.layers import Network
from raphson.model.network.moments import Moments
from raphson.model.network.output_scale import output_scale
from raphson.model.network.predictor import NetworkPredictor, Scale, with_constant
from raphson.model.objective import Evaluation, Need
from raphson.model.problem import Layered, RowsInMemory, RowsStreamed
from raphson.model.rows import block_rows
from raphson.numeric import x64


@dataclass(frozen=True)
class NetworkModel(Model):
    """Family, layers and response.

    Attributes
    ----------
    network : the structure.
    scale : of the inputs.
    frozen : the state that inference and second-order methods keep fixed; see :meth:`Network.state`.
    divisor : φ₀, the dispersion of a model with a constant only; 1 where the family fixes it.
    held_out : the model of the validation rows, which are not fitted, or None.
    weight_decay : λ of the loss's ½ λ |W|², over n.
    """

    family: Family
    network: Network = None  # type: ignore[assignment]
    scale: Scale = None  # type: ignore[assignment]
    frozen: dict[str, Any] = field(default_factory=dict)
    divisor: float = 1.0
    held_out: NetworkModel | None = None
    weight_decay: float = 0.0

    @staticmethod
    def of(
        data: ModelData,
        family: Any,
        weights_kind: str,
        executor: Executor,
        structure: dict[str, Any],
        held_out: np.ndarray | None,
    ) -> NetworkModel:
        """Check a response against a family and build the model.

        Parameters
        ----------
        data, family, weights_kind, executor : as for a generalised linear model.
        structure : keywords of :meth:`Network.of` other than inputs and outputs.
        held_out : (m,) numbers of the rows to validate with, or None.

        Raises
        ------
        DataError
            If the response is outside the family's support.
        ModelError
            If the family or an option is unknown.
        """
        check_weights_kind(weights_kind)
        observations = resolve(family).prepare(data.response, data.trials)
        known = trainable(observations.family, isinstance(family, Family))
        known.check_units(data.response.name, float(np.abs(observations.y).max(initial=0.0)))
        weight = observations.weight(data.weights)
        n = len(observations.y)
        fitted = np.ones(n, dtype=bool)
        if held_out is not None:
            fitted[held_out] = False
        w = np.ones(n) if weight is None else weight
        if not (w[fitted] > 0).any():
            raise nothing_to_train_on()
        scale = Scale.of(dense(data.X)[fitted], data.names, None if weight is None else w[fitted])
        network = network_of(scale.columns, known, structure)
        centre, spread, divisor = output_scale(known, observations.y[fitted], w[fitted])
        model = NetworkModel(
            known,
            data,
            observations.y,
            weight,
            observations.size,
            weights_kind,
            None,
            executor,
            network=network,
            scale=scale,
            frozen=network.state(centre, spread),
            divisor=divisor,
        )
        if held_out is None or not len(held_out):
            return model
        return replace(model.taken(np.flatnonzero(fitted)), held_out=model.taken(held_out))

    # -- structure ---------------------------------------------------------------------------------------------

    @cached_property
    def predictor(self) -> NetworkPredictor:
        return NetworkPredictor(self.network, self.frozen, self.scale)

    @property
    def names(self) -> tuple[str, ...]:
        return self.network.names[: self.n_coefficients]

    @cached_property
    def inputs(self) -> np.ndarray:
        """(n, d) standardised."""
        return self.scale.inputs(self.data.X)

    @cached_property
    def offset(self) -> np.ndarray | None:
        """(K, n) added to η, or None."""
        if self.data.offset is None:
            return None
        offset = np.zeros((self.network.n_predictors, len(self.y)))
        offset[: self.network.n_predictors - self.network.n_auxiliary] += self.data.offset
        return offset

    @cached_property
    def blocks(self) -> list[Block]:
        return self.predictor.blocks_of(self.inputs, self.y, self.weight, self.offset)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def total_weight(self) -> float:
        """Sum of the weights, trials included."""
        return float(self.row_weight.sum())

    def summed(self, function: Callable[[NetworkModel], Any], *about: Any) -> Any:
        """Sum of a function over the parts of the data: in memory, there is one."""
        return function(self)

    def designs(self, theta: np.ndarray) -> list[Any]:
        """K matrices (n, p): the derivative of each predictor by all weights."""
        return self.predictor.designs(self.data.X, self.blocks, theta)

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at random weights of seed 0; functions of the public interface pass their own."""
        return self.objective.evaluate(self.initial(np.random.default_rng(0)), need)

    def initial(self, rng: np.random.Generator) -> np.ndarray:
        """(p,) random weights; those of an input that never varies are 0, as they cannot be trained."""
        params = self.network.initial(rng)
        params[0]["weight"][~self.varying] = 0.0
        return self.network.pack(params)

    @property
    def varying(self) -> np.ndarray:
        """(d,) mask of the inputs that vary."""
        return np.asarray(self.inputs.any(axis=0))

    def null_model(self, family: Any) -> GeneralisedLinearModel:
        """The model of a constant mean and the offset."""
        data = replace(self.data, X=np.ones((len(self.y), 1)), names=("Intercept",))
        return GeneralisedLinearModel(
            family, data, self.y, self.weight, self.size, self.weights_kind, None, self.executor
        )

    def subset(self, rows: slice | np.ndarray) -> NetworkModel:
        return self.taken(np.arange(len(self.y))[rows])

    def taken(self, rows: np.ndarray | slice) -> NetworkModel:
        """The same model on the rows of these numbers."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        data = self.data
        data = replace(
            data,
            X=dense(data.X)[rows],
            response=replace(data.response, values=data.response.values[rows]),
            offset=cut(data.offset),
            weights=cut(data.weights),
            trials=cut(data.trials),
            groups=cut(data.groups),
            index=rows if data.index is None else data.index[rows],
        )
        return replace(self, data=data, y=self.y[rows], weight=cut(self.weight), size=cut(self.size), held_out=None)

    def with_nuisance_fixed(self, theta: np.ndarray) -> NetworkModel:
        """The model with the family's auxiliary parameters fixed at their estimates and removed from θ."""
        if not self.network.n_auxiliary:
            return self
        main = self.network.n_predictors - self.network.n_auxiliary
        constants = theta[-self.network.n_auxiliary :]
        eta = self.frozen["centre"][main:] + self.frozen["spread"][main:] * constants
        frozen = self.frozen | {"centre": self.frozen["centre"][:main], "spread": self.frozen["spread"][:main]}
        held_out = None if self.held_out is None else self.held_out.with_nuisance_fixed(theta)
        return replace(
            self,
            family=self.family.with_nuisance_fixed(eta),
            network=replace(self.network, n_auxiliary=0),
            frozen=frozen,
            penalty=None if self.penalty is None else self.penalty[: self.n_coefficients, : self.n_coefficients],
            held_out=held_out,
        )

    @property
    def layered(self) -> Layered | None:
        # Batch norm's statistics change with the weights: a path of weights alone does not determine predictions.
        if any(layer.batch_norm for layer in self.network.layers):
            return None
        network = self.network
        return Layered(
            network,
            self.frozen,
            self.trained_rows,
            self.divisor,
            self.total_weight,
            self.weight_decay,
            network.pack,
            network.unpack,
        )

    @property
    def trained_rows(self) -> RowsInMemory | RowsStreamed:
        """The rows that batches are taken from."""
        return RowsInMemory((self.inputs,), self.y, self.weight, self.offset)

    # -- training ----------------------------------------------------------------------------------------------

    def with_state(self, state: dict[str, Any]) -> NetworkModel:
        """The model at other running statistics."""
        held_out = None if self.held_out is None else self.held_out.with_state(state)
        return replace(self, frozen=state, held_out=held_out)

    def decaying(self, weight_decay: float) -> NetworkModel:
        """The model with weight decay λ."""
        return replace(self, weight_decay=weight_decay)

    def loss(self, theta: np.ndarray, state: dict[str, Any] | None = None) -> float:
        """−Σ w log f(y | η)/(φ₀ Σ w), frozen, at this state or the model's own."""
        state = self.frozen if state is None else state
        total = self.summed(lambda held: held.log_densities(theta, state), "loss", theta, state)
        return -total / (self.divisor * self.total_weight)

    def log_densities(self, theta: np.ndarray, state: dict[str, Any]) -> float:
        """Σ w log f(y | η) of these rows at unit dispersion."""
        predictor = replace(self.predictor, state=state)
        return sum(block_rows(self.family, block, predictor.eta(block, theta)).total for block in self.wide)

    @cached_property
    def wide(self) -> list[Block]:
        """Blocks for computations that need no Jacobian."""
        return make_blocks((self.inputs,), self.y, self.weight, self.offset)

    @property
    def training_decay(self) -> float:
        """The prior precision nλ that weight decay implies: the loss with ½ λ |W|² is −1/n of that log posterior."""
        return self.weight_decay * self.total_weight

    def penalised(self) -> NetworkModel:
        """The model with weight decay as the ridge P of ℓ, ½ θᵀPθ = n φ₀ · ½ λ |W|²."""
        if not self.weight_decay:
            return self
        return replace(self, penalty=np.diag(self.training_decay * self.divisor * self.network.decays))

    @cached_property
    def objective(self) -> LogLikelihood:
        """The log-likelihood less weight decay, with the prior of the initial weights for unidentified directions."""
        return replace(self.likelihood, prior=self.network.prior_precision(self.n_coefficients))

    @cached_property
    def unpenalised(self) -> LogLikelihood:
        """The objective without weight decay."""
        return replace(self.objective, penalty=None)

    def population_state(self, theta: np.ndarray) -> dict[str, Any]:
        """The state with each layer's mean and variance over all rows, which batch norm uses if no first-order method
        has run."""
        running: list[dict[str, Any]] = []
        for number, (layer, before) in enumerate(zip(self.network.layers, self.frozen["running"], strict=True)):
            if layer.batch_norm:
                so_far = list(running)
                found = self.summed(lambda held: held.unit_moments(theta, so_far), "batch norm", number, theta)  # noqa: B023
                before = {"mean": found.centre, "variance": found.square}
            running.append(before)
        return self.frozen | {"running": running}

    def unit_moments(self, theta: np.ndarray, running: list[dict[str, Any]]) -> Moments:
        """Moments of what the units of a layer add up, behind layers with these running statistics."""
        params, x = self.network.unpack(theta), self.inputs
        with x64():
            for layer, own, before in zip(self.network.layers, params, running, strict=False):
                x = np.asarray(layer.apply(own, before, x)[0])
        return Moments.of(x @ params[len(running)]["weight"], self.row_weight)

    # -- uncertainty of the predictions --------------------------------------------------------------------------

    def last_layer(self, theta: np.ndarray) -> GeneralisedLinearModel:
        """The linear model of the output layer's weights, with all others fixed; its design is that layer's inputs."""
        features = np.concatenate([self.predictor.features(block, theta) for block in self.wide])
        data = replace(self.data, X=with_constant(features), names=tuple(f"h{i}" for i in range(features.shape[1] + 1)))
        return GeneralisedLinearModel(
            self.family, data, self.y, self.weight, self.size, self.weights_kind, None, self.executor
        )

    def last_layer_information(self, theta: np.ndarray) -> np.ndarray:
        """The expected information of the output layer's weights, at the η of all weights: η is linear in them."""

        def one(held: NetworkModel) -> np.ndarray:
            eta = np.concatenate([held.predictor.eta(block, theta)[:, : block.rows] for block in held.wide], axis=1)
            likelihood = held.last_layer(theta).likelihood
            return likelihood.linearised(eta, Need(kinds=("expected",))).information["expected"].matrix

        return self.summed(one, "last layer", theta)


def network_of(columns: tuple[int, ...], family: Family, structure: dict[str, Any]) -> Network:
    """The layers for inputs and a family, whose auxiliary predictors are constants."""
    constants = len(family.auxiliary)
    return Network.of(len(columns), family.n_predictors - constants, n_auxiliary=constants, **structure)


def nothing_to_train_on() -> DataError:
    """The error where no row is left."""
    return DataError("data: expected some rows to train on; validation= takes all of them. Lower validation=")


def trainable(family: Family, asked_for: bool) -> Family:
    """As :func:`defined_everywhere`; families without a density are refused."""
    known = defined_everywhere(family, asked_for)
    if known.quasi:
        raise ModelError(
            f"family: expected one with a log density to train on; {known.name} has none. Use {known.name[5:]!r}"
        )
    return known


def defined_everywhere(family: Family, asked_for: bool) -> Family:
    """The family with a link that gives every η a mean, since the output of a network may be any number.

    Parameters
    ----------
    family : as for a linear model.
    asked_for : whether the user chose its link. A default link that is unsuitable (the inverse) becomes the log link.

    Raises
    ------
    ModelError
        If the user chose an unsuitable link.

    Examples
    --------
    >>> from raphson.model.families import Gamma
    >>> defined_everywhere(Gamma(), asked_for=False)
    Gamma(link=Log())
    """
    with x64():
        inside = np.asarray(family.inside(np.tile([-3.0, 3.0], (family.n_predictors, 1))))
    if inside.all():
        return family
    if asked_for:
        raise ModelError(
            f"family: expected a link with a mean for every output of a network, positive or negative; the "
            f"{family.link.name} link of {family.name} has none for one sign. Use {type(family).__name__}(link='log')"
        )
    return replace(family, link="log")  # type: ignore[arg-type]
