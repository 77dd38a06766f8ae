from __future__ import annotations

import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from raphson import compiled as module
from raphson import kept
from raphson.compiled import compiled
from raphson.numeric import anchor, device, x64

X = np.linspace(-1.0, 3.0, 7)


@pytest.fixture
def place(tmp_path, monkeypatch, without_jax_store):
    """An empty folder of compiled code."""
    monkeypatch.setattr(kept, "_choice", kept._Choice())
    kept.keep(tmp_path / "compiled")
    return tmp_path / "compiled"


@pytest.fixture
def compilations(monkeypatch):
    """How often XLA was called."""
    calls = []
    actual = module._compile
    monkeypatch.setattr(module, "_compile", lambda *arguments: calls.append(1) or actual(*arguments))
    return calls


def bell():
    """A function like those that a model compiles; each call returns a new one, as in another process."""

    def function(x, scale, anchor):
        del anchor
        return jax.vmap(jax.grad(lambda t: jnp.exp(-((t / scale) ** 2)) * jax.scipy.special.gammaln(t + 9.0)))(x)

    return function


def files(place):
    return sorted(place.iterdir()) if place.exists() else []


def called(function, *arguments):
    with x64():
        return jax.tree_util.tree_map(np.asarray, function(*arguments, anchor()))


@pytest.mark.parametrize("options", [{}, {"brief": True}, {"once": True}])
def test_kept_code_gives_the_same_bits_as_new_code(place, compilations, options):
    fresh = called(compiled(bell(), **options), X, 1.5)
    again = called(compiled(bell(), **options), X, 1.5)
    assert len(compilations) == len(files(place)) == 1
    kept.keep(False)
    without = called(compiled(bell(), **options), X, 1.5)
    assert len(compilations) == 2
    assert fresh.tobytes() == again.tobytes() == without.tobytes()
    with x64():
        assert np.allclose(fresh, jax.jit(bell())(X, 1.5, 0.0), rtol=1e-13)


def test_each_shape_and_type_is_compiled_once(place, compilations):
    function = compiled(bell())
    for size in (7, 5, 7, 5):
        assert called(function, X[:size], 1.5).shape == (size,)
    assert len(compilations) == 2
    called(function, X.astype(np.float32), 1.5)
    called(function, X, np.float64(1.5))
    called(function, X, jnp.asarray(1.5))
    assert len(compilations) >= 4 and len(files(place)) == len(compilations)
    assert np.array_equal(called(function, X, 1.5), called(function, X, np.float64(1.5)))


def test_structures_are_taken_and_given_back(place):
    def function(both, anchor):
        return {"sum": both["a"] + both["b"][0], "none": None}

    given = {"a": X, "b": (2.0,)}
    for _ in range(2):
        out = called(compiled(function), given)
        assert np.array_equal(out["sum"], X + 2.0) and out["none"] is None


def test_options_programs_and_constants_have_code_of_their_own(place, compilations):
    called(compiled(bell()), X, 1.5)
    called(compiled(bell(), brief=True), X, 1.5)
    for c in (1.0, 2.0):
        assert np.array_equal(called(compiled(lambda x, anchor, c=c: x + c), X), X + c)
    assert len(compilations) == len(files(place)) == 4


@pytest.mark.parametrize("what", ["versions", "processor_features", "compilation_settings"])
def test_another_version_processor_or_setting_compiles_anew(place, compilations, monkeypatch, what):
    called(compiled(bell()), X, 1.5)
    actual = getattr(module, what)()
    other = actual + " x" if isinstance(actual, str) else (*actual, "avx1024")
    monkeypatch.setattr(module, what, lambda: other)
    called(compiled(bell()), X, 1.5)
    assert len(compilations) == len(files(place)) == 2


def test_flags_of_the_compiler_in_the_environment_have_code_of_their_own(place, compilations, monkeypatch):
    called(compiled(bell()), X, 1.5)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    called(compiled(bell()), X, 1.5)
    assert len(compilations) == len(files(place)) == 2


