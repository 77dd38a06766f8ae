"""Frozen dataclasses with a quick constructor: in all else they are the standard library's."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from raphson.frozen import frozen


@frozen
class Ours:
    x: float
    name: str = "a"
    made: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Theirs:
    x: float
    name: str = "a"
    made: list[int] = field(default_factory=list)


@frozen(eq=False)
class Lower(Ours):
    y: float = 2.0

    def __post_init__(self) -> None:
        vars(self)["z"] = self.x + self.y


def test_it_is_made_compared_and_shown_as_a_dataclass():
    assert Ours(1.0) == Ours(1.0, "a", []) != Ours(2.0)
    assert repr(Ours(1.0, made=[3])) == repr(Theirs(1.0, made=[3])).replace("Theirs", "Ours")
    assert Ours(1.0).made is not Ours(1.0).made
    assert replace(Ours(1.0), name="b") == Ours(1.0, "b")
    assert pickle.loads(pickle.dumps(Ours(1.0, "b"))) == Ours(1.0, "b")  # noqa: S301
    ours, theirs = (list(inspect.signature(one).parameters) for one in (Ours, Theirs))
    assert ours == theirs


def test_it_is_frozen_and_says_what_is_missing():
    with pytest.raises(FrozenInstanceError):
        Ours(1.0).x = 2.0
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Ours()
    with pytest.raises(TypeError, match="unexpected keyword argument 'w'"):
        Ours(1.0, w=2)


def test_classes_inherit():
    found = Lower(1.0, made=[1])
    assert (found.x, found.name, found.made, found.y, found.z) == (1.0, "a", [1], 2.0, 3.0)


def test_one_may_be_equal_to_itself_alone():
    @frozen(eq=False)
    class Single:
        x: float

    one = Single(1.0)
    assert one == one and one != Single(1.0) and hash(one)
