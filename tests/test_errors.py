from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp
from raphson.errors import ModelError, check_choice, one_line, visible, warn_user

RNG = np.random.default_rng(0)
X = RNG.normal(size=40)
ROWS = {
    "x": X,
    "y": X + RNG.normal(size=40),
    "share": RNG.uniform(0.1, 0.9, 40),
    "count": RNG.poisson(2.0, 40) + 0.5,
    "same": np.ones(40),
    "apart": (X > 0).astype(float),
    "gap": np.where(X > 1, np.nan, X),
    "twice": 2 * X,
    "g": np.repeat(["a", "b"], 20),
}


SINGLE = jnp.ones(2, dtype="float32")

WARNS = {
    "proportions": lambda: rp.glm("share ~ x", ROWS, family="binomial"),
    "fractions of counts": lambda: rp.glm("count ~ x", ROWS, family="poisson"),
    "one value": lambda: rp.glm("same ~ x", ROWS),
    "separation": lambda: rp.glm("apart ~ x", ROWS, family="binomial"),
    "missing": lambda: rp.glm("y ~ gap", ROWS),
    "missing in arrays": lambda: rp.glm(ROWS["y"], ROWS["gap"][:, None]),
    "aliased": lambda: rp.glm("y ~ x + twice", ROWS),
    "steps": lambda: rp.glm("count ~ x", ROWS, family="quasipoisson", max_iter=0),
    "curve": lambda: rp.nls("y ~ a*exp(-b*x)", ROWS, start={"a": 1.0, "b": 1.0}, max_iter=1),
    "curves": lambda: rp.nls("y ~ a*exp(-b*x)", ROWS, start={"a": 1.0, "b": 1.0}, by="g", max_iter=1),
    "network": lambda: rp.network("y ~ x", ROWS, hidden=(3, 4), residual="additive", epochs=1, progress=False),
    "single precision": lambda: rp.autodiff.decompose(lambda t: (t * SINGLE).sum())(1.0),
}


@pytest.mark.parametrize("name", WARNS)
def test_a_warning_names_the_line_of_the_user(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        WARNS[name]()
    assert caught
    assert {warning.filename for warning in caught} == {__file__}


def test_a_choice_is_text():
    check_choice("kind", "a", ("a", "b"))
    for other in ("c", None, np.array(["a"]), ["a"], 0):
        with pytest.raises(ModelError, match="kind: expected one of a, b; got"):
            check_choice("kind", other, ("a", "b"))


def test_a_value_in_a_message_is_one_short_line():
    assert one_line(np.eye(3)).count("\n") == 0 and len(one_line("x" * 1000)) == 80


@pytest.mark.parametrize("file", ["<stdin>", "<string>", "<ipython-input-3-0123456789ab>", "/tmp/ipykernel_7/12.py"])
@pytest.mark.parametrize("name", ["__main__", "raphson_of_mine", None])
def test_code_without_a_file_is_the_users_too(file, name):
    source = (
        "def curve(x):\n"
        "    return jnp.exp(x) + 1\n"
        "steps = rp.autodiff.decompose(curve)(0.5)\n"
        "rp.glm('y ~ x + twice', rows)\n"
    )
    scope = {"jnp": jnp, "rp": rp, "rows": ROWS}
    if name is not None:
        scope["__name__"] = name
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(source, file, "exec"), scope)
    assert {(warning.filename, warning.lineno) for warning in caught} == {(file, 4)}
    assert {(step.source.file, step.source.line) for step in scope["steps"].steps} == {(file, 2)}


def test_control_characters_are_written_as_escapes():
    steering = "a\x1b[2Jb\x07\x9b\u202e\ud800"
    shown = r"a\x1b[2Jb\x07\x9b\u202e\ud800"
    assert visible(steering) == shown and visible("Größe µ 🙂 \\n") == "Größe µ 🙂 \\n"
    assert str(ModelError(f"{steering}\n")) == f"{shown}\n"
    with pytest.warns(UserWarning) as said:
        warn_user(steering)
    assert str(said[0].message) == shown
    columns = {"y": [1.0, 2.0, 4.0, 3.0], "a\x1b[2J": [0.0, 1.0, 2.0, 2.0]}
    columns["b\x1b[2J"] = columns["a\x1b[2J"]
    with pytest.warns(rp.RankWarning) as said:
        fit = rp.glm("y ~ .", columns)
    for text in (str(said[0].message), fit.message, str(fit.summary())):
        assert "\x1b" not in text and r"b\x1b[2J" in text
