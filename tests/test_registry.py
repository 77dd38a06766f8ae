from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp
from raphson.data.sources import SOURCES
from raphson.errors import ModelError
from raphson.model.families import FAMILIES
from raphson.model.families.links import LINKS, Log
from raphson.model.likelihood.densities import DENSITIES, DensitySpec
from raphson.registry import NotRegisteredError, Registry


def refuse_numbers(part: Any) -> None:
    if isinstance(part, int):
        raise ModelError("tool: expected no number")


@pytest.fixture
def tools() -> Registry[Any]:
    made: Registry[Any] = Registry("tool", "tool", "tools", "register(tool)", refuse_numbers, {"axe": "hatchet"})
    made.add_builtin("hatchet", "H")
    return made


def test_names_are_found_however_they_are_spelt(tools: Registry[Any]) -> None:
    assert tools.register("Fret_Saw", "F") == "F"
    assert tools.find("fret-saw") == tools.find("fret saw") == tools["Fret_Saw"] == "F"
    assert tools.find("AXE") == "H" and list(tools) == ["hatchet", "Fret_Saw"]
    assert tools.is_builtin("hatchet") and not tools.is_builtin("Fret_Saw")


def test_a_part_may_be_registered_again_but_not_over_raphsons_own(tools: Registry[Any]) -> None:
    tools.register("saw", "one")
    assert tools.register("saw", "other") == tools["saw"] == "other"
    for name in ("hatchet", "axe"):
        with pytest.raises(ModelError, match=f"'{name}' is a tool that comes with Raphson"):
            tools.register(name, "mine")


@pytest.mark.parametrize("name", [None, "", "a b", "2x", 3])
def test_a_name_is_a_word(tools: Registry[Any], name: Any) -> None:
    with pytest.raises(ModelError, match=r"register.tool.: expected a name of letters"):
        tools.register(name, "mine")


def test_what_is_wrong_with_a_part_is_said_and_it_is_not_there(tools: Registry[Any]) -> None:
    with pytest.raises(ModelError, match="expected no number"):
        tools.register("saw", 3)
    assert "saw" not in tools


def test_an_unknown_name_is_told_which_there_are(tools: Registry[Any]) -> None:
    tools.register("saw", "S")
    with pytest.raises(NotRegisteredError, match=r"named 'sew'. Did you mean 'saw'\? The tools are hatchet, saw\."):
        tools.find("sew")
    with pytest.raises(NotRegisteredError, match=r"register it with register\(tool\) before rp.load"):
        tools.saved("plane")


@pytest.fixture
def forgotten() -> Any:
    """Whatever a test registers is gone after it."""
    before = [(registry, dict(registry._parts)) for registry in (FAMILIES, LINKS, DENSITIES)]
    yield
    for registry, parts in before:
        registry._parts = parts


def half_normal() -> type:
    class HalfNormal(rp.families.PositiveMean):
        name = "half_normal"
        default_link = "log"

        def log_density(self, y: Any, eta: Any) -> Any:
            return -(y**2) * self.link.reciprocal(eta[0]) ** 2 / jnp.pi - self.link.log_mean(eta[0])

        def expected(self, eta: Any) -> Any:
            return 2.0 * (self.log_mean_slope(eta)[1] ** 2)[None, None]

        def variance(self, mean: Any) -> Any:
            return mean**2 * (np.pi / 2 - 1)

        def unit_deviance(self, y: Any, mean: Any, value: Any) -> Any:
            return 2.0 * (y**2 / mean**2 / np.pi - 0.5 - np.log(y / mean) - 0.5 * np.log(2 / np.pi))

        def log_base(self, y: Any, weight: Any, size: Any, dispersion: float) -> Any:
            return np.full_like(y, np.log(2 / np.pi))

    return HalfNormal


def test_a_family_that_is_registered_is_as_good_as_any(forgotten: Any, tmp_path: Any) -> None:
    data = {"y": np.abs(np.random.default_rng(3).normal(size=60)), "x": np.arange(60.0)}
    kind = rp.families.register(half_normal())
    fit = rp.glm("y ~ x", data, family="half-normal")
    assert fit.converged and fit.family == kind()
    fit.save(tmp_path / "fit.json")
    assert rp.load(tmp_path / "fit.json").family == kind()
    with pytest.raises(ModelError, match=r"The families are .*half_normal"):
        rp.glm("y ~ x", data, family="halfnormal2")
    del FAMILIES._parts["half_normal"]
    with pytest.raises(NotRegisteredError, match=r"fit.json: .*'half_normal'.*rp.families.register before rp.load"):
        rp.load(tmp_path / "fit.json")


def test_a_family_with_a_field_says_so(forgotten: Any) -> None:
    class Bent(half_normal()):  # type: ignore[misc]
        name = "bent"
        shape: float

    kind: Any = rp.families.register(Bent)
    with pytest.raises(ModelError, match=r'the bent family needs its shape, as in "bent\(1.5\)" or Bent\(shape=1.5\)'):
        rp.families.resolve("bent")
    for wrong, says in (
        (lambda: kind(), "Bent: missing a required argument: 'shape'"),
        (lambda: kind(shpae=2), "Bent: there is no argument 'shpae'. Did you mean 'shape'"),
    ):
        with pytest.raises(ModelError, match=says):
            wrong()


