"""What bad input to rp.mle gets: one line that names what is wrong, where, and what to do."""

from __future__ import annotations

import math
import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp

rng = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "y": rng.normal(size=40),
        "x": rng.normal(size=40),
        "count": rng.poisson(2.0, size=40),
        "group": rng.integers(0, 3, size=40),
        "sex": np.where(rng.random(40) < 0.5, "female", "male"),
    }
)
BOTH = {"mu": "y ~ x", "log_sigma": "~ 1"}


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma


def refused(match, *arguments, error=rp.ModelError, **keywords):
    with pytest.raises(error, match=match) as caught:
        rp.mle(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_index_beyond_a_parameter():
    def loglik(params, row):
        return -0.5 * (row.y - params["shift"][row.group]) ** 2

    message = refused(r"index 2 is beyond the end of 'shift', of shape \(2,\), in row", loglik, FRAME,
                      start={"shift": np.zeros(2)})  # fmt: skip
    assert 'params["shift"][row.group]' in message

    def static(params, row):
        return -0.5 * (row.y - params["shift"][5]) ** 2

    refused(r"index 5 is beyond|out of bounds|failed", static, FRAME, start={"shift": np.zeros(2)})


def test_a_code_compared_with_text():
    def loglik(params, row):
        return -0.5 * (row.y - jnp.where(row.sex == "male", params["a"], params["b"])) ** 2

    refused(r"compares row.sex with the text 'male'", loglik, FRAME, start={"a": 0.0, "b": 0.0})

    def density(y, mu, *, sex):
        return -0.5 * (y - jnp.where(sex == "male", mu, 2 * mu)) ** 2

    refused("compares sex with the text 'male'", density, {"mu": "y ~ 1"}, FRAME)


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda y, mu, log_sigma: -((y - mu) ** 2) * math.exp(-log_sigma), "cannot be traced"),
        (lambda y, mu, log_sigma: -((y - mu) ** 2) * np.exp(np.asarray(log_sigma)), "passes a traced value to NumPy"),
        (lambda y, mu, log_sigma: -log_sigma if mu > 0 else log_sigma, "Python `if`"),
        (lambda y, mu, log_sigma: jnp.array([mu, log_sigma]), r"returned an array of shape \(2,\)"),
        (lambda y, mu, log_sigma: (mu, log_sigma), "returned a tuple"),
        (lambda y, mu, log_sigma: None, "returned a NoneType"),
        (lambda y, mu, log_sigma: "text", "expected one number|returned a str|failed"),
        (lambda y, mu, log_sigma: mu.nothing, "failed"),
        (lambda y, mu, log_sigma: y == mu, "returned bool"),
    ],
)
def test_functions_that_jax_cannot_follow(function, match):
    message = refused(match, function, BOTH, FRAME)
    if "traced" in match or "if" in match:
        assert "derivatives='finite'" in message


def test_formulas_and_names():
    told = "the density has no parameter 'sigma'; its parameters are mu, log_sigma"
    refused(told, normal, {"mu": "y ~ x", "sigma": "~ 1"}, FRAME)
    refused(r"log_time, log_sigma\. Did you mean sigma\?", "weibull", {"time": "y ~ x", "sgma": "~ 1"}, FRAME)
    refused("got none for log_sigma", normal, {"mu": "y ~ x"}, FRAME)
    refused(
        "has no response; write one on its left",
        normal,
        {"mu": "~ x", "log_sigma": "~ 1"},
        FRAME,
        error=rp.FormulaError,
    )
    both = {"mu": "y ~ x", "log_sigma": "y ~ 1"}
    refused("only the first formula may have a response", normal, both, FRAME, error=rp.FormulaError)
    refused("not.*column|no column", normal, {"mu": "y ~ nothing", "log_sigma": "~ 1"}, FRAME, error=rp.RaphsonError)
    refused("Did you mean 'zero_inflated_poisson'", "zero_inflated_poison", "y ~ x", FRAME)
    refused("expected a dict of a formula", normal, "y ~ x", FRAME)
    refused("expected a function", 3, BOTH, FRAME)

    def needs_event(y, mu, *, event):
        return event * mu - y * jnp.exp(mu)

    refused("needs a column 'event'", needs_event, {"mu": "y ~ x"}, FRAME, error=rp.DataError)
    refused("the density has no keyword 'evnt'", needs_event, {"mu": "y ~ x"}, FRAME, columns={"evnt": "x"})
    refused(r"\*args", lambda y, *parameters: y, {"mu": "y ~ x"}, FRAME)


