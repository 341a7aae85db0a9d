"""OpenAI's Responses API: `POST /v1/responses`, beside the chat completions of tests/provider.

Sources: OpenAI's API reference ("Responses", "Streaming events"), "Reasoning models", "Function calling", and the words of
its errors from public reports. What it thinks has a summary only if one is asked for, and its encrypted content only if
that is included; it belongs to what was said after it, and neither is taken without the other.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.images import parse_data_url, told
from tests.provider.playing import Plan
from tests.provider.records import Record
from tests.provider.script import PICTURE, Script, source

from .base import Call, Prompt, Protocol, Refused, Said, json_of, signed
from .responses_rules import check_body, kind_of, refused

_FAILED = {
    "code": "server_error",
    "message": "An error occurred while processing your request. You can retry your request.",
}
_FILTERED = "Your request was rejected as a result of our safety system."
Event = tuple[str, dict[str, Any]]  # its type, after `response.`, and its fields


class Responses(Protocol):
    name = "responses"
    finishes = {
        "stop": "completed", "tool_calls": "completed", "refusal": "refusal", "length": "max_output_tokens",
        "content_filter": "content_filter",
    }  # fmt: skip
    wording = {
        400: ("invalid_request_error", "Invalid value in the request."),
        401: ("invalid_request_error", "Incorrect API key provided: sk-ver***-key."),
        403: ("invalid_request_error", "Project does not have access to model `{model}`."),
        404: ("invalid_request_error", "The requested model '{model}' does not exist."),
        429: ("tokens", "Rate limit reached for {model} on tokens per min (TPM): Limit 30000, Used 30000."),
        500: ("server_error", "The server had an error while processing your request. Sorry about that!"),
        503: ("server_error", "The engine is currently overloaded, please try again later."),
    }
    unplayed = ("stops", "show", "plain")
    codes = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}

    def forget(self) -> None:
        self.belongs: dict[str, str] = {}  # what was said, to what was thought before it: ids of items

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post("/v1/responses", self.respond)]

    async def respond(self, request: web.Request) -> web.StreamResponse:
        body = await json_of(request)
        return await self.answer(request, body, body.get("model"), stream=body.get("stream") is True)

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        if not request.headers.get("Authorization"):
            raise Refused("Missing bearer authentication in header", 401, "invalid_request_error")
        check_body(body)
        for item in _items(body):
            if kind_of(item) == "reasoning":
                _check_thought(item, body)

    def check_returned(self, body: dict[str, Any], script: Script, record: Record) -> None:
        """What belongs together comes back together; and a model that doesn't think isn't asked to."""
        if not is_thinking(record.model, script):
            if body.get("reasoning"):
                name = next(iter(body["reasoning"]))
                raise refused(
                    f"Unsupported parameter: 'reasoning.{name}' is not supported with this model.",
                    f"reasoning.{name}",
                    "unsupported_parameter",
                )
            if "reasoning.encrypted_content" in (body.get("include") or ()):
                raise refused("Encrypted content is not supported with this model.", "include")
        elif "temperature" in body:
            raise refused(
                "Unsupported parameter: 'temperature' is not supported with this model.",
                "temperature",
                "unsupported_parameter",
            )
        before: set[str] = set()
        for item in _items(body):
            thought = self.belongs.get(item.get("id") or "")
            if thought and thought not in before:
                raise refused(
                    f"Item '{item['id']}' of type '{kind_of(item)}' was provided without its required 'reasoning' item:"
                    f" '{thought}'.",
                    "input",
                )
            before.add(item.get("id") or "")

    def prompt(self, body: dict[str, Any]) -> Prompt:
        prompt = Prompt(characters=len(body.get("instructions") or "") + len(json.dumps(body.get("tools") or "")))
        for item in _items(body):
            _read(prompt, item)
        return prompt

    # What is answered

    def call_id(self, number: int, index: int) -> str:
        return f"call_{number:08d}x{index:04d}"

    def plan(self, said: Said, body: dict[str, Any]) -> Plan:
        numbers = iter(range(1_000_000))
        opening = self._frame(numbers, ("created", {"response": self._response(said, body, "in_progress")}))
        opening += self._frame(numbers, ("in_progress", {"response": self._response(said, body, "in_progress")}))
        items = self._output(said, body)
        tokens = [
            b"".join(self._frame(numbers, event) for event in events)
            for index, item in enumerate(items)
            for events in _told(said, item, index)
        ]
        failed = self._response(said, body, "failed") | {"error": _FAILED}
        error = _sse("error", {"type": "error", "sequence_number": len(tokens)} | _FAILED | {"param": None})
        return Plan(
            tokens=tokens,
            opening=opening,
            ending=() if said.reason == "none" else (self._frame(numbers, self._end(said, body, items)),),
            error=error + self._frame(numbers, ("failed", {"response": failed})),
            broken=b'event: response.output_text.delta\ndata: {"type":"response.output_te\n\n',
            still_waiting=b": keepalive\n\n",
        )

    def _end(self, said: Said, body: dict[str, Any], items: list[Any]) -> Event:
        status = "incomplete" if said.reason in ("max_output_tokens", "content_filter") else "completed"
        response = self._response(said, body, status) | {"output": items}
        if status == "incomplete":
            response["incomplete_details"] = {"reason": said.reason}
        if not said.script.nousage:
            response["usage"] = _usage(said)
        return status, {"response": response}

    def whole(self, said: Said, body: dict[str, Any]) -> Any:
        return self._end(said, body, self._output(said, body))[1]["response"]

    def _output(self, said: Said, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The items of the answer, whole; remembers which belong together."""
        items: list[dict[str, Any]] = []
        if said.thoughts:
            thought = _thought(said, body)
            items.append(thought)
        if said.text or said.script.kind == "empty":
            items.append(_message(said))
        if said.script.picture:
            image = {"type": "image_generation_call", "id": f"ig_{said.number:08d}", "status": "completed"}
            items.append(image | {"output_format": "png", "result": b64encode(PICTURE).decode()})
        items += [_call(said, call, index) for index, call in enumerate(said.calls)]
        for item in items[1:] if said.thoughts else ():
            self.belongs[item["id"]] = items[0]["id"]
        return items

    def _response(self, said: Said, body: dict[str, Any], status: str) -> dict[str, Any]:
        head = {"id": f"resp_{said.number:08d}", "object": "response", "created_at": 1_700_000_000, "status": status}
        rest: dict[str, Any] = {
            "error": None,
            "incomplete_details": None,
            "model": said.model,
            "output": [],
            "usage": None,
        }
        asked = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": body.get("tools") or []}
        return head | rest | asked | {"store": body.get("store", True), "metadata": {}}

    def _frame(self, numbers: Iterator[int], event: Event) -> bytes:
        kind = f"response.{event[0]}"
        return _sse(kind, {"type": kind, "sequence_number": next(numbers)} | event[1])

    # Errors

    def refusal(self, refused: Refused) -> Any:
        code = refused.more.get("code") or self.codes.get(refused.status)
        error = {"message": refused.message, "type": refused.kind, "param": refused.more.get("param"), "code": code}
        return {"error": error}

    def overflow(self, asked: int, limit: int) -> Refused:
        return refused(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            "input",
            "context_length_exceeded",
        )

    def unpaid(self) -> Refused:
        return Refused(
            "You exceeded your current quota, please check your plan and billing details.",
            429,
            "insufficient_quota",
            code="insufficient_quota",
        )

    def blocked(self, script: Script) -> Refused:
        return refused(_FILTERED, "input", "content_policy_violation")


