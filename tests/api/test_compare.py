"""rp.compare: one model by several methods."""

import html

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import ModelError

x = np.random.default_rng(0).normal(size=80)
DATA = {"x": x, "y": (x + np.random.default_rng(1).logistic(size=80) > 0).astype(float)}


@pytest.fixture(scope="module")
def fit():
    return rp.glm("y ~ x", DATA, family="binomial")


@pytest.fixture(scope="module")
def race(fit):
    return rp.compare(fit, ["newton", "bhhh", "newton-cg", "gradient-descent", "sgd"], max_iter=60)


def test_the_table_says_what_each_method_cost(race):
    table = race.table
    assert table.index.tolist() == ["newton", "bhhh", "newton-cg", "gradient-descent", "sgd"]
    assert table["status"].tolist()[:3] == ["converged"] * 3
    assert table.loc["sgd", "status"] == "step limit"
    assert (table["distance"].iloc[:3] < 1e-8).all()
    assert table.loc["sgd", "distance"] > 1e-6
    # newton reads the data once a step, and once at the start; sgd 32 rows a step, of 64 that fill batches
    assert table.loc["newton", "passes"] == table.loc["newton", "n_iter"] + 1
    assert table.loc["sgd", "n_iter"] == 60 * 2
    assert table.loc["sgd", "row_gradients"] == 60 * 64
    assert table.loc["newton-cg", "passes"] > table.loc["newton", "passes"]


def test_all_begin_at_the_same_point_and_the_paths_end_at_the_tables_distances(race, fit):
    starts = race.paths.groupby("method", sort=False)[["Intercept", "x"]].first()
    assert (starts == starts.iloc[0]).all(axis=None)
    assert starts["x"].iloc[0] == pytest.approx(0.0, abs=1e-12)
    ends = race.paths.groupby("method", sort=False)["distance"].last()
    np.testing.assert_array_equal(ends, race.table["distance"])
    moved = starts.iloc[0] - fit.params
    assert race.paths["distance"].iloc[0] == pytest.approx(float(np.sqrt(moved @ fit.information() @ moved)))


def test_newtons_distances_are_those_of_its_own_path(race):
    newton = race.paths[race.paths["method"] == "newton"]
    assert (np.diff(newton["iteration"]) >= 0).all()
    assert (np.diff(newton["passes"]) >= 0).all()
    d = newton["distance"].to_numpy()
    assert (np.diff(d[d > 1e-12]) < 0).all()


def test_plots(race):
    figure = race.plot()
    assert [axes.get_xlabel() for axes in figure.axes] == ["iterations", "passes over the data", "row gradients"]
    assert len(figure.axes[0].lines) == 5
    (axes,) = race.plot_contours().axes
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("Intercept", "x")
    assert "newton" in repr(race)


def test_a_start_may_be_given(fit):
    race = rp.compare(fit, ["newton"], start=[0.1, 0.2])
    assert race.paths.loc[0, ["Intercept", "x"]].tolist() == [0.1, 0.2]


def test_a_curve_may_be_compared_too():
    t = np.linspace(0, 4, 30)
    data = {"t": t, "y": 3.0 * np.exp(-0.7 * t) + 0.05 * np.random.default_rng(2).normal(size=30)}
    fit = rp.nls("y ~ a * exp(-b * t)", data, start={"a": 1.0, "b": 0.3})
    race = rp.compare(fit, ["gauss-newton", "levenberg-marquardt"], start=[1.0, 0.3])
    assert (race.table["distance"] < 1e-6).all()


