"""Mistral's API: `POST /mistral/v1/chat/completions`.

Sources: Mistral's API reference ("Chat"), "Reasoning", the rules of its open package mistral-common about the order of
roles, and the words of its errors from public reports. Fields that it doesn't know are refused, `stream_options` among
them; ids of calls have nine letters.
"""

import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.provider.script import Script

from .base import Refused, Said, signed
from .chat import Chat, Delta, calls_of

_BODY = {
    "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata",
    "response_format", "tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction",
    "parallel_tool_calls", "prompt_mode", "safe_prompt", "guardrails", "reasoning_effort", "prompt_cache_key",
}  # fmt: skip
_MESSAGE = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "prefix"},
    "tool": {"role", "content", "tool_call_id", "name"},
}
_PARTS = {"text", "image_url", "document_url", "reference", "file", "thinking", "input_audio"}
# Which roles may come after one, as mistral-common has it.
_AFTER = {
    "": ("system", "user"),
    "system": ("system", "user", "assistant"),
    "user": ("assistant", "system", "user"),
    "assistant": ("assistant", "user", "tool"),
    "tool": ("assistant", "tool"),
}


class Mistral(Chat):
    name = "mistral"
    path = "/mistral/v1/chat/completions"
    finishes = {
        "stop": "stop", "tool_calls": "tool_calls", "refusal": "stop", "sequence": "stop", "length": "length",
        "window": "model_length",
    }  # fmt: skip
    wording = {
        400: ("invalid_request_error", "Invalid request."),
        401: ("", "Unauthorized"),
        403: ("", "You cannot access this model."),
        404: ("invalid_model", "Invalid model: {model}"),
        429: ("rate_limited", "Rate limit exceeded"),
        500: ("internal_server_error", "Internal Server Error"),
        503: ("unreachable_backend", "Service unavailable."),
    }
    codes = {"invalid_model": "1500", "rate_limited": "1300", "unreachable_backend": "1100"}
    unplayed = ("hidden", "cite", "picture", "stops", "show", "plain", "filter", "policy")

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        if not request.headers.get("Authorization"):
            raise Refused("Unauthorized", 401)
        _only(body, _BODY, ["body"])
        for place, message in enumerate(body["messages"]):
            _check_message(message, ["body", "messages", place])
        for tool in body.get("tools") or ():
            _check_name(tool["function"]["name"])
        _check_order(body["messages"])

    # What is answered

    def call_id(self, number: int, index: int) -> str:
        return signed(f"call {number} {index}")[2:11]

    def deltas(self, said: Said) -> Iterator[Delta]:
        for token in said.thoughts:
            yield {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": token}]}]}
        for index, token in enumerate(said.text):
            # After its thoughts the text begins as a part of the same list, and goes on as plain text.
            is_part = index == 0 and bool(said.thoughts)
            yield {"content": [{"type": "text", "text": token}] if is_part else token}
        for index, call in enumerate(said.calls):
            function = {"name": call.name, "arguments": call.arguments}
            yield {"content": "", "tool_calls": [{"id": call.id, "function": function, "index": index}]}

    def thought(self, said: Said) -> dict[str, Any]:
        if not said.thoughts:
            return {}
        thinking = [{"type": "text", "text": "".join(said.thoughts)}]
        parts = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": "".join(said.text)}]
        return {"content": parts}

    def usage(self, said: Said) -> dict[str, Any]:
        figures = said.figures
        total = {"total_tokens": figures.prompt + figures.answered}
        usage = {"prompt_tokens": figures.prompt, "completion_tokens": figures.answered} | total
        return usage | ({"num_cached_tokens": figures.cached} if figures.cached else {})

    # Errors

    def error(self, said: Said) -> Any:
        return self.refusal(Refused("Internal Server Error", 500, "internal_server_error"))

    def refusal(self, refused: Refused) -> Any:
        if refused.status in (401, 403):
            return {"message": refused.message, "request_id": "0123456789abcdef"}
        message = {"detail": refused.more["detail"]} if "detail" in refused.more else refused.message
        code = refused.more.get("code") or self.codes.get(refused.kind)
        kind = refused.kind or "invalid_request_error"
        return {"object": "error", "message": message, "type": kind, "param": None, "code": code}

    def failure(self, status: int, model: str, script: Script) -> Refused:
        refused = super().failure(status, model, script)
        if status == 404:  # an unknown model is a bad request here
            refused.status = 400
        return refused

    def overflow(self, asked: int, limit: int) -> Refused:
        return Refused(
            f"Prompt contains {asked} tokens and 0 draft tokens, too large for model with {limit} maximum context length",
            code="3051",
        )

    def unpaid(self) -> Refused:
        return Refused("You have reached the limit of your plan. Please add a payment method.", 402)

    def blocked(self, script: Script) -> None:
        return None


def _only(value: dict[str, Any], known: set[str], loc: list[Any]) -> None:
    """As pydantic tells it: all that is too much at once."""
    detail = [
        {"type": "extra_forbidden", "loc": [*loc, name], "msg": "Extra inputs are not permitted", "input": given}
        for name, given in value.items()
        if name not in known
    ]
    if detail:
        where = ".".join(map(str, detail[0]["loc"]))
        raise Refused(f"{where}: Extra inputs are not permitted", 422, detail=detail)


def _check_message(message: dict[str, Any], loc: list[Any]) -> None:
    role = message.get("role")
    if role not in _MESSAGE:
        expected = ", ".join(f"'{name}'" for name in sorted(_MESSAGE))
        said = f"Input tag '{role}' found using 'role' does not match any of the expected tags: {expected}"
        detail = [{"type": "union_tag_invalid", "loc": loc, "msg": said, "input": message}]
        raise Refused(said, 422, detail=detail)
    _only(message, _MESSAGE[role], [*loc, role])
    content = message.get("content")
    for index, part in enumerate(content if isinstance(content, list) else ()):
        if part.get("type") not in _PARTS:
            said = f"Input tag '{part.get('type')}' found using 'type' does not match any of the expected tags"
            where = [*loc, role, "content", index]
            raise Refused(said, 422, detail=[{"type": "union_tag_invalid", "loc": where, "msg": said}])
    if role == "assistant":
        if not content and not message.get("tool_calls"):
            raise Refused(
                "Assistant message must have either content or tool_calls, but not none.",
                kind="invalid_request_assistant_message",
                code="3240",
            )
        for call in message.get("tool_calls") or ():
            _only(call, {"id", "type", "function", "index"}, [*loc, role, "tool_calls"])
            _check_id(call.get("id"))
            _check_name(call["function"]["name"])
    if role == "tool":
        _check_id(message.get("tool_call_id"))


def _misordered(message: str) -> Refused:
    return Refused(message, kind="invalid_request_message_order", code="3230")


def _uncallable(message: str) -> Refused:
    return Refused(message, kind="invalid_function_call", code="3280")


def _check_id(id_: Any) -> None:
    if not id_:
        raise _uncallable("Tool call id has to be defined.")
    if not re.fullmatch(r"[a-zA-Z0-9]{9}", id_):
        raise _uncallable(f"Tool call id was {id_} but must be a-z, A-Z, 0-9, with a length of 9.")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise _uncallable(
            f"Function name was {name} but must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum"
            " length of 64."
        )


def _check_order(messages: list[Any]) -> None:
    before, waiting = "", list[str]()
    for message in messages:
        role = message["role"]
        if role not in _AFTER[before]:
            raise _misordered(f"Unexpected role '{role}'" + (f" after role '{before}'" if before else ""))
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                raise _misordered(f"Unexpected tool call id {message['tool_call_id']} in tool results")
            waiting.remove(message["tool_call_id"])
        elif waiting:
            raise _misordered("Not the same number of function calls and responses")
        if role == "assistant":
            waiting = calls_of(message)
        before = role
    if waiting and before == "tool":
        raise _misordered("Not the same number of function calls and responses")
    if before not in ("user", "tool") and not messages[-1].get("prefix"):
        raise _misordered(
            f"Expected last role User or Tool (or Assistant with prefix True) for serving but got {before}"
        )
