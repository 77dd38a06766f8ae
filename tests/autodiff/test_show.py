"""A decomposition is shown as a table, a page with its graph, and plain data."""

from __future__ import annotations

import json
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from raphson.autodiff import decompose


def logistic_loss(y: Any, x: Any) -> Any:
    return jnp.log(1.0 + jnp.exp(-y * x))


def test_the_table_names_everything() -> None:
    text = str(decompose(logistic_loss)(1.0, 0.3))
    assert text.splitlines()[0] == "logistic_loss = 0.554355, in 5 elementary steps"
    assert "z1 * x" in text and "z1: 0.3, x: -1" in text and "-0.425557" in text and "test_show.py:" in text


def test_arrays_show_shapes() -> None:
    found = decompose(lambda X: jnp.sum(jnp.exp(X) @ jnp.ones(7)))(np.linspace(0, 1, 35).reshape(5, 7))
    assert "5×7, 0 to 1" in str(found) and "Jacobian 5×5×7" in str(found)


def test_a_long_table_leaves_out_its_middle() -> None:
    found = decompose(lambda x: lax.fori_loop(0, 150, lambda i, c: 0.5 * c + x, x))(0.5)
    assert "more)" in str(found) and len(str(found).splitlines()) < 210
    assert len(found.to_text().splitlines()) > len(found)
    assert "left out" in found.to_html()


def test_the_page_stands_alone_and_escapes() -> None:
    def f(x: Any) -> Any:
        return jnp.where(x < 1.0, jnp.log(x), 0.0)  # <b>&

    page = decompose(f)(0.0).to_html()
    assert page.startswith("<!doctype html>") and "<svg" in page and "class='broken'" in page
    assert "<b>" not in page and "&lt;b&gt;&amp;" in page
    assert (
        "<script" not in page and not re.search(r"(src|href)=", page) and "http" not in page.replace("http-equiv", "")
    )
    assert "<table" in decompose(f)(0.5)._repr_html_()


def test_no_label_of_the_graph_lies_under_a_box() -> None:
    page = decompose(logistic_loss)(1.0, 0.3).to_html()
    boxes = [tuple(map(int, one)) for one in re.findall(r"<rect x='(\d+)' y='(\d+)' width='(\d+)'", page)]
    labels = re.findall(r"<text x='(\d+)' y='(\d+)' class='small' text-anchor='middle'>([^<]*)<", page)
    assert [text for _, _, text in labels] == ["-1", "0.3", "-1", "0.740818", "1", "0.574443"]
    assert len({(x, y) for x, y, _ in labels}) == 6
    for x, _, text in labels:
        half = 3 * len(text)  # of ten-point letters
        assert all(int(x) + half < left or int(x) - half > left + width for left, _, width in boxes)


def test_as_data() -> None:
    data = decompose(logistic_loss)(1.0, 0.3).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["steps"][1]["expression"] == "z1 * x" and data["arguments"][1]["name"] == "x"
