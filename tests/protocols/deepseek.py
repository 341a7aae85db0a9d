"""DeepSeek's API: `POST /deepseek/chat/completions`.

Sources: DeepSeek's API reference, "Thinking mode", "Error codes", and the words of its errors from public reports. A model
that thinks wants its `reasoning_content` back with the calls of the running turn. A field of a message that it doesn't
know is refused here, which the real one may not do: nobody should send one.
"""

import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.provider.records import Record
from tests.provider.script import Script

from .base import Refused, Said
from .chat import Chat, Delta, check_pairs, fragments_of, running_turn, text_of

_ROLES = ("system", "user", "assistant", "tool", "latest_reminder")
_MESSAGE = {"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "prefix"}
_MOST_OUTPUT_TOKENS = 65_536
_GUIDE = "https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"


class DeepSeek(Chat):
    name = "deepseek"
    path = "/deepseek/chat/completions"
    still_waiting = b": keep-alive\n\n"
    finishes = {
        "stop": "stop", "tool_calls": "tool_calls", "refusal": "stop", "sequence": "stop", "length": "length",
        "content_filter": "content_filter",
    }  # fmt: skip
    wording = {
        400: ("invalid_request_error", "Invalid request."),
        401: ("authentication_error", "Authentication Fails, Your api key: ****-key is invalid"),
        402: ("unknown_error", "Insufficient Balance"),
        404: ("invalid_request_error", "Model Not Exist"),
        429: ("rate_limit_error", "Too many requests. Please pace your requests."),
        500: ("internal_error", "Internal server error."),
        503: (
            "service_unavailable_error",
            "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers.",
        ),
    }
    unplayed = ("hidden", "cite", "picture", "stops", "show", "plain")

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        if not request.headers.get("Authorization"):
            raise Refused("Authentication Fails (governor)", 401, "authentication_error")
        most = body.get("max_tokens")
        if most is not None and not 1 <= most <= _MOST_OUTPUT_TOKENS:
            said = f"the valid range of max_tokens is [1, {_MOST_OUTPUT_TOKENS}]"
            raise Refused(f"Invalid max_tokens value, {said}")
        for place, message in enumerate(body["messages"]):
            _check_message(message, f"messages[{place}]")
        for index, tool in enumerate(body.get("tools") or ()):
            if "function" not in tool:
                raise _unreadable(f"tools[{index}]: missing field `function`")
            if not re.fullmatch(r"[a-zA-Z0-9_-]+", tool["function"]["name"]):
                raise Refused(
                    f"Invalid 'tools[{index}].function.name': string does not match pattern. Expected a string that"
                    " matches the pattern '^[a-zA-Z0-9_-]+$'."
                )
        check_pairs(
            body["messages"],
            Refused(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
                " 'tool_call_id'. (insufficient tool messages following tool_calls message)"
            ),
            Refused("Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"),
        )

    def check_returned(self, body: dict[str, Any], script: Script, record: Record) -> None:
        asked = (body.get("thinking") or {}).get("type")
        is_thinking = record.model.startswith("deepseek-reasoner") or (script.think > 0 and not script.inline)
        if asked == "disabled" or not (is_thinking or asked == "enabled"):
            return
        for place in running_turn(body["messages"]):
            if not isinstance(body["messages"][place].get("reasoning_content"), str):
                raise Refused(
                    f"Missing `reasoning_content` field in the assistant message at message index {place}. For more"
                    f" information, please refer to {_GUIDE}"
                )

    # What is answered

    def call_id(self, number: int, index: int) -> str:
        return f"call_{index:02d}_{number:08d}"

    def deltas(self, said: Said) -> Iterator[Delta]:
        yield from ({"content": None, "reasoning_content": token} for token in said.thoughts)
        rest = {"reasoning_content": None} if said.thoughts else {}
        yield from ({"content": token} | rest for token in said.text)
        for index, call in enumerate(said.calls):
            yield from fragments_of(said, call, index)

    def thought(self, said: Said) -> dict[str, Any]:
        return {"reasoning_content": "".join(said.thoughts)} if said.thoughts else {}

    def usage(self, said: Said) -> dict[str, Any]:
        figures = said.figures
        usage: dict[str, Any] = {
            "prompt_tokens": figures.prompt,
            "completion_tokens": figures.answered,
            "total_tokens": figures.prompt + figures.answered,
            "prompt_tokens_details": {"cached_tokens": figures.cached},
            "prompt_cache_hit_tokens": figures.cached,
            "prompt_cache_miss_tokens": figures.prompt - figures.cached,
        }
        return usage | (
            {"completion_tokens_details": {"reasoning_tokens": figures.thought}} if figures.thought else {}
        )

    # Errors

    def error(self, said: Said) -> Any:
        return self.refusal(Refused(self.wording[503][1], 503, self.wording[503][0]))

    def refusal(self, refused: Refused) -> Any:
        kind = refused.kind or "invalid_request_error"
        error = {"message": refused.message, "type": kind, "param": None, "code": "invalid_request_error"}
        return {"error": error}

    def failure(self, status: int, model: str, script: Script) -> Refused:
        refused = super().failure(status, model, script)
        if status == 404:  # an unknown model is a bad request here
            refused.status = 400
        return refused

    def overflow(self, asked: int, limit: int) -> Refused:
        return Refused(
            f"This model's maximum context length is {limit} tokens. However, you requested {asked} tokens"
            f" ({asked} in the messages, 0 in the completion). Please reduce the length of the messages or completion."
        )

    def unpaid(self) -> Refused:
        return Refused("Insufficient Balance", 402, "unknown_error")

    def blocked(self, script: Script) -> Refused:
        return Refused("Content Exists Risk")


def _unreadable(what: str) -> Refused:
    return Refused(f"Failed to deserialize the JSON body into the target type: {what} at line 1 column 1")


def _check_message(message: dict[str, Any], path: str) -> None:
    if message.get("role") not in _ROLES:
        expected = ", ".join(f"`{role}`" for role in _ROLES)
        raise _unreadable(f"{path}.role: unknown variant `{message.get('role')}`, expected one of {expected}")
    for name in message:
        if name not in _MESSAGE:
            raise _unreadable(f"{path}: unknown field `{name}`")
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if part.get("type") != "text":
            raise _unreadable(f"{path}: unknown variant `{part.get('type')}`, expected `text`")
    if message["role"] == "assistant" and not text_of(message) and not message.get("tool_calls"):
        raise Refused("Invalid assistant message: content or tool_calls must be set")
    for index, call in enumerate(message.get("tool_calls") or ()):
        if not isinstance(call["function"]["arguments"], str):
            raise _unreadable(f"{path}.tool_calls[{index}].function.arguments: invalid type: map, expected a string")
