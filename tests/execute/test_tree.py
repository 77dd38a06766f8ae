"""The fixed tree in parts."""

from __future__ import annotations

import random

import pytest

from raphson.execute import tree_sum
from raphson.execute.tree import Tree


class Term(str):
    def __add__(self, other):
        return Term(f"({self}{other})")


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 21, 33])
def test_however_the_terms_are_shared_out_the_same_pairs_are_added(n):
    terms = [Term(chr(97 + i)) for i in range(n)]
    for seed in range(8):
        order = list(range(n))
        random.Random(seed).shuffle(order)
        cut = seed * n // 8
        parts = order[:cut], order[cut:]
        whole = Tree(n)
        for part in parts:
            some = Tree(n)
            for number in part:
                some.add(number, terms[number])
            whole.join(some.nodes)
        assert whole.total == tree_sum(terms)


def test_a_contiguous_run_is_few_nodes():
    run = Tree(1000)
    for number in range(100, 900):
        run.add(number, 1)
    assert len(run.nodes) <= 2 * 10 and sum(run.nodes.values()) == 800
