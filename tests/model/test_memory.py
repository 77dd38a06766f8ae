"""What is made of a function goes when the function does."""

from __future__ import annotations

import gc
import weakref

from raphson.model.memory import cached_for, weak_getter


def test_made_once_for_each_function_and_key():
    def f():
        pass

    made = []
    for key in ("a", "b", "a"):
        cached_for(f, key, lambda: made.append(1) or object())
    assert len(made) == 2


def test_nothing_keeps_the_function_alive():
    class Made:
        pass

    def function():
        def f():
            pass

        return f

    f = function()
    kept, back = weakref.ref(cached_for(f, "key", Made)), weak_getter(f)
    assert back() is f
    del f
    gc.collect()
    assert kept() is None and back() is None


def test_what_cannot_be_referred_to_weakly_is_made_each_time():
    class Slotted:
        __slots__ = ()

    function = Slotted()
    assert cached_for(function, "key", object) is not cached_for(function, "key", object)
    assert weak_getter(function)() is function
