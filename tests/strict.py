"""What each provider refuses of a history, by its documentation and by what its users have been refused.

Each takes a request in OpenAI's chat format, and raises AssertionError where that provider answers with a 400.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from assistant.text.blank import is_blank

Line = dict[str, Any]

LINE_FIELDS = {"role", "content", "tool_calls", "tool_call_id"}
CALL_FIELDS = {"id", "type", "function"}
THINKING_FIELDS = ("thinking_blocks", "reasoning", "reasoning_content", "reasoning_details", "reasoning_items")


def anybody(lines: Sequence[Line]) -> None:
    """What none of them takes."""
    assert [line["role"] for line in lines[1:]].count("system") == 0, "a system's message that isn't the first"
    said = lines[1:] if lines[0]["role"] == "system" else lines
    assert said and said[0]["role"] == "user", "the first that is said is not a person's"
    assert said[-1]["role"] in ("user", "tool"), "there is nothing to answer"
    waiting: list[str] = []
    seen: set[str] = set()
    for line in lines:
        assert "provider_state" not in line
        if line["role"] == "tool":
            assert waiting and line["tool_call_id"] == waiting.pop(0), "a result without its call, or out of order"
            assert line["content"]
            continue
        assert not waiting, f"calls without results: {waiting}"
        _something_is_said(line)
        for call in line.get("tool_calls", ()):
            assert line["role"] == "assistant" and call["id"] and call["id"] not in seen, "the same id twice"
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"])
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            seen.add(call["id"])
            waiting.append(call["id"])
    assert not waiting, f"calls without results: {waiting}"


def _something_is_said(line: Line) -> None:
    content = line["content"]
    if line.get("tool_calls") and content is None:
        return
    texts = [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]
    assert content and not any(is_blank(text) for text in texts), "an empty message"


def _no_other_fields(lines: Sequence[Line], call_fields: set[str] = CALL_FIELDS) -> None:
    for line in lines:
        assert set(line) <= LINE_FIELDS, f"unknown fields: {set(line) - LINE_FIELDS}"
        for call in line.get("tool_calls", ()):
            assert set(call) <= call_fields, f"unknown fields: {set(call) - call_fields}"


def openai(lines: Sequence[Line]) -> None:
    """Chat Completions: "string too long. Expected a string with maximum length 40"; unknown fields."""
    anybody(lines)
    _no_other_fields(lines)
    assert all(len(call["id"]) <= 40 for line in lines for call in line.get("tool_calls", ()))


def strict_template(lines: Sequence[Line]) -> None:
    """llama.cpp's, vLLM's: "conversation roles must alternate user/assistant/...", where calls and results don't count."""
    openai(lines)
    counted = [
        line["role"] for line in lines if line["role"] not in ("system", "tool") and not line.get("tool_calls")
    ]
    assert all(role == ("user", "assistant")[n % 2] for n, role in enumerate(counted)), counted


def mistral(lines: Sequence[Line]) -> None:
    """3230, "Unexpected role 'user' after role 'tool'"; 3280, "must be a-z, A-Z, 0-9, with a length of 9"."""
    strict_template(lines)
    for first, second in pairwise(lines):
        assert (first["role"], second["role"]) != ("tool", "user"), "Unexpected role 'user' after role 'tool'"
    for line in lines:
        for call in line.get("tool_calls", ()):
            assert re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"])


def anthropic(lines: Sequence[Line], *, thinks: bool, issued: Sequence[Line]) -> None:
    """Messages. `thinks`: whether the request switches thinking on; `issued`: what this model has said."""
    anybody(lines)
    own = {call["id"]: line for line in issued for call in line["tool_calls"]}
    loop = max(n for n, line in enumerate(lines) if line["role"] == "user")
    for number, line in enumerate(lines):
        assert not set(line) & {"reasoning_content", "reasoning_details", "reasoning_items"}
        calls = line.get("tool_calls", ())
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", call["id"]) for call in calls)
        blocks = line.get("thinking_blocks")
        if blocks:
            assert calls and blocks == own[calls[0]["id"]]["thinking_blocks"], (
                "Invalid `signature` in `thinking` block"
            )
        if calls and number > loop:
            assert bool(blocks) or not thinks, "Expected `thinking` or `redacted_thinking`, but found `tool_use`"
            assert thinks or not blocks, "thinking is disabled, and this turn has some"


def deepseek(lines: Sequence[Line], *, issued: Sequence[Line]) -> None:
    """ "The `reasoning_content` in the thinking mode must be passed back to the API." An empty one counts as missing."""
    anybody(lines)
    _own_reasoning(lines, issued)
    assert all(line.get("reasoning_content") for line in lines if line["role"] == "assistant")


def kimi(lines: Sequence[Line], *, issued: Sequence[Line]) -> None:
    """ "thinking is enabled but reasoning_content is missing in assistant tool call message"."""
    anybody(lines)
    _own_reasoning(lines, issued)
    for line in lines:
        assert bool(line.get("reasoning_content")) == bool(line.get("tool_calls"))


def _own_reasoning(lines: Sequence[Line], issued: Sequence[Line]) -> None:
    own = {call["id"]: line for line in issued for call in line["tool_calls"]}
    plain = [{name: value for name, value in line.items() if name != "reasoning_content"} for line in lines]
    _no_other_fields(plain)
    for line in lines:
        for call in line.get("tool_calls", ()):
            if call["id"] in own:
                assert line["reasoning_content"] == own[call["id"]]["reasoning_content"]


def gemini(lines: Sequence[Line], *, issued: Sequence[Line]) -> None:
    """Version 3 by OpenAI's protocol: "Function call is missing a thought_signature in functionCall parts"."""
    anybody(lines)
    own = {call["id"]: call for line in issued for call in line["tool_calls"]}
    _no_other_fields(lines, CALL_FIELDS | {"extra_content"})
    for line in lines:
        for place, call in enumerate(line.get("tool_calls", ())):
            signed = call.get("extra_content")
            expected = own[call["id"]].get("extra_content") if call["id"] in own else None
            if call["id"] not in own and not place:
                expected = {"google": {"thought_signature": "skip_thought_signature_validator"}}
            assert signed == expected, "Thought signature is not valid"
    before = ["user", *(line["role"] for line in lines if line["role"] != "system")]
    for previous, line in zip(before[1:], [line for line in lines if line["role"] != "system"][1:], strict=False):
        if line.get("tool_calls"):
            assert previous in ("user", "tool"), "a call comes after a question or after results"


def responses(lines: Sequence[Line], *, issued: Sequence[Line]) -> None:
    """OpenAI's Responses, as litellm is handed it: reasoning stands with the calls that followed it, or not at all."""
    anybody(lines)
    own = {call["id"]: line for line in issued for call in line["tool_calls"]}
    for line in lines:
        assert not set(line) & {"thinking_blocks", "reasoning_content", "reasoning_details"}
        if items := line.get("reasoning_items"):
            assert items == own[line["tool_calls"][0]["id"]]["reasoning_items"]
