"""Compiled code is made once for each kind of family and size of block, and shared by everything that follows.

Each check runs in a process of its own, whose caches are empty.
"""

from __future__ import annotations

import json
import textwrap

import pytest

PRELUDE = """
import json, warnings
import jax, numpy as np
import raphson as rp

count = [0]
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: count.__setitem__(0, count[0] + (event == "/jax/core/compile/backend_compile_duration"))
)
rng = np.random.default_rng(0)

def data(n, p):
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    return X, (rng.random(n) < 0.5).astype(float)

def compiled(function):
    before = count[0]
    function()
    return count[0] - before

def use(fit, X, offset=None):
    fit.bse, fit.llf, fit.null_deviance, fit.robust("HC3").bse, fit.residuals("quantile"), fit.leverage
    fit.predict(X[:7], interval="confidence", offset=offset), fit.predict(X[:7], kind="link", se=True, offset=offset)
    fit.summary().text

warnings.simplefilter("ignore")
for ready in (rp.families.Binomial, rp.families.NegativeBinomial, rp.families.Tweedie):
    rp.families.register(type("Own", (ready,), {"name": "own_" + ready.name}))  # left to autodiff
found = {}
"""


@pytest.fixture(scope="module")
def run(script):
    """Run a script after the prelude and read the dictionary `found`."""

    def run(code):
        done = script(PRELUDE + textwrap.dedent(code) + "\nprint(json.dumps(found))\n")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def one_family(run):
    return run(
        """
        def everything():
            # Sizes in all four buckets, and of more than one block.
            for n, p in ((30, 2), (250, 5), (700, 3), (3_000, 4), (20_000, 3)):
                X, y = data(n, p)
                use(rp.glm(y, X, family="own_binomial"), X)
        found["first"] = compiled(everything)

        def again():
            for n, p in ((40, 3), (256, 2), (1_024, 6), (2_000, 2), (33_000, 5)):
                X, y = data(n, p)
                for method in ("newton", "irls", "bhhh", "newton-cg"):
                    use(rp.glm(y, X, family="own_binomial", method=method, offset=np.full(n, 0.1)), X, np.zeros(7))
            X, y = data(90, 3)
            use(rp.glm(y, X, family="own_binomial", weights=np.full(90, 2.0), weights_kind="frequency"), X)
            use(rp.glm(y, X, family="own_binomial", penalty=1.0), X)
        found["again"] = compiled(again)
        found["ready"] = compiled(lambda: rp.glm(*data(90, 3)[::-1], family=rp.families.Binomial(link="probit")))
        own = rp.families.resolve("own_binomial")
        found["other link"] = compiled(lambda: rp.glm(*data(90, 3)[::-1], family=type(own)(link="probit")))
        """
    )


def test_one_family_compiles_at_most_once_for_each_of_four_sizes(one_family):
    assert 1 <= one_family["first"] <= 4


def test_a_ready_family_compiles_nothing(one_family):
    assert one_family["ready"] == 0


def test_other_sizes_methods_weights_and_penalties_compile_nothing(one_family):
    assert one_family["again"] == 0


def test_the_count_can_see_a_compilation(one_family):
    # Another link is another density: were the listener deaf, the tests above could not fail.
    assert one_family["other link"] == 1


def test_another_parameter_of_a_family_compiles_nothing(run):
    found = run(
        """
        X, _ = data(80, 3)
        y = rng.poisson(2.0, 80).astype(float)
        for name, make in (
            ("theta", lambda value: rp.families.resolve(f"own_negative_binomial({value})")),
            ("power", lambda value: rp.families.resolve(f"own_tweedie({value})")),
        ):
            found[name + " first"] = compiled(lambda: rp.glm(y, X, family=make(1.4)))
            found[name + " other"] = compiled(lambda: rp.glm(y, X, family=make(1.7)))
        """
    )
    assert found["theta first"] == found["power first"] == 1
    assert found["theta other"] == found["power other"] == 0


def test_importing_compiles_nothing_and_leaves_the_configuration_alone(run):
    found = run(
        """
        found["x64"] = bool(jax.config.jax_enable_x64)
        X, y = data(20, 2)
        rp.glm(y, X, family="gaussian")
        found["x64 after"] = bool(jax.config.jax_enable_x64)
        found["dtype after"] = str(jax.numpy.ones(1).dtype)
        """
    )
    assert found == {"x64": False, "x64 after": False, "dtype after": "float32"}


def test_another_number_in_an_expression_compiles_nothing(run):
    found = run(
        """
        def fits(shift, factor, exponent, by=None, n=5000):
            formula = f"y ~ a*exp(b*(x - {shift})) + {factor}*x^{exponent}"
            x = np.linspace(0.0, 3.0, n if by is None else 30)
            y = 2 * np.exp(0.3 * x) + 0.01 * np.cos(9 * x)
            columns = dict(x=x, y=y) if by is None else dict(x=np.r_[x, x], y=np.r_[y, 3 * y], g=np.repeat([0, 1], 30))
            fit = rp.nls(formula, columns, start={"a": 1.0, "b": 0.3}, by=by)
            if by is None:
                fit.bse, fit.llf, fit.summary().text, fit.robust("HC3").bse, fit.conf_int(kind="profile")
        for by in (None, "g"):
            found[f"first {by}"] = compiled(lambda: fits(1.5, 2e-3, 1.25, by))
            found[f"others {by}"] = compiled(lambda: [fits(0.3 + i, 1e-3 / i, 1.1 + i / 7, by) for i in range(1, 5)])
        found["another structure"] = compiled(lambda: fits(1.5, 2e-3, 2, None))
        found["few rows"] = compiled(lambda: fits(1.5, 2e-3, 3, None, 30))
        """
    )
    assert found["first None"] > 0 and found["first g"] > 0 and found["another structure"] > 0
    assert found["others None"] == found["others g"] == found["few rows"] == 0
