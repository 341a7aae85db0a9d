"""What of a model's answer stands: from then on nothing is asked again."""

from __future__ import annotations

import pytest

from assistant.llm.pieces import Reasoning, Text, ToolCall, WasThought, has_begun


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([], False),
        ([Text(" \n\t")], False),
        ([Text(" "), Text("x")], True),
        ([Text("x"), Text(" ")], True),
        ([Reasoning("hm")], False),
        ([Text("thought"), WasThought()], False),
        ([Text("thought"), WasThought(), Text("said")], True),
        ([ToolCall("1", "clock", "{}")], True),
    ],
)
def test_words_and_calls_begin_it_and_blanks_and_thoughts_do_not(pieces, said):
    begun = False
    for piece in pieces:
        begun = has_begun(begun, piece)
    assert begun is said
