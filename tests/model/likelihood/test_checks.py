"""Mistakes that JAX passes over in silence are named with their line."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp
from raphson.errors import ModelError
from raphson.model.likelihood.checks import compares_with_text, traced_errors


def by_text(params, row):
    return jnp.where(row.group == "a", params["a"], 0.0)


def by_code(params, row):
    return jnp.where(row.group == 0, params["a"], 0.0)


def by_keyword(eta, *, group):
    return jnp.where(group == "b", eta, 0.0)


def test_a_column_is_never_equal_to_text():
    with pytest.raises(ModelError, match=r"line \d+ compares row\.group with the text 'a'"):
        compares_with_text(by_text, "loglik")
    compares_with_text(by_code, "loglik")
    with pytest.raises(ModelError, match="compares group with the text 'b'"):
        compares_with_text(by_keyword, "density", ("group",))


def test_what_has_no_source_is_let_through():
    compares_with_text(np.add, "loglik")


def test_an_index_beyond_the_end_is_named_with_its_row():
    def loglik(params, row):
        return -0.5 * (row.y - params["level"][row.g]) ** 2

    data = {"y": np.arange(6.0), "g": np.array([0, 1, 0, 1, 2, 0])}
    with pytest.raises(ModelError, match=r"index 2 is beyond the end of 'level', of shape \(2,\), in row 4"):
        rp.mle(loglik, data, start={"level": np.zeros(2)})


def test_the_way_out_is_that_of_a_likelihood():
    with pytest.raises(ModelError, match="write loglik\\(params, row\\)"), traced_errors("loglik"):
        raise ModelError("differentiate it with method='finite'")