def test_the_processor_is_told_by_its_features():
    features = module.processor_features()
    assert len(" ".join(features)) > 20 and features == module.processor_features()


def test_damaged_code_is_compiled_anew(place, compilations):
    first = called(compiled(bell()), X, 1.5)
    (file,) = files(place)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert np.array_equal(called(compiled(bell()), X, 1.5), first)
    kept.write(file.stem, b"whole, but no code")
    assert np.array_equal(called(compiled(bell()), X, 1.5), first)
    assert len(compilations) == 3


def test_code_that_loads_and_does_not_run_is_compiled_anew(place, compilations, monkeypatch):
    first = called(compiled(bell()), X, 1.5)

    def broken(*arguments):
        raise jax.errors.JaxRuntimeError("NOT_FOUND: Function not found")

    with monkeypatch.context() as patch:
        patch.setattr(module, "loaded_code", lambda *arguments: broken)
        assert np.array_equal(called(compiled(bell()), X, 1.5), first)
    assert len(compilations) == 2


def test_what_jax_loads_from_its_own_store_is_not_stored_again(place, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "jax"))
    first = called(compiled(bell()), X, 1.5)
    assert not files(place)
    assert np.array_equal(called(compiled(bell()), X, 1.5), first)
    assert not files(place)


def test_code_that_calls_lapack_or_python_is_not_kept(place, compilations):
    M = np.array([[2.0, 1.0], [1.0, 3.0]])
    for _ in range(2):
        L = called(compiled(lambda A, anchor: jnp.linalg.cholesky(A)), M)
        assert np.allclose(L @ L.T, M)

        def asks(x, anchor):
            return jax.pure_callback(lambda t: np.asarray(t) * 2.0, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

        assert np.array_equal(called(compiled(asks), X), 2.0 * X)
    assert len(compilations) == 4 and not files(place)


def test_nothing_is_kept_when_switched_off(place, compilations):
    kept.keep(False)
    for _ in range(2):
        called(compiled(bell()), X, 1.5)
    assert len(compilations) == 2 and not files(place)


def test_a_folder_that_cannot_be_written_does_no_harm(place, compilations):
    place.write_text("a file where the folder should be")
    for _ in range(2):
        called(compiled(bell()), X, 1.5)
    assert len(compilations) == 2


def test_a_compiler_without_the_options_compiles_with_its_own(place, monkeypatch):
    monkeypatch.setattr(module, "_unknown", set())
    monkeypatch.setattr(module, "BRIEF", {"xla_of_another_time": True})
    assert called(compiled(bell(), brief=True), X, 1.5).shape == X.shape
    assert module._unknown == {"xla_of_another_time"}
    assert called(compiled(bell(), brief=True), X[:3], 1.5).shape == (3,)


def test_it_can_be_used_inside_traced_functions(place):
    inner = compiled(bell())
    with x64():
        out = jax.vmap(inner, in_axes=(None, 0, None))(X, np.array([1.0, 2.0]), 0.0)
    assert np.allclose(out[1], called(inner, X, 2.0), rtol=1e-13)


def test_errors_of_the_function_come_through(place):
    def wrong(x, anchor):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        called(compiled(wrong), X)


def test_threads_share_what_one_compiles(place, compilations):
    function = compiled(bell())
    results = []
    workers = [threading.Thread(target=lambda: results.append(called(function, X, 1.5))) for _ in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert len(compilations) == 1 and len({one.tobytes() for one in results}) == 1


@pytest.fixture
def lowerings(monkeypatch):
    """How often a function was traced and lowered."""
    calls = []
    actual = module.program_of
    monkeypatch.setattr(module, "program_of", lambda lowered: calls.append(1) or actual(lowered))
    return calls


def several(x, scale, anchor):
    del anchor
    return (x * scale, (jnp.sum(x),)), scale


@pytest.mark.parametrize("function", [bell(), several])
def test_a_function_whose_source_is_known_is_not_even_traced(place, compilations, lowerings, function):
    traced = []

    def counted(*arguments):
        traced.append(1)
        return function(*arguments)

    first = called(compiled(counted, source="one"), X, 1.5)
    again = called(compiled(counted, source="one"), X, 1.5)
    assert len(traced) == len(lowerings) == len(compilations) == 1
    assert jax.tree_util.tree_structure(first) == jax.tree_util.tree_structure(again)
    assert all(map(np.array_equal, jax.tree_util.tree_leaves(first), jax.tree_util.tree_leaves(again)))


def test_another_source_shape_option_or_version_of_raphson_is_traced(place, lowerings, monkeypatch):
    called(compiled(bell(), source="one"), X, 1.5)
    called(compiled(lambda x, scale, anchor: x, source="two"), X, 1.5)
    called(compiled(bell(), source="one"), X[:3], 1.5)
    called(compiled(bell(), brief=True, source="one"), X, 1.5)
    called(compiled(bell()), X, 1.5)
    assert len(lowerings) == 5
    monkeypatch.setattr(module, "raphsons_source", lambda: "changed")
    called(compiled(bell(), source="one"), X, 1.5)
    assert len(lowerings) == 6


def test_a_note_without_its_code_or_a_damaged_one_does_no_harm(place, lowerings):
    first = called(compiled(bell(), source="one"), X, 1.5)
    code, note = sorted(files(place), key=lambda file: -file.stat().st_size)
    code.unlink()
    assert np.array_equal(called(compiled(bell(), source="one"), X, 1.5), first)
    kept.write(note.stem, b"no note")
    assert np.array_equal(called(compiled(bell(), source="one"), X, 1.5), first)
    assert len(lowerings) == 3


def test_results_in_other_structures_are_not_noted(place, lowerings):
    for _ in range(2):
        assert list(called(compiled(lambda x, anchor: {1: x}, source="one"), X)) == [1]
        assert isinstance(called(compiled(lambda x, anchor: [x, x], source="two"), X), list)
    assert len(lowerings) == 4


def test_the_source_of_raphson_is_that_of_its_modules():
    assert "compiled.py" in module.raphsons_source() and "general.py" in module.raphsons_source()


PROCESS = """
import sys
import jax, numpy as np
import jax.monitoring
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None)
import jax.numpy as jnp, raphson as rp
x = np.linspace(0.0, 2.0, 300)
y = np.round(3.0 * np.abs(np.sin(7.0 * x)))
def loglik(params, data):
    eta = params["a"] + params["b"] * data["x"]
    return data["y"] * eta - jnp.exp(eta) - 0.01 * jnp.sqrt(1.0 + jnp.sum(jnp.square(jnp.stack([eta, eta]))))
fit = rp.mle(loglik, {"x": x, "y": y}, start={"a": 0.0, "b": 0.0})
print(fit.params.to_numpy().tobytes().hex(), fit.bse.to_numpy().tobytes().hex())
print(len(compiled), file=sys.stderr)
assert jax.config.jax_compilation_cache_dir is None and not jax.config.jax_enable_x64
"""


def test_another_process_compiles_nothing_and_finds_the_same_bits(tmp_path, monkeypatch):
    for name in ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path / "compiled"))
    runs = [subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True) for _ in range(2)]
    assert [one.returncode for one in runs] == [0, 0], runs[-1].stderr
    assert runs[0].stdout == runs[1].stdout
    assert int(runs[0].stderr.split()[-1]) > 0 and runs[1].stderr.split()[-1] == "0"


def test_it_runs_on_raphsons_device_without_being_told(place, compilations):
    def alone(x):
        return 2.0 * x

    for _ in range(2):
        with x64():
            out = compiled(alone)(X)
        assert out.devices() == {device()} and np.array_equal(out, 2.0 * X)
    assert len(compilations) == 1
