"""The finer points of a turn of the loop; what it all comes to is tested with maximize."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import raphson as rp
from raphson.data.blocks import BLOCK_ROWS
from raphson.model.objective import Need
from raphson.newton.ascent import GLIDE, Ascent
from raphson.newton.directions import MANY_BLOCKS
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS
from raphson.newton.secant import Secant
from raphson.newton.solve import factorise
from raphson.status import Status


def climb(objective, method="newton", start=None, **changes):
    p = objective.n_params
    keywords = {"free": np.ones(p, dtype=bool), "damping": 0.0, "learning_rate": None, "tolerance": 1e-8, "warm": None}
    return Ascent(objective, METHODS[method], np.zeros(p) if start is None else start, **{**keywords, **changes})


def test_one_turn_by_hand(quadratic):
    state = climb(quadratic(np.diag([4.0, 1.0])))
    assert state.solve()
    np.testing.assert_allclose(state.found.step, [1.0, 1.0])
    measured = state.measure()
    assert measured.distance == pytest.approx(np.sqrt(5.0)) and measured.previous == np.inf
    assert state.advance(polish=False)
    np.testing.assert_allclose(state.here.theta, [1.0, 1.0])
    assert state.size == 1.0 and not state.polished


def test_a_failed_search_leaves_the_point_where_it_was(toy):
    objective = toy(lambda t: -abs(float(t[0])), lambda t: np.ones(1), lambda t: np.eye(1), 1)
    state = climb(objective)
    before = state.here
    assert state.solve() and state.measure() and not state.advance(polish=False)
    assert state.here is before


def test_a_polishing_step_that_brings_nothing_is_taken_back(poisson):
    state = climb(poisson(), start=maximize(poisson(), np.zeros(3), METHODS["newton"]).theta)
    best = state.here.theta.copy()
    state.solve(), state.measure()
    # Make the way there look much better than anything that rounding can reach.
    state.distance = 0.0
    assert state.advance(polish=True)
    state.solve(), state.measure()
    np.testing.assert_array_equal(state.here.theta, best)
    assert not state.advance(polish=True)


@pytest.mark.parametrize("method", ["fisher-scoring", "bhhh"])
def test_the_observed_information_is_asked_for_only_when_near(poisson, method):
    exact = poisson().functions["observed"]
    objective = poisson(expected=lambda t: 1.2 * exact(t))
    maximize(objective, np.zeros(3), METHODS[method])
    kinds = ["observed" in need.kinds for _, need in objective.asked]
    assert not kinds[0] and kinds[-1]


def test_far_away_with_an_indefinite_observed_information_the_expected_one_measures(toy):
    objective = toy(lambda t: -0.5 * float(t @ t), lambda t: -t, lambda t: -np.eye(2), 2, expected=lambda t: np.eye(2))
    state = climb(objective, "fisher-scoring", start=np.array([1e-3, 0.0]))
    state.solve()
    assert state.measure().distance == pytest.approx(1e-3)


# -- many blocks: one matrix serves several steps --------------------------------------------------------------


@pytest.fixture
def large(poisson):
    """The same objective, looking as if its data were many blocks and many rows."""
    return lambda **changes: poisson(n_blocks=MANY_BLOCKS + 1, **{"rows": 40, **changes})


def test_a_kept_matrix_leads_to_the_same_maximum(large, poisson):
    small = maximize(poisson(), np.zeros(3), METHODS["newton"])
    for method in ("newton", "fisher-scoring"):
        result = maximize(large(), np.zeros(3), METHODS[method])
        assert result.status is Status.CONVERGED
        np.testing.assert_allclose(result.theta, small.theta, rtol=1e-12)


def test_a_warm_factor_spares_the_first_matrix(large, poisson):
    near = maximize(poisson(), np.zeros(3), METHODS["newton"]).theta + 1e-4
    # The factor that a part of the data gave, a little off
    warm = factorise(poisson().evaluate(near, Need(("observed",))).information["observed"])
    warm = warm.scaled(1.001)
    objective = large(rows=10**6)
    result = maximize(objective, near, METHODS["newton"], warm=warm)
    assert result.status is Status.CONVERGED
    assert objective.asked[0][1] == Need()
    kept = [step.solver for step in result.path.steps]
    assert any("kept" in solver for solver in kept)
    exact = maximize(poisson(), np.zeros(3), METHODS["newton"]).theta
    np.testing.assert_allclose(result.theta, exact, rtol=1e-10)


def test_a_bad_warm_factor_is_given_up(large, poisson):
    warm = factorise(poisson().evaluate(np.zeros(3), Need(("observed",))).information["observed"])
    warm = warm.scaled(30.0)
    result = maximize(large(), np.zeros(3), METHODS["newton"], warm=warm)
    exact = maximize(poisson(), np.zeros(3), METHODS["newton"]).theta
    assert result.status is Status.CONVERGED and result.n_iter < 40
    np.testing.assert_allclose(result.theta, exact, rtol=1e-10)


def climbed_blindly(toy, curvature, prior=None):
    """ℓ = −½ (w² + b²), from a b whose rise is lost in rounding, by an M that knows hardly anything of b."""
    objective = toy(
        lambda t: 1e3 - 0.5 * float(t @ t),
        lambda t: -t,
        lambda t: np.diag([1.0, curvature]),
        2,
        expected=lambda t: np.diag([1.0, 1e-20]),
    )
    objective.prior = prior
    blind = replace(METHODS["fisher-scoring"], search=lambda *_: None)
    return maximize(objective, np.array([0.0, 1e-8]), blind, tol=1e-10)


def test_where_the_rise_that_m_promises_is_not_found_the_observed_information_decides(toy):
    found = climbed_blindly(toy, 1.0)
    assert found.status is Status.CONVERGED
    assert abs(found.theta[1]) < 1e-12 and found.distance < 1e-12


def test_where_nothing_rises_the_search_has_failed(toy):
    # The score promises a rise that ℓ does not show, whatever matrix steps: neither M nor the observed information.
    objective = toy(
        lambda t: -float(np.abs(t).sum()), lambda t: np.ones(2), lambda t: -np.eye(2), 2, expected=lambda t: np.eye(2)
    )
    found = maximize(objective, np.zeros(2), METHODS["fisher-scoring"])
    assert found.status is Status.SEARCH_FAILED and (found.theta == 0.0).all()


def test_a_prior_says_how_far_is_far_where_the_data_say_nothing(toy):
    assert climbed_blindly(toy, 0.0).status is Status.SEARCH_FAILED
    found = climbed_blindly(toy, 0.0, np.ones(2))
    assert found.status is Status.CONVERGED and found.distance <= 1e-10


def test_a_quadratic_keeps_its_one_matrix(quadratic):
    objective = quadratic(np.array([[4.0, 1.0], [1.0, 2.0]]), n_blocks=MANY_BLOCKS + 1, quadratic=True)
    result = maximize(objective, np.zeros(2), METHODS["fisher-scoring"])
    assert result.status is Status.CONVERGED
    assert [bool(need.kinds) for _, need in objective.asked] == [True, False]
    np.testing.assert_allclose(result.theta, 1.0, rtol=1e-15)
    assert result.evaluation.information


def test_without_polish_the_iteration_ends_within_the_tolerance(poisson):
    whole = maximize(poisson(), np.zeros(3), METHODS["newton"], tol=0.5)
    rough = maximize(poisson(), np.zeros(3), METHODS["newton"], tol=0.5, polish=False)
    assert rough.status is Status.CONVERGED and rough.n_iter < whole.n_iter
    assert 1e-8 < rough.distance <= 0.5


def test_the_observed_information_makes_the_last_step_of_a_kept_expected_one(large):
    # The expected information is off by a tenth, and shrinks a distance to a tenth of it.
    objective = large(rows=10**6)
    objective.functions["expected"] = lambda t: 1.1 * objective.functions["observed"](t)
    result = maximize(objective, np.zeros(3), METHODS["fisher-scoring"])
    before, last = (step.distance for step in result.path.steps[-2:])
    assert result.status is Status.CONVERGED
    assert last < 1e-3 * before and objective.asked[-1][1] == Need()


MANY = (MANY_BLOCKS + 1) * BLOCK_ROWS[-1]


def least_squares_of_many_rows(noise: float, nearly: float = 1.0):
    rng = np.random.default_rng(3)
    X = np.column_stack([np.ones(MANY), rng.normal(size=(MANY, 4))])
    X[:, 4] = X[:, 3] + nearly * X[:, 4]
    return X, X @ rng.normal(size=5) + noise * rng.normal(size=MANY)


@pytest.mark.parametrize("nearly", [1.0, 1e-2], ids=["well conditioned", "nearly collinear"])
@pytest.mark.parametrize(("level", "more"), [(0.0, [0]), (1e3, [MANY])], ids=["one reading", "two readings"])
def test_least_squares_of_many_rows_are_read_once_and_again_where_digits_would_be_lost(nearly, level, more):
    X, y = least_squares_of_many_rows(1.0, nearly)
    y = y + level
    fit = rp.glm(y, X)
    assert fit.path["rows"].tolist() == [MANY, *more]
    wanted = np.linalg.lstsq(X, y, rcond=None)[0]
    # Of one reading the error is some ε over the square of the smallest pivot, as of any Cholesky factor.
    most = 1e-14 / nearly if level else max(5e-14, 2e-15 / nearly**2)
    assert np.abs(fit.params - wanted).max() <= most * np.abs(wanted).max()
    assert fit.rss == pytest.approx(np.sum((y - X @ wanted) ** 2), rel=1e-13)
    assert (abs(fit.params - wanted) / fit.bse).max() <= (1e-10 if level else fit.distance)


@pytest.mark.parametrize("penalty", [None, 50.0])
@pytest.mark.parametrize("weights", [None, np.arange(MANY) % 4], ids=["unweighted", "weights"])
@pytest.mark.parametrize("aliased", [False, True], ids=["", "aliased"])
def test_one_reading_of_least_squares_says_what_two_say(penalty, weights, aliased, monkeypatch):
    X, y = least_squares_of_many_rows(1.0)
    if aliased:
        X = np.column_stack([X, X[:, 1] - X[:, 2]])
    given = {"penalty": penalty, "weights": weights, "offset": np.linspace(-1.0, 1.0, MANY)}
    once = rp.glm(y, X, **given)
    monkeypatch.setattr("raphson.model.log_likelihood.LOST_DIGITS", 0.0)
    twice = rp.glm(y, X, **given)
    singular = aliased and not penalty  # which is left to QR
    assert [fit.path["rows"].tolist()[1:] for fit in (once, twice)] == [[MANY if singular else 0], [MANY]]
    assert (once.status, once.df_resid) == (twice.status, twice.df_resid)
    assert (abs(once.params - twice.params) / twice.bse).max() <= once.distance + twice.distance <= 1e-9
    for name in ("bse", "llf", "rss", "dispersion", "deviance"):
        np.testing.assert_allclose(getattr(once, name), getattr(twice, name), rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(once.path["penalty"], twice.path["penalty"], rtol=1e-12)


def test_least_squares_of_many_rows_almost_without_error_end_at_the_rounding_floor():
    X, y = least_squares_of_many_rows(1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.glm(y, X)
    assert fit.converged and fit.n_iter <= 2


def test_an_information_that_is_the_same_everywhere_is_read_once():
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(MANY), rng.normal(size=(MANY, 2))])
    y = rng.gamma(2.0, np.exp(X @ [0.3, 0.1, -0.2]))
    fit = rp.glm(y, X, family=rp.families.Gamma("log"))
    assert fit.converged
    solvers = fit.path["solver"].tolist()
    whole = [solver for solver, rows in zip(solvers, fit.path["rows"], strict=True) if rows == MANY]
    assert whole[0] == "cholesky" and set(whole[1:]) == {"cholesky (kept)"}
    # The last step of all is not read for.
    assert fit.path["rows"].iloc[-1] == 0 and fit.path["distance"].iloc[-2] <= GLIDE and fit.distance <= 1e-8
    score = X.T @ (y * np.exp(-X @ fit.params.to_numpy()) - 1.0)
    assert np.sqrt(score @ np.linalg.solve(X.T @ X, score)) <= 1e-8
    wanted = np.sqrt(fit.dispersion * np.linalg.inv(X.T @ X).diagonal())
    assert np.allclose(fit.bse, wanted, rtol=1e-11)


def test_of_a_long_step_by_such_an_information_the_score_is_not_learned_from(monkeypatch):
    learned = []
    after = Secant.after
    monkeypatch.setattr(Secant, "after", lambda self, step, fall: learned.append(step) or after(self, step, fall))
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(MANY), rng.normal(size=(MANY, 2))])
    y = rng.gamma(2.0, np.exp(X @ [0.3, 0.1, -0.2]))
    fit = rp.glm(y, X, family=rp.families.Gamma("log"), start=[0.3, 0.1, 0.2])
    taken = fit.path["distance"].to_numpy()[:-1][fit.path["rows"].to_numpy()[1:] > 0]  # a step may not be read for
    assert taken[0] > np.sqrt(3) and 0 < len(learned) == (taken <= np.sqrt(3)).sum()


def test_an_expected_information_far_from_the_observed_one_ends_at_the_maximum():
    rng = np.random.default_rng(5)
    X = np.column_stack([np.ones(MANY), rng.normal(size=(MANY, 2)) ** 3])
    y = np.exp(0.2 * X[:, 1]) * rng.gamma(0.5, 1.0 + 5.0 * (np.abs(X[:, 2]) > 5.0))
    fit = rp.glm(y, X, family=rp.families.Gamma("log"))
    theta = fit.params.to_numpy()
    ratio = y * np.exp(-X @ theta)
    score, observed = X.T @ (ratio - 1.0), (X * ratio[:, None]).T @ X
    assert fit.converged
    assert np.sqrt(score @ np.linalg.solve(observed, score)) <= 1e-8


def test_the_information_of_many_rows_is_carried_to_the_maximum():
    rng = np.random.default_rng(6)
    rows = 4 * MANY
    X = np.column_stack([np.ones(rows), rng.normal(size=(rows, 5)), rng.exponential(size=(rows, 2))])
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-X @ rng.normal(scale=0.4, size=8)))).astype(float)
    fit = rp.glm(y, X, family="binomial")
    mean = 1.0 / (1.0 + np.exp(-X @ fit.params.to_numpy()))
    inverse = np.linalg.inv((X * (mean * (1.0 - mean))[:, None]).T @ X)
    score = X.T @ (y - mean)
    assert np.sqrt(score @ inverse @ score) <= 1e-9
    assert np.allclose(fit.bse, np.sqrt(inverse.diagonal()), rtol=5e-8)
