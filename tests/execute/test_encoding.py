"""Values as bytes: every bit comes back, and nothing but data and records of this package is written or read."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raphson.execute.encoding import LENGTH, UnencodableError, decode, encode
from raphson.model.block_sums import Sums
from raphson.model.objective import Gram, Root


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "é\n",
        2**70,
        0.1,
        -0.0,
        math.inf,
        -math.inf,
        [1, (2.5, "x")],
        {1: "a", "b": (2,)},
        {("a", "b"): None},
        {"x", "y"},
        frozenset((1,)),
    ],
)
def test_a_value_comes_back(value):
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value) or isinstance(value, set)


def test_nan_comes_back():
    assert math.isnan(decode(encode(math.nan)))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "?", "c16", "U3"])
def test_an_array_keeps_its_type_and_bits(dtype):
    array = np.array([[1, 0], [0, 1]]).astype(dtype)
    back = decode(encode(array))
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()
    assert back.shape == (2, 2)


def test_special_numbers_in_an_array_keep_their_bits():
    array = np.array([np.nan, -0.0, np.inf, 5e-324])
    assert decode(encode(array)).tobytes() == array.tobytes()


def test_scalars_of_numpy_become_python_s():
    assert decode(encode((np.float64(0.1), np.int32(3), np.bool_(True)))) == (0.1, 3, True)


def test_records_of_the_package_come_back_without_their_caches():
    gram = Gram(np.eye(2), {b"x": object()})
    sums = Sums(-1.5, np.array([1.0, 2.0]), math.nan, 0.0, {"expected": gram, "observed": Root(np.eye(3))})
    back = decode(encode(sums))
    assert isinstance(back, Sums)
    assert back.information["expected"].factors == {}
    assert back.information["expected"].matrix.tobytes() == gram.matrix.tobytes()
    assert back.information["observed"].second_order is None
    assert math.isnan(back.pearson)


def test_a_table_comes_back_with_its_categories():
    frame = pd.DataFrame({"x": [1.5, np.nan], "g": pd.Categorical(["b", "a"], categories=["b", "a"])})
    pd.testing.assert_frame_equal(decode(encode(frame)), frame)
    table = pa.Table.from_pandas(frame)
    assert decode(encode(table)).equals(table)


@pytest.mark.parametrize("value", [object(), lambda: 0, [print], {"a": np.array([object()])}, b"bytes"])
def test_anything_else_is_refused(value):
    with pytest.raises(UnencodableError):
        encode(value)


def _of(tree):
    text = json.dumps(tree).encode()
    return LENGTH.pack(len(text)) + text


@pytest.mark.parametrize(
    "tree",
    [
        ["record", "os", "system", {}],
        ["record", "subprocess", "Popen", {"args": "true"}],
        ["record", "raphson.execute", "threads", {"workers": 1}],
        ["record", "raphson.nowhere", "Gone", {}],
        ["record", "raphson.model.objective", "Gram", {"other": 1}],
        ["something", 1],
        ["array", 7],
        ["float"],
    ],
)
def test_nothing_else_is_constructed(tree):
    with pytest.raises(ValueError):
        decode(_of(tree))


def test_a_cut_off_part_is_refused():
    with pytest.raises(ValueError):
        decode(encode(np.arange(3.0))[:-1])
