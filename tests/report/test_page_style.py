from __future__ import annotations

import re

from raphson.report.page_style import SHEET
from raphson.report.style import LIGHT


def test_the_sheet_is_balanced_loads_nothing_and_knows_its_variables() -> None:
    assert SHEET.count("{") == SHEET.count("}") and "url(" not in SHEET and "@import" not in SHEET
    assert set(re.findall(r"var\(--(\w+)\)", SHEET)) <= set(LIGHT)
