"""Generalised linear models as estimators."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from raphson.api.glm import glm
from raphson.choices import FamilyName, LinkName, MethodName, Scale
from raphson.errors import DataError, ModelError, RankWarning
from raphson.fit.fit import Fit
from raphson.model import families
from raphson.model.glm.glm import INTERCEPTS
from raphson.model.penalty import penalty_matrix
from raphson.options import Iteration, LinearModel
from raphson.sklearn.base import Classifier, Estimator, RegressorMixin, accuracy_score, check_is_fitted
from raphson.sklearn.columns import Features, first_columns
from raphson.sklearn.scores import d2_score

INTERCEPT = "Intercept"


@dataclass(repr=False, eq=False, kw_only=True)
class Linear(Estimator):
    """Base class of GLMs: the design matrix is the features and, with an intercept, a column of ones."""

    sparse: ClassVar[bool] = True

    penalty: Any = LinearModel.penalty
    fit_intercept: bool = True
    method: MethodName = "fisher-scoring"
    tol: float = Iteration.tol
    max_iter: int | None = Iteration.max_iter
    categorical_features: Any = "from_dtype"

    def _means(self, X: Any, offset: np.ndarray | None, kind: Scale = "response") -> np.ndarray:
        design = first_columns(self._coding.design(self._new(X)), self.n_columns_used_)
        return self.fit_.predict(design, offset=offset, kind=kind).to_numpy()

    @property
    def _columns(self) -> list[str]:
        names = self._coding.names
        if not self.fit_intercept:
            return names
        ones = INTERCEPT if INTERCEPT not in names else "(Intercept)"
        return [ones, *names]

    def _glm(
        self, features: Features, y: Any, weight: np.ndarray | None, family: Any, offset: np.ndarray | None
    ) -> Fit:
        with warnings.catch_warnings():
            # Collinear and constant features are common in a pipeline, so there is no warning; the Fit says what was
            # left out.
            warnings.simplefilter("ignore", RankWarning)
            warnings.filterwarnings("ignore", message="response: all")
            design, names = self._coded(features, bool(self.fit_intercept)).design(features), self._columns
            # Aliased columns are dropped from the last one on, and without a penalty those beyond the number of rows.
            used = design.shape[1] if self.penalty is not None else min(design.shape)
            self.n_columns_used_: int = used
            return glm(
                y,
                first_columns(design, used),
                family=family,
                names=names[:used],
                weights=weight,
                offset=offset,
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
        values = np.zeros((len(found), len(self._columns)))
        values[:, : self.n_columns_used_] = found
        return (values[:, 1:], values[:, 0]) if self.fit_intercept else (values, np.zeros(len(values)))


def offset_of(offset: Any, exposure: Any, n: int, link: str | None) -> np.ndarray | None:
    """(n,) what is added to the linear predictor: the offset and the logarithm of the exposure; None if neither.

    Raises
    ------
    ModelError
        If an exposure comes with another link than the log.
    DataError
        If either is not one number for each row, or an exposure is not positive.
    """
    total = None
    for name, given in (("offset", offset), ("exposure", exposure)):
        if given is None:
            continue
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{name}: expected numbers; got {type(given).__name__}") from None
        values = np.full(n, values) if values.ndim == 0 else values.ravel() if values.size == n else values
        if values.shape != (n,) or not np.isfinite(values).all():
            raise DataError(f"{name}: expected {n} finite numbers, one for each row of X; got shape {values.shape}")
        if name == "exposure":
            if link != "log":
                raise ModelError(
                    f"exposure: expected a family with log link, as its logarithm is an offset; got {link}"
                )
            if not (values > 0).all():
                raise DataError(f"exposure: expected positive numbers; got {values.min():g}")
            values = np.log(values)
        total = values if total is None else total + values
    return total


def length(X: Any) -> int:
    """Number of rows."""
    shape = getattr(X, "shape", None)
    return shape[0] if shape else len(X)


@dataclass(repr=False, eq=False)
class GLMRegressor(RegressorMixin, Linear):
    """A generalised linear model of a numeric response.

    Parameters
    ----------
    family : "gaussian", "poisson", "gamma", "inverse_gaussian", "negative_binomial", ... or an object.
    penalty : ridge P: a number (spares the intercept), a vector or a matrix; None for no penalty.
    fit_intercept : whether to add a column of ones.
    method, tol, max_iter : of the iteration, as in :func:`raphson.glm`.
    categorical_features : the features that are categories, each of which becomes a column for each level but the
        first. "from_dtype" (default): the columns of a data frame that are categorical, Enum or text; otherwise a list
        of names, positions or truth values, or None. Levels that ``fit`` has not seen are an error.

    Attributes
    ----------
    coef_ : (p,) slopes, 0 where a column is a combination of earlier ones; ``get_feature_names_out`` names them.
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> GLMRegressor:
        """Fit to X (n, p), an array, a data frame or a sparse matrix, and y (n,).

        Parameters
        ----------
        sample_weight : precision weights (n,).
        offset : (n,) added to the linear predictor.
        exposure : (n,) times or sizes over which counts were taken: their logarithm is an offset, for families with
            log link. Offset and exposure are passed on by scikit-learn's metadata routing (``set_fit_request``,
            ``set_predict_request``, ``set_score_request``); a fit that had one needs one to predict.
        """
        family = families.resolve(self.family)
        shift = self._shift(X, offset, exposure, family)
        features, y, weight, shift = self._checked(X, y, sample_weight, numeric=True, offset=shift)
        self.fit_ = self._glm(features, y, weight, family, shift)
        slopes, intercepts = self._coefficients(self.fit_)
        self.coef_, self.intercept_ = slopes[0], float(intercepts[0])
        return self

    @staticmethod
    def _shift(X: Any, offset: Any, exposure: Any, family: Any) -> np.ndarray | None:
        if offset is None and exposure is None:
            return None
        return offset_of(offset, exposure, length(X), family.link_name)

    def predict(self, X: Any, offset: Any = None, exposure: Any = None) -> np.ndarray:
        """Means (n,); of a fit with an offset or exposure, with those of the new rows (a number is that of all)."""
        check_is_fitted(self, "coef_")
        return self._means(X, self._shift(X, offset, exposure, self.fit_.family))

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> float:
        """D², the share of the family's deviance that the predictions explain: :func:`raphson.sklearn.d2_score`.

        Of the normal family it is R². With an offset or exposure the predictions are compared with those of the best
        model with this offset and nothing but an intercept.
        """
        mean, family, null = self.predict(X, offset, exposure), self.fit_.family, None
        shift = self._shift(X, offset, exposure, family)
        if shift is not None:
            ones = np.ones((len(mean), 1))
            null = glm(np.asarray(y, float), ones, family=family, offset=shift, weights=sample_weight).fittedvalues
        return d2_score(y, mean, family=family, sample_weight=sample_weight, null=null)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        family = self.family if isinstance(self.family, str) else getattr(self.family, "name", "")
        tags.target_tags.positive_only = family != "gaussian"
        return tags


