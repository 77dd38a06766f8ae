"""The reading of a fitted network: intervals for predictions, but no standard errors of the unidentified weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raphson.data import Schema
from raphson.errors import ModelError
from raphson.fit.coefficients import number, or_none
from raphson.fit.file import array, covariance, expect, is_count, is_list, is_number
from raphson.fit.reading import LIKELIHOODS_ONLY, ONE_RESIDUAL_ONLY, VARYING_ONLY, Reading
from raphson.fit.state import FitState
from raphson.fit.uncertainty import INFORMATION
from raphson.inference.laplace import Laplace
from raphson.model import families
from raphson.model.network.layers import Network
from raphson.model.network.model import NetworkModel
from raphson.model.network.predictor import NetworkPredictor, Scale
from raphson.model.objective import Need

if TYPE_CHECKING:
    import pandas as pd

STORED = ("nobs", "dispersion", "deviance", "null_deviance", "distance", "_floor", "llf")
"""What a file stores of a network as a number."""

MOST_WEIGHTS = 600
"""Largest number of weights with which intervals use all weights; with more, they use the output layer's."""

MOST_LAST = 1_500
"""Largest number of weights of the output layer with which there are intervals. Their covariance takes 45 MB as text
in a saved fit."""

UNIDENTIFIED = (
    "the weights of a network are not identified (units can change places or signs without changing any "
    "prediction), so they have no standard errors, p-values or intervals; for intervals of predictions use "
    "fit.predict(new, interval='confidence')"
)


IDENTIFIED_ONLY = dict.fromkeys(
    (
        *("wald_test", "t_test", "score_test", "lr_test", "drop1", "profile", "delta", "vif", "information"),
        *("information_matrix_test", "bootstrap", "robust", "loo", "leverage", "cooks_distance", "dfbetas"),
        "curvature",
    ),
    UNIDENTIFIED,
) | {"update": "not available for networks; call rp.network with the other formula"}


