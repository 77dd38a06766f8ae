"""Streamed rows that are like the first ones need no first pass, and others get what a first pass says of them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.compat import jnp
from raphson.data import parquet, supposed
from raphson.data.parquet import Stream
from raphson.errors import RaphsonError
from raphson.execute import tree_sum

PARTS, PART, PIECE = 12, 512, 256
N = PARTS * PART


@pytest.fixture
def read(monkeypatch):
    """Small parts are enough, and the parts that are read, one after the other."""
    for name, value in {"PLACES": 4, "PAGE_ROWS": 1, "SHARE": 1, "SAMPLE_ROWS": 600}.items():
        monkeypatch.setattr(supposed, name, value)
    monkeypatch.setattr(supposed, "sample_rows", lambda n_rows, n_columns, least: least)
    monkeypatch.setattr(parquet, "PART_ROWS", PART)
    inner, parts = Stream.rows, []

    def rows(self, part, columns):
        parts.append(part)
        return inner(self, part, columns)

    monkeypatch.setattr(Stream, "rows", rows)
    return parts


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=N), "z": rng.uniform(0.5, 2.0, N), "g": rng.choice(["a", "b", "c"], N)})
    frame["c"] = pd.Categorical(frame["g"], ["c", "a", "b", "never"])
    frame["y"] = (rng.random(N) < 1 / (1 + np.exp(0.3 - 0.5 * frame["x"]))).astype(float)
    frame["said"] = np.where(frame["y"] > 0, "yes", "no")
    frame["count"] = rng.poisson(np.exp(0.3 * frame["x"]))
    return frame


def stored(frame, tmp_path):
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=PART)
    return tmp_path / "rows.parquet"


def passed_over(monkeypatch):
    """From now on there is a first pass."""
    monkeypatch.setattr(supposed, "PLACES", N)


def numbers(fit):
    return [*fit.params, *fit.bse, fit.llf, fit.deviance, fit.nobs, fit.n_dropped, fit.df_resid]


MODELS = {
    "numbers": ("y ~ x + z", {"family": "binomial"}),
    "a function": ("y ~ log(z) + x", {"family": "binomial"}),
    "text": ("said ~ x + g", {"family": "binomial"}),
    "categories": ("count ~ x + c", {"family": "poisson"}),
    "an offset and a penalty": ("count ~ x", {"family": "poisson", "offset": "log(z)", "penalty": 2.0}),
    "an estimated dispersion": ("z ~ x + g", {"family": "gamma"}),
    "least squares": ("z ~ x + g", {"family": "gaussian"}),
    "clusters": ("y ~ x", {"family": "binomial", "cov": "cluster", "groups": "g"}),
    "no part": ("y ~ x", {"family": "binomial", "rows": "all"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_fit_is_that_after_a_first_pass_and_takes_fewer_readings(name, frame, read, tmp_path, monkeypatch):
    formula, keywords = MODELS[name]
    source = rp.stream(stored(frame, tmp_path), PIECE)
    one, two = (
        rp.glm(formula, source, executor=rp.execute.threads(workers), tol=1e-6, **keywords) for workers in (1, 2)
    )
    found = [numbers(fit) for fit in (one, two)]
    assert found[0] == found[1]  # to the last bit
    read.clear()
    rp.glm(formula, source, tol=1e-6, **keywords)
    quick = len(read)
    passed_over(monkeypatch)
    read.clear()
    whole = rp.glm(formula, source, tol=1e-9, **keywords)
    np.testing.assert_allclose(found[0], numbers(whole), rtol=1e-5, atol=1e-9)
    assert quick <= len(read) - PARTS


@pytest.mark.parametrize("name", ["text", "an estimated dispersion", "no part"])
def test_workers_begin_where_one_process_does(name, frame, read, tmp_path, pool):
    # They have a first pass: with the sample of that pass instead, every bit of the estimate would be another.
    formula, keywords = MODELS[name]
    source = rp.stream(stored(frame, tmp_path), PIECE)
    fits = [rp.glm(formula, source, executor=one, **keywords) for one in (rp.execute.threads(1), pool)]
    assert numbers(fits[0]) == numbers(fits[1])


def change(column, value, dtype=None):
    def changed(frame):
        found = frame.copy()
        if dtype is not None:
            found[column] = found[column].astype(dtype)
        found.loc[N - 3, column] = value
        return found

    return changed


CHANGES = {
    "a missing value": change("x", np.nan),
    "an infinite value": change("x", np.inf),
    "a number outside a function's domain": change("z", -1.0),
    "a missing level": change("g", None),
    "another level": change("g", "d"),
    "a level that comes first": change("g", "0"),
    "a declared level": change("c", "never"),
    "a response outside the support": change("y", 2.0),
    "a negative count": change("count", -1),
    "another response": change("said", "perhaps"),
    "an unwritten level": lambda frame: frame.assign(g=np.where(np.arange(N) < N - 9, "a", "b")),
    "equal responses": lambda frame: frame.assign(y=1.0, count=2),
}


def outcome(formula, path, **keywords):
    """What comes of a fit: numbers, warnings, and an error in words."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = numbers(rp.glm(formula, rp.stream(path, PIECE), tol=1e-9, **keywords))
        except RaphsonError as error:
            found = [f"{type(error).__name__}: {error}"]
    return found, [(one.category, str(one.message)) for one in said]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("formula", ["y ~ x + log(z) + g", "count ~ x + c", "said ~ x"])
