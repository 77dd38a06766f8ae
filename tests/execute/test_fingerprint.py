"""The fingerprint of a function: the same in every process, another after a change of what it computes."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial, wraps

import numpy as np
import pytest

from raphson.execute.fingerprint import fingerprint

SOURCE = '''
import math
import numpy as np

SCALE = 2.0
TABLE = np.arange(3.0)
NAMES = {"a", "b", "c"}

def helper(x):
    """Says what it does."""
    return SCALE * math.exp(x)  # a comment

class Weight:
    def __init__(self, w):
        self.w = w
    def times(self, x):
        return self.w * x

HEAVY = Weight(3.0)

def made(k):
    def density(y, mu, *, event=1.0):
        def inner(z):
            return helper(z) + k
        if event in {"x", "y", "z"}:
            return inner(y)
        return inner(y - mu) + TABLE[0] + HEAVY.times(mu) * len(NAMES)
    return density
'''

CHANGES = {
    "a body": ("inner(y - mu)", "inner(mu - y)"),
    "a constant": ("SCALE * math.exp(x)", "3.0 * math.exp(x)"),
    "a global": ("SCALE = 2.0", "SCALE = 2.5"),
    "a function it calls": ("math.exp(x)", "math.expm1(x)"),
    "an array": ("np.arange(3.0)", "np.arange(3.0) + 1e-9"),
    "a default": ("event=1.0", "event=0.0"),
    "a method": ("return self.w * x", "return self.w + x"),
    "a state": ("Weight(3.0)", "Weight(4.0)"),
    "a set": ('{"x", "y", "z"}', '{"x", "y", "w"}'),
    "an inner function": ("helper(z) + k", "helper(z) - k"),
}
NO_CHANGES = {
    "a comment": ("  # a comment", ""),
    "a docstring": ("Says what it does.", "Says something else."),
    "lines": ("def made(k):", "\n\n\ndef made(k):"),
    "what is not used": ("SCALE = 2.0", "SCALE, OTHER = 2.0, 7"),
}


def of(source: str, k: float = 1.0) -> str:
    names: dict = {"__name__": "users"}
    exec(compile(source, "users.py", "exec"), names)
    return fingerprint(names["made"](k))


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_computed_counts(change):
    before, after = CHANGES[change]
    assert before in SOURCE and of(SOURCE.replace(before, after)) != of(SOURCE)


@pytest.mark.parametrize("change", NO_CHANGES)
def test_how_it_is_written_does_not(change):
    before, after = NO_CHANGES[change]
    assert before in SOURCE and of(SOURCE.replace(before, after)) == of(SOURCE)


def test_what_is_closed_over_counts():
    assert of(SOURCE, 1.0) != of(SOURCE, 2.0)


def test_it_is_the_same_in_other_processes():
    code = f"from raphson.execute.fingerprint import fingerprint\n{SOURCE}\nprint(fingerprint(made(1.0)))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_wrappers_methods_and_objects():
    jax = pytest.importorskip("jax")

    def f(x, n):
        return x**n

    def g(x, n):
        return x * n

    class Model:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return x**self.n

    @wraps(f)
    def around(*given):
        return 2 * f(*given)

    given = [f, g, around, jax.jit(f), jax.jit(g), partial(f, n=2), partial(f, n=3), Model(2), Model(3)]
    given += [Model(2).__call__, np.exp, np.log, jax.numpy.exp, jax.numpy.log]
    assert len({fingerprint(one) for one in given}) == len(given)
    assert fingerprint(Model(2)) == fingerprint(Model(2)) and fingerprint(partial(f, n=2)) == fingerprint(
        partial(f, n=2)
    )


def test_a_function_that_refers_to_itself():
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    assert len(fingerprint(factorial)) == 16
