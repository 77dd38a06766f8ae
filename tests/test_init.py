from __future__ import annotations

import ast
import inspect

import raphson as rp


def test_every_name_is_the_one_that_type_checkers_see() -> None:
    # What is imported when it is first used is told to a type checker by imports of its own.
    guarded = next(
        one
        for one in ast.parse(inspect.getsource(rp)).body
        if isinstance(one, ast.If) and isinstance(one.test, ast.Name)
    )
    told: dict[str, tuple[str, str | None]] = {}
    for one in guarded.body:
        assert isinstance(one, ast.ImportFrom) and one.module is not None
        told |= {alias.name: (one.module, alias.name) for alias in one.names}
    lazy = rp._WHERE
    assert set(told) == set(lazy)
    for name, (module, attribute) in lazy.items():
        assert told[name] == ((module, name) if attribute else tuple(module.rsplit(".", 1))), name
        assert attribute in (None, name)


def test_every_public_name_is_there() -> None:
    assert set(rp._WHERE) < set(rp.__all__) and sorted(rp.__all__) == rp.__all__ == dir(rp)
    for name in rp.__all__:
        assert getattr(rp, name) is not None
