"""Reads OpenAI's protocol (chat completions), as it is spoken by a hundred servers.

Source: OpenAI's API reference, "Chat Completions, streaming"; what others add is named where it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assistant.llm import finish_reasons
from assistant.llm.calls import Fragments
from assistant.llm.framing import DONE, SIGNS_OF_LIFE
from assistant.llm.pieces import Finish, Kept, Reasoning, Source, Text
from assistant.llm.provider_error import ProviderError, error_in, is_error
from assistant.llm.reader import Raw, RawUsage, listed, picture
from assistant.llm.thinking import ThinkTagSplitter

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


class ChatReader:
    def __init__(self) -> None:
        self.is_done = False
        self._ending: str | None = None
        self._said: object = None
        self._choice: Any = _NONE  # the index of the one choice that is read
        self._has_refused = False
        self._has_streamed = False
        self._is_reason_proof = True  # no server that gives one with each chunk
        self._other: Any = None  # the first thing that is no chunk of an answer
        self._calls = Fragments()
        self._tags = ThinkTagSplitter()
        self._thoughts: list[str] = []
        self._thoughts_in = ""  # the field that they come in
        self._details: list[Any] = []  # OpenRouter's reasoning_details
        self._blocks: list[Any] = []  # litellm's thinking_blocks, from its proxy
        self._signatures: list[Any] = []
        self._sources: dict[str, Source] = {}

    @property
    def is_finished(self) -> bool:
        return self._ending is not None and self._is_reason_proof

    def event(self, name: str, value: Any) -> Iterator[Raw]:
        if self.is_done:
            return
        if value is DONE:
            self.is_done = True
        elif name == "error" or is_error(value):
            raise error_in(value)
        elif not isinstance(value, Mapping):
            raise ProviderError(f"the stream holds no object: {str(value)[:200]}", 502)
        else:
            yield from self._chunk(value)

    def end(self) -> Iterator[Raw]:
        yield from self._tags.end()
        yield from self._sources.values()
        if self._ending == finish_reasons.ERROR:
            raise ProviderError(f"the provider ended the answer with {self._said!r}", 502)
        if self._ending is None:
            if self._other is not None and self._choice is _NONE:
                raise ProviderError(f"this is no answer of a model: {str(self._other)[:500]}", 502, self._other)
            return
        yield from self._calls.whole()
        if kept := self._kept():
            yield Kept(kept)
        yield Finish(finish_reasons.REFUSAL if self._has_refused else self._ending)

    def end_said(self, reason: Any) -> None:
        """Why it stopped, in the provider's word; None: it has not said."""
        if found := finish_reasons.of(reason):
            self._ending, self._said = found, reason

    def _chunk(self, chunk: Mapping[str, Any]) -> Iterator[Raw]:
        for choice in _choices(chunk.get("choices")):
            if isinstance(choice, Mapping) and self._is_ours(choice.get("index")):
                yield from self._of_choice(choice)
        if "choices" not in chunk and "usage" not in chunk and chunk.get("type") not in SIGNS_OF_LIFE:
            self._other = self._other or chunk
        if isinstance(usage := chunk.get("usage") or _groq(chunk), Mapping):
            yield RawUsage(usage)
        self._note_sources(chunk.get("citations"), chunk.get("search_results"))

    def _is_ours(self, index: Any) -> bool:
        index = int(index) if isinstance(index, str) and index.isdecimal() else index
        if self._choice in (_NONE, None):
            self._choice = index
        return index is None or index == self._choice

    def _of_choice(self, choice: Mapping[str, Any]) -> Iterator[Raw]:
        delta, message = choice.get("delta"), choice.get("message")
        pieces = self._delta(delta) if isinstance(delta, Mapping) else self._content(delta)
        for piece in pieces:
            self._has_streamed = True
            self._is_reason_proof = self._is_reason_proof and self._ending is None
            yield piece
        if isinstance(message, Mapping):  # no stream; or what was streamed, once more
            if not self._has_streamed and not self._calls:
                yield from self._delta(message)
            elif not self._calls:
                self._add_all(message.get("tool_calls"))
        elif not delta and isinstance(text := choice.get("text"), str):  # the older completions' protocol
            yield from self._tags.split(text)
        self.end_said(choice.get("finish_reason"))
        if isinstance(usage := choice.get("usage"), Mapping):  # Moonshot's place for it
            yield RawUsage(usage)

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Raw]:
        yield from self._reasoning(delta)
        yield from self._content(delta.get("content"))
        if isinstance(refusal := delta.get("refusal"), str) and refusal:
            self._has_refused = True
            yield Text(refusal)
        for image in listed(delta.get("images")):
            yield from self._image(image)
        self._note_sources(delta.get("annotations"))
        if isinstance(fields := delta.get("provider_specific_fields"), Mapping):
            self._signatures += listed(fields.get("thought_signatures"))
            self._note_sources([fields.get("citation")])  # Anthropic's, as litellm tells them
        self._add_all(delta.get("tool_calls"))
        if isinstance(call := delta.get("function_call"), Mapping):  # before there were tools
            self._calls.add(0, None, call.get("name"), call.get("arguments"))

    def _reasoning(self, delta: Mapping[str, Any]) -> Iterator[Reasoning]:
        details = listed(delta.get("reasoning_details"))
        self._details += details
        self._blocks += listed(delta.get("thinking_blocks"))
        for field in _THOUGHTS:
            if text := _words(delta.get(field)):
                self._thoughts_in = field
                break
        else:
            text = "".join(map(_words, details))
        if text:
            self._thoughts.append(text)
            self._tags.tell_apart()
            yield Reasoning(text)

    def _content(self, content: Any) -> Iterator[Raw]:
        if isinstance(content, str):
            if content:
                yield from self._tags.split(content)
            return
        if isinstance(content, int | float) and not isinstance(content, bool):
            yield from self._tags.split(str(content))
        for part in [content] if isinstance(content, Mapping) else listed(content):
            if isinstance(part, str):
                yield from self._tags.split(part)
            elif isinstance(part, Mapping):
                yield from self._part(part)

    def _part(self, part: Mapping[str, Any]) -> Iterator[Raw]:
        kind = str(part.get("type") or "text")
        if kind.startswith(("thinking", "reasoning")):
            if text := _words(part):
                self._thoughts.append(text)
                self._tags.tell_apart()
                yield Reasoning(text)
        elif kind in ("image_url", "image", "output_image"):
            yield from self._image(part)
        elif text := _words(part):
            self._has_refused = self._has_refused or kind == "refusal"
            yield from self._tags.split(text)

    def _image(self, image: Any) -> Iterator[Raw]:
        if isinstance(image, Mapping):
            inner = image.get("image_url") or image.get("url")
            if found := picture(inner.get("url") if isinstance(inner, Mapping) else inner):
                yield found

    def _add_all(self, fragments: Any) -> None:
        fragments = [fragments] if isinstance(fragments, Mapping) else listed(fragments)
        for number, fragment in enumerate(fragments):
            if isinstance(fragment, Mapping):
                self._add(number if len(fragments) > 1 else None, fragment)

    def _add(self, number: int | None, fragment: Mapping[str, Any]) -> None:
        function = fragment.get("function")
        function = function if isinstance(function, Mapping) else fragment
        extra = {name: fragment[name] for name in ("extra_content", "provider_specific_fields") if fragment.get(name)}
        index = fragment.get("index")
        if index is None and not fragment.get("id") and not function.get("name"):
            index = number
        arguments = next((function[name] for name in _ARGUMENTS_IN if name in function), None)
        self._calls.add(index, fragment.get("id"), function.get("name"), arguments, extra)

    def _note_sources(self, *lists: Any) -> None:
        """Annotations (OpenAI, OpenRouter), citations (Perplexity, xAI) and search results, each address once."""
        for found in (one for several in lists for one in listed(several)):
            if isinstance(found, Mapping):
                cited = found.get("url_citation")
                cited = cited if isinstance(cited, Mapping) else found
                url, title = cited.get("url"), cited.get("title")
            else:
                url, title = found, ""
            if isinstance(url, str) and url and (title or url not in self._sources):
                self._sources[url] = Source(url, title if isinstance(title, str) else "")

    def _kept(self) -> dict[str, Any]:
        """Thoughts as this server wants them back: in the field in which it sent them."""
        if self._details:
            return {"reasoning_details": _joined(self._details)}
        kept: dict[str, Any] = {"thinking_blocks": _joined(self._blocks)} if self._blocks else {}
        if self._signatures:  # Gemini's, as litellm tells them
            kept["provider_specific_fields"] = {"thought_signatures": self._signatures}
        if self._thoughts_in:
            kept[self._thoughts_in] = "".join(self._thoughts)
        return kept


