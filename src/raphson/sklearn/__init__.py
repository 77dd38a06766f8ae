"""Estimators for scikit-learn: Raphson's models in pipelines, cross-validation and grid searches.

They pass scikit-learn's own ``check_estimator``. Each keeps the :class:`raphson.Fit` in ``fit_``, for everything that
has no place in scikit-learn's interface: standard errors, tests, intervals, the summary.
Needs scikit-learn: ``pip install "raphson[sklearn]"``.
"""

from raphson.sklearn.curves import NLSRegressor
from raphson.sklearn.linear import GLMClassifier, GLMRegressor
from raphson.sklearn.networks import NetworkClassifier, NetworkRegressor
from raphson.sklearn.scores import d2_score

__all__ = ["GLMClassifier", "GLMRegressor", "NLSRegressor", "NetworkClassifier", "NetworkRegressor", "d2_score"]
