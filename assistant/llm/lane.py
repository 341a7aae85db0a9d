"""The fast lane: a provider's protocol read straight off the socket, beside litellm.

litellm spends 0.5 to 1.2 ms of CPU on each streamed chunk and 10 ms on each call; this a hundredth of the one and about an
eighth of the other (docs/models.md has the figures). It knows nothing of models: whom to ask, and with which body is
litellm's to say (`assistant.llm.requests`); what bytes mean is the framing's and the protocol's reader's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace

import aiohttp

from assistant.llm import connection, facts, fields, limits
from assistant.llm.connection import Request
from assistant.llm.error_body import words_of_page
from assistant.llm.framing import DONE, Event, Framing
from assistant.llm.pieces import Finish
from assistant.llm.provider_error import ProviderError, error_in
from assistant.llm.reader import Raw, Reader

__all__ = ["Request", "close", "stream"]

_LONGEST_ERROR_BYTES = 64 * 1024
_ANSWERS = frozenset({200, 201, 202, 203, 206})
_LAST_BYTE_SECONDS = 0.2  # after the last event; a connection that is read to its end can be used again

close = connection.close


async def stream(request: Request, silence_seconds: float) -> AsyncGenerator[Raw, None]:
    """Sends `request` and yields what comes, as it comes; a Finish only if the provider said why it stopped.

    A server that says that it doesn't know a field of the request is asked again without it; one that names a lower limit
    for the answer with that. Everything that arrived is yielded before an error is raised, if the caller awaits nothing
    else between two pieces. Closing the iterator, or cancelling the task that reads it, closes the connection at once.
    Raises ProviderError, WrongSetting; TimeoutError after `silence_seconds` without a byte; aiohttp.ClientError if the
    connection fails or breaks.
    """
    request = replace(request, body=fields.known(request.url, request.model, request.body))
    for _ in range(fields.MOST_FIELDS_REFUSED):
        has_said = False
        try:
            async with aclosing(_once(request, silence_seconds)) as pieces:
                async for piece in pieces:
                    has_said = True
                    yield piece
            return
        except ProviderError as error:
            other = None if has_said else _another(request, error)
            if other is None:
                raise
            request = other
    async with aclosing(_once(request, silence_seconds)) as pieces:
        async for piece in pieces:
            yield piece


def _another(request: Request, error: ProviderError) -> Request | None:
    """What may be asked instead, where that makes no other question of it."""
    if found := limits.lowered(request.body, error.body):
        body, limit = found
        if limit is not None:
            facts.note_output_limit(request.model, limit)
        return replace(request, body=body)
    field = fields.unsupported_field(error.status_code, error.body, request.body)
    if field is None:
        return None
    fields.note(request.url, request.model, field, error.body)
    return replace(request, body=fields.without(request.body, field, error.body))


async def _once(request: Request, silence_seconds: float) -> AsyncGenerator[Raw, None]:
    reader = request.reader()
    async with await connection.ask(request, silence_seconds) as response:
        if response.status not in _ANSWERS:
            raise await _refusal(response)
        framing = Framing(response.charset or "utf-8")
        try:
            # What has arrived is taken as a whole each time, so nothing is unread when the connection breaks, and
            # waiting for the next bytes always lets the other turns run.
            while not reader.is_done and (data := await response.content.readany()):
                for piece in pieces_of(reader, framing.feed(data)):
                    yield piece
        except (TimeoutError, aiohttp.ClientError):
            if not reader.is_finished:  # otherwise only figures are missing
                raise
        if not reader.is_done:
            for piece in pieces_of(reader, framing.end()):
                yield piece
        has_ended = False
        for piece in reader.end():
            has_ended = has_ended or isinstance(piece, Finish)
            yield piece
        if not has_ended and (framing.words or not framing.has_begun):
            words = words_of_page(framing.words) or "it is empty"
            raise ProviderError(f"this is no answer of a model: {words[:500]}", 502, words)
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            await asyncio.wait_for(response.content.readany(), _LAST_BYTE_SECONDS)


def pieces_of(reader: Reader, events: Iterable[Event]) -> Iterator[Raw]:
    """Events as pieces. `[DONE]` is OpenAI's last word; gateways say it in every protocol."""
    for name, value in events:
        if value is DONE:
            reader.is_done = True
        if reader.is_done:
            return
        yield from reader.event(name, value)


async def _refusal(response: aiohttp.ClientResponse) -> ProviderError:
    data = await _beginning(response)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = words_of_page(data.decode(errors="replace"))
    return error_in(body or response.reason or "", response.status, response.headers)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Of an error's body, and whatever came of it where the connection breaks."""
    data = b""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        while len(data) < _LONGEST_ERROR_BYTES and (more := await response.content.readany()):
            data += more
    return data[:_LONGEST_ERROR_BYTES]
