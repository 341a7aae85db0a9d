"""The fast lane: OpenAI's streaming protocol read straight off the socket, beside litellm.

litellm spends some 0.4 ms of CPU on each streamed chunk and 10 ms on each call; this far less than a tenth of the one and
about an eighth of the other. With all that a worker does beside, it halves a worker's CPU (docs/performance.md). It knows
one protocol (chat completions as server-sent events) and nothing of models: whom to ask, with which body, and what an
error means is litellm's to say (`assistant.llm`).

Source of the protocol: OpenAI's API reference, "Chat Completions, streaming"; the WHATWG's "Server-sent events", of which
providers keep one thing only: a line that begins with `data:` is one event.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import weakref
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from assistant.pieces import Finish, Fragments, Piece, Text

LONGEST_EVENT_BYTES = 16 * 1024 * 1024
_LONGEST_ERROR_BYTES = 64 * 1024
_KEPT_OPEN_SECONDS = 60.0
_LAST_BYTE_SECONDS = 0.2  # after [DONE]; a connection that is read to its end can be used again


@dataclass(frozen=True, slots=True)
class Request:
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]  # as it is sent, in OpenAI's form


@dataclass(frozen=True, slots=True)
class RawUsage:
    figures: Mapping[str, Any]  # OpenAI's `usage` object, as it came


class ProviderError(Exception):
    """The provider said that it can't. What that means for people is not this module's to say."""

    def __init__(
        self, message: str, status_code: int, body: Any = None, headers: Mapping[str, str] = {}, code: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code  # HTTP's, or what an error inside of a stream amounts to
        self.code = code  # OpenAI's word for it, if there is one
        self.body = body
        self.headers = headers


async def stream(request: Request, silence_seconds: float) -> AsyncGenerator[Piece | RawUsage, None]:
    """Sends `request` and yields what comes, as it comes; a Finish only if the provider said why it stopped.

    Everything that arrived is yielded before an error is raised, if the caller awaits nothing else between two pieces.
    Closing the iterator, or cancelling the task that reads it, closes the connection at once. Raises ProviderError;
    TimeoutError after `silence_seconds` without a byte; aiohttp.ClientError if the connection fails or breaks.
    """
    answer = _Answer()
    async with await _ask(request, silence_seconds) as response:
        if response.status != 200:
            raise await _refusal(response)
        if (
            response.content_type == "application/json"
        ):  # some servers answer so, also when they are asked for a stream
            for piece in answer.whole(await response.read()):
                yield piece
            return
        try:
            # What has arrived is taken as a whole each time, so nothing is unread when the connection breaks, and
            # waiting for the next bytes always lets the other turns run.
            while not answer.is_done and (data := await response.content.readany()):
                for piece in answer.read(data):
                    yield piece
        except (TimeoutError, aiohttp.ClientError):
            if not answer.is_finished:  # otherwise only figures are missing
                raise
        for piece in answer.end():
            yield piece
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            await asyncio.wait_for(response.content.readany(), _LAST_BYTE_SECONDS)


async def close() -> None:
    """Closes the connections that are kept open for the running loop."""
    if session := _sessions.pop(asyncio.get_running_loop(), None):
        await session.close()


# --- the answer, from bytes to pieces ---


class _Answer:
    def __init__(self) -> None:
        self.is_done = False  # [DONE] has come
        self._finish: str | None = None
        self._rest = b""
        self._calls = Fragments()

    @property
    def is_finished(self) -> bool:
        """Whether the model has said that it is at its end."""
        return self._finish is not None

    def read(self, data: bytes) -> Iterator[Piece | RawUsage]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_EVENT_BYTES:
            raise ProviderError("an event of the stream is too long", 502)
        for line in lines:
            if line.startswith(b"data:"):
                yield from self._event(line[5:].strip())

    def end(self) -> Iterator[Piece | RawUsage]:
        """What is left when the stream has ended in order."""
        if self._rest.startswith(b"data:"):
            yield from self._event(self._rest[5:].strip())
        if self._finish:
            yield from self._calls.whole()
            yield Finish(self._finish)

    def whole(self, data: bytes) -> Iterator[Piece | RawUsage]:
        """An answer that came as one JSON object, not as a stream."""
        yield from self._chunk(data, "message")
        yield from self.end()

    def _event(self, data: bytes) -> Iterator[Piece | RawUsage]:
        if data == b"[DONE]":
            self.is_done = True
        elif data and not self.is_done:
            yield from self._chunk(data, "delta")

    def _chunk(self, data: bytes, part: str) -> Iterator[Piece | RawUsage]:
        chunk = _loaded(data)
        if not isinstance(chunk, dict):
            raise ProviderError(f"the stream holds no object: {data[:200]!r}", 502)
        if chunk.get("error"):
            raise _error_in(chunk, 500, {})
        for choice in (chunk.get("choices") or ())[:1]:
            delta = choice.get(part) or {}
            if text := delta.get("content") or delta.get("refusal"):
                if not isinstance(text, str):
                    raise ProviderError(f"the stream holds a text that is none: {data[:200]!r}", 502)
                yield Text(text)
            for number, fragment in enumerate(delta.get("tool_calls") or ()):
                self._add(number, fragment)
            self._finish = choice.get("finish_reason") or self._finish
        if usage := chunk.get("usage"):
            yield RawUsage(usage)

    def _add(self, number: int, fragment: Mapping[str, Any]) -> None:
        index = fragment.get("index")
        function = fragment.get("function") or {}
        arguments = function.get("arguments")
        if not isinstance(arguments, str | None):  # some servers send the object that they are
            arguments = orjson.dumps(arguments).decode()
        self._calls.add(number if index is None else index, fragment.get("id"), function.get("name"), arguments)


def _loaded(data: bytes) -> Any:
    """orjson refuses half of a surrogate pair; a provider may cut a character in two, and the next piece has the rest."""
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(data)
    try:
        return json.loads(data)
    except ValueError as error:
        raise ProviderError(f"the stream holds broken JSON: {data[:200]!r}", 502) from error


# --- the connection ---

_sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = weakref.WeakKeyDictionary()


def _session() -> aiohttp.ClientSession:
    """The running loop's connections, kept open between calls: to a provider far away a new one costs 100 ms and more."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None or session.closed:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_OPEN_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,  # HTTPS_PROXY and its like
            trace_configs=[_noting_reuse()],
        )
        _sessions[loop] = session
    return session


