"""The calls of tools in a model's stream: put together from fragments, whole, once each, in order."""

import json
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant import llm
from assistant.llm.calls import Fragments
from assistant.llm.pieces import Finish, Text, ToolCall

# litellm trips over its own libraries' warnings, which are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather.", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def said(provider, loop, monkeypatch):
    monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")

    async def read(model, **options):
        async with aclosing(llm.stream(model, [{"role": "user", "content": "Hello"}], **options)) as pieces:
            return [piece async for piece in pieces]

    return lambda model, **options: loop.run(read(model, **options))


def test_calls_come_whole_after_the_text_and_before_the_finish(said):
    pieces = said("openai/tool=weather:city:Paris,days:2-tool=clock-preamble=2-fragment=3", tools=[WEATHER])
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("weather", {"city": "Paris", "days": 2}),
        ("clock", {}),
    ]
    assert len({call.id for call in calls}) == 2
    kinds = [type(piece) for piece in pieces if not isinstance(piece, llm.Usage)]
    assert kinds == [Text, Text, ToolCall, ToolCall, Finish]
    assert Finish("tool_calls") in pieces


def test_arguments_that_are_no_json_come_as_they_were_written(said):
    (call,) = [p for p in said("openai/tool=weather:city:Paris-badargs", tools=[WEATHER]) if isinstance(p, ToolCall)]
    with pytest.raises(ValueError):
        json.loads(call.arguments)


def test_tools_and_parameters_reach_the_provider_and_nothing_of_our_own_does(said, provider):
    said("openai/words-n2-tag=asked", tools=[WEATHER], parameters={"temperature": 0.5})
    body = provider.requests("words-n2-tag=asked")[-1]["body"]
    assert body["tools"] == [WEATHER] and body["temperature"] == 0.5
    assert set(body) == {"model", "messages", "stream", "stream_options", "tools", "temperature"}


def test_without_tools_none_are_named(said, provider):
    said("openai/words-n2-tag=bare")
    assert "tools" not in provider.requests("words-n2-tag=bare")[-1]["body"]


@given(
    calls=st.lists(
        st.tuples(st.text("abc_", min_size=1, max_size=5), st.lists(st.text(max_size=3), max_size=4)), max_size=4
    ),
    seed=st.randoms(use_true_random=False),
)
def test_fragments_of_parallel_calls_may_be_mixed(calls, seed):
    fragments = Fragments()
    waiting = {
        index: [("id", name)] + [("part", part) for part in parts] for index, (name, parts) in enumerate(calls)
    }
    for index in waiting:  # each call begins before the next one does
        fragments.add(index, f"id{index}", waiting[index].pop(0)[1], "")
    while any(waiting.values()):
        index = seed.choice([index for index, parts in waiting.items() if parts])
        fragments.add(index, None, None, waiting[index].pop(0)[1])
    assert fragments.whole() == [
        ToolCall(f"id{index}", name, "".join(parts)) for index, (name, parts) in enumerate(calls)
    ]


def test_calls_that_all_carry_the_same_index_are_told_apart_by_their_ids():
    fragments = Fragments()
    fragments.add(0, "a", "clock", "{}")
    fragments.add(0, "b", "weather", "{")
    fragments.add(0, "b", "weather", "}")
    assert fragments.whole() == [ToolCall("a", "clock", "{}"), ToolCall("b", "weather", "{}")]


def test_a_call_without_an_id_is_given_one():
    fragments = Fragments()
    fragments.add(None, None, "clock", None)
    fragments.add(1, "", "clock", "{}")
    first, second = fragments.whole()
    assert first.id and second.id and first.id != second.id