@dataclass(repr=False, eq=False)
class GLMClassifier(Classifier, Linear):
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
    categorical_features : as for :class:`GLMRegressor`.

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

    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> GLMClassifier:
        """Fit to X (n, p), an array, a data frame or a sparse matrix, and labels y (n,).

        Parameters
        ----------
        sample_weight : precision weights (n,).
        offset : (n,) added to the linear predictor of two classes; a fit that had one needs one to predict.
        """
        shift = None if offset is None else offset_of(offset, None, length(X), None)
        features, codes, weight, shift = self._classes(X, y, sample_weight, shift)
        two = len(self.classes_) == 2
        if shift is not None and not two:
            raise ModelError(f"offset: expected two classes; got {len(self.classes_)}, which have several predictors")
        if not two and self.link != "logit":
            raise ModelError(
                f"link: expected 'logit' for {len(self.classes_)} classes; got {self.link!r}, which is for two. "
                "Only binary classification is supported."
            )
        family: Any = families.Binomial if two else families.Multinomial
        self.fit_ = self._glm(features, codes, weight, family(link=self.link), shift)
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

    def predict_proba(self, X: Any, offset: Any = None) -> np.ndarray:
        """Probabilities (n, K) of the classes, in the order of ``classes_``."""
        check_is_fitted(self, "coef_")
        shift = None if offset is None else offset_of(offset, None, length(X), None)
        return self._probabilities(self._means(X, shift))

    def decision_function(self, X: Any, offset: Any = None) -> np.ndarray:
        """Log odds (n,) of the second of two classes; log probabilities (n, K) of more than two."""
        if self._logistic:
            check_is_fitted(self, "coef_")
            return self._means(X, None if offset is None else offset_of(offset, None, length(X), None), "link")
        return self._log_odds(self.predict_proba(X, offset))

    def predict_log_proba(self, X: Any, offset: Any = None) -> np.ndarray:
        """Logarithms (n, K) of the probabilities of the classes, in the order of ``classes_``."""
        if self._logistic:
            return self._log_shares(self.decision_function(X, offset))
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, offset))

    @property
    def _logistic(self) -> bool:
        """Whether the predictor is the log odds of the second of two classes."""
        return self.link == "logit" and len(getattr(self, "classes_", ())) == 2

    def predict(self, X: Any, offset: Any = None) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        return self._most_probable(self.predict_proba(X, offset))

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """The share of rows whose class is predicted."""
        return accuracy_score(y, self.predict(X, offset), sample_weight=sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self.link == "logit"
        return tags