def test_the_general_form_needs_its_start():
    def loglik(params, row):
        return -0.5 * (row.y - params["a"]) ** 2

    refused("start: expected a dict of parameters with starting values", loglik, FRAME)
    refused("expected a dict of parameters", loglik, FRAME, start=np.zeros(2))
    refused("expected finite numbers", loglik, FRAME, start={"a": np.nan})
    refused("KeyError.*'a'", loglik, FRAME, start={"b": 0.0})
    refused("not a column|is not in|no column", lambda params, row: params["a"] * row.nothing, FRAME, start={"a": 0.0},
            error=rp.DataError)  # fmt: skip
    refused("reads no column", lambda params, row: -(params["a"] ** 2), FRAME, start={"a": 0.0})
    refused("dates|neither numbers", lambda params, row: params["a"] * row.when,
            {"when": pd.date_range("2020", periods=3)}, start={"a": 0.0}, error=rp.DataError)  # fmt: skip


def test_a_parameter_without_effect_is_named():
    def loglik(params, row):
        return -0.5 * (row.y - params["a"] - 0 * params["idle"][1]) ** 2

    refused(r"does not depend on idle\[0\], idle\[1\]", loglik, FRAME, start={"a": 0.0, "idle": np.zeros(2)})


def test_what_is_not_identified_is_named():
    def loglik(params, row):
        return -0.5 * (row.y - jnp.sin(params["a"] + params["b"]) - params["c"] * row.x) ** 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.mle(loglik, FRAME, start={"a": 0.1, "b": 0.2, "c": 0.0})
    assert not fit.converged or np.isnan(fit.params).any()
    assert "a" in fit.message and "b" in fit.message

    def cubic(params, row):
        return -0.5 * (row.y - jnp.exp(params["a"]) * params["b"] * (1.0 + params["c"] * jnp.exp(row.x) ** 0.5)) ** 2

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = rp.mle(cubic, FRAME, start={"a": 0.1, "b": 0.2, "c": 0.3})
    assert not fit.converged
    assert "not identified: the likelihood does not change along" in fit.message
    assert any(one.category is rp.errors.ConvergenceWarning if hasattr(rp, "errors") else True for one in said)


def test_a_likelihood_that_is_not_finite_at_the_start_says_where():
    def loglik(params, row):
        rate = params["a"] + params["b"] * row.x
        return jnp.log(rate) - rate

    message = refused(r"start: loglik is nan for \d+ of 40 rows", loglik, FRAME, start={"a": 0.0, "b": 1.0},
                      error=rp.ConvergenceError)  # fmt: skip
    assert "log(-" in message and "jnp.log(rate) - rate" in message and "a=0, b=1" in message


def test_an_unbounded_likelihood_says_so():
    # A mixture in which one component may shrink onto a single point.
    def loglik(params, row):
        one = -0.5 * ((row.y - params["m"]) / jnp.exp(params["log_s"])) ** 2 - params["log_s"]
        return jnp.logaddexp(one, -0.5 * row.y**2)

    at = float(FRAME["y"][0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.mle(loglik, FRAME, start={"m": at, "log_s": -6.0}, max_iter=60)
    assert not fit.converged
    assert "unbounded" in fit.message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"y": [2.0, 2, 2, 2], "x": [1.0, 2, 3, 4]}, "in a straight line as log_sigma:Intercept goes to -infinity"),
        ({"y": [2.0, 4, 6, 8], "x": [1.0, 2, 3, 4]}, "fits without error"),
    ],
)
def test_a_model_that_fits_without_error_says_so(data, told):
    def normal(y, mu, log_sigma):
        return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma

    right = "1" if len(set(data["y"])) == 1 else "x"
    with pytest.warns(rp.ConvergenceWarning, match=f"unbounded.*{told}"):
        rp.mle(normal, {"mu": f"y ~ {right}", "log_sigma": "~ 1"}, data)

    # A maximum that was not reached is another matter, however steep the way to it.
    with pytest.warns(rp.ConvergenceWarning) as caught:
        rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, {**data, "y": [2.1, 4.2, 6.4, 8.2]}, max_iter=2)
    assert "unbounded" not in str(caught[0].message)


def test_events_are_not_guessed_from_text():
    frame = FRAME.assign(time=1.0 + FRAME["count"], status=np.where(FRAME["count"] > 1, "dead", "lost"))
    refused("event: the weibull density expects numbers; status holds the levels 'dead', 'lost'", "weibull",
            "time ~ x", frame, columns={"event": "status"}, error=rp.DataError)  # fmt: skip
    refused("all 40 times are censored", "weibull", "time ~ x", frame.assign(event=0), error=rp.DataError)
    assert rp.mle("weibull", "time ~ x", frame, columns={"event": "status == 'dead'"}).converged


