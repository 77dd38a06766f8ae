"""The algebra of terms is formulaic's, term by term, in the same order."""

from __future__ import annotations

import re

import numpy as np
import pytest

from raphson.data.algebra import expand
from raphson.errors import FormulaError


def ours(text):
    return expand(re.findall(r"\*\*|\w+|\S", text), text)


def of_formulaic(text):
    """The terms of formulaic's parser; None for what Raphson refuses: a number in a product, or what cannot be read."""
    from formulaic.errors import FormulaSyntaxError
    from formulaic.parser import DefaultFormulaParser

    try:
        terms = DefaultFormulaParser(feature_flags=set()).get_terms(text)
    except (FormulaSyntaxError, TypeError):
        return None
    terms = [[factor.expr for factor in term.factors] for term in getattr(terms, "root", terms)]
    if any(len(term) > 1 and set(term) & {"0", "1"} for term in terms):
        return None
    return [() if term == ["1"] else tuple(term) for term in terms]


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "1",
        "0",
        "a + b - 1",
        "0 + a",
        "-1 + a",
        "+ a",
        "a + 0 + b",
        "a - 0",
        "a + - b",
        "a - - b",
        "a + b - + a",
        "a*b*c - a:b:c",
        "b:a + a:b",
        "b:a*a",
        "a + b:a*a",
        "a*b + (a + b + c)^3",
        "(c + b:a)**2 - c",
        "(a + b)/c",
        "a/b/c",
        "a/(b + c)*d",
        "a/(b:a)",
        "(0 + a)*b",
        "(-a + b):c",
        "(a + b - a):c",
        "a:(-b)",
        "a - (a + b)*c + b",
        "(a + b + c)^2:d",
        "a^1 + b",
        "a^7",
        "(a + 1) + b",
        "(1)",
        "1:1 + a",
        "((((a))))",
        "a - a:1 + b",
    ],
)
def test_terms_are_formulaics(text):
    assert ours(text) == of_formulaic(text) is not None


def random_sum(rng, depth):
    def operand():
        if depth and rng.random() < 0.3:
            return f"({random_sum(rng, depth - 1)})"
        return "abcde"[rng.integers(5)]

    def product():
        text = operand()
        while rng.random() < 0.45:
            operator = ["*", ":", "/", "^", "**"][rng.choice(5, p=[0.35, 0.35, 0.2, 0.05, 0.05])]
            text += operator + (str(rng.integers(2, 4)) if "^" in operator or "**" in operator else operand())
            if operator in ("^", "**"):
                break
        return text

    text = ["", "-", "+", "0 + ", "1 + "][rng.choice(5, p=[0.7, 0.05, 0.05, 0.1, 0.1])] + product()
    while rng.random() < 0.5:
        text += [" + ", " - "][int(rng.random() < 0.3)] + [product(), "0", "1"][rng.choice(3, p=[0.9, 0.05, 0.05])]
    return text


def test_terms_of_many_sums_are_formulaics():
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(400):
        text = random_sum(rng, 2)
        expected = of_formulaic(text)
        if expected is not None:
            assert ours(text) == expected, text
            read += 1
    assert read > 250


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "a +",
        "* a",
        "a *",
        "a : + b",
        "a * - b",
        "()",
        "a + ()",
        "a ^ b",
        "a ^",
        "a^2^2",
        "a + : b",
        "(a) b",
        "(-a)/b",
    ],
)
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(FormulaError, match=r"cannot read .*; look for a missing operator"):
        ours(text)


@pytest.mark.parametrize("text", ["a:1", "1:a", "a*1", "a/1", "1/a", "(1 + a)*b", "(a + b + 1)^2", "a:0", "0:a", "0*a"])
def test_a_number_times_a_variable_is_refused(text):
    with pytest.raises(FormulaError, match="a number is part of an interaction"):
        ours(text)


def test_too_many_terms_are_refused_before_they_are_made():
    many = "(" + " + ".join(f"x{number}" for number in range(150)) + ")"
    for text in (f"{many}^2", f"{many}*{many}", f"{many}:{many}", f"{many}^100000000"):
        with pytest.raises(FormulaError, match="expands to more than 20000 terms"):
            ours(text)
    assert len(ours(f"{many}/y")) == 152


def test_a_power_ends_once_it_adds_nothing():
    assert ours("(a + b)^1000000000") == ours("(a + b)^2") == [(), ("a",), ("a", "b"), ("b",)]


def test_a_long_sum_takes_no_longer_for_each_term():
    names = [f"x{number}" for number in range(15_000)]
    assert ours(" + ".join(names)) == [(), *((name,) for name in names)]


def test_a_power_beyond_the_number_of_terms_adds_none():
    assert expand([*"(a+b)^", "1000000000000"], "") == expand(list("(a+b)^2"), "")
