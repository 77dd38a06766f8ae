"""A fit where coefficients vary, saved and loaded: what it says without its data."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import DataError
from raphson.fit import file

CASES = [
    ("sleepstudy_corr", None, {}),
    ("sleepstudy_corr", None, {"criterion": "reml"}),
    ("dyestuff2_boundary", None, {}),
    ("cbpp", None, {"family": "binomial"}),
    ("cbpp", None, {"family": "binomial", "quadrature": 9}),
    ("machines", None, {"family": "gamma"}),
    ("machines", "score ~ Machine + I(Machine == 'B') + (1 | Worker) + (1 | Machine)", {}),
    ("mcycle_cr", None, {}),
    ("ovary_smooth_and_group", None, {"family": "poisson"}),
    ("ovary_smooth_and_group", "follicles ~ Time + (1 | Mare)", {"family": "negative_binomial"}),
]


@pytest.mark.parametrize(("name", "formula", "options"), CASES)
def test_a_loaded_fit_says_the_same(name, formula, options, reference, tmp_path):
    data, usual, _ = reference(name)
    fit = rp.glm(usual if formula is None else formula, data, **options)
    fit.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    assert loaded.summary().text == fit.summary().text
    for table in ("variances", "smooths"):
        pd.testing.assert_frame_equal(getattr(loaded, table), getattr(fit, table), check_exact=True)
    pd.testing.assert_frame_equal(loaded.random_effects(), fit.random_effects(), check_exact=True)
    assert (loaded.edf, loaded.aic, loaded.llf) == (fit.edf, fit.aic, fit.llf)
    new = data.assign(**{one: "another" for one in ("Subject", "herd", "Worker", "Mare", "Batch") if one in data})
    for rows, asked in ((data, {}), (data, {"effects": "population"}), (new, {"new_levels": "population"})):
        before, after = (one.predict(rows, se=True, **asked).to_numpy() for one in (fit, loaded))
        assert after == pytest.approx(before, rel=1e-11, nan_ok=False)
    assert loaded.information().to_numpy() == pytest.approx(fit.information().to_numpy(), nan_ok=True)
    loaded.save(tmp_path / "again.json")
    first, again = (json.loads((tmp_path / f"{one}.json").read_text())["fit"] for one in ("fit", "again"))
    assert first == again


@pytest.fixture(scope="module")
def saved(reference, tmp_path_factory):
    data, formula, _ = reference("sleepstudy_corr")
    path = tmp_path_factory.mktemp("saved") / "fit.json"
    fit = rp.glm(formula, data)
    fit.save(path)
    return fit, path


def test_what_needs_the_data_says_so(saved):
    fit, path = saved
    loaded = rp.load(path)
    for ask in (loaded.predict, loaded.residuals, lambda: loaded.fittedvalues, lambda: loaded.lr_test(fit)):
        with pytest.raises(DataError, match="a loaded fit lacks its data"):
            ask()


@pytest.mark.parametrize(
    "change",
    [
        {"theta": [1.0]},
        {"cross": []},
        {"coefficients": [0.0]},
        {"restricted": 1},
        {"terms": []},
        {"edf": [0]},
        {"variances": {}},
        {"p": 3},
    ],
)
def test_a_damaged_file_is_refused(change, saved, tmp_path):
    _, path = saved
    body = file.decoded(json.loads(path.read_text())["fit"])
    file.write(body | {"varying": body["varying"] | change}, tmp_path / "changed.json")
    with pytest.raises(DataError, match="a part of it is missing or malformed"):
        rp.load(tmp_path / "changed.json")


def test_a_level_of_a_pair_beyond_the_levels_is_refused(saved, tmp_path):
    _, path = saved
    body = file.decoded(json.loads(path.read_text())["fit"])
    cross = body["varying"]["cross"]
    assert np.size(cross[0]["first"]) == 18
    cross[0]["first"][0] = 99
    file.write(body, tmp_path / "changed.json")
    with pytest.raises(DataError, match="cross: its levels"):
        rp.load(tmp_path / "changed.json")