@dataclass(frozen=True, eq=False)
class NetworkReading(Reading):
    """The reading of a trained network.

    Its coefficients are weights, which are not identified: ``bse``, ``tvalues``, ``pvalues``, ``conf_int()`` and
    ``cov_params()`` are NaN.

    The standard errors and intervals of ``predict`` are by the delta method with the generalised Gauss-Newton matrix.
    A prior determines the directions that the data do not: the distribution of the initial weights, or the one that
    weight decay implies. ``interval_kind`` says whether all weights are used or those of the output layer. The theory
    assumes a maximum: the intervals of a network that stopped early do not include the bias of what it has not learnt.
    Without `new`, ``predict`` gives the rows that the network was trained on.

    Attributes
    ----------
    epochs : of a first-order method: epoch, loss, validation, rate, rows, and the norms of the layers' gradients.
    remark : a sentence on how the training ended; empty where the status is enough.
    """

    epochs: Sequence[Mapping[str, Any]] = ()
    remark: str = ""

    identified: ClassVar[bool] = False

    @staticmethod
    def of(state: FitState, epochs: Sequence[Mapping[str, Any]], remark: str) -> NetworkReading:
        """The reading of a newly trained network."""
        predictor = replace(_predictor_of(state), last_layer=len(state.names) > MOST_WEIGHTS)
        return NetworkReading(replace(state, predictor=predictor), epochs, remark)

    @classmethod
    def wrote(cls, body: Mapping[str, Any]) -> bool:
        return "network" in body

    @classmethod
    def loaded(cls, body: Mapping[str, Any], common: Mapping[str, Any]) -> NetworkReading:
        family, schema = families.from_dict(body["family"]), Schema.from_dict(body["schema"])
        network = Network.from_dict(body["network"])
        K, p = network.n_predictors, network.n_params
        expect(
            family.n_predictors == K and network.n_auxiliary == 0, f"network: expected {family.n_predictors} outputs"
        )
        for name in ("effective", *STORED):
            expect(is_number(body[name]), f"{name}: expected a number")
        expect(isinstance(body["_remark"], str), "_remark: expected text")
        expect(isinstance(body["last_layer"], bool), "last_layer: expected true or false")
        reference_df = body["reference_df"]
        expect(reference_df is None or is_number(reference_df), "reference_df: expected a number or none")
        theta = array(body["theta"], (p,), "theta")
        expect(bool(np.isfinite(theta).all()), "theta: expected finite weights")
        V = np.zeros((0, 0))
        if body["covariance"]:
            last = network.layers[-1]
            V = covariance(body["covariance"], (last.inputs + 1) * K if body["last_layer"] else p, "covariance")
        none = np.zeros(p, dtype=bool)
        state = FitState(
            **common,
            names=network.names,
            bias=None,
            family=family,
            auxiliary=(),
            predictor=_layered(body, network, schema),
            schema=schema,
            theta=theta,
            free=~none,
            aliased=none,
            infinite=np.zeros(p),
            undetermined=none,
            direction=None,
            follows=None,
            saved={name: body[name] for name in STORED if name not in ("distance", "_floor")}
            | {"reduced_cov": V, "effective": float(body["effective"]), "reference_df": reference_df}
            | {"has_intercept": body["has_intercept"], "informations": dict.fromkeys(INFORMATION)}
            | ({"rss": number(body["rss"], "rss")} if body.get("rss") is not None else {}),  # older files have none
        )
        return NetworkReading(state, [_epoch(row, len(network.shapes)) for row in body["history"]], body["_remark"])

    def stored(self) -> dict[str, Any]:
        try:
            V, effective = self.reduced_cov, self.effective
        except ModelError:
            V, effective = np.zeros((0, 0)), math.nan  # too many weights for intervals
        return {name: getattr(self, name) for name in STORED if name not in ("distance", "_floor")} | {
            "_remark": self.remark,
            "rss": or_none(lambda: self.rss) if "rss" not in self.refused else None,
            "theta": self.state.theta[: self.n].tolist(),
            "covariance": V.tolist(),
            "effective": effective,
            "reference_df": self.reference_df,
            "history": [dict(row) for row in self.epochs],
            **self.predictor.to_dict(),
        }

    @property
    def refused(self) -> Mapping[str, str]:
        several = ONE_RESIDUAL_ONLY if self.family.levels is not None else {}
        return IDENTIFIED_ONLY | LIKELIHOODS_ONLY | VARYING_ONLY | several

    @property
    def predictor(self) -> NetworkPredictor:
        """The layers."""
        return _predictor_of(self.state)

    # -- how it went -----------------------------------------------------------------------------------------------

    @cached_property
    def message(self) -> str:
        """How the training ended, and what to use instead of standard errors."""
        return f"{self.remark or self.state.status.advice}; {UNIDENTIFIED}"

    @cached_property
    def remarks(self) -> list[str]:
        """Empty: the message says what to use instead of standard errors."""
        return []

    @cached_property
    def n_iter(self) -> int:
        """Epochs of a first-order method, steps of another."""
        return len(self.epochs) or max(len(self.state.steps) - 1, 0)

    def history(self) -> pd.DataFrame:
        """The epochs: epoch, loss, validation, rate, rows (row gradients used so far).

        ``loss`` is −Σ w log f(y | η)/(φ₀ Σ w) over the epoch's steps, with φ₀ the dispersion of the constant model;
        ``validation`` is the same over the validation rows. Empty for a second-order method; see ``path`` instead.
        """
        import pandas as pd

        names = ["epoch", "loss", "validation", "rate", "rows"]
        return pd.DataFrame([{name: row[name] for name in names} for row in self.epochs], columns=names)

    def gradient_profile(self) -> Any:
        """The norm of the gradient in each layer during the training.

        Returns
        -------
        GradientProfile
            ``table``, a frame with a row for each epoch and a column for each layer (the root mean square, over the
            epoch's steps, of the gradient's norm), ``ratio`` (first layer to last, by epoch) and ``plot()``.

        Raises
        ------
        ModelError
            If the network was trained by a second-order method, which records no gradients by layer.
        """
        from raphson.report.gradients import GradientProfile

        if not self.epochs:
            raise ModelError(
                "gradient_profile: expected a network trained by a first-order method; got "
                f"method={self.state.method!r}, which records no gradients by layer. Train with method='adam'"
            )
        return GradientProfile.of([row["norms"] for row in self.epochs], self.predictor.network.labels)

    # -- weights, and how well the data determine them ---------------------------------------------------------------

    @cached_property
    def cov(self) -> np.ndarray:
        """(n, n) NaN: the weights are not identified."""
        return np.broadcast_to(np.nan, (self.n, self.n))

    @cached_property
    def certifying(self) -> np.ndarray:
        """(n, n) NaN, like :attr:`cov`."""
        return self.cov

    @cached_property
    def condition_number(self) -> float:
        """NaN: the Jacobian of all weights is never formed."""
        return np.nan

    @cached_property
    def reduced_cov(self) -> np.ndarray:
        """Covariance of the weights that the intervals use."""
        return self._laplace.covariance(self.dispersion)

    def interval_kind(self) -> str:
        """The weights that the intervals use: "all weights", or "last layer" in large networks."""
        return "last layer" if self.predictor.last_layer else "all weights"

    @cached_property
    def _laplace(self) -> Laplace:
        asked, fitted, theta = self.at("an interval").asked, self._fitted, self.state.theta[: self.n]
        assert isinstance(asked, NetworkModel)
        prior = fitted.network.prior_precision(theta.size, asked.training_decay)
        if self.interval_kind() == "all weights":
            part = fitted.unpenalised.evaluate(theta, Need(kinds=("expected",))).information["expected"]
            return Laplace(part.matrix, prior)
        last = fitted.network.layers[-1]
        q = (last.inputs + 1) * last.outputs
        if q > MOST_LAST:
            raise ModelError(
                f"interval: expected at most {MOST_LAST} weights in the output layer; got {q}. Predict without "
                "intervals, or make the last hidden layer narrower"
            )
        information = fitted.last_layer_information(theta)
        spread = np.repeat(self.predictor.state["spread"], last.inputs + 1)
        weights = np.append(np.full(last.inputs, prior[-last.outputs - 1]), 1.0)
        return Laplace(information * spread * spread[:, None], np.tile(weights, last.outputs))

    @cached_property
    def effective(self) -> float:
        """Effective number of weights that the data determine, of those that the intervals use."""
        phi = 1.0 if self.family.dispersion_fixed else self.dispersion
        return self._laplace.determined(phi) if phi > 0 else float(self.n)

    @cached_property
    def df_model(self) -> float:
        """Effective number of weights, γ of MacKay (1992), without the intercepts."""
        return self.effective - self.family.n_predictors

    @cached_property
    def df_resid(self) -> float:
        """nobs − γ."""
        return self.nobs - self.effective

    @cached_property
    def dispersion(self) -> float:
        """φ̂: Pearson's statistic of the validation rows over their number; without such rows, over nobs − γ."""
        if self.known_dispersion is not None:
            return self.known_dispersion
        held = self._fitted.held_out
        if held is not None:
            theta = self.state.theta[: self.n]
            return held.summed(lambda one: one.pearson(one.rows(theta)), "pearson", theta) / held.nobs
        return self._laplace.dispersion(self._fitted.pearson(self.rows), self.nobs)

    @cached_property
    def reference_df(self) -> float | None:
        """Degrees of freedom of φ̂: the number of validation rows, or nobs − γ."""
        if not self.use_t:
            return None
        held = self._fitted.held_out
        return self.df_resid if held is None else float(held.nobs)

    @property
    def _fitted(self) -> NetworkModel:
        fitted = self.at("an interval").fitted
        assert isinstance(fitted, NetworkModel)
        return fitted

    @property
    def measures(self) -> tuple[str, ...]:
        return "deviance", "null_deviance"

    def summary(self, fit: Any, level: float, exponentiate: bool) -> Any:
        """The layers and the training."""
        if exponentiate:
            from raphson.report.ratios import ratio_name

            ratio_name(fit)
        from raphson.report.network_summary import network_summary

        return network_summary(fit, self.predictor.network)


