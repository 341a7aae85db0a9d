"""The server: `python -m tests.provider` prints `provider on http://127.0.0.1:PORT/v1` when it listens.

SIGTERM and SIGINT stop it cleanly; with `--with-stdin` the end of its standard input does too, so that it
can't outlive a test run that was killed. The script is in the model's name: tests/provider/script.py has all
words.

POST /v1/chat/completions
    Streams or answers what the script says. (GET /v1/models lists one model.)
GET /control/requests?times=1&model=NAME&since=NUMBER
    `{"requests": [...]}`, oldest first, as records.Record; `times` adds the moments of each token.
GET /control/active
    `{"open": n, "held": n}`: requests that are being answered now, and how many of them wait at `hold`.
POST /control/release `{"model"?}`
    Lets the streams of one model go on that wait, or will wait, at `hold`; or all that wait now.
POST /control/scripts `{"name", "steps": [...], "per_question"?: false}`
    The model `openai/<name>` answers its i-th request by step i, later ones by the last step. A step is a
    script's name or an object (script.py has the keys). The count is by name, or by name and last user
    message.
POST /control/reset
    Forgets requests, counts and posted scripts; open streams go on.
"""

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from . import frames
from .images import parse_data_url, told
from .playing import Plan, Player
from .records import Memory, Record
from .script import Script, ScriptError, ToolCall, all_tokens, script_name


