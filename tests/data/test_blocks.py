from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raphson.data import blocks
from raphson.data.blocks import BLOCK_ROWS, StreamedBlocks, block_rows, make_blocks, padded, total_rows


@pytest.mark.parametrize(
    ("n", "size"),
    [(1, 256), (256, 256), (257, 1024), (1024, 1024), (4096, 4096), (4097, 16384), (16385, 16384), (10**7, 16384)],
)
def test_one_of_four_sizes(n, size):
    assert block_rows(n) == size and size in BLOCK_ROWS


def test_padding_repeats_one_element():
    np.testing.assert_array_equal(padded(np.array([3.0, 5.0]), 4, 1), [3, 5, 5, 5])
    whole = np.arange(4.0)
    assert padded(whole, 4, 0) is whole


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", (4, 8))


def test_blocks_hold_every_row_once(small_blocks):
    n = 19
    X, y = np.arange(2.0 * n).reshape(n, 2), np.arange(n) + 0.5
    weight, offset = np.arange(n) % 3.0, np.arange(3.0 * n).reshape(3, n)
    made = make_blocks((X,), y, weight, offset)
    assert [b.rows for b in made] == [8, 8, 3] and [b.start for b in made] == [0, 8, 16]
    assert {len(b.y) for b in made} == {len(b.weight) for b in made} == {8}
    np.testing.assert_array_equal(np.concatenate([b.designs[0] for b in made]), X)
    np.testing.assert_array_equal(np.concatenate([b.y[: b.rows] for b in made]), y)
    np.testing.assert_array_equal(np.concatenate([b.weight[: b.rows] for b in made]), weight)
    np.testing.assert_array_equal(np.concatenate([b.offset for b in made], axis=1), offset)


def test_padding_has_weight_zero_and_a_response_of_positive_weight(small_blocks):
    # Row 0 of the last block has weight 0: its response may be anything, so it must not fill the padding.
    y = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, np.nan, 7.0])
    weight = np.array([1.0] * 8 + [0.0, 2.0])
    last = make_blocks((np.ones((10, 1)),), y, weight)[-1]
    assert last.fill == 1 and (last.y[2:] == 7.0).all() and (last.weight[2:] == 0).all()


def test_without_weights_rows_count_once(small_blocks):
    first, last = make_blocks((np.ones((11, 1)),), np.ones(11))
    np.testing.assert_array_equal(first.weight, np.ones(8))
    np.testing.assert_array_equal(last.weight, [1, 1, 1, 0, 0, 0, 0, 0])


def test_whole_blocks_are_views(small_blocks):
    X, y, w = np.ones((16, 3)), np.ones(16), np.ones(16)
    for block in make_blocks((X,), y, w):
        assert np.shares_memory(block.designs[0], X)
        assert np.shares_memory(block.y, y) and np.shares_memory(block.weight, w)


def test_several_designs_are_cut_alike(small_blocks):
    X, Z = np.arange(12.0)[:, None], -np.arange(24.0).reshape(12, 2)
    for block in make_blocks((X, Z), np.zeros(12)):
        rows = slice(block.start, block.start + block.rows)
        np.testing.assert_array_equal(block.designs[0], X[rows])
        np.testing.assert_array_equal(block.designs[1], Z[rows])


def test_passing_blocks_are_made_when_read():
    made: list[int] = []

    def read(numbers):
        for number in numbers:
            made.append(number)
            yield replace(make_blocks([np.ones((3, 1))], np.full(3, float(number)))[0], start=3 * number)

    passing = StreamedBlocks(15, 5, read, lambda rng: iter(()))
    assert len(passing) == 5 and not made and total_rows(passing) == 15
    assert [block.y[0] for block in passing[1:4]] == [1.0, 2.0, 3.0] and made == [1, 2, 3]
    assert len(passing[1:4]) == 3 and passing[1:4][1].y[0] == 2.0 and passing[-1].start == 12
    assert [block.start for block in passing] == [0, 3, 6, 9, 12]
    assert total_rows(list(passing)) == 15
