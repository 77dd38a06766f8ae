"""Estimators for scikit-learn: Raphson's models in pipelines, cross-validation and grid searches.

They pass scikit-learn's own ``check_estimator``. Each keeps the :class:`raphson.Fit` in ``fit_``, for everything that
has no place in scikit-learn's interface: standard errors, tests, intervals, the summary.
Needs scikit-learn: ``pip install "raphson[sklearn]"``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from raphson.api.glm import glm
from raphson.api.network import network
from raphson.api.nls import nls
from raphson.choices import Activation, FamilyName, LinkName, MethodName, Schedule, Shortcut
from raphson.data.masks import unmasked
from raphson.errors import DataError, ModelError, Needs, RankWarning
from raphson.fit.fit import Fit
from raphson.model import families
from raphson.model.glm.glm import INTERCEPTS
from raphson.model.parameters import Parameters
from raphson.model.penalty import penalty_matrix
from raphson.numeric import x64
from raphson.options import Curve, Iteration, Layers, LinearModel, Training

with Needs("sklearn", "raphson.sklearn"):
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

__all__ = ["GLMClassifier", "GLMRegressor", "NLSRegressor", "NetworkClassifier", "NetworkRegressor"]

INTERCEPT = "Intercept"


class _Estimator(BaseEstimator):
    """Base class of all estimators: checks of data and weights, column names."""

    fit_: Fit
    n_features_in_: int

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, numeric: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        # scikit-learn would ignore the mask of a masked array and read the values under it.
        X, y, sample_weight = unmasked(X), unmasked(y), unmasked(sample_weight)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=numeric, ensure_min_samples=2)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            # Rows of weight 0 are dropped: they neither count nor have to lie in the family's support.
            X, y, weight = X[weight > 0], y[weight > 0], weight[weight > 0]
        return np.ascontiguousarray(X), y, weight

    def _new(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "coef_")
        return np.ascontiguousarray(validate_data(self, unmasked(X), dtype=np.float64, reset=False))

    @property
    def _names(self) -> list[str]:
        known = getattr(self, "feature_names_in_", None)
        return [f"x{j}" for j in range(self.n_features_in_)] if known is None else [str(name) for name in known]

    @property
    def n_iter_(self) -> int:
        """Steps of the iteration."""
        check_is_fitted(self, "coef_")
        return max(self.fit_.n_iter, 1)


@dataclass(repr=False, eq=False, kw_only=True)
class _Linear(_Estimator):
    """Base class of GLMs: the design matrix is the features and, with an intercept, a column of ones."""

    penalty: Any = LinearModel.penalty
    fit_intercept: bool = True
    method: MethodName = "fisher-scoring"
    tol: float = Iteration.tol
    max_iter: int | None = Iteration.max_iter

    def _design(self, X: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(X)), X]) if self.fit_intercept else X

    def _means(self, X: Any) -> np.ndarray:
        design = self._design(self._new(X))
        return self.fit_.predict(design[:, : self.n_columns_used_]).to_numpy()

    @property
    def _columns(self) -> list[str]:
        names = self._names
        if not self.fit_intercept:
            return names
        ones = INTERCEPT if INTERCEPT not in names else "(Intercept)"
        return [ones, *names]

    def _glm(self, X: np.ndarray, y: Any, weight: np.ndarray | None, family: Any) -> Fit:
        with warnings.catch_warnings():
            # Collinear and constant features are common in a pipeline, so there is no warning; the Fit says what was
            # left out.
            warnings.simplefilter("ignore", RankWarning)
            warnings.filterwarnings("ignore", message="response: all")
            design, names = self._design(X), self._columns
            # Aliased columns are dropped from the last one on, and without a penalty those beyond the number of rows.
            used = design.shape[1] if self.penalty is not None else min(design.shape)
            self.n_columns_used_: int = used
            return glm(
                y,
                np.ascontiguousarray(design[:, :used]),
                family=family,
                names=names[:used],
                weights=weight,
                missing="raise",
                penalty=self._ridge(names[:used]),
                method=self.method,
                tol=self.tol,
                max_iter=self.max_iter,
            )

    def _ridge(self, names: Sequence[str]) -> Any:
        """The penalty in the form that the model expects, for columns of these names."""
        return self.penalty

    def _coefficients(self, fit: Fit) -> tuple[np.ndarray, np.ndarray]:
        """Slopes (K, p) and intercepts (K,); 0 where a column was left out."""
        found = fit.params.fillna(0.0).to_numpy().reshape(-1, self.n_columns_used_)
        values = np.zeros((len(found), self.n_features_in_ + bool(self.fit_intercept)))
        values[:, : self.n_columns_used_] = found
        return (values[:, 1:], values[:, 0]) if self.fit_intercept else (values, np.zeros(len(values)))


@dataclass(repr=False, eq=False)
class GLMRegressor(RegressorMixin, _Linear):
    """A generalised linear model of a numeric response.

    Parameters
    ----------
    family : "gaussian", "poisson", "gamma", "inverse_gaussian", "negative_binomial", ... or an object.
    penalty : ridge P: a number (spares the intercept), a vector or a matrix; None for no penalty.
    fit_intercept : whether to add a column of ones.
    method, tol, max_iter : of the iteration, as in :func:`raphson.glm`.

    Attributes
    ----------
    coef_ : (p,) slopes, 0 where a feature is a combination of earlier ones.
    intercept_ : float.
    fit_ : the :class:`raphson.Fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from raphson.sklearn import GLMRegressor
    >>> X = np.arange(6.0)[:, None]
    >>> model = GLMRegressor(family="poisson").fit(X, [1, 1, 3, 4, 9, 14])
    >>> model.coef_.round(3).tolist(), model.predict([[6.0]]).round(1).tolist()
    ([0.573], [25.6])
    """

    family: FamilyName | str | families.Family = LinearModel.family

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GLMRegressor:
        """Fit to X (n, p) and y (n,), with precision weights (n,)."""
        X, y, weight = self._checked(X, y, sample_weight, numeric=True)
        self.fit_ = self._glm(X, y, weight, self.family)
        slopes, intercepts = self._coefficients(self.fit_)
        self.coef_, self.intercept_ = slopes[0], float(intercepts[0])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Means (n,)."""
        return self._means(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        family = self.family if isinstance(self.family, str) else getattr(self.family, "name", "")
        tags.target_tags.positive_only = family != "gaussian"
        return tags


class _Classifier(ClassifierMixin, _Estimator):
    """Base class of classifiers: two classes are a binomial response, more a multinomial one."""

    classes_: np.ndarray

    def _classes(self, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        X, y, weight = self._checked(X, y, sample_weight, numeric=False)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            (only,) = self.classes_.tolist()
            raise DataError(f"y: expected two classes or more; got one class, {only!r}, in the rows of positive weight")
        return X, codes.astype(np.float64), weight

    @staticmethod
    def _probabilities(found: np.ndarray) -> np.ndarray:
        return found if found.ndim == 2 else np.column_stack([1.0 - found, found])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, K) of the classes, in the order of ``classes_``."""
        raise NotImplementedError

    def decision_function(self, X: Any) -> np.ndarray:
        """Log odds (n,) of the second of two classes; log probabilities (n, K) of more than two."""
        with np.errstate(divide="ignore"):
            log_p = np.log(np.maximum(self.predict_proba(X), np.finfo(float).tiny))
        return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        chosen = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[chosen]


@dataclass(repr=False, eq=False)
class GLMClassifier(_Classifier, _Linear):
    """Logistic regression and its relatives: binomial for two classes, multinomial for more.

    Parameters
    ----------
    link : link for two classes: "logit", "probit", "cloglog", "cauchit", ...; more than two classes need "logit".
    penalty : ridge P of −½ βᵀPβ: a number (spares the intercept), a vector or a matrix. 1 by default, as the C = 1 of
        scikit-learn's LogisticRegression. None for maximum likelihood; coefficients are then infinite, with a warning,
        if the classes can be separated. With K > 2 classes P penalises the coefficients of each class, centred so that
        they add up to 0; so the order of the classes does not matter. A vector or matrix with an entry for each of the
        (K − 1)(p + 1) coefficients is used as it is.
    fit_intercept : whether to add a column of ones.
    method, tol, max_iter : of the iteration, as in :func:`raphson.glm`.

    Attributes
    ----------
    classes_ : (K,) labels, sorted.
    coef_, intercept_ : (1, p) and (1,) for two classes; (K − 1, p) and (K − 1,) for more, each class against the first.
    fit_ : the :class:`raphson.Fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from raphson.sklearn import GLMClassifier
    >>> X = np.arange(6.0)[:, None]
    >>> model = GLMClassifier(penalty=None).fit(X, ["no", "no", "yes", "no", "yes", "yes"])
    >>> model.predict_proba([[2.5]]).round(2).tolist(), model.predict([[4.0]]).tolist()
    ([[0.5, 0.5]], ['yes'])
    """

    link: LinkName | str | families.Link = "logit"
    _: KW_ONLY
    penalty: Any = 1.0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GLMClassifier:
        """Fit to X (n, p) and labels y (n,), with precision weights (n,)."""
        X, codes, weight = self._classes(X, y, sample_weight)
        two = len(self.classes_) == 2
        if not two and self.link != "logit":
            raise ModelError(
                f"link: expected 'logit' for {len(self.classes_)} classes; got {self.link!r}, which is for two. "
                "Only binary classification is supported."
            )
        family: Any = families.Binomial if two else families.Multinomial
        self.fit_ = self._glm(X, codes, weight, family(link=self.link))
        self.coef_, self.intercept_ = self._coefficients(self.fit_)
        return self

    def _ridge(self, names: Sequence[str]) -> Any:
        # Among all coefficients β_k that give the same probabilities, Σ_k β_kᵀDβ_k is smallest where Σ_k β_k = 0. In
        # terms of the fitted coefficients γ_k = β_k − β_0 the minimum is Σ γ_kᵀDγ_k − (Σ γ_k)ᵀD(Σ γ_k)/K: the
        # quadratic form of (I − 11ᵀ/K) ⊗ D, which treats all classes alike.
        K, p = len(self.classes_), len(names)
        if K == 2 or self.penalty is None or np.shape(self.penalty)[:1] not in ((), (p,)):
            return self.penalty
        D = penalty_matrix(self.penalty, p, np.isin(list(names), INTERCEPTS))
        return np.kron(np.eye(K - 1) - 1.0 / K, np.asarray(D))

    def predict_proba(self, X: Any) -> np.ndarray:
        return self._probabilities(self._means(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self.link == "logit"
        return tags


@dataclass(repr=False, eq=False)
class NLSRegressor(RegressorMixin, _Estimator):
    """Nonlinear least squares.

    Parameters
    ----------
    curve : ``curve(params, X) -> (n,)`` in ``jax.numpy``, with X (n, p); or an expression in the features' names, such
        as ``"top*(1 - exp(-rate*dose))"`` (x0, x1, ... if the features have no names). None for a straight line in the
        first feature.
    start : dict or array of starting values; required for a function.
    bounds, method, penalty, tol, max_iter : as in :func:`raphson.nls`.

    Attributes
    ----------
    coef_ : (k,) estimates.
    fit_ : the :class:`raphson.Fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from raphson.sklearn import NLSRegressor
    >>> x = np.arange(8.0)[:, None]
    >>> model = NLSRegressor("top*exp(-rate*x0)", start={"rate": 1.0}).fit(x, 3.0 * np.exp(-0.5 * x[:, 0]))
    >>> model.coef_.round(6).tolist()
    [3.0, 0.5]
    """

    curve: str | Callable[[Any, Any], Any] | None = None
    start: Any = None
    _: KW_ONLY
    bounds: Any = Curve.bounds
    method: MethodName = "levenberg-marquardt"
    penalty: Any = Curve.penalty
    tol: float = Iteration.tol
    max_iter: int | None = Iteration.max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NLSRegressor:
        """Fit to X (n, p) and y (n,), with precision weights (n,)."""
        self._training = self._checked(X, y, sample_weight, numeric=True)
        self._fit = self._fitted()
        self.coef_ = self._fit.params.to_numpy()
        return self

    @property
    def fit_(self) -> Fit:  # type: ignore[override]
        """The Fit; after unpickling it is fitted again on first use, as compiled code cannot be pickled."""
        check_is_fitted(self, "coef_")
        if self._fit is None:
            self._fit = self._fitted()
        return self._fit

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        return state | {"_fit": None} if "_fit" in state else state

    def _fitted(self) -> Fit:
        X, y, weight = self._training
        options: dict[str, Any] = {
            "bounds": self.bounds,
            "method": self.method,
            "penalty": self.penalty,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "weights": weight,
        }
        if not isinstance(self.curve, str):
            return nls(self._function, (X, y), start=self._begin, **options)
        response = "response"
        while response in self._names:
            response += "_"
        data = dict(zip(self._names, X.T, strict=True)) | {response: y}
        return nls(f"{response} ~ {self.curve}", data, start=self.start, **options)

    @property
    def _function(self) -> Callable[[Any, Any], Any]:
        assert not isinstance(self.curve, str)
        return _line if self.curve is None else self.curve

    @property
    def _begin(self) -> Any:
        return np.zeros(2) if self.curve is None else self.start

    def predict(self, X: Any) -> np.ndarray:
        """Predictions (n,)."""
        X = self._new(X)
        if isinstance(self.curve, str):
            return self.fit_.predict(dict(zip(self._names, X.T, strict=True))).to_numpy()
        params = Parameters.of(self._begin, "start")[0].unflatten(self.coef_)
        with x64():
            return np.asarray(self._function(params, X), dtype=np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = self.curve is None
        return tags


def _line(params: Any, X: Any) -> Any:
    return params[0] + params[1] * X[:, 0]


@dataclass(repr=False, eq=False)
class _Network(_Estimator):
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

    def _trained(self, X: np.ndarray, y: np.ndarray, family: Any) -> Any:
        options = self.get_params(deep=False) | {"family": family, "missing": "raise", "names": self._names}
        options["seed"] = options.pop("random_state")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="response: all")
            return network(y, X, **options)


@dataclass(repr=False, eq=False)
class NetworkRegressor(RegressorMixin, _Network):
    """A neural network with a numeric response.

    Parameters
    ----------
    hidden : units of each hidden layer.
    family : as for :func:`raphson.glm`.
    activation, batch_norm, residual, dropout, method, learning_rate, schedule, batch_size, epochs, validation,
    patience, weight_decay : as for :func:`raphson.network`.
    random_state : the seed.

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
        X, y, _ = self._checked(X, y, None, numeric=True)
        self.fit_ = self._trained(X, y, self.family)
        self.coef_ = self.fit_.params.to_numpy()
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Means (n,)."""
        X = self._new(X)
        return self.fit_.predict(X).to_numpy()


class NetworkClassifier(_Classifier, _Network):
    """A neural network for classification: binomial for two classes, multinomial for more.

    Parameters
    ----------
    hidden : units of each hidden layer.
    activation, batch_norm, residual, dropout, method, learning_rate, schedule, batch_size, epochs, validation,
    patience, weight_decay : as for :func:`raphson.network`.
    random_state : the seed.

    Attributes
    ----------
    classes_ : (K,) labels, sorted.
    fit_ : the Fit.
    """

    def fit(self, X: Any, y: Any) -> NetworkClassifier:
        """Train on X (n, p) and labels y (n,)."""
        X, codes, _ = self._classes(X, y, None)
        self.fit_ = self._trained(X, codes, "binomial" if len(self.classes_) == 2 else "multinomial")
        self.coef_ = self.fit_.params.to_numpy()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        X = self._new(X)
        return self._probabilities(self.fit_.predict(X).to_numpy())
