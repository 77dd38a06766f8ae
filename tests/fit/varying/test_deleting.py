"""Levels left out in turn, against fits without them and Newton steps by hand; sandwiches of their scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import ModelError, RefusedName


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(40), 6)
    data = pd.DataFrame({"g": [f"g{k:02d}" for k in g], "x": rng.normal(size=240), "site": (g // 4).astype(str)})
    eta = 0.5 + 0.3 * data.x + rng.normal(0, 0.5, 40)[g] + rng.normal(0, 0.3, 10)[g // 4]
    return data.assign(y=rng.poisson(np.exp(eta)), z=eta + rng.normal(0, 0.7, 240))


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("z ~ x + (x | g)", {}),
        ("z ~ x + (1 | g)", {"criterion": "reml"}),
        ("y ~ x + (1 | g)", {"family": "poisson"}),
        ("y ~ x + (1 | site/g)", {"family": "poisson"}),
    ],
)
def test_one_step_leads_nearly_to_the_fit_without_the_level(formula, options, counts):
    fit = rp.glm(formula, counts, **options)
    found, group = fit.dfbetas, "site" if "site" in formula else "g"
    assert found.index.name == group and list(found.columns) == list(fit.params.index)
    moved = found.abs().max(axis=1)
    for level in [moved.idxmax(), found.index[3]]:
        without = rp.glm(formula, counts[counts[group] != level], **options)
        exact = ((fit.params - without.params) / fit.bse).to_numpy()
        assert found.loc[level].to_numpy() == pytest.approx(exact, abs=0.02 + 0.05 * np.abs(exact).max())
        far = (fit.params - without.params).to_numpy()
        cook = far @ np.linalg.solve(fit.cov_params().to_numpy(), far) / len(far)
        assert fit.cooks_distance[level] == pytest.approx(cook, rel=0.15, abs=0.01)


def test_the_step_is_newtons_of_the_rows_that_are_left(counts):
    # Both ways, of the level's own criterion and of that without its rows, are one.
    fit = rp.glm("y ~ x + (x | g)", counts, family="poisson")
    theta = fit._reading.maximum.theta
    rest = counts[counts.g != "g05"]
    criterion = rp.glm("y ~ x + (x | g)", rest, family="poisson")._reading.maximum.criterion
    derivatives = criterion.derivatives(criterion.at(theta))
    M, whole = -derivatives.hessian, -fit._reading.maximum.derivatives.hessian
    M[:2, 2:] = whole[:2, 2:] * 39 / 40
    M[2:, :2] = M[:2, 2:].T
    step = np.linalg.solve(M, derivatives.gradient)
    deletions = fit._reading.deletions
    assert deletions.separate
    assert deletions.thetas[5] - theta == pytest.approx(step, rel=1e-5, abs=1e-8)


def test_leave_one_level_out_has_the_marginal_density_of_the_level(counts):
    fit = rp.glm("z ~ x + (1 | g)", counts)
    loo = fit.loo()
    assert list(loo.pointwise.index) == sorted(counts.g.unique())
    theta = fit._reading.deletions.thetas[7]
    own = counts[counts.g == "g07"]
    beta, sd, phi = theta[:2], theta[2], np.exp(theta[3])
    V = sd**2 * np.ones((6, 6)) + phi * np.eye(6)
    r = own.z.to_numpy() - beta[0] - beta[1] * own.x.to_numpy()
    density = -0.5 * (r @ np.linalg.solve(V, r) + np.linalg.slogdet(V)[1] + 6 * np.log(2 * np.pi))
    assert loo.pointwise["g07"] == pytest.approx(density, rel=1e-8)
    assert loo.elpd < fit.llf and loo.estimates.loc["g07", "x"] == pytest.approx(beta[1])


def test_leverages_add_up_to_the_effective_degrees_of_freedom(counts):
    for formula, options in (
        ("z ~ x + (x | g)", {}),
        ("y ~ x + (1 | site/g)", {"family": "poisson"}),
        ("z ~ s(x) + (1 | g)", {}),
    ):
        fit = rp.glm(formula, counts, **options)
        assert fit.leverage.sum() == pytest.approx(fit.edf, rel=1e-8)
    # Of a normal response it is ∂ŷ/∂y, the scales held: by a dense hat matrix.
    fit = rp.glm("z ~ x + (1 | g)", counts, criterion="reml")
    X = np.column_stack([np.ones(240), counts.x])
    Z = pd.get_dummies(counts.g).to_numpy(dtype=float)
    A, ratio = np.column_stack([X, Z]), fit.dispersion / fit.variances.estimate[0] ** 2
    P = np.diag([0.0, 0.0, *np.full(40, ratio)])
    hat = np.diagonal(A @ np.linalg.solve(A.T @ A + P, A.T))
    assert fit.leverage.to_numpy() == pytest.approx(hat, rel=1e-6)
    assert {".hat", ".std_resid"} <= set(fit.augment().columns) and ".cooksd" not in fit.augment()


def test_the_sandwich_is_of_the_scores_of_levels(counts):
    fit = rp.glm("z ~ x + (1 | g)", counts)
    theta = fit._reading.maximum.theta
    scores = []
    for _, own in counts.groupby("g"):

        def value(at, own=own):
            V = at[2] ** 2 * np.ones((6, 6)) + np.exp(at[3]) * np.eye(6)
            r = own.z.to_numpy() - at[0] - at[1] * own.x.to_numpy()
            return -0.5 * (r @ np.linalg.solve(V, r) + np.linalg.slogdet(V)[1])

        steps = 1e-5 * np.eye(4)
        scores.append([(value(theta + h) - value(theta - h)) / 2e-5 for h in steps])
    scores = np.array(scores)
    C = fit._reading.maximum.cov
    expected = (C @ scores.T @ scores @ C)[:2, :2]
    plain = fit.robust("cluster", small_sample=None)
    assert plain.cov_params().to_numpy() == pytest.approx(expected, rel=1e-5)
    assert fit.robust("cluster", small_sample="clusters").cov_params().to_numpy() == pytest.approx(
        expected * 40 / 39, rel=1e-5
    )
    assert plain.robust("model").bse.equals(fit.bse) and plain.cov_kind == "cluster"
    sites = fit.robust("cluster", groups="site")
    assert not np.allclose(sites.bse, fit.bse) and sites.wald_test("x = 0").p_value != fit.wald_test("x = 0").p_value
    restricted = rp.glm("z ~ x + (1 | g)", counts, criterion="reml")
    by_hand = restricted.robust("cluster", small_sample=None)
    assert by_hand.bse.to_numpy() == pytest.approx(np.sqrt(np.diagonal(_of_residuals(restricted, counts))), rel=1e-6)
    assert restricted.wald_test("x = 0").df_resid is not None and by_hand.wald_test("x = 0").df_resid is None


def _of_residuals(fit, data):
    """(XᵀV⁻¹X)⁻¹ Σ XᵀV⁻¹rrᵀV⁻¹X (XᵀV⁻¹X)⁻¹."""
    V = fit.variances.estimate[0] ** 2 * np.ones((6, 6)) + fit.dispersion * np.eye(6)
    bread, meat = np.zeros((2, 2)), np.zeros((2, 2))
    for _, own in data.groupby("g"):
        X = np.column_stack([np.ones(6), own.x])
        r = own.z.to_numpy() - X @ fit.params.to_numpy()
        s = X.T @ np.linalg.solve(V, r)
        bread, meat = bread + X.T @ np.linalg.solve(V, X), meat + np.outer(s, s)
    return np.linalg.inv(bread) @ meat @ np.linalg.inv(bread)


def test_condition_and_collinearity_are_of_generalised_least_squares(counts):
    fit = rp.glm("z ~ x + site + (1 | g)", counts)
    V = fit.cov_params().to_numpy()
    M = np.linalg.inv(V)
    scale = np.sqrt(np.diagonal(M))
    values = np.linalg.eigvalsh(M / scale / scale[:, None])
    assert fit.condition_number == pytest.approx(np.sqrt(values[-1] / values[0]), rel=1e-8)
    assert list(fit.vif().index) == ["x", "site"]
    C = V[1:, 1:] / np.sqrt(np.outer(np.diagonal(V[1:, 1:]), np.diagonal(V[1:, 1:])))
    factor = np.linalg.det(C[1:, 1:]) / np.linalg.det(C)
    assert fit.vif().vif["x"] == pytest.approx(factor, rel=1e-6)


def test_what_has_no_meaning_is_refused(counts):
    fit = rp.glm("z ~ x + (1 | g)", counts)
    with pytest.raises(ModelError, match="cov: expected 'model' or 'cluster' where coefficients vary"):
        fit.robust("HC3")
    with pytest.raises(ModelError, match="clusters that have every level of 'g' as a whole"):
        _ = fit.robust("cluster", groups=np.arange(240) % 7).bse
    smooth = rp.glm("z ~ s(x)", counts)
    with pytest.raises(ModelError, match="this model has smooth functions alone"):
        _ = smooth.dfbetas
    with pytest.raises(ModelError, match="which all clusters share"):
        _ = rp.glm("z ~ s(x) + (1 | g)", counts).robust("cluster").bse
    with pytest.raises(ModelError, match="loo: expected a fit by maximum likelihood"):
        rp.glm("z ~ x + (1 | g)", counts, criterion="reml").loo()
    for name in ("information_matrix_test", "curvature"):
        with pytest.raises(RefusedName, match=f"{name}: .* where coefficients vary"):
            getattr(fit, name)
    with pytest.raises(RefusedName, match="simulate_coverage: not available where coefficients vary"):
        rp.simulate_coverage(fit, reps=10)


def test_tables_of_levels_name_them_in_other_libraries_too(counts):
    pl = pytest.importorskip("polars")
    fit = rp.glm("z ~ x + (1 | g)", pl.from_pandas(counts[["z", "x", "g"]]))
    assert fit.dfbetas.columns == ["g", "Intercept", "x"] and fit.cooks_distance.columns == ["g", "cooks_distance"]
    assert fit.dfbetas["g"].to_list() == sorted(counts.g.unique())
    plain = rp.glm("z ~ x + (1 | g)", counts).loo()
    assert fit.loo().estimates.columns[0] == "g" and fit.loo().elpd == pytest.approx(plain.elpd)
    assert fit.simulate(2, seed=1).shape == (240, 2)


@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_levels_of_weighted_rows_are_those_of_replicated_rows(counts, criterion):
    some = counts.iloc[:90].assign(w=np.random.default_rng(4).integers(0, 4, 90).astype(float))
    some.loc[some.g == "g06", "w"] = 0.0
    replicated = some.loc[np.repeat(some.index, some.w.astype(int))]
    options = {"criterion": criterion}
    fit = rp.glm("z ~ x + (1 | g)", some, weights="w", weights_kind="frequency", **options)
    other = rp.glm("z ~ x + (1 | g)", replicated, **options)
    left = [level for level in fit.dfbetas.index if level != "g06"]
    assert left == list(other.dfbetas.index)
    assert fit.dfbetas.loc[left].to_numpy() == pytest.approx(other.dfbetas.to_numpy(), rel=1e-7, abs=1e-9)
    assert fit.dfbetas.loc["g06"].to_numpy() == pytest.approx(0.0, abs=1e-12)
    if criterion == "ml":
        loo, others = fit.loo(), other.loo()
        assert (loo.elpd, loo.se) == pytest.approx((others.elpd, others.se), rel=1e-8)
        assert loo.pointwise["g06"] == 0.0
    for small_sample in ("full", "clusters"):  # a cluster without weight is none
        both = [one.robust("cluster", small_sample=small_sample).bse.to_numpy() for one in (fit, other)]
        assert both[0] == pytest.approx(both[1], rel=1e-9)


@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_a_level_that_alone_determines_a_coefficient_cannot_be_left_out(counts, criterion):
    some = counts.iloc[:90].assign(alone=np.where(counts.g[:90] == "g03", counts.x[:90], 0.0))
    fit = rp.glm("z ~ x + alone + (1 | g)", some, criterion=criterion)
    nothing = fit.dfbetas.isna().all(axis=1)
    assert list(nothing.index[nothing]) == ["g03"] and np.isnan(fit.cooks_distance["g03"])
