"""A fit goes into a file and comes back; whatever else is in the file is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.fit import coefficients, file


def frame(sample):
    return pd.DataFrame(
        {"y": sample.spread, "level": sample.category, "x": sample.x, "z": sample.z, "town": sample.group % 3}
    )


FITS = {
    "factors": lambda s: rp.glm("low ~ age + C(race) + lwt:smoke", rp.datasets.load("births"), family="binomial"),
    "gamma": lambda s: rp.glm(s.positive, s.X, family=rp.families.Gamma(link="log"), cov="HC1"),
    "theta": lambda s: rp.glm("y ~ x + z", frame(s), family="negative_binomial", information="observed"),
    "levels": lambda s: rp.glm("level ~ x + C(town)", frame(s), family="multinomial"),
    "quasi": lambda s: rp.glm("y ~ x", frame(s), family="quasipoisson"),
    "penalty": lambda s: rp.glm("y ~ x + z", frame(s), family="poisson", penalty=1.0),
    "spline": lambda s: rp.glm("y ~ bs(x, df=4) + offset(z)", frame(s), family="poisson"),
    "curve": lambda s: rp.nls("y ~ a*exp(b*x) + c*z", frame(s), start={"b": 0.5}),
    "curve of a transformed response": lambda s: rp.nls("log1p(y) ~ a + b*x", frame(s), fixed={"b": 0.3}),
    "robust curve at a bound": lambda s: rp.nls(
        "y ~ a*exp(b*x)", frame(s), start={"b": 0.2}, bounds={"b": (0, 0.25)}, loss="huber"
    ),
    "known dispersion": lambda s: rp.glm("y ~ x", frame(s), dispersion=2.0),
}
ODD = {
    "open curve": lambda s: rp.nls("y ~ a*c*exp(b*x)", frame(s), start={"a": 1.0, "c": 2.0, "b": 0.5}),
    "separated": lambda s: rp.glm((s.x > 0) * 1.0, s.X, family="binomial"),
    "half separated": lambda s: rp.glm(
        np.where(s.group == 3, 1.0, s.binary), np.column_stack([np.ones(60), s.group == 3, s.z]), family="binomial"
    ),
    "aliased": lambda s: rp.glm(s.count, np.column_stack([s.X, s.x]), family="poisson"),
    "unfinished": lambda s: rp.glm(s.count, s.X, family="poisson", max_iter=1),
    "saturated": lambda s: rp.glm([1.0, 2.0, 4.0], np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1]])),
    "boundary": lambda s: rp.glm(np.tile([2.0, 3, 4], 20), s.X, family="negative_binomial"),
}


@pytest.fixture(scope="module", params=[*FITS, *ODD])
def pair(request, sample, tmp_path_factory):
    """A fit and what was loaded of it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = {**FITS, **ODD}[request.param](sample)
    path = tmp_path_factory.mktemp("saved") / "fit.json"
    fit.save(path)
    return fit, rp.load(path)


def same(one, two):
    np.testing.assert_equal(one, two)


def test_numbers_and_arrays(pair):
    fit, loaded = pair
    for name in (*coefficients.NUMBERS, "method", "information_kind", "cov_kind", "formula", "bias", "message"):
        if hasattr(fit, name):  # several levels have no one residual
            same(getattr(loaded, name), getattr(fit, name))
    one, two = fit._reading, loaded._reading
    same((two.reduced_cov, two.certifying, two.effective), (one.reduced_cov, one.certifying, one.effective))
    for name in ("theta", "infinite", "direction", "follows"):
        # Auxiliary parameters are settled in the family, and not kept a second time.
        values = getattr(one.state, name)
        same(getattr(two.state, name), None if values is None else values[: len(fit.names)])
    assert loaded.names == fit.names and loaded.status is fit.status and loaded.converged == fit.converged
    assert loaded.family == fit.family and loaded.n_dropped == fit.n_dropped and loaded.n_iter == fit.n_iter


def test_what_is_derived_from_them(pair):
    fit, loaded = pair
    for read in (
        lambda f: f.params,
        lambda f: f.bse,
        lambda f: f.tvalues,
        lambda f: f.pvalues,
        lambda f: f.digits,
    ):
        pd.testing.assert_series_equal(read(loaded), read(fit))
    for read in (
        lambda f: f.cov_params(),
        lambda f: f.conf_int(0.9),
        lambda f: f.tidy(),
        lambda f: f.glance(),
        lambda f: f.path,
    ):
        pd.testing.assert_frame_equal(read(loaded), read(fit), check_dtype=False)
    assert loaded.summary().text == fit.summary().text


