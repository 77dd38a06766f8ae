"""One small fit of each kind: what a file keeps, and what every name of a Fit answers, is asked of all of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.special import gammaln
from scipy import stats

import raphson as rp


def rows() -> pd.DataFrame:
    """48 rows with a response for each kind of model, the same on every machine: quantiles take the place of draws."""
    i = np.arange(48)
    u = (i * 29 % 48 + 0.5) / 48
    x = np.round(np.cos(1.7 * i) + 0.3 * np.sin(5.3 * i), 3)
    mean = np.exp(0.4 + 0.6 * x)
    counts = stats.poisson.ppf(u, mean)
    return pd.DataFrame(
        {
            "x": x,
            "z": np.round(np.sin(2.9 * i), 3),
            "g": i % 6,
            "kind": np.array(["a", "b", "c"])[i % 3],
            "w": 1.0 + i % 2,
            "normal": 1.0 + 0.5 * x + stats.norm.ppf(u),
            "curve": 2.0 * np.exp(0.7 * x) + 0.3 * stats.norm.ppf(u),
            "count": counts,
            "wide": stats.nbinom.ppf(u, 2.0, 2.0 / (2.0 + mean)),
            "least": np.maximum(counts, 1.0),
            "zeros": np.where(i % 4 == 0, 0.0, counts),
            "positive": stats.gamma.ppf(u, 3.0, scale=mean / 3.0),
            "binary": (u < 1 / (1 + np.exp(-0.3 - x))).astype(int),
            "apart": (x > 0.2).astype(int),
            "half": np.where(i % 6 == 3, 1, u < 1 / (1 + np.exp(-0.3 - x))),
            "third": (i % 6 == 3) * 1.0,
            "event": (i % 5 > 0) * 1.0,
            "level": np.array(["high", "low", "mid"])[np.digitize(x + stats.norm.ppf(u), [-0.6, 0.6])],
        }
    )


NEW = pd.DataFrame({"x": [-1.0, 0.0, 0.5], "z": [0.2, -0.4, 0.0], "third": [0.0, 1.0, 0.0], "kind": ["c", "a", "b"]})
"""Rows to predict."""


FOLDER = TemporaryDirectory()
"""Files that go with the process."""


def of_parquet(frame: pd.DataFrame, *arguments: object, **options: object) -> rp.Fit:
    """A fit of data that are streamed from a file."""
    path = Path(FOLDER.name) / "rows.parquet"
    frame.to_parquet(path)
    return rp.glm(*arguments, str(path), **options)


def logpdf(y, log_mean, log_size):
    """A negative binomial by hand."""
    size = jnp.exp(log_size)
    given = size * log_size - (size + y) * jnp.logaddexp(log_size, log_mean) + y * log_mean
    return gammaln(y + size) - gammaln(size) - gammaln(y + 1.0) + given


def loglik(params, row):
    """A regression by hand."""
    sigma = jnp.exp(params["log_sigma"])
    return -0.5 * ((row.normal - params["a"] - params["b"] * row.x) / sigma) ** 2 - params["log_sigma"]


def curve(params, x):
    """A curve by hand."""
    return params["a"] * jnp.exp(params["b"] * x)


NET = {"hidden": (3,), "activation": "tanh", "seed": 1}
KINDS = {
    "gaussian": lambda d: rp.glm("normal ~ x + kind + x:z", d),
    "arrays": lambda d: rp.glm(d["normal"].to_numpy(), np.column_stack([np.ones(len(d)), d["x"]]), names=["one", "x"]),
    "logistic": lambda d: rp.glm("binary ~ x + z", d, family="binomial"),
    "poisson": lambda d: rp.glm("count ~ x + offset(z)", d, family="poisson", weights="w", weights_kind="frequency"),
    "quasipoisson": lambda d: rp.glm("count ~ x", d, family="quasipoisson"),
    "gamma": lambda d: rp.glm("positive ~ x", d, family=rp.families.Gamma(link="log"), dispersion="ml"),
    "inverse gaussian": lambda d: rp.glm("positive ~ x", d, family=rp.families.InverseGaussian(link="log")),
    "tweedie": lambda d: rp.glm("zeros ~ x", d, family=rp.families.Tweedie(1.5)),
    "negative binomial": lambda d: rp.glm("wide ~ x", d, family="negative_binomial"),
    "multinomial": lambda d: rp.glm("level ~ x", d, family="multinomial"),
    "separated": lambda d: rp.glm("apart ~ x + z", d, family="binomial"),
    "half separated": lambda d: rp.glm("half ~ x + third", d, family="binomial"),
    "aliased": lambda d: rp.glm("normal ~ x + z + I(x + z)", d),
    "firth": lambda d: rp.glm("half ~ third", d, family="binomial", bias="firth"),
    "penalised": lambda d: rp.glm("count ~ x + z", d, family="poisson", penalty=1.0),
    "robust covariance": lambda d: rp.glm("count ~ x", d, family="poisson", cov="HC3"),
    "clusters": lambda d: rp.glm("count ~ x", d, family="poisson", cov="cluster", groups="g"),
    "streamed": lambda d: of_parquet(d, "normal ~ x + kind"),
    "unfinished": lambda d: rp.glm("count ~ x", d, family="poisson", max_iter=1),
    "curve": lambda d: rp.nls("curve ~ a*exp(b*x)", d, start={"b": 0.5}),
    "curve at a bound": lambda d: rp.nls("curve ~ a*exp(b*x) + c", d, start={"b": 0.5}, bounds={"b": (0, 0.6)}),
    "robust curve": lambda d: rp.nls("curve ~ a*exp(b*x)", d, start={"b": 0.5}, loss="huber"),
    "open curve": lambda d: rp.nls("curve ~ a*c*exp(b*x)", d, start={"a": 1.0, "c": 2.0, "b": 0.5}),
    "curve by hand": lambda d: rp.nls(curve, (d["x"].to_numpy(), d["curve"].to_numpy()), start={"a": 1.0, "b": 0.5}),
    "zero inflated": lambda d: rp.mle("zero_inflated_poisson", "zeros ~ x", d),
    "no zeros": lambda d: rp.mle("zero_inflated_poisson", "least ~ x", d),
    "weibull": lambda d: rp.mle("weibull", {"log_time": "positive ~ x", "log_sigma": "~ 1"}, d),
    "ordered": lambda d: rp.mle("ordered_logit", "level ~ x", d),
    "density by hand": lambda d: rp.mle(logpdf, {"log_mean": "wide ~ x", "log_size": "~ 1"}, d),
    "general form": lambda d: rp.mle(loglik, d[["normal", "x"]], start={"a": 0.0, "b": 0.0, "log_sigma": 0.0}),
    "network": lambda d: rp.network("normal ~ x + kind", d, **NET, epochs=20, batch_size=16),
    "network by newton": lambda d: rp.network(
        "binary ~ x + z", d, family="binomial", **NET, method="levenberg-marquardt", weight_decay=0.1
    ),
    "network of levels": lambda d: rp.network(
        "level ~ x", d, family="multinomial", **NET, epochs=20, batch_size=16, batch_norm=True
    ),
}
"""name -> how it is fitted to :func:`rows`."""


def fitted(kind: str) -> rp.Fit:
    """The fit of a kind, its warnings unsaid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return KINDS[kind](rows())


@pytest.fixture(scope="module")
def births():
    return rp.datasets.load("births")


@pytest.fixture(scope="module")
def linear(sample):
    return rp.glm(sample.normal, sample.X, names=["one", "x", "z"])


@pytest.fixture(scope="session")
def new_rows():
    """Rows to predict."""
    return NEW


@pytest.fixture(scope="session")
def fit_of():
    """From a kind to its fit, made once."""
    made: dict[str, rp.Fit] = {}

    def fit(kind: str) -> rp.Fit:
        if kind not in made:
            made[kind] = fitted(kind)
        return made[kind]

    return fit
