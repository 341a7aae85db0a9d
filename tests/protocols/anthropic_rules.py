"""What Anthropic's Messages API takes, and how it words what it doesn't. Pure.

The order of the checks is that of the real one: first the shape of every field, then the rules between them.
"""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any

from .base import Refused

_BODY = {
    "model", "messages", "max_tokens", "metadata", "stop_sequences", "stream", "system", "temperature", "thinking",
    "tool_choice", "tools", "top_k", "top_p", "service_tier", "container", "context_management", "mcp_servers",
    "output_config", "cache_control", "inference_geo",
}  # fmt: skip
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
# The fields of each block: those that must be there, those that may be.
_BLOCKS: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"text"}, {"citations", "cache_control"}),
    "image": ({"source"}, {"cache_control"}),
    "document": ({"source"}, {"title", "context", "citations", "cache_control"}),
    "tool_use": ({"id", "name", "input"}, {"cache_control", "caller"}),
    "tool_result": ({"tool_use_id"}, {"content", "is_error", "cache_control"}),
    "thinking": ({"thinking", "signature"}, set()),
    "redacted_thinking": ({"data"}, set()),
}
_ALLOWED = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
    "tool_result": ("text", "image", "document"),
    "system": ("text",),
}
_TOOL = {
    "name", "description", "input_schema", "type", "cache_control", "strict", "input_examples", "defer_loading",
    "eager_input_streaming", "allowed_callers",
}  # fmt: skip
_DOCS = "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
_MOST_OUTPUT_TOKENS = 128_000
_MOST_MARKS = 4


