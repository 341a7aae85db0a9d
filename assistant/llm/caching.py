"""Marks for prompt caches that have to be asked for: Anthropic's, wherever Claude is asked. Pure, but for `takes_marks`.

A mark has the provider keep what stands before it (tools, then the system, then the messages) for five minutes. To put it
there costs a quarter more, to read it again a tenth. So marks stand where the next request begins in the same way:
behind the tools, behind the system, and, where a next request is to be expected, at the end.

Source: Anthropic's "Prompt caching"; litellm's "Prompt caching" for the form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assistant.llm import facts
from assistant.llm.tokens import BYTES_PER_TOKEN, weight

LEAST_TOKENS = 1_024  # what is shorter is kept by hardly any model; where the least is more, a mark is nothing
_MARK = {"type": "ephemeral"}

Line = dict[str, Any]


def takes_marks(model: str) -> bool:
    """Whether `model`'s provider keeps what is marked, and refuses no marks."""
    provider = model.partition("/")[0]
    if "claude" not in model and provider != "anthropic":
        return False
    if provider == "bedrock":
        return bool(facts.entry_of(model).get("supports_prompt_caching"))
    return provider in ("anthropic", "vertex_ai", "openrouter")


def with_cache_marks(messages: Sequence[Line], tools: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """`messages` and `tools` (litellm's chat format) with four marks at most, where they pay. What came in is unchanged."""
    lines, offered = list(messages), list(tools)
    system = [place for place, line in enumerate(lines) if line["role"] == "system"][-1:]
    of_tools, of_system, of_all = weight(offered), weight([lines[place] for place in system]), weight(lines)
    if offered and _is_long(of_tools):
        offered[-1] = offered[-1] | {"cache_control": _MARK}
    marked = system if _is_long(of_tools + of_system) else []
    if (offered or _goes_on(lines)) and _is_long(of_tools + of_all):
        marked = [*marked, *_ends(lines)]
    for place in marked:
        lines[place] = _marked(lines[place])
    return lines, offered


def _is_long(size: int) -> bool:
    return size >= LEAST_TOKENS * BYTES_PER_TOKEN


def _goes_on(lines: Sequence[Line]) -> bool:
    """Whether it is a conversation. A first question may be the only one, a title or a summary always is."""
    return any(line["role"] == "assistant" for line in lines)


def _ends(lines: Sequence[Line]) -> list[int]:
    """Where this request ends, and where the one before it did: a cache is looked for 20 blocks back only."""
    asked = [place for place, line in enumerate(lines) if line["role"] in ("user", "tool")]
    said = [place for place, line in enumerate(lines) if line["role"] == "assistant"]
    earlier = [place for place in asked if said and place < said[-1]]
    return sorted({*asked[-1:], *earlier[-1:]})


def _marked(line: Line) -> Line:
    """A tool's result is marked as a whole; of others the last part that is not empty."""
    content = line.get("content")
    if line["role"] == "tool" and content:
        return line | {"cache_control": _MARK}
    if isinstance(content, str) and content.strip():
        return line | {"content": [{"type": "text", "text": content, "cache_control": _MARK}]}
    if not isinstance(content, list):
        return line
    parts = [dict(part) for part in content]
    if last := next((part for part in reversed(parts) if _is_filled(part)), None):
        last["cache_control"] = _MARK
    return line | {"content": parts}


def _is_filled(part: Mapping[str, Any]) -> bool:
    return part.get("type") != "text" or bool(str(part.get("text") or "").strip())
