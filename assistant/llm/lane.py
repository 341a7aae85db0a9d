"""The fast lane: a provider's protocol read straight off the socket, beside litellm.

litellm spends 0.5 to 1.2 ms of CPU on each streamed chunk and 10 ms on each call; this a hundredth of the one and about an
eighth of the other (docs/models.md has the figures). It knows nothing of models: whom to ask, with which body, and what an
error means is litellm's to say (`assistant.llm.requests`); what bytes mean is the framing's and the protocol's reader's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import aiohttp
import orjson

from assistant.llm import connection
from assistant.llm.connection import Request
from assistant.llm.framing import Framing
from assistant.llm.reader import Raw
from assistant.llm.refusal import ProviderError, error_in

__all__ = ["Request", "close", "stream"]

_LONGEST_ERROR_BYTES = 64 * 1024
_LAST_BYTE_SECONDS = 0.2  # after the last event; a connection that is read to its end can be used again

close = connection.close


async def stream(request: Request, silence_seconds: float) -> AsyncGenerator[Raw, None]:
    """Sends `request` and yields what comes, as it comes; a Finish only if the provider said why it stopped.

    Everything that arrived is yielded before an error is raised, if the caller awaits nothing else between two pieces.
    Closing the iterator, or cancelling the task that reads it, closes the connection at once. Raises ProviderError,
    connection.WrongSetting; TimeoutError after `silence_seconds` without a byte; aiohttp.ClientError if the connection
    fails or breaks.
    """
    reader = request.reader()
    async with await connection.ask(request, silence_seconds) as response:
        if response.status != 200:
            raise await _refusal(response)
        framing = Framing(response.charset or "utf-8")
        try:
            # What has arrived is taken as a whole each time, so nothing is unread when the connection breaks, and
            # waiting for the next bytes always lets the other turns run.
            while not reader.is_done and (data := await response.content.readany()):
                for event in framing.feed(data):
                    for piece in reader.event(*event):
                        yield piece
        except (TimeoutError, aiohttp.ClientError):
            if not reader.is_finished:  # otherwise only figures are missing
                raise
        if not reader.is_done:
            for event in framing.end():
                for piece in reader.event(*event):
                    yield piece
        for piece in reader.end():
            yield piece
        if framing.words and not reader.is_finished:
            raise ProviderError(f"this is no stream of a model: {framing.words}", 502)
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            await asyncio.wait_for(response.content.readany(), _LAST_BYTE_SECONDS)


async def _refusal(response: aiohttp.ClientResponse) -> ProviderError:
    data = await response.content.read(_LONGEST_ERROR_BYTES)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        said = data[:500].decode(errors="replace").strip()
        return ProviderError(f"HTTP {response.status}: {said}", response.status, None, response.headers)
    body = body[0] if isinstance(body, list) and body else body  # Gemini's form where no SSE was asked for
    return error_in(body, response.status, response.headers)
