"""Terms that vary are read as R's packages read them, and what cannot be is refused in a sentence."""

from __future__ import annotations

import pytest

from raphson.data.formula import parse_formula
from raphson.data.varying.parts import GroupPart, SmoothPart, parse_parts
from raphson.errors import DataError, FormulaError

NAMES = ["y", "x", "z", "g", "a", "b", "f"]


def read(right):
    return parse_parts(parse_formula(f"y ~ {right}", NAMES).varying, NAMES)


def groups(right):
    found = []
    for part in read(right):
        assert isinstance(part, GroupPart)
        effects = [part.effects.term_name(term) for term in part.effects.terms]
        found += [(effects, ":".join(one.text for one in product), part.structure) for product in part.groups]
    return found


def margins(part):
    return [(one.text, one.basis, one.k) for one in part.margins]


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("(1 | g)", [(["Intercept"], "g", "correlated")]),
        ("(x | g)", [(["Intercept", "x"], "g", "correlated")]),
        ("(1+x|g)", [(["Intercept", "x"], "g", "correlated")]),
        ("(x || g)", [(["Intercept", "x"], "g", "independent")]),
        ("(0 + f | g)", [(["f"], "g", "correlated")]),
        ("(1 | a:b)", [(["Intercept"], "a:b", "correlated")]),
        ("(1 | a/b)", [(["Intercept"], "a", "correlated"), (["Intercept"], "a:b", "correlated")]),
        ("(1 | a) + (1 | b)", [(["Intercept"], "a", "correlated"), (["Intercept"], "b", "correlated")]),
        ("(1 | C(x))", [(["Intercept"], "C(x)", "correlated")]),
        ("(z + (1 | g))", [(["Intercept"], "g", "correlated")]),
        ("(1 | g) + (1 | a) - (1 | a)", [(["Intercept"], "g", "correlated")]),
        ("(1 | g) + (0 + x | g)", [(["Intercept"], "g", "correlated"), (["x"], "g", "correlated")]),
    ],
)
def test_groups(right, expected):
    assert groups(right) == expected


def test_a_smooth_has_its_options_and_its_defaults():
    one, two, three = read("s(x) + s(log(z), k=20, basis='ps') + s(x, by=f, bs='cc')")
    assert isinstance(one, SmoothPart) and isinstance(two, SmoothPart) and isinstance(three, SmoothPart)
    assert (one.label, margins(one), one.by) == ("s(x)", [("x", "cr", 10)], None)
    assert (two.label, margins(two)) == ("s(log(z))", [("log(z)", "ps", 20)])
    assert (three.label, margins(three), three.by and three.by.text) == ("s(x):f", [("x", "cc", 10)], "f")


@pytest.mark.parametrize(
    ("right", "label", "expected"),
    [
        ("s(x, basis='tp')", "s(x)", [("x", "tp", 10)]),
        ("s(x, z)", "s(x, z)", [("x, z", "tp", 30)]),
        ("s(x, z, a)", "s(x, z, a)", [("x, z, a", "tp", 110)]),
        ("s(x, z, k=12, by=f)", "s(x, z):f", [("x, z", "tp", 12)]),
        ("te(x, z)", "te(x, z)", [("x", "cr", 5), ("z", "cr", 5)]),
        ("te(x, log(z), k=6, bs='ps')", "te(x, log(z))", [("x", "ps", 6), ("log(z)", "ps", 6)]),
        ("te(x, z, k=(5, 8), basis=('cr', 'cc'))", "te(x, z)", [("x", "cr", 5), ("z", "cc", 8)]),
        ("te(x, z, k=c(5, 8), basis=['tp', 'cr'])", "te(x, z)", [("x", "tp", 5), ("z", "cr", 8)]),
        ("ti(x, z, k=4)", "ti(x, z)", [("x", "cr", 4), ("z", "cr", 4)]),
        ("te(x, z, a, by=f)", "te(x, z, a):f", [("x", "cr", 5), ("z", "cr", 5), ("a", "cr", 5)]),
    ],
)
def test_functions_of_several_variables(right, label, expected):
    (part,) = read(right)
    assert isinstance(part, SmoothPart) and (part.label, margins(part)) == (label, expected)


def test_a_smooth_of_groups_is_an_intercept_that_varies():
    (one,) = read("s(g, basis='re')")
    assert isinstance(one, GroupPart) and one.smooth and one.label == "s(g)"
    assert groups("s(g, basis='re')") == [(["Intercept"], "g", "correlated")]


