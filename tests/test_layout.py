"""The tests lie as the source does, and `make quick` knows the slow ones by their names."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_slow_tests_are_there():
    # A name that is left over from a test that was renamed would let it into `make quick`.
    lines = (HERE / "slow.txt").read_text(encoding="utf-8").splitlines()
    there = {
        name for file in HERE.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }
    assert [line for line in lines if not line.startswith("#") and line not in there] == []
