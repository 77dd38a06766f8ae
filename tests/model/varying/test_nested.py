"""Levels nested in levels, eliminated one after another: the algebra is that of the whole matrix."""

import numpy as np
import pytest

import raphson as rp
from raphson.errors import ModelError
from raphson.model import families
from raphson.model.objective import Need
from raphson.model.varying import algebra, nested
from raphson.model.varying.algebra import Eliminated
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.densities import Density
from raphson.model.varying.layout import Layout
from raphson.model.varying.nested import Nest, chain
from raphson.model.varying.tensors import Symmetric

N = 150


def design(kind, grouping_term, rng):
    """The columns of β that are among the pieces, and the terms."""
    low = rng.permutation(np.r_[np.arange(30), rng.integers(0, 30, N - 30)])
    middle, top, crossed = low // 3, low // 9, rng.integers(0, 5, N)
    x, X = rng.normal(size=N), np.column_stack([np.ones(N), rng.normal(size=(N, 2))])
    slopes = np.column_stack([np.ones(N), x])
    two = [grouping_term("a", [f"{k:02}" for k in middle]), grouping_term("b", [f"{k:02}" for k in low])]
    three = [grouping_term("t", top), *two]
    cross = grouping_term("c", crossed)
    sloping = [grouping_term("t", top, slopes), two[0], grouping_term("b", [f"{k:02}" for k in low], slopes)]
    return {
        "two": ([], two),
        "two with β": ([X], two),
        "three": ([], three),
        "three with β": ([X], [three[1], three[0], three[2]]),
        "crossed": ([], [cross, *three]),
        "crossed with β": ([X], [*three, cross]),
        "slopes": ([], sloping),
        "slopes, crossed, with β": ([X], [*sloping, grouping_term("c", crossed, slopes)]),
        "a level's own": ([X], [two[1], grouping_term("bx", [f"{k:02}" for k in low], x[:, None]), two[0]]),
    }[kind]


KINDS = (
    "two",
    "two with β",
    "three",
    "three with β",
    "crossed",
    "crossed with β",
    "slopes",
    "slopes, crossed, with β",
    "a level's own",
)


def random_blocks(layout, rng, only=None):
    """Cross-products with random weights; of some pieces alone."""
    out = layout.cross(Symmetric({(0, 0): rng.normal(size=N)}))
    return {at: one for at, one in out.items() if only is None or set(at) & set(only)}


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_asked_of_an_inverse(kind, sparse, grouping_term, monkeypatch):
    if sparse:
        monkeypatch.setattr(algebra, "DENSE", 0)
        monkeypatch.setattr(algebra, "FULL", 2.0)
    rng = np.random.default_rng(KINDS.index(kind))
    designs, terms = design(kind, grouping_term, rng)
    layout = Layout(designs, terms)
    H = layout.cross(Symmetric({(0, 0): rng.gamma(2.0, size=N)}))
    for k, piece in enumerate(layout.pieces):
        H[k, k] = H[k, k] + (piece.term is not None) * np.eye(piece.width)
    above = chain(layout)
    assert len(above) == len(terms) - 1 - ("crossed" in kind)
    factor, whole = Nest(layout, above).factored(H), layout.square(H)
    N_all = np.linalg.inv(whole)
    assert factor.log_det == pytest.approx(np.linalg.slogdet(whole)[1], rel=1e-13)
    b = rng.normal(size=(layout.size, 3))
    np.testing.assert_allclose(factor.solve(b), N_all @ b, atol=1e-12)
    np.testing.assert_allclose(factor.solve(b[:, 0]), N_all @ b[:, 0], atol=1e-12)
    assert set(factor.inverse) == set(H)
    for (k, j), pairs in layout.pairs.items():
        one, other = layout.pieces[k], layout.pieces[j]
        view = N_all[layout.slices[k], layout.slices[j]].reshape(one.levels, one.width, other.levels, other.width)
        np.testing.assert_allclose(factor.inverse[k, j], view[pairs.first, :, pairs.second, :], atol=1e-12)
    for k in layout.fixed:
        np.testing.assert_allclose(factor.between(k, k), N_all[layout.slices[k], layout.slices[k]], atol=1e-12)
    some = [random_blocks(layout, rng), random_blocks(layout, rng, [0]), random_blocks(layout, rng, [1, 2])]
    whole_of = [N_all @ layout.square(one) for one in some]
    ready = [factor.conditioned(one) for one in some]
    for i in range(3):
        for j in range(3):
            expected = float(np.sum(whole_of[i] * whole_of[j].T))
            assert ready[i].product_trace(ready[j]) == pytest.approx(expected, rel=1e-11, abs=1e-11)
    check_summary(factor, layout, whole, N_all)


