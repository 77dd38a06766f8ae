"""What Raphson relies on of JAX's inside, held against the JAX that is installed.

Where a test here fails with a new version, the names in raphson.compat, or in the table that it tells of, are to be
brought up to date, and then the upper bound on JAX in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.extend.core.primitives as listed
import jax.numpy as jnp
import numpy as np
import pytest

from raphson import compat
from raphson.autodiff import rules, trace
from raphson.model.curve import dimensions, kinks, linearity, rounding, waves
from raphson.model.likelihood import predictors
from raphson.model.replay import powers, replay, still
from raphson.numeric import NEUTRAL, x64

PRIMITIVES = {getattr(listed, name).name for name in dir(listed) if name.endswith("_p")} | {"split"}

TABLES: dict[str, Iterable[str]] = {
    "compat.CALLS": compat.CALLS,
    "compat.CUSTOM": compat.CUSTOM,
    "rules._VALUES": rules._VALUES,
    "rules._PULLBACKS": rules._PULLBACKS,
    "linearity": linearity.LINEAR | linearity.INDEXED | linearity.PRODUCTS,
    "dimensions": [*dimensions._SAME, *dimensions._COMPARED, *dimensions._PURE, *dimensions._PASSED],
    "dimensions._POWERS": dimensions._POWERS,
    "waves": waves._WAVES | waves._PASSED,
    "kinks.PAIRS": kinks.PAIRS,
    "rounding": rounding._EXACT | rounding._LOOPS,
    "predictors": predictors._KEEPS | predictors._FIRST | predictors._PLACES | predictors._PRODUCTS,
    "still": still.ADDITIVE | still.NEVER_ZERO | still.CHOICES | still.SIGNED | set(still.POWERS),
    "still._NESTED": still._NESTED,
    "replay._CONTROLLED": replay._CONTROLLED,
    "replay._better": [name for name, (kind, _) in replay._better().items() if kind == "primitive"],
    "powers._ELEMENTARY": powers._ELEMENTARY,
}
"""Names of primitives by which the analyses of a function go."""


def traced(function: Any, *arguments: Any) -> Any:
    with x64():
        return jax.make_jaxpr(function)(*arguments)


def only(function: Any, *arguments: Any) -> Any:
    (equation,) = compat.parts_of(traced(function, *arguments)).equations
    return equation


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.skipif(jax.__version_info__ < (0, 10), reason="the tables have the newest version's names too")
def test_the_primitives_of_a_table_exist(table: str) -> None:
    assert set(TABLES[table]) - compat.EARLIER <= PRIMITIVES


def test_what_only_earlier_versions_have_is_not_there() -> None:
    if jax.__version_info__ >= (0, 10):
        assert not compat.EARLIER & PRIMITIVES


def test_a_jaxpr_opens() -> None:
    table = np.arange(3.0)
    parts = compat.parts_of(traced(lambda x: x * table + 2.0, np.ones(3)))
    ((_, constant),) = parts.constants
    assert np.array_equal(constant, table) and len(parts.inputs) == len(parts.outputs) == 1
    assert [compat.name_of(one) for one in parts.equations] == ["mul", "add"]
    assert [compat.is_literal(atom) for atom in parts.equations[1].invars] == [False, True]
    assert parts.equations[1].invars[1].val == 2.0
    assert parts.equations[0].outvars[0].aval.shape == (3,) and parts.equations[0].outvars[0].aval.dtype == np.float64


def test_the_parts_of_a_jaxpr_are_those_of_the_public_module() -> None:
    import jax.extend.core as public

    for name in ("ClosedJaxpr", "Jaxpr", "Literal", "jaxpr_as_fun"):
        assert getattr(compat._core(), name) is getattr(public, name)


def test_a_jaxpr_is_closed_and_called() -> None:
    jaxpr = traced(lambda x: jnp.sin(x), 1.0)
    assert compat.closed(jaxpr) is jaxpr and compat.is_jaxpr(jaxpr) and compat.is_jaxpr(jaxpr.jaxpr)
    with x64():
        assert float(compat.as_function(compat.closed(jaxpr.jaxpr))(0.5)[0]) == np.sin(0.5)


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, jax.custom_jvp, jax.custom_vjp])
def test_calls_hold_what_they_call(wrap: Any) -> None:
    def inner(x: Any) -> Any:
        return jnp.sin(x) + 1.0

    called = wrap(inner)
    if wrap is jax.custom_jvp:
        called.defjvps(lambda tangent, out, x: tangent)
    elif wrap is jax.custom_vjp:
        called.defvjp(lambda x: (inner(x), None), lambda kept, g: (g,))
    equation = only(called, 1.0)
    body = compat.called_by(equation)
    assert body is not None
    assert [compat.name_of(one) for one in compat.parts_of(body).equations] == ["sin", "add"]
    assert (compat.name_of(equation) in compat.CUSTOM) == (wrap in (jax.custom_jvp, jax.custom_vjp))
    if compat.name_of(equation) in compat.CUSTOM:
        assert compat.operation_name(equation) == "inner"
    if wrap is jax.jit:
        assert compat.file_of(body).startswith(__file__)
    with x64():
        assert float(compat.bind(equation.primitive, equation.params, [0.5])[0]) == np.sin(0.5) + 1.0


def test_operations_tell_their_parameters() -> None:
    def parameters(function: Any, *arguments: Any) -> set[str]:
        return set(compat.parts_of(traced(function, *arguments)).equations[-1].params)

    x = np.ones((2, 3))
    assert "y" in parameters(lambda x: x**3, x)
    assert {"new_dtype"} <= parameters(lambda x: x.astype(int), x)
    assert {"dimensions", "new_sizes"} <= parameters(lambda x: x.reshape(6), x)
    assert {"shape", "broadcast_dimensions"} <= parameters(lambda x: jax.lax.broadcast_in_dim(x, (2, 3, 4), (0, 1)), x)
    assert {"start_indices", "limit_indices", "strides"} <= parameters(lambda x: jax.lax.slice(x, (0, 0), (1, 1)), x)
    assert {"permutation"} <= parameters(lambda x: x.T, x)
    assert {"dimension"} <= parameters(lambda x: jax.lax.concatenate([x, x], 0), x)
    assert {"slice_sizes"} <= parameters(lambda x, i: jax.lax.dynamic_slice(x, (i, i), (1, 1)), x, 1)
    row, start = jax.lax.GatherDimensionNumbers((0,), (0,), (0,)), np.array([1])
    assert {"slice_sizes", "dimension_numbers"} <= parameters(lambda x, i: jax.lax.gather(x, i, row, (1, 3)), x, start)
    carry = {"jaxpr", "num_consts", "num_carry", "length", "reverse", "unroll"}
    assert carry <= parameters(lambda c, x: jax.lax.scan(lambda c, row: (c + row, c), c, x), x[0], x)
    loop = {"cond_jaxpr", "body_jaxpr", "cond_nconsts", "body_nconsts"}
    assert loop <= parameters(lambda x: jax.lax.while_loop(lambda s: s < 3.0, lambda s: s + 1.0, x), 1.0)
    assert {"branches"} <= parameters(lambda i, x: jax.lax.switch(i, [jnp.sin, jnp.cos], x), 1, 1.0)


def test_equations_know_the_users_line() -> None:
    frames = compat.frames_of(only(lambda x: jnp.sin(x), 1.0))
    mine = [frame for frame in frames if frame.file_name == __file__]
    assert mine and mine[0].line_num > 0 and mine[0].function_name
    assert trace.source_of(only(lambda x: jnp.sin(x), 1.0)).file == __file__  # type: ignore[union-attr]


def test_the_process_and_its_processor() -> None:
    jnp.zeros(1).block_until_ready()
    assert compat.backends_made()
    assert compat.processor().platform == "cpu" and compat.processor() not in jax.devices()


def test_the_options_of_the_compiler_are_known_to_it() -> None:
    lowered = jax.jit(lambda x: x + 1.0).lower(1.0)
    assert lowered.compile(compiler_options=compat.BRIEF | compat.UNOPTIMISED)(1.0) == 2.0


def test_programs_are_told_apart_by_their_text() -> None:
    def text(constants: Any) -> str:
        with x64():
            return compat.program_of(jax.jit(lambda x: x + constants).lower(np.arange(3000.0)))

    other = np.arange(3000.0)
    other[1500] = 0.5
    assert len({text(1.0), text(2.0), text(np.arange(3000.0)), text(other)}) == 4
    assert text(1.0) == text(1.0)


def test_a_jaxprs_text_tells_all_or_there_is_none() -> None:
    def text(function: Any) -> str | None:
        return compat.text_of(traced(function, np.arange(3.0)))

    told = [
        text(lambda x: x + 0.1),
        text(lambda x: x + 0.1000000000000001),
        text(lambda x: jax.scipy.special.gammaln(x)),
        text(lambda x: x + np.arange(3.0)),
        text(lambda x: x + np.arange(1.0, 4.0)),
        text(lambda x: jax.jit(jnp.sin)(x)),
        text(lambda x: jax.jit(jnp.cos)(x)),
    ]
    assert None not in told and len(set(told)) == len(told)
    assert text(lambda x: x + 0.1) == told[0]
    assert text(jax.nn.softplus) is None  # it has a derivative of its own
    assert text(lambda x: jax.pure_callback(np.sin, x, x)) is None
    assert text(lambda x: x + jax.random.normal(jax.random.key(0), (3,))) is None


def test_code_can_be_stored_and_loaded(without_jax_store: None) -> None:
    with x64():
        lowered = jax.jit(lambda x: x + 1.0).lower(np.arange(3.0))
        code = compat.loaded_code(
            compat.code_of(lowered.compile()), lowered.in_tree, lowered.out_tree, jax.devices("cpu")[0]
        )
        assert np.array_equal(code(np.arange(3.0)), [1.0, 2.0, 3.0])


def test_jaxs_own_store_is_seen(without_jax_store: None, tmp_path: Any) -> None:
    assert not compat.has_own_store()
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    assert compat.has_own_store()
    with x64():
        jax.jit(lambda x: x + 3.0).lower(np.arange(3.0)).compile()
    jax.config.update("jax_compilation_cache_dir", None)
    assert compat.has_own_store()  # JAX goes on using it


def test_traced_values_are_told_from_others() -> None:
    assert not compat.is_traced(jnp.zeros(1)) and not compat.is_traced(1.0)
    assert jax.eval_shape(lambda x: x if compat.is_traced(x) else None, 1.0) is not None


def test_settings_that_change_compiled_code_are_seen() -> None:
    before = compat.compilation_settings()
    assert all(name in jax.config.values for name in compat._SETTINGS) and len(compat.versions()) == 2
    with jax.default_matmul_precision("float32"):
        assert compat.compilation_settings() == before
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        assert compat.compilation_settings() != before
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def test_the_settings_that_are_neutralised_exist() -> None:
    assert all(hasattr(jax.config, f"jax_{name}") and hasattr(jax, name) for name in NEUTRAL)


def test_the_inside_of_jax_is_read_in_one_place() -> None:
    source = Path(compat.__file__).parent
    inside = ("jax._src", "jax.extend", "jaxlib.xla_client", ".eqns", ".get_bind_params", "source_info", "xla_cpu")
    found = [
        f"{path.relative_to(source)}: {word}"
        for path in source.rglob("*.py")
        for word in inside
        if path.name != "compat.py" and word in path.read_text(encoding="utf-8")
    ]
    assert not found
