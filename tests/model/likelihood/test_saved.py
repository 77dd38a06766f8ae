"""A saved likelihood comes back by its names, and says so where its function would be needed."""

from __future__ import annotations

import pytest

from raphson.data.columns import RowSchema
from raphson.errors import ModelError
from raphson.model.likelihood.saved import family_from_dict, is_likelihood, schema_from_dict

SAVED = {"name": "likelihood", "title": "mine", "density": None, "labels": ["mu", "log_sigma"]}
ROWS = RowSchema(("y",))


def test_the_users_function_is_not_in_the_file():
    assert is_likelihood(SAVED) and not is_likelihood("poisson") and not is_likelihood({"name": "binomial"})
    family = family_from_dict(SAVED, ROWS)
    assert family.labels == ("mu", "log_sigma")
    with pytest.raises(ModelError, match="does not hold the user's function"):
        family.function(None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": "nothing"}, "there is no density named 'nothing'.* before rp.load"),
        ({"labels": [1]}, "expected a list of texts"),
    ],
)
def test_what_is_no_saved_likelihood(change, message):
    with pytest.raises(ModelError, match=message):
        family_from_dict({**SAVED, **change}, ROWS)


def test_rows_have_their_schema():
    assert schema_from_dict({"kind": "rows", "names": ["y"]}) == ROWS