def test_a_method_that_does_not_apply_has_a_row_and_a_reason():
    t = np.linspace(0, 4, 30)
    data = {"t": t, "y": 3.0 * np.exp(-0.7 * t) + 0.05 * np.random.default_rng(2).normal(size=30)}
    fit = rp.nls("y ~ a * exp(-b * t)", data, start={"a": 1.0, "b": 0.3})
    race = rp.compare(fit, ["gauss-newton", "adam"], start=[1.0, 0.3])
    assert race.table["status"].to_dict() == {"gauss-newton": "converged", "adam": "does not apply"}
    assert np.isnan(race.table.loc["adam", "distance"]) and race.table.loc["adam", "n_iter"] == 0
    assert "linear predictors" in race.notes["adam"] and race.notes["adam"] in repr(race)
    assert html.escape(race.notes["adam"]) in race._repr_html_() and "gauss-newton" not in race.notes
    assert set(race.paths["method"]) == {"gauss-newton"}
    assert len(race.plot().axes[0].lines) == 1
    with pytest.raises(
        ModelError, match="methods: none applies to this model; method: expected a model with linear predictors"
    ):
        rp.compare(fit, ["sgd", "adam"])


def test_a_likelihood_of_ones_own_may_be_compared():
    import jax.numpy as jnp

    def logpdf(y, mu, log_sigma):
        return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma

    data = {"x": x, "y": 0.5 * x + np.random.default_rng(5).normal(size=80)}
    race = rp.compare(rp.mle(logpdf, {"mu": "y ~ x", "log_sigma": "~ 1"}, data), ["newton", "bhhh", "adam"])
    assert race.table["status"].tolist() == ["converged", "converged", "does not apply"]
    assert (race.table["distance"].iloc[:2] < 1e-8).all()
    assert "a row of this likelihood reads more columns" in race.notes["adam"]


@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_networks_are_compared_by_what_the_likelihood_lacks():
    X = np.random.default_rng(0).normal(size=(100, 2))
    y = np.sin(X[:, 0]) + 0.1 * np.random.default_rng(1).normal(size=100)
    shape = {"hidden": (3,), "activation": "tanh", "epochs": 2, "validation": 0}
    race = rp.compare(rp.network(y, X, **shape), ["levenberg-marquardt", "adam"], max_iter=20)
    assert race.table.loc["adam", "n_iter"] == 20 * 3 and race.table.loc["adam", "row_gradients"] == 20 * 96
    # Both begin at the same random weights; the second-order method gets further.
    starts = race.paths.drop(columns=["method"]).groupby(race.paths["method"]).first()
    assert (starts == starts.iloc[0]).all(axis=None)
    assert race.table.loc["levenberg-marquardt", "llf_drop"] < race.table.loc["adam", "llf_drop"]
    normed = rp.compare(rp.network(y, X, **shape, batch_norm=True), ["levenberg-marquardt", "adam"], max_iter=2)
    assert normed.table.loc["adam", "status"] == "does not apply" and "without batch norm" in normed.notes["adam"]


@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_streamed_networks_are_compared_as_those_in_memory(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(700, 2)), columns=["x", "y"])
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    fit = rp.network("y ~ x", rp.stream(tmp_path / "rows.parquet", 256), hidden=(2,), epochs=1, validation=0)
    race = rp.compare(fit, ["gradient-descent", "adam"], max_iter=3)
    assert race.notes == {} and race.table.loc["adam", "row_gradients"] == 3 * 672  # of 32 a batch
    starts = race.paths.drop(columns=["method"]).groupby(race.paths["method"]).first()
    assert (starts == starts.iloc[0]).all(axis=None)


def test_the_gap_is_what_the_log_likelihood_lacks(fit, race):
    last = race.paths[race.paths["method"] == "sgd"].iloc[-1]
    eta = last["Intercept"] + last["x"] * DATA["x"]
    value = np.sum(DATA["y"] * eta - np.logaddexp(0.0, eta))
    assert race.table.loc["sgd", "llf_drop"] == pytest.approx(fit.llf - value, rel=1e-6)
    assert race.table.loc["newton", "llf_drop"] == pytest.approx(0.0, abs=1e-12)


def test_twelve_methods_look_different(fit):
    from raphson.report.race import _styles

    styles = _styles()
    assert len({tuple(next(styles).values()) for _ in range(12)}) == 12


