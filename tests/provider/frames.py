"""OpenAI's wire format for chat completions: chunks, whole answers, errors. Pure; bytes and plain JSON."""

import base64
import json
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from .script import PICTURE, Script, ToolCall, source, thoughts

_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
DONE = b"data: [DONE]\n\n"
# How chat completions say why they ended; they have no word for the others.
REASONS = {word: word for word in ("stop", "length", "content_filter", "tool_calls", "none")}
REASONS |= {"refusal": "stop", "sequence": "stop", "window": "length"}
BROKEN = b'data: {"id": "chatcmpl-broken", "choices": [{"index": 0, "delta": {"content": "oo\n\n'
COMMENT = b": still waiting\n\n"


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@lru_cache(maxsize=4096)
def _content(token: str) -> bytes:
    return b'{"content":' + dumps(token) + b"}"


class Frames:
    """The server-sent events of one streamed answer."""

    def __init__(self, number: int, model: str) -> None:
        self.id = f"chatcmpl-{number}"
        self.model = model
        head = {"id": self.id, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        self._head = dumps(head | {"system_fingerprint": "fp_script"})[:-1]
        self._before = b"data: " + self._head + b',"choices":[{"index":0,"delta":'
        self._after = b',"logprobs":null,"finish_reason":null}]}\n\n'

    def delta(self, delta: bytes) -> bytes:
        return self._before + delta + self._after

    def role(self) -> bytes:
        return self.delta(b'{"role":"assistant","content":""}')

    def finish(self, reason: str) -> bytes:
        return self._before + b'{},"logprobs":null,"finish_reason":"' + reason.encode() + b'"}]}\n\n'

    def usage(self, usage: dict[str, Any]) -> bytes:
        return b"data: " + self._head + b',"choices":[],"usage":' + dumps(usage) + b"}\n\n"

    def error(self) -> bytes:
        body = {"message": _SERVER_ERROR, "type": "server_error", "param": None, "code": None}
        return b"data: " + dumps({"error": body}) + b"\n\n"


def deltas(script: Script, text: Iterable[str], calls: tuple[ToolCall, ...], number: int) -> list[bytes]:
    """The deltas of one answer in order: reasoning, then text, then the calls of tools in fragments."""
    found = [dumps({"content" if script.inline else "reasoning_content": token}) for token in thoughts(script)]
    found += [dumps({"refusal": token}) if script.finish == "refusal" else _content(token) for token in text]
    for index, call in enumerate(calls):
        start = {"index": index, "id": call_id(call, number, index), "type": "function"}
        found.append(dumps({"tool_calls": [start | {"function": {"name": call.name, "arguments": ""}}]}))
        for place in range(0, len(call.arguments), script.fragment):
            part = call.arguments[place : place + script.fragment]
            found.append(dumps({"tool_calls": [{"index": index, "function": {"arguments": part}}]}))
    if script.cite:
        found.append(dumps({"annotations": [_citation(*source(number)) for number in range(script.cite)]}))
    if script.picture:
        url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
        found.append(dumps({"images": [{"index": 0, "type": "image_url", "image_url": {"url": url}}]}))
    return found


def _citation(url: str, title: str) -> Any:
    said = {"url": url, "title": title, "start_index": 0, "end_index": 2}
    return {"type": "url_citation", "url_citation": said}


def call_id(call: ToolCall, number: int, index: int) -> str:
    return call.id or f"call_{number}_{index}"


def answer(
    number: int, model: str, text: str, calls: tuple[ToolCall, ...], reason: str, usage: dict[str, Any]
) -> Any:
    """The body of an answer that isn't streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None if calls else text}
    if calls:
        message["tool_calls"] = [
            {
                "id": call_id(call, number, index),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    head = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
    }
    return head | {"choices": [choice], "usage": usage}


def usage_of(script: Script, prompt_characters: int, answered: int) -> dict[str, Any]:
    spent, made = script.usage or (max(1, prompt_characters // 4), answered)
    usage: dict[str, Any] = {"prompt_tokens": spent, "completion_tokens": made, "total_tokens": spent + made}
    if script.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": script.cached[0]}
    if script.think and not script.inline:
        usage["completion_tokens_details"] = {"reasoning_tokens": script.think}
    return usage


def refusal(script: Script, model: str, length: int, key: str) -> tuple[int, dict[str, str], str, bytes] | None:
    """Status, headers, content type and body of the HTTP error that the script asks for, if any. Some name the `key`."""
    if script.context is not None and length >= script.context:
        return _error(
            400,
            f"This model's maximum context length is {max(1, script.context // 4)} tokens. However, your "
            f"messages resulted in {max(2, length // 4)} tokens. Please reduce the length of the messages.",
            "context_length_exceeded",
            param="messages",
        )
    if script.filter:
        return _error(
            400,
            "The response was filtered due to the prompt triggering Azure OpenAI's content management "
            "policy. Please modify your prompt and retry.",
            "content_filter",
            param="prompt",
            kind=None,
        )
    if script.policy:
        message = "Your request was rejected as a result of our safety system."
        return _error(400, message, "content_policy_violation")
    if script.quota:
        message = "You exceeded your current quota, please check your plan and billing details."
        return _error(429, message, "insufficient_quota", kind="insufficient_quota")
    if script.status is None:
        return None
    if script.status in (502, 504):  # from a gateway in front of the model, so not JSON
        page = f"<html><head><title>{script.status} Bad Gateway</title></head><body>nginx</body></html>"
        return script.status, {}, "text/html", page.encode()
    headers = {} if script.retryafter is None else {"Retry-After": f"{script.retryafter:g}"}
    message, code, kind = _WORDING.get(script.status, ("The request failed.", None, "server_error"))
    return _error(script.status, message.format(model=model, key=key), code, kind=kind, headers=headers)


def invalid_script(sentence: str) -> tuple[int, dict[str, str], str, bytes]:
    return _error(400, sentence, "invalid_script", param="model")


_WORDING: dict[int, tuple[str, str | None, str]] = {
    400: ("Invalid value in the request.", None, "invalid_request_error"),
    401: (
        "Incorrect API key provided: sk-te***cret. You can find your API key at https://platform.openai.com.",
        "invalid_api_key",
        "invalid_request_error",
    ),
    403: ("The key {key} is not allowed to sample from this model.", None, "invalid_request_error"),
    404: (
        "The model `{model}` does not exist or you do not have access to it.",
        "model_not_found",
        "invalid_request_error",
    ),
    429: (
        "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3.",
        "rate_limit_exceeded",
        "requests",
    ),
    500: (_SERVER_ERROR, None, "server_error"),
    503: ("The engine is currently overloaded, please try again later.", None, "server_error"),
}


def _error(
    status: int,
    message: str,
    code: str | None,
    *,
    param: str | None = None,
    kind: str | None = "invalid_request_error",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], str, bytes]:
    body = dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
    return status, headers or {}, "application/json", body
