"""Fits with rows on a device, here the processor as JAX's own, against the same fits on the processor."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson import numeric

N = 600


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, N))
    eta = 0.3 + 0.4 * x - 0.2 * z
    trials = rng.integers(1, 9, N)
    return pd.DataFrame(
        {
            "x": x,
            "z": z,
            "g": rng.choice(list("abc"), N),
            "w": rng.integers(0, 3, N).astype(float),
            "off": 0.1 * rng.normal(size=N),
            "trials": trials.astype(float),
            "successes": rng.binomial(trials, 1 / (1 + np.exp(-eta))).astype(float),
            "count": rng.poisson(np.exp(eta)),
            "over": rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta))),
            "positive": rng.gamma(3.0, np.exp(eta) / 3.0),
            "normal": eta + rng.normal(size=N),
            "t": rng.uniform(0.0, 4.0, N),
            "level": rng.choice(list("pqr"), N),
        }
    )


@pytest.fixture
def on_device(monkeypatch):
    """An executor on a device, which says how many readings it made."""
    from raphson.model.device_rows import DeviceRows

    made = []
    read = DeviceRows.read

    def counted(self, *given):
        found = read(self, *given)
        made.append(found is not None)
        return found

    monkeypatch.setattr(DeviceRows, "read", counted)
    there = rp.execute.gpu(platform="cpu")
    yield there
    assert any(made)


@pytest.fixture
def used(monkeypatch):
    """The devices that a training, and the fits of many curves, compute on."""
    from raphson.newton.many import problems
    from raphson.newton.training import first_order

    found = set()

    def anchor():
        made = numeric.anchor()
        found.add(made.device)
        return made

    monkeypatch.setattr(problems, "anchor", anchor)
    monkeypatch.setattr(first_order, "anchor", anchor)
    return found


def agree(fit, other):
    """To 1e-8 standard errors, and by the same way."""
    assert fit.status == other.status
    unit = np.asarray(other.bse, dtype=float)
    np.testing.assert_allclose(np.asarray(fit.params) / unit, np.asarray(other.params) / unit, rtol=0, atol=1e-8)
    np.testing.assert_allclose(fit.bse, other.bse, rtol=1e-8)
    assert fit.llf == pytest.approx(other.llf, rel=1e-10, nan_ok=True)


GLMS = {
    "binomial with trials and factors": ("successes ~ x + g", "binomial", {"trials": "trials"}),
    "poisson with counts and an offset": (
        "count ~ x + z",
        "poisson",
        {"weights": "w", "weights_kind": "frequency", "offset": "off"},
    ),
    "gamma of a log link, by precision": (
        "positive ~ x",
        rp.families.Gamma(link="log"),
        {"weights": "w", "weights_kind": "precision"},
    ),
    "normal, penalised": ("normal ~ x + z", "gaussian", {"penalty": 2.0}),
    "quasi-Poisson": ("count ~ x", "quasipoisson", {}),
    "Tweedie": ("count ~ x", "tweedie(1.5)", {"method": "irls"}),
    "negative binomial": ("over ~ x", "negative-binomial", {}),
    "multinomial": ("level ~ x", "multinomial", {}),
    "sampling weights, robust": ("count ~ x", "poisson", {"weights": "w", "weights_kind": "sampling"}),
}


@pytest.mark.parametrize("name", GLMS)
def test_generalised_linear_models(frame, on_device, name):
    formula, family, given = GLMS[name]
    agree(
        rp.glm(formula, frame, family=family, executor=on_device, **given),
        rp.glm(formula, frame, family=family, **given),
    )


def test_what_a_fit_offers_afterwards(frame, on_device):
    one, other = (rp.glm("count ~ x + z", frame, family="poisson", executor=executor) for executor in (on_device, None))
    agree(one.robust("HC1"), other.robust("HC1"))
    for kind in ("wald", "profile"):
        np.testing.assert_allclose(one.conf_int(kind=kind), other.conf_int(kind=kind), rtol=1e-7)
    np.testing.assert_allclose(one.predict(frame), other.predict(frame), rtol=1e-12)
    nested = rp.glm("count ~ x", frame, family="poisson", executor=on_device)
    assert rp.anova(nested, one).iloc[-1].notna().any()


@pytest.mark.parametrize("method", ["newton", "gauss-newton", "levenberg-marquardt"])
def test_curves(frame, on_device, method):
    frame = frame.assign(y=3.0 * (1.0 - np.exp(-0.7 * frame["t"])) + 0.1 * frame["normal"])
    given = {"start": {"a": 1.0, "b": 1.0}, "weights": "w", "method": method}
    agree(*(rp.nls("y ~ a*(1 - exp(-b*t))", frame, executor=executor, **given) for executor in (on_device, None)))


@pytest.mark.parametrize("streamed", [False, True])
def test_linear_parameters_of_a_curve_are_solved_for_there(on_device, streamed, tmp_path, monkeypatch):
    from raphson.model.curve.least_squares import NonlinearModel

    rng = np.random.default_rng(4)
    t = rng.uniform(0.0, 4.0, 20_000)
    data = pd.DataFrame({"t": t, "y": 2.0 * np.exp(-0.7 * t) + 0.3 + 0.1 * rng.normal(size=t.size)})
    data.to_parquet(tmp_path / "rows.parquet")
    given = {"start": {"a": 1.0, "b": 1.0, "c": 0.0}}
    other = rp.nls("y ~ a*exp(-b*t) + c", data, **given)
    rows = []
    problem = NonlinearModel.linear_problem

    def counted(self, theta):
        A, r = problem(self, theta)
        rows.append(len(A))
        return A, r

    monkeypatch.setattr(NonlinearModel, "linear_problem", counted)
    source = rp.stream(tmp_path / "rows.parquet") if streamed else data
    agree(rp.nls("y ~ a*exp(-b*t) + c", source, executor=on_device, **given), other)
    assert max(rows, default=0) <= 4  # triangles


def test_a_function_of_all_rows(frame, on_device):
    def curve(params, x):
        return params["a"] * jnp.exp(-params["b"] * x["t"])

    y = np.exp(-0.5 * frame["t"].to_numpy()) + 0.1 * frame["normal"].to_numpy()
    given = {"start": {"a": 1.0, "b": 1.0}}
    agree(*(rp.nls(curve, ({"t": frame["t"].to_numpy()}, y), executor=one, **given) for one in (on_device, None)))


def test_densities_and_general_likelihoods(frame, on_device):
    def density(y, mean, log_sd):
        return -log_sd - 0.5 * ((y - mean) / jnp.exp(log_sd)) ** 2

    def loglik(params, row):
        eta = params["b"][0] + params["b"][1] * row.x
        return row.count * eta - jnp.exp(eta)

    formulas = {"mean": "normal ~ x + z", "log_sd": "~ x"}
    agree(*(rp.mle(density, formulas, frame, weights="w", executor=one) for one in (on_device, None)))
    start = {"b": np.zeros(2)}
    agree(*(rp.mle(loglik, frame, start=start, executor=one) for one in (on_device, None)))
    formulas = {"log_mean": "count ~ x", "logit_zero": "~ 1"}
    agree(*(rp.mle("zero_inflated_poisson", formulas, frame, executor=one) for one in (on_device, None)))


def test_streamed_rows(frame, on_device, tmp_path):
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path, row_group_size=100)
    agree(*(rp.glm("count ~ x + g", rp.stream(path), family="poisson", executor=one) for one in (on_device, None)))
    assert on_device.device.kept.n_bytes == 0


def test_a_checkpoint_of_streamed_rows(frame, on_device, tmp_path, monkeypatch):
    path, kept = tmp_path / "rows.parquet", tmp_path / "fit.checkpoint"
    frame.to_parquet(path, row_group_size=100)
    given = {"family": "poisson", "executor": on_device, "checkpoint": kept}
    first = rp.glm("count ~ x", rp.stream(path), **given)
    from raphson.model.device_rows import DeviceRows

    monkeypatch.setattr(DeviceRows, "_sent", lambda *_: pytest.fail("rows are read again"))
    again = rp.glm("count ~ x", rp.stream(path), **given)
    assert again.params.equals(first.params) and again.llf == first.llf


def test_bias_reduction(frame, on_device):
    few = frame.iloc[:40]
    for bias in ("firth", "jeffreys"):
        given = {"family": "binomial", "trials": "trials", "bias": bias}
        agree(*(rp.glm("successes ~ x", few, executor=executor, **given) for executor in (on_device, None)))


def test_separated_rows_end_as_on_the_processor(on_device):
    x = np.linspace(-1, 1, 300)
    data = {"x": x, "y": (x > 0.1).astype(float)}
    with pytest.warns(rp.SeparationWarning):
        one, other = (rp.glm("y ~ x", data, family="binomial", executor=where) for where in (on_device, None))
    assert one.status == other.status and one.message == other.message


def test_an_aliased_column_goes_as_on_the_processor(frame, on_device):
    frame = frame.assign(twice=2.0 * frame["x"])
    with pytest.warns(rp.RankWarning):
        fits = [rp.glm("count ~ x + twice", frame, family="poisson", executor=where) for where in (on_device, None)]
    one, other = (fit.params.fillna(0.0) for fit in fits)
    np.testing.assert_allclose(one, other, rtol=1e-10)


def test_many_curves(used):
    rng = np.random.default_rng(2)
    t = np.tile(np.linspace(0.1, 4.0, 12), 40)
    curve = np.repeat(np.arange(40), 12)
    y = (2.0 + 0.1 * curve) * np.exp(-0.5 * t) + 0.05 * rng.normal(size=t.size)
    data = pd.DataFrame({"t": t, "y": y, "curve": curve})
    given = {"by": "curve", "start": {"a": 1.0, "b": 1.0}}
    there = rp.execute.gpu(platform="cpu")
    one = rp.nls("y ~ 1 + a*exp(-b*t)", data, executor=there, **given)
    assert used == {there.device.place}
    other = rp.nls("y ~ 1 + a*exp(-b*t)", data, **given)
    np.testing.assert_allclose(one.params, other.params, rtol=1e-9)
    np.testing.assert_allclose(one.bse, other.bse, rtol=1e-8)
    assert (one.status == other.status).all()


@pytest.mark.parametrize("precision", ["double", "single"])
def test_networks_train_there(frame, on_device, used, precision):
    given = {"hidden": (6,), "activation": "tanh", "epochs": 4, "precision": precision, "validation": 0.2, "seed": 3}
    one = rp.network("normal ~ x + z", frame, executor=on_device, **given)
    assert used == {on_device.device.place}
    other = rp.network("normal ~ x + z", frame, **given)
    tolerance = 1e-9 if precision == "double" else 1e-3
    np.testing.assert_allclose(one.params, other.params, rtol=0, atol=tolerance)
    np.testing.assert_allclose(one.predict(frame), other.predict(frame), atol=10 * tolerance)


def test_a_network_by_a_second_order_method(frame, on_device):
    given = {"hidden": (3,), "activation": "tanh", "method": "levenberg-marquardt", "max_iter": 5, "seed": 3}
    with pytest.warns(rp.ConvergenceWarning):
        one, other = (rp.network("normal ~ x", frame, executor=executor, **given) for executor in (on_device, None))
    np.testing.assert_allclose(one.params, other.params, atol=1e-6)


def test_first_order_methods_train_there(frame, on_device):
    given = {"family": "binomial", "trials": "trials", "method": "adam", "max_iter": 3, "seed": 1}
    with pytest.warns(rp.ConvergenceWarning):
        one, other = (rp.glm("successes ~ x", frame, executor=executor, **given) for executor in (on_device, None))
    np.testing.assert_allclose(one.params, other.params, atol=1e-9)


@pytest.mark.parametrize("kind", ["nonparametric", "parametric"])
@pytest.mark.parametrize("family", ["poisson", rp.families.Poisson(link="sqrt")])
def test_bootstrap_replicates(frame, on_device, kind, family):
    one, other = (rp.glm("count ~ x", frame, family=family, executor=executor) for executor in (on_device, None))
    found, there = (fit.bootstrap(60, kind=kind, seed=1) for fit in (one, other))
    np.testing.assert_allclose(found.se, there.se, rtol=1e-7)
