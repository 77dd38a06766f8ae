"""The Fit of a network: predictions with intervals, and no standard errors for weights that are not identified."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ModelError
from raphson.fit.fit import Fit
from raphson.inference import intervals
from raphson.inference.laplace import Laplace
from raphson.model.objective import Need

if TYPE_CHECKING:
    import pandas as pd

MOST_WEIGHTS = 600
"""Weights up to which intervals come from all of them; beyond, from those of the output layer."""

MOST_LAST = 1_500
"""Weights of the output layer up to which there are intervals at all."""

UNIDENTIFIED = (
    "the weights of a network are not identified (units can change places and signs without changing any "
    "prediction), so they have no standard errors, p-values or intervals; the predictions have: "
    "fit.predict(new, interval='confidence')"
)


def _refused(name: str) -> Any:
    """A method that speaks of single weights, of which nothing can be said."""

    def refuse(self: Fit, *arguments: Any, **keywords: Any) -> Any:
        raise ModelError(f"{name}: {UNIDENTIFIED}")

    refuse.__name__, refuse.__doc__ = name, "Refused: the weights are not identified."
    return refuse


class NetworkFit(Fit):
    """A trained network.

    A :class:`raphson.Fit` whose coefficients are weights. ``bse``, ``tvalues``, ``pvalues``, ``conf_int()`` and
    ``cov_params()`` are NaN; ``message`` says why.

    Standard errors and intervals of ``predict`` are those of the delta method over the generalised Gauss-Newton
    matrix, with the prior that the initial weights are drawn from (or that weight decay stands for) along directions
    that the data do not determine; ``interval_kind`` says whether over all weights or over those of the output layer.
    They are of a network at its maximum: what one that stopped early has not learnt is a bias that they do not include.
    Without `new`, ``predict`` gives the rows that the network was trained on.
    """

    _history: list[dict[str, Any]]
    _labels: list[str]
    _remark: str

    def trained(self, history: list[dict[str, Any]], remark: str) -> NetworkFit:
        """This fit, told how the training went: its epochs, and how it ended in words."""
        self._history, self._remark = history, remark
        self._labels = self._predictor.network.labels
        self._predictor = replace(self._predictor, last_layer=self._n > MOST_WEIGHTS)
        return self

    # -- how it went -------------------------------------------------------------------------------------------

    @cached_property
    def message(self) -> str:
        """How the training ended, and what there is instead of standard errors."""
        return f"{self._remark or self.status.advice}; {UNIDENTIFIED}"

    @property
    def n_iter(self) -> int:
        """Epochs of a first-order method, steps of another."""
        return len(self._history) or max(len(self._steps) - 1, 0)

    @cached_property
    def history(self) -> pd.DataFrame:
        """The epochs: epoch, loss, validation, rate, rows (row gradients used so far).

        ``loss`` is −Σ w log f(y | η)/(φ₀ Σ w) over the epoch's steps, with φ₀ the dispersion of a model with a constant
        only; ``validation`` is that of the rows held out. Empty for a second-order method: see ``path``.
        """
        import pandas as pd

        names = ["epoch", "loss", "validation", "rate", "rows"]
        return pd.DataFrame([{name: row[name] for name in names} for row in self._history], columns=names)

    def gradient_profile(self) -> Any:
        """The norm of the gradient by layer, over the training.

        Returns
        -------
        GradientProfile
            ``table``, a frame with a row for each epoch and a column for each layer (root mean square over the
            epoch's steps of the norm of the loss's gradient), ``ratio`` (first layer to last, by epoch) and
            ``plot()``.

        Raises
        ------
        ModelError
            If a second-order method trained the network, which records no gradients by layer.
        """
        from raphson.report.gradients import GradientProfile

        if not self._history:
            raise ModelError(
                f"gradient_profile: {self.method} records no gradients by layer; train with method='adam' or another "
                "first-order method"
            )
        return GradientProfile.of([row["norms"] for row in self._history], self._labels)

    # -- weights -----------------------------------------------------------------------------------------------

    @cached_property
    def _reduced_cov(self) -> np.ndarray:  # type: ignore[override]
        """Covariance of the weights that intervals of predictions come from."""
        return self._laplace.covariance(self.dispersion)

    @cached_property
    def _cov(self) -> np.ndarray:  # type: ignore[override]
        return np.broadcast_to(np.nan, (self._n, self._n))

    @cached_property
    def bse(self) -> pd.Series:  # type: ignore[override]
        """NaN: the weights are not identified."""
        return self._series(np.full(self._n, np.nan))

    @cached_property
    def digits(self) -> pd.Series:  # type: ignore[override]
        """NaN: the weights are not identified."""
        return self._series(np.full(self._n, np.nan))

    def conf_int(self, level: float = 0.95, kind: str = "wald") -> pd.DataFrame:
        """NaN: the weights are not identified."""
        import pandas as pd

        intervals.check_level(level)
        return pd.DataFrame(np.nan, index=list(self.names), columns=["lower", "upper"])

    @cached_property
    def _reference_df(self) -> float | None:  # type: ignore[override]
        """Degrees of freedom of φ̂: rows held out, or nobs − γ."""
        if not self.use_t:
            return None
        held = self._settled.held_out
        return self.df_resid if held is None else float(held.nobs)

    wald_test, t_test = _refused("wald_test"), _refused("t_test")
    score_test, lr_test = _refused("score_test"), _refused("lr_test")
    profile, delta, vif = _refused("profile"), _refused("delta"), _refused("vif")
    information_matrix_test, bootstrap = _refused("information_matrix_test"), _refused("bootstrap")
    robust, loo = _refused("robust"), _refused("loo")
    leverage = property(_refused("leverage"))  # type: ignore[assignment]
    cooks_distance = property(_refused("cooks_distance"))  # type: ignore[assignment]
    dfbetas = property(_refused("dfbetas"))  # type: ignore[assignment]
    identified = False

    # -- what the data determine -------------------------------------------------------------------------------

    condition_number = math.nan  # type: ignore[assignment]
    """NaN: the Jacobian by all weights is never formed."""

    @property
    def remarks(self) -> list[str]:  # type: ignore[override]
        """None: the message says what there is instead of standard errors."""
        return []

    @property
    def interval_kind(self) -> str:
        """What the intervals of predictions come from: "all weights", or "last layer" where they are many."""
        return "last layer" if self._predictor.last_layer else "all weights"

    @cached_property
    def _laplace(self) -> Laplace:
        model = self._need_data("an interval")
        settled, theta = self._settled, self._theta[: self._n]
        prior = settled.network.prior_precision(theta.size, model.training_decay)
        if self.interval_kind == "all weights":
            part = settled.unpenalised.evaluate(theta, Need(kinds=("expected",))).information["expected"]
            return Laplace(part.matrix, prior)
        last = settled.network.layers[-1]
        q = (last.inputs + 1) * last.outputs
        if q > MOST_LAST:
            raise ModelError(
                f"interval: the output layer has {q} weights, and intervals are made from {MOST_LAST} at the most; "
                "predict without, or make the last hidden layer narrower"
            )
        linear = settled.last_layer(theta)
        eta = np.concatenate([settled.predictor.eta(block, theta)[:, : block.rows] for block in settled.blocks], axis=1)
        # Linear in the output layer's weights around the present η: its expected information there.
        part = linear.likelihood.linearised(eta, Need(kinds=("expected",))).information["expected"]
        spread = np.repeat(self._predictor.state["spread"], last.inputs + 1)
        weights = np.append(np.full(last.inputs, prior[-last.outputs - 1]), 1.0)
        return Laplace(part.matrix * spread * spread[:, None], np.tile(weights, last.outputs))

    @cached_property
    def _effective(self) -> float:  # type: ignore[override]
        """How many weights the data determine, of those that intervals come from."""
        phi = 1.0 if self.family.dispersion_fixed else self.dispersion
        return self._laplace.determined(phi) if phi > 0 else float(self._n)

    @cached_property
    def df_model(self) -> float:  # type: ignore[override]
        """Weights that the data determine, γ of MacKay (1992), without the intercepts."""
        return self._effective - self.family.n_predictors

    @cached_property
    def df_resid(self) -> float:  # type: ignore[override]
        """nobs − γ."""
        return self.nobs - self._effective

    @cached_property
    def dispersion(self) -> float:  # type: ignore[override]
        """φ̂: Pearson's statistic of the rows held out over their number; without such rows over nobs − γ."""
        rule = self._dispersion_rule
        if isinstance(rule, float):
            return rule
        if self.family.dispersion_fixed:
            return 1.0
        held = self._settled.held_out
        if held is not None:
            return held.pearson(held.rows(self._theta[: self._n])) / held.nobs
        return self._laplace.dispersion(self._settled.pearson(self._rows), self.nobs)

    # -- tables ------------------------------------------------------------------------------------------------

    def summary(self, level: float = 0.95) -> Any:
        """The layers and the training on one page: prints as text, shows as HTML in a notebook."""
        from raphson.report.network_summary import network_summary

        return network_summary(self)

    def __repr__(self) -> str:
        return self.summary().text

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to one JSON file: numbers and text, nothing that is executed when it is read."""
        from raphson.fit import network_saving

        network_saving.write(self, path)
