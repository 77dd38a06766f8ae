"""Functions of several variables, from formulas, beside the dense algebra of their penalised likelihood."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import BSpline, CubicSpline

import raphson as rp

N = 300


def table(seed=0, kind="both", n=N):
    rng = np.random.default_rng(seed)
    x, z, g = rng.uniform(0, 1, n), rng.uniform(-2, 3, n), rng.integers(0, 8, n)
    f = {"both": np.sin(5 * x) * np.cos(z) + x, "z": x + np.sin(3 * z), "plane": x + z, "none": 0 * x}[kind]
    frame = {"x": x, "z": z, "g": g, "f": np.where(rng.random(n) < 0.5, "u", "v"), "w": rng.uniform(0.5, 1.5, n)}
    return pd.DataFrame({**frame, "y": f + rng.normal(0, 0.4, n), "c": rng.poisson(np.exp(1 + f))})


# -- the dense algebra, with bases by SciPy ------------------------------------------------------------------------


def _knots(x, k):
    distinct = np.unique(x)
    return np.interp(np.linspace(0, len(distinct) - 1, k), np.arange(len(distinct)), distinct)


def _by_values(x, knots, spline, k):
    """Values and ∫ f″² of splines by their values at knots."""
    made = [spline(knots, unit) for unit in np.eye(k)]
    bent, h = np.stack([one(knots, 2) for one in made]), np.diff(knots)
    left, right = bent[:, :-1], bent[:, 1:]
    S = ((left * h) @ left.T + (right * h) @ right.T) / 3 + ((left * h) @ right.T + (right * h) @ left.T) / 6
    return np.stack([one(x) for one in made], axis=1), S


def cr(x, k):
    return *_by_values(x, _knots(x, k), lambda at, b: CubicSpline(at, b, bc_type="natural"), k), 2


def line(x, k):
    """What the penalty of ``cr`` spares, in orthonormal coordinates."""
    B, _, d = cr(x, k)
    N = np.linalg.qr(np.column_stack([np.ones(k), _knots(x, k)]))[0]
    return B @ N, np.zeros((d, d)), d


def cc(x, k):
    around = lambda at, b: CubicSpline(at, np.append(b, b[0]), bc_type="periodic")  # noqa: E731
    return *_by_values(x, _knots(x, k), around, k - 1), 1


def ps(x, k):
    """By the values at k even points, as in mgcv's tensor products."""
    low, high = x.min() - 0.001 * np.ptp(x), x.max() + 0.001 * np.ptp(x)
    knots = low + (high - low) / (k - 3) * (np.arange(k + 4) - 3)
    T = np.linalg.inv(BSpline.design_matrix(np.linspace(x.min(), x.max(), k), knots, 3).toarray())
    D = np.diff(np.eye(k), 2, axis=0) @ T
    return BSpline.design_matrix(x, knots, 3).toarray() @ T, D.T @ D, 2


def dense(data, kinds, ks):
    """Columns with the intercept, both penalties, and the rank of their sum; centred by a constraint on b."""
    (B, S, d), (C, R, e) = (kind(data[name].to_numpy(), k) for name, kind, k in zip("xz", kinds, ks, strict=True))
    X = (B[:, :, None] * C[:, None, :]).reshape(len(data), -1)
    Q = np.linalg.qr(X.sum(axis=0)[:, None], mode="complete")[0][:, 1:]
    penalties = [Q.T @ P @ Q for P in (np.kron(S, np.eye(len(R))), np.kron(np.eye(len(S)), R))]
    padded = [np.pad(P, ((1, 0), (1, 0))) for P in penalties]
    return np.column_stack([np.ones(len(data)), X @ Q]), padded, X.shape[1] - d * e


def restricted(y, A, penalties, rank, strengths, phi, poisson=False):
    """The restricted likelihood, the coefficients and H of given λ and φ."""
    P = sum(one * S for one, S in zip(strengths, penalties, strict=True)) / phi
    b = np.zeros(A.shape[1])
    for _ in range(50 if poisson else 1):
        mean = np.exp(A @ b) if poisson else np.full(len(y), np.nan)
        w = mean if poisson else np.full(len(y), 1 / phi)
        H = A.T @ (w[:, None] * A) + P
        score = A.T @ (y - mean) - P @ b if poisson else A.T @ y / phi
        b = b + np.linalg.solve(H, score)
    from scipy.stats import norm
    from scipy.stats import poisson as counts

    log_f = counts.logpmf(y, np.exp(A @ b)).sum() if poisson else norm.logpdf(y, A @ b, np.sqrt(phi)).sum()
    pseudo = np.log(np.linalg.eigvalsh(P)[-rank:]).sum()
    value = log_f - 0.5 * b @ P @ b + 0.5 * pseudo - 0.5 * np.linalg.slogdet(H)[1]
    return value + 0.5 * (A.shape[1] - rank) * np.log(2 * np.pi), b, H


