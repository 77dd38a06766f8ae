"""Every result that a user can hold has a picture in a notebook that follows its theme, and escapes its names."""

from __future__ import annotations

from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp
from raphson.sheets.notebook import SCOPE

EVIL = "<b>&'\""
LABELS = np.array([EVIL, "b"])
X = np.tile(np.linspace(0.5, 4.0, 12), 2)
DATA = {"x": X, "g": np.repeat(LABELS, 12), "y": 3 * X / (1 + X) + np.sin(40 * X) / 20}


class Balanced(HTMLParser):
    """Checks that each tag is closed."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("br", "line", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("line", "rect"):
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def fit():
    return rp.glm("y ~ x + g", DATA)


RESULTS = {
    "Fit": lambda fit: fit,
    "Test": lambda fit: fit.wald_test("x = 0"),
    "a test with a table": lambda fit: fit.information_matrix_test(bootstrap=0),
    "Profile": lambda fit: fit.profile("x"),
    "Delta": lambda fit: fit.delta(lambda p: {EVIL: p["x"]}),
    "one number": lambda fit: fit.delta("2*x"),
    "Bootstrap": lambda fit: fit.bootstrap(20, seed=1),
    "LeaveOneOut": lambda fit: fit.loo(),
    "Coverage": lambda fit: rp.simulate_coverage(fit, reps=20, seed=1),
    "Checks": lambda fit: fit.check(n=100),
    "Fits": lambda fit: rp.nls("y ~ a*x/(b + x)", DATA, start={"a": 1.0, "b": 1.0}, by="g"),
    "Fits of a linear model": lambda fit: rp.glm("y ~ x", DATA, by="g"),
    "Curvature": lambda fit: rp.nls("y ~ a*x/(b + x)", DATA, start={"a": 1.0, "b": 1.0}).curvature(),
    "Comparison": lambda fit: rp.compare(fit, methods=["newton", "adam"], max_iter=20),
    "Decomposition": lambda fit: rp.autodiff.decompose(lambda x: jnp.log(x) * x)(2.0),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_html(kind, fit):
    html = RESULTS[kind](fit)._repr_html_()
    assert html.startswith(f"<div class='{SCOPE}'><style>") and html.endswith("</div>")
    assert "<table" in html and "<script" not in html and "prefers-color-scheme" not in html
    assert EVIL not in html
    check = Balanced()
    check.feed(html)
    assert not check.open


def test_a_result_is_written_too(fit):
    found = fit.bootstrap(20, seed=1)
    assert "| std\\_error |" in found.to_markdown() and "\\begin{tabular}{lrrrrrr}" in found.to_latex()