def test_parameters_follow_the_name(forgotten: Any) -> None:
    class Scaled(half_normal()):  # type: ignore[misc]
        name = "scaled"
        factor: float = 1.0

    kind: Any = rp.families.register(Scaled)
    for given in ("scaled(2)", "scaled(factor=2.0)"):
        assert rp.families.resolve(given) == kind(factor=2.0)
    with pytest.raises(ModelError, match=r"the scaled family has no parameter power"):
        rp.families.resolve("scaled(power=2)")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"log_density": rp.families.Family.log_density}, "HalfNormal lacks the method log_density"),
        ({"default_link": None}, "HalfNormal lacks its default_link"),
        ({"default_link": "lgo"}, "no link named 'lgo'"),
        ({"name": "poisson"}, "'poisson' is a family that comes with Raphson"),
        ({"name": "nb"}, "'nb' is a family that comes with Raphson"),
    ],
)
def test_what_a_family_lacks(forgotten: Any, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        rp.families.register(type("HalfNormal", (half_normal(),), change))


def test_a_link_is_held_to_its_inverse(forgotten: Any) -> None:
    mean = {"mean": lambda self, eta: jnp.exp(eta) + 1.0}
    with pytest.raises(
        ModelError, match=r"expected Off.mean to be the inverse of .link; the mean 0.6 comes back as 1.6"
    ):
        rp.families.links.register(type("Off", (Log,), {"name": "off", **mean}))
    with pytest.raises(ModelError, match="Bare lacks mean, link, second_derivative, limits, interval"):
        rp.families.links.register(type("Bare", (rp.families.Link,), {"name": "bare"}))
    for what, wrong in (("second_derivative", np.zeros_like), ("log_mean", lambda eta: 2.0 * eta)):
        kind = type("Off", (Log,), {"name": "off", what: lambda self, eta, wrong=wrong: wrong(eta)})
        with pytest.raises(ModelError, match=rf"Off.{what} does not follow from its mean: at eta = -0.51\d* expected"):
            rp.families.links.register(kind)
    rp.families.links.register(type("Fine", (Log,), {"name": "fine"}))
    assert rp.families.Poisson(link="fine").link.name == "fine"


def gumbel(y: Any, location: Any, log_scale: Any) -> Any:
    z = (y - location) * jnp.exp(-log_scale)
    return -z - jnp.exp(-z) - log_scale


def test_a_density_that_is_registered_is_as_good_as_any(forgotten: Any, tmp_path: Any) -> None:
    spec = rp.densities.register(DensitySpec("gumbel", gumbel))
    assert spec.parameters == ("location", "log_scale") and spec.columns == ()
    data = {"y": np.random.default_rng(0).gumbel(3.0, 2.0, 200), "x": np.arange(200.0)}
    fit = rp.mle("gumbel", "y ~ x", data)
    same = rp.mle(gumbel, {"location": "y ~ x", "log_scale": "~ 1"}, data)
    assert fit.params.to_list() == pytest.approx(same.params.to_list(), rel=1e-8)
    fit.save(tmp_path / "fit.json")
    assert rp.load(tmp_path / "fit.json").params.to_list() == fit.params.to_list()
    with pytest.raises(NotRegisteredError, match=r"The densities are .*gumbel"):
        rp.mle("gumbell2", "y ~ x", data)
    del DENSITIES._parts["gumbel"]
    with pytest.raises(NotRegisteredError, match=r"fit.json: .*'gumbel'.*rp.densities.register before rp.load"):
        rp.load(tmp_path / "fit.json")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"parameters": ("location",)},
            r"mine takes \(y, location, log_scale\), which does not match its parameters",
        ),
        ({"support": "nowhere"}, "expected support real, count"),
        ({"start": lambda y, columns: [1.0]}, r"expected start to return 2 finite numbers; got \[1.0\]"),
        ({"function": lambda y, mu: y.nothing}, "mine failed at y = -1 with AttributeError"),
        ({"function": lambda y, mu: jnp.stack([mu, mu])}, r"one number for a row; got shape \(2,\)"),
        ({"function": lambda y, mu: jnp.log(y)}, "finite in its support 'real'"),
    ],
)
def test_what_is_no_density_is_not_registered(forgotten: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        rp.densities.register(DensitySpec(**({"name": "mine", "function": gumbel} | given)))


def test_a_part_that_is_added_later_is_found_when_it_is_asked_for(tools: Registry[Any]) -> None:
    asked: list[str] = []
    tools.add_later("plane", lambda: asked.append("plane") or 5.0)
    assert "plane" in tools and list(tools)[-1] == "plane" and tools.is_builtin("plane") and not asked
    assert tools.find("Plane") == 5.0 and asked


@pytest.mark.parametrize("registry", [SOURCES, FAMILIES])
def test_parts_that_are_found_later_have_the_names_that_they_are_registered_by(registry: Registry[Any]) -> None:
    assert {name: part.name for name, part in registry.items()} == {name: name for name in registry}
