"""What a page tells of coefficients that vary: sentences by rule, scales as whiskers, pictures, and hostile names."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.report import varying_page
from raphson.report.headline import effects_headline
from raphson.report.html import _call


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.uniform(0, 10, 250), "z": rng.normal(size=250), "herd": rng.integers(0, 12, 250)})
    frame["f"] = rng.choice(["a", "b"], 250)
    own = rng.normal(0, 0.5, 12)[frame.herd]
    frame["n"] = rng.poisson(np.exp(0.5 + 0.6 * np.sin(frame.x) + own))
    frame["y"] = np.sin(frame.x) + 0.4 * frame.z + own + rng.normal(0, 0.3, 250)
    return frame


@pytest.fixture(autouse=True)
def _without_checks(monkeypatch):
    def check(*given, **options):
        raise rp.ModelError("check: new fits to simulated data have tests of their own")

    monkeypatch.setattr("raphson.fit.reporting.check", check)


def page(fit, tmp_path):
    fit.report(tmp_path / "page.html")
    return (tmp_path / "page.html").read_text()


def text_of(html, tag):
    return re.sub("<.*?>", "", re.search(f"<{tag}[^>]*>(.*?)</{tag}>", html, re.DOTALL)[1])


def test_a_smooth_is_told_as_a_curve_in_the_headline(data, tmp_path):
    html = page(rp.glm("n ~ z + s(x) + (1 | herd)", data, family="poisson"), tmp_path)
    head = text_of(html, "h1")
    assert "follows a curve over x" in head and "times as high at" in head and "z shows no clear effect" in head
    assert "linear" not in head
    assert "How the groups differ" in html and "The smooth functions" in html
    assert "herd: Intercept" in html and "12 herd" in html
    assert "effective degrees of freedom; test of a flat line" in html
    assert "REML, the likelihood of the responses with the effects that vary and all other coefficients" in html
    assert "criterion=&#x27;reml&#x27;" in html
    # the response over x has the curve, and the groups are no covariate
    assert html.count("expected n over x") == 1 and "expected n over herd" not in html


def test_the_same_fit_gives_the_same_page(data, tmp_path):
    fit = rp.glm("y ~ s(x) + (1 + z | herd)", data)
    assert page(fit, tmp_path) == page(fit, tmp_path)


def test_the_lede_tells_how_much_groups_differ(data, tmp_path):
    fit = rp.glm("y ~ z + (1 | herd)", data)
    share = fit.icc().estimate[0]
    assert f"{100 * share:.0f}% is between the 12 levels of <var>herd</var>" in page(fit, tmp_path)
    slopes = page(rp.glm("y ~ z + (z | herd)", data), tmp_path)
    assert "The 12 levels of <var>herd</var> differ, with standard deviations of" in slopes


def test_a_deviation_of_0_is_an_answer(data, tmp_path):
    noise = data.assign(y=np.random.default_rng(1).normal(size=250))
    noise["y"] -= noise.groupby("herd").y.transform("mean")
    html = page(rp.glm("y ~ z + (1 | herd)", noise), tmp_path)
    assert "Nothing tells the 12 levels of <var>herd</var> apart: their standard deviation is 0, and at most" in html
    assert "At a boundary" in html and "<b>At the edge.</b>" in html and "Do not use" not in html
    assert "standard deviation, at the edge" in html and "NaN" not in html
    assert "in order" not in html  # effects that are all 0 have no picture


def test_two_variables_and_functions_of_levels(data, tmp_path):
    head = text_of(page(rp.glm("y ~ te(x, z, k=(6, 4)) + (1 | herd)", data), tmp_path), "h1")
    assert "varies over x and z together" in head
    head = text_of(page(rp.glm("y ~ f + s(x, by=f)", data), tmp_path), "h1")
    assert "follows a curve over x where f is a" in head and "where f is b" in head


def test_a_straight_line_is_told_as_one():
    curve = SimpleNamespace(
        term="s(x)", variables=("x",), edf=1.0, p_value=1e-8, points=np.array([[0.0], [1.0]]), fit=np.array([0.5, -0.5])
    )
    scale = SimpleNamespace(plural=False, ratio=False, quantity="mean y")
    found = varying_page.clauses([curve], scale)
    assert found["s(x)"].text == "falls with <var>x</var>"
    nothing = SimpleNamespace(by_term={}, scale=scale)
    assert effects_headline(nothing, found) == "The mean <var>y</var> falls with <var>x</var>."
    unclear = varying_page.clauses([SimpleNamespace(**vars(curve) | {"p_value": 0.4})], scale)
    assert effects_headline(nothing, unclear) == "No clear effect on the mean <var>y</var>: <var>s(x)</var> shows none."


def test_curves_and_terms_are_listed_together():
    scale = SimpleNamespace(plural=True, ratio=True, quantity="odds of y", name="odds ratio")
    curve = SimpleNamespace(
        term="s(x)", variables=("x",), edf=4.0, p_value=1e-8, points=np.linspace(0, 2, 3)[:, None],
        fit=np.array([0.0, np.log(4.0), 0.1]),
    )  # fmt: skip
    surface = SimpleNamespace(**vars(curve) | {"term": "te(x, z)", "variables": ("x", "z"), "p_value": 1e-5})
    found = varying_page.clauses([curve, surface], scale)
    assert effects_headline(SimpleNamespace(by_term={}, scale=scale), found) == (
        "The odds of <var>y</var> follow a curve over <var>x</var>, 4.0 times as high at 1.00 as at 0 and vary over "
        "<var>x</var> and <var>z</var> together."
    )


@pytest.mark.parametrize(
    ("criterion", "told"),
    [
        ("ML", "the likelihood of the responses with the effects that vary integrated out exactly"),
        ("ML (Laplace)", "by Laplace's approximation"),
        ("ML (25 nodes)", "by Gauss-Hermite quadrature"),
    ],
)
def test_the_method_in_words(criterion, told):
    varies = varying_page.Varies(pd.DataFrame(), True, {"g": 3}, criterion=criterion)
    assert told in varying_page.method(varies)


def test_hostile_names_are_text(data, tmp_path):
    group = "<b>gr&oup</b> $x$"
    renamed = data.rename(columns={"herd": group, "x": "<script>"})
    html = page(rp.glm(f"y ~ s(`<script>`) + (1 | `{group}`)", renamed), tmp_path)
    assert "<script" not in html and "<b>gr" not in html and "&lt;script&gt;" in html


def test_scales_of_smooth_functions_take_no_profiles(data, tmp_path, monkeypatch):
    from raphson.fit.varying import profiles

    asked = []
    own = profiles.Profiles.of
    monkeypatch.setattr(profiles.Profiles, "of", lambda self, one: asked.append(one.term) or own(self, one))
    page(rp.glm("y ~ s(x) + s(z)", data), tmp_path)
    assert asked == []  # twelve of them took 40 s
    page(rp.glm("y ~ s(x) + (1 | herd)", data), tmp_path)
    assert len(asked) == 1


def test_the_call_makes_the_same_fit(data):
    yes = data.assign(yes=(data.y > data.y.median()).astype(int))
    for options in ({"criterion": "reml"}, {"criterion": "ml", "quadrature": 7}, {"criterion": "ml"}):
        fit = rp.glm("yes ~ z + (1 | herd)", yes, family="binomial", **options)
        assert eval(_call(fit), {"rp": rp, "data": yes}).llf == fit.llf
    made = SimpleNamespace(
        formula="y ~ x",
        formulas={"mu": "y ~ x"},
        family=SimpleNamespace(name="f"),
        inputs={"criterion": "REML (Laplace)"},
    )
    assert _call(made) == "rp.mle('f', {'mu': 'y ~ x'}, data, criterion='reml')"