BASES = [("cr", "cr", 5, 5), ("cr", "ps", 6, 7), ("cc", "cr", 6, 5), ("ps", "cc", 5, 6)]
KINDS = {"cr": cr, "cc": cc, "ps": ps}


@pytest.mark.parametrize(("one", "other", "k", "m"), BASES)
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_the_estimate_is_the_maximum_of_the_criterion_written_out(one, other, k, m, family):
    data, poisson = table(), family == "poisson"
    y = data.c.to_numpy(float) if poisson else data.y.to_numpy()
    fit = rp.glm(f"{'c' if poisson else 'y'} ~ te(x, z, k=({k}, {m}), basis=('{one}', '{other}'))", data, family=family)
    assert fit.status == "converged" and list(fit.smooths.columns)[2:4] == ["lambda", "lambda_2"]
    A, penalties, rank = dense(data, (KINDS[one], KINDS[other]), (k, m))
    at = np.log([fit.smooths["lambda"][0], fit.smooths["lambda_2"][0], fit.dispersion])

    def value(logs):
        return restricted(y, A, penalties, rank, np.exp(logs[:2]), np.exp(logs[2]), poisson)

    top, b, H = value(at)
    assert fit.llf == pytest.approx(top, abs=1e-9)
    np.testing.assert_allclose(fit.predict(data, kind="link"), A @ b, atol=1e-9)
    se = fit.predict(data, kind="link", se=True)["se"]
    np.testing.assert_allclose(se, np.sqrt(np.einsum("ij,ji->i", A, np.linalg.solve(H, A.T))), rtol=1e-9)
    weight = np.exp(A @ b) if poisson else np.full(len(y), 1 / fit.dispersion)
    assert fit.edf == pytest.approx(np.trace(np.linalg.solve(H, A.T @ (weight[:, None] * A))), rel=1e-9)
    # the gradient of the criterion, in standard errors of the log strengths, by Richardson's differences
    for j, error in enumerate(2 * fit.variances.std_error.to_numpy()[:2] / fit.variances.estimate.to_numpy()[:2]):
        h = 1e-3 * np.eye(3)[j]
        once, twice = (value(at + f * h)[0] - value(at - f * h)[0] for f in (1, 2))
        assert abs((8 * once - twice) / 12e-3) * error < 1e-7


@pytest.mark.parametrize(("one", "other", "k", "m"), BASES)
def test_the_gradient_written_out_is_zero_in_units_of_the_errors(one, other, k, m):
    """∂V/∂log λ_j = ½ [tr(P⁻λ_jS_j) − bᵀλ_jS_jb − tr(H⁻¹λ_jS_j)], in units of φ; and σ² = RSS/(n − edf)."""
    data = table()
    fit = rp.glm(f"y ~ te(x, z, k=({k}, {m}), basis=('{one}', '{other}'))", data)
    y, phi, strengths = data.y.to_numpy(), fit.dispersion, fit.smooths[["lambda", "lambda_2"]].to_numpy()[0]
    A, penalties, rank = dense(data, (KINDS[one], KINDS[other]), (k, m))
    _, b, H = restricted(y, A, penalties, rank, strengths, phi)
    own = [strength * S / phi for strength, S in zip(strengths, penalties, strict=True)]
    values, vectors = np.linalg.eigh(sum(own))
    inverse = (vectors[:, -rank:] / values[-rank:]) @ vectors[:, -rank:].T
    gradient = [0.5 * (np.trace(inverse @ P) - b @ P @ b - np.trace(np.linalg.solve(H, P))) for P in own]
    errors = 2 * fit.variances.std_error.to_numpy()[:2] / fit.variances.estimate.to_numpy()[:2]
    assert np.abs(gradient * errors).max() < 1e-9
    assert phi == pytest.approx(np.sum((y - A @ b) ** 2) / (N - fit.edf), rel=1e-10)