def is_thinking(model: str, script: Script) -> bool:
    return model.startswith(("gpt-5", "o1", "o3", "o4")) or script.think > 0


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    said = body["input"]
    return [{"role": "user", "content": said}] if isinstance(said, str) else said


def _check_thought(item: dict[str, Any], body: dict[str, Any]) -> None:
    content = item.get("encrypted_content")
    if content is None:
        if body.get("store") is False:
            raise refused(
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. Try"
                " again with `store` set to true, or remove this item from your input.",
                "input",
                status=404,
            )
        return
    if content != signed("responses", item.get("id") or ""):
        raise refused(
            f"The encrypted content {content[:4]}...{content[-4:]} could not be verified. Reason: Encrypted content could"
            " not be decrypted or parsed.",
            None,
            "invalid_encrypted_content",
        )


def _read(prompt: Prompt, item: dict[str, Any]) -> None:
    kind = kind_of(item)
    if kind == "function_call":
        prompt.characters += len(item["arguments"])
        prompt.rounds += 1
    elif kind == "function_call_output":
        output = item["output"]
        text = output if isinstance(output, str) else "\n".join(part.get("text", "") for part in output)
        prompt.characters += len(text)
        prompt.results = "\n".join(filter(None, [prompt.results, text]))
    elif kind == "message":
        content = item["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        said = "\n".join(part["text"] for part in parts if "text" in part)
        prompt.characters += len(said)
        if item["role"] == "user":
            prompt.question, prompt.rounds, prompt.results = said, 0, ""
            urls = [part["image_url"] for part in parts if "image_url" in part]
            prompt.images = [told(*parse_data_url(url)) if url.startswith("data:") else url for url in urls]


# --- items, and the events that tell them ---


def _thought(said: Said, body: dict[str, Any]) -> dict[str, Any]:
    id_ = f"rs_{said.number:08d}"
    summary: list[Any] = []
    if (body.get("reasoning") or {}).get("summary") and not said.script.hidden:
        summary = [{"type": "summary_text", "text": "".join(said.thoughts)}]
    item: dict[str, Any] = {"id": id_, "type": "reasoning", "summary": summary}
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        item["encrypted_content"] = signed("responses", id_)
    return item


def _message(said: Said) -> dict[str, Any]:
    text = "".join(said.text)
    part: dict[str, Any] = {
        "type": "output_text",
        "text": text,
        "annotations": _annotations(said.script),
        "logprobs": [],
    }
    if said.reason == "refusal":
        part = {"type": "refusal", "refusal": text}
    item = {"id": f"msg_{said.number:08d}", "type": "message", "status": "completed", "role": "assistant"}
    return item | {"content": [part]}


def _call(said: Said, call: Call, index: int) -> dict[str, Any]:
    item = {"id": f"fc_{said.number:08d}x{index:04d}", "type": "function_call", "status": "completed"}
    return item | {"arguments": call.arguments, "call_id": call.id, "name": call.name}


def _annotations(script: Script) -> list[dict[str, Any]]:
    return [
        {"type": "url_citation", "start_index": 0, "end_index": 2, "url": url, "title": title}
        for url, title in map(source, range(script.cite))
    ]


def _told(said: Said, item: dict[str, Any], index: int) -> list[list[Event]]:
    """The events of one item, those of one token together."""
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "reasoning":
            started, groups = item | {"summary": []}, _thought_events(said, item, at)
        case "message":
            started, groups = item | {"status": "in_progress", "content": []}, _message_events(said, item, at)
        case "function_call":
            started, groups = item | {"status": "in_progress", "arguments": ""}, _call_events(said, item, at)
        case _:
            started = {"id": item["id"], "type": item["type"], "status": "in_progress"}
            groups = [[("image_generation_call.in_progress", at), ("image_generation_call.completed", at)]]
    groups[0].insert(0, ("output_item.added", {"output_index": index, "item": started}))
    groups[-1].append(("output_item.done", {"output_index": index, "item": item}))
    return groups


def _thought_events(said: Said, item: dict[str, Any], at: dict[str, Any]) -> list[list[Event]]:
    if not item["summary"]:
        return [[]]
    at = at | {"summary_index": 0}
    part = item["summary"][0]
    groups: list[list[Event]] = [[("reasoning_summary_text.delta", at | {"delta": token})] for token in said.thoughts]
    groups[0].insert(0, ("reasoning_summary_part.added", at | {"part": part | {"text": ""}}))
    groups[-1].append(("reasoning_summary_text.done", at | {"text": part["text"]}))
    groups[-1].append(("reasoning_summary_part.done", at | {"part": part}))
    return groups


def _message_events(said: Said, item: dict[str, Any], at: dict[str, Any]) -> list[list[Event]]:
    at = at | {"content_index": 0}
    part = item["content"][0]
    kind, field = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    groups: list[list[Event]] = [[(f"{kind}.delta", at | {"delta": token})] for token in said.text] or [[]]
    bare = {name: [] if isinstance(value, list) else value for name, value in part.items()}
    groups[0].insert(0, ("content_part.added", at | {"part": bare | {field: ""}}))
    for number, annotation in enumerate(part.get("annotations", ())):
        added = at | {"annotation_index": number, "annotation": annotation}
        groups[-1].append(("output_text.annotation.added", added))
    groups[-1] += [(f"{kind}.done", at | {field: part[field]}), ("content_part.done", at | {"part": part})]
    return groups


def _call_events(said: Said, item: dict[str, Any], at: dict[str, Any]) -> list[list[Event]]:
    size = said.script.fragment
    parts = [item["arguments"][place : place + size] for place in range(0, len(item["arguments"]), size)]
    groups: list[list[Event]] = [[("function_call_arguments.delta", at | {"delta": part})] for part in parts]
    groups[-1].append(("function_call_arguments.done", at | {"arguments": item["arguments"], "name": item["name"]}))
    return groups


def _usage(said: Said) -> dict[str, Any]:
    figures = said.figures
    return {
        "input_tokens": figures.prompt,
        "input_tokens_details": {"cached_tokens": figures.cached},
        "output_tokens": figures.answered,
        "output_tokens_details": {"reasoning_tokens": figures.thought},
        "total_tokens": figures.prompt + figures.answered,
    }


def _sse(kind: str, value: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dumps(value) + b"\n\n"
