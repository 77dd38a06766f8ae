from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp

N = 200


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    x = rng.normal(size=N)
    time = np.exp(1 + 0.5 * x + 0.6 * np.log(rng.exponential(size=N)))
    until = rng.exponential(8, N)
    latent = x + rng.logistic(size=N)
    return pd.DataFrame(
        {
            "x": x,
            "t": x + rng.standard_t(3, N),
            "time": np.minimum(time, until),
            "event": (time <= until).astype(int),
            "level": pd.Categorical(np.array(list("abc"))[np.digitize(latent, [-1, 1])], ordered=True),
            "count": rng.poisson(np.exp(0.3 * x)) * (rng.random(N) < 0.7),
            "shares": rng.binomial(12, rng.beta(2, 2, N)),
            "trials": 12,
        }
    )


def normal(y, mu, log_sigma):
    z = (y - mu) * jnp.exp(-log_sigma)
    return -0.5 * z * z - log_sigma - 0.5 * jnp.log(2 * jnp.pi)


FITS = {
    "student": (lambda d: rp.mle("student_t", "t ~ x", d), {"residuals", "straight: location", "spread", "influence"}),
    "counts": (lambda d: rp.mle("zip", "count ~ x", d), {"residuals", "counts", "straight: log_mean", "straight: x"}),
    "levels": (lambda d: rp.mle("ordered_logit", "level ~ x", d), {"residuals", "calibration: a", "calibration: c"}),
    "times": (lambda d: rp.mle("weibull", "time ~ x", d), {"times", "survival", "straight: x"}),
    "tabulated": (lambda d: rp.mle("beta_binomial", "shares ~ x", d), {"residuals", "counts", "straight: x"}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FITS)
def test_right_likelihoods_pass(name: str, data: pd.DataFrame) -> None:
    make, names = FITS[name]
    found = make(data).check(200, seed=2)
    assert found.passed and names <= set(found.table.index)
    assert found.n >= 190
    pd.testing.assert_frame_equal(found.table, make(data).check(200, seed=2).table)


@pytest.mark.filterwarnings("ignore")
def test_wrong_likelihoods_do_not(data: pd.DataFrame) -> None:
    assert not rp.mle(normal, {"mu": "t ~ x", "log_sigma": "~ 1"}, data).check(200)["residuals"].passed
    assert not rp.mle("lognormal", "time ~ x", data).check(200)["times"].passed
    curved = data.assign(t=data.x**2 + 0.3 * data.t)
    assert not rp.mle("student_t", "t ~ x", curved).check(200)["straight: x"].passed


def test_a_density_without_its_constants_is_ranked_among_simulations(data: pd.DataFrame) -> None:
    def bare(y, mu, log_sigma):
        return -0.5 * ((y - mu) * jnp.exp(-log_sigma)) ** 2 - log_sigma

    fit = rp.mle(bare, {"mu": "t ~ x", "log_sigma": "~ 1"}, data)
    with pytest.raises(rp.ModelError, match="simulate="):
        fit.check()

    def drawn(rng, eta):
        return eta[0] + np.exp(eta[1]) * rng.normal(size=eta.shape[1])

    assert "residuals" in fit.check(200, simulate=drawn).table.index
    wide = fit.check(200, simulate=lambda rng, eta: eta[0] + 3 * np.exp(eta[1]) * rng.normal(size=eta.shape[1]))
    assert not wide["residuals"].passed
    with pytest.raises(rp.ModelError, match=f"{N} responses"):
        fit.check(simulate=lambda rng, eta: eta[0][:3])


def test_many_rows_are_neither_refitted_nor_all_looked_at(data: pd.DataFrame) -> None:
    many = pd.concat([data] * 60, ignore_index=True)
    found = rp.mle("weibull", "time ~ x", many).check()
    assert "not refitted" in found["times"].caption and found.n == 200


def test_a_mass_at_one_point_is_checked_without_refits(data: pd.DataFrame) -> None:
    found = rp.mle("tobit", "limited ~ x", data.assign(limited=np.maximum(data.t, 0.0))).check(200)
    assert "not refitted" in found["residuals"].caption and "straight: x" in found.table.index
    assert "a probability of its own at one point cannot be drawn" in found.note and found.note in repr(found)
    assert "cannot be drawn" in found.to_markdown()


def test_a_note_says_why_simulated_data_are_not_refitted_and_only_then(data: pd.DataFrame) -> None:
    def normal(y, mu, log_sigma):
        return -0.5 * ((y - mu) * jnp.exp(-log_sigma)) ** 2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)

    few = rp.mle(normal, {"mu": "t ~ x", "log_sigma": "~ 1"}, data[:100]).check(100)
    many = rp.mle(normal, {"mu": "t ~ x", "log_sigma": "~ 1"}, data).check(1000)
    assert few.note == "" and "not refitted" not in repr(few)
    assert "its density would be tabulated" in many.note and "give its cdf=" in repr(many)
