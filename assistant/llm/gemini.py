"""Reads Gemini's protocol (streamGenerateContent), of Google AI Studio and of Vertex AI.

Source: Google's API reference, "GenerateContentResponse", "Thought signatures".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assistant.llm import finish_reasons
from assistant.llm.calls import Fragments
from assistant.llm.pieces import Finish, Kept, Reasoning, Source, Text
from assistant.llm.provider_error import ProviderError, error_in, is_error
from assistant.llm.reader import Raw, RawUsage, encoded_picture, listed, mapping
from assistant.llm.thinking import ThinkTagSplitter


class GeminiReader:
    """`finishReason` stands on every chunk of some servers, so it proves an end only where the stream ended in order."""

    is_finished = False

    def __init__(self) -> None:
        self.is_done = False
        self._ending: str | None = None
        self._said: Any = None
        self._calls = Fragments()
        self._tags = ThinkTagSplitter(is_told_apart=True)
        self._signatures: list[str] = []  # of parts that are no calls
        self._sources: dict[str, Source] = {}

    def event(self, name: str, value: Any) -> Iterator[Raw]:
        if name == "error" or is_error(value):
            raise error_in(value)
        if not isinstance(value, Mapping):
            raise ProviderError(f"the stream holds no object: {str(value)[:200]}", 502)
        if isinstance(inner := value.get("response"), Mapping):  # Code Assist's envelope
            value = inner
        if mapping(value.get("promptFeedback")).get("blockReason"):
            self._ending, self._said = finish_reasons.CONTENT_FILTER, value["promptFeedback"]["blockReason"]
        for candidate in listed(value.get("candidates"))[:1]:
            yield from self._candidate(mapping(candidate))
        if isinstance(usage := value.get("usageMetadata"), Mapping):
            yield RawUsage(usage)

    def end(self) -> Iterator[Raw]:
        yield from self._tags.end()
        yield from self._sources.values()
        if self._ending == finish_reasons.ERROR:
            raise ProviderError(f"the provider ended the answer with {self._said!r}", 502)
        if self._ending is None:
            return
        yield from self._calls.whole()
        if self._signatures:
            yield Kept({"provider_specific_fields": {"thought_signatures": self._signatures}})
        yield Finish(self._ending)

    def _candidate(self, candidate: Mapping[str, Any]) -> Iterator[Raw]:
        for part in listed(mapping(candidate.get("content")).get("parts")):
            yield from self._part(mapping(part))
        for chunk in listed(mapping(candidate.get("groundingMetadata")).get("groundingChunks")):
            self._cite(mapping(chunk).get("web") or mapping(chunk).get("retrievedContext"))
        for source in listed(mapping(candidate.get("citationMetadata")).get("citationSources")):
            self._cite(source)
        if found := finish_reasons.of(candidate.get("finishReason")):
            self._ending, self._said = found, candidate.get("finishReason")

    def _part(self, part: Mapping[str, Any]) -> Iterator[Raw]:
        signature = part.get("thoughtSignature")
        if isinstance(call := part.get("functionCall"), Mapping):
            extra = {"provider_specific_fields": {"thought_signature": signature}} if signature else {}
            # An index of its own for each: a call comes whole.
            self._calls.add(object(), call.get("id"), call.get("name"), call.get("args") or {}, extra)
            return
        if isinstance(signature, str) and signature:
            self._signatures.append(signature)
        if isinstance(text := part.get("text"), str) and text:
            yield from [Reasoning(text)] if part.get("thought") else self._tags.split(text)
        elif isinstance(data := part.get("inlineData"), Mapping):
            if found := encoded_picture(data.get("mimeType"), data.get("data")):
                yield found
        elif isinstance(code := part.get("executableCode"), Mapping):
            yield Text(f"\n\n```{str(code.get('language', '')).lower()}\n{code.get('code', '')}\n```\n\n")
        elif isinstance(result := part.get("codeExecutionResult"), Mapping):
            yield Text(f"\n\n```\n{result.get('output', '')}\n```\n\n")

    def _cite(self, source: Any) -> None:
        if isinstance(source, Mapping) and isinstance(url := source.get("uri"), str):
            self._sources[url] = Source(url, str(source.get("title") or ""))
