from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.fit import simulating
from raphson.fit.reporting import page

RNG = np.random.default_rng(0)
DATA = pd.DataFrame({"x": RNG.normal(size=150), "g": RNG.choice(list("abc"), 150)})
DATA = DATA.assign(
    y=RNG.poisson(np.exp(0.5 * DATA.x + 1)), z=DATA.x + RNG.normal(size=150), s=(DATA.x > 0).astype(int),
    m=RNG.choice(list("uvw"), 150),
)  # fmt: skip
HOSTILE = {"x": "<b>&\"x'$_{\\alpha}$", "g": "日本語 $ %"}


def _fits() -> dict[str, rp.Fit]:
    births = rp.datasets.load("births")
    wide = pd.DataFrame(RNG.normal(size=(300, 60)), columns=[f"v{i}" for i in range(60)]).assign(y=RNG.normal(size=300))
    hostile = DATA.rename(columns=HOSTILE)
    return {
        "binary": rp.glm("low ~ age + lwt + race + smoke", births, family="binomial"),
        "counts": rp.glm("y ~ x + g", DATA, family="poisson"),
        "gaussian": rp.glm("z ~ x * g", DATA),
        "levels": rp.glm("m ~ x", DATA, family="multinomial"),
        "curve": rp.nls("z ~ a + b*x", DATA, start={"a": 0, "b": 1}),
        "likelihood": rp.mle("zero_inflated_poisson", "y ~ x", DATA),
        "network": rp.network("z ~ x", DATA, hidden=(4,), epochs=5, validation=0.25),
        "diverged": rp.network("z ~ x", DATA, hidden=(4,), epochs=2, learning_rate=1e6, validation=0.25),
        "separated": rp.glm("s ~ x", DATA, family="binomial"),
        "stopped": rp.glm("y ~ x", DATA, family="poisson", max_iter=1),
        "aliased": rp.glm("z ~ x + I(2*x)", DATA),
        "arrays": rp.glm(DATA.z.to_numpy(), np.column_stack([np.ones(150), DATA.x])),
        "few": rp.glm("z ~ 1", DATA.iloc[:3]),
        "wide": rp.glm("y ~ " + " + ".join(wide.columns[:-1]), wide),
        "hostile": rp.glm("z ~ `" + "` + `".join(HOSTILE.values()) + "`", hostile),
        "one row": rp.glm("z ~ 1", DATA.iloc[:1]),
        "as many rows": rp.glm("z ~ x", DATA.iloc[:2]),
        "no residual": rp.glm("z ~ x", DATA.assign(z=2 * DATA.x + 1)),
        "weights of 0": rp.glm("z ~ x + g", DATA, weights=(np.arange(150) % 3 > 0).astype(float)),
        "times": rp.mle("weibull", f"`{HOSTILE['x']}` ~ g", DATA.assign(event=1, **{HOSTILE["x"]: np.exp(DATA.z)})),
    }


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(simulating, "MOST", simulating.LEAST)  # as few simulated data sets as there may be
        return {name: page(fit) for name, fit in _fits().items()}


def test_every_kind_of_fit_has_a_page_of_its_own(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        assert text.startswith("<!doctype html>") and text.count("<h1>") == 1, name
        assert not re.search(r"<script|https?://|@import|\ssrc=|javascript:", text), name
        assert all(target.startswith("#") for target in re.findall(r'href=["\']([^"\']*)["\']', text)), name
        ids = re.findall(r"\sid=[\"']([^\"']+)[\"']", text)
        assert len(ids) == len(set(ids)), name
        assert set(re.findall(r"href=[\"']#([^\"']+)", text)) <= set(ids), name
        assert "NaN" not in text and ">nan" not in text, name
        # The palette's colours are in the style sheet alone: a picture follows the theme.
        assert "#1f5f8b" not in text.split("</style>", 1)[1], name


def test_headlines_follow_the_rule(pages: dict[str, str]) -> None:
    def headline(name: str) -> str:
        return re.sub("<.*?>", "", re.search("<h1>(.*?)</h1>", pages[name])[1])

    assert headline("binary") == (
        "The odds of low are 2.9 times as high with smoke (1.4 to 6.2), differ by race and fall with lwt; age shows no "
        "clear effect."
    )
    assert headline("stopped") == "Do not use these numbers: the iteration did not reach a maximum."
    assert headline("diverged") == "Do not use these numbers: the loss of the training diverged."
    assert headline("as many rows") == "What moves the mean z cannot be told: there is no test of x."
    assert headline("aliased").endswith("there is no test of I(2 * x).")
    assert "follows z to within" in headline("curve") and "A network of 13 weights" in headline("network")
    # What each figure of the clearest coefficient is, comes with it; a constant is not one.
    assert re.search(r"; (none is|the clearest is log_\w+:x at −?[\d.]+ \(−?[\d.]+ to)", headline("likelihood"))
    assert "the clearest" not in headline("times") or ":g[T." in headline("times")


def test_failures_are_told_in_the_verdict(pages: dict[str, str]) -> None:
    assert "Do not use these numbers." in pages["stopped"] and "max_iter" in pages["stopped"]
    assert "Do not use these numbers." in pages["diverged"] and "Lower learning_rate=" in pages["diverged"]
    assert "saturated: as many coefficients as rows" in pages["as many rows"]
    assert "There are no more rows than coefficients" in pages["as many rows"]
    assert "Converged to a limit" in pages["separated"] and "bias=&#x27;firth&#x27;" in pages["separated"]
    assert "not estimated" in pages["aliased"]
    assert "No coefficients to read." in pages["network"]


def test_the_call_is_that_of_the_door(pages: dict[str, str]) -> None:
    calls = {name: re.search("<pre>(.*?)</pre>", text, re.DOTALL)[1].split("(")[0] for name, text in pages.items()}
    assert (calls["binary"], calls["curve"], calls["likelihood"], calls["network"]) == (
        "rp.glm", "rp.nls", "rp.mle", "rp.network",
    )  # fmt: skip


def test_names_are_escaped(pages: dict[str, str]) -> None:
    assert "<b>&amp;" not in pages["hostile"] and '<b>&"' not in pages["hostile"]
    assert "&lt;b&gt;" in pages["hostile"] and "日本語 $ %" in pages["hostile"]


@pytest.mark.filterwarnings("ignore")
def test_the_same_fit_gives_the_same_page() -> None:
    births = rp.datasets.load("births")
    fits = [rp.glm("low ~ lwt + smoke", births, family="binomial") for _ in range(2)]
    assert page(fits[0]) == page(fits[1])


def test_pages_are_small(pages: dict[str, str]) -> None:
    assert max(map(len, pages.values())) < 500_000


def test_a_loaded_fit_has_a_page_without_checks(tmp_path) -> None:
    births = rp.datasets.load("births")
    rp.glm("low ~ lwt", births, family="binomial").save(tmp_path / "fit.json")
    text = page(rp.load(tmp_path / "fit.json"))
    assert "There is no check by simulated data" in text and "<h1>" in text


@pytest.mark.parametrize("formula", ["lwt ~ smoke + (1 | race)", "low ~ s(lwt)", "low ~ smoke + s(lwt)"])
def test_a_fit_whose_coefficients_vary_has_a_page_with_checks(formula) -> None:
    fit = rp.glm(formula, rp.datasets.load("births"), family="binomial" if formula.startswith("low") else "gaussian")
    text = page(fit, 0.95)
    assert "no check by simulated data" not in text and "data sets simulated from this fit" in text
    for draw in (fit.plot, fit.plot_residuals):
        assert draw().has_data()
