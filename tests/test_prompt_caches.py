"""Claude's prompt cache is asked for where it pays, and nowhere else."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from assistant import llm
from assistant.llm import caching
from assistant.llm.pieces import ToolCall, Usage
from tests.protocols import ProtocolsProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

LONG = "word " * 1_000
MARK = {"type": "ephemeral"}


def system(text: str = LONG) -> dict[str, Any]:
    return {"role": "system", "content": text}


def user(content: Any = "Hello?") -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(text: str = "Hello.") -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(name: str = "c1") -> dict[str, Any]:
    function = {"name": "look", "arguments": "{}"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": name, "type": "function", "function": function}],
    }


def found(text: str = "Nothing.", name: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "content": text}


def tool(description: str = "Looks.") -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": "look", "description": description, "parameters": parameters}}


def marks(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Which messages and which tools are marked."""

    def is_marked(line: dict[str, Any]) -> bool:
        content = line.get("content")
        parts = content if isinstance(content, list) else []
        return line.get("cache_control") == MARK or any(part.get("cache_control") == MARK for part in parts)

    lines, offered = caching.with_cache_marks(messages, tools)
    return [n for n, line in enumerate(lines) if is_marked(line)], [
        n for n, one in enumerate(offered) if is_marked(one)
    ]


@pytest.mark.parametrize(
    ("messages", "tools", "places"),
    [
        ([system("Short."), user()], [], ([], [])),  # nothing to keep
        ([system("Short."), user(), said(), user()], [tool()], ([], [])),
        ([system("Short."), user(LONG)], [], ([], [])),  # perhaps the only one: a title, a summary
        ([system(), user()], [], ([0], [])),
        ([system(), user(), said(), user()], [], ([0, 1, 3], [])),
        ([user(LONG), said(), user()], [], ([0, 2], [])),
        ([system(), user()], [tool(LONG)], ([0, 1], [0])),
        ([system("Short."), user(LONG)], [tool()], ([1], [])),  # a round of tools will follow
        ([system(), user(), called(), found(), found()], [tool(LONG), tool(LONG)], ([0, 1, 4], [1])),
        ([system(), user(), said(), user(), called(), found(), called(), found()], [tool(LONG)], ([0, 5, 7], [0])),
    ],
)
def test_marks_stand_where_the_next_request_begins_in_the_same_way(messages, tools, places):
    assert marks(messages, tools) == places


def test_what_is_marked_is_a_part_with_something_in_it_and_nothing_that_came_in_is_changed():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = [{"type": "text", "text": LONG}, image, {"type": "text", "text": " "}]
    messages = [user(LONG), said(), user(parts)]
    before = str(messages)
    first, _, last = caching.with_cache_marks(messages, [])[0]
    assert first["content"] == [{"type": "text", "text": LONG, "cache_control": MARK}]
    assert [part.get("cache_control") for part in last["content"]] == [None, MARK, None]
    assert str(messages) == before
    nothing = [user(LONG), said(), user(" "), user([])]
    assert caching.with_cache_marks(nothing, [])[0][2:] == nothing[2:]


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("anthropic/claude-sonnet-4-5", True),
        ("anthropic/whatever-comes", True),
        ("vertex_ai/claude-sonnet-4-5", True),
        ("bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("bedrock/anthropic.claude-3-sonnet-20240229-v1:0", False),
        ("openrouter/anthropic/claude-sonnet-4.5", True),
        ("openrouter/openai/gpt-5", False),
        ("openai/claude-by-somebody", False),
        ("gemini/gemini-2.5-pro", False),
    ],
)
def test_only_those_who_keep_what_is_marked_are_sent_marks(model, takes):
    assert caching.takes_marks(model) is takes


def test_each_round_reads_from_the_cache_what_the_one_before_it_has_put_there(
    loop: asyncio.Runner, protocols: ProtocolsProcess
):
    lines = [system(), user()]
    figures: list[dict[str, Any]] = []

    async def ask() -> list[Any]:
        model = "anthropic/claude-sonnet-4-5~words-n3-tool=look-rounds=2"
        async with aclosing(llm.stream(model, lines, tools=[tool(LONG)])) as pieces:
            return [piece async for piece in pieces]

    for _ in range(3):
        pieces = loop.run(ask())
        figures.append([piece for piece in pieces if isinstance(piece, Usage)][-1].figures)
        for call in (piece for piece in pieces if isinstance(piece, ToolCall)):
            lines += [called(call.id), found("found " * 200, call.id)]
    assert protocols.problems() == []
    first, *others = figures
    assert first["cached_tokens"] == 0 and first["cache_write_tokens"] > caching.LEAST_TOKENS
    before = first
    for one in others:
        assert one["cached_tokens"] == before["cached_tokens"] + before["cache_write_tokens"]
        assert one["cached_tokens"] > 0.5 * one["prompt_tokens"]
        before = one