def turns(messages: Sequence[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Messages of one role in a row are one turn, as the real one merges them; with the place of the first."""
    found: list[tuple[int, dict[str, Any]]] = []
    for place, message in enumerate(messages):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        if found and found[-1][1]["role"] == message["role"]:
            found[-1][1]["content"] += blocks
        else:
            found.append((place, {"role": message["role"], "content": blocks}))
    return found


def check_body(body: dict[str, Any]) -> None:
    """Raises Refused in the real one's words."""
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            raise Refused(f"{name}: Field required")
    _only(body, _BODY, "")
    _check_numbers(body)
    _check_messages(body["messages"])
    if "system" in body:
        _check_system(body["system"])
    _check_tools(body)
    _check_thinking(body)
    _check_marks(body)
    _check_calls(body)


def _only(value: dict[str, Any], known: set[str], path: str) -> None:
    for name in value:
        if name not in known:
            raise Refused(f"{path + '.' if path else ''}{name}: Extra inputs are not permitted")


def _check_numbers(body: dict[str, Any]) -> None:
    most = body["max_tokens"]
    if not isinstance(most, int) or isinstance(most, bool):
        raise Refused("max_tokens: Input should be a valid integer")
    if most < 1:
        raise Refused("max_tokens: Input should be greater than or equal to 1")
    if most > _MOST_OUTPUT_TOKENS:
        raise Refused(
            f"max_tokens: {most} > {_MOST_OUTPUT_TOKENS}, which is the maximum allowed number of output tokens for"
            f" {body['model']}"
        )
    for name in ("temperature", "top_p"):
        if not 0 <= body.get(name, 0) <= 1:
            raise Refused(f"{name}: range: 0..1")
    if "temperature" in body and "top_p" in body:
        raise Refused("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    for number, text in enumerate(body.get("stop_sequences", ())):
        if not text.strip():
            raise Refused(f"stop_sequences: each stop sequence must contain non-whitespace ({number})")


# --- messages ---


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list):
        raise Refused("messages: Input should be a valid array")
    if not messages:
        raise Refused("messages: at least one message is required")
    for place, message in enumerate(messages):
        path = f"messages.{place}"
        if message.get("role") == "system":
            raise Refused(
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not'
                ' "system" as an input message role.'
            )
        if message.get("role") not in ("user", "assistant"):
            raise Refused(f"{path}.role: Input should be 'user' or 'assistant'")
        if "content" not in message:
            raise Refused(f"{path}.content: Field required")
        _only(message, {"role", "content"}, path)
        _check_content(message["content"], message["role"], path)
        if not message["content"]:
            last = place == len(messages) - 1
            if message["role"] == "user":
                raise Refused(f"{path}: user messages must have non-empty content")
            if not last:
                raise Refused(
                    f"{path}: all messages must have non-empty content except for the optional final assistant message"
                )
    if messages[0]["role"] != "user":
        raise Refused('messages: first message must use the "user" role')
    final = turns(messages)[-1][1]
    if final["role"] == "assistant" and final["content"]:
        end = final["content"][-1]
        if end["type"] == "text" and end["text"] != end["text"].rstrip():
            raise Refused("messages: final assistant content cannot end with trailing whitespace")


def _check_content(content: Any, role: str, path: str) -> None:
    if isinstance(content, str):
        if content and not content.strip():
            raise Refused("messages: text content blocks must contain non-whitespace text")
        return
    if not isinstance(content, list):
        raise Refused(f"{path}.content: Input should be a valid array")
    for index, block in enumerate(content):
        _check_block(block, role, f"{path}.content.{index}")


def _check_block(block: Any, role: str, path: str) -> None:
    if not isinstance(block, dict):
        raise Refused(f"{path}: Input should be a valid dictionary or object to extract fields from")
    kind, allowed = block.get("type"), _ALLOWED[role]
    if kind not in allowed:
        expected = ", ".join(f"'{name}'" for name in sorted(allowed))
        raise Refused(
            f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
        )
    needed, optional = _BLOCKS[kind]
    for name in sorted(needed - block.keys()):
        raise Refused(f"{path}.{kind}.{name}: Field required")
    _only(block, needed | optional | {"type"}, f"{path}.{kind}")
    if check := _CHECKS.get(kind):
        check(block, f"{path}.{kind}")


def _check_text(block: dict[str, Any], path: str) -> None:
    if not isinstance(block["text"], str):
        raise Refused(f"{path}.text: Input should be a valid string")
    if not block["text"]:
        if "cache_control" in block:
            raise Refused(f"{path}: cache_control cannot be set for empty text blocks")
        raise Refused("messages: text content blocks must be non-empty")
    if not block["text"].strip():
        raise Refused("messages: text content blocks must contain non-whitespace text")


def _check_source(block: dict[str, Any], path: str) -> None:
    source = block["source"]
    if source.get("type") == "url":
        _only(source, {"type", "url"}, f"{path}.source.url")
        return
    _only(source, {"type", "media_type", "data"}, f"{path}.source.base64")
    if block["type"] == "image" and source.get("media_type") not in _IMAGES:
        expected = ", ".join(f"'{name}'" for name in _IMAGES)
        raise Refused(f"{path}.source.base64.media_type: Input should be {expected}")
    try:
        data = base64.b64decode(source["data"], validate=True)
    except ValueError:
        raise Refused(f"{path}.source.base64: invalid base64 data") from None
    if not data:
        raise Refused(f"{path}.source.base64: image cannot be empty")


def _check_call(block: dict[str, Any], path: str) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]):
        raise Refused(f"{path}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,200}", block["name"]):
        raise Refused(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,200}}$'")
    if not isinstance(block["input"], dict):
        raise Refused(f"{path}.input: Input should be a valid dictionary")


def _check_result(block: dict[str, Any], path: str) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", block["tool_use_id"]):
        raise Refused(f"{path}.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    content = block.get("content", "")
    if not isinstance(content, str):
        _check_content(content, "tool_result", path)


_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "text": _check_text,
    "image": _check_source,
    "document": _check_source,
    "tool_use": _check_call,
    "tool_result": _check_result,
}


def _check_system(system: Any) -> None:
    if isinstance(system, str):
        return
    if not isinstance(system, list):
        raise Refused("system: Input should be a valid array")
    for index, block in enumerate(system):
        try:
            _check_block(block, "system", f"system.{index}")
        except Refused as refused:
            raise Refused(refused.message.replace("messages: text", "system: text")) from None


# --- tools ---


