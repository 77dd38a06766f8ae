"""Which levels are independent of each other."""

from __future__ import annotations

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.fit.varying.grouping import grouped, is_nested, outermost


def term(codes):
    levels = () if codes is None else tuple(str(k) for k in range(max(codes) + 1))
    given = None if codes is None else np.array(codes, dtype=np.int32)
    return VaryingTerm("t", "t", np.ones((6, 1)), given, levels, ("Intercept",))


def test_the_outermost_group_has_all_others_within_it():
    inner, outer, crossed = term([0, 0, 1, 1, 2, 2]), term([0, 0, 0, 0, 1, 1]), term([0, 1, 0, 1, 0, 1])
    assert is_nested(inner.codes, outer.codes) and not is_nested(outer.codes, inner.codes)
    assert outermost([inner, outer]) == 1 and outermost([outer, inner]) == 0
    assert outermost([inner, outer, crossed]) is None
    assert outermost([term(None), inner]) == 1 and grouped([term(None), inner]) == [1]
    assert outermost([term(None)]) is None
