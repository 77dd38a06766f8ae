from __future__ import annotations

from typing import Any

import pytest

import raphson as rp
from raphson.errors import ModelError
from raphson.model.families.checks import check_moments
from raphson.model.families.structure import structured


def changed(parent: Any, **members: Any) -> Any:
    return structured(type("Own", (parent,), {"__annotations__": {}, **members}))


@pytest.mark.parametrize("parent", [rp.families.Gaussian, rp.families.Poisson, rp.families.Gamma])
def test_ours_follow_from_their_densities(parent: Any) -> None:
    check_moments(parent)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        (
            {"expected": lambda self, eta: 2.0 * rp.families.Gamma.expected(self, eta)},
            "Own.expected is not that of its",
        ),
        ({"variance": lambda self, mean: mean}, r"Own.variance .*the mean of \(y - mean\)\*\*2 is 0.09; got 0.3"),
        ({"mean": lambda self, eta: 2.0 * self.link.mean(eta[0])[None]}, "Own.mean is not that of its density"),
    ],
    ids=["information", "variance", "mean"],
)
def test_what_does_not_follow_from_the_density_is_told(members: dict[str, Any], says: str) -> None:
    rows = {"rows": rp.families.Family.rows, "own_rows": None}
    with pytest.raises(ModelError, match=says):
        check_moments(changed(rp.families.Gamma, **rows, **members))


def test_a_support_that_nothing_knows_is_refused() -> None:
    with pytest.raises(ModelError, match="support: expected one of real, count, proportion, nonnegative or None; got"):
        rp.families.register(type("Own", (rp.families.Gamma,), {"name": "own", "support": "positive"}))


def test_a_density_with_a_mass_at_a_point_is_taken_as_it_is() -> None:
    check_moments(rp.families.Tweedie)
