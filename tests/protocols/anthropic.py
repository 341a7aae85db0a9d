"""Anthropic's Messages API: `POST /anthropic/v1/messages`.

Sources: Anthropic's API reference ("Messages", "Streaming messages", "Errors"), "Extended thinking", "Tool use", "Prompt
caching", and the words of its errors from public reports. Thinking blocks are signed over their text; one that was
changed, or that another provider made, is refused as the real one refuses it.
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.images import told
from tests.provider.playing import Plan
from tests.provider.records import Record
from tests.provider.script import Script, source

from .anthropic_rules import check_body, turns
from .base import Figures, Prompt, Protocol, Refused, Said, json_of, signed
from .caching import PromptCache

THINKING_DOCS = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
_OVERLOADED = ("overloaded_error", "Overloaded")


class Anthropic(Protocol):
    name = "anthropic"
    finishes = {
        "stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "refusal": "refusal",
        "content_filter": "refusal", "sequence": "stop_sequence", "window": "model_context_window_exceeded",
        "pause": "pause_turn",
    }  # fmt: skip
    wording = {
        400: ("invalid_request_error", "Error"),
        401: ("authentication_error", "invalid x-api-key"),
        402: ("billing_error", "There is an issue with your billing or payment information."),
        403: ("permission_error", "Your API key does not have permission to use the specified resource."),
        404: ("not_found_error", "model: {model}"),
        413: ("request_too_large", "Request exceeds the maximum size"),
        429: (
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 50,000 input tokens per minute.",
        ),
        500: ("api_error", "Internal server error"),
        503: _OVERLOADED,
        529: _OVERLOADED,
    }
    unplayed = ("picture", "stops", "show")

    def forget(self) -> None:
        self.cache = PromptCache(least_tokens=1024)
        self.thought: dict[str, list[Any]] = {}  # what came before a call, by the call's id

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post("/anthropic/v1/messages", self.messages)]

    async def messages(self, request: web.Request) -> web.StreamResponse:
        body = await json_of(request)
        return await self.answer(request, body, body.get("model"), stream=body.get("stream") is True)

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        if not (request.headers.get("x-api-key") or request.headers.get("Authorization")):
            raise Refused("x-api-key header is required", 401, "authentication_error")
        if "anthropic-version" not in request.headers:
            raise Refused("anthropic-version: header is required")
        check_body(body)
        for place, turn in turns(body["messages"]):
            for index, block in enumerate(turn["content"]):
                _check_signature(f"messages.{place}.content.{index}", block)

    def check_returned(self, body: dict[str, Any], script: Script, record: Record) -> None:
        """The blocks before the calls of a running turn come back, all of them, and unchanged."""
        thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
        running = running_turn(body["messages"])
        for place, turn in running:
            blocks = turn["content"]
            issued: list[Any] = []
            for call in blocks:
                issued += [block for block in self.thought.get(call.get("id", ""), ()) if block not in issued]
            found = [block for block in blocks if block["type"] in ("thinking", "redacted_thinking")]
            if (issued and (thinks or script.think)) or (thinks and place == running[0][0]):
                if not found or found[0] is not blocks[0]:
                    raise _no_thinking(place, blocks[0]["type"])
                if issued and found != issued:
                    raise Refused(
                        f"messages.{place}.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant"
                        " message cannot be modified. These blocks must remain as they were in the original response."
                    )

    def prompt(self, body: dict[str, Any]) -> Prompt:
        system = body.get("system") or ""
        characters = len(system) if isinstance(system, str) else sum(len(block["text"]) for block in system)
        prompt = Prompt(characters=characters + sum(len(json.dumps(tool)) for tool in body.get("tools", ())))
        for _, turn in turns(body["messages"]):
            _read(prompt, turn)
        return prompt

    def figures(self, script: Script, body: dict[str, Any], prompt: Prompt, said: int) -> Figures:
        found = super().figures(script, body, prompt, said)
        if script.cached or script.usage:
            return found
        read, written = self.cache.used(body)
        return Figures(max(found.prompt, read + written + 1), found.answered, found.thought, read, written)

    # What is answered

    def call_id(self, number: int, index: int) -> str:
        return f"toolu_01{number:08d}x{index:04d}"

    def plan(self, said: Said, body: dict[str, Any]) -> Plan:
        message = self._message(said) | {"content": [], "stop_reason": None, "stop_sequence": None}
        if not said.script.nousage:
            message["usage"] = _usage(said.figures, answered=1)
        ending = []
        if said.reason != "none":
            ending.append(_event("message_delta", delta=_stop(said), **_totals(said)))
        if not said.script.nodone:
            ending.append(_event("message_stop"))
        return Plan(
            tokens=self._tokens(said),
            opening=_event("message_start", message=message),
            ending=tuple(ending),
            error=_event("error", error={"type": _OVERLOADED[0], "message": _OVERLOADED[1]}),
            broken=b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"ty\n\n',
            still_waiting=_event("ping"),
        )

    def _tokens(self, said: Said) -> Iterator[bytes]:
        for index, (block, deltas) in enumerate(self._blocks(said)):
            start = _event("content_block_start", index=index, content_block=block)
            start += _event("ping") if index == 0 else b""
            stop = _event("content_block_stop", index=index)
            frames = [_event("content_block_delta", index=index, delta=delta) for delta in deltas] or [b""]
            frames[0] = start + frames[0]
            frames[-1] += stop
            yield from frames

    def _blocks(self, said: Said) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Each block as it begins, and its deltas."""
        deltas: list[dict[str, Any]]
        thought = _thinking(said)
        for block in thought:
            if block["type"] == "redacted_thinking":
                yield block, []
                continue
            deltas = [{"type": "thinking_delta", "thinking": token} for token in said.thoughts]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
        if said.text:
            deltas = [{"type": "text_delta", "text": token} for token in said.text]
            deltas += [{"type": "citations_delta", "citation": citation} for citation in _citations(said.script)]
            yield {"type": "text", "text": ""} | ({"citations": []} if said.script.cite else {}), deltas
        for call in said.calls:
            self.thought[call.id] = thought
            parts = said.fragments(call) if call.arguments != "{}" else []
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", *parts)]
            yield {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas

    def whole(self, said: Said, body: dict[str, Any]) -> Any:
        content: list[Any] = list(_thinking(said))
        if said.text:
            citations = _citations(said.script)
            content.append(
                {"type": "text", "text": "".join(said.text)} | ({"citations": citations} if citations else {})
            )
        for call in said.calls:
            self.thought[call.id] = _thinking(said)
            content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": call.value or {}})
        usage = _usage(said.figures, answered=said.figures.answered)
        return self._message(said) | {"content": content, "usage": usage} | _stop(said)

    def _message(self, said: Said) -> dict[str, Any]:
        return {"id": f"msg_{said.number:08d}", "type": "message", "role": "assistant", "model": said.model}

    # Errors

    def refusal(self, refused: Refused) -> Any:
        error = {"type": refused.kind or "invalid_request_error", "message": refused.message}
        return {"type": "error", "error": error, "request_id": "req_011CScripted"}

    def overflow(self, asked: int, limit: int) -> Refused:
        return Refused(f"prompt is too long: {asked} tokens > {limit} maximum")

    def unpaid(self) -> Refused:
        return Refused(
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or"
            " purchase credits."
        )

    def blocked(self, script: Script) -> Refused:
        return Refused("Output blocked by content filtering policy")


def running_turn(messages: list[Any]) -> list[tuple[int, Any]]:
    """The assistant's turns since the last one in which a person said something, if the last one has results of tools."""
    found: list[tuple[int, Any]] = []
    merged = turns(messages)
    if not any(block["type"] == "tool_result" for block in merged[-1][1]["content"]):
        return []
    for place, turn in reversed(merged):
        if turn["role"] == "assistant":
            found.insert(0, (place, turn))
        elif not any(block["type"] == "tool_result" for block in turn["content"]):
            break
    return found


def _check_signature(path: str, block: dict[str, Any]) -> None:
    if block["type"] == "thinking" and block["signature"] != signed("claude", block["thinking"]):
        raise Refused(f"{path}: Invalid `signature` in `thinking` block")
    if block["type"] == "redacted_thinking" and not block["data"].startswith(signed("claude", "redacted")[:20]):
        raise Refused(f"{path}: Invalid `data` in `redacted_thinking` block")


def _no_thinking(place: int, found: str) -> Refused:
    return Refused(
        f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When"
        " `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost"
        " set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To"
        " avoid this requirement, disable `thinking`. Please consult our documentation at " + THINKING_DOCS
    )


def _read(prompt: Prompt, turn: dict[str, Any]) -> None:
    blocks = turn["content"]
    said = [block["text"] for block in blocks if block["type"] == "text"]
    prompt.characters += sum(
        len(json.dumps(block)) for block in blocks if block["type"] in ("tool_use", "tool_result")
    )
    prompt.characters += sum(map(len, said))
    if turn["role"] == "assistant":
        prompt.rounds += any(block["type"] == "tool_use" for block in blocks)
        return
    results = [_told(block.get("content", "")) for block in blocks if block["type"] == "tool_result"]
    if len(results) < len(blocks):
        prompt.question, prompt.rounds = "\n".join(said), 0
        prompt.results, prompt.images = "", [_image(block) for block in blocks if block["type"] == "image"]
    if results:
        prompt.results = "\n".join([*filter(None, [prompt.results]), *results])


def _told(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] if block["type"] == "text" else _image(block) for block in content)


