"""Sets of coefficients that nothing connects: their algebra is that of the whole matrix."""

import numpy as np
import pytest

import raphson as rp
from raphson.errors import ModelError
from raphson.model import families
from raphson.model.objective import Need
from raphson.model.varying import algebra
from raphson.model.varying.components import Components
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.densities import Density

RNG = np.random.default_rng(2)
SETS = [np.array([0, 3, 5]), np.array([1]), np.array([2, 6]), np.array([4])]


def parted():
    A = np.zeros((7, 7))
    for one in SETS:
        B = RNG.normal(size=(len(one), len(one)))
        A[np.ix_(one, one)] = B @ B.T + np.eye(len(one))
    return A


def test_factor_inverse_and_product():
    one, A, B = Components(SETS, 7), parted(), parted()
    L = one.cholesky(A)
    np.testing.assert_allclose(L, np.linalg.cholesky(A), atol=1e-14)
    np.testing.assert_allclose(one.inverse(L), np.linalg.inv(A), atol=1e-13)
    np.testing.assert_allclose(one.product(A, B), A @ B, atol=1e-13)
    A[2, 2] = -1.0
    assert one.cholesky(A) is None
    A[1, 1] = -1.0
    assert one.cholesky(A) is None


def test_the_sets_of_a_graph():
    edges = [(np.array([0, 0, 1]), np.array([2, 3, 4])), (np.array([1]), np.array([5]))]
    found = Components.of(iter(edges), 6, 4)
    assert [at[0].ravel().tolist() for at in found.several] == [[0, 1], [2, 3]] and not len(found.single)
    assert Components.of(iter([*edges, (np.array([2]), np.array([4]))]), 6, 4) is None


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("slopes", [False, True])
def test_nested_levels(family, slopes, grouping_term, monkeypatch):
    """An odd mistake in a set would change value, gradient or Hessian."""
    n = 600
    outer = np.repeat(np.arange(30), 20)
    inner, x = np.repeat(np.arange(120), 5), RNG.normal(size=n)
    X = np.column_stack([np.ones(n), x])
    y = RNG.poisson(2.0, n).astype(float)
    terms = [grouping_term("a", outer, X if slopes else None), grouping_term("b", inner, X if slopes else None)]
    theta = np.array([0.5, 0.1, *([0.4, 0.1, 0.3, 0.5, -0.1, 0.2] if slopes else [0.4, 0.5]), 0.2])
    theta = theta if family == "gaussian" else theta[:-1]
    found = []
    for few in (1, 10**9):
        monkeypatch.setattr(algebra, "MANY", few)
        monkeypatch.setattr(algebra, "DENSE", 0)
        density = Density(families.resolve(family), y, None, None, "precision")
        model = Criterion(density, X, terms, None, False)
        assert (model.form.components is None) == (few > 1)
        found.append(model.evaluate(theta, Need(kinds=("observed",))))
    here, there = found
    assert here.value == pytest.approx(there.value, rel=1e-13)
    np.testing.assert_allclose(here.score, there.score, rtol=1e-9, atol=1e-9)
    matrices = here.information["observed"].matrix, there.information["observed"].matrix
    np.testing.assert_allclose(*matrices, rtol=1e-9, atol=1e-8)


def test_too_many_coefficients_are_refused(monkeypatch):
    monkeypatch.setattr(algebra, "memory", lambda: 1e5)
    data = {"y": RNG.normal(size=400), "a": np.arange(400) % 59, "b": np.arange(400) % 50}
    with pytest.raises(ModelError, match=r"besides the 59 levels of the largest group, there are 50 coefficients"):
        rp.glm("y ~ 1 + (1 | a) + (1 | b)", data)
