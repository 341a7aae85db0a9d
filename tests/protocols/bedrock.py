"""Bedrock's Converse API: `POST /bedrock/model/MODEL/converse-stream`, answered in Amazon's binary event stream.

Sources: AWS's API reference ("ConverseStream", "Converse"), and the words of its errors from public reports. The model
behind is Claude: its thinking is signed as Anthropic's own (a signature of the one is good at the other), and what the
model refuses comes as what "the model returned".
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.images import told
from tests.provider.playing import Plan
from tests.provider.records import Record
from tests.provider.script import Script, source

from .base import Prompt, Protocol, Refused, Said, json_of, signed
from .bedrock_rules import by_the_model, check_body, refused
from .eventstream import CONTENT_TYPE, event, exception

_FAILED = "The system encountered an unexpected error during processing. Try your request again."


class Bedrock(Protocol):
    name = "bedrock"
    finishes = {
        "stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "sequence": "stop_sequence",
        "refusal": "content_filtered", "content_filter": "guardrail_intervened", "malformed": "malformed_tool_use",
        "window": "model_context_window_exceeded",
    }  # fmt: skip
    wording = {
        400: ("ValidationException", "The provided model identifier is invalid."),
        401: ("UnrecognizedClientException", "The security token included in the request is invalid."),
        403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
        404: (
            "ResourceNotFoundException",
            "Could not resolve the foundation model from the provided model identifier.",
        ),
        424: ("ModelErrorException", _FAILED),
        429: ("ThrottlingException", "Too many requests, please wait before trying again."),
        500: ("InternalServerException", _FAILED),
        503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
    }
    unplayed = ("picture", "stops", "show", "plain")
    says_retry_after = False

    def forget(self) -> None:
        self.thought: dict[str, list[Any]] = {}  # what came before a call, by the call's id

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post("/bedrock/model/{model:.+}/converse-stream", self.converse_stream),
            web.post("/bedrock/model/{model:.+}/converse", self.converse),
        ]

    async def converse_stream(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request, await json_of(request), request.match_info["model"], stream=True)

    async def converse(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request, await json_of(request), request.match_info["model"], stream=False)

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        key = request.headers.get("Authorization", "")
        if not key.startswith(("AWS4-HMAC-SHA256 ", "Bearer ")):
            raise Refused("Missing Authentication Token", 403, "MissingAuthenticationTokenException")
        check_body(body)

    def check_returned(self, body: dict[str, Any], script: Script, record: Record) -> None:
        """As Anthropic does: what was thought before the calls of a running turn comes back, unchanged."""
        asked = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
        thinks = asked.get("type") in ("enabled", "adaptive")
        running = running_turn(body["messages"])
        for place in running:
            blocks = body["messages"][place]["content"]
            ids = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
            issued = next(filter(None, map(self.thought.get, ids)), [])
            found = [block for block in blocks if "reasoningContent" in block]
            if (issued and (thinks or script.think)) or (thinks and place == running[0]):
                if not found or found[0] is not blocks[0]:
                    kind = "tool_use" if "toolUse" in blocks[0] else "text"
                    raise by_the_model(
                        f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`."
                        " When `thinking` is enabled, a final `assistant` message must start with a thinking block."
                    )
                if issued and found != issued:
                    raise by_the_model(
                        f"messages.{place}.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant"
                        " message cannot be modified. These blocks must remain as they were in the original response."
                    )

    def prompt(self, body: dict[str, Any]) -> Prompt:
        system = sum(len(block.get("text", "")) for block in body.get("system") or ())
        prompt = Prompt(characters=system + len(json.dumps(body.get("toolConfig") or "")))
        for message in body["messages"]:
            _read(prompt, message)
        return prompt

    # What is answered

    def call_id(self, number: int, index: int) -> str:
        return f"tooluse_{number:08d}x{index:04d}"

    def plan(self, said: Said, body: dict[str, Any]) -> Plan:
        ending = [] if said.reason == "none" else [_event("messageStop", stopReason=said.reason)]
        if not said.script.nousage and ending:
            ending.append(_event("metadata", usage=_usage(said), metrics={"latencyMs": 12}))
        error = {"message": _FAILED, "originalStatusCode": 500, "originalMessage": "Internal"}
        whole = _event("contentBlockDelta", contentBlockIndex=0, delta={"text": "oo"})
        return Plan(
            tokens=self._tokens(said),
            opening=_event("messageStart", role="assistant"),
            ending=tuple(ending),
            error=exception("modelStreamErrorException", dumps(error)),
            broken=whole[:-1] + bytes([whole[-1] ^ 1]),  # its checksum is wrong
            content_type=CONTENT_TYPE,
        )

    def _tokens(self, said: Said) -> Iterator[bytes]:
        """Only calls are announced; other blocks begin with their first piece."""
        for index, (start, deltas) in enumerate(self._blocks(said)):
            frames = [_event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in deltas]
            if start:
                frames[0] = _event("contentBlockStart", contentBlockIndex=index, start=start) + frames[0]
            frames[-1] += _event("contentBlockStop", contentBlockIndex=index)
            yield from frames

    def _blocks(self, said: Said) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        thought = _thought(said)
        if thought and said.script.hidden:
            yield {}, thought
        elif thought:
            signature = thought[0]["reasoningContent"]["reasoningText"]["signature"]
            pieces = [{"text": token} for token in said.thoughts]
            yield {}, [{"reasoningContent": piece} for piece in [*pieces, {"signature": signature}]]
        if said.text:
            yield {}, [{"text": token} for token in said.text] + _citations(said.script)
        for call in said.calls:
            self.thought[call.id] = thought
            deltas = [{"toolUse": {"input": part}} for part in said.fragments(call)]
            yield {"toolUse": {"toolUseId": call.id, "name": call.name}}, deltas

    def whole(self, said: Said, body: dict[str, Any]) -> Any:
        content: list[Any] = _thought(said)
        if said.text:
            content = [*content, {"text": "".join(said.text)}]
        for call in said.calls:
            self.thought[call.id] = _thought(said)
            used = {"toolUseId": call.id, "name": call.name, "input": call.value or {}}
            content = [*content, {"toolUse": used}]
        output = {"message": {"role": "assistant", "content": content}}
        return {"output": output, "stopReason": said.reason, "usage": _usage(said), "metrics": {"latencyMs": 12}}

    # Errors

    def refusal(self, refused: Refused) -> Any:
        return {"message": refused.message}

    def error_headers(self, refused: Refused) -> dict[str, str]:
        return {"x-amzn-ErrorType": refused.kind or "ValidationException"}

    def failure(self, status: int, model: str, script: Script) -> Refused:
        refused = super().failure(status, model, script)
        if status == 401:  # a wrong key is forbidden here
            refused.status = 403
        return refused

    def overflow(self, asked: int, limit: int) -> Refused:
        return refused("Input is too long for requested model.")

    def unpaid(self) -> Refused:
        return Refused("Too many tokens per day, please wait before trying again.", 429, "ThrottlingException")

    def blocked(self, script: Script) -> Refused:
        return by_the_model("Output blocked by content filtering policy")


def running_turn(messages: list[Any]) -> list[int]:
    """The places of the assistant's messages since a person last spoke, if the last message has results of tools."""
    found: list[int] = []
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "assistant":
            found.insert(0, place)
        elif not any("toolResult" in block for block in messages[place]["content"]):
            break
    return found if any("toolResult" in block for block in messages[-1]["content"]) else []


