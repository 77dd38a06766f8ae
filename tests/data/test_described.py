"""What is kept of a variable comes back from its saved form, and nothing else does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raphson.data.described import describe, read_info, saved_info
from raphson.data.expressions import parse_expression
from raphson.data.values import Levels, Numbers
from raphson.errors import DataError


def test_a_factor_and_numbers_come_back():
    factor = parse_expression("C(g, contr.sum)", ["g"], "formula")
    levels = Levels(np.array([0, 1]), ("a", "b"), "text")
    for expression, variable in ((factor, levels), (parse_expression("log(x)", ["x"], "formula"), Numbers(np.ones(2)))):
        info = describe(expression, variable)
        back = read_info(expression, json.loads(json.dumps(saved_info(info))))
        assert (back.text, back.categorical, back.labels) == (info.text, info.categorical, info.labels)
    assert read_info(factor, saved_info(describe(factor, levels))).matrix(True).tolist() == [[1.0], [-1.0]]


def test_another_expression_is_refused():
    expression = parse_expression("x", ["x"], "formula")
    saved = saved_info(describe(expression, Numbers(np.ones(2))))
    with pytest.raises(DataError, match="expected the factor 'z'"):
        read_info(parse_expression("z", ["z"], "formula"), saved)
