"""The last step of an iteration over many rows, which a part of them judges."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import raphson as rp
from raphson.data import from_arrays
from raphson.execute import serial
from raphson.model import families
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.log_likelihood import STREAM_PATIENCE
from raphson.model.objective import DerivedObjective, Gram, Need
from raphson.newton.ascent import Ascent
from raphson.newton.methods import METHODS
from raphson.newton.part import Part, final_step
from raphson.newton.solve import direction

ROWS, EVERY = 40_000, 8


def model(family, y, X, **more):
    return GeneralisedLinearModel.of(from_arrays(y, X, **more), family, "precision", None, serial())


def counts():
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(ROWS), rng.normal(size=(ROWS, 3))])
    return rng.poisson(np.exp(X @ [0.1, 0.4, -0.3, 0.2])).astype(float), X


class Plain(DerivedObjective):
    """One of which is not known which rows its parameters rest on."""

    row_shares = None


def maximum(objective):
    """By plain Newton, and the standard errors there."""
    theta = np.zeros(objective.n_params)
    for _ in range(20):
        here = objective.evaluate(theta, Need(("expected",)))
        theta = theta + np.linalg.solve(here.information["expected"].matrix, here.score)
    return theta, np.sqrt(np.linalg.inv(here.information["expected"].matrix).diagonal())


def near(distance, heavy=0.0):
    """A Poisson model, its part, and evaluations ten and one times so many standard errors from the maximum.

    With `heavy`, one row that is not in the part lies so far out in one covariate.
    """
    y, X = counts()
    X[3, 3] += heavy
    objective, part = model(families.Poisson(), y, X).objective, model(families.Poisson(), y[::EVERY], X[::EVERY])
    theta, se = maximum(objective)
    before, here = (objective.evaluate(theta + 0.5 * far * distance * se, Need(("expected",))) for far in (10.0, 1.0))
    found = direction(here.information["expected"], here.score, np.ones(4, dtype=bool))
    return objective, Part(part.objective, EVERY), before, here, found, theta, se


def test_the_part_corrects_what_a_newton_step_leaves_and_carries_the_information():
    objective, part, before, here, found, theta, se = near(1.0)
    carried = final_step(part, objective, before, here, found)
    plain = np.abs((here.theta + found.step - theta) / se).max()
    corrected = np.abs((carried.there.theta - theta) / se).max()
    assert 0.5 * carried.left < plain < carried.left and corrected < 0.1 * plain
    exact = objective.evaluate(theta, Need(("expected",)))
    assert carried.there.value == pytest.approx(exact.value, abs=0.01 * (exact.value - here.value))
    gaps = [
        np.abs(np.diag(one.information["expected"].matrix) / np.diag(exact.information["expected"].matrix) - 1)
        for one in (here, carried.there)
    ]
    assert gaps[1].max() < 0.1 * gaps[0].max()
    assert 0.2 * gaps[1].max() <= carried.drift <= 0.1 * gaps[0].max()
    assert carried.rows == 3 * part.objective.n_rows


def test_a_row_that_the_part_does_not_have_and_that_counts_is_noticed():
    unseen = []
    for heavy in (0.0, 15.0):
        objective, part, before, here, found, _, _ = near(0.1, heavy)
        unseen.append(final_step(part, objective, before, here, found).unseen)
    assert unseen[1] > 5.0 * unseen[0]


def test_a_parameter_that_few_rows_say_anything_of_is_judged_by_them():
    # A level on 0.2 % of the rows, of which the part has ten; the step before moved it most.
    y, X = counts()
    X[:, 3] = np.arange(ROWS) % 500 == 0
    objective, part = model(families.Poisson(), y, X).objective, model(families.Poisson(), y[::EVERY], X[::EVERY])
    theta, se = maximum(objective)
    before, here = (objective.evaluate(theta + far * se * [0, 0, 0, 1.0], Need(("expected",))) for far in (1.0, 0.1))
    found = direction(here.information["expected"], here.score, np.ones(4, dtype=bool))
    judged = []
    for one in (part.objective, Plain(part.objective)):
        carried = final_step(Part(one, EVERY), objective, before, here, found)
        exact = objective.evaluate(carried.there.theta, Need(("expected",))).information["expected"].matrix
        off = np.sqrt(exact[3, 3] / carried.there.information["expected"].matrix[3, 3]) - 1
        judged.append(carried.drift / abs(off))
    assert judged[0] > 0.5 and judged[0] > 5.0 * judged[1]


def of_part(family, every=40):
    """The objective of all rows, a part and its maximum, and the direction of the full step from there."""
    y, X = counts()
    y = y if isinstance(family, families.Poisson) else (y > 0).astype(float)
    objective, part = (model(family, y[::n], X[::n]).objective for n in (1, every))
    _, se = maximum(objective)
    here = objective.evaluate(maximum(part)[0], Need(("observed",)))
    return objective, Part(part, every), here, direction(here.information["observed"], here.score, np.ones(4, bool)), se


@pytest.mark.parametrize("family", [families.Poisson(), families.Binomial("probit")], ids=repr)
def test_a_small_part_corrects_the_first_step(family):
    objective, part, here, full, se = of_part(family)
    theta = maximum(objective)[0]
    corrected = part.corrected(here, full, "observed")
    left = [np.abs((here.theta + one.step - theta) / se).max() for one in (full, corrected)]
    assert left[1] < 0.2 * left[0] and corrected.decrement == full.decrement


def test_a_part_corrects_steps_where_it_is_small_and_an_information_costs_less_than_a_reading():
    objective, part, *_ = of_part(families.Poisson())
    streamed = SimpleNamespace(patience=STREAM_PATIENCE)
    assert part.light(streamed) and not replace(part, share=8.0).light(streamed) and not part.light(objective)


def test_a_part_corrects_nothing_that_it_cannot_evaluate():
    _, part, here, full, _ = of_part(families.Poisson())
    outside = full._replace(step=np.full(4, np.inf))
    with np.errstate(all="ignore"):
        assert part.corrected(here, outside, "observed") is outside


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_two_readings_lead_from_the_maximum_of_a_small_part(large, link, monkeypatch):
    monkeypatch.setattr("raphson.newton.estimate.part_rows", lambda *_: 5_000)
    monkeypatch.setattr("raphson.newton.part.SPARED", np.inf)
    family = rp.families.Binomial(link)
    quick, whole = (rp.glm(*large, family=family, tol=tol, rows=rows) for tol, rows in ((1e-5, "part"), (1e-12, "all")))
    assert (quick.path["rows"] == 100_000).sum() == 2 and quick.path["solver"].iloc[-1] == "part"
    assert (abs(quick.params - whole.params) / whole.bse).max() < 1e-6


def test_what_is_added_by_a_reading_is_read_for():
    _, part, before, here, found, _, _ = near(0.1)
    assert final_step(part, DerivedObjective(part.objective), before, here, found) is None


@pytest.mark.parametrize("other", [{"dispersion": 2.0}, {"pearson": 3.0}], ids=str)
def test_what_changes_by_a_share_of_the_distance_is_evaluated(other):
    objective, part, before, here, found, _, _ = near(0.1)
    assert final_step(part, objective, before, replace(here, **other), found) is None


@pytest.fixture(scope="module")
def large():
    rng = np.random.default_rng(2)
    n = 100_000
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 4)), rng.exponential(size=n)])
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-X @ [0.3, -0.5, 0.4, 0.2, -0.2, 0.3]))).astype(float)
    return y, X


@pytest.mark.parametrize(
    "more",
    [{}, {"weights": 1.0 + np.arange(100_000) % 3}, {"offset": np.linspace(-1, 1, 100_000)}, {"penalty": 50.0}],
    ids=["plain", "weights", "offset", "penalty"],
)
@pytest.mark.parametrize("link", ["logit", "probit"])
def test_the_last_reading_is_spared_and_the_maximum_is_that_of_all_readings(large, more, link):
    family = rp.families.Binomial(link)
    quick, whole = (
        rp.glm(*large, family=family, tol=tol, rows=rows, **more) for tol, rows in ((1e-8, "part"), (1e-12, "all"))
    )
    assert quick.path["solver"].iloc[-1] == "part" and quick.converged and quick.distance <= 1e-9
    assert (abs(quick.params - whole.params) / whole.bse).max() < 1e-9
    assert (quick.bse / whole.bse - 1).abs().max() < 1e-7
    assert quick.llf == pytest.approx(whole.llf, rel=1e-14)
    assert quick.path["penalty"].iloc[-1] == pytest.approx(whole.path["penalty"].iloc[-1], rel=1e-10)


def test_a_smaller_tolerance_gives_more_digits_of_the_standard_errors(large):
    fit, whole = (
        rp.glm(*large, family="binomial", tol=tol, rows=rows) for tol, rows in ((1e-11, "part"), (1e-12, "all"))
    )
    assert fit.distance <= 1e-12
    assert (fit.bse / whole.bse - 1).abs().max() < 1e-10


@pytest.mark.parametrize("definite", [True, False])
def test_the_part_judges_steps_by_the_observed_information_alone(large, definite):
    y, X = large
    free = np.ones(X.shape[1], dtype=bool)
    objective, part = (model(families.Binomial("probit"), y[::n], X[::n]).objective for n in (1, EVERY))
    theta, se = maximum(objective)
    before, here = (objective.evaluate(theta + far * se, Need(("expected", "observed"))) for far in (1e-3, 1e-4))
    if not definite:
        observed = Gram(-here.information["observed"].matrix)
        here = replace(here, information=here.information | {"observed": observed})
    ascent = Ascent(objective, METHODS["fisher-scoring"], here, free, 0.0, None, 1e-8, None, Part(part, EVERY))
    ascent.before, ascent.distance = before, 1e-2
    assert ascent.solve() and ascent.measure().distance < 1e-3
    assert ascent.finish() is definite and ascent.path.columns()["solver"][-1] == ("part" if definite else "cholesky")


def test_a_dispersion_is_read_for(large):
    assert "part" not in set(rp.glm(*large, family="quasibinomial").path["solver"])


@pytest.mark.parametrize("tails", ["one row", "many rows", "a rare level"])
def test_rows_that_a_part_may_miss_cost_no_digits(large, tails):
    y, X = large
    X, rng = X.copy(), np.random.default_rng(3)
    if tails == "one row":
        X[3, 4] = 3e3
    else:
        X[:, 4] = rng.standard_t(2.0, len(X)) if tails == "many rows" else rng.random(len(X)) < 2e-3
    fit, whole = (rp.glm(y, X, family="binomial", tol=tol, rows=rows) for tol, rows in ((1e-8, "part"), (1e-12, "all")))
    assert (abs(fit.params - whole.params) / whole.bse).max() < 1e-8
    # Of a level that a few dozen rows of the part have, the part knows less.
    assert (fit.bse / whole.bse - 1).abs().max() < (1e-5 if tails == "a rare level" else 1e-7)