def _image(block: dict[str, Any]) -> str:
    if block["source"]["type"] != "base64":
        return block["source"]["url"]
    return told(block["source"]["media_type"], b64decode(block["source"]["data"]))


def _thinking(said: Said) -> list[dict[str, Any]]:
    text = "".join(said.thoughts)
    if not text:
        return []
    if said.script.hidden:
        return [{"type": "redacted_thinking", "data": signed("claude", "redacted")[:20] + signed("claude", text)}]
    return [{"type": "thinking", "thinking": text, "signature": signed("claude", text)}]


def _citations(script: Script) -> list[dict[str, Any]]:
    return [
        {
            "type": "web_search_result_location",
            "url": url,
            "title": title,
            "encrypted_index": signed(url),
            "cited_text": f"What stands in {title}.",
        }
        for url, title in map(source, range(script.cite))
    ]


def _stop(said: Said) -> dict[str, Any]:
    ended = "###" if said.reason == "stop_sequence" else None
    return {"stop_reason": said.reason, "stop_sequence": ended}


def _usage(figures: Figures, answered: int) -> dict[str, Any]:
    """`input_tokens` are those that had nothing to do with the cache."""
    return {
        "input_tokens": figures.prompt - figures.cached - figures.written,
        "cache_creation_input_tokens": figures.written,
        "cache_read_input_tokens": figures.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": figures.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": answered,
        "service_tier": "standard",
    }


def _totals(said: Said) -> dict[str, Any]:
    if said.script.nousage:
        return {}
    usage = _usage(said.figures, said.figures.answered)
    return {"usage": {name: usage[name] for name in usage if name.endswith("_tokens")}}


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dumps({"type": kind} | fields) + b"\n\n"
