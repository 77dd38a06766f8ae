"""What a fit says later is of the data that it was given: small arrays are its own, a change of large ones is told."""

from __future__ import annotations

import pickle

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import raphson as rp
from raphson.data import watching
from raphson.data.watching import PIECE, Watch, squares

rng = np.random.default_rng(3)
COPIED = 16_000
# More than twice as many as are sampled; those that the tests change alone are not.
ROWS = {"small": 60, "large": 3_005}


@pytest.fixture(autouse=True)
def _little_is_large(monkeypatch):
    monkeypatch.setattr(watching, "COPIED", COPIED)


def normal(y, mu, log_sigma, *, shift):
    return -0.5 * ((y - mu - shift) / jnp.exp(log_sigma)) ** 2 - log_sigma


def row_normal(params, row):
    return -0.5 * (row.y - params["b"] * row.x - row.z) ** 2


def data(size):
    n = ROWS[size]
    x, z = rng.normal(size=n), 0.1 * rng.normal(size=n)
    return {"y": 1 + x + rng.normal(size=n), "x": x, "z": z, "w": rng.uniform(1, 2, n)}


def arrays(d):
    X = np.column_stack([np.ones(len(d["x"])), d["x"]])
    return d["y"], X, {"weights": d["w"], "offset": d["z"]}


FORMULAS = {"mu": "y ~ x", "log_sigma": "~ 1"}
DOORS = {
    "arrays": lambda d, X: rp.glm(d["y"], X, weights=d["w"], offset=d["z"]),
    "formula": lambda d, X: rp.glm("y ~ x", d, weights=d["w"], offset=d["z"]),
    "density": lambda d, X: rp.mle(normal, FORMULAS, d, columns={"shift": "z"}, weights=d["w"]),
    "rows": lambda d, X: rp.mle(row_normal, d, start={"b": 0.0}, weights=d["w"]),
    "curve": lambda d, X: rp.nls("y ~ a + b*x", d, start={"a": 1.0, "b": 1.0}, weights=d["w"]),
    "function": lambda d, X: rp.nls(lambda p, x: p[0] + p[1] * x, (d["x"], d["y"]), start=np.ones(2), weights=d["w"]),
}


@pytest.mark.parametrize("size", ROWS)
@pytest.mark.parametrize("door", DOORS)
def test_row_quantities_are_those_of_the_fitted_data_or_refused(door, size):
    d = data(size)
    frame = pd.DataFrame(d)
    # The frame's own memory, so that writing to it writes to what a fit may share.
    shared = {name: frame[name].to_numpy() for name in d}
    for one in shared.values():
        one.flags.writeable = True
    X = np.column_stack([np.ones(len(frame)), shared["x"]])
    given = frame if door in ("formula", "density", "rows", "curve") else shared
    fit, want = DOORS[door](given, X), DOORS[door](pd.DataFrame(d) if given is frame else d, X.copy())
    expected = want.robust("HC0").bse.to_numpy(), want.information("opg").to_numpy()
    for one in (*shared.values(), X):
        one[:] = rng.normal(size=one.shape)
    for number, ask in enumerate([lambda: fit.robust("HC0").bse, lambda: fit.information("opg")]):
        try:
            found = ask().to_numpy()
        except rp.DataError as error:
            assert size == "large" and "changed in place after the fit" in str(error)
        else:
            np.testing.assert_allclose(found, expected[number], rtol=1e-10)


CHANGES = {
    "noise": lambda a: np.add(a, rng.normal(size=a.shape), out=a),
    "one entry": lambda a: a.__setitem__(len(a) // 3, a[len(a) // 3] + 0.01),
    "sign": lambda a: np.negative(a, out=a),
    "order": lambda a: rng.shuffle(a),
    "zero": lambda a: a.fill(0.0),
    "missing": lambda a: a.__setitem__(5, np.nan),
}


@pytest.mark.parametrize(
    ("which", "change"),
    [*(("X", change) for change in CHANGES), ("y", "zero"), ("weights", "order"), ("offset", "sign")],
)
def test_a_change_of_a_large_array_is_told(change, which):
    y, X, options = arrays(data("large"))
    fit = rp.glm(y, X, **options)
    assert fit.residuals("pearson").notna().all()
    named = {"y": y, "X": X, **options}
    CHANGES[change](named[which])
    for ask in (lambda: fit.information("observed"), lambda: fit.robust("HC1").bse, lambda: fit.predict(), fit.summary):
        with pytest.raises(rp.DataError, match=rf": {which} was changed in place after the fit.*pass copies"):
            ask()
    assert fit.predict(np.array([[1.0, 0.0]]), offset=[0.0]).notna().all()


def test_a_change_of_a_sparse_design_is_told():
    X = scipy.sparse.random(5_000, 40, 0.1, format="csc", random_state=np.random.default_rng(1))
    fit = rp.glm(rng.normal(size=5_000), X)
    fit.robust("HC0")
    X.data[:] = 1.0
    with pytest.raises(rp.DataError, match="X was changed"):
        fit.robust("HC0")


def test_arrays_left_alone_are_never_accused():
    y, X, options = arrays(data("large"))
    fit = rp.glm(y, X, **options)
    again = pickle.loads(pickle.dumps(fit))  # noqa: S301 - our own
    for one in (fit, again):
        assert one.robust("HC0").bse.notna().all() and len(one.residuals()) == len(y)


def test_a_watch_copies_what_is_small():
    watch, small, large = Watch(), np.zeros(9), np.zeros(COPIED)
    assert not np.shares_memory(watch.held("a", small), small) and watch.held("b", large) is large
    assert watch.held("c", None) is None and watch.changed(whole=True) == []
    huge = np.full(9, 1e300)  # whose squares overflow
    watch.watch("d", huge)
    assert watch.changed(whole=True) == []
    small[:], large[7] = 1, 1
    assert watch.changed(whole=True) == ["b"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_squares_are_summed_in_pieces_that_one_thread_of_blas_takes(dtype):
    assert PIECE <= 10_000  # from there on OpenBLAS uses several
    values = np.random.default_rng(0).normal(size=3 * PIECE + 5).astype(dtype)
    assert squares(values) == pytest.approx(float(np.sum(values.astype(np.float64) ** 2)), rel=1e-13)
    values[2 * PIECE] = np.nan
    assert not np.isfinite(squares(values))