@pytest.mark.parametrize("kind", ["expected", "observed", "opg"])
def test_information(pair, kind):
    fit, loaded = pair
    try:
        expected = fit.information(kind)
    except rp.ModelError:
        with pytest.raises(rp.ModelError, match=r"no .* information; fit again"):
            loaded.information(kind)
        return
    pd.testing.assert_frame_equal(loaded.information(kind), expected)


def test_predictions(pair, sample, births):
    fit, loaded = pair
    if fit.formula is None:
        p = len(fit.names) // (fit.family.n_predictors or 1)
        new, offset = np.column_stack([np.ones(7), np.linspace(-1, 1, 7)[:, None] * np.ones((7, p - 1))]), None
    else:
        new, offset = (births.iloc[:7] if "low" in fit.formula else frame(sample).iloc[:7]), None
    for options in ({}, {"se": True}, {"interval": "confidence"}, {"kind": "link", "se": True}):
        one, two = fit.predict(new, offset=offset, **options), loaded.predict(new, offset=offset, **options)
        (pd.testing.assert_series_equal if isinstance(one, pd.Series) else pd.testing.assert_frame_equal)(one, two)


def test_a_loaded_fit_has_no_data(pair):
    _, loaded = pair
    for ask in (
        lambda: loaded.fittedvalues,
        lambda: loaded.residuals(),
        lambda: loaded.leverage,
        lambda: loaded.augment(),
        lambda: loaded.predict(),
        lambda: loaded.robust("HC0"),
        lambda: loaded.score,
    ):
        with pytest.raises(rp.RaphsonError, match=r"lacks its data|no single residual"):
            ask()
    with pytest.raises(rp.ModelError, match="update"):
        loaded.update(". ~ . + z")


def test_saved_again_it_is_the_same_file(pair, tmp_path):
    fit, loaded = pair
    fit.save(tmp_path / "one.json")
    loaded.save(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


# -- other files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fit.json"
    FITS["theta"](sample).save(path)
    return path


def test_the_file_is_json_without_bare_nan(saved):
    document = json.loads(saved.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert document["format"] == "raphson fit" and set(document) == {"format", "version", "sha256", "fit"}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short(saved, tmp_path, share):
    text = saved.read_text()
    (tmp_path / "cut.json").write_text(text[: int(share * len(text))])
    with pytest.raises(rp.DataError, match="not JSON, or was cut short"):
        rp.load(tmp_path / "cut.json")


def test_no_file(tmp_path):
    with pytest.raises(rp.DataError, match=r"nothing\.json: expected a saved fit"):
        rp.load(tmp_path / "nothing.json")
    with pytest.raises(rp.DataError, match="expected a saved fit"):
        rp.load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"\x80\x04\x95pickle", b"[]", b"{}", b"null", b'{"format": "other"}', b"[" * 100_000]
)
def test_another_kind_of_file(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(rp.DataError, match="expected"):
        rp.load(tmp_path / "other")


def test_a_later_version(saved, tmp_path):
    document = json.loads(saved.read_text()) | {"version": 2}
    (tmp_path / "later.json").write_text(json.dumps(document))
    with pytest.raises(rp.DataError, match="version 1 of the format; got 2"):
        rp.load(tmp_path / "later.json")


def rewritten(saved, path, change):
    """The file with its content changed, and its checksum made right again."""
    document = json.loads(saved.read_text())
    change(document["fit"])
    text = json.dumps(document["fit"], sort_keys=True, separators=(",", ":"))
    document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document))
    return path


def test_a_number_changed_by_hand(saved, tmp_path):
    document = json.loads(saved.read_text())
    document["fit"]["_theta"][0] += 1.0
    (tmp_path / "changed.json").write_text(json.dumps(document))
    with pytest.raises(rp.DataError, match="its content was changed"):
        rp.load(tmp_path / "changed.json")


