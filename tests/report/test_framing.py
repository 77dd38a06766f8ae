from __future__ import annotations

import pytest

from raphson.errors import RaphsonError
from raphson.report.framing import drawn, framed, listed_pairs, made_with, sign, signed


def test_a_page_escapes_its_title_and_loads_nothing() -> None:
    page = framed("<b>\n&", ["<main>", "", "</main>"])
    assert "<title>&lt;b&gt; &amp;</title>" in page and "default-src 'none'" in page
    assert page.endswith("<body>\n<main>\n</main>\n</body></html>\n")
    assert "<dd>&lt;x&gt;</dd>" in listed_pairs([("a", "<x>")])


def test_the_day_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert dict(made_with())["Written"] == "1970-01-02"


def test_a_page_says_why_a_picture_is_missing() -> None:
    def without() -> str:
        raise RaphsonError("no <matplotlib>")

    assert drawn(without) == "<p class='note'>no &lt;matplotlib&gt;</p>" and drawn(lambda: "<svg/>") == "<svg/>"


def test_signs_are_not_read_aloud() -> None:
    for good, mark in ((True, "✓"), (False, "⚠")):
        for text in (sign(good), signed(good, "")):
            assert f"aria-hidden='true'>{mark}</span>" in text and ("doubt" in text) is not good