def _read(prompt: Prompt, message: dict[str, Any]) -> None:
    blocks = message["content"]
    said = [block["text"] for block in blocks if "text" in block]
    prompt.characters += sum(
        len(json.dumps(block)) for block in blocks if "toolUse" in block or "toolResult" in block
    )
    prompt.characters += sum(map(len, said))
    if message["role"] == "assistant":
        prompt.rounds += any("toolUse" in block for block in blocks)
        return
    results = [block["toolResult"] for block in blocks if "toolResult" in block]
    if said or not results:
        prompt.question, prompt.rounds, prompt.results = "\n".join(said), 0, ""
        images = [block["image"] for block in blocks if "image" in block]
        prompt.images = [told(f"image/{image['format']}", b64decode(image["source"]["bytes"])) for image in images]
    texts = [part.get("text") or json.dumps(part) for result in results for part in result["content"]]
    if texts:
        prompt.results = "\n".join([*filter(None, [prompt.results]), *texts])


def _thought(said: Said) -> list[dict[str, Any]]:
    """The blocks of thinking, whole, as they must come back."""
    text = "".join(said.thoughts)
    if not text:
        return []
    if said.script.hidden:
        return [{"reasoningContent": {"redactedContent": b64encode(signed("claude", text).encode()).decode()}}]
    return [{"reasoningContent": {"reasoningText": {"text": text, "signature": signed("claude", text)}}}]


def _citations(script: Script) -> list[dict[str, Any]]:
    return [
        {"citation": {"title": title, "location": {"web": {"url": url, "domain": "example.org"}}}}
        for url, title in map(source, range(script.cite))
    ]


def _usage(said: Said) -> dict[str, Any]:
    """`inputTokens` are those that had nothing to do with the cache."""
    figures = said.figures
    return {
        "inputTokens": figures.prompt - figures.cached - figures.written,
        "outputTokens": figures.answered,
        "totalTokens": figures.prompt + figures.answered,
        "cacheReadInputTokens": figures.cached,
        "cacheWriteInputTokens": figures.written,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return event(kind, dumps(fields | {"p": "abcdefgh"}))