def test_what_the_first_rows_do_not_show_gets_what_a_first_pass_says(name, formula, frame, read, tmp_path, monkeypatch):
    path = stored(CHANGES[name](frame), tmp_path)
    family = "poisson" if formula.startswith("count") else "binomial"
    found, said = outcome(formula, path, family=family)
    passed_over(monkeypatch)
    wanted, warned = outcome(formula, path, family=family)
    assert said == warned
    if isinstance(wanted[0], str):
        assert found == wanted
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "keywords", [{"weights": "z"}, {"trials": "count"}, {"method": "adam", "max_iter": 1}], ids=str
)
def test_weights_trials_and_methods_that_read_batches_need_a_first_pass(keywords, frame, read, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(supposed, "FirstReading", lambda *given: made.append(given))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = frame.assign(count=5)
        rp.glm("y ~ x", rp.stream(stored(rows, tmp_path), PIECE), family="binomial", **keywords)
    assert not made


class Killed(BaseException):
    pass


@pytest.mark.parametrize("name", ["as supposed", "a missing value", "another level"])
def test_an_interrupted_fit_goes_on_with_the_same_bits(name, frame, read, tmp_path, monkeypatch):
    path, checkpoint = stored(CHANGES.get(name, lambda rows: rows)(frame), tmp_path), tmp_path / "fit.ckpt"

    def fitted():
        read.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = rp.glm(
                "y ~ x + g",
                rp.stream(path, PIECE),
                family="binomial",
                tol=1e-6,
                checkpoint=checkpoint,
                executor=rp.execute.serial(),
            )
        return [one.hex() for one in map(float, numbers(fit))], fit.path.drop(columns="solver").to_numpy().tolist()

    wanted, unbroken = fitted(), len(read)
    inner = Stream.rows
    for kill_at in (PARTS // 2, PARTS + 2, unbroken - 1):
        checkpoint.unlink()

        def rows(self, part, columns, kill_at=kill_at):
            if len(read) == kill_at:
                raise Killed
            return inner(self, part, columns)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Stream, "rows", rows)
            fitted()
        before = len(read)
        assert str(fitted()) == str(wanted) and before + len(read) <= unbroken + PARTS + 1
    assert str(fitted()) == str(wanted) and not read


def test_a_file_that_changes_after_its_first_rows_were_read_is_read_anew(frame, read, tmp_path, monkeypatch):
    path = stored(frame, tmp_path)
    source = rp.stream(path, PIECE)
    monkeypatch.setattr(Stream, "stamp", lambda self, part: "one")
    data = supposed.supposed("y ~ x", source, dict.fromkeys(("weights", "offset", "trials", "groups")))
    assert data.unread is not None and data.n_rows == N and len(data.sample.response.values) == 600
    monkeypatch.setattr(Stream, "stamp", lambda self, part: "another")
    assert data.unread.beside(lambda: tree_sum([1 for _ in data.read(data.pieces)])) == (None, None)


@pytest.mark.parametrize("column", ["x", "g", "y"])
def test_of_rows_that_are_sorted_within_their_parts_the_sample_is_spread(column, frame, read, tmp_path):
    arguments = dict.fromkeys(("weights", "offset", "trials", "groups"))
    data = supposed.supposed("y ~ x + g", rp.stream(stored(frame, tmp_path), PIECE), arguments)
    assert data is not None and read == []  # the first rows are like the others
    within = frame.groupby(np.arange(N) // PART, group_keys=False)[list(frame)].apply(
        lambda part: part.sort_values(column)
    )
    data = supposed.supposed("y ~ x + g", rp.stream(stored(within, tmp_path), PIECE), arguments)
    assert data is not None and read == list(range(PARTS))
    sample, n = data.sample, len(data.sample.response.values)
    assert 550 <= n <= 650 and sample.names == ("Intercept", "x", "g[T.b]", "g[T.c]")
    assert abs(sample.X[:, 1].mean() - frame["x"].mean()) < 4 / np.sqrt(n)
    assert abs(sample.response.values.mean() - frame["y"].mean()) < 2 / np.sqrt(n)


def test_where_a_column_has_one_value_in_the_first_rows_others_are_looked_for(frame, read, tmp_path):
    late = frame.assign(h=np.where(np.arange(N) % PART < PART // 2, "a", "b"))
    data = supposed.supposed(
        "y ~ h", rp.stream(stored(late, tmp_path), PIECE), dict.fromkeys(("weights", "offset", "trials", "groups"))
    )
    assert data is not None and read and data.sample.names == ("Intercept", "h[T.b]")


DENSITIES = {
    "zero-inflated counts": ("zip", {"mean": "count ~ x", "zero": "~ 1"}),
    "levels": ("ordered_logit", {"location": "c ~ x"}),
    "a function": (lambda y, mean, scale: -0.5 * ((y - mean) / scale) ** 2 - jnp.log(scale), {"mean": "z ~ x + g"}),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_a_likelihood_needs_no_first_pass_either(name, frame, read, tmp_path, monkeypatch):
    density, formulas = DENSITIES[name]
    if name == "a function":
        formulas = formulas | {"scale": "~ 1"}
    frame = frame.assign(c=pd.Categorical(frame["g"], ["c", "a", "b"], ordered=True))
    source = rp.stream(stored(frame, tmp_path), PIECE)
    fits = [rp.mle(density, formulas, source, executor=rp.execute.threads(workers)) for workers in (1, 2)]
    values = [[*fit.params, *fit.bse, fit.llf, fit.nobs] for fit in fits]
    assert values[0] == values[1]  # to the last bit
    read.clear()
    rp.mle(density, formulas, source)
    quick = len(read)
    passed_over(monkeypatch)
    read.clear()
    whole = rp.mle(density, formulas, source)
    np.testing.assert_allclose(values[0], [*whole.params, *whole.bse, whole.llf, whole.nobs], rtol=1e-6, atol=1e-9)
    assert quick <= len(read) - PARTS  # without the pass for levels, or without that and the one for the response


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan])
def test_a_response_that_a_density_has_no_place_for_ends_the_supposition(value, frame, read, tmp_path, monkeypatch):
    changed = frame.assign(count=frame["count"].astype(float))
    changed.loc[N - 3, "count"] = value
    source = rp.stream(stored(changed, tmp_path), PIECE)

    def outcome():
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                fit = rp.mle("zip", {"mean": "count ~ x", "zero": "~ 1"}, source)
            except RaphsonError as error:
                return type(error), str(error)
        return [*fit.params, fit.llf, fit.n_dropped], [str(one.message) for one in told]

    found = outcome()
    passed_over(monkeypatch)
    assert found == outcome()
    assert isinstance(found[0], list) == np.isnan(value)  # a missing response is dropped


CURVES = {
    "plain": ("h ~ top*(1 - exp(-rate*z))", {}),
    "start": ("h ~ top*(1 - exp(-rate*z))", {"start": {"top": 2.0, "rate": 1.0}}),
    "robust": ("h ~ top*(1 - exp(-rate*z))", {"loss": "cauchy", "start": {"top": 2.0, "rate": 1.0}}),
    "gauss-newton and clusters": ("h ~ a*z + b", {"method": "gauss-newton", "cov": "cluster", "groups": "g"}),
}


def with_curve(frame):
    rng = np.random.default_rng(4)
    return frame.assign(h=3.0 * (1.0 - np.exp(-0.7 * frame["z"])) + 0.1 * rng.normal(size=N))


def of_curve(fit):
    return [*fit.params, *fit.bse, fit.llf, fit.deviance, fit.nobs, fit.null_deviance, fit.df_resid, fit.dispersion]


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_needs_no_first_pass_either(name, frame, read, tmp_path, monkeypatch, pool):
    formula, keywords = CURVES[name]
    source = rp.stream(stored(with_curve(frame), tmp_path), PIECE)
    executors = [rp.execute.threads(1), rp.execute.threads(2), *([pool] if name == "plain" else [])]
    found = [of_curve(rp.nls(formula, source, executor=one, **keywords)) for one in executors]
    assert all(one == found[0] for one in found)  # to the last bit
    read.clear()
    rp.nls(formula, source, executor=rp.execute.serial(), **keywords)
    quick = len(read)
    passed_over(monkeypatch)
    monkeypatch.setattr("raphson.data.curve_streams.SAMPLE_ROWS", 600)
    read.clear()
    whole = rp.nls(formula, source, executor=rp.execute.serial(), **keywords)
    np.testing.assert_allclose(found[0], of_curve(whole), rtol=1e-6, atol=1e-9)
    assert quick <= len(read) - PARTS


@pytest.mark.parametrize(
    "changed",
    [
        change("z", np.nan),
        change("h", np.inf),
        change("h", 1e200),
        lambda frame: frame.assign(h=frame["h"].where(frame.index < N - 3, 1e-200)),
    ],
    ids=["missing", "infinite", "too large", "tiny"],
)
def test_a_curve_gets_what_a_first_pass_says(changed, frame, read, tmp_path, monkeypatch):
    source = rp.stream(stored(changed(with_curve(frame)), tmp_path), PIECE)

    def outcome_of_curve():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                found = of_curve(rp.nls(CURVES["start"][0], source, start={"top": 2.0, "rate": 1.0}))
            except RaphsonError as error:
                found = [f"{type(error).__name__}: {error}"]
        return found, [(one.category, str(one.message)) for one in said]

    found, said = outcome_of_curve()
    passed_over(monkeypatch)
    wanted, warned = outcome_of_curve()
    assert said == warned
    if isinstance(wanted[0], str):
        assert found == wanted
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)
