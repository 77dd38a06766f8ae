"""First-order methods: their steps by hand, chunks, schedules, divergence and going on from a snapshot."""

import math

import numpy as np
import pytest

import raphson as rp
from raphson.errors import ConvergenceWarning, ModelError
from raphson.model.families import Gaussian
from raphson.model.network.layers import Network
from raphson.model.network.linear_rows import LinearRows
from raphson.newton.training import first_order
from raphson.newton.training.first_order import Descent, Sample, beginning, chunk_steps, train

rng = np.random.default_rng(0)
X = rng.normal(size=(96, 2))
Y = X @ [1.0, -2.0] + 0.1 * rng.normal(size=96)
LINEAR = LinearRows((0,))
STATE = {"spread": np.ones(1)}


def start():
    return [{"coefficients": np.zeros(2)}]


def descended(descent, n=96, **keywords):
    sample = Sample((X[:n],), Y[:n], None, None, descent.dtype)
    begin = keywords.pop("begin", None) or beginning(start(), STATE, descent)
    return train(LINEAR, Gaussian(), begin, sample, descent, **keywords)


def by_hand(rule, rate, steps):
    """Full batches, written out from the papers."""
    theta, first, second = np.zeros(2), np.zeros(2), np.zeros(2)
    for t in range(1, steps + 1):
        g = -X.T @ (Y - X @ theta) / len(Y)
        if rule == "sgd":
            d = g
        elif rule == "momentum":
            d = first = g + 0.9 * first
        elif rule == "rmsprop":
            second = 0.9 * second + 0.1 * g * g
            d = g / np.sqrt(second + 1e-8)
        else:
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
            d = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        theta = theta - rate * d
    return theta


@pytest.mark.parametrize("rule", ["sgd", "momentum", "rmsprop", "adam"])
def test_steps_are_those_of_the_papers(rule):
    trained = descended(Descent(rule, epochs=7, batch_size=96, learning_rate=0.05))
    np.testing.assert_allclose(trained.params[0]["coefficients"], by_hand(rule, 0.05, 7), rtol=1e-9)
    assert [epoch.rows for epoch in trained.history] == [96 * i for i in range(1, 8)]


def test_the_loss_and_the_norm_are_those_of_the_first_step():
    trained = descended(Descent("sgd", epochs=1, batch_size=96), divisor=2.0)
    (epoch,) = trained.history
    assert epoch.loss == pytest.approx(0.5 * float(Y @ Y) / 96 / 2.0)
    assert epoch.norms == pytest.approx((float(np.linalg.norm(X.T @ Y)) / 96 / 2.0,))


def test_chunks_make_no_difference(monkeypatch):
    descent = Descent("adam", epochs=3, batch_size=4, learning_rate=0.01)
    whole = descended(descent)
    monkeypatch.setattr(first_order, "CHUNK_STEPS", (16,))
    monkeypatch.setattr(first_order, "CHUNK_BYTES", 1)
    cut = descended(descent)
    np.testing.assert_array_equal(whole.params[0]["coefficients"], cut.params[0]["coefficients"])


