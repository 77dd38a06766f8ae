"""Which rows are independent of each other where coefficients vary: those of different levels of an outermost group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raphson.data.varying.term import VaryingTerm


def grouped(terms: Sequence[VaryingTerm]) -> list[int]:
    """The numbers of the terms that vary by groups."""
    return [number for number, term in enumerate(terms) if term.codes is not None]


def is_nested(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether all rows of a level of the first codes (n,) have one level of the second."""
    pairs = np.unique(inner.astype(np.int64) * (int(outer.max(initial=0)) + 1) + outer)
    return len(pairs) == len(np.unique(inner))


def outermost(terms: Sequence[VaryingTerm]) -> int | None:
    """The number of the first term with the levels that all other groups are nested in; None where they are crossed."""
    some = grouped(terms)
    for number in some:
        outer = terms[number].codes
        assert outer is not None
        if all(is_nested(_codes(terms[other]), outer) for other in some):
            return number
    return None


def _codes(term: VaryingTerm) -> np.ndarray:
    assert term.codes is not None
    return term.codes
