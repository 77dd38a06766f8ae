"""What ``rp.table`` takes and refuses."""

from __future__ import annotations

import pytest

import raphson as rp
from raphson.errors import ModelError


@pytest.fixture(scope="module")
def births():
    return rp.datasets.load("births")


@pytest.fixture(scope="module")
def fit(births):
    return rp.glm("low ~ lwt", births, family="binomial")


def test_columns_are_numbered_or_named(fit):
    assert rp.table(fit, fit).grids[0].head == ("", "(1)", "(2)")
    assert rp.table(fit, names=["only"]).grids[0].head == ("", "only")


def test_every_kind_of_fit_with_coefficients(births, fit):
    curve = rp.nls("lwt ~ a*exp(b*age)", births)
    own = rp.mle("tobit", {"mean": "lwt ~ age", "sigma": "~ 1"}, births)
    several = rp.glm("ftv ~ age", births, family="multinomial")
    text = str(rp.table(fit, curve, own, several))
    assert "2+:age" in text and "\na " in text and "log_sigma" in text
    assert "&" in rp.table(fit, curve).to_latex() and "|" in rp.table(fit, curve).to_markdown()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fit: rp.table(), "table: expected one or more fits"),
        (
            lambda fit: rp.table(fit, [fit]),
            r"table: expected each fit as an argument; got a list\. Write table\(\*fits\)",
        ),
        (lambda fit: rp.table(fit, "low"), "table: expected fits, such as rp.glm returns; got str"),
        (lambda fit: rp.table(rp.glm("low ~ lwt", rp.datasets.load("births"), by="race")), "got LinearFits; its tidy"),
        (lambda fit: rp.table(fit, names=["a", "b"]), "names: expected a list of 1 texts"),
        (lambda fit: rp.table(fit, names="a"), "names: expected a list of 1 texts"),
        (lambda fit: rp.table(fit, show="stars"), "show: expected one of"),
        (lambda fit: rp.table(fit, level=95), "level"),
    ],
)
def test_what_is_refused_says_why(fit, call, message):
    with pytest.raises(ModelError, match=message):
        call(fit)


def test_a_network_has_no_coefficients(births):
    network = rp.network("low ~ lwt", births, hidden=(2,), family="binomial", epochs=1, seed=0)
    with pytest.raises(ModelError, match="expected fits with coefficients; got a network"):
        rp.table(network)
