"""Streamed densities: the numbers of the fit in memory, and no rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data.blocks import StreamedBlocks
from raphson.errors import ConvergenceWarning, DataError, ModelError, RankWarning

N, PIECE = 1500, 256
pytestmark = pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=N), "g": rng.choice(["a", "b"], N), "w": rng.integers(0, 4, N), "off": rng.random(N)}
    )
    frame.loc[N - 40 :, "g"] = "late"  # a level that the last piece alone has
    eta = 0.3 + 0.4 * frame["x"] + 0.5 * (frame["g"] == "b")
    mean = np.exp(eta)
    frame["zeros"] = np.where(rng.random(N) < 0.3, 0, rng.poisson(mean))
    frame["count"] = rng.poisson(mean * rng.gamma(2.0, 0.5, N))
    share = 1 / (1 + np.exp(-eta))
    frame["share"] = rng.beta(5 * share, 5 * (1 - share))
    time, end = rng.weibull(1.5, N) * mean, rng.exponential(3.0, N)
    frame["time"], frame["seen"] = np.minimum(time, end), time <= end
    frame["grade"] = np.digitize(eta + rng.logistic(size=N), [-1.0, 0.5, 2.0])
    frame["word"] = pd.Categorical.from_codes(frame["grade"], ["low", "mid", "high", "top"], ordered=True)
    frame.loc[::50, "x"] = np.nan
    return frame


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "rows.parquet"
    frame.to_parquet(path, row_group_size=400)
    return path


def negative_binomial(y, log_mean, log_size):
    import jax.numpy as jnp
    from jax.scipy.special import gammaln

    size, both = jnp.exp(log_size), jnp.logaddexp(log_mean, log_size)
    value = gammaln(y + size) - gammaln(size) - gammaln(y + 1.0)
    return value + size * (log_size - both) + y * (log_mean - both)


MODELS = {
    "zero-inflated": ("zero_inflated_poisson", {"mean": "zeros ~ x + g", "zero": "~ x"}, {"weights": "w"}),
    "offset": ("zero_inflated_poisson", "zeros ~ x + offset(off)", {"penalty": 1.0}),
    "beta": ("beta", {"mean": "share ~ x + g", "precision": "~ g"}, {}),
    "weibull": ("weibull", "time ~ x + g", {"columns": {"event": "seen"}}),
    "ordered": ("ordered_logit", "word ~ x + g", {}),
    "whole numbers": ("ordered_logit", "grade ~ x", {"method": "bhhh"}),
    "dispersion": (
        negative_binomial,
        {"log_mean": "count ~ x + g", "log_size": "~ x"},
        {"weights": "w", "weights_kind": "frequency"},
    ),
}


def both(name, frame, path):
    density, formulas, keywords = MODELS[name]
    return (rp.mle(density, formulas, data, **keywords) for data in (frame, rp.stream(path, PIECE)))


@pytest.mark.parametrize("name", MODELS)
def test_the_fit_is_that_of_the_data_in_memory(name, frame, path):
    held, fit = both(name, frame, path)
    blocks = fit._reading.state.at.asked.blocks
    assert isinstance(blocks, StreamedBlocks) and len(blocks) > 4
    assert fit.status == held.status and fit.converged and fit.n_dropped == held.n_dropped == N // 50
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-8
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-6)
    for what in ("llf", "aic", "bic", "nobs", "df_resid", "df_model"):
        np.testing.assert_allclose(getattr(fit, what), getattr(held, what), rtol=1e-11, err_msg=what)
    new = frame.drop(columns="g").assign(g="a").iloc[1:5]
    pd.testing.assert_frame_equal(pd.DataFrame(fit.predict(new)), pd.DataFrame(held.predict(new)), rtol=1e-6)
    assert str(fit.summary()).splitlines()[0] == str(held.summary()).splitlines()[0]


@pytest.fixture(scope="module")
def fit(path):
    return rp.mle("zip", {"mean": "zeros ~ x + g", "zero": "~ 1"}, rp.stream(path, PIECE))


def test_tests_and_profiles_read_the_rows_again(fit, frame):
    held = rp.mle("zip", {"mean": "zeros ~ x + g", "zero": "~ 1"}, frame)
    np.testing.assert_allclose(fit.conf_int(kind="profile"), held.conf_int(kind="profile"), rtol=1e-6)
    again = fit.update(". ~ . - g")
    assert again.llf < fit.llf and again.names == held.update(". ~ . - g").names
    mean = fit.predict(frame.iloc[1:3], kind="response")
    np.testing.assert_allclose(mean, held.predict(frame.iloc[1:3], kind="response"), rtol=1e-6)


@pytest.mark.parametrize("ask", [lambda one: one.predict(), lambda one: one.leverage(), lambda one: one.dfbetas()])
def test_what_has_a_value_for_each_row_is_refused(ask, fit):
    with pytest.raises((DataError, ModelError), match="memory"):
        ask(fit)


@pytest.mark.parametrize("more", [{"cov": "HC1"}, {"groups": "w"}, {"cov": "HC0", "weights": "w"}])
def test_robust_covariances_are_those_in_memory(more, frame, path):
    held, fit = (rp.mle("zip", "zeros ~ x + g", data, **more) for data in (frame, rp.stream(path, PIECE)))
    np.testing.assert_allclose(fit.bse, held.bse, rtol=1e-6)


def test_a_users_density_and_a_start(frame, path):
    import jax.numpy as jnp

    def poisson(y, log_mean, *, off):
        return y * (log_mean + off) - jnp.exp(log_mean + off)

    held, fit = (
        rp.mle(poisson, {"log_mean": "count ~ x + g"}, data, start=[0.1, 0.2, 0.3, 0.4])
        for data in (frame, rp.stream(path, PIECE))
    )
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-8


def test_a_maximum_at_infinity_is_found_as_in_memory(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(["a", "b"], 600), "y": rng.poisson(2.0, 1200)})
    frame.loc[frame["g"] == "b", "y"] += 1  # no zeros there
    frame.sample(frac=1.0, random_state=0).to_parquet(tmp_path / "rows.parquet")
    formulas = {"mean": "y ~ 1", "zero": "~ g"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = rp.mle("zip", formulas, pd.read_parquet(tmp_path / "rows.parquet"))
        fit = rp.mle("zip", formulas, rp.stream(tmp_path / "rows.parquet", PIECE))
    assert fit.status == held.status and fit.message == held.message
    np.testing.assert_allclose(fit.llf, held.llf, rtol=1e-9)


def test_an_unbounded_likelihood_names_its_row_as_in_memory(tmp_path):
    import jax.numpy as jnp

    def normal(y, mu, log_sigma):
        return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma

    pd.DataFrame({"y": np.ones(600)}).to_parquet(tmp_path / "rows.parquet")
    source = rp.stream(tmp_path / "rows.parquet", PIECE)
    with pytest.warns((ConvergenceWarning, RankWarning), match="the likelihood seems unbounded"):
        rp.mle(normal, {"mu": "y ~ 1", "log_sigma": "~ 1"}, source)


@pytest.mark.parametrize(
    ("density", "formulas", "more", "says"),
    [
        ("zip", "zeros ~ x", {"bias": "firth"}, "bias: bias reduction needs all rows in memory"),
        ("zip", "zeros ~ x", {"method": "newton-cg"}, "keeps the curvature of every row"),
        ("zip", "zeros ~ x", {"groups": np.ones(N)}, "groups: expected a column's name"),
        ("zip", "zeros ~ x", {"weights": np.ones(N)}, "weights: expected a column's name"),
        ("zip", "x ~ g", {}, r"expects counts of 0 or more; got .* in row 0 \(1470 of 1470 rows\)"),
        ("zip", "word ~ x", {}, "expects numbers; got the levels 'low'"),
        ("weibull", "time ~ x", {"columns": {"event": "0 * x"}}, "all 1470 times are censored"),
        ("weibull", "time ~ x", {"columns": {"event": "2 * off"}}, "event: expected 1 .* in row 0"),
        ("ordered_logit", "time ~ x", {}, "different numbers|whole numbers"),
    ],
)
def test_what_cannot_be_fitted_is_refused(density, formulas, more, says, path):
    with pytest.raises((DataError, ModelError), match=says):
        rp.mle(density, formulas, rp.stream(path, PIECE), **more)


def test_a_checkpoint_gives_the_same_bits(path, tmp_path):
    given = ("zip", "zeros ~ x + g", rp.stream(path, PIECE))
    first = rp.mle(*given, checkpoint=tmp_path / "fit.ckpt")
    size = (tmp_path / "fit.ckpt").stat().st_size
    again = rp.mle(*given, checkpoint=tmp_path / "fit.ckpt")
    assert (again.params == first.params).all() and (tmp_path / "fit.ckpt").stat().st_size == size
    with pytest.raises(DataError, match=r"its formulas was 'zeros ~ x [+] g', and now it is 'zeros ~ x'"):
        rp.mle("zip", "zeros ~ x", given[2], checkpoint=tmp_path / "fit.ckpt")
    with pytest.raises(ModelError, match="checkpoint: passes over data in memory are not kept"):
        rp.mle("zip", "zeros ~ x", pd.read_parquet(path), checkpoint=tmp_path / "other.ckpt")


@pytest.mark.parametrize("asked", [{}, {"kind": "response", "se": True}])
@pytest.mark.parametrize("name", ["offset", "weibull", "ordered"])
def test_predictions_of_the_rows_that_were_fitted_are_written(name, asked, frame, path, tmp_path):
    held, fit = both(name, frame, path)
    fit.predict(**asked, to=tmp_path / "predicted.parquet")
    expected = pd.DataFrame(held.predict(**asked))
    written = pd.read_parquet(tmp_path / "predicted.parquet")
    assert list(written) == [str(one) for one in expected]
    np.testing.assert_allclose(written, expected, rtol=1e-6)


def test_the_log_likelihood_is_that_of_the_last_reading(frame):
    readings = []

    def reader():
        readings.append(0)
        yield frame

    fit = rp.mle("zero_inflated_poisson", "zeros ~ x", rp.stream(reader, PIECE), penalty=1.0)
    done = len(readings)
    llf = fit.llf
    assert len(readings) == done
    assert llf == pytest.approx(rp.mle("zero_inflated_poisson", "zeros ~ x", frame, penalty=1.0).llf, rel=1e-13)
