from __future__ import annotations

import pytest

from raphson.errors import ModelError
from raphson.model.objective import Need
from raphson.newton.methods import IDENTITY, METHODS, Method, register, resolve_method
from raphson.newton.search import backtracking, full_step, wolfe


def test_the_table():
    assert list(METHODS)[:3] == ["newton", "fisher-scoring", "irls"] and len(METHODS) >= 9
    assert all(method.name == name for name, method in METHODS.items())
    parts = {name: (m.curvature.kind, m.solver, m.search) for name, m in METHODS.items()}
    assert parts["newton"] == ("observed", "cholesky", backtracking)
    assert parts["irls"] == ("expected", "qr", backtracking)
    assert parts["bhhh"] == ("opg", "cholesky", wolfe)
    assert parts["gauss-newton"] == ("expected", "qr", full_step)
    assert parts["modified-gauss-newton"] == ("expected", "qr", backtracking)
    assert parts["levenberg-marquardt"] == ("expected", "qr", None)
    assert parts["newton-cg"][:2] == ("observed", "cg") and parts["gradient-descent"][:2] == (None, "none")


@pytest.mark.parametrize("name", ["irls", "IRLS", "Irls"])
def test_names_in_either_case(name):
    assert resolve_method(name).name == "irls"


def test_underscores():
    assert resolve_method("fisher_scoring") is METHODS["fisher-scoring"]


@pytest.mark.parametrize(("name", "nearest"), [("newtn", "newton"), ("fisher", "fisher-scoring"), ("bhh", "bhhh")])
def test_an_unknown_name_gets_the_nearest(name, nearest):
    with pytest.raises(ModelError, match=f"method: there is no method named '{name}'. Did you mean '{nearest}'"):
        resolve_method(name)


@pytest.mark.parametrize("name", ["", None, 3, "levenberg"])
def test_nonsense(name):
    with pytest.raises(ModelError, match=r"method: there is no method .*[.?] The methods are newton, fisher-scoring"):
        resolve_method(name)


def test_what_methods_ask_for():
    assert METHODS["newton"].need(False, False) == Need(("observed",))
    assert METHODS["newton"].need(True, True) == Need(("observed",), root=True)
    # The distance is measured by the observed information, asked for when the maximum is near.
    assert METHODS["fisher-scoring"].need(False, False) == Need(("expected",))
    assert METHODS["fisher-scoring"].need(False, True) == Need(("expected", "observed"))
    assert METHODS["bhhh"].need(False, True) == Need(("opg", "observed"))
    assert METHODS["gradient-descent"].need(False, False) == Need(("observed",))
    assert METHODS["newton-cg"].need(False, True) == Need(("observed",), products=True)


class Steep(type(IDENTITY)):
    kinds = ("expekted",)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"search": "wolfe"}, "search: expected rp.methods.backtracking, wolfe, full_step or a function"),
        ({"search": lambda here: here}, "search: expected rp.methods.backtracking"),
        ({"max_iter": -1}, "max_iter: expected a whole number, 1 or more; got -1"),
        ({"curvature": Steep()}, "kinds: expected one of expected, observed, opg; got 'expekted'"),
    ],
)
def test_what_is_wrong_with_a_method_is_told_when_it_is_registered(parts, says):
    with pytest.raises(ModelError, match=says):
        register(Method("steep", **{"curvature": IDENTITY} | parts))


def test_a_method_is_asked_for_by_its_name():
    with pytest.raises(ModelError, match=r"register it with rp.methods.register.*method='steep'"):
        resolve_method(Method("steep", IDENTITY))
