"""Ollama's own API: `/ollama/api/chat`, `/api/generate`, `/api/show`, `/api/tags`, `/api/version`.

Sources: Ollama's API reference ("Chat", "Streaming", "Errors"), and the words of its errors from public reports. It is a
program in Go: unknown fields are no error, values of a wrong type are. Most servers cut a long prompt without a word; the
script's `context` is one of those that say so.
"""

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.images import told
from tests.provider.playing import Plan
from tests.provider.script import Script, ScriptError

from .base import Call, Prompt, Protocol, Refused, Said, json_of

NDJSON = "application/x-ndjson"
CONTEXT_TOKENS = 131_072
_AT = "2026-01-02T03:04:05.678901Z"
_ROLES = ("system", "user", "assistant", "tool")
_EFFORTS = ("high", "medium", "low")
_TYPES = {str: "string", list: "array", dict: "object", bool: "bool", int: "number", float: "number"}


class Ollama(Protocol):
    name = "ollama"
    finishes = {"stop": "stop", "tool_calls": "stop", "refusal": "stop", "sequence": "stop", "length": "length"}
    wording = {
        400: ("", "missing request body"),
        401: ("", "unauthorized"),
        404: ("", "model '{model}' not found"),
        429: ("", "too many requests"),
        500: (
            "",
            "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check"
            " ollama server logs for details",
        ),
        503: ("", "server busy, please try again.  maximum pending requests exceeded"),
    }
    unplayed = ("hidden", "cite", "picture", "cached", "stops", "filter", "policy")

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post("/ollama/api/chat", self.chat),
            web.post("/ollama/api/generate", self.generate),
            web.post("/ollama/api/show", self.show),
            web.get("/ollama/api/tags", self.tags),
            web.get("/ollama/api/version", self.version),
            web.get("/ollama", self.alive),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await json_of(request)
        if body.get("messages") == []:
            return web.json_response(_loaded(body))
        return await self.answer(request, body, body.get("model"), stream=body.get("stream") is not False)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await json_of(request)
        if not body.get("prompt"):
            return web.json_response(_loaded(body))
        return await self.answer(request, body, body.get("model"), stream=body.get("stream") is not False)

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        if not body.get("model"):
            raise Refused("model is required")
        _typed(body.get("options"), dict, "ChatRequest.options", "map[string]interface {}")
        _check_think(body.get("think"))
        if "prompt" in body:
            _typed(body["prompt"], str, "GenerateRequest.prompt", "string")
            _check_images(body.get("images"))
            return
        _typed(body.get("messages"), list, "ChatRequest.messages", "[]api.Message")
        for message in body.get("messages") or ():
            _check_message(message)
        for tool in body.get("tools") or ():
            _check_tool(tool)

    def check_returned(self, body: dict[str, Any], script: Script, record: Any) -> None:
        """What the model can't do."""
        if not script.plain:
            return
        if body.get("tools"):
            raise Refused(f"registry.ollama.ai/library/{record.model} does not support tools")
        if body.get("think"):
            raise Refused(f'"{record.model}" does not support thinking')

    def prompt(self, body: dict[str, Any]) -> Prompt:
        if "prompt" in body:
            return Prompt(body["prompt"], characters=len(body["prompt"]), images=_images(body))
        prompt = Prompt(characters=len(json.dumps(body.get("tools") or "")))
        for message in body["messages"]:
            content = message.get("content") or ""
            prompt.characters += len(content) + len(json.dumps(message.get("tool_calls") or ""))
            if message["role"] == "user":
                prompt.question, prompt.rounds, prompt.results, prompt.images = content, 0, "", _images(message)
            elif message["role"] == "tool":
                prompt.results = "\n".join(filter(None, [prompt.results, content]))
            elif message["role"] == "assistant":
                prompt.rounds += bool(message.get("tool_calls"))
        return prompt

    # What is answered

    def plan(self, said: Said, body: dict[str, Any]) -> Plan:
        last = () if said.reason == "none" else (_line(self._end(said, body, "")),)
        return Plan(
            tokens=self._tokens(said, body),
            ending=last,
            error=_line({"error": "an error was encountered while running the model: unexpected EOF"}),
            broken=b'{"model":"words","message":{"role":"assistant","con\n',
            content_type=NDJSON,
        )

    def _tokens(self, said: Said, body: dict[str, Any]) -> Iterator[bytes]:
        for piece in _pieces(said, body):
            yield _line(self._head(said) | _message(body, piece) | {"done": False})

    def whole(self, said: Said, body: dict[str, Any]) -> Any:
        pieces = list(_pieces(said, body))
        piece: dict[str, Any] = {"content": "".join(piece.get("content", "") for piece in pieces)}
        if thinking := "".join(piece.get("thinking", "") for piece in pieces):
            piece["thinking"] = thinking
        if calls := [call for piece in pieces for call in piece.get("tool_calls", ())]:
            piece["tool_calls"] = calls
        return self._end(said, body, piece)

    def _head(self, said: Said) -> dict[str, Any]:
        return {"model": said.model, "created_at": _AT}

    def _end(self, said: Said, body: dict[str, Any], piece: Any) -> dict[str, Any]:
        end = self._head(said) | _message(body, piece or {"content": ""}) | {"done": True, "done_reason": said.reason}
        end |= {"total_duration": 5_000_000, "load_duration": 1_000_000}
        if said.script.nousage:
            return end
        counts = {"prompt_eval_count": said.figures.prompt, "eval_count": said.figures.answered}
        return end | counts | {"prompt_eval_duration": 2_000_000, "eval_duration": 2_000_000}

    # Errors

    def refusal(self, refused: Refused) -> Any:
        return {"error": refused.message}

    def overflow(self, asked: int, limit: int) -> Refused:
        return Refused(
            f"request ({asked} tokens) exceeds the available context size ({limit} tokens), try increasing it"
        )

    def unpaid(self) -> Refused:
        return Refused("you've reached your weekly usage limit, please upgrade to continue", 402)

    def blocked(self, script: Script) -> None:
        return None

    # What litellm and people ask about a model

    async def show(self, request: web.Request) -> web.StreamResponse:
        body = await json_of(request)
        name = body.get("model") or body.get("name") or ""
        record = self.note(request, body, name, stream=False)
        record.is_lookup = True
        with self.provider.answering(record):
            try:
                script = self.provider.memory.peek(record.model)
            except ScriptError:
                return self._refused(record, Refused(f"model '{name}' not found", 404))
            if script.show >= 100 and script.show != float("inf"):
                return self._refused(record, self.failure(int(script.show), name, script))
            await asyncio.sleep(min(script.show, 1e6))
            record.status = 200
            record.end("completed")
            return web.json_response(_shown(script))

    async def tags(self, request: web.Request) -> web.Response:
        details = {"format": "gguf", "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
        model = {"name": "words:latest", "model": "words:latest", "modified_at": _AT, "size": 1, "digest": "0" * 64}
        return web.json_response({"models": [model | {"details": details}]})

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.40.12"})

    async def alive(self, request: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")


def _shown(script: Script) -> dict[str, Any]:
    abilities = ["completion"] if script.plain else ["completion", "tools", "vision", "thinking"]
    length = CONTEXT_TOKENS if script.context is None else script.context // 4
    return {
        "license": "MIT",
        "modelfile": "FROM words",
        "parameters": 'stop "###"',
        "template": "{{ .Prompt }}" if script.plain else "{{ range .Tools }}{{ . }}{{ end }}{{ .Prompt }}",
        "details": {"format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "3.2B"},
        "model_info": {"general.architecture": "llama", "llama.context_length": length},
        "capabilities": abilities,
        "modified_at": _AT,
    }


def _loaded(body: dict[str, Any]) -> dict[str, Any]:
    """Nothing to say: the model is only loaded."""
    head = {"model": body.get("model", ""), "created_at": _AT}
    return head | _message(body, {"content": ""}) | {"done_reason": "load", "done": True}


def _pieces(said: Said, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if body.get("think") is not False:
        yield from ({"content": "", "thinking": token} for token in said.thoughts)
    yield from ({"content": token} for token in said.text)
    for call in said.calls:
        if call.value is None:  # a call that it can't read stays what the model wrote
            yield {"content": _as_written(call)}
            continue
        yield {"content": "", "tool_calls": [{"function": {"name": call.name, "arguments": call.value}}]}


def _as_written(call: Call) -> str:
    return f'{{"name": "{call.name}", "arguments": {call.arguments}}}'


def _message(body: dict[str, Any], piece: dict[str, Any]) -> dict[str, Any]:
    """A piece in the form of /api/chat, or of /api/generate."""
    if "prompt" not in body:
        return {"message": {"role": "assistant"} | piece}
    return {"response": piece["content"]} | ({"thinking": piece["thinking"]} if "thinking" in piece else {})


def _line(value: Any) -> bytes:
    return dumps(value) + b"\n"


# --- types, as Go's decoder checks them ---


def _typed(value: Any, kind: type, field: str, go: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise Refused(f"json: cannot unmarshal {_TYPES[type(value)]} into Go struct field {field} of type {go}")


def _check_think(think: Any) -> None:
    if think is not None and not isinstance(think, bool) and think not in _EFFORTS:
        raise Refused(f'invalid think value: "{think}" (must be "high", "medium", "low", true, or false)')


def _check_message(message: Any) -> None:
    _typed(message, dict, "ChatRequest.messages", "api.Message")
    _typed(message.get("content"), str, "ChatRequest.messages.content", "string")
    _typed(message.get("thinking"), str, "ChatRequest.messages.thinking", "string")
    _typed(message.get("tool_name"), str, "ChatRequest.messages.tool_name", "string")
    if message.get("role") not in _ROLES:
        raise Refused(f'invalid role: {message.get("role")}, must be one of "system", "user", "assistant", or "tool"')
    calls = message.get("tool_calls")
    _typed(calls, list, "ChatRequest.messages.tool_calls", "[]api.ToolCall")
    for call in calls or ():
        function = call.get("function") or {}
        path = "ChatRequest.messages.tool_calls.function"
        _typed(function.get("name"), str, f"{path}.name", "string")
        _typed(function.get("arguments"), dict, f"{path}.arguments", "api.ToolCallFunctionArguments")
    _check_images(message.get("images"))


def _check_images(images: Any) -> None:
    """They are bare base64, without the beginning of a data URL."""
    _typed(images, list, "ChatRequest.messages.images", "[]api.ImageData")
    for image in images or ():
        _typed(image, str, "ChatRequest.messages.images", "api.ImageData")
        if odd := re.search(r"[^A-Za-z0-9+/=]", image):
            raise Refused(f"illegal base64 data at input byte {odd.start()}")


def _check_tool(tool: Any) -> None:
    path = "ChatRequest.tools.function.parameters"
    parameters = (tool.get("function") or {}).get("parameters") or {}
    _typed(parameters, dict, path, "api.ToolFunctionParameters")
    _typed(parameters.get("required"), list, f"{path}.required", "[]string")
    _typed(parameters.get("properties"), dict, f"{path}.properties", "map[string]api.ToolProperty")
    for schema in (parameters.get("properties") or {}).values():
        _typed(schema, dict, f"{path}.properties", "api.ToolProperty")
        _typed(schema.get("enum"), list, f"{path}.properties.enum", "[]interface {}")


def _images(message: dict[str, Any]) -> list[str]:
    """A bare image has no type; PNG's and JPEG's are told by how they begin."""
    found = []
    for image in message.get("images") or ():
        data = b64decode(image + "=" * (-len(image) % 4))
        found.append(told("image/jpeg" if data.startswith(b"\xff\xd8") else "image/png", data))
    return found
