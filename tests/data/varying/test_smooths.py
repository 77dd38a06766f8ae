"""Smooth functions are parted into columns of the design and columns that vary, and say the same together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_formula
from raphson.errors import DataError

REFERENCE = Path(__file__).parents[2] / "reference" / "mixed"


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(size=n),
            "z": rng.normal(size=n),
            "f": np.tile(["u", "v", "w"], n // 3),
        }
    )


def test_a_smooth_is_centred_and_parted(table):
    made = from_formula("y ~ z + s(x, k=8)", table, varying=True)
    assert made.names == ("Intercept", "z", "s(x)[linear]") and made.terms["s(x)"] == (2,)
    (term,) = made.varying
    assert (term.label, term.structure, term.codes, term.columns.shape) == ("s(x)", "common", None, (60, 6))
    assert np.abs(term.columns.mean(axis=0)).max() < 1e-13 and abs(np.asarray(made.X)[:, 2].mean()) < 1e-13
    assert np.corrcoef(np.asarray(made.X)[:, 2], table.x)[0, 1] == pytest.approx(1.0, abs=1e-12)


def test_a_smooth_for_each_level_is_0_elsewhere(table):
    made = from_formula("y ~ f + s(x, by=f, k=6)", table, varying=True)
    assert [term.label for term in made.varying] == ["s(x):f[u]", "s(x):f[v]", "s(x):f[w]"]
    assert made.names[3:] == ("s(x):f[u][linear]", "s(x):f[v][linear]", "s(x):f[w][linear]")
    whole = from_formula("y ~ s(x, k=6)", table, varying=True)
    for level, term in zip("uvw", made.varying, strict=True):
        here = (table.f == level).to_numpy()
        assert not term.columns[~here].any()
        assert term.columns[here].tolist() == whole.varying[0].columns[here].tolist()


def test_a_smooth_times_a_number_has_its_constant(table):
    made = from_formula("y ~ s(x, by=z, k=6)", table, varying=True)
    assert made.names == ("Intercept", "s(x):z[constant]", "s(x):z[linear]")
    X = np.asarray(made.X)
    assert np.ptp(X[:, 1] / table.z) < 1e-12
    assert np.linalg.matrix_rank(np.column_stack([X, made.varying[0].columns])) == 7


def test_a_cyclic_smooth_leaves_nothing_unpenalised(table):
    made = from_formula("y ~ s(x, basis='cc', k=6)", table, varying=True)
    assert made.names == ("Intercept",) and made.varying[0].width == 4


@pytest.mark.parametrize("term", ["s(x, k=6)", "te(x, z, k=4)", "s(x, z, k=12)", "ti(x, z, k=4)", "s(x, by=f, k=5)"])
def test_rows_that_miss_something_take_no_part(table, term):
    missing = table.copy()
    missing.loc[3, "x"] = np.nan
    missing.loc[[7, 50], "y"] = np.nan
    with pytest.warns(UserWarning, match="3 of 60 rows dropped"):
        made = from_formula(f"y ~ f + {term}", missing, varying=True)
    alone = from_formula(f"y ~ f + {term}", missing.dropna(), varying=True)
    assert made.names == alone.names and made.n_dropped == 3
    np.testing.assert_allclose(np.asarray(made.X), np.asarray(alone.X), atol=1e-12)
    for one, other in zip(made.varying, alone.varying, strict=True):
        np.testing.assert_allclose(one.columns, other.columns, atol=1e-12)


def test_a_smooth_of_a_factor_is_refused(table):
    with pytest.raises(DataError, match=r"expected a number in 's\(f\)'; got a factor"):
        from_formula("y ~ s(f)", table, varying=True)
    with pytest.raises(DataError, match="but its variable only 3 different values; write k=3"):
        from_formula("y ~ s(x)", table.assign(x=np.tile([0.0, 1.0, 2.0], 20)), varying=True)


@pytest.mark.parametrize("name", ["mcycle_cr", "airquality_two"])
def test_at_the_references_strengths_it_gives_their_predictions_and_criterion(name):
    truth = json.loads((REFERENCE / f"{name}.json").read_text())
    fit = truth["fits"]["reml"]
    data = pd.read_csv(REFERENCE / f"{name}.csv")
    data = data[data.iloc[:, 0].notna()] if name == "airquality_two" else data
    response, right = truth["formula"].split("~")
    made = from_formula(f"{response}~{right}", data, varying=True)
    sigma, y = fit["sigma"], made.response.values
    lam = [one["lam"] for one in fit["smooths"]]
    X = np.asarray(made.X)
    A = np.column_stack([X, *(term.columns * (sigma / one**0.5) for term, one in zip(made.varying, lam, strict=True))])
    P = np.diag(np.repeat([0.0, 1.0], [X.shape[1], A.shape[1] - X.shape[1]]))
    H = A.T @ A / sigma**2 + P
    b = np.linalg.solve(H, A.T @ y / sigma**2)
    r = y - A @ b
    # Also the criterion, which depends on the coordinates of what is not penalised: they are mgcv's.
    reml = -0.5 * len(y) * np.log(2 * np.pi * sigma**2) - 0.5 * r @ r / sigma**2 - 0.5 * b @ P @ b
    reml += 0.5 * X.shape[1] * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(H)[1]
    assert reml == pytest.approx(fit["reml_loglik"], abs=1e-9)
    expected = fit["prediction"]
    new = made.schema.design(pd.DataFrame(expected["new"]))
    columns = [term.columns * (sigma / one**0.5) for term, one in zip(new.varying, lam, strict=True)]
    N = np.column_stack([np.asarray(new.X), *columns])
    assert N @ b == pytest.approx(expected["eta"], rel=1e-10)
    se = np.sqrt(np.einsum("ij,ij->i", N, np.linalg.solve(H, N.T).T))
    assert se == pytest.approx(expected["se_eta"], rel=1e-10)
    for term, own in zip(new.varying, columns, strict=True):
        at = slice(X.shape[1], None) if len(new.varying) == 1 else None
        if at is not None:
            linear = np.asarray(new.X)[:, list(made.terms[term.label])] @ b[list(made.terms[term.label])]
            assert linear + own @ b[at] == pytest.approx(expected["smooth_terms"][term.label], rel=1e-9)
