"""Whatever the rows of an answer's tool calls hold, what the model is sent of them is valid."""

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.models import ToolCall
from assistant.prompt.history import lines_of_rounds, tools_called
from assistant.text.arguments import arguments_of
from assistant.text.blank import is_blank
from tests.strict import anybody

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
ARGUMENTS = st.one_of(
    TEXTS, st.sampled_from(["", "{}", '{"a": 1}', "[1]", "NaN", '{"a": NaN}', "{" * 2000, '"x"', " "])
)
IDS = st.one_of(st.sampled_from(["", "same", "call_1"]), TEXTS)


@st.composite
def answers(draw):
    """A text, the calls of its rounds in order, and what joined it."""
    content = draw(TEXTS)
    calls, at = [], 0
    for number in range(1, draw(st.integers(0, 4)) + 1):
        at = draw(st.integers(at, len(content)))
        for place in range(draw(st.integers(1, 3))):
            made = {"call_id": draw(IDS), "name": draw(TEXTS), "arguments": draw(ARGUMENTS), "result": draw(TEXTS)}
            calls.append(
                ToolCall(id=uuid.UUID(int=draw(st.integers(0, 2**128 - 1))), round=number, place=place, at=at, **made)
            )
    joined = {
        number: [{"role": "user", "content": "I have a thought."}] for number in range(1, 5) if draw(st.booleans())
    }
    return content, calls, joined


@settings(deadline=None)  # the machine may be busy
@given(st.lists(answers(), max_size=3))
def test_every_call_is_followed_by_its_result_and_nothing_else_is_sent(history):
    used: set[str] = set()
    messages = []
    pks = [call.pk for _, calls, _ in history for call in calls]
    for content, calls, joined in history:
        messages.append({"role": "user", "content": "Question"})
        messages += lines_of_rounds(content, calls, joined, used)
    messages.append({"role": "user", "content": "Question"})
    if len(set(pks)) == len(pks):
        anybody(messages)
        declared = {tool["function"]["name"] for tool in tools_called(messages)}
        assert declared == {call["function"]["name"] for line in messages for call in line.get("tool_calls", ())}
    asked = sum(len(line.get("tool_calls", ())) for line in messages)
    assert asked == sum(len(calls) for _, calls, _ in history) == sum(line["role"] == "tool" for line in messages)


@settings(deadline=None)  # the machine may be busy
@given(answers())
def test_no_text_is_lost_or_doubled(answer):
    content, calls, joined = answer
    told = "".join(
        line["content"] or ""
        for line in lines_of_rounds(content, calls, joined, set())
        if line["role"] == "assistant"
    )
    assert [letter for letter in told if not is_blank(letter)] == [
        letter for letter in content if not is_blank(letter)
    ]


def test_what_is_said_between_two_rounds_stands_behind_the_results():
    def call(number):
        return ToolCall(round=number, place=0, at=0, call_id=f"c{number}", name="look", arguments="{}", result="seen")

    joined = {1: [{"role": "user", "content": "Look left"}]}
    lines = lines_of_rounds("Done.", [call(1), call(2)], joined, set())
    assert [line["role"] for line in lines] == ["assistant", "tool", "user", "assistant", "tool", "assistant"]


def test_a_call_without_a_result_is_told_as_one_whose_effect_is_unknown():
    call = ToolCall(round=1, place=0, at=0, call_id="c", name="pay", arguments="{}", result="")
    assert "not known" in lines_of_rounds("", [call], {}, set())[-1]["content"]


def test_arguments_are_a_json_object_or_none():
    assert arguments_of("") == {} and arguments_of('{"a": [1]}') == {"a": [1]}
    assert [arguments_of(text) for text in ("[1]", "{", '{"a": Infinity}', "[" * 100_000)] == [None] * 4
