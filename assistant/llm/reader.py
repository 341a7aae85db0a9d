"""What each protocol's reader has in common: events of one answer in, pieces out."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from assistant.llm.pieces import Picture, Piece, Source


@dataclass(frozen=True, slots=True)
class RawUsage:
    figures: Mapping[str, Any]  # as the provider sent them; see `assistant.llm.money`


Raw = Piece | RawUsage


class Reader(Protocol):
    """Of one answer. It is fed by `assistant.llm.lane` and raises ProviderError where the provider says that it failed."""

    is_done: bool  # nothing more will come

    @property
    def is_finished(self) -> bool:
        """Whether the model is at its end: if the line breaks now, only figures are missing."""

    def event(self, name: str, value: Any) -> Iterator[Raw]:
        """Takes one event: its name and its JSON value, or framing.DONE."""

    def end(self) -> Iterator[Raw]:
        """What is left when the answer has ended in order: calls, what to keep, and the reason, if there was one."""


# What a field holds, where servers send what they like.


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def words(value: Any) -> str:
    return value if isinstance(value, str) else ""


_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]+)?(;[\w=-]+)*?;base64,", re.ASCII)


def picture(url: Any) -> Picture | Source | None:
    """An image that a model made, from the address that it is sent as: its bytes, or where it is."""
    if not isinstance(url, str):
        return None
    if url.startswith(("https://", "http://")):
        return Source(url, "Image")
    if found := _DATA_URL.match(url):
        return encoded_picture(found["type"], url[found.end() :])
    return None


def encoded_picture(type_: Any, data: Any) -> Picture | None:
    """The same from its media type and its bytes in base64."""
    try:
        return Picture(str(type_ or "image/png"), base64.b64decode(data))
    except (TypeError, ValueError, binascii.Error):
        return None
