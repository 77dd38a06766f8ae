"""What is made of a function goes when the function does."""

from __future__ import annotations

import gc
import weakref

from raphson.model.memory import remembered, weakly


def test_made_once_for_each_function_and_key():
    def f():
        pass

    made = []
    for key in ("a", "b", "a"):
        remembered(f, key, lambda: made.append(1) or object())
    assert len(made) == 2


def test_nothing_keeps_the_function_alive():
    class Made:
        pass

    def function():
        def f():
            pass

        return f

    f = function()
    kept, back = weakref.ref(remembered(f, "key", Made)), weakly(f)
    assert back() is f
    del f
    gc.collect()
    assert kept() is None and back() is None


def test_what_cannot_be_referred_to_weakly_is_made_each_time():
    class Slotted:
        __slots__ = ()

    function = Slotted()
    assert remembered(function, "key", object) is not remembered(function, "key", object)
    assert weakly(function)() is function