def test_sgd_is_ahead_before_newton_has_read_the_data_once():
    rng = np.random.default_rng(0)
    big = rng.normal(size=50_000)
    data = {"x": big, "y": (rng.random(50_000) < 1 / (1 + np.exp(1.0 - 2.0 * big))).astype(float)}
    race = rp.compare(rp.glm("y ~ x", data, family="binomial"), ["newton", "sgd"], max_iter=10)
    paths = {name: path for name, path in race.paths.groupby("method")}
    early = paths["sgd"][paths["sgd"]["passes"] < 0.5]["distance"].iloc[-1]
    assert early < 0.2 * paths["newton"][paths["newton"]["passes"] <= 2]["distance"].iloc[-1]
    assert race.table.loc["newton", "distance"] < 1e-8 < 1e-3 < race.table.loc["sgd", "distance"]
    assert race.plot().axes[1].get_xlim()[1] >= 10


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["newtn"], "Did you mean 'newton'"),
        ([], "methods: expected a list"),
        ("newton", "methods: expected a list"),
        (rp.glm("y ~ x", {"x": [1, 2, 3], "y": [1, 2, 2]}), "expected a list of names; got Fit; fits of nested models"),
    ],
)
def test_bad_methods_are_refused(fit, methods, message):
    with pytest.raises(ModelError, match=message):
        rp.compare(fit, methods)


def test_what_is_no_fit_is_refused():
    with pytest.raises(ModelError, match="model: expected a Fit"):
        rp.compare("y ~ x")


@pytest.mark.filterwarnings("ignore::raphson.errors.SeparationWarning")
def test_a_maximum_at_infinity_is_refused():
    separated = rp.glm("y ~ x", {"x": [1, 2, 3, 4, 5, 6], "y": [0, 0, 0, 1, 1, 1]}, family="binomial")
    with pytest.raises(ModelError, match="at infinity"):
        rp.compare(separated)


def test_a_maximum_at_an_edge_is_raced_to():
    share = np.repeat([0.0, 1.0, 2.0, 3.0], 4)
    data = {"x": share, "y": [0, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1]}
    edge = rp.glm("y ~ x", data, family=rp.families.Binomial(link="log"))
    race = rp.compare(edge, ["newton", "gradient-descent"])
    assert edge.status.value == race.table["status"].iloc[0] == "boundary" and (race.table["distance"] < 1e-8).all()


def test_a_family_that_ended_in_a_simpler_one_is_refused():
    data = {"x": np.arange(6.0), "y": [3, 4, 3, 5, 4, 5]}
    poisson = rp.glm("y ~ x", data, family="negative-binomial")
    assert poisson.status.value == "boundary"
    with pytest.raises(ModelError, match=r"at infinity \(boundary\)"):
        rp.compare(poisson)


def test_contours_need_two_parameters():
    three = rp.glm("y ~ x + I(x**2)", DATA, family="binomial")
    with pytest.raises(ModelError, match="two parameters; got 3"):
        rp.compare(three, ["newton"]).plot_contours()


@pytest.mark.parametrize("link", ["logit", "probit"])  # a penalised likelihood, and adjusted scores
def test_a_fit_with_its_bias_reduced_races_and_what_reads_batches_does_not_apply(link):
    firth = rp.glm("y ~ x", DATA, family=rp.families.Binomial(link=link), bias="firth")
    race = rp.compare(firth, ["newton", "fisher-scoring", "newton-cg", "adam"])
    assert race.table["status"].to_list() == ["converged"] * 3 + ["does not apply"]
    assert race.table["distance"].iloc[:3].max() < 1e-8 and "bias reduction" in race.notes["adam"]
    with pytest.raises(ModelError, match="with bias reduction, is not a sum over rows"):
        rp.glm("y ~ x", DATA, family="binomial", bias="firth", method="sgd")
