from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tabmat
from scipy import special

from raphson.errors import DataError, ModelError
from raphson.inference import covariance

REFERENCE = Path(__file__).parents[1] / "reference" / "glm"
KINDS = [name for name in covariance.COVARIANCES if name not in (covariance.MODEL, "jackknife")]
NAMES = sorted(path.stem for path in REFERENCE.glob("*.json"))


def link_derivatives(link: str, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """μ, μ' and μ'' as functions of η."""
    if link == "identity":
        return eta, np.ones_like(eta), np.zeros_like(eta)
    if link == "log":
        return np.exp(eta), np.exp(eta), np.exp(eta)
    if link == "inverse":
        return 1 / eta, -1 / eta**2, 2 / eta**3
    if link == "logit":
        p = special.expit(eta)
        return p, p * (1 - p), p * (1 - p) * (1 - 2 * p)
    if link == "probit":
        density = np.exp(-(eta**2) / 2) / np.sqrt(2 * np.pi)
        return special.ndtr(eta), density, -eta * density
    if link == "cloglog":
        slope = np.exp(eta - np.exp(eta))
        return -np.expm1(-np.exp(eta)), slope, slope * (1 - np.exp(eta))
    raise AssertionError(link)


def variance_function(family: str, mu: np.ndarray, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """V and V' at μ."""
    return {
        "gaussian": lambda: (np.ones_like(mu), np.zeros_like(mu)),
        "binomial": lambda: (mu * (1 - mu), 1 - 2 * mu),
        "quasibinomial": lambda: (mu * (1 - mu), 1 - 2 * mu),
        "poisson": lambda: (mu, np.ones_like(mu)),
        "Gamma": lambda: (mu**2, 2 * mu),
        "inverse.gaussian": lambda: (mu**3, 3 * mu**2),
        "nb": lambda: (mu + mu**2 / theta, 1 + 2 * mu / theta),
    }[family]()


def quantities(name: str) -> SimpleNamespace:
    """Scores and both kinds of information of a reference case, from V(μ) and the link alone."""
    case = json.loads((REFERENCE / f"{name}.json").read_text())
    table = np.loadtxt(REFERENCE / f"{name}_design.csv", delimiter=",", skiprows=1, ndmin=2)
    y, weight, offset, X = table[:, 0], table[:, 1], table[:, 2], table[:, 3:]
    mp = case["mp"]
    mu, slope, curve = link_derivatives(case["link"], X @ np.array(mp["coefficients"]) + offset)
    V, V1 = variance_function(case["family"], mu, mp.get("theta", case.get("theta", np.nan)))
    score = weight * (y - mu) * slope / V
    expected = weight * slope**2 / V
    observed = expected - weight * (y - mu) * (curve * V - slope**2 * V1) / V**2
    return SimpleNamespace(X=X, score=score[None], expected=expected, observed=observed, mp=mp)


@pytest.mark.parametrize("name", NAMES)
def test_hc0_agrees_with_the_reference(
    name: str, plain_factor: type, correct_digits: Callable[[Any, Any], float]
) -> None:
    # Red if the bread, the score or the coordinate change is wrong anywhere.
    case = quantities(name)
    for weight, key in ((case.expected, "se_hc0"), (case.observed, "se_hc0_observed_bread")):
        if np.all(weight > 0):
            factor = plain_factor(np.sqrt(weight)[:, None] * case.X)
        else:
            factor = plain_factor(np.linalg.cholesky((case.X.T * weight) @ case.X).T)
        se = np.sqrt(np.diag(covariance.robust_covariance(factor, [case.X], case.score)))
        assert correct_digits(se, case.mp[key]) >= 10


def test_an_ill_conditioned_design_keeps_the_digits_of_its_root(plain_factor: type) -> None:
    # Red if the middle is summed before it is whitened: it squares the condition number (7e4), and 7 digits are left.
    x = 1000.0 + np.arange(30.0)
    X = np.column_stack([np.ones(30), x, x**2])
    residual = np.sin(np.arange(30.0) ** 2)
    V = covariance.robust_covariance(plain_factor(X), [X], residual[None])
    centred = np.column_stack([np.ones(30), x - 1014.5, (x - 1014.5) ** 2])
    H = np.linalg.solve(centred.T @ centred, centred.T * residual)
    assert np.sqrt(V[2, 2]) == pytest.approx(np.linalg.norm(H[2]), rel=1e-10)


def brute_sandwich(case: SimpleNamespace, scores: np.ndarray) -> np.ndarray:
    rows = np.einsum("ikp,ki->ip", case.J, scores)
    bread = np.linalg.inv(case.M)
    return bread @ rows.T @ rows @ bread


def adjusted(case: SimpleNamespace, power: float) -> np.ndarray:
    out = np.empty_like(case.scores)
    for i in range(case.n):
        H = case.information[:, :, i] @ case.J[i] @ np.linalg.inv(case.M) @ case.J[i].T
        value, vector = np.linalg.eig(np.eye(2) - H)
        out[:, i] = (vector * value**-power) @ np.linalg.inv(vector) @ case.scores[:, i]
    return out


@pytest.mark.parametrize(("kind", "power"), [("HC0", 0.0), ("HC2", 0.5), ("HC3", 1.0)])
def test_several_predictors_match_dense_formulas(softmax: SimpleNamespace, kind: str, power: float) -> None:
    V = covariance.robust_covariance(
        softmax.factor, softmax.designs, softmax.scores, kind, information=softmax.information
    )
    assert pytest.approx(brute_sandwich(softmax, adjusted(softmax, power)), rel=1e-10) == V


def test_tabmat_designs_give_the_same(softmax: SimpleNamespace) -> None:
    wrapped = [tabmat.DenseMatrix(X) for X in softmax.designs]
    codes = np.arange(softmax.n) % 7
    for kind in KINDS:
        one, other = (
            covariance.robust_covariance(
                softmax.factor, designs, softmax.scores, kind, information=softmax.information, groups=codes
            )
            for designs in (softmax.designs, wrapped)
        )
        assert one == pytest.approx(other, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frequency_weight_is_that_many_rows(kind: str, logistic: SimpleNamespace, plain_factor: type) -> None:
    # Red if the frequency enters the middle squared, or n counts rows instead of copies.
    f = logistic.weight
    repeat = np.repeat(np.arange(logistic.n), f.astype(int))
    factor = plain_factor(np.sqrt(f * logistic.W)[:, None] * logistic.X)
    groups = np.arange(logistic.n) % 9
    counted = covariance.robust_covariance(
        factor,
        [logistic.X],
        logistic.u[None],
        kind,
        information=logistic.W[None, None],
        frequency=f,
        groups=groups,
    )
    replicated = covariance.robust_covariance(
        factor,
        [logistic.X[repeat]],
        logistic.u[None, repeat],
        kind,
        information=logistic.W[None, None, repeat],
        groups=groups[repeat],
    )
    assert counted == pytest.approx(replicated, rel=1e-12)


def test_rows_that_count_zero_times_change_nothing(logistic: SimpleNamespace, plain_factor: type) -> None:
    keep = np.arange(logistic.n) % 5 != 0
    factor = plain_factor(np.sqrt(keep * logistic.W)[:, None] * logistic.X)
    groups = np.arange(logistic.n) % 5
    for kind in KINDS:
        with_zeros = covariance.robust_covariance(
            factor,
            [logistic.X],
            logistic.u[None],
            kind,
            information=logistic.W[None, None],
            frequency=keep.astype(float),
            groups=groups,
        )
        without = covariance.robust_covariance(
            factor,
            [logistic.X[keep]],
            logistic.u[None, keep],
            kind,
            information=logistic.W[None, None, keep],
            groups=groups[keep],
        )
        assert with_zeros == pytest.approx(without, rel=1e-12)


def test_a_mean_by_hand(plain_factor: type) -> None:
    # y = 1, 2, 3, 6: residuals -2, -1, 0, 3; every leverage 1/4; clusters {1, 2} and {3, 6} have sums -3 and 3.
    factor, X, u = plain_factor(np.ones((4, 1))), [np.ones((4, 1))], np.array([[-2.0, -1.0, 0.0, 3.0]])
    expected = {
        "HC0": 14 / 16,
        "HC1": 14 / 16 * 4 / 3,
        "HC2": 14 / 16 * 4 / 3,
        "HC3": 14 / 16 * 16 / 9,
        "cluster": 18 / 16 * 2 * 3 / 3,
    }
    for kind, value in expected.items():
        V = covariance.robust_covariance(
            factor, X, u, kind, information=np.ones((1, 1, 4)), groups=np.array(["a", "a", "b", "b"])
        )
        assert V[0, 0] == pytest.approx(value, rel=1e-14), kind


def test_the_factor_of_a_cluster_covariance(plain_factor: type) -> None:
    # As above, by hand: 18/16 without a factor, with G = 2 clusters twice that, with n = 4 and p = 1 once more 3/3.
    X, u = np.ones((4, 1)), np.array([[-2.0, -1.0, 0.0, 3.0]])
    X2 = np.column_stack([X, [1.0, -1, 0, 0]])
    groups = np.array([1, 1, 2, 2])
    for small_sample, value in ((None, 18 / 16), ("clusters", 36 / 16), ("full", 36 / 16)):
        V = covariance.robust_covariance(plain_factor(X), [X], u, "cluster", groups=groups, small_sample=small_sample)
        assert V[0, 0] == pytest.approx(value)
    factor = plain_factor(X2)
    full, clusters = (
        covariance.robust_covariance(factor, [X2], u, "cluster", groups=groups, small_sample=one)
        for one in ("full", "clusters")
    )
    np.testing.assert_allclose(full, 3 / 2 * clusters)
    # As many coefficients as rows: n - p is 0, and the factor without it still there.
    X4 = np.eye(4) + X
    with pytest.raises(ModelError, match="small_sample='clusters'"):
        covariance.robust_covariance(plain_factor(X4), [X4], u, "cluster", groups=groups)
    covariance.robust_covariance(plain_factor(X4), [X4], u, "cluster", groups=groups, small_sample="clusters")


def test_clusters_in_any_order_and_singletons(softmax: SimpleNamespace) -> None:
    n = softmax.n
    singles = covariance.robust_covariance(
        softmax.factor, softmax.designs, softmax.scores, "cluster", groups=np.arange(n)[::-1]
    )
    hc0 = covariance.robust_covariance(softmax.factor, softmax.designs, softmax.scores)
    assert singles == pytest.approx(hc0 * n / (n - 1) * (n - 1) / (n - 5), rel=1e-12)
    codes = np.arange(n) % 4
    rows = np.einsum("ikp,ki->ip", softmax.J, softmax.scores)
    sums = np.array([rows[codes == g].sum(axis=0) for g in range(4)])
    bread = np.linalg.inv(softmax.M)
    V = covariance.robust_covariance(softmax.factor, softmax.designs, softmax.scores, "cluster", groups=codes)
    assert pytest.approx(bread @ sums.T @ sums @ bread * 4 / 3 * (n - 1) / (n - 5), rel=1e-10) == V


@pytest.mark.parametrize("kind", KINDS)
def test_columns_left_out_are_nan_and_the_rest_as_without_them(
    kind: str, logistic: SimpleNamespace, plain_factor: type
) -> None:
    X = np.column_stack([logistic.X[:, 0], 2 * logistic.X[:, 0], logistic.X[:, 1:]])
    kept = np.array([True, False, True, True])
    root = np.sqrt(logistic.W)[:, None]
    options: dict[str, Any] = {"information": logistic.W[None, None], "groups": np.arange(logistic.n) % 6}
    V = covariance.robust_covariance(plain_factor(root * X, kept), [X], logistic.u[None], kind, **options)
    small = covariance.robust_covariance(
        plain_factor(root * X[:, kept]), [X[:, kept]], logistic.u[None], kind, **options
    )
    assert np.isnan(V[1]).all()
    assert np.isnan(V[:, 1]).all()
    assert V[np.ix_(kept, kept)] == pytest.approx(small, rel=1e-12)


def test_model_covariance_and_effective_df_with_a_penalty(logistic: SimpleNamespace, plain_factor: type) -> None:
    F = (logistic.X.T * logistic.W) @ logistic.X
    P = np.diag([0.0, 2.0, 5.0])
    factor = plain_factor(np.linalg.cholesky(F + P).T)
    inverse = np.linalg.inv(F + P)
    assert covariance.model_covariance(factor, 1.7, F) == pytest.approx(1.7 * inverse @ F @ inverse, rel=1e-12)
    assert covariance.effective_df(factor, F) == pytest.approx(np.trace(inverse @ F), rel=1e-12)
    plain = plain_factor(np.linalg.cholesky(F).T)
    assert covariance.model_covariance(plain, 1.7) == pytest.approx(1.7 * np.linalg.inv(F), rel=1e-12)
    assert covariance.effective_df(plain, F) == pytest.approx(3.0, rel=1e-12)


def test_the_order_of_rows_does_not_matter(softmax: SimpleNamespace) -> None:
    order = np.random.default_rng(1).permutation(softmax.n)
    for kind in ("HC0", "HC3"):
        one = covariance.robust_covariance(
            softmax.factor, softmax.designs, softmax.scores, kind, information=softmax.information
        )
        other = covariance.robust_covariance(
            softmax.factor,
            [X[order] for X in softmax.designs],
            softmax.scores[:, order],
            kind,
            information=softmax.information[..., order],
        )
        assert one == pytest.approx(other, rel=1e-11)


def test_what_cannot_be_done_says_why(plain_factor: type) -> None:
    X = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    factor, u = plain_factor(X), np.array([[1.0, -1.0, 0.0]])
    attempt = covariance.robust_covariance
    with pytest.raises(ModelError, match="HC0"):
        attempt(factor, [X], u, "HC4")
    with pytest.raises(ModelError, match=r"1 row\(s\) have leverage 1 \(first: 2\)"):
        attempt(factor, [X], u, "HC3", information=np.ones((1, 1, 3)))
    with pytest.raises(ModelError, match="groups: expected the cluster of each row"):
        attempt(factor, [X], u, "cluster")
    with pytest.raises(ModelError, match="at least two clusters"):
        attempt(factor, [X], u, "cluster", groups=np.zeros(3))
    with pytest.raises(DataError, match="a label for each row"):
        attempt(factor, [X], u, "cluster", groups=np.zeros(2))
    with pytest.raises(ModelError, match="expected more rows than parameters; got n = 2 and p = 2"):
        attempt(factor, [X[:2]], u[:, :2], "HC1")


@pytest.fixture
def registered() -> Any:
    before = dict(covariance.COVARIANCES._parts)
    yield covariance.register
    covariance.COVARIANCES._parts = before


def test_a_covariance_that_is_registered_is_asked_for_by_name(
    registered: Any, logistic: SimpleNamespace, plain_factor: type
) -> None:
    def doubled(rows: covariance.RowScores) -> np.ndarray:
        Z = rows.whitened()
        return rows.sandwich(2.0 * (Z * rows.count[:, None]).T @ Z)

    registered(covariance.CovarianceSpec("doubled", doubled))
    factor, f = plain_factor(np.sqrt(logistic.W)[:, None] * logistic.X), logistic.weight
    given: dict[str, Any] = {"information": logistic.W[None, None], "frequency": f}
    V, usual = (
        covariance.robust_covariance(factor, [logistic.X], logistic.u[None], kind, **given)
        for kind in ("doubled", "HC0")
    )
    assert pytest.approx(2.0 * usual, rel=1e-12) == V
    rows = covariance.RowScores(factor, [logistic.X], logistic.u[None], **given)
    assert rows.p == logistic.X.shape[1] and rows.n == f.sum()
    assert rows.leverage().sum() == pytest.approx(rows.p)
    with pytest.raises(ModelError, match=r"cov: expected one of HC0.*doubled; got 'tripled'"):
        covariance.robust_covariance(factor, [logistic.X], logistic.u[None], "tripled")


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (None, "expected a CovarianceSpec"),
        (lambda rows: rows.nothing, "mine failed on twelve rows with AttributeError"),
        (lambda rows: np.eye(3), "a finite .2, 2. matrix"),
        (lambda rows: np.diag([1.0, np.nan]), "a finite .2, 2. matrix"),
        (lambda rows: -np.eye(2), "without negative eigenvalues"),
        (lambda rows: np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric matrix"),
    ],
)
def test_what_is_no_covariance_is_not_registered(registered: Any, of: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        registered(covariance.CovarianceSpec("mine", of))
    with pytest.raises(ModelError, match="'HC3' is a covariance that comes with Raphson"):
        registered(covariance.CovarianceSpec("HC3", lambda rows: np.eye(2)))


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3", "cluster", "jackknife"])
def test_a_covariance_follows_from_the_sums_over_pieces(
    kind: str, logistic: SimpleNamespace, plain_factor: type
) -> None:
    X, u, W, f = logistic.X, logistic.u, logistic.W, logistic.weight
    factor, groups = plain_factor(np.sqrt(W)[:, None] * X), np.arange(len(u)) % 7
    rows = covariance.RowScores(factor, [X], u[None], W[None, None], f, groups)
    spec, pieces = covariance.COVARIANCES[kind], []
    for cut in (slice(0, 11), slice(11, 12), slice(12, None)):
        piece = covariance.RowScores(factor, [X[cut]], u[None, cut], W[None, None, cut], f[cut], groups[cut])
        pieces.append(covariance.Middle(spec.middle(piece), piece.n))
    total = pieces[0] + pieces[1] + pieces[2]
    V = spec.close(total.value, covariance.Totals(factor, total.n))
    np.testing.assert_allclose(V, spec.of(rows), rtol=1e-10)
