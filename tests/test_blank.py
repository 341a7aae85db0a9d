"""A message of invisible characters only is empty, wherever that is asked."""

import pytest

from assistant.text.blank import is_blank


@pytest.mark.parametrize(
    "text",
    ["", " \t\r\n", "\u200b", "\ufeff\u2060", "\u00ad\u00ad", "\u202e \u2066\u2069", "\ufe0f", "\u3164", "\u2800",
     "\U000e0020", "\U000e0100", "\x00\x1b", "\u180e\u034f"],
)  # fmt: skip
def test_what_nobody_sees_is_blank(text):
    assert is_blank(text) and is_blank(text * 3)


@pytest.mark.parametrize(
    "text", [".", "\u200ba", "❤\ufe0f", "👩\u200d👧", "\ufffd", "é", "\u0301", "字", "𝔸", "\ud800"]
)
def test_what_somebody_sees_is_not(text):
    assert not is_blank(text)
