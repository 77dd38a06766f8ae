"""Files that earlier versions wrote are read for ever, and say what they said.

``saved/`` holds a fit of each kind of ``conftest.KINDS`` as version 0.1.0 wrote it, and ``expected.json`` what that
version read from it again: estimates, standard errors, predictions at ``conftest.NEW`` and the head of the summary, in
which later versions tell more: the deviance explained and the reference levels.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import raphson as rp

SAVED = Path(__file__).parent / "saved"
EXPECTED = json.loads((SAVED / "expected.json").read_text())
NEW = {"arrays": np.array([[1.0, -1.0], [1.0, 0.0]])}


def test_every_file_is_read():
    assert {path.stem.replace("_", " ") for path in SAVED.glob("*.json")} == {*EXPECTED, "expected"}


@pytest.mark.parametrize("kind", EXPECTED)
def test_it_says_what_it_said(kind, new_rows):
    fit, said = rp.load(SAVED / f"{kind.replace(' ', '_')}.json"), EXPECTED[kind]
    assert isinstance(fit, rp.Fit) and fit.status.value == said["status"]
    np.testing.assert_allclose(fit.params, said["params"], rtol=1e-12)
    np.testing.assert_allclose(fit.bse, said["bse"], rtol=1e-12)
    np.testing.assert_allclose(fit.llf, said["llf"], rtol=1e-12)
    assert fit.summary().text.splitlines()[: len(said["summary"])] == said["summary"]
    for scale in {"response", "link"} & said.keys():
        columns, values = said[scale]
        found = fit.predict(NEW.get(kind, new_rows), se=True, kind=scale)
        assert isinstance(found, pd.DataFrame) and list(found.columns) == columns
        np.testing.assert_allclose(found, values, rtol=1e-8)


@pytest.mark.parametrize("kind", EXPECTED)
def test_it_is_saved_again(kind, tmp_path):
    fit = rp.load(SAVED / f"{kind.replace(' ', '_')}.json")
    fit.save(tmp_path / "again.json")
    again = rp.load(tmp_path / "again.json")
    pd.testing.assert_series_equal(again.params, fit.params)
    assert again.summary().text == fit.summary().text
