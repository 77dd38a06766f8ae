"""What the estimators share: checks of data and weights, names of columns, classes of the largest probability."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from raphson.data.masks import unmasked
from raphson.errors import DataError, Needs
from raphson.fit.fit import Fit
from raphson.sklearn.columns import Coding, Features, categorical_positions, in_pandas, numbers_of, read_category

with Needs("sklearn", "raphson.sklearn"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.base import RegressorMixin as RegressorMixin
    from sklearn.metrics import accuracy_score as accuracy_score
    from sklearn.utils import check_array, check_X_y
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data


class Estimator(BaseEstimator):
    """Base class of all estimators: checks of data and weights, column names."""

    fit_: Fit
    n_features_in_: int
    categorical_features: Any = None
    sparse: ClassVar[bool] = False
    """Whether a sparse matrix is read without making it dense."""

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, numeric: bool, offset: np.ndarray | None = None
    ) -> tuple[Features, np.ndarray, np.ndarray | None, np.ndarray | None]:
        # scikit-learn would ignore the mask of a masked array and read the values under it.
        X, y, sample_weight = unmasked(X), unmasked(y), unmasked(sample_weight)
        places = categorical_positions(X, self.categorical_features)
        options: dict[str, Any] = {"dtype": np.float64, "ensure_min_samples": 2}
        if places:
            validate_data(self, X, skip_check_array=True)
            X = in_pandas(X)
            numbers, y = check_X_y(numbers_of(X, places), y, y_numeric=numeric, estimator=self, **options)
        else:
            read = ("csr", "csc") if self.sparse else False
            numbers, y = validate_data(self, X, y, y_numeric=numeric, accept_sparse=read, **options)
        features = Features(numbers, {place: read_category(X, place) for place in places})
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, numbers, dtype=np.float64, ensure_non_negative=True)
            # Rows of weight 0 are dropped: they neither count nor have to lie in the family's support.
            kept = weight > 0
            features, y, weight = features.rows(kept), y[kept], weight[kept]
            offset = None if offset is None else offset[kept]
        return features, y, weight, offset

    def _new(self, X: Any) -> Features:
        """New rows as they were when fitted, with the same features."""
        check_is_fitted(self, "coef_")
        X = unmasked(X)
        places = sorted(self._coding.levels)
        if not places:
            read = ("csr", "csc") if self.sparse else False
            return Features(validate_data(self, X, dtype=np.float64, accept_sparse=read, reset=False))
        validate_data(self, X, skip_check_array=True, reset=False)
        X = in_pandas(X)
        numbers = check_array(numbers_of(X, places), dtype="float64", estimator=self)
        return self._coding.recoded(Features(numbers, {place: read_category(X, place) for place in places}))

    def _coded(self, features: Features, intercept: bool) -> Coding:
        """How the features become columns: by the levels in these rows."""
        levels = {place: one.labels for place, one in features.categories.items()}
        self._coding = Coding(tuple(self._names), levels, intercept)
        return self._coding

    @property
    def _names(self) -> list[str]:
        known = getattr(self, "feature_names_in_", None)
        return [f"x{j}" for j in range(self.n_features_in_)] if known is None else [str(name) for name in known]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the design, which those of ``coef_`` are: of a category, one for each level shown."""
        check_is_fitted(self, "coef_")
        if input_features is not None and list(input_features) != self._names:
            raise DataError("input_features: expected the names of the features that were fitted, or None")
        return np.array(self._coding.names, dtype=object)

    @property
    def n_iter_(self) -> int:
        """Steps of the iteration."""
        check_is_fitted(self, "coef_")
        return max(self.fit_.n_iter, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.sparse
        return tags


class Classifier(ClassifierMixin, Estimator):
    """Base class of classifiers: two classes are a binomial response, more a multinomial one."""

    classes_: np.ndarray

    def _classes(
        self, X: Any, y: Any, sample_weight: Any, offset: np.ndarray | None = None
    ) -> tuple[Features, np.ndarray, np.ndarray | None, np.ndarray | None]:
        features, y, weight, offset = self._checked(X, y, sample_weight, numeric=False, offset=offset)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            (only,) = self.classes_.tolist()
            raise DataError(f"y: expected two classes or more; got one class, {only!r}, in the rows of positive weight")
        return features, codes.astype(np.float64), weight, offset

    @staticmethod
    def _probabilities(found: np.ndarray) -> np.ndarray:
        return found if found.ndim == 2 else np.column_stack([1.0 - found, found])

    @staticmethod
    def _log_odds(probabilities: np.ndarray) -> np.ndarray:
        log_p = np.log(np.maximum(probabilities, np.finfo(float).tiny))
        return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p

    @staticmethod
    def _log_shares(log_odds: np.ndarray) -> np.ndarray:
        """Logarithms (n, 2) of 1/(1 + eᶯ) and 1/(1 + e⁻ᶯ), right where one of them is 1 but for rounding."""
        return -np.logaddexp(0.0, np.column_stack([log_odds, -log_odds]))

    def _most_probable(self, probabilities: np.ndarray) -> np.ndarray:
        return self.classes_[np.argmax(probabilities, axis=1)]
