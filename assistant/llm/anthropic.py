"""Reads Anthropic's protocol (Messages).

Source: Anthropic's API reference, "Streaming messages", "Extended thinking".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assistant.llm import finish_reasons
from assistant.llm.calls import Fragments
from assistant.llm.pieces import Finish, Kept, Reasoning, Source
from assistant.llm.provider_error import ProviderError, error_in, is_error
from assistant.llm.reader import Raw, RawUsage, listed, mapping, words
from assistant.llm.thinking import ThinkTagSplitter


class MessagesReader:
    def __init__(self) -> None:
        self.is_done = False
        self._ending: str | None = None
        self._usage: dict[str, Any] = {}
        self._calls = Fragments()
        self._tags = ThinkTagSplitter(is_told_apart=True)
        self._thinking: dict[Any, dict[str, Any]] = {}  # blocks by index, as they have to come back
        self._thoughts: dict[Any, list[str]] = {}  # what their deltas have brought
        self._sources: dict[str, Source] = {}

    @property
    def is_finished(self) -> bool:
        return self._ending is not None

    def event(self, name: str, value: Any) -> Iterator[Raw]:
        if name == "error" or is_error(value):
            raise error_in(value)
        if not isinstance(value, Mapping):
            raise ProviderError(f"the stream holds no object: {str(value)[:200]}", 502)
        index = value.get("index")
        index = index if isinstance(index, int) else 0
        match value.get("type") or name:
            case "message_start":
                yield from self._figures(mapping(value.get("message")))
            case "content_block_start":
                yield from self._block(index, mapping(value.get("content_block")))
            case "content_block_delta":
                yield from self._delta(index, mapping(value.get("delta")))
            case "message_delta":
                self._end_said(mapping(value.get("delta")).get("stop_reason"))
                yield from self._figures(value)
            case "message_stop":
                self.is_done = True
            case "message":  # an answer that came as a whole
                for number, block in enumerate(listed(value.get("content"))):
                    yield from self._block(number, mapping(block))
                self._end_said(value.get("stop_reason"))
                yield from self._figures(value)

    def end(self) -> Iterator[Raw]:
        yield from self._tags.end()
        yield from self._sources.values()
        if self._ending is None:
            return
        yield from self._calls.whole()
        for index, thoughts in self._thoughts.items():
            held = self._thinking[index]
            held["thinking"] = "".join([held.get("thinking", ""), *thoughts])
        if blocks := [block for _, block in sorted(self._thinking.items())]:
            yield Kept({"thinking_blocks": blocks})
        yield Finish(self._ending)

    def _end_said(self, reason: Any) -> None:
        self._ending = finish_reasons.of(reason) or self._ending

    def _figures(self, message: Mapping[str, Any]) -> Iterator[Raw]:
        """What `message_start` says of the prompt stays true where `message_delta` says it again only in part."""
        told = {name: figure for name, figure in mapping(message.get("usage")).items() if figure is not None}
        if told:
            self._usage |= told
            yield RawUsage(dict(self._usage))

    def _block(self, index: Any, block: Mapping[str, Any]) -> Iterator[Raw]:
        match block.get("type"):
            case "text":
                for citation in listed(block.get("citations")):
                    self._cite(citation)
                if text := words(block.get("text")):
                    yield from self._tags.split(text)
            case "thinking":
                held = {"type": "thinking", "thinking": "", "signature": ""}
                self._thinking[index] = held | {name: words(block.get(name)) for name in held if name != "type"}
                if thought := words(block.get("thinking")):
                    yield Reasoning(thought)
            case "redacted_thinking":
                self._thinking[index] = {"type": "redacted_thinking", "data": words(block.get("data"))}
            case "tool_use":
                self._calls.add(index, block.get("id"), block.get("name"), block.get("input") or None)

    def _delta(self, index: Any, delta: Mapping[str, Any]) -> Iterator[Raw]:
        match delta:
            case {"type": "text_delta", "text": str(text)} if text:
                yield from self._tags.split(text)
            case {"type": "thinking_delta", "thinking": str(thought)}:
                self._thinking.setdefault(index, {"type": "thinking", "thinking": "", "signature": ""})
                self._thoughts.setdefault(index, []).append(thought)
                if thought:
                    yield Reasoning(thought)
            case {"type": "signature_delta", "signature": str(signature)}:
                block = self._thinking.setdefault(index, {"type": "thinking", "thinking": "", "signature": ""})
                block["signature"] += signature
            case {"type": "input_json_delta", "partial_json": str(fragment)}:
                self._calls.add(index, None, None, fragment)
            case {"type": "citations_delta", "citation": citation}:
                self._cite(citation)

    def _cite(self, citation: Any) -> None:
        if isinstance(citation, Mapping) and isinstance(url := citation.get("url"), str):
            self._sources[url] = Source(url, str(citation.get("title") or ""))
