"""The straight course against the general loop: the same steps, and none where the loop has to decide something."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import raphson as rp
from raphson.inference.restricted import maximum_on_plane
from raphson.model import families
from raphson.model.families import links
from raphson.newton import maximize as loop
from raphson.newton.maximize import maximize

N = 80
NAMES = ("gaussian", "binomial", "quasibinomial", "poisson", "quasipoisson", "gamma", "inverse_gaussian")


def data(name, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(N), rng.uniform(-0.5, 0.5, size=(N, 2))])
    eta = 0.4 + X[:, 1:] @ [0.3, -0.2]
    if "binomial" in name:
        return (rng.random(N) < eta).astype(float), X
    if "poisson" in name:
        return rng.poisson(5.0 * eta).astype(float), X
    return eta * rng.gamma(4.0, 0.25, N), X


@pytest.fixture
def courses(monkeypatch):
    """The courses of the fits made in a test: a list with an entry for each, None where one was not straight."""
    found = []

    def watched(*given):
        found.append(straight(*given))
        return found[-1]

    straight = loop.straight
    monkeypatch.setattr(loop, "straight", watched)
    return found


def in_general(monkeypatch, fit):
    """The same fit by the general loop alone."""
    with monkeypatch.context() as patch:
        patch.setattr(loop, "runs_straight", lambda *given: False)
        return fit()


def check_same(ours, theirs):
    mine, other = check_same_end(ours, theirs)
    assert mine.steps.steps[1:] == other.steps.steps[1:]
    np.testing.assert_array_equal(mine.steps.steps[0], other.steps.steps[0])  # its step size is NaN
    assert mine.distance == other.distance
    np.testing.assert_array_equal(mine.theta, other.theta)
    np.testing.assert_array_equal(ours.bse, theirs.bse)


def check_same_course(ours, theirs):
    """As :func:`check_same`, for distances and a last step that are computed in two ways."""
    mine, other = check_same_end(ours, theirs)
    np.testing.assert_allclose(mine.theta, other.theta, rtol=1e-12, atol=10.0 * mine.floor)
    for one, two in zip(mine.steps.steps, other.steps.steps, strict=True):
        assert one.solver == two.solver
        np.testing.assert_allclose(one[:9], two[:9], rtol=1e-8, atol=1e-13)
    assert mine.distance == pytest.approx(other.distance, rel=1e-6, abs=1e-13)
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-10)


def check_same_end(ours, theirs):
    mine, other = ours._reading.state, theirs._reading.state
    assert mine.status == other.status
    assert mine.floor == pytest.approx(other.floor, rel=1e-12)
    assert ours.message == theirs.message and ours.n_iter == theirs.n_iter
    for field in ("free", "aliased", "undetermined", "infinite"):
        np.testing.assert_array_equal(getattr(mine, field), getattr(other, field))
    return mine, other


@pytest.mark.parametrize("link", links.LINKS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method, weighted", [("fisher-scoring", False), ("newton", True)])
def test_the_steps_are_those_of_the_general_loop(monkeypatch, name, link, method, weighted):
    y, X = data(name)
    rng = np.random.default_rng(1)
    more = {}
    if weighted:
        more = {
            "weights": rng.integers(0, 3, N) + 0.5 * rng.random(N),
            "offset": rng.uniform(0, 0.05, N),
            "penalty": 0.1,
        }
        more["weights"][3] = 0.0

    def fit():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                return rp.glm(y, X, family=families.FAMILIES[name](link=link), method=method, **more), said
            except rp.RaphsonError as error:
                return error, said

    ours, mine = fit()
    theirs, other = in_general(monkeypatch, fit)
    assert [str(one.message) for one in mine] == [str(one.message) for one in other]
    if isinstance(ours, rp.RaphsonError):
        assert str(ours) == str(theirs)
    else:
        check_same(ours, theirs)


@pytest.mark.parametrize(
    "name, link", [("binomial", "logit"), ("binomial", "probit"), ("gamma", "log"), ("poisson", "log")]
)
def test_ordinary_fits_run_straight(courses, name, link):
    y, X = data(name)
    fit = rp.glm(y, X, family=families.FAMILIES[name](link=link))
    assert fit.converged and len(courses) == 1 and courses[0] is not None


@pytest.mark.parametrize("options", [{"max_iter": 1}, {"tol": 1e-3}, {"tol": 1e-14}, {"start": [0.0, 0.0, 0.0]}])
def test_options_of_the_iteration_hold(monkeypatch, options):
    y, X = data("binomial")

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return rp.glm(y, X, family="binomial", **options)

    check_same(fit(), in_general(monkeypatch, fit))


def separated(y, X):
    return (X[:, 1] > 0).astype(float), X


def aliased(y, X):
    return y, np.column_stack([X, X[:, 1] + X[:, 2]])


def nearly_aliased(y, X):
    return y, np.column_stack([X, X[:, 1] + 1e-6 * X[:, 2] ** 2])


@pytest.mark.parametrize("change", [separated, aliased, nearly_aliased])
def test_what_is_out_of_the_ordinary_is_left_to_the_general_loop(monkeypatch, courses, change):
    y, X = change(*data("binomial"))

    def fit():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            return rp.glm(y, X, family="binomial"), [str(one.message) for one in said]

    ours, mine = fit()
    assert courses[0] is None
    theirs, other = in_general(monkeypatch, fit)
    assert mine == other
    check_same(ours, theirs)


def test_a_start_without_a_finite_value_is_an_error_as_in_the_general_loop():
    y, X = data("gamma")
    with pytest.raises(rp.ConvergenceError, match="start: expected parameters with a finite log-likelihood"):
        rp.glm(y, X, family=families.FAMILIES["gamma"](link="identity"), start=[-1.0, 0.0, 0.0])


def test_what_the_course_does_not_have_is_not_asked_of_it(courses):
    y, X = data("binomial")
    objective = rp.glm(y, X, family="binomial")._reading.state.at.asked.objective
    courses.clear()
    method, start = rp.methods.METHODS["fisher-scoring"], np.zeros(3)
    free = np.array([True, False, True])
    for given in ({"free": free}, {"damping": 0.1}, {"learning_rate": 0.5}, {"watch": lambda step: None}):
        maximize(objective, start, method, **given)
    for name in ("irls", "bhhh", "newton-cg", "gradient-descent"):
        maximize(objective, start, rp.methods.METHODS[name], max_iter=2)
    assert not courses


@pytest.mark.parametrize("name", ["binomial", "gamma"])
def test_maxima_on_a_plane_are_those_of_the_general_loop(monkeypatch, courses, name):
    y, X = data(name)
    state = rp.glm(y, X, family=families.FAMILIES[name](link="log" if name == "gamma" else "logit"))._reading.state
    courses.clear()
    R, every = np.array([[0.0, 1.0, 2.0]]), np.ones(3, dtype=bool)

    def found():
        return maximum_on_plane(state.at.asked.objective, R, np.array([0.3]), state.theta, every)

    ours, theirs = found(), in_general(monkeypatch, found)
    assert len(courses) == 1 and courses[0] is not None
    assert ours.converged and theirs.converged and ours.value == theirs.value
    np.testing.assert_array_equal(ours.theta, theirs.theta)


@pytest.mark.parametrize("bias", ["firth", "jeffreys"])
def test_bias_reduced_fits_are_left_to_the_general_loop(courses, bias):
    y, X = data("binomial")
    fit = rp.glm(y, X, family="binomial", bias=bias)
    assert fit.converged and fit._reading.state.at.asked.objective.likelihood.few
    assert not courses


CURVES = {
    "decay": ("y ~ a*exp(-k*x) + c", {"a": 2.0, "k": 1.0, "c": 0.1}),
    "rise": ("y ~ a*(1 - exp(-k*x))", {"a": 500.0, "k": 1e-2}),
    "rate first": ("y ~ exp(-k*x)*a", {"k": 0.5, "a": 1.0}),
    "no linear parameter": ("y ~ exp(-k*x + b) + sqrt(c**2 + x)/9", {"k": 0.5, "b": 0.1, "c": 1.0}),
    "far away": ("y ~ a/(1 + exp(b - k*x))", {"a": 1.0, "b": -8.0, "k": -9.0}),
    "seven parameters": (
        "y ~ a*exp(-k*x) + b*exp(-m*x) + c*x**2 + d + g*sin(x)",
        {"a": 1.0, "k": 0.5, "b": 1.0, "m": 3.0, "c": 0.1, "d": 0.1, "g": 0.1},
    ),
    "linear": ("y ~ a + b*x", {"a": 1.0, "b": 1.0}),
    "singular": ("y ~ a*exp(-k*x) + b*exp(-k*x)", {"a": 1.0, "k": 1.0, "b": 2.0}),
    "without start": ("y ~ a*exp(-k*x) + c", None),
}


def curve_data(error=0.02):
    x = np.linspace(0.1, 4.0, 30)
    rng = np.random.default_rng(4)
    return {"x": x, "y": 2.0 * np.exp(-0.9 * x) + 0.3 + error * rng.standard_normal(30), "w": rng.uniform(0, 2, 30)}


def fitted(formula, start, **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit = rp.nls(formula, **({"data": curve_data()} | options), start=start)
        except rp.RaphsonError as error:
            return error, []
    return fit, [str(one.message) for one in said]


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize(
    "options",
    [{}, {"weights": "w", "penalty": 0.01}, {"data": curve_data(0.0)}, {"max_iter": 2}, {"tol": 1e-3}, {"tol": 1e-15}],
    ids=str,
)
def test_the_steps_of_a_curve_are_those_of_the_general_loop(monkeypatch, name, options):
    if name == "without start" and options.get("max_iter"):
        options = {}
    ours, mine = fitted(*CURVES[name], **options)
    theirs, other = in_general(monkeypatch, lambda: fitted(*CURVES[name], **options))
    assert mine == other
    if isinstance(ours, rp.RaphsonError):
        assert str(ours) == str(theirs)
    else:
        check_same_course(ours, theirs)


def test_rows_of_weight_zero_leave_the_course_of_a_curve_as_it_is(monkeypatch):
    data = curve_data()
    data["w"][[0, 7]] = 0.0
    ours, _ = fitted(*CURVES["decay"], data=data, weights="w")
    check_same_course(ours, in_general(monkeypatch, lambda: fitted(*CURVES["decay"], data=data, weights="w"))[0])


@pytest.mark.parametrize("name", ["decay", "rate first", "no linear parameter"])
def test_ordinary_curves_run_straight(courses, name):
    fit, _ = fitted(*CURVES[name])
    assert fit.converged and courses and courses[0] is not None


def test_curves_with_bounds_or_of_functions_are_left_to_the_general_loop(courses):
    assert fitted(*CURVES["decay"], bounds={"k": (0.0, 1.5)})[0].n_iter
    assert fitted(CURVES["decay"][0], {"a": 2.0, "k": 1.0}, fixed={"c": 0.3})[0].n_iter
    x, y = curve_data()["x"], curve_data()["y"]
    assert rp.nls(
        lambda p, x: p["a"] * np.exp(-p["k"] * x), (x, y), start={"a": 2.0, "k": 1.0}, derivatives="finite"
    ).n_iter
    assert not courses
