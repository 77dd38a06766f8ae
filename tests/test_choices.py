from __future__ import annotations

from typing import get_args

from raphson import choices
from raphson.fit.uncertainty import COVARIANCES
from raphson.model.families import FAMILIES
from raphson.model.families.links import LINKS
from raphson.model.families.robust import LOSSES
from raphson.newton.methods import METHODS


def test_words_are_those_that_are_looked_up() -> None:
    assert set(get_args(choices.MethodName)) == set(METHODS)
    assert set(get_args(choices.FamilyName)) == set(FAMILIES)
    assert set(get_args(choices.LinkName)) == set(LINKS)
    assert set(get_args(choices.Loss)) == {"squared", *LOSSES}
    assert set(get_args(choices.Covariance)) == set(COVARIANCES)
