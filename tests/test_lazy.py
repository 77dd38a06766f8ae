"""Modules that are imported when something of them is first asked for."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import raphson
from raphson.lazy import Lazy

SOURCE = Path(raphson.__file__).parent
PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_a_module_is_imported_when_something_of_it_is_asked_for():
    code = """
import sys
from raphson.lazy import Lazy
colours = Lazy("colorsys")
assert "colorsys" not in sys.modules
assert colours.rgb_to_hsv(1.0, 1.0, 1.0) == (0.0, 0.0, 1.0) and "colorsys" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_a_name_that_the_module_lacks_is_an_attribute_error():
    assert not hasattr(Lazy("colorsys"), "no_such_colour")


def lazily_imported(file: Path) -> list[str]:
    """The modules of Raphson that a module imports lazily, by the calls of Lazy."""
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return [
        one.args[0].value
        for one in calls
        if isinstance(one.func, ast.Name) and one.func.id == "Lazy" and isinstance(one.args[0], ast.Constant)
    ]


LAZY = [
    (".".join(["raphson", *file.relative_to(SOURCE).with_suffix("").parts]), name)
    for file in sorted(SOURCE.rglob("*.py"))
    for name in lazily_imported(file)
    if name.startswith("raphson.")
]


@pytest.mark.parametrize(("importer", "imported"), LAZY)
def test_a_module_is_lazily_imported_only_from_a_floor_below(importer: str, imported: str) -> None:
    # import-linter does not see these imports.
    contracts = tomllib.loads(PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        if contract["type"] != "layers":
            continue
        (container,) = contract["containers"]
        rooms = [name.removeprefix(container + ".").split(".")[0] for name in (importer, imported)]
        floors = {room: at for at, layer in enumerate(contract["layers"]) for room in layer.split(" | ")}
        if importer.startswith(container + ".") and imported.startswith(container + ".") and rooms[0] != rooms[1]:
            assert floors[rooms[0]] < floors[rooms[1]]


def test_what_looks_at_a_lazy_module_does_not_load_it() -> None:
    # doctest looks for __wrapped__ in what it finds; a module that is loaded meanwhile changes what it walks over.
    colours = Lazy("colorsys")
    assert not hasattr(colours, "__wrapped__") and colours._module is None
    assert colours.__name__ == "colorsys"  # other names of Python's own are the module's


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301
def test_a_lazy_module_is_copied_and_pickled_by_its_name(copied) -> None:
    colours = Lazy("colorsys")
    for _ in range(2):  # before it is loaded, and after
        assert copied(colours).rgb_to_hsv(1.0, 1.0, 1.0) == colours.rgb_to_hsv(1.0, 1.0, 1.0)