CHANGES = {
    "a part missing": lambda fit: fit.pop("_theta"),
    "a number as text": lambda fit: fit.update(llf="-3"),
    "text as a number": lambda fit: fit.update(message=3),
    "too few estimates": lambda fit: fit.update(_theta=[0.0]),
    "estimates that are text": lambda fit: fit.update(_theta=["a", "b", "c", "d"]),
    "another covariance": lambda fit: fit.update(_reduced_cov=[[1.0]]),
    "no covariance": lambda fit: fit.update(_reduced_cov=None),
    "names that are none": lambda fit: fit.update(names=[1, 2, 3]),
    "too many names": lambda fit: fit.update(names=list("abcdefgh")),
    "an unknown status": lambda fit: fit.update(status="wonderful"),
    "an unknown family": lambda fit: fit["family"].update(name="os"),
    "a family with other fields": lambda fit: fit["family"].update(run="os.system"),
    "an unknown link": lambda fit: fit["family"].update(link="__import__('os').system('true')"),
    "a hostile formula": lambda fit: _everywhere(fit["schema"], "x", "__import__('os').system('true')"),
    "a schema that is none": lambda fit: fit.update(schema=[]),
    "a path with holes": lambda fit: fit["path"]["llf"].pop(),
    "a path that is none": lambda fit: fit.update(path=3),
    "widths that are text": lambda fit: fit.update(widths=["a"]),
    "a number that is none": lambda fit: fit.update(llf={"number": "1e5"}),
    "masks of another length": lambda fit: fit.update(_free=[1]),
    "information that is none": lambda fit: fit.update(information=[1]),
}


def _everywhere(value, old, new):
    """Replace a text wherever it stands in nested lists and dictionaries."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        if item == old:
            value[key] = new
        elif isinstance(item, dict | list):
            _everywhere(item, old, new)


@pytest.mark.parametrize("what", CHANGES)
def test_content_that_was_made_up(saved, tmp_path, what, monkeypatch, sample):
    import os

    monkeypatch.setattr(os, "system", lambda command: pytest.fail("it was run"))
    path = rewritten(saved, tmp_path / "made.json", CHANGES[what])
    with pytest.raises(rp.RaphsonError) as caught:
        rp.load(path).predict(frame(sample))
    assert len(str(caught.value)) < 700


MUTANTS = (
    None,
    -1,
    0.5,
    1e308,
    -1e308,
    10**400,
    0,
    True,
    "zzz",
    "",
    [],
    {},
    [[]],
    {"number": "NaN"},
    {"number": "-Infinity"},
)


USES = (
    lambda loaded, new: loaded.summary().text,
    lambda loaded, new: loaded.predict(new, se=True, interval="confidence"),
    lambda loaded, new: loaded.tidy(),
    lambda loaded, new: loaded.conf_int(),
)


def _leaves(value):
    """(holder, key) of everything in nested lists and dictionaries."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from _leaves(item)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["theta", "levels", "spline", "gamma", "half separated"])
def test_whatever_is_in_the_file_it_is_refused_or_works(sample, tmp_path, name):
    fit = {**FITS, **ODD}[name](sample)
    fit.save(tmp_path / "fit.json")
    if fit.formula is None:
        p = len(fit.names)
        new = np.column_stack([np.ones(3), np.linspace(-1, 1, 3)[:, None] * np.ones((3, p - 1))])
    else:
        new = frame(sample).iloc[:3]
    places = len(list(_leaves(json.loads((tmp_path / "fit.json").read_text())["fit"])))
    choose = np.random.default_rng(7)
    tried = [(int(choose.integers(places)), MUTANTS[choose.integers(len(MUTANTS))]) for _ in range(60)]
    for place, value in tried:

        def change(content, place=place, value=value):
            holder, key = list(_leaves(content))[place]
            holder[key] = value

        path = rewritten(tmp_path / "fit.json", tmp_path / "mutant.json", change)
        try:
            loaded = rp.load(path)
        except rp.DataError as error:
            assert "mutant.json" in str(error) and "Save the fit again" in str(error)
            continue
        for use in USES:
            with contextlib.suppress(rp.RaphsonError):
                use(loaded, new)


