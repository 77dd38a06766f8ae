from __future__ import annotations

import pytest

from raphson.report.framing import framed, listed_pairs, made_with


def test_a_page_escapes_its_title_and_loads_nothing() -> None:
    page = framed("<b>\n&", ["<main>", "", "</main>"])
    assert "<title>&lt;b&gt; &amp;</title>" in page and "default-src 'none'" in page
    assert page.endswith("<body>\n<main>\n</main>\n</body></html>\n")
    assert "<dd>&lt;x&gt;</dd>" in listed_pairs([("a", "<x>")])


def test_the_day_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert dict(made_with())["Written"] == "1970-01-02"
