from __future__ import annotations

import json

import numpy as np

import raphson as rp
from raphson.report.document import document, to_json


def test_document_is_valid_json_at_full_precision(make_fit) -> None:
    fit = make_fit(llf=-109.43123456789012)
    fit.params.iloc[1] = np.nan
    fit.params.iloc[2] = -np.inf

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(to_json(document(fit)), parse_constant=refuse)
    assert read["llf"] == -109.43123456789012
    assert [row["estimate"] for row in read["coefficients"]] == [0.461223, None, "-inf"]
    assert read["coefficients"][0]["term"] == "Intercept"
    assert read["status"] == "converged" and read["converged"] is True
    assert read["path"][0]["step"] is None
    assert [row["iteration"] for row in read["path"]] == [0, 1, 2, 3]


def test_numpy_scalars_are_plain_numbers() -> None:
    assert json.loads(to_json({"n": np.int64(3), "x": np.float64("nan"), "y": np.bool_(True)})) == {
        "n": 3,
        "x": None,
        "y": True,
    }


def test_how_much_coefficients_vary() -> None:
    fit = rp.glm("lwt ~ smoke + (1 | race)", rp.datasets.load("births"))
    read = json.loads(to_json(document(fit)))
    assert [(row["group"], row["term"], row["kind"]) for row in read["variances"]] == [
        ("race", "Intercept", "sd"),
        ("residual", "", "sd"),
    ]
    assert read["variances"][0]["estimate"] == fit.variances["estimate"][0]
    assert read["variances"][0]["conf_high"] == fit.variances["upper"][0] and read["smooths"] == []
    assert "variances" not in document(rp.glm("lwt ~ smoke", rp.datasets.load("births")))