def _check_tools(body: dict[str, Any]) -> None:
    names: set[str] = set()
    for index, tool in enumerate(body.get("tools", ())):
        if tool.get("type", "custom") != "custom":  # one that runs at Anthropic's
            continue
        path = f"tools.{index}.custom"
        for name in ("name", "input_schema"):
            if name not in tool:
                raise Refused(f"{path}.{name}: Field required")
        _only(tool, _TOOL, path)
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]):
            raise Refused(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool["name"] in names:
            raise Refused("tools: Tool names must be unique.")
        names.add(tool["name"])
        _check_schema(tool["input_schema"], f"{path}.input_schema")
    choice = body.get("tool_choice")
    if choice and not body.get("tools"):
        raise Refused("tool_choice may only be specified while providing tools.")
    if choice and choice.get("type") not in ("auto", "any", "tool", "none"):
        raise Refused("tool_choice: Input tag does not match any of the expected tags: 'any', 'auto', 'none', 'tool'")


def _check_schema(schema: Any, path: str) -> None:
    if "type" not in schema:
        raise Refused(f"{path}.type: Field required")
    if schema["type"] != "object":
        raise Refused(f"{path}.type: Input should be 'object'")
    if {"oneOf", "allOf", "anyOf"} & schema.keys():
        raise Refused(f"{path}: input_schema does not support oneOf, allOf, or anyOf at the top level")
    for name in schema.get("properties") or {}:
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", name):
            raise Refused(f"{path}.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'")


def _check_thinking(body: dict[str, Any]) -> None:
    thinking = body.get("thinking")
    if thinking is None or thinking.get("type") == "disabled":
        return
    kind = thinking.get("type")
    if kind not in ("enabled", "adaptive"):
        raise Refused(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'adaptive',"
            " 'disabled', 'enabled'"
        )
    if kind == "enabled":
        if "budget_tokens" not in thinking:
            raise Refused("thinking.enabled.budget_tokens: Field required")
        _only(thinking, {"type", "budget_tokens", "display"}, "thinking.enabled")
        if thinking["budget_tokens"] < 1024:
            raise Refused("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if thinking["budget_tokens"] >= body["max_tokens"]:
            raise Refused(f"`max_tokens` must be greater than `thinking.budget_tokens`. {_DOCS}")
    else:
        _only(thinking, {"type", "display"}, "thinking.adaptive")
    if body.get("temperature", 1) != 1:
        raise Refused(f"`temperature` may only be set to 1 when thinking is enabled. {_DOCS}")
    if "top_k" in body:
        raise Refused(f"`top_k` must be unset when thinking is enabled. {_DOCS}")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")


def _check_marks(body: dict[str, Any]) -> None:
    """How many blocks are marked for the cache."""
    system = body.get("system", ())
    marked = [*body.get("tools", ()), *(() if isinstance(system, str) else system)]
    for _, turn in turns(body["messages"]):
        marked += turn["content"]
    count = sum("cache_control" in block for block in marked)
    if count > _MOST_MARKS:
        raise Refused(f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {count}.")
    for block in marked:
        if "cache_control" in block and block["cache_control"].get("type") != "ephemeral":
            raise Refused("cache_control.type: Input should be 'ephemeral'")
        if "cache_control" in block and block["type"] in ("thinking", "redacted_thinking"):
            raise Refused("cache_control: Extra inputs are not permitted")


# --- calls and their results ---


def _check_calls(body: dict[str, Any]) -> None:
    """Each call has its result at the beginning of the next message, and each result its call in the one before."""
    asked: list[str] = []
    before, seen = -1, set[str]()
    merged = turns(body["messages"])
    for place, turn in [*merged, (len(body["messages"]), {"role": "", "content": []})]:
        blocks = turn["content"]
        first = next((n for n, block in enumerate(blocks) if block["type"] != "tool_result"), len(blocks))
        at_once = [block["tool_use_id"] for block in blocks[:first]]
        if missing := [id_ for id_ in asked if id_ not in at_once]:
            raise Refused(
                f"messages.{before}: `tool_use` ids were found without `tool_result` blocks immediately after:"
                f" {', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next"
                " message."
            )
        _check_results(blocks, asked, place)
        asked, before = [block["id"] for block in blocks if block["type"] == "tool_use"], place
        if len(set(asked)) < len(asked) or seen & set(asked):
            raise Refused("messages: `tool_use` ids must be unique")
        seen |= set(asked)
    if seen and not body.get("tools"):
        raise Refused("Requests which include `tool_use` or `tool_result` blocks must define tools.")


def _check_results(blocks: list[Any], asked: list[str], place: int) -> None:
    told: set[str] = set()
    for index, block in enumerate(blocks):
        if block["type"] != "tool_result":
            continue
        id_ = block["tool_use_id"]
        if id_ not in asked:
            raise Refused(
                f"messages.{place}.content.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {id_}. Each"
                " `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if id_ in told:
            raise Refused(
                f"messages.{place}.content.{index}: each tool_use must have a single result. Found multiple"
                f" `tool_result` blocks with id: {id_}"
            )
        told.add(id_)