_NONE = object()
_ARGUMENTS_IN = ("arguments", "parameters", "input")


def _choices(value: Any) -> Sequence[Any]:
    """Some send the one choice without its list, some an object by index."""
    if isinstance(value, Mapping):
        return [value] if "delta" in value or "message" in value else list(value.values())
    return listed(value)


def _groq(chunk: Mapping[str, Any]) -> Any:
    return (chunk.get("x_groq") or {}).get("usage") if isinstance(chunk.get("x_groq"), Mapping) else None


_WORDS_IN = ("text", "thinking", "reasoning", "content", "summary", "value", "refusal")


def _words(value: Any) -> str:
    """The text in what some send as a string, some as a part or a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return next((text for name in _WORDS_IN if (text := _words(value.get(name)))), "")
    return "".join(map(_words, value)) if isinstance(value, list) else ""


_GROWING = ("text", "summary", "thinking", "data")


def _joined(parts: Sequence[Any]) -> list[Any]:
    """Fragments of one block in a row (the same type, index and id), put together: their texts appended."""
    whole: list[Any] = []
    texts: list[dict[str, list[str]]] = []  # of each of `whole`, what is appended at the end, once
    for part in parts:
        before = whole[-1] if whole else None
        if not isinstance(part, Mapping):
            whole.append(part)
            texts.append({})
            continue
        if not isinstance(before, dict) or not _is_same_block(before, part):
            before = {}
            whole.append(before)
            texts.append({})
        for name, value in part.items():
            if isinstance(value, str) and name in _GROWING:
                texts[-1].setdefault(name, []).append(value)
            if value is not None or name not in before:
                before[name] = value
    for block, grown in zip(whole, texts, strict=True):
        for name, pieces in grown.items():
            block[name] = "".join(pieces)
    return whole


def _is_same_block(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (
        one.get("type") == other.get("type")
        and all(
            one.get(name) == other.get(name) or None in (one.get(name), other.get(name)) for name in ("index", "id")
        )
        and not (one.get("signature") and other.get("text"))
    )