@pytest.mark.parametrize(("one", "other"), [("cr", "cr"), ("cc", "cr"), ("cc", "cc")])
def test_an_interaction_has_centred_margins_beside_the_main_effects(one, other):
    data = table(3)
    fit = rp.glm(f"y ~ s(x, k=6) + s(z, k=6) + ti(x, z, k=(6, 5), basis=('{one}', '{other}'))", data)
    parts, penalties, rank = [np.ones((N, 1))], [], 0

    def centred(name, kind, k):
        B, S, d = kind(data[name].to_numpy(), k)
        Q = np.linalg.qr(B.sum(axis=0)[:, None], mode="complete")[0][:, 1:]
        return B @ Q, Q.T @ S @ Q, d - 1

    margins = [centred("x", KINDS[one], 6), centred("z", KINDS[other], 5)]
    (B, S, d), (C, R, e) = margins
    X = (B[:, :, None] * C[:, None, :]).reshape(N, -1)
    several = [np.kron(S, np.eye(len(R))), np.kron(np.eye(len(S)), R)]
    for B, own, free in (*((B, [S], d) for B, S, d in (centred(v, cr, 6) for v in "xz")), (X, several, d * e)):
        at = sum(part.shape[1] for part in parts)
        parts, rank = [*parts, B], rank + B.shape[1] - free
        penalties += [(at, P) for P in own]
    A = np.column_stack(parts)
    padded = [np.pad(P, ((at, A.shape[1] - at - len(P)),) * 2) for at, P in penalties]
    strengths = [one for row in fit.smooths[["lambda", "lambda_2"]].to_numpy() for one in row if not np.isnan(one)]
    assert np.isfinite(strengths).all()
    value, b, _ = restricted(data.y.to_numpy(), A, padded, rank, strengths, fit.dispersion)
    assert fit.llf == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(fit.fittedvalues, A @ b, atol=1e-9)
    assert ("ti(x, z)[x:z]" in fit.params.index) == (d * e == 1)


def test_invariance():
    data = table()
    fit = rp.glm("y ~ te(x, z)", data)
    order = np.random.default_rng(1).permutation(N)
    for other in (
        rp.glm("y ~ te(z, x)", data),
        rp.glm("y ~ te(x, z)", data.assign(x=1e4 * data.x + 77, z=-1e-3 * data.z - 5)),
        rp.glm("y ~ te(x, z)", data.iloc[order]),
    ):
        np.testing.assert_allclose(other.fittedvalues.reindex(data.index), fit.fittedvalues, atol=1e-8)
        assert other.edf == pytest.approx(fit.edf, abs=1e-7)
    twice = rp.glm("y ~ te(x, z)", data.loc[data.index.repeat(2)])
    weighted = rp.glm("y ~ te(x, z)", data.assign(h=2), weights="h", weights_kind="frequency")
    assert weighted.llf == pytest.approx(twice.llf, abs=1e-8)
    np.testing.assert_allclose(weighted.fittedvalues, twice.fittedvalues[::2], atol=1e-8)


def test_a_thin_plate_may_be_turned_and_shifted():
    data = table()
    fit = rp.glm("y ~ s(x, z)", data)
    assert list(fit.params.index) == ["Intercept", "s(x, z)[x]", "s(x, z)[z]"]
    turned = data.assign(
        x=np.cos(0.7) * data.x - np.sin(0.7) * data.z + 3, z=np.sin(0.7) * data.x + np.cos(0.7) * data.z
    )
    other = rp.glm("y ~ s(z, x)", turned.iloc[::-1])
    np.testing.assert_allclose(other.fittedvalues[::-1], fit.fittedvalues, atol=1e-9)
    assert other.llf == pytest.approx(fit.llf, abs=1e-6) or other.edf == pytest.approx(fit.edf, abs=1e-9)
    one, scaled = (rp.glm("y ~ s(x, basis='tp')", data.assign(x=f * data.x)) for f in (1.0, 1e4))
    np.testing.assert_allclose(scaled.fittedvalues, one.fittedvalues, atol=1e-9)


def test_a_thin_plate_is_that_of_all_points_truncated():
    data = table(n=80)
    x, y, k = data[["x", "z"]].to_numpy(), data.y.to_numpy(), 20
    fit = rp.glm("y ~ s(x, z, k=20)", data)
    r = np.linalg.norm(x[:, None] - x, axis=2)
    E, T = r**2 * np.log(np.where(r > 0, r, 1)) / (8 * np.pi), np.column_stack([np.ones(80), x - x.mean(axis=0)])
    values, U = np.linalg.eigh(E)
    kept = np.argsort(-np.abs(values))[:k]
    Z = np.linalg.qr(U[:, kept].T @ T, mode="complete")[0][:, 3:]
    X = np.column_stack([U[:, kept] * values[kept] @ Z, T])
    S = np.zeros((k, k))
    S[: k - 3, : k - 3] = (Z.T * values[kept]) @ Z
    sizes = np.sqrt(np.mean(X**2, axis=0))
    X, S = X / sizes, S / np.outer(sizes, sizes)
    Q = np.linalg.qr(X.sum(axis=0)[:, None], mode="complete")[0][:, 1:]
    A = np.column_stack([np.ones(80), X @ Q])
    penalty = np.pad(Q.T @ S @ Q, ((1, 0), (1, 0)))
    value, b, _ = restricted(y, A, [penalty], k - 3, [fit.smooths["lambda"][0]], fit.dispersion)
    assert fit.llf == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(fit.fittedvalues, A @ b, atol=1e-8)