class Provider:
    """The scripted model. One instance serves one port."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.open: set[int] = set()
        self.stopping = False
        self.player = Player()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.complete),
                web.get("/v1/models", self.models),
                web.get("/control/requests", self.requests),
                web.get("/control/active", self.active),
                web.post("/control/release", self.release),
                web.post("/control/scripts", self.scripts),
                web.post("/control/reset", self.reset),
            ]
        )
        return app

    # The model

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        messages = body.get("messages") or []
        model, stream = body.get("model", ""), bool(body.get("stream"))
        record = self.memory.record(model, last_user_message(messages), stream, body, request.headers)
        with self.answering(record):
            return await self._answer(request, record, messages)

    @contextlib.contextmanager
    def answering(self, record: Record) -> Iterator[None]:
        """While a request is answered; notes it if the client goes."""
        self.open.add(record.number)
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            # aiohttp cancels us in the very moment in which it sees the connection go
            record.end("stopped" if self.stopping else "disconnected")
            raise
        finally:
            self.open.discard(record.number)
            record.held = False

    async def _answer(self, request: web.Request, record: Record, messages: list[Any]) -> web.StreamResponse:
        try:
            script = self.memory.script_for(record.model, record.question, record.stream)
        except ScriptError as error:
            return _refused(record, *frames.invalid_script(str(error)))
        if script.hang is not None:
            await asyncio.sleep(min(script.hang, 1e6))
        length = sum(len(_text(message)) for message in messages)
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        refusal = frames.refusal(script, record.model, length, key)
        if refusal:
            return _refused(record, *refusal)
        calls = script.tools if _rounds(messages) < script.rounds else ()
        results = "\n".join(_text(message) for message in messages if message.get("role") == "tool")
        tokens = all_tokens(script, record.question, results, _images(messages))
        if calls:
            tokens = tokens[: script.preamble]
        reason = frames.REASONS.get(script.finish or ("tool_calls" if calls else "stop"))
        if reason is None:
            return _refused(record, *frames.invalid_script(f"There is no '{script.finish}' in this protocol."))
        if record.stream:
            deltas = frames.deltas(script, tokens, calls, record.number)
            return await self._stream(request, record, script, deltas, reason, length)
        await asyncio.sleep(script.first)
        return self._whole(record, script, tokens, calls, reason, length)

    def _whole(
        self,
        record: Record,
        script: Script,
        tokens: list[str],
        calls: tuple[ToolCall, ...],
        reason: str,
        length: int,
    ) -> web.Response:
        usage = frames.usage_of(script, length, len(tokens))
        body = frames.answer(record.number, record.model, "".join(tokens), calls, reason, usage)
        record.status, record.tokens = 200, len(tokens)
        record.end("completed")
        return web.Response(body=frames.dumps(body), content_type="application/json")

    async def _stream(
        self,
        request: web.Request,
        record: Record,
        script: Script,
        deltas: list[bytes],
        reason: str,
        length: int,
    ) -> web.StreamResponse:
        shape = frames.Frames(record.number, record.model)
        ending = [] if reason == "none" else [shape.finish(reason)]
        options = record.body.get("stream_options") or {}
        if options.get("include_usage") and not script.nousage:
            ending.append(shape.usage(frames.usage_of(script, length, len(deltas))))
        if not script.nodone:
            ending.append(frames.DONE)
        plan = Plan(
            tokens=map(shape.delta, deltas),
            opening=shape.role(),
            ending=tuple(ending),
            error=shape.error(),
            broken=frames.BROKEN,
            still_waiting=frames.COMMENT,
        )
        return await self.player.play(request, record, script, plan)

    async def models(self, request: web.Request) -> web.Response:
        listed = [{"id": "words", "object": "model", "owned_by": "tests"}]
        return web.json_response({"object": "list", "data": listed})

    # The control of tests

    async def requests(self, request: web.Request) -> web.Response:
        model, since = request.query.get("model"), int(request.query.get("since", 0))
        found = [
            record.as_json("times" in request.query)
            for record in self.memory.records
            if record.number >= since and model in (None, record.model)
        ]
        return web.json_response({"requests": found})

    async def active(self, request: web.Request) -> web.Response:
        held = sum(record.held for record in self.memory.records)
        return web.json_response({"open": len(self.open), "held": held})

    async def release(self, request: web.Request) -> web.Response:
        model = (await _json(request)).get("model")
        self.player.release(model and script_name(model))
        return web.json_response({})

    async def scripts(self, request: web.Request) -> web.Response:
        body = await _json(request)
        try:
            self.memory.post(script_name(body["name"]), body["steps"], bool(body.get("per_question")))
        except (ScriptError, KeyError, TypeError, AttributeError) as error:
            return web.json_response({"detail": f"{type(error).__name__}: {error}"}, status=422)
        return web.json_response({}, status=201)

    async def reset(self, request: web.Request) -> web.Response:
        self.memory.reset()
        self.player.reset()
        return web.json_response({})


def last_user_message(messages: list[Any]) -> str:
    """The text of the last message with the role user, '' if there is none."""
    return next((_text(message) for message in reversed(messages) if message.get("role") == "user"), "")


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if part.get("type") == "text")


def _images(messages: list[Any]) -> str:
    """The images of the last question, as `image/png, 68 bytes`."""
    content = next((message["content"] for message in reversed(messages) if message.get("role") == "user"), "")
    parts = content if isinstance(content, list) else []
    urls = [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]
    return "; ".join(told(*parse_data_url(url)) for url in urls)


def _rounds(messages: list[Any]) -> int:
    """How many rounds of tool calls there were since the last user message."""
    count = 0
    for message in reversed(messages):
        if message.get("role") == "user":
            break
        count += message.get("role") == "assistant" and bool(message.get("tool_calls"))
    return count


def _refused(record: Record, status: int, headers: dict[str, str], kind: str, body: bytes) -> web.Response:
    record.status = status
    record.end("refused")
    return web.Response(status=status, headers=headers, body=body, content_type=kind)


async def _json(request: web.Request) -> dict[str, Any]:
    return await request.json() if request.can_read_body else {}


async def serve(provider: Provider, host: str, port: int, with_stdin: bool = False) -> None:
    """Serves until SIGTERM or SIGINT; open streams are cut then."""
    runner = web.AppRunner(provider.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024, reuse_address=True)
    await site.start()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_stdin:
        await _watch_stdin(loop, stop)
    gc.freeze()
    print(f"provider on http://{host}:{runner.addresses[0][1]}/v1", flush=True)
    await stop.wait()
    provider.stopping = True
    await runner.cleanup()


class _EndOfInput(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, error: Exception | None) -> None:
        self._stop.set()


async def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    await loop.connect_read_pipe(lambda: _EndOfInput(stop), sys.stdin)


def main(provider: type[Provider] = Provider) -> None:
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--with-stdin", action="store_true", help="stop when the standard input ends")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(provider(), options.host, options.port, options.with_stdin))
