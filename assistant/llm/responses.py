"""Reads and writes OpenAI's Responses protocol, which some of its models speak alone.

Source: OpenAI's API reference, "Responses", "Streaming events", "Reasoning models".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assistant.llm import finish_reasons
from assistant.llm.calls import Fragments
from assistant.llm.pieces import Finish, Kept, Reasoning, Source, Text
from assistant.llm.provider_error import ProviderError, error_in, is_error
from assistant.llm.reader import Raw, RawUsage, encoded_picture, listed, mapping, words
from assistant.llm.thinking import ThinkTagSplitter

ChatMessage = Mapping[str, Any]
ITEMS = "reasoning_items"  # the field of an assistant's line that carries the items to send back


class ResponsesReader:
    def __init__(self) -> None:
        self.is_done = False
        self._ending: str | None = None
        self._has_refused = False
        self._is_streamed = False
        self._summary: Any = None  # the part of the thoughts that is being read
        self._calls = Fragments()
        self._tags = ThinkTagSplitter(is_told_apart=True)
        self._items: list[dict[str, Any]] = []
        self._sources: dict[str, Source] = {}

    @property
    def is_finished(self) -> bool:
        return self._ending is not None

    def event(self, name: str, value: Any) -> Iterator[Raw]:
        if not isinstance(value, Mapping):
            raise ProviderError(f"the stream holds no object: {str(value)[:200]}", 502)
        kind = words(value.get("type")) or name
        if kind == "error" or (not kind and is_error(value)):
            raise error_in(value)
        if value.get("object") == "response" and not kind:  # an answer that came as a whole
            yield from self._whole(value)
            return
        match kind.removeprefix("response."):
            case "output_text.delta":
                self._is_streamed = True
                yield from self._tags.split(words(value.get("delta")))
            case "refusal.delta":
                self._has_refused = self._is_streamed = True
                yield Text(words(value.get("delta")))
            case "reasoning_summary_text.delta" | "reasoning_text.delta":
                yield from self._thought(value)
            case "output_text.annotation.added":
                self._cite(value.get("annotation"))
            case "output_item.done":
                self._is_streamed = True
                yield from self._item(value.get("item"))
            case "completed" | "incomplete" | "failed" | "cancelled":
                response = mapping(value.get("response"))
                # Some gateways send the answer with its end alone.
                yield from self._end(response) if self._is_streamed else self._whole(response)

    def end(self) -> Iterator[Raw]:
        yield from self._tags.end()
        yield from self._sources.values()
        if self._ending is None:
            return
        yield from self._calls.whole()
        if self._items:
            yield Kept({ITEMS: self._items})
        yield Finish(finish_reasons.REFUSAL if self._has_refused else self._ending)

    def _thought(self, value: Mapping[str, Any]) -> Iterator[Raw]:
        part = (value.get("item_id"), value.get("summary_index", value.get("content_index")))
        if self._summary not in (None, part):
            yield Reasoning("\n\n")
        self._summary = part
        if thought := words(value.get("delta")):
            yield Reasoning(thought)

    def _item(self, item: Any) -> Iterator[Raw]:
        item = mapping(item)
        match item.get("type"):
            case "function_call":
                kept = {"item_id": item.get("id")}
                extra = {"provider_specific_fields": kept} if item.get("id") else {}
                self._calls.add(object(), item.get("call_id"), item.get("name"), item.get("arguments"), extra)
            case "reasoning":
                self._items.append({name: value for name, value in item.items() if name != "status"})
            case "image_generation_call":
                if found := encoded_picture(f"image/{item.get('output_format') or 'png'}", item.get("result")):
                    yield found

    def _whole(self, response: Mapping[str, Any]) -> Iterator[Raw]:
        for item in map(mapping, listed(response.get("output"))):
            for part in map(mapping, listed(item.get("summary"))):
                yield Reasoning(words(part.get("text")))
            for part in map(mapping, listed(item.get("content"))):
                self._has_refused = self._has_refused or part.get("type") == "refusal"
                for annotation in listed(part.get("annotations")):
                    self._cite(annotation)
                if text := words(part.get("text")) or words(part.get("refusal")):
                    yield from self._tags.split(text)
            yield from self._item(item)
        yield from self._end(response)

    def _end(self, response: Mapping[str, Any]) -> Iterator[Raw]:
        if isinstance(usage := response.get("usage"), Mapping):
            yield RawUsage(usage)
        match response.get("status"):
            case "failed" | "cancelled":
                raise error_in(response if response.get("error") else {"error": response.get("status")})
            case "incomplete":
                reason = mapping(response.get("incomplete_details")).get("reason")
                self._ending = finish_reasons.of(reason) or finish_reasons.OTHER
            case _:
                self._ending = finish_reasons.TOOL_CALLS if self._calls else finish_reasons.STOP

    def _cite(self, annotation: Any) -> None:
        if isinstance(annotation, Mapping) and isinstance(url := annotation.get("url"), str):
            self._sources[url] = Source(url, str(annotation.get("title") or ""))


# --- the request ---


def body_of(
    name: str,
    messages: Sequence[ChatMessage],
    tools: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    *,
    is_thinking: bool,
) -> dict[str, Any]:
    """The request for the model `name`, from a prompt in OpenAI's chat format.

    Nothing is stored at OpenAI, so what a model has thought comes encrypted and goes back as it came. `is_thinking`: the
    model thinks; others refuse to be asked for thoughts.
    """
    system = [message["content"] for message in messages if message["role"] == "system"]
    body: dict[str, Any] = {
        "model": name,
        "input": [item for message in messages for item in _items_of(message)],
        "stream": True,
        "store": False,
    }
    if system:
        body["instructions"] = "\n\n".join(map(_plain, system))
    if tools:
        body["tools"] = [{"type": "function", **_function(tool)} for tool in tools]
    if is_thinking:
        effort = parameters.get("reasoning_effort")
        body["include"] = ["reasoning.encrypted_content"]
        body["reasoning"] = {"summary": "auto"} | ({"effort": effort} if effort else {})
    return body | _options(parameters)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of the parameters those that this protocol has, by its names."""
    options: dict[str, Any] = {
        name: given[name] for name in ("temperature", "top_p", "parallel_tool_calls") if name in given
    }
    if limit := given.get("max_completion_tokens") or given.get("max_tokens"):
        options["max_output_tokens"] = limit
    if isinstance(choice := given.get("tool_choice"), str):
        options["tool_choice"] = choice
    return options


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool["function"]
    return {name: function[name] for name in ("name", "description", "parameters") if name in function} | {
        "strict": False
    }


def _items_of(message: ChatMessage) -> list[dict[str, Any]]:
    match message["role"]:
        case "system":
            return []
        case "tool":
            output = _plain(message["content"])
            return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": output}]
        case "user":
            return [{"role": "user", "content": _parts(message["content"])}]
    items = [dict(item) for item in message.get(ITEMS) or ()]
    if text := _plain(message.get("content")):
        items.append({"role": "assistant", "content": text})
    for call in message.get("tool_calls") or ():
        item = {"type": "function_call", "call_id": call["id"], **call["function"]}
        # Its item's id ties it to the thoughts that were before it.
        known = (call.get("provider_specific_fields") or {}).get("item_id")
        items.append(item | ({"id": known} if known and message.get(ITEMS) else {}))
    return items


def _parts(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "input_image", "image_url": part["image_url"]["url"]}
        if part["type"] == "image_url"
        else {"type": "input_text", "text": part["text"]}
        for part in content
    ]


def _plain(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n\n".join(part["text"] for part in content if part.get("text"))