REFUSED = {
    **{f"{name} is null": lambda fit, name=name: fit.update({name: None}) for name in ("nobs", "deviance", "distance")},
    "a direction that is a number": lambda fit: fit.update(_direction=-1),
    "a direction without numbers": lambda fit: fit.update(_direction=[]),
    "a covariance with null": lambda fit: fit["_reduced_cov"][0].__setitem__(1, None),
    "a covariance that is not symmetric": lambda fit: fit["_reduced_cov"][0].__setitem__(1, 1e3),
    "a negative variance": lambda fit: fit["_reduced_cov"][0].__setitem__(0, -1e3),
    "no design": lambda fit: fit.update(design=[]),
    "text in the path": lambda fit: fit["path"]["llf"].__setitem__(0, "zzz"),
    "an unknown method": lambda fit: fit.update(method="zzz"),
    "no kind of covariance": lambda fit: fit.update(cov_kind=None),
    "an unknown rule": lambda fit: fit.update(dispersion_rule="zzz"),
    "a negative dispersion": lambda fit: fit.update(dispersion_rule=-1.0),
    "a number too large": lambda fit: fit.update(llf=10**400),
    "a name twice": lambda fit: fit.update(names=["x"] * len(fit["names"])),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_when_loaded(saved, tmp_path, what):
    path = rewritten(saved, tmp_path / "made.json", REFUSED[what])
    with pytest.raises(rp.RaphsonError, match=r"made\.json: .*(Save the fit again|before rp.load)"):
        rp.load(path)


@pytest.mark.parametrize("path", [None, 0, 1.5, b"fit.json"])
def test_a_path_that_is_none(path):
    with pytest.raises(rp.DataError, match="path: expected the name of a file"):
        rp.load(path)


def test_bare_nan_is_not_ours(saved, tmp_path):
    (tmp_path / "nan.json").write_text(saved.read_text().replace('"llf": ', '"llf": NaN, "was": ', 1))
    with pytest.raises(rp.DataError, match="was changed"):
        rp.load(tmp_path / "nan.json")


def test_residual_sd(sample, tmp_path):
    fit = FITS["quasi"](sample)
    fit.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    assert loaded.rss == fit.rss and loaded.residual_sd == fit.residual_sd


def test_saving_over_a_file_leaves_it_whole(saved, sample, tmp_path, monkeypatch):
    path = tmp_path / "fit.json"
    fit = rp.load(saved)
    fit.save(path)
    before = path.read_bytes()

    def broken(*args, **keywords):
        raise OSError("disk full")

    monkeypatch.setattr(file.json, "dumps", broken)
    with pytest.raises(OSError, match="disk full"):
        fit.save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["fit.json"]


def test_special_numbers_survive():
    value = {"a": [math.nan, math.inf, -math.inf, 0.1, 1, True, None, "NaN"], "b": {"c": np.float64(2.5)}}
    decoded = file.decoded(json.loads(json.dumps(file.encoded(value), allow_nan=False)))
    np.testing.assert_equal(decoded, {"a": [math.nan, math.inf, -math.inf, 0.1, 1, True, None, "NaN"], "b": {"c": 2.5}})


# -- functions -------------------------------------------------------------------------------------------------


def test_a_function_is_saved_without_the_function(sample, tmp_path):
    def curve(params, x):
        return params["a"] * x + params["b"]

    fit = rp.nls(curve, (sample.x, sample.normal), start={"a": 1.0, "b": 0.0})
    fit.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    assert loaded.summary().text == fit.summary().text
    pd.testing.assert_frame_equal(loaded.cov_params(), fit.cov_params())
    with pytest.raises(rp.ModelError, match="does not hold the function"):
        loaded.predict(np.array([1.0, 2.0]))
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "fit.json").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda curve: curve.update(text="a*__import__('os').system('true')*exp(b*x) + c*z"),
        lambda curve: curve.update(text="a*exp(b*x)"),
        lambda curve: curve.update(text=3),
        lambda curve: curve.update(columns=["x"]),
        lambda curve: curve.update(parameters=["a", "b", "d"]),
        lambda curve: curve.update(text="a*9**9**9*exp(b*x) + c*z"),
    ],
)
def test_a_curve_that_was_made_up(sample, tmp_path, change):
    FITS["curve"](sample).save(tmp_path / "fit.json")
    place = rewritten(tmp_path / "fit.json", tmp_path / "changed.json", lambda fit: change(fit["curve"]))
    with pytest.raises(rp.RaphsonError):
        rp.load(place).predict({"x": [1.0], "z": [1.0]})
