"""What rp.mle says and does by default where coefficients vary."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp

RNG = np.random.default_rng(5)
N = 120
DATA = pd.DataFrame({"x": RNG.normal(size=N), "g": RNG.integers(0, 8, N)})
DATA["y"] = 1.0 + DATA.x + RNG.normal(0, 0.5, 8)[DATA.g] + RNG.normal(0, 0.7, N)
FORMULAS = {"mu": "y ~ x + (1 | g)", "log_sigma": "~ 1"}


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) * jnp.exp(-log_sigma)) ** 2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)


@pytest.fixture(scope="module")
def fit():
    return rp.mle(normal, FORMULAS, DATA)


def test_the_criterion_is_reml_where_there_is_a_smooth_function(fit):
    assert fit.inputs["criterion"] == "ML (Laplace)"
    smooth = rp.mle(normal, {"mu": "y ~ s(x, k=5)", "log_sigma": "~ 1"}, DATA)
    assert smooth.inputs["criterion"] == "REML (Laplace)"
    ml = rp.mle(normal, {"mu": "y ~ s(x, k=5)", "log_sigma": "~ 1"}, DATA, criterion="ML")
    assert ml.inputs["criterion"] == "ML (Laplace)"


def test_starting_values_are_of_the_coefficients(fit):
    again = rp.mle(normal, FORMULAS, DATA, start={"mu": [1.0, 1.0], "log_sigma": -0.3})
    assert again.llf == pytest.approx(fit.llf, abs=1e-10)
    with pytest.raises(rp.ModelError, match="start: expected"):
        rp.mle(normal, FORMULAS, DATA, start=[1.0, 2.0])


def test_missing_rows_are_left_out_of_all_formulas(fit):
    holed = pd.concat([DATA, DATA.head(3).assign(g=np.nan), DATA.head(2).assign(x=np.nan)], ignore_index=True)
    with pytest.warns(rp.MissingDataWarning):
        again = rp.mle(normal, FORMULAS, holed)
    assert again.n_dropped == 5 and again.llf == pytest.approx(fit.llf, abs=1e-9)


def test_offsets_and_aliased_columns(fit):
    formulas = {"mu": "y ~ x + I(2 * x) + offset(0.5 * x) + (1 | g)", "log_sigma": "~ 1"}
    with pytest.warns(rp.RankWarning, match="aliased"):
        again = rp.mle(normal, formulas, DATA)
    assert again.llf == pytest.approx(fit.llf, abs=1e-9)
    assert again.params["mu:x"] == pytest.approx(fit.params["mu:x"] - 0.5, rel=1e-7)
    assert np.isnan(again.bse["mu:I(2 * x)"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"penalty": 1.0}, "penalty: expected None where coefficients vary"),
        ({"bias": "jeffreys"}, "bias: expected None where coefficients vary"),
        ({"cov": "HC1"}, "cov: expected 'model' where coefficients vary"),
        ({"groups": "g"}, "groups: expected None where coefficients vary"),
        ({"method": "bhhh"}, "method: expected 'newton' where coefficients vary"),
        ({"storage": "float32"}, "storage: expected 'float64' where coefficients vary"),
        ({"weights": "x", "weights_kind": "sampling"}, "weights"),
        ({"derivatives": "finite"}, "derivatives"),
        ({"criterion": "gcv"}, "criterion: expected"),
    ],
)
def test_options_without_a_meaning_are_refused(options, words):
    with pytest.raises(rp.RaphsonError, match=words):
        rp.mle(normal, FORMULAS, DATA, **options)


def test_quadrature_is_no_option():
    with pytest.raises(TypeError, match="quadrature"):
        rp.mle(normal, FORMULAS, DATA, quadrature=9)


def test_a_criterion_needs_something_that_varies():
    with pytest.raises(rp.ModelError, match="criterion: expected None where no coefficients vary"):
        rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, DATA, criterion="ml")


def test_streamed_rows_cannot_vary(tmp_path):
    pytest.importorskip("pyarrow")
    DATA.to_parquet(tmp_path / "d.parquet")
    with pytest.raises(rp.FormulaError, match="streamed"):
        rp.mle(normal, FORMULAS, rp.stream(str(tmp_path / "d.parquet")))


def test_a_density_without_a_fourth_derivative_is_refused():
    def sharp(y, mu, log_sigma):
        z = (y - mu) * jnp.exp(-log_sigma)
        return -jnp.log1p((z * z) ** 1.75) - log_sigma

    with pytest.raises(rp.ModelError, match="four derivatives and a maximum"):
        rp.mle(sharp, {"mu": "y ~ 1 + (1 | g)", "log_sigma": "~ 1"}, DATA.assign(y=0.0), start=[0.0, 0.0])


def test_glm_sends_several_levels_here():
    data = {"b": list("abc") * 20, "x": np.arange(60.0) % 7, "g": list("pqrst") * 12}
    with pytest.raises(rp.ModelError, match=r"one predictor where effects vary.*rp\.mle"):
        rp.glm("b ~ x + (1 | g)", data, family="multinomial")
