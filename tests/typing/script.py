"""What a user writes; type checkers in their strict modes find nothing to say of it."""

from collections.abc import Mapping
from typing import Any, assert_type

import jax.numpy as jnp
import numpy as np
import pandas as pd

import raphson as rp
from raphson.choices import Covariance, MethodName
from raphson.fit.many import Fits

births = rp.datasets.load("births")
assert_type(births, pd.DataFrame)

# Linear models
fit = rp.glm("low ~ lwt + smoke", births, family="binomial", method="irls", cov="HC1")
assert_type(fit, rp.Fit)
probit = rp.glm("low ~ lwt", births, family=rp.families.Binomial(link="probit"), missing="raise", dispersion=1)
power = rp.glm("age ~ lwt", births, family="tweedie(1.5)", weights="lwt", weights_kind="frequency")
arrays = rp.glm(np.array([1.0, 2.0, 4.0]), np.eye(3)[:, :2], names=["a", "b"], start=[0.0, 0.0])
assert_type(fit.params, pd.Series)
largest = float(np.asarray(fit.params).max())
errors: pd.Series = fit.bse
print(fit.summary(), fit.llf - probit.llf, fit.nobs, fit.cov_params().shape, power.pvalues, arrays.message)

# Statuses are texts with something to say
if fit.status is not rp.Status.CONVERGED and not fit.status.converged:
    print(fit.status.upper(), fit.status.advice)

# Predictions: a series, or a table where more is asked for
assert_type(fit.predict(births), pd.Series)
assert_type(fit.predict(births, se=True), pd.DataFrame)
assert_type(fit.predict(births, interval="confidence", level=0.9, kind="link"), pd.DataFrame)
assert_type(fit.predict(births, True), pd.DataFrame)
groups = rp.glm("low ~ lwt", births, family="binomial", by="race")
assert_type(groups, Fits)
assert_type(groups["black"], rp.Fit)
assert_type(rp.glm("low ~ lwt", births, by=np.repeat([0, 1, 2], 63)).dispersion, pd.Series)
levels = rp.glm("race ~ lwt", births, family="multinomial")
assert_type(levels.predict(births), pd.DataFrame)
print(levels.predict(births, kind="link").columns)
assert_type(fit.conf_int(kind="profile"), pd.DataFrame)
assert_type(fit.residuals(kind="pearson"), pd.Series)
robust = fit.robust("cluster", groups="race", small_sample="clusters")
print(robust.information("observed"), fit.bootstrap(20, seed=1, kind="parametric").conf_int(kind="percentile"))

# Curves: one, or one in each group
curve = {"x": [1.0, 2.0, 4.0, 8.0] * 2, "y": [2.0, 2.6, 3.0, 3.2, 4.1, 5.2, 5.9, 6.4], "plant": ["a"] * 4 + ["b"] * 4}
one = rp.nls("y ~ top*x/(half + x)", curve, start={"half": 1.0}, bounds={"half": (0, None)}, loss="huber")
assert_type(one, rp.Fit)
many = rp.nls("y ~ top*x/(half + x)", curve, start={"half": 1.0}, by="plant")
assert_type(many, Fits)
assert_type(many["a"], rp.Fit)
assert_type(many.params, pd.DataFrame)


def decay(params: Mapping[str, Any], x: Any) -> Any:
    return params["top"] * jnp.exp(-params["rate"] * x)


traced = rp.nls(decay, (np.arange(5.0), np.exp(-np.arange(5.0))), start={"top": 1.0, "rate": 0.5})


# Likelihoods
def poisson(y: Any, log_mean: Any) -> Any:
    return y * log_mean - jnp.exp(log_mean)


counted = rp.mle(poisson, {"log_mean": "age ~ smoke"}, births, information="expected")
ready = rp.mle("tobit", {"mean": "age ~ smoke", "sigma": "~ 1"}, births, bias=None)
assert isinstance(counted, rp.Fit) and isinstance(ready, rp.Fit)

# Networks, and races between methods
net = rp.network("low ~ age + lwt", births, hidden=(4,), family="binomial", activation="tanh", epochs=2, seed=1)
assert_type(net.predict(births), pd.Series)
print(net.history, traced.digits)
methods: list[MethodName] = ["newton", "fisher-scoring"]
race = rp.compare(fit, methods=methods)
assert_type(race.table, pd.DataFrame)


def refit(cov: Covariance) -> rp.Fit:
    """A user's own function, with our types."""
    try:
        return fit.robust(cov)
    except rp.ModelError as error:
        raise SystemExit(str(error)) from None


smaller = rp.glm("low ~ smoke", births, family="binomial")
print(refit("HC3").tidy(), rp.anova(smaller, fit), largest, errors)
