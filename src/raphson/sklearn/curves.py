"""Nonlinear least squares as an estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from raphson.api.nls import nls
from raphson.choices import MethodName
from raphson.fit.fit import Fit
from raphson.model.parameters import Parameters
from raphson.numeric import x64
from raphson.options import Curve, Iteration
from raphson.sklearn.base import Estimator, RegressorMixin, check_is_fitted


@dataclass(repr=False, eq=False)
class NLSRegressor(RegressorMixin, Estimator):
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
        features, y, weight, _ = self._checked(X, y, sample_weight, numeric=True)
        self._coded(features, intercept=False)
        self._training = np.ascontiguousarray(features.numbers), y, weight
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
        X = np.ascontiguousarray(self._new(X).numbers)
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
