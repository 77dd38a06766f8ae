"""Nothing in a formula reaches past the columns and the listed functions, and none keeps the machine busy."""

from __future__ import annotations

import time

import numpy as np
import pytest

import raphson as rp
from raphson.data import from_formula
from raphson.errors import DataError, FormulaError

TABLE = {"y": [1.0, 2, 3, 4, 5, 7], "x": [1.0, 2, 3, 4, 5, 6], "a": list("ababab")}

HOSTILE = [
    "y ~ __import__('os').system('{touch}')",
    "y ~ I(__import__('os').system('{touch}'))",
    'y ~ eval(\'open("{path}", "w")\')',
    "y ~ I(exec('x'))",
    "y ~ open('{path}', 'w')",
    "open('{path}', 'w') ~ x",
    "__builtins__ ~ x",
    "y ~ x.__class__",
    "y ~ I(x.__class__.__bases__)",
    "y ~ I(x.real)",
    "y ~ I((x).mean())",
    "y ~ (x).mean()",
    "y ~ I(().__class__)",
    "y ~ I('a'.join)",
    "y ~ I(x[0])",
    "y ~ I([i for i in x])",
    "y ~ I((i for i in x))",
    "y ~ I({1: x})",
    "y ~ {x}",
    "y ~ I(lambda: x)",
    "y ~ I((lambda: x)())",
    "y ~ I(f'{x}')",
    "y ~ I(b'x' + x)",
    "y ~ I((q := x))",
    "y ~ I(x if x else x)",
    "y ~ I(x and x)",
    "y ~ I(not x)",
    "y ~ I(x in [1])",
    "y ~ I(x is x)",
    "y ~ I(x < 3 < 4)",
    "y ~ I(x | x)",
    "y ~ I(x @ x)",
    "y ~ I(x; x)",
    "y ~ I(1j * x)",
    "y ~ I(...)",
    "y ~ I(yield x)",
    "y ~ I(await x)",
    "y ~ log(*x)",
    "y ~ C(a, **x)",
    "y ~ log(x, out=x)",
    "y ~ np.load('{path}')",
    "y ~ np.log.__call__(x)",
    "y ~ getattr(x, 'real')",
    "y ~ Q('x')",
    "y ~ hashed(a)",
    "y ~ C(a, contr.treatment.__init__)",
    "y ~ C(a, contr.custom)",
    "y ~ I('a' * 1000000000 + x)",
    "y ~ C(a, levels=['a'] * 1000000000)",
    "y ~ I(9**9**9**9 * x)",
    "y ~ I(x ** 9**9**9**9)",
    "y ~ I(9**9**9**9)",
    "y ~ I(0**-1 * x)",
    "y ~ I((-8)**0.5 * x)",
    "y ~ I(" + "9" * 5000 + " * x)",
    "y ~ I(" + "9" * 30 + " * x)",
    "y ~ poly(x, 1000000)",
    "y ~ bs(x, df=100000)",
    "y ~ " + "*".join(f"I(x + {i})" for i in range(40)),
    "y ~ (" + " + ".join(f"I(x + {i})" for i in range(40)) + ")^9",
    "y ~ " + "(" * 200 + "x" + ")" * 200,
    "y ~ I(" + "-" * 20_000 + "x)",
    "y ~ I(x" + " + x" * 20_000 + ")",
    "y ~ I(x\x00)",
    "y ~ 'x'",
]


@pytest.mark.parametrize("formula", HOSTILE, ids=lambda formula: formula[:40])
def test_hostile_formulas_are_refused_in_one_line(tmp_path, formula):
    victim = tmp_path / "victim"
    formula = formula.replace("{touch}", f"touch {victim}").replace("{path}", str(victim))
    began = time.process_time()
    with pytest.raises(FormulaError) as caught:
        from_formula(formula, TABLE)
    assert time.process_time() - began < 5
    assert not victim.exists()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 800


def test_the_message_names_the_piece_and_lists_what_is_allowed():
    with pytest.raises(FormulaError, match=r"'lambda: x' in 'I\(lambda: x\)' is not allowed; allowed are columns"):
        from_formula("y ~ I(lambda: x)", TABLE)
    with pytest.raises(FormulaError, match=r"'ns' in 'ns\(x\)' is not allowed\. Did you mean cr\(x, df=4\)\?"):
        from_formula("y ~ ns(x)", TABLE)
    with pytest.raises(FormulaError, match=r"'Surv' in .* Did you mean rp\.mle\('weibull', .*'event': 'status'"):
        from_formula("Surv(y, y > 0) ~ x", TABLE)
    with pytest.raises(FormulaError, match=r"the functions log, .*poly, bs, .*offset"):
        from_formula("y ~ os.system(x)", TABLE)


def test_names_of_the_callers_environment_are_unknown():
    secret = 3.0
    with pytest.raises(DataError, match="column 'secret' is not in the data"):
        from_formula("y ~ I(x * secret)", TABLE)
    with pytest.raises(DataError, match="column '__class__' is not in the data"):
        from_formula("y ~ `x`.`__class__`", TABLE)
    assert secret == 3.0


def test_the_other_arguments_go_through_the_same_fence():
    for argument in ("weights", "offset", "trials", "groups"):
        with pytest.raises(FormulaError, match=f"{argument}: .*is not allowed"):
            from_formula("y ~ x", TABLE, **{argument: "__import__('os')"})
        with pytest.raises(DataError, match=f"{argument}: column 'X' is not in the data; did you mean 'x'"):
            from_formula("y ~ a", TABLE, **{argument: "X"})


def test_many_terms_are_no_attack():
    names = [f"v{i}" for i in range(1500)]
    table = {"y": [1.0, 2.0], **{name: [0.0, 1.0] for name in names}}
    assert len(from_formula("y ~ " + " + ".join(names), table).names) == 1501


def test_a_sum_of_more_terms_than_can_be_walked_is_refused_and_a_long_one_is_fitted():
    rows = {"x": np.linspace(0, 1, 300), "y": np.cos(np.linspace(0, 9, 300))}

    def terms(n):
        return "y ~ " + " + ".join(f"a{k}*exp(-((x - {k / n:.3f})*40)**2)" for k in range(n))

    assert rp.nls(terms(40), rows).converged
    for n in (260, 5000):
        with pytest.raises(FormulaError, match="nested operations; write it as a function") as caught:
            rp.nls(terms(n), rows)
        assert "\n" not in str(caught.value)
