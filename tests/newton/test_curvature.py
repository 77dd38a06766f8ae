"""A curvature from outside the package: L-BFGS, which never forms a p × p matrix (Nocedal and Wright 2006, 7.2)."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

import raphson as rp
from raphson.data import from_arrays
from raphson.errors import ModelError
from raphson.execute import serial
from raphson.model import families
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import DerivedObjective
from raphson.newton import directions
from raphson.newton.estimate import Options, estimate
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS, Method, resolve_method
from raphson.status import Status


class LimitedMemory(rp.methods.Curvature):
    """M⁻¹ from the last steps s and what they changed of the score, y, by the two-loop recursion (algorithm 7.4)."""

    matrix = "limited-memory BFGS"

    def __init__(self, memory):
        self.memory = memory

    def init(self, here):
        return ()

    def update(self, pairs, before, after):
        s, y = after.theta - before.theta, before.score - after.score
        return (*pairs, (s, y, 1.0 / (s @ y)))[-self.memory :] if s @ y > 0 else pairs

    def solve(self, pairs, here, free):
        q, alphas = here.score.copy(), deque()
        for s, y, rho in reversed(pairs):
            alphas.appendleft(rho * (s @ q))
            q -= alphas[0] * y
        if not pairs:
            return q / np.linalg.norm(q)
        s, y, _ = pairs[-1]
        q *= (s @ y) / (y @ y)
        for (s, y, rho), alpha in zip(pairs, alphas, strict=True):
            q += (alpha - rho * (y @ q)) * s
        return q


@pytest.fixture
def lbfgs():
    yield rp.methods.register(rp.methods.Method("my-lbfgs", LimitedMemory(10), search=rp.methods.wolfe, max_iter=500))
    METHODS._parts.pop("my-lbfgs")


rng = np.random.default_rng(0)
X = np.column_stack([np.ones(300), rng.normal(size=(300, 5)) * [1.0, 30.0, 0.1, 1.0, 5.0]])
eta = X @ [0.3, 0.5, -0.02, 4.0, -0.3, 0.05]
RESPONSES = {
    "binomial": (rng.random(300) < 1 / (1 + np.exp(-eta))).astype(float),
    "poisson": rng.poisson(np.exp(eta)).astype(float),
}


@pytest.mark.parametrize("family", RESPONSES)
def test_ten_digits_of_newtons_estimate(lbfgs, family):
    y = RESPONSES[family]
    found, newton = (rp.glm(y, X, family=family, method=name, tol=1e-8) for name in ("my-lbfgs", "newton"))
    assert found.status is Status.CONVERGED and found.method == "my-lbfgs" and found.distance < 1e-8
    np.testing.assert_allclose(found.params, newton.params, rtol=1e-10)
    np.testing.assert_allclose(found.bse, newton.bse, rtol=1e-9)
    # Its steps are its own until the last one.
    assert 5 < found.n_iter < 200 and set(found.path["solver"]) == {"none"}


def test_every_door_takes_it(lbfgs):
    def logpdf(y, mu):
        return -0.5 * (y - mu) ** 2

    t = np.linspace(0, 4, 30)
    data = {"t": t, "y": 3.0 * np.exp(-0.7 * t) + 0.05 * rng.normal(size=30)}
    mle = {name: rp.mle(logpdf, {"mu": "y ~ t"}, data, method=name).params for name in ("newton", "my-lbfgs")}
    np.testing.assert_allclose(mle["my-lbfgs"], mle["newton"], rtol=1e-9)
    nls = {
        name: rp.nls("y ~ a * exp(-b * t)", data, start={"a": 1.0, "b": 0.3}, method=name)
        for name in ("gauss-newton", "my-lbfgs")
    }
    np.testing.assert_allclose(nls["my-lbfgs"].params, nls["gauss-newton"].params, rtol=1e-9)
    race = rp.compare(nls["gauss-newton"], ["my-lbfgs"], start=[1.0, 0.3])
    assert race.table.loc["my-lbfgs", "M"] == "limited-memory BFGS"
    assert race.table.loc["my-lbfgs", "status"] == "converged"


def test_held_parameters_stay_held(lbfgs):
    bounds = {"a": (0.0, 2.5)}
    t = np.linspace(0, 4, 30)
    data = {"t": t, "y": 3.0 * np.exp(-0.7 * t)}
    found = rp.nls("y ~ a * exp(-b * t) + c", data, start={"a": 1, "b": 0.3, "c": 0}, bounds=bounds, method="my-lbfgs")
    other = rp.nls("y ~ a * exp(-b * t) + c", data, start={"a": 1, "b": 0.3, "c": 0}, bounds=bounds)
    np.testing.assert_allclose(found.params, other.params, rtol=1e-7)
    assert found.params["a"] == 2.5


class Asked(DerivedObjective):
    """An objective that tells whether a matrix was ever formed."""

    def evaluate(self, theta, need):
        found = self.inner.evaluate(theta, need)
        FORMED.update(found.information)
        return found

    def design_root(self, theta):
        FORMED.add("design")
        return self.inner.design_root(theta)


FORMED: set[str] = set()


def test_of_many_parameters_no_matrix_is_formed(lbfgs, monkeypatch):
    n, p = 240, 60
    monkeypatch.setattr(directions, "MOST_PARAMETERS", p - 1)
    Z = np.random.default_rng(1).normal(size=(n, p)) / np.sqrt(n)
    y = np.random.default_rng(2).poisson(np.exp(Z @ np.linspace(-1, 1, p) + 1.0)).astype(float)
    model = GeneralisedLinearModel.of(
        from_arrays(y, np.column_stack([np.ones(n), Z])), families.Poisson(), "precision", None, serial()
    )
    FORMED.clear()
    found = maximize(Asked(model.objective), np.zeros(p + 1), lbfgs, tol=1e-8)
    assert found.status is Status.CONVERGED and found.distance < 1e-8 and not FORMED
    newton = maximize(model.objective, np.zeros(p + 1), METHODS["newton"])
    np.testing.assert_allclose(found.theta, newton.theta, rtol=1e-10)


def test_what_is_no_method_is_refused(lbfgs):
    assert resolve_method("My_LBFGS") is lbfgs and isinstance(lbfgs, Method)
    message = (
        r"method: there is no method named 'my-lbfg'. Did you mean 'my-lbfgs'\? The methods are newton, .*my-lbfgs"
    )
    with pytest.raises(ModelError, match=message):
        rp.glm(RESPONSES["poisson"], X, family="poisson", method="my-lbfg")
    for method, message in (
        (Method("newton", LimitedMemory(5)), "'newton' is a method that comes with Raphson"),
        (Method("My method", LimitedMemory(5)), "expected a name of letters"),
        (Method("classes", LimitedMemory), "expected an object of a subclass of rp.methods.Curvature; got <class"),
        (
            Method("factored", LimitedMemory(5), "cholesky"),
            "solver: expected 'none', or .* if the curvature is an information; got 'cholesky'",
        ),
        (Method("unsearched", LimitedMemory(5), search=None), "solver: expected 'qr' with search=None"),
        (LimitedMemory(5), "expected an rp.methods.Method"),
    ):
        with pytest.raises(ModelError, match=f"methods.register: .*{message}"):
            rp.methods.register(method)
    again = rp.methods.register(Method("my-lbfgs", LimitedMemory(3)))
    assert resolve_method("my-lbfgs") is again


def test_a_saved_fit_asks_for_its_method(lbfgs, tmp_path):
    fit = rp.glm(RESPONSES["poisson"], X, family="poisson", method="my-lbfgs")
    fit.save(tmp_path / "fit.json")
    assert rp.load(tmp_path / "fit.json").method == "my-lbfgs"
    METHODS._parts.pop("my-lbfgs")
    with pytest.raises(ModelError, match=r"named 'my-lbfgs'.*register it with methods.register before rp.load"):
        rp.load(tmp_path / "fit.json")
    rp.methods.register(lbfgs)


def test_a_direction_that_leads_down_is_no_direction():
    class Downhill(LimitedMemory):
        def solve(self, pairs, here, free):
            return -here.score

    model = GeneralisedLinearModel.of(
        from_arrays(RESPONSES["poisson"], X), families.Poisson(), "precision", None, serial()
    )
    found = estimate(model, Options(Method("down", Downhill(1))))
    assert found.status is Status.SINGULAR
