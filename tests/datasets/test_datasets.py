from __future__ import annotations

import pytest

from raphson import datasets
from raphson.errors import DataError


def test_births_are_those_of_the_book() -> None:
    # Hosmer and Lemeshow (1989), section 1.6.2: 59 of 189 babies weighed less than 2.5 kg.
    births = datasets.load("births")
    assert len(births) == 189
    assert births["low"].sum() == 59
    assert births["race"].value_counts().to_dict() == {"white": 96, "other": 67, "black": 26}
    assert not births.isna().any().any()


@pytest.mark.parametrize("name", ["deaths", "../errors", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="births"):
        datasets.path(name)