@dataclass(slots=True)
class _Trace:
    is_reused: bool = False


def _noting_reuse() -> aiohttp.TraceConfig:
    async def note(session: aiohttp.ClientSession, context: Any, parameters: Any) -> None:
        context.trace_request_ctx.is_reused = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(note)
    return tracing


async def _ask(request: Request, silence_seconds: float) -> aiohttp.ClientResponse:
    """The response, its headers read. Asks again if a kept connection turns out to have been closed meanwhile.

    Only then, and only if not a byte of an answer had come: the server had hung up before it read the question.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=silence_seconds, sock_read=silence_seconds)
    body = orjson.dumps(request.body)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"} | dict(request.headers)
    while True:
        trace = _Trace()
        try:
            return await _session().post(
                request.url,
                data=body,
                headers=headers,
                timeout=timeout,
                trace_request_ctx=trace,
                allow_redirects=False,
            )
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not trace.is_reused:
                raise


async def _refusal(response: aiohttp.ClientResponse) -> ProviderError:
    data = await response.content.read(_LONGEST_ERROR_BYTES)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and body.get("error"):
        return _error_in(body, response.status, response.headers)
    said = data[:500].decode(errors="replace").strip()
    return ProviderError(f"HTTP {response.status}: {said}", response.status, body, response.headers)


def _error_in(body: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> ProviderError:
    """OpenAI's error object: {"error": {"message", "type", "code"}}, whose code may be an HTTP status or a word."""
    error = body["error"]
    code = error.get("code") if isinstance(error, dict) else None
    if status == 500 and isinstance(code, int) and 400 <= code < 600:
        status = code
    return ProviderError(orjson.dumps(error).decode()[:2000], status, body, headers, code)
