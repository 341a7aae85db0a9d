"""What a model's stream is made of, whoever reads it from the wire, and the error in which it may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assistant.failures import sentence
from assistant.text.blank import is_blank
from assistant.text.storable import clean


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thinks on its way, never part of its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class WasThought:
    """All text of this request until here was thought: its template had opened the thoughts, so no tag began them."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asks for, whole: yielded once, after its last fragment and before `Finish`."""

    id: str
    name: str  # as the model wrote it; there may be no such tool
    arguments: str  # as the model wrote them; they may not be JSON
    # What the provider wants back unchanged with this call: fields of a call in litellm's chat format.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the provider wants back unchanged with the calls of this round, told once, before `Finish`."""

    fields: Mapping[
        str, Any
    ]  # of the assistant's message in litellm's chat format: thinking_blocks, reasoning_content, ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where something that the answer says comes from."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that the model made."""

    type: str  # its media type, as the provider says
    data: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request used; a later one of the same request replaces an earlier one."""

    # {"prompt_tokens": int, "completion_tokens": int, "total_tokens": int, "cost": float|None, "cached_tokens": int,
    # "cache_write_tokens": int, "reasoning_tokens": int}, see `assistant.llm.money`
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finish:
    reason: str  # the provider's word, in OpenAI's terms: stop, length, content_filter, tool_calls, refusal


Piece = Text | Reasoning | WasThought | ToolCall | Kept | Source | Picture | Usage | Finish


class ModelError(Exception):
    """The model could not answer. `code` is a category of `assistant.failures`, `detail` for people, `raw` for the log."""

    def __init__(
        self, code: str, raw: str, detail: str = "", *, is_transient: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.raw = clean(raw)  # both are stored
        self.detail = clean(detail) or sentence(code)
        self.is_transient = is_transient  # the same request may well succeed in a moment
        self.retry_after = retry_after  # seconds, where the provider says when


def has_begun(before: bool, piece: object) -> bool:
    """Whether a request has said something that stands once `piece` has come; `before`, whether it had until then.

    Blank text says nothing, and what turns out to have been thought all along has not been said.
    """
    match piece:
        case Text(text) if not is_blank(text):
            return True
        case ToolCall() | Picture():
            return True
        case WasThought():
            return False
    return before
