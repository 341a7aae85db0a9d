"""Tokens: what one call of a model used, and about how many a text has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Of English letters as many, of Cyrillic ones two, of Chinese ones a little more than one.
BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1_000  # about what an image counts
_NOT_READ = frozenset({"role", "type", "id", "tool_call_id", "provider_state"})


@dataclass(frozen=True, slots=True)
class Tokens:
    """The last four are parts of the first two."""

    read: int
    written: int
    cached: int = 0
    cache_write: int = 0
    cache_write_hour: int = 0
    thought: int = 0


def weight(sent: Any) -> int:
    """Bytes of text in what a model is sent or has written (lines, tools, texts), without the names of fields."""
    match sent:
        case str():
            return len(sent.encode(errors="replace"))
        case {"type": "image_url"}:
            return IMAGE_TOKENS * BYTES_PER_TOKEN
        case dict():
            return sum(weight(value) for name, value in sent.items() if name not in _NOT_READ)
        case list() | tuple():
            return sum(map(weight, sent))
    return 0
