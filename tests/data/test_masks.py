"""What a masked array hides is missing: in every argument of every front door, and never the number below the mask."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import raphson as rp
from raphson.data.masks import unmasked

N = 9
x = np.arange(float(N))
X = np.column_stack([np.ones(N), x])
y = 2 * x + np.sin(x)
FIRST = np.arange(N) == 0
WANT = np.linalg.lstsq(X[1:], y[1:], rcond=None)[0]


def hidden(values: np.ndarray, fill: object) -> np.ma.MaskedArray:
    """The values with the first (row) masked, and a number below the mask that would spoil everything."""
    spoilt = np.array(values, copy=True)
    spoilt[0] = fill
    mask = FIRST if values.ndim == 1 else np.repeat(FIRST[:, None], values.shape[1], axis=1)
    return np.ma.masked_array(spoilt, mask=mask)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma


def row_normal(params, row):
    return normal(row.y, row.X @ params["b"], params["s"])


def curve(params, x):
    return params["a"] + params["b"] * x


FORMULAS, START = {"mu": "y ~ x", "log_sigma": "~ 1"}, {"b": np.zeros(2), "s": 0.0}
CLUSTERS = {"cov": "cluster", "groups": hidden(np.arange(N), 99)}
DOORS = {
    "y": lambda: rp.glm(hidden(y, 1e20), X),
    "a list of masked rows": lambda: rp.glm(y, [np.ma.masked_array([1.0, 7], mask=[0, 1]), *X[1:]]),
    "X": lambda: rp.glm(y, hidden(X, 1e20)),
    "weights": lambda: rp.glm(y, X, weights=hidden(np.ones(N), 1e20)),
    "offset": lambda: rp.glm(y, X, offset=hidden(np.zeros(N), 1e20)),
    "groups": lambda: rp.glm(y, X, **CLUSTERS),
    "labels of groups": lambda: rp.glm(y, X, cov="cluster", groups=hidden(np.array(list("abcdefghi")), "z")),
    "a column": lambda: rp.glm("y ~ x", {"y": y, "x": hidden(x.astype(int), 77)}),
    "weights of a formula": lambda: rp.glm("y ~ x", {"y": y, "x": x}, weights=hidden(np.ones(N), 1e20)),
    "mle": lambda: rp.mle(normal, FORMULAS, {"y": hidden(y, 1e20), "x": x}),
    "mle's weights": lambda: rp.mle(normal, FORMULAS, {"y": y, "x": x}, weights=hidden(np.ones(N), 1e20)),
    "rows": lambda: rp.mle(row_normal, {"y": hidden(y, 1e20), "X": X}, start=START),
    "rows' matrix": lambda: rp.mle(row_normal, {"y": y, "X": hidden(X, 1e20)}, start=START),
    "rows' weights": lambda: rp.mle(row_normal, {"y": y, "X": X}, start=START, weights=hidden(np.ones(N), 1e20)),
    "nls": lambda: rp.nls(curve, (x, hidden(y, 1e20)), start={"a": 0.0, "b": 1.0}),
    "nls, x": lambda: rp.nls(curve, (hidden(x, 1e20), y), start={"a": 0.0, "b": 1.0}),
}


@pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning")
@pytest.mark.parametrize("door", DOORS)
def test_a_masked_row_is_left_out(door):
    fit = DOORS[door]()
    np.testing.assert_allclose(fit.params.to_numpy()[:2], WANT, atol=1e-7)
    assert fit.nobs == N - 1


def test_what_is_masked_is_told_of_or_refused():
    with pytest.warns(rp.MissingDataWarning, match=r"1 of 9 rows dropped for missing values in y"):
        rp.glm(hidden(y, 1e20), X)
    with pytest.raises(rp.DataError, match="missing values in x2, in 1 of 9 rows"):
        rp.glm(y, np.ma.masked_array(X, mask=np.column_stack([np.zeros(N), FIRST])), missing="raise")


@pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning")
def test_masked_counts_labels_and_trials():
    successes = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9])
    want = rp.glm(successes[1:], X[1:], trials=np.full(N - 1, 10), family="binomial").params
    masked = rp.glm(successes, X, trials=hidden(np.full(N, 10), 1), family="binomial").params
    np.testing.assert_allclose(masked, want, rtol=1e-10)
    pairs = np.column_stack([successes, 10 - successes])
    np.testing.assert_allclose(rp.glm(hidden(pairs, 3), X, family="binomial").params, want, rtol=1e-10)
    labels = np.array(list("nyynyynyy"))
    want = rp.glm(labels[1:], X[1:], family="binomial").params
    np.testing.assert_allclose(rp.glm(hidden(labels, "q"), X, family="binomial").params, want, rtol=1e-10)
    np.testing.assert_allclose(rp.glm(hidden(labels == "y", 1), X, family="binomial").params, want, rtol=1e-10)
    assert rp.network(hidden(y, 1e20), X, hidden=(2,), epochs=1, validation=0).nobs == N - 1


def test_scikit_learn_refuses_masked_features():
    from raphson.sklearn import GLMRegressor

    with pytest.raises(ValueError, match="contains NaN"):
        GLMRegressor().fit(hidden(X, 1e20), y)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8, np.bool_])
@given(rows=st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=6))
def test_unmasked_is_filled(kind, rows):
    values, mask = np.array([value for value, _ in rows], dtype=kind), np.array([masked for _, masked in rows])
    plain = unmasked(np.ma.masked_array(values, mask=mask))
    assert type(plain) is np.ndarray
    np.testing.assert_array_equal(plain, np.where(mask, np.nan, values.astype(float)))


def test_without_a_mask_nothing_is_copied():
    assert np.shares_memory(unmasked(np.ma.masked_array(x)), x)
    assert unmasked(x) is x and unmasked([1, 2]) == [1, 2]
