"""The reference has every public name, each with an example; every function of formulas; every status."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

import raphson as rp
from raphson.choices import LinkName
from raphson.data.functions import FUNCTIONS
from raphson.data.varying.bases import MADE
from raphson.fit.many import Fits

DOCS = Path(__file__).parents[2] / "docs"
LISTED = set(re.findall(r"^   ([A-Za-z][\w.]*)$", (DOCS / "reference" / "index.md").read_text(encoding="utf-8"), re.M))
ROOMS = ("families", "methods", "autodiff", "sklearn", "datasets", "densities", "execute")
NOT_LISTED = {
    # What those who write a family or a method meet; the page "Add your own" has them.
    *(f"families.{name}" for name in ("FAMILIES", "Observations", "Rows", "from_dict", "links")),
    *(f"methods.{name}" for name in ("METHODS", "IDENTITY", "EXPECTED", "OBSERVED", "OUTER_PRODUCT", "Accepted")),
    *(f"methods.{name}" for name in ("Evaluation", "backtracking", "full_step", "wolfe")),
    "densities.DENSITIES",
}

ASKED_BY_OTHER_ROOMS = {"lacking", "glanced", "in_library_of", "loaded", "open_groups"}
"""Names of fits that reports, the command line and saving read."""


def public() -> set[str]:
    rooms = {name for name in rp.__all__ if inspect.ismodule(getattr(rp, name))}
    assert rooms == set(ROOMS)
    found = set(rp.__all__) - rooms
    for room in ROOMS:
        names = getattr(getattr(rp, room), "__all__", None)
        if names is not None:
            found |= {f"{room}.{name}" for name in names}
    return found


def resolved(name: str) -> object:
    here: object = rp
    for part in name.split("."):
        here = getattr(here, part) if hasattr(here, part) else __import__(f"{here.__name__}.{part}", fromlist=[part])
    return here


def test_every_public_name_is_listed() -> None:
    assert public() - LISTED - NOT_LISTED == set()


@pytest.mark.parametrize("name", sorted(LISTED))
def test_every_listed_name_has_a_docstring_with_an_example(name: str) -> None:
    there = resolved(name)
    text = inspect.getdoc(there) or ""
    assert text, name
    if not (inspect.isclass(there) and issubclass(there, Exception | Warning)):
        assert ">>> " in text, f"{name} has no example"


def test_every_function_of_formulas_is_listed() -> None:
    page = (DOCS / "reference" / "formulas.md").read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if not re.search(rf"`{re.escape(name)}\b", page)] == []


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_status_method_density_link_family_and_basis_is_listed() -> None:
    formulas, mixed = page("reference/formulas.md"), page("mixed.md")
    assert [one.value for one in rp.Status if f'| "{one.value}" |' not in page("trust.md")] == []
    assert [one for one in rp.methods.METHODS if f"`{one}`" not in page("methods.md")] == []
    assert [one for one in rp.densities.DENSITIES if f"`{one}`" not in page("likelihoods.md")] == []
    assert [one for one in (*get_args(LinkName), *rp.families.FAMILIES) if f"`{one}`" not in formulas] == []
    assert [one for one in MADE if f'"{one}"' not in mixed] == []


@pytest.mark.parametrize("kind", [rp.Fit, Fits])
def test_every_name_of_a_fit_has_an_example(kind: type) -> None:
    shown = page("reference/fit.md")
    names = {one for one in dir(kind) if not one.startswith("_")} - ASKED_BY_OTHER_ROOMS
    assert sorted(one for one in names if not re.search(rf"\b\w+\.{one}\b", shown)) == []