def _predictor_of(state: FitState) -> NetworkPredictor:
    assert isinstance(state.predictor, NetworkPredictor)
    return state.predictor


def _layered(body: Mapping[str, Any], network: Network, schema: Schema) -> NetworkPredictor:
    """The layers, with their running statistics and the scale of the inputs."""
    K, running = network.n_predictors, []
    expect(len(body["running"]) == len(network.layers), "running: expected one for each layer")
    for layer, one in zip(network.layers, body["running"], strict=True):
        expect(set(one) == set(layer.running()), "running: other statistics")
        running.append({name: array(values, (layer.outputs,), name) for name, values in one.items()})
    scale = body["scale"]
    columns = scale["columns"]
    expect(is_list(columns, is_count), "scale: expected numbers of columns")
    expect(all(column < len(schema.names) for column in columns), "scale: a column that is not there")
    d = len(columns)
    expect(network.layers[0].inputs == d, f"network: expected {d} inputs")
    centre, spread = array(scale["centre"], (d,), "scale"), array(scale["spread"], (d,), "scale")
    expect(bool((spread > 0).all()), "scale: expected positive spreads")
    state = network.state(array(body["centre"], (K,), "centre"), array(body["spread"], (K,), "spread"))
    return NetworkPredictor(
        network, state | {"running": running}, Scale(tuple(columns), centre, spread), body["last_layer"]
    )


def _epoch(row: Any, n_layers: int) -> dict[str, Any]:
    expect(set(row) == {"epoch", "loss", "validation", "rate", "rows", "norms"}, "history: other columns")
    array(row["norms"], (n_layers,), "norms")
    expect(all(is_number(row[name]) for name in row if name != "norms"), "history: expected numbers")
    return row
