"""New responses drawn from fits without varying coefficients; those with them are in varying/test_refits.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import DataError, ModelError


@pytest.fixture(scope="module")
def births():
    return rp.datasets.load("births")


def test_the_same_seed_gives_the_same_bits_and_the_index_is_the_datas(births):
    fit = rp.glm("low ~ lwt", births.set_axis([f"r{i}" for i in range(len(births))]), family="binomial")
    one, other = fit.simulate(70, seed=3), fit.simulate(70, seed=3, effects="conditional")
    assert one.equals(other) and one.index[0] == "r0" and list(one.columns) == list(range(70))
    assert not one.equals(fit.simulate(70, seed=4))
    error = np.sqrt(fit.fittedvalues * (1 - fit.fittedvalues) / 70)
    assert (abs(one.mean(axis=1) - fit.fittedvalues) < 4.5 * error).all()


def test_precision_weights_divide_the_variance_and_trials_give_shares():
    x = np.tile([0.0, 1.0, 2.0], 4)
    data = pd.DataFrame({"x": x, "y": x + np.sin(np.arange(12.0)), "w": np.repeat([1.0, 9.0], 6)})
    fit = rp.glm("y ~ x", data, weights="w")
    drawn = fit.simulate(4000, seed=1)
    expected = fit.dispersion / data.w
    assert drawn.var(axis=1).to_numpy() == pytest.approx(expected.to_numpy(), rel=5 * np.sqrt(2 / 4000))
    shares = pd.DataFrame({"x": x, "a": [1, 2, 3, 4, 5, 3] * 2, "b": 5})
    counts = rp.glm("cbind(a, b) ~ x", shares, family="binomial").simulate(5, seed=1).mul(shares.a + shares.b, axis=0)
    assert np.allclose(counts, np.rint(counts)) and counts.to_numpy().max() <= 10


def test_levels_are_their_labels(births):
    drawn = rp.glm("race ~ lwt", births, family="multinomial").simulate(2, seed=1)
    assert set(drawn[0]) <= set(births.race)


def test_what_cannot_be_drawn_is_refused(births, tmp_path):
    fit = rp.glm("low ~ lwt", births, family="binomial")
    with pytest.raises(ModelError, match=r"n: expected a whole number of data sets, at least 1; got 0"):
        fit.simulate(0)
    with pytest.raises(ModelError, match="effects"):
        fit.simulate(1, effects="none")
    with pytest.warns(match="separation"):
        apart = rp.glm([0, 0, 1, 1], [[1, 0], [1, 1], [1, 2], [1, 3]], family="binomial")
    with pytest.raises(ModelError, match="expected a fit with a finite maximum"):
        apart.simulate(1)
    fit.save(tmp_path / "fit.json")
    with pytest.raises(DataError, match="simulate: a loaded fit lacks its data"):
        rp.load(tmp_path / "fit.json").simulate(1)
