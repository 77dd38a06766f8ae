"""rp.network: what a user gives, what comes back, and what is refused."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import raphson as rp
from raphson.errors import ConvergenceWarning, DataError, ModelError

N = 120
rng = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": rng.uniform(-2, 2, N),
        "size": 1e4 + 1e3 * rng.normal(size=N),
        "kind": rng.choice(["a", "b", "c"], N),
    }
)
FRAME["y"] = 500.0 + 100.0 * np.sin(2 * FRAME["x"]) + 20.0 * (FRAME["kind"] == "b") + 5.0 * rng.normal(size=N)
FRAME["yes"] = (FRAME["y"] > 500).astype(int)
FRAME["brand"] = np.where(FRAME["x"] < -0.7, "low", np.where(FRAME["x"] < 0.7, "mid", "top"))
FRAME["count"] = rng.poisson(np.exp(0.5 * FRAME["x"]))

ONE = {"hidden": (8,), "activation": "tanh", "learning_rate": 0.02, "epochs": 60}
"""What most tests train: one structure, so that little is compiled."""


@pytest.fixture(scope="module")
def gaussian():
    return rp.network("y ~ x + kind", FRAME, **ONE, validation=0)


def test_a_formula_gives_coded_inputs_without_a_second_intercept(gaussian):
    assert gaussian._reading.predictor.network.layers[0].inputs == 3
    assert len(gaussian.params) == 3 * 8 + 8 + 8 + 1
    assert gaussian.deviance < 0.2 * gaussian.null_deviance
    assert gaussian.formula == "y ~ x + kind"
    assert gaussian.n_iter == 60
    assert list(gaussian.history.columns) == ["epoch", "loss", "validation", "rate", "rows"]
    assert gaussian.history["loss"].iloc[-1] < 0.1 * gaussian.history["loss"].iloc[0]
    assert len(gaussian.path) == 60


def test_units_of_inputs_and_response_do_not_matter(gaussian):
    other = FRAME.assign(x=1000.0 * FRAME["x"] + 5.0, y=0.01 * FRAME["y"] - 3.0)
    same = rp.network("y ~ x + kind", other, **ONE, validation=0)
    np.testing.assert_allclose(100.0 * (same.predict(other) + 3.0), gaussian.predict(FRAME), atol=0.5)


def test_arrays_are_the_same_as_the_formula_they_stand_for(gaussian):
    X = np.column_stack([FRAME["x"], FRAME["kind"] == "b", FRAME["kind"] == "c"])
    fit = rp.network(FRAME["y"].to_numpy(), X.astype(float), **ONE, validation=0)
    np.testing.assert_array_equal(fit.params, gaussian.params)


def test_the_seed_decides(gaussian):
    again = rp.network("y ~ x + kind", FRAME, **ONE, validation=0)
    other = rp.network("y ~ x + kind", FRAME, **ONE, validation=0, seed=1)
    np.testing.assert_array_equal(again.params, gaussian.params)
    assert np.abs(other.params - gaussian.params).max() > 0


def test_weights_have_no_standard_errors_and_the_fit_says_so(gaussian):
    for values in (gaussian.bse, gaussian.pvalues, gaussian.tvalues, gaussian.conf_int()["lower"]):
        assert np.isnan(values).all()
    assert np.isnan(gaussian.cov_params()).all(axis=None)
    assert "not identified" in gaussian.message
    refused = ["wald_test", "t_test", "score_test", "lr_test", "profile", "delta", "vif", "bootstrap"]
    for name in [*refused, "information_matrix_test", "robust", "loo", "leverage", "cooks_distance", "dfbetas"]:
        with pytest.raises(rp.ModelError, match=f"{name}: the weights of a network are not identified"):
            getattr(gaussian, name)(gaussian.names[0])
    assert list(gaussian.augment().columns[-2:]) == [".fitted", ".resid"]
    text = str(gaussian.summary())
    assert "not identified" in text
    assert "hidden1" in text
    assert "P(>" not in text
    assert "<table" in gaussian.summary().html
    assert not gaussian.converged
    assert gaussian.status.value == "step limit"


def test_intervals_of_predictions_are_those_of_the_delta_method_with_a_prior(gaussian):
    theta, model = gaussian.params.to_numpy(), gaussian._reading.state.at.asked
    block = model.blocks[0]
    J = np.asarray(model.predictor.at(block, theta)[1].parts[0])
    prior = model.network.prior_precision(len(theta))
    phi = gaussian.dispersion
    V = np.linalg.inv(J.T @ J / phi + np.diag(prior))
    se = np.sqrt(np.einsum("ip,pq,iq->i", J, V, J))
    table = gaussian.predict(FRAME, se=True, interval="confidence")
    np.testing.assert_allclose(table["se"], se, rtol=1e-6)
    reach = stats.t.ppf(0.975, gaussian.df_resid)
    np.testing.assert_allclose(table["upper"] - table["fit"], reach * se, rtol=1e-5)
    wide = gaussian.predict(FRAME, interval="prediction")
    np.testing.assert_allclose(wide["upper"] - wide["fit"], reach * np.sqrt(se**2 + phi), rtol=1e-5)
    residual = FRAME["y"] - gaussian.predict(FRAME)
    assert phi * gaussian.df_resid == pytest.approx(float(residual @ residual))
    assert 4 < gaussian.df_model < len(theta)


def test_of_many_weights_the_last_layer_gives_the_intervals():
    fit = rp.network("y ~ x", FRAME, hidden=(250,), epochs=2, validation=0.2)
    assert fit.interval_kind == "last layer"
    table = fit.predict(FRAME.head(5), se=True, interval="confidence")
    model = fit._reading.state.at.asked
    H = np.concatenate([model.predictor.features(b, fit.params.to_numpy()) for b in model.blocks])
    H = np.column_stack([H, np.ones(len(H))]) * model.frozen["spread"]
    P = np.diag(np.r_[np.full(250, 1.0 / fit._reading.predictor.network.layers[-1].initial_variance), 1.0])
    V = np.linalg.inv(H.T @ H / fit.dispersion + P)
    new = np.column_stack([H[: len(H)]])
    first = model.data.index.tolist().index(FRAME.index[model.data.index[0]])
    row = new[first]
    expected = np.sqrt(row @ V @ row)
    mine = fit.predict(FRAME.iloc[[model.data.index[0]]], se=True)["se"].iloc[0]
    assert mine == pytest.approx(expected, rel=1e-6)
    assert (table["lower"] < table["fit"]).all()


@pytest.mark.parametrize(
    ("formula", "family"), [("yes ~ x", "binomial"), ("brand ~ x", "multinomial"), ("count ~ x", "poisson")]
)
def test_the_loss_is_the_familys(formula, family):
    fit = rp.network(formula, FRAME, family=family, **(ONE | {"epochs": 15}), validation=0)
    rows = fit._reading.state.at.asked.rows(fit.params.to_numpy())
    assert fit._reading.state.at.asked.loss(fit.params.to_numpy()) == pytest.approx(-rows.value.mean())
    assert fit.deviance < fit.null_deviance
    shown = fit.predict(FRAME.head(3), interval="confidence")
    if family == "multinomial":
        assert shown.columns.tolist()[:3] == ["fit_low", "fit_mid", "fit_top"]
        np.testing.assert_allclose(shown.iloc[:, :3].sum(axis=1), 1.0)
    else:
        assert ((shown["lower"] < shown["fit"]) & (shown["fit"] < shown["upper"])).all()


def test_a_name_whose_default_link_has_no_mean_for_some_eta_means_the_log_link():
    frame = FRAME.assign(time=np.exp(FRAME["x"]))
    fit = rp.network("time ~ x", frame, family="gamma", **(ONE | {"epochs": 5}), validation=0)
    assert fit.family == rp.families.Gamma(link="log")
    assert (fit.predict(frame) > 0).all()
    assert "gamma, log link" in str(fit.summary())
    with pytest.raises(ModelError, match=r"the inverse link of gamma has none .* Use Gamma\(link='log'\)"):
        rp.network("time ~ x", frame, family=rp.families.Gamma(), hidden=(8,))


def test_an_input_that_never_varied_moves_no_prediction():
    fit = rp.network("y ~ x + size", FRAME.assign(size=7.0), **(ONE | {"epochs": 2}), validation=0)
    there, elsewhere = (fit.predict({"x": [0.5], "size": [size]}, se=True) for size in (7.0, 9.0))
    np.testing.assert_allclose(elsewhere["fit"], there["fit"])
    assert elsewhere["se"].iloc[0] > there["se"].iloc[0]


def test_the_negative_binomial_keeps_its_auxiliary_parameter():
    fit = rp.network("count ~ x", FRAME, family="negative_binomial", **(ONE | {"epochs": 3}), validation=0)
    assert fit.theta > 0
    assert len(fit.params) == 8 + 8 + 8 + 1
    assert np.isfinite(fit.predict(FRAME)).all()


def test_without_patience_every_epoch_is_trained():
    asked = ONE | {"epochs": 30, "learning_rate": 0.5, "validation": 0.25}
    stopped, whole = (rp.network("y ~ x", FRAME, **asked, patience=patience) for patience in (1, None))
    assert len(stopped.history) < len(whole.history) == 30


def test_validation_rows_are_held_out_and_the_best_weights_kept(gaussian):
    fit = rp.network("y ~ x", FRAME, **(ONE | {"epochs": 400, "learning_rate": 0.1}), validation=0.25, patience=5)
    assert fit.nobs == 90
    assert fit.status.value == "stopped early"
    best = fit.history["validation"].min()
    assert fit._reading.state.at.asked.held_out.loss(fit.params.to_numpy()) == pytest.approx(best, rel=1e-6)
    held = fit._reading.state.at.asked.held_out
    residual = held.y - held.rows(fit.params.to_numpy()).mean[0]
    assert fit.dispersion == pytest.approx(float(residual @ residual) / 30)
    wide = fit.predict(FRAME, se=True, interval="confidence")
    np.testing.assert_allclose(wide["upper"] - wide["fit"], stats.t.ppf(0.975, 30) * wide["se"], rtol=1e-6)
    assert np.isnan(gaussian.history["validation"]).all()


def test_a_saved_network_predicts_the_same(gaussian, tmp_path):
    path = tmp_path / "fit.json"
    gaussian.save(path)
    loaded = rp.load(path)
    for asked in ({"se": True, "interval": "confidence"}, {"interval": "prediction"}, {"kind": "link"}):
        pd.testing.assert_frame_equal(
            pd.DataFrame(loaded.predict(FRAME, **asked)), pd.DataFrame(gaussian.predict(FRAME, **asked))
        )
    assert str(loaded.summary()) == str(gaussian.summary())
    pd.testing.assert_frame_equal(loaded.history, gaussian.history)
    pd.testing.assert_frame_equal(loaded.gradient_profile().table, gaussian.gradient_profile().table)
    with pytest.raises(DataError, match="a loaded fit lacks its data"):
        _ = loaded.fittedvalues


def test_a_damaged_file_is_refused(gaussian, tmp_path):
    from raphson.fit import file

    path = tmp_path / "fit.json"
    gaussian.save(path)
    document = json.loads(path.read_text())
    document["fit"]["theta"] = document["fit"]["theta"][:-1]
    document["sha256"] = file._digest(document["fit"])
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="theta: expected numbers of shape"):
        rp.load(path)


def test_a_training_goes_on_from_its_checkpoint(gaussian, tmp_path):
    path = tmp_path / "net.ckpt"
    rp.network("y ~ x + kind", FRAME, **(ONE | {"epochs": 25}), validation=0, checkpoint=path)
    seen = []
    fit = rp.network(
        "y ~ x + kind",
        FRAME,
        **ONE,
        validation=0,
        checkpoint=path,
        progress=lambda **row: seen.append(row["iteration"]),
    )
    assert seen == list(range(26, 61))
    np.testing.assert_array_equal(fit.params, gaussian.params)


def test_a_start_beyond_single_precision_is_a_status():
    keywords = ONE | {"epochs": 1, "start": np.full(25, 1e300)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = rp.network("y ~ x", FRAME, **keywords)
    assert [one.category for one in caught] == [ConvergenceWarning]
    assert fit.status.value == "not finite"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": (9,)}, "its network's layer 1's outputs was 8, and now it is 9"),
        ({"hidden": (8, 8)}, "the number of its network's layers was 2, and now it is 3"),
        ({"method": "sgd"}, "its method was 'adam', and now it is 'sgd'"),
        ({"seed": 3}, "it started from other weights"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(change, message, tmp_path):
    path = tmp_path / "net.ckpt"
    rp.network("y ~ x + kind", FRAME, **(ONE | {"epochs": 1}), validation=0, checkpoint=path)
    with pytest.raises(DataError, match=f"checkpoint: .* is of another: {message}"):
        rp.network("y ~ x + kind", FRAME, **(ONE | {"epochs": 2} | change), validation=0, checkpoint=path)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    path = tmp_path / "net.ckpt"
    rp.network("y ~ x", FRAME, **(ONE | {"epochs": 1}), checkpoint=path)
    with pytest.raises(DataError, match="is of another: its data were different"):
        rp.network("y ~ size", FRAME, **(ONE | {"epochs": 2}), checkpoint=path)


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ({"epochs": 5}, "set max_iter= instead"),
        ({"batch_size": 8}, "leave it out"),
        ({"schedule": "cosine"}, "leave it out"),
    ],
)
def test_what_only_first_order_methods_read_is_refused_to_the_others(option, remedy):
    (name,) = option
    with pytest.raises(ModelError, match=f"{name}: only first-order methods have this option; .*{remedy}"):
        rp.network("y ~ x", FRAME, hidden=4, method="levenberg-marquardt", **option)


def test_more_weights_than_memory_are_refused_before_they_are_drawn():
    with pytest.raises(ModelError, match=r"hidden: \(100000, 100000\) gives 1e\+10 weights; .*Use fewer units"):
        rp.network("y ~ x", FRAME, hidden=(100_000, 100_000))


def test_a_share_that_is_a_table_is_refused_in_one_line():
    with pytest.raises(ModelError, match="validation: expected a number of at least 0") as caught:
        rp.network("y ~ x", FRAME, validation=FRAME)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 160


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    for content in (b"hello", b"PK\x03\x04 cut short"):
        path = tmp_path / "other"
        path.write_bytes(content)
        with pytest.raises(DataError, match="checkpoint: expected a file of an earlier training"):
            rp.network("y ~ x", FRAME, **ONE, checkpoint=path)


@pytest.mark.parametrize("change", ["a number", "history", "one more", "larger", "one less"])
def test_a_checkpoint_that_was_changed_is_refused(change, tmp_path):
    path = tmp_path / "net.ckpt"
    keywords = ONE | {"validation": 0, "checkpoint": path}
    rp.network("y ~ x", FRAME, **(keywords | {"epochs": 1}))
    with np.load(path) as file:
        arrays = dict(file)
    name = next(name for name in arrays if name.startswith("params"))
    if change == "a number":
        arrays[name] = arrays[name].copy()
        arrays[name].flat[0] += 1e-3
    elif change == "history":
        about = json.loads(arrays["about"].tobytes())
        about["best"] = -1.0
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    elif change == "one more":
        arrays["stranger"] = np.zeros(3)
    elif change == "larger":
        arrays[name] = np.zeros((1000, 1000))  # never read
    else:
        del arrays[name]
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(DataError, match=r"checkpoint: .*(was changed|another kind of file)") as caught:
        rp.network("y ~ x", FRAME, **(keywords | {"epochs": 2}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden": (8, 0)}, ModelError, r"hidden: expected the number of units of each layer.* got \(8, 0\)"),
        ({"hidden": "wide"}, ModelError, "hidden: expected the number of units"),
        ({"hidden": 2.5}, ModelError, "hidden: expected the number of units"),
        ({"activation": "swish"}, ModelError, "activation: expected one of relu, tanh"),
        ({"residual": "dense"}, ModelError, "residual: expected one of additive, stacked or None"),
        ({"method": "adamw"}, ModelError, "method: .* Did you mean 'adam'"),
        ({"batch_size": 1000}, DataError, "batch_size: expected at most 108, the number of training rows"),
        ({"batch_size": 0}, ModelError, "batch_size: expected a whole number, 1 or more"),
        ({"batch_size": 1, "batch_norm": True}, ModelError, "batch norm needs two rows"),
        ({"batch_norm": "yes"}, ModelError, "batch_norm: expected True or False; got 'yes'"),
        ({"validation": 1.0}, ModelError, "validation: expected a number of at least 0"),
        ({"dropout": -0.1}, ModelError, "dropout: expected a number of at least 0"),
        ({"learning_rate": 0}, ModelError, "learning_rate: expected a positive number"),
        ({"epochs": 1.5}, ModelError, "epochs: expected a whole number"),
        ({"patience": 0}, ModelError, "patience: expected a whole number, 1 or more"),
        ({"schedule": "linear"}, ModelError, "schedule: expected one of constant, cosine"),
        ({"weight_decay": -1.0}, ModelError, "weight_decay: expected a number, 0 or more"),
        ({"precision": "half"}, ModelError, "precision: expected one of single, double"),
        ({"update": "blockwise"}, ModelError, "update: expected one of whole, layerwise"),
        ({"update": "layerwise", "dropout": 0.5}, ModelError, "dropout: it cannot be combined with update='layerwise'"),
        ({"method": "newton-cg", "checkpoint": "a"}, ModelError, "checkpoint: only first-order methods"),
        ({"start": [1.0]}, ModelError, "start: expected 25 finite numbers"),
        ({"family": "poisson"}, DataError, "response 'y'"),
        ({"family": "quasipoisson"}, (ModelError, DataError), "family: expected one with a log density|response"),
    ],
)
def test_bad_input_is_refused_in_one_line(options, error, message):
    frame = FRAME.assign(y=FRAME["y"] - 600.0)
    keywords = {"hidden": (8,), "epochs": 1} | options
    with pytest.raises(error, match=message) as caught:
        rp.network("y ~ x", frame, **keywords)
    assert "\n" not in str(caught.value)


def test_a_formula_without_inputs_is_refused():
    with pytest.raises(ModelError, match="expected at least one input besides the intercept"):
        rp.network("y ~ 1", FRAME)


def test_a_residual_connection_with_no_place_to_go_warns():
    with pytest.warns(UserWarning, match="residual: no hidden layer"):
        rp.network("y ~ x", FRAME, hidden=(8,), residual="stacked", epochs=1)


def test_a_diverging_loss_names_the_layer_and_keeps_good_weights():
    with pytest.warns(ConvergenceWarning, match="gradient of layer (hidden1|output) exploded") as caught:
        fit = rp.network("y ~ x", FRAME, **(ONE | {"method": "sgd", "learning_rate": 1e3, "activation": "identity"}))
    assert len(caught) == 1
    assert fit.status.value == "not finite"
    assert not fit.converged
    assert "restored" in fit.message
    assert np.isfinite(fit.params).all()
    assert np.isfinite(fit.deviance)


def test_second_order_methods_train_a_network():
    few = {"hidden": (4,), "activation": "tanh", "weight_decay": 1e-2}
    adam = rp.network("y ~ x", FRAME, **few, epochs=40, validation=0, learning_rate=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = {
            method: rp.network("y ~ x", FRAME, **few, method=method, max_iter=100)
            for method in ("levenberg-marquardt", "newton-cg")
        }
    for method, fit in fits.items():
        assert fit.deviance < 1.05 * adam.deviance, method
        with pytest.raises(ModelError, match="records no gradients by layer"):
            fit.gradient_profile()
    # at the maximum of the penalised likelihood the score of ℓ is Pθ
    penalised = fits["levenberg-marquardt"]._reading.state.at.asked
    theta = fits["levenberg-marquardt"].params.to_numpy()
    gradient = penalised.unpenalised.evaluate(theta).score - penalised.penalty @ theta
    assert np.linalg.norm(gradient) < 1e-2 * np.linalg.norm(penalised.penalty @ theta)


@pytest.mark.parametrize("weight_decay", [1e-2, 1e-1])
def test_levenberg_marquardt_arrives_where_weight_decay_has_left_units_without_a_say(weight_decay):
    # Such a unit's bias has hardly a score and hardly any information, whose quotient does not tend to 0.
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fit = rp.network(
            "y ~ x", FRAME, hidden=4, activation="tanh", method="levenberg-marquardt", weight_decay=weight_decay
        )
    assert fit.converged and fit.distance < 1e-8
    assert np.abs(fit.score).max() < 1e-6 * fit.null_deviance / fit._reading.state.at.asked.divisor


def test_batch_norm_is_frozen_over_all_rows_for_second_order_methods():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = rp.network("y ~ x", FRAME, hidden=(4,), batch_norm=True, method="levenberg-marquardt", max_iter=3)
    running = fit._reading.predictor.state["running"][0]
    first = rp.network("y ~ x", FRAME, hidden=(4,), batch_norm=True, epochs=0, validation=0)
    z = (
        first._reading.state.at.asked.inputs
        @ first._reading.state.at.asked.network.unpack(first.params.to_numpy())[0]["weight"]
    )
    np.testing.assert_allclose(running["mean"], z.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(running["variance"], z.var(axis=0))


def test_the_gradient_profile_shows_a_starving_layer():
    fit = rp.network("y ~ x", FRAME, hidden=(4,) * 6, activation="sigmoid", epochs=2)
    profile = fit.gradient_profile()
    assert profile.table.columns.tolist() == [*(f"hidden{i}" for i in range(1, 7)), "output"]
    assert (profile.ratio < 1e-2).all()
    (axes,) = profile.plot().axes
    assert axes.get_yscale() == "log"
    assert "hidden1" in repr(profile)


def test_an_offset_is_added_and_asked_for_again():
    shift = np.linspace(0, 100, N)
    fit = rp.network("y ~ x", FRAME, **(ONE | {"epochs": 2}), validation=0, offset=shift)
    with pytest.raises(DataError, match="offset: the fit had one"):
        fit.predict(FRAME)
    link = fit.predict(FRAME, kind="link", offset=shift) - fit.predict(FRAME, kind="link", offset=0.0 * shift)
    np.testing.assert_allclose(link, shift)


def test_rows_without_weight_do_not_validate():
    weights = np.r_[np.zeros(len(FRAME) - 10), np.ones(10)]
    fit = rp.network("y ~ x", FRAME, **(ONE | {"epochs": 3}), validation=0.3, weights=weights)
    assert np.isfinite(fit.history["validation"]).all()
