"""The predictors that are found in a likelihood: as few as there are, and the same fit as without them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp
from raphson.data.columns import Columns
from raphson.model.likelihood import general, predictors
from raphson.model.likelihood.predictors import cut
from raphson.model.parameters import Parameters

rng = np.random.default_rng(11)
N = 60
DATA = {
    "y": rng.poisson(3.0, size=N),
    "x": rng.normal(size=(N, 4)),
    "z": rng.normal(size=N),
    "g": rng.integers(0, 3, size=N),
    "offset": rng.normal(size=N),
}


def poisson(y, eta):
    return y * eta - jnp.exp(eta)


def plain(p, row):
    return poisson(row.y, row.x @ p["b"])


def with_intercept_and_offset(p, row):
    return poisson(row.y, p["a"] + jnp.dot(p["b"], row.x) + row.offset)


def sum_of_products(p, row):
    return poisson(row.y, jnp.sum(p["b"] * row.x) + p["a"] * row.z / 2)


def picked(p, row):
    return poisson(row.y, p["shift"][row.g] + row.x @ p["b"])


def twice_the_same(p, row):
    return row.y * (row.x @ p["b"]) - jnp.exp(row.x @ p["b"])


def two_predictors(p, row):
    mean, log_sigma = row.x @ p["b"], p["s"][0] + p["s"][1] * row.z
    return -0.5 * ((row.y - mean) * jnp.exp(-log_sigma)) ** 2 - log_sigma


def in_a_function(p, row):
    return jax.jit(lambda e: poisson(row.y, e))(row.x @ p["b"] + p["a"])


def selected(p, row):
    return poisson(row.y, jnp.where(row.z > 0, p["a"], 2 * p["a"]) + row.x @ p["b"])


def stacked(p, row):
    return poisson(row.y, jnp.concatenate([row.x, row.z[None]]) @ p["c"])


IDIOMS = {
    with_intercept_and_offset: ({"a": 0, "b": 4}, 1),
    picked: ({"shift": 3, "b": 4}, 1),
    two_predictors: ({"b": 4, "s": 2}, 2),
    in_a_function: ({"a": 0, "b": 4}, 1),
    stacked: ({"c": 5}, 1),
}


def start_of(shapes):
    return {name: np.full(size, 0.1) if size else 0.1 for name, size in shapes.items()}


@pytest.mark.parametrize("function", IDIOMS, ids=lambda one: one.__name__)
def test_idioms(function, monkeypatch):
    shapes, K = IDIOMS[function]
    start = start_of(shapes)
    layout, _ = Parameters.named(start)
    traced = general.trace_likelihood(function, function.__name__, layout, Columns(DATA))
    found = cut(traced.jaxpr, len(layout.paths))
    assert found is not None and found.n_predictors == K
    fast = rp.mle(function, DATA, start=start)
    assert f"{K} linear predictor" in fast.assembly
    monkeypatch.setattr(general, "agrees", lambda *arguments: False)
    slow = rp.mle(function, DATA, start=start)
    assert "row by row" in slow.assembly
    assert fast.converged and slow.converged
    assert (np.abs(fast.params - slow.params) / slow.bse).max() < 1e-10
    np.testing.assert_allclose(fast.bse, slow.bse, rtol=1e-9)
    np.testing.assert_allclose(fast.robust("HC1").bse, slow.robust("HC1").bse, rtol=1e-9)


@pytest.mark.parametrize(
    "function",
    [
        lambda p, row: poisson(row.y, p["a"] * p["b"][0] + row.x @ p["b"] ** 2),  # products of parameters
        lambda p, row: poisson(row.y, jnp.exp(p["a"]) * jnp.tanh(p["b"]) @ row.x),
        lambda p, row: -(p["a"] ** 2) + jnp.sum(jnp.sin(p["b"] * row.x)),
    ],
)
def test_where_there_are_no_fewer_predictors(function):
    layout, _ = Parameters.named({"a": 0.1, "b": np.full(4, 0.1)})
    traced = general.trace_likelihood(function, "loglik", layout, Columns(DATA))
    assert cut(traced.jaxpr, len(layout.paths)) is None


def test_a_disagreement_is_not_trusted(monkeypatch):
    start = start_of({"b": 4})

    def loglik(p, row):
        return poisson(row.y, row.x @ p["b"]) + 0.0

    monkeypatch.setattr(general, "_agrees", lambda *arguments: False)
    fit = rp.mle(loglik, DATA, start=start)
    assert fit.converged and "row by row" in fit.assembly


def test_many_levels_stay_sparse():
    n, levels = 3_000, 200
    g = np.concatenate([np.arange(levels), rng.integers(0, levels, size=n - levels)])
    data = {"y": rng.poisson(4.0, size=n).astype(float), "g": g}
    fit = rp.mle(lambda p, row: poisson(row.y, p["level"][row.g]), data, start={"level": np.ones(levels)})
    means = np.bincount(g, data["y"]) / np.bincount(g)
    np.testing.assert_allclose(np.exp(fit.params), means, rtol=1e-9)


def test_names_of_nested_parameters():
    def loglik(p, row):
        return poisson(row.y, p["mean"]["slope"] @ row.x + p["mean"]["by"][row.g, 0])

    fit = rp.mle(loglik, DATA, start={"mean": {"slope": np.zeros(4), "by": np.zeros((3, 1))}})
    assert fit.converged
    assert list(fit.params.index[[0, 4]]) == ["mean.slope[0]", "mean.by[0,0]"]


def test_weights_penalty_and_clusters_as_for_glm():
    weight = rng.uniform(0.5, 2.0, size=N)
    design = np.column_stack([np.ones(N), DATA["x"]])
    P = np.diag([0.0, 1.0, 1.0, 1.0, 1.0])
    keywords = {"weights": weight, "penalty": P, "groups": DATA["g"], "cov": "cluster", "information": "observed"}
    general_fit = rp.mle(with_offset_free, {**DATA, "X": design}, start={"b": np.zeros(5)}, **keywords)
    glm = rp.glm(DATA["y"], design, family="poisson", **keywords)
    np.testing.assert_allclose(general_fit.params, glm.params, rtol=1e-9)
    np.testing.assert_allclose(general_fit.bse, glm.bse, rtol=1e-9)


def with_offset_free(p, row):
    return poisson(row.y, row.X @ p["b"])


@pytest.mark.parametrize("seed", range(20))
def test_the_cut_is_a_minimum_one(seed):
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    rng = np.random.default_rng(seed)
    graph, n = predictors._Graph(), int(rng.integers(5, 40))
    for _ in range(n):
        graph.new((int(rng.integers(1, 9)),))
    graph.edges = [(int(rng.integers(0, b)), b) for b in range(3, n) for _ in range(2)]
    graph.sinks = set(rng.integers(0, n, 5).tolist())
    leaves = [0, 1, 2]
    chosen = predictors._minimum_cut(graph, leaves)
    # Without the values chosen, nothing that the leaves reach is read ...
    reached = {leaf for leaf in leaves if leaf not in chosen}
    for a, b in sorted(graph.edges, key=lambda edge: edge[1]):
        if a in reached and b not in chosen:
            reached.add(b)
    assert not reached & graph.sinks
    # ... and by the theorem of Ford and Fulkerson no fewer elements separate them.
    capacity = np.zeros((2 * n + 2, 2 * n + 2), dtype=np.int32)
    for node in graph.affine:
        capacity[2 * node.number, 2 * node.number + 1] = node.size
    for a, b in graph.edges:
        capacity[2 * a + 1, 2 * b] = 1000
    capacity[2 * n, [2 * leaf for leaf in leaves]] = 1000
    capacity[[2 * v + 1 for v in graph.sinks], 2 * n + 1] = 1000
    flow = maximum_flow(csr_array(capacity), 2 * n, 2 * n + 1).flow_value
    assert sum(graph.affine[v].size for v in chosen) == flow


def test_nothing_read_is_no_cut():
    graph = predictors._Graph()
    graph.new((2,))
    assert predictors._minimum_cut(graph, [0]) is None
