from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import raphson as rp
from raphson.model.likelihood import tails
from raphson.model.likelihood.densities.ready import DENSITIES

N = 60
RNG = np.random.default_rng(3)
X = RNG.normal(size=N)
COUNTS = RNG.negative_binomial(2, 0.4, N) * (RNG.random(N) < 0.8)
DATA = pd.DataFrame(
    {
        "x": X,
        "count": COUNTS,
        "share": RNG.beta(2, 3, N),
        "time": RNG.gamma(2, np.exp(0.3 * X)),
        "z": X + RNG.standard_t(4, N),
        "level": pd.Categorical(RNG.choice(list("abcd"), N), ordered=True),
        "event": 1,
    }
)
FORMULAS = {
    "zero_inflated_poisson": "count ~ x",
    "zero_inflated_negative_binomial": "count ~ x",
    "hurdle_poisson": "count ~ x",
    "hurdle_negative_binomial": "count ~ x",
    "student_t": "z ~ x",
    "beta": "share ~ x",
    "weibull": "time ~ x",
    "lognormal": "time ~ x",
    "gamma": "time ~ x",
    "ordered_logit": "level ~ x",
    "ordered_probit": "level ~ x",
}


def _tails(fit: rp.Fit, monkeypatch=None) -> list[np.ndarray]:
    model = fit._reading.at("a test").asked
    return [np.exp(one) for one in model.log_tails(model.y, fit._reading.rows.eta)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMULAS)
def test_closed_forms_are_those_of_the_tables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = rp.mle(name, FORMULAS[name], DATA)
    closed = _tails(fit)
    monkeypatch.setattr(tails, "in_closed_form", lambda family: False)
    for one, other in zip(closed, _tails(fit), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-9)
    if DENSITIES[name].support in ("count", "levels"):
        mass = np.log(closed[1] - closed[0])
        np.testing.assert_allclose(mass, fit._reading.rows.value, atol=1e-9)


def test_a_mass_at_one_point_and_censored_rows() -> None:
    tobit = rp.mle("tobit", "w ~ x", DATA.assign(w=np.maximum(DATA.z, 0.0)))
    below, up_to, *_ = _tails(tobit)
    at_limit = DATA.z.to_numpy() <= 0
    assert (below[at_limit] == 0).all() and (up_to[at_limit] > 0.1).any()
    np.testing.assert_allclose(below[~at_limit], up_to[~at_limit], atol=1e-12)
    censored = DATA.assign(event=(np.arange(N) % 3 > 0).astype(int))
    fit = rp.mle("weibull", "time ~ x", censored)
    below, up_to, *_ = _tails(fit)
    gone = censored.event.to_numpy() == 0
    assert (up_to[gone] == 1).all() and (below[gone] < 1).all()
    scale, shape = np.exp(fit.params.iloc[0] + fit.params.iloc[1] * X), np.exp(-fit.params.iloc[2])
    np.testing.assert_allclose(below, stats.weibull_min(shape, scale=scale).cdf(DATA.time), rtol=1e-9)


def test_a_function_of_ones_own_is_tabulated() -> None:
    def normal(y, mu, log_sigma):
        z = (y - mu) * jnp.exp(-log_sigma)
        return -0.5 * z * z - log_sigma - 0.5 * jnp.log(2 * jnp.pi)

    fit = rp.mle(normal, {"mu": "z ~ x", "log_sigma": "~ 1"}, DATA)
    b = fit.params.to_numpy()
    expected = (DATA.z - b[0] - b[1] * X) / np.exp(b[2])
    np.testing.assert_allclose(fit.residuals("quantile"), expected, atol=1e-7)
    with pytest.raises(rp.ModelError, match=r"residuals\('quantile'\)"):
        fit.residuals()