def test_chunks_are_as_long_as_an_epoch_but_not_too_large():
    assert [chunk_steps(steps, 8) for steps in (1, 17, 300)] == [16, 64, 256]
    assert chunk_steps(300, 2**21) == 16


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    one, same, other = (descended(Descent("sgd", 2, 8, seed=seed)).params[0]["coefficients"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_weights_count_and_those_of_zero_do_not():
    weight = np.r_[np.full(48, 2.0), np.zeros(48)]
    descent = Descent("sgd", epochs=5, batch_size=96, learning_rate=0.1)
    sample = Sample((X,), Y, weight, None, float)
    half = train(LINEAR, Gaussian(), beginning(start(), STATE, descent), sample, descent)
    alone = descended(Descent("sgd", epochs=5, batch_size=48, learning_rate=0.1), n=48)
    np.testing.assert_allclose(half.params[0]["coefficients"], alone.params[0]["coefficients"], rtol=1e-12)


def test_training_that_goes_on_from_a_snapshot_ends_where_it_would_have():
    kept = []
    whole = descended(Descent("adam", 6, 8), keep=lambda snapshot: kept.append((len(snapshot.history), snapshot)))
    assert [number for number, _ in kept] == [1, 2, 3, 4, 5, 6]
    half = []
    descended(Descent("adam", 3, 8), keep=half.append)
    again = descended(Descent("adam", 6, 8), begin=half[-1])
    np.testing.assert_array_equal(again.params[0]["coefficients"], whole.params[0]["coefficients"])
    assert again.history == whole.history or all(
        a.loss == b.loss for a, b in zip(again.history, whole.history, strict=True)
    )


def test_training_stops_early_and_keeps_the_weights_of_the_lowest_validation_loss():
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    seen = []

    def validate(params, state):
        seen.append(params[0]["coefficients"])
        return next(losses)

    trained = descended(Descent("sgd", 6, 8, patience=2), validate=validate)
    assert (trained.ending, trained.kept_epoch, len(trained.history)) == ("patience", 2, 4)
    np.testing.assert_array_equal(trained.params[0]["coefficients"], seen[1])


def test_a_training_that_diverges_names_the_layer_and_restores_the_last_good_weights():
    network = Network.of(2, 1, (4,), activation="identity")
    begin_params = network.initial(np.random.default_rng(0))
    descent = Descent("sgd", 50, 8, learning_rate=50.0)
    begin = beginning(begin_params, network.state(np.zeros(1), np.ones(1)), descent)
    trained = train(network, Gaussian(), begin, Sample((X,), Y, None, None, float), descent)
    assert trained.ending == "diverged"
    layer, epoch, step = trained.diverged_at
    assert layer in (0, 1)
    assert (epoch, trained.kept_epoch) == (1, 0)
    assert 1 <= step <= 12
    np.testing.assert_array_equal(trained.params[0]["weight"], begin_params[0]["weight"])


@pytest.mark.parametrize(
    ("schedule", "first", "last"),
    [("constant", 0.1, 0.1), ("cosine", 0.1, 0.0), ("exponential", 0.1, 1e-4), ("warmup", 0.0, 0.0)],
)
def test_schedules(schedule, first, last):
    rates = Descent("sgd", 1, 8, learning_rate=0.1, schedule=schedule).rates(1000)
    assert rates[0] == pytest.approx(first)
    assert rates[-1] == pytest.approx(last, rel=0.02, abs=1e-5)
    assert rates.max() == pytest.approx(0.1)


def test_a_schedule_may_be_a_function_and_a_bad_one_is_refused():
    assert Descent("sgd", 1, 8, 0.1, lambda step: 1 / (1 + step)).rates(2).tolist() == [0.1, 0.05]
    with pytest.raises(ModelError, match="schedule: expected finite factors of the learning rate, 0 or more; got -1"):
        Descent("sgd", 1, 8, 0.1, lambda step: -1.0).rates(2)
    with pytest.raises(ModelError, match=r"schedule: .* it failed with ZeroDivisionError: "):
        Descent("sgd", 1, 8, 0.1, lambda step: 1 / 0).rates(2)


def test_a_linear_model_comes_near_its_maximum_and_says_how_near():
    z = np.random.default_rng(5).normal(size=300)
    data = {"z": 100.0 + 20.0 * z, "y": (z + np.random.default_rng(6).logistic(size=300) > 0).astype(float)}
    newton = rp.glm("y ~ z", data, family="binomial")
    with pytest.warns(ConvergenceWarning, match="adam ended after 1112 epochs"):
        adam = rp.glm("y ~ z", data, family="binomial", method="adam")
    assert adam.status.value == "step limit"
    assert 0 < adam.distance < 1
    far = (adam.params - newton.params) @ newton.information() @ (adam.params - newton.params)
    assert adam.distance == pytest.approx(math.sqrt(far), rel=0.1)


def test_what_batches_cannot_fit_is_refused():
    data = {"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 3.0, 2.0, 5.0]}
    with pytest.raises(ModelError, match="method: 'sgd' supports no penalty"):
        rp.glm("y ~ x", data, method="sgd", penalty=1.0)
    with pytest.raises(ModelError, match="linear predictors"):
        rp.nls("y ~ a * exp(b * x)", data, start={"a": 1.0, "b": 0.1}, method="adam")
