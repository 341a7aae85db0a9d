"""Reads Ollama's protocol: JSON lines from /api/chat (and /api/generate).

Source: Ollama's API documentation, "Generate a chat completion".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assistant.llm import finish_reasons
from assistant.llm.calls import Fragments
from assistant.llm.pieces import Finish, Kept, Reasoning
from assistant.llm.provider_error import ProviderError, error_in, is_error
from assistant.llm.reader import Raw, RawUsage, listed
from assistant.llm.thinking import ThinkTagSplitter


class OllamaReader:
    def __init__(self) -> None:
        self.is_done = False
        self._ending: str | None = None
        self._calls = Fragments()
        self._tags = ThinkTagSplitter()
        self._thoughts: list[str] = []

    @property
    def is_finished(self) -> bool:
        return self.is_done

    def event(self, name: str, value: Any) -> Iterator[Raw]:
        if is_error(value):
            raise error_in(value)
        if not isinstance(value, Mapping):
            raise ProviderError(f"the stream holds no object: {str(value)[:200]}", 502)
        message = value.get("message")
        message = message if isinstance(message, Mapping) else value
        if isinstance(thinking := message.get("thinking"), str) and thinking:
            self._thoughts.append(thinking)
            self._tags.tell_apart()
            yield Reasoning(thinking)
        if isinstance(content := message.get("content") or message.get("response"), str) and content:
            yield from self._tags.split(content)
        for call in listed(message.get("tool_calls")):
            if isinstance(call, Mapping) and isinstance(function := call.get("function"), Mapping):
                self._calls.add(None, call.get("id"), function.get("name"), function.get("arguments") or {})
        if value.get("done"):
            self.is_done = True
            # Old servers give no reason.
            self._ending = finish_reasons.of(value.get("done_reason")) or finish_reasons.STOP
            yield RawUsage(value)

    def end(self) -> Iterator[Raw]:
        yield from self._tags.end()
        if self._ending == finish_reasons.ERROR:
            raise ProviderError("Ollama loaded or unloaded the model and answered nothing", 503)
        if self._ending is None:
            return
        yield from self._calls.whole()
        if self._thoughts:
            yield Kept({"reasoning_content": "".join(self._thoughts)})
        yield Finish(self._ending)
