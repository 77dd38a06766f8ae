from __future__ import annotations

import re

from raphson.report.page_style import SHEET
from raphson.report.style import LIGHT


def test_the_sheet_is_balanced_loads_nothing_and_knows_its_variables() -> None:
    assert SHEET.count("{") == SHEET.count("}") and "url(" not in SHEET and "@import" not in SHEET
    assert set(re.findall(r"var\(--(\w+)\)", SHEET)) <= set(LIGHT)


def test_on_a_telephone_estimates_of_many_figures_leave_their_names_a_row() -> None:
    """Beside 0.158659 and its interval a name would get no room at 320 px, and stand in letters below one another."""
    narrow = SHEET.partition("@container (max-width: 400px) {")[2].partition("@media print")[0]
    assert "#estimates .rows tbody th { grid-column: 1 / -1 }" in narrow
    assert "#estimates .rows tbody .n { grid-row: 2; white-space: normal }" in narrow
