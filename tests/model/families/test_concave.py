"""Concavity in η is claimed where it holds for every response, and only there."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.model import families
from raphson.model.families import links
from raphson.numeric import x64

RESPONSES = {
    "gaussian": [-3.0, 0.1, 5.0],
    "binomial": [0.0, 0.3, 1.0],
    "poisson": [0.0, 1.0, 40.0],
    "gamma": [1e-3, 1.0, 40.0],
    "inverse_gaussian": [1e-3, 1.0, 40.0],
    "negative_binomial": [0.0, 1.0, 40.0],
    "tweedie(1.5)": [0.0, 1.0, 40.0],
    "tweedie(3.5)": [1e-3, 1.0, 40.0],
}


def made(name, link):
    if name == "negative_binomial":
        return families.NegativeBinomial(theta=2.0, link=link)
    if "tweedie" in name:
        return families.Tweedie(power=np.float64(name[8:-1]), link=link)
    return dataclasses.replace(families.resolve(name), link=links.resolve(link))  # type: ignore[type-var]


def information(family, responses):
    eta = np.r_[-np.geomspace(4, 1e-2, 60), np.geomspace(1e-2, 4, 60)]
    y, at = (grid.ravel() for grid in np.meshgrid(responses, eta))
    with x64():
        rows = family.rows(jnp.asarray(y), jnp.asarray(at)[None])
        inside = np.isfinite(np.asarray(rows.value)) & np.asarray(family.inside(jnp.asarray(at)[None]))
        return np.asarray(rows.observed)[0, 0][inside]


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("link", links.LINKS)
def test_what_is_called_concave_is_nowhere_curved_upwards(name, link):
    family = made(name, link)
    if family.log_concave:
        W = information(family, RESPONSES[name])
        assert len(W) and W.min() >= -1e-9


@pytest.mark.parametrize(
    ("name", "link", "concave"),
    [
        ("binomial", "probit", True),
        ("binomial", "cloglog", True),
        ("binomial", "log", True),
        ("binomial", "cauchit", False),
        ("poisson", "identity", True),
        ("gamma", "log", True),
        ("gamma", "identity", False),
        ("gaussian", "log", False),
        ("inverse_gaussian", "inverse", True),
        ("inverse_gaussian", "log", False),
        ("inverse_gaussian", "identity", False),
        ("negative_binomial", "log", True),
        ("negative_binomial", "identity", False),
        ("tweedie(1.5)", "log", True),
        ("tweedie(1.5)", "identity", False),
        ("tweedie(3.5)", "log", False),
    ],
)
def test_usual_pairs(name, link, concave):
    family = made(name, link)
    assert family.log_concave is concave
    assert (information(family, RESPONSES[name]).min() >= -1e-9) == concave


def test_a_parameter_of_its_own_leaves_the_question_open():
    assert not families.NegativeBinomial().log_concave
    assert families.Multinomial(levels=("a", "b", "c")).log_concave