def test_the_other_terms_stay():
    formula = parse_formula("y ~ x + (1 | g) + z + s(a)", NAMES)
    assert [formula.term_name(term) for term in formula.terms] == ["Intercept", "x", "z"]
    assert formula.varying == ("(1 | g)", "s(a)")


def test_a_column_may_have_the_name_of_a_smooth():
    assert [one.text for one in parse_formula("y ~ s + te", ["y", "s", "te"]).factors] == ["s", "te"]


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("x | g", r"'\|' in 'x \| g' is not in brackets; write \(1 \| g\)"),
        ("z:(1 | g)", r"\(1 \| g\) is part of an interaction"),
        ("s(x)*z", r"s\(x\) is part of an interaction"),
        ("(1 | g | a)", "expected one bar"),
        ("( | g)", "expected effects and a group"),
        ("(0 | g)", "no effect varies"),
        ("(1 | 1)", "expected a group such as g"),
        ("(1 | a + b)", r"has two groups; write a term for each, \(1 \| a\) \+ \(1 \| b\)"),
        ("(s(x) | g)", r"s\(x\) cannot be in '\(s\(x\) \| g\)'"),
        ("(1 | g) + (x | g)", r"'\(1 \| g\)' and '\(x \| g\)' have the same effect"),
        ("(1 | a:b) + (1 | b:a)", "have the same effect"),
        ("s(x) + s(x, k=5)", "have the same effect"),
        ("s(x, z, basis='cr')", r"the basis 'cr' in .* is of one variable; write te\(...\) for products"),
        ("s()", r"expected a variable in 's\(\)', as in s\(x\)"),
        ("s(x, x)", "'x' is twice in"),
        ("s(x, z, k=3)", "expected a whole number from 4 to 1000 as k"),
        ("s(x, z) + s(z, x)", "have the same effect"),
        ("s(x, z, basis='re')", "has one variable and no k or by"),
        ("s(x, m=2)", r"s\(\) has no option 'm'; its options are k, basis, by"),
        ("s(x, k=2)", "expected a whole number from 3 to 1000 as k"),
        ("s(x, k=2.5)", "expected a whole number"),
        ("s(x, k=-5)", "expected a whole number from 3 to 1000 as k in .*; got -5"),
        ("s(x, basis='gp')", "expected one of cr, ps, cc, tp, re as the basis"),
        ("s(g, basis='re', k=4)", "has one variable and no k or by"),
        ("s(1)", "'1' in 's\\(1\\)' contains no column; add one"),
        ("s(x, k=z)", "expected a constant, not 'z'"),
        (
            "te(x)",
            r"te\(\) takes two variables or more, as in te\(x, z, k=\(5, 8\)\); got one in 'te\(x\)'. Write s\(x\)",
        ),
        ("ti(x)", r"ti\(\) takes two variables or more, .*; got one in 'ti\(x\)'. Write s\(x\)"),
        ("te(x, z) + te(z, x, k=6)", "have the same effect"),
        ("ti(x, z) + ti(z, x)", "have the same effect"),
        ("te(x, z, m=1)", r"te\(\) has no option 'm'"),
        ("te(x, z, k=(5,))", "expected one k or 2 of them, one for each variable, in .*; got 1"),
        ("te(x, z, k=(5, 2))", "expected a whole number from 3 to 1000 as k in .*; got 2"),
        ("te(x, z, k=(5, x))", "expected a constant, not 'x'"),
        ("te(x, z, k=((5, 5), 5))", r"expected a constant, not '\(5, 5\)'"),
        ("te(x, z, k=40)", r"has 40 · 40 = 1600 functions; at most 1000 are possible"),
        ("te(x, z, basis=('cr', 're'))", r"expected one of cr, ps, cc, tp as the basis in .*; got 're'. Write by=, or"),
        ("te(x, z, basis='gp')", "expected one of cr, ps, cc, tp as the basis"),
        ("te(x, 2)", "'2' in .* contains no column; add one"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(right, message):
    with pytest.raises(FormulaError, match=message):
        read(right)


def test_a_column_that_is_not_there_is_named():
    for right in ("(1 | h)", "(w | g)", "s(w)"):
        with pytest.raises(DataError, match="is not in the data"):
            read(right)
