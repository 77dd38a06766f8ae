"""Neural networks as estimators."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from raphson.api.network import network
from raphson.choices import Activation, FamilyName, MethodName, Scale, Schedule, Shortcut
from raphson.data.products import dense
from raphson.model import families
from raphson.options import Iteration, Layers, Training
from raphson.sklearn.base import Classifier, Estimator, RegressorMixin
from raphson.sklearn.columns import Features
from raphson.sklearn.scores import d2_score


@dataclass(repr=False, eq=False)
class Network(Estimator):
    """Base class of networks.

    ``fit`` has no ``sample_weight``: scikit-learn requires that weight 2 equals two copies of the row, which does not
    hold under training by random batches. ``raphson.network(weights=...)`` weights rows in the likelihood.
    """

    hidden: Any = Layers.hidden
    _: KW_ONLY
    activation: Activation = Layers.activation
    batch_norm: bool = Layers.batch_norm
    residual: Shortcut | None = Layers.residual
    dropout: float = Layers.dropout
    method: MethodName = "adam"
    learning_rate: float | None = Iteration.learning_rate
    schedule: Schedule | Callable[[int], float] = Training.schedule
    batch_size: int | None = Training.batch_size
    epochs: int = Training.epochs
    validation: float | None = Training.validation
    patience: int | None = Training.patience
    weight_decay: float = Layers.weight_decay
    random_state: int | None = 0
    categorical_features: Any = "from_dtype"

    def _trained(self, features: Features, y: np.ndarray, family: Any) -> Any:
        coding = self._coded(features, intercept=True)
        options = self.get_params(deep=False) | {"family": family, "missing": "raise", "names": coding.names}
        options["seed"] = options.pop("random_state")
        del options["categorical_features"]
        X = self._inputs(features)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="response: all")
            return network(y, X, **options)

    def _predicted(self, X: Any, kind: Scale = "response") -> np.ndarray:
        features = self._new(X)
        return self.fit_.predict(self._inputs(features), kind=kind).to_numpy()

    def _inputs(self, features: Features) -> np.ndarray:
        """(n, p) what the first layer reads: numbers, and indicators of levels."""
        design = self._coding.design(features)
        return np.ascontiguousarray(dense(design)[:, 1:])  # the layer has a constant of its own


@dataclass(repr=False, eq=False)
class NetworkRegressor(RegressorMixin, Network):
    """A neural network with a numeric response.

    Parameters
    ----------
    hidden : units of each hidden layer.
    family : as for :func:`raphson.glm`.
    activation, batch_norm, residual, dropout, method, learning_rate, schedule, batch_size, epochs, validation,
    patience, weight_decay : as for :func:`raphson.network`.
    random_state : the seed.
    categorical_features : as for :class:`raphson.sklearn.GLMRegressor`.

    Attributes
    ----------
    fit_ : the Fit.

    Examples
    --------
    >>> import numpy as np
    >>> from raphson.sklearn import NetworkRegressor
    >>> x = np.linspace(-2, 2, 60)[:, None]
    >>> model = NetworkRegressor((8,), activation="tanh", method="levenberg-marquardt").fit(x, np.sin(x[:, 0]))
    >>> bool(model.score(x, np.sin(x[:, 0])) > 0.99)
    True
    """

    _: KW_ONLY
    family: FamilyName | str | families.Family = Layers.family

    def fit(self, X: Any, y: Any) -> NetworkRegressor:
        """Train on X (n, p) and y (n,)."""
        features, y, _, _ = self._checked(X, y, None, numeric=True)
        self.fit_ = self._trained(features, y, self.family)
        self.coef_ = self.fit_.params.to_numpy()
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Means (n,)."""
        return self._predicted(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """D², the share of the family's deviance that the predictions explain: :func:`raphson.sklearn.d2_score`."""
        return d2_score(y, self.predict(X), family=self.fit_.family, sample_weight=sample_weight)


class NetworkClassifier(Classifier, Network):
    """A neural network for classification: binomial for two classes, multinomial for more.

    Parameters
    ----------
    hidden : units of each hidden layer.
    activation, batch_norm, residual, dropout, method, learning_rate, schedule, batch_size, epochs, validation,
    patience, weight_decay : as for :func:`raphson.network`.
    random_state : the seed.
    categorical_features : as for :class:`raphson.sklearn.GLMRegressor`.

    Attributes
    ----------
    classes_ : (K,) labels, sorted.
    fit_ : the Fit.

    Examples
    --------
    >>> import raphson as rp
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 60)[:, None]
    >>> model = rp.sklearn.NetworkClassifier(hidden=(4,), epochs=60, validation=0).fit(X, X[:, 0] > 0)
    >>> model.predict([[-0.9], [0.9]]).tolist()
    [False, True]
    """

    def fit(self, X: Any, y: Any) -> NetworkClassifier:
        """Train on X (n, p) and labels y (n,)."""
        features, codes, _, _ = self._classes(X, y, None)
        self.fit_ = self._trained(features, codes, "binomial" if len(self.classes_) == 2 else "multinomial")
        self.coef_ = self.fit_.params.to_numpy()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, K) of the classes, in the order of ``classes_``."""
        return self._probabilities(self._predicted(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Log odds (n,) of the second of two classes; log probabilities (n, K) of more than two."""
        if len(getattr(self, "classes_", ())) == 2:
            return self._predicted(X, "link")
        return self._log_odds(self.predict_proba(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms (n, K) of the probabilities of the classes, in the order of ``classes_``."""
        if len(getattr(self, "classes_", ())) == 2:
            return self._log_shares(self.decision_function(X))
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        return self._most_probable(self.predict_proba(X))
