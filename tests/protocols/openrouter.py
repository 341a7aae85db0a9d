"""OpenRouter's API: `POST /openrouter/api/v1/chat/completions`.

Sources: OpenRouter's API reference, "Reasoning tokens", "Errors", "Web search", and public reports. It speaks for other
providers: their errors come wrapped, and what they signed must come back in `reasoning_details`, piece by piece as it was
streamed or put together by its index.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.playing import Plan
from tests.provider.records import Record
from tests.provider.script import PICTURE, Script, source

from .base import Refused, Said, signed
from .chat import Chat, Delta, calls_of, check_pairs, fragments_of, running_turn, text_of

_COMMENT = b": OPENROUTER PROCESSING\n\n"
_COST = 0.000_01  # dollars a token
_NATIVE = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
_ROLES = ("system", "developer", "user", "assistant", "tool")


class OpenRouter(Chat):
    name = "openrouter"
    path = "/openrouter/api/v1/chat/completions"
    still_waiting = _COMMENT
    finishes = {
        "stop": "stop", "tool_calls": "tool_calls", "refusal": "content_filter", "sequence": "stop", "length": "length",
        "content_filter": "content_filter",
    }  # fmt: skip
    wording = {
        400: ("", "Provider returned error"),
        401: ("", "User not found."),
        402: ("", "Insufficient credits. Add more using https://openrouter.ai/settings/credits"),
        403: ("", "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys"),
        404: ("", "No endpoints found for {model}."),
        429: ("", "Provider returned error"),
        500: ("", "Internal Server Error"),
        503: ("", "No instances available"),
    }
    raw = {429: "{model} is temporarily rate-limited upstream. Please retry shortly."}
    unplayed = ("stops", "show", "plain")

    def forget(self) -> None:
        self.thought_before: dict[str, list[Any]] = {}  # a call, by the call's id

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        if not request.headers.get("Authorization"):
            raise Refused("No auth credentials found", 401)
        for place, message in enumerate(body["messages"]):
            _check_message(message, place)
        for index, tool in enumerate(body.get("tools") or ()):
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["function"]["name"]):
                raise wrapped(f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        check_pairs(
            body["messages"],
            wrapped("`tool_use` ids were found without `tool_result` blocks immediately after"),
            wrapped("unexpected `tool_use_id` found in `tool_result` blocks"),
        )

    def check_returned(self, body: dict[str, Any], script: Script, record: Record) -> None:
        messages = body["messages"]
        for place, message in enumerate(messages):
            for detail in joined(message.get("reasoning_details") or []):
                if not _is_known(detail):
                    raise wrapped(f"messages.{place}.content.0: Invalid `signature` in `thinking` block")
        for place in running_turn(messages):
            issued = next(filter(None, map(self.thought_before.get, calls_of(messages[place]))), None)
            found = joined(messages[place].get("reasoning_details") or [])
            if issued and not found:
                raise wrapped(
                    f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
                )
            if issued and found != issued:
                raise wrapped(
                    f"messages.{place}.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message"
                    " cannot be modified. These blocks must remain as they were in the original response."
                )

    # What is answered

    def plan(self, said: Said, body: dict[str, Any]) -> Plan:
        plan = super().plan(said, body)
        plan.opening = _COMMENT + plan.opening
        return plan

    def head(self, said: Said) -> dict[str, Any]:
        return super().head(said) | {"provider": "Anthropic"}

    def beside(self, reason: str | None) -> dict[str, Any]:
        return {"native_finish_reason": _NATIVE.get(reason, reason) if reason else None, "logprobs": None}

    def _last(self, said: Said) -> bytes:
        """The figures come in a chunk of their own, whose delta is empty."""
        last = self.chunk(said, {"role": "assistant", "content": ""}, said.reason)
        if said.script.nousage:
            return last
        return last + self.chunk(said, {"role": "assistant", "content": ""}, usage=self.usage(said))

    def deltas(self, said: Said) -> Iterator[Delta]:
        details = _details(said)
        for call in said.calls:
            self.thought_before[call.id] = joined(details)
        for detail in details:
            yield {"role": "assistant", "content": "", "reasoning": detail.get("text"), "reasoning_details": [detail]}
        yield from ({"role": "assistant", "content": token} for token in said.text)
        if said.script.cite:
            yield {"role": "assistant", "content": "", "annotations": _annotations(said.script)}
        if said.script.picture:
            yield {"role": "assistant", "content": "", "images": [_picture()]}
        for index, call in enumerate(said.calls):
            yield from ({"role": "assistant", "content": None} | delta for delta in fragments_of(said, call, index))

    def thought(self, said: Said) -> dict[str, Any]:
        details = joined(_details(said))
        for call in said.calls:
            self.thought_before[call.id] = details
        found: dict[str, Any] = {"reasoning_details": details} if details else {}
        if said.script.cite:
            found["annotations"] = _annotations(said.script)
        if said.script.picture:
            found["images"] = [_picture()]
        return found | ({"reasoning": "".join(said.thoughts)} if details and not said.script.hidden else {})

    def usage(self, said: Said) -> dict[str, Any]:
        figures = said.figures
        total = figures.prompt + figures.answered
        return {
            "prompt_tokens": figures.prompt,
            "completion_tokens": figures.answered,
            "total_tokens": total,
            "cost": round(total * _COST, 8),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": figures.cached, "audio_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": figures.thought},
        }

    # Errors

    def error(self, said: Said) -> Any:
        error = {"code": 502, "message": "Provider disconnected unexpectedly"}
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
        return self.head(said) | {"error": error, "choices": [choice]}

    def refusal(self, refused: Refused) -> Any:
        error: dict[str, Any] = {"message": refused.message, "code": refused.status}
        if metadata := refused.more.get("metadata"):
            error["metadata"] = metadata
            if "raw" in metadata:
                error["message"] = "Provider returned error"
        return {"error": error, "user_id": "user_scripted"}

    def failure(self, status: int, model: str, script: Script) -> Refused:
        refused = super().failure(status, model, script)
        if raw := self.raw.get(status):
            refused.more["metadata"] = {"raw": raw.format(model=model), "provider_name": "Anthropic"}
        return refused

    def overflow(self, asked: int, limit: int) -> Refused:
        return Refused(
            f"This endpoint's maximum context length is {limit} tokens. However, you requested about {asked} tokens"
            f' ({asked} of text input). Please reduce the length of either one, or use the "middle-out" transform to'
            " compress your prompt automatically."
        )

    def unpaid(self) -> Refused:
        return Refused(self.wording[402][1], 402)

    def blocked(self, script: Script) -> Refused:
        metadata = {"reasons": ["violence"], "flagged_input": "", "provider_name": "Anthropic"}
        return Refused("Your input was flagged", 403, metadata=metadata)


def wrapped(message: str) -> Refused:
    """An error of the provider behind."""
    raw = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return Refused(message, metadata={"raw": dumps(raw).decode(), "provider_name": "Anthropic"})


def joined(details: list[Any]) -> list[Any]:
    """The pieces of one index and type in one, as some clients send them back."""
    found: list[Any] = []
    for detail in details:
        same = found and all(found[-1].get(name) == detail.get(name) for name in ("type", "index"))
        if not same:
            found.append({})
        whole = found[-1]
        for name, value in detail.items():
            is_text = name in ("text", "summary") and isinstance(value, str)
            if is_text or value is not None:
                whole[name] = whole.get(name, "") + value if is_text else value
    return found


def _is_known(detail: dict[str, Any]) -> bool:
    if detail.get("type") == "reasoning.encrypted":
        return detail.get("data") == signed("claude", "encrypted")
    return detail.get("signature") == signed("claude", detail.get("text", ""))


def _details(said: Said) -> list[dict[str, Any]]:
    """A piece for each token, and one that signs them."""
    if not said.thoughts:
        return []
    about = {"format": "anthropic-claude-v1", "index": 0}
    if said.script.hidden:
        return [{"type": "reasoning.encrypted", "data": signed("claude", "encrypted")} | about]
    pieces: list[dict[str, Any]] = [{"type": "reasoning.text", "text": token} | about for token in said.thoughts]
    return [*pieces, {"type": "reasoning.text", "signature": signed("claude", "".join(said.thoughts))} | about]


def _annotations(script: Script) -> list[dict[str, Any]]:
    cited = [{"url": url, "title": title, "content": "", "start_index": 0, "end_index": 2}
             for url, title in map(source, range(script.cite))]  # fmt: skip
    return [{"type": "url_citation", "url_citation": citation} for citation in cited]


def _picture() -> dict[str, Any]:
    url = "data:image/png;base64," + b64encode(PICTURE).decode()
    return {"type": "image_url", "image_url": {"url": url}, "index": 0}


def _check_message(message: dict[str, Any], place: int) -> None:
    if message.get("role") not in _ROLES:
        raise Refused(f"Invalid input: messages.{place}.role")
    if message["role"] == "assistant":
        if not text_of(message) and not message.get("tool_calls"):
            raise wrapped(
                f"messages.{place}: all messages must have non-empty content except for the optional final assistant"
                " message"
            )
    elif not message.get("content"):
        raise wrapped("messages: text content blocks must be non-empty")