def test_responses_outside_a_ready_density():
    refused("expects counts of 0 or more; got -", "zero_inflated_poisson", "y ~ x", FRAME, error=rp.DataError)
    refused("expects shares", "beta", "count ~ x", FRAME, error=rp.DataError)
    refused("event: expected 1", "weibull", "I(count + 1) ~ x", FRAME,
            columns={"event": "group"}, error=rp.DataError)  # fmt: skip
    refused("ordered density expects", "ordered_logit", "y ~ x", FRAME)


def test_impure_functions_and_random_ones():
    def random(params, row):
        return -0.5 * (row.y - params["a"]) ** 2 + float(np.random.default_rng().normal())

    refused("got different ones in a second call", random, FRAME, start={"a": 0.0}, derivatives="finite")
    refused("works only in the general form", normal, BOTH, FRAME, derivatives="finite")
    refused("derivatives: expected one of exact, finite", normal, BOTH, FRAME, derivatives="numeric")


def test_single_precision_is_warned_of():
    knots = jnp.asarray(np.array([0.5, 1.0], dtype=np.float32))

    def loglik(params, row):
        return -0.5 * (row.y - params["a"] * knots.sum()) ** 2

    with pytest.warns(UserWarning, match="32-bit"):
        rp.mle(loglik, FRAME, start={"a": 0.0})


def test_expected_information_is_refused_where_nothing_can_be_expected():
    def loglik(params, row):
        return -0.5 * (row.y - params["a"]) ** 2

    fit = rp.mle(loglik, FRAME, start={"a": 0.0})
    with pytest.raises(rp.ModelError, match="does not say which column"):
        fit.information("expected")
    with pytest.raises(rp.ModelError, match="what to predict"):
        fit.predict()
    with pytest.raises(rp.ModelError, match="has no mean"):
        fit.residuals()


def test_a_traced_function_that_is_random_or_remembers():
    calls = []

    def random(y, mu):
        return -0.5 * (y - mu) ** 2 * float(rng.random())

    def remembers(params, row):
        calls.append(1)
        return -0.5 * (row.y - params["a"]) ** 2 / len(calls)

    refused("got different ones in a second call", random, {"mu": "y ~ 1"}, FRAME)
    refused("got different ones in a second call", remembers, FRAME, start={"a": 0.0})


def test_scipy_on_traced_values():
    from scipy import special as host

    message = refused("passes a traced value to NumPy", lambda y, mu: -host.gammaln(mu) * y, {"mu": "y ~ 1"}, FRAME)
    assert "jax.numpy" in message and "derivatives='finite'" in message


def test_a_slope_that_is_not_finite_where_the_value_is():
    def root(y, least, log_scale):
        return -jnp.sqrt(y - least) / jnp.exp(log_scale) - log_scale

    data = {"y": [0.0, 0.0, 1.0, 2.0, 3.0, 1.5]}
    both = {"least": "y ~ 1", "log_scale": "~ 1"}
    found = r"is finite for 2 of 6 rows \(0, 1, counted from 0\)"
    message = refused(found, root, both, data, start=[0.0, 0.5], error=rp.ConvergenceError)
    assert "but its derivatives are not: sqrt" in message and "jnp.sqrt(y - least)" in message


def test_corners_are_told_of():
    def laplace(y, mu, log_scale):
        return -jnp.abs(y - mu) / jnp.exp(log_scale) - log_scale

    with pytest.warns(rp.ConvergenceWarning):
        fit = rp.mle(laplace, {"mu": "y ~ x", "log_scale": "~ 1"}, FRAME)
    assert not fit.converged
    assert "second derivatives by mu are 0 in every row" in fit.message


def test_a_parameter_of_a_density_that_it_ignores():
    with pytest.warns(rp.ConvergenceWarning):
        fit = rp.mle(lambda y, mu, idle: -0.5 * (y - mu) ** 2, {"mu": "y ~ 1", "idle": "~ 1"}, FRAME)
    assert "does not change along +1*idle:Intercept" in fit.message


def test_one_level_is_no_order():
    refused("an ordered density expects at least two levels; got \\['2'\\]", "ordered_logit", "y ~ x",
            {"y": [2, 2, 2], "x": [1.0, 4, 3]})  # fmt: skip


def test_no_status_of_a_likelihood_speaks_of_links_or_means():
    from raphson.status import Status

    rng = np.random.default_rng(0)
    fit = rp.mle("zero_inflated_poisson", "y ~ 1", {"y": rng.poisson(2, 60) * (rng.random(60) > 0.3)})
    model = fit._reading.state.at.asked
    for status in (Status.BOUNDARY, Status.SINGULAR, Status.SEARCH_FAILED, Status.STEP_LIMIT, Status.NOT_FINITE):
        assert not {"link", "means", "coefficients"} & set(model.advice(status).replace(",", "").split()), status
    assert "positive density" in model.advice(Status.BOUNDARY)