def check_summary(factor, layout, whole, N_all):
    pieces = [k for k, piece in enumerate(layout.pieces) if piece.term is not None]
    found, at = factor.summary(pieces), layout.slices
    for i, k in enumerate(pieces):
        assert found.traces[i] == pytest.approx(np.trace(N_all[at[k], at[k]]), rel=1e-12)
        total = sum(N_all[a : a + w, a : a + w] for w, a in steps(layout, k))
        np.testing.assert_allclose(factor.total(k), total, atol=1e-12)
        for j, other in enumerate(pieces):
            own = N_all[at[k], at[other]]
            assert found.between[i, j] == pytest.approx(np.sum(own * whole[at[k], at[other]]), rel=1e-11, abs=1e-12)
            assert found.norms[i, j] == pytest.approx(np.sum(own**2), rel=1e-11, abs=1e-12)


def steps(layout, k):
    width = layout.pieces[k].width
    return [(width, start) for start in range(layout.slices[k].start, layout.slices[k].stop, width)]


def test_what_is_not_positive_definite(grouping_term):
    layout = Layout([], design("three", grouping_term, np.random.default_rng(0))[1])
    for k in range(3):
        H = layout.cross(Symmetric({(0, 0): np.ones(N)}))
        for j in range(3):
            H[j, j] = H[j, j] + 1.0
        H[k, k][-1] = 0.5
        if k:
            H[k, k][-1] = -9.0
        expected = np.linalg.eigvalsh(layout.square(H))[0] > 0
        assert (Nest(layout, chain(layout)).factored(H).log_det is not None) == expected


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("kind", ["three", "slopes, crossed, with β"])
def test_the_criterion_is_the_same(kind, family, restricted, grouping_term, monkeypatch):
    rng = np.random.default_rng(5)
    _, terms = design(kind, grouping_term, rng)
    X = np.column_stack([np.ones(N), rng.normal(size=N)])
    y = rng.poisson(2.0, N).astype(float)
    found = []
    for many in (1, 10**9):
        monkeypatch.setattr(nested, "MANY", many)
        density = Density(families.resolve(family), y, None, None, "precision")
        model = Criterion(density, X, terms, None, restricted)
        assert isinstance(model.form, Nest if many == 1 else Eliminated)
        theta = np.r_[np.full(model.p, 0.2), np.linspace(0.3, 0.6, model.n_entries), [0.3] * density.has_tau]
        found.append(model.evaluate(theta, Need(kinds=("observed",))))
    here, there = found
    assert here.value == pytest.approx(there.value, rel=1e-13)
    np.testing.assert_allclose(here.score, there.score, rtol=1e-10, atol=1e-10)
    matrices = here.information["observed"].matrix, there.information["observed"].matrix
    np.testing.assert_allclose(*matrices, rtol=1e-9, atol=1e-9)


def test_only_what_nests_is_taken_for_nested(grouping_term):
    low = np.repeat(np.arange(12), 4)
    a = grouping_term("a", low // 4)
    astray = np.where(np.arange(48) == 5, 2, low // 4)  # one row of a level is in another's
    below = grouping_term("b", [f"{k:02}" for k in low])
    assert chain(Layout([], [a, below])) == [1]
    assert chain(Layout([], [grouping_term("a", astray), below])) == []
    # of two that it nests in, of which neither nests in the other, the one with more levels
    other = grouping_term("d", low % 4)
    layout = Layout([], [a, other, below])
    assert chain(layout) == [2] and Nest(layout, [2]).others == [1]


def frame(rng, tops=40, each=10, rows=4):
    low = np.repeat(np.arange(tops * each), rows)
    x = rng.normal(size=len(low))
    eta = 0.3 + 0.2 * x + 0.5 * rng.normal(size=tops)[low // each] + 0.4 * rng.normal(size=tops * each)[low]
    return {"y": rng.poisson(np.exp(eta)).astype(float), "x": x, "a": low // each, "b": low}


@pytest.mark.parametrize("options", [{"family": "poisson"}, {}, {"criterion": "reml"}])
def test_a_fit_is_the_same(options, monkeypatch):
    """Estimates, standard errors, degrees of freedom and predicted effects."""
    data, found = frame(np.random.default_rng(1)), []
    for many in (1, 10**9):
        monkeypatch.setattr(nested, "MANY", many)
        found.append(rp.glm("y ~ x + (1 | a) + (1 | b)", data, **options))
    here, there = found
    assert here.llf == pytest.approx(there.llf, rel=1e-12)
    np.testing.assert_allclose(here.params, there.params, rtol=1e-9)
    np.testing.assert_allclose(here.bse, there.bse, rtol=1e-9)
    assert here.edf == pytest.approx(there.edf, rel=1e-9)
    np.testing.assert_allclose(here.predict(), there.predict(), rtol=1e-9)
    one, other = (fit.random_effects().select_dtypes("number") for fit in (here, there))
    assert len(one) == 440 and one.columns.tolist() == other.columns.tolist()
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_borders_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(nested, "MANY", 1)
    monkeypatch.setattr(nested, "memory", lambda: 1e4)
    data = frame(np.random.default_rng(1))
    data["c"] = np.arange(len(data["y"])) % 30
    with pytest.raises(ModelError, match=r"40 coefficients of levels that others nest in stand beside 30 others"):
        rp.glm("y ~ x + (1 | a) + (1 | b) + (1 | c)", data)
