"""Whatever stands in any place of a stream: its reader yields pieces of the right types, or raises a provider's error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.failures import SENTENCES
from assistant.llm import errors
from assistant.llm.anthropic import MessagesReader
from assistant.llm.cleaning import Cleaning
from assistant.llm.error_body import said_in
from assistant.llm.gemini import GeminiReader
from assistant.llm.ollama import OllamaReader
from assistant.llm.openai_chat import ChatReader
from assistant.llm.pieces import Finish, Kept, ModelError, Picture, Reasoning, Source, Text, ToolCall
from assistant.llm.provider_error import ProviderError
from assistant.llm.reader import RawUsage
from assistant.llm.responses import ResponsesReader

ODD: tuple[Any, ...] = (
    None, True, -1, 0.5, 10**30, "", "7", "\x00", "\ud83d", [], [None], [[]], {}, {"": None}, ["x"], {"text": 7},
)  # fmt: skip
READERS: dict[str, Any] = {
    "openai": ChatReader, "anthropic": MessagesReader, "gemini": GeminiReader, "ollama": OllamaReader,
    "responses": ResponsesReader,
}  # fmt: skip
STREAMS = json.loads((Path(__file__).parent / "streams.json").read_text())  # one of each kind of event


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, name))


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    whole = copy.deepcopy(value)
    inner = whole
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = odd
    return whole


def read(reader: Any, events: list[Any]) -> None:
    """As `llm.stream` does, with all that becomes of a piece before it is stored."""
    it, cleaning = reader(), Cleaning()
    try:
        for event in events:
            for piece in it.event("", event):
                check(piece, cleaning)
        for piece in it.end():
            check(piece, cleaning)
    except ModelError as error:
        error.raw.encode()
    except ProviderError as error:
        assert errors.judged(error.status_code, said_in(error.body))[0] in SENTENCES


def check(piece: Any, cleaning: Cleaning) -> None:
    if isinstance(piece, RawUsage):
        return  # tests/test_money.py has odd figures
    for whole in cleaning.cleaned(piece):
        match whole:
            case Text(text) | Reasoning(text) | Finish(text):
                assert isinstance(text, str) and text.encode() is not None
            case ToolCall(id_, name, arguments, extra):
                assert all(isinstance(one, str) for one in (id_, name, arguments)) and isinstance(extra, dict)
            case Source(url, title):
                assert isinstance(url, str) and isinstance(title, str)
            case Picture(type_, data):
                assert isinstance(type_, str) and isinstance(data, bytes)
            case Kept(fields):
                assert isinstance(fields, dict)


@pytest.mark.parametrize("protocol", READERS)
def test_any_value_in_any_place_harms_no_reader(protocol):
    reader, events = READERS[protocol], STREAMS[protocol]
    read(reader, events)
    for number, event in enumerate(events):
        for path in places(event):
            for odd in ODD:
                try:
                    read(reader, [*events[:number], changed(event, path, odd), *events[number + 1 :]])
                except Exception as error:
                    raise AssertionError(f"{odd!r} at {path} of {event}") from error
