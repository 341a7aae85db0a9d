"""A prompt as one particular model takes it: whatever the history, no provider refuses it. Pure.

What stands here is what servers refuse. Strict templates of chats (llama.cpp, vLLM, LM Studio) and Mistral's API take one
`system` and only first, then people and assistant in turn, and no question right behind a tool's result; Anthropic's,
Gemini's and Bedrock's take no empty text; all take a call only with its result. All models are told by the same rules,
which harm none, so that a session can go on with any other model at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from assistant.llm import kept
from assistant.llm.kept import with_thoughts, without_thinking
from assistant.llm.pairing import whole_pairs, with_ids
from assistant.text.blank import is_blank

__all__ = ["adapted", "may_think", "without_thinking"]

ChatMessage = dict[str, Any]

GO_ON = "Go on."  # in the place of a question, where a model would have none to answer
READ = "I have the results."  # between a tool's result and what people said then
UNSEEN = "[you can't see this image]"


def adapted(model: str, messages: Sequence[ChatMessage], *, sees: bool) -> list[ChatMessage]:
    """`messages` (OpenAI's chat format, see `assistant.prompt.history`) as `model` (a litellm id) takes them.

    An assistant's line may carry `provider_state`, see `assistant.llm.kept`. Lines that `model` takes come out as they
    are, so a prompt begins as the one before it did and a provider's cache holds.
    """
    lines = with_thoughts(model, with_ids(model, _in_turn(messages)))
    lines = [*_system(messages), *lines]
    if _wants_no_system(model):
        lines = _system_said(lines)
    return lines if sees else without_images(lines)


def may_think(model: str, messages: Sequence[ChatMessage]) -> bool:
    """Whether a request with these `messages` may ask `model` to think; else take `without_thinking` of its parameters."""
    return kept.may_think(model, _in_turn(messages))


# --- the order ---


def _system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """All that is said as the system's, as one message."""
    texts = [_text(line.get("content")) for line in messages if _is_system(line)]
    content = "\n\n".join(text for text in texts if not is_blank(text))
    return [{"role": "system", "content": content}] if content else []


def _is_system(line: ChatMessage) -> bool:
    return line["role"] in ("system", "developer")


def _in_turn(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """People and assistant in turn: people first, and never the assistant last.

    Calls and their results stand between them; for whoever counts turns they don't count.
    """
    lines: list[ChatMessage] = []
    pairs = whole_pairs([line for line in messages if not _is_system(line)])
    for line in filter(None, map(_without_blanks, pairs)):
        last = lines[-1]["role"] if lines else ""
        if last == "tool" and line["role"] == "user":
            lines.append({"role": "assistant", "content": READ})
        if last == line["role"] != "tool":
            # Where the last one is the assistant's, it has no calls: their results follow.
            lines[-1] = _merged(lines[-1], line)
            continue
        if not last and line["role"] != "user":
            lines.append({"role": "user", "content": GO_ON})
        lines.append(line)
    if not lines or (lines[-1]["role"] == "assistant" and not lines[-1].get("prefix")):
        lines.append({"role": "user", "content": GO_ON})
    return lines


def _without_blanks(line: ChatMessage) -> ChatMessage | None:
    """The line without text in which there is nothing to see; None if nothing is left."""
    content = line.get("content")
    if isinstance(content, list):
        parts = [part for part in content if part.get("type") != "text" or not is_blank(part.get("text") or "")]
        content = parts or None
    elif content is not None and is_blank(content):
        content = None
    if content is None and not line.get("tool_calls"):
        return None
    return line if content == line.get("content") else line | {"content": content}


def _merged(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    return first | second | {"content": _joined(first.get("content"), second.get("content"))}


def _joined(first: Any, second: Any) -> Any:
    """Two contents as one: texts with a blank line between, or else lists of parts."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_parts(first), *_parts(second)]


def _parts(content: Any) -> Iterable[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n\n".join(part["text"] for part in content if part.get("text"))
    return content or ""


# --- what some take and others don't ---


# A generation, not a size: gemma-4-31b, but not medgemma-4b.
_GEMMA_WITH_SYSTEM = re.compile(r"gemma[-:]?[4-9](?![\d.]*b)")


def _wants_no_system(model: str) -> bool:
    """Gemma's templates put it into the first question themselves, or refuse it; the fourth generation's takes it."""
    name = model.lower()
    return "gemma" in name and not _GEMMA_WITH_SYSTEM.search(name)


def _system_said(lines: list[ChatMessage]) -> list[ChatMessage]:
    if lines[0]["role"] != "system":
        return lines
    system, first, *rest = lines
    return [_merged(system, first), *rest]


def without_images(messages: list[ChatMessage]) -> list[ChatMessage]:
    """A prompt that was made for a model that sees, for one that doesn't (it fell back to it)."""
    return [_as_text(message) if isinstance(message.get("content"), list) else message for message in messages]


def _as_text(message: ChatMessage) -> ChatMessage:
    texts = [part.get("text") or UNSEEN for part in message["content"]]
    return message | {"content": "\n\n".join(texts)}
