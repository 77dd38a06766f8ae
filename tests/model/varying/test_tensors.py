"""Symmetric tensors of rows, and their sums, against full arrays."""

from itertools import combinations_with_replacement, permutations

import numpy as np

from raphson.model.varying.tensors import Symmetric, added, along, pairs, weighted

RNG = np.random.default_rng(2)
K, N = 3, 4


def tensor(order):
    entries = Symmetric({index: RNG.normal(size=N) for index in combinations_with_replacement(range(K), order)})
    full = np.zeros((K,) * order + (N,))
    for index, value in entries.items():
        for one in permutations(index):
            full[one] = value
    return entries, full


def test_entries_are_found_in_any_order():
    entries, full = tensor(3)
    np.testing.assert_array_equal(entries.at(2, 0, 1), full[0, 1, 2])
    del entries[0, 1, 2]
    assert entries.at(1, 2, 0) is None


def test_sums_are_those_of_the_full_arrays():
    h, whole = tensor(2)
    T, full = tensor(4)
    np.testing.assert_allclose(weighted(h, T, range(K), 2, 0), np.einsum("abn,abn->n", whole, full[:, :, 2, 0]))
    x = RNG.normal(size=(K, N))
    np.testing.assert_allclose(along(T, dict(enumerate(x)), 1, 2, 1), np.einsum("cn,cn->n", full[:, 1, 2, 1], x))
    assert sum(times for _, _, times in pairs(range(K))) == K * K


def test_nothing_is_zero():
    assert added(None, None) is None and weighted(tensor(2)[0], Symmetric(), range(K), 0) is None
    np.testing.assert_array_equal(added(np.ones(2), None, 3.0), [1.0, 1.0])
    np.testing.assert_array_equal(added(np.ones(2), np.ones(2), 3.0), [4.0, 4.0])