@pytest.mark.parametrize(("kind", "seed", "zeros"), [("z", 0, [0]), ("plane", 2, [0, 1]), ("none", 1, [0, 1])])
def test_an_infinite_strength_leaves_the_smaller_model(kind, seed, zeros):
    for number in range(seed, 30):  # the first data whose maximum is at that edge
        data = table(number, kind, 150)
        fit = rp.glm("y ~ te(x, z)", data)
        strengths = fit.smooths[["lambda", "lambda_2"]].to_numpy()[0]
        if np.flatnonzero(np.isinf(strengths)).tolist() == zeros:
            break
    assert fit.status == "boundary" and fit.distance < 1e-8 and "λ = ∞" in fit.message
    assert fit.variances.estimate.to_numpy()[zeros].tolist() == [0.0] * len(zeros)
    if len(zeros) == 2:
        plane = rp.glm("y ~ x * z", data)
        np.testing.assert_allclose(fit.fittedvalues, plane.fittedvalues, atol=1e-9)
        assert fit.edf == pytest.approx(4.0, abs=1e-9)
        return
    A, penalties, rank = dense(data, (line, cr), (5, 5))
    value, b, _ = restricted(data.y.to_numpy(), A, penalties, rank, [0.0, strengths[1]], fit.dispersion)
    assert fit.llf == pytest.approx(value, abs=1e-9)
    np.testing.assert_allclose(fit.fittedvalues, A @ b, atol=1e-9)


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ te(x, z) + (1 | g)", "gaussian"),
        ("c ~ te(x, z, k=4) + (1 | g)", "poisson"),
        ("y ~ f + te(x, z, by=f)", "gaussian"),
        ("c ~ s(x, z, by=w, k=15)", "poisson"),
        ("y ~ te(x, z, w, k=3)", "gaussian"),
        ("y ~ s(x) + s(z) + ti(x, z, basis=('cr', 'cc'))", "gaussian"),
        ("y ~ te(x, z, basis=('tp', 'cc'))", "gaussian"),
    ],
)
@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_fits_are_read_saved_and_predict_beyond_their_data(formula, family, criterion, tmp_path):
    data = table()
    fit = rp.glm(formula, data, family=family, criterion=criterion)
    assert fit.converged and fit.distance < 1e-8 and np.isfinite(fit.bse).all()
    new = data.head(4).assign(x=[-1.0, 0.5, 2.0, 0.1], z=[9.0, -4.0, 0.0, 1.0])
    told = fit.predict(new, se=True, interval="confidence")
    assert np.isfinite(told.to_numpy()).all() and (told.se > 0).all()
    fit.save(tmp_path / "fit.json")
    again = rp.load(tmp_path / "fit.json")
    pd.testing.assert_frame_equal(again.predict(new, se=True, interval="confidence"), told, rtol=1e-9)
    pd.testing.assert_frame_equal(again.smooths, fit.smooths)
    pd.testing.assert_frame_equal(again.variances, fit.variances)
    assert "smooth function" in str(fit.summary()) and str(again.summary()) == str(fit.summary())
    assert len(fit.variances) == len(again.variances) and fit.edf < len(data)


def test_several_variables_of_a_response_that_has_no_function_of_them_are_flat():
    p = [rp.glm("y ~ te(x, z)", table(seed, "none", 120)).smooths.p_value[0] for seed in range(30)]
    assert np.mean(np.array(p) < 0.05) < 0.2 and np.mean(p) > 0.3


def test_what_cannot_be_is_refused_in_a_sentence():
    data = table(n=60)
    few = data.assign(z=np.tile([0.0, 1.0, 2.0, 3.0], 15))
    with pytest.raises(
        rp.DataError, match=r"the margin z of 'te\(x, z\)' has k=5 .* only 4 different values; write k=4"
    ):
        rp.glm("y ~ te(x, z)", few)
    with pytest.raises(rp.DataError, match=r"expected a number in 'te\(x, f\)'; got a factor"):
        rp.glm("y ~ te(x, f)", data)
    with pytest.raises(rp.DataError, match="has k=80 functions, but its variables only 60 different points"):
        rp.glm("y ~ s(x, z, k=80)", data)
