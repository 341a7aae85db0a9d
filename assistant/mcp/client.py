"""How a server is reached: as a program that speaks over its pipes, or at an address over HTTP.

The package `mcp` is imported here and when it is needed: who has no server need not load it.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from assistant.extras import extra
from assistant.mcp.configured import Configured
from assistant.ops.report import redacted

if TYPE_CHECKING:
    from mcp.client.session import ElicitationFnT, MessageHandlerFnT

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 360.0  # of an HTTP server that waits for people; longer where its tools may take longer
CONNECT_SECONDS = 30.0  # for the other steps of a request over HTTP
LARGEST_EVENT_BYTES = 32 * 1024 * 1024  # a result with images is one event
LINES_LOGGED = 100  # of what a program says on its standard error
LONGEST_LINE = 500
LAST_LINES = 3


class Words(asyncio.Protocol):
    """What a program says on its standard error: logged, within bounds; `last` is what one reads if it fails."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = ""
        self._left = LINES_LOGGED
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + self._decode(data)).split("\n")
        self._rest = rest[:LONGEST_LINE]  # what follows a line that is longer still comes as lines of its own
        for line in lines:
            self._note(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._note(self._rest)
        self._rest = ""

    def _note(self, line: str) -> None:
        line = redacted("".join(letter for letter in line[:LONGEST_LINE] if letter.isprintable())).strip()
        if not line:
            return
        self._last.append(line)
        if self._left > 0:
            self._left -= 1
            logger.info("MCP server %s says: %s", self._name, line)
            if not self._left:
                logger.info("MCP server %s says more, which is not logged.", self._name)

    @property
    def last(self) -> str:
        return " / ".join([*self._last, *([self._rest.strip()] if self._rest.strip() else [])])


def load() -> None:
    """Imports the package `mcp`: seconds of work on a busy machine, in which a worker's loop must not stand still."""
    with extra("mcp"):
        import httpx2  # noqa: F401  heavy, and who has no server need not have it
        import mcp.client.stdio
        import mcp.client.streamable_http  # noqa: F401


@asynccontextmanager
async def client_of(
    configured: Configured,
    words: Words,
    hear: MessageHandlerFnT,
    elicit: ElicitationFnT,
    auth: Any = None,
) -> AsyncIterator[Any]:
    """A connected `mcp.Client`. `hear` is awaited with each notification of the server's, `elicit` with its questions."""
    await asyncio.to_thread(load)
    import mcp  # loaded now

    async with _transport(configured, words, auth) as transport:
        client = mcp.Client(
            transport, cache=None, message_handler=hear, elicitation_callback=elicit, client_info=_who_we_are()
        )
        async with client:
            yield client


@asynccontextmanager
async def _transport(configured: Configured, words: Words, auth: Any) -> AsyncIterator[Any]:
    # As above: `load` has looked for them.
    import httpx2
    import mcp
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if configured.url:
        silence = max(SILENCE_SECONDS, configured.timeout_seconds)
        limits = httpx2.Timeout(CONNECT_SECONDS, read=silence)
        async with httpx2.AsyncClient(headers=dict(configured.headers), timeout=limits, auth=auth) as http:
            yield streamable_http_client(configured.url, http_client=http, max_sse_event_size=LARGEST_EVENT_BYTES)
        return
    program, *arguments = configured.command
    parameters = mcp.StdioServerParameters(
        command=program, args=arguments, env=dict(configured.env), encoding_error_handler="replace"
    )
    reading, writing = os.pipe()
    pipe = os.fdopen(reading, "rb", buffering=0)
    hearing, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: words, pipe)
    try:
        with os.fdopen(writing, "w") as errors:
            yield stdio_client(parameters, errlog=errors)
    finally:
        hearing.close()


def _who_we_are() -> Any:
    from mcp_types import Implementation  # as above

    return Implementation(name="parley", title="Parley", version="1")
