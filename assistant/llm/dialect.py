"""A prompt as one particular model takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ChatMessage = dict[str, Any]


def adapted(model: str, messages: Sequence[ChatMessage], *, sees: bool) -> list[ChatMessage]:
    """`messages` (OpenAI's chat format, see `assistant.history`) as `model` (a litellm id) takes them.

    An assistant's line may carry `provider_state`: {"model": id, "message": {...}, "calls": {call id: {...}}}, what the
    model of that id wants back unchanged with its calls. That model is given it; any other isn't.
    """
    lines = [_with_state(model, message) for message in messages]
    return lines if sees else without_images(lines)


def _with_state(model: str, message: ChatMessage) -> ChatMessage:
    if "provider_state" not in message:
        return message
    line = {name: value for name, value in message.items() if name != "provider_state"}
    state: Mapping[str, Any] = message["provider_state"] or {}
    if state.get("model") != model:
        return line
    extras = state.get("calls", {})
    calls = [call | extras.get(call["id"], {}) for call in line.get("tool_calls", ())]
    return line | ({"tool_calls": calls} if calls else {}) | state.get("message", {})


def without_images(messages: list[ChatMessage]) -> list[ChatMessage]:
    """A prompt that was made for a model that sees, for one that doesn't (it fell back to it)."""
    return [_as_text(message) if isinstance(message.get("content"), list) else message for message in messages]


def _as_text(message: ChatMessage) -> ChatMessage:
    texts = [part.get("text") or "[you can't see this image]" for part in message["content"]]
    return message | {"content": "\n\n".join(texts)}
